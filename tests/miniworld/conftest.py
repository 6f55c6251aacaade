"""The mini benchmarks on disk, made once for all tests of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from kangaroo_eval import miniworld


@pytest.fixture(scope="session")
def minis(tmp_path_factory) -> Path:
    """A folder with every mini benchmark."""
    folder = tmp_path_factory.mktemp("minis")
    for name in miniworld.MINI:
        assert miniworld.make(name, folder) == folder / name
    return folder
