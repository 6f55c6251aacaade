"""The OpenAI-compatible client against a real server that misbehaves: what is retried, kept, counted and hidden."""

from __future__ import annotations

import email.utils
import errno
import json
import logging
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import CancelledError
from contextlib import closing
from pathlib import Path

import pytest
from fake_server import (
    CUT,
    EMPTY,
    HANG,
    NO_CHOICES,
    NOT_JSON,
    NULL,
    RESET,
    TRICKLE,
    TRUNCATED,
    FakeServer,
    Step,
    error,
)

from kangaroo_eval import endpoint as module
from kangaroo_eval import wire
from kangaroo_eval.endpoint import Ask, Endpoint, EndpointConfig, Failed, Message, Reply, Usage
from kangaroo_eval.errors import UserError

KEY = "sk-fake-0123456789abcdef"


@pytest.fixture(autouse=True)
def quick_and_alone(monkeypatch):
    """Short waits between tries, and no environment of the developer's."""
    monkeypatch.setattr(module, "FIRST_BACKOFF", 0.01)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"):
        monkeypatch.delenv(name, raising=False)


def connect(server: FakeServer | str, cache: Path | None = None, **options) -> closing[Endpoint]:
    url = server if isinstance(server, str) else server.base_url
    config = EndpointConfig(**{"model": "fake-judge", "base_url": url, **options})
    return closing(Endpoint(config, cache))


def ask(text: str = "Is it right?", **options) -> Ask:
    return Ask((Message("system", "You judge."), Message("user", text)), **options)


def outcome_of(*script: Step, cache: Path | None = None, **options):
    """The outcome of one ask at a server with a script, the server, and what was used."""
    with FakeServer(script=script) as server, connect(server, cache, **options) as endpoint:
        return endpoint.ask(ask()), server, endpoint.usage


# What is sent, and what comes back


def test_a_request_and_its_reply_arrive_whole():
    parts = [{"type": "text", "text": "Look: 你好"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    asked = Ask((Message("user", parts),), {"temperature": 0, "max_tokens": 16, "top_k": 1, "stop": "\n"})
    with FakeServer(reply=lambda messages: "Gut – 好") as server, connect(server, api_key=KEY) as endpoint:
        reply = endpoint.ask(asked)
    (seen,) = server.seen
    assert seen.path == "/v1/chat/completions"
    assert seen.body == {
        "model": "fake-judge",
        "messages": [{"role": "user", "content": parts}],
        "temperature": 0,
        "max_tokens": 16,
        "top_k": 1,
        "stop": "\n",
    }
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert isinstance(reply, Reply)
    assert (reply.text, reply.served_by, reply.finish_reason) == ("Gut – 好", "fake-judge-2024-01-01", "stop")
    assert (reply.cached, reply.completion_tokens) == (False, 3)
    assert 0 < reply.seconds < 5


def content(*parts) -> Step:
    return Step(body={"choices": [{"message": {"content": list(parts)}, "finish_reason": "stop"}]})


def test_a_text_in_parts_is_their_text():
    parts = ({"type": "text", "text": "B"}, {"type": "text", "text": " it is"})
    assert outcome_of(content(*parts))[0].text == "B it is"


@pytest.mark.parametrize(
    "parts",
    [
        (),
        ({"type": "image", "url": "x"}, {"type": "text", "text": "B"}),
        ({"type": "text", "text": None},),
        ({"text": "B"},),
        ("B",),
    ],
)
def test_parts_that_are_neither_text_nor_thoughts_are_malformed(parts):
    failed, _, _ = outcome_of(content(*parts), retries=0)
    assert (failed.type, failed.permanent) == ("malformed", False)


@pytest.mark.parametrize("kind", ["thinking", "reasoning", "redacted_thinking"])
def test_thoughts_among_the_parts_are_not_the_answer(kind):
    thought = {"type": kind, kind: [{"type": "text", "text": "A or B"}]}
    reply, server, _ = outcome_of(content(thought, {"type": "text", "text": "B"}))
    assert reply.text == "B" and len(server.seen) == 1


@pytest.mark.parametrize(
    "word", ["error", "abort", "insufficient_system_resource", "load", "tool_calls", 7, "unheard-of"]
)
def test_a_reply_that_the_server_broke_off_is_none(word):
    """With status 200 and the part that there was of it."""
    failed, server, _ = outcome_of(*[Step(text="B. The", finish_reason=word)] * 3, retries=2)
    assert failed.type == "broken_off" and repr(str(word)) in failed.message
    # What is the same the next time is not paid for again.
    assert len(server.seen) == (1 if word in ("tool_calls", 7, "unheard-of") else 3)


def test_what_broke_off_is_asked_again():
    reply, server, used = outcome_of(Step(text="B. The", finish_reason="error"), Step(text="C"))
    assert reply.text == "C" and len(server.seen) == 2 and used.retries == 1


@pytest.mark.parametrize("where", ["body", "choice"])
def test_an_error_beside_a_text_makes_it_none(where):
    wrong = {"error": {"code": 502, "message": "upstream overloaded"}}
    choice = {"message": {"content": "Error: upstream overloaded"}, "finish_reason": "stop"}
    body = {"choices": [choice], **wrong} if where == "body" else {"choices": [{**choice, **wrong}]}
    failed, _, _ = outcome_of(Step(body=body), retries=0)
    assert (failed.type, failed.permanent) == (
        "broken_off",
        False,
    ) and "upstream overloaded" in failed.message
    for no_error in (None, "", {"code": 0, "message": "success"}):
        unspoiled = {"choices": [{**choice, "error": None}], "error": no_error}
        assert isinstance(outcome_of(Step(body=unspoiled), retries=0)[0], Reply)


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("eos", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ({"type": "stop", "matched": 2}, "stop"),
        ("max_tokens", "length"),
        ("content_filter: SAFETY", "content_filter"),
        ("refusal", "content_filter"),
        ("sensitive", "content_filter"),
        ("normal", "stop"),
        ("null", None),
        ("", None),
        (None, None),
    ],
)
def test_other_words_for_the_end_of_a_reply(word, finish):
    reply, _, _ = outcome_of(Step(text="B", finish_reason=word))
    assert (reply.text, reply.finish_reason) == ("B", finish)


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "The answer is B."}]}


@pytest.mark.parametrize("text", [None, "", " \n", [THOUGHT], [THOUGHT, {"type": "text", "text": ""}]])
@pytest.mark.parametrize("apart", ["reasoning_content", "reasoning", "reasoning_details"])
def test_thoughts_alone_are_no_reply_and_not_paid_for_again(text, apart, tmp_path):
    told = [{"type": "reasoning.text", "text": "B"}] if apart == "reasoning_details" else "The answer is B."
    message = {"role": "assistant", "content": text, **({} if isinstance(text, list) else {apart: told})}
    step = Step(body={"choices": [{"message": message, "finish_reason": "stop"}]})
    failed, server, _ = outcome_of(step, step)
    assert (failed.type, failed.permanent, len(server.seen)) == ("only_thoughts", True, 1)
    assert "reasoning parser" in failed.message
    with (
        FakeServer(script=[step]) as server,
        connect(server, tmp_path) as endpoint,
        pytest.raises(UserError, match="sends no answer"),
    ):
        endpoint.check()


def test_a_silent_server_is_tried_once_and_told_of(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(module, "LONG_WAIT", 0.1)
    with (
        FakeServer(script=[HANG] * 3) as server,
        connect(server, tmp_path, timeout=0.6) as endpoint,
        pytest.raises(UserError, match="did not answer"),
    ):
        endpoint.check()
    assert len(server.seen) == 1 and "waiting for http://127.0.0.1" in caplog.text


@pytest.mark.parametrize(
    ("step", "text", "finish"), [(EMPTY, "", "stop"), (CUT, "Score: 4, becau", "length")]
)
def test_an_empty_and_a_cut_reply_are_replies(step, text, finish):
    reply, server, _ = outcome_of(step)
    assert (reply.text, reply.finish_reason, len(server.seen)) == (text, finish, 1)


def test_a_server_that_needs_no_key_does_not_get_the_one_in_the_environment(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-mine")
    _, server, _ = outcome_of()
    assert server.seen[0].headers["authorization"] == "Bearer EMPTY"
    assert not {KEY, "org-mine"} & set(" ".join(server.seen[0].headers.values()).split())


def test_a_redirect_to_another_host_takes_no_key_along():
    with FakeServer(reply=lambda messages: "from elsewhere") as other, FakeServer() as server:
        server.script.append(Step(status=307, headers={"Location": f"{other.base_url}/chat/completions"}))
        with connect(server, api_key=KEY) as endpoint:
            assert endpoint.ask(ask()).text == "from elsewhere"
    assert "authorization" in server.seen[0].headers
    assert KEY not in str(other.seen)


@pytest.mark.parametrize("asked", [ask("lone \ud800"), ask(parameters={"temperature": float("nan")})])
def test_what_json_cannot_hold_fails_without_a_request(asked):
    with FakeServer() as server, connect(server) as endpoint:
        failed = endpoint.ask(asked)
    assert (failed.type, failed.permanent, failed.tries) == ("request", True, 0)
    assert server.seen == []


# Retries


FAULTS = {
    "reset": (RESET, "connection", "reset by peer"),
    "hang": (HANG, "timeout", "no whole reply within 0.2 s"),
    "trickle": (TRICKLE, "timeout", "no whole reply within 0.2 s"),
    "408": (error(408), "http_408", "HTTP 408: it went wrong"),
    "409": (error(409), "http_409", "HTTP 409: it went wrong"),
    "429": (error(429), "http_429", "HTTP 429: it went wrong"),
    "500": (error(500), "http_500", "HTTP 500: it went wrong"),
    "503 page": (Step(status=503, body=b"<h1>Bad\nday</h1>"), "http_503", "HTTP 503: <h1>Bad day</h1>"),
    "not json": (NOT_JSON, "malformed", "not JSON: <html>a proxy's page</html>"),
    "too deep": (Step(body=b"[" * 200_000), "malformed", "not JSON: [[["),
    "truncated": (TRUNCATED, "connection", "peer closed connection"),
    "no choices": (NO_CHOICES, "malformed", "no choices"),
    "error in a 200": (Step(body={"error": {"message": "upstream"}}), "malformed", "no choices upstream"),
    "a list": (Step(body=["x"]), "malformed", "no choices"),
    "no message": (Step(body={"choices": [{}]}), "malformed", "no text"),
    "null": (NULL, "malformed", "no text (finish_reason 'stop')"),
}


def timeout(step: Step) -> float:
    """Short only where it is waited for: a busy machine may be slow to answer."""
    return 0.2 if step in (HANG, TRICKLE) else 60


@pytest.mark.parametrize("name", FAULTS)
def test_a_passing_fault_is_retried_until_there_is_a_reply(name):
    step = FAULTS[name][0]
    reply, server, usage = outcome_of(step, step, Step("At last"), timeout=timeout(step))
    assert reply.text == "At last"
    assert len(server.seen) == usage.requests == 3
    assert (usage.retries, usage.failed) == (2, 0)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_that_stays_is_named_when_the_retries_are_used_up(name):
    step, kind, message = FAULTS[name]
    failed, server, usage = outcome_of(*[step] * 3, timeout=timeout(step), retries=2)
    assert isinstance(failed, Failed)
    assert (failed.type, failed.permanent, failed.tries) == (kind, False, 3)
    assert message in failed.message
    assert "\n" not in failed.message
    assert len(server.seen) == usage.requests == 3
    assert (usage.retries, usage.failed) == (2, 1)


def test_nobody_there_is_a_connection_failure():
    with connect("http://127.0.0.1:1/v1", retries=1) as endpoint:
        failed = endpoint.ask(ask())
    assert failed == Failed("connection", "Connection refused", permanent=False, tries=2)


@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (error(400, "max_tokens is not supported"), "http_400"),
        (error(422), "http_422"),
        (error(401), "http_401"),
        (error(403), "http_403"),
        (error(404), "http_404"),
        (error(429, code="insufficient_quota"), "quota"),
        (Step(text=None, finish_reason="length"), "no_text"),
        (Step(text=None, finish_reason="content_filter"), "no_text"),
    ],
)
def test_what_would_fail_again_is_not_retried(step, kind):
    failed, server, usage = outcome_of(step)
    assert (failed.type, failed.permanent, failed.tries) == (kind, True, 1)
    assert len(server.seen) == usage.requests == 1


def test_retry_after_is_honoured():
    _, server, _ = outcome_of(error(429, retry_after="0.3"), error(503, retry_after="0.2"))
    first, second, third = (seen.time for seen in server.seen)
    assert 0.3 <= second - first < 5
    assert 0.2 <= third - second < 5


def test_a_server_that_wants_an_hour_is_not_waited_for():
    failed, _, _ = outcome_of(error(429, retry_after="3600"))
    assert (failed.type, failed.permanent, failed.tries) == ("http_429", False, 1)
    assert "it wants a wait of 3600 s" in failed.message


def test_retry_after_may_be_a_date_and_nonsense_is_no_wait():
    at = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 97 < wire.retry_after({"retry-after": at}) <= 100
    assert wire.retry_after({"retry-after": email.utils.formatdate(0, usegmt=True)}) == 0
    assert [wire.retry_after({"retry-after": text}) for text in ("soon", "nan", "")] == [None] * 3


def test_the_wait_doubles_with_jitter_over_its_whole_span(monkeypatch):
    monkeypatch.setattr(module, "FIRST_BACKOFF", 1.0)
    monkeypatch.setattr(module, "LONGEST_BACKOFF", 10.0)
    spans = []
    with FakeServer(script=[error(500)] * 6) as server, connect(server) as endpoint:
        monkeypatch.setattr(endpoint._random, "uniform", lambda low, high: spans.append((low, high)) or 0.0)
        assert endpoint.ask(ask()).text == "OK"
    assert spans == [(0, 1), (0, 2), (0, 4), (0, 8), (0, 10), (0, 10)]


def test_the_waits_draw_nothing_from_a_seeded_run():
    import random

    random.seed(1)
    expected = random.random()
    random.seed(1)
    outcome_of(error(500), error(500))
    assert random.random() == expected


# The circuit breaker


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_after_a_wrong_key_or_model_nothing_more_is_sent(status):
    with (
        FakeServer(reply=lambda messages: error(status, "never")) as server,
        connect(server, concurrency=4) as endpoint,
    ):
        outcomes = [outcome for _, outcome in endpoint.ask_all(ask(str(i)) for i in range(200))]
        usage = endpoint.usage
    assert len(outcomes) == usage.failed == 200
    assert 1 <= len(server.seen) == usage.requests <= 4
    assert {(failed.type, failed.permanent) for failed in outcomes} == {(f"http_{status}", True)}
    assert sum(failed.tries for failed in outcomes) == len(server.seen)


def test_a_bad_request_is_its_own_fault_only():
    with FakeServer(script=[error(400)]) as server, connect(server) as endpoint:
        assert endpoint.ask(ask("too long")).type == "http_400"
        assert endpoint.ask(ask()).text == "OK"


@pytest.mark.parametrize("status", [403, 404])
def test_a_forbidden_picture_or_a_missing_file_costs_only_its_own_request_once_others_were_answered(status):
    def reply(messages):
        return error(status, "not this one") if "bad" in messages[-1]["content"] else "OK"

    with FakeServer(reply) as server, connect(server, concurrency=1) as endpoint:
        texts = ["good", "bad 1", "bad 2", "good", "bad 3", "bad 4", "good"]
        kinds = [getattr(endpoint.ask(ask(text)), "type", "OK") for text in texts]
        assert kinds == [f"http_{status}" if "bad" in text else "OK" for text in texts]
        assert len(server.seen) == 7 and endpoint.refusal is None
        about = [endpoint.ask(Ask((Message("user", f"bad {n}"),), about="one video")) for n in range(5)]
        assert {failed.type for failed in about} == {f"http_{status}"} and len(server.seen) == 12
        assert [endpoint.ask(ask("bad 6")).tries, endpoint.refusal] == [1, None]
        assert endpoint.ask(ask("bad 7")).tries == 1
        assert endpoint.refusal is not None and endpoint.ask(ask("good")).tries == 0
        assert "answered before and now refuses one request after another" in endpoint.diagnosis(
            endpoint.refusal
        )


def test_a_wrong_key_ends_it_at_once_whatever_was_answered_before():
    with FakeServer(script=[Step(), error(401)]) as server, connect(server) as endpoint:
        assert endpoint.ask(ask()).text == "OK"
        assert endpoint.ask(ask()).type == "http_401"
        assert endpoint.ask(ask()).tries == 0


def test_the_breaker_wakes_requests_that_wait_for_a_retry(tmp_path):
    with FakeServer() as server, connect(server, tmp_path, concurrency=2) as endpoint:
        endpoint.ask(ask("known"))
        server.script += [error(429, retry_after="60"), Step(status=401, body={}, delay=0.1)]
        began = time.monotonic()
        outcomes = dict(endpoint.ask_all([ask("1"), ask("2")]))
        assert time.monotonic() - began < 30
        assert {failed.type for failed in outcomes.values()} == {"http_401"}
        assert [outcomes[i].tries for i in (0, 1)] == [1, 1]
        assert endpoint.ask(ask("known")).cached, "what is in the cache needs no key"


# Many at once


def test_outcomes_come_as_they_complete_with_their_index():
    answered = threading.Semaphore(0)

    def reply(messages):
        text = messages[-1]["content"]
        if text != "0":
            answered.release()
        elif not all(answered.acquire(timeout=20) for _ in range(19)):
            return "the others were not asked meanwhile"
        return Step(text, delay=0.2 if text == "0" else 0)

    with FakeServer(reply) as server, connect(server) as endpoint:
        pairs = list(endpoint.ask_all(ask(str(i)) for i in range(20)))
    assert sorted(index for index, _ in pairs) == list(range(20))
    assert all(outcome.text == str(index) for index, outcome in pairs)
    assert pairs[-1][0] == 0


def test_no_more_than_concurrency_are_in_flight_and_asks_are_taken_lazily():
    taken = []

    def asks():
        for i in range(1000):
            taken.append(i)
            yield ask(str(i))

    with (
        FakeServer(lambda messages: Step(delay=0.05)) as server,
        connect(server, concurrency=4) as endpoint,
    ):
        outcomes = endpoint.ask_all(asks())
        assert taken == []
        for handed_out in range(1, 21):
            next(outcomes)
            assert len(taken) <= handed_out + 8
        outcomes.close()
        assert len(taken) <= 28
        assert server.most_at_once == 4


def test_threads_that_ask_share_the_limit_and_the_counts():
    with (
        FakeServer(lambda messages: Step(delay=0.02)) as server,
        connect(server, concurrency=2) as endpoint,
    ):
        threads = [threading.Thread(target=lambda: [endpoint.ask(ask()) for _ in range(5)]) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert server.most_at_once == 2
        assert endpoint.usage.requests == len(server.seen) == 30


def test_leaving_early_cancels_what_is_in_flight_and_closing_ends_the_thread():
    def reply(messages):
        return {"0": Step(delay=0.1), "later": Step()}.get(messages[-1]["content"], HANG)

    before = set(threading.enumerate())
    with FakeServer(reply) as server:
        with connect(server, concurrency=4) as endpoint:
            for index, outcome in endpoint.ask_all(ask(str(i)) for i in range(4)):
                assert (index, outcome.text) == (0, "OK")
                break
            wait_for(lambda: sum(seen.left.is_set() for seen in server.seen) == 3)
            assert len(server.seen) == 4
            assert endpoint.ask(ask("later")).text == "OK"
        assert not any(thread.name == "endpoint" for thread in set(threading.enumerate()) - before)
    wait_for(lambda: set(threading.enumerate()) <= before)


def test_closing_ends_requests_of_other_threads_and_may_be_done_twice():
    with FakeServer(script=[HANG]) as server, connect(server) as endpoint:
        ended = []

        def run():
            try:
                endpoint.ask(ask())
            except CancelledError:
                ended.append("cancelled")

        thread = threading.Thread(target=run)
        thread.start()
        wait_for(lambda: server.seen)
        endpoint.close()
        endpoint.close()
        thread.join(timeout=2)
        assert ended == ["cancelled"]
        wait_for(server.seen[0].left.is_set)
        with pytest.raises(RuntimeError, match="closed"):
            endpoint.ask(ask())


def test_an_error_in_the_asks_comes_through():
    def asks():
        yield ask()
        raise LookupError("no such video")

    with FakeServer() as server, connect(server) as endpoint:
        with pytest.raises(LookupError, match="no such video"):
            list(endpoint.ask_all(asks()))
        assert endpoint.ask(ask()).text == "OK"


INTERRUPTED = """
import sys
from kangaroo_eval.endpoint import Ask, Endpoint, EndpointConfig, Message
endpoint = Endpoint(EndpointConfig(model="fake-judge", base_url=sys.argv[1], concurrency=4), None)
asks = (Ask((Message("user", str(i)),)) for i in range(100))
for index, outcome in endpoint.ask_all(asks):
    print(index, flush=True)
"""


def test_control_c_stops_at_once_and_quietly():
    with FakeServer(script=[Step(), *[HANG] * 99]) as server:
        process = subprocess.Popen(
            [sys.executable, "-c", INTERRUPTED, server.base_url],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout.readline().strip().isdigit()
        wait_for(lambda: len(server.seen) == 5)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == -signal.SIGINT
        assert errors.strip().endswith("KeyboardInterrupt")
        assert errors.count("Traceback") == 1
        wait_for(lambda: sum(seen.left.is_set() for seen in server.seen) == 4)


def wait_for(condition, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


# The cache


def test_what_was_asked_once_is_not_asked_again(tmp_path):
    with FakeServer(lambda messages: "Grüße 你好\n") as server:
        with connect(server, tmp_path, price=(10, 30)) as endpoint:
            first = endpoint.ask(ask())
            again = endpoint.ask(ask())
            assert endpoint.cost_of(first) == pytest.approx((5 * 10 + 2 * 30) / 1e6)
            assert endpoint.cost_of(again) == 0
            assert endpoint.usage.cost == endpoint.cost_of(first)
            assert endpoint.usage == Usage(
                requests=1, cached=1, prompt_tokens=5, completion_tokens=2, cost=0.00011
            )
        with connect(f"{server.base_url}/", tmp_path, concurrency=1, timeout=9, retries=0) as endpoint:
            ((index, later),) = endpoint.ask_all([ask()])
    assert len(server.seen) == 1
    assert (index, again.cached, later.cached) == (0, True, True)
    assert (again.text, again.seconds) == (first.text, first.seconds)
    (file,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert file.parent.name == file.stem[:2]
    assert len(file.stem) == 64
    entry = json.loads(file.read_bytes())
    assert entry["key"]["identity"] == {"model": "fake-judge", "base_url": server.base_url}
    assert entry["key"]["messages"][1] == {"role": "user", "content": "Is it right?"}
    assert entry["reply"]["served_by"] == "fake-judge-2024-01-01"


def test_another_request_is_another_entry(tmp_path):
    asks = [
        ask(),
        ask(attempt=1),
        ask("Is it wrong?"),
        ask(parameters={"temperature": 1.0}),
        ask(parameters={"temperature": 0.5}),
        Ask((Message("user", "Is it right?"),)),
    ]
    with FakeServer(models=("fake-judge", "other")) as server:
        for model in ("fake-judge", "other"):
            with connect(server, tmp_path, model=model) as endpoint:
                assert [endpoint.ask(one).cached for one in asks] == [False] * len(asks)
                assert [endpoint.ask(one).cached for one in asks] == [True] * len(asks)
    with FakeServer() as elsewhere, connect(elsewhere, tmp_path) as endpoint:
        assert not endpoint.ask(ask()).cached


def test_the_order_of_parameters_is_no_other_request(tmp_path):
    with FakeServer() as server, connect(server, tmp_path) as endpoint:
        endpoint.ask(ask(parameters={"temperature": 0, "seed": 1}))
        assert endpoint.ask(ask(parameters={"seed": 1, "temperature": 0})).cached


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: text[: len(text) // 2],
        lambda text: "\x00" * 100,
        lambda text: "[]",
        lambda text: text.replace("Is it right?", "Is it foreign?"),
        lambda text: text.replace('"text": "OK"', '"text": null'),
        lambda text: "[" * 100_000,
    ],
)
def test_a_damaged_or_foreign_entry_is_made_again(tmp_path, spoil):
    with FakeServer() as server, connect(server, tmp_path) as endpoint:
        endpoint.ask(ask())
        (file,) = tmp_path.rglob("*.json")
        whole = file.read_text()
        assert spoil(whole) != whole
        file.write_text(spoil(whole))
        assert not endpoint.ask(ask()).cached
        assert endpoint.ask(ask()).cached
        assert json.loads(file.read_text())["reply"]["text"] == "OK"


def test_failures_are_not_kept(tmp_path):
    with FakeServer(script=[error(400), NULL]) as server, connect(server, tmp_path, retries=0) as endpoint:
        assert isinstance(endpoint.ask(ask()), Failed)
        assert isinstance(endpoint.ask(ask()), Failed)
        assert list(tmp_path.rglob("*.json")) == []
        assert endpoint.ask(ask()).text == "OK"


def test_two_that_share_a_cache_leave_whole_entries(tmp_path):
    def use(number):
        with connect(server, tmp_path) as endpoint:
            asks = [ask(str(i)) for i in range(20)]
            texts[number] = {i: outcome.text for i, outcome in endpoint.ask_all(asks)}

    texts = {}
    with FakeServer(lambda messages: messages[-1]["content"] * 1000) as server:
        threads = [threading.Thread(target=use, args=(i,)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(texts[number] == {i: str(i) * 1000 for i in range(20)} for number in range(3))
    assert len([json.loads(path.read_text()) for path in tmp_path.rglob("*.json")]) == 20
    assert list(tmp_path.rglob("*.part")) == []


def test_a_full_disk_loses_no_reply_and_is_said_once(tmp_path, monkeypatch, caplog):
    def full(self, data):
        self.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with FakeServer() as server, connect(server, tmp_path) as endpoint:
        texts = [outcome.text for _, outcome in endpoint.ask_all(ask(str(i)) for i in range(5))]
    assert texts == ["OK"] * 5
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [f"{tmp_path}: No space left" in record.getMessage() for record in warnings] == [True]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_cache_that_cannot_be_a_folder_is_only_a_warning(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    with FakeServer() as server, connect(server, tmp_path / "file") as endpoint:
        assert endpoint.ask(ask()).text == "OK"
    assert "Not a directory" in caplog.text


# Tokens and cost


def test_cost_is_of_what_was_sent_replies_without_text_included():
    _, _, usage = outcome_of(NULL, RESET, Step("one two three"), price=(2.5, 10.0))
    assert (usage.prompt_tokens, usage.completion_tokens, usage.unmetered) == (10, 3, 0)
    assert usage.cost == pytest.approx((10 * 2.5 + 3 * 10) / 1e6)
    assert usage.as_dict()["cost"] == usage.cost


def test_without_a_price_there_is_no_cost_and_without_counts_it_is_said():
    body = {"choices": [{"message": {"content": "bare"}}], "usage": {"prompt_tokens": None}}
    reply, _, usage = outcome_of(Step(body=body))
    assert (reply.text, reply.prompt_tokens, reply.served_by, reply.finish_reason) == (
        "bare",
        None,
        None,
        None,
    )
    assert (usage.unmetered, usage.cost) == (1, None)


@pytest.mark.parametrize("count", [True, -1, 10**12 + 1, 1.5, "3", 10**400])
def test_what_is_no_count_of_tokens_is_unmetered(count):
    body = {
        "choices": [{"message": {"content": "x"}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": count},
    }
    reply, _, usage = outcome_of(Step(body=body), price=(1, 1))
    assert (reply.prompt_tokens, reply.completion_tokens) == (5, None)
    assert (usage.unmetered, usage.prompt_tokens, usage.completion_tokens) == (1, 5, 0)


# check


def checked(server: FakeServer | str, **options) -> str:
    with connect(server, **options) as endpoint, pytest.raises(UserError) as caught:
        endpoint.check()
    message = str(caught.value)
    assert "\n" not in message
    assert endpoint.config.url in message
    return message


def test_check_passes_where_there_is_an_answer_and_is_never_cached(tmp_path):
    with FakeServer(script=[error(500)]) as server, connect(server, tmp_path) as endpoint:
        endpoint.check()
        endpoint.check()
    assert len(server.seen) == 3
    assert list(tmp_path.iterdir()) == []


def test_check_names_what_is_wrong_and_the_mend():
    assert "Connection refused): start the server, or correct --judge-base-url" in checked(
        "http://127.0.0.1:1/v1"
    )
    with FakeServer(key="right", models=("a", "b")) as server:
        assert "refuses the API key (HTTP 401" in checked(server, api_key=KEY, model="a")
        assert "wants an API key (HTTP 401" in checked(server, model="a")
        unknown = checked(server, api_key="right", model="c")
        assert "does not know the model 'c': give --judge one of: a, b" in unknown
        wrong_path = checked(server.base_url.removesuffix("/v1"), api_key="right", model="a")
        assert "correct --judge-base-url, often it ends in /v1" in wrong_path
        captions = checked(server, api_key="right", model="c", flags="--captioner")
        assert "give --captioner one of" in captions


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (error(429, "slow down"), "limits the rate (HTTP 429: slow down)"),
        (error(503, "loading the model"), "fails (HTTP 503: loading the model)"),
        (error(429, "pay", code="insufficient_quota"), "takes no more from this account (HTTP 429: pay)"),
        (error(400, "bad"), "fails (HTTP 400: bad)"),
        (NOT_JSON, "gave no chat completion"),
        (HANG, "did not answer (no whole reply within 0.2 s)"),
    ],
)
def test_check_tells_other_troubles_in_one_line(step, words):
    with FakeServer(script=[step] * 3) as server:
        assert words in checked(server, timeout=timeout(step))


# Secrets


def test_the_key_is_in_no_message_log_file_or_error(tmp_path, caplog):
    """Also when the server sends it back, in an error or in a reply."""
    caplog.set_level(1)
    for name in ("openai", "httpx", "httpx2", "httpcore", "httpcore2", "kangaroo_eval"):
        caplog.set_level(logging.DEBUG, logger=name)
    echo = f"Your key {KEY} " + "x" * 237 + KEY  # the second where a long message is cut
    steps = [
        *(error(status, echo) for status in (400, 500, 429, 422)),
        Step(status=500, body=f"<p>{KEY}</p>".encode()),
        Step(status=400, body={"detail": [KEY]}),
        Step(body=f"key={KEY}{'x' * 68}{KEY}".encode()),
        Step(body=b"x" * 265 + KEY.encode()),
        Step(body={"error": {"message": echo}}),
        Step(text=None, finish_reason=KEY),
        Step(
            body={
                "model": KEY,
                "choices": [{"message": {"content": KEY}, "finish_reason": "stop"}],
                "usage": KEY,
            }
        ),
        Step(finish_reason=KEY),
        Step(body={"choices": [{"message": {"content": "B"}, "error": {"message": echo}}]}),
        RESET,
        error(404, echo),
        error(402, echo),
    ]
    with FakeServer(script=steps) as server, connect(server, tmp_path, api_key=KEY, retries=0) as endpoint:
        outcomes = [endpoint.ask(ask(str(i))) for i in range(len(steps) + 1)]
        told = [repr(outcomes), repr(endpoint.config), repr(endpoint), repr(endpoint.usage)]
    assert [type(outcome) for outcome in outcomes].count(Reply) == 1
    for key, script in [
        ("right", []),
        (None, [error(401, f"Incorrect API key provided: {KEY[:8]}****{KEY[-4:]}")]),
        (None, [error(403, echo)]),
        (None, [error(404, echo)]),
        (None, [RESET]),
    ]:
        with (
            FakeServer(key=key, script=script, models=("fake-judge", KEY)) as server,
            connect(server, tmp_path, api_key=KEY, retries=0) as endpoint,
            pytest.raises(UserError) as caught,
        ):
            endpoint.check()
        told += traceback.format_exception(caught.value)
    told += [path.read_text() for path in tmp_path.rglob("*.json")]
    told.append(caplog.text)
    assert "Your key [API key]" in told[0]
    assert "http" in caplog.text, "the HTTP client's own log is looked at"
    for text in told:
        for shown in (KEY, KEY[3:], KEY[:16], f"****{KEY[-4:]}"):
            assert shown not in text


# The configuration


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": " "}, "--judge is empty"),
        (
            {"base_url": "localhost:8000/v1"},
            "--judge-base-url 'localhost:8000/v1': expected an address such as",
        ),
        ({"base_url": "http://"}, "expected an address"),
        ({"base_url": "http://host:99999/v1"}, "expected an address"),
        ({"base_url": "http://ho st/v1"}, "expected an address"),
        ({"base_url": "http://[::1/v1"}, "expected an address"),
        ({"concurrency": 0}, "concurrency 0"),
        ({"timeout": 0}, "timeout 0"),
        ({"timeout": float("nan")}, "timeout nan"),
        ({"retries": -1}, "retries -1"),
        ({"price": (1.0, -1.0)}, "--judge-price (1.0, -1.0)"),
        (
            {"base_url": None},
            "wants an API key: set OPENAI_API_KEY, or give another server with --judge-base-url",
        ),
        ({"base_url": None, "api_key": ""}, "wants an API key"),
    ],
)
def test_a_wrong_setting_is_named_with_its_flag(options, words):
    with pytest.raises(UserError) as caught:
        EndpointConfig(**{"model": "m", "base_url": "http://localhost:8000/v1", **options})
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "https://me:hunter2@host/v1"},
        {"base_url": "https://host/v1?token=hunter2"},
        {"base_url": "https://host/v1#hunter2"},
        {"api_key": "hunter2\n"},
        {"api_key": "hunter2 "},
        {"api_key": "hunter2–"},
    ],
)
def test_a_secret_in_the_wrong_place_is_refused_and_not_shown(options):
    with pytest.raises(UserError) as caught:
        EndpointConfig(**{"model": "m", "base_url": "https://host/v1", **options})
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "OPENAI_API_KEY" in str(caught.value)


def test_a_model_is_known_by_its_name_and_server():
    here = EndpointConfig(model="m", base_url="http://localhost:8000/v1/")
    assert here.identity == {"model": "m", "base_url": "http://localhost:8000/v1"}
    official = EndpointConfig(model="m", api_key=KEY)
    assert official.identity == {"model": "m", "base_url": "https://api.openai.com/v1"}
    with closing(Endpoint(official, None)) as endpoint:
        assert str(endpoint._client.base_url).rstrip("/") == "https://api.openai.com/v1"


def test_without_the_package_the_mend_is_named(monkeypatch):
    before = threading.active_count()
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(UserError, match=r'pip install "kangaroo-eval\[judge\]"'):
        Endpoint(EndpointConfig(model="m", base_url="http://localhost:8000/v1"), None)
    assert threading.active_count() == before
