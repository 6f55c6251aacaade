"""Decoded frames kept on disk, so that a second run over the same videos decodes nothing.

One file for each video and frame formula, known by the video's content and not by its name; it appears by an atomic rename,
so any number of processes may share a store, and one that is damaged is not there. Two forms, by what
`tests/bench/bench_store.py` prints: "exact" keeps every bit (zstd) and is read in a third of the time; "near" (JPEG without
colour subsampling, at the highest quality) takes a fifth of the space, and whoever runs with it sees those pixels from
the first run on, so that a later one gives the same answers.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Frames, Video

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kangaroo_eval.media.spec import FrameSpec

log = logging.getLogger(__name__)

VERSION = 3
"""Raised whenever what is stored for the same key becomes something else."""
GB = 10**9
EXACT, NEAR = "exact", "near"

_MAGIC = b"KEFRAMES"
_ENDS = 1 << 16
_BLOCKS, _BLOCK = 32, 4096
_LEVEL = 1
_ROOM = 0.95
"""The share of the cap that is left after an eviction, so that not every file costs one."""
_RECOUNT = 64


class Stored(NamedTuple):
    """What is kept of a clip: its frames, and the file's average frame rate."""

    frames: Frames
    fps: float


@dataclass(frozen=True, slots=True)
class Store:
    """A folder of at most `cap` bytes. `since`: files that were used after this time (seconds since the epoch) stay, also where
    there is no room for further ones: a run whose frames do not all fit would otherwise throw away what its next call
    needs first. The least recently used of the others go first."""

    folder: str
    form: str = EXACT
    cap: int = 50 * GB
    since: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise UserError(f"--frame-store {self.form!r}: choose one of off, {', '.join(FORMS)}")
        if self.cap < 1:
            raise UserError(f"--frame-store-size {self.cap / GB:g}: give gigabytes above 0")

    def key(self, video: Video, spec: FrameSpec) -> str:
        """What the frames of a clip are known by. OSError where the video cannot be read."""
        told = {
            "version": VERSION,
            "form": self.form,
            "content": content(video),
            "start": video.start,
            "end": video.end,
            "fps": video.fps,
            "pictures": video.pictures,
            # A field that came later and is at its default leaves the keys of before as they were.
            "spec": {name: value for name, value in asdict(spec).items() if name != "ends" or value},
            "library": _library(spec.decoder),
        }
        return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=20).hexdigest()

    def path(self, key: str) -> Path:
        """The file of a key."""
        return Path(self.folder) / key[:2] / f"{key}.frames"

    def read(self, key: str) -> Stored | None:
        """The frames of a key; None where they are not there, or damaged."""
        path = self.path(key)
        try:
            found = unpacked(path.read_bytes())
        except OSError:
            return None
        except (ValueError, KeyError, TypeError) as error:
            log.warning("%s is damaged and is made anew: %s", path, error)
            with contextlib.suppress(OSError):
                path.unlink()
            return None
        with contextlib.suppress(OSError):
            # Another's store can be read, though what was read last cannot be noted in it.
            os.utime(path)
        return found

    def write(self, key: str, kept: Stored) -> Stored:
        """Keep the frames; gives them as a later `read` will. Those of a damaged file are not kept: mended, it may look the same
        at the places that a key reads. A store that is full or cannot be written to costs no run: it is
        told, and nothing is kept."""
        data = packed(kept, self.form)
        if kept.frames.repeated or kept.frames.absent:
            return kept if self.form == EXACT else unpacked(data)
        path = self.path(key)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            if _room(self, len(data)):
                path.parent.mkdir(parents=True, exist_ok=True)
                part.write_bytes(data)
                os.replace(part, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            log.warning("the frame store %s cannot be written to: %s", self.folder, error.strerror or error)
        return kept if self.form == EXACT else unpacked(data)

    def files(self) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
        """Every file in the store, half-written ones too, with its state."""
        try:
            groups = [each.path for each in os.scandir(self.folder) if each.is_dir(follow_symlinks=False)]
        except OSError:
            return
        for group in groups:
            with contextlib.suppress(OSError):
                for entry in os.scandir(group):
                    with contextlib.suppress(OSError):
                        yield entry, entry.stat(follow_symlinks=False)


class _Known:
    """What this process believes a store to hold: the bytes at the last count and those written since."""

    def __init__(self) -> None:
        self.total = -1
        self.writes = 0
        self.told = False


_known: dict[str, _Known] = {}


def _room(store: Store, size: int) -> bool:
    """Whether so many bytes fit, after those that may go are gone where need be."""
    known = _known.setdefault(store.folder, _Known())
    known.writes += 1
    # Others write too, so it is counted anew now and then, and before anything is thrown away.
    if known.total < 0 or known.writes % _RECOUNT == 0 or known.total + size > store.cap:
        known.total = sum(state.st_size for _, state in store.files())
    if known.total + size > store.cap:
        known.total = _evict(store, store.cap * _ROOM - size)
    if known.total + size > store.cap:
        if not known.told:
            log.warning(
                "the frame store %s is full (%.1f GB): further videos are decoded again in each run; raise "
                "--frame-store-size",
                store.folder,
                store.cap / GB,
            )
            known.told = True
        return False
    known.total += size
    return True


def _evict(store: Store, target: float) -> int:
    """Remove the least recently used files down to `target` bytes, as far as they may go; the bytes that are left. One
    process at a time; what another one is just reading stays readable to it."""
    import fcntl

    with open(Path(store.folder) / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = sorted(store.files(), key=lambda each: each[1].st_mtime)
        total = sum(state.st_size for _, state in found)
        for entry, state in found:
            if total <= target or state.st_mtime >= store.since:
                break
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
                total -= state.st_size
    return total


def content(video: Video) -> str:
    """A hash of a video by its size, its ends and blocks all over it; of a folder of pictures by their names, sizes, times and
    ends. Any other encoding of a video moves its tables, which are at one of the ends."""
    digest = hashlib.blake2b(digest_size=20)
    if video.frames_dir is not None:
        for entry in sorted(os.scandir(video.frames_dir), key=lambda each: each.name):
            state = entry.stat()
            digest.update(
                f"{entry.name}\0{state.st_size}\0{state.st_mtime_ns}\0".encode(errors="surrogateescape")
            )
            if entry.is_file():
                # Unpacked archives give all files one time, and pictures without compression have one size.
                with open(entry.path, "rb") as file:
                    digest.update(file.read(_BLOCK))
                    file.seek(max(0, state.st_size - _BLOCK))
                    digest.update(file.read(_BLOCK))
        return digest.hexdigest()
    with open(video.path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest.update(f"{size}\0".encode())
        places = [0, max(0, size - _ENDS)]
        for place in places:
            file.seek(place)
            digest.update(file.read(_ENDS))
        for block in range(_BLOCKS):
            file.seek(block * size // _BLOCKS)
            digest.update(file.read(_BLOCK))
    return digest.hexdigest()


def _library(decoder: str) -> str:
    """The version of what decodes: another one may round another way."""
    from importlib import metadata

    name = {"pyav": "av"}.get(decoder, decoder)
    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return name


def packed(kept: Stored, form: str) -> bytes:
    """The bytes of a file: magic, length of the header, header (JSON), then each frame's data."""
    frames = kept.frames
    parts = FORMS[form].pack(frames.pixels)
    body = b"".join(parts)
    header = {
        "form": form,
        "shape": frames.pixels.shape,
        "times": frames.times,
        "repeated": frames.repeated,
        "total": frames.total,
        "duration": frames.duration,
        "absent": frames.absent,
        "fps": kept.fps,
        "lengths": [len(part) for part in parts],
        "crc": zlib.crc32(body),
    }
    head = json.dumps(header).encode()
    return _MAGIC + len(head).to_bytes(4, "little") + head + body


def unpacked(data: bytes) -> Stored:
    """The reverse of `packed`. ValueError for what is none, or damaged."""
    start = len(_MAGIC) + 4
    if data[: len(_MAGIC)] != _MAGIC:
        raise ValueError("not a file of frames")
    body = start + int.from_bytes(data[len(_MAGIC) : start], "little")
    header: dict[str, Any] = json.loads(data[start:body])
    if zlib.crc32(data[body:]) != header["crc"]:
        raise ValueError("its checksum is another one")
    view, parts, at = memoryview(data), [], body
    for length in header["lengths"]:
        parts.append(view[at : at + length])
        at += length
    n, height, width, _ = header["shape"]
    frames = Frames(
        pixels=FORMS[header["form"]].unpack(parts, (n, height, width, 3)),
        times=tuple(header["times"]),
        repeated=header["repeated"],
        total=header["total"],
        duration=header["duration"],
        absent=header["absent"],
    )
    return Stored(frames, header["fps"])


class Form(NamedTuple):
    """How pixels, uint8 RGB (n, height, width, 3), become bytes a frame, and back; `about` for the run record."""

    about: str
    pack: Callable[[NDArray[np.uint8]], list[bytes]]
    unpack: Callable[[Sequence[memoryview], tuple[int, int, int, int]], NDArray[np.uint8]]


def _pack_exact(pixels: NDArray[np.uint8]) -> list[bytes]:
    import pyarrow as pa

    codec = pa.Codec("zstd", _LEVEL)
    return [codec.compress(frame.tobytes(), asbytes=True) for frame in pixels]


def _unpack_exact(parts: Sequence[memoryview], shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    import numpy as np
    import pyarrow as pa

    codec, pixels = pa.Codec("zstd"), np.empty(shape, np.uint8)
    for slot, part in enumerate(parts):
        frame = codec.decompress(part, pixels[slot].nbytes)
        pixels[slot] = np.frombuffer(frame, np.uint8).reshape(shape[1:])
    return pixels


def _pack_near(pixels: NDArray[np.uint8]) -> list[bytes]:
    import av

    codec: Any = av.CodecContext.create("mjpeg", "w")
    codec.height, codec.width = pixels.shape[1:3]
    codec.pix_fmt, codec.time_base, codec.options = "yuvj444p", Fraction(1, 25), {"qmin": "1", "qmax": "1"}
    parts = []
    for frame in pixels:
        image = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format="yuvj444p")
        parts += [bytes(packet) for packet in codec.encode(image)]
    parts += [bytes(packet) for packet in codec.encode(None)]
    return parts


def _unpack_near(parts: Sequence[memoryview], shape: tuple[int, int, int, int]) -> NDArray[np.uint8]:
    import av
    import numpy as np

    codec: Any = av.CodecContext.create("mjpeg", "r")
    pixels = np.empty(shape, np.uint8)
    slot = 0
    for packet in [*(av.Packet(bytes(part)) for part in parts), None]:
        for image in codec.decode(packet):
            pixels[slot] = image.to_ndarray(format="rgb24")
            slot += 1
    if slot != len(pixels):
        raise ValueError(f"{slot} frames of {len(pixels)}")
    return pixels


FORMS: dict[str, Form] = {
    EXACT: Form("every bit as decoded (zstd)", _pack_exact, _unpack_exact),
    NEAR: Form("JPEG of the highest quality without colour subsampling", _pack_near, _unpack_near),
}
"""The forms by the name that `--frame-store` takes."""
