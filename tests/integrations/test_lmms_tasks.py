"""Tasks of lmms-eval through our runner, against a stand-in of its interface and, where it is installed, against itself."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_video
from scripted import Scripted

import kangaroo_eval
from kangaroo_eval import compare, sides
from kangaroo_eval.cli import main
from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.integrations import lmms_tasks
from kangaroo_eval.integrations.importing import import_results
from kangaroo_eval.integrations.lmms_requests import from_text
from kangaroo_eval.registry import get_task
from kangaroo_eval.report import markdown
from kangaroo_eval.rescore import Scoring, score_run

sys.path.insert(0, str(Path(__file__).parent))
import lmms_standin
from test_lmms_model import UTILS, YAML, lmms_python  # noqa: F401 - a fixture

TASKS = """
import sys
from types import SimpleNamespace

DOCS = [
    {"video": f"VIDEOS/{n % 3}.mp4", "answer": "AB"[n % 2], "prompt": f"Question {n}?\\nA. red\\nB. blue\\nThe answer:"}
    for n in range(6)
]

class First:
    name = "none"
    def apply(self, instances, docs):
        for each in instances:
            each.filtered_resps[self.name] = each.resps[0]

class Task:
    OUTPUT_TYPE = "generate_until"
    def __init__(self, docs=DOCS, **config):
        kwargs = {"max_new_tokens": 7, "until": ["#"]}
        self.config = SimpleNamespace(
            **{"generation_kwargs": kwargs, "num_fewshot": 0, "repeats": 1, "doc_to_text": 1, "doc_to_visual": 1,
               "doc_to_choice": None, **config})
        self.eval_docs = self.eval_docs_no_media = self.task_docs = docs
        self._filters = [First()]
    def fewshot_context(self, doc, shots):
        return doc["prompt"]
    def doc_to_target(self, doc):
        return doc["answer"]
    def doc_to_visual(self, doc):
        if doc["video"].endswith("gone.mp4"):
            sys.exit(f"video path:{doc['video']} does not exist, please check")
        return [doc["video"]] if doc["video"] else []
    def process_results(self, doc, results):
        said = results[0].strip()[:1]
        return {"score": {"pred": said, "answer": doc["answer"], "score": float(said == doc["answer"])}, "length": len(results[0])}
    def aggregation(self):
        return {"score": lambda found: 100 * sum(each["score"] for each in found) / len(found), "length": max}

class Judged(Task):
    def process_results(self, doc, results):
        return {"score": 4.5}
    def aggregation(self):
        def written(found, args):
            raise AssertionError("it would write files")
        return {"score": lambda found: sum(found) / len(found), "submission": written}

class Odd(Task):
    def process_results(self, doc, results):
        if results[0] == "B":
            raise KeyError("gold")
        return super().process_results(doc, results)

class Counted(Task):
    # As countix: an error, which is better the lower, comes first.
    def process_results(self, doc, results):
        return {"mae_norm": {"score": abs(int(results[0]) - 5) / 5}, "obo": {"score": float(abs(int(results[0]) - 5) <= 1)}}
    def aggregation(self):
        mean = lambda found: sum(each["score"] for each in found) / len(found)
        return {"mae_norm": mean, "obo": mean}
    def higher_is_better(self):
        return {"mae_norm": False, "obo": True}

class Rated(Task):
    # A judge's scale from 0 to 5, on which 1 is bad.
    def process_results(self, doc, results):
        return {"rating": {"rating": int(results[0])}}
    def aggregation(self):
        return {"rating": lambda found: sum(each["rating"] for each in found) / len(found)}

class Numbered(Task):
    # As egoschema_subset: its reading and its label are numbers, where the options have letters.
    def process_results(self, doc, results):
        return {"score": {"pred": "AB".index(results[0]), "ground_truth": str("AB".index(doc["answer"]))}}
    def aggregation(self):
        return {"score": lambda found: sum(str(each["pred"]) == each["ground_truth"] for each in found) / len(found)}

class Broken(Task):
    def __init__(self):
        raise FileNotFoundError("no data set at the hub")

def kind(**change):
    return lambda: Task(**change)

def ranked():
    task = Task()
    task.OUTPUT_TYPE = "multiple_choice"
    return task

TASKS = {
    "plain": Task, "judged": Judged, "odd": Odd, "broken": Broken, "counted": Counted, "rated": Rated, "numbered": Numbered, "ranked": ranked,
    "shots": kind(num_fewshot=2), "repeated": kind(repeats=3), "messages": kind(doc_to_text=None),
    "text": kind(docs=[{**DOCS[0], "video": ""}]),
    "lost": kind(docs=[{**DOCS[0], "video": "/videos/gone.mp4"}, DOCS[1]]),
    "open": kind(docs=[{**doc, "prompt": "What is it?", "answer": "a bird"} for doc in DOCS]),
}
GROUPS = ("plain_group",)
"""


def forget():
    for cached in (lmms_tasks._loaded, lmms_tasks._verdict, lmms_tasks._asked, lmms_tasks._by):
        cached.cache_clear()


@pytest.fixture
def lmms(tmp_path, monkeypatch):
    """The stand-in in lmms-eval's place, and its tasks."""
    for name in "012":
        write_video(tmp_path / f"videos/{name}.mp4")
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "tasks.py").write_text(TASKS.replace("VIDEOS", str(tmp_path / "videos")))
    monkeypatch.setenv(lmms_tasks.INCLUDE, str(folder))
    monkeypatch.syspath_prepend(lmms_standin.write(tmp_path / "standin"))
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "0.7.3")
    for name in [name for name in sys.modules if name.split(".")[0] == "lmms_eval"]:
        monkeypatch.delitem(sys.modules, name)
    forget()
    yield tmp_path
    forget()
    for name in [name for name in sys.modules if name.split(".")[0] == "lmms_eval"]:
        del sys.modules[name]


def go(task, lmms, say=lambda request: "A", **options):
    asked = {"frames": 4, "workers": 0, "cache": lmms / "cache", "output": lmms / "run", **options}
    model = Scripted(say)
    return kangaroo_eval.evaluate([f"lmms:{task}"], model, **asked), model


def test_a_task_is_asked_and_scored_as_lmms_eval_does(lmms):
    found, model = go("plain", lmms, lambda request: " A#B" if "2?" in request.prompt else "red (A)")
    task = found["lmms:plain"]
    assert [request.prompt for request in model.seen][:2] == [
        f"Question {number}?\nA. red\nB. blue\nThe answer:" for number in (0, 3)
    ], "all questions about a video together"
    assert {request.max_new_tokens for request in model.seen} == {7}
    assert task["official"]["value"] == pytest.approx(1 / 6), (
        "its rule takes the first letter, until # ends the answer"
    )
    assert task["careful"]["value"] == pytest.approx(3 / 6) and task["videos"] == 3
    assert task["recorded"]["by"] == "lmms-eval 0.7.3"
    assert task["recorded"]["metrics"] == {"plain": {"score": pytest.approx(100 / 6), "length": 7.0}}
    text = markdown(found.data)
    assert "Numbers of lmms-eval 0.7.3" in text and "4 frames, sampler uniform" in text


def test_it_resumes_is_scored_again_and_changes_with_its_questions(lmms, monkeypatch):
    first, _ = go("plain", lmms)
    again, model = go("plain", lmms)
    assert model.seen == [] and again.data["tasks"] == first.data["tasks"]
    kept = (lmms / "run/lmms:plain.scores.jsonl").read_bytes()
    (lmms / "run/lmms:plain.scores.jsonl").unlink()
    assert score_run(lmms / "run", Scoring(data_root=lmms))["tasks"] == first.data["tasks"]
    assert (lmms / "run/lmms:plain.scores.jsonl").read_bytes() == kept
    file = lmms / "tasks/tasks.py"
    file.write_text(file.read_text().replace("Question", "Another question"))
    forget()
    with pytest.raises(DataError, match="document 0 is not the one that was asked"):
        # By the kept documents, of which lmms-eval has others now: their labels must not judge these answers.
        score_run(lmms / "run", Scoring())
    with pytest.raises(UserError, match="another protocol"):
        go("plain", lmms)


def test_where_videos_lie_is_not_what_is_asked(lmms):
    from kangaroo_eval.data import fingerprint

    task = get_task("lmms:plain")
    one = fingerprint(task, lmms_tasks.gather("lmms:plain", lmms / "one"))
    (lmms / "videos").rename(lmms / "moved")
    file = lmms / "tasks/tasks.py"
    file.write_text(file.read_text().replace(str(lmms / "videos"), str(lmms / "moved")))
    forget()
    assert fingerprint(task, lmms_tasks.gather("lmms:plain", lmms / "two")) == one


def test_scores_on_another_scale_stand_in_its_own_number_alone(lmms, caplog):
    found, _ = go("judged", lmms)
    task = found["lmms:judged"]
    assert task["official"]["value"] is None and task["official"]["n"] == 0
    assert task["recorded"]["metrics"] == {"judged": {"score": 4.5}}
    assert "no letter" not in caplog.text


def test_an_error_is_no_score(lmms):
    """Five where there are five is right, and ten is wrong: the other way round by the first metric."""
    assert go("counted", lmms, lambda request: "5")[0]["lmms:counted"]["official"]["value"] == 1
    found, _ = go("counted", lmms, lambda request: "10", output=lmms / "wrong")
    assert found["lmms:counted"]["official"]["value"] == 0


def test_a_judges_scale_is_taken_for_none_where_some_verdicts_would_pass_for_scores(lmms):
    found, _ = go("rated", lmms, lambda request: request.prompt[len("Question ")])
    task = found["lmms:rated"]
    assert task["official"]["value"] is None and task["recorded"]["metrics"] == {"rated": {"rating": 2.5}}


def test_a_reading_is_held_to_the_label_that_was_recorded_with_it(lmms):
    found, _ = go("numbered", lmms)
    assert found["lmms:numbered"]["official"]["value"] == 0.5
    assert found["lmms:numbered"]["recorded"]["metrics"] == {"numbered": {"score": 0.5}}


def test_an_answer_on_which_a_tasks_code_fails_does_not_cost_the_others(lmms, caplog):
    found, _ = go("odd", lmms, lambda request: "B" if "2?" in request.prompt else "A")
    assert found["lmms:odd"]["official"]["n"] == 5 and found["lmms:odd"]["careful"]["n"] == 6
    told = "1 of 6 answers have no official score: lmms:odd, document 2: its process_results fails on the answer: KeyError: 'gold'"
    assert told in caplog.text


def test_another_label_of_the_same_question_does_not_judge(lmms):
    go("plain", lmms)
    file = lmms / "tasks/tasks.py"
    file.write_text(file.read_text().replace('"AB"[n % 2]', '"BA"[n % 2]'))
    forget()
    with pytest.raises(DataError, match="document 0 is not the one that was asked"):
        score_run(lmms / "run", Scoring())


def test_pictures_of_other_data_are_not_taken_for_these(lmms, monkeypatch):
    from PIL import Image

    for colour, first in (("red", [255, 0, 0]), ("blue", [0, 0, 255])):
        monkeypatch.setattr(
            lmms_tasks,
            "from_text",
            lambda text, visuals, colour=colour: from_text(text, [Image.new("RGB", (32, 32), colour)]),
        )
        _, model = go("plain", lmms, output=lmms / colour)
        assert model.seen[0].frames.pixels[0, 8, 8].tolist() == first


def test_open_answers_have_no_careful_score(lmms):
    found, _ = go("open", lmms, lambda request: "a bird")
    assert found["lmms:open"]["careful"]["n"] == 0 and found["lmms:open"]["official"]["n"] == 6


def test_a_video_that_lmms_eval_misses_is_a_missing_video(lmms):
    """Its task leaves the whole process by sys.exit there."""
    with pytest.raises(DataError, match=r"1 video is missing: /videos/gone\.mp4"):
        go("lost", lmms)
    found, _ = go("lost", lmms, on_missing="skip", min_coverage=0.4)
    assert found["lmms:lost"]["statuses"] == {"missing_video": 1, "ok": 1}


def test_pictures_are_a_video_of_one_picture_a_second(lmms, monkeypatch):
    from PIL import Image

    monkeypatch.setattr(
        lmms_tasks,
        "from_text",
        lambda text, visuals, kept=lmms_tasks.from_text: kept(
            text, [Image.new("RGB", (32, 32), c) for c in ("red", "blue")]
        ),
    )
    found, model = go("plain", lmms)
    assert found["lmms:plain"]["answered"] == 6
    shown = model.seen[0].frames
    assert shown.times == (0.0, 1.0) and shown.pixels[0, 8, 8].tolist() == [255, 0, 0]
    assert len(list((lmms / "cache/lmms/plain/pictures").iterdir())) == 6


@pytest.mark.parametrize(
    "task, kind, told",
    [
        ("plane", UserError, "lmms-eval has no task 'plane'. Did you mean lmms:plain"),
        ("plain_group", UserError, "lmms:plain_group is a group of lmms-eval: give its tasks one by one"),
        ("ranked", UserError, "its output type is multiple_choice"),
        ("shots", UserError, "it shows 2 examples first"),
        ("repeated", UserError, "it asks each question 3 times"),
        ("messages", UserError, "it has no doc_to_text and doc_to_visual"),
        ("text", UserError, "lmms:text, document 0 shows nothing"),
        (
            "broken",
            DataError,
            "lmms:broken: lmms-eval cannot load it: FileNotFoundError: no data set at the hub",
        ),
    ],
)
def test_what_cannot_be_run_is_told(lmms, task, kind, told):
    with pytest.raises(kind) as error:
        go(task, lmms)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_without_lmms_eval_it_is_told(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "lmms_eval", None)
    forget()
    assert main(["--tasks", "lmms:plain", "--output", str(tmp_path / "run")]) == 6
    told = capsys.readouterr().err
    assert (
        "its questions come from lmms-eval, which cannot be imported here" in told and "Traceback" not in told
    )
    assert main(["--tasks", "vlmeval:x", "--output", str(tmp_path / "run")]) == 6
    assert "its questions come with a log" in capsys.readouterr().err


@pytest.mark.slow
def test_lmms_eval_itself_gives_the_same_number_and_the_runs_compare(lmms_python, tmp_path):  # noqa: F811
    """Its own run of a task, and ours of the same with the same model: the same texts, its aggregation the same number,
    and the import of its log comparable sample by sample."""
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [
        {
            "id": f"q{n}",
            "video": str(write_video(tmp_path / f"{n % 2}.mp4")),
            "answer": "AB"[n % 2],
            "prompt": f"Which colour, {n}?\nA. red\nB. blue",
        }
        for n in range(6)
    ]
    (folder / "docs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "ours.yaml").write_text(YAML.replace("DATA", str(folder / "docs.jsonl")))
    (folder / "utils_ours.py").write_text(UTILS)
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "CUDA_VISIBLE_DEVICES": "",
        lmms_tasks.INCLUDE: str(folder),
    }

    def start(*words):
        done = subprocess.run(
            [lmms_python, *words], capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600
        )
        assert done.returncode == 0, done.stderr[-3000:]

    start(
        "-m",
        "lmms_eval",
        "--model",
        "kangaroo",
        "--tasks",
        "ours_in_lmms",
        "--log_samples",
        "--force_simple",
        "--model_args",
        "model=kangaroo-tiny,max_frames_num=8",
        "--batch_size",
        "1",
        "--include_path",
        str(folder),
        "--output_path",
        "log",
    )
    start(
        "-c",
        "from kangaroo_eval.cli import console; console()",
        "--tasks",
        "lmms:ours_in_lmms",
        "--frames",
        "8",
        "--output",
        "run",
        "--batch-size",
        "1",
        "-q",
    )
    theirs = import_results(tmp_path / "log", Scoring(), output=tmp_path / "imported").results
    ours = json.loads((tmp_path / "run/results.json").read_text())
    a, b = (found["tasks"]["lmms:ours_in_lmms"] for found in (theirs, ours))
    recorded = [each["recorded"]["metrics"]["ours_in_lmms"] for each in (a, b)]
    assert recorded[0]["ours_score,none"] == recorded[1]["ours_score"]
    assert a["official"]["value"] == b["official"]["value"] and a["careful"]["value"] == b["careful"]["value"]
    old, new = (sides.read_side(tmp_path / name) for name in ("imported", "run"))
    found = compare.compare(new, old, force=True)
    assert found.tasks[0].careful.value == 0.0 and found.tasks[0].careful.n == 6
