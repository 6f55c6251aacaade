"""From videos on disk to a training run: every step by its command."""

from __future__ import annotations

import json

import pytest

pytest.importorskip("scenedetect")
pytest.importorskip("torch")
pytest.importorskip("transformers")

from conftest import write_video
from fake_server import FakeServer

from kangaroo_eval.cli.curate import main
from kangaroo_eval.cli.train import main as train
from kangaroo_eval.train import grow, logs
from kangaroo_eval.train.curation import captions, engine
from kangaroo_eval.train.recipes import SMOKE
from kangaroo_eval.train.rows import read_manifest


@pytest.fixture
def curated(tmp_path, monkeypatch):
    """Six captioned clips, one with a caption that repeats itself, and one too short for the instruction set."""
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("KANGAROO_EVAL_CACHE", str(tmp_path / "cache"))
    for number in range(6):
        write_video(
            tmp_path / f"videos/v{number}.mp4", frames=24, size=64 + 16 * number, fps=4 if number else 12
        )
    told, seen = {}, []

    def reply(messages):
        content = messages[-1]["content"]
        if isinstance(content, list):
            seen.append(content)
            return f"Grey square {len(seen)} grows bright."
        if "pictures from a video" not in content:
            return "OK"
        told[len(told)] = content
        if len(told) == 3:
            return "A grey square grows bright here. Here a grey square grows bright."
        return f"The square of video {len(told)} grows bright. Then it ends in white light."

    with FakeServer(reply=reply, models=("eyes", "sums")) as server:
        folder = str(tmp_path / "out")
        bare = ["--text", "none", "--faces", "none", "--no-cut", "-q"]
        assert main(["annotate", str(tmp_path / "videos"), "--out", folder, *bare]) == 0
        assert main(["select", folder, "--preset", "none", "--keep-alike", "-q"]) == 0
        asked = [
            "--captioner",
            "eyes",
            "--summariser",
            "sums",
            "--base-url",
            server.base_url,
            "--threads",
            "1",
        ]
        assert main(["caption", folder, *asked, "-q"]) == 0
        for each in captions._open.values():
            each.close()
        captions._open.clear()
    return tmp_path


def test_clips_become_rows_that_training_reads(curated, capsys):
    out = curated / "set.jsonl"
    assert main(["assemble", "--clips", str(curated / "out"), "--out", str(out), "--dense"]) == 0
    told = capsys.readouterr().out
    assert "1 left out: caption: repeated" in told and "left out: clip under 5 s" in told
    rows = read_manifest(out)
    assert {row.task for row in rows} == {"detailed_caption", "dense_caption"} and len(rows) == 8
    assert all(row.video.is_file() and row.seconds == pytest.approx(6.0, abs=0.01) for row in rows)
    dense = next(row for row in rows if row.task == "dense_caption")
    assert dense.messages[-1].content.splitlines()[1].startswith("1.2 - 2.4 s: Grey square")


def test_rows_tell_source_and_category_and_find_their_videos(curated, monkeypatch):
    """Of a list of videos with columns of its own, in paths from the working folder, for a manifest in another one."""
    monkeypatch.chdir(curated)
    done = engine.read(curated / "out/captions/00000.parquet")
    for row in done:
        row |= {"path": f"videos/{row['id']}", "source": "webvid", "topic": "cooking"}
    (curated / "told/captions").mkdir(parents=True)
    engine.write(curated / "told/captions/00000.parquet", done, {})
    out = curated / "sets/set.jsonl"
    words = ["assemble", "--clips", "told", "--out", "sets/set.jsonl", "--shortest", "0", "-q"]
    assert main([*words, "--category", "topic"]) == 0
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(read_manifest(out)) == len(rows) == 5
    assert {(row["source"], row["category"]) for row in rows} == {("webvid", "cooking")}
    assert main(words) == 0 and "category" not in json.loads(out.read_text().splitlines()[0])


@pytest.mark.slow
def test_a_model_learns_from_what_was_curated(curated):
    learner = grow.begin(SMOKE, {})
    for name in ("image", "video", "refinement"):
        learner = grow.advance(learner, SMOKE.plan(name).stage)
        grow.note(learner.network, name, "nothing", 0)
    learner.save(curated / "source")
    assert main(["assemble", "--clips", str(curated / "out"), "--out", str(curated / "set.jsonl"), "-q"]) == 0
    words = [
        "instruction",
        "--recipe",
        "smoke",
        "--from",
        str(curated / "source"),
        "--out",
        str(curated / "run"),
    ]
    words += ["--data", str(curated / "set.jsonl"), "--steps", "6", "--workers", "0", "--log-every", "1"]
    assert train(words) == 0
    lines = logs.read(curated / "run/metrics.jsonl")
    assert lines[-1]["loss"] < lines[0]["loss"] - 1


def test_public_sets_join_them(curated, capsys):
    (curated / "next.csv").write_text(
        "video,frame_count,width,height,question,answer,qid,type,a0,a1,a2,a3,a4\n"
        "11,100,64,64,what is there,2,0,DO,dog,cat,cow,pig,hen\n"
    )
    words = [
        "assemble",
        "--set",
        f"nextqa_mc={curated}/next.csv@{curated}/videos",
        "--out",
        str(curated / "s.jsonl"),
    ]
    assert main(words) == 0
    assert "1 rows: multiple_choice, en" in capsys.readouterr().out
    row = json.loads((curated / "s.jsonl").read_text())
    assert row["messages"][1]["content"].endswith("cow") and len(row["mc"]["options"]) == 5


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ([], 1, "nothing to assemble"),
        (["--set", "vatex"], 1, "write NAME=FILE"),
        (["--set", "nothing=x.json"], 1, "unknown source 'nothing'"),
        (["--clips", "nowhere"], 6, "has no results"),
        (["--clips", "x", "--threshold", "2"], 1, "--threshold 2"),
    ],
)
def test_mistakes_are_one_line(words, code, told, tmp_path, capsys):
    assert main(["assemble", "--out", str(tmp_path / "s.jsonl"), *words]) == code
    assert told in capsys.readouterr().err
