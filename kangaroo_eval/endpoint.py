"""The one OpenAI-compatible client: concurrency, retries, cache, token and cost accounting.

Judges, API models and captioners ask through it. Any server that speaks /v1/chat/completions will do; a local
one is started by one of these lines and used with `--judge-base-url http://localhost:8000/v1`:

    vllm serve MODEL --port 8000
    python -m sglang.launch_server --model-path MODEL --port 8000
    llama-server -m model.gguf --port 8000

Requests run in one event loop in a thread of their own, for there a request that is no longer wanted can be
cancelled at once (Ctrl-C, an early `break`, the time-out of a server that trickles), and a pool of threads
could not. For the same reason the `openai` package's own retry is switched off: its sleep counts no malformed
body, has no full jitter, and is not shown in the number of tries.

The API key goes into the Authorization header and nowhere else: whatever a server sends back is cleared of it.
The `openai` package follows redirects; its HTTP client drops that header when the host, port or scheme changes
(all but http -> https on one host), so a key does not travel, though the messages do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import threading
import time
from collections.abc import Coroutine, Hashable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar

from kangaroo_eval.chat import (
    KEY_VARIABLE,
    OPENAI_URL,
    Ask,
    EndpointConfig,
    Failed,
    Message,
    Reply,
    Usage,
)
from kangaroo_eval.completions import read_completion
from kangaroo_eval.diagnosis import diagnosis, unknown_model
from kangaroo_eval.errors import UserError
from kangaroo_eval.reply_cache import ReplyCache, cache_key, canonical, get
from kangaroo_eval.wire import cost, error_message, reason, retry_after

if TYPE_CHECKING:
    import openai

__all__ = [
    "KEY_VARIABLE",
    "OPENAI_URL",
    "Ask",
    "Endpoint",
    "EndpointConfig",
    "Failed",
    "Message",
    "Reply",
    "Usage",
    "diagnosis",
]

log = logging.getLogger(__name__)

NO_KEY = "EMPTY"  # sent to a server that needs none; without it the package would send OPENAI_API_KEY there

# The wait before retry n is anything from 0 to FIRST_BACKOFF * 2**n seconds, at most LONGEST_BACKOFF: jitter over
# the whole span, so that requests that were refused together do not come back together.
FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
LONGEST_RETRY_AFTER = 300.0  # a server that wants a longer wait is not waited for
CHECK_RETRIES = 2  # `probe` and `check` answer a person who waits
LONG_WAIT = 10.0  # seconds after which that person wants to know what is waited for

RETRIED = frozenset({408, 409, 425, 429})  # and everything from 500 on
# The key or the account is wrong, so every other request would end the same.
BREAKING = frozenset({401, 402})
# So is the key or the model, or else something in this one request: a picture that the server's owner will not look at
# (403), or a file that the server does not find (404).
DOUBTFUL = frozenset({403, 404})
DOUBTED_IN_A_ROW = 3

T = TypeVar("T")


class _Try(NamedTuple):
    outcome: Reply | Failed
    wait: float | None = None  # seconds, from Retry-After


class Endpoint:
    """A model that answers chat requests. Safe to use from several threads; at most `concurrency` requests are in
    flight, whoever asks. Close it, or use it in a `with`.

    After the first 401 or 402 (wrong key, empty account) or a used-up quota it sends nothing more: every further ask
    that is not in the cache fails with that reason. So it does after a 403 or 404 (wrong key, wrong model) as long as
    nothing was answered; later these are their request's own failure, until requests about three things in a row get
    them. Make another endpoint to try again.
    """

    def __init__(self, config: EndpointConfig, cache: Path | None) -> None:
        self.config = config
        self._client = _client(config)
        self._cache = None if cache is None else ReplyCache(cache)
        self._usage = Usage(cost=None if config.price is None else 0.0)  # replaced in the loop's thread only
        self._slots = asyncio.Semaphore(config.concurrency)
        self._refusal: Failed | None = None
        self._refused = asyncio.Event()
        self._answered = False
        self._doubted: set[Hashable] = set()  # what was asked about and got a 403 or 404 since the last reply
        self._random = random.Random()  # of its own: a seeded run draws from the shared one
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="endpoint", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def usage(self) -> Usage:
        """The counts at this moment."""
        return self._usage

    @property
    def refusal(self) -> Failed | None:
        """Why nothing more is sent; None while something is."""
        return self._refusal

    def cost_of(self, reply: Reply) -> float | None:
        """USD that the reply cost now, nothing when cached; None without a price or token counts."""
        if self.config.price is None or reply.prompt_tokens is None or reply.completion_tokens is None:
            return None
        return 0.0 if reply.cached else cost(self.config.price, reply.prompt_tokens, reply.completion_tokens)

    def ask(self, ask: Ask) -> Reply | Failed:
        """The reply, from the cache if it is there; waits for it."""
        return self._wait(self._answer(ask))

    def submit(self, ask: Ask) -> Future[Reply | Failed]:
        """The same without waiting. Cancelling the future cancels the request; it must be done, or cancelled, before
        the endpoint is closed."""
        return self._start(self._answer(ask))

    def ask_all(self, asks: Iterable[Ask]) -> Iterator[tuple[int, Reply | Failed]]:
        """Each ask's index and outcome, as they complete. Asks are taken one by one in this thread, at most twice
        `concurrency` of them ahead of what was handed out. Leaving early cancels what is in flight."""
        source = enumerate(asks)
        done: SimpleQueue[Future[Reply | Failed]] = SimpleQueue()
        pending: dict[Future[Reply | Failed], int] = {}
        more = True
        try:
            while more or pending:
                if more and len(pending) < 2 * self.config.concurrency and done.empty():
                    item = next(source, None)
                    if item is None:
                        more = False
                        continue
                    future = self.submit(item[1])
                    pending[future] = item[0]
                    future.add_done_callback(done.put)
                    continue
                future = done.get()
                yield pending.pop(future), future.result()
        finally:
            for future in reversed(pending):  # those that wait for a slot first, or they would get one
                future.cancel()

    def probe(self, ask: Ask) -> Reply | Failed:
        """The outcome of one request past the cache, for a person who waits: with few retries, none after a time-out,
        and a word when it takes long."""
        future = self._start(self._persist(ask, min(self.config.retries, CHECK_RETRIES), patient=False))
        try:
            with contextlib.suppress(TimeoutError):
                return future.result(timeout=LONG_WAIT)
            log.warning("waiting for %s, at most %g s a try", self.config.url, self.config.timeout)
            return future.result()
        finally:
            future.cancel()

    def check(self) -> None:
        """One small request, past the cache. `UserError` says what is wrong and the mend: the server cannot be
        reached, it refuses the key, it does not know the model, it is overloaded."""
        outcome = self.probe(CHECK)
        if isinstance(outcome, Failed):
            raise UserError(self.diagnosis(outcome))

    def close(self) -> None:
        """Cancel what is in flight and end the thread. May be called twice."""
        if self._loop.is_closed():
            return
        with contextlib.suppress(TimeoutError):
            self._start(self._wind_down()).result(timeout=5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            self._loop.close()

    async def _wind_down(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await self._client.close()

    def _start(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop.is_closed():
            work.close()
            raise RuntimeError("this endpoint is closed")
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = self._start(work)
        try:
            return future.result()
        finally:
            future.cancel()  # after Ctrl-C; one that is done cannot be cancelled

    async def _answer(self, ask: Ask) -> Reply | Failed:
        """The cached reply, or one that is asked for and then cached."""
        try:
            key = canonical(cache_key(self.config, ask))
        except (TypeError, ValueError) as error:
            self._count(failed=1)
            return Failed("request", f"it cannot be written as JSON: {error}", permanent=True)
        if self._cache and (cached := self._cache.read(key)):
            self._count(cached=1)
            return cached
        outcome = await self._persist(ask, self.config.retries)
        if isinstance(outcome, Failed):
            self._count(failed=1)
        elif self._cache:
            self._cache.write(key, outcome)
        return outcome

    async def _persist(self, ask: Ask, retries: int, patient: bool = True) -> Reply | Failed:
        """Send until there is a reply, a permanent failure, or no retry left; who is not `patient` takes a time-out for
        the last word. A request keeps its slot while it waits, so a server that is overloaded gets fewer."""
        async with self._slots:
            tries = 0
            while True:
                if self._refusal:
                    return replace(self._refusal, tries=tries)
                outcome, wait = await self._send(ask, again=tries > 0)
                if isinstance(outcome, Reply):
                    return outcome
                tries += 1
                outcome = replace(outcome, tries=tries)
                hopeless = outcome.permanent or (outcome.type == "timeout" and not patient)
                if hopeless or tries > retries:
                    return outcome
                if wait is not None and wait > LONGEST_RETRY_AFTER:
                    return replace(outcome, message=f"{outcome.message} (it wants a wait of {wait:.0f} s)")
                # Clipped before the power, which would leave the range of floats.
                backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** min(tries - 1, 30))
                seconds = (wait or 0) + self._random.uniform(0, FIRST_BACKOFF if wait else backoff)
                log.debug("%s: %s; again in %.1f s", self.config.model, outcome.message, seconds)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._refused.wait(), seconds)

    async def _send(self, ask: Ask, again: bool) -> _Try:
        """One request over the wire."""
        import openai

        self._count(requests=1, retries=int(again))
        began = time.monotonic()
        messages: Any = [message._asdict() for message in ask.messages]
        try:
            async with asyncio.timeout(self.config.timeout):
                raw = await self._client.chat.completions.with_raw_response.create(
                    model=self.config.model, messages=messages, extra_body=dict(ask.parameters)
                )
        except (TimeoutError, openai.APITimeoutError):
            return _Try(
                Failed("timeout", f"no whole reply within {self.config.timeout:g} s", permanent=False)
            )
        except openai.APIStatusError as error:
            return self._turned_down(error, ask)
        except openai.APIConnectionError as error:
            return _Try(Failed("connection", self._line(reason(error)), permanent=False))
        outcome = self._read(raw.http_response.content, time.monotonic() - began)
        if isinstance(outcome, Reply) or outcome.type == "no_text":  # key and model are right
            self._answered = True
            self._doubted.clear()
        return _Try(outcome)

    def _turned_down(self, error: openai.APIStatusError, ask: Ask) -> _Try:
        """What an HTTP error status means."""
        status = error.status_code
        said = error_message(error.body) or error.response.text or "no reason given"
        if status == 401:
            # The server's own text is left out: it often shows part of the key.
            kind, message = "http_401", "HTTP 401: the server refuses the API key"
        elif error.code == "insufficient_quota":
            kind, message = "quota", self._line(f"HTTP {status}: {said}")
        else:
            kind, message = f"http_{status}", self._line(f"HTTP {status}: {said}")
        permanent = kind == "quota" or not (status in RETRIED or status >= 500)
        failed = Failed(kind, message, permanent)
        if status in DOUBTFUL:
            self._doubted.add(object() if ask.about is None else ask.about)
        doubted = len(self._doubted) >= (DOUBTED_IN_A_ROW if self._answered else 1)
        if kind == "quota" or status in BREAKING or (status in DOUBTFUL and doubted):
            self._refusal = self._refusal or failed
            self._refused.set()
        return _Try(failed, retry_after(error.response.headers))

    def _read(self, content: bytes, seconds: float) -> Reply | Failed:
        """The reply in a body that came with status 200."""
        found = read_completion(content)
        self._meter(found.prompt_tokens, found.completion_tokens)
        if found.failed is not None or found.text is None:
            failed = found.failed or Failed("malformed", "the reply has no text", permanent=False)
            return replace(failed, message=self._line(failed.message))
        return Reply(
            self._hide(found.text),
            found.prompt_tokens,
            found.completion_tokens,
            self._name(found.served_by),
            found.finish,
            cached=False,
            seconds=seconds,
        )

    def _count(self, **more: int) -> None:
        now = {name: getattr(self._usage, name) + number for name, number in more.items()}
        self._usage = replace(self._usage, **now)

    def _meter(self, prompt_tokens: int | None, completion_tokens: int | None) -> None:
        known = prompt_tokens is not None and completion_tokens is not None
        self._count(
            unmetered=int(not known),
            prompt_tokens=prompt_tokens or 0,
            completion_tokens=completion_tokens or 0,
        )
        if self.config.price is not None:
            used = self._usage
            spent = cost(self.config.price, used.prompt_tokens, used.completion_tokens)
            self._usage = replace(used, cost=spent)

    def _hide(self, text: str) -> str:
        """The text without the API key. A short "key" is a placeholder such as "EMPTY", and may be a word."""
        key = self.config.api_key or ""
        return text.replace(key, "[API key]") if len(key) >= 8 else text

    def _line(self, text: str) -> str:
        """One line of at most 300 characters, without the API key."""
        line = " ".join(self._hide(text).split())
        return line if len(line) <= 300 else line[:297] + "..."

    def _name(self, value: object) -> str | None:
        return self._hide(value) if isinstance(value, str) else None

    def diagnosis(self, failed: Failed) -> str:
        """What a failure says of the whole endpoint, and the mend; one line."""
        if failed.type != "http_404" or self._answered:
            return diagnosis(self.config, failed, self._answered)
        models = self.models()
        listed = None if isinstance(models, Failed) else self._line(", ".join(models))
        return unknown_model(self.config, failed, listed)

    def models(self) -> list[str] | Failed:
        """The models that the server lists, asked for once; why it does not say."""
        return self._wait(self._models())

    async def _models(self) -> list[str] | Failed:
        import openai

        seconds = min(self.config.timeout, 10)
        try:
            async with asyncio.timeout(seconds):
                raw = await self._client.models.with_raw_response.list()
            listed = get(json.loads(raw.http_response.content), "data")
        except (TimeoutError, openai.APITimeoutError):
            return Failed("timeout", f"no whole reply within {seconds:g} s", permanent=False)
        except openai.APIStatusError as error:
            # The server's own text is left out: it may show part of the key.
            return Failed(f"http_{error.status_code}", f"HTTP {error.status_code}", permanent=True)
        except openai.APIConnectionError as error:
            return Failed("connection", self._line(reason(error)), permanent=False)
        except (openai.OpenAIError, ValueError):
            listed = None
        if not isinstance(listed, list):
            return Failed("malformed", "no list of models", permanent=True)
        return [self._line(str(get(model, "id"))) for model in listed]


CHECK = Ask((Message("user", "Reply with the word OK."),))  # no parameters: some models refuse the usual ones


def _client(config: EndpointConfig) -> openai.AsyncOpenAI:
    try:
        import openai
    except ImportError as error:
        raise UserError(
            f'{config.flags} needs the package {error.name!r}: pip install "kangaroo-eval[{config.extra}]"'
        ) from error
    client = openai.AsyncOpenAI(
        api_key=config.api_key or NO_KEY, base_url=config.url, timeout=config.timeout, max_retries=0
    )
    if config.base_url is not None:  # from the environment, and nobody else's business
        client.organization = client.project = None
    return client
