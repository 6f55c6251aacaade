"""Figures of the curation's pages as inline SVG, and the page around them: nothing of it is fetched from anywhere."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import NamedTuple

BINS = 40
WIDTH, HEIGHT = 420, 120
MOST_BARS = 140
"""Bars of a figure of shares: 3 units of its width each."""


class Bounds(NamedTuple):
    """Where values are cut, both inclusive; None: not there."""

    least: float | None = None
    most: float | None = None


NONE = Bounds()


def page(title: str, body: str) -> str:
    """A whole page; `body` is HTML."""
    style = resources.files("kangaroo_eval.train.curation").joinpath("page.css").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{style}</style></head><body><main>"
        f"<h1>{html.escape(title)}</h1>{body}</main></body></html>\n"
    )


def histogram(
    name: str,
    values: Sequence[float],
    bounds: Bounds = NONE,
    *,
    log_scale: bool = False,
    note: str = "no bound",
) -> str:
    """Bars over the range of the values (one or more), on a scale of logarithms where asked for and none is below 0. At each of
    the bounds stands a line, and how many values are on its wrong side; where there are none, `note`."""
    log_scale = log_scale and min(values) >= 0

    def at(value: float) -> float:
        return math.log10(value + 0.01) if log_scale else value

    low, high = at(min(values)), at(max(values))
    for bound in bounds:
        if bound is not None and (not log_scale or bound >= 0):
            low, high = min(low, at(bound)), max(high, at(bound))
    span = (high - low) or 1.0
    counts = [0] * BINS
    for value in values:
        counts[min(BINS - 1, int((at(value) - low) / span * BINS))] += 1
    step = WIDTH / BINS
    drawn = "".join(_bar(i * step, step - 1, count / max(counts)) for i, count in enumerate(counts) if count)
    told = []
    for sign, bound in zip(("at least", "at most"), bounds, strict=True):
        if bound is None:
            continue
        x = (at(bound) - low) / span * WIDTH
        drawn += f"<line x1='{x:.1f}' x2='{x:.1f}' y1='0' y2='{HEIGHT}'/>"
        out = sum(value < bound if sign == "at least" else value > bound for value in values)
        told.append(f"{sign} {bound:g}: {out} of {len(values)} are not")
    scale = f"{min(values):g} to {max(values):g}{', logarithmic' if log_scale else ''}"
    return _figure(name, scale, "; ".join(told) or note, drawn)


def shares(name: str, counts: Mapping[str, int], cap: float, note: str = "") -> str:
    """A bar for each name's share of the whole, the largest first, and a line at `cap` (0 to 1), with how many are above it.
    Of very many the largest are drawn."""
    total = sum(counts.values())
    ordered = sorted(counts.items(), key=lambda each: (-each[1], each[0]))
    shown = ordered[:MOST_BARS]
    top = max(ordered[0][1] / total, cap)
    step = WIDTH / max(len(shown), 8)
    drawn = "".join(
        _bar(i * step, step - 1, count / total / top, f"{each}: {count:,}, {count / total:.2%}")
        for i, (each, count) in enumerate(shown)
    )
    y = HEIGHT * (1 - cap / top)
    drawn += f"<line x1='0' x2='{WIDTH}' y1='{y:.1f}' y2='{y:.1f}'/>"
    above = sum(count > cap * total for _, count in ordered)
    told = f"{above} of {len(ordered)} are above {100 * cap:g} %"
    drawn_of = f", the {len(shown)} largest of {len(ordered)}" if len(shown) < len(ordered) else ""
    return _figure(name, f"{top:.1%} at the top{drawn_of}", "; ".join(filter(None, (told, note))), drawn)


def _bar(x: float, width: float, part: float, title: str = "") -> str:
    """A bar of `part` (0 to 1) of the height; `title` is what is shown where one points at it."""
    inner = f"><title>{html.escape(title)}</title></rect>" if title else "/>"
    return f"<rect x='{x:.1f}' y='{HEIGHT * (1 - part):.1f}' width='{width:.1f}' height='{HEIGHT * part:.1f}'{inner}"


def _figure(name: str, scale: str, note: str, drawn: str) -> str:
    return (
        f"<figure><figcaption><b>{html.escape(name)}</b> {html.escape(scale)}<br>{html.escape(note)}</figcaption>"
        f"<svg viewBox='0 0 {WIDTH} {HEIGHT}' role='img' aria-label='{html.escape(f'{name}: {scale}')}'>{drawn}</svg></figure>"
    )
