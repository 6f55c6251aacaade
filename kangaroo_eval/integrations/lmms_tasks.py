"""Tasks of lmms-eval through our runner: `--tasks lmms:NAME`, where lmms-eval is installed.

Its documents, prompts and what they show are written into a folder once, from which they are read as any benchmark's
annotations are. An answer's official score is what the task's own process_results gives it; what its own aggregations
make of all answers stands beside it. Interface: lmms_eval/tasks/__init__.py, api/task.py and evaluator.py of 0.7.
"""

# mypy: disable-error-code="misc, no-any-unimported"
# (lmms_eval has no types and need not be installed)

from __future__ import annotations

import contextlib
import difflib
import fcntl
import functools
import hashlib
import importlib.metadata
import inspect
import json
import logging
import math
import os
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from kangaroo_eval.errors import DataError, UserError, one_line
from kangaroo_eval.integrations.joining import choices_in, letter_of
from kangaroo_eval.integrations.lmms_logs import choices_of, label_of, read_of
from kangaroo_eval.integrations.lmms_requests import cut, from_text, place_pictures, settings
from kangaroo_eval.journal import read_lines, write_json, write_lines
from kangaroo_eval.task import one, several
from kangaroo_eval.types import Sample, Score, Video

log = logging.getLogger(__name__)

DOCUMENTS, PLACES, ABOUT = "documents.jsonl", "places.jsonl", "task.json"
INCLUDE = "KANGAROO_EVAL_LMMS_TASKS"
"""The environment's folder of further tasks: what lmms-eval's --include_path names."""
_PATH = re.compile(r"/[^\s:'\"]+")
_KEPT_OUT = "an aggregation that writes files is left to lmms-eval"


def gather(name: str, cache: Path) -> Path:
    """The folder with the documents of the task `lmms:NAME`, written anew. `UserError` for a task that lmms-eval does not know
    or that is not asked in one turn, `DataError` where lmms-eval or the task's data cannot be had."""
    member = name.partition(":")[2]
    task = _loaded(member)
    folder = cache / "lmms" / member
    folder.mkdir(parents=True, exist_ok=True)
    wanted = settings(task.config.generation_kwargs or {})
    about = {"by": _by(), "max_new_tokens": wanted["max_new_tokens"], "until": list(wanted["until"])}
    with (folder / ".lock").open("w") as lock:
        # Jobs that start together have one cache.
        fcntl.flock(lock, fcntl.LOCK_EX)
        made = [_document(name, task, number, folder) for number in range(len(task.eval_docs))]
        write_lines(folder / DOCUMENTS, (document for document, _ in made))
        # Where videos lie is not what is asked: the annotations' fingerprint is the same on every machine.
        write_lines(folder / PLACES, (place for _, place in made))
        write_json(folder / ABOUT, about)
    return folder


def settled(folder: Path) -> dict[str, Any]:
    """What is known of a task once its documents are there."""
    about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    return {
        "max_new_tokens": about["max_new_tokens"],
        "notes": (
            f"a task of {about['by']}: official is its own process_results, on its prompts",
            "asked by its simple interface: the text, and what doc_to_visual shows",
        ),
    }


def read(folder: Path) -> Iterator[Sample]:
    """The samples of a folder that `gather` wrote. `DataError` where it is not there."""
    if not (folder / DOCUMENTS).is_file():
        raise DataError(f"{folder / DOCUMENTS} is gone: the run's command makes it again")
    until = tuple(json.loads((folder / ABOUT).read_text(encoding="utf-8"))["until"])
    places = read_lines(folder / PLACES)
    for document, place in zip(read_lines(folder / DOCUMENTS), places, strict=True):
        yield Sample(
            id=document["id"],
            video=Video(**place),
            question=document["prompt"],
            choices=tuple(document["choices"]),
            target=document["target"],
            facts={"document": document["id"], "until": until, "content": document["content"]},
        )


@functools.cache
def _by() -> str:
    return f"lmms-eval {importlib.metadata.version('lmms_eval')}"


@functools.cache
def _loaded(name: str) -> Any:
    """lmms-eval's task of that name, with its documents."""
    with _told(f"lmms:{name}"):
        try:
            from lmms_eval.tasks import TaskManager
        except ImportError as error:
            raise DataError(
                f"lmms:{name}: its questions come from lmms-eval, which cannot be imported here ({one_line(error)}): install "
                "it beside kangaroo-eval (docs/interop.md), or give a log of it to kangaroo-eval import"
            ) from error
        _quiet()
        manager = TaskManager(include_path=os.environ.get(INCLUDE))
        kind = manager.task_index.get(name, {}).get("type")
        if kind not in ("task", "python_task"):
            raise UserError(_no_task(name, kind, manager))
        task = manager.load_task_or_group(name)[name]
        _check(name, task)
        return task


def _no_task(name: str, kind: str | None, manager: Any) -> str:
    if kind is not None:
        prefix = sorted(each for each in manager.all_subtasks if each.startswith(name))
        members = f", such as {', '.join(prefix[:5])}" if prefix else ""
        return f"lmms:{name} is a {kind} of lmms-eval: give its tasks one by one{members}"
    near = difflib.get_close_matches(name, manager.all_subtasks, n=1, cutoff=0.5)
    hint = f" Did you mean lmms:{near[0]}?" if near else ""
    return f"lmms-eval has no task {name!r}.{hint} Further ones are read from the folder that {INCLUDE} names"


def _quiet() -> None:
    """Its log has a line for each of its 200 tasks' odd settings."""
    with contextlib.suppress(ImportError):
        from loguru import logger

        logger.disable("lmms_eval")


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Whatever a task's own code raises, as an error in one line that names the task. Its code also leaves by sys.exit."""
    try:
        yield
    except UserError:
        raise
    except (Exception, SystemExit) as error:
        last = getattr(error, "last_attempt", None)
        cause = last.exception() if last is not None else error
        raise DataError(
            f"{name}: lmms-eval cannot load it: {one_line(cause)}: check that it runs in lmms-eval itself"
        ) from error


class VerdictError(DataError):
    """A task's own code failed on an answer."""


@contextlib.contextmanager
def _failing(where: str) -> Iterator[None]:
    """What a task's process_results raises, as a `VerdictError` in one line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        raise VerdictError(f"{where}: its process_results fails on the answer: {one_line(error)}") from error


def _check(name: str, task: Any) -> None:
    config = task.config
    problem = None
    if task.OUTPUT_TYPE != "generate_until":
        problem = f"its output type is {task.OUTPUT_TYPE}: tasks that are answered in words, once, can be run"
    elif config.num_fewshot:
        problem = f"it shows {config.num_fewshot} examples first"
    elif (config.repeats or 1) > 1:
        problem = f"it asks each question {config.repeats} times"
    elif config.doc_to_text is None or config.doc_to_visual is None:
        problem = "it has no doc_to_text and doc_to_visual: tasks of messages alone are for lmms-eval"
    if problem:
        raise UserError(f"lmms:{name}: {problem}; run it in lmms-eval with --model kangaroo")


def _document(name: str, task: Any, number: int, folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A document's line, and where what it shows lies."""
    with _told(f"{name}, document {number}"):
        doc = task.eval_docs_no_media[number]
        prompt = task.fewshot_context(doc, 0)
        target = task.doc_to_target(doc)
        listed = task.doc_to_choice(doc) if task.config.doc_to_choice is not None else None
        video, called = _shown(name, task, number, folder)
    choices = tuple(map(str, listed)) if listed else choices_of(doc) or choices_in(prompt)
    label = None if target is None or isinstance(target, list) else str(target)
    letter = letter_of(label, choices) if choices else None
    line = {
        "id": str(number),
        "prompt": prompt,
        "video": called,
        "choices": list(choices) if letter else [],
        "target": letter or label,
        "content": _content(doc),
    }
    place = {"path": video.path, "frames_dir": video.frames_dir, "fps": video.fps}
    return line, {**place, "pictures": video.pictures}


def _content(doc: Any) -> str:
    """A hash of a document without its media, the same wherever its files lie."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {
                str(key): plain(each) for key, each in sorted(value.items(), key=lambda item: str(item[0]))
            }
        if isinstance(value, list | tuple):
            return [plain(each) for each in value]
        if isinstance(value, str):
            return Path(value).name if os.path.isabs(value) else value
        return value if isinstance(value, bool | int | float | None) else type(value).__name__

    return hashlib.sha256(json.dumps(plain(doc)).encode(errors="surrogatepass")).hexdigest()[:16]


def _shown(name: str, task: Any, number: int, folder: Path) -> tuple[Video, str]:
    """The video of a document, and what it is called wherever it lies; pictures become one of a picture a second. One that lmms-eval says is missing is given the
    path that it names, or its complaint where it names none: the plan counts it among the missing."""
    try:
        visuals = task.doc_to_visual(task.eval_docs[number])
    except SystemExit as missing:
        told = str(missing.code)
        named = _PATH.search(told)
        missing_one = Video(named[0] if named else f"(lmms-eval: {told})")
        return missing_one, Path(missing_one.path).name
    asked = from_text("", visuals or ())
    if asked.pictures:
        # By what they show: others of a later data set must not be taken for these, which a run may be reading.
        place = folder / "pictures" / f"{number}-{_looks(asked.pictures, os.fspath)}"
        if not place.is_dir():
            making = folder / "pictures" / f".{number}"
            place_pictures(asked.pictures, making)
            making.rename(place)
        video = Video(str(place), frames_dir=str(place), fps=1.0, pictures=len(asked.pictures))
        return video, f"{number}-{_looks(asked.pictures, os.path.basename)}"
    if asked.video is None:
        raise UserError(f"{name}, document {number} shows nothing: tasks of text alone are for lmms-eval")
    return asked.video, Path(asked.video.path).name


def _looks(pictures: Sequence[Any], file: Callable[[Any], str]) -> str:
    """A hash of PIL images by their pixels and of files, which are looked at where they lie, by what `file` makes of their
    paths."""
    digest = hashlib.sha256()
    for each in pictures:
        if isinstance(each, str | os.PathLike):
            parts = [os.fsencode(file(each))]
        else:
            parts = [f"{each.mode} {each.size}".encode(), each.tobytes()]
        for part in parts:
            digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def ended(sample: Sample, text: str) -> str:
    """The answer up to where the task has it end: models here do not stop at its signs."""
    return cut(text, several(sample.facts.get("until", ())))


@functools.lru_cache(maxsize=100_000)
def _verdict(name: str, number: int, text: str) -> Mapping[str, Any]:
    """What the task's process_results makes of an answer that ended where it should: metric -> value."""
    task = _loaded(name)
    with _failing(f"lmms:{name}, document {number}"):
        from lmms_eval.api.instance import Instance

        instance = Instance(
            request_type=task.OUTPUT_TYPE,
            arguments=(),
            idx=0,
            metadata={"task": name, "doc_id": number, "repeats": 1, "split": ""},
        )
        instance.resps = [text]
        task._filters[0].apply([instance], task.task_docs)
        filtered = instance.filtered_resps[task._filters[0].name]
        found: Mapping[str, Any] = task.process_results(task.eval_docs[number], [filtered])
        return found


@functools.lru_cache(maxsize=100_000)
def _asked(name: str, number: int) -> tuple[str, str]:
    """The prompt of lmms-eval's document of that number, and its content."""
    task = _loaded(name)
    with _told(f"lmms:{name}, document {number}"):
        doc = task.eval_docs_no_media[number]
        return task.fewshot_context(doc, 0), _content(doc)


def _judged(name: str, sample: Sample, text: str) -> Mapping[str, Any]:
    """`_verdict` of a sample's answer. `DataError` where the document of its number is another one by now, whose label must not
    judge it."""
    number = int(one(sample.facts["document"]))
    kept = (sample.question, sample.facts["content"])
    if number >= len(_loaded(name).eval_docs) or _asked(name, number) != kept:
        raise DataError(
            f"lmms:{name}: lmms-eval's document {number} is not the one that was asked: its data have changed; evaluate anew "
            "with another --output"
        )
    return _verdict(name, number, ended(sample, text))


def reader(name: str, answers: Sequence[tuple[Sample, str]]) -> Callable[[Sample, str], Score]:
    """The official reader for a run's answers: the score of the task's first metric that is better the higher and gives each of
    them one between 0 and 1, so that no answer is read by another scale than the next. Outside the denominator where no
    metric is so (a judge's scale, an error, lists for an aggregation), and where the task's own code fails on an answer."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    failed: list[str] = []
    for sample, text in answers:
        try:
            found[sample.id, text] = _judged(name, sample, text)
        except VerdictError as error:
            failed.append(str(error))
    if failed:
        log.warning("%d of %d answers have no official score: %s", len(failed), len(answers), failed[0])
    samples = {sample.id: sample for sample, _ in answers}
    values = {key: _scores(verdict, samples[key[0]]) for key, verdict in found.items()}
    higher: Mapping[str, bool] = getattr(_loaded(name), "higher_is_better", dict)()
    order = [
        metric
        for metric in _loaded(name).aggregation()
        if higher.get(metric, True)
        and all(
            score is None or 0 <= score <= 1
            for each in values.values()
            for score in (each.get(metric, (None, None))[1],)
        )
    ]

    def official(sample: Sample, text: str) -> Score:
        each = values.get((sample.id, text), {})
        for metric in order:
            answer, score = each.get(metric, (None, None))
            if score is not None:
                return Score(score, answer or text)
        return Score(None, text)

    return official


def _scores(verdict: Mapping[str, Any], sample: Sample) -> dict[str, tuple[str | None, float | None]]:
    """metric -> what it read, and the score of it, by the label that it recorded itself."""
    out = {}
    for metric, value in verdict.items():
        details = value if isinstance(value, dict) else {"score": value}
        out[metric] = read_of(details, label_of(details, sample.target))
    return out


def _writes_files(aggregate: Any) -> bool:
    """Those that write a submission take lmms-eval's own arguments for where to."""
    try:
        return "args" in inspect.signature(aggregate).parameters
    except ValueError:
        return False


def totals(name: str, answers: Sequence[tuple[Sample, str]]) -> dict[str, Any]:
    """What lmms-eval's own aggregations make of the answers: metric -> number, on the task's own scale."""
    values: dict[str, list[Any]] = defaultdict(list)
    for sample, text in answers:
        # Those that its code fails on have been told of, and lmms-eval would not get so far.
        with contextlib.suppress(VerdictError):
            for metric, value in _judged(name, sample, text).items():
                values[metric].append(value)
    metrics: dict[str, float] = {}
    for metric, aggregate in _loaded(name).aggregation().items():
        if not values[metric]:
            continue
        if _writes_files(aggregate):
            log.warning("lmms:%s, %s: %s", name, metric, _KEPT_OUT)
            continue
        try:
            total = float(aggregate(values[metric]))
        except Exception as error:  # noqa: BLE001 - foreign code; the answers and their scores stand
            log.warning("lmms:%s, %s: lmms-eval cannot aggregate it: %s", name, metric, one_line(error))
            continue
        if math.isfinite(total):
            metrics[metric] = total
    return {"by": _by(), "metrics": {name: metrics}}
