"""Readers of multiple-choice answers: each official rule by name, faults and all, and the careful one.

An official rule exists to reproduce published numbers, so it is written from the rule's text and never
improved. The careful reader reads what a person would read, and says so when a person could not tell.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Sequence
from typing import NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Sample, Score


class Reading(NamedTuple):
    """What a rule read: `answer` is a letter or None (unreadable), `rule` what fired, `span` where."""

    answer: str | None
    rule: str
    span: tuple[int, int] | None


def letters_of(options: Sequence[str]) -> str:
    """The letters A, B, ... of these options."""
    return string.ascii_uppercase[: len(options)]


# --- official rules -----------------------------------------------------------------------------------------

# thanku-all/parse_answer, eval_your_results.py at afd52cf. Two commas are missing there, so that two pairs of
# prefixes are one string each; removing them would change published numbers.
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


def official_videomme(text: str, options: Sequence[str]) -> Reading:
    """Video-MME's `extract_characters_regex` (v2): drop ten prefixes anywhere, then the first of ABCD.

    The leaderboard's rule (thanku-all/parse_answer at afd52cf). An empty reading leaves the sample out of the
    official denominator. `options` is not used: the letters are always ABCD.
    """
    text = text.strip()
    for prefix in _VIDEOMME_PREFIXES:
        text = text.replace(prefix, "")
    found = re.search("[ABCD]", text)
    return Reading(found[0] if found else None, "videomme", None)


def official_mlvu(text: str, options: Sequence[str]) -> Reading:
    """MLVU's `check_ans` (evaluation/multiple_choice_evaluation/choice_bench.py): the one character before the
    first ")", or else the whole text, which must equal the gold letter exactly: no strip, no upper-casing.

    Anything but one capital letter can never equal a gold letter, so it is unreadable, and wrong.
    """
    if ")" in text:
        bracket = text.index(")")
        text = text[bracket - 1 : bracket]
    # "@" is the gold "letter" of items whose answer is among no candidate, so even "@)" is right there.
    readable = len(text) == 1 and text in string.ascii_uppercase + "@"
    return Reading(text if readable else None, "mlvu", None)


# --- the careful reader -------------------------------------------------------------------------------------

_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FAILURES = re.compile(
    r"LMMS_EVAL_(?:REQUEST_FAILED|BUDGET_EXCEEDED)|failed to obtain answer|can not load, check the source"
    r"|\b(?:out of memory|traceback \(most recent|internal server error|rate limit exceeded)",
    re.IGNORECASE,
)
_THINK = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.IGNORECASE | re.DOTALL)
_OPEN = r"[\s\"'“‘`*_(\[{<【「《$:：\\]*"
_CLOSE = r"(?![A-Za-z0-9])(?!['’][A-Za-z])"
_NEGATION = re.compile(
    r"(?:\b(?:not|isn't|rather than|instead of|ruled? out|eliminate|exclude|neither|nor|never|incorrect|wrong)\b"
    r"|n't\b|不是|不选|并非|排除)[\s\w,]{0,14}?[\s\"'*(\[]*$",
    re.IGNORECASE,
)
_DENIED = re.compile(
    r"^[\s\"'*)\]]*(?:(?!because|since|as\b|and\b)\w+ ){0,3}?(?:is|are|was|seems?|looks?|must be|can be|不|是)?\s*"
    r"(?:wrong|incorrect|not\b|n't|false|ruled out|eliminated|错|不对|不正确)",
    re.IGNORECASE,
)


class _Reply:
    """A reply made ready for reading: same length as the text, so that spans stay true."""

    def __init__(self, text: str, options: Sequence[str]) -> None:
        plain = text.translate(_FULL_WIDTH)
        self.text = _THINK.sub(lambda found: " " * len(found[0]), plain)
        self.options = options
        self.letters = letters_of(options)
        both = self.letters + self.letters.lower()
        self.any_case = f"[{both}]" if both else "(?!)"
        self.upper = f"[{self.letters}]" if both else "(?!)"

    def denied(self, start: int, end: int) -> bool:
        """Whether the letter at this place is one the writer rejects."""
        before, after = self.text[max(0, start - 30) : start], self.text[end : end + 40]
        return bool(_NEGATION.search(before) or _DENIED.match(after))

    def reading(self, found: re.Match[str], rule: str) -> Reading:
        return Reading(found["letter"].upper(), rule, found.span("letter"))


def _tagged(reply: _Reply) -> Reading | None:
    r"""The last \boxed{B}, <answer>B</answer> or {"answer": "B"}."""
    pattern = (
        r"(?:\\boxed\s*\{(?:\\text\s*\{)?|<answer>|<\|begin_of_box\|>|[\"']answer[\"']\s*:\s*)"
        rf"{_OPEN}(?P<letter>{reply.any_case}){_CLOSE}"
    )
    found = list(re.finditer(pattern, reply.text, re.IGNORECASE))
    return reply.reading(found[-1], "tagged") if found else None


def _whole(reply: _Reply) -> Reading | None:
    """Nothing but a letter in any wrapping: "b", "(C)", "**D**.", "选项B"."""
    pattern = rf"[\W_]*(?:(?:option|choice|选项?)\s*)?[\W_]*(?P<letter>{reply.any_case})[\W_]*"
    found = re.fullmatch(pattern, reply.text, re.IGNORECASE)
    return reply.reading(found, "whole") if found else None


_STATED = (
    r"(?:\b(?:final |best |correct |right |my )*(?:answer|option|choice)\b(?: (?:here|would|should|must|to .{1,40}?))?"
    r"\s*(?:is|be|was|are|:|=|-|→)+(?:\s+(?:option|choice|letter|therefore|clearly|most likely|probably))*"
    r"|\b(?:i(?:'d| would| will|'ll)? (?:choose|pick|select|go with|say|answer|think it(?: is|'s)))(?: option| answer)?"
    r"|\b(?:it(?: is|'s)|it must be|that makes it)(?: option)?"
    r"|(?:正确)?(?:答案|选项)(?:应该|应|就)?(?:是|为|选|:|：)+|(?:应该|应|我)?选择?(?:选项)?)"
)


def _stated(reply: _Reply) -> Reading | None:
    """The last "the answer is B" that is not taken back. "not A but C" states C."""
    letter = rf"{_OPEN}(?:option\s+)?{_OPEN}(?P<letter>{reply.upper}){_CLOSE}"
    but = rf"(?:\s*(?:not|不是)\s*{_OPEN}{reply.upper}[\W_]*(?:but|而是)\s*)?"
    best: Reading | None = None
    for found in re.finditer(_STATED + but + letter, reply.text, re.IGNORECASE):
        at = found.span("letter")
        # With IGNORECASE the article "a" would pass for an option: "it is a car".
        if not reply.text[at[0]].isupper() and not reply.text[at[1] : at[1] + 1].strip(" \n,"):
            continue
        tail = reply.text[at[1] : at[1] + 24]
        if reply.text[at[0]] in "AI" and re.match(r" [a-z]", tail) and not re.match(r" (?:and|or|be)", tail):
            continue
        if re.match(rf"\W*(?:or|and|/|或|和)\W*{reply.upper}\b", tail):
            best = None
            continue
        if not _DENIED.match(tail):
            best = reply.reading(found, "stated")
    return best


def _marked(reply: _Reply) -> list[re.Match[str]]:
    """Every letter set off as an option: "(B)", "B)", "B.", "**B**", "Option B"."""
    pattern = (
        rf"(?<![A-Za-z0-9'’])(?:[(\[【](?P<a>{reply.any_case})[)\]】]|\*\*(?P<b>{reply.upper})[.):]?\*\*"
        rf"|(?:[Oo]ption|选项) ?(?P<c>{reply.upper})\b|(?P<d>{reply.any_case})\)|(?P<e>{reply.upper})[.:：、](?=\s|$|[^\sA-Za-z.]))"
    )
    return list(re.finditer(pattern, reply.text))


def _leading(reply: _Reply) -> Reading | None:
    """The reply begins with an option's letter: "B. A car", "C) ...", "D" alone on the first line."""
    pattern = (
        rf"[\s\"'“*_`#>-]*(?:[(\[]?(?P<letter>{reply.any_case})(?:[)\]]|\*\*|[.:：、,，](?=\s|$|[^A-Za-z.])|[ \t]*(?=\n))"
        rf"|[(\[](?P<other>{reply.any_case})\b)"
    )
    found = re.match(pattern, reply.text)
    if not found:
        return None
    group = "letter" if found["letter"] else "other"
    start, end = found.span(group)
    others = {_letter(mark) for mark in _marked(reply) if mark.start() >= found.end()}
    letter = found[group].upper()
    # An enumeration of the options ("A: fishing. B: catching.") begins with a letter and chooses nothing.
    if reply.denied(start, end) or _taken_back(reply, end) or (others - {letter} and "\n" not in reply.text):
        return None
    return Reading(letter, "leading", (start, end))


def _letter(mark: re.Match[str]) -> str:
    return next(group for group in mark.groups() if group).upper()


def _taken_back(reply: _Reply, after: int) -> bool:
    """Whether the writer changes his mind later: "A... no, B"."""
    return bool(
        re.search(
            rf"\b(?:no|wait|actually|sorry|correction)\b[\s,.:—-]+{_OPEN}{reply.upper}\b", reply.text[after:]
        )
    )


def _corrected(reply: _Reply) -> Reading | None:
    """The last letter after a change of mind."""
    pattern = (
        rf"\b(?:no|wait|actually|sorry|correction)\b[\s,.:—-]+(?:it(?: is|'s) |option )?{_OPEN}"
        rf"(?P<letter>{reply.upper}){_CLOSE}(?! [a-z])"
    )
    found = list(re.finditer(pattern, reply.text, re.IGNORECASE))
    found = [each for each in found if each["letter"].isupper()]
    return reply.reading(found[-1], "corrected") if found else None


def _only_one(reply: _Reply) -> Reading | None:
    """Exactly one option is marked anywhere and not rejected: "so I would say (B) because ..."."""
    kept = {}
    for mark in _marked(reply):
        if not reply.denied(*mark.span()):
            kept[_letter(mark)] = mark.span()
    if len(kept) != 1:
        return None
    ((letter, span),) = kept.items()
    return Reading(letter, "only_marked", span)


def _bare(reply: _Reply) -> Reading | None:
    """One free-standing capital that cannot be an article or pronoun: "B it is", "I think B"."""
    kept = {}
    for found in re.finditer(rf"(?<![A-Za-z0-9'’.])(?P<letter>{reply.upper}){_CLOSE}", reply.text):
        followed = re.match(r" [a-z]", reply.text[found.end() :])
        # "A man", "C is cleaning": a letter that a lower-case word follows is a word of the sentence.
        if followed and not re.match(r" (?:it is|because|since|as|based)\b", reply.text[found.end() :]):
            return None
        if not reply.denied(*found.span()):
            kept[found["letter"]] = found
    if len(kept) != 1:
        return None
    return reply.reading(next(iter(kept.values())), "bare")


def _plain(text: str) -> str:
    """Lower case, single spaces, no punctuation or leading "A." of an option: for comparing option texts."""
    text = re.sub(r"^\s*[(\[]?[A-Z][)\].:]\s*", "", text)
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def _option_text(reply: _Reply) -> Reading | None:
    """The reply is an option's text, or names exactly one of the options in full."""
    said = _plain(reply.text)
    plain = [_plain(option) for option in reply.options]
    equal = [i for i, option in enumerate(plain) if option and option == said]
    if not equal and said:
        inside = [
            i for i, option in enumerate(plain) if option and re.search(rf"\b{re.escape(option)}\b", said)
        ]
        # A longer option that contains a shorter one ("red", "dark red") is the one that was meant.
        equal = [i for i in inside if not any(i != j and plain[i] in plain[j] for j in inside)]
    if len(equal) != 1 or _NEGATION.search(said.split(plain[equal[0]])[0][-20:]):
        return None
    return Reading(reply.letters[equal[0]], "option_text", None)


_RULES = (_tagged, _whole, _corrected, _stated, _leading, _only_one, _option_text, _bare)


def careful(text: str, options: Sequence[str]) -> Reading:
    """Read what a person would read, or None: refusals, ambiguity, and error texts are unreadable.

    `options` are the option texts (a leading "A. " in them does not matter). The rules are tried from the most
    explicit to the least; the first that fires decides.
    """
    if _FAILURES.search(text):
        return Reading(None, "failure_text", None)
    reply = _Reply(text, options)
    for rule in _RULES:
        reading = rule(reply)
        if reading is not None:
            return reading
    return Reading(None, "unreadable", None)


RULES: dict[str, Callable[[str, Sequence[str]], Reading]] = {
    "careful": careful,
    "mlvu": official_mlvu,
    "videomme": official_videomme,
}


def read(rule: str, text: str, options: Sequence[str]) -> Reading:
    """Read `text` by the rule of that name; `UserError` lists the names."""
    if rule not in RULES:
        raise UserError(f"unknown reader {rule!r}. Known: {', '.join(sorted(RULES))}")
    return RULES[rule](text, options)


# --- scorers that tasks share -------------------------------------------------------------------------------


def careful_choice(sample: Sample, text: str) -> Score:
    """1 when the option that was read is the right one or has its very text; unreadable is 0."""
    reading = careful(text, sample.choices)
    right = reading.answer is not None and _same_option(sample, reading.answer)
    return Score(float(right), reading.answer, reading.rule, reading.span)


def _same_option(sample: Sample, answer: str) -> bool:
    """Benchmarks have items with the same option twice; whoever picks either is right."""
    letters = letters_of(sample.choices)
    if answer == sample.target or sample.target is None or sample.target not in letters:
        return answer == sample.target
    said, gold = (sample.choices[letters.index(letter)] for letter in (answer, sample.target))
    return _plain(said) == _plain(gold) != ""


def official_choice(rule: str, *, drop_unreadable: bool = False) -> Callable[[Sample, str], Score]:
    """A scorer by an official rule. With `drop_unreadable` the unreadable leave the denominator."""

    def score(sample: Sample, text: str) -> Score:
        reading = read(rule, text, sample.choices)
        if reading.answer is None and drop_unreadable:
            return Score(None, None, rule)
        return Score(float(reading.answer == sample.target), reading.answer, rule)

    return score
