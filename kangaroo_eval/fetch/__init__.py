"""Downloading what a run needs of a benchmark: `kangaroo-eval data fetch`.

The annotations first, for they tell which videos the samples are about; then only those videos, or the archives that hold them.
Stopped at any point, the same call goes on: what is there is not fetched again.
"""

from __future__ import annotations

from kangaroo_eval.fetch.work import Asked, Fetched, fetch

__all__ = ["Asked", "Fetched", "fetch"]
