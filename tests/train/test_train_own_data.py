"""A user's own manifest of real files: videos, pictures and text in packs, through the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from kangaroo_eval.cli.train import main
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.recipes import RECIPES
from kangaroo_eval.miniworld.render import write_video
from kangaroo_eval.miniworld.stills import Still, write_still
from kangaroo_eval.registry import load_model
from kangaroo_eval.train import curriculum, grow, logs
from kangaroo_eval.train.recipes import SMOKE
from kangaroo_eval.train.settings import Settings


def row(name, answer, **more):
    messages = [{"role": "user", "content": "What is there?"}, {"role": "assistant", "content": answer}]
    return {"id": name, "messages": messages, **more}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Two videos with three conversations, a picture, and two texts, one of them with a system message."""
    folder = tmp_path_factory.mktemp("mine")
    (folder / "media").mkdir()
    recipe = replace(RECIPES["objects"], seconds=6.0, events=2, scenes=1)
    for name in ("a.mp4", "b.webm"):
        world = make_world(f"train/own/{name}", recipe)
        write_video(world, folder / "media" / name)
    write_still(Still(world, 2.0), folder / "media" / "c.png")
    talk = [
        {"role": "system", "content": "Answer in a word."},
        {"role": "user", "content": "Two and two?"},
        {"role": "assistant", "content": "Four."},
        {"role": "user", "content": "And two?"},
        {"role": "assistant", "content": "Six."},
    ]
    rows = [
        row("first", "a red circle", video="media/a.mp4"),
        row("half", "a circle", video="media/a.mp4", start=0.5, end=2.0),
        row("second", "a square", video="media/b.webm"),
        row("picture", "red", image="media/c.png"),
        row("text", "nothing"),
        {"id": "talk", "messages": talk},
    ]
    path = folder / "mine.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """What stage instruction starts from: weights that went through the three stages before it."""
    learner = grow.begin(SMOKE, {})
    for name in ("image", "video", "refinement"):
        learner = grow.advance(learner, SMOKE.plan(name).stage)
        grow.note(learner.network, name, "nothing", 0)
    folder = tmp_path_factory.mktemp("source")
    learner.save(folder)
    return folder


def train(source, out, *flags):
    given = ["instruction", "--recipe", "smoke", "--from", str(source), "--out", str(out), "--log-every", "1"]
    return main([*given, *flags])


def test_files_pictures_and_text_are_learnt_in_packs(manifest, source, tmp_path, capsys):
    out = tmp_path / "out"
    assert train(source, out, "--data", str(manifest), "--steps", "6", "--workers", "1") == 0
    assert capsys.readouterr().out == f"{out / 'model'}\n"
    lines = logs.read(out / "metrics.jsonl")
    assert lines[-1]["loss"] < lines[0]["loss"] - 1
    told = json.loads((out / "stage.json").read_text())
    # 6 steps of 2 packs of several documents each.
    assert told["documents"] > 2 * 12 and told["step"] == 6
    provenance = load_model(f"kangaroo:{out / 'model'}").network.config.provenance["stages"]
    assert [each["stage"] for each in provenance] == ["image", "video", "refinement", "instruction"]
    assert provenance[-1]["data"] == "mine.jsonl"
    # The videos' lengths are kept, so that they are probed once.
    assert (manifest.parent / "mine.jsonl.durations.json").is_file()
    assert not [path for path in out.rglob("*.part")]


def test_what_is_in_the_packs(manifest, source):
    """Every row comes, with frames of its own file, within the caps."""
    settings = Settings(workers=0, data=((manifest, 1.0),))
    plan, processor = SMOKE.plan("instruction"), grow.read(source).processor
    data = curriculum._data(SMOKE, plan, processor, settings)
    frames = {}
    for number in range(100):
        frames |= {each.name: each.frames for each in data.planned(number)}
    assert frames.keys() == {
        f"mine:{name}" for name in ("first", "half", "second", "picture", "text", "talk")
    }
    assert frames["mine:text"] == frames["mine:talk"] == 0 and frames["mine:picture"] == 1
    assert all(8 <= frames[f"mine:{name}"] <= 16 for name in ("first", "half", "second"))
    first = next(i for i in range(100) if any(each.frames == 1 for each in data.planned(i)))
    for number in (0, 1, first):
        pack, planned = data[number], data.planned(number)
        assert len(pack.input_ids) <= plan.stage.llm_sequence and sum(pack.counts) <= plan.pack_frames
        assert len(pack.names) > 1 and pack.labelled and pack.names == tuple(each.name for each in planned)
        assert pack.counts == tuple(each.frames for each in planned if each.frames)
        lengths = [each.length for each in planned]
        rest = -sum(lengths) % 256
        assert pack.lengths == (*lengths, *([rest] if rest else [])) and pack.padding == rest
        # What a file shows, and not a black frame in its place.
        shown = pack.pixels.float().flatten(1).std(1)
        assert bool((shown > 5).all())


def test_weights_and_the_root_folder(manifest, source, tmp_path):
    """A second manifest elsewhere, of the same files, drawn three times as often."""
    other = tmp_path / "other.jsonl"
    other.write_text(json.dumps(row("only", "a square", video="media/b.webm")) + "\n")
    flags = ["--data", str(manifest), "--data", f"{other}=3", "--data-root", str(manifest.parent)]
    out = tmp_path / "out"
    assert train(source, out, *flags, "--steps", "1", "--workers", "0") == 0
    asked = json.loads((out / "stage.json").read_text())["asked"]
    assert [each[:2] for each in asked["data"]] == [["mine.jsonl", 1.0], ["other.jsonl", 3.0]]
    settings = Settings(workers=0, data=((manifest, 1.0), (other, 3.0)), data_root=manifest.parent)
    plan, processor = SMOKE.plan("instruction"), grow.read(source).processor
    data = curriculum._data(SMOKE, plan, processor, settings)
    names = [name for i in range(20) for name in data[i].names]
    assert 0.6 < sum(name == "other:only" for name in names) / len(names) < 0.9


def test_another_number_of_workers_makes_no_difference(manifest, source, tmp_path):
    weights = set()
    for workers in (0, 1):
        out = tmp_path / str(workers)
        flags = ["--data", str(manifest), "--steps", "2", "--workers", str(workers)]
        assert train(source, out, *flags) == 0
        weights.add(json.loads((out / "stage.json").read_text())["weights"])
    assert len(weights) == 1


def test_one_pass_by_default_for_a_recipe_without_steps(manifest, source, tmp_path):
    recipe = replace(SMOKE, stages=tuple(replace(plan, steps=None) for plan in SMOKE.stages))
    settings = Settings(workers=0, data=((manifest, 1.0),), log_every=1)
    curriculum.run_stage(recipe, "instruction", tmp_path, settings, source)
    told = json.loads((tmp_path / "stage.json").read_text())
    assert told["step"] == 1 and 6 <= told["documents"] <= 40
