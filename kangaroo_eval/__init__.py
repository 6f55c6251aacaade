"""kangaroo-eval: evaluate video-language models, with the Kangaroo model bundled. Importing it does nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kangaroo_eval.runner import evaluate

__version__ = "0.1.0"
__all__ = ["__version__", "evaluate"]


def __getattr__(name: str) -> Any:
    """Load `evaluate` when it is first asked for, so that the bare import stays instant."""
    if name == "evaluate":
        from kangaroo_eval.runner import evaluate

        return evaluate
    raise AttributeError(f"module 'kangaroo_eval' has no attribute {name!r}")
