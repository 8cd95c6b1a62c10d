"""The key of a workspace, which signs statements where no forge attests a workflow.

Ed25519 signatures depend only on key and statement, so a run repeated after a crash writes the same
bytes. Bundles are Sigstore's, verified like any other.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pipeline.errors import UsageFault
from pipeline.models.provenance import PAYLOAD_TYPE
from pipeline.models.signers import key_hint

BUNDLE_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"


class SigningKey:
    """An Ed25519 key that signs statements."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private

    @classmethod
    def read(cls, path: Path) -> SigningKey:
        """The key in a PEM file (PKCS #8, not encrypted). Raises UsageFault."""
        try:
            key = load_pem_private_key(path.read_bytes(), password=None)
        except OSError as error:
            raise UsageFault(f"the key `{path}` cannot be read: {error.strerror}") from error
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise UsageFault(f"`{path}` holds no private key in PEM that can be used") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise UsageFault(
                f"`{path}` is not an Ed25519 key", help="make one: `pipeline signing-key FILE`"
            )
        return cls(key)

    @classmethod
    def create(cls, path: Path) -> SigningKey:
        """A new key, written to a file that only its owner may read. Raises UsageFault."""
        key = Ed25519PrivateKey.generate()
        content = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            raise UsageFault(f"`{path}` cannot be made: {error.strerror}") from error
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return cls(key)

    @property
    def public_key(self) -> str:
        """The public half, in PEM."""
        public = self._private.public_key()
        return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()

    def sign(self, statement: bytes) -> str:
        """The bundle of a statement, as JSON on one line."""
        signature = self._private.sign(authenticated(statement))
        bundle = {
            "mediaType": BUNDLE_TYPE,
            "verificationMaterial": {"publicKey": {"hint": key_hint(self.public_key)}},
            "dsseEnvelope": {
                "payload": base64.b64encode(statement).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signature).decode()}],
            },
        }
        return json.dumps(bundle, sort_keys=True, separators=(",", ":"))


def authenticated(statement: bytes) -> bytes:
    """The bytes that a DSSE signature covers (DSSE 1.0, "Protocol": PAE)."""
    kind = PAYLOAD_TYPE.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(statement), statement)
