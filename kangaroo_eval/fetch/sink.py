"""Putting files below a benchmark's folder so that none ever looks whole before it is."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from kangaroo_eval.errors import UserError
from kangaroo_eval.fetch.archives import Entry, copied
from kangaroo_eval.fetch.placing import Place

WORK = ".fetch"
"""The folder below a benchmark's own for what is on its way; it goes when everything has arrived."""


class Sink:
    """The folder `root` of a benchmark. Files arrive by a rename, folders of pictures when their archive is through."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.work = root / WORK
        self._folders: set[str] = set()

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder against a second download, which would write the same half files. UserError where one is running."""
        import fcntl

        self.work.mkdir(parents=True, exist_ok=True)
        with (self.work / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise UserError(f"another download into {self.root} is running: wait for it") from error
            # What a killed process was unpacking is of no use: an archive's file is made anew from its beginning.
            for left in ("entry", "folders"):
                shutil.rmtree(self.work / left, ignore_errors=True)
            yield

    def kept(self, path: str) -> Path:
        """Where a file of the repository is kept while it is on its way, and while it is unpacked."""
        return self.work / "repository" / path

    def put(self, entry: Entry, place: Place, archive: str) -> None:
        """Unpack an entry to its place. DataError for one that is damaged; nothing of it is left then."""
        if place.folder:
            self._folders.add(place.folder)
            self._write(entry, self.work / "folders" / place.path, archive)
            return
        part = self.work / "entry" / "part"
        self._write(entry, part, archive)
        self.move(part, place.path)

    def _write(self, entry: Entry, to: Path, archive: str) -> None:
        to.parent.mkdir(parents=True, exist_ok=True)
        with to.open("wb") as out:
            copied(entry, out, archive)
            _settle(out)

    def move(self, whole: Path, path: str) -> None:
        """Give a file that is whole its place."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        os.replace(whole, target)

    def finish(self) -> None:
        """Give the folders that were unpacked their places."""
        for folder in sorted(self._folders):
            target = self.root / folder
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                # A part of it was there, from elsewhere; what the archive has is the benchmark's.
                shutil.rmtree(target)
            os.replace(self.work / "folders" / folder, target)
        self._folders.clear()

    def unpacked(self, path: str, commit: str) -> bool:
        """Whether an archive that is taken whole has been unpacked before, at this commit."""
        return self._unpacked().get(path) == commit

    def note(self, path: str, commit: str) -> None:
        """Remember that an archive has been unpacked whole."""
        part = self.work / "unpacked.part"
        part.write_text(json.dumps({**self._unpacked(), path: commit}), encoding="utf-8")
        os.replace(part, self.work / "unpacked.json")

    def _unpacked(self) -> dict[str, str]:
        try:
            found = json.loads((self.work / "unpacked.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}


def _settle(out: IO[bytes]) -> None:
    """Have the bytes on the disk before the rename that makes them count."""
    out.flush()
    os.fsync(out.fileno())
