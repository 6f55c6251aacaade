"""Wanted frames of a clip to RGB pixels, and what is done about damage.

One task for each GOP that holds a wanted frame, a few threads with a decoder each; see `gop.py`. The result is
the same, bit for bit, as that of decoding the whole file in order.

Damage: libav does not reliably say which frames it patched up, so every wanted frame that comes after an
undecodable packet in its GOP is held to be lost, as is one that does not come out. A lost frame is replaced by
the nearest earlier one that is sound (the nearest later one where none is); more than `MAX_REPEATED` of the
wanted frames, and more than one, is a MediaError.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from kangaroo_eval.errors import MediaError
from kangaroo_eval.media import pictures
from kangaroo_eval.media.container import Converter
from kangaroo_eval.media.failures import told_as_media_error
from kangaroo_eval.media.gop import Canvas, InexactSeek, Outcome, Reader, Task, through
from kangaroo_eval.media.index import Index
from kangaroo_eval.media.info import Info
from kangaroo_eval.types import Frames, Video

# The share of the wanted frames that may stand in for lost ones; one frame always may.
MAX_REPEATED = 0.05


def decode(
    video: Video, info: Info, indices: Sequence[int], shape: tuple[int, int] | None, threads: int
) -> Frames:
    """Decode the frames `indices` (of the clip `info`, sorted, distinct) as RGB pixels of `shape` (height, width).

    `shape` None keeps the upright size of the video. Pixels are uint8 (n, height, width, 3). A frame that
    stands in for a lost one keeps the lost one's time. ValueError for indices outside the clip; MissingVideo
    or MediaError, in one line with file and reason, for media that does not yield them.
    """
    wanted = np.asarray(indices, dtype=np.int64)
    if not len(wanted) or wanted[0] < 0 or wanted[-1] >= info.total or (np.diff(wanted) <= 0).any():
        raise ValueError(f"frame indices must be sorted, distinct and in 0..{info.total - 1}")
    name = video.path if video.frames_dir is None else video.frames_dir
    shape = shape or (info.height, info.width)
    with told_as_media_error(name):
        pixels = np.zeros((len(wanted), *shape, 3), np.uint8)
        if isinstance(info.source, Index):
            sound = _decode_file(name, info.source, wanted + info.first, pixels, max(1, threads))
        else:
            sound = _load_pictures(info.source, wanted + info.first, pixels, max(1, threads))
        repeated = _mend(name, pixels, sound)
    return Frames(
        pixels=pixels,
        times=tuple(info.times[wanted].tolist()),
        repeated=repeated,
        total=info.total,
        duration=info.duration,
        absent=info.absent,
    )


def _decode_file(
    path: str, index: Index, wanted: NDArray[np.int64], pixels: NDArray[np.uint8], threads: int
) -> NDArray[np.bool_]:
    """Fill `pixels` with the frames `wanted` of the file; which of them are sound."""
    packets = index.packet[wanted]
    canvas = Canvas(pixels, {int(packet): slot for slot, packet in enumerate(packets)})
    tasks = _tasks(packets, index.start[wanted])
    whole = Task(int(index.start.min()), int(packets.max()), frozenset(packets.tolist()))
    if not index.seekable or (threads > 1 and len(np.unique(index.start)) == 1):
        outcome = through(path, index, whole, threads, canvas)
    else:
        try:
            outcome = _decode_tasks(path, index, tasks, threads, canvas)
        except InexactSeek:
            outcome = through(path, index, whole, threads, canvas)
    bad = np.array(sorted(outcome.bad), np.int64)
    # Suspect: an undecodable packet lies between the frame's keyframe and its own packet.
    before = np.searchsorted(bad, index.start[wanted], side="left")
    suspect = np.searchsorted(bad, packets, side="right") > before
    sound = np.isin(packets, list(outcome.seen)) & ~suspect
    return np.asarray(sound, np.bool_)


def _tasks(packets: NDArray[np.int64], starts: NDArray[np.int64]) -> list[Task]:
    """The wanted packets by the keyframe that decoding must start from."""
    groups: dict[int, list[int]] = defaultdict(list)
    for packet, start in zip(packets.tolist(), starts.tolist(), strict=True):
        groups[start].append(packet)
    return [Task(start, max(group), frozenset(group)) for start, group in groups.items()]


def _decode_tasks(path: str, index: Index, tasks: list[Task], threads: int, canvas: Canvas) -> Outcome:
    """Share the tasks among threads. InexactSeek where one cannot be decoded by seeking."""
    queue = iter(tasks)
    lock = threading.Lock()

    def take() -> Iterator[Task]:
        while True:
            with lock:
                task = next(queue, None)
            if task is None:
                return
            yield task

    def work() -> Outcome:
        outcome = Outcome()
        reader = Reader(path, index, 1, canvas.keeper())
        try:
            for task in take():
                outcome.add(_decode_task(reader, index, task))
        finally:
            reader.close()
        return outcome

    total = Outcome()
    workers = min(threads, len(tasks))
    if workers == 1:
        return work()
    with ThreadPoolExecutor(workers, thread_name_prefix="decode") as pool:
        for future in [pool.submit(work) for _ in range(workers)]:
            total.add(future.result())
    return total


def _decode_task(reader: Reader, index: Index, task: Task) -> Outcome:
    """Decode one task; where frames fail to come out although no packet is bad, its keyframe was none to
    start from (a recovery point that takes several frames), so start one keyframe earlier and skip nothing. InexactSeek where
    that is not early enough: recovery may take longer than from one keyframe to the next."""
    outcome = reader.run(task)
    missing = task.wanted - outcome.seen
    if not missing or outcome.bad:
        return outcome
    earlier = np.unique(index.start)
    start = int(earlier[max(0, int(np.searchsorted(earlier, task.first)) - 1)])
    outcome.add(reader.run(Task(start, task.last, frozenset(missing)), skip=False))
    if task.wanted - outcome.seen and not outcome.bad:
        raise InexactSeek
    return outcome


def _load_pictures(
    names: Sequence[str], wanted: NDArray[np.int64], pixels: NDArray[np.uint8], threads: int
) -> NDArray[np.bool_]:
    """Fill `pixels` with the pictures `wanted`; which of them are sound."""
    sound = np.zeros(len(wanted), np.bool_)

    def load(slot: int) -> None:
        frame, _ = pictures.load(names[wanted[slot]])
        if frame is not None and not frame.is_corrupt:
            Converter().write(frame, pixels[slot])
            sound[slot] = True

    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        list(pool.map(load, range(len(wanted))))
    return sound


def _mend(name: str, pixels: NDArray[np.uint8], sound: NDArray[np.bool_]) -> int:
    """Replace lost frames in place; how many there were. MediaError where they are too many."""
    lost = np.flatnonzero(~sound)
    if not len(lost):
        return 0
    good = np.flatnonzero(sound)
    if not len(good):
        raise MediaError(f"{name}: none of the {len(sound)} wanted frames can be decoded")
    if len(lost) > max(1, int(MAX_REPEATED * len(sound))):
        raise MediaError(f"{name}: damaged, {len(lost)} of the {len(sound)} wanted frames cannot be decoded")
    for slot in lost:
        earlier = int(np.searchsorted(good, slot))
        pixels[slot] = pixels[good[max(0, earlier - 1)]]
    return len(lost)
