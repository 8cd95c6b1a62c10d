"""Extracts Kubernetes' own examples of the Pod Security Standard `restricted` from its Go module.

Kubernetes tests its admission with them: pods that each version of the standard accepts or refuses.
podcheck is built from the same module, so its sum in `tools/go.sum` pins them.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

MODULE = "k8s.io/pod-security-admission"


def write_fixtures(go: Path, go_mod: Path, target: Path) -> int:
    """The number of pods written to `target`, as VERSION/`pass` or `fail`/FILE.

    Raises ValueError if the module is not available or has none.
    """
    done = subprocess.run(
        [str(go), "mod", "download", "-json", MODULE],
        cwd=go_mod.parent,
        env={**os.environ, "GOFLAGS": "-mod=readonly", "GOTOOLCHAIN": "local", "GOWORK": "off"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ValueError(f"go mod download {MODULE}: {done.stderr.strip()[-500:]}")
    folder = Path(json.loads(done.stdout)["Dir"]) / "test" / "testdata" / "restricted"
    fixtures: dict[str, dict[str, dict[str, str]]] = {}
    for file in sorted(folder.glob("v*/*/*.yaml")):
        version, verdict = file.parts[-3:-1]
        texts = fixtures.setdefault(version, {}).setdefault(verdict, {})
        texts[file.name] = file.read_text(encoding="utf-8")
    if not fixtures:
        raise ValueError(f"{MODULE} has no examples below {folder}")
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = target.with_suffix(".new")
    fresh.write_text(json.dumps(fixtures, separators=(",", ":")), encoding="utf-8")
    fresh.replace(target)
    return sum(len(texts) for verdicts in fixtures.values() for texts in verdicts.values())
