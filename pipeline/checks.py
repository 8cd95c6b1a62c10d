"""Checks of one primitive's folder at one exact commit: lint, tests, secrets, code scan.

Tenant code runs only for `tests`, and only in a sandbox (`pipeline.sandbox`). The tools' settings
are ours; a primitive's own configuration neither adds nor silences anything, save that lint
honours `noqa`. Reports are deterministic: the same bytes give the same report. A tool that is
missing or fails raises CouldNotCheck, and is never a pass.

Source: design §7; issue "The main job", stage checks.
"""

from __future__ import annotations

import json
import re
import stat
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from pipeline.characters import FORBIDDEN_IN_VALUE
from pipeline.errors import CouldNotCheck
from pipeline.locked_packages import LockRefused, parse_lock, read_packages
from pipeline.models.base import CommitId, TreeId
from pipeline.models.evidence import CheckName, CheckOutcome, CheckReport, CheckResult
from pipeline.sandbox import WORK_FOLDER, Confined, Limits, python_inside, run_confined
from pipeline.tools.folders import temporary_folder
from pipeline.tools.gitleaks import run_secret_scan
from pipeline.tools.process import run_tool
from pipeline.tools.versions import read_tool

Files = Mapping[str, tuple[int, bytes]]  # relative path → git mode, bytes

MAX_DETAILS = 20
MAX_DETAIL_CHARACTERS = 300
LOCK_FILE = "requirements-dev.lock"
TEST_LIMITS = Limits()
RUFF_TIMEOUT_S = 60

_PACKAGES_FOLDER = "/packages"
_RUFF_CONFIG = Path(__file__).with_name("checks_ruff.toml")
# Rules of ruff's security family that seldom speak without cause. What a service does on purpose,
# such as listening on all interfaces, is left to the rules about manifests.
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
    "PYTHONPATH": f"{_PACKAGES_FOLDER}:{WORK_FOLDER}/src",
    "TMPDIR": "/tmp",
    "TZ": "UTC",
    "COLUMNS": str(MAX_DETAIL_CHARACTERS),
}
_NO_TESTS = 5
_PASSED_COUNT = re.compile(r"\b([1-9]\d*) passed\b")
_SUMMARY = re.compile(r"(?:=+ )?((?:\d+ [a-z]+(?:, )?)+) in \d+(?:\.\d+)?s(?: \([\d:]+\))?(?: =+)?")
_DURATION = re.compile(r"\b\d+(?:\.\d+)?(?: ?(?:ms|s|us|µs)\b| seconds?\b)(?: \(\d+:\d\d:\d\d\))?")
_ADDRESS = re.compile(r"\b0x[0-9a-fA-F]{6,}\b")
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_checks(files: Files, *, commit: str, tree: str, names: Sequence[CheckName]) -> CheckReport:
    """What the named checks say of a primitive's folder, in the order of `CHECKS`.

    `files` is the folder's content, `commit` and `tree` its ids, which only label the report.
    Raises CouldNotCheck.
    """
    results = tuple(check(files) for name, check in CHECKS.items() if name in names)
    return CheckReport(commit=CommitId(commit), tree=TreeId(tree), results=results)


def run_lint(files: Files) -> CheckResult:
    """What ruff finds by the platform's configuration."""
    found = _run_ruff(files, [])
    return _result_of_findings("lint", f"ruff {_ruff_version()}", found, "lint error")


def run_code_scan(files: Files) -> CheckResult:
    """What ruff's security rules find; no comment in the code silences them."""
    found = _run_ruff(files, ["--select", ",".join(_SECURITY_RULES), "--ignore-noqa"])
    return _result_of_findings("code-scan", f"ruff-s {_ruff_version()}", found, "unsafe call")


def run_secrets(files: Files) -> CheckResult:
    """Where credentials stand; the credentials themselves are not in the result."""
    hits = run_secret_scan({path: content for path, (_, content) in files.items()})
    found = [f"{hit.path}:{hit.line}:{hit.column}: {hit.rule}" for hit in hits]
    return _result_of_findings("secrets", str(read_tool("gitleaks")), found, "likely credential")


def run_tests(files: Files) -> CheckResult:
    """What the primitive's own tests say, in the sandbox and with the locked packages alone."""
    tool = "pytest"
    if LOCK_FILE not in files or stat.S_ISLNK(files[LOCK_FILE][0]):
        return _failed("tests", tool, f"`{LOCK_FILE}` is missing: it pins what the tests need")
    try:
        requirements = parse_lock(files[LOCK_FILE][1])
        if not any(requirement.name == "pytest" for requirement in requirements):
            return _failed("tests", tool, f"`{LOCK_FILE}` does not pin pytest")
        packages = read_packages(requirements)
    except LockRefused as refused:
        return _failed("tests", tool, f"`{LOCK_FILE}` is refused: {refused.message}")
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


CHECKS: Mapping[CheckName, Callable[[Files], CheckResult]] = {
    "lint": run_lint,
    "tests": run_tests,
    "secrets": run_secrets,
    "code-scan": run_code_scan,
}


def _result_of_tests(tool: str, ended: Confined) -> CheckResult:
    text = _TERMINAL.sub("", ended.output.decode("utf-8", "replace"))
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    summary = next((m[1] for line in reversed(lines) if (m := _SUMMARY.fullmatch(line))), "")
    if ended.limit_hit is not None:
        # How far the tests came by then differs from run to run, so it is not told.
        return _failed("tests", tool, f"the tests were stopped at the limit of {ended.limit_hit}")
    if ended.exit_code == 0 and _PASSED_COUNT.search(summary):
        return CheckResult(
            name="tests", outcome=CheckOutcome.PASSED, tool=tool, summary=_clean(summary)
        )
    if ended.exit_code == _NO_TESTS:
        return _failed("tests", tool, "there are no tests")
    if ended.exit_code == 0:
        return _failed("tests", tool, f"no test passed{f': {summary}' if summary else ''}")
    short = [line for line in lines if line.startswith(("FAILED ", "ERROR "))]
    reasons = [line for line in lines if line.startswith("E  ")]
    reason = summary or f"pytest ended with exit code {ended.exit_code}"
    return _failed("tests", tool, reason, [*short, *reasons] or lines[-MAX_DETAILS:])


def _run_ruff(files: Files, options: Sequence[str]) -> list[str]:
    """One line for each diagnostic, sorted by place. Links are not followed."""
    plain = {path: content for path, (mode, content) in files.items() if not stat.S_ISLNK(mode)}
    with temporary_folder({f"primitive/{path}": content for path, content in plain.items()}) as at:
        root = at / "primitive"
        root.mkdir(exist_ok=True)
        done = run_tool(
            (
                *(_ruff_program(), "check", "--config", _RUFF_CONFIG, "--no-cache", "--no-fix"),
                *("--output-format", "json", *options, "."),
            ),
            cwd=root,
            timeout_s=RUFF_TIMEOUT_S,
        )
        if done.exit_code not in (0, 1):
            said = done.stderr.decode("utf-8", "replace").strip().splitlines()
            raise CouldNotCheck(f"ruff failed: {said[-1][:300] if said else done.exit_code}")
        found = []
        for item in json.loads(done.stdout):
            path = Path(item["filename"])
            path = path.relative_to(root.resolve()) if path.is_absolute() else path
            row, column = item["location"]["row"], item["location"]["column"]
            code = item["code"] or "syntax-error"
            found.append((str(path), row, column, code, item["message"].split("\n")[0]))
    return [
        f"{path}:{row}:{column}: {code} {why}" for path, row, column, code, why in sorted(found)
    ]


def _ruff_program() -> Path:
    """Our own environment's ruff, never one from PATH."""
    program = Path(sys.executable).with_name("ruff")
    if not program.is_file():
        raise CouldNotCheck("ruff is missing beside this Python", help="run `make setup`")
    return program


def _ruff_version() -> str:
    from importlib import metadata  # slow to import

    try:
        return metadata.version("ruff")
    except metadata.PackageNotFoundError as error:
        raise CouldNotCheck("ruff is not installed", help="run `make setup`") from error


def _version_in(packages: Path, name: str) -> str:
    from importlib import metadata  # slow to import

    found = next(iter(metadata.distributions(name=name, path=[str(packages)])), None)
    return found.version if found else "of unknown version"


def _result_of_findings(name: CheckName, tool: str, found: Sequence[str], noun: str) -> CheckResult:
    if not found:
        return CheckResult(
            name=name, outcome=CheckOutcome.PASSED, tool=tool, summary=f"no {noun} found"
        )
    count = f"1 {noun}" if len(found) == 1 else f"{len(found)} {noun}s"
    return _failed(name, tool, count, found)


def _failed(name: CheckName, tool: str, summary: str, details: Iterable[str] = ()) -> CheckResult:
    kept = tuple(dict.fromkeys(_clean(line) for line in details))
    if len(kept) > MAX_DETAILS:
        left = len(kept) - (MAX_DETAILS - 1)
        kept = (*kept[: MAX_DETAILS - 1], f"and {left} more")
    return CheckResult(
        name=name,
        outcome=CheckOutcome.FAILED,
        tool=tool,
        summary=_clean(summary),
        details=kept,
    )


def _clean(text: str) -> str:
    """One bounded, printable line without what differs from run to run."""
    text = _ADDRESS.sub("0x…", _DURATION.sub("… s", text)).replace("\t", " ").replace("\n", " ")
    text = FORBIDDEN_IN_VALUE.sub("�", text)
    if len(text) > MAX_DETAIL_CHARACTERS:
        return text[: MAX_DETAIL_CHARACTERS - 1] + "…"
    return text
