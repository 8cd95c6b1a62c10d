"""The SBOM of a source tree's image, as CycloneDX 1.6 JSON.

It lists the packages that the tree's lock files pin: `requirements.lock` (PyPI) and
`package-lock.json` (npm), each with its hashes. It depends only on the tree, so another build gives
the same bytes. The contents of a base image are not in it: base images have their own SBOM.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

from pipeline.errors import STEP, OverBound
from pipeline.git.objects import Files
from pipeline.sandbox.packages import LockRefused, parse_lock

if TYPE_CHECKING:
    from cyclonedx.model import HashType
    from cyclonedx.model.component import Component

PYTHON_LOCK, NODE_LOCK = "requirements.lock", "package-lock.json"
_MAX_LOCK_BYTES = 16 * 1024**2
_PINNED = re.compile(r"(?P<name>[A-Za-z0-9._-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def sbom_of(files: Files, *, image: str, tree: str) -> bytes:
    """The document, for an image of a source tree (path → git mode, content).

    Raises OverBound for an unreadable lock file: its author's fault, like a failed step.
    """
    # 61 ms for the library, here and below; only a build needs it.
    from cyclonedx.model.bom import Bom, BomMetaData
    from cyclonedx.model.component import Component, ComponentType
    from cyclonedx.output.json import JsonV1Dot6

    subject = Component(
        type=ComponentType.CONTAINER, name=image, version=f"src-{tree}", bom_ref=f"{image}@{tree}"
    )
    metadata = BomMetaData(component=subject, timestamp=datetime.fromtimestamp(0, UTC), tools=())
    components = [*_python(files), *_node(files)]
    bom = Bom(
        serial_number=uuid5(NAMESPACE_URL, f"{image}@{tree}"),
        metadata=metadata,
        components=components,
    )
    bom.register_dependency(subject, components)
    text: str = JsonV1Dot6(bom).output_as_string(indent=1)
    return text.encode() + b"\n"


def _python(files: Files) -> Iterator[Component]:
    # 61 ms, as in `sbom_of`.
    from cyclonedx.model import HashAlgorithm, HashType

    if PYTHON_LOCK not in files:
        return
    try:
        requirements = parse_lock(files[PYTHON_LOCK][1])
    except LockRefused as refused:
        raise OverBound(STEP, f"`{PYTHON_LOCK}` is refused: {refused.message}") from refused
    for requirement in requirements:
        pinned = _PINNED.match(requirement.line)
        assert pinned is not None  # the parser checked
        hashes = [
            HashType(alg=HashAlgorithm.SHA_256, content=content)
            for content in _HASH.findall(requirement.line)
        ]
        yield _library("pypi", None, requirement.name, pinned["version"], hashes)


def _node(files: Files) -> Iterator[Component]:
    """The packages of npm's lock (version 2 or 3) in an image, without development-only ones."""
    if NODE_LOCK not in files:
        return
    if len(files[NODE_LOCK][1]) > _MAX_LOCK_BYTES:
        raise OverBound(STEP, f"`{NODE_LOCK}` is larger than {_MAX_LOCK_BYTES} bytes")
    seen: set[tuple[str, str]] = set()
    try:
        for path, entry in sorted(json.loads(files[NODE_LOCK][1])["packages"].items()):
            _, found, name = path.rpartition("node_modules/")
            if not found or entry.get("dev") or entry.get("link"):
                continue
            version = str(entry["version"])
            if (name, version) in seen:
                continue
            seen.add((name, version))
            scope, _, short = name.rpartition("/")
            yield _library("npm", scope or None, short, version, _node_hashes(entry))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise OverBound(STEP, f"`{NODE_LOCK}` cannot be read: {error!r}") from error


def _node_hashes(entry: Mapping[str, object]) -> list[HashType]:
    """The digests of `integrity` (W3C Subresource Integrity)."""
    # 61 ms, as in `sbom_of`.
    from cyclonedx.contrib.hash.factories import HashTypeFactory

    made, found = HashTypeFactory(), []
    for part in str(entry.get("integrity", "")).split():
        algorithm, _, encoded = part.partition("-")
        try:
            content = base64.b64decode(encoded, validate=True).hex()
            if not content:
                raise ValueError("nothing")
            found.append(made.from_hashlib_alg(algorithm, content))
        except (binascii.Error, ValueError) as error:
            raise ValueError(f"`{part[:80]}` is not a digest") from error
    return found


def _library(
    kind: str, namespace: str | None, name: str, version: str, hashes: list[HashType]
) -> Component:
    # 61 ms, as in `sbom_of`.
    from cyclonedx.model.component import Component, ComponentType
    from packageurl import PackageURL

    purl = PackageURL(kind, namespace, name, version)
    return Component(
        type=ComponentType.LIBRARY,
        group=namespace,
        name=name,
        version=version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=hashes,
    )
