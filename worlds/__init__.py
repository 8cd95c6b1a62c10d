"""Worlds that tests and benchmarks share: control repos, long histories, a GitHub on 127.0.0.1.

Nothing here measures or judges; tests and benchmarks import it, and it imports neither.
"""

import sys
from pathlib import Path

PIPELINE = str(Path(sys.executable).with_name("pipeline"))
