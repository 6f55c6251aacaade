"""What a checkpoint holds, by the names that parameters have in the whole network on one rank.

The optimizer's state is read and written here and not by torch's `get_state_dict`, which for a fresh optimizer
takes a step with rate zero (so that AdamW counts one step too many), or returns no state at all where gradients are
still there, and cannot load one whose parameters did not all have a gradient yet, as patchify's before the first video.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import hashlib
import random
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.filesystem import FileSystemReader, FileSystemWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.planner import SavePlan, SavePlanner
from torch.distributed.checkpoint.state_dict import get_model_state_dict, set_model_state_dict
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.checkpoint.storage import WriteResult
from torch.distributed.tensor import DTensor
from torch.futures import Future

from kangaroo_eval.errors import RunFailed, UserError

JSON: TypeAlias = Any
"""A value that JSON holds: None, text, numbers, lists and mappings of such."""

_MODEL, _STATE = "model.", "optimizer."
_WRAPPERS = ("_orig_mod.", "_checkpoint_wrapped_module.")


def weights(objective: nn.Module) -> dict[str, Tensor]:
    """All parameters, under their names in the checkpoint; the tensors are the objective's own."""
    state: dict[str, Any] = get_model_state_dict(objective)
    return {f"{_MODEL}{name}": value for name, value in state.items()}


def put_weights(objective: nn.Module, state: Mapping[str, Tensor]) -> None:
    """The other way."""
    set_model_state_dict(objective, {name.removeprefix(_MODEL): value for name, value in state.items()})


def write_tensors(folder: Path, state: dict[str, Tensor]) -> None:
    """All ranks write what they have of these tensors. CheckpointException on all where one cannot."""
    with _quiet():
        save(state, storage_writer=_Writer(folder), no_dist=not dist.is_initialized())


class _Writer(FileSystemWriter):
    """DCP's, which says why a tensor could not be written: torch's own archives call a full disk an unexpected
    position, and by the time that other ranks hear of it the reason behind it is lost."""

    def write_data(self, plan: SavePlan, planner: SavePlanner) -> Future[list[WriteResult]]:
        """DCP's, with OSError for what the operating system refused."""
        try:
            return super().write_data(plan, planner)
        except RuntimeError as error:
            reason: BaseException | None = error
            while reason is not None and not isinstance(reason, OSError):
                reason = reason.__cause__ or reason.__context__
            raise (reason or error) from None


def read_tensors(folder: Path, state: dict[str, Tensor]) -> None:
    """All ranks read these tensors in place. CheckpointException on all where one cannot."""
    with _quiet():
        load(state, checkpoint_id=folder, no_dist=not dist.is_initialized())


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warning that a single process is one."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "torch.distributed is disabled")
        yield


def read_index(folder: Path) -> Mapping[str, Any]:
    """Name -> what DCP knows of the tensor. OSError where it cannot be read."""
    index: Mapping[str, Any] = FileSystemReader(folder).read_metadata().state_dict_metadata
    return index


def check_weights(names: Collection[str], index: Mapping[str, Any]) -> None:
    """UserError unless all ranks' networks together have exactly the parameters of a checkpoint: DCP by itself
    says nothing of those that only the checkpoint has."""
    stored = {name for name in index if name.startswith(_MODEL)}
    differing = sorted(name.removeprefix(_MODEL) for name in stored ^ set(names))
    if differing:
        raise UserError(
            f"the checkpoint has {len(stored)} parameters and the network {len(names)}; "
            f"only one of them has {', '.join(differing[:3])}"
        )


def named_parameters(objective: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, nn.Parameter]:
    """The optimizer's parameters by name. ValueError for one that the objective does not have."""
    names = {}
    for name, parameter in objective.named_parameters():
        for wrapper in _WRAPPERS:
            name = name.replace(wrapper, "")
        names[parameter] = name
    given = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    strange = sum(parameter not in names for parameter in given)
    if strange:
        raise ValueError(
            f"{strange} of the optimizer's {len(given)} parameters are none of the objective's: "
            "make the optimizer after sharding"
        )
    return {names[parameter]: parameter for parameter in given}


def optimizer_tensors(objective: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state, under its names in the checkpoint; nothing for parameters that had no gradient yet."""
    found: dict[str, Tensor] = {}
    for name, parameter in named_parameters(objective, optimizer).items():
        for key, value in optimizer.state.get(parameter, {}).items():
            assert torch.is_tensor(value), f"optimizer state {key} of {name} is no tensor"
            found[f"{_STATE}{name}.{key}"] = value
    return found


def optimizer_options(objective: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, JSON]:
    """Parameter name -> the options of its group (rate, decay, ...), those that JSON holds, and which state it has."""
    named = {parameter: name for name, parameter in named_parameters(objective, optimizer).items()}
    options: dict[str, JSON] = {}
    for group in optimizer.param_groups:
        plain = {key: _plain(value) for key, value in group.items() if key != "params"}
        for parameter in group["params"]:
            state = sorted(optimizer.state.get(parameter, {}))
            options[named[parameter]] = {"group": plain, "state": state}
    return options


def _plain(value: Any) -> JSON:
    return value.item() if torch.is_tensor(value) else value


def check_optimizer(names: Collection[str], options: Mapping[str, Any]) -> None:
    """RunFailed unless all ranks' optimizers together have the parameters that a checkpoint's had."""
    differing = sorted(set(names) ^ options.keys())
    if differing:
        raise RunFailed(
            f"the optimizer has {len(names)} parameters and the checkpoint's had {len(options)}; "
            f"only one of them has {', '.join(differing[:3])}"
        )


def optimizer_room(
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    options: Mapping[str, Any],
    index: Mapping[str, Any],
) -> dict[str, Tensor]:
    """Where the state of this rank's parameters is read into. RunFailed where the checkpoint lacks some of it."""
    return {
        name: _room(index.get(name), parameter, name)
        for name, parameter, _ in _entries(named_parameters(objective, optimizer), options)
    }


def _entries(
    named: Mapping[str, nn.Parameter], options: Mapping[str, Any]
) -> Iterator[tuple[str, nn.Parameter, str]]:
    """Name in the checkpoint, parameter and key of all state that the checkpoint's optimizer had of these."""
    for name, parameter in named.items():
        for key in options[name]["state"]:
            yield f"{_STATE}{name}.{key}", parameter, key


def put_optimizer(
    objective: nn.Module,
    optimizer: torch.optim.Optimizer,
    options: Mapping[str, Any],
    state: Mapping[str, Tensor],
) -> None:
    """Restore state and options. RunFailed unless every parameter gets back exactly what it had."""
    optimizer.zero_grad(set_to_none=True)
    named = named_parameters(objective, optimizer)
    given = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    numbers = {parameter: number for number, parameter in enumerate(given)}
    restored: dict[int, dict[str, Tensor]] = {}
    for name, parameter, key in _entries(named, options):
        restored.setdefault(numbers[parameter], {})[key] = state[name]
    # torch's own way in from here: it knows which state belongs on which device.
    optimizer.load_state_dict({"state": restored, "param_groups": optimizer.state_dict()["param_groups"]})
    _restore_options(named, optimizer, options)
    for name, parameter in named.items():
        if sorted(optimizer.state.get(parameter, {})) != options[name]["state"]:
            raise RunFailed(f"the optimizer did not take back the state of {name}")


def _room(stored: Any, parameter: nn.Parameter, key: str) -> Tensor:
    """Where a tensor of the checkpoint is read into: spread as its parameter is, where it has the same shape."""
    if not isinstance(stored, TensorStorageMetadata):
        raise RunFailed(f"the checkpoint has no {key}")
    dtype = stored.properties.dtype
    if stored.size == parameter.shape:
        return torch.zeros_like(parameter, dtype=dtype, requires_grad=False)
    if isinstance(parameter, DTensor) and stored.size.numel() != 1:
        raise RunFailed(f"{key} has the shape {tuple(stored.size)}, its parameter {tuple(parameter.shape)}")
    return torch.zeros(stored.size, dtype=dtype)


def _restore_options(
    named: Mapping[str, nn.Parameter], optimizer: torch.optim.Optimizer, options: Mapping[str, Any]
) -> None:
    """Each group's options from those of its parameters. RunFailed where these had stood in groups that differ."""
    names = {parameter: name for name, parameter in named.items()}
    for group in optimizer.param_groups:
        saved = [options[names[parameter]]["group"] for parameter in group["params"]]
        if any(each != saved[0] for each in saved):
            raise RunFailed("the optimizer groups its parameters otherwise than the checkpoint's did")
        for key, value in saved[0].items() if saved else ():
            current = group.get(key)
            if torch.is_tensor(current):
                current.fill_(value)
            else:
                group[key] = tuple(value) if isinstance(current, tuple) else value


def random_state() -> JSON:
    """The state of the random numbers of torch, of this process's GPU, of numpy and of Python."""
    kind, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)
    cuda = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {
        "torch": _hex(torch.get_rng_state()),
        "cuda": None if cuda is None else _hex(cuda),
        "numpy": [kind, np.asarray(keys).tolist(), position, has_gauss, gauss],
        "python": random.getstate(),
    }


def restore_random(state: Mapping[str, Any]) -> None:
    """Put `random_state`, read back from JSON, in force."""
    torch.set_rng_state(_bytes(state["torch"]))
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(_bytes(state["cuda"]))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))
    version, inner, gauss = state["python"]
    random.setstate((version, tuple(inner), gauss))


def reseed(seed: Any, step: int, rank: int) -> None:
    """Random numbers that depend on nothing but these three."""
    derived = int.from_bytes(hashlib.sha256(f"{seed}/{step}/{rank}".encode()).digest()[:4], "big")
    torch.manual_seed(derived)
    np.random.seed(derived)
    random.seed(derived)


def _hex(state: Tensor) -> str:
    return state.numpy().tobytes().hex()


def _bytes(text: str) -> Tensor:
    return torch.frombuffer(bytearray.fromhex(text), dtype=torch.uint8)
