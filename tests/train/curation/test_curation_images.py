"""Pictures: what is looked at and left out, captions by a model behind a real (local) server, and rows that training reads."""

from __future__ import annotations

import base64
import json
import os
from collections import Counter

import pytest

pytest.importorskip("cv2")

import cv2
import numpy as np
from fake_server import EMPTY, FakeServer, Step, error

from kangaroo_eval.cli.curate import main
from kangaroo_eval.errors import UserError
from kangaroo_eval.train.curation import captions, engine
from kangaroo_eval.train.curation.captions import Server, caption_of
from kangaroo_eval.train.curation.images import CaptionPicture, Picture, alt_of, examples, rows
from kangaroo_eval.train.curation.instructions import Example
from kangaroo_eval.train.curation.select import preset, select
from kangaroo_eval.train.curation.stage import config_hash, process
from kangaroo_eval.train.curation.writer import Written, make_dialogues
from kangaroo_eval.train.rows import read_manifest

ENDINGS = ("jpg", "jpeg", "png", "webp", "bmp")


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    """Each test has servers and a cache of its own."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    monkeypatch.setenv("KANGAROO_EVAL_CACHE", str(tmp_path / "cache"))
    yield
    for each in captions._open.values():
        each.close()
    captions._open.clear()


def drawn(seed, height=240, width=320):
    """A picture of 8 x 8 coloured blocks."""
    blocks = np.random.default_rng(seed).integers(0, 255, (8, 8, 3)).astype(np.uint8)
    return cv2.resize(blocks, (width, height), interpolation=cv2.INTER_NEAREST)


def write(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture)
    return path


def asked_about(messages):
    """The picture (h, w, 3, BGR) and the text of a request."""
    picture, text = messages[-1]["content"]
    data = base64.b64decode(picture["image_url"]["url"].removeprefix("data:image/jpeg;base64,"))
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), text["text"]


def reply(messages):
    if not isinstance(messages[-1]["content"], list):
        return "OK"
    picture, text = asked_about(messages)
    colour = picture.reshape(-1, 3).mean(0).round().astype(int).tolist()
    return f"一些颜色为{colour}的方块。" if "图片" in text else f"Blocks of the colour {colour}."


@pytest.fixture
def server():
    with FakeServer(reply=reply, models=("eyes",), key="secret-key") as made:
        yield made


def pictures_asked(server):
    """Requests about pictures, without those that try the server out."""
    return [seen for seen in server.chats if isinstance(seen.body["messages"][-1]["content"], list)]


def look(*paths):
    return process([Picture()], [{"id": path.name, "path": str(path)} for path in paths])


def words_for(server, source, out, *more):
    named = ["--captioner", "eyes", "--base-url", server.base_url]
    return ["images", str(source), "--out", str(out), *named, *more]


# Looking


@pytest.mark.parametrize("ending", ENDINGS)
def test_size_and_ratio_of_every_format(ending, tmp_path):
    (row,) = look(write(tmp_path / f"p.{ending}", drawn(0, 100, 250)))
    assert (row["width"], row["height"]) == (250, 100) and row["bytes"] > 0
    assert row["scores"]["side"] == 100 and row["scores"]["ratio"] == 2.5
    assert len(row["hashes"]["plain"]) == 1 and row["hashes"]["plain"][0]


def test_what_is_no_whole_picture_is_a_row_with_an_error(tmp_path):
    whole = write(tmp_path / "whole.jpg", drawn(0))
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "empty.jpg").write_bytes(b"")
    data = whole.read_bytes()
    (tmp_path / "short.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "trailing.jpg").write_bytes(data + b"\0" * 1000)
    names = ("whole.jpg", "text.png", "empty.jpg", "short.jpg", "trailing.jpg", "absent.jpg")
    found = {row["id"]: row.get("error", {}).get("message") for row in look(*(tmp_path / n for n in names))}
    assert found["whole.jpg"] is None and found["trailing.jpg"] is None
    assert "cut short" in found["short.jpg"]
    assert all("not a picture" in found[name] for name in ("text.png", "empty.jpg", "absent.jpg"))


def test_small_narrow_and_like_pictures_are_left_out(tmp_path):
    big = drawn(1, 480, 640)
    made = {
        "a.png": big,
        "b_again.jpg": cv2.resize(big, (320, 240), interpolation=cv2.INTER_AREA),
        "c_mirrored.jpg": big[:, ::-1],
        "d_other.jpg": drawn(2, 480, 640),
        "e_small.png": drawn(3, 199, 400),
        "f_narrow.png": drawn(4, 200, 601),
        "g_just.png": drawn(5, 200, 600),
    }
    looked = look(*(write(tmp_path / name, picture) for name, picture in made.items()))
    found = select(looked, preset("images"))
    assert [row["id"] for row in found.kept] == ["a.png", "d_other.jpg", "g_just.png"]
    why = {row["id"]: row["dropped"][0] for row in found.dropped}
    assert why["b_again.jpg"].startswith("duplicate of a.png") and why["c_mirrored.jpg"].startswith(
        "duplicate"
    )
    assert why["e_small.png"] == "side 199 < 200" and why["f_narrow.png"] == "ratio 3.005 > 3"


def test_one_picture_alone_must_be_nearer_than_a_frame_of_eight():
    known = int("0123456789abcdef", 16)
    eight = f"{known ^ 0b11111111:016x}"

    def row(name, found):
        return {"id": name, "path": name, "scores": {}, "hashes": {"plain": [found], "mirrored": []}}

    pair = [row("a", f"{known:016x}"), row("b", eight)]
    assert len(select(pair, preset("images")).kept) == 2
    assert len(select(pair, preset("none")).kept) == 1


# Captions


def stage(server, **changes):
    return CaptionPicture(
        captioner=Server(model="eyes", base_url=server.base_url, key="secret-key"), **changes
    )


def test_the_captioner_sees_the_picture_and_the_limit(server, tmp_path):
    path = write(tmp_path / "p.png", drawn(7, 300, 900))
    (row,) = process([stage(server, words=25)], [{"id": "p", "path": str(path)}])
    (seen,) = pictures_asked(server)
    picture, text = asked_about(seen.body["messages"])
    assert picture.shape == (150, 448, 3)
    assert np.abs(picture.mean((0, 1)) - drawn(7, 300, 900).mean((0, 1))).max() < 3, "no colours are swapped"
    assert "at most 25 words" in text and "{" not in text
    found = row["captions"]
    assert found["image"]["outcome"] == "ok" and caption_of(row, "image") == found["image"]["text"]
    assert (found["lang"], found["prompt"], found["words"]) == ("en", "image-en-1", 25)
    assert json.loads(json.dumps(row)) == row


def test_chinese_is_asked_for_in_chinese(server, tmp_path):
    path = write(tmp_path / "p.png", drawn(7))
    (row,) = process([stage(server, lang="zh")], [{"id": "p", "path": str(path)}])
    assert "不超过 90 个字" in asked_about(pictures_asked(server)[0].body["messages"])[1]
    assert row["captions"]["image"]["text"].startswith("一些") and row["captions"]["prompt"] == "image-zh-1"


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        (EMPTY, "empty"),
        (Step(text="I'm sorry, I cannot help with that."), "refused"),
        (Step(text="Some blo", finish_reason="length"), "truncated"),
        (error(400, "no"), "failed"),
    ],
)
def test_what_is_not_ok_is_no_caption(step, outcome, tmp_path):
    path = write(tmp_path / "p.png", drawn(0))

    def says(messages):
        return step if isinstance(messages[-1]["content"], list) else "OK"

    with FakeServer(reply=says, models=("eyes",), key="secret-key") as server:
        found = process([stage(server)], [{"id": "p", "path": str(path), "source": "web"}])
    assert found[0]["captions"]["image"]["outcome"] == outcome and caption_of(found[0], "image") is None
    drops = captions_dropped(found)
    assert drops == ([], {"picture without a caption": 1})


def captions_dropped(found):
    drops = Counter()
    return list(examples(found, drops, threshold=0.6)), drops


def test_settings_are_known_by_what_changes_a_caption(server):
    assert config_hash([stage(server)]) == config_hash([stage(server, cache="/elsewhere")])
    assert config_hash([stage(server)]) != config_hash([stage(server, words=20)])
    with pytest.raises(UserError, match="'fr': choose among en, zh"):
        stage(server, lang="fr")
    with pytest.raises(UserError, match="at most -1 words"):
        stage(server, words=-1)


def captioned(text, lang="en", **more):
    told = {"image": {"text": text, "outcome": "ok", "model": "eyes"}, "lang": lang}
    return {"id": "1.jpg", "path": "/p/1.jpg", "source": "laion", "captions": told, **more}


def test_captions_that_repeat_themselves_or_are_of_another_language_are_no_examples():
    found, drops = captions_dropped(
        [
            captioned("A dog runs in the park. The dog runs in the park."),
            captioned("A dog runs.", lang="zh"),
            captioned("一只狗在公园里奔跑。", lang="zh", TEXT="狗 狗 购买"),
        ]
    )
    assert drops == {"caption: repeated": 1, "caption: wrong language": 1}
    (one,) = found
    assert (one.id, one.source, one.lang, one.alt) == ("laion/1.jpg", "laion", "zh", "狗 狗 购买")
    assert one.captions == ("一只狗在公园里奔跑。",) and one.is_picture and one.seconds is None


def test_the_webs_text_is_found_under_its_sources_keys():
    assert alt_of({"TEXT": " a  dog ", "caption": "b"}) == "a dog"
    assert alt_of({"caption": "一只狗"}) == "一只狗" and alt_of({"text": "", "url": "x"}) == ""
    assert alt_of({"text": 3}) == ""


def test_no_dialogue_is_made_of_a_picture():
    class Writes:
        def write(self, prompts):
            asked.extend(prompts)
            return [Written("Q: Who?\nA: A man.\nQ: Where?\nA: At home.", "ok", "m") for _ in prompts]

    asked = []
    both = [
        Example(id="p", video="p.jpg", source="s", task="image_caption", captions=("A man sits.",)),
        Example(id="v", video="v.mp4", source="s", task="short_caption", captions=("A man walks.",)),
    ]
    made = make_dialogues(both, [Writes()]).examples
    assert [each.id for each in made] == ["v/dialogue"] and len(asked) == 1


# The command


@pytest.fixture
def web(tmp_path):
    """Six pictures: four good ones, a small one, and a broken one."""
    for number in range(4):
        write(tmp_path / f"web/{number}.{ENDINGS[number]}", drawn(10 + number, 240, 320))
    write(tmp_path / "web/deep/small.BMP", drawn(20, 64, 64))
    (tmp_path / "web/broken.jpg").write_bytes(b"no picture")
    (tmp_path / "web/notes.txt").write_text("no picture either")
    return tmp_path / "web"


def test_from_a_folder_to_rows_that_training_reads(web, server, tmp_path, capsys, monkeypatch):
    pytest.importorskip("torch")
    from kangaroo_eval.train.mixture import ManifestSource

    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    # A path from the working folder; the manifest lies in another one.
    assert main(words_for(server, "web", "out", "--threads", "3", "--shard", "4", "--workers", "2")) == 0
    told = capsys.readouterr()
    assert "4 ok" in told.out and "2 of 2 shards" in told.err
    dropped = {
        row["id"]: row["dropped"][0]
        for row in map(json.loads, (out / "dropped.jsonl").open(encoding="utf-8"))
    }
    assert dropped["deep/small.BMP"] == "side 64 < 200"
    assert dropped["broken.jpg"].startswith("error at picture:") and len(dropped) == 2
    manifest = tmp_path / "sets/set.jsonl"
    assert main(["assemble", "--images", "out", "--out", str(manifest)]) == 0
    assert "4 rows: image_caption, en" in capsys.readouterr().out
    source = ManifestSource("web", manifest)
    assert len(source) == 4
    for number in range(4):
        row = source.row(number, 0)
        assert row.image and row.video == web / f"{number}.{ENDINGS[number]}" and row.seconds is None
        assert (row.task, row.source, row.id) == ("image_caption", "web", f"web/{row.video.name}")
        (shown,) = source.frames(row, [0.0], 64)
        colour = cv2.imread(str(row.video)).reshape(-1, 3).mean(0)
        assert np.abs(shown.reshape(-1, 3).mean(0)[::-1] - colour).max() < 3
        told = [int(each) for each in row.messages[1].content.split("[")[1].split("]")[0].split(",")]
        assert np.abs(np.array(told) - colour).max() < 4, "each picture has its own caption"


def test_done_shards_are_kept_and_an_exchanged_picture_is_looked_at_again(web, server, tmp_path):
    out = tmp_path / "out"
    words = words_for(server, web, out, "-q", "--shard", "1")
    assert main(words) == 0
    asked = len(pictures_asked(server))
    stamps = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    assert asked == 4 and main(words) == 0 and len(pictures_asked(server)) == asked
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps
    write(web / "2.png", drawn(99, 300, 300))
    os.utime(web / "2.png", ns=(1, 1))
    assert main(words) == 0 and len(pictures_asked(server)) == asked + 1
    changed = [path for path, stamp in stamps.items() if path.stat().st_mtime_ns != stamp]
    assert len(changed) == 2, "its look and its caption"
    assert not any(b"secret-key" in path.read_bytes() for path in stamps)


def test_requests_that_failed_end_with_3_and_are_asked_again(web, tmp_path, capsys):
    broken = [True]

    def says(messages):
        if broken[0] and isinstance(messages[-1]["content"], list):
            picture, _ = asked_about(messages)
            if np.abs(picture.mean((0, 1)) - drawn(11, 240, 320).mean((0, 1))).max() < 3:
                return error(400, "no")
        return reply(messages)

    with FakeServer(reply=says, models=("eyes",), key="secret-key") as server:
        words = words_for(server, web, tmp_path / "out")
        assert main(words) == 3
        assert "3 ok, 1 failed" in capsys.readouterr().out
        assert main(words) == 3, "a failure is no answer, and the shard is not done"
        broken[0] = False
        before = len(pictures_asked(server))
        assert main(words) == 0 and "4 ok" in capsys.readouterr().out
        assert len(pictures_asked(server)) == before + 1, "what was answered is not asked again"


def test_a_list_with_text_of_the_web(server, tmp_path, capsys):
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number in range(2):
        write(tmp_path / f"files/{number}.jpg", drawn(30 + number))
    listed = [{"image": f"{n}.jpg", "caption": f"正品 {n} 包邮", "url": "http://x"} for n in range(2)]
    pq.write_table(pa.Table.from_pylist(listed), tmp_path / "part0.parquet")
    words = words_for(server, tmp_path / "part0.parquet", tmp_path / "out", "--root", str(tmp_path / "files"))
    assert main([*words, "--lang", "zh", "--name", "wukong", "--words", "40"]) == 0
    assert {row["captions"]["words"] for row in engine.read_all(tmp_path / "out/captions")} == {40}
    assert main(["assemble", "--images", str(tmp_path / "out"), "--out", str(tmp_path / "m.jsonl")]) == 0
    assert "2 rows: image_caption, zh" in capsys.readouterr().out
    read = read_manifest(tmp_path / "m.jsonl")
    raw = [json.loads(line) for line in (tmp_path / "m.jsonl").read_text(encoding="utf-8").splitlines()]
    for number, (row, each) in enumerate(zip(read, raw, strict=True)):
        assert row.source == "wukong" and row.image
        assert row.messages[1].content.startswith("一些颜色为")
        assert each["alt"] == f"正品 {number} 包邮" and each["lang"] == "zh"
        assert not any("正品" in message["content"] for message in each["messages"])


def test_rows_name_their_source_and_their_files(tmp_path):
    write(tmp_path / "a/1.png", drawn(0))
    (tmp_path / "l.csv").write_text("id,path,source\nx,a/1.png,coyo\ny,a/1.png,\n")
    found = rows(tmp_path / "l.csv", None)
    assert [(row["id"], row["source"]) for row in found] == [("x", "coyo"), ("y", "l")]
    assert found[0]["path"] == str(tmp_path / "a/1.png")


def test_what_a_benchmark_shows_does_not_stay(web, server, tmp_path, capsys):
    import av

    (tmp_path / "bench").mkdir()
    with av.open(str(tmp_path / "bench/theirs.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=8)
        stream.height, stream.width, stream.pix_fmt = 240, 320, "yuv420p"
        for seed in (50, 10, 51, 52):
            frame = av.VideoFrame.from_ndarray(drawn(seed)[:, :, ::-1].copy(), format="rgb24")
            for _ in range(8):
                container.mux(stream.encode(frame))
        container.mux(stream.encode())
    bench = tmp_path / "bench-out"
    bare = ["--text", "none", "--faces", "none", "--no-cut", "-q"]
    assert main(["annotate", str(tmp_path / "bench"), "--out", str(bench), *bare]) == 0
    assert main(words_for(server, web, tmp_path / "out", "--benchmark", str(bench))) == 0
    assert "3 ok" in capsys.readouterr().out
    dropped = {
        row["id"]: row["dropped"][0]
        for row in map(json.loads, (tmp_path / "out/dropped.jsonl").open(encoding="utf-8"))
    }
    assert dropped["0.jpg"].startswith("benchmark of theirs.mp4")


def test_the_report_shows_pictures(web, server, tmp_path):
    assert main(words_for(server, web, tmp_path / "out", "-q", "--bound", "side>=64")) == 0
    assert main(["report", str(tmp_path / "out"), "--preset", "images", "-q"]) == 0
    page = (tmp_path / "out/report.html").read_text()
    assert "4 of 6" in page and page.count("<img") == 5 and "at least 200: 1 of 5 are not" in page


@pytest.mark.parametrize(
    ("more", "code", "told"),
    [
        (["--bound", "side>=1000"], 6, "no picture stays"),
        (["--words", "-3"], 1, "at most -3 words"),
        (["--captioner", "nobody"], 1, "nobody"),
        (["--shard", "0"], 1, "give 1 or more"),
        (["--workers", "0"], 1, "0 workers"),
    ],
)
def test_mistakes_are_one_line(more, code, told, web, server, tmp_path, capsys):
    assert main(words_for(server, web, tmp_path / "out", *more)) == code
    assert told in capsys.readouterr().err


def test_a_folder_without_pictures(server, tmp_path, capsys):
    (tmp_path / "void").mkdir()
    assert main(words_for(server, tmp_path / "void", tmp_path / "out")) == 6
    assert "no picture in it (files ending in .bmp, .jpeg" in capsys.readouterr().err
    (tmp_path / "l.jsonl").write_text('{"url": "http://x"}\n')
    assert main(words_for(server, tmp_path / "l.jsonl", tmp_path / "out")) == 6
    assert "row 1: no picture (a path under the key 'image' or 'path')" in capsys.readouterr().err


@pytest.mark.slow
def test_a_model_learns_from_captioned_pictures(web, server, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    from kangaroo_eval.cli.train import main as train
    from kangaroo_eval.train import grow, logs
    from kangaroo_eval.train.recipes import SMOKE

    assert main(words_for(server, web, tmp_path / "out", "-q")) == 0
    manifest = tmp_path / "m.jsonl"
    assert main(["assemble", "--images", str(tmp_path / "out"), "--out", str(manifest), "-q"]) == 0
    grow.begin(SMOKE, {}).save(tmp_path / "source")
    run = tmp_path / "run"
    words = ["image", "--recipe", "smoke", "--from", str(tmp_path / "source"), "--out", str(run)]
    words += ["--data", str(manifest), "--steps", "8", "--workers", "0", "--log-every", "1"]
    assert train(words) == 0
    lines = logs.read(run / "metrics.jsonl")
    assert lines[-1]["loss"] < lines[0]["loss"]
