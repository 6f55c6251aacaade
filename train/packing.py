"""Which documents share a pack: first-fit decreasing, planned before anything is decoded.

A pack holds whole documents, at most so many tokens and frames of them. The plan is a pure function of the
documents' sizes and a seed, so every rank and every worker makes the same one, without a word between them.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.miniworld.dice import Dice


class PackStats(NamedTuple):
    """How well packs are filled: `ratio` is documents a pack, `wasted` the share of their tokens that is padding,
    were each filled up to the cap."""

    packs: int
    documents: int
    ratio: float
    wasted: float

    @classmethod
    def of(cls, packs: Sequence[Sequence[int]], lengths: Sequence[int], tokens: int) -> PackStats:
        """Of packs of documents that have `lengths` tokens, under a cap of `tokens`. ValueError for no packs."""
        if not packs:
            raise ValueError("no packs to tell of")
        documents = sum(len(pack) for pack in packs)
        used = sum(lengths[document] for pack in packs for document in pack)
        return cls(len(packs), documents, documents / len(packs), 1 - used / (tokens * len(packs)))


def plan_packs(
    lengths: Sequence[int],
    frames: Sequence[int],
    *,
    tokens: int,
    max_frames: int,
    seed: int | str,
    names: Sequence[str] = (),
) -> list[list[int]]:
    """The documents of each pack, by their positions in `lengths` (tokens) and `frames`; each is in one pack.

    A pack has at most `tokens` tokens and `max_frames` frames. Documents are taken from the largest to the smallest
    and each goes into the first pack with room; `seed` decides between equally large ones, and the order of the
    packs, so that training does not meet the large ones first. UserError for a document that fits no pack,
    with its name where `names` are given.
    """
    count = len(lengths)
    for place, (length, shown) in enumerate(zip(lengths, frames, strict=True)):
        if length < 1 or shown < 0:
            raise ValueError(f"document {place} has {length} tokens and {shown} frames")
        if length > tokens or shown > max_frames:
            raise UserError(
                f"{names[place] if names else f'document {place}'}: {length} tokens and {shown} frames do not fit a "
                f"pack of {tokens} tokens and {max_frames} frames: shorten its text, show fewer frames, or raise the cap"
            )
    dice = Dice(f"packs/{seed}")
    # By the larger share of a pack, of its tokens or of its frames; in whole numbers.
    shares = [
        (max(length * max_frames, shown * tokens), length)
        for length, shown in zip(lengths, frames, strict=True)
    ]
    order = sorted(dice.shuffled(range(count)), key=shares.__getitem__, reverse=True)
    packs: list[list[int]] = []
    room = _Room(max(1, count), tokens, max_frames)
    for place in order:
        pack = room.take(lengths[place], frames[place])
        if pack == len(packs):
            packs.append([])
        packs[pack].append(place)
    return dice.shuffled(packs)


class _Room:
    """The room left in each pack, as a segment tree over packs whose nodes hold the most of both kinds below them.

    The two maxima of a node may be of different packs, so a search can come to a leaf in vain and goes on to its right.
    """

    def __init__(self, packs: int, tokens: int, frames: int) -> None:
        self._size = 1 << (packs - 1).bit_length()
        self._tokens = [tokens] * (2 * self._size)
        self._frames = [frames] * (2 * self._size)

    def take(self, tokens: int, frames: int) -> int:
        """Put a document into the first pack with room for it; which one that is."""
        most_tokens, most_frames, node = self._tokens, self._frames, 1
        while node < self._size or most_tokens[node] < tokens or most_frames[node] < frames:
            if most_tokens[node] >= tokens and most_frames[node] >= frames:
                node *= 2
                continue
            while node & 1:
                node >>= 1
            assert node, "there is an empty pack for every document"
            node += 1
        found = node - self._size
        most_tokens[node] -= tokens
        most_frames[node] -= frames
        while node > 1:
            node >>= 1
            left, right = 2 * node, 2 * node + 1
            most_tokens[node] = max(most_tokens[left], most_tokens[right])
            most_frames[node] = max(most_frames[left], most_frames[right])
        return found


def shard(
    packs: Sequence[Sequence[int]], rank: int, ranks: int, micro_batches: int = 1
) -> list[tuple[int, ...]]:
    """The packs of one rank of `ranks`: as many on each, and a multiple of `micro_batches`.

    Where the packs do not come out even, no document is left out and none is repeated: the packs with the most
    documents are split until they do, at the price of fewer than `ranks` * `micro_batches` emptier packs. Where each
    holds a single document already, the last packs are empty: their ranks have nothing to do that time.
    """
    if not 0 <= rank < ranks or micro_batches < 1:
        raise ValueError(f"rank {rank} of {ranks}, {micro_batches} micro-batches")
    return _levelled(packs, ranks * micro_batches)[rank::ranks]


def _levelled(packs: Sequence[Sequence[int]], multiple: int) -> list[tuple[int, ...]]:
    """Packs, some of them split, so that their number is a multiple of `multiple`."""
    out = [tuple(pack) for pack in packs]
    fullest = [(-len(pack), place) for place, pack in enumerate(out)]
    heapq.heapify(fullest)
    while len(out) % multiple:
        size, place = fullest[0] if fullest else (0, 0)
        if size > -2:
            return out + [()] * (-len(out) % multiple)
        heapq.heappop(fullest)
        pack = out[place]
        middle = len(pack) // 2
        out[place] = pack[:middle]
        out.append(pack[middle:])
        for new in (place, len(out) - 1):
            heapq.heappush(fullest, (-len(out[new]), new))
    return out
