"""A change of policy against every recorded decision: what it would have decided otherwise."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import pytest

from pipeline.errors import Refused
from pipeline.git.repository import GitRepository
from pipeline.models.policy import PolicyDiffDocument
from pipeline.policy.differences import read_policy, read_policy_diff, with_statements
from pipeline.policy.past import past_decisions
from pipeline.policy.recorded import read_changed, read_recorded, read_sources
from pipeline.policy.replay import PolicyOf, decide_by
from pipeline.requests.layout import environment_path, tenant_path
from pipeline.state.statuses import StateRefs
from tests.integration.audit.test_replay import ask_for
from tests.support.fact_history import ENGINEER_ID, PLATFORM_ENGINEERS, RELEASE_MANAGERS, digest_of
from tests.support.finished_story import CONTROL
from tests.support.samples import DRAFT, sample_files
from tests.support.state_writer import told_story
from tests.support.story import Story

PLATFORM, BLOCKED = "environments/platform.yaml", "environments/blocked-digests.yaml"
PROD = environment_path("prod")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A story with three promotions, and two refusals after them."""
    told = told_story(tmp_path_factory.mktemp("policy") / "world")
    built = told.engine.status(DRAFT).promotions[0].release.source_commit
    other = {"source_commit": built, "digest": digest_of("other")}
    ask_for(told, "staging", RELEASE_MANAGERS[0], release=other)
    ask_for(told, "dev", ENGINEER_ID, asker=1902)
    yield told
    told.close()


def git_of(story: Story) -> GitRepository:
    return story.forge.open_repository(CONTROL)


def state_of(story: Story) -> StateRefs:
    return StateRefs(git_of(story), "refs/heads/")


def diff(story: Story, changes: Mapping[str, bytes | None]) -> PolicyDiffDocument:
    """What a pull request with these changes of policy would have decided otherwise."""
    number = story.propose(changes, PLATFORM_ENGINEERS[0])
    head, git = story.forge.read_pull(CONTROL, number).head, git_of(story)
    main = git.resolve("refs/heads/main")
    assert main is not None
    return read_policy_diff(git, main, head, state=state_of(story))


def told(document: PolicyDiffDocument) -> list[tuple[str, str, str, set[str]]]:
    return sorted(
        (one.environment, one.was, one.would_be, {r.code for r in one.reasons})
        for one in document.changed
    )


def with_line(path: str, line: str) -> dict[str, bytes | None]:
    return {path: sample_files()[path] + line.encode()}


def test_every_decision_comes_out_as_recorded_by_the_policy_of_its_time(story: Story) -> None:
    git = git_of(story)
    recorded = read_recorded(git, "refs/heads/")
    facts = [fact for one in recorded for fact in one.deciding()]
    accepted = [fact for one in recorded for fact in one.accepted()]
    sources = read_sources(git, facts, accepted, read_changed(git, facts))
    policy = with_statements(PolicyOf(read_policy(git, "refs/heads/main")), recorded)
    chosen = {fact.sequence for fact in facts}
    found = []
    for one in recorded:
        for fact, past in past_decisions(one, sources, chosen, is_signed=True):
            decision = decide_by(past, policy) if past else None
            assert decision is not None
            codes = {r.code for r in decision.reasons if r.final}
            found.append((fact.body.type, decision.verdict))
            if fact.body.type == "promotion-refused":
                assert codes == {r.code for r in fact.body.reasons}
            else:
                assert decision.allowed, decision.reasons
                assert decision.approved_by == fact.body.approved_by
    assert [type for type, _ in found] == ["promoted"] * 3 + ["promotion-refused"] * 2


def test_more_approvals_would_have_kept_prod_waiting(story: Story) -> None:
    more = sample_files()[PROD].replace(b"count: 2", b"count: 3")
    assert more != sample_files()[PROD]
    found = diff(story, {PROD: more})
    assert told(found) == [("prod", "allowed", "waits", {"approval-missing"})]
    assert (found.decisions, found.replayed, found.files) == (5, 1, (PROD,))


def test_a_blocked_digest_would_have_run_nowhere(story: Story) -> None:
    digest = story.engine.status(DRAFT).promotions[0].release.digest
    text = (
        "apiVersion: pipeline.ameide.io/v1\nkind: BlockedDigests\ndigests:\n"
        f"  - {{digest: '{digest}', reason: Leaks}}\n"
    )
    found = diff(story, {BLOCKED: text.encode()})
    assert told(found) == [
        (name, "allowed", "refused", {"digest-blocked"}) for name in ("dev", "prod", "staging")
    ]
    assert found.replayed == 5 and found.other_reasons == 2


def test_who_leaves_a_team_would_not_have_approved(story: Story) -> None:
    platform = sample_files()[PLATFORM]
    gone = platform.replace(b"login: security-reviewer-1", b"login: security-reviewer-9")
    assert told(diff(story, {PLATFORM: gone})) == []
    line = next(li for li in platform.splitlines() if b"1601" in li)
    without = platform.replace(line, line.replace(b"security]", b"release-managers]"))
    assert without != platform
    found = diff(story, {PLATFORM: without})
    assert ("prod", "allowed", "waits", {"approval-missing"}) in told(found)


def test_a_window_counts_at_the_time_of_the_decision(story: Story) -> None:
    decided = story.engine.facts(DRAFT)[-3].decided_at
    assert decided is not None
    day = decided[:10]
    window = (
        "windows:\n  - {name: freeze, effect: deny, zone: UTC, reason: Books, "
        f"from: {day}T00:00:00, to: {day}T23:59:59}}\n"
    )
    found = diff(story, with_line(PROD, window))
    assert told(found) == [("prod", "allowed", "waits", {"window-closed"})]
    later = window.replace(day, f"{int(day[:4]) + 1}{day[4:]}")
    assert told(diff(story, with_line(PROD, later))) == []


def test_an_environment_that_is_gone_refuses(story: Story) -> None:
    found = diff(story, {PROD: None})
    assert told(found) == [("prod", "allowed", "refused", {"environment-unknown"})]


def test_signers_that_are_gone_refuse_every_image(story: Story) -> None:
    found = diff(story, {"environments/signers.yaml": None})
    assert [one[2:] for one in told(found)] == [("refused", {"provenance-foreign"})] * 3


def test_what_concerns_nothing_is_not_made_again(story: Story) -> None:
    other = tenant_path("contoso")
    there = sample_files()[other]
    found = diff(story, {other: re.sub(rb"cost_centre: .*", b"cost_centre: CC-9", there)})
    assert (found.replayed, found.changed, found.files) == (0, (), (other,))
    assert diff(story, with_line(PLATFORM, "# Read again next year\n")).files == ()
    assert diff(story, {"README.md": b"Hello\n"}).files == ()


def test_what_facts_do_not_tell_is_said(story: Story) -> None:
    found = diff(story, with_line(environment_path("dev"), "requires_default_branch: true\n"))
    assert found.changed == ()
    assert found.not_known == ("dev: whether a source was on the default branch is not recorded",)


def test_policy_that_is_not_valid_is_refused_with_its_place(story: Story) -> None:
    with pytest.raises(Refused) as refused:
        diff(story, {PROD: b"kind: Environment\nstage: later\n"})
    assert {f.location.file for f in refused.value.findings} == {PROD}
