"""`kangaroo-eval doctor`: what works here and how to mend the rest, one line each.

Exit 0 where the bundled job can run and what a flag asked for is there (a data root, the hub, a judge's server), else
1, the code of a wrong configuration: each line then says the mend.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from kangaroo_eval import doctor
from kangaroo_eval.cli.common import cache_dir, data_root, user_path
from kangaroo_eval.doctor import Finding
from kangaroo_eval.errors import UserError, one_line

JOB = "kangaroo-eval --tasks videomme,mlvu --frames 64"


def command(options: argparse.Namespace) -> int:
    """Print each finding as it comes, then whether the bundled job can run. `--quiet` leaves out what is right."""
    findings = []
    for finding in _findings(options):
        findings.append(finding)
        if finding.state != "ok" or not options.quiet:
            print(line(finding), flush=True)
    faults = [finding.name for finding in findings if finding.fault]
    if faults:
        print(f"\nnot ready: mend {', '.join(faults)}")
    else:
        print(f"\nready: {JOB}")
    code = UserError.exit_code if faults else 0
    if options.json:
        checks = [
            {**finding._asdict(), "mend": finding.advice, "fault": finding.fault} for finding in findings
        ]
        print(json.dumps({"exit": code, "checks": checks}))
    return code


def line(finding: Finding) -> str:
    """One finding as one line."""
    state = "FAULT" if finding.fault else finding.state
    mend = f". Mend: {finding.advice}" if finding.advice else ""
    return f"{state:8}{finding.name:20}{' '.join((finding.said + mend).split())}"


def _findings(options: argparse.Namespace) -> Iterator[Finding]:
    yield doctor.python()
    core = doctor.packages()
    yield core
    yield from doctor.extras()
    yield doctor.gpu()
    weights = doctor.weights(doctor.bundled_folder())
    yield weights
    if not core.fault:
        yield from _seen(answers=not weights.fault)
    output = user_path(options.output) if options.output else Path("results/runs")
    yield doctor.folder("results directory", output, "--output")
    yield doctor.folder("cache directory", cache_dir(), "KANGAROO_EVAL_CACHE")
    if not core.fault:
        yield doctor.data(data_root(options))
    yield doctor.hub(os.environ, doctor.reach if options.network else None)
    yield doctor.judge(os.environ, options.judge_base_url)


def _seen(answers: bool) -> Iterator[Finding]:
    """The decoders, on a made video, and (`answers`) the bundled model's answer to a question about it."""
    from kangaroo_eval.media.decoders import DECODERS

    with tempfile.TemporaryDirectory(prefix="kangaroo-eval-doctor-") as folder:
        try:
            video = doctor.make_clip(Path(folder))
        except Exception as error:  # noqa: BLE001 - libav's errors, and those of a full disk
            said = f"no video can be made in {folder} ({one_line(error)})"
            yield Finding("decoder pyav", "broken", said, "free some space there, or set TMPDIR", needed=True)
            return
        ours = doctor.decoder("pyav", video)
        yield ours.finding
        if ours.frames is None:
            return
        for name in DECODERS:
            if name != "pyav":
                yield doctor.decoder(name, video, len(ours.frames.pixels)).finding
        if answers:
            yield doctor.answer(video, ours.frames)
