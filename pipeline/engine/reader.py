"""The reader: main's requests, the world around them, and the state branches. Writes nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property

from pipeline import names
from pipeline.control.repo import Control, SnapshotReading, read_snapshot
from pipeline.diagnostics import Finding
from pipeline.engine.tools import Tools
from pipeline.errors import Failure, PipelineError, UsageFault
from pipeline.forges.port import Forge, RepoView
from pipeline.git.objects import Files
from pipeline.models.draft_id import parse_draft_id
from pipeline.models.facts import Fact
from pipeline.models.status import DraftStatus
from pipeline.plan.effects import Incident
from pipeline.requests.snapshot import Snapshot
from pipeline.sandbox.sources import read_source_files
from pipeline.stages.gitops import incidents_of
from pipeline.stages.validate import check_requests
from pipeline.state.facts import parse_chain
from pipeline.state.store import read_fact_files
from pipeline.world.causes import Causes
from pipeline.world.deployments import Deployments
from pipeline.world.drafts import Drafts
from pipeline.world.failures import Failures
from pipeline.world.gitops import GitopsRepositories, RecordedState
from pipeline.world.groups import Groups
from pipeline.world.look import World
from pipeline.world.observations import Reports
from pipeline.world.patches import Patches
from pipeline.world.policy_history import PolicyHistory, read_policy_history
from pipeline.world.promotions import Promotions
from pipeline.world.releases import Releases
from pipeline.world.repositories import OpenRepositories
from pipeline.world.retirements import Retirements
from pipeline.world.revisions import RevisionCache, Revisions
from pipeline.world.states import States


@dataclass(frozen=True)
class CheckedRequests:
    """The requests at a commit of main, and every finding in them."""

    reading: SnapshotReading
    findings: tuple[Finding, ...]


@dataclass
class _Kept:
    """What one look read that is still valid in the next; dropped once the heads move."""

    checked: dict[object, CheckedRequests] = field(default_factory=dict)  # only the newest
    policies: dict[str, PolicyHistory] = field(default_factory=dict)  # only the newest
    # Newest commit of main → request path → the commit that brought it.
    brought: dict[str, dict[str, str]] = field(default_factory=dict)
    statuses: dict[str, DraftStatus] = field(default_factory=dict)  # by tree of the draft's folder
    recorded: dict[str, RecordedState] = field(default_factory=dict)  # by state commit
    revisions: RevisionCache = field(default_factory=RevisionCache)


@dataclass(frozen=True)
class EngineReader:
    """Reads one control repo and the world around it."""

    control: Control
    tools: Tools
    _kept: _Kept = field(default_factory=_Kept)

    @property
    def forge(self) -> Forge:
        """The forge of the control repo."""
        return self.control.forge

    @cached_property
    def deployments(self) -> Deployments:
        """The deployments that people are shown, for as long as this process runs."""
        return Deployments(self.forge)

    def snapshot(self, commit: str | None = None) -> Snapshot:
        """The requests and the policy at a commit; main's head if none is given."""
        return self.checked(commit or self.control.head()).reading.snapshot

    def findings(self, commit: str | None = None) -> tuple[Finding, ...]:
        """Every finding in the requests at a commit; main's head if none is given."""
        return self.checked(commit or self.control.head()).findings

    def checked(self, commit: str, only: frozenset[str] | None = None) -> CheckedRequests:
        """The requests at a commit and every finding in them; read once per commit and process.

        With `only`, requests of other tenants are left out.
        """
        kept = self._kept
        if (commit, only) not in kept.checked:
            read = read_snapshot(self.control.open_repository(), commit, tenants=only)
            found = check_requests(
                read.reads, read.findings, read.snapshot, self.tools.templates, asked=()
            )
            kept.checked = {(commit, only): CheckedRequests(read, found)}
        return kept.checked[commit, only]

    def policy(self, head: str) -> PolicyHistory:
        """The policy history up to a commit of main.

        A history without pending files is kept; any other may improve at any time.
        """
        kept = self._kept
        if head not in kept.policies:
            revisions = self._revisions(None)
            repo = self.control.control_repo
            found = read_policy_history(
                revisions.control,
                revisions,
                lambda commits: self.forge.read_pulls_of_commits(repo, commits),
                head,
            )
            if found.pending:
                return found
            kept.policies = {head: found}
        return kept.policies[head]

    def _revisions(self, policy: PolicyHistory | None) -> Revisions:
        return Revisions(
            forge=self.forge,
            control_repo=self.control.control_repo,
            control=self.control.open_repository(),
            cache=self._kept.revisions,
            policy=policy,
        )

    def world(self, only: frozenset[str] | None = None) -> World:
        """A fresh look at the world; with `only`, just at the requests of these tenants."""
        view, kept, tools = self.control.read_view(), self._kept, self.tools
        checked, policy = self.checked(str(view.head), only), self.policy(str(view.head))
        snapshot, control = checked.reading.snapshot, self.control.open_repository()
        by_path = _by_path((*checked.findings, *policy.findings()))
        failures, repositories = Failures(), OpenRepositories(self.forge)
        revisions = self._revisions(policy)
        states = self._states(view, failures)
        # The history up to a commit never changes.
        kept.brought = {snapshot.commit: kept.brought.get(snapshot.commit, {})}
        brought = kept.brought[snapshot.commit]
        for gone in kept.recorded.keys() - set(view.branches.values()):
            del kept.recorded[gone]
        repo = self.control.control_repo
        causes = Causes(self.forge, repo, control, snapshot, revisions, tools.run_id, brought)
        releases = Releases(repositories, tools.hydrator)
        patches = Patches(repositories, causes, tools.scan_secrets, by_path)
        promotions = Promotions(repositories, states, causes, releases, tools.verify)
        gitops = GitopsRepositories(
            self.forge, control, snapshot, repositories, states, revisions, failures, kept.recorded
        )
        retirements = Retirements(repositories, causes, promotions)
        groups = Groups(snapshot, states, causes, promotions, retirements, gitops.findings_of)
        drafts = Drafts(
            snapshot=snapshot,
            findings=by_path,
            templates=tools.templates,
            repositories=repositories,
            states=states,
            causes=causes,
            patches=patches,
            promotions=promotions,
            retirements=retirements,
            gitops=gitops,
            groups=groups,
            failures=failures,
            reports=Reports(repositories, snapshot.environments),
            now_s=tools.clock(),
        )
        return World(
            snapshot=snapshot,
            policy=policy,
            revisions=revisions,
            failures=failures,
            repositories=repositories,
            states=states,
            causes=causes,
            releases=releases,
            patches=patches,
            promotions=promotions,
            gitops=gitops,
            drafts=drafts,
        )

    def _states(self, view: RepoView, failures: Failures) -> States:
        control = self.control.open_repository()
        return States(control, view.branches, failures, self._kept.statuses)

    def _states_now(self) -> States:
        """The state branches as they are now, without reading anything else."""
        return self._states(self.control.read_view(), Failures())

    def status(self, draft: str) -> DraftStatus:
        """One draft's recorded status. Raises UsageFault if it has none."""
        found = self._states_now().status(parse_draft_id(draft))
        if found is None:
            raise UsageFault(
                f"nothing has happened to `{draft}` yet",
                help="merge its request, then `pipeline run`; `pipeline status` lists drafts",
            )
        return found

    def statuses(self) -> tuple[DraftStatus, ...]:
        """Every draft's recorded status, by id."""
        return self._states_now().all_statuses()

    def gitops_incidents(
        self, repos: Collection[str]
    ) -> tuple[tuple[Incident, ...], tuple[Failure, ...]]:
        """How GitOps repositories differ from what was promoted, and which could not be read."""
        world = self.world()
        incidents: list[Incident] = []
        for repo in repos:
            try:
                view = world.gitops.view(repo)
            except PipelineError as error:
                world.failures.add(repo, error)
                continue
            incidents += incidents_of(repo, view.findings if view else ())
        return tuple(incidents), world.failures.since(0)

    def facts(self, draft: str) -> tuple[Fact, ...]:
        """A draft's facts in order, with every link checked. Raises UsageFault, BrokenChain."""
        tenant, primitive = (id := parse_draft_id(draft)).tenant, id.primitive
        states = self._states_now()
        head = states.head(tenant)
        files = read_fact_files(states.control, head, primitive) if head else ()
        if not files:
            raise UsageFault(f"nothing has happened to `{draft}` yet")
        return parse_chain(draft, files)

    def draft_files(self, draft: str, paths: Collection[str] = ()) -> tuple[str, Files]:
        """The newest commit of a draft and its files there (all, or those named)."""
        status = self.status(draft)
        if not status.head:
            raise UsageFault(f"`{draft}` is not scaffolded yet")
        git = self.forge.open_repository(status.target_repo)
        view = self.forge.read_repo(status.target_repo)
        commit = view.branches.get(status.branch_name, status.head) if view else status.head
        files = read_source_files(git, commit, names.primitive_folder(status.instance))
        for path in paths:
            if path not in files:
                raise UsageFault(f"`{draft}` has no file `{path}`")
        return commit, {p: f for p, f in files.items() if not paths or p in paths}


def _by_path(findings: Iterable[Finding]) -> dict[str, tuple[Finding, ...]]:
    found: dict[str, list[Finding]] = {}
    for finding in findings:
        found.setdefault(finding.location.file, []).append(finding)
    return {path: tuple(items) for path, items in found.items()}
