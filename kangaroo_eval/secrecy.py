"""What looks like a secret by its name: written to no file. A run directory is published, copied and attached to issues."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

MASK = "[not written down]"
_WHOSE = (
    r"(?:api|access|auth|bearer|hf|id|refresh|session|openai|azure|anthropic|google|gemini|github|gitlab|aws|wandb|slack|service"
    r"|account|client|user|my|personal|deploy|bot)"
)
_NAME = (
    r"(?:(?:[\w-]*[_-])?(?:(?:api|access|private|secret)[_-]?key|secret|passw(?:or)?d|passphrase|pwd|credentials?)"
    r"|(?:proxy-)?authorization|auth|bearer|signature|key|cookie|jwt"
    rf"|(?:[\w-]*[_-])?{_WHOSE}[_-]?(?:key|token)|token)"
)
_VALUE = re.compile(
    r"(?<![A-Za-z0-9/])(?:sk-(?=[\w-]*\d)[\w-]{20,}|gh[pousr]_[A-Za-z0-9]{20,}|hf_[A-Za-z0-9]{30,}|xox[abprs]-[\w-]{10,})"
)
"""How the keys of some services begin, under whatever name."""
_SECRET = re.compile(_NAME, re.IGNORECASE)
_GIVEN = re.compile(rf"(?<![\w-])({_NAME}\s*=\s*)[^,]+", re.IGNORECASE)


def masked(values: Mapping[str, Any]) -> dict[str, Any]:
    """The mapping, at any depth, without the values of names such as api_key, token and password."""
    return {name: MASK if _SECRET.fullmatch(str(name)) else _masked(value) for name, value in values.items()}


def _masked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return masked(value)
    if isinstance(value, str):
        return _VALUE.sub(MASK, value)
    return [_masked(each) for each in value] if isinstance(value, list | tuple) else value


def masked_words(words: tuple[str, ...]) -> list[str]:
    """A command line without the values of such names: `api_key=...` within any word."""
    return [_VALUE.sub(MASK, _GIVEN.sub(rf"\1{MASK}", word)) for word in words]
