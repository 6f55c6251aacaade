"""Where the suites of faults find their own modules."""

from __future__ import annotations

import sys
from pathlib import Path

# Behind the others: tests/ has a conftest too, which tests import from.
sys.path.append(str(Path(__file__).parent))
