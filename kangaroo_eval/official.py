"""The benchmarks' own rules for reading an answer, each written from the rule's text, faults and all.

They exist to reproduce published numbers, so none is ever improved: what a person would read is the careful
readers' business (`careful.py`, `closed.py`). The choice rules map a reply and the options to a `Reading`; where
the rule guesses at random, the answer is None and a scorer gives the guess's expected value instead.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from kangaroo_eval.careful import Reading, letters_of

# --- the first of some letters, after prefixes are dropped ---------------------------------------------------

# Two commas are missing in the script, so that two pairs of prefixes are one string each; removing them would
# change published numbers.
_VIDEOMME_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option isThe correct option is",
    "Best answer:Best option:",
    "Answer:",
    "Option:",
    "The correct answer",
    "The correct option",
)
_LONGVIDEOBENCH_PREFIXES = (
    "The best answer is",
    "The correct answer is",
    "The answer is",
    "The answer",
    "The best option is",
    "The correct option is",
    "Best answer:",
    "Best option:",
)


def _first_letter(text: str, prefixes: Sequence[str], letters: str) -> str | None:
    text = text.strip()
    for prefix in prefixes:
        text = text.replace(prefix, "")
    found = re.search(f"[{letters}]", text)
    return found[0] if found else None


def videomme(text: str, options: Sequence[str]) -> Reading:
    """Video-MME's `extract_characters_regex` (v2): drop ten prefixes anywhere, then the first of ABCD.

    thanku-all/parse_answer: eval_your_results.py, afd52cf, the leaderboard's script. An unreadable reply leaves
    the official denominator. `options` is not used: the letters are always ABCD.
    """
    return Reading(_first_letter(text, _VIDEOMME_PREFIXES, "ABCD"), "videomme", None)


def longvideobench(text: str, options: Sequence[str]) -> Reading:
    """LongVideoBench's rule by its author: drop eight prefixes anywhere, then the first of ABCDE.

    EvolvingLMMs-Lab/lmms-eval: lmms_eval/tasks/longvideobench/utils.py, 75571cf (the benchmark's own repository
    has no reader and sends its users there). "E" is read for four options too, and is wrong. An unreadable reply
    becomes a random guess among the options.
    """
    return Reading(_first_letter(text, _LONGVIDEOBENCH_PREFIXES, "ABCDE"), "longvideobench", None)


# --- one character, from a fixed place -----------------------------------------------------------------------


def mlvu(text: str, options: Sequence[str]) -> Reading:
    """MLVU's `check_ans`: the one character before the first ")", or else the whole text, which must equal the
    gold letter exactly: no strip, no upper-casing.

    JUNJIE99/MLVU: evaluation/multiple_choice_evaluation/choice_bench.py, fd060c1. Anything but one capital
    letter can never equal a gold letter, so it is unreadable, and wrong.
    """
    if ")" in text:
        bracket = text.index(")")
        text = text[bracket - 1 : bracket]
    # "@" is what the script calls the gold "letter" of items whose answer is among no candidate.
    readable = len(text) == 1 and text in string.ascii_uppercase + "@"
    return Reading(text if readable else None, "mlvu", None)


def lvbench(text: str, options: Sequence[str]) -> Reading:
    """LVBench's `polish_answer`: the first character of what stands before the first ")" and after the "(".

    THUDM/LVBench: lvbench/utils/answer_util.py, 1dd4612. Any character is an answer; one that is no capital
    letter of the options ("T" of "The answer is C") can never be right. Only a reply of which nothing is left is
    unreadable, and wrong.
    """
    text = text.strip().split(")")[0].strip()
    if "(" in text:
        text = text.split("(")[1].strip()
    return Reading(text.split(" ")[0][:1] or None, "lvbench", None)


def seedbench(text: str, options: Sequence[str]) -> Reading:
    """SEED-Bench-2 by generation: the first character of the stripped text, compared case-sensitively.

    EvolvingLMMs-Lab/lmms-eval: lmms_eval/tasks/seedbench_2/utils.py, 75571cf (the authors rank options by
    likelihood instead). Any character is an answer; only an empty reply is unreadable, and wrong.
    """
    return Reading(text.strip()[:1] or None, "seedbench", None)


def videovista(text: str, options: Sequence[str]) -> Reading:
    """VideoVista: the first character of the stripped text, compared case-sensitively with one of ABCDE.

    HITsz-TMG/VideoVista: VideoVista/evaluation/evaluation_videovista.py, abbd6f4. Any character is an answer;
    only an empty reply is unreadable, and wrong (an absent one crashes the script).
    """
    return Reading(text.strip()[:1] or None, "videovista", None)


# --- rules that look at the options --------------------------------------------------------------------------


def egoschema(text: str, options: Sequence[str]) -> Reading:
    """lmms-eval's parser for EgoSchema, after MMMU's; the benchmark's authors give none.

    EvolvingLMMs-Lab/lmms-eval: lmms_eval/tasks/egoschema/utils.py, 75571cf. "(X)", "X " and "X." are looked for
    as plain substrings, so the last letter of any capitalized abbreviation counts, and so does the camera
    wearer's name "C "; among several the one whose last occurrence comes first is taken. Only where there is
    none, a reply of more than five words is searched for an option's full text, letter included ("b. c is ...").
    An unreadable reply becomes a random guess among the options.
    """
    for sign in (",", ".", "!", "?", ";", ":", "'"):
        text = text.strip(sign)
    text = f" {text} "
    letters = letters_of(options)
    hits = [
        (text.rfind(mark), letter)
        for marks in ("({})", "{} ", "{}.")
        for letter in letters
        if (mark := marks.format(letter)) in text
    ]
    if not hits and len(text.split()) > 5:
        lettered = [_with_letter(letter, option) for letter, option in zip(letters, options, strict=True)]
        hits = [
            (text.lower().rfind(option.lower()), letter)
            for letter, option in zip(letters, lettered, strict=True)
            if option.lower() in text.lower()
        ]
    # `min` over the places alone: among equals the first found wins, as with the script's argmin.
    answer = min(hits, key=lambda hit: hit[0])[1] if hits else None
    return Reading(answer, "egoschema", None)


def _with_letter(letter: str, option: str) -> str:
    """The option as the rule's data has it, "A. text", whether or not ours carries its letter."""
    option = option.strip()
    return option if option.startswith(f"{letter}.") else f"{letter}. {option}"


def mvbench_correct(text: str, gold_letter: str, gold_text: str) -> bool:
    """MVBench's `check_ans` as its notebook calls it: "(" and the reply's first line, compared with the gold.

    OpenGVLab/Ask-Anything: video_chat2/mvbench.ipynb, 4dd8210. The first word without its full stops must be
    part of "(x)", or "(x)" part of the first word, in lower case. An empty reply leaves "(", which is part of
    any gold and so right whatever it is. `gold_text` is not looked at (an empty one crashes the notebook).
    """
    reply = ("(" + text.strip().split("\n")[0]).lower()
    said, gold = reply.split(" ")[0], f"({gold_letter}) {gold_text}".lower().split(" ")[0]
    return said.replace(".", "") in gold or gold in said


def mvbench(text: str, options: Sequence[str]) -> Reading:
    """The one letter that `mvbench_correct` would accept; None where it would accept several or none.

    The rule compares and extracts nothing, so a score by this reading is not the official one: an empty reply
    is read as None here and is right there.
    """
    accepted = [letter for letter in letters_of(options) if mvbench_correct(text, letter, "")]
    return Reading(accepted[0] if len(accepted) == 1 else None, "mvbench", None)


# --- TempCompass: rules that may leave the decision to a judge -----------------------------------------------


def _stripped(text: str) -> str:
    return text.replace("</s>", "").strip()


def tempcompass_multi_choice(text: str | None, question: str, answer: str) -> bool | None:
    """TempCompass multi-choice: the gold line itself, one bare letter, or a letter and "." or ")" at the start.

    llyx97/TempCompass: eval_multi-choice.py, e1b4631. The text after the letter is not looked at. None: the rule
    does not decide and a judge must. An absent reply is wrong.
    """
    if text is None:
        return False
    text = _stripped(text)
    if text == answer:
        return True
    if text in ("A", "B", "C", "D") or text.startswith(tuple(a + b for a in "ABCD" for b in ".)")):
        return text[0] == answer[0]
    return None


def tempcompass_yes_no(text: str | None, question: str, answer: str) -> bool | None:
    """TempCompass yes/no: what the reply starts with in lower case, so "Not", "None" and "Now" are "no".

    llyx97/TempCompass: eval_yes_no.py, e1b4631. None: neither, and a judge must decide. An absent reply is wrong.
    """
    if text is None:
        return False
    text = _stripped(text).lower()
    said = next((word for word in ("yes", "no") if text.startswith(word)), None)
    return None if said is None else said == answer


def tempcompass_caption_matching(text: str | None, question: str, answer: str) -> bool | None:
    """TempCompass caption matching: exactly an option's line, its sentence (also after any ") "), its label, or
    its bare index, the last two also with full stops; what matches later overrules.

    llyx97/TempCompass: eval_caption_matching.py, e1b4631. A sentence is what stands between the first and the
    second ": ". None: nothing matches exactly, and a judge must decide. An absent reply is wrong.
    """
    if text is None:
        return False
    text = _stripped(text)
    lines = question.split("\n")[1:]
    labels = [line.split(": ")[0] for line in lines]
    indices = [re.sub("Sentence |Option |Caption ", "", label) for label in labels]
    said = text if text in lines else None
    for sentence in (line.split(": ")[1] for line in lines):
        if sentence == text or (") " in text and sentence == text.split(") ")[1]):
            said = sentence
    for name in labels + indices:
        if name in (text, text.replace(".", "")):
            said = name
    if said is None:
        return None
    label = answer.split(": ")[0]
    return said in (answer, answer.split(":")[0], answer.split(": ")[1], label.split()[1])
