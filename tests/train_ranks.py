"""A Kangaroo small enough to train in tests, and functions run in several processes as one world."""

from __future__ import annotations

import importlib.util
import inspect
import io
import os
import socket
import sys
import traceback
from multiprocessing import forkserver, get_context
from pathlib import Path

import torch
from transformers import LlamaConfig

from kangaroo_eval.model.config import KangarooConfig, KangarooVisionConfig, kangaroo_tiny
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration, part_of
from kangaroo_eval.train import parallel
from kangaroo_eval.train.batch import IGNORED, Document, collate
from kangaroo_eval.train.forward import NextToken

LENGTH = 48


def small_config(layers=2, **changes) -> KangarooConfig:
    tiny = kangaroo_tiny()
    vision = KangarooVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        initializer_range=0.2,
    )
    text = LlamaConfig(
        vocab_size=tiny.text_config.vocab_size,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.1,
        tie_word_embeddings=False,
    )
    ids = {"visual_token_ids": tiny.visual_token_ids, "video_token_id": tiny.video_token_id}
    return KangarooConfig(
        vision_config=vision, text_config=text, frame_size=32, **{**ids, "initializer_range": 0.2, **changes}
    )


def objective(frozen=(), seed=0, dtype=torch.float32, **changes) -> NextToken:
    torch.manual_seed(seed)
    network = KangarooForConditionalGeneration(small_config(**changes)).train()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(part_of(name) not in frozen)
    return NextToken(network, dtype=dtype)


def document(generator, frames=0, text=9) -> Document:
    """Random words behind a video of so many random frames; the second half is to be learnt."""
    config = small_config()
    start, eof, eov, end = config.visual_token_ids
    slots = (frames + 1) // 2
    body = ([config.video_token_id] * config.layout.slot_tokens + [eof]) * slots
    visual = [start, *body[:-1], eov, end] if frames else []
    words = torch.randint(300, 2000, (text,), generator=generator).tolist()
    labels = [IGNORED] * (len(visual) + text // 2) + words[text // 2 :]
    pixels = torch.randint(0, 256, (frames, 3, 32, 32), generator=generator).to(torch.uint8)
    return Document(
        ids=(*visual, *words),
        labels=tuple(labels),
        pixels=pixels if frames else None,
        times=tuple(float(index) for index in range(frames)),
    )


def packs(seed, *frames):
    """One pack for each: a video of so many frames (0: none) and a text, of `LENGTH` tokens."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for each in frames:
        made.append(
            collate([document(generator, each), document(generator, text=5 + len(made))], LENGTH, pad=1)
        )
    return made


def adamw(trained, lr=1e-2):
    """Two groups, with options of their own."""
    plain = [p for p in trained.parameters() if p.requires_grad and p.ndim < 2]
    other = [p for p in trained.parameters() if p.requires_grad and p.ndim >= 2]
    groups = [
        {"params": plain, "weight_decay": 0.0, "scale": 0.5},
        {"params": other, "weight_decay": 0.05, "scale": 1.0},
    ]
    return torch.optim.AdamW(groups, lr=lr, betas=(0.9, 0.98))


def step(trained, optimizer, given, targets):
    """One step on the given packs, of a batch with so many targets; the gradient norm."""
    optimizer.zero_grad(set_to_none=True)
    for pack in given:
        (trained(pack) / targets).backward()
    norm = parallel.clip_norm([p for p in trained.parameters() if p.requires_grad], 1.0)
    optimizer.step()
    return norm


def full(tensor):
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()


def values(module):
    """All parameters by name, whole and plain."""
    return {name: full(parameter) for name, parameter in module.named_parameters()}


def gradients(module):
    return {
        name: full(parameter.grad)
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }


def far(left, right) -> float:
    """The largest difference of any two tensors of one name, relative to the largest entry there."""
    assert left.keys() == right.keys()
    return max(float((left[key] - right[key]).abs().max() / (right[key].abs().max() + 1e-12)) for key in left)


_CONTEXT = get_context("forkserver")
# One server imports torch and transformers for all tests; each rank is then a fork of it.
_CONTEXT.set_forkserver_preload(["train_ranks", "pytest"])


def _start_server():
    # multiprocessing does not hand its own search path on to the server, and passes over what it cannot import.
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(Path(__file__).parent), before)))
    try:
        forkserver.ensure_running()
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before


def _child(path, name, arguments, environment, answers):
    os.environ.update(environment)
    torch.set_num_threads(1)
    try:
        spec = importlib.util.spec_from_file_location(Path(path).stem, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        world = parallel.start("cpu", minutes=1)
        answer = ("ok", getattr(module, name)(world, *arguments))
    except BaseException as error:  # noqa: BLE001  (told to the test, whatever it is)
        answer = (type(error).__name__, str(error), traceback.format_exc())
    data = io.BytesIO()
    torch.save(answer, data)
    answers.send_bytes(data.getvalue())
    parallel.stop()


def outcomes(count, work, *arguments, timeout=60):
    """`work(world, *arguments)` in `count` processes: ("ok", value), (error's kind, text, traceback) or ("dead",
    exit code) of each."""
    _start_server()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = []
    for rank in range(count):
        environment = {"RANK": rank, "WORLD_SIZE": count, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = {name: str(value) for name, value in environment.items()}
        ours, theirs = _CONTEXT.Pipe()
        process = _CONTEXT.Process(
            target=_child,
            args=(inspect.getfile(work), work.__name__, arguments, environment, theirs),
            daemon=True,
        )
        process.start()
        theirs.close()
        started.append((process, ours))
    try:
        return [_answer(process, ours, timeout) for process, ours in started]
    finally:
        for process, _ in started:
            process.join(5)
            if process.is_alive():
                process.kill()


def _answer(process, ours, timeout):
    assert ours.poll(timeout), "a rank hangs"
    try:
        return torch.load(io.BytesIO(ours.recv_bytes()), weights_only=False)
    except EOFError:
        process.join(5)
        return ("dead", process.exitcode)


def ranks(count, work, *arguments, timeout=60):
    """What each of `count` processes returned from `work(world, *arguments)`."""
    found = outcomes(count, work, *arguments, timeout=timeout)
    for outcome in found:
        assert outcome[0] == "ok", "\n".join(map(str, outcome))
    return [outcome[1] for outcome in found]
