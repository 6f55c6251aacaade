"""What an option's text says of the others ("all of the above"), its numbers, and the words that tell little."""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from kangaroo_eval.careful.words import ARTICLES, Token, words


def letters_of(options: Sequence[str]) -> str:
    """The letters A, B, ... of these options."""
    return string.ascii_uppercase[: len(options)]


LABEL = re.compile(r"^\s*[(\[]?[A-Z][)\].:]\s*")


def plain(text: str) -> str:
    """An option's text for comparison: lower case, no punctuation, no leading letter."""
    return " ".join(re.sub(r"[^\w\s]", " ", LABEL.sub("", text).lower()).split())


def texts_of(options: Sequence[str]) -> list[str]:
    """The options' very texts, but for case, spaces and a full stop at the end; without their letters where each has its
    own. Signs stay: "-2" is not "2", nor "x < y" "x > y"."""
    labels = [LABEL.match(option) for option in options]
    lettered = "".join(found[0].strip(" ([)].:") if found else " " for found in labels) == letters_of(options)
    bare = [LABEL.sub("", option) for option in options] if lettered else list(options)
    return [" ".join(text.casefold().split()).rstrip(" .") for text in bare]


UNKNOWN = re.compile(
    r"\b(?:can ?not|can't|could not|couldn't|unable to) (?:be |say|tell|determine|know|infer|decide|answer)"
    r"|\bnot (?:sure|enough|clear|possible|given|specified|mentioned|determinable)|\bunknown\b|\bdon't know\b|\bdo not know\b|\bunclear\b"
    r"|impossible to|\bundetermin|\bindetermin|insufficient|\buncertain|无法|不确定|不知道|不清楚|nicht (?:bestimm|erkenn)",
    re.IGNORECASE,
)
NONE = re.compile(
    r"\bnone (?:of|is|are)\b|^\W*none\W*$|^\W*neither\b|\bnot listed\b|都不(?:是|对)?|以上皆非|keine? (?:der|davon)",
    re.IGNORECASE,
)
ALL = re.compile(
    r"\ball (?:of )?(?:the )?(?:above|these|them|three|four|options)|^\W*all\W*$|以上(?:都|皆)(?:是|对)|^\W*全部",
    re.IGNORECASE,
)
BOTH = re.compile(
    r"^\W*both\b|^\W*(?:both )?\(?[A-H]\)? ?(?:and|&|,) ?\(?[A-H]\)?\W*$|^\W*(?:两者都|都是)", re.IGNORECASE
)
PAIR = re.compile(r"\b([A-H])\)? ?(?:and|&|,) ?\(?([A-H])\b")


INDEXED = frozenset(
    words("fram shot scen step part figur clip minut second imag pictur lin point player ball team")
)
NOT_COUNTED = frozenset(
    words(
        "the this that these those which first last any each every no another other right left wrong"
        " #1 #2 #3 #4 #5 not final correct best electric fram shot step"
    )
)
WEAK = frozenset(
    [
        "look",
        "go",
        "walk",
        "tak",
        "tak",
        "take",
        "hold",
        "put",
        "use",
        "make",
        "mak",
        "get",
        "do",
        "want",
        "stand",
        "turn",
        "com",
        "come",
        "tri",
        "start",
        "begin",
        "keep",
        "say",
        "tell",
        "talk",
        "move",
        "mov",
        "man",
        "woman",
        "child",
        "person",
        "room",
        "hand",
        "tim",
    ]
)
PHRASAL = frozenset(
    words(
        "sit get stand pick lie wake give set clean cut dress write calm hold warm end show make take line light"
    )
)
RIGHT_THERE = frozenset(words("in at after befor behind next now away here there besid on outsid insid near"))
SETTINGS = frozenset(
    words(
        "road street highwa pavement path hous home room yard garden kitchen car vehicl beach mountain river"
        " shop stor forest wood sea school offic restaurant crowd audienc build city lamp window floor"
    )
)
TELLING_COMMON = frozenset(
    words(
        "before after between up down out off in on over under from into both neither all right wrong"
        " without with more less and or not"
    )
)


def alike(stem: str, other: str) -> bool:
    common = next(
        (i for i, (a, b) in enumerate(zip(stem, other, strict=False)) if a != b), min(len(stem), len(other))
    )
    return (common >= 4 and common * 3 >= 2 * max(len(stem), len(other))) or common >= 6


def core_of(made: Sequence[Token]) -> list[str]:
    return [token.stem for token in made if token.stem not in ARTICLES]


def pair_of(text: str, letters: str) -> frozenset[int]:
    """The options that an option like "Both A and B" speaks of."""
    found = PAIR.search(text)
    if not found or not (BOTH.search(text) or len(text) < 12):
        return frozenset()
    return frozenset(letters.find(letter) for letter in found.groups())


def value_of(stem: str) -> float | None:
    if ":" in stem:
        total = 0.0
        for part in stem.split(":"):
            total = total * 60 + int(part)
        return total
    try:
        return float(stem)
    except ValueError:
        return None


def range_of(raw: Sequence[str], text: str) -> tuple[float, float, bool] | None:
    """ "10-20 seconds" as the numbers between which it lies, and whether they are times of a clock."""
    numbers = [stem for stem in raw if value_of(stem) is not None and stem != ""]
    if len(numbers) != 2 or not re.search(
        r"\d\s*(?:s|sec\w*|min\w*|%)?\s*(?:-|–|to|and|~|至|到)\s*\$?\d", text
    ):
        return None
    low, high = (value_of(number) or 0.0 for number in numbers)
    return (low, high, ":" in numbers[0]) if low < high else None
