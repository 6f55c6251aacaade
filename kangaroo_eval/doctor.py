"""What works on this machine and how to mend the rest: the checks of `kangaroo-eval doctor`.

Each check takes what it needs as arguments, tries the thing itself where it can (a decoder decodes, the model answers)
and gives one finding. None raises for what is broken here: that is what it was asked to tell.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from kangaroo_eval.errors import LONGEST, UserError, one_line
from kangaroo_eval.installed import OURS, cannot_import, is_there, lack_of, requirements, version_of

if TYPE_CHECKING:
    from kangaroo_eval.types import Frames, Video

BUNDLED = "kangaroo-tiny"
OLDEST_PYTHON = (3, 11)
LEAST_SPACE = 64 << 20
"""Bytes that must be free: a mini benchmark takes about ten million of them, a run of it less."""
SUMS = "SHA256SUMS"
"""The file beside the bundled weights that says what they are, as `sha256sum --check` reads it."""
FOR_DEVELOPERS = ("docs", "test")
AGAIN = f"pip install --force-reinstall --no-deps {OURS}"
MODEL_EXTRA = f"pip install '{OURS}[model]'"

State = Literal["ok", "absent", "broken"]


class Finding(NamedTuple):
    """One thing that was looked at. "absent" is not there, "broken" is and does not work; `mend` is what to do. Where
    `needed`, the bundled job (or what a flag asked for) cannot do without it."""

    name: str
    state: State
    said: str
    mend: str | None = None
    needed: bool = False

    @property
    def fault(self) -> bool:
        """Whether this keeps the bundled job from running."""
        return self.needed and self.state != "ok"

    @property
    def advice(self) -> str | None:
        """The mend of what is not right."""
        return None if self.state == "ok" else self.mend


def python() -> Finding:
    """The interpreter."""
    said = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    old = sys.version_info[:2] < OLDEST_PYTHON
    return Finding("python", "broken" if old else "ok", said, "install Python 3.11 or newer", needed=True)


def packages() -> Finding:
    """The core packages: each is imported, for one that is installed may still not load."""
    found, wrong = [], []
    for each in requirements(None):
        version = version_of(each)
        lack = lack_of(each, version) or cannot_import(each.package)
        found.append(f"{each.package} {version}")
        wrong += [lack] if lack else []
    mend = f"pip install --upgrade {OURS}"
    if wrong:
        return Finding("packages", "broken", "; ".join(wrong), mend, needed=True)
    return Finding("packages", "ok", ", ".join([f"{OURS} {metadata.version(OURS)}", *found]), needed=True)


def extras() -> Iterator[Finding]:
    """The optional parts, by the extra that installs them. What of them works is told by other checks."""
    names = [
        name for name in metadata.metadata(OURS).get_all("Provides-Extra") or () if name not in FOR_DEVELOPERS
    ]
    base = requirements("model")
    for extra in names:
        wanted = requirements(extra)
        versions = {each: version_of(each) for each in wanted}
        lacks = [lack for each, version in versions.items() if (lack := lack_of(each, version))]
        name, mend = f"extra {extra}", f"pip install '{OURS}[{extra}]'"
        needed = extra == "model"
        if not wanted:
            yield Finding(name, "absent", f"has no package for {platform.machine()}")
        elif lacks:
            yield Finding(name, "absent", "; ".join(lacks), mend, needed)
        else:
            own = [each for each in wanted if needed or each not in base]
            told = ", ".join(f"{each.package} {versions[each]}" for each in own)
            yield Finding(name, "ok", told or "as extra model", needed=needed)


def make_clip(folder: Path) -> Video:
    """A video of the mini world of a few seconds. Whatever libav raises where it cannot be written."""
    from kangaroo_eval.miniworld.generate import make_world
    from kangaroo_eval.miniworld.recipes import SHORT
    from kangaroo_eval.miniworld.render import write_video
    from kangaroo_eval.types import Video

    path = folder / "doctor.mp4"
    write_video(make_world("doctor", SHORT["space"]), path)
    return Video(str(path))


class Decoding(NamedTuple):
    """What decoding the made video gave: the finding, and our decoder's frames, which the others are held to."""

    finding: Finding
    frames: Frames | None


def decoder(name: str, video: Video, frames: int | None = None, timeout: float = 60.0) -> Decoding:
    """Decode every frame of the video by the decoder of this name, in a process of its own, for a broken library may
    end the process; `frames` is how many it must give."""
    from kangaroo_eval.media import FrameSpec, Job, decode_ahead

    own = name == "pyav"
    title, mend = f"decoder {name}", "pip install --force-reinstall av" if own else _decoder_mend(name)
    if not own and not is_there(name):
        return Decoding(Finding(title, "absent", "not installed", f"pip install '{OURS}[{name}]'"), None)
    if not own and (wrong := _cannot_load(LOADED_BY[name])):
        return Decoding(Finding(title, "broken", wrong, mend), None)
    job = Job(video, FrameSpec(frames=10_000, size=64, decoder=name))
    try:
        (done,) = decode_ahead([job], workers=1, timeout=timeout)
        said = "no frames" if done.error is None else done.error.message
        got = done.frames
    except UserError as error:
        said, got = one_line(error), None
    if got is None:
        return Decoding(Finding(title, "broken", said, mend, needed=own), None)
    count = len(got.pixels)
    if frames is not None and count != frames:
        return Decoding(Finding(title, "broken", f"{count} frames where pyav gives {frames}", mend), got)
    return Decoding(Finding(title, "ok", f"{count} frames of a made video", needed=own), got)


LOADED_BY = {"decord": "decord", "torchcodec": "torchcodec.decoders"}
"""The module of each optional decoder whose import loads its libraries."""

_TRY_IMPORT = """
import importlib, sys
try:
    importlib.import_module(sys.argv[1])
except BaseException as error:
    print(f"{type(error).__name__}: {error}")
    sys.exit(1)
"""


def _cannot_load(module: str, timeout: float = 120.0) -> str | None:
    """Why importing the module fails, in a process of its own; None where it does not."""
    command = [sys.executable, "-P", "-c", _TRY_IMPORT, module]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=timeout)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"it cannot be imported ({one_line(error)})"
    said = " ".join(done.stdout.split())[:LONGEST] or f"the process ended with {done.returncode}"
    return f"it cannot be imported ({said})" if done.returncode else None


def _decoder_mend(name: str) -> str:
    again = f"pip install --force-reinstall --no-deps {name}; or do without --decoder {name}"
    if name == "torchcodec":
        return f"install FFmpeg's shared libraries (apt-get install ffmpeg), or the torchcodec of your torch: {again}"
    return again


def gpu(devices: Path = Path("/dev")) -> Finding:
    """What torch computes on."""
    name = "gpu"
    if not is_there("torch"):
        return Finding(name, "absent", "torch is not installed", MODEL_EXTRA)
    try:
        import torch
    except Exception as error:  # noqa: BLE001 - a broken torch may raise anything
        mend = "reinstall torch: https://pytorch.org/get-started/locally"
        return Finding(name, "broken", f"torch does not load ({one_line(error)})", mend, needed=True)
    from kangaroo_eval.torch_tools import torch_device, torch_dtype

    if not torch.cuda.is_available():
        return _no_gpu(torch.__version__, torch.version.cuda, (devices / "nvidia0").exists())
    dtype = str(torch_dtype(None, torch.device("cuda"))).removeprefix("torch.")
    cards = []
    for number in range(torch.cuda.device_count()):
        try:
            torch_device(f"cuda:{number}")
            free, total = torch.cuda.mem_get_info(number)
        except (UserError, RuntimeError) as error:
            said = f"cuda:{number} cannot be used ({one_line(error)})"
            mend = "see nvidia-smi: it may be full or lost; or run with --device cpu"
            return Finding(name, "broken", said, mend, needed=number == 0)
        cards.append(
            f"cuda:{number} {torch.cuda.get_device_name(number)}, "
            f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        )
    return Finding(name, "ok", f"{'; '.join(cards)}; {dtype} by default (torch {torch.__version__})")


def _no_gpu(version: str, cuda: str | None, card: bool) -> Finding:
    cores = f"torch {version} computes on {os.cpu_count()} CPU cores in float32"
    if not card:
        return Finding("gpu", "absent", f"none; {cores}")
    if cuda is None:
        mend = "install a CUDA build of torch: https://pytorch.org/get-started/locally"
        return Finding("gpu", "broken", f"there is an NVIDIA card, and torch is a CPU build; {cores}", mend)
    mend = f"install a driver that supports CUDA {cuda}, or a torch for the driver that is there"
    return Finding("gpu", "broken", f"there is an NVIDIA card that torch cannot use; {cores}", mend)


def bundled_folder() -> Path:
    """The bundled model's folder, wherever the package is installed."""
    return Path(str(resources.files(f"{OURS.replace('-', '_')}.model"))) / "assets" / BUNDLED


def weights(folder: Path) -> Finding:
    """The bundled model's files: each there, and with the hash that stands in `SUMS` beside its card."""
    from kangaroo_eval.identity import of_folder

    name = "weights"
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
        sums = {file: digest for digest, file in (line.split(maxsplit=1) for line in lines)}
        other = [each for each, digest in sums.items() if _digest(folder / each) != digest]
        if other or not sums:
            said = f"{folder}: not as {SUMS} says: {', '.join(other) or 'it is empty'}"
            return Finding(name, "broken", said, AGAIN, needed=True)
        identity = of_folder(folder, full=True)
    except (UserError, OSError, ValueError) as error:
        return Finding(name, "broken", one_line(error), AGAIN, needed=True)
    said = (
        f"{BUNDLED}: {len(sums)} files as {SUMS} says, {identity.bytes:,} bytes of weights, "
        f"model_hash {identity.hash[:12]}..."
    )
    return Finding(name, "ok", said, needed=True)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def answer(video: Video, frames: Frames) -> Finding:
    """Load the bundled model and ask it one question about the made video."""
    name = "bundled model"
    if not is_there("torch"):
        return Finding(name, "absent", "torch is not installed", MODEL_EXTRA, needed=True)
    from kangaroo_eval.registry import load_model
    from kangaroo_eval.types import Request, Response

    try:
        model = load_model(BUNDLED, device=None, dtype=None, seed=0, batch_size=None)
        (reply,) = model.respond([Request("1", video, "What is in the video?", frames, max_new_tokens=8)])
    except Exception as error:  # noqa: BLE001 - whatever torch and transformers raise
        return Finding(name, "broken", f"{BUNDLED}: {one_line(error)}", MODEL_EXTRA, needed=True)
    if not isinstance(reply, Response):
        return Finding(name, "broken", f"{BUNDLED}: {reply.message}", MODEL_EXTRA, needed=True)
    said = f"{BUNDLED} answers a question about the made video in {reply.seconds:.2f} s"
    return Finding(name, "ok", said, needed=True)


def folder(name: str, path: Path, flag: str) -> Finding:
    """Whether a file can be written in a folder that is there or would be made, and what is free on its disk. Nothing
    stays behind."""
    there = next((each for each in (path, *path.absolute().parents) if each.exists()), Path(path.anchor))
    mend = f"give another folder with {flag}"
    try:
        with tempfile.NamedTemporaryFile(dir=there, prefix=".kangaroo-eval-doctor-") as file:
            file.write(b"1")
            file.flush()
        free = shutil.disk_usage(there).free
    except OSError as error:
        said = f"{path}: cannot be written to ({error.strerror or error})"
        return Finding(name, "broken", said, mend, needed=True)
    said = f"{path}: can be written to, {free / 1e9:.1f} GB free"
    if free < LEAST_SPACE:
        return Finding(name, "broken", said, f"free some space, or {mend}", needed=True)
    return Finding(name, "ok", said, needed=True)


def data(root: Path | None) -> Finding:
    """Which benchmarks are under the data root."""
    from kangaroo_eval.data import folder_of
    from kangaroo_eval.registry import get_task, task_names

    mend = "name the folder of the benchmarks with --data-root or KANGAROO_EVAL_DATA"
    if root is None:
        return Finding(
            "data", "absent", "no data root: runs take mini copies, made videos and questions", mend
        )
    if not root.is_dir():
        return Finding("data", "broken", f"{root} is not a readable folder", mend, needed=True)
    tasks = [get_task(name) for name in task_names()]
    found = [task.name for task in tasks if folder_of(task, root)]
    if not found:
        return Finding("data", "absent", f"{root} holds no benchmark that is known", mend)
    return Finding("data", "ok", f"{root}: {', '.join(found)} ({len(found)} of {len(tasks)} tasks)")


def hub(environment: Mapping[str, str], ask: Callable[[str], str | None] | None = None) -> Finding:
    """The Hugging Face hub as the environment has it set; `ask(address)` tries it, and gives what went wrong."""
    address = without_secrets(environment.get("HF_ENDPOINT") or "https://huggingface.co")
    token = "set" if environment.get("HF_TOKEN") else "not set"
    offline = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if _on(environment.get(name))]
    said = f"{address}{', HF_ENDPOINT is set' if environment.get('HF_ENDPOINT') else ''}, HF_TOKEN {token}"
    if offline:
        return Finding("hub", "ok", f"offline ({offline[0]} is set): only the cache is looked at; {said}")
    if ask is None:
        return Finding("hub", "ok", f"online, not tried (--network tries it); {said}")
    wrong = ask(environment.get("HF_ENDPOINT") or "https://huggingface.co")
    if wrong:
        mend = "check the connection and HF_ENDPOINT, or set HF_HUB_OFFLINE=1"
        return Finding("hub", "broken", f"{wrong}; {said}", mend, needed=True)
    return Finding("hub", "ok", f"online, it answers; {said}")


def _on(value: str | None) -> bool:
    return (value or "").upper() in ("1", "ON", "YES", "TRUE")


def without_secrets(address: str) -> str:
    """An address without user name, password, query and fragment."""
    plain = re.sub(r"[?#].*", "", address, flags=re.DOTALL)
    return re.sub(r"(?<=//)[^/]*@", "", plain)


def reach(address: str, timeout: float = 10.0) -> str | None:
    """Why the address does not answer; None where it does, whatever it answers. No secret is sent."""
    from urllib.error import HTTPError, URLError
    from urllib.request import Request, urlopen

    if not re.match(r"https?://", address):
        return "HF_ENDPOINT is no http address"
    plain = without_secrets(address)
    try:
        urlopen(Request(plain, method="HEAD"), timeout=timeout).close()
    except HTTPError:
        return None
    except (URLError, OSError, ValueError) as error:
        return f"{plain} cannot be reached ({one_line(error)})"
    return None


JUDGE_VARIABLES = ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")


def judge(environment: Mapping[str, str], base_url: str | None) -> Finding:
    """What judges are asked with: the names of the variables that are set, never a value. With `base_url` the server
    is asked once for its models."""
    from kangaroo_eval.endpoint import Endpoint, EndpointConfig, Failed, diagnosis

    names = [name for name in JUDGE_VARIABLES if environment.get(name)]
    said = f"set in the environment: {', '.join(names) or 'none of ' + ', '.join(JUDGE_VARIABLES)}"
    asked = base_url is not None
    if not is_there("openai"):
        mend = f"pip install '{OURS}[judge]'"
        return Finding("judge", "absent", f"the package openai is missing; {said}", mend, needed=asked)
    if base_url is None:
        how = "set OPENAI_API_KEY, or start a server and name it with --judge-base-url"
        return Finding("judge", "ok" if names else "absent", said, how)
    try:
        config = EndpointConfig(
            model="any", base_url=base_url, api_key=environment.get("OPENAI_API_KEY"), timeout=10.0
        )
        with Endpoint(config, None) as endpoint:
            models = endpoint.models()
    except UserError as error:
        return Finding("judge", "broken", one_line(error), "mend --judge-base-url", needed=True)
    if isinstance(models, Failed):
        return Finding("judge", "broken", diagnosis(config, models, answered=False), needed=True)
    listed = ", ".join(models[:5]) + (", ..." if len(models) > 5 else "")
    return Finding("judge", "ok", f"{config.url} has {listed or 'no models'}; {said}", needed=True)
