"""One audit from start to end: clones, state branches, facts, repositories, memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from pipeline.audit import rules as rule
from pipeline.audit.acknowledged import Acknowledged, settle
from pipeline.audit.chains import read_chain, run_steps, statements
from pipeline.audit.memory import (
    AuditMemory,
    policy_key,
    read_memory,
    read_verified,
    write_memory,
)
from pipeline.audit.objects import Missing, Objects
from pipeline.audit.policy import MainLine
from pipeline.audit.reading import (
    Audit,
    Chain,
    OpenRepository,
    Sealed,
    check_strayed,
    read_branches,
    read_strayed,
)
from pipeline.audit.repositories import RepositoryCase, compare_overlays, overlays_at
from pipeline.audit.state import StateBranch, count_facts, read_state_branch
from pipeline.audit.steps import (
    BRANCH_STEPS,
    CHAIN_STEPS,
    FACT_STEPS,
    REPOSITORY_STEPS,
    AuditStep,
    BranchCase,
    C,
)
from pipeline.control.repo import MAIN, read_snapshot
from pipeline.diagnostics import Finding, Location, Verdict, sort_findings, verdict_of
from pipeline.errors import CouldNotCheck
from pipeline.git.repository import GitRepository
from pipeline.machine.parallel import run_shared
from pipeline.models.draft_id import DraftId
from pipeline.models.requests import CodeOrigin
from pipeline.models.trust import Trust
from pipeline.names import controllers_repo, gitops_repo
from pipeline.state.facts import BrokenChain
from pipeline.state.statuses import read_deleted

_STATE = "state/"
# Notes on facts, which later audits show again.
_NOTED = (rule.AUDIT_REVIEW_LATE.id, rule.AUDIT_REFUSAL_REWORDED.id)


@dataclass(frozen=True, slots=True)
class AuditReport:
    """What was verified, found, proved and taken on trust."""

    findings: tuple[Finding, ...]
    drafts: int
    facts: int
    overlays: int
    repositories: int
    acknowledged: tuple[Acknowledged, ...] = ()
    proved: Mapping[str, int] = field(default_factory=dict)
    trusted: Mapping[Trust, int] = field(default_factory=dict)
    remembered: int = 0  # facts verified by an earlier audit and not read again
    decisions: int = 0  # of the gate that facts record
    replayed: int = 0  # how many of these came out equal again

    @property
    def verdict(self) -> Verdict:
        """Valid only if everything could be read and is consistent."""
        return verdict_of(self.findings)


def verify(
    control: GitRepository,
    open_repository: OpenRepository,
    *,
    full: bool = False,
    remember: bool = False,
    without: Collection[str] = (),
) -> AuditReport:
    """The report over a control clone and the clones that `open_repository` finds by name.

    Results that the clones remember from an earlier audit are not computed again, unless `full`;
    with `remember` they remember this one. Steps named in `without` are skipped, for tests.

    Raises CouldNotCheck if the control repo has no main or no valid platform file.
    """
    return _Verification(control, open_repository, full, frozenset(without)).run(remember)


@dataclass(frozen=True, slots=True)
class Part:
    """The results of verifying some of the chains."""

    findings: list[Finding]
    proved: Counter[str]
    trusted: Counter[Trust]
    decisions: Counter[str]
    sealed: dict[tuple[str, str], Sealed]


class _Verification:
    """The state of one audit; see `verify`."""

    def __init__(
        self,
        control: GitRepository,
        open_repository: OpenRepository,
        full: bool,
        without: frozenset[str],
    ) -> None:
        self.branches = read_branches(control)
        if MAIN not in self.branches:
            raise CouldNotCheck("the control clone has no branch `main`")
        head = self.branches[MAIN]
        snapshot = read_snapshot(control, head, paths=()).snapshot
        if snapshot.platform is None:
            raise CouldNotCheck("environments/platform.yaml is missing or invalid on main")
        name = snapshot.platform.repos.control
        self.control = Objects(control, name)
        self.without = without
        self.memory = AuditMemory() if full else read_memory(control, head)
        self.policy = policy_key(control, head)
        self.verified: dict[str, dict[str, str]] = {name: read_verified(control)}
        self.heads: dict[str, dict[str, str]] = {name: {}}
        main = MainLine(self.control, head, self._usable(name, control).get(MAIN))
        self.audit = Audit(
            self.control,
            open_repository,
            snapshot.platform,
            snapshot,
            main,
            read_other_chain=self._other_chain,
        )
        self.audit.possible_repos = self._possible_repos() | self._possible_repos(gitops=True)
        self.audit.sealed_before = dict(self.memory.sealed)
        self.audit.sealed = dict(self.memory.sealed)
        self.audit.instances = set(self.memory.instances)
        self.touched: set[str] = set()

    def run(self, remember: bool) -> AuditReport:
        """The report; with `remember`, clones keep it if no finding is open."""
        audit = self.audit
        self._guarded("control", self._verify_control)
        self._guarded("control", self._verify_files)
        repositories = self._verify_repositories()
        findings = [*self.memory.findings, *audit.findings]
        running = frozenset(s.location.file for s in audit.sealed.values())
        settled = settle(sort_findings(findings), running, audit.snapshot, audit.main)
        remembered = self.memory
        found = AuditReport(
            settled.open,
            remembered.drafts + audit.drafts,
            remembered.facts + audit.facts,
            audit.overlays,
            repositories,
            settled.acknowledged,
            dict(sorted((remembered.proved + audit.proved).items())),
            dict((remembered.trusted + audit.trusted).most_common()),
            remembered.facts,
            (remembered.decisions + audit.decisions)["made"],
            (remembered.decisions + audit.decisions)["equal"],
        )
        if remember and found.verdict is Verdict.VALID and not self.without:
            self._remember(found)
        return found

    def _verify_files(self) -> None:
        """Add findings for standing drafts and tenants without their file on main."""
        head, paths = self.branches[MAIN], self.audit.snapshot.blobs
        self.audit.findings += read_deleted(self.control.git, head, paths)

    def _guarded(self, name: str, verify: partial[None] | object) -> None:
        """Run a part; if it cannot be read, add a finding and go on."""
        assert callable(verify)
        try:
            verify()
        except Missing as missing:
            if "objects" not in self.without:
                self.audit.findings.append(
                    rule.AUDIT_OBJECT_MISSING.finding(
                        missing.message, Location(name), help=missing.help
                    )
                )
        except CouldNotCheck as failed:
            if "objects" not in self.without:
                self.audit.findings.append(
                    rule.AUDIT_OBJECT_MISSING.finding(
                        failed.message, Location(name), help=failed.help
                    )
                )

    # -- the control repo --------------------------------------------------------------------

    def _verify_control(self) -> None:
        audit, git, name = self.audit, self.control.git, self.control.name
        strayed = read_strayed(git)
        self._check_clone(name, git, self.branches, strayed)
        audit.main.read()
        self.control.read_whole(self.control.commit(audit.main.head).tree)
        self.heads[name][MAIN] = audit.main.head
        if audit.main.verified is None:
            audit.trusts("that the policy on main came with authority", "the forge")
        read: list[tuple[StateBranch, dict[str, Chain]]] = []
        for branch, head in sorted(self.branches.items()):
            if not branch.startswith(_STATE):
                continue
            self.heads[name][branch] = head
            self._guarded(branch, partial(self._read_branch, branch, head, read))
            if branch in strayed:
                # Judge the local branch too, so that its fact is named; only origin's counts.
                aside: list[tuple[StateBranch, dict[str, Chain]]] = []
                self._guarded(
                    branch, partial(self._read_branch, branch, strayed[branch], aside, True)
                )
                for state, chains in aside:
                    self._run((*BRANCH_STEPS, *CHAIN_STEPS), BranchCase(state, chains))
        audit.verify_together(statements(audit, audit.chains.values()))
        items: list[tuple[StateBranch, str, Chain]] = []
        for state, chains in read:
            self._guarded(state.branch, partial(self._run, BRANCH_STEPS, BranchCase(state, chains)))
            items += ((state, primitive, chain) for primitive, chain in chains.items())
        for _, _, chain in items:
            audit.instances.add((chain.status.target_repo, chain.status.instance))
        self._close()  # forks must not share git processes
        for part in run_shared(self._verify_chains, items, audit.facts):
            audit.findings += part.findings
            audit.proved += part.proved
            audit.trusted += part.trusted
            audit.decisions += part.decisions
            audit.sealed |= part.sealed
        audit.sealed = {place: sealed for place, sealed in audit.sealed.items() if sealed.tree}

    def _verify_chains(self, items: Sequence[tuple[StateBranch, str, Chain]]) -> Part:
        """The results of the steps over facts for some of the chains."""
        audit = self.audit
        count = len(audit.findings)
        before = (audit.proved, audit.trusted, audit.decisions, audit.sealed)
        audit.proved, audit.trusted, audit.decisions = Counter(), Counter(), Counter()
        audit.sealed = dict(audit.sealed)
        steps = [step.check for step in FACT_STEPS if step.name not in self.without]
        for state, primitive, chain in items:
            case = BranchCase(state, {primitive: chain})
            self._guarded(chain.draft, partial(self._run, CHAIN_STEPS, case))
            self._guarded(chain.draft, partial(run_steps, audit, chain, steps))
        found = audit.findings[count:]
        made = Part(found, audit.proved, audit.trusted, audit.decisions, audit.sealed)
        del audit.findings[count:]
        audit.proved, audit.trusted, audit.decisions, audit.sealed = before
        return made

    def _close(self) -> None:
        """End the running git processes; they start again on demand."""
        self.control.git.close()
        for objects in self.audit.repositories.values():
            if objects is not None:
                objects.git.close()

    def _read_branch(
        self,
        branch: str,
        head: str,
        into: list[tuple[StateBranch, dict[str, Chain]]],
        aside: bool = False,
    ) -> None:
        audit = self.audit
        verified = self._usable(self.control.name, self.control.git).get(branch)
        if verified == head:
            return
        state = read_state_branch(self.control, branch, head, verified)
        chains: dict[str, Chain] = {}
        for primitive in sorted(state.drafts if verified is None else state.touched):
            since = self._verified_facts(verified, primitive)
            try:
                chain = read_chain(state, primitive, since)
            except BrokenChain as broken:
                if "chains" not in self.without:
                    at = Location(f"{branch}:{broken.file}")
                    audit.findings.append(rule.AUDIT_FACT_CHAIN.finding(broken.message, at))
                audit.unreadable |= {primitive, f"{state.tenant}--{primitive}"}
                continue
            chains[primitive] = chain
            if not aside:
                audit.chains[chain.draft] = chain
                audit.drafts += since == 0
                audit.facts += len(chain.facts) - since
        audit.proves("commits of state branches that only add facts", len(state.commits))
        into.append((state, chains))

    def _verified_facts(self, verified: str | None, primitive: str) -> int:
        """How many facts of a draft an earlier audit verified."""
        return count_facts(self.control, verified, primitive) if verified else 0

    def _other_chain(self, draft: str) -> Chain | None:
        tenant, primitive = DraftId(draft).tenant, DraftId(draft).primitive
        head = self.branches.get(f"{_STATE}{tenant}")
        if head is None:
            return None
        state = read_state_branch(self.control, f"{_STATE}{tenant}", head, head)
        if primitive not in state.drafts:
            return None
        try:
            return read_chain(state, primitive)
        except BrokenChain:
            return None

    # -- the other repositories --------------------------------------------------------------

    def _verify_repositories(self) -> int:
        """The number of clones; findings about them are added to the audit."""
        audit = self.audit
        named = {repo for repo, _ in audit.instances}
        named |= {repo for repo, _ in audit.sealed}
        named |= {repo for c in audit.chains.values() for repo in c.status.repos}
        named |= set(self.memory.heads) - {self.control.name}
        found = 0
        for repo in sorted(named | audit.possible_repos):
            objects = audit.repository(repo)
            if objects is not None:
                found += 1
                self._guarded(repo, partial(self._verify_repository, objects))
            elif repo in named and "clones" not in self.without:
                # A repository that no fact names need not exist.
                audit.findings.append(
                    rule.AUDIT_REPOSITORY_MISSING.finding(
                        f"there is no clone of `{repo}`", Location(repo)
                    )
                )
        return found

    def _possible_repos(self, *, gitops: bool = False) -> set[str]:
        """The repositories that may hold overlays or code even if no fact says so."""
        platform = self.audit.platform.platform
        name_of = gitops_repo if gitops else controllers_repo
        return {
            name_of(platform, tenant, origin)
            for tenant in self.audit.snapshot.tenant_ids
            for origin in (CodeOrigin.TENANT, CodeOrigin.PLATFORM)
        }

    def _verify_repository(self, objects: Objects) -> None:
        git, name = objects.git, objects.name
        branches = read_branches(git)
        self.verified[name] = read_verified(git)
        strayed = read_strayed(git)
        self._check_clone(name, git, branches, strayed)
        self.heads[name] = branches
        is_gitops = name in self._possible_repos(gitops=True)
        usable = self._usable(name, git)
        case = RepositoryCase(self.audit, objects, branches, usable, is_gitops)
        if MAIN not in branches:
            self.audit.findings.append(
                rule.AUDIT_REPOSITORY_MISSING.finding(
                    f"`{name}` has no branch `main`", Location(name)
                )
            )
        self._run(REPOSITORY_STEPS, case)
        if MAIN in strayed and is_gitops:
            present = overlays_at(objects, objects.commit(strayed[MAIN]))
            sealed = {f: s for (repo, f), s in self.audit.sealed.items() if repo == name}
            self.audit.findings += compare_overlays(case, present, sealed)

    def _run(self, steps: tuple[AuditStep[C], ...], case: C) -> None:
        for step in steps:
            if step.name not in self.without:
                self.audit.findings += step.check(case)

    # -- what clones remember ----------------------------------------------------------------

    def _usable(self, repo: str, git: GitRepository) -> Mapping[str, str]:
        """Branch → verified head, for branches where record and refs agree."""
        kept = self.memory.of(repo)
        refs = self.verified.get(repo, {})
        return {branch: id for branch, id in kept.items() if refs.get(branch) == id}

    def _check_clone(
        self, name: str, git: GitRepository, branches: Mapping[str, str], strayed: Mapping[str, str]
    ) -> None:
        self.audit.findings += check_strayed(name, strayed)
        if "descent" not in self.without:
            self.audit.findings += self._check_descent(name, git, branches)

    def _check_descent(
        self, name: str, git: GitRepository, branches: Mapping[str, str]
    ) -> Iterator[Finding]:
        for branch, verified in sorted(self.verified.get(name, {}).items()):
            head = branches.get(branch)
            if head == verified:
                continue
            if head is None:
                # A draft's merged branch may be deleted; main and state branches may not.
                if branch == MAIN or branch.startswith(_STATE):
                    yield rule.AUDIT_HISTORY_REWRITTEN.finding(
                        f"`{branch}` is gone; it was verified at {verified[:12]}",
                        Location(f"{name}:{branch}"),
                    )
            elif not git.is_ancestor(verified, head):
                yield rule.AUDIT_HISTORY_REWRITTEN.finding(
                    f"`{branch}` at {head[:12]} does not hold {verified[:12]}, which was verified",
                    Location(f"{name}:{branch}"),
                )

    def _remember(self, report: AuditReport) -> None:
        audit = self.audit
        clones = {self.control.name: self.control.git}
        clones |= {n: o.git for n, o in audit.repositories.items() if o is not None}
        heads = {repo: heads for repo, heads in self.heads.items() if repo in clones}
        kept = AuditMemory(
            heads,
            report.drafts,
            report.facts,
            Counter(report.proved),
            Counter(report.trusted),
            Counter({"made": report.decisions, "equal": report.replayed}),
            audit.sealed,
            audit.instances,
            [
                *(item.finding for item in report.acknowledged),
                *(f for f in report.findings if f.code in _NOTED),
            ],
        )
        write_memory(self.control.git, self.policy, kept, clones)
