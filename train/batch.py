"""One encoded sample, and several of them side by side as what one forward pass reads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

IGNORED = -100
"""The target of a position that is no target: torch's `ignore_index`."""


@dataclass(frozen=True, slots=True, eq=False)
class Spelling:
    """Visual tokens in words: the k-th word is token `words[k]` with `weights[k]` at visual token `cells[k]`, all three of
    shape (words,); `times` (visual tokens,), float64, are the seconds of each."""

    cells: Tensor
    words: Tensor
    weights: Tensor
    times: Tensor

    @classmethod
    def of(cls, found: Sequence[tuple[int, int, float]], times: Sequence[float]) -> Spelling:
        """Visual token, word and weight of each word, and the times."""
        return cls(
            torch.tensor([cell for cell, _, _ in found], dtype=torch.int64),
            torch.tensor([word for _, word, _ in found], dtype=torch.int64),
            torch.tensor([weight for _, _, weight in found], dtype=torch.float32),
            torch.tensor(times, dtype=torch.float64),
        )

    @classmethod
    def joined(cls, parts: Sequence[Spelling]) -> Spelling:
        """Those of several videos, one behind the other."""
        starts = itertools.accumulate((len(part.times) for part in parts), initial=0)
        return cls(
            torch.cat([part.cells + start for part, start in zip(parts, starts, strict=False)]),
            torch.cat([part.words for part in parts]),
            torch.cat([part.weights for part in parts]),
            torch.cat([part.times for part in parts]),
        )

    def to(self, device: torch.device | str) -> Spelling:
        """The same on another device; times stay."""
        return Spelling(self.cells.to(device), self.words.to(device), self.weights.to(device), self.times)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Document:
    """One training sample as the network reads it.

    `ids`: token ids with the visual sequence written out (`KangarooProcessor.visual_ids`). `labels`: the same id
    where the token is generated text, `IGNORED` elsewhere; not shifted. `pixels`: uint8 RGB (n, 3, side, side) of its
    video, None for text alone. `times`: the n times of its frames, in seconds. `name`: where it comes from, for messages.
    `branches`: the lengths of its last parts where these stand apart, each of which sees what comes before all of them
    (the video) and itself: several questions about one video, each as if it were the only one. `spelling`: what its visual
    tokens show, where that is known.
    """

    ids: tuple[int, ...]
    labels: tuple[int, ...]
    pixels: Tensor | None = None
    times: tuple[float, ...] = ()
    name: str = ""
    branches: tuple[int, ...] = ()
    spelling: Spelling | None = None

    def __post_init__(self) -> None:
        if sum(self.branches) >= len(self.ids):
            raise ValueError(
                f"{self.name}: branches of {self.branches} tokens leave none of {len(self.ids)} before"
            )
        if len(self.ids) != len(self.labels) or not self.ids:
            raise ValueError(f"{self.name}: {len(self.ids)} ids and {len(self.labels)} labels")
        if (0 if self.pixels is None else len(self.pixels)) != len(self.times):
            raise ValueError(f"{self.name}: {len(self.times)} times of frames that are not as many")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pack:
    """Documents one behind the other, each of which attends to itself alone.

    `input_ids`, `positions` (from 0 in each document) and `targets` have shape (length,). `targets[i]` is the token
    that position i has to predict, the next one of its document, and `IGNORED` where that is no generated text or
    the document ends. `lengths` are those of the documents, in order; padding is one more document without targets,
    so they add up to the length; `branches` are those of each document. `pixels` uint8 (n, 3, side, side) and `times`
    float64 (n,) are those of all videos, `counts` the frames of each; `spelling` is that of all of them, or None.
    """

    input_ids: Tensor
    targets: Tensor
    positions: Tensor
    lengths: tuple[int, ...]
    pixels: Tensor | None = None
    times: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.float64))
    counts: tuple[int, ...] = ()
    names: tuple[str, ...] = ()
    padding: int = 0
    branches: tuple[tuple[int, ...], ...] = ()
    spelling: Spelling | None = None

    @property
    def labelled(self) -> int:
        """Number of targets: what the loss is a mean over."""
        return int((self.targets != IGNORED).sum())

    @property
    def tokens(self) -> int:
        """Tokens without padding."""
        return len(self.input_ids) - self.padding

    def to(self, device: torch.device | str) -> Pack:
        """The same on another device; times stay float64 where the device has it."""
        return replace(
            self,
            input_ids=self.input_ids.to(device, non_blocking=True),
            targets=self.targets.to(device, non_blocking=True),
            positions=self.positions.to(device, non_blocking=True),
            pixels=None if self.pixels is None else self.pixels.to(device, non_blocking=True),
            times=self.times.to(device, non_blocking=True),
            spelling=None if self.spelling is None else self.spelling.to(device),
        )


ROUND = 256
"""Tokens of which packs are made a multiple of on CPU: oneDNN makes a kernel for each shape that it meets, which costs a third of a
small model's step where no two packs have the same length."""


def collate(
    documents: Sequence[Document], length: int | None = None, pad: int = 0, multiple: int = 1
) -> Pack:
    """Documents -> one pack, filled up with `pad` to `length` tokens where that is given, else to the next `multiple`.

    ValueError where they do not fit into `length`, or there are none.
    """
    if not documents:
        raise ValueError("a pack needs at least one document")
    ids: list[int] = []
    targets: list[int] = []
    positions: list[int] = []
    for document in documents:
        ids += document.ids
        trunk = len(document.ids) - sum(document.branches)
        ends = list(itertools.accumulate(document.branches, initial=trunk))
        for start, end in itertools.pairwise([0, *ends]):
            targets += [*document.labels[start + 1 : end], IGNORED]
            positions += range(end) if start == 0 else range(trunk, trunk + end - start)
    lengths = [len(document.ids) for document in documents]
    padding = -len(ids) % multiple if length is None else length - len(ids)
    if padding < 0:
        names = ", ".join(document.name for document in documents)
        raise ValueError(f"documents of {lengths} tokens ({names}) do not fit a pack of {length}")
    if padding:
        ids += [pad] * padding
        targets += [IGNORED] * padding
        positions += range(padding)
        lengths.append(padding)
    videos = [document for document in documents if document.pixels is not None]
    pixels = [document.pixels for document in videos if document.pixels is not None]
    spelt = [document.spelling for document in documents if document.spelling is not None]
    return Pack(
        input_ids=torch.tensor(ids),
        targets=torch.tensor(targets),
        positions=torch.tensor(positions),
        lengths=tuple(lengths),
        pixels=torch.cat(pixels) if pixels else None,
        times=torch.tensor([time for video in videos for time in video.times], dtype=torch.float64),
        counts=tuple(len(video.times) for video in videos),
        names=tuple(document.name for document in documents),
        padding=padding,
        branches=(*(document.branches for document in documents), *([()] if padding else [])),
        # Where some video is not spelt, the visual tokens of the others could not be told from its own.
        spelling=Spelling.joined(spelt) if spelt and len(spelt) >= len(videos) else None,
    )
