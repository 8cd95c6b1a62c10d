"""Commits read from bytes, whatever tool wrote them; trailers of well-formed messages."""

from __future__ import annotations

import pytest

from pipeline.git.commits import parse_commit, parse_trailers, render_trailers
from pipeline.git.objects import Signature, commit_object

ID = "0" * 40
TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
SOMEBODY = Signature("Somebody Else", "somebody@example.com", 1_700_000_000)
PERSON = "Somebody Else <somebody@example.com> 1700000000 +0000"


def commit_bytes(*lines: str, message: str = "m\n") -> bytes:
    return ("\n".join(lines) + "\n\n" + message).encode("utf-8", "surrogateescape")


def test_a_commit_reads_back_as_it_was_made() -> None:
    message = "Subject\n\nBody\n\nDraft: acme/order-router\nKey: 12\n"
    made = commit_object(TREE, ["1" * 40], message, SOMEBODY, SOMEBODY)
    read = parse_commit(made.id, made.content)
    assert (read.id, read.tree, read.parents) == (made.id, TREE, ("1" * 40,))
    assert read.author == read.committer == SOMEBODY
    assert read.message == message
    assert read.trailers == (("Draft", "acme/order-router"), ("Key", "12"))


def test_signed_commits_and_merges_of_tags_hide_no_header() -> None:
    content = commit_bytes(
        f"tree {TREE}",
        f"parent {'1' * 40}",
        f"author {PERSON}",
        f"committer {PERSON}",
        "mergetag object " + "2" * 40,
        " type commit",
        " tree " + "3" * 40,
        "gpgsig -----BEGIN PGP SIGNATURE-----",
        " parent " + "4" * 40,
    )
    read = parse_commit(ID, content)
    assert (read.tree, read.parents) == (TREE, ("1" * 40,))


@pytest.mark.parametrize(
    ("line", "name", "email"),
    [
        (" <a@b> 1 +0000", "", "a@b"),
        ("<a@b> 1 +0000", "", "a@b"),
        ("A  <a@b> 1 +0000", "A ", "a@b"),
        ("A <> 1 -0330", "A", ""),
        ("A <a@b> 1 +051800", "A", "a@b"),
        ("caf\udce9 <a> 1 +0000", "caf\ufffd", "a"),
    ],
)
def test_odd_author_lines_of_other_tools_are_read(line: str, name: str, email: str) -> None:
    content = commit_bytes(f"tree {TREE}", f"author {line}", f"committer {PERSON}")
    assert parse_commit(ID, content).author == Signature(name, email, 1)


@pytest.mark.parametrize(
    "lines",
    [
        (),
        (f"tree {TREE}", f"author {PERSON}"),
        (f"author {PERSON}", f"committer {PERSON}"),
        (f"tree {TREE}", f"tree {'1' * 40}", f"author {PERSON}", f"committer {PERSON}"),
        (f"tree {TREE}", f"author {PERSON}", f"author {PERSON}", f"committer {PERSON}"),
        (f"tree {TREE}", "author nobody", f"committer {PERSON}"),
        (f"tree {TREE}", f"author A <a> {'9' * 30} +0000", f"committer {PERSON}"),
    ],
)
def test_an_ambiguous_commit_is_refused(lines: tuple[str, ...]) -> None:
    with pytest.raises(ValueError):
        parse_commit(ID, commit_bytes(*lines))


@pytest.mark.parametrize(
    ("message", "trailers"),
    [
        ("Subject\n\nDraft: a\nKey: b\n", (("Draft", "a"), ("Key", "b"))),
        ("Subject\n\nDraft: a\n\n\n", (("Draft", "a"),)),
        ("Subject\n\nDraft: a: b\n", (("Draft", "a: b"),)),
        ("Draft: a\n", ()),
        ("Subject\nDraft: a\n", ()),
        ("Subject\n\nDraft: a\nand text\n", ()),
        ("Subject\n\nDraft: a\n\nThe end\n", ()),
        ("Subject\n\nDraft:a\n", ()),
        ("", ()),
    ],
)
def test_trailers_are_the_last_paragraph_and_nothing_else(
    message: str, trailers: tuple[tuple[str, str], ...]
) -> None:
    assert parse_trailers(message) == trailers


@pytest.mark.parametrize(
    ("token", "value"),
    [
        ("Draft", "a\nFact: forged"),
        ("Draft", "a\rFact: forged"),
        ("Draft", "a\u2028Fact: forged"),
        ("Draft", "a\x85Fact: forged"),
        ("Draft", "a\0"),
        ("Draft", "a\ud800"),
        ("Draft: a\nFact", "b"),
        ("Draft: x", "b"),
        ("1st", "b"),
        ("", "b"),
        ("Two words", "b"),
    ],
)
def test_no_trailer_value_can_become_another_trailer(token: str, value: str) -> None:
    with pytest.raises(ValueError, match="no trailer can say"):
        render_trailers([(token, value)])
