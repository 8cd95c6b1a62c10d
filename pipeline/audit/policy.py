"""The first-parent line of main, and the policy at each of its commits.

A fact names the commit that brought its request, not the commit at which the run decided, which may
be any later one. So a fact must follow from the policy at its request's commit or from a later
policy on main.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from pipeline.audit.objects import Missing, Objects, Tree
from pipeline.models.requests import Request
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import tenant_path
from pipeline.requests.snapshot import Snapshot, snapshot_of

_POLICY = "environments"
_TENANTS = "tenants"
_PARTS_KEPT = 500
_AT_ONCE = 1_000


@dataclass
class MainLine:
    """main of the control repo: its first-parent commits, and the policy at each."""

    objects: Objects
    head: str
    verified: str | None = None  # an earlier audit read and hashed the commits up to this one
    _parts: dict[tuple[tuple[str, str], ...], Snapshot] = field(default_factory=dict)
    _at_commits: dict[tuple[str, str], Snapshot] = field(default_factory=dict)
    _snapshots: dict[tuple[str, str], Snapshot] = field(default_factory=dict)

    @cached_property
    def line(self) -> list[str]:
        """The ids, oldest first; those not verified before are checked against their parents."""
        ids = self.objects.git.list_line(self.head)
        new = [c.id for c in self.objects.line(self.head, self.verified)]
        if ids[len(ids) - len(new) :] != new:
            raise Missing(f"git lists another history of {self.objects.name} than its commits name")
        return ids

    def read(self) -> None:
        """Hash the line's new commits. Raises Missing."""
        if not self.line:
            raise Missing(f"{self.objects.name} has no commit at {self.head[:12]}")

    @cached_property
    def position(self) -> dict[str, int]:
        """Commit → its place in the line."""
        return {id: number for number, id in enumerate(self.line)}

    def blob_at(self, commit: str, path: str) -> str | None:
        """The id of the file at a path in a commit of the line."""
        found = self.objects.at(commit, path)
        return found.id if found is not None and not found.is_tree else None

    def request(self, path: str, blob: str) -> Request | None:
        """The request in a blob, as a file at this path; None if it is not one."""
        read, _ = parse_request(path, self.objects.read_one(blob).content)
        return read.model if read else None

    def policy_at(self, commit: str, tenant: str) -> Snapshot:
        """The policy at a commit of the line: `environments/`, and one tenant's file."""
        at = (commit, tenant)
        if at not in self._at_commits:
            self._at_commits[at] = self._read_policy(commit, tenant)
        return self._at_commits[at]

    def _read_policy(self, commit: str, tenant: str) -> Snapshot:
        folder = self.objects.at(commit, _POLICY)
        path = tenant_path(tenant)
        own = self.blob_at(commit, path)
        key = (folder.id if folder else "", own or "")
        if key not in self._snapshots:
            blobs = {path: own} if own else {}
            if folder is not None and folder.is_tree:
                listed = self.objects.listing(folder.id)
                blobs |= {f"{_POLICY}/{name}": entry.id for name, entry in listed.items()}
            self._snapshots[key] = self._read(commit, blobs)
        return self._snapshots[key]

    def _read(self, commit: str, blobs: dict[str, str]) -> Snapshot:
        found = self.objects.read(list(blobs.values()))
        reads = []
        for path, item in zip(blobs, found, strict=True):
            read, _ = parse_request(path, item.content)
            if read is not None:
                reads.append(read)
        return snapshot_of(commit, blobs, reads)

    def requests_at(self, commit: str, paths: Sequence[str]) -> Snapshot:
        """The requests at these paths of a commit, and nothing else."""
        blobs = {p: blob for p in paths if (blob := self.blob_at(commit, p)) is not None}
        key = tuple(blobs.items())
        if key not in self._parts:
            self._parts[key] = self._read(commit, blobs)
            if len(self._parts) > _PARTS_KEPT:
                del self._parts[next(iter(self._parts))]
        return self._parts[key]

    def policies_since(self, commit: str, tenant: str) -> Iterator[Snapshot]:
        """Each policy on main at a commit or after it, once, oldest first."""
        at = self.position.get(commit)
        if at is None:
            return
        seen: set[int] = set()
        for later in (at, *self._changes_after(commit, tenant)):
            policy = self.policy_at(self.line[later], tenant)
            if id(policy) not in seen:
                seen.add(id(policy))
                yield policy

    def replaced_by(self, commit: str, tenant: str) -> str | None:
        """The first commit after this one that changes its policy; None if none does."""
        later = self._changes_after(commit, tenant)
        return self.line[later[0]] if later else None

    def _changes_after(self, commit: str, tenant: str) -> list[int]:
        """The positions after a commit at which a tenant's policy changed, in order."""
        environments, tenants = self._changes
        at = self.position[commit]
        return sorted(n for n in {*environments, *tenants.get(tenant, ())} if n > at)

    @cached_property
    def _changes(self) -> tuple[list[int], dict[str, list[int]]]:
        """The positions at which `environments/` changed, and each tenant's own file did."""
        environments: list[int] = []
        tenants: dict[str, list[int]] = {}
        before: Tree = {}
        folders: Tree = {}
        for start in range(0, len(self.line), _AT_ONCE):
            part = self.line[start : start + _AT_ONCE]
            self.objects.read_ahead_commits(part)
            self.objects.read_ahead(self.objects.commit(id).tree for id in part)
            for at, id in enumerate(part, start):
                root = self.objects.tree(self.objects.commit(id).tree)
                if root.get(_POLICY) != before.get(_POLICY):
                    environments.append(at)
                if root.get(_TENANTS) != before.get(_TENANTS):
                    entry = root.get(_TENANTS)
                    now = self.objects.tree(entry.id) if entry and entry.is_tree else {}
                    for tenant in _changed(self.objects, folders, now):
                        tenants.setdefault(tenant, []).append(at)
                    folders = now
                before = root
        return environments, tenants


def _changed(objects: Objects, before: Tree, now: Tree) -> Iterator[str]:
    """The tenants whose own file differs between two trees of `tenants/`."""
    for name in {*before, *now}:
        if before.get(name) != now.get(name):
            found = [
                objects.tree(entry.id).get("tenant.yaml") if entry and entry.is_tree else None
                for entry in (before.get(name), now.get(name))
            ]
            if found[0] != found[1]:
                yield name
