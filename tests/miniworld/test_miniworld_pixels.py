"""What the events say is what the decoded H.264 pixels show, found again without the renderer's help."""

from __future__ import annotations

from dataclasses import replace

import av
import numpy as np
import pytest

from kangaroo_eval.miniworld import words
from kangaroo_eval.miniworld.font import GLYPHS
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.recipes import RECIPES
from kangaroo_eval.miniworld.render import _PLACE_COLOURS, _SKIN, FPS, write_video

SIDE = 128
_TABLE = (128, 96, 68)


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """(world, frames) of one decoded file for every recipe (at most 60 s), three for short ones."""
    folder = tmp_path_factory.mktemp("videos")
    out = []
    for name, recipe in RECIPES.items():
        for seed in ("p0", "p1", "p2") if recipe.seconds < 20 else ("p0",):
            world = make_world(seed, replace(recipe, seconds=min(60.0, recipe.seconds)))
            path = folder / f"{name}_{seed}.mp4"
            write_video(world, path)
            with av.open(str(path)) as container:
                pixels = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
            assert len(pixels) == world.seconds * FPS
            out.append((world, np.stack(pixels)))
    return out


def classes(frame, place):
    """Per pixel the name of the nearest known colour ("" for ink and background)."""
    names = [*words.COLOURS, "", "", "", "skin", ""]
    known = np.array(
        [*words.COLOURS.values(), *_PLACE_COLOURS[place], (12, 12, 12), _SKIN, _TABLE], dtype=np.int32
    )
    near = ((frame[:, :, None].astype(np.int32) - known) ** 2).sum(-1).argmin(-1)
    return np.array(names)[near]


def blobs(mask, least=60):
    """Centres and sizes of connected stretches of a mask, in pixels, the small ones left out."""
    left = mask.copy()
    found = []
    while left.any():
        y, x = np.argwhere(left)[0]
        stack, cells = [(y, x)], []
        left[y, x] = False
        while stack:
            y, x = stack.pop()
            cells.append((y, x))
            for v, u in ((y + 1, x), (y - 1, x), (y, x + 1), (y, x - 1)):
                if 0 <= v < SIDE and 0 <= u < SIDE and left[v, u]:
                    left[v, u] = False
                    stack.append((v, u))
        if len(cells) >= least:
            found.append((*np.mean(cells, axis=0)[::-1], len(cells)))
    return found


def shape_of(mask):
    """Which of the five shapes a single blob is: by how it fills its box, and where."""
    ys, xs = np.nonzero(mask)
    box = mask[ys.min() : ys.max() + 1, xs.min() : xs.max() + 1]
    h, w = box.shape
    middle = box[h * 2 // 5 : h * 3 // 5 + 1, w * 2 // 5 : w * 3 // 5 + 1].mean()
    corners = np.mean([box[: h // 5, : w // 5], box[: h // 5, -(w // 5) :]]) if w > 4 and h > 4 else 0
    top, bottom = box[: h // 4].mean(), box[-(h // 4) :].mean()
    if middle < 0.5:
        return "ring"
    if corners > 0.8:
        return "square"
    if bottom > 1.8 * top:
        return "triangle"
    return "circle" if box.mean() > 0.7 else "cross"


def at(pixels, event, part):
    """The frame index at a part (0-1) of an event."""
    return min(len(pixels) - 1, round((event.start + (event.end - event.start) * part) * FPS))


def masked(world, pixels, event, part, colour):
    i = at(pixels, event, part)
    return classes(pixels[i], world.place_of(event)) == colour


def events_of(decoded, *kinds):
    found = [(w, p, e) for w, p in decoded for e in w.events if e.kind in kinds]
    assert len(found) >= 3, kinds
    return found


def test_colour_shape_and_count_of_what_stays(decoded):
    for world, pixels, event in events_of(decoded, "stay", "group"):
        mask = masked(world, pixels, event, 0.5, event.thing.colour)
        found = blobs(mask)
        assert len(found) == event.count, event
        if event.count == 1:
            assert shape_of(mask) == event.thing.form, event
            x, y = words.SPOTS[event.spot]
            assert abs(found[0][0] / SIDE - x) < 0.06 and abs(found[0][1] / SIDE - y) < 0.08


def test_direction_and_number_of_what_crosses(decoded):
    for world, pixels, event in events_of(decoded, "cross"):
        a, b = (blobs(masked(world, pixels, event, p, event.thing.colour)) for p in (0.25, 0.75))
        assert len(a) == len(b) == event.count, event
        moved = np.mean(b, axis=0)[:2] - np.mean(a, axis=0)[:2]
        found = max(words.DIRECTIONS, key=lambda d: float(np.dot(words.DIRECTIONS[d], moved)))
        assert found == event.direction and np.abs(moved).max() > 0.3 * SIDE


def test_what_stops_comes_in_and_then_stands_in_the_centre(decoded):
    for world, pixels, event in events_of(decoded, "stop"):
        a, b, c = (
            blobs(masked(world, pixels, event, p, event.thing.colour), 20)[0] for p in (0.15, 0.6, 0.9)
        )
        assert abs(b[0] - c[0]) < 2 and abs(b[1] - c[1]) < 2 and abs(c[0] - SIDE / 2) < 6
        moved = np.array(b[:2]) - np.array(a[:2])
        assert max(words.DIRECTIONS, key=lambda d: np.dot(words.DIRECTIONS[d], moved)) == event.direction


def test_what_grows_and_shrinks(decoded):
    for world, pixels, event in events_of(decoded, "grow", "shrink"):
        a, b = (masked(world, pixels, event, p, event.thing.colour).sum() for p in (0.1, 0.9))
        assert (b > 2 * a) if event.kind == "grow" else (a > 2 * b)


def test_what_changes_colour(decoded):
    for world, pixels, event in events_of(decoded, "recolour"):
        before = masked(world, pixels, event, 0.25, event.thing.colour)
        after = masked(world, pixels, event, 0.75, event.colour)
        assert shape_of(before) == shape_of(after) == event.thing.form
        assert (before & after).sum() > 0.9 * before.sum()


def test_what_happens_after_two_meet(decoded):
    for world, pixels, event in events_of(decoded, "meet"):
        colour, other = event.thing.colour, event.other.colour
        if colour == other:
            continue
        start, late = (masked(world, pixels, event, p, colour) for p in (0.2, 0.93))
        assert blobs(masked(world, pixels, event, 0.9, other)), event
        met = masked(world, pixels, event, 0.47, colour)
        apart = np.mean(np.nonzero(met)[1]) - np.mean(
            np.nonzero(masked(world, pixels, event, 0.47, other))[1]
        )
        assert abs(apart) < 0.35 * SIDE
        found = (
            "disappears"
            if late.sum() < 40
            and not (event.colour and masked(world, pixels, event, 0.93, event.colour).sum() > 40)
            else "changes colour"
            if late.sum() < 40
            else "grows"
            if late.sum() > 2 * met.sum()
            else "turns back"
        )
        assert found == event.effect, event
        assert blobs(start)


def test_how_two_things_stand(decoded):
    for world, pixels, event in events_of(decoded, "pair"):
        if event.thing.colour == event.other.colour:
            continue
        mine, theirs = (
            np.array([np.mean(v) for v in np.nonzero(masked(world, pixels, event, 0.5, c))[::-1]])
            for c in (event.thing.colour, event.other.colour)
        )
        apart = mine - theirs
        assert max(words.RELATIONS, key=lambda r: float(np.dot(words.RELATIONS[r], apart))) == event.relation


def test_signs_can_be_read(decoded):
    for world, pixels, event in events_of(decoded, "sign"):
        frame = pixels[at(pixels, event, 0.5)]
        plate = classes(frame, world.place_of(event)) == event.thing.colour
        ys, xs = np.nonzero(plate)
        x0, x1, y0, y1 = xs.min(), xs.max() + 1, ys.min(), ys.max() + 1
        cells = np.array([[plate[y, x] for x in _middles(x0, x1, 13)] for y in _middles(y0, y1, 9)])
        read = ""
        for k in range(2):
            dots = ~cells[1:8, 1 + 6 * k : 6 + 6 * k]
            scores = {c: np.mean(dots == (np.array([list(r) for r in g]) == "#")) for c, g in GLYPHS.items()}
            best = max(scores, key=lambda c: scores[c])
            assert scores[best] > 0.95
            read += best
        assert read == event.text


def _middles(low, high, n):
    return [int(low + (high - low) * (i + 0.5) / n) for i in range(n)]


def test_hands_take_and_bring(decoded):
    for world, pixels, event in events_of(decoded, "pick", "put"):
        early, late = (blobs(masked(world, pixels, event, p, event.thing.colour)) for p in (0.1, 0.95))
        assert (early and not late) if event.kind == "pick" else (late and not early)
        assert masked(world, pixels, event, 0.5, "skin").sum() > 300


def test_places_look_different():
    blank = {p: np.array(c, float) for p, c in _PLACE_COLOURS.items()}
    for a in blank:
        for b in blank:
            if a < b:
                assert np.abs(blank[a] - blank[b]).max() > 30, (a, b)


def test_glyphs_are_well_formed_and_unlike():
    assert set(GLYPHS) == set(words.SIGN_CHARACTERS)
    flat = {c: "".join(rows) for c, rows in GLYPHS.items()}
    assert all(len(rows) == 7 and {len(r) for r in rows} == {5} for rows in GLYPHS.values())
    for a in flat:
        for b in flat:
            if a < b:
                assert sum(x != y for x, y in zip(flat[a], flat[b], strict=True)) >= 2, (a, b)
