"""The careful readers of yes or no and of captions, and of numbers as options, held by labelled replies (nearly all of them
labelled before the readers were written)."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from kangaroo_eval.careful import careful
from kangaroo_eval.closed import caption_matching, yes_no

READERS = Path(__file__).parent / "readers"
YES_NO = json.loads((READERS / "yes_no.json").read_text())["replies"]
CAPTIONS = json.loads((READERS / "caption_matching.json").read_text())
OPTIONS = CAPTIONS["sets"]["options"]


@pytest.mark.parametrize(("text", "label"), YES_NO)
def test_yes_no_reads_what_a_person_reads(text, label):
    assert yes_no(text).answer == label


@pytest.mark.parametrize(("name", "text", "label"), CAPTIONS["replies"])
def test_caption_matching_reads_what_a_person_reads(name, text, label):
    assert caption_matching(text, CAPTIONS["sets"][name]).answer == label


def test_there_are_enough_labelled_replies():
    for replies in ([label for _, label in YES_NO], [label for _, _, label in CAPTIONS["replies"]]):
        assert len(replies) >= 90
        assert 0.2 < replies.count(None) / len(replies) < 0.4


def test_spans_point_at_what_was_read():
    text = "<think>no</think>The leaf grows, so ｙｅｓ."
    assert text[slice(*yes_no(text).span)] == "ｙｅｓ"
    assert yes_no("No. Correction: yes").span == (16, 19)
    text = "Not Option 1 but **Option 2**."
    assert text[slice(*caption_matching(text, OPTIONS).span)] == "Option 2"


def test_yes_no_agrees_with_the_published_ratings(shared):
    """All replies of this file begin with Yes or No; four of them go on to decline."""
    unread = 0
    for result in _results(shared, "yes_no"):
        said = yes_no(result["video-llm-prediction"]).answer
        unread += said is None
        assert said is None or int(said == result["gt-answer"]) == result["rating"], result
    assert unread <= 4


def test_caption_matching_agrees_with_the_published_ratings(shared):
    """Where the official rule decides there is no doubt; where ChatGPT rated, it erred now and then, and rated 0
    replies that choose no caption."""
    counts = {(decided, said): 0 for decided in (True, False) for said in ("same", "other", None)}
    for result in _results(shared, "caption_matching"):
        captions = [line.split(": ", 1) for line in result["question"].split("\n")[1:]]
        said = caption_matching(result["video-llm-prediction"], captions).answer
        right = int(said == result["gt-answer"].split(":")[0])
        verdict = None if said is None else "same" if right == result["rating"] else "other"
        counts[result["match_success"], verdict] += 1
    assert counts[True, "same"] == 852
    assert counts[False, "same"] >= 627
    assert counts[False, "other"] <= 16


def _results(shared, task):
    file = shared / f"data/tempcompass/auto_eval_results/reka-core-20240501/{task}.json"
    for aspects in json.loads(file.read_text()).values():
        for results in aspects.values():
            yield from results


DIGITS = ("3", "1", "2", "0")
WORDS = ("A. One.", "B. Two.", "C. Three.", "D. Four.")
TIMES = ("1 time", "2 times", "3 times", "4 times")


@pytest.mark.parametrize(
    ("text", "options", "label"),
    [
        *(("3", DIGITS, "A"), ("2.", DIGITS, "C"), ("**0**", DIGITS, "D"), ("The answer is 1.", DIGITS, "B")),
        *(("three", WORDS, "C"), ("3", WORDS, "C"), ("One", WORDS, "A"), ("There are 3 apples.", WORDS, "C")),
        *(
            ("I count 1, 2, 3. So the total is 3.", WORDS, "C"),
            ("It is 3, not 2.", WORDS, "C"),
            ("２", WORDS, "B"),
        ),
        *(("He does it twice.", TIMES, "B"), ("3 times", TIMES, "C"), ("A man jumps 2 times", TIMES, "B")),
        *(("1,000", ("1000", "2000"), "A"), ("50%", ("20%", "50%"), "B")),
        *(("2.5", ("2", "2.5"), "B"), ("<think>It is 3.</think>2", DIGITS, "C")),
    ],
)
def test_a_number_is_the_option_that_says_it(text, options, label):
    assert careful(text, options).answer == label


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("5", DIGITS),
        ("2 or 3", WORDS),
        ("no one", WORDS),
        ("Error: 3", DIGITS),
        ("a red car", DIGITS),
        ("", DIGITS),
    ],
)
def test_a_number_that_is_no_option_or_not_stated_is_unreadable(text, options):
    assert careful(text, options).answer is None


PIECES = [
    *(
        "yes",
        "no",
        "not ",
        "Option 1",
        "Option 2",
        "2",
        "B",
        " ",
        ", ",
        ". ",
        "\n",
        "?",
        "(",
        ")",
        "is ",
        "wait ",
    ),
    *(
        "A man is dunking a basketball",
        "The answer is ",
        "best option is ",
        "<think>",
        "</think>",
        "or ",
        "wrong",
        "是",
    ),
]


def test_the_readers_never_raise_on_noise():
    draw = random.Random(2)
    for _ in range(3000):
        text = "".join(draw.choice(PIECES) for _ in range(draw.randrange(14)))
        for reading in (yes_no(text), caption_matching(text, OPTIONS)):
            assert reading is None or reading.answer is None or text[slice(*reading.span)].strip(), text
