"""The frame index: every visible frame's time, and where decoding must start to reach it.

Counts, durations and times come from here, never from the guesses in a file's header. MP4 and MOV files are
indexed from their sample tables; other containers by one demux pass, and the few whose packets carry no usable
times by one decode pass.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from kangaroo_eval.errors import MediaError
from kangaroo_eval.media import mp4
from kangaroo_eval.media.container import Orientation, open_video, orientation
from kangaroo_eval.media.failures import told_as_media_error

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

_MP4 = "mov,mp4,m4a,3gp,3g2,mj2"
# Containers whose seek lands on the keyframe asked for; `gop.py` checks that it did.
_SEEKABLE = {_MP4, "matroska,webm"}
# Packets to try for a first frame: more than any decoder holds back.
_TRIES = 200
# Packets that tell whether each is a frame, and those too few to tell.
_SOME, _FEW = 24, 4
_Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Index:
    """The visible frames of a file, in presentation order, and its packets, in decode order.

    `pts` (stream time base) and `times` (seconds from the first visible frame) have one entry a visible frame;
    so have `packet`, the position of the frame's packet in decode order, and `start`, the position of the
    keyframe from which decoding reaches it. `packet_pts` has one entry a packet.

    `raw`: times are those before the edit list. `seekable`: `start` can be sought. `counted`: packets carry no
    usable times, frames are told by the order in which they come out, and `packet`, `start` count frames.
    `absent` frames are in the sample table but past the end of the (truncated) file.
    """

    pts: _Ints
    times: NDArray[np.float64]
    packet: _Ints
    start: _Ints
    packet_pts: _Ints
    fps: float
    duration: float
    width: int
    height: int
    codec: str
    raw: bool = False
    seekable: bool = False
    counted: bool = False
    absent: int = 0


class _ByFields(Exception):
    """Packets that tell of no frames: two fields make one, in packets of their own, or they have no times."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Packets:
    """What was learnt of each packet, in decode order. `end` bounds the last frame (None: its duration)."""

    pts: _Ints
    duration: _Ints
    keyframe: NDArray[np.bool_]
    visible: NDArray[np.bool_]
    end: int | None = None
    absent: int = 0


def read(path: str) -> Index:
    """Index a video file. MissingVideo or MediaError, naming file and reason, where that cannot be done."""
    with told_as_media_error(path):
        with contextlib.suppress(_ByFields):
            return _by_packets(path)
        container, stream = open_video(path)
        with container:
            return _decoded(path, container, stream)


def _by_packets(path: str) -> Index:
    """Index the packets. `_ByFields` where a packet is no frame, or has no time of its own."""
    container, stream = open_video(path, raw=True)
    with container:
        packets = _tabled(path, container, stream) if container.format.name == _MP4 else None
        if packets is not None:
            return _index(path, container, stream, packets, raw=True)
    container, stream = open_video(path)
    with container:
        packets = _demuxed(container, stream)
        if packets is None:
            raise _ByFields
        return _index(path, container, stream, packets, raw=False)


def _tabled(path: str, container: InputContainer, stream: VideoStream) -> _Packets | None:
    """The packets by the MP4 sample table; None where it does not agree with what libav reads."""
    table = mp4.read(path, stream.id)
    if table is None or stream.time_base != Fraction(1, table.timescale):
        return None
    if len(np.unique(table.pts)) < len(table.pts) or not table.size.all():
        return None
    present = table.offset + table.size <= os.path.getsize(path)
    if not present.all():
        # A packet past the cut ends the file for every later one; what was shown is what came before.
        present = np.arange(len(present)) < np.argmin(present)
    first = next((packet for packet in container.demux(stream) if packet.size), None)
    if first is None or first.pts is None:
        return None
    if present.any() and (first.pos, first.size) != (int(table.offset[0]), int(table.size[0])):
        return None
    visible = table.pts >= table.edit_start
    if table.edit_end is not None:
        visible &= table.pts < table.edit_end
    # libav shifts all times by a constant where composition offsets are negative.
    shift = first.pts - int(table.pts[0])
    count = int(present.sum())
    return _Packets(
        pts=table.pts[:count] + shift,
        duration=table.duration[:count],
        keyframe=table.keyframe[:count],
        visible=visible[:count],
        end=None if table.edit_end is None else table.edit_end + shift,
        absent=int(visible[count:].sum()),
    )


def _demuxed(container: InputContainer, stream: VideoStream) -> _Packets | None:
    """The packets by reading the whole file; None where their times are missing or not unique."""
    pts: list[int] = []
    duration: list[int] = []
    keyframe: list[bool] = []
    visible: list[bool] = []
    # VP8 keeps frames that are only ever referred to in packets of their own; one bit says so.
    vp8 = stream.codec_context.name.startswith(("vp8", "libvpx"))
    try:
        for packet in container.demux(stream):
            if not packet.size:
                continue
            if packet.pts is None:
                return None
            pts.append(packet.pts)
            duration.append(packet.duration or 0)
            keyframe.append(packet.is_keyframe)
            shown = not vp8 or bool(memoryview(packet)[0] & 0x10)
            visible.append(shown and not packet.is_discard)
    except av.FFmpegError:
        # Damaged from here on: the frames before are the video.
        if not pts:
            raise
    shown_pts = [time for time, shown in zip(pts, visible, strict=True) if shown]
    if len(set(shown_pts)) < len(shown_pts):
        return None
    return _Packets(
        pts=np.array(pts, np.int64),
        duration=np.array(duration, np.int64),
        keyframe=np.array(keyframe, np.bool_),
        visible=np.array(visible, np.bool_),
    )


def _index(
    path: str, container: InputContainer, stream: VideoStream, packets: _Packets, *, raw: bool
) -> Index:
    """Put the visible frames in order and find the keyframe that each needs."""
    keys = np.flatnonzero(packets.keyframe)
    if not len(keys):
        keys = np.zeros(min(1, len(packets.pts)), np.int64)
    visible = packets.visible.copy()
    if len(keys):
        # What precedes the first keyframe, or leads it, refers to frames that are not in the file.
        visible[: keys[0]] = False
        visible &= packets.pts >= packets.pts[keys[0]]
    shown = np.flatnonzero(visible)
    if not len(shown):
        raise MediaError(f"{path}: no frame that could be decoded")
    order = shown[np.argsort(packets.pts[shown], kind="stable")]
    pts = packets.pts[order]
    unit = stream.time_base or Fraction(1, av.time_base)
    times = (pts - pts[0]) * unit.numerator / unit.denominator
    last = int(packets.duration[order[-1]])
    if packets.end is not None:
        last = min(last, packets.end - int(pts[-1]))
    fps, duration = _rate(times, float(last * unit), stream.average_rate)
    width, height = _shape(container, stream)
    hidden = not raw and not packets.visible.all()
    return Index(
        pts=pts,
        times=times,
        packet=order,
        start=_starts(order, keys, packets.pts),
        packet_pts=packets.pts,
        fps=fps,
        duration=duration,
        width=width,
        height=height,
        codec=stream.codec_context.codec.canonical_name,
        raw=raw,
        # Where libav applies an edit list itself, a seek may land among frames that it repeats or hides.
        seekable=container.format.name in _SEEKABLE and not (hidden and container.format.name == _MP4),
        absent=packets.absent,
    )


def _starts(frames: _Ints, keys: _Ints, pts: _Ints) -> _Ints:
    """For each frame's packet the keyframe before it in decode order that is also not after it in time: a
    picture that leads an open-GOP keyframe needs the GOP before."""
    which = np.maximum(np.searchsorted(keys, frames, side="right") - 1, 0)
    while True:
        leads = (pts[keys[which]] > pts[frames]) & (which > 0)
        if not leads.any():
            return keys[which]
        which = which - leads


def _rate(times: NDArray[np.float64], last: float, nominal: Fraction | None) -> tuple[float, float]:
    """Average frames a second, and the end of the last frame, `last` seconds long if that is known."""
    total = len(times)
    if last <= 0:
        gap = float(np.median(np.diff(times))) if total > 1 else 0.0
        last = gap or float(1 / nominal if nominal else Fraction(1, 25))
    duration = float(times[-1]) + last
    fps = total / duration
    # Containers that round times to milliseconds (Matroska) say the true rate apart from them.
    if nominal and abs(float(nominal) / fps - 1) < 1e-3:
        fps = float(nominal)
    return fps, duration


def _shape(container: InputContainer, stream: VideoStream) -> tuple[int, int]:
    """Width and height of an upright frame as it is to be seen, by the first that decodes: only frames tell their rotation.
    `_ByFields` where two packets make a frame."""
    width, height, turn = stream.codec_context.width, stream.codec_context.height, Orientation()
    stream.codec_context.thread_count = 1
    container.seek(0 if stream.start_time is None else stream.start_time, stream=stream)
    packets = islice((packet for packet in container.demux(stream) if packet.size), _TRIES)
    for fed, packet in enumerate(packets, 1):
        try:
            frames = stream.codec_context.decode(packet)
        except av.FFmpegError:
            continue
        if frames:
            width, height, turn = frames[0].width, frames[0].height, orientation(frames[0])
            if frames[0].interlaced_frame and _are_fields(stream, packets, fed, len(frames)):
                raise _ByFields
            break
    if not (width and height):
        raise ValueError("nothing in it can be decoded")
    width = _as_seen(width, stream.sample_aspect_ratio or stream.codec_context.sample_aspect_ratio)
    return (height, width) if turn.transpose else (width, height)


def _are_fields(stream: VideoStream, packets: Iterator[Packet[VideoStream]], fed: int, out: int) -> bool:
    """Whether interlaced pictures come in packets of one field each: of `fed` packets and some more far fewer frames come
    out."""
    for packet in islice(packets, _SOME):
        fed += 1
        with contextlib.suppress(av.FFmpegError):
            out += len(stream.codec_context.decode(packet))
    with contextlib.suppress(av.FFmpegError):
        out += len(stream.codec_context.decode(None))
    return fed > _FEW and out <= 0.7 * fed


def _as_seen(width: int, pixel: Fraction | None) -> int:
    """A width in square pixels; nothing is known of most files, and nonsense in some."""
    return round(width * pixel) if pixel and Fraction(1, 4) <= pixel <= 4 else width


def _decoded(path: str, container: InputContainer, stream: VideoStream) -> Index:
    """Index by decoding: frame k is the k-th to come out."""
    stream.codec_context.thread_type = "AUTO"
    pts: list[int | None] = []
    starts: list[int] = []
    shape = (0, 0)
    for packet in container.demux(stream):
        try:
            frames = stream.codec_context.decode(packet if packet.size else None)
        except av.FFmpegError:
            continue
        for frame in frames:
            starts.append(len(pts) if frame.key_frame or not pts else starts[-1])
            pts.append(frame.pts)
            wide = _as_seen(frame.width, stream.sample_aspect_ratio)
            upright = (frame.height, wide) if orientation(frame).transpose else (wide, frame.height)
            shape = shape if pts[1:] else upright
    if not pts:
        raise MediaError(f"{path}: nothing in it can be decoded")
    rate = stream.average_rate or Fraction(25)
    unit = stream.time_base or Fraction(1, av.time_base)
    known = [time for time in pts if time is not None]
    if len(known) == len(pts) and known == sorted(set(known)):
        times = np.array([float((time - known[0]) * unit) for time in known])
    else:
        times = np.arange(len(pts)) / float(rate)
    # Of pictures in two fields the stream tells how many fields a second there are.
    fps, duration = _rate(times, 0.0, rate)
    frames_out = np.arange(len(pts))
    return Index(
        pts=frames_out,
        times=times,
        packet=frames_out,
        start=np.array(starts, np.int64),
        packet_pts=frames_out,
        fps=fps,
        duration=duration,
        width=shape[0],
        height=shape[1],
        codec=stream.codec_context.codec.canonical_name,
        counted=True,
    )
