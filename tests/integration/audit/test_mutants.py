"""Each step of the audit is needed: without it a forgery passes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import pytest

from pipeline.audit import STEP_NAMES, AuditReport
from pipeline.audit.memory import VERIFIED
from pipeline.git.objects import RefUpdate
from tests.support.finished_story import CODE, CONTROL, GITOPS
from tests.support.forgeries import FORGERIES
from tests.support.state_writer import Forger


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    made = Forger(tmp_path_factory.mktemp("mutants"))
    yield made
    made.close()


Audit = Callable[[Sequence[str]], AuditReport]


def no_clone(forger: Forger) -> Audit:
    """The code's repository is not there."""
    forger.gits = {name: git for name, git in forger.gits.items() if name != CODE}
    return forger.audit


def rewritten(forger: Forger) -> Audit:
    """main of the overlays does not hold what was verified."""
    head = forger.head(GITOPS)
    verified = forger.commit(GITOPS, forger.files(GITOPS), [head], "Verified\n")
    forger.gits[GITOPS].update_refs([RefUpdate(f"{VERIFIED}main", None, verified)])
    return forger.audit


def damaged(forger: Forger) -> Audit:
    """A commit of the overlays names a tree that the clone lacks."""
    head = forger.head(GITOPS)
    lost = forger.commit(GITOPS, {"lost": (0o100644, b"lost\n")}, [head], "Lose it\n")
    forger.put(GITOPS, "main", lost)
    git = forger.gits[GITOPS]
    tree = git.read_commit(lost).tree
    git.close()
    path = git.path / ".git" / "objects" / tree[:2] / tree[2:]
    path.unlink()
    return forger.audit


# Steps that judge what no writer of a branch changes.
ELSEWHERE: dict[str, Callable[[Forger], Audit]] = {
    "clones": no_clone,
    "descent": rewritten,
    "objects": damaged,
}


def is_killed(forger: Forger, step: str) -> bool:
    """Whether an audit without the step finds less of something than the whole one."""
    gits = dict(forger.gits)
    try:
        with forger.undone():
            if step in ELSEWHERE:
                audit: Audit = ELSEWHERE[step](forger)
            else:
                next(f for f in FORGERIES if f.step == step).forge(forger)
                audit = forger.audit
            return bool(set(audit([]).findings) - set(audit([step]).findings))
    finally:
        forger.gits = gits


def test_every_step_of_the_audit_is_needed(
    forger: Forger, capsys: pytest.CaptureFixture[str]
) -> None:
    assert forger.audit().findings == ()
    killed = [step for step in STEP_NAMES if is_killed(forger, step)]
    with capsys.disabled():
        print(f"\naudit steps {len(STEP_NAMES)}, mutants killed {len(killed)}")
    assert sorted(killed) == sorted(STEP_NAMES)


def test_a_step_that_does_nothing_is_not_needed(forger: Forger) -> None:
    """So a mutant that is killed is not a matter of course."""
    with forger.undone():
        next(f for f in FORGERIES if f.step == "modes").forge(forger)
        whole = set(forger.audit([]).findings)
        assert whole - set(forger.audit(["no-such-step"]).findings) == set()
        assert forger.head(CONTROL)
