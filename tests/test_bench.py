"""The benchmark that needs a GPU, rehearsed without one: time on a card is short, and no time to find mistakes in."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

BENCH = Path(__file__).parent / "bench"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import bench_gpu

    return bench_gpu


def test_the_8b_model_is_built_as_it_will_be_but_for_its_size(bench):
    def small():
        config = bench.kangaroo_8b()
        config.vision_config.num_hidden_layers = config.text_config.num_hidden_layers = 1
        config.text_config.hidden_size = config.text_config.intermediate_size = 256
        config.text_config.head_dim = 8
        config.frame_size = 56
        return config

    scale = bench.SCALES["8b"]._replace(config=small, matrix=64)
    model = bench.build(scale, torch.device("cpu"))
    made = bench.Bench(model, torch.device("cpu"), 1, 4)
    assert len(list(model.respond(bench.requests(made, 4, 3)))) == 3


@pytest.mark.slow
def test_the_gpu_benchmark_runs_through_on_the_cpu(tmp_path):
    words = ["--device", "cpu", "--scale", "tiny", "--rounds", "1", "--frames", "16", "--long", "32"]
    done = subprocess.run(
        [sys.executable, str(BENCH / "bench_gpu.py"), *words],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    for line in ("matrix", "vision", "prefill", "question", "batch 8", "peak     32 frames", "bf16"):
        assert f"\n{line}" in done.stdout


def test_the_hours_of_a_benchmark_follow_from_the_rates(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import bench_hours

    # Llama-3-8B is 8.03 B weights, of which the embedding's 0.53 B are not read.
    assert 14.9e9 < bench_hours.weights(bench_hours.kangaroo_8b()) < 15.1e9
    rates = bench_hours.Rates(flops=4e14, read=3e12, cores=16, passed=0.001)
    lvbench, seed = (
        next(each for each in bench_hours.WORK if each.name.startswith(name)) for name in ("LVB", "SEED")
    )
    # 103 videos, 64 frames, each 125 frames behind its keyframe and itself: 8,064 frames of a millisecond.
    cpu, gpu = bench_hours.hours(lvbench, 64, 250, rates)
    assert cpu == pytest.approx(103 * 64 * 126 * 0.001 / 3600)
    assert bench_hours.shown(seed, 64) == bench_hours.passed(seed, 64, 250) == 8
    # Twice the GPU, half the hours; a question more costs less than a video more.
    fast = rates._replace(flops=8e14, read=6e12)
    assert bench_hours.hours(lvbench, 64, 250, fast)[1] == pytest.approx(gpu / 2)
    asked = bench_hours.hours(lvbench._replace(questions=1549 + 103), 64, 250, rates)[1] - gpu
    assert 0 < asked < (bench_hours.hours(lvbench._replace(videos=206), 64, 250, rates)[1] - gpu) / 5
    assert bench_hours.table(64, 250, rates).count("\n") == 11


def test_the_exams_table_counts_each_kind_once(tmp_path, monkeypatch, capsys):
    """Subtitles with them, everything else without; the mean over kinds is that of kinds, not of questions."""
    import json

    monkeypatch.syspath_prepend(str(BENCH))
    import exam_table

    def line(kind, score):
        tags = {"task_type": kind, "domain": "easy", "duration": "short"}
        return json.dumps({"tags": tags, "careful": {"score": score}}) + "\n"

    seen = [("colour", 1), ("colour", 1), ("colour", 1), ("shape", 0), ("subtitles", 0)]
    (tmp_path / "videomme.scores.jsonl").write_text("".join(line(*each) for each in seen))
    told = [("colour", 0), ("subtitles", 1)]
    (tmp_path / "videomme_subtitles.scores.jsonl").write_text("".join(line(*each) for each in told))
    monkeypatch.setattr(sys, "argv", ["exam_table.py", f"mine={tmp_path}"])
    exam_table.main()
    rows = {
        row.split("|")[1].strip(): row.split("|")[2].strip() for row in capsys.readouterr().out.splitlines()
    }
    assert rows["overall"] == "66.7" and rows["colour"] == "100 ± 0" and rows["shape"] == "0 ± 0"
    assert rows["subtitles"] == "100 ± 0" and rows["subtitles, without them"] == "0 ± 0"
    assert rows["easy"] == rows["short"] == "80 ± 18"
