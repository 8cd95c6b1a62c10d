"""The base of every model, and distinct types for strings that look alike.

Names and ids follow `pipeline.names`. A commit id and a tree id are different types, so one
cannot be passed for the other.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, NewType

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, ValidationError

# Re-exported for users of models; modules below models import it from the package.
from pipeline import API_VERSION as API_VERSION
from pipeline import ApiVersion as ApiVersion
from pipeline.characters import visible


def first_problem(error: ValidationError) -> str:
    """The first validation error of a document, as `field: message`."""
    first = error.errors(include_url=False)[0]
    place = ".".join(map(str, first["loc"])) or "the file"
    return f"{place}: {first['msg']}"


class Model(BaseModel):
    """A frozen model that refuses unknown fields and converts no scalars."""

    # Validators are built on first use: no command needs more than a few models.
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, defer_build=True
    )


def without_empty(name: str, dumped: dict[str, object]) -> dict[str, object]:
    """The dumped model, without the field `name` if it is empty.

    For fields added later: facts are compared byte for byte, and older ones lack the field.
    """
    return {key: value for key, value in dumped.items() if key != name or value}


CommitId = NewType("CommitId", str)
TreeId = NewType("TreeId", str)
BlobId = NewType("BlobId", str)
ImageDigest = NewType("ImageDigest", str)
FactHash = NewType("FactHash", str)

# Text from a tool, a file name or a delivery tool, on one line and without invisible characters:
# it goes into the readable status, which may hold only the characters that a request may.
ToldText = Annotated[str, AfterValidator(visible)]

# Pattern-constrained forms of the same strings, for fields that are parsed.
CommitIdField = Annotated[CommitId, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
TreeIdField = Annotated[TreeId, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
BlobIdField = Annotated[BlobId, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
ImageDigestField = Annotated[ImageDigest, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
FactHashField = Annotated[FactHash, StringConstraints(pattern=r"^(sha256:[0-9a-f]{64}|)$")]
# One path component of an id; it becomes part of DNS-1123 labels and git refs. No `--`: the
# double dash separates parts in derived names (`pipeline.names`), which keeps them injective.
Identifier = Annotated[
    str, StringConstraints(pattern=r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$", min_length=1, max_length=40)
]


# The last second that the form below can express.
_LATEST_S = 253_402_300_799  # 9999-12-31T23:59:59Z


def _a_moment(text: str) -> str:
    seconds_of(text)
    return text


# A second in UTC, as in files: RFC 3339, always in the same form, so it orders as text.
# A moment added later is `Moment | None = Field(None, exclude_if=not_)`, so that documents written
# without it keep their bytes.
Moment = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$"),
    AfterValidator(_a_moment),
]


def moment_of(time_s: int) -> Moment:
    """The moment at seconds since the epoch.

    A commit may be dated anything: what no moment can say is the first or the last one.
    """
    return datetime.fromtimestamp(min(max(time_s, 0), _LATEST_S), UTC).isoformat()[:19] + "Z"


def seconds_of(moment: Moment) -> int:
    """Whole seconds since the epoch at a moment. Raises ValueError for an impossible date."""
    return int(datetime.fromisoformat(moment).timestamp())


# Made once: it takes as long to make as a fact takes to write.
_CANONICAL = json.JSONEncoder(
    ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
)


def canonical_json(value: object) -> bytes:
    """The canonical JSON of a value: sorted keys, no spaces, UTF-8, a newline at the end."""
    return _CANONICAL.encode(value).encode() + b"\n"


def digest_of(content: bytes) -> str:
    """The digest of a blob: `sha256:` and 64 hex digits."""
    return "sha256:" + hashlib.sha256(content).hexdigest()


def key_of(*parts: object) -> str:
    """An idempotency key: 64 hex digits that depend only on the parts."""
    return hashlib.sha256(canonical_json(parts)).hexdigest()
