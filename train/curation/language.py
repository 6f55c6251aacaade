"""Sentences and words of captions, English and Chinese mixed: what Eq. 2 of the paper compares (Section III.D)."""

from __future__ import annotations

import importlib
import logging
import re
import unicodedata
from functools import lru_cache
from typing import Any, Literal

from kangaroo_eval.errors import UserError

Lang = Literal["en", "zh"]
"""English, or Chinese in either script."""

_CJK = "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_HAN = re.compile(f"[{_CJK}]")
_LATIN = re.compile(rf"[^\W\d_{_CJK}]+(?:['’-][^\W\d_{_CJK}]+)*")
_WORD = re.compile(r"\d+(?:[.,]\d+)+|\w+(?:['’-]\w+)*")
_CLOSERS = "\"'”’)]}»」』）】》"
_STOP = re.compile(rf"(?:[。！？；\n][。！？；\n.!?…]*|\.{{2,}}|…+|[.!?;]+)[{re.escape(_CLOSERS)}]*")
_WIDE = frozenset("。！？；\n")

_NEVER_LAST = re.compile(
    "mr|mrs|ms|mx|dr|prof|st|mt|gen|sgt|capt|lt|rev|hon|gov|sen|figs?|nos?|vs|approx|cf|e\\.g|i\\.e"
)
"""Abbreviations that something always follows."""
_MAYBE_LAST = re.compile("etc|inc|ltd|co|corp|jr|sr|dept|est|ave|blvd|rd|ft|oz|lbs?|a\\.m|p\\.m")
"""Abbreviations that may end a sentence: they do where a capital follows, or nothing."""
_NEXT = re.compile(r"\s*(\S?)")
_INITIALS = re.compile(r"(?:[A-Za-z]\.)*[A-Za-z]")
_NUMERAL = re.compile(r"\d{1,3}|[A-Ha-h]")


def split(text: str) -> list[str]:
    """The sentences of a caption, without the space around them; together they hold every other character of it.

    A full stop ends none in "e.g.", "i.e.", "Mr.", "J. Smith", "3.5" and in front of a list's item ("1. A man"), nor does
    "..." where the sentence goes on in lower case. Chinese ones end with 。！？； and a new line ends any.
    """
    found: list[str] = []
    start = 0
    for mark in _STOP.finditer(text):
        if _ends(text, start, mark):
            found.append(text[start : mark.end()])
            start = mark.end()
    found.append(text[start:])
    return [sentence for each in found if (sentence := each.strip())]


def _ends(text: str, start: int, mark: re.Match[str]) -> bool:
    """Whether a sentence that began at `start` ends with this punctuation."""
    sign, follows = mark.group().rstrip(_CLOSERS), text[mark.end() : mark.end() + 1]
    if not sign or _WIDE & set(sign):
        return bool(sign)
    before = text[start : mark.start()]
    chinese = bool(_HAN.match(before[-1:])) or bool(_HAN.match(follows))
    if sign.strip(";") == "":
        return chinese
    if follows and not follows.isspace() and not chinese:
        return False
    ahead = _NEXT.match(text, mark.end())
    next_word = ahead[1] if ahead else ""
    if sign.startswith("…") or (set(sign) == {"."} and len(sign) > 1):
        return not next_word or next_word.isupper()
    return sign != "." or not _abbreviates(before, next_word)


def _abbreviates(before: str, next_word: str) -> bool:
    """Whether the full stop after `before`, the sentence until there, belongs to an abbreviation, an initial or the numeral
    of a list's item."""
    token = re.split(rf"[\s(\[{{\"'“‘{_CJK}]", before)[-1]
    if _NUMERAL.fullmatch(token) and token == before.strip():
        return True
    lower = token.lower()
    if _NEVER_LAST.fullmatch(lower):
        # "No. 5" is a number, and "No." an answer.
        return lower not in ("no", "nos") or next_word.isdigit()
    if _MAYBE_LAST.fullmatch(lower):
        return bool(next_word) and not next_word.isupper()
    # "I" alone is the word, and a last letter with nothing behind it ends the text.
    initials = _INITIALS.fullmatch(token) is not None and (token.isupper() or "." in token)
    return initials and token != "I" and bool(next_word)


def language(text: str) -> Lang:
    """A sentence's language by its script: Chinese where it has more Chinese characters than half as many again as Latin
    words, so that "他用 iPhone 拍照" is Chinese and "he says 你好" is not. English where it has no letter."""
    return "zh" if 2 * len(_HAN.findall(text)) > 3 * len(_LATIN.findall(text)) else "en"


def words(sentence: str) -> list[str]:
    """The words of a sentence in lower case, without punctuation: "3.5", "man's" and "t-shirt" are one each.

    Chinese ones by jieba, as the paper has it; UserError where Chinese is to be split and jieba is not installed.
    """
    plain = unicodedata.normalize("NFKC", sentence).lower().replace("’", "'")
    if language(sentence) == "en":
        return _WORD.findall(plain)
    return [word for word in _jieba().lcut(plain) if any(char.isalnum() for char in word)]


def length(text: str) -> int:
    """How long a text is: its words, where a Chinese character counts as one; no dictionary is needed for it."""
    return len(_HAN.findall(text)) + len(_WORD.findall(_HAN.sub(" ", text)))


@lru_cache(maxsize=1)
def _jieba() -> Any:
    """jieba with its dictionary loaded (0.8 s once in a process)."""
    try:
        jieba = importlib.import_module("jieba")
    except ImportError as error:
        raise UserError(
            "Chinese captions are split into words by jieba, which is not installed: pip install 'kangaroo-eval[curate]'"
        ) from error
    # It tells of loading its dictionary on stderr, from every worker.
    jieba.setLogLevel(logging.WARNING)
    jieba.initialize()
    return jieba
