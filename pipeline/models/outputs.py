"""The JSON documents that commands write, besides `Plan`, `DraftStatus` and `Fact`.

Each command writes one document with `apiVersion` and `kind`; their schemas are published.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pipeline.models.base import Model, Moment
from pipeline.models.decisions import (
    ApprovalsReport,
    ApprovalsWanted,
    DecisionDocument,
    PolicyDocument,
)
from pipeline.models.draft_id import DraftId
from pipeline.models.facts import Fact, Release
from pipeline.models.policy import PolicyDiffDocument, PolicyTestDocument
from pipeline.models.requests import EnvironmentName
from pipeline.models.run_report import (
    DecisionReasonItem,
    Document,
    FailureItem,
    FindingItem,
    IncidentItem,
    RunReportDocument,
)
from pipeline.models.status import DraftStatus


class SeverityCounts(Model):
    """How many findings of each severity there are."""

    error: int = Field(ge=0)
    warning: int = Field(ge=0)
    note: int = Field(ge=0)


class Link(Model):
    """A named link."""

    name: str
    url: str


class AuthorityRow(Model):
    """Who may ask for a change, and who must approve it."""

    kind: str
    path: str
    asks: str
    approves: tuple[str, ...]


class AuthorityDocument(Document):
    """The table that `pipeline authority` prints."""

    kind: Literal["Authority"] = "Authority"
    rows: tuple[AuthorityRow, ...]


class PromotionPreview(Model):
    """What a requested promotion would do, and what is known about it now."""

    draft: str
    environment: str
    problem: str = ""  # why there is no more to show
    namespace: str = ""
    source_commit: str = ""
    digest: str = ""
    running: str = ""  # the digest that runs there now
    builder: str = ""
    signer: str = ""  # of the image's provenance
    reasons: tuple[DecisionReasonItem, ...] = ()  # against it, apart from approvals
    links: tuple[Link, ...] = ()
    diff: tuple[str, ...] = ()  # of the manifests, against what runs now
    left_out: int = 0  # lines of the diff


class AskedItem(Model):
    """What one changed file of the control repo asks for."""

    path: str
    kind: str = Field(description="of the request; empty for other files and for deleted ones")
    asks: str
    details: tuple[tuple[str, str], ...] = ()
    approvals: ApprovalsWanted | None = None


class ValidationReport(Document):
    """What `validate` found; with `--since`, also what the changes ask for."""

    kind: Literal["ValidationReport"] = "ValidationReport"
    verdict: Literal["valid", "invalid", "could-not-check"]
    counts: SeverityCounts
    findings: tuple[FindingItem, ...]
    asked: tuple[AskedItem, ...] = ()


class ProvedItem(Model):
    """How many things of one kind were computed again with the same result."""

    what: str
    count: int


class TrustItem(Model):
    """How many things of one kind clones cannot prove, and who vouches for them."""

    what: str
    whose: str
    count: int


class AcknowledgedItem(Model):
    """An acknowledged finding: the file that acknowledges it, who brought it to main, and why."""

    finding: FindingItem
    path: str
    by: str
    reason: str


class AuditReportDocument(Document):
    """What `audit verify` read, proved, took on trust and found."""

    kind: Literal["AuditReport"] = "AuditReport"
    verdict: Literal["valid", "invalid", "could-not-check"]
    drafts: int
    facts: int
    overlays: int
    repositories: int
    remembered: int = Field(0, description="facts verified by an earlier audit and not read again")
    decisions: int = Field(0, description="of the gate that facts record")
    replayed_equal: int = Field(0, description="how many of these came out equal again")
    proved: tuple[ProvedItem, ...]
    trusted: tuple[TrustItem, ...]
    findings: tuple[FindingItem, ...]
    acknowledged: tuple[AcknowledgedItem, ...] = ()


class AuditLog(Document):
    """All facts of one draft, in order, with every link checked."""

    kind: Literal["AuditLog"] = "AuditLog"
    draft: str
    facts: tuple[Fact, ...]


class DraftStatusList(Document):
    """Where every draft stands, by id."""

    kind: Literal["DraftStatusList"] = "DraftStatusList"
    items: tuple[DraftStatus, ...]
    requested: tuple[str, ...] = Field(
        (), description="ids of drafts on main that have no fact yet"
    )
    incidents: tuple[IncidentItem, ...] = Field(
        (), description="what GitOps repositories hold that was never promoted"
    )
    failures: tuple[FailureItem, ...] = Field(
        (), description="drafts and repositories that could not be read"
    )
    findings: tuple[FindingItem, ...] = Field(
        (), description="blocked digests that run, and drafts whose files were deleted"
    )


class FileItem(Model):
    """One file of a draft; `content` is its text, or `content_base64` its bytes."""

    path: str
    executable: bool
    size_bytes: int
    content: str | None = None
    content_base64: str | None = None


class DraftFilesDocument(Document):
    """The files of a draft at one commit."""

    kind: Literal["DraftFiles"] = "DraftFiles"
    draft: str
    commit: str
    files: tuple[FileItem, ...]


class ReviewItem(Model):
    """One review of a pull request."""

    user: str
    user_id: int
    verdict: str
    commit: str
    body: str
    at: Moment | None = None


class PullRequestItem(Document):
    """One pull request as the forge has it."""

    kind: Literal["PullRequest"] = "PullRequest"
    name: str = Field(description="`REPO#NUMBER`, as the `review` commands take it")
    repo: str
    number: int
    title: str
    body: str
    state: Literal["open", "merged", "closed"]
    author: str
    author_id: int
    head_branch: str
    head: str
    base_branch: str
    merge_commit: str | None
    merged_at: Moment | None = None
    url: str
    reviews: tuple[ReviewItem, ...]


class PullRequestList(Document):
    """Pull requests of one repository."""

    kind: Literal["PullRequestList"] = "PullRequestList"
    repo: str
    items: tuple[PullRequestItem, ...]


class RequestProposal(Document):
    """A request written into the checkout or opened as a pull request."""

    kind: Literal["RequestProposal"] = "RequestProposal"
    draft: str = Field(description="the draft the request is for; empty for policy")
    path: str
    content: str
    findings: tuple[FindingItem, ...]
    outcome: Literal["written", "unchanged", "submitted", "on-main"]
    pull_request: str | None = Field(None, description="`REPO#NUMBER`, if one was opened or found")
    pull_request_state: Literal["open", "merged", "closed"] | None = None
    decision: DecisionDocument | None = None


class Error(Document):
    """Why a command ended without its result; `code` is stable."""

    kind: Literal["Error"] = "Error"
    code: str
    message: str
    help: str
    findings: tuple[FindingItem, ...]


class DoctorItem(Model):
    """One thing checked on this machine."""

    name: str
    state: Literal["ok", "missing", "optional"]
    detail: str
    help: str = ""


class DoctorReport(Document):
    """Whether this machine has what the pipeline needs."""

    kind: Literal["DoctorReport"] = "DoctorReport"
    verdict: Literal["valid", "could-not-check"]
    items: tuple[DoctorItem, ...]


class RuleItem(Model):
    """One rule for requests and releases, with a failing and a passing example."""

    code: str
    summary: str
    severity: Literal["error", "warning", "note"]
    subject: str
    could_not_check: bool
    why: str
    fix: str
    docs: str
    fails: str
    passes: str


class _KindRule(Document):
    kind: Literal["Rule"] = "Rule"


class RuleDocument(RuleItem, _KindRule):
    """One rule, as `explain` shows it."""


class RuleList(Document):
    """All rules, by code."""

    kind: Literal["RuleList"] = "RuleList"
    items: tuple[RuleItem, ...]


class ErrorCode(Document):
    """One code that a command may end with, as `explain` shows it."""

    kind: Literal["ErrorCode"] = "ErrorCode"
    code: str
    summary: str
    fix: str
    docs: str


class SchemaItem(Model):
    """One published schema."""

    kind: str
    file: str


class SchemaList(Document):
    """The kinds that have a schema."""

    kind: Literal["SchemaList"] = "SchemaList"
    items: tuple[SchemaItem, ...]


class TemplateItem(Model):
    """One golden template; `id` is name and version, `digest` the tree of its folder."""

    id: str
    name: str
    version: str
    digest: str
    files: int


class TemplateList(Document):
    """The golden templates, by name."""

    kind: Literal["TemplateList"] = "TemplateList"
    items: tuple[TemplateItem, ...]


class TemplateLintItem(Model):
    """What is malformed in one template; no reasons if nothing is."""

    template: str
    reasons: tuple[str, ...]


class TemplateLint(Document):
    """What `template lint` found, one item per template."""

    kind: Literal["TemplateLint"] = "TemplateLint"
    items: tuple[TemplateLintItem, ...]


class CatalogueFiles(Document):
    """The files of the portal's catalogue, below `folder`."""

    kind: Literal["CatalogueFiles"] = "CatalogueFiles"
    folder: str
    files: tuple[str, ...]
    changed: tuple[str, ...] = Field(description="files that were written, or are stale")
    removed: tuple[str, ...] = Field(description="files of removed tenants")


class _KindRelease(Document):
    kind: Literal["Release"] = "Release"
    draft: DraftId
    environment: EnvironmentName
    namespace: str
    image: str
    template: str


class SealedRelease(Release, _KindRelease):
    """`release.yaml` of an overlay: which release runs where, by which template."""


# Every kind that a command writes, besides `Plan`, `DraftStatus`, `DueWork` and `Fact`.
OUTPUTS: tuple[type[Document], ...] = (
    ValidationReport,
    DecisionDocument,
    AuthorityDocument,
    AuditReportDocument,
    AuditLog,
    ApprovalsReport,
    PolicyDocument,
    PolicyDiffDocument,
    PolicyTestDocument,
    DraftStatusList,
    DraftFilesDocument,
    PullRequestItem,
    PullRequestList,
    RequestProposal,
    RunReportDocument,
    DoctorReport,
    RuleDocument,
    RuleList,
    ErrorCode,
    SchemaList,
    TemplateList,
    TemplateLint,
    CatalogueFiles,
    SealedRelease,
    Error,
)
