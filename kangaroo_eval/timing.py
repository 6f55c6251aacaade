"""Where a run's time went: waiting for frames, and the model's phases. From the journal alone."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

PHASES = ("vision", "prefill", "generate")
"""The phases of a model's time that are told apart where it tells them (`Response.phases`), in their order."""
FORECAST = "forecast.json"
"""Its file in a run directory."""


@dataclass
class Spent:
    """Seconds of one task's answers. `decode` is what decoding took in the processes that do it, `wait` how long the model
    had to wait for it; `model` is the model's time, of which `phases` are parts. Of `videos`, `stored` came out of a frame
    store."""

    videos: int = 0
    stored: int = 0
    answers: int = 0
    decode: float = 0.0
    wait: float = 0.0
    model: float = 0.0
    prompt_tokens: int = 0
    new_tokens: int = 0
    phases: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values, seconds to the millisecond."""
        found = asdict(self)
        found["phases"] = {name: round(value, 3) for name, value in self.phases.items()}
        return {name: round(value, 3) if isinstance(value, float) else value for name, value in found.items()}


def measure(lines: Iterable[Mapping[str, Any]]) -> Spent:
    """The sums over the lines of a task's journal. What was spent on a video stands in the line of each of its questions, of
    which those of other videos may come in between, and counts once."""
    spent = Spent()
    known = set()
    for line in lines:
        decode = line.get("decode_seconds")
        if decode is not None:
            video = (line.get("video"), decode, line.get("wait_seconds"))
            if video not in known:
                spent.videos += 1
                spent.stored += bool(line.get("frames_stored"))
                spent.decode += decode
                spent.wait += line.get("wait_seconds") or 0.0
            known.add(video)
        if line.get("seconds") is not None:
            spent.answers += 1
            spent.model += line["seconds"]
            spent.prompt_tokens += line.get("prompt_tokens") or 0
            spent.new_tokens += line.get("new_tokens") or 0
            for name, seconds in (line.get("phases") or {}).items():
                spent.phases[name] = spent.phases.get(name, 0.0) + seconds
    return spent


def read_forecast(path: Path) -> dict[str, Any] | None:
    """What `--dry-run measure` expected of the run at `path`; None where it was not asked, or what it left is damaged."""
    try:
        found = json.loads((path / FORECAST).read_text(encoding="utf-8"))
        return {"seconds": float(found["seconds"])}
    except (OSError, ValueError, LookupError, TypeError):
        return None
