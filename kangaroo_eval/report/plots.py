"""Charts: the paper's Figure 1 as a radar, bars of a breakdown, scores over steps and over frames. Needs matplotlib."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kangaroo_eval.errors import UserError, cannot_import
from kangaroo_eval.report import published
from kangaroo_eval.report.tables import run_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's, which people with colour blindness tell apart."""
PEERS = 4
"""Published models beside Kangaroo in the radar: the best of those that have at least half of the benchmarks."""
MOST_BARS = 30
NORMAL_95 = 1.959964
_STEP = re.compile(r"(?:step|checkpoint|iter)[-_]?0*(\d+)", re.IGNORECASE)

Results = Mapping[str, Any]


def charts(runs: Sequence[Results]) -> dict[str, Figure]:
    """Name -> chart, of all that these runs have something to show in."""
    found: dict[str, Figure] = {"radar": radar(runs)}
    for number, run in enumerate(runs, 1):
        for name, task in run["tasks"].items():
            tags = [tag for tag, values in task["breakdown"].items() if 1 < len(values) <= MOST_BARS]
            prefix = f"{number}-" if len(runs) > 1 else ""
            if task["careful"]["value"] is not None:
                found |= {f"{prefix}{name}-{tag}": bars(run, name, tag) for tag in tags}
    for what, of in (("step", _step), ("frames", _frames)):
        points = [(of(run), run) for run in runs]
        if len({x for x, _ in points if x is not None}) > 1:
            found[f"over-{what}"] = curve([(x, run) for x, run in points if x is not None], what)
    return found


def save(figures: Mapping[str, Figure], folder: Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Write each chart in each format; the files. UserError for an unknown format."""
    for form in formats:
        if form not in FORMATS:
            raise UserError(f"plot format {form!r}: choose among {', '.join(FORMATS)}")
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, figure in figures.items():
        for form in formats:
            path = folder / f"{name}.{form}"
            # No date in the file: the same results give the same bytes.
            metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
            figure.savefig(path, format=form, metadata=metadata, dpi=160)
            paths.append(path)
    return paths


def svg(figure: Figure) -> str:
    """A chart as SVG to stand in a page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]


def _new(width: float = 7.0, height: float = 4.5, *, polar: bool = False) -> tuple[Figure, Axes]:
    try:
        from matplotlib import rcParams
        from matplotlib.figure import Figure
    except ImportError as error:
        raise cannot_import("plots", error, 'pip install "kangaroo-eval[report]"') from None
    rcParams["svg.hashsalt"] = "kangaroo-eval"
    # Text that can be searched and read aloud, not outlines.
    rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.add_subplot(polar=polar)


def radar(runs: Sequence[Results]) -> Figure:
    """Kangaroo, its best open peers and the comparable runs over Table III's benchmarks and Video-MME, each axis from 0 to
    the best value on it."""
    axes, lines = _radar_values(runs)
    best = {axis: max(line[axis] for line in lines.values() if axis in line) for axis in axes}
    figure, plot = _new(7.5, 6.5, polar=True)
    angles = [2 * math.pi * i / len(axes) for i in range(len(axes))]
    for number, (name, line) in enumerate(lines.items()):
        known = [
            (angle, line[axis] / best[axis]) for angle, axis in zip(angles, axes, strict=True) if axis in line
        ]
        colour = COLOURS[number % len(COLOURS)]
        closed = [*known, known[0]]
        width = 2.4 if name == "Kangaroo" or number > PEERS else 1.2
        plot.plot(
            *zip(*closed, strict=True), color=colour, linewidth=width, label=name, marker="o", markersize=3
        )
    names = {**published.HEADINGS, "overall_wo": "Video-MME"}
    labels = [f"{names[axis]}\n{best[axis]:g}" for axis in axes]
    plot.set_xticks(angles, labels, fontsize=8)
    plot.set_yticks([0.25, 0.5, 0.75, 1.0], ["", "", "", ""])
    plot.set_ylim(0, 1.05)
    plot.set_title("Each axis ends at the best value shown on it", fontsize=9)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _radar_values(runs: Sequence[Results]) -> tuple[list[str], dict[str, dict[str, float]]]:
    table = published.load("III")
    axes = [*table.columns, "overall_wo"]
    others = {(row["model"], row["size"]): row.get("overall_wo", "") for row in published.load("IV").rows}
    rows = [row for row in table.rows if row["group"] != "proprietary"]
    lines = {}
    for row in rows:
        line = {axis: float(row[axis]) for axis in table.columns if row[axis]}
        overall = others.get((row["model"], row["size"]))
        if overall:
            line["overall_wo"] = float(overall)
        # A model of two sizes is two models.
        sizes = sum(other["model"] == row["model"] for other in rows)
        lines[f"{row['model']} {row['size']}" if sizes > 1 else row["model"]] = line
    ours = next(row["model"] for row in rows if row["group"] == "ours")
    best = {axis: max(line[axis] for line in lines.values() if axis in line) for axis in axes}

    def share(name: str) -> float:
        return sum(value / best[axis] for axis, value in lines[name].items()) / len(lines[name])

    # A line of two or three points is no shape to compare with.
    told = [name for name in lines if name != ours and 2 * len(lines[name]) >= len(axes)]
    peers = sorted(told, key=share, reverse=True)[:PEERS]
    chosen = {name: lines[name] for name in (ours, *peers)}
    for run, called in zip(runs, run_names(runs), strict=True):
        own = {}
        for task in run["tasks"].values():
            where = task["published"]
            value = task["official"]["value"]
            if where and where["comparable"] and where["column"] in axes and value is not None:
                own[where["column"]] = value * (100 if task["scale"] == 1 else 1)
        if own:
            chosen[f"{called} (official)"] = own
    return axes, chosen


def bars(run: Results, name: str, tag: str) -> Figure:
    """The careful scores of a tag's values with 95 % intervals, and the task's own as a line."""
    task = run["tasks"][name]
    factor = 100 if task["scale"] == 1 else 1
    names, heights, errors = [], [], []
    for key, pair in task["breakdown"][tag].items():
        value, error = (pair["careful"][each] for each in ("value", "stderr"))
        # A bar of height 0 would be a score.
        names.append(key if value is not None else f"{key} (no score)")
        heights.append(math.nan if value is None else factor * value)
        # No bar for an error that is not known: one of length 0 would say that there is none.
        errors.append(math.nan if error is None else factor * NORMAL_95 * error)
    figure, plot = _new(7.0, 1.2 + 0.28 * len(names))
    plot.barh(names, heights, xerr=errors, color=COLOURS[0], ecolor="#555555", capsize=2, height=0.7)
    plot.invert_yaxis()
    if task["careful"]["value"] is not None:
        plot.axvline(factor * task["careful"]["value"], color=COLOURS[1], linewidth=1)
    plot.set_xlim(0, factor * task["scale"])
    plot.set_xlabel("careful score, 95 % intervals; the line is the whole task", fontsize=8)
    plot.set_title(f"{task['label']} by {tag}: {run['run']['model']}", fontsize=9)
    plot.tick_params(labelsize=8)
    return figure


def curve(points: Sequence[tuple[int, Results]], what: str) -> Figure:
    """Every task's careful score over `what` (step or frames), with 95 % intervals: a line for each task, kind of data and
    model, whose steps are one model."""
    figure, plot = _new()
    lines: dict[tuple[str, str], list[tuple[int, float, float]]] = {}
    for x, run in sorted(points, key=lambda point: point[0]):
        model = str(run["run"]["model"])
        for task in run["tasks"].values():
            if task["careful"]["value"] is not None:
                factor, error = 100 / task["scale"], task["careful"]["stderr"]
                spread = math.nan if error is None else factor * NORMAL_95 * error
                key = (task["label"], _STEP.sub("", model) if what == "step" else model)
                lines.setdefault(key, []).append((x, factor * task["careful"]["value"], spread))
    models = {model for _, model in lines}
    for number, ((label, model), known) in enumerate(lines.items()):
        xs, ys, errors = zip(*known, strict=True)
        name = f"{label}, {model}" if len(models) > 1 else label
        plot.errorbar(xs, ys, errors, color=COLOURS[number % len(COLOURS)], marker="o", capsize=3, label=name)
    plot.set_xlabel(what)
    plot.set_ylabel("careful score in % of the best possible")
    plot.set_title(f"Score over {what}, 95 % intervals", fontsize=9)
    plot.legend(fontsize=8)
    return figure


def _frames(run: Results) -> int | None:
    frames = run["run"]["frames"]
    return frames if isinstance(frames, int) else None


def _step(run: Results) -> int | None:
    """The step of a checkpoint, from its name or its folder's."""
    found = _STEP.search(str(run["run"]["model"]))
    return int(found[1]) if found else None
