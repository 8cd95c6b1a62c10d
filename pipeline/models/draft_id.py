"""A draft's id: `tenant/primitive`. Cheap to import: `status` reads ids without any model."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from pydantic_core import CoreSchema

_PART = r"[a-z][a-z0-9]*(-[a-z0-9]+)*"
_PATTERN: Final = rf"^{_PART}/{_PART}$"
_ID = re.compile(rf"{_PART}/{_PART}\Z")
MOST_CHARACTERS: Final = 81  # two identifiers of at most 40 each


class DraftId(str):
    """A draft's id; a string, so it serialises and compares as one.

    The constructor accepts any text; `parse_draft_id` and the models validate it first.
    """

    __slots__ = ()

    @property
    def tenant(self) -> str:
        """The part before the slash."""
        return self.partition("/")[0]

    @property
    def primitive(self) -> str:
        """The part after the slash; empty if there is no slash."""
        return self.partition("/")[2]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        """A schema that refuses text that is not a draft id."""
        from pydantic_core import core_schema  # 30 ms; only models call this

        text = core_schema.str_schema(pattern=_PATTERN, max_length=MOST_CHARACTERS)
        return core_schema.no_info_after_validator_function(cls, text)


def parse_draft_id(text: str) -> DraftId:
    """The draft id in a user's text. Raises UsageFault if it is not one."""
    if len(text) > MOST_CHARACTERS or not _ID.match(text):
        raise UsageFault(
            f"`{text}` is not a draft id",
            help="write tenant/primitive, each in lower-case letters, digits and single dashes",
        )
    return DraftId(text)
