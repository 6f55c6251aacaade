"""What stays and what does not, told with its reasons; the command from a folder of videos to a page."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from conftest import write_video

from kangaroo_eval.cli.curate import main
from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.train.curation import engine
from kangaroo_eval.train.curation.cost import cost, table
from kangaroo_eval.train.curation.select import PRESETS, Preset, preset, select
from kangaroo_eval.train.curation.sources import read_source

BARE = ["--text", "none", "--faces", "none", "-q"]


def row(name, **scores):
    return {
        "id": name,
        "path": f"{name}.mp4",
        "duration": 10.0,
        "scores": {"motion": 5.0, "text": 0.0, **scores},
    }


def test_reasons_are_told_and_each_row_counts_once():
    rows = [
        row("good"),
        row("words", text=0.5),
        row("both", text=0.5, motion=0.1),
        {**row("broken"), "error": {"stage": "probe", "type": "MediaError", "message": "no video"}},
        {**row("short"), "duration": 1.0},
    ]
    found = select(rows, preset("pretraining"))
    assert [each["id"] for each in found.kept] == ["good"]
    why = {each["id"]: each["dropped"] for each in found.dropped}
    assert why["both"] == ["motion 0.1 < 0.8", "text 0.5 > 0.2"] and why["words"] == ["text 0.5 > 0.2"]
    assert why["broken"] == ["error at probe: no video"] and why["short"] == ["duration 1 < 2"]
    assert found.counts() == {"motion": 1, "text": 1, "error": 1, "duration": 1}
    assert len(select(rows, preset("none")).kept) == 4


def test_a_score_that_was_not_taken_is_no_reason():
    assert select([{"id": "x", "path": "x", "duration": 10.0}], preset("pretraining")).kept


def test_bounds_are_changed_by_name():
    changed = Preset(about="", most={"text": 0.2}).changed(["text<=0.5", "motion >= 2"])
    assert changed.most == {"text": 0.5} and changed.least == {"motion": 2.0}
    assert changed.changed(["text<="]).most == {}
    for wrong, told in (("text=1", "write NAME<=NUMBER"), ("text<=x", "'x' is no number")):
        with pytest.raises(UserError, match=told):
            changed.changed([wrong])
    with pytest.raises(UserError, match="preset 'x': choose among pretraining, instruction, images, none"):
        preset("x")
    assert all(each.about for each in PRESETS.values())


def test_benchmarks_come_out_before_duplicates():
    same = {"plain": ["0123456789abcdef"] * 8, "mirrored": ["fedcba9876543210"] * 8}
    other = {"plain": ["f0f0f0f00f0f0f0f"] * 8, "mirrored": ["0f0f0f0ff0f0f0f0"] * 8}
    rows = [{**row(name), "hashes": same} for name in "ab"] + [
        {**row(name), "hashes": other} for name in "cd"
    ]
    found = select(rows, preset("none"), benchmark=[{"id": "bench", "hashes": same}])
    why = {each["id"]: each["dropped"][0] for each in found.dropped}
    assert why == {
        "a": "benchmark of bench, 100% of the frames",
        "b": "benchmark of bench, 100% of the frames",
        "d": "duplicate of c, 100% of the frames",
    }
    assert [each["id"] for each in select(rows, preset("none"), alike=False).kept] == ["a", "b", "c", "d"]


# Sources


def test_a_folder_or_a_list_of_videos_is_read(tmp_path):
    for name in ("a.mp4", "deep/b.MKV", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [each["id"] for each in read_source(tmp_path)] == ["a.mp4", "deep/b.MKV"]
    (tmp_path / "list.jsonl").write_text(
        json.dumps({"id": 7, "video": "a.mp4", "caption": "A dog."})
        + "\n"
        + json.dumps({"path": "deep/b.MKV"})
    )
    found = read_source(tmp_path / "list.jsonl")
    assert found[0] == {"id": "7", "video": "a.mp4", "caption": "A dog.", "path": str(tmp_path / "a.mp4")}
    assert found[1]["id"] == "deep/b.MKV"
    (tmp_path / "list.csv").write_text("id,path,category\nx,a.mp4,pets\n")
    assert read_source(tmp_path / "list.csv")[0]["category"] == "pets"
    (tmp_path / "bad.jsonl").write_text('{"id": "x"}')
    with pytest.raises(DataError, match=r"bad\.jsonl, row 1: no video"):
        read_source(tmp_path / "bad.jsonl")
    with pytest.raises(DataError, match="no such folder or file"):
        read_source(tmp_path / "nowhere")
    (tmp_path / "void").mkdir()
    with pytest.raises(DataError, match="no video in it"):
        read_source(tmp_path / "void")


# The command


@pytest.fixture
def videos(tmp_path):
    pytest.importorskip("scenedetect")
    for number, size in enumerate((64, 96, 128)):
        write_video(tmp_path / f"videos/v{number}.mp4", frames=16 + 4 * number, size=size)
    (tmp_path / "videos/broken.mp4").write_bytes(b"no video")
    return tmp_path / "videos"


def test_from_videos_to_a_page(videos, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["annotate", str(videos), "--out", str(out), *BARE[:-1]]) == 0
    told = capsys.readouterr()
    assert "4 videos, 3 clips, 1 that cannot be read" in told.out and "broken.mp4" in told.out
    assert "1 of 1 shards" in told.err
    stamps = {path: path.stat().st_mtime_ns for path in out.glob("*.parquet")}
    assert main(["select", str(out), "--preset", "none", "--keep-alike", "--json"]) == 0
    shown = capsys.readouterr().out
    counted = json.loads(shown.splitlines()[-1])
    assert counted["kept"] == 3 and counted["dropped"] == {"error": 1}
    kept = [json.loads(line) for line in (out / "kept.jsonl").read_text().splitlines()]
    assert [each["video"] for each in kept] == ["v0.mp4", "v1.mp4", "v2.mp4"]
    # A filter that cannot act is told.
    assert main(["select", str(out), "--bound", "motion>=0", "-q"]) == 0
    assert "not measured, so no clip is left out for it: faces, text" in capsys.readouterr().err
    # Another bound opens no video, and does nothing over again.
    assert main(["select", str(out), "--preset", "none", "--bound", "duration>=2.2", "-q", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["dropped"]["duration"] == 1
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    assert main(["report", str(out), "--preset", "none", "--bound", "motion>=100"]) == 0
    page = (out / "report.html").read_text()
    assert "0 of 4 clips stay" in page and page.count("<img") == 3 and page.count("<svg") >= 6
    assert "at least 100: 3 of 3 are not" in page and "src='http" not in page


def test_the_page_shows_hostile_names_as_text(tmp_path):
    rows = [{**row("<script>alert(1)</script>"), "scores": {"text": 0.3}}]
    out = tmp_path / "out"
    out.mkdir()
    engine.write(out / "00000.parquet", rows, {})
    assert main(["report", str(out), "-q", "--no-pictures"]) == 0
    assert "<script>" not in (out / "report.html").read_text()


def test_what_is_in_a_benchmark_does_not_stay(videos, tmp_path, capsys):
    drawn = np.random.default_rng(0)
    import av

    picture = np.kron(drawn.integers(0, 255, (8, 8, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    with av.open(str(videos / "seen.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width, stream.pix_fmt = 128, 128, "yuv420p"
        for _ in range(16):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    bench = tmp_path / "bench"
    bench.mkdir()
    (bench / "theirs.mp4").write_bytes((videos / "seen.mp4").read_bytes())
    for source, out in ((videos, "out"), (bench, "bench-out")):
        assert main(["annotate", str(source), "--out", str(tmp_path / out), "--no-cut", *BARE]) == 0
    words = ["select", str(tmp_path / "out"), "--preset", "none", "--benchmark", str(tmp_path / "bench-out")]
    assert main([*words, "-q"]) == 0
    dropped = [json.loads(line) for line in (tmp_path / "out/dropped.jsonl").read_text().splitlines()]
    why = {each["id"]: each["dropped"][0] for each in dropped}
    assert why["seen.mp4"].startswith("benchmark of theirs.mp4")


def test_costs_are_reckoned_from_what_was_measured(tmp_path, capsys):
    rows = [
        {**row("a"), "spent": {"cut": 0.5, "look": 1.0}},
        {**row("b"), "spent": {"cut": 0.5, "look": 2.0}},
    ]
    found = cost(rows)
    assert found.stages == {"cut": 0.5, "look": 1.5} and found.total == 2.0
    text = table(found, 60e6, 1000)
    assert re.search(r"all +2\.000 +33,333", text) and "1.4 days on 1,000 cores" in text
    with pytest.raises(DataError, match="no clip was measured"):
        cost([row("a")])
    out = tmp_path / "out"
    out.mkdir()
    engine.write(out / "00000.parquet", rows, {})
    assert main(["plan", str(out), "--clips", "3600", "--cores", "1"]) == 0
    assert re.search(r"all +2\.000 +2", capsys.readouterr().out)
    assert main(["plan", str(out), "--cores", "0"]) == 1


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["annotate", "{}/nowhere", "--out", "{}/o"], 6, "no such folder or file"),
        (["annotate", "{}/videos", "--out", "{}/o", "--text", "x"], 1, "text detector 'x'"),
        (["annotate", "{}/videos", "--out", "{}/o", "--workers", "0"], 1, "0 workers"),
        (["select", "{}/videos"], 6, "has no results: run kangaroo-curate annotate first"),
    ],
)
def test_mistakes_are_one_line(words, code, told, videos, tmp_path, capsys):
    assert main([word.format(tmp_path) for word in words]) == code
    assert told in capsys.readouterr().err


def hashed(name, *frames):
    """A row whose frames have these hashes: numbers, far from each other."""
    plain = [f"{(n * 0x9E3779B97F4A7C15) % 2**64:016x}" for n in frames]
    return {
        **row(name),
        "hashes": {"plain": plain, "mirrored": [f"{int(p, 16) ^ (2**64 - 1):016x}" for p in plain]},
    }


def test_a_part_of_a_benchmarks_video_is_found_either_way_round():
    """A training video of many shots that holds a benchmark's clip, and a shot of one that a benchmark holds whole."""
    whole, clip = hashed("whole", *range(1, 41)), hashed("clip", 3, 4, 5, 6)
    for rows, benchmark in (([whole], [clip]), ([clip], [whole])):
        found = select(rows, preset("none"), benchmark=benchmark)
        assert not found.kept, (rows[0]["id"], benchmark[0]["id"])
    assert select([hashed("else", 50, 51)], preset("none"), benchmark=[whole, clip]).kept
    # Among training clips themselves a part is no duplicate of the whole.
    assert len(select([whole, {**clip, "id": "z"}], preset("none")).kept) == 1
    assert len(select([clip, {**whole, "id": "z"}], preset("none")).kept) == 2


def test_a_benchmark_that_cannot_be_read_is_told(tmp_path, capsys):
    for name in ("videos", "bench"):
        (tmp_path / name).mkdir()
    write_video(tmp_path / "videos/a.mp4")
    (tmp_path / "bench/b.mp4").write_bytes(b"no video")
    for name, code in (("videos", 0), ("bench", 6)):
        assert main(["annotate", str(tmp_path / name), "--out", str(tmp_path / f"{name}.out"), *BARE]) == code
    capsys.readouterr()
    words = [
        "select",
        str(tmp_path / "videos.out"),
        "--preset",
        "none",
        "--benchmark",
        str(tmp_path / "bench.out"),
    ]
    assert main(words) == 0
    assert "1 of the benchmark's 1 rows cannot be looked for" in capsys.readouterr().err


def test_paths_are_whole(tmp_path, monkeypatch):
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4")
    monkeypatch.chdir(tmp_path)
    assert main(["annotate", "videos", "--out", "out", *BARE]) == 0
    assert {found["path"] for found in engine.read_all(tmp_path / "out")} == {str(tmp_path / "videos/a.mp4")}


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.csv", "video,start,end\na.mp4,x,2\n", "start 'x' is no number of seconds"),
        ("b.csv", "video,topic\na.mp4,one,two\n", "not as many columns"),
        ("c.csv", "video,topic\na.mp4,caf\xe9\n", "cannot be read"),
        ("d.jsonl", '{"video": "a.mp4", "error": "none"}\n', "the key 'error' is one that annotating writes"),
        ("e.jsonl", '{"video": "a.mp4", "spent": 3}\n', "the key 'spent' is one that annotating writes"),
    ],
)
def test_lists_that_cannot_be_kept_are_refused_in_one_line(name, text, told, tmp_path):
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(DataError, match=told):
        read_source(tmp_path / name)


def test_a_table_of_times_is_read_as_numbers(tmp_path):
    (tmp_path / "a.csv").write_text("video,start,end,topic\na.mp4,1.5,,x\n")
    (found,) = read_source(tmp_path / "a.csv")
    assert found["start"] == 1.5 and "end" not in found and found["topic"] == "x"


def test_names_that_no_row_has_are_told_with_the_choices(tmp_path, capsys):
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4")
    out = str(tmp_path / "out")
    assert main(["annotate", str(tmp_path / "videos"), "--out", out, *BARE]) == 0
    assert main(["select", out, "--preset", "none", "--category", "topik"]) == 1
    assert "--category topik: no row has it; choose among" in capsys.readouterr().err
    assert main(["select", out, "--preset", "none", "--bound", "txt<=0.1"]) == 1
    assert "--bound 'txt<=0.1': no such score; choose among" in capsys.readouterr().err


def test_a_source_of_which_nothing_can_be_read_is_exit_code_6(tmp_path, capsys):
    (tmp_path / "q.jsonl").write_text('{"video": "gone.mp4"}\n')
    assert main(["annotate", str(tmp_path / "q.jsonl"), "--out", str(tmp_path / "out"), *BARE]) == 6
    assert "nothing in it can be read" in capsys.readouterr().err
