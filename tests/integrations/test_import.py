"""`import`: logs of lmms-eval and result files of VLMEvalKit become run directories, scored by our readers.

The logs are made in the form that lmms-eval 0.7 writes (its own `process_results` of each benchmark); the four of
`shared/data/lmms_eval_logs` were written by it.
"""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import pytest
from conftest import videomme_rows, write_videomme
from test_predictions import made, refused, result, run, samples_of, scores

from kangaroo_eval.answers import letters_of
from kangaroo_eval.data import read_samples
from kangaroo_eval.integrations.joining import choices_in, letter_of
from kangaroo_eval.integrations.theirs import failure_of
from kangaroo_eval.registry import get_task

__all__ = ["made"]

pytestmark = pytest.mark.usefixtures("away")
STAMP = "20261122_101112"


def log_of(task, records, *, metrics=None, asked=None, model_args="pretrained=org/model,max_frames_num=32"):
    """A log as lmms-eval lays it out, in the folder `log`."""
    folder = Path("log/org__model")
    folder.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / f"{STAMP}_samples_{task}.jsonl").write_text(lines)
    file = folder / f"{STAMP}_results.json"
    found = json.loads(file.read_text()) if file.exists() else {"results": {}, "n-samples": {}}
    found["results"][task] = {"alias": task, **(metrics or {"score,none": 50.0, "score_stderr,none": "N/A"})}
    count = len(records) if asked is None else asked
    found["n-samples"][task] = {"original": 99, "effective": count}
    found |= {
        "config": {"model": "llava_vid", "model_args": model_args, "limit": None},
        "lmms_eval_version": "main@v0.7",
        "date": STAMP,
        "model_name": "org/model",
    }
    file.write_text(json.dumps(found))
    return "log"


def record(number, text, target, prompt, **metrics):
    base = {"doc_id": number, "target": target, "filtered_resps": text, "token_counts": [None]}
    return {**base, "doc_hash": "7423", **metrics, "input": prompt}


def videomme_record(number, row, text):
    pred = text[:1] if text[:1] in "ABCD" else ""
    score = {
        "question_id": row["question_id"],
        "duration": row["duration"],
        "category": row["domain"],
        "sub_category": row["sub_category"],
        "task_category": row["task_type"],
        "pred_answer": pred,
        "answer": row["answer"],
        "score": float(pred == row["answer"]),
        "videoID": row["videoID"],
    }
    options = "\n".join(row["options"])
    prompt = f"Select the best answer.\n{row['question']}\n{options}\nThe best answer is:"
    return record(number, text, row["answer"], prompt, videomme_perception_score=score)


def imported(path, *words, output="out"):
    return ("import", path, "--output", output, "-q", *words)


def run_json(output="out"):
    return json.loads(Path(output, "run.json").read_text())


# --- the logs that lmms-eval itself wrote -------------------------------------------------------------------


def test_a_log_of_failures_alone_has_no_coverage_and_no_score(shared, capsys):
    assert run(*imported(shared / "data/lmms_eval_logs/logs_all_failed", "--json")) == 2
    out, told = capsys.readouterr()
    assert "10 of 10 answers are failures and no answers (10 RequestFailed)" in told
    assert "the newest evaluation, 20261122_214559, is taken" in told
    line = json.loads(out.splitlines()[-1])["tasks"]["lmms:ktoy"]
    assert (line["careful"], line["official"], line["coverage"]) == (None, None, 0.0)
    found = result("lmms:ktoy")
    assert (found["status"], found["asked"], found["answered"]) == ("failed", 10, 0)
    assert found["statuses"] == {"request_failed": 10}
    assert found["recorded"]["metrics"] == {"ktoy": {"ktoy_score,none": 0.0}}
    assert found["recorded"]["failures_scored"] == 10
    assert "10 of the 10 scores" in Path("out/report.md").read_text()
    assert "LMMS_EVAL" not in Path("out/lmms:ktoy.scores.jsonl").read_text()


def test_a_real_log_keeps_both_numbers_and_is_scored_again_without_its_file(shared, capsys):
    shutil.copytree(shared / "data/lmms_eval_logs/logs_named_model", "log")
    assert run(*imported("log")) == 0
    assert "no benchmark of ours" in capsys.readouterr().err
    one, two = result("lmms:ktoy"), result("lmms:ktoy2")
    assert (one["answered"], two["answered"]) == (10, 50)
    assert one["careful"]["value"] == one["official"]["value"] == 0.5
    assert one["official"]["stderr"] == pytest.approx(0.115, abs=0.001)
    assert one["recorded"]["by"] == "lmms-eval main@v0.6-181"
    assert one["recorded"]["scored_differently"] == {"careful": 0, "official": 0}
    assert run_json()["model"]["name"] == "org/my-model"
    shutil.rmtree("log")
    before = Path("out/results.json").read_bytes()
    Path("out/lmms:ktoy.scores.jsonl").unlink()
    assert run("score", "out", "-q") == 0
    assert Path("out/results.json").read_bytes() == before
    assert run("report", "out") == 0
    out = capsys.readouterr().out
    assert "Recorded by lmms-eval main@v0.6-181" in out and "org/my-model" in out
    labels = Path("out/lmms:ktoy.labels.jsonl")
    labels.write_text(labels.read_text().replace('"B"', '"A"'))
    assert "not the one that this run was imported with" in refused(capsys, 6, "score", "out", "-q")
    labels.unlink()
    assert "is gone" in refused(capsys, 6, "score", "out", "-q")


def test_one_task_of_a_log_by_its_file_or_by_its_name(shared):
    folder = shared / "data/lmms_eval_logs/logs_named_model/org__my-model"
    assert run(*imported(folder / "20261122_214458_samples_ktoy2.jsonl")) == 0
    assert list(run_json()["tasks"]) == ["lmms:ktoy2"]
    assert run(*imported(folder / "20261122_214458_results.json", "--task", "lmms:ktoy", output="two")) == 0
    assert list(run_json("two")["tasks"]) == ["lmms:ktoy"]


def test_a_folder_of_several_evaluations_names_them(shared, capsys):
    told = refused(capsys, 1, *imported(shared / "data/lmms_eval_logs"))
    assert "holds several evaluations" in told and "logs_ok" in told
    assert not Path("out").exists()


# --- benchmarks of ours -------------------------------------------------------------------------------------


def test_video_mme_is_read_by_our_readers_beside_the_recorded_number(tmp_path, capsys):
    """lmms-eval took "Best answer: C" for B; ours reads C."""
    rows = videomme_rows(3)
    replies = [row["answer"] for row in rows]
    replies[2] = "Best answer: C"
    records = [videomme_record(n, row, text) for n, (row, text) in enumerate(zip(rows, replies, strict=True))]
    records[2]["videomme_perception_score"] |= {"pred_answer": "B", "score": 0.0}
    log = log_of("videomme", records, metrics={"videomme_perception_score,none": 88.9})
    data = write_videomme(tmp_path / "data", rows, videos=False)
    assert run(*imported(log, "--data-root", data)) == 0
    found = result("videomme")
    assert found["answered"] == 9 and found["careful"]["value"] == 1.0
    assert found["recorded"]["metrics"] == {"videomme": {"videomme_perception_score,none": 88.9}}
    assert found["recorded"]["scored_differently"]["careful"] == 1
    assert set(found["breakdown"]["duration"]) == {"short", "medium", "long"}
    assert run_json()["frames"] == 32
    assert run(*imported(log, output="own")) == 0
    assert "the labels are those that the log carries" in capsys.readouterr().err
    own = result("videomme", "own")
    assert own["careful"] == found["careful"] and own["official"] == found["official"]
    assert own["breakdown"]["duration"] == found["breakdown"]["duration"]
    assert own["published"]["comparable"] is False
    texts = {name: line["careful"]["answer"] for name, line in scores("videomme", "own").items()}
    assert texts == {name: line["careful"]["answer"] for name, line in scores("videomme").items()}


FAILURES = {
    "[LMMS_EVAL_REQUEST_FAILED after 3 retries] timeout": "RequestFailed",
    "[LMMS_EVAL_BUDGET_EXCEEDED]": "RequestFailed",
    "Video /x/y.mp4 can not load, check the source": "RequestFailed",
    "Failed to obtain answer via API.": "RequestFailed",
    "": "EmptyAnswer",
    "  \n": "EmptyAnswer",
}


def test_what_is_a_failure_is_no_answer():
    assert {text: failure_of(text).kind for text in FAILURES} == FAILURES
    assert failure_of(None) is not None
    for answer in ("A", "The video can not load, so I guess B.", "Failed", "[B]"):
        assert failure_of(answer) is None


def test_failures_lower_the_coverage_and_hide_the_score(capsys):
    rows = videomme_rows(3)
    replies = [*FAILURES, "A", "B", "C"]
    log = log_of("videomme", [videomme_record(n, row, replies[n]) for n, row in enumerate(rows)])
    assert run(*imported(log)) == 3
    told = capsys.readouterr().err
    assert "6 of 9 answers are failures and no answers (4 RequestFailed, 2 EmptyAnswer)" in told
    found = result("videomme")
    assert found["statuses"] == {"request_failed": 6, "ok": 3} and found["careful"]["value"] is None
    assert {each["type"] for each in found["errors"]} == {"RequestFailed", "EmptyAnswer"}


def test_documents_that_the_log_counts_and_does_not_have_lower_the_coverage(capsys):
    rows = videomme_rows(3)
    records = [videomme_record(n, row, "A") for n, row in enumerate(rows)]
    log = log_of("videomme", records[:4], asked=9)
    assert run(*imported(log)) == 3
    assert "5 documents that were asked have no line in the log" in capsys.readouterr().err
    assert result("videomme")["statuses"] == {"ok": 4, "unanswered": 5}


def test_an_evaluation_with_a_limit_asked_no_more(tmp_path):
    rows = videomme_rows(3)
    data = write_videomme(tmp_path / "data", rows, videos=False)
    log = log_of("videomme", [videomme_record(n, row, "A") for n, row in enumerate(rows[:4])])
    assert run(*imported(log, "--data-root", data)) == 0
    found = result("videomme")
    assert (found["asked"], found["coverage"]) == (4, 1.0)
    assert found["published"]["why"].startswith("4 of the 2700 samples")


def mvbench_records(samples, stem, reply):
    for number, sample in enumerate(samples):
        options = "".join(
            f"({letter}) {text}\n"
            for letter, text in zip(letters_of(sample.choices), sample.choices, strict=True)
        )
        prompt = f"Question:{sample.question}\nOption:\n{options}Only give the best option.\n"
        text = reply(sample)
        score = {"pred_answer": text, "gt_answer": sample.target, "score": float(text == sample.target)}
        target = sample.choices["ABCDEFGH".index(sample.target)]
        yield record(number, text, target, prompt, mvbench_accuracy=score)


def test_the_real_mvbench_has_every_answer_at_its_question(shared):
    """Twenty tasks of lmms-eval are one of ours. Right answers to all 4,000 real questions, in another order than the
    annotations', are all right: each is bound to its own question."""
    samples = read_samples(get_task("mvbench"), shared / "data/mvbench")
    stems = dict.fromkeys(sample.id.split("/")[0] for sample in samples)
    for stem in stems:
        mine = [sample for sample in samples if sample.id.startswith(f"{stem}/")]
        log_of(
            f"mvbench_{stem}", list(mvbench_records(mine[::-1], stem, lambda sample: f"({sample.target})"))
        )
    assert run(*imported("log", "--data-root", shared / "data")) == 0
    found = result("mvbench")
    assert (found["answered"], found["careful"]["value"], found["official"]["value"]) == (4000, 1.0, 1.0)
    assert len(found["recorded"]["metrics"]) == 20 and found["published"]["comparable"] is True


def test_the_real_tempcompass_is_found_by_what_was_asked(shared):
    """Its logs have no ids: video, aspect and question tell the sample."""
    samples = read_samples(get_task("tempcompass"), shared / "data/tempcompass")
    kinds = {"multi-choice": "multi_choice", "yes_no": "yes_no", "caption_matching": "caption_matching"}
    for kind, name in kinds.items():
        records = []
        for number, sample in enumerate(each for each in samples if each.tags["type"] == kind):
            answer = sample.facts["answer"]
            score = {
                "video_id": Path(sample.video.path).stem,
                "question": sample.question,
                "gt-answer": answer,
                "video-llm-prediction": answer,
                "match_success": True,
                "rating": 1,
                "dim": sample.tags["aspect"],
            }
            records.append(record(number, answer, answer, sample.question, avg_accuracy=score))
        log_of(f"tempcompass_{name}", records)
    assert run(*imported("log", "--data-root", shared / "data")) == 0
    found = result("tempcompass")
    assert found["answered"] == sum(each.tags["type"] in kinds for each in samples)
    assert found["careful"]["value"] == found["official"]["value"] == 1.0


MLVU_ROWS = [
    ("What does he hold?", ("a cup", "a ball"), "v1.mp4"),
    ("What does he hold?", ("a hat", "a ball"), "v2.mp4"),
    ("What does he hold now?", ("a cup", "a ball"), "v3.mp4"),
]


STEMS = (
    "1_plotQA",
    "2_needle",
    "3_ego",
    "4_count",
    "5_order",
    "6_anomaly_reco",
    "7_topic_reasoning",
)


def write_mlvu(root):
    for number, stem in enumerate(STEMS):
        rows = [
            {
                "video": video,
                "duration": 60,
                "question": f"{question} {stem}",
                "candidates": list(candidates),
                "answer": candidates[(number + n) % 2],
                "question_type": stem,
            }
            for n, (question, candidates, video) in enumerate(MLVU_ROWS)
        ]
        folder = root / "mlvu/json"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{stem}.json").write_text(json.dumps(rows))
    return root


def mlvu_records(samples, reply):
    for number, sample in enumerate(samples):
        options = "\n".join(f"({letter}) {text}" for letter, text in zip("AB", sample.choices, strict=True))
        question = f"{sample.question}\n{options}"
        text = reply(sample)
        score = {
            "question_id": question,
            "task_type": sample.tags["task"],
            "pred_answer": text,
            "answer": sample.target,
        }
        prompt = f"{question}\nOnly give the best option.\nBest option: ("
        yield record(number, text, sample.target, prompt, mlvu_percetion_score=score)


def test_mlvu_without_ids_is_joined_by_question_and_options(tmp_path):
    data = write_mlvu(tmp_path / "data")
    samples = read_samples(get_task("mlvu"), data / "mlvu")
    log = log_of("mlvu_dev", list(mlvu_records(samples[::-1], lambda sample: sample.target)))
    assert run(*imported(log, "--data-root", data)) == 0
    found = result("mlvu")
    assert (found["answered"], found["careful"]["value"], found["official"]["value"]) == (21, 1.0, 1.0)
    assert found["recorded"]["scored"] == 21
    assert run(*imported(log, output="own")) == 0
    assert result("mlvu", "own")["careful"]["value"] == 1.0
    assert set(result("mlvu", "own")["breakdown"]["task"]) == set(found["breakdown"]["task"])


def longvideobench_records(samples):
    for number, sample in enumerate(samples):
        options = "\n".join(
            f"{letter}. {text}"
            for letter, text in zip(letters_of(sample.choices), sample.choices, strict=True)
        )
        score = {"id": sample.id, "duration_group": 15, "question_category": "S2O"}
        score |= {"answer": sample.target, "parsed_pred": sample.target}
        prompt = f"{sample.question}\n{options}\nAnswer with the option's letter.\n"
        target = str("ABCDE".index(sample.target))
        yield record(
            number, sample.target, target, prompt, lvb_acc=score, submission={sample.id: sample.target}
        )


def test_options_that_stand_in_the_prompt_serve_rules_that_need_their_texts(made, capsys):
    samples = samples_of("longvideobench", made)
    records = list(longvideobench_records(samples))
    assert run(*imported(log_of("longvideobench_val_v", records))) == 0
    found = result("longvideobench")
    assert (found["careful"]["value"], found["official"]["value"]) == (1.0, 1.0)
    assert run(*imported("log", "--data-root", made, output="two")) == 0
    assert result("longvideobench", "two")["careful"]["value"] == 1.0
    assert "which questions share a video" in capsys.readouterr().err
    for each in records:
        each["input"] = "What?"
    log_of("longvideobench_val_v", records)
    assert "give the annotations with --data-root" in refused(capsys, 6, *imported("log", output="three"))


def test_egoschema_and_seedbench_have_ids_of_their_own(made):
    ego = samples_of("egoschema", made)
    records = [
        record(
            n,
            each.target,
            str("ABCDE".index(each.target)),
            f"{each.question}\n" + "\n".join(f"{a}. {b}" for a, b in zip("ABCDE", each.choices, strict=True)),
            submission={each.id: "ABCDE".index(each.target)},
            score={"pred": "ABCDE".index(each.target), "ground_truth": str("ABCDE".index(each.target))},
        )
        for n, each in enumerate(ego)
    ]
    assert run(*imported(log_of("egoschema_subset", records), "--data-root", made)) == 0
    assert result("egoschema")["careful"]["value"] == 1.0
    shutil.rmtree("log")
    seed = samples_of("seedbench_video", made)
    records = [
        record(
            n,
            each.target,
            each.target,
            "\n".join([each.question, *map("{}. {}".format, "ABCD", each.choices)]),
            seed_all={"question_id": each.id, "pred": each.target, "answer": each.target},
        )
        for n, each in enumerate(seed)
    ]
    records.append(record(99, "A", "A", "?", seed_all={"question_id": "1_0", "pred": "A", "answer": "A"}))
    assert run(*imported(log_of("seedbench_2", records), "--data-root", made, output="seed")) == 0
    assert result("seedbench_video", "seed")["answered"] == len(seed)


# --- what is refused ----------------------------------------------------------------------------------------


def test_another_task_is_told(tmp_path, capsys):
    rows = videomme_rows(3)
    log = log_of("videomme", [videomme_record(n, row, "A") for n, row in enumerate(rows)])
    told = refused(capsys, 1, *imported(log, "--task", "mlvu"))
    assert "--task mlvu: the log holds videomme (videomme)" in told
    other = [{**row, "question": "Another question?", "question_id": f"9{n}-1"} for n, row in enumerate(rows)]
    data = write_videomme(tmp_path / "data", other, videos=False)
    told = refused(capsys, 1, *imported(log, "--data-root", data))
    assert "9 answers to questions that are not the annotations'" in told and "--ignore-unknown" in told
    assert "9 answers" in refused(capsys, 1, *imported(log, "--data-root", data, "--ignore-unknown"))
    assert not Path("out").exists()


def test_a_log_that_nothing_tells_to_be_of_a_task_is_not_taken_for_it(shared, capsys):
    log = shared / "data/lmms_eval_logs/logs_ok"
    for task in ("videomme", "mlvu", "lvbench"):
        told = refused(capsys, 1, *imported(log, "--task", task))
        assert f"neither the name 'ktoy' nor its ids tell that it is of {task}" in told
    told = refused(capsys, 1, *imported(log, "--task", "tempcompass", "--data-root", shared / "data"))
    assert "10 answers to questions that are not the annotations'" in told
    assert "Did you mean" in refused(capsys, 1, *imported(log, "--task", "videomm"))
    assert "no data of its own" in refused(capsys, 6, "--tasks", "vlmeval:ktoy", "--model", "constant:B")
    assert not Path("out").exists()


def test_a_mean_over_groups_needs_them(capsys):
    score = {"question_id": "What?", "pred_answer": "A", "answer": "A"}
    log = log_of(
        "mlvu_dev", [record(n, "A", "A", f"What? {n}", mlvu_percetion_score=score) for n in range(3)]
    )
    told = refused(capsys, 6, *imported(log))
    assert "the log does not tell the task of mlvu_dev/0, which the mean is over" in told


def test_an_unknown_name_is_taken_for_the_task_that_is_asked_for(tmp_path):
    rows = videomme_rows(3)
    log = log_of("my_videomme", [videomme_record(n, row, row["answer"]) for n, row in enumerate(rows)])
    assert run(*imported(log, "--task", "videomme")) == 0
    assert result("videomme")["careful"]["value"] == 1.0


def test_the_same_import_again_changes_nothing_and_another_is_refused(capsys):
    rows = videomme_rows(3)
    log = log_of("videomme", [videomme_record(n, row, "A") for n, row in enumerate(rows)])
    assert run(*imported(log)) == 0
    before = {file.name: file.read_bytes() for file in Path("out").iterdir() if file.name != ".lock"}
    assert run(*imported(log)) == 0
    assert {file.name: file.read_bytes() for file in Path("out").iterdir() if file.name != ".lock"} == before
    log_of("videomme", [videomme_record(n, row, "B") for n, row in enumerate(rows)])
    assert run(*imported(log)) == 1
    assert "already holds a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "line 2 is damaged"),
        ("[1]", "line 2: expected an object, found list"),
        ('{"id": "x", "text": "A"}', "line 2: field 'doc_id' is missing (fields: id, text)"),
        ('{"doc_id": 1, "target": "A"}', "line 2: field 'filtered_resps' is missing"),
        (
            '{"doc_id": "x", "filtered_resps": "A"}',
            "line 2, field 'doc_id': expected a whole number, found 'x'",
        ),
        ('{"doc_id": 1, "filtered_resps": ["A", "B"]}', "line 2: 2 replies to one question"),
        ('{"doc_id": 1, "filtered_resps": [[-1.5, false]]}', "line 2: the reply is no text"),
        ('{"doc_id": 0, "target": "A", "filtered_resps": "D"}', "document 0 is answered twice, differently"),
    ],
)
def test_damaged_lines_are_named(line, told, capsys):
    log_of("toy", [record(0, "A", "A", "What?", toy={"score": 1.0})])
    file = Path(f"log/org__model/{STAMP}_samples_toy.jsonl")
    file.write_text(file.read_text() + line + "\n")
    assert told in refused(capsys, 1, *imported("log"))
    assert not Path("out").exists()


def test_other_files_are_refused_in_one_line(tmp_path, capsys):
    assert "not found" in refused(capsys, 1, *imported("nowhere"))
    Path("empty").mkdir()
    assert "holds no result file" in refused(capsys, 1, *imported("empty"))
    Path("x.txt").write_text("A")
    assert "is neither a log of lmms-eval" in refused(capsys, 1, *imported("x.txt"))
    Path(f"{STAMP}_results.json").write_text('{"results": {"toy": {}}}')
    assert "--log_samples" in refused(capsys, 1, *imported(f"{STAMP}_results.json"))
    Path(f"{STAMP}_results.json").write_text('{"accuracy": 1}')
    assert "no results file of lmms-eval" in refused(capsys, 1, *imported(f"{STAMP}_results.json"))
    Path(f"{STAMP}_results.json").unlink()
    Path(f"{STAMP}_samples_toy.jsonl").write_bytes(b"\xff\xfe")
    assert "UTF-8" in refused(capsys, 1, *imported(f"{STAMP}_samples_toy.jsonl"))


class Bomb:
    def __reduce__(self):
        return (Path.touch, (Path("exploded"),))


def test_a_pickle_is_never_read(capsys):
    Path("m_Video-MME.pkl").write_bytes(pickle.dumps(Bomb()))
    assert "a pickle, which runs code" in refused(capsys, 1, *imported("m_Video-MME.pkl"))
    assert not Path("exploded").exists()


# --- VLMEvalKit ---------------------------------------------------------------------------------------------


def vlmeval_rows(rows, replies):
    return [
        {
            "index": number,
            "video": row["videoID"],
            "video_path": f"./video/{row['videoID']}.mp4",
            "duration": row["duration"],
            "domain": row["domain"],
            "candidates": str(row["options"]),
            "sub_category": row["sub_category"],
            "task_type": row["task_type"],
            "subtitle_path": "",
            "question": row["question"],
            "answer": row["answer"],
            "prediction": reply,
        }
        for number, (row, reply) in enumerate(zip(rows, replies, strict=True))
    ]


def write_table(name, rows):
    import pandas as pd

    frame = pd.DataFrame(rows)
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".xlsx":
        frame.to_excel(file, index=False)
    elif file.suffix == ".tsv":
        frame.to_csv(file, sep="\t", index=False)
    else:
        file.write_text(json.dumps(rows))
    return name


@pytest.mark.parametrize("suffix", [".xlsx", ".tsv", ".json"])
def test_a_result_file_of_vlmevalkit_is_scored_with_and_without_annotations(suffix, tmp_path):
    rows = videomme_rows(3)
    replies = [row["answer"] for row in rows]
    replies[0], replies[1] = "Failed to obtain answer via API.", ""
    file = write_table(f"T1/Qwen2-VL_Video-MME_16frame{suffix}", vlmeval_rows(rows, replies))
    Path("T1/Qwen2-VL_Video-MME_16frame_gpt_rating.json").write_text('{"overall": {"overall": "0.778"}}')
    data = write_videomme(tmp_path / "data", rows, videos=False)
    # Of another order: ids are no row numbers.
    assert run(*imported(file, "--data-root", data, "--min-coverage", "0.5")) == 0
    found = result("videomme")
    assert found["statuses"] == {"request_failed": 2, "ok": 7}
    assert found["careful"]["value"] == 1.0 and found["recorded"]["metrics"] == {
        "Video-MME_16frame": {"overall": 0.778}
    }
    record = run_json()
    assert (record["model"]["name"], record["frames"]) == ("Qwen2-VL", 16)
    assert run(*imported("T1", "--min-coverage", "0.5", output="own")) == 0
    assert result("videomme", "own")["careful"]["value"] == 1.0


def test_shuffled_rows_of_vlmevalkit_find_their_questions(tmp_path):
    rows = [{**row, "question": f"{row['question']} {n}"} for n, row in enumerate(videomme_rows(3))]
    data = write_videomme(tmp_path / "data", rows, videos=False)
    shuffled = rows[4:] + rows[:4]
    file = write_table("m_Video-MME.tsv", vlmeval_rows(shuffled, [row["answer"] for row in shuffled]))
    assert run(*imported(file, "--data-root", data)) == 0
    assert result("videomme")["careful"]["value"] == 1.0
    other = [{**row, "question": "Another?"} for row in rows]
    file = write_table("other/m_Video-MME.tsv", vlmeval_rows(other, ["A"] * 9))


def test_its_status_file_gives_names_and_numbers():
    rows = videomme_rows(1)
    write_table("T1/a_b_Video-MME.xlsx", vlmeval_rows(rows, "ABC"))
    status = {
        "schema_version": "1.0",
        "eval_id": "T20261122-101112",
        "commit": "e8e78f0",
        "model_name": "a_b",
        "datasets": {"Video-MME": {"primary_metric": "overall", "metrics": {"short": 0.1, "overall": 0.3}}},
    }
    Path("T1/status.json").write_text(json.dumps(status))
    assert run(*imported("T1")) == 0
    recorded = result("videomme")["recorded"]
    assert recorded["by"] == "VLMEvalKit e8e78f0"
    assert list(recorded["metrics"]["Video-MME"].items()) == [("overall", 0.3), ("short", 0.1)]


def test_bad_tables_are_refused_in_one_line(capsys):
    write_table("m_Video-MME.tsv", [{"index": 1, "answer": "A"}])
    told = refused(capsys, 1, *imported("m_Video-MME.tsv"))
    assert "column 'prediction' is missing (columns: index, answer)" in told
    Path("m_Video-MME.xlsx").write_bytes(b"PK no workbook")
    assert "cannot be read as xlsx" in refused(capsys, 1, *imported("m_Video-MME.xlsx"))
    Path("m_Video-MME.json").write_text("[1]")
    assert "expected a list of rows" in refused(capsys, 1, *imported("m_Video-MME.json"))
    Path("m_Video-MME.tsv").write_text("index\tprediction\n1\n")
    assert "row 0: not as many columns" in refused(capsys, 1, *imported("m_Video-MME.tsv"))
    write_table("m_Strange.tsv", [{"index": 1, "prediction": "A"}])
    assert "give --task" in refused(capsys, 1, *imported("m_Strange.tsv"))
    write_table("many/m_Video-MME.tsv", [{"index": 1, "prediction": "A"}])
    write_table("many/n_Video-MME.tsv", [{"index": 1, "prediction": "A"}])
    assert "several result files" in refused(capsys, 1, *imported("many"))


def test_a_data_set_that_we_do_not_have_is_taken_by_its_name():
    rows = [
        {
            "index": n,
            "question": "Who?",
            "answer": "ABCD"[n],
            "prediction": "A",
            "A": "x",
            "B": "y",
            "C": "z",
            "D": "w",
        }
        for n in range(4)
    ]
    write_table("m_Strange.tsv", rows)
    assert run(*imported("m_Strange.tsv", "--task", "vlmeval:Strange")) == 0
    found = result("vlmeval:Strange")
    assert found["careful"]["value"] == 0.25 and found["official"]["n"] == 0
    assert run_json()["model"]["name"] == "m"


def test_open_labels_are_imported_and_said_not_to_be_scored_again(capsys):
    log = log_of(
        "captions", [record(n, "a dog runs", "a dog", "Tell.", cider={"score": 0.5}) for n in range(3)]
    )
    assert run(*imported(log)) == 0
    assert (
        "3 of 3 labels are no option's letter: those answers cannot be scored again"
        in capsys.readouterr().err
    )
    found = result("lmms:captions")
    assert (found["careful"]["value"], found["official"]["value"]) == (None, 0.5)


def test_cells_that_were_cut_are_counted(capsys):
    rows = videomme_rows(1)
    write_table("m_Video-MME.xlsx", vlmeval_rows(rows, ["A" * 32_767, "B", "C"]))
    assert run(*imported("m_Video-MME.xlsx")) == 0
    assert "1 predictions have the 32767 characters of a full cell" in capsys.readouterr().err


def test_numbers_that_are_none_are_no_numbers(capsys):
    records = [record(n, "A", "A", "What?", toy={"score": float("nan")}) for n in range(3)]
    log = log_of("toy", records, metrics={"toy,none": float("nan"), "other,none": 1.0})
    assert run(*imported(log)) == 0
    found = result("lmms:toy")
    assert found["recorded"]["metrics"] == {"toy": {"other,none": 1.0}} and found["official"]["n"] == 0
    assert "NaN" not in Path("out/results.json").read_text()
    log_of("toy", records, asked=10**12)
    assert "3 samples of the 1000000000000" in refused(capsys, 1, *imported(log, output="two"))


def test_half_a_sign_comes_through():
    log = log_of("toy", [record(0, "A \ud83d", "A", "Wh\ud83dat?", toy={"score": 1.0})])
    assert run(*imported(log)) == 0
    Path("out/lmms:toy.scores.jsonl").unlink()
    assert run("score", "out", "-q") == 0
    assert result("lmms:toy")["careful"]["value"] == 1.0


# --- parts --------------------------------------------------------------------------------------------------


def test_an_options_text_comes_before_its_number():
    """MVBench's counts: the label "3" is the option 3, and not the fourth one."""
    assert [letter_of(each, ("3", "2", "4")) for each in ("3", "2", "4", "0", "5")] == [*"ABCA", None]
    assert [letter_of(each, ("1. a cup", "2. a ball")) for each in ("1", "2", "2. a ball", "0")] == [*"ABBA"]
    assert letter_of("4", ("a", "b", "c")) is None and letter_of("4", ()) == "E"


def test_labels_and_options_are_read():
    assert choices_in("What?\nA. x\nB. y (really)\n C) z\nAnswer:") == ("x", "y (really)", "z")
    assert choices_in("(A) one\n(B) two\n\nA. x\nB. y") == ("x", "y")
    assert choices_in("A man walks.\nB. y") == ()
    choices = ("A. a cup", "B. a ball")
    assert [letter_of(each, choices) for each in ("B", "(B)", "B. a ball", "1", "a ball", "a hat", None)] == [
        *"BBBBB",
        None,
        None,
    ]


def test_an_options_text_comes_before_a_letter_that_begins_it():
    assert letter_of("J. K. Rowling", ("J. K. Rowling", "Stephen King")) == "A"
    assert letter_of("I", ("I", "We")) == "A"
    assert letter_of("U.S. flag", ("Flag of France", "U.S. flag")) == "B"
    assert letter_of("B. We", ("I", "We")) == "B" and letter_of("C", ()) == "C"


def test_a_caption_is_not_scored_by_equality():
    pair = {"answer": ["a man cooks"], "pred": "someone cooks", "video": "v"}
    log_of("cap_x", [record(n, "someone cooks", None, "Describe", CIDEr=pair) for n in range(3)])
    assert run(*imported("log")) == 0
    assert result("lmms:cap_x")["official"]["value"] is None


def test_what_is_no_share_of_a_whole_is_no_score(capsys):
    log_of("rated", [record(n, "text", "open", "Describe", gpt_score=n) for n in range(5)])
    assert run(*imported("log")) == 0
    assert result("lmms:rated")["official"]["value"] is None
    log_of("told", [record(n, "text", "open", "Describe", judged={"score": n}) for n in range(5)])
    assert run(*imported("log", "--task", "lmms:told", output="told")) == 0
    assert result("lmms:told", "told")["official"]["value"] is None


def test_of_several_metrics_the_first_that_is_better_the_higher_is_the_score():
    rows = [record(n, "text", "open", "Describe", wer=0.2, exact_match=1.0, f1=0.25) for n in range(4)]
    log_of("both", rows)
    file = Path(f"log/org__model/{STAMP}_results.json")
    found = json.loads(file.read_text()) | {"higher_is_better": {"both": {"wer": False, "f1": True}}}
    file.write_text(json.dumps(found))
    assert run(*imported("log")) == 0
    assert result("lmms:both")["official"]["value"] == 1.0


def test_two_imports_of_one_benchmark_are_compared(tmp_path, capsys):
    pytest.importorskip("scipy")
    options = "A. a cat\nB. a dog\nC. a bird\nD. a fish"
    for name, right in (("one", 60), ("two", 50)):
        rows = [
            record(n, "A" if n < right else "B", "A", f"What is it, {n}?\n{options}", acc=float(n < right))
            for n in range(60)
        ]
        log_of("mymc", rows, metrics={"acc,none": right})
        assert run(*imported("log", output=name)) == 0
    capsys.readouterr()
    assert run("compare", "one", "two") == 0
    assert "-16.7" in capsys.readouterr().out
