"""Words as the careful reader compares them: stems, numbers in one form, and what means the same."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from kangaroo_eval.careful import hints, kin


class Token(NamedTuple):
    """A word, number or CJK character: its stem, what else it stands for, its place, and what
    the words that it begins mean together."""

    stem: str
    also: tuple[str, ...]
    start: int
    end: int
    idiom: tuple[str, ...] = ()


def words(text: str) -> list[str]:
    """The words of a list that is kept as one string, for its readers' sake."""
    return text.split()


_TOKEN = re.compile(
    r"(?P<time>\d{1,2}:\d\d(?::\d\d)?)(?:\s?(?P<half>[ap])\.?m\b)?|(?P<number>\d+(?:,\d{3})+|\d+(?:[.,]\d+)?)(?P<nth>st|nd|rd|th)?"
    r"|(?P<han>[\u2e80-\u30ff\u3400-\u9fff\uac00-\ud7af])|(?P<word>[^\W\d_\u2e80-\u30ff\u3400-\u9fff\uac00-\ud7af]+(?:'[^\W\d_]+)?)"
    r"|(?P<sign>[%$€£¥]|[+](?=\d))",
    re.IGNORECASE,
)
_SMALL = words(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen twenty"
)
_NUMBERS = {word: str(i) for i, word in enumerate(_SMALL)}
_NUMBERS.update(thirty="30", forty="40", fifty="50", sixty="60", seventy="70", eighty="80", ninety="90")
_NUMBERS.update(hundred="100", thousand="1000", once="1", twice="2", thrice="3", dozen="12")
_HAN_NUMBERS = dict(
    zip(
        "零一二两兩三四五六七八九十",
        words("0 1 2 2 2 3 4 5 6 7 8 9 10"),
        strict=True,
    )
)
_ORDINALS = words("zeroth first second third fourth fifth sixth seventh eighth ninth tenth")
_NTH = {word: f"#{i}" for i, word in enumerate(_ORDINALS)}
_SIGNS = {"%": "percent", "$": "dollar", "€": "euro", "£": "pound", "+": "plus", "¥": "yuan"}
_IRREGULAR = {word: group.split()[0] for group in kin.FORMS.split("|") for word in group.split()}


def _stem(word: str) -> str:
    """A crude stem: enough to see that "clapping" is "claps", not a linguist's."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if word.endswith("s") and word[:-1] in _IRREGULAR and len(word) > 4:
        return _IRREGULAR[word[:-1]]
    if not word.isascii():
        return word if len(word) < 5 else word[: max(4, len(word) - 2)]
    word = _without_plural(_without_suffix(word))
    for tail in ("ing", "ed"):
        if word.endswith(tail) and len(word) - len(tail) >= 3 and re.search("[aeiouy]", word[: -len(tail)]):
            word = word[: -len(tail)]
            if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lsz":
                word = word[:-1]
            break
    if word.endswith("e") and len(word) > 3:
        word = word[:-1]
    if word.endswith(("y", "i")) and len(word) > 4:
        # "foggy" is "fog", and "happiness" is "happy".
        word = word[:-1]
        return word[:-1] if word[-1] == word[-2] and word[-1] not in "lsz" else word
    return word[:-1] + "i" if word.endswith("y") and len(word) > 3 else word


_DERIVED = re.compile(
    r"(?:ational|ation|ition|ional|ical|ance|ence|able|ible|ment|less|ful|ous|ive|ity|ist|ian|ism|ant|ent|ish|iz|is|er|or|ic|al|ar|an|ur|in|e|i|o|t|y|a)$"
)


@lru_cache(maxsize=8192)
def base(stem: str) -> str:
    """What "librarian" and "library", or "argue" and "argument", have in common."""
    if len(stem) < 5 or not stem.isascii():
        return stem
    shorter = _DERIVED.sub("", stem)
    return shorter if len(shorter) >= 4 else stem


def of_stem(stem: str) -> tuple[str, ...]:
    """The groups that a stem belongs to."""
    return _KIN.get(stem, ())


def _without_suffix(word: str) -> str:
    for tail, least in (
        ("ness", 4),
        ("wards", 2),
        ("ward", 2),
        ("ism", 3),
        ("ion", 5),
        ("ist", 3),
        ("ly", 4),
    ):
        if word.endswith(tail) and len(word) - len(tail) >= least:
            return word[: -len(tail)]
    return word


def _without_plural(word: str) -> str:
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes", "zes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    return word


def _kin() -> dict[str, tuple[str, ...]]:
    """Every word of a group stands for the group, under a name that no word has."""
    made: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(kin.SAME.split("|")):
        for word in line.split():
            _add(made, _stem(word), f"={number}")
    for line in hints.BROADER.strip().split("\n"):
        name = _stem(line.split(":")[0])
        _add(made, name, f"^{name}")
    return made


def _add(made: dict[str, tuple[str, ...]], stem: str, name: str) -> None:
    if name not in made.get(stem, ()):
        made[stem] = (*made.get(stem, ()), name)


_KIN = _kin()


def _narrower() -> dict[str, tuple[str, ...]]:
    """What kinds of thing a word of an option belongs to."""
    made: dict[str, tuple[str, ...]] = {}
    for line in hints.BROADER.strip().split("\n"):
        name, _, members = line.partition(":")
        for word in members.split():
            _add(made, _stem(word), f"^{_stem(name)}")
    return made


BROADER = _narrower()
CUES = {
    _stem(name): frozenset(_stem(word) for word in cues.split())
    for name, _, cues in (line.partition(":") for line in hints.CUES.strip().split("\n"))
}
_PHRASES: dict[str, list[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
for _line in hints.PHRASES.strip().split("\n"):
    _said, _, _meant = _line.partition("=")
    _stems = tuple(_stem(word) for word in _said.split())
    _meaning = _stem(_meant)
    _PHRASES.setdefault(_stems[0], []).append((_stems[1:], (_meaning, *_KIN.get(_meaning, ()))))


def _with_phrases(made: list[Token]) -> list[Token]:
    """Every word that begins an idiom stands for its meaning as well; words of no weight may stand between."""
    for at, token in enumerate(made):
        for rest, meaning in _PHRASES.get(token.stem, ()):
            following = [other.stem for other in made[at + 1 : at + 8] if other.stem not in ARTICLES]
            gaps = range(4 if len(rest) > 2 else 2)
            if any(tuple(following[gap : gap + len(rest)]) == rest for gap in gaps):
                made[at] = token._replace(idiom=(*made[at].idiom, *meaning))
    return made


@lru_cache(maxsize=16384)
def _of_word(word: str) -> tuple[str, tuple[str, ...]]:
    if word in _NUMBERS:
        return _NUMBERS[word], ()
    if word in _NTH:
        return _NTH[word], ()
    stem = _stem(word)
    return stem, _KIN.get(stem, ())


def _number(text: str) -> str:
    text = text.replace(",", "") if re.fullmatch(r"\d+(?:,\d{3})+", text) else text.replace(",", ".")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.lstrip("0") or "0"


def _time(text: str, half: str | None) -> str:
    parts = [int(part) for part in text.split(":")]
    if half:
        parts[0] = parts[0] % 12 + (12 if half.lower() == "p" else 0)
    return ":".join(f"{part:02d}" for part in parts)


def tokens(text: str) -> list[Token]:
    """The words of a text. "isn't" is "is" and "not"; "it's" is "it"."""
    return list(_tokens(text))


@lru_cache(maxsize=64)
def _tokens(text: str) -> list[Token]:
    made: list[Token] = []
    for found in _TOKEN.finditer(text):
        kind, start, end = found.lastgroup, found.start(), found.end()
        if (
            found[0] == "A"
            and found.start() > 1
            and text[found.start() - 1] == " "
            and text[found.start() - 2].isalnum()
        ):
            # "Vitamin A": in the middle of a sentence a capital is no article.
            made.append(Token("a'", (), start, end))
        elif kind == "word":
            made.extend(_from_word(found[0].lower(), start, end))
        elif found["han"]:
            char = found["han"]
            made.append(Token(_HAN_NUMBERS.get(char, char), (), start, end))
        elif found["time"]:
            made.append(Token(_time(found["time"], found["half"]), (), start, end))
        elif found["sign"]:
            made.append(Token(_SIGNS[found["sign"]], _KIN.get(_SIGNS[found["sign"]], ()), start, end))
        else:
            number = _number(found["number"])
            made.append(Token(f"#{number}" if found["nth"] else number, (), start, end))
    return _with_phrases(made)


def _from_word(word: str, start: int, end: int) -> list[Token]:
    if "'" in word:
        head, _, tail = word.partition("'")
        if word.endswith("n't"):
            head = {"ca": "can", "wo": "will"}.get(head[:-1], head[:-1])
            return [Token(_of_word(head)[0], (), start, end), Token("not", (), start, end)]
        word = head if len(head) > 1 or tail in ("s", "m") else tail
    for head in ("counter", "anti"):
        if word.startswith(head) and word.endswith("wise"):
            return [Token("counter", (), start, end), *_from_word(word[len(head) :], start, end)]
    if word == "cannot":
        return [Token("can", (), start, end), Token("not", (), start, end)]
    stem, also = _of_word(word)
    return [Token(stem, also, start, end)]


ARTICLES = frozenset(
    words("a an the his her their its my our your der die das ein eine le la les el los un una")
)
EMPTY = frozenset(
    {
        _stem(word)
        for word in words(
            "a an the this that these those of to in on at by for from with without into onto over under"
            " up down out off and or nor but so as if than then it he she they we you i is are be was were"
            " been do does did have has had will would can could may might must shall should his her their"
            " its my our your him them me us who what which when where why how there here not no yes very"
            " just only also too both either neither all any some each every other another such same own"
            " because while during about after before between through against again more most much many"
            " few one ones someone something time times person people video scene clip image frame show see seen s t"
            " m re ve ll d option answer choice correct right wrong der die das den dem des ein eine einen"
            " einem einer und ist im am zu mit auf le la les un une des du de et est dans en el los las"
            " una uno y es con por para il lo gli di che e è o os as um uma em na no da do das dos не и в"
            " на с это он она"
        )
    }
    | set("的了在是和有着把被上下里一不也就都而与及或之于其他她它他们我你很那这")
)
"""Words too common to tell one option from another, unless an option has nothing else."""
