"""The texts of a skeleton, ready to be rendered: from their plain pieces where they have no others.

All files of the golden templates do, so no program is compiled for them and Jinja is not even
imported. Any other text, and every text that does not come out (so that the message is the same),
goes to Jinja (`pipeline.templating.engine`). What that buys is measured in `templating.pieces`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from pipeline.templating.pieces import Pieces, pieces_of, texts_of


@dataclass(frozen=True, slots=True)
class Compiled:
    """One text; `file` is what faults name, `pieces` are None where a program is needed."""

    file: str
    text: str
    pieces: Pieces | None = field(repr=False)

    def render(self, context: Mapping[str, object]) -> str:
        """The text with the values of `context` in it. Raises TemplateFault with file and line."""
        if self.pieces is not None:
            try:
                return "".join(texts_of(self.pieces, context))
            except (AttributeError, LookupError, TypeError, ValueError):
                pass  # told below, in the words of the one engine that knows lines
        # 24 ms, of Jinja: the built-in templates do without.
        from pipeline.templating.engine import compile_program

        return compile_program(self.file, self.text).render(context)


# Names and contents of the files of the four built-in templates are some 450 texts.
@lru_cache(maxsize=4096)
def compile_text(file: str, text: str) -> Compiled:
    """The text ready to be rendered; it has been through the engine's `check_text` before."""
    return Compiled(file, text, pieces_of(text))
