"""Opening a video file with libav: the right stream, and pictures that stand upright."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import av
import av.container
import av.stream
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from kangaroo_eval.errors import MediaError, MissingVideo

if TYPE_CHECKING:
    from collections.abc import Mapping

    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

# libav takes text for ANSI art, and playlists for videos in other files: neither is a benchmark's video.
_NOT_VIDEO = {"tty", "hls", "dash", "concat", "sdp", "imf"}
_STILLS = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails


def open_video(path: str, *, raw: bool = False) -> tuple[InputContainer, VideoStream]:
    """The opened file and its first video stream that is not cover art.

    `raw` ignores MP4 edit lists, so that packets carry the times of the sample tables. MissingVideo for an
    absent file; MediaError for one without video; libav's own errors for the rest.
    """
    if not os.path.exists(path):
        raise MissingVideo(f"{path}: no such file")
    if os.path.isdir(path):
        raise MediaError(f"{path}: is a folder, not a video file")
    if os.path.getsize(path) == 0:
        raise MediaError(f"{path}: the file is empty")
    options = {"ignore_editlist": "1"} if raw else {}
    # An absolute path cannot be taken for a protocol ("a:b.mp4"), nor may a file name another source.
    options["protocol_whitelist"] = "file"
    container = av.open(os.path.abspath(path), options=options)
    try:
        if container.format.name in _NOT_VIDEO:
            raise MediaError(f"{path}: not a video file ({container.format.name})")
        streams = [s for s in container.streams.video if not s.disposition & _STILLS]
        if not streams:
            raise MediaError(f"{path}: no video stream")
        # Streams of a kind that this build of libav cannot decode have no codec context.
        if streams[0].codec_context is None:
            raise MediaError(f"{path}: no decoder for its video stream")
    except MediaError:
        container.close()
        raise
    return container, streams[0]


@dataclass(frozen=True, slots=True)
class Orientation:
    """How stored pictures are turned to stand upright: swap the axes first, then mirror."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    def apply(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The (height, width, 3) picture upright."""
        if self.transpose:
            picture = picture.transpose(1, 0, 2)
        return picture[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1]


def orientation(frame: VideoFrame) -> Orientation:
    """The orientation that a frame's display matrix asks for; quarter turns and mirrors, nothing oblique.

    The matrix maps a stored point (x, y) to the shown point (a x + c y, b x + d y).
    """
    # PyAV finds side data by name too, which its stubs do not say.
    found = cast("Mapping[str, Any]", frame.side_data).get("DISPLAYMATRIX")
    data = b"" if found is None else bytes(found)
    if len(data) < 36:
        return Orientation()
    a, b, _, c, d, *_ = struct.unpack_from("=9i", data)
    if abs(b) + abs(c) > abs(a) + abs(d):
        return Orientation(transpose=True, flip_x=c < 0, flip_y=b < 0)
    return Orientation(flip_x=a < 0, flip_y=d < 0)


class Converter:
    """Turns decoded frames into upright RGB pictures. One a thread: it holds a libswscale context.

    Area averaging, in libswscale, which reads the frame's own colour range and matrix (BT.601 where the
    stream does not say, as FFmpeg does). Transfer curves (HDR) are left as they are.
    """

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def write(self, frame: VideoFrame, out: NDArray[np.uint8]) -> None:
        """Scale `frame` into `out`, uint8 of shape (height, width, 3)."""
        turn = orientation(frame)
        height, width = out.shape[:2]
        if turn.transpose:
            height, width = width, height
        rgb = self._reformatter.reformat(
            frame, width, height, "rgb24", interpolation=Interpolation.AREA, threads=1
        )
        plane = rgb.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)
        out[...] = turn.apply(rows[:, : width * 3].reshape(height, width, 3))
