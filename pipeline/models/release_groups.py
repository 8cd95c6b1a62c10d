"""`releases/<name>.yaml`: several promotions in one request and one review; all move or none."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.models.base import Model, TreeIdField
from pipeline.models.draft_id import DraftId
from pipeline.models.requests import EnvironmentName, Promotion, Request, RequestedRelease
from pipeline.models.windows import Lane, Sentence


class GroupMember(Model):
    """One primitive of a group: the release that is to run, pinned as in a `Promotion`."""

    draft: DraftId
    release: RequestedRelease
    # The exact tree of `environments/<env>/<instance>` that will be written.
    overlay_tree: TreeIdField | None = None


class ReleaseGroup(Request):
    """`releases/<name>.yaml`: run these releases in one environment, all of them or none."""

    kind: Literal["ReleaseGroup"]
    environment: EnvironmentName
    # The lane of every member.
    lane: Lane = "normal"
    reason: Sentence
    members: tuple[GroupMember, ...] = Field(min_length=2, max_length=20)

    @property
    def drafts(self) -> tuple[DraftId, ...]:
        """The members' drafts, in the order of the file, each once."""
        return tuple(dict.fromkeys(member.draft for member in self.members))

    def promotion_of(self, draft: str) -> Promotion | None:
        """What the group asks for one draft, as a promotion; None for a draft that it lacks."""
        member = next((m for m in self.members if m.draft == draft), None)
        if member is None:
            return None
        return Promotion(
            api_version=self.api_version,
            kind="Promotion",
            draft=member.draft,
            environment=self.environment,
            release=member.release,
            overlay_tree=member.overlay_tree,
            lane=self.lane,
            reason=self.reason,
        )


def promotion_in(request: Request | None, draft: str) -> Promotion | None:
    """What a request asks for a draft: a promotion itself, or a group's part; None for neither."""
    if isinstance(request, ReleaseGroup):
        return request.promotion_of(draft)
    return request if isinstance(request, Promotion) else None
