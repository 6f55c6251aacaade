"""Choices ranked by a transformers model: the loss that transformers itself makes of labels, for every family."""

from __future__ import annotations

import dataclasses
import json

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("transformers")

from backends import test_hf_prefix  # noqa: E402 - these need the packages above
from backends.test_hf import answers, frames, requests  # noqa: E402
from backends.test_hf_prefix import WAYS, Counted  # noqa: E402

from kangaroo_eval import evaluate  # noqa: E402
from kangaroo_eval.backends import hf  # noqa: E402
from kangaroo_eval.protocols import ChoiceRanker  # noqa: E402

load = test_hf_prefix.load
CHOICES = ("A", "It moves to the left.", "one", "")


def labelled_loss(model, request, candidate):
    """What transformers' own training would call the loss of this reply. The tokenizers here have a token for each byte,
    so a prompt's tokens are the same with a reply behind it."""
    reader, network = model.reader, model.network
    asked = reader.read([reader.text(request)], request.frames)["input_ids"].shape[1]
    whole = (
        reader.text(dataclasses.replace(request, prefill=candidate)) if candidate else reader.text(request)
    )
    end = reader.processor.tokenizer.eos_token
    inputs = reader.read([whole + end], request.frames)
    labels = inputs["input_ids"].clone()
    labels[:, :asked] = -100
    with torch.inference_mode():
        return float(network(**inputs, labels=labels).loss)


@pytest.mark.parametrize(("family", "shown"), WAYS)
def test_ranking_is_the_mean_loss_of_each_choice_as_the_reply(family, shown, load):
    model = load(family, shown)
    assert isinstance(model, ChoiceRanker)
    (request,) = requests(["Which way does it move?"])
    losses = model.rank(request, CHOICES)
    assert losses == pytest.approx([labelled_loss(model, request, each) for each in CHOICES], rel=1e-4)
    assert len(set(losses)) == len(CHOICES)


@pytest.mark.parametrize(("family", "shown"), WAYS)
def test_the_video_is_read_once_for_all_choices(family, shown, load):
    model = load(family, shown)
    counted = Counted(model)
    (request,) = requests(["Which way does it move?"])
    losses = model.rank(request, CHOICES)
    video, *rest = counted.lengths
    assert len(rest) == len(CHOICES)
    counted.lengths.clear()
    model.prefix.used = False
    assert model.rank(request, CHOICES) == pytest.approx(losses, rel=1e-4)
    assert counted.lengths == [video + each for each in rest]


@pytest.mark.parametrize(("family", "shown"), WAYS)
def test_ranking_between_two_answers_changes_neither(family, shown, load):
    model = load(family, shown)
    asked = requests()
    alone = answers(model, asked)
    ranked, texts = [], []
    for request, response in zip(asked, model.respond(iter(asked)), strict=True):
        texts.append(response.text)
        ranked.append(model.rank(dataclasses.replace(request, system=None), ("red", "blue")))
    assert texts == alone
    assert ranked == [model.rank(request, ("red", "blue")) for request in asked]


@pytest.mark.parametrize(("family", "shown"), WAYS)
def test_without_a_video_the_text_alone_is_ranked(family, shown, load):
    """As in the control without frames."""
    model = load(family, shown)
    (request,) = requests(["Which?"], shown=frames(0))
    losses = model.rank(request, CHOICES)
    assert losses == pytest.approx([labelled_loss(model, request, each) for each in CHOICES], rel=1e-4)


def test_short_memory_is_told_as_such(load, monkeypatch):
    model = load("qwen2_5_vl", "video")

    def refuse(*_, **__):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(model.reader, "read", refuse)
    with pytest.raises(MemoryError, match="no room"):
        model.rank(requests(["Which?"])[0], ["A"])


def test_a_begun_answer_goes_on_with_the_choice(load):
    model = load("qwen2_5_vl", "video")
    (begun,) = requests(["Which?"], prefill="Best option: (")
    (plain,) = requests(["Which?"])
    # Only what comes behind the prefill counts.
    (loss,) = model.rank(begun, ["B)"])
    assert loss != model.rank(plain, ["Best option: (B)"])[0]
    assert loss == pytest.approx(
        (len("Best option: (B)") + 1) / 3 * model.rank(plain, ["Best option: (B)"])[0]
        - len("Best option: (") / 3 * mean_of(model, plain, "Best option: ("),
        rel=1e-4,
    )


def mean_of(model, request, text):
    """The mean loss of a text's tokens without the token that ends an answer."""
    reader = model.reader
    asked = reader.read([reader.text(request)], request.frames)["input_ids"].shape[1]
    inputs = reader.read([reader.text(dataclasses.replace(request, prefill=text))], request.frames)
    labels = inputs["input_ids"].clone()
    labels[:, :asked] = -100
    with torch.inference_mode():
        return float(model.network(**inputs, labels=labels).loss)


@pytest.mark.parametrize(
    ("one", "other", "count"),
    [([1, 2, 3], [1, 2, 4, 5], 2), ([1, 2], [1, 2, 3], 2), ([1], [2], 0), ([1, 2], [1, 2], 2)],
)
def test_a_reply_begins_where_the_tokens_differ(one, other, count):
    """Behind "(" the letter may become one token with it."""
    assert hf._shared(torch.tensor(one), torch.tensor(other)) == count


def test_seed_bench_is_read_by_its_own_rule(load, tmp_path):
    """Ranked: its official score is that of the likeliest choice."""
    model = load("llava_onevision", "video")
    evaluate(["seedbench_video"], model=model, frames=4, limit=2, output=tmp_path / "run")
    lines = (tmp_path / "run" / "seedbench_video.answers.jsonl").read_text().splitlines()
    losses = [json.loads(line)["losses"] for line in lines]
    scores = map(json.loads, (tmp_path / "run" / "seedbench_video.scores.jsonl").read_text().splitlines())
    assert losses and all(len(each) == 4 for each in losses)
    assert [score["official"]["answer"] for score in scores] == [
        "ABCD"[each.index(min(each))] for each in losses
    ]
