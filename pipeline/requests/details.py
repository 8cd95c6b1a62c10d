"""What each kind of request asks for, as lines of name and value for reviewers. Pure.

This module chooses a line's name; its value comes from the file and is shown as text.
"""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import names
from pipeline.models.release_groups import ReleaseGroup
from pipeline.models.requests import (
    Acknowledgement,
    CodeOrigin,
    DraftPatch,
    ExternalStatement,
    PrimitiveImplementationDraft,
    Promotion,
    Retirement,
    Sku,
    Waiver,
)
from pipeline.requests.policy_changes import field_lines
from pipeline.requests.snapshot import Snapshot
from pipeline.requests.statements import stating_of, told_of

Detail = tuple[str, object]


def draft_details(
    draft: PrimitiveImplementationDraft,
    old: PrimitiveImplementationDraft | None,
    snapshot: Snapshot,
) -> Iterator[Detail]:
    """What a draft asks for, where it may run, and what changed."""
    yield "draft", draft.id
    yield "template", draft.template_id
    yield "origin", draft.code_origin
    yield "code goes to", draft.target_repo
    tenant = snapshot.tenant(draft.tenant_id)
    if tenant and snapshot.platform:
        place = (snapshot.platform.platform, draft.tenant_id, tenant.sku, draft.code_origin)
        runs = [_namespace(place, environment) for environment in snapshot.environments]
        yield "may run in", ", ".join(filter(None, runs))
    if old is not None:
        yield from field_lines(old, draft)


def _namespace(place: tuple[str, str, Sku, CodeOrigin], environment: str) -> str:
    """The line on where it would run; none if the name is refused, which is a separate finding."""
    try:
        return names.namespace(*place, environment)
    except names.NameRefused:
        return ""


def patch_details(
    patch: DraftPatch, old: DraftPatch | None, snapshot: Snapshot
) -> Iterator[Detail]:
    """What a patch changes."""
    yield "draft", patch.draft
    yield "made against", patch.base_commit[:12]
    yield "summary", patch.summary
    yield "changes", ", ".join(change.path for change in patch.changes)


def promotion_details(
    promotion: Promotion, old: Promotion | None, snapshot: Snapshot
) -> Iterator[Detail]:
    """What a promotion would run, and where."""
    yield "draft", promotion.draft
    yield "environment", promotion.environment
    yield "source commit", promotion.release.source_commit
    yield "digest", promotion.release.digest or "that of the source commit, once built"
    if promotion.overlay_tree:
        yield "writes exactly the tree", promotion.overlay_tree
    if promotion.lane != "normal":
        yield "lane", promotion.lane
    if not promotion.goes_further:
        yield "goes further", "only if a person asks for it"
    if promotion.hold:
        yield "hold", f"{promotion.hold}; what runs there stays"
    yield "reason", promotion.reason


def group_details(
    group: ReleaseGroup, old: ReleaseGroup | None, snapshot: Snapshot
) -> Iterator[Detail]:
    """What a group would run, member by member, and where."""
    yield "environment", group.environment
    for member in group.members:
        promotion = group.promotion_of(member.draft)
        if promotion is not None:
            told = dict(promotion_details(promotion, None, snapshot))
            yield "member", told.pop("draft")
            for name in ("source commit", "digest", "writes exactly the tree"):
                if name in told:
                    yield name, told[name]
    if group.lane != "normal":
        yield "lane of all", group.lane
    yield "reason", group.reason


def waiver_details(waiver: Waiver, old: Waiver | None, snapshot: Snapshot) -> Iterator[Detail]:
    """What a waiver waives, and from when until when."""
    yield "draft", waiver.draft
    yield "environment", waiver.environment
    yield "waives the rule", waiver.rule
    yield "for the image", waiver.digest
    yield "from", waiver.starts
    yield "until just before", waiver.expires
    yield "reason", waiver.reason


def statement_details(
    statement: ExternalStatement, old: ExternalStatement | None, snapshot: Snapshot
) -> Iterator[Detail]:
    """What a statement says; its signature is verified when a promotion rests on it."""
    yield "draft", statement.draft
    try:
        yield from told_of(stating_of(statement))
    except ValueError as error:
        yield "says", f"nothing that can be read: {error}"


def retirement_details(
    retirement: Retirement, old: Retirement | None, snapshot: Snapshot
) -> Iterator[Detail]:
    """What a retirement takes out, in which order."""
    yield "draft", retirement.draft
    yield "is taken out of", ", ".join([*snapshot.environments][::-1])
    yield "reason", retirement.reason


def acknowledgement_details(
    settled: Acknowledgement, old: Acknowledgement | None, snapshot: Snapshot
) -> Iterator[Detail]:
    """The commits and findings that an acknowledgement settles."""
    yield "acknowledgement", settled.acknowledgement
    yield "repository", settled.repository
    yield "commits", ", ".join(settled.commits)
    yield "findings", ", ".join(f"{f.code} at {f.at}" for f in settled.findings)
    yield "reason", settled.reason
