"""The other commands killed at seeded moments, and a judge that hangs: the same command again gives what one call gives."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from conftest import VIDEOMME_ROW, videomme_rows, write_video, write_videomme
from fake_server import HANG, FakeServer
from harness import Runs, write_plugin
from how_long import COUNT

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
FAILING = f"import sys; sys.path.append({str(HERE)!r}); import failing"
TRAIN = "from kangaroo_eval.cli.train import console; console()"
CURATE = "from kangaroo_eval.cli.curate import console; console()"


@pytest.fixture(scope="module")
def plugin(tmp_path_factory):
    return write_plugin(tmp_path_factory.mktemp("plugin"))


@pytest.fixture
def runs(plugin, tmp_path):
    return Runs(write_videomme(tmp_path / "data", videomme_rows(3, 2)), plugin, tmp_path)


def moments(total: int, few: int, seed: str) -> list[int]:
    """Some of the operations 1 to `total`."""
    return sorted(random.Random(seed).sample(range(1, total + 1), min(total, few)))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, but for what a killed process may leave and the next one takes away."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_score_and_report_that_are_killed_give_the_same_when_run_again(runs):
    assert runs.run("out", "--workers", "0")[0] == 0
    out, count = runs.folder / "out", runs.folder / "count"
    final = runs.final("out")
    answers = (out / "videomme.answers.jsonl").read_bytes()
    page = out / "page.html"
    for words in (("score", str(out)), ("report", str(out), "--output", str(page))):
        under = {"FAIL_UNDER": str(out)}
        assert runs.go(*words, before=FAILING, FAIL_COUNT=str(count), **under)[0] == 0
        shown = page.read_bytes() if page.exists() else b""
        for how in ("kill", "ENOSPC+"):
            for moment in moments(int(count.read_text()), COUNT or 3, f"{words[0]} {how}"):
                code, said = runs.go(*words, before=FAILING, FAIL_AT=str(moment), FAIL_HOW=how, **under)
                assert code == (-signal.SIGKILL if how == "kill" else code) and code in (
                    -signal.SIGKILL,
                    1,
                    2,
                ), said
                assert how == "kill" or (len(said.strip().splitlines()) == 1 and "No space left" in said), (
                    said
                )
                assert (out / "videomme.answers.jsonl").read_bytes() == answers
                # What is there is the old or the new one, never half of it.
                assert json.loads((out / "results.json").read_text())["schema"] == 1
                assert page.read_bytes() == shown if shown else True
        assert runs.go(*words)[0] == 0
        assert runs.final("out") == final
        assert not list(out.glob("*.part"))


def test_a_scoring_of_a_file_that_is_killed_goes_on(runs):
    file = runs.folder / "answers.jsonl"
    ids = [row["question_id"] for row in videomme_rows(3, 2)]
    file.write_text("".join(json.dumps({"id": each, "text": "B"}) + "\n" for each in ids))
    words = ["score", "--task", "videomme", "--answers", str(file), "--data-root", str(runs.data), "--output"]
    under = {"FAIL_UNDER": str(runs.folder / "out"), "before": FAILING}
    count = runs.folder / "count"
    assert runs.go(*words, str(runs.folder / "whole"))[0] == 0
    assert runs.go(*words, str(runs.folder / "out"), FAIL_COUNT=str(count), **under)[0] == 0
    final = runs.final("whole", journal=False)
    for moment in moments(int(count.read_text()), COUNT or 4, "file"):
        shutil.rmtree(runs.folder / "out", ignore_errors=True)
        assert runs.go(*words, str(runs.folder / "out"), FAIL_AT=str(moment), **under)[0] == -signal.SIGKILL
        code, said = runs.go(*words, str(runs.folder / "out"))
        assert code == 0, (moment, said)
        assert runs.final("out", journal=False) == final


def test_a_training_that_is_killed_ends_with_the_same_weights(runs):
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    words = ["words", "--recipe", "smoke", "--steps", "3", "--save-minutes", "0", "--workers", "0"]
    words += ["--log-every", "1", "--out"]
    count = runs.folder / "count"
    whole = runs.folder / "whole"
    seen = {"FAIL_UNDER": str(whole), "FAIL_COUNT": str(count)}
    code, said = runs.go(*words, str(whole), begin=TRAIN, before=FAILING, **seen)
    assert code == 0, said
    weights = contents(whole / "model")
    assert any(name.endswith(".safetensors") for name in weights)
    for moment in moments(int(count.read_text()), COUNT // 5 or 1, "train"):
        out = runs.folder / "out"
        shutil.rmtree(out, ignore_errors=True)
        fault = {"FAIL_UNDER": str(out), "FAIL_AT": str(moment)}
        assert runs.go(*words, str(out), begin=TRAIN, before=FAILING, **fault)[0] == -signal.SIGKILL
        code, said = runs.go(*words, str(out), begin=TRAIN)
        assert code == 0, (moment, said)
        assert contents(out / "model") == weights, moment
        steps = [json.loads(line)["step"] for line in (out / "metrics.jsonl").read_text().splitlines()]
        assert steps == [1, 2, 3], moment


def test_an_annotation_that_is_killed_at_any_moment_goes_on(runs):
    pytest.importorskip("cv2")
    from kangaroo_eval.train.curation import engine

    for number in range(4):
        write_video(runs.folder / f"v/v{number}.mp4", frames=12 + number)
    words = [
        "annotate",
        str(runs.folder / "v"),
        "--shard",
        "1",
        "--no-cut",
        "--text",
        "none",
        "--faces",
        "none",
    ]
    words += ["-q", "--out"]
    began = time.monotonic()
    code, said = runs.go(*words, str(runs.folder / "whole"), begin=CURATE)
    assert code == 0, said
    seconds = time.monotonic() - began

    def rows_of(folder):
        return [{key: row[key] for key in row if key != "spent"} for row in engine.read_all(folder)]

    rows = rows_of(runs.folder / "whole")
    dice, out, kept = random.Random(5), runs.folder / "out", {}
    for _ in range(COUNT or 3):
        process = runs.start(*words, str(out), begin=CURATE)
        time.sleep(dice.uniform(0.4, 0.95) * seconds)
        process.kill()
        process.communicate()
        now = {path.name: path.stat().st_mtime_ns for path in out.glob("*.parquet")} if out.exists() else {}
        assert kept.items() <= now.items(), "what is done is not done again"
        kept = now
    code, said = runs.go(*words, str(out), begin=CURATE)
    assert code == 0, said
    assert rows_of(out) == rows
    assert sorted(path.name for path in out.iterdir()) == sorted(
        path.name for path in (runs.folder / "whole").iterdir()
    )


def mmbench(folder: Path, count: int) -> Path:
    """An MMBench-Video of so many questions on one video."""
    root = folder / "data/mmbench_video"
    write_video(root / "video/v.mp4")
    lines = ["index\tvideo\tvideo_type\tquestion\tanswer\tdimensions\tvideo_path"]
    lines += [f"{n}\tv\tVlog\tWhat is {n}?\tA cup.\t['Counting']\tv.mp4" for n in range(count)]
    (root / "MMBench-Video.tsv").write_text("\n".join(lines) + "\n")
    return folder / "data"


def test_a_judge_that_hangs_is_interrupted_at_once_and_the_rest_is_judged_later(plugin, tmp_path):
    runs = Runs(mmbench(tmp_path, 12), plugin, tmp_path)
    words = ["run", "--tasks", "mmbench_video", "--model", "looking", "--data-root", str(runs.data), "-q"]
    words += ["--frames", "2", "--workers", "0", "--judge", "gpt-4-1106-preview"]

    def judged(output):
        file = tmp_path / output / "mmbench_video.judged.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def result(output):
        return json.loads((tmp_path / output / "results.json").read_text())["tasks"]["mmbench_video"]

    known = {"models": ("gpt-4-1106-preview",), "reply": lambda messages: "2"}
    with FakeServer(**known) as server:
        base = ["--judge-base-url", server.base_url]
        assert runs.go(*words, *base, "--output", str(tmp_path / "whole"))[0] == 0
    ok = [[]] * 5
    with FakeServer(**known) as server:
        # The first five are answered, the others never.
        usual, answered = server.reply, []

        def reply(messages):
            answered.append(1)
            # The first of all asks whether the judge is there.
            return usual(messages) if len(answered) <= len(ok) + 1 else HANG

        server.reply = reply
        env = {"KANGAROO_EVAL_CACHE": str(tmp_path / "cache2")}
        base = ["--judge-base-url", server.base_url]
        process = runs.start(*words, *base, "--output", str(tmp_path / "out"), **env)
        until = time.monotonic() + 60
        while len(judged("out")) < len(ok) and time.monotonic() < until:
            time.sleep(0.02)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        began = time.monotonic()
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130 and time.monotonic() - began < 10, err
        assert "the same command resumes" in err and "Traceback" not in err
        before = judged("out")
        assert len(before) == len(ok) and not [line for line in before if line["status"] != "ok"]
        server.reply = usual
        answered = len(server.chats)
        code, said = runs.go(*words, *base, "--output", str(tmp_path / "out"), **env)
        assert code == 0, said
        # One more asks whether the judge is there at all.
        assert len(server.chats) - answered <= 12 - len(ok) + 1, "no verdict is asked for twice"
    assert judged("out")[: len(before)] == before
    assert runs.asked() == {str(n): 2 for n in range(12)}, (
        "once for each run: nothing answered is asked again"
    )
    whole, out = result("whole"), result("out")
    assert out["careful"] == whole["careful"] and out["official"] == whole["official"]
    assert out["statuses"] == whole["statuses"] == {"ok": 12}


def test_rows_of_one_video_come_out_the_same_whatever_was_lost_between(runs):
    """A video that was bad for a while (a mount that was away) is asked again and nothing else."""
    video = runs.data / "videomme/data/video000001.mp4"
    content = video.read_bytes()
    video.write_bytes(content[:200])
    assert runs.run("out", "--workers", "0")[0] == 3
    asked = runs.asked()
    assert set(asked) == {"001-1", "001-2", "003-1", "003-2"}
    video.write_bytes(content)
    assert runs.run("out", "--workers", "0")[0] == 0
    assert runs.asked() == {**asked, "002-1": 1, "002-2": 1}
    assert VIDEOMME_ROW["question_id"] in runs.answered("out")
    assert runs.run("whole", "--workers", "0")[0] == 0
    assert runs.final("out") == runs.final("whole")
