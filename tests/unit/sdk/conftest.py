"""Makes `primitive_sdk` importable from where templates take it."""

import sys
from pathlib import Path

SDK = Path(__file__).resolve().parents[3] / "pipeline" / "shared" / "sdk-python"
sys.path.insert(0, str(SDK))
