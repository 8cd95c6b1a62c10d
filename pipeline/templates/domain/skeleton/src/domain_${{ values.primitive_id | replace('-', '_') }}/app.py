"""The application, put together from its parts; tests and `__main__` both start here."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .entities import PRIMITIVE
from .identity import KeySetVerifier, TokenVerifier
from .metrics import CONTENT_TYPE, Metrics
from .observe import Observed
from .problems import Problem
from .repository import Repository
from .routes import EntityApi
from .settings import Settings
from .sqlite_repository import SqliteRepository


def create_app(
    settings: Settings,
    repository: Repository | None = None,
    verifier: TokenVerifier | None = None,
) -> Starlette:
    """The service. Raises InvalidSettings when the key set cannot be used."""
    stored = repository if repository is not None else SqliteRepository(settings.database)
    verified = verifier if verifier is not None else KeySetVerifier(settings)
    metrics = Metrics()

    async def health(request: Request) -> Response:
        """Whether the process lives; says nothing of what it depends on."""
        return JSONResponse({"status": "ok", "primitive": PRIMITIVE})

    async def ready(request: Request) -> Response:
        """Whether it can serve: storage answers, and there is a key to verify tokens with."""
        parts = {"storage": await run_in_threadpool(stored.check_ready), "keys": verified.ready}
        return JSONResponse(parts, 200 if all(parts.values()) else 503)

    async def measure(request: Request) -> Response:
        """The counters of this process."""
        return Response(metrics.render(), headers={"Content-Type": CONTENT_TYPE})

    return Starlette(
        routes=[
            Route("/healthz", health, methods=["GET"]),
            Route("/readyz", ready, methods=["GET"]),
            Route("/metrics", measure, methods=["GET"]),
            *EntityApi(stored, verified).routes(),
        ],
        middleware=[Middleware(Observed, metrics=metrics)],
        exception_handlers={Problem: _problem, HTTPException: _http_exception},
    )


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Problem(error.status_code, error.detail.lower(), headers=error.headers).response()
