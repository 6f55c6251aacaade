"""The gate on real checkpoints: the bundled one, a damaged copy of it, and too few samples."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kangaroo_eval.cli import main
from kangaroo_eval.miniworld.exam import make_exam

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exam(tmp_path_factory):
    """108 videos with three questions each."""
    root = tmp_path_factory.mktemp("exam")
    make_exam(root, each=36, seed="exam/gate")
    return root


@pytest.fixture(scope="module")
def evaluated(exam, tmp_path_factory):
    """Name -> the run of a model on the exam."""
    out = tmp_path_factory.mktemp("runs")

    def run(name, model, *words):
        folder = out / name
        command = ["--tasks", "videomme", "--data-root", exam, "--frames", "16", "--model", model, "-q"]
        assert main([str(word) for word in (*command, "--output", folder, *words)]) == 0
        return folder

    return run


def damaged(folder):
    """kangaroo-tiny with noise as large as its projector's weights."""
    from torch import nn

    from kangaroo_eval.model.loading import load_tiny

    model = load_tiny(device="cpu")
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.network.projector.parameters():
            parameter += 3 * parameter.std() * torch.randn_like(parameter)
    nn.Module.to(model.network, torch.bfloat16)
    model.network.save_pretrained(folder)
    model.processor.save_pretrained(folder)
    return f"kangaroo:{folder}"


def gate(run, baseline):
    return main(["gate", str(run), "--baseline", str(baseline), "-q"])


def test_a_checkpoint_passes_itself_a_damaged_one_fails_and_few_samples_decide_nothing(evaluated, tmp_path):
    good = evaluated("good", "kangaroo-tiny")
    baseline = tmp_path / "baseline.json"
    assert main(["gate", str(good), "--baseline", str(baseline), "--accept"]) == 0
    assert gate(evaluated("again", "kangaroo-tiny"), baseline) == 0
    bad = evaluated("bad", damaged(tmp_path / "damaged"))
    scores = [
        json.loads((run / "results.json").read_text())["tasks"]["videomme"]["careful"]["value"]
        for run in (good, bad)
    ]
    assert scores[0] > scores[1] + 0.08
    assert gate(bad, baseline) == 4
    assert gate(good, bad) == 0
    assert gate(evaluated("few", "kangaroo-tiny", "--limit", "30"), baseline) == 5


def test_the_committed_baseline_is_of_the_bundled_weights():
    """Else the gate would compare with a model that nobody has any more."""
    from kangaroo_eval.registry import load_model

    file = Path(__file__).resolve().parents[1] / "results/baselines/kangaroo-tiny-exam.json"
    found = json.loads(file.read_text())
    assert found["protocol"]["model_hash"] == load_model("kangaroo-tiny").model_hash
    assert len(found["tasks"]["videomme"]["scores"]) == 540
