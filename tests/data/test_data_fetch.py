"""Downloads with the hub's real client from a real server on this machine that breaks in every way."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from conftest import videomme_rows, write_videomme
from fake_hub import FakeHub, Fault, cut, status

from kangaroo_eval.cli import main
from kangaroo_eval.fetch import hub as hub_module

REPOSITORY = "lmms-lab/Video-MME"
PARQUET = "videomme/test-00000-of-00001.parquet"


def zipped(files: dict[str, bytes], method=zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return out.getvalue()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A made Video-MME of six videos as its repository has it, and the videos by their names."""
    root = tmp_path_factory.mktemp("made")
    write_videomme(root, videomme_rows(6))
    videos = {path.name: path.read_bytes() for path in sorted((root / "videomme/data").iterdir())}
    names = sorted(videos)
    srt = b"1\n00:00:00,100 --> 00:00:02,000\nhello\n"
    files = {
        PARQUET: (root / "videomme" / PARQUET).read_bytes(),
        "README.md": b"# Video-MME",
        "subtitle.zip": zipped({f"subtitle/{names[0][:-4]}.srt": srt}),
        # Beside the videos junk, so that reading out of an archive and fetching it whole both happen.
        "videos_chunked_01.zip": zipped({f"data/{name}": videos[name] for name in names[:4]}),
        "videos_chunked_02.zip": zipped(
            {f"data/{name}": videos[name] for name in names[4:]} | {"__MACOSX/data/._x.mp4": b"junk"}
        ),
    }
    return files, videos


@pytest.fixture(autouse=True)
def quick(monkeypatch, away):
    """No token and no offline mode of the user's, and no waiting between tries."""
    # The client looks at the environment once, when it is first imported.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(Path.cwd() / "hf"))
    monkeypatch.setattr("time.sleep", lambda seconds, real=time.sleep: real(min(seconds, 0.02)))


@pytest.fixture
def hub(made, monkeypatch):
    with FakeHub({REPOSITORY: dict(made[0])}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        yield server


def fetch(*words, code=0):
    assert main(["data", "fetch", *words, "--data-root", "data", "-q"]) == code


def said(capsys) -> str:
    """The one line on stderr."""
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("kangaroo-eval: "), last
    return last


def tree() -> dict[str, bytes]:
    root = Path("data/videomme")
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and ".fetch" not in path.parts
    }


def test_a_whole_benchmark_is_fetched_verified_and_run(hub, made, capsys):
    fetch("videomme_subtitles", "--yes")
    assert tree() == {
        PARQUET: made[0][PARQUET],
        "subtitle/video000000.srt": b"1\n00:00:00,100 --> 00:00:02,000\nhello\n",
        **{f"data/{name}": content for name, content in made[1].items()},
    }
    assert main(["data", "verify", "videomme", "videomme_subtitles", "--data-root", "data"]) == 0
    words = [
        "--tasks",
        "videomme,videomme_subtitles",
        "--data-root",
        "data",
        "--data",
        "real",
        "--frames",
        "4",
    ]
    assert main([*words, "--model", "constant", "-q", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert {name: (task["label"], task["n"]) for name, task in told["tasks"].items()} == {
        "videomme": ("videomme", 18),
        "videomme_subtitles": ("videomme_subtitles", 18),
    }
    # The second time nothing is transferred: neither videos nor subtitles nor annotations.
    before = len(hub.seen)
    fetch("videomme_subtitles", "--yes")
    assert len(hub.seen) == before
    assert not (Path("data/videomme/.fetch/repository")).exists()


def test_a_subset_takes_only_what_it_needs(hub, made, capsys):
    fetch("videomme", "--yes", "--samples", "001-1,001-2")
    assert set(tree()) == {PARQUET, "data/video000000.mp4"}
    assert hub.sent("README.md") == hub.sent("subtitle.zip") == 0
    # One video of four: it is read out of the archive, where its directory has been looked up.
    assert max(each.sent for each in hub.seen if each.path.endswith("01.zip")) <= len(
        made[0]["videos_chunked_01.zip"]
    )
    assert all(each.range for each in hub.seen if each.path.endswith(".zip"))
    fetch("videomme", "--yes", "--limit", "12")
    assert set(tree()) == {PARQUET, *(f"data/video00000{k}.mp4" for k in range(4))}
    assert main(["--tasks", "videomme", "--data-root", "data", "--limit", "12", "--frames", "2", "--model", "constant", "-q"]) == 0  # fmt: skip
    fetch("videomme", "--yes", "--subset", "0:6")
    assert len(tree()) == 7, "one question of every video"
    assert "--samples names none" in refused(capsys, 1, "videomme", "--yes", "--samples", "nobody")


def refused(capsys, code, *words) -> str:
    capsys.readouterr()
    fetch(*words, code=code)
    return said(capsys)


@pytest.mark.parametrize(
    "faults",
    {
        "cut in the middle, thrice": (cut(700), cut(700), cut(700)),
        "busy, then fine": (status(503), status(500), status(429)),
        "cut at once": (cut(0),),
        "another content, then the right one": (Fault(content=b"x" * 10),),
        "slow": (Fault(slow=0.001),),
    }.items(),
    ids=lambda each: each[0],
)
def test_a_bad_connection_costs_nothing_but_time(hub, made, faults):
    whole = "videos_chunked_01.zip"
    hub.script(PARQUET, *faults[1])
    fetch("videomme", "--yes", "--samples", "001-1")
    hub.script(whole, *faults[1])
    hub.script(whole, *[each for each in faults[1] if each.status], reads=True)
    fetch("videomme", "--yes")
    assert set(tree()) == {PARQUET, *(f"data/{name}" for name in made[1])}
    assert tree()[PARQUET] == made[0][PARQUET]


def test_wrong_content_is_refused_by_its_hash_and_never_stays(hub, made, capsys):
    wrong = bytes(len(made[0][PARQUET]))
    hub.script(PARQUET, *[Fault(content=wrong)] * 2)
    assert "came twice with other content than its hash tells" in refused(capsys, 6, "videomme", "--yes")
    assert tree() == {}
    fetch("videomme", "--yes", "--limit", "1")
    assert tree()[PARQUET] == made[0][PARQUET]


def test_a_small_file_is_checked_by_gits_hash(hub, made, capsys):
    hub.large = 10**9
    hub.script(PARQUET, *[Fault(content=bytes(len(made[0][PARQUET])))] * 2)
    assert "other content than its hash tells" in refused(capsys, 6, "videomme", "--yes")
    fetch("videomme", "--yes", "--limit", "1")


def test_a_hub_that_stays_away_is_one_line_and_the_same_command_goes_on(hub, made, capsys):
    hub.script(PARQUET, *[status(503)] * 100)
    line = refused(capsys, 2, "videomme", "--yes")
    assert "cannot be had from http://127.0.0.1" in line and "the same command goes on" in line
    hub._script.clear()
    hub.busy = 2
    fetch("videomme", "--yes", "--limit", "1")


def test_nobody_at_home(monkeypatch, capsys):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert "cannot be had from http://127.0.0.1:9" in refused(capsys, 2, "videomme", "--yes")


def test_gated_and_absent_repositories_are_explained_in_one_line(hub, made, capsys, monkeypatch):
    hub.gated.add(REPOSITORY)
    line = refused(capsys, 6, "videomme", "--yes")
    assert (
        f"is gated: accept its conditions at {hub.url}/datasets/{REPOSITORY}" in line and "HF_TOKEN" in line
    )
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    fetch("videomme", "--yes", "--limit", "1")
    assert "is not there, or closed to you" in refused(capsys, 6, "lvbench", "--yes")


@pytest.mark.parametrize("words", [(), ("--samples", "001-1")], ids=["whole", "read in places"])
def test_large_files_come_from_another_host_which_gets_no_token(hub, made, monkeypatch, words):
    hub.cdn = True
    hub.gated.add(REPOSITORY)
    monkeypatch.setenv("HF_TOKEN", "hf_good")
    hub.script(PARQUET, cut(500), status(503))
    fetch("videomme", "--yes", *words)
    assert tree()["data/video000000.mp4"] == made[1]["video000000.mp4"]
    assert hub.tokens_given_away == 0 and any("/cdn/" in each.path for each in hub.seen)


def test_without_yes_and_a_terminal_nothing_is_asked_of_the_hub(hub, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    line = refused(capsys, 1, "videomme")
    assert "no terminal to ask on" in line and "--yes" in line and "https://video-mme.github.io" in line
    assert hub.seen == [] and not Path("data").exists()


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_licence_and_size_are_shown_and_a_no_is_taken(hub, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", Terminal(""))
    fetch("videomme", code=1)
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    fetch("videomme", code=1)
    told = capsys.readouterr().err
    assert "licence: academic research only; no redistribution" in told and f"{hub.url}/datasets/" in told
    assert not tree()
    monkeypatch.setattr("sys.stdin", Terminal("yes\nn\n"))
    fetch("videomme", code=1)
    assert "18 samples need" in capsys.readouterr().err
    assert set(tree()) == {PARQUET}
    monkeypatch.setattr("sys.stdin", Terminal("yes\ny\n"))
    fetch("videomme")
    assert len(tree()) == 7


def test_offline_mode_is_told_in_one_line(capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "HF_HUB_OFFLINE is set" in refused(capsys, 1, "videomme", "--yes")


def test_a_disk_too_small_is_told_before_any_video_is_fetched(hub, capsys, monkeypatch):
    usage = type("usage", (), {"free": 10**8})
    monkeypatch.setattr("shutil.disk_usage", lambda path: usage)
    assert "0.1 GB free" in refused(capsys, 2, "videomme", "--yes")
    assert set(tree()) == {PARQUET}


def test_made_data_is_left_alone_and_names_are_wanted(hub, capsys):
    Path("data/videomme").mkdir(parents=True)
    Path("data/videomme/mini.json").write_text("{}")
    assert "holds made data" in refused(capsys, 1, "videomme", "--yes")
    assert "name tasks" in refused(capsys, 1, "--yes")


def test_what_the_repository_lacks_is_exit_6_with_the_files_names(hub, capsys):
    del hub.files[REPOSITORY]["videos_chunked_02.zip"]
    assert main(["data", "fetch", "videomme", "--yes", "--data-root", "data", "--json", "-q"]) == 6
    told = json.loads(capsys.readouterr().out)
    assert told["exit"] == 6
    assert told["tasks"]["videomme"]["missing"] == ["data/video000004.mp4", "data/video000005.mp4"]
    assert len(tree()) == 5


def test_killed_in_the_middle_it_goes_on_and_never_looks_whole(hub, made, tmp_path):
    """kill -9 while a large archive comes slowly: no file of it is there, and the rest alone comes the second time."""
    padding = os.urandom(14 << 20)
    hub.files[REPOSITORY]["videos_chunked_02.zip"] = zipped(
        {f"data/{name}": made[1][name] + padding for name in sorted(made[1])[4:]}
    )
    size = len(hub.files[REPOSITORY]["videos_chunked_02.zip"])
    hub.script("videos_chunked_02.zip", Fault(slow=0.02, step=1 << 17))
    words = ["data", "fetch", "videomme", "--yes", "--data-root", "data"]
    words = [sys.executable, "-c", "from kangaroo_eval.cli import console; console()", *words]
    running = subprocess.Popen(words, stderr=subprocess.DEVNULL, env=dict(os.environ))
    part = Path("data/videomme/.fetch/repository/videos_chunked_02.zip.part")
    deadline = time.monotonic() + 60
    while not (part.exists() and part.stat().st_size >= 10 << 20):
        assert time.monotonic() < deadline and running.poll() is None
        time.sleep(0.02)
    os.kill(running.pid, signal.SIGKILL)
    running.wait()
    assert not [name for name in tree() if name.endswith(("4.mp4", "5.mp4"))]
    have = part.stat().st_size
    assert 0 < have < size
    hub.seen.clear()
    fetch("videomme", "--yes")
    assert tree()["data/video000005.mp4"] == made[1]["video000005.mp4"] + padding
    again = [
        each
        for each in hub.seen
        if each.path.endswith("02.zip") and re.fullmatch(r"bytes=\d+-", each.range or "")
    ]
    assert [each.range for each in again] == [f"bytes={have}-"] and again[0].sent == size - have


def test_a_cut_download_goes_on_from_what_came(hub, tmp_path):
    content = os.urandom(25 << 20)
    hub.files["org/set"] = {"big.bin": content}
    hub.script("big.bin", cut(22 << 20), status(503), cut(0))
    client = hub_module.Hub(endpoint=hub.url)
    repository = client.look("org/set")
    got = client.get(repository, repository.files[0], tmp_path / "big.bin")
    assert got.read_bytes() == content
    # The client hands over ten megabytes at a time.
    assert [each.range for each in hub.seen if each.sent] == [None, f"bytes={20 << 20}-"]


def test_two_downloads_into_one_folder_do_not_meet(hub, capsys):
    import fcntl

    work = Path("data/videomme/.fetch")
    work.mkdir(parents=True)
    with (work / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another download into data/videomme is running" in refused(capsys, 1, "videomme", "--yes")


HOSTILE = {
    "a name that climbs": {"../../x.mp4": b"x"},
    "an absolute name": {"/etc/x.mp4": b"x"},
    "a drive": {"C:/x.mp4": b"x"},
    "a backslash": {"data\\..\\..\\x.mp4": b"x"},
    "zeros without end": {"data/video000005.mp4": bytes(1 << 26)},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_zip_is_refused_and_nothing_of_it_lands(hub, made, name, capsys):
    bad = zipped(HOSTILE[name] | {"data/video000004.mp4": made[1]["video000004.mp4"]}, zipfile.ZIP_DEFLATED)
    hub.files[REPOSITORY]["videos_chunked_02.zip"] = bad
    assert "refused" in refused(capsys, 6, "videomme", "--yes")
    assert not [path for path in tree() if path.endswith(("4.mp4", "5.mp4", "x.mp4"))]
    assert not list(Path().parent.rglob("x.mp4"))


def test_a_link_in_a_zip_is_refused(hub, capsys):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made_zip:
        link = zipfile.ZipInfo("data/video000005.mp4")
        link.external_attr = 0o120777 << 16
        made_zip.writestr(link, "/etc/passwd")
    hub.files[REPOSITORY]["videos_chunked_02.zip"] = out.getvalue()
    assert "is a link or a device" in refused(capsys, 6, "videomme", "--yes")


def test_a_damaged_zip_leaves_no_half_video(hub, made, capsys):
    whole = bytearray(hub.files[REPOSITORY]["videos_chunked_02.zip"])
    at = whole.rindex(made[1]["video000005.mp4"][100:200])
    whole[at] ^= 0xFF
    hub.files[REPOSITORY]["videos_chunked_02.zip"] = bytes(whole)
    assert "damaged" in refused(capsys, 6, "videomme", "--yes")
    assert "data/video000005.mp4" not in tree() and "data/video000004.mp4" in tree()


LVB = "longvideobench/LongVideoBench"


def longvideobench(tmp_path, members) -> dict[str, bytes]:
    """Its repository: a tar in four pieces, cut anywhere."""
    rows = [
        {"id": f"v{k}_0", "video_id": f"v{k}", "video_path": f"v{k}.mp4", "subtitle_path": f"v{k}_en.json", "question": "Q?",
         "question_wo_referring_query": "Q?", "candidates": ["a", "b", "c", "d"], "correct_choice": 0, "position": [0],
         "topic_category": "T", "question_category": "T2A", "level": "L1-Perception", "duration_group": 15,
         "starting_timestamp_for_subtitles": 0, "duration": 3.0, "view_count": 1}
        for k in range(3)
    ]  # fmt: skip
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as made_tar:
        for member, content in members:
            if isinstance(member, str):
                member = tarfile.TarInfo(member)
            member.size = len(content)
            made_tar.addfile(member, io.BytesIO(content))
    data = out.getvalue()
    step = len(data) // 4 + 1
    pieces = {f"videos.tar.part.a{'abcd'[k]}": data[k * step : (k + 1) * step] for k in range(4)}
    return {"lvb_val.json": json.dumps(rows).encode(), **pieces}


def test_a_tar_in_pieces_is_read_no_further_than_needed(hub, tmp_path, made):
    video = made[1]["video000000.mp4"]
    filler = ("videos/filler.mp4", os.urandom(200_000))
    hub.files[LVB] = longvideobench(
        tmp_path,
        [("videos/v0.mp4", video), ("videos/v1.mp4", video + b"1"), filler, ("videos/v2.mp4", video)],
    )
    fetch("longvideobench", "--yes", "--samples", "v1_0")
    root = Path("data/longvideobench")
    assert (root / "videos/v1.mp4").read_bytes() == video + b"1" and not (root / "videos/v0.mp4").exists()
    assert hub.sent("part.ad") == 0, "what lies behind the last wanted file is not transferred"
    fetch("longvideobench", "--yes")
    assert {path.name for path in (root / "videos").iterdir()} == {"v0.mp4", "v1.mp4", "v2.mp4"}


def linked(kind, name="videos/v1.mp4", target="/etc/passwd"):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


@pytest.mark.parametrize(
    "member",
    [
        linked(tarfile.SYMTYPE),
        linked(tarfile.LNKTYPE),
        linked(tarfile.CHRTYPE),
        tarfile.TarInfo("../v1.mp4"),
        tarfile.TarInfo("/v1.mp4"),
    ],
    ids=["symlink", "hard link", "device", "climbs", "absolute"],
)
def test_a_hostile_tar_is_refused(hub, tmp_path, made, member, capsys):
    hub.files[LVB] = longvideobench(tmp_path, [(member, b""), ("videos/v1.mp4", made[1]["video000000.mp4"])])
    assert "refused" in refused(capsys, 6, "longvideobench", "--yes", "--samples", "v1_0")
    assert not Path("data/longvideobench/videos").exists()


MMB = "opencompass/MMBench-Video"


class Evil:
    def __reduce__(self):
        return os.system, ("touch owned",)


def test_pickled_videos_are_read_without_running_what_is_in_them(hub, made, capsys):
    heading = "index\tvideo\tvideo_type\tquestion\tanswer\tdimensions\tvideo_path\n"
    row = "0\tabc\tFood\tWhat?\tThat.\t['Video Topic']\t./video/abc.mp4\n"
    video = made[1]["video000000.mp4"]
    hub.files[MMB] = {
        "MMBench-Video.tsv": (heading + row).encode(),
        "video_pkl/1.pkl": pickle.dumps({"abc": video, "other": video}),
    }
    fetch("mmbench_video", "--yes")
    assert [path.name for path in Path("data/mmbench_video/video").iterdir()] == ["abc.mp4"]
    Path("data/mmbench_video/video/abc.mp4").unlink()
    hub.files[MMB]["video_pkl/1.pkl"] = pickle.dumps({"abc": Evil()})
    assert "the archive is refused" in refused(capsys, 6, "mmbench_video", "--yes")
    assert not Path("owned").exists()


def test_annotations_that_no_hub_has_are_named_with_their_address(hub, capsys):
    hub.files["lmms-lab/TempCompass"] = {"tempcompass_videos.zip": zipped({"videos/x.mp4": b""})}
    line = refused(capsys, 6, "tempcompass", "--yes")
    assert "meta_info.json from https://github.com/llyx97/TempCompass" in line and "data/tempcompass" in line


def test_single_files_and_frames_in_pieces_of_a_zip(hub, made, capsys):
    """MLVU's videos lie in its repository one by one, below a folder more; SEED-Bench's pictures in a zip that is cut."""
    rows = [
        {"video": f"{k}.mp4", "duration": 3, "question": "Q?", "candidates": ["a", "b", "c", "d"], "answer": "a",
         "question_type": "x"}
        for k in range(2)
    ]  # fmt: skip
    stems = ("1_plotQA", "2_needle", "3_ego", "4_count", "5_order", "6_anomaly_reco", "7_topic_reasoning")
    video = made[1]["video000000.mp4"]
    hub.files["MLVU/MVLU"] = {f"MLVU/json/{stem}.json": json.dumps(rows).encode() for stem in stems} | {
        f"MLVU/video/{stem}/{k}.mp4": video + stem.encode() for stem in stems for k in range(2)
    }
    fetch("mlvu", "--yes", "--samples", "1_plotQA/0,3_ego/1")
    videos = {
        str(path.relative_to("data/mlvu")): path.read_bytes() for path in Path("data/mlvu").rglob("*.mp4")
    }
    assert videos == {"video/1_plotQA/0.mp4": video + b"1_plotQA", "video/3_ego/1.mp4": video + b"3_ego"}

    place = "task19/Charades_test_frame/WRQ95"
    question = {"question_type_id": 19, "question_id": "19_0", "question": "Q?", "answer": "A", "data_type": "Video",
                "data_id": [f"{place}/{k}.png" for k in range(1, 9)], **{f"choice_{c}": c for c in "abcd"}}  # fmt: skip
    archive = zipped({f"SEED-Bench-2-image/{place}/{k}.png": bytes([k]) * 50 for k in range(1, 9)})
    hub.files["AILab-CVC/SEED-Bench-2"] = {
        "SEED-Bench_v2_level1_2_3.json": json.dumps({"questions": [question]}).encode(),
        "SEED-Bench-2-image.zip.001": archive[:300],
        "SEED-Bench-2-image.zip.002": archive[300:],
    }
    fetch("seedbench_video", "--yes")
    folder = Path("data/seedbench/SEED-Bench-2-image", place)
    assert sorted(path.name for path in folder.iterdir()) == [f"{k}.png" for k in range(1, 9)]


def test_whoever_has_the_videos_already_is_told(hub, made, monkeypatch, capsys):
    write_videomme(Path("hf"), videomme_rows(2))
    monkeypatch.setenv("HF_HOME", "hf")
    fetch("videomme", "--yes", "--limit", "1")
    assert "hf/videomme is there already: --data-root hf reads it" in capsys.readouterr().err


def test_a_file_too_large_for_plain_http_is_one_line(hub, monkeypatch, capsys):
    monkeypatch.setattr("huggingface_hub.constants.MAX_HTTP_DOWNLOAD_SIZE", 100)
    assert "too large" in refused(capsys, 2, "videomme", "--yes")


def test_without_the_client_the_extra_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "pip install 'kangaroo-eval[data]'" in refused(capsys, 1, "videomme", "--yes")


def test_of_mvbenchs_zips_each_file_goes_to_its_own_place(hub, made, shared):
    """Names that two sources share, an update that replaces files of another zip, and a folder of frames."""
    annotations = {
        f"json/{path.name}": path.read_bytes() for path in (shared / "data/mvbench/json").iterdir()
    }
    rows = {name: json.loads(content) for name, content in annotations.items()}
    both = {row["video"] for row in rows["json/moving_count.json"]} & {
        row["video"] for row in rows["json/object_shuffle.json"]
    }
    name = min(both)
    star = rows["json/action_sequence.json"][0]["video"]
    frames = rows["json/episodic_reasoning.json"][0]["video"]
    hub.files["OpenGVLab/MVBench"] = annotations | {
        "video/clevrer.zip": zipped({f"clevrer/video_validation/{name}": b"clevrer" * 50}),
        "video/perception.zip": zipped({f"perception/videos/{name}": b"perception" * 50}),
        "video/star.zip": zipped(
            {f"star/Charades_v1_480/{star}": b"old", f"star/Charades_segment/{star}": b"segment"}
        ),
        "video/data0613.zip": zipped({f"data0613/star/Charades_v1_480/{star}": b"new"}),
        "video/tvqa.zip": zipped(
            {f"tvqa/frames_fps3_hq/{frames}/0000{k}.jpg": bytes([k]) for k in range(1, 4)}
        ),
    }
    ids = [
        f"{stem}/{number}"
        for stem, video in (("moving_count", name), ("object_shuffle", name), ("action_sequence", star))
        for number, row in enumerate(rows[f"json/{stem}.json"])
        if row["video"] == video
    ]
    fetch("mvbench", "--yes", "--samples", ",".join([*ids, "episodic_reasoning/0"]))
    root = Path("data/mvbench/video")
    assert {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()} == {
        f"clevrer/video_validation/{name}": b"clevrer" * 50,
        f"perception/videos/{name}": b"perception" * 50,
        f"star/Charades_v1_480/{star}": b"new",
        **{f"tvqa/frames_fps3_hq/{frames}/0000{k}.jpg": bytes([k]) for k in range(1, 4)},
    }


def test_interrupted_it_says_so_and_goes_on(hub, made):
    hub.files[REPOSITORY]["videos_chunked_02.zip"] = zipped(
        {f"data/{name}": made[1][name] + os.urandom(4 << 20) for name in sorted(made[1])[4:]}
    )
    hub.script("videos_chunked_02.zip", Fault(slow=0.02, step=1 << 16))
    words = ["data", "fetch", "videomme", "--yes", "--data-root", "data"]
    words = [sys.executable, "-c", "from kangaroo_eval.cli import console; console()", *words]
    running = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    while not Path("data/videomme/.fetch/repository/videos_chunked_02.zip.part").exists():
        assert running.poll() is None
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    assert "What has come is kept; the same command goes on" in running.communicate(timeout=60)[1]
    assert running.returncode == 130
    fetch("videomme", "--yes")
    assert len(tree()) == 7


@pytest.mark.parametrize("path", ["../../owned.json", "/tmp/owned.json", "a/../../owned.json", "a\\b.json"])
def test_a_repository_whose_names_lead_out_is_refused(hub, path, capsys):
    hub.files[REPOSITORY][path] = b"{}"
    assert "leads out of its folder" in refused(capsys, 6, "videomme", "--yes")
    assert not tree()


def test_waiting_between_tries_grows(monkeypatch):
    waits: list[float] = []
    monkeypatch.setattr(hub_module.time, "sleep", waits.append)

    def never():
        raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        hub_module.Hub()._again(never)
    assert waits == [1, 2, 4, 8, 16]
