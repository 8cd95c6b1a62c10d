"""The report of rules: each has an input that fails, one that passes, and a place in the docs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.diagnostics import RULE_ID, RULES, Rule, Subject, register
from pipeline.docs import PRODUCERS, main, read_stale
from pipeline.errors import ERRORS
from pipeline.render.rules import example_lines, render_rule, render_rules_page
from pipeline.rules import load_rules
from tests.support.rule_runners import needs_tools, run_rule
from tests.support.rule_scenarios import SCENARIOS

ROOT = Path(__file__).resolve().parent.parent.parent
ALL = load_rules()


PURE = {id: rule for id, rule in ALL.items() if not needs_tools(rule)}


@pytest.mark.parametrize("rule", PURE.values(), ids=list(PURE))
def test_a_rule_has_an_input_that_fails_and_one_that_passes(
    rule: Rule, record_property: Callable[[str, object], None]
) -> None:
    run = run_rule(rule)
    record_property("rule", run.row)
    assert run.problems == ()


def test_wrong_examples_are_reported() -> None:
    rule = ALL["yaml-anchor"]
    with pytest.raises(KeyError):
        run_rule(rule, {})
    swapped = dataclasses.replace(rule, fails=rule.passes, passes=rule.fails)
    assert len(run_rule(swapped).problems) == 2


def test_every_scenario_breaks_a_rule() -> None:
    scenarios = {id for id, rule in PURE.items() if rule.subject is Subject.SCENARIO}
    assert scenarios == set(SCENARIOS)


@pytest.mark.parametrize("rule", ALL.values(), ids=list(ALL))
def test_a_rule_says_what_why_and_how(rule: Rule) -> None:
    assert RULE_ID.match(rule.id)
    for text in (rule.summary, rule.why, rule.fix, rule.fails, rule.passes):
        assert text.strip()
    # The summary is a sentence; why and fix follow their label, as in `why:  people answer`.
    assert rule.summary.endswith(".") and rule.summary[0] in rule.summary[0].upper()
    assert not rule.why.endswith(".") and not rule.fix.endswith(".")
    assert "\n" not in rule.summary + rule.why + rule.fix


def test_ids_are_unique() -> None:
    with pytest.raises(ValueError, match="taken"):
        register(ALL["yaml-anchor"])
    with pytest.raises(ValueError, match="kebab"):
        register(dataclasses.replace(ALL["yaml-anchor"], id="Yaml_Anchor"))
    assert list(ALL) == sorted(RULES)


def test_generated_pages_are_fresh() -> None:
    assert [path for path, _ in read_stale(ROOT)] == [], "run `make docs`"


def test_a_new_control_repo_begins_with_the_environments_that_this_one_has() -> None:
    made = {path for path, _ in PRODUCERS if path.startswith("pipeline/starter/")}
    there = (path for path in (ROOT / "pipeline" / "starter").rglob("*") if path.is_file())
    assert {path.relative_to(ROOT).as_posix() for path in there} == made
    policy = {p.relative_to(ROOT).as_posix() for p in ROOT.glob("environments/*/environment.yaml")}
    assert {f"pipeline/starter/{path}" for path in policy} <= made


def test_check_tells_stale_from_fresh(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = ["--root", str(tmp_path)]
    assert main(["--check", *root]) == 1
    assert not any(tmp_path.iterdir())
    assert main(root) == 0
    assert main(["--check", *root]) == 0
    page = tmp_path / PRODUCERS[0][0]
    page.write_bytes(page.read_bytes() + b"x")
    assert main(["--check", *root]) == 1
    assert "docs/rules.md is stale" in capsys.readouterr().err


def test_the_page_has_an_anchor_per_rule_and_no_misleading_character() -> None:
    page = render_rules_page(ALL).decode("utf-8")
    headings = [line[4:] for line in page.splitlines() if line.startswith("### ")]
    assert sorted(headings) == sorted([*ALL, *ERRORS])
    assert "\u202e" not in page and "\u2028" not in page and "\u200b" not in page
    assert len(page) < 500_000


def test_an_explanation_shows_both_examples_shortened() -> None:
    text = render_rule(ALL["yaml-too-large"])
    assert "why:" in text and "help:" in text and "fails:" in text and "passes:" in text
    assert max(map(len, text.splitlines())) < 140
    assert example_lines("a\n" * 50)[-1] == "… (10 more lines)"


def test_every_subject_has_a_heading() -> None:
    rule = ALL["yaml-anchor"]
    for subject in Subject:
        page = render_rules_page({rule.id: dataclasses.replace(rule, subject=subject)})
        assert b"### yaml-anchor" in page
