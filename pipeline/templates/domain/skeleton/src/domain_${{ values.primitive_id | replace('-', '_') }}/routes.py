"""The API of the entities: create, read, list, replace, delete."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .entities import ENTITIES, Draft, InvalidDraft, Record, parse_draft
from .identity import Forbidden, TokenVerifier, Unauthenticated, identify
from .logs import TENANT
from .paging import read_page_size, read_page_token, render_page_token
from .problems import Problem
from .repository import IdempotencyConflict, NotFound, Repository, TenantRepository, VersionMismatch

BODY_BYTES_MAX = 65_536
_ITEM = "{record_id}"
_ETAG = re.compile(r'"([1-9][0-9]{0,17})"\Z')
_IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9._~-]{1,128}\Z")

Endpoint = Callable[[Request], Awaitable[Response]]


class EntityApi:
    """The endpoints of all entities over one repository and one verifier."""

    def __init__(self, repository: Repository, verifier: TokenVerifier) -> None:
        self._repository = repository
        self._verifier = verifier

    def routes(self) -> list[Route]:
        """The routes to mount; each entity has its own, so that unknown ones are not found."""
        routes = []
        for entity in ENTITIES:
            collection, item = f"/v1/{entity}", f"/v1/{entity}/{_ITEM}"
            routes += [
                Route(collection, _bound(self.list, entity), methods=["GET"]),
                Route(collection, _bound(self.create, entity), methods=["POST"]),
                Route(item, _bound(self.read, entity), methods=["GET"]),
                Route(item, _bound(self.replace, entity), methods=["PUT"]),
                Route(item, _bound(self.delete, entity), methods=["DELETE"]),
            ]
        return routes

    def _tenant(self, request: Request) -> TenantRepository:
        """The caller's own repository; the only way from a request to stored rows."""
        try:
            identity = identify(
                self._verifier,
                request.headers.getlist("authorization"),
                request.headers.get("x-tenant-id"),
            )
        except Unauthenticated as error:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            raise Problem(401, "not authenticated", str(error), challenge) from error
        except Forbidden as error:
            raise Problem(403, "forbidden", str(error)) from error
        TENANT.set(identity.tenant_id)
        request.state.tenant_id = identity.tenant_id
        return self._repository.for_tenant(identity.tenant_id)

    async def create(self, entity: str, request: Request) -> Response:
        """201 with the new entity; 200 when the same Idempotency-Key was seen before."""
        tenant = self._tenant(request)
        key = request.headers.get("idempotency-key")
        if key is not None and not _IDEMPOTENCY_KEY.match(key):
            raise Problem(400, "Idempotency-Key is malformed")
        draft = await _read_draft(request)
        try:
            created = await run_in_threadpool(tenant.create, entity, draft, key)
        except IdempotencyConflict as error:
            raise Problem(422, "Idempotency-Key was used for another request") from error
        headers = {"Location": f"/v1/{entity}/{created.record.id}"}
        return _answer(created.record, 200 if created.replayed else 201, headers)

    async def read(self, entity: str, request: Request) -> Response:
        """200 with the entity, 304 when the caller has this version."""
        tenant = self._tenant(request)
        try:
            record = await run_in_threadpool(tenant.read, entity, _id(request))
        except NotFound as error:
            raise Problem(404, "not found") from error
        if request.headers.get("if-none-match") == _etag(record):
            return Response(status_code=304, headers={"ETag": _etag(record)})
        return _answer(record, 200)

    async def list(self, entity: str, request: Request) -> Response:
        """200 with a page of entities in the order they were made."""
        tenant = self._tenant(request)
        size, after = read_page_size(request.query_params), read_page_token(request.query_params)
        page = await run_in_threadpool(tenant.list, entity, after, size)
        body: dict[str, object] = {"items": [record.as_json() for record in page.records]}
        if page.next_position is not None:
            body["next_page_token"] = render_page_token(page.next_position)
        return JSONResponse(body)

    async def replace(self, entity: str, request: Request) -> Response:
        """200 with the changed entity; 412 when the caller's version is old."""
        tenant = self._tenant(request)
        version = _expected_version(request)
        draft = await _read_draft(request)
        try:
            record = await run_in_threadpool(tenant.replace, entity, _id(request), version, draft)
        except NotFound as error:
            raise Problem(404, "not found") from error
        except VersionMismatch as error:
            raise Problem(412, "the entity was changed in between") from error
        return _answer(record, 200)

    async def delete(self, entity: str, request: Request) -> Response:
        """204; 412 when the caller's version is old."""
        tenant = self._tenant(request)
        version = _expected_version(request)
        try:
            await run_in_threadpool(tenant.delete, entity, _id(request), version)
        except NotFound as error:
            raise Problem(404, "not found") from error
        except VersionMismatch as error:
            raise Problem(412, "the entity was changed in between") from error
        return Response(status_code=204)


def _bound(method: Callable[[str, Request], Awaitable[Response]], entity: str) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        return await method(entity, request)

    return endpoint


def _id(request: Request) -> str:
    return request.path_params["record_id"]


def _etag(record: Record) -> str:
    return f'"{record.version}"'


def _answer(record: Record, status: int, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse(
        record.as_json(), status, headers={"ETag": _etag(record), **(headers or {})}
    )


def _expected_version(request: Request) -> int:
    expected = request.headers.get("if-match")
    if expected is None:
        raise Problem(428, "If-Match is needed", "send the ETag that you read")
    match = _ETAG.match(expected)
    if match is None:
        raise Problem(400, "If-Match is malformed", "send one ETag as you read it")
    return int(match.group(1))


async def _read_draft(request: Request) -> Draft:
    if request.headers.get("content-type", "").split(";")[0].strip() != "application/json":
        raise Problem(415, "expected application/json")
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise Problem(413, f"the body exceeds {BODY_BYTES_MAX} bytes")
    try:
        return parse_draft(json.loads(body, parse_constant=_refuse_constant))
    except InvalidDraft as error:
        raise Problem(422, "the entity is invalid", str(error)) from error
    except (ValueError, RecursionError) as error:
        raise Problem(400, "the body is not JSON") from error


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
