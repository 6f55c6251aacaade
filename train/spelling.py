"""Stage 0 for the LLM: videos that are spelt out. It stands in for the language that Llama-3 brings along; the paper has
no such stage.

Where a video's tokens will stand, in the same order and number, stands what each of them shows as a mean of
embeddings of plain words: the place, the colour and form of what covers that part of the picture, the row and column.
So the LLM learns to read a video, to find and count and compare in it, before there are eyes; stage I then teaches the
eyes to speak in these words, by captions alone.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.motion import Sprite
from kangaroo_eval.miniworld.words import COLOURS, PLACES, SHAPES, SIGN_CHARACTERS
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.train.batch import IGNORED, ROUND, Document, Pack, Spelling, collate
from kangaroo_eval.train.encode import Encoder
from kangaroo_eval.train.forward import NextToken, clock_of, run_layers, spelt_out
from kangaroo_eval.train.frame_budget import FrameBudget
from kangaroo_eval.train.hints import HINTS, MENTIONS, hints, mentions
from kangaroo_eval.train.lessons import VERSION, Lesson, chosen
from kangaroo_eval.train.made import MadeSource, lesson_of
from kangaroo_eval.train.recipe import WarmUp, at_progress
from kangaroo_eval.train.rows import Row
from kangaroo_eval.train.sight import FAINT, coverage

_APART = 1000
"""Lesson numbers from one batch to the next: batches of different sizes have no lesson in common."""
_SEEN, _SAID = 0.05, 0.4
"""The weights of a hint of a visual token and of a mention, against a target's of 1: fixed, so that a token weighs the same
wherever it stands and however many ranks there are. There are some ten times as many of the former."""


@dataclass(frozen=True, slots=True, eq=False)
class Spelt:
    """A pack whose videos are words (`Pack.spelling`), with what each visual token can tell (`hints.HINTS`), and what each
    token of the text (`hints.MENTIONS`)."""

    pack: Pack
    hints: Mapping[str, Tensor]
    mentions: Mapping[str, Tensor]

    @property
    def labelled(self) -> int:
        """Targets."""
        return self.pack.labelled

    @property
    def tokens(self) -> int:
        """Tokens."""
        return self.pack.tokens

    @property
    def names(self) -> tuple[str, ...]:
        """The lessons."""
        return self.pack.names

    def to(self, device: torch.device | str) -> Spelt:
        """The same on another device."""
        return Spelt(
            pack=self.pack.to(device),
            hints={name: item.to(device) for name, item in self.hints.items()},
            mentions={name: item.to(device) for name, item in self.mentions.items()},
        )


class Speller:
    """Spells frames in the words of one tokenizer, on a grid of `grid` x `grid` visual tokens a slot (None: as many as the
    processor's network makes of it)."""

    def __init__(self, processor: KangarooProcessor, grid: int | None = None) -> None:
        def word(text: str) -> int:
            return processor.text_ids(text)[0]

        self.grid = grid = grid or round(processor.layout.slot_tokens**0.5)
        self._names = {name: word(f" {name}") for name in (*COLOURS, *SHAPES, *PLACES, "sign", "hand")}
        self._characters = {character: word(character) for character in SIGN_CHARACTERS}
        # Any words that differ will do for rows and columns.
        numbers = [
            word(f" {name}") for name in ("one", "two", "three", "four", "five", "six", "seven", "eight")
        ]
        sides = [
            word(f" {name}") for name in ("top", "above", "below", "bottom", "left", "right", "up", "down")
        ]
        self._rows = [sides[i % len(sides)] for i in range(grid)]
        self._columns = [numbers[i % len(numbers)] for i in range(grid)]

    def spell(self, frames: Sequence[tuple[str, Sequence[Sprite]]]) -> list[list[tuple[int, float]]]:
        """The words, with weights, of each visual token of one slot, which joins `frames` (place and figures each)."""
        share = 1 / len(frames)
        cells: list[list[tuple[int, float]]] = []
        for row in range(self.grid):
            for column in range(self.grid):
                found = [(self._rows[row], 0.3), (self._columns[column], 0.3)]
                for place, figures in frames:
                    found.append((self._names[place], 0.3 * share))
                    for sprite in figures:
                        found += self._figure(sprite, row, column, share)
                cells.append(found)
        return cells

    def spelling(self, shown: Lesson, slots: Sequence[Sequence[float]]) -> Spelling:
        """What a lesson's video spells at the times (seconds) of the frames of each slot."""
        found: list[tuple[int, int, float]] = []
        times: list[float] = []
        for slot in slots:
            looks = [shown.at(time) for time in slot]
            for cell in self.spell([(scene.place, figures) for scene, figures in looks]):
                found += [(len(times), word, weight) for word, weight in cell]
                times.append(sum(slot) / len(slot))
        return Spelling.of(found, times)

    def _figure(self, sprite: Sprite, row: int, column: int, share: float) -> list[tuple[int, float]]:
        covered = coverage(sprite, row, column, self.grid)
        if covered < FAINT:
            return []
        weight = share * (0.25 + 0.75 * min(1.0, covered))
        words = [(self._names[sprite.form], weight)]
        if sprite.colour:
            words.append((self._names[sprite.colour], weight))
        if sprite.form == "sign":
            left = (column + 0.5) / self.grid < sprite.x
            words.append((self._characters[sprite.text[0 if left else 1]], share))
        return words


class SpeltData(torch.utils.data.Dataset[Spelt]):
    """Micro-batch i of all `ranks`, of which each has one a step: lessons of the step's phase, their videos spelt out."""

    def __init__(
        self,
        warmup: WarmUp,
        steps: int,
        processor: KangarooProcessor,
        ranks: int = 1,
    ) -> None:
        self._warmup = warmup
        self._steps = steps
        self._ranks = ranks
        self._processor = processor
        self._encoder = Encoder(processor)
        tokens = range(len(processor.tokenizer))
        self._words = [str(processor.tokenizer.decode([index])).strip().lower() for index in tokens]
        self._speller = Speller(processor)

    @property
    def identity(self) -> str:
        """A hash of what decides the batches."""
        told = (VERSION, self._warmup, self._steps, self._ranks, self._processor.layout)
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def __getitem__(self, i: int) -> Spelt:
        step, part = divmod(i, self._ranks)
        phase = at_progress(self._warmup.phases, step / self._steps)
        count = (phase.batch or self._warmup.batch) // self._ranks
        first = step * _APART + part * count
        drawn = []
        for number in range(first, first + count):
            kind, dice = chosen(phase.mixture, f"words/{number}")
            row = MadeSource(kind).row(number, 0)
            drawn.append((row, lesson_of(row), dice))
        return self.spelt(drawn, phase.budget)

    def spelt(self, drawn: Sequence[tuple[Row, Lesson, Dice]], budget: FrameBudget | None = None) -> Spelt:
        """Rows and their lessons as one pack; the dice draw the number of frames within `budget` (None: the warm-up's)."""
        documents: list[Document] = []
        mentioned: dict[str, list[int]] = {name: [] for name in MENTIONS}
        known: dict[str, list[int]] = {name: [] for name in HINTS}
        for row, shown, dice in drawn:
            seconds = _times(shown, dice, budget or self._warmup.budget)
            encoded = self._encoder.encode(row, len(seconds))
            named = (
                mentions(shown.world, [self._words[index] for index in encoded.ids]) if shown.world else {}
            )
            for name, found in mentioned.items():
                found += [named.get(i, {}).get(name, IGNORED) for i in range(len(encoded.ids))]
            documents.append(
                Document(ids=encoded.ids, labels=encoded.labels, name=row.id, branches=encoded.branches)
            )
            slots = slots_of(seconds, self._processor)
            grid = self._speller.grid
            told = hints(shown.world, slots, grid) if shown.world else {}
            for name, found in known.items():
                found += told.get(name, [IGNORED] * len(slots) * grid * grid)
            documents[-1] = replace(documents[-1], spelling=self._speller.spelling(shown, slots))
        # The same shapes on any device: the batches are part of what the warm-up is.
        pack = collate(documents, multiple=ROUND)
        for found in mentioned.values():
            found += [IGNORED] * pack.padding
        return Spelt(
            pack,
            {name: torch.tensor(found) for name, found in known.items()},
            {name: torch.tensor(found) for name, found in mentioned.items()},
        )


def _times(shown: Lesson, dice: Dice, budget: FrameBudget) -> tuple[float, ...]:
    if shown.seconds is None:
        return (budget.image_time(dice),)
    if not shown.seconds:
        return ()
    return budget.times(shown.seconds, budget.frames(shown.seconds, dice))


def slots_of(times: Sequence[float], processor: KangarooProcessor) -> list[tuple[float, ...]]:
    """The times of frames, by the slot that the network joins them to."""
    step = 2 if processor.patchify else 1
    return [tuple(times[i : i + step]) for i in range(0, len(times), step)]


class SpeltText(nn.Module):
    """The next-token objective over `Spelt` packs. Only the LLM and the visual tokens take part.

    What it learns to read of times, the projector learns to say (`forward.clock_of`).
    """

    def __init__(
        self,
        network: KangarooForConditionalGeneration,
        *,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        self.text = NextToken(network, dtype=dtype)
        width = network.config.text_config.hidden_size
        self.register_buffer("clock", clock_of(network))
        self.split = len(network.llm.model.layers) // 2
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(found)) for name, found in HINTS.items()})
        self.naming = nn.ModuleDict({name: nn.Linear(width, len(found)) for name, found in MENTIONS.items()})

    @property
    def network(self) -> KangarooForConditionalGeneration:
        """The network whose LLM is trained."""
        return self.text.network

    def forward(self, spelt: Spelt) -> Tensor:
        """The summed cross entropy of the pack's targets."""
        pack = spelt.pack
        inputs = self.embed(spelt)
        with self.text.autocast(pack.input_ids.device):
            rotary, documents = self.text.rotary(pack), self.text.documents(pack)
            layers = self.network.llm.model.layers
            middle = run_layers(layers[: self.split], inputs, rotary, documents)
            later = run_layers(layers[self.split : self.split + 1], middle, rotary, documents)
            hidden = run_layers(layers[self.split + 1 :], later, rotary, documents)
            seen = middle[0][pack.input_ids == self.network.config.video_token_id]
            known = _SEEN * _told(self.heads, seen, spelt.hints)
            known = known + _SAID * _told(self.naming, later[0], spelt.mentions)
            return self.text.loss(hidden, pack) + known

    def embed(self, spelt: Spelt) -> Tensor:
        """The LLM's inputs, (1, length, width)."""
        config, ids, spelling = self.network.config, spelt.pack.input_ids, spelt.pack.spelling
        table = self.network.get_input_embeddings()
        controls = torch.tensor(config.control_token_ids, device=ids.device)
        inputs: Tensor = table(ids.masked_fill(torch.isin(ids, controls), 0))
        for index, control in enumerate(config.visual_token_ids):
            inputs = torch.where((ids == control)[:, None], self.network.visual_tokens[index], inputs)
        if spelling is None:
            return inputs[None]
        seen = spelt_out(self.network, spelling, self.get_buffer("clock"))
        return inputs.masked_scatter((ids == config.video_token_id)[:, None], seen.to(inputs.dtype))[None]


def _told(heads: nn.ModuleDict, hidden: Tensor, classes: Mapping[str, Tensor]) -> Tensor:
    """The sum of the heads' losses on `hidden` (n, width), whose classes are (n,) or `IGNORED`."""
    lost = hidden.new_zeros((), dtype=torch.float32)
    for name, found in classes.items():
        kept = found != IGNORED
        if kept.any():
            logits = heads[name](F.rms_norm(hidden[kept], hidden.shape[-1:]))
            lost = lost + F.cross_entropy(logits.float(), found[kept], reduction="sum")
        else:
            # A gradient of zero and not none: an optimizer tells them apart, and which it is must not depend on what
            # other ranks have.
            lost = lost + 0 * torch.stack([part.sum() for part in heads[name].parameters()]).sum()
    return lost
