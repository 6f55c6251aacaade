"""Captions of clips (Section III.C): of one random frame in each of five equal parts, by one model; then of the whole clip, by
one of several language models that is drawn for it.

Whatever is random follows from the run's seed and the clip's id, so that a clip that is done again gets the same frames and the
same summariser. What became of every request is in the row: a clip whose captions failed is no clip with an empty one.
"""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from kangaroo_eval.endpoint import Ask, Endpoint, EndpointConfig, Failed, Message, Reply
from kangaroo_eval.errors import UserError
from kangaroo_eval.train.curation.probe import fitted
from kangaroo_eval.train.curation.similarity import is_refusal
from kangaroo_eval.train.curation.stage import Row
from kangaroo_eval.train.curation.writer import Outcome, Prompt, Written
from kangaroo_eval.types import Video

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SEGMENTS = 5
"""The paper's: a clip in five equal parts, and one random frame of each."""

FRAME = {
    "en": Prompt(
        "frame-en-1",
        "Describe this picture in two or three sentences: the people and things in it, what they do, the place, and any "
        "text that can be read. Say nothing that cannot be seen.",
    ),
    "zh": Prompt(
        "frame-zh-1",
        "请用两三句话描述这张图片：其中的人和物、他们在做什么、地点，以及能看清的文字。不要写看不到的内容。",
    ),
}
VIDEO = {
    "en": Prompt(
        "video-en-1",
        "These are descriptions of pictures from a video of {seconds} seconds, in their order:\n{captions}\n\n"
        "Describe the video in one paragraph: what happens, in which order, who and what is there. Do not speak of pictures "
        "or descriptions, and add nothing that they do not say.",
    ),
    "zh": Prompt(
        "video-zh-1",
        "以下是一个时长 {seconds} 秒的视频中若干画面的描述，按时间顺序排列：\n{captions}\n\n"
        "请用一段话描述这个视频：发生了什么、先后顺序、其中的人和物。不要提到画面或描述，也不要添加其中没有的内容。",
    ),
}
_FEWEST = 2
"""Frames with a caption below which a clip gets none."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A model behind an OpenAI-compatible endpoint. The key is no part of what a result is known by."""

    model: str
    base_url: str | None = None
    key: str | None = field(default=None, repr=False, metadata={"secret": True})
    tokens: int = 256

    def config(self, flags: str) -> EndpointConfig:
        """Its endpoint; `flags` names the option that it came from."""
        return EndpointConfig(model=self.model, base_url=self.base_url, api_key=self.key, flags=flags)


@dataclass(frozen=True, kw_only=True)
class Caption:
    """Captions for clips of `lang`, by `captioner` and one of `summarisers`. Replies are kept in the folder `cache` ("": nowhere).
    `side`: pixels of a frame's longer side as the captioner sees it. `threads`: clips at a time."""

    captioner: Server
    summarisers: tuple[Server, ...]
    lang: str = "en"
    seed: int = 0
    side: int = 448
    threads: int = 4
    cache: str = field(default="", metadata={"secret": True})
    name: ClassVar[str] = "caption"
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        if not self.summarisers:
            raise UserError("captions need one summariser or more (the paper has two)")
        if self.lang not in FRAME:
            raise UserError(f"captions in {self.lang!r}: choose among {', '.join(FRAME)}")

    def setup(self) -> None:
        """Reach every server once."""
        for server in (self.captioner, *self.summarisers):
            endpoint(server, self.cache)

    def one(self, row: Row) -> list[Row]:
        """The row with `captions`: of each frame its time, text, outcome and model; of the video the same; the prompts' ids."""
        from kangaroo_eval.media import decode, probe

        video = Video(row["path"], start=row.get("start"), end=row.get("end"))
        info = probe(video)
        places = self.places(str(row["id"]), info.total)
        shape = fitted(info.height, info.width, self.side)
        frames = [decode(video, info, [place], shape, 1).pixels[0] for place in places]
        told = [
            {"time": round(float(info.times[place]), 3), **_as_json(written)}
            for place, written in zip(places, self._see(frames), strict=True)
        ]
        return [
            {
                **row,
                "captions": {
                    "frames": told,
                    "video": self._sum_up(str(row["id"]), info.duration, told),
                    "prompts": {"frame": FRAME[self.lang].id, "video": VIDEO[self.lang].id},
                },
            }
        ]

    def places(self, name: str, total: int) -> list[int]:
        """The frame drawn in each part of a clip of `total` frames; fewer where it has fewer than five."""
        edges = [i * total // SEGMENTS for i in range(SEGMENTS + 1)]
        return [
            start + _drawn(f"{self.seed}/{name}/{i}", end - start)
            for i, (start, end) in enumerate(itertools.pairwise(edges))
            if end > start
        ]

    def _see(self, frames: Sequence[NDArray[np.uint8]]) -> list[Written]:
        asks = [about_picture(frame, FRAME[self.lang].text, self.captioner) for frame in frames]
        return ask(self.captioner, asks, self.cache)

    def _sum_up(self, name: str, seconds: float, told: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        good = [each["text"] for each in told if each["outcome"] == "ok"]
        if len(good) < min(_FEWEST, len(told)):
            # Only a request that failed may be answered when it is asked again.
            others = Counter(each["outcome"] for each in told if each["outcome"] != "ok")
            outcome = "failed" if others["failed"] else others.most_common(1)[0][0]
            return {"text": "", "outcome": outcome, "model": ""}
        server = self.summarisers[_drawn(f"{self.seed}/{name}/summariser", len(self.summarisers))]
        listed = "\n".join(f"{number}. {' '.join(text.split())}" for number, text in enumerate(good, 1))
        prompt = VIDEO[self.lang].filled(listed).replace("{seconds}", f"{seconds:.0f}")
        (written,) = ask(
            server,
            [Ask((Message("user", prompt),), {"temperature": 0.0, "max_tokens": server.tokens})],
            self.cache,
        )
        return _as_json(written)


class EndpointWriter:
    """A `writer.Writer` behind an endpoint."""

    def __init__(self, server: Server, cache: str = "") -> None:
        self._server = server
        self._cache = cache

    def write(self, prompts: Sequence[str]) -> Sequence[Written]:
        """See `writer.Writer`."""
        parameters = {"temperature": 0.0, "max_tokens": self._server.tokens}
        return ask(
            self._server, [Ask((Message("user", prompt),), parameters) for prompt in prompts], self._cache
        )


_open: dict[tuple[Server, str], Endpoint] = {}


def endpoint(server: Server, cache: str) -> Endpoint:
    """The server's endpoint of this process, tried out when it is first asked for. UserError where it cannot be used."""
    known = (server, cache)
    if known not in _open:
        made = Endpoint(server.config("--captioner"), Path(cache) if cache else None)
        made.check()
        _open[known] = made
    return _open[known]


def about_picture(picture: NDArray[np.uint8], prompt: str, server: Server) -> Ask:
    """A request about a picture (h, w, 3)."""
    content: list[Mapping[str, object]] = [
        {"type": "image_url", "image_url": {"url": data_url(picture)}},
        {"type": "text", "text": prompt},
    ]
    return Ask((Message("user", content),), {"temperature": 0.0, "max_tokens": server.tokens})


def ask(server: Server, asks: Sequence[Ask], cache: str) -> list[Written]:
    """The replies in the order of the asks, each with what became of it."""
    found: dict[int, Reply | Failed] = dict(endpoint(server, cache).ask_all(asks))
    return [_written(found[place], server.model) for place in range(len(asks))]


def _written(outcome: Reply | Failed, model: str) -> Written:
    if isinstance(outcome, Failed):
        return Written("", "failed", model)
    text = outcome.text.strip()
    said: Outcome = "ok"
    if not text:
        said = "empty"
    elif outcome.finish_reason == "length":
        said = "truncated"
    elif outcome.finish_reason == "content_filter" or is_refusal(text):
        said = "refused"
    return Written(text, said, outcome.served_by or model)


def _as_json(written: Written) -> dict[str, Any]:
    return dict(written._asdict())


def _drawn(name: str, count: int) -> int:
    """One of `count` by a hash."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=8).digest(), "big") % count


def data_url(frame: NDArray[np.uint8]) -> str:
    """A frame (h, w, 3) as a JPEG in a data URL."""
    import cv2

    done, data = cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    if not done:
        raise ValueError("the frame cannot be written as a JPEG")
    return f"data:image/jpeg;base64,{base64.b64encode(data.tobytes()).decode()}"


def caption_of(row: Mapping[str, Any], what: str = "video") -> str | None:
    """The caption of the video (or "image") where there is a good one."""
    found = row.get("captions", {}).get(what, {})
    return str(found["text"]) if found.get("outcome") == "ok" else None


def outcome_of(row: Mapping[str, Any]) -> str:
    """What became of a row's caption: that of its video or picture, or "unreadable" where there was nothing to ask about."""
    if row.get("error"):
        return "unreadable"
    found = row["captions"]
    return str((found["image"] if "image" in found else found["video"])["outcome"])


def failures(row: Mapping[str, Any]) -> int:
    """How many requests about a clip or a picture failed: asked again, they may be answered."""
    found = row.get("captions", {})
    whole = [found[what] for what in ("video", "image") if what in found]
    return sum(each["outcome"] == "failed" for each in (*found.get("frames", ()), *whole))


def with_key(server: Server, key: str | None) -> Server:
    """The server with a key from the environment."""
    return dataclasses.replace(server, key=key)
