"""No unknown command, flag, task, model or form stands in the documentation, and the tutorial is run as it is."""

from __future__ import annotations

import re
import sys
import xml.dom.minidom

import pytest
from documented import DOCS, PAGES, Command, commands, fences

from kangaroo_eval import cli
from kangaroo_eval.cli import curate_parser, train
from kangaroo_eval.cli.common import split
from kangaroo_eval.predictions import forms
from kangaroo_eval.registry import check_model, get_task, task_names

ALL = [command for page in PAGES for command in commands(page)]
PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|\$\w+|\[.*|all")
OF_READERS_PLUGINS = ("fox", "fox_open", "mybench"), ("brightness", "mine")


MAKERS = {"kangaroo-train": train.make_parser, "kangaroo-curate": curate_parser.make_parser}


def parsed(command: Command):
    try:
        if command.program in MAKERS:
            return MAKERS[command.program]().parse_args(command.words)
        return cli.parse(command.words)
    except SystemExit as stop:
        return stop.code


@pytest.mark.parametrize(
    "command", ALL, ids=[f"{each.page}: {each.program} {' '.join(each.words)}" for each in ALL]
)
def test_every_command_in_the_documentation_parses(command, capsys):
    if command.program != "kangaroo-eval" and command.words[0].startswith("--"):
        # A flag that is spoken of, whatever the command.
        assert command.words[0] in flags(MAKERS[command.program]()), command.words[0]
        return
    options = parsed(command)
    if options == 0:  # --help and --version
        return
    assert not isinstance(options, int), capsys.readouterr().err
    if command.program != "kangaroo-eval":
        return
    tasks, models = OF_READERS_PLUGINS
    for task in [*split(getattr(options, "tasks", None)), *_tasks(options)]:
        if not PLACEHOLDER.fullmatch(task) and task not in tasks:
            get_task(task)
    model = getattr(options, "model", None)
    if model and not PLACEHOLDER.fullmatch(model) and model.partition(":")[0] not in models:
        check_model(model)
    if options.command == "export" and options.task:
        assert options.format in {each.name for each in forms(get_task(options.task)) if each.write}


def flags(parser):
    """Every flag of a program and of its commands."""
    below = [
        each
        for action in parser._actions
        if isinstance(action.choices, dict)
        for each in action.choices.values()
    ]
    return {*parser._option_string_actions, *(flag for each in below for flag in flags(each))}


def _tasks(options):
    """Tasks that stand elsewhere than behind --tasks."""
    if options.command == "data":
        return split(options.task)
    named = options.name if options.command == "tasks" else getattr(options, "task", None)
    return [named] if named else []


def test_the_collector_finds_commands_wherever_they_stand(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "`kangaroo-eval --tasks a\n--frames 8` and `kangaroo-eval`\n"
        "```bash\npip install x && kangaroo-eval doctor  # exit 1: bad\n$ kangaroo-eval score RUN \\\n  --json\n"
        "printf 'a # b' | kangaroo-eval chat V > out\nKEY=... kangaroo-train show\ntorchrun -m kangaroo_eval.cli.train all\n```\n"
        "```text\nkangaroo-eval: a line that was printed\n```\n```yaml\n- run: kangaroo-eval gate run\n```\n"
    )
    found = [(each.program, each.words, each.exit_code) for each in commands(page)]
    assert found == [
        ("kangaroo-eval", ["doctor"], 1),
        ("kangaroo-eval", ["score", "RUN", "--json"], 0),
        ("kangaroo-eval", ["chat", "V"], 0),
        ("kangaroo-train", ["show"], 0),
        ("kangaroo-train", ["all"], 0),
        ("kangaroo-eval", ["gate", "run"], 0),
        ("kangaroo-eval", ["--tasks", "a", "--frames", "8"], 0),
    ]
    assert isinstance(parsed(Command("", "kangaroo-eval", ["run", "--framse", "8"], 0)), int)


def test_each_page_that_should_have_commands_has_some():
    having = {command.page for command in ALL}
    assert {
        "README.md",
        "tutorial.md",
        "commands.md",
        "ci.md",
        "extending.md",
        "compare.md",
        "models.md",
        "reports.md",
    } <= having
    assert {
        "training.md",
        "curation.md",
        *(page.name for page in (DOCS / "benchmarks").glob("*.md")),
    } <= having
    assert len(ALL) > 100


def test_the_readme_lists_every_command():
    text = PAGES[0].read_text()
    page = (DOCS / "commands.md").read_text()
    for name in cli.COMMANDS:
        assert f"`{name}`" in text and f"`{name}`" in page, name


@pytest.mark.slow
@pytest.mark.usefixtures("away")
def test_the_tutorial_runs_as_it_stands(tmp_path, capsys, monkeypatch):
    """Every command in bash blocks, in order, with the exit code that it tells."""
    pytest.importorskip("transformers")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    steps = [block.text for block in fences(DOCS / "tutorial.md") if block.language == "bash"]
    page = tmp_path / "steps.md"
    page.write_text("".join(f"```bash\n{step}```\n" for step in steps))
    run = list(commands(page, inline=False))
    assert len(run) >= 15
    for command in run:
        try:
            code = cli.main(command.words)
        except SystemExit as stop:
            code = stop.code
        assert code == command.exit_code, (command.words, capsys.readouterr())
    page.unlink()
    made = ("report.html", "runs/today/view/index.html", "runs/after/view/index.html", "baseline.json")
    assert all((tmp_path / name).is_file() for name in made)
    xml.dom.minidom.parse(str(tmp_path / "gate.xml"))
    assert "kangaroo_eval.model" in sys.modules


def test_tasks_all_have_a_page():
    told = "".join(page.read_text() for page in (DOCS / "benchmarks").glob("*.md"))
    assert all(f"### `{name}`" in told for name in task_names())
