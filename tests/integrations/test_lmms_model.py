"""Our models as lmms-eval's, against a stand-in of its interface and, where it is installed, against itself."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import videomme_rows, write_video, write_videomme

import kangaroo_eval
from kangaroo_eval.errors import RunFailed, UserError
from kangaroo_eval.integrations.importing import import_results
from kangaroo_eval.integrations.lmms_answering import FAILED, Looking, answer_all
from kangaroo_eval.integrations.lmms_requests import Asked, cut, from_messages, from_text, settings
from kangaroo_eval.integrations.theirs import failure_of
from kangaroo_eval.journal import answer_lines
from kangaroo_eval.media import FrameSpec
from kangaroo_eval.registry import get_task
from kangaroo_eval.rescore import Scoring
from kangaroo_eval.types import Failure, Response, Video

sys.path.insert(0, str(Path(__file__).parent))
import lmms_standin
from test_import import MLVU_ROWS, STEMS, write_mlvu

pytestmark = pytest.mark.usefixtures("away")
SPEC = FrameSpec(frames=4, size=16)


@pytest.fixture
def lmms(tmp_path, monkeypatch):
    """lmms_model with the stand-in in lmms-eval's place."""
    monkeypatch.syspath_prepend(lmms_standin.write(tmp_path / "standin"))
    for name in [name for name in sys.modules if name.split(".")[0] == "lmms_eval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "kangaroo_eval.integrations.lmms_model", raising=False)
    yield importlib.import_module("kangaroo_eval.integrations.lmms_model")
    for name in [name for name in sys.modules if name.split(".")[0] == "lmms_eval"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "kangaroo_eval.integrations.lmms_model", raising=False)


def instances(docs, make, gen_kwargs=None, task="t"):
    from lmms_eval.api.instance import Instance

    kwargs = gen_kwargs or {"max_new_tokens": 64}
    return [Instance(make(number, doc, kwargs, task)) for number, doc in enumerate(docs)]


def chat(number, doc, kwargs, task):
    def messages(doc):
        video = {"type": "video", "url": doc["video"]}
        system = [{"role": "system", "content": doc["system"]}] if doc.get("system") else []
        user = {"role": "user", "content": [video, {"type": "text", "text": doc["prompt"]}]}
        prefill = [{"role": "assistant", "content": doc["prefill"]}] if doc.get("prefill") else []
        return [*system, user, *prefill]

    return ("context", messages, kwargs, number, task, "test")


def simple(number, doc, kwargs, task):
    return (doc["prompt"], kwargs, lambda doc: [doc["video"]], number, task, "test")


def with_docs(model, docs, task="t"):
    model.task_dict = {task: {"test": docs}}
    return model


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """A run of our own: its answers with their prompts, and the paths of their videos."""
    root = tmp_path_factory.mktemp("ours")
    data = write_mlvu(write_videomme(root / "data", videomme_rows(2)))
    for stem in STEMS:
        for _, _, name in MLVU_ROWS:
            write_video(data / f"mlvu/video/{stem}/{name}")
    found = {}
    for name in ("videomme", "mlvu"):
        out = root / name
        kangaroo_eval.evaluate(
            [name], frames=8, data="real", data_root=data, limit=4, workers=0, output=out, batch_size=1
        )
        folder = data / name
        lines = answer_lines(out / f"{name}.answers.jsonl")
        found[name] = [{**line, "video": str(folder / line["video"])} for line in lines]
    return found


def test_the_entry_point_names_classes_of_the_right_kind(lmms):
    (entry,) = importlib.metadata.entry_points(group="lmms_eval.models")
    (manifest,) = entry.load()()
    assert (manifest.model_id, manifest.aliases) == ("kangaroo", ("kangaroo_eval",))
    for path, kind in ((manifest.chat_class_path, False), (manifest.simple_class_path, True)):
        module, name = path.rsplit(".", 1)
        assert getattr(importlib.import_module(module), name).is_simple is kind
    assert not getattr(lmms.KangarooChat, "__abstractmethods__", None)


@pytest.mark.parametrize("task", ["videomme", "mlvu"])
def test_answers_are_those_of_our_own_harness(lmms, ours, task):
    """The same frames and prompt, the system turn and the prefill included, give the same text and tokens."""
    docs = ours[task][::-1]
    model = lmms.KangarooChat.create_from_arg_string("max_frames_num=8,workers=0", {"batch_size": 1})
    with_docs(model, docs)
    length = get_task(task).max_new_tokens
    found = model.generate_until(instances(docs, chat, {"max_new_tokens": length}))
    assert [each.text for each in found] == [doc["text"] for doc in docs]
    assert [each.token_counts.input_tokens for each in found] == [doc["prompt_tokens"] for doc in docs]
    assert [each.token_counts.output_tokens for each in found] == [doc["new_tokens"] for doc in docs]
    assert [kept[2] for kept in model.cache_hook.kept] == [doc["text"] for doc in docs]
    model.clean()
    assert model.cleaned and not hasattr(model, "_model")


def test_a_simple_model_answers_the_same(lmms, ours):
    docs = ours["videomme"]
    model = with_docs(lmms.KangarooSimple(nframes=8, workers=0, batch_size=1, model="kangaroo-tiny"), docs)
    found = model.generate_until(instances(docs, simple))
    assert [each.text for each in found] == [doc["text"] for doc in docs]
    assert str(model.device) == "cpu" and (model.rank, model.world_size) == (0, 1)


def test_likelihoods_are_losses_and_say_whether_a_reply_is_the_greedy_one(lmms, ours):
    from lmms_eval.api.instance import Instance

    from kangaroo_eval.media import Job
    from kangaroo_eval.media.job import do
    from kangaroo_eval.types import Request

    doc = ours["videomme"][0]
    replies = [doc["text"], "A", "a long reply that nobody would give"]
    model = with_docs(lmms.KangarooSimple(frames=8, workers=0), [doc])
    requests = [
        Instance((doc["prompt"], reply, lambda doc: [doc["video"]], 0, "t", "test")) for reply in replies
    ]
    found = model.loglikelihood(requests)
    frames = do(Job(Video(doc["video"]), FrameSpec(frames=8, size=model._model.frame_size)), 1).frames
    request = Request("x", Video(doc["video"]), doc["prompt"], frames, 64)
    assert [loss for loss, _ in found] == pytest.approx(model._model.rank(request, replies))
    assert [greedy for _, greedy in found] == [True, doc["text"].strip() == "A", False]


def test_rounds_and_wrong_options_are_refused(lmms):
    model = lmms.KangarooSimple()
    with pytest.raises(UserError, match="several rounds"):
        model.generate_until_multi_round([])
    for wrong, told in (
        ({"pretrained": "a", "model": "b"}, "give one of them"),
        ({"frames": 4, "nframes": 8}, "give one number of frames"),
        ({"sampler": "strange"}, "strange"),
        ({"strange": 1}, "strange"),
        ({"model": "kangaro-tiny"}, "Did you mean"),
    ):
        with pytest.raises(UserError, match=told):
            lmms.KangarooChat(**wrong)


# --- answering ----------------------------------------------------------------------------------------------


class Echo:
    """Answers with what it saw; fails as it is told."""

    name = "echo"

    def __init__(self, crash=(), fail=()):
        self.crash, self.fail, self.seen = set(crash), set(fail), []

    def respond(self, requests):
        for request in requests:
            self.seen.append(request)
            if request.prompt in self.crash:
                raise ValueError("boom")
            if request.prompt in self.fail:
                yield Failure(request.id, "Server", "503")
            else:
                yield Response(request.id, f"{request.prompt}|x", request.frames.times, 5, 2, 0.1)


def test_each_video_is_decoded_once_and_answers_keep_their_order(monkeypatch):
    from kangaroo_eval.media import job

    decoded = []
    monkeypatch.setattr(
        job, "decoded", lambda *args, kept=job.decoded: decoded.append(args[0]) or kept(*args)
    )
    videos = [Video(str(write_video(Path(f"{name}.mp4")))) for name in "ab"]
    asked = [Asked(prompt=f"q{n}", video=videos[n % 2]) for n in range(6)]
    model = Echo()
    found = answer_all(model, asked, Looking(spec=SPEC, workers=0))
    assert [each.text for each in found] == [f"q{n}|x" for n in range(6)]
    assert len(decoded) == 2
    assert [request.siblings for request in model.seen] == [2, 1, 0, 2, 1, 0]
    assert all(request.frames.pixels.shape == (4, 16, 16, 3) for request in model.seen)


def test_what_fails_is_said_in_lmms_evals_words_and_costs_nothing_else():
    write_video(Path("a.mp4"))
    Path("bad.mp4").write_bytes(b"no video")
    names = ["a.mp4", "bad.mp4", "gone.mp4", "a.mp4", "a.mp4", "a.mp4"]
    prompts = ["q0", "q1", "q2", "crash", "fail", "q5"]
    asked = [Asked(prompt=prompt, video=Video(name)) for prompt, name in zip(prompts, names, strict=True)]
    found = answer_all(Echo(crash=["crash"], fail=["fail"]), asked, Looking(spec=SPEC, workers=0))
    assert [each.failed for each in found] == [False, True, True, True, True, False]
    assert found[1].text.startswith(f"{FAILED} decode_error") and found[2].text.startswith(
        f"{FAILED} missing_video"
    )
    assert "boom" in found[3].text and "503" in found[4].text
    assert all(failure_of(each.text).kind == "RequestFailed" for each in found if each.failed)


def test_a_model_that_answers_nothing_ends_the_run():
    write_video(Path("a.mp4"))
    asked = [Asked(prompt=f"q{n}", video=Video("a.mp4")) for n in range(3)]
    with pytest.raises(RunFailed, match=r"answered none of 3 questions: .*boom"):
        answer_all(Echo(crash=["q0", "q1", "q2"]), asked, Looking(spec=SPEC, workers=0))


def test_pictures_and_nothing_to_see():
    from PIL import Image

    picture = Image.fromarray(np.full((8, 8, 3), 200, np.uint8))
    picture.save("p.png")
    asked = [Asked(prompt="two", pictures=(picture, "p.png")), Asked(prompt="none")]
    model = Echo()
    answer_all(model, asked, Looking(spec=SPEC, workers=0))
    frames = {request.prompt: request.frames for request in model.seen}
    assert len(frames["two"].times) == 2 and frames["none"].times == ()
    assert abs(int(frames["two"].pixels.mean()) - 200) <= 1


# --- requests -----------------------------------------------------------------------------------------------


def user(*parts):
    return [{"role": "user", "content": list(parts)}]


VIDEO = {"type": "video", "url": "file:///x/v.mp4", "start_time": 1.0, "end_time": 2.5}
TEXT = {"type": "text", "text": "What?"}


def test_messages_become_a_question():
    found = from_messages(user(VIDEO, TEXT, {"type": "text", "text": "A or B?"}))
    assert (found.prompt, found.video) == ("What?\nA or B?", Video("/x/v.mp4", start=1.0, end=2.5))
    assert from_messages(user({"type": "image", "url": "p.png"}, TEXT)).pictures == ("p.png",)
    found = from_messages(
        [{"role": "system", "content": "S"}, *user(TEXT), {"role": "assistant", "content": "("}]
    )
    assert (found.system, found.prefill, found.video) == ("S", "(", None)


@pytest.mark.parametrize(
    ("messages", "told"),
    [
        (user(VIDEO, VIDEO, TEXT), "2 videos and 0 pictures"),
        (user(VIDEO, {"type": "image", "url": "p.png"}, TEXT), "1 videos and 1 pictures"),
        (user({"type": "audio", "url": "a.wav"}, TEXT), "a message with audio"),
        ([*user(TEXT), {"role": "assistant", "content": "A"}, *user(TEXT)], "not a conversation"),
        (user({"type": "video", "url": object()}, TEXT), "a video of type object"),
    ],
)
def test_messages_that_cannot_be_asked_are_refused(messages, told):
    with pytest.raises(UserError, match=told):
        from_messages(messages)


def test_visuals_become_a_question():
    assert from_text("Q", [["v.mp4"]]).video == Video("v.mp4")
    assert from_text("Q", ["a.jpg", "b.png"]).pictures == ("a.jpg", "b.png")
    assert from_text("Q", None).video is None
    with pytest.raises(UserError, match="no sound"):
        from_text("Q", [{"array": [], "sampling_rate": 1}])


def test_settings_and_ends():
    assert settings({"max_new_tokens": 16, "until": "\n\n"}) == {"max_new_tokens": 16, "until": ("\n\n",)}
    assert settings({"until": ["x", ""]}) == {"max_new_tokens": 128, "until": ("x",)}
    assert cut("A\n\nB stop", ("stop", "\n\n")) == "A" and cut("A", ()) == "A"


# --- lmms-eval itself ---------------------------------------------------------------------------------------

UTILS = """
def visual(doc):
    return [doc["video"]]

def text(doc, lmms_eval_specific_kwargs=None):
    return doc["prompt"]

def process(doc, results):
    pred = results[0].strip()[:1]
    return {"ours_score": {"question_id": doc["id"], "pred": pred, "answer": doc["answer"], "videoID": doc["video"], "score": float(pred == doc["answer"])}}

def mean(results):
    return 100 * sum(each["score"] for each in results) / len(results)
"""
YAML = """
task: ours_in_lmms
dataset_path: json
dataset_kwargs: {data_files: {test: DATA}}
test_split: test
output_type: generate_until
doc_to_visual: !function utils_ours.visual
doc_to_text: !function utils_ours.text
doc_to_target: answer
process_results: !function utils_ours.process
generation_kwargs: {max_new_tokens: 64, do_sample: false}
metric_list:
  - metric: ours_score
    aggregation: !function utils_ours.mean
    higher_is_better: true
metadata: [{version: 0.0}]
"""


@pytest.fixture
def lmms_python():
    """The interpreter of an environment that has lmms-eval and this checkout (docs/interop.md says how it is made)."""
    python = os.environ.get("KANGAROO_EVAL_LMMS_PYTHON")
    if not python:
        pytest.skip("KANGAROO_EVAL_LMMS_PYTHON names no interpreter with lmms-eval")
    done = subprocess.run(
        [python, "-c", "import lmms_eval, kangaroo_eval"], capture_output=True, text=True, cwd="/"
    )
    if done.returncode:
        pytest.skip(
            f"{python} cannot import lmms_eval and kangaroo_eval: {done.stderr.strip().splitlines()[-1]}"
        )
    return python


@pytest.mark.slow
@pytest.mark.parametrize("interface", ["chat", "simple"])
def test_lmms_eval_itself_runs_our_model_and_its_log_comes_back(lmms_python, ours, interface, tmp_path):
    """lmms-eval finds the plug-in, asks it, and logs the texts that our own harness has; the import of that log scores
    them as ours were."""
    docs = ours["videomme"]
    folder = tmp_path / "tasks"
    folder.mkdir()
    rows = [{"id": doc["id"], "video": doc["video"], "prompt": doc["prompt"], "answer": "B"} for doc in docs]
    data = folder / "docs.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "ours.yaml").write_text(YAML.replace("DATA", str(data)))
    (folder / "utils_ours.py").write_text(UTILS)
    words = [
        lmms_python,
        "-m",
        "lmms_eval",
        "--model",
        "kangaroo",
        "--tasks",
        "ours_in_lmms",
        "--log_samples",
    ]
    words += ["--model_args", "model=kangaroo-tiny,max_frames_num=8", "--batch_size", "1"]
    words += ["--include_path", str(folder), "--output_path", str(tmp_path / "log")]
    words += ["--force_simple"] if interface == "simple" else []
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(tmp_path / "hf"),
        "CUDA_VISIBLE_DEVICES": "",
    }
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600)
    # It ends with exit code 0 whatever happens: that there is a log says that it ran.
    assert list((tmp_path / "log").rglob("*_results.json")), done.stderr[-3000:]
    (file,) = (tmp_path / "log").rglob("*_samples_ours_in_lmms.jsonl")
    lines = sorted(map(json.loads, file.read_text().splitlines()), key=lambda line: line["doc_id"])
    assert [line["filtered_resps"] for line in lines] == [doc["text"] for doc in docs]
    assert lines[0]["token_counts"][0]["input_tokens"] == docs[0]["prompt_tokens"]
    found = import_results(tmp_path / "log", Scoring(), output=tmp_path / "run")
    task = found.results["tasks"]["lmms:ours_in_lmms"]
    assert task["answered"] == len(docs)
    assert task["recorded"]["metrics"]["ours_in_lmms"]["ours_score,none"] == pytest.approx(
        100 * task["official"]["value"]
    )
