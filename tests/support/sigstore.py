"""A Sigstore as GitHub runs one for private repositories: certificates for workflows, timestamps.

It certifies any identity on request, as GitHub's does for the workflow that presents its token;
`bundlecheck` judges the result like any other bundle. `openssl ts` makes the timestamps.
"""

from __future__ import annotations

import base64
import json
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from pipeline.images.signing import BUNDLE_TYPE, authenticated
from pipeline.models.provenance import PAYLOAD_TYPE
from pipeline.models.signers import GITHUB_ISSUER

# Fulcio, "Fulcio's OID Information": the issuer of the token.
_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_TSA_CONFIG = """
[tsa]
serial = {serial}
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
"""


@dataclass(frozen=True)
class _Authority:
    """A certificate authority, and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True)
class Sigstore:
    """One instance: its certificate authority and its timestamp authority."""

    issuing: _Authority
    timing: _Authority
    timing_root: _Authority

    def trusted_root(self) -> dict[str, object]:
        """The trusted root of the instance (Sigstore, `TrustedRoot` v0.1)."""

        def authority(*chain: x509.Certificate) -> dict[str, object]:
            listed = [{"rawBytes": _raw(certificate)} for certificate in chain]
            return {
                "subject": {"organization": "Example", "commonName": "Example"},
                "uri": "https://sigstore.example.com",
                "certChain": {"certificates": listed},
                "validFor": {"start": "2020-01-01T00:00:00Z"},
            }

        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "certificateAuthorities": [authority(self.issuing.certificate)],
            "timestampAuthorities": [
                authority(self.timing.certificate, self.timing_root.certificate)
            ],
        }

    def attest(self, statement: bytes, identity: str, issuer: str = GITHUB_ISSUER) -> str:
        """The bundle of a statement that a workflow with that address signed now."""
        leaf = _issue(self.issuing, identity, issuer)
        signature = leaf.key.sign(authenticated(statement), ec.ECDSA(hashes.SHA256()))
        bundle = {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {
                "certificate": {"rawBytes": _raw(leaf.certificate)},
                "timestampVerificationData": {
                    "rfc3161Timestamps": [{"signedTimestamp": self._timestamp(signature)}]
                },
            },
            "dsseEnvelope": {
                "payload": base64.b64encode(statement).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signature).decode()}],
            },
        }
        return json.dumps(bundle)

    def _timestamp(self, signature: bytes) -> str:
        with tempfile.TemporaryDirectory(prefix="pipeline-tsa-") as name:
            folder = Path(name)
            (folder / "signature").write_bytes(signature)
            (folder / "tsa.crt").write_bytes(self.timing.certificate.public_bytes(Encoding.PEM))
            (folder / "tsa.key").write_bytes(_private(self.timing.key))
            (folder / "tsa.cnf").write_text(_TSA_CONFIG.format(serial=folder / "serial"))
            query = ("ts", "-query", "-data", "signature", "-sha256", "-cert", "-out", "query")
            reply = ("ts", "-reply", "-config", "tsa.cnf", "-section", "tsa", "-queryfile", "query")
            reply += ("-signer", "tsa.crt", "-inkey", "tsa.key", "-out", "reply")
            for arguments in (query, reply):
                subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
            return base64.b64encode((folder / "reply").read_bytes()).decode()


@cache
def sigstore() -> Sigstore:
    """The instance of this process."""
    return make_sigstore()


def make_sigstore() -> Sigstore:
    """A new instance, which nobody trusts yet."""
    timing_root = _root("Time root")
    return Sigstore(_root("Example root"), _timing(timing_root), timing_root)


def _raw(certificate: x509.Certificate) -> str:
    return base64.b64encode(certificate.public_bytes(Encoding.DER)).decode()


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, lasts: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + lasts)
    )


def _root(name: str) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begun(_named(name), _named(name), key, timedelta(days=1))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = builder.add_extension(usage, critical=True)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    builder = builder.add_extension(identifier, critical=False)
    return _Authority(builder.sign(key, hashes.SHA256()), key)


def _leaf_of(
    issuing: _Authority,
    subject: x509.Name,
    lasts: timedelta,
    *extensions: tuple[x509.ExtensionType, bool],
) -> _Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begun(subject, issuing.certificate.subject, key, lasts)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuing.key.public_key())
    own: tuple[tuple[x509.ExtensionType, bool], ...] = ((usage, True), (identifier, False))
    for extension, critical in (*own, *extensions):
        builder = builder.add_extension(extension, critical=critical)
    return _Authority(builder.sign(issuing.key, hashes.SHA256()), key)


def _timing(root: _Authority) -> _Authority:
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    return _leaf_of(root, _named("Time"), timedelta(days=1), (usage, True))


def _issue(issuing: _Authority, identity: str, issuer: str) -> _Authority:
    """A certificate of ten minutes for a workflow, and its key."""
    named = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    text = issuer.encode()
    told = x509.UnrecognizedExtension(_ISSUER, bytes([0x0C, len(text)]) + text)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING])
    return _leaf_of(
        issuing, x509.Name([]), timedelta(minutes=10), (usage, False), (named, True), (told, False)
    )
