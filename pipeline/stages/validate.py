"""Validate: every finding of a set of requests, all of them shown. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pipeline.diagnostics import Finding, Location, sort_findings
from pipeline.models.requests import (
    Tenant,
)
from pipeline.requests.drafts import DIGEST_BLOCKED, ENVIRONMENT_UNKNOWN
from pipeline.requests.identity import (
    DRAFT_MISSING,
    TENANT_MISSING,
    check_identity,
    check_other_tenants,
)
from pipeline.requests.kinds import Surroundings, kind_of
from pipeline.requests.layout import PLATFORM_PATH, draft_path, tenant_path
from pipeline.requests.snapshot import ReadRequest, Snapshot
from pipeline.templating import Template

# Codes of what only stands against a request that is asked for now.
_OF_THE_ASKED = (DIGEST_BLOCKED.id, ENVIRONMENT_UNKNOWN.id)


def check_request(
    read: ReadRequest, snapshot: Snapshot, templates: Mapping[str, Template]
) -> Iterable[Finding]:
    """Findings for one request beyond its form, against the rest of the control repo."""
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
    around = Surroundings(meaning, document, snapshot, templates)
    yield from kind_of(model).check(model, around)


def check_requests(
    reads: Iterable[ReadRequest],
    form_findings: Iterable[Finding],
    snapshot: Snapshot,
    templates: Mapping[str, Template],
    *,
    asked: Collection[str] | None = None,
) -> tuple[Finding, ...]:
    """All findings of the requests read, in one order.

    A control repo without a platform file is itself a finding, since nothing can be judged.
    `asked` are the paths that are asked for now, None for all: only those may not name a blocked
    digest or an environment that there is not. What was merged before the digest was blocked, or
    the environment was taken away, is for the gate and `status` to tell, or nobody could do either.
    """
    found = list(form_findings)
    if PLATFORM_PATH not in snapshot.blobs:
        found.append(
            TENANT_MISSING.finding(f"there is no `{PLATFORM_PATH}`", Location(PLATFORM_PATH))
        )
    for read in reads:
        found.extend(check_request(read, snapshot, templates))
    if asked is not None:
        found = [f for f in found if f.code not in _OF_THE_ASKED or f.location.file in asked]
    return sort_findings(found)
