"""A Kangaroo on disk: saved and loaded it is the same model, and a folder that cannot be one is named in a line."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from kangaroo_eval.errors import UserError
from kangaroo_eval.identity import INDEX, WEIGHTS, of_folder, tensors_of
from kangaroo_eval.model import loading
from kangaroo_eval.model.checkpoint import identity_of
from kangaroo_eval.model.config import KangarooConfig
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor, Turn

PROMPTS = ["What color?\n(A) red\n(B) blue", "How many?", "Describe the video in detail please."]


@pytest.fixture
def folder(network, processor, tmp_path):
    target = tmp_path / "checkpoint"
    network.save_pretrained(target)
    processor.save_pretrained(target)
    return target


def answers(model, requests):
    return [response.text for response in model.respond(requests)]


# --- saved and loaded


def test_a_saved_folder_loads(folder, model, make_requests):
    loaded = loading.load(str(folder))
    assert (loaded.name, loaded.notes, loaded.model_hash) == ("kangaroo-checkpoint", (), model.model_hash)
    requests = make_requests(PROMPTS)
    assert answers(loaded, requests) == answers(model, requests)
    half = loading.load_tiny(str(folder), dtype="bfloat16", batch_size=2)
    assert (half.dtype, half.batch_size, half.model_hash) == ("bfloat16", 2, model.model_hash)


@pytest.mark.parametrize("shards", [{}, {"max_shard_size": "1MB"}])
def test_loaded_logits_are_equal_to_the_bit(network, processor, make_frames, tmp_path, shards):
    network.save_pretrained(tmp_path, **shards)
    processor.save_pretrained(tmp_path)
    assert (tmp_path / INDEX).exists() == bool(shards)
    loaded, again = KangarooForConditionalGeneration.from_pretrained(tmp_path).eval(), make_frames()
    inputs = processor("What?", again.pixels, again.times)
    reread = KangarooProcessor.from_pretrained(tmp_path)("What?", again.pixels, again.times)
    assert all(torch.equal(inputs[name], reread[name]) for name in inputs)
    with torch.inference_mode():
        assert torch.equal(network(**inputs).logits, loaded(**inputs).logits)
        ids = [each.generate(**inputs, max_new_tokens=12).tolist() for each in (network, loaded)]
    assert ids[0] == ids[1]


@pytest.mark.parametrize("shards", [{}, {"max_shard_size": "1MB"}])
def test_a_tied_output_layer_is_saved_once_and_loads(network, processor, make_frames, tmp_path, shards):
    whole = network.config.to_dict()
    whole["text_config"]["tie_word_embeddings"] = True
    with torch.random.fork_rng():
        tied = KangarooForConditionalGeneration(KangarooConfig.from_dict(whole)).eval()
    tied.save_pretrained(tmp_path, **shards)
    processor.save_pretrained(tmp_path)
    assert not any("lm_head" in name for name in tensors_of(tmp_path))
    loaded = loading.load(str(tmp_path))
    assert loaded.model_hash == identity_of(tied, processor).hash
    frames = make_frames()
    inputs = processor("What?", frames.pixels, frames.times)
    with torch.inference_mode():
        assert torch.equal(loaded.network(**inputs).logits, tied(**inputs).logits)


def test_weights_saved_in_bfloat16_load(network, processor, tmp_path, make_requests):
    network.to(torch.bfloat16).save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    assert {tensor.dtype for tensor in load_file(tmp_path / WEIGHTS).values()} == {torch.bfloat16}
    model = loading.load(str(tmp_path))
    assert model.dtype == "float32" and len(answers(model, make_requests(PROMPTS))) == 3
    assert loading.load(str(tmp_path), dtype="bfloat16").model_hash == model.model_hash


def test_a_later_save_replaces_the_earlier_one(make_network, processor, tmp_path):
    """Whatever the shards: transformers takes a single file before an index, old or not."""
    processor.save_pretrained(tmp_path)
    for seed, size in enumerate(("5GB", "1MB", "500KB", "5GB")):
        network = make_network(seed=seed)
        network.save_pretrained(tmp_path, max_shard_size=size)
        assert torch.equal(loading.load(str(tmp_path)).network.visual_tokens, network.visual_tokens)
    assert [path.name for path in tmp_path.glob("*.safetensors*")] == [WEIGHTS]


def test_a_model_can_be_saved_over_the_folder_it_came_from(folder):
    before = of_folder(folder)
    KangarooForConditionalGeneration.from_pretrained(folder).save_pretrained(folder, max_shard_size="1MB")
    assert of_folder(folder) == before


def test_the_generation_settings_are_saved(folder, network):
    saved = json.loads((folder / "generation_config.json").read_text())
    assert saved["do_sample"] is False
    assert saved["eos_token_id"] == [1, 4] and saved["pad_token_id"] == 1
    assert saved["suppress_tokens"] == network.config.control_token_ids


def test_the_full_hash_is_asked_for_and_recorded(folder):
    sampled, full = loading.load(str(folder)), loading.load(str(folder), full_hash=True)
    assert (sampled.settings["hash"], full.settings["hash"]) == ("sampled", "full")
    assert (sampled.model_hash, full.model_hash) == (
        of_folder(folder).hash,
        of_folder(folder, full=True).hash,
    )
    assert loading.load_tiny(full_hash=True).settings["hash"] == "full"
    assert loading.load_tiny(trust_remote_code=True).model_hash == loading.load_tiny().model_hash


def test_the_auto_classes_load_a_folder_in_a_new_process(folder):
    code = f"""
import transformers
from kangaroo_eval.model import KangarooForConditionalGeneration, KangarooProcessor
folder = {str(folder)!r}
kinds = {{"AutoConfig": "KangarooConfig", "AutoProcessor": "KangarooProcessor"}}
kinds |= dict.fromkeys(("AutoModel", "AutoModelForImageTextToText"), "KangarooForConditionalGeneration")
for auto, kind in kinds.items():
    found = getattr(transformers, auto).from_pretrained(folder)
    assert type(found).__name__ == kind, (auto, type(found))
tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
assert tokenizer.convert_tokens_to_ids("<vi_start>") == found.config.visual_token_ids[0]
assert tokenizer.chat_template
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_chat_template_writes_what_the_processor_writes(folder, processor):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    video = {"type": "video"}
    messages = [
        {"role": "system", "content": "Watch."},
        {"role": "user", "content": [video, {"type": "text", "text": "What?"}]},
        {"role": "assistant", "content": "A fox.  "},
        {"role": "user", "content": "然后呢？\n"},
    ]
    prompt = processor.prompt_ids("然后呢？\n", 4, system="Watch.", history=[Turn("What?", "A fox.  ")])
    written = processor.tokenizer.decode(prompt.prefix + prompt.suffix, clean_up_tokenization_spaces=False)
    sequence = processor.tokenizer.decode(processor.visual_ids(4))
    assert written.count(sequence) == 1
    rendered = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert rendered == written.replace(sequence, "<|video|>")


# --- what cannot be loaded


def fails_with(message, *args, **options):
    with pytest.raises(UserError, match=message) as caught:
        loading.load(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rewrite(folder, change):
    state = load_file(folder / WEIGHTS)
    change(state)
    save_file(state, folder / WEIGHTS, {"format": "pt"})


def edit(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def test_unusable_folders_are_named(folder, tmp_path, capfd):
    fails_with("kangaroo:FOLDER", None)
    fails_with("nowhere: no such folder", str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    fails_with("empty: config.json is missing", str(tmp_path / "empty"))
    (tmp_path / "empty" / "config.json").write_text("{")
    fails_with("cannot be read", str(tmp_path / "empty"))
    fails_with("config.json: a file", str(folder / "config.json"))
    (folder / WEIGHTS).write_bytes(b"git lfs pointer")
    fails_with("not a safetensors file", str(folder))
    (folder / WEIGHTS).unlink()
    fails_with(r"checkpoint: the weights model\.safetensors are missing.*save_pretrained", str(folder))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"model_type": "llava", "vision_config": {}}, r"type 'llava', .*--model hf:.*checkpoint"),
        ({"model_type": "llama"}, r"type 'llama', .*from_components\(vision=..., llm="),
        ({"model_type": "kangaroo"}, r"type 'kangaroo', .*--model release:.* --trust-remote-code"),
        ({"model_type": 3}, "type 3, .*save_pretrained"),
        ({}, "type None, .*save_pretrained"),
        ([], "type None, .*save_pretrained"),
    ],
)
def test_another_architecture_is_sent_to_its_own_door(folder, config, message):
    (folder / "config.json").write_text(json.dumps(config))
    fails_with(rf"config\.json: a model of {message}", str(folder))


def test_broken_weights_are_named(network, folder, capfd):
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:-100])
    fails_with(r"model\.safetensors: truncated: its header describes \d+ bytes", str(folder))
    (folder / WEIGHTS).unlink()
    torch.save(network.state_dict(), folder / "pytorch_model.bin")
    fails_with(r"pytorch_model\.bin: pickled weights are not loaded, because a pickle runs code", str(folder))
    network.save_pretrained(folder, max_shard_size="1MB")
    shard = sorted(folder.glob("model-*.safetensors"))[1]
    shard.unlink()
    capfd.readouterr()
    fails_with(rf"the shard {shard.name} is missing", str(folder))
    assert capfd.readouterr().err == ""


def test_a_pickle_is_never_opened(folder, network, tmp_path):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    (folder / WEIGHTS).unlink()
    torch.save({"projector.weight": Trap()}, folder / "pytorch_model.bin")
    assert b"ran" in (folder / "pytorch_model.bin").read_bytes()
    with pytest.raises(UserError):
        loading.load(str(folder))
    with pytest.raises(OSError, match=r"no file named model\.safetensors"):
        KangarooForConditionalGeneration.from_pretrained(folder)
    assert not (tmp_path / "ran").exists()


def test_weights_that_do_not_fit_are_named(folder, capfd):
    rewrite(folder, lambda state: state.update({"projector.weight": torch.zeros(192, 5)}))
    message = fails_with("misshapen", str(folder))
    assert "projector.weight (192, 5) instead of (192, 128)" in message
    rewrite(folder, lambda state: [state.pop(name) for name in sorted(state) if "layers.1" in name])
    message = fails_with("missing", str(folder))
    assert "and" in message and "more" in message
    assert capfd.readouterr().err == ""


def test_only_the_first_of_many_misshapen_weights_are_named_and_the_rest_counted(folder):
    edit(folder / "config.json", lambda config: config["text_config"].update(intermediate_size=511))
    message = fails_with("misshapen", str(folder))
    assert message.count(" instead of ") == 3 and "(512, 192) instead of (511, 192)" in message
    assert "and 3 more" in message


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_size": "abc"}, "hidden_size"),
        ({"num_attention_heads": 0}, "config.json"),
        ({"hidden_size": -4}, "config.json"),
    ],
)
def test_a_configuration_that_makes_no_model_is_named(folder, change, message):
    edit(folder / "config.json", lambda config: config["text_config"].update(change))
    fails_with(message, str(folder))


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        (None, {"tpe_theta": None}, "tpe_theta None: give a number above 0"),
        (None, {"tpe_theta": 0}, "tpe_theta 0"),
        ("vision_config", {"rope_theta": "many"}, "rope_theta 'many'"),
        ("vision_config", {"layer_norm_eps": [1]}, "layer_norm_eps"),
        ("vision_config", {"rope_grid": 0}, "rope_grid 0"),
        ("vision_config", {"model_type": "clip_vision_model"}, "it must be 'kangaroo_video_vision'"),
        ("text_config", {"model_type": "qwen2"}, "a part of type 'qwen2'; it must be 'llama'"),
        ("text_config", {"hidden_act": "foo"}, "foo"),
        (
            "text_config",
            {"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0}},
            "dynamic",
        ),
    ],
)
def test_a_configuration_of_odd_values_is_named(folder, part, change, message):
    edit(folder / "config.json", lambda config: (config[part] if part else config).update(change))
    fails_with(re.escape(message), str(folder))


def test_weights_that_are_whole_numbers_are_named(folder):
    """They would be read, and answer."""

    def whole(state):
        state["projector.weight"] = (100 * state["projector.weight"]).long()

    rewrite(folder, whole)
    fails_with(r"not floating point projector\.weight I64", str(folder))


def test_without_generation_settings_answers_end_and_stay_greedy(folder, network):
    (folder / "generation_config.json").unlink()
    loaded = loading.load(str(folder)).network.generation_config
    assert loaded.do_sample is False
    assert loaded.suppress_tokens == network.config.control_token_ids


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ("3", "holds no settings"),
        ("[]", "holds no settings"),
        ('{"eos_token_id": []}', r"eos_token_id \[\]: give the ids"),
        ('{"eos_token_id": "x"}', "eos_token_id 'x'"),
        (
            '{"eos_token_id": [1]}',
            r"<\|eot_id\|> \(id \d+\) ends a turn of this chat format, but only the ids \[1\]",
        ),
    ],
)
def test_answers_that_would_not_end_are_refused(folder, settings, message):
    (folder / "generation_config.json").write_text(settings)
    fails_with(message, str(folder))


def test_an_llm_without_an_end_is_refused(folder):
    (folder / "generation_config.json").unlink()
    edit(folder / "config.json", lambda config: config["text_config"].update(eos_token_id=None))
    fails_with(r"config\.json: eos_token_id None", str(folder))


@pytest.mark.parametrize("index", ["junk", "{}", "[]", '{"weight_map": 3}'])
def test_a_broken_index_of_shards_is_named(folder, index):
    (folder / INDEX).write_text(index)
    fails_with(r"model\.safetensors\.index\.json: cannot be read", str(folder))


@pytest.mark.parametrize("name", ["llm.lm_head.weight", "projector.weight"])
def test_weights_that_are_not_numbers_give_an_error_and_no_answer(folder, make_requests, name):
    """The arg-max of NaNs is a token like any other, and its text would be scored."""
    rewrite(folder, lambda state: state[name].fill_(float("nan")))
    broken = loading.load(str(folder))
    with pytest.raises(ArithmeticError, match="not finite"):
        list(broken.respond(make_requests(PROMPTS[:1])))


def test_a_missing_or_broken_tokenizer_is_named(folder):
    content = json.loads((folder / "tokenizer.json").read_text())
    content["model"]["type"] = "Telepathy"
    (folder / "tokenizer.json").write_text(json.dumps(content))
    fails_with("no usable tokenizer", str(folder))
    for name in ("tokenizer.json", "tokenizer_config.json", "processor_config.json"):
        (folder / name).unlink()
    fails_with("no usable tokenizer", str(folder))


def rename_tokens(folder, names):
    def change(content):
        for entry in content["added_tokens"]:
            entry["content"] = names.get(entry["content"], entry["content"])
        vocab = content["model"]["vocab"]
        content["model"]["vocab"] = {names.get(token, token): index for token, index in vocab.items()}

    edit(folder / "tokenizer.json", change)

    def settle(content):
        special = content["extra_special_tokens"]
        content["extra_special_tokens"] = [names.get(token, token) for token in special]

    edit(folder / "tokenizer_config.json", settle)


def test_a_tokenizer_without_the_special_tokens_is_named(folder):
    rename_tokens(folder, {"<eof>": "<frame>", "<vi_end>": "<end>"})
    fails_with(r"checkpoint: the tokenizer lacks the special tokens <eof>, <vi_end>; add them", str(folder))


def test_a_tokenizer_without_a_chat_format_is_named(folder):
    rename_tokens(folder, {"<|start_header_id|>": "<|begin|>"})
    fails_with(r"cannot write a conversation \(.*<\|start_header_id\|>", str(folder))


def test_control_tokens_under_other_ids_are_named(folder):
    rename_tokens(folder, {"<eof>": "<eov>", "<eov>": "<eof>"})
    fails_with(
        r"other ids than the network for <eof> 7 \(config.json: 6\), <eov> 6 \(config.json: 7\)", str(folder)
    )


def test_tokens_beyond_the_embedding_table_are_named_but_control_tokens_may_lie_there(
    make_network, processor, tmp_path
):
    """A tokenizer of another language model: its ids would index outside the table, or into wrong rows."""
    network = make_network()
    network.resize_token_embeddings(2555)
    network.config.text_config.vocab_size = 2555
    network.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    message = fails_with(r"the tokenizer has .* and 2 more, beyond the 2555 rows", str(tmp_path))
    assert "another language model" in message


def test_a_processor_that_disagrees_with_the_network_is_named(folder):
    edit(folder / "processor_config.json", lambda saved: saved.update(frame_size=448, patchify=False))
    fails_with(
        r"processor_config\.json: disagrees with the network: frame_size 448 \(config\.json: 64\), "
        r"patchify False \(config\.json: True\)",
        str(folder),
    )
    edit(
        folder / "processor_config.json",
        lambda saved: saved.update(frame_size=64, patchify=True, patch_size=14),
    )
    fails_with(r"patch_size 14 \(config\.json: 8\)", str(folder))
    (folder / "processor_config.json").write_text("[]")
    fails_with("holds no settings", str(folder))


def test_a_processor_of_another_network_is_refused_wherever_they_meet(network, tokenizer, make_frames):
    from kangaroo_eval.model.adapter import KangarooModel

    other = KangarooProcessor(tokenizer, 32, 8, True)
    message = r"frame_size 32 \(network: 64\)"
    with pytest.raises(UserError, match=message):
        KangarooModel("lively", network, other)
    frames = make_frames(4)
    with pytest.raises(UserError, match=message):
        network.chat(frames.pixels, "What?", processor=other, times=frames.times)


def test_code_of_a_checkpoint_is_not_run(folder, tmp_path):
    (folder / "custom.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Custom: pass\n")
    auto = {
        "AutoConfig": "custom.Custom",
        "AutoModel": "custom.Custom",
        "AutoTokenizer": ["custom.Custom", None],
    }
    for name in ("config.json", "tokenizer_config.json", "processor_config.json"):
        edit(folder / name, lambda content: content.update(auto_map=auto))
    assert loading.load(str(folder), trust_remote_code=True).name
    assert not (tmp_path / "ran").exists()


def test_wrong_options_are_named():
    with pytest.raises(UserError, match="unknown --model-args wings; known are attn_implementation"):
        loading.load_tiny(wings=2)
    with pytest.raises(UserError, match="dtype 'int3': choose float32"):
        loading.load_tiny(dtype="int3")
    with pytest.raises(UserError, match="device 'abacus' cannot be used"):
        loading.load_tiny(device="abacus")
    with pytest.raises(UserError, match="frame_chunk 'many'"):
        loading.load_tiny(frame_chunk="many")
    with pytest.raises(UserError, match="attn_implementation 'telepathy' cannot be used"):
        loading.load_tiny(attn_implementation="telepathy")
    assert loading.load_tiny(batch_tokens="4096").settings["batch_tokens"] == 4096
    with pytest.raises(UserError, match=r"batch_tokens '?x"):
        loading.load_tiny(batch_tokens="x")
    with pytest.raises(UserError, match="batch_size 0"):
        loading.load_tiny(batch_size=0)
    assert loading.load_tiny(frame_chunk="4").network.vision.frame_chunk == 4
