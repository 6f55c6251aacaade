"""Targets a CPU-second with packs against padded batches: the same documents, the same network, side by side.

`OMP_NUM_THREADS=1 python tests/bench/bench_packing.py` trains kangaroo-tiny (random weights, forward and backward, no
optimizer) on its recipe's instruction mixture. A padded batch has as many documents as a pack has on average, in the
order of the draws, each filled up to the longest. Decoding is outside the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time

import torch

from kangaroo_eval.train.batch import Pack
from kangaroo_eval.train.dataset import Batching, PackedData
from kangaroo_eval.train.forward import NextToken
from kangaroo_eval.train.grow import advance, begin
from kangaroo_eval.train.made import MadeSource
from kangaroo_eval.train.mixture import Mixture, Weighted
from kangaroo_eval.train.recipes import recipe


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--packs", type=int, default=4, help="of each kind a round")
    options = parser.parse_args()
    chosen = recipe("kangaroo-tiny")
    plan = chosen.plan("instruction")
    learner = advance(begin(chosen, {}), plan.stage)
    objective = NextToken(learner.network, dtype=torch.bfloat16)
    mixture = Mixture(
        sources=tuple(Weighted(MadeSource(kind), weight) for kind, weight in plan.mixture.items())
    )
    caps = {"tokens": plan.stage.llm_sequence, "max_frames": plan.pack_frames}
    packed = PackedData(mixture, learner.processor, plan.budget, Batching(**caps, window=128))
    stats = packed.stats()
    size = max(1, round(stats.ratio))
    padded = PackedData(
        mixture,
        learner.processor,
        plan.budget,
        Batching(**caps, packing=False, padded=True, micro_batch=size),
    )
    print(
        f"packs of {caps['tokens']:,} tokens: {stats.ratio:.2f} documents each, {stats.wasted:.1%} of the tokens wasted; "
        f"padded batches of {size}"
    )
    data = {"packed": packed, "padded": padded}
    rates: dict[str, list[float]] = {name: [] for name in data}
    shares: dict[str, list[float]] = {name: [] for name in data}
    for turn in range(options.rounds + 1):
        for name, each in data.items():
            packs = [each[turn * options.packs + i] for i in range(options.packs)]
            rate = targets_a_second(objective, packs)
            if turn:  # the first round warms up
                rates[name].append(rate)
                shares[name].append(sum(p.padding for p in packs) / sum(len(p.input_ids) for p in packs))
    for name, found in rates.items():
        print(
            f"{name}: {statistics.median(found):7.1f} targets a CPU-second, {statistics.mean(shares[name]):.1%} padding"
        )
    ratio = statistics.median(a / b for a, b in zip(rates["packed"], rates["padded"], strict=True))
    print(f"packed / padded: {ratio:.2f} (median of {options.rounds} rounds; goal at least 1.8)")


def targets_a_second(objective: NextToken, packs: list[Pack]) -> float:
    """Forward and backward over packs; targets a CPU-second."""
    started = time.process_time()
    for pack in packs:
        objective.network.zero_grad()
        (objective(pack) / max(1, pack.labelled)).backward()
    return sum(pack.labelled for pack in packs) / (time.process_time() - started)


if __name__ == "__main__":
    main()
