"""Errors whose message is meant for the user: one line with the value, the choices and the mend."""

from __future__ import annotations


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
