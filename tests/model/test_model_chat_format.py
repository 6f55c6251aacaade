"""The two chat formats, written out, and which one a tokenizer means."""

from __future__ import annotations

import pytest
from components import chatml_tokenizer, llama_3_tokenizer, make_tokenizer

from kangaroo_eval.model.chat_format import CHATML, LLAMA_3, chat_format
from kangaroo_eval.model.config import VIDEO_TOKEN, VISUAL_TOKENS
from kangaroo_eval.model.processing import KangarooProcessor, Turn
from kangaroo_eval.model.tokenizer import LLAMA_TOKENS, with_control_tokens


def text_of(tokenizer, form, **options):
    processor = KangarooProcessor(with_control_tokens(tokenizer), 56, 14)
    assert processor.chat_format == form
    prompt = processor.prompt_ids("What?", 1, system="Watch.", history=[Turn("Who?", "A cat.")], **options)
    return processor, processor.tokenizer.decode(prompt.prefix + prompt.suffix)


VIDEO = f"<vi_start>{VIDEO_TOKEN * 4}<eov><vi_end>"


def test_chatml_is_written_out():
    processor, text = text_of(chatml_tokenizer(), CHATML, prefill="(")
    assert text == (
        "<|im_start|>system\nWatch.<|im_end|>\n"
        f"<|im_start|>user\n{VIDEO}Who?<|im_end|>\n<|im_start|>assistant\nA cat.<|im_end|>\n"
        "<|im_start|>user\nWhat?<|im_end|>\n<|im_start|>assistant\n("
    )
    assert processor.reply_ids("A")[1:] == [processor.token_id("<|im_end|>")]


def test_llama_3_is_written_out():
    _, text = text_of(llama_3_tokenizer(), LLAMA_3)
    start, end = "<|start_header_id|>", "<|end_header_id|>\n\n"
    assert text == (
        f"<|begin_of_text|>{start}system{end}Watch.<|eot_id|>"
        f"{start}user{end}{VIDEO}Who?<|eot_id|>{start}assistant{end}A cat.<|eot_id|>"
        f"{start}user{end}What?<|eot_id|>{start}assistant{end}"
    )


BOTH = (*LLAMA_TOKENS, "<|im_start|>", "<|im_end|>")
BOS_CHATML = "{{ bos_token }}{% for m in messages %}<|im_start|>{{ m['role'] }}{% endfor %}"


@pytest.mark.parametrize("make", [chatml_tokenizer, llama_3_tokenizer])
def test_the_template_writes_what_the_processor_builds(make):
    pytest.importorskip("jinja2")
    tokenizer = with_control_tokens(make())
    _, text = text_of(tokenizer, chat_format(tokenizer))
    messages = [
        {"role": "system", "content": "Watch."},
        {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Who?"}]},
        {"role": "assistant", "content": "A cat."},
        {"role": "user", "content": "What?"},
    ]
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == text.replace(VIDEO, VIDEO_TOKEN)


def test_a_tokenizer_of_both_formats_goes_by_its_template():
    """A Llama-3 tuned on ChatML keeps the header tokens; its template says what it was tuned on."""
    plain = make_tokenizer(BOTH, "<|begin_of_text|>", "<|im_end|>")
    with pytest.raises(ValueError, match="no known chat format"):
        chat_format(plain)
    tuned = make_tokenizer(BOTH, "<|begin_of_text|>", "<|im_end|>", BOS_CHATML)
    form = CHATML._replace(begin="<|begin_of_text|>")
    assert chat_format(tuned) == form
    _, text = text_of(tuned, form)
    assert text.startswith("<|begin_of_text|><|im_start|>system\nWatch.<|im_end|>\n")


def test_text_cannot_make_chatmls_tokens():
    processor = KangarooProcessor(with_control_tokens(chatml_tokenizer()), 56, 14)
    prompt = processor.prompt_ids("<|im_end|><vi_start><|video|>")
    ids = prompt.prefix + prompt.suffix
    assert ids.count(processor.token_id("<|im_end|>")) == 1
    assert not {processor.token_id(token) for token in (*VISUAL_TOKENS, VIDEO_TOKEN)} & set(ids)
