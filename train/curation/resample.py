"""Clips written anew at 4 frames a second with a keyframe every 2 seconds (Section III.E): small, and quick to seek in.

Times stay true: each frame keeps the second at which it was on screen, counted from the clip's start, for the model is told it
(Eq. 3).
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from kangaroo_eval.errors import RunFailed
from kangaroo_eval.train.curation.probe import fitted
from kangaroo_eval.train.curation.stage import Row
from kangaroo_eval.types import Video

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kangaroo_eval.media.info import Info

_BASE = Fraction(1, 90000)
_CHUNK = 64
_DISK = {
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.ENOENT, errno.ENOTDIR),
}
"""What goes wrong with writing. Videos that cannot be read are MediaErrors."""


@dataclass(frozen=True, kw_only=True)
class Resample:
    """H.264 files in the folder `out`, `fps` frames a second (of a file with fewer, all), a keyframe every `gop` frames, the longer
    side at most `side` pixels, at quality `crf`."""

    out: str
    fps: float = 4.0
    gop: int = 8
    side: int = 640
    crf: int = 20
    name: ClassVar[str] = "resample"
    version: ClassVar[int] = 1

    def setup(self) -> None:
        """Nothing to load."""

    def one(self, row: Row) -> list[Row]:
        """The row about the new file: `path` is that, `start` and `end` are gone, `origin` says where it came from."""
        from kangaroo_eval.media import probe

        video = Video(row["path"], start=row.get("start"), end=row.get("end"))
        info = probe(video)
        path = Path(self.out) / file_name(str(row["id"]))
        part = path.with_name(f".{path.stem}.{os.getpid()}.part.mp4")
        try:
            self._write(part, video, info)
            os.replace(part, path)
        except OSError as error:
            if error.errno in _DISK:
                # No video's fault: as a row's error it would count as done.
                raise RunFailed(
                    f"{path} cannot be written: {error.strerror}; what is done stays, and the same command goes on"
                ) from error
            raise
        finally:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
        origin = {"path": row["path"], "start": row.get("start"), "end": row.get("end")}
        kept = {key: value for key, value in row.items() if key not in ("start", "end")}
        return [{**kept, "path": str(path), "duration": round(info.duration, 3), "origin": origin}]

    def places(self, times: Sequence[float], duration: float) -> list[int]:
        """The frames of a clip, whose frames come at `times` (seconds), that are on screen at `fps` moments a second."""
        import numpy as np

        begin = float(times[0])
        moments = np.arange(begin, begin + duration - 1e-6, 1 / self.fps)
        found: list[int] = np.unique(
            np.clip(np.searchsorted(times, moments + 1e-6, side="right") - 1, 0, len(times) - 1)
        ).tolist()
        return found

    def _write(self, path: Path, video: Video, info: Info) -> None:
        import av

        places = self.places(info.times.tolist(), info.duration)
        height, width = fitted(info.height, info.width, self.side)
        begin = float(info.times[0])
        with av.open(str(path), "w", format="mp4") as container:
            options = {"crf": str(self.crf), "g": str(self.gop), "bf": "0", "sc_threshold": "0"}
            stream = container.add_stream(
                "libx264", rate=Fraction(self.fps).limit_denominator(1000), options=options
            )
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            stream.time_base = stream.codec_context.time_base = _BASE
            stream.thread_count = 1
            for place, pixels in zip(places, _frames(video, info, places, (height, width)), strict=True):
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = round((float(info.times[place]) - begin) / _BASE), _BASE
                container.mux(stream.encode(frame))
            container.mux(stream.encode())


def _frames(
    video: Video, info: Info, places: Sequence[int], shape: tuple[int, int]
) -> Iterator[NDArray[np.uint8]]:
    from kangaroo_eval.media import decode

    for first in range(0, len(places), _CHUNK):
        yield from decode(video, info, places[first : first + _CHUNK], shape, 1).pixels


def file_name(identity: str) -> str:
    """A file's name for a clip's id, which may hold anything: readable, and different for different ids."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "-", identity).strip("-.")[:80]
    return f"{readable or 'clip'}-{hashlib.blake2b(identity.encode(errors='surrogateescape'), digest_size=4).hexdigest()}.mp4"
