"""The sample tables of an MP4 or MOV file: every frame's time and place without reading the frames.

Only the `moov` box is read (a few hundred KB for an hour of video), where a demux pass reads the whole file.
What is unusual (fragments, several edits, encryption, changing codecs, tables that disagree) gives None: the
caller then demuxes, which is always right and merely slower.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

# A moov box of an hour of video takes a few MB, and has 10^5 samples. Past these a count is surely damaged.
_MAX_MOOV = 1 << 28
_MAX_SAMPLES = 1 << 24
_Boxes = dict[bytes, list[memoryview]]


class Unusual(ValueError):
    """The file is not a plain MP4 with one sample table a track; demuxing will tell what it is."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Table:
    """One track: arrays over its samples in decode order, times in units of `1 / timescale` seconds.

    `pts` is decode time + composition offset, before the edit list. Samples are visible where
    `edit_start <= pts < edit_end` (`edit_end` None: to the end). `offset` and `size` are bytes in the file.
    """

    timescale: int
    pts: NDArray[np.int64]
    duration: NDArray[np.int64]
    keyframe: NDArray[np.bool_]
    offset: NDArray[np.int64]
    size: NDArray[np.int64]
    edit_start: int
    edit_end: int | None


def read(path: str, track_id: int) -> Table | None:
    """The table of track `track_id`, or None where the file must be demuxed instead. OSError if unreadable."""
    try:
        return _table(_moov(path), track_id)
    except (Unusual, struct.error, IndexError, KeyError, OverflowError):
        return None


def _moov(path: str) -> memoryview:
    with open(path, "rb") as file:
        for kind, start, end in _top_level(file, os.fstat(file.fileno()).st_size):
            if kind == b"moof":
                raise Unusual("fragmented")
            if kind == b"moov":
                if end - start > _MAX_MOOV:
                    raise Unusual("moov too large")
                file.seek(start)
                return memoryview(file.read(end - start))
    raise Unusual("no moov")


def _top_level(file: BinaryIO, file_size: int) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of the content of each top-level box."""
    at = 0
    while at + 8 <= file_size:
        file.seek(at)
        head = file.read(16)
        size, kind = struct.unpack_from(">I4s", head)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", head, 8)
            header = 16
        if size == 0:
            size = file_size - at
        if size < header:
            raise Unusual("box smaller than its header")
        yield kind, at + header, min(at + size, file_size)
        at += size


def _children(box: memoryview) -> _Boxes:
    found: _Boxes = {}
    at = 0
    while at + 8 <= len(box):
        size, kind = struct.unpack_from(">I4s", box, at)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", box, at + 8)
            header = 16
        if size == 0:
            size = len(box) - at
        if size < header or at + size > len(box):
            raise Unusual("box does not fit into its parent")
        found.setdefault(kind, []).append(box[at + header : at + size])
        at += size
    return found


def _table(moov: memoryview, track_id: int) -> Table:
    boxes = _children(moov)
    if b"mvex" in boxes:
        raise Unusual("fragmented")
    movie_scale = _timescale(boxes[b"mvhd"][0])
    for trak in boxes[b"trak"]:
        track = _children(trak)
        if _track_id(track[b"tkhd"][0]) == track_id:
            break
    else:
        raise Unusual("track not found")
    media = _children(track[b"mdia"][0])
    timescale = _timescale(media[b"mdhd"][0])
    samples = _children(_children(media[b"minf"][0])[b"stbl"][0])
    if struct.unpack_from(">I", samples[b"stsd"][0], 4)[0] != 1:
        raise Unusual("several sample descriptions")
    size = _sizes(samples[b"stsz"][0])
    count = len(size)
    duration = _expand(samples[b"stts"][0], count, ">u4")
    pts = np.cumsum(duration) - duration
    if b"ctts" in samples:
        # Version 0 says unsigned, but muxers write negative offsets in it too; nothing real needs bit 31.
        pts = pts + _expand(samples[b"ctts"][0], count, ">i4")
    keyframe = np.ones(count, dtype=np.bool_)
    if b"stss" in samples:
        keyframe = np.zeros(count, dtype=np.bool_)
        keyframe[_entries(samples[b"stss"][0], 1, ">u4")[:, 0] - 1] = True
    start, end = _edit(track, timescale, movie_scale)
    return Table(
        timescale=timescale,
        pts=pts,
        duration=duration,
        keyframe=keyframe,
        offset=_offsets(samples, size),
        size=size,
        edit_start=start,
        edit_end=end,
    )


def _timescale(header: memoryview) -> int:
    """The timescale of an mvhd or mdhd box."""
    (scale,) = struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)
    if scale == 0:
        raise Unusual("timescale 0")
    return int(scale)


def _track_id(header: memoryview) -> int:
    return int(struct.unpack_from(">I", header, 20 if header[0] == 1 else 12)[0])


def _entries(box: memoryview, columns: int, kind: str, head: int = 8) -> NDArray[np.int64]:
    """The rows of a table box whose row count is the last word of its `head` bytes."""
    (rows,) = struct.unpack_from(">I", box, head - 4)
    if head + rows * columns * np.dtype(kind).itemsize > len(box):
        raise Unusual("table longer than its box")
    return np.frombuffer(box, kind, rows * columns, head).astype(np.int64).reshape(rows, columns)


def _expand(box: memoryview, count: int, value_kind: str) -> NDArray[np.int64]:
    """A run-length table (run, value) as one value a sample."""
    runs = _entries(box, 2, ">u4")[:, 0]
    if int(runs.sum()) < count:
        raise Unusual("fewer times than samples")
    values = _entries(box, 2, value_kind)[:, 1]
    # Cut the runs to the sample count first, so that a damaged run length cannot ask for much memory.
    ends = np.minimum(np.cumsum(runs), count)
    return np.repeat(values, np.diff(ends, prepend=0))


def _sizes(box: memoryview) -> NDArray[np.int64]:
    same, count = struct.unpack_from(">II", box, 4)
    if count == 0:
        raise Unusual("no samples")
    if same:
        if count > _MAX_SAMPLES:
            raise Unusual("sample count")
        return np.full(count, same, dtype=np.int64)
    return _entries(box, 1, ">u4", head=12)[:, 0]


def _offsets(samples: _Boxes, size: NDArray[np.int64]) -> NDArray[np.int64]:
    """Each sample's place in the file: its chunk's place and the samples before it in the chunk."""
    if b"stco" in samples:
        chunks = _entries(samples[b"stco"][0], 1, ">u4")[:, 0]
    else:
        chunks = _entries(samples[b"co64"][0], 1, ">i8")[:, 0]
    layout = _entries(samples[b"stsc"][0], 3, ">u4")
    first = layout[:, 0] - 1
    runs = np.diff(first, append=len(chunks))
    if len(first) == 0 or first[0] != 0 or (runs < 0).any():
        raise Unusual("stsc")
    per_chunk = np.repeat(layout[:, 1], runs)
    if int(per_chunk.sum()) < len(size):
        raise Unusual("fewer chunks than samples")
    ends = np.minimum(np.cumsum(per_chunk), len(size))
    chunk = np.repeat(np.arange(len(chunks)), np.diff(ends, prepend=0))
    before = np.cumsum(size) - size
    first_in_chunk = np.minimum(np.concatenate(([0], ends[:-1])), len(size) - 1)
    offset: NDArray[np.int64] = chunks[chunk] + before - before[first_in_chunk[chunk]]
    return offset


def _edit(track: _Boxes, timescale: int, movie_scale: int) -> tuple[int, int | None]:
    """The visible range of media time. A leading empty edit only delays the track, which times relative to
    the first visible frame do not show; more than one real edit is left to the demuxer."""
    if b"edts" not in track:
        return np.iinfo(np.int64).min, None
    inner = _children(track[b"edts"][0])
    if b"elst" not in inner:
        return np.iinfo(np.int64).min, None
    box = inner[b"elst"][0]
    wide = box[0] == 1
    row = ">Qqhh" if wide else ">Iihh"
    (rows,) = struct.unpack_from(">I", box, 4)
    edits = [struct.unpack_from(row, box, 8 + i * struct.calcsize(row)) for i in range(min(rows, 4))]
    real = [edit for edit in edits if edit[1] >= 0]
    if rows > 3 or len(real) != 1 or edits[-1] is not real[0] or real[0][2:] != (1, 0):
        raise Unusual("several edits")
    duration, start = real[0][:2]
    if duration == 0:
        return start, None
    return start, start + round(duration * timescale / movie_scale)
