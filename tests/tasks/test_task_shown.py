"""What a model is shown of each unusual layout: frames twice, folders of frames, clips, subtitles, a picture."""

from __future__ import annotations

import pytest
from conftest import write_video

from kangaroo_eval import evaluate
from kangaroo_eval.errors import DataError
from kangaroo_eval.plan import RunConfig, make_plan
from kangaroo_eval.types import Response


class Watcher:
    """Remembers what it was asked, and says C."""

    name = "watcher"
    frame_size = 32

    def __init__(self):
        self.seen = []

    def respond(self, requests):
        for request in requests:
            self.seen.append(request)
            yield Response(request.id, "C", request.frames.times, 7, 1, 0.001)


class Ranker(Watcher):
    """Finds the second choice likeliest."""

    def __init__(self):
        super().__init__()
        self.ranked = []

    def rank(self, request, candidates):
        self.ranked.append((request.prompt, tuple(candidates), len(request.frames.pixels)))
        return [2.0, 1.0, 3.0, 4.0]


def shades(request):
    """The mean brightness of every frame shown, in tens."""
    return [round(float(pixels.mean()) / 10) for pixels in request.frames.pixels]


def picture(folder, name, shade):
    import av
    import numpy as np

    folder.mkdir(parents=True, exist_ok=True)
    with av.open(str(folder / name), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width = stream.height = 32
        stream.pix_fmt = "rgb24"
        pixels = np.full((32, 32, 3), 10 * shade, dtype=np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())


def watch(task, root, output, model=None, **options):
    model = model or Watcher()
    found = evaluate(task, model, data="real", data_root=root, output=output, workers=0, **options)
    return model, found


FRAMES = "task19/Charades_test_frame/WRQ95"
SEED_ROW = {
    "answer": "B",
    **{f"choice_{letter}": f"text {letter}" for letter in "abcd"},
    "data_id": [f"{FRAMES}/{k}.png" for k in range(1, 9)],
    "question": "What does the person do?",
    "question_id": "19_0",
    "question_type_id": 19,
}


@pytest.fixture
def seed(tmp_path, bench):
    bench.put(tmp_path, "seedbench/SEED-Bench_v2_level1_2_3.json", {"questions": [SEED_ROW]})
    for k in range(1, 9):
        picture(tmp_path / "seedbench/SEED-Bench-2-image" / FRAMES, f"{k}.png", k)
    return tmp_path


def test_seedbench_shows_its_eight_frames_twice_each(seed, tmp_path):
    model, _ = watch("seedbench_video", seed, tmp_path / "run")
    (request,) = model.seen
    assert shades(request) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8]
    assert request.frames.times == tuple(float(k // 2) for k in range(16))


def test_seedbench_ranks_the_choices_where_the_model_can(seed, tmp_path):
    model, found = watch("seedbench_video", seed, tmp_path / "run", Ranker())
    assert model.ranked == [("What does the person do?", ("text a", "text b", "text c", "text d"), 16)]
    result = found["seedbench_video"]
    assert (result["official"]["value"], result["careful"]["value"]) == (1.0, 0.0)


MVBENCH_ROW = {
    "video": "castle_s07e04_seg02_clip_14",
    "question": "Why?",
    "candidates": list("vwxyz"),
    "answer": "x",
    "start": 2.0,
    "end": 5.0,
}


@pytest.fixture
def mvbench(tmp_path, bench):
    """One clip as a folder of 24 pictures, numbered from 1; the nineteen other tasks have no video."""
    from kangaroo_eval.tasks.mvbench import PARTS

    for stem in PARTS:
        bench.put(tmp_path, f"mvbench/json/{stem}.json", [MVBENCH_ROW])
    folder = tmp_path / "mvbench/video/tvqa/frames_fps3_hq" / MVBENCH_ROW["video"]
    for k in range(1, 25):
        picture(folder, f"{k:05d}.png", k)
    return tmp_path


def test_mvbenchs_frame_folder_is_a_clip_at_three_frames_a_second(mvbench, tmp_path):
    """From 2 to 5 s are the pictures 7 to 15: the first is shown at nought."""
    model, _ = watch("mvbench", mvbench, tmp_path / "run", samples=("episodic_reasoning/0",))
    assert shades(model.seen[0]) == list(range(7, 16))


def test_mvbenchs_official_frames_of_a_folder(mvbench, tmp_path):
    """start 6, end 15, 4 segments of 2.25: pictures 7, 9, 11, 14 by the notebook's formula, counted from 1."""
    options = {"samples": ("episodic_reasoning/0",), "sampler": "official", "frames": 4}
    model, _ = watch("mvbench", mvbench, tmp_path / "run", **options)
    assert shades(model.seen[0]) == [7, 9, 11, 14]


LVB_ROW = {
    "id": "v_0",
    "video_id": "v",
    "video_path": "v.mp4",
    "subtitle_path": "v_en.json",
    "question": "What colour?",
    "candidates": ["yellow", "green", "blue", "red"],
    "correct_choice": 2,
    "topic_category": "NP-News-Programs",
    "question_category": "T2A",
    "level": "L1-Perception",
    "duration_group": 15,
    "starting_timestamp_for_subtitles": 10,
    "duration": 2.0,
}


@pytest.fixture
def lvb(tmp_path, bench):
    """A video of three seconds, of which two count, at 8 frames a second."""
    bench.put(tmp_path, "longvideobench/lvb_val.json", [LVB_ROW])
    write_video(tmp_path / "longvideobench/videos/v.mp4")
    return tmp_path


def test_longvideobench_shows_frames_up_to_the_annotated_duration_and_subtitles_by_time(lvb, bench, tmp_path):
    told = [{"timestamp": [10.2, 11.3], "text": "seen"}, {"timestamp": [12.6, 12.9], "text": "after the end"}]
    bench.put(lvb, "longvideobench/subtitles/v_en.json", told)
    model, _ = watch("longvideobench_subtitles", lvb, tmp_path / "with", frames=4)
    (request,) = model.seen
    assert len(request.frames.times) == 4 and request.frames.times[-1] < 2.0
    (cue,) = request.timed_text
    assert (cue.text, cue.start, cue.end) == ("seen", pytest.approx(0.2), pytest.approx(1.3))
    assert request.prompt.startswith("Question: What colour?\nA. yellow\n")
    model, _ = watch("longvideobench", lvb, tmp_path / "without", frames=4)
    assert model.seen[0].timed_text == () and model.seen[0].prompt.startswith("What colour?\n")


def test_longvideobench_with_subtitles_and_not_one_file_is_refused(lvb):
    config = {"data": "real", "data_root": lvb, "model": "no-such-model"}
    with pytest.raises(DataError, match="longvideobench_subtitles: no subtitle file for any video") as caught:
        make_plan(RunConfig(tasks=("longvideobench_subtitles",), **config))
    assert caught.value.exit_code == 6
    assert make_plan(RunConfig(tasks=("longvideobench",), **config))[0].missing == ()


VISTA_ROW = {
    "question_id": 1,
    "video_name": "1.abc.0.mp4",
    "category": "Food",
    "Type": "Relation Reasoning-Image",
    "Question": "Which clip goes with the picture?",
    "Answer_Choices": ["One", "Two", "Three", "Four"],
    "Answer": 2,
    "time": 3.0,
    "image_name": "p.png",
}


@pytest.fixture
def vista(tmp_path, bench):
    bench.put(
        tmp_path,
        "videovista/VideoVista.json",
        [VISTA_ROW, {**VISTA_ROW, "question_id": 2, "Type": "Logic Reasoning"}],
    )
    write_video(tmp_path / "videovista/merged/Food/abc/1.abc.0.mp4")
    return tmp_path


def test_videovistas_picture_is_the_last_frame(vista, tmp_path):
    picture(vista / "videovista/relation_images", "p.png", 25)
    model, _ = watch("videovista_relation", vista, tmp_path / "run", frames=4)
    pictured, plain = model.seen
    assert len(shades(pictured)) == 5 and shades(pictured)[-1] == 25
    assert pictured.frames.times[-1] >= pictured.frames.times[-2]
    assert len(shades(plain)) == 4 and shades(plain) == shades(pictured)[:4]


def test_videovistas_missing_picture_is_told_before_a_model_loads(vista):
    config = {"data": "real", "data_root": vista, "model": "no-such-model"}
    with pytest.raises(DataError, match=r"relation_images/p\.png"):
        make_plan(RunConfig(tasks=("videovista_relation",), **config))
    assert make_plan(RunConfig(tasks=("videovista",), **config))[0].missing == ()
