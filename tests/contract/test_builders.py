"""The contract of builders: one image per source tree, found again or built, always the same."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.checks.dockerfile import scan_dockerfile
from pipeline.errors import CouldNotCheck, OverBound
from pipeline.git.objects import tree_id_of_files
from pipeline.images.attesting import claim_of, store_attested
from pipeline.images.buildah import BuildahMaker
from pipeline.images.buildx import BuildxMaker
from pipeline.images.layout import LayoutMaker
from pipeline.images.oci import attached_tag, image_of
from pipeline.images.port import Maker, Source, source_tag
from pipeline.images.provenance import statement_of
from pipeline.images.signing import SigningKey
from pipeline.images.stores import ImageStore, LayoutStore
from pipeline.machine.versions import find_tool
from pipeline.models.base import digest_of
from pipeline.models.evidence import BuildRecord
from pipeline.tools.bundlecheck import verify_bundles
from tests.support.docker_daemon import DRIVER_OPTIONS, Docker
from tests.support.signing import attested, signing_key, trusted_signers

COMMIT = "c0" * 20
IMAGE = "registry.example.com/ameide/tenant-acme/router"
FILES = {
    "Dockerfile": (0o100644, b"FROM scratch\nCOPY src /app\nCOPY run.sh /run.sh\n"),
    "run.sh": (0o100755, b"#!/bin/sh\n"),
    "src/app.py": (0o100644, b"print('order')\n"),
}
LABELS = {"ameide.io/tenant-id": "acme"}


@dataclass(frozen=True)
class Built:
    """A builder of the kind that a test is about, with its store."""

    maker: Maker
    store: ImageStore

    @property
    def name(self) -> str:
        return self.maker.name

    def build(self, source: Source) -> BuildRecord:
        return attested(self.maker, self.store).build(source)


Make = Callable[[ImageStore], Built]


def make_layout(store: ImageStore) -> Built:
    return Built(LayoutMaker(), store)


def make_buildah(store: ImageStore, base_storage: Path | None = None) -> Built:
    if shutil.which("buildah") is None:
        pytest.skip("buildah is not installed; it is optional, and nothing here can build it")
    return Built(BuildahMaker(base_storage=base_storage), store)


def make_buildx(store: ImageStore) -> Built:
    """buildx on the Docker of the fixture `docker`; `make image` sets it up."""
    return Built(BuildxMaker(driver_options=DRIVER_OPTIONS), store)


@pytest.fixture(
    params=[
        pytest.param(make_layout, id="source-layout"),
        pytest.param(make_buildah, id="buildah"),
        pytest.param(make_buildx, id="buildx", marks=pytest.mark.image),
    ]
)
def make(request: pytest.FixtureRequest) -> Make:
    made: Make = request.param
    if made is make_buildx:
        request.getfixturevalue("docker")
    return made


def build(
    builder: Built, files: dict[str, tuple[int, bytes]] = FILES, commit: str = COMMIT
) -> BuildRecord:
    return builder.build(source_of(files, commit))


def source_of(files: dict[str, tuple[int, bytes]] = FILES, commit: str = COMMIT) -> Source:
    return Source(
        repo="tenant-acme-controllers",
        folder="primitives/router",
        commit=commit,
        tree=tree_id_of_files(files),
        files=files,
        image=IMAGE,
        labels=LABELS,
    )


def test_a_build_is_stored_under_the_tag_of_its_source_tree(make: Make, tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    builder = make(store)
    record = build(builder)
    assert record.builder == builder.name
    assert (record.image, record.source_commit) == (IMAGE, COMMIT)
    assert record.source_tree == tree_id_of_files(FILES)
    assert store.read_digest(IMAGE, source_tag(record.source_tree)) == record.digest


def test_the_same_tree_gives_the_same_digest_anywhere(make: Make, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        digests.add(build(make(LayoutStore(tmp_path / name))).digest)
    assert len(digests) == 1


def test_another_tree_gives_another_digest(make: Make, tmp_path: Path) -> None:
    builder = make(LayoutStore(tmp_path))
    changed = {**FILES, "src/app.py": (0o100644, b"print('other')\n")}
    mode = {**FILES, "src/app.py": (0o100755, b"print('order')\n")}
    digests = {build(builder, files).digest for files in (FILES, changed, mode)}
    assert len(digests) == 3


def test_a_tree_is_built_once_even_from_another_commit(make: Make, tmp_path: Path) -> None:
    writes: list[str] = []

    class CountingStore(LayoutStore):
        def write_image(self, repository, tag, image):  # type: ignore[no-untyped-def] # as its base
            writes.append(tag)
            return super().write_image(repository, tag, image)

    first = build(make(CountingStore(tmp_path)))
    second = build(make(CountingStore(tmp_path)), commit="d1" * 20)
    assert second.digest == first.digest
    assert second.source_commit == "d1" * 20
    assert writes == [attached_tag(first.digest), source_tag(first.source_tree)]


@pytest.mark.parametrize("lost", ["src-", "sha256-"], ids=["image", "statement"])
def test_a_build_goes_on_after_a_lost_reply(lost: str, make: Make, tmp_path: Path) -> None:
    class LosingStore(LayoutStore):
        def write_image(self, repository, tag, image):  # type: ignore[no-untyped-def] # as its base
            digest = super().write_image(repository, tag, image)
            if tag.startswith(lost):
                raise ConnectionError("the reply is lost")
            return digest

    with pytest.raises(ConnectionError):
        build(make(LosingStore(tmp_path)))
    store = LayoutStore(tmp_path)
    pushed = store.read_digest(IMAGE, source_tag(tree_id_of_files(FILES)))
    assert (pushed is None) == (lost != "src-")
    assert build(make(store)) == build(make(LayoutStore(tmp_path / "uninterrupted")))


def test_a_build_comes_with_its_statement_and_its_contents(make: Make, tmp_path: Path) -> None:
    builder = make(LayoutStore(tmp_path))
    record = build(builder)
    attached = builder.store.read_attached(IMAGE, record.digest)
    assert attached is not None
    assert record.bundle.encode() == attached.bundle
    assert record.provenance == digest_of(attached.bundle)
    assert record.sbom == digest_of(attached.sbom)
    [verified] = verify_bundles([(record.bundle, trusted_signers())])
    statement = json.loads(verified.statement)
    assert statement["subject"] == [{"name": IMAGE, "digest": {"sha256": record.digest[7:]}}]
    definition = statement["predicate"]["buildDefinition"]
    assert definition["internalParameters"] == {"builder": builder.name}
    assert definition["externalParameters"]["source"] == {
        "repository": "tenant-acme-controllers",
        "folder": "primitives/router",
        "tree": record.source_tree,
    }


def test_an_image_that_somebody_else_pushed_is_refused(make: Make, tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    source = source_of()
    store.write_image(IMAGE, source.tag, image_of({"evil": (0o100644, b"")}, {}))
    with pytest.raises(CouldNotCheck, match="no provenance"):
        build(make(store))


def test_an_image_with_somebody_else_s_statement_is_refused(make: Make, tmp_path: Path) -> None:
    store, source = LayoutStore(tmp_path / "images"), source_of()
    image = image_of({"evil": (0o100644, b"")}, {})
    claim, sbom = claim_of(source, "source-layout", image.digest)
    key = SigningKey.create(tmp_path / "key.pem")
    signer = trusted_signers().signers[0]
    bundle = key.sign(statement_of(claim, signer.builder_id))
    store_attested(store, source, image, bundle, sbom)
    with pytest.raises(CouldNotCheck, match="provenance-foreign"):
        build(make(store))


def test_a_statement_moved_to_another_image_is_refused(make: Make, tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    builder = make(store)
    good = store.read_attached(IMAGE, build(builder).digest)
    assert good is not None
    other = {**FILES, "src/app.py": (0o100644, b"print('other')\n")}
    image = image_of({"evil": (0o100644, b"")}, {})
    store_attested(store, source_of(other), image, good.bundle.decode(), good.sbom)
    with pytest.raises(CouldNotCheck, match="provenance-mismatch: its statement is about another"):
        build(builder, other)


def test_contents_that_differ_from_the_statement_are_refused(make: Make, tmp_path: Path) -> None:
    store, source = LayoutStore(tmp_path / "images"), source_of()
    image = image_of(FILES, {})
    claim, _ = claim_of(source, "source-layout", image.digest)
    signer = trusted_signers().signers[0]
    bundle = signing_key().sign(statement_of(claim, signer.builder_id))
    store_attested(store, source, image, bundle, b'{"components": []}')
    with pytest.raises(CouldNotCheck, match="another contents"):
        build(make(store))


def test_an_unreadable_lock_file_is_an_error(make: Make, tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    for path in ("requirements.lock", "package-lock.json"):
        with pytest.raises(OverBound, match=path):
            build(make(store), {**FILES, path: (0o100644, b"--index-url evil")})
    assert not any(tmp_path.rglob("index.json"))


def test_the_order_of_files_does_not_matter(make: Make, tmp_path: Path) -> None:
    turned = dict(reversed(FILES.items()))
    digests = {
        build(make(LayoutStore(tmp_path / name)), files).digest
        for name, files in (("one", FILES), ("two", turned))
    }
    assert len(digests) == 1


@pytest.mark.image
def test_a_buildx_build_leaves_nothing_behind(docker: Docker, tmp_path: Path) -> None:
    assert build(make_buildx(LayoutStore(tmp_path / "one"))).digest
    broken = {"Dockerfile": (0o100644, b"FROM scratch\nCOPY absent /\n")}
    with pytest.raises(OverBound, match="buildx build failed"):
        build(make_buildx(LayoutStore(tmp_path / "two")), broken)
    assert docker.ask("ps", "--all", "--quiet") == ""
    assert docker.ask("volume", "ls", "--quiet") == ""


@pytest.mark.image
def test_a_buildx_build_sees_nothing_of_another_build(docker: Docker, tmp_path: Path) -> None:
    helm = {"helm": (0o100755, find_tool("helm").resolve().read_bytes())}
    start = "FROM scratch\nCOPY helm /helm\nENV HOME=/\n"
    kept = "RUN --mount=type=cache,id=kept,target=/kept "

    def build_of(name: str, *commands: str) -> BuildRecord:
        text = start + "".join(f"{kept}{command}\n" for command in commands)
        files = {**helm, "Dockerfile": (0o100644, text.encode())}
        return build(make_buildx(LayoutStore(tmp_path / name)), files)

    leaves, finds = '["/helm", "create", "/kept/chart"]', '["/helm", "lint", "/kept/chart"]'
    # A cache outlives the step that filled it, so that it would outlive the build as well.
    assert build_of("one", leaves, finds).digest
    with pytest.raises(OverBound, match="/helm lint /kept/chart") as refused:
        build_of("two", finds)
    assert "no such file or directory" in refused.value.help


@pytest.mark.image
def test_buildkit_joins_lines_as_our_dockerfile_scan_does(docker: Docker, tmp_path: Path) -> None:
    text = (
        "FROM scratch AS stage\nCOPY run.sh /run.sh\n"
        "FROM scratch\nCOPY --from=st\\  \n  # FROM nowhere\n\nage /run.sh /x\n"
    )
    assert scan_dockerfile(text.encode()) == []
    files = {**FILES, "Dockerfile": (0o100644, text.encode())}
    assert build(make_buildx(LayoutStore(tmp_path)), files).digest


@pytest.mark.image
def test_buildx_says_what_is_wrong(docker: Docker, tmp_path: Path) -> None:
    with pytest.raises(OverBound, match="no Dockerfile"):
        build(make_buildx(LayoutStore(tmp_path)), {"a": (0o100644, b"")})
    unknown = Built(BuildxMaker(driver_options="speed=great"), LayoutStore(tmp_path))
    with pytest.raises(CouldNotCheck, match=r"buildx \w+ failed: .*speed"):
        build(unknown)
    absent = "image=127.0.0.1:9/absent:1,network=host"
    with pytest.raises(CouldNotCheck, match=r"buildx build failed: .*127\.0\.0\.1:9"):
        build(Built(BuildxMaker(driver_options=absent), LayoutStore(tmp_path)))
    assert docker.ask("ps", "--all", "--quiet") == ""


def test_buildah_says_what_is_wrong_with_a_dockerfile(tmp_path: Path) -> None:
    builder = make_buildah(LayoutStore(tmp_path))
    with pytest.raises(OverBound, match="no Dockerfile"):
        build(builder, {"a": (0o100644, b"")})
    with pytest.raises(OverBound, match="buildah bud failed"):
        build(builder, {"Dockerfile": (0o100644, b"FROM scratch\nCOPY absent /\n")})
    assert not any(tmp_path.rglob("index.json"))


def test_a_run_step_of_buildah_has_no_network(tmp_path: Path) -> None:
    builder = make_buildah(LayoutStore(tmp_path))
    # A program without libraries, so that an image made from nothing can run it.
    program = (0o100755, find_tool("crane").resolve().read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        port = server.getsockname()[1]
        calls = f'RUN ["/crane", "digest", "127.0.0.1:{port}/any:tag"]\n'.encode()
        text = b"FROM scratch\nCOPY crane /crane\n"
        with pytest.raises(OverBound, match="buildah bud failed"):
            build(builder, {"crane": program, "Dockerfile": (0o100644, text + calls)})
        with pytest.raises(BlockingIOError):
            server.accept()
    answers = b'RUN ["/crane", "version"]\n'
    assert build(builder, {"crane": program, "Dockerfile": (0o100644, text + answers)}).digest


def test_buildah_builds_from_the_dockerfile_alone(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path)
    files = {**FILES, "Containerfile": (0o100644, b"FROM nowhere.example.com/x\n")}
    assert build(make_buildah(store), files).digest


def test_buildah_builds_on_images_that_were_fetched_before(tmp_path: Path) -> None:
    make_buildah(LayoutStore(tmp_path))
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /base\n")
    storage = tmp_path / "storage"
    subprocess.run(
        [
            *("buildah", "--root", storage, "--runroot", tmp_path / "run"),
            *("--storage-driver", "vfs", "bud", "--isolation", "chroot"),
            *("-t", "localhost/base:1", context),
        ],
        capture_output=True,
        check=True,
    )
    files = {"Dockerfile": (0o100644, b"FROM localhost/base:1\nCOPY Dockerfile /upon\n")}
    with pytest.raises(CouldNotCheck, match="buildah bud failed"):
        build(make_buildah(LayoutStore(tmp_path / "without")), files)
    digests = {
        build(make_buildah(LayoutStore(tmp_path / name), storage), files).digest
        for name in ("one", "two")
    }
    assert len(digests) == 1
