"""The pages are held to the code: facts of benchmarks, examples that run, links that lead somewhere, a site that builds."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec

import pytest
from conftest import write_video
from documented import DOCS, PAGES, ROOT, fences
from fake_server import FakeServer

SITE = DOCS / "site"
BENCHMARKS = sorted((DOCS / "benchmarks").glob("*.md"))


@pytest.fixture(scope="module")
def facts():
    spec = importlib.util.spec_from_file_location("facts", SITE / "facts.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", BENCHMARKS, ids=lambda page: page.stem)
def test_a_benchmarks_page_says_what_the_code_says(page, facts):
    text = page.read_text()
    assert facts.tasks_of(text), "no block of facts"
    assert facts.written(text) == text, "run: python docs/site/facts.py"
    for heading in (
        "## Get it, and where it lies",
        "## Protocol",
        "## The two rules",
        "## Traps",
        "## The published number",
    ):
        assert heading in text


def test_every_task_stands_on_one_page(facts):
    told = [name for page in BENCHMARKS for name in facts.tasks_of(page.read_text())]
    assert sorted(told) == list(facts.task_names())


def test_facts_are_what_tasks_show_prints(facts, capsys):
    from kangaroo_eval.cli import main

    assert main(["tasks", "show", "lvbench"]) == 0
    shown = dict(line.strip().split(maxsplit=1) for line in capsys.readouterr().out.splitlines()[1:3])
    told = facts.facts(facts.get_task("lvbench"))
    assert {name: str(told[name]) for name in shown} == shown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_within_the_checkout_lead_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            path, _, anchor = target.partition("#")
            file = (page.parent / path) if path else page
            assert file.exists(), f"{page.name}: {target}"
            headings = re.findall(r"^#+ (.*)", file.read_text(), re.MULTILINE) if file.suffix == ".md" else []
            slugs = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
            assert not anchor or anchor in slugs, f"{page.name}: {target}"


def test_the_statistics_that_are_told_hold():
    blocks = [block.text for block in fences(DOCS / "statistics.md") if block.language == "python"]
    assert len(blocks) == 3
    for block in blocks:
        exec(block, {})


def test_the_workflow_on_the_page_of_ci_is_the_one_that_runs():
    (block,) = [block.text for block in fences(DOCS / "ci.md") if block.language == "yaml"]
    assert block == (ROOT / ".github/workflows/checkpoint-regression.yml").read_text()


ENTRY_POINTS = re.compile(r'\[project\.entry-points\."([\w.]+)"\]\n((?:\w+ = "[\w:]+"\n)+)')


@pytest.fixture
def fox(tmp_path, monkeypatch):
    """The package of the page on extending, as pip would have installed it, and data for it; the environment to use it."""
    code = tmp_path / "site"
    (code / "fox-1.dist-info").mkdir(parents=True)
    for block in fences(DOCS / "extending.md"):
        name, _, text = block.text.partition("\n")
        if not name.startswith("# "):  # of another package
            continue
        if block.language == "python":
            (code / name.removeprefix("# ")).write_text(text)
        elif block.language == "toml":
            points = "".join(
                f"[{group}]\n{lines.replace(chr(34), '')}" for group, lines in ENTRY_POINTS.findall(text)
            )
    (code / "fox-1.dist-info/entry_points.txt").write_text(points)
    (code / "fox-1.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: fox\nVersion: 1\n")
    root = tmp_path / "DATA/fox"
    root.mkdir(parents=True)
    for number in range(3):
        write_video(root / f"videos/v{number}.mp4", shade=number)
    row = json.loads(next(block.text for block in fences(DOCS / "extending.md") if block.language == "json"))
    questions = ({**row, "id": str(n), "video": f"v{n}"} for n in range(3))
    (root / "questions.jsonl").write_text("".join(f"{json.dumps(each)}\n" for each in questions))
    (root / "open.jsonl").write_text(
        '{"id": "o", "video": "v0", "question": "What is there?", "answer": "grey"}\n'
    )
    path = os.pathsep.join([str(code), os.environ["PYTHONPATH"]])
    return {**os.environ, "PYTHONPATH": path, "KANGAROO_EVAL_CACHE": str(tmp_path / "cache")}


def test_a_task_a_judge_and_a_model_are_added_as_the_page_says(fox, tmp_path):
    steps = [block.text for block in fences(DOCS / "extending.md") if block.language == "bash"]
    with FakeServer(reply=lambda messages: "4", models=("NAME",)) as server:
        script = "set -e\n" + "".join(steps).replace("http://localhost:8000/v1", server.base_url)
        script = script.replace(
            "kangaroo-eval ", f"{sys.executable} -c 'from kangaroo_eval.cli import console; console()' "
        )
        done = subprocess.run(["bash", "-c", script], cwd=tmp_path, env=fox, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "Right answer: grey\nAnswer: A" in server.chats[-1].body["messages"][0]["content"]
    assert "fox                       real: 3 samples, 3 videos, 0 missing, 0 unreadable" in done.stdout
    assert len(steps) == 3 and all(
        (tmp_path / run / "results.json").is_file() for run in ("run", "judged", "darker")
    )


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mkdocs") is None, reason="mkdocs is not installed (extra docs)")
def test_the_site_builds_and_fetches_nothing(tmp_path):
    source = tmp_path / "source"
    shutil.copytree(DOCS, source / "docs")
    config = source / "docs/site/mkdocs.yml"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    )
    assert done.returncode == 0, done.stderr
    site = source / "build/site"
    pages = list(site.rglob("*.html"))
    assert len(pages) >= 25 and not (site / "site").exists()
    for page in pages:
        loaded = re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"', page.read_text())
        assert loaded == [], page
