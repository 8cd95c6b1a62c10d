"""Rules of signed statements: what one must hold to be read, and who may sign what is asked for.

Only the form is judged here. Who signed a statement is verified when a promotion rests on it, and
its file needs no authority beyond that: whoever brings it cannot change what it says.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterator, Mapping

from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.documents import ParsedDocument, parse_document
from pipeline.documents.rules import DOCUMENT_BYTES_MAXIMUM
from pipeline.errors import Refused
from pipeline.models.base import API_VERSION, moment_of
from pipeline.models.provenance import PAYLOAD_TYPE
from pipeline.models.requests import Environment, ExternalStatement, Signers
from pipeline.models.statements import SEVERITY_RATINGS
from pipeline.requests.vulnerabilities import (
    Scan,
    StatementProblem,
    Stating,
    Vex,
    parse_stating,
    require_plain,
)


def _example(statement: object) -> str:
    payload = base64.b64encode(json.dumps(statement).encode()).decode()
    envelope = {"payload": payload, "payloadType": PAYLOAD_TYPE, "signatures": [{"sig": "c2ln"}]}
    return f"""# file: tenants/acme/drafts/order-router/statements/change-4711.yaml
apiVersion: {API_VERSION}
kind: ExternalStatement
draft: acme/order-router
bundle: '{json.dumps({"dsseEnvelope": envelope})}'
"""


def _statement(subject: object) -> dict[str, object]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": subject}],
        "predicateType": "https://example.com/change-ticket/v1",
        "predicate": {"ticket": "CHG-4711"},
    }


_ENVIRONMENT = f"""# file: environments/prod/environment.yaml
apiVersion: {API_VERSION}
kind: Environment
environment: prod
promotes_from: [staging]
required_checks: [tests]
statements:
  - predicate_type: https://example.com/change-ticket/v1
    signers: [{{signer}}]
"""
STATEMENT_UNREADABLE = register(
    Rule(
        id="statement-unreadable",
        summary="A statement is an in-toto statement in a DSSE envelope, about an image or a "
        "commit; a scan holds a whole SARIF 2.1.0 log, a VEX statement CycloneDX 1.5 or 1.6.",
        why="what cannot be read proves nothing, and must not look as if it did",
        fix="take the bundle as the signing tool wrote it: `actions/attest`, `cosign attest-blob "
        "--bundle`, or `pipeline statement sign`",
        subject=Subject.REQUEST,
        fails=_example(_statement({"sha1": "ab" * 20})),
        passes=_example(_statement({"sha256": "ab" * 32})),
    )
)
STATEMENT_SIGNER_UNKNOWN = register(
    Rule(
        id="statement-signer-unknown",
        summary="Whoever an environment asks for statements is a signer of statements in "
        "`environments/signers.yaml`.",
        why="what nobody can sign never runs, and the first who needs it weakens the policy",
        fix="add the signer with `signs: [statements]`, or name another one",
        subject=Subject.REQUEST,
        fails=_ENVIRONMENT.format(signer="nobody"),
        passes=_ENVIRONMENT.format(signer="change-board"),
    )
)


def payload_of(bundle: bytes) -> bytes:
    """The bytes that a bundle's signature covers. Raises StatementProblem for anything else."""
    require_plain(bundle, DOCUMENT_BYTES_MAXIMUM)
    told = json.loads(bundle)
    envelope = told.get("dsseEnvelope") if isinstance(told, dict) else None
    if not isinstance(envelope, dict):
        raise StatementProblem("it has no `dsseEnvelope`")
    kind, payload = envelope.get("payloadType"), envelope.get("payload")
    at = ("dsseEnvelope",)
    if kind != PAYLOAD_TYPE or not isinstance(payload, str):
        raise StatementProblem(f"its envelope holds no payload of type {PAYLOAD_TYPE}", at)
    try:
        return base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise StatementProblem(f"its payload is not base64: {error}", (*at, "payload")) from error


def stating_of(statement: ExternalStatement) -> Stating:
    """What a statement says, whoever signed it. Raises ValueError."""
    stating = parse_stating(payload_of(statement.bundle.encode()))
    if stating.problem is not None:
        raise stating.problem
    return stating


def statements_about(
    contents: Mapping[str, bytes], subjects: Collection[str]
) -> Iterator[tuple[str, ExternalStatement]]:
    """The statements in files (path → bytes) that name any of the subjects, by path.

    A file that holds none, or one about other things, can count for nothing, whoever signed it.
    """
    for path in sorted(contents):
        document = parse_document(path, contents[path])
        try:
            statement = ExternalStatement.model_validate_json(json.dumps(document.value))
            stating = parse_stating(payload_of(statement.bundle.encode()))
        except ValueError:
            continue
        if document.ok and not stating.subjects.isdisjoint(subjects):
            yield path, statement


def check_statement(statement: ExternalStatement, document: ParsedDocument) -> Iterator[Finding]:
    """A finding for a statement that cannot be read."""
    try:
        stating_of(statement)
    except ValueError as error:
        yield STATEMENT_UNREADABLE.finding(str(error), document.position_of(("bundle",)))


def check_statement_policy(
    environment: Environment, signers: Signers | None, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings for an environment that asks for statements which nobody can sign."""
    known = {s.name for s in signers.signers if "statements" in s.signs} if signers else set()
    asked: list[tuple[tuple[str | int, ...], str]] = []
    for number, policy in enumerate(environment.statements):
        path = ("statements", number, "signers")
        asked += [((*path, at), name) for at, name in enumerate(policy.signers)]
    if environment.vulnerabilities is not None:
        for field in ("signers", "vex_signers"):
            listed = getattr(environment.vulnerabilities, field)
            asked += [(("vulnerabilities", field, at), name) for at, name in enumerate(listed)]
    for place, name in asked:
        if name not in known:
            told = f"`{name}` signs no statements by `environments/signers.yaml`"
            yield STATEMENT_SIGNER_UNKNOWN.finding(told, document.position_of(place))


def read_bundle(file: str, content: bytes) -> tuple[tuple[str, str], ...]:
    """Lines for reviewers about the statement in a bundle's file. Raises Refused if it is none."""
    try:
        payload = payload_of(content)
    except StatementProblem as error:
        raise refused_file(file, content, error) from error
    try:
        stating = parse_stating(payload)
        if stating.problem is not None:
            raise stating.problem
    except StatementProblem as error:
        problem = StatementProblem(f"in its payload: {error}", ("dsseEnvelope", "payload"))
        raise refused_file(file, content, problem) from error
    return tuple(told_of(stating))


def refused_file(file: str, content: bytes, problem: StatementProblem) -> Refused:
    """The refusal of a file, with the place of the field at fault."""
    location = Location(file, *(problem.place or (1, 1)))
    if problem.at:
        text = content.decode("utf-8", "replace")
        location = ParsedDocument(file, {}, (), text).position_of(problem.at)
    found = STATEMENT_UNREADABLE.finding(str(problem), location)
    return Refused(f"`{file}` is refused; nothing was written", (found,))


def told_of(stating: Stating) -> Iterator[tuple[str, str]]:
    """Lines for reviewers: what a statement is about and what it says."""
    yield "type", stating.predicate_type
    yield "about", ", ".join(sorted(stating.subjects))
    match stating.said:
        case Scan(finished_s=finished_s, found=found):
            counts = [(r, list(found.values()).count(r)) for r in reversed(SEVERITY_RATINGS)]
            listed = ", ".join(f"{count} {rating}" for rating, count in counts if count)
            yield "scanned", moment_of(finished_s)
            yield "found", listed or "nothing"
        case Vex(written_s=written_s, takes_out=takes_out):
            out = sorted(id for id, is_out in takes_out.items() if is_out)
            yield "written", moment_of(written_s)
            yield "takes out", ", ".join(out) or "nothing"
