"""The projector set at once: the linear map that brings what the encoder makes of made lessons nearest to what the LLM read in
its place when their videos were spelt out. Ours, and not the paper's."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.batch import Pack
from kangaroo_eval.train.forward import NextToken, spelt_out

RIDGE = 1e-6
"""Against the mean square of the encoder's features: keeps the map finite where some are never used."""


@torch.no_grad()
def fit_projector(objective: NextToken, packs: Iterable[Pack]) -> float:
    """Least squares over all visual tokens of the packs that tell what theirs spell, in float64; the share of the variance of
    what is wanted that stays unexplained. UserError for a projector that is not one linear layer."""
    network = objective.network
    projector = network.projector
    if not isinstance(projector, nn.Linear):
        raise UserError(
            "a projector of one linear layer can be fitted at once; this one has more: leave fit out"
        )
    inner, width = projector.in_features + 1, projector.out_features
    square, cross = (
        torch.zeros(inner, inner, dtype=torch.float64),
        torch.zeros(inner, width, dtype=torch.float64),
    )
    total, mean, count = torch.zeros(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64), 0
    seen: list[Tensor] = []
    hook = projector.register_forward_hook(lambda module, given, made: seen.append(given[0]))
    try:
        for pack in packs:
            if pack.spelling is None:
                continue
            seen.clear()
            with objective.autocast(pack.input_ids.device):
                objective.embed(pack)
            given = torch.cat([each.reshape(-1, inner - 1) for each in seen]).double().cpu()
            wanted = spelt_out(network, pack.spelling, objective.get_buffer("clock")).double().cpu()
            given = torch.cat([given, given.new_ones(len(given), 1)], 1)
            square += given.T @ given
            cross += given.T @ wanted
            total += wanted.square().sum(0)
            mean += wanted.sum(0)
            count += len(given)
    finally:
        hook.remove()
    if count == 0:
        raise UserError("no lesson tells what its video spells: a projector is fitted to made lessons alone")
    ridge = RIDGE * square.diagonal().mean() * torch.eye(inner, dtype=torch.float64)
    found = torch.linalg.solve(square + ridge, cross)
    projector.weight.copy_(found[:-1].T)
    projector.bias.copy_(found[-1])
    left = (total - 2 * (found * cross).sum(0) + (found * (square @ found)).sum(0)).sum()
    return float(left / (total - mean.square() / count).sum())
