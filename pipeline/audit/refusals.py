"""Refused promotions decided again by the same gate: it gives the reasons that were recorded.

Of a refused release no overlay was written. Its base is in the GitOps clone if an environment
before ran the same image; else no clone shows what its chart renders to, and reasons about that
rest on the pipeline's word. All other reasons are computed again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from pipeline.audit import rules as rule
from pipeline.audit.cases import FactCase, folder_at
from pipeline.audit.groups import trust_in_members
from pipeline.audit.promotions import due_of, views_of
from pipeline.audit.statements import commits_of_statements
from pipeline.diagnostics import Finding, Subject
from pipeline.gate import rules as gate_rule
from pipeline.gate.authority import AUTHOR_OUT_OF_SCOPE, FOUNDING
from pipeline.gate.standing import GROUP_HALF_APPLIED
from pipeline.git.objects import Files
from pipeline.machine.clock import CLOCK_SKEW_S
from pipeline.models.facts import Promoted, PromotionRefused
from pipeline.models.requests import Promotion
from pipeline.models.trust import Trust
from pipeline.plan.bounds import SOURCE_OVER_BOUND
from pipeline.plan.view import DraftView, Retiring
from pipeline.releases.rules import MANIFEST_NOT_RENDERED
from pipeline.requests.layout import draft_folder, retirement_path
from pipeline.requests.waivers import WAIVABLE
from pipeline.rules import load_rules
from pipeline.stages.promote import decide

Said = Mapping[str, str]  # "code: message" → code

_FORGE = Trust("which members of a team its forge had then", "the forge")
_CAME_LATER = Trust("that a source was not in its repository then", "the pipeline")
_GONE = Trust("why a source was refused that no clone has", "the pipeline")
_MANIFESTS = Trust("what the chart of a refused release renders to", "the pipeline")
_WAIVED = Trust("that a waiver counted for a refused release", "the forge")
_RETIRED = Trust("that a request to retire came with authority", "the forge")
# Reasons about a rendered release, besides those about its manifests.
_OF_RENDERED = frozenset(
    {
        gate_rule.BASE_CHANGED.id,
        gate_rule.RUNTIME_NOT_OFFERED.id,
        gate_rule.OVERLAY_TREE_MISMATCH.id,
        gate_rule.NAMESPACE_CHANGED.id,
    }
)
_OF_MANIFESTS = frozenset({MANIFEST_NOT_RENDERED.id, SOURCE_OVER_BOUND.id})


@dataclass(frozen=True, slots=True)
class _Compared:
    """A recorded refusal beside one computed again."""

    differing: tuple[str, ...]  # what one of them says alone, and no trust explains
    trusts: tuple[Trust, ...] = ()
    is_reworded: bool = False  # the same codes in other words


def check_refused(case: FactCase) -> Iterator[Finding]:
    """A finding unless the gate refuses it again, for the reasons that the fact gives."""
    body, promotion, audit = case.fact.body, case.request, case.audit
    if not isinstance(body, PromotionRefused):
        return
    audit.decisions["made"] += 1
    if not isinstance(promotion, Promotion) or case.code is None:
        return  # the steps of causes and of repositories report it
    found = [one for view in views_of(case, promotion) for one in _compared(case, view, promotion)]
    if not found:
        yield case.finding(rule.AUDIT_REFUSAL_DIFFERS, "no policy of main can decide it")
        return
    best = min(found, key=lambda one: (len(one.differing), one.is_reworded, len(one.trusts)))
    if best.differing:
        yield case.finding(rule.AUDIT_REFUSAL_DIFFERS, "; ".join(best.differing))
        return
    if best.is_reworded:
        yield case.finding(
            rule.AUDIT_REFUSAL_REWORDED, "the gate gives the same reasons in other words"
        )
    for trust in best.trusts:
        audit.trusts(trust.what, trust.whose)
    audit.proves("refused promotions decided again by the gate")
    audit.decisions["equal"] += 1


def _compared(case: FactCase, view: DraftView, promotion: Promotion) -> Iterator[_Compared]:
    """The recorded refusal beside what the gate says by one policy."""
    body = case.fact.body
    assert isinstance(body, PromotionRefused)  # the caller checked
    told = {f"{r.code}: {r.message}": r.code for r in body.reasons}
    codes = set(told.values())
    # With another base than before, nothing of what was rendered is in a clone.
    base = None if gate_rule.BASE_CHANGED.id in codes else _base_there(case, view, promotion)
    for commit in commits_of_statements(case):
        due = due_of(case, view, promotion, base, commit)
        if due is None:
            return
        for seen in (view, *_as_retired(case, view, codes)):
            reasons = decide(seen, due).reasons
            again = {f"{r.code}: {r.message}": r.code for r in reasons if r.final}
            compared = _compare(case, told, again, is_rendered=base is not None)
            yield (
                compared if seen is view else replace(compared, trusts=(*compared.trusts, _RETIRED))
            )


def _compare(case: FactCase, told: Said, again: Said, *, is_rendered: bool) -> _Compared:
    """What the recorded reasons and those computed again do not share."""
    if told == again:
        return _Compared(())
    if not told or set(told.values()) == set(again.values()):
        return _Compared(() if told else ("it gives no reason",), is_reworded=True)
    if gate_rule.SOURCE_UNKNOWN.id in set(again.values()) - set(told.values()):
        return _Compared((), (_GONE,))
    differing: list[str] = []
    trusts: list[Trust] = []
    is_reworded = any(code in again.values() and m not in again for m, code in told.items())
    for message, code in told.items():
        if code not in again.values():
            trust = _trust_for(case, code, is_rendered=is_rendered)
            differing += [] if trust else [f"the gate does not say `{message}`"]
            trusts += [trust] if trust else []
    for message, code in again.items():
        if code not in told.values():
            waived = code in WAIVABLE and _is_on_main(case, f"{_folder(case)}/waivers")
            differing += [] if waived else [f"the gate also says `{message}`"]
            trusts += [_WAIVED] if waived else []
    return _Compared(tuple(differing), tuple(dict.fromkeys(trusts)), is_reworded)


def _trust_for(case: FactCase, code: str, *, is_rendered: bool) -> Trust | None:
    """Who is trusted for a recorded reason that no clone shows; None if clones deny it."""
    if code == AUTHOR_OUT_OF_SCOPE.id:
        # By the forge a person may have been in fewer teams than by policy; a bot is in none.
        asker = case.audit.platform.account(case.fact.cause.actor)
        return _FORGE if asker is None or asker.kind == "person" else None
    if code == gate_rule.SOURCE_UNKNOWN.id:
        return _CAME_LATER
    if code in _OF_RENDERED:
        return None if is_rendered else _MANIFESTS
    if code in (gate_rule.GROUP_MEMBER_REFUSED.id, GROUP_HALF_APPLIED.id):
        return trust_in_members(case, code)
    found = load_rules().get(code)
    of_manifests = found is not None and found.subject is Subject.MANIFEST
    return _MANIFESTS if of_manifests or code in _OF_MANIFESTS else None


def _base_there(case: FactCase, view: DraftView, promotion: Promotion) -> Files | None:
    """The base that this image had in an environment before, from the GitOps clone."""
    status, gitops = view.status, case.gitops
    environment = view.environments.get(promotion.environment)
    if status is None or gitops is None or environment is None:
        return None
    is_back = promotion.lane == "rollback"
    before = (promotion.environment,) if is_back else environment.promotes_from
    ran = [
        body
        for fact in case.chain.before(case.fact)
        if isinstance(body := fact.body, Promoted)
        and body.environment in before
        and body.release.digest == promotion.release.digest
    ]
    if not ran:
        return None
    tree = folder_at(gitops, ran[-1].gitops_commit, ran[-1].overlay_folder)
    return gitops.files(tree) if tree is not None else None


def _as_retired(case: FactCase, view: DraftView, codes: Collection[str]) -> Iterator[DraftView]:
    """The view as if the draft was being retired, if the fact and main say so."""
    path = retirement_path(case.fact.draft)
    if gate_rule.DRAFT_ENDED.id in codes and _is_on_main(case, path):
        # Its cause is not recorded here, so who approved it is taken on trust.
        caused = replace(view.caused, authority=FOUNDING)
        yield replace(view, retirement=Retiring(caused, "retired"))


def _folder(case: FactCase) -> str:
    return draft_folder(case.fact.draft)


def _is_on_main(case: FactCase, path: str) -> bool:
    """Whether main held this path at any moment between the request and the decision."""
    main, control = case.audit.main, case.audit.control
    for commit in main.line[main.position[case.fact.cause.commit] :]:
        if control.commit(commit).committer.time_s > case.decided_s + CLOCK_SKEW_S:
            return False
        if control.at(commit, path) is not None:
            return True
    return False
