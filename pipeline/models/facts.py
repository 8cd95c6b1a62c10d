"""Facts: what happened to a draft, as immutable records, each chained to the one before.

A fact is stored as canonical JSON on `state/<tenant>`, the first at
`drafts/<primitive_id>/facts/<nnnnnn>-<type>.json` (docs/model.md §9; `pipeline.state.facts` says
where the others lie). `previous` is the SHA-256 of the draft's fact before it, empty for the first.
A correction is a new fact. Bodies are a closed union discriminated by `type`.

Every fact says when it was decided, and which moments the world itself holds: of reviews, merges
and observations. Facts of older tools hold no time (docs/adr/0015-times.md).
"""

from __future__ import annotations

from operator import not_
from typing import Annotated, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from pipeline.models.base import (
    API_VERSION,
    ApiVersion,
    BlobIdField,
    CommitIdField,
    FactHashField,
    Identifier,
    ImageDigestField,
    Model,
    Moment,
    ToldText,
    TreeIdField,
    without_empty,
)
from pipeline.models.draft_id import DraftId
from pipeline.models.draft_state import DraftState
from pipeline.models.evidence import BuildRecord, CheckReport, Observation
from pipeline.models.requests import (
    CodeOrigin,
    EnvironmentName,
    PrimitiveType,
    RiskTier,
    Sku,
)
from pipeline.models.windows import Lane


class GivenReview(Model):
    """One review, as the forge reported it."""

    account: int
    commit: str  # the reviewed revision; empty if the forge no longer has it
    verdict: Literal["approved", "changes-requested", "commented", "dismissed"]
    at: Moment | None = Field(None, exclude_if=not_)


class Brought(Model):
    """How a revision of a request reached main, as the forge reported it.

    With this and the policy at `base`, which clones hold, its authority can be judged again.
    """

    pull: int  # number of the pull request
    base: CommitIdField  # main just before the merge
    head: CommitIdField  # the merged revision
    author: int
    pushers: tuple[int, ...]  # every account that pushed the branch, sorted
    is_pusher_known: bool  # whether the forge saw who pushed `head`
    reviews: tuple[GivenReview, ...]  # in the order they were given


class Cause(Model):
    """What caused the fact: the request, as of a commit, and who asked, in which run."""

    request: str  # path in the control repo
    commit: CommitIdField  # the commit of main that brought this revision of the request
    blob: BlobIdField  # of the request's content
    run: str
    actor: int  # numeric id of the account that asked
    merged_at: Moment | None = Field(None, exclude_if=not_)  # committer date of `commit`
    # None for a request in the repository's first commit: there was no policy before it.
    brought: Brought | None = None


class PullRequestLink(Model):
    """Where a pull request is."""

    repo: str
    number: int
    url: str


class Reason(Model):
    """One reason for a refusal: the rule's stable code and the message."""

    code: str
    message: ToldText


class Release(Model):
    """A release: the same in every environment (docs/model.md §10)."""

    source_commit: CommitIdField
    source_tree: TreeIdField
    digest: ImageDigestField
    base_tree: TreeIdField


class Accepted(Model):
    """The draft's request was merged and is valid; names and namespaces are settled."""

    type: Literal["accepted"] = "accepted"
    tenant_id: Identifier
    primitive_id: Identifier
    primitive_type: PrimitiveType
    template_id: str
    template_digest: TreeIdField
    code_origin: CodeOrigin
    sku: Sku
    risk_tier: RiskTier
    target_repo: str
    gitops_repo: str
    instance: str
    image: str
    design_refs: tuple[str, ...]
    target_namespaces: dict[EnvironmentName, str]
    # The same environments in policy order, which canonical JSON does not keep.
    environments: tuple[EnvironmentName, ...] = Field((), exclude_if=not_)

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        if self.environments and sorted(self.environments) != sorted(self.target_namespaces):
            raise ValueError("`environments` and `target_namespaces` name different environments")
        return self


class Provisioned(Model):
    """Both target repositories exist, with their branch rules; `rules` is the key of the rules."""

    type: Literal["provisioned"] = "provisioned"
    repos: tuple[str, ...]
    rules: str = ""

    @model_serializer(mode="wrap")
    def _as_written(self, dump: SerializerFunctionWrapHandler) -> dict[str, object]:
        return without_empty("rules", dump(self))


class Scaffolded(Model):
    """The rendered template stands on a branch, with a pull request."""

    type: Literal["scaffolded"] = "scaffolded"
    branch: str
    commit: CommitIdField
    tree: TreeIdField
    pull_request: PullRequestLink


class PatchApplied(Model):
    """One accepted patch was applied to the draft's branch."""

    type: Literal["patch-applied"] = "patch-applied"
    patch: Annotated[str, Field(pattern=r"^[0-9]{4}$")]
    branch: str
    commit: CommitIdField
    tree: TreeIdField
    pull_request: PullRequestLink


class PatchRefused(Model):
    """One accepted patch was refused; the branch did not move."""

    type: Literal["patch-refused"] = "patch-refused"
    patch: Annotated[str, Field(pattern=r"^[0-9]{4}$")]
    reasons: tuple[Reason, ...]


class ChecksRecorded(Model):
    """The checks ran on one exact commit."""

    type: Literal["checks-recorded"] = "checks-recorded"
    report: CheckReport


class Built(Model):
    """The one image of a source tree was built."""

    type: Literal["built"] = "built"
    build: BuildRecord


class PromotionRefused(Model):
    """A promotion request cannot be carried out as it stands; a new revision may be."""

    type: Literal["promotion-refused"] = "promotion-refused"
    environment: EnvironmentName
    reasons: tuple[Reason, ...]


class UsedWaiver(Model):
    """A waived rule of the gate, the request that waived it, and how that request reached main."""

    rule: str
    request: str  # path in the control repo
    commit: CommitIdField  # the commit of main that brought it
    blob: BlobIdField
    brought: Brought | None = None
    approved_by: tuple[int, ...]  # accounts whose approval of the waiver counted


class UsedStatement(Model):
    """A signed statement that a promotion rests on."""

    request: str  # path in the control repo
    blob: BlobIdField
    signer: Identifier  # of `environments/signers.yaml`


class PromotionSuperseded(Model):
    """A promotion request that still waited was replaced by a newer one, which caused this fact."""

    type: Literal["promotion-superseded"] = "promotion-superseded"
    environment: EnvironmentName
    blob: BlobIdField  # of the request that was replaced
    commit: CommitIdField  # the commit of main that brought it
    # Where the replaced request lies; empty where the newer one lies.
    request: str = Field("", exclude_if=not_)


class HoldLifted(Model):
    """People let an environment go on after a rollback; what runs there stays."""

    type: Literal["hold-lifted"] = "hold-lifted"
    environment: EnvironmentName
    hold: int = Field(ge=1)  # the number of the rollback's fact
    approved_by: tuple[int, ...]


class PartOfGroup(Model):
    """The release group that a promotion was part of; the fact's cause is the group's file.

    `decided_at` is the moment at which the gate let all members pass: that of the first move.
    """

    name: Identifier
    decided_at: Moment


class Promoted(Model):
    """An overlay was merged; the delivery tool syncs it from here."""

    type: Literal["promoted"] = "promoted"
    environment: EnvironmentName
    namespace: str
    release: Release
    overlay_tree: TreeIdField
    overlay_folder: str
    gitops_repo: str
    gitops_commit: CommitIdField
    merged_at: Moment | None = Field(None, exclude_if=not_)  # committer date of `gitops_commit`
    pull_request: PullRequestLink
    approved_by: tuple[int, ...]
    checks: tuple[str, ...]
    # The commit of the control repo whose policy decided it. Facts of older tools lack it, and so
    # do those of overlays that were merged by hand.
    policy: CommitIdField | None = Field(None, exclude_if=not_)
    # The rules that failed but were waived.
    waived: tuple[UsedWaiver, ...] = Field((), exclude_if=not_)
    # The signed statements that it rests on, of all that main had at the commit of that policy.
    stated: tuple[UsedStatement, ...] = Field((), exclude_if=not_)
    # The draft's state after this promotion, by the policy of the time. Facts of older tools lack
    # it; their environments are named like stages.
    state: DraftState | None = Field(None, exclude_if=not_)
    # A rollback holds the environment: nothing automatic changes it until people let it go on.
    lane: Lane = Field("normal", exclude_if="normal".__eq__)
    # Whether bots may ask for this release in the environments after this one.
    goes_further: bool = Field(True, exclude_if=bool)
    # Whether policy rolled it back by itself, and the number of the observation that it followed.
    automatic: bool = Field(False, exclude_if=not_)
    observed: int = Field(0, exclude_if=not_)
    group: PartOfGroup | None = Field(None, exclude_if=not_)


class Retired(Model):
    """A retired primitive's overlay was taken out of one environment."""

    type: Literal["retired"] = "retired"
    environment: EnvironmentName
    overlay_folder: str
    gitops_repo: str
    gitops_commit: CommitIdField
    merged_at: Moment | None = Field(None, exclude_if=not_)  # committer date of `gitops_commit`
    pull_request: PullRequestLink


class Observed(Model):
    """A delivery tool reported the health of a promoted release."""

    type: Literal["observed"] = "observed"
    observation: Observation


class Rejected(Model):
    """The draft ended: it was retired, or its pull request was closed without a merge."""

    type: Literal["rejected"] = "rejected"
    reason: ToldText


FactBody = Annotated[
    Accepted
    | Provisioned
    | Scaffolded
    | PatchApplied
    | PatchRefused
    | ChecksRecorded
    | Built
    | PromotionRefused
    | PromotionSuperseded
    | HoldLifted
    | Promoted
    | Retired
    | Observed
    | Rejected,
    Field(discriminator="type"),
]


class Fact(Model):
    """One link of a draft's chain."""

    api_version: ApiVersion = Field(API_VERSION, alias="apiVersion")
    kind: Literal["Fact"] = "Fact"
    draft: DraftId
    sequence: int = Field(ge=1, le=999_999)
    previous: FactHashField
    # By the clock of the deciding run, and no later than the recorded merge.
    decided_at: Moment | None = Field(None, exclude_if=not_)
    cause: Cause
    body: FactBody
