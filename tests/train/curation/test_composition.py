"""What manifests are made of: types by what the rows say, the paper's numbers beside them, and a page with figures."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ElementTree

import pytest

from kangaroo_eval.cli.curate import main
from kangaroo_eval.errors import DataError
from kangaroo_eval.train.curation import composition, figures
from kangaroo_eval.train.curation.composition import PAPER, TUNING, kind, read
from kangaroo_eval.train.curation.instructions import (
    Example,
    Report,
    Round,
    Segment,
    assemble,
    write_manifest,
)
from kangaroo_eval.train.curation.language import length
from kangaroo_eval.train.curation.templates import TASKS


def example(name, task, source="web", **given):
    held = {"captions": ("A man walks.",)}
    if task == "multiple_choice":
        held = {"question": "Who?", "options": ("a man", "a dog"), "right": 0}
    elif task in ("open_qa", "conversation"):
        held = {"rounds": (Round("Who?", "A man."),)}
    elif task == "dense_caption":
        held = {"segments": (Segment(0, 1, "A man sits."), Segment(1, 2, "He stands."))}
    length = {} if task == "image_caption" else {"duration": 10.0}
    return Example(
        id=name, task=task, **({"video": f"{name}.mp4", "source": source, **held, **length} | given)
    )


def manifest(path, *examples):
    write_manifest(assemble(examples, Report()), path)
    return path


@pytest.fixture
def made(tmp_path):
    """What `assemble` writes of each kind of row."""
    talk = (Round("Who?", "A man."), Round("Where?", "In the park over there."))
    return manifest(
        tmp_path / "m.jsonl",
        example("p1", "image_caption", "laion", video="p1.jpg"),
        example("p2", "image_caption", "wukong", video="p2.jpg", lang="zh", captions=("一个男人。",)),
        example("s1", "short_caption", "vatex", category="sport"),
        example("s2", "short_caption", "vatex", video="s1.mp4", start=0.0, end=6.0, category="sport"),
        example("s3", "short_caption", "charades", video="s1.mp4"),
        example("s4", "short_caption", "charades", duration=None),
        example("zh", "short_caption", "vatex", lang="zh", captions=("一个男人在走路。",)),
        example("d1", "detailed_caption", category="food"),
        example("d2", "detailed_caption", lang="zh", captions=("一个男人在走路。",)),
        example("e1", "dense_caption"),
        example("m1", "multiple_choice", "nextqa"),
        example("o1", "open_qa", "nextoe", rounds=talk),
        example("c1", "conversation"),
        example("c2", "conversation", rounds=talk, duration=200.0),
        example("c3", "conversation", lang="zh", rounds=(Round("谁？", "一个男人。"),)),
        example("c4", "conversation", lang="zh", rounds=(Round("谁？", "一个男人。"), Round("哪？", "家。"))),
    )


def test_each_row_is_of_the_type_that_it_says(made):
    found = read([made])
    counts = {name: sum(group.rows for _, _, group in parts) for name, parts in found.kinds().items()}
    assert counts == {
        "image caption": 2,
        "short caption": 4,
        "Chinese short caption": 1,
        "detailed caption": 1,
        "Chinese detailed caption": 1,
        "dense caption": 1,
        "multiple choice": 1,
        "open QA": 1,
        "single-round conversation": 1,
        "multi-round conversation": 1,
        "Chinese conversation": 2,
    }
    known = [name for name in counts if name in PAPER]
    assert known == [*PAPER] and list(counts)[: len(known)] == known, "Table I's order, then the others"
    assert found.rows == 16 and sum(found.rounds) == 19


def test_clips_are_told_apart_by_file_and_bounds(made):
    found = read([made])
    groups = {(name, source): group for (name, source, _), group in found.groups.items()}
    assert len(groups["short caption", "vatex"].videos) == 2
    (whole,) = [each for each in composition.lines(found) if each.kind == "short caption"]
    assert whole.source == "" and len(whole.group.videos) == 3, "one is of both sources"
    assert sum(found.sources.values()) == 15 and found.sources["vatex"] == 3
    assert found.categories == {"sport": 2, "food": 1}
    assert sorted(found.seconds)[-1] == 200.0 and min(found.seconds) == 6.0
    assert len(found.seconds) == 12 and found.unknown == 1, "pictures have no length"


def test_words_of_answers():
    assert length("A man's t-shirt, 3.5 m long.") == 6
    assert length("他用 iPhone 拍照。") == 5 and length("") == 0


def test_the_papers_numbers_are_beside_ours(made):
    assert TUNING == 2_240_200
    by_name = {each.kind: each for each in composition.lines(read([made])) if each.kind}
    cells = dict(zip(composition.HEADERS, composition.cells(by_name["multiple choice"], 16), strict=True))
    assert cells == {
        "type": "multiple choice",
        "source": "nextqa",
        "language": "en",
        "rows": "1",
        "share": "6.2%",
        "videos": "1",
        "rounds": "1",
        "paper's rows": "616,100",
        "paper's share": "27.5%",
    }
    assert composition.cells(by_name["image caption"], 16)[2:] == [
        "en/zh",
        "2",
        "12.5%",
        "2",
        "2",
        "300,000,000",
        "",
    ]
    assert composition.cells(by_name["dense caption"], 16)[-2:] == ["", ""]
    assert not any("no row of" in each for each in composition.notes(read([made]))), "all types are there"


def test_every_task_of_ours_has_a_name_without_guessing():
    for task in TASKS:
        assert kind(task, "en", 1) in PAPER or task == "dense_caption"
    assert (
        kind("", "", 1) == kind("", "zh", 1) == "no task" and kind("pointing", "zh", 1) == "Chinese pointing"
    )


def test_manifests_of_others_and_bad_rows(tmp_path, capsys):
    good = [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Hello there."}]
    rows = [
        {"id": "a", "messages": good},
        {"id": "b", "video": "v.mp4", "messages": [{"role": "system", "content": "x"}, *good]},
        {"id": "c", "video": "v.mp4", "messages": good[:1]},
        {"id": "d", "video": "v.mp4"},
    ]
    file = tmp_path / "own.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + "no json\n")
    found = read([file])
    assert found.rows == 2 and found.unread == 3 and found.words == [2, 2]
    assert {name for name, _, _ in found.groups} == {"no task"} and sum(found.sources.values()) == 1
    assert main(["composition", str(file)]) == 0
    told = capsys.readouterr().out
    assert "there is no row of: image caption 300,000,000, short caption 89,700," in told
    assert "no task" in told and "3 rows cannot be read, such as" in told
    for name, text in (("m.csv", "id\n"), ("empty.jsonl", ""), ("bad.jsonl", "[]\n")):
        (tmp_path / name).write_text(text)
        with pytest.raises(DataError):
            read([tmp_path / name])
    with pytest.raises(DataError, match="not found"):
        read([tmp_path / "nowhere.jsonl"])


def test_parquet_is_the_same(made, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [json.loads(line) for line in made.read_text(encoding="utf-8").splitlines()]
    # Every column is in every row of a table: what a row lacks is null.
    keys = {key for row in rows for key in row} - {"mc"}
    table = pa.Table.from_pylist([{key: row.get(key) for key in keys} for row in rows])
    pq.write_table(table, tmp_path / "m.parquet")
    assert composition.as_json(read([tmp_path / "m.parquet"])) == composition.as_json(read([made]))


def test_several_manifests_are_one(made, tmp_path, capsys):
    (tmp_path / "other").mkdir()
    other = manifest(tmp_path / "other/m.jsonl", example("s1", "short_caption", "vatex"))
    assert main(["composition", str(made), str(other), "--json"]) == 0
    out = capsys.readouterr().out
    told = json.loads(out.splitlines()[-1])
    assert told["exit"] == 0 and told["rows"] == 17 and told["videos"] == 16, "another folder's s1.mp4"
    short = next(each for each in told["types"] if each["type"] == "short caption")
    assert short["rows"] == 5 and short["paper"]["rows"] == 89_700 and "VaTEX" in short["paper"]["sources"]
    assert {each["source"]: each["rows"] for each in short["sources"]} == {"vatex": 3, "charades": 2}
    assert sum(each["rows"] for each in told["types"]) == 17
    assert sum(each["share"] for each in told["types"]) == pytest.approx(1, abs=1e-4)
    assert re.search(r"short caption +en +5 +29\.4% +4 +5 +89,700 +4\.0%", out)


def drawn(page):
    """The figures of a page: name, heights of the bars, lines (y1, y2)."""
    found = {}
    for figure in re.findall(r"<figure>.*?</figure>", page, re.DOTALL):
        svg = ElementTree.fromstring(re.search(r"<svg.*</svg>", figure, re.DOTALL)[0])
        name = re.search(r"<b>(.*?)</b>", figure)[1]
        bars = [(float(each.get("height")), each.findtext("title")) for each in svg.iter("rect")]
        found[name] = (
            bars,
            [(float(each.get("y1")), float(each.get("y2"))) for each in svg.iter("line")],
            figure,
        )
    return found


def test_the_page_has_the_table_and_the_figures(made, tmp_path, capsys):
    assert main(["composition", str(made), "--output", str(tmp_path / "page.html")]) == 0
    assert str(tmp_path / "page.html") in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "616,100" in page and "Chinese conversation" in page and "http" not in page
    figure = drawn(page)
    bars, lines, text = figure["share of a category"]
    assert [title for _, title in bars] == ["sport: 2, 66.67%", "food: 1, 33.33%"]
    assert bars[0][0] == pytest.approx(figures.HEIGHT) and bars[1][0] == pytest.approx(figures.HEIGHT / 2)
    assert lines == [pytest.approx((118.2, 118.2))], "1 % of a height that is two thirds"
    assert "2 of 2 are above 1 %; of 3 clips" in text
    assert (
        len(figure["rounds of a row"][0]) == 2 and "half of 16 are at most 1" in figure["rounds of a row"][2]
    )
    assert "6 to 200, logarithmic" in figure["seconds of a clip"][2]
    assert any(name.startswith("words of an answer") for name in figure)


def test_without_categories_the_sources_are_drawn(tmp_path):
    path = manifest(
        tmp_path / "m.jsonl", *(example(f"v{n}", "short_caption", "<b>vatex</b>") for n in range(3))
    )
    path.write_text(path.read_text().replace('"source": "<b>vatex</b>", ', "", 1))
    page = composition.document(read([path]))
    bars, _, text = drawn(page)["share of a source"]
    assert [title for _, title in bars] == ["<b>vatex</b>: 2, 66.67%", "no source: 1, 33.33%"]
    assert "none has a category" in text and "<b>vatex" not in page


def test_of_very_many_the_largest_are_drawn_and_all_are_counted():
    counts = {f"c{n:03d}": 1000 - n for n in range(300)}
    counts["most"] = 5000
    bars, lines, text = drawn(figures.shares("x", counts, 0.01))["x"]
    assert len(bars) == figures.MOST_BARS and bars[0][1].startswith("most: 5,000")
    assert "1 of 301 are above 1 %" in text and f"the {figures.MOST_BARS} largest of 301" in text
    assert 0 < lines[0][0] < figures.HEIGHT
    even = drawn(figures.shares("x", dict.fromkeys(map(str, range(200)), 5), 0.01))["x"]
    assert even[1] == [(0.0, 0.0)] and even[0][0][0] == pytest.approx(figures.HEIGHT / 2), (
        "the cap is in sight"
    )


def test_text_alone_has_no_videos(tmp_path):
    row = {
        "id": "a",
        "messages": [{"role": "user", "content": "Hi."}, {"role": "assistant", "content": "Yes."}],
    }
    (tmp_path / "m.jsonl").write_text(json.dumps(row))
    page = composition.document(read([tmp_path / "m.jsonl"]))
    assert "Balance" not in page and set(drawn(page)) == {
        "rounds of a row",
        *(n for n in drawn(page) if "words" in n),
    }


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["nowhere.jsonl"], 6, "training manifest not found"),
        (["x.json"], 6, "ends in .jsonl or .parquet"),
        (["{}/m.jsonl", "--output", "{}/no/page.html"], 1, "there is no folder"),
    ],
)
def test_mistakes_are_one_line(words, code, told, made, tmp_path, capsys):
    assert main(["composition", *(word.format(tmp_path) for word in words)]) == code
    assert told in capsys.readouterr().err
