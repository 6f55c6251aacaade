"""compare and gate as users and CI systems meet them: exit codes, tables, JUnit, annotations, baselines."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

pytest.importorskip("scipy")

from kangaroo_eval import compare
from kangaroo_eval.cli import main
from kangaroo_eval.paired import Pair, difference
from kangaroo_eval.sides import read_side


def make_run(path, scores, *, model="one", each=3, frames=8, task="videomme", seconds=1.0, unanswered=0):
    """A run directory whose sample i, of video i // each, has the score scores[i] by both readers."""
    path.mkdir()
    entry = {"version": 1, "prompt_hash": "p", "data_fingerprint": "d", "data": "mini", "frames": frames}
    record = {
        "schema": 1,
        "id": path.name,
        "model": {"name": model, "hash": model, "notes": []},
        "frames": frames,
        "data": "mini",
        "protocol": {"sampler": "uniform", "seed": 0, "model": model, "tasks": {task: entry}},
        "tasks": {task: {"data": "mini"}},
        "started": "now",
        "finished": "now",
    }
    (path / "run.json").write_text(json.dumps(record))
    asked, answers, scored = [], [], []
    for i, score in enumerate([*scores, *[None] * unanswered]):
        name = {"id": f"q{i}", "video": f"v{i // each}"}
        asked.append({**name, "group": None})
        if score is None:
            answers.append({**name, "status": "decode_error"})
            continue
        answers.append({**name, "status": "ok", "text": "A", "seconds": seconds})
        careful = {"answer": "A" if score else "B", "score": score, "rule": "letter", "span": None}
        official = {"answer": "A", "score": score}
        scored.append({**name, "target": "A", "careful": careful, "official": official, "tags": {}})
    for kind, lines in (("asked", asked), ("answers", answers), ("scores", scored)):
        (path / f"{task}.{kind}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


@pytest.fixture
def runs(tmp_path):
    """Before: two of three right in each of 60 videos. After: as before, but one more wrong in 20 of them."""
    before = [1, 1, 0] * 60
    after = [1, 0, 0] * 20 + [1, 1, 0] * 40
    return make_run(tmp_path / "before", before), make_run(
        tmp_path / "after", after, model="two", seconds=3.0
    )


def called(*words):
    try:
        return main([str(word) for word in words])
    except SystemExit as error:
        return error.code


def test_compare_tells_what_changed_and_how_surely(runs, capsys):
    before, after = runs
    assert called("compare", before, after, "--flips", "2", "--json") == 0
    out = capsys.readouterr().out
    row = next(line for line in out.splitlines() if line.startswith("videomme "))
    assert "66.7" in row and "55.6" in row and "-11.1 [-15." in row and "0/20" in row and "<0.001" in row
    assert "before (one) -> after (two)" in out and "3.00 times the time before" in out
    assert "videomme: lost, 20 of 180 samples" in out and "18 more: --flips 20" in out
    assert "\nq1 " in out and "videomme: gained" not in out
    told = json.loads(out.splitlines()[-1])
    assert told["exit"] == 0 and told["tasks"]["videomme"]["lost"] == 20
    assert told["tasks"]["videomme"]["careful"] == pytest.approx(100 / 180)
    assert told["tasks"]["videomme"]["difference"] == pytest.approx(-100 * 20 / 180)


def test_compare_writes_markdown(runs, tmp_path):
    assert called("compare", *runs, "--format", "markdown", "--output", tmp_path / "c.md") == 0
    assert "| videomme |" in (tmp_path / "c.md").read_text()


def test_flips_lead_to_the_pages_that_show_them(runs, capsys):
    old, new = (str(path) for path in runs)
    assert main(["compare", old, new]) == 0
    assert f"kangaroo-eval view {new} --compare {old} makes pages" in capsys.readouterr().out
    (runs[1] / "view").mkdir()
    (runs[1] / "view/index.html").write_text("")
    assert main(["compare", old, new]) == 0
    out = capsys.readouterr().out
    page = (runs[1] / "view/index.html").resolve().as_uri()
    assert f"{page}#sample=videomme/" in out and "makes pages" not in out


def test_runs_that_were_not_asked_the_same_are_refused_and_the_difference_named(runs, tmp_path, capsys):
    other = make_run(tmp_path / "other", [1, 1, 0] * 60, frames=16)
    assert called("compare", runs[0], other) == 5
    error = capsys.readouterr().err
    assert "tasks.videomme.frames: 8 -> 16" in error and "--force" in error and len(error.splitlines()) == 1
    assert called("compare", runs[0], other, "--force") == 0
    assert "not the same protocol: tasks.videomme.frames: 8 -> 16" in capsys.readouterr().out
    assert called("gate", other, "--baseline", runs[0]) == 5


def test_samples_that_one_run_lacks_are_left_out_and_counted(runs, tmp_path, capsys):
    short = make_run(tmp_path / "short", [1, 1, 0] * 50, unanswered=30)
    assert called("compare", runs[0], short) == 0
    out = capsys.readouterr().out
    assert "30 samples answered only before and 0 only after" in out and "100.0 % -> 83.3 %" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["compare", "before", "nowhere"], "nowhere: give a run directory"),
        (["compare", "before", "before", "--format", "latex"], "choose one of terminal, markdown"),
        (["compare", "before", "before", "--alpha", "2"], "--alpha 2: give a probability"),
        (["compare", "before", "before", "--flips", "-1"], "--flips -1"),
        (["gate", "before", "--baseline", "none.json"], "there is no baseline; kangaroo-eval gate"),
        (["gate", "before", "--baseline", "before", "--margin", "0"], "--margin 0: give points"),
        (["gate", "before", "--baseline", "before", "--alpha", "0.5"], "--alpha 0.5"),
        (["gate", "before", "--baseline", "before", "--most-slower", "0.9"], "give a factor of 1 or more"),
        (["gate", "before", "--baseline", "before", "--least-coverage", "99"], "give a fraction"),
        (["gate", "before", "--baseline", "before", "--accept"], "is a folder: give --baseline FILE.json"),
        (["gate", "before", "--baseline", "gone/b.json", "--accept"], "there is no folder gone"),
        (["compare", "before", "text.json"], "text.json is no baseline file"),
        (["compare", "before", "new.json"], "baseline schema 1 expected, found 2"),
        (["compare", "before", "mlvu"], "nothing to compare: mlvu has mlvu, before has videomme"),
        (["compare", "before", "strange"], "answered no sample in common"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_1(words, said, runs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.json").write_text("{}")
    (tmp_path / "new.json").write_text('{"schema": 2}')
    make_run(tmp_path / "mlvu", [1, 0, 1], task="mlvu")
    strange = make_run(tmp_path / "strange", [1, 0, 1])
    for file in strange.glob("*.jsonl"):
        file.write_text(file.read_text().replace('"q', '"other'))
    assert called(*words) == 1
    error = capsys.readouterr().err
    assert said in error and len(error.splitlines()) == 1


def test_the_gate_fails_a_worse_run_passes_the_same_and_decides_nothing_of_few(runs, tmp_path, capsys):
    before, after = runs
    assert called("gate", after, "--baseline", before) == 4
    assert "REGRESSION" in capsys.readouterr().out
    assert called("gate", before, "--baseline", after) == 0
    assert called("gate", before, "--baseline", before) == 0
    assert "[+0.0, +0.0]" in capsys.readouterr().out
    few = make_run(tmp_path / "few", [1, 1, 0] * 20)
    assert called("gate", few, "--baseline", few) == 5
    assert "20 videos: fewer than 30 decide nothing" in capsys.readouterr().out
    noisy = make_run(tmp_path / "noisy", [1, 1, 1] * 10 + [0, 0, 0] * 5 + [1, 1, 0] * 45)
    assert called("gate", noisy, "--baseline", before) == 5
    assert "anything from" in capsys.readouterr().out
    assert called("gate", noisy, "--baseline", before, "--inconclusive", "pass") == 0
    assert called("gate", noisy, "--baseline", before, "--inconclusive", "fail") == 4


def test_coverage_and_speed_gate_where_that_is_asked(runs, tmp_path, capsys):
    before, _ = runs
    slow = make_run(tmp_path / "slow", [1, 1, 0] * 60, seconds=3.0, unanswered=20)
    assert called("gate", slow, "--baseline", before) == 5, "what has no answer may be what it gets wrong"
    assert "180 of 200 answered: fewer than 99 %" in capsys.readouterr().out
    whole = make_run(tmp_path / "whole", [1, 1, 0] * 60, seconds=3.0)
    assert called("gate", whole, "--baseline", before) == 0
    assert called("gate", whole, "--baseline", before, "--most-slower", "2") == 4
    assert "3.00 times as long" in capsys.readouterr().out
    assert called("gate", slow, "--baseline", before, "--least-coverage", "0.95") == 4
    assert "180 of 200 answered" in capsys.readouterr().out
    assert called("gate", slow, "--baseline", before, "--least-coverage", "0.9", "--most-slower", "4") == 0


@pytest.mark.parametrize("name", [["A", 1], 5, None, {"a": 1}], ids=str)
def test_scores_whose_id_is_no_text_are_refused_in_a_line(name, runs, capsys):
    before, after = runs
    file = after / "videomme.scores.jsonl"
    first, *rest = file.read_text().splitlines()
    file.write_text("\n".join([json.dumps({**json.loads(first), "id": name}), *rest, ""]))
    assert called("compare", before, after) == 1
    said = capsys.readouterr().err
    assert "kangaroo-eval score" in said and said.count("\n") == 1


def test_scores_that_are_not_of_the_answers_are_refused(runs, capsys):
    """Killed between its last answer and its scores."""
    before, after = runs
    file = after / "videomme.scores.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-5]))
    assert called("gate", after, "--baseline", before) == 1
    assert "are not of its answers: kangaroo-eval score" in capsys.readouterr().err
    assert called("compare", before, after) == 1


def test_a_part_of_the_baselines_samples_does_not_pass(runs, tmp_path, capsys):
    """Forty videos of sixty, all of them answered as before: a forgotten --limit is no pass."""
    before, _ = runs
    part = make_run(tmp_path / "part", [1, 1, 0] * 40)
    assert called("gate", part, "--baseline", before) == 5
    assert "120 of the 180 samples that the baseline was asked" in capsys.readouterr().out
    assert called("gate", part, "--baseline", before, "--least-coverage", "0.6") == 0
    assert called("gate", before, "--baseline", part) == 0, "a run may ask more than its baseline"
    half = make_run(tmp_path / "half", [1, 1, 0] * 40, unanswered=60)
    assert called("gate", before, "--baseline", half) == 5, (
        "a baseline that answered a part of what it was asked"
    )


def with_task(run, task, careful, official):
    """Beside its videomme, the run has a task with these two scores of every answer; None is what a judge has not decided."""
    record = json.loads((run / "run.json").read_text())
    for kind in ("asked", "answers", "scores"):
        lines = [json.loads(line) for line in (run / f"videomme.{kind}.jsonl").read_text().splitlines()]
        for line in lines if kind == "scores" else ():
            line["careful"] = careful and {"rule": "", "span": None, **careful}
            line["official"] = {"answer": "x", "score": official}
        (run / f"{task}.{kind}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    record["tasks"][task] = record["tasks"]["videomme"]
    record["protocol"]["tasks"][task] = record["protocol"]["tasks"]["videomme"]
    (run / "run.json").write_text(json.dumps(record))


def test_a_task_of_open_answers_is_compared_by_its_official_scores(tmp_path, capsys):
    """Another harness's task, which the careful reader cannot read; and one that no reader can does not end the others."""
    unread = {"answer": "x", "score": None}
    runs = [make_run(tmp_path / name, [1, 1, 0] * 60) for name in ("old", "new")]
    for run, score in zip(runs, (1.0, 0.5), strict=True):
        with_task(run, "lmms:unread", unread, None)
        with_task(run, "lmms:open", unread, score)
    assert called("gate", runs[1], "--baseline", runs[0]) == 4, "for lmms:open alone, which fell by half"
    out = capsys.readouterr().out
    assert "-50.0 points" in out and "no sample of lmms:unread has a score in both" in out
    assert called("compare", *runs) == 0 and "not compared, for no sample" in capsys.readouterr().out


def test_what_a_judge_has_not_decided_is_no_other_readers_word(tmp_path, capsys):
    """Its verdict on one side, and a rule's on the other, would be a difference of readers."""
    runs = [make_run(tmp_path / name, [1, 1, 0] * 60) for name in ("old", "new")]
    with_task(runs[0], "tempcompass", {"answer": "x", "score": 1.0}, 1.0)
    with_task(runs[1], "tempcompass", None, 0.0)
    assert called("gate", runs[1], "--baseline", runs[0]) == 5
    assert "no sample of tempcompass has a score in both" in capsys.readouterr().out


def test_nothing_known_is_not_surely_different():
    """One video with one gained and one lost has no error, and two such videos an error of 0: neither says anything."""
    pairs = [Pair(1, 0, "a"), Pair(0, 1, "a")]
    assert compare._two_sided(difference(pairs)) == 1
    assert compare._two_sided(difference([*pairs, Pair(1, 0, "b"), Pair(0, 1, "b")])) == 1


def test_a_task_that_the_run_lacks_is_not_passed_over(runs, tmp_path, capsys):
    before, _ = runs
    assert called("gate", before, "--baseline", tmp_path / "b.json", "--accept") == 0
    found = json.loads((tmp_path / "b.json").read_text())
    found["tasks"]["mlvu"] = found["tasks"]["videomme"]
    (tmp_path / "b.json").write_text(json.dumps(found))
    assert called("gate", before, "--baseline", tmp_path / "b.json") == 5
    assert "the baseline has mlvu and the run has not" in capsys.readouterr().out


def test_an_accepted_baseline_is_the_run_itself(runs, tmp_path, capsys):
    before, after = runs
    file = tmp_path / "baseline.json"
    assert called("gate", before, "--baseline", file, "--accept") == 0
    assert "one, videomme, 180 samples" in capsys.readouterr().out
    found = json.loads(file.read_text())
    assert found["schema"] == 1 and found["protocol"]["sampler"] == "uniform"
    assert (
        found["tasks"]["videomme"]["scores"]["q0"] == 1 and found["tasks"]["videomme"]["videos"]["q5"] == "v1"
    )
    assert read_side(file).tasks["videomme"].coverage == read_side(before).tasks["videomme"].coverage
    assert called("gate", before, "--baseline", file) == 0
    assert called("gate", after, "--baseline", file) == 4
    again = file.read_bytes()
    assert called("gate", before, "--baseline", file, "--accept") == 0 and file.read_bytes() == again


def test_other_programs_may_write_a_baseline(runs, tmp_path):
    """The fixed keys of the file alone: scores and videos."""
    scores = {f"q{i}": score for i, score in enumerate([1, 1, 0] * 60)}
    videos = {name: f"v{int(name[1:]) // 3}" for name in scores}
    protocol = json.loads((runs[0] / "run.json").read_text())["protocol"]
    tasks = {"videomme": {"scores": scores, "videos": videos}}
    (tmp_path / "b.json").write_text(json.dumps({"schema": 1, "protocol": protocol, "tasks": tasks}))
    assert called("gate", runs[0], "--baseline", tmp_path / "b.json") == 0
    assert called("gate", runs[1], "--baseline", tmp_path / "b.json") == 4


def test_ci_systems_get_their_files(runs, tmp_path, monkeypatch, capsys):
    before, after = runs
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    words = ["gate", after, "--baseline", before, "--junit", tmp_path / "gate.xml", "--json"]
    assert called(*words) == 4
    out = capsys.readouterr().out
    assert "::error title=videomme::videomme: regression [-14" in out
    told = json.loads(out.splitlines()[-1])
    assert told["exit"] == 4 and told["outcome"] == "regression"
    suite = ElementTree.parse(tmp_path / "gate.xml").getroot()
    assert suite.attrib == {"tests": "1", "failures": "1", "errors": "0"}
    case = suite.find("testsuite/testcase")
    assert case.attrib["name"] == "videomme" and "points" in case.find("failure").attrib["message"]
    assert "kangaroo-eval gate: regression" in (tmp_path / "summary.md").read_text()
    assert called("gate", before, "--baseline", before, "--junit", tmp_path / "ok.xml") == 0
    assert "::" not in capsys.readouterr().out
    assert ElementTree.parse(tmp_path / "ok.xml").getroot().attrib["failures"] == "0"


def test_hostile_names_stay_text(tmp_path, capsys):
    name = "a%0A::error::x\n|<b>"
    one = make_run(tmp_path / "one", [1, 1, 0] * 40, task="videomme", model=name)
    two = make_run(tmp_path / "two", [0, 0, 0] * 40, task="videomme", model=name)
    assert called("gate", two, "--baseline", one, "--github", "--junit", tmp_path / "x.xml") == 4
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::")]
    assert len(lines) == 1
    ElementTree.parse(tmp_path / "x.xml")


def test_a_judges_scale_counts_as_a_whole(tmp_path, capsys):
    """0.03 of three is a point of a hundred, half the margin; 3 would be a regression."""
    before = make_run(tmp_path / "before", [3, 2, 1, 0] * 45, task="mmbench_video", each=3)
    after = make_run(tmp_path / "after", [3, 2, 1, 0] * 45, task="mmbench_video", each=3)
    for path, off in ((before, 0.0), (after, 0.03)):
        file = path / "mmbench_video.scores.jsonl"
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        for line in lines:
            line["careful"]["score"] = max(0.0, line["careful"]["score"] - off)
            line["official"]["score"] = line["careful"]["score"]
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    side = read_side(before)
    assert max(each.careful for each in side.tasks["mmbench_video"].samples.values()) == 1.0
    assert called("compare", before, after, "--json") == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])["tasks"]["mmbench_video"]
    # None falls below 0, and the number itself stays on the judge's scale.
    assert -1.0 < told["difference"] < -0.5 and 1.4 < told["careful"] < 1.5
    base = tmp_path / "base.json"
    assert called("gate", before, "--baseline", base, "--accept") == 0
    assert called("gate", after, "--baseline", base) == 0
    # The file has the judge's own numbers.
    kept = json.loads(base.read_text())["tasks"]["mmbench_video"]["scores"]
    assert sorted(set(kept.values())) == [0, 1, 2, 3]


def changed(run, change):
    record = json.loads((run / "run.json").read_text())
    change(record)
    (run / "run.json").write_text(json.dumps(record))


def test_a_model_that_ranks_is_compared_with_one_that_does_not(runs, tmp_path, capsys):
    before, after = runs
    changed(before, lambda record: record["protocol"].update(ranks_choices=False))
    changed(after, lambda record: record["protocol"].update(ranks_choices=True))
    assert called("compare", before, after) == 0
    # Of SEED-Bench the official score is that of a ranking.
    one, two = (make_run(tmp_path / name, [1, 0] * 60, task="seedbench") for name in ("one", "two"))
    changed(one, lambda record: record["protocol"].update(ranks_choices=False))
    changed(two, lambda record: record["protocol"].update(ranks_choices=True))
    assert called("compare", one, two) == 5
    assert "ranks_choices" in capsys.readouterr().err


def test_what_another_harness_said_of_answers_is_not_what_was_asked(runs, capsys):
    """Two imports of one benchmark differ in the score that was recorded, and in the file that it came from."""
    for run, value, root in zip(runs, (50.0, 60.0), ("a", "b"), strict=True):
        own = {"recorded": {"metrics": {"m": value}}, "data_root": root, "gold": root, "format": "jsonl"}
        own |= {"data_fingerprint": f"of {root}, with its answers", "questions": "the same"}
        changed(run, lambda record, own=own: record["protocol"]["tasks"]["videomme"].update(own))
    assert called("compare", *runs) == 0
    changed(runs[1], lambda record: record["protocol"]["tasks"]["videomme"].update(questions="others"))
    assert called("compare", *runs) == 5
    assert "questions: the same -> others" in capsys.readouterr().err


def test_json_has_the_interval_that_was_asked_for(runs, capsys):
    widths = []
    for alpha in ("0.05", "0.5"):
        assert called("compare", *runs, "--json", "-q", "--alpha", alpha) == 0
        found = json.loads(capsys.readouterr().out)
        low, high = found["tasks"]["videomme"]["interval"]
        widths.append(high - low)
        assert found["level"] == 1 - float(alpha)
    assert widths[1] < 0.5 * widths[0]


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("asked",), float("inf")),
        (("asked",), 10**60),
        (("asked",), 1),
        (("asked",), "30"),
        (("seconds",), 1e300),
        (("seconds",), "1.5"),
        (("scores", "q0"), "A" * 9000),
        (("official", "q0"), 10**400),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_damaged_baseline_is_refused_in_a_line(where, value, tmp_path, capsys):
    make_run(tmp_path / "run", [1, 0] * 60)
    baseline = tmp_path / "b.json"
    assert main(["gate", str(tmp_path / "run"), "--baseline", str(baseline), "--accept"]) == 0
    kept = json.loads(baseline.read_text())
    holder = kept["tasks"]["videomme"]
    for key in where[:-1]:
        holder = holder[key]
    # The first sample, whatever its id.
    holder[next(iter(holder)) if where[-1] == "q0" else where[-1]] = value
    baseline.write_text(json.dumps(kept))
    capsys.readouterr()
    assert main(["gate", str(tmp_path / "run"), "--baseline", str(baseline)]) == 1
    said = capsys.readouterr().err
    assert "b.json is no baseline file" in said and said.count("\n") == 1 and len(said) < 1000
