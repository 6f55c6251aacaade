"""A run that is killed, interrupted, or loses its disk at any moment goes on by the same command, and ends as if nothing had been."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import videomme_rows, write_video, write_videomme
from harness import Runs, write_plugin
from how_long import COUNT

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
FAILING = f"import sys; sys.path.append({str(HERE)!r}); import failing"
MOMENTS = COUNT or 12
ALL = {f"{video:03d}-{question}" for video in range(1, 7) for question in (1, 2)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Six videos, each another one, with two questions each."""
    root = write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(6, 2), videos=False)
    for number in range(6):
        write_video(root / f"videomme/data/video{number:06d}.mp4", frames=10 + 3 * number)
    return root


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    return write_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def runs(made, plugin, tmp_path):
    return Runs(made, plugin, tmp_path)


@pytest.fixture(scope="module")
def undisturbed(made, plugin, tmp_path_factory):
    """What a run ends with that nothing happened to, and how many seconds it took."""
    runs = Runs(made, plugin, tmp_path_factory.mktemp("undisturbed"))
    began = time.monotonic()
    code, said = runs.run("out", "--workers", "1")
    assert code == 0, said
    final = runs.final("out")
    assert set(final["answers"]) == ALL and runs.asked() == dict.fromkeys(ALL, 1)
    assert len({each["text"] for each in final["answers"].values()}) > 6, "the answers tell the videos apart"
    assert len({each["careful"]["answer"] for each in final["scores"]}) > 2
    return final, time.monotonic() - began


class Watched:
    """Runs into one directory, of which nothing that was answered may be asked again or change."""

    def __init__(self, runs: Runs, output: str = "out") -> None:
        self.runs, self.output = runs, output
        self.before: list[dict] = runs.lines(output)
        self.asked = runs.asked()

    def check(self) -> None:
        """After a run, however it ended."""
        now, asked = self.runs.lines(self.output), self.runs.asked()
        assert now[: len(self.before)] == self.before, "lines are only added"
        known = {line["id"] for line in self.before if line["status"] == "ok"}
        again = {name for name, count in asked.items() if count > self.asked[name]}
        assert not known & again, "nothing answered is asked again"
        self.before, self.asked = now, asked

    def ends_as(self, final: dict) -> None:
        """A last run to the end, whose results are those."""
        code, said = self.runs.run(self.output, "--workers", "0")
        assert code == 0, said
        self.check()
        assert self.runs.final(self.output) == final
        assert len(self.runs.answered(self.output)) == len(ALL)


def wait_for(runs: Runs, process: subprocess.Popen, answers: int) -> None:
    """Until the run there has so many answers, or has ended."""
    while process.poll() is None and len(runs.lines("out")) < answers:
        time.sleep(0.005)


def test_kill_9_at_any_moment(runs, undisturbed):
    final, seconds = undisturbed
    dice = random.Random(MOMENTS)
    watched, reached = Watched(runs), []
    for number in range(MOMENTS):
        process = runs.start(*runs.words("out", "--workers", "1"), PAUSE="0.02")
        if number % 2:
            # However busy the machine is, some moments are among the answers.
            wait_for(runs, process, len(watched.before) + dice.randrange(1, 5))
        else:
            time.sleep(dice.uniform(0.2, 1.1) * (seconds + 0.24))
        process.kill()
        process.communicate()
        watched.check()
        reached.append(len(watched.before))
        if reached[-1] == len(ALL) or number % 4 == 3:
            watched.ends_as(final)
            shutil.rmtree(runs.folder / "out")
            runs.marks.unlink()
            watched = Watched(runs)
    assert max(reached) > 0


def operations(runs: Runs, *words: str) -> int:
    """How many operations on files below the output folder the command does."""
    count = runs.folder / "count"
    shutil.rmtree(runs.folder / "out", ignore_errors=True)
    code, said = runs.run(
        "out", *words, before=FAILING, FAIL_UNDER=str(runs.folder / "out"), FAIL_COUNT=str(count)
    )
    assert code == 0, said
    shutil.rmtree(runs.folder / "out")
    runs.marks.unlink()
    return int(count.read_text())


@pytest.mark.parametrize("how", ["kill", "ENOSPC", "ENOSPC+", "EIO"])
def test_any_operation_on_a_file_may_be_the_last_or_fail(how, runs, undisturbed):
    """Half of a write that is killed or fails is on the disk, as on a full one."""
    final, _ = undisturbed
    total = operations(runs, "--workers", "0")
    assert total > 40
    few = max(4, MOMENTS // 3)
    moments = (
        range(1, total + 1) if few >= total else sorted(random.Random(how).sample(range(1, total + 1), few))
    )
    for moment in moments:
        watched = Watched(runs)
        fault = {"FAIL_UNDER": str(runs.folder / "out"), "FAIL_AT": str(moment), "FAIL_HOW": how}
        code, said = runs.run("out", "--workers", "0", before=FAILING, **fault)
        watched.check()
        if how == "kill":
            assert code == -signal.SIGKILL
        else:
            # A folder that cannot be made or locked is for another --output; everything later is the disk.
            assert code in (1, 2), (moment, code, said)
            assert len(said.strip().splitlines()) == 1 and "Traceback" not in said, (moment, said)
            assert ("No space left" if "ENOSPC" in how else "Input/output") in said, (moment, said)
        watched.ends_as(final)
        shutil.rmtree(runs.folder / "out")
        runs.marks.unlink(missing_ok=True)


FULL = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({}, -1))"


@pytest.mark.parametrize("size", [0, 300, 1500, 2500, 4000])
def test_a_disk_that_takes_no_more_than_some_bytes_of_a_file(size, runs, undisturbed):
    watched = Watched(runs)
    code, said = runs.run("out", "--workers", "0", before=FULL.format(size))
    assert code in (1, 2) and len(said.strip().splitlines()) == 1 and "File too large" in said, said
    watched.check()
    watched.ends_as(undisturbed[0])


@pytest.mark.parametrize("numbers", [(signal.SIGTERM,), (signal.SIGINT,), (signal.SIGINT, signal.SIGINT)])
def test_signals_at_any_moment_end_it_with_130_and_the_same_command_goes_on(numbers, runs, undisturbed):
    final, _ = undisturbed
    dice = random.Random(len(numbers))
    watched, codes = Watched(runs), []
    for _ in range(max(3, MOMENTS // 4)):
        process = runs.start(*runs.words("out", "--workers", "1"), PAUSE="0.15")
        wait_for(runs, process, len(watched.before) + dice.randrange(1, 4))
        time.sleep(dice.uniform(0.0, 0.1))
        for place, number in enumerate(numbers):
            time.sleep(0.1 * place)
            process.send_signal(number)
        _, err = process.communicate(timeout=30)
        codes.append(process.returncode)
        watched.check()
        # While the interpreter itself starts or winds down it ends as every program does.
        assert process.returncode in (0, 130, -numbers[0]), err
        if process.returncode == 130 and err:
            assert "the same command resumes" in err and "Traceback" not in err, err
        if len(watched.before) == len(ALL):
            break
    assert 130 in codes
    watched.ends_as(final)


def test_decode_workers_that_are_killed_cost_their_videos_until_the_next_run(runs, undisturbed):
    watched = Watched(runs)
    process = runs.start(*runs.words("out", "--workers", "2"), PAUSE="0.1")
    killed = 0
    while process.poll() is None:
        for child in children(process.pid):
            # One of them is at work, for each answer takes longer than a video.
            if killed < 3 and len(runs.lines("out")) > killed:
                os.kill(child, signal.SIGKILL)
                killed += 1
        time.sleep(0.01)
    _, err = process.communicate()
    watched.check()
    assert killed and process.returncode in (0, 3), err
    failed = [line for line in watched.before if line["status"] != "ok"]
    assert all(
        line["status"] == "decode_error" and "decoder process died" in line["error"]["message"]
        for line in failed
    )
    watched.ends_as(undisturbed[0])


def children(parent: int) -> list[int]:
    """The processes that this one started, from whichever of its threads."""
    found = []
    for file in Path(f"/proc/{parent}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, file.read_text().split())
    return found


@pytest.mark.parametrize("seed", range(max(2, COUNT // 10)))
def test_a_clock_that_jumps_by_years_changes_nothing(seed, runs, undisturbed):
    jumps = {"before": FAILING, "CLOCK_JUMPS": str(seed)}
    watched = Watched(runs)
    assert runs.run("out", "--workers", "1", "--limit", "5", **jumps)[0] == 0
    watched.check()
    code, said = runs.run("out", "--workers", "1", **jumps)
    assert code == 0, said
    watched.check()
    assert runs.final("out") == undisturbed[0]
    assert runs.go("score", str(runs.folder / "out"), **jumps)[0] == 0
    assert runs.final("out") == undisturbed[0]


def test_several_processes_on_one_directory_are_one_and_refusals(runs, undisturbed):
    watched = Watched(runs)
    processes = [runs.start(*runs.words("out", "--workers", "0"), PAUSE="0.1") for _ in range(3)]
    ends = [(*process.communicate(timeout=60), process.returncode) for process in processes]
    codes = sorted(code for *_, code in ends)
    assert codes == [0, 1, 1], ends
    for _, err, code in ends:
        assert code == 0 or ("is in use by another run" in err and len(err.splitlines()) == 1)
    watched.check()
    assert runs.asked() == dict.fromkeys(ALL, 1)
    watched.ends_as(undisturbed[0])


MODEST = """
import ctypes, os
if os.geteuid() == 0:
    # Root may write anywhere: give up just that.
    class Header(ctypes.Structure):
        _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]
    data, header, libc = (ctypes.c_uint32 * 6)(), Header(0x20080522, 0), ctypes.CDLL(None)
    assert libc.capget(ctypes.byref(header), data) == 0
    data[0] &= ~0b10
    assert libc.capset(ctypes.byref(header), data) == 0
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="how root gives up its rights is Linux's")
def test_an_output_that_may_only_be_read_is_a_line_whatever_is_in_it(runs, undisturbed):
    out = runs.folder / "out"
    out.mkdir()
    watched = Watched(runs)

    def refused() -> str:
        code, said = runs.run("out", "--workers", "0", before=MODEST)
        lines = said.strip().splitlines()
        assert code in (1, 2) and len(lines) == 1 and "Permission denied" in lines[0], said
        watched.check()
        return lines[0]

    out.chmod(0o555)
    try:
        assert "give another folder with --output" in refused()
        out.chmod(0o755)
        assert runs.run("out", "--workers", "0", "--limit", "4")[0] == 0
        watched.check()
        for name in (".lock", "videomme.answers.jsonl", "videomme.asked.jsonl"):
            (out / name).chmod(0o444)
            assert name in refused() or name == ".lock"
            (out / name).chmod(0o644)
        out.chmod(0o555)
        refused()
    finally:
        out.chmod(0o755)
    watched.ends_as(undisturbed[0])


@pytest.mark.parametrize("away", ["removed", "moved", "emptied"])
def test_an_output_that_is_taken_away_under_a_run_ends_it_at_the_next_answer(away, runs, undisturbed):
    """What is answered into a file that has no name any more is lost when the process ends."""
    process = runs.start(*runs.words("out", "--workers", "0"), PAUSE="0.15")
    out = runs.folder / "out"
    until = time.monotonic() + 30
    while len(runs.lines("out")) < 3 and time.monotonic() < until:
        time.sleep(0.01)
    asked = sum(runs.asked().values())
    if away == "moved":
        out.rename(runs.folder / "elsewhere")
    elif away == "removed":
        shutil.rmtree(out)
    else:
        for file in out.iterdir():
            file.unlink()
    _, err = process.communicate(timeout=60)
    assert process.returncode == 2, err
    assert len(err.strip().splitlines()) == 1 and "Traceback" not in err, err
    if away == "moved":
        # The answers went with it: put back, the run goes on.
        shutil.rmtree(out, ignore_errors=True)
        (runs.folder / "elsewhere").rename(out)
        assert len(runs.lines("out")) >= 3
    else:
        assert sum(runs.asked().values()) <= asked + 2, "no question is asked whose answer cannot be kept"
        assert "was removed" in err
    shutil.rmtree(runs.folder / "gone", ignore_errors=True)
    Watched(runs).ends_as(undisturbed[0])


def test_files_of_a_run_are_readable_by_others_as_the_umask_says(runs):
    assert runs.run("out", "--workers", "0", "--limit", "2", before="import os; os.umask(0o077)")[0] == 0
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (runs.folder / "out").iterdir()}
    assert set(modes.values()) == {0o600}, modes


def test_a_terminal_that_goes_away_does_not_end_in_a_traceback(runs, undisturbed):
    """The reader of stdout and stderr leaves (a closed ssh session): no answer is lost by it."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from kangaroo_eval.cli import console; console()", *runs.words("out")[:-1]],
        env={**runs.env, "PAUSE": "0.05"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=runs.folder,
    )
    process.stdout.close()
    process.stderr.close()
    process.wait(60)
    watched = Watched(runs)
    watched.check()
    watched.ends_as(undisturbed[0])
