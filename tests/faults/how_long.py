"""How long the suites of faults are: as CI has it, or as KANGAROO_EVAL_FAULTS=N and KANGAROO_EVAL_SOAK=N ask."""

from __future__ import annotations

import os

COUNT = int(os.environ.get("KANGAROO_EVAL_FAULTS", "0"))
"""Moments of each kind of kill, and bad files of each kind; 0: as few as CI takes."""
SOAK = int(os.environ.get("KANGAROO_EVAL_SOAK", "0"))
"""Samples of the run that must not grow; 0: as few as CI takes."""
