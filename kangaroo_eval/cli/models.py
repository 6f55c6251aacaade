"""`kangaroo-eval models [ls|show NAME]`: what --model takes, and the memory that a Kangaroo needs."""

from __future__ import annotations

import argparse
import ast
import difflib
import importlib.util
import inspect
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kangaroo_eval.cli.common import user_path
from kangaroo_eval.errors import UserError, cannot_import
from kangaroo_eval.registry import check_model, model_loader, model_names, model_references

if TYPE_CHECKING:
    from kangaroo_eval.model.config import KangarooConfig
    from kangaroo_eval.model.memory import MemoryPlan, Moment, Workload

SHAPES = {
    "kangaroo-8b": "the paper's model; no weights are bundled: `models show kangaroo-8b` says how to make them",
    "kangaroo-135m": "with SmolLM2-135M; no weights are bundled: `models show kangaroo-135m` says how to make them",
}
"""Kangaroos that have a configuration here and no weights."""

LARGE_CARD = 80
"""GB of the card whose largest number of frames is told."""

HOW_TO_GET = """No weights are bundled. Make the start of stage I from an EVA-02 CLIP encoder and a Llama:
  network = KangarooForConditionalGeneration.from_components(VISION, LLM, patchify=False, frame_size=224{extra})
  network.save_pretrained(FOLDER)
  KangarooProcessor.for_components(LLM, network.config).save_pretrained(FOLDER)
(both from kangaroo_eval.model), train it, and run it with --model kangaroo:FOLDER"""


def command(options: argparse.Namespace) -> int:
    """List the models that --model takes, or say what one is, what its ARG means and what memory it takes."""
    if options.action == "ls":
        _list(options)
        return 0
    if options.action != "show" or not options.name:
        raise UserError(f"models {options.action!r}: give `models ls` or `models show NAME`")
    kind, _, arg = options.name.partition(":")
    _check(kind)
    extra = ", max_position_embeddings=32768" if kind == "kangaroo-8b" else ""
    about = HOW_TO_GET.format(extra=extra) if kind in SHAPES else _told_of(model_loader(kind))
    config = _config(kind, arg)
    nothing = [json.dumps({"model": options.name, "memory": None})] if options.json else []
    memory = nothing if config is None else _memory(options, config)
    print("\n".join([kind, str(about), *memory]))
    return 0


def _told_of(loader: Callable[..., object]) -> str:
    """What a loader says of itself, and its module of the options that it takes (`MODEL_ARGS`)."""
    found = getattr(inspect.getmodule(loader), "MODEL_ARGS", None)
    if not isinstance(found, Mapping) or not found:
        return inspect.getdoc(loader) or ""
    width = max(len(str(name)) for name in found) + 2
    args = (f"  {name!s:{width}}{text}" for name, text in found.items())
    return "\n".join([inspect.getdoc(loader) or "", "--model-args, as NAME=VALUE,...:", *args])


def _list(options: argparse.Namespace) -> None:
    about = {name: _summary(name) for name in model_names()} | SHAPES
    width = max(map(len, about)) + 2
    for name in sorted(about):
        print(f"{name:{width}}{about[name]}".rstrip())
    if options.json:
        print(json.dumps(dict(sorted(about.items()))))


def _summary(name: str) -> str:
    """The first sentence of what the model's loader says of itself; "" where it says nothing.

    It is read from the source: importing the loaders would load torch and every plug-in's packages.
    """
    module, _, attribute = model_references()[name].partition(":")
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError as error:
        return f"(cannot be loaded: no module {error.name!r})"
    if spec is None or spec.origin is None:
        return f"(cannot be loaded: no module {module!r})"
    source = Path(spec.origin)
    if source.suffix != ".py":
        return ""
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == attribute:
            text = " ".join((ast.get_docstring(node) or "").split("\n\n")[0].split())
            return text.partition(". ")[0].rstrip(".")
    return ""


def _check(name: str) -> None:
    """UserError with a suggestion where there is no such model."""
    near = difflib.get_close_matches(name.lower(), [*model_names(), *SHAPES], n=1, cutoff=0.5)
    if name in model_names() or not near or near[0] not in SHAPES:
        check_model(name)
    elif name not in SHAPES:
        raise UserError(f"unknown model {name!r}. Did you mean {near[0]}?")


def _config(kind: str, arg: str) -> KangarooConfig | None:
    """The configuration of a Kangaroo (of a repository of the hub its config.json alone is fetched); None for the
    other models, and for `kangaroo` without an ARG."""
    if kind not in (*SHAPES, "kangaroo", "kangaroo-tiny"):
        return None
    try:
        from kangaroo_eval.model import checkpoint, config, hub
    except ModuleNotFoundError as error:
        raise cannot_import(f"model {kind!r}", error, "pip install 'kangaroo-eval[model]'") from error
    if kind in SHAPES and arg:
        raise UserError(f"{kind}:{arg}: {kind} has no weights of its own; give kangaroo:{arg}")
    if arg:
        folder = user_path(arg)
        if not folder.exists() and hub.is_hub_id(arg):
            folder = hub.download(arg, ["config.json"])
        return checkpoint.read_config(folder)
    presets = {
        "kangaroo-8b": config.kangaroo_8b,
        "kangaroo-135m": config.kangaroo_135m,
        "kangaroo-tiny": config.kangaroo_tiny,
    }
    return presets[kind]() if kind in presets else None


def _memory(options: argparse.Namespace, config: KangarooConfig) -> list[str]:
    """The arithmetic of --frames frames, as lines of text; with --json the record is the last."""
    from kangaroo_eval.model.memory import CARDS, Workload, memory_plan, most_frames

    def plan(frames: int) -> MemoryPlan:
        asked = Workload(frames=frames, batch_size=options.batch_size, new_tokens=options.max_new_tokens)
        return memory_plan(config, asked, options.dtype)

    found = plan(options.frames)
    in_context = most_frames(lambda frames: plan(frames).in_context)
    in_memory = most_frames(lambda frames: plan(frames).fits(LARGE_CARD))
    fits = ", ".join(f"{card} GB: {'yes' if found.fits(card) else 'NO'}" for card in CARDS)
    lines = [
        "",
        *_lines(config, found),
        f"fits      {fits}",
        f"most      {in_context:,} frames within {found.context:,} positions; "
        f"{in_memory:,} within {LARGE_CARD} GB",
        "(GB of 10^9 bytes; the CUDA context and the allocator's fragmentation come on top)",
    ]
    if not found.in_context:
        lines.append(f"TOO LONG: {found.lengths.row:,} tokens, but the LLM knows {found.context:,} positions")
    if options.json:
        lines.append(json.dumps(_record(found, in_context, in_memory)))
    return lines


def _lines(config: KangarooConfig, plan: MemoryPlan) -> list[str]:
    work, lengths, layout = plan.workload, plan.lengths, config.layout
    slots = layout.slots(work.frames)
    lines = [
        f"{work.frames} frames of {config.frame_size} px in {plan.dtype}; {_questions(work)}",
        f"  visual tokens     {lengths.visual:>12,}  slots x tokens: {slots:,} x {layout.slot_tokens:,}",
        f"  visual sequence   {lengths.sequence:>12,}  one mark a slot and two: + {slots:,} + 2",
        f"  prompt to its end {lengths.prefix:>12,}  with the chat marks before it",
        f"  whole row         {lengths.row:>12,}  with a question and its answer; "
        f"the LLM knows {plan.context:,} positions",
        f"  KV cache          {plan.cache_token:>12,}  bytes a token: layers x (key + value) x heads x width x bytes",
        "",
        f"weights   {_size(plan.weight_bytes)}",
        *(f"  {part.name:38}{_size(part.bytes):>10}  {part.how}" for part in plan.weights),
    ]
    for stage, title in (("encode", "frames"), ("prefill", "prefill"), ("answer", "answers")):
        lines += ["", *_stage(plan, stage, title)]
    fullest = plan.fullest
    lines += [
        "",
        f"peak      {_size(plan.peak)} = weights {_size(plan.weight_bytes)} + {_size(fullest.bytes)} "
        f"({fullest.stage}: {fullest.name})",
    ]
    return lines


def _questions(work: Workload) -> str:
    count = "one question" if work.batch_size == 1 else f"{work.batch_size} questions"
    return f"{count} at a time of {work.question_tokens} tokens, answers of up to {work.new_tokens}"


def _stage(plan: MemoryPlan, stage: str, title: str) -> list[str]:
    """The fullest moment of a stage in its parts, and the others by their sums."""
    fullest = plan.stage(stage)
    others: dict[str, Moment] = {}
    for moment in plan.moments:
        if moment.stage == stage and moment.name != fullest.name:
            known = others.get(moment.name, moment)
            others[moment.name] = max(known, moment, key=lambda each: each.bytes)
    lines = [f"{title:10}{_size(fullest.bytes)}, fullest at: {fullest.name}"]
    lines += [f"  {part.name:38}{_size(part.bytes):>10}  {part.how}" for part in fullest.parts]
    lines += [f"  (at: {name:33}{_size(moment.bytes):>9})" for name, moment in others.items()]
    return lines


def _size(count: int) -> str:
    for unit, scale in (("GB", 10**9), ("MB", 10**6)):
        if count >= scale:
            return f"{count / scale:.2f} {unit}"
    return f"{count / 1000:.1f} kB"


def _record(plan: MemoryPlan, in_context: int, in_memory: int) -> dict[str, Any]:
    """All numbers, sizes in bytes."""
    from kangaroo_eval.model.memory import CARDS

    work = plan.workload
    return {
        "dtype": plan.dtype,
        "frames": work.frames,
        "batch_size": work.batch_size,
        "question_tokens": work.question_tokens,
        "new_tokens": work.new_tokens,
        "frame_chunk": work.frame_chunk,
        "tokens": plan.lengths._asdict(),
        "context": plan.context,
        "cache_bytes_a_token": plan.cache_token,
        "weights": {part.name: part.bytes for part in plan.weights},
        "moments": [
            {
                "stage": moment.stage,
                "name": moment.name,
                "bytes": moment.bytes,
                "parts": {part.name: part.bytes for part in moment.parts},
            }
            for moment in plan.moments
        ],
        "peak": plan.peak,
        "fits": {f"{card} GB": plan.fits(card) for card in CARDS},
        "most_frames": {"context": in_context, f"{LARGE_CARD} GB": in_memory},
    }
