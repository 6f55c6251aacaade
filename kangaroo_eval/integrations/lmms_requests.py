"""What lmms-eval asks, as our requests: a chat model's messages, or a simple model's text and visuals."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Video

MAX_NEW_TOKENS = 128
"""Of an answer, where a task of lmms-eval says nothing."""
_LENGTHS = ("max_new_tokens", "max_gen_toks", "max_tokens")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One question. `video` is None and `pictures` empty for a question about nothing to see; `pictures` are PIL images
    or paths of pictures, shown in place of a video. `until` are texts at which the answer ends; `candidates` replies
    to rank."""

    prompt: str
    video: Video | None = None
    pictures: tuple[Any, ...] = ()
    system: str | None = None
    prefill: str | None = None
    max_new_tokens: int = MAX_NEW_TOKENS
    until: tuple[str, ...] = ()
    candidates: tuple[str, ...] = field(default=())


def settings(gen_kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The length and the ends of an answer that a task wants. Sampling is not done: every answer is greedy."""
    length = next((gen_kwargs[name] for name in _LENGTHS if gen_kwargs.get(name) is not None), MAX_NEW_TOKENS)
    until = gen_kwargs.get("until") or ()
    ends = (until,) if isinstance(until, str) else tuple(map(str, until))
    return {"max_new_tokens": max(1, int(length)), "until": tuple(filter(None, ends))}


def samples_at_random(gen_kwargs: Mapping[str, Any]) -> bool:
    """Whether a task wants answers that are drawn, or found by beams: ours are neither."""
    drawn = bool(gen_kwargs.get("do_sample")) or float(gen_kwargs.get("temperature") or 0) > 0
    return drawn or int(gen_kwargs.get("num_beams") or 1) > 1


def from_text(text: str, visuals: Iterable[Any], **more: Any) -> Asked:
    """A simple model's question: `visuals` is what the task's doc_to_visual gives."""
    flat: list[Any] = []
    for each in visuals or ():
        flat += each if isinstance(each, list | tuple) else [each]
    videos = [each for each in flat if _is_video(each)]
    return Asked(prompt=text, **_seen([(each, {}) for each in videos], _others(flat, videos)), **more)


def from_messages(messages: Sequence[Mapping[str, Any]], **more: Any) -> Asked:
    """A chat model's question: a system turn, one user turn, and perhaps the beginning of the answer. The texts of a turn
    are put on lines of their own, without the places of the media between them. `UserError` for a longer conversation."""
    roles = [str(message["role"]) for message in messages]
    system = [_texts(message) for message in messages if message["role"] == "system"]
    turns = [message for message in messages if message["role"] != "system"]
    if [message["role"] for message in turns] not in (["user"], ["user", "assistant"]):
        raise UserError(
            f"messages of {', '.join(roles)}: a question of one user turn can be asked, not a conversation"
        )
    content = turns[0]["content"]
    parts = [] if isinstance(content, str) else list(content)
    videos = [(part["url"], part) for part in parts if part["type"] == "video"]
    pictures = [part["url"] for part in parts if part["type"] == "image"]
    strange = sorted({str(part["type"]) for part in parts} - {"text", "video", "image"})
    if strange:
        raise UserError(f"a message with {', '.join(strange)}: text, one video, or pictures can be shown")
    return Asked(
        prompt=_texts(turns[0]),
        system="\n".join(system) or None,
        prefill=_texts(turns[1]) if len(turns) > 1 else None,
        **_seen(videos, pictures),
        **more,
    )


def _texts(message: Mapping[str, Any]) -> str:
    content = message["content"]
    if isinstance(content, str):
        return content
    return "\n".join(str(part["text"]) for part in content if part["type"] == "text")


_PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")


def _is_video(visual: object) -> bool:
    """A path is a video's unless it is a picture's."""
    return isinstance(visual, str) and not visual.lower().endswith(_PICTURES)


def _others(visuals: Sequence[Any], videos: Sequence[Any]) -> list[Any]:
    taken = {id(each) for each in videos}
    pictures = [each for each in visuals if id(each) not in taken]
    for each in pictures:
        if isinstance(each, dict):
            raise UserError(
                f"a visual with {', '.join(map(str, each))}: videos and pictures can be shown, no sound"
            )
    return pictures


def _seen(videos: Sequence[tuple[Any, Mapping[str, Any]]], pictures: Sequence[Any]) -> dict[str, Any]:
    """The one video, or the pictures."""
    if len(videos) > 1 or (videos and pictures):
        raise UserError(
            f"{len(videos)} videos and {len(pictures)} pictures in one question: one video, or pictures, can be shown"
        )
    if not videos:
        return {"pictures": tuple(pictures)}
    url, clip = videos[0]
    if not isinstance(url, str | os.PathLike):
        raise UserError(f"a video of type {type(url).__name__}: give the path of its file")
    path = os.fspath(url).removeprefix("file://")
    folder = path if os.path.isdir(path) else None
    clip_of = Video(
        path,
        start=clip.get("start_time"),
        end=clip.get("end_time"),
        frames_dir=folder,
        fps=1.0 if folder else None,
    )
    return {"video": clip_of}


def place_pictures(pictures: Iterable[Any], folder: Path) -> None:
    """Put PIL images or paths of pictures into a folder, numbered; what lay there before is replaced. `UserError` for
    anything else."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for number, picture in enumerate(pictures):
        if isinstance(picture, str | os.PathLike):
            source = Path(os.fspath(picture).removeprefix("file://"))
            (folder / f"{number}{source.suffix}").symlink_to(source.resolve())
        elif callable(getattr(picture, "save", None)):
            picture.convert("RGB").save(folder / f"{number}.png")
        else:
            raise UserError(f"a picture of type {type(picture).__name__}: give a PIL image or a path")


def cut(text: str, until: Iterable[str]) -> str:
    """The answer up to the first of the texts that end it."""
    ends = [at for end in until if (at := text.find(end)) >= 0]
    return text[: min(ends)] if ends else text
