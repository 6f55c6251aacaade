"""Which benchmark of ours a task of another harness is, and what its logs tell of a sample."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from kangaroo_eval.integrations.theirs import Row

LMMS = {
    r"videomme(?:_long)?": "videomme",
    r"videomme(?:_long)?_w_subtitle": "videomme_subtitles",
    r"mlvu(?:_dev)?": "mlvu",
    r"mlvu_test": "mlvu_test",
    r"lvbench": "lvbench",
    r"longvideobench_val_v": "longvideobench",
    r"longvideobench_val_i": "longvideobench_subtitles",
    r"longvideobench_test_[vi]": "longvideobench_test",
    r"egoschema_subset": "egoschema",
    r"egoschema": "egoschema_full",
    r"mvbench_\w+": "mvbench",
    r"tempcompass_(?:multi_choice|yes_no|caption_matching|captioning)": "tempcompass",
    r"seedbench_2": "seedbench_video",
    r"seedbench": "seedbench_v1_video",
}
VLMEVAL = {
    r"Video-?MME.*_subs.*": "videomme_subtitles",
    r"Video-?MME(?!.*v2).*": "videomme",
    r"MLVU_OpenEnded.*": "mlvu_generation",
    r"MLVU.*": "mlvu",
    r"MVBench.*": "mvbench",
    r"LongVideoBench.*_subs.*": "longvideobench_subtitles",
    r"LongVideoBench.*": "longvideobench",
    r"LVBench.*": "lvbench",
    r"EgoSchema_subset.*": "egoschema",
    r"EgoSchema.*": "egoschema_full",
    r"TempCompass.*": "tempcompass",
    r"MMBench-?Video.*": "mmbench_video",
}
_TABLES = {"lmms": LMMS, "vlmeval": VLMEVAL}


def ours(family: str, name: str) -> str:
    """Our name of their task: a benchmark of ours, else `lmms:NAME` or `vlmeval:NAME`."""
    flags = re.IGNORECASE if family == "vlmeval" else 0
    found = (task for pattern, task in _TABLES[family].items() if re.fullmatch(pattern, name, flags))
    return next(found, f"{family}:{name}")


Tagger = Callable[[str, Mapping[str, Any]], dict[str, str]]


class Carried(NamedTuple):
    """What a log alone tells of a benchmark's samples: `tags(their task, details)`, and whether the official rule
    compares with the options' texts, without which it cannot read an answer."""

    tags: Tagger
    needs_options: bool = False


def _renamed(**names: str) -> Tagger:
    def tags(task: str, details: Mapping[str, Any]) -> dict[str, str]:
        return {
            ours: str(details[theirs]) for ours, theirs in names.items() if details.get(theirs) is not None
        }

    return tags


def _durations(task: str, details: Mapping[str, Any]) -> dict[str, str]:
    found = _renamed(category="question_category")(task, details)
    return found | ({"duration": f"{details['duration_group']} s"} if "duration_group" in details else {})


def _of_mvbench(task: str, details: Mapping[str, Any]) -> dict[str, str]:
    from kangaroo_eval.tasks.mvbench import PARTS

    stem = task.removeprefix("mvbench_")
    return {"task": PARTS[stem].name if stem in PARTS else str(details.get("task_type", task))}


def _videomme(task: str, details: Mapping[str, Any]) -> dict[str, str]:
    theirs = _renamed(
        duration="duration", domain="category", sub_category="sub_category", task_type="task_category"
    )
    own = _renamed(domain="domain", task_type="task_type")
    return {**own(task, details), **theirs(task, details)}


CARRIED = {
    "videomme": Carried(_videomme),
    "videomme_subtitles": Carried(_videomme),
    "mlvu": Carried(_renamed(task="task_type")),
    "mlvu_test": Carried(_renamed(task="task_type")),
    "lvbench": Carried(_renamed()),
    "longvideobench": Carried(_durations, needs_options=True),
    "longvideobench_subtitles": Carried(_durations, needs_options=True),
    "longvideobench_test": Carried(_durations, needs_options=True),
    "egoschema": Carried(_renamed(), needs_options=True),
    "mvbench": Carried(_of_mvbench, needs_options=True),
    "seedbench_video": Carried(_renamed()),
    "seedbench_v1_video": Carried(_renamed()),
}
"""Benchmarks whose logs say enough to be scored without annotations; the others' rules need more than a letter."""


def own_id(task: str, part: str, row: Row) -> str | None:
    """The benchmark's own id of a row; None where the log does not have it."""
    if task == "mvbench" and part.startswith("mvbench_"):
        return f"{part.removeprefix('mvbench_')}/{row.number}"
    if task in ("mlvu", "mlvu_generation", "lvbench", "tempcompass"):
        return None  # What lmms-eval calls question_id is MLVU's question.
    if task == "mlvu_test":
        return row.id if row.id is not None and " " not in row.id.strip() else None
    return str(row.number) if task == "mmbench_video" else row.id
