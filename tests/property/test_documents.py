"""What we write reads back the same in every reader."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pipeline.characters import FORBIDDEN_IN_VALUE, look_of
from pipeline.documents import Path, parse_document, render_document

WORDS = (
    "yes No ~ null 1:30 0123 0o7 0x1F 1e3 2031-01-01 << = - -a # %x @a `a !t &a *a ' \" {} [] .inf "
    "._ 1_000 0b1 --- ... a: http://x/y sha256:ab a,b a] true y n \\n é 日本 12e03 +1 .5 ? a::b"
)
PHRASES = (
    "| |a b| a|a |a: b|a #b|? x|a\nb|a\nb\n|\ta\nb|a\n\n|a\n\n\nb\n|\n|a\n b\n\tc|--- a|k: v, x"
    "|a\t b|tab\t|x  y|#a\nb\n|%a\nb\n|---\na\n|a\nb\n\n"
)
LOOK_ALIKES = [*WORDS.split(" "), *PHRASES.split("|")]
TEXT = (
    st.sampled_from(LOOK_ALIKES)
    | st.text(max_size=12)
    | st.text(" \n\t-:#,[]{}&*!|>'\"%@`?a1.\\", max_size=14)
).filter(lambda text: not FORBIDDEN_IN_VALUE.search(text))
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT
)


def mappings(values: st.SearchStrategy[object], size: int) -> st.SearchStrategy[dict[str, object]]:
    """Mappings of which no two keys look alike."""
    entries = st.tuples(TEXT, values)
    return st.lists(entries, max_size=size, unique_by=lambda entry: look_of(entry[0])).map(dict)


VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | mappings(inner, 4),
    max_leaves=12,
)
DOCUMENTS = mappings(VALUES, 5)


def paths(value: object, path: Path = ()) -> Iterator[Path]:
    """Every path below `value`."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield (*path, index)
            yield from paths(inner, (*path, index))


@pytest.mark.parametrize("text", LOOK_ALIKES)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    value: dict[str, object] = {text: text, "list": [text, {text: text}, [text]], "last": 1}
    content = render_document(value)
    assert parse_document("x", content).value == value
    assert yaml.safe_load(content) == value
    assert YAML(typ="safe", pure=True).load(content.decode("utf-8")) == value


@given(DOCUMENTS)
def test_a_written_document_reads_back_in_every_reader(value: dict[str, object]) -> None:
    content = render_document(value)
    document = parse_document("x", content)
    assert document.ok
    assert repr(document.value) == repr(value)  # tells 1 from 1.0 and from True
    assert yaml.safe_load(content) == value  # YAML 1.1
    assert YAML(typ="safe", pure=True).load(content.decode("utf-8")) == value  # YAML 1.2
    assert render_document(document.value) == content


@given(st.binary(max_size=60) | st.text(" \n\t-:#,[]{}&*!|>'\"%@`?a1.\\\r\x00é", max_size=60))
def test_the_reader_never_raises(content: bytes | str) -> None:
    raw = content if isinstance(content, bytes) else content.encode("utf-8")
    document = parse_document("x", raw)
    assert document.ok or document.value == {}
    for finding in document.findings:
        assert finding.location.line is not None and finding.location.column is not None
        assert finding.location.line <= raw.count(b"\n") + raw.count(b"\r") + 1


@given(DOCUMENTS)
def test_every_node_has_a_position(value: dict[str, object]) -> None:
    content = render_document(value)
    lines = content.decode("utf-8").split("\n")
    document = parse_document("x", content)
    for path in paths(value):
        place = document.position_of(path, key=True)
        assert place.line is not None and place.column is not None
        assert place.column <= len(lines[place.line - 1]) + 1
