"""Characters that no request may contain, and how text, ids and times are shown.

Pure. Used on raw text by the reader, on values behind escapes, and by every renderer, so that
characters refused in a request cannot reach a terminal through a finding about it either.
"""

from __future__ import annotations

import re
import unicodedata

# Otherwise a file full of faults could give a finding for each byte.
FINDINGS_MAXIMUM = 100
# Longer than any key of a request; see `look_of`.
LOOK_CHARACTERS_MAXIMUM = 256

LINE_SEPARATORS = "\x85\u2028\u2029"
BIDI = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
# Zero width, soft hyphen, joiners, fillers, and the tag block that spells hidden ASCII.
INVISIBLE = (
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200d\u2060-\u2065\u3164\ufeff\uffa0"
    "\ufff9-\ufffb\U000e0000-\U000e007f"
)
CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff"
SURROGATES = "\ud800-\udfff"
_FORBIDDEN_CLASS = f"{LINE_SEPARATORS}{BIDI}{INVISIBLE}{CONTROL}"
FORBIDDEN_IN_TEXT = re.compile(f"[{_FORBIDDEN_CLASS}]|\r(?!\n)")
FORBIDDEN_IN_VALUE = re.compile(f"[{_FORBIDDEN_CLASS}{SURROGATES}\r]")
ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(\r?\n|.))")
SHORT_ESCAPES = {
    "0": "\0", "a": "\a", "b": "\b", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    "N": "\x85", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


def look_of(text: str) -> str:
    """A normal form that is equal for texts that look alike, in compatibility forms and spaces.

    NFKC of Unicode Standard Annex #15, which includes NFC. Only the beginning of a long text is
    used, since sorting many combining marks takes quadratic time.
    """
    text = text[:LOOK_CHARACTERS_MAXIMUM]
    if text.isascii():
        return " ".join(text.split()) if " " in text or "\t" in text else text
    return " ".join(unicodedata.normalize("NFKC", text).split())


def line_and_column(text: str, index: int) -> tuple[int, int]:
    """The 1-based line and column, in characters, of `index`."""
    return text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)


def name_of_character(character: str) -> str:
    """The number of a character, such as `U+202E`, which is always safe to show."""
    return f"U+{ord(character):04X}"


_NOT_SHOWN = re.compile(f"[{_FORBIDDEN_CLASS}{SURROGATES}\r\n]")


def visible(text: str) -> str:
    """`text` on one line, with each control, bidi or invisible character shown as its number."""
    return _NOT_SHOWN.sub(lambda match: f"<{name_of_character(match.group())}>", text)


# Line feeds and tabs belong in text of several lines; carriage returns do not.
_NOT_PRINTED = re.compile(f"[{_FORBIDDEN_CLASS}{SURROGATES}\r]")
# Only the colour codes that `pipeline.render` uses: none moves the cursor, hides text or queries.
_COLOUR = r"\x1b\[(?:0|1|2|3[1-6]|1;3[1-6])m"
_NOT_PRINTED_IN_COLOUR = re.compile(f"(?!{_COLOUR})[{_FORBIDDEN_CLASS}{SURROGATES}\r]")


def printed(text: str, *, colour: bool = False) -> str:
    """A whole output, safe for a terminal: lines stay, other invisible characters become numbers.

    With `colour` the colour codes of our own renderers are left as they are. Content that contains
    one of them can colour a word and do nothing else.
    """
    pattern = _NOT_PRINTED_IN_COLOUR if colour else _NOT_PRINTED
    return pattern.sub(lambda match: f"<{name_of_character(match.group())}>", text)


def short_digest(digest: str | None) -> str:
    """A short digest for people: the algorithm and the first twelve digits."""
    return f"{digest[:19]}…" if digest and len(digest) > 20 else digest or "(not built yet)"


def short_id(id: str | None) -> str:
    """A short git object id for people: its first twelve digits."""
    return id[:12] if id else "-"


def shown_moment(moment: str | None) -> str:
    """A moment for people, such as `2026-12-01 10:52Z`; a dash for none."""
    return f"{moment[:10]} {moment[11:16]}Z" if moment else "-"
