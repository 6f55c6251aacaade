"""Careful readers of closed answers other than a letter: yes or no, a number, one of two captions.

Like `careful.py` they read what a person would read, or nothing: a refusal, an enumeration, and two verdicts that
contradict each other are unreadable.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from kangaroo_eval.captions import caption_matching
from kangaroo_eval.careful import Reading
from kangaroo_eval.replies import CHANGE, FAILURES, clean, unreadable

__all__ = ["caption_matching", "yes_no"]

# --- yes or no -----------------------------------------------------------------------------------------------

# A clause is a verdict when nothing but these stands before it ...
_LEAD = (
    r"(?:(?:so|thus|then|hence|therefore|well|oh|ok|okay|and|but|actually|wait|sorry|now|in short|in conclusion|overall"
    r"|the|my|a|correct|right|best|final|short|direct|answer|response|conclusion|guess|verdict|question|statement|claim"
    r"|description|this|that|which|it|is|are|was|be|would|should|must|has to|say|seems|appears|to|that's|it's"
    r"|i|i'd|i'll|i'm|am|think|believe|guess|go|going|lean|leaning|towards?|with|choose|maybe|probably|possibly|likely"
    r"|most|definitely|certainly|clearly|obviously|really|simply|just|very|quite|text)\s+)*?"
)
_YES = (
    r"yes|yeah|yep|yup|yea|sí|oui|ja|да|はい|네|true|correct|indeed|absolutely|definitely|certainly|affirmative|exactly"
    r"|of course|sure|i (?:think|believe) so|(?:that's|that is|this is|you are|you're) (?:right|the case)"
    r"|是|是的|对|对的|没错|正确"
)
_NO = (
    r"not yes(?: but no)?|no|nope|nah|non|nein|нет|いいえ|아니요|아니오|false|incorrect|untrue|negative"
    r"|(?:(?:definitely|absolutely|certainly|probably|clearly|obviously|of course|likely|is|are) )?"
    r"not(?: really| exactly| quite| at all| true| correct| the case| right)?|(?:isn't|not) (?:true|correct|right|the case)"
    r"|by no means|i (?:don't|do not) (?:think|believe) so|否|不|不是|不是的|没有|不对|错|错误|不正确"
)
# ... and what may follow a yes or a no without a comma: "Yes he is", but not "No information" or "Yes and no".
_TAIL = (
    r"(?:\s+(?:because|since|as|due to)\b.*"
    r"|(?<=yes)(?:(?! (?:and|or|but|nor) no\b| (?:would|is|was|cannot)\b)\s.*)"
    r"|(?<=no)\s+(?:he|she|it|they|the|this|that|these|those|there|his|her|both|i|we|you)\b.*)?"
)
_VERDICT = re.compile(
    rf"{_LEAD}(?:答案(?:是|为)?)?[\"']*(?:(?:no )*(?P<no>{_NO})(?: from me)?|(?:yes )*(?P<yes>{_YES}))[\"']*{_TAIL}",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"(?:[^.,;:!?。，；：！？\n()\[\]{}<>|\\$…—–\"-]|(?<=\w)[-](?=\w))+")
_HEADING = re.compile(r"\banswer\b\W*(?:is\W*)?$", re.IGNORECASE)
_FILLER = re.compile(r"(?:certainly|sure|absolutely|definitely|of course)!\s*\w", re.IGNORECASE)
_CANNOT = re.compile(
    r"(?:cannot|can't|can not|unable|not able|impossible|not possible|not enough|insufficient)\b[^.\n]*"
    r"\b(?:determin|tell|say|answer|know|judge|assess|(?:view|watch|see|access) (?:the |any |this )?videos?|verif)",
    re.IGNORECASE,
)


def yes_no(text: str) -> Reading:
    """Read "yes", "no" or None from a reply to a yes-or-no question.

    Every clause that is nothing but a verdict counts ("Yes", "so the answer is no", "not really", "the statement is
    true", "是的"); a "no" before a noun, as in "no information", is none. Verdicts that differ are unreadable unless
    the writer takes the first one back. The span points at the verdict.
    """
    if FAILURES.search(text):
        return unreadable("failure_text")
    text = clean(text)
    # "No. 5" is a number.
    text = re.sub(r"\bno\.(?=\s?\d)", "   ", text, flags=re.IGNORECASE)
    found = list(_verdicts(text))
    if not found:
        return unreadable()
    (first, first_span), (last, last_span) = found[0], found[-1]
    if first != last and CHANGE.search(text[first_span[1] : last_span[0]]):
        return Reading(last, "corrected", last_span)
    if len({verdict for verdict, _ in found}) > 1:
        # "Answer: no. Explanation: yes, the ball moves, but ...": one of them is called the answer.
        found = [each for each in found if _HEADING.search(text[max(0, each[1][0] - 20) : each[1][0]])]
    if len({verdict for verdict, _ in found}) != 1:
        return unreadable("contradiction")
    first, first_span = found[0]
    # "No, I cannot tell" declines; "No. ... so the exact speed cannot be determined" does not.
    sentence = re.split(r"[.!?\n]", text[first_span[1] : first_span[1] + 200])[0]
    if not text[: first_span[0]].strip() and _CANNOT.search(sentence):
        return unreadable("refusal")
    return Reading(first, "verdict", first_span)


def _verdicts(text: str) -> Iterator[tuple[str, tuple[int, int]]]:
    """Every clause that is a verdict: "yes" or "no" with its place. A clause that ends in "?" asks."""
    if re.fullmatch(r"\W*[yn]\W*", text, re.IGNORECASE):
        place = re.search(r"[yn]", text, re.IGNORECASE)
        assert place is not None
        yield ("yes" if place[0] in "yY" else "no"), place.span()
    for clause in _CLAUSE.finditer(text):
        start = clause.start() + len(clause[0]) - len(clause[0].lstrip(" \t'"))
        said = _VERDICT.fullmatch(clause[0].strip(" \t'"))
        if said is None or re.match(r"[\"' ]{0,8}[?？]", text[clause.end() : clause.end() + 9]):
            continue
        name = "no" if said["no"] else "yes"
        # "Certainly! The video shows ..." is how some models begin whatever they say.
        if (said["no"] or "").lower() == "not" or _FILLER.match(text, start):
            continue
        begin, end = said.span(name)
        yield name, (start + begin, start + end)
