"""From examples to manifest rows: what `read_manifest` makes of them, what is left out and why, letters and templates."""

from __future__ import annotations

import errno
import json
import re
from collections import Counter
from dataclasses import replace

import pytest

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.train.curation import instructions as module
from kangaroo_eval.train.curation.instructions import (
    Example,
    Made,
    Report,
    Round,
    Segment,
    assemble,
    dense,
    merged,
    with_dense,
    write_manifest,
)
from kangaroo_eval.train.curation.templates import (
    TASKS,
    TEMPLATES,
    Letters,
    ask,
    asked,
    instruct,
    multiple_choice,
    shuffled,
    template,
    with_wrong,
)
from kangaroo_eval.train.rows import read_manifest


def example(name="a", **changes):
    given = {"video": "v.mp4", "source": "made", "task": "short_caption", "duration": 10.0}
    if not set(changes) & {"captions", "rounds", "segments", "options"}:
        given["captions"] = ("A man walks.",)
    return Example(id=name, **(given | changes))


def qa(name="q", question="What moves?", answer="A dog.", **changes):
    given = {"task": "open_qa", "rounds": (Round(question, answer),)}
    return example(name, **(given | changes))


def mc(name="m", options=("red", "green", "blue", "black"), right=0, **changes):
    given = {
        "task": "multiple_choice",
        "question": "Which colour?",
        "options": tuple(options),
        "right": right,
    }
    return example(name, **(given | changes))


def made_of(*examples, **settings):
    report = Report()
    return list(assemble(examples, report, **settings)), report


# Rows


def test_the_round_trip_through_read_manifest(tmp_path):
    (tmp_path / "v.mp4").touch()
    made = Made("merge-en-1", "some-model", ("A man.", "He walks."))
    examples = [
        example("short", captions=("A man walks.",), made=made),
        example("detailed", task="detailed_caption", lang="zh", captions=("一个男人在走路。",)),
        example(
            "dense", task="dense_caption", segments=(Segment(3, 6, "He sits."), Segment(0, 3, "He walks."))
        ),
        mc("choice", start=1.0, end=9.0),
        qa("open"),
        qa("talk", task="conversation", rounds=(Round("Who?", "A man."), Round("Where?", "In a park."))),
        qa("film", context="This video's subtitles are listed below:\nHello."),
    ]
    rows, report = made_of(*examples)
    assert write_manifest(rows, tmp_path / "m.jsonl") == len(examples)
    read = read_manifest(tmp_path / "m.jsonl")
    assert [each.id for each in read] == ["short", "detailed", "dense", "choice", "open", "talk", "film"]
    by_id = {each.id: each for each in read}
    assert by_id["short"].messages[1].content == "A man walks."
    assert by_id["detailed"].messages[0].content in TEMPLATES["detailed_caption"]["zh"]
    assert by_id["dense"].messages[1].content == "0.0 - 3.0 s: He walks.\n3.0 - 6.0 s: He sits."
    assert (by_id["choice"].start, by_id["choice"].end, by_id["choice"].seconds) == (1.0, 9.0, 8.0)
    assert by_id["choice"].messages[1].content in {f"({letter}) red" for letter in "ABCD"}
    assert [each.content for each in by_id["talk"].messages[1:]] == ["A man.", "Where?", "In a park."]
    assert by_id["film"].messages[0].content.startswith("This video's subtitles are listed below:\nHello.\n")
    assert {(each.source, each.duration, each.video) for each in read} == {("made", 10.0, tmp_path / "v.mp4")}
    assert rows[0]["made"] == {
        "prompt": "merge-en-1",
        "model": "some-model",
        "captions": ["A man.", "He walks."],
    }
    options = rows[3]["mc"]["options"]
    assert options["ABCD".index(rows[3]["mc"]["answer"])] == "red"
    assert sorted(options) == ["black", "blue", "green", "red"]
    assert report.rows == {
        **{
            f"{task}, en": 1 for task in ("short_caption", "dense_caption", "multiple_choice", "conversation")
        },
        "detailed_caption, zh": 1,
        "open_qa, en": 2,
    }
    assert not report.drops


def test_a_picture_is_an_image_row_with_the_webs_text_beside_it(tmp_path):
    (tmp_path / "p.png").touch()
    picture = {"task": "image_caption", "video": "p.png", "duration": None}
    rows, report = made_of(
        example("p", **picture, captions=("A dog sits.",), alt="buy dogs"), example("v", category="pets")
    )
    assert report.rows == {"image_caption, en": 1, "short_caption, en": 1} and not report.unknown_length
    assert rows[0]["alt"] == "buy dogs" and "alt" not in rows[1]
    assert rows[1]["category"] == "pets" and "category" not in rows[0]
    (tmp_path / "v.mp4").touch()
    write_manifest(rows, tmp_path / "m.jsonl")
    first, second = read_manifest(tmp_path / "m.jsonl")
    assert first.image and first.video == tmp_path / "p.png" and not second.image
    assert first.messages[0].content in TEMPLATES["image_caption"]["en"]
    assert first.messages[1].content == "A dog sits."


def test_what_is_left_out_and_why():
    bad = [
        example("short", duration=4.99),
        example("clip", start=1.0, end=5.5),
        example("past", start=12.0),
        example("turned", start=5.0, end=3.0),
        example("nan", duration=float("nan")),
        example("empty", captions=(" ",)),
        example("refused", task="detailed_caption", captions=("I'm sorry, I cannot view the video.",)),
        qa("no answer", answer=" "),
        qa("sorry", task="conversation", answer="As an AI, I cannot see it."),
        mc("twice", ("red", "Red ", "blue")),
        mc("blank", ("red", " ")),
        mc("which", right=4),
        example("odd", captions=("A \udc80.",)),
        example("kept"),
        example("kept"),
    ]
    rows, report = made_of(*bad)
    assert [each["id"] for each in rows] == ["kept"]
    assert report.drops == {
        "clip under 5 s": 2,
        "clip that ends before it begins, or begins past the video's end": 2,
        "time that is no number of seconds": 1,
        "caption that is empty or a refusal": 2,
        "empty question or answer": 1,
        "answer that is a refusal": 1,
        "two options are the same": 1,
        "empty question or option": 1,
        "right option 4 of 4": 1,
        "text that is not valid Unicode": 1,
        "id that another row has too": 1,
    }
    assert "2 left out: clip under 5 s" in report.told()


def test_the_shortest_clip_and_unknown_lengths():
    kept = [example("five", duration=5), example("part", start=10.1, end=15.1, duration=60)]
    unknown = example("unknown", duration=None)
    rows, report = made_of(*kept, unknown)
    assert [each["id"] for each in rows] == ["five", "part", "unknown"]
    assert report.unknown_length == 1
    assert "1 kept with a clip of unknown length" in report.told()
    assert "duration" not in rows[2]
    rows, report = made_of(unknown, durations={"v.mp4": 3.0})
    assert rows == []
    rows, report = made_of(unknown, durations={"v.mp4": 3.0}, shortest=2)
    assert rows[0]["duration"] == 3.0


def test_somebody_in_the_video_may_be_sorry():
    rows, _ = made_of(qa("tv", "What does she say?", "I'm sorry."))
    assert rows[0]["messages"][1]["content"] == "I'm sorry."


def test_bad_rounds_go_and_the_conversation_stays():
    rounds = (Round("Who?", "As an AI, I cannot tell."), Round("", "A man."), Round("Where?", "In a park."))
    rows, report = made_of(qa("talk", task="conversation", rounds=rounds))
    assert len(rows[0]["messages"]) == 2
    assert rows[0]["messages"][1]["content"] == "In a park."
    assert report.drops == {
        "round empty, of a conversation that is kept": 1,
        "round that is a refusal, of a conversation that is kept": 1,
    }


def test_one_of_several_captions_is_taken_by_the_id():
    captions = ("One.", "Two.", "Three.", " ")
    told = [made_of(example(str(n), captions=captions))[0][0]["messages"][1]["content"] for n in range(60)]
    assert set(told) == {"One.", "Two.", "Three."}
    assert told[0] == made_of(example("0", captions=captions))[0][0]["messages"][1]["content"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"captions": ("A.",), "task": "open_qa"}, "open_qa holds rounds, and this one captions"),
        ({"rounds": (), "task": "open_qa"}, "open_qa holds rounds, and this one nothing"),
        ({"captions": ("A.",), "rounds": (Round("a", "b"),)}, "this one captions, rounds"),
        ({"task": "caption"}, "unknown task 'caption'. Known: image_caption, short_caption"),
        ({"task": "image_caption"}, "a picture has no start, end or duration"),
        ({"lang": "fr"}, "unknown language 'fr'. Known: en, zh"),
        ({"video": " "}, "both must be given"),
    ],
)
def test_an_example_that_is_none(changes, said):
    with pytest.raises(UserError, match=re.escape(said)):
        example(**changes)


def test_dense_captions_tell_the_seconds_that_the_network_is_told():
    """Those of the file, of a clip as well: the times of its frames are those of the file."""
    told = dense([Segment(12.5, 14, "A\n b."), Segment(10, 12.04, "C.")])
    assert told == "10.0 - 12.0 s: C.\n12.5 - 14.0 s: A b."


# Several rounds of a video


def test_rounds_about_one_clip_become_a_conversation():
    report = Report()
    rounds = [qa(f"q{n}", f"Question {n}?", f"Answer {n}.") for n in range(11)]
    others = [
        qa("other video", video="w.mp4"),
        qa("other clip", start=1.0),
        qa("other source", source="else"),
        qa("other language", lang="zh"),
        qa("subtitles", context="Hello."),
        qa("made", made=Made("p", "m", ())),
        example("caption"),
        mc("choice"),
    ]
    found = merged([*rounds, *others, qa("again", "question  3", "Another.")], report)
    assert {each.id for each in others} <= {each.id for each in found}
    talks = [each for each in found if each.id not in {other.id for other in others}]
    assert [each.id for each in talks] == ["again+0", "again+1"]
    assert [len(each.rounds) for each in talks] == [8, 3]
    said = [each for talk in talks for each in talk.rounds]
    assert {each.question.casefold().rstrip("?").split()[-1] for each in said} == {str(n) for n in range(11)}
    assert report.drops == {"round with a question that its video already has": 1}
    # By hash and not as they came, and in whatever order they come.
    assert [each.question for each in said] != [f"Question {n}?" for n in range(11)]
    turned = merged([qa("again", "question  3", "Another."), *rounds[::-1]], Report())
    assert [each.rounds for each in turned] == [each.rounds for each in talks]


def test_a_cap_on_rounds():
    rounds = [qa(f"q{n}", f"Question {n}?") for n in range(5)]
    assert [len(each.rounds) for each in merged(rounds, Report(), 2)] == [2, 2, 1]
    with pytest.raises(UserError, match="rounds of a conversation 0 must be at least 1"):
        merged(rounds, Report(), 0)


def test_a_merged_conversation_becomes_one_row():
    rows, report = made_of(*merged([qa("a", "Who?", "A man."), qa("b", "Where?", "There.")], Report()))
    assert [each["role"] for each in rows[0]["messages"]] == ["user", "assistant"] * 2
    assert report.rows == {"open_qa, en": 1}


def test_dense_captions_are_added():
    told = {
        "v.mp4": [Segment(0, 5, "A."), Segment(5, 9, "B."), Segment(9, 9, "C.")],
        "w.mp4": [Segment(0, 5, "A.")],
    }
    found = list(with_dense([example("a"), example("b"), example("c", video="w.mp4")], told, "own"))
    assert [each.id for each in found] == ["a", "b", "c", "own/dense/v"]
    assert found[3].segments == tuple(told["v.mp4"][:2])
    assert (found[3].task, found[3].duration) == ("dense_caption", 10.0)


# Multiple choice


def test_the_form_of_a_choice():
    first = TEMPLATES["multiple_choice"]["en"][0]
    name = next(each for each in map(str, range(99)) if template("multiple_choice", "en", each) == first)
    choice = multiple_choice(name, "Q?", ["red", "green"], 1, "en")
    assert choice.target == f"({choice.letter}) green"
    listed = "\n".join(f"({letter}) {text}" for letter, text in zip("AB", choice.options, strict=True))
    assert choice.prompt == f"Q?\nOptions:\n{listed}\nAnswer with the option's letter."
    chinese = {
        multiple_choice(str(n), "什么？", ["红", "绿"], 0, "zh").prompt.split("\n")[1] for n in range(40)
    }
    assert "选项：" in chinese


def test_letters_are_balanced_over_5000_questions():
    report = Report()
    # Every source writes the right one first.
    questions = [mc(f"q{n}", [f"option {k}" for k in range(2 + n % 4)]) for n in range(5000)]
    rows = list(assemble(questions, report))
    assert len(rows) == 5000
    four = report.letters.shares(4)
    assert set(four) == set("ABCD")
    only_four = Letters((4, multiple_choice(f"x{n}", "Q?", "abcd", n % 4, "en").letter) for n in range(5000))
    assert only_four.worst() < 0.02
    assert sum(only_four.counts[4].values()) == 5000
    assert report.letters.worst() < 0.05
    assert "4 options: A " in report.told()
    # The wrong ones are mixed too.
    second = Counter(shuffled(f"x{n}", "abcd", 0)[0][-1] for n in range(2000))
    assert all(350 < second[each] < 650 for each in "abcd")


def test_options_that_stand_last_or_name_letters():
    for n in range(30):
        options, right = shuffled(str(n), ["red", "None of the above", "blue"], 0)
        assert options[2] == "None of the above"
        assert options[right] == "red"
        assert shuffled(str(n), ["red", "以上都不是", "blue"], 1)[0][2] == "以上都不是"
        named = ("red", "blue", "Both A and B")
        assert shuffled(str(n), named, 2) == (named, 2)
    assert {shuffled(str(n), ["Both Anna and Bob", "blue"], 0)[1] for n in range(30)} == {0, 1}


def test_wrong_labels():
    labels = [f"label {n}" for n in range(50)]
    drawn = with_wrong("x", "label 7", labels)
    assert drawn[0] == "label 7"
    assert len(set(drawn)) == 4
    assert drawn == with_wrong("x", "label 7", labels[::-1]) != with_wrong("y", "label 7", labels)
    with pytest.raises(UserError, match="3 labels are too few for 4 options"):
        with_wrong("x", "label 0", labels[:3])


# Templates


def test_every_task_has_several_in_both_languages():
    assert set(TEMPLATES) == set(TASKS)
    for task, forms in TEMPLATES.items():
        for lang in ("en", "zh"):
            assert len(set(forms[lang])) == len(forms[lang]) >= 3
            used = {instruct(task, lang, str(n)) for n in range(200)}
            assert used == set(forms[lang])
            wanted = "caption" not in task
            assert all(("{question}" in each) == wanted for each in forms[lang])
            assert all(("{options}" in each) == (task == "multiple_choice") for each in forms[lang])


def test_questions_with_braces_and_long_answers():
    assert "{options} {question}?" in ask("open_qa", "en", "x", "{options} {question}?", "yes")
    prompt = multiple_choice("x", "What is {options}?", ["{question}", "b"], 0, "en").prompt
    assert "What is {options}?" in prompt
    assert ") {question}" in prompt
    assert all(ask("open_qa", "en", str(n), "Why?", "because " * 10) == "Why?" for n in range(20))


def test_questions_are_written_as_such():
    assert asked("how many dogs are there ") == "How many dogs are there?"
    assert asked("What does it do 2 times ?") == "What does it do 2 times?"
    assert asked("Why?") == "Why?"
    assert asked("为什么") == "为什么？"


# Files


def test_a_manifest_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "new" / "m.jsonl"
    rows, _ = made_of(example())
    write_manifest(rows, path)
    before = path.read_bytes()

    def broken():
        yield rows[0]
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError):
        write_manifest(broken(), path)
    with pytest.raises(UserError, match="no row is left"):
        write_manifest([], path)

    def full(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device"):
        write_manifest([{"id": "other"}], path)
    assert path.read_bytes() == before
    assert [each.name for each in path.parent.iterdir()] == ["m.jsonl"]
    with pytest.raises(UserError, match=r"ends in \.jsonl"):
        write_manifest(rows, tmp_path / "m.json")


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be written"):
        write_manifest([{}], tmp_path / "file" / "m.jsonl")


def test_text_stays_readable(tmp_path):
    rows, _ = made_of(example(lang="zh", captions=("一个男人\n在走路。",)))
    write_manifest(rows, tmp_path / "m.jsonl")
    lines = (tmp_path / "m.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1
    assert "一个男人" in lines[0]
    assert json.loads(lines[0]) == rows[0]


def test_examples_are_values():
    assert replace(example(), id="b").clip == ("v.mp4", None, None)
    assert example(start=2.0, end=9.0).seconds == 7.0
    with pytest.raises(DataError):
        example(captions=())
