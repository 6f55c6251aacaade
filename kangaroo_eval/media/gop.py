"""Decoding the packets that lead to wanted frames, and no others.

A `Task` is a run of packets from a keyframe to the last wanted frame that depends on it. A `Reader` is one
decoder on one opened file: a thread has its own, with a single-threaded decoder, because FFmpeg's frame threads
would have to be filled anew after every seek.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from kangaroo_eval.errors import MediaError
from kangaroo_eval.media.container import Converter, open_video

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

    from kangaroo_eval.media.index import Index

Keep = Callable[["VideoFrame", int], None]


class InexactSeek(Exception):
    """The packets after a seek are not those that the index promises."""


@dataclass(frozen=True, slots=True)
class Task:
    """Decode the packets `first`..`last`; `wanted` holds the positions of the wanted frames' packets."""

    first: int
    last: int
    wanted: frozenset[int]


@dataclass(slots=True)
class Outcome:
    """What decoding gave: `seen` holds the packet positions of the wanted frames that came out, `bad` the
    positions of packets that could not be decoded, or only by guessing what was lost."""

    seen: set[int] = field(default_factory=set)
    bad: set[int] = field(default_factory=set)

    def add(self, other: Outcome) -> None:
        """Take in another task's outcome."""
        self.seen |= other.seen
        self.bad |= other.bad


def may_skip(index: Index, stream: VideoStream) -> bool:
    """Whether non-reference frames can be left out without changing any other frame.

    H.264 says so of each picture. HEVC says only that no picture *of the same temporal layer* refers to it, so
    it holds for streams that have a single layer. Decoders of other codecs read the setting once, at opening,
    and then lose wanted frames.
    """
    if index.codec == "h264":
        return True
    header = stream.codec_context.extradata or b""
    # hvcC, ISO/IEC 14496-15 8.3.3.1: byte 21 holds 2 bits frame rate kind, 3 bits layers, 1 bit nesting, 2 bits.
    return index.codec == "hevc" and len(header) > 22 and header[0] == 1 and (header[21] >> 3) & 7 == 1


class Reader:
    """One decoder on the file at `path`. `keep` is called with each wanted frame and its packet's position."""

    def __init__(self, path: str, index: Index, threads: int, keep: Keep) -> None:
        self._index = index
        self._keep = keep
        self._container, self._stream = open_video(path, raw=index.raw)
        self._codec = self._stream.codec_context
        self._codec.thread_count = threads
        self._codec.thread_type = "FRAME" if threads > 1 else "NONE"
        if index.codec == "hevc":
            # Left to itself, the HEVC decoder drops a damaged slice without a word.
            self._codec.options = {"err_detect": "explode"}
        self._skips = may_skip(index, self._stream)

    def close(self) -> None:
        """Close the file."""
        self._container.close()

    def run(self, task: Task, *, skip: bool = True) -> Outcome:
        """Seek to the task's keyframe and decode it. InexactSeek where the seek does not find it."""
        self._container.seek(int(self._index.packet_pts[task.first]), stream=self._stream)
        return self._decode(task, self._from_key(task.first), skip and self._skips)

    def run_through(self, task: Task) -> Outcome:
        """Decode the task without seeking, from the start of a newly opened file."""
        if self._index.counted:
            return self._count(task)
        packets = (packet for packet in self._container.demux(self._stream) if packet.size)
        return self._decode(task, islice(packets, task.first, None), self._skips)

    def _from_key(self, position: int) -> Iterator[Packet[VideoStream]]:
        """The packets from the wanted keyframe on; a seek may land on an earlier one."""
        expected = self._index.packet_pts[position]
        found = False
        for packet in self._container.demux(self._stream):
            if not packet.size:
                continue
            found = found or packet.pts == expected
            if found:
                yield packet
            elif packet.pts is None or (packet.is_keyframe and packet.pts > expected):
                break
        if not found:
            raise InexactSeek

    def _decode(self, task: Task, packets: Iterator[Packet[VideoStream]], skips: bool) -> Outcome:
        span = self._index.packet_pts[task.first : task.last + 1].tolist()
        positions: dict[int | None, int] = {pts: task.first + offset for offset, pts in enumerate(span)}
        outcome = Outcome()
        position = task.first
        try:
            for packet in islice(packets, len(span)):
                if packet.pts != span[position - task.first]:
                    raise InexactSeek
                if packet.pts < span[0]:
                    # It leads the keyframe and refers to the GOP before, which was not decoded; nothing that
                    # is wanted of this task refers to it. Fed in, it would only look like damage.
                    position += 1
                    continue
                if skips:
                    self._codec.skip_frame = "DEFAULT" if position in task.wanted else "NONREF"
                for frame in self._feed(packet, position, outcome):
                    self._take(frame, positions.get(frame.pts), task, outcome)
                position += 1
        except av.FFmpegError:
            # The demuxer found no further packet in damaged data.
            outcome.bad.add(position)
        if position <= task.last:
            outcome.bad.add(position)
        for frame in self._feed(None, task.last, outcome):
            self._take(frame, positions.get(frame.pts), task, outcome)
        self._codec.flush_buffers()
        return outcome

    def _feed(self, packet: Packet[VideoStream] | None, position: int, outcome: Outcome) -> list[VideoFrame]:
        try:
            return self._codec.decode(packet)
        except av.FFmpegError:
            outcome.bad.add(position)
            return []

    def _take(self, frame: VideoFrame, position: int | None, task: Task, outcome: Outcome) -> None:
        """Keep the frame if it is wanted; note it, wanted or not, if libav had to patch it up, because others
        refer to it."""
        if position is None:
            return
        if frame.is_corrupt:
            outcome.bad.add(position)
        if position in task.wanted and position not in outcome.seen:
            outcome.seen.add(position)
            self._keep(frame, position)

    def _count(self, task: Task) -> Outcome:
        """Decode everything up to the last wanted frame, telling frames by the order they come out in."""
        outcome = Outcome()
        position = 0
        for packet in self._container.demux(self._stream):
            for frame in self._feed(packet if packet.size else None, position, outcome):
                self._take(frame, position, task, outcome)
                position += 1
            if position > task.last:
                break
        return outcome


class Canvas:
    """Where wanted frames go: `pixels` of shape (n, height, width, 3), and the slot of each packet position."""

    def __init__(self, pixels: NDArray[np.uint8], slots: dict[int, int]) -> None:
        self._pixels = pixels
        self._slots = slots

    def keeper(self) -> Keep:
        """A `keep` for one Reader: it has a converter of its own."""
        converter = Converter()

        def keep(frame: VideoFrame, position: int) -> None:
            converter.write(frame, self._pixels[self._slots[position]])

        return keep


def through(path: str, index: Index, task: Task, threads: int, canvas: Canvas) -> Outcome:
    """One sequential pass. Frame threads report damage late, so a damaged file is read again without them.
    MediaError where the file's packets are not those of its index."""
    reader = Reader(path, index, threads, canvas.keeper())
    try:
        outcome = reader.run_through(task)
    except InexactSeek as error:
        raise MediaError(f"{path}: its packets differ from one reading to the next") from error
    finally:
        reader.close()
    if threads > 1 and (outcome.bad or outcome.seen != task.wanted):
        return through(path, index, task, 1, canvas)
    return outcome
