"""The made world: the same for the same seed everywhere, in a closed vocabulary, visible long enough."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from kangaroo_eval.miniworld import captions, words
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.motion import sprites
from kangaroo_eval.miniworld.questions import BUILDERS, questions
from kangaroo_eval.miniworld.recipes import MLVU, RECIPES, SHORT, longer
from kangaroo_eval.miniworld.render import FPS, frames, picture, write_video
from kangaroo_eval.miniworld.world import Recipe

SEEDS = [f"test/{i}" for i in range(12)]

# The hash of a world, its questions and a picture. If this changes on purpose, raise miniworld.VERSION.
GOLDEN = "cda72f42f9b2fd76a5f9456986a0389598d63811f822a71af6c04bc4e1ab2a09"
PRINT_HASH = """
import hashlib
from dataclasses import replace
from itertools import pairwise
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.questions import questions
from kangaroo_eval.miniworld.recipes import RECIPES
from kangaroo_eval.miniworld.render import picture
h = hashlib.sha256()
for recipe in RECIPES.values():
    world = make_world("golden", replace(recipe, narrated=True))
    h.update(repr(world).encode() + repr(questions(world, "golden")).encode())
    h.update(picture(world, world.seconds / 2 + 0.5).tobytes())
print(h.hexdigest())
"""


def test_same_world_in_a_new_process_and_on_every_machine():
    out = [
        subprocess.run(
            [sys.executable, "-c", PRINT_HASH],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(p for p in sys.path if p)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    ]
    assert out == [GOLDEN, GOLDEN]


def test_dice_known_values_and_spread():
    dice = Dice("x")
    assert [dice.below(100) for _ in range(5)] == [int(_digest("x", i), 16) % 100 for i in range(5)]
    many = Dice("y")
    assert np.bincount([many.below(6) for _ in range(6000)]).min() > 850
    assert sorted(Dice("z").shuffled(range(9))) == list(range(9))


def _digest(seed: str, i: int) -> str:
    return hashlib.sha256(f"{seed}/{i}".encode()).hexdigest()[:16]


def test_importing_the_package_is_light():
    code = "import sys, kangaroo_eval.miniworld; print([m for m in ('numpy','av','pyarrow') if m in sys.modules])"
    env = {"PYTHONPATH": ":".join(p for p in sys.path if p)}
    out = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("name", RECIPES)
def test_worlds_keep_their_recipe(name):
    recipe = RECIPES[name]
    for seed in SEEDS:
        world = make_world(seed, recipe)
        events = world.events
        assert len(events) == recipe.events and world.seconds == recipe.seconds
        if recipe.pattern in ("plain", "topic"):
            assert set(recipe.must) <= {event.kind for event in events}
        assert [s.start for s in world.scenes[1:]] == [s.end for s in world.scenes[:-1]]
        assert world.scenes[0].start == 0 and world.scenes[-1].end == world.seconds
        assert len({scene.place for scene in world.scenes}) == len(world.scenes)
        for event, after in pairwise(events):
            assert event.start < event.end < after.start
        for event in events:
            assert event.start * FPS == int(event.start * FPS)
            assert sprites(world, event.start) and sprites(world, event.end - 1 / FPS)
            assert sum(event.kind == "sign" for event in events) <= 1 or not recipe.needle


@pytest.mark.parametrize("name", MLVU)
def test_64_uniform_frames_see_every_event_of_a_long_video(name):
    for seed in SEEDS:
        world = make_world(seed, replace(MLVU[name], seconds=180.0))
        times = [(i + 0.5) * 180 / 64 for i in range(64)]
        for event in world.events:
            assert event.end - event.start >= 4
            assert any(event.start <= t < event.end for t in times), event


def test_all_shown_things_are_at_least_an_eighth_of_the_picture_wide():
    for recipe in RECIPES.values():
        world = make_world("wide", recipe)
        for i in range(200):
            for sprite in sprites(world, i * world.seconds / 200):
                assert sprite.size >= 1 / 8


def test_two_seeds_differ_and_so_do_recipes():
    seen = {repr(make_world(seed, recipe).events) for seed in SEEDS for recipe in RECIPES.values()}
    assert len(seen) == len(SEEDS) * len(RECIPES)


def test_every_text_is_in_the_vocabulary():
    used = set()
    for recipe in RECIPES.values():
        for seed in SEEDS:
            world = make_world(seed, replace(recipe, narrated=True))
            texts = [captions.caption(world), *(cue.text for cue in world.cues)]
            texts += [captions.describe(world, i * world.seconds / 9) for i in range(10)]
            for question in questions(world, "v", each=2):
                texts += [question.text, *(words.sentence(option, ".") for option in question.options)]
            for text in texts:
                assert "{" not in text
                used.update(words.split(text))
    assert used <= set(words.WORDS), used - set(words.WORDS)
    assert len(words.WORDS) < 200
    assert len(words.WORDS) == len(set(words.WORDS))


def test_split_of_signs_letters_and_punctuation():
    assert words.split("One red sign says K7.") == ["one", "red", "sign", "says", "k", "7", "."]
    assert words.split("What do I pick up first?") == ["what", "do", "i", "pick", "up", "first", "?"]


def test_narrator_tells_what_no_picture_shows():
    for seed in SEEDS:
        world = make_world(seed, longer(SHORT["numbers"], 40.0, 6, 3))
        told = " ".join(cue.text for cue in world.cues)
        assert all(f"{thing} is called {name}." in told for thing, name in world.names) and world.names
        assert f"The code word is {world.code}." in told and world.code
        assert all(a.end <= b.start for a, b in pairwise(world.cues))
        assert world.cues[-1].end <= world.seconds
        assert not make_world(seed, SHORT["numbers"]).cues


@pytest.mark.parametrize(
    "change",
    [
        {"events": 15},
        {"scenes": 0},
        {"scenes": 7},
        {"seconds": 10.0},
        {"seconds": 150.01},
        {"events": 2},
        {"events": 3, "scenes": 1, "must": (), "pattern": "anomaly"},
    ],
)
def test_recipes_that_cannot_be_made_are_refused(change):
    with pytest.raises(ValueError, match="recipe plot"):
        replace(MLVU["1_plotQA"], **change)


def test_every_builder_is_reached_by_some_recipe():
    reached = set()
    for recipe in RECIPES.values():
        for seed in SEEDS:
            world = make_world(seed, replace(recipe, narrated=recipe.pattern == "plain"))
            for task_type, builders in BUILDERS.items():
                reached |= {(task_type, b.__name__) for b in builders if list(b(world, Dice(seed)))}
    assert reached == {(t, b.__name__) for t, builders in BUILDERS.items() for b in builders}


def test_frames_for_training_are_block_means_of_the_painted_picture():
    world = make_world("arrays", SHORT["objects"])
    times = [0.5, 3.0, 11.0]
    big, small = frames(world, times), frames(world, times, 64)
    assert big.shape == (3, 128, 128, 3) and small.shape == (3, 64, 64, 3)
    assert big.dtype == small.dtype == np.uint8
    mean = big.reshape(3, 64, 2, 64, 2, 3).astype(float).mean(axis=(2, 4))
    assert np.abs(mean - small).max() <= 0.5
    assert (picture(world, 3.0) == big[1]).all()
    with pytest.raises(ValueError, match="divide 128"):
        frames(world, times, 50)


def test_video_file_has_the_same_bytes_each_time(tmp_path):
    world = make_world("bytes", SHORT["space"])
    write_video(world, tmp_path / "a.mp4")
    write_video(world, tmp_path / "b.mp4")
    write_video(make_world("bytes", SHORT["space"]), tmp_path / "a.mp4")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_recipe_is_a_plain_value():
    recipe = Recipe(name="a", seconds=12.0, events=4, scenes=2)
    assert recipe == Recipe(name="a", seconds=12.0, events=4, scenes=2) and hash(recipe)
