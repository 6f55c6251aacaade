"""`kangaroo-eval export RUN --format NAME`: submission files; nothing is ever sent anywhere."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from kangaroo_eval.cli.common import data_root
from kangaroo_eval.errors import RunFailed, UserError


def command(options: argparse.Namespace) -> int:
    """Write the files and say where they are."""
    from kangaroo_eval.journal import write_text

    run = Path(options.run)
    files = _files(run, options)
    folder = Path(options.output) if options.output else run / "export"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFailed(f"cannot make {folder}: {error.strerror}") from error
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_text(folder / name, content)
        print(folder / name)
    return 0


def _files(run: Path, options: argparse.Namespace) -> Mapping[str, str]:
    from kangaroo_eval.eval_results import FORM, eval_results
    from kangaroo_eval.export import export_run

    if options.format.replace("_", "-") == FORM:
        return eval_results(run, options.task, reader=options.reader, source_url=options.source_url)
    if options.source_url is not None:
        raise UserError(f"--source-url goes with --format {FORM}")
    return export_run(run, options.task, options.format, reader=options.reader, data_root=data_root(options))
