"""Parts of prompts that several benchmarks share."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import resources

from kangaroo_eval.careful import letters_of
from kangaroo_eval.types import Sample, View

WITH_LETTER = "Answer with the option's letter from the given choices directly."


def lettered(choices: Sequence[str], form: str = "{letter}. {text}") -> str:
    """The options, one a line."""
    return "\n".join(
        form.format(letter=letter, text=text)
        for letter, text in zip(letters_of(choices), choices, strict=True)
    )


def with_letter(sample: Sample, view: View) -> str:
    """Question, "A. ..." lines and the usual request for a letter: for benchmarks whose authors give no prompt,
    or this one."""
    return f"{sample.question}\n{lettered(sample.choices)}\n{WITH_LETTER}"


def question_alone(sample: Sample, view: View) -> str:
    """An open question as it stands."""
    return sample.question


def bracketed(sample: Sample) -> str:
    """Question and "(A) ..." lines, as VideoChat2's evaluation code writes them."""
    options = lettered(sample.choices, "({letter}) {text}")
    return f"Question: {sample.question}\nOptions:\n{options}".rstrip()


def text(name: str) -> str:
    """An official text that is too long for a task's file, from `tasks/texts`."""
    return resources.files("kangaroo_eval.tasks").joinpath("texts", name).read_text(encoding="utf-8")
