"""`kangaroo-eval export RUN --format NAME`: submission files; nothing is ever sent anywhere."""

from __future__ import annotations

import argparse
from pathlib import Path

from kangaroo_eval.cli.common import data_root
from kangaroo_eval.errors import RunFailed


def command(options: argparse.Namespace) -> int:
    """Write the files and say where they are."""
    from kangaroo_eval.export import export_run
    from kangaroo_eval.journal import write_text

    run = Path(options.run)
    files = export_run(run, options.task, options.format, reader=options.reader, data_root=data_root(options))
    folder = Path(options.output) if options.output else run / "export"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFailed(f"cannot make {folder}: {error.strerror}") from error
    for name, content in files.items():
        write_text(folder / name, content)
        print(folder / name)
    return 0
