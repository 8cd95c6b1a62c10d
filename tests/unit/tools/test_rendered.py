"""One reading of rendered YAML: plain scalars by the core schema, quoted ones as text."""

from __future__ import annotations

import pytest

from pipeline.errors import CouldNotCheck
from pipeline.tools.helm import require_stable_chart
from pipeline.tools.rendered import parse_rendered


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-7", -7),
        ("0", 0),
        ("0x1f", 31),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("", None),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("|\n  1\n", "1\n"),
        (">-\n  true\n", "true"),
        ("'0644'", "0644"),
        ("[1, 'a']", [1, "a"]),
    ],
)
def test_a_scalar_has_one_value(text: str, value: object) -> None:
    [item] = parse_rendered(f"key: {text}\n".encode())
    assert item == {"key": value}
    assert type(item["key"]) is type(value)


def test_documents_keep_their_order_without_empty_ones() -> None:
    assert parse_rendered(b"---\n---\na: 1\n---\n# c\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]
    assert parse_rendered(b"") == []


@pytest.mark.parametrize(
    "stream",
    [
        b"a: &x [*x]\n",
        b"a: &x 1\nb: *x\n",
        b"<<: {a: 1}\n",
        b"a: 1\na: 2\n",
        b"a: 1\n'a': 2\n",
        b"1: a\n",
        b"? [a]\n: b\n",
        b"a: !!binary aGk=\n",
        b"a: !local x\n",
        b"a: 010\n",
        b"a: .nan\n",
        b"a: 99999999999999999999\n",
        b"- a\n",
        b"text\n",
        b"a: [\n",
        b"a: \xff\n",
        b"a: " + b"[" * 70 + b"]" * 70,
    ],
)
def test_ambiguous_yaml_is_refused(stream: bytes) -> None:
    with pytest.raises(CouldNotCheck):
        parse_rendered(stream)


def test_random_functions_are_found_with_their_line() -> None:
    with pytest.raises(CouldNotCheck, match=r"templates/x/a\.tpl line 3 calls `uuidv4`"):
        require_stable_chart({"templates/x/a.tpl": b"a: 1\nb: {{ .x }}\nc: {{ (uuidv4) }}\n"})
    require_stable_chart(
        {"README.md": b"{{ now }}", "templates/a.yaml": b"now: {{ .Values.now }} uuidv4"}
    )
