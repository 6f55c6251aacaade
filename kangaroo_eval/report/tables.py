"""results.json as tables: this run's numbers, its breakdowns, and the published rows beside comparable ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from kangaroo_eval import errors
from kangaroo_eval.report import published

ERRORS = 3
"""Kinds of error that a task's notes tell of."""


class Marked(str):
    """A value with a mark of its column (`published.BOLD`, ...), which each format shows in its own way."""

    __slots__ = ("mark",)
    mark: str

    def __new__(cls, text: str, mark: str) -> Marked:
        made = super().__new__(cls, text)
        made.mark = mark
        return made


class Table(NamedTuple):
    """A titled table of texts: `notes` stand below it."""

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str]


def shown(estimate: Mapping[str, Any], scale: int = 1) -> str:
    """An estimate with its standard error: a fraction as points ("55.9 ± 0.9"), a judge's mean on its own scale
    ("1.44 ± 0.02"); a dash when there is no value."""
    if estimate["value"] is None:
        return "-"
    factor, digits = (100, 1) if scale == 1 else (1, 2)
    text = f"{factor * estimate['value']:.{digits}f}"
    return text if estimate["stderr"] is None else f"{text} ± {factor * estimate['stderr']:.{digits}f}"


def _with_n(task: Mapping[str, Any], reader: str) -> str:
    """An official rule may leave answers out of its denominator: then that is said beside its number."""
    estimate = task[reader]
    text = shown(estimate, task["scale"])
    counted = estimate["n"] + estimate.get("undecided", 0)
    return text if counted == task["answered"] else f"{text} (n={estimate['n']})"


def _unit(tasks: Iterable[Mapping[str, Any]]) -> str:
    """The unit in a column's heading, where all tasks share one."""
    scales = {task["scale"] for task in tasks}
    if len(scales) > 1:
        return ""
    scale = scales.pop()
    return " %" if scale == 1 else f" 0-{scale}"


def overview(results: Mapping[str, Any]) -> Table:
    """One line a task: both scores, their error, coverage, and how far the readers differ."""
    rows = []
    for task in results["tasks"].values():
        rows.append(
            [
                task["label"],
                _with_n(task, "official"),
                _with_n(task, "careful"),
                f"{task['answered']}/{task['asked']}",
                f"{100 * task['coverage']:.1f} %",
                str(task["careful"]["unreadable"]),
                str(task["read_differently"]),
                str(task["videos"]),
            ]
        )
    run = results["run"]
    caveats = f" ({'; '.join(run['notes'])})" if run["notes"] else ""
    imported = run["sampler"] is None
    unsaid = "frames not recorded" if imported else "the tasks' own frames"
    frames = f"{run['frames']} frames" if run["frames"] else unsaid
    sampler = "" if imported else f", sampler {run['sampler']}"
    unit = _unit(results["tasks"].values())
    header = [
        "task",
        f"official{unit}",
        f"careful{unit}",
        "answered",
        "coverage",
        "unreadable",
        "read differently",
        "videos",
    ]
    return Table(f"{run['model']}{caveats}, {frames}{sampler}", header, rows, _caveats(results))


def _caveats(results: Mapping[str, Any]) -> list[str]:
    notes = [
        "official: the benchmark authors' own reader and denominator; careful: what a person would read, unreadable "
        "counts as wrong; values in points unless a line below says otherwise; ±: standard error, clustered by video."
    ]
    for task in results["tasks"].values():
        notes += _state_notes(task)
        notes += _troubles(task, results["run"]["min_coverage"])
        notes += [f"{task['label']}: CHECK: {each['text']}." for each in task.get("findings", [])]
        if task.get("frames_repeated"):
            notes.append(
                f"{task['label']}: {task['frames_repeated']} frames could not be decoded; their neighbours stand in."
            )
        if task.get("videos_cut_short"):
            cut = task["videos_cut_short"]
            notes.append(
                f"{task['label']}: {len(cut)} videos end before their file says so: {', '.join(cut[:3])}."
            )
    if any(task["data"] == "mini" for task in results["tasks"].values()):
        notes.append("[mini]: made videos and questions in the benchmark's layout; not the benchmark.")
    return notes


def troubles(results: Mapping[str, Any]) -> list[str]:
    """Why a run has no score, or not of everything: one line each."""
    least = results["run"]["min_coverage"]
    return [line for task in results["tasks"].values() for line in _troubles(task, least)]


def _troubles(task: Mapping[str, Any], min_coverage: float) -> list[str]:
    notes = []
    bad = ", ".join(f"{count} {status}" for status, count in task["statuses"].items() if status != "ok")
    if bad:
        notes.append(f"{task['label']}: no answer for {bad}.")
        notes += [
            f"{task['label']}: {error['count']} x {error['type']}, such as: {error['message']}"
            for error in task.get("errors", [])[:ERRORS]
        ]
    if task["coverage"] < min_coverage and task["answered"]:
        notes.append(f"{task['label']}: coverage below {100 * min_coverage:g} %, so no score.")
    if task.get("groups_without_answers"):
        missing = errors.shown(", ".join(task["groups_without_answers"]), 300)
        notes.append(f"{task['label']}: no answer at all for {missing}, so no mean over the groups.")
    return notes


def _state_notes(task: Mapping[str, Any]) -> list[str]:
    """What is to be known of a task's number: no judge, no labels, the judge, faults of the annotations."""
    notes = []
    if task["scale"] != 1:
        notes.append(f"{task['label']}: a judge's mean, 0 to {task['scale']}, not per cent.")
    if task["status"] == "not_judged":
        open_ones = max(task[reader].get("undecided", 0) for reader in ("careful", "official"))
        text = f"{task['label']}: not judged, {open_ones} answers wait for a judge (--judge)"
        decided = task["decided"]["official"]
        if decided["n"]:
            text += f"; of the {decided['n']} that the official rule decides, {shown(decided, task['scale'])}"
            text += " % are right" if task["scale"] == 1 else ""
        notes.append(text + ".")
    if task["status"] == "no_labels":
        notes.append(
            f"{task['label']}: its labels are not public; kangaroo-eval export writes the submission."
        )
    if task.get("judge") and task.get("judging"):
        used = task["judging"]
        cost = "" if used["cost_usd"] is None else f", {used['cost_usd']:.2f} USD"
        notes.append(
            f"{task['label']}: judged by {task['judge']['model']} ({used['replies']} replies, "
            f"{used['prompt_tokens']}+{used['completion_tokens']} tokens{cost})."
        )
    if task.get("ranked"):
        notes.append(
            f"{task['label']}: official is the choice that the model ranked first, careful the letter it wrote."
        )
    if task.get("official_valid"):
        valid = task["official_valid"]
        notes.append(
            f"{task['label']}: official over readable verdicts alone {shown(valid, task['scale'])} (n={valid['n']})."
        )
    notes += [
        f"{task['label']}: {count} items with a fault: {what}." for what, count in task["faults"].items()
    ]
    return notes


def run_names(runs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each run is called where several stand together: its model, with its frames, and then its id, as far as these are
    needed to tell it from the others."""
    told = [dict(run["run"]) for run in runs]
    names = [str(each["model"]) for each in told]
    frames = [f", {each['frames']} frames" if each.get("frames") else "" for each in told]
    for more in (frames, [f", {str(each.get('id'))[:8]}" for each in told]):
        again = {name for name, count in Counter(names).items() if count > 1}
        names = [name + extra if name in again else name for name, extra in zip(names, more, strict=True)]
    return names


def breakdowns(results: Mapping[str, Any], most: int | None = None, name: str = "") -> list[Table]:
    """One table for every tag of every task (with `most`, for the first tags only). `name`: the run's, where there are
    several."""
    of = f" of {name}" if name else ""
    tables = []
    for task in results["tasks"].values():
        for tag, values in list(task["breakdown"].items())[:most]:
            scale, unit = task["scale"], _unit([task])
            rows = [
                [key, shown(pair["official"], scale), shown(pair["careful"], scale), str(_count(pair))]
                for key, pair in values.items()
            ]
            if not rows:
                continue
            header = [tag, f"official{unit}", f"careful{unit}", "n"]
            tables.append(
                Table(
                    f"{task['label']}{of} by {tag}, coverage {100 * task['coverage']:.1f} %", header, rows, []
                )
            )
    return tables


def _count(pair: Mapping[str, Any]) -> int:
    """How many answers stand behind a line, waiting ones included."""
    return int(pair["careful"]["n"] + pair["careful"].get("undecided", 0))


def elsewhere(results: Mapping[str, Any]) -> list[Table]:
    """Values published outside the paper's tables, with this run's beside them where it is comparable."""
    tables = []
    for task in results["tasks"].values():
        published = task["published"]
        if not published or not published.get("elsewhere"):
            continue
        rows = [[each["model"], f"{each['value']:g}", each["source"]] for each in published["elsewhere"]]
        notes = [f"{task['label']} is not in this table: {published['why']}."]
        if published["elsewhere_comparable"]:
            notes = []
            for reader in ("official", "careful"):
                cell = _own_cell(task[reader], task, task["answered"])
                rows.append([f"{results['run']['model']} ({reader})", cell, "this run"])
        tables.append(
            Table(f"{task['label']}: published elsewhere", ["Model", "Value", "Source"], rows, notes)
        )
    return tables


def published_tables(runs: Sequence[Mapping[str, Any]], *, whole: bool = False) -> list[Table]:
    """The paper's tables that these runs have a column in (`whole`: all three), with the rows of each run that is
    comparable."""
    touched = {
        task["published"]["table"] for run in runs for task in run["tasks"].values() if task["published"]
    }
    return [_published(number, runs) for number in published.TITLES if whole or number in touched]


def _published(number: str, runs: Sequence[Mapping[str, Any]]) -> Table:
    table = published.load(number)
    lead = [column for column in ("model", "size", "frames") if column in table.rows[0]]
    marks = {column: published.marks(table.rows, column) for column in table.columns}
    rows = []
    for index, row in enumerate(table.rows):
        cells = [row[column] for column in lead]
        for column in table.columns:
            mark = marks[column].get(index)
            cells.append(Marked(row[column], mark) if mark else row[column] or "-")
        rows.append(cells)
    notes, own = [], 0
    for run, name in zip(runs, run_names(runs), strict=True):
        tasks = [
            task
            for task in run["tasks"].values()
            if task["published"] and task["published"]["table"] == number
        ]
        comparable = [task for task in tasks if task["published"]["comparable"]]
        own += len(comparable)
        if comparable:
            rows += [
                _own_row(run, name, comparable, table.columns, lead, each) for each in ("official", "careful")
            ]
        which = f" of {name}" if len(runs) > 1 else ""
        notes += [
            f"{task['label']}{which} is not in this table: {task['published']['why']}."
            for task in tasks
            if task not in comparable
        ]
    if own:
        notes.append("own rows: points ± standard error, coverage; they take no part in the marks.")
    header = [published.HEADINGS[column] for column in (*lead, *table.columns)]
    return Table(published.TITLES[number], header, rows, notes + list(table.footnotes))


def _own_row(
    results: Mapping[str, Any],
    name: str,
    tasks: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    lead: Sequence[str],
    reader: str,
) -> list[str]:
    run = results["run"]
    cells = {"model": f"{name} ({reader})", "size": "", "frames": str(run["frames"] or "")}
    own = {}
    for task in tasks:
        where = task["published"]
        own[where["column"]] = _own_cell(task[reader], task, task["answered"])
        for column, (tag, value) in where["columns"].items():
            pair = task["breakdown"][tag].get(value)
            if pair:
                own[column] = _own_cell(pair[reader], task, pair["careful"]["n"])
    return [cells[column] for column in lead] + [own.get(column, "-") for column in columns]


def _own_cell(estimate: Mapping[str, Any], task: Mapping[str, Any], answered: int) -> str:
    counted = "" if estimate["n"] == answered else f", n={estimate['n']}"
    return f"{shown(estimate, task['scale'])} ({100 * task['coverage']:.0f} %{counted})"
