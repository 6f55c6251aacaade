"""The vision encoder: EVA-02 CLIP-L/14 and smaller ones of the same build (Section IV.A).

A pre-norm ViT with a SwiGLU MLP, a LayerNorm inside both the attention and the MLP (sub-LN), biases on
query and value but not on key, 2-D rotary positions on a reference grid, and learned absolute positions.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_layers import GradientCheckpointingLayer

from kangaroo_eval.model.config import KangarooVisionConfig

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)

Rotary = tuple[Tensor, Tensor]


def normalise(pixels: Tensor, dtype: torch.dtype) -> Tensor:
    """uint8 RGB (n, 3, h, w), 0-255 -> CLIP-normalised `dtype`; floating-point pixels are normalised already."""
    if pixels.is_floating_point():
        return pixels.to(dtype)
    mean = torch.tensor(CLIP_MEAN, device=pixels.device).view(3, 1, 1)
    std = torch.tensor(CLIP_STD, device=pixels.device).view(3, 1, 1)
    return ((pixels.float() / 255 - mean) / std).to(dtype)


def rotary_table(grid: tuple[int, int], reference: int, head_width: int, theta: float) -> Rotary:
    """sin and cos, fp32 of shape (rows x columns, head_width), of the 2-D rotary positions.

    The first half of the channels turns with the row, the second with the column; each frequency
    theta^(-k / (head_width / 4)) fills two neighbouring channels. Positions of any grid are rescaled to
    0 ... `reference`, so a 448-pixel frame covers the same range as the 224-pixel one of the pre-training.
    """
    bands = head_width // 4
    frequency = theta ** -(torch.arange(bands, dtype=torch.float32) / bands)
    rows, columns = (torch.arange(side, dtype=torch.float32) / side * reference for side in grid)
    row_angle = (rows[:, None] * frequency)[:, None].expand(-1, grid[1], -1)
    column_angle = (columns[:, None] * frequency)[None].expand(grid[0], -1, -1)
    angle = torch.cat([row_angle, column_angle], -1).flatten(0, 1).repeat_interleave(2, -1)
    return angle.sin(), angle.cos()


def rotate(tokens: Tensor, rotary: Rotary) -> Tensor:
    """Turn the patch tokens of (n, heads, 1 + patches, head_width); the class token keeps its direction."""
    sin, cos = rotary
    head, patches = tokens[:, :, :1], tokens[:, :, 1:]
    turned = torch.stack([-patches[..., 1::2], patches[..., ::2]], -1).flatten(-2)
    return torch.cat([head, (patches * cos + turned * sin).to(tokens.dtype)], 2)


def fused_attention(query: Tensor, key: Tensor, value: Tensor, **options: Any) -> Tensor:
    """torch's `scaled_dot_product_attention`; in fp32 under bf16 autocast on CPU, where its backward pass takes three
    times as long in bf16."""
    if query.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        with torch.autocast("cpu", enabled=False):
            mixed = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), **options)
        return mixed.to(value.dtype)
    return F.scaled_dot_product_attention(query, key, value, **options)


class VisionAttention(nn.Module):
    """Full attention within a frame, with a LayerNorm before the output projection."""

    def __init__(self, config: KangarooVisionConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.heads = config.num_attention_heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width)
        self.inner_norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor, rotary: Rotary) -> Tensor:
        """(n, tokens, width) -> the same shape."""
        query, key, value = (
            part(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in (self.query, self.key, self.value)
        )
        mixed = fused_attention(rotate(query, rotary), rotate(key, rotary), value)
        result: Tensor = self.output(self.inner_norm(mixed.transpose(1, 2).flatten(2)))
        return result


class VisionMLP(nn.Module):
    """SwiGLU with a LayerNorm before the output projection."""

    def __init__(self, config: KangarooVisionConfig) -> None:
        super().__init__()
        self.gate = nn.Linear(config.hidden_size, config.intermediate_size)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size)
        self.inner_norm = nn.LayerNorm(config.intermediate_size, eps=config.layer_norm_eps)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, tokens: Tensor) -> Tensor:
        """(n, tokens, width) -> the same shape."""
        result: Tensor = self.down(self.inner_norm(F.silu(self.gate(tokens)) * self.up(tokens)))
        return result


class VisionLayer(GradientCheckpointingLayer):  # type: ignore[misc, unused-ignore]
    """One pre-norm transformer layer."""

    def __init__(self, config: KangarooVisionConfig) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.attention = VisionAttention(config)
        self.mlp_norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.mlp = VisionMLP(config)

    def forward(self, tokens: Tensor, rotary: Rotary) -> Tensor:
        """(n, tokens, width) -> the same shape."""
        tokens = tokens + self.attention(self.attention_norm(tokens), rotary)
        result: Tensor = tokens + self.mlp(self.mlp_norm(tokens))
        return result


class KangarooVisionModel(PreTrainedModel):  # type: ignore[misc, unused-ignore]
    """Frames -> patch tokens; the class token takes part in the attention and is dropped at the output."""

    config_class = KangarooVisionConfig
    base_model_prefix = ""
    main_input_name = "pixels"
    supports_gradient_checkpointing = True
    config: KangarooVisionConfig
    _no_split_modules = ["VisionLayer"]  # noqa: RUF012  (transformers declares it on the instance)
    _supports_sdpa = True
    # The switch concerns the LLM; the encoder always takes torch's fused attention.
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: KangarooVisionConfig) -> None:
        super().__init__(config)
        width, grid = config.hidden_size, config.grid
        self.frame_chunk = 16
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        self.position_embedding = nn.Parameter(torch.empty(1, 1 + grid * grid, width))
        self.patch_embedding = nn.Conv2d(3, width, config.patch_size, stride=config.patch_size)
        self.layers = nn.ModuleList(VisionLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.LayerNorm(width, eps=config.layer_norm_eps)
        self.gradient_checkpointing = False
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, KangarooVisionModel):
            init.normal_(module.class_token, std=self.config.initializer_range)
            init.normal_(module.position_embedding, std=self.config.initializer_range)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Learned positions of the class token and a grid of patches, (1, 1 + rows x columns, width).

        Another grid than the learned one is resampled: bicubic with antialias, in fp32.
        """
        side = self.config.grid
        if grid == (side, side):
            return self.position_embedding
        head, patches = self.position_embedding[:, :1], self.position_embedding[:, 1:]
        plane = patches.float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
        plane = F.interpolate(plane, size=grid, mode="bicubic", antialias=True)
        return torch.cat([head, plane.flatten(2).transpose(1, 2).to(head.dtype)], 1)

    @torch.no_grad()
    def resample_positions(self, image_size: int) -> None:
        """Make the table of learned positions one for square frames of `image_size` pixels, as timm does when it
        loads a checkpoint for another size. Such frames are encoded to the same tokens as before; from then on
        the table of that size is what trains. ValueError for a size that is not whole patches."""
        config = self.config
        grid, rest = divmod(image_size, config.patch_size)
        if rest or grid < 1:
            raise ValueError(f"image_size {image_size} is not a multiple of patch_size {config.patch_size}")
        table = self.positions((grid, grid)).clone()
        reference = config.rotary_reference
        self.position_embedding = nn.Parameter(table, self.position_embedding.requires_grad)
        config.rope_grid, config.image_size = reference, image_size

    def forward(self, pixels: Tensor) -> Tensor:
        """(n, 3, h, w) pixels, uint8 or CLIP-normalised -> (n, rows, columns, width) patch tokens.

        Without gradients the frames pass in chunks of `frame_chunk`, so that memory does not grow with the
        length of the video.
        """
        patch = self.config.patch_size
        if pixels.shape[-2] % patch or pixels.shape[-1] % patch:
            raise ValueError(
                f"frames of {pixels.shape[-2]} x {pixels.shape[-1]} are not whole patches of {patch}"
            )
        grid = (pixels.shape[-2] // patch, pixels.shape[-1] // patch)
        head_width = self.config.hidden_size // self.config.num_attention_heads
        table = rotary_table(grid, self.config.rotary_reference, head_width, self.config.rope_theta)
        rotary = (table[0].to(pixels.device), table[1].to(pixels.device))
        positions = self.positions(grid)
        size = len(pixels) if torch.is_grad_enabled() else self.frame_chunk
        chunks = [self._encode(chunk, positions, rotary) for chunk in pixels.split(size)]
        encoded: Tensor = torch.cat(chunks).unflatten(1, grid)
        return encoded

    def _encode(self, pixels: Tensor, positions: Tensor, rotary: Rotary) -> Tensor:
        patches = self.patch_embedding(normalise(pixels, self.patch_embedding.weight.dtype))
        tokens = patches.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], 1) + positions
        for layer in self.layers:
            tokens = layer(tokens, rotary)
        normed: Tensor = self.norm(tokens)
        return normed[:, 1:]


AutoModel.register(KangarooVisionConfig, KangarooVisionModel, exist_ok=True)
