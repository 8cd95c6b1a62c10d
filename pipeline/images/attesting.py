"""One image per source tree, each with signed provenance.

Provenance and SBOM go into the store before the image gets its tag. So an image under a source
tree's tag without valid provenance was put there by somebody else: it is refused, and never signed.
Found images are verified the same way as new ones.
"""

from __future__ import annotations

from collections.abc import Callable

from pipeline.errors import CouldNotCheck
from pipeline.gate.provenance import parse_statement, provenance_problem
from pipeline.images.oci import Attached, Image
from pipeline.images.port import BuilderName, Maker, Source
from pipeline.images.provenance import signer_of_key, statement_of, with_bundle
from pipeline.images.sbom import sbom_of
from pipeline.images.signing import SigningKey
from pipeline.images.stores import ImageStore
from pipeline.models.base import CommitId, ImageDigest, TreeId, digest_of
from pipeline.models.evidence import BuildRecord
from pipeline.models.provenance import Claim, Stated, Verified
from pipeline.models.requests import Signers
from pipeline.models.status import DraftStatus
from pipeline.names import primitive_folder
from pipeline.tools.bundlecheck import verify_bundle

Attest = Callable[[Claim], str]  # claim → the bundle of its signed statement
Verify = Callable[[str, str], Verified]  # bundle, signers as JSON


def attest_with(key: SigningKey, signers: Signers | None) -> Attest:
    """A function that signs claims with a key. Raises CouldNotCheck if the key is not trusted."""
    signer = signer_of_key(signers, key.public_key)
    if signer is None:
        raise CouldNotCheck(
            "the signing key is none of `environments/signers.yaml`",
            help="add its public half there: `pipeline signing-key FILE` prints it",
        )
    return lambda claim: key.sign(statement_of(claim, signer.builder_id))


class AttestingBuilder:
    """Makes, attests and stores images that do not exist yet."""

    def __init__(
        self,
        maker: Maker,
        store: ImageStore,
        attest: Callable[[], Attest],
        signers: Signers | None,
        verify: Verify,
    ) -> None:
        self._maker, self._store, self._attest = maker, store, attest
        self._signers, self._verify = signers, verify

    def build(self, source: Source) -> BuildRecord:
        """The record of the image, found under its source tree's tag or built."""
        digest = self._store.read_digest(source.image, source.tag)
        if digest is None:
            attest = self._attest()
            made = self._maker.make(source.files, source.labels)
            claim, sbom = claim_of(source, self._maker.name, made.digest)
            digest = store_attested(self._store, source, made, attest(claim), sbom)
        return read_record(self._store, source, digest, self._signers, self._verify)


def claim_of(source: Source, builder: BuilderName, digest: ImageDigest) -> tuple[Claim, bytes]:
    """The claim to sign for a new image, and its SBOM."""
    sbom = sbom_of(source.files, image=source.image, tree=source.tree)
    record = BuildRecord(
        source_commit=CommitId(source.commit),
        source_tree=TreeId(source.tree),
        digest=digest,
        builder=builder,
        image=source.image,
        sbom=ImageDigest(digest_of(sbom)),
    )
    return Claim(record, source.repo, source.folder), sbom


def store_attested(
    store: ImageStore, source: Source, made: Image, bundle: str, sbom: bytes
) -> ImageDigest:
    """The digest under the source's tag afterwards: an image already there wins."""
    store.write_attached(source.image, made, Attached(bundle.encode(), sbom))
    return store.write_image(source.image, source.tag, made)


def read_record(
    store: ImageStore,
    source: Source,
    digest: ImageDigest,
    signers: Signers | None,
    verify: Verify,
) -> BuildRecord:
    """The record of an image in the store, from its provenance there. Raises CouldNotCheck.

    Only what a trusted signer stated about the image is believed.
    """
    where = f"{source.image}@{digest}"
    attached = store.read_attached(source.image, digest)
    if attached is None:
        raise CouldNotCheck(
            f"{where} has the tag `{source.tag}` but no provenance",
            help="somebody else put it there: remove the tag from the registry, then run again",
        )
    bundle = attached.bundle.decode("utf-8", "replace")
    verified = verify(bundle, signers.model_dump_json(by_alias=True)) if signers else None
    record = BuildRecord(
        source_commit=CommitId(source.commit),
        source_tree=TreeId(source.tree),
        digest=digest,
        builder=_builder_of(verified),
        image=source.image,
        sbom=ImageDigest(digest_of(attached.sbom)),
    )
    claim = Claim(record, source.repo, source.folder)
    problem = provenance_problem(verified, claim, signers)
    if problem is not None:
        raise CouldNotCheck(
            f"{where}: {problem[0].id}: {problem[1]}",
            help="see `environments/signers.yaml`, or remove the tag and its statement",
        )
    return with_bundle(record, bundle)


def read_stated(record: BuildRecord, status: DraftStatus, signers: Signers | None) -> Stated:
    """The signer of a recorded image's provenance, or why none counts. Raises CouldNotCheck."""
    found: Verified | None = None
    if record.bundle and signers is not None:
        found = verify_bundle(record.bundle, signers.model_dump_json(by_alias=True))
    claim = Claim(
        record.model_copy(update={"image": status.image}),
        status.target_repo,
        primitive_folder(status.instance),
    )
    problem = provenance_problem(found, claim, signers)
    told = f"{problem[0].id}: {problem[1]}" if problem else ""
    return Stated(record, found.signer if found else "", told)


def _builder_of(verified: Verified | None) -> BuilderName:
    """The builder in a statement; an arbitrary one if it has none, since it is refused anyway."""
    try:
        statement = parse_statement(verified.statement) if verified else None
    except ValueError:
        statement = None
    if statement is None:
        return "source-layout"
    return statement.predicate.build_definition.internal_parameters.builder
