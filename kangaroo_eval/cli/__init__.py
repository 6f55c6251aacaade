"""The command line: the only place that reads argv and the environment, prints, and exits.

This module imports argparse and nothing else, so that `--help` is instant; a command's own module is imported
when it is called.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from kangaroo_eval.cli.parser import COMMANDS, make_parser

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code (CLI documentation: 0 done, 1 usage, 2 failed, 3 coverage,
    6 data, 130 interrupted)."""
    words = with_command(sys.argv[1:] if argv is None else argv)
    options = parse(words)
    from kangaroo_eval.cli.common import guarded

    return guarded(options, ["kangaroo-eval", *words])


def with_command(words: Sequence[str]) -> list[str]:
    """The words with `run` before them where they name no command."""
    named = words and words[0] in (*COMMANDS, "-h", "--help", "--version")
    return [*words] if named else ["run", *words]


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What the words ask for. A mistake is one line and `SystemExit` 1."""
    return make_parser(sys.argv[0]).parse_args([_dashed(word) for word in with_command(words)])


def _dashed(word: str) -> str:
    """`--model_args=x_y` -> `--model-args=x_y`: lmms-eval and lm-eval users type underscores."""
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


def console() -> None:
    """The `kangaroo-eval` script."""
    from kangaroo_eval.cli.interrupt import INTERRUPTED, end_at_once_from_now_on

    try:
        code = main()
    except KeyboardInterrupt:  # before or after the time in which it is handled
        code = INTERRUPTED
    if code == INTERRUPTED:
        end_at_once_from_now_on()
    sys.exit(code)
