"""The gates that policy sets for one environment, each with the place it comes from. Pure.

One line per gate: what it is about, what it asks now, and the file and line that say so. A gate
that no file mentions comes from a default, and says that too: a default is policy as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.diagnostics import Location
from pipeline.gate.windows import lasts
from pipeline.models.approvals import ApprovalPolicy
from pipeline.models.base import moment_of
from pipeline.models.requests import Environment, Platform, Stop
from pipeline.models.windows import PlatformWindow, Window
from pipeline.requests.snapshot import ReadRequest


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate: its name, what it asks in words, and where that stands; None for a default."""

    name: str
    asks: str
    location: Location | None


@dataclass(frozen=True, slots=True)
class PolicyFiles:
    """The policy files of one commit, as they were read."""

    platform: ReadRequest
    environments: tuple[ReadRequest, ...]
    stop: ReadRequest | None = None


def gates_of(files: PolicyFiles, name: str, now_s: int) -> tuple[Gate, ...]:
    """The gates of an environment at a moment. Raises KeyError for one without a valid file."""
    read = next((r for r in files.environments if r.meaning.name == name), None)
    if read is None or not isinstance(read.model, Environment):
        raise KeyError(name)
    platform = files.platform.model
    assert isinstance(platform, Platform)  # only valid policy is explained
    return (
        *_order(read, read.model),
        *_evidence(read, read.model),
        *_approvals(read, read.model),
        *_windows(read, read.model.windows, name, now_s),
        *_windows(files.platform, platform.windows, name, now_s),
        *_lanes(files.platform, platform),
        *_waivers(files.platform, platform),
        *_stops(files.stop, name),
    )


def _at(read: ReadRequest, *path: str | int) -> Location | None:
    """Where a field stands; None if its value is the default."""
    return read.document.position_of(path) if path[0] in read.document.value else None


def _order(read: ReadRequest, policy: Environment) -> Iterator[Gate]:
    before = " or ".join(policy.promotes_from)
    asks = f"has run in {before}" if before else "nothing has to run before"
    yield Gate("order", asks, _at(read, "promotes_from"))
    yield Gate("soak", _soak(policy), _at(read, "soak"))
    branch = "on the default branch" if policy.requires_default_branch else "on any branch"
    yield Gate("source", branch, _at(read, "requires_default_branch"))


def _soak(policy: Environment) -> str:
    soak = policy.soak
    if soak is None:
        return "none"
    lanes = f" (not for lanes {', '.join(soak.lanes)})" if soak.lanes else ""
    return f"{soak.hours} h seen healthy in {' or '.join(policy.promotes_from)}{lanes}"


def _evidence(read: ReadRequest, policy: Environment) -> Iterator[Gate]:
    checks = ", ".join(policy.required_checks) or "none"
    yield Gate("checks", checks, _at(read, "required_checks"))
    yield Gate("builders", ", ".join(policy.builders) or "any", _at(read, "builders"))
    yield Gate("provenance", policy.provenance, _at(read, "provenance"))
    for number, wanted in enumerate(policy.statements):
        asks = f"{wanted.predicate_type}, signed by {' or '.join(wanted.signers)}"
        yield Gate("statement", asks, _at(read, "statements", number))
    yield Gate("vulnerabilities", _scans(policy), _at(read, "vulnerabilities"))
    yield Gate("runtime", policy.runtime, _at(read, "runtime"))
    merge = "at once" if policy.merge == "auto" else "once an owner of the repository approved"
    yield Gate("merge", merge, _at(read, "merge"))


def _scans(policy: Environment) -> str:
    wanted = policy.vulnerabilities
    if wanted is None:
        return "no report"
    told = [
        f"at most {wanted.highest}",
        f"in a scan of the last {wanted.expires_after_days} days",
        f"signed by {' or '.join(wanted.signers)}",
        f"VEX by {' or '.join(wanted.vex_signers) or 'nobody'}",
    ]
    return ", ".join(told)


def _approvals(read: ReadRequest, policy: Environment) -> Iterator[Gate]:
    if not policy.all_approvals:
        yield Gate("approvals", "those of the draft's owners alone", None)
    for tier, wanted in policy.approvals.items():
        yield Gate(f"approvals {tier}", _asked(wanted), _at(read, "approvals", tier))
    for tenant, entries in policy.tenant_approvals.items():
        for tier, wanted in entries.items():
            place = _at(read, "tenant_approvals", tenant, tier)
            yield Gate(f"approvals {tier} of {tenant}", _asked(wanted), place)


def _asked(wanted: ApprovalPolicy) -> str:
    told = [
        f"{wanted.count} by {(' and ' if wanted.asks_each_team else ' or ').join(wanted.teams)}"
    ]
    if wanted.separation:
        told.append("none by an author of the source")
    if wanted.expires_after_days:
        told.append(f"none older than {wanted.expires_after_days} days")
    return ", ".join(told)


def _windows(
    read: ReadRequest, windows: Sequence[Window], environment: str, now_s: int
) -> Iterator[Gate]:
    for number, window in enumerate(windows):
        names = window.environments if isinstance(window, PlatformWindow) else ()
        if names and environment not in names:
            continue
        verb = "lasts" if lasts(window, now_s) else "does not last"
        scope = _scope(window)
        asks = f"{window.effect}, {verb} at {moment_of(now_s)}{scope}: {window.reason}"
        yield Gate(f"window {window.name}", asks, _at(read, "windows", number))


def _scope(window: Window) -> str:
    told = [
        f"{what} {', '.join(names)}"
        for what, names in (
            ("for tenants", window.tenants),
            ("for tiers", window.risk_tiers),
            ("not for lanes", window.lanes),
        )
        if names
    ]
    return f" ({'; '.join(told)})" if told else ""


def _lanes(read: ReadRequest, platform: Platform) -> Iterator[Gate]:
    for lane, teams in platform.lanes.items():
        yield Gate(f"lane {lane}", f"asked by {' or '.join(teams)}", _at(read, "lanes", lane))


def _waivers(read: ReadRequest, platform: Platform) -> Iterator[Gate]:
    if platform.waivers is None:
        yield Gate("waivers", "no rule can be waived", None)
        return
    rules, days = ", ".join(platform.waivers.rules), platform.waivers.longest_days
    yield Gate("waivers", f"{rules}, for at most {days} days", _at(read, "waivers"))


def _stops(read: ReadRequest | None, environment: str) -> Iterator[Gate]:
    stop = read.model if read is not None else None
    if read is None or not isinstance(stop, Stop):
        return
    for number, halt in enumerate(stop.stops):
        if not halt.environments or environment in halt.environments:
            whose = f" for {', '.join(halt.tenants)}" if halt.tenants else ""
            yield Gate("stop", f"stopped{whose}: {halt.reason}", _at(read, "stops", number))
