"""The one adapter to git: fixed argument vectors, a scrubbed environment, no shell.

No hook, user or system configuration, pager, prompt, replacement object or foreign protocol
takes part, and no value from outside can become an option (`--end-of-options`, `--`). Reading
goes through one `git cat-file --batch` process a repository; writing goes through one
`git unpack-objects` fed with a pack made here (`pipeline.gitobjects.pack_of`), which for the
60 files of a primitive is one process instead of one a file: 4 ms against 190 ms by
`git hash-object -w` each.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO

from pipeline.commits import Commit, parse_commit
from pipeline.errors import GitFailed, NotFound, StalePlan
from pipeline.forges.port import RefUpdate
from pipeline.gitobjects import GitObject, ObjectType, TreeEntry, git_object, pack_of, parse_tree

TIMEOUT_S = 120
_FULL_ID = re.compile(r"[0-9a-f]{40}\Z")
_TYPES: dict[str, ObjectType | None] = {
    "commit": "commit",
    "tree": "tree",
    "blob": "blob",
    "tag": None,
}
_CONFIG = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.quotePath=false",
    "core.logAllRefUpdates=false",
    "gc.auto=0",
    "maintenance.auto=false",
    "protocol.allow=never",
    "protocol.file.allow=always",
    "protocol.https.allow=always",
    "safe.directory=*",
    "transfer.fsckObjects=true",
)


def git_environment() -> dict[str, str]:
    """The whole environment that git runs in; nothing is inherited but PATH."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": "/nonexistent",
        "LC_ALL": "C",
        "TZ": "UTC",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "true",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_AUTHOR_NAME": "primitive-pipeline",
        "GIT_AUTHOR_EMAIL": "primitive-pipeline@users.noreply.pipeline.invalid",
        "GIT_COMMITTER_NAME": "primitive-pipeline",
        "GIT_COMMITTER_EMAIL": "primitive-pipeline@users.noreply.pipeline.invalid",
    }


def git_command(*arguments: str) -> list[str]:
    """The argument vector of one git call, with the configuration that every call has."""
    command = ["git", "--no-pager", "--literal-pathspecs"]
    for setting in _CONFIG:
        command += ["-c", setting]
    return command + list(arguments)


def ref_problem(ref: str) -> str:
    """Why a full ref name is malformed, or an empty string (git-check-ref-format)."""
    if not ref.startswith("refs/") or ref.endswith(("/", ".", ".lock")) or ref == "refs/":
        return "must start with `refs/` and not end in `/`, `.` or `.lock`"
    if ".." in ref or "@{" in ref or "//" in ref or any(c in ref for c in " ~^:?*[\\\x7f"):
        return "holds `..`, `@{`, `//` or one of ` ~^:?*[\\`"
    if any(ord(c) < 0x20 for c in ref):
        return "holds a control character"
    for part in ref.split("/"):
        if part.startswith((".", "-")) or part.endswith(".lock"):
            return "has a part that starts with `.` or `-`, or ends in `.lock`"
    return ""


class GitRepository:
    """One repository on disk, bare or not. Not safe to share between threads."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._batch: subprocess.Popen[bytes] | None = None

    # -- processes ---------------------------------------------------------------------

    def _run(
        self, *arguments: str, stdin: bytes = b"", accept: Sequence[int] = (0,)
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            done = subprocess.run(
                git_command("-C", str(self.path), *arguments),
                input=stdin,
                capture_output=True,
                env=git_environment(),
                timeout=TIMEOUT_S,
                check=False,
            )
        except FileNotFoundError as missing:
            raise GitFailed(
                "there is no `git` on PATH", help="install git 2.38 or newer"
            ) from missing
        except subprocess.TimeoutExpired as expired:
            raise GitFailed(f"git {arguments[0]} took over {TIMEOUT_S} s") from expired
        if done.returncode not in accept:
            lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
            said = lines[-1] if lines else f"exit code {done.returncode}"
            raise GitFailed(f"git {arguments[0]} failed in {self.path.name}: {said}")
        return done

    def _text(self, *arguments: str, accept: Sequence[int] = (0,)) -> str:
        done = self._run(*arguments, accept=accept)
        return done.stdout.decode("utf-8", "surrogateescape")

    def _reader(self) -> subprocess.Popen[bytes]:
        if self._batch is None or self._batch.poll() is not None:
            self._batch = subprocess.Popen(
                git_command("-C", str(self.path), "cat-file", "--batch"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=git_environment(),
            )
            weakref.finalize(self, _end, self._batch)
        return self._batch

    def close(self) -> None:
        """End the reading process, if one runs."""
        if self._batch is not None:
            _end(self._batch)
            self._batch = None

    # -- reading -----------------------------------------------------------------------

    def read_object(self, spec: str) -> GitObject | None:
        """The object that a name stands for, or None."""
        return self.read_objects([spec])[0]

    def read_objects(self, specs: Sequence[str]) -> list[GitObject | None]:
        """The objects that the names stand for, in order; None for each that is not there.

        One round trip for all. An object named by its full id is checked against it.
        """
        if not specs:
            return []
        # Bytes that a line cannot carry name nothing.
        asked = [s if "\n" not in s and "\0" not in s and s else "0" * 40 for s in specs]
        process = self._reader()
        stdin, stdout = process.stdin, process.stdout
        if stdin is None or stdout is None:
            raise GitFailed("git cat-file has no pipes")
        request = "".join(f"{spec}\n" for spec in asked).encode("utf-8", "surrogateescape")

        def send() -> None:
            try:
                stdin.write(request)
                stdin.flush()
            except OSError:
                return  # the reader below sees the process gone

        writer = threading.Thread(target=send, daemon=True)
        writer.start()
        results: list[GitObject | None] = []
        try:
            for spec in asked:
                results.append(_read_answer(stdout, spec))
        finally:
            writer.join(timeout=TIMEOUT_S)
        return results

    def resolve(self, ref: str) -> str | None:
        """The object id at a full ref name, or None."""
        text = self._text("for-each-ref", "--format=%(objectname)%00%(refname)", "--", ref)
        for line in text.splitlines():
            id, _, name = line.partition("\0")
            if name == ref:
                return id
        return None

    def read_refs(self, prefixes: Sequence[str] = ("refs/heads/",)) -> dict[str, str]:
        """Full ref name → object id of every ref under the prefixes."""
        text = self._text("for-each-ref", "--format=%(objectname)%00%(refname)", "--", *prefixes)
        return {n: i for i, _, n in (line.partition("\0") for line in text.splitlines())}

    def head_commit(self) -> str | None:
        """The commit that HEAD stands for, or None in an empty repository."""
        found = self.read_object("HEAD")
        return found.id if found else None

    def resolve_commit(self, revision: str) -> str:
        """The commit that a person's revision (`HEAD~1`, a branch, a short id) stands for.

        Raises NotFound.
        """
        text = self._text(
            "rev-parse",
            "--verify",
            "--quiet",
            "--end-of-options",
            f"{revision}^{{commit}}",
            accept=(0, 1, 128),
        ).strip()
        if not _FULL_ID.match(text):
            raise NotFound(f"`{revision}` names no commit in {self.path.name}")
        return text

    def read_tree(self, treeish: str) -> tuple[TreeEntry, ...] | None:
        """The entries of one tree (a tree, or a commit's), or None if there is none."""
        found = self.read_object(treeish if ":" in treeish else f"{treeish}^{{tree}}")
        return parse_tree(found.content) if found and found.type == "tree" else None

    def list_files(self, treeish: str, folder: str = "") -> dict[str, tuple[int, str]]:
        """Path below `folder` → (mode, object id) of every file there; empty if there is none."""
        spec = f"{treeish}:{folder}" if folder else f"{treeish}^{{tree}}"
        root = self.read_object(spec)
        if root is None or root.type != "tree":
            return {}
        text = self._text("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", root.id)
        files: dict[str, tuple[int, str]] = {}
        for line in text.split("\0"):
            if line:
                meta, _, path = line.partition("\t")
                mode, _, id = meta.split(" ")
                files[path] = (int(mode, 8), id)
        return files

    def read_files(self, treeish: str, folder: str = "") -> dict[str, tuple[int, bytes]]:
        """Path below `folder` → (mode, content) of every file there. Raises NotFound for a gap."""
        listing = self.list_files(treeish, folder)
        found = self.read_objects([id for _, id in listing.values()])
        files: dict[str, tuple[int, bytes]] = {}
        for (path, (mode, id)), item in zip(listing.items(), found, strict=True):
            if item is None:
                raise NotFound(f"{self.path.name} lacks object {id} of {path}")
            files[path] = (mode, item.content)
        return files

    def diff_names(self, old: str, new: str, folder: str = "") -> tuple[str, ...]:
        """Paths that differ between two commits or trees, below `folder` if one is named."""
        paths = ["--", folder] if folder else ["--"]
        text = self._text(
            "diff-tree",
            "-r",
            "-z",
            "--no-renames",
            "--name-only",
            "--end-of-options",
            old,
            new,
            *paths,
        )
        return tuple(p for p in text.split("\0") if p)

    def commits_touching(
        self, head: str, path: str, *, limit: int = 1, first_parent: bool = True
    ) -> tuple[str, ...]:
        """The newest commits reachable from `head` that changed `path`, newest first."""
        options = ["--first-parent"] if first_parent else []
        text = self._text(
            "rev-list", f"--max-count={limit}", *options, "--end-of-options", head, "--", path
        )
        return tuple(text.split())

    def read_commit(self, id: str) -> Commit:
        """The commit of this id. Raises NotFound."""
        found = self.read_object(id)
        if found is None or found.type != "commit":
            raise NotFound(f"{self.path.name} has no commit {id[:12]}")
        return parse_commit(found.id, found.content)

    def log_commits(self, head: str, *, first_parent: bool = False) -> Iterator[Commit]:
        """The commits reachable from `head`, newest first."""
        options = ["--first-parent"] if first_parent else []
        ids = self._text("rev-list", *options, "--end-of-options", head, "--").split()
        for start in range(0, len(ids), 500):
            for id, found in zip(
                ids[start : start + 500], self.read_objects(ids[start : start + 500]), strict=True
            ):
                if found is None:
                    raise NotFound(f"{self.path.name} lacks commit {id}")
                yield parse_commit(found.id, found.content)

    def list_commits(self, head: str) -> frozenset[str]:
        """The ids of all commits reachable from `head`."""
        return frozenset(self._text("rev-list", "--end-of-options", head, "--").split())

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `old` is reachable from `new`."""
        done = self._run("merge-base", "--is-ancestor", "--end-of-options", old, new, accept=(0, 1))
        return done.returncode == 0

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor, or None."""
        text = self._text("merge-base", "--end-of-options", one, other, accept=(0, 1)).split()
        return text[0] if text else None

    def remote_url(self, name: str) -> str | None:
        """The address of a remote, as configured in this repository alone."""
        text = self._text("config", "--local", "--get", f"remote.{name}.url", accept=(0, 1))
        return text.strip() or None

    # -- writing -----------------------------------------------------------------------

    def write_objects(self, objects: Iterable[GitObject]) -> None:
        """Store objects that nothing refers to yet; those already there are left alone."""
        items = list(objects)
        if items:
            self._run("unpack-objects", "-q", stdin=pack_of(items))

    def update_refs(self, updates: Sequence[RefUpdate]) -> None:
        """Move all refs at once, each from its old value, or none of them.

        All being there already counts as done. Raises StalePlan when one is elsewhere.
        """
        lines = ["start\0"]
        for update in updates:
            problem = ref_problem(update.ref)
            if problem:
                raise GitFailed(f"`{update.ref}` is no ref name: {problem}")
            if update.old is None:
                lines.append(f"create {update.ref}\0{update.new}\0")
            else:
                lines.append(f"update {update.ref}\0{update.new}\0{update.old}\0")
        lines += ["prepare\0", "commit\0"]
        try:
            self._run("update-ref", "--stdin", "-z", stdin="".join(lines).encode())
        except GitFailed as failed:
            if all(self.resolve(u.ref) == u.new for u in updates):
                return
            for update in updates:
                if self.resolve(update.ref) != update.old:
                    raise StalePlan(f"{update.ref} moved") from failed
            # Somebody held the lock at that moment: as good as moved, look again.
            if "lock" in failed.message or "exists" in failed.message:
                raise StalePlan(f"{updates[0].ref} is being moved by somebody else") from failed
            raise

    def merge_tree(self, base: str, head: str) -> str:
        """The tree of merging `head` into `base`. Raises StalePlan on a conflict."""
        done = self._run(
            "merge-tree", "--write-tree", "--end-of-options", base, head, accept=(0, 1)
        )
        first = done.stdout.decode().split("\n", 1)[0].strip()
        if done.returncode != 0 or not _FULL_ID.match(first):
            raise StalePlan(f"merging {head[:12]} into {base[:12]} conflicts")
        return first

    @classmethod
    def clone(cls, source: str, path: Path) -> GitRepository:
        """A clone of `source` (a path or an https address) at `path`, with a work tree."""
        path.parent.mkdir(parents=True, exist_ok=True)
        parent = cls(path.parent)
        parent._run(
            "clone", "-q", "--no-local", "--template=", "--end-of-options", source, path.name
        )
        return cls(path)

    @classmethod
    def init_bare(cls, path: Path, default_branch: str = "main") -> GitRepository:
        """A new bare repository at `path`, without template files."""
        path.mkdir(parents=True, exist_ok=True)
        repository = cls(path)
        repository._run(
            "init", "-q", "--bare", "--template=", f"--initial-branch={default_branch}", "."
        )
        return repository


def _end(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            try:
                stream.close()
            except OSError:
                continue
    process.kill()
    process.wait()


def _read_answer(stdout: IO[bytes], spec: str) -> GitObject | None:
    header = stdout.readline().decode("utf-8", "surrogateescape").rstrip("\n")
    if not header:
        raise GitFailed("git cat-file ended")
    parts = header.rsplit(" ", 2)
    if len(parts) != 3 or parts[1] not in _TYPES or not parts[2].isdigit():
        return None  # `… missing`, `… ambiguous`
    content = stdout.read(int(parts[2]))
    stdout.read(1)
    type = _TYPES[parts[1]]
    if type is None:
        return None
    made = git_object(type, content)
    if _FULL_ID.match(spec) and made.id != spec:
        raise GitFailed(f"object {spec} is damaged")
    return GitObject(made.type, content, parts[0])
