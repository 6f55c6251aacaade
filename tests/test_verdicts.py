"""Parsers of judges' replies: the official ones against the authors' outputs, the careful ones against people."""

from __future__ import annotations

import json
import random

import pytest
from transcriptions import plain_caption_answer, plain_mlvu_scores, plain_mmbench_video, plain_rating

from kangaroo_eval import verdicts

ACCURACY = ("score_accuracy", "score_relevance")


def golden(shared, name):
    return json.loads((shared / f"golden/{name}.json").read_text())


# --- MMBench-Video --------------------------------------------------------------------------------------------


def test_mmbench_video_equals_the_authors_code(shared):
    cases = golden(shared, "mmbench_video_judge_parse")
    assert len(cases) == 23
    for case in cases:
        # Where the script would crash, the reply is unreadable.
        expected = case["score"] if isinstance(case["score"], int) else -1
        assert verdicts.mmbench_video(case["judge_text"]) == expected, case


def test_mmbench_video_packs_equal_the_authors_code(shared):
    for case in golden(shared, "mmbench_video_pack_parse"):
        assert verdicts.mmbench_video_pack(case["text"]) == case["parsed"], case


def test_mmbench_video_pack_survives_what_no_json_reader_likes():
    assert verdicts.mmbench_video_pack('{"0": "a"} Failed to obtain answer via API.') is None
    assert verdicts.mmbench_video_pack('{"a": ' * 50_000) is None
    assert verdicts.mmbench_video_pack('{"a": ' + "[" * 50_000) == {"a": "[" * 50_000}
    assert verdicts.mmbench_video_pack("{nothing here") == {}
    assert verdicts.mmbench_video_pack("{'0': ','}\n'1': \"'\n'2': b: c") == {
        "0": "','}".strip(",'"),
        "2": "b",
    }


@pytest.mark.parametrize("seed", range(200))
def test_mmbench_video_equals_a_plain_transcription(seed):
    draw = random.Random(seed)
    for _ in range(20):
        text = "".join(draw.choice("0012345+-. ") for _ in range(draw.randrange(0, 5)))
        assert verdicts.mmbench_video(text) == plain_mmbench_video(text), text


MMBENCH_READ = {
    **{
        "3": 3,
        "3.": 3,
        " 2\n": 2,
        "0": 0,
        "Rating: 3": 3,
        "rating: 1.": 1,
        "**Rating:** 2": 2,
        "Score: 2/3": 2,
    },
    **{"3/3": 3, "2 out of 3": 2, "3, because the answer matches": 3, "3. It matches fully.": 3, "[3]": 3},
    **{'"2"': 2, "'2'": 2, "two": 2, "3.0": 3, "The score is **1** because of it.": 1, "My rating of 0": 0},
    **{
        "3\n\nBoth say the same.": 3,
        "3 (complete similarity)": 3,
        "Your response: 1": 1,
        "the rating is 2.": 2,
    },
    **{"": None, "5": None, "-1": None, "2.5": None, "1+1": None, "True": None, "2, 3": None, "2-3": None},
    **{"2 - 3": None, "Rating: 2-3": None, "Rating: 4": None, "Score: 2/5": None, "3 apples": None},
    **{
        "1. First\n2. Second": None,
        "Rating: 2. A rating of 3 would be too much.": None,
        "10": None,
        "33": None,
    },
    **{"Failed to obtain answer via API.": None, "I cannot rate this.": None, "Rating: 1\nRating: 2": None},
}


@pytest.mark.parametrize("text", MMBENCH_READ)
def test_mmbench_video_strict_reads_the_one_rating(text):
    assert verdicts.mmbench_video_strict(text) == MMBENCH_READ[text]


# --- MLVU -----------------------------------------------------------------------------------------------------

WHOLE = "{'score_accuracy': 3.67, 'score_relevance': 5, 'total_score': 8.67}"


@pytest.mark.parametrize(
    ("text", "official", "strict"),
    [
        (WHOLE, [3.67, 5.0], (3.67, 5.0)),
        ("{'score_accuracy': 3}", [3.0], None),
        ("{'score_relevance': 4, 'total_score': 7}", [4.0], None),
        ("I cannot score this.", [], None),
        ("{'score_accuracy':3, 'score_relevance':4, 'total_score':7}", None, (3.0, 4.0)),
        ("score_accuracy is 3 because: it misses, alas", None, None),
        ('```json\n{"score_accuracy": 3, "score_relevance": 4}\n```', None, (3.0, 4.0)),
        ("The score_accuracy: high, as {x}.\n" + WHOLE, None, (3.67, 5.0)),
        ("{'score_accuracy': 1, 'score_relevance': 1, 't': 2}\nNo: " + WHOLE, [1.0, 1.0], (3.67, 5.0)),
        ("{'a': {'b': 1}, 'score_accuracy': 2, 'score_relevance': 3, 'c': {}}", [2.0, 3.0], (2.0, 3.0)),
        ("{'score_accuracy': 2, 'score_relevance': 6, 'total_score': 8}", [2.0, 6.0], None),
        ("{'score_accuracy': 0, 'score_relevance': 3, 'total_score': 3}", [0.0, 3.0], None),
        ("{'score_accuracy': True, 'score_relevance': 3, 'total_score': 4}", None, None),
        ("{'score_accuracy': '4', 'score_relevance': 3, 'total_score': 7}", None, None),
        ("{'score_accuracy': 2, 'score_relevance': 3, 'total_score': 2+3}", [2.0, 3.0], None),
        ("{" * 50_000, [], None),
        ("[" * 50_000 + "{" + "(" * 50_000 + "}", [], None),
        ("", [], None),
    ],
)
def test_mlvu_scores(text, official, strict):
    assert verdicts.mlvu_scores(text, ACCURACY) == official
    assert verdicts.mlvu_scores_strict(text, ACCURACY) == strict


MLVU_PIECES = [
    *"{}:, '\n35.",
    "'score_accuracy'",
    "score_relevance",
    ": 3",
    ": 4.5,",
    ":2,",
    " because",
    "{'",
]


@pytest.mark.parametrize("seed", range(200))
def test_mlvu_scores_equal_a_plain_transcription(seed):
    draw = random.Random(seed)
    for _ in range(20):
        text = "".join(draw.choice(MLVU_PIECES) for _ in range(draw.randrange(0, 12)))
        assert verdicts.mlvu_scores(text, ACCURACY) == plain_mlvu_scores(text, ACCURACY), text


# --- TempCompass ----------------------------------------------------------------------------------------------


def test_tempcompass_judge_equals_the_authors_code(shared):
    for case in golden(shared, "tempcompass_judge_rating"):
        expected = None if case["official"] == "AssertionError" else case["official"]
        assert verdicts.tempcompass_rating(case["text"]) == expected, case
    for case in golden(shared, "tempcompass_captioning_judge"):
        assert verdicts.tempcompass_caption_answer(case["judge_text"], case["gt"]) == (
            case["official"],
            case["answer"],
        )


CAPTION_TABLE = {
    **{
        "Reasoning: x\nAnswer: C. passing a basketball": 1,
        "Answer: C. passing": 1,
        "C. passing a basketball": 1,
    },
    **{"Answer: C": 0, "Answer: C) passing": 0, "Answer: (C) passing": 0, "Answer: C. or A.": 0, "": -1},
    **{"**Answer:** C. passing a basketball": 0, "Reasoning: a\nAnswer:\nC. passing a basketball": 0},
    **{"Answer: C. passing a ball at the U.S.A. game": 0},
}


def test_tempcompass_caption_answers_of_the_specification():
    for text, rating in CAPTION_TABLE.items():
        assert verdicts.tempcompass_caption_answer(text, "C. passing a basketball")[0] == rating, text


def test_tempcompass_published_judgements_give_the_published_ratings(shared):
    folder = shared / "data/tempcompass/auto_eval_results/reka-core-20240501"
    agree = differ = readable = 0
    for aspects in json.loads((folder / "captioning.json").read_text()).values():
        for result in (each for results in aspects.values() for each in results):
            text = result["chatgpt-answer"]
            if result["chatgpt-reasoning"] is not None:
                text = f"Reasoning: {result['chatgpt-reasoning']}\nAnswer: {text}"
            rating, answer = verdicts.tempcompass_caption_answer(text, result["gt-answer"])
            agree += (rating, answer) == (result["rating"], result["chatgpt-answer"])
            differ += rating != result["rating"]
            careful, _ = verdicts.tempcompass_caption_answer_careful(text, result["gt-answer"])
            readable += careful is not None
            assert rating != 1 or careful == 1, text
    assert (agree, differ) == (2004, 0)
    assert readable > 1900


def test_tempcompass_published_ratings_follow_from_the_judges_words(shared):
    folder = shared / "data/tempcompass/auto_eval_results/reka-core-20240501"
    for name in ("multi-choice", "caption_matching"):
        for aspects in json.loads((folder / f"{name}.json").read_text()).values():
            for result in (each for results in aspects.values() for each in results):
                if not result["match_success"]:
                    assert verdicts.tempcompass_rating(result["chatgpt-response"]) == result["rating"]
                    assert verdicts.tempcompass_rating_careful(result["chatgpt-response"]) == result["rating"]


RATING_PIECES = ["Correct", "Incorrect", "correct", " ", ".", "No, ", "\n", "is "]
ANSWER_PIECES = [
    "Answer: ",
    "Answer",
    "Reasoning: ",
    "\n",
    " ",
    "A. ",
    "C.",
    "C. passing",
    "D",
    "**",
    "B.",
    "a",
]


@pytest.mark.parametrize("seed", range(200))
def test_tempcompass_judges_equal_a_plain_transcription(seed):
    draw = random.Random(seed)
    for _ in range(20):
        text = "".join(draw.choice(RATING_PIECES) for _ in range(draw.randrange(0, 6)))
        assert verdicts.tempcompass_rating(text) == plain_rating(text), text
        text = "".join(draw.choice(ANSWER_PIECES) for _ in range(draw.randrange(0, 8)))
        for gold in ("C. passing a basketball", "A. b"):
            assert verdicts.tempcompass_caption_answer(text, gold) == plain_caption_answer(text, gold), text


@pytest.mark.parametrize(
    ("text", "rating"),
    [
        *(
            ("correct", 1),
            ("Correct.", 1),
            ("**CORRECT**", 1),
            ("The prediction is correct.", 1),
            ("Correct!\n", 1),
        ),
        *(
            ("incorrect", 0),
            ("Incorrect.", 0),
            ("The prediction is Incorrect.", 0),
            ("This is not correct.", 0),
        ),
        *(
            ("It isn't correct", 0),
            ("not entirely correct", 0),
            ("Correct? No, Incorrect", None),
            ("yes", None),
        ),
        *(
            ("Correct or Incorrect", None),
            ("Incorrect. The correct answer is B.", 0),
            ("not incorrect", None),
            ("", None),
            ("correctness", None),
        ),
    ],
)
def test_tempcompass_careful_rating(text, rating):
    assert verdicts.tempcompass_rating_careful(text) == rating


@pytest.mark.parametrize(
    ("text", "rating", "letter"),
    [
        *(
            ("Answer: C", 1, "C"),
            ("Answer: C) passing a basketball", 1, "C"),
            ("Answer: (C) passing", 1, "C"),
        ),
        *(("**Answer:** C. passing a basketball", 1, "C"), ("Reasoning: a\nAnswer:\nC. passing", 1, "C")),
        *(("answer: C. passing a basketball", 1, "C"), ("C", 1, "C"), ("Answer: A. dunking", 0, "A")),
        ("Reasoning: B is named first.\nAnswer: C. passing", 1, "C"),
        ("Answer: C. passing a ball at the U.S.A. game", 1, "C"),
        ("Reasoning: B is seen.\nAnswer: None of the choices are correct", None, None),
        *(("", None, None), ("The caption does not say.", None, None)),
    ],
)
def test_tempcompass_careful_caption_answer(text, rating, letter):
    assert verdicts.tempcompass_caption_answer_careful(text, "C. passing a basketball") == (rating, letter)


def test_tempcompass_careful_caption_answer_knows_the_options():
    options = ("dunking a basketball", "dribbling a basketball", "passing a basketball")
    read = verdicts.tempcompass_caption_answer_careful(
        "Answer: passing a basketball", "C. passing a basketball", options
    )
    assert read == (1, "C")


@pytest.mark.parametrize(
    ("said", "rating"),
    [
        ("I give it a 2", 2),
        ("Answer: 2", 2),
        ("The answer is 2.", 2),
        ("Similarity: 2", 2),
        ("I would rate this a 2.", 2),
        ("Rating (0-3): 2", 2),
        ("<think>3? no</think>2", 2),
        ("２", 2),
        ("Rating：2", 2),
        ("I cannot give it a rating", None),
        ("The ground truth answer is 2, your answer is 1. Score: 0", 0),
        ("The answer is 2 dogs. Score: 3", 3),
        ("The reference answer is 2", None),
    ],
)
def test_a_judges_rating_is_read_however_it_is_put(said, rating):
    assert verdicts.mmbench_video_strict(said) == rating


def test_half_right_is_neither():
    assert verdicts.tempcompass_rating_careful("Partially correct") is None
    assert verdicts.tempcompass_rating_careful("<think>incorrect?</think>Correct.") == 1


def test_numbers_that_no_mean_survives_are_none():
    assert verdicts.mmbench_video("3" * 400) == -1
    assert verdicts.mlvu_scores("{'a': nan, 'b': 4, 'c': 4}", ("a", "b")) is None
    assert verdicts.mlvu_scores("{'a': 1e999, 'b': 4, 'c': 4}", ("a", "b")) is None
    assert verdicts.mlvu_scores("{'a': 3, 'b': 4, 'c': 4}", ("a", "b")) == [3.0, 4.0]
