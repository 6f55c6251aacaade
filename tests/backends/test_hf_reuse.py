"""What stands in for a processor's part and for a vision encoder: the same call's result, and never another's."""

import copy
import inspect
from collections import UserDict

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from kangaroo_eval.backends.hf_reuse import Features, Once  # noqa: E402 - needs the packages above


class Part:
    """Doubles its media; counts calls, and writes into the metadata it returns as processors do."""

    side = 7

    def __init__(self):
        self.calls = 0

    def __call__(self, videos, video_metadata=None, scale=1):
        self.calls += 1
        pixels = torch.cat([2.0 * scale * video for video in videos])
        return UserDict({"pixels": pixels, "video_metadata": copy.deepcopy(video_metadata)})


def video(value: float = 1.0):
    return torch.full((1, 2), value)


def test_the_same_media_and_options_are_worked_on_once():
    once, one = Once(Part()), video()
    first = once([one], scale=3)
    assert once([one], scale=3)["pixels"].tolist() == first["pixels"].tolist() == [[6.0, 6.0]]
    assert once.part.calls == 1 and once.side == 7


@pytest.mark.parametrize("again", [([video()], 3), ([video(5.0)], 3), ("same", 4)])
def test_other_media_or_options_are_worked_on_anew(again):
    once, one = Once(Part()), video()
    once([one], scale=3)
    media, scale = again
    media = [one] if media == "same" else media
    assert once(media, scale=scale)["pixels"].tolist() == Part()(media, scale=scale)["pixels"].tolist()
    assert once.part.calls == 2


def test_copies_are_worked_on_once_and_repeated_even_where_they_are_nested():
    once, one, two = Once(Part()), video(1.0), video(2.0)
    once.copies = 3
    metadata = [{"frames": [1, 2]} for _ in range(3)]
    found = once(videos=[one, one, one], video_metadata=metadata)
    assert found["pixels"].shape == (3, 2) and once.part.calls == 1
    assert found["video_metadata"] == metadata
    with pytest.raises(AssertionError, match="copies"):
        once(videos=[one, two, one])


def test_what_a_caller_writes_into_a_result_does_not_stay():
    once, one = Once(Part()), video()
    metadata = [{"frames": [1, 2]}]
    once([one], video_metadata=metadata)["video_metadata"][0]["frames"].append(9)
    assert once([one], video_metadata=metadata)["video_metadata"] == [{"frames": [1, 2]}]
    assert once.part.calls == 1


def test_a_forgotten_result_is_made_again():
    once, one = Once(Part()), video()
    once([one])
    once.forget()
    once([one])
    assert once.part.calls == 2


class Network:
    def __init__(self):
        self.calls = []

    def get_video_features(self, pixels, grid=None, layer=-1):
        self.calls.append("video")
        return pixels * layer

    def get_image_features(self, pixels, grid=None, layer=-1):
        self.calls.append("image")
        return pixels * layer + 1


def test_features_are_remembered_by_content():
    network = Network()
    features = Features(network)
    one = network.get_video_features(video(), grid=torch.tensor([1, 2]))
    assert network.get_video_features(video(), grid=torch.tensor([1, 2])) is one
    assert network.calls == ["video"]
    features.forget()
    network.get_video_features(video(), grid=torch.tensor([1, 2]))
    assert network.calls == ["video", "video"]


@pytest.mark.parametrize(
    "change",
    [
        {"pixels": video(2.0)},
        {"pixels": video().double()},
        {"pixels": torch.ones(2, 1)},
        {"grid": torch.tensor([1, 3])},
        {"grid": None},
        {"grid": [torch.tensor([1, 2])]},
        {"layer": -2},
    ],
)
def test_anything_else_is_encoded_anew(change):
    network = Network()
    Features(network)
    call = {"pixels": video(), "grid": torch.tensor([1, 2]), "layer": -1}
    network.get_video_features(**call)
    network.get_video_features(**{**call, **change})
    assert network.calls == ["video", "video"]


def test_an_image_is_not_taken_for_a_video():
    network = Network()
    Features(network)
    seen = network.get_video_features(video()), network.get_image_features(video())
    assert network.calls == ["video", "image"] and not torch.equal(*seen)


def test_the_signature_that_generate_asks_for_stays():
    network = Network()
    Features(network)
    assert list(inspect.signature(network.get_video_features).parameters) == ["pixels", "grid", "layer"]


def test_what_nothing_reads_is_not_kept_and_what_is_no_field_is():
    from transformers.modeling_outputs import BaseModelOutput

    class Encoder:
        def get_image_features(self, pixels):
            output = BaseModelOutput(last_hidden_state=pixels, hidden_states=(pixels, pixels))
            output.pooler_output = pixels + 1
            return output

    encoder = Encoder()
    Features(encoder)
    for _ in range(2):
        output = encoder.get_image_features(video())
        assert output.hidden_states is None and "hidden_states" not in output
        assert output.last_hidden_state is not None and output.pooler_output.tolist() == [[2.0, 2.0]]
