"""Attacks that are not stopped yet: attack → what brings what stops it.

Each is run, and must fail until then: one that passes is taken off this list.
"""

from __future__ import annotations

PENDING: dict[str, str] = {}
