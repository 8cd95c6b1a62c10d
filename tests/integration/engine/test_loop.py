"""The engine on real git: plan, run, decide and propose, and what they leave alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import ForgeRefused, UsageFault
from pipeline.forges.port import PullState
from pipeline.git.objects import MODE_FILE
from pipeline.models.base import moment_of
from pipeline.models.evidence import CheckOutcome, CheckReport
from pipeline.models.facts import ChecksRecorded, PatchApplied
from pipeline.models.status import DraftState
from pipeline.plan.effects import RunChecks
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path, environment_path, patch_path
from pipeline.tools.gitleaks import SecretHit
from tests.support.deliveries import healthy_in, seen_of
from tests.support.fact_history import AGENT_ID, ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.finished_story import CODE, CONTROL, GITOPS, all_checks_pass, audit
from tests.support.gitops_attacker import commit_of
from tests.support.samples import DRAFT, sample_files
from tests.support.sources import leaked_settings
from tests.support.story import SOURCE, Story, everything, patch_of, story_at
from tests.support.sweep import CONTOSO_ENGINEER_ID
from worlds.control_repo import CLOCK_S

OTHER = "acme/invoice-matcher"


def one_check_fails(effect: RunChecks, files: dict[str, tuple[int, bytes]]) -> CheckReport:
    """A report in which the tests failed."""
    report = all_checks_pass(effect, files)
    results = tuple(
        r.model_copy(update={"outcome": CheckOutcome.FAILED, "summary": "1 of 9 failed"})
        if r.name == "tests"
        else r
        for r in report.results
    )
    return report.model_copy(update={"results": results})


def open_pulls(world: Story, repo: str) -> list[str]:
    """The head branches of a repository's open pull requests."""
    return [p.head_branch for p in world.forge.read_pulls(repo) if p.state is PullState.OPEN]


# -- what a promotion waits for ------------------------------------------------------------


def test_a_manual_environment_waits_for_an_owner_s_approval(root: Path) -> None:
    path = environment_path("dev")
    manual = sample_files()[path].replace(b"merge: auto", b"merge: manual")
    assert b"manual" in manual
    world = Story.begin(root, {path: manual})
    world.ask_for_draft()
    world.go()
    world.ask(DRAFT, "dev", ENGINEER_ID)
    for _ in range(2):
        world.go()
        plan = world.engine.plan(tenants=["acme"])
        assert plan.is_empty
        (waiting,) = plan.tenants[0].waiting
        assert [code for code, _ in waiting.reasons] == ["gitops-not-approved"]
        assert len(open_pulls(world, GITOPS)) == 1
        assert "promoted" not in world.kinds()

    with pytest.raises(ForgeRefused, match="may not merge"):
        world.merge(GITOPS, 1, ENGINEER_ID)
    world.approve(GITOPS, 1, CONTOSO_ENGINEER_ID)
    world.go()
    assert "promoted" not in world.kinds(), "an engineer of another tenant is not an owner"
    world.approve(GITOPS, 1, ENGINEER_ID)
    world.go()
    assert world.forge.read_pull(GITOPS, 1).merged_by == 1000
    assert world.kinds()[-1] == "promoted"
    (promotion,) = world.engine.status(DRAFT).promotions
    assert promotion.gitops_commit == world.forge.read_pull(GITOPS, 1).merge_commit
    assert len(world.forge.read_pulls(GITOPS)) == 1
    assert audit(world).findings == ()


def test_a_failed_check_refuses_the_promotion(scaffolded: Story) -> None:
    scaffolded.use(run_checks=one_check_fails)
    scaffolded.ask(DRAFT, "dev", ENGINEER_ID)
    scaffolded.go()
    assert scaffolded.kinds()[-2:] == ["checks-recorded", "promotion-refused"]
    status = scaffolded.engine.status(DRAFT)
    (refused,) = status.refused_promotions
    reasons = [(r.code, r.message) for r in refused.reasons]
    assert reasons == [("check-failed", "`tests` failed: 1 of 9 failed")]
    assert status.builds == () and scaffolded.forge.read_pulls(GITOPS) == ()

    decision, _ = scaffolded.engine.decide(DRAFT, "dev")
    assert [r.code for r in decision.reasons if r.final] == ["check-failed"]
    assert scaffolded.engine.plan(tenants=["acme"]).is_empty


def test_a_promotion_waits_until_its_source_is_merged(patched: Story) -> None:
    patched.ask(DRAFT, "dev", ENGINEER_ID)
    patched.go()
    patched.ask(DRAFT, "staging", RELEASE_MANAGERS[0])
    patched.go()
    (waiting,) = patched.engine.plan(tenants=["acme"]).tenants[0].waiting
    assert [code for code, _ in waiting.reasons] == ["source-not-on-default-branch"]
    patched.take_over()
    patched.go()
    assert patched.engine.status(DRAFT).state is DraftState.PROMOTED_STAGING


def test_a_late_approval_is_seen_by_the_next_run(root: Path) -> None:
    world = story_at("in staging", root)
    number = world.ask(DRAFT, "prod", RELEASE_MANAGERS[0])
    world.go()
    (waiting,) = world.engine.plan(tenants=["acme"]).tenants[0].waiting
    assert {code for code, _ in waiting.reasons} == {"approval-missing"}
    world.approve(CONTROL, number, AGENT_ID + 1)  # another bot: nobody's reviewer
    world.go()
    assert world.engine.status(DRAFT).state is DraftState.PROMOTED_STAGING
    world.approve(CONTROL, number, SECURITY_ID)
    world.go()
    promotion = world.engine.status(DRAFT).promotion("prod")
    assert promotion is not None
    assert promotion.approved_by == (RELEASE_MANAGERS[0], SECURITY_ID)
    world.close()


def test_a_proposal_pins_the_overlay_that_will_be_written(root: Path) -> None:
    world = story_at("in dev", root)
    proposal = world.engine.propose_promotion(DRAFT, "staging", reason="Rehearse")
    release = world.engine.status(DRAFT).promotions[0].release
    assert proposal.promotion.release.digest == release.digest
    assert proposal.overlay is not None
    assert proposal.promotion.overlay_tree == proposal.overlay.tree
    assert [r.code for r in proposal.decision.reasons] == ["source-not-on-default-branch"]
    assert (proposal.lines_added > 0, proposal.lines_removed) == (True, 0)

    dev = world.engine.propose_promotion(DRAFT, "dev", reason="Again")
    assert dev.promotion.overlay_tree is None  # nobody approves, so nothing is pinned
    assert (dev.lines_added, dev.lines_removed) == (0, 0)
    prod = world.engine.propose_promotion(DRAFT, "prod", reason="Too early")
    assert "environment-order" in {r.code for r in prod.decision.reasons}
    with pytest.raises(UsageFault, match="no environment"):
        world.engine.propose_promotion(DRAFT, "nowhere", reason="?")
    with pytest.raises(UsageFault, match=r"no draft"):
        world.engine.propose_promotion(OTHER, "dev", reason="?")
    world.close()


# -- a draft's life ------------------------------------------------------------------------


def test_a_second_release_gets_its_own_branch(in_prod: Story) -> None:
    first = in_prod.engine.status(DRAFT)
    in_prod.write("0002", "docs/routing.md", "# Routing\n")
    in_prod.go()
    second = in_prod.engine.status(DRAFT)
    assert second.branch_name != first.branch_name
    assert (first.pull_request.number, second.pull_request.number) == (1, 2)
    assert len(in_prod.forge.read_pulls(CODE)) == 2
    assert in_prod.kinds()[-2:] == ["patch-applied", "checks-recorded"]

    in_prod.ask(DRAFT, "dev", ENGINEER_ID)
    in_prod.go()
    status = in_prod.engine.status(DRAFT)
    digests = {p.environment: p.release.digest for p in status.promotions}
    assert digests["dev"] != digests["staging"] == digests["prod"]
    assert status.state is DraftState.PROMOTED_PROD

    in_prod.take_over(2)
    in_prod.ask(DRAFT, "staging", RELEASE_MANAGERS[0])
    in_prod.go()
    status = in_prod.engine.status(DRAFT)
    digests = {p.environment: p.release.digest for p in status.promotions}
    assert digests["dev"] == digests["staging"] != digests["prod"]
    assert in_prod.kinds().count("built") == 2
    assert len(in_prod.forge.read_pulls(GITOPS)) == 5
    assert audit(in_prod).findings == ()


def test_a_draft_is_rejected_when_its_pull_request_is_closed(scaffolded: Story) -> None:
    scaffolded.forge.close_pull(CODE, 1, actor=ENGINEER_ID)
    scaffolded.go()
    assert scaffolded.kinds()[-1] == "rejected"
    assert scaffolded.engine.status(DRAFT).state is DraftState.REJECTED
    scaffolded.write("0001", "docs/late.md", "Too late\n")
    scaffolded.ask(DRAFT, "dev", ENGINEER_ID)
    scaffolded.go()
    assert scaffolded.kinds()[-1] == "rejected"
    decision, _ = scaffolded.engine.decide(DRAFT, "dev")
    assert "draft-ended" in {r.code for r in decision.reasons if r.final}
    assert scaffolded.forge.read_pulls(GITOPS) == ()


def test_a_refused_patch_leaves_the_branch_and_says_why(scaffolded: Story) -> None:
    head = scaffolded.engine.status(DRAFT).head
    scaffolded.use(scan_secrets=lambda files: [SecretHit(path, 3, 1, "key") for path in files])
    scaffolded.write("0001", f"{SOURCE}/partner_api.py", leaked_settings())
    scaffolded.go()
    status = scaffolded.engine.status(DRAFT)
    (record,) = status.patches
    assert record.outcome == "refused"
    assert [r.code for r in record.reasons] == ["patch-secret"]
    assert "AKIA" not in record.reasons[0].message
    assert status.head == head == scaffolded.forge.read_pull(CODE, 1).head
    assert scaffolded.engine.plan(tenants=["acme"]).is_empty


def test_patches_land_in_order_and_their_result_is_checked(scaffolded: Story) -> None:
    scaffolded.write("0001", "docs/one.md", "1\n")
    scaffolded.write("0002", "docs/two.md", "2\n")
    scaffolded.go()
    facts = scaffolded.engine.facts(DRAFT)[3:]
    applied = [f.body for f in facts if isinstance(f.body, PatchApplied)]
    assert [b.patch for b in applied] == ["0001", "0002"]
    reports = [f.body.report.tree for f in facts if isinstance(f.body, ChecksRecorded)]
    assert applied[1].tree in reports
    _, files = scaffolded.engine.draft_files(DRAFT, ["docs/one.md", "docs/two.md"])
    assert {path: content for path, (_, content) in files.items()} == {
        "docs/one.md": b"1\n",
        "docs/two.md": b"2\n",
    }


def test_one_run_applies_many_patches(scaffolded: Story) -> None:
    base = scaffolded.newest()
    patches = {
        patch_path(DRAFT, f"{n:04d}"): patch_of(DRAFT, base, {f"docs/{n}.md": f"{n}\n"})
        for n in range(1, 33)
    }
    pull = scaffolded.propose(patches, AGENT_ID)
    scaffolded.approve(CONTROL, pull, ENGINEER_ID)
    scaffolded.merge(CONTROL, pull, ENGINEER_ID)
    scaffolded.go()
    assert scaffolded.engine.plan(tenants=["acme"]).is_empty
    assert scaffolded.kinds().count("patch-applied") == 32


def test_a_new_revision_of_a_draft_is_accepted_once(scaffolded: Story) -> None:
    scaffolded.request(
        draft_path(DRAFT), draft_example(description="Other words").encode(), ENGINEER_ID
    )
    scaffolded.go()
    scaffolded.go()
    assert scaffolded.kinds() == ["accepted", "provisioned", "scaffolded", "accepted"]


# -- observations, shards ------------------------------------------------------------------


def test_an_observation_and_its_change_are_each_recorded_once(in_prod: Story) -> None:
    facts = in_prod.kinds()
    status = in_prod.engine.status(DRAFT)
    seen, worse = healthy_in(status, "prod"), healthy_in(status, "prod", health="Degraded")
    for _ in range(2):
        in_prod.engine.run(tenants=["acme"], observations=(seen,))
        assert in_prod.kinds() == [*facts, "observed"]
    in_prod.engine.run(tenants=["acme"], observations=(worse,))
    assert in_prod.kinds() == [*facts, "observed", "observed"]
    promotion = in_prod.engine.status(DRAFT).promotion("prod")
    assert promotion is not None and promotion.observation is not None
    assert promotion.observation.health == "Degraded"


def test_an_observation_of_a_release_that_was_never_promoted_is_not_recorded(root: Path) -> None:
    world = story_at("in dev", root)
    promotion = world.engine.status(DRAFT).promotion("dev")
    assert promotion is not None
    staging = seen_of(DRAFT, promotion, environment="staging")
    unknown = [seen_of(draft, promotion) for draft in (OTHER, "acme/nothing", "nobody/x", "")]
    before = everything(root)
    ran = world.engine.run(observations=(staging, *unknown))
    assert everything(root) == before
    codes = [finding.code for finding in ran.observed]
    assert codes == ["observation-unknown-release"] * 5
    only = world.engine.run(tenants=["contoso"], observations=(staging, *unknown))
    assert only.observed == {}
    world.close()


def report(world: Story, **over: object) -> None:
    """A run with a report on what prod runs."""
    seen = healthy_in(world.engine.status(DRAFT), "prod", **over)
    world.engine.run(tenants=["acme"], observations=(seen,))


def test_a_report_counts_for_the_tree_at_its_commit_and_not_for_the_head(in_prod: Story) -> None:
    """Whatever else is merged moves the head for every application; that is no news of any."""
    facts = in_prod.kinds()
    promotion = in_prod.engine.status(DRAFT).promotion("prod")
    assert promotion is not None
    git = in_prod.forge.open_repository(GITOPS)
    before = git.read_commit(promotion.gitops_commit).parents[0]
    for revision in (before, "0" * 40, None):
        report(in_prod, revision=revision)
        assert in_prod.kinds() == facts
    later = commit_of(
        git,
        promotion.gitops_commit,
        lambda files: files.update({"README.md": (MODE_FILE, b"Other words")}),
    )
    for revision in (promotion.gitops_commit, later, promotion.gitops_commit):
        report(in_prod, revision=revision)
        assert in_prod.kinds() == [*facts, "observed"]
    report(in_prod, revision=before)
    assert in_prod.kinds() == [*facts, "observed", "observed"]
    seen = in_prod.engine.status(DRAFT).promotion("prod")
    assert seen is not None and seen.observation is not None
    assert (seen.observation.health, seen.observation.revision) == ("Unknown", None)
    assert audit(in_prod).findings == ()


def test_polling_costs_no_history(in_prod: Story) -> None:
    status = in_prod.engine.status(DRAFT)
    facts = in_prod.kinds()
    for minutes in range(0, 60, 3):
        at = moment_of(CLOCK_S + 60 * minutes)
        engine = in_prod.engine.using(clock=partial(int, CLOCK_S + 60 * minutes))
        seen = [seen_of(DRAFT, p, observed_at=at, synced_at=at) for p in status.promotions]
        assert engine.run(observations=seen).observed == {}
    assert in_prod.kinds() == [*facts, *["observed"] * len(status.promotions)]


def test_a_gitops_repository_that_cannot_be_read_is_no_news(in_prod: Story) -> None:
    seen, facts = healthy_in(in_prod.engine.status(DRAFT), "prod"), in_prod.kinds()
    path = in_prod.forge.path(GITOPS)
    path.rename(path.with_name("away"))
    ran = in_prod.engine.run(tenants=["acme"], observations=(seen,))
    assert [f.code for f in ran.failures if f.subject == "acme"] == ["could-not-check"]
    path.with_name("away").rename(path)
    assert in_prod.kinds() == facts


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_shards_cover_every_tenant_once(scaffolded: Story, count: int) -> None:
    def planned(shard: tuple[int, int] | None) -> list[str]:
        return [t.tenant for t in scaffolded.engine.plan(shard=shard).tenants]

    shards = [planned((i, count)) for i in range(1, count + 1)]
    assert sorted(t for shard in shards for t in shard) == planned(None)
    assert planned(None) == ["acme", "contoso", "fabrikam", "platform"]


def test_an_unknown_tenant_is_a_usage_error(scaffolded: Story) -> None:
    with pytest.raises(UsageFault, match="no tenant `acmee`"):
        scaffolded.engine.run(tenants=["acmee"])
