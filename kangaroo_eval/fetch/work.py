"""The download of a benchmark from its first question to the last file."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

from kangaroo_eval.data import read_samples
from kangaroo_eval.errors import DataError, RunFailed, UserError
from kangaroo_eval.fetch.archives import Entry, Joined, unpickled, untarred, unzipped
from kangaroo_eval.fetch.hub import File, Hub, Repository
from kangaroo_eval.fetch.placing import Place, Wanted, wanted
from kangaroo_eval.fetch.sink import Sink
from kangaroo_eval.fetch.steps import Step, steps
from kangaroo_eval.task import Pack, Task
from kangaroo_eval.types import Sample

GB = 10**9
MARGIN = 10**8
"""Bytes of the disk that a download leaves free."""
SUBTITLES = (".srt", ".json", ".vtt", ".ass")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to be fetched: for those samples that `choose` leaves of all, below the data root `root`.

    `confirm(text)` is shown what will happen before it does and raises where the user does not want that; `tell(text)` gets
    a line for each transfer.
    """

    task: Task
    root: Path
    choose: Callable[[tuple[Sample, ...]], tuple[Sample, ...]]
    confirm: Callable[[str], None]
    tell: Callable[[str], None]

    @property
    def folder(self) -> Path:
        """The benchmark's folder."""
        return self.root / self.task.source.folder


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a download ended with: samples asked for, bytes transferred, and paths that are still not there."""

    samples: int
    bytes: int
    missing: tuple[str, ...]


def fetch(asked: Asked, hub: Hub) -> Fetched:
    """Fetch what the samples need. DataError for data that is not to be had, closed or not to be trusted; RunFailed for a hub that
    does not answer or a disk that is full; UserError where the user refuses."""
    source, folder = asked.task.source, asked.folder
    if source.hub is None:
        raise DataError(
            f"{asked.task.name} is on no hub: get it from {source.homepage} and put it into {folder}"
        )
    if (folder / "mini.json").exists():
        raise UserError(f"{folder} holds made data (mini.json): name another --data-root")
    repository = hub.look(source.hub, source.revision)
    asked.confirm(_conditions(asked.task, repository, hub))
    sink = Sink(folder)
    with sink.alone():
        _annotations(asked, repository, hub, sink)
        samples = asked.choose(read_samples(asked.task, folder))
        where = repository if source.videos_hub is None else hub.look(source.videos_hub)
        todo = [
            step
            for step in steps(where, source, wanted(samples, folder), hub, subtitles=asked.task.subtitles)
            if not _done(step, sink)
        ]
        if todo:
            _check_room(todo, folder)
            asked.confirm(_bill(todo, samples, folder))
        total = sum(_run(step, asked, samples, hub, sink) for step in todo)
        again = asked.choose(read_samples(asked.task, folder))
        left = wanted(again, folder)
        if not len(left):
            shutil.rmtree(sink.work / "repository", ignore_errors=True)
    return Fetched(len(again), total, tuple(sorted(left.files | left.folders)))


def _conditions(task: Task, repository: Repository, hub: Hub) -> str:
    lines = [
        f"{task.title}: {task.source.homepage}",
        f"  licence: {task.source.licence}"
        + (f" (the hub says {repository.licence})" if repository.licence else ""),
        f"  from:    {hub.page(repository.name)}, "
        f"{sum(each.size for each in repository.files) / GB:.1f} GB in {len(repository.files)} files, of which only what is "
        "needed is fetched",
    ]
    if task.source.videos_hub:
        lines.append(f"  videos:  {hub.page(task.source.videos_hub)}")
    if task.source.access or repository.gated:
        lines.append(f"  access:  {task.source.access or 'gated: accept its conditions on that page'}")
    lines += [f"  note:    {beginning}: {hint}" for beginning, hint in task.source.hints.items()]
    return "\n".join(lines)


def _bill(todo: Sequence[Step], samples: Sequence[Sample], folder: Path) -> str:
    whole = sum(not step.some for step in todo)
    return (
        f"{len(samples)} samples need {sum(step.bytes for step in todo) / GB:.2f} GB: {whole} files whole, and some videos out "
        f"of {len(todo) - whole} archives; into {folder}"
    )


def _check_room(todo: Sequence[Step], folder: Path) -> None:
    """RunFailed where the disk cannot take it: everything unpacked, and the largest archive beside that."""
    needed = sum(step.unpacked or step.bytes for step in todo) + max(
        step.needs - step.unpacked for step in todo
    )
    free = shutil.disk_usage(folder).free
    if needed + MARGIN > free:
        raise RunFailed(
            f"{folder} has {free / GB:.1f} GB free and {needed / GB:.1f} GB are needed: free some, name another --data-root, or "
            "fetch for fewer samples (--subset 0:100)"
        )


def _annotations(asked: Asked, repository: Repository, hub: Hub, sink: Sink) -> None:
    source, taken, absent = asked.task.source, set[str](), []
    for pattern in source.annotations:
        file = _annotation(repository, pattern)
        if (asked.folder / pattern).exists():
            taken |= {file.path} if file else set()
        elif file is not None and file.path not in taken:
            taken.add(file.path)
            asked.tell(f"{file.path} ({file.size / 1e6:.1f} MB)")
            sink.move(hub.get(repository, file, sink.kept(file.path)), pattern)
        elif file is None and pattern in source.elsewhere:
            absent.append(pattern)
    if absent:
        told = "; ".join(f"{name} from {source.elsewhere[name]}" for name in absent)
        raise DataError(
            f"{asked.task.name}: its annotations are not on the hub. Put them into {asked.folder}, and give this command "
            f"again for the videos: {told}"
        )


def _annotation(repository: Repository, pattern: str) -> File | None:
    """The repository's file for an annotation file: at its path, or at that path below other folders, as few as may be."""
    fits = [each for each in repository.files if f"/{each.path}".endswith(f"/{pattern}")]
    return min(fits, key=lambda each: len(each.path), default=None)


def _done(step: Step, sink: Sink) -> bool:
    return bool(step.pack and step.pack.subtitles) and all(
        sink.unpacked(file.path, file.sha256 or file.blob) for file in step.files
    )


def _run(step: Step, asked: Asked, samples: Sequence[Sample], hub: Hub, sink: Sink) -> int:
    """Make one transfer; the bytes of it."""
    asked.tell(f"{step.name} ({step.bytes / GB:.2f} GB{' of it' if step.some else ''})")
    if step.place is not None:
        whole = hub.get(step.repository, step.files[0], sink.kept(step.files[0].path))
        sink.move(whole, step.place.path)
        return step.bytes
    assert step.pack is not None  # a step is a file with a place, or archives
    left = wanted(samples, asked.folder)
    if step.some:
        with hub.opened(step.repository, step.files[0]) as remote:
            _unpack(unzipped(remote, step.name), step.name, step.pack, left, sink)
        return step.bytes
    if not len(left) and not step.pack.subtitles:
        return 0

    def piece(number: int) -> Path:
        file = step.files[number]
        return hub.get(step.repository, file, sink.kept(file.path))

    if len(step.files) > 1 and ".tar" not in step.files[0].path:
        for number in range(len(step.files)):
            piece(number)  # a zip's directory is at its end: all of them are needed at once
    with BufferedReader(Joined([file.size for file in step.files], piece), 1 << 20) as stream:
        _unpack(_entries(cast(IO[bytes], stream), step), step.name, step.pack, left, sink)
    for file in step.files:
        if step.pack.subtitles:
            sink.note(file.path, file.sha256 or file.blob)
        sink.kept(file.path).unlink(missing_ok=True)
    return step.bytes


def _entries(stream: IO[bytes], step: Step) -> Iterable[Entry]:
    """The entries of an archive by what it is."""
    assert step.pack is not None  # only archives are unpacked
    if step.pack.pickled:
        return unpickled(stream, step.name)
    if ".tar" in step.files[0].path:
        return untarred(stream, step.name, sum(file.size for file in step.files))
    return unzipped(stream, step.name)


def _unpack(entries: Iterable[Entry], archive: str, pack: Pack, left: Wanted, sink: Sink) -> None:
    """Unpack what is wanted. A tar is read no further than to the last of it."""
    files = set(left.files)
    for entry in entries:
        place = _subtitle(entry.name, pack) if pack.subtitles else left.place(entry.name, pack)
        if place is None:
            continue
        sink.put(entry, place, archive)
        files.discard(place.path)
        if not files and not left.folders and not pack.subtitles:
            break
    sink.finish()


def _subtitle(name: str, pack: Pack) -> Place | None:
    own = name.rpartition("/")[2]
    return Place(f"{pack.under}{own}") if own.endswith(SUBTITLES) and not own.startswith(".") else None
