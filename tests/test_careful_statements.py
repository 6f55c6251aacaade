"""Statements that are easily misread: reasons after an answer, denials, yes and no, lists of letters, words of errors.

The table is of replies made up for it; the last test is of a real model's, whose rightness a judge said.
"""

from __future__ import annotations

import json
import time
from collections import Counter

import pytest

from kangaroo_eval.answers import careful_choice
from kangaroo_eval.careful import careful
from kangaroo_eval.types import Sample, Video

COLOURS = ("red", "blue", "green")
WAYS = ("leftward", "upward", "downward", "rightward")
DOES = ("Sleeping", "Swimming", "Foraging", "Dancing")
ANIMALS = ("the cat", "the dog", "the bird", "the fish")
TRUCKS = ("The truck is empty", "The truck is overloaded with goods", "The truck is red")
YES, TRUE = ("Yes", "No"), ("True", "False")

CASES = [
    (COLOURS, "The answer is red. The man finally enters a blue car.", "A"),
    (COLOURS, "The answer is red. This indicates the blue light was off.", "A"),
    (COLOURS, "The correct answer is red. Overall, the scene has a blue tint.", "A"),
    (COLOURS, "The shirt is red. In the end he sits in a blue car.", None),
    (COLOURS, "The shirt is red. So it is blue.", "B"),
    (
        WAYS,
        "The camera is moving rightward. This is indicated by the background moving from right to left.",
        "D",
    ),
    (DOES, "The animal is foraging, therefore dancing is not the answer.", "C"),
    (DOES, "The squirrel is foraging, so 'Dancing' is not the best description.", "C"),
    (DOES, "The animal is foraging. This suggests that sleeping is not an option.", "C"),
    (DOES, "The animal is foraging. Clearly dancing is not happening.", "C"),
    (DOES, "So dancing is not right.", None),
    (DOES, "Dancing is not the best description.", None),
    (YES, "False", "B"),
    (YES, "It is false.", "B"),
    (YES, "The statement is false.", "B"),
    (YES, "It is not true.", "B"),
    (YES, "Yes he does.", "A"),
    (YES, "no there is not", "B"),
    (("No", "Yes"), "False", "A"),
    (("yes", "no", "not sure"), "Yes it is", "A"),
    (TRUE, "Incorrect", "B"),
    (TRUE, "Correct", "A"),
    (YES, "No information", None),
    (YES, "I do not know.", None),
    (ANIMALS, "The answer is B. The truck is overloaded with hay.", "B"),
    (TRUCKS, "B. The truck is heavily overloaded with goods.", "B"),
    (TRUCKS, "The truck is heavily overloaded with goods.", "B"),
    (ANIMALS, "Warning lights flash on the dashboard, so the answer is B.", "B"),
    (ANIMALS, "The answer is B. The screen shows 'HTTP 404'.", "B"),
    (ANIMALS, "Error: model overloaded", None),
    (ANIMALS, "The server is overloaded", None),
    (ANIMALS, "None", None),
    (ANIMALS, "A\nB\nC\nD", None),
    (ANIMALS, "1. A\n2. B\n3. C\n4. D", None),
    (ANIMALS, "A\nC", None),
    (ANIMALS, "Options:\nA\nB\nC\nD", None),
    (ANIMALS, "(A)(B)(C)(D)", None),
    (ANIMALS, "❌A ❌B ✅C ❌D", "C"),
    (ANIMALS, "C\n\nC", "C"),
    (ANIMALS, "A > B > C", "A"),
    (("x", "y", "Both A and B"), "A, B", "C"),
    (("red", "blue", "over there", "green"), "All of the above.", None),
    (YES, "No, I cannot see the video", None),
    (YES, "No, the information is insufficient", None),
    (YES, "No. The video was not provided.", None),
    (YES, "Yes, but I can't tell", None),
    (YES, "Yes, I understand the question. Please upload the video.", None),
    (YES, "Correct, but which is it?", None),
    (COLOURS, "The light is red. We can see it turn green. So green.", "C"),
    (COLOURS, "The shirt is red. We can see that it turns blue at the end, so it is blue.", "B"),
    (COLOURS, "The light is red. This is shown at the start; it must be green in the end.", "C"),
    (COLOURS, "The first car is red. You can see the second car is blue.", None),
    (COLOURS, "The answer is the opposite of red. So it is blue.", "B"),
    (tuple("abcde"), "E: Unable to connect to server: Connection refused", None),
    (tuple("abcde"), "E. Traceback (most recent call last)", None),
    (tuple("abcde"), "Answer: A 500 Internal Server Error", None),
    (tuple("abcde"), "Answer: A server error occurred, rate limit exceeded", None),
]


@pytest.mark.parametrize(("options", "text", "letter"), CASES, ids=[text[:50] for _, text, _ in CASES])
def test_what_is_stated_is_read(options, text, letter):
    assert careful(text, options).answer == letter


def test_a_degenerate_list_takes_no_time():
    started = time.perf_counter()
    careful("✅ A\n❌ B\n" * 30 + "✅ Th", ANIMALS)
    assert time.perf_counter() - started < 1


@pytest.mark.parametrize(
    ("options", "same"),
    [
        (("-2", "2"), False),
        (("+3", "-3"), False),
        (("x > y", "x < y"), False),
        (("A. 1:5", "B. 1.5"), False),
        (("A. $5", "B. 5%"), False),
        (("J. Smith", "M. Smith"), False),
        (("A. Red", "B. red."), True),
        (("a  dog", "A dog"), True),
    ],
)
def test_an_option_is_as_good_as_another_of_the_very_same_text_alone(options, same):
    sample = Sample(id="1", video=Video("v"), question="?", choices=options, target="A")
    assert careful_choice(sample, "B").value == float(same)


def test_a_real_models_sentences_are_read_as_a_judge_read_them(shared):
    """Of Reka's multiple-choice replies that were judged right (most are sentences with reasons) hardly one is read as
    another option. Source: TempCompass's published auto_eval_results."""
    path = shared / "data/tempcompass/auto_eval_results/reka-core-20240501/multi-choice.json"
    counts: Counter[str] = Counter()
    for dimensions in json.loads(path.read_text()).values():
        for asked in (each for rows in dimensions.values() for each in rows if each["rating"]):
            options = asked["question"].split("\n")[1:]
            read = careful(asked["video-llm-prediction"], options).answer
            gold = asked["gt-answer"][0]
            counts["right" if read == gold else "unread" if read is None else "another"] += 1
    assert counts.total() > 900
    assert counts["another"] <= 4 and counts["right"] >= 0.98 * counts.total()
