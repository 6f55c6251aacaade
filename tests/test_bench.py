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
