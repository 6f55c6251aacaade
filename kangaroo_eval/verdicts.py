"""Readers of what a judge replied: the authors' own parsers, faults and all, and careful ones.

A judge's reply is never evaluated as code, as two of the authors' scripts do. Where such a script would die,
its reader here says what the script says of a reply that it cannot read. The careful readers (`_strict`,
`_careful`) read what a person would, or None.
"""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kangaroo_eval.careful import careful

API_FAILURE = "Failed to obtain answer via API."

# --- MMBench-Video -------------------------------------------------------------------------------------------

# What is an integer both to Python's grammar and to int(): no leading zeros, no sum, no quotes.
_INTEGER = re.compile(r"[+-]?(?:[1-9](?:_?[0-9])*|0(?:_?0)*)")


def mmbench_video(text: str) -> int:
    """The official rating: the reply when it is one bare integer, of any size ("5" is 5), and else -1.

    open-compass/VLMEvalKit: vlmeval/dataset/mmbench_video.py and smp/misc.py (`istype`), e8e78f0; its judge strips
    replies. There the reply is evaluated, and "True", "1+1" or "3 # ok" kill the script: -1 here. -1 is counted
    as 0 in `coarse_all` and left out in `coarse_valid`.
    """
    text = text.strip()
    # One of hundreds of digits is no number that a mean survives.
    if not _INTEGER.fullmatch(text) or len(text) > 300:
        return -1
    try:
        return int(text)
    except ValueError:  # longer than Python converts
        return -1


def mmbench_video_pack(text: str) -> dict[str, Any] | None:
    """The answers to all questions of a video: the one JSON object in the reply, or else, where it has a single
    "{", the lines after it cut at ": ". Unreadable, or a failed call, is None: no question has an answer.

    open-compass/VLMEvalKit: vlmeval/dataset/mmbench_video.py (`robust_json_load`, `load_pack_answers`), e8e78f0.
    A quote and brace at the end of a single-quoted dictionary stay in its last value, and a value is cut at its
    own ": ".
    """
    text = text.strip()
    if API_FAILURE in text:
        return None
    try:
        found = list(_json_objects(text))
    except RecursionError:
        found = []
    if len(found) == 1:
        return found[0]
    if text.count("{") != 1:
        return None
    answers: dict[str, Any] = {}
    for line in text.split("{")[1].strip().split("\n"):
        parts = line.strip().split(": ")
        if len(parts) > 1:
            key, value = (part.strip().strip(",\"'") for part in parts[:2])
            if key and value:
                answers[key] = value
    return answers


def _json_objects(text: str) -> Iterator[dict[str, Any]]:
    decoder = json.JSONDecoder()
    place = text.find("{")
    while place != -1:
        try:
            found, place = decoder.raw_decode(text, place)
            yield found
        except ValueError:
            place += 1
        place = text.find("{", place)


_WORDS = {"zero": 0.0, "one": 1.0, "two": 2.0, "three": 3.0}
_RATED = rf"(?<![-.\w])(?P<rating>-?[0-9]+(?:\.[0-9]+)?|{'|'.join(_WORDS)})(?:\s*(?:/|out of)\s*3)?"
_STATED_RATING = re.compile(
    r"\b(?:(?:rating|score|grade|similarity|your response)\b[\"'*)\]]*(?:\s*\(?0\s*(?:-|to)\s*3\)?)?\s*(?:\b(?:is|of|would be|should be)\b|[:=：])"
    r"|i(?:'d| would| will)? (?:give|rate|score) (?:this|it|the \w+(?: \w+)?)(?: as)?(?: an?)?\b)"
    rf"[\s\"'*(\[]*{_RATED}(?!\w|\.[0-9]|\s*[-/+]\s*[0-9])",
    re.IGNORECASE,
)
# A judge also says what the answers are: "answer" is a rating's name only where nothing else is said.
_WHOLE_RATING = re.compile(rf"[\W_]*(?:(?:the )?answer(?: is|:)\s*)?{_RATED}[\W_]*", re.IGNORECASE)
# "3, because ..." and "3. It matches", but neither "2, 3" nor the first of a numbered list.
_LEADING_RATING = re.compile(
    rf"[\W_]*{_RATED}[\"'*)\]]*(?:[,;:.]\s|\s*[\n(–—]|\s-\s|\s(?:because|since|as)\b)(?!\s*[0-9])(?!.*\n\W*2\.)",
    re.IGNORECASE | re.DOTALL,
)


_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.IGNORECASE | re.DOTALL)
_WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}


def _without_thought(text: str) -> str:
    """What a judge says after it has thought aloud, in plain digits and signs."""
    return _THOUGHT.sub(" ", text).translate(_WIDE).strip()


def mmbench_video_strict(text: str) -> int | None:
    """The one rating from 0 to 3 that the judge gave: "3.", "Rating: 3", "Score: 2/3", "3, because ...", "two".

    A number out of range or between two ratings, several different ratings, and a number that rates nothing are
    None.
    """
    text = _without_thought(text)
    found = list(_STATED_RATING.finditer(text))
    if not found and (alone := _WHOLE_RATING.fullmatch(text) or _LEADING_RATING.match(text)):
        found = [alone]
    said = [match["rating"].lower() for match in found]
    values = {_WORDS[word] if word in _WORDS else float(word) for word in said}
    value = values.pop() if len(values) == 1 else -1.0
    return int(value) if value in _WORDS.values() else None


# --- MLVU generation -----------------------------------------------------------------------------------------


def mlvu_scores(text: str, keys: Sequence[str]) -> list[float] | None:
    """`extract_scores` of MLVU's calculate.py and calculate_sum.py: for each key that occurs, the number from two
    characters after the next ":" to the next ",".

    JUNJIE99/MLVU: evaluation/generation_evaluation/calculate.py, fd060c1. A key that is absent is left out, so
    the second score can stand first; the script then adds what it has, and nothing for an item without scores,
    which stays in the denominator. None: no number stands there, and the script dies, or none that a mean survives.
    """
    scores = []
    for key in keys:
        place = text.find(key)
        if place == -1:
            continue
        start = text.find(":", place) + 2
        # Without a comma `find` gives -1, which drops the reply's last character: the brace, if all is well.
        try:
            score = float(text[start : text.find(",", start)])
        except ValueError:
            return None
        if not math.isfinite(score):
            return None
        scores.append(score)
    return scores


def mlvu_scores_strict(text: str, keys: Sequence[str]) -> tuple[float, float] | None:
    """The two scores in the last dictionary of the reply: both keys there, both numbers from 1 to 5, or None."""
    found = _last_dictionary(text)
    scores = [score for key in keys if (score := _score(found.get(key))) is not None]
    return (scores[0], scores[1]) if len(scores) == len(keys) == 2 else None


def _score(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 1 <= value <= 5 else None


def _last_dictionary(text: str) -> Mapping[Any, Any]:
    """The last {...} of the text as JSON or as a Python literal; empty when there is none that can be read."""
    end = text.rfind("}") + 1
    depth = 0
    for start in range(end - 1, -1, -1):
        depth += {"}": 1, "{": -1}.get(text[start], 0)
        if depth == 0:
            break
    else:
        return {}
    try:
        found = json.loads(text[start:end])
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found = ast.literal_eval(text[start:end])
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return {}
    return found if isinstance(found, dict) else {}


# --- TempCompass ---------------------------------------------------------------------------------------------


def tempcompass_rating(text: str) -> int | None:
    """1 for a reply that starts with "Correct", 0 for "Incorrect", or else by which of the two it contains
    ("Incorrect" where both); case-sensitive.

    llyx97/TempCompass: utils/eval_utils.py (`llm_output_to_rating`), e1b4631. None: neither is there, and the
    script asks again, ten times, before it rates 0.
    """
    if text.startswith("Correct"):
        return 1
    if "Incorrect" in text:
        return 0
    return 1 if "Correct" in text else None


def tempcompass_rating_careful(text: str) -> int | None:
    """1 or 0 for a judge who says correct or incorrect in any case, None for one who says both or neither."""
    text = re.sub(r"(?:\bnot|n['’]t)(?: \w+)? correct\b", " incorrect", _without_thought(text).lower())
    if re.search(r"\b(?:part(?:ial)?ly|half|somewhat|mostly) (?:in)?correct\b", text):
        return None
    # "The correct answer is B" says what is right, not who.
    text = re.sub(
        r"\bcorrect (?:\w+ )?(?:answer|option|choice|caption|response) (?:is|was|should|would)\b", "", text
    )
    said = set(re.findall(r"\bnot incorrect\b|\b(?:in)?correct\b", text))
    return {"correct": 1, "incorrect": 0}.get(said.pop()) if len(said) == 1 else None


def tempcompass_caption_answer(text: str, gold: str) -> tuple[int, str | None]:
    """Rating and answer of the judge who answers a multi-choice question from a caption: right when the answer's
    part before ". " is the gold's and exactly one of "A.", "B.", "C.", "D." occurs in the answer.

    llyx97/TempCompass: eval_captioning.py (`parse_llm_output`), e1b4631. The answer is the last line with "Answer"
    in it, less "Answer:", or the whole reply. (-1, None): the call failed; the script adds the -1 to its sum.
    """
    text = text.strip()  # `get_llm_output` strips before this is called
    if text in ("", "invalid_request_error"):
        return -1, None
    answer = text
    for line in text.split("\n"):
        if "Answer" in line:
            answer = line.strip().replace("Answer:", "").strip()
    marks = sum(answer.count(f"{letter}.") for letter in "ABCD")
    return int(answer.split(". ")[0] == gold.split(". ")[0] and marks == 1), answer


def tempcompass_caption_answer_careful(
    text: str, gold: str, options: Sequence[str] = ("", "", "", "")
) -> tuple[int | None, str | None]:
    """Rating and letter of that judge, the letter in any wrapping; (None, None) where none can be read.

    `options` are the texts of the question's options, for a judge who repeats one without its letter.
    """
    headings = list(re.finditer(r"\banswer\b[\"'*_)\]]*\s*(?:\bis\b|[:：])", text, re.IGNORECASE))
    # An option that the reasoning names is no answer: only what the last heading says counts, if there is one.
    said = careful(text[headings[-1].end() :] if headings else text, options).answer
    return (None, None) if said is None else (int(said == gold.strip()[:1]), said)
