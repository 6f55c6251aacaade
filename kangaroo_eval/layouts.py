"""Where other programs keep benchmarks, so that nobody downloads a hundred gigabytes twice.

VLMEvalKit works in the Hugging Face cache: it unpacks a repository's archives beside them, in the snapshot (or takes
ModelScope's cache). lmms-eval leaves the annotations there, and the videos in a folder of its own below $HF_HOME: such a
benchmark is in two places, and is read through a folder of links to both.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from kangaroo_eval.task import Source


class Layout(NamedTuple):
    """A folder, as a pattern below a data root, and what leaves it. `{owner}`, `{name}` and `{kept}` stand for a
    repository's two names and for lmms-eval's folder of the benchmark."""

    pattern: str
    left_by: str


LAYOUTS = (
    Layout("{kept}", "lmms-eval, below HF_HOME"),
    Layout("hub/datasets--{owner}--{name}/snapshots/*", "the hub's client and VLMEvalKit, below HF_HOME"),
    Layout("datasets--{owner}--{name}/snapshots/*", "the same, in HF_HUB_CACHE or in VLMEvalKit's cache"),
    Layout("hub/datasets--{owner}--{name}", "VLMEvalKit's LongVideoBench"),
    Layout("datasets--{owner}--{name}", "the same, in HF_HUB_CACHE"),
    Layout("hub/datasets/{owner}/{name}", "ModelScope's client, for VLMEvalKit"),
    Layout("datasets/{owner}/{name}", "the same, one folder further down"),
    Layout("videos/{name}", "a copy kept below LMUData"),
    Layout("{name}", "a copy of the repository under its own name"),
)


class Piece(NamedTuple):
    """A folder that holds a benchmark, or a part of it."""

    path: Path
    left_by: str


def known_places(environment: Mapping[str, str]) -> dict[str, Path]:
    """The folders that other harnesses use on this machine, by the variables that name them; only those that are there."""
    cache = Path(environment.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = Path(environment.get("HF_HOME") or cache / "huggingface").expanduser()
    places = {
        "HF_HOME": home,
        "HF_HUB_CACHE": Path(environment.get("HF_HUB_CACHE") or home / "hub").expanduser(),
        "LMUData": Path(environment.get("LMUData") or Path.home() / "LMUData").expanduser(),
        "MODELSCOPE_CACHE": Path(environment.get("MODELSCOPE_CACHE") or cache / "modelscope").expanduser(),
    }
    if "HF_HUB_CACHE" not in environment:
        del places["HF_HUB_CACHE"]  # HF_HOME has it already
    return {name: place for name, place in places.items() if place.is_dir()}


def pieces_of(source: Source, root: Path) -> tuple[Piece, ...]:
    """Where under `root` the benchmark is: our own layout; else the folders of `LAYOUTS` that together hold its annotations and
    what else there is; else `root` itself, where it is the benchmark's folder. Empty where no annotations are found, except that
    our own folder is always named where it is there."""
    own, itself = root / source.folder, has_annotations(source, root)
    # Video-MME's repository has a folder of that very name, which holds the annotations alone.
    if own.is_dir() and has_annotations(source, own) and not (itself and _bare(source, own)):
        return (Piece(own, "this program"),)
    if itself:
        return (Piece(root, "the folder itself"),)
    found = {piece.path: piece for piece in _candidates(source, root)}
    annotated = [piece for piece in found.values() if has_annotations(source, piece.path)]
    # A repository's folder in the cache is none of its files; VLMEvalKit puts some beside its snapshots.
    parts = [
        each for each in found.values() if each not in annotated and not (each.path / "snapshots").is_dir()
    ]
    if annotated:
        # The newest snapshot's annotations, then videos from wherever they are.
        first = max(annotated, key=lambda piece: piece.path.stat().st_mtime)
        return (first, *parts)
    return (Piece(own, "this program"),) if own.is_dir() else ()


def _candidates(source: Source, root: Path) -> Iterator[Piece]:
    roots = [root]
    if root.name in source.kept or root.name in ("hub", "datasets"):
        # $HF_HOME/videomme was named: its annotations lie beside it.
        yield Piece(root, LAYOUTS[0].left_by)
        roots.append(root.parent)
    for place in roots:
        for layout in LAYOUTS:
            for pattern in _filled(layout.pattern, source):
                yield from (
                    Piece(path, layout.left_by) for path in sorted(place.glob(pattern)) if path.is_dir()
                )


def _filled(pattern: str, source: Source) -> Iterator[str]:
    if "{kept}" in pattern:
        yield from (pattern.format(kept=name) for name in source.kept)
        return
    for repository in filter(None, (source.hub, source.videos_hub, *source.copies)):
        owner, _, name = repository.partition("/")
        yield pattern.format(owner=owner, name=name)


def has_annotations(source: Source, folder: Path) -> bool:
    """Whether any of the benchmark's annotation files is in the folder."""
    return any(next(folder.glob(pattern), None) is not None for pattern in source.annotations)


def _bare(source: Source, folder: Path) -> bool:
    """Whether a folder holds annotations and nothing else."""
    files = {file for pattern in source.annotations for file in folder.glob(pattern)}
    return all(entry in files for entry in folder.iterdir())


def _led_to(link: Path) -> Path | None:
    """Where a link leads; None for what is none, or is gone."""
    try:
        return Path(os.readlink(link))
    except OSError:
        return None


def one_folder(pieces: Sequence[Piece], cache: Path, name: str) -> Path:
    """The benchmark as one folder: the only piece, or a folder called `name` of links to what is in them, earlier ones first.
    It is made in `cache`, and made anew where a link leads nowhere or something has come."""
    if len(pieces) == 1:
        return pieces[0].path
    key = hashlib.sha256(
        "\0".join(str(piece.path.resolve()) for piece in pieces).encode(errors="surrogateescape")
    )
    folder = cache / "found" / key.hexdigest()[:16] / name
    folder.mkdir(parents=True, exist_ok=True)
    links: dict[str, Path] = {}
    for piece in pieces:
        for entry in sorted(piece.path.iterdir()):
            links.setdefault(entry.name, entry.absolute())
    for stale in folder.iterdir():
        if stale.is_symlink() and links.get(stale.name) != _led_to(stale):
            stale.unlink(missing_ok=True)
    for entry_name, target in links.items():
        link = folder / entry_name
        # Another run that begins at the same time makes the same ones.
        with contextlib.suppress(FileExistsError):
            if not link.is_symlink():
                link.symlink_to(target)
    return folder
