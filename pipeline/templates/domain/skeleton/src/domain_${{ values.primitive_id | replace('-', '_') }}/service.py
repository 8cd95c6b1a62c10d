"""The API of the entities: create, get, list, update, delete.

The caller is verified and bound by the SDK's interceptor before any of this runs; the store takes
the tenant from there.
"""

from __future__ import annotations

import functools
import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import grpc
from psycopg import OperationalError
from psycopg_pool import PoolTimeout

from ameide.domain.v1 import entity_service_pb2 as api
from ameide.domain.v1.entity_service_pb2_grpc import EntityServiceServicer

from .entities import ENTITY_TYPES, InvalidDraft, check_draft
from .messages import draft_of, message_of
from .paging import InvalidPage, check_page_size, parse_page_token, render_page_token
from .store import KeyReused, NotFound, Store, VersionChanged

_IDEMPOTENCY_KEY = re.compile(r"[A-Za-z0-9._~-]{1,128}")
_calls = logging.getLogger("calls")

Request = TypeVar("Request")
Answer = TypeVar("Answer")
if TYPE_CHECKING:
    Context = grpc.aio.ServicerContext[Request, Answer]
    Method = Callable[["EntityApi", Request, Context[Request, Answer]], Awaitable[Answer]]


class Refused(Exception):
    """A request that cannot be fulfilled: status, a stable reason, and words for people."""

    def __init__(self, status: grpc.StatusCode, code: str, details: str) -> None:
        super().__init__(details)
        self.status = status
        self.code = code
        self.details = details


def _answered(method: Method[Request, Answer]) -> Method[Request, Answer]:
    """The method with its exceptions turned into statuses, and a log line for each call.

    What nobody foresaw is logged here and becomes INTERNAL, without a word about it outside.
    """

    @functools.wraps(method)
    async def answer(
        self: EntityApi, request: Request, context: Context[Request, Answer]
    ) -> Answer:
        started, refused = time.monotonic(), None
        try:
            return await method(self, request, context)
        except Exception as error:
            refused = _refusal(error)
        finally:
            status = refused.status.name if refused else "OK"
            duration_ms = round((time.monotonic() - started) * 1000, 1)
            facts = {"rpc.method": method.__name__, "rpc.status": status, "ms": duration_ms}
            _calls.info("%s %s", method.__name__, status, extra=facts)
        code = (("error-code", refused.code),)
        return await context.abort(refused.status, refused.details, code)

    return answer


def _refusal(error: Exception) -> Refused:
    match error:
        case Refused():
            return error
        case NotFound():
            return Refused(grpc.StatusCode.NOT_FOUND, "entity-unknown", "there is no such entity")
        case VersionChanged():
            return Refused(
                grpc.StatusCode.ABORTED, "version-changed", "the entity was changed in between"
            )
        case KeyReused():
            return Refused(
                grpc.StatusCode.ALREADY_EXISTS,
                "key-reused",
                "the idempotency key belongs to another request",
            )
        case InvalidDraft():
            return Refused(grpc.StatusCode.INVALID_ARGUMENT, "entity-invalid", str(error))
        case InvalidPage(code=code):
            return Refused(grpc.StatusCode.INVALID_ARGUMENT, code, str(error))
        case OperationalError() | PoolTimeout():
            _calls.warning("storage does not answer", exc_info=error)
            return Refused(grpc.StatusCode.UNAVAILABLE, "storage", "storage does not answer")
    _calls.error("a call failed", exc_info=error)
    return Refused(grpc.StatusCode.INTERNAL, "internal", "internal error")


class EntityApi(EntityServiceServicer):
    """`ameide.domain.v1.EntityService` over one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @_answered
    async def CreateEntity(
        self,
        request: api.CreateEntityRequest,
        context: Context[api.CreateEntityRequest, api.CreateEntityResponse],
    ) -> api.CreateEntityResponse:
        entity_type = _known_type(request.entity_type)
        key = request.idempotency_key
        if key and not _IDEMPOTENCY_KEY.fullmatch(key):
            raise _invalid("key-malformed", "the idempotency key is malformed")
        draft = check_draft(entity_type, draft_of(request.entity))
        created = await self._store.create(entity_type, draft, key)
        return api.CreateEntityResponse(
            entity=message_of(entity_type, created.record), replayed=created.replayed
        )

    @_answered
    async def GetEntity(
        self,
        request: api.GetEntityRequest,
        context: Context[api.GetEntityRequest, api.GetEntityResponse],
    ) -> api.GetEntityResponse:
        entity_type = _known_type(request.entity_type)
        record = await self._store.read(entity_type, _known_id(request.id))
        return api.GetEntityResponse(entity=message_of(entity_type, record))

    @_answered
    async def ListEntities(
        self,
        request: api.ListEntitiesRequest,
        context: Context[api.ListEntitiesRequest, api.ListEntitiesResponse],
    ) -> api.ListEntitiesResponse:
        entity_type = _known_type(request.entity_type)
        size = check_page_size(request.page_size)
        after = parse_page_token(entity_type, request.page_token)
        page = await self._store.list_page(entity_type, after, size)
        return api.ListEntitiesResponse(
            entities=[message_of(entity_type, record) for record in page.records],
            next_page_token=render_page_token(entity_type, page.next_cursor),
        )

    @_answered
    async def UpdateEntity(
        self,
        request: api.UpdateEntityRequest,
        context: Context[api.UpdateEntityRequest, api.UpdateEntityResponse],
    ) -> api.UpdateEntityResponse:
        entity_type = _known_type(request.entity_type)
        draft = check_draft(entity_type, draft_of(request.entity))
        record = await self._store.update(
            entity_type, _known_id(request.id), _version(request.version), draft
        )
        return api.UpdateEntityResponse(entity=message_of(entity_type, record))

    @_answered
    async def DeleteEntity(
        self,
        request: api.DeleteEntityRequest,
        context: Context[api.DeleteEntityRequest, api.DeleteEntityResponse],
    ) -> api.DeleteEntityResponse:
        entity_type = _known_type(request.entity_type)
        await self._store.delete(entity_type, _known_id(request.id), _version(request.version))
        return api.DeleteEntityResponse()


def _invalid(code: str, details: str) -> Refused:
    return Refused(grpc.StatusCode.INVALID_ARGUMENT, code, details)


def _known_type(entity_type: str) -> str:
    if entity_type not in ENTITY_TYPES:
        raise _invalid("type-unknown", f"entity_type is one of {', '.join(ENTITY_TYPES)}")
    return entity_type


def _known_id(text: str) -> str:
    # Any other spelling of a UUID is no id that was ever given out.
    try:
        known = str(uuid.UUID(text))
    except ValueError:
        raise NotFound(text) from None
    if known != text:
        raise NotFound(text)
    return known


def _version(version: int) -> int:
    if version < 1:
        raise _invalid("version-missing", "version is the one that you read")
    return version
