"""What libav and the operating system raise about bad media, as one MediaError line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import av

from kangaroo_eval.errors import MediaError, MissingVideo, UserError


@contextmanager
def told_as_media_error(name: str) -> Iterator[None]:
    """Turn whatever damaged media can make libav, numpy or the file system raise into a MediaError for `name`."""
    try:
        yield
    except (MediaError, UserError):
        raise
    except FileNotFoundError as error:
        raise MissingVideo(f"{name}: no such file") from error
    except (
        av.FFmpegError,
        OSError,
        ValueError,
        ArithmeticError,
        LookupError,
        MemoryError,
        RuntimeError,
    ) as error:
        raise MediaError(f"{name}: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """The error in a few words on one line."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return " ".join(str(text).split())
