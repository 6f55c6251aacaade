"""A real HTTP server on this machine that speaks the hub's protocol for datasets, and misbehaves on demand.

with FakeHub({"org/name": {"a.json": b"..."}}) as hub:
    hub.script("a.json", cut(1000), status(503))  # the next two downloads of that file fail
    ...  # HF_ENDPOINT is hub.url; hub.seen tells what was asked for
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import parse_qs, quote, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34


class Fault(NamedTuple):
    """What goes wrong with one request for a file: `cut` breaks it off after so many bytes, `status` refuses it, `content`
    sends other bytes, `slow` waits so many seconds between pieces of `step` bytes."""

    cut: int | None = None
    status: int | None = None
    content: bytes | None = None
    slow: float = 0.0
    step: int = 1024


def cut(after: int) -> Fault:
    return Fault(cut=after)


def status(code: int) -> Fault:
    return Fault(status=code)


class Asked(NamedTuple):
    """A request: its method, path, Range header and bytes sent in answer."""

    method: str
    path: str
    range: str | None
    sent: int


class FakeHub:
    """`files`: repository -> path -> content. `gated` repositories refuse everyone without the token "hf_good"; `large` is from
    how many bytes on a file is an LFS one, with a sha256. With `cdn` those are to be had from another host, to which the hub
    sends its callers and which takes no token."""

    def __init__(self, files, *, gated=(), large=0, licence="mit"):
        self.files, self.gated, self.large, self.licence = files, set(gated), large, licence
        self.seen: list[Asked] = []
        self.cdn = False
        self.tokens_given_away = 0
        self.busy = 0  # how many of the next API requests are answered with 503
        self._script: dict[tuple[str, bool], deque[Fault]] = {}
        hub = self

        class Handler(_Handler):
            owner = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()

    def script(self, path: str, *faults: Fault, reads: bool = False) -> None:
        """What the next downloads of a file, or with `reads` the next looks into parts of it, meet."""
        self._script.setdefault((path, reads), deque()).extend(faults)

    def fault(self, path: str, reads: bool) -> Fault:
        waiting = self._script.get((path, reads))
        return waiting.popleft() if waiting else Fault()

    def sent(self, path: str) -> int:
        """Bytes of a file's content that went out."""
        return sum(each.sent for each in self.seen if each.method == "GET" and each.path.endswith(path))


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FakeHub

    def log_message(self, *_):
        pass

    def do_GET(self):
        self._answer()

    def do_HEAD(self):
        self._answer()

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        self._answer(self.rfile.read(length))

    def _answer(self, body=b""):
        path = unquote(urlsplit(self.path).path)
        try:
            if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(/.*)?", path):
                return self._api(found[1], found[2] or "", body)
            if found := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/([^/]+)/(.*)", path):
                return self._file(found[1], found[3])
            if found := re.fullmatch(r"/cdn/([^/]+/[^/]+)/(.*)", path):
                self.owner.tokens_given_away += "Authorization" in self.headers
                return self._content(found[1], found[2])
            return self._error(404, "EntryNotFound")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _api(self, name, rest, body):
        hub = self.owner
        if hub.busy:
            hub.busy -= 1
            return self._error(503)
        if name not in hub.files:
            return self._error(401, "RepoNotFound", "Invalid username or password.")
        if rest.startswith("/tree/"):
            if self._closed(name):
                return self._error(403, "GatedRepo", "Access to this dataset is restricted.")
            return self._json([_entry(p, c, hub) for p, c in sorted(hub.files[name].items())])
        if rest.startswith("/paths-info/"):
            asked = (
                json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode()).get("paths", [])
            )
            known = hub.files[name]
            return self._json([_entry(p, known[p], hub) for p in asked if p in known])
        gated = "manual" if name in hub.gated else False
        return self._json(
            {"id": name, "sha": COMMIT, "gated": gated, "private": False, "disabled": False, "tags": [], "downloads": 0,
             "likes": 0, "cardData": {"license": hub.licence}, "siblings": []}
        )  # fmt: skip

    def _closed(self, name):
        return name in self.owner.gated and self.headers.get("Authorization") != "Bearer hf_good"

    def _file(self, name, path):
        hub = self.owner
        if name not in hub.files:
            return self._error(401, "RepoNotFound")
        if self._closed(name):
            return self._error(403, "GatedRepo", "Access to this dataset is restricted.")
        if path not in hub.files[name]:
            return self._error(404, "EntryNotFound")
        content = hub.files[name][path]
        if hub.cdn and len(content) >= hub.large:
            self.send_response(302)
            self.send_header(
                "Location", f"{hub.url.replace('127.0.0.1', 'localhost')}/cdn/{name}/{quote(path)}"
            )
            self.send_header("X-Linked-Size", str(len(content)))
            self.send_header("X-Linked-ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        return self._content(name, path)

    def _content(self, name, path):
        hub = self.owner
        content = hub.files[name][path]
        head = self.command == "HEAD"
        fault = Fault() if head else hub.fault(path, bool(re.search(r"-\d", self.headers.get("Range") or "")))
        if fault.status:
            hub.seen.append(Asked(self.command, self.path, self.headers.get("Range"), 0))
            return self._error(fault.status)
        data = content if fault.content is None else fault.content
        code, first, last = 200, 0, len(data) - 1
        if asked := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or ""):
            first = int(asked[1])
            last = min(last, int(asked[2])) if asked[2] else last
            code = 206
            if first > last:
                return self._error(416)
        part = data[first : last + 1]
        self.send_response(code)
        self.send_header("Content-Length", str(len(part)))
        self.send_header("Accept-Ranges", "bytes")
        if code == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if not head:
            self._send(part, fault)

    def _send(self, part, fault):
        whole = part if fault.cut is None else part[: fault.cut]
        sent, step = 0, fault.step if fault.slow else 1 << 16
        try:
            for at in range(0, len(whole), step):
                self.wfile.write(whole[at : at + step])
                sent += len(whole[at : at + step])
                time.sleep(fault.slow)
        finally:
            self.owner.seen.append(Asked(self.command, self.path, self.headers.get("Range"), sent))
        if fault.cut is not None:
            self.wfile.flush()
            self.connection.shutdown(2)
            self.close_connection = True

    def _json(self, value):
        data = json.dumps(value).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _error(self, code, kind=None, message="it went wrong"):
        data = json.dumps({"error": message}).encode()
        self.send_response(code)
        if kind:
            self.send_header("X-Error-Code", kind)
            self.send_header("X-Error-Message", message)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _entry(path, content, hub):
    blob = hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()
    entry = {"type": "file", "path": path, "size": len(content), "oid": blob}
    if len(content) >= hub.large:
        entry["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 134}
    return entry
