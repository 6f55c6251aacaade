"""Frames and subtitles by time, against what the official loader of LongVideoBench gave for the same input."""

import json
import math

from kangaroo_eval.backends.interleave import interleave
from kangaroo_eval.types import Cue


def seconds(stamp: str) -> float:
    hours, minutes, rest = stamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def cue_of(entry: dict, case: dict) -> Cue:
    offset = case["starting_timestamp_for_subtitles"]
    if "timestamp" in entry:
        start, end = entry["timestamp"]
        end = end if isinstance(end, float) else case["duration"]
        return Cue(start - offset, end - offset, entry["text"])
    return Cue(seconds(entry["start"]) - offset, seconds(entry["end"]) - offset, entry["line"])


def shown(times, cues):
    return [f"<f{times[item]:g}>" if isinstance(item, int) else item.text for item in interleave(times, cues)]


def test_every_official_case(shared):
    cases = json.loads((shared / "golden/longvideobench_interleave.json").read_text())
    assert len(cases) >= 5
    for case in cases:
        cues = [cue_of(entry, case) for entry in case["subtitles"]]
        assert shown(case["frame_timestamps"], cues) == case["official"], case["case"]


def test_a_cue_stands_after_the_frames_up_to_its_middle():
    assert shown([0, 2, 4], [Cue(1, 3, "a"), Cue(3, 5.5, "b")]) == ["<f0>", "<f2>", "a", "<f4>", "b"]


def test_a_short_cue_is_widened_to_a_second_and_a_cue_off_every_frame_is_left_out():
    assert shown([1.0], [Cue(1.2, 1.3, "near")]) == ["<f1>", "near"]
    assert shown([1.0], [Cue(1.7, 1.8, "far")]) == ["<f1>"]


def test_an_open_cue_lasts_until_the_last_frame():
    assert shown([0, 2, 4, 8], [Cue(1, math.inf, "open")]) == ["<f0>", "<f2>", "<f4>", "open", "<f8>"]


def test_no_frames_and_no_cues():
    assert interleave([], [Cue(0, 1, "a")]) == []
    assert interleave([0.0, 1.0], []) == [0, 1]


def test_a_frame_at_the_very_start_or_end_of_a_cue_is_not_inside():
    assert shown([2, 5], [Cue(2, 5, "edge")]) == ["<f2>", "<f5>"]
