"""The published tables and their marks, and this run's numbers beside them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys

import pytest

from kangaroo_eval.errors import UserError
from kangaroo_eval.report import markdown, published, terminal
from kangaroo_eval.report.published import BOLD, GREY, UNDERLINE
from kangaroo_eval.report.tables import run_names


def marked(number, column, mark):
    table = published.load(number)
    found = published.marks(table.rows, column)
    return [table.rows[index]["model"] for index in sorted(found) if found[index] == mark]


def test_the_tables_are_the_published_ones(shared):
    for number, name in published._FILES.items():
        ours = (published.resources.files("kangaroo_eval.baselines") / "published" / name).read_text()
        assert ours == (shared / "published" / name).read_text(), number


def test_grey_values_are_the_proprietary_ones_that_kangaroo_beats():
    grey = {column: marked("III", column, GREY) for column in published.load("III").columns}
    assert {column: names for column, names in grey.items() if names} == {
        "mvbench": ["GPT-4V"],
        "mlvu": ["GPT-4V"],
        "mmbench_video": ["Gemini-1.5-Pro"],
        "lvbench": ["GPT-4o", "Gemini-1.5-Pro"],
        "egoschema": ["GPT-4V"],
    }
    five = {column: marked("V", column, GREY) for column in published.load("V").columns}
    assert {column: "GPT-4V" in names for column, names in five.items()} == {
        "gvu": False,
        "ar": True,
        "ap": True,
        "pu": False,
        "avg": False,
    }
    assert all("Claude-3-Opus" in names for names in five.values())


def test_best_open_values_are_bold_and_the_second_best_value_is_underlined_also_under_a_tie():
    assert marked("IV", "overall_w", BOLD) == ["VITA", "Kangaroo"]
    assert marked("IV", "overall_w", UNDERLINE) == ["Video-CCAM"]
    assert marked("III", "mvbench", BOLD) == ["Video-CCAM"]
    assert marked("III", "mlvu", BOLD) == ["Kangaroo"]
    assert marked("III", "mlvu", UNDERLINE) == ["Video-CCAM"]


def test_an_unknown_table_is_refused():
    with pytest.raises(UserError, match="III, IV, V"):
        published.load("VII")


def task_part(**change):
    est = {"value": 0.5, "stderr": 0.011, "n": 2700, "unreadable": 1}
    pair = {"careful": {**est, "value": 0.51}, "official": est}
    return {
        "label": "videomme",
        "data": "real",
        "status": "ok",
        "asked": 2700,
        "answered": 2700,
        "coverage": 1.0,
        "statuses": {"ok": 2700},
        "scale": 1,
        "faults": {},
        "read_differently": 3,
        "videos": 900,
        **pair,
        "breakdown": {"duration": {name: pair for name in ("short", "medium", "long")}},
        "published": {
            "table": "IV",
            "column": "overall_wo",
            "columns": {f"{name}_wo": ["duration", name] for name in ("short", "medium", "long")},
            "comparable": True,
            "why": None,
            "elsewhere": [],
            "elsewhere_comparable": True,
        },
        **change,
    }


def results(**change):
    run = {"model": "m", "notes": [], "frames": 64, "sampler": "uniform", "min_coverage": 0.99}
    return {"run": run, "tasks": {"videomme": task_part(**change)}}


def test_a_comparable_run_stands_in_the_published_table_under_both_readers_with_error_and_coverage():
    text = terminal(results())
    row = next(line for line in text.splitlines() if line.startswith("m (official)"))
    assert row.split("  ")[0] == "m (official)" and row.count("50.0 ± 1.1 (100 %)") == 4
    assert any(line.startswith("m (careful)") and "51.0" in line for line in text.splitlines())


@pytest.mark.parametrize("render", [terminal, markdown])
def test_a_mini_run_never_stands_in_a_published_table(render):
    where = {**task_part()["published"], "comparable": False, "why": "mini data"}
    text = render(results(label="videomme[mini]", data="mini", published=where))
    table = text[text.index("Table IV") :]
    table = table[: table.index("is not in this table")]
    assert "m (official)" not in text and "50.0" not in table.replace("50.0  ", "")
    assert "videomme[mini] is not in this table: mini data" in text


def test_an_official_denominator_that_leaves_answers_out_is_said_beside_the_number():
    few = {"value": 1.0, "stderr": 0.0, "n": 27, "unreadable": 2673}
    text = terminal(results(official=few))
    assert "100.0 ± 0.0 (100 %, n=27)" in text
    assert any("100.0 ± 0.0 (n=27)" in line for line in text.splitlines() if line.startswith("videomme "))


def test_marks_show_in_markdown_and_on_the_terminal():
    text = markdown(results())
    assert "**57.6**" in text and "<u>56.1</u>" in text
    shown = terminal(results(), columns=120)
    assert "\x1b[1m57.6\x1b[0m" in shown and "\x1b[4m56.1\x1b[0m" in shown and "underlined: second" in shown
    assert "57.6*" in terminal(results())


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_a_narrow_terminal_cuts_no_number_and_no_column():
    """Rich, left alone, makes "50.0 ± 1.…" of a value and leaves columns out."""

    def kangaroo(text):
        return next(line for line in text.splitlines() if line.startswith("Kangaroo ")).split()

    wide = plain(terminal(results(), columns=400))
    for columns in (20, 80, 110):
        text = plain(terminal(results(), columns=columns))
        assert "…" not in text and kangaroo(text) == kangaroo(wide)
        table = text[: text.index("own")]
        assert table.count("(100") == 8 and table.count("± 1.1") == 8
        grid = [line for line in table.splitlines() if "─" in line or "Kangaroo" in line]
        assert max(map(len, grid)) < 100, "headings and errors in lines of their own"


def test_what_others_wrote_does_not_command_a_terminal():
    found = results()
    found["run"]["model"] = "m\x1b[2J\x07 [bold]x[/bold] \x9b31m"
    text = terminal(found, columns=100)
    assert "\x1b[2J" not in text and "\x07" not in text and "\x9b" not in text
    assert "[bold]x[/bold]" in plain(text)


def test_a_command_at_a_terminal_fits_it(tmp_path):
    """Through a real pseudo-terminal of 90 columns: styles and that width, and neither in a pipe."""
    import pty

    found = results()
    found["schema"] = 1
    (tmp_path / "results.json").write_text(json.dumps(found))
    command = [
        sys.executable,
        "-c",
        "from kangaroo_eval.cli import console; console()",
        "report",
        str(tmp_path),
    ]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "90"}
    with subprocess.Popen(command, stdout=theirs, env=environment) as process:
        os.close(theirs)
        said = b""
        while process.poll() is None or not said:
            try:
                said += os.read(ours, 1 << 16)
            except OSError:
                break
    os.close(ours)
    assert process.returncode == 0 and b"\x1b[1m57.6\x1b[0m" in said
    notes = [line for line in plain(said.decode()).splitlines() if line.startswith("  ")]
    assert notes and max(map(len, notes)) <= 110
    piped = subprocess.run(command, capture_output=True, check=True, env=environment).stdout
    assert b"\x1b" not in piped and b"57.6*" in piped


def test_low_coverage_shows_no_score_and_says_why():
    hidden = {"value": None, "stderr": None, "n": 100, "unreadable": 0}
    text = terminal(
        results(
            status="low_coverage",
            answered=100,
            coverage=100 / 2700,
            careful=hidden,
            official=hidden,
            statuses={"ok": 100, "decode_error": 2600},
            breakdown={},
            published={**task_part()["published"], "comparable": False, "why": "status low_coverage"},
        )
    )
    assert "2600 decode_error" in text and "so no score" in text
    line = next(line for line in text.splitlines() if line.startswith("videomme "))
    assert line.split()[1:3] == ["-", "-"]


def run_called(model, frames, value, **change):
    found = results(careful={"value": value, "stderr": None, "n": 9, "unreadable": 0}, **change)
    found["run"] |= {"model": model, "frames": frames, "id": f"id-of-{frames}"}
    return found


def test_runs_of_one_model_are_told_apart():
    runs = [run_called("m", 16, 0.4), run_called("m", 64, 0.6), run_called("n", 64, 0.5)]
    assert run_names(runs) == ["m, 16 frames", "m, 64 frames", "n"]
    same = [run_called("m", 16, 0.4), run_called("m", 16, 0.4)]
    assert run_names(same) == ["m, 16 frames, id-of-16"] * 2
    text = markdown(runs)
    assert "m, 16 frames (official)" in text and "m, 64 frames (official)" in text
    assert "videomme of m, 16 frames by duration" in text


def test_a_line_is_of_one_model_and_one_kind_of_data():
    pytest.importorskip("matplotlib")
    from kangaroo_eval.report.plots import charts

    runs = [run_called("org/small", 16, 0.4), run_called("org/big", 64, 0.6)]
    (axes,) = charts(runs)["over-frames"].axes
    assert sorted(label for _, label in zip(*axes.get_legend_handles_labels(), strict=True)) == [
        "videomme, org/big",
        "videomme, org/small",
    ]
    mini = run_called("org/small", 32, 0.9, label="videomme[mini]")
    (axes,) = charts([runs[0], mini])["over-frames"].axes
    assert len(axes.get_legend_handles_labels()[1]) == 2
    steps = [run_called(f"org/x/step_{n}", 16, 0.1 * n) for n in (1, 2, 3)]
    (axes,) = charts(steps)["over-step"].axes
    assert axes.get_legend_handles_labels()[1] == ["videomme"]


def test_markdown_shows_no_picture_of_a_models_making():
    hostile = run_called("![x](http://evil/x.png) <img src=x>", 16, 0.5)
    text = markdown(hostile)
    assert "](http" not in text and "<img" not in text
