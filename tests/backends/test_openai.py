"""`openai:MODEL` against a real server on this machine: what is sent, in which order answers come, and what never
becomes one."""

from __future__ import annotations

import base64
import io
import json
import logging
import random
import re
import signal
import subprocess
import sys
import threading
import time
import weakref
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest
from conftest import videomme_rows, write_video, write_videomme
from fake_server import CUT, EMPTY, HANG, NOT_JSON, NULL, RESET, FakeServer, Step, error

from kangaroo_eval import endpoint, evaluate
from kangaroo_eval.backends import remote
from kangaroo_eval.backends.prefill import without_prefill
from kangaroo_eval.backends.remote_options import MODEL_ARGS, ChatOptions
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.protocols import AspectKeeping, ChoiceRanker, Continuing, Described
from kangaroo_eval.registry import get_task, load_model
from kangaroo_eval.scores import rule_scores
from kangaroo_eval.types import Cue, Failure, Frames, Request, Response, Sample, Video

Image = pytest.importorskip("PIL.Image")
pytest.importorskip("openai")

KEY = "sk-fake-0123456789abcdef"


@pytest.fixture(autouse=True)
def quick_and_alone(monkeypatch):
    """Short waits between tries, and no environment of the developer's."""
    monkeypatch.setattr(endpoint, "FIRST_BACKOFF", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


def fake(reply=lambda messages: "B", **options) -> FakeServer:
    return FakeServer(reply, **{"models": ("vlm",), **options})


def load(server, seed=0, **model_args):
    """The model, tried out; the server then forgets that it was."""
    url = server if isinstance(server, str) else server.base_url
    model = load_model("openai:vlm", device=None, dtype=None, seed=seed, base_url=url, **model_args)
    if not isinstance(server, str):
        server.seen.clear()
    return closing(model)


def picture_frames(count=4, height=40, width=64, seed=0) -> Frames:
    """Frames of soft colours, each of its own, as videos have them."""
    draw = np.random.default_rng(seed)
    coarse = draw.integers(0, 256, (count, 5, 8, 3)).astype(np.uint8)
    pixels = np.stack([np.asarray(Image.fromarray(each).resize((width, height))) for each in coarse])
    return Frames(pixels, tuple(0.5 + index for index in range(count)))


def asked(name="1", frames=None, prompt="What?", **options) -> Request:
    frames = picture_frames() if frames is None else frames
    return Request(name, Video("v.mp4"), prompt, frames, **{"max_new_tokens": 16, **options})


def body_of(server, number=-1):
    return server.chats[number].body


def pictures_of(body) -> list[np.ndarray]:
    found = []
    for part in body["messages"][-1]["content"]:
        if part["type"] == "image_url":
            head, _, data = part["image_url"]["url"].partition(";base64,")
            assert head in ("data:image/jpeg", "data:image/png")
            found.append(np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True)))))
    return found


def question_of(messages) -> str:
    return messages[-1]["content"][-1]["text"]


# What is sent


def test_the_frames_go_out_before_the_question_in_order_and_in_our_size():
    frames = picture_frames(5)
    with fake() as server, load(server, seed=7) as model:
        (answer,) = model.respond([asked(frames=frames, system="Watch.", prompt="Who? 你好")])
    body = body_of(server)
    assert body["messages"][0] == {"role": "system", "content": "Watch."}
    content = body["messages"][1]["content"]
    assert [part["type"] for part in content] == ["image_url"] * 5 + ["text"]
    assert content[-1]["text"] == "Who? 你好"
    sent = pictures_of(body)
    assert [each.shape for each in sent] == [(40, 64, 3)] * 5
    for ours, theirs in zip(frames.pixels, sent, strict=True):
        assert np.abs(ours.astype(int) - theirs).mean() < 3
        assert np.abs(ours.astype(int) - theirs).max() < 40
    assert (body["temperature"], body["seed"], body["max_tokens"], body["model"]) == (0, 7, 16, "vlm")
    assert set(body) == {"temperature", "seed", "max_tokens", "model", "messages"}
    assert answer == Response("1", "B", frames.times, answer.prompt_tokens, 1, answer.seconds)
    assert answer.prompt_tokens > 0 and answer.seconds > 0


def test_png_is_exact_and_low_quality_is_smaller():
    frames = picture_frames(2, 64, 64)
    sizes = {}
    for options in ({"image": "png"}, {"quality": "90"}, {"quality": "10"}):
        with fake() as server, load(server, **options) as model:
            list(model.respond([asked(frames=frames)]))
        if "image" in options:
            assert all(map(np.array_equal, frames.pixels, pictures_of(body_of(server))))
        else:
            sizes[options["quality"]] = len(json.dumps(body_of(server)))
    assert sizes["10"] < sizes["90"]


def test_questions_about_a_video_begin_alike_and_it_is_encoded_once(monkeypatch):
    made = []
    encode = remote.data_urls
    monkeypatch.setattr(
        remote, "data_urls", lambda pixels, options: made.append(1) or encode(pixels, options)
    )
    one, two = picture_frames(seed=1), picture_frames(seed=2)
    with fake() as server, load(server, concurrency=1) as model:
        made.clear()
        requests = [
            asked("1", one, "First?", siblings=2),
            asked("2", one, "Second?", siblings=1),
            asked("3", one, "Third?"),
            asked("4", two, "First?"),
        ]
        list(model.respond(requests))
        bodies = [json.dumps(seen.body) for seen in server.chats]
    assert len(made) == 2
    ends = [body.index('"First?"' if number in (0, 3) else "?") for number, body in enumerate(bodies)]
    begin = bodies[0][: ends[0]]
    assert bodies[1].startswith(begin) and bodies[2].startswith(begin)
    assert not bodies[3].startswith(begin)


def test_times_detail_and_subtitles_stand_where_they_belong():
    cues = (Cue(0.2, 1.2, "one says a"), Cue(1.9, 3.2, "two says b"))
    with fake() as server, load(server, times=1, detail="low") as model:
        list(model.respond([asked(timed_text=cues)]))
    content = body_of(server)["messages"][0]["content"]
    shown = [part.get("text") or part["image_url"]["detail"] for part in content]
    assert shown == [
        *("Frame at 0.5 s:", "low", "one says a", "Frame at 1.5 s:", "low", "Frame at 2.5 s:", "low"),
        *("two says b", "Frame at 3.5 s:", "low", "What?"),
    ]


def test_without_frames_only_text_is_sent_and_no_frame_counts_as_seen():
    nothing = Frames(np.zeros((0, 0, 0, 3), np.uint8), ())
    with fake() as server, load(server) as model:
        (answer,) = model.respond([asked(frames=nothing, timed_text=(Cue(0, 1, "a line"),))])
    texts = [{"type": "text", "text": "a line"}, {"type": "text", "text": "What?"}]
    assert body_of(server)["messages"] == [{"role": "user", "content": texts}]
    assert answer.frame_times == ()


def test_parameters_can_be_renamed_raised_dropped_and_added(tmp_path):
    more = tmp_path / "more.json"
    more.write_text('{"top_k": 1, "chat_template_kwargs": {"enable_thinking": false}}')
    with (
        fake() as server,
        load(
            server,
            token_limit="max_completion_tokens",
            thinking_tokens=100,
            drop="temperature+seed",
            body=more,
        ) as model,
    ):
        list(model.respond([asked()]))
        assert model.notes == ("not greedy: the server chooses the temperature",)
    rest = {name: value for name, value in body_of(server).items() if name not in ("model", "messages")}
    assert rest == {
        "max_completion_tokens": 116,
        "top_k": 1,
        "chat_template_kwargs": {"enable_thinking": False},
    }
    with fake() as server, load(server, drop="max_tokens") as model:
        list(model.respond([asked()]))
    assert set(body_of(server)) == {"temperature", "seed", "model", "messages"}


BEGINNING = "Best Option: ("
THOUGHTS = "<think>Is it (A)?\nBest Option: (A) is wrong.</think>"


@pytest.mark.parametrize(
    ("prefill", "text", "left"),
    [
        ("Best option:(", "Best option:(A) x", "A) x"),
        ("Best option:(", "Best option: (A)", "A)"),
        ("Best option:(", "(A) x", "A) x"),
        ("Best option:(", "**(A)** x", "A)** x"),
        ("Answer A", "Answer A dog", " dog"),
        (BEGINNING, "best option:(B)", "B)"),
        (BEGINNING, "**Best option:(B)**", "B)**"),
        (BEGINNING, "**Best Option:** (B) the cat", "B) the cat"),
        (BEGINNING, '"Best Option: (B)"', 'B)"'),
        (BEGINNING, "Best Option (B) the cat", "B) the cat"),
        (BEGINNING, "Answer: Best option:(D)", "D)"),
        (BEGINNING, "**Answer:** Best option:(D)", "D)"),
        (BEGINNING, "Sure!\n\nBest option: (D) x", "D) x"),
        (BEGINNING, "Begin your answer with: Best Option: (\nBest Option: (C)", "C)"),
        (BEGINNING, THOUGHTS + "\n\nBest Option: (B) x", "B) x"),
        (BEGINNING, "(A)?\n</think>Best Option: (B)", "B)"),
        (BEGINNING, THOUGHTS + "(B)", "B)"),
        (BEGINNING, "Best Option: (B)\nI do not say: Best Option: (C)", "B)\nI do not say: Best Option: (C)"),
        (BEGINNING, "Best Option: the dog", "the dog"),
        (BEGINNING, "Best Option: A dog", "A dog"),
        (BEGINNING, "Best Option: B) x", "B) x"),
        (BEGINNING, "**Best Option:** B) x", "B) x"),
    ],
)
def test_readers_get_what_follows_the_prefill(prefill, text, left):
    assert without_prefill(text, prefill) == (left, True, False)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("Best Option: B", "B)"),
        ("best option:B\n", "B)\n"),
        ("**Best Option: B**", "B)"),
        ("Best Option: **B**", "B)"),
        ("Best Option: B.", "B)"),
        ("Best Option: B. The cat", "B) The cat"),
        ("Best Option: B\nThe cat.", "B)\nThe cat."),
        (THOUGHTS + "Best Option: B", "B)"),
        ("Answer: Best Option: B", "B)"),
    ],
)
def test_a_letter_gets_the_bracket_that_the_reply_did_not_open(text, left):
    assert without_prefill(text, BEGINNING) == (left, True, True)


@pytest.mark.parametrize(
    ("prefill", "text"),
    [
        ("Best option:(", "A) x"),
        ("Best option:(", "B"),
        ("Best option:(", ""),
        ("Answer A", "A dog"),
        ("Answer A", "Answer Apple"),
        (BEGINNING, "<think>x</think>B"),
        (BEGINNING, "B.\n"),
        (BEGINNING, "Answer: (B)"),
        (BEGINNING, "The best option is B."),
        (BEGINNING, "It shows (A) and not Best Option: (B)"),
        (BEGINNING, "<think>\nBest Option: (A)"),
        (BEGINNING, "<think>\nBest Option: (A)? No</think> It is C"),
        ("**", "**B**"),
    ],
)
def test_a_reply_without_the_prefill_is_not_changed(prefill, text):
    assert without_prefill(text, prefill) == (text, False, False)


@pytest.mark.parametrize("name", ["mlvu", "mvbench"])
@pytest.mark.parametrize("echo", ["{}", "**{}**", "Answer: {}", "<think>(A)?</think>{}", "(B)"])
@pytest.mark.parametrize("given", ["as given", "upper", "no bracket"])
def test_official_rules_read_a_reply_that_repeats_the_prefill_in_its_own_way(name, echo, given):
    task = get_task(name)
    beginning = task.prefill.upper() if given == "upper" else task.prefill
    said = beginning.rstrip(" (") + " B" if given == "no bracket" else beginning + "B) y"
    text = without_prefill(echo.format(said), task.prefill).text
    sample = Sample("1", Video("v.mp4"), "What?", ("x", "y", "z"), "B")
    careful, official = rule_scores(task, sample, {"text": text})
    assert (careful.value, official.value) == (1.0, 1.0), text


def test_a_prefill_is_asked_for_in_words_or_set_and_the_record_says_which(caplog):
    request = asked(prefill="Best option:(")
    with fake(lambda messages: "Best option:(C) x") as server, load(server) as model:
        first, second = in_order(model.respond([request, replace(request, id="2")]))
        assert model.settings["prefill"] == "asked for in words"
        assert model.settings["prefill_echoes"] == {"cut": 2, "brackets_closed": 0}
        server.reply = lambda messages: "Best option: C"
        (third,) = model.respond([request])
        assert model.settings["prefill_echoes"] == {"cut": 3, "brackets_closed": 1}
    assert first.text == second.text == "C) x" and third.text == "C)"
    assert caplog.text.count("asked for in words") == 1, "said once"
    assert [message["role"] for message in body_of(server)["messages"]] == ["user"]
    assert question_of(body_of(server)["messages"]) == "What?\nBegin your answer with: Best option:("
    with fake(lambda messages: "C) x") as server, load(server, prefill="continue") as model:
        (answer,) = model.respond([request])
        assert model.settings["prefill"] == "set"
        list(model.respond([asked()]))
    assert answer.text == "C) x"
    body, plain = body_of(server, 0), body_of(server, 1)
    assert body["messages"][-1] == {"role": "assistant", "content": "Best option:("}
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert "continue_final_message" not in plain and plain["messages"][-1]["role"] == "user"


# As they are answered, with few videos held


def test_every_answer_has_the_id_of_its_request_whatever_the_server_does():
    delays = random.Random(5)

    def reply(messages):
        return Step(question_of(messages), delay=delays.uniform(0, 0.05))

    with fake(reply) as server, load(server, concurrency=6) as model:
        answers = list(model.respond(asked(str(n), prompt=f"Q{n}") for n in range(40)))
    assert sorted((int(each.id), each.text) for each in answers) == [(n, f"Q{n}") for n in range(40)]
    assert 2 <= server.most_at_once <= 6


def test_answers_come_as_they_are_made_and_a_slow_one_holds_up_none():
    """Each of many videos: also the memory that a slow answer holds blocks nothing."""
    let_go = threading.Event()
    order = []

    def reply(messages):
        if question_of(messages) == "Q1":
            assert let_go.wait(30)
        return Step(question_of(messages))

    with fake(reply) as server, load(server, concurrency=3) as model:
        requests = (asked(str(n), picture_frames(seed=n), prompt=f"Q{n}") for n in range(20))
        for answer in model.respond(requests):
            order.append(answer.id)
            assert answer.text == f"Q{answer.id}"
            if len(order) == 19:
                let_go.set()
    assert order[-1] == "1" and sorted(map(int, order)) == list(range(20))


@pytest.mark.parametrize("error_type", [KeyboardInterrupt, LookupError])
def test_what_was_answered_while_the_next_video_was_decoded_is_not_lost(error_type):
    def requests():
        for number in range(3):
            yield asked(str(number))
        wait_for(lambda: model.settings["usage"]["completion_tokens"] >= before + 3)
        time.sleep(0.1)
        raise error_type

    with fake() as server, load(server, concurrency=4) as model:
        before = model.settings["usage"]["completion_tokens"]
        got = []
        with pytest.raises(error_type):
            for answer in model.respond(requests()):
                got.append(answer.id)
    assert sorted(got) == ["0", "1", "2"]


def test_no_more_videos_are_read_than_can_be_asked_about_and_none_is_kept():
    held: list[weakref.ref] = []
    most = []

    def requests():
        for number in range(30):
            pixels = np.full((2, 32, 32, 3), number, np.uint8)
            held.append(weakref.ref(pixels))
            most.append(sum(each() is not None for each in held))
            yield asked(str(number), Frames(pixels, (0.0, 1.0)))
            del pixels

    with fake(lambda messages: Step("B", delay=0.02)) as server, load(server, concurrency=3) as model:
        taken = 0
        for taken, _ in enumerate(model.respond(requests()), 1):
            assert len(held) - taken <= 4
        assert taken == 30
        assert max(most) == 1, "pixels are dropped once they are encoded"


def test_many_questions_about_one_video_are_in_flight_together():
    frames = picture_frames()
    taken = []

    def requests():
        for number in range(40):
            taken.append(number)
            yield asked(str(number), frames, siblings=39 - number)

    with fake(lambda messages: Step("B", delay=0.02)) as server, load(server, concurrency=4) as model:
        for done, _ in enumerate(model.respond(requests()), 1):
            assert len(taken) - done <= 8
    assert server.most_at_once == 4


def test_leaving_early_cancels_what_is_in_flight_and_closing_ends_the_thread():
    before = set(threading.enumerate())

    def reply(messages):
        return Step("B") if question_of(messages) == "Q0" else HANG

    with fake() as server:
        with load(server, concurrency=4) as model:
            server.reply = reply
            stream = model.respond(asked(str(n), prompt=f"Q{n}") for n in range(20))
            assert next(stream).text == "B"
            stream.close()
            wait_for(lambda: all(seen.left.is_set() for seen in server.chats[1:]))
        assert not any(thread.name == "endpoint" for thread in set(threading.enumerate()) - before)


def in_order(outcomes):
    return sorted(outcomes, key=lambda outcome: int(outcome.id))


def wait_for(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


# What fails, and whom it costs


@pytest.mark.parametrize(
    "step",
    [error(429, retry_after="0.1"), error(500), error(503), NOT_JSON, NULL, RESET, HANG],
    ids=["429", "500", "503", "garbage", "null", "closed", "hang"],
)
def test_a_passing_fault_costs_nobody_anything(step):
    with fake() as server, load(server, timeout=0.3 if step is HANG else 30, concurrency=2) as model:
        server.script += [step, step]
        answers = list(model.respond(asked(str(n)) for n in range(4)))
        assert model.settings["usage"]["retries"] == 2
    assert [each.text for each in answers] == ["B"] * 4


@pytest.mark.parametrize(
    ("step", "kind", "words"),
    [
        (error(500, "boom"), "http_500", "HTTP 500: boom"),
        (error(400, "maximum context length is 8192"), "http_400", "8192: fewer --frames, or smaller"),
        (error(413, "too large"), "http_413", "fewer --frames"),
        (NOT_JSON, "malformed", "not JSON"),
        (RESET, "connection", "reset"),
        (HANG, "timeout", "no whole reply"),
        (Step(text="", finish_reason="length"), "no_text", "--model-args thinking_tokens"),
        (Step(text=None, finish_reason="content_filter"), "no_text", "content_filter"),
        (Step(text="I c", finish_reason="content_filter"), "no_text", "filter cut the reply"),
        (Step(text="\n", finish_reason="length"), "no_text", "no text"),
        (Step(text="<think>It is B, for", finish_reason="length"), "no_text", "args thinking_tokens"),
        (Step(text="<Think>x</Think>\n", finish_reason="length"), "no_text", "args thinking_tokens"),
        (Step(text="<think>x</think>\n<think>y", finish_reason="length"), "no_text", "in its thoughts"),
        (error(403, "moderation"), "http_403", "HTTP 403: moderation"),
        (error(404, "image file not found"), "http_404", "HTTP 404: image file not found"),
    ],
)
def test_a_fault_that_stays_fails_its_own_request_only(step, kind, words):
    def reply(messages):
        return step if question_of(messages) == "Q2" else "B"

    with fake(reply) as server, load(server, timeout=0.5 if step is HANG else 30, retries=1) as model:
        outcomes = in_order(model.respond(asked(str(n), prompt=f"Q{n}") for n in range(5)))
    assert [type(each) for each in outcomes] == [Response, Response, Failure, Response, Response]
    failed = outcomes[2]
    assert (failed.id, failed.kind) == ("2", kind) and words in failed.message


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (EMPTY, ""),
        (CUT, "Score: 4, becau"),
        (Step("<think>x</think>A"), "<think>x</think>A"),
        (Step("<think>x</think>A, beca", finish_reason="length"), "<think>x</think>A, beca"),
        (Step("<think>the model stopped here"), "<think>the model stopped here"),
    ],
)
def test_an_empty_answer_that_the_model_ended_a_cut_one_and_thoughts_are_kept_as_they_are(step, text):
    with fake(lambda messages: step) as server, load(server) as model:
        (answer,) = model.respond([asked()])
    assert isinstance(answer, Response) and answer.text == text


def test_a_key_that_expires_ends_the_run_keeps_what_was_answered_and_blames_no_request():
    with fake(key=KEY) as server:
        endpoint_key = pytest.MonkeyPatch()
        endpoint_key.setenv("OPENAI_API_KEY", KEY)
        with load(server, concurrency=2) as model:
            endpoint_key.undo()
            got = []
            with pytest.raises(
                RunFailed, match=r"refuses the API key.*set the right one in OPENAI"
            ) as caught:
                for outcome in model.respond(asked(str(n)) for n in range(50)):
                    got.append(outcome)
                    server.key = "another" if len(got) == 3 else server.key
            assert 3 <= len(got) <= 8 and all(isinstance(each, Response) for each in got)
            assert len(server.chats) <= len(got) + 4
            sent = len(server.chats)
            with pytest.raises(RunFailed):
                next(model.respond([asked()]))
            assert len(server.chats) == sent, "nothing more is sent"
    assert caught.value.exit_code == 2 and KEY not in str(caught.value)


@pytest.mark.parametrize("count", [1, 3])
def test_a_key_that_expires_with_the_last_request_ends_the_run_too(count):
    with fake() as server, load(server, concurrency=1) as model:
        server.script += [*[Step("B")] * (count - 1), error(401)]
        stream = model.respond(asked(str(n)) for n in range(count))
        assert [next(stream).text for _ in range(count - 1)] == ["B"] * (count - 1)
        with pytest.raises(RunFailed, match="API key"):
            next(stream)


def test_a_video_that_the_server_will_not_look_at_costs_its_questions_and_many_such_end_the_run():
    """Its questions are asked one after the other, as in a run."""

    def reply(messages):
        return error(403, "moderation") if question_of(messages) == "bad" else "B"

    def about(name, prompt):
        frames = picture_frames()
        return [asked(f"{name}-{n}", frames, prompt, siblings=4 - n) for n in range(5)]

    with fake(reply) as server, load(server, concurrency=1) as model:
        kinds = [type(each) for each in model.respond([*about("1", "bad"), *about("2", "bad"), asked()])]
        assert kinds == [Failure] * 10 + [Response] and len(server.chats) == 11
        got = []
        with pytest.raises(
            RunFailed, match=r"answered before and now refuses one request after another .HTTP 403"
        ):
            for each in model.respond(request for name in "3456" for request in about(name, "bad")):
                got.append(each)
        # The eleventh tells; of the two in flight then, one that was refused just before may count as unasked with it.
        assert len(got) in (9, 10) and len(server.chats) <= 11 + 12


# A whole run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four videos with three questions each; a different question text for each."""
    rows = [{**row, "question": f"Question {row['question_id']}?"} for row in videomme_rows(4)]
    root = write_videomme(tmp_path_factory.mktemp("data"), rows, videos=False)
    for row in rows[::3]:
        write_video(root / f"videomme/data/{row['videoID']}.mp4", size=96)
    return root


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_one_failing_request_of_twelve_is_one_failure_and_the_next_run_asks_only_it(made, tmp_path):
    broken = True

    def reply(messages):
        if "Question 002-2?" in question_of(messages) and broken:
            return error(400, "no")
        return Step("C", delay=random.uniform(0, 0.03))

    def run():
        options = {"frames": 4, "data": "real", "data_root": made, "workers": 1, "min_coverage": 0.5}
        return evaluate("videomme", model, output=tmp_path / "run", **options)

    with fake(reply) as server, load(server, concurrency=4) as model:
        results = run()
        assert results["videomme"]["statuses"] == {"ok": 11, "request_failed": 1}
        answers = lines(tmp_path / "run/videomme.answers.jsonl")
        assert len(answers) == len(server.chats) == 12
        (failed,) = [line for line in answers if line["status"] != "ok"]
        assert (failed["id"], failed["text"]) == ("002-2", None)
        assert failed["error"] == {"type": "http_400", "message": "HTTP 400: no"}
        for seen in server.chats:
            assert [each.shape for each in pictures_of(seen.body)] == [(96, 96, 3)] * 4
        broken = False
        server.seen.clear()
        assert run()["videomme"]["statuses"] == {"ok": 12}
        assert len(server.chats) == 1
    record = json.loads((tmp_path / "run/run.json").read_text())
    settings = record["model"]["settings"]
    assert settings["usage"]["requests"] == 15 and settings["served_by"] == ["vlm-2024-01-01"]
    assert record["model"]["hash"] == model.model_hash and settings["weights"].startswith("unknown")


def test_the_journal_has_each_answer_as_soon_as_it_is_made(made, tmp_path):
    """The first question is slow; all that are answered meanwhile are on the disk before it is."""
    path = tmp_path / "run/videomme.answers.jsonl"
    arrived, completed = [], []

    def reply(messages):
        name = re.search(r"Question ([-0-9]+)\?", question_of(messages))[1]
        arrived.append(name)
        if name == arrived[0]:
            wait_for(lambda: path.exists() and len(lines(path)) == 11, 60)
        completed.append(name)
        return name

    with fake() as server, load(server, concurrency=2) as model:
        server.reply = reply
        options = {"frames": 4, "data": "real", "data_root": made, "workers": 1, "output": tmp_path / "run"}
        evaluate("videomme", model, **options)
    answers = lines(path)
    assert [line["id"] for line in answers] == completed and sorted(completed) == sorted(arrived)
    assert all(line["text"] == line["id"] for line in answers)
    assert completed[-1] == arrived[0]


def test_a_run_that_another_served_model_goes_on_with_says_so_and_counts_both_calls(made, tmp_path, caplog):
    """Each call has a model of its own, as two processes have."""

    def call(limit):
        with load(server, price="1:2") as model:
            options = {"frames": 4, "data": "real", "data_root": made, "workers": 1, "limit": limit}
            evaluate("videomme", model, output=tmp_path / "run", **options)
        record = json.loads((tmp_path / "run/run.json").read_text())["model"]
        return record["notes"], record["settings"]["served_by"], record["settings"]["usage"]

    name = "m-1"
    with fake(lambda messages: Step("C", served_by=name)) as server:
        notes, served_by, used = call(2)
        assert (notes, served_by, used["requests"]) == ([], ["m-1"], 4)
        name = "m-2"
        with caplog.at_level(logging.WARNING):
            notes, served_by, used = call(6)
    assert (notes, served_by) == (["answers of 2 models are mixed: m-1, m-2"], ["m-1", "m-2"])
    assert "came from m-1 and now come from m-2" in caplog.text
    # Each call tried the server out first, with two requests.
    assert (used["requests"], used["completion_tokens"]) == (4 + 6, 10)
    assert used["cost"] == pytest.approx((used["prompt_tokens"] + 2 * 10) / 1e6)


CLI = "import sys; from kangaroo_eval.cli import main; sys.exit(main(sys.argv[1:]))"


def command(server, made, run, **model_args):
    given = ",".join(f"{name}={value}" for name, value in model_args.items())
    return [
        *(sys.executable, "-c", CLI, "run", "--tasks", "videomme", "--model", "openai:vlm", "--frames", "4"),
        *("--model-args", f"base_url={server.base_url}" + (f",{given}" if given else "")),
        *("--data", "real", "--data-root", str(made), "--workers", "1", "--output", str(run)),
    ]


def test_the_key_stands_nowhere_and_a_wrong_one_stops_before_anything_is_decoded(made, tmp_path, monkeypatch):
    def everything(done):
        texts = [file.read_text() for file in (tmp_path / "run").rglob("*") if file.is_file()]
        return "".join([done.stdout, done.stderr, *texts])

    with fake(key=KEY) as server:
        monkeypatch.setenv("MY_KEY", KEY)
        words = command(server, made, tmp_path / "run", key_env="MY_KEY")
        done = subprocess.run([*words, "-v"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert {seen.headers["authorization"] for seen in server.seen} == {f"Bearer {KEY}"}
        assert "MY_KEY" in everything(done) and KEY not in everything(done)
        server.seen.clear()
        monkeypatch.setenv("MY_KEY", "sk-expired-0123456789")
        words = command(server, made, tmp_path / "never", key_env="MY_KEY")
        done = subprocess.run([*words, "-v"], capture_output=True, text=True)
        assert done.returncode == 1
        assert "refuses the API key" in done.stderr and "set the right one in MY_KEY" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1 and "expired-0123" not in done.stderr + done.stdout
        assert len(server.seen) == 1
        assert not list((tmp_path / "never").rglob("*.answers.jsonl"))


def test_control_c_ends_the_run_at_once_and_keeps_what_was_answered(made, tmp_path):
    def reply(messages):
        return HANG if any(f"Question 00{n}" in question_of(messages) for n in (2, 3, 4)) else "C"

    with fake(reply) as server:
        process = subprocess.Popen(
            command(server, made, tmp_path / "run", concurrency=4), stderr=subprocess.PIPE, text=True
        )
        wait_for(lambda: len(server.chats) >= 2 + 3 + 4, 60)  # tried out, answered, hanging
        answers = tmp_path / "run/videomme.answers.jsonl"
        wait_for(lambda: answers.exists() and len(lines(answers)) == 3)
        began = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        # Far below what the server would make it wait; a busy machine takes its time to end a process.
        assert process.returncode == 130 and time.monotonic() - began < 30
        assert "interrupted" in errors and "Traceback" not in errors
        wait_for(lambda: sum(seen.left.is_set() for seen in server.chats) >= 4)
    assert [line["status"] for line in lines(answers)] == ["ok"] * 3


# What the model is


def test_a_served_model_is_its_address_its_name_and_how_it_is_asked():
    with fake() as server:
        hashes = set()
        for options in ({}, {"image": "png"}, {"times": 1}, {"prefill": "continue"}, {"drop": "seed"}):
            with load(server, **options) as model:
                hashes.add(model.model_hash)
        assert len(hashes) == 5
        with load(server, concurrency=3, timeout=9, retries=1, price="1:2") as model:
            assert model.model_hash in hashes, "how hard a server is pressed changes no answer"
            assert isinstance(model, Described) and isinstance(model, AspectKeeping)
            assert not isinstance(model, ChoiceRanker)
            assert (model.name, model.frame_size, model.keep_aspect) == ("openai:vlm", 448, True)
    with fake() as other, load(other) as model:
        assert model.model_hash not in hashes


def test_tokens_and_cost_are_counted_up_to_now():
    with fake(lambda messages: "one two") as server, load(server, price="2:8") as model:
        before = model.settings["usage"]
        answers = list(model.respond(asked(str(n)) for n in range(3)))
        used = model.settings["usage"]
    assert used["requests"] - before["requests"] == 3
    assert used["completion_tokens"] - before["completion_tokens"] == sum(a.new_tokens for a in answers) == 6
    prompt = sum(answer.prompt_tokens for answer in answers)
    assert used["prompt_tokens"] - before["prompt_tokens"] == prompt > 0
    assert used["cost"] - before["cost"] == pytest.approx((prompt * 2 + 6 * 8) / 1e6)


def test_another_model_behind_the_same_name_is_said_once(caplog):
    with fake() as server, load(server, concurrency=1) as model:
        server.script += [Step("B", served_by=name) for name in ("m-1", "m-1", "m-2", "m-1", "m-2")]
        with caplog.at_level(logging.WARNING):
            list(model.respond([asked()]))
            assert model.notes == ()
            list(model.respond(asked(str(n)) for n in range(4)))
        assert model.settings["served_by"] == ["m-1", "m-2"]
        assert model.notes == ("answers of 2 models are mixed: m-1, m-2",)
    assert caplog.text.count("this run mixes models") == 1
    assert "came from m-1 and now come from m-2" in caplog.text


def test_a_run_goes_on_from_its_earlier_calls_and_counts_nothing_twice():
    with fake() as server, load(server, price="1:1") as model:
        list(model.respond([asked()]))
        first = json.loads(json.dumps(model.settings))
        model.earlier(first)
        assert model.settings == first, "the same model goes on with its own run"
        list(model.respond([asked()]))
        assert model.settings["usage"]["requests"] == first["usage"]["requests"] + 1 == 4
        model.earlier({})
        assert model.settings["served_by"] == [] and model.settings["usage"]["requests"] == 0
        assert model.settings["usage"]["cost"] == 0
        model.earlier({"usage": {"requests": "x", "retries": True}, "served_by": "m", "prefill_echoes": 3})
        assert model.settings["usage"]["requests"] == model.settings["usage"]["retries"] == 0
        assert model.settings["served_by"] == []
    with fake() as server, load(server) as model:
        model.earlier({**first, "prefill_echoes": {"cut": 2, "brackets_closed": 1}})
        assert isinstance(model, Continuing)
        assert model.settings["usage"]["requests"] == 3 + 2, "this one was tried out with two requests"
        assert model.settings["usage"]["cost"] is None, "nobody knows what the second call cost"
        assert model.settings["prefill_echoes"] == {"cut": 2, "brackets_closed": 1}
        list(model.respond([asked()]))
        assert model.settings["served_by"] == ["vlm-2024-01-01"] and model.notes == ()


def test_a_server_that_counts_no_tokens_for_pictures_is_noted(caplog):
    """A text-only model behind a server that drops what it cannot read would score as if it had looked."""

    def counted(tokens):
        return Step(
            body={
                "model": "m",
                "choices": [{"message": {"content": "OK"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": tokens, "completion_tokens": 1},
            }
        )

    cases = (((46, 46), True), ((46, 47), True), ((47, 46), False), ((52, 46), False))
    for seen, noted in (*cases, ((None, None), False), ((0, 0), False)):
        with fake(script=[counted(tokens) for tokens in seen]) as server, load(server) as model:
            assert model.notes == ((remote.UNCOUNTED,) if noted else ())
            assert (remote.UNCOUNTED in caplog.text) == noted
        caplog.clear()
    with fake(script=[counted(46), error(400, "a picture is wanted")]) as server, load(server) as model:
        assert model.notes == ()


@pytest.mark.parametrize("key", [KEY, "0123456789abcdef" * 4, "ABCDEFGH" * 8, "hf_" + "Ab1" * 11, "0a1b" * 5])
def test_a_key_in_the_place_of_its_variables_name_is_not_shown(key):
    with pytest.raises(UserError) as refusal, fake() as server:
        load(server, key_env=key)
    assert key not in str(refusal.value) and "not a key" in str(refusal.value)


def test_a_long_name_of_a_variable_is_shown():
    with pytest.raises(UserError, match="MY_COMPANYS_RESEARCH_TEAM_OPENAI_API_KEY: this"), fake() as server:
        load(server, key_env="MY_COMPANYS_RESEARCH_TEAM_OPENAI_API_KEY")


def test_a_server_that_sends_thoughts_apart_and_no_answer_is_refused_at_once():
    message = {"content": None, "reasoning_content": "The answer is OK."}
    step = Step(body={"choices": [{"message": message, "finish_reason": "stop"}]})
    with pytest.raises(UserError, match="reasoning parser"), fake(script=[step]) as server:
        load(server)
    assert len(server.chats) == 1


def test_secrets_among_further_fields_are_sent_and_not_written_down(tmp_path):
    file = tmp_path / "body.json"
    file.write_text(
        json.dumps({"api_key": KEY, "extra": {"Authorization": KEY, "top_k": 1}, "max_tokens_of": 3})
    )
    with fake() as server, load(server, body=str(file)) as model:
        list(model.respond([asked()]))
        assert body_of(server)["api_key"] == KEY and body_of(server)["extra"]["Authorization"] == KEY
        assert KEY not in json.dumps(model.settings)
        assert model.settings["body"]["extra"]["top_k"] == 1 and model.settings["body"]["max_tokens_of"] == 3


# Wrong use


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base_uri": "x"}, "unknown --model-args base_uri; known are base_url: address"),
        ({"image": "webp"}, "image=webp: choose one of jpeg, png"),
        ({"quality": "0"}, "quality"),
        ({"quality": "101"}, "quality=101: give 1 to 100"),
        ({"detail": "best"}, "detail=best"),
        ({"times": "yes"}, "times=yes: give 1 or 0"),
        ({"prefill": "force"}, "prefill=force: choose one of prompt, continue"),
        ({"token_limit": "tokens"}, "token_limit=tokens"),
        ({"thinking_tokens": "-1"}, "thinking_tokens=-1"),
        ({"drop": "temperature+top_p"}, "drop=top_p: choose one of temperature, seed, max_tokens"),
        ({"concurrency": "many"}, "concurrency 'many'"),
        ({"timeout": "soon"}, "timeout=soon"),
        ({"retries": "x"}, "retries=x"),
        ({"price": "3"}, "price=3: give USD"),
        ({"price": "3:-1"}, "--model-args price (3.0, -1.0)"),
        ({"base_url": "localhost:8000"}, "--model-args base_url 'localhost:8000': expected an address"),
        ({"base_url": "http://u:secret@h/v1"}, "--model-args base_url holds a user name"),
        ({"key_env": "NOT_SET"}, "key_env=NOT_SET: this environment variable is not set"),
        ({"body": "/nowhere.json"}, "body=/nowhere.json: cannot be read"),
        ({"device": "cuda"}, "--device cuda: a served model's is chosen by its server"),
        ({"dtype": "float16"}, "--dtype float16"),
    ],
)
def test_wrong_options_are_named_before_anything_is_sent(options, words):
    with pytest.raises(UserError) as caught:
        load_model("openai:vlm", **{"base_url": "http://127.0.0.1:1/v1", **options})
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_fields_that_the_harness_sets_cannot_be_set_by_a_file(tmp_path):
    (tmp_path / "b.json").write_text('{"temperature": 1, "n": 2}')
    with pytest.raises(UserError, match="body: n, temperature cannot be set there"):
        load_model("openai:vlm", base_url="http://127.0.0.1:1/v1", body=tmp_path / "b.json")
    (tmp_path / "b.json").write_text("[]")
    with pytest.raises(UserError, match="expected a JSON object"):
        load_model("openai:vlm", base_url="http://127.0.0.1:1/v1", body=tmp_path / "b.json")


def test_a_name_and_a_key_are_asked_for():
    with pytest.raises(UserError, match="openai:NAME"):
        load_model("openai")
    with pytest.raises(UserError, match=r"set OPENAI_API_KEY, or .* with --model-args base_url"):
        load_model("openai:gpt-4o")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (
            error(400, "Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens'"),
            "token_limit=max_completion_tokens",
        ),
        (error(400, "'temperature' does not support 0 with this model"), "drop=temperature"),
        (error(422, "extra fields: seed"), "drop=seed"),
        (error(400, "llama-3 is not a multimodal model"), "choose a model that takes pictures"),
        (error(500, "image input is not supported - mmproj"), "choose a model that takes"),
        (error(404, "model_not_found"), "does not know the model 'vlm': give --model openai: one of: vlm"),
        (error(429, "slow down"), "limits the rate"),
        (error(503, "loading"), "fails (HTTP 503: loading)"),
        (NOT_JSON, "gave no chat completion"),
    ],
)
def test_what_a_server_refuses_is_found_at_once_with_its_mend(step, words):
    with fake(lambda messages: step) as server, pytest.raises(UserError) as caught:
        load(server)
    assert words in str(caught.value) and "\n" not in str(caught.value)
    assert len(server.chats) <= 3


def test_the_server_is_tried_out_with_a_picture_as_a_run_asks_and_a_model_that_only_thinks_passes():
    with fake(lambda messages: Step(None, finish_reason="length")) as server:
        model = load_model("openai:vlm", base_url=server.base_url)
        model.close()
    body = body_of(server)
    assert [each.shape for each in pictures_of(body)] == [(64, 64, 3)]
    assert {"temperature", "seed", "max_tokens"} < set(body)


def test_every_option_is_documented_and_has_its_default_in_one_place():
    assert set(ChatOptions.__dataclass_fields__) <= set(MODEL_ARGS)
