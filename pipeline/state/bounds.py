"""What a status lists of a long history, and how the rest is found in the facts. Pure.

Decision: a status is read at each look at a draft and written with each fact, so its size must not
grow with their number. It lists the newest 10 patches, check reports and builds, the newest 10 runs
of each environment, and the first 10 reasons of a refusal. Facts hold the rest, and are read when
it is asked for:

- A promotion may name any source that was ever merged. Its checks, its build and where it has run
  are looked for in the facts (`with_evidence`), which a promotion reads anyway.
- A request is due unless its newest content was dealt with. Patches that are not listed any more
  are held against one hash of all their requests (`requests_due`): where main has the same, none is
  due; else the facts tell which. So each look costs one hash, and exactness is not given up.

Older tools listed no runs, and those before 0.1.0 everything else. Their statuses are read and
audited as what they are, other folds of the same facts (`pipeline.state.facts.older_folds`); with
the next fact such a status is folded anew from all facts. A draft that was promoted nowhere and
has a short history has the same bytes in each form, so statuses carry no number of a format.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from pipeline.models.base import FactHash
from pipeline.models.facts import (
    Built,
    ChecksRecorded,
    Fact,
    PatchApplied,
    PatchRefused,
)
from pipeline.models.status import DraftStatus, EarlierPatches, PatchRecord, RefusedPromotion
from pipeline.requests.kinds import request_path
from pipeline.requests.layout import patch_path
from pipeline.state.runs import listed_runs, runs_of

R = TypeVar("R", PatchRecord, RefusedPromotion)

LISTED = 10  # patches, check reports and builds, each; reasons of one refusal


def is_bounded(status: DraftStatus) -> bool:
    """Whether a status lists no more than this tool would."""
    lists: list[Sequence[object]] = [status.patches, status.checks, status.builds]
    lists += [patch.reasons for patch in status.patches]
    lists += [refused.reasons for refused in status.refused_promotions]
    is_short = all(len(listed) <= LISTED for listed in lists)
    return is_short and listed_runs(status.runs) == status.runs


def bounded(status: DraftStatus, fact: Fact, before: Callable[[], Sequence[Fact]]) -> DraftStatus:
    """The status after a fact, without what it lists too much of.

    `before` gives the facts before this one; it is called only for a patch that is not among the
    newest.
    """
    if is_bounded(status):
        return status
    status = status.model_copy(
        update={
            "checks": status.checks[-LISTED:],
            "builds": status.builds[-LISTED:],
            "runs": listed_runs(status.runs),
            "patches": tuple(map(_shortened, status.patches)),
            "refused_promotions": tuple(map(_shortened, status.refused_promotions)),
        }
    )
    if len(status.patches) <= LISTED:
        return status
    # A fact brings one patch at most, so one is too much.
    oldest, *listed = status.patches
    requests = dict(status.requests)
    blob = requests.pop(patch_path(status.id, oldest.patch), "")
    earlier = status.earlier_patches
    if earlier is None or oldest.patch > earlier.through:
        known = earlier or EarlierPatches(count=0, applied=0, through="", requests=FactHash(""))
        earlier = _with_patch(known, oldest.patch, blob, is_applied=oldest.outcome == "applied")
    else:
        earlier = _earlier_of((*before(), fact), {p.patch for p in listed})
    return status.model_copy(
        update={"patches": tuple(listed), "requests": requests, "earlier_patches": earlier}
    )


def _shortened(record: R) -> R:
    return record.model_copy(update={"reasons": record.reasons[:LISTED]})


def _with_patch(
    earlier: EarlierPatches, number: str, blob: str, *, is_applied: bool
) -> EarlierPatches:
    return EarlierPatches(
        count=earlier.count + 1,
        applied=earlier.applied + is_applied,
        through=number,
        requests=_chained(earlier.requests, number, blob),
    )


def _chained(hash: FactHash, number: str, blob: str) -> FactHash:
    line = f"{hash} {number} {blob}\n"
    return FactHash("sha256:" + hashlib.sha256(line.encode()).hexdigest())


def requests_hash(blobs: Mapping[str, str]) -> FactHash:
    """What stands for these requests (patch number → blob), whatever their order."""
    found = FactHash("")
    for number in sorted(blobs):
        found = _chained(found, number, blobs[number])
    return found


def _earlier_of(facts: Iterable[Fact], listed: set[str]) -> EarlierPatches:
    """The same as adding them one by one, for patches that came in any order."""
    newest = {
        fact.body.patch: fact
        for fact in facts
        if isinstance(fact.body, PatchApplied | PatchRefused)
    }
    numbers = sorted(newest.keys() - listed)
    blobs = {number: str(newest[number].cause.blob) for number in numbers}
    return EarlierPatches(
        count=len(numbers),
        applied=sum(isinstance(newest[number].body, PatchApplied) for number in numbers),
        through=numbers[-1],
        requests=requests_hash(blobs),
    )


def requests_due(
    status: DraftStatus | None,
    asked: Mapping[str, str],
    read_facts: Callable[[], Sequence[Fact]],
) -> frozenset[str]:
    """The paths of a draft's requests, of those asked for (path → blob), that nobody dealt with.

    The facts are read only if main has other requests than those that the status stands for: one
    that is no longer listed was changed, taken away, or came after later ones.
    """
    done = status.requests if status else {}
    due = frozenset(path for path, blob in asked.items() if done.get(path) != blob)
    earlier = status.earlier_patches if status else None
    if status is None or earlier is None:
        return due
    old = {path: number for path in due if (number := _patch_number(path)) <= earlier.through}
    if requests_hash({number: asked[path] for path, number in old.items()}) == earlier.requests:
        return due - old.keys()
    dealt_with = {
        fact.cause.request: fact.cause.blob
        for fact in read_facts()
        if isinstance(fact.body, PatchApplied | PatchRefused)
    }
    return frozenset(path for path in due if dealt_with.get(path) != asked[path])


def _patch_number(path: str) -> str:
    """The number in a patch's path; what sorts after all numbers for another path."""
    meaning = request_path(path)
    return meaning.name if meaning is not None and meaning.kind == "DraftPatch" else "~"


def with_evidence(status: DraftStatus, facts: Iterable[Fact], tree: str | None) -> DraftStatus:
    """The status with the checks, the build and the runs of a source tree that it lists no more."""
    if tree is None:
        return status
    facts = tuple(facts)
    every = runs_of(facts)
    listed = {run.fact for run in listed_runs(every)}
    runs = tuple(run for run in every if run.fact in listed or run.release.source_tree == tree)
    if runs != status.runs:
        status = status.model_copy(update={"runs": runs})
    report, build = status.checks_of_tree(tree), status.build_of_tree(tree)
    if report and build:
        return status
    checks, builds = status.checks, status.builds
    bodies = [fact.body for fact in facts]
    if report is None:
        reports = [b.report for b in bodies if isinstance(b, ChecksRecorded)]
        checks = (*[r for r in reports if r.tree == tree][-1:], *checks)
    if build is None:
        built = [b.build for b in bodies if isinstance(b, Built) and b.build.source_tree == tree]
        builds = (*[b.model_copy(update={"bundle": ""}) for b in built[:1]], *builds)
    return status.model_copy(update={"checks": checks, "builds": builds})
