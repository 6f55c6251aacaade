"""What is told of a conversation, in the terminal and on the web page: the frames looked at, what an answer took."""

from __future__ import annotations

import itertools
import statistics
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kangaroo_eval.model.conversation import Facts
    from kangaroo_eval.model.dialogue import Answer

STOPPED = {
    "end": "",
    "limit": "cut at --max-new-tokens",
    "context": "cut: the model's context is full; /reset starts anew",
    "interrupted": "stopped",
}
"""What is said of an answer that the model did not end itself."""


def told_of_look(facts: Facts) -> str:
    """What the model looks at: file, duration, how many frames, when, and what they take of the context."""
    return (
        f"{facts.name}: {told_seconds(facts.duration)}; {told_of_times(facts.times)}; "
        f"{facts.video_tokens:,} tokens; read in {facts.decode_seconds:.2f} s"
    )


def told_of_times(times: Sequence[float]) -> str:
    """`64 frames from 0.06 s to 2.94 s, one every 0.05 s`."""
    if len(times) == 1:
        return f"1 frame at {told_seconds(times[0])}"
    steps = [later - earlier for earlier, later in itertools.pairwise(times)]
    middle = statistics.median(steps)
    about = "" if max(steps) - min(steps) <= 0.02 * middle else "about "
    return (
        f"{len(times)} frames from {told_seconds(times[0])} to {told_seconds(times[-1])}, "
        f"{about}one every {middle:.3g} s"
    )


def told_seconds(seconds: float) -> str:
    """`2.94 s`, `12:34.5`, `1:02:03.4`."""
    if round(seconds, 2) < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"


def told_of_answer(answer: Answer) -> str:
    """What an answer took, and whether the video had to be encoded for it."""
    count = len(answer.tokens)
    rate = f", {count / answer.generate_seconds:.1f} tokens/s" if answer.generate_seconds > 0 else ""
    video = f"video encoded in {answer.encode_seconds:.2f} s" if answer.encoded else "video reused"
    read = f"{answer.prompt_tokens - answer.reused_tokens:,} tokens read, {answer.reused_tokens:,} reused"
    told = f"{count} tokens in {answer.seconds:.2f} s{rate}; {video}; {read}"
    return f"{told}; {STOPPED[answer.stopped]}" if STOPPED[answer.stopped] else told


def clean(text: str) -> str:
    """Text without what would steer a terminal, and without half a character."""
    whole = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(sign for sign in whole if sign in "\n\t" or unicodedata.category(sign) != "Cc")
