"""The tiny model's tokenizer: a byte-level BPE with Llama-3's special tokens, built from a bundled text.

Also what any Llama-3 style tokenizer needs before Kangaroo can use it: names for the control tokens.
`python -m kangaroo_eval.model.tokenizer` writes the bundled files again.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import GenerationConfig, PreTrainedTokenizerFast

from kangaroo_eval.model.chat_format import LLAMA_3, chat_format
from kangaroo_eval.model.config import VIDEO_TOKEN, VISUAL_TOKENS, kangaroo_tiny

ASSETS = Path(__file__).parent / "assets"
TINY = ASSETS / "kangaroo-tiny"

LLAMA_TOKENS = (
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eot_id|>",
)
SPECIAL_TOKENS = (*LLAMA_TOKENS, *VISUAL_TOKENS, VIDEO_TOKEN)
"""Ids 0, 1, 2, ... of the tiny tokenizer."""

VOCABULARY = 2560

SPLIT = (
    r" ?\([A-Z]\)"  # an option letter in brackets is one token: a tiny model learns it far sooner
    r"|(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Llama-3's pre-tokenisation, with single digits and bracketed letters."""

CHAT_TEMPLATE = LLAMA_3.template


def train_tokenizer() -> Tokenizer:
    """The tiny tokenizer, from the bundled text alone: the same merges each time."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        min_frequency=1,
        show_progress=False,
        special_tokens=[AddedToken(token, special=True, normalized=False) for token in SPECIAL_TOKENS],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(training_lines(), trainer=trainer)
    return tokenizer


def training_lines() -> list[str]:
    """The bundled text, and `words.txt`, which come often enough to be one token each: in lower and upper case, at the
    start of a line and behind a space. A model of this size reads no word that is in pieces."""
    lines = (TINY / "corpus.txt").read_text(encoding="utf-8").splitlines()
    colours = ("red", "green", "blue", "yellow", "purple", "orange", "white", "black")
    shapes = ("circle", "square", "triangle", "star", "diamond", "cross")
    moves = ("left", "right", "up", "down")
    scenes = [
        f"{number} {colour} {shape}s moving {move}. A {colour} {shape} moves {move}."
        for number in ("one", "two", "three", "four", "five")
        for colour in colours
        for shape in shapes
        for move in moves
    ]
    options = [
        f"({letter}) {colour} ({letter})\n{letter}. {colour}" for letter in "ABCDEFGH" for colour in colours
    ] * 16
    words = (TINY / "words.txt").read_text(encoding="utf-8").split()
    forms = [f"{word} {word} {word.capitalize()}\n{word.capitalize()}" for word in words] * 60
    return lines * 4 + [line.lower() for line in lines] + scenes + options + forms


def wrap(tokenizer: Tokenizer) -> Any:
    """A `tokenizers` tokenizer as transformers' class, with Llama-3's roles and the chat template."""
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<|begin_of_text|>",
        eos_token="<|eot_id|>",
        pad_token="<|end_of_text|>",
        additional_special_tokens=[
            token
            for token in SPECIAL_TOKENS
            if token not in ("<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>")
        ],
        chat_template=CHAT_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=8192,
    )


def load_tiny_tokenizer() -> Any:
    """The bundled tokenizer, read from its files."""
    return PreTrainedTokenizerFast.from_pretrained(TINY)


def with_control_tokens(tokenizer: Any) -> Any:
    """An LLM's tokenizer in which `VISUAL_TOKENS` and `VIDEO_TOKEN` have ids.

    Llama-3 keeps reserved tokens: the first five are renamed, so the vocabulary and the embedding table keep
    their size. Other tokenizers get five new ids at the end; the network needs no rows for them. The chat
    template becomes the one of `chat_format` that knows videos, where the tokenizer has a known format.
    """
    wanted = (*VISUAL_TOKENS, VIDEO_TOKEN)
    vocabulary = tokenizer.get_vocab()
    if all(token in vocabulary for token in wanted):
        return tokenizer
    template = _template(tokenizer)
    reserved = [f"<|reserved_special_token_{index}|>" for index in range(len(wanted))]
    if all(token in vocabulary for token in reserved):
        return _rename(tokenizer, dict(zip(reserved, wanted, strict=True)), template)
    tokenizer.add_special_tokens(
        {"additional_special_tokens": list(wanted)}, replace_extra_special_tokens=False
    )
    tokenizer.chat_template = template
    return tokenizer


def _template(tokenizer: Any) -> Any:
    try:
        return chat_format(tokenizer).template
    except ValueError:
        # A tokenizer of no known format keeps its own; KangarooProcessor refuses it.
        return tokenizer.chat_template


def _rename(tokenizer: Any, names: dict[str, str], template: Any) -> Any:
    """The same tokenizer with some of its added tokens under other names."""
    state = json.loads(tokenizer.backend_tokenizer.to_str())
    for entry in state["added_tokens"]:
        entry["content"] = names.get(entry["content"], entry["content"])
    vocab = state["model"]["vocab"]
    state["model"]["vocab"] = {names.get(token, token): index for token, index in vocab.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(json.dumps(state)),
        bos_token=tokenizer.bos_token,
        eos_token=tokenizer.eos_token,
        pad_token=tokenizer.pad_token or "<|end_of_text|>",
        chat_template=template,
        clean_up_tokenization_spaces=False,
        model_max_length=tokenizer.model_max_length,
    )


def write_tiny_assets(folder: Path = TINY) -> None:
    """Write tokenizer, configuration and generation settings of kangaroo-tiny into `folder`."""
    from kangaroo_eval.model.processing import KangarooProcessor

    config = kangaroo_tiny()
    KangarooProcessor(
        wrap(train_tokenizer()), config.layout.frame_size, config.vision_config.patch_size
    ).save_pretrained(folder)
    config.architectures = ["KangarooForConditionalGeneration"]
    config.save_pretrained(folder)
    GenerationConfig(
        bos_token_id=config.text_config.bos_token_id,
        eos_token_id=config.text_config.eos_token_id,
        pad_token_id=SPECIAL_TOKENS.index("<|end_of_text|>"),
        suppress_tokens=config.control_token_ids,
        do_sample=False,
    ).save_pretrained(folder)


if __name__ == "__main__":
    write_tiny_assets()
