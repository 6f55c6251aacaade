"""Replies that go through the options one by one: which of them gets the good verdict."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from kangaroo_eval.careful.options import OptionSet

MOST = 80
"""Lines and sentences that are looked at: no list of options goes on for longer."""


class Unit(NamedTuple):
    """One option and what is said of it: where the label and what follows it stand."""

    option: int
    start: int
    label_end: int
    end: int


_BULLET = (
    r"[ \t]*(?:[-*•>|+]+[ \t]*|\d{1,2}[.)][ \t]*|(?:✓|✔|✅|☑|✗|✘|❌|❎|×)\s*)*(?:\[(?P<box>[ xX✓✔])\][ \t]*)?"
)
_MARK_IN_FRONT = re.compile(
    r"[ \t]*(?:[-*•>|+]+[ \t]*|\d{1,2}[.)][ \t]*)*(?:(?P<good>✓|✔|✅|☑|\[[xX✓✔]\])|(?P<bad>✗|✘|❌|❎|×|\[ \]))"
)
_LETTER = r"(?:(?:is it|could it be|what about|how about)\s+)?(?:(?:option|choice|caption|statement|选项|answer|description|summary)\s*)?(?:[(\[\"'](?P<a>[A-Za-z])[)\]\"'][.:]?|(?P<b>[A-Z])[ ]?[.):|](?=\s|[^\x00-\x7f]|$)|(?P<c>[A-Z])(?=\s*(?:[:–=|→?✓✔✅❌✗✘]|-[ >]|->|\s(?:is|says|claims|describes|was|can|does|doesn't|shows|would|seems|isn't|has|mentions|states|speaks)\b|\?|是|不|错|正|选项|项)))"
_LABEL = re.compile(_BULLET + _LETTER)
_SENTENCE = re.compile(r"(?:^|(?<=[.!?;:,)])\s+|\n+)")
_AFTER_TEXT = re.compile(r"[\s\"'*]*(?:[.:?(–|→=✓✔✅❌✗✘×]|- |->|$|\n)")
_AFTER_TEXT_LOOSE = re.compile(
    r"[\s\"'*]*(?:[:?(–|→=✓✔✅❌✗✘×]|- |->|(?:no|yes|is|was|would|can)\b)", re.IGNORECASE
)
_GOOD_WORD = r"(?:yes|correct|true|right|supported|accurate|matches|match|fits|applicable|plausible and shown|confirmed|best (?:fit|match|answer|option)|the (?:correct|right|best) (?:answer|option|one|choice)|✓|✔|✅|☑|👍|正确|对|符合|是|정답|正しい|oui|sí|ja)"
_BAD_WORD = r"(?:(?:does|do|is|are|did|was|can)(?:n't| not)(?: \w+)?|no|not|wrong|incorrect|false|nope|never|unsupported|inaccurate|ruled out|eliminated|excluded|impossible|contradicted|out|✗|✘|❌|❎|×|👎|错误|错|不对|不正确|不符合|否|不是|不|오답|誤り|non|nein|nicht)"
_VERDICT = re.compile(
    rf"\W*(?:(?:this is|this|that's|that is|it is|it's|is|was|also|clearly|definitely|so|hence|therefore|→|->)\s+)*(?:(?P<bad>{_BAD_WORD})|(?P<good>{_GOOD_WORD}))(?![\w'])(?!\s+(?:of|one|on|hand|side|sure) )",
    re.IGNORECASE,
)
_WHOLE_VERDICT = re.compile(rf"\W*(?:{_BAD_WORD}|{_GOOD_WORD}|not correct|not right)\W*", re.IGNORECASE)
_VERDICT_HAN = re.compile(r"^\W*(?:(?P<bad>错|不|否|没有|没|誤|틀)|(?P<good>正确|对|符合|正しい|맞|是))")
_GOOD_ANYWHERE = re.compile(
    r"✓|✔|✅|☑|(?<!not )(?<!n't )(?<!in)\b(?:this (?:is|one is|option is|one)? ?(?:correct|right|true|fits|matches|what)|(?:fits|matches|corresponds to|agrees with|describes|is what)(?! (?:only|neither|no))\b|is (?:correct|right|true|supported|confirmed|the (?:correct|best|right))|-> applicable|supported by)|(?<!不)符合|(?<!不)正确|与视频一致",
    re.IGNORECASE,
)
_BAD_ANYWHERE = re.compile(
    r"✗|✘|❌|❎|×|\b(?:no|not|never|nothing|nobody|none|neither|nor|without|wrong|incorrect|false|unlikely|contradicts?|cannot|lacks?|fails?|impossible|unsupported|irrelevant|absent|missing|instead|rather)\b|n't\b|不|没|错|无",
    re.IGNORECASE,
)
_NEUTRAL = re.compile(
    r"\b(?:possible|possibly|could be|might be|maybe|may be|plausible|perhaps|unclear)\b|可能", re.IGNORECASE
)
_CONCLUDES = re.compile(
    r"\n\s*\n|(?:\n|(?<=[.!?;] )|(?<=, ))[\W_]*(?:so|thus|hence|therefore|overall|in conclusion|conclusion|the (?:correct|best|right|final)? ?(?:answer|option|choice)|(?:final |correct |best )?answer|based on|by elimination|我|所以|因此|故|答案|综上)\b",
    re.IGNORECASE,
)


def units(text: str, options: OptionSet) -> list[Unit]:
    """The parts of a reply that each speak of one option, by lines or else by sentences; fewer than two are none."""
    by_line = _labelled(text, options, [0, *(found.end() for found in re.finditer(r"\n", text))], True)
    if len({unit[0] for unit in by_line}) >= 2:
        return _closed(text, by_line)
    by_sentence = _labelled(text, options, [found.end() for found in _SENTENCE.finditer(text)], False)
    return _closed(text, by_sentence) if len({unit[0] for unit in by_sentence}) >= 2 else []


def _labelled(text: str, options: OptionSet, starts: list[int], lines: bool) -> list[tuple[int, int, int]]:
    texts = _text_pattern(tuple(options.plain))
    found: list[tuple[int, int, int]] = []
    for start in starts[:MOST]:
        match = _LABEL.match(text, start)
        name = match and (match["a"] or match["b"] or match["c"])
        if match and match["c"] and name in options.subjects and re.match(r"\s+[a-z]", text[match.end() :]):
            match = None
        if match and name and name.upper() in options.letters:
            option = options.letters.index(name.upper())
            found.append((option, start, _past_own_text(text, match.end(), option, options)))
            continue
        said = texts.match(text, start) if texts else None
        if said and (_AFTER_TEXT if lines else _AFTER_TEXT_LOOSE).match(text, said.end()):
            own = " ".join(re.sub(r"[^\w\s]", " ", said["said"].lower()).split())
            # Signs that differ only for Python ("µ" and "μ") match without being the same.
            if own in options.plain:
                found.append((options.plain.index(own), start, said.end()))
    return found


@lru_cache(maxsize=512)
def _text_pattern(plain: tuple[str, ...]) -> re.Pattern[str] | None:
    texts = sorted((text for text in plain if text), key=len, reverse=True)
    if not texts:
        return None
    body = "|".join(r"\W{1,3}".join(map(re.escape, text.split())) for text in texts)
    return re.compile(_BULLET + rf"[\"'(]?(?P<said>{body})(?!\w)", re.IGNORECASE)


def _past_own_text(text: str, at: int, option: int, options: OptionSet) -> int:
    words = options.plain[option].split()
    if not words:
        return at
    own = re.compile(r"\W{0,6}" + r"\W{1,3}".join(map(re.escape, words)) + r"(?!\w)", re.IGNORECASE)
    found = own.match(text, at)
    return found.end() if found else at


def _closed(text: str, found: list[tuple[int, int, int]]) -> list[Unit]:
    """Every unit ends where the next begins; the last where the paragraph ends or a conclusion is drawn."""
    made = []
    for i, (option, start, label_end) in enumerate(found):
        end = found[i + 1][1] if i + 1 < len(found) else len(text)
        stop = _CONCLUDES.search(text, label_end, end)
        made.append(Unit(option, start, label_end, stop.start() if stop else end))
    return made


_INLINE = re.compile(r"[\W_]*(?:(?:and|or)\b[\W_]*)?")


def without_listing(text: str, options: OptionSet) -> str:
    """The text without "A. first option B. second option": repeating the question chooses nothing."""
    found: list[tuple[int, int, int]] = []
    for option, (letter, own) in enumerate(zip(options.letters, options.plain, strict=False)):
        if own and letter in text:
            words = r"\W{1,3}".join(map(re.escape, own.split()))
            pattern = re.compile(rf"(?<![A-Za-z0-9]){letter}\W{{1,4}}{words}(?![A-Za-z0-9])", re.IGNORECASE)
            found.extend((match.start(), match.end(), option) for match in pattern.finditer(text))
    found.sort()
    listed: set[tuple[int, int]] = set()
    for (a, b, i), (c, d, j) in pairwise(found):
        if i != j and b <= c and _INLINE.fullmatch(text, b, c):
            listed |= {(a, b), (c, d)}
    for a, b in listed:
        text = text[:a] + " " * (b - a) + text[b:]
    return text


def verdict(text: str, unit: Unit) -> int:
    """1 where the option is found right, -1 where wrong, 0 where neither is said."""
    mark = _MARK_IN_FRONT.match(text, unit.start, unit.label_end)
    if mark:
        return 1 if mark["good"] else -1
    rest = text[unit.label_end : unit.end]
    parts = [
        part
        for part in re.split(
            r"[|.;:!?\n–→]|\s-\s|->|,(?=[^\x00-\x7f])|, (?=(?:so|hence|therefore|which|this|that)\b)", rest
        )
        if part.strip()
    ]
    whole = [part for part in reversed(parts) if _WHOLE_VERDICT.fullmatch(part)]
    for part in [*whole[:1], *parts[:1], *reversed(parts[1:])]:
        found = _VERDICT.match(part.strip(" \"'()[]*:,")) or _VERDICT_HAN.match(part.strip(" \"'()[]*:,"))
        if found:
            return 1 if found["good"] else -1
    for part in re.findall(r"\(([^()]{1,80})\)", rest):
        found = _VERDICT.match(part)
        if found:
            return 1 if found["good"] else -1
    if _NEUTRAL.search(rest):
        return 0
    if _GOOD_ANYWHERE.search(rest):
        return 1
    last = re.search(r"[\s,]" + rf"(?:(?P<bad>{_BAD_WORD})|(?P<good>{_GOOD_WORD}))\W*$", rest, re.IGNORECASE)
    if last:
        return 1 if last["good"] else -1
    return -1 if _BAD_ANYWHERE.search(rest) else 0


def chosen_by_verdict(text: str, made: list[Unit], count: int) -> int | None:
    """The only option found right, or the only one not found wrong."""
    verdicts: dict[int, int] = {}
    for unit in made:
        said = verdict(text, unit)
        if said or unit.option not in verdicts:
            verdicts[unit.option] = said
    right = [option for option, said in verdicts.items() if said > 0]
    if len(right) == 1:
        return right[0]
    left = [option for option in range(count) if verdicts.get(option, 0) >= 0]
    if not right and len(left) == 1 and count > 1:
        return left[0]
    return None
