"""What has to be transferred for the files that are wanted: single files, some files of an archive, or all of it."""

from __future__ import annotations

import fnmatch
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from kangaroo_eval.errors import DataError
from kangaroo_eval.fetch.archives import Refused, unzipped
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
    by_pack: dict[Pack, list[File]] = {pack: [] for pack in source.packs}
    for file in repository.files:
        pack = next((each for each in source.packs if fnmatch.fnmatchcase(file.path, each.pattern)), None)
        if pack is not None:
            by_pack[pack].append(file)
        elif place := wanted.place(file.path):
            found.append(Step(repository=repository, files=(file,), place=place, bytes=file.size))
    singles = [step.place for step in found if step.place]
    left = wanted.without((each.path for each in singles), (each.folder for each in singles))
    for pack, files in by_pack.items():
        if files and (subtitles if pack.subtitles else left.under(pack.under)):
            added, left = _of_pack(repository, sorted(files), pack, left, hub)
            found += added
    return found


def _of_pack(
    repository: Repository, files: Sequence[File], pack: Pack, wanted: Wanted, hub: Hub
) -> tuple[list[Step], Wanted]:
    """The transfers from a pack's archives, and what is wanted of the packs after it."""
    if pack.parts:
        return [_whole(repository, files, pack)], wanted
    if pack.subtitles or not files[0].path.endswith(".zip"):
        return [_whole(repository, [file], pack) for file in files], wanted
    steps = []
    for file in files:
        step, wanted = _of_zip(repository, file, pack, wanted, hub)
        steps += [step] if step else []
    return steps, wanted


def _whole(repository: Repository, files: Sequence[File], pack: Pack) -> Step:
    size = sum(file.size for file in files)
    # What is in it is not known before, and no more than that: videos do not shrink.
    return Step(repository=repository, files=tuple(files), pack=pack, bytes=size, unpacked=size)


def _of_zip(
    repository: Repository, file: File, pack: Pack, wanted: Wanted, hub: Hub
) -> tuple[Step | None, Wanted]:
    """What is to be transferred of a zip, whose directory is read from afar, and what is wanted of others; None where it
    holds nothing that is wanted."""
    with hub.opened(repository, file) as remote:
        try:
            held = [
                (each, place)
                for each in unzipped(remote, file.path)
                if (place := wanted.place(each.name, pack))
            ]
        except Refused:
            raise
        except DataError as error:
            # It may be the server that cannot give parts of files; the whole is checked when it is here.
            log.warning("%s; it is fetched whole", error)
            return _whole(repository, [file], pack), wanted
    if not held:
        return None, wanted
    packed, size = sum(each.packed for each, _ in held), sum(each.size for each, _ in held)
    some = packed <= SOME * file.size
    step = Step(
        repository=repository,
        files=(file,),
        pack=pack,
        some=some,
        bytes=packed if some else file.size,
        unpacked=size,
    )
    # A folder of pictures may go on in the next archive.
    return step, wanted.without(place.path for _, place in held if not place.folder)
