"""TempCompass: temporal perception on 410 short videos, four task types, 7,540 questions.

Prompts: llyx97/TempCompass, run_*.py. Rules first, then the judge: eval_{multi-choice,yes_no,caption_matching,
captioning}.py and prompt_templates.py. The leaderboard's average is micro over all four types.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kangaroo_eval.answers import careful_choice
from kangaroo_eval.closed import caption_matching, yes_no
from kangaroo_eval.errors import UserError
from kangaroo_eval.official import (
    tempcompass_caption_matching,
    tempcompass_multi_choice,
    tempcompass_yes_no,
)
from kangaroo_eval.predictions import dump, load_json, shown
from kangaroo_eval.prompts import text as official_text
from kangaroo_eval.rows import Row, read_keyed, read_nested
from kangaroo_eval.task import (
    Exported,
    Folder,
    Judging,
    Pack,
    Predicted,
    Predictions,
    Published,
    Source,
    Task,
    one,
)
from kangaroo_eval.types import Sample, Score, Video, View
from kangaroo_eval.verdicts import (
    tempcompass_caption_answer,
    tempcompass_caption_answer_careful,
    tempcompass_rating,
    tempcompass_rating_careful,
)

TYPES = ("multi-choice", "yes_no", "caption_matching", "captioning")
ANNOTATIONS = ("meta_info.json", *(f"questions/{kind}.json" for kind in TYPES))
SUFFIXES = {
    "multi-choice": "\nPlease directly give the best option:",
    "yes_no": "\nPlease answer yes or no:",
    "caption_matching": "\nPlease directly give the best option:",
    "captioning": "",
}
RULES = {
    "multi-choice": tempcompass_multi_choice,
    "yes_no": tempcompass_yes_no,
    "caption_matching": tempcompass_caption_matching,
}
NOUNS = {"multi-choice": "multi-choice", "yes_no": "Yes/No", "caption_matching": "caption matching"}
HEADINGS = {"multi-choice": "Multi-Choice", "yes_no": "Yes/No", "caption_matching": "Caption Matching"}


_LABELLED = re.compile(r"\S+ \S[^\n]*?: ")


def read(root: Path) -> Iterator[Sample]:
    """The four files of `questions/`, all of them; videos `videos/{id}.mp4`. The gold of a captioning item is the
    answer to the FIRST multi-choice question of its video and aspect, as in eval_captioning.py."""
    folder = Folder(root)
    aspects = {video: meta.mapping("eval_dim") for video, meta in read_keyed(root / "meta_info.json")}
    choices = {key: row for key, row in read_nested(root / "questions/multi-choice.json") if row.number == 0}
    for kind in TYPES:
        for key, row in read_nested(root / f"questions/{kind}.json"):
            video, aspect = key
            if video not in aspects or key not in choices:
                raise row.wrong("question", f"a video and aspect that meta_info.json and {TYPES[0]} have")
            yield make(
                kind,
                key,
                row,
                Video(folder.first(f"videos/{video}.mp4", f"{video}.mp4")),
                _fine(aspect, aspects[video].get(aspect)),
                choices[key],
            )


def _fine(aspect: str, meta: Any) -> str:
    """The fine aspect; "order" has none of its own (print_result in utils/eval_utils.py)."""
    found = meta.get("type") if isinstance(meta, Mapping) else None
    return found if isinstance(found, str) else aspect


def make(
    kind: str, key: tuple[str, str], row: Row, video: Video, fine: str | None, choice: Row | None
) -> Sample:
    """A sample of one row; `choice` is the first multi-choice question of its video and aspect, `fine` its fine
    aspect where that is known."""
    name, aspect = key
    question, answer = row.text("question"), row.text("answer")
    choices = _choices(kind, question)
    _check(kind, row, choices)
    facts = {"answer": answer}
    if choice is not None:
        facts |= {"mc_question": choice.text("question"), "mc_answer": choice.text("answer")}
    return Sample(
        id=f"{kind}/{name}/{aspect}/{row.number}",
        video=video,
        question=question,
        choices=choices,
        target=_target(kind, facts),
        tags={
            "type": kind,
            "aspect": aspect,
            "aspect of type": f"{kind}: {aspect}",
            **({"fine aspect": fine, "fine aspect of type": f"{kind}: {fine}"} if fine else {}),
        },
        facts=facts,
    )


def _check(kind: str, row: Row, choices: tuple[str, ...]) -> None:
    """Refuse a question of fewer than two options, and an answer that is none of them: nothing could be right."""
    if kind == "yes_no":
        row.one_of("answer", ("yes", "no"))
    elif kind != "captioning":
        if kind == "caption_matching" and not all(map(_LABELLED.match, choices)):
            raise row.wrong("question", 'captions with a label, such as "Caption A: ..."')
        if len(choices) < 2:
            raise row.wrong("question", "two lines of options or more")
        if row.text("answer") not in choices:
            raise row.wrong("answer", "one of the option lines of the question")


def _choices(kind: str, question: str) -> tuple[str, ...]:
    """The option lines of a question, as they stand there."""
    return tuple(question.split("\n")[1:]) if kind in ("multi-choice", "caption_matching") else ()


def _target(kind: str, facts: Mapping[str, str]) -> str:
    """What a right answer is read as: a letter, yes or no, a caption's label; for captioning the multi-choice
    letter that a judge should find in the caption."""
    if kind == "captioning":
        return facts.get("mc_answer", facts["answer"])[:1]
    answer = facts["answer"]
    if kind == "caption_matching":
        return answer.partition(":")[0]
    return answer[:1] if kind == "multi-choice" else answer


def prompt(sample: Sample, view: View) -> str:
    """The question and its type's request."""
    return sample.question + SUFFIXES[one(sample.tags["type"])]


def official(sample: Sample, text: str) -> Score | None:
    """The type's rule; None where it does not decide."""
    kind = one(sample.tags["type"])
    if kind == "captioning":
        return None
    right = RULES[kind](text, sample.question, one(sample.facts["answer"]))
    return None if right is None else Score(float(right), "right" if right else "wrong", "tempcompass")


def careful(sample: Sample, text: str) -> Score | None:
    """What a person would read, by type; captions are for the judge."""
    kind = one(sample.tags["type"])
    if kind == "captioning":
        return None
    if kind == "multi-choice":
        return careful_choice(sample, text)
    if kind == "yes_no":
        reading = yes_no(text)
    else:
        captions = [line.partition(": ") for line in sample.choices]
        reading = caption_matching(text, [(label, sentence) for label, _, sentence in captions])
    return Score(float(reading.answer == sample.target), reading.answer, reading.rule, reading.span)


def ask_judge(sample: Sample, text: str) -> tuple[tuple[str, str], ...]:
    """The official texts: is the prediction correct; or, for a caption, which option it answers."""
    kind = one(sample.tags["type"])
    said = text.replace("</s>", "").strip()
    if kind == "captioning":
        base = official_text("tempcompass_captioning.txt")
        question = sample.facts["mc_question"]
        user = f"{base}\nVideo Description:{said}\nMulti-Choice Question:\n{question}\n"
    else:
        base = (
            f"\nYou will receive a {NOUNS[kind]} question, the ground-truth answer and the prediction from a "
            "question answering (QA) model. Your task is to determine whether QA model prediction is correct, "
            'based on the question and ground-truth answer. If the prediction is correct, respond "Correct". '
            'If the prediction is incorrect, respond "Incorrect".\n'
        )
        user = (
            f"{base}\n{HEADINGS[kind]} Question:\n{sample.question}\nGround-Truth Answer: "
            f"{sample.facts['answer']}\nModel Prediction: {said}"
        )
    return ("system", "You are an AI assistant for question answering."), ("user", user)


def official_verdict(sample: Sample, reply: str) -> Score:
    """The rating of the official parsers; an unparsable one is 0, and -1 for a caption nothing was said about."""
    if sample.tags["type"] == "captioning":
        rating, answer = tempcompass_caption_answer(reply, one(sample.facts["mc_answer"]))
        return Score(float(rating), None if answer is None else "right" if rating == 1 else "wrong", "judge")
    found = tempcompass_rating(reply)
    return Score(float(found or 0), None if found is None else "right" if found else "wrong", "judge")


def careful_verdict(sample: Sample, reply: str) -> Score:
    """What a person would read in the judge's reply."""
    if sample.tags["type"] == "captioning":
        options = _choices(TYPES[0], one(sample.facts["mc_question"]))
        right, letter = tempcompass_caption_answer_careful(reply, one(sample.facts["mc_answer"]), options)
        return Score(float(right or 0), letter, "judge")
    found = tempcompass_rating_careful(reply)
    return Score(float(found or 0), None if found is None else "right" if found else "wrong", "judge")


def again(sample: Sample, reply: str) -> bool:
    """The script asks again for a rating that it cannot parse."""
    return sample.tags["type"] != "captioning" and tempcompass_rating(reply) is None


def read_predictions(path: Path) -> Iterator[Predicted]:
    """`predictions/{model}/` or one of its files: {video: {aspect: [{question, answer, prediction}]}}. The labels are
    in it; those of captioning come with the folder's multi-choice.json."""
    files = [path / f"{kind}.json" for kind in TYPES] if path.is_dir() else [path]
    files = [file for file in files if file.is_file()]
    if not files or any(file.stem not in TYPES for file in files):
        raise ValueError(f"not {', '.join(f'{kind}.json' for kind in TYPES)}, nor a folder of them")
    choices: dict[tuple[str, str], Row] = {}
    for file in files:
        for key, row in _rows(file):
            if file.stem == TYPES[0] and row.number == 0:
                choices[key] = row
            sample = make(file.stem, key, row, Video(key[0]), None, choices.get(key))
            said = _predicted(row)
            known = file.stem != "captioning" or key in choices
            yield Predicted(sample.id, said or "", sample if known else None, refused=said is None)


def _rows(file: Path) -> Iterator[tuple[tuple[str, str], Row]]:
    """As `read_nested`, with what is forgiven in files of predictions."""
    found = load_json(file)
    if not isinstance(found, dict):
        raise ValueError("not an object of videos")
    for video, aspects in found.items():
        for aspect, entries in (aspects if isinstance(aspects, dict) else {"": None}).items():
            if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
                raise ValueError(f"{shown(video)}: not an object of lists of objects")
            for number, values in enumerate(entries):
                yield (video, aspect), Row(file, number, values)


def _predicted(row: Row) -> str | None:
    """The prediction, which older files call response; null where the model refused, rated 0 by the scripts."""
    for name in ("prediction", "response"):
        if name in row:
            return None if row.is_null(name) else row.text(name, empty=True)
    raise ValueError(f"row {row.number} has no prediction")


def write_predictions(rows: Sequence[Exported]) -> dict[str, str]:
    """The four files again. A question is known by its place there, so none before another may lack."""
    found: dict[str, dict[str, dict[str, list[dict[str, str | None]]]]] = {}
    for row in rows:
        kind, aspect = one(row.sample.tags["type"]), one(row.sample.tags["aspect"])
        group, _, number = row.sample.id.rpartition("/")
        video = group.removeprefix(f"{kind}/").removesuffix(f"/{aspect}")
        entries = found.setdefault(kind, {}).setdefault(video, {}).setdefault(aspect, [])
        if len(entries) != int(number):
            raise UserError(
                f"tempcompass: {group}/{len(entries)} has no answer, and a question is known by its place in "
                "this form: run it first, or export jsonl"
            )
        entries.append(
            {
                "question": row.sample.question,
                "answer": one(row.sample.facts["answer"]),
                "prediction": row.text,
            }
        )
    return {f"{kind}.json": dump(entries) for kind, entries in found.items()}


TEMPCOMPASS = Task(
    name="tempcompass",
    version=1,
    title="TempCompass (four task types)",
    source=Source(
        folder="tempcompass",
        annotations=ANNOTATIONS,
        homepage="https://github.com/llyx97/TempCompass",
        hub="lmms-lab/TempCompass",
        licence="CC-BY-NC-4.0; academic research only",
        citation="Liu et al., TempCompass, arXiv:2403.00476",
        mini="kangaroo_eval.miniworld:make",
        packs=(Pack("tempcompass_videos.zip", under="videos/", named=True),),
        elsewhere=dict.fromkeys(ANNOTATIONS, "https://github.com/llyx97/TempCompass"),
        kept=("tempcompass",),
        copies=("lmms-eval/TempCompass",),
    ),
    read=read,
    prompt=prompt,
    scorer=careful,
    official=official,
    official_rule="tempcompass, then the judge",
    breakdown=("type", "aspect", "fine aspect", "aspect of type", "fine aspect of type"),
    judge=Judging(
        model="gpt-3.5-turbo-1106",
        parameters={"temperature": 1.0, "top_p": 1, "presence_penalty": 1, "max_tokens": 128},
        ask=ask_judge,
        official=official_verdict,
        careful=careful_verdict,
        again=again,
        attempts=11,
    ),
    max_new_tokens=128,
    predictions=(
        Predictions(
            name="tempcompass",
            about="a folder predictions/{model} of the four files, or one of them",
            read=read_predictions,
            write=write_predictions,
            suffixes=("", ".json"),
        ),
    ),
    published=Published(table="III", column="tempcompass", samples=7540),
)
