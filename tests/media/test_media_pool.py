"""Decoding ahead: order, bounds, crashes, time-outs, and nothing left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kangaroo_eval.errors import UserError
from kangaroo_eval.media import FrameSpec, Job, decode_ahead, job, pool, probe
from kangaroo_eval.types import Cue, Video, View

SPEC = FrameSpec(frames=4, size=64)


def children() -> set[int]:
    """The decoder processes of this process."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                if parent == os.getpid() and b"media.worker" in (entry / "cmdline").read_bytes():
                    found.add(int(entry.name))
    return found


def leftovers() -> set[str]:
    return set(os.listdir("/dev/shm")) if os.path.isdir("/dev/shm") else set()


@pytest.fixture(autouse=True)
def nothing_left_behind():
    if not Path("/proc/self/stat").exists():
        pytest.skip("needs /proc")
    before, files = leftovers(), len(os.listdir("/proc/self/fd"))
    threads = threading.active_count()
    yield
    assert children() == set()
    assert leftovers() <= before
    assert len(os.listdir("/proc/self/fd")) <= files
    assert threading.active_count() <= threads


@pytest.fixture
def slow_jobs(made):
    """Jobs that take some seconds each: every frame of a file, at a large size."""
    return [Job(Video(str(made("h264_k250.mp4"))), FrameSpec(frames=600, size=1024))] * 4


def test_results_come_in_order_and_equal_those_without_workers(made, tmp_path):
    names = ["h264_k250.mp4", "one_gop.mp4", "vp9.webm", "gone.mp4", "vfr.mp4", "h264_2s.mp4"]
    cues = tmp_path / "a.srt"
    cues.write_text("1\n00:00:01,000 --> 00:00:02,000\nHi\n")
    jobs = [
        Job(Video(str(tmp_path / name if name == "gone.mp4" else made(name)), subtitles=str(cues)), SPEC)
        for name in names
    ]
    pooled = list(decode_ahead(jobs, workers=2, threads_per_worker=2))
    inline = list(decode_ahead(jobs, workers=0))
    assert [done.job for done in pooled] == jobs == [done.job for done in inline]
    for a, b in zip(pooled, inline, strict=True):
        assert a.error == b.error and a.view == b.view
        assert a.decode_seconds > 0 and a.wait_seconds >= 0
        if a.frames is not None and b.frames is not None:
            assert np.array_equal(a.frames.pixels, b.frames.pixels) and a.frames.pixels.flags.writeable
            assert (a.frames.times, a.frames.total) == (b.frames.times, b.frames.total)
            assert a.view == View(a.frames.times, a.view.fps, (Cue(1.0, 2.0, "Hi"),))
    assert pooled[3].error == ("missing_video", f"{tmp_path}/gone.mp4: no such file")
    assert [done.frames is None for done in pooled] == [name == "gone.mp4" for name in names]


def test_no_subtitle_file_means_no_cues_and_one_that_is_named_but_gone_is_an_error(made, tmp_path):
    assert job.do(Job(Video(str(made("one_gop.mp4"))), SPEC), 1).view.cues == ()
    video = Video(str(made("one_gop.mp4")), subtitles=str(tmp_path / "gone.srt"))
    error = job.do(Job(video, SPEC), 1).error
    assert error.status == "decode_error" and "gone.srt: subtitles cannot be read" in error.message


def test_jobs_are_read_no_further_than_ahead(made):
    taken = []

    def jobs():
        for k in range(12):
            taken.append(k)
            yield Job(Video(str(made("one_gop.mp4"))), SPEC)

    results = decode_ahead(jobs(), workers=1, ahead=3)
    assert taken == []
    for k, _ in enumerate(results):
        assert len(taken) <= k + 1 + 3
        if k == 5:
            break
    results.close()
    assert len(taken) == 9


def test_a_killed_worker_costs_its_job_only(made, slow_jobs):
    jobs = [slow_jobs[0], Job(Video(str(made("one_gop.mp4"))), SPEC)]

    def kill():
        while not children():
            time.sleep(0.02)
        time.sleep(1.0)
        for pid in children():
            os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    first, second = decode_ahead(jobs, workers=1)
    killer.join()
    assert first.frames is None and first.error.status == "decode_error"
    assert "decoder process died (signal 9)" in first.error.message and "h264_k250.mp4" in first.error.message
    assert second.error is None


def test_a_job_over_its_time_is_given_up(made, slow_jobs):
    fast = Job(Video(str(made("one_gop.mp4"))), SPEC)
    first, second = decode_ahead([slow_jobs[0], fast], workers=1, timeout=0.4)
    assert first.error.status == "decode_error" and "time-out of 0.4 s" in first.error.message
    assert second.error is None


def test_stopping_early_is_prompt(slow_jobs):
    began = time.perf_counter()
    list(decode_ahead(slow_jobs[:1], workers=1))
    one = time.perf_counter() - began
    results = decode_ahead([Job(slow_jobs[0].video, SPEC), *slow_jobs], workers=2)
    next(results)
    began = time.perf_counter()
    results.close()
    assert time.perf_counter() - began < max(1.0, 0.5 * one)
    assert children() == set()


def test_an_interrupt_ends_the_workers(slow_jobs):
    threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        list(decode_ahead(slow_jobs, workers=2))


@pytest.mark.parametrize("how", ["stop", "kill"])
def test_workers_end_with_their_parent(slow_jobs, how):
    code = (
        "import sys\nfrom kangaroo_eval.media import *\nfrom kangaroo_eval.types import Video\n"
        f"jobs = [Job(Video({slow_jobs[0].video.path!r}), FrameSpec(frames=600, size=1024))] * 4\n"
        "list(decode_ahead(jobs, workers=2))"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": ":".join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(2.0)
    mine = [
        int(p.name)
        for p in Path("/proc").iterdir()
        if p.name.isdigit() and f"PPid:\t{parent.pid}\n" in _status(p)
    ]
    assert len(mine) == 2
    parent.send_signal(signal.SIGINT if how == "stop" else signal.SIGKILL)
    _, said = parent.communicate(timeout=10)
    assert "leaked" not in said and "resource_tracker" not in said
    deadline = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{pid}") for pid in mine) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(os.path.exists(f"/proc/{pid}") for pid in mine)


def _status(process: Path) -> str:
    try:
        return (process / "status").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize(
    "wrong", [{"workers": -1}, {"workers": 1, "ahead": 0}, {"workers": 1, "timeout": 0.0}]
)
def test_wrong_use(wrong):
    with pytest.raises(UserError, match="decod"):
        decode_ahead([], **wrong)


def test_a_decoder_that_is_not_installed_ends_the_run(made, monkeypatch, tmp_path):
    (tmp_path / "decord.py").write_text("raise ImportError('not here')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "decord", raising=False)
    jobs = [Job(Video(str(made("one_gop.mp4"))), FrameSpec(frames=2, decoder="decord"))]
    for workers in (0, 1):
        with pytest.raises(UserError, match=r"pip install kangaroo-eval\[decord\]"):
            list(decode_ahead(jobs, workers=workers))


@pytest.mark.parametrize("workers", [0, 1])
def test_frames_keep_the_aspect_ratio_or_are_not_decoded_at_all(made, workers):
    """320 x 240 video: fitted to a longer side, never enlarged; and times without pixels."""
    video = Video(str(made("h264_k250.mp4")))
    info = probe(video)
    specs = (
        FrameSpec(frames=3, size=160, keep_aspect=True),
        FrameSpec(frames=3, size=4000, keep_aspect=True),
        FrameSpec(frames=3, size=0),
        FrameSpec(frames=3, size=160),
    )
    found = [each.frames for each in decode_ahead([Job(video, spec) for spec in specs], workers=workers)]
    half = (round(info.height * 160 / info.width), 160)
    shapes = [(3, *half, 3), (3, info.height, info.width, 3), (3, 0, 0, 3), (3, 160, 160, 3)]
    assert [frames.pixels.shape for frames in found] == shapes
    assert len({frames.times for frames in found}) == 1 and len({frames.total for frames in found}) == 1
    assert found[0].pixels.any()


def test_a_missing_video_is_missing_for_a_model_that_looks_at_nothing(tmp_path):
    (decoded,) = decode_ahead([Job(Video(str(tmp_path / "x.mp4")), FrameSpec(frames=3, size=0))], workers=0)
    assert decoded.error.status == "missing_video"


def test_a_slow_video_does_not_keep_the_others_waiting(made, slow_jobs):
    fast = [Job(Video(str(made("one_gop.mp4"))), replace(SPEC, frames=n)) for n in range(1, 6)]
    found = list(decode_ahead([slow_jobs[0], *fast], workers=2, in_order=False))
    assert found[-1].job is slow_jobs[0] and [each.job for each in found[:-1]] == fast
    assert all(each.error is None for each in found)


def test_no_more_is_decoded_than_may_wait(made, monkeypatch):
    """A video of 4 frames of 64 pixels has 49,152 bytes."""
    monkeypatch.setattr(pool, "MOST_BYTES", 100_000)
    taken = []

    def jobs():
        for k in range(8):
            taken.append(k)
            yield Job(Video(str(made("one_gop.mp4"))), SPEC)

    for in_order in (True, False):
        taken.clear()
        results = decode_ahead(jobs(), workers=1, ahead=6, in_order=in_order)
        next(results)
        time.sleep(1.0)
        next(results)
        # Six may be on their way; once three of them wait, no further one is begun.
        assert len(taken) <= 7
        before = len(taken)
        time.sleep(0.5)
        assert len(taken) == before
        assert len(list(results)) == 6 and len(taken) == 8


def test_who_is_given_up_says_where_it_was(slow_jobs, capfd):
    # On a busy machine a worker may take longer to begin than the first of these.
    for timeout in (0.6, 1.2, 2.4):
        list(decode_ahead([slow_jobs[0]], workers=1, timeout=timeout))
        if err := capfd.readouterr().err:
            break
    assert "most recent call first" in err and "media/" in err
