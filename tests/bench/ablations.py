"""What of the paper's curriculum matters on the mini world: each part left out, at a share of the steps. Run by hand.

    python tests/bench/ablations.py RUN EXAM [--share 0.25] [--questions 540] [--out FOLDER] [--only NAME]

RUN is what `kangaroo-train all --recipe kangaroo-tiny --out RUN` wrote, EXAM what `kangaroo-eval data exam --data-root
EXAM` did. Every variant goes from RUN's stage image through the stages behind it, at `--share` of the recipe's steps, and
answers the same questions of the exam with 64 frames. "as it is" with other seeds shows what a seed alone does. A variant
that is done is not trained again. Two at a time, each with one thread; Ctrl-C gives the table of those that are done.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tabulate import tabulate

from kangaroo_eval.train.recipes import KANGAROO_TINY


class Variant(NamedTuple):
    """Which stages are run, and with which flags from which of them on."""

    name: str
    stages: tuple[str, ...] = ("video", "refinement", "instruction", "long")
    flags: tuple[str, ...] = ()
    flagged: tuple[str, ...] = ("video", "refinement", "instruction", "long")
    seed: int = 0


VARIANTS = (
    Variant("as it is"),
    Variant("as it is, seed 1", seed=1),
    Variant("no time embedding", flags=("--time-embedding", "none")),
    Variant("frame's number in place of its time", flags=("--time-embedding", "index")),
    Variant("without stage II (video)", stages=("refinement", "instruction", "long")),
    Variant(
        "16 frames of every video (no dynamic sampling)",
        flags=("--frames", "16"),
        flagged=("instruction", "long"),
    ),
    Variant("without stage IV (instruction)", stages=("video", "refinement", "long")),
    Variant("as it is, seed 2", seed=2),
)


def trained(variant: Variant, run: Path, out: Path, share: float) -> Path:
    """The variant's last weights."""
    folder = out / variant.name.replace(" ", "-").replace("'", "")
    source = run / "image/model"
    for stage in variant.stages:
        steps = max(1, round(share * (KANGAROO_TINY.plan(stage).steps or 0)))
        words = ["kangaroo-train", stage, "--recipe", "kangaroo-tiny", "--from", str(source), "--any-order"]
        words += ["--out", str(folder / stage), "--steps", str(steps), "--seed", str(variant.seed)]
        words += variant.flags if stage in variant.flagged else ()
        start(words)
        source = folder / stage / "model"
    return source


def scored(model: Path, exam: Path, questions: int) -> dict[str, float]:
    """The careful score in points and its standard error; both again for each length."""
    out = model.parents[1] / "run"
    words = ["kangaroo-eval", "--tasks", "videomme", "--data-root", str(exam), "--frames", "64", "--subset"]
    words += [f"0:{questions}", "--model", f"kangaroo:{model}", "--output", str(out), "-q", "--workers", "0"]
    start([*words, "--model-args", "threads=1"])
    task = json.loads((out / "results.json").read_text())["tasks"]["videomme"]
    lengths = {name: pair["careful"] for name, pair in task["breakdown"]["duration"].items()}
    found = {"all": task["careful"], **lengths}
    return {name: 100 * each["value"] for name, each in found.items()} | {
        "error": 100 * task["careful"]["stderr"]
    }


def start(words: list[str]) -> None:
    """Run it with one thread; its own message where it fails."""
    done = subprocess.run(
        words, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: {done.stderr[-2000:]}")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path)
    parser.add_argument("exam", type=Path)
    parser.add_argument("--share", type=float, default=0.25)
    parser.add_argument("--questions", type=int, default=540)
    parser.add_argument("--out", type=Path, default=Path("ablations"))
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="variants that are called so, or begin so"
    )
    options = parser.parse_args()
    names = tuple(options.only or [""])
    variants = [variant for variant in VARIANTS if variant.name.startswith(names)]

    done: dict[Variant, dict[str, float]] = {}

    def one(variant: Variant) -> None:
        model = trained(variant, options.run, options.out, options.share)
        done[variant] = scored(model, options.exam, options.questions)
        print(f"{variant.name}: {done[variant]['all']:.1f}", file=sys.stderr, flush=True)

    pool = ThreadPoolExecutor(2)
    try:
        for each in [pool.submit(one, variant) for variant in variants]:
            each.result()
    except KeyboardInterrupt:
        pool.shutdown(wait=False, cancel_futures=True)
    show({variant: done[variant] for variant in variants if variant in done})


def show(found: dict[Variant, dict[str, float]]) -> None:
    """The table, and what a seed alone does."""
    base = [each["all"] for variant, each in found.items() if variant.name.startswith("as it is")]
    middle = statistics.mean(base) if base else None
    rows = [
        [
            variant.name,
            f"{each['all']:.1f} ± {each['error']:.1f}",
            "-" if middle is None else f"{each['all'] - middle:+.1f}",
            *(f"{each[name]:.1f}" for name in each if name not in ("all", "error")),
        ]
        for variant, each in found.items()
    ]
    lengths = [name for name in next(iter(found.values()), {}) if name not in ("all", "error")]
    print(
        tabulate(
            rows,
            ["variant", "careful %", "against the mean of the seeds", *lengths],
            tablefmt="pipe",
            disable_numparse=True,
        )
    )
    if len(base) > 1:
        print(f"\n{len(base)} seeds differ by a standard deviation of {statistics.stdev(base):.1f} points")


if __name__ == "__main__":
    main()
