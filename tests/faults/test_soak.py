"""One run of very many samples: what the process holds does not grow, and a sample costs at its end what it cost at its beginning.

KANGAROO_EVAL_SOAK=200000 pytest tests/faults/test_soak.py is the long one.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from how_long import SOAK

pytestmark = pytest.mark.slow

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCH))
    import bench_growth

    yield bench_growth
    sys.modules.pop("bench_growth", None)


def test_memory_files_and_threads_stay_flat_over_a_run_of_very_many_samples(bench):
    samples = SOAK or 6000
    found = bench.growth(samples, rounds=3 if SOAK else 1)
    early, late = found["early"], found["late"]
    assert late["files"] <= early["files"] and late["threads"] <= early["threads"], found
    # Beside what is flat: the ids that were answered, and what the allocator keeps.
    assert late["memory"] - early["memory"] <= 8192 + samples * 0.5, found
    # The questions, answers and scores themselves, as Python objects.
    assert found["bytes"] < 6 * 1024, found
    if SOAK >= 100_000:
        # The goal is 1.15; what others do on the machine shows in CPU time too.
        assert found["ratio"] <= 1.4, found


def test_the_figures_would_show_a_leak(bench):
    """What is measured is measured: a file that stays open, a thread that stays, memory that stays."""
    import mmap
    import threading

    import numpy as np

    before, stop = bench.held(), threading.Event()
    files = [open(__file__) for _ in range(3)]  # noqa: SIM115
    # Pages of the system's: what the process has in reserve would not show.
    kept = mmap.mmap(-1, 20 << 20)
    np.frombuffer(kept, np.uint8)[:: mmap.PAGESIZE] = 1
    thread = threading.Thread(target=stop.wait)
    thread.start()
    after = bench.held()
    stop.set()
    thread.join()
    for file in files:
        file.close()
    assert after["files"] == before["files"] + 3 and after["threads"] == before["threads"] + 1
    assert after["memory"] >= before["memory"] + 15 * 1024 and len(kept) == 20 << 20
