"""MVBench: 20 tasks of 200 questions on short clips, some of them bounds within a longer file, one a folder of
frames.

Prompt, frame indices and reader: OpenGVLab/Ask-Anything, video_chat2/mvbench.ipynb (cells 6 and 11 to 17).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kangaroo_eval.answers import careful_choice, letters_of, official_mvbench
from kangaroo_eval.prompts import bracketed
from kangaroo_eval.rows import Row, read_rows
from kangaroo_eval.task import Folder, Pack, Published, Source, Task
from kangaroo_eval.types import Sample, Video, View

SYSTEM = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and movement of "
    "objects, and the action and pose of persons. Based on your observations, select the best option that "
    "accurately addresses the question.\n"
)


class Part(NamedTuple):
    """One task: its name in tables, the folder of its videos, and whether its rows bound a clip."""

    name: str
    root: str
    bounded: bool = False


PARTS = {
    "action_sequence": Part("Action Sequence", "star/Charades_v1_480", True),
    "action_prediction": Part("Action Prediction", "star/Charades_v1_480", True),
    "action_antonym": Part("Action Antonym", "ssv2_video"),
    "fine_grained_action": Part("Fine-grained Action", "Moments_in_Time_Raw/videos"),
    "unexpected_action": Part("Unexpected Action", "FunQA_test/test"),
    "object_existence": Part("Object Existence", "clevrer/video_validation"),
    "object_interaction": Part("Object Interaction", "star/Charades_v1_480", True),
    "object_shuffle": Part("Object Shuffle", "perception/videos"),
    "moving_direction": Part("Moving Direction", "clevrer/video_validation"),
    "action_localization": Part("Action Localization", "sta/sta_video", True),
    "scene_transition": Part("Scene Transition", "scene_qa/video"),
    "action_count": Part("Action Count", "perception/videos"),
    "moving_count": Part("Moving Count", "clevrer/video_validation"),
    "moving_attribute": Part("Moving Attribute", "clevrer/video_validation"),
    "state_change": Part("State Change", "perception/videos"),
    "fine_grained_pose": Part("Fine-grained Pose", "nturgbd"),
    "character_order": Part("Character Order", "perception/videos"),
    "egocentric_navigation": Part("Egocentric Navigation", "vlnqa"),
    "episodic_reasoning": Part("Episodic Reasoning", "tvqa/frames_fps3_hq", True),
    "counterfactual_inference": Part("Counterfactual Inference", "clevrer/video_validation"),
}
FRAMES = "episodic_reasoning"
"""The task whose videos are folders of frames, at `FRAME_RATE` a second."""
FRAME_RATE = 3.0


def read(root: Path) -> Iterator[Sample]:
    """The files `json/{task}.json`, all 20 of them; videos `video/{root}/{name}`, or those that the June 2024
    update put under `data0613`."""
    folder = Folder(root)
    for stem, part in PARTS.items():
        for row in read_rows(root / "json" / f"{stem}.json"):
            candidates = row.texts("candidates")
            right = [
                letter
                for letter, text in zip(letters_of(candidates), candidates, strict=True)
                if text == row.text("answer")
            ]
            yield Sample(
                id=f"{stem}/{row.number}",
                video=_video(folder, stem, part, row),
                question=row.text("question"),
                choices=candidates,
                target=right[-1] if right else "@",
                tags={"task": part.name, **({} if right else {"fault": "no candidate is the answer"})},
            )


def _video(folder: Folder, stem: str, part: Part, row: Row) -> Video:
    name = row.text("video")
    roots = (f"video/{part.root}", f"video/data0613/{part.root}", part.root, f"data0613/{part.root}")
    path = folder.first(*(f"{each}/{name}" for each in roots))
    start, end = (row.seconds("start"), row.seconds("end")) if part.bounded else (None, None)
    if stem == FRAMES:
        return Video(path, start, end, frames_dir=path, fps=FRAME_RATE)
    return Video(path, start, end)


def prompt(sample: Sample, view: View) -> str:
    """The system text once more, then question, options and the request; the assistant turn is prefilled."""
    return f"{SYSTEM}{bracketed(sample)}\nOnly give the best option."


MVBENCH = Task(
    name="mvbench",
    version=1,
    title="MVBench",
    source=Source(
        folder="mvbench",
        annotations=tuple(f"json/{stem}.json" for stem in PARTS),
        homepage="https://github.com/OpenGVLab/Ask-Anything",
        hub="OpenGVLab/MVBench",
        licence="MIT; gated, academic research only",
        citation="Li et al., MVBench, arXiv:2311.17005",
        mini="kangaroo_eval.miniworld:make",
        # What the update of June 2024 replaced comes first.
        packs=(Pack("video/data0613.zip", drop="data0613/"), Pack("video/*.zip")),
        access="sign in to the hub and tell your name, company, country and e-mail there",
        hints={
            "video/nturgbd": "NTU RGB+D videos (Fine-grained Pose) left the hub in October 2024; get them from "
            "https://rose1.ntu.edu.sg/dataset/actionRecognition",
        },
    ),
    read=read,
    prompt=prompt,
    scorer=careful_choice,
    official=official_mvbench,
    official_rule="mvbench",
    breakdown=("task",),
    system=SYSTEM,
    prefill="Best option:(",
    max_new_tokens=100,
    frames=16,
    sampler="mvbench",
    published=Published(table="III", column="mvbench", samples=4000),
    notes=("the official reader counts an empty answer as right",),
)
