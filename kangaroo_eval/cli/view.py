"""`kangaroo-eval view RUN`: a folder of static pages with every sample and the frames that the model saw."""

from __future__ import annotations

import argparse
import functools
import http.server
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from kangaroo_eval.cli.common import data_root, user_path
from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Sample


def command(options: argparse.Namespace) -> int:
    """Write the folder, and with --serve show it on 127.0.0.1 until interrupted."""
    from kangaroo_eval.report.view import View, write_view
    from kangaroo_eval.rescore import load_annotated

    if not 0 <= options.side <= 1024:
        raise UserError(f"--side {options.side}: give pixels from 0 (no pictures) to 1024")
    if options.serve is not None and not 0 <= options.serve <= 65535:
        raise UserError(f"--serve {options.serve}: give a port from 0 (any) to 65535")
    root, run = data_root(options), user_path(options.run)

    def samples(record: Mapping[str, Any], task: str) -> Iterable[Sample]:
        return load_annotated(record, task, root, run).samples

    bar = None if options.quiet else _Bar()
    view = View(
        run=run,
        samples=samples,
        compare=user_path(options.compare) if options.compare else None,
        side=options.side,
        progress=bar.update if bar else None,
    )
    page = write_view(view, user_path(options.output) if options.output else run / "view")
    if bar:
        bar.close()
    print(page)
    if options.serve is not None:
        _serve(page.parent, options.serve)
    return 0


class _Bar:
    """One progress bar a task."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task = ""

    def update(self, task: str, done: int, total: int) -> None:
        from tqdm import tqdm

        if task != self._task:
            self.close()
            self._task = task
            self._bar = tqdm(total=total, desc=task, unit="sample", disable=None)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """Without a line for each file."""

    def log_message(self, *_: object) -> None:
        """Nothing."""


def _serve(folder: Path, port: int) -> None:
    """On this machine alone: a run's data is nobody else's."""
    handler = functools.partial(_Quiet, directory=str(folder))
    try:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    except OSError as error:
        raise UserError(f"--serve {port}: {error.strerror}: give another port, or 0 for any") from error
    with server:
        print(f"http://127.0.0.1:{server.server_port}/ (Ctrl-C ends it)", flush=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            while thread.is_alive():
                thread.join(0.2)
        finally:
            server.shutdown()
