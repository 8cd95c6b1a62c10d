"""The golden template `agent`: its definition, its API and its custom resource say one thing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from tests.support.golden_templates import AGENT
from tests.support.projects import Values, hydrated, render_project

CASES = AGENT.cases


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Values:
    return CASES[request.param]


def definition_of(values: Values) -> Mapping[str, Any]:
    files = render_project("agent", values)
    [content] = [file.content for path, file in files.items() if path.endswith("/definition.json")]
    definition: Mapping[str, Any] = json.loads(content)
    return definition


def test_the_definition_names_the_tools_and_trusts_none_of_a_server(case: Values) -> None:
    definition = definition_of(case)
    assert definition["ref"] == case["definition_ref"]
    assert definition["riskTier"] == case["risk_tier"]
    assert [tool["name"] for tool in definition["tools"]] == case["allowed_tools"]
    for tool in definition["tools"]:
        assert tool["sideEffects"] is (tool["server"] is not None)
    assert definition["logPrompts"] is False


def test_the_custom_resource_says_the_same(case: Values) -> None:
    content = render_project("agent", case)["chart/values.yaml"].content
    values = yaml.load(content, yaml.CSafeLoader)
    assert values["resource"]["kind"] == "Agent"
    spec = values["resource"]["spec"]
    model = spec["model"]
    assert f"{model['provider']}:{model['name']}" == case["default_model"]
    assert spec["definitionRef"] == {"id": case["definition_ref"], "tenantId": case["tenant_id"]}
    assert spec["tools"] == {"allowed": case["allowed_tools"]}
    assert spec["riskTier"] == case["risk_tier"]
    assert spec["observability"] == {"logPrompts": False, "emitTokens": True}
    sessions = values["settings"]["MAX_PARALLEL_SESSIONS"]
    assert str(spec["concurrency"]["maxParallelSessions"]) == sessions


def test_the_api_definition_resolves() -> None:
    content = render_project("agent", AGENT.values())["api/openapi.yaml"].content
    definition = yaml.load(content, yaml.CSafeLoader)
    references = set(re.findall(r"'\$ref': '#/([a-zA-Z/]+)'", str(definition)))
    assert len(references) >= 5
    for reference in references:
        node = definition
        for part in reference.split("/"):
            node = node[part]


def test_pods_get_the_model_s_key_from_a_secret_alone() -> None:
    deployment = hydrated("agent", AGENT.values())["Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    secrets = [entry["secretRef"] for entry in container["envFrom"] if "secretRef" in entry]
    assert [secret["name"] for secret in secrets] == ["order-router-model"]


def test_an_operator_is_told_the_model_and_no_key() -> None:
    spec = hydrated("agent", AGENT.values(), runtime="operator")["Agent"]["spec"]
    assert spec["model"] == {"provider": "anthropic", "name": "claude-sonnet-4"}
    assert spec["env"]["TOKEN_AUDIENCE"] == "order-router"
    assert "MODEL_API_KEY" not in spec["env"]
