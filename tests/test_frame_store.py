"""Runs with a frame store, sweeps and series: what is decoded once, and that answers do not depend on it."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import pytest
from conftest import videomme_rows, write_video, write_videomme

from kangaroo_eval import evaluate, sweep
from kangaroo_eval.cli import main
from kangaroo_eval.errors import UserError
from kangaroo_eval.media import decoders, filling, job
from kangaroo_eval.plan import RunConfig
from kangaroo_eval.types import Response

TINY = Path(str(resources.files("kangaroo_eval.model"))) / "assets/kangaroo-tiny"


class Looking:
    """Answers with what it sees: any other pixels are another answer."""

    frame_size = 32
    name = "looking"

    def respond(self, requests):
        for request in requests:
            text = f"{request.frames.pixels.shape[0]} {request.frames.pixels.astype(int).sum()}"
            yield Response(request.id, text, request.frames.times, 7, 1, 0.001)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four videos, each another one: what is the same is stored once, whatever it is called."""
    root = write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(4, 2))
    for number in range(4):
        write_video(root / f"videomme/data/video{number:06d}.mp4", frames=20 + number)
    return root


@pytest.fixture
def passes(monkeypatch):
    """How many frames each decoding pass wanted."""
    found = []

    def counted(video, info, indices, shape, threads):
        found.append(len(indices))
        return decoders.pyav(video, info, indices, shape, threads)

    monkeypatch.setattr(job, "DECODERS", {"pyav": counted})
    monkeypatch.setattr(filling, "DECODERS", {"pyav": counted})
    return found


def go(made, tmp_path, output, **options):
    options = {"frames": 4, **options}
    return evaluate(
        "videomme",
        Looking(),
        data="real",
        data_root=made,
        output=tmp_path / output,
        cache=tmp_path / "cache",
        workers=0,
        **options,
    )


def answers(path):
    lines = [json.loads(line) for line in (path / "videomme.answers.jsonl").read_text().splitlines()]
    return {line["id"]: (line["text"], line["frame_times"]) for line in lines}, [
        line.get("frames_stored", False) for line in lines
    ]


@pytest.mark.parametrize("form", ["exact", "near"])
def test_a_second_run_decodes_nothing_and_answers_the_same(form, made, tmp_path, passes):
    first = go(made, tmp_path, "a", frame_store=form)
    assert passes == [4] * 4
    second = go(made, tmp_path, "b", frame_store=form)
    assert len(passes) == 4
    (one, new), (two, stored) = answers(first.path), answers(second.path)
    assert one == two and not any(new) and all(stored)
    if form == "exact":
        assert answers(go(made, tmp_path, "c").path)[0] == one
    about = json.loads((second.path / "run.json").read_text())["decoding"]["frame_store"]
    assert about == {"exact": "every bit as decoded (zstd)"}.get(form, about) and ("JPEG" in about) == (
        form == "near"
    )


def test_near_frames_are_another_protocol_and_exact_ones_are_not(made, tmp_path):
    go(made, tmp_path, "a", limit=2)
    go(made, tmp_path, "a", frame_store="exact", limit=4)
    with pytest.raises(UserError, match="pixels: exact -> near"):
        go(made, tmp_path, "a", frame_store="near")
    go(made, tmp_path, "b", frame_store="near", limit=2)
    with pytest.raises(UserError, match="pixels: near -> exact"):
        go(made, tmp_path, "b")


def test_wrong_stores_are_refused_before_anything(made, tmp_path):
    with pytest.raises(UserError, match="choose one of off, exact, near"):
        go(made, tmp_path, "a", frame_store="raw")
    with pytest.raises(UserError, match="--frame-store-size 0: give gigabytes above 0"):
        go(made, tmp_path, "a", frame_store="exact", frame_store_size=0)
    assert not (tmp_path / "a").exists()


def config(made, tmp_path, **options):
    return RunConfig(
        tasks=("videomme",),
        data="real",
        data_root=made,
        output=tmp_path / "sweep",
        cache=tmp_path / "cache",
        workers=0,
        **options,
    )


def test_a_sweep_decodes_once_and_equals_runs_of_their_own(made, tmp_path, passes):
    found = dict(sweep.evaluate([2, 8, 4], config(made, tmp_path), model=Looking()))
    assert list(found) == [8, 4, 2] and len(passes) == 4, "one pass a video"
    for count, results in found.items():
        assert results.path == tmp_path / f"sweep/{count}f"
        alone = go(made, tmp_path, f"alone{count}", frames=count)
        assert answers(results.path)[0] == answers(alone.path)[0]
        assert all(text.startswith(f"{count} ") for text, _ in answers(results.path)[0].values())
    assert sorted(path.name for path in (tmp_path / "sweep").iterdir()) == ["2f", "4f", "8f", "sweep.md"]
    told = (tmp_path / "sweep/sweep.md").read_text()
    assert [line.split("|")[1].strip() for line in told.splitlines() if line.startswith("|")][2:] == [
        "2",
        "4",
        "8",
    ]


def test_an_interrupted_sweep_goes_on_and_decodes_nothing_again(made, tmp_path, passes):
    running = sweep.evaluate([2, 8], config(made, tmp_path), model=Looking())
    next(running)
    running.close()
    assert (tmp_path / "sweep/.frames").is_dir() and len(passes) == 4
    assert [count for count, _ in sweep.evaluate([2, 8], config(made, tmp_path), model=Looking())] == [8, 2]
    assert len(passes) == 4 and not (tmp_path / "sweep/.frames").exists()


def test_a_sweep_without_a_store_decodes_for_each(made, tmp_path, passes):
    list(sweep.evaluate([2, 4], config(made, tmp_path), model=Looking(), keep_frames=False))
    assert sorted(passes) == [2] * 4 + [4] * 4


def test_what_is_no_sweep_is_refused(made, tmp_path):
    for counts, options in (([4], {}), ([4, 4], {}), ([2, 4], {"fps": 1.0}), ([0, 4], {})):
        with pytest.raises(UserError, match=r"a sweep is over|--frames 0"):
            list(sweep.evaluate(counts, config(made, tmp_path, **options), model=Looking()))


def words(made, tmp_path, *more):
    where = ["--data-root", str(made), "--output", str(tmp_path / "out"), "--workers", "0"]
    return ["--tasks", "videomme", *where, *more]


def test_the_command_shows_one_table(made, tmp_path, capsys, away):
    assert main(["run", *words(made, tmp_path, "--frames", "4,2", "--json")]) == 0
    out = capsys.readouterr().out
    told = json.loads(out.splitlines()[-1])
    assert list(told["frames"]) == ["2", "4"] and told["exit"] == 0
    lines = [line.split()[0] for line in out.splitlines() if line[:1] in "24" and line.strip()]
    assert lines == ["2", "4"] and "Scores over frames" in out
    assert main(["run", *words(made, tmp_path, "--frames", "4,2", "--dry-run")]) == 0
    assert "4 frames a video, 16 in all" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--frames", "4,x"], "'4,x': give a whole number, or several with commas between"),
        (["--frames", "4,2", "--checkpoints", "x"], "several numbers are a sweep of one model"),
        (["--frames", "4,2", "--fps", "1"], "--fps"),
        (["--frames", "4", "--frame-store", "raw"], "choose one of off, exact, near"),
    ],
)
def test_mistakes_are_one_line(more, message, made, tmp_path, capsys, away):
    shutil.copytree(TINY, tmp_path / "x")
    try:
        code = main(["run", *words(made, tmp_path, *more)])
    except SystemExit as ended:
        code = ended.code
    err = capsys.readouterr().err
    assert code == 1 and message in err and len(err.strip().splitlines()) == 1


def test_a_series_of_checkpoints_decodes_once(made, tmp_path, passes, away):
    for name in ("step_1", "step_2"):
        shutil.copytree(TINY, tmp_path / "steps" / name)
    asked = words(made, tmp_path, "--frames", "4", "--checkpoints", f"{tmp_path}/steps/*", "-q")
    assert main(["run", *asked]) == 0
    assert passes == [4] * 4 and not (tmp_path / "out/.frames").exists()
    shutil.rmtree(tmp_path / "out")
    assert main(["run", *asked, "--frame-store", "off"]) == 0
    assert len(passes) == 12


def test_frames_ahead_of_a_run(made, tmp_path, passes, capsys, away):
    asked = ["videomme", "--data-root", str(made), "--workers", "0", "-q"]
    assert main(["data", "frames", *asked, "--frames", "4,8"]) == 0
    assert "4 videos decoded, 0 were there, 0 give no frames" in capsys.readouterr().out
    assert len(passes) == 4
    assert main(["data", "frames", *asked, "--frames", "8"]) == 0
    assert "0 videos decoded, 4 were there" in capsys.readouterr().out
    for count in ("4", "8"):
        out = ["--frames", count, "--output", str(tmp_path / f"out{count}"), "--frame-store", "exact", "-q"]
        assert main(["run", "--tasks", "videomme", "--data-root", str(made), "--workers", "0", *out]) == 0
    assert len(passes) == 4
    (made / "videomme/data").rename(made / "videomme/gone")
    try:
        (made / "videomme/data").mkdir()
        for file in (made / "videomme/gone").iterdir():
            (made / "videomme/data" / file.name).write_bytes(b"no video")
        assert main(["data", "frames", *asked, "--frames", "4"]) == 3
        assert "4 give no frames" in capsys.readouterr().out
    finally:
        shutil.rmtree(made / "videomme/data")
        (made / "videomme/gone").rename(made / "videomme/data")
    assert main(["data", "frames", "-q"]) == 1 and "name the tasks" in capsys.readouterr().err
