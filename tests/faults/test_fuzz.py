"""Any bytes and any text, long ones too, for whatever reads what others wrote: a value or one line, in time that grows with the length."""

from __future__ import annotations

import time

import pytest
from how_long import COUNT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kangaroo_eval import closed, verdicts
from kangaroo_eval.answers import RULES, read
from kangaroo_eval.errors import MediaError, UserError
from kangaroo_eval.media import subtitles
from kangaroo_eval.predictions import read_predictions
from kangaroo_eval.registry import get_task

OPTIONS = ("a red ball", "a blue cup", "a green hat", "a white car")
FUZZ = settings(
    max_examples=COUNT or 40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
FORMS = (
    ("videomme", "a.json"),
    ("videomme", "a.jsonl"),
    ("egoschema", "a.json"),
    ("egoschema", "a.csv"),
    ("tempcompass", "multi-choice.json"),
    ("seedbench", "a.json"),
    ("videovista", "a.json"),
    ("mmbench_video", "a.json"),
)
PIECES = (
    *(
        "A",
        "((",
        "A. ",
        "The best answer is ",
        "\n",
        " ",
        "a red ball ",
        "{",
        "\\",
        '\\"',
        '"',
        "[",
        "'",
        "1. ",
    ),
    *(
        "A) x\n",
        "- ",
        "<font>",
        "00:00:01,000 --> ",
        "-->\n",
        "{\\an8}",
        "Dialogue: 0,",
        ",",
        "] ,",
        "\t,",
        "1",
    ),
    *('{"question_id":"x","prediction":"A"} ', '[{"a":1},', '"a":"b\\"', "WEBVTT\n", "score: 1 ", "{'a': "),
    "1\n00:00:00,000 --> 00:00:01,000\nx\n\n",
)
"""What is repeated: whatever some reader looks for, which a careless pattern begins to look for again at each of them."""


def cues(path):
    try:
        found = subtitles.read(str(path))
    except MediaError as error:
        assert "\n" not in str(error) and len(str(error)) < 1000
        return
    assert all(isinstance(cue.text, str) and cue.start == cue.start for cue in found)


def predicted(task, path):
    try:
        read_predictions(get_task(task), path, None)
    except UserError as error:
        assert str(error)


SRT = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.text(max_size=8),
        st.builds(
            "{}\n{:02d}:{:02d}:{:02d},{:03d} --> {}\n{}\n\n".format,
            st.integers(-5, 10**12),
            st.integers(-9, 10**6),
            st.integers(-9, 999),
            st.integers(-9, 999),
            st.integers(-9, 10**6),
            st.sampled_from(["00:00:09,000", "99:99:99,999", "-1:00:00,000", "NaN", "00:00:00.5", ""]),
            st.text(max_size=12),
        ),
    ),
    max_size=12,
).map("".join)
ENCODINGS = st.sampled_from(["utf-8", "utf-16", "utf-8-sig", "gb18030", "utf-32", "cp1252", "utf-7"])


@FUZZ
@given(text=SRT, encoding=ENCODINGS, name=st.sampled_from(["a.srt", "a.vtt", "a.ass", "a.json"]))
def test_any_text_in_any_encoding_is_subtitles_or_a_line(text, encoding, name, tmp_path):
    (tmp_path / name).write_bytes(text.encode(encoding, "replace"))
    cues(tmp_path / name)


@FUZZ
@given(data=st.binary(max_size=200), name=st.sampled_from(["a.srt", "a.vtt", "a.ass", "a.json"]))
def test_any_bytes_are_subtitles_or_a_line(data, name, tmp_path):
    (tmp_path / name).write_bytes(data)
    cues(tmp_path / name)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["timestamp", "text", "start", "end", "line", "x"]), inner, max_size=4
        ),
    ),
    max_leaves=10,
)


@FUZZ
@given(value=JSON)
def test_any_json_is_subtitles_or_a_line(value, tmp_path):
    import json

    (tmp_path / "a.json").write_text(json.dumps(value))
    cues(tmp_path / "a.json")


@pytest.mark.parametrize("rule", sorted(RULES))
@FUZZ
@given(text=st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=20).map("".join)))
def test_any_reply_is_read(rule, text):
    found = read(rule, text, OPTIONS)
    assert found.answer is None or isinstance(found.answer, str)
    if found.span is not None:
        assert 0 <= found.span[0] <= found.span[1] <= len(text)


def seconds(work, text):
    began = time.process_time()
    work(text)
    return time.process_time() - began


LENGTH = 40_000
# A pass over so much takes some milliseconds; its square, a thousand times that.
MOST = 2.0


@pytest.mark.parametrize("rule", [*sorted(RULES), "yes_no", "caption_matching", "mmbench_video", "mlvu"])
def test_long_replies_are_read_in_time(rule):
    work = {
        "yes_no": closed.yes_no,
        "caption_matching": lambda text: closed.caption_matching(
            text, [("Caption A", "a b"), ("Caption B", "c")]
        ),
        "mmbench_video": verdicts.mmbench_video,
        "mlvu": lambda text: verdicts.mlvu_scores(text, ("score_accuracy", "score_relevance")),
    }.get(rule) or (lambda text: read(rule, text, OPTIONS))
    slow = {
        piece: spent for piece in PIECES if (spent := seconds(work, piece * (LENGTH // len(piece)))) > MOST
    }
    assert slow == {}


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_long_files_of_predictions_are_read_in_time(form, tmp_path):
    """A file of escaped quotes took its length squared: four seconds for 30 KB, hours for a megabyte."""
    task, name = form

    def work(text):
        (tmp_path / name).write_text(text)
        predicted(task, tmp_path / name)

    slow = {
        piece: spent for piece in PIECES if (spent := seconds(work, piece * (LENGTH // len(piece)))) > MOST
    }
    assert slow == {}


@pytest.mark.parametrize("name", ["a.srt", "a.json"])
def test_long_subtitles_are_read_in_time(name, tmp_path):
    def work(text):
        (tmp_path / name).write_text(text)
        cues(tmp_path / name)

    slow = {
        piece: spent for piece in PIECES if (spent := seconds(work, piece * (LENGTH // len(piece)))) > MOST
    }
    assert slow == {}
