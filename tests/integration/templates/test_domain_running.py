"""A project of the template `domain`: its Makefile, and its tests in the checks' sandbox."""

from __future__ import annotations

import os
import re
from pathlib import Path
from zipfile import ZipFile

import pytest

from pipeline.checks.python import run_python_tests
from pipeline.models.evidence import CheckOutcome
from tests.support.golden_templates import DOMAIN, HOSTILE
from tests.support.projects import environment_of, run, source_of, write_project


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered project whose environments are there, as `make setup` leaves it."""
    values = DOMAIN.values(description=HOSTILE)
    folder = write_project("domain", values, tmp_path_factory.mktemp("made"))
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


@pytest.mark.parametrize("case", ["hostile description", "words of YAML and Python"])
def test_its_own_tests_pass_in_the_sandbox_of_the_checks(case: str) -> None:
    result = run_python_tests(source_of("domain", DOMAIN.cases[case]))
    assert result.outcome is CheckOutcome.PASSED, result.details
    found = re.match(r"(\d+) passed, (\d+) skipped", result.summary)
    assert found and int(found[1]) >= 140, result.summary
    # Those of Postgres, which the sandbox has none of.
    assert int(found[2]) < 20
