"""How well each reader reads labelled replies: ours, the official rules, and those of two other harnesses.

    python tests/bench/bench_readers.py

The two blind sets were written and labelled by two people who had not seen the reader, the second asked for longer
replies, paraphrases and more languages; neither is ever used to mend it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tabulate import tabulate

from kangaroo_eval.answers import RULES

sys.path.insert(0, str(Path(__file__).parent))
import peers

READERS = Path(__file__).resolve().parents[1] / "readers"
Reader = Callable[[str, Sequence[str]], str | None]
SETS = ("dev", "blind", "blind2")
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
            line += [
                f"{100 * found.right / found.n:.1f}",
                *map(str, (found.wrong, found.missed, found.made_up, found.refusals)),
            ]
        yield line


def main() -> None:
    """Print the table."""
    columns = ["right %", "wrong", "missed", "made up", "of refusals"]
    header = ["reader", *(f"{name}: {column}" for name in SETS for column in columns)]
    print(", ".join(f"{name} {len(items(name))} replies" for name in SETS))
    print(tabulate(list(rows()), headers=header, tablefmt="pipe", disable_numparse=True))


if __name__ == "__main__":
    main()
