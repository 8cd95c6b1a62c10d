"""A platform API on the loopback interface: it believes verified tokens and keeps tenants apart."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt

PAGE_SIZE = 3
Item = Mapping[str, str]


@dataclass
class PlatformApi:
    """What runs: its origin, what it saw, and how it shall fail next."""

    origin: str
    issuer: str
    keys: jwt.PyJWKClient
    items: Mapping[str, Sequence[Item]]
    seen: list[Mapping[str, str]] = field(default_factory=list)
    failing: HTTPStatus | None = None

    def tenant_of(self, headers: Mapping[str, str]) -> str:
        """The tenant of a verified token. Raises jwt.PyJWTError."""
        token = headers.get("authorization", "").removeprefix("Bearer ")
        claims = jwt.decode(
            token,
            self.keys.get_signing_key_from_jwt(token).key,
            algorithms=["RS256"],
            issuer=self.issuer,
            audience="platform-api",
        )
        tenant = claims["tenant_id"]
        if headers.get("x-tenant-id") not in (None, tenant):
            raise jwt.InvalidTokenError("the header names another tenant")
        return str(tenant)

    def answer(self, path: str, headers: Mapping[str, str]) -> tuple[HTTPStatus, object]:
        """What a GET of `path` gets."""
        self.seen.append(dict(headers))
        if self.failing is not None:
            return self.failing, {"title": "it fails on purpose"}
        try:
            mine = self.items.get(self.tenant_of(headers), [])
        except (jwt.PyJWTError, KeyError) as error:
            return HTTPStatus.UNAUTHORIZED, {"title": str(error)}
        url = urlsplit(path)
        if url.path == "/v1/primitives":
            start = int(parse_qs(url.query).get("page_token", ["0"])[0])
            page: dict[str, object] = {"items": mine[start : start + PAGE_SIZE]}
            if len(mine) > start + PAGE_SIZE:
                page["next_page_token"] = str(start + PAGE_SIZE)
            return HTTPStatus.OK, page
        for item in mine:
            if url.path == f"/v1/primitives/{item['id']}":
                return HTTPStatus.OK, item
        return HTTPStatus.NOT_FOUND, {"title": "not found"}


@contextmanager
def platform_api(
    issuer: str, jwks_url: str, items: Mapping[str, Sequence[Item]]
) -> Iterator[PlatformApi]:
    """The API, serving until the block ends."""
    api: PlatformApi

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, body = api.answer(self.path, headers)
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        origin = f"http://127.0.0.1:{server.server_port}"
        api = PlatformApi(origin, issuer, jwt.PyJWKClient(jwks_url), items)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
