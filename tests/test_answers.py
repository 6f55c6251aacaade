"""Readers of answers by name: the careful one against people, and the scorers that tasks share."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from kangaroo_eval.answers import RULES, careful_choice, official_choice, read
from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Sample, Video

OPTIONS = ("Fishing", "Catching the drone", "Launching the drone", "Sunbathing")


PIECES = [
    *"ABCDEFabcd().:, \n*",
    "The answer is ",
    "The best answer is",
    "Answer: ",
    "Best option:",
    "The correct option",
    "The",
    " Answer",
    "Option:",
    "cat ",
    "答案",
    "not ",
    "Both ",
]


CLEAR = {
    "A": "A",
    "B.": "B",
    "(C)": "C",
    "b": "B",
    " d \n": "D",
    "**C**": "C",
    "Ｂ": "B",
    "（Ｃ）": "C",
    "D. A book": "D",
    "B) Catching the drone": "B",
    "b) catching": "B",
    "C) Launching the drone": "C",
    "The answer is C": "C",
    "The best option is B": "B",
    "Best option: C": "C",
    "Best Option: (D": "D",
    "Answer: C": "C",
    "ANSWER: B": "B",
    "Correct answer: B": "B",
    "The answer is B. A car": "B",
    "The best answer is: D. Brown.": "D",
    "The answer is (B) Catching the drone.": "B",
    "Based on the video, the answer is D": "D",
    "I think it is B, not A.": "B",
    "A person is fishing, so the answer is B.": "B",
    "The answer is not A but C": "C",
    "(A) fishing is wrong; (B) is right": "B",
    "C\n\nExplanation: A is wrong because D happens later.": "C",
    "<answer>B</answer>": "B",
    "答案是B": "B",
    "答案：Ｃ": "C",
    "应该选D。": "D",
    r"So we get \boxed{B}.": "B",
    r"\boxed{\text{C}}": "C",
    "<think>Maybe A. The answer is A? No.</think>\nB": "B",
    "A... no, B": "B",
    "Option D": "D",
    "Catching the drone": "B",
    "The man is catching the drone on the lake shore.": "B",
    '{"answer": "C"}': "C",
    "A man walks in, a dog follows. Therefore the correct answer is **D**.": "D",
    "I would choose option C because the drone is in his hand.": "C",
}
UNREADABLE = [
    "",
    "2",
    "AB",
    "E",
    "Either A or B",
    "Both (A) and (C)",
    "None of the above",
    "I cannot determine the answer from the video.",
    "A man is walking.",
    "I think the video shows a lake.",
    "C is cleaning the kitchen",
    "[LMMS_EVAL_REQUEST_FAILED] A",
    "Failed to obtain answer via API.",
    "The answer is a drone.",
    "It is a person who fishes.",
    "<think>The answer is B",
    "I'm sorry, but I can't see A clearly.",
    "!!!!",
    "It's a tie.",
]


@pytest.mark.parametrize("text", CLEAR)
def test_careful_reads_what_a_person_reads(text):
    assert read("careful", text, OPTIONS).answer == CLEAR[text]


@pytest.mark.parametrize("text", UNREADABLE)
def test_careful_admits_what_a_person_could_not_tell(text):
    assert read("careful", text, OPTIONS).answer is None


def test_careful_reads_replies_that_somebody_else_labelled():
    """Replies written and labelled without knowledge of the reader. It was mended on them since, so this holds
    what it reads; it does not measure how well it reads what it has not seen."""
    labelled = json.loads((Path(__file__).parent / "careful_replies.json").read_text())
    options = labelled["options"]
    assert len(labelled["replies"]) > 250
    wrong = [
        (text, label, read("careful", text, options))
        for text, label in labelled["replies"]
        if read("careful", text, options).answer != label
    ]
    assert wrong == []


def test_careful_span_points_at_the_letter_it_read():
    text = "（Ａ） is wrong. 答案是Ｂ。"
    reading = read("careful", text, OPTIONS)
    assert reading.answer == "B"
    assert text[slice(*reading.span)] == "Ｂ"


def test_careful_reads_an_option_whose_text_begins_with_a_letter():
    options = ("C is cooking a meal", "C is cleaning the kitchen", "C sleeps")
    assert read("careful", "C is cleaning the kitchen", options).answer == "B"


def test_careful_prefers_the_longer_of_two_nested_options():
    options = ("red", "dark red", "blue", "green")
    assert read("careful", "It was dark red.", options).answer == "B"


def test_careful_never_raises_on_noise():
    draw = random.Random(1)
    for _ in range(2000):
        text = "".join(
            draw.choice([*PIECES, "\\boxed{", "<think>", "</think>", "选"]) for _ in range(draw.randrange(12))
        )
        answer = read("careful", text, OPTIONS).answer
        assert answer is None or answer in "ABCD"


def test_unknown_rule_lists_the_names():
    with pytest.raises(UserError, match="careful, egoschema, longvideobench, lvbench, mlvu"):
        read("lmms", "A", OPTIONS)


def _sample(choices, target):
    return Sample("1", Video("v.mp4"), "q", choices, target)


def test_the_names_of_the_readers():
    assert sorted(RULES) == [
        *("careful", "egoschema", "longvideobench", "lvbench", "mlvu", "mvbench", "seedbench", "videomme"),
        "videovista",
    ]


def test_careful_scores_count_unreadable_as_wrong():
    sample = _sample(OPTIONS, "B")
    assert careful_choice(sample, "no idea").value == 0
    assert careful_choice(sample, "B").value == 1


def test_without_a_public_label_the_answer_is_kept_and_not_scored():
    score = careful_choice(_sample(OPTIONS, None), "The answer is B")
    assert (score.value, score.answer) == (None, "B")
    assert score.span is not None


def test_either_of_two_equal_options_is_right_for_the_careful_reader_only():
    sample = _sample(("red", "blue", "blue", "green"), "C")
    assert careful_choice(sample, "B").value == 1
    assert official_choice("mlvu")(sample, "B)").value == 0


def test_an_item_without_a_right_option_is_wrong_whatever_is_said():
    sample = _sample(OPTIONS, "@")
    assert [careful_choice(sample, letter).value for letter in "ABCD"] == [0, 0, 0, 0]
