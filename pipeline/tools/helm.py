"""helm: a chart's objects as files, one an object, in one canonical form.

The chart comes from a primitive's folder and is hostile: it is rendered from a folder of its
own, without plugins, repositories or cluster, and a chart that would fetch dependencies is
refused. What it renders is judged later (`pipeline.rules.manifests`); hooks are kept for that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import yaml

from pipeline.documents import render_document
from pipeline.errors import CouldNotCheck
from pipeline.tools.folders import temporary_folder
from pipeline.tools.process import Completed, run_tool
from pipeline.tools.versions import find_tool

TIMEOUT_S = 60
_PLACEHOLDER_NAMESPACE = "set-by-overlay"
_FILE_NAME = re.compile(r"[^a-z0-9.-]+")


def run_helm_template(
    chart: Mapping[str, bytes],
    *,
    release: str,
    values: Mapping[str, object],
    kubernetes_version: str,
) -> dict[str, bytes]:
    """File name → canonical YAML of every object that the chart renders, sorted by name.

    Raises CouldNotCheck when helm cannot render the chart or two objects are the same.
    """
    done = _run(
        chart,
        values,
        "template",
        release,
        "chart",
        "--namespace",
        _PLACEHOLDER_NAMESPACE,
        "--kube-version",
        kubernetes_version,
        "--values",
        "values-given.yaml",
    )
    if done.exit_code != 0:
        raise CouldNotCheck(f"helm cannot render the chart: {_last_line(done.stderr)}")
    return split_objects(done.stdout)


def run_helm_lint(chart: Mapping[str, bytes], *, values: Mapping[str, object]) -> tuple[str, ...]:
    """What `helm lint --strict` finds, one line each; empty when it is content."""
    done = _run(chart, values, "lint", "chart", "--strict", "--values", "values-given.yaml")
    if done.exit_code == 0:
        return ()
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    return tuple(line for line in text.splitlines() if line.startswith(("[ERROR]", "[WARNING]")))


def _run(chart: Mapping[str, bytes], values: Mapping[str, object], *arguments: str) -> Completed:
    manifest = _load(chart.get("Chart.yaml", b""))
    if not isinstance(manifest, dict):
        raise CouldNotCheck("Chart.yaml is no mapping")
    if manifest.get("dependencies") or "requirements.yaml" in chart:
        raise CouldNotCheck(
            "the chart has dependencies, which would be fetched from elsewhere",
            help="put their templates into the chart itself",
        )
    files = {f"chart/{path}": content for path, content in chart.items()}
    files["values-given.yaml"] = render_document(dict(values))
    with temporary_folder(files) as folder:
        return run_tool(
            [find_tool("helm"), *arguments],
            cwd=folder,
            timeout_s=TIMEOUT_S,
            env={"HELM_NO_PLUGINS": "1", "HELM_PLUGINS": str(folder / "no-plugins")},
        )


def split_objects(manifests: bytes) -> dict[str, bytes]:
    """File name → canonical YAML of each object in a stream of documents, sorted by name."""
    files: dict[str, bytes] = {}
    try:
        documents = [d for d in yaml.load_all(manifests, yaml.CSafeLoader) if d is not None]
    except yaml.YAMLError as error:
        raise CouldNotCheck(f"the chart renders to no YAML: {error}") from error
    for item in documents:
        metadata = item.get("metadata") if isinstance(item, dict) else None
        name = metadata.get("name") if isinstance(metadata, dict) else None
        kind = item.get("kind") if isinstance(item, dict) else None
        if not isinstance(metadata, dict) or not isinstance(name, str) or not isinstance(kind, str):
            raise CouldNotCheck("the chart renders an object without kind or metadata.name")
        if metadata.get("namespace") == _PLACEHOLDER_NAMESPACE:
            metadata.pop("namespace")  # `.Release.Namespace`: the overlay decides
        file = _FILE_NAME.sub("-", f"{kind}-{name}".lower()) + ".yaml"
        if file in files:
            raise CouldNotCheck(f"the chart renders {kind}/{name} twice")
        files[file] = render_document(item)
    if not files:
        raise CouldNotCheck("the chart renders nothing")
    return dict(sorted(files.items()))


def _load(content: bytes) -> object:
    try:
        value: object = yaml.load(content, yaml.CSafeLoader)
    except yaml.YAMLError as error:
        raise CouldNotCheck(f"Chart.yaml is no YAML: {error}") from error
    return value


def _last_line(output: bytes) -> str:
    lines = output.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:500] if lines else "it said nothing"
