"""Shards on a Ray cluster of this machine: the rows of any other executor, and faults that cost what they must and no more."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import write_video
from curation_stages import Double, Split, Unready, rows

from kangaroo_eval.cli.curate import main
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.train.curation import engine
from kangaroo_eval.train.curation.engine import InProcess, run
from kangaroo_eval.train.curation.on_ray import OnRay
from kangaroo_eval.train.curation.workers import Pool

ray = pytest.importorskip("ray", reason='Ray is not here: pip install "kangaroo-eval[ray]"')
pytestmark = pytest.mark.slow
HERE = str(Path(__file__).parents[2])
SMALL = 80 * 2**20


@pytest.fixture(scope="module")
def cluster():
    """One cluster of two workers for tests that are not about its beginning and end: starting it is what takes long."""
    ray.init("local", num_cpus=2, object_store_memory=SMALL, include_dashboard=False, log_to_driver=False)
    yield OnRay(2)
    ray.shutdown()


def plain(found):
    """Rows without the time that they took."""
    return [{key: value for key, value in row.items() if key != "spent"} for row in found]


def marks(path):
    return sorted(path.read_text().split()) if path.exists() else []


def test_the_rows_are_those_of_this_process(cluster, tmp_path):
    told = []
    stages = [Double(bad="v4"), Split()]
    run(stages, rows(), tmp_path / "ray", cluster, size=3, progress=lambda *each: told.append(each))
    run(stages, rows(), tmp_path / "here", InProcess(), size=3)
    there, here = (list(engine.read_all(tmp_path / name)) for name in ("ray", "here"))
    assert plain(there) == plain(here) and len(there) == 19
    assert told == [(n + 1, 4) for n in range(4)], "a line a shard"
    assert all(set(row["spent"]) == {"double", "split"} for row in there if not row.get("error"))
    assert {row["error"]["message"] for row in there if row.get("error")} == {
        "RuntimeError: no video: at all"
    }


def test_what_another_executor_has_done_is_taken_both_ways(cluster, tmp_path):
    noted = tmp_path / "marks"
    stages, out = [Double(marks=str(noted))], tmp_path / "out"
    run(stages, rows(), out, cluster, size=3)
    assert len(marks(noted)) == 10
    noted.unlink()
    for executor in (InProcess(), Pool(2), cluster):
        run(stages, rows(), out, executor, size=3)
    assert marks(noted) == []
    changed = rows()
    changed[9]["n"] = 99
    (out / "00001.parquet").unlink()
    run(stages, changed, out, cluster, size=3)
    assert marks(noted) == ["v3", "v4", "v5", "v9"]
    assert list(engine.read_all(out))[-1]["twice"] == 198


def test_a_video_that_kills_its_actor_costs_itself_alone(cluster, tmp_path):
    noted = tmp_path / "marks"
    stages = [Double(deadly="v4", bad="v7", marks=str(noted))]
    run(stages, rows(), tmp_path / "out", cluster, size=5)
    found = {row["id"]: row for row in engine.read_all(tmp_path / "out")}
    assert len(found) == 10
    assert found.pop("v4")["error"] == {
        "stage": "process",
        "type": "Killed",
        "message": "the process died at this video",
    }
    assert found.pop("v7")["error"]["type"] == "RuntimeError"
    assert all(row["twice"] == 2 * row["n"] for row in found.values())
    # Once with its shard, once after the others of it, once in an actor that had done nothing else.
    assert marks(noted).count("v4") == 3 and marks(noted).count("v9") == 1


def test_settings_that_are_wrong_reach_the_user_as_they_were_told(cluster, tmp_path):
    with pytest.raises(UserError) as caught:
        run([Unready()], rows(), tmp_path / "out", cluster, size=2)
    assert type(caught.value) is UserError and str(caught.value) == "no such detector"
    assert not list((tmp_path / "out").iterdir())


def test_a_folder_that_workers_cannot_write_ends_the_run(cluster, tmp_path):
    (tmp_path / "out/00000.parquet/x").mkdir(parents=True)
    with pytest.raises(RunFailed, match=r"00000\.parquet cannot be written"):
        list(cluster.run(engine.Job((Double(),), tmp_path / "out"), engine.shards(rows(), 5)))


def test_more_workers_than_the_cluster_has_cores(cluster, tmp_path):
    run([Double()], rows(), tmp_path / "out", OnRay(5), size=1)
    assert len(list(engine.read_all(tmp_path / "out"))) == 10


def test_a_run_that_is_closed_or_interrupted_ends_its_actors(cluster, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    names = cluster.run(engine.Job((Double(pause=0.2),), out), engine.shards(rows(), 1))
    next(names)
    names.close()
    interrupted = threading.Timer(5.0, os.kill, (os.getpid(), signal.SIGINT))
    interrupted.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run([Double(pause=60.0)], rows(2), out, cluster, size=1)
    assert time.monotonic() - began < 30
    until = time.monotonic() + 20
    while ray.available_resources().get("CPU") != 2 and time.monotonic() < until:
        time.sleep(0.2)
    assert ray.available_resources().get("CPU") == 2, "actors that nobody asks for hold the cores"


SCRIPT = """
import sys; sys.path.insert(0, {here!r})
from pathlib import Path
from curation_stages import Double, rows
from kangaroo_eval.train.curation.engine import run
from kangaroo_eval.train.curation.on_ray import OnRay
if __name__ == "__main__":
    run([Double(marks={marks!r}, pause=0.1)], rows(40), Path({out!r}), OnRay(2), size=2)
    import ray
    assert not ray.is_initialized()
    print("ended")
"""


def script(tmp_path):
    file = tmp_path / "go.py"
    file.write_text(SCRIPT.format(here=HERE, marks=str(tmp_path / "marks"), out=str(tmp_path / "out")))
    return [sys.executable, str(file)]


def test_a_driver_that_is_killed_goes_on_in_another_executor_and_the_other_way_round(tmp_path):
    child = subprocess.Popen(script(tmp_path), start_new_session=True)
    out, until = tmp_path / "out", time.monotonic() + 120
    while len(list(out.glob("0*.parquet"))) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    child.send_signal(signal.SIGKILL)
    child.wait()
    # What its workers are at may still be finished before their cluster notices; nothing is begun any more.
    time.sleep(3)
    before = {path.name: path.stat().st_mtime_ns for path in out.glob("0*.parquet")}
    assert 3 <= len(before) < 20
    (tmp_path / "marks").unlink()
    half = [path for path in sorted(before)][-1]
    run([Double(marks=str(tmp_path / "marks"), pause=0.1)], rows(40), out, Pool(2), size=2)
    after = {path.name: path.stat().st_mtime_ns for path in out.glob("0*.parquet")}
    assert len(after) == 20 and all(after[name] == stamp for name, stamp in before.items())
    assert len(marks(tmp_path / "marks")) == 40 - 2 * len(before), "only the shards that were missing"
    assert [row["twice"] for row in engine.read_all(out)] == [2 * n for n in range(40)]
    # And what others left, by a cluster that the run itself begins and ends.
    (tmp_path / "marks").unlink()
    (out / half).unlink()
    done = subprocess.run(script(tmp_path), capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "ended\n"), done.stderr
    assert len(marks(tmp_path / "marks")) == 2


COMMAND = "import sys\nfrom kangaroo_eval.cli.curate import main\nsys.exit(main(sys.argv[1:]))"


def test_the_command_on_ray_does_what_it_does_here(tmp_path):
    pytest.importorskip("cv2")
    for number in range(3):
        write_video(tmp_path / f"videos/v{number}.mp4", frames=8, size=64)
    (tmp_path / "videos/bad.mp4").write_text("no video")
    bare = ["--text", "none", "--faces", "none", "--no-cut"]
    words = ["annotate", str(tmp_path / "videos"), "--shard", "2", *bare]
    on_ray = [*words, "--out", str(tmp_path / "ray"), "--ray", "--workers", "2"]
    made = subprocess.run(
        [sys.executable, "-c", COMMAND, *on_ray], capture_output=True, text=True, timeout=120, check=False
    )
    assert made.returncode == 0 and "4 videos, 3 clips, 1 that cannot be read" in made.stdout, made.stderr
    assert made.stderr.splitlines() == ["1 of 2 shards", "2 of 2 shards"], "Ray says nothing between"
    assert main([*words, "--out", str(tmp_path / "here"), "-q"]) == 0
    there, here = (plain(engine.read_all(tmp_path / name)) for name in ("ray", "here"))
    assert json.dumps(there) == json.dumps(here)


def test_a_termination_of_the_command_is_an_interruption(tmp_path):
    """Ray takes the signal for itself, and would end the program without a word."""
    pytest.importorskip("cv2")
    for number in range(60):
        write_video(tmp_path / f"videos/v{number:02d}.mp4", frames=8, size=64)
    out = tmp_path / "out"
    words = ["annotate", str(tmp_path / "videos"), "--out", str(out), "--shard", "1", "--ray"]
    words += ["--text", "none", "--faces", "none", "--no-cut"]
    child = subprocess.Popen([sys.executable, "-c", COMMAND, *words], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 120
    while not list(out.glob("0*.parquet")) and time.monotonic() < until:
        time.sleep(0.02)
    child.terminate()
    _, told = child.communicate(timeout=60)
    assert child.returncode == 130 and "interrupted. Shards that are done are kept" in told


def test_a_cluster_that_is_not_there_is_told_at_once(tmp_path):
    if ray.is_initialized():
        ray.shutdown()
    began = time.monotonic()
    with pytest.raises(RunFailed, match=r"no Ray cluster at '127\.0\.0\.1:1': .*refused"):
        run([Double()], rows(), tmp_path / "out", OnRay(2, "127.0.0.1:1"))
    assert time.monotonic() - began < 20


def test_no_worker_is_no_run():
    with pytest.raises(UserError, match="0 workers: give 1 or more"):
        OnRay(0)
