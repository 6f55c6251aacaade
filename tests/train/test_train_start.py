"""The heads that a model from nothing begins with."""

from __future__ import annotations

import pytest
import torch

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.config import kangaroo_tiny
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.train.start import DISTANCES, set_heads

TEXT = "A. Red circle.\nB. It moves left.\nC. Blue.\nD. Zero.\nWhich is it?\nIt moves left."


@pytest.fixture(scope="module")
def tokenizer():
    return load_tiny_tokenizer()


@pytest.fixture
def network():
    torch.manual_seed(0)
    return KangarooForConditionalGeneration(kangaroo_tiny())


def attention(network, ids):
    network.llm.config._attn_implementation = "eager"
    with torch.no_grad():
        out = network.llm(input_ids=torch.tensor([ids]), output_attentions=True, use_cache=False)
    return [layer[0] for layer in out.attentions]


def test_each_head_looks_back_by_its_distance(network, tokenizer):
    set_heads(network, tokenizer)
    ids = torch.randint(300, 2500, (60,), generator=torch.Generator().manual_seed(0)).tolist()
    found = attention(network, ids)[0]
    for head, distance in enumerate(DISTANCES):
        assert found[head].diagonal(-distance)[10:].mean() > 0.9, (head, distance)


def test_one_head_carries_the_letter_of_the_line(network, tokenizer):
    set_heads(network, tokenizer)
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    words = [tokenizer.decode([token]) for token in ids]
    found = attention(network, ids)[0][len(DISTANCES)]
    for word, letter in ((" circle", "A"), (" left", "B"), (" Blue", "C"), (" Zero", "D")):
        row = found[words.index(word)]
        assert words[int(row.argmax())] == letter and row.max() > 0.9


def test_one_head_finds_where_the_same_words_stood(network, tokenizer):
    set_heads(network, tokenizer)
    ids = tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    words = [tokenizer.decode([token]) for token in ids]
    row = attention(network, ids)[1][0][-1]
    option = words.index(" left") + 1
    assert set(row.topk(2).indices.tolist()) == {option, len(ids) - 1}


def test_words_share_an_embedding_whatever_their_case(network, tokenizer):
    set_heads(network, tokenizer)
    table = network.get_input_embeddings().weight.detach()
    table = table - table.mean(0)
    first, second, other = tokenizer.convert_tokens_to_ids(["Ġred", "ĠRed", "Ġblue"])
    near = torch.cosine_similarity(table[first], table[second], dim=0)
    far = torch.cosine_similarity(table[first], table[other], dim=0)
    assert near > 0.9 > 0.4 > far


def test_only_embeddings_and_a_few_heads_are_set(network, tokenizer):
    before = {name: parameter.clone() for name, parameter in network.named_parameters()}
    set_heads(network, tokenizer)
    changed = {
        name for name, parameter in network.named_parameters() if not torch.equal(parameter, before[name])
    }
    layers = [f"llm.model.layers.{layer}.self_attn" for layer in (0, 1)]
    heads = {f"{layer}.{part}_proj.weight" for layer in layers for part in "qkvo"}
    assert changed == {"llm.model.embed_tokens.weight", "visual_tokens", *heads}


def test_without_it_no_head_looks_back(network):
    ids = torch.randint(300, 2500, (60,), generator=torch.Generator().manual_seed(0)).tolist()
    found = attention(network, ids)[0]
    assert max(float(found.diagonal(-distance, 1, 2).mean()) for distance in DISTANCES) < 0.2


def test_an_llm_that_is_too_small_is_refused(tokenizer):
    config = kangaroo_tiny()
    config.text_config.num_hidden_layers = 1
    with pytest.raises(UserError, match="2 layers"):
        set_heads(KangarooForConditionalGeneration(config), tokenizer)
