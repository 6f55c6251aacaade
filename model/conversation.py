"""Talking with a Kangaroo about a video: `chat`, as in the public release, and `Conversation`, behind the terminal
and the web page."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kangaroo_eval.errors import MediaError, MissingVideo, UserError
from kangaroo_eval.media import FrameSpec, Job
from kangaroo_eval.media.job import do
from kangaroo_eval.model.adapter import KangarooModel
from kangaroo_eval.model.dialogue import Answer, Ask, Dialogue, Sampling
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor, Turn
from kangaroo_eval.types import Frames, Video

FRAMES = 64
"""Frames that a conversation looks at unless told otherwise."""
THREADS = 4
"""Threads that decode a video; more gain little on one file."""


@dataclass(frozen=True, slots=True)
class Look:
    """A video as the model looks at it, and the seconds that reading it took."""

    video: Video
    frames: Frames
    seconds: float

    @property
    def name(self) -> str:
        """The file's name."""
        return Path(self.video.path).name


class Round(NamedTuple):
    """A question, and the answer with what it took."""

    question: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Facts:
    """What a conversation rests on: the file, its frames with their times (both in seconds), the tokens they
    take, and how often a video passed through the vision encoder. `answer` is what the last round took."""

    name: str | None
    duration: float
    times: tuple[float, ...]
    repeated: int
    video_tokens: int
    encodings: int
    decode_seconds: float
    answer: Answer | None

    @property
    def frames(self) -> int:
        """How many frames the model looks at."""
        return len(self.times)


class Conversation:
    """Questions and answers about one video at a time. Answers are greedy unless `sampling` is given.

    Not for several threads at once. What `open` or `set_frames` refuses (MediaError, UserError) changes nothing.
    """

    def __init__(
        self,
        model: KangarooModel,
        frames: int = FRAMES,
        system: str | None = None,
        max_new_tokens: int = 512,
        sampling: Sampling | None = None,
    ) -> None:
        FrameSpec(frames=frames)
        if max_new_tokens < 1:
            raise UserError(f"--max-new-tokens {max_new_tokens} is too few: give 1 or more")
        self.model = model
        self.frames = frames
        self.system = system
        self.max_new_tokens = max_new_tokens
        self.sampling = sampling
        self.look: Look | None = None
        self.rounds: tuple[Round, ...] = ()
        self._dialogue = Dialogue(model.network, model.processor, model.threads)

    def open(self, path: str, start: float | None = None, end: float | None = None) -> None:
        """Look at another video, or at the clip of it between two times in seconds, and start anew."""
        self.look = self._look(Video(path, start, end), self.frames)
        self.reset()

    def set_frames(self, count: int) -> None:
        """Look at `count` frames of the video. The conversation goes on."""
        if self.look is not None:
            self.look = self._look(self.look.video, count)
        else:
            FrameSpec(frames=count)
        self.frames = count

    def _look(self, video: Video, count: int) -> Look:
        layout, context = self.model.processor.layout, self._dialogue.context
        look = look_at(video, count, self.model.frame_size)
        wanted = len(look.frames.times)
        if layout.sequence_length(wanted) < context:
            return look
        most = max((n for n in range(1, wanted) if layout.sequence_length(n) < context), default=0)
        raise UserError(
            f"{wanted} frames are {layout.sequence_length(wanted)} tokens, and the model reads {context} at most: "
            f"take {most} frames or fewer, with room for the questions (--frames, /frames N)"
        )

    def reset(self) -> None:
        """Forget the questions and answers. The video stays as it was read."""
        self.rounds = ()

    def close(self) -> None:
        """Free the video and the memory of the rounds."""
        self.look, self.rounds = None, ()
        self._dialogue.forget()

    @property
    def history(self) -> tuple[Turn, ...]:
        """Questions and answers as text."""
        return tuple(Turn(question, answer.text) for question, answer in self.rounds)

    @property
    def facts(self) -> Facts:
        """What the conversation rests on now."""
        look = self.look
        times = () if look is None else look.frames.times
        layout = self.model.processor.layout
        return Facts(
            name=None if look is None else look.name,
            duration=0.0 if look is None else look.frames.duration,
            times=times,
            repeated=0 if look is None else look.frames.repeated,
            video_tokens=layout.sequence_length(len(times)) if times else 0,
            encodings=self._dialogue.encodings,
            decode_seconds=0.0 if look is None else look.seconds,
            answer=self.rounds[-1].answer if self.rounds else None,
        )

    def ask(self, question: str, on_text: Callable[[str], object] | None = None) -> str:
        """The answer; `on_text` gets it piece by piece while it is made. Ctrl-C ends this answer only: what there
        is of it is kept and returned."""
        pieces = self.stream(question)
        told = []
        try:
            for piece in pieces:
                told.append(piece)
                if on_text is not None:
                    on_text(piece)
        except KeyboardInterrupt:
            pieces.close()
        return "".join(told)

    def stream(self, question: str) -> Generator[str, None, None]:
        """The answer piece by piece. Closing the generator ends the answer; what there is of it is kept.

        UserError where the conversation is longer than the model reads, MemoryError where memory is short.
        """
        frames = None if self.look is None else self.look.frames
        ask = Ask(question, frames, self.history, self.system, self.max_new_tokens, self.sampling)
        try:
            yield from self._dialogue.stream(ask)
        except (KeyboardInterrupt, GeneratorExit):
            self._keep(question)
            raise
        self._keep(question)

    def _keep(self, question: str) -> None:
        answer = self._dialogue.last
        if answer is not None and (answer.text or answer.stopped != "interrupted"):
            self.rounds = (*self.rounds, Round(question, answer))

    def record(self) -> dict[str, Any]:
        """The conversation for a file: model, video, the frames looked at, and every round."""
        look = self.look
        return {
            "schema": 1,
            "model": self.model.name,
            "model_hash": self.model.model_hash,
            "notes": list(self.model.notes),
            "system": self.system,
            "video": None if look is None else look.video.path,
            "clip": None if look is None else [look.video.start, look.video.end],
            "duration": None if look is None else look.frames.duration,
            "frame_times": [] if look is None else list(look.frames.times),
            "frames_repeated": 0 if look is None else look.frames.repeated,
            "rounds": [
                {
                    "question": question,
                    "answer": answer.text,
                    "stopped": answer.stopped,
                    "prompt_tokens": answer.prompt_tokens,
                    "new_tokens": len(answer.tokens),
                    "seconds": answer.seconds,
                }
                for question, answer in self.rounds
            ],
        }


def look_at(video: Video, count: int, size: int) -> Look:
    """Decode `count` frames, evenly over the clip, as `size` x `size` pixels. MissingVideo or MediaError, in one line
    with file and reason; UserError for a count below 1."""
    done = do(Job(video, FrameSpec(frames=count, size=size)), min(THREADS, os.cpu_count() or 1))
    if done.error is not None:
        kind = MissingVideo if done.error.status == MissingVideo.status else MediaError
        raise kind(done.error.message)
    assert done.frames is not None  # job.do gives frames or an error
    return Look(video, done.frames, done.seconds)


class ChatTurn(NamedTuple):
    """What `chat` returns: the reply, and the history to give to the next round."""

    reply: str
    history: History


class History(tuple[Turn, ...]):
    """The rounds of a conversation, as a tuple of question and reply. One that `chat` returned also holds the video
    and the KV cache, so that the next round computes neither again. A copied or pickled one holds the text, and that
    there was a video, which then has to be given again; a slice, a sum or a list is text alone. With the video given
    the answers are the same."""

    _state: _State | None = None
    _of_video: bool = False

    def __reduce__(self) -> tuple[Any, ...]:
        return _copied, (tuple(self), self._of_video)


def _copied(turns: tuple[Turn, ...], of_video: bool) -> History:
    history = History(turns)
    history._of_video = of_video
    return history


class _File(NamedTuple):
    """A video file as `chat` was given it, and what changes when the file does."""

    path: str
    frames: int
    stamp: tuple[int, int] | None


class _State(NamedTuple):
    """What a history keeps for the next round: `source` is the file, None for frames that were given."""

    dialogue: Dialogue
    source: _File | None
    frames: Frames | None


def chat(  # noqa: PLR0913  (the arguments of the public release's `chat`)
    network: KangarooForConditionalGeneration,
    query: str,
    *,
    processor: KangarooProcessor,
    video: str | os.PathLike[str] | Frames | Any | None = None,
    times: Sequence[float] | None = None,
    frames: int | None = None,
    history: Iterable[tuple[str, str]] | None = None,
    system: str | None = None,
    max_new_tokens: int = 512,
    do_sample: bool = False,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
    on_text: Callable[[str], object] | None = None,
) -> ChatTurn:
    """One round of a conversation: `reply, history = chat(network, "What happens?", video="a.mp4", ...)`.

    `video` is a file, of which `frames` frames are looked at (None: as many as in the rounds before, else 64);
    `Frames`; or uint8 pixels (n, height, width, 3) with their `times` in seconds, which are copied. Given again with the
    `history` of an earlier round, or left out, it is neither decoded nor encoded again. Without any the answer is from
    text alone. `on_text` gets the reply piece by piece; Ctrl-C ends the round. Greedy, unless `do_sample`. UserError,
    MissingVideo or MediaError in one line.
    """
    state = history._state if isinstance(history, History) else None
    turns = History(Turn(*turn) for turn in history or ())
    dialogue = Dialogue(network, processor)
    if state is not None and state.dialogue.network is network and state.dialogue.processor is processor:
        dialogue = state.dialogue
    if video is None and state is None and isinstance(history, History) and history._of_video:
        raise UserError("a copied history does not hold the video that it is about: give the video again")
    source, seen = _seen(video, times, frames, processor.frame_size, state)
    ask = Ask(
        query,
        seen,
        turns,
        system=system,
        max_new_tokens=max_new_tokens,
        sampling=Sampling(temperature, top_p, seed) if do_sample else None,
    )
    told = []
    for piece in dialogue.stream(ask):
        told.append(piece)
        if on_text is not None:
            on_text(piece)
    reply = "".join(told)
    longer = History((*turns, Turn(query, reply)))
    longer._state = _State(dialogue, source, seen)
    longer._of_video = seen is not None
    return ChatTurn(reply, longer)


class _Seen(NamedTuple):
    source: _File | None
    frames: Frames | None


def _seen(
    video: Any, times: Sequence[float] | None, frames: int | None, size: int, state: _State | None
) -> _Seen:
    """The frames that the round is about, and what they were made of."""
    if video is None:
        return _Seen(None, None) if state is None else _Seen(state.source, state.frames)
    # Pixels are copied: who fills one buffer again and again must not change what an earlier answer was about.
    if isinstance(video, Frames):
        return _Seen(None, dataclasses.replace(video, pixels=video.pixels.copy()))
    if isinstance(video, str | os.PathLike):
        path = os.fspath(video)
        before = state.source if state is not None else None
        place = os.path.abspath(path)
        if frames is None:
            frames = before.frames if before is not None and before.path == place else FRAMES
        source = _File(place, frames, _stamp(path))
        if state is not None and before == source:
            return _Seen(source, state.frames)
        return _Seen(source, look_at(Video(path), frames, size).frames)
    pixels = np.array(video)
    if times is None or len(times) != len(pixels):
        raise UserError(f"{len(pixels)} frames need as many times in seconds, not {times!r}")
    return _Seen(None, Frames(pixels, tuple(float(second) for second in times)))


def _stamp(path: str) -> tuple[int, int] | None:
    """Changes when the file does."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns
