"""Facts compared with the requests they name: the cause, and the content of acceptances."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pipeline.audit import rules as rule
from pipeline.audit.cases import FactCase, folder_at
from pipeline.audit.objects import Objects
from pipeline.delivery.forms import TEMPLATES
from pipeline.diagnostics import Finding
from pipeline.errors import NotFound
from pipeline.models.evidence import Observation
from pipeline.models.facts import Accepted, Observed, PatchApplied, Promoted, Provisioned
from pipeline.models.requests import Promotion
from pipeline.models.status import PromotionRecord
from pipeline.rules import load_rules
from pipeline.stages.observe import reason_against_place
from pipeline.stages.provision import accepted_fact, plan_provision
from pipeline.state.fact_types import type_of
from pipeline.templates import read_builtin_template


def check_cause(case: FactCase) -> Iterator[Finding]:
    """A finding unless the cause's commit brought the request with that content to main."""
    cause = case.fact.cause
    if not case.is_caused:
        yield case.finding(
            rule.AUDIT_CAUSE_MISSING,
            f"no commit {cause.commit[:12]} of main brought {cause.request} with that content",
        )
        return
    case.audit.proves("facts whose request a commit of main brought")
    case.audit.trusts("which account asked, and in which run", "the pipeline")


def check_fact_request(case: FactCase) -> Iterator[Finding]:
    """A finding unless the request is the draft's own and of a kind that causes such a fact."""
    body, meaning = case.fact.body, case.meaning
    row = type_of(body)
    name = row.request_name(body)
    # What policy does by itself, the environment's file causes; nothing else of these does.
    by_policy = isinstance(body, Promoted) and body.automatic
    kinds = {kind for kind in row.caused_by if (kind == "Environment") == by_policy}
    if meaning is not None and meaning.kind == "ReleaseGroup":
        # Its name is free: what it asks for the draft says the environment.
        asked = case.request.environment if isinstance(case.request, Promotion) else ""
        is_own, told_name = bool(asked) or not case.is_caused, asked
    else:
        is_own = meaning is not None and (meaning.draft == case.fact.draft or by_policy)
        told_name = meaning.name if meaning else ""
    if (
        meaning is None
        or not is_own
        or meaning.kind not in kinds
        or (name and told_name and told_name != name)
    ):
        what = f"`{body.type}` of {name}" if name else f"`{body.type}`"
        yield case.finding(
            rule.AUDIT_CAUSE_OTHER, f"{what} cannot come of {case.fact.cause.request}"
        )


def check_brought(case: FactCase) -> Iterator[Finding]:
    """Findings unless the recorded pull request is the one that the cause's commit merged."""
    cause = case.fact.cause
    if not case.is_caused:
        return
    commit = case.audit.control.commit(cause.commit)
    brought = cause.brought
    if brought is None or not commit.parents:
        return
    wrong = []
    if brought.base != commit.parents[0]:
        wrong.append(f"its base is {commit.parents[0][:12]}")
    if len(commit.parents) > 1 and brought.head != commit.parents[1]:
        wrong.append(f"it merged {commit.parents[1][:12]}")
    if brought.author != cause.actor:
        wrong.append(f"account {brought.author} opened it")
    if wrong:
        yield case.finding(
            rule.AUDIT_BROUGHT_DIFFERS,
            f"commit {cause.commit[:12]} of main came otherwise than recorded: {', '.join(wrong)}",
        )
        return
    if len(commit.parents) == 1:
        case.audit.trusts("that a squashed commit holds what was reviewed", "the forge")
    case.audit.trusts("who opened, pushed and reviewed a request", "the forge")


def check_authority(case: FactCase) -> Iterator[Finding]:
    """Findings if the request was followed without the authority to ask or without approvals."""
    if not isinstance(case.fact.body, Accepted | PatchApplied) or case.request is None:
        return
    reasons = None
    for view in case.views():
        if view.caused.authority.is_complete:
            case.audit.proves("authority over requests judged again")
            return
        reasons = reasons or view.caused.authority.reasons
    for reason in reasons or ():
        yield case.finding(rule.AUDIT_AUTHORITY, f"{reason.code}: {reason.message}")


def check_accepted(case: FactCase) -> Iterator[Finding]:
    """Findings unless names, image, tier and template follow from the request and policy."""
    body = case.fact.body
    if not isinstance(body, Accepted) or not case.is_caused:
        return
    told = body.model_dump(mode="json")
    wrong: list[str] = []
    for view in case.views():
        known = {"type": body.type, **accepted_fact(view).known}
        differing = [name for name in told if known.get(name) != told[name]]
        if not differing:
            case.audit.proves("acceptances computed again")
            if not _is_at_hand(body.template_id):
                case.audit.trusts("the digest of a template that is not at hand", "the pipeline")
            return
        wrong = wrong or differing
    listed = ", ".join(f"`{name}`" for name in wrong) or "no valid request, tenant or platform"
    yield case.finding(rule.AUDIT_ACCEPTED_DIFFERS, f"request and policy give another {listed}")


def _is_at_hand(release: str) -> bool:
    name, _, version = release.partition("@")
    try:
        read_builtin_template(name, version)
    except NotFound:
        return False
    return True


def check_provisioned(case: FactCase) -> Iterator[Finding]:
    """A finding unless the repositories are the two derived ones."""
    body = case.fact.body
    if not isinstance(body, Provisioned) or not case.is_caused:
        return
    for view in case.views():
        step = plan_provision(replace(view, is_new_revision=False))
        planned = [fact.known.get("repos") for fact in step.facts] if step else []
        if list(body.repos) in planned:
            case.audit.proves("provisionings computed again")
            return
    yield case.finding(
        rule.AUDIT_NAME_DIFFERS, f"the draft's repositories are not {', '.join(body.repos)}"
    )


def check_told(case: FactCase) -> Iterator[Finding]:
    """Findings for observations that do not fit the draft at that time."""
    body, before = case.fact.body, case.before
    for trust in type_of(body).trusts:
        case.audit.trusts(trust.what, trust.whose)
    if isinstance(body, Observed):
        seen = body.observation
        record = before.promotion(seen.environment) if before else None
        if seen.draft != case.fact.draft or record is None:
            yield case.finding(
                rule.AUDIT_TOLD_MISFIT,
                f"{seen.draft} was not promoted to `{seen.environment}` before",
            )
        elif seen.health != "Unknown" and seen.observed_at is not None:
            yield from _check_observed_tree(case, seen, record)


def _check_observed_tree(
    case: FactCase, seen: Observation, record: PromotionRecord
) -> Iterator[Finding]:
    """A finding unless the observation is of the promoted overlay."""
    if case.gitops is None:
        return  # the repository's check reports it
    against = reason_against_place(seen, record, _observed_tree(case.gitops, seen, record))
    if against:
        yield case.finding(rule.AUDIT_TOLD_MISFIT, f"{seen.health} is of another thing: {against}")
    else:
        case.audit.proves("observations of the very overlay that was promoted")


def _observed_tree(gitops: Objects, seen: Observation, record: PromotionRecord) -> str:
    """The overlay's tree at the observed revision or chart; empty if there is none."""
    if seen.revision:
        return folder_at(gitops, seen.revision, record.overlay_folder) or ""
    chart = gitops.entry(record.overlay_tree, TEMPLATES)
    return record.overlay_tree if chart is not None and chart.id == seen.chart else ""


def check_refusals(case: FactCase) -> Iterator[Finding]:
    """Findings for refusals without reasons, or with codes of no registered rule."""
    reasons = type_of(case.fact.body).reasons(case.fact.body)
    if reasons is None:
        return
    unknown = sorted({r.code for r in reasons} - load_rules().keys())
    if unknown or not reasons:
        told = ", ".join(f"`{code}`" for code in unknown) or "none"
        yield case.finding(rule.AUDIT_REFUSAL_MISFIT, f"reasons that no rule gives: {told}")
