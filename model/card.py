"""The model card: README.md beside the weights, written from the configuration on every save."""

# mypy: allow-untyped-calls
# (transformers and huggingface_hub annotate only a part of their methods)

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import ModelCardData

from kangaroo_eval.model.config import KangarooConfig

FILE = "README.md"
MARK = "<!-- written by kangaroo-eval on every save; remove this line to keep changes of your own -->"
"""A card with this line is written anew; one without it is somebody's own and stays."""

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

USE = """```python
import numpy as np
from kangaroo_eval.model import KangarooForConditionalGeneration, KangarooProcessor

folder = "."  # this folder, or the name of this repository on the hub
model = KangarooForConditionalGeneration.from_pretrained(folder).eval()
processor = KangarooProcessor.from_pretrained(folder)

times = [0.0, 1.0, 2.0, 3.0]  # seconds of the frames in the video
frames = np.zeros((len(times), {size}, {size}, 3), np.uint8)  # your RGB frames
inputs = processor("What happens in this video?", frames, times)
ids = model.generate(**inputs, max_new_tokens=64)[0, inputs["input_ids"].shape[1] :]
print(processor.tokenizer.decode(ids, skip_special_tokens=True))
```

On a benchmark, decoded, scored and reported:

```bash
kangaroo-eval --model kangaroo:. --tasks videomme --frames 64
```"""

LIMITS = """- It sees sampled frames and their times, and hears nothing.
- Frames become squares of {size} pixels without keeping their aspect ratio; small text is lost first.
- The context holds {context:,} tokens, so at most {frames:,} frames with no text beside them.
- Decoding is greedy. An answer may be wrong and sound sure; nothing here was tested for safety."""

CITATION = """```bibtex
@article{kangaroo2024,
  title   = {Kangaroo: A Powerful Video-Language Model Supporting Long-context Video Input},
  author  = {Liu, Jiajun and Wang, Yibing and Ma, Hanghang and Wu, Xiaoping and Ma, Xiaoqi and Wei, Xiaoming and
             Jiao, Jianbin and Wu, Enhua and Hu, Jie},
  journal = {arXiv preprint arXiv:2408.15542},
  year    = {2024}
}
```"""


def is_ours(text: str) -> bool:
    """Whether a card was written by `write` and not taken over since."""
    return MARK in text


def write(folder: str | Path, config: KangarooConfig, parameters: Mapping[str, int]) -> None:
    """Write the card of a model into its folder, unless the README.md there is somebody's own.

    `parameters`: number of parameters of each part (`modeling.PARTS`), in order.
    """
    path = Path(folder) / FILE
    if path.exists() and not is_ours(path.read_text(encoding="utf-8", errors="replace")):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(card_text(config, parameters), encoding="utf-8")


def card_text(config: KangarooConfig, parameters: Mapping[str, int]) -> str:
    """The whole card. Everything it says comes from the configuration, so equal models have equal cards."""
    made = config.provenance or {}
    total = sum(parameters.values())
    context = config.text_config.max_position_embeddings
    sections = {
        f"# Kangaroo, {_size(total)} parameters": _opening(made),
        "## Architecture": _architecture(config, parameters, total),
        "## Where its parts come from": _components(made),
        "## Training": _stages(made.get("stages") or ()),
        "## Results": _results(made.get("results") or ()),
        "## Use": USE.format(size=config.frame_size),
        "## Limits": LIMITS.format(
            size=config.frame_size, context=context, frames=_most_frames(config, context)
        ),
        "## Citation": CITATION,
    }
    body = "\n\n".join(f"{title}\n\n{text}" for title, text in sections.items())
    return f"---\n{_front_matter(made)}\n---\n{MARK}\n\n{body}\n"


def _front_matter(made: Mapping[str, Any]) -> str:
    sources = [str(part.get("source") or "") for part in _parts(made).values()]
    # A relative path can look like a repository; one that is there is no repository.
    bases = [name for name in sources if HUB_ID.fullmatch(name) and not Path(name).exists()]
    data = ModelCardData(
        # Weights made by this project alone are under its licence; others keep that of what they came from.
        license=made.get("license") or ("other" if _parts(made) else "apache-2.0"),
        base_model=bases or None,
        pipeline_tag="video-text-to-text",
        library_name="transformers",
        tags=["kangaroo", "video", "multimodal", "kangaroo-eval", "arxiv:2408.15542"],
    )
    return str(data.to_yaml()).strip()


def _parts(made: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {part: made[part] for part in ("vision", "llm") if made.get(part)}


def _opening(made: Mapping[str, Any]) -> str:
    text = (
        "A video-language model of the Kangaroo design "
        "([arXiv:2408.15542](https://arxiv.org/abs/2408.15542)): frames and their times in seconds go through a "
        "vision encoder, spatial-temporal patchify and a projector into a Llama chat model."
    )
    if made.get("stages"):
        return text
    start = "the joining parts at their starting values" if _parts(made) else "random weights"
    return (
        f"{text}\n\n**Untrained**, as far as is recorded: no training stage is written down, so these are {start} "
        "and the answers mean nothing."
    )


def _architecture(config: KangarooConfig, parameters: Mapping[str, int], total: int) -> str:
    vision, text, layout = config.vision_config, config.text_config, config.layout
    what = {
        "vision": f"EVA-02 encoder: {vision.num_hidden_layers} layers, width {vision.hidden_size}, "
        f"{vision.num_attention_heads} heads, patches of {vision.patch_size} pixels",
        "patchify": "2 x 2 x 2 depthwise convolution",
        "projector": f"{config.projector}, {vision.hidden_size} to {text.hidden_size}",
        "visual_tokens": "the four special tokens of the visual sequence",
        "llm": f"{text.model_type}: {text.num_hidden_layers} layers, width {text.hidden_size}, "
        f"{text.num_attention_heads} heads ({text.num_key_value_heads} of keys and values), "
        f"vocabulary {text.vocab_size:,}",
    }
    rows = [(part, what[part], f"{count:,}") for part, count in parameters.items() if count]
    table = _table(("part", "what", "parameters"), [*rows, ("total", "", f"{total:,}")])
    slot = "two frames" if config.patchify else "one frame"
    return (
        f"{table}\n\nFrames are squares of {config.frame_size} pixels. A slot of {slot} takes "
        f"{layout.slot_tokens:,} tokens of the language model; 64 frames take {layout.sequence_length(64):,}."
    )


def _components(made: Mapping[str, Any]) -> str:
    parts = _parts(made)
    if not parts:
        return "Nothing is recorded: no checkpoint of another model went in."
    rows = [
        (part, about.get("source", ""), about.get("hash") or "not recorded") for part, about in parts.items()
    ]
    return _table(("part", "started from", "identity (SHA-256)"), rows)


def _stages(stages: Sequence[Mapping[str, Any]]) -> str:
    if not stages:
        return "None: no training stage is recorded."
    return _table(
        ("stage", "data", "steps", "date"), [_row(each, "stage", "data", "steps", "date") for each in stages]
    )


def _results(results: Sequence[Mapping[str, Any]]) -> str:
    if not results:
        return "No numbers yet."
    names = ("task", "value", "n", "frames", "data")
    return _table(names, [_row(each, *names) for each in results])


def _row(values: Mapping[str, Any], *names: str) -> tuple[Any, ...]:
    return tuple("" if values.get(name) is None else values[name] for name in names)


def _table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(item) for item in line) + " |" for line in lines)


def _cell(value: Any) -> str:
    """Text that stays in its cell whatever a data set or a folder is called."""
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _size(count: int) -> str:
    for unit, name in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return str(count)


def _most_frames(config: KangarooConfig, context: int) -> int:
    """The largest number of frames whose visual sequence fits `context` tokens."""
    layout = config.layout
    step = 2 if config.patchify else 1
    # slots * (slot_tokens + 1) + 2 tokens, see VideoLayout.sequence_length
    return max(0, (context - 2) // (layout.slot_tokens + 1)) * step
