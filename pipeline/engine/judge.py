"""An open pull request of the control repo, judged as merging it would leave main.

What the pull request holds is read as data by the validator that runs, never by one that it brings.
Of promotions the release is rendered as it would be written and compared with what runs now; the
gate says what speaks against it, all but the approvals that nobody can have given yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from pipeline.characters import visible
from pipeline.control.repo import read_snapshot
from pipeline.diagnostics import Finding, Verdict, verdict_of
from pipeline.engine.judge_patches import (
    patches_of,
    read_changed_files,
    read_patch_findings,
    without_secrets,
)
from pipeline.engine.propose import Proposer
from pipeline.engine.reader import EngineReader
from pipeline.errors import CouldNotCheck, PipelineError
from pipeline.forges.github.merge_queue import QUEUE_REFS
from pipeline.forges.port import PullRequest
from pipeline.gate.authorise import Decision
from pipeline.gate.authority import Authority
from pipeline.gate.matters import groups_among, higher_tier, matters_of, members_of
from pipeline.gate.standing import Standing, check_environments
from pipeline.git.repository import GitRepository
from pipeline.models.outputs import AskedItem, Link, PromotionPreview
from pipeline.models.policy import PolicyDiffDocument
from pipeline.models.release_groups import ReleaseGroup
from pipeline.models.requests import Platform, Promotion, RiskTier
from pipeline.models.status import DraftStatus
from pipeline.plan.view import PromotionInput
from pipeline.policy.differences import is_policy, read_policy_diff
from pipeline.releases.differences import diff_lines
from pipeline.render.decision import reason_item
from pipeline.requests.asked import BeforeMerge, asked_of
from pipeline.requests.kinds import is_of_kind, request_path
from pipeline.requests.layout import PLATFORM_PATH, REQUEST_ROOTS
from pipeline.requests.snapshot import Snapshot
from pipeline.stages.validate import check_requests
from pipeline.state.statuses import StateRefs
from pipeline.world.look import World

MAX_LINES = 400


@dataclass(frozen=True, slots=True)
class Judged:
    """A pull request's requests, the findings about it, and what its promotions would do."""

    pull: PullRequest
    findings: tuple[Finding, ...]
    asked: tuple[AskedItem, ...]
    previews: tuple[PromotionPreview, ...]
    sources: Mapping[str, str]  # the text of each file that a finding is about
    changed: tuple[str, ...]  # paths
    authority: Authority  # who asked, who approved, and what is missing
    policy: PolicyDiffDocument | None = None  # what a change of policy decides otherwise

    @property
    def passed(self) -> bool:
        """Whether it is valid and its authority is complete."""
        return verdict_of(self.findings) is Verdict.VALID and self.authority.is_complete


@dataclass(frozen=True)
class Judge:
    """Judges open pull requests, each with one look at the world."""

    reader: EngineReader
    proposer: Proposer

    def pull(self, number: int, *, with_previews: bool = True) -> Judged:
        """The judgement of a pull request at its head, and what its promotions would do.

        Raises StalePlan if it conflicts with main, CouldNotCheck if its commits cannot be read.
        """
        control = self.reader.control
        pull = self.reader.forge.read_pull(control.control_repo, number)
        git = control.open_repository()
        if git.read_object(pull.head) is None:
            raise CouldNotCheck(f"commit {pull.head[:12]} of #{number} is not in this repository")
        world = self.reader.world()
        main = world.snapshot.commit
        tree = git.merge_tree(main, pull.head)
        judged, snapshot = self._judge(world, pull, main, tree)
        if not with_previews:
            return judged
        promotions = _promotions_of(judged.changed, snapshot)
        previews = tuple(self._preview(world, each) for each in promotions)
        policy = read_pull_policy(git, main, tree, judged.changed)
        if policy is not None:
            policy = policy.model_copy(update={"head": pull.head})
        return replace(judged, previews=previews, policy=policy)

    def queued(self, number: int, commit: str) -> Judged:
        """The judgement of a merge queue's commit for a pull request, without previews.

        Judges what it adds to its first parent: main, or the commit that the queue merges before
        it, which is judged separately. Raises CouldNotCheck if the commit cannot be read or its
        parent is neither, as when a queue rebases several commits.
        """
        control = self.reader.control
        pull = self.reader.forge.read_pull(control.control_repo, number)
        git = control.open_repository()
        found = git.read_object(commit)
        if found is None or (found.type, found.id) != ("commit", commit):
            raise CouldNotCheck(f"commit {commit[:12]} of the queue is not in this repository")
        world = self.reader.world()
        parent = next(iter(git.read_commit(commit).parents), "")
        ahead = set(git.read_refs((QUEUE_REFS,)).values()) - {commit}
        is_on_main = bool(parent) and git.is_ancestor(parent, world.snapshot.commit)
        if parent not in ahead and not is_on_main:
            raise CouldNotCheck(
                f"commit {commit[:12]} of the queue follows neither main nor another one of the "
                "queue",
                help="let the merge queue merge or squash, not rebase",
            )
        return self._judge(world, pull, parent, commit)[0]

    def _judge(
        self, world: World, pull: PullRequest, base: str, tree: str
    ) -> tuple[Judged, Snapshot]:
        git, templates = world.states.control, self.reader.tools.templates
        changed = git.diff_names(base, tree)
        read = read_snapshot(git, tree, paths=changed)
        authority = _authority(world, pull, tree, changed)
        now = read_changed_files(git, tree, changed)
        patches = patches_of(read.reads, changed)
        left = replace(world.policy, pending=world.policy.left_by(git, tree))
        found = (
            *check_requests(
                read.reads,
                read.findings,
                read.snapshot,
                templates,
                asked=changed,
                now_s=world.now_s,
            ),
            *(reason.finding() for reason in authority.reasons if reason.final),
            # Nothing is merged onto policy without authority, unless the merge restores it.
            *left.findings(),
            *read_patch_findings(self.proposer, world, patches, now),
            *_deleted(world, changed, read.snapshot),
        )
        asked = asked_of(changed, read.snapshot, read_before(git, base, changed, now))
        sources = without_secrets(_sources(git, tree, found), found)
        judged = Judged(pull, found, asked, (), sources, tuple(changed), authority)
        return judged, read.snapshot

    def _preview(self, world: World, promotion: Promotion) -> PromotionPreview:
        try:
            decision, due = self.proposer.decide(
                promotion.draft, promotion.environment, promotion, world=world
            )
            return _told(world, promotion, decision, due)
        except PipelineError as error:
            return PromotionPreview(
                draft=promotion.draft,
                environment=promotion.environment,
                problem=visible(f"{error.code}: {error.message}"),
            )


def read_pull_policy(
    git: GitRepository, main: str, tree: str, changed: Sequence[str]
) -> PolicyDiffDocument | None:
    """What a tree decides otherwise than main; None if no changed path is policy."""
    files = tuple(path for path in changed if is_policy(path))
    if not files:
        return None
    try:
        return read_policy_diff(git, main, tree, state=StateRefs(git, "refs/heads/"))
    except PipelineError as error:
        return PolicyDiffDocument(
            base=main,
            head=tree,
            files=files,
            decisions=0,
            replayed=0,
            changed=(),
            other_reasons=0,
            not_known=(),
            problem=visible(f"{error.code}: {error.message}"),
        )


def _authority(world: World, pull: PullRequest, tree: str, changed: Sequence[str]) -> Authority:
    """The authority over merging it now. Raises CouldNotCheck if main lists no accounts.

    By main alone: unmerged changes give nobody a right.
    """
    revisions, main = world.revisions, world.snapshot.commit
    base, proposed = revisions.sides_at(main, tree, changed)
    if base.platform is None:
        raise CouldNotCheck(f"`{PLATFORM_PATH}` of main cannot be read, so no account is known")
    tier = _tier_then(world, (*changed, *members_of(groups_among(changed), base, proposed)))
    matters = matters_of(changed, base, proposed, tier=tier)
    return revisions.judge(matters, revisions.brought_of(pull, main), base.platform)


def _tier_then(world: World, changed: Sequence[str]) -> RiskTier:
    """The highest tier at acceptance of any draft among these paths."""
    tiers: list[RiskTier] = ["LOW"]
    for path in changed:
        meaning = request_path(path)
        if meaning is not None and meaning.primitive:
            found = world.states.statuses(meaning.tenant, [meaning.primitive])
            tiers += [status.risk_tier for status in found.values()]
    return higher_tier(*tiers)


def _deleted(world: World, changed: Sequence[str], snapshot: Snapshot) -> Iterator[Finding]:
    """Findings for what would still exist after the pull request deletes its files."""
    gone = {
        path.split("/")[1]
        for path in changed
        if path.endswith(("/draft.yaml", "/tenant.yaml")) and path not in snapshot.blobs
    }
    for tenant in sorted(gone):
        yield from world.states.deleted(tenant, snapshot.blobs)
    if any(is_of_kind(p, "Environment") and p not in snapshot.blobs for p in changed):
        standings = map(Standing.of_status, world.states.all_statuses())
        yield from check_environments(standings, snapshot.blobs)


def read_before(
    git: GitRepository, base: str, changed: Sequence[str], now: Mapping[str, bytes]
) -> BeforeMerge:
    """The changed paths at the base, to compare with `now`, which `read_changed_files` returned."""
    others = [path for path in changed if path.split("/")[0] not in REQUEST_ROOTS]
    return BeforeMerge(
        read_snapshot(git, base, paths=changed).snapshot,
        read_changed_files(git, base, others),
        {path: now[path] for path in others if path in now},
    )


def _sources(git: GitRepository, tree: str, found: Sequence[Finding]) -> dict[str, str]:
    paths = sorted({finding.location.file for finding in found})
    read = git.read_objects([f"{tree}:{path}" for path in paths])
    return {
        path: item.content.decode("utf-8", "replace")
        for path, item in zip(paths, read, strict=True)
        if item is not None and item.type == "blob"
    }


def _promotions_of(changed: Sequence[str], snapshot: Snapshot) -> Iterator[Promotion]:
    """The requested promotions whose path agrees with their content, and those of groups."""
    for path in changed:
        loaded = snapshot.requests.get(path)
        if loaded is not None and isinstance(loaded.model, ReleaseGroup):
            promotions = (loaded.model.promotion_of(draft) for draft in loaded.model.drafts)
            yield from (promotion for promotion in promotions if promotion is not None)
        if loaded is not None and isinstance(loaded.model, Promotion):
            said = (loaded.model.draft, loaded.model.environment)
            if said == (loaded.meaning.draft, loaded.meaning.name):
                yield loaded.model


def _told(
    world: World, promotion: Promotion, decision: Decision, due: PromotionInput
) -> PromotionPreview:
    status, platform = world.states.status(promotion.draft), world.snapshot.platform
    assert status is not None and platform is not None  # the decision needed them
    running = status.promotion(promotion.environment)
    reasons = tuple(reason_item(r) for r in decision.reasons if r.code != "approval-missing")
    known = due.status or status
    build = known.build_of_tree(due.source_tree) if due.source_tree else None
    lines: tuple[str, ...] = ()
    if due.overlay is not None:
        now = _files_now(world, status, due.overlay.folder)
        lines = tuple(diff_lines(now, due.overlay.files))
    return PromotionPreview(
        draft=promotion.draft,
        environment=promotion.environment,
        namespace=due.overlay.namespace if due.overlay else "",
        source_commit=promotion.release.source_commit,
        digest=build.digest if build else "",
        running=running.release.digest if running else "",
        builder=build.builder if build else "",
        signer=due.provenance.signer if due.provenance else "",
        reasons=reasons,
        links=tuple(_links(platform, status, promotion, due)),
        diff=lines[:MAX_LINES],
        left_out=max(0, len(lines) - MAX_LINES),
    )


def _files_now(world: World, status: DraftStatus, folder: str) -> dict[str, bytes]:
    """The files of an overlay's folder on the GitOps repository's default branch."""
    view = world.repositories.view(status.gitops_repo)
    if view is None or view.head is None:
        return {}
    files = world.repositories.git(status.gitops_repo).read_files(view.head, folder)
    return {path: content for path, (_, content) in files.items()}


def _links(
    platform: Platform, status: DraftStatus, promotion: Promotion, due: PromotionInput
) -> Iterator[Link]:
    where = f"{platform.forge_url}/{platform.organisation}"
    if status.pr_url.startswith("https://"):
        yield Link(name="pull request of the code", url=status.pr_url)
    yield Link(
        name="source",
        url=f"{where}/{status.target_repo}/tree/{promotion.release.source_commit}",
    )
    if due.overlay is not None:
        yield Link(
            name="what runs there now",
            url=f"{where}/{status.gitops_repo}/tree/main/{due.overlay.folder}",
        )
