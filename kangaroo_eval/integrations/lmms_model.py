"""Our models as lmms-eval's: `lmms_eval --model kangaroo --model_args model=kangaroo-tiny,max_frames_num=64 --tasks ...`.

Frames are sampled, decoded and resized by our own code, and each video once for all its questions, so that the answer to a
prompt is the one that a run of ours gives for it. The prompts are lmms-eval's. Interface: lmms_eval/api/model.py.
"""

# mypy: disable-error-code="misc, no-any-unimported"
# (lmms_eval has no types and need not be installed)

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from lmms_eval.api.instance import GenerationResult, TokenCounts
from lmms_eval.api.model import lmms
from tqdm import tqdm

from kangaroo_eval.errors import UserError
from kangaroo_eval.integrations.lmms_answering import Answer, Looking, answer_all
from kangaroo_eval.integrations.lmms_requests import (
    Asked,
    from_messages,
    from_text,
    samples_at_random,
    settings,
)
from kangaroo_eval.media import FrameSpec
from kangaroo_eval.protocols import Closable
from kangaroo_eval.record import frame_size, keep_aspect
from kangaroo_eval.registry import load_model

FRAMES = 64


class KangarooSimple(lmms):
    """A model of ours for lmms-eval's simple interface: a text, and the visuals of doc_to_visual."""

    is_simple = True

    def __init__(
        self,
        pretrained: str | None = None,
        model: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | str | None = None,
        **options: Any,
    ) -> None:
        """`pretrained`: a Kangaroo checkpoint's folder or hub id; or `model`: any model that `kangaroo-eval models` lists
        (neither: the bundled kangaroo-tiny). Of `options`, `frames` (also `max_frames_num`, `nframes`), `fps`,
        `max_frames`, `sampler`, `workers` and `seed` are as for `kangaroo-eval run`; the rest are the model's own.
        `UserError` for what is wrong with any.
        """
        from accelerate import Accelerator

        super().__init__()
        if pretrained is not None and model is not None:
            raise UserError(f"pretrained={pretrained} and model={model}: give one of them")
        # Where this process stands among those that `accelerate launch` or torchrun started.
        self.accelerator = Accelerator()
        self.device = self.accelerator.device
        self._rank = self.accelerator.process_index
        self._world_size = self.accelerator.num_processes
        options.pop("max_batch_size", None)
        looked = _looking(options)
        self._model = load_model(
            model or (f"kangaroo:{pretrained}" if pretrained else "kangaroo-tiny"),
            device=device or (str(self.device) if self._world_size > 1 else None),
            dtype=dtype,
            seed=int(options.pop("seed", 0)),
            batch_size=None if batch_size in (None, "auto") else int(batch_size),
            **{name: str(value) for name, value in options.items()},
        )
        self._looking = Looking(
            spec=FrameSpec(
                **looked["spec"], size=frame_size(self._model), keep_aspect=keep_aspect(self._model)
            ),
            workers=looked["workers"],
        )
        if device:
            self.device = torch.device(device)

    def generate_until(self, requests: Sequence[Any]) -> list[Any]:
        """The answer to each request, greedy, cut at the task's own end texts."""
        asked, keys = [], []
        for request in requests:
            context, gen_kwargs, one = self._asked(request.args)
            self._told_of_sampling(gen_kwargs)
            asked.append(one)
            keys.append((context, gen_kwargs))
        answers = self._answer(asked)
        for key, answer in zip(keys, answers, strict=True):
            if not answer.failed:
                self.cache_hook.add_partial("generate_until", key, answer.text)
        return [
            GenerationResult(
                text=answer.text,
                token_counts=TokenCounts(input_tokens=answer.prompt_tokens, output_tokens=answer.new_tokens),
            )
            for answer in answers
        ]

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """For each request the mean loss (natural log) over the tokens of its continuation, and whether it is the greedy
        answer. A loss, lowest for the likeliest, is what lmms-eval's tasks take, whatever the method's name says
        (models/simple/llava.py; tasks/egoschema/utils.py picks the lowest)."""
        groups: dict[tuple[Any, ...], list[tuple[int, str]]] = {}
        first: dict[tuple[Any, ...], Asked] = {}
        for number, request in enumerate(requests):
            context, continuation, doc_to_visual, doc_id, task, split = request.args
            doc = self.task_dict[task][split][doc_id]
            reply = continuation if isinstance(continuation, str) else continuation(doc)
            key = (context, doc_id, task, split)
            groups.setdefault(key, []).append((number, str(reply)))
            if key not in first:
                first[key] = from_text(context, doc_to_visual(doc))
        asked = [
            Asked(
                prompt=one.prompt,
                video=one.video,
                pictures=one.pictures,
                candidates=tuple(reply for _, reply in groups[key]),
            )
            for key, one in first.items()
        ]
        found: dict[int, tuple[float, bool]] = {}
        for (key, members), answer in zip(groups.items(), self._answer(asked), strict=True):
            if answer.failed:
                raise UserError(
                    f"{key[2]} document {key[1]}: no likelihoods, and lmms-eval has no place for that: {answer.text}"
                )
            for (number, reply), loss in zip(members, answer.losses, strict=True):
                found[number] = (loss, answer.text.strip() == reply.strip())
        return [found[number] for number in range(len(requests))]

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Refused: a task of several rounds asks about new media in each."""
        raise UserError(
            "tasks of several rounds (generate_until_multi_round) cannot be run with kangaroo: choose others"
        )

    def clean(self) -> None:
        """Free the model."""
        if isinstance(self._model, Closable):
            self._model.close()
        del self._model
        super().clean()

    def _asked(self, arguments: tuple[Any, ...]) -> tuple[str, Mapping[str, Any], Asked]:
        context, gen_kwargs, doc_to_visual, doc_id, task, split = arguments
        visuals = doc_to_visual(self.task_dict[task][split][doc_id]) if doc_to_visual else ()
        return context, gen_kwargs, from_text(context, visuals, **settings(gen_kwargs))

    def _answer(self, asked: Sequence[Asked]) -> list[Answer]:
        with tqdm(total=len(asked), disable=self.rank != 0, desc=self._model.name) as bar:
            return answer_all(self._model, asked, self._looking, lambda: bar.update(1))

    def _told_of_sampling(self, gen_kwargs: Mapping[str, Any]) -> None:
        if samples_at_random(gen_kwargs) and not getattr(self, "_warned", False):
            self._warned = True
            tqdm.write("kangaroo: the task asks for sampled answers; ours are greedy")


class KangarooChat(KangarooSimple):
    """A model of ours for lmms-eval's chat interface: messages."""

    is_simple = False

    def _asked(self, arguments: tuple[Any, ...]) -> tuple[str, Mapping[str, Any], Asked]:
        context, doc_to_messages, gen_kwargs, doc_id, task, split = arguments
        make: Callable[[Any], Sequence[Mapping[str, Any]]] = doc_to_messages
        messages = make(self.task_dict[task][split][doc_id])
        return context, gen_kwargs, from_messages(messages, **settings(gen_kwargs))


def _looking(options: dict[str, Any]) -> dict[str, Any]:
    """Take what says how videos are looked at out of the options."""
    counts = {name: options.pop(name) for name in ("frames", "max_frames_num", "nframes") if name in options}
    if len(set(counts.values())) > 1:
        raise UserError(
            f"{', '.join(f'{name}={value}' for name, value in counts.items())}: give one number of frames"
        )
    fps = options.pop("fps", None)
    most = options.pop("max_frames", None)
    frames = next(iter(counts.values()), None if fps is not None else FRAMES)
    workers = options.pop("workers", None)
    spec = {
        "frames": None if frames is None else int(frames),
        "fps": None if fps is None else float(fps),
        "max_frames": None if most is None else int(most),
        "sampler": str(options.pop("sampler", "uniform")),
    }
    return {"spec": spec, "workers": None if workers is None else int(workers)}
