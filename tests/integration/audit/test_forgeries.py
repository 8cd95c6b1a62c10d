"""Every forgery gets its own code, or rests on somebody's word that the audit lists."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipeline.audit import STEP_NAMES
from pipeline.diagnostics import Verdict
from tests.support.forgeries import FORGERIES, Forgery
from tests.support.state_writer import Forger


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    made = Forger(tmp_path_factory.mktemp("forged"))
    yield made
    made.close()


def test_the_story_is_clean_and_retelling_it_changes_nothing(forger: Forger) -> None:
    """So what is found below is the forgery and not the way of telling."""
    assert forger.audit().findings == ()
    with forger.undone():
        before = forger.head("control", "state/acme")
        forger.retell(lambda facts: facts)
        assert forger.head("control", "state/acme") == before


def test_there_are_enough_forgeries() -> None:
    assert len({forgery.name for forgery in FORGERIES}) == len(FORGERIES) >= 80
    assert all(bool(f.code) != bool(f.trust) and bool(f.code) == bool(f.step) for f in FORGERIES)
    assert {f.step for f in FORGERIES if f.step} <= set(STEP_NAMES)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_a_forgery_gets_its_code_or_rests_on_a_listed_trust(
    forger: Forger, forgery: Forgery
) -> None:
    with forger.undone():
        forgery.forge(forger)
        report = forger.audit()
        found = {finding.code for finding in report.findings}
        if forgery.trust:
            assert report.findings == ()
            assert any(trust.what == forgery.trust for trust in report.trusted)
            return
        assert forgery.code in found, report.findings
        if forgery.code != "audit-folder-without-draft":
            assert report.verdict is not Verdict.VALID
        # The step that is said to find it does: left out, it does not, and no other one does.
        left = set(report.findings) - set(forger.audit([forgery.step]).findings)
        assert forgery.code in {finding.code for finding in left}, forgery.step
