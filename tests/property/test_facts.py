"""Facts in any possible order: the fold depends on them alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pipeline.models.base import CommitId, TreeId
from pipeline.models.evidence import BuildRecord, Observation
from pipeline.models.facts import (
    Built,
    FactBody,
    Observed,
    PatchApplied,
    PatchRefused,
    PromotionRefused,
    Provisioned,
    Reason,
    Rejected,
)
from pipeline.models.status import DraftState, DraftStatus
from pipeline.requests.layout import patch_path
from pipeline.state.facts import (
    fact_bytes,
    fold,
    fold_one,
    hash_of,
    parse_chain,
    parse_status,
    status_bytes,
)
from tests.support import fact_history as history
from tests.support.samples import DRAFT, ENVIRONMENTS

_WHOLE = history.sample_status()
_ORDER = list(DraftState)
words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=20)
# What tools, file names and delivery tools say may hold anything.
told = st.text(st.characters(), min_size=1, max_size=20)
numbers = st.integers(1, 4).map(lambda n: f"{n:04d}")
reasons = st.builds(Reason, code=st.just("patch-secret"), message=told)
ids = words.map(history.id_of)
environments = st.sampled_from(ENVIRONMENTS)


@st.composite
def _applied(draw: st.DrawFn) -> FactBody:
    return PatchApplied(
        patch=draw(numbers),
        branch="draft/order-router/0",
        commit=CommitId(draw(ids)),
        tree=TreeId(draw(ids)),
        pull_request=history.link("tenant-acme-controllers", 1),
    )


@st.composite
def _observed(draw: st.DrawFn) -> FactBody:
    return Observed(
        observation=Observation(
            environment=draw(environments),
            draft=DRAFT,
            digest=history.DIGEST,
            health="Healthy",
            sync="Synced",
            revision=CommitId(draw(ids)),
            message=draw(told),
        )
    )


@st.composite
def _built(draw: st.DrawFn) -> FactBody:
    tree = TreeId(draw(ids))
    return Built(
        build=BuildRecord(
            source_commit=CommitId(draw(ids)),
            source_tree=tree,
            digest=history.digest_of(tree),
            builder="source-layout",
            image="registry.example.com/ameide/tenant-acme/order-router",
        )
    )


bodies: st.SearchStrategy[FactBody] = st.one_of(
    _applied(),
    _observed(),
    _built(),
    st.builds(PatchRefused, patch=numbers, reasons=st.lists(reasons).map(tuple)),
    st.builds(PromotionRefused, environment=environments, reasons=st.lists(reasons).map(tuple)),
    environments.map(lambda env: history.promoted(env, _WHOLE)),
    st.builds(Rejected, reason=told),
    st.just(Provisioned(repos=("tenant-acme-controllers", "tenant-acme-gitops"))),
    st.just(history.accepted()),
)
requests = st.integers(1, 3).map(lambda n: patch_path(DRAFT, f"{n:04d}"))
chains = st.lists(st.tuples(requests, bodies), max_size=12).map(
    lambda more: history.chain_of([("tenants/acme/x", history.accepted()), *more])
)


@given(chains)
def test_the_fold_is_repeatable_and_the_same_through_bytes(facts: tuple[object, ...]) -> None:
    files = history.fact_files(facts)  # type: ignore[arg-type]  # hypothesis loses the type
    again = parse_chain(DRAFT, files)
    assert again == facts
    one, other = fold(again), fold(facts)  # type: ignore[arg-type]  # as above
    assert one is not None and one == other
    assert status_bytes(one) == status_bytes(parse_status(status_bytes(one)))


@given(chains, st.integers(0, 12))
def test_folding_on_from_a_status_equals_folding_all(facts: tuple[object, ...], cut: int) -> None:
    # What a run does: it reads the status that is there, and adds what happened now.
    chain = parse_chain(DRAFT, history.fact_files(facts))  # type: ignore[arg-type]  # as above
    status: DraftStatus | None = fold(chain[: cut + 1])
    for fact in chain[cut + 1 :]:
        assert status is not None
        status = fold_one(parse_status(status_bytes(status)), fact)
    assert status == fold(chain)


@given(chains)
def test_the_state_never_goes_back_and_rejection_is_final(facts: tuple[object, ...]) -> None:
    chain = parse_chain(DRAFT, history.fact_files(facts))  # type: ignore[arg-type]  # as above
    status: DraftStatus | None = None
    before = 0
    for fact in chain:
        status = fold_one(status, fact)
        assert _ORDER.index(status.state) >= before
        before = _ORDER.index(status.state)
        assert status.facts == fact.sequence
        assert status.newest_fact == hash_of(fact_bytes(fact))
    assert status is not None
    ended = any(isinstance(fact.body, Rejected) for fact in chain)
    assert (status.state is DraftState.REJECTED) == ended


@given(chains)
def test_lists_in_a_status_have_one_order(facts: tuple[object, ...]) -> None:
    status = fold(parse_chain(DRAFT, history.fact_files(facts)))  # type: ignore[arg-type]
    assert status is not None
    patches = [p.patch for p in status.patches]
    assert patches == sorted(set(patches))
    promoted = [p.environment for p in status.promotions]
    assert promoted == [env for env in ENVIRONMENTS if env in promoted]
    assert list(status.requests) == sorted(status.requests)
