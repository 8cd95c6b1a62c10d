"""Statuses for people: one draft in a few lines, or all of them as a table. Pure.

Works on the plain values of `status.yaml`, so that showing one draft imports no models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pipeline.characters import visible
from pipeline.render.style import PLAIN, Style, counted, short_digest, short_id, table

ENVIRONMENTS = ("dev", "staging", "prod")


def render_status(status: Mapping[str, Any], style: Style = PLAIN) -> str:
    """Where one draft stands, and what may be done next."""
    state = status["state"]
    colour = "bad" if state == "REJECTED" else "good"
    lines = [f"{style.paint('bold', status['id'])}  {style.paint(colour, state)}"]
    for label, text in _entries(status, style):
        lines.append(f"  {label:<8} {text}".rstrip())
    return "".join(f"{line}\n" for line in lines)


def render_statuses(
    statuses: Sequence[Mapping[str, Any]], requested: Sequence[str] = (), style: Style = PLAIN
) -> str:
    """Every draft on one line: state, and what each environment runs."""
    rows = [("DRAFT", "STATE", "DEV", "STAGING", "PROD", "PULL REQUEST")]
    for status in statuses:
        runs = {p["environment"]: p["release"]["digest"] for p in status["promotions"]}
        cells = (_digest_cell(runs.get(e)) for e in ENVIRONMENTS)
        rows.append((status["id"], status["state"], *cells, status.get("pr_url") or "-"))
    seen = {status["id"] for status in statuses}
    for draft in requested:
        if draft not in seen:
            rows.append((draft, "(requested)", "-", "-", "-", "-"))
    if len(rows) == 1:
        return "no drafts yet\n  next     `pipeline draft create TENANT/PRIMITIVE …`\n"
    head, *others = table([rows[0], *sorted(rows[1:])])
    return "".join(f"{line}\n" for line in (style.paint("dim", head), *others))


def _digest_cell(digest: str | None) -> str:
    return digest.removeprefix("sha256:")[:12] if digest else "-"


def _entries(status: Mapping[str, Any], style: Style) -> Iterator[tuple[str, str]]:
    yield "template", f"{status['template_id']}, code of origin {status['code_origin']}"
    if status["branch_name"]:
        yield "code", f"{status['target_repo']}  {status['branch_name']}"
        yield "", f"pull request {status['pr_url']}, head {short_id(status['head'])}"
    label = "patches"
    for patch in status["patches"]:
        for line in _patch_lines(patch, style):
            yield label, line
            label = ""
    for report in status["checks"][-1:]:
        yield "checks", _checks_line(report, style)
        for result in report["results"]:
            if result["outcome"] != "passed":
                yield "", f"{result['name']}: {visible(result['summary'])}"
    runs = {p["environment"]: p for p in status["promotions"]}
    refused = {r["environment"]: r for r in status["refused_promotions"]}
    for environment in ENVIRONMENTS:
        if environment in runs:
            yield environment, _promotion_line(runs[environment], style)
        label = "" if environment in runs else environment
        for reason in refused.get(environment, {}).get("reasons", ()):
            text = f"{style.bad} refused  {reason['code']}: {visible(reason['message'])}"
            yield label, text
            label = ""
    yield "facts", f"{counted(status['facts'], 'fact')}; `pipeline audit log {status['id']}`"
    following = _next(status, runs)
    if following:
        yield "next", following


def _patch_lines(patch: Mapping[str, Any], style: Style) -> Iterator[str]:
    if patch["outcome"] == "applied":
        yield f"{patch['patch']} {style.good} applied  {short_id(patch['commit'])}"
        return
    yield f"{patch['patch']} {style.bad} refused"
    for reason in patch["reasons"]:
        yield f"     {reason['code']}: {visible(reason['message'])}"


def _checks_line(report: Mapping[str, Any], style: Style) -> str:
    results = (
        f"{r['name']} {style.good if r['outcome'] == 'passed' else style.bad}"
        for r in report["results"]
    )
    return f"{', '.join(results)}  at {short_id(report['commit'])}"


def _promotion_line(promotion: Mapping[str, Any], style: Style) -> str:
    seen = promotion["observation"]
    health = f"  {visible(seen['health'])}, {visible(seen['sync'])}" if seen else ""
    people = promotion["approved_by"]
    approved = f"  approved by {', '.join(map(str, people))}" if people else ""
    digest = short_digest(promotion["release"]["digest"])
    return f"{style.good} {digest} in {promotion['namespace']}{health}{approved}"


def _next(status: Mapping[str, Any], runs: Mapping[str, Any]) -> str:
    if status["state"] == "REJECTED":
        return ""
    if not status["branch_name"]:
        return "`pipeline run` scaffolds it"
    missing = next((e for e in ENVIRONMENTS if e not in runs), None)
    if missing is None:
        return ""
    return f"`pipeline promote request {status['id']} --env {missing} --reason …`"
