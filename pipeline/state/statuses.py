"""Recorded statuses as plain values, straight from the state branches; fast, imports no models.

`status` of one draft costs two git processes and one small file, however long the branch's history.
`pipeline.state.facts.status_bytes` wrote the file; `audit verify` proves that it equals the fold.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import yaml

from pipeline.diagnostics import Finding
from pipeline.errors import CouldNotCheck, UsageFault
from pipeline.gate.running import Running, check_running
from pipeline.gate.standing import (
    Standing,
    check_blocked,
    check_deleted,
    check_environments,
    check_groups,
)
from pipeline.git.repository import GitRepository
from pipeline.models.draft_id import parse_draft_id
from pipeline.requests.layout import BLOCKED_PATH, environment_path
from pipeline.requests.order import EnvironmentPlace, ordered

# Repeats names of `pipeline.names` and `pipeline.state.facts`, which would import the models.
STATE_PREFIX = "state/"
_ID = r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*"
_ENVIRONMENT = re.compile(rf"({_ID})/environment\.yaml\Z")
_REQUEST = re.compile(rf"({_ID})/drafts/({_ID})/draft\.yaml\Z")

StatusDocument = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class StateRefs:
    """The repository that state is read from, and the prefix of its branches' refs."""

    git: GitRepository
    prefix: str


def status_spec(tenant: str, primitive: str) -> tuple[str, str]:
    """The branch that holds a draft's status, and the path of the file there."""
    return f"{STATE_PREFIX}{tenant}", f"drafts/{primitive}/status.yaml"


def read_status_document(state: StateRefs, draft: str) -> StatusDocument:
    """One draft's recorded status. Raises UsageFault when it has none."""
    id = parse_draft_id(draft)
    git, prefix = state.git, state.prefix
    branch, path = status_spec(id.tenant, id.primitive)
    found = git.read_object(f"{prefix}{branch}:{path}")
    if found is None:
        raise UsageFault(
            f"nothing has happened to `{draft}` yet",
            help="merge its request, then `pipeline run`; `pipeline status` lists drafts",
        )
    return _parsed(draft, found.content)


def read_status_documents(
    state: StateRefs, tenant: str | None = None
) -> tuple[tuple[StatusDocument, ...], tuple[str, ...]]:
    """Every draft's recorded status by id, or one tenant's; and the drafts with a damaged one."""
    git, prefix = state.git, state.prefix
    below = f"{prefix}{STATE_PREFIX}"
    found: dict[str, StatusDocument] = {}
    damaged: list[str] = []
    for ref, head in sorted(git.read_refs((below,)).items()):
        owner = ref.removeprefix(below)
        if tenant not in (None, owner):
            continue
        primitives = [e.name for e in git.read_tree(f"{head}:drafts") or ()]
        specs = [f"{head}:{status_spec(owner, p)[1]}" for p in primitives]
        for primitive, item in zip(primitives, git.read_objects(specs), strict=True):
            draft = f"{owner}/{primitive}"
            try:
                found[draft] = _parsed(draft, item.content if item else b"")
            except CouldNotCheck:
                damaged.append(draft)
    return tuple(found[draft] for draft in sorted(found)), tuple(damaged)


def read_environments(state: StateRefs) -> tuple[str, ...]:
    """The environments of main in the order of their graph, as far as their files are readable."""
    git, main = state.git, f"{state.prefix}main"
    found = [_ENVIRONMENT.match(path) for path in git.list_files(main, "environments")]
    names = [match[1] for match in found if match is not None]
    items = git.read_objects([f"{main}:{environment_path(name)}" for name in names])
    return ordered(
        {n: _place(n, i.content if i else b"") for n, i in zip(names, items, strict=True)}
    )


def _place(name: str, content: bytes) -> EnvironmentPlace:
    """An environment's place, from its file; `validate` reports what is wrong in it."""
    try:
        found = yaml.load(content, yaml.CSafeLoader)
    except yaml.YAMLError:
        found = None
    told = found if isinstance(found, dict) else {}
    sources = told.get("promotes_from")
    return EnvironmentPlace(
        stage=str(told.get("stage", name)),
        sources=tuple(map(str, sources if isinstance(sources, list) else ())),
    )


def read_requested(state: StateRefs, tenant: str | None = None) -> tuple[str, ...]:
    """Ids of all drafts whose request is on main, or those of one tenant."""
    git, prefix = state.git, state.prefix
    files = git.list_files(f"{prefix}main", "tenants")
    matches = (_REQUEST.match(path) for path in files)
    return tuple(
        sorted(f"{m[1]}/{m[2]}" for m in matches if m is not None and tenant in (None, m[1]))
    )


def read_standing_findings(
    state: StateRefs, documents: Iterable[StatusDocument]
) -> tuple[Finding, ...]:
    """What these statuses record but main no longer allows: blocked digests, deleted files.

    An environment without a file was removed; what still runs there is a warning.

    Raises CouldNotCheck for a damaged status.
    """
    git, prefix = state.git, state.prefix
    roots = ("environments", "tenants")
    paths = {f"{root}/{path}" for root in roots for path in git.list_files(f"{prefix}main", root)}
    item = git.read_object(f"{prefix}main:{BLOCKED_PATH}")
    try:
        documents = tuple(documents)
        standings = [Standing.of(document) for document in documents]
        about = {standing.draft for standing in standings}
        in_groups = any(standing.moved or standing.refused for standing in standings)
        # The other members may be other tenants'.
        others = read_status_documents(state)[0] if in_groups else ()
        around = [Standing.of(document) for document in others]
        promotions: list[Any] = [p for d in documents for p in cast("Any", d["promotions"])]
        running = [one for promotion in promotions if (one := Running.of(promotion))]
    except (KeyError, TypeError, AttributeError) as error:
        raise CouldNotCheck(
            "a status is damaged", help="`pipeline audit verify` says which"
        ) from error
    blocked = _blocked(item.content if item else b"")
    return (
        *check_blocked(standings, blocked),
        *check_deleted(standings, paths),
        *check_environments(standings, paths),
        *check_groups(around, about),
        *(finding for one in running for finding in check_running(one)),
    )


def _blocked(content: bytes) -> Mapping[str, str]:
    """Digest → reason, as far as the file is readable; `validate` reports what is wrong in it."""
    try:
        found = yaml.load(content, yaml.CSafeLoader)
    except yaml.YAMLError:
        return {}
    listed = found.get("digests") if isinstance(found, dict) else None
    return {
        str(item.get("digest")): str(item.get("reason"))
        for item in (listed if isinstance(listed, list) else ())
        if isinstance(item, dict)
    }


def read_deleted(git: GitRepository, revision: str, paths: Collection[str]) -> tuple[Finding, ...]:
    """Findings for drafts and tenants on this clone's state branches that `paths` lacks.

    Empty if the clone has no state branch, or if `revision` does not descend from origin's main: an
    older commit lacks what came later.
    """
    main = git.resolve("refs/remotes/origin/main")
    if main is not None and not git.is_ancestor(main, revision):
        return ()
    found: list[Finding] = []
    prefixes = ("refs/heads/state/", "refs/remotes/origin/state/")
    heads = {ref.rpartition("/")[2]: head for ref, head in git.read_refs(prefixes).items()}
    for tenant, head in sorted(heads.items()):
        there = [e.name for e in git.read_tree(f"{head}:drafts") or ()]
        if f"tenants/{tenant}/tenant.yaml" in paths:
            there = [p for p in there if f"tenants/{tenant}/drafts/{p}/draft.yaml" not in paths]
        items = git.read_objects([f"{head}:{status_spec(tenant, p)[1]}" for p in there])
        read = [
            _parsed(f"{tenant}/{primitive}", item.content)
            for primitive, item in zip(there, items, strict=True)
            if item is not None
        ]
        found += check_deleted([Standing.of(document) for document in read], paths)
    return tuple(found)


def _parsed(draft: str, content: bytes) -> StatusDocument:
    try:
        found = yaml.load(content, yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise CouldNotCheck(
            f"the status of `{draft}` is damaged", help="`pipeline audit verify` says where"
        ) from error
    if not isinstance(found, dict) or found.get("id") != draft:
        raise CouldNotCheck(
            f"the status of `{draft}` is damaged", help="`pipeline audit verify` says where"
        )
    return found
