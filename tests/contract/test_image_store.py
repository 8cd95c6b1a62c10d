"""What every image store promises: a folder of OCI layouts, and a registry behind crane."""

from __future__ import annotations

import json
import multiprocessing
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.builders.images import ImageStore, LayoutStore, RegistryStore, image_from_layout
from pipeline.errors import CouldNotCheck
from pipeline.oci import Image, digest_of, image_of
from pipeline.tools.versions import find_tool

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
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    server = subprocess.Popen(
        [find_tool("crane"), "registry", "serve", "--address", address],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(500):
            try:
                with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))):
                    break
            except ConnectionRefusedError:
                time.sleep(0.02)
        yield address
    finally:
        server.terminate()
        server.wait()


@pytest.fixture(params=["layout", "registry"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    if request.param == "layout":
        return Kept(
            LayoutStore(tmp_path / "images"), "registry.example.com:5000/ameide/tenant-acme/router"
        )
    address = request.getfixturevalue("registry")
    return Kept(RegistryStore(), f"{address}/{tmp_path.name.lower().replace('_', '-')}/router")


def test_a_tag_that_nobody_wrote_has_no_digest(kept: Kept) -> None:
    assert kept.store.read_digest(kept.repository, TAG) is None
    kept.store.write_image(kept.repository, TAG, image_with(b"1"))
    assert kept.store.read_digest(kept.repository, "src-" + "cd" * 20) is None


def test_what_was_written_is_read_back_by_the_digest_of_its_index(kept: Kept) -> None:
    image = image_with(b"1")
    assert kept.store.write_image(kept.repository, TAG, image) == image.digest
    assert kept.store.read_digest(kept.repository, TAG) == image.digest


def test_writing_again_changes_nothing_and_the_first_image_wins(kept: Kept) -> None:
    first, second = image_with(b"1"), image_with(b"2")
    assert first.digest != second.digest
    for image in (first, first, second):
        assert kept.store.write_image(kept.repository, TAG, image) == first.digest
    assert kept.store.read_digest(kept.repository, TAG) == first.digest


def test_tags_of_one_repository_stand_beside_each_other(kept: Kept) -> None:
    images = {f"src-{number:040x}": image_with(str(number).encode()) for number in range(3)}
    for tag, image in images.items():
        kept.store.write_image(kept.repository, tag, image)
    for tag, image in images.items():
        assert kept.store.read_digest(kept.repository, tag) == image.digest


def test_repositories_do_not_share_tags(kept: Kept) -> None:
    kept.store.write_image(kept.repository, TAG, image_with(b"1"))
    assert kept.store.read_digest(kept.repository + "-other", TAG) is None


def test_a_registry_serves_the_very_bytes(registry: str, tmp_path: Path) -> None:
    image = image_with(b"served")
    repository = f"{registry}/bytes/router"
    RegistryStore().write_image(repository, TAG, image)
    manifest = subprocess.run(
        [find_tool("crane"), "manifest", f"{repository}@{image.digest}"],
        check=True,
        capture_output=True,
    ).stdout
    assert manifest.rstrip(b"\n") == image.index


def test_a_registry_that_does_not_answer_is_could_not_check() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    with pytest.raises(CouldNotCheck, match="no answer"):
        RegistryStore().read_digest(f"{address}/gone/router", TAG)


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


@pytest.mark.parametrize("name", ["../router", "a//b", "/router", "a/./b", "-a/b", "", "a/b\0"])
def test_a_repository_stays_below_the_root(tmp_path: Path, name: str) -> None:
    store = LayoutStore(tmp_path / "images")
    with pytest.raises(CouldNotCheck, match="no image repository"):
        store.write_image(name, TAG, image_with(b"1"))
    assert not (tmp_path / "images").exists()


def test_a_lone_manifest_of_a_layout_gets_an_index(tmp_path: Path) -> None:
    image = image_with(b"1")
    manifest = json.loads(image.index)["manifests"][0]
    blobs = tmp_path / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for digest, content in image.blobs.items():
        (blobs / digest.removeprefix("sha256:")).write_bytes(content)
    entry = {key: manifest[key] for key in ("mediaType", "digest", "size")}
    (tmp_path / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    wrapped = image_from_layout(tmp_path)
    assert wrapped.digest == digest_of(wrapped.index)
    assert json.loads(wrapped.index)["manifests"][0]["digest"] == manifest["digest"]
    (tmp_path / "index.json").write_text(
        json.dumps({"schemaVersion": 2, "manifests": [entry, entry]})
    )
    with pytest.raises(CouldNotCheck, match="2 images"):
        image_from_layout(tmp_path)
