"""The shape of definitions."""

from __future__ import annotations

from typing import Any

import pytest
from conftest import definition_document

from process_${{ values.primitive_id | replace('-', '_') }}.definition import DefinitionError
from process_${{ values.primitive_id | replace('-', '_') }}.definition import parse_definition
from process_${{ values.primitive_id | replace('-', '_') }}.names import DEFINITION_REF


def test_a_definition_is_read_with_its_defaults() -> None:
    definition = parse_definition(definition_document(), DEFINITION_REF)
    assert definition.reference == DEFINITION_REF
    assert [step.name for step in definition.steps] == ["reserve", "charge", "ship"]
    assert definition.steps[1].approval
    assert definition.steps[2].undo == ""
    assert definition.steps[2].start_to_close_s == 30


STEP: dict[str, Any] = {"name": "one", "action": "a/b"}


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"id": "another"}, "id: not"),
        ({"version": 10**9}, "version: not"),
        ({"version": True}, "version: not"),
        ({"tenant_id": "North!"}, "tenant_id"),
        ({"tenant_id": None}, "tenant_id"),
        ({"colour": "red"}, "colour: unknown"),
        ({"steps": []}, "steps: not a list of 1 to 50"),
        ({"steps": [STEP] * 51}, "steps: not a list of 1 to 50"),
        ({"steps": [STEP, STEP]}, "same name"),
        ({"steps": ["one"]}, "steps[0]: not an object"),
        ({"steps": [{**STEP, "name": "One"}]}, "steps[0].name"),
        ({"steps": [{**STEP, "name": "n" * 101}]}, "steps[0].name"),
        ({"steps": [{**STEP, "action": "../admin"}]}, "steps[0].action"),
        ({"steps": [{**STEP, "undo": "a/b/c"}]}, "steps[0].undo"),
        ({"steps": [{**STEP, "undo": 1}]}, "steps[0].undo"),
        ({"steps": [{**STEP, "approval": "yes"}]}, "steps[0].approval"),
        ({"steps": [{**STEP, "retries": 3}]}, "steps[0].retries: unknown"),
        ({"steps": [{**STEP, "heartbeat_s": 0}]}, "steps[0].heartbeat_s"),
        ({"steps": [{**STEP, "heartbeat_s": True}]}, "steps[0].heartbeat_s"),
        ({"steps": [{**STEP, "start_to_close_s": 1.5}]}, "steps[0].start_to_close_s"),
        (
            {"steps": [{**STEP, "start_to_close_s": 60, "schedule_to_close_s": 30}]},
            "more than schedule_to_close_s",
        ),
    ],
)
def test_a_wrong_shape_is_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse_definition(definition_document(**changes), DEFINITION_REF)
    assert any(problem in text for text in caught.value.problems), caught.value.problems


@pytest.mark.parametrize("document", [None, [], "text", 3])
def test_what_is_no_object_is_refused(document: object) -> None:
    with pytest.raises(DefinitionError, match="not an object"):
        parse_definition(document, DEFINITION_REF)


def test_all_problems_are_told_at_once() -> None:
    steps = [{"name": "A", "action": "b", "heartbeat_s": -1}]
    with pytest.raises(DefinitionError) as caught:
        parse_definition(definition_document(id="x", steps=steps), DEFINITION_REF)
    assert len(caught.value.problems) == 4


@pytest.mark.parametrize("reference", ["", "a@1", "process-definition/a", "process-definition/.@1"])
def test_a_malformed_reference_is_refused(reference: str) -> None:
    with pytest.raises(DefinitionError):
        parse_definition(definition_document(), reference)
