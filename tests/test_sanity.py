"""Each detector on answers that should ring it, and on answers that should not."""

from __future__ import annotations

import pytest

from kangaroo_eval.sanity import Observed, findings, repeats
from kangaroo_eval.types import Estimate

GOOD = Estimate(0.8, 0.02, 40, 0)


def observed(count=40, text=None, read=None, options=4, cues=None):
    """`count` sound answers with the keys A, B, C, D in turn, but for what is said otherwise."""
    out = []
    for i in range(count):
        key = "ABCD"[i % 4]
        said = key if read is None else read(i)
        out.append(Observed(f"{said} ({i})" if text is None else text(i), said, key, options, cues))
    return out


def kinds(seen, score=GOOD):
    return [each.kind for each in findings(seen, score)]


def test_sound_answers_ring_nothing():
    assert kinds(observed()) == [] and findings([], GOOD) == []
    assert kinds(observed(cues=12)) == []


def test_a_letter_that_is_always_taken():
    found = findings(observed(read=lambda i: "B" if i % 5 else "ABCD"[i % 4]), GOOD)
    assert [each.kind for each in found] == ["letter_collapse"]
    assert "B is the answer to 85% of 40 samples, and the key to 25%" in found[0].text
    keys_too = [Observed(f"B {i}", "B", "B", 4) for i in range(40)]
    assert kinds(keys_too) == [], "where B is the key, B is no collapse"
    assert kinds(observed(12, read=lambda i: "B")) == [], "too few to tell"


def test_one_text_for_all():
    found = findings(observed(text=lambda i: "I see a video of several things that move."), GOOD)
    assert [each.kind for each in found] == [
        "identical"
    ] and "40 of 40 answers are the same: 'I see" in found[0].text
    assert kinds(observed(text=lambda i: "yes" if i % 3 else "no")) == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [("", "empty"), (" \n", "empty"), ("the the the the the", "repeating"), ("red " * 90, "repeating")],
)
def test_texts_that_say_nothing(text, kind):
    assert kinds(observed(text=lambda i: text if i < 4 else f"A {i}")) == [kind]
    assert kinds(observed(400, text=lambda i: text if i < 4 else f"A {i}")) == [], "one of a hundred happens"


def test_repetition():
    assert repeats("I see a red circle. " * 5) and repeats("no no no no no")
    assert repeats("The answer is " + "A or B or " * 20)
    assert not repeats("no no no no") and not repeats("a b c d e f g h")
    assert not repeats(
        "very very very very very far from here there was a land where nothing ever was the same"
    )
    assert not repeats("")


def test_unreadable_answers():
    seen = observed(read=lambda i: None if i % 10 == 0 else "ABCD"[i % 4])
    assert kinds(seen) == ["unreadable"]


@pytest.mark.parametrize(
    ("value", "stderr", "kind"),
    [(0.27, 0.03, ["chance"]), (0.32, 0.03, []), (0.1, 0.03, ["below_chance"]), (None, None, [])],
)
def test_scores_that_guessing_gives(value, stderr, kind):
    assert kinds(observed(), Estimate(value, stderr, 40, 0)) == kind
    assert kinds(observed(options=0), Estimate(value, stderr, 40, 0)) == [], (
        "open questions have no chance level"
    )


def test_subtitles_without_a_line():
    seen = [*observed(39, cues=5), Observed("A 39", "A", "A", 4, 0)]
    found = findings(seen, GOOD)
    assert [each.kind for each in found] == ["no_subtitles"] and "1 of 40 videos" in found[0].text
