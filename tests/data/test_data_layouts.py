"""Benchmarks are found where lmms-eval, VLMEvalKit and the hub's client leave them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import videomme_rows, write_videomme

from kangaroo_eval.cli import main
from kangaroo_eval.data import folder_of, locate
from kangaroo_eval.layouts import LAYOUTS, Piece, known_places, one_folder, pieces_of
from kangaroo_eval.registry import get_task

SOURCE = get_task("videomme").source
PARQUET = "videomme/test-00000-of-00001.parquet"
SNAPSHOT = "hub/datasets--lmms-lab--Video-MME/snapshots/c0ffee"


@pytest.fixture(scope="module")
def videomme(tmp_path_factory):
    return write_videomme(tmp_path_factory.mktemp("made"), videomme_rows(3)) / "videomme"


@pytest.fixture
def home(tmp_path, away, monkeypatch):
    """A user's home without any benchmark."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "LMUData", "MODELSCOPE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def lmms_eval(hf_home: Path, videomme: Path) -> Path:
    """The annotations in the cache, as a link to a blob; the videos in a folder of lmms-eval's own."""
    blob = hf_home / "hub/datasets--lmms-lab--Video-MME/blobs/0123"
    blob.parent.mkdir(parents=True)
    shutil.copy(videomme / PARQUET, blob)
    (hf_home / SNAPSHOT / "videomme").mkdir(parents=True)
    (hf_home / SNAPSHOT / PARQUET).symlink_to("../../../blobs/0123")
    shutil.copytree(videomme / "data", hf_home / "videomme/data")
    return hf_home


def vlmevalkit(root: Path, videomme: Path) -> Path:
    """All of it in one folder, the videos under `video/`."""
    shutil.copytree(videomme / "videomme", root / "videomme")
    shutil.copytree(videomme / "data", root / "video")
    return root


def runs(root: Path, capsys) -> None:
    """A run reads the real benchmark there."""
    words = [
        "--tasks",
        "videomme",
        "--data-root",
        str(root),
        "--data",
        "real",
        "--frames",
        "2",
        "--model",
        "constant",
    ]
    assert main([*words, "--output", f"out{abs(hash(str(root)))}", "-q", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])["tasks"]["videomme"]
    assert (told["n"], told["label"]) == (9, "videomme")


@pytest.mark.parametrize("place", ["", "videomme", "hub"])
def test_lmms_evals_two_places_are_one_benchmark(home, videomme, capsys, place):
    root = lmms_eval(home / "hf", videomme) / place
    if place == "hub":
        # Named by its cache alone, the videos beside it are found too.
        assert len(pieces_of(SOURCE, root)) >= 1
    runs(root, capsys)
    assert main(["data", "verify", "videomme", "--data-root", str(root)]) == 0


@pytest.mark.parametrize("pattern", [each.pattern for each in LAYOUTS if "{name}" in each.pattern])
@pytest.mark.parametrize("repository", ["lmms-lab/Video-MME", "lmms-eval/Video-MME"])
def test_every_layout_of_a_whole_copy(home, videomme, pattern, repository):
    owner, _, name = repository.partition("/")
    place = home / "root" / pattern.format(owner=owner, name=name).replace("*", "c0ffee")
    vlmevalkit(place, videomme)
    found = folder_of(get_task("videomme"), home / "root")
    assert found == place
    samples = list(get_task("videomme").read(found))
    assert all(Path(sample.video.path).is_file() for sample in samples) and len(samples) == 9


def test_vlmevalkits_snapshot_runs_and_the_folder_itself_may_be_named(home, videomme, capsys):
    place = vlmevalkit(home / "hf" / SNAPSHOT, videomme)
    for root in (home / "hf", place):
        runs(root, capsys)


def test_our_own_folder_comes_first(home, videomme):
    shutil.copytree(videomme, home / "root/videomme")
    vlmevalkit(home / "root" / SNAPSHOT, videomme)
    assert folder_of(get_task("videomme"), home / "root") == home / "root/videomme"
    shutil.rmtree(home / "root/videomme/videomme")
    assert folder_of(get_task("videomme"), home / "root") == home / "root" / SNAPSHOT


def test_nothing_is_found_where_nothing_is(home):
    (home / "root/hub").mkdir(parents=True)
    for name in ("videomme", "mlvu", "egoschema", "mvbench"):
        assert folder_of(get_task(name), home / "root") is None


def test_the_folder_of_links_follows_what_comes_and_goes(home, videomme):
    root = lmms_eval(home / "hf", videomme)
    pieces = pieces_of(SOURCE, root)
    folder = one_folder(pieces, home / "cache", "videomme")
    assert {each.name for each in folder.iterdir()} == {"videomme", "data"}
    (root / "videomme/subtitle").mkdir()
    (root / "videomme/data").rename(root / "videomme/gone")
    assert one_folder(pieces, home / "cache", "videomme") == folder
    assert {each.name for each in folder.iterdir()} == {"videomme", "gone", "subtitle"}


def test_mlvu_as_the_hubs_client_has_it(home):
    place = home / "hf/hub/datasets--MLVU--MVLU/snapshots/abc/MLVU"
    (place / "json").mkdir(parents=True)
    (place / "video/1_plotQA").mkdir(parents=True)
    (place / "video/1_plotQA/x.mp4").touch()
    row = {"video": "x.mp4", "duration": 3, "question": "Q?", "candidates": ["a", "b"], "answer": "a"}
    for pattern in get_task("mlvu").source.annotations:
        (place / "json" / Path(pattern).name).write_text(json.dumps([row]))
    found = folder_of(get_task("mlvu"), home / "hf")
    assert found == place.parent
    assert Path(next(iter(get_task("mlvu").read(found))).video.path).is_file()


def test_a_run_on_mini_data_says_where_the_real_ones_are(home, videomme, caplog):
    """Somebody with the benchmark in lmms-eval's cache must not take the mini copy for all there is."""
    task = get_task("videomme")
    assert locate(task, "auto", None, home / "cache").kind == "mini"
    assert "(no --data-root); using the MINI copy" in caplog.text
    lmms_eval(home / ".cache/huggingface", videomme)
    caplog.clear()
    assert locate(task, "auto", None, home / "cache").kind == "mini"
    assert (
        f"(no --data-root), but HF_HOME has it: --data-root {home}/.cache/huggingface; using" in caplog.text
    )
    caplog.clear()
    assert locate(task, "mini", None, home / "cache").kind == "mini" and "HF_HOME" not in caplog.text


def test_data_ls_shows_what_other_harnesses_have(home, videomme, capsys, monkeypatch):
    lmms_eval(home / ".cache/huggingface", videomme)
    vlmevalkit(home / "LMUData/videos/Video-MME", videomme)
    assert main(["data", "ls", "videomme", "mlvu"]) == 0
    told = capsys.readouterr().out
    assert "videomme                  not there" in told and "mlvu                      not there" in told
    assert f"(use --data-root {home}/.cache/huggingface)" in told
    assert f"{home}/LMUData/videos/Video-MME (use --data-root {home}/LMUData)" in told
    monkeypatch.setenv("HF_HOME", str(home / "elsewhere"))
    assert main(["data", "ls", "videomme", "--json", "--data-root", str(home / "LMUData")]) == 0
    found = json.loads(capsys.readouterr().out)["tasks"]["videomme"]
    assert found == {"--data-root": [f"{home}/LMUData/videos/Video-MME"]}


def test_where_other_harnesses_keep_things_is_what_their_variables_say(home):
    assert known_places({}) == {}
    (home / "a/hub").mkdir(parents=True)
    (home / "b").mkdir()
    told = known_places({"HF_HOME": "~/a", "HF_HUB_CACHE": str(home / "a/hub"), "LMUData": str(home / "b")})
    assert told == {"HF_HOME": home / "a", "HF_HUB_CACHE": home / "a/hub", "LMUData": home / "b"}


def test_two_runs_that_begin_together_make_the_same_links(tmp_path, monkeypatch):
    """Between looking for a link and making it, the other run has made it."""
    pieces = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}.json").write_text("{}")
        pieces.append(Piece(tmp_path / name, ""))
    first = one_folder(pieces, tmp_path / "cache", "x")
    monkeypatch.setattr(Path, "is_symlink", lambda self: False)
    assert one_folder(pieces, tmp_path / "cache", "x") == first
    assert sorted(path.name for path in first.iterdir()) == ["one.json", "two.json"]
