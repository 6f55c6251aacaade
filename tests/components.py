"""Small stand-ins for the public checkpoints a Kangaroo is built from, in the layouts that they come in."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from kangaroo_eval.model import convert
from kangaroo_eval.model.config import KangarooVisionConfig
from kangaroo_eval.model.tokenizer import LLAMA_TOKENS
from kangaroo_eval.model.vision import KangarooVisionModel

MODEL_ARGS = {
    "embed_dim": 16,
    "depth": 2,
    "num_heads": 2,
    "patch_size": 14,
    "mlp_ratio": 1.5,
    "img_size": 224,
}
RESERVED = tuple(f"<|reserved_special_token_{index}|>" for index in range(6))


def small_vision(seed: int = 0, **changes) -> KangarooVisionModel:
    sizes = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return KangarooVisionModel(
            KangarooVisionConfig(**{**sizes, "initializer_range": 0.2, **changes})
        ).eval()


def write_timm(folder: Path, state=None, **config) -> Path:
    """timm's hub layout, of a small encoder."""
    folder.mkdir(parents=True)
    state = convert.to_timm(small_vision().state_dict()) if state is None else state
    save_file({name: tensor.clone() for name, tensor in state.items()}, folder / "model.safetensors")
    content = {"architecture": "eva02_large_patch14_clip_224", "model_args": MODEL_ARGS, **config}
    (folder / "config.json").write_text(json.dumps(content))
    return folder


def make_tokenizer(specials, bos=None, eos=None, template=None):
    """Every byte is a token, and the special ones come first."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    names = [*specials, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    backend = Tokenizer(models.BPE({name: index for index, name in enumerate(names)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(name, special=True, normalized=False) for name in specials])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=bos, eos_token=eos, chat_template=template
    )


def llama_3_tokenizer():
    return make_tokenizer((*LLAMA_TOKENS, *RESERVED), "<|begin_of_text|>", "<|end_of_text|>")


def chatml_tokenizer(template=None, bos=None):
    return make_tokenizer(("<|endoftext|>", "<|im_start|>", "<|im_end|>"), bos, "<|endoftext|>", template)


def write_llm(folder: Path, tokenizer=None, **changes) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2}
    tokenizer = tokenizer or chatml_tokenizer()
    options = {"vocab_size": len(tokenizer), "bos_token_id": 1, "eos_token_id": 0, "initializer_range": 0.3}
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = LlamaForCausalLM(LlamaConfig(**{**sizes, **options, **changes}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def one_line(error) -> str:
    """The message of a caught error, which must be one line."""
    text = str(error.value)
    assert "\n" not in text
    return text


def same_encoder(model, expected=None):
    """Whether two encoders have the same parameters to the bit; without `expected`, that of `write_timm`."""
    ours, theirs = model.state_dict(), (expected or small_vision()).state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
