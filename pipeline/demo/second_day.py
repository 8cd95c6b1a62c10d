"""The second act of the story: what comes after the first day in production.

A second release meets a soak, a freeze, a stop and a blocked digest; each time `pipeline why` says
what it waits for, and who can change that.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pipeline.demo.story import (
    AGENT,
    DRAFT,
    ENGINEER,
    RELEASE_MANAGER,
    SECURITY,
    TENANT,
    Chapter,
    Command,
    Write,
    ask_promotion,
    ask_review,
    command,
    patch,
    run_tenant,
)
from pipeline.models.base import API_VERSION

PLATFORM_ENGINEER = "platform-engineer-1"
OTHER_PLATFORM_ENGINEER = "platform-engineer-2"
DIGEST = "$DIGEST"  # where a text has the digest of the newest build
_PLATFORM = "environments/platform.yaml"
_PROD = "environments/prod/environment.yaml"
_STOP = "environments/stop.yaml"
_REGION = "environments/prod-eu/environment.yaml"
_WAIVER = f"tenants/{TENANT}/drafts/{DRAFT.primitive}/waivers/peak-season.yaml"

_SOAK = "soak: {hours: 24, lanes: [security, rollback]}\n"
_LANES = "lanes: {security: [security], rollback: [release-managers]}\n"
_REGION_TEXT = f"""apiVersion: {API_VERSION}
kind: Environment
environment: prod-eu
stage: prod
promotes_from: [prod]
required_checks: [lint, tests, secrets]
requires_default_branch: true
approvals:
  LOW: {{count: 1, teams: [release-managers]}}
settings:
  LOG_LEVEL: warning
"""


def _freeze(now: datetime) -> str:
    begin, end = (f"{day:%Y-%m-%d}T00:00:00" for day in (now, now + timedelta(days=3)))
    return (
        "windows:\n"
        "  - name: peak-season\n"
        "    effect: deny\n"
        "    zone: UTC\n"
        f"    from: {begin}\n"
        f"    to: {end}\n"
        "    lanes: [rollback]\n"
        "    reason: Peak season, nothing changes\n"
    )


def _waiver(now: datetime) -> str:
    begin, end = (f"{day:%Y-%m-%d}T00:00:00Z" for day in (now, now + timedelta(days=2)))
    return (
        f"apiVersion: {API_VERSION}\n"
        "kind: Waiver\n"
        f"draft: {DRAFT}\n"
        "environment: prod\n"
        "rule: window-closed\n"
        f"digest: {DIGEST}\n"
        f"starts: {begin}\n"
        f"expires: {end}\n"
        "reason: The release closes a hole that is used already\n"
    )


def _stop(environments: str) -> str:
    return (
        f"apiVersion: {API_VERSION}\n"
        "kind: Stop\n"
        "stops:\n"
        f"  - {{reason: The gateway drops requests, environments: [{environments}]}}\n"
    )


def _policy(path: str, reason: str, number: int) -> tuple[Command, ...]:
    """A change of policy, asked for by one owner of the platform and approved by another."""
    return (
        Command(("submit", path, "--reason", reason, "--as", PLATFORM_ENGINEER)),
        ask_review(f"control#{number}", OTHER_PLATFORM_ENGINEER),
    )


def _why(environment: str) -> Command:
    # Exit code 1: it is not allowed yet.
    return command(f"why {DRAFT} --env {environment}", exit_code=1)


def _approved_in_prod(number: int) -> tuple[Command, ...]:
    return (
        ask_review(f"control#{number}", RELEASE_MANAGER, merge=False),
        ask_review(f"control#{number}", SECURITY),
        run_tenant(),
    )


def _second_release(package: str, work: str) -> Chapter:
    return Chapter(
        "A second release",
        "Now and then the same partner delivers twice. The agent's patch comes on a branch of its "
        "own, since the code is the tenant's by now; dev and staging run the new image.",
        (
            patch(
                "Prefer partners that deliver everywhere",
                f"src/{package}/routing.py={work}/next_routing.py",
            ),
            ask_review("control#7", ENGINEER),
            run_tenant(),
            ask_review("tenant-acme-controllers#3", ENGINEER),
            ask_promotion("dev", "Try the new order of partners"),
            ask_review("control#8", ENGINEER),
            run_tenant(),
            ask_promotion("staging", "Rehearse the new order"),
            ask_review("control#9", RELEASE_MANAGER),
            run_tenant(),
        ),
    )


def _soak(work: str) -> Chapter:
    return Chapter(
        "A soak that is not over",
        "prod now asks that a release has been seen healthy in staging for a day. It is approved "
        "by all who must, and waits; `why` says until when.",
        (
            Write(_PROD, _SOAK, appends=True),
            *_policy(_PROD, "Let staging run it for a day", 10),
            Command(("run", "--tenant", TENANT, "--observations", f"{work}/observations.yaml")),
            ask_promotion("prod", "The new order of partners"),
            *_approved_in_prod(11),
            _why("prod"),
        ),
    )


def _frozen(now: datetime) -> Chapter:
    return Chapter(
        "A freeze, and a waiver of it",
        "Peak season: a window of policy closes prod, and lets rollbacks pass. For this one image "
        "the platform's owners waive the window, for two days; the soak is left.",
        (
            Write(_PROD, _freeze(now), appends=True),
            *_policy(_PROD, "Freeze prod in peak season", 12),
            _why("prod"),
            Write(_WAIVER, _waiver(now)),
            Command(("submit", _WAIVER, "--reason", "It closes a hole", "--as", ENGINEER)),
            ask_review("control#13", PLATFORM_ENGINEER),
            _why("prod"),
        ),
    )


def _lane() -> Chapter:
    return Chapter(
        "The security lane",
        "Policy offers a lane that need not soak, if somebody of the security team vouches for "
        "it. Asked for anew in that lane, the release replaces the request that waits.",
        (
            Write(_PLATFORM, _LANES, appends=True),
            *_policy(_PLATFORM, "Offer lanes for security and rollback", 14),
            ask_promotion("prod", "It closes a hole", "--lane", "security"),
            *_approved_in_prod(15),
            command(f"why {DRAFT} --env prod"),
        ),
    )


def _region() -> Chapter:
    return Chapter(
        "A region more, and a stop",
        "Environments are files. Before the release comes to the new region, one file stops all "
        "that goes to production; it goes on once the stop is narrowed.",
        (
            Write(_REGION, _REGION_TEXT),
            *_policy(_REGION, "Serve the EU from a region of its own", 16),
            Write(_STOP, _stop("prod, prod-eu")),
            *_policy(_STOP, "The gateway drops requests", 17),
            ask_promotion("prod-eu", "Serve the EU"),
            ask_review("control#18", RELEASE_MANAGER),
            run_tenant(),
            _why("prod-eu"),
            Write(_STOP, _stop("prod")),
            *_policy(_STOP, "prod-eu has a gateway of its own", 19),
            run_tenant(),
        ),
    )


def _rolled_back() -> Chapter:
    return Chapter(
        "A blocked image, and a rollback that holds",
        "The image turns out to be bad: it is blocked everywhere, and `status` says where it "
        "runs. prod goes back to the release before, past stop and freeze, in the lane for that; "
        "until a person says otherwise nothing automatic moves past it.",
        (
            Command(
                (
                    *f"digest block {DIGEST} --reason".split(),
                    "It loses orders",
                    *f"--submit --as {PLATFORM_ENGINEER}".split(),
                )
            ),
            ask_review("control#20", OTHER_PLATFORM_ENGINEER),
            command("status", exit_code=1),
            Write(_STOP, _stop("staging")),
            *_policy(_STOP, "Let prod go back", 21),
            Command(
                (
                    *f"rollback {DRAFT} --env prod --reason".split(),
                    "It loses orders",
                    *f"--submit --as {AGENT}".split(),
                )
            ),
            *_approved_in_prod(22),
            command(f"promote request {DRAFT} --env prod --reason", "Once more", exit_code=1),
            command(f"why {DRAFT} --env prod"),
        ),
    )


def second_day(package: str, work: str, now_s: int) -> tuple[Chapter, ...]:
    """The chapters of the second act; `now_s` is when it begins, for its freeze."""
    now = datetime.fromtimestamp(now_s, UTC)
    return (
        _second_release(package, work),
        _soak(work),
        _frozen(now),
        _lane(),
        _region(),
        _rolled_back(),
    )
