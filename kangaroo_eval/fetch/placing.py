"""Where a file of a repository or of an archive belongs below a benchmark's folder, if it is wanted at all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from kangaroo_eval.task import Pack
from kangaroo_eval.types import Sample

# One video under another ending is still that video: Video-MME's readers take all three.
ENDINGS = (".mp4", ".MP4", ".mkv")


class Place(NamedTuple):
    """A path below the benchmark's folder; `folder` is the wanted folder of pictures that it is one of, or ""."""

    path: str
    folder: str = ""


class Wanted:
    """The files and folders of pictures that samples need and the disk lacks, by paths below the benchmark's folder."""

    def __init__(self, files: Iterable[str], folders: Iterable[str] = ()) -> None:
        self.files, self.folders = set(files), set(folders)
        self._files: dict[str, list[str]] = {}
        self._folders: dict[str, list[str]] = {}
        for path in sorted(self.files):
            self._files.setdefault(_stem(path), []).append(path)
        for path in sorted(self.folders):
            self._folders.setdefault(path.rpartition("/")[2], []).append(path)

    def __len__(self) -> int:
        return len(self.files) + len(self.folders)

    def without(self, files: Iterable[str], folders: Iterable[str] = ()) -> Wanted:
        """The rest, where these are going to be there; a file under whatever ending."""
        stems = {_bare(path) for path in files}
        return Wanted((path for path in self.files if _bare(path) not in stems), self.folders - {*folders})

    def under(self, beginning: str) -> bool:
        """Whether anything is wanted whose path begins so."""
        return any(path.startswith(beginning) for found in (self.files, self.folders) for path in found)

    def place(self, name: str, pack: Pack | None = None) -> Place | None:
        """Where the file `name` belongs; None where nobody wants it, or more than one place would fit.

        One of the two paths must end in the other, so that of two files of one name in different folders neither is
        taken for the other; with `pack.named` the name alone decides.
        """
        pack = pack or Pack("*")
        name = name.removeprefix(pack.drop)
        own = name.rpartition("/")[2]
        fits = [path for path in self._files.get(_stem(name), ()) if _fits(name, path, pack)]
        found = _only(name, fits)
        if found is not None:
            ending = os.path.splitext(own)[1] if own.endswith(ENDINGS) else os.path.splitext(found)[1]
            return Place(os.path.splitext(found)[0] + ending)
        return self._in_folder(name, pack)

    def _in_folder(self, name: str, pack: Pack) -> Place | None:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            above, rest = "/".join(parts[:depth]), "/".join(parts[depth:])
            fits = [path for path in self._folders.get(parts[depth - 1], ()) if _fits(above, path, pack)]
            found = _only(above, fits)
            if found is not None:
                return Place(f"{found}/{rest}", found)
        return None


def _stem(path: str) -> str:
    """What a file is looked up by: its name, without an ending that may be another."""
    name = path.rpartition("/")[2]
    return os.path.splitext(name)[0] if name.endswith(ENDINGS) else name


def _fits(name: str, path: str, pack: Pack) -> bool:
    if not path.startswith(pack.under):
        return False
    short, long = sorted((_bare(name), _bare(path)), key=len)
    return pack.named or long == short or long.endswith(f"/{short}")


def _bare(path: str) -> str:
    return os.path.splitext(path)[0] if path.endswith(ENDINGS) else path


def _only(name: str, fits: list[str]) -> str | None:
    """The one path that fits; of several the one that has most of the name."""
    if len(fits) < 2:
        return fits[0] if fits else None
    exact = [path for path in fits if _bare(path).endswith(_bare(name))]
    return exact[0] if len(exact) == 1 else None


def wanted(samples: Iterable[Sample], root: os.PathLike[str]) -> Wanted:
    """What of the samples is not there. Paths outside the benchmark's folder cannot be fetched and are left out."""
    files, folders = set(), set()
    for sample in samples:
        video = sample.video
        if video.frames_dir is not None and not _complete(video.frames_dir, video.pictures):
            folders.add(video.frames_dir)
        elif video.frames_dir is None and not os.path.exists(video.path):
            files.add(video.path)
        if video.picture is not None and not os.path.exists(video.picture):
            files.add(video.picture)
    return Wanted(_below(files, root), _below(folders, root))


def _complete(folder: str, pictures: int | None) -> bool:
    try:
        return len(os.listdir(folder)) >= (pictures or 1)
    except OSError:
        return False


def _below(paths: Iterable[str], root: os.PathLike[str]) -> Iterable[str]:
    for path in paths:
        below = PurePosixPath(os.path.relpath(path, root))
        if ".." not in below.parts:
            yield below.as_posix()
