"""The local forge under people and many processes: plain pushes, races, odd names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.errors import ForgeRefused, GitFailed, NotFound, StalePlan
from pipeline.forges.branch_rules import check_merge, check_push
from pipeline.forges.local import pull_requests
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.local.journal import JOURNAL_REF
from pipeline.forges.port import BranchRule, RepoSpec, ReviewVerdict
from pipeline.git.objects import MODE_FILE, RefUpdate, Signature, commit_object, objects_of_files
from pipeline.git.repository import GitRepository

ROOT = Path(__file__).resolve().parents[4]
PIPELINE, PERSON = 100, 1
SOMEBODY = Signature("Somebody", "somebody@example.com", 1_700_000_000)
RULES = (BranchRule("main", push=(), approvals=1), BranchRule("state/*", push=(PIPELINE,)))
_OBJECTS = objects_of_files({"README": (MODE_FILE, b"first\n")})
_COMMIT = commit_object(_OBJECTS[-1].id, [], "Start\n", SOMEBODY, SOMEBODY)
START = _COMMIT.id


def spec_of(*rules: BranchRule) -> RepoSpec:
    return RepoSpec("Primitives", "main", (*_OBJECTS, _COMMIT), START, rules)


@pytest.fixture
def forge(tmp_path: Path) -> LocalForge:
    forge = LocalForge(tmp_path / "forge", "acme")
    forge.ensure_repo("app", spec_of(*RULES))
    return forge


# -- people with plain git ----------------------------------------------------------------


@pytest.fixture
def clone(forge: LocalForge, tmp_path: Path) -> Path:
    """A person's clone with one commit on `draft/one` that is not pushed."""
    path = tmp_path / "clone"
    person(tmp_path, "clone", "-q", str(forge.path("app")), str(path))
    person(path, "checkout", "-q", "-b", "draft/one")
    (path / "file").write_text("by hand\n")
    person(path, "add", "file")
    person(path, "commit", "-q", "-m", "By hand")
    return path


def person(path: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Git as a person runs it: with a configuration of their own that has other hooks."""
    options = ["-c", "user.name=P", "-c", "user.email=p@example.com"]
    return subprocess.run(
        ["git", "-C", str(path), *options, *arguments], capture_output=True, text=True, check=check
    )


def refs_of(forge: LocalForge) -> dict[str, str]:
    return GitRepository(forge.path("app")).read_refs(("refs/",))


def test_a_person_pushes_a_feature_branch(forge: LocalForge, clone: Path) -> None:
    person(clone, "push", "-q", "origin", "draft/one")
    head = person(clone, "rev-parse", "HEAD").stdout.strip()
    assert refs_of(forge)["refs/heads/draft/one"] == head
    pull = forge.open_pull(
        "app", head_branch="draft/one", base_branch="main", title="T", body="", actor=PERSON
    )
    assert pull.head == head
    person(clone, "commit", "-q", "--allow-empty", "-m", "More")
    person(clone, "push", "-q", "origin", "draft/one")
    assert forge.read_pull("app", pull.number).head != head


@pytest.mark.parametrize(
    ("refspec", "said"),
    [
        ("HEAD:main", "protected"),
        ("+HEAD:main", "protected"),
        (":main", "protected"),
        ("HEAD:state/acme", "protected"),
        ("HEAD:state/a/b", "protected"),
        ("+HEAD:refs/forge/journal", "only branches"),
        ("HEAD:refs/tags/v1", "only branches"),
        ("HEAD:refs/replace/" + "1" * 40, "only branches"),
        ("HEAD:refs/notes/x", "only branches"),
    ],
)
def test_a_person_cannot_push_to_a_protected_branch(
    forge: LocalForge, clone: Path, refspec: str, said: str
) -> None:
    before = refs_of(forge)
    done = person(clone, "push", "origin", refspec, check=False)
    assert done.returncode != 0
    assert said in done.stderr
    assert refs_of(forge) == before


def test_one_protected_branch_refuses_the_whole_push(forge: LocalForge, clone: Path) -> None:
    before = refs_of(forge)
    assert person(clone, "push", "origin", "HEAD:draft/a", "HEAD:main", check=False).returncode
    assert refs_of(forge) == before


def test_a_person_can_neither_delete_nor_rewrite_a_branch(forge: LocalForge, clone: Path) -> None:
    person(clone, "push", "-q", "origin", "draft/one")
    before = refs_of(forge)
    for arguments in ((":draft/one",), ("--force", "origin/main:draft/one"), ("--mirror",)):
        done = person(clone, "push", "origin", *arguments, check=False)
        assert done.returncode != 0, arguments
        assert refs_of(forge) == before, arguments
    assert not GitRepository(forge.path("app")).read_refs(("refs/replace/", "refs/tags/"))


def test_a_person_s_hooks_do_not_replace_the_forge_s(
    forge: LocalForge, clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[core]\n\thooksPath = {tmp_path / 'none'}\n[receive]\n\tfsckObjects = false\n"
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    before = refs_of(forge)
    assert person(clone, "push", "origin", "HEAD:main", check=False).returncode != 0
    assert refs_of(forge) == before


def test_malformed_objects_are_refused(forge: LocalForge, clone: Path) -> None:
    blob = person(clone, "rev-parse", "HEAD:file").stdout.strip()
    raw = b"100644 .git\0" + bytes.fromhex(blob)
    tree = (
        subprocess.run(
            ["git", "-C", str(clone), "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],
            input=raw,
            capture_output=True,
            check=True,
        )
        .stdout.decode()
        .strip()
    )
    commit = person(clone, "commit-tree", "-m", "evil", tree).stdout.strip()
    done = person(clone, "push", "origin", f"{commit}:refs/heads/draft/evil", check=False)
    assert done.returncode != 0
    assert "refs/heads/draft/evil" not in refs_of(forge)


def test_a_repository_without_its_rules_refuses_every_push(forge: LocalForge, clone: Path) -> None:
    (forge.path("app") / "hooks" / "protected").unlink()
    done = person(clone, "push", "origin", "draft/one", check=False)
    assert done.returncode != 0
    assert "lost its list" in done.stderr
    forge.ensure_repo("app", spec_of(*RULES))
    person(clone, "push", "-q", "origin", "draft/one")


@pytest.mark.parametrize("damage", ["hook", "patterns", "mode"])
def test_ensuring_a_repository_repairs_its_hook(
    forge: LocalForge, clone: Path, damage: str
) -> None:
    hooks = forge.path("app") / "hooks"
    if damage == "hook":
        (hooks / "pre-receive").write_text("#!/bin/sh\nexit 0\n")
    elif damage == "patterns":
        (hooks / "protected").write_text("")
    else:
        (hooks / "pre-receive").chmod(0o644)
    forge.ensure_repo("app", spec_of(*RULES))
    assert person(clone, "push", "origin", "HEAD:main", check=False).returncode != 0


def test_changed_rules_protect_and_open_branches(forge: LocalForge, clone: Path) -> None:
    forge.ensure_repo("app", spec_of(BranchRule("draft/*", push=())))
    assert person(clone, "push", "origin", "draft/one", check=False).returncode != 0
    person(clone, "push", "-q", "origin", "HEAD:state/acme")
    assert "refs/heads/state/acme" in refs_of(forge)


PATTERNS = ("main", "state/*", "*", "*/x", "a.b", "a*b*c", "rel-*", "**", "x/*/y")
BRANCHES = (
    "main", "mains", "state/a", "state/a/b", "state", "x", "a/x", "a/b/x", "a.b", "axb", "abc",
    "a/b/c", "aXbYc", "rel-1", "rel-", "rel/1", "x/y", "x/1/y", "x/1/2/y", "é/x", "a'b", "$x",
    "[a]", "state/é", "#1", "a&b", "a;b",
)  # fmt: skip


def test_the_hook_and_the_rules_agree(tmp_path: Path) -> None:
    """The hook itself is run, with one line a branch as git gives it."""
    forge = LocalForge(tmp_path / "forge", "acme")
    forge.ensure_repo("app", spec_of())
    hook = forge.path("app") / "hooks" / "pre-receive"
    for pattern in PATTERNS:
        rule = BranchRule(pattern, push=())
        forge.ensure_repo("app", spec_of(rule))
        for branch in BRANCHES:
            line = f"{'0' * 40} {START} refs/heads/{branch}\n"
            done = subprocess.run(
                [hook], input=line.encode(), capture_output=True, check=False, cwd=tmp_path
            )
            closed = check_push([rule], f"refs/heads/{branch}", 0) is not None
            assert (done.returncode != 0) is closed, (pattern, branch)


# -- names and links ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/b", "/etc", "a\\b", "-x", ".hidden", "a\nb", "a\0b", "é", "a b",
     "x" * 101, "~", "a:b"],
)  # fmt: skip
def test_an_odd_name_is_not_a_repository(forge: LocalForge, name: str) -> None:
    for call in (
        lambda: forge.read_repo(name),
        lambda: forge.open_repository(name),
        lambda: forge.ensure_repo(name, spec_of()),
        lambda: forge.read_pulls(name),
    ):
        with pytest.raises(NotFound):
            call()
    assert [path.name for path in forge.root.rglob("*.git")] == ["app.git"]


@pytest.mark.parametrize("name", ["", "..", "../x", "a/b", ".", "-x"])
def test_an_odd_name_is_not_an_organisation(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFound):
        LocalForge(tmp_path, name)


def test_a_link_is_not_a_repository(forge: LocalForge, tmp_path: Path) -> None:
    outside = GitRepository.init_bare(tmp_path / "outside.git")
    (forge.root / "acme" / "linked.git").symlink_to(outside.path)
    for call in (forge.read_repo, forge.open_repository, forge.read_pulls):
        with pytest.raises(NotFound, match="link"):
            call("linked")
    with pytest.raises(NotFound, match="link"):
        forge.ensure_repo("linked", spec_of())
    assert outside.read_refs(("refs/",)) == {}


def test_a_symbolic_branch_moves_nothing_but_itself(forge: LocalForge) -> None:
    git = forge.open_repository("app")
    (git.path / "refs" / "heads" / "alias").write_text("ref: refs/heads/main\n")
    next_commit = commit_object(_OBJECTS[-1].id, [START], "Next\n", SOMEBODY, SOMEBODY)
    forge.push(
        "app",
        [next_commit],
        (RefUpdate("refs/heads/alias", START, next_commit.id),),
        actor=PERSON,
    )
    assert git.resolve("refs/heads/main") == START


def test_a_foreign_bare_repository_is_reported(forge: LocalForge, tmp_path: Path) -> None:
    GitRepository.init_bare(forge.root / "acme" / "foreign.git")
    for call in (forge.read_repo, forge.read_pulls):
        with pytest.raises(NotFound, match="no journal"):
            call("foreign")


def test_a_damaged_journal_is_reported_and_never_overwritten(forge: LocalForge) -> None:
    git = forge.open_repository("app")
    broken = objects_of_files({"repo.json": (MODE_FILE, b"{}")})
    commit = commit_object(broken[-1].id, [], "x\n", SOMEBODY, SOMEBODY)
    git.write_objects([*broken, commit])
    git.update_refs([RefUpdate(JOURNAL_REF, git.resolve(JOURNAL_REF), commit.id)])
    for call in (forge.read_repo, lambda repo: forge.ensure_repo(repo, spec_of(*RULES))):
        with pytest.raises(GitFailed, match="damaged"):
            call("app")
    assert git.resolve(JOURNAL_REF) == commit.id


def test_equal_operations_give_equal_ids(tmp_path: Path) -> None:
    seen = []
    for name in ("one", "two"):
        forge = LocalForge(tmp_path / name, "acme")
        forge.ensure_repo("app", spec_of(*RULES))
        push_branch(forge, "draft/one")
        forge.open_pull(
            "app", head_branch="draft/one", base_branch="main", title="T", body="", actor=PERSON
        )
        seen.append(refs_of(forge))
    assert seen[0] == seen[1]


def push_branch(forge: LocalForge, branch: str) -> str:
    objects = objects_of_files({"file": (MODE_FILE, branch.encode())})
    commit = commit_object(objects[-1].id, [START], f"{branch}\n", SOMEBODY, SOMEBODY)
    update = RefUpdate(f"refs/heads/{branch}", None, commit.id)
    forge.push("app", [*objects, commit], (update,), actor=PERSON)
    return commit.id


# -- many at once -------------------------------------------------------------------------


RACER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from tests.integration.forges.local import test_forge as t
forge = t.LocalForge(Path(sys.argv[2]), "acme")
print(t.race(forge, sys.argv[3], int(sys.argv[4])))
"""


def race(forge: LocalForge, what: str, number: int) -> object:
    """What one racing process does."""
    if what == "create":
        return forge.ensure_repo("fresh", spec_of(*RULES)).head
    branch = f"draft/{number}"
    push_branch(forge, branch)
    pull = forge.open_pull(
        "app", head_branch=branch, base_branch="main", title=branch, body="", actor=PERSON
    )
    return pull.number


def run_racers(forge: LocalForge, what: str, count: int) -> list[str]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(ROOT), str(forge.root), what, str(number)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(count)
    ]
    answers = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        answers.append(out.strip())
    return answers


def test_a_repository_created_many_times_at_once_is_one(forge: LocalForge) -> None:
    assert set(run_racers(forge, "create", 6)) == {START}
    left = [path.name for path in (forge.root / "acme").iterdir()]
    assert sorted(left) == ["app.git", "fresh.git"], "and nothing half made is left"


def test_pull_requests_opened_at_once_get_different_numbers(forge: LocalForge) -> None:
    count = 8
    numbers = run_racers(forge, "open", count)
    assert sorted(map(int, numbers)) == list(range(1, count + 1))
    pulls = forge.read_pulls("app")
    assert {pull.head_branch for pull in pulls} == {f"draft/{n}" for n in range(count)}
    assert [p.number for p in pulls if p.title != p.head_branch] == []


def test_a_review_and_a_merge_at_once_both_count(
    forge: LocalForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else writes to the journal between every reading and writing of a merge."""
    push_branch(forge, "draft/one")
    pull = forge.open_pull(
        "app", head_branch="draft/one", base_branch="main", title="T", body="", actor=PERSON
    )
    verdict = ReviewVerdict.APPROVED
    forge.submit_review("app", 1, commit=pull.head, verdict=verdict, body="", actor=2)
    other = LocalForge(forge.root, "acme")
    asked = check_merge
    bodies = iter("abc")

    def meddle(*arguments: object) -> str | None:
        for body in bodies:
            other.submit_review("app", 1, commit=pull.head, verdict=verdict, body=body, actor=3)
            break
        return asked(*arguments)  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr(pull_requests, "check_merge", meddle)
    commit = forge.merge_pull(
        "app", 1, expected_head=pull.head, message="M\n", time_s=0, actor=PERSON
    )
    merged = other.read_pull("app", 1)
    assert merged.merge_commit == commit == refs_of(forge)["refs/heads/main"]
    assert [review.body for review in merged.reviews] == ["", "a", "b", "c"]


def test_a_head_that_moves_during_a_merge_is_not_merged(
    forge: LocalForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = push_branch(forge, "draft/one")
    forge.ensure_repo("app", spec_of(BranchRule("main", push=())))
    forge.open_pull(
        "app", head_branch="draft/one", base_branch="main", title="T", body="", actor=PERSON
    )
    other = LocalForge(forge.root, "acme")
    newer = commit_object(_OBJECTS[-1].id, [head], "Newer\n", SOMEBODY, SOMEBODY)
    asked = check_merge

    def meddle(*arguments: object) -> str | None:
        update = RefUpdate("refs/heads/draft/one", head, newer.id)
        other.push("app", [newer], (update,), actor=PERSON)
        return asked(*arguments)  # type: ignore[arg-type] # passed on as they came

    monkeypatch.setattr(pull_requests, "check_merge", meddle)
    with pytest.raises(StalePlan):
        forge.merge_pull("app", 1, expected_head=head, message="M\n", time_s=0, actor=PERSON)
    assert refs_of(forge)["refs/heads/main"] == START


def test_a_repository_with_another_first_commit_is_reported(forge: LocalForge) -> None:
    with pytest.raises(ForgeRefused, match="another first commit"):
        other = commit_object(_OBJECTS[-1].id, [], "Other\n", SOMEBODY, SOMEBODY)
        forge.ensure_repo("app", RepoSpec("", "main", (*_OBJECTS, other), other.id, RULES))


# -- processes ----------------------------------------------------------------------------


def test_each_operation_costs_few_processes(
    forge: LocalForge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounds, so that a later change does not bring back a process a file or a pull request."""
    started: list[str] = []
    popen = subprocess.Popen

    class Counted(popen):  # type: ignore[type-arg, misc, valid-type] # it counts, nothing else
        def __init__(self, arguments: list[str], *rest: object, **options: object) -> None:
            verbs = [a for a in arguments[1:] if a.isascii() and a[0].isalpha() and "=" not in a]
            started.append(verbs[0])
            super().__init__(arguments, *rest, **options)

    monkeypatch.setattr(subprocess, "Popen", Counted)

    def count(limit: int) -> None:
        assert len(started) <= limit, started
        started.clear()

    forge.ensure_repo("new", spec_of(*RULES))
    assert "update-ref" in started  # processes are seen at all
    count(4)  # unpack-objects, update-ref, for-each-ref, cat-file
    forge.ensure_repo("new", spec_of(*RULES))
    count(1)
    head = push_branch(forge, "draft/one")
    count(3)  # cat-file once, unpack-objects, update-ref
    push_branch(forge, "draft/two")
    count(2)
    forge.open_pull(
        "app", head_branch="draft/one", base_branch="main", title="T", body="", actor=PERSON
    )
    count(2)  # unpack-objects, update-ref
    forge.submit_review("app", 1, commit=head, verdict=ReviewVerdict.APPROVED, body="", actor=2)
    count(2)
    forge.merge_pull("app", 1, expected_head=head, message="M\n", time_s=0, actor=PERSON)
    count(3)  # and merge-tree
    forge.read_pulls("app")
    count(1)


def test_many_repositories_keep_few_processes(forge: LocalForge) -> None:
    forge.store.most_open = 2
    for name in ("one", "two", "three"):
        forge.ensure_repo(name, spec_of(*RULES))
    first = forge.open_repository("one")
    for name in ("two", "three", "one", "two", "three"):
        assert forge.open_repository(name).resolve("refs/heads/main")
    assert forge.store.kept == ("two", "three")
    # One that somebody still holds begins its processes anew.
    assert first.resolve("refs/heads/main") == forge.open_repository("one").resolve(
        "refs/heads/main"
    )
