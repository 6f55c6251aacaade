"""What is kept out of run directories."""

from __future__ import annotations

import json

import pytest
from conftest import videomme_rows, write_videomme

from kangaroo_eval.backends import baselines
from kangaroo_eval.cli import main
from kangaroo_eval.secrecy import MASK, masked, masked_words

SECRET = (
    "api_key",
    "API-KEY",
    "apikey",
    "openai_api_key",
    "key",
    "token",
    "hf_token",
    "access-token",
    "password",
    "Authorization",
    "session_token",
    "private_key",
    "passphrase",
    "pwd",
    "bearer",
    "openai_key",
    "azure_key",
    "github_token",
    "OPENAI_TOKEN",
    "authToken",
    "cookie",
)
OPEN = (
    "max_tokens",
    "thinking_tokens",
    "token_limit",
    "key_env",
    "image_token",
    "eos_token",
    "sort_key",
    "max_token",
    "usd_per_token",
    "label_key",
    "monkey",
    "keyframe",
    "base_url",
)


@pytest.mark.parametrize("name", SECRET)
def test_a_secret_is_known_by_its_name_at_any_depth(name):
    given = {"a": [{"b": {name: "s3cret"}}], name: "s3cret"}
    assert masked(given) == {"a": [{"b": {name: MASK}}], name: MASK}
    assert given[name] == "s3cret"
    for word in (f"{name}=s3cret", f"a=1,{name}=s3cret,b=2", f"--model-args=x=y,{name}=s3cret"):
        (shown,) = masked_words((word,))
        assert "s3cret" not in shown and shown == word.replace("s3cret", MASK)
    assert "s3cret" not in masked_words((f"a=1, {name} = my s3cret,b=2",))[0]


@pytest.mark.parametrize("name", OPEN)
def test_what_only_sounds_like_one_stays(name):
    assert masked({name: "v"}) == {name: "v"}
    assert masked_words((f"x=1,{name}=v",)) == [f"x=1,{name}=v"]


def test_a_run_directory_holds_no_key_of_a_plug_in(tmp_path, monkeypatch, capsys):
    def load(arg, *, api_key=None, **options):
        assert api_key == "s3cret-0123"
        return baselines.Constant("B")

    monkeypatch.setattr(baselines, "constant", load)
    data = write_videomme(tmp_path / "data", videomme_rows(1))
    words = [
        "--tasks",
        "videomme",
        "--model",
        "constant:B",
        "--data",
        "real",
        "--data-root",
        str(data),
        "--frames",
        "2",
    ]
    assert main([*words, "--model-args", "api_key=s3cret-0123", "--output", str(tmp_path / "run")]) == 0
    for file in (tmp_path / "run").rglob("*"):
        assert not file.is_file() or b"s3cret-0123" not in file.read_bytes(), file
    assert json.loads((tmp_path / "run/run.json").read_text())["model"]["args"] == {"api_key": MASK}
    assert main([*words, "--model-args", "sk-s3cret-0123-0123-0123"]) == 1
    assert "s3cret" not in capsys.readouterr().err


def test_keys_are_known_by_how_they_begin():
    for value in ("sk-" + 12 * "a1", "ghp_" + 36 * "B", "hf_" + 34 * "c"):
        assert masked({"extra": f"x {value} y"}) == {"extra": f"x {MASK} y"}
        assert value not in masked_words((f"--model-args=extra={value}",))[0]
    for value in ("/data/task-videomme-subset-long", "hf_checkpoints/step_1", "disk-usage-of-everything"):
        assert masked({"extra": value}) == {"extra": value}
