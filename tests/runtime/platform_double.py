"""The platform as a process sees it, on one loopback port: token issuer, definitions, actions.

It signs tokens with its own key; the code under test verifies them. It records what it was asked,
and how many actions of a tenant ran at once.
"""

from __future__ import annotations

import json
import threading
import time
from base64 import b64decode
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

AUDIENCE = "platform-api"
CLIENT = "worker:not-a-real-secret"
HOLD_TIMEOUT_S = 60


@dataclass
class Action:
    """One call of an action, by whom and with which key."""

    tenant_id: str
    name: str
    subject: str
    key: str


@dataclass
class PlatformDouble:
    """Behaviour and record of the double; `url` is where it listens."""

    url: str = ""
    steps: list[dict[str, object]] = field(default_factory=list)
    actions: list[Action] = field(default_factory=list)
    most_at_once: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    # An action of this name waits for `release`, but not for ever.
    held: str = ""
    release: threading.Event = field(default_factory=threading.Event)
    arrived: threading.Event = field(default_factory=threading.Event)
    pause_s: float = 0.0
    # Whose tokens the issuer gives, whatever it is asked for; nobody's when empty.
    tokens_always_of: str = ""
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _running: Counter[str] = field(default_factory=Counter)
    _key: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    def forget(self, steps: list[dict[str, object]]) -> None:
        """From now on it does these steps at once, as if nothing had been asked before."""
        self.release.set()
        until = time.monotonic() + HOLD_TIMEOUT_S
        while any(self._running.values()) and time.monotonic() < until:
            time.sleep(0.01)
        self.steps, self.held, self.pause_s, self.tokens_always_of = steps, "", 0.0, ""
        self.release, self.arrived = threading.Event(), threading.Event()
        self.actions.clear()
        self.most_at_once.clear()

    def token(self, tenant_id: str, *roles: str) -> str:
        """An authorization header of a user of the tenant, with roles."""
        return f"Bearer {self._sign(tenant_id, f'user-of-{tenant_id}', roles)}"

    def names_of(self, subject: str) -> list[str]:
        """The actions about the subject, in the order in which they came."""
        return [action.name for action in self.actions if action.subject == subject]

    def keys(self) -> dict[str, object]:
        """The issuer's JWKS document."""
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return {"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]}

    def issue(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, object]:
        """The answer of the token endpoint (RFC 6749 §4.4)."""
        sent = b64decode(authorization.removeprefix("Basic ")).decode()
        if sent != CLIENT or form.get("grant_type") != ["client_credentials"]:
            return 401, {"error": "invalid_client"}
        tenant_id = self.tokens_always_of or form["scope"][0].removeprefix("tenant:")
        return 200, {"access_token": self._sign(tenant_id, "worker", ()), "expires_in": 300}

    def definition(self, tenant_id: str, name: str, version: str) -> dict[str, object]:
        """The tenant's definition."""
        return {"id": name, "version": int(version), "tenant_id": tenant_id, "steps": self.steps}

    def act(self, action: Action) -> dict[str, str]:
        """The answer of an action, once it is done."""
        with self._lock:
            self.actions.append(action)
            self._running[action.tenant_id] += 1
            most = max(self.most_at_once[action.tenant_id], self._running[action.tenant_id])
            self.most_at_once[action.tenant_id] = most
        try:
            time.sleep(self.pause_s)
            if action.name == self.held:
                self.arrived.set()
                self.release.wait(HOLD_TIMEOUT_S)
        finally:
            with self._lock:
                self._running[action.tenant_id] -= 1
        return {"reference": f"{action.name}-{action.subject}"}

    def tenant_of(self, authorization: str) -> str:
        """The tenant of the token that a request carries. Raises PyJWTError."""
        token = authorization.removeprefix("Bearer ")
        claims = jwt.decode(token, self._key.public_key(), ["RS256"], audience=AUDIENCE)
        return str(claims["tenant_id"])

    def _sign(self, tenant_id: str, subject: str, roles: tuple[str, ...]) -> str:
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 300,
            "tenant_id": tenant_id,
            "roles": list(roles),
        }
        return jwt.encode(claims, self._key, "RS256", headers={"kid": "one"})


@contextmanager
def serve_platform() -> Iterator[PlatformDouble]:
    """A double that answers while the body runs."""
    platform = PlatformDouble()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path).path.strip("/").split("/")
            if parts == ["keys"]:
                self._answer(200, platform.keys())
            else:
                _, _, name, _, version = parts
                self._answer(200, platform.definition(self._tenant(), name, version))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.path == "/token":
                form = parse_qs(body.decode())
                self._answer(*platform.issue(self.headers["authorization"], form))
                return
            tenant_id = self._tenant()
            action = Action(
                tenant_id=tenant_id,
                name=self.path.rsplit("/", 1)[1],
                subject=json.loads(body)["subject"],
                key=self.headers["idempotency-key"],
            )
            self._answer(200, platform.act(action))

        def _tenant(self) -> str:
            tenant_id = platform.tenant_of(self.headers["authorization"])
            assert self.headers["x-tenant-id"] == tenant_id
            return tenant_id

        def _answer(self, status: int, document: object) -> None:
            content = json.dumps(document).encode()
            try:
                self.send_response(status)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # whoever asked is gone, as a killed worker is

        def log_message(self, format: str, *_: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    platform.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield platform
    finally:
        platform.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
