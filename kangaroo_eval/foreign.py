"""What comes from a model, which is foreign code: its description, answers, losses and errors, checked before they
are kept."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from kangaroo_eval.errors import UserError, one_line
from kangaroo_eval.types import Frames, Response

# Every which value of a video's pixels is compared before and after a model had them.
TRACED = 1009
UNKNOWN_WEIGHTS = "weights unknown: the model gives no model_hash"
"""What every output says of such a model: nothing tells whether another run, or an earlier part of it, had the same."""


class Facts(NamedTuple):
    """What a model says of itself (protocol `Described`), as far as it does: whoever gives a hash of the weights
    and nothing else is held to it all the same."""

    model_hash: str | None
    dtype: str | None
    notes: tuple[str, ...]
    settings: Mapping[str, Any]


def facts_of(model: object) -> Facts:
    """The model's facts now. `UserError` names what cannot be read. Only a hash has to be what it should be: by it a
    model is known, and other models have attributes of these names for purposes of their own."""
    model_hash = attribute(model, "model_hash", None)
    if model_hash is not None and not (isinstance(model_hash, str) and model_hash):
        raise _wrong(model, "model_hash", model_hash, "a text")
    dtype, notes, settings = (attribute(model, name, None) for name in ("dtype", "notes", "settings"))
    if not isinstance(settings, Mapping):
        if model_hash is not None and settings is not None:
            raise _wrong(model, "settings", settings, "a mapping")
        settings = {}
    return Facts(
        model_hash,
        None if dtype is None else str(dtype).removeprefix("torch.") or None,
        _texts(model, notes),
        settings,
    )


def _texts(model: object, notes: Any) -> tuple[str, ...]:
    if notes is None or isinstance(notes, str):
        return (notes,) if notes else ()
    try:
        return tuple(str(note) for note in notes)
    except TypeError as error:
        raise _wrong(model, "notes", notes, "texts") from error


def attribute(model: object, name: str, default: Any) -> Any:
    """The model's attribute, or the default where it has none. `UserError` where reading it fails."""
    try:
        return getattr(model, name, default)
    except Exception as error:
        raise UserError(f"{type(model).__name__}: its {name} cannot be read: {one_line(error)}") from error


def _wrong(model: object, name: str, value: object, what: str) -> UserError:
    called = attribute(model, "name", type(model).__name__)
    return UserError(f"{called}: its {name} is {value!r:.80}, and must be {what}")


def checked(response: Any) -> Response:
    """The response, with the numbers of other libraries made Python's. `TypeError` where a field is not what it
    should be: scoring would fail on it again and again."""
    if not isinstance(response, Response) or not isinstance(response.text, str):
        shown = repr(getattr(response, "text", response))[:80]
        raise TypeError(f"the model must yield a Response with a text, not {shown}")
    phases = {str(name): float(seconds) for name, seconds in dict(response.phases).items()}
    numbers = [float(each) for each in (response.seconds, *response.frame_times)]
    if not all(map(math.isfinite, numbers)):
        raise TypeError(f"seconds and frame_times must be finite numbers, not {numbers!r:.80}")
    return dataclasses.replace(
        response,
        frame_times=tuple(numbers[1:]),
        prompt_tokens=None if response.prompt_tokens is None else int(response.prompt_tokens),
        new_tokens=None if response.new_tokens is None else int(response.new_tokens),
        seconds=numbers[0],
        guess=_guess(response),
        phases={name: seconds for name, seconds in phases.items() if math.isfinite(seconds)},
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


def raise_interrupt(error: BaseException, outer: BaseException | None = None) -> None:
    """Raise `KeyboardInterrupt` if the error arose out of one, else return.

    Ctrl-C strikes between any two byte codes, also inside the locks of the standard library and the clean-up of a
    model, which then fail with errors of their own ("release unlocked lock"). Taken for a failure of the model, such
    an error would have it asked on. `outer` is what was being handled before, whose interrupt is an old one.
    """
    known = set() if outer is None else {id(each) for each in _chain(outer, set())}
    for cause in _chain(error, known):
        if isinstance(cause, KeyboardInterrupt):
            if cause is error:
                raise cause
            raise KeyboardInterrupt from error


def _chain(error: BaseException, known: set[int]) -> Iterator[BaseException]:
    """The error and all that it arose out of, without what is `known`."""
    seen = set(known)
    causes: list[BaseException | None] = [error]
    while causes:
        cause = causes.pop()
        if cause is None or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        causes += cause.__cause__, cause.__context__


def kind_and_message(error: BaseException) -> tuple[str, str]:
    """An error as the journal holds it."""
    return type(error).__name__, one_line(error, most=500)
