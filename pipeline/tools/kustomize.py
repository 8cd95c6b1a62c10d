"""kustomize: an overlay as the one stream of objects that a delivery tool would apply."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from pipeline.errors import OverBound, Unrenderable
from pipeline.machine.versions import find_tool
from pipeline.sandbox.run import WORK_FOLDER
from pipeline.sandbox.tools import TOOL_LIMITS, run_tool_confined
from pipeline.tools.rendered import MAX_STREAM_BYTES, parse_rendered

_KEYS_THAT_READ = ("resources", "components", "bases", "crds", "configurations")
# kustomize fetches an address wherever it accepts a file's path.
_KEYS_OF_PATHS = ("path", "files", "env", "envs", "patchesStrategicMerge")
_FOLDER = re.compile(r"(?:\.\.?/)*[A-Za-z0-9_-]+(?:/[A-Za-z0-9_-]+)*/?\Z")
# Plugins, charts and schemas that are fetched.
_KEYS_THAT_RUN = (
    *("generators", "transformers", "validators", "helmCharts", "helmGlobals", "openapi"),
    "helmChartInflationGenerator",
)


def run_kustomize_build(files: Mapping[str, bytes], folder: str) -> bytes:
    """The built manifests of `folder`, a folder in `files` (path → bytes).

    Raises Unrenderable if a kustomization reads outside `folder` or cannot be built.
    """
    folders = {"/".join(p.split("/")[:n]) for p in files for n in range(1, p.count("/") + 1)}
    for path, content in files.items():
        if path.rsplit("/", 1)[-1] in {"kustomization.yaml", "kustomization.yml", "Kustomization"}:
            require_local_files(path, content, files.keys() | folders, folders)
    try:
        done = run_tool_confined(
            find_tool("kustomize"),
            ("build", folder, "--load-restrictor", "LoadRestrictionsRootOnly"),
            files=files,
            limits=replace(TOOL_LIMITS, output_bytes=MAX_STREAM_BYTES),
        )
    except OverBound as error:
        raise Unrenderable(f"{folder}: {error.message}") from error
    if done.exit_code != 0:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        said = (lines[-1] if lines else "it said nothing").replace(f"{WORK_FOLDER}/", "")
        raise Unrenderable(f"kustomize cannot build {folder}: {said[:500]}")
    return done.stdout


def require_local_files(
    path: str, content: bytes, paths: Collection[str], folders: Collection[str]
) -> None:
    """Raise Unrenderable if the kustomization at `path` reads anything that is not in `paths`.

    kustomize takes anything that is not a file or folder here for a repository to clone
    (`github.com/org/repo`), so existence is checked.
    """
    try:
        [value] = parse_rendered(content)
    except Unrenderable as error:
        raise Unrenderable(f"{path}: {error.message}") from error
    except ValueError as error:
        raise Unrenderable(f"{path} is not a single mapping") from error
    if forbidden := sorted(str(key) for key in value if key in _KEYS_THAT_RUN):
        raise Unrenderable(f"{path} has `{forbidden[0]}`, which runs or fetches something")
    if any("://" in read for read in _paths_in(value)):
        raise Unrenderable(f"{path} reads from an address, which would be fetched")
    base = path.rpartition("/")[0]
    for key in _KEYS_THAT_READ:
        entries = value.get(key) or []
        if not isinstance(entries, list):
            raise Unrenderable(f"{path}: `{key}` is not a list")
        for entry in entries:
            if not isinstance(entry, str) or entry.startswith("/"):
                raise Unrenderable(f"{path} reads `{entry}`, which is not a plain local path")
            target = posixpath.normpath(posixpath.join(base, entry))
            # kustomize clones a folder whose name looks like a host.
            if target not in paths or (target in folders and not _FOLDER.match(entry)):
                raise Unrenderable(
                    f"{path} reads `{entry}`, which is not here and would be fetched",
                    help="copy it into the repository and name it by its relative path",
                )


def _paths_in(value: object, *, named: bool = False) -> Iterator[str]:
    """Strings under a key that names files to read, at any depth."""
    if isinstance(value, str):
        if named:
            yield value
    elif isinstance(value, list):
        for item in value:
            yield from _paths_in(item, named=named)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _paths_in(item, named=key in _KEYS_OF_PATHS)
