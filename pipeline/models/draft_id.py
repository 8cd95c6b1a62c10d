"""A draft's id: `tenant/primitive`. Light, since `status` reads ids without any model."""

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
    """A draft's id; it is a string, so that it is written and compared as one.

    The call takes any text; `parse_draft_id` and the models judge it first.
    """

    __slots__ = ()

    @property
    def tenant(self) -> str:
        """The part before the slash."""
        return self.partition("/")[0]

    @property
    def primitive(self) -> str:
        """The part behind the slash; empty if there is none."""
        return self.partition("/")[2]

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> CoreSchema:
        """Fields of this type refuse text that is not a draft id."""
        from pydantic_core import core_schema  # 30 ms; only a model needs it, and then has it

        text = core_schema.str_schema(pattern=_PATTERN, max_length=MOST_CHARACTERS)
        return core_schema.no_info_after_validator_function(cls, text)


def parse_draft_id(text: str) -> DraftId:
    """The id that somebody gave. Raises UsageFault for text that is none."""
    if len(text) > MOST_CHARACTERS or not _ID.match(text):
        raise UsageFault(
            f"`{text}` is not a draft id",
            help="write tenant/primitive, each in lower-case letters, digits and single dashes",
        )
    return DraftId(text)
