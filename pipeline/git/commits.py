"""Commits as values, and the trailers that tie them to requests and facts. Pure.

Trailers follow `git interpret-trailers`: the last paragraph of a message, `Token: value` lines.
Values may not contain a line break, so no foreign text can become one of our trailers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pipeline.git.objects import GitObject, Signature

_TRAILER = re.compile(r"([A-Za-z][A-Za-z0-9-]*): (.*)\Z")
_LINE_BREAKS = re.compile("[\r\n\0\v\f\x1c-\x1e\x85\u2028\u2029\ud800-\udfff]")
# Old and foreign tools wrote empty names and too long time zones; git reads both.
_PERSON = re.compile(rb"(.*?) ?<([^<>\n]*)> (-?[0-9]{1,18}) ([+-][0-9]{4,7})\Z", re.DOTALL)

# GitHub, "Setting your commit email address": ID+LOGIN@users.noreply.github.com.
_NOREPLY = re.compile(r"([0-9]{1,18})(?:\+[^@]*)?@users\.noreply\.")

# The identity of the pipeline's commits.
PIPELINE_NAME = "primitive-pipeline"
PIPELINE_EMAIL = "primitive-pipeline@users.noreply.pipeline.invalid"


def account_of_email(email: str) -> int | None:
    """The account in a commit's e-mail address, which anybody can write; else None."""
    match = _NOREPLY.match(email)
    return int(match[1]) if match else None


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: ids, author and committer with times (UTC seconds), message and trailers."""

    id: str
    tree: str
    parents: tuple[str, ...]
    author: Signature
    committer: Signature
    message: str
    trailers: tuple[tuple[str, str], ...]


def render_trailers(trailers: Iterable[tuple[str, str]]) -> str:
    """The last paragraph of a message. Raises ValueError for a trailer that would break it."""
    lines = []
    for token, value in trailers:
        line = f"{token}: {value}"
        if not _TRAILER.match(line) or _LINE_BREAKS.search(line) or ":" in token:
            raise ValueError(f"no trailer can say {line!r}")
        lines.append(line)
    return "".join(f"{line}\n" for line in lines)


def parse_trailers(message: str) -> tuple[tuple[str, str], ...]:
    """The trailers of a message; empty unless its last paragraph has only trailers."""
    # The text before may end in line breaks, so any number of blank lines separates.
    paragraphs = re.split(r"\n{2,}", message.rstrip("\n"))
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
    """The commit in an object's content. Raises ValueError if it is malformed."""
    header, _, message = content.partition(b"\n\n")
    tree = ""
    parents: list[str] = []
    people: dict[bytes, Signature] = {}
    # git and other readers disagree on which of two equal header lines counts.
    singles = [line.partition(b" ")[0] for line in header.split(b"\n")]
    for name in (b"tree", b"author", b"committer"):
        if singles.count(name) != 1:
            raise ValueError(f"it has {singles.count(name)} lines `{name.decode()}`")
    for line in header.split(b"\n"):
        name, _, value = line.partition(b" ")
        if name == b"tree":
            tree = value.decode()
        elif name == b"parent":
            parents.append(value.decode())
        elif name in {b"author", b"committer"}:
            people[name] = _parse_signature(value)
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


def walk_back(made: Mapping[str, GitObject], new: str, old: str) -> str:
    """The commit reached by going back from `new` through new commits: `old` if it is on the way,
    else the first commit that is not new or does not have exactly one parent.
    """
    at = new
    while at != old and at in made and made[at].type == "commit":
        parents = parse_commit(at, made[at].content).parents
        if len(parents) != 1:
            break
        at = parents[0]
    return at


def pipeline_signature(time_s: int) -> Signature:
    """The signature of all the pipeline's commits, at this time."""
    return Signature(PIPELINE_NAME, PIPELINE_EMAIL, time_s)
