"""What a pull request of the control repo asks for, before it is merged. Pure.

It uses only the control repo itself, so it needs no credential. Changes of policy, accounts,
workflows and owners are described against the base.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from pipeline.forges.github.file_changes import file_change
from pipeline.models.decisions import ApprovalsWanted
from pipeline.models.outputs import AskedItem
from pipeline.models.requests import ApprovalPolicy, Promotion, RiskTier
from pipeline.requests.kinds import kind_of
from pipeline.requests.layout import GROUPS
from pipeline.requests.snapshot import LoadedRequest, Snapshot


@dataclass(frozen=True, slots=True)
class BeforeMerge:
    """The changed paths at the base and, for files that are not requests, their content now."""

    snapshot: Snapshot
    old: Mapping[str, bytes] = field(default_factory=dict)
    new: Mapping[str, bytes] = field(default_factory=dict)


def asked_of(
    paths: Iterable[str], snapshot: Snapshot, before: BeforeMerge
) -> tuple[AskedItem, ...]:
    """What each changed path of the control repo asks for, policy and workflows first."""
    found = [_item(path, snapshot, before) for path in paths]
    return tuple(sorted(found, key=lambda item: (_is_of_a_draft(item.path), item.path)))


def _is_of_a_draft(path: str) -> bool:
    parts = path.split("/")
    if parts[0] == GROUPS:
        return True
    return len(parts) > 4 and parts[0] == "tenants" and parts[2] == "drafts"


def _item(path: str, snapshot: Snapshot, before: BeforeMerge) -> AskedItem:
    loaded, was = snapshot.requests.get(path), before.snapshot.requests.get(path)
    if loaded is None:
        if path not in snapshot.blobs and path not in before.snapshot.blobs:
            asks, lines = file_change(path, before.old.get(path), before.new.get(path))
            return AskedItem(path=path, kind="", asks=asks, details=lines)
        if path in snapshot.blobs:
            verb = "change" if path in before.snapshot.blobs else "add"
            return AskedItem(path=path, kind="", asks=f"{verb} a file that holds no valid request")
        if was is None:
            return AskedItem(path=path, kind="", asks="take a request away")
        before_it = kind_of(was.model)
        details = tuple(before_it.changes(was.model, None))
        return AskedItem(path=path, kind="", asks=before_it.asks.gone, details=details)
    old, kind = was.model if was else None, kind_of(loaded.model)
    return AskedItem(
        path=path,
        kind=kind.name,
        asks=kind.asks.changed if old else kind.asks.new,
        details=tuple(
            (name, str(value)) for name, value in kind.details(loaded.model, old, snapshot)
        ),
        approvals=_approvals(loaded, snapshot),
    )


def wanted_by(policy: ApprovalPolicy, tier: RiskTier) -> ApprovalsWanted:
    """What an approval policy asks for at a tier, as documents hold it."""
    return ApprovalsWanted(
        risk_tier=tier,
        count=policy.count,
        teams=policy.teams,
        each_team=len(policy.teams) > 1 and policy.asks_each_team,
    )


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
    policy = environment.approval_for(tier, loaded.meaning.tenant)
    if policy is None:
        return None
    return wanted_by(policy, tier)
