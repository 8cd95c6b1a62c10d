"""Attacks that nothing stops yet: attack → what will stop it.

Each is still run and must succeed; one that is stopped leaves this list.
"""

from __future__ import annotations

PENDING: dict[str, str] = {}
