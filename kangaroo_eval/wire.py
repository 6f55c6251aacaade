"""What a chat server sent: texts, error messages and waits, in the shapes that servers give them; and what it cost."""

from __future__ import annotations

import email.utils
import json
import math
import os
import time
from collections.abc import Mapping

from kangaroo_eval.reply_cache import get

THINKING = ("thinking", "redacted_thinking", "reasoning")
"""Types of the parts of a message that are a model's thoughts."""


def reason(error: BaseException) -> str:
    """Why there was no connection: what lies deepest, for the package only says "Connection error."."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    if isinstance(error, ConnectionError) and error.errno:
        return os.strerror(error.errno)
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from a Retry-After header in either of its forms: seconds or a date."""
    value = headers.get("retry-after", "")
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if not math.isnan(seconds) else None


def text_of(content: object) -> str | None:
    """The text of a message, which may come in parts, without the model's thoughts among them; None where there is
    none, or a part is something else."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    found = [get(part, "text") for part in parts if get(part, "type") == "text"]
    texts = [text for text in found if isinstance(text, str)]
    thoughts = [part for part in parts if get(part, "type") in THINKING]
    return "".join(texts) if texts and len(texts) + len(thoughts) == len(parts) else None


def error_message(body: object) -> str:
    """The message in an error body, in the shapes that servers give it."""
    if isinstance(body, str):
        return body
    said = get(body, "message") or get(body, "detail") or get(body, "error")
    return said if isinstance(said, str) else json.dumps(body) if body else ""


def cost(price: tuple[float, float], prompt_tokens: int, completion_tokens: int) -> float:
    return (prompt_tokens * price[0] + completion_tokens * price[1]) / 1e6
