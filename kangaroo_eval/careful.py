"""The careful reader of multiple-choice answers: what a person would read, or nothing.

Every rule looks for one way in which people and models state a choice, from the most explicit to the least; the
first that fires decides. A letter that the writer rejects is no choice, an article or a name ("A man", "Vitamin
C") is no letter, and refusals, enumerations and error texts are unreadable.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Reading(NamedTuple):
    """What a rule read: `answer` is a letter or None (unreadable), `rule` what fired, `span` where."""

    answer: str | None
    rule: str
    span: tuple[int, int] | None


def letters_of(options: Sequence[str]) -> str:
    """The letters A, B, ... of these options."""
    return string.ascii_uppercase[: len(options)]


_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FAILURES = re.compile(
    r"LMMS_EVAL_(?:REQUEST_FAILED|BUDGET_EXCEEDED)|failed to obtain answer|can not load, check the source"
    r"|out of memory|traceback \(most recent|internal server error|rate limit exceeded|content filtered"
    r"|^\W*(?:error|\w*error|exception|http)\b(?! (?:in|of) the video)[\s\]:\d]",
    re.IGNORECASE,
)
_THINK = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.IGNORECASE | re.DOTALL)
_SPECIAL = re.compile(r"<\|[^|<>]*\|>|</?s>|<eos>")
# What a model writes when it goes on after its answer: the next question, asked and answered by itself.
_ANSWERED_FIRST = re.compile(
    r"\W*(?:answer\W*)?[A-Z](?:[)\].:,][^\n]*|[^\S\n]*)\n\W*(?:question|best option|user|human|instruction)\b",
    re.IGNORECASE,
)
# Letters that are no choice: "N/A", initials, and what things are called.
_NAMED = re.compile(
    r"\bN/A\b|\b(?:[A-Z]\.){2,}"
    r"|\b(?:vitamin|plan|group|team|position|point|grade|section|level|type|category|room|player|file|block|class"
    r"|part|step|figure|line|word|sign|hepatitis|mr|mrs|ms|dr|prof)\.? ['\"]?[A-Z](?![A-Za-z'])\.?(?= \S|['\"]|\.?$)",
    re.IGNORECASE,
)
_OPEN = r"[\s\"'“‘`*_(\[{<【「《$:：\\]*"
_CLOSE = r"(?![A-Za-z0-9])(?!['’][A-Za-z])"
_REJECT = r"(?:wrong|incorrect|false|ruled out|eliminated|not|n't|impossible|错误?|不对|不正确)"
_VERDICT = (
    r"(?:the |a |our |my |also |most |more |clearly |definitely |probably |likely )*"
    r"(?:correct|right|answer|best|likely|true|accurate|consistent|the one|remains|正确|对的)"
)
_IS = r"(?:is|was|are|seems?|looks?|appears?|must|would|will|has to|should)(?: to)?(?: be)?"
_NEGATION = re.compile(
    r"(?:\b(?:not|isn't|aren't|cannot be|can't be|rather than|instead of|rules? out|ruled out|eliminated?|excluded?"
    r"|except(?: for)?|anything but|neither|nor|never)\b"
    r"|n't\b(?: be| choose| pick| select)?|不是|不选|并非|排除)"
    r"[\s\"'*(\[]*(?:(?:the )?(?:options?|choices?|answer|letter)\s*)?[\s\"'*(\[]*"
    r"(?:[A-Z]\W*(?:,|and|or|nor)?\W*)*$",
    re.IGNORECASE,
)
_DENIED = re.compile(
    rf"^[\s\"'*)\]]*(?:\W*(?:,|and|or|和|、)\W*[A-Z]\b)*[\s\"'*)\]]{{0,3}}"
    rf"(?:(?!because|since|as\b|and\b|but\b|so\b)\w+ ){{0,3}}?(?:{_IS} ?)?(?:都|选项)?(?:\w+ )?{_REJECT}",
    re.IGNORECASE,
)
_LIST = re.compile(
    r"(?<![A-Za-z0-9])[(\[]?[A-Z][)\]]?(?:(?:\s*(?:,|/|、|\bor\b|\band\b|或|和)\s*)+[(\[]?[A-Z][)\]]?(?![A-Za-z0-9]))+"
)


class _Reply:
    """A reply made ready for reading: what cannot be an answer is blanked, and every place is kept, so that
    spans stay true."""

    def __init__(self, text: str, options: Sequence[str]) -> None:
        text = text.translate(_FULL_WIDTH)
        self.names = bool(_NAMED.search(text))
        for blank in (_THINK, _SPECIAL, _NAMED):
            text = blank.sub(lambda found: " " * len(found[0]), text)
        if _ANSWERED_FIRST.match(text):
            text = text[: text.index("\n", len(text) - len(text.lstrip()))]
        self.options = options
        self.letters = letters_of(options)
        self.text = self._without_enumeration(text)
        both = self.letters + self.letters.lower()
        self.any_case = f"[{both}]" if both else "(?!)"
        self.upper = f"[{self.letters}]" if both else "(?!)"

    def _without_enumeration(self, text: str) -> str:
        """The text with "A. first option B. second option" blanked: repeating the question chooses nothing."""
        found = []
        for letter, option in zip(self.letters, self.options, strict=True):
            words = r"\W+".join(map(re.escape, _plain(option).split()))
            if words:
                found.append(
                    list(re.finditer(rf"(?<!\w){letter}\W{{1,4}}{words}(?!\w)", text, re.IGNORECASE))
                )
        if sum(map(bool, found)) < 2:
            return text
        for match in (each for group in found for each in group):
            text = text[: match.start()] + " " * len(match[0]) + text[match.end() :]
        return text

    def denied(self, start: int, end: int) -> bool:
        """Whether the letter at this place is one that the writer rejects."""
        before, after = self.text[max(0, start - 48) : start], self.text[end : end + 48]
        before = re.split(r"[.;!?\n。；]|(?<!(?i:anything)) but |, (?:it|so) ", before)[-1]
        return bool(_NEGATION.search(before) or _DENIED.match(re.split(r"[.;!?\n。；]", after)[0]))

    def listed(self, start: int, end: int) -> bool:
        """Whether the letter stands in a list of several ("A or B"): no choice among them is made there."""
        return any(found.start() <= start < found.end() for found in _LIST.finditer(self.text))

    def free(self, start: int, end: int) -> bool:
        return not self.denied(start, end) and not self.listed(start, end)


def _read(found: re.Match[str], rule: str) -> Reading:
    return Reading(found["letter"].upper(), rule, found.span("letter"))


def _tagged(reply: _Reply) -> Reading | None:
    r"""The last \boxed{B}, <answer>B</answer> or {"answer": "B"}."""
    pattern = (
        r"(?:\\boxed\s*\{(?:\\text\s*\{)?|<answer>|<\|begin_of_box\|>|[\"']answer[\"']\s*:\s*)"
        rf"{_OPEN}(?P<letter>{reply.any_case}){_CLOSE}"
    )
    found = list(re.finditer(pattern, reply.text, re.IGNORECASE))
    return _read(found[-1], "tagged") if found else None


_WHOLE = (
    r"(?:(?:the|my|so|thus|hence|final|correct|best|right|yes|no|sure|ok|okay|assistant|response|choose|pick|select"
    r"|definitely|probably|maybe|it(?:'s| is)|i(?:'m| am)?|think|guess|say|not sure|answer|ans|option|choice|letter"
    r"|must be|go with|\d\.|选项?|答案|应该|我|认为|是|为)\b\s*[\W_]*)*"
)


def _whole(reply: _Reply) -> Reading | None:
    """Nothing but a letter in any wrapping, perhaps repeated: "b", "(C)", "**D**.", "Option B", "Probably B"."""
    body = rf"(?P<letter>{reply.any_case})(?:[\W_]+(?P=letter))*"
    tail = r"[\W_]*(?:it is|probably|i think|i guess|likely|definitely)?[\W_]*"
    found = re.fullmatch(rf"[\W_]*{_WHOLE}[\W_]*{body}{tail}", reply.text, re.IGNORECASE)
    if not found or reply.denied(*found.span("letter")):
        return None
    lead = reply.text[: found.start("letter")].strip().lower()
    # "it is a" and "I": in lower case the letter may be an article, and "I" a pronoun.
    if found["letter"] in "ai" and lead[-1:].isalpha():
        return None
    return _read(found, "whole")


_CHANGE = r"\b(?:no|wait|actually|sorry|correction|rather)\b"


def _corrected(reply: _Reply) -> Reading | None:
    """The last letter after a change of mind: "A... no, B", "B? No, C"."""
    pattern = (
        rf"(?<![A-Za-z]){reply.any_case}\b[^A-Za-z0-9]{{1,6}}(?:{_CHANGE}[\s,.:;—-]+)+(?:it(?: is|'s) |option )?{_OPEN}"
        rf"(?P<letter>{reply.upper}){_CLOSE}(?! [a-z])"
    )
    found = [each for each in re.finditer(pattern, reply.text, re.IGNORECASE) if each["letter"].isupper()]
    found = [each for each in found if reply.free(*each.span("letter"))]
    return _read(found[-1], "corrected") if found else None


_STATED = (
    r"(?:(?<!each )(?<!every )\b(?:final |best |correct |right |most likely |my )*(?:answer|ans|option|choice|pick|respuesta\w*|réponse|antwort)\b"
    r"(?:\s(?:here|to [^.\n]{1,40}|correcta?))?(?:,[^,.\n]{1,40},)?"
    r"\s*(?:\*\*)?\s*(?:(?:is|be|was|are|es|est|ist|would|should|must|has to|will|likely|probably|most|clearly)\b\s*"
    r"|[:=→-]+\s*)+(?:\*\*\s*)?(?:(?:option|choice|letter|therefore|clearly|most likely|probably|likely)\s+)*"
    r"|\b(?:i(?:'d| would| will|'ll|'m| am)? (?:choose|choosing|pick|select|go with|going with|say|answer|guess|think|believe)"
    r"(?: it(?: is|'s)?)?)(?: option| answer)?\s"
    r"|\b(?:it(?: is|'s)|it must be|that makes it|that would be|corresponds to|matches|correct:|response:|assistant:|(?:choose|pick|select)\b|so|thus|therefore|hence)[,:]?(?: option)?\s"
    r"|(?:=>|→|ответ:|答えは|정답은)\s*"
    r"|(?:正确)?(?:答案|选项|回答)(?:应该|应|就)?(?:是|为|选|:)+|(?:应该|应|所以|我)选择?(?:选项)?|(?<!不)选择?(?:选项)?|我认为是)"
)


def _stated(reply: _Reply) -> Reading | None:
    """The last "the answer is B" that is not taken back. "not A but C" states C."""
    pattern = rf"{_STATED}{_OPEN}(?:option\s+)?{_OPEN}(?P<letter>{reply.any_case}){_CLOSE}"
    best: Reading | None = None
    for found in re.finditer(pattern, reply.text, re.IGNORECASE):
        start, end = found.span("letter")
        tail = reply.text[end : end + 24]
        if reply.text[start].islower():
            # "it is a car": in lower case only where nothing follows that an article could belong to.
            if re.match(r"[^\S\n]*[A-Za-z]", tail) or not re.search(r"[:=]|\bis\b|\bbe\b", found[0]):
                continue
        elif _is_word(reply, start, tail):
            continue
        if reply.listed(start, end):
            best = None
        elif not reply.denied(start, end) and not re.match(r"\W*\?", tail):
            best = _read(found, "stated")
    return best


def _is_word(reply: _Reply, start: int, tail: str) -> bool:
    """Whether the capital is a word of the sentence: "A man", "C is cleaning", "I think"; but "B is correct",
    "B because", and "A red car" where that is option A."""
    if not re.match(r" [a-z]", tail):
        return False
    option = (
        reply.options[reply.letters.index(reply.text[start])] if reply.text[start] in reply.letters else ""
    )
    rest = _plain(reply.text[start + 1 :])
    if _plain(option) and rest.startswith(_plain(option).removeprefix("a ")):
        return reply.text[start] == "A" and not _plain(option).startswith("a ")
    return not re.match(
        rf" (?:{_IS}(?: \w+){{0,2}}? ?{_VERDICT}|because|since|as\b|based|it is|and not|over|but|remains)",
        tail,
    )


def _but(reply: _Reply) -> Reading | None:
    """ "Not A, but B", "不是A,是B", "it's not B, it's C"."""
    link = r"(?:but|it(?:'s| is)|而是|而|是)(?: rather)?"
    pattern = (
        rf"(?:\bnot|n't|不是)\s*{_OPEN}{reply.upper}\b[\W_]*{link}\s*{_OPEN}(?P<letter>{reply.upper}){_CLOSE}"
    )
    found = [each for each in re.finditer(pattern, reply.text, re.IGNORECASE) if each["letter"].isupper()]
    return _read(found[-1], "not_but") if found else None


def _judged(reply: _Reply) -> Reading | None:
    """ "B is correct", "B seems most likely", "B是正确答案": the last letter of which that is said."""
    pattern = (
        rf"(?<![A-Za-z0-9'’])(?P<letter>{reply.upper})[)\]\"'*]*(?:选项)?"
        rf"(?:\s(?:{_IS}) (?:\w+ ){{0,2}}?{_VERDICT}|\s(?:remains|it is)\b|(?:选项)?(?:是|为)?(?:正确|对的)|입니다|です)"
    )
    found = [each for each in re.finditer(pattern, reply.text) if reply.free(*each.span("letter"))]
    letters = {each["letter"] for each in found}
    return _read(found[-1], "judged") if len(letters) == 1 else None


def _marked(reply: _Reply) -> Iterator[tuple[str, int, int]]:
    """Every letter set off as an option, with its span: "(B)", "B)", "B.", "**B**", "Option B"."""
    pattern = (
        rf"(?<![A-Za-z0-9'’])(?:[(\[【](?P<a>{reply.any_case})[)\]】]|\*\*(?P<b>{reply.upper})[.):]?\*\*"
        rf"|(?:[Oo]ption|选项) ?(?P<c>{reply.upper})\b|(?P<d>{reply.any_case})\)"
        rf"|(?<![a-z] )(?P<e>{reply.upper})[.:：、](?=\s|$|[^\sA-Za-z.]))"
    )
    for found in re.finditer(pattern, reply.text):
        group = next(name for name, value in found.groupdict().items() if value)
        yield found[group].upper(), *found.span(group)


def _leading(reply: _Reply) -> Reading | None:
    """The reply begins with an option's letter: "B. A car", "C) ...", "B, because", "D" alone on the first line."""
    head = r"[\s\"'“*_`#>-]*(?:(?:answer|assistant|\d\.)[\s:*]*)?"
    end = r"(?:[)\]]|\*\*|[.:：、,，](?=\s|$|[^\s.])| - |[ \t]*(?=\n)|\s(?=because|since|but not|and not))"
    found = re.match(
        rf"{head}(?:[(\[]?(?P<letter>{reply.any_case}){end}|[(\[](?P<other>{reply.any_case})\b)",
        reply.text,
        re.IGNORECASE,
    )
    if not found:
        return _echoed(reply)
    group = "letter" if found["letter"] else "other"
    start, stop = found.span(group)
    letter = found[group].upper()
    rest = reply.text[found.end() :]
    if not reply.free(start, stop) or re.match(r"\W*\?", reply.text[stop:]):
        return None
    # An enumeration of the options ("A: fishing. B: catching.") begins with a letter and chooses nothing.
    others = {each for each, at, to in _marked(reply) if at >= found.end() and not reply.denied(at, to)} - {
        letter
    }
    if others and (
        "\n" not in rest or re.search(r"\n\W*(?:best |final )?(?:answer|option)", rest, re.IGNORECASE)
    ):
        return None
    # "A: The video shows a dog": a speaker or an answer's heading, not the option, unless the option follows.
    said, option = _plain(rest), _plain(reply.options[reply.letters.index(letter)])
    if (
        reply.text[stop : stop + 1] in ":："
        and letter == "A"
        and not (said.startswith(option[:12]) or not said)
    ):
        return None
    return Reading(letter, "leading", (start, stop))


def _echoed(reply: _Reply) -> Reading | None:
    """The letter and its option's text without anything between: "B A blue bicycle"."""
    found = re.match(rf"\W*(?P<letter>{reply.upper})[\s.]+(?P<said>\S.*)", reply.text)
    if not found:
        return None
    option = _plain(reply.options[reply.letters.index(found["letter"])])
    same = option and _plain(found["said"]).removeprefix("a ") in (option, option.removeprefix("a "))
    return _read(found, "leading") if same else None


def _only_marked(reply: _Reply) -> Reading | None:
    """Exactly one option is marked anywhere and not rejected: "so I would say (B) because ..."."""
    kept = {}
    for letter, start, end in _marked(reply):
        if reply.listed(start, end):
            return None
        if not reply.denied(start, end):
            kept[letter] = (start, end)
    if len(kept) != 1:
        return None
    ((letter, span),) = kept.items()
    # "A: The video shows a dog" is a heading.
    if letter == "A" and reply.text[span[1] : span[1] + 1] in ":：":
        return None
    if _UNSURE.search(reply.text):
        return None
    return Reading(letter, "only_marked", span)


_UNSURE = re.compile(
    r"\b(?:i (?:do not|don't) know|cannot|can't|unable|unknown|sorry)\b|无法|不知道", re.IGNORECASE
)


def _bare(reply: _Reply) -> Reading | None:
    """One free-standing capital at the end of a clause, or before a reason: "B because", "I think B"."""
    kept = {}
    for found in re.finditer(rf"(?<![A-Za-z0-9'’./])(?P<letter>{reply.upper}){_CLOSE}(?![/:：])", reply.text):
        if _is_word(reply, found.start(), reply.text[found.end() : found.end() + 48]):
            return None
        if reply.denied(*found.span()):
            continue
        if reply.listed(*found.span()):
            return None
        kept[found["letter"]] = found
    if len(kept) != 1 or reply.names or _UNSURE.search(reply.text):
        return None
    return _read(next(iter(kept.values())), "bare")


def _plain(text: str) -> str:
    """Lower case, single spaces, no punctuation or leading "A." of an option: for comparing option texts."""
    text = re.sub(r"^\s*[(\[]?[A-Z][)\].:]\s*", "", text)
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())


def plain(text: str) -> str:
    """An option's text for comparison: lower case, no punctuation, no leading letter."""
    return _plain(text)


def _option_text(reply: _Reply) -> Reading | None:
    """The reply is an option's text, or names exactly one of the options in full and rejects it nowhere."""
    said = _plain(reply.text)
    options = [_plain(option) for option in reply.options]
    equal = [i for i, option in enumerate(options) if option and option == said]
    if not equal and said:
        inside = [
            i for i, option in enumerate(options) if option and re.search(rf"\b{re.escape(option)}\b", said)
        ]
        # A longer option that contains a shorter one ("red", "dark red") is the one that was meant.
        inside = [i for i in inside if not any(i != j and options[i] in options[j] for j in inside)]
        equal = [i for i in inside if not _rejects(said, options[i])]
        if len({letter for letter, _, _ in _marked(reply)}) > 1:
            return None
    if len(equal) != 1:
        return None
    return Reading(reply.letters[equal[0]], "option_text", None)


def _rejects(said: str, option: str) -> bool:
    before = said.split(option)[0][-24:]
    return bool(re.search(r"\b(?:not|no|isn t|aren t|never|without|neither|nor)\b(?: \w+){0,2} ?$", before))


_READERS = (_tagged, _whole, _corrected, _but, _stated, _judged, _leading, _only_marked, _option_text, _bare)


def careful(text: str, options: Sequence[str]) -> Reading:
    """Read what a person would read, or None: refusals, ambiguity, and error texts are unreadable.

    `options` are the option texts (a leading "A. " in them does not matter). The span points into `text`.
    """
    if _FAILURES.search(text):
        return Reading(None, "failure_text", None)
    reply = _Reply(text, options)
    for reader in _READERS:
        reading = reader(reply)
        if reading is not None:
            return reading
    return Reading(None, "unreadable", None)
