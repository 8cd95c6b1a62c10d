"""GitOps repositories: foreign content is seen and put back, and people's proposals are merged."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pipeline.errors import ForgeRefused
from pipeline.forges.port import PullRequest, PullState
from pipeline.gitcli import GitRepository
from pipeline.gitobjects import (
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SUBMODULE,
    MODE_SYMLINK,
    RefUpdate,
    Signature,
    commit_object,
    git_object,
    trees_of_entries,
)
from pipeline.layout import PLATFORM_PATH
from pipeline.models.evidence import Observation
from pipeline.plan import Incident
from tests.audit_world import CONTROL, GITOPS
from tests.cli_world import call
from tests.history import AGENT_ID, ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.samples import DRAFT
from tests.story import Story, everything, story_at
from tests.sweep_world import (
    CONTOSO_ENGINEER_ID,
    PLATFORM_ENGINEER_ID,
    Crash,
    Mode,
    counted_ref_moves,
    fault_at,
)

SECOND_ENGINEER_ID, SECOND_PLATFORM_ENGINEER_ID, PIPELINE_ID = 1202, 1102, 1000
PROD = "environments/prod/order-router"
DEV = "environments/dev/order-router"
Files = dict[str, tuple[int, bytes]]
Attack = Callable[[Files], None]


def policy(world: Story, drift: str) -> None:
    """Have the platform say what is to be done about drift."""
    git = world.forge.open_repository(CONTROL)
    there = git.read_object(f"refs/heads/main:{PLATFORM_PATH}")
    assert there is not None
    kept = [line for line in there.content.splitlines() if not line.startswith(b"gitops_drift")]
    content = b"\n".join(kept) + b"\n"
    world.request(
        PLATFORM_PATH,
        content + f"gitops_drift: {drift}\n".encode(),
        SECOND_PLATFORM_ENGINEER_ID,
        asker=PLATFORM_ENGINEER_ID,
    )


def commit_of(git: GitRepository, parent: str, change: Attack, user: int = ENGINEER_ID) -> str:
    """A commit of a person's onto `parent`, with any mode; stored, and on no branch."""
    files = git.read_files(parent)
    change(files)
    blobs = {path: git_object("blob", content) for path, (_, content) in files.items()}
    entries = {
        path: (mode, content.decode() if mode == MODE_SUBMODULE else blobs[path].id)
        for path, (mode, content) in files.items()
    }
    trees = trees_of_entries(entries)
    me = Signature("somebody", f"{user}+somebody@users.noreply.pipeline.invalid", 1_767_226_500)
    commit = commit_object(trees[-1].id, [parent], "Tidy up\n", me, me)
    git.write_objects([*blobs.values(), *trees, commit])
    return commit.id


def force(world: Story, change: Attack, repo: str = GITOPS) -> str:
    """The commit that somebody put on main past every branch rule."""
    git = world.forge.open_repository(repo)
    main = git.resolve("refs/heads/main")
    assert main is not None
    foreign = commit_of(git, main, change)
    git.update_refs([RefUpdate("refs/heads/main", main, foreign)])
    return foreign


def tree_at_main(world: Story, repo: str = GITOPS) -> str:
    """The tree id of `environments/` as a delivery tool would check it out."""
    found = world.forge.open_repository(repo).read_object("refs/heads/main:environments")
    return found.id if found else ""


# -- what an attacker lays there ----------------------------------------------------------


def an_override_beside_an_overlay(files: Files) -> None:
    files[f"{PROD}/.argocd-source.yaml"] = (
        MODE_FILE,
        b"kustomize: {images: ['order-router=evil.example.com/x@sha256:0']}\n",
    )


def a_folder_with_prod_s_namespace(files: Files) -> None:
    text = b"resources: [pod.yaml]\nnamespace: tenant-acme-prod-cust\n"
    files["environments/dev/quick-fix/kustomization.yaml"] = (MODE_FILE, text)


def a_remote_base(files: Files) -> None:
    text = b"resources: ['https://forge.example.com/ameide/tenant-contoso-gitops//environments']\n"
    files[f"{PROD}/kustomization.yaml"] = (MODE_FILE, text)


def a_folder_named_like_the_platform_s(files: Files) -> None:
    files["environments/prod/contoso--inventory/kustomization.yaml"] = (MODE_FILE, b"{}\n")


def a_file_where_folders_are(files: Files) -> None:
    files["environments/kustomization.yaml"] = (MODE_FILE, b"resources: [prod]\n")


def a_mode(files: Files) -> None:
    path = f"{PROD}/kustomization.yaml"
    files[path] = (MODE_EXECUTABLE, files[path][1])


def a_link(files: Files) -> None:
    files[f"{PROD}/base/kustomization.yaml"] = (MODE_SYMLINK, b"../../../../README.md")


def a_submodule(files: Files) -> None:
    files["environments/prod/theirs"] = (MODE_SUBMODULE, b"1" * 40)


def an_overlay_gone(files: Files) -> None:
    for path in [p for p in files if p.startswith(f"{DEV}/")]:
        del files[path]


def everything_gone(files: Files) -> None:
    for path in [p for p in files if p.startswith("environments/")]:
        del files[path]


def the_root_a_link(files: Files) -> None:
    everything_gone(files)
    files["environments"] = (MODE_SYMLINK, b"elsewhere")


ATTACKS: Mapping[Attack, str] = {
    an_override_beside_an_overlay: f"{PROD}/.argocd-source.yaml",
    a_folder_with_prod_s_namespace: "environments/dev/quick-fix",
    a_remote_base: f"{PROD}/kustomization.yaml",
    a_folder_named_like_the_platform_s: "environments/prod/contoso--inventory",
    a_file_where_folders_are: "environments/kustomization.yaml",
    a_mode: f"{PROD}/kustomization.yaml",
    a_link: f"{PROD}/base/kustomization.yaml",
    a_submodule: "environments/prod/theirs",
    an_overlay_gone: DEV,
    everything_gone: PROD,
    the_root_a_link: "environments",
}


# Those that change what the overlay of prod is; `status DRAFT` looks at the draft's overlays alone.
OF_PROD = frozenset(
    {
        an_override_beside_an_overlay,
        a_remote_base,
        a_mode,
        a_link,
        everything_gone,
        the_root_a_link,
    }
)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[Story]:
    """acme's draft runs in prod, and policy has drift put back."""
    found = story_at("in prod", tmp_path / "world")
    policy(found, "restore")
    found.go()
    yield found
    found.close()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_what_was_promoted_is_put_back(world: Story, attack: Attack) -> None:
    sealed = tree_at_main(world)
    foreign = force(world, attack)
    assert tree_at_main(world) != sealed
    report = world.engine.run(tenants=["acme"])
    assert report.failures == ()
    assert ATTACKS[attack] in {i.path for i in report.restored}
    assert tree_at_main(world) == sealed
    assert all(not found for found in report.incidents.values())
    git = world.forge.open_repository(GITOPS)
    main = git.read_commit(str(git.resolve("refs/heads/main")))
    assert main.parents[0] == foreign, "the foreign commit stays in history"
    assert ("Restores", foreign) in main.trailers
    assert ("Restores", foreign) in git.read_commit(main.parents[1]).trailers
    before = everything(world.root)
    assert world.engine.run(tenants=["acme"]).effects == 0
    assert everything(world.root) == before


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_where_policy_says_so_it_is_reported_alone(world: Story, attack: Attack) -> None:
    policy(world, "report")
    world.go()
    force(world, attack)
    before = everything(world.root)
    for _ in range(2):
        report = world.engine.run(tenants=["acme"])
        assert report.failures == () and report.effects == 0
        assert ATTACKS[attack] in {i.path for i in report.incidents["acme"]}
    assert everything(world.root) == before


def test_files_outside_of_environments_stay(world: Story) -> None:
    def both(files: Files) -> None:
        an_override_beside_an_overlay(files)
        files["docs/notes.md"] = (MODE_FILE, b"Notes\n")

    force(world, both)
    world.engine.run(tenants=["acme"])
    files = world.forge.open_repository(GITOPS).read_files("refs/heads/main")
    assert files["docs/notes.md"] == (MODE_FILE, b"Notes\n")
    assert f"{PROD}/.argocd-source.yaml" not in files


def test_a_branch_that_was_set_back_is_brought_forward(world: Story) -> None:
    sealed = tree_at_main(world)
    git = world.forge.open_repository(GITOPS)
    main = str(git.resolve("refs/heads/main"))
    git.update_refs([RefUpdate("refs/heads/main", main, git.read_commit(main).parents[0])])
    assert tree_at_main(world) != sealed
    report = world.engine.run(tenants=["acme"])
    assert {i.code for i in report.restored} == {"gitops-overlay-missing"}
    assert tree_at_main(world) == sealed


def test_foreign_content_before_anything_was_promoted(tmp_path: Path) -> None:
    world = story_at("scaffolded", tmp_path / "world")
    policy(world, "restore")
    world.go()
    force(world, a_folder_with_prod_s_namespace)
    world.engine.run(tenants=["acme"])
    assert tree_at_main(world) == ""
    world.close()


def test_a_promotion_waits_until_it_is_put_back(tmp_path: Path) -> None:
    world = story_at("in staging", tmp_path / "world")
    policy(world, "report")
    world.go()
    world.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)
    force(world, a_folder_with_prod_s_namespace)
    report = world.engine.run(tenants=["acme"])
    (waiting,) = report.waiting["acme"]
    assert [code for code, _ in waiting.reasons] == ["gitops-content-foreign"]
    assert world.engine.status(DRAFT).promotion("prod") is None
    policy(world, "restore")
    report = world.engine.run(tenants=["acme"])
    assert [i.path for i in report.restored] == ["environments/dev/quick-fix"]
    assert world.engine.status(DRAFT).promotion("prod") is not None
    world.close()


def test_an_overlay_that_only_lacks_its_fact_is_never_taken_for_foreign(tmp_path: Path) -> None:
    """The run broke off between merge and fact; then another draft's look sees the overlay."""
    world = story_at("in staging", tmp_path / "world")
    policy(world, "restore")
    world.go()
    world.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)
    plan = world.engine.plan(tenants=["acme"])
    number = [e.kind for e in plan.effects].index("merge-pull") + 1
    world.engine.faults, _ = fault_at(number, "after")
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    merged = tree_at_main(world)
    fresh = Story.open(world.root)
    seen = fresh.engine.world().gitops(GITOPS)
    assert seen is not None and seen.findings == () and seen.unrecorded
    force(fresh, a_folder_with_prod_s_namespace)
    fresh.go()
    assert tree_at_main(fresh) == merged
    assert fresh.engine.status(DRAFT).promotion("prod") is not None
    world.close()
    fresh.close()


def test_nothing_is_put_back_while_a_draft_s_facts_cannot_be_read(world: Story) -> None:
    """Its overlay would be taken for foreign; so what is known to be foreign is told alone."""
    git = world.forge.open_repository(CONTROL)
    head = str(git.resolve("refs/heads/state/acme"))
    path = f"drafts/{DRAFT.split('/')[1]}/status.yaml"
    damaged = commit_of(
        git, head, lambda files: files.update({path: (MODE_FILE, b"state: [damaged\n")})
    )
    git.update_refs([RefUpdate("refs/heads/state/acme", head, damaged)])
    force(world, a_folder_with_prod_s_namespace)
    before = tree_at_main(world)
    report = world.engine.run(tenants=["acme"])
    assert (DRAFT, "could-not-check") in {(s, c) for s, c, _ in report.failures}
    assert tree_at_main(world) == before


def test_a_crash_anywhere_in_putting_back_converges(world: Story, tmp_path: Path) -> None:
    """Broken off before, after and inside of every effect, and run again: the same trees."""
    force(world, an_override_beside_an_overlay)
    kinds = [e.kind for e in world.engine.plan(tenants=["acme"]).effects]
    assert kinds == ["restore-overlays", "open-pull", "merge-pull"]
    world.close()

    def copied(name: str) -> Story:
        shutil.copytree(world.root, tmp_path / name, symlinks=True)
        return Story.open(tmp_path / name)

    whole = copied("unbroken")
    with counted_ref_moves() as moves:
        whole.go()
    whole.close()
    wanted = everything(tmp_path / "unbroken")
    points: list[tuple[Mode, int]] = [("torn", n + 1) for n in range(moves[0])]
    modes: tuple[Mode, ...] = ("before", "after", "lost reply")
    points += [(mode, n + 1) for mode in modes for n in range(len(kinds))]
    assert len(points) >= 12
    for mode, number in points:
        broken = copied(f"{mode}-{number}")
        broken.engine.faults, _ = fault_at(0 if mode == "torn" else number, mode)
        with counted_ref_moves(number if mode == "torn" else 0):
            if mode == "lost reply":
                broken.go()
            else:
                with pytest.raises(Crash):
                    broken.engine.run(tenants=["acme"])
        broken.close()
        again = Story.open(tmp_path / f"{mode}-{number}")
        again.go()
        assert everything(tmp_path / f"{mode}-{number}") == wanted, f"{mode} {number}"
        assert again.engine.plan(tenants=["acme"]).is_empty
        again.close()


def test_another_foreign_commit_while_it_is_put_back(world: Story) -> None:
    sealed = tree_at_main(world)
    force(world, an_override_beside_an_overlay)
    world.engine.faults, _ = fault_at(2, "after")
    with pytest.raises(Crash):
        world.engine.run(tenants=["acme"])
    fresh = Story.open(world.root)
    force(fresh, a_folder_with_prod_s_namespace)
    fresh.go()
    assert tree_at_main(fresh) == sealed
    fresh.close()


# -- branch rules ---------------------------------------------------------------------------


def opened(
    world: Story, change: Attack, user: int = ENGINEER_ID, branch: str = "readme", old: str = ""
) -> PullRequest:
    """A person's pull request into a GitOps repository."""
    git = world.forge.open_repository(GITOPS)
    main = str(git.resolve("refs/heads/main"))
    commit = commit_of(git, old or main, change, user)
    update = RefUpdate(f"refs/heads/{branch}", git.resolve(f"refs/heads/{branch}"), commit)
    world.forge.push(GITOPS, [], (update,), actor=user)
    return world.forge.open_pull(
        GITOPS, head_branch=branch, base_branch="main", title="Tidy", body="", actor=user
    )


def a_better_readme(files: Files) -> None:
    files["README.md"] = (MODE_FILE, b"# What runs\n")


def waits_for(world: Story) -> dict[str, list[str]]:
    """What waits after a run, and the codes of why."""
    report = world.engine.run(tenants=["acme"])
    assert report.failures == ()
    return {w.request: [code for code, _ in w.reasons] for w in report.waiting["acme"]}


@pytest.mark.parametrize("branch", ["main", "promote/dev/order-router/0123456789ab", "restore/x"])
def test_nobody_but_the_pipeline_moves_what_runs(world: Story, branch: str) -> None:
    git = world.forge.open_repository(GITOPS)
    main = str(git.resolve("refs/heads/main"))
    commit = commit_of(git, main, a_better_readme)
    old = main if branch == "main" else None
    with pytest.raises(ForgeRefused, match="may not push"):
        world.forge.push(
            GITOPS, [], (RefUpdate(f"refs/heads/{branch}", old, commit),), actor=ENGINEER_ID
        )
    pull = opened(world, an_override_beside_an_overlay)
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    for person in (ENGINEER_ID, SECOND_ENGINEER_ID, PLATFORM_ENGINEER_ID, AGENT_ID):
        with pytest.raises(ForgeRefused, match="may not merge"):
            world.merge(GITOPS, pull.number, person)


def test_the_pipeline_merges_what_owners_propose_outside_of_environments(world: Story) -> None:
    pull = opened(world, a_better_readme)
    name = f"{GITOPS}#{pull.number}"
    assert waits_for(world) == {name: ["approval-missing"]}
    for other in (CONTOSO_ENGINEER_ID, PLATFORM_ENGINEER_ID, AGENT_ID):
        world.approve(GITOPS, pull.number, other)
    assert waits_for(world) == {name: ["approval-missing"]}
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    assert waits_for(world) == {}
    merged = world.forge.read_pull(GITOPS, pull.number)
    assert merged.state is PullState.MERGED and merged.merged_by == PIPELINE_ID
    git = world.forge.open_repository(GITOPS)
    main = git.read_commit(str(git.resolve("refs/heads/main")))
    assert ("Proposal", name) in main.trailers
    assert world.engine.plan(tenants=["acme"]).is_empty


def test_an_approval_of_an_older_revision_counts_no_more(world: Story) -> None:
    pull = opened(world, a_better_readme)
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    opened(world, an_override_beside_an_overlay, old=pull.head)
    assert waits_for(world) == {f"{GITOPS}#{pull.number}": ["gitops-environments-proposed"]}
    newer = world.forge.read_pull(GITOPS, pull.number)
    opened(world, everything_but_the_override, old=newer.head)
    assert waits_for(world) == {f"{GITOPS}#{pull.number}": ["approval-missing"]}


def everything_but_the_override(files: Files) -> None:
    del files[f"{PROD}/.argocd-source.yaml"]


def test_who_wrote_a_commit_of_it_approves_nothing(world: Story) -> None:
    pull = opened(world, a_better_readme)
    opened(
        world,
        lambda files: files.update({"docs/more.md": (MODE_FILE, b"More\n")}),
        user=SECOND_ENGINEER_ID,
        old=pull.head,
    )
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    assert waits_for(world) == {f"{GITOPS}#{pull.number}": ["approval-missing"]}


def test_who_owns_nothing_there_asks_in_vain(world: Story) -> None:
    pull = opened(world, a_better_readme, user=CONTOSO_ENGINEER_ID)
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    assert waits_for(world) == {f"{GITOPS}#{pull.number}": ["author-out-of-scope"]}


def git_attributes(files: Files) -> None:
    files[".gitattributes"] = (MODE_FILE, b"environments/** filter=x\n")


def a_link_outside(files: Files) -> None:
    files["docs"] = (MODE_SYMLINK, b"environments")


def a_submodule_outside(files: Files) -> None:
    files["theirs"] = (MODE_SUBMODULE, b"1" * 40)


def environments_in_capitals(files: Files) -> None:
    files["Environments/prod/x.yaml"] = (MODE_FILE, b"{}\n")


def too_many(files: Files) -> None:
    files.update({f"docs/{n}.md": (MODE_FILE, b"\n") for n in range(101)})


def nothing(files: Files) -> None:
    """One that anybody could have merged, since nothing in it has an owner."""


UNFIT: Mapping[Attack, str] = {
    nothing: "gitops-proposal-unfit",
    **dict.fromkeys(ATTACKS, "gitops-environments-proposed"),
    environments_in_capitals: "gitops-environments-proposed",
    git_attributes: "gitops-proposal-unfit",
    a_link_outside: "gitops-proposal-unfit",
    a_submodule_outside: "gitops-proposal-unfit",
    too_many: "gitops-proposal-unfit",
}


@pytest.mark.parametrize("attack", UNFIT, ids=lambda attack: attack.__name__)
def test_what_runs_or_is_no_plain_file_is_never_merged(world: Story, attack: Attack) -> None:
    main = world.forge.open_repository(GITOPS).resolve("refs/heads/main")
    pull = opened(world, attack)
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    codes = waits_for(world)[f"{GITOPS}#{pull.number}"]
    assert set(codes) == {UNFIT[attack]}
    assert world.forge.open_repository(GITOPS).resolve("refs/heads/main") == main


def test_a_proposal_that_conflicts_waits(world: Story) -> None:
    pull = opened(world, a_better_readme, branch="one")
    other = opened(
        world, lambda files: files.update({"README.md": (MODE_FILE, b"# Other\n")}), branch="two"
    )
    world.approve(GITOPS, pull.number, SECOND_ENGINEER_ID)
    world.approve(GITOPS, other.number, SECOND_ENGINEER_ID)
    assert waits_for(world) == {f"{GITOPS}#{other.number}": ["gitops-proposal-unfit"]}


def test_what_somebody_merged_past_the_rules_reaches_nothing(world: Story) -> None:
    """Rules that an owner of the forge loosened: what comes in by them is seen and put back."""
    sealed = tree_at_main(world)
    pull = opened(world, an_override_beside_an_overlay)
    world.forge.ensure_rules(GITOPS, ())
    world.merge(GITOPS, pull.number, ENGINEER_ID)
    assert tree_at_main(world) != sealed
    control = GitRepository.clone(str(world.forge.path(CONTROL)), world.root / "clone").path
    looked = call(control, "doctor")
    assert f"rules {GITOPS}" in looked.out and "no ruleset of the pipeline" in looked.out
    report = world.engine.run(tenants=["acme"])
    assert report.restored == [
        Incident(
            repo=GITOPS,
            path=f"{PROD}/.argocd-source.yaml",
            code="gitops-content-foreign",
            message="a file beside what was promoted",
        )
    ]
    assert tree_at_main(world) == sealed


# -- what is shown --------------------------------------------------------------------------


@pytest.fixture
def observed(world: Story) -> tuple[Story, Path]:
    """A world whose delivery tool said Healthy, and a clone of its control repo."""
    promotion = world.engine.status(DRAFT).promotion("prod")
    assert promotion is not None
    seen = Observation(
        environment="prod",
        draft=DRAFT,
        digest=promotion.release.digest,
        health="Healthy",
        sync="Synced",
        revision=promotion.gitops_commit,
    )
    world.engine.run(tenants=["acme"], observations=[seen])
    clone = GitRepository.clone(str(world.forge.path(CONTROL)), world.root / "clone")
    return world, clone.path


def test_health_is_shown_while_what_was_promoted_lies_there(observed: tuple[Story, Path]) -> None:
    _, control = observed
    for arguments in (("status",), ("status", DRAFT)):
        ran = call(control, *arguments)
        assert ran.exit_code == 0 and "foreign" not in ran.out
    assert "Healthy, Synced" in call(control, "status", DRAFT).out


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_no_health_is_shown_of_anything_else(observed: tuple[Story, Path], attack: Attack) -> None:
    world, control = observed
    force(world, attack)
    ran = call(control, "status")
    assert ran.exit_code == 1 and f"foreign  {GITOPS}:{ATTACKS[attack]}" in ran.out
    assert "explain gitops-" in ran.out
    document = call(control, "status", "--format", "json").document
    incidents = document["incidents"]
    assert isinstance(incidents, list)
    assert ATTACKS[attack] in {incident["path"] for incident in incidents}
    one = call(control, "status", DRAFT)
    touches_draft = attack in OF_PROD or attack is an_overlay_gone  # the latter in dev
    assert ("Healthy" in one.out) is (attack not in OF_PROD)
    assert one.exit_code == (1 if touches_draft else 0)
    assert call(control, "status", DRAFT, "--format", "json").exit_code == one.exit_code


def test_what_could_not_be_read_is_said_and_the_rest_is_shown(
    observed: tuple[Story, Path],
) -> None:
    world, control = observed
    shutil.rmtree(world.forge.path(GITOPS))
    ran = call(control, "status")
    assert ran.exit_code == 4 and f"`{GITOPS}` is gone" in ran.out and "?" in ran.out
    one = call(control, "status", DRAFT)
    assert one.exit_code == 4 and "Healthy" not in one.out


def test_a_damaged_status_hides_no_other(observed: tuple[Story, Path]) -> None:
    world, control = observed
    world.ask_for_draft("acme/late-arrival")
    world.go()
    git = world.forge.open_repository(CONTROL)
    head = str(git.resolve("refs/heads/state/acme"))
    path = "drafts/late-arrival/status.yaml"
    damaged = commit_of(
        git, head, lambda files: files.update({path: (MODE_FILE, b"state: [damaged\n")})
    )
    git.update_refs([RefUpdate("refs/heads/state/acme", head, damaged)])
    ran = call(control, "status")
    assert ran.exit_code == 4 and "acme/late-arrival" in ran.out and DRAFT in ran.out
    assert "PROMOTED_PROD" in ran.out


def test_a_clone_without_its_forge_says_that_nothing_was_looked_at(
    observed: tuple[Story, Path],
) -> None:
    world, control = observed
    shutil.rmtree(world.root / "forge")
    ran = call(control, "status")
    assert ran.exit_code == 0 and "was not looked at" in ran.out
    one = call(control, "status", DRAFT)
    assert "Healthy" not in one.out and "not looked at" in one.out


def test_run_says_what_is_foreign_and_what_it_put_back(observed: tuple[Story, Path]) -> None:
    world, control = observed
    force(world, an_override_beside_an_overlay)
    where = f"{GITOPS}:{PROD}/.argocd-source.yaml"
    assert f"foreign {where}" in call(control, "plan").out
    ran = call(control, "run", "--tenant", "acme")
    assert ran.exit_code == 0 and f"put back {where}" in ran.out
    policy(world, "report")
    force(world, an_override_beside_an_overlay)
    ran = call(control, "run", "--tenant", "acme", "--format", "json")
    assert ran.exit_code == 1
    [incident] = ran.document["incidents"]  # type: ignore[misc]  # a list, by its schema
    assert incident["path"] == f"{PROD}/.argocd-source.yaml" and not incident["put_back"]
