"""The mini world: made videos of moving shapes, and small made copies of benchmarks in official layouts.

`make` writes a mini benchmark. `world`, `generate`, `render`, `captions` and `questions` are the parts it is
made of, which training uses with other seeds. Importing this package loads none of them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

VERSION = "2"
"""Raised whenever any mini benchmark's bytes change: a folder made by another version is made again."""

MINI: dict[str, str] = {
    name: f"kangaroo_eval.miniworld.{name}:plan"
    for name in (
        "videomme",
        "mlvu",
        "mlvu_test",
        "lvbench",
        "longvideobench",
        "egoschema",
        "mvbench",
        "tempcompass",
        "seedbench",
        "seedbench_v1",
        "mmbench_video",
        "videovista",
    )
}
"""Folder name of a mini benchmark -> "module:function" that says what is in it."""


def make(
    benchmark: str, root: Path, *, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Make `<root>/<benchmark>` unless it is there, whole and of this version; give back its path.

    `workers` videos are rendered at once; `progress(done, all)` is called after each. Two processes that make
    the same folder end well: one waits for the other. Raises `RunFailed`, and leaves nothing half-made, when
    the disk is full or a video cannot be written; `UserError` for an unknown name, or a folder that this did
    not make.
    """
    from kangaroo_eval.miniworld.build import make as make_folder

    return make_folder(benchmark, Path(root), workers=workers, progress=progress)


__all__ = ["MINI", "VERSION", "make"]
