"""How other harnesses read a multiple-choice reply, written anew from what their rules do, to measure beside ours.

`tests/test_readers.py` holds them against recorded outputs of the originals.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

# Where a letter stands, most trusted first; the place decides among equals, later wins.
# fmt: off
_PHRASES = (
    "the answer is", "answer is", "the correct answer is", "correct answer is", "the best answer is",
    "best answer is", "the correct option is", "correct option is", "the best option is", "best option is",
    "the choice is", "choice is", "the correct choice is", "correct choice is", "i choose", "i select", "i pick",
    "my answer is", "my choice is", "옵션", "정답은", "답은", "답:", "答案是", "答案为", "选", "答えは",
)
# fmt: on


def lmms_eval(text: str, options: Sequence[str]) -> str | None:
    """lmms-eval 0.7.2's shared extractor: lmms_eval/tasks/_task_utils/mcq_extract.py at 75571cf."""
    letters = string.ascii_uppercase[: len(options)]
    body = text.strip()
    for mark in ",.!?;:'\"":
        body = body.strip(mark)
    if not text.strip():
        return None
    padded, bare = f" {body} ", body.strip()
    found: list[tuple[int, int, str]] = []
    for rank, form in ((6, "({})"), (5, "{}."), (4, "{}:"), (3, "{})"), (2, "{} ")):
        places = [(letter, padded.rfind(form.format(letter))) for letter in letters]
        found += [(rank, place, letter) for letter, place in places if place >= 0]
    low = padded.lower()
    for phrase in _PHRASES:
        start = low.find(phrase)
        if start >= 0:
            places = [(letter, padded.find(letter, start + len(phrase))) for letter in letters]
            found += [(7, place, letter) for letter, place in places if place >= 0]
    for letter in letters:
        if bare.startswith(letter) and (len(bare) == 1 or not bare[1].isalpha()):
            found.append((10, 0, letter))
        if bare.endswith(letter) and (len(bare) == 1 or not bare[-2].isalpha()):
            found.append((9, len(padded) - 1, letter))
    if not found:
        found = [(0, padded.rfind(letter), letter) for letter in letters if letter in padded]
    best = max(found, key=lambda each: each[:2], default=None)
    return best[2] if best else None


_REFUSED = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)


def vlmevalkit(text: str, options: Sequence[str]) -> str | None:
    """VLMEvalKit's rules for options, without its LLM: vlmeval/utils/matching_util.py (`can_infer`) at e8e78f0."""
    letters = string.ascii_uppercase[: len(options)]
    option = _vlmevalkit_letter(text, letters)
    if option is not None:
        return option if option in letters else None
    low = text.lower()
    if len(low) > 2 * sum(map(len, options)):
        return None
    named = [
        letter for letter, option_text in zip(letters, options, strict=True) if option_text.lower() in low
    ]
    return named[0] if len(named) == 1 else None


def _vlmevalkit_letter(text: str, letters: str) -> str | None:
    """A letter, "Z" for a refusal, None where the option texts are looked at next."""
    if "Failed to obtain answer via API" in text:
        return None
    if any(refusal in text for refusal in _REFUSED):
        return "Z"
    words = re.sub(r"[.()\[\],:;!*#{}]", " ", text).split()
    present = [letter for letter in letters if letter in words]
    if len(present) == 1 and words.index(present[0]) > len(words) - 5:
        return present[0]
    if not present and "Z" in words:
        return "Z"
    stated = re.search(r"(?i)(?:correct\s+)?answer\s+is\s+\**([ABCD])\**", text)
    return stated[1].upper() if stated and stated[1].upper() in letters else None
