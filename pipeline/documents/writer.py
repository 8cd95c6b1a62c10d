"""Plain values as YAML text, always the same bytes for the same value.

Pure. Block style, two spaces, keys in the order given, no folded lines. Text is quoted whenever a
YAML 1.1 or 1.2 reader could take it for something else, and is a literal block if it has several
lines. It refuses to write what `parse_document` would refuse.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.characters import FORBIDDEN_IN_VALUE, look_of, name_of_character, visible
from pipeline.documents import rules
from pipeline.documents.yaml12 import INTEGER_MAXIMUM, INTEGER_MINIMUM, is_plain_safe
from pipeline.errors import UsageFault


def render_document(value: Mapping[str, object], *, header: str = "") -> bytes:
    """UTF-8 YAML of `value` that `parse_document` reads back as the same value.

    `header` is one or more comment lines for the top, without their `# `. Raises UsageFault for
    anything that no request file may contain: other types, forbidden characters, numbers out of
    range, too many levels or nodes, keys that look alike, more than 1 MiB.
    """
    refuse_twins(value)
    return _document(block_lines(value), count_nodes(value), header)


def _document(body: Sequence[str], nodes: int, header: str) -> bytes:
    refuse_forbidden(header.replace("\n", ""))
    lines = [f"# {line}".rstrip() for line in header.splitlines()]
    lines += body or ["{}"]
    content = ("\n".join(lines) + "\n").encode("utf-8")
    if len(content) > rules.DOCUMENT_BYTES_MAXIMUM:
        raise UsageFault(
            f"the document would have {len(content):,} bytes", help=rules.YAML_TOO_LARGE.fix
        )
    if nodes > rules.NODES_MAXIMUM:
        raise UsageFault(
            f"the document would have {nodes:,} nodes", help=rules.YAML_TOO_MANY_NODES.fix
        )
    return content


@dataclass(frozen=True, slots=True)
class Entry:
    """The rendered lines of a part of a document, and the number of its nodes."""

    lines: tuple[str, ...]
    nodes: int


def render_entry(key: str, value: object) -> Entry:
    """One rendered `key: value` at the top of a document."""
    return Entry(tuple(entry_lines(key, value)), count_nodes(value))


def render_item(value: object) -> Entry:
    """One rendered item of a list at the top of a document."""
    return Entry(tuple(_indented(item_lines(value, level=2))), count_nodes(value))


def list_entry(key: str, items: Sequence[Entry]) -> Entry:
    """The entry of a list from its rendered items, at least one."""
    lines = tuple(line for item in items for line in item.lines)
    return Entry((f"{render_string(key)}:", *lines), 1 + sum(item.nodes for item in items))


def mapping_entry(key: str, entries: Sequence[Entry]) -> Entry:
    """The entry of a mapping from its rendered entries, at least one."""
    lines = tuple(_indented([line for entry in entries for line in entry.lines]))
    return Entry((f"{render_string(key)}:", *lines), 1 + sum(entry.nodes for entry in entries))


def render_entries(entries: Iterable[Entry], *, header: str = "") -> bytes:
    """The same bytes as `render_document` for the mapping of these entries.

    So unchanged parts of two documents need not be rendered again.
    """
    found = list(entries)
    lines = [line for entry in found for line in entry.lines]
    return _document(lines, 1 + sum(entry.nodes for entry in found), header)


def refuse_forbidden(text: str) -> None:
    """Raise UsageFault if `text` holds a character that no request may contain."""
    found = FORBIDDEN_IN_VALUE.search(text)
    if found:
        message = f"the text holds {name_of_character(found.group())}, which no request may hold"
        raise UsageFault(message, help="remove the character")


def refuse_twins(value: object, level: int = 0) -> None:
    """Raise UsageFault if two keys of a mapping look alike, which `parse_document` refuses."""
    if level > rules.DEPTH_MAXIMUM:
        return  # `block_lines` refuses it
    inner: Iterable[object] = ()
    if isinstance(value, Mapping):
        seen: dict[str, str] = {}
        for key in map(str, value):
            other = seen.setdefault(look_of(key), key)
            if other != key:
                message = f"the keys `{visible(other)}` and `{visible(key)}` look alike"
                raise UsageFault(message, help=rules.YAML_DUPLICATE_KEY.fix)
        inner = value.values()
    elif isinstance(value, (list, tuple)):
        inner = value
    for item in inner:
        refuse_twins(item, level + 1)


def count_nodes(value: object) -> int:
    """The number of keys and values in `value`, including itself."""
    if isinstance(value, Mapping):
        return 1 + sum(1 + count_nodes(inner) for inner in value.values())
    if isinstance(value, (list, tuple)):
        return 1 + sum(count_nodes(inner) for inner in value)
    return 1


def block_lines(value: object, *, level: int = 1) -> list[str]:
    """The lines of a mapping or list (none if it is empty), not indented."""
    if level > rules.DEPTH_MAXIMUM:
        raise UsageFault(f"the document would have {level} levels", help=rules.YAML_TOO_DEEP.fix)
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, inner in value.items():
            lines += entry_lines(key, inner, level=level)
    else:
        assert isinstance(value, (list, tuple))  # callers pass only collections
        for inner in value:
            lines += item_lines(inner, level=level)
    return lines


def entry_lines(key: object, value: object, *, level: int = 1) -> list[str]:
    """The lines of one `key: value` of a block mapping."""
    if not isinstance(key, str):
        raise UsageFault(f"the key {key!r} is not text", help=rules.YAML_KEY_NOT_STRING.fix)
    start = render_string(str(key)) + ":"
    if _is_open(value):
        return [start, *_indented(block_lines(value, level=level + 1))]
    return _with_start(start + " ", value)


def item_lines(value: object, *, level: int = 1) -> list[str]:
    """The lines of one `- value` of a block list."""
    if _is_open(value):
        first, *others = block_lines(value, level=level + 1)
        return [f"- {first}", *_indented(others)]
    return _with_start("- ", value)


def _is_open(value: object) -> bool:
    return isinstance(value, (Mapping, list, tuple)) and len(value) > 0


def _with_start(start: str, value: object) -> list[str]:
    if isinstance(value, str) and is_literal_safe(value):
        refuse_forbidden(value)
        indicator = "|" if value.endswith("\n") else "|-"
        return [start + indicator, *_indented(value.removesuffix("\n").split("\n"))]
    return [start + render_flow(value)]


def _indented(lines: Sequence[str]) -> Iterator[str]:
    return (f"  {line}" if line else "" for line in lines)


def is_literal_safe(text: str) -> bool:
    """Whether text has several lines that no reader or editor changes in a literal block."""
    if "\n" not in text or text[0] in " \t\n" or text.endswith("\n\n"):
        return False
    return not any(line.endswith((" ", "\t")) for line in text.split("\n"))


def render_flow(value: object, *, in_flow: bool = False) -> str:
    """`value` on one line: a scalar, or a collection in brackets."""
    if isinstance(value, Mapping):
        pairs = (
            f"{render_string(str(key), in_flow=True)}: {render_flow(inner, in_flow=True)}"
            for key, inner in value.items()
        )
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(render_flow(inner, in_flow=True) for inner in value) + "]"
    if isinstance(value, str):
        return render_string(str(value), in_flow=in_flow)
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        if not INTEGER_MINIMUM <= value <= INTEGER_MAXIMUM:
            raise UsageFault(
                "the integer does not fit into 64 bits", help=rules.YAML_NUMBER_RANGE.fix
            )
        return str(int(value))
    if isinstance(value, float):
        if not math.isfinite(value):
            raise UsageFault("the number is not finite", help=rules.YAML_NUMBER_RANGE.fix)
        mantissa, e, exponent = repr(float(value)).partition("e")
        # YAML 1.1 takes a float without a point as text.
        return (mantissa if "." in mantissa else mantissa + ".0") + e + exponent
    raise UsageFault(f"a {type(value).__name__} cannot stand in a request")


def render_string(text: str, *, in_flow: bool = False) -> str:
    """Text on one line, quoted only if some reader needs quotes."""
    refuse_forbidden(text)
    if is_plain_safe(text, in_flow=in_flow):
        return text
    return json.dumps(text, ensure_ascii=False)
