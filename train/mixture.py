"""Where training rows come from, and in which order: sources, and a mixture of them by weight.

`Mixture.draw` is a pure function of its arguments: nothing is counted or kept, so that any worker of any rank can
ask for any draw, and a run goes on from one number.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

from kangaroo_eval.errors import DataError, MediaError, UserError
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.train.rows import BadRow, Policy, Row, read_manifest, told_of
from kangaroo_eval.types import Video

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kangaroo_eval.media.info import Info

log = logging.getLogger(__name__)

# Seconds. The frame on screen at a moment that floating point puts a hair before it, as in media.sampling.
_SLACK = 1e-6
# By how much a manifest's duration may be past the file's: a second, for those in whole seconds.
_TOLERANCE = 1.0


_ROUNDS = 6


class Source(Protocol):
    """Rows to train on. `identity` is a hash of what they are, so that a run does not go on with other data."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str: ...

    def __len__(self) -> int: ...

    def row(self, index: int, seed: int) -> Row:
        """The row at `index`, without pixels, and cheap. `seed` decides what is drawn anew each time, if anything.

        `Row.video` must be given where there are frames (a source without files names there what it paints), and
        `Row.seconds` known.
        """
        ...

    def frames(self, row: Row, times: Sequence[float], side: int) -> NDArray[np.uint8]:
        """What is on screen at `times` (seconds, as those of `Row.start`): uint8 RGB (n, h, w, 3).

        h and w are `side` where the source can paint that size. MediaError for a file that does not decode.
        """
        ...


@runtime_checkable
class Timed(Protocol):
    """A source of files, whose frames have times of their own, which are those that the network is told."""

    def shown(self, row: Row, times: Sequence[float]) -> tuple[float, ...]:
        """When the frames came on screen that are there at `times`, in seconds."""
        ...


class Draw(NamedTuple):
    """One draw: the source by its place, its row, and the seed of everything that is random about the sample."""

    source: int
    row: int
    seed: int


class Weighted(NamedTuple):
    """A source and its weight: its share of the draws is the weight over the sum of all."""

    source: Source
    weight: float = 1.0


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """Sources drawn from by weight.

    Of every `window` draws in a row (from 0, `window`, ... on) each source has the same number, its weight's share
    of the window rounded (largest remainders). Of a source, every row is drawn once before any is drawn again, each
    time in another order. UserError for no sources, an empty one, equal names, and a weight too small for a window.
    """

    sources: tuple[Weighted, ...]
    seed: int = 0
    window: int = 1024

    def __post_init__(self) -> None:
        if not self.sources or self.window < 1:
            raise UserError("a mixture needs at least one source, and a window of at least 1 draw")
        names = [source.name for source, _ in self.sources]
        if len(set(names)) < len(names):
            raise UserError(f"a mixture's sources need different names, not {', '.join(names)}")
        for source, weight in self.sources:
            if not 0 < weight < float("inf"):
                raise UserError(
                    f"source {source.name!r}: the weight {weight} must be above 0; leave it out for none"
                )
            if not len(source):
                raise UserError(f"source {source.name!r} has no rows")
        for (source, weight), quota in zip(self.sources, self.quotas, strict=True):
            if not quota:
                raise UserError(
                    f"source {source.name!r}: its weight {weight} is less than one draw of {self.window}: "
                    "raise it, or the mixture's window"
                )

    @property
    def quotas(self) -> tuple[int, ...]:
        """Draws of each source in a window."""
        return _quotas(tuple(weight for _, weight in self.sources), self.window)

    @property
    def identity(self) -> str:
        """A hash of the rows, weights and seed: two mixtures with the same one give the same draws."""
        told = [(each.source.name, each.source.identity, each.weight) for each in self.sources]
        return hashlib.sha256(repr((told, self.seed, self.window)).encode()).hexdigest()

    def draw(self, epoch: int, i: int) -> Draw:
        """The draw at `i`, 0 or more, without end. Every `epoch` is another order, and starts all rows anew."""
        if i < 0:
            raise ValueError(f"draw {i}: must be 0 or more")
        window, place = divmod(i, self.window)
        quotas = self.quotas
        source, nth = _order(quotas, f"{self.seed}/{epoch}/{window}")[place]
        turn, position = divmod(window * quotas[source] + nth, len(self.sources[source].source))
        row = _permuted(position, len(self.sources[source].source), f"{self.seed}/{epoch}/{source}/{turn}")
        return Draw(source, row, _hashed(f"draw/{self.seed}/{epoch}/{i}"))


@lru_cache(maxsize=16)
def _quotas(weights: tuple[float, ...], window: int) -> tuple[int, ...]:
    total = sum(weights)
    exact = [window * weight / total for weight in weights]
    quotas = [int(share) for share in exact]
    left = sorted(range(len(weights)), key=lambda each: quotas[each] - exact[each])
    for each in left[: window - sum(quotas)]:
        quotas[each] += 1
    return tuple(quotas)


@lru_cache(maxsize=16)
def _order(quotas: tuple[int, ...], seed: str) -> list[tuple[int, int]]:
    """For each draw of a window its source, and which draw of that source in the window it is."""
    slots = Dice(f"mixture/{seed}").shuffled(
        source for source, quota in enumerate(quotas) for _ in range(quota)
    )
    taken = [0] * len(quotas)
    out = []
    for source in slots:
        out.append((source, taken[source]))
        taken[source] += 1
    return out


def _permuted(position: int, size: int, seed: str) -> int:
    """Where a seeded permutation of range(size) sends `position`, without writing the permutation down.

    A Feistel network on the next larger square power of two, followed until it comes back into the range.
    """
    half = max(1, ((size - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = position >> half, position & mask
        for turn in range(_ROUNDS):
            left, right = right, left ^ (_hashed(f"{seed}/{turn}/{right}") & mask)
        position = left << half | right
        if position < size:
            return position


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


class _Length(NamedTuple):
    """What probing a clip told: its first frame's time and its length, in seconds, and its number of frames."""

    begin: float
    seconds: float
    total: int


class ManifestSource:
    """The rows of a manifest, whose videos and pictures the harness's own media code reads.

    Durations that the manifest does not give are probed when it is opened, and kept in the JSON file
    `<manifest's name>.durations.json` of `cache`, a folder (default: the manifest's own), by path, size and time of
    change of the video. A duration that the manifest gives is trusted until the file turns out to be shorter.

    DataError for a bad manifest, and for a video that cannot be probed; with `bad` "skip" such rows are logged and
    left out.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        *,
        root: Path | None = None,
        cache: Path | None = None,
        bad: Policy = "fail",
    ) -> None:
        self.name = name
        self._root = path.parent if root is None else root
        rows = read_manifest(path, root, bad)
        file = (path.parent if cache is None else cache) / f"{path.name}.durations.json"
        self._rows, unreadable = _probed(rows, file)
        if unreadable:
            told = told_of(path, unreadable, len(rows))
            if bad == "fail" or not self._rows:
                raise DataError(f"{told}; mend or remove them, or have them left out with --on-bad skip")
            log.warning("%s; left out", told)
        self.identity = self._hash()

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, index: int, seed: int) -> Row:
        """The row at `index`; nothing about it is random."""
        return self._rows[index]

    def frames(self, row: Row, times: Sequence[float], side: int) -> NDArray[np.uint8]:
        """uint8 RGB (n, side, side, 3), as the harness decodes and scales it. A frame that is on screen at several
        of `times` (sorted, in seconds) comes several times; a picture, at all of them."""
        import numpy as np

        from kangaroo_eval.media import decode

        if row.image:
            return np.repeat(_picture(row, side)[None], len(times), axis=0)
        info = _info(_video(row))
        places = _on_screen(row, info, times)
        distinct, slots = np.unique(places, return_inverse=True)
        return decode(_video(row), info, distinct.tolist(), (side, side), 1).pixels[slots]

    def shown(self, row: Row, times: Sequence[float]) -> tuple[float, ...]:
        """The times of the frames on screen at `times`: what the harness tells the network of them too."""
        if row.image:
            return tuple(times)
        info = _info(_video(row))
        return tuple(info.times[_on_screen(row, info, times)].tolist())

    def _hash(self) -> str:
        """Of the rows with their lengths; paths are those within the root, so that data may be moved."""
        digest = hashlib.sha256()
        for row in self._rows:
            path = None if row.video is None else os.path.relpath(row.video, self._root)
            told = (row.id, path, row.image, row.start, row.end, row.duration, row.total)
            # A prefill is told where there is one: manifests without go by the hash that they always had.
            spoken = [
                (each.role, each.content, *([each.prefill] if each.prefill else [])) for each in row.messages
            ]
            digest.update(json.dumps([told, spoken]).encode() + b"\n")
        return digest.hexdigest()


def _video(row: Row) -> Video:
    return Video(str(row.video), start=row.start, end=row.end)


@lru_cache(maxsize=4)
def _info(video: Video) -> Info:
    # Kept, because `shown` and `frames` follow each other.
    from kangaroo_eval.media import probe

    return probe(video)


def _on_screen(row: Row, info: Info, times: Sequence[float]) -> NDArray[np.int64]:
    """The clip's frames on screen at `times`; MediaError where the file ends before the row says."""
    import numpy as np

    begin = float(info.times[0])
    if row.seconds is not None and row.begin + row.seconds > begin + info.duration + _TOLERANCE:
        raise MediaError(
            f"{row.video}: the manifest's clip ends at {row.begin + row.seconds:.2f} s, the video at "
            f"{begin + info.duration:.2f} s"
        )
    places = np.searchsorted(info.times, np.asarray(times) + _SLACK, side="right") - 1
    return np.clip(places, 0, info.total - 1)


def _picture(row: Row, side: int) -> NDArray[np.uint8]:
    import numpy as np

    from kangaroo_eval.media import pictures
    from kangaroo_eval.media.container import Converter
    from kangaroo_eval.media.failures import told_as_media_error

    frame, why = pictures.load(str(row.video))
    if frame is None or frame.is_corrupt:
        raise MediaError(f"{row.video}: not a picture ({why if frame is None else 'damaged'})")
    pixels = np.zeros((side, side, 3), np.uint8)
    with told_as_media_error(str(row.video)):
        Converter().write(frame, pixels)
    return pixels


def _probed(rows: list[Row], cache: Path) -> tuple[list[Row], list[BadRow]]:
    """The rows with the lengths of their clips, and those whose video cannot be probed."""
    known = _read_cache(cache)
    used: dict[str, list[Any]] = {}
    good, bad = [], []
    for number, row in enumerate(rows):
        if row.video is None or row.image or row.duration is not None:
            good.append(row)
            continue
        try:
            key, length = _length(row, known)
        except (MediaError, OSError) as error:
            bad.append(BadRow(f"row {number} (id {row.id!r})", str(error)))
        else:
            used[key] = list(length)
            end = None if row.end is None else length.begin + length.seconds
            start = None if row.start is None else length.begin
            until = length.begin + length.seconds
            good.append(replace(row, start=start, end=end, duration=until, total=length.total))
    if used.keys() - known.keys():
        _write_cache(cache, used)
    return good, bad


def _length(row: Row, known: dict[str, list[Any]]) -> tuple[str, _Length]:
    from kangaroo_eval.media import probe

    assert row.video is not None
    state = row.video.stat()
    key = json.dumps([str(row.video), state.st_size, state.st_mtime_ns, row.start, row.end])
    if key in known:
        return key, _Length(*known[key])
    info = probe(_video(row))
    return key, _Length(float(info.times[0]), float(info.duration), info.total)


def _read_cache(file: Path) -> dict[str, list[Any]]:
    """What an earlier opening found; nothing where the file is not there or not one of ours."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: value for key, value in found.items() if _is_length(value)}


def _is_length(value: object) -> bool:
    return isinstance(value, list) and [type(each) for each in value] == [float, float, int]


def _write_cache(file: Path, entries: dict[str, list[Any]]) -> None:
    # Under another name first: several ranks may open the same manifest at once.
    part = file.with_name(f".{file.name}.{uuid.uuid4().hex}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(entries), encoding="utf-8")
        os.replace(part, file)
    except OSError as error:
        log.warning("%s: durations are not kept there and will be probed again (%s)", file, error.strerror)
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
