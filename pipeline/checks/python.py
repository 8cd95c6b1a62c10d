"""Checks of a Python project: ruff with the platform's rules, its own tests with pytest.

Packages for the tests come from the lock file, fetched beforehand as hash-checked wheels: no tenant
code runs with a network.
"""

from __future__ import annotations

import json
import re
import stat
import sys
from pathlib import Path

from pipeline.git.objects import Files
from pipeline.checks.results import MAX_DETAIL_CHARACTERS, MAX_DETAILS, TERMINAL, failed, passed
from pipeline.errors import CouldNotCheck
from pipeline.models.evidence import CheckResult
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.packages import LockRefused, parse_lock, read_packages
from pipeline.sandbox.run import WORK_FOLDER, Confined, python_inside, run_confined
from pipeline.sandbox.tools import SETTINGS_FOLDER, run_tool_confined

LOCK_FILE = "requirements-dev.lock"
TEST_LIMITS = Limits()

_PACKAGES_FOLDER = "/packages"
_RUFF_CONFIG = Path(__file__).with_name("ruff.toml")
# Rules of ruff's security family with few false positives. Things that a service does on purpose,
# such as listening on all interfaces, are left to the rules about manifests.
_SECURITY_RULES = (
    *("S102", "S103", "S113", "S202", "S301", "S302", "S306", "S307", "S312", "S321", "S323"),
    *("S324", "S501", "S502", "S503", "S504", "S505", "S506", "S507", "S508", "S509"),
    *("S602", "S604", "S605", "S609", "S610", "S611", "S612", "S701", "S702"),
)
_TEST_ENV = {
    "HOME": "/tmp",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONPATH": f"{_PACKAGES_FOLDER}:{WORK_FOLDER}/src:{WORK_FOLDER}/sdk",
    "TMPDIR": "/tmp",
    "TZ": "UTC",
    "COLUMNS": str(MAX_DETAIL_CHARACTERS),
}
_NO_TESTS = 5
_PASSED_COUNT = re.compile(r"\b([1-9]\d*) passed\b")
_SUMMARY = re.compile(r"(?:=+ )?((?:\d+ [a-z]+(?:, )?)+) in \d+(?:\.\d+)?s(?: \([\d:]+\))?(?: =+)?")


def holds_python(files: Files) -> bool:
    """Whether there are Python files."""
    return any(path.endswith((".py", ".pyi")) for path in files)


def run_python_tests(files: Files) -> CheckResult:
    """The result of the primitive's own tests, in the sandbox with only the locked packages."""
    tool = "pytest"
    if LOCK_FILE not in files or stat.S_ISLNK(files[LOCK_FILE][0]):
        return failed("tests", tool, f"`{LOCK_FILE}` is missing: it pins what the tests need")
    try:
        requirements = parse_lock(files[LOCK_FILE][1])
        if not any(requirement.name == "pytest" for requirement in requirements):
            return failed("tests", tool, f"`{LOCK_FILE}` does not pin pytest")
        packages = read_packages(requirements)
    except LockRefused as refused:
        return failed("tests", tool, f"`{LOCK_FILE}` is refused: {refused.message}")
    tool = f"pytest {_version_in(packages, 'pytest')}"
    ended = run_confined(
        (
            *(python_inside(), "-m", "pytest", "-p", "no:cacheprovider"),
            *("--color=no", "--verbosity=-1"),
        ),
        readonly=[(packages, _PACKAGES_FOLDER)],
        files=files,
        env=_TEST_ENV,
        limits=TEST_LIMITS,
    )
    return _result_of_tests(tool, ended)


def _result_of_tests(tool: str, ended: Confined) -> CheckResult:
    text = TERMINAL.sub("", ended.output.decode("utf-8", "replace"))
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    summary = next((m[1] for line in reversed(lines) if (m := _SUMMARY.fullmatch(line))), "")
    if ended.limit_hit is not None:
        # How far the tests got differs from run to run, so it is not recorded.
        return failed("tests", tool, f"the tests were stopped at the limit of {ended.limit_hit}")
    if ended.exit_code == 0 and _PASSED_COUNT.search(summary):
        return passed("tests", tool, summary)
    if ended.exit_code == _NO_TESTS:
        return failed("tests", tool, "there are no tests")
    if ended.exit_code == 0:
        return failed("tests", tool, f"no test passed{f': {summary}' if summary else ''}")
    short = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    reasons = [line for line in lines if line.startswith("E  ")]
    reason = summary or f"pytest ended with exit code {ended.exit_code}"
    return failed("tests", tool, reason, [*short, *reasons] or lines[-MAX_DETAILS:])


def run_ruff(files: Files, *, scan: bool) -> list[str]:
    """One line for each diagnostic, sorted by place. Links are not followed.

    `scan` looks only for unsafe calls, and ignores suppression comments.
    """
    options = ["--select", ",".join(_SECURITY_RULES), "--ignore-noqa"] if scan else []
    plain = {path: content for path, (mode, content) in files.items() if not stat.S_ISLNK(mode)}
    settings = f"{SETTINGS_FOLDER}/ruff.toml"
    done = run_tool_confined(
        _ruff_program(),
        (
            *("check", "--config", settings, "--no-cache", "--no-fix"),
            *("--output-format", "json", *options, "."),
        ),
        files=plain,
        shown={settings: _RUFF_CONFIG},
    )
    if done.exit_code not in (0, 1):
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CouldNotCheck(f"ruff failed: {said[-1][:300] if said else done.exit_code}")
    found = []
    for item in json.loads(done.stdout):
        path = item["filename"].removeprefix(f"{WORK_FOLDER}/")
        row, column = item["location"]["row"], item["location"]["column"]
        code = item["code"] or "syntax-error"
        found.append((path, row, column, code, item["message"].split("\n")[0]))
    return [f"{path}:{row}:{column}: {code} {why}" for path, row, column, code, why in sorted(found)]


def _ruff_program() -> Path:
    """The ruff of our own environment, never one from PATH."""
    program = Path(sys.executable).with_name("ruff")
    if not program.is_file():
        raise CouldNotCheck("ruff is missing beside this Python", help="run `make setup`")
    return program


def ruff_version() -> str:
    """The version of the linter. Raises CouldNotCheck if it is not installed."""
    from importlib import metadata  # 13 ms: `doctor` and `template` run no check

    try:
        return metadata.version("ruff")
    except metadata.PackageNotFoundError as error:
        raise CouldNotCheck("ruff is not installed", help="run `make setup`") from error


def _version_in(packages: Path, name: str) -> str:
    from importlib import metadata  # 13 ms: `doctor` and `template` run no check

    found = next(iter(metadata.distributions(name=name, path=[str(packages)])), None)
    return found.version if found else "of unknown version"
