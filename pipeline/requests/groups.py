"""Rules of release groups: each member is a draft on main, once, pinned as its own promotion is."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.diagnostics import Finding, Rule, Subject, register
from pipeline.documents import ParsedDocument
from pipeline.models.base import API_VERSION
from pipeline.models.release_groups import ReleaseGroup
from pipeline.requests.drafts import check_promotion
from pipeline.requests.layout import draft_path
from pipeline.requests.snapshot import Snapshot

_GROUP = f"""# file: releases/spring.yaml
apiVersion: {API_VERSION}
kind: ReleaseGroup
environment: dev
reason: The router and what it asks belong together
members:
  - draft: acme/order-router
    release:
      source_commit: 0123456789abcdef0123456789abcdef01234567
  - draft: {{other}}
    release:
      source_commit: 76543210fedcba9876543210fedcba9876543210
"""
GROUP_MEMBER_UNKNOWN = register(
    Rule(
        id="group-member-unknown",
        summary="Each member of a release group is a draft on main.",
        why="all members move or none, so one that does not exist stops the others for good",
        fix="correct the draft's id, or create the draft first: `pipeline draft create`",
        subject=Subject.REQUEST,
        fails=_GROUP.format(other="acme/no-such-draft"),
        passes=_GROUP.format(other="contoso/supplier-rating"),
    )
)
GROUP_MEMBER_TWICE = register(
    Rule(
        id="group-member-twice",
        summary="A release group names each draft once.",
        why="of two releases of one draft in one environment only one can run",
        fix="leave one of them out",
        subject=Subject.REQUEST,
        fails=_GROUP.format(other="acme/order-router"),
        passes=_GROUP.format(other="contoso/supplier-rating"),
    )
)


def check_group(
    group: ReleaseGroup, snapshot: Snapshot, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings for a release group, from the control repo alone."""
    seen: set[str] = set()
    for number, member in enumerate(group.members):
        at = ("members", number)
        if member.draft in seen:
            yield GROUP_MEMBER_TWICE.finding(
                f"`{member.draft}` is a member already", document.position_of((*at, "draft"))
            )
            continue
        seen.add(member.draft)
        if draft_path(member.draft) not in snapshot.blobs:
            yield GROUP_MEMBER_UNKNOWN.finding(
                f"there is no `{draft_path(member.draft)}`",
                document.position_of((*at, "draft")),
            )
        promotion = group.promotion_of(member.draft)
        if promotion is not None:
            yield from check_promotion(promotion, snapshot, document, at)
