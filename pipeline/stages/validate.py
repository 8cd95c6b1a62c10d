"""Validate: all findings about a set of requests. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pipeline.diagnostics import Finding, Location, sort_findings
from pipeline.models.requests import (
    Tenant,
)
from pipeline.requests.drafts import DIGEST_BLOCKED, ENVIRONMENT_UNKNOWN
from pipeline.requests.groups import GROUP_MEMBER_UNKNOWN
from pipeline.requests.identity import (
    DRAFT_MISSING,
    TENANT_MISSING,
    check_identity,
    check_other_tenants,
)
from pipeline.requests.kinds import Surroundings, kind_of
from pipeline.requests.layout import PLATFORM_PATH, draft_path, tenant_path
from pipeline.requests.snapshot import ReadRequest, Snapshot
from pipeline.requests.waivers import WAIVER_EXPIRED, WAIVER_LIFETIME, WAIVER_RULE
from pipeline.templating import Template

# Codes of findings that count only for a request made now.
_OF_THE_ASKED = (
    DIGEST_BLOCKED.id,
    ENVIRONMENT_UNKNOWN.id,
    GROUP_MEMBER_UNKNOWN.id,
    WAIVER_EXPIRED.id,
    WAIVER_LIFETIME.id,
    WAIVER_RULE.id,
)


def check_request(
    read: ReadRequest,
    snapshot: Snapshot,
    templates: Mapping[str, Template],
    now_s: int | None = None,
) -> Iterable[Finding]:
    """Findings about one well-formed request, judged against the rest of the control repo.

    `now_s` is the moment at which it would be merged; None if it is on main already.
    """
    document, model, meaning = read.document, read.model, read.meaning
    if model is None:
        return
    yield from check_identity(meaning, document)
    yield from check_other_tenants(meaning, document, snapshot.tenant_ids)
    tenant = snapshot.tenant(meaning.tenant) if meaning.tenant else None
    if meaning.tenant and tenant is None and not isinstance(model, Tenant):
        where = tenant_path(meaning.tenant)
        yield TENANT_MISSING.finding(f"there is no valid `{where}`", Location(read.path, 1, 1))
        return
    if meaning.primitive and draft_path(meaning.draft) not in snapshot.blobs:
        where = draft_path(meaning.draft)
        yield DRAFT_MISSING.finding(f"there is no `{where}`", Location(read.path, 1, 1))
    around = Surroundings(meaning, document, snapshot, templates, now_s)
    yield from kind_of(model).check(model, around)


def check_requests(
    reads: Iterable[ReadRequest],
    form_findings: Iterable[Finding],
    snapshot: Snapshot,
    templates: Mapping[str, Template],
    *,
    asked: Collection[str] | None = None,
    now_s: int | None = None,
) -> tuple[Finding, ...]:
    """All findings about the requests read, in a fixed order.

    A missing platform file is itself a finding, since nothing can be judged without it. `asked`
    are the paths requested now, None for all, and `now_s` is when they would be merged. Only those
    must not name a blocked digest, an unknown environment, or a rule that policy does not allow to
    waive. For older requests the gate and `status` report it; otherwise no such policy could be
    merged while anything runs.
    """
    found = list(form_findings)
    if PLATFORM_PATH not in snapshot.blobs:
        found.append(
            TENANT_MISSING.finding(f"there is no `{PLATFORM_PATH}`", Location(PLATFORM_PATH))
        )
    for read in reads:
        found.extend(check_request(read, snapshot, templates, now_s))
    if asked is not None:
        found = [f for f in found if f.code not in _OF_THE_ASKED or f.location.file in asked]
    return sort_findings(found)
