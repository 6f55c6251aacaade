"""AdamW as the paper has it: layer-wise decay on the vision encoder, a cosine down to a minimum (Section IV.B)."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.modeling import PARTS, KangarooForConditionalGeneration, part_of
from kangaroo_eval.train.stages import MINIMUM_LR, VISION_LAYER_DECAY, WEIGHT_DECAY, Part

BETAS = (0.9, 0.98)
"""Not given in the paper; EVA-02's own pre-training used these."""

_LAYER = re.compile(r"vision\.layers\.(\d+)\.")
UNDECAYED = ("class_token", "position_embedding", "visual_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The learning rate over a stage: linear from 0 over `warmup` steps, then a cosine from `peak` to `minimum`."""

    peak: float
    steps: int
    warmup: int = 0
    minimum: float = MINIMUM_LR

    def __post_init__(self) -> None:
        if not 0 <= self.warmup <= self.steps or self.steps < 1:
            raise UserError(
                f"{self.warmup} warm-up steps of {self.steps}: give 1 step or more, and no more to warm up"
            )
        if not 0 <= self.minimum <= self.peak:
            raise UserError(
                f"learning rate from {self.peak} to {self.minimum}: the minimum must be the lower"
            )

    def rate(self, step: int) -> float:
        """The learning rate of step 0, 1, ..."""
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        part = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.minimum + (self.peak - self.minimum) * 0.5 * (1 + math.cos(math.pi * min(1.0, part)))


def freeze(network: KangarooForConditionalGeneration, trains: Collection[Part]) -> None:
    """Gradients for the parts that train, none for the others. UserError for a part that the network has not."""
    present = {part_of(name) for name, _ in network.named_parameters()}
    missing = sorted(set(trains) - present)
    if missing:
        raise UserError(f"the stage trains {', '.join(missing)}, which this network does not have")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(part_of(name) in trains)


def layer_scale(name: str, layers: int, decay: float = VISION_LAYER_DECAY) -> float:
    """The factor on the learning rate of a parameter: `decay` to the power of the vision layers above it, as timm's
    `param_groups_layer_decay` counts them (the patch and position embeddings stand below all of them); 1 outside the
    vision encoder and for its last norm."""
    if not name.startswith("vision."):
        return 1.0
    if found := _LAYER.match(name):
        return decay ** (layers - 1 - int(found[1]))
    return 1.0 if name.startswith("vision.norm.") else decay**layers


def groups(network: nn.Module, *, layers: int, prefix: str = "") -> list[dict[str, Any]]:
    """AdamW's parameter groups: those that train, by factor on the learning rate (`scale`) and weight decay.

    No decay on norms, biases, learned positions, the class token and the visual tokens (EVA-02's and timm's rule).
    Each group tells its `name`. `prefix`: what stands before the names of the network's parameters.
    """
    found: dict[tuple[float, float], list[Tensor]] = {}
    for full, parameter in network.named_parameters():
        name = full.removeprefix(prefix)
        if not parameter.requires_grad or name.split(".", 1)[0] not in PARTS:
            continue
        plain = parameter.ndim < 2 or name.endswith("bias") or any(part in name for part in UNDECAYED)
        key = (layer_scale(name, layers), 0.0 if plain else WEIGHT_DECAY)
        found.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "scale": scale, "weight_decay": decay, "name": f"x{scale:.4f} decay {decay}"}
        for (scale, decay), parameters in sorted(found.items(), key=lambda item: item[0])
    ]


def build(network: nn.Module, *, layers: int, prefix: str = "") -> torch.optim.AdamW:
    """AdamW over `groups`; the rates are set before each step (`set_rate`)."""
    found = groups(network, layers=layers, prefix=prefix)
    if not found:
        raise UserError("nothing to train: every part is frozen")
    return torch.optim.AdamW(found, lr=0.0, betas=BETAS, eps=1e-8)


def warm_up(objective: nn.Module, *, muon: bool) -> torch.optim.Optimizer:
    """A warm-up's optimizer: one rate for all that trains, and with `muon` Muon for the matrices of the layers."""
    found: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in objective.named_parameters():
        if parameter.requires_grad:
            undecayed = parameter.ndim < 2 or any(part in name for part in UNDECAYED)
            matrix = muon and parameter.ndim == 2 and ".layers." in name
            found.setdefault((matrix, 0.0 if undecayed else WEIGHT_DECAY), []).append(parameter)
    each = [
        {
            "params": parameters,
            "scale": 1.0,
            "weight_decay": decay,
            "muon": matrix,
            "name": f"{'muon' if matrix else 'adamw'} decay {decay}",
        }
        for (matrix, decay), parameters in found.items()
    ]
    if muon:
        return MuonAdamW(each)
    return torch.optim.AdamW(each, lr=0.0, betas=BETAS)


class MuonAdamW(torch.optim.Optimizer):
    """Muon (Jordan et al. 2024) for the groups with `muon` set, all of whose parameters are matrices, and AdamW for the
    others: for warm-ups, in which a small LLM needs far fewer steps so. The paper's stages have AdamW alone.

    The rates of both are AdamW's: Muon's updates are scaled to the root mean square of AdamW's (Liu et al.,
    arXiv:2502.16982).
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float = 0.0) -> None:
        ours = [group for group in groups if group["muon"]]
        others = [group for group in groups if not group["muon"]]
        self._muon = torch.optim.Muon(ours, lr=lr, adjust_lr_fn="match_rms_adamw")
        self._adamw = torch.optim.AdamW(others, lr=lr, betas=BETAS, eps=1e-8)
        super().__init__([*self._muon.param_groups, *self._adamw.param_groups], {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One step of both."""
        if closure is not None:
            raise ValueError("there is no closure to evaluate again")
        for part, muon in ((self._muon, True), (self._adamw, False)):
            # Loading a state makes new mappings here; what the two work on is always what this one holds.
            part.state = self.state
            part.param_groups = [group for group in self.param_groups if group["muon"] is muon]
            part.step()


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Each group's learning rate: its factor times `rate`, the minimum included."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["scale"]
