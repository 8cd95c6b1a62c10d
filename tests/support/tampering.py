"""Cases of falsified history, as data: one change of one file in a finished story, and its audit.

A case names a repository, a branch and a file, and says what to `replace` `with`, to `write`, or to
`delete`. `by: pipeline` amends the newest commit, `by: person` adds a commit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from pipeline.diagnostics import Finding
from pipeline.git.objects import MODE_FILE
from tests.support import finished_story as audit_world

_FIELDS = {"repository", "branch", "by", "file", "replace", "with", "write", "delete"}
Files = dict[str, tuple[int, bytes]]


def _change(case: Mapping[str, str], files: Files) -> None:
    path = case["file"]
    if "replace" in case:
        audit_world.replace_in(path, str(case["replace"]).encode(), str(case["with"]).encode())(
            files
        )
    elif "write" in case:
        files[path] = (MODE_FILE, case["write"].encode())
    else:
        assert case["delete"] and path in files
        del files[path]


def findings_of_tampering(text: str) -> tuple[Finding, ...]:
    """Findings of an audit of fresh clones after the change."""
    case = yaml.safe_load(text)
    assert set(case) <= _FIELDS, f"unknown keys in {sorted(case)}"
    with tempfile.TemporaryDirectory(prefix="pipeline-tests-false-") as folder:
        false = audit_world.tell_story(Path(folder) / "world")
        audit_world.rewrite(
            false,
            case["repository"],
            case["branch"],
            lambda files: _change(case, files),
            by_pipeline=case["by"] == "pipeline",
        )
        found = audit_world.audit(false).findings
        false.forge.close()
    return found
