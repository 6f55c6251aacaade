"""What a language model writes for the instruction set (Section III.E): one caption out of several short ones of a video,
and dialogues, English or Chinese, out of a description.

How the model is reached is another's business: here it is a `Writer`. Every reply is counted by what became of it, and one
that is not exactly of the form asked for is never used.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple, Protocol

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.train.curation.balance import hashed
from kangaroo_eval.train.curation.instructions import MOST_ROUNDS, Example, Made, Round
from kangaroo_eval.train.curation.language import Lang, language
from kangaroo_eval.train.curation.similarity import is_refusal

Outcome = Literal["ok", "empty", "refused", "failed", "truncated"]
"""What an endpoint did: it answered, answered nothing, refused, broke, or stopped at its limit of length."""

BATCH = 64
"""Prompts that a writer is given at once."""

FEWEST_ROUNDS = 2
"""Rounds of the shortest dialogue that is used."""


class Written(NamedTuple):
    """A reply to one prompt, and the name of the model that gave it."""

    text: str
    outcome: Outcome
    model: str


class Writer(Protocol):
    """A language model behind any interface. A prompt that fails is a reply with that outcome, never an exception."""

    def write(self, prompts: Sequence[str]) -> Sequence[Written]:
        """The replies, one a prompt, in their order."""
        ...


class Prompt(NamedTuple):
    """A prompt's text with a place for the captions, and its id, which changes whenever the text does: it is in every row."""

    id: str
    text: str

    def filled(self, captions: str) -> str:
        """The prompt about these captions."""
        return self.text.replace("{captions}", captions)


MERGE: dict[Lang, Prompt] = {
    "en": Prompt(
        "merge-en-1",
        "These captions were written by different people about the same video:\n{captions}\n\n"
        "Write one caption of the video that holds everything they agree on and every detail that no other contradicts. "
        "Do not repeat anything, do not invent anything and do not mention the captions. Reply in English, with the caption "
        "alone, on one line.",
    ),
    "zh": Prompt(
        "merge-zh-1",
        "以下是不同的人为同一个视频写的描述：\n{captions}\n\n"
        "请把它们合并成一段完整的视频描述，保留所有一致的内容和互不矛盾的细节，不要重复，不要编造，也不要提到这些描述。"
        "请用中文回答，只输出一行描述。",
    ),
}
"""Several short captions into one, by language."""

DIALOGUE: dict[Lang, Prompt] = {
    "en": Prompt(
        "dialogue-en-1",
        "This is a description of a video:\n{captions}\n\n"
        "Write a dialogue of 3 to 5 rounds between somebody who asks about the video and somebody who sees it. Ask only what "
        "the description answers: objects, actions, places, their order and their reasons. Nobody mentions the description. "
        'Every question is one line that begins with "Q: ", and its answer one line below it that begins with "A: ". Reply '
        "in English, with these lines alone.",
    ),
    "zh": Prompt(
        "dialogue-zh-1",
        "以下是一个视频的描述：\n{captions}\n\n"
        "请写一段 3 到 5 轮的对话：一个人就视频提问，另一个看着视频的人回答。只问描述中有答案的内容：物体、动作、地点、先后"
        "顺序和原因。对话中不要提到“描述”。每个问题占一行，以“问：”开头；回答在下一行，以“答：”开头。请用中文，只输出这些行。",
    ),
}
"""A description into a dialogue, by language."""

_MARKS: dict[Lang, re.Pattern[str]] = {
    "en": re.compile(r"([QA]): *(.*)"),
    "zh": re.compile("([问答])[：:] *(.*)"),
}
_TALK = re.compile(
    r"(?:sure|certainly|of course|okay|ok|here is|here's|merged caption|caption|combined caption)\b|好的|以下|合并|描述[：:]",
    re.IGNORECASE,
)


class Wrote(NamedTuple):
    """Examples, and how many replies came to what: by prompt id, model and outcome."""

    examples: list[Example]
    outcomes: Counter[tuple[str, str, str]]

    def told(self) -> str:
        """The outcomes, one a line."""
        return "\n".join(
            f"{count:,} {outcome} ({prompt}, {model})"
            for (prompt, model, outcome), count in self.outcomes.most_common()
        )


def merge_captions(examples: Iterable[Example], writers: Sequence[Writer], batch: int = BATCH) -> Wrote:
    """The examples in their order, those with several captions with one made of them; the row keeps the raw ones, the prompt's
    id and the model. Where the reply is not used, the example stays with the captions that people wrote."""

    def use(example: Example, text: str, made: Made) -> Example:
        return replace(example, captions=(_one_caption(text, example.lang),), made=made)

    kept = list(examples)
    places = [place for place, each in enumerate(kept) if len(each.captions) > 1 and each.made is None]
    outcomes: Counter[tuple[str, str, str]] = Counter()
    done = _written([kept[place] for place in places], MERGE, use, writers, (batch, outcomes))
    for place, made in zip(places, done, strict=True):
        kept[place] = made or kept[place]
    return Wrote(kept, outcomes)


def make_dialogues(examples: Iterable[Example], writers: Sequence[Writer], batch: int = BATCH) -> Wrote:
    """A dialogue for each video's example with a caption, in the caption's language; the examples themselves are not among
    them."""

    def use(example: Example, text: str, made: Made) -> Example:
        rounds = tuple(parse_dialogue(text, example.lang))
        return replace(
            example, id=f"{example.id}/dialogue", task="conversation", captions=(), rounds=rounds, made=made
        )

    told = [each for each in examples if each.captions and not each.is_picture]
    outcomes: Counter[tuple[str, str, str]] = Counter()
    done = _written(told, DIALOGUE, use, writers, (batch, outcomes))
    return Wrote([each for each in done if each is not None], outcomes)


def pick(writers: Sequence[Writer], name: str) -> int:
    """Which of the writers (the paper has two) writes for the row with that id: fixed by its hash, so that asking again after a
    failure asks the same."""
    if not writers:
        raise UserError("no writer is given: give one, or two to choose from")
    return hashed(name, "writer") % len(writers)


def parse_dialogue(text: str, lang: Lang) -> list[Round]:
    """The rounds of a reply in lines "Q: ..." and "A: ..." (问：, 答：). DataError, whose text is the reason, where a line is
    neither, they are not by turns, one is empty, a question comes twice, the language is another, an answer is a refusal,
    or there are fewer than `FEWEST_ROUNDS` or more than `MOST_ROUNDS`."""
    question, answer = ("Q", "A") if lang == "en" else ("问", "答")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [_MARKS[lang].fullmatch(line) for line in lines]
    turns = [(each[1], each[2].strip()) for each in found if each is not None]
    if len(turns) < len(lines):
        raise DataError("unparsable: a line that is neither question nor answer")
    if [who for who, _ in turns] != [question, answer] * (len(turns) // 2):
        raise DataError("unparsable: questions and answers not by turns")
    if not all(said for _, said in turns):
        raise DataError("unparsable: an empty line")
    rounds = [Round(turns[place][1], turns[place + 1][1]) for place in range(0, len(turns), 2)]
    if not FEWEST_ROUNDS <= len(rounds) <= MOST_ROUNDS:
        raise DataError(f"unparsable: not {FEWEST_ROUNDS} to {MOST_ROUNDS} rounds")
    if len({each.question.casefold() for each in rounds}) < len(rounds):
        raise DataError("unparsable: a question that comes twice")
    if any(is_refusal(each.answer) for each in rounds):
        raise DataError("refused")
    if language(" ".join(said for _, said in turns)) != lang:
        raise DataError("wrong language")
    return rounds


def _one_caption(text: str, lang: Lang) -> str:
    """The caption that a reply is; DataError, whose text is the reason, where it is anything else."""
    told = text.strip().strip('"“”').strip()
    if "\n" in told:
        raise DataError("unparsable: more than one line")
    if _TALK.match(told):
        raise DataError("unparsable: talk around the caption")
    if is_refusal(told):
        raise DataError("refused")
    if language(told) != lang:
        raise DataError("wrong language")
    return told


def _written(
    examples: Sequence[Example],
    prompts: dict[Lang, Prompt],
    use: Callable[[Example, str, Made], Example],
    writers: Sequence[Writer],
    told: tuple[int, Counter[tuple[str, str, str]]],
) -> list[Example | None]:
    """What `use` makes of each example and its reply; None where the reply is none or cannot be used. `told`: prompts asked
    at once, and where outcomes are counted."""
    batch, outcomes = told
    out: list[Example | None] = [None] * len(examples)
    for place, reply in _replies(examples, prompts, writers, batch):
        example, prompt = examples[place], prompts[examples[place].lang]
        outcome: str = reply.outcome
        if outcome == "ok" and not reply.text.strip():
            outcome = "empty"
        if outcome == "ok":
            try:
                out[place] = use(example, reply.text, Made(prompt.id, reply.model, example.captions))
            except DataError as error:
                outcome = str(error)
        outcomes[prompt.id, reply.model, outcome] += 1
    return out


def _replies(
    examples: Sequence[Example], prompts: dict[Lang, Prompt], writers: Sequence[Writer], batch: int
) -> Iterator[tuple[int, Written]]:
    """The reply about each example, with its place."""
    if batch < 1:
        raise UserError(f"prompts asked at once {batch} must be at least 1")
    shares: dict[int, list[int]] = defaultdict(list)
    for place, example in enumerate(examples):
        shares[pick(writers, example.id)].append(place)
    for which, places in sorted(shares.items()):
        for start in range(0, len(places), batch):
            part = places[start : start + batch]
            asked = [
                prompts[examples[place].lang].filled(_listed(examples[place].captions)) for place in part
            ]
            replies = writers[which].write(asked)
            if len(replies) != len(asked):
                raise UserError(
                    f"a writer gave {len(replies)} replies to {len(asked)} prompts: it must give one each"
                )
            yield from zip(part, replies, strict=True)


def _listed(captions: Sequence[str]) -> str:
    """Captions, one a line, with a dash where there are several."""
    lines = [" ".join(each.split()) for each in captions]
    return lines[0] if len(lines) == 1 else "\n".join(f"- {each}" for each in lines)
