"""`release:REPOSITORY`: the public Kangaroo as its authors released it, through the `chat` of its own remote code.

KangarooGroup/kangaroo, README: `model.chat(video_path=, query=, tokenizer=, max_new_tokens=, eos_token_id=,
do_sample=, history=) -> (reply, history)`. It opens the video file by itself: which frames it looks at is not
known here, and --frames, --sampler and a clip's bounds do not reach it. What it cannot be asked is a failure of
that request, never an answer about something else.
"""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kangaroo_eval import identity
from kangaroo_eval.backends.hf_loading import named, refuse_revision, weights_fault
from kangaroo_eval.backends.prefill import Echoes, asked_in_words
from kangaroo_eval.errors import UserError
from kangaroo_eval.options import STANDARD, refuse_unknown
from kangaroo_eval.torch_tools import told_as_memory_error, torch_device, torch_dtype
from kangaroo_eval.types import Failure, Request, Response, Video

MODEL_ARGS = {"revision": "the commit, tag or branch of the repository (default: its newest)"}
END_OF_TURN = "<|eot_id|>"
"""Ends an answer as the tokenizer's own end of text does, by the README."""


class Release:
    """The public model as the harness sees it (protocols `Model`, `FrameSized`, `Described` and `Continuing`)."""

    frame_size = 0
    opens_videos = True
    """Giving it no frames does not keep it from seeing the video."""

    def __init__(
        self, name: str, model: Any, tokenizer: Any, known: identity.Identity, notes: tuple[str, ...] = ()
    ) -> None:
        self.name = f"release:{name}"
        self.model = model
        self.tokenizer = tokenizer
        self.model_hash = known.hash
        self.dtype = str(model.dtype).removeprefix("torch.")
        self.notes: tuple[str, ...] = (
            "decodes videos itself: frames as it chooses them, not as --frames says",
            *notes,
        )
        self._echoes = Echoes()
        self._known = known
        self._ends = _ends(tokenizer)

    @property
    def settings(self) -> Mapping[str, object]:
        """How the model is asked."""
        return {
            "device": str(self.model.device),
            "frames": "chosen by the model's own code, unknown here",
            "system": "before the question",
            "prefill": "asked for in words",
            "prefill_echoes": self._echoes.facts(),
            "timed_text": "before the question",
            "new_tokens": "counted again from the reply",
            "prompt_tokens": "unknown",
            "hash": self._known.method,
        }

    def earlier(self, settings: Mapping[str, object]) -> None:
        """Go on from the `settings` that an earlier call of the same run ended with."""
        self._echoes.take_up(settings.get("prefill_echoes"))

    def respond(self, requests: Iterable[Request]) -> Iterator[Response | Failure]:
        """Answer one after the other, greedily, without history."""
        for request in requests:
            cannot = _cannot(request.video)
            if cannot:
                yield Failure(request.id, "unsupported", f"{self.name} {cannot}")
                continue
            began = time.perf_counter()
            with told_as_memory_error():
                text = self._chat(request)
            yield Response(
                id=request.id,
                text=self._echoes.without(text, request.prefill),
                frame_times=(),
                prompt_tokens=None,
                new_tokens=len(self.tokenizer(text, add_special_tokens=False)["input_ids"]),
                seconds=time.perf_counter() - began,
            )

    def _chat(self, request: Request) -> str:
        prompt = request.prompt
        if request.prefill:
            prompt = asked_in_words(prompt, request.prefill)
        before = [] if request.system is None else [request.system.rstrip("\n")]
        query = "\n".join([*before, *(cue.text for cue in request.timed_text), prompt])
        reply = self.model.chat(
            video_path=request.video.path,
            query=query,
            tokenizer=self.tokenizer,
            max_new_tokens=request.max_new_tokens,
            eos_token_id=self._ends,
            do_sample=False,
            history=None,
        )
        text = reply[0] if isinstance(reply, tuple) else reply
        if not isinstance(text, str):
            raise TypeError(f"chat() of {self.name} returned {type(text).__name__}, not (reply, history)")
        return text


def load(
    argument: str | None,
    *,
    device: str | None = None,
    dtype: str | None = None,
    trust_remote_code: bool = False,
    **options: Any,
) -> Release:
    """The public release through its own code: `release:KangarooGroup/kangaroo --trust-remote-code`.

    The argument is a hub id or a folder. That flag is needed, for it runs the repository's Python code on this
    machine. It looks at frames of its own choice. Raises `UserError`.
    """
    if not argument:
        raise UserError(
            "model 'release' needs a repository: release:KangarooGroup/kangaroo, or release:FOLDER"
        )
    model_args = {name: value for name, value in options.items() if name not in STANDARD}
    refuse_unknown(model_args, MODEL_ARGS)
    if not trust_remote_code:
        raise UserError(
            f"release:{argument} runs Python code that comes from that repository: look at it, then give "
            "--trust-remote-code"
        )
    place = torch_device(device)
    folder = Path(argument).expanduser()
    name = folder.resolve().name if folder.is_dir() else argument.replace("/", "--")
    revision = model_args.get("revision")
    if folder.is_dir():
        refuse_revision(argument, revision)
    else:
        folder = _fetched(argument, revision)
    known = identity.of_folder(folder, full=bool(options.get("full_hash")))
    model, tokenizer, unused = _load(folder, torch_dtype(dtype, place))
    if not callable(getattr(model, "chat", None)):
        raise UserError(
            f"release:{argument}: {type(model).__name__} has no chat(); is it the public release?"
        )
    return Release(name, model.to(place).eval(), tokenizer, known, (unused,) if unused else ())


# Known before a model is loaded that cannot be used (`blind.py`).
load.__dict__["opens_videos"] = True


def _fetched(repository: str, revision: object) -> Path:
    """The repository of the hub on this disk."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(snapshot_download(repository, revision=None if revision is None else str(revision)))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"release:{repository}: no such folder, and the hub does not give it ({reason}); give a folder, or "
            f"download it first: hf download {repository}"
        ) from error


def _load(folder: Path, dtype: Any) -> tuple[Any, Any, str]:
    """The folder's model and tokenizer, and which of its weights the network has no place for. `UserError` says what
    its code fails of, or which weights the network lacks: transformers itself leaves those random."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=True)
        auto: Any = AutoModelForCausalLM
        model, info = auto.from_pretrained(
            str(folder),
            dtype=dtype,
            trust_remote_code=True,
            use_safetensors=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are listed then, and refused below
        )
    except Exception as error:
        # The repository's code is foreign and may raise anything.
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"{folder} cannot be loaded: {type(error).__name__}: {reason}") from error
    fault = weights_fault(info)
    if fault:
        raise UserError(f"{folder}: weights do not fit its network: {fault}; download it again")
    unused = named("weights that its network has no place for:", info.get("unexpected_keys") or ())
    return model, tokenizer, unused


def _cannot(video: Video) -> str | None:
    """Why the model cannot look at this video; None where it can."""
    if video.frames_dir is not None:
        return "opens video files only, and this video is a folder of pictures"
    if video.start is not None or video.end is not None:
        return "looks at whole files only, and this question is about a part of one"
    if video.picture is not None:
        return "looks at one video only, and this question shows a picture beside it"
    return None


def _ends(tokenizer: Any) -> list[int]:
    """The tokens that end an answer."""
    ids = [tokenizer.eos_token_id]
    vocabulary = tokenizer.get_vocab()
    ids += [vocabulary[END_OF_TURN]] if END_OF_TURN in vocabulary else []
    return list(dict.fromkeys(each for each in ids if each is not None))
