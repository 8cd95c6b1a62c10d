"""Plain values as one JSON document, the same bytes for equal values. Pure."""

from __future__ import annotations

import json


def render_json(value: object) -> str:
    """The value as indented JSON, ASCII only, with a line feed at the end."""
    return json.dumps(value, indent=2, ensure_ascii=True) + "\n"
