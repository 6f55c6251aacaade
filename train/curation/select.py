"""Which clips stay: thresholds on the scores, benchmarks' videos out, one of those that are alike. Nothing is decoded for it.

The paper names its filters and no threshold; a threshold belongs to a detector and a size of picture. So they are presets with
names, and `kangaroo-curate report` shows where each one cuts the distribution of the scores at hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.curation import balance, hashes
from kangaroo_eval.train.curation.stage import Row

LEAST_SIDE = 200
"""Pixels of a picture's shorter side. The paper gives none: COYO, one of its sources, was filtered with this."""
MOST_RATIO = 3.0
"""Longer by shorter side of a picture: COYO's too."""


@dataclass(frozen=True, kw_only=True)
class Preset:
    """Bounds of scores by name, both inclusive: `least` and `most`. `duration` (seconds) counts as a score. `near`: bits in which
    the hashes of two frames of the same may differ."""

    about: str
    near: int = hashes.NEAR
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)

    def reasons(self, row: Mapping[str, Any]) -> list[str]:
        """Why a row is left out, such as "text 0.31 > 0.2"; nothing where it stays. A score that it lacks is no reason."""
        scores = {**row.get("scores", {}), "duration": row.get("duration")}
        found = []
        for name, bound in self.least.items():
            if scores.get(name) is not None and scores[name] < bound:
                found.append(f"{name} {scores[name]:g} < {bound:g}")
        for name, bound in self.most.items():
            if scores.get(name) is not None and scores[name] > bound:
                found.append(f"{name} {scores[name]:g} > {bound:g}")
        return found

    def changed(self, bounds: Iterable[str]) -> Preset:
        """With other bounds, each as "text<=0.3" or "motion>=1"; "text<=" takes one away. UserError for another form."""
        least, most = dict(self.least), dict(self.most)
        for text in bounds:
            sign = next((sign for sign in ("<=", ">=") if sign in text), None)
            if sign is None:
                raise UserError(f"bound {text!r}: write NAME<=NUMBER or NAME>=NUMBER, such as text<=0.2")
            name, _, value = (part.strip() for part in text.partition(sign))
            place = most if sign == "<=" else least
            if not value:
                place.pop(name, None)
                continue
            try:
                place[name] = float(value)
            except ValueError:
                raise UserError(f"bound {text!r}: {value!r} is no number") from None
        return replace(self, least=least, most=most)


PRESETS: dict[str, Preset] = {
    "pretraining": Preset(
        about="web clips for pre-training: moving, neither talking heads nor slides (Section III.B's filters)",
        least={"duration": 2.0, "motion": 0.8, "luma": 20.0, "sharpness": 20.0},
        most={"text": 0.2, "faces": 0.15, "still": 0.5, "black": 0.2, "bars": 0.4, "duration": 300.0},
    ),
    "instruction": Preset(
        about="clips of instruction data: 5 seconds or more, so that 16 frames are there at 4 a second (Section III.E)",
        least={"duration": 5.0, "luma": 10.0},
        most={"black": 0.5},
    ),
    "images": Preset(
        about="pictures of the web for image pre-training, neither small nor narrow",
        near=hashes.NEAR_PICTURES,
        least={"side": LEAST_SIDE},
        most={"ratio": MOST_RATIO},
    ),
    "none": Preset(about="everything that could be read"),
}


def preset(name: str) -> Preset:
    """A preset by name. UserError for an unknown one."""
    if name not in PRESETS:
        raise UserError(f"preset {name!r}: choose among {', '.join(PRESETS)}")
    return PRESETS[name]


@dataclass(frozen=True)
class Selection:
    """The rows that stay, and those that do not, each with its `dropped`: why."""

    kept: Sequence[Row]
    dropped: Sequence[Row]

    def counts(self) -> dict[str, int]:
        """How many rows each filter leaves out; one that several leave out counts for the first."""
        return dict(Counter(row["dropped"][0].split()[0] for row in self.dropped).most_common())


def select(
    rows: Iterable[Row],
    chosen: Preset,
    *,
    benchmark: Sequence[Row] = (),
    alike: bool = True,
    category: str | None = None,
    share: float = balance.SHARE,
) -> Selection:
    """Rows with errors, those outside the preset's bounds, those that show a video of `benchmark`, (`alike`) those that show
    what another one does, and of each `category` (a key of the rows) those beyond `share` of what stays, are left out, in
    this order. UserError where the category cannot be balanced so."""
    kept: list[Row] = []
    dropped: list[Row] = []
    for row in rows:
        error = row.get("error")
        reasons = [f"error at {error['stage']}: {error['message']}"] if error else chosen.reasons(row)
        if reasons:
            dropped.append({**row, "dropped": reasons})
        else:
            kept.append(row)
    for name, found in (
        ("benchmark", hashes.contaminated(kept, benchmark, near=chosen.near) if benchmark else []),
        ("duplicate", None),
    ):
        matches = found if found is not None else hashes.duplicates(kept, near=chosen.near) if alike else []
        said = {match.id: f"{name} of {match.other}, {match.share:.0%} of the frames" for match in matches}
        dropped += [{**row, "dropped": [said[row["id"]]]} for row in kept if row["id"] in said]
        kept = [row for row in kept if row["id"] not in said]
    if category is not None:
        named = [(str(row["id"]), str(row.get(category, ""))) for row in kept]
        stays = balance.chosen(named, share)
        for row, (name, found_) in zip(kept, named, strict=True):
            if name not in stays:
                dropped.append(
                    {**row, "dropped": [f"category {found_} has more than {share:.1%} of the clips"]}
                )
        kept = [row for row, (name, _) in zip(kept, named, strict=True) if name in stays]
    return Selection(kept, dropped)
