"""Shards: what is done is not done again, what is damaged is, and one bad video never ends a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from curation_stages import Double, Split, Unready, rows

from kangaroo_eval.errors import DataError, RunFailed, UserError
from kangaroo_eval.train.curation import engine, workers
from kangaroo_eval.train.curation.engine import InProcess, run, shards
from kangaroo_eval.train.curation.stage import config_hash, process
from kangaroo_eval.train.curation.workers import Pool

HERE = str(Path(__file__).parents[2])


def marks(path):
    return sorted(path.read_text().split()) if path.exists() else []


@pytest.fixture(params=["here", "pool"])
def executor(request):
    return InProcess() if request.param == "here" else Pool(2)


def test_every_executor_gives_the_same_rows_in_the_same_order(executor, tmp_path):
    made = run([Double(), Split()], rows(), tmp_path / "out", executor, size=3)
    assert [path.name for path in made] == [f"{n:05d}.parquet" for n in range(4)]
    found = list(engine.read_all(tmp_path / "out"))
    assert [row["id"] for row in found] == [f"v{n}#{i}" for n in range(10) for i in range(2)]
    assert all(row["twice"] == 2 * row["n"] for row in found)
    assert all(set(row["spent"]) == {"double", "split"} for row in found)


def test_what_is_done_is_not_done_again_and_what_is_damaged_or_edited_is(tmp_path):
    noted = tmp_path / "marks"
    stages, out = [Double(marks=str(noted))], tmp_path / "out"
    told = []
    run(stages, rows(), out, InProcess(), size=3, progress=lambda done, total: told.append((done, total)))
    assert len(marks(noted)) == 10 and told == [(n + 1, 4) for n in range(4)]
    noted.unlink()
    run(stages, rows(), out, Pool(2), size=3)
    assert marks(noted) == [], "another executor takes the same results"
    (out / "00001.parquet").write_bytes((out / "00001.parquet").read_bytes()[:-20])
    changed = rows()
    changed[9]["n"] = 99
    run(stages, changed, out, InProcess(), size=3)
    assert marks(noted) == ["v3", "v4", "v5", "v9"]
    assert list(engine.read_all(out))[-1]["twice"] == 198


def test_other_settings_and_other_files_are_done_anew(tmp_path):
    noted = tmp_path / "marks"
    video = tmp_path / "v.mp4"
    video.write_bytes(b"one")
    row = [{"id": "v", "path": str(video), "n": 1}]
    for stage in (Double(marks=str(noted)), Double(marks=str(noted), bad="x")):
        run([stage], row, tmp_path / "out", InProcess())
    assert len(marks(noted)) == 2 and config_hash([Double()]) != config_hash([Double(bad="x")])
    video.write_bytes(b"another")
    run([Double(marks=str(noted), bad="x")], row, tmp_path / "out", InProcess())
    assert len(marks(noted)) == 3


def test_shards_that_the_input_has_no_more_are_gone(tmp_path):
    run([Double()], rows(10), tmp_path / "out", InProcess(), size=3)
    (tmp_path / "out/.00009.parquet.1.part").write_text("half")
    run([Double()], rows(4), tmp_path / "out", InProcess(), size=3)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["00000.parquet", "00001.parquet"]


def test_a_bad_video_is_a_row_with_an_error(executor, tmp_path):
    run([Double(bad="v4"), Split()], rows(), tmp_path / "out", executor, size=5)
    found = {row["id"]: row for row in engine.read_all(tmp_path / "out")}
    assert len(found) == 19
    assert found["v4"]["error"] == {
        "stage": "double",
        "type": "RuntimeError",
        "message": "RuntimeError: no video: at all",
    }


def test_a_video_that_kills_its_process_costs_itself_alone(tmp_path):
    run([Double(deadly="v4")], rows(), tmp_path / "out", Pool(2), size=5)
    found = list(engine.read_all(tmp_path / "out"))
    assert [row["id"] for row in found if row.get("error")] == ["v4"] and len(found) == 10
    assert found[4]["error"]["message"] == "the process died at this video"


def test_a_mistake_in_the_settings_ends_the_run():
    class Wrong(Double):
        def one(self, row):
            raise UserError("no such detector")

    with pytest.raises(UserError, match="no such detector"):
        process([Wrong()], rows(1))


def test_rows_of_one_id_are_refused():
    with pytest.raises(DataError, match="rows 1 and 2 have the same id 'a'"):
        shards([{"id": "a", "path": "x"}, {"id": "a", "path": "y"}])
    with pytest.raises(UserError, match="shards of 0 videos"):
        shards(rows(), 0)
    with pytest.raises(UserError, match="0 workers"):
        Pool(0)


def test_a_disk_that_is_full_is_told_and_what_is_done_stays(tmp_path, monkeypatch):
    plain = Path.write_bytes

    def full(path, data):
        if "00001" in str(path):
            raise OSError(28, "No space left on device")
        return plain(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RunFailed, match=r"00001\.parquet cannot be written: No space left on device"):
        run([Double()], rows(), tmp_path / "out", InProcess(), size=3)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["00000.parquet"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "out").write_text("a file")
    with pytest.raises(RunFailed, match="out cannot be written to"):
        run([Double()], rows(), tmp_path / "out", InProcess())
    with pytest.raises(DataError, match="has no results"):
        list(engine.read_all(tmp_path))


@pytest.mark.parametrize("kind", ["InProcess()", "Pool(2)"])
def test_a_run_that_is_killed_goes_on_where_it_was(kind, tmp_path):
    noted = tmp_path / "marks"
    code = (
        f"import sys; sys.path.insert(0, {HERE!r})\n"
        "from pathlib import Path\n"
        "from curation_stages import Double, rows\n"
        "from kangaroo_eval.train.curation.engine import InProcess, run\n"
        "from kangaroo_eval.train.curation.workers import Pool\n"
        "if __name__ == '__main__':\n"
        f"    run([Double(marks={str(noted)!r}, pause=0.05)], rows(40), Path({str(tmp_path / 'out')!r}), {kind}, size=2)\n"
    )
    script = tmp_path / "go.py"
    script.write_text(code)
    child = subprocess.Popen([sys.executable, str(script)], start_new_session=True)
    until = time.monotonic() + 60
    while len(list((tmp_path / "out").glob("0*.parquet"))) < 3 and time.monotonic() < until:
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("0*.parquet")}
    assert 3 <= len(before) < 20
    run([Double(marks=str(noted), pause=0.05)], rows(40), tmp_path / "out", InProcess(), size=2)
    after = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("0*.parquet")}
    assert len(after) == 20 and all(after[name] == stamp for name, stamp in before.items())
    assert {row["id"] for row in engine.read_all(tmp_path / "out")} == {row["id"] for row in rows(40)}


def test_stages_that_cannot_be_set_up_end_the_run(executor, tmp_path):
    """And are not taken for videos that kill their process."""
    with pytest.raises(UserError, match="no such detector"):
        run([Unready()], rows(), tmp_path / "out", executor)
    assert not list((tmp_path / "out").iterdir())


def test_workers_that_do_not_begin_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "one_thread", Unready.die)
    with pytest.raises(RunFailed, match="a worker process ends before it has any video"):
        run([Double()], rows(), tmp_path / "out", Pool(2))
    assert not list((tmp_path / "out").iterdir())


def test_a_worker_that_dies_does_not_disturb_the_others(tmp_path):
    """Nor wait for one that was just being started, as a pool of several processes does now and then."""
    noted = tmp_path / "marks"
    run([Double(deadly="v0", marks=str(noted), pause=0.3)], rows(4), tmp_path / "out", Pool(2), size=2)
    assert [row["id"] for row in engine.read_all(tmp_path / "out") if row.get("error")] == ["v0"]
    assert marks(noted) == ["v0", "v0", "v1", "v2", "v3"]


def test_tables_that_somebody_else_made_are_not_removed(tmp_path):
    """img2dataset's tables are called 00000.parquet as well."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    out = tmp_path / "out"
    out.mkdir()
    pq.write_table(pa.table({"url": ["a"]}), out / "00007.parquet")
    with pytest.raises(UserError, match=r"00007.parquet was not made by a curation"):
        run([Double()], rows(), out, InProcess(), size=3)
    assert [path.name for path in out.iterdir()] == ["00007.parquet"]
