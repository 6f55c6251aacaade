"""Samplers: the official ones exactly, and what holds for all."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kangaroo_eval.errors import UserError
from kangaroo_eval.media import SAMPLERS, probe, sampling
from kangaroo_eval.media.spec import FrameSpec, select
from kangaroo_eval.types import Video

GOLDEN = {
    "videomme_official_get_seq_frames": "videomme",
    "vlmevalkit_nframe": "vlmevalkit",
    "lmms_eval_subtitle_linspace": "lmms_linspace",
    "longvideobench_official_load_video": "longvideobench",
    "mlvu_videochat2_get_index": "mlvu",
}


def test_official_samplers_match_their_recorded_outputs(shared):
    cases = json.loads((shared / "golden/frame_indices.json").read_text())
    assert len(cases) >= 3
    for case in cases:
        for key, name in GOLDEN.items():
            got = sampling.indices(name, case["total_frames"], case["n"])
            assert list(got) == case[key], (name, case["total_frames"])


@pytest.mark.parametrize("name", SAMPLERS)
@given(total=st.integers(1, 20_000), n=st.integers(1, 400))
def test_every_sampler_gives_sorted_distinct_frames_of_the_video(name, total, n):
    got = SAMPLERS[name](total, n)
    assert len(got) == min(total, n)
    assert list(got) == sorted(set(got))
    assert got[0] >= 0 and got[-1] < total
    if n >= total:
        assert got == tuple(range(total))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize(("total", "n"), [(0, 1), (1, 0), (-3, 2), (5, -1)])
def test_nothing_to_sample_is_an_error(name, total, n):
    with pytest.raises(ValueError, match="at least 1"):
        SAMPLERS[name](total, n)


def test_linspace_samplers_are_numpys():
    import numpy as np

    for total in (2, 10, 299, 300, 1801, 107_892):
        for n in (1, 2, 3, 7, 8, 32, 64, 256):
            if n < total:
                wanted = np.linspace(0, total - 1, n, dtype=int).tolist()
                assert list(sampling.endpoints(total, n)) == wanted


def test_uniform_takes_segment_centres():
    assert sampling.uniform(100, 4) == (12, 37, 62, 87)
    assert sampling.uniform(9, 1) == (4,)


def test_unknown_sampler_names_the_choices():
    with pytest.raises(UserError, match="uniform, endpoints"):
        sampling.indices("nope", 10, 2)


@given(
    gaps=st.lists(st.integers(1, 90), min_size=0, max_size=200),
    rate=st.floats(0.1, 60),
    cap=st.one_of(st.none(), st.integers(1, 50)),
)
def test_by_rate_shows_what_is_on_screen(gaps, rate, cap):
    times = [0.0]
    for gap in gaps:
        times.append(times[-1] + gap / 30)
    got = sampling.by_rate(times, rate, cap)
    shown = set()
    for k in range(int((times[-1] + 1e-6) * rate) + 1):
        shown.add(max(i for i, t in enumerate(times) if t <= k / rate + 1e-6))
    assert set(got) <= shown
    assert list(got) == sorted(set(got))
    assert len(got) == (len(shown) if cap is None else min(cap, len(shown)))


def test_by_rate_one_a_second():
    times = [k / 30 for k in range(301)]
    assert sampling.by_rate(times, 1.0, None) == tuple(range(0, 301, 30))
    assert sampling.by_rate(times, 1.0, 3) == (30, 150, 270)
    assert sampling.by_rate([100 + t for t in times], 0.5, None) == tuple(range(0, 301, 60))


@pytest.mark.parametrize(
    ("fields", "flag"),
    [
        ({}, "--frames"),
        ({"frames": 8, "fps": 1.0}, "--fps"),
        ({"frames": 0}, "--frames 0"),
        ({"fps": 0.0}, "--fps 0"),
        ({"fps": float("nan")}, "--fps nan"),
        ({"fps": 1.0, "max_frames": 0}, "--max-frames 0"),
        ({"frames": 8, "max_frames": 4}, "--max-frames"),
        ({"frames": 8, "sampler": "x"}, "--sampler 'x'"),
        ({"frames": 8, "decoder": "x"}, "--decoder 'x'"),
        ({"frames": 8, "size": -1}, "size -1"),
    ],
)
def test_a_wrong_spec_names_its_flag(fields, flag):
    with pytest.raises(UserError, match=flag):
        FrameSpec(**fields)


def test_select_by_count_and_by_rate(made):
    from kangaroo_eval.media import probe
    from kangaroo_eval.types import Video

    info = probe(Video(str(made("h264_2s.mp4"))))
    video = Video("v.mp4")
    assert select(info, FrameSpec(frames=3), video) == (info, sampling.uniform(300, 3))
    assert select(info, FrameSpec(frames=3, sampler="endpoints"), video).indices == (0, 149, 299)
    assert select(info, FrameSpec(fps=2.0), video).indices == tuple(range(0, 300, 15))
    assert select(info, FrameSpec(fps=2.0, max_frames=2), video).indices == (75, 225)


def test_naming_a_sampler_loads_neither_libav_nor_numpy():
    import subprocess
    import sys

    code = (
        "import sys; from kangaroo_eval.media import FrameSpec, SAMPLERS, Job, decode_ahead; FrameSpec(frames=8);"
        "assert not {'av', 'numpy', 'torch', 'pysubs2'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": ":".join(sys.path)})


def test_by_rate_shows_a_last_frame_that_stays():
    assert sampling.by_rate((0.0, 5.5), 1, None, end=20.0) == (0, 1)
    assert sampling.by_rate((0.0, 5.5), 0.1, None, end=20.0) == (0, 1)
    assert sampling.by_rate((0.0, 5.5), 0.1, None, end=9.0) == (0,)
    # Of most videos the last frame is as short as the others, and nothing changes.
    times = tuple(i / 25 for i in range(250))
    assert sampling.by_rate(times, 1, None, end=10.0) == sampling.by_rate(times, 1, None)


def test_a_rate_is_taken_to_the_end_of_the_clip(made):
    video = Video(str(made("h264_2s.mp4")))
    info = dataclasses.replace(probe(video), total=2, times=np.array([0.0, 5.5]), duration=20.0)
    assert select(info, FrameSpec(fps=1), video).indices == (0, 1)
