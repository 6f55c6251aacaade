"""The package as users install it: walls between its parts, what importing costs, what a wheel holds."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
from conftest import videomme_rows, write_videomme

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
FOLDERS = PROJECT["tool"]["setuptools"]["package-dir"]

CORE = {"types", "errors", "protocols", "rows", "task", "media", "answers", "metrics", "registry", "endpoint"}
READERS = {"answers", "closed", "official", "verdicts"}
RUN = {"data", "plan", "journal", "results", "record", "answering", "judge", "scores", "rescore", "runner"}
# Part of the package -> the parts it may import. A part that is not listed is a mistake of this test.
WALLS = {
    "__init__": {"runner"},
    "errors": set(),
    "options": {"errors"},
    "torch_tools": {"errors"},
    "types": set(),
    "protocols": {"types"},
    "rows": {"errors"},
    "secrecy": set(),
    "task": {"types", "errors"},
    "media": {"types", "errors"},
    "careful": set(),
    "answers": {"types", "errors", "careful", "official"},
    "official": {"careful"},
    "replies": {"careful"},
    "captions": {"careful", "replies"},
    "closed": {"careful", "captions", "replies"},
    "chat": {"errors"},
    "reply_cache": {"chat"},
    "verdicts": {"careful"},
    "metrics": {"types"},
    "paired": set(),
    "sides": {"errors", "journal", "metrics", "registry", "results", "scores", "task"},
    "compare": {"errors", "paired", "sides"},
    "gate": {"errors", "compare", "paired", "results"},
    "wire": {"reply_cache"},
    "diagnosis": {"chat"},
    "completions": {"chat", "reply_cache", "wire"},
    "endpoint": {"errors", "chat", "reply_cache", "wire", "diagnosis", "completions"},
    "prompts": {"types", "careful"},
    "predictions": {"errors", "task"},
    "judge": {"types", "task", "endpoint", "journal", "scores"},
    "export": {"errors", "registry", "task", "predictions", "journal", "results", "scores", "rescore"},
    "eval_results": {"errors", "journal", "permutation", "registry", "results", "task"},
    "registry": {"errors", "protocols", "task"},
    "data": CORE | {"layouts"},
    "layouts": {"task"},
    "verify": {"data", "media", "task", "types"},
    "fetch": {"data", "errors", "task", "types"},
    "plan": CORE | {"data", "permutation"},
    "journal": {"errors"},
    "scores": CORE | {"data", "journal"},
    "permutation": {"types", "errors", "careful"},
    "controls": CORE | {"journal", "paired", "permutation", "plan", "scores"},
    "sanity": {"types", "metrics"},
    "series": {"errors", "answering", "identity", "journal", "plan", "report", "results", "runner"},
    "sweep": {"errors", "answering", "journal", "plan", "protocols", "report", "runner"},
    "timing": set(),
    "sheet": {"journal"},
    "forecast": {
        "answering",
        "grouping",
        "loading",
        "media",
        "plan",
        "protocols",
        "sheet",
        "timing",
        "types",
    },
    "loading": {"plan", "protocols", "registry"},
    "grouping": {"types"},
    "cluster": {"errors"},
    "fleet": {
        "answering",
        "cluster",
        "errors",
        "fleet_worker",
        "grouping",
        "media",
        "plan",
        "protocols",
        "record",
        "types",
    },
    "fleet_worker": {
        "sheet",
        "answering",
        "errors",
        "foreign",
        "journal",
        "loading",
        "media",
        "plan",
        "protocols",
        "record",
        "types",
    },
    "stocking": {"media", "plan", "protocols", "record"},
    "results": CORE
    | {"data", "journal", "scores", "sanity", "controls", "timing", "recorded", "permutation"},
    "record": CORE | {"plan", "journal", "secrecy", "foreign", "permutation"},
    "foreign": {"types", "errors"},
    "streak": set(),
    "answering": CORE | {"plan", "journal", "record", "foreign", "streak", "grouping"},
    "runner": CORE | RUN | {"report", "foreign", "controls", "loading", "fleet"},
    "labels": {"types", "errors", "journal"},
    "recorded": {"types"},
    "rescore": CORE | RUN | {"report", "predictions", "permutation", "labels", "controls"},
    # Anything but the command line; and only the command that imports, imports it.
    "integrations": CORE | RUN | {"labels", "tasks", "protocols", "foreign", "loading", "grouping"},
    "cli.import": {"cli", "integrations", "report", "rescore", "results"},
    "report": {"types", "errors", "results", "journal", "compare", "gate", "paired", "media", "timing"}
    | {"predictions"},
    "cli": CORE
    | RUN
    | {
        "report",
        "predictions",
        "export",
        "eval_results",
        "options",
        "compare",
        "gate",
        "sides",
        "miniworld",
        "controls",
        "series",
        "sweep",
        "layouts",
        "verify",
        "fetch",
        "stocking",
        "forecast",
        "timing",
    },
    "installed": {"errors"},
    "doctor": {
        "installed",
        "types",
        "errors",
        "media",
        "miniworld",
        "identity",
        "registry",
        "data",
        "endpoint",
        "torch_tools",
    },
    "cli.doctor": {"cli", "doctor", "errors", "media"},
    # These commands are Kangaroo's own; every other one reaches models by name alone.
    **{
        name: {"cli", "errors", "registry", "model", "types"}
        for name in ("cli.chat", "cli.chat_text", "cli.chat_web", "cli.models")
    },
    "tasks": {"types", "errors", "protocols", "rows", "task", "predictions", "prompts"} | READERS,
    "model": {"errors", "identity", "options", "torch_tools"},
    "model.adapter": {"errors", "identity", "torch_tools", "types", "protocols", "media"},
    "model.dialogue": {"errors", "torch_tools", "types"},
    "model.conversation": {"errors", "torch_tools", "types", "media"},
    "train": {"model", "media", "miniworld", "types", "errors", "rows", "runner", "registry", "identity"},
    "train.curation": {"media", "types", "errors", "rows", "endpoint", "cluster"},
    "cli.train": {"cli", "errors", "train"},
    "cli.curate": {"cli", "errors", "journal", "rows", "train"},
    "identity": {"errors"},
    "backends": {
        "types",
        "errors",
        "protocols",
        "media",
        "options",
        "secrecy",
        "foreign",
        "torch_tools",
        "identity",
        "endpoint",
        "chat",
        "registry",
    },
    "miniworld": {"types", "errors"},
    "baselines": set(),
}


def modules():
    for package in PROJECT["tool"]["setuptools"]["packages"]:
        folder = ROOT / _folder(package)
        for file in sorted(folder.glob("*.py")):
            name = package if file.stem == "__init__" else f"{package}.{file.stem}"
            yield name, file


def _folder(package: str) -> str:
    parts = package.split(".")
    for size in range(len(parts), 0, -1):
        head = ".".join(parts[:size])
        if head in FOLDERS:
            return "/".join([FOLDERS[head], *parts[size:]])
    raise AssertionError(package)


def imports(file: Path):
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, ()) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            yield node.module, tuple(alias.name for alias in node.names)


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def test_every_import_keeps_to_the_walls():
    wrong = []
    for name, file in modules():
        own = part_of(name)
        allowed = WALLS.get(".".join(name.split(".")[1:3]), WALLS[own]) | {own}
        for module, names in imports(file):
            if module.split(".")[0] != "kangaroo_eval":
                continue
            targets = {part_of(module)} if "." in module else set(names) - {"__version__"}
            wrong += [f"{file.relative_to(ROOT)} imports {target}" for target in targets - allowed]
    assert wrong == []


def test_the_walls_catch_a_breach(tmp_path):
    file = tmp_path / "x.py"
    file.write_text("def f():\n    from kangaroo_eval.model import adapter\n")
    assert [part_of(module) for module, _ in imports(file)] == ["model"]


def test_every_folder_with_an_init_is_a_listed_package_and_the_other_way_round():
    found = set()
    for top in ("kangaroo_eval", *[folder for folder in FOLDERS.values() if folder != "kangaroo_eval"]):
        for file in (ROOT / top).rglob("__init__.py"):
            relative = file.parent.relative_to(ROOT).as_posix()
            head = next(name for name, folder in FOLDERS.items() if folder == relative.split("/")[0])
            found.add(".".join([head, *relative.split("/")[1:]]))
    assert sorted(found) == sorted(PROJECT["tool"]["setuptools"]["packages"])


def test_no_module_shadows_a_mounted_package():
    for name in FOLDERS:
        if "." in name:
            assert not (ROOT / "kangaroo_eval" / f"{name.split('.')[1]}.py").exists()


HEAVY = ("torch", "transformers", "av", "numpy", "pandas", "pyarrow", "datasets", "dataclasses", "logging")


@pytest.mark.parametrize(
    "code",
    [
        "import kangaroo_eval",
        "from kangaroo_eval.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass",
        "from kangaroo_eval.cli import main\ntry: main(['run', '--help'])\nexcept SystemExit: pass",
    ],
)
def test_importing_and_help_load_nothing_heavy(code, tmp_path):
    code += f"\nimport sys; print('LOADED', [name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert done.stdout.splitlines()[-1] == "LOADED []"


def test_scoring_and_listing_need_no_torch(tmp_path):
    """The lean core with torch and transformers made unimportable."""
    code = """
import sys
for name in ("torch", "transformers", "tokenizers", "safetensors"):
    sys.modules[name] = None
from kangaroo_eval.cli import main
assert main(["tasks"]) == 0
assert main(["tasks", "show", "Video-MME"]) == 0
assert main(["models"]) == 0
import kangaroo_eval.runner, kangaroo_eval.rescore, kangaroo_eval.report
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def block_of(page: str, language: str, holding: str) -> str:
    """The page's code block of this language that holds this text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    (block,) = [block for block in blocks if holding in block]
    return block


PLUGIN_PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "mybench-plugin"
version = "1"
ENTRY
[tool.setuptools]
py-modules = ["mybench_plugin"]
"""


@pytest.mark.slow
def test_a_wheel_installs_alone_works_elsewhere_and_takes_a_third_partys_task(tmp_path):
    """Build the wheel, install it with a plug-in's wheel in an empty environment that borrows only the
    dependencies, and use both from another folder."""
    plugin = tmp_path / "plugin"
    plugin.mkdir()
    code = block_of("docs/extending.md", "python", "mybench")
    assert len([line for line in code.splitlines() if line.strip()]) <= 30, "the page promises 30 lines"
    (plugin / "mybench_plugin.py").write_text(code)
    (plugin / "pyproject.toml").write_text(
        PLUGIN_PROJECT.replace("ENTRY", block_of("docs/extending.md", "toml", "mybench"))
    )
    wheels = tmp_path / "wheels"
    source = tmp_path / "source"
    subprocess.run(["git", "-C", ROOT, "checkout-index", "-a", f"--prefix={source}/"], check=True)
    build = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--disable-pip-version-check",
        "-w",
        wheels,
    ]
    subprocess.run([*build, source], check=True, capture_output=True)
    subprocess.run([*build, plugin], check=True, capture_output=True)
    env = tmp_path / "env"
    venv.create(env, with_pip=False)
    python = env / "bin/python"
    site = next((env / "lib").glob("python*")) / "site-packages"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--target", site]
    subprocess.run([*install, *sorted(wheels.glob("*.whl"))], check=True, capture_output=True)
    borrowed = [path for path in sys.path if path.endswith("site-packages")]
    away = tmp_path / "away"
    (away / "data/mybench/videos").mkdir(parents=True)
    row = '{"id": "1", "video": "v", "question": "What?", "choices": ["A. x", "B. y"], "answer": "B"}\n'
    (away / "data/mybench/questions.jsonl").write_text(row)
    (away / "answers.jsonl").write_text('{"id": "1", "text": "B"}\n')
    code = f"""
import sys
sys.path += {borrowed!r}
import kangaroo_eval
assert kangaroo_eval.__file__.startswith({str(site)!r}), kangaroo_eval.__file__
from kangaroo_eval.cli import main
assert main(["tasks"]) == 0
assert main(["score", "--task", "mybench", "--answers", "answers.jsonl", "--output", "out", "--data-root", "data"]) == 0
from importlib.resources import files
assert (files("kangaroo_eval.baselines") / "published/table3.csv").is_file()
from kangaroo_eval.registry import load_model
assert load_model("kangaroo-tiny", device="cpu", dtype=None, seed=0, batch_size=None).model_hash
"""
    done = subprocess.run(
        [python, "-c", code],
        cwd=away,
        capture_output=True,
        text=True,
        env={name: os.environ[name] for name in ("PATH", "PYTHONPATH")},
    )
    assert done.returncode == 0, done.stderr + done.stdout
    assert "mybench" in done.stdout
    top = sorted(path.name for path in site.iterdir() if "info" not in path.name and path.suffix != ".pyc")
    assert [name for name in top if name not in ("bin", "__pycache__")] == [
        "kangaroo_eval",
        "mybench_plugin.py",
    ]


def test_the_map_of_the_package_has_all_of_it():
    text = (ROOT / "docs/design.md").read_text()
    tree = text[text.index("## What is where") : text.index("## Walls")]
    parts = [path for path in (ROOT / "kangaroo_eval").iterdir() if not path.name.startswith("_")]
    names = {path.stem for path in parts if path.suffix == ".py" or path.is_dir()}
    assert len(names) > 60 and not {name for name in names if not re.search(rf"\b{name}\b", tree)}


def test_the_readme_has_two_install_commands_and_ci_runs_the_second_word_for_word():
    text = (ROOT / "README.md").read_text()
    commands = re.findall(r"^pip install .*", text, re.MULTILINE)
    assert commands == [
        'pip install "torch==2.13.0" -e ".[model]" && kangaroo-eval --tasks videomme,mlvu --frames 64',
        'pip install "torch==2.13.0" -e ".[test]" && pytest -n 2 --dist loadfile',
    ]
    assert "grep -m1 -F '&& pytest' README.md" in (ROOT / ".ci/run").read_text()


def test_the_readmes_python_example_runs(tmp_path):
    data = write_videomme(tmp_path / "data", videomme_rows(2))
    code = block_of("README.md", "python", "from kangaroo_eval import evaluate")
    assert len([line for line in code.splitlines() if line.strip()]) <= 5
    code = code.replace('["videomme", "mlvu"]', '["videomme"]').replace(
        'results["mlvu"]', 'results["videomme"]'
    )
    options = f"frames=2, data='real', data_root=__import__('pathlib').Path({str(data)!r}), workers=1"
    code = code.replace("frames=64", options)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "has learnt from made videos alone" in done.stdout and "001-1" in done.stdout
