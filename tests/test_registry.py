"""Plug-ins: a real small wheel in a folder of its own, with faulty ones beside it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import videomme_rows, write_videomme

from kangaroo_eval import registry
from kangaroo_eval.errors import UserError

PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "{name}"
version = "1"
{entries}
[tool.setuptools]
py-modules = {modules}
"""

MODEL = '''
"""A model of a third party."""
from kangaroo_eval.types import Response


class MyModel:
    name = "mymodel"
    frame_size = 32

    def __init__(self, letter):
        self.letter = letter

    def respond(self, requests):
        for request in requests:
            assert request.frames.pixels.shape[1:] == (32, 32, 3)
            yield Response(request.id, self.letter, request.frames.times, 1, 1, 0.0)


def load(arg, *, letter="B", **options):
    """Says one letter.

    The argument is ignored."""
    return MyModel(letter)


def strict(arg):
    return MyModel("A")


def panicked(arg, **options):
    class PanicException(BaseException):
        """What a panic of Rust is in Python."""

    raise PanicException("no device")


def nothing(arg, **options):
    return object()
'''

TASK = """
from kangaroo_eval.answers import careful_choice, official_choice
from kangaroo_eval.task import Source, Task

TASK = Task(
    name="mybench", version=1, title="My", read=lambda root: iter(()), prompt=lambda sample, view: "",
    source=Source(folder="my", annotations=(), homepage="", hub=None, licence="", citation=""),
    scorer=careful_choice, official=official_choice("videomme"), official_rule="videomme", breakdown=(),
)
NUMBER = 3
"""

FAULTY = """
[project.entry-points."kangaroo_eval.models"]
nopackage = "bad_import:load"
raising = "bad_raise:load"
panicking = "bad_panic:load"
lacking = "bad_empty:load"
number = "bad_empty:NUMBER"
pairs = "bad_empty:PAIRS"
constant = "bad_empty:make"
[project.entry-points."kangaroo_eval.tasks"]
notask = "bad_empty:NUMBER"
lvbench = "bad_empty:TASKS"
gone = "bad_import:TASK"
[project.entry-points."kangaroo_eval.task_aliases"]
aliases = "bad_empty:NUMBER"
"""

FAULTY_MODULES = {
    "bad_import": "import a_package_that_nobody_has",
    "bad_raise": "raise RuntimeError('no driver\\nfound')",
    "bad_panic": "class PanicException(BaseException): ...\nraise PanicException('called unwrap on None')",
    "bad_empty": "NUMBER = 3\nPAIRS = {'a': 3}\nTASKS = {'LV-Bench': 'bad_empty:NUMBER'}\ndef make(arg, **options): ...",
}


def wheel(folder: Path, name: str, entries: str, modules: dict[str, str]) -> Path:
    """Build a wheel of these modules, without the network."""
    source = folder / f"{name}-source"
    source.mkdir()
    for module, code in modules.items():
        (source / f"{module}.py").write_text(code)
    text = PROJECT.format(name=name, entries=entries, modules=json.dumps(list(modules)))
    (source / "pyproject.toml").write_text(text)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", folder, source]
    subprocess.run(build, check=True, capture_output=True)
    (made,) = folder.glob(f"{name.replace('-', '_')}-*.whl")
    return made


def installed(site: Path, name: str, entries: str, modules: dict[str, str]) -> None:
    """What installing such a wheel leaves behind."""
    for module, code in modules.items():
        (site / f"{module}.py").write_text(code)
    folder = site / f"{name.replace('-', '_')}-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    text = re.sub(r'\[project\.entry-points\."(.*)"\]', r"[\1]", entries).replace('"', "")
    (folder / "entry_points.txt").write_text(text)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder with the plug-ins installed: a whole package, a faulty one, and a stranger with the same names."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("plugins")
    good = """
[project.entry-points."kangaroo_eval.models"]
mymodel = "my_model:load"
strict = "my_model:strict"
nothing = "my_model:nothing"
panicked = "my_model:panicked"
twice = "my_model:load"
[project.entry-points."kangaroo_eval.tasks"]
mine = "my_task:TASK"
"""
    made = wheel(folder, "my-model", good, {"my_model": MODEL, "my_task": TASK})
    target = folder / "site"
    install = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--no-deps"]
    subprocess.run([*install, "--no-index", "--target", target, made], check=True, capture_output=True)
    installed(target, "a-faulty-one", FAULTY, FAULTY_MODULES)
    same = '[project.entry-points."kangaroo_eval.models"]\ntwice = "another:load"\n'
    installed(target, "another", same, {"another": "def load(arg, **options): ..."})
    return target


CLI = "import sys; from kangaroo_eval.cli import main; sys.exit(main(sys.argv[1:]))"


@pytest.fixture
def cli(site, tmp_path):
    """The command line in a process that has the plug-ins."""
    paths = os.pathsep.join(filter(None, (str(site), os.environ.get("PYTHONPATH"))))

    def call(*words):
        return subprocess.run(
            [sys.executable, "-c", CLI, *map(str, words)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": paths},
        )

    return call


def test_a_third_partys_model_runs_with_its_arguments_though_a_faulty_one_stands_beside_it(cli, tmp_path):
    data = write_videomme(tmp_path / "data", videomme_rows(2))
    words = ("--data", "real", "--data-root", data, "--frames", 2, "--workers", 1, "--output", "run")
    done = cli("--tasks", "videomme", "--model", "mymodel", "--model-args", "letter=C", *words)
    assert done.returncode == 0, done.stderr
    answers = [
        json.loads(line) for line in (tmp_path / "run/videomme.answers.jsonl").read_text().splitlines()
    ]
    assert len(answers) == 6 and {line["text"] for line in answers} == {"C"}
    assert "bad_" not in done.stderr, "a run that does not need the faulty ones is not disturbed by them"
    assert json.loads((tmp_path / "run/run.json").read_text())["model"]["args"] == {"letter": "C"}


def test_listing_names_the_faulty_ones_and_shows_the_others(cli):
    done = cli("models")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert {"mymodel", "constant", "kangaroo-tiny", "openai"} <= set(names)
    assert not {"nopackage", "raising", "panicking", "lacking", "number", "pairs", "a", "twice"} & set(names)
    for words in (
        "plug-in nopackage = bad_import:load (package a-faulty-one) cannot be loaded: ModuleNotFoundError",
        "plug-in raising = bad_raise:load (package a-faulty-one) cannot be loaded: RuntimeError: no driver found",
        "plug-in panicking = bad_panic:load (package a-faulty-one) cannot be loaded: PanicException: called unwrap",
        "plug-in lacking = bad_empty:load (package a-faulty-one) cannot be loaded: AttributeError",
        "plug-in number = bad_empty:NUMBER (package a-faulty-one) cannot be loaded: TypeError: expected a function",
        "plug-in pairs = bad_empty:PAIRS (package a-faulty-one) cannot be loaded: TypeError",
        "plug-in constant = bad_empty:make (package a-faulty-one) and package kangaroo-eval both bring 'constant'",
        "both bring 'twice': rename or uninstall one",
    ):
        assert done.stderr.count(words) == 1, words
    assert len(done.stderr.strip().splitlines()) == 8


def test_tasks_are_listed_in_the_same_way(cli):
    done = cli("tasks")
    names = [line.split()[0] for line in done.stdout.splitlines()]
    assert done.returncode == 0 and {"mybench", "videomme"} <= set(names)
    assert (
        "plug-in notask = bad_empty:NUMBER (package a-faulty-one) cannot be loaded: TypeError" in done.stderr
    )
    assert "both bring 'LV-Bench'" in done.stderr and "plug-in gone = bad_import:TASK" in done.stderr
    assert "plug-in aliases = bad_empty:NUMBER" in done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nopackage", "ModuleNotFoundError: No module named 'a_package_that_nobody_has'"),
        ("nopackage:some/id", "plug-in nopackage = bad_import:load"),
        ("panicking", "PanicException: called unwrap on None"),
        ("panicked", "model 'panicked' cannot be loaded: PanicException: no device"),
        ("number", "expected a function that makes the model"),
        ("twice", "both bring 'twice'"),
        ("strict:x", "model 'strict' does not take what it is given (got an unexpected keyword argument"),
        ("nothing", "lacks a name or respond()"),
        ("mymodle", "Did you mean mymodel?"),
    ],
)
def test_asking_for_a_faulty_model_is_one_line_that_says_why(cli, tmp_path, name, words):
    data = write_videomme(tmp_path / "data", videomme_rows(1))
    done = cli("--tasks", "videomme", "--model", name, "--data", "real", "--data-root", data)
    assert done.returncode == 1
    assert words in done.stderr and len(done.stderr.strip().splitlines()) == 1


def test_a_bundled_name_stays_ours_and_the_clash_is_said_when_it_is_used(cli, tmp_path):
    data = write_videomme(tmp_path / "data", videomme_rows(1))
    words = ("--data", "real", "--data-root", data, "--frames", 2, "--workers", 1, "--output", "run")
    done = cli("--tasks", "videomme", "--model", "constant:C", *words)
    assert done.returncode == 0, done.stderr
    assert "package kangaroo-eval both bring 'constant'" in done.stderr
    shown = cli("tasks", "show", "lvbench")
    assert shown.returncode == 0 and "both bring 'LV-Bench'" in shown.stderr and "Wang" in shown.stdout


def test_asking_for_a_faulty_task_gives_its_error(cli):
    done = cli("tasks", "show", "gone")
    assert done.returncode == 1 and "plug-in gone = bad_import:TASK" in done.stderr
    assert cli("tasks", "show", "mybench").returncode == 0


# Inside one process


def test_an_unknown_name_gets_a_suggestion():
    with pytest.raises(UserError, match=r"unknown model 'kangaro-tiny'\. Did you mean kangaroo-tiny\?"):
        registry.load_model("kangaro-tiny")
    with pytest.raises(UserError, match=r"Did you mean videomme\?"):
        registry.get_task("videome")


def test_every_bundled_model_has_a_loader():
    for name in registry.model_names():
        module = registry.model_references()[name].partition(":")[0]
        assert module.startswith("kangaroo_eval."), (name, module)


def test_options_that_a_loader_does_not_take_are_named():
    with pytest.raises(UserError, match="unknown --model-args"):
        registry.load_model("constant:A", nonsense=1)


def test_a_torchvision_of_another_torch_is_named(monkeypatch):
    """transformers tells of it as a missing module without a name."""

    def fail(reference):
        try:
            raise RuntimeError("operator torchvision::nms does not exist")
        except RuntimeError as error:
            raise ModuleNotFoundError("Could not import module 'LlamaForCausalLM'.") from error

    monkeypatch.setattr(registry, "resolve", fail)
    with pytest.raises(
        UserError, match=r"'kangaroo-tiny' cannot be loaded \(operator torchvision::nms.*uninstall it$"
    ):
        registry.model_loader("kangaroo-tiny")


@pytest.mark.parametrize(("name", "extra"), [("hf", "hf"), ("openai", "openai"), ("release", "model")])
def test_an_absent_package_is_mended_by_the_models_own_extra(monkeypatch, name, extra):
    def fail(reference):
        raise ModuleNotFoundError("No module named 'PIL'", name="PIL")

    monkeypatch.setattr(registry, "resolve", fail)
    with pytest.raises(UserError, match=rf"needs the package 'PIL': pip install 'kangaroo-eval\[{extra}\]'"):
        registry.model_loader(name)
