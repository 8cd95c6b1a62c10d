"""Runs the worker: `python -m` with the name of this package."""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from primitive_sdk.lifecycle import run_until_stopped
from primitive_sdk.settings import SettingsError, read_settings
from primitive_sdk.telemetry import start_telemetry

from .names import PRIMITIVE
from .settings import WorkerSettings
from .worker import serve


def main() -> int:
    """Works until SIGTERM or SIGINT; the exit code, 2 when the settings are wrong."""
    try:
        settings = read_settings(WorkerSettings)
        if problems := settings.problems():
            raise SettingsError(problems)
    except SettingsError as error:
        for problem in error.problems:
            print(f"{PRIMITIVE}: {problem}", file=sys.stderr)
        return 2
    with start_telemetry(PRIMITIVE, endpoint=settings.otlp_endpoint, log_level=settings.log_level):
        asyncio.run(
            run_until_stopped(partial(serve, settings), stop_timeout_s=settings.stop_timeout_s)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
