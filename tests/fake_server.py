"""A real HTTP server on this machine that speaks /v1/chat/completions and /v1/models, and misbehaves on demand.

with FakeServer(reply=lambda messages: "yes", script=[RESET, error(500)]) as server:
    ...  # the first two chat requests fail, the others are answered; server.base_url, server.seen
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Step:
    """How one chat request is answered. `body` None is the usual completion with `text`; `body` otherwise is sent
    as JSON, or as it is when bytes. `delay` is seconds before the answer; `claim` a Content-Length that is not
    true; `reset` breaks the connection instead of answering."""

    text: str | None = "OK"
    finish_reason: Any = "stop"
    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    claim: int | None = None
    reset: bool = False
    trickle: bool = False  # a blank every 20 ms, without end
    served_by: str | None = None  # the model's name in the answer


def error(status: int, message: str = "it went wrong", code: str | None = None, **headers: str) -> Step:
    """An error in OpenAI's form; headers are written with _ for -."""
    body = {"error": {"message": message, "type": "fake", "code": code}}
    return Step(status=status, body=body, headers={name.replace("_", "-"): v for name, v in headers.items()})


HANG = Step(delay=3600)
TRICKLE = Step(trickle=True)
RESET = Step(reset=True)
NOT_JSON = Step(body=b"<html>a proxy's page</html>")
TRUNCATED = Step(body=b'{"choices": [{"mess', claim=1000)
NO_CHOICES = Step(body={"object": "chat.completion", "choices": []})
NULL = Step(text=None)
EMPTY = Step(text="")
CUT = Step(text="Score: 4, becau", finish_reason="length")


class Seen(NamedTuple):
    """One request as it arrived. `left` is set when the client went away before its answer."""

    path: str
    headers: Mapping[str, str]  # lower-case names
    body: Any
    time: float
    left: threading.Event


class FakeServer:
    """`script` answers the first chat requests, in order of arrival, then `reply` does: a text or a Step for the
    messages. With `key`, requests without it get a 401 that shows what they came with; a model that is not in
    `models` gets a 404."""

    def __init__(
        self,
        reply: Callable[[list[dict[str, Any]]], str | Step] = lambda messages: "OK",
        script: Iterable[Step] = (),
        models: tuple[str, ...] = ("fake-judge",),
        key: str | None = None,
    ) -> None:
        self.reply = reply
        self.script = deque(script)
        self.models = models
        self.key = key
        self.seen: list[Seen] = []
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        server = self

        class Handler(_Handler):
            fake = server

        self._http = _Http(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    @property
    def chats(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == "/v1/chat/completions"]

    def __enter__(self) -> FakeServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._http.shutdown()
        self._http.server_close()

    def enter(self, seen: Seen) -> Step | None:
        """Count a request in; its scripted step if it is a chat request and the script is not over."""
        with self._lock:
            self.seen.append(seen)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            return self.script.popleft() if self.script and seen.path == "/v1/chat/completions" else None

    def leave(self) -> None:
        with self._lock:
            self._at_once -= 1

    def stopped_within(self, seconds: float) -> bool:
        return self._stopped.wait(seconds)


class _Http(ThreadingHTTPServer):
    block_on_close = False
    request_queue_size = 128  # with the usual 5, some of many connections at once wait a second


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    fake: FakeServer

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        try:
            self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        except (ConnectionError, json.JSONDecodeError):  # the client left in the middle of its request
            self.close_connection = True

    def _serve(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.path, headers, body, time.monotonic(), threading.Event())
        scripted = self.fake.enter(seen)
        try:
            step = scripted or self._usual(seen)
            if step.reset:
                self._reset()
            elif self._wait(step.delay, seen):
                self._answer(step, seen)
        except (BrokenPipeError, ConnectionResetError):
            seen.left.set()
            self.close_connection = True
        finally:
            self.fake.leave()

    def _usual(self, seen: Seen) -> Step:
        shown = seen.headers.get("authorization", "")
        if self.fake.key and shown != f"Bearer {self.fake.key}":
            return error(401, f"Incorrect API key provided: {shown}", "invalid_api_key")
        if seen.path == "/v1/models" and seen.body is None:
            return Step(body={"object": "list", "data": [{"id": model} for model in self.fake.models]})
        if seen.path != "/v1/chat/completions" or seen.body is None:
            return Step(status=404, body={"detail": "Not Found"})
        if seen.body["model"] not in self.fake.models:
            message = f"The model `{seen.body['model']}` does not exist"
            return error(404, message, "model_not_found")
        made = self.fake.reply(seen.body["messages"])
        return Step(text=made) if isinstance(made, str) else made

    def _wait(self, seconds: float, seen: Seen) -> bool:
        """Whether the client is still there after `seconds`; the server's end ends the wait too."""
        end = time.monotonic() + seconds
        while (rest := end - time.monotonic()) > 0:
            if select.select([self.connection], [], [], 0)[0] and not self.connection.recv(
                1, socket.MSG_PEEK
            ):
                raise BrokenPipeError
            if self.fake.stopped_within(min(rest, 0.02)):
                self.close_connection = True
                return False
        return True

    def _answer(self, step: Step, seen: Seen) -> None:
        data = step.body if isinstance(step.body, bytes) else json.dumps(self._body(step, seen)).encode()
        self.send_response(step.status)
        self.send_header("Content-Type", "application/json")
        for name, value in step.headers.items():
            self.send_header(name, value)
        length = 1 << 20 if step.trickle else len(data) if step.claim is None else step.claim
        self.send_header("Content-Length", str(length))
        self.end_headers()
        while step.trickle and self._wait(0.02, seen):
            self.wfile.write(b" ")
        if not step.trickle:
            self.wfile.write(data)
        self.close_connection = self.close_connection or length != len(data)

    def _body(self, step: Step, seen: Seen) -> Any:
        if step.body is not None:
            return step.body
        message = {"role": "assistant", "content": step.text}
        words = sum(len(str(message["content"]).split()) for message in seen.body["messages"])
        answer = len((step.text or "").split())
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": step.served_by or f"{seen.body['model']}-2024-01-01",
            "choices": [{"index": 0, "message": message, "finish_reason": step.finish_reason}],
            "usage": {"prompt_tokens": words, "completion_tokens": answer, "total_tokens": words + answer},
        }

    def _reset(self) -> None:
        """Close with an RST, as a server does that is killed."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True
