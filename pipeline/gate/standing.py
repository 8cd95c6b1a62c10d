"""Rules about drafts that still stand although main now says otherwise. Pure.

They compare statuses with main as it is now: a digest that was blocked after its promotion, and a
draft or tenant whose file was deleted. No request is left for a run to judge, so these rules report
them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.diagnostics import Finding, Location, Rule, Severity, Subject, register
from pipeline.models.draft_id import DraftId
from pipeline.requests.layout import BLOCKED_PATH, draft_path, environment_path, tenant_path

if TYPE_CHECKING:
    from pipeline.models.status import DraftStatus  # slow to import; `status` does not need it

_MOST_LISTED = 5
BLOCKED_DIGEST_RUNS = register(
    Rule(
        id="blocked-digest-runs",
        summary="No environment runs a digest listed in `environments/blocked-digests.yaml`.",
        why="a blocked digest is known to be bad, and blocking it does not stop it",
        fix="promote a release built from other source; blocking only prevents new promotions",
        subject=Subject.SCENARIO,
        fails="the digest that prod runs is blocked after its promotion",
        passes="a digest is blocked that no environment runs",
    )
)
DRAFT_FILE_DELETED = register(
    Rule(
        id="draft-file-deleted",
        summary="`draft.yaml` stays on main until its draft has ended.",
        why="its branch, pull request and releases stay, but no request allows them any more",
        fix="restore the file (`git revert`); a draft that was never promoted ends when its "
        "code's pull request is closed, and its file can be deleted after the next run",
        subject=Subject.SCENARIO,
        fails="a draft's file is deleted while dev runs its release",
        passes="a draft's file is deleted after its pull request was closed, and a run saw it",
    )
)
TENANT_FILE_DELETED = register(
    Rule(
        id="tenant-file-deleted",
        summary="`tenant.yaml` stays on main until all of the tenant's drafts have ended.",
        why="runs skip a tenant without it, so nothing of it is judged or repaired",
        fix="restore the file (`git revert`), end each draft, then delete it",
        subject=Subject.SCENARIO,
        fails="a tenant's file is deleted while prod runs one of its releases",
        passes="a tenant's file is deleted after the last of its drafts was rejected",
    )
)


ENVIRONMENT_FILE_DELETED = register(
    Rule(
        id="environment-file-deleted",
        summary="Releases run only in environments that policy defines.",
        why="its overlays stay as promoted, and nothing more is promoted there",
        fix="stop whatever syncs the environment's folder of the GitOps repositories; the overlays "
        "stay there as the record of what ran. Or restore the file (`git revert`)",
        subject=Subject.SCENARIO,
        fails="`environments/prod-eu/environment.yaml` is deleted while a release runs there",
        passes="the file of an environment that runs nothing is deleted",
        severity=Severity.WARNING,
    )
)


GROUP_HALF_APPLIED = register(
    Rule(
        id="group-half-applied",
        summary="A release group whose first member has moved moves whole.",
        why="what was approved together runs in part only, and perhaps does not work so",
        fix="go back with `pipeline rollback` on each member that moved (`pipeline retire` if it "
        "ran nothing there before), or ask for the missing member again",
        subject=Subject.SCENARIO,
        fails="after one member has moved, the digest of another one is blocked",
        passes="all members have moved, or those that did were rolled back",
        severity=Severity.WARNING,
    )
)


@dataclass(frozen=True, slots=True)
class InGroup:
    """A draft's part of a release group in one environment."""

    request: str
    commit: str  # the commit of main that brought this revision of the group
    environment: str


@dataclass(frozen=True, slots=True)
class Standing:
    """A draft that has facts: whether it ended, and what runs where."""

    draft: str
    ended: bool
    runs: Mapping[str, str]  # environment → digest
    # Environment → digests that ran there before.
    earlier: Mapping[str, frozenset[str]] = field(default_factory=dict)
    moved: frozenset[InGroup] = frozenset()  # the groups that what runs was part of
    refused: frozenset[InGroup] = frozenset()  # those that refused it, unless it was asked anew

    @staticmethod
    def of_status(status: DraftStatus) -> Standing:
        """The standing in a recorded status."""
        runs: dict[str, str] = {p.environment: p.release.digest for p in status.promotions}
        earlier = _by_environment(
            (r.environment, r.release.digest) for r in status.runs if r.until is not None
        )
        return Standing(status.id, status.state == "REJECTED", runs, earlier)

    @staticmethod
    def of(status: Mapping[str, Any]) -> Standing:
        """The standing in a status as plain values. Raises KeyError or TypeError if damaged."""
        runs = {p["environment"]: p["release"]["digest"] for p in status["promotions"]}
        moved, refused = (
            _groups_in(status.get(f, ())) for f in ("promotions", "refused_promotions")
        )
        earlier = _by_environment(
            (r["environment"], r["release"]["digest"])
            for r in status.get("runs", ())
            if r.get("until")
        )
        ended = status["state"] == "REJECTED"
        return Standing(str(status["id"]), ended, runs, earlier, moved, refused)


def _by_environment(found: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    digests: dict[str, set[str]] = {}
    for environment, digest in found:
        digests.setdefault(environment, set()).add(digest)
    return {environment: frozenset(those) for environment, those in digests.items()}


def _groups_in(records: Iterable[Mapping[str, Any]]) -> frozenset[InGroup]:
    """The groups that these records of a status were part of."""
    found = ((r["group"], r["environment"]) for r in records if r.get("group"))
    return frozenset(InGroup(g["request"], g["commit"], str(e)) for g, e in found)


def check_groups(
    standings: Iterable[Standing], about: Collection[str] | None = None
) -> Iterator[Finding]:
    """A finding for each release group of which some members run and another one was refused.

    With `about`, only groups with one of these drafts.
    """
    moved: dict[InGroup, list[str]] = {}
    refused: dict[InGroup, list[str]] = {}
    for standing in standings:
        for part in standing.moved:
            moved.setdefault(part, []).append(standing.draft)
        for part in standing.refused:
            refused.setdefault(part, []).append(standing.draft)
    for part in sorted(moved.keys() & refused.keys(), key=lambda part: part.request):
        drafts, where = {*moved[part], *refused[part]}, part.environment
        if about is not None and drafts.isdisjoint(about):
            continue
        undo = (f"`pipeline rollback {draft} --env {where}`" for draft in sorted(moved[part]))
        yield GROUP_HALF_APPLIED.finding(
            f"{where} runs {', '.join(sorted(moved[part]))}, and "
            f"{', '.join(sorted(refused[part]))} was refused",
            Location(part.request),
            help=f"undo it: {' and '.join(undo)}; or ask for the rest again",
        )


def check_blocked(standings: Iterable[Standing], blocked: Mapping[str, str]) -> Iterator[Finding]:
    """One finding per draft and blocked digest that runs; `blocked` maps digests to reasons."""
    for standing in standings:
        for digest in dict.fromkeys(standing.runs.values()):
            if digest in blocked:
                where = [e for e, running in standing.runs.items() if running == digest]
                back = [
                    f"`pipeline rollback {standing.draft} --env {e}`"
                    for e in where
                    if standing.earlier.get(e, frozenset()) - blocked.keys()
                ]
                yield BLOCKED_DIGEST_RUNS.finding(
                    f"{', '.join(where)} runs {digest} of `{standing.draft}`, which is blocked: "
                    f"{blocked[digest]}",
                    Location(BLOCKED_PATH),
                    help=_way_out(standing.draft, where, back),
                )


def _way_out(draft: str, where: Sequence[str], back: Sequence[str]) -> str:
    """What to do where a blocked digest runs: go back where something can be gone back to."""
    told = [f"go back: {' and '.join(back)}"] if back else []
    if len(back) < len(where):
        new = f"`pipeline promote request {draft} --env {where[0]}`"
        told.append(f"promote a release built from other source, from {new} on")
    return "; or ".join(told)


def check_environments(standings: Iterable[Standing], paths: Collection[str]) -> Iterator[Finding]:
    """A finding for each environment that runs something but has no file in main's `paths`."""
    found: dict[str, list[str]] = {}
    for standing in standings:
        for environment in standing.runs:
            if environment_path(environment) not in paths:
                found.setdefault(environment, []).append(standing.draft)
    for environment, drafts in sorted(found.items()):
        listed = ", ".join(f"`{draft}`" for draft in sorted(drafts)[:_MOST_LISTED])
        more = f" and {len(drafts) - _MOST_LISTED} more" if drafts[_MOST_LISTED:] else ""
        yield ENVIRONMENT_FILE_DELETED.finding(
            f"`{environment}` is no longer an environment, but still runs {listed}{more}",
            Location(environment_path(environment)),
        )


def check_deleted(standings: Iterable[Standing], paths: Collection[str]) -> Iterator[Finding]:
    """One finding for each standing draft or tenant without a file among main's `paths`."""
    tenants: dict[str, list[str]] = {}
    for standing in standings:
        if standing.ended and not standing.runs:
            continue
        tenant = DraftId(standing.draft).tenant
        path = draft_path(standing.draft)
        if tenant_path(tenant) not in paths:
            tenants.setdefault(tenant, []).append(standing.draft)
        if path not in paths:
            runs = ", ".join(standing.runs)
            what = f"runs in {runs}" if runs else "has its branch and pull request"
            yield DRAFT_FILE_DELETED.finding(f"`{standing.draft}` {what}", Location(path))
    for tenant, drafts in sorted(tenants.items()):
        listed = ", ".join(f"`{draft}`" for draft in sorted(drafts))
        yield TENANT_FILE_DELETED.finding(
            f"`{tenant}` has drafts that have not ended: {listed}", Location(tenant_path(tenant))
        )
