"""The texts of a skeleton, ready to render: from pieces if all forms are plain, else by Jinja.

All files of the golden templates have only plain forms, so no program is compiled for them and
Jinja is not even imported. Any other text, and every text that fails (so that the message is the
same), goes to Jinja (`pipeline.templating.engine`). `templating.pieces` has the measured gain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from pipeline.templating.pieces import Pieces, pieces_of, texts_of


@dataclass(frozen=True, slots=True)
class Compiled:
    """One text; faults name `file`, and `pieces` are None if a program is needed."""

    file: str
    text: str
    pieces: Pieces | None = field(repr=False)

    def render(self, context: Mapping[str, object]) -> str:
        """The text rendered with `context`. Raises TemplateFault with file and line."""
        if self.pieces is not None:
            try:
                return "".join(texts_of(self.pieces, context))
            except (AttributeError, LookupError, TypeError, ValueError):
                pass  # Jinja, which knows lines, reports it below
        # 24 ms for Jinja; the built-in templates do not need it.
        from pipeline.templating.engine import compile_program

        return compile_program(self.file, self.text).render(context)


# File names and contents of the four built-in templates are some 450 texts.
@lru_cache(maxsize=4096)
def compile_text(file: str, text: str) -> Compiled:
    """The text ready to render; the engine's `check_text` has passed it."""
    return Compiled(file, text, pieces_of(text))
