"""Temporal position embedding: the time of a frame, written into every one of its tokens (Eq. 3 and 4)."""

from __future__ import annotations

import torch
from torch import Tensor


def temporal_embedding(times: Tensor, width: int, theta: float = 10000.0) -> Tensor:
    """Eq. 3: TPE(t)[i] = sin(t / theta^(i/d)) for even i, cos(t / theta^(i/d)) for odd i.

    `times`: seconds, shape (n,). Returns fp32 of shape (n, width), whatever the dtype of `times`: bf16 is
    off by 0.16 at one minute and 1.65 at ten. The division runs in fp64 where the device has it, because
    fp32 angles of long videos lose the last digits too; the result is exact to fp32.
    """
    wide = torch.float32 if times.device.type == "mps" else torch.float64
    index = torch.arange(width, device=times.device)
    angle = times.to(wide)[:, None] / theta ** (index.to(wide) / width)
    return torch.where(index % 2 == 0, angle.sin(), angle.cos()).float()
