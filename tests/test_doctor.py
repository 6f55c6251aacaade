"""`kangaroo-eval doctor`: what it finds broken, that it says the mend, and what it never prints."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest
from fake_server import FakeServer

from kangaroo_eval import doctor, installed
from kangaroo_eval.cli import main

pytestmark = pytest.mark.usefixtures("away")

SECRET = "sk-not-to-be-seen-0123456789"
VARIABLES = ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID", "HF_TOKEN", "HF_ENDPOINT")


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Nothing of the user's own settings."""
    for name in (*VARIABLES, "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def still(monkeypatch):
    """Without what takes seconds: decoding in other processes, and the model."""
    monkeypatch.setattr("kangaroo_eval.cli.doctor._seen", lambda answers: iter(()))


def run(capsys, *words):
    """Exit code, output, and the checks by name."""
    code = main(["doctor", *map(str, words), "--json"])
    out, err = capsys.readouterr()
    last = json.loads(out.splitlines()[-1])
    assert last["exit"] == code and "Traceback" not in err
    return code, out, {check["name"]: check for check in last["checks"]}


def elsewhere(code, **environment):
    """Run Python in another process, as a bare machine would be."""
    path = os.pathsep.join(
        filter(None, (environment.pop("PYTHONPATH", ""), os.environ.get("PYTHONPATH", "")))
    )
    env = {**os.environ, **environment, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True)


def test_where_all_is_well_the_bundled_job_is_said_to_be_ready(capsys):
    code, out, checks = run(capsys)
    assert code == 0 and "ready: kangaroo-eval --tasks videomme,mlvu --frames 64" in out
    lines = out.splitlines()
    assert len(lines) == len(checks) + 3, "a line a check, a blank one, the verdict, the JSON"
    assert checks["decoder pyav"]["said"] == "96 frames of a made video"
    assert "answers a question" in checks["bundled model"]["said"]
    assert "8 files as SHA256SUMS says" in checks["weights"]["said"]
    assert metadata.version("numpy") in checks["packages"]["said"]
    assert not Path("results").exists() and list(Path.cwd().iterdir()) == [], "it leaves nothing behind"


LEAN = """
import sys
for name in ("torch", "transformers", "tokenizers", "safetensors", "openai", "decord", "torchcodec", "gradio"):
    sys.modules[name] = None
from kangaroo_eval.cli import main
code = main(["doctor"])
assert code == 1, code
assert not [name for name in ("torch", "transformers") if sys.modules.get(name)]
"""


def test_a_lean_install_is_told_what_it_lacks():
    done = elsewhere(LEAN)
    assert done.returncode == 0, done.stderr + done.stdout
    lines = {line[8:28].strip(): line for line in done.stdout.splitlines()}
    assert lines["bundled model"].startswith("FAULT") and "kangaroo-eval[model]" in lines["bundled model"]
    assert lines["extra model"].startswith("FAULT") and "torch is missing" in lines["extra model"]
    assert lines["decoder pyav"].startswith("ok") and lines["weights"].startswith("ok")
    for name, extra in (
        ("decoder decord", "decord"),
        ("judge", "judge"),
        ("gpu", "model"),
        ("extra web", "web"),
    ):
        assert lines[name].startswith("absent") and f"kangaroo-eval[{extra}]" in lines[name]
    assert "not ready: mend extra model, bundled model" in done.stdout


BARE = """
import sys
for name in ("av", "numpy", "pandas", "pyarrow", "scipy", "torch", "transformers", "openai"):
    sys.modules[name] = None
from kangaroo_eval.cli import main
code = main(["doctor", "--json"])
assert code == 1, code
"""


def test_without_its_core_packages_it_still_tells_what_is_missing():
    done = elsewhere(BARE)
    assert done.returncode == 0, done.stderr + done.stdout
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("FAULT   packages")]
    assert "av is missing; numpy is missing" in line and "pip install --upgrade kangaroo-eval" in line


BROKEN = {
    "raises": ("raise RuntimeError('no libavutil.so.59')", "no libavutil.so.59"),
    "ends the process": ("import os; os.abort()", "the process ended with -6"),
    "fails on the video": (
        """
class DECORDError(Exception): pass
class VideoReader:
    def __init__(self, *_, **__): raise DECORDError("no stream")
""",
        "decord: no stream",
    ),
    "too few frames": (
        """
import numpy
class DECORDError(Exception): pass
class Batch:
    def asnumpy(self): return numpy.zeros((5, 64, 64, 3), numpy.uint8)
class VideoReader:
    def __init__(self, *_, **__): pass
    def get_batch(self, _): return Batch()
""",
        "5 frames where pyav gives 96",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_decoder_is_told_with_its_mend_and_costs_no_other(name, tmp_path):
    source, said = BROKEN[name]
    (tmp_path / "decord.py").write_text(source)
    code = "from kangaroo_eval.cli import doctor\nfor each in doctor._seen(answers=False): print(doctor.line(each))"
    done = elsewhere(code, PYTHONPATH=str(tmp_path))
    lines = {line[8:28].strip(): line for line in done.stdout.splitlines()}
    assert lines["decoder pyav"].startswith("ok"), done.stderr
    assert lines["decoder decord"].startswith("broken") and said in lines["decoder decord"]
    assert "Mend: pip install --force-reinstall --no-deps decord; or do without" in lines["decoder decord"]


def test_a_results_directory_that_cannot_be_written_to_is_a_fault(capsys, still, tmp_path):
    code, out, checks = run(capsys, "--output", "/proc/runs")
    assert code == 1 and "not ready: mend results directory" in out
    assert checks["results directory"]["mend"] == "give another folder with --output"
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    if os.geteuid():  # root writes everywhere
        assert run(capsys, "--output", locked / "runs")[0] == 1
    (tmp_path / "file").write_text("")
    assert run(capsys, "--output", tmp_path / "file")[2]["results directory"]["fault"]


def test_a_full_disk_and_a_cache_that_cannot_be_written_to(capsys, still, monkeypatch):
    monkeypatch.setenv("KANGAROO_EVAL_CACHE", "/proc/cache")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    code, _, checks = run(capsys)
    assert code == 1 and "free some space" in checks["results directory"]["mend"]
    assert "KANGAROO_EVAL_CACHE" in checks["cache directory"]["mend"]


def test_changed_or_lost_weights_are_named(tmp_path):
    bundle = pytest.importorskip("kangaroo_eval.train.bundle")
    folder = tmp_path / "weights"
    shutil.copytree(doctor.bundled_folder(), folder)
    (folder / doctor.SUMS).unlink()
    bundle.write_sums(folder)
    assert (folder / doctor.SUMS).read_text() == (doctor.bundled_folder() / doctor.SUMS).read_text()
    assert doctor.weights(folder).state == "ok"
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    changed = doctor.weights(folder)
    assert changed.fault and "model.safetensors" in changed.said and "reinstall" in changed.mend
    (folder / "model.safetensors").unlink()
    assert doctor.weights(folder).fault
    assert doctor.weights(tmp_path).fault


def test_no_value_of_a_secret_is_printed(capsys, still, monkeypatch):
    for name in VARIABLES:
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("HF_ENDPOINT", f"https://user:{SECRET}@hub.example/x?token={SECRET}")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    code, out, checks = run(capsys, "--network")
    assert code == 0 and SECRET not in out and "user" not in out
    assert "OPENAI_API_KEY, OPENAI_ORG_ID, OPENAI_PROJECT_ID" in checks["judge"]["said"]
    assert "HF_TOKEN set" in checks["hub"]["said"] and "https://hub.example/x" in checks["hub"]["said"]
    assert "offline (HF_HUB_OFFLINE is set)" in checks["hub"]["said"], "and so not tried"


def test_a_judges_server_is_asked_once_for_its_models(capsys, still, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with FakeServer(models=("fox", "hare"), key=SECRET) as server:
        code, out, checks = run(capsys, "--judge-base-url", server.base_url)
        assert code == 0 and f"{server.base_url} has fox, hare" in checks["judge"]["said"]
        assert [seen.path for seen in server.seen] == ["/v1/models"]
        monkeypatch.setenv("OPENAI_API_KEY", "wrong-" + SECRET)
        code, out, checks = run(capsys, "--judge-base-url", server.base_url)
        assert code == 1 and "OPENAI_API_KEY" in checks["judge"]["said"] and SECRET not in out
        address = server.base_url
    code, out, checks = run(capsys, "--judge-base-url", address)
    assert code == 1 and "start the server" in checks["judge"]["said"]
    assert run(capsys, "--judge-base-url", "localhost")[2]["judge"]["fault"]


def test_the_hub_is_tried_only_when_asked(capsys, still, monkeypatch):
    with FakeServer() as server:
        address = server.base_url.removesuffix("/v1")
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert "not tried" in run(capsys)[2]["hub"]["said"] and server.seen == []
        code, _, checks = run(capsys, "--network")
        assert code == 0 and "it answers" in checks["hub"]["said"]
    code, _, checks = run(capsys, "--network")
    assert code == 1 and "HF_HUB_OFFLINE=1" in checks["hub"]["mend"]
    monkeypatch.setenv("HF_ENDPOINT", "file:///etc/passwd")
    assert "no http address" in run(capsys, "--network")[2]["hub"]["said"]


def test_benchmarks_under_the_data_root_are_those_that_data_ls_finds(capsys, still, tmp_path):
    (tmp_path / "videomme").mkdir()
    said = run(capsys, "--data-root", tmp_path)[2]["data"]["said"]
    assert f"{tmp_path}: videomme, videomme_subtitles (2 of" in said
    assert main(["data", "ls", "--data-root", str(tmp_path)]) == 0
    listed = [line for line in capsys.readouterr().out.splitlines() if "not there" not in line]
    assert [line.split()[0] for line in listed] == ["videomme", "videomme_subtitles"]
    code, _, checks = run(capsys, "--data-root", "/nowhere")
    assert code == 1 and checks["data"]["fault"]


def test_quiet_leaves_out_what_is_right(capsys, still):
    assert main(["doctor", "-q"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if line.startswith("ok ")] and lines[-1].startswith("ready: ")


def test_versions_that_are_too_old_are_named(monkeypatch):
    monkeypatch.setattr(
        installed.metadata, "version", lambda name: "2.13.0+cpu" if name == "torch" else "0.1"
    )
    assert "numpy 0.1 is older than" in doctor.packages().said and doctor.packages().fault
    assert installed.numbers("2.13.0+cpu") > installed.numbers("2.11") > installed.numbers("2.9.1rc1")


def test_what_each_extra_needs_is_read_from_the_package(monkeypatch):
    lines = [
        "av>=18",
        'torch>=2.11; extra == "model"',
        'kangaroo-eval[model]; extra == "hf"',
        'pillow>=10; extra == "hf"',
        "decord>=0.6; platform_machine == 'x86_64' and extra == 'decord'",
        'ray[data]>=2.40; extra == "ray"',
    ]
    monkeypatch.setattr(installed.metadata, "requires", lambda name: lines)
    monkeypatch.setattr(installed.platform, "machine", lambda: "arm64")
    assert installed.requirements(None) == [("av", "18")]
    assert installed.requirements("hf") == [("torch", "2.11"), ("pillow", "10")]
    assert installed.requirements("decord") == [] and installed.requirements("ray") == [("ray", "2.40")]


@pytest.mark.parametrize(
    ("cuda", "card", "state", "said"),
    [
        (None, False, "absent", "none; torch 2 computes on"),
        (None, True, "broken", "torch is a CPU build"),
        ("13.0", True, "broken", "that torch cannot use"),
    ],
)
def test_a_card_that_torch_cannot_use_is_told(cuda, card, state, said):
    found = doctor._no_gpu("2", cuda, card)
    assert found.state == state and said in found.said and not found.fault


def test_cards_are_told_with_their_memory_and_one_that_fails_is_a_fault(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda number: f"Card {number}")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: (60 << 30, 80 << 30))
    monkeypatch.setattr("kangaroo_eval.torch_tools.torch_device", torch.device)
    said = doctor.gpu().said
    assert "cuda:0 Card 0, 60.0 of 80.0 GiB free; cuda:1 Card 1" in said and "bfloat16 by default" in said

    def lost(name):
        raise RuntimeError("CUDA error: device lost")

    monkeypatch.setattr("kangaroo_eval.torch_tools.torch_device", lost)
    found = doctor.gpu()
    assert found.fault and "device lost" in found.said and "--device cpu" in found.mend
