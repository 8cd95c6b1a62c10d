"""The engine over real git: what plan, run, decide and propose do, and what they leave alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.demo.story import leaked_settings
from pipeline.engine import loop as engine
from pipeline.errors import CouldNotCheck, ForgeRefused, StalePlan, UsageFault
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import PullState, RepoSpec, RepoView
from pipeline.git.objects import Signature, commit_object, objects_of_files
from pipeline.models.evidence import CheckOutcome, CheckReport, Observation
from pipeline.models.facts import ChecksRecorded, PatchApplied
from pipeline.models.status import DraftState
from pipeline.plan.effects import Effect, RunChecks
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import (
    draft_path,
    environment_path,
    patch_path,
    promotion_path,
    tenant_path,
)
from pipeline.tools.gitleaks import SecretHit
from tests.support.fact_history import AGENT_ID, ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.finished_story import CODE, CONTROL, GITOPS, all_checks_pass, audit
from tests.support.samples import DRAFT, sample_files
from tests.support.story import SOURCE, Story, everything, patch_of, story_at
from tests.support.sweep import CONTOSO_ENGINEER_ID, Crash, fault_at

OTHER = "acme/invoice-matcher"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "world"


@pytest.fixture
def scaffolded(root: Path) -> Iterator[Story]:
    world = story_at("scaffolded", root)
    yield world
    world.close()


@pytest.fixture
def patched(root: Path) -> Iterator[Story]:
    world = story_at("patched", root)
    yield world
    world.close()


@pytest.fixture
def in_prod(root: Path) -> Iterator[Story]:
    world = story_at("in prod", root)
    yield world
    world.close()


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


def test_manual_environment_waits_for_an_owner_s_approval(root: Path) -> None:
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
    assert "promoted" not in world.kinds(), "an engineer of another tenant is no owner"
    world.approve(GITOPS, 1, ENGINEER_ID)
    world.go()
    assert world.forge.read_pull(GITOPS, 1).merged_by == 1000
    assert world.kinds()[-1] == "promoted"
    (promotion,) = world.engine.status(DRAFT).promotions
    assert promotion.gitops_commit == world.forge.read_pull(GITOPS, 1).merge_commit
    assert len(world.forge.read_pulls(GITOPS)) == 1
    assert audit(world).findings == ()


def test_failed_check_refuses_promotion_with_its_reason(scaffolded: Story) -> None:
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


def test_promotion_waits_until_its_source_is_merged(patched: Story) -> None:
    patched.ask(DRAFT, "dev", ENGINEER_ID)
    patched.go()
    patched.ask(DRAFT, "staging", RELEASE_MANAGERS[0])
    patched.go()
    (waiting,) = patched.engine.plan(tenants=["acme"]).tenants[0].waiting
    assert [code for code, _ in waiting.reasons] == ["source-not-on-default-branch"]
    patched.take_over()
    patched.go()
    assert patched.engine.status(DRAFT).state is DraftState.PROMOTED_STAGING


def test_approval_given_late_is_seen_by_the_next_run(root: Path) -> None:
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


def test_proposal_pins_what_will_be_written(root: Path) -> None:
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


def test_second_release_gets_a_branch_of_its_own_and_goes_the_same_way(in_prod: Story) -> None:
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


def test_draft_ends_when_its_pull_request_is_closed(scaffolded: Story) -> None:
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


def test_refused_patch_leaves_the_branch_and_says_why(scaffolded: Story) -> None:
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


def test_patches_land_in_order_and_what_comes_of_them_is_checked(scaffolded: Story) -> None:
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


def test_many_patches_at_once_are_one_run(scaffolded: Story) -> None:
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


def test_new_revision_of_a_draft_is_accepted_once(scaffolded: Story) -> None:
    scaffolded.request(
        draft_path(DRAFT), draft_example(description="Other words").encode(), ENGINEER_ID
    )
    scaffolded.go()
    scaffolded.go()
    assert scaffolded.kinds() == ["accepted", "provisioned", "scaffolded", "accepted"]


# -- others go on --------------------------------------------------------------------------


def test_invalid_draft_is_never_planned_on_while_others_go_on(scaffolded: Story) -> None:
    scaffolded.ask_for_draft(OTHER, draft_example(id=OTHER, primitive="some-other-name"))
    scaffolded.ask_for_draft("acme/price-list")
    report = scaffolded.engine.run(tenants=["acme"])
    assert {f.location.file for f in report.findings} == {draft_path(OTHER)}
    assert [s.id for s in scaffolded.engine.statuses()] == [DRAFT, "acme/price-list"]
    assert scaffolded.engine.plan(tenants=["acme"]).is_empty
    with pytest.raises(UsageFault, match="nothing has happened"):
        scaffolded.engine.status(OTHER)


def test_many_drafts_take_several_plans_and_end_the_same(
    scaffolded: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "MAX_DRAFTS_AT_ONCE", 1)
    more = ("acme/a-first", OTHER, "acme/price-list", "acme/z-last")
    for draft in more:
        scaffolded.ask_for_draft(draft)
    scaffolded.go()
    assert {s.id for s in scaffolded.engine.statuses()} == {DRAFT, *more}
    assert all(s.branch_name for s in scaffolded.engine.statuses())
    # Those that only wait keep none behind them from going on, and all are told.
    for environment in ("dev", "staging"):
        for draft in ("acme/a-first", OTHER):
            scaffolded.ask(draft, environment, ENGINEER_ID)
        scaffolded.go()
    scaffolded.ask("acme/z-last", "dev", ENGINEER_ID)
    report = scaffolded.engine.run(tenants=["acme"])
    assert {waiting.draft for waiting in report.waiting["acme"]} == {"acme/a-first", OTHER}
    assert scaffolded.kinds("acme/z-last")[-1] == "promoted"
    again = scaffolded.engine.run(tenants=["acme"])
    assert (again.effects, again.waiting) == (0, report.waiting)


def test_tool_failure_of_one_draft_leaves_the_others_going(scaffolded: Story) -> None:
    def checks(effect: RunChecks, files: dict[str, tuple[int, bytes]]) -> CheckReport:
        if effect.draft == DRAFT:
            raise CouldNotCheck("the sandbox does not start")
        return all_checks_pass(effect, files)

    scaffolded.ask_for_draft(OTHER)
    scaffolded.go()
    scaffolded.use(run_checks=checks)
    for draft in (DRAFT, OTHER):
        scaffolded.ask(draft, "dev", ENGINEER_ID)
    before = scaffolded.kinds()
    report = scaffolded.engine.run(tenants=["acme"])
    assert report.failures == ((DRAFT, "could-not-check", "the sandbox does not start"),)
    assert scaffolded.kinds() == before  # not known is not recorded as anything
    assert scaffolded.kinds(OTHER)[-1] == "promoted"

    scaffolded.use(run_checks=all_checks_pass)
    scaffolded.go()
    assert scaffolded.kinds()[-1] == "promoted"


def test_repository_made_by_hand_stops_every_draft_that_needs_it(root: Path) -> None:
    world = Story.begin(root)
    signature = Signature("somebody", "somebody@example.com", 0)
    objects = objects_of_files({"README.md": (0o100644, b"Mine\n")})
    commit = commit_object(objects[-1].id, [], "Mine\n", signature, signature)
    spec = RepoSpec("Mine", "main", (*objects, commit), commit.id, ())
    world.forge.ensure_repo(CODE, spec)
    for draft in (DRAFT, OTHER):
        world.ask_for_draft(draft)
    report = world.engine.run(tenants=["acme"])
    assert {draft for draft, _, _ in report.failures} == {DRAFT, OTHER}
    assert {code for _, code, _ in report.failures} == {"forge-refused"}
    # Nothing says that a repository was provided that the pipeline did not make.
    assert all("provisioned" not in world.kinds(s.id) for s in world.engine.statuses())
    view = world.forge.read_repo(CODE)
    assert view is not None and view.branches == {"main": commit.id}
    world.close()


def test_two_drafts_of_a_tenant_share_their_repositories(root: Path) -> None:
    world = Story.begin(root)
    for draft in (DRAFT, OTHER):
        world.ask_for_draft(draft)
    first = world.engine.plan(tenants=["acme"])
    assert [e.kind for e in first.effects] == ["ensure-repo", "ensure-repo", "append-facts"]
    world.go()
    assert world.kinds() == world.kinds(OTHER) == ["accepted", "provisioned", "scaffolded"]
    assert len(world.forge.read_pulls(CODE)) == 2
    world.close()


# -- observations, shards ------------------------------------------------------------------


def observed(world: Story, health: str = "Healthy", digest: str = "") -> Observation:
    """What the delivery tool says of prod."""
    promotion = world.engine.status(DRAFT).promotion("prod")
    assert promotion is not None
    return Observation.model_validate(
        {
            "environment": "prod",
            "draft": DRAFT,
            "digest": digest or promotion.release.digest,
            "health": health,
            "sync": "Synced",
            "revision": promotion.gitops_commit,
        }
    )


def test_observation_is_recorded_once_and_its_change_too(in_prod: Story) -> None:
    facts = in_prod.kinds()
    seen = observed(in_prod)
    for _ in range(2):
        in_prod.engine.run(tenants=["acme"], observations=(seen,))
        assert in_prod.kinds() == [*facts, "observed"]
    in_prod.engine.run(tenants=["acme"], observations=(observed(in_prod, "Degraded"),))
    assert in_prod.kinds() == [*facts, "observed", "observed"]
    promotion = in_prod.engine.status(DRAFT).promotion("prod")
    assert promotion is not None and promotion.observation is not None
    assert promotion.observation.health == "Degraded"


def test_observation_of_what_was_never_promoted_is_no_fact(root: Path) -> None:
    world = story_at("in dev", root)
    seen = Observation.model_validate(
        {
            "environment": "staging",
            "draft": DRAFT,
            "digest": "sha256:" + "0" * 64,
            "health": "Healthy",
            "sync": "Synced",
            "revision": "0" * 40,
        }
    )
    before = everything(root)
    world.engine.run(tenants=["acme"], observations=(seen,))
    assert everything(root) == before
    world.close()


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_shards_cover_every_tenant_once(scaffolded: Story, count: int) -> None:
    def planned(shard: tuple[int, int] | None) -> list[str]:
        return [t.tenant for t in scaffolded.engine.plan(shard=shard).tenants]

    shards = [planned((i, count)) for i in range(1, count + 1)]
    assert sorted(t for shard in shards for t in shard) == planned(None)
    assert planned(None) == ["acme", "contoso", "fabrikam", "platform"]


def test_unknown_tenant_is_a_wrong_call_and_not_an_empty_run(scaffolded: Story) -> None:
    with pytest.raises(UsageFault, match="no tenant `acmee`"):
        scaffolded.engine.run(tenants=["acmee"])


# -- while others write --------------------------------------------------------------------


def test_an_old_look_at_main_does_not_undo_what_a_newer_one_recorded(
    scaffolded: Story, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between reading main and reading the state branch, a newer revision comes and lands."""
    real, calls = LocalForge.read_repo, [0]

    def read_repo(self: LocalForge, repo: str) -> RepoView | None:
        view = real(self, repo)
        calls[0] += self is slow.forge
        if self is slow.forge and calls[0] == 2:  # the first look is for the list of tenants
            assert view is not None
            content = draft_example(description="Words of the second revision").encode()
            scaffolded.request(draft_path(DRAFT), content, ENGINEER_ID)
            other = Story.open(root)
            other.go()
            other.close()
            now = real(self, repo)
            assert now is not None
            # As refs are listed: main is read first, state branches a moment later.
            branches = {**now.branches, "main": view.branches["main"]}
            return replace(view, branches=branches)
        return view

    slow = Story.open(root)
    monkeypatch.setattr(LocalForge, "read_repo", read_repo)
    slow.go()
    slow.close()
    assert scaffolded.kinds() == ["accepted", "provisioned", "scaffolded", "accepted"]


def test_a_draft_that_never_stands_still_fails_alone(
    scaffolded: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its plan is the same every time and is stale every time: that is told, not passed over."""
    scaffolded.write("0001", "docs/one.md", "1\n")
    scaffolded.ask_for_draft(OTHER)

    def moved(when: str, effect: Effect) -> None:
        if getattr(effect, "draft", "") == DRAFT:
            raise StalePlan("a ref moved")

    monkeypatch.setattr("pipeline.engine.loop.MAX_STALE", 3)
    scaffolded.use(faults=moved)
    report = scaffolded.engine.run(tenants=["acme"])
    assert report.failures == ((DRAFT, "stale-plan", "a ref moved"),)
    assert scaffolded.engine.status(OTHER).branch_name
    assert scaffolded.kinds()[3:] == []


def test_a_state_branch_that_never_stands_still_fails_its_tenant(
    scaffolded: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaffolded.write("0001", "docs/one.md", "1\n")

    def moved(when: str, effect: Effect) -> None:
        if effect.kind == "append-facts":
            raise StalePlan("a ref moved")

    monkeypatch.setattr("pipeline.engine.loop.MAX_STALE", 3)
    scaffolded.use(faults=moved)
    report = scaffolded.engine.run(tenants=["acme", "contoso"])
    assert set(report.failures) == {
        ("acme", "stale-plan", "a ref moved"),
    }


def test_a_plan_that_never_empties_is_told_as_a_bug(
    scaffolded: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaffolded.write("0001", "docs/one.md", "1\n")
    scaffolded.write("0002", "docs/two.md", "2\n")
    monkeypatch.setattr("pipeline.engine.loop.MAX_ROUNDS", 2)
    [(tenant, code, message)] = scaffolded.engine.run(tenants=["acme"]).failures
    assert (tenant, code) == ("acme", "internal-error") and "more to do" in message
    assert scaffolded.kinds()[3:] == ["patch-applied", "patch-applied"]  # and no checks yet


def crash_at(world: Story, number: int) -> None:
    """Run for acme and stop after the n-th effect."""
    hook, _ = fault_at(number, "after")
    world.use(faults=hook)
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    world.close()


def test_patch_that_was_pushed_before_a_crash_and_merged_by_people_is_applied_once(
    scaffolded: Story, root: Path
) -> None:
    scaffolded.write("0001", "docs/one.md", "1\n")
    crash_at(scaffolded, 1)  # the commit is on the branch, and no fact says so
    scaffolded.take_over()
    again = Story.open(root)
    again.go()
    status = again.engine.status(DRAFT)
    assert [(p.patch, p.outcome) for p in status.patches] == [("0001", "applied")]
    assert len(again.forge.read_pulls(CODE)) == 1
    assert status.head == again.forge.read_pull(CODE, 1).head
    assert again.engine.plan(tenants=["acme"]).is_empty
    again.close()


def test_followup_patch_keeps_its_branch_when_main_moves_after_a_crash(root: Path) -> None:
    world = story_at("in staging", root)
    world.ask_for_draft(OTHER)
    world.go()
    world.write("0002", "docs/two.md", "2\n")
    crash_at(world, 1)  # the follow-up's branch is there, and has no pull request yet
    world = Story.open(root)
    world.take_over(2)  # the other draft's code: main moves
    world.go()
    branches = world.forge.read_repo(CODE)
    assert branches is not None
    own = [b for b in branches.branches if b.startswith("draft/order-router/")]
    assert len(own) == 2 and len(world.forge.read_pulls(CODE)) == 3
    status = world.engine.status(DRAFT)
    assert status.patches[-1].outcome == "applied"
    git = world.forge.open_repository(CODE)
    tree = git.read_object(f"{status.head}:primitives/order-router")
    assert tree is not None and tree.id == status.head_tree
    assert audit(world).findings == ()
    world.close()


def test_scaffold_that_was_pushed_before_a_crash_survives_a_change_of_policy(root: Path) -> None:
    world = Story.begin(root)
    world.ask_for_draft()
    # Provision lands, and then the scaffold is pushed without its fact.
    hook, _ = fault_at(4, "after")
    world.use(faults=hook)
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    assert world.kinds() == ["accepted", "provisioned"]
    path = tenant_path("acme")
    changed = sample_files()[path].replace(b"CC-1042", b"CC-2001")
    assert changed != sample_files()[path]
    world.request(path, changed, 1101, asker=1102)
    world.close()
    world = Story.open(root)
    world.go()
    view = world.forge.read_repo(CODE)
    assert view is not None
    assert len([b for b in view.branches if b.startswith("draft/")]) == 1
    assert world.kinds() == ["accepted", "provisioned", "scaffolded"]
    status = world.engine.status(DRAFT)
    tree = world.forge.open_repository(CODE).read_object(f"{status.head}:primitives/order-router")
    assert tree is not None and tree.id == status.head_tree
    assert audit(world).findings == ()
    world.close()


def test_promotion_withdrawn_from_main_is_not_carried_out(patched: Story) -> None:
    """What counts is main now, not what once stood there."""
    patched.ask(DRAFT, "dev", ENGINEER_ID)
    value = draft_example().encode()
    git = patched.forge.open_repository(CONTROL)
    main = git.resolve("refs/heads/main")
    assert main is not None
    assert promotion_path(DRAFT, "dev") in git.list_files(main)
    patched.request(promotion_path(DRAFT, "dev"), value, ENGINEER_ID)  # no promotion any more
    report = patched.engine.run(tenants=["acme"])
    assert [f.code for f in report.findings] == ["request-kind"]
    assert "promoted" not in patched.kinds()
