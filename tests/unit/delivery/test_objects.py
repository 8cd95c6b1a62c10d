"""A report's bytes: JSON and YAML give the same objects; nothing unbounded or doubtful is read."""

from __future__ import annotations

import json

import pytest
import yaml

from pipeline.delivery import objects
from pipeline.delivery.objects import parse_objects
from tests.support.cluster_objects import application, kustomization, laid

BOTH = json.loads(json.dumps([application(), kustomization()]))  # nothing is shared


def problem(content: bytes) -> str:
    """What is wrong with a report, and where."""
    found, findings = parse_objects("report", content)
    assert found == ()
    [finding] = findings
    assert finding.code == "report-malformed"
    return f"{finding.location}: {finding.message}"


@pytest.mark.parametrize(
    "content",
    [
        json.dumps({"apiVersion": "v1", "kind": "List", "items": BOTH}),
        yaml.safe_dump({"apiVersion": "v1", "kind": "List", "items": BOTH}),
        yaml.safe_dump_all(BOTH, explicit_start=True),
        yaml.safe_dump_all([*BOTH, None]),
    ],
)
def test_one_object_a_list_and_several_documents_are_the_same(content: str) -> None:
    assert parse_objects("report", content.encode()) == (tuple(BOTH), ())


def test_items_of_a_typed_list_get_its_kind() -> None:
    plain = laid(application(), {"apiVersion": None, "kind": None})
    typed = {"apiVersion": "argoproj.io/v1alpha1", "kind": "ApplicationList", "items": [plain]}
    assert parse_objects("report", json.dumps(typed).encode()) == ((application(),), ())
    empty = json.dumps({**typed, "items": None}).encode()
    assert parse_objects("report", empty) == ((), ())


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"kind": "A", "kind": "B"}', "report: the key `kind` occurs twice"),
        (b'{"a": {"b": 1, "b": 2}}', "report: the key `b` occurs twice"),
        (b'{"a": NaN}', "report: `NaN` is not JSON"),
        (b'{"a": 1', "report:1:8: it is not JSON: Expecting ',' delimiter"),
        (b"[1]", "report: the top level is not one object"),
        (b'{"kind": "List", "items": {}}', "report: the items of the List are not a list"),
        (b'{"kind": "List", "items": [1]}', "report: an item of the List is not an object"),
        (b'{"a": ' + b"9" * 5000 + b"}", "report: a number has too many digits"),
        (b'{"a":' * 100_000, "report: it nests too deep"),
        (b"\xff{}", "report: byte 0 is not UTF-8"),
        (b"kind: A\nkind: B\n", "report:2:1: the key `kind` occurs twice"),
        (b"kind: &a A\nb: *a\n", "report:1:7: anchors and aliases are refused"),
        (b"kind: *a\n", "report:1:7: anchors and aliases are refused"),
        (b"kind: !!python/name:os.system A\n", "report:1:7: tags are refused"),
        (b"kind: [a\n", "report:2:1: it is not YAML: did not find expected ',' or ']'"),
        (b"- a\n", "report: the top level is not one object"),
        (b"a\n", "report:1:1: the top level is not one object"),
        (b"1: a\n", "report:1:1: a key is not text"),
        (b"{a: b}: c\n", "report: it is not JSON"),
        (b"? [a]\n: c\n", "report:1:3: a key is not text"),
        (b"? {a: b}\n: c\n", "report:1:3: a key is not text"),
        (b"a: " + b"[" * 70 + b"]" * 70, "report:1:67: it nests more than 64 levels deep"),
        (b"a: \x1b[2K\n", "report: it is not YAML: "),
    ],
)
def test_unreadable_or_ambiguous_input_is_refused(content: bytes, said: str) -> None:
    assert said.split(": ", 1)[1].split(": ")[0] in problem(content)
    assert problem(content).startswith(said.split(": ")[0])


def test_control_characters_in_strings_hide_nothing() -> None:
    for content in (b'{"message": "a\\u001b[2Kb"}', b'message: "a\\e[2Kb"\n'):
        assert parse_objects("report", content) == (({"message": "a\x1b[2Kb"},), ())


def test_bounds_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "MAX_BYTES", 20)
    monkeypatch.setattr(objects, "MAX_YAML_BYTES", 10)
    monkeypatch.setattr(objects, "MAX_OBJECTS", 1)
    assert "has 21 bytes; at most 20" in problem(b'{"a": "' + b"x" * 12 + b'"}')
    assert "11 characters of YAML" in problem(b"a: " + b"x" * 8)
    assert "more than 1 objects" in problem(b"a:\n---\nb:")
    assert parse_objects("report", b'{"a": "xxxxxxxxxxx"}')[1] == ()
