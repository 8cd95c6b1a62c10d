"""`audit.verify` on fresh clones: clean after the story, and any changed byte shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from pipeline.audit import AuditReport, verify
from pipeline.diagnostics import Finding, Verdict
from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import MODE_FILE, RefUpdate, Signature, commit_object, objects_of_files
from pipeline.git.repository import GitRepository
from pipeline.models.facts import Fact, Promoted
from pipeline.names import overlay_folder
from pipeline.state.facts import fact_path, status_bytes, status_path
from tests.support import fact_history as history
from tests.support.fact_history import ENGINEER_ID, refolded
from tests.support.finished_story import CODE, CONTROL, GITOPS, STATE, move, write_commit
from tests.support.samples import DRAFT
from tests.support.story import Story, story_at

PRIMITIVE = "order-router"
FACTS = [
    *((1, "accepted"), (2, "provisioned"), (3, "scaffolded"), (4, "patch-applied")),
    *((5, "checks-recorded"), (6, "built"), (7, "promoted"), (8, "promoted"), (9, "promoted")),
]
FACT_FILES = [fact_path(PRIMITIVE, number, type) for number, type in FACTS]
STATUS_FILE = status_path(PRIMITIVE)
PROMOTED_IN = {"dev": 7, "staging": 8, "prod": 9}
OVERLAY_FILES = [
    f"environments/{env}/{PRIMITIVE}/{name}"
    for env in PROMOTED_IN
    for name in (
        "base/deployment.yaml",
        "base/kustomization.yaml",
        "base/service.yaml",
        "kustomization.yaml",
        "network-policy.yaml",
        "release.yaml",
        "service-account.yaml",
    )
]
Files = dict[str, tuple[int, bytes]]
_PERSON = Signature("somebody", "1201+somebody@users.noreply.pipeline.invalid", 1_767_226_500)


class Clones:
    """Fresh clones of a finished story, which an attacker may change as they like.

    Cloning is the slow part, so one set of clones serves every change of one file: a change is
    a commit that the branch then stands at, and afterwards it stands where it stood.
    """

    def __init__(self, world: Story, folder: Path) -> None:
        self.gits = {
            name: GitRepository.clone(str(world.forge.path(name)), folder / name)
            for name in (CONTROL, CODE, GITOPS)
        }

    def audit(self, *without: str) -> AuditReport:
        """What an auditor says who has these clones, and not those named."""
        return verify(self.gits[CONTROL], lambda n: None if n in without else self.gits.get(n))

    def head(self, repo: str, branch: str) -> str:
        """The commit that origin's branch was last seen at."""
        found = self.gits[repo].resolve(f"refs/remotes/origin/{branch}")
        assert found is not None
        return found

    def files(self, repo: str, branch: str) -> Files:
        """The files at a branch's head."""
        return self.gits[repo].read_files(self.head(repo, branch))

    def put(self, repo: str, branch: str, commit: str) -> None:
        """Put origin's branch at a commit."""
        ref = f"refs/remotes/origin/{branch}"
        git = self.gits[repo]
        git.update_refs([RefUpdate(ref, git.resolve(ref), commit)])

    def falsified(self, repo: str, branch: str, files: Files, *, by: str) -> AuditReport:
        """The audit after an attacker's change, which is then taken back.

        As `amended` the newest commit holds other files, everything else of it is as it was;
        as `pipeline` a commit of the pipeline's identity is added, as `person` one of a person.
        """
        git, head = self.gits[repo], self.head(repo, branch)
        old = git.read_commit(head)
        if by == "amended":
            objects = objects_of_files(files)
            made = commit_object(
                objects[-1].id, list(old.parents), old.message, old.author, old.committer
            )
            git.write_objects([*objects, made])
            commit = made.id
        else:
            signature = _PERSON if by == "person" else pipeline_signature(old.committer.time_s)
            message = "Tidy up\n" if by == "person" else old.message
            commit = write_commit(git, files, head, message, signature)
        self.put(repo, branch, commit)
        try:
            return self.audit()
        finally:
            self.put(repo, branch, head)


@pytest.fixture(scope="module")
def clones(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clones]:
    folder = tmp_path_factory.mktemp("audit")
    world = story_at("in prod", folder / "world")
    found = Clones(world, folder / "clones")
    world.close()
    shutil.rmtree(folder / "world")  # from here on only clones are left
    yield found
    for git in found.gits.values():
        git.close()


def one_bit_off(content: bytes, where: float) -> bytes:
    """The bytes with one of them changed, at a fraction of their length."""
    position = min(int(len(content) * where), len(content) - 1)
    changed = bytearray(content)
    changed[position] ^= 1
    return bytes(changed)


def names(findings: tuple[Finding, ...], file: str) -> bool:
    """Whether a finding stands at a file, or speaks of it."""
    return any(f.location.file.endswith(file) or file in f.message for f in findings)


def test_story_is_clean(clones: Clones) -> None:
    report = clones.audit()
    assert report.findings == ()
    assert report.verdict is Verdict.VALID
    assert (report.drafts, report.facts, report.overlays, report.repositories) == (1, 9, 3, 2)


def test_every_file_that_is_changed_here_is_listed(clones: Clones) -> None:
    """The loops below reach every fact, every status and every overlay file there is."""
    state, overlays = clones.files(CONTROL, STATE), clones.files(GITOPS, "main")
    assert sorted(state) == sorted([*FACT_FILES, STATUS_FILE])
    assert sorted(p for p in overlays if p.startswith("environments/")) == sorted(OVERLAY_FILES)


@pytest.mark.parametrize("by", ["amended", "pipeline", "person"])
@pytest.mark.parametrize("path", FACT_FILES)
def test_one_changed_byte_of_a_fact_is_found(clones: Clones, path: str, by: str) -> None:
    files = clones.files(CONTROL, STATE)
    mode, content = files[path]
    for where in (0.0, 0.3, 0.7, 1.0):
        changed = {**files, path: (mode, one_bit_off(content, where))}
        report = clones.falsified(CONTROL, STATE, changed, by=by)
        assert report.verdict is Verdict.INVALID
        assert names(report.findings, path), report.findings


@pytest.mark.parametrize("by", ["amended", "pipeline", "person"])
def test_one_changed_byte_of_the_status_is_found(clones: Clones, by: str) -> None:
    files = clones.files(CONTROL, STATE)
    mode, content = files[STATUS_FILE]
    for position in range(0, len(content), 211):
        changed = bytearray(content)
        changed[position] ^= 1
        altered = {**files, STATUS_FILE: (mode, bytes(changed))}
        report = clones.falsified(CONTROL, STATE, altered, by=by)
        assert report.verdict is Verdict.INVALID
        # The finding names the fact that the status should be the fold of.
        assert names(report.findings, FACT_FILES[-1]), report.findings


@pytest.mark.parametrize("by", ["amended", "pipeline", "person"])
@pytest.mark.parametrize("path", OVERLAY_FILES)
def test_one_changed_byte_of_an_overlay_is_found(clones: Clones, path: str, by: str) -> None:
    files = clones.files(GITOPS, "main")
    mode, content = files[path]
    fact = FACT_FILES[PROMOTED_IN[path.split("/")[1]] - 1]
    for where in (0.0, 0.5, 1.0):
        changed = {**files, path: (mode, one_bit_off(content, where))}
        report = clones.falsified(GITOPS, "main", changed, by=by)
        assert report.verdict is Verdict.INVALID
        assert names(report.findings, fact), report.findings


@pytest.mark.parametrize("path", [*FACT_FILES, STATUS_FILE])
def test_a_file_removed_from_the_state_branch_is_found(clones: Clones, path: str) -> None:
    files = clones.files(CONTROL, STATE)
    del files[path]
    for by in ("amended", "pipeline"):
        report = clones.falsified(CONTROL, STATE, files, by=by)
        assert report.verdict is Verdict.INVALID


@pytest.mark.parametrize("mode", [0o100755, 0o120000])
@pytest.mark.parametrize("path", [OVERLAY_FILES[0], OVERLAY_FILES[-2]])
def test_a_changed_mode_of_an_overlay_file_is_found(clones: Clones, path: str, mode: int) -> None:
    """The bytes are as they were, but a link is not what was approved."""
    files = clones.files(GITOPS, "main")
    changed = {**files, path: (mode, files[path][1])}
    report = clones.falsified(GITOPS, "main", changed, by="amended")
    assert names(report.findings, FACT_FILES[PROMOTED_IN[path.split("/")[1]] - 1])


# -- histories made anew ---------------------------------------------------------------------


@lru_cache
def chain_of_words(*contents: bytes) -> tuple[Fact, ...]:
    """The facts in stored bytes."""
    return tuple(Fact.model_validate_json(content) for content in contents)


def retold(files: Files, number: int, **changes: object) -> Files:
    """A state branch in which one fact says something else and every hash fits again."""
    facts = list(chain_of_words(*(files[p][1] for p in FACT_FILES)))
    body = facts[number - 1].body.model_copy(update=changes)
    facts[number - 1] = facts[number - 1].model_copy(update={"body": body})
    chained, status = refolded(facts)
    made = {f.path: (MODE_FILE, f.content) for f in history.fact_files(chained)}
    return {**files, **made, STATUS_FILE: (MODE_FILE, status_bytes(status))}


def rewritten(clones: Clones, files: Files) -> AuditReport:
    """The audit after the whole state branch was made anew: one commit, all trailers right."""
    git, head = clones.gits[CONTROL], clones.head(CONTROL, STATE)
    facts = chain_of_words(*(files[p][1] for p in FACT_FILES))
    newest = refolded(facts)[1].newest_fact
    message = f"Record 9 facts of acme\n\nKey: {'0' * 64}\nFact: {DRAFT} {newest}\n"
    commit = write_commit(git, files, None, message, pipeline_signature(1_767_225_700))
    clones.put(CONTROL, STATE, commit)
    try:
        return clones.audit()
    finally:
        clones.put(CONTROL, STATE, head)


def test_retelling_without_a_change_gives_the_same_commits(clones: Clones) -> None:
    """So what the next tests find is the lie and not the way of telling."""
    files = clones.files(CONTROL, STATE)
    assert retold(files, 5) == files
    assert rewritten(clones, files).findings == ()


@pytest.mark.parametrize(
    ("number", "changes"),
    [
        (1, {"risk_tier": "LOW"}),
        (5, {"report": None}),
        (6, {"build": None}),
        (7, {"approved_by": (1501,)}),
        (8, {"checks": ("lint",)}),
    ],
)
def test_a_state_branch_retold_with_all_hashes_right_is_caught_by_trailers(
    clones: Clones, number: int, changes: dict[str, object]
) -> None:
    """Every commit in the other repositories names a fact that the new chain lacks."""
    files = clones.files(CONTROL, STATE)
    facts = chain_of_words(*(files[p][1] for p in FACT_FILES))
    body = facts[number - 1].body
    if "report" in changes:
        report = body.report  # type: ignore[union-attr]  # fact 5 holds a report
        result = report.results[0].model_copy(update={"summary": "nothing to see"})
        changes = {"report": report.model_copy(update={"results": (result, *report.results[1:])})}
    if "build" in changes:
        build = body.build  # type: ignore[union-attr]  # fact 6 holds a build
        changes = {"build": build.model_copy(update={"builder": "buildah"})}
    lie = retold(files, number, **changes)
    report = rewritten(clones, lie)
    assert report.verdict is Verdict.INVALID
    anchors = [f for f in report.findings if f.code == "audit-fact-anchor"]
    assert anchors and all(f.location.file.startswith(STATE) for f in anchors)
    assert any(GITOPS in f.message or CODE in f.message for f in anchors)


def test_the_newest_fact_retold_is_caught_where_nothing_rests_on_it_yet(clones: Clones) -> None:
    """No commit elsewhere names the newest fact, but main says who asked, and policy how many."""
    files = clones.files(CONTROL, STATE)
    (prod,) = [f.body for f in chain_of_words(*(files[p][1] for p in FACT_FILES))[-1:]]
    assert isinstance(prod, Promoted)
    report = rewritten(clones, retold(files, 9, approved_by=(ENGINEER_ID,)))
    assert {f.code for f in report.findings} == {"audit-approvals"}
    assert names(report.findings, FACT_FILES[-1])
    other = prod.release.model_copy(update={"digest": history.digest_of("other")})
    report = rewritten(clones, retold(files, 9, release=other))
    assert "audit-digest-differs" in {f.code for f in report.findings}
    assert names(report.findings, FACT_FILES[-1])


# -- the GitOps repository --------------------------------------------------------------------


@pytest.mark.parametrize("by", ["pipeline", "person"])
def test_an_overlay_without_a_fact_is_found(clones: Clones, by: str) -> None:
    files = clones.files(GITOPS, "main")
    copied = {
        path.replace(PRIMITIVE, "price-list"): file
        for path, file in files.items()
        if path.startswith(f"environments/dev/{PRIMITIVE}/")
    }
    report = clones.falsified(GITOPS, "main", {**files, **copied}, by=by)
    found = {f.code: f.location.file for f in report.findings}
    assert "environments/dev/price-list" in found["audit-overlay-without-fact"]
    assert "audit-foreign-commit" in found


def test_a_promotion_reset_is_found(clones: Clones) -> None:
    """main of the GitOps repository is put back to before prod: nothing in it is false, yet."""
    git, head = clones.gits[GITOPS], clones.head(GITOPS, "main")
    clones.put(GITOPS, "main", git.read_commit(head).parents[0])
    try:
        report = clones.audit()
    finally:
        clones.put(GITOPS, "main", head)
    assert report.verdict is Verdict.INVALID
    assert "audit-overlay-missing" in {f.code for f in report.findings}
    assert names(report.findings, FACT_FILES[-1])


def test_a_removed_overlay_is_found(clones: Clones) -> None:
    files = clones.files(GITOPS, "main")
    folder = overlay_folder("staging", PRIMITIVE)
    kept = {path: file for path, file in files.items() if not path.startswith(f"{folder}/")}
    report = clones.falsified(GITOPS, "main", kept, by="person")
    assert {"audit-overlay-missing", "audit-foreign-commit"} <= {f.code for f in report.findings}
    assert names(report.findings, FACT_FILES[7])


def test_a_commit_that_changes_and_changes_back_is_found(clones: Clones) -> None:
    """What ran in between was nobody's promotion, though the files are right again."""
    git, head = clones.gits[GITOPS], clones.head(GITOPS, "main")
    files = clones.files(GITOPS, "main")
    path = OVERLAY_FILES[-2]
    changed = {**files, path: (MODE_FILE, files[path][1] + b"# quickly\n")}
    first = write_commit(git, changed, head, "Try\n", pipeline_signature(1))
    second = write_commit(git, files, first, "Back\n", pipeline_signature(2))
    clones.put(GITOPS, "main", second)
    try:
        report = clones.audit()
    finally:
        clones.put(GITOPS, "main", head)
    assert [f.code for f in report.findings] == ["audit-foreign-commit"] * 2


@pytest.mark.parametrize("by", ["pipeline", "person"])
def test_files_beside_the_overlays_need_an_origin(clones: Clones, by: str) -> None:
    files = clones.files(GITOPS, "main")
    readme = files["README.md"][1] + b"\nAsk acme-engineers.\n"
    changed = {**files, "README.md": (MODE_FILE, readme), "docs/a.md": (MODE_FILE, b"# Notes\n")}
    report = clones.falsified(GITOPS, "main", changed, by=by)
    assert [(f.code, f.location.file) for f in report.findings] == [
        ("audit-foreign-commit", f"{GITOPS}:README.md")
    ]


def test_a_person_s_empty_commit_on_the_state_branch_is_found(clones: Clones) -> None:
    report = clones.falsified(CONTROL, STATE, clones.files(CONTROL, STATE), by="person")
    assert [f.code for f in report.findings] == ["audit-foreign-commit"]


@pytest.mark.parametrize("repo", [CODE, GITOPS])
def test_a_clone_that_is_not_there_is_could_not_check(clones: Clones, repo: str) -> None:
    report = clones.audit(repo)
    assert report.verdict is Verdict.COULD_NOT_CHECK
    assert names(report.findings, repo)


def test_rewritten_code_history_is_found(clones: Clones) -> None:
    """The scaffold's commit is gone from the code repository's clone, refs and objects."""
    files = clones.files(CONTROL, STATE)
    lie = retold(files, 3, commit=history.id_of("another scaffold"))
    report = rewritten(clones, lie)
    assert "audit-source-missing" in {f.code for f in report.findings}
    assert names(report.findings, FACT_FILES[2])


def test_moving_a_branch_needs_the_old_value(clones: Clones) -> None:
    """The helpers of this file do move branches: an unmoved one would make every test empty."""
    head = clones.head(CONTROL, STATE)
    other = write_commit(clones.gits[CONTROL], {}, head, "Empty\n")
    move(clones.gits[CONTROL], "copy", other)
    clones.put(CONTROL, STATE, other)
    assert clones.head(CONTROL, STATE) == other
    assert clones.audit().verdict is Verdict.INVALID
    clones.put(CONTROL, STATE, head)
    assert clones.audit().verdict is Verdict.VALID
