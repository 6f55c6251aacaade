"""Every command and flag. Imports argparse alone."""

from __future__ import annotations

import argparse
from typing import NoReturn

COMMANDS = {
    "run": "infer, score and report (the default); the same line again resumes",
    "watch": "evaluate a training run's checkpoints as they appear",
    "score": "score again, offline, or score answers made elsewhere",
    "report": "tables beside the published baselines",
    "compare": "two runs of the same samples: what changed, and how surely",
    "gate": "is a run worse than its baseline? The exit code says",
    "view": "pages with every sample and the frames that the model saw",
    "import": "results of lmms-eval or VLMEvalKit as a run directory, scored by our readers",
    "export": "a run's answers as the files that benchmarks and their servers take",
    "tasks": "list the benchmarks, or show one",
    "models": "list the models",
    "data": "find, check or make benchmark data",
    "chat": "talk with a Kangaroo about a video, here or in the browser",
    "doctor": "what works here, and how to mend the rest",
}


class Parser(argparse.ArgumentParser):
    """An argparse parser whose mistakes are one line and exit code 1."""

    def error(self, message: str) -> NoReturn:
        """One line, with the near miss of an unknown flag."""
        if message.startswith("unrecognized arguments: "):
            import difflib

            word = message.removeprefix("unrecognized arguments: ").split()[0].partition("=")[0]
            known = self._option_string_actions if word.startswith("-") else COMMANDS
            near = difflib.get_close_matches(word, known, n=1)
            told = f". Did you mean {near[0]}?" if near else ""
            if not near and not word.startswith("-") and self.prog.endswith(" run"):
                # Most likely a pattern that the shell has written out, or a command that there is not.
                told = f": the commands are {', '.join(COMMANDS)}; quote a pattern, such as --checkpoints 'out/step_*'"
            message = f"unknown flag or word {word!r}{told}"
        self.exit(1, f"{self.prog.split()[0]}: {message} (see {self.prog} --help)\n")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """Refuse unknown words here, where the sub-command's own flags are known."""
        found, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error("unrecognized arguments: " + " ".join(rest))
        return found, rest


def make_parser(script: str) -> Parser:
    """The whole command line; `script` is argv[0], for the version line only."""
    parser = Parser(
        prog="kangaroo-eval",
        description="Evaluate video-language models. Without a command word, `run` is meant:\n"
        "  kangaroo-eval --tasks videomme,mlvu --frames 64",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="kangaroo-eval COMMAND --help lists a command's flags.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    made = {
        name: commands.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:],
            prog=f"kangaroo-eval {name}",
            allow_abbrev=False,
        )
        for name, text in COMMANDS.items()
    }
    _run(made["run"])
    _watch(made["watch"])
    _score(made["score"])
    _report(made["report"])
    _compare(made["compare"])
    _gate(made["gate"])
    _view(made["view"])
    _import(made["import"])
    _export(made["export"])
    _tasks(made["tasks"])
    _models(made["models"])
    _data(made["data"])
    _chat(made["chat"])
    _doctor(made["doctor"])
    return parser


class _Version(argparse.Action):
    def __call__(self, parser, *_: object) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        from kangaroo_eval import __version__

        parser.exit(0, f"kangaroo-eval {__version__}\n")


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-v", "--verbose", action="store_true", help="say more")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress, no tables")


def _where(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", default="auto", help="auto, real or mini: auto takes real data, else the mini copy"
    )
    parser.add_argument(
        "--data-root", metavar="DIR", help="folder of the benchmarks (default: $KANGAROO_EVAL_DATA)"
    )


def _judge(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--judge",
        metavar="MODEL",
        help="judge of judged tasks; official: the model each benchmark's authors use",
    )
    add("--judge-base-url", metavar="URL", help="an OpenAI-compatible server (default: OpenAI's)")
    add("--judge-price", metavar="IN,OUT", help="USD per million tokens, for the cost in the record")


def _run(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--tasks", "-t", nargs="+", metavar="TASK", help="comma or space separated; all for every task")
    add(
        "--model",
        "-M",
        default="kangaroo-tiny",
        metavar="NAME[:ARG]",
        help="default: kangaroo-tiny (bundled)",
    )
    add("--model-args", "-a", default="", metavar="K=V,...", help="options of the model")
    add(
        "--frames",
        "--nframes",
        "--max-frames-num",
        type=_counts,
        metavar="N[,M...]",
        help="frames a video (the task's); several numbers are a sweep, which decodes once",
    )
    add("--fps", type=float, metavar="F", help="frames by rate instead")
    add("--max-frames", type=int, metavar="N", help="the cap of --fps")
    add(
        "--sampler",
        default="uniform",
        help="uniform (segment centres), endpoints, official (the benchmark's)",
    )
    add("--decoder", default="pyav", help="pyav, decord or torchcodec")
    _where(parser)
    add("--limit", "-L", type=float, metavar="N|0.x", help="the first N samples, or a share of them")
    add("--samples", "-E", metavar="IDS|FILE", help="these samples: ids by comma, or a file with one a line")
    add("--subset", metavar="SEED:N", help="N samples, seeded, stratified by video")
    add("--batch-size", "-b", default="auto", metavar="N|auto", help="questions of one video at a time")
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU where torch sees one)")
    add("--dtype", help="float32, bfloat16 or float16 (default: bfloat16 on a GPU, float32 on a CPU)")
    add("--workers", type=int, metavar="N", help="decode processes (default: one a core)")
    add(
        "--output",
        "-o",
        "--output-path",
        metavar="DIR",
        help="default: results/runs/<model>-<frames>f[-mini]",
    )
    add("--fresh", action="store_true", help="start anew; the old run is kept aside")
    add("--on-missing", default="fail", help="fail or skip when videos are missing")
    add("--min-coverage", type=float, default=0.99, metavar="SHARE", help="below it there is no score (0.99)")
    add(
        "--decode-timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="give a video up after this long",
    )
    _judge(parser)
    add("--checkpoints", metavar="GLOB", help="each of these folders in place of one model: 'out/step_*'")
    add(
        "--controls",
        nargs="+",
        metavar="NAME",
        help="also run blind, single-frame, shuffle-frames, shuffle-options (all: every one)",
    )
    add(
        "--dry-run",
        nargs="?",
        const="list",
        metavar="HOW",
        help="tasks, samples, videos, missing files and frames, without a model; measure: also what it will take, from three "
        "videos a task that the model is asked about",
    )
    add(
        "--trust-remote-code",
        action="store_true",
        help="let the model named run code from its own repository",
    )
    add(
        "--full-hash", action="store_true", help="name the model by every byte of its weights, not by samples"
    )
    _store(parser)
    add(
        "--ray",
        nargs="?",
        const="",
        metavar="ADDRESS",
        help="on a Ray cluster, a model on each GPU (no address: on this machine)",
    )
    add("--gpus", type=int, metavar="N", help="load N models there, one a GPU (default: all)")
    add(
        "--gpus-per-model",
        type=int,
        default=1,
        metavar="N",
        help="GPUs set aside for each model, for hf: with device_map=auto or a plug-in (1)",
    )
    add("--seed", type=int, default=0)
    add("--json", action="store_true", help="one machine-readable line last")
    _common(parser)


def _counts(text: str) -> tuple[int, ...]:
    """Numbers of frames, each once, in their order."""
    try:
        return tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give a whole number, or several with commas between"
        ) from None


def _store(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--frame-store",
        metavar="FORM",
        help="keep decoded frames for later runs: exact, near (JPEG, a fifth of the space) or off (default; a sweep and a "
        "series keep theirs while they run)",
    )
    add("--frame-store-size", type=float, default=50.0, metavar="GB", help="of the frame store at most (50)")


def _watch(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="DIR", help="where training leaves its checkpoints, one folder each")
    add("--pattern", default="*", metavar="GLOB", help="names of the checkpoints' folders (default *)")
    add("--every", type=float, default=60.0, metavar="SECONDS", help="between looks (60)")
    add("--last", metavar="NAME", help="end after this checkpoint")
    add("--once", action="store_true", help="end after those that are there now")
    _run(parser)


def _score(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", nargs="?", metavar="RUN", help="a run directory to score again")
    add("--task", help="with --answers: the task they answer")
    add("--answers", metavar="FILE", help='JSON lines {"id", "text"}, or the benchmark\'s own predictions')
    add("--format", metavar="NAME", help="form of the file (default: found out; tasks show NAME lists them)")
    add("--output", "-o", "--output-path", metavar="DIR", help="where scores of --answers go")
    add("--ignore-unknown", action="store_true", help="leave out answers to unknown ids")
    add("--min-coverage", type=float, metavar="SHARE", help="below it there is no score (default 0.99)")
    add(
        "--show-differences",
        action="store_true",
        help="list the answers that the two readers read differently",
    )
    _judge(parser)
    add("--json", action="store_true", help="one machine-readable line last")
    _where(parser)
    _common(parser)


def _import(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "path", metavar="PATH", help="lmms-eval's log (a folder or a file of it), or VLMEvalKit's result file"
    )
    add("--task", help="what the answers are to, where the log does not tell; or one of several in it")
    add(
        "--output",
        "-o",
        "--output-path",
        metavar="DIR",
        help="the run directory to make (default: results/runs/<model>-<harness>-<date>)",
    )
    add("--ignore-unknown", action="store_true", help="leave out answers to unknown questions")
    add("--min-coverage", type=float, metavar="SHARE", help="below it there is no score (default 0.99)")
    _judge(parser)
    add("--json", action="store_true", help="one machine-readable line last")
    _where(parser)
    _common(parser)


def _export(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help="a run directory")
    add(
        "--format",
        required=True,
        metavar="NAME",
        help="jsonl, csv, eval-results (the hub's .eval_results), or a form that tasks show NAME lists",
    )
    add("--task", help="where several tasks of the run have the form")
    add(
        "--reader",
        help="careful (default; official where choices were ranked, and for eval-results) or official: whose letters are "
        "written",
    )
    add("--source-url", metavar="URL", help="eval-results: where the run can be seen")
    add("--output", "-o", "--output-path", metavar="DIR", help="default: RUN/export")
    add("--data-root", metavar="DIR", help="folder of the benchmarks (default: where the run found them)")
    _common(parser)


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", metavar="RUN", help="run directories")
    parser.add_argument(
        "--format",
        help="terminal, markdown, latex, csv, json or html (default: by FILE's ending, else terminal)",
    )
    parser.add_argument(
        "--output",
        "-o",
        metavar="FILE|DIR",
        help="write there instead of printing; a folder gets every format",
    )
    parser.add_argument("--plots", metavar="DIR", help="also write charts there, as SVG, PNG and PDF")
    _common(parser)


def _compare(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("before", metavar="A", help="a run directory, or a baseline file")
    add("after", metavar="B", help="the run that is compared with it")
    add("--alpha", type=float, default=0.05, help="intervals are at 1 - alpha (0.05)")
    add("--flips", type=int, default=10, metavar="N", help="samples to list each way and task (10)")
    add("--force", action="store_true", help="compare runs of different protocols too")
    add("--format", help="terminal or markdown (default: by FILE's ending, else terminal)")
    add("--output", "-o", metavar="FILE", help="write there instead of printing")
    add("--json", action="store_true", help="one machine-readable line last")
    _common(parser)


def _gate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help="a run directory")
    add("--baseline", required=True, metavar="B", help="a run directory, or a file that --accept wrote")
    add("--accept", action="store_true", help="make RUN the baseline: write it to the file B")
    add("--margin", type=float, default=2.0, help="points that a score may fall before it counts (2.0)")
    add("--alpha", type=float, default=0.05, help="the chance of a false alarm (0.05)")
    add(
        "--inconclusive", choices=("pass", "fail"), help="what to make of an undecided gate (default: exit 5)"
    )
    add("--least-coverage", type=float, metavar="F", help="also fail below this fraction of answered samples")
    add(
        "--most-slower",
        type=float,
        metavar="F",
        help="also fail where an answer takes more than F times as long",
    )
    add("--force", action="store_true", help="gate on runs of different protocols too")
    add("--junit", metavar="FILE", help="write the checks as JUnit XML")
    add("--summary", metavar="FILE", help="append a Markdown summary (default: $GITHUB_STEP_SUMMARY)")
    add("--github", action="store_true", help="print GitHub annotations (default: where GitHub runs this)")
    add("--json", action="store_true", help="one machine-readable line last")
    _common(parser)


def _view(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("run", metavar="RUN", help="a run directory")
    add("--compare", metavar="B", help="an earlier run, to show what changed since")
    add("--output", "-o", metavar="DIR", help="the folder to write (default: RUN/view)")
    add(
        "--side",
        type=int,
        default=160,
        metavar="N",
        help="pixels of a frame's longer side (160); 0: no frames",
    )
    add("--data-root", metavar="DIR", help="where the videos are now (default: where the run found them)")
    add("--serve", type=int, nargs="?", const=0, metavar="PORT", help="then show it on 127.0.0.1")
    _common(parser)


def _tasks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="ls", help="ls or show")
    parser.add_argument("name", nargs="?", help="the task to show")
    _common(parser)


def _models(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", default="ls", help="ls or show")
    parser.add_argument("name", nargs="?", metavar="NAME[:ARG]", help="the model to show")
    add = parser.add_argument
    add("--frames", type=int, default=64, metavar="N", help="frames of the video whose memory is reckoned up")
    add("--dtype", default="bfloat16", help="float32, bfloat16 or float16")
    add("--batch-size", "-b", type=int, default=1, metavar="N", help="questions of the video at a time")
    add("--max-new-tokens", type=int, default=512, metavar="N", help="length of an answer")
    add("--json", action="store_true", help="one machine-readable line last")
    _common(parser)


def _data(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("action", nargs="?", default="ls", help="ls, fetch, verify, mini, exam or frames")
    add("task", nargs="*", help="tasks (default: all; fetch and frames: name some)")
    add(
        "--limit",
        "-L",
        type=float,
        metavar="N|0.x",
        help="of fetch, verify, frames: the first N samples, or a share of them",
    )
    add(
        "--samples",
        "-E",
        metavar="IDS|FILE",
        help="of fetch, verify, frames: these samples: ids by comma, or a file with one a line",
    )
    add("--subset", metavar="SEED:N", help="of fetch, verify, frames: N samples, seeded, stratified by video")
    add("--yes", "-y", action="store_true", help="fetch: the licence is accepted and the size is all right")
    add("--json", action="store_true", help="ls, fetch, verify: one machine-readable line last")
    add(
        "--model",
        "-M",
        default="kangaroo-tiny",
        metavar="NAME[:ARG]",
        help="frames: the model that will be run, for the size of its frames",
    )
    add("--frames", type=_counts, metavar="N[,M...]", help="frames, verify: of a video (the task's)")
    add("--sampler", default="uniform", help="frames, verify: uniform, endpoints or official")
    add("--workers", type=int, metavar="N", help="frames, verify: decode processes (default: one a core)")
    _store(parser)
    _where(parser)
    _common(parser)


def _chat(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("video", nargs="?", metavar="VIDEO", help="the video to talk about")
    add("--model", "-M", default="kangaroo-tiny", metavar="NAME[:ARG]", help="kangaroo-tiny, kangaroo:FOLDER")
    add("--model-args", "-a", default="", metavar="K=V,...", help="options of the model")
    add("--frames", "--nframes", "--max-frames-num", type=int, default=64, metavar="N", help="frames (64)")
    add("--start", type=float, metavar="S", help="talk about the video from this second on")
    add("--end", type=float, metavar="S", help="and up to this one")
    add("--system", metavar="TEXT", help="what the model is told before the conversation")
    add("--max-new-tokens", type=int, default=512, metavar="N", help="tokens of an answer at most (512)")
    add(
        "--temperature",
        type=float,
        metavar="T",
        help="draw the words at random (default: the likeliest ones)",
    )
    add("--top-p", type=float, metavar="SHARE", help="draw from the likeliest words of this share only")
    add("--seed", type=int, metavar="N", help="of the draw (0)")
    add("--device", help="cpu, cuda, cuda:1, ... (default: a GPU where torch sees one)")
    add("--dtype", help="float32, bfloat16 or float16 (default: bfloat16 on a GPU, float32 on a CPU)")
    add("--once", metavar="QUESTION", help="answer this and leave")
    add("--web", action="store_true", help="a page in the browser instead of the terminal")
    add("--port", type=int, metavar="N", help="of the page (the first free one from 7860 on)")
    add("--host", metavar="ADDRESS", help="where the page is to be had (127.0.0.1: this machine alone)")
    _common(parser)


def _doctor(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data-root", metavar="DIR", help="folder of the benchmarks (default: $KANGAROO_EVAL_DATA)")
    add("--output", "-o", "--output-path", metavar="DIR", help="where runs would be kept (results/runs)")
    add("--network", action="store_true", help="also try whether the Hugging Face hub answers")
    add("--judge-base-url", metavar="URL", help="also ask this OpenAI-compatible server once for its models")
    add("--json", action="store_true", help="one machine-readable line last")
    _common(parser)
