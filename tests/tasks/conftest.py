"""Writing benchmarks in their official layouts, and asking that a malformed one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from kangaroo_eval.data import read_samples
from kangaroo_eval.errors import DataError
from kangaroo_eval.registry import get_task


def _put(root: Path, name: str, content: object) -> Path:
    """A file below `root`: text and bytes as they are, anything else as JSON."""
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def _samples(task: str, root: Path):
    return read_samples(get_task(task), root)


def _refused(task: str, root: Path, *named: str) -> str:
    """Reading `task` fails as malformed data does, and the message names all of `named`."""
    with pytest.raises(DataError) as caught:
        _samples(task, root)
    message = str(caught.value)
    assert caught.value.exit_code == 6
    assert all(each in message for each in named), message
    assert "\n" not in message
    return message


@pytest.fixture(scope="session")
def bench():
    """`put(root, name, content)`, `samples(task, root)` and `refused(task, root, *named)`."""
    return SimpleNamespace(put=_put, samples=_samples, refused=_refused)
