"""Where a file of a repository or an archive belongs, by its name."""

from __future__ import annotations

import io
import zipfile

import pytest

from kangaroo_eval.errors import DataError
from kangaroo_eval.fetch.archives import Joined, copied, unzipped
from kangaroo_eval.fetch.placing import Wanted
from kangaroo_eval.task import Pack

WANTED = Wanted(
    ["data/a.mp4", "video/clevrer/x/v.mp4", "video/perception/y/v.mp4", "pictures/p.jpg"], ["frames/show/f1"]
)


@pytest.mark.parametrize(
    ("name", "pack", "path"),
    [
        ("data/a.mp4", Pack("*"), "data/a.mp4"),
        ("a.mp4", Pack("*"), "data/a.mp4"),
        ("some/where/data/a.mp4", Pack("*"), "data/a.mp4"),
        ("videos/a.mp4", Pack("*"), None),
        ("videos/a.mp4", Pack("*", named=True), "data/a.mp4"),
        ("data/a.MP4", Pack("*"), "data/a.MP4"),
        ("data/a.mkv", Pack("*"), "data/a.mkv"),
        ("data/a.webm", Pack("*"), None),
        ("data/a.mp4.txt", Pack("*", named=True), None),
        ("x/v.mp4", Pack("*"), "video/clevrer/x/v.mp4"),
        ("perception/y/v.mp4", Pack("*"), "video/perception/y/v.mp4"),
        ("v.mp4", Pack("*"), None),  # of two places neither is guessed
        ("v.mp4", Pack("*", under="video/perception/"), "video/perception/y/v.mp4"),
        ("old/x/v.mp4", Pack("*"), None),
        ("old/x/v.mp4", Pack("*", drop="old/"), "video/clevrer/x/v.mp4"),
        ("pictures/p.jpg", Pack("*"), "pictures/p.jpg"),
        ("pictures/p.png", Pack("*"), None),
        ("show/f1/00001.jpg", Pack("*"), "frames/show/f1/00001.jpg"),
        ("other/f1/00001.jpg", Pack("*"), None),
        ("show/f1", Pack("*"), None),
        ("__MACOSX/data/._a.mp4", Pack("*", named=True), None),
    ],
)
def test_a_file_goes_where_its_name_says_or_nowhere(name, pack, path):
    place = WANTED.place(name, pack)
    assert (place.path if place else None) == path


def test_what_is_on_its_way_is_wanted_no_more():
    rest = WANTED.without(["data/a.MP4", "pictures/p.jpg"], ["frames/show/f1"])
    assert rest.files == {"video/clevrer/x/v.mp4", "video/perception/y/v.mp4"} and not rest.folders
    assert rest.under("video/") and not rest.under("data/") and not Wanted([]).under("")


def test_pieces_read_as_one_are_opened_when_they_are_needed(tmp_path):
    content, asked = bytes(range(256)) * 4, []
    sizes = (100, 1, 0, 923)

    def piece(number):
        asked.append(number)
        start = sum(sizes[:number])
        path = tmp_path / str(number)
        path.write_bytes(content[start : start + sizes[number]])
        return path

    joined = io.BufferedReader(Joined(sizes, piece), 16)
    assert joined.read(50) == content[:50] and set(asked) == {0}
    assert joined.read() == content[50:] and set(asked) == {0, 1, 3}
    joined.seek(-10, io.SEEK_END)
    assert joined.read() == content[-10:]
    joined.seek(95)
    assert joined.read(10) == content[95:105]
    with pytest.raises(OSError):
        joined.seek(-1, io.SEEK_SET)


def test_an_entry_that_lies_about_its_length_is_damage():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("a.mp4", b"x" * 1000)
    data = bytearray(out.getvalue())
    for marker, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        where = data.index(marker) + at
        data[where : where + 4] = (10).to_bytes(4, "little")
    (entry,) = unzipped(io.BytesIO(bytes(data)), "a.zip")
    kept = io.BytesIO()
    with pytest.raises(DataError):
        copied(entry, kept, "a.zip")
    assert len(kept.getvalue()) <= 10


@pytest.mark.parametrize("content", [b"", b"PK", b"no zip at all" * 100])
def test_what_is_no_zip_is_said_to_be_none(content):
    with pytest.raises(DataError, match="not a zip"):
        unzipped(io.BytesIO(content), "a.zip")
