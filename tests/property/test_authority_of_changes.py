"""Authority over single changes follows the table of docs/authority.md."""

from __future__ import annotations

from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from pipeline.forges.port import Review, ReviewVerdict
from pipeline.gate.authority import Revision, judge
from pipeline.gate.matters import matters_of
from tests.property.authority_oracle import Change, is_allowed, newest_words, read_policy
from tests.property.authority_values import (
    STORIES,
    accounts,
    changes,
    mostly,
    nobody,
    people,
    policies,
    snapshot,
)
from tests.support.fact_history import id_of


@settings(max_examples=STORIES * 75, suppress_health_check=list(HealthCheck), derandomize=True)
@given(
    policies(),
    policies(),
    policies(),
    changes(),
    st.one_of(nobody, nobody, nobody, st.frozensets(accounts, max_size=2)),
    st.one_of(nobody, nobody, nobody, st.frozensets(people, max_size=1)),
    mostly,
    st.sampled_from(("LOW", "LOW", "MEDIUM", "HIGH")),
)
def test_authority_is_what_the_table_says(
    base: dict[str, bytes],
    proposed: dict[str, bytes],
    now: dict[str, bytes],
    asked: tuple[tuple[str, ...], int, list[tuple[int, str, bool]]],
    pushers: frozenset[int],
    committers: frozenset[int],
    is_pusher_known: bool,
    tier: str,
) -> None:
    paths, author, reviews = asked
    head, older = id_of("head"), id_of("older")
    before, after, today = (snapshot(files) for files in (base, proposed, now))
    assert before.platform is not None
    given_reviews = tuple(
        Review(n, who, head if final else older, ReviewVerdict(said))
        for n, (who, said, final) in enumerate(reviews, start=1)
    )
    revision = Revision(head, author, pushers, is_pusher_known, given_reviews, committers)
    listed = matters_of(paths, before, after, now=today, tier=tier)  # type: ignore[arg-type]  # a tier
    found = judge(listed, revision, before.platform)
    newest = newest_words([(r.user_id, r.commit, r.verdict.value) for r in given_reviews], head)
    change = Change(paths, author, pushers, is_pusher_known, committers, newest)
    wanted = is_allowed(change, read_policy(base), read_policy(proposed), read_policy(now), tier)
    event("allowed" if wanted else "not allowed")
    assert found.is_complete == wanted, (found.reasons, change)
