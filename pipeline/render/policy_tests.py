"""The results of test cases of policy, as a table with the differences. Pure."""

from __future__ import annotations

from pipeline.models.policy import PolicyTestDocument, PolicyTestItem
from pipeline.render.style import PLAIN, Style, counted, table


def render_policy_tests(document: PolicyTestDocument, style: Style = PLAIN) -> str:
    """One line per case; under one that fails what it expected, what was decided, and why."""
    rows = [(f"{item.file}:{item.line}", item.name, item.found) for item in document.cases]
    lines: list[str] = []
    for line, item in zip(table(rows), document.cases, strict=True):
        lines.append(f"{style.good if item.passed else style.bad} {line}")
        if not item.passed:
            lines += _difference(item, style)
    sign = style.good if document.cases and not document.failed else style.bad
    told = f"{counted(len(document.cases), 'case')}, {document.passed} as expected"
    lines.append(f"{sign} {told}" + (f", {document.failed} not" if document.failed else ""))
    return "".join(f"{line}\n" for line in lines)


def _difference(item: PolicyTestItem, style: Style) -> list[str]:
    """What differs, as in a diff: `-` was expected and `+` was decided."""
    lines = []
    if item.expected != item.found:
        lines += [f"    - {item.expected}", f"    + {item.found}"]
    wanted, found = item.expected_reasons, {reason.code for reason in item.reasons}
    lines += [f"    - {code}" for code in wanted or () if code not in found]
    shown = [r for r in item.reasons if wanted is None or r.code not in wanted]
    lines += [f"    + {reason.code}: {reason.message}" for reason in shown]
    return [style.paint("bad" if line.startswith("    -") else "good", line) for line in lines]
