"""The parts of git's protocol that the pipeline needs: reading refs, and pushing. Pure.

Each is one request, without a git process and without the ref advertisement that `git push` reads
first: the plan knows the old value of every ref, and the server compares and swaps.
Source: git's `gitprotocol-common`, `gitprotocol-v2` (ls-refs) and `gitprotocol-pack` (pushing).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.git.objects import RefUpdate
from pipeline.git.process import NO_ID

_FLUSH = b"0000"
_DELIMITER = b"0001"
_CAPABILITIES = "report-status atomic side-band-64k object-format=sha1 agent=primitive-pipeline"


class Malformed(ValueError):
    """An answer that violates the protocol."""


def _line(text: str) -> bytes:
    content = text.encode() + b"\n"
    return f"{len(content) + 4:04x}".encode() + content


def refs_request(prefixes: Sequence[str]) -> bytes:
    """The body that asks for HEAD, its target, and all refs with these prefixes (version 2)."""
    wanted = (_line(f"ref-prefix {prefix}") for prefix in ("HEAD", *prefixes))
    head = _line("command=ls-refs") + _line("object-format=sha1")
    return head + _DELIMITER + _line("symrefs") + b"".join(wanted) + _FLUSH


def refs_of(answer: bytes) -> tuple[str, dict[str, str]]:
    """The ref that HEAD names (empty if there is none), and full name → id. Raises Malformed."""
    head, found = "", {}
    for packet in _packets(answer):
        id, _, rest = packet.decode("utf-8", "replace").rstrip("\n").partition(" ")
        name, *attributes = rest.split(" ")
        if name == "HEAD":
            targets = [a.removeprefix("symref-target:") for a in attributes if ":" in a]
            head = targets[0] if targets else ""
        else:
            found[name] = id
    return head, found


def push_request(updates: Sequence[RefUpdate], pack: bytes) -> bytes:
    """The body that moves all refs or none, each from its old value."""
    body = b""
    for index, update in enumerate(updates):
        command = f"{update.old or NO_ID} {update.new} {update.ref}"
        content = command.encode() + (f"\0{_CAPABILITIES}".encode() if index == 0 else b"")
        body += f"{len(content) + 4:04x}".encode() + content
    return body + _FLUSH + pack


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a push: why objects or single refs were refused, and the server's remarks."""

    unpack: str  # empty if the objects were accepted
    refused: dict[str, str]  # ref → reason
    remarks: str

    @property
    def is_busy(self) -> bool:
        """Whether another push held a ref at that moment."""
        return any("lock" in reason for reason in (*self.refused.values(), self.remarks))

    @property
    def is_done(self) -> bool:
        """Whether all refs moved."""
        return not self.unpack and not self.refused


def report_of(answer: bytes) -> Report:
    """The report in the answer to a push. Raises Malformed if there is none."""
    told, remarks = b"", b""
    for packet in _packets(answer):
        channel, content = packet[:1], packet[1:]
        if channel == b"\1":
            told += content
        elif channel in (b"\2", b"\3"):
            remarks += content
    unpack = None
    refused: dict[str, str] = {}
    for packet in _packets(told):
        line = packet.decode("utf-8", "replace").rstrip("\n")
        word, _, rest = line.partition(" ")
        if word == "unpack":
            unpack = "" if rest == "ok" else rest
        elif word == "ng":
            ref, _, reason = rest.partition(" ")
            refused[ref] = reason
    said = remarks.decode("utf-8", "replace")
    if unpack is None:
        raise Malformed(f"a push was answered without a report: {said[:200]}")
    return Report(unpack, refused, " ".join(said.split()))


def _packets(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        try:
            length = int(content[at : at + 4], 16)
        except ValueError as error:
            raise Malformed("a packet without a length") from error
        if length < 4:  # flush, delimiter, end of response
            at += 4
            continue
        if at + length > len(content):
            raise Malformed("a packet that ends early")
        yield content[at + 4 : at + length]
        at += length
