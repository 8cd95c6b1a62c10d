"""Between the API's messages and what the store keeps."""

from __future__ import annotations

from datetime import datetime

from google.protobuf import json_format
from google.protobuf.timestamp_pb2 import Timestamp

from ameide.domain.v1 import entity_service_pb2 as api

from .entities import Draft, InvalidDraft, Record


def draft_of(message: api.EntityDraft) -> Draft:
    """What the caller sent. Raises InvalidDraft."""
    try:
        attributes = json_format.MessageToDict(message.attributes)
    except (json_format.Error, ValueError, RecursionError):
        # For one, a number that is none, or a value of no kind.
        raise InvalidDraft("attributes are no JSON object") from None
    return Draft(message.name, attributes)


def message_of(entity_type: str, record: Record) -> api.Entity:
    """The record as the API gives it."""
    message = api.Entity(
        id=record.id,
        entity_type=entity_type,
        version=record.version,
        name=record.name,
        create_time=_time(record.created_at),
        update_time=_time(record.updated_at),
    )
    json_format.ParseDict(record.attributes, message.attributes)
    return message


def _time(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp
