"""What this primitive keeps, and what an entity looks like.

Every entity has a name and free attributes. Give one its own fields by adding checks to
`check_draft`; nothing else needs to change.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
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
ATTRIBUTES_DEPTH_MAX: Final = 16
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
    # Postgres keeps no text with this character.
    if any("\0" in text for text in (draft.name, *_texts(draft.attributes))):
        raise InvalidDraft("the text holds a NUL character")
    try:
        text = json.dumps([draft.name, draft.attributes], ensure_ascii=False, allow_nan=False)
    except ValueError:
        raise InvalidDraft("attributes hold a number that JSON has no form for") from None
    if len(text.encode()) > ATTRIBUTES_BYTES_MAX:
        raise InvalidDraft(f"name and attributes exceed {ATTRIBUTES_BYTES_MAX} bytes")
    return draft


def _texts(value: object, depth: int = 0) -> Iterator[str]:
    """All text in a JSON value, names of fields too. Raises InvalidDraft if it lies too deep."""
    if depth > ATTRIBUTES_DEPTH_MAX:
        raise InvalidDraft(f"attributes are nested more than {ATTRIBUTES_DEPTH_MAX} levels deep")
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, held in value.items():
            yield name
            yield from _texts(held, depth + 1)
    elif isinstance(value, list):
        for held in value:
            yield from _texts(held, depth + 1)
