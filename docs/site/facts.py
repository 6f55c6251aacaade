"""Writes what the code knows of a benchmark into its page, between two marks: `python docs/site/facts.py`.

A page holds one block a task: what `kangaroo-eval tasks show` says, the published value from results/published, the
prompt of the first question of the mini copy, and what both readers make of some replies to it. A test fails where a
page and the code disagree (tests/docs/test_docs_pages.py).
"""

from __future__ import annotations

import csv
import re
import sys
import tempfile
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

from kangaroo_eval.cli.tasks import facts
from kangaroo_eval.media.job import cues
from kangaroo_eval.miniworld import MINI
from kangaroo_eval.registry import get_task, resolve, task_names
from kangaroo_eval.report.published import load
from kangaroo_eval.task import Task
from kangaroo_eval.types import Sample, Score, View

PAGES = Path(__file__).resolve().parents[1] / "benchmarks"
BLOCK = re.compile(
    r"(<!-- facts: (\w+), written by docs/site/facts.py -->\n).*?(<!-- /facts -->\n)", re.DOTALL
)
TIMES = tuple(float(second) for second in range(1, 12))
"""Seconds of the frames that a prompt with subtitles speaks of: one a second of a mini video of 12 seconds."""
SHOWN = ("title", "homepage", "hub", "licence", "citation", "version", "annotations", "metric", "scale", "readers",
         "judge", "likelihood", "frames", "official sampler", "shown as", "new tokens", "breakdown", "predictions",
         "notes")  # fmt: skip


def main() -> int:
    """Write every page anew."""
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(written(text), encoding="utf-8")
    return 0


def written(text: str) -> str:
    """The page with its blocks as they should be."""
    told: set[str] = set()

    def filled(match: re.Match[str]) -> str:
        # What a rule makes of replies is the same for all of a page's tasks that have it.
        rule = get_task(match[2]).official_rule
        found = block(match[2], replies=rule not in told)
        told.add(rule)
        return match[1] + found + match[3]

    return BLOCK.sub(filled, text)


def tasks_of(text: str) -> list[str]:
    """The tasks that a page has a block of."""
    return [match[2] for match in BLOCK.finditer(text)]


def block(name: str, *, replies: bool) -> str:
    """What stands between a task's marks; with `replies`, also what the readers make of some."""
    task = get_task(name)
    with tempfile.TemporaryDirectory() as folder:
        samples = mini_samples(task, Path(folder))
        view = View(TIMES, 8.0, cues(samples[0].video))
        parts = [_table(task), *_prompt(task, samples[0], view)]
        parts += _readers(task, samples) if replies else ()
    return "\n\n".join(["", *parts, ""]).lstrip("\n")


def mini_samples(task: Task, folder: Path) -> list[Sample]:
    """The questions of the mini copy, whose videos are not made for this."""
    root = folder / task.source.folder
    plan = resolve(MINI[task.source.folder])()
    for path, content in plan.texts.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return list(task.read(root))


def _table(task: Task) -> str:
    told = facts(task)
    rows = [(name, told[name]) for name in SHOWN if told.get(name) not in (None, "")]
    rows += _published(task)
    lines = [f"`kangaroo-eval tasks show {task.name}`", "", "| | |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {_cell(value)} |" for name, value in rows)])


def _published(task: Task) -> Iterator[tuple[str, str]]:
    """The published value as results/published has it, what it covers, and other values of this very task."""
    column = task.published
    if column is None:
        yield "published for Kangaroo", "nothing"
        return
    table = load(column.table)
    (row,) = [row for row in table.rows if row["model"] == "Kangaroo"]
    name = f"{row[column.column]} (Table {column.table}, `{column.column}`)"
    if column.other:
        yield "published for Kangaroo", f"{name}: {column.other}; nothing is put into that column"
    else:
        yield "published for Kangaroo", name
    notes = [
        note for model, of, note in _footnotes(column.table) if (model, of) == ("Kangaroo", column.column)
    ]
    if notes:
        yield "what that number is", " ".join(notes)
    for other in column.elsewhere:
        yield "published elsewhere", f"{other.model} {other.value} ({other.source})"


def _footnotes(number: str) -> Iterator[tuple[str, str, str]]:
    """Model, column and note of every footnote of a table."""
    text = (resources.files("kangaroo_eval.baselines") / "published/footnotes.csv").read_text(
        encoding="utf-8"
    )
    for row in csv.DictReader(text.splitlines()):
        if row["table"] == number:
            yield row["model"], row["column"], row["note"]


def _prompt(task: Task, sample: Sample, view: View) -> Iterator[str]:
    """The turns as they are sent; where choices are ranked, that prompt too."""
    yield "The prompt of the first question of the mini copy, as it is sent:"
    turns = [("system", task.system), ("user", task.prompt(sample, view)), ("assistant begins", task.prefill)]
    yield _fenced("\n".join(f"[{who}]\n{text.rstrip(chr(10))}" for who, text in turns if text))
    timed = task.timed_text(sample, view) if task.timed_text else ()
    if timed:
        yield "and between the frames, after the seconds at which each subtitle is in its middle:"
        yield _fenced("\n".join(f"{cue.start:6.2f} to {cue.end:6.2f}  {cue.text}" for cue in timed[:4]))
    if task.ranking is not None:
        yield "Where the model can rank, each choice is also read, for the official score, as the reply to:"
        yield _fenced(task.ranking.prompt(sample))


def _readers(task: Task, samples: list[Sample]) -> Iterator[str]:
    """What both readers make of some replies to the first question that has a letter for a label."""
    sample = next(
        (each for each in samples if each.target in tuple("ABCDEF") and len(each.choices) > 1), None
    )
    if sample is None or sample.target is None:
        return
    letter, options = sample.target, sample.choices
    text = re.sub(r"^\(?[A-F][.):]\s*", "", options["ABCDEF".index(letter)])
    wrong = next(each for each in "ABCDEF" if each != letter)
    replies = [letter, f"{letter}.", f"({letter})", f"{letter}) {text}", f"{letter}. {text}", f"The answer is {letter}.",
               f"Answer: {letter}", f"**{letter}**", text, wrong, "I cannot tell.", ""]  # fmt: skip
    lines = ["| reply | official rule | careful reader |", "|---|---|---|"]
    for reply in replies:
        said = f"`{reply}`" if reply else "(empty)"
        lines.append(
            f"| {said} | {_told(task.official(sample, reply))} | {_told(task.scorer(sample, reply))} |"
        )
    yield f'What the readers make of replies where {letter}, "{_cell(text)}", is right:'
    yield "\n".join(lines)


def _told(score: Score | None) -> str:
    if score is None:
        return "the judge"
    if score.value is None:
        return "unreadable: left out"
    read = "unreadable" if score.answer is None else f"`{score.answer}`"
    return f"{read}: {score.value:.4g}"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|").replace("<", "&lt;")


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


if __name__ == "__main__":
    assert {name for page in PAGES.glob("*.md") for name in tasks_of(page.read_text())} == set(task_names())
    sys.exit(main())
