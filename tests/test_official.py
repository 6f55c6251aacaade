"""The official rules against the authors' own outputs, their published predictions, and a second transcription."""

from __future__ import annotations

import json
import random
import re
from collections import Counter

import pytest
from transcriptions import (
    plain_caption_matching,
    plain_egoschema,
    plain_first,
    plain_longvideobench,
    plain_lvbench,
    plain_mlvu,
    plain_multi_choice,
    plain_mvbench,
    plain_videomme,
    plain_yes_no,
)

from kangaroo_eval import official
from kangaroo_eval.answers import RULES, official_choice, official_mvbench, official_ranking, read
from kangaroo_eval.errors import UserError
from kangaroo_eval.types import Sample, Video

FOUR = ("Fishing", "Catching the drone", "Launching the drone", "Sunbathing")
EGO = (
    "C is cooking a meal",
    "C is cleaning the kitchen",
    "C is reading a book",
    "C is watering plants",
    "C is painting a wall",
)
MVBENCH = ("Ate the medicine.", "Tidied up the blanket.", "Put down the cup/glass/bottle.", "Took the box.")


def golden(shared, name):
    return json.loads((shared / f"golden/{name}.json").read_text())


def sample(choices, target):
    return Sample("1", Video("v.mp4"), "q", tuple(choices), target)


# --- golden columns: what the authors' code gave -------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "column", "options"),
    [
        ("videomme", "official_v2_parse_answer", FOUR),
        ("mlvu", "official", FOUR),
        ("lvbench", "official_polish", FOUR),
        ("longvideobench", "lmms_eval_4opt", FOUR),
        ("longvideobench", "lmms_eval_5opt", (*FOUR, "Sleeping")),
        ("egoschema", "lmms_eval", EGO),
        ("egoschema", "lmms_eval", tuple(f"{a}. {b}" for a, b in zip("ABCDE", EGO, strict=True))),
    ],
)
def test_long_video_rules_equal_the_authors_code(shared, rule, column, options):
    cases = golden(shared, "long_video_answers")
    assert len(cases) == 41
    for case in cases:
        expected = case[rule][column]
        if expected in ("''", "∅wrong") or expected.startswith("RANDOM"):
            expected = None
        assert read(rule, case["response"], options).answer == expected, case["response"]


def test_a_random_guess_is_scored_at_its_expected_value(shared):
    for case in golden(shared, "long_video_answers"):
        for rule, column, options in (
            ("longvideobench", "lmms_eval_4opt", FOUR),
            ("longvideobench", "lmms_eval_5opt", (*FOUR, "Sleeping")),
            ("egoschema", "lmms_eval", EGO),
        ):
            value = official_choice(rule, unreadable="guess")(sample(options, "B"), case["response"]).value
            expected = case[rule][column]
            guess = expected == f"RANDOM{{{'ABCDE'[: len(options)]}}}"
            assert value == (1 / len(options) if guess else float(expected == "B"))


def test_mvbench_equals_the_authors_notebook(shared):
    cases = golden(shared, "mvbench_answers")
    assert len(cases) == 27
    for case in cases:
        letter, text = case["gt"][1], case["gt"][4:]
        assert official.mvbench_correct(case["response"], letter, text) == case["official_pipeline_paren"], (
            case
        )
        score = official_mvbench(sample(MVBENCH, letter), case["response"])
        assert score.value == float(case["official_pipeline_paren"])


def test_seedbench_and_videovista_equal_the_authors_code(shared):
    for case in golden(shared, "seedbench_answers"):
        assert read("seedbench", case["response"], FOUR).answer == case["lmms_pred"]
        scored = official_choice("seedbench")(sample(FOUR, case["answer"]), case["response"])
        assert scored.value == case["lmms_seedbench_2"]
    for case in golden(shared, "videovista_answers"):
        scored = official_choice("videovista")(sample(EGO, case["gold"]), case["response"])
        assert scored.value == case["official_correct"], case


TEMPCOMPASS = {
    "multi-choice": official.tempcompass_multi_choice,
    "yes_no": official.tempcompass_yes_no,
    "caption_matching": official.tempcompass_caption_matching,
}


def test_tempcompass_rules_equal_the_authors_code(shared):
    meaning = {1: True, 0: False, "LLM": None, "None->0": False}
    for case in golden(shared, "tempcompass_rules"):
        decided = TEMPCOMPASS[case["task"]](case["response"], case["question"], case["answer"])
        assert decided is meaning[case["official"]], case


# --- the cases in the tables of the benchmarks' specification -------------------------------------------------

MVBENCH_TABLE = [
    *((reply, "A", 1) for reply in ("A", "a", "A.", "(A) Ate the m", "A) Ate the m", "A. Ate the m")),
    *(("", "C", 1), ("...", "D", 1), (")", "D", 0), (" (C)", "B", 0), (" (C)", "C", 1), ("(B", "B", 0)),
    *(("B: Tidied up the blanket.", "B", 0), ("C,", "C", 0), ("The answer is (B).", "B", 0)),
    *(("Answer: D", "D", 0), ("Option D", "D", 0), ("**D**", "D", 0), ("Ate the medicine.", "A", 0)),
    *(("Took the box", "D", 0), ("(A) or (B)", "A", 1), ("(A) or (B)", "B", 0), ("AB", "A", 0)),
    *(
        ("D\nbecause he took the box", "D", 1),
        ("A man took the box.", "A", 1),
        ("A man took the box.", "D", 0),
    ),
    *(("It is a red ball, so (B)", "B", 0), ("Because he did", "B", 0)),
    *(("Based on the video, (C)", "C", 0), ("Based on the video, (C)", "A", 0), ("1", "B", 0)),
]
MULTI_CHOICE_TABLE = {
    True: [
        "A",
        "A.",
        "A)",
        "A) or B)",
        "A.dunking",
        "A. dribbling a basketball",
        " A. dunking a basketball",
        "A\n",
        "A</s>",
    ],
    False: ["B. dunking a basketball", None],
    None: ["(A)", "a", "A: dunking", "dunking a basketball", "The answer is A.", "**A**", "E", ""],
}
YES_NO_TABLE = {
    True: ["Yes, he is.", "Yes and no", "yesterday he did", " yes"],
    False: ["Not really", "Nope", "None", "Now he is dunking, yes", None],
    None: ["The man is dunking. Yes.", "**Yes**", "True", ""],
}
CAPTION_QUESTION = (
    "Which description is a more suitable match for the video?\n"
    "Option 1: The man is dribbling a basketball.\nOption 2: A man is dunking a basketball."
)
CAPTION_TABLE = {
    True: [
        "Option 2",
        "2",
        "2.",
        "A man is dunking a basketball.",
        "Z) A man is dunking a basketball.",
        "Option 2: A man is dunking a basketball. ",
    ],
    False: ["Option 1", None],
    None: [
        "A man is dunking a basketball",
        "option 2",
        "(2)",
        "B",
        "The answer is Option 2",
        "Option 2: The man is dribbling a basketball.",
    ],
}
SEED_TABLE = {
    **{
        ("B", "B"): 1,
        ("b", "B"): 0,
        ("B.", "B"): 1,
        (" B", "B"): 1,
        ("B. Cut a knife", "B"): 1,
        ("(B)", "B"): 0,
    },
    **{("The answer is B", "B"): 0, ("Answer: B", "B"): 0, ("**B**", "B"): 0, ("option B", "B"): 0},
    **{("Cut a knife on the table", "B"): 0, ("Cut a knife on the table", "C"): 1, ("Definitely B", "D"): 1},
    **{("Both B and C", "B"): 1, ("Because of C, B", "B"): 1, ("A person cut a knife", "A"): 1},
    **{("D\nB", "D"): 1, ("", "A"): 0},
}
VIDEOVISTA_TABLE = {
    **{("A", "A"): 1, ("A.", "A"): 1, (" A", "A"): 1, ("D\n", "D"): 1, ("C: text", "C"): 1, ("B) x", "B"): 1},
    **{("(A)", "A"): 0, ("a", "A"): 0, ("**D**", "D"): 0, ("The answer is C", "C"): 0, ("Answer: A", "A"): 1},
    **{("Answer: B", "A"): 1, ("A man", "A"): 1, ("Both A and B", "B"): 1, ("E", "E"): 1, ("E", "D"): 0},
    **{("", "A"): 0},
}


def test_the_tables_of_the_specification_hold():
    for reply, gold, expected in MVBENCH_TABLE:
        assert official_mvbench(sample(MVBENCH, gold), reply).value == expected, (reply, gold)
    tables = (
        ("multi-choice", MULTI_CHOICE_TABLE, "q\nA. dunking a basketball\nB. b", "A. dunking a basketball"),
        ("yes_no", YES_NO_TABLE, "q", "yes"),
        ("caption_matching", CAPTION_TABLE, CAPTION_QUESTION, CAPTION_QUESTION.split("\n")[2]),
    )
    for task, table, question, answer in tables:
        for decided, replies in table.items():
            for reply in replies:
                assert TEMPCOMPASS[task](reply, question, answer) is decided, (task, reply)
    for (reply, gold), expected in SEED_TABLE.items():
        assert official_choice("seedbench")(sample(FOUR, gold), reply).value == expected, reply
    for (reply, gold), expected in VIDEOVISTA_TABLE.items():
        assert official_choice("videovista")(sample(EGO, gold), reply).value == expected, reply


def test_mvbench_reads_the_one_letter_that_would_be_right():
    assert read("mvbench", "A) Ate", MVBENCH).answer == "A"
    assert read("mvbench", "", MVBENCH).answer is None
    assert read("mvbench", "Option D", MVBENCH).answer is None
    assert official_mvbench(sample(MVBENCH, "C"), "").answer == "right"
    assert official_mvbench(sample(MVBENCH, "C"), "Option C").answer == "wrong"
    assert official_mvbench(sample(MVBENCH, "C"), "d").answer == "D"


# --- published predictions and ratings ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "count"), [("multi-choice", 1058), ("yes_no", 2453), ("caption_matching", 852)]
)
def test_tempcompass_rules_give_the_published_ratings(shared, task, count):
    folder = shared / "data/tempcompass"
    said = json.loads((folder / f"predictions/reka-core-20240501/{task}.json").read_text())
    rated = json.loads((folder / f"auto_eval_results/reka-core-20240501/{task}.json").read_text())
    decided = 0
    for video, aspects in said.items():
        for aspect, items in aspects.items():
            for item, result in zip(items, rated[video][aspect], strict=True):
                verdict = TEMPCOMPASS[task](item["prediction"], item["question"], item["answer"])
                assert (verdict is not None) == result["match_success"]
                if verdict is not None:
                    decided += 1
                    assert int(verdict) == result["rating"]
    assert decided == count


def test_seedbench_scores_of_gpt4v(shared):
    """The published answers are bare letters; a few questions stand in the file twice."""
    text = (shared / "data/seedbench/SEED-Bench-2_GPT-4V.json").read_text()
    rows = {row["question_id"]: row for row in map(json.loads, re.findall(r"\{.*?\}", text))}
    right, total = Counter(), Counter()
    for name, row in rows.items():
        kind = name.split("_")[0]
        total[kind] += 1
        right[kind] += official_choice("seedbench")(sample(FOUR, row["gt_answer"]), row["prediction"]).value
    percent = {kind: round(100 * right[kind] / total[kind], 2) for kind in ("20", "21", "22")}
    assert percent == {"20": 65.67, "21": 51.67, "22": 63.44}
    assert (total["19"], right["19"]) == (1584, 1026)


# --- a second, plain transcription of each rule ---------------------------------------------------------------

PIECES = [
    *"ABCDEFabcd().:, \n*'",
    *(
        "The answer is ",
        "The best answer is",
        "Answer: ",
        "Best option:",
        "The correct option",
        "The",
        " Answer",
    ),
    *(
        "Option:",
        "cat ",
        "答案",
        "not ",
        "Both ",
        "</s>",
        "(A)",
        "B. ",
        "C) ",
        "yes",
        "No",
        "b. c is cleaning",
    ),
    *(" the kitchen", "A. C is cooking a meal", "Option 2", "1", "Z) ", "A man is dunking a basketball."),
    *CAPTION_QUESTION.split("\n")[1:],
]


@pytest.mark.parametrize("seed", range(200))
def test_official_rules_equal_a_plain_transcription(seed):
    draw = random.Random(seed)
    text = "".join(draw.choice(PIECES) for _ in range(draw.randrange(0, 14)))
    short = "".join(draw.choice(PIECES) for _ in range(draw.randrange(0, 3)))
    for reply in (text, short):
        assert (read("videomme", reply, FOUR).answer or "") == plain_videomme(reply)
        assert (read("longvideobench", reply, FOUR).answer or "?") == plain_longvideobench(reply)
        assert (read("lvbench", reply, FOUR).answer or "") == plain_lvbench(reply)
        assert (read("seedbench", reply, FOUR).answer or "") == plain_first(reply)
        assert (read("videovista", reply, EGO).answer or "") == plain_first(reply)
        assert (read("egoschema", reply, EGO).answer or "?") == plain_egoschema(reply, EGO)
        for gold in "ABCD@":
            assert (read("mlvu", reply, FOUR).answer == gold) == plain_mlvu(reply, gold)
            assert official.mvbench_correct(reply, gold, "x") == plain_mvbench(reply, gold)
        accepted = [letter for letter in "ABCD" if plain_mvbench(reply, letter)]
        assert read("mvbench", reply, MVBENCH).answer == (accepted[0] if len(accepted) == 1 else None)
        for gold in ("A. dunking", "B. b"):
            assert official.tempcompass_multi_choice(reply, "q", gold) is plain_multi_choice(reply, gold)
        for gold in ("yes", "no"):
            assert official.tempcompass_yes_no(reply, "q", gold) is plain_yes_no(reply, gold)
        for question in (CAPTION_QUESTION, "q\nCaption A: Ratio is 3: 1\nCaption B: b"):
            for gold in question.split("\n")[1:]:
                decided = official.tempcompass_caption_matching(reply, question, gold)
                assert decided is plain_caption_matching(reply, question, gold)


# --- scorers --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1, 0.5, 0.5, 2], "B"),
        ([0.2] * 4, "A"),
        ([float("nan"), 3, 4, 5], "B"),
        ([float("nan")] * 4, "A"),
        ([float("inf"), float("nan"), float("inf"), float("nan")], "A"),
        ([1, 2, float("-inf"), float("nan")], "C"),
    ],
)
def test_ranking_takes_the_lowest_loss(losses, expected):
    score = official_ranking(sample(FOUR, "B"), losses)
    assert (score.answer, score.value) == (expected, float(expected == "B"))
    assert official_ranking(sample(FOUR, None), losses).value is None


def test_unreadable_is_wrong_or_dropped_or_guessed():
    item = sample(FOUR, "B")
    assert official_choice("videomme", unreadable="drop")(item, "no idea").value is None
    assert official_choice("mlvu")(item, "no idea").value == 0
    guessed = official_choice("longvideobench", unreadable="guess")(item, "no idea")
    assert (guessed.value, guessed.answer, guessed.rule) == (0.25, None, "longvideobench")
    with pytest.raises(UserError, match="'wrnog' is not one of wrong, drop, guess"):
        official_choice("mlvu", unreadable="wrnog")
    with pytest.raises(UserError, match="careful, egoschema"):
        official_choice("lmms")
    with pytest.raises(UserError, match="official_mvbench"):
        official_choice("mvbench")


LETTERED = sorted(set(RULES) - {"careful", "mvbench"})


@pytest.mark.parametrize("rule", LETTERED)
@pytest.mark.parametrize("unreadable", ["wrong", "drop", "guess"])
def test_without_a_label_there_is_no_score_and_without_an_option_nothing_is_right(rule, unreadable):
    score = official_choice(rule, unreadable=unreadable)
    for reply in ("A", "@)", "@", ""):
        assert score(sample(FOUR, None), reply).value is None
        # MLVU's script compares with its own "@" too: a fault, and kept.
        fault = rule == "mlvu" and "@" in reply
        guessed = rule == "mlvu" and unreadable == "guess" and reply == ""
        assert bool(score(sample(FOUR, "@"), reply).value) == (fault or guessed)
        assert not official_mvbench(sample(FOUR, "@"), reply).value
        assert official_mvbench(sample(FOUR, None), reply).value is None
    assert score(sample(FOUR, None), "A").answer == "A"
