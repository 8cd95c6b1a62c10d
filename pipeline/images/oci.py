"""A deterministic OCI image of a folder, as blobs and the digest of its index. Pure.

One layer: an uncompressed tar, sorted, with fixed times, owner and modes, so its digest depends
only on the files and not on a zlib version. Media types: OCI image specification 1.1. The recorded
digest is the index's, not that of one platform's manifest (docs/adr/0004-build-once.md).
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.git.objects import Files
from pipeline.models.base import ImageDigest, digest_of

INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
SBOM_TYPE = "application/vnd.cyclonedx+json"
_USER = 65532
_WORKDIR = "primitive"


@dataclass(frozen=True, slots=True)
class Image:
    """An image: its blobs by digest, and the index that names the rest.

    An attachment of an image has the same form, around a manifest.
    """

    blobs: Mapping[str, bytes]
    digest: ImageDigest
    media_type: str = INDEX_TYPE

    @property
    def root(self) -> bytes:
        """The bytes of the index, or of the manifest."""
        return self.blobs[self.digest]


@dataclass(frozen=True, slots=True)
class Attached:
    """The attachments of an image: its signed provenance and its SBOM."""

    bundle: bytes
    sbom: bytes


def layer_of(files: Files) -> bytes:
    """The layer tar of `files` (path → git mode, content), below one folder."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        folders: set[str] = set()
        for path, (mode, content) in sorted(files.items()):
            parts = f"{_WORKDIR}/{path}".split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                if folder not in folders:
                    folders.add(folder)
                    tar.addfile(_member(folder, 0o755, tarfile.DIRTYPE, 0))
            bits = 0o755 if mode & 0o111 else 0o644
            member = _member("/".join(parts), bits, tarfile.REGTYPE, len(content))
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _member(name: str, mode: int, type: bytes, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.mode, member.type, member.size = mode, type, size
    member.uid = member.gid = _USER
    member.mtime = 0
    return member


def image_of(files: Files, labels: Mapping[str, str]) -> Image:
    """The image of a folder; equal files and labels give an equal digest."""
    layer = layer_of(files)
    config = _json(
        {
            "architecture": "amd64",
            "os": "linux",
            "config": {
                "User": str(_USER),
                "WorkingDir": f"/{_WORKDIR}",
                "Labels": dict(sorted(labels.items())),
            },
            "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, config),
            "layers": [_descriptor(LAYER_TYPE, layer)],
        }
    )
    platform = {"architecture": "amd64", "os": "linux"}
    index = _json(
        {
            "schemaVersion": 2,
            "mediaType": INDEX_TYPE,
            "manifests": [{**_descriptor(MANIFEST_TYPE, manifest), "platform": platform}],
        }
    )
    blobs = {digest_of(blob): blob for blob in (layer, config, manifest, index)}
    return Image(blobs, ImageDigest(digest_of(index)))


def attached_tag(digest: str) -> str:
    """The tag of an image's attachments, which works without a registry's referrers API (named as
    cosign does).
    """
    return f"{digest.replace(':', '-')}.att"


def attachment_of(image: Image, attached: Attached) -> Image:
    """A manifest that refers to an image and holds its attachments.

    Source: OCI image specification 1.1, "Guidelines for Artifact Usage".
    """
    empty = b"{}"
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "artifactType": BUNDLE_TYPE,
            "config": _descriptor(EMPTY_TYPE, empty),
            "layers": [
                _descriptor(BUNDLE_TYPE, attached.bundle),
                _descriptor(SBOM_TYPE, attached.sbom),
            ],
            "subject": _descriptor(image.media_type, image.root),
        }
    )
    blobs = {digest_of(b): b for b in (empty, attached.bundle, attached.sbom, manifest)}
    return Image(blobs, ImageDigest(digest_of(manifest)), MANIFEST_TYPE)


def attached_digests(manifest: bytes, image: str) -> tuple[str, str] | None:
    """The digests of bundle and SBOM that a manifest attaches to the image with this digest; None
    if it attaches none.
    """
    try:
        value = json.loads(manifest)
        layers = {layer["mediaType"]: str(layer["digest"]) for layer in value["layers"]}
        if value["subject"]["digest"] == image:
            return layers[BUNDLE_TYPE], layers[SBOM_TYPE]
    except (ValueError, KeyError, TypeError):
        return None
    return None


def referenced_digests(document: bytes) -> tuple[str, ...]:
    """The digests that an index or a manifest names, in order; empty for any other blob.

    An invalid digest is returned as it is, for the caller to refuse.
    """
    if document.lstrip()[:1] != b"{":
        return ()
    try:
        value = json.loads(document)
    except ValueError:
        return ()
    if not isinstance(value, dict) or value.get("schemaVersion") != 2:
        return ()
    children: list[object] = []
    for key in ("manifests", "layers"):
        listed = value.get(key, [])
        children += listed if isinstance(listed, list) else [listed]
    if "config" in value:
        children.append(value["config"])
    return tuple(
        str(child["digest"]) if isinstance(child, dict) and "digest" in child else repr(child)
        for child in children
    )


def _descriptor(media_type: str, content: bytes) -> dict[str, object]:
    return {"mediaType": media_type, "digest": digest_of(content), "size": len(content)}


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
