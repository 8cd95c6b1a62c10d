"""Image stores: OCI layouts in a folder, or a registry through crane.

Stored content is read back and compared by digest; a mismatch raises.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pipeline.errors import CouldNotCheck, OverBound
from pipeline.images.oci import (
    INDEX_TYPE,
    Attached,
    Image,
    attached_digests,
    attached_tag,
    attachment_of,
    referenced_digests,
)
from pipeline.machine.process import Completed, run_tool
from pipeline.machine.versions import find_tool
from pipeline.models.base import ImageDigest, digest_of

TIMEOUT_S = 300
MAX_IMAGE_BYTES = 2 * 1024**3  # an image is held in memory


class ImageStore(Protocol):
    """A store of images. Repositories are full names without tag or digest."""

    def read_digest(self, repository: str, tag: str) -> ImageDigest | None:
        """The digest of the index under a tag, or None. Raises CouldNotCheck."""

    def write_image(self, repository: str, tag: str, image: Image) -> ImageDigest:
        """The digest under a tag after storing an image; one already there wins.

        Raises CouldNotCheck.
        """

    def read_attached(self, repository: str, digest: str) -> Attached | None:
        """The attachments of the image with this digest, or None. Raises CouldNotCheck."""

    def write_attached(self, repository: str, image: Image, attached: Attached) -> None:
        """Attach to an image, which may be stored later; existing attachments stay.

        Raises CouldNotCheck.
        """


class LayoutStore:
    """One OCI image layout per repository, below `root`; safe for many processes at once."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, repository: str) -> Path:
        """The folder of a repository's layout. Raises CouldNotCheck for an invalid name."""
        require_repository_name(repository)
        # A host has no `_`, so no two names collide.
        return self.root.joinpath(*(part.replace(":", "_") for part in repository.split("/")))

    def read_digest(self, repository: str, tag: str) -> ImageDigest | None:
        """The digest under a tag, after checking every blob it refers to."""
        for entry in self._entries(self.folder(repository)):
            annotations = entry.get("annotations")
            if isinstance(annotations, dict) and annotations.get(_REF_NAME) == tag:
                digest = str(entry["digest"])
                self._check(self.folder(repository), digest)
                return ImageDigest(digest)
        return None

    def write_image(self, repository: str, tag: str, image: Image) -> ImageDigest:
        """Blobs first, then the layout's index, under a lock."""
        folder = self.folder(repository)
        blobs = folder / "blobs" / "sha256"
        blobs.mkdir(parents=True, exist_ok=True)
        with _locked(folder):
            found = self.read_digest(repository, tag)
            if found is not None:
                return found
            for digest, content in image.blobs.items():
                _write_atomically(blobs / digest.removeprefix("sha256:"), content)
            _write_atomically(folder / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            entry = {
                "mediaType": image.media_type,
                "digest": image.digest,
                "size": len(image.root),
                "annotations": {_REF_NAME: tag},
            }
            entries = [*self._entries(folder), entry]
            entries.sort(key=lambda e: str(e["annotations"]))
            index = {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}
            _write_atomically(folder / "index.json", json.dumps(index, sort_keys=True).encode())
            found = self.read_digest(repository, tag)
        if found is None:
            raise CouldNotCheck(f"{repository}:{tag} was stored and is not there")
        return found

    def read_attached(self, repository: str, digest: str) -> Attached | None:
        """The attachments, with every blob checked."""
        found = self.read_digest(repository, attached_tag(digest))
        if found is None:
            return None
        blobs: dict[str, bytes] = {}
        _collect(self.folder(repository), found, blobs)
        held = attached_digests(blobs[found], digest)
        return Attached(blobs[held[0]], blobs[held[1]]) if held else None

    def write_attached(self, repository: str, image: Image, attached: Attached) -> None:
        """The same as writing an image."""
        self.write_image(repository, attached_tag(image.digest), attachment_of(image, attached))

    def _entries(self, folder: Path) -> list[dict[str, object]]:
        try:
            return _entries_of((folder / "index.json").read_bytes())
        except FileNotFoundError:
            return []

    def _check(self, folder: Path, digest: str) -> None:
        _collect(folder, digest, {})


class RegistryStore:
    """A registry, through `crane`; `insecure` speaks plain HTTP (a registry on 127.0.0.1)."""

    def __init__(self, *, insecure: bool = False) -> None:
        self.insecure = insecure

    def read_digest(self, repository: str, tag: str) -> ImageDigest | None:
        """The registry's digest under a tag."""
        require_repository_name(repository)
        done = self._crane("digest", f"{repository}:{tag}")
        told = done.stdout.decode("utf-8", "replace").strip()
        if done.exit_code == 0 and _DIGEST.match(told):
            return ImageDigest(told)
        said = done.stderr.decode("utf-8", "replace")
        # The message must say so; a bare 404 could be part of a name or port.
        if done.exit_code != 0 and _ABSENT.search(said):
            return None
        raise CouldNotCheck(f"the registry gave no answer for {repository}:{tag}: {_last(said)}")

    def write_image(self, repository: str, tag: str, image: Image) -> ImageDigest:
        """The digest read back after pushing a layout of the image."""
        found = self.read_digest(repository, tag)
        if found is not None:
            return found
        with tempfile.TemporaryDirectory(prefix="pipeline-image-") as name:
            store = LayoutStore(Path(name))
            store.write_image("image", tag, image)
            # crane pushes the index of a layout with one image.
            done = self._crane("push", str(store.folder("image")), f"{repository}:{tag}")
        if done.exit_code != 0:
            said = _last(done.stderr.decode("utf-8", "replace"))
            raise CouldNotCheck(f"{repository}:{tag} cannot be pushed: {said}")
        found = self.read_digest(repository, tag)
        if found != image.digest:
            raise CouldNotCheck(f"{repository}:{tag} is {found} after the push of {image.digest}")
        return found

    def read_attached(self, repository: str, digest: str) -> Attached | None:
        """The attachments, each checked against its digest."""
        found = self.read_digest(repository, attached_tag(digest))
        if found is None:
            return None
        held = attached_digests(self._read(repository, "manifest", found), digest)
        if held is None:
            return None
        return Attached(*(self._read(repository, "blob", part) for part in held))

    def write_attached(self, repository: str, image: Image, attached: Attached) -> None:
        """The same as writing an image."""
        self.write_image(repository, attached_tag(image.digest), attachment_of(image, attached))

    def _read(self, repository: str, what: str, digest: str) -> bytes:
        where = f"{repository}@{digest}"
        done = self._crane(what, where)
        if done.exit_code != 0:
            said = _last(done.stderr.decode("utf-8", "replace"))
            raise CouldNotCheck(f"the registry gave no {what} {where}: {said}")
        if digest_of(done.stdout) != digest:
            raise CouldNotCheck(f"the registry gave another {what} than {where}")
        return done.stdout

    def _crane(self, *arguments: str) -> Completed:
        options = ["--insecure"] if self.insecure else []
        environment = {
            n: os.environ[n] for n in ("DOCKER_CONFIG", "SSL_CERT_FILE") if n in os.environ
        }
        return run_tool(
            [find_tool("crane"), *arguments, *options], timeout_s=TIMEOUT_S, env=environment
        )


# A registry's host may carry a port and has no `_`; no part may be `.`, `..` or an option.
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]+)?\Z")
_PART = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")
_ABSENT = re.compile(r"\b(?:MANIFEST_UNKNOWN|NAME_UNKNOWN)\b|unexpected status code 404\b")
_REF_NAME = "org.opencontainers.image.ref.name"


def require_repository_name(repository: str) -> None:
    """Raise CouldNotCheck for a name that is not a repository's, such as a path or an option."""
    host, *parts = repository.split("/")
    if not _HOST.match(host) or not all(_PART.match(part) for part in parts):
        raise CouldNotCheck(f"`{repository}` is not an image repository")


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"


def _write_atomically(path: Path, content: bytes) -> None:
    staged = path.with_name(f".{path.name}.{os.getpid()}")
    staged.write_bytes(content)
    staged.replace(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def image_from_layout(folder: Path) -> Image:
    """The one image of an OCI layout on disk; a lone manifest gets its own index.

    Raises CouldNotCheck if the layout holds no image or several, OverBound for one over
    MAX_IMAGE_BYTES.
    """
    try:
        entries = _entries_of((folder / "index.json").read_bytes())
    except FileNotFoundError as error:
        raise CouldNotCheck("the layout has no index.json") from error
    if len(entries) != 1:
        raise CouldNotCheck(f"the layout holds {len(entries)} images where one is due")
    blobs: dict[str, bytes] = {}
    _collect(folder, str(entries[0]["digest"]), blobs)
    root = str(entries[0]["digest"])
    if entries[0]["mediaType"] == INDEX_TYPE:
        return Image(blobs, ImageDigest(root))
    entry = {k: entries[0][k] for k in ("mediaType", "digest", "size")}
    entry["platform"] = {"architecture": "amd64", "os": "linux"}
    index = json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]},
        sort_keys=True,
        separators=(",", ":"),
    ).encode()
    digest = "sha256:" + hashlib.sha256(index).hexdigest()
    return Image({**blobs, digest: index}, ImageDigest(digest))


def _entries_of(index: bytes) -> list[dict[str, object]]:
    try:
        entries = json.loads(index)["manifests"]
        if all(_DIGEST.match(entry["digest"]) and entry["mediaType"] for entry in entries):
            return list(entries)
    except (ValueError, KeyError, TypeError) as error:
        raise CouldNotCheck(f"the layout's index.json is damaged: {error}") from error
    raise CouldNotCheck("the layout's index.json names something that is not a digest")


def _collect(folder: Path, digest: str, blobs: dict[str, bytes]) -> None:
    """Add the blob and all that it refers to to `blobs`, each checked against its digest."""
    if digest in blobs:
        return
    if not _DIGEST.match(digest):
        raise CouldNotCheck(f"the image store names `{digest}`, which is not a digest")
    path = folder / "blobs" / "sha256" / digest.removeprefix("sha256:")
    try:
        if sum(map(len, blobs.values())) + path.stat().st_size > MAX_IMAGE_BYTES:
            raise OverBound("size", f"the image has more than {MAX_IMAGE_BYTES:,} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise CouldNotCheck(f"the image store lacks {digest}: {error.strerror}") from error
    if digest_of(content) != digest:
        raise CouldNotCheck(f"the image store's {digest} is damaged")
    blobs[digest] = content
    for child in referenced_digests(content):
        _collect(folder, child, blobs)
