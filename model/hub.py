"""The Hugging Face hub: a repository to a checked folder here, and a saved model to a repository there."""

# mypy: allow-untyped-calls
# (huggingface_hub annotates only a part of its methods)

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from kangaroo_eval.errors import UserError
from kangaroo_eval.model import card

PATTERNS = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
"""What is fetched of a repository: no pickles and no code."""


def is_hub_id(name: str) -> bool:
    """Whether `name` can be a repository on the hub: OWNER/NAME and nothing else."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", name) is not None


def download(repo: str, patterns: Sequence[str] = PATTERNS) -> Path:
    """The folder of the hub's cache that holds the files of `repo` that fit the `patterns`, fetched where they are not
    there yet. UserError says why not.

    With HF_HUB_OFFLINE set only the cache is looked at.
    """
    try:
        return Path(snapshot_download(repo, allow_patterns=list(patterns)))
    except GatedRepoError as error:
        raise UserError(
            f"{repo}: a gated repository; ask for access at {constants.ENDPOINT}/{repo}, then run: hf auth login"
        ) from error
    except RepositoryNotFoundError as error:
        raise UserError(
            f"{repo}: no folder here and no repository of this name at {constants.ENDPOINT}; "
            "check the name, or run hf auth login if it is private"
        ) from error
    except LocalEntryNotFoundError as error:
        why = "HF_HUB_OFFLINE is set" if constants.is_offline_mode() else "the hub cannot be reached"
        raise UserError(
            f"{repo}: no folder here, and not in the cache {constants.HF_HUB_CACHE} while {why}; "
            "fetch it once with a connection, or give a folder"
        ) from error
    except (HfHubHTTPError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{repo}: cannot be fetched from {constants.ENDPOINT} ({reason}); try again"
        ) from error


def push(
    save: Callable[[str], object],
    repo: str,
    *,
    private: bool | None = None,
    token: bool | str | None = None,
    **commit: Any,
) -> str:
    """What `save(folder)` writes, as one commit to the hub's repository `repo`, made where it is not there yet.

    A README.md there that was not written by us stays. `commit` goes to `HfApi.upload_folder`: commit_message,
    commit_description, revision, create_pr. Returns the commit's address.
    """
    api = HfApi(token=token)
    name = api.create_repo(repo, private=private, exist_ok=True).repo_id
    with TemporaryDirectory() as folder:
        save(folder)
        if _foreign_card(api, name, commit.get("revision")):
            (Path(folder) / card.FILE).unlink(missing_ok=True)
        return str(api.upload_folder(repo_id=name, folder_path=folder, **commit))


def _foreign_card(api: HfApi, repo: str, revision: str | None) -> bool:
    if not api.file_exists(repo, card.FILE, revision=revision):
        return False
    path = api.hf_hub_download(repo, card.FILE, revision=revision)
    return not card.is_ours(Path(path).read_text(encoding="utf-8"))
