"""results.json as tables: this run's numbers, its breakdowns, and the published rows beside comparable ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from kangaroo_eval.report import published

Style = Callable[[str, str], str]


class Table(NamedTuple):
    """A titled table of texts: `notes` stand below it."""

    title: str
    header: list[str]
    rows: list[list[str]]
    notes: list[str]


def percent(estimate: Mapping[str, Any]) -> str:
    """A fraction as points with its standard error: "55.9 ± 0.9"; a dash when there is no value."""
    if estimate["value"] is None:
        return "-"
    shown = f"{100 * estimate['value']:.1f}"
    return shown if estimate["stderr"] is None else f"{shown} ± {100 * estimate['stderr']:.1f}"


def _with_n(estimate: Mapping[str, Any], answered: int) -> str:
    """An official rule may leave answers out of its denominator: then that is said beside its number."""
    shown = percent(estimate)
    return shown if estimate["n"] == answered else f"{shown} (n={estimate['n']})"


def overview(results: Mapping[str, Any]) -> Table:
    """One line a task: both scores, their error, coverage, and how far the readers differ."""
    rows = []
    for task in results["tasks"].values():
        rows.append(
            [
                task["label"],
                _with_n(task["official"], task["answered"]),
                percent(task["careful"]),
                f"{task['answered']}/{task['asked']}",
                f"{100 * task['coverage']:.1f} %",
                str(task["careful"]["unreadable"]),
                str(task["read_differently"]),
                str(task["videos"]),
            ]
        )
    run = results["run"]
    caveats = f" ({'; '.join(run['notes'])})" if run["notes"] else ""
    frames = f"{run['frames']} frames" if run["frames"] else "the tasks' own frames"
    header = [
        "task",
        "official %",
        "careful %",
        "answered",
        "coverage",
        "unreadable",
        "read differently",
        "videos",
    ]
    return Table(
        f"{run['model']}{caveats}, {frames}, sampler {run['sampler']}", header, rows, _caveats(results)
    )


def _caveats(results: Mapping[str, Any]) -> list[str]:
    notes = [
        "official: the benchmark authors' own reader and denominator; careful: what a person would read, unreadable "
        "counts as wrong; ±: standard error, clustered by video."
    ]
    for task in results["tasks"].values():
        bad = ", ".join(f"{count} {status}" for status, count in task["statuses"].items() if status != "ok")
        if bad:
            notes.append(f"{task['label']}: no answer for {bad}.")
        if task["coverage"] < results["run"]["min_coverage"] and task["answered"]:
            notes.append(
                f"{task['label']}: coverage below {100 * results['run']['min_coverage']:g} %, so no score."
            )
        if task.get("groups_without_answers"):
            missing = ", ".join(task["groups_without_answers"])
            notes.append(f"{task['label']}: no answer at all for {missing}, so no mean over the groups.")
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


def breakdowns(results: Mapping[str, Any], most: int | None = None) -> list[Table]:
    """One table for every tag of every task (with `most`, for the first tags only)."""
    tables = []
    for task in results["tasks"].values():
        for tag, values in list(task["breakdown"].items())[:most]:
            rows = [
                [name, percent(pair["official"]), percent(pair["careful"]), str(pair["careful"]["n"])]
                for name, pair in values.items()
            ]
            header = [tag, "official %", "careful %", "n"]
            tables.append(
                Table(f"{task['label']} by {tag}, coverage {100 * task['coverage']:.1f} %", header, rows, [])
            )
    return tables


def published_tables(results: Mapping[str, Any], style: Style) -> list[Table]:
    """The paper's tables that these tasks have a column in, with this run's row where it is comparable.

    `style(text, mark)` renders a marked value.
    """
    by_table: dict[str, list[Mapping[str, Any]]] = {}
    for task in results["tasks"].values():
        if task["published"]:
            by_table.setdefault(task["published"]["table"], []).append(task)
    return [_published(number, tasks, results, style) for number, tasks in sorted(by_table.items())]


def _published(
    number: str, tasks: Sequence[Mapping[str, Any]], results: Mapping[str, Any], style: Style
) -> Table:
    table = published.load(number)
    lead = [column for column in ("model", "size", "frames") if column in table.rows[0]]
    marks = {column: published.marks(table.rows, column) for column in table.columns}
    rows = []
    for index, row in enumerate(table.rows):
        cells = [row[column] for column in lead]
        for column in table.columns:
            mark = marks[column].get(index)
            cells.append(style(row[column], mark) if mark else row[column] or "-")
        rows.append(cells)
    comparable = [task for task in tasks if task["published"]["comparable"]]
    if comparable:
        rows += [
            _own_row(results, comparable, table.columns, lead, reader) for reader in ("official", "careful")
        ]
    notes = [
        f"{task['label']} is not in this table: {task['published']['why']}."
        for task in tasks
        if task not in comparable
    ]
    if comparable:
        notes.append("own rows: points ± standard error, coverage; they take no part in the marks.")
    header = [published.HEADINGS[column] for column in (*lead, *table.columns)]
    return Table(published.TITLES[number], header, rows, notes + list(table.footnotes))


def _own_row(
    results: Mapping[str, Any],
    tasks: Sequence[Mapping[str, Any]],
    columns: Sequence[str],
    lead: Sequence[str],
    reader: str,
) -> list[str]:
    run = results["run"]
    cells = {"model": f"{run['model']} ({reader})", "size": "", "frames": str(run["frames"] or "")}
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
    return f"{percent(estimate)} ({100 * task['coverage']:.0f} %{counted})"
