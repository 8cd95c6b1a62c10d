"""Argo CD's API on 127.0.0.1, as far as it is asked: `GET /api/v1/applications` with a token.

It answers as Argo CD's server does (`server/application`, the gateway of
`pkg/apiclient/application`): items without their kind, `projects` as a filter, gRPC's codes in
errors. Each fault is asked for by name. It lives as long as the block, and answers one at a time.
"""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

TOKEN = "eyJhbGciOiJIUzI1NiJ9.argocd.token"


@dataclass
class ArgoCdServer:
    """What it knows, and what it was asked."""

    url: str
    applications: Sequence[dict[str, Any]]
    token: str = TOKEN
    # Answers in place of the list, given the handler.
    fault: Callable[[BaseHTTPRequestHandler], None] | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)  # path, headers

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        self.asked.append((handler.path, dict(handler.headers)))
        if self.fault is not None:
            self.fault(handler)
            return
        parts = urlsplit(handler.path)
        if handler.headers.get("Authorization") != f"Bearer {self.token}":
            error = {"error": "no session information", "code": 16, "message": "no session"}
            send(handler, 401, json.dumps(error).encode())
        elif parts.path != "/api/v1/applications":
            send(handler, 404, b'{"error": "Not Found", "code": 5, "message": "Not Found"}')
        else:
            wanted = parse_qs(parts.query).get("projects", [])
            items = [
                {key: value for key, value in app.items() if key not in ("apiVersion", "kind")}
                for app in self.applications
                if not wanted or app["spec"]["project"] in wanted
            ]
            body = {"metadata": {"resourceVersion": "4711"}, "items": items or None}
            send(handler, 200, json.dumps(body).encode())


def send(handler: BaseHTTPRequestHandler, status: int, body: bytes, **headers: str) -> None:
    """Send one answer."""
    handler.send_response(status)
    for name, value in {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def serve_argocd(
    applications: Sequence[dict[str, Any]] = (), *, tls: Path | None = None
) -> Iterator[ArgoCdServer]:
    """The server, within the block; with `tls` by HTTPS, whose certificate is put there."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, format: str, *args: object) -> None:
            pass

    listener = HTTPServer(("127.0.0.1", 0), Handler)
    scheme = "http"
    if tls is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(_certificate(tls))
        listener.socket = context.wrap_socket(listener.socket, server_side=True)
        scheme = "https"
    server = ArgoCdServer(f"{scheme}://127.0.0.1:{listener.server_port}", applications)
    thread = threading.Thread(target=listener.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def _certificate(file: Path) -> Path:
    """A certificate of 127.0.0.1 that vouches for itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "argocd")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return file
