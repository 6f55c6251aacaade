"""Replies in other languages, with the frame of the answer put into English and every place kept.

What is said of a letter ("the correct answer is", "not ... but", "because") is read in one language only. A reply in
another one has just these words exchanged; whatever else it says stays as it is.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from kangaroo_eval.careful import glossary

_SPACED = {
    "es": glossary.SPANISH,
    "pt": glossary.PORTUGUESE,
    "fr": glossary.FRENCH,
    "de": glossary.GERMAN,
    "it": glossary.ITALIAN,
    "ru": glossary.RUSSIAN,
    "ar": glossary.ARABIC,
    "hi": glossary.HINDI,
    "vi": glossary.VIETNAMESE,
    "id": glossary.INDONESIAN,
    "tr": glossary.TURKISH,
}
_RUNNING = {"ja": glossary.JAPANESE, "ko": glossary.KOREAN}
_OWN_LETTERS = {
    "ar": dict(zip("أبجد", "ABCD", strict=True)) | {"ا": "A"},
    "ru": {"Б": "B", "Г": "D"},
    "ja": dict(zip("アイウエ", "ABCD", strict=True)),
}
"""What numbers the options where the alphabet is not the Latin one; only where it stands alone."""

_SHARED = frozenset(
    [
        "a",
        "no",
        "die",
        "in",
        "is",
        "an",
        "and",
        "or",
        "that",
        "do",
        "sole",
        "son",
        "on",
        "me",
        "option",
        "options",
        "proposition",
        "la",
        "as",
        "of",
        "from",
        "correct",
        "incorrect",
        "le",
        "video",
        "six",
        "halt",
        "moment",
        "final",
        "e",
        "o",
        "i",
        "con",
        "per",
        "un",
        "non",
        "las",
        "los",
        "ha",
        "sept",
        "rose",
        "violet",
        "pardon",
        "bas",
        "dos",
        "du",
        "der",
        "rosa",
        "el",
        "das",
        "da",
        "dan",
        "brown",
        "orange",
        "verde",
        "van",
        "at",
        "are",
        "era",
        "wait",
        "actually",
        "was",
        "tunggu",
        "marco",
        "first",
        "eh",
        "dur",
        "des",
        "que",
        "juste",
        "vera",
        "prima",
        "secondo",
        "dove",
        "solo",
        "il",
        "letter",
        "logo",
        "solar",
        "im",
        "also",
        "warm",
        "war",
        "pass",
        "maybe",
        "sei",
        "due",
        "tre",
        "adam",
        "am",
        "ba",
        "car",
        "chat",
        "com",
        "de",
        "del",
        "den",
        "di",
        "dir",
        "ed",
        "em",
        "en",
        "es",
        "est",
        "et",
        "kind",
        "links",
        "lo",
        "ma",
        "man",
        "na",
        "ne",
        "ni",
        "second",
        "sol",
        "ra",
        "rot",
        "sans",
        "mit",
        "fin",
        "pour",
        "mais",
        "bus",
        "yo",
        "mal",
        "hat",
        "rat",
        "gift",
        "arm",
        "bald",
        "chose",
        "sale",
        "pain",
        "main",
        "champ",
        "coin",
    ]
)
"""Words that an English reply may have as well; they tell no language."""


MOST = 240
"""No reply that means something frames its answer in more words than these."""


class Translated(NamedTuple):
    """A text with its frame in English; `places` are pairs of a place in it and the place in the reply."""

    text: str
    starts: list[int]
    origins: list[tuple[int, int]]

    def place(self, at: int) -> int:
        """Where in the reply this place is."""
        found = bisect_right(self.starts, at) - 1
        origin, length = self.origins[found]
        return origin + min(at - self.starts[found], max(0, length - 1))


def _entries(text: str) -> dict[str, str]:
    made = {}
    for entry in text.split("|"):
        said, _, english = entry.partition("=")
        for one in said.split("/"):
            made[one.strip()] = english
    return made


@lru_cache(maxsize=1)
def _markers() -> dict[str, tuple[str, ...]]:
    """Which languages a word speaks for."""
    made: dict[str, tuple[str, ...]] = {}
    for language, text in _SPACED.items():
        for entry in _entries(text):
            for part in re.findall(r"\w+", entry):
                if len(part) > 1 and part not in _SHARED and language not in made.get(part, ()):
                    made[part] = (*made.get(part, ()), language)
    return made


_WORD = re.compile(r"[^\W\d_]+(?:[\u0900-\u097f\u064b-\u0652]+[^\W\d_]*)*")
_SCRIPTS = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("ru", re.compile(r"[а-яё]{2}", re.IGNORECASE)),
    ("ar", re.compile(r"[\u0620-\u064a]{2}")),
    ("hi", re.compile(r"[\u0904-\u0939]")),
)


def language_of(text: str) -> str | None:
    """The language that a reply is framed in, or None for English and all that is not known here."""
    if not text.isascii():
        for language, script in _SCRIPTS:
            if script.search(text):
                return language
    marks = _markers()
    said = text.lower().split() if text.isascii() else _WORD.findall(text.lower())
    if text.isascii() and marks.keys().isdisjoint(word.strip(".,:;!?\"'()*") for word in said[:400]):
        return None
    votes: dict[str, int] = {}
    for word in said[:400]:
        for language in marks.get(word.strip(".,:;!?\"'()*"), ()):
            votes[language] = votes.get(language, 0) + 1
    if not votes:
        return None
    # One foreign word among many is a name or a quotation.
    best = max(votes, key=lambda language: votes[language])
    return best if votes[best] * 12 >= len(said[:400]) else None


@lru_cache(maxsize=16)
def _pattern(language: str) -> tuple[re.Pattern[str], dict[str, str]]:
    running = language in _RUNNING
    entries = _entries(_RUNNING[language] if running else _SPACED[language])
    ordered = sorted(entries, key=len, reverse=True)
    body = "|".join(re.escape(one).replace(r"\ ", r"\s+") for one in ordered)
    if running:
        return re.compile(body), entries
    edge = r"[\w\u093e-\u094d\u0901-\u0903]"
    return re.compile(rf"(?<!{edge})(?<!{edge}')(?:{body})(?!{edge})", re.IGNORECASE), entries


_SUFFIX = re.compile(r"(?<=(?<![^\W_])[A-Z])'(?:d[ıiuü]r|t[ıiuü]r|y[ıiuü]|[ıiuü]|n[ıiuü]n|d[ae])(?!\w)")
_ELIDED = re.compile(r"(?i:\bl')(?=[A-Z]\b)")
_PARTICLE = re.compile(r"(?<=(?<![A-Za-z])[A-Z])(?:は|가|이|은|는|を|が)(?=\s|[,])")


def into_english(text: str, language: str) -> Translated:
    """The text with what frames an answer in English."""
    pattern, entries = _pattern(language)
    changes = [
        (
            found.start(),
            found.end(),
            _in_place(entries[" ".join(found[0].lower().split())], text, found.end()),
        )
        for found in islice(pattern.finditer(text), MOST)
        if " ".join(found[0].lower().split()) in entries and not _is_option_letter(text, found)
    ]
    if language == "tr":
        changes += [(found.start(), found.end(), " is") for found in _SUFFIX.finditer(text)]
    changes += [(found.start(), found.end(), "") for found in _ELIDED.finditer(text)]
    for found in _own_letters(text, language):
        changes.append((found.start(1), found.end(1), _OWN_LETTERS[language][found[1]]))
    return _changed(text, sorted(changes))


def _in_place(english: str, text: str, end: int) -> str:
    """ "No, es la C": what stands before a comma is the answer "no"; and no letter has an article."""
    if english == "the" and _LETTER_NEXT.match(text, end):
        return ""
    return "no" if english == "not" and text[end : end + 1] in (",", ".", "!") else english


_LETTER_NEXT = re.compile(r"\s+[A-Z](?![^\W_]|')")


def _is_option_letter(text: str, found: re.Match[str]) -> bool:
    """ "La opción E": a capital that stands alone is no "and"."""
    return len(found[0]) == 1 and found[0].isascii() and found[0].isupper()


def _own_letters(text: str, language: str) -> list[re.Match[str]]:
    own = _OWN_LETTERS.get(language)
    if not own:
        return []
    letters = "".join(own)
    return list(re.finditer(rf"(?<!\w)([{letters}])(?=[).,:]|\s*$)", text)) + (
        list(re.finditer(rf"(?<=は)([{letters}])(?=です|だ|$)", text)) if language == "ja" else []
    )


def _changed(text: str, changes: list[tuple[int, int, str]]) -> Translated:
    pieces: list[str] = []
    starts, origins = [], []
    done = length = 0

    def put(piece: str, origin: int, width: int) -> None:
        nonlocal length
        starts.append(length)
        origins.append((origin, width))
        pieces.append(piece)
        length += len(piece)

    for start, end, english in changes:
        if start < done:
            continue
        put(text[done:start], done, start - done)
        put(english, start, end - start)
        done = end
    put(text[done:], done, max(1, len(text) - done))
    return Translated("".join(pieces), starts, origins)
