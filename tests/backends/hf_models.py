"""Tiny video chat models of transformers with random weights: networks, tokenizers, processors, all made here.

Chat templates have the form of the published ones. Weights are large, so that answers depend on what is seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

SIDE = 56
WIDTH = 32
TEXT = {
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
}

CHATML = """{% for message in messages %}
{%- if loop.first and message['role'] != 'system' and default_system %}<|im_start|>system
{{ default_system }}<|im_end|>
{% endif %}<|im_start|>{{ message['role'] }}
{% for content in message['content'] %}
{%- if content['type'] == 'image' %}IMAGE{% elif content['type'] == 'video' %}VIDEO{% elif 'text' in content %}{{ content['text'] }}{% endif %}
{%- endfor %}<|im_end|>
{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant
{% endif %}"""
VICUNA = """{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'][0]['text'] }} {% else %}{{ message['role'].upper() }}: {% for content in message['content'] %}{% if content['type'] == 'image' %}<image>
{% elif content['type'] == 'video' %}<video>
{% else %}{{ content['text'] }}{% endif %}{% endfor %} {% endif %}{% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"""
SMOL = """<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}{% if message['content'][0]['type'] == 'image' %}:{% else %}: {% endif %}{% for line in message['content'] %}{% if line['type'] == 'text' %}{{ line['text'] }}{% elif line['type'] == 'image' %}<image>{% elif line['type'] == 'video' %}<video>{% endif %}{% endfor %}<end_of_utterance>
{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"""


def chatml(image: str, video: str, default_system: str | None = None) -> str:
    system = f"{{%- set default_system = {default_system!r} -%}}\n" if default_system else ""
    return system + CHATML.replace("IMAGE", image).replace("VIDEO", video)


def tokenizer(*specials: str, eos: str, named: dict[str, str] | None = None, **options: Any) -> Any:
    """Bytes and special tokens."""
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE({letter: place for place, letter in enumerate(alphabet)}, []))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(["<|pad|>", eos, *specials, *(named or {}).values()])
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        eos_token=eos,
        pad_token="<|pad|>",
        extra_special_tokens={**(named or {})},
        clean_up_tokenization_spaces=False,
        **options,
    )


def llava_onevision() -> tuple[Any, Any]:
    import transformers as hf

    tok = tokenizer("<|im_start|>", "<image>", "<video>", eos="<|im_end|>")
    config = hf.LlavaOnevisionConfig(
        vision_config=hf.SiglipVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=14,
        ),
        text_config=hf.Qwen2Config(vocab_size=len(tok), **TEXT),
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        video_token_index=tok.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIDE, SIDE], [SIDE, 2 * SIDE]],
    )
    size = {"height": SIDE, "width": SIDE}
    processor = hf.LlavaOnevisionProcessor(
        hf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[SIDE, SIDE], [SIDE, 2 * SIDE]]),
        tok,
        hf.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=chatml("<image>", "<video>"),
    )
    return hf.LlavaOnevisionForConditionalGeneration(config), processor


def llava_next_video() -> tuple[Any, Any]:
    import transformers as hf

    tok = tokenizer("<image>", "<video>", eos="</s>")
    config = hf.LlavaNextVideoConfig(
        vision_config=hf.CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=14,
        ),
        text_config=hf.LlamaConfig(vocab_size=len(tok), **TEXT),
        image_token_index=tok.convert_tokens_to_ids("<image>"),
        video_token_index=tok.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[SIDE, 2 * SIDE], [2 * SIDE, SIDE]],
        vision_feature_layer=-2,
    )
    crop = {"height": SIDE, "width": SIDE}
    processor = hf.LlavaNextVideoProcessor(
        hf.LlavaNextVideoVideoProcessor(size={"shortest_edge": SIDE}, crop_size=crop),
        hf.LlavaNextImageProcessor(
            size={"shortest_edge": SIDE},
            crop_size=crop,
            image_grid_pinpoints=[[SIDE, 2 * SIDE], [2 * SIDE, SIDE]],
        ),
        tok,
        chat_template=VICUNA,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return hf.LlavaNextVideoForConditionalGeneration(config), processor


QWEN = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def _qwen_ids(tok: Any) -> dict[str, int]:
    names = ("vision_start_token_id", "vision_end_token_id", "image_token_id", "video_token_id")
    return dict(zip(names, tok.convert_tokens_to_ids(list(QWEN)), strict=True))


def _qwen_template(default_system: str | None) -> str:
    start, end, image, video = QWEN
    return chatml(f"{start}{image}{end}", f"{start}{video}{end}", default_system)


def qwen2_5_vl() -> tuple[Any, Any]:
    import transformers as hf

    tok = tokenizer("<|im_start|>", *QWEN, eos="<|im_end|>")
    config = hf.Qwen2_5_VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [1],
            "window_size": 56,
        },
        text_config={
            "vocab_size": len(tok),
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
            "bos_token_id": None,
            "eos_token_id": tok.eos_token_id,
            **TEXT,
        },
        **_qwen_ids(tok),
    )
    size = {"shortest_edge": 28 * 28, "longest_edge": SIDE * SIDE}
    processor = hf.Qwen2_5_VLProcessor(
        hf.Qwen2VLImageProcessor(size=size),
        tok,
        hf.Qwen2VLVideoProcessor(size=size),
        chat_template=_qwen_template("You are a helpful assistant."),
    )
    return hf.Qwen2_5_VLForConditionalGeneration(config), processor


def qwen3_vl() -> tuple[Any, Any]:
    import transformers as hf

    tok = tokenizer("<|im_start|>", *QWEN, eos="<|im_end|>")
    config = hf.Qwen3VLConfig(
        vision_config={
            "depth": 2,
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "num_position_embeddings": 16,
            "deepstack_visual_indexes": [0],
        },
        text_config={
            "vocab_size": len(tok),
            "head_dim": 8,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]},
            **TEXT,
        },
        **_qwen_ids(tok),
    )
    processor = hf.Qwen3VLProcessor(
        hf.Qwen2VLImageProcessor(
            size={"shortest_edge": 32 * 32, "longest_edge": 64 * 64}, patch_size=16, merge_size=2
        ),
        tok,
        hf.Qwen3VLVideoProcessor(size={"shortest_edge": 32 * 32, "longest_edge": 64 * 64 * 64}),
        chat_template=_qwen_template(None),
    )
    return hf.Qwen3VLForConditionalGeneration(config), processor


def internvl() -> tuple[Any, Any]:
    import transformers as hf

    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tok = tokenizer("<|im_start|>", eos="<|im_end|>", named=named)
    config = hf.InternVLConfig(
        vision_config=hf.InternVLVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=[SIDE, SIDE],
        ),
        text_config=hf.Qwen2Config(vocab_size=len(tok), **TEXT),
        image_token_id=tok.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    size = {"height": SIDE, "width": SIDE}
    processor = hf.InternVLProcessor(
        hf.GotOcr2ImageProcessor(size=size, crop_to_patches=False),
        tok,
        hf.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=chatml("<IMG_CONTEXT>\n", "<video>\n"),
    )
    return hf.InternVLForConditionalGeneration(config), processor


def smolvlm() -> tuple[Any, Any]:
    import transformers as hf

    rows = [f"<row_{row}_col_{column}>" for row in range(1, 3) for column in range(1, 3)]
    named = {
        "fake_image_token": "<fake_token_around_image>",
        "image_token": "<image>",
        "end_of_utterance_token": "<end_of_utterance>",
        "global_image_token": "<global-img>",
        "video_token": "<video>",
    }
    tok = tokenizer("<|im_start|>", *rows, eos="<|im_end|>", named=named)
    config = hf.SmolVLMConfig(
        vision_config={
            "hidden_size": 32,
            "intermediate_size": 48,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 14,
        },
        text_config=hf.LlamaConfig(vocab_size=len(tok), pad_token_id=tok.pad_token_id, **TEXT),
        image_token_id=tok.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )
    edge = {"longest_edge": SIDE}
    processor = hf.SmolVLMProcessor(
        hf.SmolVLMImageProcessor(size=edge, max_image_size=edge, do_image_splitting=False),
        tok,
        hf.SmolVLMVideoProcessor(size=edge, max_image_size=edge),
        image_seq_len=4,
        chat_template=SMOL,
    )
    return hf.SmolVLMForConditionalGeneration(config), processor


def llava() -> tuple[Any, Any]:
    """LLaVA 1.5, which takes images only."""
    import transformers as hf

    tok = tokenizer("<image>", eos="</s>")
    config = hf.LlavaConfig(
        vision_config=hf.CLIPVisionConfig(
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=SIDE,
            patch_size=14,
        ),
        text_config=hf.LlamaConfig(vocab_size=len(tok), **TEXT),
        image_token_index=tok.convert_tokens_to_ids("<image>"),
    )
    crop = {"height": SIDE, "width": SIDE}
    processor = hf.LlavaProcessor(
        hf.CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=crop),
        tok,
        chat_template=VICUNA,
        patch_size=14,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    return hf.LlavaForConditionalGeneration(config), processor


FAMILIES: dict[str, Callable[[], tuple[Any, Any]]] = {
    "llava_onevision": llava_onevision,
    "llava_next_video": llava_next_video,
    "qwen2_5_vl": qwen2_5_vl,
    "qwen3_vl": qwen3_vl,
    "internvl": internvl,
    "smolvlm": smolvlm,
}
VIDEO_FAMILIES = tuple(FAMILIES)
FAMILIES["llava"] = llava


def save(family: str, folder: Path, seed: int = 0, **generation: Any) -> Path:
    """A folder with the model as the hub has one; `generation` goes into its generation config."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network, processor = FAMILIES[family]()
        for parameter in network.parameters():
            if parameter.ndim > 1:
                torch.nn.init.normal_(parameter, std=0.2)
    network.generation_config.eos_token_id = processor.tokenizer.eos_token_id
    network.save_pretrained(folder)
    processor.save_pretrained(folder)
    if generation:
        path = folder / "generation_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **generation}))
    return folder
