"""What docs/SECURITY.md promises of the code, and that policies, workflows and distributions are what they should be."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from documented import commands

from kangaroo_eval import cli

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
SOURCES = [
    file
    for top in ("kangaroo_eval", "tasks", "model", "train", "results")
    for file in (ROOT / top).rglob("*.py")
]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))

# Between a process and its own children, over pipes.
PICKLES = {
    "kangaroo_eval/media/process.py", "kangaroo_eval/media/worker.py", "train/dataset.py",
    # One that names no class and no function (tests/data).
    "kangaroo_eval/fetch/archives.py",
}  # fmt: skip
# The model named, after --trust-remote-code.
REMOTE_CODE = {"kangaroo_eval/backends/release.py"}
UNPICKLERS = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
CALLS = {
    "os.system", "os.popen", "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "pandas.read_pickle",
    "pd.read_pickle", "builtins.eval", "builtins.exec", "code.interact", "runpy.run_path",
}  # fmt: skip


def faults(name: str, source: str) -> list[str]:
    """Lines of a module that do what is promised not to be done."""
    found = []
    for node in ast.walk(ast.parse(source)):
        said = _import(name, node) if isinstance(node, ast.Import | ast.ImportFrom) else None
        if isinstance(node, ast.Call):
            said = _call(name, node)
        if said:
            found.append(f"{name}:{node.lineno}: {said}")
    return found


def _import(name: str, node: ast.Import | ast.ImportFrom) -> str | None:
    if isinstance(node, ast.ImportFrom):
        modules = {(node.module or "").split(".")[0]}
        if all(alias.name.endswith("Error") for alias in node.names):
            return None
    else:
        modules = {alias.name.split(".")[0] for alias in node.names}
    return "unpickles" if modules & UNPICKLERS and name not in PICKLES else None


def _call(name: str, node: ast.Call) -> str | None:
    given = {each.arg: each.value for each in node.keywords}
    called = ast.unparse(node.func)
    if called in BUILTINS or called in CALLS:
        return called
    if called.endswith("torch.load") and not _is(given.get("weights_only"), True):
        return "torch.load without weights_only=True"
    if called.endswith(".extractall") and "filter" not in given:
        return "extractall without a filter"
    if _is(given.get("shell"), True) or _is(given.get("allow_pickle"), True) or _is(given.get("share"), True):
        return f"{called} with shell, allow_pickle or share"
    if _is(given.get("trust_remote_code"), True) and name not in REMOTE_CODE:
        return "runs code of a checkpoint unasked"
    return None


def _is(node: ast.expr | None, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_the_package_runs_no_code_from_data():
    found = [each for file in SOURCES for each in faults(file.relative_to(ROOT).as_posix(), file.read_text())]
    assert found == []
    assert all((ROOT / name).is_file() for name in PICKLES | REMOTE_CODE), (
        "an exception that is none any more"
    )


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import a, marshal",
        "import joblib.numpy_pickle",
        "eval('1')",
        "exec(text)",
        "__import__(name)",
        "os.system('ls')",
        "subprocess.run(line, shell=True)",
        "yaml.load(text, Loader=yaml.Loader)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "tarfile.open(path).extractall(folder)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "AutoModel.from_pretrained(path, trust_remote_code=True)",
        "page.launch(share=True)",
    ],
)
def test_each_way_to_run_code_from_data_is_caught(source):
    assert len(faults("x.py", source)) == 1


def test_what_only_looks_like_it_is_not():
    harmless = "network.eval()\nfrom pickle import PicklingError\nast.literal_eval(t)\ntorch.load(p, weights_only=True)\nre.compile(p)\n"
    assert faults("x.py", harmless) == []


def test_servers_listen_on_this_machine_alone():
    for file in SOURCES:
        assert "0.0.0.0" not in file.read_text(), file
    assert 'ThreadingHTTPServer(("127.0.0.1", port)' in (ROOT / "kangaroo_eval/cli/view.py").read_text()
    assert 'HOST = "127.0.0.1"' in (ROOT / "kangaroo_eval/cli/chat_web.py").read_text()


def test_the_policies_are_where_github_looks_for_them():
    for name in ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        assert (ROOT / "docs" / name).read_text().startswith("# ")
    assert f"## {PROJECT['version']}" in (ROOT / "docs/CHANGELOG.md").read_text()
    named = re.findall(r"`(tests/[\w/.]+)`", (ROOT / "docs/SECURITY.md").read_text())
    assert len(named) >= 4 and all((ROOT / name).exists() for name in named)


def test_the_citation_is_valid():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert cited["cff-version"] == "1.2.0" and cited["message"] and cited["type"] == "software"
    assert (cited["title"], cited["version"], cited["license"]) == (
        PROJECT["name"],
        str(PROJECT["version"]),
        PROJECT["license"],
    )
    known = {
        "cff-version",
        "message",
        "title",
        "abstract",
        "type",
        "version",
        "license",
        "keywords",
        "authors",
        "references",
    }
    assert set(cited) <= known and cited["authors"] == [{"name": "The kangaroo-eval contributors"}]
    (paper,) = cited["references"]
    assert (
        paper["type"] == "article"
        and "2408.15542" in paper["url"]
        and paper["title"].startswith("Kangaroo: ")
    )
    assert len(paper["authors"]) == 9
    assert all(set(author) == {"family-names", "given-names"} for author in paper["authors"])


def jobs(workflow):
    """The jobs of a workflow, each with its steps."""
    content = yaml.safe_load(workflow.read_text())
    assert content["name"] == workflow.stem
    assert content[True], "YAML reads the key `on` as true"
    assert content["permissions"] == {"contents": "read"}, "a job that needs more asks for it itself"
    return content["jobs"]


def lines(workflow):
    """Every command of a workflow."""
    return [step["run"] for job in jobs(workflow).values() for step in job["steps"] if "run" in step]


def test_the_workflows_are_the_three():
    assert [workflow.name for workflow in WORKFLOWS] == [
        "checkpoint-regression.yml",
        "release.yml",
        "test.yml",
    ]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda workflow: workflow.stem)
def test_a_workflow_is_sound(workflow, tmp_path):
    for job in jobs(workflow).values():
        assert job["runs-on"] and job["timeout-minutes"] and job["steps"]
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert "uses" not in step or re.fullmatch(r"[\w-]+/[\w-]+@(v\d+|release/v\d+)", step["uses"])
    tools = ("pip", "python", "pytest", "ruff", "mypy", "twine", "kangaroo-eval", "test", "version=$(python")
    tools += ("uv", "pip-audit")
    for script in lines(workflow):
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
        assert checked.returncode == 0, checked.stderr
        for call in re.split(r" && |\n", script.strip()):
            assert re.sub(r"^[A-Z]+=\S+ ", "", call.strip()).split()[0] in tools, call
        for extras in re.findall(r"\.\[([\w,]+)\]", script):
            assert set(extras.split(",")) <= set(PROJECT["optional-dependencies"])
    page = tmp_path / "page.md"
    page.write_text("```bash\n" + "\n".join(lines(workflow)) + "\n```\n")
    for command in commands(page):
        cli.parse(command.words)


def test_the_tests_run_the_readmes_command_on_every_python():
    (workflow,) = [each for each in WORKFLOWS if each.stem == "test"]
    (readme,) = re.findall(r"^pip install .*&& pytest.*$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert readme in lines(workflow)
    versions = jobs(workflow)["test"]["strategy"]["matrix"]["python-version"]
    assert versions == ["3.11", "3.12", "3.13"] and PROJECT["requires-python"] == f">={versions[0]}"


def test_the_oldest_dependencies_are_tested():
    """Each has a lower bound, and a job installs these versions and runs tests that are there."""
    listed = [
        *PROJECT["dependencies"],
        *(each for extra in PROJECT["optional-dependencies"].values() for each in extra),
    ]
    bound = [
        each
        for each in listed
        if not each.startswith(("kangaroo-eval[", "types-", "pandas-stubs", "scipy-stubs"))
    ]
    assert bound and all(">=" in each for each in bound), [each for each in bound if ">=" not in each]
    (workflow,) = [each for each in WORKFLOWS if each.stem == "test"]
    install, tests = (step["run"] for step in jobs(workflow)["lowest"]["steps"] if "run" in step)
    assert "--resolution lowest-direct" in install
    paths = [word for word in tests.split() if word.startswith("tests/")]
    assert len(paths) > 10 and all((ROOT / path).exists() for path in paths)


def test_the_gate_has_its_baseline():
    text = (ROOT / ".github/workflows/checkpoint-regression.yml").read_text()
    (baseline,) = set(re.findall(r"results/baselines/[\w-]+\.json", text))
    assert (ROOT / baseline).is_file()


def test_a_release_needs_no_token():
    (workflow,) = [each for each in WORKFLOWS if each.stem == "release"]
    assert "secrets." not in workflow.read_text() and "password" not in workflow.read_text()
    publish = jobs(workflow)["publish"]
    assert publish["permissions"] == {"id-token": "write"} and publish["needs"] == "build"


@pytest.mark.slow
@pytest.mark.skipif(
    not (find_spec("build") and find_spec("twine")), reason="build or twine is not installed (extra test)"
)
def test_the_distributions_hold_what_they_should(tmp_path):
    """The sdist, and the wheel that is built from it, without any network."""
    source, out = tmp_path / "source", tmp_path / "dist"
    subprocess.run(["git", "-C", ROOT, "checkout-index", "-a", f"--prefix={source}/"], check=True)
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", out, source]
    done = subprocess.run(build, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (wheel,), (sdist,) = out.glob("*.whl"), out.glob("*.tar.gz")
    checked = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", wheel, sdist], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name.split("/")[0] for name in names} == {
        "kangaroo_eval",
        f"kangaroo_eval-{PROJECT['version']}.dist-info",
    }
    assert not [
        name
        for name in names
        if "test" in name.split("/")[-1].split("_")[0] or name.endswith((".pyc", ".ci"))
    ]
    assets = "kangaroo_eval/model/assets/kangaroo-tiny"
    needed = (
        "py.typed",
        "report/viewer/index.html",
        "tasks/texts/mlvu_ssc_user.txt",
        "baselines/published/table3.csv",
    )
    assert {f"kangaroo_eval/{name}" for name in needed} <= names
    assert {
        f"{assets}/{name}" for name in ("model.safetensors", "SHA256SUMS", "README.md", "config.json")
    } <= names
    package = [each for each in SOURCES if (source / each.relative_to(ROOT)).is_file()]
    assert len([name for name in names if name.endswith(".py")]) == len(package)
    assert wheel.stat().st_size < 30_000_000
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "tasks/videomme.py",
        "model/assets/kangaroo-tiny/model.safetensors",
    } <= held
