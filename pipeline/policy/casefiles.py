"""Files of test cases: parsed, and held to the policy that they are about. Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace

from pydantic import ValidationError

from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.documents import (
    ParsedDocument,
    Path,
    findings_of_validation_error,
    parse_document,
    render_document,
)
from pipeline.models.policy_cases import PolicyCase, PolicyCases, Who
from pipeline.requests.kinds import parse_request
from pipeline.requests.snapshot import LoadedRequest, ReadRequest, Snapshot
from pipeline.rules import load_rules

POLICY_CASE_UNKNOWN = register(
    Rule(
        "policy-case-unknown",
        "A test case of policy names only what policy has.",
        "a case with a misspelt name passes or fails for another reason than it says",
        "correct the name; an account that policy does not list is written as its number",
        Subject.SCENARIO,
        "a case is approved by `release-manger-1`",
        "a case is approved by `release-manager-1`",
    )
)


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A file of cases: its document and its cases, none where it is malformed."""

    document: ParsedDocument
    cases: tuple[PolicyCase, ...]

    def at(self, number: int, *path: str | int, key: bool = False) -> Location:
        """The location of a node of one case."""
        return self.document.position_of(("cases", number, *path), key=key)


def parse_case_file(file: str, content: bytes) -> tuple[CaseFile, tuple[Finding, ...]]:
    """The cases in a file's bytes, and findings about its form."""
    document = parse_document(file, content)
    if document.findings:
        return CaseFile(document, ()), tuple(document.findings)
    try:
        # JSON mode: strict about types, but accepts a list for a tuple field.
        found = PolicyCases.model_validate_json(json.dumps(document.value))
    except ValidationError as error:
        findings = findings_of_validation_error(error, document, PolicyCases)
        return CaseFile(document, ()), tuple(findings)
    return CaseFile(document, found.cases), ()


def policy_of_case(
    file: CaseFile, number: int, reads: Mapping[str, ReadRequest], policy: Snapshot
) -> tuple[Snapshot, tuple[Finding, ...]]:
    """The policy with a case's own changes, and findings about what they make of it."""
    case = file.cases[number]
    requests, findings = dict(policy.requests), []
    blobs = dict(policy.blobs)
    for path, patch in case.policy.items():
        at = file.at(number, "policy", path, key=True)
        if patch is None:
            requests.pop(path, None)
            blobs.pop(path, None)
            continue
        there = reads.get(path)
        value = merged(there.document.value if there else {}, patch)
        read, found = parse_request(path, render_document(value))
        # Their positions are those of a file that nobody wrote: the case's own line says it.
        findings += [replace(f, location=at, message=f"{path}: {f.message}") for f in found]
        if read is not None and read.model is not None:
            requests[path] = LoadedRequest(path, read.meaning, read.model, "")
            blobs[path] = ""
    return Snapshot(policy.commit, blobs, requests), tuple(findings)


def merged(value: object, patch: Mapping[str, object]) -> dict[str, object]:
    """The mapping after a JSON merge patch (RFC 7396): null takes a field away."""
    found = dict(value) if isinstance(value, dict) else {}
    for name, change in patch.items():
        if change is None:
            found.pop(name, None)
        elif isinstance(change, dict):
            found[name] = merged(found.get(name), change)
        else:
            found[name] = change
    return found


def check_case(file: CaseFile, number: int, policy: Snapshot) -> Iterator[Finding]:
    """Findings for names in a case that its policy does not have."""
    case = file.cases[number]
    accounts = {account.login for account in policy.platform.accounts} if policy.platform else set()
    for place, who in _people(case):
        if isinstance(who, str):
            yield from _unknown(file, number, place, ("account", who), accounts)
    tenant = case.draft.tenant
    yield from _unknown(file, number, ("draft", "tenant"), ("tenant", tenant), policy.tenant_ids)
    environments = policy.environments
    for position, run in enumerate(case.runs):
        named = ("environment", run.environment)
        yield from _unknown(file, number, ("runs", position, "environment"), named, environments)
    signer = case.build.signed_by if case.build else None
    if signer is not None:
        names = [one.name for one in policy.signers.signers] if policy.signers else []
        yield from _unknown(file, number, ("build", "signed_by"), ("signer", signer), names)
    for position, code in enumerate(case.expect.reasons or ()):
        path = ("expect", "reasons", position)
        yield from _unknown(file, number, path, ("rule", code), load_rules())


def _people(case: PolicyCase) -> Iterator[tuple[Path, Who]]:
    """Every account that a case names, with its place."""
    yield ("request", "by"), case.request.by
    for n, given in enumerate(case.request.approvals):
        yield ("request", "approvals", n, "by"), given.by
    for n, who in enumerate(case.request.objections):
        yield ("request", "objections", n), who
    for n, who in enumerate(case.source_by):
        yield ("source_by", n), who
    for n, waiver in enumerate(case.waivers):
        yield ("waivers", n, "asked_by"), waiver.asked_by
        for m, given in enumerate(waiver.approvals):
            yield ("waivers", n, "approvals", m, "by"), given.by


def _unknown(
    file: CaseFile, number: int, path: Path, named: tuple[str, str], known: Collection[str]
) -> Iterator[Finding]:
    what, name = named
    if name in known:
        return
    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    help = f"did you mean `{near[0]}`?" if near else ""
    message = f"there is no {what} `{name}`"
    yield POLICY_CASE_UNKNOWN.finding(message, file.at(number, *path), help=help)
