"""The command line: the only place that reads argv and the environment, prints, and exits.

This module imports argparse and nothing else, so that `--help` is instant; a command's own module is imported
when it is called.
"""

from __future__ import annotations

import sys

from kangaroo_eval.cli.parser import COMMANDS, make_parser


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code (CLI documentation: 0 done, 1 usage, 2 failed, 3 coverage,
    6 data, 130 interrupted)."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in (*COMMANDS, "-h", "--help", "--version"):
        words.insert(0, "run")
    options = make_parser(sys.argv[0]).parse_args([_dashed(word) for word in words])
    from kangaroo_eval.cli.common import guarded

    return guarded(options, ["kangaroo-eval", *words])


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
