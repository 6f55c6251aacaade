"""The whole network: Figure 2's sequence, parts, loss, saving, and transformers' `generate`."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from kangaroo_eval.model.config import KangarooConfig, kangaroo_8b, kangaroo_tiny
from kangaroo_eval.model.modeling import (
    PARTS,
    KangarooForConditionalGeneration,
    WeightsError,
    part_of,
)


def count_parts(model):
    sizes = Counter()
    for name, parameter in model.named_parameters():
        sizes[part_of(name)] += parameter.numel()
    return sizes


def test_sizes_of_the_8b_model():
    """Built without memory; the vision encoder is EVA02-L/14's 303.3 M, the LLM Llama-3-8B's 8.03 B."""
    with torch.device("meta"):
        sizes = count_parts(KangarooForConditionalGeneration(kangaroo_8b()))
    assert sizes == {
        "vision": 303_317_952,
        "patchify": 9_216,
        "projector": 1024 * 4096 + 4096,
        "visual_tokens": 4 * 4096,
        "llm": 8_030_261_248,
    }


def test_size_of_the_tiny_model():
    with torch.device("meta"):
        sizes = count_parts(KangarooForConditionalGeneration(kangaroo_tiny()))
    assert 2e6 < sum(sizes.values()) < 6e6


def test_every_parameter_belongs_to_one_part(network):
    names = [name for name, _ in network.named_parameters()]
    assert {part_of(name) for name in names} == set(PARTS)
    assert set(network.state_dict()) == set(names), "no hidden buffers in a checkpoint"
    with pytest.raises(LookupError, match="belongs to none"):
        part_of("head.weight")


def test_sequence_is_figure_2(network):
    """<vi_start> slot_0 <eof> slot_1 <eof> slot_2 <eov> <vi_end>, slots as the branch computes them."""
    pixels, times = torch.randint(0, 256, (6, 3, 64, 64), dtype=torch.uint8), torch.arange(6.0)
    with torch.no_grad():
        sequence = network.encode_video(pixels, times)
        slots = network.encode_frames(pixels, times)
    start, eof, eov, end = network.visual_tokens
    rows = [start[None], slots[0], eof[None], slots[1], eof[None], slots[2], eov[None], end[None]]
    assert torch.equal(sequence, torch.cat(rows))
    assert len(sequence) == network.config.layout.sequence_length(6)


def test_patchify_starts_uniform(make_network):
    assert (make_network().patchify.weight == 1 / 8).all()
    assert make_network(patchify_init="random").patchify.weight.std() > 0.1


def test_an_odd_last_frame_counts_twice(network):
    pixels, times = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8), torch.tensor([0.0, 1.0, 2.5])
    with torch.no_grad():
        odd = network.encode_video(pixels, times)
        even = network.encode_video(pixels[[0, 1, 2, 2]], times[[0, 1, 2, 2]])
    torch.testing.assert_close(odd, even)


def test_an_image_is_a_video_of_one_frame(network, processor):
    import numpy as np

    inputs = processor("What is this?", np.zeros((1, 64, 64, 3), np.uint8))
    assert inputs["frame_times"].tolist() == [0.0]
    assert network(**inputs).logits.shape[1] == inputs["input_ids"].shape[1]


def test_the_time_of_a_frame_matters(network):
    pixels = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        one, other = network.encode_video(pixels, [0.0, 1.0]), network.encode_video(pixels, [0.0, 9.0])
    assert not torch.allclose(one[1], other[1])


def test_ablations_of_the_time_embedding(make_network):
    """By index the seconds do not matter and each video counts from 0; without one nothing does but the pictures."""
    pixels = torch.randint(0, 256, (4, 3, 64, 64), dtype=torch.uint8)
    found = {}
    for kind in ("seconds", "index", "none"):
        network = make_network(time_embedding=kind)
        with torch.no_grad():
            found[kind] = [
                network.encode_frames(pixels, torch.tensor(t)) for t in ([0.0, 1, 2, 3], [5.0, 6, 9, 10])
            ]
            together = network.encode_videos(
                torch.cat([pixels, pixels]), torch.tensor([0.0, 1, 2, 3, 5, 6, 9, 10]), [4, 4]
            )
        halves = together.split(len(together) // 2)
        assert torch.allclose(halves[0], halves[1], atol=1e-6) is (kind != "seconds")
    assert torch.equal(found["seconds"][0], found["index"][0])
    assert not torch.equal(*found["seconds"]) and torch.equal(*found["index"]) and torch.equal(*found["none"])
    assert not torch.equal(found["index"][0], found["none"][0])
    with pytest.raises(ValueError, match="time_embedding 'clock': choose among seconds, index, none"):
        KangarooConfig(time_embedding="clock")


def test_without_patchify_every_frame_is_a_slot(make_network):
    network = make_network(patchify=False)
    with torch.no_grad():
        sequence = network.encode_video(torch.zeros(3, 3, 64, 64), [0.0, 1.0, 2.0])
    assert len(sequence) == 3 * 64 + 3 + 2
    assert "patchify" not in count_parts(network)


def test_mlp_projector(make_network):
    assert make_network(projector="mlp").encode_video(torch.zeros(1, 3, 64, 64), [0.0]).shape == (19, 192)


def test_wrong_videos_are_refused(network, processor, make_frames):
    with pytest.raises(ValueError, match="n times"):
        network.encode_video(torch.zeros(2, 3, 64, 64), [0.0])
    inputs = processor("x", make_frames(4).pixels, [0, 1, 2, 3])
    with pytest.raises(ValueError, match="36 visual tokens"):
        network(**{**inputs, "pixel_values": inputs["pixel_values"][:2], "frame_times": torch.zeros(2)})
    with pytest.raises(ValueError, match="no pixel_values"):
        network(input_ids=inputs["input_ids"])
    with pytest.raises(ValueError, match="do not add up"):
        network(**inputs, frame_counts=[3])
    with pytest.raises(ValueError, match="either input_ids or inputs_embeds"):
        network()


def test_two_videos_in_a_batch_do_not_touch(network, processor, make_frames):
    """Left-padded together they give the logits of each alone; patchify never joins neighbours."""
    one = processor("short", make_frames(3, 1).pixels, [0, 1, 2])
    two = processor("a longer question?", make_frames(3, 2).pixels, [0, 5, 9])
    width = max(one["input_ids"].shape[1], two["input_ids"].shape[1])
    ids, mask = (
        torch.cat(
            [torch.nn.functional.pad(item[name], (width - item[name].shape[1], 0)) for item in (one, two)]
        )
        for name in ("input_ids", "attention_mask")
    )
    with torch.no_grad():
        both = network(
            input_ids=ids,
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            pixel_values=torch.cat([one["pixel_values"], two["pixel_values"]]),
            frame_times=torch.cat([one["frame_times"], two["frame_times"]]),
            frame_counts=[3, 3],
        ).logits
        for row, alone in enumerate((one, two)):
            expected = network(**alone).logits[0]
            torch.testing.assert_close(both[row, -len(expected) :], expected, atol=2e-4, rtol=1e-4)


def test_loss_reaches_every_part(network, processor, make_frames):
    inputs = processor("colour?", make_frames(4).pixels, [0, 1, 2, 3])
    reply = torch.tensor([processor.reply_ids("red")])
    prompt = inputs["input_ids"].shape[1]
    ids = torch.cat([inputs["input_ids"], reply], 1)
    labels = torch.full_like(ids, -100)
    labels[:, prompt:] = reply
    output = network(
        input_ids=ids, pixel_values=inputs["pixel_values"], frame_times=inputs["frame_times"], labels=labels
    )
    by_hand = torch.nn.functional.cross_entropy(output.logits[0, prompt - 1 : -1], reply[0])
    torch.testing.assert_close(output.loss, by_hand)
    output.loss.backward()
    reached = {part_of(name) for name, p in network.named_parameters() if p.grad is not None and p.grad.any()}
    assert reached == set(PARTS)


def test_saved_and_loaded_gives_the_same_logits(network, processor, make_frames, tmp_path):
    from transformers import AutoModelForImageTextToText, AutoProcessor

    network.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded, read = (
        AutoModelForImageTextToText.from_pretrained(tmp_path),
        AutoProcessor.from_pretrained(tmp_path),
    )
    assert (type(loaded), type(read)) == (KangarooForConditionalGeneration, type(processor))
    frames = make_frames(5)
    with torch.no_grad():
        expected = network(**processor("What?", frames.pixels, frames.times)).logits
        assert torch.equal(loaded(**read("What?", frames.pixels, frames.times)).logits, expected)
    assert loaded.generation_config.suppress_tokens == network.config.control_token_ids


def test_loading_is_strict(network, make_network, tmp_path):
    from safetensors.torch import load_file, save_file

    network.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    without = {name: tensor for name, tensor in state.items() if name != "projector.bias"}
    save_file(without, file, {"format": "pt"})
    with pytest.raises(WeightsError, match=r"missing projector\.bias"):
        KangarooForConditionalGeneration.from_pretrained(tmp_path)
    save_file({**state, "extra": torch.zeros(1)}, file, {"format": "pt"})
    with pytest.raises(WeightsError, match="unexpected extra"):
        KangarooForConditionalGeneration.from_pretrained(tmp_path)
    save_file({**state, "projector.bias": torch.zeros(3)}, file, {"format": "pt"})
    with pytest.raises(WeightsError, match=r"misshapen .*projector\.bias"):
        KangarooForConditionalGeneration.from_pretrained(tmp_path)


def test_generate_sees_the_video_once_and_writes_no_control_tokens(network, processor, make_frames):
    inputs = processor("What?", make_frames(4).pixels, [0, 1, 2, 3])
    ids = network.generate(**inputs, max_new_tokens=8, do_sample=False)
    new = ids[0, inputs["input_ids"].shape[1] :].tolist()
    assert new and not set(new) & set(network.config.control_token_ids)
    uncached = network.generate(**inputs, max_new_tokens=8, do_sample=False, use_cache=False)
    assert ids.tolist() == uncached.tolist()


@pytest.mark.parametrize("counted", [None, "list", "tensor"])
@pytest.mark.parametrize(
    "several", [{"num_beams": 2}, {"num_return_sequences": 3, "do_sample": True, "top_k": 1}]
)
def test_beams_and_samples_see_whole_videos(network, processor, make_frames, monkeypatch, counted, several):
    """transformers repeats every entry of a tensor: frame by frame, two beams would see half a video each."""
    seen, encode = [], type(network).encode_video
    monkeypatch.setattr(
        type(network),
        "encode_video",
        lambda self, pixels, times: seen.append(times.tolist()) or encode(self, pixels, times),
    )
    inputs = dict(processor("What?", make_frames(4).pixels, [0, 10, 20, 30]))
    if counted:
        inputs["frame_counts"] = [4] if counted == "list" else torch.tensor([4])
    length = inputs["input_ids"].shape[1]
    greedy = network.generate(**inputs, max_new_tokens=8)[0, length:].tolist()
    seen.clear()
    made = network.generate(**inputs, max_new_tokens=8, **several)[:, length:].tolist()
    assert seen == [[0, 10, 20, 30]] * (several.get("num_beams") or 3)
    if "num_beams" not in several:
        assert made == [greedy] * 3


def test_beams_of_a_batch_keep_each_rows_videos(network, processor, make_frames, monkeypatch):
    """A row with two videos and one with none, and a text of the same length."""
    seen, encode = [], type(network).encode_video
    monkeypatch.setattr(
        type(network),
        "encode_video",
        lambda self, pixels, times: seen.append(len(times)) or encode(self, pixels, times),
    )
    one, two = make_frames(2, 1).pixels, make_frames(4, 2).pixels
    visual = [*processor.visual_ids(2), *processor.visual_ids(4)]
    text = processor.text_ids("What is the difference between the two of them?")
    rows = [[*visual, *text], (text * 9)[: len(visual) + len(text)]]
    videos = {
        "pixel_values": torch.cat([processor.pixels(one), processor.pixels(two)]),
        "frame_times": torch.tensor([0.0, 1.0, 0.0, 5.0, 9.0, 14.0]),
        "frame_counts": [2, 4],
    }
    options = {"max_new_tokens": 6, "do_sample": False}
    both = network.generate(torch.tensor(rows), **videos, **options, num_beams=2)
    assert seen == [2, 4, 2, 4], "in the order in which the rows hold them"
    first = network.generate(torch.tensor(rows[:1]), **videos, **options, num_beams=2)
    second = network.generate(torch.tensor(rows[1:]), **options, num_beams=2)
    width = len(rows[0])
    assert both[0, width:].tolist()[: first.shape[1] - width] == first[0, width:].tolist()
    assert both[1, width:].tolist()[: second.shape[1] - width] == second[0, width:].tolist()
    with pytest.raises(ValueError, match="input_ids hold 2 videos, and frame_counts 1"):
        network.generate(torch.tensor(rows), **{**videos, "frame_counts": [6]}, **options, num_beams=2)


def test_bf16_is_close_to_fp32(network, processor, make_frames):
    """Large random weights make bf16 coarse; the direction of the logits must still agree."""
    inputs = processor("What?", make_frames(4).pixels, [600, 601, 602, 603])
    with torch.no_grad():
        full = network(**inputs).logits.flatten()
        half = network.to(torch.bfloat16)(**inputs).logits.float().flatten()
    assert torch.nn.functional.cosine_similarity(full, half, dim=0) > 0.99


def test_eager_and_sdpa_agree(make_network, processor, make_frames):
    inputs = processor("What?", make_frames(4).pixels, [0, 1, 2, 3])
    network, other = make_network(), make_network(_attn_implementation="eager")
    assert other.llm.config._attn_implementation == "eager"
    with torch.no_grad():
        torch.testing.assert_close(network(**inputs).logits, other(**inputs).logits, atol=2e-4, rtol=1e-4)


def test_generate_takes_the_logits_of_the_last_position_alone(network, processor, make_frames, monkeypatch):
    """Those of a whole video's prompt are gigabytes."""
    inputs = processor("What?", make_frames(4).pixels, [0, 1, 2, 3])
    positions = []
    network.llm.lm_head.register_forward_hook(lambda module, given, out: positions.append(out.shape[1]))
    network.generate(**inputs, max_new_tokens=3, do_sample=False)
    assert set(positions) == {1}
    with torch.no_grad():
        assert network(**inputs).logits.shape[1] == inputs["input_ids"].shape[1]
