"""`openai:MODEL`: a video model behind any server that speaks OpenAI's chat completions.

Frames go out as pictures in data URLs, in the order of their times, before the question: so all questions about
a video begin with the same bytes, and a server that caches prefixes reads the video once. Pictures are made by
Pillow, not by PyAV's encoders: it writes PNG and JPEG without subsampled colour from RGB in memory, the same
bytes each time.

A reply's text is kept as it is, but for the beginning that was asked for (`prefill.py`): thoughts in <think> marks
stay in it, thoughts that a server sends apart (`reasoning_content`) are not part of it. A reply that the server broke
off or a filter cut, one that is thoughts alone, and one that the model did not end itself and that is empty or still
thinks, is a failure of its request and no answer.
"""

from __future__ import annotations

import base64
import io
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, as_completed
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NamedTuple

from kangaroo_eval.backends.interleave import interleave
from kangaroo_eval.backends.prefill import Echoes, asked_in_words
from kangaroo_eval.backends.remote_mends import mend_of
from kangaroo_eval.backends.remote_options import MODEL_ARGS as MODEL_ARGS
from kangaroo_eval.backends.remote_options import ChatOptions, endpoint_config, read_options
from kangaroo_eval.endpoint import Ask, Endpoint, Failed, Message, Reply, Usage
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.options import STANDARD
from kangaroo_eval.types import Failure, Frames, Request, Response

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

Part = Mapping[str, object]

CONTINUE: Mapping[str, object] = {"continue_final_message": True, "add_generation_prompt": False}
"""Has vLLM and SGLang go on with a last assistant message, as llama.cpp does anyway."""

CHECK_SIZE = 64  # pixels; some servers refuse smaller pictures
CHECK_TOKENS = 16
UNCOUNTED = "the server counts no tokens for pictures: it may not look at them"

_THOUGHT = re.compile(r"<think(?:ing)?>", re.IGNORECASE)
_THOUGHT_END = re.compile(r"</think(?:ing)?>", re.IGNORECASE)


class _Asked(NamedTuple):
    """A request on its way, without its pixels. `video` counts the videos asked about."""

    id: str
    prefill: str | None
    frame_times: tuple[float, ...]
    video: int


_Flight = dict[Future[Reply | Failed], _Asked]


class ChatServer:
    """A served model as the harness sees it (protocols `Model`, `AspectKeeping`, `Described` and `Continuing`).

    Up to `concurrency` requests are in flight, and as many wait for their turn to be sent; they are about at most
    one video more than `concurrency`. The endpoint's thread ends with `close`, or with the process.
    """

    dtype = "the server's"

    def __init__(self, endpoint: Endpoint, options: ChatOptions, seed: int) -> None:
        config = endpoint.config
        self.name = f"openai:{config.model}"
        self.frame_size = options.frame_size
        self.keep_aspect = options.keep_aspect
        self.model_hash = options.model_hash(config)
        self.endpoint = endpoint
        self.options = options
        self.seed = seed
        self.handing_over = False
        self._served_by: dict[str, None] = {}
        self._echoes = Echoes()
        self._before: Usage | None = None  # of earlier calls of this run
        self._apart: Usage | None = None  # of this endpoint for earlier calls, which `_before` holds too
        self._used = False
        self._encoded: tuple[Frames, list[str]] | None = None
        self._videos = 0
        self._uncounted = False
        self._told_of_prefill = False

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of the scores must know."""
        greedy = (
            ("not greedy: the server chooses the temperature",) if "temperature" in self.options.drop else ()
        )
        served = list(self._served_by)
        mixed = (
            (f"answers of {len(served)} models are mixed: {', '.join(served)}",) if len(served) > 1 else ()
        )
        return greedy + mixed + ((UNCOUNTED,) if self._uncounted else ())

    @property
    def settings(self) -> Mapping[str, object]:
        """How the model was asked, who answered, and what was used so far, with the earlier calls of the run."""
        return {
            **self.endpoint.config.identity,
            **self.options.facts(),
            "weights": "unknown: a served model",
            "served_by": list(self._served_by),
            "concurrency": self.endpoint.config.concurrency,
            "timed_text": "between the frames",
            "prefill_echoes": self._echoes.facts(),
            "usage": self._used_so_far().as_dict(),
        }

    def earlier(self, settings: Mapping[str, object]) -> None:
        """Go on from the `settings` that an earlier call of the same run ended with: who answered then, and what was
        used. Empty ones begin a run anew."""
        if self._used:
            self._apart = self.endpoint.usage
        self._used = True
        self._before = Usage.stored(settings["usage"]) if "usage" in settings else None
        served = settings.get("served_by")
        names = served if isinstance(served, list | tuple) else ()
        self._served_by = {name: None for name in names if isinstance(name, str)}
        self._echoes.take_up(settings.get("prefill_echoes"))

    def _used_so_far(self) -> Usage:
        used = self.endpoint.usage
        if self._apart is not None:
            used = used.plus(self._apart, -1)
        return used if self._before is None else self._before.plus(used)

    def close(self) -> None:
        """Cancel what is in flight and end the endpoint's thread."""
        self.endpoint.close()

    def check(self) -> None:
        """Ask one small question about one small picture, just as a run asks, and again without the picture. `UserError`
        says what is wrong with the server, the key, the model or a parameter, and the mend. A server that drops pictures
        in silence shows by its count of tokens."""
        import numpy as np

        grey = np.full((1, CHECK_SIZE, CHECK_SIZE, 3), 128, np.uint8)
        pictures = [self._picture(url) for url in data_urls(grey, self.options)]
        outcome = self._probe(pictures)
        # A model whose thoughts fill the few tokens works all the same.
        if isinstance(outcome, Failed) and outcome.type != "no_text":
            mend = mend_of(outcome)
            config = self.endpoint.config
            raise UserError(
                f"{config.url} refuses what {self.name} is asked ({outcome.message}): {mend}"
                if mend
                else self.endpoint.diagnosis(outcome)
            )
        if isinstance(outcome, Reply) and outcome.prompt_tokens is not None:
            self._compare(outcome.prompt_tokens, self._probe([]))

    def _probe(self, pictures: list[Part]) -> Reply | Failed:
        content = [*pictures, _text("Reply with the word OK.")]
        parameters = self.options.parameters(CHECK_TOKENS, self.seed)
        return self.endpoint.probe(Ask((Message("user", content),), parameters))

    def _compare(self, with_picture: int, alone: Reply | Failed) -> None:
        # A model may want a picture, a server count nothing at all; one token is a picture where it is attended to apart.
        if isinstance(alone, Failed) or not alone.prompt_tokens:
            return
        self._uncounted = with_picture <= alone.prompt_tokens
        if self._uncounted:
            log.warning("%s: %s", self.name, UNCOUNTED)

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """Answer with many requests in flight, each as soon as it is answered. A request that fails costs only itself;
        a server that refuses all of them (key, account or model) ends the run: `RunFailed`."""
        self._used = True
        stream = iter(requests)
        flight: _Flight = {}
        done: SimpleQueue[Future[Reply | Failed]] = SimpleQueue()
        more = True
        self.handing_over = False
        try:
            while more or flight:
                if self.endpoint.refusal is not None:
                    for future in as_completed(list(flight)):
                        yield from self._told(flight, future)
                    raise RunFailed(self.endpoint.diagnosis(self.endpoint.refusal))
                if flight and (not more or not done.empty() or self._is_full(flight)):
                    yield from self._told(flight, done.get())
                    continue
                try:
                    more = self._ask_next(stream, flight, done)
                except BaseException:
                    # Ctrl-C while the next video is decoded, say: what was answered meanwhile is paid for.
                    self.handing_over = True
                    while not done.empty():
                        yield from self._told(flight, done.get())
                    raise
        finally:
            self._encoded = None
            # The last first: those that wait for their turn must not be sent when the others make room.
            for future in reversed(flight):
                future.cancel()

    def _is_full(self, flight: _Flight) -> bool:
        concurrency = self.endpoint.config.concurrency
        videos = {asked.video for asked in flight.values()}
        return len(flight) >= 2 * concurrency or len(videos) > concurrency

    def _ask_next(
        self, stream: Iterator[Request], flight: _Flight, done: SimpleQueue[Future[Reply | Failed]]
    ) -> bool:
        """Send the next request, if there is one. Nothing here outlives the call, so that no video's pixels are kept
        while the next is waited for."""
        request = next(stream, None)
        if request is None:
            return False
        future, asked = self._ask(request)
        flight[future] = asked
        future.add_done_callback(done.put)
        return True

    def _told(self, flight: _Flight, future: Future[Reply | Failed]) -> Iterator[Response | Failure]:
        """The outcome of a request that is done. One that was refused as every other would be has not failed by
        itself: it stays in `flight`, and unasked."""
        outcome, refusal = future.result(), self.endpoint.refusal
        if isinstance(outcome, Reply) or refusal is None or outcome.type != refusal.type:
            yield self._outcome(flight.pop(future), outcome)

    def _ask(self, request: Request) -> tuple[Future[Reply | Failed], _Asked]:
        parameters = self.options.parameters(request.max_new_tokens, self.seed)
        messages = [] if request.system is None else [Message("system", request.system)]
        prompt = request.prompt
        if request.prefill and self.options.prefill == "prompt":
            self._tell_of_prefill(request.prefill)
            prompt = asked_in_words(prompt, request.prefill)
        messages.append(Message("user", [*self._video(request), _text(prompt)]))
        if request.prefill and self.options.prefill == "continue":
            messages.append(Message("assistant", request.prefill))
            parameters |= CONTINUE
        times = tuple(float(each) for each in request.frames.times)
        about = self._videos if times else None
        future = self.endpoint.submit(Ask(tuple(messages), parameters, about=about))
        return future, _Asked(request.id, request.prefill, times, self._videos)

    def _tell_of_prefill(self, prefill: str) -> None:
        if not self._told_of_prefill:
            log.warning(
                "%s: the beginning of the answer (%r) is asked for in words, for not every server can set it; "
                "--model-args prefill=continue sets it",
                self.name,
                prefill,
            )
        self._told_of_prefill = True

    def _video(self, request: Request) -> list[Part]:
        """The parts of the message before the question: pictures, their times, and subtitles between them."""
        frames, cues = request.frames, request.timed_text
        if not frames.times:  # no video is shown: the subtitles are all there is of it
            return [_text(cue.text) for cue in cues]
        urls = self._urls(request)
        parts: list[Part] = []
        for each in interleave(frames.times, cues):
            if not isinstance(each, int):
                parts.append(_text(each.text))
                continue
            if self.options.times:
                parts.append(_text(f"Frame at {frames.times[each]:.1f} s:"))
            parts.append(self._picture(urls[each]))
        return parts

    def _urls(self, request: Request) -> list[str]:
        """The frames as data URLs, made once for all questions about a video."""
        if self._encoded is None or self._encoded[0] is not request.frames:
            self._videos += 1
            self._encoded = (request.frames, data_urls(request.frames.pixels, self.options))
        urls = self._encoded[1]
        if not request.siblings:
            self._encoded = None
        return urls

    def _picture(self, url: str) -> Part:
        detail = {} if self.options.detail is None else {"detail": self.options.detail}
        return {"type": "image_url", "image_url": {"url": url, **detail}}

    def _outcome(self, asked: _Asked, outcome: Reply | Failed) -> Response | Failure:
        """The outcome as the harness takes it."""
        if isinstance(outcome, Failed):
            mend = mend_of(outcome)
            return Failure(asked.id, outcome.type, f"{outcome.message}: {mend}" if mend else outcome.message)
        self._note_server(outcome.served_by)
        lack = _lack(outcome)
        if lack:
            return Failure(asked.id, "no_text", lack)
        return Response(
            id=asked.id,
            text=self._echoes.without(outcome.text, asked.prefill),
            frame_times=asked.frame_times,
            prompt_tokens=outcome.prompt_tokens,
            new_tokens=outcome.completion_tokens,
            seconds=outcome.seconds,
        )

    def _note_server(self, served_by: str | None) -> None:
        if served_by is None or served_by in self._served_by:
            return
        if self._served_by:
            log.warning(
                "%s: answers came from %s and now come from %s: this run mixes models",
                self.name,
                ", ".join(self._served_by),
                served_by,
            )
        self._served_by[served_by] = None


def load(
    argument: str | None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    seed: int = 0,
    **options: Any,
) -> ChatServer:
    """A model behind an OpenAI-compatible server: `openai:NAME --model-args base_url=http://localhost:8000/v1`.

    The API key comes from $OPENAI_API_KEY, or the variable that key_env names. The server is tried out with one small
    request. It chooses device, arithmetic and batches by itself. Raises `UserError`.
    """
    if not argument:
        raise UserError("model 'openai' needs the name that the server knows the model by: openai:NAME")
    for flag, value in (("--device", device), ("--dtype", dtype)):
        if value not in (None, "auto"):
            raise UserError(f"{flag} {value}: a served model's is chosen by its server; leave it out")
    model_args = {name: value for name, value in options.items() if name not in STANDARD}
    asked = read_options(model_args)
    config = endpoint_config(argument, model_args)
    _require_pillow()
    model = ChatServer(Endpoint(config, None), asked, seed)
    try:
        model.check()
    except BaseException:
        model.close()
        raise
    return model


def data_urls(pixels: NDArray[np.uint8], options: ChatOptions) -> list[str]:
    """Each frame of (n, height, width, 3) as a data URL."""
    from PIL import Image

    how: dict[str, Any] = {"quality": options.quality, "subsampling": 0}
    if options.image == "png":
        how = {"compress_level": 1}
    urls = []
    for frame in pixels:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, options.image, **how)
        urls.append(f"data:image/{options.image};base64,{base64.b64encode(file.getvalue()).decode()}")
    return urls


def _require_pillow() -> None:
    try:
        import PIL  # noqa: F401 - only looked for
    except ImportError as error:
        raise UserError(
            "--model openai: needs the package 'pillow': pip install \"kangaroo-eval[openai]\""
        ) from error


def _text(text: str) -> Part:
    return {"type": "text", "text": text}


def _lack(reply: Reply) -> str | None:
    """Why a reply is no answer; None where it is one, also where it was cut in its words."""
    finish = reply.finish_reason
    if finish == "content_filter" and reply.text.strip():
        return "the server's filter cut the reply (finish_reason 'content_filter')"
    said = _THOUGHT_END.split(reply.text)[-1]
    thinks = _THOUGHT.search(said) is not None
    if finish == "content_filter" or (finish != "stop" and (thinks or not said.strip())):
        what = "was cut in its thoughts" if thinks else "has no text"
        advice = "; a reasoning model needs --model-args thinking_tokens" if finish == "length" else ""
        return f"the reply {what} (finish_reason {finish!r}){advice}"
    return None
