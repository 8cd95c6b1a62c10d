"""The command line as tests call it, and the refs that it left behind.

Commands run in this process with real git and tools, against a local forge. Only the checks are a
double that passes at once, since they have tests of their own.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import jsonschema_rs
from git import Reference, Repo

from pipeline.cli.main import main
from pipeline.models.evidence import CheckOutcome, CheckReport, CheckResult
from pipeline.plan.effects import RunChecks
from pipeline.publish.schemas import SCHEMAS, schema_of


@dataclass(frozen=True)
class Ran:
    """The output of one command and its exit code."""

    exit_code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, object]:
        """The one JSON document of standard output, checked against its published schema."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        kind = found["kind"]
        if kind in SCHEMAS:
            problems = [f"{list(p.instance_path)}: {p.message}" for p in _errors(kind, found)]
            assert not problems, problems
        return found


@lru_cache
def _validator(kind: str) -> jsonschema_rs.Draft7Validator:
    return jsonschema_rs.Draft7Validator(schema_of(kind))


def _errors(kind: str, document: object) -> Iterator[jsonschema_rs.ValidationError]:
    return _validator(kind).iter_errors(document)


def call(directory: Path | None, *arguments: str) -> Ran:
    """The result of `pipeline -C directory arguments`."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.StringIO()
    where = () if directory is None else ("-C", str(directory))
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([*where, *arguments])
    out.flush()
    written = out.buffer
    assert isinstance(written, io.BytesIO)
    ran = Ran(code, written.getvalue().decode("utf-8"), err.getvalue())
    assert "Traceback (most recent call last)" not in ran.err + ran.out
    return ran


def passing_checks(effect: RunChecks, files: dict[str, tuple[int, bytes]]) -> CheckReport:
    """A report in which every check passed."""
    results = (
        CheckResult(name=name, outcome=CheckOutcome.PASSED, tool="double 1", summary="passed")
        for name in effect.names
    )
    return CheckReport(commit=effect.commit, tree=effect.tree, results=tuple(results))


def refs(control: Path, what: str = "objectname") -> dict[str, str]:
    """`repo ref` → commit id, or `tree`, of every ref of every repository of the forge."""
    found = {}
    for path in sorted((control.parent / "forge").rglob("*.git")):
        with Repo(path) as repo:
            for ref in Reference.iter_items(repo):
                commit = ref.commit
                id = commit.tree.hexsha if what == "tree" else commit.hexsha
                found[f"{path.name} {ref.path}"] = id
    return found


def copy_world(source: Path, target: Path) -> Path:
    """A copy of a checkout and its forge that is independent of the original."""
    shutil.copytree(source.parent, target, dirs_exist_ok=True)
    config = target / source.name / ".git" / "config"
    config.write_text(config.read_text().replace(str(source.parent), str(target)))
    return target / source.name
