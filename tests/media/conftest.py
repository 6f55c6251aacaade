"""Made videos whose frame numbers are burnt in, so that what was decoded can be read back."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

WIDTH, HEIGHT, BITS = 320, 240, 10


def picture(number: int, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    """The frame number as 2 rows of 5 black or white blocks above a moving, noisy texture."""
    rng = np.random.default_rng(number)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    texture = 128 + 60 * np.sin((x + 3 * number) / 17) + 40 * np.cos((y - 2 * number) / 11)
    out = np.clip(texture[..., None] + rng.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)
    high, wide = height // 4, width // 5
    for bit in range(BITS):
        row, column = divmod(bit, 5)
        out[row * high : (row + 1) * high, column * wide : (column + 1) * wide] = (
            235 * (number >> bit & 1) + 10
        )
    return out


def number(pixels: np.ndarray) -> int:
    """The number burnt into an upright frame of any size."""
    height, width = pixels.shape[:2]
    high, wide = height / 4, width / 5
    value = 0
    for bit in range(BITS):
        row, column = divmod(bit, 5)
        block = pixels[int((row + 0.25) * high) : int((row + 0.75) * high)]
        value |= int(block[:, int((column + 0.25) * wide) : int((column + 0.75) * wide)].mean() > 128) << bit
    return value


def numbers(pixels: np.ndarray) -> list[int]:
    return [number(frame) for frame in pixels]


def encode(
    path: Path,
    frames: int,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    *,
    gop: int = 60,
    times: list[int] | None = None,
    turn: int = 0,
    container_format: str | None = None,
    mux_options: dict[str, str] | None = None,
    pix_fmt: str = "yuv420p",
) -> Path:
    """Encode numbered frames at 30 a second, or at `times` in 1/30 s; `turn` quarter turns are stored."""
    with av.open(str(path), "w", format=container_format, options=mux_options or {}) as out:
        stream = out.add_stream(codec, rate=30, options=options or {})
        stream.pix_fmt = pix_fmt
        stream.gop_size = gop
        stream.time_base = stream.codec_context.time_base = Fraction(1, 30)
        for index in range(frames):
            rgb = np.ascontiguousarray(np.rot90(picture(index), turn))
            if not index:
                stream.width, stream.height = rgb.shape[1], rgb.shape[0]
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24")
            frame.pts = index if times is None else times[index]
            frame.time_base = Fraction(1, 30)
            out.mux(stream.encode(frame.reformat(format=pix_fmt)))
        out.mux(stream.encode())
    return path


def vfr_times(frames: int) -> list[int]:
    """Presentation times in 1/30 s that speed up and slow down."""
    gaps = [1 + (index // 20) % 4 for index in range(frames)]
    return [0, *np.cumsum(gaps)[:-1].tolist()]


H264 = {"preset": "veryfast", "bf": "3", "sc_threshold": "0"}
REFRESH = {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=20:min-keyint=20:scenecut=0"}
H264_OPEN = {**H264, "x264-params": "open-gop=1:keyint=30:min-keyint=30"}
HEVC = {
    "preset": "ultrafast",
    "x265-params": "open-gop=1:keyint=30:min-keyint=30:bframes=4:scenecut=0:log-level=none",
}
VP9 = {"deadline": "realtime", "cpu-used": "8", "b": "1M"}
AV1 = {"preset": "8", "crf": "20"}


def remux(source: Path, target: Path, *, shift: float = 0.0, container_format: str | None = None) -> Path:
    """Copy the packets into another container, `shift` seconds later."""
    with av.open(str(source)) as old, av.open(str(target), "w", format=container_format) as new:
        stream = old.streams.video[0]
        copy = new.add_stream_from_template(stream)
        for packet in old.demux(stream):
            if packet.dts is not None:
                offset = int(shift / packet.time_base)
                packet.pts, packet.dts = packet.pts + offset, packet.dts + offset
                packet.stream = copy
                new.mux(packet)
    return target


def with_rotation(source: Path, target: Path) -> Path:
    """The same file with a display matrix of a quarter turn clockwise."""
    data = bytearray(source.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    struct.pack_into(">9i", data, at, 0, 1 << 16, 0, -(1 << 16), 0, 0, HEIGHT << 16, 0, 1 << 30)
    target.write_bytes(data)
    return target


def with_hidden(source: Path, target: Path, hidden: int, shown: int) -> Path:
    """The same file with an edit list that shows `shown` frames from frame `hidden` on, as a copy-cut has."""
    data = bytearray(source.read_bytes())
    at = data.index(b"elst") + 4
    _, rows, _, start = struct.unpack_from(">IIIi", data, at)
    assert rows == 1
    scale = struct.unpack_from(">I", data, data.index(b"mdhd") + 4 + 12)[0]
    movie = struct.unpack_from(">I", data, data.index(b"mvhd") + 4 + 12)[0]
    struct.pack_into(">Ii", data, at + 8, shown * movie // 30, start + hidden * scale // 30)
    target.write_bytes(data)
    return target


def without_moov(source: Path, target: Path) -> Path:
    data = source.read_bytes()
    target.write_bytes(data[: data.index(b"moov") - 4])
    return target


class Library:
    """Makes each video on first use, once a session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            self._makers()[name](path)
        return path

    def _makers(self) -> dict[str, Callable[[Path], object]]:
        get = self
        return {
            "h264_k250.mp4": lambda p: encode(p, 600, options=H264, gop=250),
            "h264_2s.mp4": lambda p: encode(p, 300, options=H264, gop=60),
            "one_gop.mp4": lambda p: encode(p, 120, options=H264, gop=250),
            "faststart.mp4": lambda p: encode(
                p, 300, options=H264, gop=60, mux_options={"movflags": "faststart"}
            ),
            "fragments.mp4": lambda p: encode(
                p, 120, options=H264, gop=30, mux_options={"movflags": "frag_keyframe+empty_moov"}
            ),
            "h264_open.mp4": lambda p: encode(p, 150, options=H264_OPEN, gop=30),
            "hevc_open.mp4": lambda p: encode(p, 150, "libx265", HEVC, gop=30),
            "vp8.webm": lambda p: encode(p, 60, "libvpx", {**VP9, "auto-alt-ref": "1"}, gop=30),
            "vp9.webm": lambda p: encode(p, 150, "libvpx-vp9", VP9, gop=60),
            "av1.mp4": lambda p: encode(p, 150, "libsvtav1", AV1, gop=60),
            "refresh.mp4": lambda p: encode(p, 60, options=REFRESH, gop=20),
            "mpeg4.avi": lambda p: encode(p, 90, "mpeg4", {"bf": "2", "b": "2M"}, gop=12),
            "h264.mkv": lambda p: remux(get("h264_2s.mp4"), p),
            "h264.ts": lambda p: remux(get("h264_2s.mp4"), p, shift=1.47),
            "start5.mp4": lambda p: remux(get("h264_2s.mp4"), p, shift=5.0),
            "vfr.mp4": lambda p: encode(p, 300, options=H264, gop=60, times=vfr_times(300)),
            "rotated.mp4": lambda p: with_rotation(
                encode(self.folder / "lying.mp4", 60, options=H264, turn=1), p
            ),
            "edit.mp4": lambda p: with_hidden(get("h264_2s.mp4"), p, 102, 150),
            "edit_hevc.mp4": lambda p: with_hidden(get("hevc_open.mp4"), p, 45, 90),
            "loop.gif": lambda p: encode(p, 30, "gif", pix_fmt="rgb8"),
        }


CODECS = (
    "h264_k250.mp4",
    "h264_2s.mp4",
    "h264_open.mp4",
    "hevc_open.mp4",
    "vp8.webm",
    "vp9.webm",
    "av1.mp4",
    "mpeg4.avi",
)
SPECIAL = (
    "one_gop.mp4",
    "fragments.mp4",
    "h264.mkv",
    "h264.ts",
    "start5.mp4",
    "vfr.mp4",
    "edit.mp4",
    "edit_hevc.mp4",
    "refresh.mp4",
)
_ENCODERS = {
    "av1.mp4": "libsvtav1",
    "hevc_open.mp4": "libx265",
    "edit_hevc.mp4": "libx265",
    "vp8.webm": "libvpx",
}


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Library:
    """`made("name")` is the path of a made video; skips where this build of av cannot make it."""
    library = Library(tmp_path_factory.mktemp("videos"))

    def get(name: str) -> Path:
        encoder = _ENCODERS.get(name)
        if encoder and encoder not in av.codecs_available:
            pytest.skip(f"this build of av has no {encoder}")
        return library(name)

    return get


@pytest.fixture(scope="session")
def frame_times() -> Callable[[int], list[int]]:
    return vfr_times


@pytest.fixture(scope="session")
def read_numbers() -> Callable[[np.ndarray], list[int]]:
    return numbers


@pytest.fixture(scope="session")
def draw() -> Callable[[int], np.ndarray]:
    return picture


@pytest.fixture(params=CODECS)
def codec_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=SPECIAL)
def special_name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="session")
def sequential() -> Callable[[Path], list[bytes]]:
    """Every frame of a file, by decoding it in order the plain way, at 448 x 448; remembered."""
    from kangaroo_eval.media.container import Converter

    known: dict[Path, list[bytes]] = {}

    def get(path: Path) -> list[bytes]:
        if path not in known:
            converter, out = Converter(), np.empty((448, 448, 3), np.uint8)
            frames = []
            with av.open(str(path)) as container:
                for frame in container.decode(video=0):
                    converter.write(frame, out)
                    frames.append(_digest(out))
            known[path] = frames
        return known[path]

    return get


@pytest.fixture(scope="session")
def digest() -> Callable[[np.ndarray], bytes]:
    return _digest


def _digest(pixels: np.ndarray) -> bytes:
    import hashlib

    return hashlib.blake2b(np.ascontiguousarray(pixels).data).digest()
