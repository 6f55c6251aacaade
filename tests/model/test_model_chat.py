"""Conversations: the answers of a model that reads everything anew, without reading anything twice."""

from __future__ import annotations

import copy
import json
import os
import pickle
import signal
import threading

import numpy as np
import pytest
import torch
from conftest import write_video

from kangaroo_eval.errors import MediaError, MissingVideo, UserError
from kangaroo_eval.model.conversation import Conversation, History, chat
from kangaroo_eval.model.dialogue import Ask, Dialogue, Sampling, TextStream
from kangaroo_eval.model.processing import Turn
from kangaroo_eval.types import Frames, Request, Video

QUESTIONS = ("What happens?", "那个圆是什么颜色？", "And then, 之后呢？", "How many 星星 are there?")


@pytest.fixture
def encodings(network, monkeypatch):
    """Every call of the vision encoder."""
    calls, encode = [], type(network).encode_video
    monkeypatch.setattr(
        type(network),
        "encode_video",
        lambda self, *video: calls.append(len(video[1])) or encode(self, *video),
    )
    return calls


@pytest.fixture
def read(network, monkeypatch):
    """How many tokens each forward pass of the LLM reads."""
    counts, forward = [], network.llm.model.forward

    def counted(*args, **inputs):
        given = inputs.get("input_ids")
        counts.append((inputs["inputs_embeds"] if given is None else given).shape[1])
        return forward(*args, **inputs)

    monkeypatch.setattr(network.llm.model, "forward", counted)
    return counts


@pytest.fixture
def video(tmp_path):
    return str(write_video(tmp_path / "clip.mp4"))


def from_scratch(model, ask):
    """The tokens that transformers' `generate` writes after the whole prompt, without the stop id."""
    frames = ask.frames
    inputs = model.processor(
        ask.query,
        None if frames is None else frames.pixels,
        None if frames is None else frames.times,
        system=ask.system,
        history=ask.history,
    )
    ids = model.network.generate(
        **inputs, max_new_tokens=ask.max_new_tokens, do_sample=False, use_cache=False, pad_token_id=1
    )
    new = ids[0, inputs["input_ids"].shape[1] :].tolist()
    stops = model.network.generation_config.eos_token_id
    return tuple(token for token in new if token not in stops)


# --- requests without frames


def no_frames(make_requests, prompts, **common):
    nothing = Frames(np.empty((0, 64, 64, 3), np.uint8), ())
    return [Request(f"q{i}", Video("v"), text, nothing, 12, **common) for i, text in enumerate(prompts)]


def test_without_frames_the_answer_is_from_the_text_alone(model, make_requests, encodings):
    requests = no_frames(make_requests, ["What color?", "How many?", "为什么？"], system="Be short.")
    responses = list(model.respond(requests))
    for request, response in zip(requests, responses, strict=True):
        ask = Ask(request.prompt, None, (), "Be short.", 12)
        assert response.text == model._text(list(from_scratch(model, ask)))
        assert response.frame_times == ()
    assert len({response.text for response in responses}) == 3
    assert encodings == []


def test_with_and_without_frames_by_turns(model, make_requests, make_frames):
    """What is kept of a video must not leak into the text-only prompt of the next request, nor the other way."""
    seen = make_requests(["What color?"], make_frames(4))
    blind = no_frames(make_requests, ["What color?"])
    alone = [next(iter(model.respond(requests))).text for requests in (seen, blind)]
    assert [response.text for response in model.respond([*seen, *blind, *seen, *blind])] == alone * 2
    assert alone[0] != alone[1]


def test_candidates_are_ranked_without_frames(model, make_requests):
    (request,) = no_frames(make_requests, ["What color?"])
    inputs = model.processor("What color?")
    replies = [model.processor.reply_ids(text) for text in ("red", "green")]
    expected = []
    for reply in replies:
        ids = torch.tensor([inputs["input_ids"][0].tolist() + reply])
        with torch.no_grad():
            logits = model.network(input_ids=ids).logits[0, -len(reply) - 1 : -1]
        expected.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor(reply))))
    assert model.rank(request, ["red", "green"]) == pytest.approx(expected, abs=1e-5)


def test_pixels_without_times_are_refused(model, make_frames):
    """Frames whose times are lost, or times whose frames are, are no video without frames."""
    odd = Frames(np.empty((0, 64, 64, 3), np.uint8), (0.0, 1.0))
    with pytest.raises(ValueError, match="with n times"):
        list(model.respond([Request("q", Video("v"), "What?", odd, 4)]))


# --- rounds


@pytest.mark.parametrize("limit", [1, 9, 24])
@pytest.mark.parametrize("system", [None, "You are 袋鼠, a helpful assistant."])
def test_rounds_equal_recomputing_everything(model, make_frames, limit, system, encodings, read):
    frames, dialogue, history = make_frames(6), Dialogue(model.network, model.processor), ()
    answers = []
    for number, query in enumerate(QUESTIONS):
        ask = Ask(query, frames, history, system, limit)
        read.clear()
        text = "".join(dialogue.stream(ask))
        answer = dialogue.last
        assert answer.text == text
        assert answer.encoded == (number == 0)
        assert read[0] == answer.prompt_tokens - answer.reused_tokens
        if number:
            before = model.processor.prompt_ids(history[-1].prompt, 6, system=system, history=history[:-1])
            assert answer.reused_tokens >= len(before.prefix) + len(before.suffix), (
                "an earlier round read again"
            )
        encoded = len(encodings)
        assert answer.tokens == from_scratch(model, ask)
        del encodings[encoded:]
        answers.append(text)
        history = (*history, Turn(query, text))
    assert encodings == [6] and dialogue.encodings == 1
    assert limit == 1 or len(set(answers)) == 4, "the test must see different answers"


def test_an_answer_that_ended_itself_is_not_read_again(model, make_frames, monkeypatch):
    """Then the conversation so far is the beginning of the next prompt, and only the question is new."""
    said = model.processor.reply_ids("一个红色的圆。 It moves left.")
    monkeypatch.setattr("kangaroo_eval.model.dialogue._chooser", lambda _: lambda logits: said.pop(0))
    frames, dialogue = make_frames(4), Dialogue(model.network, model.processor)
    text = "".join(dialogue.stream(Ask(QUESTIONS[0], frames)))
    answer = dialogue.last
    assert answer.stopped == "end" and text == "一个红色的圆。 It moves left." and said == []
    said += model.processor.reply_ids("Yes")
    "".join(dialogue.stream(Ask("Next", frames, (Turn(QUESTIONS[0], text),))))
    assert dialogue.last.reused_tokens == answer.prompt_tokens + len(answer.tokens)


def test_every_change_is_noticed(model, make_frames):
    """Another video, clip, system turn or an edited history: never the old one's cache."""
    one, other, fewer = make_frames(6), make_frames(6, seed=5), make_frames(3)
    shifted = Frames(one.pixels, tuple(second + 1 for second in one.times))
    told = (Turn("Hello", "Hi."),)
    asks = [
        Ask("What?", one, told),
        Ask("What?", other, told),
        Ask("What?", fewer, told),
        Ask("What?", shifted, told),
        Ask("What?", shifted, (Turn("Hello", "Ho."),)),
        Ask("What?", shifted, told, "Be brief."),
        Ask("What?", None, told),
        Ask("What?", one),
        Ask("What?", one, told),
    ]
    dialogue, answers = Dialogue(model.network, model.processor), []
    for ask in asks:
        "".join(dialogue.stream(Ask(ask.query, ask.frames, ask.history, ask.system, 16)))
        answers.append(dialogue.last.tokens)
        fresh = Dialogue(model.network, model.processor)
        "".join(fresh.stream(Ask(ask.query, ask.frames, ask.history, ask.system, 16)))
        assert dialogue.last.tokens == fresh.last.tokens
    assert answers[0] == answers[-1] and len(set(answers)) == len(asks) - 1


def test_a_stopped_answer_leaves_nothing_wrong_behind(model, make_frames):
    frames, dialogue = make_frames(4), Dialogue(model.network, model.processor)
    pieces = dialogue.stream(Ask("What?", frames, max_new_tokens=40))
    first = next(pieces) + next(pieces)
    pieces.close()
    assert dialogue.last.stopped == "interrupted" and dialogue.last.text == first
    ask = Ask("And?", frames, (Turn("What?", first),), max_new_tokens=12)
    "".join(dialogue.stream(ask))
    assert dialogue.last.tokens == from_scratch(model, ask)
    assert dialogue.last.reused_tokens > model.processor.layout.sequence_length(4)


def test_stopped_within_a_layer_the_cache_still_serves(model, make_frames, monkeypatch):
    """Ctrl-C may fall between two layers, when one holds a token more than the other."""
    frames, dialogue = make_frames(4), Dialogue(model.network, model.processor)
    layer = model.network.llm.model.layers[1]
    forward, calls = layer.forward, []

    def interrupted(*args, **options):
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return forward(*args, **options)

    monkeypatch.setattr(layer, "forward", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(dialogue.stream(Ask("What?", frames, max_new_tokens=40)))
    ask = Ask("What?", frames, max_new_tokens=12)
    "".join(dialogue.stream(ask))
    assert dialogue.last.tokens == from_scratch(model, ask)


def test_the_context_is_never_overrun(model, make_frames):
    frames = make_frames(4)
    prompt = model.processor.prompt_ids("What?", 4)
    length = len(prompt.prefix + prompt.suffix)
    model.network.config.text_config.max_position_embeddings = length + 3
    dialogue = Dialogue(model.network, model.processor)
    list(dialogue.stream(Ask("What?", frames)))
    assert dialogue.last.stopped == "context" and len(dialogue.last.tokens) == 3
    model.network.config.text_config.max_position_embeddings = length
    with pytest.raises(UserError, match=r"/reset.*fewer frames") as caught:
        list(dialogue.stream(Ask("What?", frames)))
    assert "\n" not in str(caught.value) and str(length) in str(caught.value)


def test_limit_end_and_length_are_told_apart(model, make_frames):
    dialogue = Dialogue(model.network, model.processor)
    list(dialogue.stream(Ask("What?", make_frames(4), max_new_tokens=5)))
    assert dialogue.last.stopped == "limit" and len(dialogue.last.tokens) == 5
    model.network.generation_config.eos_token_id = [dialogue.last.tokens[0]]
    list(dialogue.stream(Ask("What?", make_frames(4), max_new_tokens=5)))
    assert dialogue.last.stopped == "end" and dialogue.last.text == ""


def test_broken_weights_are_an_error_not_an_answer(model, make_frames):
    with torch.no_grad():
        model.network.llm.lm_head.weight.fill_(float("nan"))
    with pytest.raises(ArithmeticError, match="not finite"):
        list(Dialogue(model.network, model.processor).stream(Ask("What?", make_frames(4))))


# --- text that streams


TEXTS = ("plain words", "颜色：红色的圆。", "emoji 🦘🦘 and é, ñ", "a\nb\n\n  c", "混合 mixed 文本 🎉", "")


@pytest.mark.parametrize("text", TEXTS)
def test_pieces_are_the_text_and_never_end_within_a_character(processor, text):
    """The tiny tokenizer splits most Chinese characters and every emoji over several tokens."""
    stream = TextStream(processor.tokenizer)
    ids = processor.text_ids(text)
    pieces = [stream.add(token) for token in ids]
    assert "".join(pieces) == stream.text == text
    assert not any("\ufffd" in piece for piece in pieces)
    if "🦘" in text:
        assert "" in pieces, "the test must see a character of several tokens"


def test_bytes_that_are_no_text_are_shown_as_such_and_half_a_character_is_not(processor):
    """A broken character in the middle stays visible as U+FFFD; one that the limit cut is left out."""
    half = processor.text_ids("🦘")[:2]
    stream = TextStream(processor.tokenizer)
    pieces = [stream.add(token) for token in [*half, *processor.text_ids("ok"), *half]]
    assert "".join(pieces) == stream.text
    assert stream.text.endswith("ok") and stream.text.startswith("\ufffd")


def test_pieces_arrive_while_the_answer_is_made(model, make_frames, read):
    pieces = Dialogue(model.network, model.processor).stream(Ask("What?", make_frames(4), max_new_tokens=30))
    next(pieces)
    assert len(read) < 10, "the first piece waited for the whole answer"
    assert len(list(pieces)) > 5


# --- sampling


def test_a_seed_draws_the_same_and_another_draws_otherwise(model, make_frames):
    def draw(**sampling):
        dialogue = Dialogue(model.network, model.processor)
        list(dialogue.stream(Ask("What?", make_frames(4), max_new_tokens=12, sampling=Sampling(**sampling))))
        return dialogue.last.tokens

    assert draw(seed=1, temperature=3.0) == draw(seed=1, temperature=3.0) != draw(seed=2, temperature=3.0)
    greedy = from_scratch(model, Ask("What?", make_frames(4), max_new_tokens=12))
    assert draw(temperature=1e-3) == draw(top_p=1e-9, seed=3) == greedy


def test_drawing_leaves_the_programs_own_dice_alone(model, make_frames):
    before = torch.random.get_rng_state()
    list(Dialogue(model.network, model.processor).stream(Ask("What?", max_new_tokens=5, sampling=Sampling())))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_top_p_leaves_only_the_likeliest():
    from kangaroo_eval.model.dialogue import _chooser

    logits = torch.tensor([[0.5, 0.3, 0.15, 0.05]]).log()
    draw = _chooser(Sampling(top_p=0.7, seed=0))
    seen = [draw(logits) for _ in range(400)]
    assert set(seen) == {0, 1}
    assert seen.count(0) / 400 == pytest.approx(0.5 / 0.8, abs=0.08)


@pytest.mark.parametrize(
    "wrong", [{"temperature": 0.0}, {"temperature": float("nan")}, {"top_p": 0.0}, {"top_p": 1.5}]
)
def test_wrong_sampling_is_refused(wrong):
    with pytest.raises(UserError, match=next(iter(wrong))):
        Sampling(**wrong)


# --- the public release's chat


def test_chat_as_in_the_public_release(network, processor, model, video, encodings, monkeypatch):
    """Path, question, history in; reply and history out. The path given again is neither decoded nor encoded
    again."""
    from kangaroo_eval.model import conversation

    decoded, look_at = [], conversation.look_at
    monkeypatch.setattr(conversation, "look_at", lambda *given: decoded.append(1) or look_at(*given))
    history, pieces = None, []
    for query in QUESTIONS:
        reply, history = network.chat(
            video,
            query,
            history,
            processor=processor,
            frames=6,
            max_new_tokens=9,
            on_text=pieces.append,
        )
        assert reply == "".join(pieces)
        pieces.clear()
    assert len(decoded) == 1 and encodings == [6]
    assert [turn.prompt for turn in history] == list(QUESTIONS)
    plain, _ = network.chat(
        video, QUESTIONS[3], list(history[:3]), processor=processor, frames=6, max_new_tokens=9
    )
    assert plain == history[3].reply, "a history of plain pairs gives the same answer, computed anew"
    assert encodings == [6, 6]


def test_chat_follows_the_video_that_it_is_given(network, processor, video, encodings, make_frames, tmp_path):
    options = {"processor": processor, "max_new_tokens": 9}
    _, history = chat(network, "What?", video=video, frames=6, **options)
    without, _ = chat(network, "And?", history=history, **options)
    assert encodings == [6], "no video: that of the history"
    again, _ = chat(network, "And?", video=video, frames=6, history=history, **options)
    assert again == without and encodings == [6]
    chat(network, "And?", video=video, frames=4, history=history, **options)
    assert encodings == [6, 4]
    write_video(tmp_path / "clip.mp4", frames=30)
    chat(network, "And?", video=video, frames=6, history=history, **options)
    assert encodings == [6, 4, 6], "the file was exchanged"
    frames = make_frames(5)
    ours, _ = chat(network, "And?", video=frames, **options)
    theirs, _ = chat(network, "And?", video=frames.pixels, times=frames.times, **options)
    assert ours == theirs
    chat(network, "And?", **options)
    assert encodings == [6, 4, 6, 5, 5], "no video and no history: from text alone"


def test_an_old_history_may_be_continued_in_two_ways(network, processor, video):
    options = {"processor": processor, "max_new_tokens": 9}
    _, history = chat(network, "What?", video=video, frames=6, **options)
    left, longer = chat(network, "And the left?", history=history, **options)
    chat(network, "Why?", history=longer, **options)
    right, _ = chat(network, "And the right?", history=history, **options)
    again, _ = chat(network, "And the left?", history=history, **options)
    assert (left, right) == (again, right) and left != right
    alone, _ = chat(network, "And the right?", video=video, frames=6, history=tuple(history), **options)
    assert alone == right


def test_a_history_can_be_copied_and_written_as_json(network, processor, video):
    _, history = chat(network, "颜色?", processor=processor, video=video, frames=2, max_new_tokens=3)
    copied = copy.deepcopy(history)
    assert copied == history and type(copied) is History and copied._state is None
    assert json.loads(json.dumps(history)) == [["颜色?", history[0].reply]]
    options = {"processor": processor, "frames": 2, "max_new_tokens": 6}
    onward = chat(network, "Why?", history=history, **options).reply
    for copy_of in (copied, pickle.loads(pickle.dumps(copied))):
        with pytest.raises(UserError, match="give the video again"):
            chat(network, "Why?", history=copy_of, **options)
        assert chat(network, "Why?", history=copy_of, video=video, **options).reply == onward
    _, of_text = chat(network, "Hello?", processor=processor, max_new_tokens=3)
    assert chat(network, "Why?", history=copy.copy(of_text), **options).reply


def test_a_buffer_that_is_filled_again_changes_no_earlier_video(network, processor, make_frames, encodings):
    options = {"processor": processor, "max_new_tokens": 8}
    buffer, other = make_frames(4, 1).pixels.copy(), make_frames(4, 2)
    for given in (
        lambda: {"video": buffer, "times": other.times},
        lambda: {"video": Frames(buffer, other.times)},
    ):
        buffer[:] = make_frames(4, 1).pixels
        _, history = chat(network, "What?", **given(), **options)
        buffer[:] = other.pixels
        again = chat(network, "And now?", history=history, **given(), **options).reply
        anew = chat(network, "And now?", history=tuple(history), video=other, **options).reply
        assert again == anew and encodings[-3:] == [4, 4, 4]
        same = chat(network, "And now?", history=history, **options).reply
        first = chat(network, "And now?", history=tuple(history), video=make_frames(4, 1), **options)
        assert same == first.reply != again


def test_the_frame_count_of_a_file_is_that_of_the_rounds_before(network, processor, video, encodings):
    options = {"processor": processor, "max_new_tokens": 3}
    _, history = chat(network, "What?", video=video, frames=4, **options)
    _, history = chat(network, "Why?", video=video, history=history, **options)
    assert encodings == [4], "it was not encoded again"
    chat(network, "Who?", video=video, frames=6, history=history, **options)
    assert encodings == [4, 6]


def test_rounds_after_a_step_of_training_are_read_anew(network, processor, make_frames, encodings):
    options = {"processor": processor, "max_new_tokens": 8}
    frames = make_frames(4)
    _, history = chat(network, "What?", video=frames, **options)
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(1.05)
    later = chat(network, "Why?", history=history, **options).reply
    assert later == chat(network, "Why?", history=tuple(history), video=frames, **options).reply
    assert encodings == [4, 4, 4]
    network.to(torch.bfloat16)
    assert chat(network, "Why?", history=history, **options).reply
    assert encodings == [4, 4, 4, 4]


def test_chat_refuses_in_one_line(network, processor, make_frames, tmp_path):
    options = {"processor": processor, "max_new_tokens": 3}
    with pytest.raises(MissingVideo, match="no such file"):
        chat(network, "What?", video=tmp_path / "none.mp4", **options)
    with pytest.raises(UserError, match="5 frames need as many times"):
        chat(network, "What?", video=make_frames(5).pixels, **options)
    with pytest.raises(UserError, match="max_new_tokens 0"):
        chat(network, "What?", processor=processor, max_new_tokens=0)


def test_sampling_in_chat_is_off_unless_asked_for(network, processor, make_frames):
    options = {"processor": processor, "video": make_frames(4), "max_new_tokens": 12, "temperature": 3.0}
    greedy, _ = chat(network, "What?", **options)
    assert chat(network, "What?", seed=5, **options).reply == greedy
    drawn = chat(network, "What?", seed=5, do_sample=True, **options).reply
    assert drawn == chat(network, "What?", seed=5, do_sample=True, **options).reply != greedy


# --- Conversation


def test_a_conversation_knows_what_it_looks_at(model, video, encodings):
    talk = Conversation(model, frames=8, max_new_tokens=5)
    assert (talk.facts.frames, talk.facts.name, talk.facts.answer) == (0, None, None)
    talk.open(video)
    facts = talk.facts
    assert (facts.name, facts.frames, facts.duration) == ("clip.mp4", 8, 3.0)
    assert facts.times == tuple(0.125 * (3 * index + 1) for index in range(8))
    assert facts.video_tokens == model.processor.layout.sequence_length(8) and facts.decode_seconds > 0
    assert encodings == [], "nothing is encoded before the first question"
    for query in QUESTIONS:
        talk.ask(query)
    answer = talk.facts.answer
    assert encodings == [8] and talk.facts.encodings == 1
    assert not answer.encoded and answer.reused_tokens > 0 and answer.encode_seconds < answer.seconds
    assert len(talk.history) == 4


def test_a_clip_of_the_video(model, video):
    talk = Conversation(model, frames=4)
    talk.open(video, 1.0, 2.0)
    assert len(talk.facts.times) == 4 and all(1 <= second < 2 for second in talk.facts.times)
    talk.set_frames(2)
    assert len(talk.facts.times) == 2 and all(1 <= second < 2 for second in talk.facts.times)


def test_reset_keeps_the_video_and_another_video_starts_anew(model, video, encodings, tmp_path):
    talk = Conversation(model, frames=4, max_new_tokens=9)
    talk.open(video)
    first = talk.ask("What?")
    talk.ask("And?")
    talk.reset()
    assert talk.history == () and talk.ask("What?") == first
    assert encodings == [4]
    talk.open(str(write_video(tmp_path / "other.mp4", frames=12)))
    assert talk.history == () and talk.facts.name == "other.mp4"
    talk.ask("What?")
    assert encodings == [4, 4]


def test_other_frames_go_on_with_the_conversation(model, video, encodings):
    talk = Conversation(model, frames=4, max_new_tokens=9)
    talk.open(video)
    reply = talk.ask("What?")
    talk.set_frames(8)
    assert talk.history == (Turn("What?", reply),)
    second = talk.ask("And?")
    assert encodings == [4, 8]
    fresh = chat(
        model.network,
        "And?",
        processor=model.processor,
        video=video,
        frames=8,
        history=[("What?", reply)],
        max_new_tokens=9,
    )
    assert second == fresh.reply


def test_what_is_refused_changes_nothing(model, video, tmp_path):
    talk = Conversation(model, frames=4, max_new_tokens=9)
    talk.open(video)
    talk.ask("What?")
    before, history = talk.look, talk.history
    (tmp_path / "broken.mp4").write_bytes(b"not a video" * 99)
    for refused, error in (
        (lambda: talk.open(str(tmp_path / "none.mp4")), MissingVideo),
        (lambda: talk.open(str(tmp_path / "broken.mp4")), MediaError),
        (lambda: talk.open(video, 50.0, 60.0), MediaError),
        (lambda: talk.set_frames(0), UserError),
    ):
        with pytest.raises(error):
            refused()
    assert talk.look is before and talk.history == history and talk.frames == 4


def test_too_many_frames_are_refused_before_they_are_asked_about(model, video):
    model.network.config.text_config.max_position_embeddings = model.processor.layout.sequence_length(6) + 1
    talk = Conversation(model, frames=8)
    with pytest.raises(UserError, match=r"8 frames are .* take 6 frames or fewer"):
        talk.open(video)
    assert talk.look is None


def test_a_conversation_without_a_video_is_from_text(model, encodings):
    talk = Conversation(model, max_new_tokens=9)
    talk.ask("What?")
    assert talk.rounds[0].answer.tokens == from_scratch(model, Ask("What?", max_new_tokens=9))
    assert encodings == []


@pytest.mark.parametrize("where", ["asker", "model"])
def test_ctrl_c_ends_this_answer_only(model, video, where, monkeypatch):
    """Where it hits while the asker writes the text, and where it hits within the arithmetic."""
    talk = Conversation(model, frames=4, max_new_tokens=40)
    talk.open(video)
    told = []

    def tell(piece):
        told.append(piece)
        if len(told) == 3:
            signal.raise_signal(signal.SIGINT) if where == "asker" else threading.Thread(
                target=lambda: os.kill(os.getpid(), signal.SIGINT)
            ).start()

    reply = talk.ask("What?", tell)
    assert talk.facts.answer.stopped == "interrupted"
    assert len(talk.facts.answer.tokens) < 40
    assert talk.history == (Turn("What?", talk.facts.answer.text),) and talk.facts.answer.text.startswith(
        reply
    )
    talk.ask("And?")
    ask = Ask("And?", talk.look.frames, talk.history[:1], max_new_tokens=40)
    assert talk.facts.answer.tokens == from_scratch(model, ask)


def test_stopped_before_the_first_word_nothing_is_kept(model, video, monkeypatch):
    talk = Conversation(model, frames=4, max_new_tokens=9)
    talk.open(video)
    encode = type(model.network).encode_video

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(model.network), "encode_video", interrupted)
    assert talk.ask("What?") == "" and talk.history == ()
    monkeypatch.setattr(type(model.network), "encode_video", encode)
    talk.ask("What?")
    assert talk.facts.answer.encoded and talk.facts.encodings == 1


def test_an_error_within_an_answer_keeps_no_half_of_it(model, video, monkeypatch):
    talk = Conversation(model, frames=4, max_new_tokens=40)
    talk.open(video)
    layer = model.network.llm.model.layers[1]
    forward, calls = layer.forward, []

    def fails(*args, **options):
        calls.append(1)
        if len(calls) == 9:
            raise torch.OutOfMemoryError("CUDA out of memory.\nmore")
        return forward(*args, **options)

    monkeypatch.setattr(layer, "forward", fails)
    with pytest.raises(MemoryError, match="out of memory"):
        talk.ask("What?")
    assert talk.history == ()
    talk.ask("What?")
    assert talk.rounds[0].answer.tokens == from_scratch(
        model, Ask("What?", talk.look.frames, max_new_tokens=40)
    )


def test_the_record_holds_the_conversation(model, video):
    talk = Conversation(model, frames=4, system="Be brief.", max_new_tokens=5)
    talk.open(video, 0.5)
    talk.ask("颜色?")
    record = json.loads(json.dumps(talk.record()))
    assert record["video"] == video and record["clip"] == [0.5, None] and len(record["frame_times"]) == 4
    assert record["model_hash"] == model.model_hash and record["system"] == "Be brief."
    (only,) = record["rounds"]
    assert (only["question"], only["answer"]) == ("颜色?", talk.history[0].reply)


def test_threads_are_given_back_between_pieces(network, processor, make_frames):
    torch.set_num_threads(2)
    try:
        for _ in Dialogue(network, processor, threads=1).stream(
            Ask("What?", make_frames(4), max_new_tokens=4)
        ):
            assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(1)
