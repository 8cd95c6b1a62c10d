"""Statements for people to sign: a scan, a VEX document, or any predicate, about one image. Pure.

GitHub's `actions/attest` and `cosign attest-blob` make the same of a predicate.
"""

from __future__ import annotations

import json

from pipeline.errors import Refused
from pipeline.models.base import ImageDigest, Moment
from pipeline.models.provenance import STATEMENT_TYPE
from pipeline.models.statements import SCAN_TYPE
from pipeline.requests.statements import refused_file
from pipeline.requests.vulnerabilities import (
    StatementProblem,
    parse_stating,
    require_plain,
)


def statement_about(
    digest: ImageDigest, predicate_type: str, predicate: object, scanned_at: Moment | None = None
) -> bytes:
    """The bytes to sign; for a scan, the predicate is a SARIF log, and it ended at `scanned_at`."""
    if predicate_type == SCAN_TYPE:
        predicate = {
            "scanner": {"result": predicate},
            "metadata": {"scanFinishedOn": scanned_at},
        }
    statement = {
        "_type": STATEMENT_TYPE,
        "subject": [{"digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    return json.dumps(statement, sort_keys=True, separators=(",", ":")).encode()


def statement_of_file(
    file: str,
    content: bytes,
    digest: ImageDigest,
    predicate_type: str,
    scanned_at: Moment | None = None,
) -> bytes:
    """The statement with a file's JSON as its predicate. Raises Refused with the place at fault."""
    try:
        require_plain(content)
        statement = statement_about(digest, predicate_type, json.loads(content), scanned_at)
        stating = parse_stating(statement)
    except StatementProblem as problem:
        raise refused_file(file, content, problem) from problem
    if stating.problem is not None:
        raise _in_file(file, content, stating.problem, predicate_type)
    return statement


def _in_file(file: str, content: bytes, problem: StatementProblem, type: str) -> Refused:
    """The refusal with the field's path as it is in the file, which is only part of the whole."""
    outer = len(("predicate", "scanner", "result") if type == SCAN_TYPE else ("predicate",))
    return refused_file(file, content, StatementProblem(str(problem), problem.at[outer:]))
