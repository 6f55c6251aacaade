"""A model is its weights and the files that decide its answers: not its path, its shards or its model card."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kangaroo_eval import identity
from kangaroo_eval.errors import UserError
from kangaroo_eval.identity import of_folder, tensors_of

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"


@pytest.fixture
def folder(network, processor, tmp_path):
    target = tmp_path / "checkpoint"
    network.save_pretrained(target)
    processor.save_pretrained(target)
    return target


def rewrite(folder, change):
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS, {"format": "pt"})


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


# --- the same model


def test_a_copy_is_the_same_model(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "elsewhere")
    assert of_folder(copy) == of_folder(folder)


@pytest.mark.parametrize("size", ["1MB", "300KB"])
def test_other_shards_are_the_same_model(folder, network, processor, tmp_path, size):
    target = tmp_path / "shards"
    network.save_pretrained(target, max_shard_size=size)
    processor.save_pretrained(target)
    assert (target / INDEX).exists() and not (target / WEIGHTS).exists()
    assert of_folder(target) == of_folder(folder)
    assert of_folder(target, full=True) == of_folder(folder, full=True)


def test_loaded_and_saved_again_is_the_same_model(folder, tmp_path):
    from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
    from kangaroo_eval.model.processing import KangarooProcessor

    again = tmp_path / "again"
    KangarooForConditionalGeneration.from_pretrained(folder).save_pretrained(again)
    KangarooProcessor.from_pretrained(folder).save_pretrained(again)
    assert of_folder(again) == of_folder(folder)


def test_what_changes_no_answer_changes_no_identity(folder):
    before = of_folder(folder)

    def write_elsewhere(config):
        config.update(_name_or_path="/other/place", transformers_version="9.9", dtype="bfloat16")
        config["text_config"]["_name_or_path"] = "meta/llama"
        config["provenance"] = {"results": [{"task": "videomme", "value": 56.0}]}

    edit(folder / "config.json", write_elsewhere)
    content = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").write_text(json.dumps(dict(reversed(content.items())), indent=7))
    (folder / "README.md").write_text("new numbers")
    (folder / "training_args.bin").write_bytes(b"of the trainer")
    assert of_folder(folder) == before


def test_a_network_in_memory_is_what_it_would_be_saved_as(folder, network, processor):
    from kangaroo_eval.model.checkpoint import identity_of

    assert identity_of(network, processor) == of_folder(folder)
    assert identity_of(network, processor, full=True) == of_folder(folder, full=True)


# --- another model


def noise(state):
    state["projector.weight"] += 1e-3 * torch.randn(state["projector.weight"].shape)


def one_number(state):
    state["vision.layers.1.attention_norm.bias"][3] += 1e-6


def one_layer(state):
    name = "llm.model.layers.1.mlp.down_proj.weight"
    state[name] = torch.randn_like(state[name])


def renamed(state):
    state["projector.other"] = state.pop("projector.weight")


def another_dtype(state):
    state.update({name: tensor.bfloat16() for name, tensor in state.items()})


def swapped(state):
    one, other = "llm.model.layers.0.mlp.up_proj.weight", "llm.model.layers.1.mlp.up_proj.weight"
    state[one], state[other] = state[other], state[one]


@pytest.mark.parametrize("change", [noise, one_number, one_layer, renamed, another_dtype, swapped])
@pytest.mark.parametrize("full", [False, True])
def test_changed_weights_are_another_model(folder, change, full):
    before = of_folder(folder, full=full).hash
    rewrite(folder, change)
    assert of_folder(folder, full=full).hash != before


def as_rows(tensor):
    return tensor.reshape(128, 192)


def as_integers(tensor):
    return tensor.view(torch.int32)


@pytest.mark.parametrize("read", [as_rows, as_integers])
def test_the_same_bytes_read_otherwise_are_another_model(folder, read):
    before = of_folder(folder).hash
    rewrite(folder, lambda state: state.update({"projector.weight": read(state["projector.weight"])}))
    assert of_folder(folder).hash != before


@pytest.mark.parametrize(
    ("file", "change"),
    [
        ("config.json", lambda c: c["text_config"].update(num_attention_heads=3)),
        ("config.json", lambda c: c["text_config"]["rope_parameters"].update(rope_theta=5000.0)),
        ("config.json", lambda c: c.update(tpe_theta=500.0)),
        ("generation_config.json", lambda c: c.update(eos_token_id=[2])),
        ("processor_config.json", lambda c: c.update(patchify=False)),
        ("tokenizer.json", lambda c: c["model"]["merges"].pop()),
        ("tokenizer.json", lambda c: c["model"]["vocab"].update(dtype=99999)),
        ("tokenizer_config.json", lambda c: c.update(pad_token="<eof>")),
    ],
)
def test_changed_settings_are_another_model(folder, file, change):
    before = of_folder(folder).hash
    edit(folder / file, change)
    assert of_folder(folder).hash != before


@pytest.mark.parametrize(
    "file", ["chat_template.jinja", "modeling_custom.py", "tokenizer.model", "merges.txt", "vocab.json"]
)
def test_files_beside_the_weights_count(folder, file):
    before = of_folder(folder).hash
    (folder / file).write_text("{}")
    added = of_folder(folder).hash
    (folder / file).write_text('{"a": 1}')
    assert len({before, added, of_folder(folder).hash}) == 3


def test_the_sampled_hash_leaves_out_the_inside_of_large_tensors_and_says_so(tmp_path):
    """Documented: of more than 1 MiB, the first, middle and last 64 KiB."""
    size = 2 * identity.WHOLE
    data = torch.zeros(size, dtype=torch.uint8)

    def hashes(position):
        changed = data.clone()
        if position is not None:
            changed[position] = 1
        save_file({"large": changed, "small": data[: identity.WHOLE].clone()}, tmp_path / WEIGHTS)
        sampled, full = of_folder(tmp_path), of_folder(tmp_path, full=True)
        assert (sampled.method, full.method) == ("sampled", "full")
        assert (sampled.tensors, sampled.bytes, full.read) == (2, 3 * identity.WHOLE, 3 * identity.WHOLE)
        assert sampled.read == identity.WHOLE + 3 * identity.PIECE
        return sampled.hash, full.hash

    base = hashes(None)
    for seen in (0, identity.PIECE - 1, size // 2, size - identity.PIECE, size - 1):
        assert all(one != other for one, other in zip(hashes(seen), base, strict=True)), seen
    for unseen in (identity.PIECE, size // 4, size - identity.PIECE - 1):
        sampled, full = hashes(unseen)
        assert sampled == base[0] and full != base[1]


def test_small_weights_are_read_whole_and_the_method_says_so(tmp_path):
    save_file({"one": torch.ones(7)}, tmp_path / WEIGHTS)
    assert of_folder(tmp_path) == of_folder(tmp_path, full=True)
    assert of_folder(tmp_path).method == "full"


def test_an_adapter_beside_the_weights_counts(tmp_path):
    save_file({"one": torch.ones(7)}, tmp_path / WEIGHTS)
    before = of_folder(tmp_path).hash
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UserError, match=r"adapter_config.json without adapter_model.safetensors"):
        of_folder(tmp_path)
    save_file({"lora": torch.ones(7)}, tmp_path / "adapter_model.safetensors")
    one = of_folder(tmp_path)
    save_file({"lora": torch.zeros(7)}, tmp_path / "adapter_model.safetensors")
    assert len({before, one.hash, of_folder(tmp_path).hash}) == 3 and one.tensors == 2


def bytes_read():
    return int(
        next(line for line in Path("/proc/self/io").read_text().splitlines() if "rchar" in line).split()[1]
    )


def write_sparse(path, tensors):
    """A real safetensors file whose weights are a hole: it takes no room on disk."""
    header, at = {}, 0
    for name, shape in tensors.items():
        size = 2 * shape[0] * shape[1]
        header[name] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    raw = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(raw)) + raw)
        file.truncate(8 + len(raw) + at)
    return at


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="counts the bytes that Linux saw read")
def test_the_hash_of_gigabytes_reads_under_a_hundredth_of_them(tmp_path):
    """Layers of Llama-3-8B's size: the bytes are counted by the system, and not the time."""
    shapes = {f"layers.{index}.mlp": [14336, 4096] for index in range(18)}
    shapes |= {f"layers.{index}.norm": [1, 4096] for index in range(18)}
    size = write_sparse(tmp_path / WEIGHTS, shapes)
    assert size > 2 * 10**9
    before = bytes_read()
    found = of_folder(tmp_path)
    assert bytes_read() - before < size / 100
    assert (found.bytes, found.method) == (size, "sampled") and found.read < size / 100


# --- what cannot be a model


def refused(folder, message):
    with pytest.raises(UserError, match=message) as caught:
        tensors_of(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


def test_folders_that_are_none(tmp_path):
    refused(tmp_path / "nowhere", "no such folder")
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "a file; give a model's folder")
    refused(tmp_path, r"weights model\.safetensors are missing")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "consolidated.00.pth", "last.ckpt"])
def test_pickles_are_refused_and_said_why(tmp_path, name):
    (tmp_path / name).write_bytes(b"\x80\x04.")
    refused(
        tmp_path, f"{name}: pickled weights are not loaded, because a pickle runs code.*safe_serialization"
    )
    save_file({"one": torch.ones(1)}, tmp_path / WEIGHTS)
    assert list(tensors_of(tmp_path)) == ["one"]


def make_file(header, data=b"", length=None):
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "run git lfs pull"),
        (b"PK\x03\x04 not safetensors at all", "not a safetensors file"),
        (make_file({"a": ONE}, bytes(8), length=1 << 60), "not a safetensors file"),
        (make_file({"a": ONE}, bytes(8), length=5000), "truncated in its header"),
        (make_file({"a": ONE}, bytes(7)), "truncated: its header describes 8 bytes of weights, it holds 7"),
        (make_file({"a": ONE}, bytes(9)), "longer than it says"),
        (make_file({"a": {**ONE, "data_offsets": [4, 12]}}, bytes(12)), "overlap or leave a gap"),
        (make_file({"a": ONE, "b": {**ONE, "data_offsets": [4, 12]}}, bytes(12)), "overlap or leave a gap"),
        (make_file({"a": {**ONE, "shape": [3]}}, bytes(8)), r"F32 of shape \[3\] in 8 bytes"),
        (make_file({"a": {**ONE, "shape": [-2]}}, bytes(8)), "not a safetensors file"),
        (make_file({"a": {**ONE, "dtype": "F13"}}, bytes(8)), "not a safetensors file"),
        (make_file(b'{"a": 3}', bytes(8)), "not a safetensors file"),
        (make_file(b"[]"), "not a safetensors file"),
        (make_file(b"{{"), "not a safetensors file"),
        (make_file(b'{"a": %b, "a": %b}' % ((json.dumps(ONE).encode(),) * 2), bytes(8)), "stands twice"),
    ],
)
def test_broken_files_are_named(tmp_path, content, message):
    (tmp_path / WEIGHTS).write_bytes(content)
    refused(tmp_path, rf"model\.safetensors: .*{message}")


def test_every_truncation_is_seen(tmp_path):
    save_file({"one": torch.ones(5), "two": torch.ones(3, 2)}, tmp_path / WEIGHTS)
    whole = (tmp_path / WEIGHTS).read_bytes()
    for length in range(len(whole)):
        (tmp_path / WEIGHTS).write_bytes(whole[:length])
        refused(tmp_path, r"truncated|not a safetensors file")


@pytest.fixture
def shards(tmp_path):
    save_file({"one": torch.ones(1)}, tmp_path / "a.safetensors")
    save_file({"two": torch.ones(2)}, tmp_path / "b.safetensors")
    write_index(tmp_path, {"one": "a.safetensors", "two": "b.safetensors"})
    return tmp_path


def write_index(folder, names):
    (folder / INDEX).write_text(json.dumps({"weight_map": names}))


def test_shards_must_be_there_and_hold_what_the_index_says(shards):
    assert sorted(tensors_of(shards)) == ["one", "two"]
    write_index(shards, {"one": "a.safetensors", "two": "a.safetensors"})
    refused(shards, r"names two in a\.safetensors, which does not hold it \(1 such\)")
    write_index(shards, {"one": "a.safetensors", "two": "b.safetensors", "three": "b.safetensors"})
    refused(shards, r"names three in b\.safetensors")
    write_index(shards, {"one": "a.safetensors", "two": "c.safetensors"})
    refused(shards, r"the shard c\.safetensors is missing")
    save_file({"one": torch.zeros(1), "two": torch.ones(2)}, shards / "b.safetensors")
    write_index(shards, {"one": "a.safetensors", "two": "b.safetensors"})
    refused(shards, r"one is in both a\.safetensors and b\.safetensors")


@pytest.mark.parametrize(
    "name", ["../other/b.safetensors", "/etc/passwd", "x/b.safetensors", "..\\b.safetensors", "b.bin", ""]
)
def test_an_index_names_no_file_outside_the_folder(shards, name):
    (shards.parent / "other").mkdir(exist_ok=True)
    shutil.copy(shards / "b.safetensors", shards.parent / "other")
    write_index(shards, {"one": "a.safetensors", "two": name})
    refused(shards, "which is no safetensors file of this folder")


def test_two_sets_of_weights_are_refused(shards):
    """transformers would load the single file, whichever is the newer."""
    save_file({"one": torch.ones(1), "two": torch.ones(2)}, shards / WEIGHTS)
    refused(shards, "two sets of weights")


def test_a_setting_that_names_other_weights_is_refused(shards):
    (shards / "config.json").write_text('{"transformers_weights": "a.safetensors"}')
    refused(shards, r"transformers_weights names 'a\.safetensors'")


@pytest.mark.parametrize("content", ["{", "[1", "\ufeffx", "[" * 100_000])
def test_settings_that_are_no_json_are_named(tmp_path, content):
    save_file({"one": torch.ones(1)}, tmp_path / WEIGHTS)
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=r"config\.json: cannot be read"):
        of_folder(tmp_path)
