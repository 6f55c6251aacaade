"""Whether a benchmark's files can be used: every video's first and last sampled frame is decoded.

A file's index may be whole where its pictures are not, and half a download plays up to where it stopped, so that both ends
have to be seen. `kangaroo-eval data verify` before a run costs minutes; a run that meets the first broken video after hours
costs those.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from kangaroo_eval.data import Located, read_samples, video_key
from kangaroo_eval.media import Decoded, Job, decode_ahead
from kangaroo_eval.media.spec import FrameSpec
from kangaroo_eval.media.store import content
from kangaroo_eval.task import Task
from kangaroo_eval.types import Sample, Video

SIZE = 64
"""Pixels of a side that frames are looked at in: decoding is what finds damage, and costs the same at any size."""
TIMEOUT = 600.0
"""Seconds for one clip."""
SHORTEST, SLACK = 0.95, 1.0
"""A video may have this share of its annotated seconds, less a second: annotations are rounded, containers count differently."""


class Broken(NamedTuple):
    """A video that gives no frames, or fewer than its header says: where it is, and why."""

    path: str
    why: str


class Short(NamedTuple):
    """A video that ends before its annotation says: its seconds and those annotated."""

    path: str
    seconds: float
    annotated: float


@dataclass(frozen=True, slots=True)
class Verified:
    """What was found of a task's files. Paths are below the benchmark's folder. `answerable` counts samples whose video is there
    and gives frames; `same` are files with one content under several names, `twins` those with one name in several folders,
    which is how some benchmarks ship them and no fault."""

    task: str
    found: Located
    samples: int
    answerable: int
    videos: int
    missing: tuple[str, ...]
    broken: tuple[Broken, ...]
    short: tuple[Short, ...]
    same: tuple[tuple[str, ...], ...]
    twins: int

    @property
    def wrong(self) -> bool:
        """Whether anything is."""
        return bool(self.missing or self.broken or self.short or self.same)

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "data": self.found.kind,
            "folder": str(self.found.root),
            "samples": self.samples,
            "answerable": self.answerable,
            "videos": self.videos,
            "missing": list(self.missing),
            "broken": [each._asdict() for each in self.broken],
            "too_short": [each._asdict() for each in self.short],
            "duplicate": [list(each) for each in self.same],
            "twins": self.twins,
        }


def verify(
    task: Task,
    found: Located,
    spec: FrameSpec,
    *,
    workers: int,
    progress: Callable[[int, int], None] | None = None,
    choose: Callable[[tuple[Sample, ...]], tuple[Sample, ...]] = lambda samples: samples,
) -> Verified:
    """Decode the first and the last frame that `spec` takes of every clip, in `workers` processes; a clip that takes longer than
    `TIMEOUT` is broken. `progress` is told clips done and in all; `choose` leaves the samples whose videos are
    looked at. DataError for malformed annotations."""
    samples = choose(read_samples(task, found.root))
    clips: dict[Video, list[Sample]] = {}
    for sample in samples:
        clips.setdefault(sample.video, []).append(sample)
    names = {clip: video_key(group[0], found.root) for clip, group in clips.items()}
    missing = {clip: gone for clip in clips if (gone := _missing(clip))}
    jobs = [
        Job(clip, dataclasses.replace(spec, size=SIZE, ends=True)) for clip in clips if clip not in missing
    ]
    broken: dict[Video, str] = {}
    short: dict[str, Short] = {}
    for number, done in enumerate(decode_ahead(jobs, workers=workers, timeout=TIMEOUT), 1):
        clip = done.job.video
        fault = _fault(done)
        if fault:
            broken[clip] = fault
        elif (told := _annotated(clip, clips[clip])) and _seconds(done) < SHORTEST * told - SLACK:
            short[names[clip]] = Short(names[clip], round(_seconds(done), 3), told)
        if progress is not None:
            progress(number, len(jobs))
    same, twins = _duplicates({names[job.video]: job.video for job in jobs})
    lost = {*missing, *broken}
    return Verified(
        task=task.name,
        found=found,
        samples=len(samples),
        answerable=sum(sample.video not in lost for sample in samples),
        videos=len(set(names.values())),
        missing=tuple(sorted({_below(path, found) for path in missing.values()})),
        broken=tuple(sorted({Broken(names[clip], why) for clip, why in broken.items()})),
        short=tuple(short[name] for name in sorted(short)),
        same=same,
        twins=twins,
    )


def _missing(clip: Video) -> str | None:
    """The first file of a clip that is not there."""
    return next((path for path in (clip.path, clip.picture) if path and not os.path.exists(path)), None)


def _below(path: str, found: Located) -> str:
    return path.removeprefix(f"{found.root}{os.sep}")


def _fault(done: Decoded) -> str | None:
    if done.error is not None:
        return done.error.message.removeprefix(f"{done.job.video.path}: ")
    assert done.frames is not None  # one of the two is there
    if done.frames.absent:
        return f"cut short, {done.frames.absent} frames are not in the file"
    # A decoder that meets damage shows the frame before it again.
    repeated = done.frames.repeated
    return f"damaged, {repeated} of the frames looked at cannot be decoded" if repeated else None


def _annotated(clip: Video, samples: Sequence[Sample]) -> float | None:
    """The seconds that the whole video should have; None where no annotation says, and for a clip that begins later."""
    if clip.start is not None:
        return None
    told = samples[0].facts.get("duration")
    return float(told) if isinstance(told, str) else None


def _seconds(done: Decoded) -> float:
    assert done.frames is not None  # only asked of clips without a fault
    return done.frames.duration


def _duplicates(videos: Mapping[str, Video]) -> tuple[tuple[tuple[str, ...], ...], int]:
    """Names of files with the same content: groups whose names differ, and how many files have a twin of their own name."""
    groups: dict[str, list[str]] = {}
    for name, video in sorted(videos.items()):
        try:
            groups.setdefault(content(video), []).append(name)
        except OSError:
            continue  # a file that cannot be read has been told of as broken
    several = [tuple(group) for group in groups.values() if len(group) > 1]
    other = [group for group in several if len({os.path.basename(name) for name in group}) > 1]
    return tuple(sorted(other)), sum(len(group) for group in several) - sum(len(group) for group in other)


def lines(found: Verified, most: int = 20) -> Iterable[str]:
    """What the terminal shows of it: a line of counts, then up to `most` files each with what is wrong."""
    yield (
        f"{found.task:26}{found.found.kind}: {found.samples} samples, {found.videos} videos, {len(found.missing)} missing, "
        f"{len(found.broken)} unreadable, {len(found.short)} too short, {len(found.same)} duplicate; {found.answerable} "
        "samples answerable"
    )
    told = [
        *(f"{path}: missing" for path in found.missing),
        *(f"{each.path}: {each.why}" for each in found.broken),
        *(
            f"{each.path}: {each.seconds:.1f} s long, annotated are {each.annotated:.1f} s"
            for each in found.short
        ),
        *(f"{', '.join(group)}: the same content" for group in found.same),
    ]
    yield from (f"  {line}" for line in told[:most])
    if len(told) > most:
        yield f"  and {len(told) - most} more (--json has them all)"
