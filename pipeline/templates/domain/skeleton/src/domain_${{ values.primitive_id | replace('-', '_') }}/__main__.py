"""Starts the service: `python -m` with the name of this package."""

from __future__ import annotations

import logging
import os
import signal
import sys

import uvicorn

from .app import create_app
from .entities import PRIMITIVE
from .logs import configure_logs
from .settings import InvalidSettings, read_settings


def main() -> int:
    """Serves until SIGTERM or SIGINT, then finishes what is under way; the exit code."""
    try:
        settings = read_settings(os.environ)
        configure_logs(settings.log_level, settings.environment)
        app = create_app(settings)
    except InvalidSettings as error:
        print(f"{PRIMITIVE}: {error}", file=sys.stderr)
        return 2
    if not settings.token_keys["keys"]:
        logging.getLogger(PRIMITIVE).warning("TOKEN_KEYS is empty: every request will be refused")
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        uds=settings.socket or None,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=settings.stop_timeout_s,
    )
    # uvicorn raises the signal again once it has stopped; being asked to stop is no failure.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    uvicorn.Server(config).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
