"""TempCompass: the published counts, captioning's gold, the prompts and judge's texts, the rules, and refusals."""

from __future__ import annotations

import copy
import json
from collections import Counter

import pytest

from kangaroo_eval.registry import get_task
from kangaroo_eval.types import View

VIEW = View((1.0, 2.0), 30.0)
TASK = get_task("tempcompass")
NAME = "1034419625"
MC = {
    "question": "What is the man doing in the video?\nA. dunking a basketball\nB. dribbling a basketball\n"
    "C. passing a basketball",
    "answer": "A. dunking a basketball",
}
MC_OTHER = {
    "question": "Which activity is the man engaged in?\nA. passing a basketball\nB. dribbling a basketball\n"
    "C. dunking a basketball",
    "answer": "C. dunking a basketball",
}
YN = {"question": "Is the man dunking?", "answer": "yes"}
CM = {
    "question": "Which description is a more suitable match for the video?\nOption 1: The man is dribbling a "
    "basketball.\nOption 2: A man is dunking a basketball.",
    "answer": "Option 2: A man is dunking a basketball.",
}
CG = {
    "question": "You will be presented with a video and several pieces of information. One piece of information is "
    "consistent with the video while the others are not. Please identify the information that consistent with the "
    "video and generate a video caption accordingly.\nInformation A: {'subject': 'man', 'action': 'dribbling a "
    "basketball'}\nInformation B: {'subject': 'man', 'action': 'dunking a basketball'}\nGenerated Caption:",
    "answer": "B. dunking a basketball",
}
META = {
    NAME: {
        "eval_dim": {
            "action": {"subject": "man", "action": "dunking", "type": "fine-grained action"},
            "speed": None,
            "direction": None,
            "order": {"subject": "man"},
            "attribute_change": None,
        },
        "content": ["people"],
    }
}
FILES = {"multi-choice": [MC, MC_OTHER], "yes_no": [YN], "caption_matching": [CM], "captioning": [CG]}
ASPECTS = ("action", "direction", "speed", "order", "attribute_change")
COUNTS = {
    "multi-choice": (338, 335, 317, 302, 288),
    "yes_no": (592, 494, 537, 382, 448),
    "caption_matching": (297, 327, 291, 300, 288),
    "captioning": (396, 436, 388, 400, 384),
}
TOTALS = {"multi-choice": 1580, "yes_no": 2453, "caption_matching": 1503, "captioning": 2004}
FINE = {
    "action": {"fine-grained action", "coarse-grained action"},
    "direction": {"object motion", "camera motion"},
    "speed": {"absolute speed", "relative speed"},
    "order": {"order"},
    "attribute_change": {
        "color & light change",
        "size & shape change",
        "combined change",
        "other change",
    },
}
MODEL = "reka-core-20240501"
# Percent per aspect and of all items, as the authors publish them for that model.
PUBLISHED = {
    "multi-choice": (96.2, 40.9, 49.2, 57.3, 60.4, 61.08),
    "yes_no": (90.7, 52.8, 54.0, 57.3, 65.0, 65.14),
    "caption_matching": (97.3, 58.1, 63.9, 81.0, 71.2, 74.05),
    "captioning": (91.4, 36.5, 47.4, 61.2, 58.1, 58.53),
}


@pytest.fixture
def temp(tmp_path, bench):
    def write(meta=None, **files):
        bench.put(tmp_path, "meta_info.json", META if meta is None else meta)
        for kind, rows in FILES.items():
            content = files.get(kind.replace("-", "_"), {NAME: {"action": copy.deepcopy(rows)}})
            bench.put(tmp_path, f"questions/{kind}.json", content)
        return tmp_path

    return write


@pytest.fixture
def made(temp, bench):
    return {sample.id.split("/")[0]: sample for sample in reversed(bench.samples("tempcompass", temp()))}


@pytest.fixture(scope="module")
def real(shared, bench):
    return bench.samples("tempcompass", shared / "data/tempcompass")


def rows_of(shared, kind, folder="questions"):
    """(video, aspect, number, row) of a published file, read without the package."""
    found = json.loads((shared / f"data/tempcompass/{folder}/{kind}.json").read_text())
    for video, aspects in found.items():
        for aspect, rows in aspects.items():
            for number, row in enumerate(rows):
                yield video, aspect, number, row


# --- the layout ----------------------------------------------------------------------------------------------


def test_the_official_files_read(temp, bench, tmp_path):
    samples = {sample.id: sample for sample in bench.samples("tempcompass", temp())}
    assert list(samples) == [
        f"multi-choice/{NAME}/action/0",
        f"multi-choice/{NAME}/action/1",
        f"yes_no/{NAME}/action/0",
        f"caption_matching/{NAME}/action/0",
        f"captioning/{NAME}/action/0",
    ]
    assert {sample.video.path for sample in samples.values()} == {str(tmp_path / f"videos/{NAME}.mp4")}
    choice, _, asked, caption, captioning = samples.values()
    assert choice.choices == (
        "A. dunking a basketball",
        "B. dribbling a basketball",
        "C. passing a basketball",
    )
    assert caption.choices == (
        "Option 1: The man is dribbling a basketball.",
        "Option 2: A man is dunking a basketball.",
    )
    assert (asked.choices, captioning.choices) == ((), ())
    assert [sample.target for sample in samples.values()] == ["A", "C", "yes", "Option 2", "A"]
    assert choice.tags == {
        "type": "multi-choice",
        "aspect": "action",
        "fine aspect": "fine-grained action",
        "aspect of type": "multi-choice: action",
        "fine aspect of type": "multi-choice: fine-grained action",
    }


def test_captionings_gold_is_the_first_multi_choice_answer(made):
    assert (made["captioning"].target, made["captioning"].facts["mc_answer"]) == ("A", MC["answer"])
    assert made["captioning"].facts["mc_question"] == MC["question"]


def test_order_has_no_finer_aspect_than_itself(temp, bench):
    files = {kind.replace("-", "_"): {NAME: {"order": rows}} for kind, rows in FILES.items()}
    assert bench.samples("tempcompass", temp(**files))[0].tags["fine aspect"] == "order"


def test_videos_are_found_beside_the_questions_too(temp, bench):
    file = bench.put(temp(), f"{NAME}.mp4", b"x")
    assert bench.samples("tempcompass", temp())[0].video.path == str(file)


# --- prompts -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "prompt"),
    [
        (
            "multi-choice",
            "What is the man doing in the video?\nA. dunking a basketball\nB. dribbling a basketball\n"
            "C. passing a basketball\nPlease directly give the best option:",
        ),
        ("yes_no", "Is the man dunking?\nPlease answer yes or no:"),
        (
            "caption_matching",
            "Which description is a more suitable match for the video?\nOption 1: The man is dribbling a basketball."
            "\nOption 2: A man is dunking a basketball.\nPlease directly give the best option:",
        ),
        ("captioning", CG["question"]),
    ],
)
def test_prompts_are_the_authors(made, kind, prompt):
    assert TASK.prompt(made[kind], VIEW) == prompt
    assert (TASK.system, TASK.prefill, TASK.timed_text, TASK.max_new_tokens) == (None, None, None, 128)


ASKED = {
    "multi-choice": """
You will receive a multi-choice question, the ground-truth answer and the prediction from a question answering (QA) \
model. Your task is to determine whether QA model prediction is correct, based on the question and ground-truth \
answer. If the prediction is correct, respond "Correct". If the prediction is incorrect, respond "Incorrect".

Multi-Choice Question:
What is the man doing in the video?
A. dunking a basketball
B. dribbling a basketball
C. passing a basketball
Ground-Truth Answer: A. dunking a basketball
Model Prediction: He dunks.""",
    "yes_no": """
You will receive a Yes/No question, the ground-truth answer and the prediction from a question answering (QA) \
model. Your task is to determine whether QA model prediction is correct, based on the question and ground-truth \
answer. If the prediction is correct, respond "Correct". If the prediction is incorrect, respond "Incorrect".

Yes/No Question:
Is the man dunking?
Ground-Truth Answer: yes
Model Prediction: He dunks.""",
    "caption_matching": """
You will receive a caption matching question, the ground-truth answer and the prediction from a question answering (QA) \
model. Your task is to determine whether QA model prediction is correct, based on the question and ground-truth \
answer. If the prediction is correct, respond "Correct". If the prediction is incorrect, respond "Incorrect".

Caption Matching Question:
Which description is a more suitable match for the video?
Option 1: The man is dribbling a basketball.
Option 2: A man is dunking a basketball.
Ground-Truth Answer: Option 2: A man is dunking a basketball.
Model Prediction: He dunks.""",
    "captioning": """
You will receive a video description and a multi-choice question. Your task is to choose the correct answer and \
briefly explain the reason why you choose the answer. If none of the choice candidates are correct or the video \
description lacks enough information to answer the question, just answer "None of the choices are correct". \
Please organize your response in this format:
```
Reasoning: [Your reason to obtain the answer]
Answer: [Your answer]
```

Here are some examples of video description, multi-choice question and the expected answer:
```
Video Description: A person is palying football.
Multi-Choice Question:
What is the person doing in the video?
A. cooking
B. palying football
C. playing basketball
D. reading book
Reasoning: The video description mentions that the person is playing football.
Answer: B. palying football

Video Description: A bird is flying clockwise.
Multi-Choice Question:
In which direction is the bird flying?
A. backwark
B. counter-clockwise
C. clockwise
D. downward
Reasoning: The video description mentions that the bird is flying clockwise
Answer: C. clockwise

Video Description: An air balloon is inflating.
Multi-Choice Question:
What is happening to the air balloon?
A. exploding
B. getting smaller
C. flying
Reasoning: The video description mentions that the air balloon is inflating, while none of the coices can be \
explained as inflating.
Answer: None of the choices are correct
```

Video Description:He dunks.
Multi-Choice Question:
What is the man doing in the video?
A. dunking a basketball
B. dribbling a basketball
C. passing a basketball
""",
}


@pytest.mark.parametrize("kind", list(ASKED))
def test_the_judges_messages_are_the_authors(made, kind):
    assert tuple(TASK.judge.ask(made[kind], " He dunks.</s>\n")) == (
        ("system", "You are an AI assistant for question answering."),
        ("user", ASKED[kind]),
    )


def test_the_judge_is_the_authors_with_their_sampling(made):
    assert TASK.judge.model == "gpt-3.5-turbo-1106"
    assert TASK.judge.parameters == {
        "temperature": 1.0,
        "top_p": 1,
        "presence_penalty": 1,
        "max_tokens": 128,
    }
    # Once, and ten times again; a caption's answer is never asked for again.
    assert TASK.judge.attempts == 11
    assert [TASK.judge.again(made["yes_no"], text) for text in ("correct", "", "Incorrect")] == [
        True,
        True,
        False,
    ]
    assert not TASK.judge.again(made["captioning"], "")


# --- readers -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "reply", "official", "careful"),
    [
        ("multi-choice", "A", 1.0, 1.0),
        ("multi-choice", " A. dunking a basketball", 1.0, 1.0),
        ("multi-choice", "A</s>", 1.0, 1.0),
        ("multi-choice", "B) dribbling a basketball", 0.0, 0.0),
        ("multi-choice", "(A)", None, 1.0),
        ("multi-choice", "**A**", None, 1.0),
        ("multi-choice", "The answer is A.", None, 1.0),
        ("multi-choice", "dunking a basketball", None, 1.0),
        ("multi-choice", "", None, 0.0),
        ("yes_no", " yes", 1.0, 1.0),
        ("yes_no", "Yes, he is.", 1.0, 1.0),
        ("yes_no", "None", 0.0, 0.0),
        ("yes_no", "Now he is dunking, yes", 0.0, 1.0),
        ("yes_no", "**Yes**", None, 1.0),
        ("yes_no", "", None, 0.0),
        ("caption_matching", "Option 2", 1.0, 1.0),
        ("caption_matching", "2.", 1.0, 1.0),
        ("caption_matching", "A man is dunking a basketball.", 1.0, 1.0),
        ("caption_matching", "Option 1", 0.0, 0.0),
        ("caption_matching", "option 2", None, 1.0),
        ("caption_matching", "The answer is Option 2", None, 1.0),
        ("captioning", "He dunks.", None, None),
    ],
)
def test_both_readers(made, kind, reply, official, careful):
    found = [reader(made[kind], reply) for reader in (TASK.official, TASK.scorer)]
    assert [score and score.value for score in found] == [official, careful]


@pytest.mark.parametrize(
    ("kind", "reply", "official", "careful"),
    [
        ("multi-choice", "Correct", (1.0, "right"), (1.0, "right")),
        ("multi-choice", "Incorrect", (0.0, "wrong"), (0.0, "wrong")),
        ("multi-choice", "Correct? No, Incorrect", (1.0, "right"), (0.0, None)),
        ("yes_no", "correct", (0.0, None), (1.0, "right")),
        ("caption_matching", "", (0.0, None), (0.0, None)),
        (
            "captioning",
            "Reasoning: x\nAnswer: A. dunking a basketball",
            (1.0, "right"),
            (1.0, "A"),
        ),
        ("captioning", "Answer: A", (0.0, "wrong"), (1.0, "A")),
        ("captioning", "Answer: C. passing a ball", (0.0, "wrong"), (0.0, "C")),
        ("captioning", "", (-1.0, None), (0.0, None)),
    ],
)
def test_both_readers_of_the_judge(made, kind, reply, official, careful):
    found = [reader(made[kind], reply) for reader in (TASK.judge.official, TASK.judge.careful)]
    assert [(score.value, score.answer) for score in found] == [official, careful]


# --- what is refused -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", list(FILES))
@pytest.mark.parametrize("field", ["question", "answer"])
def test_a_missing_field_is_named(temp, bench, kind, field):
    rows = copy.deepcopy(FILES[kind])
    del rows[-1][field]
    root = temp(**{kind.replace("-", "_"): {NAME: {"action": rows}}})
    named = f"questions/{kind}.json, row {len(rows) - 1}: field {field!r} is missing"
    bench.refused("tempcompass", root, named)


@pytest.mark.parametrize(
    ("kind", "change", "named"),
    [
        ("multi-choice", {"answer": "D. dunking a basketball"}, "field 'answer'"),
        ("multi-choice", {"answer": "Z"}, "field 'answer'"),
        ("multi-choice", {"answer": "dunking"}, "field 'answer'"),
        ("multi-choice", {"question": "What is the man doing?"}, "field 'question'"),
        ("multi-choice", {"question": ["What"]}, "field 'question': expected text"),
        ("yes_no", {"answer": "maybe"}, "field 'answer'"),
        ("yes_no", {"answer": True}, "field 'answer': expected text"),
        ("caption_matching", {"answer": "Option 3: A man sleeps."}, "field 'answer'"),
        ("caption_matching", {"question": "Which?\nA man.\nA dog.", "answer": "A dog."}, "field 'question'"),
        (
            "caption_matching",
            {"question": "Which?\nOption 2: A man is dunking a basketball."},
            "field 'question'",
        ),
        ("captioning", {"answer": 2}, "field 'answer': expected text"),
    ],
)
def test_a_malformed_row_is_refused(temp, bench, kind, change, named):
    rows = {NAME: {"action": [FILES[kind][0], {**FILES[kind][0], **change}]}}
    root = temp(**{kind.replace("-", "_"): rows})
    bench.refused("tempcompass", root, f"questions/{kind}.json, row 1", named)


@pytest.mark.parametrize("kind", ["yes_no", "captioning"])
def test_a_video_or_aspect_that_the_other_files_lack_is_refused(temp, bench, kind):
    for content in ({"nobody": {"action": FILES[kind]}}, {NAME: {"speed": FILES[kind]}}):
        bench.refused(
            "tempcompass", temp(**{kind: content}), f"questions/{kind}.json, row 0", "meta_info.json"
        )


@pytest.mark.parametrize("file", ["meta_info.json", *(f"questions/{kind}.json" for kind in FILES)])
def test_a_missing_or_damaged_file_is_named(temp, bench, file):
    root = temp()
    (root / file).unlink()
    bench.refused("tempcompass", root, "not found", file)
    for content in ("{", [1], {NAME: [1]}, {NAME: {"action": [1]}}, {NAME: {"action": {"question": "x"}}}):
        bench.put(root, file, content)
        bench.refused("tempcompass", root, file)


def test_meta_info_without_aspects_is_refused(temp, bench):
    bench.refused(
        "tempcompass", temp(meta={NAME: {"content": []}}), "meta_info.json", "'eval_dim' is missing"
    )
    bench.refused("tempcompass", temp(meta={NAME: {"eval_dim": []}}), "meta_info.json", "'eval_dim'")


# --- the published annotations, predictions and ratings ------------------------------------------------------


def test_the_published_counts(real):
    assert len(real) == 7540 and Counter(sample.tags["type"] for sample in real) == TOTALS
    found = Counter((sample.tags["type"], sample.tags["aspect"]) for sample in real)
    assert found == {
        (kind, aspect): count
        for kind, counts in COUNTS.items()
        for aspect, count in zip(ASPECTS, counts, strict=True)
    }
    assert len({sample.video.path for sample in real}) == 410
    assert len({tuple(sample.id.split("/")[1:3]) for sample in real}) == 501
    assert Counter(sample.target for sample in real if sample.tags["type"] == "yes_no") == {
        "yes": 1226,
        "no": 1227,
    }
    options = Counter((sample.tags["type"], len(sample.choices)) for sample in real)
    assert options == {
        ("multi-choice", 2): 6,
        ("multi-choice", 3): 899,
        ("multi-choice", 4): 675,
        ("caption_matching", 2): 1503,
        ("yes_no", 0): 2453,
        ("captioning", 0): 2004,
    }


def test_eleven_fine_aspects(real):
    found = {}
    for sample in real:
        found.setdefault(sample.tags["aspect"], set()).add(sample.tags["fine aspect"])
    assert found == FINE and sum(map(len, found.values())) == 11


def test_the_published_rows_are_asked_as_they_stand(real, shared):
    samples = {sample.id: sample for sample in real}
    suffixes = {
        "multi-choice": "\nPlease directly give the best option:",
        "yes_no": "\nPlease answer yes or no:",
        "caption_matching": "\nPlease directly give the best option:",
        "captioning": "",
    }
    for kind, suffix in suffixes.items():
        for video, aspect, number, row in rows_of(shared, kind):
            sample = samples.pop(f"{kind}/{video}/{aspect}/{number}")
            assert TASK.prompt(sample, VIEW) == row["question"] + suffix
            assert sample.facts["answer"] == row["answer"]
    assert not samples


def test_captionings_published_gold(real, shared):
    """In 148 of 2,004 it differs from the captioning item's own answer."""
    first = {
        (video, aspect): row for video, aspect, number, row in rows_of(shared, "multi-choice") if number == 0
    }
    samples = {sample.id: sample for sample in real}
    differing = 0
    for video, aspect, number, row in rows_of(shared, "captioning"):
        sample = samples[f"captioning/{video}/{aspect}/{number}"]
        assert sample.facts["mc_question"] == first[video, aspect]["question"]
        assert sample.facts["mc_answer"] == first[video, aspect]["answer"]
        assert sample.target == first[video, aspect]["answer"][0]
        differing += sample.facts["mc_answer"] != row["answer"]
    assert differing == 148


@pytest.mark.parametrize(
    ("kind", "decided"),
    [("multi-choice", 1058), ("yes_no", 2453), ("caption_matching", 852), ("captioning", 0)],
)
def test_rule_and_judge_give_the_published_ratings(real, shared, kind, decided):
    """The authors' predictions through the task's own readers: every rating, and the published percentages."""
    samples = {sample.id: sample for sample in real}
    replies = {
        where: row["prediction"]
        for *where, row in rows_of(shared, kind, f"predictions/{MODEL}")
        for where in [tuple(where)]
    }
    right, total, by_rule = Counter(), Counter(), 0
    for *where, result in rows_of(shared, kind, f"auto_eval_results/{MODEL}"):
        video, aspect, number = where
        sample = samples[f"{kind}/{video}/{aspect}/{number}"]
        score = TASK.official(sample, replies[tuple(where)])
        by_rule += score is not None
        assert (score is not None) == result.get("match_success", False)
        if score is None:
            score = TASK.judge.official(sample, _said(result))
        assert score.value == result["rating"]
        right[aspect] += score.value
        total[aspect] += 1
    assert by_rule == decided
    percent = [round(100 * right[aspect] / total[aspect], 1) for aspect in ASPECTS]
    assert (*percent, round(100 * right.total() / total.total(), 2)) == PUBLISHED[kind]


def _said(result):
    if "chatgpt-response" in result:
        return result["chatgpt-response"]
    return f"Reasoning: {result['chatgpt-reasoning']}\nAnswer: {result['chatgpt-answer']}"


def test_the_published_predictions_are_read_with_their_labels(shared, real):
    """The folder gives every question again; captioning's gold comes from its multi-choice file."""
    (form,) = TASK.predictions
    found = list(form.read(shared / f"data/tempcompass/predictions/{MODEL}"))
    assert [each.id for each in found] == [sample.id for sample in real]
    targets = {sample.id: sample.target for sample in real}
    assert all(each.sample.target == targets[each.id] for each in found)


def test_the_published_average_is_over_all_four_types():
    """64.31 on the leaderboard: micro, as the paper's rows are."""
    right = sum(round(PUBLISHED[kind][-1] * TOTALS[kind] / 100) for kind in TOTALS)
    assert (right, round(100 * right / 7540, 2)) == (4849, 64.31)
    assert (TASK.metric, TASK.macro_over) == ("accuracy", None)
