"""The proposer: the gate's decision on a promotion, requested or hypothetical."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pipeline.engine.reader import EngineReader
from pipeline.errors import Refused, UsageFault
from pipeline.gate.authorise import Decision, authorise
from pipeline.gate.authority import unasked
from pipeline.gate.matters import matters_of
from pipeline.models.base import API_VERSION, BlobId, CommitId
from pipeline.models.draft_id import parse_draft_id
from pipeline.models.facts import Cause
from pipeline.models.requests import Promotion, RequestedRelease
from pipeline.models.windows import Lane
from pipeline.plan.view import Caused, DraftView, PromotionInput
from pipeline.releases.differences import count_changed_lines
from pipeline.releases.overlays import Overlay
from pipeline.requests.layout import RequestPath, draft_path, promotion_path
from pipeline.requests.snapshot import LoadedRequest
from pipeline.stages.promote import evidence_of
from pipeline.state.bounds import with_evidence
from pipeline.world.look import World


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
        world = world or self.reader.world()
        view = self._view_for(world, draft, environment)
        loaded = next(
            (r for r in world.snapshot.promotions_of(draft) if r.meaning.name == environment), None
        )
        if promotion is None and loaded is not None:
            due = world.promotions.of_request(view, loaded)
        else:
            wanted = promotion or self._prospective(
                world, view, environment, None, "Asked by `why`"
            )
            due = world.promotions.of(view, wanted, _nobody(world, view, wanted))
        return authorise(evidence_of(view, due)), due

    def propose_promotion(
        self,
        draft: str,
        environment: str,
        *,
        source_commit: str | None = None,
        reason: str,
        lane: Lane = "normal",
    ) -> PromotionProposal:
        """A promotion request with digest and overlay tree pinned, and the reasons against it.

        The decision leaves out approvals, since nobody can have approved it yet.
        """
        world = self.reader.world()
        view = self._view_for(world, draft, environment)
        promotion = self._prospective(world, view, environment, source_commit, reason)
        promotion = promotion.model_copy(update={"lane": lane})
        due = world.promotions.of(view, promotion, _nobody(world, view, promotion))
        if view.environments[environment].all_approvals and due.overlay is not None:
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
                facts, _ = world.states.chain(status.tenant_id, status)
                build = with_evidence(status, facts, source.id).build_of_tree(source.id)
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
