"""The domain's image, built, and started as a container runs it: its own user, a read-only root.

buildah builds it without a network, and buildx on a real Docker, on a base made from Debian
packages.
"""

from __future__ import annotations

import fcntl
import http.server
import json
import os
import shlex
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from psycopg.conninfo import make_conninfo

from pipeline.images.buildah import LOCK_FILE, BuildahMaker
from pipeline.images.buildx import BuildxMaker
from pipeline.images.stores import LayoutStore
from pipeline.sandbox.packages import parse_lock, read_wheels
from tests.runtime.postgres import PostgresServer
from tests.runtime.test_domain import VALUES
from tests.support.docker_daemon import DRIVER_OPTIONS
from tests.support.projects import TOOLS, render_project
from tests.support.registry import serve_registry
from tools.base_image import make_base_image

pytestmark = pytest.mark.image

IMAGE = "registry.example.com/ameide/tenant-platform/order-router"
USER = 65532
DEADLINE_S = 180


@pytest.fixture(scope="module")
def base() -> tuple[Path, str]:
    """The storage that holds the base image, and the image's reference by digest; made once."""
    folder = TOOLS / "base-image"
    folder.mkdir(parents=True, exist_ok=True)
    named = folder / "reference"
    with (folder / "lock").open("w") as alone:
        fcntl.flock(alone, fcntl.LOCK_EX)
        if not named.exists():
            named.write_text(make_base_image(folder / "storage"))
    return folder / "storage", named.read_text()


@dataclass(frozen=True)
class Container:
    """An image's files, unpacked, and what it says of how it runs."""

    root: Path
    environment: Mapping[str, str]
    entrypoint: tuple[str, ...]
    user: str

    def command(
        self, argv: tuple[str, ...], environment: Mapping[str, str], *shown: Path
    ) -> list[str]:
        """A command in the container: a root that is read-only, a `/tmp`, and its own user."""
        variables = [
            f"{name}={value}" for name, value in {**self.environment, **environment}.items()
        ]
        inside = ["/usr/bin/env", "-i", *variables, *argv]
        root = shlex.quote(str(self.root))
        steps = [
            f"mount --bind {root} {root}",
            f"mount -o remount,ro,bind {root}",
            f"mount -t tmpfs -o size=64m tmpfs {root}/tmp",
            *(
                f"mkdir -p {root}{folder} && mount --bind {folder} {root}{folder}"
                for folder in map(str, shown)
            ),
            f"exec chroot --userspec={self.user} {root} {shlex.join(inside)}",
        ]
        return ["unshare", "--mount", "--", "sh", "-euc", "\n".join(steps)]


def build_by_buildah(base: tuple[Path, str]) -> BuildahMaker:
    storage, reference = base
    return BuildahMaker({"BASE_IMAGE": reference}, base_storage=storage)


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address of a page that lists a folder's files."""
    handler = partial(QuietFiles, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


class QuietFiles(http.server.SimpleHTTPRequestHandler):
    """Files, without a word about who asked."""

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def build_by_buildx(base: tuple[Path, str], lock: bytes, folder: Path) -> Iterator[BuildxMaker]:
    """buildx, with the base image in a registry and the packages on a page, both on 127.0.0.1."""
    storage, reference = base
    with serve_registry() as address, served(read_wheels(parse_lock(lock))) as wheels:
        image, digest = f"{address}/primitive-base", folder / "digest"
        places = ("--root", storage, "--runroot", f"{storage}.run", "--storage-driver", "vfs")
        options = ("--tls-verify=false", "--digestfile", digest)
        push = ("buildah", *places, "push", *options, reference, f"docker://{image}:1")
        subprocess.run(push, check=True, capture_output=True, timeout=300)
        arguments = {
            "BASE_IMAGE": f"{image}@{digest.read_text()}",
            "PIP_FIND_LINKS": wheels,
            "PIP_NO_INDEX": "1",
        }
        yield BuildxMaker(arguments, driver_options=DRIVER_OPTIONS)


@pytest.fixture(scope="module", params=["buildah", "buildx"])
def container(
    request: pytest.FixtureRequest,
    base: tuple[Path, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Container]:
    folder = tmp_path_factory.mktemp("image")
    files = {
        path: (0o100755 if file.executable else 0o100644, file.content)
        for path, file in render_project("domain", VALUES).items()
    }
    labels = {"ameide.io/tenant-id": "platform"}
    if request.param == "buildah":
        image_made = build_by_buildah(base).make(files, labels)
    else:
        request.getfixturevalue("docker")
        with build_by_buildx(base, files[LOCK_FILE][1], folder) as maker:
            image_made = maker.make(files, labels)
    store = LayoutStore(folder / "images")
    store.write_image(IMAGE, "made", image_made)
    places = ("--root", str(folder / "storage"), "--runroot", str(folder / "run"))
    buildah = ("buildah", *places, "--storage-driver", "vfs")

    def ask(*arguments: str) -> str:
        done = subprocess.run([*buildah, *arguments], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    image = ask("pull", "--quiet", f"oci:{store.folder(IMAGE)}")
    made = ask("from", "--pull-never", image)
    config = json.loads(ask("inspect", "--type=image", image))["OCIv1"]["config"]
    yield Container(
        root=Path(ask("mount", made)),
        environment=dict(line.split("=", 1) for line in config["Env"]),
        entrypoint=tuple(config["Entrypoint"]),
        user=config["User"],
    )
    ask("rm", made)


def run(container: Container, *argv: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = container.command(argv, environment)
    return subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)


def test_the_container_is_unprivileged_and_cannot_write(container: Container) -> None:
    assert container.user == f"{USER}:{USER}"
    assert run(container, "id", "-u").stdout.strip() == str(USER)
    for place in ("/", "/opt/primitive", "/opt/primitive/src", "/etc"):
        refused = run(container, "touch", f"{place}/written")
        assert refused.returncode != 0
        assert "Read-only file system" in refused.stderr
    assert run(container, "touch", "/tmp/written").returncode == 0


def test_the_image_s_files_belong_to_root(container: Container) -> None:
    owners = {path.stat().st_uid for path in (container.root / "opt" / "primitive").rglob("*")}
    assert owners == {0}


def test_the_image_has_the_locked_packages_and_no_test_tools(
    container: Container,
) -> None:
    listed = {path.name for path in (container.root / "opt/primitive/packages").iterdir()}
    assert "grpc" in listed and "pytest" not in listed


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_the_container_serves_on_a_real_database(
    container: Container, postgres: PostgresServer
) -> None:
    database = postgres.create_database(application="order_router_service")
    postgres.create_role("order_router_relay")
    port = free_port()
    settings = {
        "DATABASE_URL": database.application,
        "OWNER_DATABASE_URL": database.owner,
        "RELAY_DATABASE_URL": make_conninfo(database.superuser, user="order_router_relay"),
        "GRPC_ADDRESS": f"127.0.0.1:{free_port()}",
        "HEALTH_PORT": str(port),
        "TOKEN_ISSUER": "https://issuer.test/realms/one",
        "TOKEN_AUDIENCE": "platform-api",
        "TOKEN_JWKS_URL": "http://127.0.0.1:9/keys",
        "STOP_TIMEOUT_S": "5",
    }
    # The socket's folder is shown in the container's own /tmp; its user may look up names in it.
    postgres.folder.chmod(0o711)
    module = container.entrypoint[-1]
    migrate = container.command(("python", "-m", f"{module}.migrate"), settings, postgres.folder)
    subprocess.run(migrate, check=True, timeout=DEADLINE_S)
    serve = container.command(container.entrypoint, settings, postgres.folder)
    with subprocess.Popen(serve, start_new_session=True) as process:
        try:
            live = wait_for(f"http://127.0.0.1:{port}/healthz", process)
            assert live == 200
            status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
            uids = next(line for line in status if line.startswith("Uid:")).split()[1:]
            assert set(uids) == {str(USER)}
            process.send_signal(signal.SIGTERM)
            assert process.wait(DEADLINE_S) == 0
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> int:
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        assert process.poll() is None, f"it ended with {process.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return int(answer.status)
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"{url} did not answer")
