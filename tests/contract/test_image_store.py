"""The contract of image stores: a folder of OCI layouts, and a registry through crane."""

from __future__ import annotations

import io
import json
import multiprocessing
import socket
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest

from pipeline.errors import CouldNotCheck
from pipeline.images.oci import (
    BUNDLE_TYPE,
    INDEX_TYPE,
    Attached,
    Image,
    attached_tag,
    attachment_of,
    image_of,
)
from pipeline.images.stores import ImageStore, LayoutStore, RegistryStore, image_from_layout
from pipeline.machine.versions import find_tool
from pipeline.models.base import digest_of
from tests.support.registry import serve_registry

TAG = "src-" + "ab" * 20


def image_with(content: bytes) -> Image:
    return image_of({"app.py": (0o100644, content)}, {"label": "value"})


@dataclass(frozen=True)
class Kept:
    """A store, and a repository name in it."""

    store: ImageStore
    repository: str


@pytest.fixture(scope="session")
def registry() -> Iterator[str]:
    """A registry on 127.0.0.1, by its address."""
    with serve_registry() as address:
        yield address


@pytest.fixture(params=["layout", "registry"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "layout":
        return Kept(
            LayoutStore(tmp_path / "images"), "registry.example.com:5000/ameide/tenant-acme/router"
        )
    address = request.getfixturevalue("registry")
    return Kept(RegistryStore(), f"{address}/{tmp_path.name.lower().replace('_', '-')}/router")


def test_an_unknown_tag_has_no_digest(kept: Kept) -> None:
    assert kept.store.read_digest(kept.repository, TAG) is None
    kept.store.write_image(kept.repository, TAG, image_with(b"1"))
    assert kept.store.read_digest(kept.repository, "src-" + "cd" * 20) is None


def test_an_image_is_read_back_by_the_digest_of_its_index(kept: Kept) -> None:
    image = image_with(b"1")
    assert kept.store.write_image(kept.repository, TAG, image) == image.digest
    assert kept.store.read_digest(kept.repository, TAG) == image.digest


def test_writing_again_changes_nothing_and_the_first_image_wins(kept: Kept) -> None:
    first, second = image_with(b"1"), image_with(b"2")
    assert first.digest != second.digest
    for image in (first, first, second):
        assert kept.store.write_image(kept.repository, TAG, image) == first.digest
    assert kept.store.read_digest(kept.repository, TAG) == first.digest


def test_a_repository_holds_several_tags(kept: Kept) -> None:
    images = {f"src-{number:040x}": image_with(str(number).encode()) for number in range(3)}
    for tag, image in images.items():
        kept.store.write_image(kept.repository, tag, image)
    for tag, image in images.items():
        assert kept.store.read_digest(kept.repository, tag) == image.digest


def test_repositories_do_not_share_tags(kept: Kept) -> None:
    kept.store.write_image(kept.repository, TAG, image_with(b"1"))
    assert kept.store.read_digest(kept.repository + "-other", TAG) is None


BESIDE = Attached(b'{"statement": 1}', b'{"components": []}\n')


def test_an_attachment_is_read_back_before_and_after_its_image(kept: Kept) -> None:
    image, other = image_with(b"1"), image_with(b"2")
    assert kept.store.read_attached(kept.repository, image.digest) is None
    kept.store.write_attached(kept.repository, image, BESIDE)
    assert kept.store.read_attached(kept.repository, image.digest) == BESIDE
    assert kept.store.read_digest(kept.repository, TAG) is None
    kept.store.write_image(kept.repository, TAG, image)
    assert kept.store.read_attached(kept.repository, image.digest) == BESIDE
    assert kept.store.read_attached(kept.repository, other.digest) is None


def test_the_first_attachment_stays(kept: Kept) -> None:
    image = image_with(b"1")
    for bundle in (BESIDE.bundle, b"{}"):
        kept.store.write_attached(kept.repository, image, Attached(bundle, BESIDE.sbom))
    assert kept.store.read_attached(kept.repository, image.digest) == BESIDE


def test_an_attachment_of_another_image_is_refused(kept: Kept) -> None:
    image, other = image_with(b"1"), image_with(b"2")
    tag = attached_tag(image.digest)
    kept.store.write_image(kept.repository, tag, attachment_of(other, BESIDE))
    assert kept.store.read_attached(kept.repository, image.digest) is None


def test_an_image_in_place_of_an_attachment_counts_as_none(kept: Kept) -> None:
    image = image_with(b"1")
    kept.store.write_image(kept.repository, attached_tag(image.digest), image)
    assert kept.store.read_attached(kept.repository, image.digest) is None


def test_a_registry_lists_attachments_as_referrers_of_their_image(registry: str) -> None:
    image = image_with(b"referred")
    repository = f"{registry}/referred/router"
    RegistryStore().write_attached(repository, image, BESIDE)
    RegistryStore().write_image(repository, TAG, image)
    # This registry has no list of referrers; clients keep one under a tag in its place
    # (OCI distribution specification 1.1, "Referrers Tag Schema").
    tag = image.digest.replace(":", "-")
    with urlopen(f"http://{registry}/v2/referred/router/manifests/{tag}") as answer:
        listed = json.load(answer)["manifests"]
    assert [entry["artifactType"] for entry in listed] == [BUNDLE_TYPE]


def test_a_registry_serves_the_same_bytes(registry: str, tmp_path: Path) -> None:
    image = image_with(b"served")
    repository = f"{registry}/bytes/router"
    RegistryStore().write_image(repository, TAG, image)
    manifest = subprocess.run(
        [find_tool("crane"), "manifest", f"{repository}@{image.digest}"],
        check=True,
        capture_output=True,
    ).stdout
    assert manifest.rstrip(b"\n") == image.root


def test_a_registry_that_does_not_answer_is_could_not_check() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(CouldNotCheck, match="no answer"):
        RegistryStore().read_digest(f"{address}/gone/router", TAG)


class Forbidding(BaseHTTPRequestHandler):
    """A registry that is there and lets nobody in."""

    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/v2/" else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the test says what went wrong."""


def test_a_403_for_a_name_with_404_in_it_is_could_not_check() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Forbidding) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(CouldNotCheck, match=r"no answer.*404.* 403"):
                RegistryStore().read_digest(f"127.0.0.1:{server.server_port}/tenant-404/x", TAG)
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("name", ["--help", "-v/router", "../router", "a/b/../c", "a/B", "a/b@c"])
def test_a_registry_is_only_asked_for_valid_repository_names(name: str) -> None:
    for call in (
        lambda: RegistryStore().read_digest(name, TAG),
        lambda: RegistryStore().write_image(name, TAG, image_with(b"1")),
    ):
        with pytest.raises(CouldNotCheck, match="not an image repository"):
            call()


def test_an_image_that_loses_a_race_is_could_not_check(
    registry: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process has pushed to the tag between our push and our look at it."""
    store, repository = RegistryStore(), f"{registry}/race/router"
    answers = iter([None, image_with(b"theirs").digest])
    monkeypatch.setattr(store, "read_digest", lambda *_: next(answers))
    with pytest.raises(CouldNotCheck, match="after the push"):
        store.write_image(repository, TAG, image_with(b"ours"))


def write_one(root: Path, number: int) -> None:
    store = LayoutStore(root)
    store.write_image("ameide/router", TAG, image_with(b"same for all"))
    store.write_image("ameide/router", f"src-{number:040x}", image_with(str(number).encode()))


def test_sixteen_processes_lose_nothing(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=write_one, args=(tmp_path, n)) for n in range(16)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 16
    store = LayoutStore(tmp_path)
    assert store.read_digest("ameide/router", TAG) == image_with(b"same for all").digest
    for number in range(16):
        expected = image_with(str(number).encode()).digest
        assert store.read_digest("ameide/router", f"src-{number:040x}") == expected
    index = json.loads((store.folder("ameide/router") / "index.json").read_bytes())
    assert len(index["manifests"]) == 17


@pytest.mark.parametrize("change", ["cut", "flip", "gone"])
def test_a_damaged_blob_is_noticed(tmp_path: Path, change: str) -> None:
    store = LayoutStore(tmp_path)
    image = image_with(b"1")
    store.write_image("router", TAG, image)
    for digest in image.blobs:
        blob = store.folder("router") / "blobs" / "sha256" / digest.removeprefix("sha256:")
        whole = blob.read_bytes()
        if change == "gone":
            blob.unlink()
        else:
            blob.write_bytes(whole[:-1] if change == "cut" else whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(CouldNotCheck):
            store.read_digest("router", TAG)
        blob.write_bytes(whole)
    assert store.read_digest("router", TAG) == image.digest


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[]",
        b"{}",
        b'{"manifests": 1}',
        b'{"manifests": [{}]}',
        b'{"manifests": [{"digest": "sha256:../../../x", "mediaType": "x"}]}',
        b'{"manifests": [{"digest": 1, "mediaType": "x"}]}',
    ],
)
def test_a_damaged_index_is_noticed(tmp_path: Path, index: bytes) -> None:
    store = LayoutStore(tmp_path)
    store.write_image("router", TAG, image_with(b"1"))
    (store.folder("router") / "index.json").write_bytes(index)
    for call in (
        lambda: store.read_digest("router", TAG),
        lambda: store.write_image("router", "other", image_with(b"2")),
        lambda: image_from_layout(store.folder("router")),
    ):
        with pytest.raises(CouldNotCheck, match=r"index\.json"):
            call()


@pytest.mark.parametrize("child", ['"sha256:../../../secret"', "{}", "7", '{"digest": "x"}'])
def test_a_manifest_refers_to_blobs_only(tmp_path: Path, child: str) -> None:
    (tmp_path / "secret").write_bytes(b"{}")
    document = f'{{"schemaVersion": 2, "layers": [{child}]}}'.encode()
    blobs = tmp_path / "router" / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    digest = digest_of(document)
    (blobs / digest.removeprefix("sha256:")).write_bytes(document)
    entry = {"mediaType": INDEX_TYPE, "digest": digest, "size": len(document)}
    index = {"manifests": [{**entry, "annotations": {"org.opencontainers.image.ref.name": TAG}}]}
    (tmp_path / "router" / "index.json").write_text(json.dumps(index))
    with pytest.raises(CouldNotCheck, match="not a digest"):
        LayoutStore(tmp_path).read_digest("router", TAG)


def test_no_two_repositories_share_a_folder(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    assert store.folder("host:5000/a") != store.folder("host/a")
    with pytest.raises(CouldNotCheck, match="not an image repository"):
        store.folder("host_5000/a")
    with pytest.raises(CouldNotCheck, match="not an image repository"):
        store.folder("host/a:5000")


def test_other_tools_read_a_layout_as_a_valid_image(
    registry: str,
) -> None:
    repository = f"{registry}/valid/router"
    image = image_with(b"1")
    RegistryStore().write_image(repository, TAG, image)
    reference = f"{repository}@{image.digest}"
    crane = find_tool("crane")
    # `--fast`, since without it crane takes every layer for compressed.
    told = subprocess.run(
        [crane, "validate", "--fast", "--remote", reference], capture_output=True, check=False
    )
    assert (told.returncode, told.stdout.startswith(b"PASS")) == (0, True), told.stderr
    tree = subprocess.run([crane, "export", reference, "-"], capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(tree)) as tar:
        member = tar.extractfile("primitive/app.py")
        assert member is not None
        assert member.read() == b"1"


@pytest.mark.parametrize("name", ["../router", "a//b", "/router", "a/./b", "-a/b", "", "a/b\0"])
def test_a_repository_stays_below_the_root(tmp_path: Path, name: str) -> None:
    store = LayoutStore(tmp_path / "images")
    with pytest.raises(CouldNotCheck, match="not an image repository"):
        store.write_image(name, TAG, image_with(b"1"))
    assert not (tmp_path / "images").exists()


def test_a_lone_manifest_of_a_layout_gets_an_index(tmp_path: Path) -> None:
    image = image_with(b"1")
    manifest = json.loads(image.root)["manifests"][0]
    blobs = tmp_path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for digest, content in image.blobs.items():
        (blobs / digest.removeprefix("sha256:")).write_bytes(content)
    entry = {key: manifest[key] for key in ("mediaType", "digest", "size")}
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    wrapped = image_from_layout(tmp_path)
    assert wrapped.digest == digest_of(wrapped.root)
    assert json.loads(wrapped.root)["manifests"][0]["digest"] == manifest["digest"]
    (tmp_path / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [entry, entry]})
    )
    with pytest.raises(CouldNotCheck, match="2 images"):
        image_from_layout(tmp_path)
