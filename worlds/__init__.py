"""Worlds for tests and benchmarks: control repos, long histories, a GitHub of our own.

Nothing here measures or judges; tests and benchmarks import it, and it imports neither.
"""

import sys
from pathlib import Path

PIPELINE = str(Path(sys.executable).with_name("pipeline"))
