"""What this primitive keeps, and what an entity looks like.

Every entity has a name and free attributes. Give one its own fields by adding checks to
`parse_draft`; nothing else needs to change.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

PRIMITIVE: Final = ${{ values.primitive_id | dump }}
ENTITIES: Final = (
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
    created_at: str
    updated_at: str

    def as_json(self) -> dict[str, object]:
        """The record as the API gives it."""
        return {
            "id": self.id,
            "version": self.version,
            "name": self.name,
            "attributes": self.attributes,
            "created_at": self.created_at,
            "updated_at": self.updated_at,
        }


def parse_draft(body: object) -> Draft:
    """The draft in a request's body. Raises InvalidDraft."""
    if not isinstance(body, dict):
        raise InvalidDraft("the body is not a JSON object")
    unknown = sorted(set(body) - {"name", "attributes"})
    if unknown:
        raise InvalidDraft(f"unknown fields: {', '.join(unknown)}")
    name = body.get("name")
    if not isinstance(name, str) or not name.strip() or len(name) > NAME_LENGTH_MAX:
        raise InvalidDraft(f"name must be text of 1 to {NAME_LENGTH_MAX} characters")
    attributes = body.get("attributes", {})
    if not isinstance(attributes, dict) or len(attributes) > ATTRIBUTES_MAX:
        raise InvalidDraft(f"attributes must be an object of at most {ATTRIBUTES_MAX} fields")
    try:
        size_bytes = len(json.dumps([name, attributes], ensure_ascii=False).encode())
    except UnicodeEncodeError:
        raise InvalidDraft("the text holds a lone surrogate") from None
    if size_bytes > ATTRIBUTES_BYTES_MAX:
        raise InvalidDraft(f"name and attributes exceed {ATTRIBUTES_BYTES_MAX} bytes")
    return Draft(name, attributes)
