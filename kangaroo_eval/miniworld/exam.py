"""The exam: made videos in Video-MME's official layout that measure the nine kinds of `kinds.KINDS`, one by one.

A row's `task_type` is the kind, its `domain` the difficulty, its `duration` the length (short or long) and its
`sub_category` the group of kinds that its video belongs to. As in the original there are three questions a video,
and 900 videos if nothing else is asked for.

Seeds that start with "exam/" are the exam's: nothing may be trained on their worlds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from kangaroo_eval.errors import UserError
from kangaroo_eval.miniworld import build, kinds
from kangaroo_eval.miniworld.build import Plan
from kangaroo_eval.miniworld.dice import Dice
from kangaroo_eval.miniworld.layout import video_id
from kangaroo_eval.miniworld.questions import Question, with_right_at
from kangaroo_eval.miniworld.videomme import Clip, plan_of

PREFIX = "exam/"
SEED = "exam/1"
EACH = 300
_LONG_ONE_IN = {"looks": 4, "changes": 4, "signs": 2}
"""Of how many rounds through the difficulties one is of long videos: finding a sign is what these are for."""


def plan(seed: str = SEED, each: int = EACH) -> Plan:
    """What the exam's folder holds, with `each` questions a kind. Raises `UserError` for a seed of others."""
    if not seed.startswith(PREFIX):
        raise UserError(f"the exam's seeds start with {PREFIX!r}, got {seed!r}")
    if each < 1:
        raise UserError(f"the exam needs 1 or more questions of each kind, got {each}")
    clips = list(_clips(seed, each))
    return plan_of(f"{seed} of {each}", clips, _asked(clips, seed))


def make_exam(
    root: Path,
    each: int = EACH,
    seed: str = SEED,
    *,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Make `<root>/videomme` unless it is there, and give back its path; `root` is then a --data-root.

    Raises `RunFailed` and `UserError` as `build.write` does.
    """
    return build.write(plan(seed, each), Path(root) / "videomme", workers=workers, progress=progress)


def _clips(seed: str, each: int) -> Iterator[Clip]:
    """For each group `each` videos. The first few are of all groups, difficulties and lengths."""
    for i in range(each):
        turn, level = divmod(i, len(kinds.DIFFICULTIES))
        difficulty = kinds.DIFFICULTIES[level]
        for k, (group, one_in) in enumerate(_LONG_ONE_IN.items()):
            length = kinds.LENGTHS[turn % one_in == one_in - 1]
            where = f"{seed}/{group}/{i}"
            world, asked = kinds.video(where, group, difficulty, length)
            yield Clip(
                number=i * len(_LONG_ONE_IN) + k + 1,
                duration=length,
                labels=(difficulty, group),
                youtube=video_id(where),
                world=world,
                asked=asked,
            )


def _asked(clips: Sequence[Clip], seed: str) -> list[Question]:
    """All questions in the order of the clips; every letter is right as often, in all and in each kind, difficulty
    and length of videos."""
    cells: dict[tuple[str, ...], list[Question]] = {}
    for clip in clips:
        for question in clip.asked:
            cells.setdefault((question.type, *clip.labels, clip.duration), []).append(question)
    done, left = 0, {}
    for cell, asked in sorted(cells.items()):
        # A cell goes on where the one before has stopped, so that the odd ones add up to nothing.
        places = Dice(f"letters/{seed}/{'/'.join(cell)}").shuffled((done + i) % 4 for i in range(len(asked)))
        left[cell] = iter([with_right_at(*each) for each in zip(asked, places, strict=True)])
        done += len(asked)
    return [next(left[(asked.type, *clip.labels, clip.duration)]) for clip in clips for asked in clip.asked]
