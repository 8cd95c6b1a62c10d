"""What a clone remembers from earlier audits: the verified heads, and the results up to them.

In every clone `refs/verified/<branch>` points to the verified head. Whatever the tool or policy, a
later head must descend from it, which exposes rewritten history. In the control clone
`refs/audit/memory` points to a record: what was proved and taken on trust up to those heads, which
overlays they sealed, what was noted, and what was found and acknowledged. The record counts only
for the same tool and policy, and only if the refs still match it.

Why this is sound: a fact is judged by what it names, all of it below those heads, and by policy on
main since its request, which later commits only add to. Anything that can change without a commit
below a head is judged every time: blocked digests, present overlays, modes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from pydantic import ValidationError

from pipeline.audit.reading import Sealed
from pipeline.diagnostics import RULES, Finding, Location
from pipeline.errors import CouldNotCheck, StalePlan
from pipeline.git.objects import RefUpdate, git_object
from pipeline.git.repository import GitRepository
from pipeline.machine.identity import tool_identity
from pipeline.models.base import Model, canonical_json
from pipeline.models.trust import Trust

VERIFIED = "refs/verified/"
MEMORY_REF = "refs/audit/memory"
ACKNOWLEDGEMENTS = "acknowledgements"


class _FindingRecord(Model):
    code: str
    message: str
    file: str
    commit: str


class _SealedRecord(Model):
    repo: str
    folder: str
    tree: str
    digest: str
    image: str
    at: str
    draft: str


class _Record(Model):
    """The record as it is stored."""

    tool: str
    policy: str
    heads: dict[str, dict[str, str]]  # repository → branch → commit
    drafts: int
    facts: int
    proved: dict[str, int]
    trusted: tuple[tuple[str, str, int], ...]
    decisions: dict[str, int]
    sealed: tuple[_SealedRecord, ...]
    instances: tuple[tuple[str, str], ...]
    findings: tuple[_FindingRecord, ...]


@dataclass
class AuditMemory:
    """The part of earlier audits' results that still counts."""

    heads: dict[str, dict[str, str]] = field(default_factory=dict)
    drafts: int = 0
    facts: int = 0
    proved: Counter[str] = field(default_factory=Counter)
    trusted: Counter[Trust] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    sealed: dict[tuple[str, str], Sealed] = field(default_factory=dict)
    instances: set[tuple[str, str]] = field(default_factory=set)
    findings: list[Finding] = field(default_factory=list)  # acknowledged ones, and notes on facts

    def of(self, repo: str) -> Mapping[str, str]:
        """Branch → verified commit, for one repository."""
        return self.heads.get(repo, {})


def policy_key(control: GitRepository, main: str) -> str:
    """A hash of the policy on main: all below `environments/` except acknowledgements."""
    entries = control.read_tree(f"{main}:environments") or ()
    told = sorted(f"{e.name} {e.id}" for e in entries if e.name != ACKNOWLEDGEMENTS)
    return git_object("blob", "\n".join(told).encode()).id


def read_verified(git: GitRepository) -> dict[str, str]:
    """Branch → the commit that an earlier audit verified in this clone."""
    found = git.read_refs((VERIFIED,))
    return {name.removeprefix(VERIFIED): id for name, id in found.items()}


def read_memory(control: GitRepository, main: str) -> AuditMemory:
    """The record of the last audit; an empty one if it no longer counts."""
    found = control.read_object(MEMORY_REF)
    try:
        record = _Record.model_validate_json(found.content if found else b"")
    except ValidationError:
        return AuditMemory()
    known = all(item.code in RULES for item in record.findings)
    if record.tool != tool_identity() or record.policy != policy_key(control, main) or not known:
        return AuditMemory()
    return AuditMemory(
        record.heads,
        record.drafts,
        record.facts,
        Counter(record.proved),
        Counter({Trust(what, whose): count for what, whose, count in record.trusted}),
        Counter(record.decisions),
        {
            (s.repo, s.folder): Sealed(s.tree, s.digest, s.image, Location(s.at), s.draft)
            for s in record.sealed
        },
        set(record.instances),
        [
            Finding(f.code, f.message, Location(f.file), RULES[f.code].severity, "", f.commit)
            for f in record.findings
        ],
    )


def write_memory(
    control: GitRepository, policy: str, memory: AuditMemory, clones: Mapping[str, GitRepository]
) -> None:
    """Remember the heads in every clone, and the record in the control clone.

    The record is written last: without it nothing is skipped. A read-only clone is left as it is.
    """
    try:
        for repo, git in clones.items():
            _move(git, {VERIFIED + branch: id for branch, id in memory.of(repo).items()})
        blob = git_object("blob", _record_of(policy, memory))
        control.write_objects([blob])
        _move(control, {MEMORY_REF: blob.id})
    except (CouldNotCheck, StalePlan, OSError):
        return


def _move(git: GitRepository, refs: Mapping[str, str]) -> None:
    now = git.read_refs((VERIFIED, MEMORY_REF))
    git.update_refs(
        [RefUpdate(ref, now.get(ref), new) for ref, new in refs.items() if now.get(ref) != new]
    )


def _record_of(policy: str, memory: AuditMemory) -> bytes:
    record = {
        "tool": tool_identity(),
        "policy": policy,
        "heads": memory.heads,
        "drafts": memory.drafts,
        "facts": memory.facts,
        "proved": dict(memory.proved),
        "decisions": dict(memory.decisions),
        "trusted": [[t.what, t.whose, count] for t, count in memory.trusted.items()],
        "sealed": [
            {
                "repo": repo,
                "folder": folder,
                "tree": s.tree,
                "digest": s.digest,
                "image": s.image,
                "at": s.location.file,
                "draft": s.draft,
            }
            for (repo, folder), s in memory.sealed.items()
        ],
        "instances": sorted(map(list, memory.instances)),
        "findings": [
            {"code": f.code, "message": f.message, "file": f.location.file, "commit": f.commit}
            for f in memory.findings
        ],
    }
    return canonical_json(record)
