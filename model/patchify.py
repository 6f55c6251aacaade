"""Spatial-temporal patchify: a 3-D depthwise convolution with kernel = stride = 2x2x2 (Section IV.A)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import initialization as init


class Patchify(nn.Module):
    """Joins 2 frames x 2 x 2 patches into one token, channel by channel.

    "uniform" initialisation sets every kernel weight to 1/8, so that the module starts as average pooling
    and the projector trained before it keeps its input scale. The weights are the module's own, not those
    of an inner Conv3d: transformers would initialise the latter with its default.
    """

    def __init__(self, width: int, initialisation: str = "uniform") -> None:
        super().__init__()
        self.initialisation = initialisation
        self.weight = nn.Parameter(torch.empty(width, 1, 2, 2, 2))
        self.bias = nn.Parameter(torch.empty(width))

    def reset_parameters(self) -> None:
        """Set the initial weights; called by the model's initialisation."""
        if self.initialisation == "uniform":
            init.constant_(self.weight, 1 / 8)
        else:
            init.normal_(self.weight, std=8**-0.5)
        init.zeros_(self.bias)

    def forward(self, frames: Tensor) -> Tensor:
        """(n, g, g, width) tokens of one video's frames -> (ceil(n / 2), (g / 2)^2, width) tokens of slots.

        An odd last frame is repeated: stride 2 would silently drop it.
        """
        count, width = frames.shape[0], frames.shape[-1]
        volume = frames.permute(3, 0, 1, 2)
        if count % 2:
            volume = F.pad(volume, (0, 0, 0, 0, 0, 1), mode="replicate")
        joined = F.conv3d(volume[None], self.weight, self.bias, stride=2, groups=width)[0]
        return joined.permute(1, 2, 3, 0).flatten(1, 2)
