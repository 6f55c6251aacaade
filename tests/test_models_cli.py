"""`models ls` and `models show`: what --model takes, and the arithmetic of a Kangaroo's memory."""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys

import pytest

from kangaroo_eval.cli import main
from kangaroo_eval.registry import model_names


def run(*words):
    try:
        return main([str(word) for word in words])
    except SystemExit as stop:
        return stop.code


def shown(capsys, *words):
    assert run("models", "show", *words) == 0
    return capsys.readouterr().out


def refused(capsys, *words):
    assert run(*words) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("kangaroo-eval: ") and printed.err.count("\n") == 1
    return printed.err


def test_the_list_says_what_each_is(capsys):
    assert run("models", "ls") == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines())
    assert set(lines) == {*model_names(), "kangaroo-8b", "kangaroo-135m"}
    assert lines["kangaroo-tiny"].startswith("The bundled kangaroo-tiny")
    assert all(len(text) > 10 for text in lines.values())


def test_the_list_as_json(capsys):
    assert run("models", "ls", "--json") == 0
    lines = capsys.readouterr().out.splitlines()
    assert set(json.loads(lines[-1])) == {line.split()[0] for line in lines[:-1]}


def python(code, **environment):
    """What a fresh interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_list_loads_neither_torch_nor_transformers():
    code = (
        "import sys; from kangaroo_eval.cli import main; main(['models', 'ls']);"
        "print([name for name in ('torch', 'transformers', 'av', 'openai') if name in sys.modules])"
    )
    assert python(code).splitlines()[-1] == "[]"


def test_a_plug_in_whose_module_is_gone_is_named_and_the_others_are_listed(tmp_path):
    info = tmp_path / "gone-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: gone\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kangaroo_eval.models]\ngone = plugin:MODELS\n")
    (tmp_path / "plugin.py").write_text("MODELS = {'gone': 'no_such_package.models:load'}\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    code = "from kangaroo_eval.cli import main; main(['models', 'ls'])"
    lines = python(code, PYTHONPATH=path).splitlines()
    assert "gone           (cannot be loaded: no module 'no_such_package')" in lines
    assert any(line.startswith("kangaroo-tiny ") for line in lines)


def test_other_models_show_their_loaders_words(capsys):
    text = shown(capsys, "constant")
    assert text.startswith("constant\n") and "KV cache" not in text


@pytest.mark.parametrize(
    ("name", "argument"), [("kangaroo", "frame_chunk"), ("hf", "min_pixels"), ("openai", "price")]
)
def test_a_models_arguments_are_shown(name, argument, capsys):
    assert re.search(
        rf"^--model-args, as NAME=VALUE,\.\.\.:\n(  .+\n)*  {argument} +\S", shown(capsys, name), re.M
    )


def test_the_papers_model(capsys):
    text = shown(capsys, "kangaroo-8b", "--frames", 160)
    assert "from_components" in text and "--model kangaroo:FOLDER" in text
    assert "160 frames of 448 px in bfloat16; one question at a time" in text
    assert re.search(r"visual sequence +20,562 ", text)
    assert re.search(r"KV cache +131,072 +bytes a token", text)
    assert "80 GB: yes" in text and "TOO LONG" not in text


SUM = re.compile(r"^  (?P<name>\S.{37}) *(?P<size>[\d.]+) (?P<unit>GB|MB|kB)  (?P<how>.+) B$")
SCALE = {"GB": 1e9, "MB": 1e6, "kB": 1e3}


@pytest.mark.parametrize("words", [(), ("--dtype", "float32", "--batch-size", 8), ("--frames", 1)], ids=str)
@pytest.mark.parametrize("name", ["kangaroo-8b", "kangaroo-135m", "kangaroo-tiny"])
def test_every_printed_product_is_its_size(capsys, name, words):
    """A reader who multiplies the factors, and adds the sizes up, gets the printed numbers."""
    pytest.importorskip("transformers")
    text = shown(capsys, name, *words)
    rows = [match for match in map(SUM.match, text.splitlines()) if match]
    assert len(rows) >= 15
    for row in rows:
        factors = re.findall(r"[\d,]+", row["how"].rpartition(": ")[2])
        product = math.prod(int(factor.replace(",", "")) for factor in factors)
        assert float(row["size"]) == pytest.approx(product / SCALE[row["unit"]], abs=0.051), row[0]


def test_the_record_adds_up(capsys):
    pytest.importorskip("transformers")
    words = ("--frames", 160, "--batch-size", 4, "--max-new-tokens", 16, "--dtype", "float16", "--json")
    record = json.loads(shown(capsys, "kangaroo-8b", *words).splitlines()[-1])
    assert (record["frames"], record["batch_size"], record["new_tokens"]) == (160, 4, 16)
    assert record["dtype"] == "float16"
    for moment in record["moments"]:
        assert moment["bytes"] == sum(moment["parts"].values())
    fullest = max(moment["bytes"] for moment in record["moments"])
    assert record["peak"] == sum(record["weights"].values()) + fullest
    assert record["fits"] == {f"{card} GB": record["peak"] <= card * 10**9 for card in (24, 40, 80, 141)}
    assert record["most_frames"]["context"] >= 160 <= record["most_frames"]["80 GB"]


def test_a_video_beyond_the_context_is_said(capsys):
    pytest.importorskip("transformers")
    assert "TOO LONG: 132,231 tokens" in shown(capsys, "kangaroo-8b", "--frames", 1024)


def test_a_folder_needs_its_config_only(capsys, tmp_path):
    pytest.importorskip("transformers")
    from kangaroo_eval.model.config import kangaroo_135m

    config = kangaroo_135m()
    config.text_config.num_hidden_layers = 3
    config.save_pretrained(tmp_path)
    record = json.loads(shown(capsys, f"kangaroo:{tmp_path}", "--json").splitlines()[-1])
    text = config.text_config
    assert record["cache_bytes_a_token"] == 3 * 2 * text.num_key_value_heads * text.head_dim * 2


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("models", "show", "kangaro-8b"), "unknown model 'kangaro-8b'. Did you mean kangaroo-8b?"),
        (("models", "show", "constnt:A"), "Did you mean constant? Known: "),
        (("models", "show", "zzz"), "unknown model 'zzz'. Known: "),
        (("models", "show"), "give `models ls` or `models show NAME`"),
        (("models", "tell"), "models 'tell'"),
        (("models", "show", "kangaroo:/no/such"), "/no/such: no such folder"),
        (("models", "show", "kangaroo-8b:x"), "give kangaroo:x"),
        (("models", "show", "kangaroo-tiny", "--dtype", "int4"), "dtype 'int4': choose float32"),
        (("models", "show", "kangaroo-tiny", "--frames", "0"), "frames 0 must be"),
        (("models", "show", "kangaroo-tiny", "--max-new-tokens", "-3"), "new_tokens -3 must be"),
    ],
    ids=str,
)
def test_mistakes_are_one_line(capsys, words, told):
    pytest.importorskip("transformers")
    assert told in refused(capsys, *words)


def test_a_home_that_is_not_there_is_one_line(capsys):
    assert "~nobody-of-that-name/x" in refused(capsys, "models", "show", "kangaroo:~nobody-of-that-name/x")
