"""The values that pass between tasks, models, the journal and the scorers: frozen, and without logic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Status = Literal["ok", "missing_video", "decode_error", "oom", "request_failed", "judge_failed"]

Tags: TypeAlias = Mapping[str, "str | tuple[str, ...]"]
"""What results are broken down by: name -> value, or the several values under each of which a sample counts."""


@dataclass(frozen=True, slots=True)
class Video:
    """A clip on disk.

    `path` is a video file, an animated GIF, or the same folder as `frames_dir`. `start` and `end` bound the
    clip in seconds from the first visible frame. `frames_dir` is a folder of numbered pictures shown at `fps`
    pictures a second; `pictures` is how many it must hold, where that is known. `subtitles` is the path of an SRT (or other subtitle) file, or None. `picture` is a further
    picture that the question is about; it is shown after the clip, as its last frame.
    """

    path: str
    start: float | None = None
    end: float | None = None
    subtitles: str | None = None
    frames_dir: str | None = None
    fps: float | None = None
    picture: str | None = None
    pictures: int | None = None


@dataclass(frozen=True, slots=True)
class Cue:
    """One subtitle: `text` is shown from `start` to `end`, in seconds from the first visible frame. `end` is
    infinite where the file leaves it open."""

    start: float
    end: float
    text: str


@dataclass(frozen=True, slots=True)
class View:
    """What a prompt may know of the video: the times of the sampled frames, the file's average frame rate
    and every cue of its subtitle file (empty when there is none)."""

    frame_times: tuple[float, ...]
    fps: float
    cues: tuple[Cue, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Decoded frames: `pixels` is uint8 of shape (n, height, width, 3), RGB; `times` the n true timestamps in
    seconds from the first visible frame. `repeated` of them stand in for frames that could not be decoded.
    `total` frames are visible in the file (in the clip, for a bounded one), `duration` seconds long; `absent`
    further ones are in the file's table but not in the file, which was cut short."""

    pixels: NDArray[np.uint8]
    times: tuple[float, ...]
    repeated: int = 0
    total: int = 0
    duration: float = 0.0
    absent: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One question of a benchmark. `target` is what a right answer must equal (a letter for multiple choice, a
    text where a judge compares), None where the labels are not public. `facts` are further annotations that
    scoring or the prompt needs, such as a judge's scoring points."""

    id: str
    video: Video
    question: str
    choices: tuple[str, ...] = ()
    target: str | None = None
    tags: Tags = field(default_factory=dict)
    facts: Tags = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Request:
    """What a model sees: never the target, never the task.

    `prefill` is text the assistant turn already starts with. `timed_text` are subtitles that an adapter may
    place between the frames. `siblings` further requests about the same video follow directly, so an adapter
    can batch them without waiting for the next video to be decoded.
    """

    id: str
    video: Video
    prompt: str
    frames: Frames
    max_new_tokens: int
    system: str | None = None
    prefill: str | None = None
    timed_text: tuple[Cue, ...] = ()
    siblings: int = 0


@dataclass(frozen=True, slots=True)
class Response:
    """A greedy answer to the request `id`. `text` excludes the prefill; `frame_times` are the frames the model
    really looked at; token counts are None where they are not known; `seconds` is this request's share of the
    model's time, of which `phases` tells parts by name (`timing.PHASES`; vision and prefill are this request's share of what
    is done once for all questions of a video). `guess` is not 0 where the answer is a
    guess among that many equally likely replies: its score is the expected one, 1 / `guess`, and no text is read."""

    id: str
    text: str
    frame_times: tuple[float, ...]
    prompt_tokens: int | None
    new_tokens: int | None
    seconds: float
    guess: int = 0
    phases: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a model yields in place of a `Response` where the request `id` alone got no answer: the server failed,
    or the model cannot do what was asked (`kind` "unsupported", which is no sign of a broken model). It is recorded
    as `request_failed` with `kind` and `message` (one line each), never as an answer, and tried again on resume."""

    id: str
    kind: str
    message: str


@dataclass(frozen=True, slots=True)
class Score:
    """What a reader made of an answer. `value` is None where the rule leaves the sample out of its
    denominator, or there is no label; `answer` is None when the text could not be read, and "right" or "wrong"
    where a rule only compares with the label. `rule` and `span` say how it was read."""

    value: float | None
    answer: str | None
    rule: str | None = None
    span: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ScoredSample:
    """One answered sample under both readers. `video` is what standard errors are clustered by. A score is None
    where only a judge can give it; `judge` is then "not_judged" or "judge_failed", "ok" where one was asked. `options`: how many there were to
    choose from."""

    id: str
    video: str
    target: str | None
    careful: Score | None
    official: Score | None
    tags: Tags
    judge: str | None = None
    options: int = 0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A metric: `value` and `stderr` on the metric's own scale (fractions 0-1), `n` samples in the
    denominator, of which `unreadable` could not be read; `undecided` further ones wait for a judge. None: not
    known, never 0."""

    value: float | None
    stderr: float | None
    n: int
    unreadable: int
    undecided: int = 0
