"""lmms-eval's logs: `{date}_results.json` and `{date}_samples_{task}.jsonl`, of versions 0.3 to 0.7.

Format: lmms_eval/loggers/evaluation_tracker.py and lmms_eval/evaluator.py.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from kangaroo_eval.errors import UserError
from kangaroo_eval.integrations.theirs import Log, Part, Row

log = logging.getLogger(__name__)

_FILE = re.compile(r"(?:(?P<stamp>\d{8}_\d{6}|.*?)_)?(?:results\.json|samples_(?P<task>.+)\.jsonl)")
_FRAMES = ("max_frames_num", "max_num_frames", "nframes", "num_frames", "num_segments")
MOST_ABSENT = 1_000_000
"""Documents without a line, beyond which a count is damaged and not a log cut short."""
_BASIC = {
    "doc_id",
    "doc",
    "target",
    "arguments",
    "resps",
    "filtered_resps",
    "token_counts",
    "doc_hash",
    "input",
}
_BASIC |= {"input_media", "filter", "metrics", "prompt_hash", "target_hash", "submission"}
_ANSWERS = ("pred_answer", "parsed_pred", "video-llm-prediction", "pred", "prediction")
_LABELS = ("answer", "gt_answer", "ground_truth", "gt-answer", "target")
_VIDEOS = ("videoID", "video_id", "video_idx", "vid", "video", "video_path", "video_name")


class Files(NamedTuple):
    """The files of one evaluation."""

    results: Path | None
    samples: Mapping[str, Path]


def is_log(path: Path) -> bool:
    """Whether the file or folder is one of lmms-eval's, by names alone."""
    if path.is_dir():
        return any(_named(file) for pattern in ("*.json", "*.jsonl") for file in path.rglob(pattern))
    return _named(path) is not None


def _named(file: Path) -> re.Match[str] | None:
    return _FILE.fullmatch(file.name)


def read(path: Path) -> Log:
    """The log at `path`: a folder, a results file, or a samples file for this one task. Of several evaluations in one
    folder the newest is taken. `UserError` names the file, line and field of what cannot be read."""
    files = _find(path)
    results = _results(files.results) if files.results else {}
    if not files.samples:
        raise UserError(
            f"{files.results}: there is no samples file beside it, so no answers: lmms-eval writes one with --log_samples"
        )
    config = _mapping(results.get("config"))
    args = _arguments(config.get("model_args"))
    parts = [_part(name, file, results) for name, file in sorted(files.samples.items())]
    version = results.get("lmms_eval_version") or results.get("git_hash")
    kept = ("model", "model_args", "model_backend", "gen_kwargs", "limit", "batch_size")
    return Log(
        family="lmms",
        harness="lmms-eval",
        version=str(version) if version else None,
        model=_model(results, config, args),
        frames=next((int(args[name]) for name in _FRAMES if str(args.get(name, "")).isdigit()), None),
        date=str(results["date"]) if results.get("date") else None,
        settings={name: config[name] for name in kept if config.get(name) is not None},
        parts=parts,
    )


def _find(path: Path) -> Files:
    if not path.is_dir():
        match = _named(path)
        assert match is not None
        if match["task"]:
            beside = path.with_name(path.name.replace(f"samples_{match['task']}.jsonl", "results.json"))
            return Files(beside if beside.is_file() else None, {match["task"]: path})
        prefix = path.name.removesuffix("results.json")
        return Files(path, _samples(path.parent, prefix))
    groups: dict[tuple[Path, str], None] = {}
    for pattern in ("*.json", "*.jsonl"):
        for file in path.rglob(pattern):
            match = _named(file)
            if match:
                end = f"samples_{match['task']}.jsonl" if match["task"] else "results.json"
                groups[file.parent, file.name.removesuffix(end)] = None
    folders = sorted({str(folder) for folder, _ in groups})
    if len(folders) > 1:
        raise UserError(f"{path} holds several evaluations: give one of {', '.join(folders)}")
    # Names begin with the date, so the last one is the newest; one without samples has no answers.
    ordered = sorted(groups, key=lambda group: (bool(_samples(*group)), group[1]))
    folder, prefix = ordered[-1]
    if len(ordered) > 1:
        others = ", ".join(prefix.rstrip("_") for _, prefix in ordered[:-1])
        log.warning(
            "%s: the newest evaluation, %s, is taken; beside it: %s", path, prefix.rstrip("_"), others
        )
    results = folder / f"{prefix}results.json"
    return Files(results if results.is_file() else None, _samples(folder, prefix))


def _samples(folder: Path, prefix: str) -> dict[str, Path]:
    start = f"{prefix}samples_"
    files = [file for file in folder.iterdir() if file.name.startswith(start) and file.suffix == ".jsonl"]
    return {file.name.removeprefix(start).removesuffix(".jsonl"): file for file in files}


def _results(file: Path) -> Mapping[str, Any]:
    found = _json(file, _text(file))
    if not isinstance(found, dict) or not isinstance(found.get("results"), dict):
        raise UserError(f"{file} is no results file of lmms-eval: it has no object 'results'")
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read as UTF-8 text: {error}") from error


def _json(file: Path, text: str, line: int | None = None) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f"{file}, line {line}" if line else str(file)
        raise UserError(f"{where} is damaged ({error}): restore the file") from error


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _arguments(text: object) -> dict[str, str]:
    if isinstance(text, dict):
        return {str(name): str(value) for name, value in text.items()}
    pairs = (part.partition("=") for part in str(text or "").split(","))
    return {name.strip(): value.strip() for name, _, value in pairs if name.strip()}


def _model(results: Mapping[str, Any], config: Mapping[str, Any], args: Mapping[str, str]) -> str:
    """The checkpoint's name where one was given, else lmms-eval's name of the model."""
    for name in (results.get("model_name"), args.get("pretrained"), args.get("model"), config.get("model")):
        if name:
            return str(name)
    return "unknown model"


def _part(name: str, file: Path, results: Mapping[str, Any]) -> Part:
    higher = _mapping(_mapping(results.get("higher_is_better")).get(name))
    rows = list(_rows(file, higher))
    if not rows:
        raise UserError(f"{file} holds no samples")
    counts = _mapping(_mapping(results.get("n-samples")).get(name))
    asked = counts.get("effective")
    entry = _mapping(_mapping(results.get("results")).get(name))
    metrics = {
        key: value
        for key, value in entry.items()
        if isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
        and not re.search(r"_stderr|^paired_|_(?:expected_accuracy|internal_variance)", key)
    }
    if isinstance(asked, int) and asked > len(rows) + MOST_ABSENT:
        raise UserError(
            f"{file} has {len(rows)} samples of the {asked} that its results file counts: restore the file"
        )
    return Part(name, file, rows, asked if isinstance(asked, int) else None, metrics)


def _rows(file: Path, higher: Mapping[str, Any]) -> Iterator[Row]:
    lines = [(number, line) for number, line in enumerate(_text(file).split("\n"), 1) if line.strip()]
    entries = [(f"{file}, line {number}", _json(file, line, number)) for number, line in lines]
    metric = _metric([entry for _, entry in entries if isinstance(entry, dict)], higher)
    for where, entry in entries:
        if not isinstance(entry, dict):
            raise UserError(f"{where}: expected an object, found {type(entry).__name__}")
        for key in ("doc_id", "filtered_resps"):
            if key not in entry:
                raise UserError(
                    f"{where}: field {key!r} is missing (fields: {', '.join(entry) or 'none'}): is it a samples file?"
                )
        yield _row(where, entry, metric)


def _metric(entries: Sequence[Mapping[str, Any]], higher: Mapping[str, Any]) -> str | None:
    """Of the metrics that are recorded as bare numbers the first that can be a score: better the higher, and 0 to 1 for
    all answers."""
    names = dict.fromkeys(
        key
        for entry in entries
        for key, value in entry.items()
        if key not in _BASIC and isinstance(value, bool | int | float)
    )
    for name in names:
        values = [entry[name] for entry in entries if isinstance(entry.get(name), bool | int | float)]
        if higher.get(name, True) is not False and all(0 <= value <= 1 for value in values):
            return name
    return None


def _row(where: str, entry: Mapping[str, Any], metric: str | None) -> Row:
    """One record. What a task recorded stands in the objects under the names of its metrics; `metric` is the one, recorded
    as a bare number, that is its score."""
    details: dict[str, Any] = {}
    for key, value in entry.items():
        if isinstance(value, dict) and key not in _BASIC:
            details |= value
    if metric is not None and metric in entry:
        details["score"] = entry[metric]
    doc = _mapping(entry.get("doc"))
    target = label_of(details, entry.get("target"))
    submission = _mapping(entry.get("submission"))
    name = details.get("question_id", details.get("id", doc.get("question_id", doc.get("q_uid"))))
    arguments = entry.get("arguments")
    prompt = entry.get("input", arguments[0] if isinstance(arguments, list) and arguments else None)
    while isinstance(prompt, list) and prompt:
        prompt = prompt[0]
    answer, score = read_of(details, target)
    video = next((value for key in _VIDEOS if (value := details.get(key, doc.get(key))) is not None), None)
    return Row(
        number=_number(where, entry["doc_id"]),
        text=_reply(where, entry["filtered_resps"]),
        id=str(name) if name is not None else next(iter(submission), None),
        prompt=prompt if isinstance(prompt, str) else None,
        question=next(
            (each["question"] for each in (details, doc) if isinstance(each.get("question"), str)), None
        ),
        choices=choices_of(doc),
        target=None if target is None else str(target),
        video=None if video is None else str(video),
        answer=answer,
        score=score,
        details={**{key: value for key, value in doc.items() if isinstance(value, str | int)}, **details},
    )


def _number(where: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise UserError(f"{where}, field 'doc_id': expected a whole number, found {value!r:.80}")
    return value


def _reply(where: str, value: object) -> str | None:
    """The one reply; older versions wrap it in lists."""
    shown = repr(value)[:80]
    while isinstance(value, list) and len(value) == 1:
        value = value[0]
    if value is None or value == []:
        return None
    if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
        raise UserError(f"{where}: {len(value)} replies to one question: a run of one repeat can be imported")
    if not isinstance(value, str):
        raise UserError(
            f"{where}: the reply is no text ({shown}): tasks that rank by likelihood cannot be imported"
        )
    return value


def choices_of(doc: Mapping[str, Any]) -> tuple[str, ...]:
    """The options of a document, where it has a list of texts by one of the usual names."""
    for key in ("options", "candidates", "choices", "option"):
        value = doc.get(key)
        if isinstance(value, list) and value and all(isinstance(each, str) for each in value):
            return tuple(value)
    return ()


def label_of(details: Mapping[str, Any], target: object) -> object:
    """The label that a task recorded beside its reading, in the same form as that; else `target`."""
    return next((details[key] for key in _LABELS if details.get(key) is not None), target)


def read_of(details: Mapping[str, Any], target: object) -> tuple[str | None, float | None]:
    """How a task of lmms-eval read an answer, and the score it gave: recorded, else whether its reading equals its label, as
    its aggregation compares them. None: not told."""
    answer = next((details[key] for key in _ANSWERS if details.get(key) is not None), None)
    return None if answer is None else str(answer), _score(details, answer, target)


def _score(details: Mapping[str, Any], answer: object, target: object) -> float | None:
    for key in ("score", "rating"):
        value: object = details.get(key)
        if isinstance(value, bool | int | float) and math.isfinite(value):
            return float(value)
    # A verdict: others have a label by that name.
    if isinstance(verdict := details.get("correct"), bool):
        return float(verdict)
    if answer is None or target is None or not any(key in details for key in _LABELS):
        return None
    # Only where a reading is a choice: of a caption, whose label an aggregation reads too, equality says nothing.
    return float(str(answer) == str(target)) if _CHOICE.fullmatch(str(target).strip()) else None


_CHOICE = re.compile(r"\(?[A-Za-z]\)?[.:]?|[-+]?\d+(?:\.\d+)?|yes|no|true|false", re.IGNORECASE)
