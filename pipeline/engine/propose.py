"""The proposer: the gate's decision on a promotion, requested or hypothetical."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pipeline.engine.reader import EngineReader
from pipeline.errors import Refused, UsageFault
from pipeline.gate.authorise import Decision, Evidence, authorise
from pipeline.gate.authority import unasked
from pipeline.gate.matters import matters_of
from pipeline.gate.rollback import target_of
from pipeline.models.base import API_VERSION, BlobId, CommitId
from pipeline.models.draft_id import parse_draft_id
from pipeline.models.facts import Cause, Release
from pipeline.models.requests import Promotion, RequestedRelease
from pipeline.models.status import DraftStatus, RunRecord
from pipeline.models.windows import Lane
from pipeline.plan.view import Caused, DraftView, PromotionInput
from pipeline.releases.differences import count_changed_lines
from pipeline.releases.overlays import Overlay
from pipeline.requests.layout import RequestPath, draft_path, promotion_path
from pipeline.requests.snapshot import LoadedRequest
from pipeline.stages.promote import evidence_of
from pipeline.state.evidence import with_all_runs, with_evidence
from pipeline.world.look import World

_FACT_DIGITS = 6  # a longer number is the beginning of a digest


@dataclass(frozen=True)
class PromotionProposal:
    """A promotion request as it would be written, and what is known about it now."""

    promotion: Promotion
    decision: Decision
    overlay: Overlay | None
    lines_added: int
    lines_removed: int
    signer: str = ""  # of its image's provenance


@dataclass(frozen=True)
class Proposer:
    """Decides on promotions from the world as it is now; writes nothing."""

    reader: EngineReader

    def draft_view(self, world: World, draft: str) -> DraftView:
        """A scaffolded draft's view. Raises UsageFault, or Refused if its request is invalid."""
        draft = parse_draft_id(draft)
        if draft_path(draft) not in world.snapshot.requests:
            raise UsageFault(f"there is no draft `{draft}` on main")
        status = world.states.status(draft)
        if status is None or not status.branch_name:
            raise UsageFault(f"`{draft}` is not scaffolded yet", help="`pipeline run` does it")
        view = world.drafts.about(draft, status)
        if view is None:
            found = world.drafts.in_the_way_of(draft_path(draft))
            raise Refused(f"nothing is decided of `{draft}` while this stands", found)
        return view

    def decide(
        self,
        draft: str,
        environment: str,
        promotion: Promotion | None = None,
        *,
        world: World | None = None,
    ) -> tuple[Decision, PromotionInput]:
        """The decision on a promotion: the one requested on main, else a hypothetical one.

        `world` is the look to use; a fresh one if none is given.
        """
        evidence, due = self.evidence(draft, environment, promotion, world=world)
        return authorise(evidence), due

    def evidence(
        self,
        draft: str,
        environment: str,
        promotion: Promotion | None = None,
        *,
        world: World | None = None,
    ) -> tuple[Evidence, PromotionInput]:
        """The evidence for a decision on a promotion, and its input."""
        world = world or self.reader.world()
        view = self._view_for(world, draft, environment)
        asked = world.drafts.asked(view, environment) if promotion is None else None
        if asked is not None:
            due = asked
        else:
            wanted = promotion or self._prospective(
                world, view, environment, None, "Asked by `why`"
            )
            due = world.promotions.of(view, wanted, _nobody(world, view, wanted))
        return evidence_of(view, due), due

    def propose_promotion(
        self,
        draft: str,
        environment: str,
        *,
        source_commit: str | None = None,
        reason: str,
        lane: Lane = "normal",
        goes_further: bool = True,
    ) -> PromotionProposal:
        """A promotion request with digest and overlay tree pinned, and the reasons against it.

        The decision leaves out approvals, since nobody can have approved it yet.
        """
        world = self.reader.world()
        view = self._view_for(world, draft, environment)
        promotion = self._prospective(world, view, environment, source_commit, reason)
        promotion = promotion.model_copy(update={"lane": lane, "goes_further": goes_further})
        return self._proposed(world, view, promotion)

    def propose_group(
        self, drafts: Sequence[str], environment: str, *, reason: str, lane: Lane = "normal"
    ) -> tuple[PromotionProposal, ...]:
        """What a release group would ask for each draft, pinned, and the reasons against each.

        The decisions leave out approvals, and what the members wait for of each other.
        """
        world = self.reader.world()
        found = []
        for draft in drafts:
            view = self._view_for(world, draft, environment)
            promotion = self._prospective(world, view, environment, None, reason)
            told = promotion.model_copy(update={"lane": lane})
            found.append(self._proposed(world, view, told))
        return tuple(found)

    def propose_rollback(
        self, draft: str, environment: str, *, to: str = "", reason: str
    ) -> PromotionProposal:
        """A request to go back to an earlier release, pinned, and the reasons against it.

        `to` is a digest, the beginning of one, or the number of a fact; without it, the newest
        earlier release that ran healthy there, else the newest earlier one. Raises UsageFault for
        one that never ran there.
        """
        world = self.reader.world()
        view = self._view_for(world, draft, environment)
        status = view.status
        assert status is not None  # `_view_for` checked it
        problem = world.states.chain(status.tenant_id, status).problem
        facts = () if problem else world.states.facts(parse_draft_id(status.id))
        view = replace(view, status=with_all_runs(status, facts))
        assert view.status is not None
        run = _run_named(view.status, environment, to)
        promotion = _promotion_of(view, environment, run.release, reason)
        return self._proposed(world, view, promotion.model_copy(update={"lane": "rollback"}))

    def propose_lift(self, draft: str, environment: str, *, reason: str) -> PromotionProposal:
        """A request to let an environment go on after a rollback, and the reasons against it.

        Raises UsageFault if nothing runs there.
        """
        world = self.reader.world()
        view = self._view_for(world, draft, environment)
        record = view.status.promotion(environment) if view.status else None
        if record is None:
            raise UsageFault(f"`{draft}` does not run in {environment}")
        promotion = _promotion_of(view, environment, record.release, reason)
        told = {"hold": "lifted", "overlay_tree": record.overlay_tree}
        return self._proposed(world, view, promotion.model_copy(update=told))

    def _proposed(self, world: World, view: DraftView, promotion: Promotion) -> PromotionProposal:
        """The proposal of a promotion, with its overlay pinned where people approve it."""
        due = world.promotions.of(view, promotion, _nobody(world, view, promotion))
        environment = view.environments[promotion.environment]
        pins = environment.all_approvals or promotion.lane != "normal"
        if pins and due.overlay is not None and not promotion.hold:
            promotion = promotion.model_copy(update={"overlay_tree": due.overlay.tree})
            # The pinned tree is the rendered one; nothing else in the evidence changes.
            due = replace(due, promotion=promotion)
        decision = authorise(evidence_of(view, due))
        without = tuple(r for r in decision.reasons if r.code != "approval-missing")
        added, removed = self._overlay_lines(world, view, due)
        return PromotionProposal(
            promotion,
            Decision(decision.draft, decision.environment, without, ()),
            due.overlay,
            added,
            removed,
            due.provenance.signer if due.provenance else "",
        )

    def _view_for(self, world: World, draft: str, environment: str) -> DraftView:
        view = self.draft_view(world, draft)
        if environment not in view.environments:
            known = ", ".join(f"`{name}`" for name in view.environments)
            raise UsageFault(
                f"there is no environment `{environment}`", help=f"environments are {known}"
            )
        return view

    def _prospective(
        self,
        world: World,
        view: DraftView,
        environment: str,
        source_commit: str | None,
        reason: str,
    ) -> Promotion:
        status = view.status
        assert status is not None
        sources = view.environments[environment].promotes_from
        # The release that runs in an earlier environment; else the one promoted furthest.
        running = [p for s in sources if (p := status.promotion(s))] or status.promotions[::-1]
        before = running[0].release.source_commit if running and sources else None
        commit = source_commit or before or status.head
        digest = None
        if view.environments[environment].all_approvals:
            source = world.repositories.git(view.target_repo).read_object(f"{commit}:{view.folder}")
            build = status.build_of_tree(source.id) if source else None
            if source and not build:
                history = world.states.chain(status.tenant_id, status).of_tree(source.id)
                build = with_evidence(status, history).build_of_tree(source.id)
            digest = build.digest if build else None
        return Promotion(
            api_version=API_VERSION,
            kind="Promotion",
            draft=view.id,
            environment=environment,
            release=RequestedRelease(source_commit=CommitId(commit), digest=digest),
            reason=reason,
        )

    def _overlay_lines(self, world: World, view: DraftView, due: PromotionInput) -> tuple[int, int]:
        """The numbers of lines that a diff adds to and removes from the current overlay."""
        overlay = due.overlay
        if overlay is None or view.gitops is None or view.gitops.head is None:
            return 0, 0
        now = world.repositories.git(view.gitops_repo).read_files(view.gitops.head, overlay.folder)
        there = {path: content for path, (_, content) in now.items()}
        return count_changed_lines(there, overlay.files)


def _promotion_of(view: DraftView, environment: str, release: Release, reason: str) -> Promotion:
    """A promotion of a release that is known already."""
    return Promotion(
        api_version=API_VERSION,
        kind="Promotion",
        draft=view.id,
        environment=environment,
        release=RequestedRelease(source_commit=release.source_commit, digest=release.digest),
        reason=reason,
    )


def _run_named(status: DraftStatus, environment: str, to: str) -> RunRecord:
    """The run to go back to: the named one, else the best one. Raises UsageFault."""
    runs = status.runs_in((environment,))
    listed = ", ".join(f"{r.release.digest[7:19]} (fact {r.fact})" for r in runs)
    ran = f"{environment} ran {listed}" if runs else f"{environment} never ran it"
    if not to:
        run = target_of(status, environment)
        if run is None:
            raise UsageFault(f"`{status.id}` ran no other release in {environment}", help=ran)
        return run
    if to.isdecimal() and len(to) <= _FACT_DIGITS:
        found = {r.release.digest: r for r in runs if r.fact == int(to)}
    else:
        start = to.removeprefix("sha256:")
        found = {r.release.digest: r for r in runs if r.release.digest[7:].startswith(start)}
    if len(found) != 1:
        what = "names several releases" if found else f"never ran in {environment}"
        raise UsageFault(f"`{to}` {what}", help=ran)
    (run,) = found.values()
    return run


def _nobody(world: World, view: DraftView, promotion: Promotion) -> Caused:
    """The cause of a request not made yet: all approvals are missing."""
    cause = Cause(
        request=draft_path(view.id),
        commit=view.caused.cause.commit,
        blob=BlobId("0" * 40),
        run="prospective",
        actor=0,
    )
    tier = view.status.risk_tier if view.status else view.risk_tier
    path, policy = promotion_path(view.id, promotion.environment), world.snapshot
    meaning = RequestPath("Promotion", view.id.tenant, view.id.primitive, promotion.environment)
    proposed = policy.with_request(LoadedRequest(path, meaning, promotion, cause.blob))
    matters = matters_of([path], policy, proposed, tier=tier)
    return Caused(cause, view.caused.time_s, unasked(matters))
