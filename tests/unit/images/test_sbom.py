"""The bill of materials: what the locks pin, with hashes, in CycloneDX."""

from __future__ import annotations

import json
from importlib.resources import files as resources_of
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import OverBound
from pipeline.images.sbom import sbom_of
from tests.conftest import ROOT

IMAGE, TREE = "registry.example.com/ameide/tenant-acme/router", "ab" * 20
SKELETONS = ROOT / "pipeline" / "templates"


def document_of(**files: bytes) -> Any:
    named = {
        {"python": "requirements.lock", "node": "package-lock.json"}[name]: (0o100644, content)
        for name, content in files.items()
    }
    return json.loads(sbom_of(named, image=IMAGE, tree=TREE))


def validator() -> jsonschema_rs.Validator:
    """CycloneDX's own schema, without a look at any other place."""
    folder = resources_of("cyclonedx.schema") / "_res"
    named = {path.name: path for path in folder.iterdir() if path.name.endswith(".json")}
    schemas = {
        name: json.loads(named[file].read_text())
        for name, file in (
            ("http://cyclonedx.org/schema/bom-1.6.schema.json", "bom-1.6.SNAPSHOT.schema.json"),
            ("http://cyclonedx.org/schema/spdx.SNAPSHOT.schema.json", "spdx.SNAPSHOT.schema.json"),
            (
                "http://cyclonedx.org/schema/jsf-0.82.SNAPSHOT.schema.json",
                "jsf-0.82.SNAPSHOT.schema.json",
            ),
        )
    }
    main = schemas.pop("http://cyclonedx.org/schema/bom-1.6.schema.json")
    registry = jsonschema_rs.Registry(list(schemas.items()))
    return jsonschema_rs.Draft7Validator(main, registry=registry, validate_formats=False)


def test_the_bill_of_materials_of_every_template_is_valid_cyclonedx() -> None:
    seen = 0
    for lock in sorted(SKELETONS.glob("*/skeleton/*")):
        if lock.name in {"requirements.lock", "package-lock.json"}:
            text = sbom_of({lock.name: (0o100644, lock.read_bytes())}, image=IMAGE, tree=TREE)
            document = json.loads(text)
            validator().validate(document)
            assert len(document["components"]) > 5, lock
            seen += 1
    assert seen == 4
    with pytest.raises(jsonschema_rs.ValidationError):
        validator().validate({"bomFormat": "CycloneDX"})


def test_a_package_is_listed_with_its_address_and_hashes() -> None:
    hashes = " ".join(f"--hash=sha256:{digit * 64}" for digit in "12")
    document = document_of(
        python=f"Typing_Extensions[x]==4.16.0 ; python_version > '3' {hashes}\n".encode()
    )
    [component] = document["components"]
    assert component["purl"] == "pkg:pypi/typing-extensions@4.16.0"
    assert component["hashes"] == [
        {"alg": "SHA-256", "content": "1" * 64},
        {"alg": "SHA-256", "content": "2" * 64},
    ]


def test_npm_packages_are_listed_except_development_ones() -> None:
    packages = {
        "": {"name": "ui"},
        "node_modules/next": {"version": "16.0.0", "integrity": "sha512-AAAA"},
        "node_modules/@scope/part": {"version": "1.0.0"},
        "node_modules/next/node_modules/next": {"version": "16.0.0"},
        "node_modules/biome": {"version": "2.0.0", "dev": True},
        "node_modules/here": {"link": True},
    }
    document = document_of(node=json.dumps({"packages": packages}).encode())
    assert [c["purl"] for c in document["components"]] == [
        "pkg:npm/%40scope/part@1.0.0",
        "pkg:npm/next@16.0.0",
    ]
    assert document["components"][1]["hashes"] == [{"alg": "SHA-512", "content": "000000"}]


def test_the_bill_of_materials_names_the_image_and_depends_on_the_tree_alone() -> None:
    document = document_of()
    assert document["metadata"]["component"]["name"] == IMAGE
    assert document["metadata"]["component"]["version"] == f"src-{TREE}"
    assert document == document_of()
    assert "components" not in document


@given(st.binary(max_size=200))
def test_another_npm_lock_format_is_could_not_check(content: bytes) -> None:
    with pytest.raises(OverBound, match=r"package-lock\.json"):
        document_of(node=content)


@pytest.mark.parametrize(
    "packages",
    [
        [],
        {"node_modules/a": {}},
        {"node_modules/a": 1},
        {"node_modules/a": {"version": "1", "integrity": "md5"}},
    ],
)
def test_an_incomplete_npm_lock_is_could_not_check(packages: object) -> None:
    with pytest.raises(OverBound):
        document_of(node=json.dumps({"packages": packages}).encode())
