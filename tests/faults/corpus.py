"""A corpus of bad annotation files and bad videos, made from good ones by a seed: the same seed, the same files."""

from __future__ import annotations

import copy
import csv
import gzip
import io
import json
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

ESCAPES = (
    "../../outside/secret",
    "../secret.mp4",
    "x/../../../outside/secret",
    "/etc/passwd",
    "{outside}/secret",
    "..",
    ".",
    "./..",
    "a\0b",
    "\0",
    "~/secret",
    "file:///etc/passwd",
    "http://127.0.0.1:9/x",
    "concat:/etc/passwd|x",
    "C:\\secret",
    "..\\..\\secret",
    "x" * 5000,
    "a/" * 3000 + "b",
)
ODD = (
    None,
    True,
    False,
    0,
    -1,
    -1e308,
    1e308,
    float("nan"),
    float("inf"),
    -float("inf"),
    2**31,
    2**63,
    2**70,
    10**400,
    0.5,
    "",
    " ",
    "\n",
    "\ufeff",
    "\ud800",
    "\udcff",
    "\u2028",
    "\u202e",
    "NaN",
    "{0}",
    "{question}",
    "%s",
    "(((((((((",
    "A" * 200_000,
    "[" * 5000,
    [],
    {},
    [[]],
    [None],
    ["a"] * 30,
    [{}],
    ["A", 1],
    {"a": {"b": None}},
    [float("nan")] * 4,
)
"""Values that no field of an annotation should have, or that few should."""


class Case(NamedTuple):
    """One bad benchmark: `name` says what was done to which file, `make` writes it below a folder."""

    task: str
    name: str
    make: Callable[[Path], None]


def whole(folder: str) -> dict[str, bytes]:
    """The annotation files of a small good benchmark, by their path below its folder; without its videos."""
    import importlib

    from kangaroo_eval.miniworld import MINI

    module, _, function = MINI[folder].partition(":")
    return dict(getattr(importlib.import_module(module), function)().texts)


# --- bytes ------------------------------------------------------------------------------------------------------


def _flip(data: bytes, dice: random.Random) -> bytes:
    damaged = bytearray(data)
    for _ in range(dice.choice((1, 4, 40))):
        damaged[dice.randrange(len(damaged))] ^= 1 << dice.randrange(8)
    return bytes(damaged)


def _zip_of(data: bytes, _: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a", data)
    return out.getvalue()


BYTES: dict[str, Callable[[bytes, random.Random], bytes]] = {
    "empty": lambda data, dice: b"",
    "blank": lambda data, dice: b" \n\t\n",
    "one NUL": lambda data, dice: b"\0",
    "many NULs": lambda data, dice: bytes(100_000),
    "cut": lambda data, dice: data[: dice.randrange(1, len(data))],
    "cut at the end": lambda data, dice: data[: -dice.randrange(1, 20)],
    "head gone": lambda data, dice: data[dice.randrange(1, len(data)) :],
    "flipped bits": _flip,
    "noise": lambda data, dice: dice.randbytes(5000),
    "noise in it": lambda data, dice: data[: len(data) // 2] + dice.randbytes(50) + data[len(data) // 2 :],
    "twice": lambda data, dice: data + data,
    "BOM": lambda data, dice: b"\xef\xbb\xbf" + data,
    "two BOMs": lambda data, dice: b"\xef\xbb\xbf\xef\xbb\xbf" + data,
    "UTF-16": lambda data, dice: data.decode("utf-8", "replace").encode("utf-16"),
    "UTF-32": lambda data, dice: data.decode("utf-8", "replace").encode("utf-32"),
    "EBCDIC": lambda data, dice: data.decode("utf-8", "replace").encode("cp500", "replace"),
    "latin-1 sign": lambda data, dice: data.replace(b"e", b"\xe9", 3),
    "Windows line ends": lambda data, dice: data.replace(b"\n", b"\r\n"),
    "old Mac line ends": lambda data, dice: data.replace(b"\n", b"\r"),
    "gzip": lambda data, dice: gzip.compress(data),
    "zip": _zip_of,
    "a gzip bomb": lambda data, dice: gzip.compress(bytes(50_000_000), 9),
    "HTML": lambda data, dice: b"<!doctype html><title>404</title><p>Not Found</p>",
    "a pointer of Git LFS": lambda data, dice: (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    ),
    "deep lists": lambda data, dice: b"[" * 200_000,
    "deep lists, closed": lambda data, dice: b"[" * 100_000 + b"]" * 100_000,
    "deep objects": lambda data, dice: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "deep below the key": lambda data, dice: b'{"questions":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a number": lambda data, dice: b"1",
    "a text": lambda data, dice: b'"text"',
    "null": lambda data, dice: b"null",
    "NaN": lambda data, dice: b"NaN",
    "an empty list": lambda data, dice: b"[]",
    "an empty object": lambda data, dice: b"{}",
    "a list of nothing": lambda data, dice: b"[null, null]",
    "a list of lists": lambda data, dice: b"[[[]], [[]]]",
    "a million empty objects": lambda data, dice: b"[" + b"{}," * 1_000_000 + b"{}]",
    "a million empty lines": lambda data, dice: b"\n" * 1_000_000,
    "a long number": lambda data, dice: b"[" + b"9" * 1_000_000 + b"]",
    "a long text": lambda data, dice: b'["' + b"x" * 20_000_000 + b'"]',
    "open text": lambda data, dice: b'[{"a": "' + b"x" * 1_000_000,
    "many tabs": lambda data, dice: b"\t" * 500_000 + b"\n" + b"\t" * 10,
    "quotes": lambda data, dice: b'"' * 300_001,
    "a heading alone": lambda data, dice: data.split(b"\n")[0],
}
"""What may become of a file as a whole."""


# --- values -----------------------------------------------------------------------------------------------------


def _places(value: Any, way: tuple[Any, ...] = (), most: int = 3) -> Iterator[tuple[Any, ...]]:
    """The ways to every value within the first few entries of each list and object."""
    yield way
    inner = list(value.items())[:40] if isinstance(value, dict) else []
    if isinstance(value, list):
        inner = list(enumerate(value[:most]))
    for key, each in inner:
        yield from _places(each, (*way, key), most)


def _put(value: Any, way: tuple[Any, ...], new: Any) -> Any:
    if not way:
        return new
    inner = value
    for key in way[:-1]:
        inner = inner[key]
    inner[way[-1]] = new
    return value


def _at(value: Any, way: tuple[Any, ...]) -> Any:
    for key in way:
        value = value[key]
    return value


def _spoil(value: Any, dice: random.Random, outside: str) -> tuple[Any, str]:
    """The value with one thing wrong, and what that is."""
    value = copy.deepcopy(value)
    way = dice.choice(list(_places(value))[1:] or [()])
    kind = dice.choice(("odd", "odd", "escape", "escape", "gone", "twice", "added", "key"))
    found = _at(value, way)
    if kind == "escape" and isinstance(found, str):
        new: Any = dice.choice(ESCAPES).replace("{outside}", outside)
    elif kind == "gone" and way and isinstance(_at(value, way[:-1]), dict | list):
        del _at(value, way[:-1])[way[-1]]
        return value, f"without {way}"
    elif kind == "twice" and isinstance(found, list) and found:
        new = [*found, found[0]]
    elif kind == "added" and isinstance(found, dict):
        new = {**found, "a\0b": dice.choice(ODD)}
    elif kind == "key" and isinstance(found, dict) and found:
        named = dice.choice(ESCAPES).replace("{outside}", outside)
        new = {named if number == 0 else key: each for number, (key, each) in enumerate(found.items())}
    else:
        new = dice.choice(ODD)
    return _put(value, way, new), f"{way} = {str(new)[:60]!r}"


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _spoiled_json(data: bytes, dice: random.Random, outside: str) -> tuple[bytes, str]:
    value, what = _spoil(json.loads(data), dice, outside)
    return _json(value), what


def _spoiled_lines(data: bytes, dice: random.Random, outside: str) -> tuple[bytes, str]:
    rows, what = _spoil([json.loads(line) for line in data.splitlines()], dice, outside)
    return b"\n".join(map(_json, rows if isinstance(rows, list) else [rows])), what


def _spoiled_table(data: bytes, dice: random.Random, outside: str) -> tuple[bytes, str]:
    rows: Any = list(csv.reader(io.StringIO(data.decode()), delimiter="\t"))
    rows, what = _spoil(rows, dice, outside)
    rows = rows if isinstance(rows, list) else [[rows]]
    lines = ["\t".join(map(str, row)) if isinstance(row, list) else str(row) for row in rows]
    return "\n".join(lines).encode("utf-8", "surrogatepass"), what


def _spoiled_parquet(data: bytes, dice: random.Random, outside: str) -> tuple[bytes, str]:
    """Another value where the schema lets it in, else the whole column of another type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(io.BytesIO(data))
    name = dice.choice(table.column_names)
    rows, kind = table.num_rows, dice.choice(("text", "drop", "rename", "type", "null"))
    place = table.column_names.index(name)
    what = f"{name}: {kind}"
    if kind == "drop":
        table = table.drop_columns([name])
    elif kind == "rename":
        table = table.rename_columns([each.upper() if each == name else each for each in table.column_names])
    else:
        column: Any = [None] * rows
        if kind == "text":
            text = dice.choice([*ESCAPES, *(each for each in ODD if isinstance(each, str))])
            text = text.replace("{outside}", outside).encode("utf-8", "replace").decode()
            column = [text if number == 0 else str(number) for number in range(rows)]
            what += f" {text[:40]!r}"
        elif kind == "type":
            makers = (float, bool, lambda _: [1.5], lambda _: {"a": None}, lambda _: b"\xff\xfe")
            column = [dice.choice(makers)(number) if number % 2 else None for number in range(rows)][
                :1
            ] * rows
            other = dice.choice(
                [[1.5] * rows, [True] * rows, [b"\xff"] * rows, [{"a": 1}] * rows, [[]] * rows]
            )
            column = other
        table = table.set_column(place, name, pa.array(column))
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue(), what


SPOILERS = {
    ".json": _spoiled_json,
    ".jsonl": _spoiled_lines,
    ".tsv": _spoiled_table,
    ".parquet": _spoiled_parquet,
}


def annotations(seed: int, count: int, tasks: dict[str, str], outside: str) -> Iterator[Case]:
    """`count` bad benchmarks for each of `tasks` (name -> folder); half of them whole files, half single values."""
    for task, folder in tasks.items():
        files = whole(folder)
        # Subtitles and the like are read later: they have a corpus of their own.
        names = sorted(name for name in files if Path(name).suffix in SPOILERS and "subtitle" not in name)
        dice = random.Random(f"{seed} {task}")
        kinds = dice.sample(sorted(BYTES), len(BYTES))
        for number in range(count):
            name = dice.choice(names)
            if number % 2:
                changed, what = SPOILERS[Path(name).suffix](files[name], dice, outside)
            else:
                what = kinds[number // 2 % len(kinds)]
                changed = BYTES[what](files[name], dice)
            yield Case(task, f"{name}: {what}", _writer(folder, {**files, name: changed}))


def _writer(folder: str, files: dict[str, bytes]) -> Callable[[Path], None]:
    def make(root: Path) -> None:
        for name, data in files.items():
            path = root / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)

    return make


# --- videos -----------------------------------------------------------------------------------------------------


def _box(kind: bytes, *inner: bytes) -> bytes:
    body = b"".join(inner)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _set(data: bytes, box: bytes, offset: int, form: str, value: int) -> bytes:
    """The file with a number of its first box of this kind replaced; `offset` counts from the box's content."""
    at = data.index(box) + 4 + offset
    out = bytearray(data)
    struct.pack_into(form, out, at, value)
    return bytes(out)


def absurd(good: bytes) -> dict[str, bytes]:
    """MP4 files whose tables say what cannot be: each from the same good H.264 file."""
    side = good.index(b"avc1") + 4 + 24
    huge = bytearray(good)
    struct.pack_into(">HH", huge, side, 65535, 65535)
    return {
        "65,535 pixels a side": bytes(huge),
        "2^31 frames": _set(good, b"stts", 8, ">I", 2**31 - 1),
        "2^32 runs of times": _set(good, b"stts", 4, ">I", 2**32 - 1),
        "frames of no time": _set(good, b"stts", 12, ">I", 0),
        "frames of 2^32 ticks": _set(good, b"stts", 12, ">I", 2**32 - 1),
        "2^31 sizes": _set(good, b"stsz", 8, ">I", 2**31 - 1),
        "samples of 2^32 bytes": _set(good, b"stsz", 4, ">I", 2**32 - 1),
        "2^32 chunks": _set(good, b"stco", 4, ">I", 2**32 - 1),
        "a chunk past the end": _set(good, b"stco", 8, ">I", 2**32 - 1),
        "2^32 groups of samples": _set(good, b"stsc", 4, ">I", 2**32 - 1),
        "a chunk of 2^32 samples": _set(good, b"stsc", 12, ">I", 2**32 - 1),
        "a time base of zero": _set(good, b"mdhd", 12, ">I", 0),
        "a time base of 2^32": _set(good, b"mdhd", 12, ">I", 2**32 - 1),
        "a film's time base of zero": _set(good, b"mvhd", 12, ">I", 0),
        "a duration of 2^32": _set(good, b"mdhd", 16, ">I", 2**32 - 1),
        "a negative matrix": _set(good, b"tkhd", 40, ">i", -(2**31)),
        "a box of no size": _set(good, b"moov", -8, ">I", 4),
        "a box that never ends": _set(good, b"moov", -8, ">I", 2**31),
        "boxes in boxes": _nested(good),
    }


def _nested(good: bytes) -> bytes:
    inner = b""
    for _ in range(3000):
        inner = _box(b"moov", _box(b"trak", inner))
    return good[: good.index(b"moov") - 4] + inner


def videos(good: dict[str, bytes], seed: int, count: int) -> Iterator[tuple[str, bytes]]:
    """Bad videos, by their file names: at least `count` of them. `good` are whole files by name; the first is an H.264
    MP4."""
    dice = random.Random(seed)
    first = next(iter(good.values()))
    fixed = {
        **{f"{what}.mp4": data for what, data in absurd(first).items()},
        "an empty file.mp4": b"",
        "a byte.mp4": b"\0",
        "zeros.mp4": bytes(1_000_000),
        "a zip bomb.mp4": _zip_of(bytes(50_000_000), dice),
        "a gzip bomb.mkv": gzip.compress(bytes(50_000_000), 9),
        "a page.mp4": b"<!doctype html><title>Video unavailable</title>",
        "a pointer.mp4": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "JSON.webm": b"[" * 100_000,
        "a playlist.mp4": b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n",
        "a list.mp4": b"ffconcat version 1.0\nfile /etc/passwd\n",
        "a picture of 2^31 pixels.mp4": b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I4sIIBBBBBI", 13, b"IHDR", 65535, 65535, 8, 2, 0, 0, 0, 0),
        "a picture of pictures.gif": b"GIF89a"
        + struct.pack("<HHBBB", 65535, 65535, 0x80, 0, 0)
        + bytes(6)
        + b"\x3b",
        "subtitles.mp4": b"1\n00:00:00,000 --> 00:00:01,000\nhello\n",
        "sound.mp4": b"RIFF\xff\xff\xff\xffWAVEfmt " + bytes(100),
    }
    yield from fixed.items()
    for number in range(max(0, count - len(fixed))):
        name = dice.choice(list(good))
        data = good[name]
        kind = dice.choice(("cut", "flip", "head", "swap", "noise", "double", "ending"))
        if kind == "cut":
            data = data[: dice.randrange(1, len(data))]
        elif kind == "flip":
            data = _flip(data, dice)
        elif kind == "head":
            data = _flip(data[:2000], dice) + data[2000:]
        elif kind == "swap":
            other = good[dice.choice(list(good))]
            cut = dice.randrange(1, min(len(data), len(other)))
            data = data[:cut] + other[cut:]
        elif kind == "noise":
            at = dice.randrange(len(data))
            data = data[:at] + dice.randbytes(500) + data[at + 500 :]
        elif kind == "double":
            data = data + data
        ending = (
            dice.choice(("mp4", "mkv", "avi", "ts", "gif")) if kind == "ending" else name.rpartition(".")[2]
        )
        yield f"{number} {kind} of {name}.{ending}", data
