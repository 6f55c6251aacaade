"""Several processes as one run: start and stop, shared parameters (FSDP2), sums, and one gradient norm.

A run without torchrun is a world of one and needs no process group; every function here then does the plain thing.
Numbers, flags and messages pass over gloo on the CPU even where the tensors go over NCCL, so that asking "does any rank
stop?" waits for no kernel.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from kangaroo_eval.errors import RunFailed, UserError, first_line
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.vision import VisionLayer
from kangaroo_eval.train.batch import Pack

Number = TypeVar("Number", int, float)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The processes of a run and which of them this is. `local_rank` counts those of this machine."""

    rank: int = 0
    ranks: int = 1
    local_rank: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The world as pipelines side by side.

    This process holds stage `stage` in pipeline `replica` of `replicas`. `data`: those that hold the same stage, None
    where it is alone. `stages`: those of one pipeline, None where there is a single stage.
    """

    replica: int = 0
    replicas: int = 1
    stage: int = 0
    data: DeviceMesh | None = None
    stages: dist.ProcessGroup | None = None


def start(device: str | None = None, *, minutes: float = 30) -> World:
    """Join the processes that torchrun started, as its environment says; without it, a world of one. Once joined, a
    further call only tells.

    `device`: "cuda" or "cpu", by default "cuda" where there is one. Whoever waits longer than `minutes` for the others
    raises. UserError for more processes than GPUs, RunFailed where the others cannot be reached.
    """
    kind = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return World(device=torch.device(kind))
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local = int(os.environ.get("LOCAL_RANK", rank))
    place = torch.device(kind)
    if kind == "cuda":
        if local >= torch.cuda.device_count():
            raise UserError(
                f"process {local} of this machine has no GPU: there are {torch.cuda.device_count()}; "
                "give torchrun as many with --nproc-per-node"
            )
        place = torch.device(kind, local)
        torch.cuda.set_device(place)
    backend = "cpu:gloo,cuda:nccl" if kind == "cuda" else "gloo"
    try:
        if not dist.is_initialized():
            dist.init_process_group(backend, timeout=timedelta(minutes=minutes))
    except (RuntimeError, ValueError) as error:
        raise RunFailed(f"rank {rank} of {ranks} cannot reach the others: {first_line(error)}") from error
    return World(rank=rank, ranks=ranks, local_rank=local, device=place)


def stop() -> None:
    """Leave the others, at the end of a run that went well. After an error just exit: saying good-bye may wait for
    ranks that will never answer, and torchrun ends those."""
    if dist.is_initialized():
        dist.destroy_process_group()


def reported(work: Callable[[], Result]) -> Result:
    """`work()`, and where it raises, the cause also goes where torchrun looks for it: it then ends the other ranks and
    names this one's error, instead of leaving them to wait until their time-out. Without torchrun it is `work()`."""
    if "RANK" not in os.environ:
        return work()
    from torch.distributed.elastic.multiprocessing.errors import record

    outcome: Any = record(work)()
    result: Result = outcome
    return result


def grid(world: World, stages: int = 1) -> Grid:
    """The world as `world.ranks / stages` pipelines of `stages` each. UserError where that does not come out even.

    The processes that hold one stage are neighbours: sharing parameters moves far more bytes than handing on
    activations, so it is what should stay within a machine.
    """
    replicas, rest = divmod(world.ranks, max(1, stages))
    if rest or not replicas or stages < 1:
        raise UserError(
            f"{world.ranks} processes are not whole pipelines of {stages}: start a multiple of it"
        )
    if world.ranks == 1:
        return Grid()
    mesh = init_device_mesh(world.device.type, (stages, replicas), mesh_dim_names=("stages", "data"))
    return Grid(
        replica=world.rank % replicas,
        replicas=replicas,
        stage=world.rank // replicas,
        data=mesh["data"] if replicas > 1 else None,
        stages=mesh["stages"].get_group() if stages > 1 else None,
    )


def shard(objective: nn.Module, data: DeviceMesh | None, *, bf16: bool = False) -> None:
    """Spread parameters, gradients and optimizer state over the ranks of `data`, in place; None: this one has all.

    `objective` is a `NextToken`, or a section of one. Freeze and load before, make the optimizer after. Gradients come
    out as the sum over ranks, not torch's mean: divide each rank's summed loss by the number of targets of the
    whole batch and nothing else. Each rank must run as many packs as the others, evaluation included.

    `bf16`: layers are gathered in bfloat16 while the shards, their gradients' sum and the optimizer stay fp32. It goes
    with the objective's autocast, not instead of it: autocast keeps norms and softmax in fp32, and over weights
    that are gathered in bf16 it has nothing to cast. Alone it would keep a bf16 copy of every layer beside the shards
    until the pass ends, which is what sharding is there to avoid. Inputs are not cast, so rotary tables and frame
    times keep their precision.
    """
    if data is not None:
        _spread(objective, data, bf16)
    _keep_in_step(objective, data is not None)


def _spread(objective: nn.Module, data: DeviceMesh, bf16: bool) -> None:
    policy = MixedPrecisionPolicy(cast_forward_inputs=False)
    if bf16:
        policy = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
    for module in list(objective.modules()):
        if isinstance(module, LlamaDecoderLayer | VisionLayer):
            fully_shard(module, mesh=data, mp_policy=policy)
    fully_shard(objective, mesh=data, mp_policy=policy)
    for module in objective.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            # Of the ways to divide by one, a plain sum is the one that gloo has too.
            module.set_force_sum_reduction_for_comms(True)


def _keep_in_step(objective: Any, sharded: bool) -> None:
    """Let a rank whose pack has no video still run the vision encoder, on one black frame that counts nothing.

    Each layer is gathered from all ranks when it runs: a rank that passed over the encoder would answer the others'
    first vision layer with its first LLM layer. On one rank it is done for the sake of the optimizer, which passes over
    parameters without a gradient but moves on those with a gradient of zero: the weights must not depend on the
    number of ranks.
    """
    network: KangarooForConditionalGeneration = objective.network
    visual = [network.vision, network.patchify, network.projector]
    if network.vision is None:
        return
    trained = any(each.requires_grad for part in visual if part is not None for each in part.parameters())
    if not sharded and not trained and not network.visual_tokens.requires_grad:
        return
    if sharded:
        # Without gradients the encoder takes its frames in chunks, and the number of chunks must not differ either.
        network.vision.frame_chunk = sys.maxsize
    side = network.config.frame_size
    embed: Callable[[Pack], Tensor] = objective.embed

    def always_seeing(pack: Pack) -> Tensor:
        embeds = embed(pack)
        if pack.pixels is not None or not (sharded or torch.is_grad_enabled()):
            return embeds
        black = torch.zeros(1, 3, side, side, dtype=torch.uint8, device=embeds.device)
        # To the LLM's input and not to the loss: a frozen LLM runs backwards only where its input has a gradient, and
        # that too must be so on all ranks or none.
        return embeds + (network.encode_video(black, [0.0]).sum() * 0).to(embeds.dtype)

    objective.embed = always_seeing


def add_up_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Sum gradients over ranks that each hold all parameters: for small models, which need no sharding. A parameter
    without a gradient counts as zero. All ranks call it."""
    if not dist.is_initialized():
        return
    for parameter in parameters:
        if parameter.requires_grad:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)


def checkpoint_activations(network: KangarooForConditionalGeneration) -> None:
    """Compute each layer of both stacks again in the backward pass instead of keeping what is inside it (22 K tokens of
    an 8B model: 6 GB instead of far more than a GPU has). Only in training mode, so call `train()`."""
    # The name changed with transformers 5.24. Without re-entrance, keywords (the documents) and the state of autocast
    # reach the second run too.
    enable = (
        getattr(network, "activation_checkpointing_enable", None) or network.gradient_checkpointing_enable
    )
    enable({"use_reentrant": False})


def gather(value: Result) -> list[Result]:
    """What every rank gave, by rank. All ranks call it."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values


def sum_over_ranks(value: Number, group: dist.ProcessGroup | None = None) -> Number:
    """The sum over all ranks, or those of `group`, exact for integers. All of them call it."""
    if not dist.is_initialized():
        return value
    dtype = torch.int64 if isinstance(value, int) else torch.float64
    total = torch.tensor(value, dtype=dtype)
    dist.all_reduce(total, group=group)
    result: Any = total.item()
    return type(value)(result)


def any_rank(flag: bool) -> bool:
    """Whether any rank says so: what all must then do together, such as to stop. All ranks call it."""
    return sum_over_ranks(int(flag)) > 0


def raise_together(failure: UserError | None) -> None:
    """Raise on every rank where one failed: its own error there, on the others that of the first. All ranks call it."""
    told = gather(None if failure is None else (type(failure).__name__, str(failure)))
    if failure is not None:
        raise failure
    for rank, each in enumerate(told):
        if each is not None:
            kind = UserError if each[0] == UserError.__name__ else RunFailed
            raise kind(f"rank {rank}: {each[1]}")


def check_same(world: World, value: str) -> None:
    """UserError on every rank unless all gave the same text, such as the recipe as JSON. All ranks call it."""
    values = gather(value)
    other = next((rank for rank, each in enumerate(values) if each != values[0]), None)
    if other is None:
        return
    at = next((at for at, (a, b) in enumerate(zip(values[0], values[other], strict=False)) if a != b), 0)
    shown = [each[max(0, at - 40) : at + 40] for each in (values[0], values[other])]
    raise UserError(
        f"rank {other} of {world.ranks} runs another recipe than rank 0: {shown[1]!r} instead of {shown[0]!r}; "
        "start all with the same command"
    )


def clip_norm(
    parameters: Iterable[nn.Parameter], max_norm: float, stages: dist.ProcessGroup | None = None
) -> float:
    """Scale the gradients down where their global norm exceeds `max_norm`; returns the norm before that.

    Right for sharded parameters and for plain ones. `stages`: the pipeline over which the parameters are spread. Every
    rank calls it. The norm may be infinite or no number, and then so are the gradients: look before stepping.
    """
    trained = [parameter for parameter in parameters if parameter.grad is not None]
    norm = get_total_norm([parameter.grad for parameter in trained if parameter.grad is not None])
    if isinstance(norm, DTensor):
        norm = norm.full_tensor()
    if stages is not None:
        norm = torch.tensor(sum_over_ranks(float(norm) ** 2, stages) ** 0.5)
    clip_grads_with_norm_(trained, max_norm, norm)
    return float(norm)
