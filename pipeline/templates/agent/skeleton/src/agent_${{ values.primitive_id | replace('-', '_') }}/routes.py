"""The HTTP API: sessions, messages, confirmations. Errors are problems (RFC 9457) with a `code`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeVar

from primitive_sdk.identity import (
    Identity,
    IdentityVerifier,
    KeysUnavailable,
    Unauthenticated,
)
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .confirmations import ConfirmationRefused, PendingCall
from .runtime import AgentRuntime, RunUnderWay
from .sessions import (
    Completed,
    NoSuchSession,
    RunResult,
    Session,
    SessionStore,
    TooManySessions,
    Waiting,
)

MAX_BODY_BYTES: Final = 256 * 1024
MAX_MESSAGE_CHARACTERS: Final = 50_000
Handler = Callable[[Request, Identity], Awaitable[Response]]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, alias_generator=to_camel)


Body = TypeVar("Body", bound=_Body)


class MessageBody(_Body):
    """What a person says to the agent."""

    text: str = Field(min_length=1, max_length=MAX_MESSAGE_CHARACTERS)


class ConfirmationBody(_Body):
    """What a person decided about the call that waits."""

    id: str = Field(max_length=100)
    argument_hash: str = Field(max_length=100)
    decision: Literal["approve", "deny"]


class Problem(Exception):
    """A request that is answered with an error."""

    def __init__(self, status: int, code: str, title: str, **headers: str) -> None:
        super().__init__(title)
        self.status = status
        self.code = code
        self.title = title
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def response(self) -> Response:
        """The error as application/problem+json."""
        return JSONResponse(
            {"title": self.title, "status": self.status, "code": self.code},
            self.status,
            headers=self.headers,
            media_type="application/problem+json",
        )


class Api:
    """The handlers over one runtime."""

    def __init__(
        self,
        runtime: AgentRuntime,
        sessions: SessionStore,
        verifier: IdentityVerifier,
        confirmer_role: str,
    ) -> None:
        self._runtime = runtime
        self._sessions = sessions
        self._verifier = verifier
        self._confirmer_role = confirmer_role

    def app(self) -> Starlette:
        """The application."""
        one = "/v1/sessions/{session_id}"
        routes = [
            self._route("/v1/sessions", "POST", self._open),
            self._route(one, "GET", self._state),
            self._route(one, "DELETE", self._close),
            self._route(f"{one}/messages", "POST", self._message),
            self._route(f"{one}/confirmations", "GET", self._waiting),
            self._route(f"{one}/confirmations", "POST", self._confirm),
        ]
        return Starlette(routes=routes, exception_handlers={Exception: _failed})

    def _route(self, path: str, method: str, handler: Handler) -> Route:
        async def endpoint(request: Request) -> Response:
            try:
                return await handler(request, await self._identity_of(request))
            except Problem as problem:
                return problem.response()

        return Route(path, endpoint, methods=[method], name=f"{method} {path}")

    async def _identity_of(self, request: Request) -> Identity:
        try:
            return await self._verifier.verify(
                request.headers.get("authorization"),
                claimed_tenant=request.headers.get("x-tenant-id"),
            )
        except Unauthenticated as error:
            raise Problem(
                401, error.code, "the token is not accepted", www_authenticate="Bearer"
            ) from error
        except KeysUnavailable as error:
            raise Problem(503, "keys-unavailable", "tokens cannot be verified now") from error

    async def _open(self, request: Request, identity: Identity) -> Response:
        try:
            session = self._sessions.open(identity)
        except TooManySessions as error:
            raise Problem(
                429, "too-many-sessions", "all sessions are in use", retry_after="30"
            ) from error
        definition = self._runtime.definition
        return JSONResponse(
            {
                "id": session.id,
                "definition": definition.ref,
                "riskTier": definition.risk_tier,
                "tools": list(self._runtime.registry.names),
            },
            201,
            headers={"location": f"/v1/sessions/{session.id}"},
        )

    async def _state(self, request: Request, identity: Identity) -> Response:
        session = self._session_of(request, identity)
        if session.lock.locked():
            return JSONResponse({"status": "working"})
        return _answered(session.result) if session.result else JSONResponse({"status": "new"})

    async def _close(self, request: Request, identity: Identity) -> Response:
        session = self._session_of(request, identity)
        self._sessions.close(session.id, identity)
        return Response(status_code=204)

    async def _message(self, request: Request, identity: Identity) -> Response:
        session = self._session_of(request, identity)
        body = await _read(request, MessageBody)
        try:
            return _answered(await self._runtime.send(session, body.text, identity))
        except RunUnderWay as error:
            raise Problem(409, "run-under-way", "the last message is not answered yet") from error

    async def _waiting(self, request: Request, identity: Identity) -> Response:
        session = self._session_of(request, identity, also_confirmers=True)
        pending = session.run.pending if session.run is not None else None
        return JSONResponse({"confirmations": [] if pending is None else [_shown(pending)]})

    async def _confirm(self, request: Request, identity: Identity) -> Response:
        session = self._session_of(request, identity, also_confirmers=True)
        body = await _read(request, ConfirmationBody)
        try:
            result = await self._runtime.decide(
                session, body.id, body.argument_hash, body.decision == "approve", identity
            )
        except ConfirmationRefused as error:
            status = {"unknown": 404, "expired": 410, "arguments-differ": 409}.get(error.code, 403)
            raise Problem(status, error.code, "the confirmation does not count") from error
        except RunUnderWay as error:
            raise Problem(409, "run-under-way", "the session is at work") from error
        if session.subject != identity.subject:
            # What the agent says next is for the person it acts for, who asks for it by GET.
            return JSONResponse({"status": "decided"})
        return _answered(result)

    def _session_of(
        self, request: Request, identity: Identity, *, also_confirmers: bool = False
    ) -> Session:
        role = self._confirmer_role if also_confirmers else ""
        try:
            return self._sessions.find(
                request.path_params["session_id"], identity, confirmer_role=role
            )
        except NoSuchSession as error:
            raise Problem(404, "no-such-session", "there is no such session") from error


def _answered(result: RunResult) -> Response:
    if isinstance(result, Completed):
        return JSONResponse({"status": "completed", "text": result.text})
    if isinstance(result, Waiting):
        body = {"status": "confirmation-required", "confirmation": _shown(result.pending)}
        return JSONResponse(body, 202)
    return JSONResponse({"status": "stopped", "reason": str(result.reason)})


def _shown(pending: PendingCall) -> dict[str, Any]:
    return {
        "id": pending.id,
        "tool": pending.tool,
        "arguments": dict(pending.arguments),
        "argumentHash": pending.argument_hash,
    }


async def _read(request: Request, kind: type[Body]) -> Body:
    content = bytearray()
    try:
        async for chunk in request.stream():
            content += chunk
            if len(content) > MAX_BODY_BYTES:
                raise Problem(413, "body-too-large", f"at most {MAX_BODY_BYTES} bytes")
    except ClientDisconnect as error:
        raise Problem(400, "body-incomplete", "the body ended early") from error
    try:
        return kind.model_validate_json(bytes(content))
    except ValidationError as error:
        where = {".".join(str(p) for p in fault["loc"]) or "body" for fault in error.errors()}
        raise Problem(400, "body-invalid", f"not valid: {', '.join(sorted(where))}") from error


async def _failed(request: Request, error: Exception) -> Response:
    return Problem(500, "internal", "internal error").response()
