"""The options of multiple-choice questions in another order: does a model choose an answer, or a letter?"""

from __future__ import annotations

import dataclasses
import hashlib
import operator
import re
from collections.abc import Callable, Sequence

from kangaroo_eval.careful import letters_of
from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Sample, View

SHUFFLED, AS_GIVEN = "shuffled", "as given"
"""What the protocol says of the options of such a run."""

# Options that speak of others have their place: "Both A and C", "None of the above".
_OF_OTHERS = re.compile(
    r"\b(above|below|both|neither|options?|choices?)\b|\b[A-J] (and|or) [A-J]\b", re.IGNORECASE
)
_LABEL = re.compile(r"\s*[(\[]?([A-J])[)\].:]\s*")
_VIEW = View((0.5, 1.5), 25.0)


def turned(sample: Sample) -> Sample:
    """The sample with its options moved on by a number of places that follows from its id, so that each has another
    letter. Samples stay as they are where no option's letter is the target, and where options speak of each other."""
    letters = letters_of(sample.choices)
    target = sample.target
    if (
        not 1 < len(sample.choices) == len(letters)
        or (target is not None and (len(target) != 1 or target not in letters))
        or (parts := _parts(sample.choices)) is None
    ):
        return sample
    by = places(sample.id, len(letters))
    labels, texts = parts
    choices = tuple(map(operator.add, labels, (*texts[by:], *texts[:by])))
    moved = target if target is None else letters[(letters.index(target) - by) % len(letters)]
    return dataclasses.replace(sample, choices=choices, target=moved)


def _parts(choices: Sequence[str]) -> tuple[list[str], list[str]] | None:
    """The options' labels ("A. "; "" for none) and their texts, None where these cannot change places."""
    found = [_LABEL.match(choice) for choice in choices]
    named = "".join(each[1] if each else "" for each in found)
    if named and named != letters_of(choices):
        return None
    labels = [each[0] if each else "" for each in found]
    texts = [choice.removeprefix(label) for choice, label in zip(choices, labels, strict=True)]
    return (labels, texts) if all(texts) and not any(map(_OF_OTHERS.search, texts)) else None


def places(identity: str, options: int) -> int:
    """By how many places the options of a sample move up, 1 to options - 1."""
    drawn = int.from_bytes(hashlib.sha256(f"options/{identity}".encode()).digest()[:8], "big")
    return 1 + drawn % (options - 1)


def before(letter: str, sample_id: str, options: int) -> str:
    """The letter that an option of a turned sample had at first."""
    letters = letters_of(("",) * options)
    return letters[(letters.index(letter) + places(sample_id, options)) % options]


def all_turned(
    name: str, samples: Sequence[Sample], prompt: Callable[[Sample, View], str]
) -> tuple[Sample, ...]:
    """The samples of the task `name`, each turned. UserError where none can be, or where its prompt has the options
    from elsewhere, so that the model would see the old ones."""
    found = tuple(map(turned, samples))
    moved = [(old, new) for old, new in zip(samples, found, strict=True) if new is not old]
    if not moved:
        raise UserError(f"{name}: no question has options with letters that could be shuffled")
    if any(prompt(old, _VIEW) == prompt(new, _VIEW) for old, new in moved):
        raise UserError(f"{name}: its prompts do not follow the list of options, so these cannot be shuffled")
    return found
