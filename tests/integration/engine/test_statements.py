"""Signed statements in a whole world: what waits for them, what they let pass, what is proved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.documents import parse_document, render_document
from pipeline.git.repository import GitRepository
from pipeline.models.base import moment_of
from pipeline.models.facts import Promoted, PromotionRefused
from pipeline.models.statements import SCAN_TYPE, VEX_TYPE
from pipeline.plan.effects import Effect
from pipeline.requests.layout import statement_path
from tests.support.clocks import SetClock
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.finished_story import CODE, CONTROL, GITOPS, audit
from tests.support.samples import DRAFT
from tests.support.signed_world import HOLE, TICKET, Signing
from tests.support.state_writer import Forger, with_fact
from tests.support.statement_evidence import sarif, vex
from tests.support.story import story_at
from tests.support.sweep import Crash
from worlds.control_repo import CLOCK_S

NOT_REACHED = {"CVE-2026-1234": {"state": "not_affected", "justification": "code_not_reachable"}}


@pytest.fixture
def signing(tmp_path: Path) -> Iterator[Signing]:
    """A draft that staging runs, and a prod that asks for statements."""
    story = story_at("in staging", tmp_path / "world")
    yield Signing(story, tmp_path)
    story.close()


def promoted(signing: Signing) -> Promoted:
    body = signing.newest()
    assert isinstance(body, Promoted) and body.environment == "prod", signing.waits_for()
    return body


def test_a_promotion_waits_for_its_statements_and_the_audit_proves_them(signing: Signing) -> None:
    signing.ask()
    assert signing.waits_for() == ["statement-missing", "vulnerability-report-missing"]
    # One by somebody whom prod does not accept changes nothing.
    signing.bring("scan-by-the-board", "board", SCAN_TYPE, sarif({}), scanned_s=CLOCK_S - 60)
    signing.story.go()
    assert signing.waits_for() == ["statement-missing", "statement-foreign"]
    signing.bring_all({"CVE-2026-1": 6.9})
    signing.story.go()
    body = promoted(signing)
    paths = [statement_path(DRAFT, name) for name in ("scan", "ticket")]
    assert [(s.request, s.signer) for s in body.stated] == list(
        zip(paths, ("scanner", "board"), strict=True)
    )
    report = audit(signing.story.world)
    assert report.findings == () and report.proved["signed statements verified again"] == 2
    told = {(t.what, t.whose) for t in report.trusted if "statement" in t.what}
    assert told == {
        ("what a statement says of an image", f"signer `{name}`") for name in ("board", "scanner")
    }


def test_a_vulnerability_refuses_until_vex_takes_it_out(signing: Signing) -> None:
    signing.bring_all()
    signing.ask()
    refused = signing.newest()
    assert isinstance(refused, PromotionRefused)
    assert [reason.code for reason in refused.reasons] == ["vulnerability-over-limit"]
    signing.bring("vex", "security-team", VEX_TYPE, vex(NOT_REACHED, moment_of(CLOCK_S - 60)))
    path = f"tenants/acme/drafts/{DRAFT.split('/')[1]}/promotions/prod.yaml"
    git = signing.story.engine.control.open_repository()
    there = git.read_object(f"{signing.story.engine.snapshot().commit}:{path}")
    assert there is not None
    again = there.content.replace(b"reason: ", b"reason: Once more, ")
    signing.story.request(path, again, RELEASE_MANAGERS[0], SECURITY_ID)
    signing.story.go()
    assert len(promoted(signing).stated) == 3
    assert audit(signing.story.world).findings == ()


@pytest.mark.parametrize("lie", ["fewer", "another one", "an older commit", "before the worse one"])
def test_the_audit_finds_a_promotion_past_the_statements_of_its_time(
    tmp_path: Path, clock: SetClock, lie: str
) -> None:
    """Whoever writes state branches cannot leave out a statement, or take those of before."""
    story = story_at("in staging", tmp_path / "world")
    story.use(clock=clock)
    signing = Signing(story, tmp_path)
    signing.bring("ticket", "board", TICKET, {"ticket": "CHG-4711"})
    before = story.engine.snapshot().commit
    signing.bring("scan", "scanner", SCAN_TYPE, sarif({}), scanned_s=CLOCK_S - 60)
    signing.ask()
    body = promoted(signing)
    clock.now_s += 7_200
    signing.bring("worse", "scanner", SCAN_TYPE, sarif(HOLE), scanned_s=CLOCK_S, at_s=clock.now_s)
    number = len(story.engine.facts(DRAFT))
    clones = {
        name: GitRepository.clone(str(story.world.forge.path(name)), tmp_path / name)
        for name in (CONTROL, CODE, GITOPS)
    }
    forger = Forger.over(clones)
    changes: dict[str, dict[str, object]] = {
        "fewer": {"stated": body.stated[1:]},
        "another one": {"stated": (body.stated[0], body.stated[0])},
        "an older commit": {"policy": before},
        "before the worse one": {},
    }
    facts = changes[lie]
    if lie == "before the worse one":
        later = moment_of(clock.now_s + 3_600)
        forger.retell(lambda told: with_fact(told, number, decided_at=later))
    else:
        forger.retell_body(number, **facts)
    codes = {finding.code for finding in forger.audit().findings}
    forger.close()
    wanted = {
        "fewer": "audit-promotion-differs",
        "another one": "audit-promotion-differs",
        "an older commit": "audit-policy-replaced",
        "before the worse one": "audit-policy-replaced",
    }
    assert wanted[lie] in codes, codes


def test_a_run_after_a_crash_records_the_statements_of_the_merge(
    tmp_path: Path, clock: SetClock
) -> None:
    story = story_at("in staging", tmp_path / "world")
    story.use(clock=clock)
    signing = Signing(story, tmp_path)
    signing.bring_all({})
    story.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)

    def hook(at: str, effect: Effect) -> None:
        if (at, effect.kind) == ("after", "merge-pull"):
            raise Crash(effect.kind)

    faults = story.engine.tools.faults
    story.use(faults=hook)
    with pytest.raises(Crash):
        story.engine.run(tenants=["acme"])
    story.use(faults=faults)
    clock.now_s += 7_200
    signing.bring(
        "worse", "scanner", SCAN_TYPE, sarif(HOLE), scanned_s=clock.now_s, at_s=clock.now_s
    )
    story.go()
    body = promoted(signing)
    assert [s.request for s in body.stated] == [
        statement_path(DRAFT, name) for name in ("scan", "ticket")
    ]
    assert audit(story.world).findings == ()
    story.close()


def test_a_bundle_with_a_changed_word_counts_for_nothing(signing: Signing) -> None:
    signing.bring_all({})
    path = statement_path(DRAFT, "ticket")
    git = signing.story.engine.control.open_repository()
    there = git.read_object(f"{signing.story.engine.snapshot().commit}:{path}")
    assert there is not None
    value = parse_document(path, there.content).value
    bundle = json.loads(str(value["bundle"]))
    signature = bundle["dsseEnvelope"]["signatures"][0]["sig"]
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = signature[:8] + "AAAA" + signature[12:]
    value["bundle"] = json.dumps(bundle)
    signing.story.request(path, render_document(value), ENGINEER_ID)
    signing.ask()
    assert signing.waits_for() == ["statement-missing"]


def test_a_report_as_large_as_may_be_is_verified(signing: Signing) -> None:
    """Its words are nobody's business: that they name another tenant is no finding."""
    many = {f"CVE-2026-{number}": "3.9" for number in range(1_000, 4_000)}
    log = {**sarif(many), "note": "tenant-contoso " * 2_000}
    signing.bring("ticket", "board", TICKET, {"ticket": "contoso"})
    signing.bring("scan", "scanner", SCAN_TYPE, log, scanned_s=CLOCK_S - 60)
    assert signing.story.engine.findings() == ()
    signing.ask()
    assert len(promoted(signing).stated) == 2
