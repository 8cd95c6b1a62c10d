"""An edit changes the named entry, keeps its comment, and leaves every other line alone."""

from __future__ import annotations

import pytest

from pipeline.documents import parse_document
from pipeline.documents.edits import edit_document
from pipeline.errors import Refused, UsageFault

SAMPLE = """\
# head
kind: Tenant   # what
quota: {cpu: "4", pods: 40}  # flow

owners:
  - a   # first
  - b
note: >+
  folded
  text

list:
- name: x
  value:
tail: 'end' # last
"""


@pytest.mark.parametrize(
    ("path", "value", "old", "new"),
    [
        (("kind",), "Platform", "kind: Tenant   #", "kind: Platform #"),
        (("kind",), "A", "kind: Tenant   #", "kind: A        #"),
        (("quota", "cpu"), "8", 'cpu: "4"', 'cpu: "8"'),
        (("quota", "cpu"), "a\nb", 'cpu: "4", pods: 40}  #', 'cpu: "a\\nb", pods: 40} #'),
        (("quota", "gpu"), 1, "pods: 40}  #", "pods: 40, gpu: 1} #"),
        (("owners", 0), "c, d", "  - a   # first", "  - c, d # first"),
        (("owners", 1), None, "  - b\n", "  - null\n"),
        (("owners", 2), "c", "  - b\n", "  - b\n  - c\n"),
        (("tail",), "x y", "'end'", "'x y'"),
        (("tail",), 3, "'end' #", "3     #"),
        (("list", 0, "value"), "v", "  value:\n", "  value: v\n"),
        (("list", 0, "more"), [1], "  value:\n", "  value:\n  more:\n    - 1\n"),
        (("list", 1), {"name": "yy"}, "  value:\n", "  value:\n- name: yy\n"),
        (("list",), [], "list:\n- name: x\n  value:\n", "list: []\n"),
        (("note",), "nn", "note: >+\n  folded\n  text\n\n", "note: >-\n  nn\n"),
        (("note",), 5, "note: >+\n  folded\n  text\n\n", "note: 5\n"),
        (("new",), None, "# last\n", "# last\nnew: null\n"),
        (("new",), "yes", "# last\n", '# last\nnew: "yes"\n'),
        (("new",), "a\nb\n", "# last\n", "# last\nnew: |\n  a\n  b\n"),
    ],
)
def test_an_edit_changes_its_lines_only(
    path: tuple[str | int, ...], value: object, old: str, new: str
) -> None:
    assert SAMPLE.count(old) == 1
    for line_end in ("\n", "\r\n"):
        before = SAMPLE.replace("\n", line_end).encode()
        after = SAMPLE.replace(old, new).replace("\n", line_end).encode()
        assert edit_document(before, {path: value}) == after


def test_edits_apply_one_after_the_other() -> None:
    changes = {("kind",): "A", ("owners", 2): "c", ("owners", 3): "d", ("tail",): [1, 2]}
    value = parse_document("x", edit_document(SAMPLE.encode(), changes)).value
    assert value["owners"] == ["a", "b", "c", "d"] and value["tail"] == [1, 2]


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        ("a: 1", ("b",), 2, "a: 1\nb: 2"),
        ("a: 1", ("a",), 2, "a: 2"),
        ("a: 1\r\nb: 2", ("c",), 3, "a: 1\r\nb: 2\r\nc: 3"),
        ("{}\n", ("a",), 1, "a: 1\n"),
        # The first entry of what was empty stands in block style.
        ("a: []  # none\nb: 1\n", ("a", 0), {"c": 1}, "a:     # none\n  - c: 1\nb: 1\n"),
        ("a: {b: []}\n", ("a", "b", 0), 1, "a: {b: [1]}\n"),
        # What follows the last entry belongs to nobody.
        ("a:\n  - b\n# on c\n\nc: 1\n", ("a", 1), 2, "a:\n  - b\n  - 2\n# on c\n\nc: 1\n"),
        ("a:\n- b\n# end\n", ("a", 1), [1], "a:\n- b\n-   - 1\n# end\n"),
        (
            "a:\n    b: 1 # b\n\n    # on c\n    c: 1\n",
            ("a", "b"),
            ["x\n\ny", 2],
            "a:\n    b:     # b\n      - |-\n        x\n\n        y\n      - 2\n"
            "\n    # on c\n    c: 1\n",
        ),
        ("a:\n-\n  b: 1\n-\n  b: 2\n", ("a", 0, "b"), 3, "a:\n-\n  b: 3\n-\n  b: 2\n"),
        ("a:\n-\n  b: 1\n- c\n", ("a", 0), "d", "a:\n- d\n- c\n"),
        (
            "a:\n- b: |\n    x # y\n    z\n  c: 1\n",
            ("a", 0, "b"),
            "w",
            "a:\n- b: |-\n    w\n  c: 1\n",
        ),
    ],
)
def test_an_edit_keeps_odd_layouts(
    before: str, path: tuple[str | int, ...], value: object, after: str
) -> None:
    assert edit_document(before.encode(), {path: value}).decode() == after


@pytest.mark.parametrize(
    ("before", "path", "value", "after"),
    [
        # What ruamel keeps behind a text is no part of the new value.
        (
            "a:\n\n  - |\n    b\n\n    c\n\n  - 1\n",
            ("a", 0),
            {"k": 1},
            "a:\n\n  - k: 1\n\n  - 1\n",
        ),
        # The last line gets an end only if the new value needs it.
        ("a: 1", ("a",), "b\nc", "a: |-\n  b\n  c"),
        ("a: 1", ("a",), "b\nc\n", "a: |\n  b\n  c\n"),
        ("a: 1\r\nb: 2", ("b",), "c\nd\n", "a: 1\r\nb: |\r\n  c\r\n  d\r\n"),
        ("a: |\n  b", ("a",), 1, "a: 1"),
    ],
)
def test_an_edit_ends_where_the_value_ends(
    before: str, path: tuple[str | int, ...], value: object, after: str
) -> None:
    assert edit_document(before.encode(), {path: value}).decode() == after


LOST = "would lose the comment `# why`"
BRACKETS = "stands in brackets that go over several lines"
MORE = "would change more than it says"


@pytest.mark.parametrize(
    ("before", "path", "value", "said"),
    [
        ("a:\n  - b # why\nc: 1\n", ("a",), 1, LOST),
        ("a:\n  # why\n  b: c\n", ("a",), 1, LOST),
        ("a: | # why\n  b\n\n# on c\nc: 1\n", ("a",), 1, LOST),
        ("a: | # why\n  b\n\n# on c\nc: 1\n", ("a",), ["d"], LOST),
        ("a: > # why\n  b\n", ("a",), {"d": 1}, LOST),
        ("a:\n-  # why\n", ("a", 0), "b", LOST),
        ("a: [b,\n  c]\n", ("a", 0), 1, BRACKETS),
        ("a: {b: 1,\n  c: 2}\n", ("a", "d"), 1, BRACKETS),
        ("? a\n: b\n", ("a",), 1, MORE),
        ("a: b\n  # on a\nc: 1\n", ("a",), "d\ne", MORE),
        ("a:\n- b\n  # on b\n- c\n", ("a", 0), "d\ne\n", MORE),
        ("a:\n  # on a\n- b\nc:\n  d: 1 # e\n", ("a",), [], MORE),
        ("a:\n-  # none\nb: 1\n", ("a", 1), "c\nd\n", MORE),
        ("a: >\n  b", ("c",), 1, MORE),
    ],
)
def test_an_edit_that_cannot_keep_the_rest_is_refused(
    before: str, path: tuple[str | int, ...], value: object, said: str
) -> None:
    with pytest.raises(Refused) as error:
        edit_document(before.encode(), {path: value})
    assert said in error.value.message
    assert ("a key after `?`" in error.value.help) == (said == MORE)


def test_other_entries_beside_such_places_are_edited() -> None:
    before = "? a\n: b\nc: | # why\n  d\ne:\n-  # none\nf: 1\n"
    after = before.replace("f: 1", "f: 2")
    assert edit_document(before.encode(), {("f",): 2}).decode() == after


def test_text_that_looks_like_a_comment_may_go() -> None:
    assert edit_document(b'a: "b # c"\n', {("a",): 1}) == b"a: 1\n"
    assert edit_document(b"a: |\n  b # c\n  # d\n", {("a",): 1}) == b"a: 1\n"


@pytest.mark.parametrize(
    "path", [(), ("no", "such"), ("owners", 5), ("kind", "x"), ("owners", "x")]
)
def test_an_edit_of_a_missing_place_is_refused(path: tuple[str | int, ...]) -> None:
    with pytest.raises(UsageFault):
        edit_document(SAMPLE.encode(), {path: 1})


@pytest.mark.parametrize(
    ("before", "codes"),
    [
        ("a: 1\na: 2\n", ["yaml-duplicate-key"]),
        ("a: &x 1\nb: *x\n", ["yaml-anchor", "yaml-alias"]),
        ("a: !t 1\n", ["yaml-tag"]),
        ("a: 1\n---\nb: 1\n", ["yaml-multiple-documents"]),
    ],
)
def test_an_edit_of_a_refused_document_is_refused(before: str, codes: list[str]) -> None:
    with pytest.raises(Refused) as error:
        edit_document(before.encode(), {("a",): 3})
    assert [f.code for f in error.value.findings] == codes
