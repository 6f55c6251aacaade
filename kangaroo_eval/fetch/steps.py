"""What has to be transferred for the files that are wanted: single files, some files of an archive, or all of it."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from kangaroo_eval.errors import DataError
from kangaroo_eval.fetch.archives import unzipped
from kangaroo_eval.fetch.hub import File, Hub, Repository
from kangaroo_eval.fetch.placing import Place, Wanted
from kangaroo_eval.task import Pack, Source

log = logging.getLogger(__name__)

SOME = 0.5
"""The share of an archive up to which its files are read out of it where it lies; beyond, it is fetched whole, and so checked
against its hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One transfer from a repository: `files` (several are one archive in pieces) of a `pack`, or one file with its `place`.

    `some`: only the wanted entries are read, from afar. `bytes` are transferred, `unpacked` come onto the disk from them.
    """

    repository: Repository
    files: tuple[File, ...]
    pack: Pack | None = None
    place: Place | None = None
    some: bool = False
    bytes: int
    unpacked: int = 0

    @property
    def name(self) -> str:
        """What is told of it."""
        first = self.files[0].path
        return first if len(self.files) == 1 else f"{first} and {len(self.files) - 1} more pieces"

    @property
    def needs(self) -> int:
        """Bytes of the disk while it runs."""
        return self.unpacked if self.some else self.bytes + self.unpacked


def steps(repository: Repository, source: Source, wanted: Wanted, hub: Hub, *, subtitles: bool) -> list[Step]:
    """The transfers for what is wanted, single files before archives."""
    found = []
    left = [
        each
        for each in repository.files
        if not any(fnmatch.fnmatchcase(each.path, p.pattern) for p in source.packs)
    ]
    for file in left:
        place = wanted.place(file.path)
        if place is not None:
            found.append(Step(repository=repository, files=(file,), place=place, bytes=file.size))
    single = {step.place.path for step in found if step.place}
    still = Wanted(wanted.files - single, wanted.folders - {s.place.folder for s in found if s.place})
    for pack in source.packs:
        if subtitles if pack.subtitles else still.under(pack.under):
            found += _of_pack(repository, pack, still, hub)
    return found


def _of_pack(repository: Repository, pack: Pack, wanted: Wanted, hub: Hub) -> list[Step]:
    files = sorted(each for each in repository.files if fnmatch.fnmatchcase(each.path, pack.pattern))
    if not files:
        return []
    if pack.parts:
        return [_whole(repository, files, pack)]
    if pack.subtitles or not files[0].path.endswith(".zip"):
        return [_whole(repository, [file], pack) for file in files]
    steps = []
    for file in files:
        step = _of_zip(repository, file, pack, wanted, hub)
        if step is not None:
            steps.append(step)
    return steps


def _whole(repository: Repository, files: Sequence[File], pack: Pack) -> Step:
    size = sum(file.size for file in files)
    # What is in it is not known before, and no more than that: videos do not shrink.
    return Step(repository=repository, files=tuple(files), pack=pack, bytes=size, unpacked=size)


def _of_zip(repository: Repository, file: File, pack: Pack, wanted: Wanted, hub: Hub) -> Step | None:
    """What is to be transferred of a zip, whose directory is read from afar; None where it holds nothing that is wanted."""
    with hub.opened(repository, file) as remote:
        try:
            entries = [each for each in unzipped(remote, file.path) if wanted.place(each.name, pack)]
        except DataError as error:
            if "refused" in str(error):
                raise
            # It may be the server that cannot give parts of files; the whole is checked when it is here.
            log.warning("%s; it is fetched whole", error)
            return _whole(repository, [file], pack)
    if not entries:
        return None
    packed, size = sum(each.packed for each in entries), sum(each.size for each in entries)
    some = packed <= SOME * file.size
    return Step(
        repository=repository,
        files=(file,),
        pack=pack,
        some=some,
        bytes=packed if some else file.size,
        unpacked=size,
    )
