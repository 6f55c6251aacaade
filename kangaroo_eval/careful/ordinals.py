"""Ordinals and numbers that name an option by its place: "the second one", "option 3"."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from kangaroo_eval.careful.mentions import MOST, Mention
from kangaroo_eval.careful.options import OptionSet
from kangaroo_eval.careful.text import may_have
from kangaroo_eval.careful.words import words

_NTH = words("first second third fourth fifth sixth seventh eighth ninth tenth")
_NUMBER_WORDS = words("one two three four five six seven eight nine ten")
_THINGS = r"(?:options?|choices?|answers?|captions?|statements?|summar(?:y|ies)|descriptions?|orders?|sequences?|alternatives?|candidates?|possibilit(?:y|ies)|one|sentence|caption)"
_ORDINAL = re.compile(
    rf"\b(?P<nth>{'|'.join(_NTH)}|\d{{1,2}}(?:st|nd|rd|th)|last|final|latter|former)\b(?:(?: of the)?(?: \w+)? (?P<thing>{_THINGS}))?\b"
    rf"|\b(?P<what>options?|choices?|captions?|statements?|summary|description|answer|number|no\.?|opci[oó]n|opção|вариант|antwort)\s*(?:is )?(?:number|no\.?|nr\.?)?\s*[#(]?(?P<n>\d{{1,2}}|{'|'.join(_NUMBER_WORDS)})\b(?![.:]\d| (?!is\b|was\b|has\b|fits|matches|describes|seems|looks|remains)[a-z]+s\b)"
    r"|(?:选项|選項|答案)\s*(?P<cn>[一二三四五六七八九\d])(?!\d)|第(?P<dn>[一二三四五六七八九\d])(?:个|項|项|個)?(?:选项|選項|答案)?|(?P<end>最后一?个?(?:选项|答案))"
    r"|(?:(?P<es>prim[eo]\w*|segund\w+|tercer\w*|terceir\w+|cuart\w+|quart\w+|premi[eè]re?|deuxi[eè]me|seconde?|troisi[eè]me|quatri[eè]me|erste\w?|zweite\w?|dritte\w?|vierte\w?|prim[oa]|second[oa]|terz[oa]|перв\w+|втор\w+|трет\w+|четв\w+) (?:opci[oó]n|respuesta|alternativa|option|réponse|antwort|opç[ãa]o|resposta|opzione|risposta|вариант\w*|ответ))"
    r"|(?P<jn>[一二三四五\d])番目の(?:選択肢|もの|答え)|(?P<ko>\d)번(?=[ 이입을]|$)|(?P<jp>\d)番(?:目)?",
    re.IGNORECASE,
)
_HAN_DIGITS = dict(zip("一二三四五六七八九", range(1, 10), strict=True))


def ordinals(text: str, options: OptionSet) -> Iterator[Mention]:
    if not (may_have(text, _HINTS) or _DIGIT.search(text)):
        return
    for found in islice(_ORDINAL.finditer(text), MOST):
        place = _place(found, text, options)
        if place is None:
            continue
        letter = options.letters[place - 1] if 0 < place <= len(options.letters) else "?"
        yield Mention(letter, *found.span(), *found.span(), "word")


_HINTS = (
    *(
        "first",
        "second",
        "third",
        "fourth",
        "fifth",
        "sixth",
        "seventh",
        "eighth",
        "ninth",
        "tenth",
        "last",
        "final",
    ),
    *(
        "latter",
        "former",
        "option",
        "choice",
        "number",
        "caption",
        "statement",
        "summary",
        "description",
        "answer no",
    ),
    *("answer number", "no.", "opci", "opz", "antwort", "respuesta", "resposta", "risposta"),
)
_DIGIT = re.compile(r"\d")


_FOREIGN = (
    *((start, 1) for start in ("prim", "premi", "erst", "перв")),
    *((start, 2) for start in ("segund", "deuxi", "second", "zweit", "втор")),
    *((start, 3) for start in ("terce", "troisi", "dritt", "terz", "трет")),
    *((start, 4) for start in ("cuart", "quart", "quatri", "viert", "четв")),
)


def _place(found: re.Match[str], text: str, options: OptionSet) -> int | None:
    """Which place in the list an ordinal means; None when it counts something else."""
    numeric = all(any(stem.isdigit() for stem in raw) for raw in options.raw)
    if found["es"]:
        return next((i for start, i in _FOREIGN if found["es"].lower().startswith(start)), None)
    digit = found["jn"] or found["cn"] or found["dn"] or found["ko"] or found["jp"]
    if digit:
        counts = found["dn"] and "项" not in found[0] and "答" not in found[0] and not _alone(found, text)
        return None if numeric or counts else _HAN_DIGITS.get(digit) or int(digit)
    if found["end"]:
        return len(options.letters)
    if found["n"]:
        return _numbered(found, text, options, numeric)
    return _nth(found, text, options)


def _nth(found: re.Match[str], text: str, options: OptionSet) -> int | None:
    """ "The second option", "the last one", "the latter"."""
    nth, thing = found["nth"].lower(), (found["thing"] or "").lower()
    explicit = thing not in ("", "one", "answer") and not re.search(
        thing.rstrip("s"), " ".join(options.plain)
    )
    if not explicit and (any("#" in stem for stem in options.vocabulary) or nth in options.vocabulary):
        return None
    if nth in ("latter", "former"):
        return None if len(options.letters) != 2 else 1 + (nth == "latter")
    if nth == "final" and thing in ("answer", "choice", "answers", "one", ""):
        return None
    own = re.search(r"\b(?:my|initial)\s+$", text[max(0, found.start() - 10) : found.start()], re.IGNORECASE)
    if own or re.match(r"\s+(?:before|but)", text[found.end() : found.end() + 8]):
        return None
    vague = thing in ("", "one", "answer")
    if vague and not (thing and _pointed(found, text)) and not _alone(found, text):
        return None
    if nth in ("last", "final"):
        return len(options.letters)
    return _NTH.index(nth) + 1 if nth in _NTH else int(re.sub(r"\D", "", nth))


def _numbered(found: re.Match[str], text: str, options: OptionSet, numeric: bool) -> int | None:
    n, what = found["n"].lower(), found["what"].lower()
    number = int(n) if n.isdigit() else _NUMBER_WORDS.index(n) + 1
    if what.startswith(("answer", "antwort", "number", "no")) and (numeric or not _alone(found, text)):
        return None
    return None if numeric and str(number) in options.vocabulary else number


def _alone(found: re.Match[str], text: str) -> bool:
    """Whether the ordinal is all there is, or all of its clause ("the second one.", "Number three: ...")."""
    if found.start() > 120:
        return False
    before, after = text[: found.start()], text[found.end() : found.end() + 20]
    return bool(
        re.fullmatch(
            r"[\W_]*(?:(?:the|it's|it is|its|i think|i'd say|probably|maybe|answer|is|option|i would choose|i choose|应该是|是|我选择?|选择?)[\W_]*){0,5}",
            before.lower(),
        )
        and re.match(r"\s*(?:one|option)?(?: (?:on|in|of) the list| listed)?\s*(?:[.:!)\n]|$|是)", after)
    )


def _pointed(found: re.Match[str], text: str) -> bool:
    """Whether "the second one" is chosen or rejected as an option, and is no thing in the video."""
    before, after = (
        text[max(0, found.start() - 60) : found.start()].lower(),
        text[found.end() : found.end() + 40].lower(),
    )
    return bool(
        (
            re.search(
                r"(?:choose|pick|select|go with|make (?:that|it)|answer is|it'?s|can(?:'t|not) be|must be|say|is|not)\s+(?:the )?(?:very )?$",
                before,
            )
            and re.match(r"\s*(?:[.,:;!)]|$|because|since|as\b)", after)
        )
        or re.match(
            r",? (?:[a-z],? )?(?:is|seems|looks|appears|fits|matches|describes)(?: to be)?(?: \w+)? ?(?:correct|right|the one|best|answer|wrong|false|incorrect|the video|the clip|the most|the best|the only|most|$)",
            after,
        )
    )
