"""Hostile inputs: each folder's input is refused with the expected codes at the expected place."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.documents import parse_document
from pipeline.rules import load_rules
from tests.support.rule_runners import FOLDER_RUNNERS, place_of

HERE = Path(__file__).resolve().parent
FOLDERS = sorted(path for path in HERE.iterdir() if path.is_dir() and path.name[0] != "_")
FIELDS = {"codes", "subject"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_input_is_refused(folder: Path) -> None:
    expected = parse_document("expected.yaml", (folder / "expected.yaml").read_bytes())
    assert expected.ok and set(expected.value) - {"at"} == FIELDS
    subject = str(expected.value["subject"])
    assert subject in FOLDER_RUNNERS, f"no runner for subject {subject!r}"
    readme = (folder / "README.md").read_text(encoding="utf-8").strip()
    assert readme and "\n" not in readme, "README.md is one line that says why it is dangerous"

    findings = FOLDER_RUNNERS[subject](folder)

    assert list(dict.fromkeys(finding.code for finding in findings)) == expected.value["codes"]
    # Findings about a result, such as a tree or a decision, have no place in a file.
    assert place_of(findings[0].location) == expected.value.get("at")
    load_rules()
    for finding in findings:
        assert finding.message.strip() and finding.why.strip() and finding.fix.strip()


def test_folders_have_distinct_numbers() -> None:
    numbers = [folder.name.split("-", 1)[0] for folder in FOLDERS]
    assert len(set(numbers)) == len(numbers) and all(number.isdigit() for number in numbers)
