"""Work on one video's pixels done once for all its questions: by the processor, and by the vision encoder.

Both stand in for what transformers calls anyway and give back what the same call gave before, so answers are those of
asking each question alone, bit by bit.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

FEATURES = ("get_video_features", "get_image_features")
"""Methods by which transformers' video chat models turn pixels into what the language model reads."""
UNREAD = ("hidden_states", "attentions")
"""Parts of a vision encoder's output that nothing reads behind these methods, and that are many times its size."""


class Once:
    """Stands in for the picture or video part of a processor: the last call's result, where the same pixels come
    again with the same options.

    `copies` says how many times the call holds the same media in a row (one for each prompt of a batch): they are
    worked on once, and what comes of it is repeated along the first dimension.
    """

    def __init__(self, part: Any) -> None:
        self.part = part
        self.copies = 1
        self.forget()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.part, name)

    def forget(self) -> None:
        """Free what is kept."""
        self._media: Any = None
        self._options: Any = None
        self._result: Any = None

    def __call__(self, media: Any = None, **options: Any) -> Any:
        """As the part itself."""
        for name in ("videos", "images"):
            media = options.pop(name, None) if media is None else media
        media = list(media)
        count = len(media) // self.copies
        if [*map(_same, media[:count] * self.copies)] != [*map(_same, media)]:
            raise AssertionError("the copies of a batch differ")
        if options.get("video_metadata") is not None:
            options["video_metadata"] = list(options["video_metadata"])[:count]
        if (
            self._media is None
            or [*map(_same, self._media)] != [*map(_same, media[:count])]
            or self._options != options
        ):
            self.forget()
            self._result = self.part(media[:count], **options)
            self._media, self._options = media[:count], options
        return type(self._result)({name: self._copied(value) for name, value in self._result.items()})

    def _copied(self, value: Any) -> Any:
        if isinstance(value, Tensor):
            return value if self.copies == 1 else torch.cat([value] * self.copies)
        if isinstance(value, np.ndarray):
            return np.concatenate([value] * self.copies)
        if isinstance(value, list | tuple):
            return [copy.deepcopy(item) for _ in range(self.copies) for item in value]
        return value


def _same(media: Any) -> Any:
    """What tells media apart: the objects themselves, which `Once` keeps alive, through any nesting of lists."""
    return [_same(item) for item in media] if isinstance(media, list | tuple) else id(media)


class Features:
    """Wraps a network's `FEATURES` so that the same pixels are encoded once."""

    def __init__(self, network: Any) -> None:
        owner = getattr(network, "model", network)
        self._kept: tuple[str, Sequence[Any], Mapping[str, Any], Any] | None = None
        for name in FEATURES:
            if hasattr(owner, name):
                setattr(owner, name, self._remembering(name, getattr(owner, name)))

    def forget(self) -> None:
        """Free what is kept."""
        self._kept = None

    def _remembering(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        # `generate` asks the method's signature which inputs are its own.
        @functools.wraps(method)
        def remembered(*args: Any, **options: Any) -> Any:
            if self._kept is None or not equal(self._kept[:3], (name, args, options)):
                self.forget()
                output = method(*args, **options)
                self._kept = (name, args, options, _light(output))
            return self._kept[3]

        return remembered


def _light(output: Any) -> Any:
    """A model output without `UNREAD`."""
    if not isinstance(output, Mapping) or not any(output.get(name) is not None for name in UNREAD):
        return output
    light = type(output)(**{name: value for name, value in output.items() if name not in UNREAD})
    for name, value in vars(output).items():
        # Some outputs carry their result as an attribute that is no field of theirs.
        if name not in (*UNREAD, *output):
            setattr(light, name, value)
    return light


def equal(one: Any, other: Any) -> bool:
    """Equal to the bit, through lists and mappings of tensors."""
    if isinstance(one, Tensor) or isinstance(other, Tensor):
        return (
            isinstance(one, Tensor)
            and isinstance(other, Tensor)
            and one.shape == other.shape
            and one.dtype == other.dtype
            and torch.equal(one, other)
        )
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(equal(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)
