"""The custom resources, checked by kubeconform, by JSON Schema, and by the API server's own code.

`crdcheck` (tools/crdcheck) links `k8s.io/apiextensions-apiserver`, so CEL rules are compiled,
costed and evaluated exactly as in a cluster.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from pipeline.crds import KINDS, definition_path, json_schema_path
from pipeline.diagnostics import Finding
from pipeline.releases.allowlist import load_allowed
from pipeline.releases.rules import Target, check_objects
from pipeline.tools.kubeconform import run_kubeconform
from tests.support.bindings import bound_of, in_overlay
from tests.support.custom_resources import (
    AGAINST_RULE,
    AGAINST_SCHEMA,
    AGAINST_UPDATE,
    DIGEST,
    IMAGE,
    VALID,
    Change,
    Object,
    object_of,
)

ROOT = Path(__file__).resolve().parents[3]
CRDCHECK = ROOT / ".tools" / "bin" / "crdcheck"
NAMES = [kind.kind for kind in KINDS]


@cache
def definitions() -> Mapping[str, Object]:
    """Kind → definition, as the files hold it."""
    return {k.kind: yaml.safe_load((ROOT / definition_path(k)).read_bytes()) for k in KINDS}


@cache
def validator(kind: str) -> jsonschema_rs.Draft7Validator:
    """The published JSON Schema of a kind."""
    [found] = [k for k in KINDS if k.kind == kind]
    return jsonschema_rs.Draft7Validator(json.loads((ROOT / json_schema_path(found)).read_bytes()))


def ask_api_server(*items: Mapping[str, Object], of: str = "") -> tuple[dict[str, Any], list[Any]]:
    """What the API server's code says of the definitions, and of each item."""
    known = [definitions()[of]] if of else list(definitions().values())
    done = subprocess.run(
        [CRDCHECK],
        input=json.dumps({"definitions": known, "objects": items}),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    answer = json.loads(done.stdout)
    return answer["definitions"], answer["objects"]


def yaml_of(item: Object) -> bytes:
    return yaml.safe_dump(item).encode()


# -- definitions --------------------------------------------------------------------------


def test_an_api_server_accepts_every_definition() -> None:
    found, _ = ask_api_server()
    assert found == {f"{kind.plural}.ameide.io": [] for kind in KINDS}
    assert len(found) == 6


def test_an_api_server_refuses_a_definition_whose_rule_is_wrong() -> None:
    # Else the test above could not fail.
    broken = json.loads(json.dumps(definitions()["Agent"]))
    schema = broken["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["x-kubernetes-validations"][0]["rule"] = "self.nosuch == 1"
    asked = json.dumps({"definitions": [broken], "objects": []})
    done = subprocess.run([CRDCHECK], input=asked, capture_output=True, text=True, check=True)
    [problem] = json.loads(done.stdout)["definitions"]["agents.ameide.io"]
    assert "undefined field 'nosuch'" in problem


@pytest.mark.parametrize("kind", NAMES)
def test_a_definition_fits_the_schema_of_definitions(kind: str) -> None:
    definition = definitions()[kind]
    assert run_kubeconform(yaml_of(definition), file="crd") == ()
    definition["spec"]["versions"][0]["served"] = "yes"
    try:
        assert run_kubeconform(yaml_of(definition), file="crd")
    finally:
        definition["spec"]["versions"][0]["served"] = True


def nodes(schema: Object, path: str = "") -> Iterator[tuple[str, Object]]:
    """Every schema inside a schema, with its path."""
    yield path, schema
    for name, inner in schema.get("properties", {}).items():
        yield from nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(inner := schema.get(key), dict):
            yield from nodes(inner, f"{path}[]")


@pytest.mark.parametrize("kind", NAMES)
def test_every_property_has_a_type_a_meaning_and_a_bound(kind: str) -> None:
    schema = definitions()[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    found = dict(nodes(schema))
    assert len(found) > 50
    for path, node in found.items():
        assert node["type"] in {"object", "array", "string", "integer", "boolean"}, path
        assert not any(key.startswith("x-kubernetes-preserve") for key in node), path
        if path not in {"", ".metadata", ".apiVersion", ".kind"} and not path.endswith("[]"):
            assert node["description"].strip(), path
        if path.startswith(".spec"):
            bounds = {
                "string": {"maxLength", "enum"},
                "integer": {"maximum"},
                "array": {"maxItems"},
                "object": {"properties", "maxProperties"},
                "boolean": {"type"},
            }[node["type"]]
            assert bounds & set(node), path


@pytest.mark.parametrize("kind", NAMES)
def test_status_is_a_subresource_beside_spec(kind: str) -> None:
    version = definitions()[kind]["spec"]["versions"][0]
    assert version["subresources"] == {"status": {}}
    assert [c["name"] for c in version["additionalPrinterColumns"]][-3:] == [
        "Ready",
        "Image",
        "Age",
    ]
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]["properties"]
    assert status["observedGeneration"]["format"] == "int64"
    conditions = status["conditions"]
    assert conditions["x-kubernetes-list-type"] == "map"
    assert conditions["x-kubernetes-list-map-keys"] == ["type"]


def test_the_allow_list_holds_exactly_the_defined_fields() -> None:
    own = {kind for api, kind in load_allowed().kinds if api == "ameide.io/v1"}
    assert own == set(NAMES) == set(VALID)


# -- objects ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", NAMES)
def test_a_valid_object_passes_everywhere(kind: str) -> None:
    smallest = object_of(kind)
    required = definitions()[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    needed = required["properties"]["spec"]["required"]
    smallest["spec"] = {k: v for k, v in smallest["spec"].items() if k in needed}
    if kind == "Integration":
        smallest["spec"]["direction"] = "Inbound"
    items = [object_of(kind), smallest]
    assert ask_api_server(*({"object": o} for o in items), of=kind)[1] == [[], []]
    for item in items:
        assert list(validator(kind).iter_errors(item)) == []
        assert run_kubeconform(yaml_of(item), file="overlay") == ()


@pytest.mark.parametrize("kind", NAMES)
def test_what_the_schema_forbids_is_refused_by_every_reader(kind: str) -> None:
    changes = AGAINST_SCHEMA[kind]
    items = [object_of(kind, change) for change in changes]
    # One name each, so that every object of the stream is told of by itself.
    for number, item in enumerate(items):
        item["metadata"]["name"] = f"orders-{number}"
    _, problems = ask_api_server(*({"object": item} for item in items), of=kind)
    stream = b"---\n".join(yaml_of(item) for item in items)
    told = run_kubeconform(stream, file="overlay")
    assert {finding.code for finding in told} == {"manifest-schema"}
    refused = {finding.location.file.rpartition("/")[2] for finding in told}
    for change, item, said in zip(changes, items, problems, strict=True):
        assert said, f"the API server would take {change}"
        assert item["metadata"]["name"] in refused, f"kubeconform takes {change}"
        assert not validator(kind).is_valid(item), f"JSON Schema takes {change}"


@pytest.mark.parametrize("kind", NAMES)
def test_what_a_rule_forbids_is_refused_by_that_rule(kind: str) -> None:
    cases = AGAINST_RULE[kind]
    items = [object_of(kind, change) for change, _ in cases]
    for item in items:
        assert validator(kind).is_valid(item), "the schema says it already"
    _, problems = ask_api_server(*({"object": item} for item in items), of=kind)
    for (change, message), said in zip(cases, problems, strict=True):
        assert len(said) == 1 and message in said[0], (change, said)


@pytest.mark.parametrize("kind", [kind for kind in NAMES if AGAINST_UPDATE[kind]])
def test_immutable_fields_stay(kind: str) -> None:
    cases = AGAINST_UPDATE[kind]
    old = object_of(kind)
    pairs = [{"object": object_of(kind, change), "old": old} for change, _ in cases]
    _, problems = ask_api_server(*pairs, {"object": old, "old": old}, of=kind)
    assert problems.pop() == []
    for (change, message), said in zip(cases, problems, strict=True):
        assert len(said) == 1 and message in said[0], (change, said)
    fresh = [{"object": pair["object"]} for pair in pairs]
    assert ask_api_server(*fresh, of=kind)[1] == [[] for _ in cases], "a new object may say so"


@pytest.mark.parametrize("kind", NAMES)
def test_every_rule_has_an_object_that_breaks_it(kind: str) -> None:
    schema = definitions()[kind]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    rules = [r for _, node in nodes(schema) for r in node.get("x-kubernetes-validations", ())]
    broken = [message for _, message in (*AGAINST_RULE[kind], *AGAINST_UPDATE[kind])]
    for rule in rules:
        assert any(message in rule["message"] for message in broken), rule


def test_an_immutable_tag_may_stand_beside_the_digest() -> None:
    tags = (":1.2.3", ":v1.2.3-rc.1", ":" + "0f" * 20)
    items = [object_of("Domain", ("image", IMAGE.replace("@", f"{tag}@"))) for tag in tags]
    assert ask_api_server(*({"object": item} for item in items))[1] == [[], [], []]
    port = object_of("Domain", ("image", f"registry.example.com:5000/a/b@{DIGEST}"))
    assert ask_api_server({"object": port})[1] == [[]]


# -- manifests ----------------------------------------------------------------------------

TARGET = Target("overlay", bound_of("orders", image=IMAGE))


def findings_in_overlay(item: Object) -> list[Finding]:
    """What the rules find in the object as an overlay makes it."""
    return list(check_objects(in_overlay([item], TARGET.bound), TARGET))


@pytest.mark.parametrize(
    ("api", "kind"),
    [("ameide.io/v1", "Widget"), ("ameide.io/v2", "Domain"), ("ameide.example/v1", "Domain")],
)
def test_two_checks_find_an_unknown_kind_of_the_group(api: str, kind: str) -> None:
    item = {**object_of("Domain"), "apiVersion": api, "kind": kind}
    assert "manifest-kind" in {finding.code for finding in check_objects([item], TARGET)}
    assert run_kubeconform(yaml_of(item), file="overlay")


@pytest.mark.parametrize("kind", NAMES)
def test_a_custom_resource_runs_the_release_s_image(kind: str) -> None:
    assert findings_in_overlay(object_of(kind)) == []
    other: tuple[Change, ...] = (
        ("image", IMAGE.replace("ab", "cd")),
        ("image", IMAGE.replace("tenant-acme", "tenant-contoso")),
        ("image", None),
    )
    for change in other:
        [finding] = findings_in_overlay(object_of(kind, change))
        assert finding.code == "manifest-image" and "`spec.image`" in finding.message


def test_every_image_that_an_operator_would_run_is_judged() -> None:
    item = object_of("Domain", ("db.migrationJobImage", IMAGE.replace("ab", "cd")))
    [finding] = findings_in_overlay(item)
    assert finding.code == "manifest-image" and "`spec.db.migrationJobImage`" in finding.message
