"""Makes `primitive_sdk` importable from where templates take it, and the issuer of these tests."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
SDK = HERE.parents[2] / "pipeline" / "shared" / "sdk-python"
sys.path[:0] = [str(SDK), str(HERE)]
