"""Signed statements in the evidence of a promotion: what is asked for, and what is there.

A case names them by `asked_statements`, `vulnerabilities` and `stated`; defaults are filled in. The
signers are `scanner`, `security-team` and `board`, of statements, and `builder`, of provenance.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache

from pydantic import TypeAdapter

from pipeline.gate.authorise import Evidence
from pipeline.models.base import moment_of
from pipeline.models.provenance import Verified
from pipeline.models.requests import Signers
from pipeline.models.signers import Purpose, Signer
from pipeline.models.statements import (
    SCAN_TYPE,
    VEX_TYPE,
    BroughtStatement,
    StatementPolicy,
    VulnerabilityPolicy,
)
from pipeline.requests.layout import statement_path
from tests.support import fact_history as history
from tests.support.samples import DRAFT
from tests.support.signing import trusted_signers
from worlds.control_repo import CLOCK_S

KEYS = ("asked_statements", "vulnerabilities", "stated")
_POLICY = {
    "highest": "medium",
    "expires_after_days": 7,
    "signers": ["scanner"],
    "vex_signers": ["security-team"],
}
_NO_KEY = (
    "-----BEGIN PUBLIC KEY-----\n"
    + base64.b64encode(b"a key that signs nothing here").decode()
    + "\n-----END PUBLIC KEY-----\n"
)


@cache
def signers_of_statements() -> Signers:
    """The tests' signer of provenance, and those of statements."""
    names: dict[str, tuple[Purpose, ...]] = {
        "scanner": ("statements",),
        "security-team": ("statements",),
        "board": ("statements",),
        "builder": ("provenance",),
    }
    more = [Signer(name=n, signs=signs, public_key=_NO_KEY) for n, signs in names.items()]
    known = trusted_signers()
    return known.model_copy(update={"signers": (*known.signers, *more)})


def sarif(found: Mapping[str, object]) -> dict[str, object]:
    """A SARIF log as trivy prints it, with a score for each vulnerability."""
    rules = [
        {
            "id": id,
            "name": "OsPackageVulnerability",
            "properties": {"security-severity": str(score)},
        }
        for id, score in found.items()
    ]
    results = [
        {"ruleId": id, "ruleIndex": number, "level": "error", "message": {"text": "Package: libx"}}
        for number, id in enumerate(found)
    ]
    driver = {"name": "Trivy", "version": "0.56.2", "rules": rules}
    return {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": results}]}


def scan(found: Mapping[str, object], at: str) -> dict[str, object]:
    """The predicate of a scan."""
    return {
        "invocation": {"uri": ""},
        "scanner": {"uri": "pkg:github/aquasecurity/trivy@0.56.2", "result": sarif(found)},
        "metadata": {"scanStartedOn": at, "scanFinishedOn": at},
    }


def vex(verdicts: Mapping[str, object], at: str) -> dict[str, object]:
    """The predicate of a VEX document: vulnerability → its analysis."""
    entries = [{"id": id, "analysis": analysis} for id, analysis in verdicts.items()]
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "metadata": {"timestamp": at},
        "vulnerabilities": entries,
    }


def statement_bytes(digest: Mapping[str, str], predicate_type: str, predicate: object) -> bytes:
    """An in-toto statement about one subject."""
    told = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "image", "digest": dict(digest)}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    return json.dumps(told).encode()


def _brought(number: int, given: Mapping[str, object]) -> BroughtStatement:
    """One statement on main: `by` whom, of which `type`, about what (`of`), and what it says."""
    known = {"by", "type", "of", "at", "found", "says", "predicate", "signed"}
    assert set(given) <= known, f"unknown key in {given}"
    at, type = str(given.get("at", moment_of(CLOCK_S - 3600))), str(given.get("type", "scan"))
    found, says = given.get("found", {}), given.get("says", {})
    assert isinstance(found, dict) and isinstance(says, dict)
    types: dict[str, tuple[str, object]] = {
        "scan": (SCAN_TYPE, scan(found, at)),
        "vex": (VEX_TYPE, vex(says, at)),
    }
    predicate_type, predicate = types.get(type, (type, {"ticket": "CHG-4711"}))
    digest = {
        "image": {"sha256": history.DIGEST.removeprefix("sha256:")},
        "another image": {"sha256": "0" * 64},
        "its source": {"gitCommit": history.SOURCE_COMMIT},
        "another source": {"gitCommit": "0" * 40},
    }[str(given.get("of", "image"))]
    content = statement_bytes(digest, predicate_type, given.get("predicate", predicate))
    verified = Verified(signer=str(given.get("by", "scanner")), statement=content)
    if given.get("signed", True) is False:
        verified = Verified(problem="could not verify envelope")
    return BroughtStatement(statement_path(DRAFT, f"s{number}"), f"{number:040x}", verified)


def changed_statements(evidence: Evidence, key: str, value: object) -> Evidence:
    """The evidence with other statements asked for, or there."""
    evidence = replace(evidence, signers=signers_of_statements())
    policy = evidence.environment
    if key == "asked_statements":
        asked = TypeAdapter(tuple[StatementPolicy, ...]).validate_json(json.dumps(value))
        return replace(evidence, environment=policy.model_copy(update={"statements": asked}))
    if key == "vulnerabilities":
        changes = value if isinstance(value, dict) else {"highest": value}
        limit = VulnerabilityPolicy.model_validate_json(json.dumps({**_POLICY, **changes}))
        return replace(evidence, environment=policy.model_copy(update={"vulnerabilities": limit}))
    assert key == "stated" and isinstance(value, list)
    return replace(evidence, statements=tuple(_brought(n, each) for n, each in enumerate(value)))
