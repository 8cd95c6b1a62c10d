"""Findings in every output format: text, report, SARIF and workflow annotations.

The inputs come from `tests/refusals`, so each finding is shown with the place that it points at.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from pipeline import __version__
from pipeline.diagnostics import Finding, Location, Severity
from pipeline.documents.rules import YAML_ANCHOR
from pipeline.render.github import render_github
from pipeline.render.json import render_json
from pipeline.render.report import validation_report
from pipeline.render.sarif import render_sarif
from pipeline.render.text import render_summary, render_terminal, render_text
from pipeline.rules import load_rules
from tests.support.rule_runners import FOLDER_RUNNERS

REFUSALS = Path(__file__).resolve().parents[1] / "refusals"
# Folder → subject, as `expected.yaml` there says.
SHOWN = {
    "001-yaml-duplicate-key": "document",
    "037-yaml-nul-character": "document",
    "046-yaml-bidi-override": "document",
    "081-id-upper-case": "request",
    "100-name-too-long": "request",
    "126-tenant-in-parameter-value": "request",
    "137-custom-code-of-the-platform": "request",
    "157-parameter-missing": "request",
    "171-unknown-field": "request",
    "179-promotion-short-digest": "request",
    "190-environment-cycle": "request",
    "198-staging-before-dev": "decision",
}
WARNING = Finding("yaml-tag", "a tag", Location("a/b.yaml", 3), Severity.WARNING, "delete it")
NOTE = Finding("yaml-tag", "a tag", Location("a b/ü#.yaml"), Severity.NOTE)
MIXED = (YAML_ANCHOR.finding("`&k` names this value", Location("a/b.yaml", 2, 7)), WARNING, NOTE)
SOURCES = {"a/b.yaml": "# head\nkind: &k Tenant\nname: !x y\n"}


def refused(folder: str, subject: str) -> dict[str, str]:
    """One hostile input, judged."""
    load_rules()
    found = FOLDER_RUNNERS[subject](REFUSALS / folder)
    source = REFUSALS / folder / "input.yaml"
    sources = {f.location.file: source.read_text("utf-8") for f in found if source.exists()}
    return forms(found, sources)


def forms(found: tuple[Finding, ...], sources: dict[str, str]) -> dict[str, str]:
    """The findings in each form."""
    sarif = render_sarif(found, sources).replace(f'"version": "{__version__}"', '"version": "0"')
    return {
        "text.txt": render_text(found, sources, width=100),
        "report.json": render_json(validation_report(found)),
        "sarif.json": sarif,
        "annotations.txt": render_github(found),
    }


CASES: dict[str, Callable[[], dict[str, str]]] = {
    **{f"findings-{name[4:]}": partial(refused, name, of) for name, of in SHOWN.items()},
    "findings-none": lambda: forms((), {}),
    "findings-of-every-severity": lambda: forms(MIXED, SOURCES),
    "findings-on-a-terminal": lambda: {
        "coloured.txt": render_terminal(MIXED, SOURCES, width=60).replace("\x1b", "<ESC>"),
        "summary.txt": render_summary(MIXED),
    },
}
