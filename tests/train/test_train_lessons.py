"""Made lessons: the same each time, true, unlike the exam's and the mini benchmarks' worlds, and rightly spelt out."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from kangaroo_eval import official
from kangaroo_eval.errors import UserError
from kangaroo_eval.miniworld import exam, kinds
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.generate import make_world
from kangaroo_eval.miniworld.motion import Sprite, sprites
from kangaroo_eval.miniworld.render import frames
from kangaroo_eval.miniworld.words import NUMBERS, sentence
from kangaroo_eval.model.config import kangaroo_tiny
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.train import lessons, phrasing
from kangaroo_eval.train.dataset import Batching, PackedData
from kangaroo_eval.train.forward import NextToken, spelt_out
from kangaroo_eval.train.frame_budget import FrameBudget
from kangaroo_eval.train.lessons import LESSONS, PREFIX, lesson
from kangaroo_eval.train.made import MadeSource, lesson_of
from kangaroo_eval.train.mixture import Mixture, Weighted
from kangaroo_eval.train.recipe import Phase, WarmUp, at_progress
from kangaroo_eval.train.sight import CLASSES, LooksData, Sight, patch_classes
from kangaroo_eval.train.spelling import Speller, SpeltData, SpeltText

SHOWN = [name for name in LESSONS if name not in ("options", "choices", "told")]


@pytest.fixture(scope="module")
def processor():
    return KangarooProcessor.for_config(load_tiny_tokenizer(), kangaroo_tiny())


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return KangarooForConditionalGeneration(kangaroo_tiny())


# Lessons


@pytest.mark.parametrize("name", LESSONS)
def test_a_lesson_is_the_same_each_time_and_another_for_another_number(name):
    assert lesson(name, 3).messages == lesson(name, 3).messages
    assert len({lesson(name, number).messages for number in range(20)}) > 15


@pytest.mark.parametrize("name", LESSONS)
def test_rounds_alternate_and_no_text_is_empty(name):
    for number in range(60):
        messages = lesson(name, number).messages
        assert [message.role for message in messages] == ["user", "assistant"] * (
            len(messages) // 2
        ) and messages
        assert all(message.content.strip() for message in messages)


def test_every_seed_of_training_is_out_of_the_exams_and_the_benchmarks_reach(monkeypatch):
    """Worlds come from the seed alone, and these differ in their first letters."""
    seeds = []

    def noted(seed, recipe):
        seeds.append(seed)
        return make_world(seed, recipe)

    monkeypatch.setattr(lessons, "make_world", noted)
    monkeypatch.setattr("kangaroo_eval.miniworld.questions.make_world", noted)
    for name in LESSONS:
        for number in range(30):
            lesson(name, number)
    assert len(seeds) > 100 and all(seed.startswith(PREFIX) for seed in seeds)
    assert not any(PREFIX.startswith(other) or other.startswith(PREFIX) for other in ("mini/", "exam/"))
    with pytest.raises((UserError, ValueError), match="exam/"):
        exam.plan("train/1", each=9)


def test_the_answer_is_the_option_that_its_letter_names():
    found = begun = 0
    for number in range(80):
        rounds = lesson("quiz", number).messages
        for asked, answered in zip(rounds[::2], rounds[1::2], strict=True):
            if answered.content.endswith(")"):
                answer, _, letter = answered.content.rpartition(" ")
                assert f"\n{letter[1]}. {sentence(answer, '.')}\n" in asked.content
                found += 1
            elif answered.content.lower().startswith("best option:("):
                letter, answer = answered.content[13], answered.content[16:]
                assert f"\n({letter}) {sentence(answer, '.')}\n" in asked.content
                begun += 1
    assert found > 200 and begun > 20


def test_video_mmes_own_reader_finds_the_letter_of_every_answer():
    """Which takes the first capital of A to D: also that of an answer that begins with one."""
    for number in range(60):
        for answered in lesson("quiz", number).messages[1::2]:
            if answered.content.endswith(")"):
                assert official.videomme(answered.content, ()).answer == answered.content[-2]


def test_what_a_narrator_told_answers_its_questions():
    for number in range(40):
        rounds = lesson("told", number).messages
        heard = rounds[0].content
        assert heard.startswith(phrasing.SUBTITLES) and lesson("told", number).seconds == 0
        for asked, answered in zip(rounds[::2], rounds[1::2], strict=True):
            assert asked is rounds[0] or phrasing.SUBTITLES not in asked.content
            answer = answered.content.partition(" (")[0].lower()
            assert answer in heard.split("?")[0].lower()


def test_numbers_are_those_of_the_events_and_most_are_of_things_that_come_back():
    numbers = Counter()
    for number in range(100):
        shown = lesson("counts", number)
        seen = [event.thing.name for event in shown.world.events]
        assert all(one != other for one, other in pairwise(seen))
        for asked, answered in zip(shown.messages[::2], shown.messages[1::2], strict=True):
            thing = re.search(r"How many times does the (.+) appear\?", asked.content)[1]
            assert answered.content.partition(" (")[0] == NUMBERS[seen.count(thing)]
            numbers[seen.count(thing)] += 1
    assert numbers[2] + numbers[3] + numbers[4] > 0.4 * numbers.total()
    # Where one was rare the model never said it.
    assert min(numbers.values()) > 0.4 * max(numbers.values())


def test_two_signs_are_told_apart_in_lessons_of_their_own():
    paces = Counter()
    for number in range(60):
        shown = lesson("boards", number)
        world = shown.world
        signs = {event.thing.name: event for event in world.events if event.kind == "sign"}
        assert len(signs) == 2
        paces[world.seconds / len(world.events)] += 1
        seen = [event.thing.name for event in world.events]
        told = set()
        for asked, answered in zip(shown.messages[::2], shown.messages[1::2], strict=True):
            answer = answered.content.partition(" (")[0]
            name = re.search(r"the (\w+ sign)", asked.content)[1]
            place = seen.index(name)
            if "say?" in asked.content:
                assert answer == signs[name].text
                told.add(name)
            else:
                step = 1 if "right after" in asked.content else -1
                assert answer == seen[place + step]
        assert told == set(signs)
    assert len(paces) == 1 and set(paces) == {2.0}


def test_a_drill_may_be_as_full_as_a_video_of_minutes():
    lengths = [len(lesson("drill", number).world.events) for number in range(120)]
    # Half of those of minutes have more than the eight that the fullest of seconds have.
    assert 0.1 < sum(length > 8 for length in lengths) / len(lengths) < 0.25
    assert max(lesson("drill", number).seconds for number in range(120)) <= 24


def test_letters_are_balanced():
    counts = dict.fromkeys("ABCD", 0)
    for number in range(150):
        for message in lesson("quiz", number).messages[1::2]:
            if message.content.endswith(")"):
                counts[message.content[-2]] += 1
    assert min(counts.values()) > 0.8 * max(counts.values())


def test_questions_with_subtitles_come_with_them():
    world, asked = kinds.video("train/x", "signs", "easy", "short")
    question = next(each for each in asked if each.needs_subtitles)
    for seed in range(20):
        user, _ = phrasing.put(Dice(str(seed)), world, question, "videomme")
        assert user.content.startswith(phrasing.SUBTITLES) and world.cues[0].text in user.content


@pytest.mark.parametrize("name", SHOWN)
def test_pictures_are_painted_at_each_size(name):
    shown = lesson(name, 5)
    seconds = shown.seconds or 1.0
    big = shown.frames([0.0, 0.5 * seconds, 0.5 * seconds], 128)
    small = shown.frames([0.0, 0.5 * seconds, 0.5 * seconds], 64)
    assert big.shape == (3, 128, 128, 3) and small.shape == (3, 64, 64, 3) and small.dtype == np.uint8
    assert (big[1] == big[2]).all() and abs(float(big.mean()) - float(small.mean())) < 1


def test_a_lesson_shows_what_its_world_shows():
    world = kinds.video("train/quiz/9", "looks", "easy", "short")[0]
    times = [0.5, 1.5, 4.0]
    shown = lessons.Lesson((), world.seconds, lessons._looking(world)).frames(times, 64)
    assert (shown == frames(world, times, 64)).all()


def test_the_source_gives_rows_of_lessons(processor):
    source = MadeSource("quiz", 10)
    row = source.row(3, seed=1)
    assert (
        len(source) == 10
        and row == source.row(3, seed=2)
        and row.apart
        and row.seconds == lesson_of(row).seconds
    )
    assert source.frames(row, [0.0, 1.0], 64).shape == (2, 64, 64, 3)
    assert MadeSource("pictures").row(0, 0).image and MadeSource("options").row(0, 0).video is None
    assert source.identity != MadeSource("long", 10).identity != MadeSource("long", 11).identity
    with pytest.raises(UserError, match="no lessons 'poems': choose among options, choices, told, pictures"):
        MadeSource("poems")


# Spelt out


def test_a_spelt_cell_names_what_covers_it(processor):
    speller = Speller(processor, 4)
    red = Sprite("circle", "red", 0.125, 0.125, 0.25)
    cells = speller.spell([("sea", (red,)), ("sea", ())])
    words = [{processor.tokenizer.decode([word]).strip(): weight for word, weight in cell} for cell in cells]
    assert len(cells) == 16 and all(" sea".strip() in cell for cell in words)
    assert words[0]["red"] == words[0]["circle"] == pytest.approx(0.5), "in one of the slot's two frames"
    assert not any("red" in cell for cell in words[1:])
    sign = Sprite("sign", "blue", 0.5, 0.45, 0.84, "E5")
    cells = speller.spell([("sea", (sign,))])
    named = [{processor.tokenizer.decode([word]).strip() for word, _ in cell} for cell in cells]
    assert "E" in named[5] and "5" in named[6] and "5" not in named[5]


def test_a_spelt_batch_has_a_cell_for_each_visual_token(processor):
    warmup = WarmUp(
        kind="words",
        steps=10,
        batch=4,
        lr=1e-3,
        phases=(Phase(1.0, {"quiz": 1, "pictures": 1}),),
        budget=FrameBudget(least=8, most=8),
    )
    spelt = SpeltData(warmup, 10, processor)[1]
    visual = int((spelt.pack.input_ids == processor.token_id("<|video|>")).sum())
    spelling = spelt.pack.spelling
    assert len(spelling.times) == visual and int(spelling.cells.max()) == visual - 1 and spelt.labelled > 0
    again = SpeltData(warmup, 10, processor)[1].pack
    assert torch.equal(spelt.pack.input_ids, again.input_ids)
    assert torch.equal(spelling.weights, again.spelling.weights)


def test_a_phase_may_have_its_own_number_of_frames(processor):
    few = FrameBudget(least=4, most=4)
    phases = (Phase(0.5, {"quiz": 1}, budget=few), Phase(1.0, {"quiz": 1}))
    warmup = WarmUp(
        kind="words", steps=10, batch=1, lr=1e-3, phases=phases, budget=FrameBudget(least=8, most=8)
    )
    data = SpeltData(warmup, 10, processor)
    assert [len(data[i].pack.spelling.times) for i in (0, 9)] == [2 * 16, 4 * 16]


def test_the_llm_reads_the_spelt_words_and_the_times(processor, network):
    warmup = WarmUp(
        kind="words",
        steps=10,
        batch=2,
        lr=1e-3,
        phases=(Phase(1.0, {"quiz": 1}),),
        budget=FrameBudget(least=8, most=8),
    )
    spelt = SpeltData(warmup, 10, processor)[0]
    objective = SpeltText(network)
    inputs = objective.embed(spelt)[0]
    seat = int((spelt.pack.input_ids == processor.token_id("<|video|>")).nonzero()[0])
    table = network.get_input_embeddings().weight
    spelling = spelt.pack.spelling
    first = spelling.cells == 0
    words = (table[spelling.words[first]] * spelling.weights[first, None]).sum(0)
    from kangaroo_eval.model.position import temporal_embedding

    clock = temporal_embedding(spelling.times[:1], 128) @ objective.clock
    assert torch.allclose(inputs[seat], words + clock[0], atol=1e-5)
    objective(spelt).backward()
    assert network.llm.lm_head.weight.grad is not None and network.vision.norm.weight.grad is None
    network.zero_grad()


def test_phases_follow_each_other():
    phases = (Phase(0.25, {"first": 1}, batch=40), Phase(1.0, {"quiz": 1}))
    found = [at_progress(phases, progress) for progress in (0.0, 0.24, 0.25, 0.99, 1.0)]
    assert found == [phases[0], phases[0], phases[1], phases[1], phases[1]]


def test_pictures_are_drawn_to_what_they_spell(processor):
    """Stages I to III of the small recipe: the pack tells what each of its visual tokens shows, in the order of the
    network's own, and the objective falls to nothing where they say just that."""
    mixture = Mixture(sources=(Weighted(MadeSource("pictures", 50)), Weighted(MadeSource("drill", 50))))
    batching = Batching(tokens=2048, max_frames=8, packing=False, micro_batch=4, spell=True)
    data = PackedData(mixture, processor, FrameBudget(least=8, most=8), batching)
    torch.manual_seed(1)
    network = KangarooForConditionalGeneration(kangaroo_tiny())
    drawn, plain = NextToken(network, spelt=1.0), NextToken(network)
    pack = next(data[i] for i in range(9) if {1, 8} == set(data[i].counts))
    seats = pack.input_ids == processor.token_id("<|video|>")
    assert len(pack.spelling.times) == int(seats.sum()) > 100
    # Each slot's time is the mean of its frames'.
    assert pack.spelling.times[-1] == pack.times[-2:].mean() or pack.counts[-1] == 1
    far = drawn(pack) - plain(pack)
    assert float(far.detach()) > 0.5 * len(pack.spelling.times)
    far.backward()
    assert all(parameter.grad is not None for parameter in network.projector.parameters())

    inputs = drawn.embed(pack)
    said = spelt_out(network, pack.spelling, drawn.clock)
    drawn.embed = lambda _: inputs.masked_scatter(seats[None, :, None], said)
    plain.embed = drawn.embed
    assert float((drawn(pack) - plain(pack)).detach()) == pytest.approx(0, abs=1e-3)
    assert replace(batching, spell=False) != batching
    assert PackedData(mixture, processor, data.budget, replace(batching, spell=False))[0].spelling is None


# Sight


def test_a_patch_is_named_by_what_covers_most_of_it():
    found = patch_classes("sea", (Sprite("ring", "red", 0.25, 0.25, 0.5),), 4)
    form, colour = CLASSES["form"].index("ring"), CLASSES["colour"].index("red")
    assert found["form"] == [[form, form, 0, 0], [form, form, 0, 0], [0] * 4, [0] * 4]
    assert found["colour"][0][0] == colour and found["place"] == [[CLASSES["place"].index("sea")] * 4] * 4
    signs = patch_classes("sea", (Sprite("sign", "blue", 0.5, 0.45, 0.84, "K7"),), 4)["character"]
    assert signs[1][1] == CLASSES["character"].index("K") and signs[1][2] == CLASSES["character"].index("7")
    assert found["row"] == [[row] * 4 for row in (0, 2, 4, 6)] and found["column"] == [[0, 2, 4, 6]] * 4


def test_sight_is_learnt_by_the_encoder_alone(network):
    data = LooksData({"pictures": 1}, 8, (32, 64), 8)
    small, big = data[0], data[1]
    assert small.pixels.shape == (8, 3, 32, 32) and big.classes["form"].shape == (8, 8, 8)
    objective = Sight(network)
    objective(big).backward()
    trained = {name.split(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert trained == {"vision"}
    accuracy = objective.accuracy(big)
    assert set(accuracy) == set(CLASSES) and 0 <= accuracy["form"] <= 1
    network.zero_grad()


@pytest.mark.parametrize("name", ["options", "choices"])
def test_options_and_their_letters_are_those_of_the_lines(name):
    for number in range(40):
        asked, told = lesson(name, number).messages
        lines = dict(line.split(". ", 1) for line in asked.content.splitlines()[:-1])
        said = told.content.splitlines()
        assert len(said) == len(lines)
        for part in said:
            text, _, letter = part.rpartition(" ")
            assert lines[letter[1]] == sentence(text, ".")


def test_sprites_of_training_and_of_videos_are_the_same():
    world = kinds.video("train/x", "changes", "easy", "short")[0]
    scene, figures = lessons._looking(world)(2.0)
    assert figures == sprites(world, 2.0) and scene.place == world.scene_at(2.0).place
