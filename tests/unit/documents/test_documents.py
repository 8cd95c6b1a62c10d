"""The reader, the writer, and findings about fields, on small documents."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from pydantic import Field, ValidationError

from pipeline.characters import FINDINGS_MAXIMUM, visible
from pipeline.diagnostics import Subject
from pipeline.documents import (
    ParsedDocument,
    events,
    findings_of_validation_error,
    parse_document,
    render_document,
)
from pipeline.documents.rules import DEPTH_MAXIMUM, NODES_MAXIMUM
from pipeline.errors import UsageFault
from pipeline.models.base import Model
from pipeline.rules import load_rules
from tests.support.rule_runners import bytes_of_example

REFUSALS = Path(__file__).resolve().parents[2] / "refusals"


def parse(text: str) -> ParsedDocument:
    return parse_document("request.yaml", text.encode("utf-8"))


def places(document: ParsedDocument) -> list[str]:
    return [f"{f.code} {f.location.line}:{f.location.column}" for f in document.findings]


@pytest.mark.parametrize(
    ("plain", "value"),
    [
        ("yes", "yes"),
        ("on", "on"),
        ("1:30", "1:30"),
        ("2031-12-31", "2031-12-31"),
        ("0123", 123),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("-7", -7),
        ("+7", 7),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e3", 1000.0),
        ("1.0.0", "1.0.0"),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808", -(2**63)),
        ("~", None),
        ("", None),
        ("Null", None),
        ("nULL", "nULL"),
        ("TRUE", True),
        ("tRUE", "tRUE"),
        ("False", False),
        ("0o8", "0o8"),
        ("-0x1", "-0x1"),
    ],
)
def test_plain_scalars_are_those_of_the_core_schema(plain: str, value: object) -> None:
    document = parse(f"key: {plain}\n")
    assert document.ok
    assert document.value == {"key": value}
    assert type(document.value["key"]) is type(value)


def test_quoted_scalars_are_text() -> None:
    assert parse('a: "1"\nb: \'true\'\nc: ""\n').value == {"a": "1", "b": "true", "c": ""}


def test_line_ends_with_carriage_return_read_the_same() -> None:
    text = "kind: Tenant\nnote: |\n  a\n  b\nlist:\n  - x\n"
    assert parse(text.replace("\n", "\r\n")).value == parse(text).value


def test_positions_of_values_and_keys() -> None:
    document = parse("kind: Tenant\nquota: {cpu: 4}\nowners:\n  - a\n  - name: b\n")
    assert str(document.position_of(("kind",))) == "request.yaml:1:7"
    assert str(document.position_of(("quota", "cpu"), key=True)) == "request.yaml:2:9"
    assert str(document.position_of(("quota", "cpu"))) == "request.yaml:2:14"
    assert str(document.position_of(("owners", 1, "name"))) == "request.yaml:5:11"
    assert str(document.position_of(("owners", 0), key=True)) == "request.yaml:4:5"


def test_the_position_of_a_missing_key_is_its_nearest_parent_s() -> None:
    document = parse("# head\nkind: Tenant\nquota: {cpu: 4}\n")
    assert str(document.position_of(("quota", "memory", "x"))) == "request.yaml:3:8"
    assert str(document.position_of(("nothing",))) == "request.yaml:2:1"
    assert str(parse("").position_of(("kind",))) == "request.yaml:1:1"


def test_columns_count_characters() -> None:
    assert str(parse("日本: 😀 # x\na: b\n").position_of(("日本",))) == "request.yaml:1:5"
    assert places(parse("a: 😀😀 # \u202e\n")) == ["yaml-bidi-character 1:9"]


def test_all_findings_are_collected_in_order() -> None:
    document = parse("a: &x 1\na: !t 2\n1: *x\nb: {<<: 3, \u200b: .inf}\n")
    assert places(document) == [
        "yaml-anchor 1:4",
        "yaml-duplicate-key 2:1",
        "yaml-tag 2:4",
        "yaml-key-not-string 3:1",
        "yaml-alias 3:4",
        "yaml-merge-key 4:5",
        "yaml-invisible-character 4:12",
        "yaml-number-range 4:15",
    ]
    assert document.value == {} and not document.ok


def test_findings_are_bounded() -> None:
    for text in ("a: 1\n" * 500, "#" + "\u200b" * 500 + "\n", 'a: "' + "\\x01" * 500 + '"\n'):
        assert len(parse(text).findings) == FINDINGS_MAXIMUM


def test_limits_are_inclusive() -> None:
    assert parse("a: " + "[" * (DEPTH_MAXIMUM - 1) + "]" * (DEPTH_MAXIMUM - 1)).ok
    assert not parse("a: " + "[" * DEPTH_MAXIMUM + "]" * DEPTH_MAXIMUM).ok
    # The mapping, its key and the list are three nodes.
    assert parse("a: [" + "1," * (NODES_MAXIMUM - 3) + "]").ok
    assert not parse("a: [" + "1," * (NODES_MAXIMUM - 2) + "]").ok


def test_messages_show_no_hidden_character_and_no_endless_text() -> None:
    document = parse('"a\\e[2K": 1\n"a\\e[2K": 2\n' + f"{'k' * 500}: 1\n{'k' * 500}: 2\n")
    assert [f.code for f in document.findings].count("yaml-duplicate-key") == 2
    assert all(len(f.message) < 120 for f in document.findings)
    assert visible("a\x1b[2K\r\n\u202e") == "a<U+001B>[2K<U+000D><U+000A><U+202E>"


def test_python_parser_gives_the_same_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    examples = [
        bytes_of_example(example)
        for rule in load_rules().values()
        if rule.subject is Subject.DOCUMENT
        for example in (rule.fails, rule.passes)
    ]
    expected = [parse_document("x", content) for content in examples]
    monkeypatch.setattr(events, "_LOADER", yaml.SafeLoader)
    for content, document in zip(examples, expected, strict=True):
        again = parse_document("x", content)
        assert again.value == document.value
        assert [f.code for f in again.findings] == [f.code for f in document.findings]
        assert places(again) == places(document)


def test_a_document_is_written_as_people_write_it() -> None:
    value = {
        "kind": "Tenant",
        "id": "acme/order-router",
        "template_id": "domain@1.0.0",
        "digest": "sha256:" + "0a" * 32,
        "pods": 40,
        "cpu": "4",
        "on": "yes",
        "ratio": 1e22,
        "none": None,
        "custom_code": True,
        "owners": ["acme-engineers", "a: b"],
        "changes": [{"op": "write", "content": "a\n\tb\n"}, {"op": "delete"}],
        "empty": {},
        "list": [],
        "note": "two\nlines",
        "reason": "Peak season, again",
    }
    assert render_document(value, header="yaml-language-server: $schema=x.json").decode() == (
        "# yaml-language-server: $schema=x.json\n"
        "kind: Tenant\n"
        "id: acme/order-router\n"
        "template_id: domain@1.0.0\n"
        f"digest: sha256:{'0a' * 32}\n"
        "pods: 40\n"
        'cpu: "4"\n'
        '"on": "yes"\n'
        "ratio: 1.0e+22\n"
        "none: null\n"
        "custom_code: true\n"
        "owners:\n"
        "  - acme-engineers\n"
        '  - "a: b"\n'
        "changes:\n"
        "  - op: write\n"
        "    content: |\n"
        "      a\n"
        "      \tb\n"
        "  - op: delete\n"
        "empty: {}\n"
        "list: []\n"
        "note: |-\n"
        "  two\n"
        "  lines\n"
        "reason: Peak season, again\n"
    )


@pytest.mark.parametrize(
    "value",
    [
        {"a": "\u202e"},
        {"a": "x\r\ny"},
        {"a\x00": 1},
        {"a": "line\n\x1b[2K\nline"},
        {"a": 2**63},
        {"a": float("inf")},
        {"a": float("nan")},
        {"a": object()},
        {"a": {1: 2}},
        {"a": [1] * NODES_MAXIMUM},
        {"a": "x" * 2_000_000},
    ],
    ids=range(11),
)
def test_forbidden_characters_are_not_written(value: dict[str, object]) -> None:
    with pytest.raises(UsageFault):
        render_document(value)


def test_nesting_beyond_the_limit_is_not_written() -> None:
    value: object = 1
    for _ in range(DEPTH_MAXIMUM):
        value = {"a": value}
    assert isinstance(value, dict)
    assert parse_document("x", render_document(value)).value == value
    with pytest.raises(UsageFault):
        render_document({"a": value})


class Quota(Model):
    cpu: str = Field(pattern=r"^[0-9]+$")
    pods: int = Field(ge=1)


class Sample(Model):
    kind: str
    custom_code: bool = False
    quotas: dict[str, Quota] = Field({})
    owners: list[str] = Field([], min_length=1)


def shape_of(text: str) -> list[tuple[str, str, str, str]]:
    document = parse(text)
    with pytest.raises(ValidationError) as error:
        Sample.model_validate(document.value)
    findings = findings_of_validation_error(error.value, document, Sample)
    return [(f.code, f"{f.location.line}:{f.location.column}", f.message, f.fix) for f in findings]


def test_unknown_field_suggests_a_near_name() -> None:
    assert shape_of("kind: a\ncustom_cod: true\n") == [
        (
            "request-unknown-field",
            "2:1",
            "field `custom_cod` is not known",
            "did you mean `custom_code`?",
        )
    ]
    assert shape_of("kind: a\nquotas:\n  x: {cpu: '1', pods: 1, zzz: 1}\n") == [
        (
            "request-unknown-field",
            "3:26",
            "field `zzz` is not known in `quotas.x`",
            "fields here are `cpu`, `pods`",
        )
    ]


def test_missing_field_is_placed_at_its_parent() -> None:
    assert shape_of("custom_code: true\n") == [
        ("request-missing-field", "1:1", "field `kind` is missing", "add `kind: …`")
    ]
    assert [found[:3] for found in shape_of("kind: a\nquotas:\n  x: {pods: 1}\n")] == [
        ("request-missing-field", "3:3", "field `cpu` is missing in `quotas.x`")
    ]


def test_wrong_type_says_what_was_found() -> None:
    found = shape_of("kind: 3\ncustom_code: yes\nquotas: []\nowners: {}\n")
    assert [item[:3] for item in found] == [
        ("request-wrong-type", "1:7", "`kind` must be text, not the number `3`"),
        (
            "request-wrong-type",
            "2:14",
            "`custom_code` must be `true` or `false`, not the text `yes`",
        ),
        ("request-wrong-type", "3:9", "`quotas` must be a mapping, not a list"),
        ("request-wrong-type", "4:9", "`owners` must be a list, not a mapping"),
    ]
    assert found[0][3] == "put quotes around the value to make it text"


def test_bad_value_says_what_is_allowed() -> None:
    found = shape_of("kind: a\nquotas: {x: {cpu: '1m', pods: 0}}\nowners: []\n")
    assert [item[:3] for item in found] == [
        (
            "request-bad-value",
            "2:19",
            "`quotas.x.cpu` is `1m`, which is not text that matches `^[0-9]+$`",
        ),
        ("request-bad-value", "2:31", "`quotas.x.pods` is `0`; it must be at least 1"),
        ("request-bad-value", "3:9", "`owners` is empty; it needs at least 1 item(s)"),
    ]


@pytest.mark.parametrize(
    ("one", "other"), [("café", "cafe\u0301"), ("a b", "a\u00a0b"), ("Ａ", "A"), ("a b", "a  b")]
)
def test_keys_that_look_alike_are_neither_read_nor_written(one: str, other: str) -> None:
    value: dict[str, object] = {"top": [{one: 1, other: 2}]}
    with pytest.raises(UsageFault, match="look alike"):
        render_document(value)
    found = parse(f'kind: a\ntop:\n  "{one}": 1\n  "{other}": 2\n').findings
    assert [(f.code, f.location.line) for f in found] == [("yaml-duplicate-key", 4)]
    assert parse(f'kind: a\ntop: {{"{one}": 1}}\nelse: {{"{other}": 2}}\n').findings == ()
