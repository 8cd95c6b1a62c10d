"""Proposed requests: their bytes, and every finding about them as if they were on main."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pipeline.diagnostics import Finding, Severity
from pipeline.documents import render_document
from pipeline.engine.engine import Engine
from pipeline.errors import Refused
from pipeline.git.objects import blob_id
from pipeline.models.base import API_VERSION
from pipeline.requests.kinds import REQUEST_KINDS, parse_request
from pipeline.requests.proposed import ProposedRequest
from pipeline.requests.snapshot import Snapshot, snapshot_of
from pipeline.stages.validate import check_request


def render_request(kind: str, path: str, values: Mapping[str, object]) -> bytes:
    """The bytes of a request file, with the line that names its schema for editors."""
    up = "../" * path.count("/")
    stem = REQUEST_KINDS[kind].schema_stem
    header = f"yaml-language-server: $schema={up}schemas/{stem}.schema.json"
    return render_document({"apiVersion": API_VERSION, "kind": kind, **values}, header=header)


def judge_proposed(engine: Engine, snapshot: Snapshot, request: ProposedRequest) -> ProposedRequest:
    """The request, judged as if it were on main now. Raises Refused with every finding."""
    findings = check_proposed(engine, snapshot, request.path, request.content)
    if any(f.severity is Severity.ERROR for f in findings):
        about = request.draft or request.path
        raise Refused(f"the request for `{about}` is refused; nothing was written", findings)
    return replace(request, findings=findings)


def check_proposed(
    engine: Engine, snapshot: Snapshot, path: str, content: bytes
) -> tuple[Finding, ...]:
    """Every finding for one file, as if it were on main with the other files."""
    read, findings = parse_request(path, content)
    if read is None or read.model is None:
        return findings
    blobs = {**snapshot.blobs, path: blob_id(content)}
    own = snapshot_of(snapshot.commit, blobs, [read])
    beside = replace(own, requests={**snapshot.requests, **own.requests})
    now_s = engine.tools.clock()
    return (*findings, *check_request(read, beside, engine.templates, now_s))
