"""Any transformers video chat model about our frames: tiny random networks of six families, and one for images only."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
import subprocess
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from conftest import videomme_rows, write_videomme

from kangaroo_eval import evaluate
from kangaroo_eval.errors import UserError, first_line
from kangaroo_eval.types import Cue, Failure, Frames, Request, Video

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")
pytest.importorskip("transformers")

from backends import hf_models  # noqa: E402 - these need the packages above

from kangaroo_eval.backends import hf  # noqa: E402

FAMILIES = hf_models.VIDEO_FAMILIES
PROMPTS = ("What?", "Where is the long cat that nobody saw?", "Who")


@pytest.fixture(autouse=True, scope="module")
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """family -> a folder of its tiny model, made once."""
    made: dict[str, Path] = {}

    def make(family: str) -> Path:
        if family == "smolvlm":
            pytest.importorskip("num2words")
        if family not in made:
            made[family] = hf_models.save(family, tmp_path_factory.mktemp("hf") / family)
        return made[family]

    return make


@pytest.fixture
def copied(folder, tmp_path):
    """A copy that a test may spoil; it returns the folder and its config.json."""

    def make(family: str = "llava_onevision") -> Path:
        return Path(shutil.copytree(folder(family), tmp_path / family))

    return make


def edit(path: Path, **changes) -> None:
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, **changes}))


def frames(count: int = 5, seed: int = 0, height: int = 40, width: int = 64, step: float = 1.5) -> Frames:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return Frames(pixels, tuple(0.3 + step * place for place in range(count)), total=300, duration=10.0)


def requests(prompts=PROMPTS, shown: Frames | None = None, **common):
    shown = frames() if shown is None else shown
    return [
        Request(
            f"q{place}",
            Video("v"),
            prompt,
            shown,
            **{"max_new_tokens": 6, **common},
            siblings=len(prompts) - 1 - place,
        )
        for place, prompt in enumerate(prompts)
    ]


def answers(model, asked) -> list[str]:
    return [response.text for response in model.respond(iter(asked))]


class Spy:
    """Records what reaches `generate`, of whole prompts."""

    def __init__(self, model):
        model.prefix.used = False
        self.model, self.seen = model, []
        self.generate = model.network.generate
        model.network.generate = self

    def __call__(self, **inputs):
        self.seen.append(inputs)
        return self.generate(**inputs)

    def prompt(self, call: int = 0, row: int = 0) -> str:
        return self.model.reader.processor.tokenizer.decode(self.seen[call]["input_ids"][row])


# What the network sees.


def colours_in(inputs, part) -> np.ndarray:
    """The colour of each frame that the network gets, (frames, 3) of 0 to 255: the middle of its pixels, as they were
    before the processor normalised them."""
    if "video_grid_thw" in inputs:
        steps = int(inputs["video_grid_thw"][0, 0])
        patches = inputs["pixel_values_videos"].reshape(
            steps, -1, 3, part.temporal_patch_size, part.patch_size**2
        )
        seen = patches.mean((1, 4)).transpose(1, 2).reshape(-1, 3)
    else:
        pixels = inputs["pixel_values_videos" if "pixel_values_videos" in inputs else "pixel_values"]
        pixels = pixels[0] if pixels.ndim == 5 else pixels
        seen = pixels[:, :, pixels.shape[2] // 2, pixels.shape[3] // 2]
    return 255 * (seen * torch.tensor(part.image_std) + torch.tensor(part.image_mean)).numpy()


@pytest.mark.parametrize("count", [1, 4, 5])
@pytest.mark.parametrize("family", FAMILIES)
def test_the_network_sees_exactly_our_frames(folder, family, count):
    model = hf.load(str(folder(family)))
    colours = np.array([[20 + 40 * place, 240 - 30 * place, 90 + 5 * place] for place in range(count)])
    plain_frames = np.broadcast_to(colours[:, None, None], (count, 40, 64, 3)).astype(np.uint8)
    spy, shown = Spy(model), dataclasses.replace(frames(count), pixels=plain_frames)
    (response,) = model.respond(iter(requests(["What?"], shown)))
    padded = [*colours, colours[-1]] if family.startswith("qwen") and count % 2 else colours
    seen = colours_in(spy.seen[0], model.reader.part)
    assert seen.shape == np.shape(padded) and np.abs(seen - padded).max() < 2
    assert response.frame_times == shown.times
    assert response.prompt_tokens == spy.seen[0]["input_ids"].shape[1]
    assert 0 < response.new_tokens <= 6


@pytest.mark.parametrize("family", FAMILIES)
def test_a_processor_that_would_choose_frames_is_stopped(folder, family):
    model = hf.load(str(folder(family)))
    part = model.reader.processor.video_processor.part
    with pytest.raises(AssertionError, match="choose frames"):
        part(
            [frames(20).pixels],
            do_sample_frames=True,
            num_frames=4,
            video_metadata=[{"total_num_frames": 20, "fps": 2}],
        )


@pytest.mark.parametrize("family", FAMILIES)
def test_another_video_gets_other_answers(folder, family):
    model = hf.load(str(folder(family)))
    told = {tuple(answers(model, requests(shown=frames(seed=seed)))) for seed in range(4)}
    assert len(told) > 1


@pytest.mark.parametrize("family", FAMILIES)
def test_no_frames_is_a_question_in_text(folder, family):
    model = hf.load(str(folder(family)))
    spy = Spy(model)
    (response,) = model.respond(iter(requests(["What?"], Frames(np.zeros((0, 8, 8, 3), np.uint8), ()))))
    assert not [name for name in spy.seen[0] if name.startswith("pixel")]
    assert "What?" in spy.prompt() and response.frame_times == ()


def plain(place: Path, asked: Request, shown: str) -> str:
    """The same question by transformers' documented calls alone."""
    import transformers as tf
    from PIL import Image

    processor = tf.AutoProcessor.from_pretrained(place)
    network = tf.AutoModelForImageTextToText.from_pretrained(place).eval()
    kind = "video" if shown == "video" else "image"
    count = 1 if kind == "video" else len(asked.frames.times)
    content = [*[{"type": kind}] * count, {"type": "text", "text": asked.prompt}]
    text = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    if kind == "image":
        pictures = [Image.fromarray(pixels) for pixels in asked.frames.pixels]
        inputs = processor(text=[text], images=[pictures], return_tensors="pt")
    else:
        clock = {
            "fps": 1000.0,
            "frames_indices": [round(1000 * time) for time in asked.frames.times],
            "total_num_frames": 7500,
            "duration": 10.0,
        }
        inputs = processor(
            text=[text],
            videos=[[asked.frames.pixels]],
            video_metadata=[clock],
            do_sample_frames=False,
            return_tensors="pt",
        )
    out = network.generate(**inputs, do_sample=False, max_new_tokens=asked.max_new_tokens)
    return processor.tokenizer.decode(out[0, inputs["input_ids"].shape[1] :], skip_special_tokens=True)


@pytest.mark.parametrize("shown", ["video", "images"])
@pytest.mark.parametrize("family", FAMILIES)
def test_siblings_and_batches_answer_as_transformers_does_alone(folder, family, shown):
    place = folder(family)
    asked = requests()
    expected = [plain(place, request, shown) for request in asked]
    assert len(set(expected)) > 1
    assert answers(hf.load(str(place), frames=shown), asked) == expected
    for size in (2, 3):
        assert answers(hf.load(str(place), frames=shown, batch_size=size), asked) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_pixels_are_worked_on_once_for_all_questions_of_a_video(folder, family, monkeypatch):
    model = hf.load(str(folder(family)))
    tower = next(
        module
        for name, module in model.network.named_modules()
        if re.fullmatch(r"model\.(visual|vision_\w+)", name)
    )
    encoded, worked = [], []
    tower.register_forward_hook(lambda *_: encoded.append(1))
    once = model.reader.part
    kind, call = type(once.part), type(once.part).__call__
    monkeypatch.setattr(
        kind, "__call__", lambda *args, **options: (worked.append(1), call(*args, **options))[1]
    )
    same = frames()
    twin = dataclasses.replace(same, pixels=same.pixels.copy())
    asked = requests()
    list(model.respond(iter([*asked[:1], dataclasses.replace(asked[1], frames=twin), *asked[2:]])))
    assert (len(encoded), len(worked)) == (1, 1), "equal frames in another array are the same video"
    list(model.respond(iter(requests(shown=frames(seed=1)))))
    assert (len(encoded), len(worked)) == (2, 2)
    assert once._result is None and model.features._kept is None, "nothing is kept behind the last video"


def test_videos_of_one_shape_are_not_taken_for_each_other(folder):
    model = hf.load(str(folder("qwen2_5_vl")))
    one, two = requests(["What?"]), requests(["What?"], frames(seed=1))
    apart = answers(model, one) + answers(model, two)
    assert answers(model, [*one, *two]) == apart
    mixed = [dataclasses.replace(one[0], siblings=1), dataclasses.replace(two[0], siblings=0)]
    assert answers(model, mixed) == apart


# Times.


def test_qwen3_reads_our_times(folder):
    model = hf.load(str(folder("qwen3_vl")))
    spy, shown = Spy(model), dataclasses.replace(frames(), times=(0.1, 2.3, 7.0, 7.04, 61.76))
    answers(model, requests(["What?"], shown))
    told = [float(found) for found in re.findall(r"<([\d.]+) seconds>", spy.prompt())]
    assert told == [1.2, 7.0, 61.8], "the mean of each pair of frames; the odd last one is paired with itself"
    answers(model, requests(["What?"], dataclasses.replace(shown, times=(0.1, 2.3, 7.0, 7.04, 62.76))))
    assert spy.prompt(1) != spy.prompt(0)


def test_smolvlm_reads_our_times(folder):
    model = hf.load(str(folder("smolvlm")))
    spy, shown = Spy(model), dataclasses.replace(frames(3), times=(0.1, 59.9, 3671.2), duration=3700.0)
    answers(model, requests(["What?"], shown))
    assert re.findall(r"Frame from (\d+:\d+):", spy.prompt()) == ["00:00", "00:59", "61:11"]
    assert "three frames from a 1:01:40 [H:MM:SS] video" in spy.prompt()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_qwen2_5_is_told_the_distance_of_our_frames(folder, dtype):
    model = hf.load(str(folder("qwen2_5_vl")), dtype=dtype)
    spy = Spy(model)
    answers(model, requests(["What?"], frames(step=1.37)))
    step = torch.as_tensor(spy.seen[0]["second_per_grid_ts"])
    assert step.tolist() == pytest.approx([2 * 1.37], abs=1e-6), "two frames to a step"
    assert spy.seen[0]["pixel_values_videos"].dtype == getattr(torch, dtype) == model.network.dtype


@pytest.mark.parametrize("times", [(3.0, 3.0, 3.0), (0.0,)])
def test_frames_without_a_distance_are_no_error(folder, times):
    model = hf.load(str(folder("qwen2_5_vl")))
    shown = dataclasses.replace(frames(len(times)), times=times, duration=0.0)
    assert len(answers(model, requests(["What?"], shown))) == 1


def test_images_are_told_with_their_times_where_asked(folder):
    place, shown = str(folder("llava_onevision")), dataclasses.replace(frames(3), times=(0.04, 2.26, 61.0))
    model = hf.load(place, frames="images", times="1")
    spy = Spy(model)
    answers(model, requests(["What?"], shown, timed_text=(Cue(1.0, 3.0, "said"),)))
    row = re.sub("(<image>)+", "#", spy.prompt())
    assert "Frame at 0.0 s:\n#said\nFrame at 2.3 s:\n#Frame at 61.0 s:\n#What?<|im_end|>" in row
    assert model.settings["times"] is True
    silent = hf.load(place, frames="images")
    spy = Spy(silent)
    answers(silent, requests(["What?"], shown))
    assert "Frame at" not in spy.prompt() and silent.settings["times"] is False


# What is asked.

CUES = (Cue(0.0, 1.0, "first words"), Cue(3.0, 5.0, "second words"))


def test_subtitles_stand_before_the_question_of_a_video(folder):
    model = hf.load(str(folder("llava_onevision")))
    spy = Spy(model)
    answers(model, requests(["What?"], timed_text=CUES))
    assert re.search(r"(<video>)+first words\nsecond words\nWhat\?<\|im_end\|>", spy.prompt())
    assert model.settings["timed_text"] == "before the question"


def test_subtitles_stand_between_images(folder):
    model = hf.load(str(folder("llava_onevision")), frames="images")
    spy = Spy(model)
    answers(model, requests(["What?"], timed_text=CUES))
    row = re.sub("(<image>)+", "#", spy.prompt())
    assert "#first words\n#second words\n#What?<|im_end|>" in row
    first, second = (spy.prompt().split(text)[0].count("<image>") for text in ("first words", "second words"))
    whole = spy.prompt().count("<image>")
    assert (first, second) == (whole // 5, 3 * whole // 5)
    assert model.settings["timed_text"] == "interleaved"
    assert model.notes == ("every frame is shown as an image",)


@pytest.mark.parametrize("family", FAMILIES)
def test_system_turn_and_a_begun_answer(folder, family):
    model = hf.load(str(folder(family)))
    spy = Spy(model)
    answers(model, requests(["What?"], system="Be brief.", prefill="Best option: ("))
    assert spy.prompt().endswith("Best option: (")
    assert "Be brief." in spy.prompt().split("What?")[0]


def test_the_system_turn_is_the_templates_own_unless_told(folder):
    place = str(folder("qwen2_5_vl"))
    for options, asked, expected in (
        ({}, None, "You are a helpful assistant."),
        ({"system": "Look closely."}, None, "Look closely."),
        ({"system": "Look closely."}, "The task's.", "The task's."),
    ):
        model = hf.load(place, **options)
        spy = Spy(model)
        answers(model, requests(["What?"], system=asked))
        assert spy.prompt().startswith(f"<|im_start|>system\n{expected}<|im_end|>")
        assert model.settings["system"] == options.get("system")


def test_a_template_that_drops_the_system_turn_is_refused(copied):
    place = copied()
    (place / "chat_template.jinja").write_text(
        "{% for m in messages %}{% if m['role'] == 'user' %}<video>{{ m['content'][-1]['text'] }}{% endif %}{% endfor %}"
    )
    model = hf.load(str(place))
    assert len(answers(model, requests(["What?"]))) == 1
    with pytest.raises(UserError, match=r"leaves out 'Be brief\.'"):
        answers(model, requests(["What?"], system="Be brief."))


def test_a_template_that_shows_no_video_is_refused(copied):
    place = copied()
    (place / "chat_template.jinja").write_text(
        "{% for m in messages %}{{ m['content'][-1]['text'] }}{% endfor %}"
    )
    with pytest.raises(UserError, match=r"0 placeholders '<video>' for 1; try --model-args frames=images"):
        answers(hf.load(str(place)), requests(["What?"]))


def test_a_question_that_holds_a_placeholder_fails_alone(folder):
    model = hf.load(str(folder("qwen2_5_vl")))
    good = answers(model, requests([PROMPTS[0], PROMPTS[2]]))
    first, failed, last = model.respond(iter(requests([PROMPTS[0], "What is <|video_pad|>?", PROMPTS[2]])))
    assert isinstance(failed, Failure) and failed.id == "q1" and "<|video_pad|>" in failed.message
    assert [first.text, last.text] == good


@pytest.mark.parametrize("shown", ["video", "images"])
@pytest.mark.parametrize("family", FAMILIES)
def test_a_placeholder_of_any_kind_fails_its_question_alone(folder, family, shown):
    model = hf.load(str(folder(family)), frames=shown)
    good = answers(model, requests([PROMPTS[0], PROMPTS[2]]))
    without = Frames(np.zeros((0, 8, 8, 3), np.uint8), ())
    for token in (model.reader.processor.image_token, model.reader.processor.video_token):
        asked = [PROMPTS[0], f"What is {token}?", PROMPTS[2]]
        first, failed, last = model.respond(iter(requests(asked)))
        assert isinstance(failed, Failure) and failed.kind == "unsupported" and repr(token) in failed.message
        assert [first.text, last.text] == good
        _, failed, _ = model.respond(iter(requests(asked, without)))
        assert isinstance(failed, Failure) and repr(token) in failed.message


@pytest.mark.parametrize("written", [True, False])
def test_the_first_token_stands_once_whether_the_template_writes_it_or_not(copied, written):
    from tokenizers import Tokenizer, processors

    place = copied("llava_next_video")
    core = Tokenizer.from_file(str(place / "tokenizer.json"))
    core.add_special_tokens(["<s>"])
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))]
    )
    core.save(str(place / "tokenizer.json"))
    edit(place / "tokenizer_config.json", bos_token="<s>")
    grow = json.loads((place / "config.json").read_text())["text_config"]
    edit(place / "config.json", text_config={**grow, "vocab_size": core.get_vocab_size()})
    more = core.get_vocab_size() - grow["vocab_size"]
    weights_of(
        place,
        lambda tensors: tensors.update(
            {
                name: torch.cat([each, each[:more]])
                for name, each in tensors.items()
                if len(each) == grow["vocab_size"]
            }
        ),
    )
    template = place / "chat_template.jinja"
    template.write_text("{{ bos_token }}" * written + template.read_text())
    model = hf.load(str(place))
    spy = Spy(model)
    answers(model, requests(["What?"]))
    assert spy.prompt().startswith("<s>USER: ") and spy.prompt().count("<s>") == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_tokenizer_saved_in_training_does_not_cut_or_fill_the_prompt(folder, copied, family):
    """Both are kept in its files: truncation and padding as the last call had them, and a `max_length`."""
    place = copied(family)
    tokenizer = json.loads((place / "tokenizer.json").read_text())
    pad = tokenizer["model"]["vocab"].get("<|pad|>", 0)
    tokenizer["truncation"] = {
        "direction": "Right",
        "max_length": 20,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    tokenizer["padding"] = {
        "strategy": {"Fixed": 4000},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": pad,
        "pad_type_id": 0,
        "pad_token": "<|pad|>",
    }
    (place / "tokenizer.json").write_text(json.dumps(tokenizer))
    edit(place / "tokenizer_config.json", max_length=20, truncation=True, padding="max_length")
    for batch_size in (1, 3):
        ours, theirs = (
            hf.load(str(folder(family)), batch_size=batch_size),
            hf.load(str(place), batch_size=batch_size),
        )
        wanted, got = list(ours.respond(requests())), list(theirs.respond(requests()))
        assert [each.prompt_tokens for each in got] == [each.prompt_tokens for each in wanted]
        assert [each.text for each in got] == [each.text for each in wanted]


def test_a_folder_has_no_revision(folder):
    with pytest.raises(UserError, match=r"revision=main.*is a folder"):
        hf.load(str(folder("llava_onevision")), revision="main")


def test_nothing_beyond_the_siblings_is_read(folder):
    model = hf.load(str(folder("internvl")))
    read = []

    def stream():
        for number, request in enumerate([*requests(), *requests(shown=frames(seed=1))]):
            read.append(number)
            yield request

    told = list(islice(model.respond(stream()), 3))
    assert [response.id for response in told] == ["q0", "q1", "q2"]
    assert read == [0, 1, 2]


# Decoding.


def test_greedy_whatever_the_generation_config_says(folder, tmp_path):
    place = folder("qwen2_5_vl")
    wild = hf_models.save(
        "qwen2_5_vl",
        tmp_path / "wild",
        do_sample=True,
        temperature=9.0,
        top_k=50,
        repetition_penalty=5.0,
        max_length=3,
        min_new_tokens=6,
    )
    model = hf.load(str(wild))
    asked = requests(max_new_tokens=12)
    assert answers(model, asked) == answers(hf.load(str(place)), asked)
    assert model.settings["generation_config_ignored"] == {
        "temperature": 9.0,
        "top_k": 50,
        "repetition_penalty": 5.0,
        "max_length": 3,
        "min_new_tokens": 6,
    }
    assert model.settings["decoding"] == "greedy"


def test_an_answer_ends_at_any_end_token_and_does_not_hold_it(folder, tmp_path):
    model = hf.load(str(folder("qwen3_vl")))
    spy = Spy(model)
    answers(model, requests(["What?"]))
    tokens = model.network.generate(**spy.seen[0])[0, spy.seen[0]["input_ids"].shape[1] :].tolist()
    third = tokens[2]
    place = hf_models.save("qwen3_vl", tmp_path / "ends", eos_token_id=[third, tokens[5]])
    (response,) = hf.load(str(place)).respond(iter(requests(["What?"])))
    assert response.new_tokens == tokens.index(third)
    assert model.network.generation_config.eos_token_id == [model.reader.processor.tokenizer.eos_token_id]


def test_each_request_of_a_batch_has_its_own_limit(folder):
    place = str(folder("internvl"))
    asked = [
        dataclasses.replace(each, max_new_tokens=limit)
        for each, limit in zip(requests(), (1, 4, 2), strict=True)
    ]
    together = list(hf.load(place, batch_size=3).respond(iter(asked)))
    assert [(each.text, each.new_tokens) for each in together] == [
        (each.text, each.new_tokens) for each in hf.load(place).respond(iter(asked))
    ]
    assert [each.new_tokens for each in together] == [1, 4, 2]


@pytest.mark.parametrize("of_answers", [256, None, -1])
@pytest.mark.parametrize("family", ["llava_onevision", "qwen2_5_vl"])
def test_a_tokenizer_without_a_padding_token_answers_batches(folder, copied, family, of_answers):
    place = copied(family)
    edit(place / "tokenizer_config.json", pad_token=None)
    edit(place / "generation_config.json", pad_token_id=of_answers)
    asked = [
        dataclasses.replace(each, max_new_tokens=limit)
        for each, limit in zip(requests(), (6, 1, 5), strict=True)
    ]
    model = hf.load(str(place), batch_size=2)
    spy = Spy(model)
    assert answers(model, asked) == answers(hf.load(str(folder(family))), asked)
    assert [len(seen["input_ids"]) for seen in spy.seen] == [2, 1]


def test_prompts_beyond_the_positions_of_the_llm_are_noted_once(folder, copied, caplog):
    (response,) = hf.load(str(folder("qwen2_5_vl"))).respond(iter(requests(["What?"])))
    place = copied("qwen2_5_vl")
    text = json.loads((place / "config.json").read_text())["text_config"]
    for positions, noted in ((response.prompt_tokens, 0), (response.prompt_tokens - 1, 1)):
        edit(place / "config.json", text_config={**text, "max_position_embeddings": positions})
        model = hf.load(str(place))
        caplog.clear()
        answers(model, requests(["What?", "What?"]))
        note = f"prompts longer than the LLM's {positions:,} positions"
        assert model.notes == (note,) * noted
        assert sum(note in record.message for record in caplog.records) == noted


def test_logits_that_are_no_numbers_are_no_answer(folder):
    model = hf.load(str(folder("llava_onevision")))
    model.network.lm_head.weight.data[3] = float("nan")
    with pytest.raises(ArithmeticError, match=r"not finite in torch\.float32"):
        answers(model, requests())


def test_short_memory_is_a_memory_error(folder):
    model = hf.load(str(folder("llava_onevision")))

    def generate(**_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nmore")

    model.network.generate = generate
    with pytest.raises(MemoryError, match="Tried to allocate"):
        answers(model, requests())


# Loading.


def test_images_only_models_say_so_and_take_images(folder):
    place = str(folder("llava"))
    with pytest.raises(UserError, match=r"takes no video, only images; --model-args frames=images"):
        hf.load(place)
    model = hf.load(place, frames="images")
    assert answers(model, requests()) == [plain(Path(place), each, "images") for each in requests()]


SIZES = {
    "llava_onevision": (56, False),
    "llava_next_video": (112, True),
    "qwen2_5_vl": (74, True),
    "qwen3_vl": (682, True),  # its own bound is one of the whole video
    "internvl": (56, False),
    "smolvlm": (56, True),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_frames_have_the_size_that_the_processor_can_use(folder, family):
    model = hf.load(str(folder(family)))
    assert (model.frame_size, model.keep_aspect) == SIZES[family]
    assert hf.load(str(folder(family)), frame_size="40").frame_size == 40


def test_the_frames_of_the_published_qwen_processor():
    import transformers

    big = transformers.Qwen2VLVideoProcessor(size={"shortest_edge": 3136, "longest_edge": 12845056})
    size, keep_aspect = hf.geometry(big, "video")
    assert (size, keep_aspect) == (1034, True), "of 16:9, 768 tokens of 28 x 28"


def test_bounds_of_pixels(folder):
    place = str(folder("qwen2_5_vl"))
    counts = []
    for options in ({}, {"max_pixels": "784"}, {"min_pixels": "12544", "max_pixels": "12544"}):
        model = hf.load(place, **options)
        (response,) = model.respond(iter(requests(["What?"])))
        counts.append(response.prompt_tokens)
        assert model.settings["processor_size"]["longest_edge"] == int(options.get("max_pixels", 56 * 56))
    assert counts[1] < counts[0] < counts[2]
    with pytest.raises(
        UserError, match=r"max_pixels: LlavaOnevisionVideoProcessor makes all pictures of one size"
    ):
        hf.load(str(folder("llava_onevision")), max_pixels="100")


def test_identity_is_of_weights_and_processor_not_of_the_place(folder, copied):
    first = hf.load(str(folder("llava_onevision")))
    place = copied()
    assert hf.load(str(place)).model_hash == first.model_hash
    assert first.settings["hash"] in ("sampled", "full")
    (place / "chat_template.jinja").write_text((place / "chat_template.jinja").read_text() + " ")
    assert hf.load(str(place)).model_hash != first.model_hash


SHOWN_OTHERWISE = (
    {"frames": "images"},
    {"frames": "images", "times": "1"},
    {"system": "Look closely."},
    {"max_pixels": "2352"},
    {"min_pixels": "1568"},
    {"frame_size": "40"},
    {"trust_remote_code": True},
)
SHOWN_ALIKE = (
    {"attn_implementation": "eager"},
    {"threads": "1"},
    {"batch_size": 2},
    {"times": "0"},
    {"max_pixels": str(hf_models.SIDE**2)},
)


def test_identity_is_also_of_how_the_model_is_shown_a_video(folder):
    place = str(folder("qwen2_5_vl"))
    plain_model = hf.load(place)
    hashes = [plain_model.model_hash]
    for options in SHOWN_OTHERWISE:
        model = hf.load(place, **options)
        assert model.settings["weights_hash"] == plain_model.settings["weights_hash"]
        hashes.append(model.model_hash)
    assert len(set(hashes)) == 1 + len(SHOWN_OTHERWISE)
    for options in SHOWN_ALIKE:
        assert hf.load(place, **options).model_hash == plain_model.model_hash, options


def test_settings_say_what_was_loaded(folder):
    place = str(folder("qwen2_5_vl"))
    model = hf.load(place)
    assert model.settings["attn_implementation"] == "sdpa"
    assert hf.load(place, attn_implementation="eager").settings["attn_implementation"] == "eager"
    assert model.settings["cap_pixels_per_frame"] is model.reader.part.cap_pixels_per_frame is True
    assert hf.load(str(folder("internvl"))).settings["cap_pixels_per_frame"] is None


def weights_of(place: Path, change) -> None:
    from safetensors.torch import load_file, save_file

    file = place / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, {"format": "pt"})


def drop(tensors) -> None:
    del tensors[next(name for name in sorted(tensors) if "q_proj" in name)]


def add(tensors) -> None:
    tensors["an.extra.layer"] = torch.zeros(2)


def reshape(tensors) -> None:
    name = next(name for name in sorted(tensors) if "q_proj.weight" in name)
    tensors[name] = torch.zeros(3, 3)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (drop, "missing .*q_proj"),
        (add, "unknown an.extra.layer"),
        (reshape, r"misshapen .*q_proj.weight \(3, 3\) instead of"),
    ],
)
def test_weights_that_do_not_fit_are_refused(copied, change, told):
    place = copied()
    weights_of(place, change)
    with pytest.raises(UserError, match=told) as caught:
        hf.load(str(place))
    assert "\n" not in str(caught.value)


def truncate(place: Path) -> None:
    raw = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(raw[:-10])


def pickle(place: Path) -> None:
    (place / "model.safetensors").unlink()
    torch.save({}, place / "pytorch_model.bin")


def remove(*patterns: str):
    return lambda place: [path.unlink() for pattern in patterns for path in place.glob(pattern)]


def shrink(place: Path) -> None:
    text = json.loads((place / "config.json").read_text())["text_config"]
    edit(place / "config.json", text_config={**text, "vocab_size": 64})
    weights_of(
        place, lambda tensors: tensors.update({n: t[:64].clone() for n, t in tensors.items() if len(t) > 256})
    )


def config(**changes):
    return lambda place: edit(place / "config.json", **changes)


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (truncate, "truncated"),
        (pickle, "pickle"),
        (config(model_type="llama"), "llama is not a vision-language model"),
        (config(model_type="kangaroo"), "a Kangaroo checkpoint; write kangaroo:"),
        (config(model_type="llava_onevision_99"), "is a newer one needed"),
        (config(model_type=None), "names no model_type"),
        (remove("chat_template.jinja"), "no chat template"),
        (
            remove("*processor_config.json"),
            r"llava_onevision: no usable processor \(no processor_config\.json, nor another file in its place\); copy",
        ),
        (
            remove("tokenizer*"),
            r"no usable processor \(no tokenizer\.json, nor another file in its place\); copy",
        ),
        (config(video_token_index=7), "the processor's video token is"),
        (shrink, "the tokenizer knows .* the network 64"),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_clear_line(copied, spoil, told):
    place = copied()
    spoil(place)
    with pytest.raises(UserError, match=told) as caught:
        hf.load(str(place))
    assert "\n" not in str(caught.value) and "huggingface.co" not in str(caught.value)


@pytest.mark.parametrize(
    ("arg", "options", "told"),
    [
        (None, {}, "write hf:FOLDER or hf:OWNER/NAME"),
        ("/no/such/folder", {}, "no such folder, and no id of the hub"),
        (__file__, {}, "a file; give a model's folder"),
        ("x", {"frames": "gif"}, "choose video or images"),
        (
            "x",
            {"times": "1"},
            "times=1: a video's times are told as the model's own processor does; add frames",
        ),
        ("x", {"frames": "images", "times": "yes"}, "times=yes: give 1 or 0"),
        ("x", {"colour": "1"}, "unknown --model-args colour; known are frames: "),
    ],
)
def test_wrong_arguments_are_one_clear_line(arg, options, told):
    with pytest.raises(UserError, match=re.escape(told)):
        hf.load(arg, **options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max_pixels": "500"}, "max_pixels 500 and min_pixels 784"),
        ({"max_pixels": "1000", "min_pixels": "1001"}, "max_pixels 1000 and min_pixels 1001"),
        ({"min_pixels": "3137"}, "max_pixels 3136 and min_pixels 3137"),
        (
            {"max_pixels": "783", "min_pixels": "1"},
            "max_pixels 783 and min_pixels 1: .* the 784 of one patch",
        ),
    ],
)
def test_bounds_of_pixels_that_leave_nothing_are_refused(folder, options, told):
    with pytest.raises(UserError, match=told) as caught:
        hf.load(str(folder("qwen2_5_vl")), **options)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"attn_implementation": "quick"}, "quick"),
        ({"frame_size": "0"}, "frame_size '0'"),
        ({"batch_size": 0}, "batch_size 0"),
        ({"device": "abacus"}, "device 'abacus'"),
        ({"dtype": "int4"}, "dtype 'int4'"),
    ],
)
def test_wrong_options_are_one_clear_line(folder, options, told):
    with pytest.raises(UserError, match=told) as caught:
        hf.load(str(folder("llava_onevision")), **options)
    assert "\n" not in str(caught.value)


def test_smolvlm_names_the_package_it_lacks(folder, monkeypatch):
    place = str(folder("smolvlm"))
    from transformers.models.smolvlm import processing_smolvlm

    monkeypatch.setattr(processing_smolvlm, "num2words", None)
    with pytest.raises(UserError, match="pip install num2words"):
        hf.load(place)


def test_a_hub_id_loads_from_the_cache_and_is_refused_offline_where_it_is_not_there(
    folder, tmp_path, monkeypatch
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--some--model"
    shutil.copytree(folder("internvl"), repository / "snapshots" / ("a" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    model = hf.load("some/model")
    assert model.name == "some--model"
    assert model.model_hash == hf.load(str(folder("internvl"))).model_hash
    with pytest.raises(UserError, match=r"some/other: no such folder, and the hub cannot be reached"):
        hf.load("some/other")


CODE = """
from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration
class MineConfig(Qwen3VLConfig):
    model_type = "mine_vl"
class Mine(Qwen3VLForConditionalGeneration):
    config_class = MineConfig
"""


def test_code_of_a_repository_runs_only_when_trusted(folder, copied, monkeypatch, tmp_path):
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    place = copied("qwen3_vl")
    (place / "mine.py").write_text(CODE)
    names = {"AutoConfig": "mine.MineConfig", "AutoModelForImageTextToText": "mine.Mine"}
    edit(place / "config.json", model_type="mine_vl", auto_map=names, architectures=["Mine"])
    with pytest.raises(UserError, match="--trust-remote-code"):
        hf.load(str(place))
    model = hf.load(str(place), trust_remote_code=True)
    assert answers(model, requests()) == answers(hf.load(str(folder("qwen3_vl"))), requests())
    assert model.settings["trust_remote_code"] is True


PACKAGES = """
import importlib, sys, types
def stand_in(name, *args, real=importlib.import_module):
    if name == "torchvision":
        raise %s
    return real(name, *args)
importlib.import_module = stand_in
from kangaroo_eval.backends import hf_loading
from kangaroo_eval.errors import UserError, first_line
try:
    hf_loading.check_packages()
except UserError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        ("ModuleNotFoundError(\"No module named 'torchvision'\")", "pip install torchvision"),
        (
            'RuntimeError("operator torchvision::nms does not exist")',
            "--index-url https://download.pytorch.org/whl/",
        ),
    ],
)
def test_a_torchvision_that_is_absent_or_does_not_fit_is_named(error, told):
    done = subprocess.run(
        [sys.executable, "-c", PACKAGES % error], capture_output=True, text=True, check=True
    )
    assert told in done.stdout and done.stdout.count("\n") == 1, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("\n one thing \n another"), "one thing"),
        (KeyError("colour"), "KeyError: 'colour'"),
        (KeyError(), "KeyError"),
        (OSError(), "OSError"),
    ],
)
def test_the_first_line_of_an_error(error, told):
    assert first_line(error) == told


def test_a_long_line_is_cut_between_words():
    told = first_line(ValueError("word " * 100))
    assert told.endswith("word ...") and 280 < len(told) <= 300


# In a run.


def test_a_run(folder, tmp_path):
    data = write_videomme(tmp_path / "data", videomme_rows(2))
    name = f"hf:{folder('qwen2_5_vl')}"
    results = evaluate("videomme", name, 8, data="real", data_root=data, output=tmp_path / "run", workers=0)
    assert results["videomme"]["statuses"] == {"ok": 6}
    record = json.loads((tmp_path / "run/run.json").read_text())
    assert record["decoding"]["size"] == 74 and record["decoding"]["keep_aspect"] is True
    assert record["model"]["settings"]["decoding"] == "greedy"
    lines = [json.loads(line) for line in (tmp_path / "run/videomme.answers.jsonl").read_text().splitlines()]
    assert all(line["prompt_tokens"] > 0 and len(line["frame_times"]) == 8 for line in lines)


def test_a_run_does_not_go_on_with_frames_shown_in_another_way(folder, tmp_path):
    data = write_videomme(tmp_path / "data", videomme_rows(1))
    name = f"hf:{folder('qwen2_5_vl')}"

    def run(**model_args):
        options = {"data": "real", "data_root": data, "output": tmp_path / "run", "workers": 0}
        return evaluate("videomme", name, 4, **options, model_args={"frame_size": "64", **model_args})

    run()
    run(attn_implementation="sdpa", threads="1")
    for other in ({"frames": "images"}, {"system": "Look closely."}, {"max_pixels": "784"}):
        with pytest.raises(UserError, match="model_hash"):
            run(**other)


@pytest.mark.slow
def test_the_mini_benchmark_with_a_dynamic_resolution_model(folder, tmp_path):
    name = f"hf:{folder('qwen3_vl')}"
    results = evaluate(["videomme"], name, 8, data="mini", output=tmp_path / "run", limit=6)
    assert sum(results["videomme"]["statuses"].values()) == results["videomme"]["statuses"]["ok"] > 0
