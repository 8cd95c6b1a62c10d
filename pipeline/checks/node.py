"""Checks of a Node project: Biome with the platform's rules, its own tests with Node's test runner.

Tests run with Node alone, which strips TypeScript's types. No packages of a lock file are
installed, so nothing is fetched and no install script ever runs. The tenant's own CI tests code
that needs packages; its results are feedback, not evidence.
"""

from __future__ import annotations

import json
import re
import stat
from pathlib import Path

from pipeline.git.objects import Files
from pipeline.checks.results import TERMINAL, failed, passed
from pipeline.errors import CouldNotCheck
from pipeline.machine.versions import read_tool
from pipeline.models.evidence import CheckResult
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.run import WORK_FOLDER, run_confined
from pipeline.sandbox.tools import SETTINGS_FOLDER, run_tool_confined

# Node reserves far more addresses than it uses memory; its memory is bounded as usual.
TEST_LIMITS = Limits(address_space_bytes=64 * 1024**3)

_BIOME_CONFIG = Path(__file__).with_name("biome.json")
_SCAN_CONFIG = Path(__file__).with_name("biome-security.json")
_SOURCES = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs", ".css")
_TEST_FILES = "tests/**/*.test.ts"
_NODE_FOLDER = "/node"
_TEST_ENV = {
    "HOME": "/tmp",
    "LC_ALL": "C.UTF-8",
    "NODE_NO_WARNINGS": "1",
    "NO_COLOR": "1",
    "PATH": "/usr/bin:/bin",
    "TMPDIR": "/tmp",
    "TZ": "UTC",
}
_COUNT = re.compile(r"^# (tests|pass|fail|cancelled|skipped|todo) (\d+)$", re.MULTILINE)
_EMPTY_FILE = re.compile(r"^ok \d+ - \S+\.test\.ts$", re.MULTILINE)
_NOT_OK = re.compile(r"^[ \t]*not ok \d+ - (.*)$", re.MULTILINE)


def is_node_project(files: Files) -> bool:
    """Whether the folder is a Node project."""
    return "package.json" in files


def biome_version() -> str:
    """The version of the linter. Raises CouldNotCheck if it is missing."""
    return read_tool("biome").version


def run_biome(files: Files, *, scan: bool) -> list[str]:
    """One line for each diagnostic, sorted by place. Links are not followed.

    `scan` looks only for unsafe constructs, and ignores suppression comments.
    """
    plain = {
        path: content for path, (mode, content) in files.items() if path.endswith(_SOURCES) and not stat.S_ISLNK(mode)
    }
    if scan:
        plain = {path: _without_excuses(content) for path, content in plain.items()}
    if not plain:
        return []
    # Passed by name from a separate folder: the primitive's configuration is not read.
    config = _SCAN_CONFIG if scan else _BIOME_CONFIG
    done = run_tool_confined(
        read_tool("biome").path,
        (
            *("lint", "--reporter=json", "--max-diagnostics=1000"),
            *("--config-path", SETTINGS_FOLDER, "--colors=off", "."),
        ),
        files=plain,
        shown={f"{SETTINGS_FOLDER}/biome.json": config},
    )
    try:
        report = json.loads(done.stdout)
    except ValueError as error:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CouldNotCheck(f"biome failed: {said[-1][:300] if said else done.exit_code}") from error
    return sorted(_line_of(diagnostic, plain) for diagnostic in report["diagnostics"])


def _without_excuses(content: bytes) -> bytes:
    return re.sub(rb"biome-ignore", b"biome_ignore", content)


def _line_of(diagnostic: dict[str, object], files: dict[str, bytes]) -> str:
    location = diagnostic.get("location")
    place = location if isinstance(location, dict) else {}
    path = str(place.get("path", "")).removeprefix("./")
    start = place.get("start")
    row, column = (start["line"], start["column"]) if isinstance(start, dict) else (1, 1)
    return f"{path}:{row}:{column}: {diagnostic['category']} {diagnostic.get('message', '')}"


def run_node_tests(files: Files) -> CheckResult:
    """The result of the project's own tests, in the sandbox and without packages."""
    found = read_tool("node")
    if not any(re.fullmatch(r"tests/.+\.test\.ts", path) for path in files):
        return failed("tests", str(found), f"there are no tests ({_TEST_FILES})")
    ended = run_confined(
        (f"{_NODE_FOLDER}/node", "--test", "--test-reporter=tap", _TEST_FILES),
        readonly=[(found.path.resolve().parent, _NODE_FOLDER)],
        files=files,
        env=_TEST_ENV,
        limits=TEST_LIMITS,
    )
    if ended.limit_hit is not None:
        reason = f"the tests were stopped at the limit of {ended.limit_hit}"
        return failed("tests", str(found), reason)
    text = TERMINAL.sub("", ended.output.decode("utf-8", "replace"))
    counts = {name: int(count) for name, count in _COUNT.findall(text)}
    # Node counts a file without tests as a passed test.
    counts["pass"] = counts.get("pass", 0) - len(_EMPTY_FILE.findall(text))
    if ended.exit_code == 0 and counts["pass"] > 0 and not counts.get("fail"):
        told = ", ".join(f"{counts[name]} {word}" for name, word in _TOLD if counts.get(name))
        return passed("tests", str(found), told)
    if ended.exit_code == 0:
        return failed("tests", str(found), "no test passed")
    reason = f"{counts.get('fail', 0)} of {counts.get('tests', 0)} tests failed"
    if "tests" not in counts:
        reason = f"node ended with exit code {ended.exit_code}"
    places = _NOT_OK.findall(text.replace(f"{WORK_FOLDER}/", ""))
    return failed("tests", str(found), reason, places or text.splitlines()[-10:])


_TOLD = (("pass", "passed"), ("skipped", "skipped"), ("todo", "to do"))
