"""What is said to and by a chat server: its address, a request, a reply or a failure, and what was used."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import NamedTuple
from urllib.parse import urlsplit

from kangaroo_eval.errors import UserError

OPENAI_URL = "https://api.openai.com/v1"
MOST_TOKENS = 10**12  # a count above it is none
KEY_VARIABLE = "OPENAI_API_KEY"  # where messages tell the user to put the key: a flag would show it in `ps`


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """A model behind an OpenAI-compatible server, and how hard to press it.

    `base_url` None is OpenAI itself. `timeout` is seconds for one try, from sending to the last byte of the reply.
    `price` is USD per million prompt and completion tokens. `flags` is the option that names the model in messages
    (see `option` for the others), `key_variable` the environment variable that the key came from.
    """

    model: str
    base_url: str | None = None
    api_key: str | None = field(default=None, repr=False)
    concurrency: int = 8
    timeout: float = 120.0
    retries: int = 6
    price: tuple[float, float] | None = None
    flags: str = field(default="--judge", compare=False, repr=False)
    key_variable: str = field(default=KEY_VARIABLE, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise UserError(f"{self.flags} is empty: give the name that the server knows the model by")
        if self.base_url is not None:
            _check_url(self.base_url, self.option("base-url"), self.key_variable)
        self._check_key()
        if not 1 <= self.concurrency <= 1000:
            raise UserError(f"concurrency {self.concurrency}: expected 1 to 1000")
        if not (math.isfinite(self.timeout) and self.timeout > 0):
            raise UserError(f"timeout {self.timeout}: expected a number of seconds above 0")
        if self.retries < 0:
            raise UserError(f"retries {self.retries}: expected 0 or more")
        if self.price is not None and not all(math.isfinite(usd) and usd >= 0 for usd in self.price):
            raise UserError(
                f"{self.option('price')} {self.price}: expected USD per million prompt and completion tokens"
            )

    def _check_key(self) -> None:
        if not self.api_key:
            if self.base_url is None:
                raise UserError(
                    f"{OPENAI_URL} wants an API key: set {self.key_variable}, or give another server with "
                    f"{self.option('base-url')}"
                )
        elif not re.fullmatch(r"[!-~]+", self.api_key):
            # An HTTP client would refuse it too, with the key in its message.
            raise UserError(
                f"the API key in {self.key_variable} holds a blank, a line end or a letter outside ASCII"
            )

    def option(self, name: str) -> str:
        """How the user writes an option of this endpoint: --judge-price, but --model-args price for the model under
        test."""
        return f"--model-args {name.replace('-', '_')}" if self._of_model else f"{self.flags}-{name}"

    @property
    def extra(self) -> str:
        """The extra of this package that brings what the endpoint needs."""
        return "openai" if self._of_model else "judge"

    @property
    def _of_model(self) -> bool:
        return self.flags.startswith("--model")

    @property
    def url(self) -> str:
        """The base URL in use, without a slash at its end."""
        return (self.base_url or OPENAI_URL).rstrip("/")

    @property
    def identity(self) -> dict[str, str]:
        """What the model is known by in records and cache keys. No URL with a user name, a password or a query
        gets this far."""
        return {"model": self.model, "base_url": self.url}


def _check_url(url: str, flag: str, key_variable: str) -> None:
    """Refuse what is no plain http(s) address. Credentials and queries are refused, not cut off: HTTP clients log
    whole URLs. They are not shown either."""
    if re.search(r"[@?#]", url):
        raise UserError(
            f"{flag} holds a user name, a query or a fragment (@, ? or #): give the plain address, and put the "
            f"key in {key_variable}"
        )
    try:
        parts = urlsplit(url)
        right = parts.scheme in ("http", "https") and parts.port != 0 and bool(parts.hostname)
    except ValueError:
        right = False
    if not right or not re.fullmatch(r"[!-~]+", url):
        raise UserError(f"{flag} {url!r}: expected an address such as http://localhost:8000/v1")


class Message(NamedTuple):
    """One turn of a chat. `content` is a text, or a list of the API's content parts (text, image_url, ...)."""

    role: str
    content: str | Sequence[Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class Ask:
    """One chat request. `parameters` go into its body as they are (temperature, max_tokens, seed, ...). Another
    `attempt` is another request: a reply sampled once more must not come from the cache. Requests `about` one thing
    are refused together, as those about a video that a server will not look at; None: about nothing else's."""

    messages: tuple[Message, ...]
    parameters: Mapping[str, object] = field(default_factory=dict)
    attempt: int = 0
    about: Hashable = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model said; the text may be empty, or cut short (`finish_reason` "length"). `served_by` is the
    model's name in the response, `seconds` what the request took, of a cached reply when it was made."""

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    served_by: str | None
    finish_reason: str | None
    cached: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class Failed:
    """No reply. `type` is "timeout", "connection", "malformed", "no_text", "only_thoughts", "broken_off" (by the server),
    "request" (it cannot be written as JSON), "quota" or "http_<status>". `permanent`: asking again later would end the same. `tries` is the number of
    requests sent; 0 when an earlier refusal (wrong key, wrong model) spared this one."""

    type: str
    message: str
    permanent: bool
    tries: int = 0


def count_or_none(value: object) -> int | None:
    """A count, such as one of tokens, where it is one."""
    if isinstance(value, bool) or not isinstance(value, int):
        return None
    return value if 0 <= value <= MOST_TOKENS else None


@dataclass(frozen=True, slots=True)
class Usage:
    """What an endpoint has used so far. `requests` counts every try, `retries` those that repeat one; `cached` and
    `failed` count asks. Tokens and cost are of what was sent; a bill may be higher than `cost` when `unmetered`
    (bodies without token counts) is not 0. `cost` is USD, None without a price."""

    requests: int = 0
    retries: int = 0
    cached: int = 0
    failed: int = 0
    unmetered: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float | None = None

    def as_dict(self) -> dict[str, int | float | None]:
        """The counts by name."""
        return asdict(self)

    @classmethod
    def stored(cls, facts: object) -> Usage:
        """What `as_dict` gave before; what is no count there is 0."""
        known = facts if isinstance(facts, Mapping) else {}
        counts = {name: count_or_none(known.get(name)) or 0 for name in _COUNTS}
        return cls(**counts, cost=_usd(known.get("cost")))

    def plus(self, other: Usage, sign: int = 1) -> Usage:
        """Both together; with `sign` -1, what this one has more. The cost is unknown where one of them is."""
        counts = {name: getattr(self, name) + sign * getattr(other, name) for name in _COUNTS}
        cost = None if self.cost is None or other.cost is None else self.cost + sign * other.cost
        return Usage(**counts, cost=cost)


_COUNTS = tuple(each.name for each in fields(Usage) if each.name != "cost")


def _usd(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
