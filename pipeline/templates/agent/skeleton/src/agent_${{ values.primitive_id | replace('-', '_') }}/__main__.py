"""Starts the agent: `python -m` with the name of this package."""

from __future__ import annotations

import asyncio
import os
import sys

from primitive_sdk.settings import SettingsError, read_settings

from .definition import InvalidDefinition
from .primitive import PRIMITIVE
from .service import serve
from .settings import Settings


def main() -> int:
    """The exit code: 0 after a stop that was asked for, 2 when it cannot start as it is set up."""
    try:
        asyncio.run(serve(read_settings(Settings, os.environ)))
    except (SettingsError, InvalidDefinition) as error:
        for problem in error.problems:
            print(f"{PRIMITIVE}: {problem}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
