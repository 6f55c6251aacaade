"""`kangaroo-train`: one stage, all of them, or what they are."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from kangaroo_eval.cli.common import cache_dir, guarded, split, user_path
from kangaroo_eval.cli.parser import Parser
from kangaroo_eval.errors import UserError, cannot_import

if TYPE_CHECKING:
    from kangaroo_eval.train.recipe import Recipe
    from kangaroo_eval.train.scoring import Scoring
    from kangaroo_eval.train.settings import Settings

PROGRAM = "kangaroo-train"
STAGES = ("image", "video", "refinement", "instruction", "long")
WARMUPS = ("words", "sight")
INTERRUPTED = f"{PROGRAM}: interrupted. The last checkpoint is kept; the same command goes on from it"
WORDS = ("show", "all", *WARMUPS, *STAGES, "bundle")


def make_parser() -> Parser:
    """Every flag of `kangaroo-train`."""
    parser = Parser(
        prog=PROGRAM,
        description="Train a Kangaroo: the five stages of the paper (Section IV.B, Table II).\n"
        "  kangaroo-train all --recipe kangaroo-tiny --out runs/tiny\n"
        "  torchrun --nproc-per-node 8 -m kangaroo_eval.cli.train instruction --recipe paper-8b --data set.jsonl \\\n"
        "      --from runs/8b/refinement/model --out runs/8b/instruction\n"
        "The same line again goes on where it stopped.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("what", choices=WORDS, metavar="WHAT", help=f"one of {', '.join(WORDS)}")
    add = parser.add_argument
    add("--recipe", default="kangaroo-tiny", help="paper-8b, kangaroo-135m, kangaroo-tiny (default), smoke")
    add("--out", metavar="DIR", help="where the stage, or with `all` one folder for each, goes")
    add("--from", dest="source", metavar="DIR", help="the result to start from; without it, from the start")
    add(
        "--data",
        action="append",
        metavar="FILE[=WEIGHT]",
        help="a manifest (.jsonl, .parquet); may be repeated",
    )
    add(
        "--data-root",
        metavar="DIR",
        help="what the manifests' paths are relative to (default: their folders)",
    )
    add(
        "--on-bad",
        choices=("fail", "skip"),
        default="fail",
        help="what to do about bad rows and broken videos",
    )
    add("--vision", metavar="PATH_OR_ID", help="the encoder that stage image starts from (paper-8b)")
    add("--llm", metavar="PATH_OR_ID", help="the LLM that stage image starts from (paper-8b, kangaroo-135m)")
    add("--steps", type=int, help="in place of the recipe's")
    add("--seed", type=int, help="of the order of the data (default: the recipe's)")
    add("--frames", type=int, metavar="N", help="of every video, in place of the recipe's dynamic sampling")
    add(
        "--time-embedding",
        metavar="WHAT",
        help="seconds (the paper's), index or none, from this stage on: for ablations",
    )
    add("--device", help="cuda or cpu (default: what there is)")
    add("--workers", type=int, default=1, help="processes that decode (default 1)")
    add("--attention", choices=("loop", "varlen", "flex"), help="back end of the packed attention")
    add(
        "--pipeline",
        type=int,
        default=1,
        metavar="N",
        help="cut the network into N sections, each on a GPU of its own, in the stages that pack (default 1)",
    )
    add(
        "--checkpoint-activations", action="store_true", help="compute activations again in the backward pass"
    )
    add("--save-minutes", type=float, default=5.0, help="between checkpoints (default 5)")
    add("--keep", type=int, default=2, help="checkpoints to keep beside the best (default 2)")
    add("--log-every", type=int, default=10, help="steps between lines of the log (default 10)")
    add("--log", action="append", metavar="KIND", help="also log to tensorboard or wandb")
    add("--eval-every", type=int, default=0, help="steps between evaluations by the harness (default: none)")
    add("--eval-tasks", action="append", metavar="TASKS", help="what they run (default videomme)")
    add("--eval-frames", type=int, default=16, help="frames of a video in them (default 16)")
    add("--eval-limit", type=int, help="samples of a task in them (default: all)")
    add("--eval-data-root", metavar="DIR", help="where their benchmarks are (default: the mini copies)")
    add("--any-order", action="store_true", help="accept weights of another stage than the one before")
    add("--results", metavar="FILE", help="of bundle: a results.json whose scores the model card tells")
    add("-v", "--verbose", action="store_true", help="say every step that is logged")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run `kangaroo-train`; its exit code, as `kangaroo-eval` has them."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = make_parser().parse_args(words)
    options.command, options.program, options.interrupted = "train", PROGRAM, INTERRUPTED
    return guarded(options, [PROGRAM, *words])


def command(options: argparse.Namespace) -> int:
    """Show Table II, or train."""
    try:
        from kangaroo_eval.train import curriculum, parallel
        from kangaroo_eval.train.recipe import ablated
        from kangaroo_eval.train.recipes import recipe
    except ImportError as error:
        raise cannot_import(PROGRAM, error, 'pip install "kangaroo-eval[train]"') from None
    chosen = ablated(recipe(options.recipe), frames=options.frames, time_embedding=options.time_embedding)
    if options.what == "show":
        print(_shown(chosen))
        return 0
    if not options.out:
        raise UserError(f"{PROGRAM} {options.what} needs --out DIR")
    logging.getLogger("kangaroo_eval.train").setLevel(logging.INFO)
    if options.what == "bundle":
        return _bundle(chosen, options)
    out, settings = user_path(options.out), _settings(options)

    if options.what == "all" and options.source:
        raise UserError("`all` starts from the start: leave --from out, or name one stage")
    if options.what in WARMUPS and options.data:
        raise UserError(f"warm-up {options.what} has lessons of its own: leave --data out")

    def work() -> Path:
        if options.what == "all":
            return curriculum.run_all(chosen, out, settings)
        source = user_path(options.source) if options.source else None
        return curriculum.run_stage(chosen, options.what, out, settings, source)

    result = parallel.reported(work)
    parallel.stop()
    if os.environ.get("RANK", "0") == "0":
        print(result)
    return 0


def _bundle(recipe: Recipe, options: argparse.Namespace) -> int:
    """Write what `all` made as a folder to publish."""
    from kangaroo_eval.train.bundle import bundle

    if not options.source:
        raise UserError("bundle needs --from DIR, the folder that `all` wrote")
    print(bundle(recipe, user_path(options.source), user_path(options.out), _results(options.results)))
    return 0


def _results(file: str | None) -> list[dict[str, object]]:
    """The model card's results, from a run's results.json."""
    if not file:
        return []
    try:
        found = json.loads(user_path(file).read_text(encoding="utf-8"))
        return [
            {
                "task": name,
                "value": task["careful"]["value"],
                "n": task["careful"]["n"],
                "frames": found["run"]["frames"],
                "data": task["data"],
            }
            for name, task in found["tasks"].items()
        ]
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise UserError(f"--results {file}: give a run's results.json ({type(error).__name__})") from error


def _shown(recipe: Recipe) -> str:
    """A recipe's stages as Table II has them."""
    from tabulate import tabulate

    from kangaroo_eval.train.stages import table

    head, *rows = table(tuple(plan.stage for plan in recipe.stages))
    steps = [str(plan.steps or "one pass") for plan in recipe.stages]
    warmups = [f"stage 0, ours: {each.kind}, {each.steps} steps of {each.batch}" for each in recipe.warmups]
    return "\n".join(
        [
            f"{recipe.name}: {recipe.about}",
            *warmups,
            tabulate([*rows, ["steps", *steps]], head, disable_numparse=True),
        ]
    )


def _settings(options: argparse.Namespace) -> Settings:
    from kangaroo_eval.train.settings import Settings

    components = {"vision": options.vision, "llm": options.llm}
    return Settings(
        data=tuple(_weighted(text) for text in options.data or ()),
        data_root=user_path(options.data_root) if options.data_root else None,
        bad=options.on_bad,
        components={name: value for name, value in components.items() if value},
        steps=options.steps,
        seed=options.seed,
        device=options.device,
        workers=options.workers,
        attention=options.attention,
        pipeline=options.pipeline,
        checkpoint_activations=options.checkpoint_activations,
        save_seconds=60 * options.save_minutes,
        keep=options.keep,
        log_every=options.log_every,
        log_to=split(options.log),
        evaluate_every=options.eval_every,
        score=_score(options) if options.eval_every else None,
        any_order=options.any_order,
    )


def _weighted(text: str) -> tuple[Path, float]:
    """`set.jsonl=2` -> its path and 2; 1 without a weight."""
    name, equals, weight = text.rpartition("=")
    if not equals:
        return user_path(text), 1.0
    try:
        return user_path(name), float(weight)
    except ValueError:
        raise UserError(f"--data {text!r}: give FILE or FILE=WEIGHT, such as set.jsonl=2") from None


def _score(options: argparse.Namespace) -> Scoring:
    from kangaroo_eval.train.scoring import Scoring

    return Scoring(
        tasks=split(options.eval_tasks) or ("videomme",),
        frames=options.eval_frames,
        cache=cache_dir(),
        limit=options.eval_limit,
        data_root=user_path(options.eval_data_root) if options.eval_data_root else None,
    )


def console() -> None:
    """The `kangaroo-train` script."""
    sys.exit(main())


if __name__ == "__main__":
    console()
