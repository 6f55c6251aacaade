"""Ctrl-C and SIGTERM end a run with 130 and lose nothing, whatever they struck: a lock, a destructor, a library that
swallows everything. The blow is dealt from within, where it hurts, so that nothing is left to chance."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from conftest import videomme_rows, write_videomme

from kangaroo_eval import answering, evaluate, runner
from kangaroo_eval.backends.baselines import Constant
from kangaroo_eval.cli import interrupt, main
from kangaroo_eval.errors import UserError
from kangaroo_eval.foreign import raise_interrupt
from kangaroo_eval.types import Response

pytestmark = pytest.mark.usefixtures("away")

SAID = "the same command resumes"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four videos with three questions each."""
    return write_videomme(tmp_path_factory.mktemp("data"), videomme_rows(4))


def strike():
    """What a signal does to `Condition.wait` in the instant in which it holds no lock."""
    try:
        raise KeyboardInterrupt
    finally:
        threading.Lock().release()


class Struck:
    """Answers, but at the request with this id `blow` comes."""

    name = "struck"
    frame_size = 32

    def __init__(self, at, blow=strike):
        self.at = at
        self.blow = blow
        self.calls = 0

    def respond(self, requests):
        self.calls += 1
        for request in requests:
            if request.id == self.at:
                self.blow()
            yield Response(request.id, "B", request.frames.times, 1, 1, 0.0)


def go(model, data):
    return evaluate(
        "videomme", model, data="real", data_root=data, output="out", frames=2, workers=0, min_coverage=0.0
    )


def kept():
    with open("out/videomme.answers.jsonl") as file:
        return [(line["id"], line["status"]) for line in map(json.loads, file)]


def test_an_error_that_an_interrupt_caused_is_no_failure_of_the_model(data):
    model = Struck("002-2")
    with pytest.raises(KeyboardInterrupt):
        go(model, data)
    assert kept() == [(f"00{video}-{n}", "ok") for video, n in ((1, 1), (1, 2), (1, 3), (2, 1))]
    assert model.calls == 1, "nothing is asked after Ctrl-C"
    assert go(Struck(None), data).exit_code == 0 and len(kept()) == 12


def test_nor_is_it_the_users(data):
    def blow():
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise UserError("a library made this of it") from None

    with pytest.raises(KeyboardInterrupt):
        go(Struck("002-2", blow), data)


def test_neither_is_one_while_a_question_is_asked_alone(data):
    class Twice(Struck):
        def respond(self, requests):
            self.calls += 1
            if self.calls == 1:
                next(requests)
                raise ValueError("the model's own fault")
            strike()
            yield

    with pytest.raises(KeyboardInterrupt):
        go(Twice(None), data)
    assert kept() == []


def test_nor_while_frames_are_waited_for(data, monkeypatch):
    real = answering.decode_ahead

    def struck(jobs, **options):
        for number, decoded in enumerate(real(jobs, **options)):
            if number == 2:
                strike()
            yield decoded

    monkeypatch.setattr(answering, "decode_ahead", struck)
    with pytest.raises(KeyboardInterrupt):
        go(Struck(None), data)
    assert len(kept()) == 6


def test_an_interrupt_that_the_caller_is_handling_is_an_old_one(data):
    """Interrupt a run, and finish what is left in the handler: what fails there has its own reasons."""
    model = Struck("002-2", lambda: int("x"))
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        try:
            results = go(model, data)
        except KeyboardInterrupt:
            pytest.fail("the old interrupt was taken for a new one")  # pytest itself would stop at it
        assert results["videomme"]["statuses"] == {"ok": 11, "request_failed": 1}
    new = Struck("002-2")
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt:
        with pytest.raises(KeyboardInterrupt):
            evaluate("videomme", new, data="real", data_root=data, output="new", frames=2, workers=0)


def test_an_error_of_its_own_stays_what_it_is():
    try:
        try:
            raise LookupError("first")
        except LookupError as first:
            raise ValueError("second") from first
    except ValueError as error:
        raise_interrupt(error)
        error.__context__ = error  # chains that run in circles end
        raise_interrupt(error)


def command(data, *words):
    known = ("--model", "constant:B", "--data", "real", "--frames", "2", "--workers", "0", "--output", "out")
    return ["--tasks", "videomme", "--data-root", str(data), *known, *words]


def send():
    signal.raise_signal(signal.SIGINT)


class Dropped:
    """Raises where Python prints an exception and goes on."""

    def __del__(self):
        send()


def swallowed():
    with contextlib.suppress(BaseException):
        send()


def as_lock():
    try:
        send()
    finally:
        threading.Lock().release()


def as_user_error():
    try:
        send()
    except KeyboardInterrupt:
        raise UserError("a library made this of it") from None


def as_full_disk():
    try:
        send()
    except KeyboardInterrupt:
        raise OSError("interrupted system call") from None


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("blow", [send, Dropped, swallowed, as_lock, as_user_error, as_full_disk])
@pytest.mark.parametrize("quiet", [(), ("-q",)])
def test_the_command_ends_with_130_whatever_became_of_the_interrupt(data, monkeypatch, capsys, blow, quiet):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with monkeypatch.context() as patch:
        patch.setattr(Constant, "respond", Struck("002-2", blow).respond)
        assert main(command(data, *quiet)) == 130
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    told = capsys.readouterr().err
    assert told.count(SAID) == 1 and "Traceback" not in told
    # A question that was being answered may be kept too; none counts as failed.
    assert 4 <= len(kept()) <= 5 and {status for _, status in kept()} == {"ok"}
    assert main(command(data, "-q")) == 0 and len(kept()) == 12
    assert [name for name, _ in kept()].count("002-2") == 1


@pytest.mark.parametrize("blow", [send, as_lock, as_user_error, as_full_disk])
def test_so_it_does_while_the_model_loads(data, monkeypatch, capsys, blow):
    monkeypatch.setattr(runner, "load", lambda config: blow())
    assert main(command(data)) == 130
    told = capsys.readouterr().err
    assert told.count(SAID) == 1 and "Traceback" not in told and "library" not in told


def test_two_signals_of_one_key_are_one(data, monkeypatch, capsys):
    class Cleaning(Struck):
        def respond(self, requests):
            try:
                yield from super().respond(requests)
            finally:
                signal.raise_signal(signal.SIGTERM)  # a launcher passes the key on

    monkeypatch.setattr(Constant, "respond", Cleaning("002-2", send).respond)
    ended = []
    monkeypatch.setattr(interrupt, "_end_now", lambda: ended.append(True))
    assert main(command(data)) == 130 and not ended
    assert capsys.readouterr().err.count(SAID) == 1


STUBBORN = """
import sys, time
from kangaroo_eval.backends.baselines import Constant
from kangaroo_eval.cli import console

asked = []

def respond(self, requests):
    while True:
        try:
            if not asked:
                asked.append(True)
                print("asked", flush=True)
            time.sleep(0.01)  # one long sleep would miss a signal that comes just before it
        except KeyboardInterrupt:
            print("no", flush=True)

Constant.respond = respond
sys.argv[1:] = {words!r}
console()
"""


LINGERING = """
import atexit, sys, time
from kangaroo_eval.backends.baselines import Constant
from kangaroo_eval.cli import console

def respond(self, requests):
    print("asked", flush=True)
    while True:
        time.sleep(0.01)  # one long sleep would miss a signal that comes just before it

Constant.respond = respond
atexit.register(time.sleep, 0.4)
sys.argv[1:] = {words!r}
console()
"""


def asked(script, data):
    """A process that runs this script and is with the model."""
    process = subprocess.Popen(
        [sys.executable, "-c", script.format(words=command(data))],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout.readline() == "asked\n"
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_what_will_not_end(data, number):
    process = asked(STUBBORN, data)
    process.send_signal(number)
    assert process.stdout.readline() == "no\n"
    time.sleep(interrupt.SAME_SECONDS + 0.1)
    process.send_signal(number)
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and SAID in error and "Traceback" not in error


@pytest.mark.parametrize("numbers", [(signal.SIGTERM, signal.SIGTERM), (signal.SIGINT, signal.SIGTERM)])
@pytest.mark.parametrize("wait", [0.0, 0.05, 0.2])
def test_two_signals_end_a_process_with_130(data, numbers, wait):
    """The second may come while the interpreter winds down."""
    process = asked(LINGERING, data)
    process.send_signal(numbers[0])
    time.sleep(wait)
    process.send_signal(numbers[1])
    _, error = process.communicate(timeout=30)
    assert process.returncode == 130 and error.count(SAID) == 1, error


def test_a_background_job_of_a_shell_stays_deaf_to_ctrl_c(data):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupt.Interruption() as interruption:
            assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
            interruption.check()
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
