"""Work and its evidence as files, between jobs: written by one, not believed by the next.

work/work.json             the work that is due (`DueWork`)
work/sources/TREE.tar      each source tree, whose id is computed again when it is read
evidence/KEY.json          what performing the work of that key gave (`Evidence`)
evidence/images/KEY/       the image that a build made, as an OCI layout
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from pipeline.builders.images import ImageStore, LayoutStore, image_from_layout
from pipeline.builders.port import Builder, source_tag
from pipeline.errors import CouldNotCheck, UsageFault
from pipeline.forges.port import Forge
from pipeline.gitobjects import MODE_EXECUTABLE, MODE_FILE, MODE_SYMLINK, objects_of_files
from pipeline.models.base import CommitId, TreeId, first_problem
from pipeline.models.evidence import BuildRecord, CheckReport
from pipeline.plan import BuildImage, RunChecks
from pipeline.work import DueWork, Evidence, evidence_problem, is_of

Files = dict[str, tuple[int, bytes]]
# The name under which a layout holds the one image of a build.
IMAGE = "image"
_KEY = re.compile(r"[0-9a-f]{64}\Z")
_MAX_BYTES = 1 << 20
_MAX_FILES = 2_000
_Document = TypeVar("_Document", bound=BaseModel)


def write_work(folder: Path, work: DueWork, forge: Forge) -> None:
    """Write the work and the source of each piece of it. Raises CouldNotCheck."""
    sources = folder / "sources"
    sources.mkdir(parents=True, exist_ok=True)
    for item in work.items:
        git = forge.open_repository(item.repo)
        tree = git.read_object(f"{item.commit}:{item.folder}")
        if tree is None or tree.id != item.tree:
            raise CouldNotCheck(f"{item.repo}@{item.commit[:12]} does not hold {item.tree[:12]}")
        path = sources / f"{item.tree}.tar"
        if not path.exists():
            path.write_bytes(_tar_of(git.read_files(item.commit, item.folder)))
    _write(folder / "work.json", work)


def read_work(folder: Path) -> DueWork:
    """The work that lies in a folder. Raises UsageFault."""
    return _read(folder / "work.json", DueWork)


def read_source(folder: Path, tree: str) -> Files:
    """A source tree of the work in a folder, if it is the one of that id. Raises CouldNotCheck."""
    try:
        files = _files_of((folder / "sources" / f"{tree}.tar").read_bytes())
    except (OSError, tarfile.TarError) as error:
        raise CouldNotCheck(f"the source {tree[:12]} cannot be read: {error}") from error
    found = objects_of_files(files)[-1].id
    if found != tree:
        raise CouldNotCheck(f"the source is tree {found[:12]}, and {tree[:12]} was asked for")
    return files


def _tar_of(files: Mapping[str, tuple[int, bytes]]) -> bytes:
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
    """What a tar holds, in memory: nothing is unpacked, so no path leads anywhere."""
    files: Files = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        for entry in tar:
            if entry.issym():
                files[entry.name] = (MODE_SYMLINK, entry.linkname.encode())
                continue
            held = tar.extractfile(entry)
            if held is None:
                raise tarfile.TarError(f"`{entry.name}` is no file")
            mode = MODE_EXECUTABLE if entry.mode & 0o100 else MODE_FILE
            files[entry.name] = (mode, held.read())
    return files


# -- evidence ------------------------------------------------------------------------------


def images_folder(folder: Path, key: str) -> Path:
    """Where the image that a build of that key made lies."""
    return folder / "images" / key


def write_evidence(folder: Path, evidence: Evidence) -> None:
    """Write what performing one piece of work gave."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / f"{evidence.item.key}.json", evidence)


def read_evidence(folder: Path) -> dict[str, Evidence]:
    """Key → what was performed. Nothing that jobs left there is believed for its name alone.

    Raises UsageFault for a folder that holds what no `pipeline perform` writes.
    """
    if not folder.is_dir():
        raise UsageFault(f"there is no folder `{folder}` with evidence")
    paths = sorted(folder.glob("*.json"))
    if len(paths) > _MAX_FILES:
        raise UsageFault(f"`{folder}` holds {len(paths)} files, which no run makes")
    found: dict[str, Evidence] = {}
    for path in paths:
        evidence = _read(path, Evidence)
        problem = evidence_problem(evidence)
        if path.stem != evidence.item.key or not _KEY.match(path.stem):
            problem = "its name is not the key of its work"
        if problem:
            raise UsageFault(f"`{path}` is no evidence: {problem}")
        found[evidence.item.key] = evidence
    return found


@dataclass(frozen=True)
class Recorded:
    """Checks and builds that were performed elsewhere, as the ports of a run."""

    evidence: Mapping[str, Evidence]
    store: ImageStore | None = None  # where images are, for builds

    def run_checks(self, item: RunChecks, files: Files) -> CheckReport:
        """The report of the checks that were performed. Raises CouldNotCheck if none were."""
        found = self.evidence.get(item.key)
        if found is None or found.report is None or not is_of(found, item):
            raise CouldNotCheck(f"there is no evidence of the checks of {item.tree[:12]}")
        return found.report.model_copy(update={"commit": CommitId(item.commit)})

    def builder(self) -> Builder:
        """What gives the record of an image that was built elsewhere."""
        return RecordedBuilder(self)


@dataclass(frozen=True)
class RecordedBuilder:
    """Gives the image that a job built and another one pushed, once it is seen in the store."""

    recorded: Recorded
    name: str = "recorded"

    def build(
        self,
        files: Mapping[str, tuple[int, bytes]],
        *,
        image: str,
        source_commit: str,
        source_tree: str,
        labels: Mapping[str, str],
    ) -> BuildRecord:
        """The record, if the store has exactly that image. Raises CouldNotCheck."""
        found = next(
            (
                e.build
                for e in self.recorded.evidence.values()
                if isinstance(e.item, BuildImage)
                and e.build is not None
                and (e.item.image, e.item.tree) == (image, source_tree)
                and e.item.labels == dict(labels)
            ),
            None,
        )
        if found is None:
            raise CouldNotCheck(f"there is no evidence of a build of {source_tree[:12]}")
        store = self.recorded.store
        there = store.read_digest(image, source_tag(source_tree)) if store else None
        if there != found.digest:
            raise CouldNotCheck(
                f"{image} holds {there or 'no image'} for {source_tree[:12]}, not {found.digest}",
                help="`pipeline push` brings the image there before it is recorded",
            )
        return found.model_copy(
            update={"source_commit": CommitId(source_commit), "source_tree": TreeId(source_tree)}
        )


def push_images(folder: Path, store: ImageStore) -> Iterable[BuildRecord]:
    """Bring every image of the evidence into the store, and the evidence in line with what the
    store has: a tag that was there first wins, so that a tree has one image. Raises CouldNotCheck.
    """
    for key, evidence in read_evidence(folder).items():
        item, build = evidence.item, evidence.build
        if not isinstance(item, BuildImage) or build is None:
            continue
        tag = source_tag(item.tree)
        digest = store.read_digest(item.image, tag)
        if digest is None:
            made = image_from_layout(LayoutStore(images_folder(folder, key)).folder(IMAGE))
            if made.digest != build.digest:
                raise CouldNotCheck(f"the image of {item.tree[:12]} is {made.digest}")
            digest = store.write_image(item.image, tag, made)
        record = build.model_copy(update={"digest": digest})
        write_evidence(folder, evidence.model_copy(update={"build": record}))
        yield record


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
