"""Pages of a list: how many, and where the next one starts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from .problems import Problem

PAGE_SIZE_DEFAULT = 50
PAGE_SIZE_MAX = 200
_POSITION_MAX = 2**63 - 1


def read_page_size(query: Mapping[str, str]) -> int:
    """The page size asked for. Raises Problem 400."""
    text = query.get("page_size", str(PAGE_SIZE_DEFAULT))
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise Problem(400, "page_size is not a whole number")
    if not 1 <= int(text) <= PAGE_SIZE_MAX:
        raise Problem(400, f"page_size must lie between 1 and {PAGE_SIZE_MAX}")
    return int(text)


def read_page_token(query: Mapping[str, str]) -> int:
    """The position after which the page starts. Raises Problem 400.

    A token is no secret: it holds a position, and the query behind it is bound by tenant.
    """
    token = query.get("page_token", "")
    if not token:
        return 0
    try:
        text = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise Problem(400, "page_token is malformed") from None
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= _POSITION_MAX):
        raise Problem(400, "page_token is malformed")
    return int(text)


def render_page_token(position: int) -> str:
    """The token of the page after `position`."""
    return base64.urlsafe_b64encode(str(position).encode()).decode().rstrip("=")
