"""The files of an overlay's folder: only those that the pipeline writes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.characters import visible
from pipeline.delivery.forms import is_delivery_file
from pipeline.diagnostics import Finding, Location
from pipeline.documents import parse_document
from pipeline.releases.allowlist import AllowedKind, load_allowed
from pipeline.releases.judge import check_node
from pipeline.releases.overlays import FOLDER_OF, Overlay, base_kustomization
from pipeline.releases.platform_objects import PLATFORM_FILES
from pipeline.releases.rules import MANIFEST_PLATFORM_OWNED, OVERLAY_FILE

KUSTOMIZATION = "kustomization.yaml"
OWN_FILES = (KUSTOMIZATION, "release.yaml", *PLATFORM_FILES)
_OBJECT = re.compile(r"base/(?:operator/)?(?P<kind>[a-z]+)-[a-z0-9.-]+\.yaml\Z")


def check_overlay_files(overlay: Overlay) -> Iterator[Finding]:
    """Findings for files in the overlay's folder that the pipeline did not write.

    A chart's own NetworkPolicy or ServiceAccount is reported here, since kustomize refuses two
    objects of one name without saying where they come from.
    """
    kinds = {kind.kind.lower(): kind for kind in load_allowed().kinds.values()}
    for path in overlay.files:
        yield from _check_path(overlay, path, kinds)
    for base in FOLDER_OF.values():
        path = f"{base}/{KUSTOMIZATION}"
        if path in overlay.files and overlay.files[path] != _expected(overlay, base):
            at = Location(f"{overlay.folder}/{path}")
            yield OVERLAY_FILE.finding(
                f"`{path}` is not the list of the files beside it, which is all it may be", at
            )
    at = Location(f"{overlay.folder}/{KUSTOMIZATION}")
    document = parse_document(at.file, overlay.files.get(KUSTOMIZATION, b""))
    node = load_allowed().shapes["kustomization"]
    for refusal in check_node(document.value, node, overlay.bound):
        yield OVERLAY_FILE.finding(f"`{refusal.path}` {refusal.problem}", at)


def _check_path(overlay: Overlay, path: str, kinds: dict[str, AllowedKind]) -> Iterator[Finding]:
    at = Location(f"{overlay.folder}/{visible(path)}")
    if path in OWN_FILES or path in {f"{base}/{KUSTOMIZATION}" for base in FOLDER_OF.values()}:
        return
    if is_delivery_file(path):
        return
    found = _OBJECT.match(path)
    if found is None:
        listed = ", ".join((*OWN_FILES, "base/<kind>-<name>.yaml"))
        yield OVERLAY_FILE.finding(f"`{visible(path)}` is not allowed; allowed: {listed}", at)
    elif (kind := kinds.get(found["kind"])) and kind.from_platform:
        yield MANIFEST_PLATFORM_OWNED.finding(
            f"the chart brings a {kind.kind}; allowed: the one that the pipeline writes", at
        )


def _expected(overlay: Overlay, base: str) -> bytes:
    below = (path.removeprefix(f"{base}/") for path in overlay.files if path.startswith(f"{base}/"))
    return base_kustomization(p for p in below if "/" not in p and p != KUSTOMIZATION)
