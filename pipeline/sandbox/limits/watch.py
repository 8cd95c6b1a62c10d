"""Watches from outside what a sandbox uses while it runs."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass

from pipeline.errors import CouldNotCheck
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.limits.cgroup import Cgroup
from pipeline.sandbox.limits.counting import over_limit

_DENIED_AT_MOST = 20  # consecutive looks


@dataclass
class Watch:
    """Looks at what a sandbox uses, once bubblewrap has reported its first process."""

    told: int
    limits: Limits
    cgroup: Cgroup | None
    _heard: bytes = b""
    first: int | None = None  # the host's id of the sandbox's process 1
    _denied: int = 0

    def look(self) -> str | None:
        """The limit that all its processes together exceed, if any."""
        if self.first is None:
            self.first = self._listen()
        if self.first is None:
            return None
        limit = self.cgroup.over_limit() if self.cgroup else None
        if limit is None:
            try:
                limit = over_limit(self.first, self.limits)
                self._denied = 0
            except PermissionError as error:
                self._denied += 1
                if self._denied > _DENIED_AT_MOST:
                    raise CouldNotCheck(
                        "what runs in the sandbox can't be counted",
                        help="let this process see its own children in /proc",
                    ) from error
        return limit

    def _listen(self) -> int | None:
        """The host's id of its process 1; None until bubblewrap reports it.

        bubblewrap writes its line piece by piece, so partial input is kept until the rest arrives.
        """
        with suppress(BlockingIOError):
            self._heard += os.read(self.told, 4096)
        line, ended, _ = self._heard.partition(b"\n")
        return int(json.loads(line)["child-pid"]) if ended else None
