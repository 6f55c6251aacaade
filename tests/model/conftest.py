"""A lively network: kangaroo-tiny with large random weights, so that its answers depend on what it sees."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")


pytest.importorskip("transformers")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Small matrices gain nothing from a second thread, and lose much on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer():
    from kangaroo_eval.model.tokenizer import load_tiny_tokenizer

    return load_tiny_tokenizer()


def lively_config(**changes):
    """Two layers of everything, and weights large enough that arg-max answers vary."""
    from kangaroo_eval.model.config import kangaroo_tiny

    config = kangaroo_tiny()
    config.vision_config.num_hidden_layers = config.text_config.num_hidden_layers = 2
    config.vision_config.initializer_range = config.text_config.initializer_range = 0.2
    config.initializer_range = 0.5
    for name, value in changes.items():
        setattr(config, name, value)
    return config


@pytest.fixture
def make_network():
    from kangaroo_eval.model.modeling import KangarooForConditionalGeneration

    def make(seed: int = 0, **changes):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return KangarooForConditionalGeneration(lively_config(**changes)).eval()

    return make


@pytest.fixture
def network(make_network):
    return make_network()


@pytest.fixture
def processor(tokenizer, network):
    from kangaroo_eval.model.processing import KangarooProcessor

    return KangarooProcessor.for_config(tokenizer, network.config)


@pytest.fixture
def model(network, processor):
    from kangaroo_eval.model.adapter import KangarooModel

    return KangarooModel("lively", network, processor)


@pytest.fixture
def make_frames():
    from kangaroo_eval.types import Frames

    def make(count: int = 5, seed: int = 0, size: int = 64):
        pixels = np.random.default_rng(seed).integers(0, 256, (count, size, size, 3), dtype=np.uint8)
        return Frames(pixels, tuple(1.5 * index for index in range(count)))

    return make


@pytest.fixture
def make_requests(make_frames):
    from kangaroo_eval.types import Request, Video

    def make(prompts, frames=None, **common):
        frames = frames or make_frames()
        options = {"max_new_tokens": 12, **common}
        return [
            Request(f"q{i}", Video("v"), prompt, frames, siblings=len(prompts) - 1 - i, **options)
            for i, prompt in enumerate(prompts)
        ]

    return make
