"""Several frame formulas of one video at once: what any of them wants is decoded in one pass, and each one's frames go
into the store."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from kangaroo_eval.errors import MediaError
from kangaroo_eval.media.decoders import DECODERS
from kangaroo_eval.media.info import Info, probe
from kangaroo_eval.media.job import decoded
from kangaroo_eval.media.spec import FrameSpec, Selection, select, shape
from kangaroo_eval.media.store import Store, Stored
from kangaroo_eval.types import Video


def fill(video: Video, specs: Sequence[FrameSpec], store: Store, threads: int) -> tuple[Stored, bool]:
    """Put the frames of every formula into the store, those that are not there yet. The last formula's frames, and whether
    nothing was decoded. MediaError for a video that does not give them."""
    try:
        keys = {spec: store.key(video, spec) for spec in specs}
    except OSError:
        # What is wrong with it is told by whoever decodes.
        return decoded(video, specs[-1], threads), False
    last = store.read(keys[specs[-1]])
    missing = [spec for spec in keys if not store.path(keys[spec]).exists()]
    if last is not None and not missing:
        return last, True
    info = probe(video)
    for group in _groups(video, info, missing):
        for spec, kept in _together(video, group, threads):
            found = store.write(keys[spec], kept)
            last = found if spec == specs[-1] else last
    return last or decoded(video, specs[-1], threads), False


def _groups(video: Video, info: Info, specs: Sequence[FrameSpec]) -> list[list[tuple[FrameSpec, Selection]]]:
    """Formulas that one pass can serve: of the same clip, size and decoder."""
    groups: dict[tuple[int, tuple[int, int], str], list[tuple[FrameSpec, Selection]]] = {}
    for spec in specs:
        chosen = select(info, spec, video)
        known = (id(chosen.info), shape(chosen.info, spec), spec.decoder)
        groups.setdefault(known, []).append((spec, chosen))
    return list(groups.values())


def _together(
    video: Video, group: Sequence[tuple[FrameSpec, Selection]], threads: int
) -> list[tuple[FrameSpec, Stored]]:
    """Each formula's frames as it would have them alone."""
    spec, (info, _) = group[0]
    union = sorted({index for _, chosen in group for index in chosen.indices})
    try:
        found = DECODERS[spec.decoder](video, info, union, shape(info, spec), threads)
    except MediaError:
        found = None
    if found is None or found.repeated:
        # What stands in for a lost frame, and how many may be lost, depends on which others are wanted.
        return [(each, decoded(video, each, threads)) for each, _ in group]
    slots = {index: slot for slot, index in enumerate(union)}
    out = []
    for each, chosen in group:
        own = [slots[index] for index in chosen.indices]
        frames = dataclasses.replace(
            found, pixels=found.pixels[own], times=tuple(found.times[slot] for slot in own)
        )
        out.append((each, Stored(frames, info.fps)))
    return out
