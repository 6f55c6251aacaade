"""Baselines that look at nothing: what a score is worth when the model sees no video."""

from __future__ import annotations

import hashlib
import string
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.options import STANDARD, refuse_unknown
from kangaroo_eval.types import Failure, Request, Response, Sample

YES_NO = ("yes", "no")


class Constant:
    """Answers every request with the same text: `constant:B`."""

    frame_size = 448

    def __init__(self, text: str) -> None:
        self.text = text
        self.name = f"constant:{text}"
        self.model_hash = _hash("constant", text)
        self.dtype = "none"
        self.notes: tuple[str, ...] = ("looks at nothing",)
        self.settings: Mapping[str, object] = {}

    def respond(self, requests: Iterable[Request]) -> Iterator[Response]:
        """The text, for each request; the frames are decoded and ignored."""
        for request in requests:
            yield Response(request.id, self.text, request.frames.times, 0, 0, 0.0)


class _Told:
    """What `study` learned of one task, by sample: a baseline that knows the answers (protocol `Informed`)."""

    frame_size = 0
    dtype = "none"
    notes: tuple[str, ...]

    def __init__(self, name: str) -> None:
        self.name = name
        self.model_hash = _hash(name)
        self.settings: Mapping[str, object] = {}


class Majority(_Told):
    """Answers with the most common right answer of the task. `study` first."""

    notes = ("looks at nothing", "knows the right answers")

    def __init__(self) -> None:
        super().__init__("majority")
        self._replies: dict[str, _Reply] = {}

    def study(self, task: str, samples: Sequence[Sample]) -> None:
        """Count the right answers, apart for each kind of question that a task mixes: options by letter, options by
        label, yes or no, and open ones. Of equally common ones the first in order is taken. The task before is
        forgotten. `UserError` where there are no labels."""
        self._replies = {}
        labelled = [(sample, _Reply.of(sample)) for sample in samples]
        counts: dict[str, Counter[_Reply]] = {}
        for sample, reply in labelled:
            if reply is not None:
                counts.setdefault(_kind(sample), Counter())[reply] += 1
        for sample, _ in labelled:
            counted = counts.get(_kind(sample))
            if counted is None:
                raise UserError(f"{task}: no labels to count, such as that of {sample.id}")
            self._replies[sample.id] = counted.most_common(1)[0][0].for_sample(sample)

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """The task's most common answer, for each request."""
        for request in requests:
            yield Response(request.id, self._replies[request.id].after(request.prefill), (), 0, 0, 0.0)


class Random(_Told):
    """Guesses among the possible replies: every score is its expected value. `study` first."""

    notes = ("looks at nothing", "every score is the expected value of a guess")

    def __init__(self) -> None:
        super().__init__("random")
        self._guesses: dict[str, int] = {}
        self._certain: dict[str, _Reply] = {}

    def study(self, task: str, samples: Sequence[Sample]) -> None:
        """Count each sample's possible replies, and forget the task before. `UserError` where a question is open:
        nobody can say what a guess at it is worth."""
        self._guesses, self._certain = {}, {}
        open_ones = [sample.id for sample in samples if not _possible(sample)]
        if open_ones:
            raise UserError(
                f"{task}: {len(open_ones)} of {len(samples)} questions are open, such as {open_ones[0]}, and cannot be "
                "guessed"
            )
        for sample in samples:
            if len(sample.choices) == 1:
                self._certain[sample.id] = _Reply("", 0).for_sample(sample)
            # An answer that is none of the options is never guessed; the empty text is read as nothing.
            elif _can_be_right(sample):
                self._guesses[sample.id] = _possible(sample)
            else:
                self._guesses[sample.id] = 0

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """A guess, for each request; the only reply, where there is one only."""
        for request in requests:
            if request.id in self._certain:
                yield Response(request.id, self._certain[request.id].after(request.prefill), (), 0, 0, 0.0)
            else:
                yield Response(request.id, "", (), 0, 0, 0.0, guess=self._guesses[request.id])


class _Reply(NamedTuple):
    """A right answer: the `place` of an option, or a text of its own."""

    text: str
    place: int | None = None
    is_letter: bool = False

    @classmethod
    def of(cls, sample: Sample) -> _Reply | None:
        """The right answer of a sample; None where it has no label, or one that is no option's."""
        if sample.target is None:
            return None
        if not sample.choices:
            return cls(sample.target)
        place = _place(sample)
        return None if place is None else cls("", place)

    def for_sample(self, sample: Sample) -> _Reply:
        """The same answer in the words of another sample: the option's letter, or its label."""
        if self.place is None:
            return self
        if _kind(sample) == "letter":
            return _Reply(string.ascii_uppercase[self.place], self.place, is_letter=True)
        # Fewer options than that: a reply that is none of them.
        label = _label(sample.choices[self.place]) if self.place < len(sample.choices) else "none"
        return _Reply(label, self.place)

    def after(self, prefill: str | None) -> str:
        """The text of the reply. Where the task opens a bracket for the letter, the authors' rules want it closed."""
        return f"{self.text})" if self.is_letter and (prefill or "").endswith("(") else self.text


def _kind(sample: Sample) -> str:
    """What sort of reply a question wants."""
    if not sample.choices:
        return "yes or no" if (sample.target or "").lower() in YES_NO else "open"
    labels = [_label(choice) for choice in sample.choices]
    return "label" if sample.target is not None and sample.target in labels else "letter"


def _label(choice: str) -> str:
    """What a choice is called: "Caption A" of "Caption A: A dog runs."."""
    return choice.partition(":")[0]


def _place(sample: Sample) -> int | None:
    """Which of the choices is right, from 0."""
    if _kind(sample) == "label":
        return [_label(choice) for choice in sample.choices].index(sample.target or "")
    letters = string.ascii_uppercase[: len(sample.choices)]
    return letters.index(sample.target) if sample.target and sample.target in letters else None


def _possible(sample: Sample) -> int:
    """How many replies are possible; 0 for an open question. What is told in free words and then held against the
    options of another question (TempCompass's captions) is a guess among those."""
    if sample.choices:
        return len(sample.choices)
    if _kind(sample) == "yes or no":
        return len(YES_NO)
    other = sample.facts.get("mc_question")
    options = len(other.split("\n")) - 1 if isinstance(other, str) else 0
    return options if options > 1 else 0


def _can_be_right(sample: Sample) -> bool:
    return not sample.choices or sample.target is None or _place(sample) is not None


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _refuse_arguments(options: Mapping[str, Any]) -> None:
    refuse_unknown(options.keys() - STANDARD, {})


def constant(argument: str | None, **options: Any) -> Constant:
    """The loader of `constant[:TEXT]` (default A). Takes no model arguments."""
    _refuse_arguments(options)
    return Constant(argument or "A")


def majority(argument: str | None, **options: Any) -> Majority:
    """`majority`: the most common right answer of each task, known from its labels. Takes no model arguments."""
    _refuse_argument("majority", argument)
    _refuse_arguments(options)
    return Majority()


def random(argument: str | None, **options: Any) -> Random:
    """`random`: the expected value of a guess among the options. Takes no model arguments."""
    _refuse_argument("random", argument)
    _refuse_arguments(options)
    return Random()


def _refuse_argument(name: str, argument: str | None) -> None:
    if argument:
        raise UserError(f"model {name}:{argument}: {name} takes nothing after it; write {name}")
