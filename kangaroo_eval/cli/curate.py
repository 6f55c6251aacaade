"""`kangaroo-curate`: from a folder of videos to what training reads."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kangaroo_eval.cli.common import cache_dir, guarded, user_path
from kangaroo_eval.cli.parser import Parser
from kangaroo_eval.errors import DataError, UserError

if TYPE_CHECKING:
    from kangaroo_eval.train.curation.engine import Executor
    from kangaroo_eval.train.curation.select import Preset, Selection
    from kangaroo_eval.train.curation.stage import Row

PROGRAM = "kangaroo-curate"
INTERRUPTED = f"{PROGRAM}: interrupted. Shards that are done are kept; the same command goes on"


def make_parser() -> Parser:
    """Every command and flag of `kangaroo-curate`."""
    parser = Parser(
        prog=PROGRAM,
        description="Curate training data (Section III of the paper): annotate first, select later.\n"
        "  kangaroo-curate annotate VIDEOS --out curated --workers 8\n"
        "  kangaroo-curate select curated --preset pretraining --bound 'text<=0.1'\n"
        "The same line again goes on where it stopped; another bound decodes nothing again.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(dest="what", metavar="COMMAND", required=True)
    _annotate(
        commands.add_parser(
            "annotate", help="probe, cut into shots, and score every clip", allow_abbrev=False
        )
    )
    _select(
        commands.add_parser(
            "select", help="the clips that stay, and why the others do not", allow_abbrev=False
        )
    )
    _caption(
        commands.add_parser(
            "caption", help="captions of the clips that stay, by models behind servers", allow_abbrev=False
        )
    )
    _report(commands.add_parser("report", help="a page with every score's distribution", allow_abbrev=False))
    _plan(
        commands.add_parser(
            "plan", help="what so many clips cost, from what was measured", allow_abbrev=False
        )
    )
    return parser


def _annotate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="VIDEOS", help="a folder of videos, or a .jsonl, .parquet or .csv list of them")
    add("--out", required=True, metavar="DIR", help="where the results go")
    add("--root", metavar="DIR", help="what the list's paths are relative to (default: its folder)")
    add("--workers", type=int, default=1, metavar="N", help="processes with one thread each (1)")
    add(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="on a Ray cluster instead (no address: on this machine)",
    )
    add("--shard", type=int, default=100, metavar="N", help="videos of a shard (100)")
    add("--no-cut", action="store_true", help="each video is one clip")
    add("--text", default="rapidocr", metavar="NAME", help="text detector (rapidocr; none)")
    add(
        "--faces",
        default="centerface",
        metavar="NAME|FILE",
        help="face detector (centerface; none; a YOLOv8-face .onnx)",
    )
    add("--longest", type=float, default=6 * 3600.0, metavar="SECONDS", help="of a file (21600)")
    _common(parser)


def _choice(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="DIR", help="what annotate wrote")
    add("--preset", default="pretraining", metavar="NAME", help="pretraining (default), instruction or none")
    add(
        "--bound",
        action="append",
        metavar="B",
        help="another bound, such as 'text<=0.1' or 'motion>=1'; may be repeated",
    )
    add(
        "--benchmark",
        action="append",
        metavar="DIR",
        help="annotations of a benchmark's videos: nothing alike stays",
    )
    add("--keep-alike", action="store_true", help="keep clips that show the same")
    add(
        "--category",
        metavar="KEY",
        help="the rows' key of a clip's category: none may have more than --share of the clips",
    )
    add("--share", type=float, default=0.01, metavar="F", help="of one category (0.01, the paper's 1 %%)")
    _common(parser)


def _select(parser: argparse.ArgumentParser) -> None:
    _choice(parser)
    parser.add_argument("--json", action="store_true", help="one machine-readable line last")


def _caption(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="DIR", help="what select wrote: kept.jsonl; captions go to DIR/captions")
    add("--captioner", required=True, metavar="MODEL", help="of frames")
    add(
        "--summariser",
        required=True,
        action="append",
        metavar="MODEL[@URL]",
        help="of the clip; the paper has two",
    )
    add(
        "--base-url",
        metavar="URL",
        help="an OpenAI-compatible server (default: OpenAI's); $OPENAI_API_KEY is its key",
    )
    add("--lang", default="en", choices=("en", "zh"), help="of the captions (en)")
    add("--seed", type=int, default=0, help="of the frames that are drawn")
    add("--threads", type=int, default=4, metavar="N", help="clips at a time (4)")
    add("--shard", type=int, default=100, metavar="N", help="clips of a shard (100)")
    _common(parser)


def _report(parser: argparse.ArgumentParser) -> None:
    _choice(parser)
    parser.add_argument("--output", "-o", metavar="FILE", help="the page (default: DIR/report.html)")
    parser.add_argument("--no-pictures", action="store_true", help="open no video")


def _plan(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="DIR", help="what annotate wrote: its seconds are what is measured")
    add(
        "--clips", type=float, default=60e6, metavar="N", help="clips to reckon for (60 million, the paper's)"
    )
    add("--cores", type=int, default=1000, metavar="N", help="of the cluster (1000)")
    _common(parser)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no tables")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0 done, 1 usage, 2 failed (disk), 6 input that cannot be read, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = make_parser().parse_args(words)
    options.command, options.program, options.interrupted = "curate", PROGRAM, INTERRUPTED
    return guarded(options, [PROGRAM, *words])


def command(options: argparse.Namespace) -> int:
    """See `main`."""
    ways = {
        "annotate": annotate,
        "select": select,
        "caption": caption,
        "report": report,
        "plan": plan,
    }
    return ways[options.what](options)


def annotate(options: argparse.Namespace) -> int:
    """Every stage over every video; scores, and nothing dropped."""
    from kangaroo_eval.train.curation import engine
    from kangaroo_eval.train.curation.look import Look
    from kangaroo_eval.train.curation.probe import Cut, Probe
    from kangaroo_eval.train.curation.sources import read_source

    rows = read_source(user_path(options.source), user_path(options.root) if options.root else None)
    text, faces = ("" if name == "none" else name for name in (options.text, options.faces))
    stages = [
        Probe(longest=options.longest),
        *([] if options.no_cut else [Cut()]),
        Look(text=text, faces=faces),
    ]
    out = user_path(options.out)

    def tell(done: int, total: int) -> None:
        options.interruption.check()
        if not options.quiet:
            print(f"{done} of {total} shards", file=sys.stderr)

    engine.run(stages, rows, out, _executor(options), size=options.shard, progress=tell)
    if not options.quiet:
        found = list(engine.read_all(out))
        errors = [row for row in found if row.get("error")]
        print(
            f"{len(rows)} videos, {len(found) - len(errors)} clips, {len(errors)} that cannot be read: {out}"
        )
        for row in errors[:5]:
            print(f"  {row['id']}: {row['error']['message']}")
    return 0


def _executor(options: argparse.Namespace) -> Executor:
    from kangaroo_eval.train.curation.engine import InProcess, Pool, RayData

    if options.ray is not None:
        return RayData(options.workers, options.ray or None)
    return InProcess() if options.workers == 1 else Pool(options.workers)


def _chosen(options: argparse.Namespace) -> tuple[Selection, Preset]:
    from kangaroo_eval.train.curation import engine
    from kangaroo_eval.train.curation.select import preset
    from kangaroo_eval.train.curation.select import select as choose

    bounds = preset(options.preset).changed(options.bound or ())
    benchmark: list[Row] = []
    for folder in options.benchmark or ():
        benchmark += engine.read_all(user_path(folder))
    rows = engine.read_all(user_path(options.folder))
    found = choose(
        rows,
        bounds,
        benchmark=benchmark,
        alike=not options.keep_alike,
        category=options.category,
        share=options.share,
    )
    return found, bounds


def select(options: argparse.Namespace) -> int:
    """Write `kept.jsonl` and `dropped.jsonl`."""
    from tabulate import tabulate

    from kangaroo_eval.journal import write_lines
    from kangaroo_eval.train.curation.page import totals

    found, _ = _chosen(options)
    folder = user_path(options.folder)
    write_lines(folder / "kept.jsonl", found.kept)
    write_lines(folder / "dropped.jsonl", found.dropped)
    if not options.quiet:
        total = len(found.kept) + len(found.dropped)
        rows: list[list[Any]] = [[name, count] for name, count in found.counts().items()]
        print(
            tabulate([*rows, ["kept", len(found.kept)], ["clips", total]], headers=["left out by", "clips"])
        )
    if options.json:
        print(json.dumps({"exit": 0, **json.loads(totals(found))}))
    return 0


def caption(options: argparse.Namespace) -> int:
    """Caption every clip that stays."""
    from collections import Counter

    from kangaroo_eval.rows import read_rows
    from kangaroo_eval.train.curation import engine
    from kangaroo_eval.train.curation.captions import Caption, Server

    key = os.environ.get("OPENAI_API_KEY")

    def server(text: str) -> Server:
        model, _, url = text.partition("@")
        return Server(model=model, base_url=url or options.base_url, key=key)

    folder = user_path(options.folder)
    kept = folder / "kept.jsonl"
    if not kept.is_file():
        raise DataError(f"{folder} has no kept.jsonl: run kangaroo-curate select first")
    stage = Caption(
        captioner=server(options.captioner),
        summarisers=tuple(map(server, options.summariser)),
        lang=options.lang,
        seed=options.seed,
        threads=options.threads,
        cache=str(cache_dir() / "captions"),
    )
    rows = [dict(row.values) for row in read_rows(kept)]

    def tell(done: int, total: int) -> None:
        options.interruption.check()
        if not options.quiet:
            print(f"{done} of {total} shards", file=sys.stderr)

    out = folder / "captions"
    engine.run([stage], rows, out, engine.InProcess(), size=options.shard, progress=tell)
    outcomes = Counter(
        "no video" if row.get("error") else row["captions"]["video"]["outcome"]
        for row in engine.read_all(out)
    )
    if not options.quiet:
        print(f"{', '.join(f'{count} {what}' for what, count in outcomes.most_common())}: {out}")
    return 0


def report(options: argparse.Namespace) -> int:
    """Write the page."""
    from kangaroo_eval.journal import write_text
    from kangaroo_eval.train.curation.page import document

    found, bounds = _chosen(options)
    output = user_path(options.output) if options.output else user_path(options.folder) / "report.html"
    if not output.parent.is_dir():
        raise UserError(f"--output {options.output}: there is no folder {output.parent}")
    write_text(output, document(found, bounds, pictures=not options.no_pictures))
    if not options.quiet:
        print(output)
    return 0


def plan(options: argparse.Namespace) -> int:
    """CPU-seconds a clip as they were measured, and what they come to."""
    from kangaroo_eval.train.curation import engine
    from kangaroo_eval.train.curation.cost import cost, table

    if options.clips < 1 or options.cores < 1:
        raise UserError(f"--clips {options.clips:g} --cores {options.cores}: give 1 or more of both")
    print(table(cost(engine.read_all(user_path(options.folder))), options.clips, options.cores))
    return 0


def console() -> None:
    """The `kangaroo-curate` script."""
    sys.exit(main())


if __name__ == "__main__":
    console()
