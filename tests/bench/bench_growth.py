"""What a run costs as it grows: CPU time, memory, files and threads of one run of many samples, against one of 1,000.

Run by hand: python tests/bench/bench_growth.py [SAMPLES]. The tests run it small (tests/faults/test_soak.py), and large where
KANGAROO_EVAL_SOAK=SAMPLES asks for it.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import VIDEOMME_ROW, write_video, write_videomme

VIDEOS = 5
SMALL = 1000


class Constant:
    """The cheapest model that looks at frames, which notes now and then what the process holds."""

    name, frame_size = "constant", 32
    model_hash, dtype, notes, settings = "constant", "none", (), {}

    def __init__(self, every: int) -> None:
        self.every = every
        self.done = 0
        self.seen: list[dict[str, int]] = []

    def respond(self, requests: Any) -> Any:
        """The same answer to each."""
        from kangaroo_eval.types import Response

        for request in requests:
            self.done += 1
            if self.done % self.every == 0:
                self.seen.append(held())
            yield Response(request.id, "B", request.frames.times, 0, 0, 0.0)


def held() -> dict[str, int]:
    """Open files, threads and KiB of memory of this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    memory = next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
    return {
        "files": len(os.listdir("/proc/self/fd")),
        "threads": threading.active_count(),
        "memory": memory,
    }


def make_data(folder: Path, samples: int) -> Path:
    """A Video-MME of so many questions about five tiny videos, in turn: neighbours are about different ones."""
    rows = [
        {
            **VIDEOMME_ROW,
            "video_id": f"{number % VIDEOS:03d}",
            "videoID": f"video{number % VIDEOS}",
            "question_id": f"{number:07d}",
            "answer": "ABCD"[number % 4],
        }
        for number in range(samples)
    ]
    write_videomme(folder, rows, videos=False)
    for number in range(VIDEOS):
        write_video(folder / f"videomme/data/video{number}.mp4", frames=8, size=32)
    return folder


def one_run(data: Path, output: Path, samples: int) -> dict[str, Any]:
    """The run, in this process: what it cost, and what the process held in its course."""
    from kangaroo_eval import evaluate

    model = Constant(max(1, samples // 20))
    found = evaluate("videomme", model, 1, data="real", data_root=data, output=output, workers=1)
    assert found["videomme"]["answered"] == samples
    use = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in status if line.startswith("VmHWM"))
    return {
        "samples": samples,
        "cpu": use.ru_utime + use.ru_stime,
        "peak": int(peak.split()[1]),
        "seen": model.seen,
    }


def measured(samples: int) -> dict[str, Any]:
    """`one_run` of so many samples in a fresh process."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = make_data(folder / "data", samples)
        command = [sys.executable, __file__, "--one", str(data), str(folder / "out"), str(samples)]
        out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        found: dict[str, Any] = json.loads(out.splitlines()[-1])
        return found


def growth(samples: int, rounds: int = 5) -> dict[str, Any]:
    """CPU milliseconds a sample up to 1,000 samples and up to `samples`, less what starting costs, and how what the
    process holds changes while it asks."""
    pairs = [(measured(20), measured(SMALL)) for _ in range(rounds)]
    large = measured(samples)
    # A thousand samples cost little beside what starting does: of several runs the median.
    start = statistics.median(each["cpu"] for each, _ in pairs)
    first = 1000 * (statistics.median(each["cpu"] for _, each in pairs) - start) / (SMALL - 20)
    whole = 1000 * (large["cpu"] - start) / (samples - 20)
    # The first tenth is that of caches and pools which fill.
    early, late = large["seen"][len(large["seen"]) // 10], large["seen"][-1]
    return {
        "first": first,
        "whole": whole,
        "ratio": whole / first,
        "early": early,
        "late": late,
        "bytes": 1024 * (large["peak"] - pairs[0][1]["peak"]) / (samples - SMALL),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("samples", type=int, nargs="?", default=100_000)
    parser.add_argument("--one", nargs=3)
    options = parser.parse_args()
    if options.one:
        data, output, samples = options.one
        print(json.dumps(one_run(Path(data), Path(output), int(samples))))
        return
    found = growth(options.samples)
    early, late = found["early"], found["late"]
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(
        f"CPU a sample: {found['first']:.3f} ms up to {SMALL:,}, {found['whole']:.3f} ms up to "
        f"{options.samples:,}: {found['ratio']:.2f} times (goal at most 1.15)"
    )
    print(
        f"while it asks, from a tenth of the run to its end: open files {early['files']} -> {late['files']}, threads "
        f"{early['threads']} -> {late['threads']}, memory {early['memory'] / 1024:.0f} -> {late['memory'] / 1024:.0f} MiB"
    )
    print(f"peak memory grows by {found['bytes'] / 1024:.2f} KiB a sample")


if __name__ == "__main__":
    main()
