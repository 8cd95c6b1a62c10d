"""An edit sets exactly the value asked for and keeps every other line, comments included."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path as FilePath

from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import Path, parse_document, render_document
from pipeline.documents.edits import edit_document
from pipeline.errors import Refused
from tests.property.test_documents import DOCUMENTS, VALUES, paths
from tests.unit.documents.test_edits import SAMPLE

ROOT = FilePath(__file__).resolve().parents[2]
# People's files of this very control repo, and one with every layout.
FILES = {
    path: (ROOT / path).read_bytes()
    for path in (
        "environments/platform.yaml",
        "environments/staging/environment.yaml",
        "environments/blocked-digests.yaml",
        "tenants/acme/tenant.yaml",
    )
} | {"a sample": SAMPLE.encode()}
LINE_ENDS = st.sampled_from(["\n", "\r\n"])
_FULL_LINE = re.compile(r"\s*#")


def span_of(content: bytes, path: Path) -> tuple[int, int]:
    """First line, and the one behind the last, of the entry at the top that a path is in."""
    document = parse_document("x", content)
    keys = list(document.value)
    after = keys[keys.index(str(path[0])) + 1 :]
    start = (document.position_of((path[0],), key=True).line or 0) - 1
    if after:
        return start, (document.position_of((after[0],), key=True).line or 0) - 1
    return start, content.count(b"\n")


def check(content: bytes, path: Path, wanted: object) -> None:
    """Edit, and hold what comes out to the lines that were there."""
    start, end = span_of(content, path)
    try:
        edited = edit_document(content, {path: wanted})
    except Refused as refused:
        if not any("\n" in key for key in keys_of({"path": list(path), "wanted": wanted})):
            # Fail closed: an edit that cannot be made alone is refused, and nothing is written.
            told = ("lose the comment", "brackets", "change more than it says")
            assert any(words in refused.message for words in told)
        return  # ruamel writes a key of several lines behind `?`
    lines, new = content.split(b"\n"), edited.split(b"\n")
    assert new[:start] == lines[:start]
    assert new[len(new) - (len(lines) - end) :] == lines[end:]
    value: object = parse_document("x", edited).value
    for step in path:
        value = value[step]  # type: ignore[index] # a path of this very document
    assert value == wanted


def keys_of(value: object) -> Iterator[str]:
    """Every key and step of a path in the value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_of(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from [inner] if isinstance(inner, str) else keys_of(inner)


def comments_of(content: bytes) -> Counter[str]:
    return Counter(line for line in content.decode().splitlines() if _FULL_LINE.match(line))


@given(DOCUMENTS.filter(bool), VALUES, st.data(), LINE_ENDS)
def test_an_edit_leaves_other_lines_alone(
    value: dict[str, object], wanted: object, data: st.DataObject, line_end: str
) -> None:
    path = data.draw(st.sampled_from(sorted(paths(value), key=repr)))
    content = render_document(value, header="head").replace(b"\n", line_end.encode())
    check(content, path, wanted)


@settings(max_examples=60)
@given(st.data(), st.sampled_from(sorted(FILES)), VALUES, LINE_ENDS)
def test_an_edit_of_a_person_s_file_leaves_other_lines_alone(
    data: st.DataObject, file: str, wanted: object, line_end: str
) -> None:
    content = FILES[file].replace(b"\n", line_end.encode())
    path = data.draw(st.sampled_from([*paths(parse_document("x", content).value)]))
    check(content, path, wanted)


@settings(max_examples=60)
@given(st.data(), st.sampled_from(sorted(FILES)), VALUES)
def test_a_new_entry_adds_lines_and_takes_none(
    data: st.DataObject, file: str, wanted: object
) -> None:
    content = FILES[file]
    value = parse_document("x", content).value
    parents: list[Path] = [()]
    parents += [path for path in paths(value) if isinstance(_at(value, path), (dict, list))]
    parent = data.draw(st.sampled_from(parents))
    inside = _at(value, parent)
    step = len(inside) if isinstance(inside, list) else "added-by-a-test"
    try:
        edited = edit_document(content, {(*parent, step): wanted})
    except Refused as refused:
        assert "brackets" in refused.message, refused.message
        return
    assert _at(parse_document("x", edited).value, (*parent, step)) == wanted
    assert comments_of(content) <= comments_of(edited)
    gone = Counter(content.splitlines()) - Counter(edited.splitlines())
    # One line at most is written anew: the one of a collection in brackets that took the entry.
    assert sum(gone.values()) <= 1 and all(b"[" in line or b"{" in line for line in gone)


def _at(value: object, path: Path) -> object:
    for step in path:
        value = value[step]  # type: ignore[index] # a path of this very document
    return value
