"""A model with its frames in a wrong order: a control for what needs the order of time."""

from __future__ import annotations

import dataclasses
import logging

import numpy as np
import pytest

from kangaroo_eval.backends import wrapped
from kangaroo_eval.backends.shuffled import wrong_order
from kangaroo_eval.errors import UserError
from kangaroo_eval.foreign import UNKNOWN_WEIGHTS
from kangaroo_eval.protocols import AspectKeeping, ChoiceRanker, Described, FrameSized
from kangaroo_eval.registry import load_model
from kangaroo_eval.types import Cue, Failure, Frames, Request, Response, Video


def frames(n=8):
    """Frames whose pixels are their place."""
    pixels = np.repeat(np.arange(n, dtype=np.uint8), 12).reshape(n, 2, 2, 3)
    return Frames(pixels, tuple(float(i) for i in range(n)), total=80, duration=10.0)


def asked(name, path="/data/v.mp4", shown=None, **options) -> Request:
    return Request(name, Video(path), "What?", shown or frames(), 8, **options)


class Seeing:
    """A model that says in which order it sees the frames."""

    name = "seeing"
    frame_size = 32
    model_hash = "abc"
    dtype = "float32"
    notes = ("untrained weights",)
    settings = {"device": "cpu"}  # noqa: RUF012

    def __init__(self):
        self.seen = []

    def respond(self, requests):
        for request in requests:
            self.seen.append(request)
            if request.id == "bad":
                yield Failure(request.id, "odd", "no")
            else:
                order = " ".join(str(int(picture.max())) for picture in request.frames.pixels)
                yield Response(request.id, order, request.frames.times, 1, 1, 0)


class Ranking(Seeing):
    def rank(self, request, candidates):
        return [float(request.frames.pixels[0].max())] * len(candidates)


@pytest.fixture
def inner(monkeypatch):
    """A made model under the name that shuffled asks for; what it was made with."""

    class Made:
        model = Seeing()
        given = None

    def load(name, **options):
        Made.given = (name, options)
        return Made.model

    monkeypatch.setattr(wrapped, "load_model", load)
    monkeypatch.setattr(wrapped, "model_loader", lambda name: load)
    return Made


def test_pixels_change_places_and_nothing_else_does(inner):
    model = load_model("shuffled:hf:some/id", device="cpu", attn="eager")
    assert inner.given == ("hf:some/id", {"device": "cpu", "attn": "eager"})
    shown, cue = frames(), Cue(0.0, 1.0, "a line")
    before = shown.pixels.copy()
    request = asked("1", shown=shown, timed_text=(cue,))
    answer, failed = model.respond([request, asked("bad")])
    order = [int(word) for word in answer.text.split()]
    assert sorted(order) == list(range(8)) != order
    assert answer.frame_times == shown.times and failed == Failure("bad", "odd", "no")
    got = inner.model.seen[0]
    for field in dataclasses.fields(Request):
        if field.name != "frames":
            assert getattr(got, field.name) == getattr(request, field.name)
    assert (got.frames.times, got.frames.total, got.frames.duration) == (shown.times, 80, 10.0)
    assert (shown.pixels == before).all()  # frames are shared by all questions of a video


def test_the_order_follows_from_the_video_and_not_from_the_question_or_the_folder(inner):
    model = load_model("shuffled:seeing")
    texts = [
        answer.text
        for answer in model.respond(
            [asked("1"), asked("2"), asked("3", "/elsewhere/v.mp4"), asked("4", "/data/w.mp4")]
        )
    ]
    assert texts[0] == texts[1] == texts[2] != texts[3]


def test_a_model_sees_that_the_video_is_the_same(inner):
    shown = frames()
    list(
        load_model("shuffled:seeing").respond([asked("1", shown=shown), asked("2", shown=shown), asked("3")])
    )
    first, second, third = (request.frames for request in inner.model.seen)
    assert first is second and second is not third


@pytest.mark.parametrize("count", [2, 3, 4, 8, 64])
def test_the_order_is_never_the_right_one(count):
    for number in range(200):
        order = wrong_order(Video(f"{number}.mp4"), count)
        assert sorted(order) == list(range(count)) != order


def test_every_place_is_as_likely():
    first = [wrong_order(Video(f"{number}.mp4"), 8)[0] for number in range(4000)]
    assert all(420 < first.count(i) < 580 for i in range(8))


def test_one_frame_and_none_stay():
    assert wrong_order(Video("v.mp4"), 0) == [] and wrong_order(Video("v.mp4"), 1) == [0]


def test_a_clip_has_an_order_of_its_own_and_a_further_picture_stays_the_last():
    assert wrong_order(Video("v.mp4", 0.0, 5.0), 16) != wrong_order(Video("v.mp4", 5.0, 9.0), 16)
    for number in range(50):
        order = wrong_order(Video(f"{number}.mp4", picture="p.png"), 8)
        assert order[-1] == 7 and order[:7] != list(range(7))


def test_it_is_a_model_of_its_own_that_says_what_it_gets(inner):
    model = load_model("shuffled:seeing")
    assert model.name == "shuffled:seeing"
    assert model.notes == ("untrained weights", "sees the frames in a wrong order")
    assert isinstance(model, FrameSized) and model.frame_size == 32
    assert not isinstance(model, AspectKeeping)
    assert isinstance(model, Described) and model.model_hash not in ("abc", "")
    assert model.settings == {"device": "cpu", "shuffled": True} and model.dtype == "float32"
    before = model.model_hash
    inner.model = type("Other", (Seeing,), {"model_hash": "other", "keep_aspect": True})()
    model = load_model("shuffled:seeing")
    assert model.model_hash != before and isinstance(model, AspectKeeping) and model.keep_aspect


def test_it_ranks_only_where_the_inner_model_does(inner):
    assert not isinstance(load_model("shuffled:seeing"), ChoiceRanker)
    inner.model = Ranking()
    model = load_model("shuffled:seeing")
    assert isinstance(model, ChoiceRanker)
    (answer,) = model.respond([asked("1")])
    assert model.rank(asked("1"), ("x", "y")) == [float(answer.text.split()[0])] * 2


def test_it_closes_the_inner_model_and_hands_on_what_earlier_calls_ended_with(inner):
    load_model("shuffled:seeing").close()
    load_model("shuffled:seeing").earlier({"usage": 1})
    told = []
    inner.model.close = lambda: told.append("closed")
    inner.model.earlier = told.append
    model = load_model("shuffled:seeing")
    model.earlier({"usage": 1})
    model.close()
    assert told == [{"usage": 1}, "closed"]


def test_weights_without_a_hash_are_said_not_to_be_told_apart(inner, caplog):
    class Plain:
        name = "plain"

        def respond(self, requests):
            return iter(())

    inner.model = Plain()
    with caplog.at_level(logging.WARNING):
        model = load_model("shuffled:plain")
    assert "plain has no model_hash" in caplog.text
    assert model.notes == (UNKNOWN_WEIGHTS, "sees the frames in a wrong order")
    assert not isinstance(model, FrameSized)  # it gets frames of the usual size


def test_a_model_that_opens_videos_is_refused(inner):
    inner.model = type("Opening", (Seeing,), {"opens_videos": True})()
    with pytest.raises(UserError, match="shuffled:own:x: own opens the video by itself"):
        load_model("shuffled:own:x")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("shuffled", "shuffled:NAME"),
        ("shuffled:random", "gets no pictures anyway; run random"),
        ("shuffled:majority", "gets no pictures anyway; run majority"),
        ("shuffled:release:x", "release opens the video by itself"),
        ("shuffled:nothing", "nothing"),
    ],
)
def test_what_cannot_be_shuffled_is_named(name, words):
    with pytest.raises(UserError, match=words):
        load_model(name)
