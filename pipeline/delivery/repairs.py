"""The command that makes a delivery tool sync again from Git. Pure, and fast to import."""

from __future__ import annotations

import re

# Kind, namespace and name, as in `Observation.application`; such names need no quotes.
_APPLICATION = re.compile(
    r"(?P<kind>[A-Z][A-Za-z]+) (?:(?P<namespace>[a-z0-9-]+)/)?(?P<name>[a-z0-9][a-z0-9.-]*)\Z"
)


def sync_command(application: str) -> str:
    """The sync command for an observed application; empty if its kind is unknown."""
    found = _APPLICATION.match(application)
    if found is None:
        return ""
    name, namespace = found["name"], found["namespace"]
    match found["kind"]:
        case "Application":
            return f"argocd app sync {namespace}/{name}" if namespace else f"argocd app sync {name}"
        case "Kustomization" | "HelmRelease" as kind:
            how = "--force" if kind == "HelmRelease" else "--with-source"
            where = f" --namespace {namespace}" if namespace else ""
            return f"flux reconcile {kind.lower()} {name}{where} {how}"
    return ""
