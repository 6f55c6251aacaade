"""What a Kangaroo network looks like: sizes, options, the two presets and the token arithmetic."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

from transformers import AutoConfig, LlamaConfig, PretrainedConfig

VISUAL_TOKENS = ("<vi_start>", "<eof>", "<eov>", "<vi_end>")
"""Figure 2's four special tokens, in the order of the rows of the parameter `visual_tokens`."""

VIDEO_TOKEN = "<|video|>"
"""The placeholder that stands once for each token of a slot."""

LENGTH_DEPENDENT = ("dynamic", "longrope")
"""Kinds of rotary positions whose frequencies depend on how long a prompt is."""

PROVENANCE = ("vision", "llm", "license", "stages", "results")
"""Keys of `KangarooConfig.provenance`, all optional: what the model card is written from."""


class KangarooVisionConfig(PretrainedConfig):  # type: ignore[misc, unused-ignore]
    """The vision encoder. The defaults are EVA-02 CLIP-L/14 (`eva02_large_patch14_clip_224`).

    `image_size` is the side in pixels that the learned positions and the rotary reference grid belong to;
    frames of another size are encoded by resampling the former and rescaling the latter. `rope_grid`: patches
    along a side of the rotary reference grid, where that is not the grid of `image_size` (None: it is).
    """

    model_type: ClassVar[str] = "kangaroo_video_vision"
    base_config_key: ClassVar[str] = "vision_config"

    hidden_size: int = 1024
    intermediate_size: int = 2730
    num_hidden_layers: int = 24
    num_attention_heads: int = 16
    image_size: int = 224
    patch_size: int = 14
    layer_norm_eps: float = 1e-6
    rope_theta: float = 10000.0
    rope_grid: int | None = None
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        _check_positive(self, "layer_norm_eps", "rope_theta")
        if self.rope_grid is not None:
            _check_positive(self, "rope_grid")
        head, rest = divmod(self.hidden_size, self.num_attention_heads)
        if rest or head % 4:
            raise ValueError(
                f"hidden_size {self.hidden_size} / num_attention_heads {self.num_attention_heads} must be "
                "a whole multiple of 4: 2-D rotary positions turn pairs of each axis"
            )
        if self.image_size % self.patch_size:
            raise ValueError(
                f"image_size {self.image_size} is not a multiple of patch_size {self.patch_size}"
            )

    @property
    def grid(self) -> int:
        """Patches along one side of an image of `image_size`."""
        return self.image_size // self.patch_size

    @property
    def rotary_reference(self) -> int:
        """Patches along one side of the grid that the rotary positions were trained on."""
        return self.grid if self.rope_grid is None else self.rope_grid


TIME_EMBEDDINGS = ("seconds", "index", "none")


class KangarooConfig(PretrainedConfig):  # type: ignore[misc, unused-ignore]
    """A whole Kangaroo (Section IV.A, Figure 2).

    `frame_size`: side of the square frames in pixels. `patchify`: whether the 2x2x2 depthwise convolution
    is there (from stage II on); `patchify_init`: "uniform" (average pooling) or "random".
    `projector`: "linear" (the paper) or "mlp". `tpe_theta`: theta of Eq. 3. `time_embedding`: what Eq. 3 embeds,
    "seconds" (the paper), "index" (the frame's number in the video) or "none": for ablations.
    `visual_token_ids`: ids of `VISUAL_TOKENS` in the tokenizer; `video_token_id`: that of `VIDEO_TOKEN`.
    `provenance`: how the weights were made, for the model card; it changes no answer and is no part of the
    model's identity. `vision` and `llm`: {"source", "hash"} of the checkpoints the parts started from;
    `license`: an identifier of the hub; `stages`: [{"stage", "data", "steps", "date"}] in order;
    `results`: [{"task", "value", "n", "frames", "data"}]. None where nothing is recorded.
    """

    # Not "kangaroo": the public release brings its own code under its own name, and a registered local
    # class of the same name would be loaded in its place.
    model_type: ClassVar[str] = "kangaroo_video"
    sub_configs: ClassVar[dict[str, Any]] = {
        "vision_config": KangarooVisionConfig,
        "text_config": LlamaConfig,
    }

    vision_config: Any = None
    text_config: Any = None
    frame_size: int = 448
    patchify: bool = True
    patchify_init: str = "uniform"
    projector: str = "linear"
    tpe_theta: float = 10000.0
    time_embedding: str = "seconds"
    visual_token_ids: Any = (128002, 128003, 128004, 128005)
    video_token_id: int = 128008
    initializer_range: float = 0.02
    tie_word_embeddings: bool = False
    provenance: Any = None

    def __post_init__(self, **kwargs: Any) -> None:
        self.vision_config = _sub_config(self.vision_config, KangarooVisionConfig)
        self.text_config = _sub_config(self.text_config, LlamaConfig)
        self.visual_token_ids = [int(token) for token in self.visual_token_ids]
        self.tie_word_embeddings = bool(self.text_config.tie_word_embeddings)
        super().__post_init__(**kwargs)
        if self.projector not in ("linear", "mlp"):
            raise ValueError(f"projector {self.projector!r}: choose 'linear' or 'mlp'")
        if self.patchify_init not in ("uniform", "random"):
            raise ValueError(f"patchify_init {self.patchify_init!r}: choose 'uniform' or 'random'")
        if len(self.visual_token_ids) != len(VISUAL_TOKENS):
            raise ValueError(
                f"visual_token_ids needs {len(VISUAL_TOKENS)} ids, for {', '.join(VISUAL_TOKENS)}"
            )
        _check_positive(self, "tpe_theta")
        if self.time_embedding not in TIME_EMBEDDINGS:
            raise ValueError(
                f"time_embedding {self.time_embedding!r}: choose among {', '.join(TIME_EMBEDDINGS)}"
            )
        check_provenance(self.provenance)
        rotary = (self.text_config.rope_parameters or {}).get("rope_type")
        if rotary in LENGTH_DEPENDENT:
            raise ValueError(length_dependent(rotary))
        self.layout  # noqa: B018  (checks frame_size)

    @property
    def layout(self) -> VideoLayout:
        """How many tokens a video of this configuration takes."""
        return VideoLayout(self.frame_size, self.vision_config.patch_size, self.patchify)

    @property
    def control_token_ids(self) -> list[int]:
        """The four visual tokens and the placeholder: ids that the visual sequence replaces."""
        return [*self.visual_token_ids, self.video_token_id]


def length_dependent(kind: str) -> str:
    """Why such rotary positions are refused."""
    return (
        f"rope_type {kind!r}: its positions depend on the length of the prompt, so that what is kept of a video would "
        "be read otherwise than anew; choose 'default', 'linear', 'yarn' or 'llama3'"
    )


def _check_positive(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < math.inf:
            raise ValueError(f"{name} {value!r}: give a number above 0")


def check_provenance(provenance: Any) -> None:
    """ValueError where a card cannot be written from it."""
    if provenance is None:
        return
    if not isinstance(provenance, dict):
        raise ValueError(f"provenance {provenance!r:.80}: give a mapping of {', '.join(PROVENANCE)}")
    unknown = sorted(set(provenance) - set(PROVENANCE))
    if unknown:
        raise ValueError(f"provenance {', '.join(unknown)}: choose among {', '.join(PROVENANCE)}")
    for name in ("vision", "llm"):
        if not isinstance(provenance.get(name) or {}, dict):
            raise ValueError(f"provenance {name} {provenance[name]!r:.80}: give a mapping of source and hash")
    for name in ("stages", "results"):
        entries = provenance.get(name) or []
        if not isinstance(entries, list | tuple) or not all(isinstance(each, dict) for each in entries):
            raise ValueError(f"provenance {name} {entries!r:.80}: give a list of mappings")


def _sub_config(value: Any, kind: type[Any]) -> Any:
    if value is None:
        return kind()
    if isinstance(value, dict):
        if value.get("model_type", kind.model_type) != kind.model_type:
            raise ValueError(f"a part of type {value['model_type']!r}; it must be {kind.model_type!r}")
        return kind(**{name: item for name, item in value.items() if name != "model_type"})
    return value


@dataclass(frozen=True, slots=True)
class VideoLayout:
    """Token arithmetic of Figure 2 and Table II for square frames of `frame_size` pixels."""

    frame_size: int
    patch_size: int
    patchify: bool

    def __post_init__(self) -> None:
        step = self.patch_size * (2 if self.patchify else 1)
        if self.frame_size < step or self.frame_size % step:
            why = "patch_size x 2 (patchify joins 2x2 patches)" if self.patchify else "patch_size"
            raise ValueError(f"frame_size {self.frame_size} is not a multiple of {why} = {step}")

    @property
    def slot_tokens(self) -> int:
        """LLM tokens of one slot."""
        return (self.frame_size // (self.patch_size * (2 if self.patchify else 1))) ** 2

    def slots(self, frames: int) -> int:
        """Slots of a video: one for each frame, or for each started pair of frames with patchify."""
        if frames < 1:
            raise ValueError("a video needs at least one frame")
        return (frames + 1) // 2 if self.patchify else frames

    def visual_tokens(self, frames: int) -> int:
        """LLM tokens that carry the picture: what Table II's frame and sequence limits count."""
        return self.slots(frames) * self.slot_tokens

    def sequence_length(self, frames: int) -> int:
        """Length of the whole visual sequence, with <vi_start>, the <eof> between slots, <eov>, <vi_end>."""
        return self.visual_tokens(frames) + self.slots(frames) + 2


def kangaroo_8b() -> KangarooConfig:
    """EVA-02 CLIP-L/14 with Llama-3-8B-Instruct, 448-pixel frames: the paper's model.

    The control tokens use Llama-3's reserved rows, so the vocabulary keeps its 128,256 entries. The
    context covers stage V's 22 K tokens.
    """
    text = LlamaConfig(
        vocab_size=128256,
        hidden_size=4096,
        intermediate_size=14336,
        num_hidden_layers=32,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=32768,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        bos_token_id=128000,
        eos_token_id=[128001, 128009],
        tie_word_embeddings=False,
    )
    return KangarooConfig(vision_config=KangarooVisionConfig(), text_config=text, frame_size=448)


def kangaroo_tiny() -> KangarooConfig:
    """The same network at 4.2 M parameters: 64-pixel frames, 16 tokens a two-frame slot, own tokenizer.

    The output layer is not tied: the parts stay disjoint for freezing and for pipeline stages, at half a
    million parameters.
    """
    from kangaroo_eval.model.tokenizer import SPECIAL_TOKENS, VOCABULARY

    ids = {token: index for index, token in enumerate(SPECIAL_TOKENS)}
    vision = KangarooVisionConfig(
        hidden_size=128,
        intermediate_size=342,
        num_hidden_layers=4,
        num_attention_heads=4,
        image_size=64,
        patch_size=8,
        initializer_range=0.05,
    )
    text = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        # Llama-3's: with a head of 32, a theta of 10,000 leaves few dimensions in which to find a thing by what it is,
        # wherever in the video it stands.
        rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
        initializer_range=0.05,
        bos_token_id=ids["<|begin_of_text|>"],
        eos_token_id=[ids["<|end_of_text|>"], ids["<|eot_id|>"]],
        tie_word_embeddings=False,
    )
    return KangarooConfig(
        vision_config=vision,
        text_config=text,
        frame_size=64,
        visual_token_ids=[ids[token] for token in VISUAL_TOKENS],
        video_token_id=ids[VIDEO_TOKEN],
        initializer_range=0.05,
    )


def kangaroo_135m() -> KangarooConfig:
    """SmolLM2-135M-Instruct with a small EVA-02 (22 M parameters): what one GPU trains in hours.

    224-pixel frames of 64 tokens a two-frame slot: 64 frames take 2,082 of the LLM's 8,192 positions. The
    control tokens have the ids behind SmolLM2's 49,152, as `with_control_tokens` gives them.
    """
    vision = KangarooVisionConfig(
        hidden_size=384, intermediate_size=1024, num_hidden_layers=12, num_attention_heads=6
    )
    text = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rms_norm_eps=1e-5,
        rope_parameters={"rope_type": "default", "rope_theta": 100000.0},
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
        tie_word_embeddings=True,
    )
    return KangarooConfig(
        vision_config=vision,
        text_config=text,
        frame_size=224,
        visual_token_ids=range(49152, 49156),
        video_token_id=49156,
    )


AutoConfig.register(KangarooVisionConfig.model_type, KangarooVisionConfig, exist_ok=True)
AutoConfig.register(KangarooConfig.model_type, KangarooConfig, exist_ok=True)
