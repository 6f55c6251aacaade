"""The hub: huggingface_hub's real client against a small server here that keeps repositories in memory."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import huggingface_hub
import pytest
from huggingface_hub import constants

from kangaroo_eval.cli import main
from kangaroo_eval.errors import UserError
from kangaroo_eval.identity import of_folder
from kangaroo_eval.model import card, loading
from kangaroo_eval.model.modeling import KangarooForConditionalGeneration
from kangaroo_eval.model.processing import KangarooProcessor

SHA = "0123456789abcdef0123456789abcdef01234567"


class Handler(BaseHTTPRequestHandler):
    """As much of the hub's interface as a download and a commit need."""

    def log_message(self, *_):
        """Quiet."""

    def say(self, status, body=b"", **headers):
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(raw), "X-Repo-Commit": SHA, **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(raw)

    def do_GET(self):
        """Repository facts, its list of files, and a file."""
        path = self.path.partition("?")[0].strip("/").removeprefix("api/models/")
        repo, rest = "/".join(path.split("/")[:2]), path.split("/")[2:]
        if repo in self.server.gated:
            return self.say(403, X_Error_Code="GatedRepo", X_Error_Message="ask")
        if repo not in self.server.repos:
            return self.say(404, X_Error_Code="RepoNotFound", X_Error_Message="none")
        files = self.server.repos[repo]
        if rest[:1] == ["resolve"]:
            name = "/".join(rest[2:])
            if name not in files:
                return self.say(404, X_Error_Code="EntryNotFound")
            self.server.served.append(name)
            return self.say(200, files[name], ETag=f'"{hashlib.sha1(files[name]).hexdigest()}"')
        if rest[:1] == ["tree"] and rest[2:]:
            return self.say(404, X_Error_Code="EntryNotFound")
        if rest[:1] == ["tree"]:
            return self.say(
                200,
                [
                    {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                    for name, data in files.items()
                ],
                Content_Type="application/json",
            )
        return self.say(200, {"id": repo, "sha": SHA, "siblings": []})

    do_HEAD = do_GET

    def do_POST(self):
        """A new repository, the question how to upload, and a commit."""
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        path = self.path.partition("?")[0]
        if path == "/api/repos/create":
            asked = json.loads(raw)
            name = "/".join(filter(None, (asked.get("organization"), asked["name"])))
            self.server.repos.setdefault(name, {})
            return self.say(200, {"url": f"{constants.ENDPOINT}/{name}", "name": name})
        if path == "/api/validate-yaml":
            self.server.cards.append(json.loads(raw)["content"])
            return self.say(200, {"errors": [], "warnings": []})
        repo = "/".join(path.split("/")[3:5])
        if "/preupload/" in path:
            modes = {"uploadMode": "regular", "shouldIgnore": False}
            return self.say(200, {"files": [{"path": f["path"], **modes} for f in json.loads(raw)["files"]]})
        for line in map(json.loads, raw.splitlines()):
            if line["key"] == "file":
                content = base64.b64decode(line["value"]["content"])
                self.server.repos[repo][line["value"]["path"]] = content
        self.server.commits += 1
        url = f"{constants.ENDPOINT}/{repo}/commit/{SHA}"
        return self.say(200, {"commitUrl": url, "commitOid": SHA, "success": True})


@pytest.fixture
def hub(monkeypatch, tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.repos, server.gated, server.served, server.cards, server.commits = {}, set(), [], [], 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", url)
    template = url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    huggingface_hub.close_session()
    yield server
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()


@pytest.fixture
def folder(network, processor, tmp_path):
    target = tmp_path / "checkpoint"
    network.save_pretrained(target, max_shard_size="1MB")
    processor.save_pretrained(target)
    return target


@pytest.fixture
def published(hub, folder):
    hub.repos["fox/kangaroo"] = {path.name: path.read_bytes() for path in folder.iterdir()}
    hub.repos["fox/kangaroo"] |= {"pytorch_model.bin": b"pickle", "code.py": b"raise SystemExit"}
    return hub


def fails_with(message, name):
    with pytest.raises(UserError, match=message) as caught:
        loading.load(name)
    assert "\n" not in str(caught.value)


def test_a_repository_is_the_model_that_its_folder_is(published, folder, monkeypatch):
    model = loading.load("fox/kangaroo")
    assert (model.name, model.model_hash) == ("fox--kangaroo", of_folder(folder).hash)
    assert not {"pytorch_model.bin", "code.py"} & set(published.served)
    published.served.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    assert loading.load("fox/kangaroo").model_hash == model.model_hash and published.served == []


def test_a_repository_is_checked_as_a_folder_is(published):
    files = published.repos["fox/kangaroo"]
    shard = sorted(name for name in files if name.startswith("model-"))[0]
    files[shard] = files[shard][:-10]
    fails_with(f"{shard}: truncated", "fox/kangaroo")


def test_repositories_that_cannot_be_had_are_named(hub, monkeypatch):
    fails_with("fox/none: no folder here and no repository of this name at http.*hf auth login", "fox/none")
    hub.gated.add("fox/gated")
    fails_with(r"fox/gated: a gated repository; ask for access at http://\S+/fox/gated", "fox/gated")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    fails_with(r"fox/gated: .*not in the cache .*HF_HUB_OFFLINE is set", "fox/gated")


def test_a_hub_that_is_not_there_is_named(hub, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    fails_with("fox/kangaroo: .*not in the cache .*the hub cannot be reached", "fox/kangaroo")


@pytest.mark.parametrize("processor_first", [False, True])
def test_a_pushed_model_can_be_loaded_by_its_name(hub, network, processor, folder, processor_first):
    pushes = [
        lambda: network.push_to_hub("fox/new", max_shard_size="1MB"),
        lambda: processor.push_to_hub("fox/new"),
    ]
    for push in reversed(pushes) if processor_first else pushes:
        assert push().endswith(SHA)
    files = hub.repos["fox/new"]
    assert hub.commits == 2
    assert set(files) == {path.name for path in folder.iterdir()}
    assert {
        "README.md",
        "config.json",
        "generation_config.json",
        "tokenizer.json",
        "chat_template.jinja",
    } < set(files)
    assert card.is_ours(files["README.md"].decode())
    assert loading.load("fox/new").model_hash == of_folder(folder).hash


def test_a_card_that_somebody_wrote_on_the_hub_stays(hub, network):
    hub.repos["fox/own"] = {"README.md": b"mine"}
    network.push_to_hub("fox/own")
    assert hub.repos["fox/own"]["README.md"] == b"mine" and "model.safetensors" in hub.repos["fox/own"]


def test_the_classes_load_from_the_hub_too(published, network):
    loaded = KangarooForConditionalGeneration.from_pretrained("fox/kangaroo")
    assert loaded.count_parameters() == network.count_parameters()
    assert KangarooProcessor.from_pretrained("fox/kangaroo").layout == network.config.layout


def test_the_memory_of_a_repository_takes_its_configuration_alone(published, capsys):
    assert main(["models", "show", "kangaroo:fox/kangaroo", "--frames", "4"]) == 0
    assert "4 frames of 64 px" in capsys.readouterr().out
    assert published.served and set(published.served) == {"config.json"}
    assert main(["models", "show", "kangaroo:fox/none"]) == 1
    assert "no repository of this name" in capsys.readouterr().err
