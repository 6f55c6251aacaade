"""The LLM's work on a video done once for all its questions: the same answers as whole prompts, for every family."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("transformers")

from backends import hf_models  # noqa: E402 - these need the packages above
from backends.test_hf import answers, frames, requests  # noqa: E402

from kangaroo_eval.backends import hf, hf_prefix  # noqa: E402

SPLIT = hf_models.VIDEO_FAMILIES
WAYS = [(family, "video") for family in SPLIT] + [(family, "images") for family in (*SPLIT, "llava")]


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """The model of a family, shown videos one way."""
    made = {}

    def get(family, shown):
        if family == "smolvlm":
            pytest.importorskip("num2words")
        if family not in made:
            made[family] = hf_models.save(family, tmp_path_factory.mktemp("hf") / family)
        options = {"frames": "images"} if shown == "images" else {}
        return hf.load(str(made[family]), device="cpu", dtype="float32", **options)

    return get


class Counted:
    """How many tokens each forward pass of the LLM was given."""

    def __init__(self, model):
        self.lengths = []
        inner = model.network.model
        inner = inner.language_model if hasattr(inner, "language_model") else inner.text_model
        plain = inner.forward

        def forward(*args, **options):
            self.lengths.append(options["inputs_embeds"].shape[1])
            return plain(*args, **options)

        inner.forward = forward


@pytest.mark.parametrize(("family", "shown"), WAYS)
def test_answers_are_those_of_whole_prompts_and_the_video_is_read_once(family, shown, load):
    model = load(family, shown)
    assert model.prefix.used and model.settings["done_once_a_video"] == "vision and prompt"
    counted = Counted(model)
    split = answers(model, requests())
    reads = [length for length in counted.lengths if length > 1]
    model.prefix.used = False
    counted.lengths.clear()
    assert answers(model, requests()) == split
    whole = [length for length in counted.lengths if length > 1]
    # The video's part once, and the rest of each of three questions.
    assert len(reads) == 4 and len(whole) == 3
    assert [reads[0] + rest for rest in reads[1:]] == whole


@pytest.mark.parametrize("family", SPLIT)
def test_logits_are_those_of_whole_prompts(family, load):
    """Also where the tokens would be the same by chance: random networks say little."""
    model = load(family, "video")
    for request in requests(shown=frames(count=7, seed=3)):
        inputs = model._placed(model.reader.read([model.reader.text(request)], request.frames))
        whole, split = model.prefix._logits(inputs), model.prefix._logits(model.prefix._split(inputs))
        assert torch.allclose(whole, split, atol=1e-4 * float(whole.abs().max()))


def test_other_videos_and_other_system_turns_are_read_anew(load):
    model = load("qwen3_vl", "video")
    asked = [
        *requests(shown=frames(seed=1)),
        *requests(shown=frames(seed=2)),
        *requests(shown=frames(seed=2), system="Be brief."),
    ]
    together = answers(model, asked)
    alone = [text for request in asked for text in answers(model, [hf_alone(request)])]
    assert together == alone
    model.prefix.used = False
    assert answers(model, asked) == together


def hf_alone(request):
    from dataclasses import replace

    return replace(request, siblings=0)


def test_a_question_without_frames_is_asked_whole(load):
    from dataclasses import replace

    model = load("llava_onevision", "video")
    bare = [replace(request, frames=frames(count=0)) for request in requests()]
    split = answers(model, bare)
    model.prefix.used = False
    assert answers(model, bare) == split


def test_a_network_whose_logits_would_differ_is_asked_with_whole_prompts(load, monkeypatch):
    """As Qwen2.5-VL's would without its positions: it goes on behind a video's height and width, and not behind its time."""
    monkeypatch.setattr(hf_prefix.Prefix, "_positions", lambda *_: {})
    model = load("qwen2_5_vl", "video")
    assert not model.prefix.used and model.settings["done_once_a_video"] == "vision"


def test_a_network_that_cannot_is_asked_with_whole_prompts(load, monkeypatch):
    def refuse(*_, **__):
        raise TypeError("no such cache")

    monkeypatch.setattr(hf_prefix, "DynamicCache", refuse)
    assert not load("internvl", "video").prefix.used
    monkeypatch.undo()
    monkeypatch.setattr(hf_prefix, "FAMILIES", frozenset())
    model = load("internvl", "video")
    assert not model.prefix.used and all(answers(model, requests()))


def test_a_prefix_makes_logits_of_one_token_alone(load):
    """Of all of them, 64 frames of a large model's vocabulary would take gigabytes."""
    model = load(SPLIT[0], "video")
    made = []
    hook = model.network.get_output_embeddings().register_forward_hook(
        lambda _module, _given, out: made.append(out.shape[-2])
    )
    try:
        answers(model, requests())
    finally:
        hook.remove()
    assert made and max(made) == 1
