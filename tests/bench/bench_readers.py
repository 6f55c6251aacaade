"""How well each reader reads labelled replies: ours, the official rules, and those of two other harnesses.

    python tests/bench/bench_readers.py

The blind sets were written and labelled by three people who had not seen the reader. The second was asked for longer
replies, paraphrases and more languages; how many of its replies of each kind were misread (not which) was known when the
reader was last mended. The third was asked for the proportions in which real models reply, and came after that.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from kangaroo_eval.answers import RULES
from kangaroo_eval.closed import caption_matching, yes_no

sys.path.insert(0, str(Path(__file__).parent))
import peers

READERS = Path(__file__).resolve().parents[1] / "readers"
Reader = Callable[[str, Sequence[str]], str | None]
SETS = ("dev", "blind", "blind2", "blind3")
NO_ANSWER = (
    *("refusal", "cannot-tell", "error_text", "error text", "error"),
    *("empty_degenerate", "degenerate", "noise"),
)
"""Kinds of replies that hold no answer: a letter read out of one is made up."""


class Tally(NamedTuple):
    """`right` of `n`; `wrong` letters, `missed` ones, and letters `made_up` where there is none to read, of which
    `refusals` out of refusals, errors and noise."""

    n: int
    right: int
    wrong: int
    missed: int
    made_up: int
    refusals: int


def items(name: str) -> list[Mapping[str, Any]]:
    """A labelled set: options, text, label (None: nothing to read) and kind."""
    found: list[Mapping[str, Any]] = json.loads((READERS / f"careful_{name}.json").read_text())["items"]
    return found


def readers() -> dict[str, Reader]:
    """Every reader by the name it has in the table."""
    own: dict[str, Reader] = {
        name: lambda text, options, rule=rule: rule(text, options).answer  # type: ignore[misc]
        for name, rule in RULES.items()
        if name != "careful"
    }
    return {
        "careful": lambda text, options: RULES["careful"](text, options).answer,
        **{f"official {name}": reader for name, reader in sorted(own.items())},
        "lmms-eval 0.7.2": peers.lmms_eval,
        "VLMEvalKit, without its LLM": peers.vlmevalkit,
    }


def tally(reader: Reader, labelled: Sequence[Mapping[str, Any]]) -> Tally:
    """How `reader` does. A character that is no option's letter is no reading."""
    counts = dict.fromkeys(Tally._fields, 0)
    for item in labelled:
        answer = reader(item["text"], item["options"])
        if answer not in tuple("ABCDEFGHIJ"[: len(item["options"])]):
            answer = None
        counts["n"] += 1
        counts["right"] += answer == item["label"]
        counts["wrong"] += None not in (answer, item["label"]) and answer != item["label"]
        counts["missed"] += answer is None and item["label"] is not None
        counts["made_up"] += answer is not None and item["label"] is None
        counts["refusals"] += answer is not None and item["label"] is None and item["kind"] in NO_ANSWER
    return Tally(**counts)


def rows() -> Iterator[list[str]]:
    """The lines of the table."""
    sets = {name: items(name) for name in SETS}
    for name, reader in readers().items():
        line = [name]
        for labelled in sets.values():
            found = tally(reader, labelled)
            made = f"{found.wrong} / {found.made_up} / {found.refusals}"
            line += [f"{100 * found.right / found.n:.1f}", made]
        yield line


def closed_readers() -> dict[str, tuple[int, int, int, int]]:
    """The readers of yes/no answers and of captions on their unseen sets: right, wrong, made up, n."""
    said = {
        "yes/no": [(yes_no(item["text"]).answer, item["label"]) for item in _closed("yes_no")],
        "caption matching": [
            (caption_matching(item["text"], [tuple(pair) for pair in item["captions"]]).answer, item["label"])
            for item in _closed("caption_matching")
        ],
    }
    return {
        name: (
            sum(answer == label for answer, label in pairs),
            sum(None not in (answer, label) and answer != label for answer, label in pairs),
            sum(answer is not None and label is None for answer, label in pairs),
            len(pairs),
        )
        for name, pairs in said.items()
    }


def _closed(name: str) -> list[Mapping[str, Any]]:
    found: list[Mapping[str, Any]] = json.loads((READERS / f"{name}_blind.json").read_text())["items"]
    return found


def main() -> None:
    """Print the table."""
    columns = ["%", "w / m / r"]
    header = ["reader", *(f"{name} {column}" for name in SETS for column in columns)]
    print(", ".join(f"{name} {len(items(name))} replies" for name in SETS))
    print(
        "%: read rightly. w: wrong letters, m: letters made up where there is none, r: of these out of refusals\n"
    )
    print(tabulate(list(rows()), headers=header, tablefmt="pipe", disable_numparse=True))
    for name, (right, wrong, made_up, n) in closed_readers().items():
        print(f"{name}, blind: {right} of {n} right, {wrong} wrong, {made_up} made up")


if __name__ == "__main__":
    main()
