"""The definition is checked at start, and can only narrow what the platform allows."""

from __future__ import annotations

import json

import pytest
from conftest import make_definition

from agent_${{ values.primitive_id | replace('-', '_') }} import (
    definition,
    primitive,
    service,
    settings,
)

LIMITS = definition.Limits("agent-definition/x@1", ("find", "cancel"), "MEDIUM")
GOOD = {
    "ref": "agent-definition/x@1",
    "instructions": ["Be brief."],
    "riskTier": "MEDIUM",
    "tools": [{"name": "find"}],
    "budgets": {"steps": 5, "tokens": 1000, "wallTimeS": 30},
}


def parse(**changes):
    return definition.parse_definition(json.dumps({**GOOD, **changes}).encode(), LIMITS)


def make_settings(**changes):
    known = {
        "token_issuer": "i",
        "token_audience": "a",
        "token_jwks_url": "http://a.example.invalid",
    }
    return settings.Settings(**{**known, "model_api_key": "secret-key", **changes})


def test_the_definition_of_this_package_fits():
    found = service.definition_of(make_settings())
    assert found.ref == primitive.DEFINITION_REF
    granted = definition.granted_tools(found, service.LIMITS)
    assert tuple(granted) == primitive.ALLOWED_TOOLS
    assert all(grant.server is None or grant.side_effects for grant in granted.values())


def test_a_mounted_definition_takes_its_place(tmp_path):
    path = tmp_path / "definition.json"
    whole = {**GOOD, "ref": primitive.DEFINITION_REF, "riskTier": "HIGH", "tools": []}
    path.write_text(json.dumps(whole))
    assert service.definition_of(make_settings(definition_file=str(path))).risk_tier == "HIGH"


def test_a_definition_that_is_not_there_is_named(tmp_path):
    with pytest.raises(definition.InvalidDefinition, match=r"nowhere\.json"):
        service.definition_of(make_settings(definition_file=str(tmp_path / "nowhere.json")))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ref": "agent-definition/x@2"}, "ref"),
        ({"ref": "x"}, "ref"),
        ({"riskTier": "LOW"}, "riskTier"),
        ({"riskTier": "NONE"}, "riskTier"),
        ({"riskTier": "HIGH", "logPrompts": True}, "logPrompts"),
        ({"instructions": []}, "instructions"),
        ({"tools": [{"name": "find"}, {"name": "find"}]}, "find"),
        ({"tools": [{"name": "a b"}]}, "tools.0.name"),
        ({"tools": [{"name": "find", "sideEffect": False}]}, "tools.0.sideEffect"),
        ({"budgets": {"steps": 0, "tokens": 1, "wallTimeS": 1}}, "budgets.steps"),
        ({"budgets": {"steps": "5", "tokens": 1, "wallTimeS": 1}}, "budgets.steps"),
        ({"logPrompts": "yes"}, "logPrompts"),
        ({"extra": 1}, "extra"),
    ],
)
def test_a_faulty_definition_is_refused_and_the_place_is_named(changes, named):
    with pytest.raises(definition.InvalidDefinition) as caught:
        parse(**changes)
    assert any(named in problem for problem in caught.value.problems)


def test_all_problems_are_told_at_once():
    with pytest.raises(definition.InvalidDefinition) as caught:
        parse(ref="agent-definition/x@2", riskTier="LOW", tools=[{"name": "find"}] * 2)
    assert len(caught.value.problems) == 3


def test_what_the_platform_does_not_allow_is_not_granted():
    found = parse(tools=[{"name": "find"}, {"name": "drop_tables"}])
    assert list(definition.granted_tools(found, LIMITS)) == ["find"]


def test_what_the_definition_does_not_name_is_not_granted():
    assert list(definition.granted_tools(parse(), LIMITS)) == ["find"]


def test_a_tool_has_side_effects_unless_the_definition_denies_it():
    assert parse().tools[0].side_effects is True
    assert make_definition().tools[0].side_effects is False


def test_prompts_are_not_logged_unless_the_definition_asks_for_it():
    assert parse().log_prompts is False


def test_an_unknown_provider_is_named():
    from agent_${{ values.primitive_id | replace('-', '_') }}.models import UnknownProvider, open_model

    with pytest.raises(UnknownProvider, match="nobody:x"):
        open_model("nobody:x", api_key="k")


def test_the_default_model_can_be_opened():
    from agent_${{ values.primitive_id | replace('-', '_') }}.models import open_model

    assert open_model(primitive.DEFAULT_MODEL, api_key="k") is not None


def test_settings_never_show_the_key():
    assert "secret-key" not in repr(make_settings())
