"""A transformers model laid out over several devices: the same answers, and no part of it in main memory unasked."""

from __future__ import annotations

import sys

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("transformers")
pytest.importorskip("accelerate")

from backends import hf_models, test_hf  # noqa: E402 - these need the packages above
from backends.test_hf import answers, requests  # noqa: E402

from kangaroo_eval.backends import hf, hf_loading  # noqa: E402
from kangaroo_eval.backends.hf_loading import Layout  # noqa: E402
from kangaroo_eval.errors import UserError  # noqa: E402

FAMILIES = [family for family in hf_models.VIDEO_FAMILIES if family != "smolvlm"]
"""Whose packages all come with `accelerate`'s."""


folder = test_hf.folder


@pytest.fixture
def two_gpus(monkeypatch):
    """Two GPUs, as far as torch tells of them: 100 and 50 bytes free."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda number: ((100, 50)[number], 1000))


def test_on_cpu_it_is_the_cpu(folder):
    place = str(folder("qwen2_5_vl"))
    plain = hf.load(place, device="cpu")
    laid_out = hf.load(place, device="cpu", device_map="auto")
    assert answers(laid_out, requests()) == answers(plain, requests())
    assert laid_out.model_hash == plain.model_hash
    assert laid_out.settings == plain.settings


@pytest.mark.filterwarnings("ignore:The following device_map keys:UserWarning")
@pytest.mark.parametrize("family", FAMILIES)
def test_parts_in_several_places_answer_as_one_network_does(family, folder, monkeypatch):
    """There is no second GPU in a test: the language model's layers lie on disk, and come and go by the same hooks that
    carry activations from one GPU to the next."""
    place = str(folder(family))
    plain = hf.load(place, device="cpu")
    language = next(name for name, _ in plain.network.named_modules() if name.endswith("language_model"))
    layers = f"{language}.layers."
    parts = [name for name, module in plain.network.named_modules() if not [*module.children()]]
    # Some parameters are no leaf's.
    parts += [name for name, _ in plain.network.named_parameters() if not name.startswith(layers)]
    apart = {name: "disk" if name.startswith(layers) else "cpu" for name in parts}
    monkeypatch.setattr(hf_loading, "layout", lambda _: Layout(apart))
    laid_out = hf.load(place, device="cpu", device_map="auto")
    assert laid_out.settings["device"] == "cpu, meta"
    assert laid_out.prefix.used == plain.prefix.used
    assert answers(laid_out, requests()) == answers(plain, requests())
    (request,) = requests(["Which?"])
    assert laid_out.rank(request, ("red", "one")) == plain.rank(request, ("red", "one"))


def test_every_gpu_that_is_to_be_seen_is_filled_up_to_nine_tenths(two_gpus):
    assert hf_loading.layout(torch.device("cuda")) == Layout("auto", {0: 90, 1: 45})


def test_a_part_that_finds_no_room_on_the_gpus_is_refused(folder, monkeypatch, request):
    place = str(folder("qwen2_5_vl"))
    network = hf.load(place, device="cpu").network
    size = sum(parameter.numel() * parameter.element_size() for parameter in network.parameters())
    # Only now, for what made the model would look for them too. Main memory stands for the GPUs.
    request.getfixturevalue("two_gpus")
    monkeypatch.setattr(hf_loading, "layout", lambda _: Layout("auto", {"cpu": size // 2}))
    with pytest.raises(UserError, match=r"\d+ of its \d+ parts do not fit on the 2 GPUs .*--gpus-per-model"):
        hf.load(place, device="cpu", device_map="auto")


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_one_device_by_name_and_all_of_them_contradict_each_other(device, two_gpus):
    with pytest.raises(
        UserError, match=f"--device {device} with --model-args device_map=auto: .*leave --device out"
    ):
        hf_loading.layout(torch.device(device))


def test_other_maps_are_refused():
    with pytest.raises(UserError, match="device_map=balanced: give auto"):
        hf.load("x", device_map="balanced")


def test_without_accelerate_its_command_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(UserError, match=r"needs the package accelerate .*: pip install accelerate"):
        hf_loading.layout(torch.device("cuda"))
