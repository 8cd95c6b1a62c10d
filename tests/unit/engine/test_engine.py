"""An engine and its tools are values: another tool means another engine."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from pipeline.control.repo import Control
from pipeline.engine.engine import Engine
from pipeline.engine.opening import restrict
from pipeline.engine.tools import Tools
from pipeline.plan.view import EVERYTHING, Stage


def nothing(*given: Any) -> Any:
    """A tool that is never called."""
    raise AssertionError(given)


def something_else(*given: Any) -> Any:
    """Another one."""
    raise AssertionError(given)


@pytest.fixture
def engine() -> Engine:
    control = Control(Path("nowhere"), None, None, "control")  # type: ignore[arg-type]  # not asked
    tools = Tools(make_builder=nothing, run_checks=nothing, scan_secrets=nothing, templates={})
    return Engine(control, tools, remembers=True)


PARTS = ("reader", "proposer", "judge", "forge", "templates")


@pytest.mark.parametrize("name", [*(f.name for f in fields(Engine)), *PARTS, "run_checks", "new"])
def test_no_attribute_of_an_engine_can_be_set(engine: Engine, name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(engine, name, nothing)


@pytest.mark.parametrize("name", [f.name for f in fields(Tools)])
def test_no_tool_of_an_engine_can_be_exchanged_in_place(engine: Engine, name: str) -> None:
    with pytest.raises(FrozenInstanceError):
        setattr(engine.tools, name, something_else)


@pytest.mark.parametrize("part", ["reader", "proposer", "judge"])
def test_the_parts_of_an_engine_cannot_be_set_either(engine: Engine, part: str) -> None:
    made = getattr(engine, part)
    assert getattr(engine, part) is made, "it is made once"
    with pytest.raises(FrozenInstanceError):
        made.tools = engine.tools


def test_another_tool_makes_another_engine(engine: Engine) -> None:
    other = engine.using(run_checks=something_else)
    assert other.tools.run_checks is something_else
    assert other.reader.tools is other.tools and other.proposer.reader is other.reader
    assert other.tools.scan_secrets is nothing
    assert (other.control, other.scope, other.remembers) == (engine.control, engine.scope, True)
    assert engine.tools.run_checks is nothing and engine.reader.tools is engine.tools


def test_a_tool_that_does_not_exist_is_refused(engine: Engine) -> None:
    with pytest.raises(TypeError, match="run_check"):
        engine.using(run_check=something_else)


def test_an_engine_is_restricted_by_making_a_narrower_one(engine: Engine) -> None:
    narrow = restrict(engine, ["scaffold"], None)
    assert narrow.scope.stages == {Stage.SCAFFOLD} and engine.scope is EVERYTHING
    assert narrow.tools is engine.tools and narrow.remembers
