"""Stage 0 for the encoder: to name what each patch shows. It stands in for EVA-02's CLIP pre-training, which a small
encoder that starts from nothing has not had; the paper has no such stage.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from kangaroo_eval.miniworld.motion import Sprite
from kangaroo_eval.miniworld.words import COLOURS, PLACES, SHAPES, SIGN_CHARACTERS
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.train.lessons import VERSION, chosen, lesson

_SIDES = 8
CLASSES: dict[str, tuple[str, ...]] = {
    "place": PLACES,
    "colour": ("none", *COLOURS),
    "form": ("none", *SHAPES, "sign", "hand"),
    "character": ("none", *SIGN_CHARACTERS),
    "row": tuple(str(n) for n in range(_SIDES)),
    "column": tuple(str(n) for n in range(_SIDES)),
}
"""What is named in each patch, by the heads' names; its row and column in eighths of the picture, without which nothing
behind the encoder could tell where a thing is."""

FAINT = 0.05
"""The share of a part of the picture below which the LLM is told nothing of a figure there."""

PLATE = 9 / 13
"""Height of a sign's plate over its width."""


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """Pictures uint8 (n, 3, side, side), and for each head of `CLASSES` the class of each patch, (n, grid, grid)."""

    pixels: Tensor
    classes: Mapping[str, Tensor]
    names: tuple[str, ...]

    @property
    def labelled(self) -> int:
        """Patches."""
        return self.classes["place"].numel()

    @property
    def tokens(self) -> int:
        """Patches."""
        return self.labelled

    def to(self, device: torch.device | str) -> Looks:
        """The same on another device."""
        classes = {name: item.to(device) for name, item in self.classes.items()}
        return replace(self, pixels=self.pixels.to(device), classes=classes)


class LooksData(Dataset[Looks]):
    """Batch i: lessons i x batch ... of the mixture, one moment of each, painted in turn at each of `sides` pixels."""

    def __init__(self, mixture: Mapping[str, float], batch: int, sides: Sequence[int], patch: int) -> None:
        self._mixture = dict(mixture)
        self._batch = batch
        self._sides = tuple(sides)
        self._patch = patch

    @property
    def identity(self) -> str:
        """A hash of what decides the batches."""
        told = (VERSION, self._mixture, self._batch, self._sides, self._patch)
        return hashlib.sha256(repr(told).encode()).hexdigest()

    def __getitem__(self, i: int) -> Looks:
        side = self._sides[i % len(self._sides)]
        grid = side // self._patch
        pictures, rows, names = [], [], []
        for number in range(i * self._batch, (i + 1) * self._batch):
            kind, dice = chosen(self._mixture, f"sight/{number}")
            shown = lesson(kind, number)
            time = dice.between(0.0, shown.seconds or 1.0)
            scene, figures = shown.at(time)
            pictures.append(_sized(torch.from_numpy(shown.frames([time], side)).permute(0, 3, 1, 2), side))
            rows.append(patch_classes(scene.place, figures, grid))
            names.append(f"{kind}/{number}")
        classes = {name: torch.tensor([row[name] for row in rows]) for name in CLASSES}
        return Looks(torch.cat(pictures), classes, tuple(names))


def _sized(pictures: Tensor, side: int) -> Tensor:
    """uint8 (n, 3, h, w) -> (n, 3, side, side), as `KangarooProcessor.pixels` resizes."""
    if pictures.shape[-1] == side:
        return pictures
    resized = F.interpolate(pictures.float(), size=(side, side), mode="bilinear", antialias=True)
    return resized.round().clamp(0, 255).to(torch.uint8)


def patch_classes(place: str, figures: Sequence[Sprite], grid: int) -> dict[str, list[list[int]]]:
    """For each head, the class of each of grid x grid patches: the figure that covers most of a patch is what it shows."""
    eighths = [i * _SIDES // grid for i in range(grid)]
    out = {name: [[0] * grid for _ in range(grid)] for name in CLASSES}
    out["place"] = [[PLACES.index(place)] * grid for _ in range(grid)]
    out["row"] = [[eighth] * grid for eighth in eighths]
    out["column"] = [list(eighths) for _ in range(grid)]
    for row in range(grid):
        for column in range(grid):
            found = shown_in(figures, row, column, grid)
            if found is None:
                continue
            out["form"][row][column] = CLASSES["form"].index(found.form)
            out["colour"][row][column] = CLASSES["colour"].index(found.colour) if found.colour else 0
            if found.form == "sign":
                out["character"][row][column] = _character(found, row, column, grid)
    return out


def coverage(sprite: Sprite, row: int, column: int, grid: int) -> float:
    """The share of a patch that lies within the figure's box, 0 to 1."""
    half, high = sprite.size / 2, sprite.size / 2 * (PLATE if sprite.form == "sign" else 1)
    wide = min(sprite.x + half, (column + 1) / grid) - max(sprite.x - half, column / grid)
    tall = min(sprite.y + high, (row + 1) / grid) - max(sprite.y - high, row / grid)
    return max(0.0, wide) * max(0.0, tall) * grid * grid


def shown_in(
    figures: Sequence[Sprite], row: int, column: int, grid: int, least: float = 0.2
) -> Sprite | None:
    """The figure that covers most of a patch, and more than the share `least` of it, or None."""
    shares = [(coverage(sprite, row, column, grid), i) for i, sprite in enumerate(figures)]
    share, best = max(shares, default=(0.0, 0))
    return figures[best] if share > least else None


def _character(sign: Sprite, row: int, column: int, grid: int) -> int:
    half = sign.size / 2
    left = (column + 0.5) / grid < sign.x
    inside = abs((column + 0.5) / grid - sign.x) < half and abs((row + 0.5) / grid - sign.y) < half * PLATE
    return CLASSES["character"].index(sign.text[0 if left else 1]) if inside else 0


class Sight(nn.Module):
    """The encoder with one linear head for each of `CLASSES`; the heads are thrown away. `forward(looks)` gives the
    summed cross entropy over patches and heads."""

    def __init__(self, network: KangarooForConditionalGeneration, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.network = network
        self.dtype = dtype
        width = network.config.vision_config.hidden_size
        self.heads = nn.ModuleDict({name: nn.Linear(width, len(found)) for name, found in CLASSES.items()})

    def logits(self, pixels: Tensor) -> dict[str, Tensor]:
        """uint8 pictures -> for each head (n, grid, grid, classes)."""
        tokens = self.network.vision(pixels)
        return {name: head(tokens) for name, head in self.heads.items()}

    def forward(self, looks: Looks) -> Tensor:
        """The summed loss of all patches."""
        enabled = self.dtype == torch.bfloat16
        with torch.autocast(looks.pixels.device.type, torch.bfloat16, enabled=enabled):
            logits = self.logits(looks.pixels)
        losses = [
            F.cross_entropy(
                logits[name].float().flatten(0, 2), looks.classes[name].flatten(), reduction="sum"
            )
            for name in CLASSES
        ]
        return torch.stack(losses).sum()

    @torch.no_grad()
    def accuracy(self, looks: Looks) -> dict[str, float]:
        """Of each head, the share of patches named right among those that show a figure (place, row and column: all)."""
        logits = self.logits(looks.pixels)
        found: dict[str, Any] = {}
        for name in CLASSES:
            right = logits[name].argmax(-1) == looks.classes[name]
            kept = looks.classes["form"] > 0 if name in ("colour", "form") else torch.ones_like(right)
            if name == "character":
                kept = looks.classes["character"] > 0
            found[name] = float(right[kept].float().mean()) if kept.any() else float("nan")
        return found
