"""Sentences and words of captions: what ends a sentence and what does not, in English, Chinese and both."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.curation import language as module
from kangaroo_eval.train.curation.language import language, split, words

SENTENCES = [
    ["A man walks.", "He sits down!", "Is he tired?"],
    ["a man walks.", "he sits down."],
    ["Animals, e.g. cats, and i.e. pets, are seen.", "They play."],
    ["Mr. Brown meets Dr. J. R. Smith.", "They talk."],
    ["It weighs 3.5 kg, and costs 2,000.50 dollars.", "He pays."],
    ["He waits... and then leaves.", "He runs."],
    ["He waits...", "Then he leaves…", "He runs."],
    ['She says "Go!"', "He goes."],
    ["They bring tools, ropes, etc.", "The end is near."],
    ["They bring ropes, etc. and tools.", "Fine."],
    ["It opens at 5 p.m. sharp.", "It closes at 9 p.m.", "Nobody waits."],
    ["Shot in the U.S. by day.", "So do I.", "He left in 2010.", "It is over."],
    ["1. A man walks.", "2. He sits."],
    ["No. 5 wins.", "No.", "He loses."],
    ["What?!", "Really..."],
    ["一个人在走路。", "他坐下了！", "他累吗？", "是的；", "他很累"],
    ["他来了!", "然后走了.", "OK then."],
    ["他说……然后走了。", "结束。"],
    ["“走吧。”", "他说。"],
    ["A man walks.", "他坐下了。", "Then he stands."],
    ["他跑了3.5公里。", "很快；", "真的？！"],
    ["He runs; he falls.", "He cries."],
]


@pytest.mark.parametrize("sentences", SENTENCES, ids=lambda each: each[0])
def test_sentences_are_found_again(sentences):
    assert split(" ".join(sentences)) == sentences
    assert split("\n\n".join(sentences)) == sentences


def test_nothing_is_no_sentence():
    assert split("") == split(" \n ") == []


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.sampled_from("aB Z1.5,;!?…。！？；、“”\"')(\n\t他走eg.Mr-"), max_size=60)
    | st.text(max_size=60)
)
def test_no_character_is_lost(text):
    found = split(text)
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(each == each.strip() != "" for each in found)


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("A man walks.", "en"),
        ("一个人在走路。", "zh"),
        ("他用 iPhone 拍照。", "zh"),
        ("he says 你好 loudly", "en"),
        ("一辆BMW在路上", "zh"),
        ("123 ...", "en"),
        ("", "en"),
    ],
)
def test_the_script_tells_the_language(text, lang):
    assert language(text) == lang


def test_words_of_english():
    told = "The MAN’s T-shirt costs 3.5 dollars, 2,000 in all -- “cheap”."
    assert words(told) == [
        "the",
        "man's",
        "t-shirt",
        "costs",
        "3.5",
        "dollars",
        "2,000",
        "in",
        "all",
        "cheap",
    ]
    assert words("... !?") == []


def test_words_of_chinese():
    pytest.importorskip("jieba")
    assert words("一个男人在公园里跑步，他很高兴。") == [
        "一个",
        "男人",
        "在",
        "公园",
        "里",
        "跑步",
        "他",
        "很",
        "高兴",
    ]
    assert "iphone" in words("他用 iPhone 拍照")


def test_without_jieba_the_error_tells_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "jieba", None)
    module._jieba.cache_clear()
    assert words("A man walks.") == ["a", "man", "walks"]
    with pytest.raises(UserError, match=r"pip install 'kangaroo-eval\[curate\]'"):
        words("一个男人")
    module._jieba.cache_clear()
