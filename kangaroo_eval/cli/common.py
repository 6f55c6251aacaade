"""What the commands share: errors to exit codes, logging, where data and cache are."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import logging
import os
import shutil
import sys
from pathlib import Path

from kangaroo_eval.cli.interrupt import INTERRUPTED, MESSAGE, Interruption
from kangaroo_eval.endpoint import EndpointConfig
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.options import STANDARD


def guarded(options: argparse.Namespace, command: list[str]) -> int:
    """Run the command's module; every user error is one line on stderr and its documented exit code."""
    options.command_line = command
    options.exit_code = 0
    _log(options)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that cannot show a sign must not cost a finished run its table.
            stream.reconfigure(errors="replace")
    with Interruption() as options.interruption:
        try:
            return _ended(options)
        except BaseException as error:
            # An interruption may end in any error: of a lock that it struck, of a library that it cut short.
            if not (options.interruption.came or isinstance(error, KeyboardInterrupt)):
                raise
            print(getattr(options, "interrupted", MESSAGE), file=sys.stderr)
            return INTERRUPTED


def _ended(options: argparse.Namespace) -> int:
    """Run the command's module; its exit code, also where it ends in one of the errors that are the user's."""
    try:
        module = importlib.import_module(f"kangaroo_eval.cli.{options.command}")
        code: int = module.command(options)
        sys.stdout.flush()
        return code
    except (UserError, OSError) as error:
        options.interruption.check()
        return _told(error, options)


def _told(error: UserError | OSError, options: argparse.Namespace) -> int:
    """Say what went wrong, in one line; the exit code."""
    if isinstance(error, UserError):
        print(f"{_program(options)}: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    _silence_stdout()
    if isinstance(error, BrokenPipeError):
        # The reader of a pipe (head, less) left; the run's own exit code stays.
        return int(options.exit_code)
    print(f"{_program(options)}: cannot write the output: {error.strerror or error}", file=sys.stderr)
    return RunFailed.exit_code


def _program(options: argparse.Namespace) -> str:
    return str(getattr(options, "program", "kangaroo-eval"))


def _silence_stdout() -> None:
    """Nothing can be written there any more; Python must not complain of it at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Handler(logging.Handler):
    """Log lines above the progress bar, each behind the program's name."""

    def __init__(self, program: str) -> None:
        super().__init__()
        self._program = program

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        # Where nobody reads what is said, the work goes on.
        with contextlib.suppress(OSError):
            tqdm.write(f"{self._program}: {record.getMessage()}", file=sys.stderr)


def _log(options: argparse.Namespace) -> None:
    logger = logging.getLogger("kangaroo_eval")
    logger.handlers = [_Handler(_program(options))]
    logger.propagate = False
    # Quiet is no progress and no tables; that mini data or untrained weights are used is always said.
    logger.setLevel(logging.INFO if options.verbose else logging.WARNING)


def data_root(options: argparse.Namespace) -> Path | None:
    """--data-root, else $KANGAROO_EVAL_DATA, else None."""
    given = options.data_root or os.environ.get("KANGAROO_EVAL_DATA")
    return user_path(given) if given else None


def user_path(text: str) -> Path:
    """A path that a user wrote, with ~ spelt out."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UserError(f"{text}: {error}") from error


def judge(options: argparse.Namespace) -> EndpointConfig | None:
    """The judge that --judge asks for; its key is $OPENAI_API_KEY, which is shown and written nowhere."""
    if not options.judge:
        if options.judge_base_url or options.judge_price:
            raise UserError("--judge-base-url and --judge-price go with --judge MODEL")
        return None
    return EndpointConfig(
        model=options.judge,
        base_url=options.judge_base_url,
        api_key=os.environ.get("OPENAI_API_KEY"),
        price=_price(options.judge_price),
    )


def _price(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        prompt, completion = map(float, text.split(","))
    except ValueError:
        raise UserError(
            f"--judge-price {text!r}: give USD per million prompt and completion tokens, such as 10,30"
        ) from None
    return prompt, completion


def cache_dir() -> Path:
    """$KANGAROO_EVAL_CACHE, else the user's cache folder."""
    given = os.environ.get("KANGAROO_EVAL_CACHE")
    if given:
        return user_path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "kangaroo-eval"


def split(words: list[str] | None) -> tuple[str, ...]:
    """`["a,b", "c"]` -> `("a", "b", "c")`."""
    return tuple(name.strip() for word in words or () for name in word.split(",") if name.strip())


def pairs(text: str) -> dict[str, str]:
    """--model-args `a=1,b=2` -> `{"a": "1", "b": "2"}`."""
    found = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():
            # What has no name may be a key that was given without one.
            shown = part if len(part) <= 16 else f"{part[:4]}..."
            raise UserError(f"--model-args {shown!r}: give name=value,name=value")
        name = key.strip().replace("-", "_")
        if name in STANDARD:
            raise UserError(f"--model-args {name}: it has a flag of its own, --{name.replace('_', '-')}")
        found[name] = value
    return found


def columns() -> int | None:
    """How wide the terminal is that somebody looks at; None where stdout goes to a file, a pipe, or a terminal that knows
    no styles: there every row is one line."""
    looked_at = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    return shutil.get_terminal_size().columns if looked_at else None
