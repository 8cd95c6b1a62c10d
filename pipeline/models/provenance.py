"""The statement that ties an image to its source: in-toto v1 around SLSA provenance v1.

Source: in-toto "Statement" v1; SLSA 1.0 "Provenance". Field names are theirs. Models refuse unknown
fields, so nothing in a statement goes unread.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from pipeline.models.base import CommitIdField, Model, TreeIdField
from pipeline.models.evidence import BuildRecord

PAYLOAD_TYPE = "application/vnd.in-toto+json"  # of its DSSE envelope
STATEMENT_TYPE: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE: Literal["https://slsa.dev/provenance/v1"] = "https://slsa.dev/provenance/v1"
BUILD_TYPE: Literal["https://pipeline.ameide.io/build/v1"] = "https://pipeline.ameide.io/build/v1"
SBOM_NAME: Literal["sbom.cdx.json"] = "sbom.cdx.json"
SBOM_TYPE: Literal["application/vnd.cyclonedx+json"] = "application/vnd.cyclonedx+json"

_Hex = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]


class Sha256(Model):
    """A digest set with only a SHA-256."""

    sha256: _Hex


class ImageSubject(Model):
    """The image: its repository, and the digest of its index."""

    name: str
    digest: Sha256


class SourceParameters(Model):
    """The built folder, by its git tree id: the key of the build."""

    repository: str
    folder: str
    tree: TreeIdField


class ExternalParameters(Model):
    """What the build was asked for."""

    source: SourceParameters


class InternalParameters(Model):
    """What the platform chose."""

    builder: Literal["source-layout", "buildah", "buildx"]


class GitDigest(Model):
    """A commit, and a tree in it."""

    git_commit: CommitIdField = Field(alias="gitCommit")
    git_tree: TreeIdField = Field(alias="gitTree")


class Dependency(Model):
    """A source of the build; `name` is its repository."""

    name: str
    digest: GitDigest


class BuildDefinition(Model):
    """How the image was built, and from what."""

    build_type: Literal["https://pipeline.ameide.io/build/v1"] = Field(
        BUILD_TYPE, alias="buildType"
    )
    external_parameters: ExternalParameters = Field(alias="externalParameters")
    internal_parameters: InternalParameters = Field(alias="internalParameters")
    resolved_dependencies: tuple[Dependency] = Field(alias="resolvedDependencies")


class BuilderId(Model):
    """Who built: the workflow, or the name of the key's holder."""

    id: str


class Metadata(Model):
    """The run that built, if there is one."""

    invocation_id: str = Field(alias="invocationId")


class Byproduct(Model):
    """The image's SBOM."""

    name: Literal["sbom.cdx.json"] = SBOM_NAME
    media_type: Literal["application/vnd.cyclonedx+json"] = Field(SBOM_TYPE, alias="mediaType")
    digest: Sha256


class RunDetails(Model):
    """This one build."""

    builder: BuilderId
    metadata: Metadata | None = None
    byproducts: tuple[Byproduct]


class Predicate(Model):
    """SLSA provenance v1."""

    build_definition: BuildDefinition = Field(alias="buildDefinition")
    run_details: RunDetails = Field(alias="runDetails")


class Statement(Model):
    """What is signed."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(STATEMENT_TYPE, alias="_type")
    subject: tuple[ImageSubject]
    predicate_type: Literal["https://slsa.dev/provenance/v1"] = Field(
        PREDICATE_TYPE, alias="predicateType"
    )
    predicate: Predicate


@dataclass(frozen=True, slots=True)
class Verified:
    """The result of verifying a bundle: its signer and the signed bytes, or why it has none."""

    signer: str = ""  # a signer's name
    statement: bytes = b""
    problem: str = ""
    unreadable: bool = False


@dataclass(frozen=True, slots=True)
class Claim:
    """What a build claims: which image it built, from which folder of which repository."""

    record: BuildRecord  # without a bundle
    repo: str
    folder: str


@dataclass(frozen=True, slots=True)
class Stated:
    """A recorded image and the signer of its provenance, or why no provenance counts."""

    record: BuildRecord
    signer: str
    problem: str
