"""Commits as values, and the trailers that tie them to requests and facts. Pure.

Trailers follow `git interpret-trailers`: the last paragraph of a message, `Token: value` lines.
Values may hold no line break, so that nobody's text becomes a trailer of ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pipeline.gitobjects import Signature

_TRAILER = re.compile(r"([A-Za-z][A-Za-z0-9-]*): (.*)\Z")
_PERSON = re.compile(rb"(.*) <([^<>]*)> (-?[0-9]+) ([+-][0-9]{4})\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: ids, who and when (UTC seconds), the message and its trailers."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str
    trailers: tuple[tuple[str, str], ...]


def render_trailers(trailers: Iterable[tuple[str, str]]) -> str:
    """The last paragraph of a message. Raises ValueError for what would break it."""
    lines = []
    for token, value in trailers:
        line = f"{token}: {value}"
        if not _TRAILER.match(line) or any(
            c in line for c in "\r\n\0\v\f\x1c\x1d\x1e\x85\u2028\u2029"
        ):
            raise ValueError(f"no trailer can say {line!r}")
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def parse_trailers(message: str) -> tuple[tuple[str, str], ...]:
    """The trailers of a message; empty unless its last paragraph is nothing but trailers."""
    paragraphs = message.rstrip("\n").split("\n\n")
    if len(paragraphs) < 2:
        return ()
    found = []
    for line in paragraphs[-1].split("\n"):
        match = _TRAILER.match(line)
        if not match:
            return ()
        found.append((match.group(1), match.group(2)))
    return tuple(found)


def parse_commit(id: str, content: bytes) -> Commit:
    """The commit in an object's content. Raises ValueError when it is none."""
    header, _, message = content.partition(b"\n\n")
    tree = ""
    parents: list[str] = []
    people: dict[bytes, Signature] = {}
    for line in header.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name == b"tree":
            tree = value.decode()
        elif name == b"parent":
            parents.append(value.decode())
        elif name in {b"author", b"committer"}:
            people[name] = _parse_signature(value)
    if not tree or len(people) != 2:
        raise ValueError(f"{id} is no commit")
    text = message.decode("utf-8", "replace")
    return Commit(
        id,
        tree,
        tuple(parents),
        people[b"author"],
        people[b"committer"],
        text,
        parse_trailers(text),
    )


def _parse_signature(value: bytes) -> Signature:
    match = _PERSON.match(value)
    if not match:
        raise ValueError("a commit's author or committer line is malformed")
    name, email, time_s, _ = match.groups()
    return Signature(name.decode("utf-8", "replace"), email.decode("utf-8", "replace"), int(time_s))
