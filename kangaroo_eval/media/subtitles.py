"""Subtitle files (SRT, WebVTT, ASS, LongVideoBench's JSON) to cues."""

from __future__ import annotations

import json
import math
from typing import Any

from kangaroo_eval.errors import MediaError
from kangaroo_eval.types import Cue

# Tried in this order. UTF-16 and UTF-8 announce themselves or are all but impossible to read by mistake; of the
# rest GB18030 is strict enough that Western text seldom passes for it, and cp1252 is what is left. latin-1, which
# takes every byte, keeps a stray byte from losing a whole file.
_ENCODINGS = ("utf-8-sig", "gb18030", "cp1252", "latin-1")
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def read(path: str) -> tuple[Cue, ...]:
    r"""Every cue in the file's order, with times in seconds, as pysubs2 reads it: font tags are gone, line breaks
    (`\N`) become spaces, other override tags stay, for the scripts of the benchmarks' authors leave them.

    Blank cues stay (a rule may say that the first cue at a time counts), and so do cues that say the same twice.
    FileNotFoundError for an absent file; MediaError for one that holds no subtitles.
    """
    import pysubs2

    with open(path, "rb") as file:
        text = _text(file.read())
    if not text.strip():
        return ()
    if path.endswith(".json"):
        return _json_cues(path, text)
    try:
        lines = pysubs2.SSAFile.from_string(text)
    except (pysubs2.Pysubs2Error, ValueError, LookupError, ArithmeticError) as error:
        # pysubs2 explains itself on several lines.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise MediaError(f"{path}: not a subtitle file ({reason})") from error
    cues = []
    for line in lines:
        if not line.is_comment:
            cues.append(Cue(line.start / 1000, line.end / 1000, line.text.replace("\\N", " ")))
    if not len(lines):
        raise MediaError(f"{path}: no subtitles in it")
    return tuple(cues)


def _json_cues(path: str, text: str) -> tuple[Cue, ...]:
    """LongVideoBench's two shapes: {"timestamp": [s, e], "text"} and {"start": "HH:MM:SS.mmm", "end", "line"}.

    An end of null is left open (infinite). Numbers keep their kind: the official loader tells int from float.
    """
    try:
        return tuple(_json_cue(each) for each in json.loads(text))
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise MediaError(f"{path}: not a subtitle file ({type(error).__name__}: {error})") from error


def _json_cue(entry: dict[str, Any]) -> Cue:
    if "timestamp" in entry:
        start, end = entry["timestamp"]
        if not isinstance(start, int | float) or not isinstance(end, int | float | None):
            raise ValueError(f"timestamp {entry['timestamp']!r}")
        return Cue(start, math.inf if end is None else end, str(entry["text"]))
    return Cue(_clock(entry["start"]), _clock(entry["end"]), str(entry["line"]))


def _clock(text: str) -> float:
    hours, minutes, seconds = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def _text(data: bytes) -> str:
    if data.startswith(_UTF16_MARKS):
        return data.decode("utf-16", "replace")
    for encoding in _ENCODINGS:
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 takes every byte")
