"""The kinds of request that `main` of a control repo holds (docs/model.md §7).

Field names of the draft are those of the platform's message `PrimitiveImplementationDraft`.
Every model is frozen, refuses unknown fields and converts nothing. Limits of single fields are
here; checks across fields and files are in `pipeline.requests`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.models.approvals import ApprovalPolicy as ApprovalPolicy
from pipeline.models.approvals import TeamName as TeamName
from pipeline.models.base import (
    ApiVersion,
    CommitIdField,
    Identifier,
    ImageDigestField,
    Model,
    Moment,
    TreeIdField,
)
from pipeline.models.draft_id import DraftId
from pipeline.models.draft_state import Stage
from pipeline.models.evidence import CheckName
from pipeline.models.risk import RISK_TIERS as RISK_TIERS
from pipeline.models.risk import RiskTier as RiskTier
from pipeline.models.signers import Signer
from pipeline.models.soak import Soak
from pipeline.models.statements import StatementPolicy, VulnerabilityPolicy
from pipeline.models.windows import FastLane, Lane, PlatformWindow, Sentence, Window

# A DNS label (RFC 1035) without `--`, which separates the parts of derived names. Those names have
# limits of their own: `pipeline.names`.
EnvironmentName = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=40)
]
RuleId = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=60)]
ReleaseName = Annotated[
    str,
    StringConstraints(
        pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*@[0-9]+\.[0-9]+\.[0-9]+$", max_length=60
    ),
]


class Sku(StrEnum):
    """How a tenant's product runs (docs/model.md §3)."""

    SHARED = "Shared"
    NAMESPACE = "Namespace"
    PRIVATE = "Private"


class CodeOrigin(StrEnum):
    """Who wrote a primitive's code; only `platform` may run in shared or base namespaces."""

    PLATFORM = "platform"
    TENANT = "tenant"
    AGENT = "agent"


class PrimitiveType(StrEnum):
    """What a primitive is (docs/model.md §5)."""

    DOMAIN = "domain"
    PROCESS = "process"
    AGENT = "agent"
    UI = "ui"


class Request(Model):
    """The field that every request file starts with."""

    api_version: ApiVersion = Field(alias="apiVersion")


class Account(Model):
    """One account of the forge: its numeric id never changes, its login may."""

    id: int = Field(ge=1)
    login: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9])*(\[bot\])?$", max_length=45)
    ]
    kind: Literal["person", "bot", "pipeline"]
    teams: tuple[TeamName, ...] = ()
    # For a bot: the tenants it may make requests for. Empty means none.
    tenants: tuple[Identifier, ...] = ()
    # For a bot: the people (by id) it acts for. They may not approve its requests.
    delegators: tuple[int, ...] = ()


class RepoNames(Model):
    """Names of repositories that are not derived from a tenant."""

    control: Identifier = "control"


class Registry(Model):
    """Where images go: `prefix` is host and path, without a trailing slash."""

    prefix: Annotated[
        str,
        StringConstraints(
            pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?(/[a-z0-9]+([._-][a-z0-9]+)*)*$",
            max_length=150,
        ),
    ]
    store: Literal["layout", "registry"] = "layout"


class Reach(Model):
    """One port of one namespace."""

    namespace: Identifier
    port: int = Field(443, ge=1, le=65535)


class Network(Model):
    """The traffic that every primitive's NetworkPolicy allows; all else is denied.

    The gateway is the only ingress and one egress (docs/model.md §12). `egress` adds further
    destinations by primitive type.
    """

    gateway: Reach = Reach(namespace="gateway")
    # May reach the port `health` of every primitive.
    metrics_namespace: Identifier | None = None
    egress: dict[PrimitiveType, tuple[Reach, ...]] = Field({})


class WaiverPolicy(Model):
    """Which rules of the gate may be waived for one release, and for how long."""

    rules: tuple[RuleId, ...] = Field(min_length=1)
    longest_days: int = Field(ge=1, le=90)


class Platform(Request):
    """`environments/platform.yaml`: settings of the whole platform."""

    kind: Literal["Platform"]
    platform: Annotated[
        str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", max_length=20)
    ]
    organisation: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9])*$", max_length=39)
    ]
    # Web address of the forge, without a trailing slash.
    forge_url: Annotated[
        str,
        StringConstraints(
            pattern=r"^https://[a-z0-9]([a-z0-9.-]*[a-z0-9])?(:[0-9]+)?(/[A-Za-z0-9_-]+)*$",
            max_length=200,
        ),
    ] = "https://github.com"
    registry: Registry
    network: Network = Network()
    repos: RepoNames = RepoNames()
    accounts: tuple[Account, ...] = Field(min_length=1)
    # Teams that own `environments/` and everything else of the platform.
    owners: tuple[TeamName, ...] = Field(min_length=1)
    # What a run does when a GitOps repository differs from what was promoted: restore the sealed
    # trees, or report it and wait.
    gitops_drift: Literal["restore", "report"] = "report"
    kubernetes_version: Annotated[str, StringConstraints(pattern=r"^1\.[0-9]+\.[0-9]+$")] = "1.33.0"
    # Windows for promotions, in all or some environments; an environment's own windows come on top.
    windows: tuple[PlatformWindow, ...] = Field((), max_length=50)
    # Lane → teams; using the lane needs one more approval, from a member of one of them. A lane
    # that is not listed may not be used.
    lanes: dict[FastLane, Annotated[tuple[TeamName, ...], Field(min_length=1)]] = Field({})
    # The rules that may be waived, and for how long; without it none may.
    waivers: WaiverPolicy | None = None

    def account(self, user_id: int) -> Account | None:
        """The account with this id, if the platform lists it."""
        return next((a for a in self.accounts if a.id == user_id), None)

    @property
    def pipeline_account(self) -> Account:
        """The pipeline's own account."""
        return next(a for a in self.accounts if a.kind == "pipeline")

    def members(self, teams: tuple[str, ...]) -> frozenset[int]:
        """The ids of the people in any of `teams`; bots never count as reviewers."""
        return frozenset(
            a.id for a in self.accounts if a.kind == "person" and set(a.teams) & set(teams)
        )

    def held_to(self, teams: Mapping[str, frozenset[int]]) -> Platform:
        """The platform with people kept in these teams only where the forge lists them too.

        Someone who left a team on the forge no longer approves for it, even before this file
        changes; membership on the forge alone is not enough either.
        """
        if not teams:
            return self

        def kept(account: Account) -> Account:
            left = tuple(t for t in account.teams if t not in teams or account.id in teams[t])
            return account if left == account.teams else account.model_copy(update={"teams": left})

        return self.model_copy(update={"accounts": tuple(kept(a) for a in self.accounts)})


class RollbackOn(Model):
    """The health at which a release is rolled back by itself, and how long it must have lasted."""

    health: Literal["degraded"]
    minutes: int = Field(ge=0, le=1440)


# How a delivery tool finds a release: by the overlay's folder, or by its own manifest.
DeliveryForm = Literal["applicationset", "application", "helmrelease", "kustomization"]


def _stage_of_name(fields: dict[str, object]) -> object:
    return fields.get("environment")


class Environment(Request):
    """`environments/<env>/environment.yaml`: one environment and its policy."""

    kind: Literal["Environment"]
    environment: EnvironmentName
    # By default its name, if that is a stage.
    stage: Stage = Field(default_factory=_stage_of_name, validate_default=True)
    promotes_from: tuple[EnvironmentName, ...] = ()
    # A draft has reached a stage when all required environments of the stage run the same release;
    # if none is required, when one environment of the stage runs one.
    required: bool = False
    # When the pipeline merges the GitOps pull request of an allowed promotion: at once, or once an
    # owner of the repository has approved it as well.
    merge: Literal["auto", "manual"] = "auto"
    required_checks: tuple[CheckName, ...] = ()
    approvals: dict[RiskTier, ApprovalPolicy] = Field({})
    # The same for single tenants, instead of the entries above.
    tenant_approvals: dict[Identifier, dict[RiskTier, ApprovalPolicy]] = Field({})
    # Builders whose images may run here; empty means any.
    builders: tuple[Literal["source-layout", "buildah", "buildx"], ...] = ()
    # Whether an image needs signed provenance.
    provenance: Literal["required", "unchecked"] = "required"
    # Signed statements that an image needs, such as one of a change ticket.
    statements: tuple[StatementPolicy, ...] = Field((), max_length=20)
    # The vulnerability report that an image needs.
    vulnerabilities: VulnerabilityPolicy | None = None
    requires_default_branch: bool = False
    # What runs primitives there: plain workloads, or operators acting on custom resources.
    runtime: Literal["workload", "operator"] = "workload"
    settings: dict[str, str] = Field({})
    # When promotions pass.
    windows: tuple[Window, ...] = Field((), max_length=50)
    # The maximum age of a delivery tool's observation; an older one does not count.
    observed_within_hours: int = Field(6, ge=1, le=720)
    # How a delivery tool learns of a release; all but the first put a manifest into the overlay.
    delivery: DeliveryForm = "applicationset"
    # The cluster in that manifest, by the tool's name for it; None means the tool's own.
    cluster: Identifier | None = None
    # When the pipeline itself goes back to the newest earlier release that ran healthy there: once
    # for each release, and never while a rollback holds the environment.
    rollback_on: RollbackOn | None = None
    # How long a release was seen healthy in one of `promotes_from`, without a break.
    soak: Soak | None = None

    @property
    def known_for_s(self) -> int:
        """For how many seconds an observation counts."""
        return self.observed_within_hours * 3600

    def approval_for(self, tier: RiskTier, tenant: str) -> ApprovalPolicy | None:
        """The approvals that a tier needs: its own entry, else that of the nearest lower tier.

        What is said of the tenant goes before what is said of all.
        """
        for entries in (self.tenant_approvals.get(tenant, {}), self.approvals):
            for level in reversed(RISK_TIERS[: RISK_TIERS.index(tier) + 1]):
                if level in entries:
                    return entries[level]
        return None

    @property
    def all_approvals(self) -> tuple[ApprovalPolicy, ...]:
        """Every entry of approvals, of whichever tier and tenant."""
        of_tenants = (p for entries in self.tenant_approvals.values() for p in entries.values())
        return (*self.approvals.values(), *of_tenants)


class BlockedDigest(Model):
    """One digest that may run nowhere."""

    digest: ImageDigestField
    reason: Sentence


class BlockedDigests(Request):
    """`environments/blocked-digests.yaml`: digests that no environment may run."""

    kind: Literal["BlockedDigests"]
    digests: tuple[BlockedDigest, ...] = ()


class Signers(Request):
    """`environments/signers.yaml`: the signers whose build provenance is accepted.

    `trusted_roots` are Sigstore trusted roots in their JSON form; without one, no workflow's
    certificate is trusted. `gh attestation trusted-root` prints GitHub's.
    """

    kind: Literal["Signers"]
    signers: tuple[Signer, ...] = Field(min_length=1)
    trusted_roots: tuple[dict[str, object], ...] = ()


class Halt(Model):
    """What is stopped and why; an empty list of environments or tenants means all of them."""

    reason: Sentence
    environments: tuple[EnvironmentName, ...] = ()
    tenants: tuple[Identifier, ...] = ()
    # Lanes that the stop does not block.
    lanes: tuple[FastLane, ...] = ()


class Stop(Request):
    """`environments/stop.yaml`: promotions wait for as long as it is on main."""

    kind: Literal["Stop"]
    stops: tuple[Halt, ...] = Field(min_length=1, max_length=50)


class Tenant(Request):
    """`tenants/<id>/tenant.yaml`: one tenant, how it runs and who owns it."""

    kind: Literal["Tenant"]
    tenant_id: Identifier
    sku: Sku
    custom_code: bool
    risk_tier: RiskTier
    owners: tuple[TeamName, ...] = Field(min_length=1)
    cost_centre: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$", max_length=63)
    ]


class PrimitiveImplementationDraft(Request):
    """`tenants/<id>/drafts/<primitive_id>/draft.yaml`: a request for one primitive."""

    kind: Literal["PrimitiveImplementationDraft"]
    id: DraftId
    tenant_id: Identifier
    primitive_type: PrimitiveType
    primitive_id: Identifier
    template_id: ReleaseName
    code_origin: CodeOrigin
    target_repo: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
    design_refs: tuple[
        Annotated[
            str,
            StringConstraints(
                pattern=r"^[a-z-]+/[a-z0-9]+(-[a-z0-9]+)*(@[0-9]+)?$", max_length=120
            ),
        ],
        ...,
    ] = Field((), max_length=20)
    # May raise the tenant's tier, never lower it.
    risk_tier: RiskTier | None = None
    # Validated against the template's own schema by rule `draft-parameters`.
    parameters: dict[str, object] = Field({})


class WriteFile(Model):
    """Create or replace a whole file; `content` is text, `content_base64` bytes."""

    op: Literal["write"]
    path: str
    content: str | None = None
    content_base64: str | None = None
    executable: bool = False


class ReplaceText(Model):
    """Replace `old`, which must stand in the file exactly once, by `new`."""

    op: Literal["replace"]
    path: str
    old: Annotated[str, StringConstraints(min_length=1)]
    new: str


class DeleteFile(Model):
    """Remove a file."""

    op: Literal["delete"]
    path: str


FileChange = Annotated[WriteFile | ReplaceText | DeleteFile, Field(discriminator="op")]


class DraftPatch(Request):
    """`…/patches/<nnnn>.yaml`: changes to a draft's files (docs/model.md §7.2).

    Paths are relative to the primitive's folder. `base_commit` is the branch head that the
    author read; a file that changed since then makes the patch stale.
    """

    kind: Literal["DraftPatch"]
    draft: DraftId
    base_commit: CommitIdField
    summary: Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\r\n]*$")]
    changes: tuple[FileChange, ...] = Field(min_length=1, max_length=500)


class RequestedRelease(Model):
    """The release that a promotion asks for; digest may be absent only where nobody approves."""

    source_commit: CommitIdField
    digest: ImageDigestField | None = None


class Promotion(Request):
    """`…/promotions/<env>.yaml`: run this release there (docs/model.md §7.3)."""

    kind: Literal["Promotion"]
    draft: DraftId
    environment: EnvironmentName
    release: RequestedRelease
    # The exact tree of `environments/<env>/<instance>` that will be written.
    overlay_tree: TreeIdField | None = None
    # A lane other than `normal` passes the windows and stops that list it.
    lane: Lane = "normal"
    # Whether bots may ask for this release in the environments after this one.
    goes_further: bool = True
    # Lets the environment go on after a rollback; `release` is then the one that runs there.
    hold: Literal["lifted"] | None = None
    reason: Sentence


class Retirement(Request):
    """`…/retire.yaml`: take the primitive out of all its environments and end the draft."""

    kind: Literal["Retirement"]
    draft: DraftId
    reason: Sentence


class Waiver(Request):
    """`…/waivers/<name>.yaml`: one rule is waived for one release in one environment for a time."""

    kind: Literal["Waiver"]
    draft: DraftId
    environment: EnvironmentName
    rule: RuleId
    digest: ImageDigestField
    # It counts from `starts` until just before `expires`.
    starts: Moment
    expires: Moment
    reason: Sentence


class ExternalStatement(Request):
    """`…/statements/<name>.yaml`: a signed statement about an image or its source commit."""

    kind: Literal["ExternalStatement"]
    draft: DraftId
    # A Sigstore bundle as JSON: a DSSE envelope with an in-toto statement.
    bundle: Annotated[str, StringConstraints(min_length=2)]


class SettledFinding(Model):
    """One finding of the audit: its code, and the place exactly as the audit prints it."""

    code: RuleId
    at: Annotated[str, StringConstraints(pattern=r"^[^\s\x00-\x1f]+$", max_length=400)]


class Acknowledgement(Request):
    """`environments/acknowledgements/<id>.yaml`: an incident in history that was looked into.

    History cannot be made undone, so the audit goes on showing it, as acknowledged and by whom.
    What lies there now is never acknowledged: that is put right.
    """

    kind: Literal["Acknowledgement"]
    acknowledgement: Identifier
    repository: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
    # The commits that no request asked for.
    commits: tuple[CommitIdField, ...] = Field((), max_length=100)
    # Findings about facts, which cannot be pinned on one commit.
    findings: tuple[SettledFinding, ...] = Field((), max_length=100)
    reason: Sentence
