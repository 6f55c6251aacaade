"""Packs for a training run: the i-th micro-batch of a rank is a pure function of i and of the configuration.

So a run goes on from one number, and any number of worker processes gives the same packs in the same order.
"""

from __future__ import annotations

import bisect
import hashlib
import itertools
import logging
import multiprocessing
import pickle
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass, replace
from typing import Any, NamedTuple, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from kangaroo_eval.errors import DataError, MediaError, RunFailed, UserError, first_line
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.train.batch import IGNORED, Document, Pack, Spelling, collate
from kangaroo_eval.train.encode import Encoder
from kangaroo_eval.train.frame_budget import FrameBudget
from kangaroo_eval.train.made import MadeSource, lesson_of
from kangaroo_eval.train.mixture import Draw, Mixture, Timed
from kangaroo_eval.train.packing import PackStats, plan_packs, shard
from kangaroo_eval.train.rows import Policy, Row
from kangaroo_eval.train.spelling import Speller, slots_of

log = logging.getLogger(__name__)

Batch = TypeVar("Batch")

_SKIPPED = " [skipped: "
_WINDOWS_KEPT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """What a micro-batch is.

    With `packing` it is one pack, planned for `window` draws at a time; without, `micro_batch` documents side by
    side in the order of the draws (which is exactly what a padded batch computes, without its padding). No
    document has more than `tokens` tokens or `max_frames` frames; with packing, no pack either. `fill` pads each
    pack to `tokens`, for a network that needs one shape. `padded` pads each document to the longest of its
    micro-batch: the classic batch, to compare with.

    `bad` "skip" keeps the place of a document that is too long or whose file does not decode, without targets and
    said in the pack's names (see `skipped`); "fail" raises. `spell`: made lessons tell what their visual tokens show
    (`Pack.spelling`). `multiple`: packs that are not filled are padded to the next multiple of so many tokens. UserError for settings that contradict each other.
    """

    tokens: int
    max_frames: int
    packing: bool = True
    micro_batch: int = 1
    window: int = 2048
    fill: bool = False
    padded: bool = False
    bad: Policy = "fail"
    spell: bool = False
    multiple: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.tokens, self.micro_batch, self.window) < 1 or self.max_frames < 0:
            raise UserError(
                f"batching: tokens, micro_batch and window must be at least 1, max_frames 0: {self}"
            )
        if self.packing and self.micro_batch != 1:
            raise UserError(
                f"batching: micro_batch {self.micro_batch} counts documents without packing; with it, a micro-batch is "
                "one pack: leave it at 1, or set packing=False"
            )
        if self.packing and self.padded:
            raise UserError("batching: packed documents are not padded: set one of packing and padded")
        if self.fill and not self.packing:
            raise UserError("batching: fill pads packs: it needs packing=True")


class _Planned(NamedTuple):
    """A draw and its size in tokens and frames. `reason` is why it is left out, "" where it is not."""

    draw: Draw
    name: str
    length: int
    frames: int
    reason: str = ""


class _Window(NamedTuple):
    """The draws of a window and this rank's packs of them."""

    planned: list[_Planned]
    packs: list[tuple[int, ...]]


class PackedData(Dataset[Pack]):
    """The micro-batches of one rank of `ranks`, from 0 on without end.

    The i-th ones of all ranks follow each other in the plan, so that ranks and accumulated steps make up the same
    batches. UserError where the frames of `budget` do not fit a pack.
    """

    def __init__(
        self,
        mixture: Mixture,
        processor: KangarooProcessor,
        budget: FrameBudget,
        batching: Batching,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        if not 0 <= rank < ranks or (batching.packing and batching.window < ranks):
            raise UserError(f"rank {rank} of {ranks}: give 0 <= rank < ranks <= window ({batching.window})")
        if budget.most > batching.max_frames > 0:
            raise UserError(
                f"a video may have {budget.most} frames, a pack only {batching.max_frames}: raise max_frames"
            )
        self.mixture = mixture
        self.processor = processor
        self.budget = budget
        self.batching = batching
        self.rank = rank
        self.ranks = ranks
        self._encoder = Encoder(processor)
        self._speller = Speller(processor) if batching.spell else None
        self._starts = [0]
        self._windows: OrderedDict[int, _Window] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        """What goes to a worker: where windows start, but not the plans themselves."""
        return {**self.__dict__, "_windows": OrderedDict()}

    def __getitem__(self, i: int) -> Pack:
        """The i-th micro-batch of this rank, read and decoded. DataError, naming source and row, for a file that does
        not decode; UserError for a document that is too long (see `Batching.bad`)."""
        # A pack may be empty where there are fewer than ranks: nothing is learnt from a blank document.
        documents = [self._document(planned) for planned in self.planned(i)] or [self._blank("")]
        padding = 0
        if self.batching.padded:
            longest = max(len(document.ids) for document in documents)
            padding = sum(longest - len(document.ids) for document in documents)
            documents = [self._padded(document, longest) for document in documents]
        whole = self.batching.tokens if self.batching.fill else None
        pack = collate(documents, whole, self._pad, self.batching.multiple)
        return replace(pack, padding=pack.padding + padding) if padding else pack

    def planned(self, i: int) -> list[_Planned]:
        """What the i-th micro-batch will hold, without reading a file. IndexError for one before the first."""
        if i < 0:
            raise IndexError(f"micro-batch {i}: must be 0 or more")
        if self.batching.packing:
            window, place = self._locate(i)
            plan = self._window(window)
            return [plan.planned[document] for document in plan.packs[place]]
        first = (i * self.ranks + self.rank) * self.batching.micro_batch
        return [self._plan(place) for place in range(first, first + self.batching.micro_batch)]

    @property
    def identity(self) -> str:
        """A hash of all that decides which micro-batches there are: data, order, frames, caps and ranks."""
        vocabulary = sorted(self.processor.tokenizer.get_vocab().items())
        # Whether a bad row ends the run or is left out moves no other: a run that one has ended goes on without it.
        batching = replace(self.batching, bad="fail")
        told = (self.mixture.identity, astuple(self.budget), astuple(batching), self.ranks)
        text = (self.processor.layout, self.processor.chat_format, vocabulary)
        return hashlib.sha256(repr((told, text)).encode()).hexdigest()

    @property
    def window_starts(self) -> tuple[int, ...]:
        """The first micro-batch of each window planned so far. A checkpoint may keep them and give them to
        `remember`, so that a run that goes on need not plan again all that went before; nothing else changes."""
        return tuple(self._starts)

    def remember(self, starts: Sequence[int]) -> None:
        """Take over the `window_starts` of data of the same `identity`. ValueError where they cannot be ones."""
        if list(starts[:1]) != [0] or any(a >= b for a, b in itertools.pairwise(starts)):
            raise ValueError(f"starts of windows begin with 0 and grow, not {list(starts[:5])}...")
        self._starts = list(starts)

    def stats(self, window: int = 0) -> PackStats:
        """How well this rank's packs of a window are filled. ValueError without packing."""
        if not self.batching.packing:
            raise ValueError("there are no packs without packing")
        plan = self._window(window)
        return PackStats.of(plan.packs, [each.length for each in plan.planned], self.batching.tokens)

    def _locate(self, i: int) -> tuple[int, int]:
        """The window of micro-batch i, and its place there."""
        while self._starts[-1] <= i:
            last = len(self._starts) - 1
            self._starts.append(self._starts[-1] + len(self._window(last).packs))
        window = bisect.bisect_right(self._starts, i) - 1
        return window, i - self._starts[window]

    def _window(self, window: int) -> _Window:
        if window not in self._windows:
            size = self.batching.window
            planned = [self._plan(place) for place in range(window * size, (window + 1) * size)]
            packs = plan_packs(
                [each.length for each in planned],
                [each.frames for each in planned],
                tokens=self.batching.tokens,
                max_frames=self.batching.max_frames,
                seed=f"{self.batching.seed}/{window}",
            )
            self._windows[window] = _Window(planned, shard(packs, self.rank, self.ranks))
            if len(self._windows) > _WINDOWS_KEPT:
                self._windows.popitem(last=False)
        self._windows.move_to_end(window)
        return self._windows[window]

    def _plan(self, place: int) -> _Planned:
        draw = self.mixture.draw(0, place)
        source = self.mixture.sources[draw.source].source
        row = source.row(draw.row, draw.seed)
        name = f"{source.name}:{row.id}"
        frames = self._frames(row, draw.seed, name)
        length = self._encoder.length(row, frames)
        if length <= self.batching.tokens and frames <= self.batching.max_frames:
            return _Planned(draw, name, length, frames)
        reason = (
            f"{length} tokens and {frames} frames are more than {self.batching.tokens} tokens and "
            f"{self.batching.max_frames} frames"
        )
        if self.batching.bad == "fail":
            raise UserError(
                f"{name}: {reason}: shorten its text, show fewer frames, or go on without it (--on-bad skip)"
            )
        return _Planned(draw, name, 1, 0, reason)

    def _frames(self, row: Row, seed: int, name: str) -> int:
        if row.video is None:
            return 0
        if row.image:
            return self.budget.frames(None)
        if row.seconds is None:
            raise DataError(f"{name}: how long its video is, is not known: give the row a duration")
        return self.budget.frames(row.seconds, Dice(f"frames/{seed}"), row.total)

    def _document(self, planned: _Planned) -> Document:
        if planned.reason:
            return self._blank(f"{planned.name}{_SKIPPED}{planned.reason}]")
        row = self.mixture.sources[planned.draw.source].source.row(planned.draw.row, planned.draw.seed)
        ids, labels, branches = self._encoder.encode(row, planned.frames)
        if not planned.frames:
            return Document(ids=ids, labels=labels, name=planned.name, branches=branches)
        times = self._times(row, planned)
        try:
            pixels, shown = self._look(row, planned, times)
        except MediaError as error:
            if self.batching.bad == "fail":
                raise DataError(
                    f"{planned.name}: {error}; mend or remove the row, or go on without it (--on-bad skip)"
                ) from error
            # Its place in the plan stays, so that no other rank or worker need know of it.
            side = self.processor.frame_size
            blank = torch.zeros((planned.frames, 3, side, side), dtype=torch.uint8)
            name = f"{planned.name}{_SKIPPED}{error}]"
            return Document(
                ids=ids, labels=(IGNORED,) * len(ids), pixels=blank, times=times, name=name, branches=branches
            )
        return Document(
            ids=ids,
            labels=labels,
            pixels=pixels,
            times=shown,
            name=planned.name,
            branches=branches,
            spelling=self._spelling(row, planned, shown),
        )

    def _spelling(self, row: Row, planned: _Planned, times: tuple[float, ...]) -> Spelling | None:
        source = self.mixture.sources[planned.draw.source].source
        if self._speller is None or not isinstance(source, MadeSource):
            return None
        return self._speller.spelling(lesson_of(row), slots_of(times, self.processor))

    def _times(self, row: Row, planned: _Planned) -> tuple[float, ...]:
        if row.image:
            return (self.budget.image_time(Dice(f"time/{planned.draw.seed}")),)
        assert row.seconds is not None  # planned
        return self.budget.times(row.seconds, planned.frames, row.begin)

    def _look(
        self, row: Row, planned: _Planned, times: tuple[float, ...]
    ) -> tuple[torch.Tensor, tuple[float, ...]]:
        """Pixels and times of a row's frames."""
        source = self.mixture.sources[planned.draw.source].source
        pixels = self.processor.pixels(source.frames(row, times, self.processor.frame_size))
        return pixels, source.shown(row, times) if isinstance(source, Timed) else times

    @property
    def _pad(self) -> int:
        return int(self.processor.tokenizer.pad_token_id or 0)

    def _blank(self, name: str) -> Document:
        return Document(ids=(self._pad,), labels=(IGNORED,), name=name)

    def _padded(self, document: Document, length: int) -> Document:
        more = length - len(document.ids)
        return replace(
            document,
            ids=(*document.ids, *[self._pad] * more),
            labels=(*document.labels, *[IGNORED] * more),
            # Behind branches, one more: else the padding would count as what all of them see.
            branches=(*document.branches, more) if document.branches and more else document.branches,
        )


def skipped(pack: Pack) -> list[str]:
    """The documents of a pack that are left out, with the reason."""
    return [name for name in pack.names if _SKIPPED in name]


def loader(data: PackedData, start: int = 0, stop: int | None = None, workers: int = 0) -> Iterator[Pack]:
    """The micro-batches from `start` to before `stop` (None: without end), made by `workers` processes in advance.

    The packs and their order are the same for any number of workers; 0 makes them in this process. Documents left
    out are logged. Errors are those of `PackedData`. Closing the iterator ends the workers. The caller's random
    number generators are left alone.
    """
    if workers < 0 or start < 0:
        raise UserError(
            f"cannot load from micro-batch {start} with {workers} workers: both must be 0 or more"
        )
    if data.batching.packing:
        # Planned here once, and not in every worker.
        data.planned(start)
    places = itertools.count(start) if stop is None else range(start, stop)
    for pack in in_order(data, places, workers):
        for name in skipped(pack):
            log.warning("training goes on without %s", name)
        yield pack


def in_order(data: Dataset[Batch], places: Any, workers: int = 0) -> Iterator[Batch]:
    """`data[i]` for each i of `places`, made by `workers` processes in advance; 0 makes them in this one. A UserError
    of a worker is raised here. The caller's random number generators are left alone."""
    if not workers:
        yield from map(data.__getitem__, places)
        return
    # Not "fork": a copy of a process that has threads (libav's, torch's) may hang.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    batches = DataLoader(
        _Carried(data),
        batch_size=None,
        sampler=places,
        num_workers=workers,
        multiprocessing_context=method,
        # DataLoader draws a seed for its workers, from the global generator unless it has one of its own.
        generator=torch.Generator(),
    )
    for carried in _whole(batches):
        found = pickle.loads(carried)
        if isinstance(found, UserError):
            raise found
        yield found


def _whole(batches: DataLoader[bytes]) -> Iterator[bytes]:
    """The batches. RunFailed where a process that makes them was killed, most likely for want of memory."""
    stream = iter(batches)
    while True:
        try:
            yield next(stream)
        except StopIteration:
            return
        except RuntimeError as error:
            raise RunFailed(
                f"a process that makes batches has ended ({first_line(error)}): give it more memory, or fewer --workers; the "
                "last checkpoint is kept, and the same command goes on"
            ) from error


class _Carried(Dataset[bytes]):
    """Batches, or the UserError in their place, as bytes.

    As tensors they would go through /dev/shm, which is 64 MB in many containers, less than one long video; and
    DataLoader would put an error into a traceback of many lines.
    """

    def __init__(self, data: Dataset[Any]) -> None:
        self._data = data

    def __getitem__(self, i: int) -> bytes:
        found: Any
        try:
            found = self._data[i]
        except UserError as error:
            found = error
        return pickle.dumps(found, protocol=pickle.HIGHEST_PROTOCOL)
