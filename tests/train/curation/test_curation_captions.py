"""Captions by models behind a real (local) server: which frames, which summariser, and what became of each request."""

from __future__ import annotations

import json

import pytest
from conftest import write_video
from fake_server import EMPTY, FakeServer, Step, error

from kangaroo_eval.cli.curate import main
from kangaroo_eval.errors import UserError
from kangaroo_eval.train.curation import captions
from kangaroo_eval.train.curation.captions import Caption, EndpointWriter, Server, caption_of, failures
from kangaroo_eval.train.curation.stage import config_hash, process

pytest.importorskip("cv2")


@pytest.fixture(autouse=True)
def no_server_left():
    """Each test has servers of its own."""
    yield
    for each in captions._open.values():
        each.close()
    captions._open.clear()


def reply(messages):
    content = messages[-1]["content"]
    if isinstance(content, list):
        assert content[0]["image_url"]["url"].startswith("data:image/jpeg;base64,")
        return "A grey square."
    return "A video: " + content.splitlines()[-3] if "\n" in content else "OK"


@pytest.fixture
def server():
    with FakeServer(reply=reply, models=("eyes", "one", "two"), key="secret-key") as made:
        yield made


def stage(server, **changes):
    def known(model):
        return Server(model=model, base_url=server.base_url, key="secret-key")

    settings = {
        "captioner": known("eyes"),
        "summarisers": (known("one"), known("two")),
        "side": 64,
        **changes,
    }
    return Caption(**settings)


@pytest.fixture
def rows(tmp_path):
    paths = [write_video(tmp_path / f"v{number}.mp4") for number in range(6)]
    return [{"id": path.stem, "path": str(path)} for path in paths]


def test_five_frames_and_then_the_video(server, rows):
    (row,) = process([stage(server)], rows[:1])
    found = row["captions"]
    assert [each["text"] for each in found["frames"]] == ["A grey square."] * 5
    times = [each["time"] for each in found["frames"]]
    assert all(i * 0.6 - 0.13 <= time < (i + 1) * 0.6 for i, time in enumerate(times)) and times == sorted(
        times
    )
    assert found["video"]["outcome"] == "ok" and caption_of(row) == found["video"]["text"]
    assert found["prompts"] == {"frame": "frame-en-1", "video": "video-en-1"}
    assert json.loads(json.dumps(row)) == row


def test_frames_and_summarisers_are_drawn_by_clip_and_seed(server, rows):
    made = {row["id"]: row["captions"] for row in process([stage(server)], rows)}
    again = {row["id"]: row["captions"] for row in process([stage(server)], rows[::-1])}
    assert made == again
    other = {row["id"]: row["captions"] for row in process([stage(server, seed=1)], rows)}
    times = [
        [[each["time"] for each in found["frames"]] for found in runs.values()] for runs in (made, other)
    ]
    assert times[0] != times[1] and len({tuple(each) for each in times[0]}) > 1
    assert {seen.body["model"] for seen in server.seen if "messages" in (seen.body or {})} == {
        "eyes",
        "one",
        "two",
    }


def test_a_clip_of_two_frames_has_two(server):
    assert stage(server).places("x", 2) == [0, 1] and len(stage(server).places("x", 7)) == 5
    drawn = [stage(server).places(f"x{i}", 100) for i in range(200)]
    assert {place // 20 for places in drawn for place in places} == set(range(5))
    assert len({places[0] for places in drawn}) == 20, "every frame of a part may be drawn"


@pytest.mark.parametrize(
    ("step", "outcome"),
    [
        (EMPTY, "empty"),
        (Step(text="I'm sorry, I cannot help with that."), "refused"),
        (Step(text="A grey squ", finish_reason="length"), "truncated"),
        (error(400, "no"), "failed"),
    ],
)
def test_what_became_of_each_request_is_told_and_no_failure_is_a_caption(step, outcome, rows):
    def says(messages):
        return step if isinstance(messages[-1]["content"], list) else "OK"

    with FakeServer(reply=says, models=("eyes", "one", "two"), key="secret-key") as server:
        (row,) = process([stage(server)], rows[:1])
    found = row["captions"]
    assert {each["outcome"] for each in found["frames"]} == {outcome}
    # Of a clip without captions only a request that failed is asked again.
    assert found["video"]["outcome"] == outcome and caption_of(row) is None
    assert (failures(row) > 0) is (outcome == "failed")


def test_requests_that_failed_are_asked_again(rows, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    monkeypatch.setenv("KANGAROO_EVAL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "kept.jsonl").write_text(json.dumps(rows[0]) + "\n")
    broken = [True]

    def says(messages):
        return (
            error(400, "no") if broken[0] and isinstance(messages[-1]["content"], list) else reply(messages)
        )

    with FakeServer(reply=says, models=("eyes", "one"), key="secret-key") as server:
        words = [
            "caption",
            str(tmp_path),
            "--captioner",
            "eyes",
            "--summariser",
            "one",
            "--base-url",
            server.base_url,
        ]
        assert main(words) == 3 and "1 failed" in capsys.readouterr().out
        broken[0] = False
        assert main(words) == 0 and "1 ok" in capsys.readouterr().out


def test_a_broken_video_is_a_row_with_an_error(server, tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video")
    (row,) = process([stage(server)], [{"id": "x", "path": str(tmp_path / "x.mp4")}])
    assert row["error"]["stage"] == "caption" and caption_of(row) is None


def test_the_key_is_no_part_of_a_result(server, rows):
    one = stage(server)
    other = stage(server, captioner=captions.with_key(one.captioner, "another"), cache="/somewhere")
    assert config_hash([one]) == config_hash([other]) != config_hash([stage(server, seed=5)])
    assert "secret-key" not in repr(one)


def test_a_writer_answers_in_order(server):
    written = EndpointWriter(Server(model="one", base_url=server.base_url, key="secret-key")).write(
        ["a", "b"]
    )
    assert [(each.text, each.outcome) for each in written] == [("OK", "ok")] * 2
    with pytest.raises(UserError, match="one summariser or more"):
        Caption(captioner=Server(model="eyes"), summarisers=())


def test_the_command_captions_what_stays(server, rows, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    monkeypatch.setenv("KANGAROO_EVAL_CACHE", str(tmp_path / "cache"))
    (tmp_path / "kept.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ["caption", str(tmp_path), "--captioner", "eyes", "--summariser", "one"]
    words += ["--summariser", f"two@{server.base_url}", "--base-url", server.base_url]
    assert main(words) == 0
    assert "6 ok" in capsys.readouterr().out
    asked = len(server.seen)
    assert main(words) == 0 and len(server.seen) == asked, "done shards are not asked about again"
    assert not any(b"secret-key" in path.read_bytes() for path in (tmp_path / "captions").iterdir())
    assert main([*words[:2], "--captioner", "nobody", *words[4:]]) == 1
    assert "nobody" in capsys.readouterr().err
    assert main(["caption", str(tmp_path / "cache"), *words[2:]]) == 6
