"""Perceptual hashes of frames: near-duplicates among clips, and clips that a benchmark holds.

The hash is the usual pHash: signs of the low frequencies of a 32 x 32 cosine transform against their median, 64 bits. A mirrored
copy has another hash, so each frame is hashed both ways.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from kangaroo_eval.errors import UserError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

NEAR = 10
"""Bits of 64 in which two pictures of the same may differ: re-encoding, half the size and brighter are at most 6 off, other
videos 30 and more."""
NEAR_PICTURES = 6
"""The same for a picture alone, which has no second frame to confirm it: of two that have nothing in common, one pair in 10^8
is within 10 bits by chance, and a web set has 10^8 pictures to compare each with; within 6 bits it is one in 10^11."""
_MOST_NEAR = 15
_CONFIRMED = 2
LEAST = 0.5
"""The share of a clip's frames that must be found in another one."""


def of_frames(frames: Sequence[NDArray[np.uint8]]) -> dict[str, list[str]]:
    """`plain` and `mirrored`: the hash of each frame (h, w, 3) as 16 hex digits, "" for one without detail (black, blank),
    which would be like any other such."""
    found: dict[str, list[str]] = {"plain": [], "mirrored": []}
    for frame in frames:
        found["plain"].append(phash(frame))
        found["mirrored"].append(phash(frame[:, ::-1]))
    return found


def phash(frame: NDArray[np.uint8]) -> str:
    """The 64-bit hash of a picture (h, w, 3) as 16 hex digits, "" for one without detail."""
    import cv2
    import numpy as np

    gray = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    square = cv2.resize(gray, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32)
    if float(square.std()) < 2.0:
        return ""
    low = cv2.dct(square)[:8, :8].flatten()
    bits = low > np.median(low[1:])
    return f"{int(''.join('1' if bit else '0' for bit in bits), 2):016x}"


def distance(a: str, b: str) -> int:
    """Bits in which two hashes differ."""
    return (int(a, 16) ^ int(b, 16)).bit_count()


class Match(NamedTuple):
    """A clip that shows what another does: the share of its frames that are found there."""

    id: str
    other: str
    share: float


class Index:
    """Finds clips by their frames, without comparing each with each. Of the 8 bytes of two hashes at most 15 bits apart one
    differs in at most one bit: each byte is looked up as it is and with every bit changed, so that none is missed up to there.
    All frames' hashes are held in memory."""

    def __init__(self, near: int = NEAR) -> None:
        if not 0 <= near <= _MOST_NEAR:
            raise UserError(f"{near} bits: give 0 to {_MOST_NEAR}, up to which the index misses none")
        self._near = near
        self._bands: dict[tuple[int, int], set[tuple[str, str]]] = defaultdict(set)
        self._frames: dict[str, set[str]] = defaultdict(set)

    def add(self, name: str, hashes: Iterable[str]) -> None:
        """Add a clip's frames."""
        kept = set(filter(None, hashes))
        self._frames[name] |= kept
        for found in kept:
            for place, value in enumerate(bytes.fromhex(found)):
                self._bands[place, value].add((name, found))

    def matches(self, hashes: Mapping[str, Sequence[str]], *, either: bool = False) -> dict[str, float]:
        """Clips in the index -> the share of these frames (plain or mirrored, whichever is more) that they hold; with `either`
        the share of theirs that these hold, where that is more: of a long video and a clip of it only the clip's frames are
        all in the other."""
        best: dict[str, float] = {}
        for way in ("plain", "mirrored"):
            frames = [each for each in hashes.get(way, ()) if each]
            counts: dict[str, int] = defaultdict(int)
            theirs: dict[str, set[str]] = defaultdict(set)
            for found in frames:
                near = {each for each in self._near_ones(found) if distance(found, each[1]) <= self._near}
                for name in {name for name, _ in near}:
                    counts[name] += 1
                for name, other in near:
                    theirs[name].add(other)
            for name, count in counts.items():
                share = count / len(frames)
                # One frame alone may be alike by chance, or a title card that any film has.
                if either and len(theirs[name]) >= _CONFIRMED:
                    share = max(share, len(theirs[name]) / len(self._frames[name]))
                best[name] = max(best.get(name, 0.0), share)
        return best

    def _near_ones(self, found: str) -> Iterator[tuple[str, str]]:
        for place, value in enumerate(bytes.fromhex(found)):
            for changed in (value, *(value ^ (1 << bit) for bit in range(8))):
                yield from self._bands.get((place, changed), ())


def contaminated(
    rows: Iterable[Mapping[str, object]],
    benchmark: Iterable[Mapping[str, object]],
    least: float = LEAST,
    near: int = NEAR,
) -> list[Match]:
    """The rows that show what a benchmark's video shows, or a part of one: nothing that matches goes into training. The
    benchmark's rows are best its shots, as `rows` are: of a whole long video too few frames are known."""
    index = Index(near)
    for row in benchmark:
        index.add(str(row["id"]), _plain(row))
    return [match for row in rows if (match := _best(index, row, least, either=True)) is not None]


def duplicates(rows: Iterable[Mapping[str, object]], least: float = LEAST, near: int = NEAR) -> list[Match]:
    """The rows that show what an earlier one does; of those alike the one with the smallest id stays, whatever the order
    in which they come."""
    index = Index(near)
    found = []
    for row in sorted(rows, key=lambda each: str(each["id"])):
        match = _best(index, row, least)
        if match is not None:
            found.append(match)
        else:
            index.add(str(row["id"]), _plain(row))
    return found


def _plain(row: Mapping[str, object]) -> list[str]:
    hashes = row.get("hashes")
    return list(hashes["plain"]) if isinstance(hashes, Mapping) else []


def _best(index: Index, row: Mapping[str, object], least: float, *, either: bool = False) -> Match | None:
    hashes = row.get("hashes")
    if not isinstance(hashes, Mapping):
        return None
    found = {name: share for name, share in index.matches(hashes, either=either).items() if share >= least}
    if not found:
        return None
    other = min(found, key=lambda name: (-found[name], name))
    return Match(str(row["id"]), other, found[other])
