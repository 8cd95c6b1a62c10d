"""The five calls of seed §8.3 as a library; the command line is a thin layer over it.

A call that asks for something returns a `ProposedRequest`: the file that a pull request to the
control repo would bring, already judged. `pipeline.control.submit` writes it into a checkout, or
opens that pull request; the pipeline acts only on what was merged. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pipeline import names
from pipeline.diagnostics import Finding, Severity, Verdict, verdict_of
from pipeline.documents import render_document
from pipeline.engine.judge_patches import patches_of, read_patch_findings
from pipeline.engine.loop import Engine
from pipeline.engine.propose import Proposal
from pipeline.errors import CouldNotCheck, NotFound, Refused, UsageFault
from pipeline.git.objects import blob_id
from pipeline.models.base import API_VERSION, Model
from pipeline.models.requests import (
    SCHEMA_STEMS,
    CodeOrigin,
    FileChange,
    RiskTier,
)
from pipeline.models.status import DraftStatus
from pipeline.requests.drafts import TEMPLATE_TYPES
from pipeline.requests.layout import (
    draft_folder,
    draft_path,
    patch_path,
    promotion_path,
    tenant_path,
)
from pipeline.requests.proposed import ProposedRequest
from pipeline.requests.snapshot import Snapshot, read_request, snapshot_of
from pipeline.stages.validate import check_request


@dataclass(frozen=True, slots=True)
class DraftFiles:
    """Files of a draft at one commit: path below the primitive's folder → mode and bytes."""

    draft: str
    commit: str
    files: Mapping[str, tuple[int, bytes]]


@dataclass(frozen=True, slots=True)
class ProposedPromotion:
    """A promotion request and what the gate says of it now; no request if that is final."""

    proposal: Proposal
    request: ProposedRequest | None


class ChangeList(Model):
    """A file of changes, as `draft update --from` reads it."""

    changes: tuple[FileChange, ...]


@dataclass(frozen=True, slots=True)
class NewDraft:
    """What is asked for with a new primitive; what is empty follows from the rest.

    `template_id` is `name` or `name@version`, the newest without one.
    """

    tenant_id: str
    primitive_id: str
    template_id: str
    code_origin: str
    primitive_type: str = ""
    target_repo: str = ""
    design_refs: tuple[str, ...] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)
    risk_tier: RiskTier | None = None


def create_primitive_implementation_draft(engine: Engine, asked: NewDraft) -> ProposedRequest:
    """The request for a new primitive; type, repository and template version follow if left out.

    Raises UsageFault for an unknown tenant or a draft that is there, Refused with every finding.
    """
    draft = draft_id(f"{asked.tenant_id}/{asked.primitive_id}")
    snapshot = engine.reading(engine.control.head())[0].snapshot
    if tenant_path(asked.tenant_id) not in snapshot.blobs:
        raise UsageFault(f"there is no tenant `{asked.tenant_id}`", help=_list_tenants(snapshot))
    values = _draft_values(engine, snapshot, draft, asked)
    listed = ", ".join(asked.design_refs) or "none"
    request = _propose(
        engine,
        snapshot,
        draft,
        "PrimitiveImplementationDraft",
        draft_path(draft),
        values,
        title=f"Ask for {draft}",
        body=f"A new {values['primitive_type']} primitive of origin {values['code_origin']} from "
        f"{values['template_id']}.\n\nDesign references: {listed}\n",
    )
    there = snapshot.blobs.get(request.path)
    if there is not None and there != blob_id(request.content):
        raise UsageFault(
            f"there is a draft `{draft}` already", help="`pipeline draft update` changes its files"
        )
    return request


def _draft_values(
    engine: Engine, snapshot: Snapshot, draft: str, asked: NewDraft
) -> dict[str, object]:
    """The fields of a new `draft.yaml`, in its order. Raises UsageFault."""
    origin = _origin(asked.code_origin)
    name, _, version = asked.template_id.partition("@")
    if not version:
        if name not in engine.templates:
            known = ", ".join(f"`{t}`" for t in sorted(engine.templates))
            raise UsageFault(f"there is no template `{name}`", help=f"templates are {known}")
        version = engine.templates[name].version
    target_repo, platform = asked.target_repo, snapshot.platform
    if not target_repo and platform is not None:
        target_repo = names.controllers_repo(platform.platform, asked.tenant_id, origin)
    values: dict[str, object] = {
        "id": draft,
        "tenant_id": asked.tenant_id,
        "primitive_type": asked.primitive_type or str(TEMPLATE_TYPES.get(name, name)),
        "primitive_id": asked.primitive_id,
        "template_id": f"{name}@{version}",
        "code_origin": origin.value,
        "target_repo": target_repo,
    }
    if asked.design_refs:
        values["design_refs"] = list(asked.design_refs)
    if asked.risk_tier:
        values["risk_tier"] = asked.risk_tier
    values["parameters"] = dict(asked.parameters)
    return values


def get_primitive_draft_files(
    engine: Engine, draft: str, *, paths: Collection[str] = ()
) -> DraftFiles:
    """The draft's files as they stand on its branch (all, or those named). Raises UsageFault."""
    commit, files = engine.draft_files(draft_id(draft), paths)
    return DraftFiles(draft, commit, dict(sorted(files.items())))


def update_primitive_draft_files(
    engine: Engine,
    draft: str,
    changes: Sequence[FileChange],
    *,
    summary: str,
    base_commit: str | None = None,
    known: Mapping[str, bytes] | None = None,
) -> ProposedRequest:
    """The request to change a draft's files, made against `base_commit` or the branch's head.

    It gets the next free number: after those on main, in open pull requests and in `known`
    (number → content, of a checkout); the same patch again keeps the number it has. It is judged as
    in its pull request. Raises UsageFault for a draft without a branch, Refused with every finding,
    CouldNotCheck when a tool or the draft's repository is missing.
    """
    draft = draft_id(draft)
    snapshot = engine.reading(engine.control.head())[0].snapshot
    base = base_commit or engine.draft_files(draft)[0]
    values: dict[str, object] = {
        "draft": draft,
        "base_commit": base,
        "summary": summary,
        "changes": [
            {"op": change.op, **change.model_dump(mode="json", exclude_defaults=True)}
            for change in changes
        ],
    }
    content = render_request("DraftPatch", patch_path(draft, "0001"), values)
    number = _patch_number(engine, snapshot, draft, content, known or {})
    files = ", ".join(f"`{change.path}`" for change in changes)
    request = _propose(
        engine,
        snapshot,
        draft,
        "DraftPatch",
        patch_path(draft, number),
        values,
        title=f"Patch {draft}: {summary}",
        body=f"Made against {base}.\n\nFiles: {files}\n",
    )
    if snapshot.blobs.get(request.path) != blob_id(request.content):
        _refuse_bad_patch(engine, request)
    return request


def _refuse_bad_patch(engine: Engine, request: ProposedRequest) -> None:
    """Nothing; raises Refused for a patch that its pull request's judgement would refuse.

    Nothing is pushed then, so a credential in it stays with who wrote it. Raises CouldNotCheck.
    """
    read, _ = read_request(request.path, request.content)
    found = read_patch_findings(engine, patches_of([read] if read else [], [request.path]))
    match verdict_of(found):
        case Verdict.COULD_NOT_CHECK:
            raise CouldNotCheck(f"the patch of `{request.draft}`: {found[0].message}")
        case Verdict.INVALID:
            message = f"the patch of `{request.draft}` is refused; nothing was written"
            raise Refused(message, found)
        case Verdict.VALID:
            return


def request_promotion(
    engine: Engine,
    draft: str,
    environment: str,
    *,
    reason: str,
    source_commit: str | None = None,
) -> ProposedPromotion:
    """The request to run a release in an environment, digest and overlay tree pinned.

    Without a request when the gate's answer is final: approving it would be in vain. Raises
    UsageFault for an unknown draft or environment, Refused with every finding.
    """
    draft = draft_id(draft)
    commit = _resolved(engine, draft, source_commit) if source_commit else None
    proposal = engine.propose_promotion(draft, environment, source_commit=commit, reason=reason)
    if proposal.decision.refused:
        return ProposedPromotion(proposal, None)
    snapshot = engine.reading(engine.control.head())[0].snapshot
    promotion = proposal.promotion
    values = promotion.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"api_version", "kind"}
    )
    lines = [reason, ""]
    if promotion.release.digest:
        lines.append(f"Image: {promotion.release.digest}")
    lines.append(f"Source: {promotion.release.source_commit}")
    if proposal.overlay is not None:
        lines.append(
            f"Overlay: {proposal.overlay.folder}, tree {proposal.overlay.tree} "
            f"(+{proposal.lines_added} −{proposal.lines_removed} lines)"
        )
    request = _propose(
        engine,
        snapshot,
        draft,
        "Promotion",
        promotion_path(draft, environment),
        values,
        title=f"Run {draft} in {environment}",
        body="\n".join(lines) + "\n",
    )
    return ProposedPromotion(proposal, request)


def get_draft_status(engine: Engine, draft: str) -> DraftStatus:
    """The recorded fold of the draft's facts. Raises UsageFault when nothing happened yet."""
    return engine.status(draft_id(draft))


def draft_id(text: str) -> str:
    """The same text, if it is a draft's id. Raises UsageFault."""
    tenant, slash, primitive = text.partition("/")
    if not slash or not names.is_tenant_id(tenant) or not names.is_tenant_id(primitive):
        raise UsageFault(
            f"`{text}` is no draft id",
            help="write tenant/primitive, each in lower-case letters, digits and single dashes",
        )
    return text


def render_request(kind: str, path: str, values: Mapping[str, object]) -> bytes:
    """The bytes of a request file, with the line that tells editors where its schema is."""
    up = "../" * path.count("/")
    header = f"yaml-language-server: $schema={up}schemas/{SCHEMA_STEMS[kind]}.schema.json"
    return render_document({"apiVersion": API_VERSION, "kind": kind, **values}, header=header)


def _origin(text: str) -> CodeOrigin:
    try:
        return CodeOrigin(text)
    except ValueError as error:
        known = ", ".join(f"`{o.value}`" for o in CodeOrigin)
        raise UsageFault(f"there is no code origin `{text}`", help=f"one of {known}") from error


def _resolved(engine: Engine, draft: str, revision: str) -> str:
    """The commit of the draft's repository that a person's revision stands for."""
    try:
        git = engine.forge.open_repository(engine.status(draft).target_repo)
        return git.resolve_commit(revision)
    except NotFound as error:
        raise UsageFault(error.message) from error


def _list_tenants(snapshot: Snapshot) -> str:
    return f"tenants are {', '.join(sorted(snapshot.tenant_ids)) or 'none'}"


def _propose(
    engine: Engine,
    snapshot: Snapshot,
    draft: str,
    kind: str,
    path: str,
    values: Mapping[str, object],
    *,
    title: str,
    body: str,
) -> ProposedRequest:
    """The request, judged as if it stood on main now. Raises Refused with every finding."""
    content = render_request(kind, path, values)
    findings = check_proposed(engine, snapshot, path, content)
    if any(f.severity is Severity.ERROR for f in findings):
        raise Refused(f"the request for `{draft}` is refused; nothing was written", findings)
    return ProposedRequest(draft, kind, path, content, title, body, findings)


def check_proposed(
    engine: Engine, snapshot: Snapshot, path: str, content: bytes
) -> tuple[Finding, ...]:
    """Every finding of one file as if it stood on main beside what is there."""
    read, findings = read_request(path, content)
    if read is None or read.model is None:
        return findings
    blobs = {**snapshot.blobs, path: blob_id(content)}
    own = snapshot_of(snapshot.commit, blobs, [read])
    beside = replace(own, requests={**snapshot.requests, **own.requests})
    return (*findings, *check_request(read, beside, engine.templates))


def _patch_number(
    engine: Engine,
    snapshot: Snapshot,
    draft: str,
    content: bytes,
    known: Mapping[str, bytes],
) -> str:
    """The number that this patch has, else the next one that nobody uses."""
    folder = f"{draft_folder(draft)}/patches"
    taken = {
        path.removeprefix(f"{folder}/").removesuffix(".yaml"): blob
        for path, blob in snapshot.blobs.items()
        if path.startswith(f"{folder}/")
    }
    git = engine.control.open_repository()
    for pull in engine.forge.read_pulls(engine.control.control_repo):
        if pull.state.value == "open" and pull.head_branch.startswith("request/"):
            for entry in git.read_tree(f"{pull.head}:{folder}") or ():
                taken.setdefault(entry.name.removesuffix(".yaml"), entry.id)
    taken |= {number: blob_id(bytes_) for number, bytes_ in known.items()}
    own = blob_id(content)
    for number, blob in sorted(taken.items()):
        if blob == own:
            return number
    newest = max((int(n) for n in taken if n.isdigit()), default=0)
    if newest >= 9999:
        raise UsageFault(f"`{draft}` has all the patches that numbers allow")
    return f"{newest + 1:04d}"
