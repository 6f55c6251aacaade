"""What the careful readers of closed answers do with every reply first: see failures, blank what is no answer."""

from __future__ import annotations

import re

from kangaroo_eval.careful import Reading

WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {ord("’"): "'", ord("。"): "."}
FAILURES = re.compile(
    r"LMMS_EVAL_(?:REQUEST_FAILED|BUDGET_EXCEEDED)|failed to obtain answer|invalid_request_error|out of memory"
    r"|traceback \(most recent|internal server error|rate limit exceeded|^\W*(?:error|exception)\b\s*:",
    re.IGNORECASE,
)
_NOISE = re.compile(
    r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)|<\|[^|<>]*\|>|</?s>|<eos>|[*_`~]", re.IGNORECASE | re.DOTALL
)
# A model that goes on after its answer asks and answers the next question.
_NEXT = re.compile(r"\n[^\w\n]*(?:question|user|human|instruction)\b", re.IGNORECASE)


def clean(text: str) -> str:
    """The text without what cannot be an answer (thoughts, markup, the next question). Every place is kept, so that
    spans stay true."""
    text = _NOISE.sub(lambda found: " " * len(found[0]), text.translate(WIDTH))
    following = _NEXT.search(text)
    return text[: following.start()] if following and text[: following.start()].strip() else text


def unreadable(rule: str = "unreadable") -> Reading:
    """No answer, and why."""
    return Reading(None, rule, None)


CHANGE = re.compile(
    r"\b(?:wait|actually|sorry|correction|rather|scratch that|i mean|on second thought)\b", re.IGNORECASE
)
"""A change of mind: what comes after it counts."""
