"""The web page: what its buttons do, and the whole of it in a real browser."""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from conftest import write_video

from kangaroo_eval.cli import chat_web, main

pytest.importorskip("torch")
pytest.importorskip("transformers")

CHINESE = "那个圆是什么颜色？"
HOSTILE = "<script>document.title='hacked'</script><img src=x onerror=\"document.title='hacked'\">"


@pytest.fixture(scope="module")
def make():
    """Conversations with kangaroo-tiny."""
    from kangaroo_eval.model.conversation import Conversation
    from kangaroo_eval.model.loading import load_tiny

    model = load_tiny(device="cpu")
    return lambda: Conversation(model, frames=8, max_new_tokens=6)


@pytest.fixture
def uploads(tmp_path):
    folder = tmp_path / "uploads"
    folder.mkdir()
    return folder


@pytest.fixture
def page(make, uploads, tmp_path):
    options = argparse.Namespace(
        video=str(write_video(tmp_path / "clip.mp4")), start=None, end=None, frames=8
    )
    return chat_web.Page(None, make, options, uploads)


def begin(page):
    session, *shown = page.begin(8)
    return session, shown


def test_a_page_opens_with_the_command_lines_video(page):
    _, (video, look, pictures, messages, status) = begin(page)
    assert video == page.options.video and look.startswith("clip.mp4: 3.00 s; 8 frames")
    assert [caption for _, caption in pictures][:2] == ["0.12 s", "0.50 s"] and pictures[0][0].shape == (
        64,
        64,
        3,
    )
    assert messages == [] and status == ""


def test_answers_stream_and_the_second_reuses_the_video(page):
    session, _ = begin(page)
    *streamed, (messages, status, box) = page.ask(session, "What?")
    assert [message["role"] for message in messages] == ["user", "assistant"]
    # One state before the answer and one for each of its words, of which there may be one.
    assert len(streamed) > 1 and streamed[-1][1] == "answering ..." and box == ""
    assert "video encoded" in status
    *_, (messages, status, _) = page.ask(session, CHINESE)
    assert messages[2]["content"] == CHINESE and "video reused" in status


def test_every_browser_has_a_conversation_of_its_own(page):
    (one, _), (other, _) = begin(page), begin(page)
    list(page.ask(one, "What?"))
    assert len(one.talk.rounds) == 1 and other.talk.rounds == ()


def test_what_anybody_says_is_text(page):
    from kangaroo_eval.model.conversation import Round

    session, _ = begin(page)
    list(page.ask(session, HOSTILE))
    answer = session.talk.rounds[0].answer
    session.talk.rounds = (Round(HOSTILE, type(answer)(HOSTILE + "\033[2J", *list_of(answer)[1:])),)
    for message in page._shown(session, "")[4]:
        assert "<" not in message["content"] and "\033" not in message["content"]
        assert "&lt;script&gt;" in message["content"]


def list_of(answer):
    return [getattr(answer, name) for name in answer.__dataclass_fields__]


def test_stop_ends_the_answer_and_keeps_it(page):
    session, _ = begin(page)
    session.talk.max_new_tokens = 500
    answer = page.ask(session, "What?")
    next(answer), next(answer)
    page.stop(session)
    *_, (messages, status, _) = answer
    assert "stopped" in status and len(messages) == 2
    assert session.talk.rounds[0].answer.stopped == "interrupted"
    session.talk.max_new_tokens = 5
    *_, (messages, status, _) = page.ask(session, "And?")
    assert "stopped" not in status and len(messages) == 4


def test_reset_ends_a_running_answer_first(page):
    session, _ = begin(page)
    session.talk.max_new_tokens = 5000
    answer = page.ask(session, "What?")
    next(answer)
    running = threading.Thread(target=lambda: list(answer))
    running.start()
    assert page.reset(session) == ([], "")
    running.join(20)
    assert session.talk.rounds == () and session.talk.look is not None


def test_one_answer_at_a_time_for_all_browsers(page, monkeypatch):
    from kangaroo_eval.model.dialogue import Dialogue

    (one, _), (other, _) = begin(page), begin(page)
    inside, most, stream = [], [], Dialogue.stream

    def watched(self, ask):
        inside.append(1)
        most.append(len(inside))
        time.sleep(0.05)
        yield from stream(self, ask)
        inside.pop()

    monkeypatch.setattr(Dialogue, "stream", watched)
    threads = [threading.Thread(target=lambda s=s: list(page.ask(s, "What?"))) for s in (one, other)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == [1, 1] and len(one.talk.rounds) == len(other.talk.rounds) == 1


def test_an_upload_is_looked_at_and_a_bad_one_changes_nothing(page, uploads):
    session, _ = begin(page)
    good = write_video(uploads / "new.mp4", frames=16)
    _, video, look, *_ = page.open(session, str(good), 4)
    assert video == str(good) and look.startswith("new.mp4: 2.00 s")
    (uploads / "bad.mp4").write_bytes(b"\0" * 5000)
    _, video, look, _, _, status = page.open(session, str(uploads / "bad.mp4"), 4)
    assert video == str(good) and look.startswith("new.mp4")
    assert status.startswith("bad.mp4: ") and str(uploads) not in status


def test_only_uploaded_files_are_opened(page, tmp_path, uploads):
    session, _ = begin(page)
    other = write_video(tmp_path / "private.mp4")
    (uploads / "link.mp4").symlink_to(other)
    for path in (other, uploads / "../private.mp4", uploads / "link.mp4"):
        _, video, *_, status = page.open(session, str(path), 4)
        assert status == "That file was not uploaded here." and video == page.options.video


def test_other_frames(page):
    session, _ = begin(page)
    _, _, look, pictures, *_ = page.set_frames(session, 4)
    assert "4 frames" in look and len(pictures) == 4
    session.talk.model.network.config.text_config.max_position_embeddings, before = 60, 8192
    try:
        *_, status = page.set_frames(session, 20)
    finally:
        session.talk.model.network.config.text_config.max_position_embeddings = before
    assert "take 6 frames or fewer" in status and session.talk.facts.frames == 4


def test_nothing_to_ask_or_to_ask_about(page):
    page.options.video = None
    session, (video, *_, status) = begin(page)
    assert video is None and status == "Upload a video."
    assert [shown[1] for shown in page.ask(session, "What?")] == ["Upload a video first."]
    assert [shown[1] for shown in page.ask(session, " ")] == ["Ask something."]
    assert [shown[1] for shown in page.ask(None, "What?")] == ["Upload a video first."]


def test_an_error_gives_the_question_back(page):
    session, _ = begin(page)
    *_, (messages, status, box) = page.ask(session, "word " * 8500)
    assert messages == [] and "8192" in status and box.startswith("word word")
    *_, (messages, _, _) = page.ask(session, "What?")
    assert len(messages) == 2, "and the model is free again"


def test_without_gradio_one_line_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "gradio", None)
    assert main(["chat", "--web"]) == 1
    error = capsys.readouterr().err.strip()
    assert "kangaroo-eval[web]" in error and "\n" not in error


# --- in a browser

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def browser(tmp_path):
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if not (shutil.which(CHROMIUM) and shutil.which(DRIVER)):
        pytest.skip(f"no {CHROMIUM} and {DRIVER}")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--window-size=1280,900",
        f"--user-data-dir={tmp_path / 'browser'}",
    ):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


# kangaroo-tiny with a model that answers hostile text: the page must show it as text.
PROGRAM = """
import itertools, sys
from kangaroo_eval.model import dialogue
from kangaroo_eval.model.tokenizer import load_tiny_tokenizer
from kangaroo_eval.cli import main
tokenizer = load_tiny_tokenizer()
def ids(text):
    return tokenizer(text, add_special_tokens=False)["input_ids"] + [tokenizer.convert_tokens_to_ids("<|eot_id|>")]
said = itertools.chain.from_iterable(ids(text) for text in (sys.argv[1], "红色的圆 🦘", "B", "C"))
dialogue._chooser = lambda sampling: lambda logits: next(said)
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def url(tmp_path):
    pytest.importorskip("gradio", reason="gradio is not installed")
    video = write_video(tmp_path / "猫 clip.mp4")
    port = free_port()
    words = ["chat", str(video), "--web", "--port", str(port), "--frames", "12"]
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, HOSTILE, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as program:
        try:
            line = program.stdout.readline()
            assert f"http://127.0.0.1:{port}" in line, line + program.stdout.read()
            yield f"http://127.0.0.1:{port}/"
            program.terminate()
            assert program.wait(30) == 0
            assert program.stdout.read() == "", "nothing went wrong behind the page"
        finally:
            program.kill()


@pytest.mark.slow
def test_a_conversation_in_a_real_browser(url, browser, tmp_path):
    from selenium.common.exceptions import StaleElementReferenceException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys
    from selenium.webdriver.support.ui import WebDriverWait

    # The page changes while it is read.
    wait = WebDriverWait(browser, 60, ignored_exceptions=[StaleElementReferenceException])

    def find(selector):
        return browser.find_elements(By.CSS_SELECTOR, selector)

    def value(name):
        return "".join(box.get_attribute("value") or "" for box in find(f"#{name} textarea, #{name} input"))

    def said():
        return [message.text for message in find("#chat .message-content")]

    browser.get(url)
    wait.until(lambda _: "12 frames" in value("look"))
    assert value("look").startswith("猫 clip.mp4: 3.00 s; 12 frames from 0.12 s")
    wait.until(lambda _: len(find("#frames .caption-label")) == 12)
    assert find("#frames .caption-label")[0].text == "0.12 s"
    assert "HAS LEARNT FROM MADE VIDEOS ALONE" in find("#title")[0].text
    question = find("#question textarea, #question input")[0]
    question.send_keys("What <b>happens</b>?" + Keys.ENTER)
    wait.until(lambda _: "video encoded" in value("status"))
    wait.until(lambda _: said() == ["What <b>happens</b>?", HOSTILE])
    assert not find("#chat img[src='x']") and not find("#chat b") and browser.title == "kangaroo-tiny - chat"
    question.send_keys(CHINESE)
    find("#send")[0].click()
    wait.until(lambda _: "video reused" in value("status"))
    wait.until(lambda _: said()[2:] == [CHINESE, "红色的圆 🦘"])
    assert re.search(r"tokens read, [1-9]\d* reused", value("status"))
    upload = find("#upload input[type=file], input[type=file]")[0]
    upload.send_keys(str(write_video(tmp_path / "other.mp4", frames=8)))
    wait.until(lambda _: value("look").startswith("other.mp4: 1.00 s; 8 frames"))
    wait.until(lambda _: said() == [])
    question.send_keys("And this?" + Keys.ENTER)
    wait.until(lambda _: said() == ["And this?", "B"])
    assert "video encoded" in value("status")
    find("#reset")[0].click()
    wait.until(lambda _: said() == [])
    loaded = browser.execute_script(
        "return performance.getEntriesByType('resource').map(entry => entry.name)"
    )
    assert loaded and all(address.startswith((url, "data:", "blob:")) for address in loaded)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    browser.save_screenshot(str(tmp_path / "page.png"))


@pytest.mark.slow
def test_a_port_that_is_taken_is_one_line(tmp_path):
    pytest.importorskip("gradio", reason="gradio is not installed")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        words = ["chat", "--web", "--port", str(taken.getsockname()[1])]
        code = "import sys; from kangaroo_eval.cli import main; sys.exit(main(sys.argv[1:]))"
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, cwd=tmp_path, timeout=120
        )
    assert done.returncode == 1
    assert done.stderr.strip().startswith("kangaroo-eval: --port") and "\n" not in done.stderr.strip()
    assert not list(Path(tmp_path).iterdir()), "nothing is left behind"
