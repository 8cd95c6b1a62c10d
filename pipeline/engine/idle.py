"""Remembers tenants that had nothing to do, so that an idle run does not read them again.

What is due for a tenant depends only on its requests, release groups and policy on main, its state
branch, this tool, and the repositories that a look at the tenant asked for. So if a look finds
nothing due, no finding, and GitOps repositories as promoted without proposals, the cache keeps a
hash of the first four with fingerprints of the repositories. A tenant is settled if its hash is in
the cache and the fingerprints still match; if all its drafts are promoted, that is its GitOps
repository alone. Facts of other tenants about the platform's GitOps repository are not in the hash:
the repository changes with them. Nothing else is remembered, neither a plan that waits nor a
finding. Without the cache everything is read again, with the same result.

The forge is asked about all tenants' repositories together, once when a run begins and once when it
ends. What changes by time alone says when (`Waiting.until`): past that moment nothing is
remembered. Anything further that planning comes to depend on must go into the key.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from pipeline import names
from pipeline.forges.port import Repositories, RepoView
from pipeline.git.objects import TreeEntry
from pipeline.git.repository import GitRepository
from pipeline.machine.cache import cache_key, read_cached, write_cached
from pipeline.machine.clock import Clock, read_clock
from pipeline.machine.identity import tool_identity
from pipeline.models.base import Moment, moment_of
from pipeline.models.requests import CodeOrigin, Platform
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import GROUPS, PLATFORM_PATH, tenant_path

_KIND = "settled"


@dataclass(frozen=True, slots=True)
class Ground:
    """The inputs of all tenants' plans at one commit of main, as ids."""

    commit: str
    platform: str  # its name, part of repository names
    environments: str  # tree id
    groups: str  # tree id of `releases/`; empty if there is none
    folders: Mapping[str, str]  # folder below `tenants/` → tree id
    tenants: tuple[str, ...]  # the folders that hold a tenant, sorted


def read_ground(control: GitRepository, commit: str) -> Ground | None:
    """The ids at a commit of main; None if it does not look like a control repo."""
    root = {e.name: e for e in control.read_tree(commit) or ()}
    folders = control.read_tree(f"{commit}:tenants") or ()
    platform = control.read_object(f"{commit}:{PLATFORM_PATH}")
    environments = root.get("environments")
    if platform is None or environments is None or not all(map(_is_folder, folders)):
        return None
    read, _ = parse_request(PLATFORM_PATH, platform.content)
    if read is None or not isinstance(read.model, Platform):
        return None
    found = control.read_objects([f"{commit}:{tenant_path(e.name)}" for e in folders])
    return Ground(
        commit,
        read.model.platform,
        environments.id,
        root[GROUPS].id if GROUPS in root else "",
        {e.name: e.id for e in folders},
        tuple(sorted(e.name for e, item in zip(folders, found, strict=True) if item)),
    )


def _is_folder(entry: TreeEntry) -> bool:
    return entry.is_tree


def repos_of(ground: Ground, tenant: str) -> tuple[str, ...]:
    """The code and GitOps repositories that a look at a tenant may ask for."""
    origins = (CodeOrigin.TENANT, CodeOrigin.PLATFORM)
    kinds = (names.controllers_repo, names.gitops_repo)
    return tuple(kind(ground.platform, tenant, origin) for kind in kinds for origin in origins)


def tenant_key(
    ground: Ground, tenant: str, state_head: str | None, *, sees_gitops: bool
) -> str | None:
    """A hash of a tenant's inputs in the control repo; None if it has none."""
    if tenant not in ground.folders:
        return None
    return cache_key(
        tool_identity(),
        tenant,
        ground.folders[tenant],
        ground.environments,
        ground.groups,
        # Names of other tenants are refused in requests, so every tenant's name counts.
        *ground.tenants,
        "state",
        state_head or "",
        # A run that may not promote looks at no GitOps repository, so it has seen less.
        *(() if sees_gitops else ("without GitOps",)),
    )


@dataclass(frozen=True, slots=True)
class Before:
    """A tenant's world just before a look: its key, and the repositories' fingerprints."""

    key: str
    fingerprints: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Settled:
    """What a tenant with nothing due depends on: repositories' fingerprints, and the time."""

    rests_on: Mapping[str, str]
    until: Moment | None = None  # None: time alone does not change it

    def holds_at(self, now_s: int) -> bool:
        """Whether it is still valid at a time."""
        return self.until is None or moment_of(now_s) < self.until


@dataclass
class Memory:
    """What one run remembers from earlier runs, and leaves to the next."""

    forge: Repositories
    control_repo: str
    sees_gitops: bool = True  # whether looks include GitOps repositories
    clock: Clock = read_clock
    _grounds: dict[str, Ground | None] = field(default_factory=dict)
    _first: dict[str, Before] = field(default_factory=dict)  # by tenant, valid for one look
    _empty: dict[str, Settled] = field(default_factory=dict)  # by key

    def _ground(self, commit: str) -> Ground | None:
        """The ground at a commit of main, read once."""
        if commit not in self._grounds:
            control = self.forge.open_repository(self.control_repo)
            self._grounds[commit] = read_ground(control, commit)
        return self._grounds[commit]

    def read_unsettled(self, control: RepoView) -> frozenset[str] | None:
        """The folders below `tenants/` not known to be idle, with the control repo at `control`;
        None if that can't be told.

        One query covers all repositories that matter: those that settled tenants depend on, and
        those that the others may ask for.
        """
        ground = self._ground(str(control.head))
        if ground is None:
            return None
        keys = {t: self._key(ground, t, _state_head(control, t)) for t in ground.folders}
        now_s = self.clock()
        read = {t: _read_record(key) if key else None for t, key in keys.items()}
        records = {t: r.rests_on if r and r.holds_at(now_s) else None for t, r in read.items()}
        asked: dict[str, None] = {}
        for tenant, record in records.items():
            asked |= dict.fromkeys(repos_of(ground, tenant) if record is None else record)
        # A tenant may depend on the platform's repositories as well as its own.
        if asked:
            for kind in (names.controllers_repo, names.gitops_repo):
                asked |= {kind(ground.platform, "", CodeOrigin.PLATFORM): None}
        found = self.forge.read_fingerprints(asked)
        self._first = {
            t: Before(key, {r: found[r] for r in repos_of(ground, t) if r in found})
            for t, key in keys.items()
            if key
        }
        return frozenset(
            tenant
            for tenant, record in records.items()
            if record is None or any(found.get(repo) != told for repo, told in record.items())
        )

    def tenants_at(self, control: RepoView) -> tuple[str, ...]:
        """The tenants on main; none if main does not look like a control repo."""
        ground = self._ground(str(control.head))
        return ground.tenants if ground else ()

    def _key(self, ground: Ground, tenant: str, state_head: str | None) -> str | None:
        return tenant_key(ground, tenant, state_head, sees_gitops=self.sees_gitops)

    def read_before(self, commit: str, tenant: str, state_head: str | None) -> Before | None:
        """A tenant's world at the start of a look; None if that cannot be told.

        The first look uses what the run began with, and asks nothing.
        """
        ground = self._ground(commit)
        key = self._key(ground, tenant, state_head) if ground else None
        if ground is None or key is None:
            return None
        first, repos = self._first.pop(tenant, None), repos_of(ground, tenant)
        if first and first.key == key and first.fingerprints.keys() >= set(repos):
            return first
        return Before(key, self.forge.read_fingerprints(repos))

    def note_nothing_due(
        self, before: Before, asked_for: Collection[str], until: Moment | None = None
    ) -> None:
        """Note, until the run ends, that a look that asked for these repositories found nothing.

        `until` is the first moment at which time alone may change this.
        """
        if before.fingerprints.keys() >= set(asked_for):
            rests_on = {repo: before.fingerprints[repo] for repo in asked_for}
            self._empty[before.key] = Settled(rests_on, until)

    def remember(self) -> None:
        """Write to the cache what was noted, if the repositories are still as the look saw them."""
        repos = {repo: None for settled in self._empty.values() for repo in settled.rests_on}
        now = self.forge.read_fingerprints(repos) if repos else {}
        for key, settled in self._empty.items():
            if all(now.get(repo) == told for repo, told in settled.rests_on.items()):
                content = json.dumps([settled.rests_on, settled.until], separators=(",", ":"))
                write_cached(_KIND, key, content.encode())
        self._empty.clear()


def _state_head(control: RepoView, tenant: str) -> str | None:
    return control.branches.get(names.state_branch(tenant))


def _read_record(key: str) -> Settled | None:
    """What a settled tenant depends on; None if it is not known to be settled."""
    try:
        rests_on, until = json.loads(read_cached(_KIND, key) or b"null")
        return Settled(dict(rests_on), None if until is None else str(until))
    except (ValueError, TypeError):
        return None  # absent or damaged
