"""Forms of predictions: what each looks like, which is found, and what every unfit file is told.

The benchmarks here are a handful of made questions each, without a video. `test_score` and `test_export` use them too.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from pathlib import Path

import pytest
from conftest import videomme_rows, write_videomme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kangaroo_eval.cli import main
from kangaroo_eval.data import read_samples
from kangaroo_eval.errors import UserError
from kangaroo_eval.predictions import own, read_predictions
from kangaroo_eval.registry import get_task

pytestmark = pytest.mark.usefixtures("away")

# --- small benchmarks ----------------------------------------------------------------------------------------

WORDS = ("a red ball", "a blue cup", "a green hat", "a white car", "a black dog", "a grey cat")


def write(root, name, content):
    """A file under `root`, of JSON unless it is text."""
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return file


def write_mlvu_test(root):
    rows = [
        {
            "question_id": f"{kind}_{number}",
            "question_type": kind,
            "video": "x.mp4",
            "question": "What is there?",
            "candidates": WORDS,
            "answer": WORDS[(number + 4) % 6],
        }
        for kind in ("TR", "ER")
        for number in range(3)
    ]
    write(root, "mlvu_test/test_mcq.json", rows)


def write_lvbench(root):
    options = "".join(f"\n({letter}) {word}" for letter, word in zip("ABCD", WORDS, strict=False))
    questions = [
        {
            "uid": str(number),
            "question": f"What?{options}",
            "answer": "ABCD"[number % 4],
            "question_type": ["summarization"],
        }
        for number in range(6)
    ]
    write(root, "lvbench/video_info.meta.jsonl", json.dumps({"key": "k", "type": "cartoon", "qa": questions}))


def write_longvideobench(root):
    rows = [
        {
            "id": f"v_{number}",
            "question": "What?",
            "candidates": WORDS[: 4 + number % 2],
            "video_path": "v.mp4",
            "subtitle_path": "v.json",
            "duration": 10.0,
            "duration_group": 15,
            "starting_timestamp_for_subtitles": 0,
            "question_category": "S2O",
            "level": "L1",
            "topic_category": "NP",
        }
        for number in range(6)
    ]
    write(
        root, "longvideobench/lvb_val.json", [{**row, "correct_choice": n % 4} for n, row in enumerate(rows)]
    )
    write(root, "longvideobench/lvb_test_wo_gt.json", rows)


def write_egoschema(root):
    options = {f"option {number}": word for number, word in enumerate(WORDS[:5])}
    rows = [{"q_uid": f"u{number}", "question": "What?", **options} for number in range(7)]
    write(root, "egoschema/questions.json", rows)
    write(root, "egoschema/subset_answers.json", {f"u{number}": number % 5 for number in range(6)})


CHOICES = "A. a ball\nB. a cup\nC. a hat\nD. a car"
CAPTIONS = "Caption A: The ball rolls.\nCaption B: The ball stops."
TEMPCOMPASS = {
    "multi-choice": [("What moves?\n" + CHOICES, "B. a cup"), ("What stops?\n" + CHOICES, "C. a hat")],
    "yes_no": [("Does it move?", "yes"), ("Does it stop?", "no")],
    "caption_matching": [("Which caption fits?\n" + CAPTIONS, "Caption A: The ball rolls.")],
    "captioning": [("Tell what is there.", "A")],
}


def tempcompass_files(rows=lambda kind, number, question, answer: {"question": question, "answer": answer}):
    """The four files of two videos; `rows` makes a row."""
    return {
        f"{kind}.json": {
            video: {"action": [rows(kind, n, *each) for n, each in enumerate(questions)]}
            for video in ("7", "8")
        }
        for kind, questions in TEMPCOMPASS.items()
    }


def write_tempcompass(root):
    for name, content in tempcompass_files().items():
        write(root, f"tempcompass/questions/{name}", content)
    meta = {"eval_dim": {"action": {"type": "fine"}}}
    write(root, "tempcompass/meta_info.json", {"7": meta, "8": meta})


def write_seedbench(root):
    rows = [
        {
            "question_id": f"{dimension}_{number}",
            "question_type_id": dimension,
            "question": "What?",
            "answer": "ABCD"[(number + dimension) % 4],
            "data_id": [f"task{dimension}/{number}/{k}.png" for k in range(1, 9)],
            **{f"choice_{letter}": word for letter, word in zip("abcd", WORDS, strict=False)},
        }
        for dimension in (1, 19, 20, 21, 22)
        for number in range(2)
    ]
    write(root, "seedbench/SEED-Bench_v2_level1_2_3.json", {"questions": rows})


def write_videovista(root):
    rows = [
        {
            "question_id": number,
            "video_name": "Science.k.000.mp4",
            "category": "Science",
            "Type": "Objects Count" if number % 2 else "Event Prediction",
            "Question": "What?",
            "Answer_Choices": WORDS[:4],
            "Answer": number % 4,
            "time": 30 * number,
        }
        for number in range(6)
    ]
    write(root, "videovista/VideoVista.json", rows)


def write_mmbench_video(root):
    rows = [f"{number}\tv{number // 2}\tTravel\tWhat?\tA cup.\t['Counting']" for number in range(4)]
    heading = "index\tvideo\tvideo_type\tquestion\tanswer\tdimensions"
    write(root, "mmbench_video/MMBench-Video.tsv", "\n".join([heading, *rows]) + "\n")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A data root with the annotations of every small benchmark."""
    root = write_videomme(tmp_path_factory.mktemp("made"), videomme_rows(3), videos=False)
    for each in (write_mlvu_test, write_lvbench, write_longvideobench, write_egoschema, write_tempcompass):
        each(root)
    for each in (write_seedbench, write_videovista, write_mmbench_video):
        each(root)
    return root


# --- the command ---------------------------------------------------------------------------------------------


def run(*words):
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code


def refused(capsys, code, *words):
    """The one line on stderr of a command that must end with this exit code, and print nothing else."""
    capsys.readouterr()
    assert run(*words) == code
    out, error = capsys.readouterr()
    assert error.startswith("kangaroo-eval: ") and error.count("\n") == 1 and not out, (out, error)
    return error


def score(task, file, root=None, *words, output="out"):
    where = () if root is None else ("--data-root", root)
    return ("score", "--task", task, "--answers", file, "--output", output, "-q", *where, *words)


def result(task, output="out"):
    return json.loads(Path(output, "results.json").read_text(encoding="utf-8"))["tasks"][task]


def scores(task, output="out"):
    lines = Path(output, f"{task}.scores.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["id"]: line for line in map(json.loads, lines)}


def answers_of(task, output="out"):
    """Id -> what the careful reader read."""
    return {name: line["careful"]["answer"] for name, line in scores(task, output).items()}


def samples_of(task, root):
    task = get_task(task)
    return read_samples(task, root / task.source.folder)


def letters_for(task, root):
    """A letter for every question: right ones, wrong ones, and none for the third."""
    found = {
        each.id: "B" if number % 3 else each.target or "A"
        for number, each in enumerate(samples_of(task, root))
    }
    found[list(found)[2]] = ""
    return found


def as_csv(rows):
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue()


def number(letter):
    return "ABCDE".index(letter) if letter else -1


def entry(key, answer):
    return lambda given: json.dumps([{key: name, answer: text} for name, text in given.items()])


OBJECT = json.dumps
LETTER_FORMS = {
    "lvbench": ("lvbench", "a.json", OBJECT),
    "mlvu_test": ("mlvu_test", "a.json", entry("question_id", "option")),
    "egoschema": ("egoschema", "a.json", lambda given: OBJECT({k: number(v) for k, v in given.items()})),
    "egoschema_csv": (
        "egoschema",
        "a.csv",
        lambda given: as_csv([("q_uid", "answer"), *((k, number(v)) for k, v in given.items())]),
    ),
    "longvideobench": ("longvideobench", "a.json", OBJECT),
    "seedbench": ("seedbench_video", "a.json", entry("question_id", "prediction")),
    "videovista": ("videovista", "a.json", entry("question_id", "Model_Answer")),
    "jsonl": (
        "videomme",
        "a.jsonl",
        lambda given: "".join(json.dumps({"id": k, "text": v}) + "\n" for k, v in given.items()),
    ),
}
"""Form -> task, file, and what the file holds of {id: letter}; written here as the benchmarks describe them."""


# --- each form -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("form", LETTER_FORMS)
def test_each_form_is_found_and_read(form, named, made, tmp_path):
    task, name, make = LETTER_FORMS[form]
    given = letters_for(task, made)
    Path(name).write_text(make(given))
    assert run(*score(task, name, made, *(("--format", form) if named else ()))) == 0
    found = result(task)
    assert (found["status"], found["answered"], found["coverage"]) == ("ok", len(given), 1.0)
    assert answers_of(task) == {key: letter or None for key, letter in given.items()}
    right = [each.target == given[each.id] for each in samples_of(task, made)]
    if task != "mlvu_test":
        assert found["careful"]["value"] == pytest.approx(sum(right) / len(right))
    assert found["careful"]["unreadable"] == 1
    assert json.loads(Path("out/run.json").read_text())["model"]["settings"]["format"] == form


def test_the_mean_of_mlvu_test_is_over_its_task_types(made):
    given = {
        each.id: each.target if each.id.startswith("TR") else "" for each in samples_of("mlvu_test", made)
    }
    Path("a.json").write_text(entry("question_id", "option")({**given, "ER_0": "E"}))
    assert run(*score("mlvu_test", "a.json", made)) == 0
    assert result("mlvu_test")["careful"]["value"] == pytest.approx((1 + 1 / 3) / 2)


@pytest.mark.parametrize("ending", ["", ".txt", ".answers", ".JSON"])
def test_files_with_other_endings_are_read_too(made, ending):
    file = Path(f"a{ending}")
    file.write_text('{"id": "0", "text": "A"}\n{"id": "1", "text": "(B)"}\n')
    assert run(*score("lvbench", file, made, "--min-coverage", "0")) == 0
    assert answers_of("lvbench") == {"0": "A", "1": "B"}


def test_whole_numbers_are_ids_where_the_annotations_have_them(made):
    Path("a.json").write_text(
        json.dumps([{"question_id": n, "Model_Answer": "ABCD"[n % 4]} for n in range(6)])
    )
    assert run(*score("videovista", "a.json", made)) == 0
    assert result("videovista")["official"]["value"] == 1.0


VIDEOMME_OFFICIAL = """[
    {
        "video_id": "001", "%s": "short", "%s": "Knowledge", "%s": "Humanity & History",
        "questions": [
            {
                "question_id": "001-1", "task_type": "Counting Problem", "question": "How many, {1,}?",
                "%s": ["A. One.", "B. Two.", "C. Three.", "D. Four."],
                "answer": "C",
                "response": "C. Three, \\"sic\\",]",
            },
            {
                "question_id": "001-2", "task_type": "OCR Problems", "question": "What is read?",
                "%s": ["A. One.", "B. Two.", "C. Three.", "D. Four."],
                "answer": "A",
                "response": "B",
            },
        ],
    },
]
"""
NEW_KEYS = ("duration", "domain", "sub_category", "options", "options")
OLD_KEYS = ("duration_category", "video_category", "video_subcategory", "choices", "choices")


@pytest.mark.parametrize("keys", [NEW_KEYS, OLD_KEYS])
def test_the_official_videomme_file_with_its_commas_and_its_old_key_names(keys):
    Path("a.json").write_text(VIDEOMME_OFFICIAL % keys)
    assert run(*score("videomme", "a.json")) == 0
    assert answers_of("videomme") == {"001-1": "C", "001-2": "B"}
    found = result("videomme")
    assert found["official"]["value"] == 0.5 and found["data"] == "real"
    assert list(found["breakdown"]["duration"]) == ["short"]
    assert list(found["breakdown"]["task_type"]) == ["Counting Problem", "OCR Problems"]


def videomme_template(rows, response):
    """The template of these annotation rows; `response(row)` is left out where it is None."""
    videos = {}
    for row in rows:
        kept = {key: row[key] for key in ("question_id", "task_type", "question", "options", "answer")}
        said = response(row)
        video = {key: row[key] for key in ("video_id", "duration", "domain", "sub_category")}
        videos.setdefault(row["video_id"], {**video, "questions": []})["questions"].append(
            kept if said is None else {**kept, "response": said}
        )
    return list(videos.values())


def test_a_template_question_without_a_response_has_no_answer(made):
    rows = videomme_rows(3)
    template = videomme_template(rows, lambda row: None if row["video_id"] == "002" else row["answer"])
    Path("a.json").write_text(json.dumps(template))
    assert run(*score("videomme", "a.json", made)) == 3
    found = result("videomme")
    assert (found["asked"], found["answered"], found["status"]) == (9, 6, "low_coverage")
    assert found["careful"]["value"] is None and found["official"]["value"] is None


SEED_ROWS = [
    {"question_id": f"{d}_{n}", "prediction": "ABCD"[(n + d) % 4]}
    for d in (1, 19, 20, 21, 22)
    for n in (0, 1)
]
SEED_SHAPES = {
    "a list": json.dumps(SEED_ROWS),
    "lines with commas": ",\n".join(map(json.dumps, SEED_ROWS)) + ",\n",
    "lines without": "\n".join(map(json.dumps, SEED_ROWS)),
    "a list with a comma too many": "[" + ",".join(map(json.dumps, SEED_ROWS)) + ",\n]\n",
    "with a byte order mark": "\ufeff" + json.dumps(SEED_ROWS),
}


@pytest.mark.parametrize("shape", SEED_SHAPES)
def test_seedbench_predictions_in_every_shape(shape, made, capsys):
    Path("a.json").write_text(SEED_SHAPES[shape], encoding="utf-8")
    assert run(*score("seedbench", "a.json", made)) == 0
    found = result("seedbench_video")
    assert (found["answered"], found["official"]["value"]) == (8, 1.0)
    assert "2 answers to other parts of the benchmark are left out" in capsys.readouterr().err


def test_the_published_seedbench_file_gives_the_published_numbers(shared, capsys):
    """Dimension 19 is 1,026 of the 1,584 answers that the file has; six labels have a space, and equal nothing."""
    assert run(*score("seedbench", shared / "data/seedbench/SEED-Bench-2_GPT-4V.json")) == 0
    found = result("seedbench_video")
    points = {
        name: round(100 * each["official"]["value"], 2)
        for name, each in found["breakdown"]["dimension"].items()
    }
    assert points["Global Video Understanding"] == 64.77
    assert points["Action Recognition"] == 65.67
    assert points["Action Prediction"] == 51.67
    assert points["Procedure Understanding"] == 63.44
    assert (found["answered"], found["faults"]) == (
        5341,
        {"the label has a space beside its letter: no answer equals it officially": 6},
    )
    assert "17851 answers to other parts" in capsys.readouterr().err


def tempcompass_predictions(key="prediction", said=lambda kind, n, answer: answer):
    return tempcompass_files(
        lambda kind, n, question, answer: {"question": question, "answer": answer, key: said(kind, n, answer)}
    )


@pytest.mark.parametrize("key", ["prediction", "response"])
def test_a_folder_of_tempcompass_predictions(key, made):
    for name, content in tempcompass_predictions(
        key, lambda kind, n, answer: answer.upper() if n else answer
    ).items():
        write(Path(), f"model/{name}", content)
    assert run(*score("tempcompass", "model", made)) == 0
    found = result("tempcompass")
    assert (found["asked"], found["answered"], found["status"]) == (12, 12, "not_judged")
    lines = scores("tempcompass")
    assert lines["multi-choice/7/action/0"]["careful"]["answer"] == "B"
    assert lines["yes_no/8/action/1"]["official"] == {"answer": "right", "score": 1.0}
    assert lines["captioning/8/action/0"]["careful"] is None


def test_one_tempcompass_file_and_answers_that_were_refused(made):
    """A model that refused has null there, which the scripts rate 0 without asking a judge."""
    content = tempcompass_predictions(said=lambda kind, n, answer: None if n else "No, it does not.")[
        "yes_no.json"
    ]
    write(Path(), "yes_no.json", content)
    assert run(*score("tempcompass", "yes_no.json", made, "--min-coverage", "0")) == 0
    assert answers_of("tempcompass") == {
        f"yes_no/{video}/action/{n}": None if n else "no" for video in ("7", "8") for n in (0, 1)
    }
    lines = scores("tempcompass")
    assert [lines[f"yes_no/{video}/action/1"]["official"] for video in ("7", "8")] == [
        {"answer": None, "score": 0.0}
    ] * 2


def test_tempcompass_files_are_known_by_their_names(made, capsys):
    write(Path(), "mine.json", tempcompass_predictions()["yes_no.json"])
    told = refused(capsys, 1, *score("tempcompass", "mine.json", made))
    assert "not multi-choice.json, yes_no.json, caption_matching.json, captioning.json" in told
    Path("empty").mkdir()
    assert "nor a folder of them" in refused(capsys, 1, *score("tempcompass", "empty", made))


def test_packed_replies_of_mmbench_video(made):
    packs = {
        "v0": 'Sure: {"0": "A cup.", "1": 7}',
        "v1": "{'2': 'Two cups.',\n 'nothing",
    }
    Path("a.json").write_text(json.dumps(packs))
    assert run(*score("mmbench_video", "a.json", made, "--min-coverage", "0.7")) == 0
    found = result("mmbench_video")
    assert (found["status"], found["answered"], found["asked"]) == ("not_judged", 3, 4)
    lines = Path("out/mmbench_video.answers.jsonl").read_text().splitlines()
    assert {line["id"]: line["text"] for line in map(json.loads, lines)} == {
        "0": "A cup.",
        "1": "7",
        "2": "Two cups.",
    }


# --- files that do not fit -----------------------------------------------------------------------------------


def test_an_unknown_format_lists_the_ones_there_are(made, capsys):
    Path("a.json").write_text("{}")
    told = refused(capsys, 1, *score("egoschema", "a.json", made, "--format", "xml"))
    assert "--format 'xml': egoschema knows egoschema, egoschema_csv, jsonl, csv" in told
    assert "written, not read" in refused(capsys, 1, *score("egoschema", "a.json", made, "--format", "csv"))
    assert not Path("out").exists()


def test_a_file_of_another_form_is_told_why_each_does_not_fit(made, capsys):
    Path("a.json").write_text('{"u0": "A"}')
    told = refused(capsys, 1, *score("egoschema", "a.json", made))
    assert (
        'egoschema: "A" is no number of an option, 0 to 4; jsonl: ' in told
        and "name one with --format" in told
    )
    told = refused(capsys, 1, *score("videomme", "a.json", made))
    assert "videomme: not a list of objects; jsonl: " in told
    told = refused(capsys, 1, *score("videomme", "a.json", made, "--format", "videomme"))
    assert "(videomme: not a list of objects)" in told
    assert not Path("out").exists()


ODD = {
    "an option's number too high": ("egoschema", '{"u0": 5}', "5 is no number of an option"),
    "an option's number too low": ("egoschema", '{"u0": -2}', "-2 is no number of an option"),
    "two signs": ("egoschema", '{"u0": "--1"}', "is no number of an option"),
    "a truth for a number": ("egoschema", '{"u0": true}', "true is no number of an option"),
    "a fraction": ("egoschema", '{"u0": 1.0}', "1.0 is no number of an option"),
    "a number for a text": ("lvbench", '{"0": 1}', "1 is no text"),
    "a null for a text": ("longvideobench", '{"v_0": null}', "null is no text"),
    "a list for a text": ("lvbench", json.dumps({"0": ["x" * 9999]}), "x... is no text"),
    "a number for a letter": (
        "mlvu_test",
        '[{"question_id": "TR_0", "option": 1}]',
        "an entry without a text 'option'",
    ),
    "no id": ("videovista", '[{"Model_Answer": "A"}]', "an entry without a text 'question_id'"),
    "a truth for an id": (
        "videovista",
        '[{"question_id": true, "Model_Answer": "A"}]',
        "without a text 'question_id'",
    ),
    "a number for a response": (
        "videomme",
        '[{"questions": [{"question_id": "001-1", "response": 3}]}]',
        "an entry without a text 'response'",
    ),
    "no questions": ("videomme", '[{"video_id": "001"}]', "a video without its questions"),
    "a question that is none": ("videomme", '[{"questions": ["001-1"]}]', "without a text 'question_id'"),
    "a number for a packed reply": ("mmbench_video", '{"v0": 4}', "4 is no text"),
    "an empty list": ("mlvu_test", "[]", "not a list of objects"),
    "an empty object": ("lvbench", "{}", "not an object of id: value"),
    "two answers under one key": ("lvbench", '{"0": "A", "0": "B"}', '"0" is given twice, differently'),
    "two texts in one line": (
        "videomme",
        '{"id": "001-1", "text": "A", "text": "B"}',
        "given twice, differently",
    ),
    "two predictions in one object": (
        "seedbench",
        '{"question_id": "19_0", "prediction": "A", "prediction": "B"}',
        "given twice, differently",
    ),
    "deep nesting": ("seedbench", '{"a":' * 100_000, "seedbench: not JSON"),
    "deep nesting for a value": ("lvbench", '{"0":' + "[" * 900 + "]" * 900 + "}", "is no text"),
    "deep lists": ("mmbench_video", "[" * 100_000, "not JSON"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_values_are_one_line_that_names_them(name, made, capsys):
    task, content, said = ODD[name]
    Path("a.json").write_text(content)
    told = refused(capsys, 1, *score(task, "a.json", made))
    assert said in told and "a.json" in told and len(told) < 2000
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("kind", "question", "answer", "named"),
    [
        ("caption_matching", "Which?\nThe ball rolls.\nThe ball stops.", "The ball rolls.", "'question'"),
        ("caption_matching", "Which?\nA: it rolls\nB: it stops", "A: it rolls", "'question'"),
        ("caption_matching", "Which?\n" + CAPTIONS, "A", "'answer'"),
        ("caption_matching", "Which?", "Caption A: x", "'question'"),
        ("multi-choice", "What?\n" + CHOICES, "E. a dog", "'answer'"),
        ("multi-choice", "What?", "A", "'question'"),
        ("yes_no", "Does it?", "perhaps", "'answer'"),
    ],
)
def test_own_labels_that_no_rule_could_score_are_refused(kind, question, answer, named, capsys):
    row = {"question": question, "answer": answer, "prediction": "A"}
    file = write(Path(), f"{kind}.json", {"7": {"action": [row]}})
    assert named in refused(capsys, 1, *score("tempcompass", file))


@pytest.mark.parametrize("form", LETTER_FORMS)
def test_bytes_that_are_no_utf8_are_refused_in_every_form(form, made, capsys):
    task, name, make = LETTER_FORMS[form]
    Path(name).write_bytes(make({"0": "A"}).encode("utf-16"))
    assert "cannot be read as UTF-8 text" in refused(capsys, 1, *score(task, name, made))


@pytest.mark.parametrize("form", LETTER_FORMS)
def test_a_byte_order_mark_and_windows_line_ends_do_not_matter(form, made):
    task, name, make = LETTER_FORMS[form]
    given = letters_for(task, made)
    Path(name).write_bytes(
        b"\xef\xbb\xbf" + make(given).replace("\r\n", "\n").replace("\n", "\r\n").encode() + b"\r\n"
    )
    assert run(*score(task, name, made)) == 0
    assert answers_of(task) == {key: letter or None for key, letter in given.items()}


def test_tempcompass_files_with_a_byte_order_mark_and_commas_too_many(made):
    text = json.dumps(tempcompass_predictions()["yes_no.json"]).replace("}]", "},]")
    Path("yes_no.json").write_text("\ufeff" + text, encoding="utf-8")
    assert run(*score("tempcompass", "yes_no.json", made, "--min-coverage", "0")) == 0
    assert result("tempcompass")["answered"] == 4


def test_a_folder_a_file_that_is_not_there_and_an_empty_one(made, capsys):
    Path("folder").mkdir()
    assert "no form of it is a folder" in refused(capsys, 1, *score("videomme", "folder", made))
    told = refused(capsys, 1, *score("videomme", "folder", made, "--format", "jsonl"))
    assert "cannot be read as UTF-8 text" in told
    assert "answers file not found: nowhere" in refused(capsys, 1, *score("videomme", "nowhere", made))
    told = refused(capsys, 1, *score("videomme", "x" * 300, made))
    assert "cannot be read: File name too long" in told
    Path("file").write_text("")
    assert "cannot be read: Not a directory" in refused(capsys, 1, *score("videomme", "file/x", made))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_file_without_an_answer_is_refused(made, name, capsys):
    Path(name).write_text("\n\n")
    assert "no answers in it" in refused(capsys, 1, *score("videomme", name, made))
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "content",
    [
        "q_uid,answer\nu0",
        "uid,answer\nu0,1",
        "q_uid,answer\nu0,A",
        "u0,1\n",
        "",
        'q_uid,answer\nu0,"' + "9" * 200_000,
    ],
)
def test_tables_that_are_no_kaggle_submission(content, made, capsys):
    Path("a.csv").write_text(content)
    told = refused(capsys, 1, *score("egoschema", "a.csv", made))
    assert "egoschema_csv: " in told and len(told) < 2000


# --- any file at all -----------------------------------------------------------------------------------------

FUZZED = (
    ("videomme", "a.json"),
    ("mlvu_test", "a.json"),
    ("lvbench", "a.json"),
    ("egoschema", "a.json"),
    ("egoschema", "a.csv"),
    ("longvideobench", "a.json"),
    ("tempcompass", "multi-choice.json"),
    ("tempcompass", "caption_matching.json"),
    ("tempcompass", "yes_no.json"),
    ("tempcompass", "captioning.json"),
    ("seedbench", "a.json"),
    ("seedbench_v1_video", "a.json"),
    ("videovista", "a.json"),
    ("mmbench_video", "a.json"),
    ("videomme", "a.jsonl"),
)
KEYS = (
    *("question_id", "question", "questions", "answer", "response", "prediction", "gt_answer", "option"),
    *("id", "text", "options", "duration", "domain", "sub_category", "task_type", "video_id", "Model_Answer"),
)
TEXTS = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["A", "B. x", "yes", "19_0", "v3", "001-1", "Caption A: x", "{'a': 'b'}", '{"a": 1}']),
    st.lists(st.sampled_from(["x?", "A. y", "Caption A: y", "Option 1: z", "C: w", ""]), max_size=4).map(
        "\n".join
    ),
)
LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
        st.dictionaries(TEXTS, inner, max_size=3),
    ),
    max_leaves=20,
)


ROW = st.fixed_dictionaries(
    {
        key: st.one_of(st.just("A"), TEXTS, TEXTS, st.just(["A. x", "B. y", "C. z", "D. w"]), VALUES)
        for key in KEYS
    }
)
NESTED = st.dictionaries(
    TEXTS, st.dictionaries(TEXTS, st.lists(ROW, min_size=1, max_size=2), min_size=1, max_size=2)
)


def near(task):
    """Values where the form has its own, so that more than the outermost shape is reached."""
    if task == "tempcompass":
        return NESTED
    flat = st.one_of(st.lists(ROW, max_size=3), st.dictionaries(TEXTS, VALUES, max_size=3))
    return st.one_of(flat, ROW.map(lambda found: [{**found, "questions": [found]}]))


def check_file(task, file):
    """The file gives answers that both readers can take, or one line that says why not."""
    task = get_task(task)
    try:
        found = own(task, file, read_predictions(task, file, None).answers).answers
    except UserError as error:
        assert str(error)
        return
    for each in found.values():
        assert isinstance(each.id, str) and isinstance(each.text, str)
        if each.sample is not None:
            assert each.sample.id == each.id
            task.scorer(each.sample, each.text)
            task.official(each.sample, each.text)


@pytest.mark.parametrize("case", FUZZED, ids="-".join)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_json_is_answers_or_one_line(case, data, tmp_path):
    task, name = case
    file = tmp_path / name
    value = data.draw(st.one_of(VALUES, near(task), near(task), near(task)))
    file.write_text(json.dumps(value), encoding="utf-8")
    check_file(task, file)


@pytest.mark.parametrize("case", FUZZED, ids="-".join)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=60), st.text(alphabet='[]{}",:\n\\ A1-e.', max_size=60).map(str.encode)
    )
)
def test_any_bytes_are_answers_or_one_line(case, content, tmp_path):
    task, name = case
    file = tmp_path / name
    file.write_bytes(content)
    check_file(task, file)


@pytest.mark.parametrize("case", FUZZED, ids="-".join)
def test_nesting_of_every_depth_is_answers_or_one_line(case, tmp_path):
    task, name = case
    file = tmp_path / name
    limit = sys.getrecursionlimit()
    for depth in (limit // 3, limit // 2, *range(limit - 80, limit + 40, 8), 50 * limit):
        for content in ("[" * depth + "]" * depth, '{"question_id":' * depth + '""' + "}" * depth):
            for text in (content, f'{{"x": {content}}}', f'[{{"question_id": "x", "option": {content}}}]'):
                file.write_text(text)
                check_file(task, file)
