"""The real command with a model of another package, which answers with what it sees and notes whatever it is asked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

BEGIN = "from kangaroo_eval.cli import console; console()"
MODEL = '''
"""Answers with a letter and what it sees; notes the ids it is asked, and waits PAUSE seconds for each."""
import os, pathlib, time
from kangaroo_eval.types import Response

class Looking:
    name, frame_size, model_hash, dtype, notes, settings = "looking", 32, "one", "float32", (), {}

    def respond(self, requests):
        for request in requests:
            mark = os.open(os.environ["MARKS"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(mark, (request.id + "\\n").encode())
            os.close(mark)
            time.sleep(float(os.environ.get("PAUSE", "0")))
            seen = int(request.frames.pixels.sum()) + sum(map(ord, request.id))
            said = f"{'ABCD'[seen % 4]}. {request.frames.pixels.shape[0]} frames, {seen}"
            yield Response(request.id, said, request.frames.times, 7, 1, 0.001)

def load(argument=None, **options):
    return Looking()
'''


def write_plugin(folder: Path) -> Path:
    """A folder with an installed package that brings the model `looking`."""
    (folder / "looking.py").write_text(MODEL)
    info = folder / "looking-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: looking\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kangaroo_eval.models]\nlooking = looking:load\n")
    return folder


class Runs:
    """Starts runs of one benchmark in `folder`; `before` is Python that each process begins with."""

    def __init__(self, data: Path, plugin: Path, folder: Path) -> None:
        self.data = data
        self.folder = folder
        self.marks = folder / "marks"
        path = os.pathsep.join(filter(None, (str(plugin), os.environ.get("PYTHONPATH"))))
        self.env = {
            **os.environ,
            "PYTHONPATH": path,
            "MARKS": str(self.marks),
            "OMP_NUM_THREADS": "1",
            "KANGAROO_EVAL_CACHE": str(folder / "cache"),
        }

    def words(self, output: str, *more: str) -> list[str]:
        """The words of a run into `output`."""
        words = ["run", "--tasks", "videomme", "--model", "looking", "--data-root", str(self.data)]
        return [*words, "--output", str(self.folder / output), "--frames", "4", "-q", *more]

    def start(self, *words: str, before: str = "", begin: str = BEGIN, **env: str) -> subprocess.Popen[str]:
        """The command with these words, in a session of its own; `begin` is Python that is another program."""
        return subprocess.Popen(
            [sys.executable, "-c", f"{before}\n{begin}", *words],
            env={**self.env, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            start_new_session=True,
        )

    def go(self, *words: str, before: str = "", begin: str = BEGIN, **env: str) -> tuple[int, str]:
        """Exit code, and all that was said."""
        process = self.start(*words, before=before, begin=begin, **env)
        try:
            out, err = process.communicate(timeout=180)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise
        return process.returncode, out + err

    def run(self, output: str, *more: str, before: str = "", **env: str) -> tuple[int, str]:
        """A run into `output` to its end."""
        return self.go(*self.words(output, *more), before=before, **env)

    def lines(self, output: str) -> list[dict[str, Any]]:
        """The whole lines of the answers there, a torn last one left out."""
        path = self.folder / output / "videomme.answers.jsonl"
        data = path.read_bytes() if path.exists() else b""
        return [json.loads(line) for line in data.split(b"\n")[:-1]]

    def answered(self, output: str) -> list[str]:
        """Ids of the answers there, in their order."""
        return [line["id"] for line in self.lines(output) if line["status"] == "ok"]

    def asked(self) -> Counter[str]:
        """How often the model was asked what, over all processes."""
        return Counter(self.marks.read_text().splitlines() if self.marks.exists() else [])

    def final(self, output: str, journal: bool = True) -> dict[str, Any]:
        """All that a run ends with, less times, ids and places: answers by id, scores, results.json, who was asked.
        Without its `journal` the answers are their texts, which is all that a file of predictions has."""
        folder = self.folder / output
        kept = ("text", "frame_times", "prompt", "video", "video_bytes") if journal else ("text",)
        answers = {
            line["id"]: {key: line[key] for key in kept}
            for line in self.lines(output)
            if line["status"] == "ok"
        }
        scores = [json.loads(line) for line in (folder / "videomme.scores.jsonl").read_text().splitlines()]
        results = json.loads((folder / "results.json").read_text())
        for key in ("id", "started", "finished"):
            results["run"].pop(key, None)
        results.pop("time", None)
        asked = [json.loads(line) for line in (folder / "videomme.asked.jsonl").read_text().splitlines()]
        return {
            "answers": answers,
            "scores": sorted(scores, key=lambda line: line["id"]),
            "results": results,
            "asked": sorted(line["id"] for line in asked),
        }
