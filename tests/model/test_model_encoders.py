"""A vision encoder from timm's, open_clip's or our own files; every fault is one line that names it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from components import MODEL_ARGS, one_line, same_encoder, small_vision, write_llm, write_timm
from safetensors.torch import load_file, save_file

from kangaroo_eval.errors import UserError
from kangaroo_eval.model import assemble, convert
from kangaroo_eval.model.config import VIDEO_TOKEN, KangarooVisionConfig
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration, WeightsError
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.model.vision import KangarooVisionModel


@pytest.fixture(scope="module")
def llm(tmp_path_factory):
    return write_llm(tmp_path_factory.mktemp("llm") / "llm")


@pytest.fixture
def vision(tmp_path):
    return write_timm(tmp_path / "vision")


# Vision encoders


def test_a_timm_folder_and_its_file_are_read(vision):
    for source in (vision, str(vision), vision / "model.safetensors"):
        assert same_encoder(convert.read_vision(source))


def test_open_clips_layout_is_read_without_its_text_tower(tmp_path):
    state = {f"visual.trunk.{n}": t for n, t in convert.to_timm(small_vision().state_dict()).items()}
    state |= {"visual.trunk.head.weight": torch.zeros(3, 16), "text.ln_final.weight": torch.zeros(7)}
    folder = write_timm(tmp_path / "clip", state)
    (folder / "model.safetensors").rename(folder / "open_clip_model.safetensors")
    assert same_encoder(convert.read_vision(folder))
    opened = {"model_cfg": {"vision_cfg": {"timm_model_name": "eva02_large_patch14_clip_224"}}}
    (folder / "open_clip_config.json").write_text(json.dumps(opened))
    with pytest.raises(WeightsError, match=r"cls_token: found \(1, 1, 16\) instead of \(1, 1, 1024\)"):
        convert.read_vision(folder)


def test_a_folder_of_ours_is_read_strictly(tmp_path):
    small_vision().save_pretrained(tmp_path)
    for source in (tmp_path, tmp_path / "model.safetensors"):
        assert same_encoder(convert.read_vision(source))
    state = load_file(tmp_path / "model.safetensors")
    state["norm.bias"] = torch.zeros(3)
    del state["norm.weight"]
    save_file(state, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        WeightsError, match=r"missing norm\.weight; norm\.bias: found \(3,\) instead of \(16,\)"
    ):
        convert.read_vision(tmp_path)


@pytest.mark.parametrize(
    ("architecture", "rows", "image_size", "rope_grid"),
    [
        ("eva02_large_patch14_clip_224", 257, 224, None),
        ("eva02_large_patch14_clip_336", 577, 336, 16),
        ("eva02_large_patch14_clip_224", 1025, 448, 16),
        ("eva02_base_patch16_clip_224", 197, 224, 16),
    ],
)
@pytest.mark.parametrize("told", [True, False], ids=["config.json", "bare file"])
def test_public_sizes_are_recognised(architecture, rows, image_size, rope_grid, told):
    """From the shapes alone too: these are the ones that timm publishes, and a table for 448 pixels."""
    sizes = convert.ARCHITECTURES[architecture]
    wanted = KangarooVisionConfig(
        hidden_size=sizes.embed_dim,
        intermediate_size={1024: 2730, 768: 2048}[sizes.embed_dim],
        num_hidden_layers=sizes.depth,
        num_attention_heads=sizes.num_heads,
        image_size=image_size,
        patch_size=sizes.patch_size,
    )
    with torch.device("meta"):
        state = KangarooVisionModel(wanted).state_dict()
    shapes = {name: item.shape for name, item in convert.to_timm(state).items()}
    assert shapes["pos_embed"][1] == rows
    found = convert.timm_config(shapes, {"architecture": architecture} if told else {}, "file")
    assert found.rope_grid == rope_grid
    assert found.to_dict() == {**wanted.to_dict(), "rope_grid": rope_grid}


def test_a_bare_file_of_unknown_sizes_is_refused(vision):
    (vision / "config.json").unlink()
    with pytest.raises(UserError, match="width 16, 2 layers and patches of 14") as error:
        convert.read_vision(vision / "model.safetensors")
    assert "eva02_base_patch16_clip_224" in one_line(error) and "config.json" in one_line(error)


def test_every_wrong_shape_is_named(tmp_path):
    state = convert.to_timm(small_vision().state_dict())
    wrong = ["blocks.0.mlp.fc2.weight", "blocks.1.mlp.fc2.weight", "blocks.1.attn.q_proj.bias", "norm.weight"]
    state |= dict.fromkeys(wrong, torch.zeros(5, 6))
    del state["blocks.0.norm1.bias"], state["blocks.1.norm1.bias"]
    state["blocks.0.gamma_1"] = torch.zeros(16)
    with pytest.raises(WeightsError) as error:
        convert.read_vision(write_timm(tmp_path / "v", state))
    assert "missing blocks.{0-1}.norm1.bias" in one_line(error)
    assert "unknown blocks.0.gamma_1" in one_line(error)
    del state["blocks.0.gamma_1"]
    state |= {f"blocks.{layer}.norm1.bias": torch.zeros(16) for layer in (0, 1)}
    with pytest.raises(WeightsError) as error:
        convert.read_vision(write_timm(tmp_path / "w", state))
    told = {name: f"{name}: found (5, 6) instead of" for name in wrong}
    assert all(line in one_line(error) for line in told.values())
    assert one_line(error).count(": found ") == len(wrong)
    assert "blocks.1.mlp.fc2.weight: found (5, 6) instead of (16, 24)" in one_line(error)


def test_another_architecture_than_the_weights_is_named(vision):
    (vision / "config.json").write_text('{"architecture": "eva02_large_patch14_clip_224"}')
    with pytest.raises(WeightsError, match=r"missing|instead of"):
        convert.read_vision(vision)
    (vision / "config.json").write_text('{"architecture": "eva02_tiny_patch14_224"}')
    with pytest.raises(UserError, match="'eva02_tiny_patch14_224'; known: eva02_base"):
        convert.read_vision(vision)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_args": {**MODEL_ARGS, "qkv_fused": True}}, "qkv_fused=True is another build"),
        ({"model_args": {**MODEL_ARGS, "rope_type": "dinov3"}}, "rope_type='dinov3' is another build"),
        ({"model_args": {**MODEL_ARGS, "ref_feat_shape": [16, 8]}}, "not square"),
        ({"pretrained_cfg": {"mean": [0.5, 0.5, 0.5]}}, r"normalised with mean \[0.5, 0.5, 0.5\]"),
        ({"pretrained_cfg": {"std": [0.25]}}, r"normalised with std \[0.25\]"),
    ],
)
def test_another_build_or_normalisation_is_refused(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        convert.read_vision(write_timm(tmp_path / "v", **change))


def test_numbers_that_are_none_are_named(tmp_path):
    state = convert.to_timm(small_vision().state_dict())
    state["blocks.1.attn.proj.weight"][0, 0] = float("nan")
    state["norm.bias"][3] = float("inf")
    with pytest.raises(WeightsError, match=r"not finite in torch\.float32") as error:
        convert.read_vision(write_timm(tmp_path / "nan", state))
    assert "layers.1.attention.output.weight, norm.bias" in one_line(error)
    state["norm.bias"] = torch.zeros(16, dtype=torch.int8)
    with pytest.raises(WeightsError, match=r"norm\.bias is I8; weights must be of F64, F32, F16, BF16"):
        convert.read_vision(write_timm(tmp_path / "int", state))


def test_an_overflow_in_half_precision_is_named(tmp_path):
    state = convert.to_timm(small_vision().state_dict())
    state["norm.weight"][0] = 1e6
    folder = write_timm(tmp_path / "v", state)
    assert convert.read_vision(folder, dtype=torch.bfloat16).norm.weight.dtype == torch.bfloat16
    with pytest.raises(WeightsError, match=r"not finite in torch\.float16: norm\.weight"):
        convert.read_vision(folder, dtype=torch.float16)


@pytest.mark.parametrize("name", ["model.pt", "open_clip_pytorch_model.bin", "x.pth", "x.ckpt"])
def test_pickles_are_refused_unopened(tmp_path, name):
    """The file would raise if it were opened as a pickle; alone in a folder, it is named too."""
    (tmp_path / name).write_bytes(b"\x80\x04cposix\nsystem\n.")
    for source in (tmp_path / name, tmp_path):
        with pytest.raises(UserError, match="pickle can run any code") as error:
            convert.read_vision(source)
        assert name in one_line(error)
        with pytest.raises(UserError, match="pickle can run any code"):
            convert.read_llm(source)


def test_a_pickle_in_a_folder_of_ours_is_refused_too(tmp_path):
    model = small_vision()
    model.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"pytorch_model\.bin: pickled weights are not loaded"):
        convert.read_vision(tmp_path)


def test_what_is_no_encoder_is_named(tmp_path, llm):
    (tmp_path / "x.npz").write_bytes(b"")
    (tmp_path / "cut.safetensors").write_bytes(b"\x00" * 20)
    (tmp_path / "empty").mkdir()
    for source, message in (
        (tmp_path / "x.npz", "not a .safetensors file"),
        (tmp_path / "cut.safetensors", "not a safetensors file"),
        (tmp_path / "empty", r"none of model\.safetensors, open_clip_model\.safetensors there"),
        (tmp_path / "absent" / "deep", "no such file or folder"),
        ("weights.safetensors", "no such file or folder"),
        (llm, "a model of type 'llama'"),
    ):
        with pytest.raises(UserError, match=message) as error:
            convert.read_vision(source)
        assert str(source) in one_line(error)


def test_positions_are_baked(tmp_path, vision, llm):
    """A table for 448 pixels encodes 448-pixel frames as the resampled one did, and survives the disk."""
    options = {"frame_size": 448, "patchify": False}
    plain = assemble.from_components(vision, llm, **options)
    baked = KangarooForConditionalGeneration.from_components(vision, llm, image_size=448, **options)
    assert baked.vision.position_embedding.shape == (1, 1025, 16)
    assert baked.config.vision_config.image_size == 448
    pixels = torch.randint(0, 256, (1, 3, 448, 448), dtype=torch.uint8)
    baked.vision.save_pretrained(tmp_path / "baked")
    with torch.no_grad():
        expected = plain.vision(pixels)
        assert torch.equal(baked.vision(pixels), expected)
        assert torch.equal(convert.read_vision(tmp_path / "baked")(pixels), expected)
    with pytest.raises(ValueError, match="450 is not a multiple of patch_size 14"):
        baked.vision.resample_positions(450)


# The hub


def fill_cache(cache: Path, repository: str, folder: Path) -> None:
    """What huggingface_hub leaves on disk after a download."""
    home = cache / f"models--{repository.replace('/', '--')}"
    (home / "refs").mkdir(parents=True)
    (home / "refs/main").write_text("abc123")
    shutil.copytree(folder, home / "snapshots/abc123")


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """The hub's cache in a folder of the test, and no network."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "cache"


def test_hub_ids_are_read_from_the_cache(offline, vision, llm):
    fill_cache(offline, "timm/eva02.merged2b", vision)
    fill_cache(offline, "someone/llama", llm)
    model = assemble.from_components("timm/eva02.merged2b", "someone/llama", frame_size=224)
    assert same_encoder(model.vision)
    assert model.config.provenance["vision"]["source"] == "timm/eva02.merged2b"
    processor = KangarooProcessor.for_components("someone/llama", model.config)
    assert processor.token_id(VIDEO_TOKEN) == model.config.video_token_id


def test_only_safetensors_are_asked_of_the_hub(monkeypatch, vision):
    asked = []

    def download(repository, allow_patterns):
        asked.append((repository, allow_patterns))
        return str(vision)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    assert same_encoder(convert.read_vision("timm/eva02"))
    with pytest.raises(UserError):
        convert.read_llm("owner/llm")
    with pytest.raises(UserError, match=r"holds no model\.Q4\.gguf"):
        convert.read_llm("owner/llm/model.Q4.gguf")
    assert [repository for repository, _ in asked] == ["timm/eva02", "owner/llm", "owner/llm"]
    assert asked[-1][1] == ["model.Q4.gguf"]
    assert not [name for _, names in asked for name in names if name.endswith((".bin", ".pt", ".pth", "*"))]


def test_a_hub_id_that_cannot_be_fetched_is_one_line(offline, llm):
    for load in (convert.read_vision, convert.read_llm):
        with pytest.raises(UserError, match="timm/absent: no such folder here, and the hub") as error:
            load("timm/absent")
        assert "local copy" in one_line(error)
