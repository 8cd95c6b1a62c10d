"""Release groups: how far the other members have come, and which request for a place is newest."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from pipeline.diagnostics import Finding
from pipeline.forges.port import PullState
from pipeline.gate import rules as rule
from pipeline.gate.authorise import authorise
from pipeline.gate.groups import Companion
from pipeline.gate.reasons import DecisionReason
from pipeline.models.base import seconds_of
from pipeline.models.draft_id import DraftId
from pipeline.models.facts import Fact, Promoted, PromotionRefused, PromotionSuperseded
from pipeline.models.release_groups import ReleaseGroup
from pipeline.models.status import DraftStatus
from pipeline.plan.view import Caused, DraftView, PromotionInput
from pipeline.requests.layout import draft_path
from pipeline.requests.snapshot import LoadedRequest, Snapshot, environment_of, part_of
from pipeline.stages.order import plan_blocked
from pipeline.stages.promote import evidence_of, unmerged_problem
from pipeline.world.causes import Causes
from pipeline.world.promotions import Promotions
from pipeline.world.retirements import Retirements
from pipeline.world.states import States

About = Callable[[DraftId, DraftStatus], DraftView | None]
Foreign = Callable[[str], tuple[Finding, ...]]  # repository → what nobody approved there


@dataclass(frozen=True)
class Groups:
    """Reads the other members of release groups, each once for one look at the world."""

    snapshot: Snapshot
    states: States
    causes: Causes
    promotions: Promotions
    retirements: Retirements
    foreign: Foreign
    _known: dict[tuple[str, str], Companion] = field(default_factory=dict)

    def with_companions(self, due: PromotionInput, draft: DraftId, about: About) -> PromotionInput:
        """The input of a draft's promotion, with the other members of its group, if it has one."""
        path = due.caused.cause.request
        group = self.snapshot.model_at(path, ReleaseGroup)
        if group is None or due.newer is not None:
            return due
        others = [other for other in group.drafts if other != draft]
        found = tuple(
            self._companion(other, self.snapshot.requests[path], about) for other in others
        )
        return replace(due, companions=found)

    def _companion(self, draft: DraftId, loaded: LoadedRequest, about: About) -> Companion:
        key = (draft, loaded.path)
        if key not in self._known:
            self._known[key] = self._read_companion(draft, loaded, about)
        return self._known[key]

    def _read_companion(self, draft: DraftId, loaded: LoadedRequest, about: About) -> Companion:
        """How far one member has come. Raises CouldNotCheck if that can't be told."""
        if draft_path(draft) not in self.snapshot.blobs:
            return Companion(draft, ended="has no request on main")
        status = self.states.status(draft)
        if status is None or not status.branch_name:
            return Companion(draft, (_waits("it is not scaffolded yet"),))
        problem = self.states.chain(draft.tenant, status).problem
        if problem:
            return Companion(draft, (DecisionReason(rule.STATE_TAMPERED.id, problem, False),))
        if status.requests.get(loaded.path) == loaded.blob:
            return answer_in(self.states.facts(draft), draft, loaded.path, loaded.blob)
        view = about(draft, status)
        if view is None:
            return Companion(
                draft, (_waits("its request is refused, `pipeline validate` says why"),)
            )
        retirement = self.snapshot.retirement_of(draft)
        if retirement and status.requests.get(retirement.path) != retirement.blob:
            view = replace(view, retirement=self.retirements.of_request(view, retirement))
        group = loaded.model
        assert isinstance(group, ReleaseGroup)  # `with_companions` found it so
        due = self.promotions.of_request(view, part_of(loaded, group, draft))
        if due.merged and due.gitops_pull and due.gitops_pull.state is PullState.MERGED:
            merged_at = due.gitops_pull.merged_at
            moved_s = min(view.now_s, seconds_of(merged_at)) if merged_at else view.now_s
            return Companion(draft, moved_s=moved_s)
        newer = self._newer(draft, status, group.environment, due.caused)
        if newer:
            return Companion(draft, ended=f"is asked for anew by {newer}")
        reasons = (*_blocked(view, self.foreign), *authorise(evidence_of(view, due)).reasons)
        unmerged = "" if reasons else unmerged_problem(view, due)
        return Companion(draft, reasons, unmerged=unmerged)

    def _newer(self, draft: DraftId, status: DraftStatus, environment: str, caused: Caused) -> str:
        """The path of a newer request for the same draft and environment that waits; empty if there
        is none."""
        for other in self.snapshot.promotions_of(draft):
            is_due = status.requests.get(other.path) != other.blob
            if other.path != caused.cause.request and is_due:
                found = self.causes.of(other.path, other.blob, tier=status.risk_tier)
                if environment_of(other) == environment and self.is_after(found, caused):
                    return other.path
        return ""

    def queued(self, found: Iterable[PromotionInput]) -> tuple[PromotionInput, ...]:
        """A draft's due promotions; of several files for one environment the newest on main
        replaces the others, which come first."""
        inputs = tuple(found)
        newest: dict[str, PromotionInput] = {}
        for due in inputs:
            other = newest.get(due.promotion.environment)
            if other is None or (due.newer is None and self.is_after(due.caused, other.caused)):
                newest[due.promotion.environment] = due
        told = [_replaced_by(due, newest[due.promotion.environment]) for due in inputs]
        return tuple(sorted(told, key=lambda due: due.newer is None))

    def is_after(self, one: Caused, other: Caused) -> bool:
        """Whether a request came to main after another one.

        Of two that came in one commit, the draft's own is taken as the later one.
        """
        newer, older = one.cause, other.cause
        if newer.commit == older.commit:
            return newer.request > older.request
        return self.causes.control.is_ancestor(older.commit, newer.commit)

    def newest_asked(self, draft: DraftId, environment: str) -> LoadedRequest | None:
        """The newest request on main for a draft in an environment, its own or a group's."""
        newest: tuple[LoadedRequest, Caused] | None = None
        for loaded in self.snapshot.promotions_of(draft):
            if environment_of(loaded) == environment:
                caused = self.causes.of(loaded.path, loaded.blob)
                if newest is None or self.is_after(caused, newest[1]):
                    newest = (loaded, caused)
        return newest[0] if newest else None


def answer_in(facts: Iterable[Fact], draft: str, path: str, blob: str) -> Companion:
    """What became of a member, by its facts: it moved, was refused or was replaced. Pure."""
    found = Companion(draft, ended="was answered by another request")
    for fact in facts:
        body, is_of_it = fact.body, (fact.cause.request, fact.cause.blob) == (path, blob)
        if isinstance(body, Promoted) and body.group and is_of_it:
            found = Companion(draft, moved_s=seconds_of(body.group.decided_at))
        elif isinstance(body, PromotionRefused) and is_of_it:
            codes = ", ".join(dict.fromkeys(reason.code for reason in body.reasons))
            found = Companion(draft, ended=f"was refused: {codes}")
        elif isinstance(body, PromotionSuperseded) and (body.request, body.blob) == (path, blob):
            found = Companion(draft, ended=f"was replaced by {fact.cause.request}")
    return found


def _replaced_by(due: PromotionInput, newest: PromotionInput) -> PromotionInput:
    if due.newer is not None or due.caused.cause.request == newest.caused.cause.request:
        return due
    return replace(due, newer=newest.caused)


def _blocked(view: DraftView, foreign: Foreign) -> tuple[DecisionReason, ...]:
    """What stops a draft before the gate is asked: its own request, and its GitOps repository."""
    blocked = plan_blocked(view)
    told = [reason for waiting in blocked.waiting for reason in waiting.reasons] if blocked else []
    told += [(found.code, found.message) for found in foreign(view.gitops_repo)[:1]]
    return tuple(DecisionReason(code, message, final=False) for code, message in told)


def _waits(message: str) -> DecisionReason:
    return DecisionReason(rule.GROUP_MEMBER_WAITS.id, message, final=False)
