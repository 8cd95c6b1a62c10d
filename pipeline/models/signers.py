"""Trusted signers: keys, and workflows that GitHub vouches for."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from pipeline.models.base import Identifier, Model

_BEGIN, _END = "-----BEGIN PUBLIC KEY-----", "-----END PUBLIC KEY-----"
GITHUB_ISSUER = "https://token.actions.githubusercontent.com"


def key_hint(public_key: str) -> str:
    """A key's name: the SHA-256 of its DER form, in hex. Raises ValueError if it is not PEM."""
    lines = public_key.strip().splitlines()
    if len(lines) < 3 or lines[0] != _BEGIN or lines[-1] != _END:
        raise ValueError("not a public key in PEM")
    try:
        return hashlib.sha256(base64.b64decode("".join(lines[1:-1]), validate=True)).hexdigest()
    except binascii.Error as error:
        raise ValueError(f"not a public key in PEM: {error}") from error


def _checked_key(value: str) -> str:
    key_hint(value)
    return value


class WorkflowIdentity(Model):
    """A workflow on one ref of one repository, as a certificate names it.

    Source: Fulcio, "OIDC Token Requirements with GitHub Actions" (`job_workflow_ref`).
    """

    repository: Annotated[
        str, StringConstraints(pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9])*/[A-Za-z0-9._-]+$")
    ]
    path: Annotated[
        str, StringConstraints(pattern=r"^\.github/workflows/[A-Za-z0-9._-]+\.ya?ml$")
    ] = ".github/workflows/build.yaml"
    ref: Annotated[str, StringConstraints(pattern=r"^refs/heads/[A-Za-z0-9._/-]+$")] = (
        "refs/heads/main"
    )
    server: Annotated[
        str,
        StringConstraints(pattern=r"^(https://[a-z0-9.-]+(:[0-9]+)?|http://127\.0\.0\.1:[0-9]+)$"),
    ] = "https://github.com"
    issuer: Annotated[
        str, StringConstraints(pattern=r"^https://[a-z0-9.-]+(:[0-9]+)?(/[A-Za-z0-9._/-]+)?$")
    ] = GITHUB_ISSUER

    @property
    def uri(self) -> str:
        """The workflow's address: the subject of its certificates, and the builder's id."""
        return f"{self.server}/{self.repository}/{self.path}@{self.ref}"


Purpose = Literal["provenance", "statements"]


class Signer(Model):
    """A trusted signer: exactly one of a key and a workflow."""

    name: Identifier
    # What it may sign: provenance of builds, or the statements that environments require.
    signs: tuple[Purpose, ...] = Field(("provenance",), min_length=1)
    public_key: Annotated[str, AfterValidator(_checked_key)] | None = None
    workflow: WorkflowIdentity | None = None

    @model_validator(mode="after")
    def _is_one(self) -> Signer:
        if (self.public_key is None) == (self.workflow is None):
            raise ValueError("give exactly one of `public_key` and `workflow`")
        return self

    @property
    def builder_id(self) -> str:
        """The `builder.id` that this signer's provenance must have."""
        if self.workflow is not None:
            return self.workflow.uri
        return f"https://pipeline.ameide.io/builders/{self.name}"
