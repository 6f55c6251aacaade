"""The options of `openai:MODEL`: what is asked of the server and how, checked before anything is sent."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from kangaroo_eval.chat import KEY_VARIABLE, EndpointConfig
from kangaroo_eval.errors import UserError
from kangaroo_eval.options import flag, positive, refuse_unknown
from kangaroo_eval.secrecy import masked

MODEL_ARGS = {
    "base_url": "address of the server, such as http://localhost:8000/v1 (default: OpenAI itself)",
    "key_env": f"environment variable that holds the API key (default {KEY_VARIABLE})",
    "image": "jpeg (default) or png",
    "quality": "of jpeg, 1 to 100 (default 90)",
    "detail": "auto, low or high, sent with every frame (default: not sent)",
    "frame_size": "pixels of a frame's longer side (default 448)",
    "keep_aspect": "1 (default) keeps the video's aspect ratio, 0 makes frames square",
    "times": "1 writes before each frame when it is shown (default 0)",
    "prefill": "how a task's beginning of the answer is given: prompt (default; any server) asks for it in words, "
    "continue sets it (vLLM, SGLang, llama.cpp)",
    "token_limit": "max_tokens (default) or max_completion_tokens, the name that reasoning models want",
    "thinking_tokens": "tokens added to a task's limit for a reasoning model's thoughts (default 0)",
    "drop": "parameters not to send, joined by +: temperature, seed, max_tokens",
    "body": "a JSON file of further fields of every request",
    "concurrency": "requests in flight (default 8)",
    "timeout": "seconds for one try (default 300)",
    "retries": "further tries of a request that fails (default 6)",
    "price": "IN:OUT, USD per million prompt and completion tokens",
}
VARIABLE = re.compile(r"(?!\d)[A-Za-z0-9]{1,20}(_[A-Za-z0-9]{1,20})*")
"""Names of environment variables that are shown; keys have a longer piece without an underscore, or a dash."""
DROPPABLE = ("temperature", "seed", "max_tokens")
OURS = frozenset({*DROPPABLE, "model", "messages", "max_completion_tokens", "n", "stream"})
"""Fields that a file of further fields may not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatOptions:
    """How frames and questions are put to a chat server. `body` are further fields of every request; the rest is as
    in `MODEL_ARGS`."""

    image: str = "jpeg"
    quality: int = 90
    detail: str | None = None
    frame_size: int = 448
    keep_aspect: bool = True
    times: bool = False
    prefill: str = "prompt"
    token_limit: str = "max_tokens"
    thinking_tokens: int = 0
    drop: frozenset[str] = frozenset()
    body: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _one_of("image", self.image, ("jpeg", "png"))
        if not 1 <= self.quality <= 100:
            raise UserError(f"--model-args quality={self.quality}: give 1 to 100")
        if self.detail is not None:
            _one_of("detail", self.detail, ("auto", "low", "high"))
        _one_of("prefill", self.prefill, ("prompt", "continue"))
        _one_of("token_limit", self.token_limit, ("max_tokens", "max_completion_tokens"))
        for name in sorted(self.drop):
            _one_of("drop", name, DROPPABLE)
        taken = sorted(OURS & self.body.keys())
        if taken:
            raise UserError(f"--model-args body: {', '.join(taken)} cannot be set there, the harness sets it")

    def parameters(self, max_new_tokens: int, seed: int) -> dict[str, object]:
        """The fields of a request beside model and messages."""
        ours = {
            "temperature": 0,
            "seed": seed,
            self.token_limit: max_new_tokens + self.thinking_tokens,
        }
        dropped = self.drop | ({self.token_limit} if "max_tokens" in self.drop else set())
        return {**self.body, **{name: value for name, value in ours.items() if name not in dropped}}

    def facts(self) -> dict[str, object]:
        """All that changes what the model is asked, for its identity and the run record."""
        return {
            "image": f"jpeg, quality {self.quality}" if self.image == "jpeg" else self.image,
            "detail": self.detail,
            "times": self.times,
            "prefill": "set" if self.prefill == "continue" else "asked for in words",
            "token_limit": self.token_limit,
            "thinking_tokens": self.thinking_tokens,
            "dropped": sorted(self.drop),
            "body": masked(self.body),
        }

    def model_hash(self, config: EndpointConfig) -> str:
        """The identity of a served model: name, address, and how it is asked. Its weights are not known."""
        parts = {**config.identity, **self.facts()}
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def read_options(model_args: Mapping[str, Any]) -> ChatOptions:
    """The options among `--model-args`, whose values are texts or Python's own. `UserError` names what is wrong."""
    refuse_unknown(model_args, MODEL_ARGS)
    given = {name: str(value) for name, value in model_args.items()}
    found: dict[str, Any] = {
        name: given[name] for name in ("image", "detail", "prefill", "token_limit") if name in given
    }
    found |= {name: positive(name, given[name]) for name in ("quality", "frame_size") if name in given}
    found |= {name: flag(name, given[name]) for name in ("keep_aspect", "times") if name in given}
    if "thinking_tokens" in given:
        found["thinking_tokens"] = _whole("thinking_tokens", given["thinking_tokens"])
    if "drop" in given:
        found["drop"] = frozenset(filter(None, given["drop"].split("+")))
    if "body" in given:
        found["body"] = _body(given["body"])
    return ChatOptions(**found)


def endpoint_config(model: str, model_args: Mapping[str, Any]) -> EndpointConfig:
    """The server that `--model-args` name, with the key from the environment.

    The key is read here and is no argument: arguments land in run.json, in `ps` and in shell histories. Nothing
    else of a backend reads the environment.
    """
    given = {name: str(value) for name, value in model_args.items()}
    variable = given.get("key_env", KEY_VARIABLE)
    key = os.environ.get(variable)
    if "key_env" in given and not key:
        if not VARIABLE.fullmatch(variable):
            # Most likely the key itself, which is shown nowhere.
            raise UserError("--model-args key_env: give the name of an environment variable, not a key")
        raise UserError(f"--model-args key_env={variable}: this environment variable is not set")
    numbers: dict[str, Any] = {}
    if "concurrency" in given:
        numbers["concurrency"] = positive("concurrency", given["concurrency"])
    if "retries" in given:
        numbers["retries"] = _whole("retries", given["retries"])
    return EndpointConfig(
        model=model,
        base_url=given.get("base_url"),
        api_key=key,
        timeout=_number("timeout", given.get("timeout", "300")),
        price=_price(given["price"]) if "price" in given else None,
        flags="--model openai:",
        key_variable=variable,
        **numbers,
    )


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UserError(f"--model-args {name}={value}: choose one of {', '.join(choices)}")


def _whole(name: str, value: str) -> int:
    if not value.isdecimal():
        raise UserError(f"--model-args {name}={value}: give a whole number of at least 0")
    return int(value)


def _number(name: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise UserError(f"--model-args {name}={value}: give a number") from None


def _price(text: str) -> tuple[float, float]:
    try:
        prompt, completion = map(float, text.split(":"))
    except ValueError:
        raise UserError(
            f"--model-args price={text}: give USD per million prompt and completion tokens, such as 2.5:10"
        ) from None
    return prompt, completion


def _body(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError) as error:
        raise UserError(f"--model-args body={path}: cannot be read as JSON ({error})") from error
    if not isinstance(found, dict):
        raise UserError(f"--model-args body={path}: expected a JSON object of fields")
    return found
