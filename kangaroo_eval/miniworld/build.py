"""Puts a mini benchmark on disk: all of it or nothing, however many processes do it at once."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.miniworld import MINI, VERSION
from kangaroo_eval.miniworld.stills import Still
from kangaroo_eval.miniworld.world import World

MARK = "mini.json"
"""The file that tells made data from real: version, seed, and every other file with its size in bytes."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a benchmark's folder holds, by the path inside it: `texts`, `videos` and single `pictures`.

    A path's ending says what kind of file is made of a world.
    """

    seed: str
    texts: Mapping[str, bytes]
    videos: Mapping[str, World]
    pictures: Mapping[str, Still] = field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file, in the order of its name."""
        return tuple(sorted((*self.texts, *self.videos, *self.pictures)))


def make(
    benchmark: str, root: Path, *, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> Path:
    """See `kangaroo_eval.miniworld.make`."""
    if benchmark not in MINI:
        raise UserError(f"no mini benchmark {benchmark!r}; there are: {', '.join(sorted(MINI))}")
    what = _What(f"the mini benchmark {benchmark} in {root}", "about 10 MB of free space")
    return _make(root / benchmark, lambda: _planned(benchmark), what, _Pace(workers, progress))


def write(
    plan: Plan, folder: Path, *, workers: int = 2, progress: Callable[[int, int], None] | None = None
) -> Path:
    """Make `folder` of `plan` as `make` makes a mini benchmark; nothing to do where that has been done before.

    Raises what `make` raises, and `UserError` for a folder of made data with another seed or other texts.
    """
    mark = _mark(folder) or {"seed": plan.seed}
    texts = plan.texts.items() if is_complete(folder) else ()
    if mark.get("seed") != plan.seed or any(_read(folder / path) != text for path, text in texts):
        raise UserError(f"{folder} holds other made data (seed {mark.get('seed')}); name another folder")
    return _make(folder, lambda: plan, _What(str(folder), "free space"), _Pace(workers, progress))


class _What(NamedTuple):
    """What an error says could not be made, and of what that needs enough."""

    name: str
    space: str


class _Pace(NamedTuple):
    """How many videos are made at once, and whom to tell of each."""

    workers: int
    progress: Callable[[int, int], None] | None


def _make(folder: Path, plan: Callable[[], Plan], what: _What, pace: _Pace) -> Path:
    """Make `folder` unless it is complete; `plan` is only asked for then."""
    if pace.workers < 1:
        raise UserError(f"workers must be 1 or more, got {pace.workers}")
    _refuse_foreign(folder)
    if is_complete(folder):
        return folder
    import av

    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder.parent) as alone:
            if not is_complete(folder):
                if alone:
                    _clean(folder.parent, folder.name)
                _build(plan(), folder, pace)
    except (OSError, av.FFmpegError) as error:
        raise RunFailed(
            f"could not make {what.name}: {error}; it needs {what.space} in a folder that can be written to"
        ) from error
    return folder


def _planned(benchmark: str) -> Plan:
    module, _, function = MINI[benchmark].partition(":")
    plan: Plan = getattr(importlib.import_module(module), function)()
    return plan


def is_complete(folder: Path) -> bool:
    """Whether `folder` was made by this version and nothing of it has been lost since."""
    mark = _mark(folder)
    if mark is None or mark.get("miniworld") != VERSION:
        return False
    files = mark.get("files")
    return isinstance(files, dict) and all(_size(folder / path) == size for path, size in files.items())


def _mark(folder: Path) -> dict[str, object] | None:
    try:
        mark = json.loads((folder / MARK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return mark if isinstance(mark, dict) else None


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.is_file() else b""


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _refuse_foreign(folder: Path) -> None:
    """Real data is never touched."""
    if folder.exists() and _mark(folder) is None and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(
            f"{folder} is there and was not made by the mini world (it has no readable {MARK}); "
            "name another folder"
        )


@contextmanager
def _alone(root: Path) -> Iterator[bool]:
    """Hold the folder's lock, waiting for it; it goes with the process. False where there is no such lock."""
    try:
        import fcntl
    except ImportError:
        yield False
        return
    handle = os.open(root, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            held = True
        except OSError:  # some network file systems: both processes then make it, and the first counts
            held = False
        yield held
    finally:
        os.close(handle)


def _clean(root: Path, benchmark: str) -> None:
    """Remove what killed processes left. Only with the lock: else it may be another's work in progress."""
    for left in root.glob(f".{benchmark}.*.part"):
        shutil.rmtree(left, ignore_errors=True)


def _build(plan: Plan, folder: Path, pace: _Pace) -> None:
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
    try:
        _write(plan, part, pace)
        _put_in_place(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _write(plan: Plan, part: Path, pace: _Pace) -> None:
    from kangaroo_eval.miniworld.render import write_video
    from kangaroo_eval.miniworld.stills import write_still

    for path in plan.paths:
        (part / path).parent.mkdir(parents=True, exist_ok=True)
    for path, content in plan.texts.items():
        (part / path).write_bytes(content)
    for path, still in plan.pictures.items():
        write_still(still, part / path)
    # Threads: libx264 works outside the interpreter's lock, and a killed process leaves no workers behind.
    with ThreadPoolExecutor(pace.workers) as pool:
        longest_first = sorted(plan.videos.items(), key=lambda item: -item[1].seconds)
        tasks = [pool.submit(write_video, world, part / path) for path, world in longest_first]
        try:
            for done, task in enumerate(as_completed(tasks), start=1):
                task.result()
                if pace.progress:
                    pace.progress(done, len(tasks))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    sizes = {path: (part / path).stat().st_size for path in plan.paths}
    mark = {"miniworld": VERSION, "seed": plan.seed, "files": sizes}
    (part / MARK).write_text(json.dumps(mark, indent=1) + "\n", encoding="utf-8")


def _put_in_place(part: Path, folder: Path) -> None:
    """Rename `part` to `folder`; an incomplete or older folder of ours steps aside first and is removed."""
    if is_complete(folder):
        return
    if folder.exists():
        old = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.part")
        folder.rename(old)
        shutil.rmtree(old, ignore_errors=True)
    try:
        part.rename(folder)
    except OSError:
        if not is_complete(folder):  # without a lock another process may have been first
            raise
