"""Release groups as somebody asks for them: each member pinned as in its own promotion."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.diagnostics import Finding, Location
from pipeline.engine.engine import Engine
from pipeline.engine.propose import PromotionProposal
from pipeline.engine.proposed import judge_proposed, render_request
from pipeline.errors import Refused, UsageFault
from pipeline.models.draft_id import parse_draft_id
from pipeline.models.windows import Lane
from pipeline.requests.kinds import request_path
from pipeline.requests.layout import group_path
from pipeline.requests.proposed import ProposedRequest


def request_group(
    engine: Engine,
    name: str,
    environment: str,
    drafts: Sequence[str],
    *,
    reason: str,
    lane: Lane = "normal",
) -> ProposedRequest:
    """The request to run releases of several drafts in an environment, all of them or none.

    Raises UsageFault for an unknown draft or environment, Refused with every finding: also those of
    the gate against a member that it could never let pass.
    """
    ids, path = [parse_draft_id(draft) for draft in drafts], group_path(name)
    if request_path(path) is None:
        raise UsageFault(f"`{name}` is no name of a release group", help="write it as `spring-2`")
    proposals = engine.proposer.propose_group(ids, environment, reason=reason, lane=lane)
    against = [
        Finding(reason.code, f"{proposal.promotion.draft}: {reason.message}", Location(path))
        for proposal in proposals
        for reason in proposal.decision.reasons
        if reason.final
    ]
    if against:
        raise Refused(f"{environment} would refuse the group; nothing was written", tuple(against))
    members = [
        proposal.promotion.model_dump(
            mode="json", include={"draft", "release", "overlay_tree"}, exclude_none=True
        )
        for proposal in proposals
    ]
    values: dict[str, object] = {"environment": environment, "reason": reason}
    values |= {"lane": lane} if lane != "normal" else {}
    request = ProposedRequest(
        draft="",
        kind="ReleaseGroup",
        path=path,
        content=render_request("ReleaseGroup", path, {**values, "members": members}),
        title=f"Run {', '.join(ids)} in {environment}",
        body="\n".join([reason, "", *(f"- {_told_of(p)}" for p in proposals)]) + "\n",
    )
    return judge_proposed(engine, engine.snapshot(), request)


def _told_of(proposal: PromotionProposal) -> str:
    """One line on a member of a group, for its pull request."""
    promotion = proposal.promotion
    release = promotion.release.digest or f"source {promotion.release.source_commit}"
    lines = f"(+{proposal.lines_added} −{proposal.lines_removed} lines)"
    return f"{promotion.draft}: {release} {lines}"
