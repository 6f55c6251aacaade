"""Runs on a real Ray cluster of several processes: the same answers as one process, whatever dies on the way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from conftest import videomme_rows, write_video, write_videomme

from kangaroo_eval import evaluate, fleet
from kangaroo_eval.cli import main
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.plan import RunConfig

pytest.importorskip("ray", reason='Ray is not there: pip install "kangaroo-eval[ray]"')
pytestmark = pytest.mark.slow

BEGIN = "from kangaroo_eval.cli import console; console()"
MODEL = '''
"""Answers with what it sees; does what the environment says at one sample."""
import os, pathlib, signal, time
from kangaroo_eval.types import Response

class Looking:
    name, frame_size, model_hash, dtype, notes = "looking", 32, "one", "float32", ("a caveat",)

    def __init__(self):
        self.settings = {"pid": os.getpid()}

    def respond(self, requests):
        for request in requests:
            self.note(request.id)
            time.sleep(float(os.environ.get("PAUSE", "0")))
            said = f"{request.frames.pixels.shape[0]} {int(request.frames.pixels.sum())}"
            yield Response(request.id, said, request.frames.times, 7, 1, 0.001)

    def note(self, name):
        marks = pathlib.Path(os.environ["MARKS"])
        (marks / f"{name}.{os.getpid()}.{time.monotonic_ns()}").touch()
        if name == os.environ.get("DEADLY"):
            os.kill(os.getpid(), signal.SIGKILL)
        if name == os.environ.get("DEADLY_ONCE") and not (marks / "dead").exists():
            (marks / "dead").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        if "FAIL" in os.environ:
            raise RuntimeError("no memory of that")

def load(argument=None, **options):
    if argument == "absent":
        from kangaroo_eval.errors import UserError
        raise UserError("looking:absent: no such checkpoint")
    return Looking()
'''


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Six videos, each another one, with two questions each."""
    root = write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(6, 2))
    for number in range(6):
        write_video(root / f"videomme/data/video{number:06d}.mp4", frames=16 + 3 * number)
    return root


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    """A folder with another package that brings a model."""
    folder = tmp_path_factory.mktemp("plugin")
    (folder / "looking.py").write_text(MODEL)
    info = folder / "looking-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: looking\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kangaroo_eval.models]\nlooking = looking:load\n")
    return folder


class Runs:
    """Starts the command with the plug-in's model."""

    def __init__(self, made, plugin, folder):
        self.folder = folder
        self.made = made
        (folder / "marks").mkdir()
        path = os.pathsep.join(filter(None, (str(plugin), os.environ.get("PYTHONPATH"))))
        self.env = {**os.environ, "PYTHONPATH": path, "MARKS": str(folder / "marks"), "OMP_NUM_THREADS": "1"}

    def start(self, output, *words, **env):
        command = [sys.executable, "-c", BEGIN, "--tasks", "videomme", "--model", "looking"]
        where = ["--data-root", str(self.made), "--output", str(self.folder / output), "--frames", "4", "-q"]
        return subprocess.Popen(
            [*command, *where, *words],
            env={**self.env, **env},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=self.folder,
        )

    def go(self, output, *words, **env):
        process = self.start(output, *words, **env)
        out, err = process.communicate(timeout=240)
        return process.returncode, out + err

    def lines(self, output):
        path = self.folder / output / "videomme.answers.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def texts(self, output):
        return {
            line["id"]: (line["text"], line["frame_times"]) for line in self.lines(output) if line["text"]
        }

    def asked(self):
        """How often each question was put, by processes."""
        return Counter(
            path.name.split(".")[0] for path in (self.folder / "marks").iterdir() if "-" in path.name
        )


@pytest.fixture
def runs(made, plugin, tmp_path):
    return Runs(made, plugin, tmp_path)


def numbers(path):
    """What results.json says, less what differs between any two runs."""
    found = json.loads((path / "results.json").read_text())
    return {key: value for key, value in found["tasks"]["videomme"].items()}


def test_two_workers_give_what_one_process_gives_and_go_on_with_its_run(runs):
    assert runs.go("one")[0] == 0
    assert runs.go("two", "--limit", "3")[0] == 0
    code, said = runs.go("two", "--gpus", "2")
    assert code == 0, said
    assert runs.texts("one") == runs.texts("two") and len(runs.lines("two")) == 12
    assert numbers(runs.folder / "one") == numbers(runs.folder / "two")
    record = json.loads((runs.folder / "two/run.json").read_text())
    assert record["model"]["settings"]["workers"] == 2 and record["model"]["notes"] == ["a caveat"]
    assert runs.go("two", "--gpus", "1")[0] == 0 and len(runs.lines("two")) == 12, "nothing is asked again"


def test_a_worker_that_is_killed_costs_nothing(runs):
    code, said = runs.go("out", "--gpus", "2", DEADLY_ONCE="003-1")
    assert code == 0 and "a worker died at" in said
    assert runs.go("one")[0] == 0 and runs.texts("out") == runs.texts("one")
    assert [line["status"] for line in runs.lines("out")] == ["ok"] * 12


def test_a_video_at_which_workers_die_costs_itself_alone(runs):
    code, said = runs.go("out", "--gpus", "2", DEADLY="002-2")
    assert code == 3, said
    failed = [line for line in runs.lines("out") if line["status"] != "ok"]
    assert sorted(line["id"] for line in failed) == ["002-1", "002-2"]
    assert {line["status"] for line in failed} == {"request_failed"}
    assert all("2 workers died at this video" in line["error"]["message"] for line in failed)
    assert runs.go("out", "--gpus", "1")[0] == 0
    assert [line["attempt"] for line in runs.lines("out")][-2:] == [2, 2]


def there(folder):
    """Processes of Ray whose session began under this test's driver."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and folder.encode() in (entry / "environ").read_bytes():
                found.append(int(entry.name))
    return found


def test_a_driver_that_is_killed_leaves_nothing_running_and_the_next_goes_on(runs):
    process = runs.start("out", "--gpus", "2", PAUSE="0.4")
    until = time.monotonic() + 120
    while len(runs.lines("out")) < 3 and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = runs.lines("out")
    assert 3 <= len(before) < 12
    while there(str(runs.folder)) and time.monotonic() < until:
        time.sleep(0.2)
    assert there(str(runs.folder)) == []
    code, said = runs.go("out", "--gpus", "2")
    assert code == 0, said
    lines = runs.lines("out")
    assert lines[: len(before)] == before and len(lines) == 12 and len({line["id"] for line in lines}) == 12


def test_ctrl_c_ends_it_and_the_next_goes_on(runs):
    process = runs.start("out", "--gpus", "1", PAUSE="0.5")
    until = time.monotonic() + 120
    while len(runs.lines("out")) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert runs.go("out", "--gpus", "1")[0] == 0 and len(runs.lines("out")) == 12


def test_what_goes_wrong_is_one_line(runs):
    code, said = runs.go("out", "--gpus", "2", "--model", "looking:absent")
    assert code == 1 and "looking:absent: no such checkpoint" in said and "Traceback" not in said
    code, said = runs.go("out", "--gpus", "2", FAIL="1")
    assert code == 2 and "failed on" in said and "in a row" in said and "no memory of that" in said
    code, said = runs.go("out", "--ray", "127.0.0.1:1")
    assert code == 2 and "no Ray cluster at '127.0.0.1:1'" in said and "Traceback" not in said
    code, said = runs.go("other", "--gpus", "1", "--decoder", "nothing")
    assert code == 1 and "--decoder 'nothing' is not known" in said


CLUSTER = """
import sys, time
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "object_store_memory": 2 * 10**8})
other = cluster.add_node(num_cpus=2, object_store_memory=2 * 10**8)
print(cluster.address, flush=True)
if sys.stdin.readline().strip() == "remove":
    cluster.remove_node(other, allow_graceful=False)
    print("removed", flush=True)
    sys.stdin.readline()
cluster.shutdown()
"""


def test_a_machine_that_goes_away_costs_nothing(runs):
    """A cluster of two, each with a worker; one is taken away while both are at work."""
    cluster = subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        env={**runs.env, "PAUSE": "0.5"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        address = cluster.stdout.readline().strip()
        process = runs.start("out", "--ray", address)
        until = time.monotonic() + 120
        while len(runs.lines("out")) < 3 and time.monotonic() < until and process.poll() is None:
            time.sleep(0.05)
        cluster.stdin.write("remove\n")
        cluster.stdin.flush()
        out, err = process.communicate(timeout=240)
        assert process.returncode == 0, out + err
        assert len({path.name.split(".")[1] for path in (runs.folder / "marks").iterdir()}) >= 2
        record = json.loads((runs.folder / "out/run.json").read_text())
        assert record["model"]["settings"]["workers"] == 2
    finally:
        cluster.stdin.close()
        cluster.wait(60)
    assert sorted(runs.texts("out")) == sorted({line["id"] for line in runs.lines("out")})
    assert len(runs.texts("out")) == 12


def test_what_cannot_be_on_a_cluster_is_refused(made, tmp_path, capsys, monkeypatch):
    with pytest.raises(UserError, match="--controls and --ray or --gpus"):
        evaluate("videomme", "constant", data_root=made, output=tmp_path / "a", gpus=2, controls=("blind",))
    with pytest.raises(UserError, match="--gpus 0"):
        evaluate("videomme", "constant", data_root=made, gpus=0)

    class Own:
        name = "own"

        def respond(self, requests):
            yield from ()

    with pytest.raises(UserError, match="a model that is loaded here cannot be on a cluster"):
        evaluate("videomme", Own(), data_root=made, output=tmp_path / "b", gpus=2)
    words = ["--tasks", "videomme", "--data-root", str(made), "--output", str(tmp_path / "c"), "--gpus", "1"]
    server = ["--model", "openai:x", "--model-args", "base_url=http://127.0.0.1:9/v1"]
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    assert main(["run", *words, *server]) == 1
    err = capsys.readouterr().err
    assert "leave --ray and --gpus out" in err or "127.0.0.1:9" in err


def test_a_sweep_on_a_cluster_decodes_once(runs):
    code, said = runs.go("out", "--gpus", "2", "--frames", "4,2")
    assert code == 0, said
    assert all(line.get("frames_stored") for line in runs.lines("out/2f"))
    assert not any(line.get("frames_stored") for line in runs.lines("out/4f"))
    assert {text.split()[0] for text, _ in runs.texts("out/2f").values()} == {"2"}


class Gone:
    """A cluster whose machines are as `left` says, one answer after the other; nothing is ever done before `after` waits."""

    def __init__(self, left, after=10**6):
        self.left, self.after, self.waits = list(left), after, 0

    def wait(self, asked, **_):
        self.waits += 1
        return (asked[:1], []) if self.waits > self.after else ([], asked)

    def nodes(self):
        there = self.left.pop(0) if len(self.left) > 1 else self.left[0]
        gone = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
        return [gone, *({"Alive": True, "Resources": each} for each in there)]


def test_a_cluster_that_lost_all_its_machines_is_not_waited_for_without_end(monkeypatch, caplog):
    monkeypatch.setattr(fleet, "LONELY", 0.05)
    pair = {"CPU": 4.0, "GPU": 2.0}
    # The last: models of four GPUs, and four machines of two each.
    for left, gpus in (([], 0), ([{"CPU": 4.0}], 1), ([{"GPU": 8.0}], 1), ([pair] * 4, 4)):
        monkeypatch.setitem(sys.modules, "ray", Gone([left]))
        with pytest.raises(RunFailed, match=r"no machine came for 0\.05 s\. The answers so far are kept"):
            fleet.waited(gpus, ["ref"])
    assert caplog.text.count("waiting 0 s for machines") == 4, "said once, and not at each look"


def test_machines_that_come_back_are_waited_for(monkeypatch):
    """Also a long answer of a machine that is there is no end."""
    whole = {"CPU": 4.0, "GPU": 1.0}
    monkeypatch.setattr(fleet, "LONELY", 0.05)
    monkeypatch.setitem(sys.modules, "ray", Gone([[], [whole]], after=5000))
    assert fleet.waited(1, ["ref"]) == ["ref"]


@pytest.mark.parametrize(
    ("machines", "gpus", "each", "told"),
    [
        ([2, 2, 2, 2], None, 4, "--gpus-per-model 4: no machine of the cluster has more than 2 GPUs"),
        ([3, 3], 3, 2, "--gpus 3 with 2 for each: the cluster's machines have room for 2; give --gpus 2"),
    ],
)
def test_a_model_has_its_gpus_on_one_machine(machines, gpus, each, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", Gone([[{"CPU": 8.0, "GPU": float(count)} for count in machines]]))
    with pytest.raises(UserError, match=told):
        fleet._sized(RunConfig(tasks=("videomme",), gpus=gpus, gpus_per_model=each))
    assert fleet._sized(RunConfig(tasks=("videomme",), gpus_per_model=2)).count == sum(
        n // 2 for n in machines
    )
