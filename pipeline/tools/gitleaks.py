"""gitleaks: credentials in files; the credential itself is in no result and no message.

The configuration is ours: a `.gitleaks.toml`, `.gitleaksignore` or allow comment in the files
that are scanned silences nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.errors import CouldNotCheck
from pipeline.tools.folders import temporary_folder
from pipeline.tools.process import run_tool
from pipeline.tools.versions import find_tool

TIMEOUT_S = 120
_FOUND = 10
_CONFIG = 'title = "pipeline"\n[extend]\nuseDefault = true\n'


@dataclass(frozen=True, slots=True)
class SecretHit:
    """Where a credential stands: path, 1-based line and column, the rule that knows it."""

    path: str
    line: int
    column: int
    rule: str


def run_secret_scan(files: Mapping[str, bytes]) -> tuple[SecretHit, ...]:
    """Every credential found in `files` (path → bytes), sorted. Raises CouldNotCheck."""
    if not files:
        return ()
    # Names are neutral on disk, so that no name is one that the scanner or its rules skip.
    order = sorted(files)
    on_disk = {f"scan/{index:06d}.txt": files[path] for index, path in enumerate(order)}
    with temporary_folder({**on_disk, "config.toml": _CONFIG.encode()}) as root:
        report = root / "report.json"
        done = run_tool(
            [
                find_tool("gitleaks"),
                "dir",
                "scan",
                "--config",
                "config.toml",
                "--gitleaks-ignore-path",
                "nowhere",
                "--ignore-gitleaks-allow",
                "--no-banner",
                "--redact=100",
                "--exit-code",
                str(_FOUND),
                "--report-format",
                "json",
                "--report-path",
                "report.json",
            ],
            cwd=root,
            timeout_s=TIMEOUT_S,
        )
        if done.exit_code not in (0, _FOUND) or not report.exists():
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise CouldNotCheck(f"gitleaks failed: {lines[-1][:300] if lines else done.exit_code}")
        found = json.loads(report.read_text() or "[]") or []
    hits = {
        SecretHit(
            order[int(item["File"].rsplit("/", 1)[-1].removesuffix(".txt"))],
            int(item["StartLine"]),
            int(item["StartColumn"]),
            str(item["RuleID"]),
        )
        for item in found
    }
    return tuple(sorted(hits, key=lambda h: (h.path, h.line, h.column, h.rule)))
