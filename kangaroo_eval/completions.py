"""The body of a chat completion, in the shapes that servers give it: its text, or why it is no reply.

Only a reply that the model ended, or that was cut at its limit, is one. Servers have many words for a reply that broke
off (an abort, an error of the engine, too few resources) and send what there was of it with status 200: so what
counts is a list of the words for a whole one, and any other word is a failure of the request.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from kangaroo_eval.chat import Failed, count_or_none
from kangaroo_eval.reply_cache import get
from kangaroo_eval.wire import THINKING, error_message, text_of

# Words for the ends of replies, in lower case -> OpenAI's.
STOP, LENGTH, FILTER = "stop", "length", "content_filter"
ENDS: Mapping[str, str] = {
    **dict.fromkeys(
        ("stop", "eos", "eos_token", "stop_token", "stop_sequence", "end_turn", "complete", "normal"), STOP
    ),
    **dict.fromkeys(
        ("length", "max_tokens", "max_length", "model_length", "model_context_window_exceeded"), LENGTH
    ),
    **dict.fromkeys(
        ("content_filter", "content_filtered", "refusal", "sensitive", "guardrail_intervened"), FILTER
    ),
    **dict.fromkeys(("safety", "recitation", "blocklist", "prohibited_content", "spii"), FILTER),
}
TRANSIENT = (
    "error",
    "abort",
    "aborted",
    "cancelled",
    "insufficient_system_resource",
    "timeout",
    "load",
    "network_error",
)
"""Words for what may be otherwise the next time; what is in neither list is the same again."""
THOUGHTS = ("reasoning_content", "reasoning", "reasoning_details")
"""Fields in which servers send a model's thoughts apart from its answer."""
NO_ERROR = (0, "0")
"""Codes of an error object that says that there was none."""


class Completion(NamedTuple):
    """A body that came with status 200. `text` is None where `failed` says why there is none; tokens were spent all
    the same. `finish` is OpenAI's word for how the reply ended, None where the server does not say."""

    text: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    served_by: str | None
    finish: str | None
    failed: Failed | None


def read_completion(content: bytes) -> Completion:
    """What a body holds."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        shown = content.decode(errors="replace")
        return Completion(
            None,
            None,
            None,
            None,
            None,
            Failed("malformed", f"the reply is not JSON: {shown}", permanent=False),
        )
    usage = get(body, "usage")
    tokens = (count_or_none(get(usage, "prompt_tokens")), count_or_none(get(usage, "completion_tokens")))
    served_by = get(body, "model")
    choices = get(body, "choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    said = _word(get(choice, "finish_reason"))
    finish = None if said is None else ENDS.get(said.lower().partition(":")[0].strip())
    found = _text(body, choice, said, finish)
    text, failed = (None, found) if isinstance(found, Failed) else (found, None)
    return Completion(text, *tokens, served_by if isinstance(served_by, str) else None, finish, failed)


def _text(body: object, choice: object, said: str | None, finish: str | None) -> str | Failed:
    if choice is None:
        told = error_message(get(body, "error"))
        return Failed("malformed", f"the reply has no choices {told}".strip(), permanent=False)
    wrong = get(choice, "error") or get(body, "error")
    if wrong and get(wrong, "code") not in NO_ERROR:
        return Failed(
            "broken_off", f"the server broke the reply off: {error_message(wrong)}", permanent=False
        )
    if said is not None and finish is None:
        return Failed(
            "broken_off",
            f"the server broke the reply off (finish_reason {said!r})",
            permanent=said.lower() not in TRANSIENT,
        )
    message = get(choice, "message")
    text = text_of(get(message, "content"))
    if not (text or "").strip() and finish != LENGTH and _thinks(message):
        return Failed(
            "only_thoughts",
            "the reply is thoughts alone, sent apart from an answer that is empty: see the server's reasoning parser",
            permanent=True,
        )
    if text is not None:
        return text
    # Asked again, it would be spent or filtered again.
    return Failed(
        "no_text" if finish in (LENGTH, FILTER) else "malformed",
        f"the reply has no text (finish_reason {said!r})",
        permanent=finish in (LENGTH, FILTER),
    )


def _thinks(message: object) -> bool:
    apart = [get(message, name) for name in THOUGHTS]
    if any(each.strip() if isinstance(each, str) else isinstance(each, list) and each for each in apart):
        return True
    content = get(message, "content")
    return isinstance(content, list) and any(get(part, "type") in THINKING for part in content)


def _word(value: Any) -> str | None:
    """A finish reason as a word; some servers send an object with a type."""
    if isinstance(value, dict):
        value = value.get("type")
    word = "" if value is None else str(value).strip()
    return None if word.lower() in ("", "null", "none") else word
