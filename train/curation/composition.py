"""What training data are made of: the paper's Table I of any manifests, and figures of them. No video is opened.

A row's type is what its manifest says: `task` and `lang`, which `assemble` writes, and of conversations how many rounds there
are. Nothing is guessed from texts; a row without a task is shown as such.
"""

from __future__ import annotations

import html
import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from kangaroo_eval.errors import DataError
from kangaroo_eval.rows import Row as Fields
from kangaroo_eval.train.curation import figures
from kangaroo_eval.train.curation.balance import SHARE
from kangaroo_eval.train.curation.language import length
from kangaroo_eval.train.curation.records import records

SHOWN = 3
"""Bad rows that are told of one by one."""
NAMED = 20
"""Categories or sources that the page names beside their figure."""


class Paper(NamedTuple):
    """A line of the paper's Table I: its rows, the stage that it belongs to, and the sources it names."""

    rows: int
    stage: str
    sources: tuple[str, ...]


_TUNING = "instruction tuning"
PAPER: dict[str, Paper] = {
    "image caption": Paper(300_000_000, "image pre-training", ("LAION", "COYO", "Wukong")),
    "short caption": Paper(89_700, _TUNING, ("YouCook2", "VaTEX", "Charades", "TextVR")),
    "detailed caption": Paper(35_500, _TUNING, ("ShareGPTVideo", "ShareGPT4Video", "ShareGPT-4o")),
    "Chinese detailed caption": Paper(50_000, _TUNING, ()),
    "multiple choice": Paper(
        616_100,
        _TUNING,
        ("TV-QA", "Cinepile", "NExT-QA", "TGIF-QA MC", "CLEVRER", "SSthV2", "Kinetics-710"),
    ),
    "open QA": Paper(209_900, _TUNING, ("Ego-QA", "NExT-OE", "TGIF-QA OE", "WebVid-QA", "MovieChat")),
    "single-round conversation": Paper(655_700, _TUNING, ("Video-ChatGPT", "ShareGPTVideo")),
    "multi-round conversation": Paper(35_600, _TUNING, ("VideoChat", "VideoChat2", "Valley")),
    "Chinese conversation": Paper(547_700, _TUNING, ()),
}
"""Table I by type of row, in its order."""
STAGES = {"video pre-training": 60_000_000, "refinement": 6_900_000, "long-video tuning": 700_000}
"""Rows of the stages that Table I does not part by type."""
TUNING = sum(each.rows for each in PAPER.values() if each.stage == _TUNING)
"""Rows of the instruction tuning; the paper says 2.24 million."""

_NAMES = {"open_qa": "open QA"}


def kind(task: str, lang: str, rounds: int) -> str:
    """The type of a row, by Table I's name where it has one. Chinese rows are types of their own there, but for pictures."""
    name = _NAMES.get(task, task.replace("_", " ")) or "no task"
    if task == "conversation" and lang != "zh":
        return f"{'multi' if rounds > 1 else 'single'}-round conversation"
    return f"Chinese {name}" if lang == "zh" and task not in ("image_caption", "") else name


@dataclass(slots=True)
class Group:
    """Rows of one type, source and language, the rounds in them, and the different clips and pictures that they are about."""

    rows: int = 0
    rounds: int = 0
    videos: set[str] = field(default_factory=set)

    def with_other(self, other: Group) -> Group:
        """Both together; a clip that both have counts once."""
        return Group(self.rows + other.rows, self.rounds + other.rounds, self.videos | other.videos)


@dataclass(slots=True)
class Composition:
    """What some manifests hold. `groups`: by type, source and language. Of each different clip and picture once: `sources`, and
    of clips `categories` (where they have one) and `seconds`, or else `unknown`. `rounds`: of each row; `words`: of each answer.
    `bad`: what is wrong with the first rows that cannot be read, of `unread`."""

    groups: dict[tuple[str, str, str], Group] = field(default_factory=dict)
    sources: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    unknown: int = 0
    rounds: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    unread: int = 0
    bad: list[str] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """All rows that could be read."""
        return len(self.rounds)

    def kinds(self) -> dict[str, list[tuple[str, str, Group]]]:
        """Source, language and group of each type, the largest first; types in Table I's order, and then the others."""
        found: dict[str, list[tuple[str, str, Group]]] = {}
        for (name, source, lang), group in sorted(self.groups.items(), key=lambda each: -each[1].rows):
            found.setdefault(name, []).append((source, lang, group))
        known = {name: found[name] for name in PAPER if name in found}
        return known | found


def read(manifests: Iterable[Path]) -> Composition:
    """The composition of all of them together. DataError where a file cannot be read, or none has a good row."""
    found, seen = Composition(), set[str]()
    for path in manifests:
        if path.suffix not in (".jsonl", ".parquet"):
            raise DataError(f"{path}: a training manifest ends in .jsonl or .parquet, not {path.suffix!r}")
        if not path.is_file():
            raise DataError(f"training manifest not found: {path}")
        for record in records(path):
            try:
                if isinstance(record, DataError):
                    raise record
                _add(found, record, path.parent, seen)
            except DataError as error:
                found.unread += 1
                if len(found.bad) < SHOWN:
                    found.bad.append(str(error))
    if not found.rows:
        raise DataError(
            f"no row that can be read: {found.bad[0] if found.bad else 'the manifests are empty'}"
        )
    return found


def _add(found: Composition, row: Fields, root: Path, seen: set[str]) -> None:
    """Count a row. `seen`: the clips and pictures of the rows before it."""
    said = [
        (each.one_of("role", ("system", "user", "assistant")), each.text("content"))
        for each in row.rows("messages")
    ]
    answers = [text for role, text in said if role == "assistant"]
    if not answers:
        raise row.wrong("messages", "an answer from 'assistant'")
    task, lang, source = (_text(row, key) for key in ("task", "lang", "source"))
    seconds = _seconds(row)
    shown = _shown(row, root)
    group = found.groups.setdefault((kind(task, lang, len(answers)), source, lang), Group())
    group.rows += 1
    group.rounds += len(answers)
    found.rounds.append(len(answers))
    found.words.extend(map(length, answers))
    if not shown:
        return
    group.videos.add(shown)
    if shown in seen:
        return
    seen.add(shown)
    found.sources[source] += 1
    if _text(row, "image"):
        return
    if category := _text(row, "category"):
        found.categories[category] += 1
    if seconds is None:
        found.unknown += 1
    else:
        found.seconds.append(seconds)


def _text(row: Fields, key: str) -> str:
    """The text under a key; "" where it is null or not there."""
    return row.tag(key) if key in row and not row.is_null(key) else ""


def _shown(row: Fields, root: Path) -> str:
    """Which clip of which file, or which picture, a row is about; "" for text alone."""
    name = _text(row, "video") or _text(row, "image")
    bounds = [row.values.get(key) for key in ("start", "end")]
    clip = f"#{bounds[0]}-{bounds[1]}" if bounds != [None, None] else ""
    return f"{root / name}{clip}" if name else ""


def _seconds(row: Fields) -> float | None:
    """How long a row's clip is; None where the manifest does not tell."""
    start, end, duration = (
        None if key not in row or row.is_null(key) else row.seconds(key)
        for key in ("start", "end", "duration")
    )
    ends = [bound for bound in (end, duration) if bound is not None]
    return min(ends) - (start or 0.0) if ends else None


class Line(NamedTuple):
    """A line of the table: a whole type (`source` "" where it has several), or one source of it, which has no `paper`."""

    kind: str
    source: str
    lang: str
    group: Group
    paper: Paper | None


def lines(found: Composition) -> list[Line]:
    """The table: a line a type, and under it, where it has several, its sources."""
    out = []
    for name, parts in found.kinds().items():
        whole = Group()
        for _, _, group in parts:
            whole = whole.with_other(group)
        langs = "/".join(sorted({lang for _, lang, _ in parts if lang}))
        source = parts[0][0] if len(parts) == 1 else ""
        out.append(Line(name, source, langs, whole, PAPER.get(name)))
        if len(parts) > 1:
            out += [Line("", source or "no source", lang, group, None) for source, lang, group in parts]
    return out


HEADERS = ("type", "source", "language", "rows", "share", "videos", "rounds", "paper's rows", "paper's share")


def cells(line: Line, total: int) -> list[str]:
    """A line as texts, under `HEADERS`; `total`: rows of which the share is."""
    group, paper = line.group, line.paper
    numbers = [f"{group.rows:,}", f"{group.rows / total:.1%}", f"{len(group.videos):,}", f"{group.rounds:,}"]
    theirs = ["", ""]
    if paper is not None:
        # The paper's pictures are a stage of their own, of which they are all.
        theirs = [f"{paper.rows:,}", f"{paper.rows / TUNING:.1%}" if paper.stage == _TUNING else ""]
    return [line.kind, line.source, line.lang, *numbers, *theirs]


def totals(found: Composition) -> list[str]:
    """The table's last line."""
    counts = (found.rows, sum(found.sources.values()), sum(found.rounds))
    rows, videos, rounds = (f"{count:,}" for count in counts)
    return ["all", "", "", rows, "100.0%", videos, rounds, f"{TUNING:,}", "100.0%"]


def notes(found: Composition) -> list[str]:
    """What the table does not tell, in sentences."""
    stages = ", ".join(f"{name} {count:,}" for name, count in STAGES.items())
    out = [
        f"The paper's total and shares are of its {_TUNING}; stages that its Table I does not part by type: {stages}.",
        "Videos are different clips (or pictures), by file and bounds.",
    ]
    if lacking := [f"{name} {each.rows:,}" for name, each in PAPER.items() if name not in found.kinds()]:
        out.append(f"Of the paper's types there is no row of: {', '.join(lacking)}.")
    if found.unknown:
        out.append(f"{found.unknown:,} clips of a length that no manifest tells.")
    if found.unread:
        out.append(f"{found.unread:,} rows cannot be read, such as {'; '.join(found.bad)}.")
    return out


def table(found: Composition) -> str:
    """The table as text, with its notes."""
    from tabulate import tabulate

    rows = [cells(each, found.rows) for each in lines(found)]
    aligned = ("left",) * 3 + ("right",) * (len(HEADERS) - 3)
    shown = tabulate([*rows, totals(found)], headers=HEADERS, disable_numparse=True, colalign=aligned)
    return "\n".join([shown, *notes(found)])


def as_json(found: Composition) -> dict[str, Any]:
    """The same in numbers: all, and each type with its sources and the paper's line."""
    types: list[dict[str, Any]] = []
    for line in lines(found):
        told = {"lang": line.lang, "rows": line.group.rows, "share": round(line.group.rows / found.rows, 6)}
        told |= {"videos": len(line.group.videos), "rounds": line.group.rounds}
        if line.kind:
            paper = None if line.paper is None else line.paper._asdict()
            types.append({"type": line.kind, **told, "source": line.source, "sources": [], "paper": paper})
        else:
            types[-1]["sources"].append({"source": line.source, **told})
    return {
        "rows": found.rows,
        "videos": sum(found.sources.values()),
        "rounds": sum(found.rounds),
        "unread": found.unread,
        "unknown_length": found.unknown,
        "types": types,
    }


def document(found: Composition) -> str:
    """The table as a page, with two figures: the shares of the clips' categories (of the sources, where no clip has one)
    against the paper's cap, and how long clips, conversations and answers are."""
    head = "".join(f"<th scope='col'>{html.escape(each)}</th>" for each in HEADERS)
    rows = "".join(_html(cells(each, found.rows)) for each in lines(found)) + _html(totals(found))
    told = "".join(f"<p>{html.escape(each)}</p>" for each in notes(found))
    body = [
        f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{told}",
        _balance(found),
        "<h2>How long</h2>",
    ]
    for name, values, log_scale in (
        ("seconds of a clip", found.seconds, True),
        ("rounds of a row", found.rounds, False),
        ("words of an answer (a Chinese character is one)", found.words, True),
    ):
        if values:
            note = f"half of {len(values):,} are at most {statistics.median(values):g}"
            body.append(figures.histogram(name, values, log_scale=log_scale, note=note))
    return figures.page("Composition of the training data", "".join(body))


def _html(texts: Sequence[str]) -> str:
    first = f"<th scope='row'>{html.escape(texts[0])}</th>"
    named = "".join(f"<td>{html.escape(each)}</td>" for each in texts[1:3])
    numbers = "".join(f"<td class='number'>{each}</td>" for each in texts[3:])
    return f"<tr>{first}{named}{numbers}</tr>"


def _balance(found: Composition) -> str:
    """Shares of categories, or else of sources, and the largest of them by name."""
    what, counts = ("category", found.categories) if found.categories else ("source", found.sources)
    if not counts:
        return ""
    counted = counts.total()
    named = {name or f"no {what}": count for name, count in counts.items()}
    note = (
        f"of {counted:,} clips"
        if found.categories
        else f"of {counted:,} clips and pictures; none has a category"
    )
    rows = "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{count:,}</td><td>{count / counted:.2%}</td>"
        f"<td class='bar'><i style='width:{100 * count / counted:.1f}%'></i></td></tr>"
        for name, count in sorted(named.items(), key=lambda each: (-each[1], each[0]))[:NAMED]
    )
    figure = figures.shares(f"share of a {what}", named, SHARE, note)
    return f"<h2>Balance</h2>{figure}<table>{rows}</table>"
