"""All that training reads in one manifest (Section III.E): curated clips and pictures, public sets, and what language models
make of them."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.curation import clips as curated
from kangaroo_eval.train.curation import images as pictures
from kangaroo_eval.train.curation.converters import convert, named
from kangaroo_eval.train.curation.engine import read_all
from kangaroo_eval.train.curation.instructions import (
    MOST_ROUNDS,
    SHORTEST,
    Example,
    Report,
    assemble,
    merged,
    write_manifest,
)
from kangaroo_eval.train.curation.language import Lang
from kangaroo_eval.train.curation.similarity import refine
from kangaroo_eval.train.curation.writer import Writer, make_dialogues, merge_captions


class Set(NamedTuple):
    """A public set by the name of its converter, its file, and the folder of its videos ("": the paths are whole)."""

    name: str
    file: Path
    videos: str = ""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What goes into a manifest. `clips`, `images`: folders whose clips or pictures have captions. `category`: the key of a
    clip's category. `merge_by`, `dialogues_by`: language models that merge captions and make dialogues (none: neither)."""

    clips: tuple[Path, ...] = ()
    images: tuple[Path, ...] = ()
    sets: tuple[Set, ...] = ()
    category: str = curated.CATEGORY
    threshold: float = curated.THRESHOLD
    dense: bool = False
    shortest: float = SHORTEST
    rounds: int = MOST_ROUNDS
    lang: Lang = "en"
    merge_by: Sequence[Writer] = field(default_factory=tuple)
    dialogues_by: Sequence[Writer] = field(default_factory=tuple)

    def __post_init__(self) -> None:
        if not self.clips and not self.images and not self.sets:
            raise UserError("nothing to assemble: give --clips DIR, --images DIR or --set NAME=FILE")
        if not 0 < self.threshold <= 1:
            raise UserError(f"--threshold {self.threshold}: give a similarity above 0 and at most 1")


def assemble_all(asked: Asked, out: Path) -> str:
    """Write the manifest; what became of everything, for people."""
    told: list[str] = []
    examples: list[Example] = []
    for folder, found, drops in _captioned(asked):
        examples += found
        told.append(f"{folder}: {len(found):,} examples")
        told += [f"{count:,} left out: {reason}" for reason, count in drops.most_common()]
    for each in asked.sets:
        converted = convert(each.name, each.file, named(each.videos))
        kept = list(filter(None, (_worth(example, asked.threshold) for example in converted.examples)))
        examples += kept
        told.append(f"{each.name}: {converted.told()}")
        if left := len(converted.examples) - len(kept):
            told.append(f"{left:,} left out: captions that repeat themselves, or refuse")
    if asked.merge_by:
        wrote = merge_captions(examples, asked.merge_by)
        examples = wrote.examples
        told.append(wrote.told())
    if asked.dialogues_by:
        wrote = make_dialogues(examples, asked.dialogues_by)
        examples += wrote.examples
        told.append(wrote.told())
    report = Report()
    rows_ = assemble(merged(examples, report, asked.rounds), report, shortest=asked.shortest)
    written = write_manifest(rows_, out)
    return "\n".join([*filter(None, told), report.told(), f"{written:,} rows: {out}"])


def _worth(example: Example, threshold: float) -> Example | None:
    """The example with those of its captions that Eq. 2 keeps; None where it has captions and none is."""
    if not example.captions:
        return example
    verdicts = refine(example.captions, threshold)
    kept = tuple(caption for caption, verdict in zip(example.captions, verdicts, strict=True) if verdict.kept)
    return dataclasses.replace(example, captions=kept) if kept else None


def _captioned(asked: Asked) -> Iterator[tuple[Path, list[Example], Counter[str]]]:
    """Each folder of captions, its examples, and what was left out by reason."""
    for folder in asked.clips:
        drops: Counter[str] = Counter()
        found = curated.examples(
            read_all(folder / "captions"),
            drops,
            threshold=asked.threshold,
            dense=asked.dense,
            lang=asked.lang,
            category=asked.category,
        )
        yield folder, list(found), drops
    for folder in asked.images:
        drops = Counter()
        found = pictures.examples(read_all(folder / "captions"), drops, threshold=asked.threshold)
        yield folder, list(found), drops
