"""MMBench-Video: a table with quotes and line breaks, the tree of capabilities, the judge, and what is refused."""

from __future__ import annotations

import csv
import io

import pytest

from kangaroo_eval.registry import get_task
from kangaroo_eval.results import task_result
from kangaroo_eval.scores import Verdicts, score_answers
from kangaroo_eval.tasks.mmbench_video import PERCEPTION, TREE
from kangaroo_eval.types import View

VIEW = View((1.0, 2.0), 30.0)
TASK = get_task("mmbench_video")
FILE = "MMBench-Video.tsv"
ROW = {
    "index": "177",
    "video": "DmUgQzu3Z4U",
    "video_type": "Food & Drink",
    "question": "Did the mint-style guy in the video drink his mouthwash?",
    "answer": "Yes, he drank it. This is very strange.",
    "dimensions": "['Counterfactual Reasoning']",
    "video_path": "./video/DmUgQzu3Z4U.mp4",
}
# The specification's tree, written out.
LEAVES = {
    "CP": "Video Topic|Video Emotion|Video Scene|Video Style",
    "FP-S": "OCR|Object Recognition|Attribute Recognition|Event Recognition|Human Motion|Counting",
    "FP-C": "Spatial Relationship|Human-object Interaction|Human Interaction",
    "HL": "Hallucination",
    "LR": "Structuralized Image-Text Understanding|Mathematical Calculation",
    "AR": "Physical Property|Function Reasoning|Identity Reasoning",
    "RR": "Natural Relation|Physical Relation|Social Relation",
    "CSR": "Common Sense Reasoning",
    "TR": "Counterfactual Reasoning|Causal Reasoning|Future Prediction",
}
JUDGE_SYSTEM = """
As an AI assistant, your task is to evaluate a candidate answer in comparison to a given correct answer.
The question itself, the correct 'groundtruth' answer, and the candidate answer will be provided to you.
Your assessment should range from 0 to 3, based solely on the semantic similarity between the groundtruth and the \
candidate answer, disregarding any grammatical differences.
A rating of 0 suggests no similarity, implying the candidate answer is entirely incorrect.
A rating of 1 suggests low similarity, meaning the candidate answer is largely incorrect.
A rating of 2 suggests high similarity, meaning the candidate answer is largely correct.
Lastly, a rating of 3 indicates complete similarity, which means the candidate answer is entirely correct.
Your response should be a single integer from 0, 1, 2, or 3.
"""
JUDGE_USER = """\
Question: Did the mint-style guy in the video drink his mouthwash?
Groundtruth answer: Yes, he drank it. This is very strange.
Candidate answer: He {drinks} it.
Your response: """


def table(*rows):
    """Rows as pandas writes them: fields quoted where they must be."""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter="\t", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.fixture
def mmbench(tmp_path, bench):
    def write(*rows):
        bench.put(tmp_path, FILE, table(*(rows or [ROW])))
        return tmp_path

    return write


def test_the_official_file_reads(mmbench, bench, tmp_path):
    (sample,) = bench.samples("mmbench_video", mmbench())
    assert (sample.id, sample.question, sample.target) == ("177", ROW["question"], ROW["answer"])
    assert (sample.choices, sample.video.path) == ((), str(tmp_path / "video/DmUgQzu3Z4U.mp4"))
    assert sample.tags == {
        "ability": ("reasoning",),
        "coarse": ("TR",),
        "fine": ("Counterfactual Reasoning",),
        "video type": "Food & Drink",
    }


def test_videos_beside_the_table_are_found_too(mmbench, bench):
    root = mmbench()
    file = bench.put(root, "DmUgQzu3Z4U.mp4", b"x")
    assert bench.samples("mmbench_video", root)[0].video.path == str(file)


def test_quotes_tabs_and_line_breaks_stay_as_they_are(mmbench, bench):
    question, answer = 'Who says "no"?\nName\tthem.', 'The "chef", he\'s\r\nthere\t.'
    tricky = {**ROW, "question": question, "answer": answer, "index": "0", "video": '-a"b'}
    other = {**ROW, "question": 'Is it 5" wide?', "index": "2"}
    one, two = bench.samples("mmbench_video", mmbench(tricky, other))
    assert (one.question, one.target, one.id) == (question, answer, "0")
    assert one.video.path.endswith('/video/-a"b.mp4')
    assert (two.question, two.id) == ('Is it 5" wide?', "2")


def test_a_byte_order_mark_is_no_part_of_the_heading(bench, tmp_path):
    bench.put(tmp_path, FILE, b"\xef\xbb\xbf" + table(ROW).encode())
    assert bench.samples("mmbench_video", tmp_path)[0].id == "177"


def test_more_columns_than_are_used_do_no_harm(mmbench, bench):
    assert bench.samples("mmbench_video", mmbench({"more": "x", **ROW}))[0].id == "177"


# --- capabilities --------------------------------------------------------------------------------------------


def test_the_tree_is_the_official_one():
    assert {node: "|".join(leaves) for node, leaves in TREE.items()} == LEAVES
    sizes = [sum(len(TREE[node]) for node in TREE if (node in PERCEPTION) is side) for side in (True, False)]
    assert sizes == [14, 12] and set(PERCEPTION) == {"CP", "FP-S", "FP-C", "HL"}
    assert len({leaf for leaves in TREE.values() for leaf in leaves}) == 26


@pytest.mark.parametrize(
    ("dimensions", "fine", "coarse", "ability"),
    [
        ("['OCR', 'Counting']", ("OCR", "Counting"), ("FP-S",), ("perception",)),
        (
            "['Future Prediction', 'Video Topic']",
            ("Future Prediction", "Video Topic"),
            ("CP", "TR"),
            ("perception", "reasoning"),
        ),
        ('["Common Sense Reasoning"]', ("Common Sense Reasoning",), ("CSR",), ("reasoning",)),
        ("['OCR', 'OCR']", ("OCR",), ("FP-S",), ("perception",)),
        ("[ 'Hallucination',\n 'Human Interaction' ]", ("Hallucination", "Human Interaction"), None, None),
    ],
)
def test_a_question_enters_every_node_that_it_touches_once(mmbench, bench, dimensions, fine, coarse, ability):
    (sample,) = bench.samples("mmbench_video", mmbench({**ROW, "dimensions": dimensions}))
    assert sample.tags["fine"] == fine
    assert set(sample.tags["coarse"]) == set(coarse or ("HL", "FP-C"))
    assert sample.tags["ability"] == (ability or ("perception",))


@pytest.mark.parametrize(
    "dimensions",
    [
        "['Smell']",
        "['OCR', 'Smell']",
        "['ocr']",
        "[]",
        "OCR",
        "'OCR'",
        "('OCR',)",
        "{'OCR': 1}",
        "[1]",
        "[['OCR']]",
        "[b'OCR']",
        "['OCR'",
        "__import__('os').mkdir('was_run') or ['OCR']",
        "[leaf for leaf in ('OCR',)]",
        "[" * 5000,
    ],
)
def test_other_dimensions_are_refused_and_never_run(mmbench, bench, tmp_path, monkeypatch, dimensions):
    monkeypatch.chdir(tmp_path)
    root = mmbench(ROW, {**ROW, "index": "178", "dimensions": dimensions})
    bench.refused("mmbench_video", root, f"{FILE}, row 1, field 'dimensions'", "of the tree")
    assert not (tmp_path / "was_run").exists()


# --- prompt, judge, means ------------------------------------------------------------------------------------


def test_the_prompt_is_the_question_alone(mmbench, bench):
    (sample,) = bench.samples("mmbench_video", mmbench())
    assert TASK.prompt(sample, VIEW) == "Did the mint-style guy in the video drink his mouthwash?"
    assert (TASK.system, TASK.prefill, TASK.timed_text) == (None, None, None)
    assert TASK.scorer(sample, "Yes.") is None and TASK.official(sample, "Yes.") is None


def test_the_judges_messages_are_the_official_ones(mmbench, bench):
    (sample,) = bench.samples("mmbench_video", mmbench())
    asked = tuple(TASK.judge.ask(sample, "He {drinks} it."))
    assert asked == (("system", JUDGE_SYSTEM), ("user", JUDGE_USER))
    assert (TASK.judge.model, TASK.judge.attempts, TASK.scale) == ("gpt-4-1106-preview", 1, 3)
    assert not TASK.judge.again(sample, "nonsense")


@pytest.mark.parametrize(
    ("reply", "official", "careful"),
    [
        ("3", (3.0, "3"), (3.0, "3")),
        ("0\n", (0.0, "0"), (0.0, "0")),
        ("3.", (0.0, None), (3.0, "3")),
        ("Rating: 2", (0.0, None), (2.0, "2")),
        ("5", (5.0, "5"), (0.0, None)),
        ("-1", (0.0, None), (0.0, None)),
        ("", (0.0, None), (0.0, None)),
        ("1+1", (0.0, None), (0.0, None)),
    ],
)
def test_both_readers_of_the_judge(mmbench, bench, reply, official, careful):
    (sample,) = bench.samples("mmbench_video", mmbench())
    found = [reader(sample, reply) for reader in (TASK.judge.official, TASK.judge.careful)]
    assert [(score.value, score.answer) for score in found] == [official, careful]


def test_means_over_all_and_over_readable_verdicts(mmbench, bench):
    """The specification's case: 3, -1, 2, 0, 1 are 1.20 of all and 1.50 of those that could be read."""
    dimensions = (
        "['OCR']",
        "['OCR', 'Video Topic']",
        "['Video Topic', 'Future Prediction']",
        "['OCR']",
        "['OCR']",
    )
    rows = [{**ROW, "index": str(i), "dimensions": each} for i, each in enumerate(dimensions)]
    root = mmbench(*rows)
    samples = bench.samples("mmbench_video", root)
    answers = {sample.id: {"status": "ok", "text": "x"} for sample in samples}
    verdicts = dict(zip("01234", ("3", "nonsense", "2", "0", "1"), strict=True))
    scored = list(score_answers(TASK, samples, answers, root, Verdicts("a judge", verdicts, (), {})))
    asked_with = {"data": "real", "min_coverage": 0.99, "judge": {"model": TASK.judge.model}}
    found = task_result(TASK, scored, {"ok": 5}, (), asked_with)
    assert (found["official"]["value"], found["official_valid"]["value"]) == (1.2, 1.5)
    assert (found["official"]["unreadable"], found["official_valid"]["n"]) == (1, 4)
    fine = {name: each["official"]["value"] for name, each in found["breakdown"]["fine"].items()}
    assert fine == {"OCR": 1.0, "Video Topic": 1.0, "Future Prediction": 2.0}
    valid = {name: each["official_valid"]["value"] for name, each in found["breakdown"]["fine"].items()}
    assert valid == {"OCR": pytest.approx(4 / 3), "Video Topic": 2.0, "Future Prediction": 2.0}
    ability = {name: each["official"]["n"] for name, each in found["breakdown"]["ability"].items()}
    assert ability == {"perception": 5, "reasoning": 1}


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["index", "video", "video_type", "question", "answer", "dimensions"])
def test_a_missing_or_empty_field_is_named(mmbench, bench, field):
    row = {key: value for key, value in ROW.items() if key != field}
    bench.refused("mmbench_video", mmbench(row), f"{FILE}, row 0: field {field!r} is missing")
    bench.refused("mmbench_video", mmbench({**ROW, field: ""}), f"{FILE}, row 0, field {field!r}")


def test_an_index_given_twice_is_refused(mmbench, bench):
    bench.refused("mmbench_video", mmbench(ROW, ROW), "id '177' is given twice, by rows 0 and 1")


@pytest.mark.parametrize("cells", ["177\tx", "\t".join(["x"] * 9)])
def test_a_row_of_another_width_is_refused(bench, tmp_path, cells):
    bench.put(tmp_path, FILE, f"{table(ROW)}{cells}\n")
    bench.refused("mmbench_video", tmp_path, f"{FILE}, row 1", "columns")


@pytest.mark.parametrize(
    "content", [b"", b"index\tvideo\n", b'index\tvideo\n1\t"open', b"\xff\xfe\x00", b"a\x00\tb\n1\t2\n"]
)
def test_a_missing_or_damaged_table_is_named(bench, tmp_path, content):
    bench.refused("mmbench_video", tmp_path, "not found", FILE)
    bench.put(tmp_path, FILE, content)
    bench.refused("mmbench_video", tmp_path, FILE)


def test_packed_replies_answer_the_questions_of_their_video(tmp_path, bench):
    (form,) = TASK.predictions
    file = bench.put(tmp_path, "packs.json", {"v1": '{"177": "Yes.", "178": "No."}', "v2": "no JSON"})
    assert [(each.id, each.text) for each in form.read(file)] == [("177", "Yes."), ("178", "No.")]
