"""The harness door: caches change no answer, requests are read no further than they must, errors are plain."""

from __future__ import annotations

import dataclasses
import json
import time

import pytest
import torch

from kangaroo_eval.model import loading
from kangaroo_eval.model.adapter import batches
from kangaroo_eval.protocols import ChoiceRanker, Described, FrameSized
from kangaroo_eval.types import Cue

PROMPTS = ["What color?\n(A) red\n(B) blue", "How many?", "Describe the video in detail please."]


def plain_answer(model, request):
    """Without any cache or prefix: transformers' `generate` on the whole prompt."""
    inputs = model.processor(
        request.prompt,
        request.frames.pixels,
        request.frames.times,
        system=request.system,
        prefill=request.prefill,
    )
    ids = model.network.generate(
        **inputs, max_new_tokens=request.max_new_tokens, do_sample=False, use_cache=False, pad_token_id=1
    )
    new = ids[0, inputs["input_ids"].shape[1] :].tolist()
    return model.processor.tokenizer.decode(new, skip_special_tokens=True)


def test_answers_equal_the_uncached_path(model, make_requests):
    """Token by token: shared prefix + own greedy loop == `generate` on each whole prompt, in fp32."""
    requests = make_requests(PROMPTS)
    answers = [response.text for response in model.respond(requests)]
    assert answers == [plain_answer(model, request) for request in requests]
    assert len(set(answers)) > 1, "the test must see different answers"


def test_answers_depend_on_the_video(model, make_requests, make_frames):
    (one,) = model.respond(make_requests(PROMPTS[:1], make_frames(seed=1)))
    (other,) = model.respond(make_requests(PROMPTS[:1], make_frames(seed=2)))
    assert one.text != other.text


def test_company_changes_no_bit(model, make_requests):
    """A run resumed after a kill sees fewer siblings: the logits must be the same to the bit."""
    requests = make_requests(PROMPTS)
    together = [response.text for response in model.respond(requests)]
    alone = [next(iter(model.respond([dataclasses.replace(r, siblings=0)]))).text for r in requests]
    assert together == alone


@pytest.mark.parametrize(
    "widths, most, tokens, expected",
    [
        ([5, 5, 5, 5], 8, 60, [2, 2]),
        ([5, 5, 5, 5], 8, 59, [1, 1, 1, 1]),
        ([5, 20, 5, 5], 8, 90, [2, 2]),
        ([5, 20, 5, 5], 8, 89, [1, 1, 2]),
        ([5, 5, 5, 5], 3, 1000, [3, 1]),
        ([5, 5, 5, 5], 3, None, [3, 1]),
        ([500, 5], 8, 1, [1, 1]),
        ([], 8, 1, []),
    ],
)
def test_a_batch_keeps_no_more_tokens_than_it_may(widths, most, tokens, expected):
    """A prefix of 25 tokens, copied for each question; the widest question is what all are as wide as."""
    found = list(batches(widths, 25, most, tokens))
    assert [part.stop - part.start for part in found] == expected
    assert [place for part in found for place in range(len(widths))[part]] == list(range(len(widths)))


def test_answers_do_not_depend_on_how_many_tokens_a_batch_may_keep(model, make_requests):
    requests = make_requests(PROMPTS)
    alone = [each.text for each in model.respond(iter(requests))]
    model.batch_size = 1024
    for tokens in (1, 2000, 10**6):
        model.batch_tokens = tokens
        assert [each.text for each in model.respond(iter(requests))] == alone


@pytest.mark.parametrize("batch_size", [2, 3, 8])
def test_batches_equal_one_by_one(model, make_requests, batch_size):
    requests = make_requests(PROMPTS)
    expected = [response.text for response in model.respond(requests)]
    model.batch_size = batch_size
    assert [response.text for response in model.respond(requests)] == expected


def test_limits_differ_within_a_batch(model, make_requests):
    requests = [
        dataclasses.replace(request, max_new_tokens=limit)
        for request, limit in zip(make_requests(PROMPTS), (1, 5, 0), strict=True)
    ]
    expected = [response.text for response in model.respond(requests)]
    model.batch_size = 3
    responses = list(model.respond(requests))
    assert [response.text for response in responses] == expected
    assert [response.new_tokens for response in responses] == [1, 5, 0]


def test_mixed_frames_and_systems_in_one_video(model, make_requests, make_frames):
    """Requests of one video may differ in frames, system turn or prefill; each gets its own prompt."""
    base = make_requests(["What color?"] * 5)
    other = make_frames(3, seed=9)
    requests = [
        base[0],
        dataclasses.replace(base[1], system="Watch."),
        dataclasses.replace(base[2], frames=other),
        dataclasses.replace(base[3], frames=other, prefill="Best Option: ("),
        base[4],
    ]
    assert [response.text for response in model.respond(requests)] == [
        plain_answer(model, r) for r in requests
    ]


def test_each_video_is_encoded_once(model, make_requests, make_frames, monkeypatch):
    calls = []
    encode = type(model.network).encode_video
    monkeypatch.setattr(
        type(model.network), "encode_video", lambda self, *video: calls.append(1) or encode(self, *video)
    )
    requests = make_requests(PROMPTS, make_frames(seed=1)) + make_requests(PROMPTS, make_frames(seed=2))
    assert len(list(model.respond(requests))) == 6
    assert len(calls) == 2


def test_reads_no_further_than_the_siblings(model, make_requests, make_frames):
    """The next video is decoded while this one is answered, so it must not be asked for early."""
    read = []

    def stream():
        for request in make_requests(PROMPTS, make_frames(seed=1)) + make_requests(
            PROMPTS, make_frames(seed=2)
        ):
            read.append(request.id)
            yield request

    responses = model.respond(stream())
    for expected in (3, 3, 3, 6, 6, 6):
        next(responses)
        assert len(read) == expected
    assert not list(responses)


def test_response_facts(model, make_requests, make_frames):
    (request,) = make_requests(["What?"], make_frames(5), prefill="Best Option: (", max_new_tokens=4)
    (response,) = model.respond([request])
    assert response.frame_times == request.frames.times, "the repeated last frame is not listed"
    expected = model.processor.prompt_ids("What?", 5, prefill="Best Option: (")
    assert response.prompt_tokens == len(expected.prefix) + len(expected.suffix)
    assert 0 <= response.new_tokens <= 4 and response.seconds > 0
    assert not response.text.startswith("Best Option")


def test_stops_at_the_end_of_the_turn(model, make_requests):
    requests = make_requests(PROMPTS[:1])
    (free,) = model.respond(requests)
    prefix_ids = model.processor.text_ids("x")
    assert prefix_ids and free.new_tokens > 2
    ids = model.network.generate(
        **model.processor(PROMPTS[0], requests[0].frames.pixels, requests[0].frames.times),
        max_new_tokens=12,
        do_sample=False,
    )[0, free.prompt_tokens :].tolist()
    stop = ids[2]
    model.network.generation_config.eos_token_id = [stop]
    (cut,) = model.respond(requests)
    assert cut.new_tokens == ids.index(stop)


def test_subtitles_come_before_the_question(model, make_requests):
    (request,) = make_requests(["What?"], timed_text=(Cue(0.0, 1.0, "Hello."), Cue(1.0, 2.0, "World.")))
    (told,) = make_requests(["Hello.\nWorld.\nWhat?"])
    assert model._prompt(request) == model._prompt(told)
    assert model.settings["timed_text"] == "before the question"


def test_out_of_memory_is_a_memory_error(model, make_requests, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory.\nmore")

    monkeypatch.setattr(type(model.network), "encode_video", fail)
    with pytest.raises(MemoryError, match="CUDA out of memory"):
        list(model.respond(make_requests(PROMPTS)))


def test_frames_of_another_size_are_resized(model, make_requests, make_frames):
    (response,) = model.respond(make_requests(["What?"], make_frames(3, size=96)))
    assert response.prompt_tokens > model.processor.layout.sequence_length(3)


# --- the bundled model


@pytest.fixture(scope="module")
def tiny_model():
    return loading.load_tiny()


def test_tiny_describes_itself(tiny_model):
    assert isinstance(tiny_model, FrameSized) and isinstance(tiny_model, Described)
    assert (tiny_model.name, tiny_model.frame_size, tiny_model.dtype) == ("kangaroo-tiny", 64, "float32")
    assert tiny_model.notes == (loading.TINY_NOTE,)
    assert len(tiny_model.model_hash) == 64 and tiny_model.settings["hash"] == "full"
    json.dumps(dict(tiny_model.settings))


def test_tiny_is_the_same_every_time(tiny_model, make_requests):
    """Fixed weights, whatever the run's seed and torch's own generator; which stays as it was."""
    torch.manual_seed(123)
    state = torch.random.get_rng_state()
    again = loading.load_tiny(seed=7)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert again.model_hash == tiny_model.model_hash
    requests = make_requests(PROMPTS)
    assert [r.text for r in again.respond(requests)] == [r.text for r in tiny_model.respond(requests)]


def test_tiny_is_quick(tiny_model, make_requests, make_frames):
    """64 frames and an answer: a few tenths of a CPU second; ten times that is a fault. Not wall time: the machine
    may be busy with other things."""
    requests = make_requests(PROMPTS[:1], make_frames(64), max_new_tokens=64)
    before = time.process_time()
    (response,) = tiny_model.respond(requests)
    assert time.process_time() - before < 3.0 and 1 <= response.new_tokens <= 64


def test_threads_are_given_back(tiny_model, make_requests, monkeypatch):
    """kangaroo-tiny computes in one thread; torch's own number is untouched between and after the answers."""
    seen, encode = [], type(tiny_model.network).encode_video
    monkeypatch.setattr(
        type(tiny_model.network),
        "encode_video",
        lambda self, *video: seen.append(torch.get_num_threads()) or encode(self, *video),
    )
    torch.set_num_threads(2)
    try:
        for _ in tiny_model.respond(make_requests(PROMPTS)):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
    assert seen == [1]
    assert tiny_model.settings["threads"] == 1
    assert loading.load_tiny(threads="2").threads == 2


# --- ranking


def plain_loss(model, request, candidate):
    """Teacher forcing on the whole sequence at once, without a cache, in float64's summation order of torch."""
    inputs = model.processor(request.prompt, request.frames.pixels, request.frames.times)
    reply = torch.tensor([model.processor.reply_ids(candidate)])
    inputs["input_ids"] = torch.cat([inputs["input_ids"], reply], 1)
    inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
    with torch.inference_mode():
        logits = model.network(**inputs).logits[0, -reply.shape[1] - 1 : -1].float()
    return float(-logits.log_softmax(-1).gather(-1, reply[0][:, None]).mean())


def test_ranking_is_the_mean_token_loss_of_each_choice_as_the_reply(model, make_requests):
    assert isinstance(model, ChoiceRanker)
    (request,) = make_requests(PROMPTS[1:2])
    choices = ("A", "red circle moves left", "one", "")
    losses = model.rank(request, choices)
    assert losses == pytest.approx([plain_loss(model, request, each) for each in choices], rel=1e-5)
    assert len(set(losses)) == 4


def test_ranking_between_two_answers_changes_neither(model, make_requests):
    requests = make_requests(PROMPTS)
    alone = [response.text for response in model.respond(requests)]
    ranked, texts = [], []
    for request, response in zip(requests, model.respond(requests), strict=True):
        texts.append(response.text)
        ranked.append(model.rank(dataclasses.replace(request, system=None), ("red", "blue")))
    assert texts == alone
    assert ranked == [model.rank(request, ("red", "blue")) for request in requests]


def test_prompts_beyond_the_llms_positions_are_said_once(model, make_requests, caplog):
    """RoPE goes on past what the LLM was made for, so answers would be plausible and worse without a word."""
    list(model.respond(make_requests(PROMPTS)))
    assert model.notes == ()
    model.network.config.text_config.max_position_embeddings = 8
    list(model.respond(make_requests(PROMPTS)))
    assert model.notes == ("prompts longer than the LLM's 8 positions",)
    assert caplog.text.count("8 positions") == 1
    model.notes = ()
    model.rank(make_requests(["What color?"])[0], ["red"])
    assert model.notes
