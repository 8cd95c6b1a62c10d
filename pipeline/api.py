"""The five calls (docs/model.md §7.1) as a library; the command line is a thin layer over it.

A call that requests something returns a `ProposedRequest`: the file that a pull request to the
control repo would bring, already judged. `pipeline.control.submit` writes it into a checkout, or
opens that pull request; the pipeline acts only on merged requests. Nothing here writes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline import names
from pipeline.diagnostics import Verdict, verdict_of
from pipeline.documents import parse_document
from pipeline.engine.engine import Engine
from pipeline.engine.groups import request_group as request_group
from pipeline.engine.judge_patches import patches_of, read_patch_findings
from pipeline.engine.propose import PromotionProposal
from pipeline.engine.proposed import judge_proposed as _judged
from pipeline.engine.proposed import render_request
from pipeline.errors import CouldNotCheck, NotFound, Refused, UsageFault
from pipeline.git.objects import Files, blob_id
from pipeline.models.base import Model, digest_of
from pipeline.models.draft_id import parse_draft_id
from pipeline.models.requests import (
    CodeOrigin,
    FileChange,
    RiskTier,
)
from pipeline.models.status import DraftState, DraftStatus
from pipeline.models.windows import Lane
from pipeline.requests.drafts import TEMPLATE_TYPES
from pipeline.requests.kinds import parse_request, request_path
from pipeline.requests.layout import (
    BLOCKED_PATH,
    draft_folder,
    draft_path,
    patch_path,
    promotion_path,
    retirement_path,
    statement_path,
    tenant_path,
)
from pipeline.requests.proposed import ProposedRequest
from pipeline.requests.snapshot import Snapshot
from pipeline.requests.statements import read_bundle


@dataclass(frozen=True, slots=True)
class DraftFiles:
    """Files of a draft at one commit: path below the primitive's folder → mode and bytes."""

    draft: str
    commit: str
    files: Files


@dataclass(frozen=True, slots=True)
class ProposedPromotion:
    """A promotion request and the gate's decision now; no request if that is a final refusal."""

    proposal: PromotionProposal
    request: ProposedRequest | None


class ChangeList(Model):
    """A file of changes for `draft update --from`."""

    changes: tuple[FileChange, ...]


@dataclass(frozen=True, slots=True)
class NewDraft:
    """The fields of a new primitive; type, repository and template version have defaults.

    `template_id` is a template's name, optionally with `@` and its version.
    """

    tenant_id: str
    primitive_id: str
    template_id: str
    code_origin: str
    primitive_type: str = ""
    target_repo: str = ""
    design_refs: Sequence[str] = ()
    parameters: Mapping[str, object] = field(default_factory=dict)
    risk_tier: RiskTier | None = None


def create_primitive_implementation_draft(engine: Engine, new: NewDraft) -> ProposedRequest:
    """The request for a new primitive.

    Raises UsageFault for an unknown tenant or an existing draft, Refused with every finding.
    """
    draft = parse_draft_id(f"{new.tenant_id}/{new.primitive_id}")
    snapshot = engine.snapshot()
    if tenant_path(new.tenant_id) not in snapshot.blobs:
        raise UsageFault(f"there is no tenant `{new.tenant_id}`", help=_list_tenants(snapshot))
    values = _draft_values(engine, snapshot, draft, new)
    listed = ", ".join(new.design_refs) or "none"
    kind, path = "PrimitiveImplementationDraft", draft_path(draft)
    request = ProposedRequest(
        draft,
        kind,
        path,
        render_request(kind, path, values),
        title=f"Ask for {draft}",
        body=f"A new {values['primitive_type']} primitive of origin {values['code_origin']} from "
        f"{values['template_id']}.\n\nDesign references: {listed}\n",
    )
    request = _judged(engine, snapshot, request)
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
    name, version = _template_of(engine, asked.template_id)
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
    """The draft's files on its branch (all, or those named). Raises UsageFault."""
    commit, files = engine.draft_files(parse_draft_id(draft), paths)
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
    (number → content, from a checkout); the same patch keeps its number. It is judged as in its
    pull request. Raises UsageFault for a draft without a branch, Refused with every finding,
    CouldNotCheck if a tool or the draft's repository is missing.
    """
    draft = parse_draft_id(draft)
    snapshot = engine.snapshot()
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
    # The number is not part of the content.
    content = render_request("DraftPatch", patch_path(draft, "0001"), values)
    number = _patch_number(engine, snapshot, draft, content, known or {})
    files = ", ".join(f"`{change.path}`" for change in changes)
    request = ProposedRequest(
        draft,
        "DraftPatch",
        patch_path(draft, number),
        content,
        title=f"Patch {draft}: {summary}",
        body=f"Made against {base}.\n\nFiles: {files}\n",
    )
    request = _judged(engine, snapshot, request)
    if snapshot.blobs.get(request.path) != blob_id(request.content):
        _refuse_bad_patch(engine, request)
    return request


def _refuse_bad_patch(engine: Engine, request: ProposedRequest) -> None:
    """Raise Refused for a patch that the judgement of its pull request would refuse.

    Nothing is pushed then, so a credential in it does not leave its author. Raises CouldNotCheck.
    """
    read, _ = parse_request(request.path, request.content)
    patches = patches_of([read] if read else [], [request.path])
    found = read_patch_findings(engine.proposer, engine.world(), patches)
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
    lane: Lane = "normal",
    goes_further: bool = True,
) -> ProposedPromotion:
    """The request to run a release in an environment, with digest and overlay tree pinned.

    No request if the gate's refusal is final: approvals could not help. Raises UsageFault for an
    unknown draft or environment, Refused with every finding.
    """
    draft = parse_draft_id(draft)
    commit = _resolved(engine, draft, source_commit) if source_commit else None
    proposal = engine.propose_promotion(
        draft,
        environment,
        source_commit=commit,
        reason=reason,
        lane=lane,
        goes_further=goes_further,
    )
    return _requested(engine, proposal, title=f"Run {draft} in {environment}")


def request_rollback(
    engine: Engine, draft: str, environment: str, *, to: str = "", reason: str
) -> ProposedPromotion:
    """The request to go back to an earlier release in an environment, in lane `rollback`.

    `to` is a digest, the beginning of one, or the number of the fact that promoted it; without it,
    the newest earlier release that ran healthy there. Raises as `request_promotion` does.
    """
    draft = parse_draft_id(draft)
    proposal = engine.proposer.propose_rollback(draft, environment, to=to, reason=reason)
    return _requested(engine, proposal, title=f"Roll {draft} back in {environment}")


def lift_hold(engine: Engine, draft: str, environment: str, *, reason: str) -> ProposedPromotion:
    """The request to let an environment go on after a rollback; what runs there stays."""
    draft = parse_draft_id(draft)
    proposal = engine.proposer.propose_lift(draft, environment, reason=reason)
    return _requested(engine, proposal, title=f"Lift the hold on {draft} in {environment}")


def retire_draft(engine: Engine, draft: str, *, reason: str) -> ProposedRequest:
    """The request to take a primitive out of all environments and end its draft.

    Raises UsageFault for an unknown draft or one that has ended, Refused with every finding.
    """
    draft = parse_draft_id(draft)
    snapshot, path = engine.snapshot(), retirement_path(draft)
    if draft_path(draft) not in snapshot.requests:
        raise UsageFault(f"there is no draft `{draft}` on main")
    status = engine.status(draft)
    if status.state is DraftState.REJECTED:
        raise UsageFault(f"`{draft}` has ended", help=f"`pipeline audit log {draft}` says why")
    runs = [p.environment for p in status.promotions][::-1]
    body = f"{reason}\n\nRuns in: {', '.join(runs) or 'no environment'}\n"
    content = render_request("Retirement", path, {"draft": draft, "reason": reason})
    title = f"Retire {draft}"
    request = ProposedRequest(draft, "Retirement", path, content, title=title, body=body)
    return _judged(engine, snapshot, request)


def _requested(engine: Engine, proposal: PromotionProposal, *, title: str) -> ProposedPromotion:
    """The proposal with its request, unless the gate's refusal is final."""
    if proposal.decision.refused:
        return ProposedPromotion(proposal, None)
    promotion = proposal.promotion
    values = promotion.model_dump(
        mode="json", by_alias=True, exclude_defaults=True, exclude={"api_version", "kind"}
    )
    lines = [promotion.reason, ""]
    if promotion.release.digest:
        lines.append(f"Image: {promotion.release.digest}")
    lines.append(f"Source: {promotion.release.source_commit}")
    if proposal.overlay is not None:
        lines.append(
            f"Overlay: {proposal.overlay.folder}, tree {proposal.overlay.tree} "
            f"(+{proposal.lines_added} −{proposal.lines_removed} lines)"
        )
    path = promotion_path(promotion.draft, promotion.environment)
    request = ProposedRequest(
        promotion.draft,
        "Promotion",
        path,
        render_request("Promotion", path, values),
        title=title,
        body="\n".join(lines) + "\n",
    )
    return ProposedPromotion(proposal, _judged(engine, engine.snapshot(), request))


def add_statement(
    engine: Engine, draft: str, bundle: bytes, *, file: str, name: str = ""
) -> ProposedRequest:
    """The request to bring a signed statement about a draft's image, read from a file.

    Its body says who signed it. Without a name it is named by its content. Raises UsageFault for an
    unknown draft, Refused for a file that holds no statement.
    """
    draft, snapshot = parse_draft_id(draft), engine.snapshot()
    if draft_path(draft) not in snapshot.requests:
        raise UsageFault(f"there is no draft `{draft}` on main")
    lines = read_bundle(file, bundle)
    text = bundle.decode().strip()
    verified = engine.verify_statement(text)
    told = [*lines, ("signed by", verified.signer or f"nobody trusted: {verified.problem}")]
    path = statement_path(draft, name or f"s-{digest_of(text.encode())[7:19]}")
    return _judged(
        engine,
        snapshot,
        ProposedRequest(
            draft,
            "ExternalStatement",
            path,
            render_request("ExternalStatement", path, {"draft": draft, "bundle": text}),
            title=f"Bring a statement about {draft}",
            body="".join(f"{name}: {value}\n" for name, value in told),
        ),
    )


def block_digest(engine: Engine, digest: str, *, reason: str) -> ProposedRequest:
    """The request to block an image in all environments; comments in the file stay.

    The same digest with the same reason gives the request already on main. Raises UsageFault for a
    digest blocked for another reason, Refused with every finding.
    """
    snapshot = engine.snapshot()
    there = engine.control.open_repository().read_object(f"{snapshot.commit}:{BLOCKED_PATH}")
    known = snapshot.blocked_reasons.get(digest)
    if known is not None and known != reason:
        raise UsageFault(f"{digest} is blocked already: {known}")
    entry = {"digest": digest, "reason": reason}
    if there is None:
        content = render_request("BlockedDigests", BLOCKED_PATH, {"digests": [entry]})
    elif known is not None:
        content = there.content
    else:
        from pipeline.documents.edits import edit_document  # 25 ms, for ruamel.yaml

        listed = parse_document(BLOCKED_PATH, there.content).value.get("digests")
        place = ("digests", len(listed)) if isinstance(listed, list) else ("digests",)
        content = edit_document(there.content, {place: entry if len(place) == 2 else [entry]})
    return _judged(
        engine,
        snapshot,
        ProposedRequest(
            draft="",
            kind="BlockedDigests",
            path=BLOCKED_PATH,
            content=content,
            title=f"Block {digest[:19]}",
            body=f"{reason}\n\nImage: {digest}\n",
            edits=there.content if there else None,
        ),
    )


def propose_file(engine: Engine, path: str, content: bytes, *, reason: str) -> ProposedRequest:
    """The request to bring a file as somebody wrote it: policy, or a request of any kind.

    Raises UsageFault for a path where no request may be, Refused with every finding.
    """
    meaning = request_path(path)
    if meaning is None:
        raise UsageFault(
            f"a request cannot be at `{path}`", help="docs/requests.md lists the path of each kind"
        )
    snapshot = engine.snapshot()
    there = engine.control.open_repository().read_object(f"{snapshot.commit}:{path}")
    request = ProposedRequest(
        draft=meaning.draft if meaning.primitive else "",
        kind=meaning.kind,
        path=path,
        content=content,
        title=f"{'Change' if there else 'Add'} {path}",
        body=f"{reason}\n",
        edits=there.content if there else None,
    )
    return _judged(engine, snapshot, request)


def get_draft_status(engine: Engine, draft: str) -> DraftStatus:
    """The recorded fold of the draft's facts. Raises UsageFault if it has none yet."""
    return engine.status(parse_draft_id(draft))


def _template_of(engine: Engine, template_id: str) -> tuple[str, str]:
    """A template's name and version: the requested version, else the existing one."""
    name, _, version = template_id.partition("@")
    if version:
        return name, version
    if name not in engine.templates:
        known = ", ".join(f"`{t}`" for t in sorted(engine.templates))
        raise UsageFault(f"there is no template `{name}`", help=f"templates are {known}")
    return name, engine.templates[name].version


def _origin(text: str) -> CodeOrigin:
    try:
        return CodeOrigin(text)
    except ValueError as error:
        known = ", ".join(f"`{o.value}`" for o in CodeOrigin)
        raise UsageFault(f"there is no code origin `{text}`", help=f"one of {known}") from error


def _resolved(engine: Engine, draft: str, revision: str) -> str:
    """The commit of a person's revision in the draft's repository."""
    try:
        git = engine.forge.open_repository(engine.status(draft).target_repo)
        return git.resolve_commit(revision)
    except NotFound as error:
        raise UsageFault(error.message) from error


def _list_tenants(snapshot: Snapshot) -> str:
    return f"tenants are {', '.join(sorted(snapshot.tenant_ids)) or 'none'}"


def _patch_number(
    engine: Engine,
    snapshot: Snapshot,
    draft: str,
    content: bytes,
    known: Mapping[str, bytes],
) -> str:
    """The number that this patch already has, else the next free one."""
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
