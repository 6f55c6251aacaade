"""The exam's results of several runs as one table: `python tests/bench/exam_table.py NAME=RUN...`.

A run holds `videomme` and, for the kind "subtitles", `videomme_subtitles` (`kangaroo-eval --tasks
videomme,videomme_subtitles --data-root EXAM`, where `kangaroo-eval data exam --data-root EXAM` made the exam). All
numbers are the careful reader's; "overall" is the mean over the nine kinds, each a question that needs subtitles with them.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

from tabulate import tabulate

from kangaroo_eval.miniworld.kinds import DIFFICULTIES, KINDS, LENGTHS

Scores = dict[str, list[float]]
TOLD = "subtitles"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", nargs="+", metavar="NAME=RUN")
    runs = dict(word.partition("=")[::2] for word in parser.parse_args().runs)
    columns = {name: scores(Path(run)) for name, run in runs.items()}
    print(
        tabulate(
            rows(columns),
            ["%", *columns, "n"],
            tablefmt="pipe",
            colalign=["left"] + ["right"] * (len(runs) + 1),
        )
    )


def scores(run: Path) -> Scores:
    """Row of the table -> the score of each question, 0 or 1."""
    found: Scores = defaultdict(list)
    for task in ("videomme", "videomme_subtitles"):
        for line in lines(run / f"{task}.scores.jsonl"):
            kind, tags = line["tags"]["task_type"], line["tags"]
            value = float(line["careful"]["score"])
            if (kind == TOLD) is (task == "videomme"):
                # The other questions need no subtitles; this one without them shows what is guessed.
                if kind == TOLD:
                    found["subtitles, without them"].append(value)
                continue
            for row in (kind, tags["domain"], tags["duration"]):
                found[row].append(value)
    return found


def lines(file: Path) -> list[dict[str, Any]]:
    return (
        [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []
    )


def rows(columns: dict[str, Scores]) -> list[list[str]]:
    out = []
    for row in (*KINDS, "subtitles, without them", *DIFFICULTIES, *LENGTHS):
        counts = {len(each[row]) for each in columns.values() if each.get(row)}
        if counts:
            n = "/".join(map(str, sorted(counts)))
            out.append([row, *(shown(each.get(row, [])) for each in columns.values()), n])
    return [["overall", *(overall(each) for each in columns.values()), ""], *out]


def shown(values: list[float]) -> str:
    """The mean and its standard error, in per cent."""
    if not values:
        return "-"
    mean = sum(values) / len(values)
    return f"{100 * mean:.0f} ± {100 * math.sqrt(mean * (1 - mean) / len(values)):.0f}"


def overall(found: Scores) -> str:
    kinds = [found[kind] for kind in KINDS if found.get(kind)]
    return f"{100 * sum(sum(each) / len(each) for each in kinds) / len(kinds):.1f}"


if __name__ == "__main__":
    main()
