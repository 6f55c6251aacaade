"""What comes back from a model, which is foreign code: answers, losses and errors, checked before they are kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable
from typing import Any

from kangaroo_eval.types import Frames, Response

# Every which value of a video's pixels is compared before and after a model had them.
TRACED = 1009


def checked(response: Any) -> Response:
    """The response, with the numbers of other libraries made Python's. `TypeError` where a field is not what it
    should be: scoring would fail on it again and again."""
    if not isinstance(response, Response) or not isinstance(response.text, str):
        shown = repr(getattr(response, "text", response))[:80]
        raise TypeError(f"the model must yield a Response with a text, not {shown}")
    return dataclasses.replace(
        response,
        frame_times=tuple(float(each) for each in response.frame_times),
        prompt_tokens=None if response.prompt_tokens is None else int(response.prompt_tokens),
        new_tokens=None if response.new_tokens is None else int(response.new_tokens),
        seconds=float(response.seconds),
        guess=_guess(response),
    )


def _guess(response: Response) -> int:
    """Among how many replies it was guessed: one would be a right answer by definition."""
    guess = response.guess
    if isinstance(guess, bool) or not isinstance(guess, int) or guess < 0 or guess == 1:
        raise TypeError(
            f"guess {guess!r}: 0 for an answer, else the number of replies guessed among, at least 2"
        )
    return guess


def checked_losses(losses: Iterable[Any], choices: int, sample: str) -> list[float]:
    """The losses of a sample's choices. `TypeError` unless there is one for each, `ArithmeticError` for NaN and
    infinity: NaN ranks last, so broken weights would score like a guess."""
    numbers = [float(loss) for loss in losses]
    if len(numbers) != choices:
        raise TypeError(f"the model ranked {len(numbers)} of the {choices} choices of {sample}")
    if not all(map(math.isfinite, numbers)):
        raise ArithmeticError(f"the losses of the choices of {sample} are not finite: {numbers}")
    return numbers


def trace_of(frames: Frames) -> bytes:
    """Some of the pixels: what is done to all of them in place shows there."""
    return bytes(frames.pixels.reshape(-1)[::TRACED].tobytes())


def raise_interrupt(error: BaseException) -> None:
    """Raise `KeyboardInterrupt` if the error arose out of one, else return.

    Ctrl-C strikes between any two byte codes, also inside the locks of the standard library and the clean-up of a
    model, which then fail with errors of their own ("release unlocked lock"). Taken for a failure of the model, such
    an error would have it asked on.
    """
    seen: set[int] = set()
    causes: list[BaseException | None] = [error]
    while causes:
        cause = causes.pop()
        if cause is None or id(cause) in seen:
            continue
        if isinstance(cause, KeyboardInterrupt):
            if cause is error:
                raise cause
            raise KeyboardInterrupt from error
        seen.add(id(cause))
        causes += cause.__cause__, cause.__context__


def kind_and_message(error: BaseException) -> tuple[str, str]:
    """An error as the journal holds it."""
    return type(error).__name__, one_line(error)


def one_line(error: BaseException) -> str:
    """The error's type and text in one line of at most 500 characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:500]
