"""Statuses for people: one draft in a few lines, or all of them as a table. Pure.

Works on the plain values of `status.yaml`, so showing one draft imports no models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.characters import visible
from pipeline.errors import Failure
from pipeline.gate.running import Running
from pipeline.render.style import PLAIN, Style, counted, short_digest, short_id, shown_moment, table


@dataclass(frozen=True, slots=True)
class Beside:
    """What was found in GitOps repositories, to be shown with the statuses.

    `incidents` are repository, path, code and message of each difference from what was promoted;
    `failures` are draft or repository, code and message of what could not be read. Without
    `is_checked` nothing was looked at, as in a clone without its forge.
    """

    is_checked: bool = True
    incidents: tuple[tuple[str, str, str, str], ...] = ()
    failures: tuple[Failure, ...] = ()

    def is_foreign(self, repo: str, folder: str) -> bool:
        """Whether something in an overlay's folder, or above it, differs from what was promoted."""
        return any(
            f"{folder}/".startswith(f"{path}/") or path.startswith(f"{folder}/")
            for of, path, _, _ in self.incidents
            if of == repo
        )

    def is_known(self, repo: str) -> bool:
        """Whether a repository could be read."""
        return self.is_checked and all(subject != repo for subject, _, _ in self.failures)


def beside_lines(beside: Beside, style: Style = PLAIN) -> list[str]:
    """One line for each problem in GitOps repositories, and what to do."""
    lines = [
        f"{style.bad} foreign  {repo}:{visible(path)}  {code}: {visible(message)}"
        for repo, path, code, message in beside.incidents
    ]
    lines += [
        f"{style.bad} failed   {visible(subject)}  {code}: {visible(message)}"
        for subject, code, message in beside.failures
    ]
    if beside.incidents:
        lines.append(f"  next     `pipeline explain {beside.incidents[0][2]}`")
    return lines


def _columns(environments: Sequence[str], statuses: Iterable[Mapping[str, Any]]) -> list[str]:
    """The environments of policy, then removed ones that still run something."""
    runs = (p["environment"] for status in statuses for p in status["promotions"])
    return list(dict.fromkeys([*environments, *runs]))


def render_status(
    status: Mapping[str, Any],
    environments: Sequence[str],
    beside: Beside = Beside(),
    style: Style = PLAIN,
) -> str:
    """One draft's status, and the next step; `environments` are the policy's, in order."""
    state = status["state"]
    colour = "bad" if state == "REJECTED" else "good"
    lines = [f"{style.paint('bold', status['id'])}  {style.paint(colour, state)}"]
    for label, text in _entries(status, environments, beside, style):
        lines.append(f"  {label:<8} {text}".rstrip())
    lines += beside_lines(beside, style)
    return "".join(f"{line}\n" for line in lines)


def render_statuses(
    statuses: Sequence[Mapping[str, Any]],
    environments: Sequence[str],
    requested: Sequence[str] = (),
    beside: Beside = Beside(),
    style: Style = PLAIN,
) -> str:
    """One line for each draft: its state, and what each environment runs."""
    columns = _columns(environments, statuses)
    rows = [("DRAFT", "STATE", *(e.upper() for e in columns), "CHANGED", "PULL REQUEST")]
    for status in statuses:
        runs = {p["environment"]: p for p in status["promotions"]}
        cells = (_digest_cell(runs.get(e), status["gitops_repo"], beside) for e in columns)
        changed = shown_moment(status.get("decided_at"))
        rows.append((status["id"], status["state"], *cells, changed, status.get("pr_url") or "-"))
    seen = {status["id"] for status in statuses}
    for draft in requested:
        if draft not in seen:
            rows.append((draft, "(requested)", *("-" for _ in columns), "-", "-"))
    if len(rows) == 1 and not beside.failures:
        return "no drafts yet\n  next     `pipeline draft create TENANT/PRIMITIVE …`\n"
    head, *others = table([rows[0], *sorted(rows[1:])])
    wrong = beside_lines(beside, style)
    if not beside.is_checked and any(status["promotions"] for status in statuses):
        wrong.append("  ?        what runs was not checked: this clone has no forge to ask")
    return "".join(f"{line}\n" for line in (style.paint("dim", head), *others, *wrong))


def _digest_cell(promotion: Mapping[str, Any] | None, repo: str, beside: Beside) -> str:
    """The promoted digest; with `!` if another one is or runs there, `?` if it was not read."""
    if promotion is None:
        return "-"
    digest = promotion["release"]["digest"].removeprefix("sha256:")[:12]
    if beside.is_foreign(repo, promotion["overlay_folder"]):
        return f"{digest}!"
    if not beside.is_known(repo):
        return f"{digest}?"
    running = Running.of(promotion)
    return f"{digest}!" if running and running.describe() else digest


def _entries(
    status: Mapping[str, Any], environments: Sequence[str], beside: Beside, style: Style
) -> Iterator[tuple[str, str]]:
    yield "template", f"{status['template_id']}, code of origin {status['code_origin']}"
    if status["branch_name"]:
        yield "code", f"{status['target_repo']}  {status['branch_name']}"
        yield "", f"pull request {status['pr_url']}, head {short_id(status['head'])}"
    label = "patches"
    earlier = status.get("earlier_patches")
    if earlier:
        yield label, f"{earlier['count']} earlier ones, {earlier['applied']} of them applied"
        label = ""
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
    others = [old["environment"] for old in status.get("superseded", ())]
    for environment in dict.fromkeys([*_columns(environments, [status]), *refused, *others]):
        if environment in runs:
            yield environment, _promotion_line(runs[environment], status, beside, style)
        label = "" if environment in runs else environment
        for text in _group_lines(runs.get(environment), refused.get(environment), style):
            yield label, text
            label = ""
        for reason in refused.get(environment, {}).get("reasons", ()):
            text = f"{style.bad} refused  {reason['code']}: {visible(reason['message'])}"
            yield label, text
            label = ""
        for text in _standing_lines(status, environment, style):
            yield label, text
            label = ""
    decided = status.get("decided_at")
    newest = f", newest {shown_moment(decided)}" if decided else ""
    log = f"`pipeline audit log {status['id']}`"
    yield "facts", f"{counted(status['facts'], 'fact')}{newest}; {log}"
    following = _next(status, environments, runs)
    if following:
        yield "next", following


def _group_lines(
    promotion: Mapping[str, Any] | None, refused: Mapping[str, Any] | None, style: Style
) -> Iterator[str]:
    """The release groups that what runs, or what was refused, was part of."""
    group = (promotion or {}).get("group")
    if group:
        when = f", decided at {shown_moment(group['decided_at'])}" if group["decided_at"] else ""
        yield f"  with the others of {group['request']} at {short_id(group['commit'])}{when}"
    group = (refused or {}).get("group")
    if group:
        yield f"{style.bad} refused  with {group['request']} at {short_id(group['commit'])}"


def _standing_lines(status: Mapping[str, Any], environment: str, style: Style) -> Iterator[str]:
    """The hold of an environment, and the request that a newer one replaced."""
    for hold in status.get("holds", ()):
        if hold["environment"] == environment:
            by = "policy" if hold.get("automatic") else "people"
            since = f" since {shown_moment(hold['since'])}" if hold.get("since") else ""
            yield (
                f"{style.wait} held{since} by the rollback of fact {hold['fact']} ({by}); "
                f"`pipeline hold lift {status['id']} --env {environment}` lets bots go on"
            )
    for old in status.get("superseded", ()):
        if old["environment"] == environment:
            yield (
                f"{style.wait} the request of {short_id(old['commit'])} was replaced by that of "
                f"{short_id(old['by'])}"
            )


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


def _promotion_line(
    promotion: Mapping[str, Any], status: Mapping[str, Any], beside: Beside, style: Style
) -> str:
    """What was promoted and, if the repository still holds it, its observation."""
    repo, where = status["gitops_repo"], promotion["namespace"]
    digest = short_digest(promotion["release"]["digest"])
    if beside.is_foreign(repo, promotion["overlay_folder"]):
        return f"{style.bad} another tree is there; {digest} was promoted to {where}"
    if not beside.is_known(repo):
        return f"{style.wait} {digest} was promoted to {where}; what lies there was not checked"
    seen = promotion["observation"]
    health = f"  {_seen_text(seen, promotion)}" if seen else ""
    merged = promotion.get("merged_at")
    since = f"  since {shown_moment(merged)}" if merged else ""
    people = promotion["approved_by"]
    approved = f"  approved by {', '.join(map(str, people))}" if people else ""
    return f"{_seen_mark(seen, promotion, style)} {digest} in {where}{since}{health}{approved}"


def _seen_mark(seen: Mapping[str, Any] | None, promotion: Mapping[str, Any], style: Style) -> str:
    """A tick only for a release that was not seen yet, or runs well as it was promoted."""
    if seen is None:
        return style.good
    running = Running.of(promotion)
    if running and running.describe():
        return style.wait if running.is_rolling_out else style.bad
    if (seen["health"], seen["sync"]) == ("Healthy", "Synced"):
        return style.good
    return style.bad if seen["health"] in ("Degraded", "Missing") else style.wait


def _seen_text(seen: Mapping[str, Any], promotion: Mapping[str, Any]) -> str:
    """A release's last observed health and sync state, and what runs in its place."""
    text = f"{visible(seen['health'])}, {visible(seen['sync'])}"
    if seen.get("observed_at"):
        text += f" at {shown_moment(seen['observed_at'])}"
    running = Running.of(promotion)
    runs = running.describe() if running else ""
    why = visible(seen["message"]) if seen["health"] == "Unknown" and seen["message"] else ""
    return "; ".join(part for part in (text, runs, why) if part)


def _next(status: Mapping[str, Any], environments: Sequence[str], runs: Mapping[str, Any]) -> str:
    if status["state"] == "REJECTED":
        return ""
    if not status["branch_name"]:
        return "`pipeline run` scaffolds it"
    missing = next((e for e in environments if e not in runs), None)
    if missing is None:
        return ""
    return f"`pipeline promote request {status['id']} --env {missing} --reason …`"
