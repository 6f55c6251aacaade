"""What to do about a request that a server refuses, where its words tell."""

from __future__ import annotations

import re

from kangaroo_eval.chat import Failed

# What a server says of a field that it refuses -> what to do.
MENDS = {
    "max_completion_tokens": "--model-args token_limit=max_tokens, or drop=max_tokens",
    "max_tokens": "--model-args token_limit=max_completion_tokens, or drop=max_tokens",
    "temperature": "--model-args drop=temperature (answers are then not greedy)",
    "seed": "--model-args drop=seed",
    "continue_final_message": "--model-args prefill=prompt",
    "add_generation_prompt": "--model-args prefill=prompt",
    "multimodal": "choose a model that takes pictures",
    "image": "choose a model that takes so many pictures, or fewer --frames",
    "images": "choose a model that takes so many pictures, or fewer --frames",
    "context length": "fewer --frames, or smaller pictures by --model-args frame_size",
}


def mend_of(failed: Failed) -> str | None:
    """The mend, in words that follow the refusal; None where its words tell none."""
    if failed.type == "http_413":
        return "fewer --frames, or smaller pictures by --model-args frame_size and quality"
    if failed.type not in ("http_400", "http_415", "http_422", "http_500"):
        return None
    # What is named first is what is refused; what to use instead comes after it.
    named = re.search(rf"\b({'|'.join(MENDS)})\b", failed.message.lower())
    return MENDS[named[1]] if named else None
