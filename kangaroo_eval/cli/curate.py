"""`kangaroo-curate`: from a folder of videos to what training reads."""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kangaroo_eval.cli.common import cache_dir, guarded, user_path
from kangaroo_eval.cli.curate_parser import PROGRAM, make_parser
from kangaroo_eval.errors import DataError, UserError

if TYPE_CHECKING:
    from kangaroo_eval.train.curation.captions import Server
    from kangaroo_eval.train.curation.engine import Executor
    from kangaroo_eval.train.curation.select import Preset, Selection
    from kangaroo_eval.train.curation.stage import Row, Stage

INTERRUPTED = f"{PROGRAM}: interrupted. Shards that are done are kept; the same command goes on"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code: 0 done, 1 usage, 2 failed (disk), 3 requests failed (caption, images), 6 input that cannot be read, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    options = make_parser().parse_args(words)
    options.command, options.program, options.interrupted = "curate", PROGRAM, INTERRUPTED
    return guarded(options, [PROGRAM, *words])


def command(options: argparse.Namespace) -> int:
    """See `main`."""
    ways = {
        "annotate": annotate,
        "select": select,
        "resample": resample,
        "caption": caption,
        "images": images,
        "assemble": assemble,
        "report": report,
        "composition": composition,
        "plan": plan,
    }
    return ways[options.what](options)


def annotate(options: argparse.Namespace) -> int:
    """Every stage over every video; scores, and nothing dropped."""
    from kangaroo_eval.train.curation import engine
    from kangaroo_eval.train.curation.look import Look
    from kangaroo_eval.train.curation.probe import Probe
    from kangaroo_eval.train.curation.shots import Cut
    from kangaroo_eval.train.curation.sources import read_source

    root = user_path(options.root).absolute() if options.root else None
    rows = read_source(user_path(options.source).absolute(), root)
    text, faces = ("" if name == "none" else name for name in (options.text, options.faces))
    stages: list[Stage] = [
        Probe(longest=options.longest),
        *([] if options.cut == "none" else [Cut(detector=options.cut)]),
        Look(text=text, faces=faces),
    ]
    out = user_path(options.out)
    engine.run(stages, rows, out, _executor(options), size=options.shard, progress=_told(options))
    if not options.quiet:
        found = list(engine.read_all(out))
        errors = [row for row in found if row.get("error")]
        print(
            f"{len(rows)} videos, {len(found) - len(errors)} clips, {len(errors)} that cannot be read: {out}"
        )
        for row in errors[:5]:
            print(f"  {' '.join(str(row['id']).split())}: {row['error']['message']}")
    if all(row.get("error") for row in engine.read_all(out)):
        raise DataError(f"{options.source}: nothing in it can be read; the reasons are in {out}")
    return 0


def _told(options: argparse.Namespace) -> Callable[[int, int], None]:
    """A line a shard, where an interruption takes effect too."""

    def tell(done: int, total: int) -> None:
        options.interruption.check()
        if not options.quiet:
            print(f"{done} of {total} shards", file=sys.stderr)

    return tell


def _kept(folder: Path) -> list[Row]:
    """What select left. DataError where it was not run."""
    from kangaroo_eval.rows import read_rows

    kept = folder / "kept.jsonl"
    if not kept.is_file():
        raise DataError(f"{folder} has no kept.jsonl: run kangaroo-curate select first")
    return [dict(row.values) for row in read_rows(kept)]


def resample(options: argparse.Namespace) -> int:
    """Write every clip that stays anew."""
    from kangaroo_eval.train.curation import engine
    from kangaroo_eval.train.curation.resample import Resample

    for name in ("fps", "gop", "side"):
        if not getattr(options, name) > 0:
            raise UserError(f"--{name} {getattr(options, name)}: give a number above 0")
    folder = user_path(options.folder)
    rows, clips = _kept(folder), folder / "clips"
    clips.mkdir(exist_ok=True)
    stage = Resample(out=str(clips.resolve()), fps=options.fps, gop=options.gop, side=options.side)
    out = folder / "resampled"
    engine.run([stage], rows, out, _executor(options), size=options.shard, progress=_told(options))
    if not options.quiet:
        errors = sum(bool(row.get("error")) for row in engine.read_all(out))
        print(f"{len(rows) - errors} clips, {errors} that cannot be read: {clips}")
    return 0


def _executor(options: argparse.Namespace) -> Executor:
    from kangaroo_eval.train.curation.engine import InProcess
    from kangaroo_eval.train.curation.on_ray import OnRay
    from kangaroo_eval.train.curation.workers import Pool

    if getattr(options, "ray", None) is not None:
        return OnRay(options.workers, options.ray or None)
    return InProcess() if options.workers == 1 else Pool(options.workers)


def _chosen(options: argparse.Namespace, folder: Path) -> tuple[Selection, Preset]:
    from kangaroo_eval.train.curation import engine
    from kangaroo_eval.train.curation.select import PRESETS, preset
    from kangaroo_eval.train.curation.select import select as choose

    bounds = preset(options.preset).changed(options.bound or ())
    benchmark: list[Row] = []
    for each in options.benchmark or ():
        benchmark += engine.read_all(user_path(each))
    if blind := sum(row.get("error") is not None or not row.get("hashes") for row in benchmark):
        print(
            f"{PROGRAM}: {blind} of the benchmark's {len(benchmark)} rows cannot be looked for (unreadable): what they show "
            "may be in what is kept",
            file=sys.stderr,
        )
    rows = list(engine.read_all(folder))
    measured = {name for row in rows for name in row.get("scores", {})}
    if options.category and not any(options.category in row for row in rows):
        keys = sorted(
            {key for row in rows for key in row if isinstance(row[key], str)} - {"id", "path", "video"}
        )
        raise UserError(
            f"--category {options.category}: no row has it; choose among {', '.join(keys) or 'none'}"
        )
    for bound in options.bound or ():
        name = re.split(r"[<>=]", bound)[0].strip()
        if name not in measured | {"duration"} | {
            each for other in PRESETS.values() for each in (*other.least, *other.most)
        }:
            raise UserError(
                f"--bound {bound!r}: no such score; choose among {', '.join(sorted(measured)) or 'none'}"
            )
    if missing := sorted({*bounds.least, *bounds.most} - measured - {"duration"}):
        print(
            f"{PROGRAM}: not measured, so no clip is left out for it: {', '.join(missing)}", file=sys.stderr
        )
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
    from kangaroo_eval.train.curation.page import totals

    found = _selected(options, user_path(options.folder), "clips")
    if options.json:
        print(json.dumps({"exit": 0, **json.loads(totals(found))}))
    return 0


def _selected(options: argparse.Namespace, folder: Path, what: str) -> Selection:
    """What stays and what does not, written to the folder and told."""
    from tabulate import tabulate

    from kangaroo_eval.journal import write_lines

    found, _ = _chosen(options, folder)
    write_lines(folder / "kept.jsonl", found.kept)
    write_lines(folder / "dropped.jsonl", found.dropped)
    if not options.quiet:
        total = len(found.kept) + len(found.dropped)
        rows: list[list[Any]] = [[name, count] for name, count in found.counts().items()]
        print(tabulate([*rows, ["kept", len(found.kept)], [what, total]], headers=["left out by", what]))
    return found


def caption(options: argparse.Namespace) -> int:
    """Caption every clip that stays."""
    from kangaroo_eval.train.curation import engine
    from kangaroo_eval.train.curation.captions import Caption

    folder = user_path(options.folder)
    rows = list(engine.read_all(folder / "resampled")) if options.resampled else _kept(folder)
    stage = Caption(
        captioner=_server(options, options.captioner),
        summarisers=tuple(_server(options, text) for text in options.summariser),
        lang=options.lang,
        seed=options.seed,
        threads=options.threads,
        cache=str(cache_dir() / "captions"),
    )
    return _captioned(options, stage, rows, folder / "captions")


def images(options: argparse.Namespace) -> int:
    """Look at every picture, and caption those that stay."""
    from kangaroo_eval.train.curation import engine, images

    folder = user_path(options.out)
    stage = images.CaptionPicture(
        captioner=_server(options, options.captioner),
        lang=options.lang,
        words=options.words,
        threads=options.threads,
        cache=str(cache_dir() / "captions"),
    )
    rows = images.rows(
        user_path(options.source), user_path(options.root) if options.root else None, options.name
    )
    engine.run(
        [images.Picture()], rows, folder, _executor(options), size=options.shard, progress=_told(options)
    )
    found = _selected(options, folder, "pictures")
    if not found.kept:
        raise DataError(f"{options.source}: no picture stays; {folder / 'dropped.jsonl'} says why of each")
    return _captioned(options, stage, found.kept, folder / "captions")


def _captioned(options: argparse.Namespace, stage: Stage, rows: Sequence[Row], out: Path) -> int:
    """Caption the rows into `out`; 3 where requests failed."""
    from collections import Counter

    from kangaroo_eval.train.curation import engine
    from kangaroo_eval.train.curation.captions import failures, outcome_of

    # Requests that failed are asked again; what was answered comes from the cache.
    for file in out.glob("[0-9]*.parquet"):
        if any(failures(row) for row in engine.read(file)):
            file.unlink()
    engine.run([stage], rows, out, engine.InProcess(), size=options.shard, progress=_told(options))
    outcomes = Counter(map(outcome_of, engine.read_all(out)))
    if not options.quiet:
        print(f"{', '.join(f'{count} {what}' for what, count in outcomes.most_common())}: {out}")
    return 3 if any(failures(row) for row in engine.read_all(out)) else 0


def _server(options: argparse.Namespace, text: str) -> Server:
    """The model that MODEL[@URL] names, with the key of the environment."""
    from kangaroo_eval.train.curation.captions import Server

    model, _, url = text.partition("@")
    return Server(model=model, base_url=url or options.base_url, key=os.environ.get("OPENAI_API_KEY"))


def assemble(options: argparse.Namespace) -> int:
    """One manifest of all that is given."""
    from kangaroo_eval.train.curation.assembly import Asked, Set, assemble_all
    from kangaroo_eval.train.curation.captions import EndpointWriter

    def set_of(text: str) -> Set:
        name, equals, rest = text.partition("=")
        file, _, videos = rest.partition("@")
        if not equals or not file:
            raise UserError(
                f"--set {text!r}: write NAME=FILE or NAME=FILE@VIDEOS, such as vatex=vatex.json@videos"
            )
        return Set(name, user_path(file), str(user_path(videos)) if videos else "")

    def writers(texts: Sequence[str] | None) -> list[EndpointWriter]:
        return [EndpointWriter(_server(options, text), str(cache_dir() / "captions")) for text in texts or ()]

    chosen = {name: getattr(options, name) for name in ("threshold", "shortest", "rounds", "category")}
    asked = Asked(
        clips=tuple(user_path(each) for each in options.clips or ()),
        images=tuple(user_path(each) for each in options.images or ()),
        sets=tuple(map(set_of, options.set or ())),
        dense=options.dense,
        lang=options.lang,
        merge_by=writers(options.merge_by),
        dialogues_by=writers(options.dialogues_by),
        **{name: value for name, value in chosen.items() if value is not None},
    )
    told = assemble_all(asked, user_path(options.out))
    if not options.quiet:
        print(told)
    return 0


def report(options: argparse.Namespace) -> int:
    """Write the page."""
    from kangaroo_eval.journal import write_text
    from kangaroo_eval.train.curation.page import document

    folder = user_path(options.folder)
    found, bounds = _chosen(options, folder)
    output = _page_file(options.output) if options.output else folder / "report.html"
    write_text(output, document(found, bounds, pictures=not options.no_pictures))
    if not options.quiet:
        print(output)
    return 0


def _page_file(text: str) -> Path:
    """The file that --output names. UserError where its folder is not there."""
    output = user_path(text)
    if not output.parent.is_dir():
        raise UserError(f"--output {text}: there is no folder {output.parent}")
    return output


def composition(options: argparse.Namespace) -> int:
    """Table I of some manifests."""
    from kangaroo_eval.journal import write_text
    from kangaroo_eval.train.curation import composition

    output = _page_file(options.output) if options.output else None
    found = composition.read([user_path(each) for each in options.manifest])
    if not options.quiet:
        print(composition.table(found))
    if output is not None:
        write_text(output, composition.document(found))
        if not options.quiet:
            print(output)
    if options.json:
        print(json.dumps({"exit": 0, **composition.as_json(found)}, ensure_ascii=False))
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
