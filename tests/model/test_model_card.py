"""The model card: everything that is known, nothing that is not, and never over somebody's own text."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
from huggingface_hub import ModelCard

from kangaroo_eval.model import card
from kangaroo_eval.model.config import KangarooConfig, kangaroo_8b
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration

PROVENANCE = {
    "vision": {"source": "timm/eva02_large_patch14_clip_224.merged2b", "hash": "a" * 64},
    "llm": {"source": "meta-llama/Meta-Llama-3-8B-Instruct", "hash": "b" * 64},
    "license": "llama3",
    "stages": [
        {"stage": "I", "data": "made | pairs\n<b>", "steps": 1200, "date": "2026-01-02"},
        {"stage": "II", "data": "made clips", "steps": 800, "date": "2026-01-03"},
    ],
    "results": [{"task": "videomme", "value": 56.0, "n": 2700, "frames": 64, "data": "real"}],
}


def section(text, title):
    return re.search(rf"^## {title}\n\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL).group(1)


def saved_card(network, folder):
    network.save_pretrained(folder)
    return (folder / "README.md").read_text()


def test_an_untrained_model_says_so(network, tmp_path):
    text = saved_card(network, tmp_path)
    assert "**Untrained**" in text and "random weights" in text
    assert "no training stage is recorded" in section(text, "Training")
    assert section(text, "Results").strip() == "No numbers yet."
    data = ModelCard.load(tmp_path / "README.md").data
    assert (data.license, data.base_model) == ("apache-2.0", None)
    assert (data.pipeline_tag, data.library_name) == ("video-text-to-text", "transformers")
    assert "arxiv:2408.15542" in data.tags


def test_a_trained_model_says_how(make_network, tmp_path):
    text = saved_card(make_network(provenance=PROVENANCE), tmp_path)
    assert "ntrained" not in text
    assert "| llm | meta-llama/Meta-Llama-3-8B-Instruct | " + "b" * 64 in section(
        text, "Where its parts come from"
    )
    rows = section(text, "Training").strip().splitlines()
    assert rows[2:] == [
        r"| I | made \| pairs &lt;b> | 1200 | 2026-01-02 |",
        "| II | made clips | 800 | 2026-01-03 |",
    ]
    assert "| videomme | 56.0 | 2700 | 64 | real |" in section(text, "Results")
    data = ModelCard.load(tmp_path / "README.md").data
    assert data.license == "llama3"
    assert data.base_model == [PROVENANCE["vision"]["source"], PROVENANCE["llm"]["source"]]


def test_local_components_are_no_base_models_of_the_hub(make_network, tmp_path, monkeypatch):
    (tmp_path / "models/llama").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    made = {"vision": {"source": "/data/eva.safetensors"}, "llm": {"source": "models/llama", "hash": None}}
    text = saved_card(make_network(provenance=made), tmp_path / "out")
    data = ModelCard.load(tmp_path / "out/README.md").data
    assert (data.base_model, data.license) == (None, "other")
    assert "starting values" in text and "| not recorded |" in section(text, "Where its parts come from")


def test_the_table_counts_the_parameters(network, tmp_path):
    table = section(saved_card(network, tmp_path), "Architecture")
    counts = {
        row.split(" | ")[0].strip("| "): row.split(" | ")[-1].strip(" |") for row in table.splitlines()[2:8]
    }
    total = sum(parameter.numel() for parameter in network.parameters())
    assert counts["total"] == f"{total:,}"
    assert counts["visual_tokens"] == f"{4 * 192:,}"
    assert sum(int(count.replace(",", "")) for part, count in counts.items() if part != "total") == total


def test_the_numbers_of_the_paper(tmp_path):
    """Table II: 448 pixels, 1024 / 4 = 256 tokens a slot of two frames, 160 frames in 22 K tokens of 32 K."""
    text = card.card_text(kangaroo_8b(), {"vision": 303_000_000, "llm": 8_030_000_000})
    assert "# Kangaroo, 8.3 B parameters" in text
    assert "takes 256 tokens" in text and "64 frames take 8,226" in text
    (most,) = re.findall(r"at most (\d+) frames", text)
    layout = kangaroo_8b().layout
    assert layout.sequence_length(int(most)) <= 32768 < layout.sequence_length(int(most) + 1)


def test_a_card_of_ours_is_written_anew_and_one_of_the_user_stays(make_network, tmp_path):
    first = saved_card(make_network(), tmp_path)
    assert saved_card(make_network(provenance=PROVENANCE), tmp_path) != first
    own = first.replace(card.MARK, "")
    for text in (own, "My own notes"):
        (tmp_path / "README.md").write_text(text)
        assert saved_card(make_network(), tmp_path) == text


def test_the_record_survives_saving_and_a_misspelt_one_is_named(make_network, tmp_path):
    make_network(provenance=PROVENANCE).save_pretrained(tmp_path)
    loaded = KangarooForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.config.provenance == PROVENANCE
    with pytest.raises(
        ValueError, match="provenance stage: choose among vision, llm, license, stages, results"
    ):
        KangarooConfig(provenance={"stage": []})


@pytest.mark.parametrize(
    ("provenance", "told"),
    [
        ("timm", "give a mapping"),
        ({"vision": "timm/eva02"}, "provenance vision 'timm/eva02'"),
        ({"llm": ["a"]}, "provenance llm"),
        ({"stages": "I, II"}, "provenance stages"),
        ({"stages": ["I"]}, "give a list of mappings"),
        ({"results": {"videomme": 50.1}}, "provenance results"),
    ],
)
def test_a_misshapen_record_is_named_and_costs_no_weights(network, tmp_path, caplog, provenance, told):
    with pytest.raises(ValueError, match=told):
        KangarooConfig(provenance=provenance)
    network.config.provenance = provenance  # a trainer sets it past every check
    network.save_pretrained(tmp_path)
    assert "saved without the provenance" in caplog.text and told in caplog.text
    assert network.config.provenance == provenance
    loaded = KangarooForConditionalGeneration.from_pretrained(tmp_path)
    assert loaded.config.provenance is None


def test_the_code_in_the_card_runs(network, processor, tmp_path):
    """In the folder of the card, as a reader would run it."""
    text = saved_card(network, tmp_path)
    processor.save_pretrained(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def test_the_command_in_the_card_is_one(network, tmp_path):
    from kangaroo_eval.cli.parser import make_parser

    (command,) = re.findall(r"```bash\n(.*?)\n```", saved_card(network, tmp_path), re.DOTALL)
    program, *words = command.split()
    asked = make_parser(program).parse_args(["run", *words])
    assert program == "kangaroo-eval" and asked.model == "kangaroo:."
