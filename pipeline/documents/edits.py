"""Edits of a request file that change the named values and leave every other line alone.

Pure. ruamel.yaml reads the file, sets the value and writes the file again, which keeps comments,
quotes and order but not every blank. So only the lines of the named entry are taken from ruamel's
output, moved to the entry's column; all other lines keep their bytes.

Refused, and left to people:

- documents that the reader refuses: anchors, aliases, tags, several documents
- an edit that would lose a comment: in a collection that is replaced, beside `|` or `>`
- an edit inside brackets that span several lines
- an edit that does not read back as exactly the requested value, with every comment once: at a key
  that is written after `?`; several lines of text before an indented comment, which would become
  part of it; a comment between a key and its list, or beside an empty last item; a new entry behind
  a block text that ends without a line end

`tests/unit/documents/test_edits.py` has one of each.

Import this module only where an edit is made: it imports ruamel.yaml, 25 ms (processor time in a
fresh process, median of 9), and most commands edit nothing.
"""

from __future__ import annotations

import copy
import io
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from pipeline.documents.events import Path
from pipeline.documents.reader import parse_document
from pipeline.documents.writer import is_literal_safe, refuse_forbidden
from pipeline.documents.yaml12 import is_plain_safe
from pipeline.errors import Refused, UsageFault

_BY_HAND = "change the file by hand"
_MORE_BY_HAND = (
    f"{_BY_HAND}: an edit cannot keep the rest beside a key after `?`, a comment between a key and "
    "its list, a comment beside an empty item, an indented comment below several lines of text, or "
    "a block text without a line end"
)
_COMMENT = re.compile(r"(?:^|(?<=[ \t]))#.*")
_TEXT = re.compile(r"^(?=\n)|[^\n]", re.MULTILINE)


def edit_document(content: bytes, changes: Mapping[Path, object]) -> bytes:
    """`content` with the value at each path set; lines outside the named entries keep their bytes.

    A path may name a new key of an existing mapping, or the index after the last item of a list.
    Raises Refused if `content` is not an acceptable document, or for an edit that would lose a
    comment or change more than it says; UsageFault for a path whose parent does not exist or a
    value that no request may contain.
    """
    document = parse_document("(document)", content)
    if not document.ok:
        raise Refused("the document to edit is refused", document.findings)
    text = content.decode("utf-8")
    line_end = "" if text.endswith("\n") else "\r\n" if "\r\n" in text else "\n"
    text += line_end
    wanted: Any = copy.deepcopy(document.value)
    for path, value in changes.items():
        _set(wanted, path, _plain(value))
        try:
            text = _edit(text, path, value)
        except YAMLError as error:  # an earlier edit made it unreadable
            raise _changes_more([path]) from error
    # A last line without an end stays so, unless the new value needs it.
    for edited in (text.removesuffix(line_end), text):
        result = parse_document("(edited document)", edited.encode("utf-8"))
        if result.ok and repr(result.value) == repr(wanted):
            return edited.encode("utf-8")
    raise _changes_more(changes)


def _changes_more(changes: Iterable[Path]) -> Refused:
    names = ", ".join(map(_name, changes))
    return Refused(f"an edit of {names} would change more than it says", help=_MORE_BY_HAND)


def _name(path: Path) -> str:
    return f"`{'.'.join(map(str, path))}`"


def _set(tree: Any, path: Path, value: object) -> None:
    if not path:
        raise UsageFault("an edit names a field, not the whole document")
    target: Any = tree
    try:
        for step in path[:-1]:
            target = target[step]
        if isinstance(target, list) and path[-1] == len(target):
            target.append(None)
        if not isinstance(target, (dict, list)):
            raise KeyError(path[-1])
        place: Any = target
        place[path[-1]] = value
    except (KeyError, IndexError, TypeError) as error:
        raise UsageFault(f"the document has no {_name(path)}") from error


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, str) else value


def _styled(value: object) -> object:
    """The value with each string in a style that every reader takes as text, like our writer."""
    if isinstance(value, Mapping):
        return {_styled_text(str(key), block=False): _styled(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_styled(inner) for inner in value]
    return _styled_text(str(value), block=True) if isinstance(value, str) else value


def _styled_text(text: str, *, block: bool) -> Any:
    refuse_forbidden(text)
    if block and is_literal_safe(text):
        return LiteralScalarString(text)
    return text if is_plain_safe(text) else DoubleQuotedScalarString(text)


# -- by ruamel -----------------------------------------------------------------------------


class _Representer(RoundTripRepresenter):
    """Writes None as `null`; ruamel writes nothing."""

    def represent_null(self, _: None) -> Any:
        return self.represent_scalar("tag:yaml.org,2002:null", "null")


_Representer.add_representer(type(None), _Representer.represent_null)


def _round_trip() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.Representer = _Representer
    yaml.preserve_quotes = True
    yaml.width = 2**31
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _rewritten(text: str, path: Path, value: object) -> str:
    """The whole document with the value set, in ruamel's layout. Raises Refused."""
    yaml = _round_trip()
    out = io.StringIO()
    try:
        data: Any = yaml.load(text)
        parent = data
        for step in path[:-1]:
            parent = parent[step]
        if not parent:  # it is written as `[]` or `{}`
            parent.fa.set_block_style()
        _forget_what_follows(parent, path[-1])
        _set(data, path, _styled(value))
        yaml.dump(data, out)
    except (YAMLError, LookupError) as error:
        raise Refused(f"an edit of {_name(path)} cannot be made", help=_BY_HAND) from error
    return out.getvalue()


def _forget_what_follows(parent: Any, step: object) -> None:
    """Drop all comments of an entry except the one in its own line.

    ruamel counts the lines after a value as part of it, and would write them inside the new one.
    The comment beside a block text's indicator goes too: no new value has a place for it.
    """
    found = parent.ca.items.get(step) or []
    for index, token in enumerate(found):
        if isinstance(token, list):
            found[index] = [part for part in token if not isinstance(part, str)] or None
        elif token is not None:
            own = token.value.partition("\n")[0]
            token.value = f"{own}\n"
            found[index] = token if own else None


def _edit(text: str, path: Path, value: object) -> str:
    """The text with the lines of one entry as ruamel writes them. Raises Refused."""
    there, written = _Layout(text), _Layout(_rewritten(text, path, value))
    old = there.find(path)
    if old is None:
        parent, new = there.entry(path[:-1]), written.entry(path)
        # After the last entry, before the comments that follow it.
        first = end = parent.last + 1
        column, begin = parent.inner_column, " " * parent.inner_column
    else:
        new = written.entry(old.path)
        if old.path != path and old.first != old.last:
            message = f"{_name(path)} stands in brackets that go over several lines"
            raise Refused(message, help="write the list or mapping without brackets first")
        first, end, column = old.first, old.last + 1, old.column
        begin = there.lines[first][:column]
    head, *others = written.lines[new.first : new.last + 1]
    before = Counter(there.comments(first, end))
    kept = [_moved(line, column - new.column) for line in others]
    after = Counter(written.comments(new.first, new.last + 1))
    if before - after:
        message = f"an edit of {_name(path)} would lose the comment `{min(before - after)}`"
        raise Refused(message, help=_BY_HAND)
    if after - before:  # ruamel took a later comment into the new value
        raise _changes_more([path])
    lines = [begin + head[new.column :], *kept]
    return _spliced(text, first, end, lines)


def _moved(line: str, columns: int) -> str:
    return (" " * columns + line)[max(-columns, 0) :] if line else line


def _spliced(text: str, first: int, end: int, new: list[str]) -> str:
    """The text with lines `first` up to `end` replaced, keeping its line ends."""
    lines = text.split("\n")
    carriage = "\r" if "\r\n" in text else ""
    return "\n".join([*lines[:first], *(line + carriage for line in new), *lines[end:]])


# -- positions of entries ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Entry:
    """One `key: value` or `- value`: first and last line, its column, and its value's column."""

    path: Path
    first: int
    last: int
    column: int
    inner_column: int


class _Layout:
    """The lines of a document and the positions of its entries, counted from 0."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.lines = self.text.split("\n")
        self._root: Any = _round_trip().compose(self.text)

    def entry(self, path: Path) -> _Entry:
        """The entry at a path. Raises Refused if there is none."""
        found = self.find(path)
        if found is None:
            raise Refused(f"{_name(path)} cannot be found in the document", help=_BY_HAND)
        return found

    def find(self, path: Path) -> _Entry | None:
        """The entry at a path, or None; for one in brackets, the entry that holds the brackets."""
        node, first, column = self._root, self._root.start_mark.line, 0
        for depth, step in enumerate(path):
            if node.flow_style:
                return self._entry(path[:depth], node, first, column)
            if isinstance(node, MappingNode):
                pairs = [(key, value) for key, value in node.value if key.value == step]
                if not pairs:
                    return None
                [(key, node)] = pairs
                first, column = key.start_mark.line, key.start_mark.column
            elif isinstance(step, int) and step < len(node.value):
                column = node.start_mark.column
                node = node.value[step]
                first = self._line_of_dash(node, column)
            else:
                return None
        return self._entry(path, node, first, column)

    def comments(self, first: int, end: int) -> list[str]:
        """The comments in these lines, each from its `#`."""
        found = (_COMMENT.search(line) for line in self._masked[first:end])
        return [comment.group() for comment in found if comment]

    @cached_property
    def _masked(self) -> list[str]:
        """The lines with every string's characters, and its empty lines, replaced by `x`."""
        parts, at = [], 0
        for node in _scalars(self._root):
            start, stop = node.start_mark.index, node.end_mark.index
            if node.style in ("|", ">"):  # a comment may follow the indicator
                start = self.text.find("\n", start) + 1 or stop
            parts += [self.text[at:start], _TEXT.sub("x", self.text[start:stop])]
            at = stop
        return "".join([*parts, self.text[at:]]).split("\n")

    def _entry(self, path: Path, node: Any, first: int, column: int) -> _Entry:
        last = self._last_line(node, first, column)
        return _Entry(path, first, last, column, node.start_mark.column)

    def _line_of_dash(self, node: Any, column: int) -> int:
        line: int = node.start_mark.line
        while self.lines[line][column : column + 1] != "-":
            line -= 1
        return line

    def _last_line(self, node: Any, first: int, column: int) -> int:
        """The last line of the value of an entry; comments after it are not part of it."""
        last: int = node.end_mark.line
        if isinstance(node, ScalarNode):
            if node.style in ("|", ">"):
                return self._last_line_of_block(node, column)
            return last if node.value or node.style else first
        if node.flow_style:
            return last
        if isinstance(node, MappingNode):
            key, value = node.value[-1]
            return self._last_line(value, key.start_mark.line, key.start_mark.column)
        column, item = node.start_mark.column, node.value[-1]
        return self._last_line(item, self._line_of_dash(item, column), column)

    def _last_line_of_block(self, node: Any, column: int) -> int:
        last: int = node.start_mark.line
        keeps = "+" in self.lines[last][node.start_mark.column :].split("#", 1)[0]
        for number in range(last + 1, len(self.lines)):
            line = self.lines[number]
            if line.strip(" ") and len(line) - len(line.lstrip(" ")) <= column:
                break
            if line.strip(" ") or (keeps and number + 1 < len(self.lines)):
                last = number
        return last


def _scalars(node: Any) -> Iterator[ScalarNode]:
    if isinstance(node, ScalarNode):
        yield node
        return
    for inner in node.value:
        for part in inner if isinstance(inner, tuple) else (inner,):
            yield from _scalars(part)
