"""Records a plan's facts on a tenant's state branch, in one commit. Part of apply: it writes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel, ConfigDict, TypeAdapter

from pipeline.errors import StalePlan
from pipeline.forges.port import Repositories
from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import (
    MODE_FILE,
    MODE_TREE,
    GitObject,
    RefUpdate,
    TreeEntry,
    commit_object,
    git_object,
    parse_tree,
    tree_object,
)
from pipeline.git.repository import GitRepository
from pipeline.models.base import Moment
from pipeline.models.draft_id import DraftId
from pipeline.models.facts import Fact, FactBody, PartOfGroup, Promoted, Retired
from pipeline.models.status import DraftStatus
from pipeline.names import state_branch
from pipeline.plan.effects import AppendFacts, FactEntry, resolved_body
from pipeline.state.facts import (
    FACTS,
    LATER_FACTS,
    fact_bytes,
    fact_path,
    fold_one,
    next_fact,
    parse_chain,
    parse_status,
    status_bytes,
    status_path,
)
from pipeline.state.store import read_fact_files

# Built when the first fact is recorded: most runs record none.
_BODY: TypeAdapter[FactBody] = TypeAdapter(FactBody, config=ConfigDict(defer_build=True))


@dataclass(frozen=True, slots=True)
class Told:
    """What applying a plan adds to its facts: outcomes of effects by key, and the moment of the
    plan."""

    outcomes: Mapping[str, object]
    now: Moment


def record_facts(
    effect: AppendFacts,
    forge: Repositories,
    control_repo: str,
    told: Told,
    *,
    actor: int,
    left_out: Collection[str],
) -> tuple[str, list[tuple[str, ValueError]]]:
    """The state branch's new head, and the drafts whose facts could not be recorded, with reasons.

    The drafts in `left_out` failed before. Raises StalePlan if the branch is not where the plan
    expects it.
    """
    entries = [e for e in effect.entries if e.draft not in left_out]
    if not entries:
        return effect.expected or "", []
    git = forge.open_repository(control_repo)
    branch = state_branch(effect.tenant)
    head = git.resolve(f"refs/heads/{branch}")
    if head != effect.expected:
        raise StalePlan(f"{branch} is at {head}, planned on {effect.expected}")
    written, newest, failed = _facts_to_write(entries, git, head, told)
    if not written:
        return head or "", failed
    objects, root = _state_trees(git, head, written)
    subject = f"Record {len(written)} fact{'s' if len(written) != 1 else ''} of {effect.tenant}"
    trailers = "\n".join(f"Fact: {draft} {hash}" for draft, hash in sorted(newest.items()))
    message = f"{subject}\n\nKey: {effect.key}\n{trailers}\n"
    signature = pipeline_signature(effect.time_s)
    commit = commit_object(root, [head] if head else [], message, signature, signature)
    update = RefUpdate(f"refs/heads/{branch}", head, commit.id)
    forge.push(control_repo, [*objects, commit], (update,), actor=actor)
    return commit.id, failed


def _facts_to_write(
    entries: list[FactEntry],
    git: GitRepository,
    head: str | None,
    told: Told,
) -> tuple[list[tuple[Fact, DraftStatus]], dict[str, str], list[tuple[str, ValueError]]]:
    """The facts with the status after each, each draft's newest hash, and drafts that failed.

    A draft with a damaged status, or with facts that cannot be made, fails alone.
    """
    drafts = sorted({e.draft for e in entries})
    found = (
        git.read_objects([f"{head}:{status_path(d.split('/')[1])}" for d in drafts]) if head else []
    )
    recorded = {draft: item.content for draft, item in zip(drafts, found, strict=False) if item}
    written: list[tuple[Fact, DraftStatus]] = []
    newest: dict[str, str] = {}
    failed: list[tuple[str, ValueError]] = []
    for draft in drafts:
        try:
            status = parse_status(recorded[draft]) if draft in recorded else None
            facts: list[tuple[Fact, DraftStatus]] = []
            before = partial(_read_facts, git, head, draft, facts)
            for entry in entries:
                if entry.draft == draft:
                    fact = _fact_of(entry, status, told)
                    status = fold_one(status, fact, before)
                    facts.append((fact, status))
        except ValueError as error:
            failed.append((draft, error))
            continue
        written += facts
        newest[draft] = facts[-1][1].newest_fact
    return written, newest, failed


def _read_facts(
    git: GitRepository, head: str | None, draft: str, new: Sequence[tuple[Fact, DraftStatus]]
) -> tuple[Fact, ...]:
    """The recorded facts of a draft, and those about to be recorded."""
    files = read_fact_files(git, head, DraftId(draft).primitive) if head else ()
    return (*parse_chain(draft, files), *(fact for fact, _ in new))


def _fact_of(entry: FactEntry, status: DraftStatus | None, told: Told) -> Fact:
    """The fact of an entry; for a merge done before a crash, the decision's time is the merge's."""
    body = _BODY.validate_json(json.dumps(_jsonable(resolved_body(entry, told.outcomes))))
    done = body.merged_at if isinstance(body, Promoted | Retired) else None
    decided_at = min(done or told.now, told.now)
    if isinstance(body, Promoted) and body.group and body.group.decided_at > decided_at:
        # Another run merged it meanwhile, so the group was decided then.
        body = body.model_copy(
            update={"group": PartOfGroup(name=body.group.name, decided_at=decided_at)}
        )
    return next_fact(entry.draft, status, entry.cause, body, decided_at=decided_at)


def _jsonable(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {k: _jsonable(v) for k, v in value.items()}
    return value


def _state_trees(
    git: GitRepository, head: str | None, written: list[tuple[Fact, DraftStatus]]
) -> tuple[list[GitObject], str]:
    """The objects of the state branch's next tree, touching only the drafts written to."""
    newest = {status.primitive_id: status for _, status in written}
    folders = {path.rpartition("/")[0] for path in map(_path_of, written)}
    above = {folder.rsplit("/", n)[0] for folder in folders for n in range(folder.count("/"))}
    known = _read_folders(git, head, sorted({"drafts", *folders, *above}))
    objects: list[GitObject] = []
    for fact, status in written:
        path = _path_of((fact, status))
        blob = git_object("blob", fact_bytes(fact))
        folder, _, name = path.rpartition("/")
        if name in known[folder]:
            raise StalePlan(f"fact {name} of {status.primitive_id} is there already")
        known[folder][name] = TreeEntry(MODE_FILE, name, blob.id)
        objects.append(blob)
    for primitive, status in newest.items():
        blob = git_object("blob", status_bytes(status))
        folder, _, name = status_path(primitive).rpartition("/")
        ours = {n: entry for n, entry in known[folder].items() if n in (FACTS, LATER_FACTS)}
        known[folder] = {**ours, name: TreeEntry(MODE_FILE, name, blob.id)}
        objects.append(blob)
    for folder in sorted(known, key=lambda f: f.count("/"), reverse=True):
        tree = tree_object(known[folder].values())
        objects.append(tree)
        parent, _, name = folder.rpartition("/")
        if parent:
            known[parent][name] = TreeEntry(MODE_TREE, name, tree.id)
    root = tree_object([TreeEntry(MODE_TREE, "drafts", objects[-1].id)])
    return [*objects, root], root.id


def _path_of(written: tuple[Fact, DraftStatus]) -> str:
    fact, status = written
    return fact_path(status.primitive_id, fact.sequence, fact.body.type)


def _read_folders(
    git: GitRepository, head: str | None, folders: Sequence[str]
) -> dict[str, dict[str, TreeEntry]]:
    """Folder → its entries by name at a state commit; none for a missing folder."""
    found = git.read_objects([f"{head}:{f}" for f in folders]) if head else [None] * len(folders)
    return {
        folder: {e.name: e for e in parse_tree(item.content)} if item else {}
        for folder, item in zip(folders, found, strict=True)
    }
