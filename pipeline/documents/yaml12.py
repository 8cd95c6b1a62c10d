"""Scalars of the YAML 1.2 core schema: the meaning of plain text, and which text needs quotes.

Pure. The core schema is that of YAML 1.2.2 §10.3.2: `true` and `false` in three spellings, `null`,
`~` and nothing, integers (decimal, `0o`, `0x`) and floats; `yes`, `on`, `1:30` and dates are
strings. Numbers that a 64-bit reader cannot hold, or would round, are refused: two readers of one
request must never see two values.
"""

from __future__ import annotations

import re
from decimal import Decimal

Scalar = str | int | float | bool | None

INTEGER_MINIMUM = -(2**63)
INTEGER_MAXIMUM = 2**63 - 1
# Longer than any number that fits; avoids quadratic work in Python's integer conversion.
NUMBER_LENGTH_MAXIMUM = 64

WORDS: dict[str, Scalar] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}
_NUMBER_START = frozenset("+-.0123456789")
_INTEGER = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEXADECIMAL = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z")
_NOT_FINITE = re.compile(r"(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z")


class NumberRefused(ValueError):
    """A plain scalar is a number that not every reader represents exactly; the text says why."""


def resolve_plain(text: str) -> Scalar:
    """The value of a plain scalar in the core schema.

    Raises NumberRefused for integers over 64 bits, infinities, not-a-number, and floats that a
    double would round to another number than the one written.
    """
    if text in WORDS:
        return WORDS[text]
    if text[0] not in _NUMBER_START:
        return text
    if _INTEGER.match(text):
        return _integer(text, text.lstrip("+-"), 10)
    if _OCTAL.match(text):
        return _integer(text, text[2:], 8)
    if _HEXADECIMAL.match(text):
        return _integer(text, text[2:], 16)
    if _FLOAT.match(text):
        return _float(text)
    if _NOT_FINITE.match(text):
        raise NumberRefused("it is not a finite number")
    return text


def _integer(text: str, digits: str, base: int) -> int:
    significant = digits.lstrip("0")
    if len(significant) <= 22:  # 2**64 has 22 octal digits, the longest of the three bases
        value = int(significant or "0", base)
        if text[0] == "-":
            value = -value
        if INTEGER_MINIMUM <= value <= INTEGER_MAXIMUM:
            return value
    raise NumberRefused("the integer does not fit into 64 bits")


def _float(text: str) -> float:
    if len(text) > NUMBER_LENGTH_MAXIMUM:
        raise NumberRefused(f"the number is longer than {NUMBER_LENGTH_MAXIMUM} characters")
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise NumberRefused("the number is too large for a double")
    mantissa = re.split("[eE]", text, maxsplit=1)[0]
    if value == 0.0:
        if mantissa.strip("+-.0"):
            raise NumberRefused("the number is too small for a double")
        return value
    if Decimal(text) != Decimal(repr(value)):
        raise NumberRefused(f"a double would round the number to {value!r}")
    return value


# Words that only a YAML 1.1 reader takes for something other than text.
_OLD_WORDS = frozenset(
    word
    for base in ("y", "n", "yes", "no", "on", "off")
    for word in (base, base.capitalize(), base.upper())
) | {"=", "<<"}
_OLD_NUMBER = re.compile(r"[-+]?[0-9.][0-9a-fA-FxXoO_:.,eE+\-]*\Z")
_OLD_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}")
# Text that is safe unquoted: words and single spaces, then a few marks inside only.
_PLAIN_IN_FLOW = re.compile(r"[\w./$(\\](?:[\w./$()@+=*!%^~;<>|?&\\'\"-]| (?![ #]))*\Z")
_PLAIN_IN_BLOCK = re.compile(r"[\w./$(\\](?:[\w./$()@+=*!%^~;<>|?&\\'\",\[\]{}-]| (?![ #]))*\Z")
# A colon inside a word, as in `sha256:…` and `https://…`; one before a space would end a key.
_INNER_COLON = re.compile(r"(?<=\w):(?=[\w/.])")


def is_plain_safe(text: str, *, in_flow: bool = False) -> bool:
    """Whether every YAML 1.1 and 1.2 reader takes this unquoted text for the same string."""
    if not text or text in WORDS or text in _OLD_WORDS or text[-1] == " ":
        return False
    if text[0] in _NUMBER_START and (_OLD_NUMBER.match(text) or _NOT_FINITE.match(text)):
        return False
    if _OLD_DATE.match(text) or text.startswith("..."):
        return False
    pattern = _PLAIN_IN_FLOW if in_flow else _PLAIN_IN_BLOCK
    return pattern.match(_INNER_COLON.sub("_", text)) is not None
