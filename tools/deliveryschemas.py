"""JSON schemas of Argo CD's and Flux's own kinds, as kubeconform reads them, from their modules.

    python3 tools/deliveryschemas.py FOLDER CRD.yaml …    writes one schema for each kind

`download` runs before the project's virtual environment exists: Go fetches each module whole, and
what it says of the module's sum must be what is pinned here. Writing the schemas reads YAML, so it
runs in the environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

# Module and version → its sum, as `go.sum` would hold it, and the definitions that it brings.
MODULES: dict[str, tuple[str, str]] = {
    "github.com/argoproj/argo-cd/v3@v3.5.7": (
        "h1:Xm1BF+I5OgDKUG3SDK49vn2/Y5AMyaNVko+/JT08gj0=",
        "manifests/crds/application-crd.yaml",
    ),
    "github.com/fluxcd/helm-controller@v1.6.3": (
        "h1:MSiDP/s8xRSkO3g11vBiDStxfmJ5ZVdwDEpW7BSE/UA=",
        "config/crd/bases/helm.toolkit.fluxcd.io_helmreleases.yaml",
    ),
    "github.com/fluxcd/kustomize-controller@v1.9.6": (
        "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=",
        "config/crd/bases/kustomize.toolkit.fluxcd.io_kustomizations.yaml",
    ),
}


def download(go: Path) -> list[Path]:
    """The files of the definitions, in Go's module cache. Raises ValueError."""
    found = []
    environment = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "GOWORK": "off"}
    for module, (pinned, file) in MODULES.items():
        with tempfile.TemporaryDirectory() as nowhere:
            done = subprocess.run(
                [str(go), "mod", "download", "-json", module],
                cwd=nowhere,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
        if done.returncode:
            said = (done.stdout + done.stderr).strip()[-500:]
            raise ValueError(f"go mod download {module}: {said}")
        told = json.loads(done.stdout)
        if told.get("Sum") != pinned:
            raise ValueError(f"{module} has the sum {told.get('Sum')}, not {pinned}")
        path = Path(told["Dir"]) / file
        if not path.is_file():
            raise ValueError(f"{module} has no {file}")
        found.append(path)
    return found


def render_schemas(definition: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """File name and strict schema of each version that a definition of a kind serves."""
    spec = definition["spec"]
    group, kind = spec["group"], spec["names"]["kind"]
    for version in spec["versions"]:
        if version["served"]:
            schema = _strict(version["schema"]["openAPIV3Schema"], is_root=True)
            # As kubeconform's `{{.ResourceKind}}{{.KindSuffix}}` names it.
            yield f"{kind.lower()}-{group.split('.')[0]}-{version['name']}.json", schema


def _strict(node: Any, *, is_root: bool = False) -> Any:
    """A schema of a definition, where an object has no fields but those that are named."""
    if isinstance(node, list):
        return [_strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("x-kubernetes-int-or-string"):
        return {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    kept = {key: value for key, value in node.items() if not key.startswith("x-kubernetes-")}
    kept.pop("description", None)
    if "properties" in kept:
        kept["properties"] = {name: _strict(inner) for name, inner in kept["properties"].items()}
        if not node.get("x-kubernetes-preserve-unknown-fields"):
            kept.setdefault("additionalProperties", False)
    if is_root:
        # What any object has; a definition does not say it again.
        kept["properties"] = {**kept["properties"], "metadata": {"type": "object"}}
        kept["required"] = sorted({*kept.get("required", ()), "apiVersion", "kind", "metadata"})
    for key in ("items", "additionalProperties"):
        if isinstance(kept.get(key), dict):
            kept[key] = _strict(kept[key])
    for key in ("allOf", "anyOf", "oneOf"):
        if key in kept:
            # Their branches say more of fields that are named beside them.
            kept[key] = [dict(branch) for branch in kept[key]]
    if kept.pop("nullable", False) and isinstance(kept.get("type"), str):
        kept["type"] = [kept["type"], "null"]
    return kept


def write_schemas(target: Path, files: Sequence[Path]) -> int:
    """How many schemas were written, each beside the definition that it comes from."""
    import yaml

    target.mkdir(parents=True, exist_ok=True)
    count = 0
    for file in files:
        definition = yaml.safe_load(file.read_text(encoding="utf-8"))
        whole = json.dumps(definition, separators=(",", ":"), sort_keys=True)
        kind = definition["spec"]["names"]["kind"].lower()
        (target / f"{kind}.crd.json").write_text(whole, encoding="utf-8")
        for name, schema in render_schemas(definition):
            text = json.dumps(schema, separators=(",", ":"), sort_keys=True)
            (target / name).write_text(text, encoding="utf-8")
            count += 1
    return count


if __name__ == "__main__":
    print(write_schemas(Path(sys.argv[1]), [Path(path) for path in sys.argv[2:]]))
