"""No module escapes the contracts of `lint-imports`: all have a layer, all pure ones are listed."""

import tomllib
from functools import cache
from typing import Any

import grimp
import pytest

from tests.conftest import ROOT

CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
}
WORLD = frozenset(CONTRACTS["purity"]["forbidden_modules"])


@cache
def graph() -> Any:
    return grimp.build_graph(
        "pipeline", include_external_packages=True, exclude_type_checking_imports=True
    )


def tops() -> set[str]:
    """The folders and modules right below `pipeline`."""
    return {m.split(".")[1] for m in graph().modules if m.startswith("pipeline.")}


def touches_the_world(top: str) -> bool:
    """Whether a module of this folder reaches, by its imports, what touches the world."""
    found = {f"pipeline.{top}", *graph().find_descendants(f"pipeline.{top}")}
    reached = set(found)
    for module in found:
        reached |= graph().find_upstream_modules(module)
    return bool(reached & WORLD)


def test_every_module_has_one_layer() -> None:
    listed = [name.strip() for layer in CONTRACTS["layers"]["layers"] for name in layer.split("|")]
    assert len(listed) == len(set(listed))
    assert set(listed) == tops()
    assert CONTRACTS["layers"]["exhaustive"]


def test_every_pure_module_is_in_the_purity_contract() -> None:
    pure = {f"pipeline.{top}" for top in tops() if not touches_the_world(top)}
    assert set(CONTRACTS["purity"]["source_modules"]) == pure


@pytest.mark.parametrize("top", ["git", "machine", "engine", "cli"])
def test_a_module_that_touches_the_world_is_found(top: str) -> None:
    assert touches_the_world(top)


def test_few_modules_are_at_the_top_level() -> None:
    assert len(list((ROOT / "pipeline").glob("*.py"))) <= 10
