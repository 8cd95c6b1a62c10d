"""Every decision of the gate comes out equal again; a falsified part of a refusal is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pipeline.documents import render_document
from pipeline.git.repository import GitRepository
from pipeline.models.facts import PromotionRefused, Reason
from pipeline.requests.layout import promotion_path
from tests.support.fact_history import AGENT_ID, ENGINEER_ID, RELEASE_MANAGERS, digest_of
from tests.support.finished_story import CODE, CONTROL, GITOPS
from tests.support.samples import DRAFT
from tests.support.state_writer import Forger, told_story, with_fact
from tests.support.story import Story

OTHER_BOT_ID = 1902


def ask_for(story: Story, environment: str, *approvers: int, **changes: object) -> None:
    """Ask for what runs in prod to run in an environment, with some fields changed, and run."""
    record = story.engine.status(DRAFT).promotion("prod")
    assert record is not None
    asker = changes.pop("asker", AGENT_ID)
    assert isinstance(asker, int)
    release = {"source_commit": record.release.source_commit, "digest": record.release.digest}
    value: dict[str, object] = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "Promotion",
        "draft": DRAFT,
        "environment": environment,
        "release": release,
        "overlay_tree": record.overlay_tree,
        "reason": "Again",
        **changes,
    }
    path = promotion_path(DRAFT, environment)
    story.request(path, render_document(value), *approvers, asker=asker)
    story.go()


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    """Clones of a story whose release was refused three times, each time for other reasons."""
    story = told_story(tmp_path_factory.mktemp("refused") / "world")
    other = {"source_commit": story.newest(), "digest": digest_of("other")}
    ask_for(story, "staging", RELEASE_MANAGERS[0], release=other)
    ask_for(story, "staging", RELEASE_MANAGERS[0])  # it pins prod's overlay
    ask_for(story, "dev", ENGINEER_ID, asker=OTHER_BOT_ID)
    folder = tmp_path_factory.mktemp("clones")
    paths = {name: story.forge.path(name) for name in (CONTROL, CODE, GITOPS)}
    gits = {n: GitRepository.clone(str(path), folder / n) for n, path in paths.items()}
    for git in gits.values():
        git._run("update-ref", "-d", "refs/heads/main")
    story.close()
    forger = Forger.over(gits)
    yield forger
    forger.close()


def newest(forger: Forger) -> PromotionRefused:
    """The last refusal."""
    body = forger.facts()[-1].body
    assert isinstance(body, PromotionRefused)
    return body


def test_every_decision_is_replayed_equal(refused: Forger) -> None:
    report = refused.audit()
    assert report.findings == ()
    codes = [
        {reason.code for reason in fact.body.reasons}
        for fact in refused.facts()
        if isinstance(fact.body, PromotionRefused)
    ]
    assert {"digest-not-built", "overlay-tree-mismatch", "author-out-of-scope"} <= set.union(*codes)
    assert (report.decisions, report.replayed) == (6, 6)
    assert report.proved["refused promotions decided again by the gate"] == 3


def retold(change: Callable[[PromotionRefused], PromotionRefused]) -> Callable[[Forger], None]:
    """Falsify the newest refusal, consistently."""

    def forge(forger: Forger) -> None:
        facts = forger.facts()
        body = change(newest(forger))
        forger.retell(lambda told: with_fact(told, len(facts), body=body))

    return forge


def with_reasons(*reasons: Reason) -> Callable[[PromotionRefused], PromotionRefused]:
    """The refusal for other reasons."""
    return lambda body: body.model_copy(update={"reasons": reasons})


def without_the_last(body: PromotionRefused) -> PromotionRefused:
    return body.model_copy(update={"reasons": body.reasons[:-1]})


def with_one_more(body: PromotionRefused) -> PromotionRefused:
    more = Reason(code="check-failed", message="`tests` failed: 1 of 9 failed")
    return body.model_copy(update={"reasons": (*body.reasons, more)})


def in_other_words(body: PromotionRefused) -> PromotionRefused:
    last = body.reasons[-1].model_copy(update={"message": "because"})
    return body.model_copy(update={"reasons": (*body.reasons[:-1], last)})


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(without_the_last, "audit-refusal-differs", id="a reason less"),
        pytest.param(with_one_more, "audit-refusal-differs", id="a reason more"),
        pytest.param(with_reasons(), "audit-refusal-differs", id="no reason"),
        pytest.param(in_other_words, "audit-refusal-reworded", id="other words"),
        pytest.param(
            lambda body: body.model_copy(update={"environment": "prod"}),
            "audit-cause-other",
            id="another environment",
        ),
    ],
)
def test_a_falsified_refusal_is_found(
    refused: Forger, change: Callable[[PromotionRefused], PromotionRefused], code: str
) -> None:
    with refused.undone():
        retold(change)(refused)
        report = refused.audit()
        assert code in {finding.code for finding in report.findings}
        if code == "audit-refusal-differs":
            assert report.replayed < report.decisions
