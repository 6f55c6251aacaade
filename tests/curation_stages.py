"""Stages for tests of the curation's engine, in a module that worker processes can import."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass

from kangaroo_eval.errors import UserError


@dataclass(frozen=True)
class Double:
    """Twice the row's number; one may be bad, one may kill the process, and each leaves a mark of having been done."""

    marks: str = ""
    bad: str = ""
    deadly: str = ""
    pause: float = 0.0
    name = "double"
    version = 1

    def setup(self):
        pass

    def one(self, row):
        if self.marks:
            with open(self.marks, "a") as file:
                file.write(row["id"] + "\n")
        time.sleep(self.pause)
        if row["id"] == self.bad:
            raise RuntimeError("no video:\nat all")
        if row["id"] == self.deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return [{**row, "twice": 2 * row["n"]}]


@dataclass(frozen=True)
class Split:
    name = "split"
    version = 1

    def setup(self):
        pass

    def one(self, row):
        return [{**row, "id": f"{row['id']}#{i}"} for i in range(2)]


@dataclass(frozen=True)
class Unready(Split):
    def setup(self):
        raise UserError("no such detector")

    @staticmethod
    def die():
        os._exit(1)


def rows(count=10):
    return [{"id": f"v{n}", "path": f"v{n}.mp4", "n": n} for n in range(count)]
