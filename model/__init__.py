"""The Kangaroo model (arXiv:2408.15542): network, processor, tokenizer and the adapter the harness calls.

Importing this package is light: torch and transformers are loaded with the first name that needs them. transformers'
Auto classes know Kangaroo from then on: AutoConfig with any of these classes, AutoModel and
AutoModelForImageTextToText with `KangarooForConditionalGeneration`, AutoProcessor with `KangarooProcessor`.
AutoTokenizer reads its folders without any of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kangaroo_eval.model.adapter import KangarooModel
    from kangaroo_eval.model.assemble import from_components
    from kangaroo_eval.model.config import (
        KangarooConfig,
        KangarooVisionConfig,
        kangaroo_8b,
        kangaroo_135m,
        kangaroo_tiny,
    )
    from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
    from kangaroo_eval.model.processing import KangarooProcessor
    from kangaroo_eval.model.vision import KangarooVisionModel

MODELS: dict[str, str] = {
    "kangaroo": "kangaroo_eval.model.loading:load",
    "kangaroo-tiny": "kangaroo_eval.model.loading:load_tiny",
}
"""Name on the command line -> "module:ATTR" of its loader."""

_EXPORTS = {
    "KangarooConfig": "config",
    "KangarooForConditionalGeneration": "modeling",
    "KangarooModel": "adapter",
    "KangarooProcessor": "processing",
    "KangarooVisionConfig": "config",
    "KangarooVisionModel": "vision",
    "from_components": "assemble",
    "kangaroo_135m": "config",
    "kangaroo_8b": "config",
    "kangaroo_tiny": "config",
}

__all__ = [
    "MODELS",
    "KangarooConfig",
    "KangarooForConditionalGeneration",
    "KangarooModel",
    "KangarooProcessor",
    "KangarooVisionConfig",
    "KangarooVisionModel",
    "from_components",
    "kangaroo_8b",
    "kangaroo_135m",
    "kangaroo_tiny",
]


def __getattr__(name: str) -> Any:
    """Load an exported class when it is first asked for (PEP 562)."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
