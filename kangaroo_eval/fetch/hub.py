"""The Hugging Face hub: what a repository holds, and its files, resumed where they stopped and checked against its hashes.

The client does the asking, signing in and following. It no longer goes on with a download that another process began, so
the half file is kept here and handed to it.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from kangaroo_eval.errors import DataError, RunFailed, UserError, first_line
from kangaroo_eval.fetch.archives import refuse_name

log = logging.getLogger(__name__)

TRIES = 6
"""Times that nothing at all may come before a download is given up."""
BUSY = (408, 429, 500, 502, 503, 504)
_BLOCK = 1 << 20
_AHEAD = 8 << 20


class File(NamedTuple):
    """A file of a repository: `sha256` of its content where it is a large one, else `blob`, its hash as Git has it."""

    path: str
    size: int
    sha256: str | None
    blob: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at one commit."""

    name: str
    commit: str
    gated: bool
    licence: str | None
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Hub:
    """The hub at `endpoint`. `pause` is how many seconds are waited before a failed request is made again, each time twice
    as long. UserError without the client or in offline mode."""

    endpoint: str = "https://huggingface.co"
    offline: bool = False
    pause: float = 1.0

    def __post_init__(self) -> None:
        if self.offline:
            raise UserError(
                "nothing is fetched while HF_HUB_OFFLINE is set: unset it, or put the files there by hand"
            )
        try:
            import huggingface_hub  # noqa: F401
        except ImportError as error:
            raise UserError(
                "data fetch needs the package huggingface_hub: pip install 'kangaroo-eval[data]'"
            ) from error

    def page(self, name: str) -> str:
        """The address at which a person sees the repository."""
        return f"{self.endpoint}/datasets/{name}"

    def look(self, name: str, revision: str | None = None) -> Repository:
        """What a repository holds. DataError for one that is not there or closed to this user; RunFailed for a hub that does not
        answer."""
        from huggingface_hub import HfApi
        from huggingface_hub.hf_api import RepoFile

        api = HfApi(endpoint=self.endpoint)
        with self._told(name):
            info = self._again(lambda: api.dataset_info(name, revision=revision))
            tree = self._again(
                lambda: list(api.list_repo_tree(name, repo_type="dataset", revision=info.sha, recursive=True))
            )
        files = tuple(
            File(each.path, each.size, each.lfs.sha256 if each.lfs else None, each.blob_id)
            for each in tree
            if isinstance(each, RepoFile)
        )
        for file in files:
            # Whoever answers at HF_ENDPOINT wrote these; files are kept under them on their way.
            refuse_name(name, file.path)
        licence = getattr(info.card_data, "license", None)
        return Repository(name, str(info.sha), bool(info.gated), licence and str(licence), files)

    def get(self, repository: Repository, file: File, into: Path) -> Path:
        """The file at the path `into`, which only ever appears whole and checked. What came before a break is kept beside it.

        DataError where its content is twice not what the hub says; RunFailed where it cannot be had.
        """
        if into.is_file() and into.stat().st_size == file.size:
            return into
        part = into.with_name(f"{into.name}.part")
        into.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(2):
            with self._told(repository.name):
                self._download(repository, file, part)
            if _is_whole(part, file):
                os.replace(part, into)
                return into
            # Half of it may be of another day, or broken on its way: once more, from the first byte.
            part.unlink()
        raise DataError(
            f"{repository.name}: {file.path} came twice with other content than its hash tells; try again later, or "
            "without HF_ENDPOINT where that names a mirror"
        )

    def _download(self, repository: Repository, file: File, part: Path) -> None:
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        url = hf_hub_url(
            repository.name,
            file.path,
            repo_type="dataset",
            revision=repository.commit,
            endpoint=self.endpoint,
        )
        if part.exists() and part.stat().st_size > file.size:
            part.unlink()
        left = TRIES
        while (have := part.stat().st_size if part.exists() else 0) < file.size or not part.exists():
            # Bytes are counted to go on from: they must be the file's own and not those of a compression.
            headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
            try:
                with part.open("ab") as out:
                    http_get(url, out, resume_size=have, headers=headers, expected_size=file.size)
            except (OSError, _transport()) as error:
                if not _may_pass(error):
                    raise
                left = TRIES if part.stat().st_size > have else left - 1
                if not left:
                    raise
                log.warning("%s: %s; going on", file.path, first_line(error))
                time.sleep(min(30.0, self.pause * 2 ** (TRIES - left)))

    @contextlib.contextmanager
    def opened(self, repository: Repository, file: File) -> Iterator[IO[bytes]]:
        """The file to be read in places, of which only these are transferred. Errors as of `get`."""
        from huggingface_hub import HfFileSystem

        with self._told(repository.name):
            system = HfFileSystem(endpoint=self.endpoint, skip_instance_cache=True, use_listings_cache=True)
            where = f"datasets/{repository.name}@{repository.commit}/{file.path}"
            with system.open(where, "rb", block_size=_AHEAD) as opened:
                yield opened

    def _again(self, ask: Any) -> Any:
        """What `ask()` gives, asked again while the hub is busy or away."""
        for left in range(TRIES - 1, -1, -1):
            try:
                return ask()
            except (OSError, _transport()) as error:
                if not left or not _may_pass(error):
                    raise
                time.sleep(min(30.0, self.pause * 2 ** (TRIES - 1 - left)))
        raise AssertionError("the last try returns or raises")

    @contextlib.contextmanager
    def _told(self, name: str) -> Iterator[None]:
        """The client's errors as one line each, with what to do."""
        from huggingface_hub import errors

        try:
            yield
        except UserError:
            raise
        except errors.GatedRepoError as error:
            raise DataError(
                f"{name} is gated: accept its conditions at {self.page(name)}, then sign in with `hf auth login` or set "
                "HF_TOKEN"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise DataError(
                f"{self.page(name)} is not there, or closed to you: sign in with `hf auth login` or set HF_TOKEN, and "
                "check HF_ENDPOINT where it is set"
            ) from error
        except (errors.RevisionNotFoundError, errors.EntryNotFoundError) as error:
            raise DataError(f"{name} does not hold what it should: {first_line(error)}") from error
        except ValueError as error:
            # A name that is none, or a file too large for the way that is open.
            raise RunFailed(f"{name}: {first_line(error)}") from error
        except (OSError, _transport()) as error:
            if _of_disk(error):
                raise RunFailed(f"{first_line(error)}: mend that, and give the same command again") from error
            if _status(error) in (401, 403):
                raise DataError(
                    f"{name} is closed to you ({_status(error)}): accept its conditions at {self.page(name)}, then sign in "
                    "with `hf auth login` or set HF_TOKEN"
                ) from error
            raise RunFailed(
                f"{name} cannot be had from {self.endpoint} ({first_line(error)}): the same command goes on from here"
            ) from error


def _transport() -> type[Exception]:
    """What the client's HTTP library raises; which library that is depends on the client's version."""
    from huggingface_hub.errors import HfHubHTTPError

    return next(each for each in HfHubHTTPError.__mro__ if each.__name__ == "HTTPError")


def _status(error: BaseException) -> int | None:
    return getattr(getattr(error, "response", None), "status_code", None)


def _of_disk(error: BaseException) -> bool:
    """Whether it is this machine's disk that is full, or does not let a file be written."""
    return isinstance(error, OSError) and (error.filename is not None or error.errno == errno.ENOSPC)


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may succeed later: the hub is busy, or no answer came at all."""
    if _of_disk(error):
        return False
    status = _status(error)
    return status is None or status in BUSY


def _is_whole(path: Path, file: File) -> bool:
    """Whether the content is the one that the hub's hash tells."""
    if path.stat().st_size != file.size:
        return False
    digest = hashlib.sha256() if file.sha256 else hashlib.sha1(f"blob {file.size}\0".encode())
    with path.open("rb") as stream:
        while chunk := stream.read(_BLOCK):
            digest.update(chunk)
    return digest.hexdigest() == (file.sha256 or file.blob)
