"""What the requests of a pull request ask for, before anybody merges it. Pure.

It rests on what the control repo itself says, so that it takes no credential to tell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pipeline import names
from pipeline.models.outputs import ApprovalsWanted, AskedItem
from pipeline.models.requests import (
    ENVIRONMENTS,
    Acknowledgement,
    DraftPatch,
    PrimitiveImplementationDraft,
    Promotion,
)
from pipeline.snapshot import LoadedRequest, Snapshot


def asked_of(paths: Iterable[str], snapshot: Snapshot) -> tuple[AskedItem, ...]:
    """What each changed path of the control repo asks for; one that is gone takes it back."""
    return tuple(_item(path, snapshot) for path in paths)


def _item(path: str, snapshot: Snapshot) -> AskedItem:
    loaded = snapshot.requests.get(path)
    if loaded is None:
        gone = path not in snapshot.blobs
        return AskedItem(path=path, kind="", asks="is taken away" if gone else "is changed")
    approvals = _approvals(loaded, snapshot)
    details = tuple((name, str(value)) for name, value in _details(loaded, snapshot))
    kind = loaded.meaning.kind
    return AskedItem(path=path, kind=kind, asks=_asks(loaded), details=details, approvals=approvals)


def _asks(loaded: LoadedRequest) -> str:
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
            return "change policy"


def _details(loaded: LoadedRequest, snapshot: Snapshot) -> Iterator[tuple[str, object]]:
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
            yield "repository", settled.repository
            yield "commits", ", ".join(settled.commits)
            yield "findings", ", ".join(f"{f.code} at {f.at}" for f in settled.findings)
            yield "reason", settled.reason
        case _:
            return


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
