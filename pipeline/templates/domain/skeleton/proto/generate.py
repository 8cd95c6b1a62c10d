"""Writes the Python modules of all proto files below this folder to `src/`: `make proto`.

The modules are committed, so that nothing but a change of the API needs the compiler. A test
compares them with what this makes.
"""

from __future__ import annotations

import sys
from pathlib import Path

from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent
# Made by a tool, so no linter speaks about it.
HEADER = "# ruff: noqa\n"


def generate(target: Path) -> list[Path]:
    """The modules made below `target`, relative to it, sorted."""
    well_known = Path(protoc.__file__).parent / "_proto"
    files = [path.relative_to(PROTO).as_posix() for path in sorted(PROTO.rglob("*.proto"))]
    outputs = [f"--{kind}_out={target}" for kind in ("python", "grpc_python", "pyi")]
    code = protoc.main(["protoc", f"-I{PROTO}", f"-I{well_known}", *outputs, *files])
    if code != 0:
        raise SystemExit(f"protoc ended with {code}")
    made = []
    for file in files:
        stem = file.removesuffix(".proto")
        for suffix in ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py"):
            path = target / f"{stem}{suffix}"
            path.write_text(HEADER + path.read_text("utf-8"), "utf-8")
            made.append(path.relative_to(target))
    return sorted(made)


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else PROTO.parent / "src")
