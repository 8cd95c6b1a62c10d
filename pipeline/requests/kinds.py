"""The kinds of request: one row holds all that the pipeline knows about a kind.

To add one, write its model in `pipeline.models.requests` and a row here. Its path, schema, checks,
description for reviewers and place in docs/requests.md follow from the row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args

from pydantic import ValidationError

from pipeline.diagnostics import Finding, Location
from pipeline.documents import ParsedDocument, findings_of_validation_error, parse_document
from pipeline.models.base import API_VERSION
from pipeline.models.release_groups import ReleaseGroup
from pipeline.models.requests import (
    Acknowledgement,
    BlockedDigests,
    DraftPatch,
    Environment,
    ExternalStatement,
    Platform,
    PrimitiveImplementationDraft,
    Promotion,
    Request,
    Retirement,
    Signers,
    Stop,
    Tenant,
    Waiver,
)
from pipeline.requests import policy_changes
from pipeline.requests.details import (
    Detail,
    acknowledgement_details,
    draft_details,
    group_details,
    patch_details,
    promotion_details,
    retirement_details,
    statement_details,
    waiver_details,
)
from pipeline.requests.drafts import PROMOTION_NOT_PINNED, check_draft, check_promotion
from pipeline.requests.groups import GROUP_MEMBER_TWICE, check_group
from pipeline.requests.identity import PATH_UNKNOWN, REQUEST_KIND, draft_example
from pipeline.requests.layout import STOP_PATH, RequestPath
from pipeline.requests.patches import check_patch, patch_example
from pipeline.requests.policy import (
    ACKNOWLEDGEMENT_NAMES_NOTHING,
    ENVIRONMENT_DEFINITION,
    PLATFORM_NAME,
    TENANT_ID_RESERVED,
    check_acknowledgement,
    check_environment,
    check_platform,
    check_tenant,
)
from pipeline.requests.policy_changes import Line, field_lines
from pipeline.requests.snapshot import ReadRequest, Snapshot
from pipeline.requests.statements import (
    STATEMENT_UNREADABLE,
    check_statement,
    check_statement_policy,
)
from pipeline.requests.stops import STOP_SCOPE_UNKNOWN, check_stop
from pipeline.requests.waivers import WAIVER_RULE, check_waiver, check_waiver_policy
from pipeline.templating import Template

R = TypeVar("R", bound=Request)
_ID = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
# Patterns of the `<…>` parts of a path; the first two are ids, the others the request's name.
_PARTS = {
    "<tenant>": rf"(?P<tenant>{_ID})",
    "<primitive>": rf"(?P<primitive>{_ID})",
    # `environments/acknowledgements/` holds other requests.
    "<environment>": rf"(?P<name>(?!acknowledgements[/.]){_ID})",
    "<number>": r"(?P<name>[0-9]{4})",
    "<name>": rf"(?P<name>{_ID})",
}


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The context of a request's check: its path and document, and the control repo."""

    meaning: RequestPath
    document: ParsedDocument
    snapshot: Snapshot
    templates: Mapping[str, Template]
    now_s: int | None = None  # when it would be merged; None if it is on main


@dataclass(frozen=True, slots=True)
class Asks:
    """What merging asks the pipeline to do: for a new file, a changed one, a deleted one."""

    new: str
    changed: str
    gone: str


def _no_findings(request: Request, around: Surroundings) -> Iterable[Finding]:
    return ()


def _changed_policy(request: Request, old: Request | None, snapshot: Snapshot) -> Iterator[Detail]:
    """The effect of a change of policy."""
    lines = tuple(kind_of(request).changes(old, request))
    yield from lines or [("effect", "none: only what people read is different")]


@dataclass(frozen=True, slots=True)
class RequestKind(Generic[R]):
    """One row: everything that the pipeline knows about a kind of request."""

    model: type[R]
    path: str  # in the control repo, with parts of `_PARTS`
    schema_stem: str  # of `schemas/<stem>.schema.json`
    summary: str  # one sentence, for people looking for the kind they need
    asks: Asks
    example: str  # a valid file; its first line names its path
    # Findings beyond its form, from the rest of the control repo.
    check: Callable[[R, Surroundings], Iterable[Finding]] = _no_findings
    # Changes since the request before, one line each; either may be absent.
    changes: Callable[[R | None, R | None], Iterator[Line]] = field_lines
    # What it asks for: the request, the one before it, the control repo.
    details: Callable[[R, R | None, Snapshot], Iterator[Detail]] = _changed_policy

    @property
    def name(self) -> str:
        """The value of its field `kind`."""
        return str(get_args(self.model.model_fields["kind"].annotation)[0])

    @property
    def pattern(self) -> re.Pattern[str]:
        """The pattern of its paths."""
        parts = (_PARTS.get(part, re.escape(part)) for part in re.split("(<[a-z]+>)", self.path))
        return re.compile("".join(parts) + r"\Z")


_POLICY = Asks("add policy", "change policy", "take policy away")
_DRAFT_ASKS = "scaffold a primitive, or keep it if it exists"
_PATCH_ASKS = "apply a patch, if it passes the gates"
_PROMOTION_ASKS = "run a release, if the gate allows it"
_GROUP_ASKS = "run several releases together, if the gate allows every one of them"
_RETIRES = "take a primitive out of all environments, and end its draft"
_SETTLES = "settle what an audit found in history; it stays in the record"
_GONE = "take a request away"


def _check_draft(draft: PrimitiveImplementationDraft, around: Surroundings) -> Iterable[Finding]:
    snapshot, tenant = around.snapshot, around.snapshot.tenant(around.meaning.tenant)
    platform, environments = snapshot.platform, snapshot.environments
    if tenant and platform and draft.tenant_id == around.meaning.tenant:
        yield from check_draft(
            draft, tenant, platform, environments, around.templates, around.document
        )


def _check_platform(platform: Platform, around: Surroundings) -> Iterable[Finding]:
    yield from check_platform(platform, around.snapshot, around.document)
    yield from check_waiver_policy(platform.waivers, around.document)


def _check_environment(environment: Environment, around: Surroundings) -> Iterable[Finding]:
    yield from check_environment(environment, around.snapshot, around.document)
    yield from check_statement_policy(environment, around.snapshot.signers, around.document)


KINDS: tuple[RequestKind[Any], ...] = (
    RequestKind(
        model=Platform,
        path="environments/platform.yaml",
        schema_stem="platform",
        summary="The platform as a whole: its name, registry, network, accounts and owners.",
        asks=_POLICY,
        example=PLATFORM_NAME.passes,
        check=_check_platform,
        changes=policy_changes.platform_changes,
    ),
    RequestKind(
        model=Environment,
        path="environments/<environment>/environment.yaml",
        schema_stem="environment",
        summary="One environment: what it promotes from, and the checks and approvals it requires.",
        asks=_POLICY,
        example=ENVIRONMENT_DEFINITION.passes,
        check=_check_environment,
        changes=policy_changes.environment_changes,
    ),
    RequestKind(
        model=BlockedDigests,
        path="environments/blocked-digests.yaml",
        schema_stem="blocked-digests",
        summary="The image digests that no environment may run, each with its reason.",
        asks=_POLICY,
        example=f"""# file: environments/blocked-digests.yaml
apiVersion: {API_VERSION}
kind: BlockedDigests
digests:
  - digest: sha256:{"ab" * 32}
    reason: Its base image has a known hole
""",
        changes=policy_changes.blocked_changes,
    ),
    RequestKind(
        model=Signers,
        path="environments/signers.yaml",
        schema_stem="signers",
        summary="The keys and workflows whose signed provenance counts.",
        asks=_POLICY,
        example=f"""# file: environments/signers.yaml
apiVersion: {API_VERSION}
kind: Signers
signers:
  - name: build-workflow
    workflow: {{repository: ameide/control}}
""",
        changes=policy_changes.signers_changes,
    ),
    RequestKind(
        model=Stop,
        path=STOP_PATH,
        schema_stem="stop",
        summary="What is stopped for now, and why: everything, or some environments or tenants.",
        asks=Asks("stop promotions", "change what is stopped", "let promotions go on"),
        example=STOP_SCOPE_UNKNOWN.passes,
        check=lambda it, around: check_stop(it, around.snapshot, around.document),
        changes=policy_changes.stop_changes,
    ),
    RequestKind(
        model=Tenant,
        path="tenants/<tenant>/tenant.yaml",
        schema_stem="tenant",
        summary="One tenant: how its product runs, its risk tier and who owns it.",
        asks=_POLICY,
        example=TENANT_ID_RESERVED.passes,
        check=lambda it, around: check_tenant(it, around.snapshot, around.document),
    ),
    RequestKind(
        model=PrimitiveImplementationDraft,
        path="tenants/<tenant>/drafts/<primitive>/draft.yaml",
        schema_stem="draft",
        summary="A primitive that a tenant wants, scaffolded from a golden template.",
        asks=Asks(_DRAFT_ASKS, _DRAFT_ASKS, "no longer ask for a primitive"),
        example=draft_example(),
        check=_check_draft,
        details=draft_details,
    ),
    RequestKind(
        model=DraftPatch,
        path="tenants/<tenant>/drafts/<primitive>/patches/<number>.yaml",
        schema_stem="patch",
        summary="Changes to the files of a draft.",
        asks=Asks(_PATCH_ASKS, _PATCH_ASKS, _GONE),
        example="# file: tenants/acme/drafts/order-router/patches/0001.yaml\n"
        + patch_example("src/order_router/routing.py"),
        check=lambda it, around: check_patch(it, around.document),
        details=patch_details,
    ),
    RequestKind(
        model=Promotion,
        path="tenants/<tenant>/drafts/<primitive>/promotions/<environment>.yaml",
        schema_stem="promotion",
        summary="A release that is to run in an environment.",
        asks=Asks(_PROMOTION_ASKS, _PROMOTION_ASKS, _GONE),
        example=PROMOTION_NOT_PINNED.passes,
        check=lambda it, around: check_promotion(it, around.snapshot, around.document),
        details=promotion_details,
    ),
    RequestKind(
        model=ReleaseGroup,
        path="releases/<name>.yaml",
        schema_stem="release-group",
        summary="Releases of several primitives that are to run in an environment together.",
        asks=Asks(_GROUP_ASKS, _GROUP_ASKS, _GONE),
        example=GROUP_MEMBER_TWICE.passes,
        check=lambda it, around: check_group(it, around.snapshot, around.document),
        details=group_details,
    ),
    RequestKind(
        model=Retirement,
        path="tenants/<tenant>/drafts/<primitive>/retire.yaml",
        schema_stem="retirement",
        summary="A primitive that is to leave all its environments; its draft ends.",
        asks=Asks(_RETIRES, _RETIRES, _GONE),
        example=f"""# file: tenants/acme/drafts/order-router/retire.yaml
apiVersion: {API_VERSION}
kind: Retirement
draft: acme/order-router
reason: The router of the new platform took over
""",
        details=retirement_details,
    ),
    RequestKind(
        model=Waiver,
        path="tenants/<tenant>/drafts/<primitive>/waivers/<name>.yaml",
        schema_stem="waiver",
        summary="A rule that is no reason against one release in one environment, for a time.",
        asks=Asks("waive a rule for a release", "change a waiver", "take a waiver away"),
        example=WAIVER_RULE.passes,
        check=lambda it, around: check_waiver(it, around.snapshot, around.document, around.now_s),
        details=waiver_details,
    ),
    RequestKind(
        model=ExternalStatement,
        path="tenants/<tenant>/drafts/<primitive>/statements/<name>.yaml",
        schema_stem="external-statement",
        summary="A signed statement about an image: a vulnerability report, a change ticket.",
        asks=Asks("bring a signed statement", "bring another statement", "take a statement away"),
        example=STATEMENT_UNREADABLE.passes,
        check=lambda it, around: check_statement(it, around.document),
        details=statement_details,
    ),
    RequestKind(
        model=Acknowledgement,
        path="environments/acknowledgements/<name>.yaml",
        schema_stem="acknowledgement",
        summary="An incident in history that people looked into; audits show it as settled.",
        asks=Asks(_SETTLES, _SETTLES, _POLICY.gone),
        example=ACKNOWLEDGEMENT_NAMES_NOTHING.passes,
        check=lambda it, around: check_acknowledgement(it, around.document),
        details=acknowledgement_details,
    ),
)
REQUEST_KINDS: Mapping[str, RequestKind[Any]] = {kind.name: kind for kind in KINDS}
_BY_MODEL: Mapping[type[Request], RequestKind[Any]] = {kind.model: kind for kind in KINDS}
_PATTERNS = tuple((kind.name, kind.pattern) for kind in KINDS)


def kind_of(request: Request) -> RequestKind[Any]:
    """The row of a request. Raises KeyError for a model without a row."""
    return _BY_MODEL[type(request)]


def request_path(path: str) -> RequestPath | None:
    """The parsed path, or None if no request may be there."""
    for kind, pattern in _PATTERNS:
        match = pattern.match(path)
        if match:
            return RequestPath(kind, **match.groupdict())
    return None


def is_of_kind(path: str, kind: str) -> bool:
    """Whether a path belongs to a kind of request."""
    meaning = request_path(path)
    return meaning is not None and meaning.kind == kind


def parse_request(path: str, content: bytes) -> tuple[ReadRequest | None, tuple[Finding, ...]]:
    """The request in a file's bytes, and findings about its form.

    None if no request may be at the path.
    """
    meaning = request_path(path)
    if meaning is None:
        message = f"no request may lie at `{path}`"
        return None, (PATH_UNKNOWN.finding(message, Location(path)),)
    document = parse_document(path, content)
    if document.findings or not isinstance(document.value, dict):
        return ReadRequest(path, meaning, document, None), tuple(document.findings)
    kind = document.value.get("kind")
    if kind != meaning.kind:
        message = f"`kind` is {kind!r}; a file at this path is a `{meaning.kind}`"
        location = (
            document.position_of(("kind",)) if "kind" in document.value else Location(path, 1, 1)
        )
        return ReadRequest(path, meaning, document, None), (
            REQUEST_KIND.finding(message, location),
        )
    expected: type[Request] = REQUEST_KINDS[meaning.kind].model
    try:
        # JSON mode: strict about types, but accepts a list for a tuple field.
        model = expected.model_validate_json(json.dumps(document.value))
    except ValidationError as error:
        findings = findings_of_validation_error(error, document, expected)
        return ReadRequest(path, meaning, document, None), tuple(findings)
    return ReadRequest(path, meaning, document, model), ()
