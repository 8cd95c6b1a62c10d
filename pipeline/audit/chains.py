"""Chains: read whole and folded; each new fact goes to the steps with the status before it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial

from pipeline.audit import rules as rule
from pipeline.audit.cases import FactCase
from pipeline.audit.objects import Missing, Objects
from pipeline.audit.reading import Audit, Chain, Sealed
from pipeline.audit.state import StateBranch, read_stored_facts
from pipeline.diagnostics import Finding, Location
from pipeline.git.objects import blob_id
from pipeline.models.draft_id import DraftId
from pipeline.models.facts import Built, Fact, PatchApplied, Promoted, Retired, Scaffolded
from pipeline.models.requests import Signers
from pipeline.models.status import DraftStatus
from pipeline.names import overlay_folder, primitive_folder
from pipeline.state.facts import (
    BrokenChain,
    fact_bytes,
    fact_path,
    fold,
    fold_one,
    hash_of,
    older_folds,
    parse_chain,
    status_bytes,
    status_path,
)

FactStep = Callable[[FactCase], Iterator[Finding]]


def read_chain(state: StateBranch, primitive: str, since: int = 0) -> Chain:
    """The chain of a draft at a branch's head. Raises BrokenChain."""
    draft = f"{state.tenant}/{primitive}"
    facts = parse_chain(draft, read_stored_facts(state, primitive))
    status = fold(facts)
    if status is None:
        raise BrokenChain(status_path(primitive), "there is a status without facts")
    if since > len(facts):
        newest = fact_path(primitive, len(facts), facts[-1].body.type)
        raise BrokenChain(newest, f"is the newest of {len(facts)}; {since} were verified before")
    hashes = (*(fact.previous for fact in facts[1:]), hash_of(fact_bytes(facts[-1])))
    return Chain(draft, state.branch, facts, hashes, status, since)


def read_ahead(audit: Audit, chain: Chain) -> None:
    """Prefetch the objects that a chain's new facts name, in few queries: most time goes there."""
    control, line = audit.control, audit.main
    causes = {f.cause.commit: f.cause for f in chain.new_facts if f.cause.commit in line.position}
    control.read_ahead_commits([c.brought.head for c in causes.values() if c.brought])
    places = []
    for commit, cause in causes.items():
        at = line.position[commit]
        trees = [control.commit(id).tree for id in line.line[max(0, at - 1) : at + 1]]
        places += [(tree, cause.request) for tree in trees]
    control.read_ahead_at(places)
    control.keep_blobs([cause.blob for cause in causes.values()])
    repo, instance = chain.status.target_repo, chain.status.instance
    code = audit.repository(repo) if repo in audit.possible_repos else None
    if code is not None:
        _read_ahead_code(code, chain, primitive_folder(instance))


def _read_ahead_code(code: Objects, chain: Chain, folder: str) -> None:
    bodies = [fact.body for fact in chain.new_facts]
    ids = [b.commit for b in bodies if isinstance(b, Scaffolded | PatchApplied)]
    code.read_ahead_commits(ids)
    commits = [found for id in ids if (found := code.find_commit(id)) is not None]
    code.read_ahead_commits([parent for commit in commits for parent in commit.parents])
    code.read_ahead_at([(commit.tree, folder) for commit in commits])
    folders = [code.entry(commit.tree, folder) for commit in commits]
    try:
        code.read_whole(*(entry.id for entry in folders if entry is not None and entry.is_tree))
    except Missing:
        return  # the step for the fact that names it reports it


def check_fold(state: StateBranch, chain: Chain) -> Iterator[Finding]:
    """Findings for recorded statuses that are not the fold of the facts at their commit.

    A status may be in a form of older tools: that too is a fold of the facts.
    """
    recorded = state.recorded.get(chain.status.primitive_id, {})
    status: DraftStatus | None = None
    older = enumerate(older_folds(chain.facts), start=1)
    for fact in chain.facts:
        status = fold_one(status, fact, partial(chain.before, fact))
        found = recorded.get(fact.sequence)
        if found is None or found == blob_id(status_bytes(status)):
            continue
        forms = next(folded for count, folded in older if count == fact.sequence)
        if found in [blob_id(status_bytes(form)) for form in forms]:
            continue
        newest = fact_path(status.primitive_id, fact.sequence, fact.body.type)
        yield rule.AUDIT_STATUS_FOLD.finding(
            f"is not the fold of the facts up to {newest}",
            Location(f"{state.branch}:{status_path(status.primitive_id)}"),
            commit=_commit_of(state, chain, fact),
        )


def _commit_of(state: StateBranch, chain: Chain, fact: Fact) -> str:
    """The commit with a wrong status, if the newest status is right again; else empty."""
    if fact.sequence == len(chain.facts):
        return ""
    primitive = chain.status.primitive_id
    for change in state.commits:
        if any(w.primitive == primitive and w.facts == fact.sequence for w in change.written):
            return f"{state.objects.name}@{change.commit.id}"
    return ""


def run_steps(audit: Audit, chain: Chain, steps: Iterable[FactStep]) -> None:
    """Run every step over every new fact of a chain, and note the overlays that the facts seal."""
    status: DraftStatus | None = None
    read_ahead(audit, chain)
    for fact in chain.facts:
        if fact.sequence > chain.since:
            case = FactCase(audit, chain, fact, status)
            for step in steps:
                audit.findings += step(case)
        status = fold_one(status, fact, partial(chain.before, fact))
    for fact in chain.facts:
        body, at, image = fact.body, chain.location(fact), chain.status.image
        if not isinstance(body, Promoted | Retired):
            continue
        # By the derived name, whatever the fact claims.
        folder = overlay_folder(body.environment, chain.status.instance)
        tree, digest = "", ""  # of a retired primitive nothing lies there
        if isinstance(body, Promoted):
            tree, digest = body.overlay_tree, body.release.digest
        sealed = Sealed(tree, digest, image, at, chain.draft)
        audit.sealed[chain.status.gitops_repo, folder] = sealed


def statements(audit: Audit, chains: Iterable[Chain]) -> Iterator[tuple[str, Signers]]:
    """The bundle of every recorded build, with the signers of that time."""
    for chain in chains:
        for fact in chain.facts:
            if isinstance(fact.body, Built) and fact.cause.commit in audit.main.position:
                tenant = DraftId(chain.draft).tenant
                policy = audit.main.policy_at(fact.cause.commit, tenant)
                if policy.signers is not None:
                    yield fact.body.build.bundle, policy.signers
