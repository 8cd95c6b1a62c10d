"""What a pull request of the control repo asks for, before anybody merges it. Pure.

It rests on what the control repo itself says, so that it takes no credential to tell. What is
changed is compared with the base: policy, accounts, workflows and owners in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pipeline import names
from pipeline.forges.github.file_changes import file_change
from pipeline.models.outputs import ApprovalsWanted, AskedItem
from pipeline.models.requests import (
    ENVIRONMENTS,
    Acknowledgement,
    DraftPatch,
    PrimitiveImplementationDraft,
    Promotion,
    Request,
)
from pipeline.requests.policy_changes import field_lines, policy_lines
from pipeline.requests.snapshot import LoadedRequest, Snapshot


@dataclass(frozen=True, slots=True)
class Before:
    """What the changed paths were, and for those that are no requests, what they are now."""

    snapshot: Snapshot
    old: Mapping[str, bytes] = field(default_factory=dict)
    new: Mapping[str, bytes] = field(default_factory=dict)


def asked_of(paths: Iterable[str], snapshot: Snapshot, before: Before) -> tuple[AskedItem, ...]:
    """What each changed path of the control repo asks for, policy and workflows first."""
    found = [_item(path, snapshot, before) for path in paths]
    return tuple(sorted(found, key=lambda item: (_is_of_a_draft(item.path), item.path)))


def _is_of_a_draft(path: str) -> bool:
    parts = path.split("/")
    return len(parts) > 4 and parts[0] == "tenants" and parts[2] == "drafts"


def _item(path: str, snapshot: Snapshot, before: Before) -> AskedItem:
    loaded, was = snapshot.requests.get(path), before.snapshot.requests.get(path)
    if loaded is None:
        if path not in snapshot.blobs and path not in before.snapshot.blobs:
            asks, lines = file_change(path, before.old.get(path), before.new.get(path))
            return AskedItem(path=path, kind="", asks=asks, details=lines)
        if path in snapshot.blobs:
            verb = "change" if path in before.snapshot.blobs else "add"
            return AskedItem(path=path, kind="", asks=f"{verb} a file that holds no valid request")
        details = tuple(policy_lines(was.model, None)) if was else ()
        return AskedItem(path=path, kind="", asks=_gone(was), details=details)
    old = was.model if was else None
    return AskedItem(
        path=path,
        kind=loaded.meaning.kind,
        asks=_asks(loaded, old),
        details=tuple((name, str(value)) for name, value in _details(loaded, old, snapshot)),
        approvals=_approvals(loaded, snapshot),
    )


def _gone(was: LoadedRequest | None) -> str:
    match was.model if was else None:
        case PrimitiveImplementationDraft():
            return "no longer ask for a primitive"
        case DraftPatch() | Promotion() | None:
            return "take a request away"
        case _:
            return "take policy away"


def _asks(loaded: LoadedRequest, old: Request | None) -> str:
    match loaded.model:
        case PrimitiveImplementationDraft():
            return "scaffold a primitive, or keep it as it is if it is there"
        case DraftPatch():
            return "apply a patch, if it passes the gates"
        case Promotion():
            return "run a release, if the gate allows it"
        case Acknowledgement():
            return "settle what an audit found in history; it stays in the record"
        case _:
            return "change policy" if old else "add policy"


def _details(
    loaded: LoadedRequest, old: Request | None, snapshot: Snapshot
) -> Iterator[tuple[str, object]]:
    match loaded.model:
        case PrimitiveImplementationDraft() as draft:
            yield "draft", draft.id
            yield "template", draft.template_id
            yield "origin", draft.code_origin
            yield "code goes to", draft.target_repo
            tenant = snapshot.tenant(draft.tenant_id)
            if tenant and snapshot.platform:
                place = (snapshot.platform.platform, draft.tenant_id, tenant.sku, draft.code_origin)
                runs = [names.namespace(*place, environment) for environment in ENVIRONMENTS]
                yield "may run in", ", ".join(runs)
            if isinstance(old, PrimitiveImplementationDraft):
                yield from field_lines(old, draft)
        case DraftPatch() as patch:
            yield "draft", patch.draft
            yield "made against", patch.base_commit[:12]
            yield "summary", patch.summary
            yield "changes", ", ".join(change.path for change in patch.changes)
        case Promotion() as promotion:
            yield "draft", promotion.draft
            yield "environment", promotion.environment
            yield "source commit", promotion.release.source_commit
            yield "digest", promotion.release.digest or "that of the source commit, once built"
            if promotion.overlay_tree:
                yield "writes exactly the tree", promotion.overlay_tree
            yield "reason", promotion.reason
        case Acknowledgement() as settled:
            yield "acknowledgement", settled.acknowledgement
            yield "repository", settled.repository
            yield "commits", ", ".join(settled.commits)
            yield "findings", ", ".join(f"{f.code} at {f.at}" for f in settled.findings)
            yield "reason", settled.reason
        case _:
            lines = tuple(policy_lines(old, loaded.model))
            yield from lines or [("effect", "none: only what people read is different")]


def _approvals(loaded: LoadedRequest, snapshot: Snapshot) -> ApprovalsWanted | None:
    promotion = loaded.model
    if not isinstance(promotion, Promotion):
        return None
    environment = snapshot.environments.get(promotion.environment)
    draft = snapshot.draft(promotion.draft)
    tenant = snapshot.tenant(loaded.meaning.tenant) if loaded.meaning.tenant else None
    if environment is None or draft is None or tenant is None:
        return None
    tier = draft.risk_tier or tenant.risk_tier
    policy = environment.approval_for(tier)
    if policy is None:
        return None
    return ApprovalsWanted(risk_tier=tier, count=policy.count, teams=policy.teams)
