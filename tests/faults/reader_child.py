"""Reads bad benchmarks in a process of its own, with little memory and little time for each, and notes what it touches.

python reader_child.py FOLDER SEED COUNT prints one JSON line a case: what was wrong, how it ended, what was said.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import corpus

from kangaroo_eval.cli import main
from kangaroo_eval.registry import get_task, task_names

SECONDS = 20
MEMORY = 3 << 30
opened: list[str] = []


def watch(event: str, arguments: tuple) -> None:
    """Note every file and folder that is opened, by whatever library asks Python for it."""
    if event in ("open", "os.listdir", "os.scandir") and isinstance(arguments[0], str | bytes | os.PathLike):
        opened.append(os.path.abspath(os.fsdecode(arguments[0])))


def slow(*_: object) -> None:
    raise TimeoutError


def attempt(task: str, root: Path) -> dict[str, object]:
    """What the real command makes of the benchmark below `root`."""
    words = ["run", "--tasks", task, "--data", "real", "--data-root", str(root), "--model", "constant"]
    words += ["--on-missing", "skip", "--dry-run", "--subset", "0:3", "-q"]
    out, err = io.StringIO(), io.StringIO()
    opened.clear()
    began = time.process_time()
    signal.alarm(SECONDS)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code: object = main(words)
    except BaseException as error:  # noqa: BLE001 - this is what the test looks for
        code = f"{type(error).__name__}: {str(error)[:200]}"
    finally:
        signal.alarm(0)
    inside = (str(root), str(root.parent / "cache"))
    left = [path for path in opened if path.startswith(str(root.parent)) and not path.startswith(inside)]
    strange = [path for path in opened if path.startswith(("/etc/passwd", "/outside"))]
    return {
        "code": code,
        "err": err.getvalue(),
        "seconds": time.process_time() - began,
        "outside": left + strange,
    }


def run(folder: Path, seed: int, count: int) -> None:
    os.environ["KANGAROO_EVAL_CACHE"] = str(folder / "cache")
    outside = folder / "outside"
    outside.mkdir()
    for name in ("secret", "secret.mp4", "secret.srt"):
        (outside / name).write_text("nobody may read this")
    tasks = {name: get_task(name).source.folder for name in task_names()}
    root = folder / "data"
    # Whatever is imported on first use is imported before files are watched.
    for case in corpus.annotations(seed, 2, tasks, str(outside)):
        shutil.rmtree(root, ignore_errors=True)
        case.make(root)
        attempt(case.task, root)
    sys.addaudithook(watch)
    for case in corpus.annotations(seed, count, tasks, str(outside)):
        shutil.rmtree(root, ignore_errors=True)
        case.make(root)
        found = {"task": case.task, "what": case.name, **attempt(case.task, root)}
        sys.stdout.write(json.dumps(found) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, slow)
    run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
