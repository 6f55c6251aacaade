"""The commands and code that stand in the README and in docs/, as a reader would copy them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.rglob("*.md")))
PROGRAMS = ("kangaroo-eval", "kangaroo-train", "kangaroo-curate")
TRAIN_MODULE = ["-m", "kangaroo_eval.cli.train"]
SHELLS = ("", "bash", "console", "sh", "yaml")
_FENCE = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"(?<!`)`((?:kangaroo-(?:eval|train|curate)) [^`]+)`(?!`)")


class Fence(NamedTuple):
    """A code block: its language, and its text."""

    language: str
    text: str


class Command(NamedTuple):
    """One call of a program: its words after the name, and the exit code that the comment behind it tells."""

    page: str
    program: str
    words: list[str]
    exit_code: int


def fences(page: Path) -> list[Fence]:
    return [Fence(*match.groups()) for match in _FENCE.finditer(page.read_text(encoding="utf-8"))]


def commands(page: Path, *, inline: bool = True) -> Iterator[Command]:
    """Every call of one of the programs, from code blocks and, with `inline`, from the text."""
    text = page.read_text(encoding="utf-8")
    for language, block in fences(page):
        if language in SHELLS:
            for line in block.replace("\\\n", " ").splitlines():
                yield from _called(page.name, line)
    if inline:
        for match in _INLINE.finditer(_FENCE.sub("", text)):
            yield from _called(page.name, " ".join(match[1].split()))


def _called(page: str, line: str) -> Iterator[Command]:
    code, comment = _commented(line)
    said = re.search(r"\bexit (\d+)", comment)
    lexer = shlex.shlex(code, posix=True, punctuation_chars="|&;<>()")
    lexer.whitespace_split, lexer.commenters = True, ""
    try:
        words = list(lexer)
    except ValueError:  # an apostrophe in an output that is shown
        return
    for call in _split(words):
        found = next((at for at, word in enumerate(call) if word in PROGRAMS), None)
        if call[:1] == ["torchrun"] and TRAIN_MODULE[1] in call:
            yield Command(page, "kangaroo-train", call[call.index(TRAIN_MODULE[1]) + 1 :], 0)
        elif found is not None and all(_before(word) for word in call[:found]):
            yield Command(page, call[found], call[found + 1 :], int(said[1]) if said else 0)


def _commented(line: str) -> tuple[str, str]:
    """The code and the comment behind it; a # in quotes begins none."""
    for match in re.finditer(r"'[^']*'|\"[^\"]*\"|(\s#)", line):
        if match[1]:
            return line[: match.start()], line[match.end() :]
    return line, ""


def _before(word: str) -> bool:
    """What may stand before a program's name: a prompt, a YAML key, a variable."""
    return word in ("$", "-", "run:") or re.fullmatch(r"\w+=\S*", word) is not None


def _split(words: list[str]) -> Iterator[list[str]]:
    """The calls of one line; where output goes is left out."""
    call: list[str] = []
    for word in words:
        if re.fullmatch(r"[|&;()]+", word):
            yield call
            call = []
        elif re.fullmatch(r"[<>]+", word):
            yield call
            call = ["into"]
        elif word != "...":
            call.append(word)
    yield call
