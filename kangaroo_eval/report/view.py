"""The viewer: a folder of static files that shows every sample of a run with the frames that the model saw.

`index.html` needs no server: data comes in scripts, the list of samples in one and their texts in pieces of `PIECE` that are
loaded when a sample is opened. Every text of a model or a benchmark is put into the page as text and never as HTML.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.journal import answer_lines, read_asked, read_lines, read_record, read_results, write_text
from kangaroo_eval.report.strips import SIDE, Strip, write_strip
from kangaroo_eval.types import Sample, Video

PIECE = 100
FILES = ("index.html", "viewer.css", "viewer.js")
SHOWN = 240
"""Characters of a question in the list, which is also what a search looks in."""

Samples = Callable[[Mapping[str, Any], str], Iterable[Sample]]


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a viewer shows: a `run`, a run to `compare` with or None, and how frames are had: `samples(record, task)` gives a
    task's samples (DataError where its annotations are gone), `side` the pixels of a thumbnail (0: no thumbnails)."""

    run: Path
    samples: Samples
    compare: Path | None = None
    side: int = SIDE
    progress: Callable[[str, int, int], None] | None = None


def write_view(view: View, out: Path) -> Path:
    """Write the folder; the path of its index.html. UserError for what is no run, or a damaged one."""
    try:
        return _write_view(view, out)
    except (LookupError, TypeError, AttributeError) as error:
        runs = " ".join(str(each) for each in (view.run, view.compare) if each)
        raise UserError(
            f"{runs}: the scores or the results.json are not whole; kangaroo-eval score RUN makes them anew"
        ) from error


def _write_view(view: View, out: Path) -> Path:
    record = read_record(view.run) if view.run.is_dir() else None
    if record is None:
        raise UserError(f"{view.run}: give a run directory (with a run.json)")
    results = read_results(view.run)
    if stale := [task for task in record["tasks"] if task not in results["tasks"]]:
        raise UserError(
            f"{view.run}: results.json has no {', '.join(stale)}: kangaroo-eval score {view.run} makes it anew"
        )
    other = None if view.compare is None else _Other(view.compare)
    (out / "data").mkdir(parents=True, exist_ok=True)
    tasks, rows = [], []
    for number, name in enumerate(record["tasks"]):
        lines = list(_lines(view, record, name, out / "frames", other))
        rows += [[number, *_row(line)] for line in lines]
        for piece in range(0, len(lines), PIECE):
            _script(
                out / "data" / f"{number}-{piece // PIECE}.js",
                f"{number}-{piece // PIECE}",
                lines[piece : piece + PIECE],
            )
        tasks.append({**_told(results["tasks"][name]), "name": name})
    about = {
        "model": record["model"]["name"],
        "notes": record["model"].get("notes", []),
        "frames": record.get("frames"),
        "before": None if other is None else other.name,
        "piece": PIECE,
    }
    _script(out / "data" / "index.js", "index", {"run": about, "tasks": tasks, "rows": rows})
    source = resources.files("kangaroo_eval.report") / "viewer"
    for file in FILES:
        write_text(out / file, (source / file).read_text(encoding="utf-8"))
    return out / "index.html"


def _script(path: Path, name: str, value: object) -> None:
    """Data as a script, which a page that was opened from a file may load where it may not fetch."""
    write_text(path, f"viewer.data({json.dumps(name)}, {json.dumps(value)});\n")


def _told(task: Mapping[str, Any]) -> dict[str, Any]:
    """What the overview shows of a task."""
    kept = (
        "label",
        "scale",
        "asked",
        "answered",
        "coverage",
        "careful",
        "official",
        "read_differently",
        "status",
    )
    breakdown = {
        tag: {value: pair["careful"] for value, pair in values.items()}
        for tag, values in task["breakdown"].items()
    }
    return {**{key: task[key] for key in kept}, "breakdown": breakdown, "findings": task.get("findings", [])}


class _Other:
    """The run to compare with: what it answered, by task and id."""

    def __init__(self, path: Path) -> None:
        record = read_record(path) if path.is_dir() else None
        if record is None:
            raise UserError(f"--compare {path}: give a run directory (with a run.json)")
        self._path = path
        self.name = path.resolve().name

    def answers(self, task: str) -> dict[str, dict[str, Any]]:
        texts = {line["id"]: line.get("text") for line in answer_lines(self._path / f"{task}.answers.jsonl")}
        found = {}
        for line in read_lines(self._path / f"{task}.scores.jsonl"):
            careful = line["careful"] or {}
            found[line["id"]] = {
                "text": texts.get(line["id"]),
                "read": careful.get("answer"),
                "score": careful.get("score"),
            }
        return found


def _lines(
    view: View, record: Mapping[str, Any], task: str, folder: Path, other: _Other | None
) -> Iterator[dict[str, Any]]:
    """Everything about each sample, in the order asked."""
    scores = {line["id"]: line for line in read_lines(view.run / f"{task}.scores.jsonl")}
    answers = {line["id"]: line for line in answer_lines(view.run / f"{task}.answers.jsonl")}
    asked = list(read_asked(view.run, task))
    samples, gone = _samples(view, record, task)
    before = {} if other is None else other.answers(task)
    strips: dict[tuple[Video, tuple[float, ...]], Strip] = {}
    for done, name in enumerate(asked, 1):
        answer, score, sample = answers.get(name, {}), scores.get(name, {}), samples.get(name)
        strip = _strip(view, sample, answer, folder, strips) if sample else Strip(why=gone)
        careful, official = score.get("careful") or {}, score.get("official") or {}
        yield {
            "id": name,
            "video": answer.get("video") or score.get("video") or "",
            "status": answer.get("status", "unanswered"),
            "error": answer.get("error"),
            "system": answer.get("system"),
            "prompt": answer.get("prompt") or "",
            "prefill": answer.get("prefill"),
            "text": answer.get("text"),
            "span": careful.get("span"),
            "rule": careful.get("rule"),
            "read": careful.get("answer"),
            "score": careful.get("score"),
            "official_read": official.get("answer"),
            "official": official.get("score"),
            "target": score.get("target"),
            "times": answer.get("frame_times", []),
            "seconds": answer.get("seconds"),
            "tokens": [answer.get("prompt_tokens"), answer.get("new_tokens")],
            "tags": score.get("tags") or ({} if sample is None else dict(sample.tags)),
            "question": _question(sample, answer),
            "strip": strip._asdict(),
            "before": before.get(name),
        }
        if view.progress:
            view.progress(task, done, len(asked))


def _samples(view: View, record: Mapping[str, Any], task: str) -> tuple[dict[str, Sample], str]:
    """A task's samples by id, or none and why."""
    try:
        return {sample.id: sample for sample in view.samples(record, task)}, ""
    except DataError as error:
        return {}, str(error)


def _strip(
    view: View,
    sample: Sample,
    answer: Mapping[str, Any],
    folder: Path,
    known: dict[tuple[Video, tuple[float, ...]], Strip],
) -> Strip:
    if not view.side:
        return Strip(why="made without thumbnails")
    key = (sample.video, tuple(answer.get("frame_times", [])))
    if key not in known:
        known[key] = write_strip(*key, folder, view.side)
    return known[key]


def _question(sample: Sample | None, answer: Mapping[str, Any]) -> str:
    text = sample.question if sample else str(answer.get("prompt") or "")
    return " ".join(text.split())[:SHOWN]


def _row(line: Mapping[str, Any]) -> Sequence[Any]:
    """What the list shows and filters by: id, question, category, status, scores, what was read, the key, and the other
    run's score."""
    tags = line["tags"]
    category = next((str(value) for value in tags.values() if isinstance(value, str)), "")
    before = None if line["before"] is None else line["before"]["score"]
    return (
        line["id"],
        line["question"],
        category,
        line["status"],
        line["score"],
        line["official"],
        line["read"],
        line["target"],
        before,
    )
