"""The key that tests sign with, the signers that they trust, and builders that sign with it."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

from pipeline.images.attesting import AttestingBuilder, attest_with
from pipeline.images.port import Maker
from pipeline.images.provenance import statement_of
from pipeline.images.signing import SigningKey
from pipeline.images.stores import ImageStore
from pipeline.models.base import API_VERSION
from pipeline.models.provenance import Claim, Verified
from pipeline.models.requests import Signers
from pipeline.models.signers import Signer
from pipeline.tools.bundlecheck import verify_bundle


@cache
def signing_key() -> SigningKey:
    """The key that every test world signs with (`tests/conftest.py`)."""
    return SigningKey.read(Path(os.environ["PIPELINE_SIGNING_KEY_FILE"]))


@cache
def trusted_signers() -> Signers:
    """Signers with the tests' key alone."""
    signer = Signer(name="workspace", public_key=signing_key().public_key)
    return Signers(api_version=API_VERSION, kind="Signers", signers=(signer,))


def verified(claim: Claim) -> Verified:
    """The verified statement of this claim by the tests' key."""
    signer = trusted_signers().signers[0]
    return Verified(signer=signer.name, statement=statement_of(claim, signer.builder_id))


def attested(maker: Maker, store: ImageStore) -> AttestingBuilder:
    """A builder that signs its images with the tests' key."""
    signers = trusted_signers()
    return AttestingBuilder(
        maker, store, lambda: attest_with(signing_key(), signers), signers, verify_bundle
    )
