"""What this primitive keeps, and what an entity looks like.

Every entity has a name and free attributes. Give one its own fields by adding checks to
`check_draft`; nothing else needs to change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

PRIMITIVE: Final = ${{ values.primitive_id | dump }}
ENTITY_TYPES: Final = (
{%- for entity in values.entities %}
    ${{ entity | dump }},
{%- endfor %}
)
NAME_LENGTH_MAX: Final = 200
ATTRIBUTES_MAX: Final = 100
ATTRIBUTES_BYTES_MAX: Final = 16_384


class InvalidDraft(ValueError):
    """What a caller sent is no entity; the message says why."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a caller may decide about an entity."""

    name: str
    attributes: dict[str, object]


@dataclass(frozen=True, slots=True)
class Record:
    """One stored entity; `version` starts at 1 and grows with every change."""

    id: str
    version: int
    name: str
    attributes: dict[str, object]
    created_at: datetime
    updated_at: datetime


def check_draft(entity_type: str, draft: Draft) -> Draft:
    """The same draft. Raises InvalidDraft; rules for one type only go here too."""
    if not draft.name.strip() or len(draft.name) > NAME_LENGTH_MAX:
        raise InvalidDraft(f"name must be text of 1 to {NAME_LENGTH_MAX} characters")
    if len(draft.attributes) > ATTRIBUTES_MAX:
        raise InvalidDraft(f"attributes has more than {ATTRIBUTES_MAX} fields")
    try:
        text = json.dumps([draft.name, draft.attributes], ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise InvalidDraft("attributes hold a number that JSON has no form for") from None
    if len(text.encode()) > ATTRIBUTES_BYTES_MAX:
        raise InvalidDraft(f"name and attributes exceed {ATTRIBUTES_BYTES_MAX} bytes")
    if "\\u0000" in text:
        # Postgres keeps no such character; json.dumps escapes it whatever it was told.
        raise InvalidDraft("the text holds a NUL character")
    return draft
