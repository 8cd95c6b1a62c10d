"""Every attack runs to its end and is stopped where its folder says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from pipeline.diagnostics import RULES
from pipeline.rules import load_rules
from tests.attacks import disk  # noqa: F401 # registers its steps
from tests.attacks.changes import changed
from tests.attacks.model import HERE, ROLES, Attack, read_attacks
from tests.attacks.pending import PENDING
from tests.attacks.promises import PROMISES
from tests.attacks.steps import STEPS, play
from tests.attacks.worlds import AttackWorld, GithubWorlds, local_world
from tests.conftest import ROOT
from tests.support.story import policy_files

ATTACKS = read_attacks()
BY_NAME = {attack.name: attack for attack in ATTACKS}


@pytest.fixture(scope="module")
def github(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GithubWorlds]:
    worlds = GithubWorlds(tmp_path_factory.mktemp("attacks-github"))
    yield worlds
    worlds.close()


def cases(forge: str) -> list[object]:
    """The attacks on a forge; those that nothing stops yet must fail."""
    return [
        pytest.param(
            attack,
            id=attack.name,
            marks=[pytest.mark.xfail(reason=f"stopped by {PENDING[attack.name]}", strict=True)]
            if attack.name in PENDING
            else [],
        )
        for attack in ATTACKS
        if forge in attack.over
    ]


@pytest.mark.parametrize("attack", cases("local"))
def test_attack_on_the_local_forge(attack: Attack, tmp_path: Path) -> None:
    policy = {}
    if attack.policy:
        files = {path: (0o100644, content) for path, content in policy_files().items()}
        policy = {p: c for p, (_, c) in changed(None, files, attack.policy).items()}  # type: ignore[arg-type]  # edits alone
    carry_out(
        attack, local_world(attack.starts, policy, attack.folder, tmp_path), attack.stopped_by
    )


@pytest.mark.parametrize("attack", cases("github"))
def test_attack_on_github(attack: Attack, tmp_path: Path, github: GithubWorlds) -> None:
    carry_out(attack, github.world(attack.starts, attack.folder, tmp_path), attack.on_github)


def carry_out(
    attack: Attack,
    opened: AbstractContextManager[AttackWorld],
    stopped_by: Mapping[str, Sequence[str]],
) -> None:
    """Run the attack to its end, and check what must hold then."""
    with opened as world, world.undone:
        play(world, attack.before)
        assert not world.seen, f"honest people were refused: {world.told}"
        world.moved.clear()
        world.recorded.clear()
        play(world, attack.steps)
        seen = {where: set(codes) for where, codes in world.seen.items()}
        for where, codes in stopped_by.items():
            lacking = set(codes) - seen.get(where, set())
            assert not lacking, f"{where} does not say {sorted(lacking)}: {world.told}"
        unexpected = seen.keys() - stopped_by.keys()
        assert not unexpected, f"also refused: {world.told}"
        assert world.recorded == {d: list(kinds) for d, kinds in attack.recorded.items()}
        states = {f"control refs/heads/state/{draft.split('/')[0]}" for draft in attack.recorded}
        beyond = [
            ref
            for ref in sorted(world.moved.keys() - states)
            if not any(fnmatchcase(ref, pattern) for pattern in attack.moves)
        ]
        assert not beyond, f"a run of the attack moved {beyond}: {world.told}"


def test_every_attack_folder_is_run() -> None:
    folders = {
        path.relative_to(HERE).as_posix() for role in ROLES for path in (HERE / role).iterdir()
    }
    assert folders == set(BY_NAME)
    for role in ROLES:
        numbers = [a.folder.name.split("-")[0] for a in ATTACKS if a.role == role]
        assert numbers == [f"{n:02}" for n in range(1, len(numbers) + 1)], role


def test_every_promise_has_enough_attacks() -> None:
    assert len(ATTACKS) >= 80
    assert {attack.promise for attack in ATTACKS} == set(PROMISES)
    assert {attack.role for attack in ATTACKS} == set(ROLES)


def test_no_two_attacks_are_the_same() -> None:
    told = [
        (
            str(a.policy),
            str(a.before),
            str(a.steps),
            a.starts,
            *(p.read_text() for p in sorted(a.folder.iterdir()) if p.name != "attack.yaml"),
        )
        for a in ATTACKS
    ]
    assert len(set(told)) == len(told)
    assert len({attack.story for attack in ATTACKS}) == len(ATTACKS)


def test_every_pending_entry_is_an_attack() -> None:
    assert set(PENDING) <= set(BY_NAME)


def test_promises_stand_in_the_guarantees() -> None:
    page = (ROOT / "docs/guarantees.md").read_text(encoding="utf-8")
    for promise in PROMISES.values():
        assert f"| {promise} |" in page


def test_every_stopping_code_is_a_rule_or_an_error() -> None:
    load_rules()
    told = ("plain push", "merge")  # a hook says no code, and a merge says that it was one
    errors = {"forge-refused", "refused", "stale-plan", "usage", "could-not-check", "not-found"}
    for attack in ATTACKS:
        if attack.name in PENDING:
            continue
        stops = (*attack.stopped_by.items(), *attack.on_github.items())
        codes = {code for where, codes in stops for code in codes if where not in told}
        assert codes <= set(RULES) | errors, f"{attack.name}: {codes}"


def test_every_step_is_used() -> None:
    used = {
        step if isinstance(step, str) else next(iter(step))
        for attack in ATTACKS
        for step in (*attack.before, *attack.steps)
    }
    assert set(STEPS) - used == set()
