"""Looking: a control repo with all that it takes to read its world, and what was recorded in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pipeline import names
from pipeline.apply.effects import FaultHook, no_faults
from pipeline.control.repo import Control, SnapshotReading, read_snapshot
from pipeline.diagnostics import Finding
from pipeline.engine.idle import Memory
from pipeline.errors import Failure, PipelineError, UsageFault
from pipeline.forges.port import Forge
from pipeline.git.objects import File, Files
from pipeline.models.draft_id import parse_draft_id
from pipeline.models.evidence import CheckReport
from pipeline.models.facts import Fact
from pipeline.models.status import DraftStatus
from pipeline.plan.effects import Incident, RunChecks
from pipeline.plan.view import EVERYTHING, Scope
from pipeline.sandbox.sources import read_source_files
from pipeline.stages.gitops import incidents_of
from pipeline.stages.validate import check_requests
from pipeline.state.facts import parse_chain
from pipeline.state.store import read_fact_files
from pipeline.templating import Template
from pipeline.tools.bundlecheck import verify_bundle
from pipeline.world.drafts import World
from pipeline.world.gitops import RecordedState
from pipeline.world.hydrate import Hydrator
from pipeline.world.look import ScanSecrets, Verify, damaged_status
from pipeline.world.policy_history import PolicyHistory, read_policy_history
from pipeline.world.revisions import RevisionCache, Revisions

if TYPE_CHECKING:
    from pipeline.images.port import Builder
    from pipeline.requests.snapshot import Snapshot


@dataclass
class Looking:
    """One control repo, its forge, and the tools and stores that its work is done with."""

    control: Control
    make_builder: Callable[[Snapshot], Builder]
    run_checks: Callable[[RunChecks, Files], CheckReport]
    scan_secrets: ScanSecrets
    templates: Mapping[str, Template]
    faults: FaultHook = no_faults
    run_id: str = field(default_factory=lambda: os.environ.get("PIPELINE_RUN_ID", ""))
    hydrator: Hydrator = field(default_factory=Hydrator)
    verify: Verify = verify_bundle
    memory: Memory | None = None
    scope: Scope = EVERYTHING
    _brought: dict[str, dict[str, str]] = field(default_factory=dict)
    _statuses: dict[str, DraftStatus] = field(default_factory=dict)
    _revision_cache: RevisionCache = field(default_factory=RevisionCache)
    _policies: dict[str, PolicyHistory] = field(default_factory=dict)
    _recorded: dict[str, RecordedState] = field(default_factory=dict)
    _checked: dict[object, tuple[SnapshotReading, tuple[Finding, ...]]] = field(
        default_factory=dict
    )

    @property
    def forge(self) -> Forge:
        """The forge of the control repo."""
        return self.control.forge

    def reading(
        self, commit: str, only: frozenset[str] | None = None
    ) -> tuple[SnapshotReading, tuple[Finding, ...]]:
        """The requests at a commit and every finding in them; once per commit and process.

        `only` leaves out the requests of all tenants but these.
        """
        if (commit, only) not in self._checked:
            read = read_snapshot(self.control.open_repository(), commit, tenants=only)
            found = check_requests(
                read.reads, read.findings, read.snapshot, self.templates, asked=()
            )
            self._checked = {(commit, only): (read, found)}
        return self._checked[commit, only]

    def policy(self, head: str) -> PolicyHistory:
        """Whether the policy at a commit of main came with authority.

        A good answer is kept for as long as this lives; another one may get better any time.
        """
        if head not in self._policies:
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
            self._policies = {head: found}
        return self._policies[head]

    def _revisions(self, policy: PolicyHistory | None) -> Revisions:
        return Revisions(
            forge=self.forge,
            control_repo=self.control.control_repo,
            control=self.control.open_repository(),
            cache=self._revision_cache,
            policy=policy,
        )

    def world(self, only: frozenset[str] | None = None) -> World:
        """A fresh look at the world, at the requests of these tenants alone if they are named."""
        view = self.control.read_view()
        read, found = self.reading(str(view.head), only)
        policy = self.policy(str(view.head))
        by_path: dict[str, list[Finding]] = {}
        for finding in (*found, *policy.findings()):
            by_path.setdefault(finding.location.file, []).append(finding)
        return World(
            forge=self.forge,
            control_repo=self.control.control_repo,
            control=self.control.open_repository(),
            snapshot=read.snapshot,
            findings={path: tuple(items) for path, items in by_path.items()},
            templates=self.templates,
            hydrator=self.hydrator,
            scan_secrets=self.scan_secrets,
            verify=self.verify,
            run_id=self.run_id,
            revisions=self._revisions(policy),
            _repos={self.control.control_repo: view},
            # History up to a commit is the same in every look.
            _brought=self._brought.setdefault(read.snapshot.commit, {}),
            _statuses=self._statuses,
            _recorded=self._recorded,
        )

    def status(self, draft: str) -> DraftStatus:
        """One draft's recorded status. Raises UsageFault when it has none."""
        world = self.world()
        id = parse_draft_id(draft)
        found = world.statuses(id.tenant, [id.primitive]).get(id.primitive)
        if draft in world.unreadable:
            raise damaged_status(draft)
        if found is None:
            raise UsageFault(
                f"nothing has happened to `{draft}` yet",
                help="merge its request, then `pipeline run`; `pipeline status` lists drafts",
            )
        return found

    def statuses(self) -> tuple[DraftStatus, ...]:
        """Every draft's recorded status, by id."""
        world = self.world()
        found: list[DraftStatus] = []
        view = world.repo(self.control.control_repo)
        prefix = names.state_branch("")
        for branch, head in sorted((view.branches if view else {}).items()):
            if branch.startswith(prefix):
                tree = world.control.read_tree(f"{head}:drafts") or ()
                tenant = branch.removeprefix(prefix)
                found += world.statuses(tenant, [e.name for e in tree]).values()
        return tuple(sorted(found, key=lambda s: s.id))

    def gitops_incidents(
        self, repos: Collection[str]
    ) -> tuple[tuple[Incident, ...], tuple[Failure, ...]]:
        """What is not as promoted in GitOps repositories, and what could not be looked at."""
        world = self.world()
        incidents: list[Incident] = []
        for repo in repos:
            try:
                view = world.gitops(repo)
            except PipelineError as error:
                world.fail(repo, error)
                continue
            incidents += incidents_of(repo, view.findings if view else ())
        return tuple(incidents), tuple(dict.fromkeys(world.failures))

    def facts(self, draft: str) -> tuple[Fact, ...]:
        """A draft's facts in order, with every link checked. Raises UsageFault, BrokenChain."""
        world = self.world()
        id = parse_draft_id(draft)
        head = world.state_head(id.tenant)
        files = read_fact_files(world.control, head, id.primitive) if head else ()
        if not files:
            raise UsageFault(f"nothing has happened to `{draft}` yet")
        return parse_chain(draft, files)

    def draft_files(self, draft: str, paths: Collection[str] = ()) -> tuple[str, dict[str, File]]:
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
