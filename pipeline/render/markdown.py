"""Text from elsewhere in Markdown, where it can be no markup. Pure."""

from __future__ import annotations

import re

from pipeline.characters import visible

TICKS = re.compile(r"`+")


def code_span(text: str) -> str:
    """Any text as one code span; `|` is replaced, since it would end a table cell even there."""
    told = visible(text).replace("|", "¦")
    if not told.strip():
        return "` `"
    ticks = "`" * (1 + max((len(run) for run in TICKS.findall(told)), default=0))
    gap = " " if told[0] in "` " or told[-1] in "` " else ""
    return f"{ticks}{gap}{told}{gap}{ticks}"
