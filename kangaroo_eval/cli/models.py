"""`kangaroo-eval models`."""

from __future__ import annotations

import argparse

from kangaroo_eval.registry import model_names


def command(options: argparse.Namespace) -> int:
    """List the models that --model takes."""
    for name in model_names():
        print(name)
    return 0
