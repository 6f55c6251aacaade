"""Which packages are installed here, held against what this one says that it needs. Nothing is imported to find out, but
by `cannot_import`."""

from __future__ import annotations

import importlib
import platform
import re
from importlib import metadata
from importlib.util import find_spec
from typing import NamedTuple

from kangaroo_eval.errors import one_line

OURS = "kangaroo-eval"
IMPORTED_AS = {"opencv-python-headless": "cv2", "pillow": "PIL", "scenedetect-headless": "scenedetect"}
"""Packages that are imported under another name than they are installed by."""


class Requirement(NamedTuple):
    """A package and the version that it must have at least."""

    package: str
    least: str | None


def requirements(extra: str | None) -> list[Requirement]:
    """What the package needs at all (None), or with an extra, on this kind of machine."""
    found: dict[str, Requirement] = {}
    for line in metadata.requires(OURS) or ():
        text, _, marker = line.partition(";")
        asked = re.search(r"extra == ['\"]([\w-]+)['\"]", marker)
        machine = re.search(r"platform_machine == ['\"](\w+)['\"]", marker)
        if (asked and asked[1]) != extra or (machine and machine[1] != platform.machine()):
            continue
        match = re.match(r"([\w.-]+)(?:\[([\w,-]+)\])?\s*(?:>=\s*([\w.]+))?", text.strip())
        assert match, line  # every requirement in pyproject.toml has this form
        more = _requirements_of(match[2]) if match[1] == OURS else [Requirement(match[1], match[3])]
        found.update((each.package, each) for each in more)
    return list(found.values())


def _requirements_of(names: str | None) -> list[Requirement]:
    """What several extras, joined by commas, need."""
    return [each for name in (names or "").split(",") if name for each in requirements(name)]


def version_of(of: Requirement) -> str | None:
    """The version that is installed; None where the package cannot be found."""
    try:
        return metadata.version(of.package) if is_there(of.package) else None
    except metadata.PackageNotFoundError:
        return None


def is_there(package: str) -> bool:
    """Whether the package can be found; it is not imported."""
    try:
        return find_spec(_module(package)) is not None
    except (ImportError, ValueError):
        return False


def _module(package: str) -> str:
    return IMPORTED_AS.get(package, package.replace("-", "_"))


def lack_of(of: Requirement, version: str | None) -> str | None:
    """What is wrong with the version, in a few words; None where nothing is."""
    if version is None:
        return f"{of.package} is missing"
    if of.least and numbers(version) < numbers(of.least):
        return f"{of.package} {version} is older than {of.least}"
    return None


def numbers(version: str) -> tuple[int, ...]:
    """`2.13.0+cpu` -> (2, 13, 0)."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0])[:3])


def cannot_import(package: str) -> str | None:
    """Why importing the package fails, in a few words; None where it does not."""
    try:
        importlib.import_module(_module(package))
    except Exception as error:  # noqa: BLE001 - a broken package may raise anything
        return f"{package} does not load ({one_line(error)})"
    return None
