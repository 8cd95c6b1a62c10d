"""Plans: what a run would do, as a closed union of effects.

A plan is data: it prints, and is saved and applied exactly (docs/adr/0002-plan-then-apply.md).
Every effect is find-or-create or compare-and-swap and carries an idempotency key. A plan already
names the commits to be written, since git's ids are computed (`pipeline.git.objects`). What only
the world knows (a pull request's number, a merge commit, a check's result) is filled into the facts
when they are published, which is always last.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Annotated, Literal, assert_never

from pydantic import Field, StringConstraints

from pipeline.errors import Failure
from pipeline.forges.port import DeploymentState
from pipeline.models.base import API_VERSION, ApiVersion, CommitIdField, Model, Moment
from pipeline.models.evidence import CheckName
from pipeline.models.facts import Cause, Reason

# A plan is read back from a file, so its ids are validated again.
ObjectId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]


class Content(Model):
    """The bytes of one new blob: as text where they are UTF-8, else as base64."""

    text: str | None = None
    base64: str | None = None

    @classmethod
    def of(cls, content: bytes) -> Content:
        """These bytes as text if they are UTF-8, so that reviewers can read them."""
        try:
            return cls(text=content.decode())
        except UnicodeDecodeError:
            return cls(base64=base64.b64encode(content).decode())

    @property
    def content(self) -> bytes:
        """The bytes."""
        if self.text is not None:
            return self.text.encode()
        return base64.b64decode(self.base64 or "")


class PlannedRule(Model):
    """A branch rule to set on a repository; see `pipeline.forges.port.BranchRule`."""

    pattern: str
    push: tuple[int, ...] | None = None
    merge: tuple[int, ...] | None = None
    approvals: int = 0


class EnsureRepo(Model):
    """The repository exists, with this first commit and these rules."""

    kind: Literal["ensure-repo"] = "ensure-repo"
    key: str
    draft: str
    repo: str
    description: str
    default_branch: str = "main"
    files: dict[str, Content]
    message: str
    time_s: int
    rules: tuple[PlannedRule, ...]
    owners: tuple[str, ...]  # teams that may write to it


class EnsureRules(Model):
    """The existing repository has exactly these rules, and these teams may write to it."""

    kind: Literal["ensure-rules"] = "ensure-rules"
    key: str
    draft: str
    repo: str
    rules: tuple[PlannedRule, ...]
    owners: tuple[str, ...]


class CommitFolder(Model):
    """`branch` holds `commit`, in which `folder` is exactly `entries` over `base`."""

    kind: Literal["commit-folder"] = "commit-folder"
    key: str
    draft: str
    repo: str
    branch: str
    base: ObjectId  # the parent of the commit
    expected: ObjectId | None  # the branch's head now; None if there is no such branch
    folder: str
    entries: dict[str, tuple[int, str]]  # path below folder → mode, blob id
    blobs: dict[str, Content]  # blob id → bytes, only new ones
    folder_tree: ObjectId | None  # None: the folder is taken out
    commit: ObjectId
    message: str
    time_s: int


class OpenPull(Model):
    """The branch has one pull request."""

    kind: Literal["open-pull"] = "open-pull"
    key: str
    draft: str
    repo: str
    branch: str
    base_branch: str
    title: str
    body: str


class RestoreOverlays(Model):
    """`branch` holds `commit`, in which `environments/` is exactly these overlays over `base`.

    Their trees are in the repository's history; nothing else of `base` changes.
    """

    kind: Literal["restore-overlays"] = "restore-overlays"
    key: str
    draft: str  # the repository's name: this effect belongs to all its drafts
    repo: str
    branch: str
    base: ObjectId  # the parent of the commit: the head that differs from what was promoted
    expected: ObjectId | None  # the branch's head now; None if there is no such branch
    overlays: dict[str, ObjectId]  # folder → tree
    commit: ObjectId
    message: str
    time_s: int


class MergePull(Model):
    """The pull request of the branch is merged at exactly this head.

    The merge is dated by the moment at which it was decided: a plan holds no time but its own.
    """

    kind: Literal["merge-pull"] = "merge-pull"
    key: str
    draft: str
    repo: str
    branch: str
    base_branch: str
    expected_head: ObjectId
    message: str
    number: int | None = None  # of another author's pull request; None for the one this plan opens


class ClosePull(Model):
    """The pipeline's own pull request is closed."""

    kind: Literal["close-pull"] = "close-pull"
    key: str
    draft: str
    repo: str
    number: int


class RunChecks(Model):
    """The checks ran on the folder at the commit."""

    kind: Literal["run-checks"] = "run-checks"
    key: str
    draft: str
    repo: str
    commit: ObjectId
    folder: str
    tree: ObjectId
    names: tuple[CheckName, ...]


class BuildImage(Model):
    """The one image of the source tree exists in the registry."""

    kind: Literal["build-image"] = "build-image"
    key: str
    draft: str
    repo: str
    commit: ObjectId
    folder: str
    tree: ObjectId
    image: str
    labels: dict[str, str]


class Merged(Model):
    """The part of a fact that comes from a merge: its commit, and that commit's date."""

    gitops_commit: CommitIdField
    merged_at: Moment


MERGED = "merge"  # the key in `FactEntry.outcomes` for all fields of `Merged`


class ShowDeployment(Model):
    """People see on the forge that an environment runs a release, and how it does there.

    A mirror: nothing is decided by it, and a failure is a warning.
    """

    kind: Literal["show-deployment"] = "show-deployment"
    key: str
    draft: str
    repo: str
    commit: ObjectId
    environment: str
    name: str  # the same for the same promotion
    state: DeploymentState
    title: str
    comment: str  # on the state
    link: str
    is_production: bool
    details: dict[str, str]


class FactEntry(Model):
    """A fact to publish: the known part of its body, and the fields that effects fill in."""

    draft: str
    cause: Cause
    type: str
    known: dict[str, object]
    outcomes: dict[str, str] = Field({})  # field → key of the effect whose outcome it is
    # Type and body of the fact to publish instead if one of these effects is refused.
    if_refused: dict[str, object] = Field({})


class AppendFacts(Model):
    """The facts stand on `state/<tenant>`, in one commit on top of `expected`."""

    kind: Literal["append-facts"] = "append-facts"
    key: str
    tenant: str
    expected: ObjectId | None
    entries: tuple[FactEntry, ...]
    time_s: int


Effect = Annotated[
    EnsureRepo
    | EnsureRules
    | CommitFolder
    | RestoreOverlays
    | OpenPull
    | MergePull
    | ClosePull
    | RunChecks
    | BuildImage
    | ShowDeployment
    | AppendFacts,
    Field(discriminator="kind"),
]


class Waiting(Model):
    """A request that cannot go on yet, and what it waits for (code, message).

    `until` is the first moment at which time alone may change that, if there is one.
    """

    draft: str
    request: str
    reasons: tuple[tuple[str, str], ...]
    until: Moment | None = None


class Incident(Model):
    """Something in a GitOps repository that is not as it was promoted."""

    repo: str
    path: str
    code: str
    message: str


class TenantPlan(Model):
    """The plan for one tenant; facts last."""

    tenant: str
    state_head: ObjectId | None
    effects: tuple[Effect, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    incidents: tuple[Incident, ...] = ()
    # Subjects that could not be read; nothing is planned for them.
    failures: tuple[Failure, ...] = ()
    warnings: tuple[Failure, ...] = ()  # what people could not be shown

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.effects


class Plan(Model):
    """What a run would do now for the chosen tenants."""

    api_version: ApiVersion = Field(API_VERSION, alias="apiVersion")
    kind: Literal["Plan"] = "Plan"
    tool_version: str
    control_commit: ObjectId
    made_at: Moment
    tenants: tuple[TenantPlan, ...]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do for any tenant."""
        return all(t.is_empty for t in self.tenants)

    @property
    def effects(self) -> tuple[Effect, ...]:
        """All effects, tenant by tenant, in the order they are applied."""
        return tuple(e for t in self.tenants for e in t.effects)


class Receipt(Model):
    """What applying a plan did: the effects carried out or found done."""

    applied: tuple[tuple[str, str], ...] = ()  # key, kind
    failures: tuple[Failure, ...] = ()
    waiting: tuple[Waiting, ...] = ()  # merges that the forge queued and will do itself
    warnings: tuple[Failure, ...] = ()  # what people could not be shown

    @property
    def count(self) -> int:
        """How many effects were carried out or found."""
        return len(self.applied)


def describe(effect: Effect) -> str:
    """One line that describes an effect."""
    match effect:
        case EnsureRepo():
            return f"ensure repository {effect.repo}"
        case EnsureRules():
            return f"bring the branch rules of {effect.repo} in line"
        case CommitFolder():
            if effect.folder_tree is None:
                return f"take {effect.folder} out of {effect.repo}:{effect.branch}"
            files = len(effect.entries)
            return f"write {effect.folder} ({files} files) to {effect.repo}:{effect.branch}"
        case RestoreOverlays():
            overlays = len(effect.overlays)
            return f"put back {overlays} overlays of {effect.repo} as {effect.branch}"
        case OpenPull():
            return f"open pull request {effect.repo}:{effect.branch} into {effect.base_branch}"
        case MergePull():
            return f"merge {effect.repo}:{effect.branch} at {effect.expected_head[:10]}"
        case ClosePull():
            return f"close pull request {effect.repo}#{effect.number}"
        case RunChecks():
            return f"run {', '.join(effect.names)} on {effect.repo}@{effect.commit[:10]}"
        case BuildImage():
            return f"build {effect.image} from tree {effect.tree[:10]}"
        case ShowDeployment():
            where = f"{effect.repo}@{effect.commit[:10]}"
            return f"show {where} in {effect.environment} as {effect.state}"
        case AppendFacts():
            counts: dict[str, int] = {}
            for entry in effect.entries:
                counts[entry.type] = counts.get(entry.type, 0) + 1
            listed = ", ".join(name if n == 1 else f"{n} {name}" for name, n in counts.items())
            return f"record {listed} on state/{effect.tenant}"
    assert_never(effect)


def missing_step(plans: Iterable[TenantPlan], allowed: Iterable[TenantPlan]) -> str:
    """A description of the first effect or fact in `plans` that `allowed` lacks; empty if none."""
    others = [effect for plan in allowed for effect in plan.effects]
    known = {(e.kind, e.key): e for e in others}
    facts = [entry for e in others if isinstance(e, AppendFacts) for entry in e.entries]
    for effect in (e for plan in plans for e in plan.effects):
        if isinstance(effect, AppendFacts):
            lacking = [entry for entry in effect.entries if entry not in facts]
            if lacking:
                return describe(effect.model_copy(update={"entries": tuple(lacking)}))
        elif isinstance(effect, ShowDeployment):
            continue
        elif known.get((effect.kind, effect.key)) != effect:
            return describe(effect)
    return ""


def resolved_body(entry: FactEntry, outcomes: Mapping[str, object]) -> dict[str, object]:
    """The body of a fact, filled in from the outcomes of its effects.

    A Reason as outcome means that the effect was refused. Raises KeyError for an effect without
    an outcome: such a fact must not be published.
    """
    filled = {field: outcomes[key] for field, key in entry.outcomes.items()}
    reasons = [outcome for outcome in filled.values() if isinstance(outcome, Reason)]
    if reasons:
        return {**entry.if_refused, "reasons": [r.model_dump(mode="json") for r in reasons]}
    merged = filled.pop(MERGED, None)
    told = merged.model_dump() if isinstance(merged, Merged) else {}
    return {"type": entry.type, **entry.known, **filled, **told}
