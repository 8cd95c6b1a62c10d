"""The evidence for promotions: the rendered release, its provenance, and what runs now."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial

from pipeline import names
from pipeline.control.repo import read_snapshot
from pipeline.forges.port import PullRequest, PullState, RepoView
from pipeline.gate.approvals import source_authors
from pipeline.gate.authority import FOUNDING
from pipeline.gate.rollback import Fallback, fallback_of
from pipeline.gate.statements import asks_for_statements
from pipeline.gate.waivers import Grant
from pipeline.git.history import read_folder_commits, read_was_tree
from pipeline.git.process import FULL_ID
from pipeline.git.repository import GitRepository, read_parents
from pipeline.models.base import Moment, seconds_of
from pipeline.models.draft_id import DraftId
from pipeline.models.provenance import Verified
from pipeline.models.release_groups import promotion_in
from pipeline.models.requests import Platform, Promotion, Signers, Waiver
from pipeline.models.statements import BroughtStatement
from pipeline.models.status import DraftStatus
from pipeline.plan.view import POLICY_TRAILER, Caused, DraftView, FallbackInput, PromotionInput
from pipeline.releases.overlays import parse_overlay
from pipeline.requests.kinds import parse_request
from pipeline.requests.layout import environment_path
from pipeline.requests.snapshot import LoadedRequest, Snapshot
from pipeline.stages.promote import promotion_branch_of, promotion_key
from pipeline.stages.rollback import fallback_promotion, observation_of
from pipeline.state.evidence import TreeHistory, with_all_runs, with_evidence
from pipeline.world.causes import Causes
from pipeline.world.releases import Releases
from pipeline.world.repositories import OpenRepositories
from pipeline.world.statements import read_statements
from pipeline.world.states import States

_MAX_REPLACED = 20  # revisions of one request that a run looks back over
Verify = Callable[[str, str], Verified]  # bundle, signers as JSON


@dataclass(frozen=True)
class Promotions:
    """Evidence for promotions, both requested on main and hypothetical."""

    repositories: OpenRepositories
    states: States
    causes: Causes
    releases: Releases
    verify: Verify

    def of_request(self, view: DraftView, loaded: LoadedRequest) -> PromotionInput:
        """Everything the decision on one promotion request rests on."""
        promotion = loaded.model
        assert isinstance(promotion, Promotion) and view.status
        tier = view.status.risk_tier
        cause_of = partial(self.causes.of, loaded.path, loaded.blob, tier=tier)
        return self._of_revision(view, promotion, cause_of)

    def of_due(self, view: DraftView, loaded: LoadedRequest) -> tuple[PromotionInput, ...]:
        """The input of one due request; before it, those of the requests that it replaced while
        they waited, oldest first."""
        due = self.of_request(view, loaded)
        assert view.status is not None  # `of_request` checked it
        return (*self._replaced(view, view.status, loaded.path, due.caused), due)

    def _of_revision(
        self, view: DraftView, promotion: Promotion, cause_of: Callable[..., Caused]
    ) -> PromotionInput:
        """Everything for the decision on one revision of a request."""
        due = self.of(view, promotion, cause_of())
        if due.merged and due.gitops_pull and due.gitops_pull.merged_at:
            # It was merged before a crash, so what people did later does not matter.
            then, until = due.decided_by, due.gitops_pull.merged_at
            commit = then.commit if then else self._newest_at(until)
            stated = self._statements(view, promotion, due.source_tree, commit)
            due = replace(due, caused=cause_of(until=until, now=then), statements=stated)
        return due

    def _replaced(
        self, view: DraftView, status: DraftStatus, path: str, newer: Caused
    ) -> tuple[PromotionInput, ...]:
        """The revisions of a request that were never answered, oldest first.

        One that was merged before a crash is an answer that still lacks its fact. The walk is cheap
        where the revision before is answered: that costs one object.
        """
        answered = status.requests.get(path)
        found: list[PromotionInput] = []
        is_noted = False
        for commit, blob in self.causes.revisions_before(path, newer.cause.commit):
            if blob == answered or len(found) == _MAX_REPLACED:
                break
            is_noted = is_noted or any(s.commit == commit for s in status.superseded)
            content = self.causes.control.read_object(blob)
            read, findings = parse_request(path, content.content if content else b"")
            promotion = promotion_in(read.model if read else None, view.id)
            if promotion is None or findings:
                continue
            tier = status.risk_tier
            cause_of = partial(self.causes.of, path, blob, tier=tier, brought_by=commit)
            older = PromotionInput(promotion, cause_of(), None, False, None, (), "", newer=newer)
            if view.gitops and promotion_branch_of(view, older) in view.gitops.branches:
                begun = self._of_revision(view, promotion, cause_of)
                older = begun if begun.merged else older
            if older.merged or not is_noted:
                found.append(older)
        return tuple(reversed(found))

    def of_fallback(self, view: DraftView, fallback: Fallback) -> FallbackInput:
        """An automatic rollback with everything for its decision, once it is due."""
        status = view.status
        assert status is not None  # nothing runs before it is accepted
        problem = self.states.chain(status.tenant_id, status).problem
        facts = () if problem else self.states.facts(DraftId(status.id))
        view = replace(view, status=with_all_runs(status, facts))
        environment = view.environments[fallback.environment]
        assert view.status is not None
        again = fallback_of(view.status, environment, view.blocked_digests)
        if again is None or again.release is None or view.now_s < again.due_s or problem:
            return FallbackInput(again or fallback)
        path = environment_path(fallback.environment)
        caused = self.causes.of(path, self.causes.snapshot.blobs[path])
        # Nobody asks for it: that policy came with authority is settled before anything is planned.
        caused = replace(caused, authority=FOUNDING)
        promotion = fallback_promotion(view.id, fallback.environment, again.release)
        observed = observation_of(facts, fallback.environment)
        return FallbackInput(again, self.of(view, promotion, caused, observed=observed))

    def of(
        self, view: DraftView, promotion: Promotion, caused: Caused, *, observed: int = 0
    ) -> PromotionInput:
        """Everything for the decision on a promotion that may not be merged yet."""
        status = view.status
        assert status is not None
        source_commit = promotion.release.source_commit
        git = self.repositories.git(view.target_repo)
        known = view.target is not None and git.has_commit(source_commit)
        source = git.read_object(f"{source_commit}:{view.folder}") if known else None
        tree = source.id if source and source.type == "tree" else None
        chain = self.states.chain(view.request.tenant_id, status)
        history = chain.of_tree(tree) if tree else None
        if history:
            view = replace(view, status=with_evidence(status, history))
        sealed = self._sealed_base(view, promotion)
        overlay, findings = self.releases.overlay(view, promotion, tree, sealed)
        due = PromotionInput(
            promotion=promotion,
            caused=caused,
            status=view.status,
            source_tree=tree,
            source_on_default=_is_on_default(view, git, tree),
            overlay=overlay,
            manifest_findings=findings,
            chain_problem=chain.problem,
            observed=observed,
            waivers=self._waivers(view, promotion.environment),
            source_authors=self._source_authors(view, promotion, caused) if tree else None,
            provenance=self._provenance(view.signers, history),
            statements=self._statements(view, promotion, tree, self.causes.snapshot.commit),
        )
        if view.gitops is None or view.gitops.head is None:
            return due
        return self._on_its_way(view, view.gitops, view.gitops.head, due)

    def _waivers(self, view: DraftView, environment: str) -> tuple[Grant, ...]:
        """The draft's waivers for an environment, each with the authority over it."""
        found = []
        tier = view.status.risk_tier if view.status else view.risk_tier
        for loaded in self.causes.snapshot.waivers_of(view.id):
            waiver = loaded.model
            if isinstance(waiver, Waiver) and waiver.environment == environment:
                caused = self.causes.of(loaded.path, loaded.blob, tier=tier)
                found.append(Grant(waiver, caused.cause, caused.authority))
        return tuple(found)

    def _statements(
        self, view: DraftView, promotion: Promotion, tree: str | None, commit: str
    ) -> tuple[BroughtStatement, ...]:
        """The statements about the release at a commit of main, if the environment asks for any."""
        policy = view.environments.get(promotion.environment)
        if policy is None or not asks_for_statements(policy):
            return ()
        build = view.status.build_of_tree(tree) if view.status and tree else None
        release = promotion.release
        told = (release.digest, release.source_commit, build.digest if build else None)
        subjects = [subject for subject in told if subject]
        control = self.causes.control
        return read_statements(control, commit, view.id, subjects, view.signers, self.verify)

    def _newest_at(self, moment: Moment) -> str:
        """The newest commit of main at a moment, of those that a run sees now."""
        control, head = self.causes.control, self.causes.snapshot.commit
        dated = ((id, control.read_commit(id)) for id in reversed(control.list_line(head)))
        return next((id for id, c in dated if c.committer.time_s <= seconds_of(moment)), head)

    def _source_authors(
        self, view: DraftView, promotion: Promotion, caused: Caused
    ) -> frozenset[int] | None:
        """Who wrote what is new in a source, if any of its approvals asks for that."""
        if not any(policy.separation for policy in caused.authority.wanted):
            return None
        running = view.status.promotion(promotion.environment) if view.status else None
        base = running.release.source_commit if running else None
        git, head = self.repositories.git(view.target_repo), promotion.release.source_commit
        facts = self.states.facts(DraftId(view.id))
        return source_authors(facts, read_folder_commits(git, view.folder, base, head))

    def _on_its_way(
        self, view: DraftView, gitops: RepoView, head: str, due: PromotionInput
    ) -> PromotionInput:
        """The input with the branch and pull request begun for it in the GitOps repository, whose
        main is at `head`.
        """
        environment, key = due.promotion.environment, promotion_key(due)
        branch = promotion_branch_of(view, due)
        folder = names.overlay_folder(environment, view.instance)
        git = self.repositories.git(view.gitops_repo)
        existing = self.repositories.begun_branch(gitops, branch, folder, key)
        opened = self.repositories.pull_of_branch(view.gitops_repo, branch) if existing else None
        queued = opened is not None and opened.is_queued
        due = replace(due, existing=existing, gitops_pull=opened, is_queued=queued)
        policy = view.environments.get(environment)
        if opened and policy is not None and policy.merge == "manual":
            due = replace(due, owners=self.owners(view.platform, view.owners))
        if existing and opened and opened.state is PullState.MERGED:
            files = git.read_files(existing.commit, folder)
            there = parse_overlay(folder, {path: content for path, (_, content) in files.items()})
            due = replace(due, overlay=there, manifest_findings=(), merged=True)
            return replace(due, decided_by=self._policy_of_merge(view, git, opened))
        if due.overlay is None:
            return due
        # Begun with another tree before policy changed: continue on the same branch.
        begun = existing and existing.folder_tree != due.overlay.tree
        base = existing.commit if existing and begun else head
        return replace(due, gitops_base=base, gitops_parents=read_parents(git, base, folder))

    def _policy_of_merge(
        self, view: DraftView, git: GitRepository, merged: PullRequest
    ) -> Snapshot | None:
        """The policy that the merge of an overlay names; None if people merged it by hand."""
        commit = git.read_commit(merged.merge_commit) if merged.merge_commit else None
        named = dict(commit.trailers).get(POLICY_TRAILER, "") if commit else ""
        control, main = self.causes.control, self.causes.snapshot
        if named == main.commit:
            return main
        if not FULL_ID.match(named) or not control.has_commit(named):
            return None
        if not control.is_ancestor(named, main.commit):
            return None
        found = read_snapshot(control, named, tenants=[view.request.tenant_id]).snapshot
        has_all = found.platform is not None and found.tenant(view.request.tenant_id) is not None
        return found if has_all else None

    def _sealed_base(self, view: DraftView, promotion: Promotion) -> Mapping[str, bytes] | None:
        """The base that a rollback's release had in its environment, from the GitOps history.

        None for any other promotion, and where the history no longer has it.
        """
        status, gitops = view.status, view.gitops
        if promotion.lane != "rollback" or status is None or gitops is None or not gitops.head:
            return None
        digest = promotion.release.digest
        ran = [r for r in status.runs_in((promotion.environment,)) if r.release.digest == digest]
        git = self.repositories.git(view.gitops_repo)
        if not ran or git.read_object(ran[-1].release.base_tree) is None:
            return None
        listed = git.list_files(ran[-1].release.base_tree)
        found = git.read_objects([id for _, id in listed.values()])
        pairs = zip(listed, found, strict=True)
        return {path: item.content for path, item in pairs if item is not None}

    def owners(self, platform: Platform, teams: Collection[str]) -> frozenset[int]:
        """The people in any of these teams, both by policy and on the forge."""
        members = self.causes.revisions.read_members(teams)
        return platform.held_to(members).members(tuple(teams))

    def _provenance(self, signers: Signers | None, history: TreeHistory | None) -> Verified | None:
        """The verified provenance of a source tree's image; None if no fact holds any.

        Raises CouldNotCheck.
        """
        bundle = history.builds[-1].bundle if history and history.builds else ""
        if signers is None or not bundle:
            return None
        return self.verify(bundle, signers.model_dump_json(by_alias=True))


def _is_on_default(view: DraftView, git: GitRepository, tree: str | None) -> bool:
    """Whether the source tree is, or was, the one on the target's default branch."""
    if tree is None or view.target is None or view.target.head is None:
        return False
    return read_was_tree(git, view.target.head, view.folder, tree)
