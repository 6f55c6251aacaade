"""`kangaroo-eval models [ls|show NAME]`."""

from __future__ import annotations

import argparse
import inspect

from kangaroo_eval.errors import UserError
from kangaroo_eval.registry import check_model, model_loader, model_names


def command(options: argparse.Namespace) -> int:
    """List the models that --model takes, or say what one is and what its ARG means."""
    if options.action == "ls":
        for name in model_names():
            print(name)
        return 0
    if options.action != "show" or not options.name:
        raise UserError(f"models {options.action!r}: give `models ls` or `models show NAME`")
    check_model(options.name)
    print(f"{options.name}\n{inspect.getdoc(model_loader(options.name))}")
    return 0
