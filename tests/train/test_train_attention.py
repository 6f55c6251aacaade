"""Packed documents against each document alone: logits, losses and gradients, on every back end."""

from __future__ import annotations

import pytest
import torch

from kangaroo_eval.errors import UserError
from kangaroo_eval.model.config import kangaroo_tiny
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.train import attention
from kangaroo_eval.train.attention import Documents, document_attention
from kangaroo_eval.train.batch import IGNORED, Document, collate
from kangaroo_eval.train.forward import NextToken, run_layers


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return KangarooForConditionalGeneration(kangaroo_tiny())


@pytest.fixture(scope="module")
def processor(network):
    return KangarooProcessor.for_config(load_tiny_tokenizer(), network.config)


def document(processor, frames: int, question: str, answer: str, seed: int) -> Document:
    prompt, reply = processor.prompt_ids(question, frames), processor.reply_ids(answer)
    ids = [*prompt.prefix, *prompt.suffix, *reply]
    random = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (frames, 3, 64, 64), generator=random, dtype=torch.uint8)
    return Document(
        ids=tuple(ids),
        labels=(*[IGNORED] * (len(ids) - len(reply)), *reply),
        pixels=pixels if frames else None,
        times=tuple(float(second) for second in range(frames)),
        name=question,
    )


@pytest.fixture
def documents(processor):
    """An even and an odd number of frames, and text alone."""
    return [
        document(processor, 4, "What is it?", "Red.", 1),
        document(processor, 0, "Hello there", "And you", 2),
        document(processor, 3, "What colour is the circle here?", "Blue (A)", 3),
    ]


def hidden(objective, pack):
    layers = objective.network.llm.model.layers
    return run_layers(layers, objective.embed(pack), objective.rotary(pack), objective.documents(pack))[0]


def gradients(objective, packs):
    objective.network.zero_grad()
    for pack in packs:
        objective(pack).backward()
    return {name: p.grad.clone() for name, p in objective.network.named_parameters() if p.grad is not None}


def test_a_pack_is_its_documents_alone(network, documents):
    objective = NextToken(network)
    pack = collate(documents, 400)
    with torch.no_grad():
        together = hidden(objective, pack)[: pack.tokens].split([len(each.ids) for each in documents])
        for found, each in zip(together, documents, strict=True):
            assert torch.allclose(found, hidden(objective, collate([each])), atol=1e-5)
    packed = gradients(objective, [pack])
    alone = gradients(objective, [collate([each]) for each in documents])
    assert packed.keys() == alone.keys() and "vision.patch_embedding.weight" in packed
    for name, gradient in packed.items():
        assert torch.allclose(gradient, alone[name], atol=1e-4, rtol=1e-4), name


def test_the_loss_is_that_of_the_network_itself(network, documents):
    """transformers' own loss over one document, without anything of this package's packing."""
    each = documents[0]
    told = network(
        input_ids=torch.tensor([each.ids]),
        pixel_values=each.pixels,
        frame_times=torch.tensor(each.times, dtype=torch.float64),
        labels=torch.tensor([each.labels]),
        use_cache=False,
    )
    count = sum(label != IGNORED for label in each.labels)
    assert torch.allclose(NextToken(network)(collate([each])), told.loss * count, rtol=1e-5)


@pytest.mark.parametrize("changed", [0, 1, 2])
def test_what_changes_in_one_document_leaves_the_others_as_they_were_to_the_bit(
    network, processor, documents, changed
):
    objective = NextToken(network)
    others = list(documents)
    others[changed] = Document(
        ids=tuple(reversed(documents[changed].ids)) if changed == 1 else documents[changed].ids,
        labels=documents[changed].labels,
        pixels=None if changed == 1 else 255 - documents[changed].pixels,
        times=documents[changed].times,
    )
    lengths = [len(each.ids) for each in documents]
    with torch.no_grad():
        before = hidden(objective, collate(documents)).split(lengths)
        after = hidden(objective, collate(others)).split(lengths)
    assert [torch.equal(a, b) for a, b in zip(before, after, strict=True)] == [i != changed for i in range(3)]


def test_the_order_of_documents_changes_nothing(network, documents):
    objective = NextToken(network)
    with torch.no_grad():
        first = hidden(objective, collate(documents))
        second = hidden(objective, collate(documents[::-1]))
    size = len(documents[0].ids)
    assert torch.allclose(first[:size], second[-size:], atol=1e-5)


def test_no_target_crosses_a_boundary(documents):
    pack = collate(documents, 400)
    ends = torch.tensor(pack.lengths).cumsum(0) - 1
    assert (pack.targets[ends] == IGNORED).all()
    assert pack.labelled == sum(label != IGNORED for each in documents for label in each.labels)
    assert pack.positions[ends].tolist() == [length - 1 for length in pack.lengths]


def test_what_fits_no_pack_is_refused(documents):
    with pytest.raises(ValueError, match="do not fit a pack of 60"):
        collate(documents, 60)
    with pytest.raises(ValueError, match="at least one"):
        collate([])


def test_flex_attends_as_the_loop_does():
    torch.manual_seed(1)
    query, key, value = torch.randn(1, 4, 300, 16), torch.randn(1, 2, 300, 16), torch.randn(1, 2, 300, 16)
    out = {}
    for backend in ("loop", "flex"):
        documents = Documents((100, 7, 193), backend)
        out[backend], _ = document_attention(
            torch.nn.Module(), query, key, value, None, 0.25, documents=documents
        )
    assert out["loop"].shape == (1, 300, 4, 16)
    assert torch.allclose(out["loop"], out["flex"], atol=1e-5)


def test_varlen_is_called_with_cumulative_lengths(monkeypatch):
    """torch has it for CUDA only: here a stand-in with its signature, which attends document by document."""

    def varlen(query, key, value, cu_seq_q, cu_seq_k, max_q, max_k, *, scale=None, window_size=(-1, -1)):
        assert window_size == (-1, 0) and max_q == max_k == 193 and cu_seq_q.dtype == torch.int32
        out = []
        for start, end in zip(cu_seq_q.tolist(), cu_seq_q.tolist()[1:], strict=False):
            parts = (part[start:end].transpose(0, 1)[None] for part in (query, key, value))
            out.append(
                torch.nn.functional.scaled_dot_product_attention(*parts, is_causal=True, scale=scale)[0]
            )
        return torch.cat(out, 1).transpose(0, 1)

    monkeypatch.setattr(attention, "_varlen", lambda: varlen)
    torch.manual_seed(1)
    query, key, value = torch.randn(1, 4, 300, 16), torch.randn(1, 2, 300, 16), torch.randn(1, 2, 300, 16)
    out = {}
    for backend in ("loop", "varlen"):
        documents = Documents((100, 7, 193), backend)
        out[backend], _ = document_attention(
            torch.nn.Module(), query, key, value, None, 0.25, documents=documents
        )
    assert torch.allclose(out["loop"], out["varlen"], atol=1e-5)


def test_lengths_that_do_not_add_up_are_refused():
    query = torch.zeros(1, 2, 10, 8)
    with pytest.raises(ValueError, match="9 tokens"):
        document_attention(torch.nn.Module(), query, query, query, None, documents=Documents((4, 5), "loop"))


def test_a_back_end_without_a_backward_pass_is_refused():
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert attention.choose(cpu) == "loop"
    assert attention.choose(cuda, "flex") == "flex"
    with pytest.raises(UserError, match="no backward pass on cpu: choose 'loop'"):
        attention.choose(cpu, "flex")
    with pytest.raises(UserError, match="'eager': choose among loop, varlen, flex"):
        attention.choose(cuda, "eager")


def test_generating_is_the_same_with_the_packed_attention_in_place(network, processor):
    inputs = processor(
        "What is it?", torch.zeros(4, 64, 64, 3, dtype=torch.uint8).numpy(), [0.0, 1.0, 2.0, 3.0]
    )
    network.llm.config._attn_implementation = "sdpa"
    plain = network.generate(**inputs, max_new_tokens=8)
    NextToken(network)
    assert torch.equal(network.generate(**inputs, max_new_tokens=8), plain)


# Questions that stand apart


@pytest.fixture
def apart(processor):
    """Three questions about one video: as one document with branches, and each alone."""
    asked = [
        ("What is it?", "Red."),
        ("And where is it now?", "In the sea."),
        ("How many are there?", "Two. (C)"),
    ]
    alone = [document(processor, 4, question, answer, 1) for question, answer in asked]
    trunk = len(processor.prompt_ids("", 4).prefix)
    ids = [*alone[0].ids[:trunk], *(token for each in alone for token in each.ids[trunk:])]
    labels = [*alone[0].labels[:trunk], *(label for each in alone for label in each.labels[trunk:])]
    together = Document(
        ids=tuple(ids),
        labels=tuple(labels),
        pixels=alone[0].pixels,
        times=alone[0].times,
        branches=tuple(len(each.ids) - trunk for each in alone),
    )
    return together, alone, trunk


def test_a_question_that_stands_apart_is_as_if_it_were_the_only_one(network, processor, apart):
    together, alone, trunk = apart
    objective = NextToken(network)
    other = document(processor, 2, "Another video", "Yes.", 7)
    pack = collate([other, together], 400)
    with torch.no_grad():
        rows = hidden(objective, pack)[len(other.ids) : len(other.ids) + len(together.ids)]
        pieces = rows.split([trunk, *together.branches])
        for found, each in zip(pieces[1:], alone, strict=True):
            expected = hidden(objective, collate([each]))
            assert torch.allclose(found, expected[trunk:], atol=1e-5)
            assert torch.allclose(pieces[0], expected[:trunk], atol=1e-5)
    packed = gradients(objective, [pack])
    single = gradients(objective, [collate([each]) for each in (other, *alone)])
    for name, gradient in packed.items():
        assert torch.allclose(gradient, single[name], atol=1e-4, rtol=1e-3), name


def test_branches_have_positions_and_targets_of_their_own(apart):
    together, alone, trunk = apart
    pack = collate([together])
    assert pack.labelled == sum(collate([each]).labelled for each in alone)
    starts = torch.tensor([trunk, *together.branches[:-1]]).cumsum(0)
    assert pack.positions[starts].tolist() == [trunk] * 3
    assert (pack.targets[starts - 1] == IGNORED).all() and pack.targets[-1] == IGNORED


def test_flex_keeps_branches_apart_as_the_loop_does():
    torch.manual_seed(1)
    query, key, value = torch.randn(1, 4, 300, 16), torch.randn(1, 2, 300, 16), torch.randn(1, 2, 300, 16)
    out = {}
    for backend in ("loop", "flex"):
        documents = Documents((100, 7, 193), backend, ((30, 20), (), (1, 100, 12)))
        out[backend], _ = document_attention(
            torch.nn.Module(), query, key, value, None, 0.25, documents=documents
        )
    assert torch.allclose(out["loop"], out["flex"], atol=1e-5)


def test_branches_that_leave_nothing_before_them_are_refused():
    with pytest.raises(ValueError, match="leave none of 3 before"):
        Document(ids=(1, 2, 3), labels=(1, 2, 3), branches=(2, 1))
    with pytest.raises(ValueError, match="2 documents, but branches of 1"):
        Documents((4, 5), "loop", ((1,),))


def test_even_a_document_that_is_learnt_from_its_first_token_ends_without_a_target():
    """Prompts are never learnt, so that the documents above would hide a target that leads into the next one."""
    plain = Document(ids=(5, 6, 7), labels=(5, 6, 7))
    forked = Document(ids=(1, 2, 3, 4, 5), labels=(1, 2, 3, 4, 5), branches=(2, 2))
    pack = collate([plain, forked], 10)
    assert pack.targets.tolist() == [6, 7, IGNORED, IGNORED, 3, IGNORED, 5, IGNORED, IGNORED, IGNORED]
    assert pack.positions.tolist() == [0, 1, 2, 0, 1, 2, 1, 2, 0, 1]
