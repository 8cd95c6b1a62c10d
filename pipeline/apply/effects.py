"""Apply: the only writer. Effects in order, facts last, each safe to repeat.

Every effect is found or made; a moved head raises StalePlan and ends the rest. If a draft's tool
fails, its facts stay unpublished and the other drafts go on. `faults` is called before and after
each effect, so that tests can stop, repeat or lose the reply of any.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar, assert_never

from pipeline.apply.commits import push_commits, push_restoration
from pipeline.apply.facts import Told, record_facts
from pipeline.errors import (
    CouldNotCheck,
    Failure,
    ForgeRefused,
    MergePending,
    NotFound,
    OverBound,
    StalePlan,
    failure_of,
)
from pipeline.forges.port import BranchRule, DeploymentAsk, Forge, PullAsk, RepoSpec
from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import MODE_FILE, Files, commit_object, objects_of_files
from pipeline.images.port import source_of
from pipeline.models.base import CommitId, key_of, moment_of
from pipeline.models.evidence import BuildRecord, CheckReport
from pipeline.models.facts import PullRequestLink, Reason
from pipeline.plan.effects import (
    MERGED,
    AppendFacts,
    BuildImage,
    ClosePull,
    CommitFolder,
    Effect,
    EnsureRepo,
    EnsureRules,
    FactEntry,
    Merged,
    MergePull,
    OpenPull,
    PlannedRule,
    Receipt,
    RestoreOverlays,
    RunChecks,
    ShowDeployment,
    TenantPlan,
    Waiting,
    describe,
)
from pipeline.plan.ports import FaultHook, Progress, RunChecksPort, no_faults
from pipeline.plan.rules import MERGE_PENDING
from pipeline.sandbox.sources import read_source_files
from pipeline.stages.build import refused_build
from pipeline.stages.checks import refused_report

if TYPE_CHECKING:
    from pipeline.images.port import Builder

# The most consecutive commits of one repository to push together, and pull requests to open
# together: a push holds everything that it sends.
_AT_ONCE = 25
_Together = TypeVar("_Together", CommitFolder, OpenPull)


@dataclass(frozen=True)
class Ports:
    """The parts of the world that applying needs."""

    forge: Forge
    control_repo: str
    actor: int
    run_checks: RunChecksPort
    make_builder: Callable[[], Builder]
    now_s: int  # the moment of the plan, in seconds since the epoch
    faults: FaultHook = no_faults


@dataclass
class _Applied:
    outcomes: dict[str, object] = field(default_factory=dict)
    applied: list[tuple[str, str]] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    failed_drafts: set[str] = field(default_factory=set)
    waiting: list[Waiting] = field(default_factory=list)
    warnings: list[Failure] = field(default_factory=list)
    ahead: dict[str, object] = field(default_factory=dict)  # outcomes of effects done with another
    one_by_one: bool = False  # whether several at once were refused
    shows_no_more: bool = False  # the forge could not show a deployment: the others wait too

    def fail(self, draft: str, error: Exception) -> None:
        """Leave a draft for the next run; the others go on."""
        self.failed_drafts.add(draft)
        self.failures.append(failure_of(draft, error))


def apply_tenant_plan(plan: TenantPlan, ports: Ports, progress: Progress) -> Receipt:
    """The receipt of applying a tenant's plan.

    Raises StalePlan if the world moved; the next run finds what was done until then.
    """
    done = _Applied()
    for number, effect in enumerate(plan.effects):
        if _is_left_out(effect, done):
            continue
        progress(describe(effect))
        try:
            ports.faults("before", effect)
            outcome = _apply_effect(effect, plan.effects[number + 1 :], ports, done)
            ports.faults("after", effect)
        except StalePlan as moved:
            moved.drafts = tuple(_drafts_of(effect, plan))
            raise
        except MergePending as pending:
            done.failed_drafts.update(_drafts_of(effect, plan))
            done.waiting.append(_waiting_for(effect, plan, pending))
            continue
        except Exception as error:
            if isinstance(effect, AppendFacts):
                raise
            if isinstance(effect, ShowDeployment):
                done.warnings.append(failure_of(effect.draft, error))
                done.shows_no_more = isinstance(error, CouldNotCheck)
                continue
            for draft in _drafts_of(effect, plan):
                done.fail(draft, error)
            continue
        done.outcomes[effect.key] = outcome
        done.applied.append((effect.key, effect.kind))
    return Receipt(
        applied=tuple(done.applied),
        failures=tuple(done.failures),
        waiting=tuple(done.waiting),
        warnings=tuple(done.warnings),
    )


def _is_left_out(effect: Effect, done: _Applied) -> bool:
    if isinstance(effect, ShowDeployment) and done.shows_no_more:
        return True
    return not isinstance(effect, AppendFacts) and effect.draft in done.failed_drafts


def _waiting_for(effect: Effect, plan: TenantPlan, pending: MergePending) -> Waiting:
    """The request whose fact waits for a merge that the forge does later."""
    entries = [e for other in plan.effects if isinstance(other, AppendFacts) for e in other.entries]
    reason = (pending.code, pending.message)
    for entry in entries:
        if effect.key in entry.outcomes.values():
            return Waiting(draft=entry.draft, request=entry.cause.request, reasons=(reason,))
    # No fact waits for the merge of a restoration or a proposal.
    assert isinstance(effect, MergePull)
    where = f"{effect.repo}:{effect.branch}"
    return Waiting(draft=effect.draft, request=where, reasons=(reason,))


def _drafts_of(effect: Effect, plan: TenantPlan) -> list[str]:
    """The drafts that need an effect; all of a tenant's share its repositories."""
    if isinstance(effect, AppendFacts):
        return []
    found = {effect.draft}
    if isinstance(effect, EnsureRepo | EnsureRules):
        for other in plan.effects:
            if isinstance(other, AppendFacts):
                found |= {
                    entry.draft
                    for entry in other.entries
                    if entry.type == "provisioned" and effect.repo in _repos_of(entry)
                }
    return sorted(found)


def _repos_of(entry: FactEntry) -> tuple[object, ...]:
    repos = entry.known.get("repos")
    return tuple(repos) if isinstance(repos, list | tuple) else ()


def _apply_effect(effect: Effect, later: Sequence[Effect], ports: Ports, done: _Applied) -> object:
    match effect:
        case EnsureRepo():
            return _ensure_repo(effect, ports)
        case EnsureRules():
            return _ensure_rules(effect, ports)
        case CommitFolder():
            return _commit_folder(effect, later, ports, done)
        case RestoreOverlays():
            return push_restoration(ports.forge, effect, actor=ports.actor)
        case OpenPull():
            return _open_pull(effect, later, ports, done)
        case MergePull():
            return _merge_pull(effect, ports, done)
        case ClosePull():
            ports.forge.close_pull(effect.repo, effect.number, actor=ports.actor)
            return effect.number
        case RunChecks():
            return _run_checks(effect, ports)
        case BuildImage():
            return _build_image(effect, ports)
        case ShowDeployment():
            return _show_deployment(effect, ports)
        case AppendFacts():
            return _append_facts(effect, ports, done)
    assert_never(effect)


def _ensure_repo(effect: EnsureRepo, ports: Ports) -> str:
    files = {path: (MODE_FILE, content.content) for path, content in effect.files.items()}
    objects = objects_of_files(files)
    signature = pipeline_signature(effect.time_s)
    commit = commit_object(objects[-1].id, [], effect.message, signature, signature)
    spec = RepoSpec(
        description=effect.description,
        default_branch=effect.default_branch,
        initial_objects=(*objects, commit),
        initial_commit=commit.id,
        rules=_branch_rules(effect.rules),
        teams=effect.owners,
    )
    ports.forge.ensure_repo(effect.repo, spec)
    return commit.id


def _ensure_rules(effect: EnsureRules, ports: Ports) -> str:
    ports.forge.ensure_rules(effect.repo, _branch_rules(effect.rules), teams=effect.owners)
    return effect.key


def _branch_rules(rules: Sequence[PlannedRule]) -> tuple[BranchRule, ...]:
    return tuple(
        BranchRule(r.pattern, push=r.push, merge=r.merge, approvals=r.approvals) for r in rules
    )


def _commit_folder(
    effect: CommitFolder, later: Sequence[Effect], ports: Ports, done: _Applied
) -> str:
    """The branch's new head; the next commits of the same repository are pushed with it."""

    def push(effects: Sequence[CommitFolder]) -> None:
        push_commits(ports.forge, effect.repo, effects, actor=ports.actor)
        done.ahead |= {e.key: e.commit for e in effects}

    _do_with_next(effect, later, done, push)
    return effect.commit


def _open_pull(
    effect: OpenPull, later: Sequence[Effect], ports: Ports, done: _Applied
) -> PullRequestLink:
    """The pull request; the next ones of the same repository are opened with it."""

    def open_pulls(effects: Sequence[OpenPull]) -> None:
        asked = [PullAsk(e.branch, e.base_branch, e.title, e.body) for e in effects]
        pulls = ports.forge.open_pulls(effect.repo, asked, actor=ports.actor)
        for e, pull in zip(effects, pulls, strict=True):
            done.ahead[e.key] = PullRequestLink(repo=e.repo, number=pull.number, url=pull.url)

    _do_with_next(effect, later, done, open_pulls)
    link = done.ahead[effect.key]
    assert isinstance(link, PullRequestLink)  # `open_pulls` put it there
    return link


def _do_with_next(
    effect: _Together,
    later: Sequence[Effect],
    done: _Applied,
    do: Callable[[Sequence[_Together]], None],
) -> None:
    """Do an effect, in one call with the next ones of the same kind and repository.

    If that is refused, each is done alone, so that only the one at fault fails.
    """
    if effect.key in done.ahead:
        return
    together = [effect]
    for other in () if done.one_by_one else later[: _AT_ONCE - 1]:
        if not isinstance(other, type(effect)) or other.repo != effect.repo:
            break
        if other.draft not in done.failed_drafts:
            together.append(other)
    try:
        do(together)
    except (StalePlan, CouldNotCheck, OverBound, ForgeRefused, NotFound):
        if len(together) == 1:
            raise
        done.one_by_one = True
        do([effect])


def _merge_pull(effect: MergePull, ports: Ports, done: _Applied) -> str:
    number = effect.number
    if number is None:
        pull = done.outcomes.get(key_of("pull", effect.repo, effect.branch))
        if not isinstance(pull, PullRequestLink):
            raise StalePlan(f"{effect.repo}:{effect.branch} has no pull request in this plan")
        number = pull.number
    return ports.forge.merge_pull(
        effect.repo,
        number,
        expected_head=effect.expected_head,
        message=effect.message,
        time_s=ports.now_s,
        actor=ports.actor,
    )


def _source_files(effect: RunChecks | BuildImage, ports: Ports) -> Files:
    git = ports.forge.open_repository(effect.repo)
    tree = git.read_object(f"{effect.commit}:{effect.folder}")
    if tree is None or tree.id != effect.tree:
        raise StalePlan(f"{effect.repo}@{effect.commit[:12]} does not hold tree {effect.tree[:12]}")
    return read_source_files(git, effect.commit, effect.folder)


def _run_checks(effect: RunChecks, ports: Ports) -> CheckReport:
    try:
        files = _source_files(effect, ports)
    except OverBound as error:
        return refused_report(effect, error)
    return ports.run_checks(effect, files)


def _build_image(effect: BuildImage, ports: Ports) -> BuildRecord | Reason:
    """The image's record, or the reason why the source is not built, which is recorded too."""
    try:
        return ports.make_builder().build(source_of(effect, _source_files(effect, ports)))
    except OverBound as error:
        return refused_build(error)


def _read_merges(effect: AppendFacts, ports: Ports, done: _Applied) -> None:
    """Add the date of each merge to its commit, repository by repository.

    A forge may report a merge before it shows the commit: such a draft waits.
    """
    for entry in effect.entries:
        key = entry.outcomes.get(MERGED, "")
        repo, commit = str(entry.known.get("gitops_repo")), done.outcomes.get(key)
        if entry.draft in done.failed_drafts or not isinstance(commit, str):
            continue
        try:
            made = ports.forge.open_repository(repo).read_commit(commit)
        except NotFound:
            late = f"{repo}@{commit[:12]} is merged, and the forge does not show it yet"
            reasons = ((MERGE_PENDING.id, late),)
            waits = Waiting(draft=entry.draft, request=entry.cause.request, reasons=reasons)
            done.failed_drafts.add(entry.draft)
            done.waiting.append(waits)
            continue
        dated = moment_of(made.committer.time_s)
        done.outcomes[key] = Merged(gitops_commit=CommitId(commit), merged_at=dated)


def _show_deployment(effect: ShowDeployment, ports: Ports) -> str:
    asked = DeploymentAsk(
        commit=effect.commit,
        environment=effect.environment,
        key=effect.name,
        state=effect.state,
        title=effect.title,
        comment=effect.comment,
        link=effect.link,
        is_production=effect.is_production,
        details=effect.details,
    )
    ports.forge.write_deployment(effect.repo, asked, actor=ports.actor)
    return effect.key


def _append_facts(effect: AppendFacts, ports: Ports, done: _Applied) -> str:
    """The state branch's new head; facts of failed drafts are left out."""
    _read_merges(effect, ports, done)
    head, failed = record_facts(
        effect,
        ports.forge,
        ports.control_repo,
        Told(done.outcomes, moment_of(ports.now_s)),
        actor=ports.actor,
        left_out=done.failed_drafts,
    )
    for draft, error in failed:
        done.fail(draft, error)
    return head
