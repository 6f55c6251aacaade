"""Every command and flag of `kangaroo-curate`. Imports argparse alone."""

from __future__ import annotations

import argparse

from kangaroo_eval.cli.parser import Parser

PROGRAM = "kangaroo-curate"


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
    _resample(
        commands.add_parser(
            "resample", help="write the clips that stay anew at 4 frames a second", allow_abbrev=False
        )
    )
    _caption(
        commands.add_parser(
            "caption", help="captions of the clips that stay, by models behind servers", allow_abbrev=False
        )
    )
    _images(
        commands.add_parser(
            "images", help="captions of pictures, by a model behind a server", allow_abbrev=False
        )
    )
    _assemble(
        commands.add_parser(
            "assemble", help="a training manifest of clips and public sets", allow_abbrev=False
        )
    )
    _report(commands.add_parser("report", help="a page with every score's distribution", allow_abbrev=False))
    _composition(
        commands.add_parser(
            "composition", help="what a manifest is made of, beside the paper's Table I", allow_abbrev=False
        )
    )
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
    add(
        "--cut",
        default="adaptive",
        choices=("adaptive", "transnetv2", "none"),
        help="shots by PySceneDetect's adaptive detector (default) or TransNetV2; none: each video is one clip",
    )
    add("--no-cut", dest="cut", action="store_const", const="none", help="the same as --cut none")
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
    add("folder", metavar="DIR", help="what annotate (or images) wrote")
    add(
        "--preset",
        default="pretraining",
        metavar="NAME",
        help="pretraining (default), instruction, images or none",
    )
    _bounds(parser)
    _common(parser)


def _bounds(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
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


def _select(parser: argparse.ArgumentParser) -> None:
    _choice(parser)
    parser.add_argument("--json", action="store_true", help="one machine-readable line last")


def _resample(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="DIR", help="what select wrote: kept.jsonl; files go to DIR/clips")
    add("--fps", type=float, default=4.0, help="frames a second (4, the paper's)")
    add("--gop", type=int, default=8, metavar="N", help="a keyframe every N frames (8)")
    add("--side", type=int, default=640, metavar="N", help="pixels of the longer side at most (640)")
    add("--workers", type=int, default=1, metavar="N", help="processes with one thread each (1)")
    add("--shard", type=int, default=100, metavar="N", help="clips of a shard (100)")
    _common(parser)


def _caption(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="DIR", help="what select wrote: kept.jsonl; captions go to DIR/captions")
    add("--resampled", action="store_true", help="of the clips that resample wrote")
    add("--captioner", required=True, metavar="MODEL", help="of frames")
    add(
        "--summariser",
        required=True,
        action="append",
        metavar="MODEL[@URL]",
        help="of the clip; the paper has two",
    )
    _server(parser)
    add("--lang", default="en", choices=("en", "zh"), help="of the captions (en)")
    add("--seed", type=int, default=0, help="of the frames that are drawn")
    add("--threads", type=int, default=4, metavar="N", help="clips at a time (4)")
    add("--shard", type=int, default=100, metavar="N", help="clips of a shard (100)")
    _common(parser)


def _images(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("source", metavar="PICTURES", help="a folder of pictures, or a .jsonl, .parquet or .csv list of them")
    add("--out", required=True, metavar="DIR", help="where the results go; captions go to DIR/captions")
    add("--captioner", required=True, metavar="MODEL[@URL]", help="of the pictures")
    _server(parser)
    add("--lang", default="en", choices=("en", "zh"), help="of the captions (en)")
    add(
        "--words",
        type=int,
        default=0,
        metavar="N",
        help="of a caption at most, as the prompt asks (60; zh: 90)",
    )
    add("--root", metavar="DIR", help="what the list's paths are relative to (default: its folder)")
    add("--name", default="", metavar="NAME", help="of the source, in every row (default: that of PICTURES)")
    parser.set_defaults(preset="images")
    _bounds(parser)
    add("--workers", type=int, default=1, metavar="N", help="processes that look at pictures (1)")
    add("--threads", type=int, default=16, metavar="N", help="pictures that are captioned at a time (16)")
    add("--shard", type=int, default=1000, metavar="N", help="pictures of a shard (1000)")
    _common(parser)


def _assemble(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--clips", action="append", metavar="DIR", help="a folder whose clips were captioned; may be repeated"
    )
    add("--images", action="append", metavar="DIR", help="what images wrote; may be repeated")
    add(
        "--set",
        action="append",
        metavar="NAME=FILE[@VIDEOS]",
        help="a public set (vatex, nextqa_mc, ...), and the folder of its videos; may be repeated",
    )
    add("--out", required=True, metavar="FILE", help="the manifest, .jsonl")
    add("--category", metavar="KEY", help="the clips' key of a category, for composition (category)")
    add(
        "--threshold",
        type=float,
        help="similarity (Eq. 2) of two sentences from which a caption repeats itself",
    )
    add("--dense", action="store_true", help="also captions of the frames in their order")
    add("--shortest", type=float, metavar="SECONDS", help="of a clip (5, the paper's)")
    add("--rounds", type=int, metavar="N", help="of a conversation that is merged of single ones")
    add("--lang", default="en", choices=("en", "zh"), help="of the clips' captions (en)")
    add(
        "--merge-by",
        action="append",
        metavar="MODEL[@URL]",
        help="have several short captions of a video made one",
    )
    add("--dialogues-by", action="append", metavar="MODEL[@URL]", help="have dialogues made of descriptions")
    _server(parser)
    _common(parser)


def _server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--base-url",
        metavar="URL",
        help="an OpenAI-compatible server (default: OpenAI's); $OPENAI_API_KEY is its key",
    )


def _report(parser: argparse.ArgumentParser) -> None:
    _choice(parser)
    parser.add_argument("--output", "-o", metavar="FILE", help="the page (default: DIR/report.html)")
    parser.add_argument("--no-pictures", action="store_true", help="open no video")


def _composition(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("manifest", nargs="+", metavar="MANIFEST", help="a training manifest, .jsonl or .parquet")
    add("--output", "-o", metavar="FILE", help="a page with figures, .html")
    add("--json", action="store_true", help="one machine-readable line last")
    _common(parser)


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
