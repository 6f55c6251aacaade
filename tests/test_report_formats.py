"""The report in every format: each read back by a program that knows the format."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from test_report import results, task_part

from kangaroo_eval.cli import main
from kangaroo_eval.errors import UserError
from kangaroo_eval.report import latex, markdown, whole

HOSTILE = "<script>alert(1)</script> & 50 % of_{$x^2$} \\input{/etc/passwd} ~ # | é 中\n=1+1"


@pytest.fixture
def run(tmp_path):
    """A finished run's folder, comparable with Table IV; its model has a hostile name."""

    def make(name="run", model=HOSTILE, frames=64, **change):
        found = results(**change)
        found["schema"] = 1
        found["run"].update(model=model, frames=frames, id=name)
        folder = tmp_path / name
        folder.mkdir()
        (folder / "results.json").write_text(json.dumps(found))
        return folder

    return make


def report(*words):
    try:
        return main(["report", *map(str, words)])
    except SystemExit as error:
        return error.code


def test_latex_is_sound_and_compiles_where_there_is_a_compiler(run, tmp_path):
    walker = pytest.importorskip("pylatexenc.latexwalker")
    assert report(run(), run("other", model="two"), "--output", tmp_path / "r.tex") == 0
    text = (tmp_path / "r.tex").read_text()
    nodes, *_ = walker.LatexWalker(text, tolerant_parsing=False).get_latex_nodes()
    assert nodes and text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") >= 5
    assert r"\textbf{57.6}" in text and r"\underline{56.1}" in text and r"\textcolor{gray}{" in text
    assert "\\input" not in text and "$x^2$" not in text
    for table in text.split(r"\begin{tabular}")[1:]:
        columns = len(table[1 : table.index("}")])
        body = table[: table.index(r"\end{tabular}")]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert rows and all(line.replace(r"\&", "").count("&") == columns - 1 for line in rows)
    compiler = shutil.which("tectonic") or shutil.which("pdflatex")
    if compiler:
        subprocess.run([compiler, "r.tex"], cwd=tmp_path, check=True, capture_output=True, timeout=300)
        assert (tmp_path / "r.pdf").stat().st_size > 1000


def test_every_sign_has_a_latex_form():
    assert latex.escaped("a_b & 5 % ± $ # { } ~ ^ \\ < > |") == (
        r"a\_b \& 5 \% $\pm$ \$ \# \{ \} \textasciitilde{} \textasciicircum{} \textbackslash{} "
        r"\textless{} \textgreater{} \textbar{}"
    )
    assert latex.escaped("é中\x07") == "é??"


def test_csv_has_every_number_once(run, tmp_path):
    assert report(run(), run("two", model="plain"), "--output", tmp_path / "r.csv") == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text())))
    assert len(rows) == 2 * 2 * (1 + 3)
    head = next(row for row in rows if row["reader"] == "careful" and not row["tag"])
    assert float(head["score"]) == 0.51 and head["n"] == "2700" and head["run"] == "run"
    assert {row["value"] for row in rows if row["tag"] == "duration"} == {"short", "medium", "long"}
    assert rows[0]["model"] == HOSTILE


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@x"])
def test_a_name_is_no_formula(run, tmp_path, name):
    assert report(run(model=name), "--output", tmp_path / "r.csv") == 0
    rows = csv.DictReader(io.StringIO((tmp_path / "r.csv").read_text()))
    assert {row["model"] for row in rows} == {"'" + name}


def test_json_is_the_results(run, capsys):
    assert report(run(), "--format", "json") == 0
    assert json.loads(capsys.readouterr().out)[0]["tasks"]["videomme"]["official"]["value"] == 0.5


class Page(HTMLParser):
    """Tags in order, and whether they close in order."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.text = [], [], []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "path", "use", "circle", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_data(self, data):
        self.text.append(data)


def test_a_page_without_matplotlib_says_so_and_has_the_tables(run, tmp_path, monkeypatch, capsys):
    """`pip install kangaroo-eval[model]` does not bring it, and a report is what a run is made for."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert report(run(), "--output", tmp_path / "r.html") == 0
    text = (tmp_path / "r.html").read_text()
    assert (
        "<svg" not in text and "<table>" in text and "pip install &quot;kangaroo-eval[report]&quot;" in text
    )
    assert "without charts" in capsys.readouterr().err


def test_html_stands_alone_and_shows_names_as_text(run, tmp_path):
    pytest.importorskip("matplotlib")
    assert report(run(), "--output", tmp_path / "r.html") == 0
    text = (tmp_path / "r.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    names = [tag for tag, _ in page.tags]
    assert "script" not in names and "link" not in names and "img" not in names and names.count("table") >= 5
    assert not any("src" in attributes for _, attributes in page.tags)
    assert "alert(1)" in "".join(page.text) and names.count("svg") >= 2
    assert "http://" not in text.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "http://creativecommons.org", ""
    )


def test_markdown_keeps_a_hostile_name_in_its_cell(run):
    text = markdown(results())
    assert "| m (official)" in text
    found = results()
    found["run"]["model"] = HOSTILE
    lines = [line for line in markdown(found).splitlines() if "(official)" in line and line.startswith("|")]
    assert lines and all("<script>" not in line and "\\|" in line for line in lines)


def test_all_three_tables_are_there_whatever_was_run(run):
    titles = [table.title for table in whole(results())]
    assert [
        number for number in ("III", "IV", "V") if any(f"Table {number} " in title for title in titles)
    ] == [
        "III",
        "IV",
        "V",
    ]


def test_several_runs_share_the_published_table(run, capsys):
    assert report(run("a", model="one"), run("b", model="two")) == 0
    table = capsys.readouterr().out.split("\n\n")[0]
    assert table.count("Kangaroo") >= 1
    assert [name for name in ("one (official)", "two (official)") if name in table] == [
        "one (official)",
        "two (official)",
    ]


def test_charts_are_written_in_each_format_and_the_same_each_time(run, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    runs = [run("a", model="x/step_00100"), run("b", model="x/step_00200", frames=32)]
    assert report(*runs, "--plots", tmp_path / "one", "--format", "csv") == 0
    assert report(*runs, "--plots", tmp_path / "two", "--format", "csv") == 0
    names = {path.name for path in (tmp_path / "one").iterdir()}
    stems = {"radar", "1-videomme-duration", "2-videomme-duration", "over-step", "over-frames"}
    assert names == {f"{stem}.{form}" for stem in stems for form in ("svg", "png", "pdf")}
    for name in names:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    svg = (tmp_path / "one" / "radar.svg").read_text()
    assert "Kangaroo" in svg and "x/step_00100 (official)" in svg and "LVBench" in svg
    assert "over step" in (tmp_path / "one" / "over-step.svg").read_text()


def test_the_radar_shows_the_best_peers():
    """Of those with values on at least half of its axes, by their mean share of the best value."""
    from kangaroo_eval.report import plots

    axes, lines = plots._radar_values([])
    assert len(axes) == 9 and next(iter(lines)) == "Kangaroo" and len(lines) == 1 + plots.PEERS
    assert all(2 * len(line) >= len(axes) for line in lines.values())
    # Two sizes of one model are two lines: the larger one's three values must not replace the smaller one's five.
    assert "VideoLLaMA2 7B" in lines and "VideoChatGPT" not in lines


def test_every_breakdown_has_its_bars(run):
    pytest.importorskip("matplotlib")
    from kangaroo_eval.report import plots

    found = json.loads((run() / "results.json").read_text())
    part = found["tasks"]["videomme"]["breakdown"]
    part["task_type"] = dict(part["duration"])
    assert {"videomme-duration", "videomme-task_type"} <= set(plots.charts([found]))


def test_a_value_without_a_score_has_no_bar(run):
    """0.0 for it would be a score that nobody measured."""
    pytest.importorskip("matplotlib")
    from kangaroo_eval.report import plots

    found = json.loads((run() / "results.json").read_text())
    found["tasks"]["videomme"]["breakdown"]["duration"]["long"]["careful"] = {
        "value": None,
        "stderr": None,
        "n": 0,
    }
    plot = plots.bars(found, "videomme", "duration").axes[0]
    widths = [bar.get_width() for bar in plot.patches]
    assert [label.get_text() for label in plot.get_yticklabels()] == ["short", "medium", "long (no score)"]
    assert widths[:2] == [51.0, 51.0] and math.isnan(widths[2])


def test_runs_without_a_score_still_have_a_report(run, tmp_path):
    pytest.importorskip("matplotlib")
    hidden = {"value": None, "stderr": None, "n": 1, "unreadable": 0}
    where = {**task_part()["published"], "comparable": False, "why": "status low_coverage"}
    folder = run("low", careful=hidden, official=hidden, breakdown={}, published=where)
    for form in ("terminal", "markdown", "latex", "csv", "json", "html"):
        assert report(folder, "--format", form, "--output", tmp_path / "x") == 0


def test_wrong_use(run, capsys):
    folder = run()
    assert report(folder, "--format", "docx") == 1
    assert "choose one of terminal, markdown, latex, csv, json, html" in capsys.readouterr().err
    (folder / "results.json").write_text('{"schema": 1, "tasks": {"videomme": {}}, "run": {}}')
    assert report(folder) == 1 and "is not whole" in capsys.readouterr().err
    pytest.importorskip("matplotlib")
    from kangaroo_eval.report import plots

    with pytest.raises(UserError, match="choose among svg, png, pdf"):
        plots.save({}, folder, ("gif",))


def test_one_command_gives_every_format(run, tmp_path, capsys):
    out = tmp_path / "reports"
    out.mkdir()
    assert report(run(), "--output", out) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {"plots", *(f"report.{end}" for end in ("md", "tex", "csv", "json", "html"))}
    assert {path.suffix for path in (out / "plots").iterdir()} == {".svg", ".png", ".pdf"}
    assert all((out / name).stat().st_size > 100 for name in names - {"plots"})
    assert report(run("two"), "--output", out, "--format", "csv") == 1
    assert "gets every format" in capsys.readouterr().err
