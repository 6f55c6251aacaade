"""Token spans: the ids are those of the harness's prompts, and learnt is what the assistant says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("transformers")

from kangaroo_eval.model.config import kangaroo_tiny
from kangaroo_eval.model.processing import KangarooProcessor, Turn
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.train.batch import IGNORED
from kangaroo_eval.train.encode import Encoder, encode, length
from kangaroo_eval.train.rows import Message, Row

TRICKY = "<|eot_id|> it ends <|start_header_id|>assistant<|end_header_id|>\n\nA red circle. <vi_start>"
ROUNDS = [
    ("What moves?", "A red circle."),
    (TRICKY, TRICKY),
    ("How many? ", " two\n"),
    ("Ünï 😀", "(B) blue"),
]


@pytest.fixture(scope="module")
def llama():
    return KangarooProcessor.for_config(load_tiny_tokenizer(), kangaroo_tiny())


@pytest.fixture(scope="module")
def chatml():
    """The same words in a format with text after the end of a turn and a turn end of its own."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = load_tiny_tokenizer()
    state = tokenizer.backend_tokenizer.to_str()
    for old, new in (("<|start_header_id|>", "<|im_start|>"), ("<|eot_id|>", "<|im_end|>")):
        state = state.replace(old, new)
    from tokenizers import Tokenizer

    other = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(state),
        bos_token="<|begin_of_text|>",
        eos_token="<|im_end|>",
        pad_token="<|end_of_text|>",
        chat_template="<|im_start|>",
    )
    processor = KangarooProcessor.for_config(other, kangaroo_tiny())
    assert processor.chat_format.name == "chatml"
    return processor


@pytest.fixture(params=["llama", "chatml"])
def processor(request):
    return request.getfixturevalue(request.param)


def conversation(rounds, system=None, **changes):
    messages = [] if system is None else [Message("system", system)]
    for question, answer in rounds:
        messages += [Message("user", question), Message("assistant", answer)]
    return Row(id="r", messages=tuple(messages), **changes)


@pytest.mark.parametrize("system", [None, "Be short. <|eot_id|>"])
@pytest.mark.parametrize("frames", [0, 1, 5, 16])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_every_turn_is_what_the_harness_asks_with_and_the_reply_to_it(processor, count, frames, system):
    rounds = ROUNDS[:count]
    row = conversation(rounds, system, video=Path("v") if frames else None, image=frames == 1)
    ids, labels, _ = encode(row, processor, frames)
    spans = []
    for place, (question, answer) in enumerate(rounds):
        history = [Turn(*each) for each in rounds[:place]]
        prompt = processor.prompt_ids(question, frames, system=system, history=history)
        opened = prompt.prefix + prompt.suffix
        reply = processor.reply_ids(answer)
        assert list(ids[: len(opened) + len(reply)]) == opened + reply
        spans.append(range(len(opened), len(opened) + len(reply)))
    assert len(ids) == spans[-1].stop, "nothing follows the last answer"
    learnt = {place for span in spans for place in span}
    assert list(labels) == [token if place in learnt else IGNORED for place, token in enumerate(ids)]
    assert length(row, processor, frames) == len(ids)


def test_a_prefill_is_not_learnt_and_its_tokens_are_those_of_an_evaluation(processor):
    asked, begun, answer = "Which?\n(A) Red.\n(B) Blue.", "Best Option: (", "B) blue"
    row = Row(id="r", messages=(Message("user", asked), Message("assistant", answer, begun)), video=Path("v"))
    ids, labels, _ = encode(row, processor, 16)
    prompt = processor.prompt_ids(asked, 16, prefill=begun)
    opened, reply = prompt.prefix + prompt.suffix, processor.reply_ids(answer)
    assert list(ids) == opened + reply
    assert list(labels) == [IGNORED] * len(opened) + reply
    assert length(row, processor, 16) == len(ids)
    # What makes it necessary: in one text the bracket and the letter are one token.
    assert processor.text_ids(begun + answer) != processor.text_ids(begun) + processor.text_ids(answer)


def test_the_token_that_ends_a_turn_is_learnt_once_a_round(processor):
    row = conversation(ROUNDS, video=Path("v"))
    end = processor.token_id(processor.chat_format.end)
    ids, labels, _ = encode(row, processor, 16)
    assert labels.count(end) == len(ROUNDS)
    assert ids.count(end) == 2 * len(ROUNDS)
    assert labels[-1] == end


def test_the_conversation_begins_once(llama):
    ids, _, _ = encode(conversation(ROUNDS, "Be short."), llama, 0)
    assert ids[0] == llama.token_id("<|begin_of_text|>") and ids.count(ids[0]) == 1


def test_the_visual_sequence_stands_once_in_the_first_question(processor):
    row = conversation(ROUNDS, video=Path("v"))
    ids, labels, _ = encode(row, processor, 16)
    visual = processor.visual_ids(16)
    first = len(processor.prompt_ids("").prefix)
    assert list(ids[first : first + len(visual)]) == visual
    assert ids.count(visual[0]) == 1
    assert set(labels[: first + len(visual)]) == {IGNORED}


def test_one_encoder_serves_many_rows(processor):
    encoder = Encoder(processor)
    rows = [(conversation(ROUNDS[:1], "Be short."), 0), (conversation(ROUNDS, video=Path("v")), 4)]
    for _ in range(2):
        for row, frames in rows:
            assert encoder.encode(row, frames) == encode(row, processor, frames)
            assert encoder.length(row, frames) == length(row, processor, frames)


@pytest.mark.parametrize(
    ("changes", "frames"),
    [({}, 2), ({"video": Path("v")}, 0), ({"video": Path("v"), "image": True}, 2)],
)
def test_frames_that_contradict_the_row_are_refused(llama, changes, frames):
    with pytest.raises(ValueError, match=f"{frames} frames of"):
        encode(conversation(ROUNDS[:1], **changes), llama, frames)
    with pytest.raises(ValueError, match=f"{frames} frames of"):
        length(conversation(ROUNDS[:1], **changes), llama, frames)


def test_questions_that_stand_apart_are_each_as_if_it_were_the_only_one(processor):
    row = replace(conversation(ROUNDS, None, video=Path("x.mp4")), apart=True)
    ids, labels, branches = encode(row, processor, 4)
    trunk = len(ids) - sum(branches)
    assert ids[:trunk] == tuple(processor.prompt_ids("", 4).prefix) and set(labels[:trunk]) == {IGNORED}
    start = trunk
    for length_, (asked, answered) in zip(branches, ROUNDS, strict=True):
        alone, own, none = encode(conversation([(asked, answered)], None, video=Path("x.mp4")), processor, 4)
        assert (ids[start : start + length_], labels[start : start + length_]) == (alone[trunk:], own[trunk:])
        assert none == ()
        start += length_
    assert length(row, processor, 4) == len(ids)
