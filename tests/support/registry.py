"""A container registry on 127.0.0.1, served by crane."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pipeline.machine.versions import find_tool


@contextmanager
def serve_registry() -> Iterator[str]:
    """The address of a registry, which runs until the block ends."""
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
