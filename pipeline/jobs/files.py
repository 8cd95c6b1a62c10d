"""Work and its evidence as files between jobs: written by one job, not trusted by the next.

work/work.json             the due work (`DueWork`)
work/sources/TREE.tar      each source tree; its id is computed again when it is read
evidence/KEY.json          the result of the work with that key (`WorkEvidence`)
evidence/images/KEY/       the image that a build made, as an OCI layout
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.errors import STEP, CouldNotCheck, Failure, OverBound, UsageFault, failure_of
from pipeline.forges.port import Repositories
from pipeline.git.objects import (
    MODE_EXECUTABLE,
    MODE_FILE,
    MODE_SYMLINK,
    File,
    Files,
    objects_of_files,
)
from pipeline.images.attesting import Attest, Verify, claim_of, read_record, store_attested
from pipeline.images.oci import Image
from pipeline.images.port import Source, source_of
from pipeline.images.stores import ImageStore, LayoutStore, image_from_layout
from pipeline.jobs.work import DueWork, WorkEvidence, evidence_problem, is_of
from pipeline.models.base import CommitId, first_problem
from pipeline.models.evidence import BuildRecord, CheckReport
from pipeline.models.provenance import Claim
from pipeline.models.requests import Signers
from pipeline.plan.bounds import BUILD_FAILED
from pipeline.plan.effects import BuildImage, RunChecks
from pipeline.sandbox.sources import read_source_files

# The name of a build's one image in a layout.
IMAGE = "image"
_KEY = re.compile(r"[0-9a-f]{64}\Z")
_MAX_BYTES = 1 << 20
_MAX_FILES = 2_000
_Document = TypeVar("_Document", bound=BaseModel)


def write_work(
    folder: Path, work: DueWork, forge: Repositories
) -> tuple[DueWork, tuple[Failure, ...]]:
    """The work written with its sources, and the failures for the rest: draft, code, message."""
    sources = folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    items: list[RunChecks | BuildImage] = []
    failures: list[Failure] = []
    for item in work.items:
        try:
            _write_source(sources / f"{item.tree}.tar", item, forge)
        except Exception as error:
            failures.append(failure_of(item.draft, error))
        else:
            items.append(item)
    written = work.model_copy(update={"items": tuple(items)})
    _write(folder / "work.json", written)
    return written, tuple(failures)


def _write_source(path: Path, item: RunChecks | BuildImage, forge: Repositories) -> None:
    git = forge.open_repository(item.repo)
    tree = git.read_object(f"{item.commit}:{item.folder}")
    if tree is None or tree.id != item.tree:
        raise CouldNotCheck(f"{item.repo}@{item.commit[:12]} does not hold {item.tree[:12]}")
    if not path.exists():
        try:
            files = read_source_files(git, item.commit, item.folder)
        except OverBound as error:
            # The job that performs the work refuses it with the same message.
            refused = {"bound": error.bound, "message": error.message}
            path.with_suffix(".refused").write_text(json.dumps(refused))
            return
        path.write_bytes(_tar_of(files))


def read_work(folder: Path) -> DueWork:
    """The work in a folder. Raises UsageFault."""
    return _read(folder / "work.json", DueWork)


def read_source(folder: Path, tree: str) -> Files:
    """A source tree of the work in a folder, checked against its id.

    Raises CouldNotCheck, and OverBound for a source too large to export from Git.
    """
    refused = folder / "sources" / f"{tree}.refused"
    if refused.is_file():
        told = json.loads(refused.read_bytes())
        raise OverBound(str(told["bound"]), str(told["message"]))
    try:
        files = _files_of((folder / "sources" / f"{tree}.tar").read_bytes())
    except (OSError, tarfile.TarError) as error:
        raise CouldNotCheck(f"the source {tree[:12]} cannot be read: {error}") from error
    found = objects_of_files(files)[-1].id
    if found != tree:
        raise CouldNotCheck(f"the source is tree {found[:12]}, and {tree[:12]} was asked for")
    return files


def _tar_of(files: Files) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, (mode, content) in sorted(files.items()):
            entry = tarfile.TarInfo(path)
            entry.mode = 0o755 if mode == MODE_EXECUTABLE else 0o644
            if mode == MODE_SYMLINK:
                entry.type, entry.linkname = tarfile.SYMTYPE, content.decode()
                tar.addfile(entry)
                continue
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _files_of(packed: bytes) -> Files:
    """The files in a tar, in memory: nothing is unpacked to disk, so no path can escape."""
    files: dict[str, File] = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        for entry in tar:
            if entry.issym():
                files[entry.name] = (MODE_SYMLINK, entry.linkname.encode())
                continue
            held = tar.extractfile(entry)
            if held is None:
                raise tarfile.TarError(f"`{entry.name}` is not a file")
            mode = MODE_EXECUTABLE if entry.mode & 0o100 else MODE_FILE
            files[entry.name] = (mode, held.read())
    return files


# -- evidence ------------------------------------------------------------------------------


def images_folder(folder: Path, key: str) -> Path:
    """The folder of the image that the build with this key made."""
    return folder / "images" / key


def write_evidence(folder: Path, evidence: WorkEvidence) -> None:
    """Write the result of one piece of work."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{evidence.item.key}.json", evidence)


def read_evidence(folder: Path) -> dict[str, WorkEvidence]:
    """Key → evidence. File names alone are not trusted.

    Raises UsageFault for a folder with anything that `pipeline perform` does not write.
    """
    if not folder.is_dir():
        raise UsageFault(f"there is no folder `{folder}` with evidence")
    paths = sorted(folder.glob("*.json"))
    if len(paths) > _MAX_FILES:
        raise UsageFault(f"`{folder}` holds {len(paths)} files, which no run makes")
    found: dict[str, WorkEvidence] = {}
    for path in paths:
        evidence = _read(path, WorkEvidence)
        problem = evidence_problem(evidence)
        if path.stem != evidence.item.key or not _KEY.match(path.stem):
            problem = "its name is not the key of its work"
        if problem:
            raise UsageFault(f"`{path}` is not evidence: {problem}")
        found[evidence.item.key] = evidence
    return found


def recorded_checks(
    evidence: Mapping[str, WorkEvidence], item: RunChecks, files: Files
) -> CheckReport:
    """The report of checks performed elsewhere. Raises CouldNotCheck without evidence."""
    found = evidence.get(item.key)
    if found is None or found.report is None or not is_of(found, item):
        raise CouldNotCheck(f"there is no evidence of the checks of {item.tree[:12]}")
    return found.report.model_copy(update={"commit": CommitId(item.commit)})


@dataclass(frozen=True)
class RecordedBuilder:
    """Gives the record of an image that one job built and another attested and pushed.

    The evidence only says which image to look for; the record comes from the provenance in the
    store.
    """

    evidence: Mapping[str, WorkEvidence]
    store: ImageStore
    signers: Signers | None
    verify: Verify

    def build(self, source: Source) -> BuildRecord:
        """The record, if the store has exactly that image.

        Raises OverBound for a build that was refused when it was performed, CouldNotCheck.
        """
        found = next((e for e in self.evidence.values() if _is_build_of(e, source)), None)
        if found is None:
            raise CouldNotCheck(f"there is no evidence of a build of {source.tree[:12]}")
        there = self.store.read_digest(source.image, source.tag)
        if there is None and found.refused is not None:
            bound = STEP if found.refused.code == BUILD_FAILED.id else "build"
            raise OverBound(bound, found.refused.message)
        if there is None or (found.build is not None and there != found.build.digest):
            raise CouldNotCheck(
                f"{source.image} holds {there or 'no image'} for {source.tree[:12]}, "
                f"not {found.build.digest if found.build else 'any'}",
                help="`pipeline push` brings the image there before it is recorded",
            )
        return read_record(self.store, source, there, self.signers, self.verify)


def _is_build_of(evidence: WorkEvidence, source: Source) -> bool:
    item = evidence.item
    return (
        isinstance(item, BuildImage)
        and (item.image, item.tree) == (source.image, source.tree)
        and item.labels == dict(source.labels)
    )


@dataclass(frozen=True)
class Made:
    """An image that a job made, with everything to attest about it."""

    evidence: WorkEvidence
    source: Source
    image: Image
    claim: Claim
    sbom: bytes


def read_made(work: Path, evidence: Path, keys: Collection[str] = ()) -> Iterable[Made]:
    """The images in the evidence for due work (only with these keys, if any are named).

    Claims about an image come from the work, which a privileged job wrote, and from the image's own
    bytes; from the job that made it only the builder's name is taken. Raises CouldNotCheck,
    UsageFault.
    """
    due = {item.key: item for item in read_work(work).items}
    found = read_evidence(evidence)
    for key in keys:
        if key not in found:
            raise UsageFault(f"`{evidence}` has no evidence with the key `{key}`")
    for key in keys or tuple(found):
        item, build = due.get(key), found[key].build
        if not isinstance(item, BuildImage) or build is None or not is_of(found[key], item):
            continue
        made = image_from_layout(LayoutStore(images_folder(evidence, key)).folder(IMAGE))
        if made.digest != build.digest:
            raise CouldNotCheck(f"the image of {item.tree[:12]} is {made.digest}")
        source = source_of(item, read_source(work, item.tree))
        claim, sbom = claim_of(source, build.builder, made.digest)
        yield Made(found[key], source, made, claim, sbom)


def push_made(
    made: Made,
    folder: Path,
    store: ImageStore,
    attest: Attest,
    signers: Signers | None,
    verify: Verify,
) -> BuildRecord:
    """The record after pushing an image and its provenance and updating its evidence.

    A tag already in the store wins, so a tree has one image. Raises CouldNotCheck.
    """
    digest = store.read_digest(made.source.image, made.source.tag)
    if digest is None:
        digest = store_attested(store, made.source, made.image, attest(made.claim), made.sbom)
    record = read_record(store, made.source, digest, signers, verify)
    write_evidence(folder, made.evidence.model_copy(update={"build": record}))
    return record


# -- documents -----------------------------------------------------------------------------


def _write(path: Path, document: BaseModel) -> None:
    path.write_text(document.model_dump_json(by_alias=True, indent=1) + "\n", encoding="utf-8")


def _read(path: Path, model: type[_Document]) -> _Document:
    try:
        if path.is_symlink() or path.stat().st_size > _MAX_BYTES:
            raise UsageFault(f"`{path}` is a link, or larger than 1 MiB")
        return model.model_validate_json(path.read_bytes())
    except OSError as error:
        raise UsageFault(f"`{path}` cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise UsageFault(f"`{path}`: {first_problem(error)}") from error
