"""From the published annotations of Table I's sources to examples, one record at a time.

Field names are those of the files that the sources' authors publish; a docstring says which file, and where its format was
read. A converter takes one record and a function from the source's own name of a video to the path that the manifest will
have (None where the video is not there), and raises DataError for a record that cannot be used.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from kangaroo_eval.errors import DataError, UserError
from kangaroo_eval.rows import Row as Fields
from kangaroo_eval.train.curation.instructions import Example, Round, Segment
from kangaroo_eval.train.curation.language import Lang, language
from kangaroo_eval.train.curation.records import records
from kangaroo_eval.train.curation.templates import Task, asked, with_wrong

Videos = Callable[[str], str | None]
"""From a source's own name of a video to its path in the manifest; None where the video is not there."""
Converter = Callable[[Fields, Videos], list[Example]]

_BRACKETS = str.maketrans("", "", "[]")
SHOWN = 5
"""Bad records that are told of one by one."""


def named(folder: str = "", ending: str = ".mp4") -> Videos:
    """Videos that lie in `folder` of the manifest's root under the source's names, with `ending` where these have none."""
    known = re.compile(r"\.(?:mp4|webm|mkv|avi|mov|gif)$", re.IGNORECASE)
    before = f"{folder.rstrip('/')}/" if folder else ""
    return lambda name: before + (name if known.search(name) else name + ending)


# Captions


def vatex(record: Fields, videos: Videos) -> list[Example]:
    """VaTEX, vatex_training_v1.0.json: `videoID` (YouTube id, first and last second of the clip), ten `enCap` and ten `chCap`,
    which are merged later (Section III.E). Read: huggingface.co/datasets/HuggingFaceM4/vatex and loaders of the file."""
    name = record.text("videoID")
    times = re.fullmatch(r".+_(\d{6})_(\d{6})", name)
    if times is None:
        raise record.wrong("videoID", "a YouTube id with two times, like 'Ptf_2VRj-V0_000122_000132'")
    path, seconds = _path(videos, name), float(times[2]) - float(times[1])
    langs: list[tuple[Lang, str]] = [("en", "enCap"), ("zh", "chCap")]
    told = [(lang, record.texts(key)) for lang, key in langs if key in record] or [
        ("en", record.texts("enCap"))
    ]
    return [_caption(f"vatex/{name}/{lang}", path, each, lang=lang, duration=seconds) for lang, each in told]


def charades(record: Fields, videos: Videos) -> list[Example]:
    """Charades, Charades_v1_train.csv: `id`, `descriptions` (by people who saw the video, separated by ";"), `script` (what
    was to be acted) and `length` (seconds). Read: loaders that quote the header (Charades-STA users on GitHub)."""
    name = record.text("id")
    told = [each.strip() for each in record.text("descriptions", empty=True).split(";") if each.strip()]
    captions = told or [record.text("script")]
    return [_caption(f"charades/{name}", _path(videos, name), captions, duration=_number(record, "length"))]


def charades_sta(record: Fields, videos: Videos) -> list[Example]:
    """Charades-STA, charades_sta_train.txt: lines "AO8RW 0.0 6.9##a person is putting a book on a shelf.", times in seconds.
    Read: loaders that quote the file (jiyanggao/TALL's data)."""
    found = re.fullmatch(r"(\S+) (\d+(?:\.\d+)?) (\d+(?:\.\d+)?)##(.+)", record.text("line").strip())
    if found is None:
        raise record.wrong("line", "'ID START END##SENTENCE'")
    name, path = f"charades_sta/{found[1]}/{record.number}", _path(videos, found[1])
    return [_caption(name, path, [found[4]], start=float(found[2]), end=float(found[3]))]


def youcook2(record: Fields, videos: Videos) -> list[Example]:
    """YouCook2, youcookii_annotations_trainval.json: by video under `database`, `duration` and `annotations` of `segment` (two
    times in seconds), `id` and `sentence`: a short caption of each step, and a dense one of the whole. Read: loaders of the
    file (HowToCaption's, VideoChat2-IT's)."""
    name, seconds = record.text("key"), _number(record, "duration")
    path, steps = _path(videos, name), [_step(each) for each in record.rows("annotations")]
    out = [_example(f"youcook2/{name}", path, "dense_caption", segments=tuple(steps), duration=seconds)]
    for place, (start, end, text) in enumerate(steps):
        times: dict[str, Any] = {"start": start, "end": end, "duration": seconds}
        out.append(_caption(f"youcook2/{name}/{place}", path, [text], **times))
    return out


def _step(record: Fields) -> Segment:
    times = record.values.get("segment")
    numbers = [each for each in times if isinstance(each, int | float)] if isinstance(times, list) else []
    if len(numbers) != 2 or not 0 <= numbers[0] < numbers[1] < math.inf:
        raise record.wrong("segment", "two times, the second later")
    return Segment(float(numbers[0]), float(numbers[1]), record.text("sentence"))


def textvr(record: Fields, videos: Videos) -> list[Example]:
    """TextVR, TextVR_train.json: `path` ("Sports/G7ll8RnSgvU_00300_00310.mp4") and `captions_info` of `caption`. Read:
    callsys/TextVR, data_loader/TextVR_dataset.py."""
    name = record.text("path")
    captions = [each.text("caption") for each in record.rows("captions_info")]
    return [_caption(f"textvr/{name}", _path(videos, name), captions)]


def sharegpt4video(record: Fields, videos: Videos) -> list[Example]:
    """ShareGPT4Video, sharegpt4video_40k.jsonl: `video_id`, `video_path` and `captions` of `idx` and `content`; that of the
    whole video has the `idx` "-1", the others are of key frames and left out. Read: loaders of the file."""
    whole = [each.text("content") for each in record.rows("captions") if str(each.values.get("idx")) == "-1"]
    if len(whole) != 1:
        raise record.wrong("captions", "one with the idx '-1', of the whole video")
    name, path = record.text("video_id"), _path(videos, record.text("video_path"))
    return [_caption(f"sharegpt4video/{name}", path, whole, "detailed_caption")]


def sharegptvideo_caption(record: Fields, videos: Videos) -> list[Example]:
    """ShareGPTVideo, video_caption_pretrain.jsonl: `id`, `video` and `conversations` of `from` and `value`, whose one answer
    is a detailed caption; its request makes way for ours. Read: conversion scripts for the file."""
    name, (first, *_) = record.name("id"), _dialogue(record)
    path, lang = _path(videos, record.text("video")), language(first.answer)
    return [_caption(f"sharegptvideo/caption/{name}", path, [first.answer], "detailed_caption", lang=lang)]


# Questions with options


def nextqa_mc(record: Fields, videos: Videos) -> list[Example]:
    """NExT-QA, train.csv: `video`, `question`, `qid`, `a0` to `a4`, and in `answer` the number of the right one, from 0. Read:
    doc-doc/NExT-QA and loaders of it. Its map_vid_vidorID.json tells the folder of each video."""
    name, options = record.name("video"), [record.text(f"a{place}") for place in range(5)]
    question, right = asked(record.text("question")), _place(record, "answer", 5)
    return [_choice(f"nextqa/{name}/{record.name('qid')}", _path(videos, name), question, options, right)]


def tgifqa_mc(record: Fields, videos: Videos) -> list[Example]:
    """TGIF-QA, Train_action_question.csv and Train_transition_question.csv (with tabs): `gif_name`, `question`, `a1` to `a5`,
    `answer` (from 0), `vid_id`. Read: YunseokJANG/tgif-qa, dataset/. Many of its clips are under 5 s."""
    name, options = record.text("gif_name"), [record.text(f"a{place}") for place in range(1, 6)]
    question, right = asked(record.text("question")), _place(record, "answer", 5)
    return [_choice(f"tgifqa/{record.name('vid_id')}", _path(videos, name), question, options, right)]


def clevrer(record: Fields, videos: Videos) -> list[Example]:
    """CLEVRER, train.json: `scene_index`, `video_filename`, and `questions` of `question_id`, `question`, `question_type` and,
    where that is "descriptive", `answer`, else `choices` of `choice` and `answer` ("correct" or "wrong"). Where not exactly
    one choice is right, each is a question of its own. Read: chuangg/CLEVRER, executor/, and loaders. Its videos are 128
    frames at 25 a second, whose length is not given here."""
    path, out = _path(videos, record.text("video_filename")), []
    for each in record.rows("questions"):
        name = f"clevrer/{record.name('scene_index')}/{each.name('question_id')}"
        question = asked(each.text("question"))
        if each.text("question_type") == "descriptive":
            rounds = (Round(question, each.text("answer")),)
            out.append(_example(name, path, "open_qa", rounds=rounds))
            continue
        choices = [
            (one.text("choice"), one.one_of("answer", ("correct", "wrong"))) for one in each.rows("choices")
        ]
        right = [place for place, (_, answer) in enumerate(choices) if answer == "correct"]
        if len(right) == 1:
            out.append(_choice(name, path, question, [text for text, _ in choices], right[0]))
            continue
        for place, (text, answer) in enumerate(choices):
            put, right_one = f"{question}\nIs this right: {text}?", int(answer == "wrong")
            out.append(_choice(f"{name}/{place}", path, put, ["yes", "no"], right_one))
    return out


def ssv2(record: Fields, videos: Videos, labels: Sequence[str]) -> list[Example]:
    """Something-Something V2, something-something-v2-train.json: `id`, `template` ("Holding [something] next to [something]"),
    `label` (the same with things) and `placeholders`. Options are templates: among labels with things, the things would tell
    the right one. Read: loaders and READMEs that quote an entry."""
    name = record.name("id")
    return [
        _labelled(f"ssv2/{name}", _path(videos, name), record.text("template").translate(_BRACKETS), labels)
    ]


def kinetics710(record: Fields, videos: Videos, labels: Sequence[str]) -> list[Example]:
    """Kinetics-400/600/700, train.csv: `label`, `youtube_id`, `time_start`, `time_end`; clips are named
    "ID_000059_000069". Read: loaders that quote the header. Not verified: the lists in which UniFormerV2 merges the three as
    Kinetics-710, which could not be had; give their 710 labels as `labels`."""
    start, end = _number(record, "time_start"), _number(record, "time_end")
    name = f"{record.text('youtube_id')}_{int(start):06d}_{int(end):06d}"
    path, label = _path(videos, name), record.text("label")
    return [_labelled(f"kinetics710/{name}", path, label, labels, duration=end - start)]


def tvqa(record: Fields, videos: Videos) -> list[Example]:
    """TVQA, tvqa_train.jsonl: `qid`, `q`, `a0` to `a4`, `answer_idx` (from 0) and `vid_name`; `ts`, the seconds that matter, is
    not used, for questions are asked of the whole clip. Read: jayleicn/TVQA, data/README.md."""
    name, options = record.text("vid_name"), [record.text(f"a{place}") for place in range(5)]
    question, right = asked(record.text("q")), _place(record, "answer_idx", 5)
    return [_choice(f"tvqa/{record.name('qid')}", _path(videos, name), question, options, right)]


def cinepile(record: Fields, videos: Videos) -> list[Example]:
    """CinePile, train parquet: `yt_clip_link`, `question`, `choices`, `answer_key_position` (from 0) and `subtitles`, which many
    of its questions need. Read: huggingface.co/datasets/tomg-group-umd/cinepile, README.md, and NVILA's evaluation."""
    found = re.search(r"(?:v=|youtu\.be/)([\w-]{11})", record.text("yt_clip_link"))
    if found is None:
        raise record.wrong("yt_clip_link", "a YouTube link")
    options, said = record.texts("choices", least=2), record.text("subtitles", empty=True).strip()
    right, question = _place(record, "answer_key_position", len(options)), record.text("question")
    context = f"This video's subtitles are listed below:\n{said}" if said else ""
    name = f"cinepile/{found[1]}/{record.number}"
    return [_choice(name, _path(videos, found[1]), question, options, right, context=context)]


# Open questions and conversations


def nextqa_oe(record: Fields, videos: Videos) -> list[Example]:
    """NExT-OE, train.csv: `video`, `question`, `answer` (text), `qid`. Read: doc-doc/NExT-OE, dataset/nextqa."""
    name, rounds = record.name("video"), (Round(asked(record.text("question")), record.text("answer")),)
    return [_example(f"nextoe/{name}/{record.name('qid')}", _path(videos, name), "open_qa", rounds=rounds)]


def tgifqa_oe(record: Fields, videos: Videos) -> list[Example]:
    """TGIF-QA, Train_frameqa_question.csv and Train_count_question.csv (with tabs): `gif_name`, `question`, `answer`, `vid_id`.
    Read: YunseokJANG/tgif-qa, dataset/README.md."""
    rounds = (Round(asked(record.text("question")), record.name("answer")),)
    path = _path(videos, record.text("gif_name"))
    return [_example(f"tgifqa/{record.name('vid_id')}", path, "open_qa", rounds=rounds)]


def moviechat(record: Fields, videos: Videos) -> list[Example]:
    """MovieChat-1K, one .json a film: `info` with `video_path`, `fps` and `num_frame`, and `global` of `question` and `answer`;
    `breakpoint`, questions about one frame, and `caption` are not used. Read: rese1f/MovieChat, eval_code/."""
    info = Fields(Path(""), record.number, record.mapping("info"))
    name = info.text("video_path")
    timed = "fps" in info and "num_frame" in info and info.number_of("fps") > 0
    seconds = info.number_of("num_frame") / info.number_of("fps") if timed else None
    rounds = [Round(asked(each.text("question")), each.text("answer")) for each in record.rows("global")]
    given: dict[str, Any] = {"path": _path(videos, name), "task": "open_qa", "duration": seconds}
    return [
        _example(f"moviechat/{name}/{place}", rounds=(each,), **given) for place, each in enumerate(rounds)
    ]


def videochatgpt(record: Fields, videos: Videos) -> list[Example]:
    """Video-ChatGPT, VideoInstruct100K.json: `q`, `a` and `video_id` ("v_k_ZXmr8pmrs"). Read: loaders of the file."""
    rounds, path = (Round(record.text("q"), record.text("a")),), _path(videos, record.text("video_id"))
    return [_example(f"videochatgpt/{record.file.stem}/{record.number}", path, "conversation", rounds=rounds)]


def videochat(record: Fields, videos: Videos, source: str, task: Task = "conversation") -> list[Example]:
    """VideoChat (videochat_instruct_11k.json) and VideoChat2-IT (conversation/videochat2, vqa/ego_qa, vqa/webvid_qa): `video`,
    `QA` of `q`, `a` and sometimes `i`, an instruction, and sometimes `start` and `end` (seconds). Where there is a question
    the instruction is left out: ours stands there. Read: OpenGVLab/Ask-Anything, video_chat2/dataset/it_dataset.py; WebVidQA's own file
    was not seen, and is taken to be as that loader reads it."""
    rounds = tuple(
        Round(each.text("q", empty=True).strip() or each.text("i"), each.text("a"))
        for each in record.rows("QA")
    )
    timed = "start" in record and "end" in record and not record.is_null("end")
    times = {key: record.seconds(key) for key in ("start", "end")} if timed else {}
    path, lang = _path(videos, record.text("video")), language(rounds[0].answer if rounds else "")
    return [
        _example(
            f"{source}/{record.file.stem}/{record.number}", path, task, rounds=rounds, lang=lang, **times
        )
    ]


def conversations(record: Fields, videos: Videos, source: str) -> list[Example]:
    """Sets in LLaVA's form: ShareGPTVideo's questions (chatgpt_qa_900k.jsonl), ShareGPT4Video's mixture and Valley
    (valley_instruct_65k.json, videos by `v_id` where there is one): `video` and `conversations` of `from` and `value`. Read:
    RupertLuo/Valley, valley/data/dataset.py, and TimeChat's and other conversions of the files. The mixture itself and
    ShareGPTVideo's questions were not seen whole: their form is inferred from those conversions."""
    rounds, key = tuple(_dialogue(record)), "v_id" if "v_id" in record else "video"
    path = _path(videos, record.name(key))
    lang = language(rounds[0].answer)
    return [
        _example(
            f"{source}/{record.file.stem}/{record.number}", path, "conversation", rounds=rounds, lang=lang
        )
    ]


def _dialogue(record: Fields) -> list[Round]:
    """The rounds of a conversation in LLaVA's form, without its mark for the video."""
    turns = list(record.rows("conversations"))
    said = [(each.one_of("from", ("human", "gpt")), each.text("value")) for each in turns]
    if not said or [who for who, _ in said] != ["human", "gpt"] * (len(said) // 2):
        raise record.wrong("conversations", "turns of 'human' and 'gpt' by turns")
    texts = [re.sub(r"\s*<(?:video|image)>\s*", "", text) for _, text in said]
    return [Round(question, answer) for question, answer in zip(texts[::2], texts[1::2], strict=True)]


# What they share


def _path(videos: Videos, name: str) -> str:
    path = videos(name)
    if path is None:
        raise DataError(f"no video (of the name {name!r})")
    return path


def _example(name: str, path: str, task: Task, **given: Any) -> Example:
    return Example(id=name, video=path, source=name.split("/", 1)[0], task=task, **given)


def _caption(
    name: str, path: str, captions: Sequence[str], task: Task = "short_caption", **given: Any
) -> Example:
    return _example(name, path, task, captions=tuple(captions), **given)


def _choice(name: str, path: str, question: str, options: Sequence[str], right: int, **given: Any) -> Example:
    given |= {"question": question, "options": tuple(options), "right": right}
    return _example(name, path, "multiple_choice", **given)


def _labelled(name: str, path: str, label: str, labels: Sequence[str], **given: Any) -> Example:
    return _choice(
        name, path, "What action is performed in the video?", with_wrong(name, label, labels), 0, **given
    )


def _number(record: Fields, key: str) -> float:
    """A number, which a .csv file has as text."""
    try:
        number = float(str(record.values.get(key)))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise record.wrong(key, "a number")
    return number


def _place(record: Fields, key: str, below: int) -> int:
    """The place of the right option, from 0."""
    place = _number(record, key)
    if place != int(place) or not 0 <= place < below:
        raise record.wrong(key, f"a whole number from 0 to {below - 1}")
    return int(place)


_CAPTIONS = (vatex, charades, charades_sta, youcook2, textvr, sharegpt4video, sharegptvideo_caption)
_QUESTIONS = (nextqa_mc, nextqa_oe, tgifqa_mc, tgifqa_oe, clevrer, tvqa, cinepile, moviechat, videochatgpt)
CONVERTERS: dict[str, Converter] = {
    **{each.__name__: each for each in (*_CAPTIONS, *_QUESTIONS)},
    "sharegptvideo_qa": partial(conversations, source="sharegptvideo"),
    "sharegpt4video_mix": partial(conversations, source="sharegpt4video_mix"),
    "valley": partial(conversations, source="valley"),
    "videochat": partial(videochat, source="videochat"),
    "videochat2": partial(videochat, source="videochat2"),
    "egoqa": partial(videochat, source="egoqa", task="open_qa"),
    "webvidqa": partial(videochat, source="webvidqa", task="open_qa"),
}
"""Converters by the source's name."""
LABELLED = {"ssv2": ssv2, "kinetics710": kinetics710}
"""Converters that make questions of class labels, and take all of these."""


class Converted(NamedTuple):
    """Examples of a file, how many records it has, those that could not be used by reason, and the first of these in full."""

    examples: list[Example]
    records: int
    bad: Counter[str]
    shown: list[str]

    def told(self) -> str:
        """The outcome, for people."""
        lines = [f"{len(self.examples):,} examples of {self.records:,} records"]
        lines += [f"{count:,} bad: {reason}" for reason, count in self.bad.most_common()]
        return "\n".join([*lines, *(f"such as {each}" for each in self.shown)])


def convert(name: str, file: Path, videos: Videos, labels: Sequence[str] = ()) -> Converted:
    """The examples of a source's .json, .jsonl, .csv, .txt or .parquet file, or of all .json files in a folder.

    `labels`: the class labels that wrong options are drawn from, where a source has such; by default all of the file.
    Bad records are counted. UserError for an unknown source; DataError where a file cannot be read at all.
    """
    if name not in CONVERTERS and name not in LABELLED:
        raise UserError(f"unknown source {name!r}. Known: {', '.join(sorted((*CONVERTERS, *LABELLED)))}")
    use = CONVERTERS.get(name) or _labelling(name, labels or _labels(file))
    done, read = Converted([], 0, Counter(), []), 0
    for found in records(file):
        read += 1
        try:
            if isinstance(found, DataError):
                raise found
            done.examples.extend(use(found, videos))
        except DataError as error:
            done.bad[_reason(str(error))] += 1
            if len(done.shown) < SHOWN:
                done.shown.append(str(error))
    return done._replace(records=read)


def _labelling(name: str, labels: Sequence[str]) -> Converter:
    return lambda record, videos: LABELLED[name](record, videos, labels)


def _labels(file: Path) -> list[str]:
    """All class labels of a file, by SSv2's or Kinetics' field."""
    found = (each.values for each in records(file) if isinstance(each, Fields))
    labels = {each.get("template") or each.get("label") for each in found}
    return sorted(each.translate(_BRACKETS) for each in labels if isinstance(each, str) and each.strip())


def _reason(told: str) -> str:
    """What is wrong without file, row, id and value, so that it can be counted."""
    told = re.sub(r"^.*?, row \d+[,:] |^example '.*?': ", "", told, count=1, flags=re.DOTALL)
    return re.split(r", found | \(fields: | \(", told, maxsplit=1)[0]
