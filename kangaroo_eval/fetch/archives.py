"""Reading archives that others made: zip, tar, several files that are one archive, pickles of plain values.

No name of an archive is ever used as a path as it stands: callers are told names and say where a file goes. Still, an
archive with a name that leads out of its folder, a link, a device, or more content than its size can honestly hold is
refused as a whole, for whoever made that is not to be believed in the rest.
"""

from __future__ import annotations

import bisect
import contextlib
import io
import itertools
import pickle
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple

from kangaroo_eval.errors import DataError

MOST_RATIO = 100
"""Times its own size that an archive may hold. Videos and pictures do not shrink; subtitles by ten at most."""
ROOM = 16 * 2**20
"""Bytes that any archive may hold whatever its size: a few kilobytes of zeros are no attack."""
CHUNK = 2**20


class Refused(DataError):
    """An archive that no honest person made."""


class Entry(NamedTuple):
    """A file in an archive: its name, its size in bytes, the bytes it takes there, and how to read it."""

    name: str
    size: int
    packed: int
    open: Callable[[], IO[bytes]]


def unzipped(file: IO[bytes], archive: str) -> list[Entry]:
    """The files of a zip, of which only the directory is read. DataError for one that is damaged or not to be trusted."""
    try:
        opened = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError) as error:
        raise DataError(f"{archive}: not a zip that can be read ({error})") from error
    found = []
    whole = file.seek(0, io.SEEK_END)
    for info in opened.infolist():
        # The name as it stands: `filename` has it cut at a NUL and turned round at backslashes.
        refuse_name(archive, info.orig_filename)
        mode = info.external_attr >> 16
        if mode and stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Refused(f"{archive}: {info.orig_filename!r} is a link or a device: the archive is refused")
        if info.flag_bits & 1:
            raise Refused(f"{archive}: {info.orig_filename!r} is encrypted: the archive is refused")
        if not info.is_dir():
            found.append(
                Entry(info.filename, info.file_size, info.compress_size, _opener(opened, info, archive))
            )
    refuse_bomb(archive, sum(each.size for each in found), whole)
    return found


def _opener(opened: zipfile.ZipFile, info: zipfile.ZipInfo, archive: str) -> Callable[[], IO[bytes]]:
    def open_it() -> IO[bytes]:
        with damage(archive):
            return opened.open(info)

    return open_it


def untarred(file: IO[bytes], archive: str, size: int) -> Iterator[Entry]:
    """The files of a tar in their order, each to be read before the next is asked for; the archive is read once, forwards.
    `size` is its length in bytes. DataError as for a zip, where such a file is met."""
    total = 0
    with damage(archive), tarfile.open(fileobj=file, mode="r|*") as opened:
        for member in opened:
            refuse_name(archive, member.name)
            if not (member.isfile() or member.isdir()) or member.issparse():
                raise Refused(f"{archive}: {member.name!r} is a link or a device: the archive is refused")
            total += member.size
            refuse_bomb(archive, total, size)
            if member.isfile():
                stream = opened.extractfile(member)
                assert stream is not None  # a regular file has content
                yield Entry(member.name, member.size, member.size, partial(_same, stream))


def _same(stream: IO[bytes]) -> IO[bytes]:
    return stream


def unpickled(file: IO[bytes], archive: str) -> list[Entry]:
    """The files of a pickled {name: bytes of an MP4}, by `{name}.mp4`. Only plain values are made of it: a pickle that
    names any class or function, and could so run code, is a DataError."""
    try:
        held = _Plain(file).load()
    except (
        pickle.UnpicklingError,
        EOFError,
        ValueError,
        IndexError,
        KeyError,
        TypeError,
        AttributeError,
    ) as error:
        raise Refused(f"{archive}: not a pickle of plain values ({error}): the archive is refused") from error
    if not isinstance(held, dict) or not all(
        isinstance(name, str) and isinstance(data, bytes) for name, data in held.items()
    ):
        raise Refused(f"{archive}: not a pickle of names and their files: the archive is refused")
    for name in held:
        refuse_name(archive, name)
    return [
        Entry(f"{name}.mp4", len(data), len(data), partial(io.BytesIO, data)) for name, data in held.items()
    ]


class _Plain(pickle.Unpickler):
    """Loads no class and no function, so nothing of a pickle is ever called."""

    def find_class(self, module: str, name: str, /) -> Any:
        raise pickle.UnpicklingError(f"it names {module}.{name}")


_LEADS_OUT = re.compile(r"(^|/)\.\.(/|$)|^/|^[A-Za-z]:|\\|[\x00-\x1f]")


def refuse_name(archive: str, name: str) -> None:
    """Refused for a name in an archive or a repository that is no plain path below its folder."""
    if not name or _LEADS_OUT.search(name):
        raise Refused(f"{archive}: the name {name[:80]!r} leads out of its folder: all of it is refused")


def refuse_bomb(archive: str, content: int, size: int) -> None:
    """DataError where `content` bytes are more than an honest archive of `size` bytes holds."""
    if content > max(ROOM, MOST_RATIO * size):
        raise Refused(
            f"{archive}: {size / 1e9:.3g} GB that unpack to {content / 1e9:.3g} GB, more than {MOST_RATIO} times as much: "
            "the archive is refused"
        )


@contextlib.contextmanager
def damage(archive: str) -> Iterator[None]:
    """What libraries say of damaged archives, as a DataError."""
    try:
        yield
    except (
        zipfile.BadZipFile,
        tarfile.TarError,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{archive}: damaged ({error}); fetch it again") from error


def copied(entry: Entry, out: IO[bytes], archive: str) -> None:
    """Write an entry's content, which must be as long as it said: DataError for one that is shorter or longer."""
    left = entry.size
    with damage(archive), entry.open() as stream:
        while chunk := stream.read(min(CHUNK, left + 1)):
            left -= len(chunk)
            if left < 0:
                break
            out.write(chunk)
    if left:
        raise DataError(
            f"{archive}: {entry.name!r} is not of the {entry.size} bytes that it says; fetch it again"
        )


class Joined(io.RawIOBase):
    """Several files read as one. `get(k)` gives the path of piece k, asked for when it is first needed; `sizes` are bytes."""

    def __init__(self, sizes: Sequence[int], get: Callable[[int], Path]) -> None:
        self._ends = list(itertools.accumulate(sizes))
        self._get = get
        self._at = 0
        self._open: tuple[int, IO[bytes]] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._ends[-1]}[whence]
        if base + offset < 0:
            # As files do: whoever looks for a directory at the end of too small a file must learn of it.
            raise OSError(22, "negative seek position")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        number = bisect.bisect_right(self._ends, self._at)
        if number == len(self._ends):
            return 0
        if self._open is None or self._open[0] != number:
            self._shut()
            self._open = number, self._get(number).open("rb")
        start = self._ends[number - 1] if number else 0
        view = memoryview(buffer).cast("B")[: self._ends[number] - self._at]
        self._open[1].seek(self._at - start)
        read = self._open[1].readinto(view)  # type: ignore[attr-defined]
        self._at += read
        return int(read)

    def _shut(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def close(self) -> None:
        self._shut()
        super().close()
