"""`kangaroo-eval watch DIR`: evaluate checkpoints as training leaves them."""

from __future__ import annotations

from kangaroo_eval.cli.series import watch as command

__all__ = ["command"]
