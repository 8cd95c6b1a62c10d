"""Set-up without a network: tools found on PATH, schemas that refuse."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tools import gotools, kubeschemas

ROOT = Path(__file__).resolve().parents[3]
TOOLS = ROOT / ".tools"
TEMPLATE = str(
    TOOLS
    / "schemas"
    / "{{.NormalizedKubernetesVersion}}-standalone{{.StrictSuffix}}"
    / "{{.ResourceKind}}{{.KindSuffix}}.json"
)

POD = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}}
SELECTOR = {"matchLabels": {"a": "b"}}
# Kind by kind: a valid manifest, and one field of it that takes another type.
MANIFESTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "Deployment": (
        {"apiVersion": "apps/v1", "spec": {"replicas": 2, "selector": SELECTOR, "template": POD}},
        ("spec", "replicas"),
    ),
    "Service": (
        {"apiVersion": "v1", "spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}},
        ("spec", "ports"),
    ),
    "ConfigMap": ({"apiVersion": "v1", "data": {"a": "b"}}, ("data",)),
    "ServiceAccount": (
        {"apiVersion": "v1", "automountServiceAccountToken": False},
        ("automountServiceAccountToken",),
    ),
    "NetworkPolicy": (
        {
            "apiVersion": "networking.k8s.io/v1",
            "spec": {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]},
        },
        ("spec", "policyTypes"),
    ),
    "PodDisruptionBudget": (
        {"apiVersion": "policy/v1", "spec": {"minAvailable": 1, "selector": SELECTOR}},
        ("spec", "selector"),
    ),
    "HorizontalPodAutoscaler": (
        {
            "apiVersion": "autoscaling/v2",
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "a"},
                "maxReplicas": 4,
            },
        },
        ("spec", "maxReplicas"),
    ),
}


def run_kubeconform(manifest: dict[str, Any]) -> dict[str, int]:
    """kubeconform's counts for one manifest."""
    done = subprocess.run(
        [
            str(TOOLS / "bin" / "kubeconform"),
            "-strict",
            "-summary",
            "-output=json",
            f"-kubernetes-version={kubeschemas.KUBERNETES_VERSION}",
            f"-schema-location={TEMPLATE}",
            "-",
        ],
        input=json.dumps(manifest),
        capture_output=True,
        text=True,
        check=False,
    )
    summary: dict[str, int] = json.loads(done.stdout)["summary"]
    return summary


def manifest_of(kind: str) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(json.dumps(MANIFESTS[kind][0]))
    return {"kind": kind, "metadata": {"name": "a"}, **body}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_schemas_accept_a_valid_manifest(kind: str) -> None:
    counts = run_kubeconform(manifest_of(kind))
    assert counts == {"valid": 1, "invalid": 0, "errors": 0, "skipped": 0}


@pytest.mark.parametrize("kind", MANIFESTS)
def test_schemas_refuse_a_wrong_type(kind: str) -> None:
    manifest = manifest_of(kind)
    *parents, field = MANIFESTS[kind][1]
    node = manifest
    for name in parents:
        node = node[name]
    node[field] = "words"
    assert run_kubeconform(manifest)["invalid"] == 1


@pytest.mark.parametrize("kind", MANIFESTS)
@pytest.mark.parametrize("parent", ["", "metadata"])
def test_strict_schemas_refuse_an_unknown_field(kind: str, parent: str) -> None:
    manifest = manifest_of(kind)
    (manifest[parent] if parent else manifest)["surprise"] = "x"
    assert run_kubeconform(manifest)["invalid"] == 1


def test_a_kind_without_a_schema_is_an_error() -> None:
    counts = run_kubeconform({"apiVersion": "example.org/v1", "kind": "X", "metadata": {}})
    assert counts == {"valid": 0, "invalid": 0, "errors": 1, "skipped": 0}


@pytest.mark.parametrize(
    "path",
    [*(ROOT / "requirements").glob("*.txt"), ROOT / "bench" / "requirements.txt"],
    ids=lambda path: f"{path.parent.name}/{path.name}",
)
def test_every_requirement_is_pinned_by_hash_and_names_no_index(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    requirements = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert requirements
    for line in requirements:
        name = line.split()[0]
        assert "==" in name and "--hash=sha256:" in line, f"{name} is not pinned by hash"
    assert "://" not in text and "--find-links" not in text and "--index" not in text


def write_tool(folder: Path, name: str, told: str, exit_code: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{told}'\nexit {exit_code}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def test_first_accepted_version_on_path_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tool(tmp_path / "old", "helm", "v3.15.4+gabc")
    write_tool(tmp_path / "new", "helm", "v4.0.0")
    write_tool(tmp_path / "broken", "helm", "v3.18.0", exit_code=1)
    write_tool(tmp_path / "ours", "helm", "v3.18.0")
    good = write_tool(tmp_path / "good", "helm", "v3.18.1+gdef")
    folders = ["old", "new", "broken", "ours", "good"]
    monkeypatch.setenv("PATH", ":".join(str(tmp_path / name) for name in folders))

    assert gotools.find_on_path(gotools.TOOLS["helm"], outside=tmp_path / "ours") == good
    good.unlink()
    assert gotools.find_on_path(gotools.TOOLS["helm"], outside=tmp_path / "ours") is None


def test_a_go_that_is_too_old_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_mod = tmp_path / "go.mod"
    go_mod.write_text("module x\n\ngo 1.26.0\n", encoding="utf-8")
    write_tool(tmp_path / "a", "go", "go1.25.9")
    monkeypatch.setenv("PATH", str(tmp_path / "a"))
    assert gotools.find_go(go_mod) is None

    newer = write_tool(tmp_path / "b", "go", "go1.26.0")
    monkeypatch.setenv("PATH", f"{tmp_path / 'a'}:{tmp_path / 'b'}")
    assert gotools.find_go(go_mod) == newer
