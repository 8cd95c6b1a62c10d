"""Pages of a list: how many, and where the next one starts."""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Final

PAGE_SIZE_DEFAULT: Final = 50
PAGE_SIZE_MAX: Final = 200
_TOKEN_LENGTH_MAX: Final = 512


class InvalidPage(ValueError):
    """A page is asked for that cannot be; `code` says which part is wrong."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place after one entity, in the order they were made."""

    created_at: datetime
    id: str


def check_page_size(size: int) -> int:
    """The page size to use. Raises InvalidPage."""
    if not 0 <= size <= PAGE_SIZE_MAX:
        raise InvalidPage("page-size", f"page_size must lie between 1 and {PAGE_SIZE_MAX}")
    return size or PAGE_SIZE_DEFAULT


def parse_page_token(entity_type: str, token: str) -> Cursor | None:
    """The place that the page starts after; None for the first page. Raises InvalidPage.

    A token is no secret and gives no right: it holds a place among entities of one type, and the
    query behind it is bound by tenant.
    """
    if not token:
        return None
    try:
        if len(token) > _TOKEN_LENGTH_MAX:
            raise ValueError("too long")
        text = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
        of_type, created_at, entity_id = json.loads(text)
        if of_type != entity_type:
            raise ValueError("of another list")
        cursor = Cursor(datetime.fromisoformat(created_at), str(uuid.UUID(entity_id)))
        if cursor.created_at.tzinfo is None:
            raise ValueError("without time zone")
    except (binascii.Error, ValueError, TypeError, AttributeError, RecursionError):
        raise InvalidPage("page-token", "page_token is not one that this list gave") from None
    return cursor


def render_page_token(entity_type: str, cursor: Cursor | None) -> str:
    """The token of the page after the cursor; empty without one."""
    if cursor is None:
        return ""
    text = json.dumps([entity_type, cursor.created_at.isoformat(), cursor.id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
