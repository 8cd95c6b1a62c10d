"""Tenants that had nothing to do, remembered so that an idle run does not read them again.

Which drafts of a tenant have something due follows from its requests and policy on main, its
state branch, its code repositories and this tool, and from nothing else. So when a look at all
of them finds no draft with anything due and no finding, the hash of their ids is kept in the
cache; a tenant whose hash is there is settled. Nothing else is ever remembered: not a plan that
waits, not a finding. Without the cache everything is looked at anew and ends the same.

Whoever makes planning depend on more, a clock for one, adds it to the key.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from pipeline import __version__, names
from pipeline.forges.port import Forge, RepoView
from pipeline.gitcli import GitRepository
from pipeline.gitobjects import TreeEntry
from pipeline.layout import PLATFORM_PATH, tenant_path
from pipeline.models.requests import CodeOrigin, Platform
from pipeline.snapshot import read_request
from pipeline.tools.cache import cache_key, read_cached, write_cached

_KIND = "settled"
_NOTHING_DUE = b"nothing due\n"


@lru_cache(maxsize=1)
def tool_identity() -> str:
    """The version, and where the installed files stand, so that changed code asks anew."""
    top = Path(__file__).parent
    return cache_key(__version__, *sorted(_stamps(str(top), len(str(top)) + 1)))


def _stamps(folder: str, cut: int) -> Iterator[str]:
    """Path, size and time of every file; `scandir`, since it asks each file once (5 ms, not 60)."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if entry.name != "__pycache__":
                    yield from _stamps(entry.path, cut)
            else:
                stat = entry.stat()
                yield f"{entry.path[cut:]} {stat.st_size} {stat.st_mtime_ns}"


@dataclass(frozen=True, slots=True)
class Ground:
    """What planning of all tenants rests on at one commit of main, as ids."""

    commit: str
    platform: str  # its name, which the names of repositories are made of
    environments: str  # tree id
    folders: Mapping[str, str]  # folder below `tenants/` → tree id
    tenants: tuple[str, ...]  # those of the folders that hold a tenant, sorted


def read_ground(control: GitRepository, commit: str) -> Ground | None:
    """The ids at a commit of main; None when it is not as a control repo's is."""
    root = {e.name: e for e in control.read_tree(commit) or ()}
    folders = control.read_tree(f"{commit}:tenants") or ()
    platform = control.read_object(f"{commit}:{PLATFORM_PATH}")
    environments = root.get("environments")
    if platform is None or environments is None or not all(map(_is_folder, folders)):
        return None
    read, _ = read_request(PLATFORM_PATH, platform.content)
    if read is None or not isinstance(read.model, Platform):
        return None
    found = control.read_objects([f"{commit}:{tenant_path(e.name)}" for e in folders])
    return Ground(
        commit,
        read.model.platform,
        environments.id,
        {e.name: e.id for e in folders},
        tuple(sorted(e.name for e, item in zip(folders, found, strict=True) if item)),
    )


def _is_folder(entry: TreeEntry) -> bool:
    return entry.is_tree


def code_repos(ground: Ground, tenant: str) -> tuple[str, ...]:
    """The repositories that a tenant's drafts may lie in."""
    origins = (CodeOrigin.TENANT, CodeOrigin.PLATFORM)
    return tuple(names.controllers_repo(ground.platform, tenant, origin) for origin in origins)


def key_of(
    ground: Ground, tenant: str, state_head: str | None, fingerprints: Mapping[str, str]
) -> str | None:
    """What stands for all that a tenant's plan follows from; None if the forge cannot tell."""
    repos = code_repos(ground, tenant)
    if tenant not in ground.folders or not fingerprints.keys() >= set(repos):
        return None
    return cache_key(
        tool_identity(),
        tenant,
        ground.folders[tenant],
        ground.environments,
        # Names of other tenants are refused in requests, so every tenant's name counts.
        *ground.tenants,
        "state",
        state_head or "",
        *(fingerprints[repo] for repo in repos),
    )


@dataclass
class Memory:
    """What one run asks for again and again: the ground of a commit, and a tenant's key on it."""

    forge: Forge
    control_repo: str
    _grounds: dict[str, Ground | None] = field(default_factory=dict)

    def ground(self, commit: str) -> Ground | None:
        """The ground at a commit of main, read once."""
        if commit not in self._grounds:
            control = self.forge.open_repository(self.control_repo)
            self._grounds[commit] = read_ground(control, commit)
        return self._grounds[commit]

    def key(self, commit: str, tenant: str, state_head: str | None) -> str | None:
        """The key of a tenant now, on what main held at `commit`."""
        ground = self.ground(commit)
        if ground is None:
            return None
        found = self.forge.read_fingerprints(code_repos(ground, tenant))
        return key_of(ground, tenant, state_head, found)


def read_unsettled(forge: Forge, ground: Ground, control: RepoView) -> frozenset[str]:
    """The folders below `tenants/` of which it is not known that nothing is due."""
    repos = dict.fromkeys(repo for t in ground.folders for repo in code_repos(ground, t))
    found = forge.read_fingerprints(repos)
    keys = {
        tenant: key_of(ground, tenant, control.branches.get(names.state_branch(tenant)), found)
        for tenant in ground.folders
    }
    return frozenset(t for t, key in keys.items() if not (key and read_cached(_KIND, key)))


def remember_settled(key: str) -> None:
    """Keep that nothing was due for this key."""
    write_cached(_KIND, key, _NOTHING_DUE)
