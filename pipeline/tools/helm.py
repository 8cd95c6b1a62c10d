"""helm: a chart's objects as files, one per object, in canonical form.

The chart comes from a primitive's folder and is hostile: it is rendered in its own folder, without
plugins, repositories or cluster, and a chart that would fetch dependencies is refused. So is one
whose result could differ the next time or in another namespace, since approvals are of exact bytes.
The result is judged later (`pipeline.releases.rules`); hooks and CRDs are kept for that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import yaml

from pipeline.characters import visible
from pipeline.documents import render_document
from pipeline.errors import CouldNotCheck, OverBound, Unrenderable, UsageFault
from pipeline.machine.process import Completed
from pipeline.machine.versions import find_tool
from pipeline.releases.template_functions import check_template, is_template
from pipeline.sandbox.tools import TOOL_LIMITS, run_tool_confined
from pipeline.tools.rendered import MAX_STREAM_BYTES, parse_rendered

_MAX_DESCRIPTION_BYTES = 64 * 1024
# The result is read here, outside the sandbox.
LIMITS = replace(TOOL_LIMITS, output_bytes=MAX_STREAM_BYTES)
# The exit code if two renderings in one sandbox differ.
_DIFFERENT = 40
_TWICE = f"""\
"$@" >/tmp/first || exit
"$@" >/tmp/second || exit
[ "$(sha256sum </tmp/first)" = "$(sha256sum </tmp/second)" ] || exit {_DIFFERENT}
cat /tmp/first
"""
_VALUES = ("--values", "values-given.yaml")
_PLACEHOLDER_NAMESPACE = "set-by-overlay"
_KIND = re.compile(r"[A-Z][A-Za-z0-9]*\Z")
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?\Z")
# The files allowed in a chart's folder: a packed subchart would be rendered unseen.
_FILES = re.compile(
    r"(?:charts/[a-z0-9-]+/)*(?:Chart\.yaml|values\.yaml|values\.schema\.json|\.helmignore|README\.md"
    r"|LICENSE|templates/.+|crds/.+|files/.+)\Z"
)


def run_helm_template(
    chart: Mapping[str, bytes],
    *,
    release: str,
    values: Mapping[str, object],
    kubernetes_version: str,
) -> dict[str, bytes]:
    """File name → canonical YAML of every object that the chart renders, sorted by name.

    Raises Unrenderable if helm cannot render the chart or two objects are the same.
    """
    require_stable_chart(chart)
    arguments = ("template", release, "chart", "--namespace", _PLACEHOLDER_NAMESPACE)
    options = ("--include-crds", "--kube-version", kubernetes_version, *_VALUES)
    first = _run(chart, values, *arguments, *options, before=("/bin/sh", "-c", _TWICE, "sh"))
    # Finds instability that function names do not show, such as the order of a map.
    if first.exit_code == _DIFFERENT:
        raise Unrenderable(
            "the chart renders something else each time",
            help="take chance and time out of its templates",
        )
    if first.exit_code != 0:
        raise Unrenderable(f"helm cannot render the chart: {_reason(first.stderr)}")
    return split_objects(first.stdout)


def require_stable_chart(chart: Mapping[str, bytes]) -> None:
    """Raise Unrenderable for a file that no chart has, or a call that is not allowed."""
    for path, content in sorted(chart.items()):
        if not _FILES.match(path):
            raise Unrenderable(
                f"{visible(path)} is not a file of a chart; allowed: Chart.yaml, values.yaml, "
                "values.schema.json, templates/, files/, and charts/NAME/ with the same",
                help="take it out of the chart",
            )
        if is_template(path):
            for found in check_template(content):
                raise Unrenderable(
                    f"{visible(path)} line {found.line} {visible(found.problem)}; allowed are "
                    "functions that answer the same each time (docs/manifests.md lists them)",
                    help="give the chart a value instead, or read a Secret at run time",
                )


def run_helm_lint(chart: Mapping[str, bytes], *, values: Mapping[str, object]) -> tuple[str, ...]:
    """The findings of `helm lint --strict`, one line each.

    Raises CouldNotCheck if it fails without naming one.
    """
    done = _run(chart, values, "lint", "chart", "--strict", *_VALUES)
    if done.exit_code == 0:
        return ()
    text = (done.stdout + done.stderr).decode("utf-8", "replace")
    found = tuple(line for line in text.splitlines() if line.startswith(("[ERROR]", "[WARNING]")))
    if not found:
        raise CouldNotCheck(f"helm cannot lint the chart: {_reason(done.stderr)}")
    return found


def _run(
    chart: Mapping[str, bytes],
    values: Mapping[str, object],
    *arguments: str,
    before: Sequence[str] = (),
) -> Completed:
    described = chart.get("Chart.yaml", b"")
    if len(described) > _MAX_DESCRIPTION_BYTES:
        raise Unrenderable(f"Chart.yaml is larger than {_MAX_DESCRIPTION_BYTES} bytes")
    manifest = _load(described)
    if not isinstance(manifest, dict):
        raise Unrenderable("Chart.yaml is not a mapping")
    if manifest.get("dependencies") or "requirements.yaml" in chart:
        raise Unrenderable(
            "the chart has dependencies, which would be fetched from elsewhere",
            help="put their templates into the chart itself",
        )
    files = {f"chart/{path}": content for path, content in chart.items()}
    files["values-given.yaml"] = render_document(dict(values))
    env = {"HELM_NO_PLUGINS": "1", "HELM_PLUGINS": "/nowhere"}
    try:
        return run_tool_confined(
            find_tool("helm"), arguments, files=files, before=before, env=env, limits=LIMITS
        )
    except OverBound as error:
        raise Unrenderable(
            f"the chart is too much to render: {error.message}",
            help="let its templates do less, and give out less",
        ) from error


def split_objects(manifests: bytes) -> dict[str, bytes]:
    """File name → canonical YAML of each object in a stream of documents, sorted by name."""
    files: dict[str, bytes] = {}
    try:
        objects = parse_rendered(manifests)
    except Unrenderable as error:
        raise Unrenderable(f"what the chart renders, {error.message}") from error
    for item in objects:
        metadata, kind = item.get("metadata"), item.get("kind")
        name = metadata.get("name") if isinstance(metadata, dict) else None
        if not isinstance(metadata, dict) or not isinstance(name, str) or not isinstance(kind, str):
            raise Unrenderable("the chart renders an object without kind or metadata.name")
        if not _KIND.match(kind) or not _NAME.match(name):
            raise Unrenderable(f"the chart renders an object with an odd name: {kind}/{name}")
        if kind.endswith("List") and "items" in item:
            raise Unrenderable(
                f"the chart renders a {kind}, whose objects would not be seen one by one",
                help="render each object as a document of its own",
            )
        if metadata.get("namespace") == _PLACEHOLDER_NAMESPACE:
            metadata.pop("namespace")  # `.Release.Namespace`: the overlay decides
        file = f"{kind}-{name}".lower() + ".yaml"
        if file in files:
            raise Unrenderable(f"the chart renders {kind}/{name} twice")
        try:
            files[file] = render_document(item)
        except UsageFault as error:
            raise Unrenderable(f"{kind}/{name} cannot be written: {error.message}") from error
        if _PLACEHOLDER_NAMESPACE.encode() in files[file]:
            raise Unrenderable(
                f"{kind}/{name} holds the namespace elsewhere than in metadata.namespace, so "
                "`base/` would not be the same in every environment",
                help="leave `.Release.Namespace` out: names without a namespace resolve in it",
            )
    if not files:
        raise Unrenderable("the chart renders nothing")
    return dict(sorted(files.items()))


def _load(content: bytes) -> object:
    try:
        value: object = yaml.load(content, yaml.CSafeLoader)
    except (yaml.YAMLError, RecursionError) as error:
        raise Unrenderable(f"Chart.yaml is not valid YAML: {error}") from error
    return value


def _reason(output: bytes) -> str:
    """helm's error on one line: all after `Error:`, such as each wrong value."""
    text = output.decode("utf-8", "replace")
    said = text.partition("Error: ")[2] or text
    # helm ends with advice about its own options.
    said = said.partition("\nUse --debug flag")[0]
    return " ".join(said.split())[:500] or "it said nothing"
