"""Mini MVBench and TempCompass as files: roots, endings, options, bounds, nesting and wordings as in the real ones."""

from __future__ import annotations

import ast
import json
import re
from collections import Counter

import pytest
from miniworld.told_more import judge_more

from kangaroo_eval.miniworld import mvbench, tempcompass
from kangaroo_eval.miniworld.captions import phrase
from kangaroo_eval.miniworld.clips import clip, cut_in

CLEVRER, PERCEPTION, STAR = "clevrer/video_validation/", "perception/videos/", "star/Charades_v1_480/"
# Task -> root, ending, numbers of options, whether it has bounds: the table of the official notebook.
TABLE = {
    "action_sequence": (STAR, ".mp4", {4}, True),
    "action_prediction": (STAR, ".mp4", {4}, True),
    "action_antonym": ("ssv2_video/", ".webm", {3}, False),
    "fine_grained_action": ("Moments_in_Time_Raw/videos/", ".mp4", {4}, False),
    "unexpected_action": ("FunQA_test/test/", ".mp4", {4}, False),
    "object_existence": (CLEVRER, ".mp4", {3}, False),
    "object_interaction": (STAR, ".mp4", {4}, True),
    "object_shuffle": (PERCEPTION, ".mp4", {3}, False),
    "moving_direction": (CLEVRER, ".mp4", {4}, False),
    "action_localization": ("sta/sta_video/", ".mp4", {4}, True),
    "scene_transition": ("scene_qa/video/", ".mp4", {4}, False),
    "action_count": (PERCEPTION, ".mp4", {3}, False),
    "moving_count": (CLEVRER, ".mp4", {4}, False),
    "moving_attribute": (CLEVRER, ".mp4", {2, 3, 4}, False),
    "state_change": (PERCEPTION, ".mp4", {3}, False),
    "fine_grained_pose": ("nturgbd/", ".avi", {4}, False),
    "character_order": (PERCEPTION, ".mp4", {3}, False),
    "egocentric_navigation": ("vlnqa/", ".mp4", {4}, False),
    "episodic_reasoning": ("tvqa/frames_fps3_hq/", "", {5}, True),
    "counterfactual_inference": (CLEVRER, ".mp4", {1, 2, 3, 4}, False),
}
ASPECTS = ["action", "speed", "direction", "order", "attribute_change"]
FORMATS = ["multi-choice", "yes_no", "caption_matching", "captioning"]


@pytest.fixture(scope="module")
def rows(minis):
    return {task: json.loads((minis / f"mvbench/json/{task}.json").read_text()) for task in TABLE}


@pytest.fixture(scope="module")
def compass(minis):
    folder = minis / "tempcompass"
    files = {name: json.loads((folder / f"questions/{name}.json").read_text()) for name in FORMATS}
    return files, json.loads((folder / "meta_info.json").read_text())


# MVBench


def test_mvbench_rows_have_the_fields_of_the_real_ones(rows, shared):
    for task, mine in rows.items():
        real = json.loads((shared / f"data/mvbench/json/{task}.json").read_text())[0]
        wanted = [(key, type(value)) for key, value in real.items()]
        for row in mine:
            assert [(key, type(value)) for key, value in row.items()] == wanted, task


def test_mvbench_roots_endings_and_options(rows, minis):
    assert len(rows) == 20
    for task, (root, ending, options, bounded) in TABLE.items():
        assert len(rows[task]) == 2, task
        for row in rows[task]:
            path = minis / "mvbench/video" / root / row["video"]
            assert path.suffix == ending and (
                path.is_dir() if task == "episodic_reasoning" else path.is_file()
            )
            assert len(row["candidates"]) in options and len(set(row["candidates"])) == len(row["candidates"])
            assert row["candidates"].count(row["answer"]) == 1
            assert ("start" in row) == bounded
            if bounded:
                assert isinstance(row["start"], float) and 0 <= row["start"] < row["end"]
    counts = [len(row["candidates"]) for row in rows["counterfactual_inference"]]
    assert 1 in counts and len(set(counts)) == 2
    assert len({len(row["candidates"]) for row in rows["moving_attribute"]}) == 2
    for n in (3, 4):
        places = [
            r["candidates"].index(r["answer"]) for t in rows.values() for r in t if len(r["candidates"]) == n
        ]
        found = Counter(places)
        assert len(found) == n and max(found.values()) - min(found.values()) <= 1


def test_mvbench_folders_tell_the_answer_where_the_real_ones_do(rows):
    for row in rows["fine_grained_action"]:
        assert row["video"].split("/")[:2] == ["validation", row["answer"].replace(" ", "+")]
    ways = {
        "left": "Turn left and move forward",
        "right": "Turn right and move forward",
        "forward": "Move forward",
        "stop": "Stop",
    }
    for row in rows["egocentric_navigation"]:
        assert ways[row["video"].split("/")[0]] == row["answer"]


def test_mvbench_names_come_again_under_other_roots(rows, minis):
    for a, b in ((CLEVRER, PERCEPTION), (STAR, "sta/sta_video/")):
        names = [{p.name for p in (minis / "mvbench/video" / root).iterdir()} for root in (a, b)]
        assert names[0] & names[1]
        for name in names[0] & names[1]:
            one, other = ((minis / "mvbench/video" / root / name).read_bytes() for root in (a, b))
            assert one != other
    used = Counter(row["video"] for task in TABLE if TABLE[task][0] == STAR for row in rows[task])
    assert set(used.values()) == {3}


def test_mvbench_unbounded_answers_are_true(rows):
    videos = mvbench.plan().videos
    asked = 0
    for task, (root, _, _, bounded) in TABLE.items():
        if bounded or task == "object_shuffle":
            continue
        for row in rows[task]:
            world = videos[f"video/{root}{row['video']}"]
            options = [plain(option) for option in row["candidates"]]
            told = judge_more(world, row["question"], options)
            assert told == [option == row["answer"] for option in row["candidates"]], row
            asked += 1
    assert asked == 28


def plain(option):
    """Sign texts keep their capitals, all else is as the world says it."""
    if re.fullmatch(r"[0-9A-Z]{2}(, [0-9A-Z]{2})*", option):
        return option
    return option[:1].lower() + option[1:].removesuffix(".")


def test_mvbench_bounded_answers_are_true_of_their_seconds(rows):
    videos = mvbench.plan().videos
    for k in range(2):
        world = videos[f"video/{STAR}{rows['action_sequence'][k]['video']}"]
        times = [(event.start, event.end) for event in world.events]
        row = rows["action_sequence"][k]
        inside = [i for i, (a, b) in enumerate(times) if row["start"] <= a and b <= row["end"]]
        assert len(inside) == 2
        assert_true(clip(world, inside[0], inside[1]), row, world)
        row = rows["action_prediction"][k]
        (index,) = [i for i, (a, b) in enumerate(times) if a < row["end"] < b]
        cut = cut_in(world, index)
        assert cut.seconds == row["end"] and times[index - 1][0] == row["start"]
        assert_true(cut, row, cut)
        row = rows["object_interaction"][k]
        inside = [i for i, (a, b) in enumerate(times) if row["start"] <= a and b <= row["end"]]
        part = clip(world, inside[0], inside[-1])
        assert_true(part, row, part)
        (event,) = [e for e in part.events if e.thing.name in row["answer"]]
        assert (row["accurate_start"], row["accurate_end"]) == (event.start, event.end)


def assert_true(part, row, judged):
    options = [plain(option) for option in row["candidates"]]
    told = judge_more(judged, row["question"], options)
    assert told == [option == row["answer"] for option in row["candidates"]], row
    assert any(event.thing.name in row["answer"] for event in part.events)


def test_mvbench_localized_actions_are_where_the_answer_says(rows):
    videos = mvbench.plan().videos
    for row in rows["action_localization"]:
        world = videos[f"video/sta/sta_video/{row['video']}"]
        what = re.search(r"'(.*)'", row["question"])[1]
        (event,) = [e for e in world.events if phrase(e) == what]
        assert (row["accurate_start"], row["accurate_end"]) == (event.start, event.end)
        length = row["end"] - row["start"]
        assert row["start"] <= event.start and event.end <= row["end"] <= world.seconds
        before, after = (event.start - row["start"]) / length, (row["end"] - event.end) / length
        middle = 0.2 < before < 0.45 and 0.2 < after < 0.45
        answer = {
            "Throughout the entire video.": before == after == 0,
            "At the beginning of the video.": before == 0 and after > 0.55,
            "At the end of the video.": after == 0 and before > 0.55,
            "In the middle of the video.": middle,
        }
        assert answer[row["answer"]] and len(row["candidates"]) == 4 == len(answer)
    assert len({row["answer"] for row in rows["action_localization"]}) == 2


def test_mvbench_episodes_are_folders_with_subtitles(rows, minis):
    for row in rows["episodic_reasoning"]:
        folder = minis / "mvbench/video/tvqa/frames_fps3_hq" / row["video"]
        names = sorted(path.name for path in folder.iterdir())
        assert names == [f"{k:05d}.jpg" for k in range(1, 46)]
        assert row["fps"] == 3 and row["show_name"] == "The Mini World" and row["end"] <= 45 / 3
        assert all(line.startswith("(Narrator:)") for line in row["subtitle"].split("\n"))
    told = rows["episodic_reasoning"][0]
    assert f"the code word is {told['answer']}." in told["subtitle"].lower()
    assert all(
        f"is {other}." not in told["subtitle"] for other in told["candidates"] if other != told["answer"]
    )


# TempCompass


def test_tempcompass_files_have_the_shape_of_the_real_ones(compass, shared):
    files, meta = compass
    real = {
        name: json.loads((shared / f"data/tempcompass/questions/{name}.json").read_text()) for name in FORMATS
    }
    for name in FORMATS:
        assert keys(files[name]) <= keys(real[name]), name
    known = json.loads((shared / "data/tempcompass/meta_info.json").read_text())
    fine = {d["type"] for v in known.values() for d in v["eval_dim"].values() if d and "type" in d}
    for entry in meta.values():
        assert list(entry) == ["eval_dim", "content"]
        assert set(entry["eval_dim"]) == set(ASPECTS)
        for aspect, value in entry["eval_dim"].items():
            shapes = [d["eval_dim"][aspect] for d in known.values()]
            assert value is None or set(value) in [set(s) for s in shapes if s]
            assert value is None or "type" not in value or value["type"] in fine
        assert set(entry["content"]) <= {c for d in known.values() for c in d["content"]}


def keys(file):
    """The keys and types on each level: video, aspect, row."""
    out = set()
    for video, aspects in file.items():
        out.add(type(video))
        for aspect, found in aspects.items():
            out |= {aspect, type(found), *(tuple((k, type(v)) for k, v in row.items()) for row in found)}
    return out


def test_tempcompass_groups(compass, minis):
    files, meta = compass
    assert len(meta) == 6
    patterns = (r"\d{10}", r"\d{10}_reverse", r"\d{10}_\d{10}_\d", r"\d{10}_concat_\d")
    kinds = Counter(p for video in meta for p in patterns if re.fullmatch(p, video))
    assert kinds.total() == 6 and set(kinds) == set(patterns)
    groups = {(v, a) for v, entry in meta.items() for a, value in entry["eval_dim"].items() if value}
    assert {aspect for _, aspect in groups} == set(ASPECTS)
    assert {sum(v == video for v, _ in groups) for video in meta} <= {1, 2, 3}
    for name, file in files.items():
        assert {(v, a) for v, aspects in file.items() for a in aspects} == groups, name
    for video, aspect in groups:
        assert (minis / f"tempcompass/videos/{video}.mp4").is_file()
        counts = [len(files[name][video][aspect]) for name in FORMATS]
        assert counts == [1, 2, 1, 1]
        assert [row["answer"] for row in files["yes_no"][video][aspect]] == ["yes", "no"]


def each(file):
    for video, aspects in file.items():
        for aspect, found in aspects.items():
            for row in found:
                yield video, aspect, row["question"], row["answer"]


def test_tempcompass_wordings(compass):
    files, meta = compass
    for video, aspect, question, answer in each(files["multi-choice"]):
        text, *options = question.split("\n")
        assert text.endswith("?") and answer in options and 3 <= len(options) <= 4
        assert [option[:3] for option in options] == [f"{a}. " for a in "ABCD"[: len(options)]]
        value = meta[video]["eval_dim"][aspect]
        true = f"{value['event1']}, and then {value['event2']}" if aspect == "order" else value[aspect]
        assert answer[3:] == true
    for _, _, question, answer in each(files["caption_matching"]):
        text, *options = question.split("\n")
        labels = [option.split(": ")[0] for option in options]
        assert labels in (["Caption A", "Caption B"], ["Option 1", "Option 2"], ["Sentence A", "Sentence B"])
        assert answer in options and text.endswith("?")
    assert len({q.split("\n")[0] for _, _, q, _ in each(files["caption_matching"])}) == 3
    for video, aspect, question, answer in each(files["captioning"]):
        lines = question.split("\n")
        assert lines[0].startswith("You will be presented with a video") and lines[-1] == "Generated Caption:"
        known = [re.fullmatch(r"Information ([A-D]): (\{.*\})", line).groups() for line in lines[1:-1]]
        values = {letter: ast.literal_eval(text) for letter, text in known}
        assert all(list(value) == ["subject", aspect] for value in values.values())
        assert values[answer[0]][aspect] == answer[3:]
        first = files["multi-choice"][video][aspect][0]["answer"]
        assert answer[3:] == first[3:]


def test_tempcompass_answers_are_true(compass):
    files, meta = compass
    worlds = tempcompass.plan().videos
    ways = {
        "left": "moving to the left",
        "right": "moving to the right",
        "up": "moving up",
        "down": "moving down",
    }
    acts = {"cross": "moving", "race": "moving", "grow": "growing", "shrink": "shrinking"}
    for video, aspect, question, answer in each(files["multi-choice"]):
        events = worlds[f"videos/{video}.mp4"].events
        event, others = events[0], [o[3:] for o in question.split("\n")[1:] if o != answer]
        truth = {
            "action": lambda v, e=event: acts.get(e.kind) == v,
            "direction": lambda v, e=event: ways.get(e.direction) == v,
            "attribute_change": lambda v, e=event: (
                v
                == {
                    "grow": "becoming bigger",
                    "shrink": "becoming smaller",
                    "recolour": f"turning {e.colour}",
                }[e.kind]
            ),
            "speed": lambda v, e=event: v.removeprefix("moving ").startswith(
                {"faster than": "faster", "slower than": "slower", "as fast as": "at the same"}[e.relation]
            ),
            "order": lambda v, e=events: v == f"{phrase(e[0])}, and then {phrase(e[-1])}",
        }[aspect]
        assert truth(answer[3:]) and not any(truth(other) for other in others), question
    first, backwards = list(meta)[:2]
    opposite = {"left": "right", "right": "left", "up": "down", "down": "up"}
    a, b = (worlds[f"videos/{video}.mp4"].events[0] for video in (first, backwards))
    assert backwards == f"{first}_reverse" and a.thing == b.thing and opposite[a.direction] == b.direction


def test_tempcompass_places_are_mixed(compass):
    files, _ = compass
    places = Counter(answer[0] for _, _, _, answer in each(files["multi-choice"]))
    assert len(places) >= 3 and max(places.values()) <= 4
    firsts = [q.split("\n")[1] == a for _, _, q, a in each(files["caption_matching"])]
    assert 3 <= sum(firsts) <= 6
