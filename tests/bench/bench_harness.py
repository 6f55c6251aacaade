"""What the harness itself costs, as ratios in one run: start-up, a small run, overhead a sample, and overlap.

Run by hand: python tests/bench/bench_harness.py
"""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import videomme_rows, write_video, write_videomme

from kangaroo_eval import evaluate
from kangaroo_eval.media import FrameSpec, Job, decode_ahead
from kangaroo_eval.types import Response, Video

HELP = "from kangaroo_eval.cli import main\nmain(['--help'])"


def cpu_of(command: list[str]) -> float:
    """CPU-seconds (user and system) of one process, children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def wall_of(command: list[str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def startup() -> None:
    """`kangaroo-eval --help` against `python -c "import argparse"`; goal: at most 3 times."""
    ours, theirs = [], []
    for _ in range(15):
        ours.append(wall_of([sys.executable, "-c", HELP]))
        theirs.append(wall_of([sys.executable, "-c", "import argparse"]))
    ratio = statistics.median(ours) / statistics.median(theirs)
    print(f"--help / import argparse: {ratio:.2f} times (goal 3)")


CONSTANT = "import sys; from kangaroo_eval.cli import main; sys.exit(main(sys.argv[1:]))"
DECODE = """
import sys, json
from kangaroo_eval.media import FrameSpec, Job, decode_ahead
from kangaroo_eval.types import Video
if __name__ == "__main__":
    spec = FrameSpec(frames=64, size=448)
    for decoded in decode_ahead([Job(Video(path), spec) for path in sys.argv[1:]], workers=2):
        assert decoded.error is None
"""


def small_run(folder: Path) -> None:
    """18 questions with a constant model, less the bare decoding of the same videos; goal: 2 CPU-seconds."""
    data = write_videomme(folder / "small", videomme_rows(6))
    videos = sorted(map(str, (data / "videomme/data").iterdir()))
    words = [
        "--tasks",
        "videomme",
        "--model",
        "constant",
        "--data",
        "real",
        "--data-root",
        str(data),
        "--frames",
        "64",
    ]
    script = folder / "decode.py"
    script.write_text(DECODE)
    extra = []
    for number in range(5):
        whole = cpu_of(
            [sys.executable, "-c", CONSTANT, *words, "--workers", "2", "-o", str(folder / f"run{number}")]
        )
        decode = cpu_of([sys.executable, str(script), *videos])
        extra.append(whole - decode)
    print(f"18 questions, constant model, beyond decoding: {statistics.median(extra):.2f} CPU-s (goal 2)")


class Constant:
    """The cheapest model there is."""

    name, frame_size = "constant", 32
    model_hash, dtype, notes, settings = "constant", "none", (), {}

    def respond(self, requests):
        for request in requests:
            yield Response(request.id, "B", (), 0, 0, 0.0)


def overhead(folder: Path) -> None:
    """CPU and memory a sample at 1,000 and 10,000 samples of one small video; goal: 2 CPU-ms, flat memory."""
    data = {}
    for count in (1000, 10_000):
        data[count] = write_videomme(folder / f"many{count}", videomme_rows(1, questions=count))
    script = folder / "many.py"
    script.write_text(
        "import sys, json, resource\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from bench_harness import Constant, evaluate\n"
        "if __name__ == '__main__':\n"
        "    evaluate('videomme', Constant(), 1, data='real', data_root=__import__('pathlib').Path(sys.argv[1]),\n"
        "             output=__import__('pathlib').Path(sys.argv[2]), workers=0)\n"
        "    use = resource.getrusage(resource.RUSAGE_SELF)\n"
        # Not ru_maxrss: a child starts with its parent's.
        "    peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "    print(json.dumps([use.ru_utime + use.ru_stime, int(peak.split()[1])]))\n"
    )
    found = {}
    for count in (1000, 10_000):
        out = subprocess.run(
            [sys.executable, str(script), str(data[count]), str(folder / f"run{count}")],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        found[count] = json.loads(out.splitlines()[-1])
    cpu = (found[10_000][0] - found[1000][0]) / 9000
    text = sum(len(line) for line in (folder / "run10000/videomme.answers.jsonl").open())
    memory = (found[10_000][1] - found[1000][1]) / 1024
    print(f"overhead a sample, 1,000 to 10,000 samples: {1000 * cpu:.3f} CPU-ms (goal 2)")
    print(
        f"memory grows by {memory:.1f} MiB over 9,000 samples whose answer lines are {text / 1048576 * 0.9:.1f} MiB"
    )


class AsSlowAsDecoding(Constant):
    """Waits `seconds` for every video, as a model on an accelerator would."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.frame_size = 448

    def respond(self, requests):
        for request in requests:
            time.sleep(self.seconds)
            yield Response(request.id, "B", request.frames.times, 0, 0, self.seconds)


def overlap(folder: Path) -> None:
    """A model that takes as long as decoding; goals: the run at most 1.25 times the longer of the two, start and end
    included, and the model busy for 85 % of the time that it answers in."""
    data = write_videomme(folder / "slow", videomme_rows(24, questions=1), videos=False)
    for row in videomme_rows(24, questions=1):
        write_video(data / f"videomme/data/{row['videoID']}.mp4", frames=1500, size=480, fps=30)
    videos = sorted((data / "videomme/data").iterdir())
    spec = FrameSpec(frames=64, size=448)
    start = time.perf_counter()
    for decoded in decode_ahead([Job(Video(str(path)), spec) for path in videos], workers=2):
        assert decoded.error is None
    decode = time.perf_counter() - start
    model = AsSlowAsDecoding(decode / len(videos))
    start = time.perf_counter()
    found = evaluate("videomme", model, 64, data="real", data_root=data, output=folder / "overlap", workers=2)
    run = time.perf_counter() - start
    print(f"run / longer of decoding and model: {run / decode:.2f} (goal 1.25)")
    spent = found.data["time"]["tasks"]["videomme"]
    print(
        f"model busy while it answers: {spent['model'] / (spent['model'] + spent['wait']):.1%} (goal 85.0%)"
    )


def main() -> None:
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        startup()
        small_run(folder)
        overhead(folder)
        overlap(folder)


if __name__ == "__main__":
    main()
