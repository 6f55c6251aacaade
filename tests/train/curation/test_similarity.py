"""Eq. 2 against values worked out by hand, and which captions are kept."""

from __future__ import annotations

import pytest

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.curation.similarity import Pair, is_refusal, most_alike, overlap, refine, similarity


def test_equation_2_by_hand():
    # {a, man, walks} and {a, man, sits, down}: 2 of 5; {he, walks, away} shares 1 of 5 with the first, 0 with the second.
    assert similarity("A man walks. A man sits down. He walks away.") == 2 / 5
    # {a, dog, runs, in, the, park} and {the, dog, runs, fast, in, a, park}: 6 of 7.
    pair = most_alike("Trees are green. A dog runs in the park. The dog runs fast in a park!")
    assert pair == Pair(6 / 7, "A dog runs in the park.", "The dog runs fast in a park!")
    # Case, punctuation and repeated words make no difference.
    assert similarity("The CAT, the cat. the cat!") == 1.0


def test_chinese_by_hand():
    pytest.importorskip("jieba")
    # {一个, 男人, 在, 跑步} and {一个, 女人, 在, 跑步}: 3 of 5.
    assert similarity("一个男人在跑步。一个女人在跑步。") == 3 / 5


def test_fewer_than_two_sentences():
    assert similarity("") == similarity("A man walks") == similarity("A man walks. ...") == 0.0
    assert most_alike("A man walks.") is None


def test_languages_are_compared_apart():
    pytest.importorskip("jieba")
    assert similarity("A man walks. 一个男人在走路。") == 0.0
    # A name that both have is no likeness.
    assert similarity("iPhone. 他在用 iPhone 拍照片。") == 0.0
    assert similarity("A man walks. 一个男人在走路。 A man walks away.") == 3 / 4


def test_overlap_of_nothing():
    assert overlap(frozenset(), frozenset()) == 0.0


REFUSALS = [
    "I'm sorry, I cannot describe this video.",
    "I’m sorry, but I can't assist with that.",
    "I am unable to view the frames.",
    "Sorry, I cannot help with this.",
    "Unfortunately, I can't see the video.",
    "As an AI language model, I do not watch videos.",
    "As an AI, I cannot tell.",
    "I cannot provide a description.",
    "Thank you for the frames. However, I cannot view the video itself.",
    "抱歉，我无法描述这个视频。",
    "很抱歉，无法回答。",
    "对不起，我看不到视频。",
    "我无法观看视频。",
    "无法提供描述。",
    "作为一个AI语言模型，我不能看视频。",
]
CAPTIONS = [
    'A woman says "I\'m sorry" and leaves.',
    "As an airplane lands, people wave.",
    "The man cannot open the door.",
    "Sorry signs hang on the wall.",
    "一辆车陷在泥里，无法前进。",
    "一个女孩向妈妈说对不起。",
    "As an actor I know enters, the crowd cheers.",
]


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals(text):
    assert is_refusal(text)


@pytest.mark.parametrize("text", CAPTIONS)
def test_what_is_no_refusal(text):
    assert not is_refusal(text)


def test_what_is_kept_and_why_not():
    captions = [
        "A man walks in the park. Children play with a ball.",
        " \n. ",
        "I'm sorry, I cannot see it. I'm sorry, I cannot see it.",
        "A man walks in the park. A man walks in the park today.",
        "A man walks.",
    ]
    verdicts = list(refine(captions, 0.6))
    assert [each.reason for each in verdicts] == ["", "empty", "refusal", "repeated", ""]
    assert [each.kept for each in verdicts] == [True, False, False, False, True]
    assert verdicts[3].told() == (
        "repeated: 'A man walks in the park.' and 'A man walks in the park today.' share 86% of their words"
    )
    assert verdicts[0].told() == "kept"
    assert verdicts[1].told() == "empty"
    # "Above" the threshold: at it a caption stays.
    assert next(refine(["A man walks. A man sits down."], 0.4)).kept


@pytest.mark.parametrize("threshold", [-0.1, 1, 1.5, float("nan")])
def test_a_threshold_that_is_none(threshold):
    with pytest.raises(UserError, match="below 1"):
        refine([], threshold)
