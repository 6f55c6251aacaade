"""Table II of the paper, cell by cell."""

from __future__ import annotations

import dataclasses

import pytest

from kangaroo_eval.errors import UserError
from kangaroo_eval.train.stages import INSTRUCTION, LONG, REFINEMENT, STAGES

TABLE_II = {
    "vision_init": ["EVA02-CLIP-L-14", "image", "video", "refinement", "instruction"],
    "llm_init": ["Llama3-8B-Instruct"] * 4 + ["instruction"],
    "projector_init": ["random", "image", "video", "refinement", "instruction"],
    "patchify_init": [None, None, "uniform", "refinement", "instruction"],
    "resolution": [224, 224, 448, 448, 448],
    "vision_sequence": [256, 256, 1024, 1024, 1024],
    "llm_sequence": [512, 2560, 2560, 10 * 1024, 22 * 1024],
    "frames": [1, 8, 16, 64, 160],
    "warmup_steps": [1000, 1000, 0, 0, 0],
    "batch": [4096, 128, 128, 128, 128],
    "pipeline_parallel": [1, 1, 1, 4, 4],
    "packing": [False, False, False, True, True],
    "lr": [1e-4, 3e-5, 3e-5, 1e-5, 1e-5],
}


@pytest.mark.parametrize("row", TABLE_II)
def test_every_cell_of_table_ii(row):
    assert [getattr(stage, row) for stage in STAGES] == TABLE_II[row]


def test_visual_tokens_fill_the_sequences_as_the_paper_says():
    assert [stage.visual_tokens() for stage in STAGES] == [256, 2048, 2048, 8192, 20480]


def test_the_language_model_trains_last_and_the_vision_encoder_stops_for_long_videos():
    assert "llm" not in REFINEMENT.trains and "llm" in INSTRUCTION.trains
    assert INSTRUCTION.trains - LONG.trains == {"vision"}


def test_a_stage_that_cannot_be_is_refused():
    with pytest.raises(UserError, match="do not fit"):
        dataclasses.replace(LONG, frames=320)
    with pytest.raises(UserError, match="multiple of 14"):
        dataclasses.replace(LONG, resolution=450)
