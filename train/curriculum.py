"""Runs stages: one by name, or all of a recipe in order, each from the result of the one before.

A stage's folder holds its checkpoints (`checkpoints/`), its log (`metrics.jsonl`), and when it is done the network as
`kangaroo:FOLDER/model` reads it, with `stage.json`: what was run, and what came out.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import copy
import dataclasses
import functools
import itertools
import json
import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from kangaroo_eval.errors import RunFailed, UserError, first_line
from kangaroo_eval.model import checkpoint
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor
from kangaroo_eval.train import finished, flops, grow, logs, optim, parallel
from kangaroo_eval.train.batch import ROUND
from kangaroo_eval.train.checkpoint import Checkpoints
from kangaroo_eval.train.dataset import Batching, PackedData, in_order, loader
from kangaroo_eval.train.fitting import fit_projector
from kangaroo_eval.train.forward import NextToken
from kangaroo_eval.train.grow import Learner
from kangaroo_eval.train.loop import Loop, Plan, Tally
from kangaroo_eval.train.made import MadeSource
from kangaroo_eval.train.mixture import ManifestSource, Mixture, Source, Weighted
from kangaroo_eval.train.parallel import World
from kangaroo_eval.train.pipeline import Pipeline, Section
from kangaroo_eval.train.recipe import Recipe, StagePlan, WarmUp, check, plain
from kangaroo_eval.train.settings import Settings
from kangaroo_eval.train.sight import LooksData, Sight
from kangaroo_eval.train.spelling import SpeltData, SpeltText
from kangaroo_eval.train.stages import CLIP_NORM, VISION_LAYER_DECAY, Stage
from kangaroo_eval.train.start import set_heads

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def run_all(recipe: Recipe, out: Path, settings: Settings) -> Path:
    """Every stage of the recipe, warm-ups first; a stage that is done is not run again. The last result's folder."""
    check(recipe)
    result: Path | None = None
    for name in [*(warmup.kind for warmup in recipe.warmups), *(plan.name for plan in recipe.stages)]:
        packs = any(plan.name == name and plan.stage.packing for plan in recipe.stages)
        # Table II cuts the network in the stages that pack only.
        own = settings if packs else replace(settings, pipeline=1)
        result = run_stage(recipe, name, out / name, own, result)
    assert result is not None
    return result


def run_stage(recipe: Recipe, name: str, out: Path, settings: Settings, source: Path | None = None) -> Path:
    """One stage or warm-up, from `source` (None: from the start); its result's folder. The same call again goes on where
    it stopped, or gives back what is done. UserError for weights, data or settings that do not fit, also with those
    of the run before; RunFailed for a loss that is no number and for a full disk."""
    if settings.device == "cuda" and not torch.cuda.is_available():
        raise UserError("device 'cuda': torch sees no GPU here; choose cpu, or leave it out")
    seed = recipe.seed if settings.seed is None else settings.seed
    asked = finished.asked(recipe, name, settings.steps, seed, settings.data, settings.components, source)
    done = finished.result(out, asked, source)
    if done is not None:
        log.info("%s is done: %s", name, done)
        return done
    world = parallel.start(settings.device)
    if settings.score is not None and world.ranks > 1:
        raise UserError(
            f"{world.ranks} processes share the network, and an evaluation needs all of it in one: leave it out, "
            "and evaluate the result"
        )
    learner = grow.begin(recipe, settings.components) if source is None else grow.read(source)
    weights = checkpoint.identity_of(learner.network, learner.processor).hash
    grow.check_shape(learner, recipe, source or recipe.name)
    # What is still to be drawn, such as the heads of "sight", is the same on every rank and each time.
    torch.manual_seed(seed)
    warmup = next((each for each in recipe.warmups if each.kind == name), None)
    stage = None if warmup else recipe.plan(name).stage
    if not settings.any_order:
        grow.check_order(learner, stage, source or recipe.name)
    if warmup is not None:
        job = _warm(recipe, warmup, out, learner, settings, world)
    else:
        assert stage is not None
        job = _stage(recipe, name, out, grow.advance(learner, stage), settings, world)
    job = replace(job, start=weights)
    tally = _train(job)
    return _finish(job, tally, asked)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Job:
    """What one stage trains, on which batches, along which schedule."""

    name: str
    recipe: Recipe
    settings: Settings
    world: World
    out: Path
    learner: Learner
    objective: nn.Module
    optimizer: torch.optim.Optimizer
    batches: Callable[[int], Iterator[Any]]
    plan: Plan
    data: str
    flops: Callable[[list[Any]], float] | None = None
    pipeline: Pipeline | None = None
    start: str = ""

    @property
    def seed(self) -> int:
        """Of the data and of all that is random."""
        return self.recipe.seed if self.settings.seed is None else self.settings.seed

    @property
    def identity(self) -> dict[str, Any]:
        """What a resumed run must agree with."""
        part: Any = next((each for each in self.recipe.warmups if each.kind == self.name), None)
        return {
            "recipe": self.recipe.name,
            "dtype": self.recipe.dtype,
            "stage": self.name,
            "settings": plain(dataclasses.asdict(part or self.recipe.plan(self.name))),
            "steps": self.plan.steps,
            "accumulate": self.plan.accumulate,
            "layer_decay": VISION_LAYER_DECAY,
            "data": self.data,
            "seed": self.seed,
            "from": self.start,
        }


def _stage(recipe: Recipe, name: str, out: Path, learner: Learner, settings: Settings, world: World) -> _Job:
    plan, network = recipe.plan(name), learner.network
    if plan.time_embedding is not None:
        network.config.time_embedding = plan.time_embedding
    stage, dtype = plan.stage, DTYPES[recipe.dtype]
    if settings.pipeline > 1 and not stage.packing:
        raise UserError(f"a pipeline needs packs, which all have one length, and stage {name} does not pack")
    nn.Module.to(network, world.device)
    optim.freeze(network, stage.trains)
    if settings.checkpoint_activations:
        parallel.checkpoint_activations(network)
    # Before the ranks speak to each other: one that has left with this error must not leave the others waiting.
    accumulate = _accumulate(plan, world.ranks // settings.pipeline)
    grid = parallel.grid(world, settings.pipeline)
    data = _data(recipe, plan, learner.processor, settings, grid.replica, grid.replicas)
    steps = settings.steps or plan.steps or _one_pass(data, plan.stage)
    layers = network.config.vision_config.num_hidden_layers
    if plan.fit and not settings.data:
        _fit(recipe, plan, learner, settings)
    objective: NextToken = NextToken(network, dtype=dtype, backend=settings.attention, spelt=plan.spelt)
    if settings.pipeline > 1:
        objective = Section(objective, grid.stage, settings.pipeline)
    objective.train()
    on_gpu = dtype == torch.bfloat16 and world.device.type == "cuda"
    parallel.shard(objective, grid.data, bf16=on_gpu)
    pipeline = None
    if isinstance(objective, Section) and grid.stages is not None:
        pipeline = Pipeline(
            objective,
            grid.stages,
            packs=accumulate,
            length=stage.llm_sequence,
            device=world.device,
            wire=torch.bfloat16 if on_gpu else torch.float32,
        )
    schedule = optim.Schedule(
        peak=stage.lr, steps=steps, warmup=min(stage.warmup_steps, steps), minimum=stage.minimum_lr
    )
    return _Job(
        name=name,
        recipe=recipe,
        settings=settings,
        world=world,
        out=out,
        learner=learner,
        objective=objective,
        optimizer=optim.build(objective, layers=layers, prefix="network."),
        batches=lambda start: loader(data, start, workers=settings.workers),
        plan=_plan(steps, schedule, accumulate, settings),
        data=data.identity,
        flops=functools.partial(flops.step_flops, network.config, stage),
        pipeline=pipeline,
    )


def _fit(recipe: Recipe, plan: StagePlan, learner: Learner, settings: Settings) -> None:
    """Set the projector on the stage's first lessons: the same ones on every rank."""
    data = _data(recipe, replace(plan, spelt=1.0), learner.processor, settings)
    objective = NextToken(learner.network, dtype=DTYPES[recipe.dtype], backend=settings.attention, spelt=1.0)
    device = learner.network.visual_tokens.device
    packs = (pack.to(device) for pack in itertools.islice(loader(data, 0, workers=0), plan.fit))
    left = fit_projector(objective.eval(), packs)
    log.info("%s: projector set by least squares; %.1f %% of what is spelt is left", plan.name, 100 * left)


def _warm(
    recipe: Recipe, warmup: WarmUp, out: Path, learner: Learner, settings: Settings, world: World
) -> _Job:
    network, last, dtype = learner.network, recipe.stages[-1].stage, DTYPES[recipe.dtype]
    nn.Module.to(network, world.device)
    steps = settings.steps or warmup.steps
    for batch in (warmup.batch, *(phase.batch or warmup.batch for phase in warmup.phases)):
        if batch % world.ranks:
            raise UserError(
                f"warm-up {warmup.kind}: a batch of {batch} lessons does not divide by {world.ranks} ranks"
            )
    objective: nn.Module
    data: SpeltData | LooksData
    if warmup.kind == "words":
        if warmup.heads and not grow.stages_of(network.config):
            set_heads(network, learner.processor.tokenizer)
        processor = KangarooProcessor(learner.processor.tokenizer, last.resolution, last.patch, True)
        objective = SpeltText(network, dtype=dtype).to(world.device)
        data = SpeltData(warmup, steps, processor, world.ranks)
        optim.freeze(network, {"llm", "visual_tokens"})
    else:
        objective = Sight(network, dtype=dtype).to(world.device)
        # A step has one size of pictures, on all ranks.
        sides = sorted(side for side in _sides(recipe) for _ in range(world.ranks))
        data = LooksData(warmup.phases[-1].mixture, warmup.batch // world.ranks, sides, last.patch)
        optim.freeze(network, {"vision"})
    objective.train()
    schedule = optim.Schedule(
        peak=warmup.lr, steps=steps, warmup=min(warmup.warmup_steps, steps), minimum=warmup.lr / 50
    )
    places = functools.partial(itertools.count, step=world.ranks)
    return _Job(
        name=warmup.kind,
        recipe=recipe,
        settings=settings,
        world=world,
        out=out,
        learner=learner,
        objective=objective,
        optimizer=optim.warm_up(objective, muon=warmup.muon),
        batches=lambda start: in_order(data, places(start * world.ranks + world.rank), settings.workers),
        plan=_plan(steps, schedule, 1, settings),
        data=data.identity,
    )


def _sides(recipe: Recipe) -> set[int]:
    return {plan.stage.resolution for plan in recipe.stages}


def _plan(steps: int, schedule: optim.Schedule, accumulate: int, settings: Settings) -> Plan:
    return Plan(
        steps=steps,
        schedule=schedule,
        accumulate=accumulate,
        clip=CLIP_NORM,
        log_every=settings.log_every,
        save_seconds=settings.save_seconds,
        evaluate_every=settings.evaluate_every,
    )


def _data(
    recipe: Recipe,
    plan: StagePlan,
    processor: KangarooProcessor,
    settings: Settings,
    replica: int = 0,
    replicas: int = 1,
) -> PackedData:
    sources = [Weighted(_manifest(path, settings), weight) for path, weight in settings.data]
    if not sources:
        sources = [
            Weighted(MadeSource(kind, recipe.lessons), weight) for kind, weight in plan.mixture.items()
        ]
    if not sources:
        raise UserError(f"stage {plan.name} of {recipe.name} has no data of its own: give --data MANIFEST")
    seed = recipe.seed if settings.seed is None else settings.seed
    on_gpu = settings.device == "cuda" or (settings.device is None and torch.cuda.is_available())
    batching = Batching(
        tokens=plan.stage.llm_sequence,
        max_frames=max(plan.pack_frames or plan.stage.frames, plan.budget.most),
        packing=plan.stage.packing,
        micro_batch=1 if plan.stage.packing else plan.micro_batch,
        fill=settings.pipeline > 1,
        window=256 if plan.mixture and not settings.data else 2048,
        bad=settings.bad,
        spell=plan.spelt > 0,
        multiple=1 if on_gpu or plan.stage.llm_sequence % ROUND else ROUND,
        seed=seed,
    )
    mixture = Mixture(sources=tuple(sources), seed=seed)
    return PackedData(mixture, processor, plan.budget, batching, replica, replicas)


def _manifest(path: Path, settings: Settings) -> Source:
    return ManifestSource(path.stem, path, root=settings.data_root, bad=settings.bad)


def _accumulate(plan: StagePlan, replicas: int) -> int:
    each = 1 if plan.stage.packing else plan.micro_batch
    count, rest = divmod(plan.stage.batch, each * max(1, replicas))
    if rest or not count:
        what = "packs" if plan.stage.packing else f"micro-batches of {each}"
        raise UserError(
            f"stage {plan.name}: a batch of {plan.stage.batch} is not a whole number of {what} on each of "
            f"{replicas} ranks"
        )
    return count


def _one_pass(data: PackedData, stage: Stage) -> int:
    """Steps in which every row of every source has come at least once: of a source that is small for its weight each comes
    several times."""
    window, sources = data.mixture.window, data.mixture.sources
    passes = [
        len(source) * window / quota for (source, _), quota in zip(sources, data.mixture.quotas, strict=True)
    ]
    rows = max(passes)
    for (source, _), own in zip(sources, passes, strict=True):
        if own < 0.7 * rows:
            log.warning(
                "%s: each of its %d rows comes %.1f times in one pass over the others; --data FILE=WEIGHT changes that",
                source.name,
                len(source),
                rows / own,
            )
    documents = 1.0
    if stage.packing:
        # Each rank plans its own packs, and all must find the same number.
        stats = data.stats()
        documents = parallel.sum_over_ranks(stats.documents) / parallel.sum_over_ranks(stats.packs)
    return max(1, math.ceil(rows / (documents * stage.batch)))


def _train(job: _Job) -> Tally:
    world, settings = job.world, job.settings
    identity, score = job.identity, settings.score
    parallel.check_same(world, json.dumps(identity, sort_keys=True))
    loop = Loop(
        objective=job.objective,
        optimizer=job.optimizer,
        batches=job.batches,
        plan=job.plan,
        world=world,
        checkpoints=Checkpoints(job.out / "checkpoints", keep=settings.keep),
        recipe=identity,
        evaluate=None if score is None else lambda step: score(job.learner, step, job.out),
        flops=job.flops,
        peak=flops.peak_flops(world.device),
        pipeline=job.pipeline,
        replicated=not isinstance(job.objective, NextToken),
    )
    torch.manual_seed(job.seed + world.rank)
    step = loop.resume()
    name = f"{job.recipe.name}-{job.name}"
    loop.writers = logs.writers(job.out, name, settings.log_to, step) if world.rank == 0 else []
    try:
        return loop.run()
    finally:
        for writer in loop.writers:
            writer.close()


def _finish(job: _Job, tally: Tally, asked: dict[str, Any]) -> Path:
    """Write the result, and then that it is one."""
    model = job.out / "model"
    learner = _whole(job)
    if job.world.rank == 0:
        grow.note(learner.network, job.name, _told(job.settings, job), tally.step)
        _save(learner, model)
        weights = checkpoint.identity_of(learner.network, learner.processor).hash
        told = {"asked": asked, "from": job.start, "weights": weights, "model": model.name}
        finished.write(job.out, {**told, "identity": job.identity, **tally.as_json()})
    parallel.gather(None)
    return model


def _save(learner: Learner, model: Path) -> None:
    """RunFailed for a disk that is full, or does not take it."""
    from safetensors import SafetensorError

    try:
        learner.save(model)
    except (OSError, SafetensorError) as error:
        raise RunFailed(
            f"{model} cannot be written: {first_line(error)}; the last checkpoint has the same: make room, and give the "
            "same command again"
        ) from error


def _whole(job: _Job) -> Learner:
    """The trained network as one process holds it. Where it is spread over ranks, each reads the last checkpoint into
    a whole one; only rank 0 needs it, but reading is what all do together."""
    if job.world.ranks == 1 or not isinstance(job.objective, NextToken):
        return job.learner
    network = KangarooForConditionalGeneration(copy.deepcopy(job.learner.network.config))
    Checkpoints(job.out / "checkpoints", keep=job.settings.keep).load_weights(NextToken(network))
    return Learner(network, job.learner.processor)


def _told(settings: Settings, job: _Job) -> str:
    return ", ".join(path.name for path, _ in settings.data) or f"made lessons ({job.data[:12]})"
