"""docs/attacks.md lists exactly the attacks."""

from __future__ import annotations

from tests.attacks.model import read_attacks
from tests.attacks.promises import PROMISES
from tools.attacks_page import PAGE, main, render_page


def test_the_page_is_fresh() -> None:
    assert main(["--check"]) == 0, "run `make docs`"


def test_every_attack_has_a_row() -> None:
    attacks = read_attacks()
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    assert len([row for row in rows if not row.startswith("| attack |")]) == len(attacks)


def test_a_pending_attack_is_marked_on_the_page() -> None:
    attack = read_attacks()[0]
    assert "(not yet)" in render_page([attack], PROMISES, {attack.name: "a branch"})
    assert "(not yet)" not in render_page([attack], PROMISES, {})
