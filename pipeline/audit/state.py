"""State branches: chain and fold of every draft, and whose commits they are."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.audit.reading import Audit, Chain
from pipeline.diagnostics import Location
from pipeline.facts import (
    BrokenChain,
    FactFile,
    fact_bytes,
    fact_path,
    fold,
    hash_of,
    parse_chain,
    status_bytes,
    status_path,
)
from pipeline.rules import audit as rule
from pipeline.stages.scaffold import PIPELINE_EMAIL


def verify_state_branch(audit: Audit, branch: str, head: str) -> None:
    """Adds the branch's chains to the audit, and what is wrong with them, its files and commits."""
    tenant = branch.removeprefix("state/")
    by_draft: dict[str, list[FactFile]] = {}
    statuses: dict[str, bytes] = {}
    for path, (_, content) in sorted(audit.control.read_files(head, "").items()):
        parts = path.split("/")
        if len(parts) == 4 and parts[0] == "drafts" and parts[2] == "facts":
            by_draft.setdefault(parts[1], []).append(FactFile(path, content))
        elif len(parts) == 3 and parts[0] == "drafts" and parts[2] == "status.yaml":
            statuses[parts[1]] = content
        else:
            audit.findings.append(
                rule.STATE_FILE.finding(
                    f"`{path}` belongs to nothing", Location(f"{branch}:{path}")
                )
            )
    for primitive in sorted({*by_draft, *statuses}):
        chain = _read_chain(
            audit, branch, f"{tenant}/{primitive}", by_draft.get(primitive, []), statuses
        )
        if chain is not None:
            audit.chains.append(chain)
        else:
            audit.unreadable |= {primitive, f"{tenant}--{primitive}"}
    hashes = {c.draft: c.hashes for c in audit.chains if c.branch == branch}
    for commit in audit.control.log_commits(head, first_parent=True):
        if commit.author.email != PIPELINE_EMAIL or commit.committer.email != PIPELINE_EMAIL:
            audit.findings.append(
                rule.FOREIGN_COMMIT.finding(
                    f"commit {commit.id[:12]} by {commit.author.email} is on `{branch}`",
                    Location(branch),
                )
            )
        for name, value in commit.trailers:
            draft, _, fact = value.partition(" ")
            if name == "Fact" and draft in hashes and fact not in hashes[draft]:
                audit.findings.append(
                    rule.FACT_ANCHOR.finding(
                        f"commit {commit.id[:12]} recorded {fact}, "
                        f"which the chain of {draft} lacks",
                        Location(f"{branch}:{status_path(draft.split('/')[1])}"),
                    )
                )


def _read_chain(
    audit: Audit,
    branch: str,
    draft: str,
    files: list[FactFile],
    statuses: Mapping[str, bytes],
) -> Chain | None:
    primitive = draft.split("/")[1]
    audit.facts += len(files)
    try:
        facts = parse_chain(draft, files)
        status = fold(facts)
    except BrokenChain as broken:
        audit.findings.append(
            rule.FACT_CHAIN.finding(broken.message, Location(f"{branch}:{broken.file}"))
        )
        return None
    at = Location(f"{branch}:{status_path(primitive)}")
    recorded = statuses.get(primitive)
    if status is None:
        audit.findings.append(rule.FACT_CHAIN.finding("there is a status without facts", at))
        return None
    if recorded != status_bytes(status):
        newest = fact_path(primitive, facts[-1].sequence, facts[-1].body.type)
        audit.findings.append(
            rule.STATUS_FOLD.finding(f"is not the fold of the facts up to {newest}", at)
        )
    hashes = frozenset(hash_of(fact_bytes(f)) for f in facts)
    return Chain(draft, branch, facts, status, hashes)
