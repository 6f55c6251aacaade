"""Subtitle files to cues."""

from __future__ import annotations

import pytest

from kangaroo_eval.errors import MediaError
from kangaroo_eval.media import subtitles
from kangaroo_eval.types import Cue

SRT = """1
00:00:01,000 --> 00:00:02,500
<i>Hello</i>
there

2
00:00:02,500 --> 00:00:03,000

3
00:00:01,500 --> 00:00:04,000
Hello there

4
01:00:00,001 --> 01:00:02,000
Hello there
"""


def test_srt_keeps_order_repeats_and_blanks_as_the_authors_script_sees_them(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text(SRT, encoding="utf-8")
    assert subtitles.read(str(path)) == (
        Cue(1.0, 2.5, "{\\i1}Hello{\\i0} there"),
        Cue(2.5, 3.0, ""),
        Cue(1.5, 4.0, "Hello there"),
        Cue(3600.001, 3602.0, "Hello there"),
    )


def test_vtt_and_ass(tmp_path):
    vtt = tmp_path / "a.vtt"
    vtt.write_text("WEBVTT\n\n00:01.000 --> 00:02.000\n<v Ann>Hi\n", encoding="utf-8")
    assert subtitles.read(str(vtt)) == (Cue(1.0, 2.0, "Hi"),)
    ass = tmp_path / "a.ass"
    ass.write_text(
        "[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\n\n[Events]\n"
        "Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        "Comment: 0,0:00:00.00,0:00:01.00,Default,,0,0,0,,note\n"
        "Dialogue: 0,0:00:01.00,0:00:02.00,Default,,0,0,0,,{\\b1}one\\Ntwo\n",
        encoding="utf-8",
    )
    assert subtitles.read(str(ass)) == (Cue(1.0, 2.0, "{\\b1}one two"),)


@pytest.mark.parametrize(
    ("encoding", "text"),
    [("utf-8-sig", "ünï"), ("cp1252", "Où est-ce, là-bas"), ("gb18030", "你好，世界"), ("utf-16", "你好 é")],
)
def test_encodings(tmp_path, encoding, text):
    path = tmp_path / "a.srt"
    path.write_bytes(f"1\n00:00:01,000 --> 00:00:02,000\n{text}\n".encode(encoding))
    assert [cue.text for cue in subtitles.read(str(path))] == [text]


def test_no_subtitles_is_no_cue_and_rubbish_is_an_error(tmp_path):
    path = tmp_path / "a.srt"
    path.write_text("\n")
    assert subtitles.read(str(path)) == ()
    path.write_text("nothing of the kind\n" * 5)
    with pytest.raises(MediaError, match=r"a\.srt: "):
        subtitles.read(str(path))


def test_the_video_mme_demo(shared):
    path = shared / "data/videomme/slicer_demo.srt"
    if not path.exists():
        pytest.skip(f"not there: {path}")
    found = subtitles.read(str(path))
    assert found and all(cue.text and cue.start <= cue.end for cue in found)
