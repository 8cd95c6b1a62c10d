"""Reads one request file: bytes in; an accepted document, or every reason against it, out.

Pure. See `pipeline.documents` for the contract.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.characters import (
    FINDINGS_MAXIMUM,
    FORBIDDEN_IN_TEXT,
    line_and_column,
)
from pipeline.diagnostics import Finding, Location, sort_findings
from pipeline.documents import rules
from pipeline.documents.characters import check_characters
from pipeline.documents.events import EventReader, Path, Value
from pipeline.documents.positions import read_positions

# With these, the parser and a diff would count lines differently, or the parser would stop.
_STOPPING = (rules.YAML_CARRIAGE_RETURN, rules.YAML_LINE_SEPARATOR, rules.YAML_CONTROL_CHARACTER)


@dataclass(frozen=True, slots=True)
class ParsedDocument:
    """One request file: its `value`, or `findings` that say why it was refused.

    `value` is a mapping of plain values, empty if refused; `ok` tells the two apart.
    """

    file: str
    value: dict[str, Value]
    findings: tuple[Finding, ...] = ()
    text: str = field(default="", repr=False)

    @property
    def ok(self) -> bool:
        """True if the file was accepted."""
        return not self.findings

    def position_of(self, path: Path, *, key: bool = False) -> Location:
        """The location of the node at `path`, or its key; else of the nearest existing parent."""
        positions = read_positions(self.text)
        for length in range(len(path), -1, -1):
            found = positions.get(path[:length])
            if found is not None:
                line, column = found[0] if key and length == len(path) else found[1]
                return Location(self.file, line, column)
        return Location(self.file, 1, 1)


def parse_document(file: str, content: bytes) -> ParsedDocument:
    """The document in `content`, accepted or with every reason against it.

    `file` is the path that findings name. Findings are collected as far as the parser can go, at
    most `FINDINGS_MAXIMUM`. Never raises, whatever the content.
    """
    if len(content) > rules.DOCUMENT_BYTES_MAXIMUM:
        message = f"the file has {len(content):,} bytes"
        return _refused(file, "", [rules.YAML_TOO_LARGE.finding(message, Location(file, 1, 1))])
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return _refused(file, "", [_encoding_finding(file, content, error)])
    findings: list[Finding] = []
    if text.startswith("\ufeff"):
        message = "the file starts with a byte order mark"
        findings.append(rules.YAML_BYTE_ORDER_MARK.finding(message, Location(file, 1, 1)))
        text = text[1:]
    if FORBIDDEN_IN_TEXT.search(text):
        findings += check_characters(file, text)
        if any(finding.rule in _STOPPING for finding in findings):
            return _refused(file, text, findings)
    reader = EventReader(file, text)
    value = reader.read()
    findings += reader.findings
    if findings:
        return _refused(file, text, findings)
    assert isinstance(value, dict)  # anything else is the finding `yaml-not-a-mapping`
    return ParsedDocument(file, value, (), text)


def _refused(file: str, text: str, findings: list[Finding]) -> ParsedDocument:
    return ParsedDocument(file, {}, sort_findings(findings)[:FINDINGS_MAXIMUM], text)


def _encoding_finding(file: str, content: bytes, error: UnicodeDecodeError) -> Finding:
    before = content[: error.start].decode("utf-8")
    line, column = line_and_column(before, len(before))
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        message = "the file is UTF-16 or UTF-32"
    else:
        message = f"byte 0x{content[error.start]:02x} is not UTF-8 here"
    return rules.YAML_NOT_UTF8.finding(message, Location(file, line, column))
