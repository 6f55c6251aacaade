"""What a made video shows, as plain values: things, events in time, scenes, and what the narrator says.

Times are seconds from the first frame; positions and sizes are fractions of the picture, from its top left
corner. A world says everything that questions, captions and pictures need; none of them looks anywhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kangaroo_eval.types import Cue

Kind = Literal[
    "stay",
    "group",
    "cross",
    "stop",
    "grow",
    "shrink",
    "recolour",
    "meet",
    "pair",
    "sign",
    "pick",
    "put",
    "race",
    "shuffle",
]
Pattern = Literal["plain", "repeat", "topic", "anomaly", "ego"]

SIZES = {"small": 0.22, "big": 0.34}
"""Width of a thing by the name of its size, as a fraction of the picture's width."""
GAP = 0.25
"""Seconds between two events in which nothing is shown."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A coloured shape. For a sign, `form` is "sign" and `colour` that of its plate."""

    colour: str
    form: str
    size: str = "small"

    @property
    def name(self) -> str:
        """What texts call it, such as "red circle"."""
        return f"{self.colour} {self.form}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """One thing happening from `start` to `end`, both on the frame grid of 8 a second.

    By `kind`: stay (`spot`) and group (`count` at `positions`); cross (`count`, `direction`); stop (the
    `direction` it comes in with); grow, shrink; recolour (to `colour`); meet (`other`, the `direction` that
    `thing` comes with, `effect` on `thing`, `colour` if that is a change of colour); pair (`thing` is `relation` `other`);
    sign (`text`); pick and put (a hand takes `thing` away from, or lays it down at, `positions[0]`); race (`thing`
    and, below it, `other` move to the left or right, `thing` being `relation` `other`); shuffle (three equal `thing`s, one of
    which comes to hide `other`, change places: `text` is "1 02 12" where `other` is under place 1 of 0-2 from the
    left, then places 0 and 2 change, then 1 and 2).
    """

    kind: Kind
    thing: Shape
    start: float = 0.0
    end: float = 0.0
    count: int = 1
    other: Shape | None = None
    direction: str = ""
    spot: str = ""
    colour: str = ""
    effect: str = ""
    relation: str = ""
    text: str = ""
    positions: tuple[tuple[float, float], ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all things seen in it, also by the colour that one turns."""
        out = [self.thing.name]
        if self.other is not None:
            out.append(self.other.name)
        if self.colour:
            out.append(f"{self.colour} {self.thing.form}")
        return tuple(out)


@dataclass(frozen=True, slots=True)
class Scene:
    """A stretch of the video in one place; `ego`: seen through the eyes of someone whose hands show."""

    start: float
    end: float
    place: str
    events: tuple[Event, ...]
    ego: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What kind of world to make: `seconds` long, `events` in `scenes`, each kind of `must` at least once.

    `seconds` is a multiple of 1/8 (the frame grid). `pattern`: plain (every thing once), repeat (one thing comes
    back), topic (one shape and one place prevail), anomaly (the same event again and again, apart from one),
    ego (first person, with picks and puts of `must` or one of each at least). `needle`: signs are shown for at most 8 s. `narrated`: there are subtitles, and they tell
    names and a code word.
    """

    name: str
    seconds: float
    events: int
    scenes: int
    must: tuple[Kind, ...] = ()
    may: tuple[Kind, ...] = ("stay", "group", "cross", "stop", "grow", "shrink", "recolour")
    pattern: Pattern = "plain"
    needle: bool = False
    narrated: bool = False

    def __post_init__(self) -> None:
        if len(self.must) > self.events:
            raise ValueError(f"recipe {self.name}: {len(self.must)} kinds do not fit {self.events} events")
        if not 1 <= self.scenes <= min(6, self.events):
            raise ValueError(
                f"recipe {self.name}: {self.scenes} scenes; there may be 1 to 6, and no more than events"
            )
        if self.events > 14 or self.seconds < 2 * self.events:
            raise ValueError(f"recipe {self.name}: at most 14 events, each of 2 s or more")
        if self.seconds * 8 != int(self.seconds * 8):
            raise ValueError(f"recipe {self.name}: seconds must be a multiple of 1/8, got {self.seconds}")
        least = {"repeat": 4, "anomaly": 4, "ego": len(self.must) or 2}.get(self.pattern, 1)
        if self.events < least:
            raise ValueError(f"recipe {self.name}: the pattern {self.pattern} needs {least} events or more")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A whole made video. `names` and `code` are only told by the narrator (`cues`), never shown.

    `odd` is the index in `events` of the event that breaks the pattern and `odd_kind` how (a key of
    `words.ODDITIES`): with the pattern "anomaly" only, and `odd` is None where nothing is unusual.
    """

    seed: str
    recipe: Recipe
    seconds: float
    scenes: tuple[Scene, ...]
    cues: tuple[Cue, ...] = ()
    names: tuple[tuple[str, str], ...] = ()
    code: str = ""
    odd: int | None = None
    odd_kind: str = ""

    @property
    def events(self) -> tuple[Event, ...]:
        """All events in the order of time."""
        return tuple(event for scene in self.scenes for event in scene.events)

    @property
    def things(self) -> tuple[str, ...]:
        """The names of all things ever seen, without repeats, in the order of their first event."""
        return tuple(dict.fromkeys(name for event in self.events for name in event.names))

    def scene_at(self, seconds: float) -> Scene:
        """The scene on the screen at a time; the last one from its start on."""
        for scene in self.scenes:
            if seconds < scene.end:
                return scene
        return self.scenes[-1]

    def place_of(self, event: Event) -> str:
        """The place an event happens in."""
        return self.scene_at(event.start).place
