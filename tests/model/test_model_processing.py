"""Chat format, special tokens, frames, and the bundled tokenizer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kangaroo_eval.model import tokenizer as tiny
from kangaroo_eval.model.config import VIDEO_TOKEN, VISUAL_TOKENS, kangaroo_tiny
from kangaroo_eval.model.processing import Turn

SLOT = VIDEO_TOKEN * 16


def text_of(processor, prompt):
    return processor.tokenizer.decode(prompt.prefix + prompt.suffix)


def test_chat_format_is_llama_3s(processor):
    """Written out: BOS once, the system turn, the video first in the user turn, the prefill last."""
    prompt = processor.prompt_ids("What?", 3, system="Watch.", prefill="Best Option: (")
    assert text_of(processor, prompt) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nWatch.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\n"
        f"<vi_start>{SLOT}<eof>{SLOT}<eov><vi_end>What?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nBest Option: ("
    )
    assert (prompt.prefix + prompt.suffix).count(processor.token_id("<|begin_of_text|>")) == 1


def test_prefix_ends_with_the_video(processor):
    one, other = processor.prompt_ids("one", 4), processor.prompt_ids("another question", 4)
    assert one.prefix == other.prefix
    assert one.prefix[-1] == processor.token_id("<vi_end>")
    assert len(processor.visual_ids(4)) == processor.layout.sequence_length(4)


def test_earlier_rounds_keep_the_video_in_the_first_turn(processor):
    prompt = processor.prompt_ids("And then?", 1, history=[Turn("What?", "A cat.")])
    assert text_of(processor, prompt).endswith(
        "<vi_end>What?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nA cat.<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>\n\nAnd then?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"
    )


@pytest.mark.parametrize("special", [*tiny.SPECIAL_TOKENS])
def test_text_cannot_make_special_tokens(processor, special):
    """A prompt, system turn, prefill or reply that spells a special token stays text, and reads back as it was."""
    ids = processor.text_ids(f"a {special} b")
    assert min(ids) >= len(tiny.SPECIAL_TOKENS)
    assert processor.tokenizer.decode(ids) == f"a {special} b"
    clean = processor.prompt_ids("x", 1, system="x", prefill="x")
    dirty = processor.prompt_ids(special, 1, system=special, prefill=special)
    index = processor.token_id(special)
    assert (dirty.prefix + dirty.suffix).count(index) == (clean.prefix + clean.suffix).count(index)
    assert processor.reply_ids(special)[:-1] == processor.text_ids(special)


@pytest.mark.parametrize(
    "text",
    [
        "What color? (A) red\n(B) blue",
        "  two  spaces\t\r\n\n",
        "视频里有几个物体？",
        "naïve 🦘 ﷽ \x00",
        "A. 12:30 it's I'LL",
        "",
    ],
)
def test_any_text_round_trips(processor, text):
    assert processor.tokenizer.decode(processor.text_ids(text)) == text


def test_option_letters_are_one_token(processor):
    for text in ("(A)", " (D)", "A", " B", " red", " triangle", " left", "Answer"):
        assert len(processor.text_ids(text)) == 1, text


def test_special_tokens_have_the_configured_ids(processor):
    config = kangaroo_tiny()
    assert [processor.token_id(token) for token in VISUAL_TOKENS] == config.visual_token_ids
    assert processor.token_id(VIDEO_TOKEN) == config.video_token_id
    assert len(processor.tokenizer) == config.text_config.vocab_size
    with pytest.raises(ValueError, match="no token '<wallaby>'"):
        processor.token_id("<wallaby>")


def test_the_bundled_tokenizer_can_be_rebuilt():
    built = json.loads(tiny.train_tokenizer().to_str())
    bundled = json.loads((tiny.TINY / "tokenizer.json").read_text(encoding="utf-8"))
    assert built["model"]["vocab"] == bundled["model"]["vocab"]
    assert built["model"]["merges"] == bundled["model"]["merges"]
    assert built["added_tokens"] == bundled["added_tokens"]
    assert built["pre_tokenizer"] == bundled["pre_tokenizer"]


def test_the_bundled_configuration_is_the_preset():
    from kangaroo_eval.model.config import KangarooConfig

    read, preset = KangarooConfig.from_pretrained(tiny.TINY), kangaroo_tiny()
    ours, theirs = read.vision_config.to_dict(), preset.vision_config.to_dict()
    # Training stores its own dtype, and the grid that its rotary positions were trained on: that of whole frames.
    assert {**ours, "dtype": None, "rope_grid": None} == {**theirs, "dtype": None}
    assert ours["rope_grid"] in (None, preset.frame_size // preset.vision_config.patch_size)
    assert read.layout == preset.layout
    assert read.text_config.hidden_size == preset.text_config.hidden_size
    assert read.control_token_ids == preset.control_token_ids


def test_chat_template_writes_the_same_format(processor):
    pytest.importorskip("jinja2")
    parts = [{"type": "video"}, {"type": "text", "text": "What?"}]
    messages = [{"role": "system", "content": "Watch."}, {"role": "user", "content": parts}]
    text = processor.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    expected = text_of(processor, processor.prompt_ids("What?", 1, system="Watch."))
    assert text == expected.replace(f"<vi_start>{SLOT}<eov><vi_end>", VIDEO_TOKEN)


def test_llama_3s_reserved_tokens_become_the_control_tokens():
    """A stand-in for Llama-3's tokenizer: renamed in place, so the vocabulary keeps its size."""
    from tokenizers import AddedToken, Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.BPE({"a": 0}, []))
    names = [*tiny.LLAMA_TOKENS, *(f"<|reserved_special_token_{index}|>" for index in range(6))]
    backend.add_special_tokens([AddedToken(name, special=True) for name in names])
    plain = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|begin_of_text|>", eos_token="<|eot_id|>"
    )
    size, index = len(plain), plain.convert_tokens_to_ids("<|reserved_special_token_0|>")
    renamed = tiny.with_control_tokens(plain)
    assert len(renamed) == size
    assert renamed.convert_tokens_to_ids([*VISUAL_TOKENS, VIDEO_TOKEN]) == [index + step for step in range(5)]
    assert tiny.with_control_tokens(renamed) is renamed


def test_other_tokenizers_get_new_ids():
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    other = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE({"a": 0, "b": 1}, [])))
    grown = tiny.with_control_tokens(other)
    assert grown.convert_tokens_to_ids([*VISUAL_TOKENS, VIDEO_TOKEN]) == [2, 3, 4, 5, 6]


def test_frames_are_resized_and_checked(processor):
    frames = np.zeros((2, 32, 48, 3), np.uint8)
    frames[1] = 200
    pixels = processor.pixels(frames)
    assert pixels.shape == (2, 3, 64, 64)
    assert pixels[0].max() == 0 and (pixels[1] == 200).all()
    with pytest.raises(ValueError, match="uint8"):
        processor.pixels(frames.astype(np.float32))
    with pytest.raises(ValueError, match="2 times in seconds"):
        processor("x", frames)
    with pytest.raises(ValueError, match="2 frames, but 1 times"):
        processor("x", frames, [0.0])
