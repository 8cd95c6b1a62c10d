"""The state branches as of one look: statuses by path, facts only when asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from pipeline import names
from pipeline.diagnostics import Finding
from pipeline.errors import CouldNotCheck
from pipeline.gate.standing import Standing, check_deleted
from pipeline.git.repository import GitRepository
from pipeline.models.draft_id import DraftId
from pipeline.models.facts import Fact
from pipeline.models.status import DraftStatus
from pipeline.requests.layout import draft_path, tenant_path
from pipeline.state.bounds import requests_due
from pipeline.state.checked import CheckedChain, read_checked_chain
from pipeline.state.facts import BrokenChain, parse_chain, parse_status, status_path
from pipeline.state.store import read_fact_files
from pipeline.world.failures import Failures

Chain = tuple[tuple[Fact, ...], str]  # facts, and the problem with them
_PREFIX = names.state_branch("")


def damaged_status(draft: str) -> CouldNotCheck:
    """The error for a draft whose status cannot be read."""
    return CouldNotCheck(
        f"the status of `{draft}` is damaged", help="`pipeline audit verify` says where"
    )


def tenants_with_state(branches: Mapping[str, str]) -> list[str]:
    """The tenants that have a state branch among these, sorted."""
    return sorted(b.removeprefix(_PREFIX) for b in branches if b.startswith(_PREFIX))


@dataclass
class States:
    """The state branches of the control repo at the heads that this look saw."""

    control: GitRepository
    branches: Mapping[str, str]  # of the control repo → head
    failures: Failures
    # Tree id of a draft's folder → its status; most stay the same until the next look.
    known: dict[str, DraftStatus] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)  # drafts whose recorded status is damaged
    _primitives: dict[str, dict[str, str]] = field(default_factory=dict)
    _chains: dict[tuple[str, ...], CheckedChain] = field(default_factory=dict)

    def head(self, tenant: str) -> str | None:
        """The head of the tenant's state branch."""
        return self.branches.get(names.state_branch(tenant))

    @property
    def tenants(self) -> list[str]:
        """The tenants that have a state branch, sorted."""
        return tenants_with_state(self.branches)

    def primitives(self, tenant: str) -> dict[str, str]:
        """The primitives on the tenant's state branch → tree id of each one's folder."""
        if tenant not in self._primitives:
            head = self.head(tenant)
            folders = self.control.read_tree(f"{head}:drafts") or () if head else ()
            self._primitives[tenant] = {entry.name: entry.id for entry in folders}
        return self._primitives[tenant]

    def statuses(self, tenant: str, primitives: Sequence[str]) -> dict[str, DraftStatus]:
        """The recorded status of each of these primitives that has one.

        A damaged one is recorded as a failure, and its draft is then among `unreadable`.
        """
        trees, head = self.primitives(tenant), self.head(tenant)
        # Forget trees that are no longer any draft's folder.
        for gone in self.known.keys() - set(trees.values()):
            del self.known[gone]
        there = [p for p in primitives if p in trees]
        new = [p for p in there if trees[p] not in self.known]
        found = self.control.read_objects([f"{head}:{status_path(p)}" for p in new])
        for primitive, item in zip(new, found, strict=True):
            try:
                if item is not None:
                    self.known[trees[primitive]] = parse_status(item.content)
            except ValueError:
                draft = f"{tenant}/{primitive}"
                self.unreadable.add(draft)
                self.failures.add(draft, damaged_status(draft))
        return {p: self.known[trees[p]] for p in there if trees[p] in self.known}

    def status(self, draft: DraftId) -> DraftStatus | None:
        """One draft's recorded status. Raises CouldNotCheck if it is damaged."""
        found = self.statuses(draft.tenant, [draft.primitive]).get(draft.primitive)
        if draft in self.unreadable:
            raise damaged_status(draft)
        return found

    def requests_due(
        self, draft: DraftId, status: DraftStatus | None, asked: Mapping[str, str]
    ) -> frozenset[str]:
        """The paths in `asked` (path → blob on main) whose current content is not handled yet.

        Raises CouldNotCheck if that depends on damaged facts.
        """
        try:
            return requests_due(status, asked, lambda: self.facts(draft))
        except BrokenChain as broken:
            raise CouldNotCheck(
                f"the facts of `{draft}` are damaged: {broken}",
                help="`pipeline audit verify` says more",
            ) from broken

    def all_statuses(self) -> tuple[DraftStatus, ...]:
        """Every draft's recorded status, by id."""
        found: list[DraftStatus] = []
        for tenant in self.tenants:
            found += self.statuses(tenant, list(self.primitives(tenant))).values()
        return tuple(sorted(found, key=lambda s: s.id))

    def deleted(self, tenant: str, paths: Collection[str]) -> tuple[Finding, ...]:
        """Findings for a tenant's standing drafts without a file among main's `paths`."""
        there = list(self.primitives(tenant))
        if tenant_path(tenant) in paths:
            there = [name for name in there if draft_path(f"{tenant}/{name}") not in paths]
        found = self.statuses(tenant, there).values() if there else ()
        return tuple(check_deleted([Standing.of_status(status) for status in found], paths))

    def facts(self, draft: DraftId) -> tuple[Fact, ...]:
        """All facts of a draft, with every link checked. Raises BrokenChain."""
        head = self.head(draft.tenant)
        files = read_fact_files(self.control, head, draft.primitive) if head else ()
        return parse_chain(draft, files)

    def chain(self, tenant: str, status: DraftStatus) -> CheckedChain:
        """A draft's facts, checked against its status."""
        key = (tenant, status.id, status.primitive_id)
        if key not in self._chains:
            self._chains[key] = read_checked_chain(self.control, self.head(tenant), status)
        return self._chains[key]
