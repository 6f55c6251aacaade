"""The paper's tables, and their marks: computed from the values, never stored."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from kangaroo_eval.errors import UserError

BOLD, UNDERLINE, GREY = "bold", "underline", "grey"
_FILES = {"III": "table3.csv", "IV": "table4_videomme.csv", "V": "table5_seedbench.csv"}
_NOT_NUMBERS = ("model", "size", "group", "frames", "self_evaluated")
TITLES = {
    "III": "Table III of arXiv:2408.15542: all benchmarks",
    "IV": "Table IV of arXiv:2408.15542: Video-MME by duration, without (w/o) and with (w) subtitles",
    "V": "Table V of arXiv:2408.15542: SEED-Bench video",
}
HEADINGS = {
    "model": "Model",
    "size": "Size",
    "frames": "Frames",
    "mvbench": "MVBench",
    "mlvu": "MLVU",
    "mmbench_video": "MMBench-Video",
    "lvbench": "LVBench",
    "egoschema": "EgoSchema",
    "videovista": "VideoVista",
    "tempcompass": "TempCompass",
    "longvideobench": "LongVideoBench",
    "short_wo": "Short w/o",
    "short_w": "Short w",
    "medium_wo": "Medium w/o",
    "medium_w": "Medium w",
    "long_wo": "Long w/o",
    "long_w": "Long w",
    "overall_wo": "Overall w/o",
    "overall_w": "Overall w",
    "gvu": "GVU",
    "ar": "AR",
    "ap": "AP",
    "pu": "PU",
    "avg": "Avg",
}


@dataclass(frozen=True, slots=True)
class PublishedTable:
    """A table as printed: `rows` map column -> text, `columns` are the value columns in order."""

    number: str
    rows: tuple[dict[str, str], ...]
    columns: tuple[str, ...]
    footnotes: tuple[str, ...]


def _read(name: str) -> list[dict[str, str]]:
    text = resources.files("kangaroo_eval.baselines").joinpath("published", name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


@cache
def load(number: str) -> PublishedTable:
    """Table "III", "IV" or "V"."""
    if number not in _FILES:
        raise UserError(f"no published table {number!r}: choose one of {', '.join(_FILES)}")
    rows = _read(_FILES[number])
    columns = tuple(column for column in rows[0] if column not in _NOT_NUMBERS)
    notes = tuple(
        f"{note['model']}, {HEADINGS[note['column']]}: {note['note']}"
        for note in _read("footnotes.csv")
        if note["table"] == number
    )
    return PublishedTable(number, tuple(rows), columns, notes)


def marks(rows: Sequence[dict[str, str]], column: str) -> dict[int, str]:
    """Row number -> mark of one column.

    Bold: the best value among the rows that are not proprietary, ties included. Underline: the second-best
    value among them, also below a tie. Grey: proprietary values that Kangaroo beats.
    """
    values = {number: float(row[column]) for number, row in enumerate(rows) if row[column]}
    open_rows = {number for number in values if rows[number]["group"] != "proprietary"}
    ranked = sorted({values[number] for number in open_rows}, reverse=True)
    found = {}
    for number in open_rows:
        if values[number] == ranked[0]:
            found[number] = BOLD
        elif len(ranked) > 1 and values[number] == ranked[1]:
            found[number] = UNDERLINE
    ours = next((values[number] for number in values if rows[number]["group"] == "ours"), None)
    for number in values.keys() - open_rows:
        if ours is not None and values[number] < ours:
            found[number] = GREY
    return found
