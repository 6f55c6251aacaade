"""From examples of any source to the rows of a training manifest (Section III.E): what `train.rows.read_manifest` reads.

Rounds about one video become one conversation, clips under 5 s go, dense captions come in, and every row that is left out is
counted with its reason. Nothing here depends on the order of examples but the order of rows.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.train.curation.balance import hashed
from kangaroo_eval.train.curation.language import Lang
from kangaroo_eval.train.curation.similarity import is_refusal
from kangaroo_eval.train.curation.templates import TASKS, Letters, Task, ask, instruct, multiple_choice

SHORTEST = 5.0
"""Seconds of the shortest clip of the instruction data (the paper); at 4 frames a second it gives the model's 16 frames."""

MOST_ROUNDS = 8
"""Rounds of one merged conversation; more make another one."""


class Round(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str


class Segment(NamedTuple):
    """What happens from `start` to `end`, in seconds from the beginning of the video's file."""

    start: float
    end: float
    text: str


class Made(NamedTuple):
    """How a text came about that a language model wrote: the prompt's id, the model's name, and the captions it was given."""

    prompt: str
    model: str
    captions: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """Something to learn about one video, or (task "image_caption") one picture, from any source.

    `video` is the path that the manifest will have, as `image` where it is a picture's. `duration` is the whole file's, `start`
    and `end` bound the clip, all in seconds; `category` is the clip's, that of the balance. `alt` is the text that the web had
    for a picture: it is kept beside the caption, and never learnt. What it holds is by its task: `captions` (several where people wrote several; one of them is used unless they are
    merged), `segments` of a dense caption, `rounds` of questions, or `question`, `options` and the place of the `right` one.
    `context` is put in front of the first question: subtitles.
    """

    id: str
    video: str
    source: str
    task: Task
    lang: Lang = "en"
    duration: float | None = None
    start: float | None = None
    end: float | None = None
    captions: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    rounds: tuple[Round, ...] = ()
    question: str = ""
    options: tuple[str, ...] = ()
    right: int = 0
    context: str = ""
    category: str = ""
    alt: str = ""
    made: Made | None = None

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise UserError(f"example {self.id!r}: unknown task {self.task!r}. Known: {', '.join(TASKS)}")
        if not self.id.strip() or not self.video.strip():
            raise DataError(f"example {self.id!r} has the video {self.video!r}: both must be given")
        if self.lang not in ("en", "zh"):
            raise UserError(f"example {self.id!r}: unknown language {self.lang!r}. Known: en, zh")
        held = {
            "captions": self.captions,
            "segments": self.segments,
            "rounds": self.rounds,
            "options": self.options,
        }
        given, wanted = [name for name, value in held.items() if value], _HELD[self.task]
        if given != [wanted]:
            found = ", ".join(given) or "nothing"
            raise DataError(f"example {self.id!r}: {self.task} holds {wanted}, and this one {found}")
        if self.is_picture and any(each is not None for each in (self.start, self.end, self.duration)):
            raise DataError(f"example {self.id!r}: a picture has no start, end or duration")

    @property
    def is_picture(self) -> bool:
        """Whether it is about a picture and not a video."""
        return self.task == "image_caption"

    @property
    def seconds(self) -> float | None:
        """How long its clip is; None where that is not known."""
        ends = [bound for bound in (self.end, self.duration) if bound is not None]
        return min(ends) - (self.start or 0.0) if ends else None

    @property
    def clip(self) -> tuple[str, float | None, float | None]:
        """Which clip of which file it is about."""
        return self.video, self.start, self.end


_HELD: dict[Task, str] = {
    "image_caption": "captions",
    "short_caption": "captions",
    "detailed_caption": "captions",
    "dense_caption": "segments",
    "multiple_choice": "options",
    "open_qa": "rounds",
    "conversation": "rounds",
}


@dataclass(slots=True)
class Report:
    """What was made of examples, filled while rows are drawn: rows by task and language, examples and rounds left out by
    reason, clips kept though their length is not known, and how often each letter is right."""

    rows: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)
    unknown_length: int = 0
    letters: Letters = field(default_factory=Letters)

    def told(self) -> str:
        """The report, for people."""
        lines = [f"{count:,} rows: {name}" for name, count in self.rows.most_common()]
        lines += [f"{count:,} left out: {reason}" for reason, count in self.drops.most_common()]
        if self.unknown_length:
            lines.append(f"{self.unknown_length:,} kept with a clip of unknown length")
        if self.letters.counts:
            lines += ["how often each letter is right:", self.letters.told()]
        return "\n".join(lines)


def assemble(
    examples: Iterable[Example],
    report: Report,
    *,
    durations: Mapping[str, float] | None = None,
    shortest: float = SHORTEST,
) -> Iterator[dict[str, Any]]:
    """The manifest's rows of examples, in their order, and what became of the others in `report`.

    `durations`: seconds of videos' files by path, for examples that have none. Left out are clips under `shortest`
    seconds or past the video's end, answers that are empty or a refusal, options that repeat, and repeated ids.
    """
    seen: set[str] = set()
    for example in examples:
        if example.duration is None and durations and example.video in durations:
            example = replace(example, duration=durations[example.video])
        try:
            _check_clip(example, shortest)
            if example.id in seen:
                raise DataError("id that another row has too")
            row = _row(example, *_said(example, report))
        except DataError as error:
            report.drops[str(error).split(":", 1)[0]] += 1
            continue
        seen.add(example.id)
        if "mc" in row:
            report.letters.add(len(row["mc"]["options"]), row["mc"]["answer"])
        report.unknown_length += example.seconds is None and not example.is_picture
        report.rows[f"{example.task}, {example.lang}"] += 1
        yield row


def _check_clip(example: Example, shortest: float) -> None:
    """DataError, whose text is the reason, where the clip is not to be used."""
    numbers = [each for each in (example.start, example.end, example.duration) if each is not None]
    if any(not 0 <= each < float("inf") for each in numbers):
        raise DataError("time that is no number of seconds")
    seconds = example.seconds
    if seconds is not None and seconds <= 0:
        raise DataError("clip that ends before it begins, or begins past the video's end")
    # 15.1 - 10.1 is a little below 5.
    if seconds is not None and seconds < shortest - 1e-6:
        raise DataError(f"clip under {shortest:g} s")


def _said(example: Example, report: Report) -> tuple[list[Round], dict[str, Any]]:
    """The conversation about it, and options and answer of a choice; DataError, whose text is the reason, where there is
    none."""
    name, lang, mc = example.id, example.lang, {}
    if example.task == "multiple_choice":
        if not example.question.strip() or not all(each.strip() for each in example.options):
            raise DataError("empty question or option")
        choice = multiple_choice(name, example.question.strip(), example.options, example.right, lang)
        rounds = [Round(choice.prompt, choice.target)]
        mc = {"options": list(choice.options), "answer": choice.letter}
    elif example.segments:
        rounds = [Round(instruct(example.task, lang, name), dense(example.segments))]
    elif example.captions:
        good = [each.strip() for each in example.captions if each.strip() and not is_refusal(each)]
        if not good:
            raise DataError("caption that is empty or a refusal")
        rounds = [Round(instruct(example.task, lang, name), good[hashed(name, "caption") % len(good)])]
    else:
        first, *others = _good(example, report)
        rounds = [first._replace(question=ask(example.task, lang, name, *first)), *others]
    if example.context.strip():
        rounds[0] = rounds[0]._replace(question=f"{example.context.strip()}\n{rounds[0].question}")
    return rounds, mc


def _good(example: Example, report: Report) -> list[Round]:
    """The rounds that can be learnt from. People's short answers may well be "I'm sorry": it is what somebody says."""
    wordy = example.task != "open_qa"
    rounds = [Round(question.strip(), answer.strip()) for question, answer in example.rounds]
    full = [each for each in rounds if each.question and each.answer]
    good = [each for each in full if not (wordy and is_refusal(each.answer))]
    if not good:
        raise DataError("answer that is a refusal" if full else "empty question or answer")
    for reason, number in (("empty", len(rounds) - len(full)), ("that is a refusal", len(full) - len(good))):
        if number:
            report.drops[f"round {reason}, of a conversation that is kept"] += number
    return good


def dense(segments: Sequence[Segment]) -> str:
    """A dense caption: a line for each segment, in order, with its seconds in the file, which are those that the network is
    told of the frames, of a clip as well."""
    ordered = sorted(segments)
    return "\n".join(
        f"{each.start:.1f} - {each.end:.1f} s: {' '.join(each.text.split())}" for each in ordered
    )


def _row(example: Example, rounds: Sequence[Round], mc: Mapping[str, Any]) -> dict[str, Any]:
    times = {name: getattr(example, name) for name in ("start", "end", "duration")}
    kind = "image" if example.is_picture else "video"
    row = {"id": example.id, kind: example.video} | {k: v for k, v in times.items() if v is not None}
    messages = [
        {"role": role, "content": text}
        for each in rounds
        for role, text in zip(("user", "assistant"), each, strict=True)
    ]
    row |= {"source": example.source, "task": example.task, "lang": example.lang, "messages": messages}
    # The reader of manifests knows neither of these, and leaves them alone.
    row |= {key: text for key in ("category", "alt") if (text := getattr(example, key))}
    if mc:
        row["mc"] = dict(mc)
    if example.made is not None:
        row["made"] = {**example.made._asdict(), "captions": list(example.made.captions)}
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise DataError("text that is not valid Unicode") from error
    return row


def merged(examples: Iterable[Example], report: Report, most: int = MOST_ROUNDS) -> list[Example]:
    """The same examples, with the rounds about one clip from one source, task and language in conversations of at most
    `most` rounds.

    Rounds are ordered by a hash, and of those with one question the first is kept (the others are counted). Examples
    without rounds, with subtitles, or made by a language model, which are conversations already, stay as they are.
    """
    if most < 1:
        raise UserError(f"rounds of a conversation {most} must be at least 1")
    out: list[Example] = []
    groups: dict[tuple[Any, ...], list[Example]] = defaultdict(list)
    for example in examples:
        if not example.rounds or example.context or example.made:
            out.append(example)
        else:
            groups[(*example.clip, example.source, example.task, example.lang)].append(example)
    for members in groups.values():
        out += [members[0]] if len(members) == 1 else _conversations(members, report, most)
    return out


def _conversations(members: Sequence[Example], report: Report, most: int) -> list[Example]:
    ordered = sorted(members, key=lambda each: (hashed(each.id, "round"), each.id))
    kept: dict[str, Round] = {}
    for question, answer in (each for example in ordered for each in example.rounds):
        key = " ".join(question.casefold().split()).rstrip("?？.。! ")
        if key in kept:
            report.drops["round with a question that its video already has"] += 1
        else:
            kept[key] = Round(question, answer)
    rounds, first = tuple(kept.values()), min(each.id for each in members)
    known = [each.duration for each in members if each.duration is not None]
    return [
        # The smallest id with a mark: unique, and the same in whatever order the rounds came.
        replace(
            members[0],
            id=f"{first}+{place // most}",
            rounds=rounds[place : place + most],
            duration=max(known, default=None),
        )
        for place in range(0, len(rounds), most)
    ]


def with_dense(
    examples: Iterable[Example], segments: Mapping[str, Sequence[Segment]], source: str, lang: Lang = "en"
) -> Iterator[Example]:
    """The examples, and behind them a dense caption of each of their videos for which `segments` (by path; what the frame
    captions of the curation tell) has two or more: a single one is a caption of the whole."""
    durations: dict[str, float | None] = {}
    for example in examples:
        durations[example.video] = durations.get(example.video) or example.duration
        yield example
    for video, duration in durations.items():
        told = tuple(each for each in segments.get(video, ()) if each.text.strip() and each.end > each.start)
        if len(told) > 1:
            yield Example(
                id=f"{source}/dense/{PurePosixPath(video).with_suffix('')}",
                video=video,
                source=source,
                task="dense_caption",
                lang=lang,
                duration=duration,
                segments=told,
            )


def write_manifest(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write rows as JSON lines, and give how many. The file appears whole under its name or not at all: what an error or a
    kill leaves is a .part file beside it. UserError where it cannot be written, or there is no row."""
    if path.suffix != ".jsonl":
        raise UserError(f"{path}: a training manifest made here ends in .jsonl, not {path.suffix!r}")
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    written = 0
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as out:
            for row in rows:
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                written += 1
        if not written:
            raise UserError(f"{path}: no row is left to write; the report says why each was left out")
        os.replace(part, path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}): free space or give another folder"
        ) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
    return written
