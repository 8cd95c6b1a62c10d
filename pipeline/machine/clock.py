"""The clock of this machine. What depends on the time is handed a clock, and tests hand one that
stands still.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

Clock = Callable[[], int]  # whole seconds since the epoch
# How far two clocks may be apart before it is said that they disagree.
CLOCK_SKEW_S = 300


def read_clock() -> int:
    """Seconds since the epoch; SOURCE_DATE_EPOCH stops the clock, for results that repeat."""
    fixed = os.environ.get("SOURCE_DATE_EPOCH", "")
    return int(fixed) if fixed.isascii() and fixed.isdigit() else int(time.time())
