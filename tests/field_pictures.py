"""A tiny H.264 stream of field pictures (PAFF), which no encoder at hand makes: all macroblocks are raw samples (I_PCM), so
that a few lines write it. ITU-T H.264, 7.3."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np

WIDE, HIGH = 2, 4
"""In macroblocks of 16 pixels; a field has half the height."""


class _Bits:
    def __init__(self) -> None:
        self.bits: list[int] = []

    def u(self, value: int, length: int) -> _Bits:
        self.bits += [(value >> place) & 1 for place in range(length - 1, -1, -1)]
        return self

    def ue(self, *values: int) -> _Bits:
        for value in values:
            self.u(value + 1, 2 * (value + 1).bit_length() - 1)
        return self

    def unit(self, header: int) -> bytes:
        """As a NAL unit with its start code; three zeros in a row are kept apart."""
        self.u(1, 1).align()
        out, zeros = bytearray(), 0
        for byte in np.packbits(np.array(self.bits, np.uint8)).tobytes():
            if zeros >= 2 and byte <= 3:
                out.append(3)
                zeros = 0
            out.append(byte)
            zeros = zeros + 1 if byte == 0 else 0
        return b"\0\0\0\1" + bytes([header]) + bytes(out)

    def align(self) -> None:
        self.bits += [0] * (-len(self.bits) % 8)


def _heads() -> bytes:
    sps = _Bits().u(77, 8).u(0, 8).u(30, 8).ue(0, 0, 0, 4, 1).u(0, 1).ue(WIDE - 1, HIGH // 2 - 1).u(0, 5)
    # ... direct 8 x 8 inference, which field pictures must have, stands among those five.
    sps.bits[-3] = 1
    pps = _Bits().ue(0, 0).u(0, 2).ue(0, 0, 0).u(0, 3).ue(0, 0, 0).u(1, 1).u(0, 2)
    return sps.unit(0x67) + pps.unit(0x68)


def _field(first: bool, bottom: int, number: int, level: int) -> bytes:
    made = _Bits().ue(0, 7, 0).u(number & 15, 4).u(1, 1).u(bottom, 1)
    if first:
        made.ue(0)
    made.u((2 * number + bottom) & 255, 8).u(0, 2 if first else 1).ue(0, 1)
    for _ in range(WIDE * HIGH // 2):
        made.ue(25).align()
        made.bits += np.unpackbits(np.array([level] * 256 + [128] * 128, np.uint8)).tolist()
    return made.unit((3 << 5) | (5 if first else 1))


def write(path: Path, frames: int) -> None:
    """`frames` pictures at 25 a second, each brighter than the one before, every field in a packet of its own."""
    raw = path.with_suffix(".h264")
    mark = b"\0\0\0\1\x09\x10"
    packets: list[bytes] = []
    for i in range(frames):
        key, number, level = i % 10 == 0, i % 10, 40 + 4 * i
        packets.append(mark + (_heads() if key else b"") + _field(key, 0, number, level))
        packets.append(mark + _field(False, 1, number, level))
    raw.write_bytes(b"".join(packets))
    with av.open(str(raw), format="h264") as source, av.open(str(path), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        stream.time_base = Fraction(1, 50)
        for place, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.time_base = stream, Fraction(1, 50)
            packet.pts = packet.dts = place
            packet.duration, packet.is_keyframe = 1, place % 20 == 0
            out.mux(packet)
    raw.unlink()
