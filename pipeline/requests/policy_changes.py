"""The effect of a change of policy, in words: the models of base and head compared. Pure.

This module chooses each line's name; its value comes from the files and is shown as text. The words
describe the effect: who must approve, and who may do what.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import get_args

from pydantic import BaseModel

from pipeline.models.requests import (
    Account,
    ApprovalPolicy,
    BlockedDigests,
    Environment,
    Halt,
    Platform,
    RiskTier,
    Signers,
    Stop,
)
from pipeline.models.signers import Signer, key_hint
from pipeline.models.windows import PlatformWindow, Window

Line = tuple[str, str]
_NONE = "none"


def field_lines(
    old: BaseModel | None, new: BaseModel | None, *, but: Collection[str] = ()
) -> Iterator[Line]:
    """One line for each field whose value differs, with both values."""
    model = new or old
    for name in type(model).model_fields if model else ():
        before, after = getattr(old, name, None), getattr(new, name, None)
        if name in ("kind", "api_version", *but) or before == after:
            continue
        yield name.replace("_", " "), _from_to(_told(before), _told(after), old, new)


def _from_to(before: str, after: str, old: object, new: object) -> str:
    if old is None:
        return after
    return f"was {before}" if new is None else f"from {before} to {after}"


def _told(value: object) -> str:
    match value:
        case None | () | "":
            return _NONE
        case bool():
            return "yes" if value else "no"
        case BaseModel():
            return ", ".join(f"{n} {_told(getattr(value, n))}" for n in type(value).model_fields)
        case Mapping():
            return ", ".join(f"{k}={_told(v)}" for k, v in sorted(value.items())) or _NONE
        case tuple():
            return ", ".join(_told(item) for item in value)
        case _:
            return str(value)


def _listed(old: Collection[str], new: Collection[str], more: str, less: str) -> Iterator[Line]:
    """One line for what a set gains and one for what it loses."""
    gained = [item for item in new if item not in old]
    lost = [item for item in old if item not in new]
    if gained:
        yield more, ", ".join(gained)
    if lost:
        yield less, ", ".join(lost)


# -- accounts ------------------------------------------------------------------------------


def platform_changes(old: Platform | None, new: Platform | None) -> Iterator[Line]:
    """The effect of a change of the platform: its accounts, then its other fields."""
    before = {a.id: a for a in old.accounts} if old else {}
    after = {a.id: a for a in new.accounts} if new else {}
    for id in sorted({*before, *after}):
        yield from _account(before.get(id), after.get(id))
    yield from _windows(old.windows if old else (), new.windows if new else ())
    for lane in sorted({*(old.lanes if old else ()), *(new.lanes if new else ())}):
        was, now = (old.lanes.get(lane) if old else None), (new.lanes.get(lane) if new else None)
        if was != now:
            yield f"lane {lane}: teams that vouch", _from_to(_told(was), _told(now), old, new)
    yield from field_lines(old, new, but=("accounts", "windows", "lanes"))


def _account(old: Account | None, new: Account | None) -> Iterator[Line]:
    if old is None and new is not None:
        yield "new account", _account_told(new)
    elif new is None and old is not None:
        yield "account no longer known", _account_told(old)
    elif old is not None and new is not None:
        who = f"{new.login} ({new.id})"
        if old.login != new.login:
            yield "account renamed", f"{old.login} ({old.id}) is now {new.login}"
        if old.kind != new.kind:
            yield "account becomes another kind", f"{who}: from {old.kind} to {new.kind}"
        for name, teams in _listed(old.teams, new.teams, "joins a team", "leaves a team"):
            yield name, f"{who}: {teams}"
        for name, tenants in _listed(
            old.tenants, new.tenants, "bot may ask for a tenant", "bot may no longer ask for"
        ):
            yield name, f"{who}: {tenants}"


def _account_told(account: Account) -> str:
    held = ""
    if account.teams:
        held = f", in {', '.join(account.teams)}"
    if account.kind == "bot":
        held = f", may ask for {', '.join(account.tenants) or 'no tenant'}"
    return f"{account.login} ({account.id}), a {account.kind}{held}"


# -- windows -------------------------------------------------------------------------------


def _windows(old: Sequence[Window], new: Sequence[Window]) -> Iterator[Line]:
    """The new, removed and changed windows."""
    before, after = {w.name: w for w in old}, {w.name: w for w in new}
    for name in dict.fromkeys((*before, *after)):
        was, now = before.get(name), after.get(name)
        if was is None and now is not None:
            yield "new window", _window(now)
        elif now is None and was is not None:
            yield "window taken away", _window(was)
        elif was is not None and now is not None and was != now:
            yield "window changed", f"{_window(was)}, now {_window(now)}"


def _window(window: Window) -> str:
    if window.rrule is not None:
        when = f"{window.rrule} from {window.dtstart} on for {window.duration}"
    else:
        when = f"from {window.from_} to {window.to}"
    told = f"{window.name}: {window.effect} {when} ({window.zone})"
    named = [("tenants", window.tenants), ("tiers", window.risk_tiers)]
    if isinstance(window, PlatformWindow):
        named.append(("environments", window.environments))
    named.append(("lets pass", window.lanes))
    narrowed = "".join(f", {name} {_told(value)}" for name, value in named if value)
    return f"{told}{narrowed}: {window.reason}"


# -- environments --------------------------------------------------------------------------


def environment_changes(old: Environment | None, new: Environment | None) -> Iterator[Line]:
    """The effect of a change of an environment: its approvals and its requirements."""
    tenants = sorted(
        {*(old.tenant_approvals if old else ()), *(new.tenant_approvals if new else ())}
    )
    for tenant in ("", *tenants):
        yield from _approval_changes(old, new, tenant)
    if old and new:
        for name in ("required_checks", "builders", "promotes_from"):
            label = name.replace("_", " ")
            yield from _listed(
                getattr(old, name), getattr(new, name), f"more {label}", f"fewer {label}"
            )
        for key in sorted({*old.settings, *new.settings}):
            value, other = old.settings.get(key), new.settings.get(key)
            if value != other:
                yield "setting", f"{key}: from {_told(value)} to {_told(other)}"
        if not new.builders and old.builders:
            yield "builders", "images of any builder may run there"
    yield from _windows(old.windows if old else (), new.windows if new else ())
    told = ("approvals", "tenant_approvals", "windows")
    listed = ("required_checks", "builders", "promotes_from", "settings", *told)
    yield from field_lines(old, new, but=listed if old and new else told)


def _approval_changes(
    old: Environment | None, new: Environment | None, tenant: str
) -> Iterator[Line]:
    """What changes of the approvals for each tier, for all tenants or (by its name) for one."""
    whose = f" of {tenant}" if tenant else ""
    for tier in get_args(RiskTier):
        before = _approvals(old.approval_for(tier, tenant) if old else None)
        after = _approvals(new.approval_for(tier, tenant) if new else None)
        if before != after or old is None:
            yield f"approvals for {tier}{whose}", _from_to(before, after, old, new)
    for tier in get_args(RiskTier):
        # Named even if it equals the entry that would apply without it.
        was, now = _entry(old, tenant, tier), _entry(new, tenant, tier)
        same = _approvals(old.approval_for(tier, tenant) if old else None) == _approvals(
            new.approval_for(tier, tenant) if new else None
        )
        if old and new and was != now and same:
            yield f"own entry for {tier}{whose}", "added" if was is None else "taken away"


def _entry(policy: Environment | None, tenant: str, tier: RiskTier) -> ApprovalPolicy | None:
    if policy is None:
        return None
    entries = policy.tenant_approvals.get(tenant, {}) if tenant else policy.approvals
    return entries.get(tier)


def _approvals(policy: ApprovalPolicy | None) -> str:
    if policy is None:
        return _NONE
    told = f"{policy.count} of {', '.join(policy.teams)}"
    if policy.each_team is not None:
        told += ", one of each" if policy.each_team else ", of any of them"
    if policy.separation:
        told += ", not by authors of the source"
    if policy.expires_after_days:
        told += f", not older than {policy.expires_after_days} days"
    return told


# -- trusted signers and blocked digests ---------------------------------------------------


def signers_changes(old: Signers | None, new: Signers | None) -> Iterator[Line]:
    """The effect of a change of the trusted signers and roots."""
    before = {s.name: s for s in old.signers} if old else {}
    after = {s.name: s for s in new.signers} if new else {}
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was is None and now is not None:
            yield "believes of images", f"{name}: {_signer(now)}"
        elif now is None and was is not None:
            yield "no longer believes of images", f"{name}: {_signer(was)}"
        elif was is not None and now is not None and was != now:
            yield "believes another one of images", f"{name}: {_signer(was)}, now {_signer(now)}"
    roots = len(old.trusted_roots) if old else 0, len(new.trusted_roots) if new else 0
    if (old.trusted_roots if old else ()) != (new.trusted_roots if new else ()):
        yield "roots of trust", f"changed; {roots[0]} before, {roots[1]} now"


def _signer(signer: Signer) -> str:
    about = f", about {' and '.join(signer.signs)}" if signer.signs != ("provenance",) else ""
    if signer.workflow is not None:
        by = f"vouched for by {signer.workflow.issuer}"
        return f"the workflow {signer.workflow.uri}, {by}{about}"
    return f"the key {key_hint(signer.public_key or '')}{about}"


def blocked_changes(old: BlockedDigests | None, new: BlockedDigests | None) -> Iterator[Line]:
    """The digests that may no longer run, and those that may run again."""
    before = {b.digest: b.reason for b in old.digests} if old else {}
    after = {b.digest: b.reason for b in new.digests} if new else {}
    for digest in sorted({*before, *after}):
        if digest not in before:
            yield "may run nowhere from now on", f"{digest}: {after[digest]}"
        elif digest not in after:
            yield "may run again", f"{digest}, blocked for: {before[digest]}"
        elif before[digest] != after[digest]:
            yield "blocked for another reason", f"{digest}: {after[digest]}"


def stop_changes(old: Stop | None, new: Stop | None) -> Iterator[Line]:
    """The effect of a change of stops: what stops, and what goes on again."""
    yield from _listed(
        [_halt(halt) for halt in old.stops] if old else [],
        [_halt(halt) for halt in new.stops] if new else [],
        "stops",
        "goes on again",
    )


def _halt(halt: Halt) -> str:
    where = ", ".join(halt.environments) or "every environment"
    whose = f" of {', '.join(halt.tenants)}" if halt.tenants else ""
    but = f", but not lane {', '.join(halt.lanes)}" if halt.lanes else ""
    return f"{where}{whose}{but}: {halt.reason}"
