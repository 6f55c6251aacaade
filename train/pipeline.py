"""The network cut into sections, each in a process of its own, through which packs pass one behind the other.

Table II trains the last two stages so, on four sections. A section keeps the names of the parameters it holds, so
checkpoints fit any cut and none at all.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.pipelining import PipelineStage, Schedule1F1B

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.batch import Pack
from kangaroo_eval.train.forward import NextToken, run_layers
from kangaroo_eval.train.parallel import sum_over_ranks

VISION_SHARE = 46 / 170
"""The vision encoder's cost beside the whole LLM's: forward passes of 46 and 170 TFLOP for 64 frames of 448 pixels."""


def cut(layers: int, stages: int) -> list[range]:
    """Which of the LLM's layers each section runs; the first also runs the vision encoder.

    32 layers on 4: 2, 10, 10 and 10. UserError for more sections than there is work for.
    """
    vision = layers * VISION_SHARE
    first = layers if stages <= 1 else max(0, round((layers + vision) / stages - vision))
    if stages < 1 or layers - first < stages - 1:
        raise UserError(f"{stages} pipeline stages for an LLM of {layers} layers: give at most {layers}")
    sizes = [first]
    for left in range(stages - 1, 0, -1):
        # rounded up, for the last one also has the output layer
        sizes.append(-((sum(sizes) - layers) // left))
    ends = [sum(sizes[: number + 1]) for number in range(stages)]
    return [range(end - size, end) for end, size in zip(ends, sizes, strict=True)]


class Section(NextToken):
    """One section of a `NextToken`, whose network it takes over: what other sections hold is removed from it.

    `packs` and `scale` are set before a step: only one tensor passes between sections, and each needs more of a pack
    than that (positions and lengths all, pixels the first, targets the last), of another size for each pack.
    """

    def __init__(self, objective: NextToken, index: int, stages: int) -> None:
        """`index` of `stages`. UserError where the LLM's embedding and output layer are one parameter."""
        network = objective.network
        if network.config.tie_word_embeddings and stages > 1:
            raise UserError(
                "a pipeline needs an output layer of its own, but it is tied to the embedding here"
            )
        mine = cut(len(network.llm.model.layers), stages)[index]
        super().__init__(network, dtype=objective.dtype, backend=objective.backend)
        self.first, self.last = index == 0, index == stages - 1
        self.packs: Sequence[Pack] = ()
        self.scale = 1.0
        self.wire = torch.float32
        # A ModuleList numbers its entries anew when one is taken out by index, but not when it goes by name.
        for number in range(len(network.llm.model.layers)):
            if number not in mine:
                delattr(network.llm.model.layers, str(number))
        removed: list[tuple[Any, str]] = []
        if not self.first:
            removed += [(network, name) for name in ("vision", "patchify", "projector", "visual_tokens")]
            removed += [(network.llm.model, "embed_tokens")]
        if not self.last:
            removed += [(network.llm.model, "norm"), (network.llm, "lm_head")]
        for module, name in removed:
            setattr(module, name, None)

    def forward(self, received: Tensor, number: Tensor | None = None) -> Tensor:  # type: ignore[override]
        """`received`: the pack's number in `packs` for the first section, for others the previous one's output
        (1, length, width) with the number as keyword. Returns that, or the loss times `scale` from the last."""
        pack = self.packs[int(received if number is None else number)]
        with self.autocast(pack.input_ids.device):
            hidden = self.embed(pack) if self.first else received
            layers = self.network.llm.model.layers
            hidden = run_layers(layers, hidden, self._turns(hidden, pack), self.documents(pack))
            if self.last:
                return self.loss(hidden, pack) * self.scale
        hidden = hidden.to(self.wire)
        if torch.is_grad_enabled() and not hidden.requires_grad:
            # A pack of text in front of a frozen LLM: the next section sends a gradient back all the same.
            hidden.requires_grad_()
        return hidden

    def _turns(self, hidden: Tensor, pack: Pack) -> Any:
        """As `rotary`, without the embedding table, which only the first section has."""
        return self.network.llm.model.rotary_emb(hidden, position_ids=pack.positions[None])


class Pipeline:
    """Runs batches through a section and its neighbours: one forward, one backward in turn (1F1B).

    `packs`: how many there are in a step; `length`: tokens of each, padding included, the same for all, since the
    buffers between sections have one size. `wire`: the dtype in which activations pass on; bfloat16 where the
    section was sharded with bf16, or else the residual stream's fp32.
    """

    def __init__(
        self,
        section: Section,
        stages: dist.ProcessGroup,
        *,
        packs: int,
        length: int,
        device: torch.device,
        wire: torch.dtype = torch.float32,
    ) -> None:
        count, index = dist.get_world_size(stages), dist.get_rank(stages)
        if packs < count:
            raise UserError(f"{packs} packs a step do not fill a pipeline of {count}: give at least {count}")
        self.section, self.stages, self.packs, self.length = section, stages, packs, length
        self.device = device
        self.shape = (1, length, section.network.config.text_config.hidden_size)
        section.wire = wire
        activations = torch.empty(self.shape, dtype=wire, device="meta", requires_grad=True)
        stage = PipelineStage(
            section,
            index,
            count,
            device,
            input_args=torch.zeros(1, dtype=torch.int64, device="meta") if section.first else activations,
            output_args=torch.empty((), device="meta", requires_grad=True) if section.last else activations,
            group=stages,
        )
        # The losses are summed already, so torch must not turn the gradients into means.
        self.schedule = Schedule1F1B(stage, packs, loss_fn=lambda output, target: output, scale_grads=False)

    @property
    def sections(self) -> int:
        """How many ranks the network is spread over."""
        return dist.get_world_size(self.stages)

    def step(self, packs: Sequence[Pack], targets: int) -> float:
        """Add the gradients of the packs' summed loss / `targets`; returns that loss, on every section's rank.

        All ranks of the pipeline give the same packs; pixels are read in the first section only and may be None
        elsewhere. `targets` are those of the whole batch, over all pipelines; the loss is this one's share. ValueError
        for another number or length than was announced.
        """
        self._take(packs, 1 / targets)
        numbers = torch.arange(len(packs))
        losses: list[Tensor] = []
        if self.section.first:
            self.schedule.step(numbers, return_outputs=False)
        elif self.section.last:
            self.schedule.step(number=numbers, target=numbers, losses=losses, return_outputs=False)
        else:
            self.schedule.step(number=numbers, return_outputs=False)
        return self._everywhere(losses)

    @torch.no_grad()
    def evaluate(self, packs: Sequence[Pack]) -> float:
        """The packs' summed loss without gradients, on every section's rank; any number of packs."""
        self._take(packs, 1.0)
        index = dist.get_rank(self.stages)
        losses = []
        for number in torch.arange(len(packs)).unbind():
            if self.section.first:
                output = self.section(number)
            else:
                received = torch.empty(self.shape, dtype=self.section.wire, device=self.device)
                dist.recv(received, dist.get_global_rank(self.stages, index - 1), group=self.stages)
                output = self.section(received, number=number)
            if self.section.last:
                losses.append(output)
            else:
                dist.send(
                    output.contiguous(), dist.get_global_rank(self.stages, index + 1), group=self.stages
                )
        return self._everywhere(losses)

    def _take(self, packs: Sequence[Pack], scale: float) -> None:
        lengths = {len(pack.input_ids) for pack in packs}
        if lengths != {self.length} or (torch.is_grad_enabled() and len(packs) != self.packs):
            raise ValueError(
                f"{len(packs)} packs of {sorted(lengths)} tokens for a pipeline of {self.packs} of {self.length}"
            )
        self.section.packs, self.section.scale = packs, scale

    def _everywhere(self, losses: Sequence[Tensor]) -> float:
        """The sum of what the last section computed."""
        self.section.packs = ()
        return sum_over_ranks(float(sum(float(loss) for loss in losses)), self.stages)
