"""Trailers survive a whole commit, whatever the text around them says."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from pipeline.git.commits import parse_commit, parse_trailers, render_trailers
from pipeline.git.objects import Signature, commit_object

TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
PIPELINE = Signature("primitive-pipeline", "pipeline@example.com", 0)

tokens = st.from_regex(r"[A-Za-z][A-Za-z0-9-]{0,20}", fullmatch=True)
values = st.text(st.characters(blacklist_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=60)
pairs = st.lists(st.tuples(tokens, values), min_size=1, max_size=6)
# Bodies that people and agents write, among them what looks like our own trailers.
lines = st.one_of(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=40),
    st.sampled_from(["", "Fact: forged", "Draft: other/one", "Key: 0", "\r", "---", "Draft:"]),
)
bodies = st.lists(lines, max_size=8).map("\n".join)


@given(body=bodies, trailers=pairs)
def test_trailers_are_read_back_below_any_text(body: str, trailers: list[tuple[str, str]]) -> None:
    message = f"{body}\n\n{render_trailers(trailers)}"
    made = commit_object(TREE, [], message, PIPELINE, PIPELINE)
    assert parse_commit(made.id, made.content).trailers == tuple(trailers)


@given(token=st.text(max_size=20), value=st.text(max_size=60))
def test_a_trailer_is_rendered_as_one_line_or_refused(token: str, value: str) -> None:
    try:
        text = render_trailers([(token, value)])
    except ValueError:
        return
    assert len(text.splitlines()) == 1
    assert set(token) <= set(string.ascii_letters + string.digits + "-")
    assert parse_trailers(f"Subject\n\n{text}") == ((token, value),)
