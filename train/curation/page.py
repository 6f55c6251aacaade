"""The report of a curation as one page: every score's distribution with the bounds of the preset, what each filter drops, and
examples with a picture each, for people who would rather look than read."""

from __future__ import annotations

import base64
import html
import json
import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kangaroo_eval.errors import MediaError
from kangaroo_eval.train.curation import figures
from kangaroo_eval.train.curation.select import Preset, Selection
from kangaroo_eval.train.curation.stage import Row
from kangaroo_eval.types import Video

log = logging.getLogger(__name__)

EXAMPLES = 6
"""Pictures of each filter."""
_LONG_TAILS = frozenset({"motion", "sharpness", "duration"})


def document(selection: Selection, chosen: Preset, *, pictures: bool = True) -> str:
    """The page. `pictures` False leaves them out, and no video is opened."""
    rows = [*selection.kept, *selection.dropped]
    parts = [_summary(selection, chosen), _drops(selection)]
    parts += [_histogram(name, values, chosen) for name, values in _scores(rows).items()]
    if pictures:
        parts.append(_examples(selection))
    return figures.page("Curation report", "".join(parts))


def _scores(rows: Iterable[Row]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for row in rows:
        for name, value in {"duration": row.get("duration"), **row.get("scores", {})}.items():
            if isinstance(value, int | float) and math.isfinite(value):
                found.setdefault(name, []).append(float(value))
    return found


def _summary(selection: Selection, chosen: Preset) -> str:
    total = len(selection.kept) + len(selection.dropped)
    hours = sum(row.get("duration") or 0.0 for row in selection.kept) / 3600
    bounds = [f"{name} &ge; {value:g}" for name, value in chosen.least.items()]
    bounds += [f"{name} &le; {value:g}" for name, value in chosen.most.items()]
    return (
        f"<p class='big'>{len(selection.kept)} of {total} clips stay, {hours:.2f} hours.</p>"
        f"<p>{html.escape(chosen.about)}: {', '.join(bounds) or 'no bounds'}.</p>"
    )


def _drops(selection: Selection) -> str:
    counts = selection.counts()
    if not counts:
        return "<p>Nothing is left out.</p>"
    most = max(counts.values())
    lines = "".join(
        f"<tr><th scope='row'>{html.escape(name)}</th><td>{count}</td>"
        f"<td class='bar'><i style='width:{100 * count / most:.1f}%'></i></td></tr>"
        for name, count in counts.items()
    )
    return f"<h2>Left out, by the first reason</h2><table>{lines}</table>"


def _histogram(name: str, values: Sequence[float], chosen: Preset) -> str:
    """A score's distribution with the preset's bounds."""
    bounds = figures.Bounds(chosen.least.get(name), chosen.most.get(name))
    return figures.histogram(name, values, bounds, log_scale=name in _LONG_TAILS)


def _examples(selection: Selection) -> str:
    groups: dict[str, list[Row]] = {"kept": list(selection.kept[:EXAMPLES])}
    for row in selection.dropped:
        group = groups.setdefault(row["dropped"][0].split()[0], [])
        if len(group) < EXAMPLES:
            group.append(row)
    out = "<h2>Examples</h2>"
    for name, rows in groups.items():
        shown = "".join(map(_example, rows))
        out += f"<h3>{html.escape(name)}</h3><div class='strip'>{shown}</div>" if shown else ""
    return out


def _example(row: Row) -> str:
    why = "; ".join(row.get("dropped", ())) or ", ".join(
        f"{name} {value:g}" for name, value in list(row.get("scores", {}).items())[:4]
    )
    picture = "" if row.get("error") else _picture(row)
    return (
        f"<figure class='clip'>{picture}<figcaption><code>{html.escape(str(row['id']))}</code><br>{html.escape(why)}"
        "</figcaption></figure>"
    )


def _picture(row: Mapping[str, Any], side: int = 240) -> str:
    """The frame in the middle of a clip as an <img>; nothing where it cannot be had any more."""
    import cv2

    from kangaroo_eval.media import decode, probe
    from kangaroo_eval.train.curation.probe import fitted

    video = Video(row["path"], start=row.get("start"), end=row.get("end"))
    try:
        info = probe(video)
        frame = decode(video, info, [info.total // 2], fitted(info.height, info.width, side), 1).pixels[0]
    except MediaError as error:
        log.warning("no picture of %s: %s", row["id"], error)
        return ""
    done, data = cv2.imencode(".jpg", frame[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not done:
        return ""
    text = base64.b64encode(data.tobytes()).decode()
    return f"<img alt='' loading='lazy' src='data:image/jpeg;base64,{text}'>"


def totals(selection: Selection) -> str:
    """The same in numbers, as JSON: clips, hours, what each filter drops."""
    return json.dumps(
        {
            "clips": len(selection.kept) + len(selection.dropped),
            "kept": len(selection.kept),
            "hours": round(sum(row.get("duration") or 0.0 for row in selection.kept) / 3600, 4),
            "dropped": selection.counts(),
        }
    )
