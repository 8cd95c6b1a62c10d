"""Attempts on GitHub to get past the gate, each with the code that refuses it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.documents import render_document
from pipeline.errors import ForgeRefused, StalePlan
from pipeline.forges.github.settings import CONTENT_A_PROMOTION
from pipeline.forges.port import BranchRule, PullRequest, PullState, RepoSpec, ReviewVerdict
from pipeline.git.commits import Signature
from pipeline.git.objects import MODE_FILE, RefUpdate, commit_object, objects_of_files
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import PLATFORM_PATH, draft_path, promotion_path
from tests.support.command_line import call
from tests.support.deliveries import healthy_in
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.finished_story import CODE, CONTROL, GITOPS
from tests.support.github_story import (
    KeptStory,
    codes_of_run,
    kept_story,
    land,
    propose_staging,
    pushed,
    run_in_dev,
)
from tests.support.samples import DRAFT, sample_platform
from tests.support.story import Story
from tests.support.sweep import CONTOSO_AGENT_ID, PLATFORM_ENGINEER_ID
from worlds.github_server.pulls import merge_when_allowed
from worlds.github_server.state import Ruleset
from worlds.github_setting import APP_ID, GithubSetting

MANAGER, OTHER_MANAGER = RELEASE_MANAGERS
APPROVED = ReviewVerdict.APPROVED


def taken_over(world: Story) -> None:
    run_in_dev(world)
    world.take_over()


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptStory]:
    """The world in which acme's draft runs in dev and is taken over."""
    with kept_story(tmp_path_factory.mktemp("threats"), taken_over) as kept:
        yield kept


@pytest.fixture
def world(kept: KeptStory, tmp_path: Path) -> Iterator[Story]:
    with kept.opened(tmp_path / "world") as story:
        yield story


STAGING = promotion_path(DRAFT, "staging")


def test_a_manager_s_approval_of_the_final_revision_is_enough(world: Story) -> None:
    pull = propose_staging(world)
    world.approve(CONTROL, pull.number, MANAGER)
    assert land(world, pull) == {}
    assert world.engine.status(DRAFT).promotion("staging") is not None


def nobody(world: Story, pull: PullRequest) -> PullRequest:
    return pull


def by_a_bot(world: Story, pull: PullRequest) -> PullRequest:
    world.approve(CONTROL, pull.number, CONTOSO_AGENT_ID)
    return pull


def by_somebody_of_another_team(world: Story, pull: PullRequest) -> PullRequest:
    world.approve(CONTROL, pull.number, SECURITY_ID)
    return pull


def before_the_last_push(world: Story, pull: PullRequest) -> PullRequest:
    world.approve(CONTROL, pull.number, MANAGER)
    return pushed(world, pull)


def dismissed(world: Story, pull: PullRequest) -> PullRequest:
    world.approve(CONTROL, pull.number, MANAGER)
    world.forge.submit_review(
        CONTROL,
        pull.number,
        commit=pull.head,
        verdict=ReviewVerdict.DISMISSED,
        body="Too early",
        actor=MANAGER,
    )
    return pull


def taken_back_by_a_request_for_changes(world: Story, pull: PullRequest) -> PullRequest:
    for verdict, body in ((APPROVED, ""), (ReviewVerdict.CHANGES_REQUESTED, "Wait")):
        world.forge.submit_review(
            CONTROL, pull.number, commit=pull.head, verdict=verdict, body=body, actor=MANAGER
        )
    return pull


def by_a_removed_member(world: Story, pull: PullRequest) -> PullRequest:
    world.approve(CONTROL, pull.number, MANAGER)
    git = world.forge.open_repository(CONTROL)
    policy = git.read_object(f"refs/heads/main:{PLATFORM_PATH}")
    assert policy is not None
    member = f"id: {MANAGER}, login: release-manager-1, kind: person"
    listed = f"{member}, teams: [release-managers]"
    changed = policy.content.replace(listed.encode(), member.encode())
    assert changed != policy.content
    owners = (PLATFORM_ENGINEER_ID, PLATFORM_ENGINEER_ID + 1)
    world.request(PLATFORM_PATH, changed, owners[1], asker=owners[0])
    return world.forge.read_pull(CONTROL, pull.number)


def by_somebody_who_left_the_team_on_github(world: Story, pull: PullRequest) -> PullRequest:
    world.approve(CONTROL, pull.number, MANAGER)
    world.server.state.teams["ameide", "release-managers"].members.discard(MANAGER)
    return pull


@pytest.mark.parametrize(
    "attempt",
    [
        nobody,
        by_a_bot,
        by_somebody_of_another_team,
        before_the_last_push,
        dismissed,
        taken_back_by_a_request_for_changes,
        by_a_removed_member,
        by_somebody_who_left_the_team_on_github,
    ],
)
def test_such_an_approval_does_not_count(
    world: Story, attempt: Callable[[Story, PullRequest], PullRequest]
) -> None:
    pull = attempt(world, propose_staging(world))
    if attempt is taken_back_by_a_request_for_changes:
        with pytest.raises(ForgeRefused):  # GitHub itself does not let it be merged
            land(world, pull)
        return
    assert land(world, pull) == {STAGING: {"approval-missing"}}
    assert world.engine.status(DRAFT).promotion("staging") is None


def test_an_author_does_not_approve_their_own_work(world: Story) -> None:
    proposal = world.engine.propose_promotion(DRAFT, "staging", reason="Peak season")
    value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
    number = world.propose({STAGING: render_document(value)}, MANAGER)
    with pytest.raises(ForgeRefused):
        world.approve(CONTROL, number, MANAGER)
    assert land(world, world.forge.read_pull(CONTROL, number)) == {STAGING: {"approval-missing"}}


def test_what_was_merged_is_what_was_reviewed(world: Story) -> None:
    """An approved request, and another one over it by a pull request of no manager's approval."""
    pull = propose_staging(world)
    world.approve(CONTROL, pull.number, MANAGER)
    world.approve(CONTROL, pull.number, ENGINEER_ID)
    world.merge(CONTROL, pull.number, ENGINEER_ID)
    git = world.forge.open_repository(CONTROL)
    asked = git.read_object(f"refs/heads/main:{STAGING}")
    assert asked is not None
    changed = asked.content.replace(b"Peak season", b"Another reason")
    assert changed != asked.content
    world.request(STAGING, changed, ENGINEER_ID)
    assert codes_of_run(world) == {STAGING: {"approval-missing"}}


def test_a_commit_s_author_is_not_believed(
    world: Story,
) -> None:
    """contoso's agent asks for acme, under the name of a platform engineer."""
    path = draft_path("acme/taken-over")
    content = draft_example(id="acme/taken-over", primitive="taken-over").encode()
    git = world.forge.open_repository(CONTROL)
    main = git.resolve("refs/heads/main")
    assert main is not None
    objects = objects_of_files({**git.read_files(main), path: (MODE_FILE, content)})
    spoofed = Signature(
        "platform-engineer-1",
        f"{PLATFORM_ENGINEER_ID}+platform-engineer-1@users.noreply.github.com",
        1_767_226_000,
    )
    commit = commit_object(objects[-1].id, [main], "Ask\n", spoofed, spoofed)
    update = RefUpdate("refs/heads/ask/spoofed", None, commit.id)
    world.forge.push(CONTROL, [*objects, commit], (update,), actor=CONTOSO_AGENT_ID)
    pull = world.forge.open_pull(
        CONTROL,
        head_branch="ask/spoofed",
        base_branch="main",
        title="Ask",
        body="",
        actor=CONTOSO_AGENT_ID,
    )
    assert land(world, pull) == {path: {"author-out-of-scope"}}


def test_a_replayed_event_does_nothing(world: Story, kept: KeptStory) -> None:
    """A run is told nothing by an event: whatever it was, it looks and finds nothing due."""
    codes_of_run(world)
    server = kept.server
    before = len(server.log)
    for _ in range(2):
        codes_of_run(world)
    assert [seen.path for seen in server.log[before:] if seen.writes] == []


def test_a_stale_plan_is_refused(world: Story) -> None:
    path = draft_path("acme/another")
    content = draft_example(id="acme/another", primitive="another").encode()
    world.request(path, content, ENGINEER_ID)
    plan = world.engine.plan(tenants=["acme"])
    world.engine.apply(plan)
    with pytest.raises(StalePlan) as refused:
        world.engine.apply(plan)
    assert refused.value.code == "stale-plan"
    state = world.forge.read_repo(CODE)
    assert state is not None and len([b for b in state.branches if "another" in b]) <= 1


def test_an_observation_is_recorded_once(world: Story) -> None:
    seen = healthy_in(world.engine.status(DRAFT), "dev")
    for _ in range(3):
        world.engine.run(tenants=["acme"], observations=(seen,))
    kinds = [fact.body.type for fact in world.engine.facts(DRAFT)]
    assert kinds.count("observed") == 1


def test_a_promotion_makes_the_number_of_writes_that_its_pace_allows_for(
    world: Story, kept: KeptStory
) -> None:
    pull = propose_staging(world)
    world.approve(CONTROL, pull.number, MANAGER)
    world.approve(CONTROL, pull.number, ENGINEER_ID)
    world.merge(CONTROL, pull.number, ENGINEER_ID)
    before = len(kept.server.log)
    codes_of_run(world)
    assert world.engine.status(DRAFT).promotion("staging") is not None
    written = [
        s for s in kept.server.log[before:] if s.writes and not s.template.startswith("git-")
    ]
    assert len(written) == CONTENT_A_PROMOTION, written


def test_doctor_reports_settings_that_differ(
    world: Story, kept: KeptStory, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = kept.server
    setting = GithubSetting(server, world.root, sample_platform())
    for name, value in setting.credential(None)[1].items():
        monkeypatch.setenv(name, value)

    def missing() -> list[str]:
        ran = call(world.root / "control", "doctor", "--github", "--format", "json")
        items = ran.document["items"]
        assert isinstance(items, list)
        told = [item["name"] for item in items if item["state"] == "missing"]
        assert ran.exit_code == (4 if told else 0)
        looked_at = ("account", "branch", "check", "environment", "team")
        return [n for n in told if n.split()[0] in looked_at]

    both = ["environment pipeline", "environment registry"]
    assert missing() == ["check gate", "check judged", *both]
    environments = server.repository("ameide", CONTROL).environments
    environments |= {"pipeline": None, "registry": ["main", "release/*"]}
    assert missing() == ["check gate", "check judged", *both]
    environments |= {"pipeline": ["main"], "registry": ["main"]}
    assert missing() == ["check gate", "check judged"]
    rulesets = server.repository("ameide", CONTROL).rulesets
    gate = with_ruleset(world, required("gate", "judged"), CONTROL)
    assert missing() == ["check judged"]  # anybody could say it
    gate.rules[0]["parameters"]["required_status_checks"][1]["integration_id"] = APP_ID
    assert missing() == []
    held = {number: ruleset for number, ruleset in rulesets.items() if "state" in ruleset.name}
    for number in held:
        del rulesets[number]
    server.state.teams["ameide", "security"].members.clear()
    assert missing() == ["branch state/*", "team security"]


# -- merges that GitHub carries out later --------------------------------------------------


def required(*checks: str) -> dict[str, Any]:
    """The rule that nothing is merged without these checks."""
    listed = [{"context": check} for check in checks]
    parameters = {
        "required_status_checks": listed,
        "strict_required_status_checks_policy": False,
    }
    return {"type": "required_status_checks", "parameters": parameters}


def with_ruleset(world: Story, rule: dict[str, Any], repo: str = GITOPS) -> Ruleset:
    """One more ruleset for the main branch of a repository."""
    id, now = world.server.state.number(), world.server.state.now()
    made = Ruleset(
        id, "of the organisation", "active", [], ["refs/heads/main"], [], [rule], now, now
    )
    world.server.repository("ameide", repo).rulesets[id] = made
    return made


LATER = {
    "by a queue": {"type": "merge_queue", "parameters": {}},
    "after a check": required("policy"),
}


@pytest.mark.parametrize("how", LATER)
def test_a_merge_that_github_postpones_is_waited_for(how: str, world: Story) -> None:
    with_ruleset(world, LATER[how])
    repository = world.server.repository("ameide", GITOPS)
    asked = propose_staging(world)
    world.approve(CONTROL, asked.number, MANAGER)
    assert land(world, asked) == {STAGING: {"merge-pending"}}
    for _ in range(2):
        assert codes_of_run(world) == {STAGING: {"merge-pending"}}
        assert world.engine.status(DRAFT).promotion("staging") is None
    [pull] = [p for p in repository.pulls.values() if p.state == "open"]
    assert (pull.number in repository.queue) == (how == "by a queue")
    assert (pull.auto_merge_by is not None) == (how == "after a check")
    before = len(repository.pulls)

    # What was waited for comes, and GitHub merges.
    app = world.server.state.apps[APP_ID]
    token = world.server.state.new_token(app.bot, app=app)
    repository.rulesets = {
        id: r for id, r in repository.rulesets.items() if r.name != "of the organisation"
    }
    merge_when_allowed(world.server.state, repository, pull, token)
    assert pull.merge_commit is not None
    assert codes_of_run(world) == {}
    promoted = world.engine.status(DRAFT).promotion("staging")
    assert promoted is not None and promoted.gitops_commit == pull.merge_commit
    assert len(repository.pulls) == before


def test_a_check_that_failed_is_not_waited_for(world: Story) -> None:
    with_ruleset(world, LATER["after a check"])
    asked = propose_staging(world)
    world.approve(CONTROL, asked.number, MANAGER)
    assert land(world, asked) == {STAGING: {"merge-pending"}}
    repository = world.server.repository("ameide", GITOPS)
    [pull] = [p for p in repository.pulls.values() if p.state == "open"]
    pull.auto_merge_by = None  # somebody turned it off
    world.forge.write_check(
        GITOPS,
        pull.head,
        name="policy",
        passed=False,
        title="No",
        actor=sample_platform().pipeline_account.id,
    )
    report = world.engine.run(tenants=["acme"])
    [(draft, code, said)] = report.failures
    assert (draft, code) == (DRAFT, "forge-refused") and "policy" in said


# -- owners of repositories ----------------------------------------------------------------

EXTRA, OTHER_ENGINEER_ID, CONTOSO_ENGINEER_ID = "tenant-acme-extra", 1202, 1301


def spec_of(*teams: str) -> RepoSpec:
    """A repository of acme's whose code owners are its engineers."""
    files = {"CODEOWNERS": (MODE_FILE, b"* @ameide/acme-engineers\n")}
    objects = objects_of_files(files)
    me = Signature("pipeline", "pipeline@example.com", 0)
    first = commit_object(objects[-1].id, [], "Create\n", me, me)
    people = (ENGINEER_ID, OTHER_ENGINEER_ID)
    rules = (BranchRule("main", push=(), merge=people, approvals=1),)
    return RepoSpec("Extra", "main", (*objects, first), first.id, rules, teams)


def test_the_owners_team_may_write_to_its_repository(world: Story) -> None:
    for _ in range(2):
        world.forge.ensure_repo(EXTRA, spec_of("acme-engineers"))
    assert world.server.repository("ameide", EXTRA).teams == {"acme-engineers": "push"}
    granted = [seen for seen in world.server.log if seen.template.startswith("/orgs/{org}/teams/")]
    assert [seen.method for seen in granted[-1:]] == ["PUT"]
    assert sum(EXTRA in seen.path for seen in granted) == 1
    for repo in (CODE, GITOPS):
        assert world.server.repository("ameide", repo).teams == {"acme-engineers": "push"}


def test_a_team_that_github_lacks_is_reported(world: Story) -> None:
    with pytest.raises(ForgeRefused, match="team `nobody-s-team` cannot be given"):
        world.forge.ensure_repo(EXTRA, spec_of("nobody-s-team"))


def test_code_needs_the_approval_of_its_owners(world: Story) -> None:
    world.forge.ensure_repo(EXTRA, spec_of("acme-engineers"))
    pipeline = sample_platform().pipeline_account.id
    git = world.forge.open_repository(EXTRA)
    main = git.resolve("refs/heads/main")
    assert main is not None
    objects = objects_of_files({**git.read_files(main), "new.py": (MODE_FILE, b"1\n")})
    me = Signature("pipeline", "pipeline@example.com", 1)
    commit = commit_object(objects[-1].id, [main], "Add\n", me, me)
    update = RefUpdate("refs/heads/draft/new", None, commit.id)
    world.forge.push(EXTRA, [*objects, commit], (update,), actor=pipeline)
    pull = world.forge.open_pull(
        EXTRA, head_branch="draft/new", base_branch="main", title="Add", body="", actor=pipeline
    )
    world.approve(EXTRA, pull.number, CONTOSO_ENGINEER_ID)
    with pytest.raises((ForgeRefused, StalePlan), match="0 of 1 approvals"):
        world.merge(EXTRA, pull.number, ENGINEER_ID)
    world.approve(EXTRA, pull.number, OTHER_ENGINEER_ID)
    world.merge(EXTRA, pull.number, ENGINEER_ID)
    assert world.forge.read_pull(EXTRA, pull.number).state is PullState.MERGED
