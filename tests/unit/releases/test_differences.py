"""What a release changes: the counted lines that approvers see, and the diff."""

from __future__ import annotations

import pytest

from pipeline.releases.differences import count_changed_lines, diff_lines


@pytest.mark.parametrize(
    ("old", "new", "counted"),
    [
        (b"a\nb\nc\n", b"a\nb\nc\n", (0, 0)),
        (b"a\nb\nc\n", b"c\na\nb\n", (1, 1)),  # moved: the same lines, in another order
        (b"a\nb\nc\n", b"a\nx\nc\n", (1, 1)),  # replaced
        (b"a\nb\nc\n", b"a\nx\ny\nc\n", (2, 1)),
        (b"a\n", b"a\na\na\n", (2, 0)),  # repeated: a set of lines holds one
        (b"a\na\na\n", b"a\n", (0, 2)),
        (b"", b"a\nb\n", (2, 0)),
        (b"a\n", b"a", (1, 1)),  # the line feed at the end is gone
        (b"a\n", b"a\r\n", (1, 1)),
        (b"a\rb\n", b"a\rc\n", (1, 1)),  # one line to git
        (b"\xff\n", b"\xfe\n", (1, 1)),  # no text, and yet not equal
    ],
)
def test_changed_lines_are_those_of_a_diff(
    old: bytes, new: bytes, counted: tuple[int, int]
) -> None:
    assert count_changed_lines({"f": old}, {"f": new}) == counted


def test_added_deleted_and_moved_files_are_counted_whole() -> None:
    old, new = {"a": b"1\n2\n", "same": b"x\n"}, {"b": b"1\n2\n", "same": b"x\n"}
    assert count_changed_lines(old, new) == (2, 2)


def test_a_diff_names_files_and_shows_hidden_characters() -> None:
    old = {"a.yaml": b"one\ntwo\n", "gone.yaml": b"x\n"}
    new = {"a.yaml": "one\nthr\u200bee\n".encode(), "new.yaml": b"y\n"}
    lines = list(diff_lines(old, new))
    assert lines[:2] == ["--- a.yaml", "+++ a.yaml"]
    assert "-two" in lines and "+thr<U+200B>ee" in lines
    assert lines[lines.index("--- gone.yaml") :][:2] == ["--- gone.yaml", "+++ /dev/null"]
    assert lines[lines.index("--- /dev/null") :][:2] == ["--- /dev/null", "+++ new.yaml"]
    assert list(diff_lines(new, new)) == []
