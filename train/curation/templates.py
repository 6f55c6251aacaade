"""Instructions by kind of task and language, several each, and the form of multiple-choice questions (Section III.E).

Which one a row gets is fixed by a hash of its id, so that a set made again, or in another order, is the same.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.train.curation.balance import hashed
from kangaroo_eval.train.curation.language import Lang, language

Task = Literal[
    "image_caption",
    "short_caption",
    "detailed_caption",
    "dense_caption",
    "multiple_choice",
    "open_qa",
    "conversation",
]
TASKS: tuple[Task, ...] = get_args(Task)
"""The kinds of rows of Table I; the first is of a picture, the others of a video."""

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

TEMPLATES: dict[Task, dict[Lang, tuple[str, ...]]] = {
    "image_caption": {
        "en": (
            "Describe this picture.",
            "What does the picture show?",
            "Write a caption for this image.",
            "Tell what can be seen in this image.",
            "Describe the image in a few sentences.",
        ),
        "zh": (
            "请描述这张图片。",
            "这张图片里有什么？",
            "请为这张图片写一段描述。",
            "用几句话说明图中的内容。",
        ),
    },
    "short_caption": {
        "en": (
            "Describe the video in one sentence.",
            "What happens in the video? Answer in one sentence.",
            "Give a short caption for this video.",
            "Summarize the video briefly.",
            "In a few words, what does this video show?",
        ),
        "zh": (
            "用一句话描述这个视频。",
            "请为这个视频写一个简短的标题。",
            "简要概括视频的内容。",
            "视频里发生了什么？请用一句话回答。",
        ),
    },
    "detailed_caption": {
        "en": (
            "Describe the video in detail.",
            "Give a detailed description of this video: its scenes, people, objects and actions.",
            "What can be seen in the video? Tell everything of importance.",
            "Write a thorough description of what happens in this video from beginning to end.",
            "Please explain in detail what the video shows.",
        ),
        "zh": (
            "请详细描述这个视频。",
            "请详细说明视频中的场景、人物、物体和动作。",
            "从头到尾详细叙述视频里发生的事情。",
            "请对这段视频进行全面的描述。",
        ),
    },
    "dense_caption": {
        "en": (
            "List the events of the video with the time of each in seconds.",
            "Describe what happens in the video step by step, and give the seconds at which each step begins and ends.",
            "Tell each event of this video and when it takes place, in seconds.",
        ),
        "zh": (
            "请列出视频中的各个事件及其起止时间（秒）。",
            "按时间顺序逐段描述视频，并给出每一段的起止秒数。",
            "视频里依次发生了什么？请注明每个事件的时间（秒）。",
        ),
    },
    "multiple_choice": {
        "en": (
            "{question}\nOptions:\n{options}\nAnswer with the option's letter.",
            "Question: {question}\nOptions:\n{options}\nAnswer with the option's letter.",
            "{question}\nSelect the best answer from the options below.\n{options}",
            "Watch the video and choose the right option.\n{question}\n{options}",
        ),
        "zh": (
            "{question}\n选项：\n{options}\n请用选项的字母回答。",
            "问题：{question}\n选项：\n{options}\n请用选项的字母回答。",
            "{question}\n请从下列选项中选出最合适的答案。\n{options}",
            "请观看视频，选出正确的选项。\n{question}\n{options}",
        ),
    },
    "open_qa": {
        "en": (
            "{question}",
            "{question}\nAnswer in a word or a short phrase.",
            "Answer the question about the video briefly.\n{question}",
            "Question: {question}\nShort answer:",
        ),
        "zh": (
            "{question}",
            "{question}\n请用一个词或短语回答。",
            "请根据视频简短回答问题。\n{question}",
            "问题：{question}\n简短回答：",
        ),
    },
    "conversation": {
        "en": (
            "{question}",
            "Watch the video and answer.\n{question}",
            "Here is a video. {question}",
            "I have a question about this video. {question}",
        ),
        "zh": (
            "{question}",
            "请观看视频并回答。\n{question}",
            "请看这段视频。{question}",
            "我想问一个关于这个视频的问题。{question}",
        ),
    },
}
"""Requests for a caption, and forms that a question stands in; of a conversation only its first is put so."""

SHORT = 30
"""Characters of the longest answer that may be asked for as "a word or a short phrase"."""


def template(task: Task, lang: Lang, name: str) -> str:
    """The template for the row with the id `name`."""
    forms = TEMPLATES[task][lang]
    return forms[hashed(name, "template") % len(forms)]


def instruct(task: Task, lang: Lang, name: str) -> str:
    """A request for a caption of that kind."""
    return template(task, lang, name)


def ask(task: Task, lang: Lang, name: str, question: str, answer: str) -> str:
    """A question in the form that its row's id fixes. An open question whose answer is a long one is put as it stands, for
    the other forms ask for a short one."""
    if task == "open_qa" and len(answer) > SHORT:
        return question
    # Not str.format: questions hold braces.
    return template(task, lang, name).replace("{question}", question)


def asked(question: str) -> str:
    """A question as it is written: "how many dogs are there " becomes "How many dogs are there?"."""
    told = re.sub(r"\s+([?!.,])", r"\1", " ".join(question.split()))
    if told[-1:].isalnum():
        told += "？" if language(told) == "zh" else "?"
    return told[:1].upper() + told[1:]


def with_wrong(name: str, label: str, labels: Sequence[str], options: int = 4) -> tuple[str, ...]:
    """A class label, and wrong ones drawn from all `labels` by the row's id, so many `options` together. UserError where
    there are too few."""
    wrong = sorted({each for each in labels if each.casefold() != label.casefold()})
    if len(wrong) < options - 1:
        raise UserError(
            f"{len(labels)} labels are too few for {options} options: give all of the source's as `labels`"
        )
    drawn: list[str] = []
    while len(drawn) < options - 1:
        drawn.append(wrong.pop(hashed(f"{name}/{len(drawn)}", "wrong") % len(wrong)))
    return (label, *drawn)


class Choice(NamedTuple):
    """A multiple-choice question as it is trained on: its text with the options, their order, the right one's letter, and
    the answer "(B) text"."""

    prompt: str
    options: tuple[str, ...]
    letter: str
    target: str


_LAST = re.compile(
    r"\b(?:all|none|both|neither|any) of the above\b|^(?:all|none) of these\b|以上(?:都|皆|全|均|选项)",
    re.IGNORECASE,
)
_REFERS = re.compile(
    r"\b(?:[Bb]oth|[Nn]either|[Oo]ptions?|[Aa]nswers?) \(?[A-H]\)?(?![\w'])|[A-H][和与及][A-H]"
)


def shuffled(name: str, options: Sequence[str], right: int) -> tuple[tuple[str, ...], int]:
    """The options in an order fixed by the row's id, and the right one's place in it.

    The right place is drawn first, so that letters are balanced however the source wrote its options. "None of the above"
    stays last; where an option names another's letter ("both A and B"), all stay as they are.
    """
    if not 0 <= right < len(options) <= len(LETTERS):
        raise DataError(f"right option {right} of {len(options)}: must be one of 2 to {len(LETTERS)} options")
    if len({each.strip().casefold() for each in options}) < len(options):
        raise DataError("two options are the same")
    if any(_REFERS.search(each) for each in options):
        return tuple(options), right
    last = [place for place, each in enumerate(options) if _LAST.search(each)]
    free = [place for place in range(len(options)) if place not in last]
    others = sorted(
        (each for each in free if each != right), key=lambda each: hashed(f"{name}/{each}", "options")
    )
    if right in free:
        others.insert(hashed(name, "letter") % len(free), right)
    order = others + last
    return tuple(options[place] for place in order), order.index(right)


def multiple_choice(name: str, question: str, options: Sequence[str], right: int, lang: Lang) -> Choice:
    """A multiple-choice question in the form and with the order that the row's id fixes. DataError where two options are
    the same, or none is right."""
    order, place = shuffled(name, [" ".join(each.split()) for each in options], right)
    listed = "\n".join(f"({letter}) {each}" for letter, each in zip(LETTERS, order, strict=False))
    # The options last: a question may hold the text "{options}".
    head, tail = template("multiple_choice", lang, name).split("{options}")
    prompt = head.replace("{question}", question) + listed + tail.replace("{question}", question)
    return Choice(prompt, order, LETTERS[place], f"({LETTERS[place]}) {order[place]}")


class Letters:
    """How often each letter is right, by the number of options: with four, each should be a quarter of the time."""

    def __init__(self, choices: Iterable[tuple[int, str]] = ()) -> None:
        self.counts: dict[int, Counter[str]] = defaultdict(Counter)
        for options, letter in choices:
            self.add(options, letter)

    def add(self, options: int, letter: str) -> None:
        """Count a question with so many options and that right letter."""
        self.counts[options][letter] += 1

    def shares(self, options: int) -> dict[str, float]:
        """The share of each letter among the questions with so many options, 0 to 1."""
        found = self.counts.get(options, Counter())
        return {letter: found[letter] / max(1, found.total()) for letter in LETTERS[:options]}

    def worst(self) -> float:
        """The largest distance of a letter's share from its fair one, over all numbers of options; 0 where none was seen."""
        return max(
            (abs(share - 1 / options) for options in self.counts for share in self.shares(options).values()),
            default=0.0,
        )

    def told(self) -> str:
        """The counts, a number of options a line."""
        return "\n".join(
            f"{options} options: "
            + ", ".join(f"{letter} {self.counts[options][letter]:,}" for letter in LETTERS[:options])
            for options in sorted(self.counts)
        )
