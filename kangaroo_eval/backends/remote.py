"""`openai:MODEL`: a video model behind any server that speaks OpenAI's chat completions.

Frames go out as pictures in data URLs, in the order of their times, before the question: so all questions about
a video begin with the same bytes, and a server that caches prefixes reads the video once. Pictures are made by
Pillow, not by PyAV's encoders: it writes PNG and JPEG without subsampled colour from RGB in memory, the same
bytes each time.

A reply's text is kept as it is: thoughts in <think> marks stay in it, thoughts that a server sends apart
(`reasoning_content`) are not part of it. A reply that a filter cut, or an empty one that the model did not end
itself, is a failure of its request and no answer.
"""

from __future__ import annotations

import base64
import io
import logging
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from kangaroo_eval.backends.interleave import interleave
from kangaroo_eval.backends.prefill import asked_in_words, without_prefill
from kangaroo_eval.backends.remote_options import ChatOptions, endpoint_config, read_options
from kangaroo_eval.endpoint import Ask, Endpoint, Failed, Message, Reply
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


class _Asked(NamedTuple):
    """A request on its way, without its pixels. `video` counts the videos asked about."""

    id: str
    prefill: str | None
    frame_times: tuple[float, ...]
    video: int
    future: Future[Reply | Failed]


class ChatServer:
    """A served model as the harness sees it (protocols `Model`, `AspectKeeping` and `Described`).

    Up to `concurrency` requests are in flight, and as many wait for their turn to be yielded; they are about
    at most one video more than `concurrency`. The endpoint's thread ends with `close`, or with the process.
    """

    dtype = "the server's"

    def __init__(self, endpoint: Endpoint, options: ChatOptions, seed: int) -> None:
        config = endpoint.config
        self.name = f"openai:{config.model}"
        self.frame_size = options.frame_size
        self.keep_aspect = options.keep_aspect
        self.model_hash = options.model_hash(config)
        self.notes: tuple[str, ...] = (
            ("not greedy: the server chooses the temperature",) if "temperature" in options.drop else ()
        )
        self.endpoint = endpoint
        self.options = options
        self.seed = seed
        self._served_by: dict[str, None] = {}
        self._encoded: tuple[Frames, list[str]] | None = None
        self._videos = 0
        self._told_of_prefill = False

    @property
    def settings(self) -> Mapping[str, object]:
        """How the model was asked, who answered, and what was used so far."""
        return {
            **self.endpoint.config.identity,
            **self.options.facts(),
            "weights": "unknown: a served model",
            "served_by": list(self._served_by),
            "concurrency": self.endpoint.config.concurrency,
            "timed_text": "between the frames",
            "usage": self.endpoint.usage.as_dict(),
        }

    def close(self) -> None:
        """Cancel what is in flight and end the endpoint's thread."""
        self.endpoint.close()

    def check(self) -> None:
        """Ask one small question about one small picture, just as a run asks. `UserError` says what is wrong with
        the server, the key, the model or a parameter, and the mend."""
        import numpy as np

        grey = np.full((1, CHECK_SIZE, CHECK_SIZE, 3), 128, np.uint8)
        pictures = [self._picture(url) for url in data_urls(grey, self.options)]
        content = [*pictures, _text("Reply with the word OK.")]
        outcome = self.endpoint.probe(
            Ask((Message("user", content),), self.options.parameters(CHECK_TOKENS, self.seed))
        )
        # A model whose thoughts fill the few tokens works all the same.
        if isinstance(outcome, Failed) and outcome.type != "no_text":
            mend = _mend(outcome)
            config = self.endpoint.config
            raise UserError(
                f"{config.url} refuses what {self.name} is asked ({outcome.message}): {mend}"
                if mend
                else self.endpoint.diagnosis(outcome)
            )

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """Answer in order, with many requests in flight. A request that fails costs only itself; a server that
        refuses all of them (key, account or model) ends the run: `RunFailed`."""
        stream = iter(requests)
        flight: deque[_Asked] = deque()
        more = True
        try:
            while more or flight:
                if self.endpoint.refusal is not None:
                    yield from self._last_answers(flight)
                    raise RunFailed(self.endpoint.diagnosis(self.endpoint.refusal))
                if flight and (not more or flight[0].future.done() or self._is_full(flight)):
                    outcome = flight[0].future.result()
                    if self.endpoint.refusal is None:
                        yield self._told(flight.popleft(), outcome)
                    continue
                request = next(stream, None)
                if request is None:
                    more = False
                else:
                    flight.append(self._ask(request))
                del request  # this frame must not keep a video's pixels while the next is waited for
        finally:
            self._encoded = None
            for asked in flight:
                asked.future.cancel()

    def _is_full(self, flight: Sequence[_Asked]) -> bool:
        concurrency = self.endpoint.config.concurrency
        return len(flight) >= 2 * concurrency or flight[-1].video - flight[0].video >= concurrency

    def _last_answers(self, flight: deque[_Asked]) -> Iterator[Response | Failure]:
        """What was still answered when the server refused everything. The requests behind the last answer stay
        unasked: they have not failed by themselves."""
        told = [self._told(asked, asked.future.result()) for asked in flight]
        flight.clear()
        while told and isinstance(told[-1], Failure):
            told.pop()
        yield from told

    def _ask(self, request: Request) -> _Asked:
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
        future = self.endpoint.submit(Ask(tuple(messages), parameters))
        times = tuple(float(each) for each in request.frames.times)
        return _Asked(request.id, request.prefill, times, self._videos, future)

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

    def _told(self, asked: _Asked, outcome: Reply | Failed) -> Response | Failure:
        """The outcome as the harness takes it."""
        if isinstance(outcome, Failed):
            mend = _mend(outcome)
            return Failure(asked.id, outcome.type, f"{outcome.message}: {mend}" if mend else outcome.message)
        self._note_server(outcome.served_by)
        ended_empty = not outcome.text.strip() and outcome.finish_reason != "stop"
        if outcome.finish_reason == "content_filter" or ended_empty:
            advice = (
                "; a reasoning model needs --model-args thinking_tokens"
                if outcome.finish_reason == "length"
                else ""
            )
            message = f"the reply has no text (finish_reason {outcome.finish_reason!r}){advice}"
            if outcome.text.strip():
                message = "the server's filter cut the reply (finish_reason 'content_filter')"
            return Failure(asked.id, "no_text", message)
        text = without_prefill(outcome.text, asked.prefill) if asked.prefill else outcome.text
        return Response(
            id=asked.id,
            text=text,
            frame_times=asked.frame_times,
            prompt_tokens=outcome.prompt_tokens,
            new_tokens=outcome.completion_tokens,
            seconds=outcome.seconds,
        )

    def _note_server(self, served_by: str | None) -> None:
        if served_by is None or served_by in self._served_by:
            return
        if len(self._served_by) == 1:
            log.warning(
                "%s: answers came from %s and now come from %s: this run mixes two models",
                self.name,
                next(iter(self._served_by)),
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


def _mend(failed: Failed) -> str | None:
    """What to do about a request that the server refuses, where its words tell."""
    if failed.type == "http_413":
        return "fewer --frames, or smaller pictures by --model-args frame_size and quality"
    if failed.type not in ("http_400", "http_415", "http_422", "http_500"):
        return None
    # What is named first is what is refused; what to use instead comes after it.
    named = re.search(rf"\b({'|'.join(MENDS)})\b", failed.message.lower())
    return MENDS[named[1]] if named else None
