"""From a request to what a transformers model reads: the chat text, our frames and their times.

The processor of the model does what it does for everybody (its chat template, its resizing, its placeholders), with one
exception: it never chooses frames.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from jinja2 import TemplateError
from PIL import Image

from kangaroo_eval.backends.hf_options import Shown
from kangaroo_eval.backends.hf_reuse import Once
from kangaroo_eval.backends.interleave import interleave
from kangaroo_eval.errors import UserError, first_line
from kangaroo_eval.types import Cue, Frames, Request

TICKS = 1000
"""Ticks a second of the clock that a processor is told frame numbers in: a frame number is its time in ms. More would
be truncated by processors that count in whole milliseconds."""
TOKENS_OF_A_FRAME = 768
"""Most tokens of a frame where a model takes pictures of any size: VIDEO_MAX_TOKEN_NUM of qwen-vl-utils."""
WIDE = 16 / 9
"""Aspect ratio for which frames hold as many pixels as the model can use."""
DEFAULT_SIZE = 448


class Geometry(NamedTuple):
    """What frames to ask for: sides of `frame_size` pixels, or the longer side where `keep_aspect`."""

    frame_size: int
    keep_aspect: bool


class Unaskable(ValueError):
    """A request that cannot be put to this model; the others can."""


@dataclass(eq=False)
class Reader:
    """Makes inputs from requests. `shown` is how frames are given: as one video, or each as an image. `system` is
    the system turn where the benchmark has none; None leaves that to the chat template. `times` writes before each
    image when it is shown; a video's times are told by the processor, or not at all."""

    processor: Any
    shown: Shown
    system: str | None = None
    times: bool = False
    part: Once = field(init=False, repr=False)
    _frames: Frames | None = field(default=None, init=False, repr=False)
    _media: Any = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        name = "video_processor" if self.shown == "video" else "image_processor"
        part = getattr(self.processor, name)
        if self.shown == "video":
            part.sample_frames = _refuse_to_sample
        self.part = Once(part)
        setattr(self.processor, name, self.part)

    def forget(self) -> None:
        """Free what is kept of the last video."""
        self.part.forget()
        self._frames = self._media = None

    def text(self, request: Request) -> str:
        """The rendered chat, with placeholders where the frames go. UserError where the chat template leaves out
        what it was given; `Unaskable` where the question itself holds a placeholder."""
        messages = self._messages(request)
        try:
            text = self.processor.apply_chat_template(
                messages,
                tokenize=False,
                add_generation_prompt=request.prefill is None,
                continue_final_message=request.prefill is not None,
            )
        except (TemplateError, ValueError, TypeError) as error:
            raise UserError(
                f"the chat template cannot hold this request ({first_line(error)}): "
                f"roles {', '.join(message['role'] for message in messages)}"
            ) from error
        parts = [part["text"] for message in messages for part in message["content"] if "text" in part]
        lost = [part for part in parts if part.strip() not in text]
        if lost:
            raise UserError(f"the chat template leaves out {lost[0][:60]!r}: it is not one for such a chat")
        self._check_placeholders(text, parts, len(request.frames.times))
        return str(text)

    def _check_placeholders(self, text: str, parts: Sequence[str], frames: int) -> None:
        tokens = {kind: getattr(self.processor, f"{kind}_token", None) for kind in ("video", "image")}
        # Those of the other kind too: the processor, or the network, looks for pixels of all.
        for stand_in in filter(None, tokens.values()):
            if any(stand_in in part for part in parts):
                raise Unaskable(
                    f"the text of the request holds {stand_in!r}, which stands for pixels in this model"
                )
        token = tokens[self.shown.removesuffix("s")]
        if token is None:
            return
        wanted = min(frames, 1) if self.shown == "video" else frames
        if text.count(token) != wanted:
            raise UserError(
                f"the chat template made {text.count(token)} placeholders {token!r} for {wanted}; "
                f"try --model-args frames={'images' if self.shown == 'video' else 'video'}"
            )

    def _messages(self, request: Request) -> list[dict[str, Any]]:
        system = self.system if request.system is None else request.system
        turns: list[tuple[str, list[dict[str, str]]]] = [("user", self._content(request))]
        if system is not None:
            turns.insert(0, ("system", [_text(system)]))
        if request.prefill is not None:
            turns.append(("assistant", [_text(request.prefill)]))
        return [{"role": role, "content": content} for role, content in turns]

    def _content(self, request: Request) -> list[dict[str, str]]:
        times = request.frames.times
        if self.shown == "images":
            content: list[dict[str, str]] = []
            for item in interleave(times, request.timed_text) if times else request.timed_text:
                if isinstance(item, Cue):
                    content.append(_text(f"{item.text}\n"))
                    continue
                if self.times:
                    content.append(_text(f"Frame at {times[item]:.1f} s:\n"))
                content.append({"type": "image"})
            return [*content, _text(request.prompt)]
        lines = [cue.text for cue in request.timed_text]
        video = [{"type": "video"}] if times else []
        return [*video, _text("\n".join([*lines, request.prompt]))]

    def read(self, texts: Sequence[str], frames: Frames) -> Any:
        """The inputs of prompts about the same frames, padded on the left: a BatchFeature of CPU tensors."""
        # A tokenizer that was saved in training often still cuts and pads as it did there.
        several = len(texts) > 1
        options: dict[str, Any] = {"return_tensors": "pt", "truncation": False, "padding": several}
        bos = self.processor.tokenizer.bos_token
        if bos is not None and texts[0].startswith(bos):
            options["add_special_tokens"] = False
        if several:
            options["padding_side"] = "left"
        if frames.times:
            options.update(self._pixels(frames, len(texts)))
        self.part.copies = len(texts)
        return self.processor(text=list(texts), **options)

    def _pixels(self, frames: Frames, copies: int) -> dict[str, Any]:
        if self._frames is not frames:
            self.forget()
            self._frames, self._media = frames, self._made(frames)
        if self.shown == "images":
            return {"images": [self._media for _ in range(copies)]}
        times = [*frames.times, *[frames.times[-1]] * (len(self._media) - len(frames.times))]
        return {
            "videos": [[self._media] for _ in range(copies)],
            "video_metadata": [metadata(times, frames.duration) for _ in range(copies)],
            "do_sample_frames": False,
        }

    def _made(self, frames: Frames) -> Any:
        if self.shown == "images":
            return [Image.fromarray(picture) for picture in frames.pixels]
        # Some processors cannot take a video that is shorter than one step of their vision encoder.
        least = int(getattr(self.part, "temporal_patch_size", None) or 1)
        missing = max(0, least - len(frames.pixels))
        return np.concatenate([frames.pixels, frames.pixels[-1:].repeat(missing, axis=0)])


def metadata(times: Sequence[float], duration: float) -> dict[str, Any]:
    """What transformers' VideoMetadata wants to know, such that its `timestamps` are our times and its
    `sampled_fps` is one frame for each mean distance between them."""
    step = (times[-1] - times[0]) / (len(times) - 1) if len(times) > 1 else 1.0
    return {
        "fps": float(TICKS),
        "frames_indices": [round(time * TICKS) for time in times],
        "total_num_frames": max(1, round(len(times) * step * TICKS)),
        "duration": max(duration, times[-1]),
    }


def geometry(part: Any, shown: Shown) -> Geometry:
    """The frames that a processor's part can use without enlarging them, and without losing detail of a video of
    16:9 that it would see in full-size frames."""
    size = part.size or {}
    height, width, short, long = (
        _side(size, name) for name in ("height", "width", "shortest_edge", "longest_edge")
    )
    if height and width:
        if height == width and shown == "video":
            return Geometry(height, keep_aspect=False)
        return Geometry(2 * max(height, width), keep_aspect=True)
    if takes_any_size(part):
        unit = part.patch_size * part.merge_size
        area = min(long or math.inf, TOKENS_OF_A_FRAME * unit * unit)
        return Geometry(max(unit, math.isqrt(round(area * WIDE))), keep_aspect=True)
    if long:
        return Geometry(long, keep_aspect=True)
    return Geometry(2 * short if short else DEFAULT_SIZE, keep_aspect=True)


def takes_any_size(part: Any) -> bool:
    """Whether `size` bounds the number of pixels (Qwen-VL's way) instead of naming a side."""
    return bool(getattr(part, "merge_size", None) and _side(part.size or {}, "longest_edge"))


def _side(size: Any, name: str) -> int:
    return int(size.get(name) or 0)


def _text(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def _refuse_to_sample(*_: Any, **__: Any) -> Any:
    raise AssertionError("the processor wanted to choose frames: they are chosen already")
