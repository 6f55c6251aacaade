"""`kangaroo-eval chat`: through a pipe and at a real terminal, in English and Chinese."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest
from conftest import write_video

from kangaroo_eval.cli import chat_text, main

pytest.importorskip("torch")
pytest.importorskip("transformers")

CHINESE = "那个圆是什么颜色？"
SCRIPT = [sys.executable, "-c", "from kangaroo_eval.cli import console; console()", "chat"]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return str(write_video(tmp_path_factory.mktemp("视频") / "猫 cat.mp4"))


@pytest.fixture(scope="module")
def talkative(tmp_path_factory):
    """The name of a model with random weights that never ends an answer by itself."""
    import torch

    from kangaroo_eval.model.config import kangaroo_tiny
    from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
    from kangaroo_eval.model.processing import KangarooProcessor
    from kangaroo_eval.model.tokenizer import load_tiny_tokenizer

    folder = tmp_path_factory.mktemp("talkative")
    torch.manual_seed(0)
    network = KangarooForConditionalGeneration(kangaroo_tiny())
    with torch.no_grad():
        network.llm.lm_head.weight[network.config.text_config.eos_token_id] = 0
    network.save_pretrained(folder)
    KangarooProcessor.for_config(load_tiny_tokenizer(), network.config).save_pretrained(folder)
    return f"kangaroo:{folder}"


@pytest.fixture
def chat(video, monkeypatch, capsys):
    """Run the command here with these lines on standard input: exit code, output, errors."""

    def run(*words, lines=(), model=("--max-new-tokens", "6", "--frames", "8"), file=video):
        monkeypatch.setattr("sys.stdin", Lines(lines))
        before = signal.getsignal(signal.SIGTERM)
        try:
            code = main(["chat", *([file] if file else []), *model, *words])
        except SystemExit as stop:
            code = stop.code
        assert signal.getsignal(signal.SIGTERM) == before
        return code, *capsys.readouterr()

    return run


class Lines:
    """Standard input that is a pipe."""

    def __init__(self, lines):
        self.lines = lines

    def isatty(self):
        return False

    def __iter__(self):
        return iter([f"{line}\n" for line in self.lines])


def refused(result, code, *told):
    assert result[0] == code
    last = result[2].strip().splitlines()[-1]
    assert last.startswith("kangaroo-eval: ") and all(part in last for part in told), last
    return last


# --- through a pipe


def test_answers_alone_go_to_standard_output(chat):
    code, out, err = chat(lines=["What happens?", "", CHINESE])
    assert code == 0
    assert len(out.splitlines()) == 2 and all(out.splitlines())
    assert "\033" not in out + err
    assert "has learnt from made videos alone" in err
    assert "猫 cat.mp4: 3.00 s; 8 frames from 0.12 s to 2.75 s, one every 0.375 s; 70 tokens" in err
    first, second = [line for line in err.splitlines() if "tokens/s" in line]
    assert "video encoded in" in first and "video reused" in second
    assert re.search(r"; [1-9]\d tokens read, [1-9]\d* reused", second)


def test_the_same_questions_get_the_same_answers(chat):
    one, other = (chat("-q", lines=["What?", CHINESE])[1] for _ in range(2))
    assert one == other != chat("-q", lines=["Describe the video.", "What colour is the sign?"])[1]


def test_quiet_still_says_what_the_weights_have_learnt(chat):
    _, _, err = chat("-q", lines=["What?"])
    (line,) = err.splitlines()
    assert "has learnt from made videos alone" in line


def test_one_question(chat):
    code, out, err = chat("--once", CHINESE)
    assert code == 0 and len(out.splitlines()) == 1 and "video encoded" in err
    assert out == chat("-q", lines=[CHINESE])[1]


def test_flags_reach_the_conversation(chat):
    asked = (
        "What?",
        "How many times does the red circle appear?",
        "What does the sign say?",
        "A. Red. B. Blue.",
    )
    system = ("--system", "Say something else entirely.")
    # A small model heeds it in some of its answers alone.
    assert [chat("--once", each)[1] for each in asked] != [chat("--once", each, *system)[1] for each in asked]
    assert "frames from 1.00 s to 1.88 s" in chat("--once", "What?", "--start", "1", "--end", "2")[2]
    drawn = [chat("--once", "What?", "--temperature", "3", "--seed", seed)[1] for seed in ("1", "1", "2")]
    assert drawn[0] == drawn[1] != drawn[2]
    assert "on cpu, bfloat16" in chat("--once", "What?", "--dtype", "bfloat16", "--device", "cpu")[2]


def test_commands_through_a_pipe(chat, tmp_path, video):
    saved = tmp_path / "谈话.json"
    code, out, err = chat(
        lines=[
            CHINESE,
            "/frames 4",
            "And?",
            "/times",
            "/history",
            f"/save {saved}",
            "/reset",
            "/history",
            "/quit now",
            "no",
        ]
    )
    assert code == 0
    first, second, times, *history = out.splitlines()
    assert times == "0.375, 1.125, 1.875, 2.625 s"
    assert history == [f"1. {CHINESE}", first, "2. And?", second]
    assert "nothing has been asked yet" in err
    record = json.loads(saved.read_text(encoding="utf-8"))
    assert CHINESE in saved.read_text(encoding="utf-8"), "readable by people too"
    assert record["video"] == video and record["frame_times"] == [0.375, 1.125, 1.875, 2.625]
    assert [entry["answer"] for entry in record["rounds"]] == [first, second]
    assert record["model"] == "kangaroo-tiny" and record["notes"] == ["has learnt from made videos alone"]


def test_another_video_starts_anew(chat, tmp_path):
    other = write_video(tmp_path / "other clip.mp4", frames=16)
    _, out, err = chat(lines=["What?", f'/video "{other}"', "/history", "What?"])
    assert "other clip.mp4: 2.00 s" in err and "nothing has been asked yet" in err
    assert len(out.splitlines()) == 2


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("/tmies", ("unknown command /tmies", "Did you mean /times?")),
        ("/zzzzzz", ("unknown command /zzzzzz", "/help")),
        ("/frames", ("/frames 64",)),
        ("/frames many", ("/frames many", "/frames 64")),
        ("/frames 0", ("--frames 0", "1 or more")),
        ("/video", ("/video holiday.mp4",)),
        ("/save", ("/save talk.json",)),
        ("/save /nowhere/at/all.json", ("cannot be written",)),
    ],
)
def test_a_wrong_command_is_one_line(chat, line, told):
    refused(chat(lines=[line, "What?"]), 1, *told)


def test_saving_overwrites_nothing(chat, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text("mine")
    refused(chat(lines=["What?", f"/save {file}"]), 1, "there is such a file")
    assert file.read_text() == "mine"


def test_what_cannot_work_is_refused_before_anything_is_loaded(chat, monkeypatch):
    monkeypatch.setattr("kangaroo_eval.cli.chat.load_model", None)
    refused(chat(file=None), 1, "chat needs a video")
    refused(chat(file="/none.mp4"), 6, "/none.mp4: no such file")
    refused(chat("--model", "kangroo-tiny"), 1, "unknown model", "Did you mean kangaroo-tiny?")
    refused(chat("--model", "constant:B"), 1, "constant:B", "give kangaroo-tiny or kangaroo:FOLDER")
    refused(chat("--once", "x", "--web"), 1, "--once", "--web")
    refused(chat("--port", "80"), 1, "--web")
    refused(chat("--seed", "1"), 1, "--temperature")
    refused(chat("--model-args", "threads"), 1, "name=value")


def test_wrong_values_are_one_line(chat):
    refused(chat("--frames", "0", "--once", "x"), 1, "--frames 0")
    refused(chat("--max-new-tokens", "0", "--once", "x"), 1, "--max-new-tokens 0")
    refused(chat("--temperature", "0", "--once", "x"), 1, "temperature 0")
    refused(chat("--temperature", "1e-320", "--once", "x"), 1, "at least 0.001")
    refused(chat("--temperature", "1", "--seed", "9" * 30, "--once", "x"), 1, "from 0 to 2^63 - 1")
    refused(chat("--start", "nan", "--once", "x"), 1, "--start nan: give seconds")
    refused(chat("--once", " "), 1, "give a question")
    refused(chat("--start", "50", "--once", "x"), 6, "3.000 s long")
    refused(chat("--model-args", "flavour=sweet", "--once", "x"), 1, "flavour", "frame_chunk")
    refused(chat("--model", "kangaroo:/nowhere", "--once", "x"), 1, "no such folder")


def test_a_damaged_video_is_named(chat, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 5000)
    refused(chat("--once", "x", file=str(tmp_path / "bad.mp4")), 6, "bad.mp4")


def test_a_conversation_longer_than_the_context_is_refused_with_the_mend(chat):
    refused(chat(lines=["What?", "word " * 9000]), 1, "8192", "/reset", "/frames")


def test_running_out_of_memory_is_one_line(chat, monkeypatch):
    from kangaroo_eval.model.modeling import KangarooForConditionalGeneration

    def fail(*_):
        raise MemoryError("9 GB")

    monkeypatch.setattr(KangarooForConditionalGeneration, "encode_video", fail)
    refused(chat("--once", "x"), 2, "out of memory (9 GB)", "fewer frames")


def test_signs_that_steer_a_terminal_are_left_out():
    assert chat_text.clean("a\033[2Jb\x07\r\n\tc\x9b1m\udc80你好🦘") == "a[2Jb\n\tc1m?你好🦘"


def test_what_is_told_of_times():
    told = chat_text.told_of_times
    assert told((0.5,)) == "1 frame at 0.50 s"
    assert told((0.0, 10.0, 20.0)) == "3 frames from 0.00 s to 20.00 s, one every 10 s"
    assert told((0.0, 10.0, 21.0)).endswith("about one every 10.5 s")
    assert chat_text.told_seconds(59.996) == "1:00.0"
    assert chat_text.told_seconds(754.52) == "12:34.5"
    assert chat_text.told_seconds(3723.4) == "1:02:03.4"


# --- as a program


@pytest.mark.slow
def test_bytes_that_are_no_text_do_not_end_it(video, tmp_path):
    done = subprocess.run(
        [*SCRIPT, video, "--max-new-tokens", "3"],
        input=b"What?\n" + b"\xff\xfe caf\xe9\n" + CHINESE.encode(),
        capture_output=True,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert len(done.stdout.decode().splitlines()) == 3
    assert b"\033" not in done.stdout + done.stderr


class Terminal:
    """A program at a pseudo-terminal."""

    def __init__(self, *words, cwd, **env):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(cwd)
            os.execvpe(
                SCRIPT[0], [*SCRIPT, *words], {**os.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8", **env}
            )
        self.seen = ""
        self._bytes = b""

    def read(self, pattern, seconds=60):
        """What is shown up to this pattern, and since the last one."""
        end = time.monotonic() + seconds
        while not (found := re.search(pattern, self.seen)):
            assert time.monotonic() < end, f"{pattern!r} was not shown: {self.seen!r}"
            if select.select([self.fd], [], [], 0.2)[0]:
                try:
                    self._bytes += os.read(self.fd, 65536)
                except OSError:
                    raise AssertionError(
                        f"{pattern!r} was not shown before it ended: {self.seen!r}"
                    ) from None
                text = self._bytes.decode("utf-8", "ignore")
                self._bytes = self._bytes[len(text.encode()) :]
                self.seen += text
        shown, self.seen = self.seen[: found.end()], self.seen[found.end() :]
        return shown

    def shows(self, text):
        """This text, and a prompt after it: a prompt drawn anew before it is no answer."""
        self.read(re.escape(text))
        self.read(PROMPT)

    def type(self, text):
        os.write(self.fd, text.encode())

    def end(self, seconds=30):
        """The exit code."""
        limit = time.monotonic() + seconds
        while time.monotonic() < limit:
            if select.select([self.fd], [], [], 0.1)[0]:
                try:
                    self.seen += os.read(self.fd, 65536).decode("utf-8", "ignore")
                except OSError:
                    break
        else:
            os.kill(self.pid, signal.SIGKILL)
            raise AssertionError(f"it goes on; last shown: {self.seen!r}")
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


PROMPT = r"> (\x1b\[0m)?"


@pytest.mark.slow
def test_a_conversation_at_a_terminal(video, tmp_path):
    talk = Terminal(video, "--frames", "8", "--max-new-tokens", "6", cwd=tmp_path, NO_COLOR="")
    greeting = talk.read(PROMPT)
    assert "\033[1;33mhas learnt from made videos alone" in greeting
    assert "猫 cat.mp4: 3.00 s; 8 frames from 0.12 s to 2.75 s" in greeting and "/help" in greeting
    talk.type("What happens?\n")
    talk.shows("video encoded in")
    talk.type(f"{CHINESE}\n")
    talk.shows("video reused")
    talk.type("/tmies\n")
    talk.shows("Did you mean /times?")
    talk.type("/ti\t\n")
    talk.shows("2.750 s")  # the tab key completes a command
    talk.type("/video nowhere.mp4\n")
    talk.shows("nowhere.mp4: no such file")
    talk.type("/history\n")
    talk.shows(f"2. {CHINESE}")  # a video that is refused changes nothing
    talk.type("/help\n")
    talk.shows("/save FILE")
    time.sleep(0.5)  # a signal in the instant before readline waits is seen with the next key only
    talk.type("\x03")
    talk.shows("Ctrl-D leaves")
    talk.type("\x04")
    assert talk.end() == 0


@pytest.mark.slow
def test_ctrl_c_stops_the_answer_and_a_damaged_video_may_be_replaced(video, talkative, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"\0" * 5000)
    words = ["bad.mp4", "--model", talkative, "--frames", "8", "--max-new-tokens", "7000"]
    talk = Terminal(*words, cwd=tmp_path, NO_COLOR="1")
    greeting = talk.read("> ")
    assert "bad.mp4" in greeting and "/video PATH opens another" in greeting
    talk.type("What?\n")
    talk.shows("no video is open")
    talk.type(f"/video {video}\n")
    talk.shows("8 frames")
    talk.type("What happens?\n")
    talk.read(r"happens\?\r\n.{60}")
    talk.type("\x03")
    stopped = talk.read("> ")
    assert "; stopped" in stopped and "\033" not in stopped.replace("\033[?2004h", "").replace(
        "\033[?2004l", ""
    )
    count = int(re.search(r"(\d+) tokens in", stopped)[1])
    assert 0 < count < 7000
    time.sleep(0.5)  # a signal in the instant before readline waits is seen with the next key only
    os.kill(talk.pid, signal.SIGTERM)
    assert talk.end() == 130


@pytest.mark.slow
def test_ctrl_c_ends_a_pipe(video, talkative, tmp_path):
    program = subprocess.Popen(
        [*SCRIPT, video, "--model", talkative, "--frames", "8", "--max-new-tokens", "7000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
    )
    program.stdin.write(b"What?\nWhy?\n")
    program.stdin.flush()
    assert program.stdout.read(30), "the answer streams"
    program.send_signal(signal.SIGINT)
    _, err = program.communicate(timeout=30)
    assert program.returncode == 130 and b"Traceback" not in err
