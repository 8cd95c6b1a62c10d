"""The source layout image: its bytes depend on files and labels alone."""

from __future__ import annotations

import io
import json
import tarfile

from pipeline.images.oci import INDEX_TYPE, LAYER_TYPE, image_of, layer_of, referenced_digests
from pipeline.models.base import digest_of

FILES = {
    "run.sh": (0o100755, b"#!/bin/sh\n"),
    "src/pkg/app.py": (0o100644, b"x = 1\n"),
    "a" * 120 + "/" + "b" * 120: (0o100644, b"long"),
    "é/日本": (0o100644, b"text"),
}


def test_the_digest_is_pinned() -> None:
    # A change here would give every source tree that was built a second image.
    image = image_of({"app.py": (0o100644, b"x = 1\n")}, {"b": "2", "a": "1"})
    assert image.digest == "sha256:6729529b340ed8054ede152b14b51bd06b281732b4e5f841d23f3d466009801f"


def test_the_order_of_files_and_labels_does_not_matter() -> None:
    turned = image_of(dict(reversed(FILES.items())), {"b": "2", "a": "1"})
    assert turned == image_of(FILES, {"a": "1", "b": "2"})


def test_content_mode_path_and_labels_matter() -> None:
    base = {"app.py": (0o100644, b"x")}
    digests = {
        image_of(files, labels).digest
        for files, labels in (
            (base, {}),
            ({"app.py": (0o100644, b"y")}, {}),
            ({"app.py": (0o100755, b"x")}, {}),
            ({"main.py": (0o100644, b"x")}, {}),
            (base, {"a": "1"}),
        )
    }
    assert len(digests) == 5


def test_the_layer_is_sorted_with_fixed_times_owners_and_modes() -> None:
    with tarfile.open(fileobj=io.BytesIO(layer_of(FILES))) as tar:
        members = tar.getmembers()
        names = [member.name for member in members]
        contents = {
            member.name: extracted.read()
            for member in members
            if (extracted := tar.extractfile(member)) is not None
        }
    files = [f"primitive/{path}" for path in sorted(FILES)]
    assert [name for name in names if name in files] == files
    assert contents == {f"primitive/{path}": content for path, (_, content) in FILES.items()}
    for member in members:
        assert (member.uid, member.gid, member.mtime) == (65532, 65532, 0)
        assert (member.uname, member.gname) == ("", "")
        expected = 0o755 if member.isdir() or member.name.endswith("run.sh") else 0o644
        assert member.mode == expected
    for member in members:
        parent = member.name.rpartition("/")[0]
        assert not parent or names.index(parent) < names.index(member.name)


def test_everything_is_found_from_the_index_by_digest_and_size() -> None:
    image = image_of(FILES, {})
    index = json.loads(image.root)
    assert index["mediaType"] == INDEX_TYPE
    reached = {image.digest}
    waiting = [image.digest]
    while waiting:
        for digest in referenced_digests(image.blobs[waiting.pop()]):
            reached.add(digest)
            waiting.append(digest)
    assert reached == set(image.blobs)
    for digest, blob in image.blobs.items():
        assert digest_of(blob) == digest
    [entry] = index["manifests"]
    manifest = json.loads(image.blobs[entry["digest"]])
    assert entry["size"] == len(image.blobs[entry["digest"]])
    [layer] = manifest["layers"]
    assert layer["mediaType"] == LAYER_TYPE
    assert layer["size"] == len(image.blobs[layer["digest"]])
    config = json.loads(image.blobs[manifest["config"]["digest"]])
    # Not compressed, so the layer's digest is also that of its content.
    assert config["rootfs"]["diff_ids"] == [layer["digest"]]


def test_a_blob_that_is_no_manifest_refers_to_nothing() -> None:
    for blob in (
        b"",
        b"text",
        b"[]",
        b'{"schemaVersion": 1, "layers": [{"digest": "x"}]}',
        b"\xff",
    ):
        assert referenced_digests(blob) == ()
