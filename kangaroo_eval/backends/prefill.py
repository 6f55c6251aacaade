"""The beginning of an answer that a task gives, for models whose answer cannot be begun: asked for in words, and cut
from the reply again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from kangaroo_eval.chat import count_or_none

_MARKUP = r"[\s*_`~]"
_NOTHING = "(?!)"
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_THOUGHTS = re.compile(r".*</think(?:ing)?>", re.DOTALL | re.IGNORECASE)
# A few words before the beginning, such as "Answer:" or "Sure!". No bracket: it could be the answer's own.
_LEAD = r"(?:[^()\[\]{}<>]{0,80}?[:!.\n])??" + r"[\s*_`~#>\"'“‘-]*"
# A letter that stands alone where a bracket was to be open: nothing after it, a sign, or the next line.
_LETTER = re.compile(r"([A-Za-z])[*_`~]*(?:[.:,](?=\s|[*_`~]*\Z)|(?=\s*\Z)|(?=[ \t]*\n))")


class Cut(NamedTuple):
    """What follows the beginning of a reply; whether the reply held it, and whether a bracket was closed."""

    text: str
    echoed: bool = False
    closed: bool = False


class Echoes:
    """Cuts the given beginning from replies, and counts how often it had to."""

    def __init__(self) -> None:
        self.cut = 0
        self.closed = 0

    def without(self, text: str, prefill: str | None) -> str:
        """The reply as readers get it; unchanged without a prefill."""
        if not prefill:
            return text
        found = without_prefill(text, prefill)
        self.cut += found.echoed
        self.closed += found.closed
        return found.text

    def facts(self) -> dict[str, int]:
        """The counts, for the run record."""
        return {"cut": self.cut, "brackets_closed": self.closed}

    def take_up(self, stored: object) -> None:
        """Count on from what `facts` gave before; from nothing else than it, from 0."""
        known = stored if isinstance(stored, Mapping) else {}
        self.cut = count_or_none(known.get("cut")) or 0
        self.closed = count_or_none(known.get("brackets_closed")) or 0


def asked_in_words(prompt: str, prefill: str) -> str:
    """The prompt with the request to begin the answer as the task would begin it."""
    return f"{prompt}\nBegin your answer with: {prefill}"


def without_prefill(text: str, prefill: str) -> Cut:
    """What follows the prefill: readers get the text after it, as if the answer had been begun with it.

    A reply may repeat all of it, in other case, with markup or blanks in it, after thoughts or a few words; or only
    signs that it ends in ("(A)" after "Best option:("): left in place they would stand there twice, and official
    rules read "((A)" as no option. What stands before it goes with it. A reply may also leave out the open bracket
    that it ends in ("Best option: B"): the letter after it, where it stands alone, gets the bracket that would then
    have closed it ("B)", also for "B."). A text that does not hold the beginning is not changed.
    """
    thoughts = _THOUGHTS.match(text)
    answer = text[thoughts.end() :] if thoughts else text
    pattern = _pattern(prefill)
    found = pattern.match(answer) if pattern else None
    if found is None:
        return Cut(text)
    rest = answer[found.end() :]
    if found["bare"] is None:
        return Cut(rest, echoed=True)
    rest = re.sub(rf"\A{_MARKUP}+", "", rest)
    closing = _CLOSING.get(prefill.rstrip()[-1])
    letter = _LETTER.match(rest)
    if letter is None or closing is None:
        return Cut(rest, echoed=True)
    return Cut(f"{letter[1]}{closing}{rest[letter.end() :]}", echoed=True, closed=True)


@cache
def _pattern(prefill: str) -> re.Pattern[str] | None:
    """What a reply begins with that repeats the prefill; `bare` where it lacks the last sign. None for a prefill of
    nothing but markup."""
    ending = re.search(r"[\W_]*\Z", prefill)
    assert ending is not None
    words, signs = _spaced(prefill[: ending.start()]), re.sub(_MARKUP, "", ending[0])
    ends = "|".join(_spaced(signs[place:]) for place in range(len(signs)))
    beginnings = "|".join(_spaced(signs[:count]) for count in range(len(signs) - 1, 0, -1))
    bare = f"(?P<bare>{beginnings or _NOTHING})"
    ways = []
    if words:
        after = f"{_MARKUP}*(?:{ends}|{bare})" if signs else rf"(?!\w)(?:{bare})?"
        ways.append(f"{_LEAD}(?:{_MARKUP}*{words}{after})+")
    if signs:
        ways.append(f"{_MARKUP}*(?:{ends})" + ("" if words else f"(?:{bare})?"))
    return re.compile("|".join(ways), re.IGNORECASE) if ways else None


def _spaced(text: str) -> str:
    """A pattern of the text with blanks and markup anywhere in it."""
    return f"{_MARKUP}*".join(re.escape(sign) for sign in re.sub(_MARKUP, "", text))
