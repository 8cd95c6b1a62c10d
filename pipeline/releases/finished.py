"""The built objects of an overlay, as kustomize builds them. Pure.

For delivery tools that take objects and do not run kustomize. It does only what the overlay's own
kustomization says: the namespace, labels on objects and on the templates of their pods and volumes,
and the ConfigMap of the environment's settings. `base/` already has the image by digest.
`tests/integration/delivery/test_forms.py` compares it with kustomize itself.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.documents import parse_document

Object = dict[str, Any]
# Kind → the paths of the templates that kustomize labels with `includeTemplates`.
_TEMPLATES: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "Deployment": (("spec", "template"),),
    "StatefulSet": (("spec", "template"), ("spec", "volumeClaimTemplates")),
    "Job": (("spec", "template"),),
    "CronJob": (("spec", "jobTemplate"), ("spec", "jobTemplate", "spec", "template")),
}


def finished_objects(
    files: Mapping[str, bytes],
    *,
    namespace: str,
    labels: Mapping[str, str],
    settings: tuple[str, Mapping[str, str]],
) -> dict[str, Object]:
    """File name → object, for the files of a base and the platform's own.

    `settings` are the name and the data of the environment's ConfigMap. Raises ValueError for a
    file without an object.
    """
    name, data = settings
    config: Object = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name},
        "data": {key: _unquoted(value) for key, value in sorted(data.items())},
    }
    objects = {path: _parsed(path, content) for path, content in files.items()}
    found = {f"configmap-{name}.yaml": config, **objects}
    return {path: _finished(item, namespace, labels) for path, item in sorted(found.items())}


def _unquoted(value: str) -> str:
    """A literal as kustomize reads it: without one pair of surrounding quotes."""
    is_quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'"
    return value[1:-1] if is_quoted else value


def _parsed(path: str, content: bytes) -> Object:
    document = parse_document(path, content)
    if document.findings:
        raise ValueError(f"{path}: {document.findings[0].message}")
    return document.value


def _finished(item: Object, namespace: str, labels: Mapping[str, str]) -> Object:
    item = copy.deepcopy(item)
    for part in (item, *_templates_of(item)):
        metadata = part.setdefault("metadata", {})
        metadata["labels"] = dict(sorted({**metadata.get("labels", {}), **labels}.items()))
    item["metadata"]["namespace"] = namespace
    return item


def _templates_of(item: Object) -> Iterator[Object]:
    group = str(item.get("apiVersion", "")).partition("/")[0]
    if group not in ("apps", "batch"):
        return
    for path in _TEMPLATES.get(str(item.get("kind")), ()):
        part: Any = item
        for key in path:
            part = part.get(key) if isinstance(part, dict) else None
        yield from part if isinstance(part, list) else [part] if part is not None else []
