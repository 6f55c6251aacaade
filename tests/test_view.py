"""The viewer in a real browser: filters, keys, hostile answers, 20,000 samples; and the files by themselves."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from conftest import videomme_rows, write_videomme

from kangaroo_eval import evaluate
from kangaroo_eval.cli import main
from kangaroo_eval.types import Response

CHROME = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DRIVER = shutil.which("chromedriver")
HOSTILE = "<script>window.hacked = true</script><img src=x onerror='window.hacked = true'>🦘 The answer is B. </pre>"


class Scripted:
    """Answers A, or for every third sample something hostile that reads as B."""

    name, model_hash, dtype, frame_size = "scripted <b>", "1", "float32", 64

    def respond(self, requests):
        for request in requests:
            number = int(request.id.split("-")[1])
            text = HOSTILE if number == 3 else "A"
            yield Response(request.id, text, request.frames.times, 10, 2, 0.01)


class Better(Scripted):
    """Answers C to every third sample."""

    name, model_hash = "better", "2"

    def respond(self, requests):
        for response in super().respond(requests):
            yield Response(response.id, "C", response.frame_times, 10, 2, 0.01)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A data root, a run on it, and another model's."""
    root = tmp_path_factory.mktemp("data")
    write_videomme(root, videomme_rows(4))
    out = tmp_path_factory.mktemp("runs")
    for name, model in (("a", Scripted()), ("b", Better())):
        evaluate(["videomme"], model=model, frames=6, data="real", data_root=root, output=out / name)
    return root, out / "a", out / "b"


def called(*words):
    try:
        return main(["view", *map(str, words)])
    except SystemExit as error:
        return error.code


def data_of(folder, name):
    text = (folder / "data" / f"{name}.js").read_text()
    found = re.fullmatch(r"viewer\.data\(\"([^\"]+)\", (.*)\);\n", text, re.DOTALL)
    assert found[1] == name
    return json.loads(found[2])


def test_a_folder_has_every_sample_with_its_frames(runs, tmp_path, capsys):
    _, run, before = runs
    assert called(run, "--compare", before, "--output", tmp_path / "v") == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "v" / "index.html")
    index = data_of(tmp_path / "v", "index")
    assert index["run"]["model"] == "scripted <b>" and index["run"]["before"] == "b"
    assert [row[1] for row in index["rows"]] == [row["question_id"] for row in videomme_rows(4)]
    lines = data_of(tmp_path / "v", "0-0")
    hostile = next(line for line in lines if line["text"] == HOSTILE)
    assert hostile["read"] == "B" and hostile["before"]["text"] == "C"
    assert HOSTILE[slice(*hostile["span"])] == "B" and len(hostile["times"]) == 6
    strips = {line["strip"]["file"] for line in lines}
    assert len(strips) == 4, "one for each video"
    strip = hostile["strip"]
    import av

    with av.open(str(tmp_path / "v" / "frames" / strip["file"])) as picture:
        frame = next(picture.decode(video=0))
    assert (frame.width, frame.height) == (strip["columns"] * strip["width"], strip["height"])
    assert max(strip["width"], strip["height"]) <= 160 and strip["columns"] == 6


def test_what_is_not_there_is_said(runs, tmp_path, capsys):
    root, run, _ = runs
    assert called(run, "--side", "0", "--output", tmp_path / "v") == 0
    assert data_of(tmp_path / "v", "0-0")[0]["strip"]["why"] == "made without thumbnails"
    moved = tmp_path / "elsewhere"
    shutil.copytree(root, moved)
    next((moved / "videomme" / "data").iterdir()).unlink()
    capsys.readouterr()
    assert called(run, "--data-root", moved, "--output", tmp_path / "w") == 0
    whys = [line["strip"]["why"] for line in data_of(tmp_path / "w", "0-0") if not line["strip"]["file"]]
    assert len(whys) == 3 and all(".mp4" in why for why in whys)
    assert called(run, "--data-root", tmp_path / "nothing", "--output", tmp_path / "x") == 0
    first = data_of(tmp_path / "x", "0-0")[0]
    assert "annotations not found" in first["strip"]["why"] and len(first["times"]) == 6


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere: give a run directory"),
        (["RUN", "--side", "2000"], "give pixels from 0"),
        (["RUN", "--serve", "70000"], "give a port"),
        (["RUN", "--compare", "nowhere"], "--compare nowhere: give a run directory"),
    ],
)
def test_wrong_use(runs, words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert called(*(runs[1] if word == "RUN" else word for word in words), "-o", tmp_path / "v") == 1
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1


@pytest.mark.parametrize("text", ["", "{", "[]", '{"tasks": {}}'])
def test_results_that_are_not_those_of_the_run_are_refused(runs, text, tmp_path, capsys):
    shutil.copytree(runs[1], tmp_path / "run")
    (tmp_path / "run/results.json").write_text(text)
    assert called(tmp_path / "run", "-o", tmp_path / "v") == 1
    error = capsys.readouterr().err
    assert "kangaroo-eval score" in error and len(error.splitlines()) == 1


def test_the_page_takes_nothing_from_elsewhere():
    folder = Path(__file__).parents[1] / "kangaroo_eval" / "report" / "viewer"
    text = "".join(file.read_text() for file in folder.iterdir())
    assert not re.search(r"https?://|//cdn|@import|innerHTML|insertAdjacent|document\.write|eval\(", text)


def test_it_is_served_on_this_machine_alone(runs, tmp_path):
    words = ["view", str(runs[1]), "-o", str(tmp_path / "v"), "--serve", "-q"]
    program = [
        sys.executable,
        "-c",
        "import sys; from kangaroo_eval.cli import main; sys.exit(main(sys.argv[1:]))",
        *words,
    ]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            server.stdout.readline()
            address = server.stdout.readline().split()[0]
            assert address.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(f"{address}data/index.js", timeout=20) as answer:
                assert answer.read().startswith(b"viewer.data(")
        finally:
            server.terminate()
            assert server.wait(20) == 130


# In a browser


@pytest.fixture
def browser(tmp_path):
    if not (CHROME and DRIVER):
        pytest.skip("no Chromium with its chromedriver here")
    webdriver = pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROME
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--window-size=1280,900",
        f"--user-data-dir={tmp_path / 'browser'}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield driver
    serious = [line for line in driver.get_log("browser") if line["level"] == "SEVERE"]
    driver.quit()
    assert not serious, serious


@pytest.fixture
def page(browser, runs, tmp_path):
    """The viewer of run a beside run b, opened from its file."""
    _, run, before = runs
    assert called(run, "--compare", before, "-q", "-o", tmp_path / "v") == 0
    browser.get((tmp_path / "v" / "index.html").as_uri())
    return browser


def find(browser, css):
    return browser.find_elements("css selector", css)


def keys(browser, *signs):
    from selenium.webdriver.common.action_chains import ActionChains

    for sign in signs:
        ActionChains(browser).send_keys(sign).perform()


def choose(browser, name, value):
    from selenium.webdriver.support.select import Select

    Select(browser.find_element("id", name)).select_by_value(value)


def shown(browser):
    return browser.find_element("id", "count").text


def until(check, seconds=10):
    end = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)
    return found


def test_the_overview_shows_scores_and_findings(page):
    text = page.find_element("id", "overview").text
    assert "videomme" in text and "careful" in text and "12 of 12 answered" in text and "by duration" in text
    assert page.title == "scripted <b>: kangaroo-eval viewer"
    assert "compared with b" in page.find_element("id", "about").text


def test_filters(page):
    page.find_element("id", "show-samples").click()
    assert shown(page) == "12 of 12" and len(find(page, ".row")) == 12
    choose(page, "result", "wrong")
    wrong = int(shown(page).split()[0])
    choose(page, "result", "right")
    assert wrong + int(shown(page).split()[0]) == 12
    choose(page, "result", "lost")
    lost = int(shown(page).split()[0])
    choose(page, "result", "gained")
    gained = int(shown(page).split()[0])
    assert lost + gained > 0
    choose(page, "result", "")
    page.find_element("id", "search").send_keys("001-3")
    until(lambda: shown(page) == "1 of 12")
    page.refresh()
    assert shown(page) == "1 of 12", "the address remembers"


def test_keys_open_samples_and_a_hostile_answer_is_text(page):
    from selenium.webdriver.common.keys import Keys

    page.find_element("id", "show-samples").click()
    keys(page, "j", "j", Keys.ARROW_DOWN, "k", Keys.ARROW_DOWN, Keys.ENTER)
    until(lambda: find(page, "#answer"))
    assert find(page, "#detail h2")[0].text == "001-3"
    assert page.find_element("id", "answer").text == HOSTILE
    assert find(page, "#answer mark")[0].text == "B"
    assert page.execute_script("return window.hacked") is None and not find(
        page, "#detail img, #detail script"
    )
    assert len(find(page, "#strip button")) == 6
    assert page.execute_script("return document.activeElement.id") == "list"
    keys(page, "/")
    assert page.execute_script("return document.activeElement.id") == "search"
    keys(page, Keys.ESCAPE, Keys.END)
    assert find(page, ".row[aria-selected=true]")[0].get_attribute("aria-posinset") == "12"


def test_a_frame_is_enlarged_and_closed_again(page):
    from selenium.webdriver.common.keys import Keys

    page.find_element("id", "show-samples").click()
    find(page, ".row")[0].click()
    frame = until(lambda: find(page, "#strip button"))[1]
    assert "enlarge" in frame.get_attribute("aria-label")
    frame.click()
    until(lambda: page.execute_script("return document.getElementById('canvas').width > 160"))
    pixel = "const c = document.getElementById('canvas'); return [...c.getContext('2d').getImageData(c.width/2, c.height/2, 1, 1).data]"
    if not page.execute_script("return location.protocol").startswith("file"):
        assert page.execute_script(pixel)[3] == 255
    assert "frame 2 of 6" in page.find_element("id", "when").text
    keys(page, Keys.ESCAPE)
    until(lambda: not page.execute_script("return document.getElementById('large').open"))


def test_dark_light_and_a_phone(page):
    ink = "return getComputedStyle(document.body).color"
    before = page.execute_script(ink)
    page.find_element("id", "theme").click()
    assert page.execute_script(ink) != before
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True},
    )
    page.find_element("id", "show-samples").click()
    assert page.execute_script("return document.documentElement.scrollWidth") <= 390
    for element in find(page, "header button, input, main select, [role=listbox]"):
        assert element.accessible_name, element.get_attribute("outerHTML")


def test_20_000_samples_are_filtered_in_200_ms(browser, runs, tmp_path):
    _, run, _ = runs
    assert called(run, "-q", "--side", "0", "-o", tmp_path / "v") == 0
    index = data_of(tmp_path / "v", "index")
    rows = [
        [
            0,
            f"{i:05}",
            f"which thing is number {i}?",
            f"c{i % 7}",
            "ok",
            float(i % 3 == 0),
            1.0,
            "ABCD"[i % 4],
            "A",
            None,
        ]
        for i in range(20_000)
    ]
    index["rows"] = rows
    (tmp_path / "v/data/index.js").write_text(f'viewer.data("index", {json.dumps(index)});\n')
    browser.get((tmp_path / "v" / "index.html").as_uri())
    browser.find_element("id", "show-samples").click()
    assert shown(browser) == "20,000 of 20,000" and len(find(browser, ".row")) < 60
    timed = """
        const started = performance.now();
        const select = document.getElementById('result');
        select.value = arguments[0];
        select.dispatchEvent(new Event('change'));
        document.getElementById('list').getBoundingClientRect();
        return performance.now() - started;
    """
    times = [browser.execute_script(timed, value) for value in ("wrong", "right", "", "wrong", "")]
    assert sorted(times)[2] < 200, times
    browser.find_element("id", "search").send_keys("number 1999")
    until(lambda: shown(browser) == "12 of 20,000")


def test_it_looks_right(page, tmp_path):
    """Leaves pictures where VIEWER_SHOTS says, for people to look at."""
    folder = Path(os.environ.get("VIEWER_SHOTS", tmp_path))
    folder.mkdir(parents=True, exist_ok=True)
    page.save_screenshot(str(folder / "overview.png"))
    page.find_element("id", "show-samples").click()
    find(page, ".row")[2].click()
    until(lambda: find(page, "#answer"))
    page.save_screenshot(str(folder / "sample.png"))
    assert (folder / "sample.png").stat().st_size > 20_000
