"""Rules of waivers: what may be waived, for how long, and until when."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline.diagnostics import Finding, Rule, Subject, register
from pipeline.documents import ParsedDocument
from pipeline.models.base import API_VERSION, seconds_of
from pipeline.models.requests import Platform, Waiver, WaiverPolicy
from pipeline.requests.drafts import ENVIRONMENT_UNKNOWN
from pipeline.requests.snapshot import Snapshot

# The only rules that a policy may allow to waive: none of them keeps releases apart, whole or
# approved.
WAIVABLE = (
    "builder-refused",
    "check-failed",
    "check-missing",
    "soak-not-over",
    "source-not-on-default-branch",
    "vulnerability-over-limit",
    "window-closed",
)
_DAY_S = 86_400


def _waiver(rule: str, expires: str, name: str = "flaky-test") -> str:
    return f"""# file: tenants/acme/drafts/order-router/waivers/{name}.yaml
apiVersion: {API_VERSION}
kind: Waiver
draft: acme/order-router
environment: prod
rule: {rule}
digest: sha256:{"ab" * 32}
starts: 2026-12-01T00:00:00Z
expires: {expires}
reason: The test fails where the clock is slow; fixed in the next release
"""


_PLATFORM = f"""# file: environments/platform.yaml
apiVersion: {API_VERSION}
kind: Platform
platform: ameide
organisation: ameide
registry: {{{{prefix: registry.example.com/ameide}}}}
accounts:
  - {{{{id: 1, login: primitive-pipeline, kind: pipeline}}}}
  - {{{{id: 2, login: platform-engineer, kind: person, teams: [platform-engineers]}}}}
owners: [platform-engineers]
waivers: {{{{rules: [{{rule}}], longest_days: 14}}}}
"""
_GOOD = _waiver("check-failed", "2026-12-08T00:00:00Z")
WAIVER_RULE = register(
    Rule(
        id="waiver-rule",
        summary="A waiver is about a rule that `waivers.rules` of `environments/platform.yaml` "
        "lists.",
        why="a waiver for anything would be a way around everything",
        fix="meet the rule, or have the platform's owners list it",
        subject=Subject.REQUEST,
        fails=_waiver("digest-blocked", "2026-12-08T00:00:00Z"),
        passes=_GOOD,
    )
)
WAIVER_POLICY = register(
    Rule(
        id="waiver-policy",
        summary="`waivers.rules` of `environments/platform.yaml` lists rules that may be waived "
        "at all.",
        why="what keeps releases apart, whole and approved is waived by nobody",
        fix="list only rules that docs/gate.md names",
        subject=Subject.REQUEST,
        fails=_PLATFORM.format(rule="digest-blocked"),
        passes=_PLATFORM.format(rule="check-failed"),
    )
)
WAIVER_LIFETIME = register(
    Rule(
        id="waiver-lifetime",
        summary="A waiver ends after it starts, and lasts no longer than `waivers.longest_days`.",
        why="a waiver is for the time that a fix takes; a longer one is another policy",
        fix="let it end earlier, or change the policy",
        subject=Subject.REQUEST,
        fails=_waiver("check-failed", "2027-12-01T00:00:00Z"),
        passes=_GOOD,
    )
)
WAIVER_EXPIRED = register(
    Rule(
        id="waiver-expired",
        summary="A waiver is merged before it ends.",
        why="one that has ended waives nothing, and looks as if it did",
        fix="ask for one that ends later, or leave it out",
        subject=Subject.SCENARIO,
        fails="a waiver until noon is to be merged at noon",
        passes="a waiver until noon is to be merged a second before",
    )
)


def check_waiver_policy(policy: WaiverPolicy | None, document: ParsedDocument) -> Iterator[Finding]:
    """Findings for rules in the platform's policy that nobody may waive."""
    for number, rule in enumerate(policy.rules if policy else ()):
        if rule not in WAIVABLE:
            listed = ", ".join(f"`{each}`" for each in WAIVABLE)
            yield WAIVER_POLICY.finding(
                f"`{rule}` is waived by nobody; policy may list {listed}",
                document.position_of(("waivers", "rules", number)),
            )


def check_waiver(
    waiver: Waiver, snapshot: Snapshot, document: ParsedDocument, now_s: int | None = None
) -> Iterator[Finding]:
    """Findings for one waiver; `now_s` is when it would be merged, None if it is on main."""
    if waiver.environment not in snapshot.environments:
        told = f"`{waiver.environment}` is not defined in this control repo"
        yield ENVIRONMENT_UNKNOWN.finding(told, document.position_of(("environment",)))
    policy = policy_of(snapshot.platform)
    if policy is None or waiver.rule not in policy.rules:
        listed = ", ".join(f"`{each}`" for each in policy.rules) if policy else "nothing"
        yield WAIVER_RULE.finding(
            f"the platform's policy does not let `{waiver.rule}` be waived, but {listed}",
            document.position_of(("rule",)),
        )
    problem = lifetime_problem(waiver, policy)
    if problem:
        yield WAIVER_LIFETIME.finding(problem, document.position_of(("expires",)))
    elif now_s is not None and seconds_of(waiver.expires) <= now_s:
        told = f"it ended at {waiver.expires}"
        yield WAIVER_EXPIRED.finding(told, document.position_of(("expires",)))


def policy_of(platform: Platform | None) -> WaiverPolicy | None:
    """The platform's policy for waivers; None if nothing may be waived."""
    return platform.waivers if platform else None


def lifetime_problem(waiver: Waiver, policy: WaiverPolicy | None) -> str:
    """The problem with a waiver's lifetime; empty if there is none."""
    lasts_s = seconds_of(waiver.expires) - seconds_of(waiver.starts)
    if lasts_s <= 0:
        return f"it ends at {waiver.expires}, not after it starts"
    if policy is not None and lasts_s > policy.longest_days * _DAY_S:
        return f"it lasts for more than {policy.longest_days} days"
    return ""
