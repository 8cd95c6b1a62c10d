"""Recording: a plan's facts on a tenant's state branch, in one commit. Part of apply: it writes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

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
from pipeline.models.facts import Fact, FactBody
from pipeline.models.status import DraftStatus
from pipeline.names import state_branch
from pipeline.plan.effects import AppendFacts, FactEntry, resolved_body
from pipeline.state.facts import (
    fact_bytes,
    fact_path,
    fold_one,
    next_fact,
    parse_status,
    status_bytes,
    status_path,
)

# Built when the first fact is recorded: most runs record none.
_BODY: TypeAdapter[FactBody] = TypeAdapter(FactBody, config=ConfigDict(defer_build=True))


def record_facts(
    effect: AppendFacts,
    forge: Repositories,
    control_repo: str,
    *,
    actor: int,
    outcomes: Mapping[str, object],
    left_out: Collection[str],
) -> tuple[str, list[tuple[str, ValueError]]]:
    """The state branch's new head, and the drafts whose facts could not be recorded and why.

    `outcomes` are those of the plan's other effects; drafts to leave out failed before. Raises
    StalePlan when the branch is not where it was planned on.
    """
    entries = [e for e in effect.entries if e.draft not in left_out]
    if not entries:
        return effect.expected or "", []
    git = forge.open_repository(control_repo)
    branch = state_branch(effect.tenant)
    head = git.resolve(f"refs/heads/{branch}")
    if head != effect.expected:
        raise StalePlan(f"{branch} is at {head}, planned on {effect.expected}")
    written, newest, failed = _facts_to_write(entries, git, head, outcomes)
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
    outcomes: Mapping[str, object],
) -> tuple[list[tuple[Fact, DraftStatus]], dict[str, str], list[tuple[str, ValueError]]]:
    """The facts with the status after each, each draft's newest hash, and drafts that failed.

    A draft whose status is damaged, or whose facts cannot be said, fails alone.
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
            for entry in entries:
                if entry.draft == draft:
                    fact = _fact_of(entry, status, outcomes)
                    status = fold_one(status, fact)
                    facts.append((fact, status))
        except ValueError as error:
            failed.append((draft, error))
            continue
        written += facts
        newest[draft] = facts[-1][1].newest_fact
    return written, newest, failed


def _fact_of(entry: FactEntry, status: DraftStatus | None, outcomes: Mapping[str, object]) -> Fact:
    body = json.dumps(_jsonable(resolved_body(entry, outcomes)))
    return next_fact(entry.draft, status, entry.cause, _BODY.validate_json(body))


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
    objects: list[GitObject] = []
    by_draft: dict[str, list[tuple[Fact, DraftStatus]]] = {}
    for fact, status in written:
        by_draft.setdefault(status.primitive_id, []).append((fact, status))
    specs = [f"{head}:drafts"] + [f"{head}:drafts/{p}/facts" for p in by_draft]
    found = git.read_objects(specs) if head else [None] * len(specs)
    drafts = {e.name: e for e in parse_tree(found[0].content)} if found[0] else {}
    for (primitive, items), present in zip(by_draft.items(), found[1:], strict=True):
        entries = {e.name: e for e in parse_tree(present.content)} if present else {}
        for fact, _ in items:
            blob = git_object("blob", fact_bytes(fact))
            name = fact_path(primitive, fact.sequence, fact.body.type).rsplit("/", 1)[1]
            if name in entries:
                raise StalePlan(f"fact {name} of {primitive} is there already")
            entries[name] = TreeEntry(MODE_FILE, name, blob.id)
            objects.append(blob)
        facts_tree = tree_object(entries.values())
        status_blob = git_object("blob", status_bytes(items[-1][1]))
        draft_tree = tree_object(
            [
                TreeEntry(MODE_TREE, "facts", facts_tree.id),
                TreeEntry(MODE_FILE, "status.yaml", status_blob.id),
            ]
        )
        objects += [facts_tree, status_blob, draft_tree]
        drafts[primitive] = TreeEntry(MODE_TREE, primitive, draft_tree.id)
    drafts_tree = tree_object(drafts.values())
    root = tree_object([TreeEntry(MODE_TREE, "drafts", drafts_tree.id)])
    return [*objects, drafts_tree, root], root.id
