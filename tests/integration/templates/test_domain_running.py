"""What the template `domain` gives is a project that builds, types and passes its own tests."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

import pytest

from pipeline.checks.python import run_python_tests
from pipeline.git.objects import MODE_FILE
from pipeline.models.evidence import CheckOutcome, CheckResult
from tests.support.domain_template import CASES, HOSTILE, Values, rendered, run, values_of, write
from tests.support.projects import environment_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered project whose environments are there, as `make setup` leaves it."""
    folder = write(values_of(description=HOSTILE), tmp_path_factory.mktemp("made"))
    for name, lock in (
        (".venv", "requirements-tools.lock"),
        (".venv-docs", "requirements-docs.lock"),
    ):
        environment = environment_of((folder / lock).read_bytes())
        (folder / name).symlink_to(environment)
        (environment / "ready").touch()
    return folder


@pytest.mark.parametrize("target", ["lint", "types", "test", "wheel", "docs"])
def test_its_makefile_does_what_it_says(made: Path, target: str) -> None:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("PYTHONPATH", None)
    result = run("make", target, cwd=made, env=environment)
    assert result.returncode == 0, result.stdout + result.stderr
    if target == "wheel":
        [wheel] = (made / "dist").glob("order_router-0.1.0-*.whl")
        with ZipFile(wheel) as archive:
            names = set(archive.namelist())
        assert {
            "ameide/domain/v1/entity_service_pb2.py",
            "domain_order_router/grants.sql",
            "domain_order_router/migrations/0001_entities.sql",
            "primitive_sdk/tenancy.py",
        } <= names


def test_its_types_hold_under_names_that_are_words_of_python(tmp_path: Path) -> None:
    folder = write(CASES["words of YAML and Python"], tmp_path)
    environment = environment_of((folder / "requirements-tools.lock").read_bytes())
    result = run(environment / "bin" / "mypy", "--cache-dir", os.devnull, cwd=tmp_path)
    assert result.returncode == 0, result.stdout


def judged(values: Values, changes: Mapping[str, bytes] | None = None) -> CheckResult:
    """What the platform's check of a primitive's tests says."""
    files = {path: (MODE_FILE, file.content) for path, file in rendered(values).items()}
    files |= {path: (MODE_FILE, content) for path, content in (changes or {}).items()}
    return run_python_tests(files)


def test_its_own_tests_pass_in_the_sandbox_of_the_checks() -> None:
    result = judged(values_of(description=HOSTILE))
    assert result.outcome is CheckOutcome.PASSED, result.details
    found = re.match(r"(\d+) passed, (\d+) skipped", result.summary)
    assert found and int(found[1]) >= 140, result.summary
    # Those of Postgres, which the sandbox has none of.
    assert int(found[2]) < 20


def test_its_tests_pass_under_names_that_are_words_of_python() -> None:
    result = judged(CASES["words of YAML and Python"])
    assert result.outcome is CheckOutcome.PASSED, result.details


@pytest.mark.parametrize(
    ("file", "old", "new", "failing"),
    [
        (
            "memory_store.py",
            "if tenant == tenant_id and kind == entity_type",
            "if kind == entity_type",
            "tests/test_tenants.py::test_one_tenant_never_sees_anothers_entities",
        ),
        (
            "server.py",
            "interceptors=[IdentityInterceptor(verifier)],",
            "interceptors=[],",
            "tests/test_tenants.py::test_no_token_is_refused",
        ),
        (
            "memory_store.py",
            "if record.version != version:",
            "if not record.version:",
            "tests/test_locking.py::test_of_two_writers_the_second_is_told",
        ),
        (
            "memory_store.py",
            "if known_hash != request_hash:",
            "if not known_hash:",
            "tests/test_idempotency.py::test_the_same_key_for_another_request_is_refused",
        ),
        (
            "memory_store.py",
            "self._pending.remove(item)",
            "item.attempts = 0",
            "tests/test_store.py::test_each_change_leaves_one_event_and_a_refused_one_none",
        ),
    ],
    ids=["tenant", "identity", "version", "idempotency", "outbox"],
)
def test_its_tests_see_a_guard_that_was_taken_out(
    file: str, old: str, new: str, failing: str, made: Path, tmp_path: Path
) -> None:
    folder = write(values_of(), tmp_path)
    path = folder / "src" / "domain_order_router" / file
    source = path.read_text()
    assert old in source
    path.write_text(source.replace(old, new))
    python = made / ".venv" / "bin" / "python"
    result = run(python, "-m", "pytest", "-q", failing.partition("::")[0], cwd=folder)
    assert result.returncode == 1, result.stdout
    assert f"FAILED {failing}" in result.stdout
