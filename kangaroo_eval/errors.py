"""Errors whose message is meant for the user: one line with the value, the choices and the mend."""

from __future__ import annotations

import textwrap

LONGEST = 300
"""Characters of another package's message that one of ours takes over."""


class UserError(ValueError):
    """Wrong use: unknown name, bad value, another protocol in the run directory, absent weights. Exit code 1."""

    exit_code = 1


class RunFailed(UserError):
    """The run cannot go on: disk full, the model crashes, no answer at all for a task. Exit code 2."""

    exit_code = 2


class DataError(UserError):
    """Benchmark data absent, malformed or with duplicate ids. Exit code 6."""

    exit_code = 6


class MediaError(ValueError):
    """A video that cannot be turned into frames. `status` is what its samples are recorded with."""

    status = "decode_error"


class MissingVideo(MediaError):
    """The file is not there."""

    status = "missing_video"


def shown(text: str, most: int = 80) -> str:
    """A text of a file for an error line, cut short."""
    return text if len(text) <= most else text[: most - 3] + "..."


def first_line(error: BaseException) -> str:
    """The first line of what an error says, cut between words; its kind where it says nothing. A KeyError says
    only the key, so its kind stands before it."""
    kind = type(error).__name__
    said = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, KeyError) or not said:
        said = f"{kind}: {said}" if said else kind
    return textwrap.shorten(said, LONGEST, placeholder=" ...")


def one_line(error: BaseException, most: int = LONGEST) -> str:
    """The error's kind and all that it says, in one line of at most so many characters."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:most]


def cannot_import(what: str, error: ImportError, mend: str) -> UserError:
    """What to tell the user when `what` needs a package that is not here, or is and does not load.

    transformers hides why one of its modules failed behind a ModuleNotFoundError without a name; the usual reason
    is a torchvision that was built for another torch, which it imports wherever it finds it.
    """
    reason: BaseException = error
    while inner := reason.__cause__ or reason.__context__:
        reason = inner
    if isinstance(error, ModuleNotFoundError) and error.name:
        return UserError(f"{what} needs the package {error.name!r}: {mend}")
    said = first_line(reason)
    if "torchvision" in said:
        mend = "the installed torchvision was built for another torch: reinstall it for this one, or uninstall it"
    return UserError(f"{what} cannot be loaded ({said}): {mend}")
