"""The clock of this machine. Code that depends on the time gets a clock as an argument, and tests
pass a fixed one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

Clock = Callable[[], int]  # whole seconds since the epoch
# How much two clocks may differ before their times count as inconsistent.
CLOCK_SKEW_S = 300


def read_clock() -> int:
    """Seconds since the epoch; SOURCE_DATE_EPOCH fixes the time, for reproducible results."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(fixed) if fixed.isascii() and fixed.isdigit() else int(time.time())
