"""Finds, checks and loads a transformers model and its processor, strictly: whatever does not fit is one line."""

# mypy: allow-untyped-calls
# (transformers and torch annotate only a part of their methods)

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from kangaroo_eval.backends.hf_options import Shown
from kangaroo_eval.errors import UserError, first_line
from kangaroo_eval.identity import DOCUMENTS, read_json

if TYPE_CHECKING:
    import torch

NAMED = 3
"""Weights that an error message names."""
FILES = (*DOCUMENTS, "*.safetensors", "*.safetensors.index.json")
"""What is fetched of a repository of the hub; code only where it may be run."""
PROCESSOR_FILES = ("processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")
TOKENIZER_FILES = ("tokenizer*", "vocab*", "*.model", "*.tiktoken")
EXAMPLES = "such as LLaVA-OneVision, LLaVA-NeXT-Video, Qwen2.5-VL, Qwen3-VL, InternVL3 (-hf) or SmolVLM2"


class Layout(NamedTuple):
    """Which part of a network is where, as transformers takes it (`from_pretrained`)."""

    device_map: str | Mapping[str, int | str] = "auto"
    max_memory: Mapping[int | str, int] | None = None


class Source(NamedTuple):
    """A model on disk, and the name it has in tables and file names."""

    folder: Path
    name: str


def find(arg: str | None, *, revision: str | None, trust_remote_code: bool) -> Source:
    """The folder of a model: `arg` itself, or what the hub has under that id (fetched where it is not at hand)."""
    if not arg:
        raise UserError("model 'hf' needs weights: write hf:FOLDER or hf:OWNER/NAME")
    folder = Path(arg).expanduser()
    if folder.is_dir():
        refuse_revision(arg, revision)
        return Source(folder, folder.resolve().name)
    if folder.exists() or not re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", arg):
        what = "a file" if folder.exists() else "no such folder, and no id of the hub (OWNER/NAME)"
        raise UserError(f"{arg}: {what}; give a model's folder or hub id")
    return Source(_fetched(arg, revision, trust_remote_code), arg.replace("/", "--"))


def refuse_revision(folder: str, revision: object) -> None:
    """A folder has no revisions: who asks for one would get another model than he thinks."""
    if revision is not None:
        raise UserError(
            f"--model-args revision={revision}: {folder} is a folder, not a repository of the hub"
        )


def _fetched(hub_id: str, revision: str | None, trust_remote_code: bool) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    wanted = [pattern for pattern in FILES if trust_remote_code or pattern != "*.py"]
    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=wanted))
    except LocalEntryNotFoundError as error:
        raise UserError(
            f"{hub_id}: no such folder, and the hub cannot be reached to fetch it (HF_HUB_OFFLINE, or no network); "
            "give a folder, or download it first: hf download " + hub_id
        ) from error
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(
            f"{hub_id}: no such folder, and the hub does not give it ({first_line(error)})"
        ) from error


def check_packages() -> None:
    """UserError where a package is missing, or does not fit another, that processors of pictures need."""
    try:
        importlib.import_module("torchvision")
    except ImportError as error:
        raise UserError(
            f"model 'hf' needs the package torchvision ({first_line(error)}): pip install torchvision"
        ) from error
    except (RuntimeError, OSError, AttributeError) as error:
        import torch

        build = "cpu" if torch.version.cuda is None else f"cu{torch.version.cuda.replace('.', '')}"
        raise UserError(
            f"the installed torchvision was built for another torch than {torch.__version__} ({first_line(error)}): "
            f"pip install --force-reinstall torchvision --index-url https://download.pytorch.org/whl/{build}"
        ) from error


def read_config(source: Source, trust_remote_code: bool) -> Any:
    """The configuration of a vision-language model. UserError for every other kind of model."""
    from transformers import AutoConfig, AutoModelForImageTextToText
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    path = source.folder / "config.json"
    raw = read_json(path)
    kind = raw.get("model_type") if isinstance(raw, Mapping) else None
    if not isinstance(kind, str):
        raise UserError(f"{path}: names no model_type, so it is not a transformers model; {EXAMPLES}")
    if kind.startswith("kangaroo"):
        raise UserError(f"{source.folder}: a Kangaroo checkpoint; write kangaroo:{source.folder}")
    code = raw.get("auto_map") or {}
    if code and kind not in CONFIG_MAPPING and not trust_remote_code:
        raise UserError(
            f"{source.folder}: its network ({kind}) is code of its repository, which is run only with "
            "--trust-remote-code; read the code first"
        )
    try:
        config = AutoConfig.from_pretrained(str(source.folder), trust_remote_code=trust_remote_code)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, ImportError) as error:
        raise UserError(
            f"{path}: no configuration of this transformers ({first_line(error)}); is a newer one needed?"
        ) from error
    if (
        type(config) not in AutoModelForImageTextToText._model_mapping
        and "AutoModelForImageTextToText" not in code
    ):
        raise UserError(
            f"{source.folder}: {kind} is not a vision-language model of transformers (AutoModelForImageTextToText); "
            f"hf: wants one that reads video, {EXAMPLES}"
        )
    return config


def read_network(
    source: Source,
    config: Any,
    place: torch.device | Layout,
    *,
    trust_remote_code: bool,
    **options: Any,
) -> Any:
    """The network with exactly the weights of the folder, at its place. transformers itself only warns where some are
    missing and stay random, which scores like a poor model."""
    import torch
    from transformers import AutoModelForImageTextToText

    auto: Any = AutoModelForImageTextToText
    try:
        with _quiet():
            network, info = auto.from_pretrained(
                str(source.folder),
                config=config,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are listed then, and refused below
                local_files_only=True,
                trust_remote_code=trust_remote_code,
                **(place._asdict() if isinstance(place, Layout) else {}),
                **options,
            )
    except (OSError, ValueError, ImportError, RuntimeError, TypeError, KeyError) as error:
        raise UserError(f"{source.folder}: cannot be loaded ({first_line(error)})") from error
    told = "; ".join(filter(None, (weights_fault(info), named("unknown", info.get("unexpected_keys") or ()))))
    if told:
        raise UserError(
            f"{source.folder}: weights do not fit its config.json: {told}; save or download it again"
        )
    if isinstance(place, Layout):
        # Its parts were put in their places as they were read.
        _check_layout(source, network, place)
        return network.eval()
    try:
        return network.to(place).eval()
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"{source.folder}: the weights do not fit on {place} ({first_line(error)}); use a smaller --dtype or --device cpu"
        ) from error


def layout(place: torch.device) -> Layout | torch.device:
    """The layers of a network laid out over all GPUs that are to be seen, and nowhere else: part of one in main memory
    would answer a hundred times more slowly without a word."""
    import torch

    if place.type == "cpu":
        return place
    try:
        importlib.import_module("accelerate")
    except ImportError as error:
        raise UserError(
            f"--model-args device_map=auto needs the package accelerate ({first_line(error)}): pip install accelerate"
        ) from error
    if place.type != "cuda" or place.index is not None:
        raise UserError(
            f"--device {place} with --model-args device_map=auto: it takes all GPUs that are to be seen; leave --device out"
        )
    free = {number: torch.cuda.mem_get_info(number)[0] for number in range(torch.cuda.device_count())}
    # What the answers need is left: a tenth of each.
    return Layout("auto", {number: size * 9 // 10 for number, size in free.items()})


def _check_layout(source: Source, network: Any, place: Layout) -> None:
    """UserError where a part of the network found no room on any GPU."""
    import torch

    parts: Mapping[str, object] = getattr(network, "hf_device_map", {})
    outside = [part for part, where in parts.items() if where in ("cpu", "disk")]
    if outside and place.max_memory is not None:
        raise UserError(
            f"{source.folder}: {len(outside)} of its {len(parts)} parts do not fit on the "
            f"{torch.cuda.device_count()} GPUs that are to be seen; give more of them (--gpus-per-model, "
            "CUDA_VISIBLE_DEVICES) or a smaller --dtype"
        )


def devices_of(network: Any) -> str:
    """Where a network's parts are, such as "cpu" or "cuda:0, cuda:1"."""
    return ", ".join(sorted({str(parameter.device) for parameter in network.parameters()}))


def weights_fault(info: Mapping[str, Any]) -> str:
    """What transformers' loading report says of weights that stay random, as one line; "" where there are none."""
    words = {
        "missing": "missing_keys",
        "misshapen": "mismatched_keys",
        "unconvertible": "conversion_errors",
    }
    faults = [named(word, info.get(key) or ()) for word, key in words.items()]
    return "; ".join(filter(None, [*faults, *map(str, info.get("error_msgs") or ())]))


def named(word: str, keys: Iterable[Any]) -> str:
    """The first few of these weights by name; "" for none."""
    names = sorted(
        key if isinstance(key, str) else f"{key[0]} {tuple(key[1])} instead of {tuple(key[2])}"
        for key in keys
    )
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{word} {', '.join(names[:NAMED])}{more}" if names else ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Without transformers' progress bar and report, whose content becomes an error here."""
    from transformers.utils import logging

    bar, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bar:
            logging.enable_progress_bar()


def read_processor(source: Source, *, shown: Shown, trust_remote_code: bool) -> Any:
    """The processor beside the weights, with a chat template and what it takes to show video (or images)."""
    from transformers import AutoProcessor

    mend = "copy the processor's and tokenizer's files into it (preprocessor, tokenizer, chat template)"
    try:
        processor = AutoProcessor.from_pretrained(
            str(source.folder), trust_remote_code=trust_remote_code, local_files_only=True
        )
    except ImportError as error:
        package = re.search(r"pip install ([\w-]+)", str(error))
        raise UserError(
            f"{source.folder}: its processor needs a package that is not here ({first_line(error)})"
            + (f": pip install {package[1]}" if package else "")
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, json.JSONDecodeError) as error:
        raise UserError(
            f"{source.folder}: no usable processor ({_lacking(source, error)}); {mend}"
        ) from error
    if getattr(processor, "tokenizer", None) is None:
        raise UserError(f"{source.folder}: no processor, only a {type(processor).__name__}; {mend}")
    _check_eyes(source, processor, shown)
    if getattr(processor, "chat_template", None) is None:
        processor.chat_template = getattr(processor.tokenizer, "chat_template", None)
    if processor.chat_template is None:
        raise UserError(
            f"{source.folder}: no chat template (chat_template.jinja); it is part of a chat model's files"
        )
    return processor


def _lacking(source: Source, error: Exception) -> str:
    """Why a processor does not load: the file that is not there, which transformers words as a wrong name on the
    hub, else what transformers says."""
    for example, patterns in (
        ("processor_config.json", PROCESSOR_FILES),
        ("tokenizer.json", TOKENIZER_FILES),
    ):
        if not any(any(source.folder.glob(pattern)) for pattern in patterns):
            return f"no {example}, nor another file in its place"
    return first_line(error).split(" If you were trying to load it from")[0]


def _check_eyes(source: Source, processor: Any, shown: Shown) -> None:
    video, images = (getattr(processor, name, None) for name in ("video_processor", "image_processor"))
    kind = type(processor).__name__
    if shown == "images" and images is None:
        raise UserError(f"{source.folder}: its {kind} takes no images; leave --model-args frames=images out")
    if shown == "video" and video is None:
        raise UserError(
            f"{source.folder}: its {kind} takes no video, only images; --model-args frames=images shows it every "
            "frame as an image"
        )


def check_agreement(source: Source, processor: Any, network: Any) -> None:
    """UserError where processor and network do not mean the same tokens."""
    rows = network.get_input_embeddings().weight.shape[0]
    ids = processor.tokenizer.get_vocab()
    if max(ids.values()) >= rows:
        raise UserError(
            f"{source.folder}: the tokenizer knows {max(ids.values()) + 1} tokens, the network {rows}: they are not of "
            "one model"
        )
    for kind in ("image", "video"):
        own = _token_id(network.config, kind)
        theirs = getattr(processor, f"{kind}_token_id", None)
        if own is not None and theirs is not None and own != theirs:
            raise UserError(
                f"{source.folder}: the processor's {kind} token is {theirs}, the network's {own}: they are not of one "
                "model, or the tokenizer lacks its special tokens"
            )


def _token_id(config: Any, kind: str) -> int | None:
    for name in (f"{kind}_token_id", f"{kind}_token_index"):
        if getattr(config, name, None) is not None:
            return int(getattr(config, name))
    return None
