"""What judges manifests of delivery tools: their own definitions, by two readers.

kubeconform holds a manifest strictly to the JSON Schemas of `tools/deliveryschemas.py`; `crdcheck`
is the API server's own code, with unknown fields and CEL rules.
"""

from __future__ import annotations

import json
import subprocess
from functools import cache
from typing import Any

from pipeline.machine.versions import find_tool
from tests.conftest import ROOT

SCHEMAS = ROOT / ".tools" / "delivery-schemas"
KINDS = ("Application", "HelmRelease", "Kustomization")


@cache
def definition(kind: str) -> dict[str, Any]:
    """The definition of a kind, as its own project wrote it."""
    found: dict[str, Any] = json.loads((SCHEMAS / f"{kind.lower()}.crd.json").read_bytes())
    return found


def schema_problems(manifest: bytes) -> list[str]:
    """What kubeconform has against a manifest; an object that it does not know is a problem."""
    done = subprocess.run(
        [
            find_tool("kubeconform"),
            *("-strict", "-output", "json", "-verbose"),
            *("-schema-location", f"{SCHEMAS}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json"),
        ],
        input=manifest,
        capture_output=True,
        timeout=60,
        check=False,
    )
    [resource] = json.loads(done.stdout)["resources"]
    return [] if resource["status"] == "statusValid" else [resource["msg"] or resource["status"]]


def api_server_problems(manifest: dict[str, Any]) -> list[str]:
    """What the API server's code has against an object of one of the kinds."""
    asked = {"definitions": [definition(manifest["kind"])], "objects": [{"object": manifest}]}
    done = subprocess.run(
        [ROOT / ".tools" / "bin" / "crdcheck"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    [problems] = json.loads(done.stdout)["objects"]
    return list(problems)
