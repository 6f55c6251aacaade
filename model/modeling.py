"""Kangaroo: vision encoder + time embedding + patchify + projector in front of transformers' own Llama.

Figure 2 of the paper, Section IV.A. The visual branch writes a sequence of LLM-width vectors,
`<vi_start> slot_0 <eof> slot_1 <eof> ... slot_{m-1} <eov> <vi_end>`, which stands in the first user turn.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForImageTextToText,
    GenerationMixin,
    LlamaForCausalLM,
    LlamaModel,
    PreTrainedModel,
)
from transformers import initialization as init

from kangaroo_eval.errors import UserError
from kangaroo_eval.identity import INDEX, WEIGHTS
from kangaroo_eval.model import card, hub
from kangaroo_eval.model.config import KangarooConfig, check_provenance
from kangaroo_eval.model.patchify import Patchify
from kangaroo_eval.model.position import temporal_embedding
from kangaroo_eval.model.projector import build_projector
from kangaroo_eval.model.vision import KangarooVisionModel

log = logging.getLogger(__name__)

VI_START, EOF, EOV, VI_END = range(4)

PARTS = ("vision", "patchify", "projector", "visual_tokens", "llm")
"""The trainable parts. Every parameter's name begins with exactly one of them (see `part_of`)."""


CACHE = "cache" if "cache" in inspect.signature(LlamaModel.forward).parameters else "past_key_values"
"""transformers' name for the KV cache among the keywords of `forward`; it changed with 5.24."""

VIDEO_INPUTS = ("pixel_values", "frame_times", "frame_counts")
"""The keywords that bring videos; their first dimension counts frames or videos, not rows."""

ROTARY_BUFFERS = ("inv_freq", "original_inv_freq")
"""transformers' names of the LLM's rotary frequencies."""


def part_of(name: str) -> str:
    """The part that the parameter called `name` belongs to."""
    part = name.split(".", 1)[0]
    if part not in PARTS:
        raise LookupError(f"parameter {name!r} belongs to none of {', '.join(PARTS)}")
    return part


def pad_id(text: Any) -> int | None:
    """The padding token of an LLM's configuration: its own, or else the first that ends a text."""
    if text.pad_token_id is not None:
        return int(text.pad_token_id)
    ends = text.eos_token_id
    first = ends[0] if isinstance(ends, list | tuple) else ends
    return None if first is None else int(first)


class WeightsError(UserError):
    """A checkpoint that does not hold exactly the parameters of its configuration."""


class KangarooForConditionalGeneration(PreTrainedModel, GenerationMixin):  # type: ignore[misc, unused-ignore]
    """The whole network. Its five children are the parts named in `PARTS`.

    A batch may hold several videos: their frames are concatenated in `pixel_values` and `frame_times`, and
    `frame_counts` says how many belong to each (None: all to one). In `input_ids` each visual sequence is
    written out with the tokenizer's ids (`KangarooProcessor.visual_ids`); those positions are replaced by
    `encode_video`'s vectors in order.
    """

    config_class = KangarooConfig
    base_model_prefix = ""
    main_input_name = "input_ids"
    supports_gradient_checkpointing = True
    config: KangarooConfig
    # transformers declares these two on the instance, so no ClassVar
    _no_split_modules = ["LlamaDecoderLayer", "VisionLayer"]  # noqa: RUF012
    _skip_keys_device_placement = ["past_key_values", "cache"]  # noqa: RUF012
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: KangarooConfig) -> None:
        super().__init__(config)
        vision, text = config.vision_config, config.text_config
        self.vision = KangarooVisionModel(vision)
        self.patchify = Patchify(vision.hidden_size, config.patchify_init) if config.patchify else None
        self.projector = build_projector(config.projector, vision.hidden_size, text.hidden_size)
        self.visual_tokens = nn.Parameter(torch.empty(4, text.hidden_size))
        self.llm = LlamaForCausalLM(text)
        self.post_init()
        self._complete_generation_config()

    def _complete_generation_config(self) -> None:
        """What a generation configuration leaves out, as a checkpoint's does that lies there without one."""
        generation: Any = self.generation_config
        wanted = {
            "do_sample": False,
            "pad_token_id": pad_id(self.config.text_config),
            # The control tokens are input only: greedy decoding must never write one into an answer.
            "suppress_tokens": self.config.control_token_ids,
        }
        for name, value in wanted.items():
            if getattr(generation, name, None) is None:
                setattr(generation, name, value)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, Patchify):
            module.reset_parameters()
        elif isinstance(module, KangarooForConditionalGeneration):
            init.normal_(module.visual_tokens, std=self.config.initializer_range)

    @classmethod
    def from_components(cls, vision: str | Path, llm: str | Path, **options: Any) -> Any:
        """The start of stage I from two public checkpoints: `kangaroo_eval.model.from_components`."""
        from kangaroo_eval.model.assemble import from_components

        return from_components(vision, llm, **options)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """Move and cast as torch does, but leave the LLM's rotary frequencies in fp32: with bf16's relative error
        of 2^-9 the fast ones are a whole turn off after three thousand tokens, and a video has twenty thousand."""
        kept = {
            (module, name): buffer
            for module in self.llm.modules()
            for name, buffer in module.named_buffers(recurse=False)
            if name in ROTARY_BUFFERS and not buffer.is_meta
        }
        moved = super()._apply(fn, recurse)
        for (module, name), buffer in kept.items():
            setattr(module, name, buffer.to(getattr(module, name).device))
        return moved

    def get_input_embeddings(self) -> nn.Module:
        """The LLM's embedding table."""
        table: nn.Module = self.llm.model.embed_tokens
        return table

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the LLM's embedding table."""
        self.llm.model.embed_tokens = value

    def get_output_embeddings(self) -> nn.Module:
        """The LLM's output layer."""
        head: nn.Module = self.llm.lm_head
        return head

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the LLM's output layer."""
        self.llm.lm_head = value

    def encode_frames(self, pixels: Tensor, times: Tensor) -> Tensor:
        """(n, 3, h, w) frames at `times` (n,) in seconds -> (slots, slot_tokens, LLM width).

        Eq. 4: the time embedding is added, in fp32, to every token of its frame before patchify.
        """
        projected: Tensor = self.projector(self._slots(self._timed(pixels, self._clock(times, [len(times)]))))
        return projected

    def _clock(self, times: Tensor, counts: Sequence[int]) -> Tensor:
        """What Eq. 3 embeds of frames at `times` (n,) of videos of `counts` frames."""
        if self.config.time_embedding == "index":
            return torch.cat([torch.arange(count) for count in counts]).to(times)
        return times

    def _timed(self, pixels: Tensor, times: Tensor) -> Tensor:
        """Eq. 4: (n, rows, columns, vision width) patch tokens with the time of their frame."""
        tokens: Tensor = self.vision(pixels)
        if self.config.time_embedding == "none":
            return tokens
        embedding = temporal_embedding(times.to(tokens.device), tokens.shape[-1], self.config.tpe_theta)
        return (tokens.float() + embedding[:, None, None]).to(tokens.dtype)

    def _slots(self, timed: Tensor) -> Tensor:
        """The patch tokens of one video -> (slots, slot_tokens, vision width)."""
        joined: Tensor = timed.flatten(1, 2) if self.patchify is None else self.patchify(timed)
        return joined

    def encode_video(self, pixels: Tensor, times: Tensor | Sequence[float]) -> Tensor:
        """One video -> its visual sequence of Figure 2, shape (`layout.sequence_length(n)`, LLM width).

        `pixels` is uint8 RGB of shape (n, 3, h, w) or CLIP-normalised floating point of the same shape;
        `times` are the n timestamps in seconds. An image is a video of one frame at time 0.
        """
        seconds = torch.as_tensor(
            times, dtype=torch.float64 if pixels.device.type != "mps" else torch.float32
        )
        if pixels.ndim != 4 or pixels.shape[1] != 3 or seconds.shape != pixels.shape[:1] or not len(pixels):
            raise ValueError(
                f"a video is n x 3 x height x width pixels with n times, n >= 1; "
                f"got pixels {tuple(pixels.shape)} and times {tuple(seconds.shape)}"
            )
        if torch.is_tensor(times) and times.dtype in (torch.bfloat16, torch.float16):
            raise ValueError(
                f"times in {times.dtype} are off by seconds: give fp32 or fp64. Move the processor's output with "
                ".to(device) alone: its pixels are uint8, nothing in it needs another dtype"
            )
        return self._sequence(self.encode_frames(pixels, seconds.to(pixels.device)))

    def encode_videos(self, pixels: Tensor, times: Tensor, counts: Sequence[int]) -> Tensor:
        """Several videos, `counts[i]` frames each, one behind the other -> their visual sequences, likewise.

        All frames pass through the vision encoder and the projector together; patchify joins those of one video alone.
        """
        timed = self._timed(pixels, self._clock(times, counts))
        videos = [self._slots(video) for video in timed.split(list(counts))]
        slots = self.projector(torch.cat(videos)).split([len(video) for video in videos])
        return torch.cat([self._sequence(video) for video in slots])

    def _sequence(self, slots: Tensor) -> Tensor:
        """Figure 2: the slots of one video with the marks around and between them."""
        marks = self.visual_tokens
        eofs = marks[EOF].expand(len(slots), 1, -1)
        body = torch.cat([slots, eofs.to(slots.dtype)], 1).flatten(0, 1)[:-1]
        ends = marks.to(slots.dtype)
        return torch.cat([ends[VI_START, None], body, ends[EOV, None], ends[VI_END, None]])

    def embed(
        self,
        input_ids: Tensor,
        pixel_values: Tensor | None = None,
        frame_times: Tensor | None = None,
        frame_counts: Sequence[int] | Tensor | None = None,
        *,
        together: bool = False,
    ) -> Tensor:
        """Token ids (batch, length) -> LLM inputs (batch, length, width), visual sequences in their places.

        `together`: all videos pass the encoder at once (`encode_videos`), which is faster and takes more memory.
        """
        controls = torch.tensor(self.config.control_token_ids, device=input_ids.device)
        visual = torch.isin(input_ids, controls)
        table = self.get_input_embeddings()
        # Control ids may lie beyond the embedding table: they have their own vectors.
        embeds: Tensor = table(input_ids.masked_fill(visual, 0))
        if pixel_values is None:
            if bool(visual.any()):
                raise ValueError("input_ids hold a visual sequence, but there are no pixel_values")
            return embeds
        times = torch.zeros(len(pixel_values)) if frame_times is None else frame_times.reshape(-1)
        counts = [len(pixel_values)] if frame_counts is None else [int(count) for count in frame_counts]
        if sum(counts) != len(pixel_values):
            raise ValueError(f"frame_counts {counts} do not add up to the {len(pixel_values)} frames given")
        if together:
            sequence = self.encode_videos(pixel_values, times, counts)
        else:
            videos = zip(pixel_values.split(counts), times.split(counts), strict=True)
            sequence = torch.cat([self.encode_video(pixels, when) for pixels, when in videos])
        if len(sequence) != int(visual.sum()):
            raise ValueError(
                f"input_ids hold {int(visual.sum())} visual tokens, but videos of {counts} frames make "
                f"{len(sequence)}: write KangarooProcessor.visual_ids(frames) for each"
            )
        return embeds.masked_scatter(visual[..., None], sequence.to(embeds.dtype))

    def forward(  # noqa: PLR0913  (the signature transformers' generation and trainers expect)
        self,
        input_ids: Tensor | None = None,
        pixel_values: Tensor | None = None,
        frame_times: Tensor | None = None,
        frame_counts: Sequence[int] | Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        attention_mask: Tensor | None = None,
        past_key_values: Any = None,
        cache: Any = None,
        labels: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> Any:
        """Logits, and the loss where `labels` are given (-100: not a target). Returns transformers'
        `CausalLMOutputWithPast`; further keywords (position_ids, use_cache) go to the LLM. `cache` and `past_key_values` are
        the newer and the older name of one thing. `logits_to_keep`: how many last positions get logits (0: all); named
        here, or `generate` would not ask for one and take those of all.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        if inputs_embeds is None:
            assert input_ids is not None
            inputs_embeds = self.embed(input_ids, pixel_values, frame_times, frame_counts)
        return self.llm(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            **{CACHE: past_key_values if cache is None else cache},
            labels=labels,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    def _expand_inputs_for_generation(  # type: ignore[override, unused-ignore]
        self,
        expand_size: int = 1,
        is_encoder_decoder: bool = False,
        input_ids: Tensor | None = None,
        **model_kwargs: Any,
    ) -> tuple[Tensor | None, dict[str, Any]]:
        """Rows for beams and for several samples. GenerationMixin repeats each entry of a tensor, which would hand a
        video's frames out by halves: here whole videos are repeated, those of a row with it."""
        video = {name: model_kwargs.pop(name) for name in VIDEO_INPUTS if name in model_kwargs}
        if expand_size > 1 and input_ids is not None and video.get("pixel_values") is not None:
            video = self._repeat_videos(video, input_ids, expand_size)
        parent: Any = super()
        ids, inputs = parent._expand_inputs_for_generation(
            expand_size=expand_size,
            is_encoder_decoder=is_encoder_decoder,
            input_ids=input_ids,
            **model_kwargs,
        )
        return ids, {**inputs, **video}

    def _repeat_videos(self, video: dict[str, Any], input_ids: Tensor, times: int) -> dict[str, Any]:
        """The videos of each row, `times` times."""
        pixels, counts = video["pixel_values"], video.get("frame_counts")
        sizes = [len(pixels)] if counts is None else [int(count) for count in counts]
        starts = (input_ids == self.config.visual_token_ids[VI_START]).sum(-1).tolist()
        if sum(starts) != len(sizes):
            raise ValueError(f"input_ids hold {sum(starts)} videos, and frame_counts {len(sizes)}")
        order, first = [], 0
        for count in starts:
            order += [*range(first, first + count)] * times
            first += count
        repeated = {**video, "frame_counts": torch.tensor([sizes[index] for index in order])}
        for name in ("pixel_values", "frame_times"):
            if video.get(name) is not None:
                pieces = video[name].split(sizes)
                repeated[name] = torch.cat([pieces[index] for index in order])
        return repeated

    def prepare_inputs_for_generation(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """GenerationMixin's inputs of one step; the video goes in with the first step only."""
        parent: Any = super()
        inputs: dict[str, Any] = parent.prepare_inputs_for_generation(*args, **kwargs)
        cached = inputs.get(CACHE)
        if cached is not None and cached.get_seq_length() > 0:
            for name in VIDEO_INPUTS:
                inputs.pop(name, None)
        return inputs

    def chat(self, video: Any, query: str, history: Any = None, **options: Any) -> Any:
        """One round of a conversation, as `reply, history`: `kangaroo_eval.model.conversation.chat` says with what.

        `video` is a file, frames, or None for text alone; `processor` must be among the options.
        """
        from kangaroo_eval.model.conversation import chat

        return chat(self, query, video=video, history=history, **options)

    @classmethod
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        """As PreTrainedModel's, but strict: absent, superfluous or misshapen parameters are a WeightsError, and a
        pickle is never opened, since it may run code."""
        wants_info = kwargs.pop("output_loading_info", False)
        options = {"ignore_mismatched_sizes": True, "use_safetensors": True, **kwargs}
        options["output_loading_info"] = True
        loaded: Any = super().from_pretrained(*args, **options)
        model, info = loaded
        faults = [
            f"{kind} {', '.join(map(str, sorted(info[key], key=str)[:3]))}"
            for kind, key in (
                ("missing", "missing_keys"),
                ("unexpected", "unexpected_keys"),
                ("misshapen", "mismatched_keys"),
            )
            if info[key]
        ]
        if faults:
            raise WeightsError(f"weights do not fit the configuration: {'; '.join(faults)}")
        model._complete_generation_config()
        return (model, info) if wants_info else model

    def save_pretrained(self, save_directory: Any, *args: Any, **kwargs: Any) -> None:
        """As PreTrainedModel's, with a model card. The weights of an earlier save in other shards are removed:
        beside the new ones, transformers would load them. A provenance of another form than it should have is left out,
        with a warning: nobody loses days of training to it."""
        folder = Path(save_directory)
        main = args[0] if args else kwargs.get("is_main_process", True)
        replaces = main and kwargs.get("variant") is None
        if replaces:
            (folder / INDEX).unlink(missing_ok=True)
        with self._savable_provenance():
            super().save_pretrained(str(folder), *args, **kwargs)
            if main:
                card.write(folder, self.config, self.count_parameters())
        if replaces and (folder / INDEX).exists():
            (folder / WEIGHTS).unlink(missing_ok=True)

    @contextmanager
    def _savable_provenance(self) -> Iterator[None]:
        given = self.config.provenance
        try:
            check_provenance(given)
        except ValueError as error:
            log.warning("saved without the provenance, for it could not be read again: %s", error)
            self.config.provenance = None
        try:
            yield
        finally:
            self.config.provenance = given

    def push_to_hub(self, repo_id: str, **options: Any) -> str:  # type: ignore[override, unused-ignore]
        """Save into one commit on the hub, with the model card. `options`: max_shard_size, and those of `hub.push`
        (private, token, revision, create_pr, commit_message). The processor is pushed by its own `push_to_hub`."""
        shards = {"max_shard_size": options.pop("max_shard_size", "5GB")}
        return hub.push(lambda folder: self.save_pretrained(folder, **shards), repo_id, **options)

    def count_parameters(self) -> dict[str, int]:
        """Number of parameters of each part, in the order of `PARTS`."""
        counts = dict.fromkeys(PARTS, 0)
        for name, parameter in self.named_parameters():
            counts[part_of(name)] += parameter.numel()
        return counts


AutoModel.register(KangarooConfig, KangarooForConditionalGeneration, exist_ok=True)
AutoModelForImageTextToText.register(KangarooConfig, KangarooForConditionalGeneration, exist_ok=True)
