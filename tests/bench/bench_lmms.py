"""lmms-eval's own runs against ours: the same weights, videos, frames and questions, end to end. Run by hand.

    python tests/bench/bench_lmms.py --lmms lmms/bin/python [--rounds 1] [--frames 64]

LMMS is the interpreter of an environment with lmms-eval, decord and this checkout (docs/interop.md says how it is made);
both programs run in it. Made videos of 60 s (1280x720, 30 fps, H.264), three questions each, in two ways: a tiny random
LLaVA-OneVision (lmms-eval: `llava_hf`; ours: `hf:`), and a constant answer after decoding (`dummy` with
decode_num_frames; `constant:A`), which leaves the harness's own cost. What is counted is the CPU time of the whole
command with all its processes. Starting is counted too, and is what the smaller benchmark mostly costs: so each way runs
on 4 and on 12 videos, and the difference is what eight more videos cost. Torch has one thread in both.
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
from pathlib import Path

import bench_hf

SIZES = (4, 12)
QUESTIONS = 3
WAYS = ("tiny model", "constant")
TASK = """
task: bench
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: generate_until
doc_to_visual: !function utils_bench.visual
doc_to_text: !function utils_bench.text
doc_to_target: answer
process_results: !function utils_bench.process
generation_kwargs: {max_new_tokens: LIMIT, temperature: 0, do_sample: false}
metric_list:
  - metric: score
    aggregation: !function utils_bench.mean
    higher_is_better: true
metadata: [{version: 0.0}]
"""
CODE = """
def visual(doc):
    return [doc["video"]]

def text(doc, lmms_eval_specific_kwargs=None):
    return doc["prompt"]

def process(doc, results):
    return {"score": float(results[0].strip()[:1] == doc["answer"])}

def mean(results):
    return sum(results) / len(results)
"""


def prepare(folder: Path, videos: int) -> None:
    """The same questions for both: Video-MME's layout for us, a local task for lmms-eval."""
    sys.path.insert(0, str(bench_hf.ROOT / "tests"))
    from conftest import videomme_rows, write_videomme

    from kangaroo_eval.registry import get_task
    from kangaroo_eval.types import View

    home = folder / str(videos)
    rows = videomme_rows(videos, QUESTIONS)
    write_videomme(home, rows, videos=False)
    (home / "videomme/data").mkdir(parents=True, exist_ok=True)
    for place, name in enumerate(sorted({row["videoID"] for row in rows})):
        path = home / f"videomme/data/{name}.mp4"
        if not path.exists():
            path.symlink_to(folder / f"{place % 2}.mp4")
    task = get_task("videomme")
    tasks = home / "tasks"
    tasks.mkdir(exist_ok=True)
    lines = [
        {"video": each.video.path, "prompt": task.prompt(each, View((), 30.0)), "answer": each.target}
        for each in task.read(home / "videomme")
    ]
    (tasks / "docs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = TASK.replace("DATA", str(tasks / "docs.jsonl")).replace("LIMIT", str(task.max_new_tokens))
    (tasks / "bench.yaml").write_text(text)
    (tasks / "utils_bench.py").write_text(CODE)


def make_model(folder: Path) -> None:
    """bench_hf's model, whose template also takes what `llava_hf` gives it: a text with the video's sign in it."""
    bench_hf.make_model(folder)
    file = folder / "chat_template.jinja"
    begin, end = "{% for content in message['content'] %}", "{%- endfor %}<|im_end|>"
    text = file.read_text()
    assert begin in text and end in text
    text = text.replace(
        begin, "{% if message['content'] is string %}{{ message['content'] }}{% else %}" + begin
    )
    file.write_text(text.replace(end, end.replace("<|", "{% endif %}<|")))


def commands(way: str, home: Path, out: Path, frames: int) -> dict[str, list[str]]:
    """Whose -> the words behind the interpreter."""
    model = str(home.parent / "model")
    theirs, ours = {
        "tiny model": (
            (
                "llava_hf",
                f"pretrained={model},device=cpu,device_map=cpu,dtype=float32,max_frames_num={frames}",
            ),
            (f"hf:{model}", ["--device", "cpu", "--dtype", "float32", "--model-args", "threads=1"]),
        ),
        "constant": (("dummy", f"response=A,decode_num_frames={frames}"), ("constant:A", [])),
    }[way]
    lmms = ["-m", "lmms_eval", "--model", theirs[0], "--model_args", theirs[1], "--tasks", "bench"]
    lmms += ["--include_path", str(home / "tasks"), "--batch_size", "1", "--log_samples", "--force_simple"]
    run = ["-c", "from kangaroo_eval.cli import console; console()", "--tasks", "videomme", "--data", "real"]
    run += ["--data-root", str(home), "--frames", str(frames), "--model", ours[0], *ours[1], "-q"]
    return {"lmms-eval": [*lmms, "--output_path", str(out)], "ours": [*run, "--output", str(out)]}


def answered(out: Path) -> int:
    """How many answers a run left: a broken one must not pass for a fast one."""
    logs = [*out.rglob("*_samples_bench.jsonl"), *out.glob("videomme.answers.jsonl")]
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    return sum(bool(line["text"] if "text" in line else line["filtered_resps"]) for line in lines)


def measure(python: str, words: list[str], out: Path, wanted: int) -> float:
    """CPU seconds of the command and its processes."""
    site = str(bench_hf.ROOT / "tests/site")
    environment = {**os.environ, "PYTHONPATH": site, "HF_HUB_OFFLINE": "1", "HF_HOME": str(out.parent / "hf")}
    environment |= {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    run = subprocess.run([python, *words], env=environment, capture_output=True, text=True, cwd=out.parent)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = answered(out)
    if run.returncode or found != wanted:
        raise SystemExit(f"{' '.join(words[:4])}: {found} of {wanted} answers\n{run.stderr[-2000:]}")
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lmms", required=True, help="the interpreter of an environment with lmms-eval")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=WAYS)
    parser.add_argument("--dir", type=Path, default=Path(tempfile.gettempdir()) / "kangaroo-eval-bench-lmms")
    options = parser.parse_args()
    options.dir.mkdir(exist_ok=True)
    for place in range(2):
        if not (options.dir / f"{place}.mp4").exists():
            bench_hf.make_video(options.dir / "part.mp4", place)
            (options.dir / "part.mp4").rename(options.dir / f"{place}.mp4")
    if not (options.dir / "model/config.json").exists():
        words = [
            sys.executable,
            "-c",
            "import sys, pathlib, bench_lmms; bench_lmms.make_model(pathlib.Path(sys.argv[1]))",
        ]
        site = os.pathsep.join((str(bench_hf.ROOT / "tests/site"), str(Path(__file__).parent)))
        subprocess.run(
            [*words, str(options.dir / "model")], env={**os.environ, "PYTHONPATH": site}, check=True
        )
    for size in SIZES:
        prepare(options.dir, size)
    print(f"{options.frames} frames, {QUESTIONS} questions a video; CPU seconds, medians of {options.rounds}")
    print("| way | whose | 4 videos | 12 videos | 8 more |" + "\n" + "|---" * 5 + "|")
    for way in options.ways:
        spent: dict[str, dict[int, list[float]]] = {
            who: {size: [] for size in SIZES} for who in ("lmms-eval", "ours")
        }
        for _ in range(options.rounds):
            for size in SIZES:
                for who in spent:
                    with tempfile.TemporaryDirectory() as scratch:
                        out = Path(scratch) / "out"
                        words = commands(way, options.dir / str(size), out, options.frames)[who]
                        cost = measure(options.lmms, words, out, size * QUESTIONS)
                        spent[who][size].append(cost)
        middle = {who: [statistics.median(found[size]) for size in SIZES] for who, found in spent.items()}
        for who, (small, large) in middle.items():
            print(f"| {way} | {who} | {small:.1f} | {large:.1f} | {large - small:.1f} |")
        ratios = [a / b for a, b in zip(middle["lmms-eval"], middle["ours"], strict=True)]
        more = [large - small for small, large in middle.values()]
        print(
            f"| {way} | it / ours | {ratios[0]:.1f} | {ratios[1]:.1f} | {more[0] / more[1]:.1f} |", flush=True
        )


if __name__ == "__main__":
    main()
