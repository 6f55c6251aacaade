"""Converters: a record of each source as its authors publish it, files of every format, and bad records."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.rows import Row
from kangaroo_eval.train.curation.converters import CONVERTERS, LABELLED, convert, named
from kangaroo_eval.train.curation.instructions import Report, Round, Segment, assemble, write_manifest
from kangaroo_eval.train.rows import read_manifest

LABELS = [
    "Holding something",
    "Pushing something",
    "Opening something",
    "Closing something",
    "Folding something",
]

LLAVA = [
    {"from": "human", "value": "<video>\nWhat is shown?"},
    {"from": "gpt", "value": "A man walks."},
    {"from": "human", "value": "Where?"},
    {"from": "gpt", "value": "In a park."},
]
LABEL = {
    "id": "78687",
    "label": "holding potato",
    "template": "Holding [something]",
    "placeholders": ["potato"],
}
FIVE = {"a0": "a", "a1": "b", "a2": "c", "a3": "d", "a4": "e"}

RECORDS = {
    "vatex": {"videoID": "Ptf_2VRj-V0_000122_000132", "enCap": ["A man walks.", "He walks."], "chCap": ["一个男人在走路。"]},
    "charades": {
        "id": "46GP8", "subject": "HR43", "scene": "Kitchen", "script": "A person cooks.", "objects": "food",
        "descriptions": "A person cooks food.;Someone is cooking.", "actions": "c092 11.90 21.20", "length": "24.83",
    },
    "charades_sta": {"line": "AO8RW 0.0 6.9##a person is putting a book on a shelf.\n"},
    "youcook2": {
        "key": "GLd3aX16zBg", "duration": 241.62, "subset": "training", "recipe_type": "113",
        "annotations": [
            {"segment": [90, 102], "id": 0, "sentence": "spread margarine on bread"},
            {"segment": [114, 127], "id": 1, "sentence": "place cheese on the bread"},
        ],
    },
    "textvr": {"path": "Sports/G7ll8RnSgvU_00300_00310.mp4", "captions_info": [{"caption": "Bulls play."}]},
    "sharegpt4video": {
        "video_id": "x1", "video_path": "panda/x1.mp4", "zip_folder": "panda_videos_1.zip",
        "captions": [{"idx": "0", "content": "A frame."}, {"idx": "-1", "content": "The whole video."}],
    },
    "sharegptvideo_caption": {"id": "v_1", "video": "v_1", "conversations": LLAVA[:2]},
    "sharegptvideo_qa": {"id": "v_1", "video": "v_1", "conversations": LLAVA},
    "sharegpt4video_mix": {"id": 7, "video": "a/b.mp4", "conversations": LLAVA},
    "nextqa_mc": {
        "video": "4010069381", "frame_count": "369", "question": "how do the two man play the instrument",
        "answer": "0", "qid": "6", "type": "CH", **FIVE,
    },
    "nextqa_oe": {
        "video": 3233088823, "question": "how is the bulldozer controlled", "answer": "from the drivers cabin",
        "qid": 3, "type": "CH",
    },
    "tgifqa_mc": {
        "gif_name": "tumblr_nk172bbdPI1u1lr18o1_250", "question": "What does the butterfly do 10 or more than 10 times ?",
        "a1": "stuff marshmallow", "a2": "holds a phone", "a3": "fall over", "a4": "talk", "a5": "flap wings",
        "answer": "4", "vid_id": "ACTION4", "key": "26",
    },
    "tgifqa_oe": {
        "gif_name": "tumblr_nd53vw6Crc1r7na6zo1_400", "question": "How many times does the man wave his head ?",
        "answer": "5", "vid_id": "COUNT2", "key": "16",
    },
    "clevrer": {
        "scene_index": 10000, "video_filename": "video_10000.mp4",
        "questions": [
            {"question_id": 0, "question": "What color is the sphere?", "question_type": "descriptive", "answer": "red"},
            {
                "question_id": 1, "question": "What will happen next?", "question_type": "predictive",
                "choices": [
                    {"choice_id": 0, "choice": "The cube collides", "answer": "wrong"},
                    {"choice_id": 1, "choice": "The sphere exits", "answer": "correct"},
                ],
            },
            {
                "question_id": 2, "question": "Which is responsible", "question_type": "explanatory",
                "choices": [
                    {"choice_id": 0, "choice": "The presence of the cube", "answer": "correct"},
                    {"choice_id": 1, "choice": "The presence of the ball", "answer": "correct"},
                    {"choice_id": 2, "choice": "The presence of the cone", "answer": "wrong"},
                ],
            },
        ],
    },
    "tvqa": {"qid": 7, "q": "What is Robin holding?", "answer_idx": 4, "ts": "1.21-8.49", "vid_name": "met_s06e22_seg01_clip_02", **FIVE},
    "cinepile": {
        "movie_name": "Rocky", "yt_clip_link": "https://www.youtube.com/watch?v=SA7xn1YEs8A", "subtitles": "Yo.",
        "question": "Who wins?", "choices": ["Rocky", "Apollo", "No one"], "answer_key": "Rocky", "answer_key_position": 0,
    },
    "moviechat": {
        "info": {"video_path": "1.mp4", "fps": 25, "num_frame": 1000}, "caption": "A film.",
        "global": [{"question": "When does it happen", "answer": "At night"}, {"question": "Where?", "answer": "There"}],
        "breakpoint": [{"time": 300, "question": "What?", "answer": "That"}],
    },
    "videochatgpt": {"q": "What happens?", "a": "A man walks.", "video_id": "v_k_ZXmr8pmrs"},
    "videochat": {"video": "005/1.mp4", "QA": [{"q": "Who?", "a": "A man."}, {"q": "Where?", "a": "There."}]},
    "videochat2": {"video": "a.mp4", "start": 3.5, "end": 9, "QA": [{"i": "Describe it.", "q": "", "a": "A man."}]},
    "egoqa": {"video": "uid/1.mp4", "QA": [{"i": "Answer it.", "q": "What did I do?", "a": "You cut wood."}]},
    "webvidqa": {"video": "002/2.mp4", "QA": [{"i": "Answer it.", "q": "Who is it?", "a": "woman"}]},
    "valley": {
        "id": "x", "v_id": "Ptf_2VRj-V0_000122_000132", "video": "Ptf_2VRj-V0.mp4", "source": "VATEX",
        "conversations": LLAVA,
    },
    "ssv2": LABEL,
    "kinetics710": {
        "label": "abseiling", "youtube_id": "-3B32lodo2M", "time_start": "59", "time_end": "69", "split": "train",
    },
}  # fmt: skip


def one(name, record=None, videos=None):
    row = Row(Path("file"), 3, RECORDS[name] if record is None else record)
    if name in LABELLED:
        return LABELLED[name](row, videos or named(), LABELS)
    return CONVERTERS[name](row, videos or named())


def test_every_source_has_a_record_here():
    assert set(RECORDS) == {*CONVERTERS, *LABELLED}


@pytest.mark.parametrize("name", RECORDS)
def test_every_source_gives_rows(name, tmp_path):
    examples = one(name, videos=lambda each: f"videos/{each}")
    assert examples
    report = Report()
    rows = list(assemble(examples, report))
    assert not report.drops
    for each in rows:
        (tmp_path / each["video"]).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / each["video"]).touch()
    write_manifest(rows, tmp_path / "m.jsonl")
    assert len(read_manifest(tmp_path / "m.jsonl")) == len(rows) == len(examples)
    assert CONVERTERS.get(name, LABELLED.get(name)).__doc__


def test_captions():
    english, chinese = one("vatex")
    assert (english.captions, english.lang, english.duration) == (("A man walks.", "He walks."), "en", 10.0)
    assert (chinese.captions, chinese.lang, chinese.video) == (
        ("一个男人在走路。",),
        "zh",
        "Ptf_2VRj-V0_000122_000132.mp4",
    )
    assert english.id != chinese.id
    (charades,) = one("charades")
    assert charades.captions == ("A person cooks food.", "Someone is cooking.")
    assert charades.duration == 24.83
    (script,) = one("charades", RECORDS["charades"] | {"descriptions": " ; "})
    assert script.captions == ("A person cooks.",)
    (moment,) = one("charades_sta")
    assert (moment.start, moment.end, moment.video) == (0.0, 6.9, "AO8RW.mp4")
    whole, first, _ = one("youcook2")
    assert whole.segments[0] == Segment(90.0, 102.0, "spread margarine on bread")
    assert (first.start, first.end, first.duration) == (90.0, 102.0, 241.62)
    assert one("sharegpt4video")[0].captions == ("The whole video.",)
    assert one("sharegptvideo_caption")[0].captions == ("A man walks.",)
    assert one("textvr")[0].video == "Sports/G7ll8RnSgvU_00300_00310.mp4"


def test_questions_with_options():
    (each,) = one("nextqa_mc")
    assert each.question == "How do the two man play the instrument?"
    assert (each.options, each.right) == (("a", "b", "c", "d", "e"), 0)
    (each,) = one("tgifqa_mc")
    assert each.options[each.right] == "flap wings"
    assert each.question == "What does the butterfly do 10 or more than 10 times?"
    (each,) = one("tvqa")
    assert (each.right, each.start) == (4, None)
    (each,) = one("cinepile")
    assert (each.video, each.right) == ("SA7xn1YEs8A.mp4", 0)
    assert each.context.endswith("\nYo.")


def test_clevrer():
    descriptive, predictive, *explanatory = one("clevrer")
    assert descriptive.rounds == (Round("What color is the sphere?", "red"),)
    assert predictive.options[predictive.right] == "The sphere exits"
    assert [each.options[each.right] for each in explanatory] == ["yes", "yes", "no"]
    assert explanatory[2].question == "Which is responsible?\nIs this right: The presence of the cone?"
    assert len({each.id for each in (descriptive, predictive, *explanatory)}) == 5


def test_labels_as_options():
    (each,) = one("ssv2")
    assert each.options[each.right] == "Holding something"
    assert set(each.options) <= set(LABELS)
    assert len(set(each.options)) == 4
    (each,) = one("kinetics710")
    assert (each.video, each.duration) == ("-3B32lodo2M_000059_000069.mp4", 10.0)
    assert each.options[each.right] == "abseiling"


def test_conversations():
    assert one("valley")[0].video == "Ptf_2VRj-V0_000122_000132.mp4"
    assert one("sharegptvideo_qa")[0].rounds == (
        Round("What is shown?", "A man walks."),
        Round("Where?", "In a park."),
    )
    assert one("videochat2")[0].rounds == (Round("Describe it.", "A man."),)
    assert (one("videochat2")[0].start, one("videochat2")[0].end) == (3.5, 9.0)
    assert one("egoqa")[0].rounds == (Round("What did I do?", "You cut wood."),)
    assert (one("egoqa")[0].task, one("egoqa")[0].source) == ("open_qa", "egoqa")
    assert [each.rounds[0].question for each in one("moviechat")] == ["When does it happen?", "Where?"]
    assert one("moviechat")[0].duration == 40.0


# Bad records

BAD = [
    ("vatex", {"videoID": "abc"}, "field 'videoID'"),
    ("vatex", {"videoID": "Ptf_2VRj-V0_000122_000132"}, "field 'enCap' is missing"),
    ("charades_sta", {"line": "AO8RW 0.0##a"}, "ID START END"),
    ("charades_sta", {"line": "AO8RW 1.2.3 6##a"}, "ID START END"),
    ("charades", RECORDS["charades"] | {"length": "long"}, "expected a number, found 'long'"),
    ("youcook2", RECORDS["youcook2"] | {"annotations": [{"segment": [9, 3], "sentence": "a"}]}, "two times"),
    ("nextqa_mc", RECORDS["nextqa_mc"] | {"answer": "5"}, "a whole number from 0 to 4"),
    ("nextqa_mc", RECORDS["nextqa_mc"] | {"answer": "nan"}, "expected a number"),
    (
        "tvqa",
        {key: value for key, value in RECORDS["tvqa"].items() if key != "answer_idx"},
        "'answer_idx' is missing",
    ),
    ("kinetics710", RECORDS["kinetics710"] | {"time_end": "inf"}, "expected a number"),
    ("cinepile", RECORDS["cinepile"] | {"yt_clip_link": "https://example.com"}, "a YouTube link"),
    ("sharegpt4video", RECORDS["sharegpt4video"] | {"captions": []}, "the idx '-1'"),
    ("valley", RECORDS["valley"] | {"conversations": LLAVA[1:]}, "by turns"),
    ("valley", RECORDS["valley"] | {"conversations": LLAVA[:3]}, "by turns"),
    ("videochat", {"video": "a.mp4", "QA": []}, "holds rounds"),
    (
        "clevrer",
        {"scene_index": 1, "video_filename": "a.mp4", "questions": [{"question_id": 0}]},
        "'question'",
    ),
]


@pytest.mark.parametrize(("name", "record", "said"), BAD)
def test_bad_records_are_told_of(name, record, said):
    with pytest.raises(DataError) as error:
        one(name, record)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_video_that_is_not_there():
    for name in RECORDS:
        with pytest.raises(DataError, match="no video"):
            one(name, videos=lambda name: None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 9) | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["idx", "q", "a", "i"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_whatever_stands_in_a_field_the_record_is_bad_and_nothing_breaks(data):
    name = data.draw(st.sampled_from(sorted(RECORDS)))
    record = dict(RECORDS[name])
    record[data.draw(st.sampled_from(sorted(record)))] = data.draw(JSON)
    try:
        examples = one(name, record)
    except UserError:
        return
    for row in assemble(examples, Report()):
        json.dumps(row)


# Files


def test_files_of_every_format(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    chat = RECORDS["videochatgpt"]
    (tmp_path / "list.json").write_text(json.dumps([chat, chat]))
    (tmp_path / "lines.jsonl").write_text(
        json.dumps(chat) + "\n\n" + json.dumps(chat) + "\n", encoding="utf-8-sig"
    )
    pq.write_table(pa.Table.from_pylist([chat, chat]), tmp_path / "table.parquet")
    (tmp_path / "commas.csv").write_text('q,a,video_id\n"What, then?",A man.,v\nWho?,A man.,v\n')
    (tmp_path / "tabs.csv").write_text("q\ta\tvideo_id\nWhat, then?\tA man.\tv\nWho?\tA man.\tv\n")
    for file in tmp_path.iterdir():
        found = convert("videochatgpt", file, named("videos"))
        assert (len(found.examples), found.records, not found.bad) == (2, 2, True), file
        assert found.examples[0].id == f"videochatgpt/{file.stem}/0"
        assert found.examples[0].video.startswith("videos/v")
    moments = tmp_path / "charades_sta_train.txt"
    moments.write_text("AO8RW 0.0 6.9##a person sits.\nnonsense\n")
    found = convert("charades_sta", moments, named())
    assert (len(found.examples), found.bad) == (1, {"field 'line': expected 'ID START END##SENTENCE'": 1})


def test_videos_by_key_and_a_file_each(tmp_path):
    record = {key: value for key, value in RECORDS["youcook2"].items() if key != "key"}
    (tmp_path / "cook.json").write_text(json.dumps({"database": {"GLd3aX16zBg": record, "other": record}}))
    found = convert("youcook2", tmp_path / "cook.json", named())
    assert (len(found.examples), found.records) == (6, 2)
    assert {each.video for each in found.examples} == {"GLd3aX16zBg.mp4", "other.mp4"}
    films = tmp_path / "films"
    films.mkdir()
    for name in ("1", "2"):
        record = RECORDS["moviechat"] | {"info": {"video_path": f"{name}.mp4"}}
        (films / f"{name}.json").write_text(json.dumps(record))
    found = convert("moviechat", films, named())
    assert len({each.id for each in found.examples}) == len(found.examples) == 4
    assert found.examples[0].duration is None


def test_labels_of_a_file_or_given(tmp_path):
    file = tmp_path / "train.json"
    file.write_text(json.dumps([LABEL | {"id": str(n), "template": label} for n, label in enumerate(LABELS)]))
    found = convert("ssv2", file, named(ending=".webm"))
    assert len(found.examples) == 5
    assert found.examples[0].video == "0.webm"
    given = convert("ssv2", file, named(), labels=[*LABELS, *"wxyz"])
    assert {option for each in given.examples for option in each.options} & set("wxyz")
    file.write_text(json.dumps([LABEL]))
    with pytest.raises(
        UserError, match="1 labels are too few for 4 options: give all of the source's as `labels`"
    ):
        convert("ssv2", file, named())


def test_bad_records_are_counted_and_the_others_used(tmp_path):
    good = RECORDS["nextqa_oe"]
    lines = [
        json.dumps(good),
        "{not json",
        "[1]",
        json.dumps(good | {"answer": 5}),
        json.dumps(good | {"answer": 6}),
        json.dumps({"video": "x"}),
        json.dumps(good | {"video": 1}),
    ]
    file = tmp_path / "oe.jsonl"
    file.write_text("\n".join(lines))
    found = convert("nextqa_oe", file, lambda name: None if name == "1" else name)
    assert (len(found.examples), found.records) == (1, 7)
    assert found.bad == {
        "a line that is no JSON": 1,
        "no object": 1,
        "field 'answer': expected text": 2,
        "field 'question' is missing": 1,
        "no video": 1,
    }
    assert len(found.shown) == 5
    assert "2 bad: field 'answer': expected text" in found.told()
    assert f"such as {file}, row 1: a line that is no JSON" in found.told()
    broken = tmp_path / "broken.csv"
    broken.write_text("q,a,video_id\nWho?,A man.\nWho?,A man.,v,w\nWho?,A man.,v\n")
    found = convert("videochatgpt", broken, named())
    assert (len(found.examples), found.bad) == (1, {"not as many columns as the heading has": 2})


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match=r"unknown source 'nextqa'\. Known: charades"):
        convert("nextqa", tmp_path / "a.json", named())
    with pytest.raises(DataError, match="not found"):
        convert("vatex", tmp_path / "a.json", named())
    (tmp_path / "a.xml").touch()
    with pytest.raises(DataError, match=r"unknown format '\.xml'; expected one of \.json"):
        convert("vatex", tmp_path / "a.xml", named())
    (tmp_path / "a.json").write_text("[")
    with pytest.raises(DataError, match="cannot be read as JSON"):
        convert("vatex", tmp_path / "a.json", named())
    (tmp_path / "a.json").write_text("3")
    with pytest.raises(DataError, match="a list or an object, found int"):
        convert("vatex", tmp_path / "a.json", named())
    (tmp_path / "a.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read"):
        convert("vatex", tmp_path / "a.jsonl", named())
