"""gitleaks: finds credentials in files; no result or message contains the credential itself.

The configuration is ours: a `.gitleaks.toml`, `.gitleaksignore` or allow comment in the scanned
files silences nothing. Nor does a name that the scanner's own rules skip, since names on disk are
neutral; nor the first bytes of a binary format, since a line is put before them. Archives are
opened, and text in UTF-16 is scanned as text.
"""

from __future__ import annotations

import codecs
import json
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pipeline.errors import CouldNotCheck
from pipeline.machine.versions import find_tool
from pipeline.sandbox.tools import TOOL_LIMITS, run_tool_confined

# Nested archives are opened again and again; one that is not a bomb takes less than a second.
LIMITS = replace(TOOL_LIMITS, cpu_s=30)
_FOUND = 10
_ARCHIVE_DEPTH = 3
# Some rules look only at files with these suffixes.
_TELLING_SUFFIXES = (".yaml", ".yml", ".tf", ".hcl", ".php", ".p12", ".pfx", ".config")
_TAR = b"ustar"
_ON_DISK = re.compile(r"(?:^|/)(?P<form>[abu])(?P<index>[0-9]{6})(?:\.[a-z0-9]+)+(?P<inner>!|$)")
# The report goes to a file, since the log goes to both streams.
_AND_REPORT = '"$@" >&2; code=$?; cat /tmp/report.json; exit "$code"'
_CONFIG = 'title = "pipeline"\n[extend]\nuseDefault = true\n'


@dataclass(frozen=True, slots=True)
class SecretHit:
    """The place of a credential: path, 1-based line and column, and the rule that found it."""

    path: str
    line: int
    column: int
    rule: str


def run_secret_scan(files: Mapping[str, bytes]) -> tuple[SecretHit, ...]:
    """Every credential found in `files` (path → bytes), sorted. Raises CouldNotCheck, OverBound."""
    if not files:
        return ()
    order = sorted(files)
    on_disk: dict[str, bytes] = {}
    for index, path in enumerate(order):
        for form, content in _forms(files[path]).items():
            suffix = _archive_suffix(content) if form == "a" else ""
            on_disk[f"scan/{form}{index:06d}{suffix or _suffix(path)}"] = content
    done = run_tool_confined(
        find_tool("gitleaks"),
        (
            *("dir", "scan", "--config", "config.toml", "--gitleaks-ignore-path", "nowhere"),
            *("--ignore-gitleaks-allow", "--max-archive-depth", str(_ARCHIVE_DEPTH)),
            *("--no-banner", "--redact=100", "--exit-code", str(_FOUND)),
            *("--report-format", "json", "--report-path", "/tmp/report.json"),
        ),
        before=("/bin/sh", "-c", _AND_REPORT, "sh"),
        files={**on_disk, "config.toml": _CONFIG.encode()},
        limits=LIMITS,
    )
    if done.exit_code not in (0, _FOUND) or not done.stdout:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CouldNotCheck(f"gitleaks failed: {lines[-1][:300] if lines else done.exit_code}")
    found = json.loads(done.stdout) or []
    hits = {_hit(item, order) for item in found}
    return tuple(sorted(hits, key=lambda h: (h.path, h.line, h.column, h.rule)))


def _forms(content: bytes) -> dict[str, bytes]:
    """The scanned forms of a file, by the first letter of its name on disk.

    `a` is the file as it is, so that archives are opened; `b` follows an empty line, which hides
    first bytes that would have it skipped as binary; `u` is its text, if a mark says UTF-16.
    """
    forms = {"a": content, "b": b"\n" + content}
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        forms["u"] = content.decode("utf-16", "replace").encode()
    return forms


def _archive_suffix(content: bytes) -> str:
    """The suffix by which the scanner recognises an archive; empty for other content."""
    if content.startswith(b"PK\x03\x04"):
        return ".zip"
    if content.startswith(b"\x1f\x8b"):
        try:
            begin = zlib.decompressobj(wbits=31).decompress(content, 512)
        except zlib.error:
            return ""
        return ".tar.gz" if begin[257:262] == _TAR else ".gz"
    return ".tar" if content[257:262] == _TAR else ""


def _suffix(path: str) -> str:
    lowered = path.lower()
    return next((s for s in _TELLING_SUFFIXES if lowered.endswith(s)), ".txt")


def _hit(item: dict[str, object], order: list[str]) -> SecretHit:
    named = _ON_DISK.search(str(item["File"]))
    if named is None:
        raise CouldNotCheck("gitleaks names a file that it was not given")
    path, rule = order[int(named["index"])], str(item["RuleID"])
    if named["inner"]:
        return SecretHit(path, 1, 1, rule)  # in an archive, where lines are those of an inner file
    line, column = max(1, int(str(item["StartLine"]))), max(1, int(str(item["StartColumn"])))
    # From the second line on, the scanner counts the line break before a line as a column.
    column -= line > 1 and column > 1
    return SecretHit(path, max(1, line - (named["form"] == "b")), column, rule)
