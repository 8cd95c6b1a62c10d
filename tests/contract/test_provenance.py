"""Verification of provenance, by keys and by workflows alike: what it accepts and refuses.

`bundlecheck` is the real one, over sigstore-go. Certificates and timestamps come from the tests'
own Sigstore (`tests/support/sigstore.py`).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.errors import CouldNotCheck, UsageFault
from pipeline.gate.provenance import provenance_problem
from pipeline.images.attesting import attest_with
from pipeline.images.provenance import statement_of
from pipeline.images.signing import SigningKey
from pipeline.models.base import API_VERSION
from pipeline.models.provenance import Claim
from pipeline.models.requests import Signers
from pipeline.models.signers import Signer, WorkflowIdentity
from pipeline.tools import bundlecheck
from pipeline.tools.bundlecheck import verify_bundles
from tests.support import fact_history as history
from tests.support.signing import signing_key, trusted_signers
from tests.support.sigstore import make_sigstore, sigstore

WORKFLOW = WorkflowIdentity(repository="ameide/control")


def claim() -> Claim:
    return history.claim_of_build(history.sample_status())


@dataclass(frozen=True)
class Kind:
    """A kind of signer: whom it takes to believe it, and how it signs."""

    signers: Signers
    sign: Callable[[bytes], str]
    foreign: Callable[[bytes], str]  # the same, by somebody who is not trusted

    @property
    def statement(self) -> bytes:
        return statement_of(claim(), self.signers.signers[0].builder_id)


def by_key(tmp_path: Path) -> Kind:
    other = SigningKey.create(tmp_path / "other.pem")
    return Kind(trusted_signers(), signing_key().sign, other.sign)


def by_workflow(tmp_path: Path) -> Kind:
    signer = Signer(name="build-workflow", workflow=WORKFLOW)
    roots = (sigstore().trusted_root(),)
    signers = Signers(
        api_version=API_VERSION, kind="Signers", signers=(signer,), trusted_roots=roots
    )
    return Kind(
        signers,
        lambda statement: sigstore().attest(statement, WORKFLOW.uri),
        lambda statement: make_sigstore().attest(statement, WORKFLOW.uri),
    )


@pytest.fixture(params=[by_key, by_workflow], ids=["key", "workflow"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    made: Kind = request.param(tmp_path)
    return made


def problem_of(bundle: str, signers: Signers) -> str:
    """The rule that a bundle breaks, as the gate sees it; empty when it is believed."""
    [verified] = verify_bundles([(bundle, signers)])
    problem = provenance_problem(verified, claim(), signers)
    return problem[0].id if problem else ""


def test_a_statement_by_a_trusted_signer_is_accepted(kind: Kind) -> None:
    bundle = kind.sign(kind.statement)
    [verified] = verify_bundles([(bundle, kind.signers)])
    assert verified.signer == kind.signers.signers[0].name
    assert json.loads(verified.statement) == json.loads(kind.statement)
    assert problem_of(bundle, kind.signers) == ""


def test_a_statement_by_anybody_else_is_refused(kind: Kind) -> None:
    assert problem_of(kind.foreign(kind.statement), kind.signers) == "provenance-foreign"


def edited(bundle: str, *path: str | int, value: Any) -> str:
    """The bundle with one thing in it replaced."""
    document = at = json.loads(bundle)
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = value
    return json.dumps(document)


ENVELOPE = "dsseEnvelope"


def test_a_changed_statement_has_no_signer(kind: Kind) -> None:
    other = kind.statement.replace(history.DIGEST[7:].encode(), b"0" * 64)
    assert other != kind.statement
    encoded = base64.b64encode(other).decode()
    forged = edited(kind.sign(kind.statement), ENVELOPE, "payload", value=encoded)
    assert problem_of(forged, kind.signers) == "provenance-foreign"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ((ENVELOPE, "signatures"), []),
        ((ENVELOPE, "signatures", 0, "sig"), base64.b64encode(b"no signature").decode()),
        ((ENVELOPE, "payloadType"), "text/plain"),
        ((ENVELOPE, "payload"), base64.b64encode(b"not JSON").decode()),
        ((ENVELOPE, "payload"), "***"),
        ((ENVELOPE,), {}),
        (("mediaType",), "application/json"),
        (("verificationMaterial",), {}),
    ],
)
def test_a_damaged_bundle_is_refused(kind: Kind, path: tuple[str | int, ...], value: Any) -> None:
    damaged = edited(kind.sign(kind.statement), *path, value=value)
    assert problem_of(damaged, kind.signers) in {"provenance-foreign", "provenance-unreadable"}


@pytest.mark.parametrize(
    "bundle", ["", "null", "[]", "{}", "not JSON", "[" * 100_000, "{" * 300_000]
)
def test_anything_but_a_bundle_is_unreadable(bundle: str, kind: Kind) -> None:
    assert problem_of(bundle, kind.signers) == "provenance-unreadable"


def test_a_valid_statement_of_another_build_is_a_mismatch(kind: Kind) -> None:
    record = claim().record.model_copy(update={"digest": history.digest_of("another")})
    builder = kind.signers.signers[0].builder_id
    other = statement_of(replace(claim(), record=record), builder)
    assert problem_of(kind.sign(other), kind.signers) == "provenance-mismatch"


def test_a_signer_cannot_sign_for_another_builder(kind: Kind) -> None:
    other = statement_of(claim(), "https://github.com/somebody/else/.github/workflows/build.yaml")
    assert problem_of(kind.sign(other), kind.signers) == "provenance-mismatch"


def test_a_statement_of_another_kind_is_not_provenance(kind: Kind) -> None:
    other = kind.statement.replace(b"https://slsa.dev/provenance/v1", b"https://example.com/other")
    assert problem_of(kind.sign(other), kind.signers) == "provenance-unreadable"


def test_a_statement_with_more_fields_is_refused(kind: Kind) -> None:
    told = json.loads(kind.statement)
    told["subject"].append({"name": "another", "digest": {"sha256": "0" * 64}})
    assert problem_of(kind.sign(json.dumps(told).encode()), kind.signers) == "provenance-unreadable"


# -- workflows -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"repository": "ameide/tenant-acme-controllers"},
        {"repository": "somebody/control"},
        {"path": ".github/workflows/validate.yaml"},
        {"ref": "refs/heads/ask/1"},
        {"server": "https://github.example.com"},
    ],
)
def test_only_the_build_workflow_on_main_is_the_signer(
    changes: dict[str, str], tmp_path: Path
) -> None:
    kind = by_workflow(tmp_path)
    other = sigstore().attest(kind.statement, WORKFLOW.model_copy(update=changes).uri)
    assert problem_of(other, kind.signers) == "provenance-foreign"


def test_a_run_for_a_pull_request_is_another_identity(tmp_path: Path) -> None:
    kind = by_workflow(tmp_path)
    uri = WORKFLOW.uri.replace("refs/heads/main", "refs/pull/1/merge")
    assert problem_of(sigstore().attest(kind.statement, uri), kind.signers) == "provenance-foreign"


def test_a_certificate_of_another_issuer_is_foreign(tmp_path: Path) -> None:
    kind = by_workflow(tmp_path)
    other = sigstore().attest(kind.statement, WORKFLOW.uri, "https://token.example.com")
    assert problem_of(other, kind.signers) == "provenance-foreign"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("timestampVerificationData",), {}),
        (("certificate", "rawBytes"), base64.b64encode(b"no certificate").decode()),
        (("certificate",), {}),
    ],
)
def test_certificate_and_time_are_both_verified(
    path: tuple[str, ...], value: Any, tmp_path: Path
) -> None:
    kind = by_workflow(tmp_path)
    bundle = kind.sign(kind.statement)
    damaged = edited(bundle, "verificationMaterial", *path, value=value)
    assert problem_of(damaged, kind.signers) in {"provenance-foreign", "provenance-unreadable"}


def test_a_timestamp_of_another_signature_is_refused(tmp_path: Path) -> None:
    kind = by_workflow(tmp_path)
    one, two = (json.loads(kind.sign(kind.statement)) for _ in range(2))
    time = two["verificationMaterial"]["timestampVerificationData"]
    one["verificationMaterial"]["timestampVerificationData"] = time
    assert problem_of(json.dumps(one), kind.signers) == "provenance-foreign"


def test_without_a_root_every_certificate_is_refused(tmp_path: Path) -> None:
    kind = by_workflow(tmp_path)
    rootless = kind.signers.model_copy(update={"trusted_roots": ()})
    assert problem_of(kind.sign(kind.statement), rootless) == "provenance-foreign"


def test_an_invalid_root_is_could_not_check(tmp_path: Path) -> None:
    kind = by_workflow(tmp_path)
    broken = kind.signers.model_copy(update={"trusted_roots": ({"mediaType": "text/plain"},)})
    with pytest.raises(CouldNotCheck, match=r"signers\.yaml|root 0"):
        verify_bundles([(kind.sign(kind.statement), broken)])


# -- many, and none ------------------------------------------------------------------------


def test_each_of_many_bundles_is_judged_by_its_own_trust(tmp_path: Path) -> None:
    key, workflow = by_key(tmp_path), by_workflow(tmp_path)
    signed = [(kind, kind.sign(kind.statement)) for kind in (key, workflow)]
    asked = [(bundle, kind.signers) for _, bundle in signed for kind in (key, workflow)]
    asked.insert(1, ("not JSON", key.signers))
    told = [v.signer for v in verify_bundles(asked)]
    assert told == ["workspace", "", "", "", "build-workflow"]
    assert verify_bundles([]) == ()


def test_a_missing_tool_is_could_not_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise CouldNotCheck(f"{name} was not found")

    monkeypatch.setattr(bundlecheck, "find_tool", missing)
    with pytest.raises(CouldNotCheck, match="bundlecheck was not found"):
        verify_bundles([(signing_key().sign(b"{}"), trusted_signers())])


# -- keys ----------------------------------------------------------------------------------


def test_a_key_that_nobody_trusts_signs_nothing(tmp_path: Path) -> None:
    key = SigningKey.create(tmp_path / "key.pem")
    for signers in (trusted_signers(), None):
        with pytest.raises(CouldNotCheck, match=r"none of `environments/signers\.yaml`"):
            attest_with(key, signers)


def test_a_key_is_its_owner_s_alone_and_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "key.pem"
    key = SigningKey.create(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert SigningKey.read(path).public_key == key.public_key
    with pytest.raises(UsageFault, match="cannot be made"):
        SigningKey.create(path)


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\n"])
def test_an_invalid_key_file_is_reported(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(UsageFault, match="holds no private key"):
        SigningKey.read(tmp_path / "key.pem")
    with pytest.raises(UsageFault, match="cannot be read"):
        SigningKey.read(tmp_path / "absent.pem")


def test_equal_statements_have_equal_signatures() -> None:
    assert signing_key().sign(b"{}") == signing_key().sign(b"{}")
