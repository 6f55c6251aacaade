"""Replies of chat servers on disk, by the hash of everything that a reply depends on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import uuid
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kangaroo_eval.chat import Ask, EndpointConfig, Reply, count_or_none

log = logging.getLogger(__name__)


def get(value: object, name: str) -> Any:
    """A field of a JSON object; None where there is none, or no object."""
    return value.get(name) if isinstance(value, dict) else None


def cache_key(config: EndpointConfig, ask: Ask) -> dict[str, object]:
    """All that a reply depends on."""
    return {
        "identity": config.identity,
        "messages": [message._asdict() for message in ask.messages],
        "parameters": dict(ask.parameters),
        "attempt": ask.attempt,
    }


def canonical(value: object) -> bytes:
    """One JSON text for one value; `ValueError` for what JSON or UTF-8 cannot hold (NaN, a lone surrogate)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


class ReplyCache:
    """Replies on disk by the hash of what was asked. Processes may share it: an entry appears whole, and of two
    writers either is right. What cannot be read, or is another request's, counts as absent."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._warned = False

    def _path(self, key: bytes) -> Path:
        name = hashlib.sha256(key).hexdigest()
        return self._folder / name[:2] / f"{name}.json"

    def read(self, key: bytes) -> Reply | None:
        """The reply to the request, or None."""
        try:
            entry = json.loads(self._path(key).read_bytes())
            if canonical(get(entry, "key")) != key:
                return None
        except (OSError, ValueError, RecursionError):
            return None
        return _stored_reply(get(entry, "reply"))

    def write(self, key: bytes, reply: Reply) -> None:
        """Keep the reply. On a full disk or without permission it is only not kept, which is said once."""
        path = self._path(key)
        part = path.with_name(f"{path.stem}.{uuid.uuid4().hex}.part")
        stored = {name: value for name, value in asdict(reply).items() if name != "cached"}
        entry = {
            "key": json.loads(key),
            "reply": stored,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        text = json.dumps(entry, ensure_ascii=False, indent=1) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Not synced: an entry that a power cut tore is made again.
            part.write_bytes(text.encode("utf-8", errors="surrogatepass"))
            os.replace(part, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            if not self._warned:
                log.warning(
                    "cannot write in the cache %s: %s; replies are used but not kept, so another run asks again",
                    self._folder,
                    error.strerror,
                )
            self._warned = True


def _stored_reply(stored: object) -> Reply | None:
    """The reply in a cache entry; None when the entry is no whole one."""
    text, seconds = get(stored, "text"), get(stored, "seconds")
    if not isinstance(text, str) or not isinstance(seconds, int | float):
        return None
    served_by, finish = get(stored, "served_by"), get(stored, "finish_reason")
    return Reply(
        text,
        count_or_none(get(stored, "prompt_tokens")),
        count_or_none(get(stored, "completion_tokens")),
        served_by if isinstance(served_by, str) else None,
        finish if isinstance(finish, str) else None,
        cached=True,
        seconds=float(seconds),
    )
