"""Manifests: what a good row becomes, and that each kind of bad row is told of in one line."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from kangaroo_eval.errors import DataError
from kangaroo_eval.train.rows import SHOWN, Message, Row, read_manifest, scan

ASK = {"role": "user", "content": "What moves?"}
ANSWER = {"role": "assistant", "content": "A red circle."}


def row(name="a", **changes):
    return {"id": name, "video": "v.mp4", "messages": [ASK, ANSWER], **changes}


@pytest.fixture
def write(tmp_path):
    (tmp_path / "v.mp4").touch()
    (tmp_path / "p.png").touch()

    def write(*rows, name="m.jsonl"):
        path = tmp_path / name
        path.write_text("\n".join(each if isinstance(each, str) else json.dumps(each) for each in rows))
        return path

    return write


def test_every_field_of_a_row(write, tmp_path):
    system = {"role": "system", "content": "Be short."}
    full = row(
        *["x"],
        start=1,
        end=4.5,
        duration=9,
        lang="en",
        source="made",
        task="what",
        mc={"options": ["a"], "answer": "A"},
        messages=[system, ASK, ANSWER, ASK, ANSWER],
    )
    (found,) = read_manifest(write(full))
    ask, answer = Message("user", "What moves?"), Message("assistant", "A red circle.")
    assert found == Row(
        id="x",
        messages=(Message("system", "Be short."), ask, answer, ask, answer),
        video=tmp_path / "v.mp4",
        start=1.0,
        end=4.5,
        duration=9.0,
        source="made",
        task="what",
    )
    assert (found.begin, found.seconds) == (1.0, 3.5)


def test_pictures_text_and_nulls(write, tmp_path):
    picture = {"id": 7, "image": "p.png", "video": None, "start": None, "messages": [ASK, ANSWER]}
    text = {"id": "t", "messages": [ASK, ANSWER], "mc": None}
    first, second = read_manifest(write(picture, text))
    assert (first.id, first.video, first.image, first.seconds) == ("7", tmp_path / "p.png", True, None)
    assert (second.video, second.image) == (None, False)


def test_an_answer_may_be_begun(write):
    begun, not_begun = ({**ANSWER, "prefill": prefill} for prefill in ("Best option:(", None))
    (found,) = read_manifest(write(row(messages=[ASK, begun, ASK, not_begun])))
    assert [message.prefill for message in found.messages] == ["", "Best option:(", "", ""]
    assert found.messages[1].content == ANSWER["content"]


def test_a_root_of_its_own(write, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "v.mp4").touch()
    (found,) = read_manifest(write(row()), root=folder)
    assert found.video == folder / "v.mp4"


def test_parquet_is_read_as_jsonl_is(write, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [row("a", start=1.0, end=2.0), {"id": "b", "image": "p.png", "messages": [ASK, ANSWER]}]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), tmp_path / "m.parquet")
    assert read_manifest(tmp_path / "m.parquet") == read_manifest(write(*rows))


def test_parquet_errors_name_the_row(write, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist([row("a"), row("b", video="none.mp4")]), tmp_path / "m.parquet")
    with pytest.raises(DataError, match=r"m\.parquet: 1 of 2 rows .*: row 1 \(id 'b'\): no file .*none\.mp4"):
        read_manifest(tmp_path / "m.parquet")


BAD = {
    "no file": (row(video="gone.mp4"), r"no file .*gone\.mp4: check the path"),
    "a folder": (row(video="."), "no file"),
    "both": (row(image="p.png"), "both a video and an image: keep one"),
    "misspelt": ({"id": "a", "vidoe": "v.mp4", "messages": [ASK, ANSWER]}, "unknown fields 'vidoe': rename"),
    "role": (
        row(messages=[{"role": "human", "content": "x"}, ANSWER]),
        "expected one of system, user, assistant",
    ),
    "late system": (
        row(messages=[ASK, {"role": "system", "content": "x"}, ANSWER]),
        "message 1 is from 'system'",
    ),
    "two questions": (
        row(messages=[ASK, ASK, ANSWER]),
        "message 1 is from 'user' where 'assistant' must speak",
    ),
    "answer first": (row(messages=[ANSWER]), "message 0 is from 'assistant' where 'user' must speak"),
    "answer first after system": (
        row(messages=[{"role": "system", "content": "x"}, ANSWER]),
        "message 1 is from 'assistant' where 'user' must speak",
    ),
    "no answer": (row(messages=[ASK]), "must end with one from 'assistant'"),
    "no messages": (row(messages=[]), "must end with one from 'assistant'"),
    "messages missing": ({"id": "a", "video": "v.mp4"}, "field 'messages' is missing"),
    "empty answer": (row(messages=[ASK, {"role": "assistant", "content": " \n"}]), "message 1, .*is empty"),
    "empty question": (row(messages=[{"role": "user", "content": ""}, ANSWER]), "message 0, .*is empty"),
    "parts": (row(messages=[{"role": "user", "content": [{"type": "text"}]}, ANSWER]), "expected text"),
    "begun question": (
        row(messages=[{**ASK, "prefill": "It is ("}, ANSWER]),
        "message 0, from 'user', has a 'prefill': only the assistant's answers are begun",
    ),
    "prefill of a number": (row(messages=[ASK, {**ANSWER, "prefill": 1}]), "'prefill': expected text"),
    "surrogate in a prefill": (row(messages=[ASK, {**ANSWER, "prefill": "\ud800"}]), "not valid Unicode"),
    "surrogate": (row(messages=[{"role": "user", "content": "\ud800"}, ANSWER]), "not valid Unicode"),
    "reversed": (row(start=4, end=4), "4-4 s ends before it begins: 'start' must be below 'end'"),
    "end of 0": (row(end=0), "ends before it begins"),
    "past the end": (row(start=9, duration=9), "'start' 9 s is past the end"),
    "negative": (row(start=-1), "'start': expected a number of seconds, 0 or more"),
    "nan": (row(duration=float("nan")), "'duration': expected a number"),
    "infinite": (row(duration=float("inf")), "'duration': expected a number"),
    "no seconds": (row(duration=0), "'duration' is 0"),
    "clip of a picture": (
        {"id": "a", "image": "p.png", "start": 1, "messages": [ASK, ANSWER]},
        "are for videos",
    ),
    "no id": ({"video": "v.mp4", "messages": [ASK, ANSWER]}, "field 'id' is missing"),
    "json": ('{"id": "a", ', "line 2 cannot be read as JSON"),
    "a list": ("[1]", "line 2 must be an object, not list"),
    "same id": (row("good"), "another row has the same id: rename or remove one"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_row_is_told_of_in_one_line(write, case, caplog):
    bad, said = BAD[case]
    path = write(row("good"), bad, row("last"))
    with pytest.raises(DataError, match=rf"m\.jsonl: 1 of 3 rows .*: row 1\b.*{said}") as told:
        read_manifest(path)
    assert told.value.exit_code == 6
    assert "\n" not in str(told.value) and str(told.value).count("m.jsonl") == 1

    with caplog.at_level(logging.WARNING):
        assert [each.id for each in read_manifest(path, bad="skip")] == ["good", "last"]
    assert "1 of 3 rows" in caplog.text and "left out" in caplog.text
    found = scan(path)
    assert len(found.rows) == 2 and [each.where.split(" (")[0] for each in found.bad] == ["row 1"]


def test_many_bad_rows_are_counted_and_the_first_shown(write):
    rows = [row(str(number), video="gone.mp4") for number in range(SHOWN + 3)]
    with pytest.raises(DataError, match=rf"{SHOWN + 3} of {SHOWN + 4} rows .*and 3 more") as told:
        read_manifest(write(*rows, row("good")))
    assert str(told.value).count("no file") == SHOWN


def test_a_manifest_of_bad_rows_alone_is_refused_even_if_they_may_be_skipped(write):
    with pytest.raises(DataError, match="1 of 1 rows"):
        read_manifest(write(row(video="gone.mp4")), bad="skip")


def test_files_that_are_no_manifest(write, tmp_path):
    with pytest.raises(DataError, match="not found"):
        read_manifest(tmp_path / "absent.jsonl")
    with pytest.raises(DataError, match="holds no rows"):
        read_manifest(write("", name="empty.jsonl"))
    with pytest.raises(DataError, match=r"ends in \.jsonl or \.parquet"):
        read_manifest(write(row(), name="m.json"))
    (tmp_path / "latin.jsonl").write_bytes(b'{"id": "\xe9"}')
    with pytest.raises(DataError, match="cannot be read as text"):
        read_manifest(tmp_path / "latin.jsonl")


def test_lines_may_hold_the_line_ends_of_unicode(write):
    text = {"role": "user", "content": "one\u2028two\x85three"}
    path = write(json.dumps(row(messages=[text, ANSWER]), ensure_ascii=False))
    assert read_manifest(path)[0].messages[0].content == "one\u2028two\x85three"


def test_a_missing_file_is_looked_for_once(write, monkeypatch):
    asked = []
    real = Path.is_file
    monkeypatch.setattr(Path, "is_file", lambda self: asked.append(self.name) or real(self))
    read_manifest(write(*[row(str(number)) for number in range(20)]))
    assert asked.count("v.mp4") == 1


def _schema():
    pa = pytest.importorskip("pyarrow")
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    texts = [(name, pa.string()) for name in ("id", "video", "image")]
    return pa.schema([*texts, ("start", pa.float64()), ("end", pa.float64()), ("messages", pa.list_(turn))])


SCHEMA = _schema()
