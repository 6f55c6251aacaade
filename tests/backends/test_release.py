"""`release:` through the remote code of a local repository that has the public release's interface."""

from __future__ import annotations

import json

import numpy as np
import pytest
from conftest import videomme_rows, write_videomme

from kangaroo_eval import evaluate
from kangaroo_eval.errors import UserError
from kangaroo_eval.protocols import ChoiceRanker, Described, FrameSized
from kangaroo_eval.registry import load_model
from kangaroo_eval.types import Cue, Failure, Frames, Request, Video

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

CONFIGURATION = """
from transformers import PretrainedConfig


class FakerooConfig(PretrainedConfig):
    model_type = "fakeroo"
"""

MODELING = '''
import torch
from transformers import PreTrainedModel
from .configuration_fakeroo import FakerooConfig


class FakerooForCausalLM(PreTrainedModel):
    config_class = FakerooConfig

    def __init__(self, config):
        super().__init__(config)
        self.head = torch.nn.Linear(4, 4)
        self.calls = []
        self.post_init()

    @torch.no_grad()
    def chat(self, video_path, query, tokenizer, max_new_tokens=512, eos_token_id=None, do_sample=True, history=None):
        """Says how often it was asked before; every history goes on."""
        self.calls.append(dict(video_path=video_path, query=query, max_new_tokens=max_new_tokens,
                               eos_token_id=eos_token_id, do_sample=do_sample, history=history))
        if "run out" in query:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")
        reply = "Best option:(C) the cat" if "Begin your answer" in query else "C"
        return reply, [*(history or []), (query, reply)]
'''


def write_release(folder, modeling=MODELING, eot=True):
    """A repository with remote code, made weights and a tokenizer."""
    from safetensors.torch import save_file
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "configuration_fakeroo.py").write_text(CONFIGURATION)
    (folder / "modeling_fakeroo.py").write_text(modeling)
    config = {
        "model_type": "fakeroo",
        "architectures": ["FakerooForCausalLM"],
        "auto_map": {
            "AutoConfig": "configuration_fakeroo.FakerooConfig",
            "AutoModelForCausalLM": "modeling_fakeroo.FakerooForCausalLM",
        },
    }
    (folder / "config.json").write_text(json.dumps(config))
    weights = {"head.weight": torch.eye(4), "head.bias": torch.zeros(4)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    words = [
        "<unk>",
        "<end>",
        *(["<|eot_id|>"] if eot else []),
        "C",
        "the",
        "cat",
        ")",
        "(",
        "Best",
        "option",
        ":",
    ]
    tokenizer = Tokenizer(models.WordLevel({word: n for n, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="<end>")
    fast.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", autouse=True)
def own_modules(tmp_path_factory):
    """Remote code is copied into a folder of this test's own before it is imported."""
    from transformers import dynamic_module_utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path_factory.mktemp("modules")))
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_release(tmp_path_factory.mktemp("hub") / "fakeroo")


@pytest.fixture
def model(folder):
    return load(folder)


def load(folder, **options):
    given = {"device": "cpu", "dtype": None, "seed": 0, "batch_size": None, "trust_remote_code": True}
    return load_model(f"release:{folder}", **{**given, **options})


NOTHING = Frames(np.zeros((2, 0, 0, 3), np.uint8), (0.5, 1.5))


CLIP = Video("clip.mp4")


def asked(video=CLIP, prompt="What?", **options) -> Request:
    return Request("1", video, prompt, NOTHING, 16, **options)


def test_chat_is_asked_greedily_about_the_file_without_history(model):
    first, second = model.respond([asked(), asked(prompt="Who?")])
    assert (first.text, first.frame_times, first.new_tokens) == ("C", (), 1)
    assert second.text == "C" and first.seconds > 0
    one, two = model.model.calls
    assert one == {
        "video_path": "clip.mp4",
        "query": "What?",
        "max_new_tokens": 16,
        "eos_token_id": [1, 2],
        "do_sample": False,
        "history": None,
    }
    assert two["query"] == "Who?" and two["history"] is None


def test_what_stands_around_the_question_goes_before_it_and_a_prefill_is_asked_for(model):
    request = asked(system="Watch.\n", prefill="Best option:(", timed_text=(Cue(0, 1, "a line"),))
    (answer,) = model.respond([request])
    assert model.model.calls[0]["query"] == "Watch.\na line\nWhat?\nBegin your answer with: Best option:("
    assert answer.text == "C) the cat"
    assert model.settings["prefill_echoes"] == {"cut": 1, "brackets_closed": 0}
    model.earlier({"prefill_echoes": {"cut": 4, "brackets_closed": 2}})
    list(model.respond([request]))
    assert model.settings["prefill_echoes"] == {"cut": 5, "brackets_closed": 2}
    assert model.settings["prefill"] == "asked for in words"


@pytest.mark.parametrize(
    ("video", "words"),
    [
        (Video("a.mp4", start=1.0), "a part of one"),
        (Video("a.mp4", end=3.0), "a part of one"),
        (Video("frames", frames_dir="frames", fps=1.0), "a folder of pictures"),
        (Video("a.mp4", picture="p.jpg"), "a picture beside it"),
    ],
)
def test_what_it_cannot_look_at_fails_alone(model, video, words):
    outcomes = list(model.respond([asked(), asked(video), asked()]))
    assert isinstance(outcomes[1], Failure) and outcomes[1].kind == "unsupported"
    assert words in outcomes[1].message
    assert [each.text for each in outcomes[::2]] == ["C", "C"] and len(model.model.calls) == 2


def test_a_lack_of_memory_is_told_as_one(model):
    with pytest.raises(MemoryError, match="CUDA out of memory"):
        list(model.respond([asked(prompt="run out")]))


def test_it_is_known_by_weights_and_code_and_says_that_it_decodes_by_itself(model, folder, tmp_path):
    assert isinstance(model, Described) and isinstance(model, FrameSized)
    assert not isinstance(model, ChoiceRanker)
    assert (model.name, model.frame_size, model.dtype) == ("release:fakeroo", 0, "float32")
    assert "decodes videos itself" in model.notes[0] and "unknown here" in model.settings["frames"]
    same = load(write_release(tmp_path / "elsewhere"))
    other = load(write_release(tmp_path / "changed", MODELING.replace('else "C"', 'else "D"')))
    assert same.model_hash == model.model_hash != other.model_hash
    assert load(folder, full_hash=True).model_hash != ""


@pytest.mark.parametrize(
    ("weights", "told"),
    [
        ({"head.bias": torch.zeros(4)}, "missing head.weight"),
        (
            {"module.head.weight": torch.eye(4), "module.head.bias": torch.zeros(4)},
            "missing head.bias, head.weight",
        ),
        ({"head.weight": torch.eye(5), "head.bias": torch.zeros(4)}, "head.weight"),
    ],
)
def test_weights_that_would_stay_random_are_refused(tmp_path, weights, told):
    from safetensors.torch import save_file

    place = write_release(tmp_path / "fakeroo")
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError) as refusal:
        load(place)
    assert told in str(refusal.value) and "\n" not in str(refusal.value)


def test_weights_without_a_place_are_noted(tmp_path):
    from safetensors.torch import save_file

    place = write_release(tmp_path / "fakeroo")
    weights = {"head.weight": torch.eye(4), "head.bias": torch.zeros(4), "tail.weight": torch.eye(2)}
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    assert load(place).notes[1] == "weights that its network has no place for: tail.weight"


def test_a_folder_has_no_revision(folder):
    with pytest.raises(UserError, match=r"revision=main.*is a folder"):
        load(folder, revision="main")


def test_without_the_end_of_turn_only_the_end_of_text_ends_an_answer(tmp_path):
    model = load(write_release(tmp_path / "plain", eot=False))
    list(model.respond([asked()]))
    assert model.model.calls[0]["eos_token_id"] == [1]


def test_a_reply_that_is_no_text_is_not_taken_for_one(tmp_path):
    model = load(write_release(tmp_path / "odd", MODELING.replace("return reply, [", "return None, [")))
    with pytest.raises(TypeError, match="returned NoneType"):
        list(model.respond([asked()]))


def test_code_of_a_repository_runs_only_where_it_is_trusted(tmp_path):
    ran = tmp_path / "ran"
    folder = write_release(tmp_path / "r", f"open({str(ran)!r}, 'w')\n" + MODELING)
    with pytest.raises(
        UserError, match=r"runs Python code that comes from that repository.*--trust-remote-code"
    ):
        load(folder, trust_remote_code=False)
    assert not ran.exists()
    load(folder)
    assert ran.exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("def chat", "def talk"), "FakerooForCausalLM has no chat()"),
        (("import torch\n", "import torch, decord_of_nobody\n"), "decord_of_nobody"),
        (("super().__init__(config)", "raise KeyError('nope')"), "KeyError"),
    ],
)
def test_code_that_does_not_load_is_one_line(tmp_path, change, words):
    with pytest.raises(UserError) as caught:
        # A name of its own: transformers keeps remote code by the folder's name.
        load(write_release(tmp_path / f"r{len(words)}", MODELING.replace(*change)))
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_wrong_use_is_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="release:KangarooGroup/kangaroo"):
        load_model("release")
    with pytest.raises(UserError, match="unknown --model-args temperature; known are revision"):
        load(tmp_path, temperature="1")
    with pytest.raises(UserError, match="the hub does not give it"):
        load("no such folder")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError):
        load(tmp_path)


def test_a_whole_run_through_the_release(folder, tmp_path):
    data = write_videomme(tmp_path / "data", videomme_rows(2))
    options = {"frames": 4, "data": "real", "data_root": data, "workers": 1, "output": tmp_path / "run"}
    model = load(folder)
    results = evaluate("videomme", model, **options)
    assert results["videomme"]["statuses"] == {"ok": 6} and results["videomme"]["careful"]["value"] > 0
    assert {call["video_path"] for call in model.model.calls} == {
        str(data / f"videomme/data/video{n:06d}.mp4") for n in range(2)
    }
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["model"]["notes"] == list(model.notes)
    line = json.loads((tmp_path / "run/videomme.answers.jsonl").read_text().splitlines()[0])
    assert line["frame_times"] == [] and line["text"] == "C"
