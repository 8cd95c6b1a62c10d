"""The one adapter to git: fixed argument vectors, a scrubbed environment, no shell.

No value from outside can become an option (`--end-of-options`, `--`); `pipeline.git.process` says
what else is kept out. Reading uses one `git cat-file --batch` process per repository; writing uses
one process fed with a pack made here (`pipeline.git.objects.pack_of`). Storing 60 files, measured
on two busy cores (median of 9): 360 ms with sixty `git hash-object -w`, 37 ms with one
`git unpack-objects`, 18 ms with one `git index-pack`; 200 files: 1,100, 157 and 27 ms. Why git and
not a library: docs/adr/0013-git-plumbing.md.

GitPython makes the checkouts (`pipeline.git.checkouts`) and reads the same objects in tests. It is
not used here, since every run reads and writes here. Compared in one run, on two busy cores
(medians): 1,000 blobs read in 9 ms here and 33 ms there; 200 commits of one file written one after
the other in 1.4 s here and 13.6 s there, and in 51 ms here with one write for all.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from pipeline.errors import GitFailed, NotFound, StalePlan
from pipeline.git.commits import Commit, parse_commit
from pipeline.git.objects import File, GitObject, RefUpdate, TreeEntry, pack_of, parse_tree
from pipeline.git.process import FULL_ID, NO_ID, in_repository, run_git
from pipeline.git.servers import ObjectReader, RefWriter

# `receive.*` applies the limits of the pipeline's own writes to people's pushes, and the hooks of
# this repository run whatever the pushing user's configuration says.
_BARE_CONFIG = """[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\thooksPath = hooks
[receive]
\tfsckObjects = true
\tdenyDeletes = true
\tdenyNonFastForwards = true
"""
# A write of at least this many objects is kept as one pack; smaller ones become loose objects,
# since thousands of small packs would slow down reading.
_KEEP_PACKED = 50
# Packing by another process may remove the folder of loose objects that a write is about to use;
# git makes it again once, and writing the same objects again does no harm.
_WRITE_TRIES = 5
_FOLDER_GONE = re.compile(r"failed to write object|unable to create temporary file")
# The ref at the start of a name, up to a path or a step from it.
_REF = re.compile(r"\Arefs/(?:(?!@\{)[^:^~])*")
# Where git also looks for a ref name.
_ELSEWHERE = (
    ("refs/", ""),
    ("refs/tags/", ""),
    ("refs/heads/", ""),
    ("refs/remotes/", ""),
    ("refs/remotes/", "/HEAD"),
)
_LOCKED = re.compile(r"Unable to create '.*\.lock': File exists|cannot lock ref .*\.lock")


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
        self._objects = ObjectReader(path)
        self._refs = RefWriter(path)

    def _run(
        self, *arguments: str, stdin: bytes = b"", accept: Sequence[int] = (0,)
    ) -> subprocess.CompletedProcess[bytes]:
        try:
            return run_git(
                [*in_repository(self.path), *arguments],
                name=self.path.name,
                stdin=stdin,
                accept=accept,
            )
        except GitFailed as failed:
            # A shallow history ends in an error, since its marks are not trusted.
            if any((self.path / name).exists() for name in ("shallow", ".git/shallow")):
                raise GitFailed(
                    f"{failed.message} ({self.path.name} is a shallow clone)",
                    help="`git fetch --unshallow` in it brings the rest of its history",
                ) from failed
            raise

    def _text(self, *arguments: str, accept: Sequence[int] = (0,)) -> str:
        done = self._run(*arguments, accept=accept)
        return done.stdout.decode("utf-8", "surrogateescape")

    def close(self) -> None:
        """End the running processes."""
        self._objects.close()
        self._refs.close()

    # -- reading -----------------------------------------------------------------------

    def read_object(self, spec: str) -> GitObject | None:
        """The object with this name, or None."""
        return self.read_objects([spec])[0]

    def read_objects(self, specs: Sequence[str]) -> list[GitObject | None]:
        """The objects with these names, in order; None for each missing one.

        One round trip for all; every content is checked against its id. Raises GitFailed for a
        damaged object and for a name with a line break. A name that begins with `refs/` means
        exactly that ref, never another that git would take instead.
        """
        return self._objects.read(self._exact(specs))

    def _exact(self, specs: Sequence[str]) -> Sequence[str]:
        """The names, with ids in place of refs that git could confuse with others.

        git looks for a missing `refs/heads/x` also as `refs/heads/refs/heads/x` (gitrevisions), so
        anybody who may push that one could supply the missing ref.
        """
        refs = sorted({found[0] for spec in specs if (found := _REF.match(spec))})
        if not any(
            self._objects.read([f"{at}{r}{end}^{{}}" for r in refs for at, end in _ELSEWHERE])
        ):
            return specs
        known = self.read_refs(refs)
        return [_REF.sub(lambda found: known.get(found[0], NO_ID), spec) for spec in specs]

    def has_commit(self, id: str) -> bool:
        """Whether this full id is a commit's, not that of a tag, a tree or a blob."""
        found = self.read_object(id)
        return found is not None and (found.type, found.id) == ("commit", id)

    def resolve(self, ref: str) -> str | None:
        """The object id at a full ref name, or None."""
        return self.resolve_all([ref]).get(ref)

    def resolve_all(self, refs: Iterable[str]) -> dict[str, str]:
        """Full ref name → object id, for the refs that exist; asks the reading process."""
        asked = [ref for ref in refs if not ref_problem(ref)]
        found = self.read_objects(asked)
        return {ref: item.id for ref, item in zip(asked, found, strict=True) if item}

    def read_refs(self, prefixes: Sequence[str] = ("refs/heads/",)) -> dict[str, str]:
        """Full ref name → object id of every ref under the prefixes."""
        text = self._text("for-each-ref", "--format=%(objectname)%00%(refname)", "--", *prefixes)
        # Not splitlines(): a ref name may contain characters that only Python takes as line ends.
        lines = (line.partition("\0") for line in text.split("\n") if line)
        return {name: id for id, _, name in lines}

    def resolve_commit(self, revision: str) -> str:
        """The commit of a person's revision (`HEAD~1`, a branch, a short id).

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
        if not FULL_ID.match(text):
            raise NotFound(f"`{revision}` names no commit in {self.path.name}")
        return text

    def read_tree(self, treeish: str) -> tuple[TreeEntry, ...] | None:
        """The entries of one tree (a tree, or a commit's), or None if there is none."""
        found = self.read_object(treeish if ":" in treeish else f"{treeish}^{{tree}}")
        return parse_tree(found.content) if found and found.type == "tree" else None

    def list_files(self, treeish: str, folder: str = "") -> dict[str, tuple[int, str]]:
        """Path below `folder` → (mode, object id) of every file there; empty if there is none.

        Raises GitFailed if a tree on the way is named but missing.
        """
        spec = f"{treeish}:{folder}" if folder else f"{treeish}^{{tree}}"
        root = self.read_object(spec)
        if root is None:
            self._refuse_gap(treeish, folder)
        if root is None or root.type != "tree":
            return {}
        return self._list(root.id)

    def _refuse_gap(self, treeish: str, folder: str) -> None:
        """Raise GitFailed if an object is missing; git reports that like a missing folder."""
        at = self.read_object(treeish)
        wanted = _commit_of(at, self.path.name).tree if at and at.type == "commit" else None
        for part in folder.split("/") if folder else ():
            tree = self.read_object(wanted) if wanted else at
            if tree is None or tree.type != "tree":
                break
            entries = {entry.name: entry.id for entry in parse_tree(tree.content)}
            if part not in entries:
                return
            wanted = entries[part]
        if wanted is not None and self.read_object(wanted) is None:
            raise GitFailed(
                f"{self.path.name} lacks object {wanted}", help="`git fsck` in it says what else"
            )

    def list_folders(self, commit: str, folders: Sequence[str]) -> dict[str, tuple[int, str]]:
        """Path → (mode, object id) of every file below any of the folders of a commit."""
        return self._list(commit, *folders)

    def list_sizes(self, treeish: str, folder: str = "") -> dict[str, int]:
        """Path below `folder` → size in bytes of every file there; 0 for a submodule."""
        spec = f"{treeish}:{folder}" if folder else f"{treeish}^{{tree}}"
        root = self.read_object(spec)
        if root is None or root.type != "tree":
            return {}
        text = self._text("ls-tree", "-r", "-l", "-z", "--full-tree", "--end-of-options", root.id)
        lines = (line.partition("\t") for line in text.split("\0") if line)
        sizes = {path: meta.split()[3] for meta, _, path in lines}
        return {path: int(size) if size.isdigit() else 0 for path, size in sizes.items()}

    def _list(self, treeish: str, *paths: str) -> dict[str, tuple[int, str]]:
        text = self._text("ls-tree", "-r", "-z", "--full-tree", "--end-of-options", treeish, *paths)
        files: dict[str, tuple[int, str]] = {}
        for line in text.split("\0"):
            if line:
                meta, _, path = line.partition("\t")
                mode, _, id = meta.split(" ")
                files[path] = (int(mode, 8), id)
        return files

    def read_files(self, treeish: str, folder: str = "") -> dict[str, File]:
        """Path below `folder` → (mode, content) of every file there. Raises NotFound for a gap."""
        listing = self.list_files(treeish, folder)
        found = self.read_objects([id for _, id in listing.values()])
        files: dict[str, File] = {}
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
        return _commit_of(found, self.path.name)

    def log_commits(self, head: str, *, first_parent: bool = False) -> Iterator[Commit]:
        """The commits reachable from `head`, children before parents."""
        options = ["--first-parent"] if first_parent else []
        ids = self._text(
            "rev-list", "--topo-order", *options, "--end-of-options", head, "--"
        ).split()
        for start in range(0, len(ids), 500):
            for id, found in zip(
                ids[start : start + 500], self.read_objects(ids[start : start + 500]), strict=True
            ):
                if found is None:
                    raise NotFound(f"{self.path.name} lacks commit {id}")
                yield _commit_of(found, self.path.name)

    def log_new_commits(self, base: str, head: str) -> tuple[Commit, ...]:
        """The commits reachable from `head` and not from `base`, children before parents."""
        ids = self._text(
            "rev-list", "--topo-order", "--end-of-options", head, f"^{base}", "--"
        ).split()
        return tuple(self.read_commit(id) for id in ids)

    def list_new_commits(self, heads: Iterable[str], seen: Iterable[str] = ()) -> list[str]:
        """The ids of commits reachable from `heads` but not from `seen`, parents first."""
        asked = [*heads, *(f"^{id}" for id in seen)]
        stdin = "".join(f"{line}\n" for line in asked).encode()
        done = self._run("rev-list", "--topo-order", "--reverse", "--stdin", stdin=stdin)
        return done.stdout.decode().split()

    def list_line(self, head: str, until: str | None = None) -> list[str]:
        """The ids of the first-parent line that ends at `head`, oldest first; only after `until`.

        Raises GitFailed for a shallow history.
        """
        wanted = [head, f"^{until}"] if until else [head]
        text = self._text("rev-list", "--first-parent", "--end-of-options", *wanted, "--")
        return text.split()[::-1]

    def is_ancestor(self, old: str, new: str) -> bool:
        """Whether `old` is reachable from `new`."""
        done = self._run("merge-base", "--is-ancestor", "--end-of-options", old, new, accept=(0, 1))
        return done.returncode == 0

    def merge_base(self, one: str, other: str) -> str | None:
        """The best common ancestor, or None."""
        text = self._text("merge-base", "--end-of-options", one, other, accept=(0, 1)).split()
        return text[0] if text else None

    def remote_url(self, name: str) -> str | None:
        """The address of a remote in this repository's own configuration."""
        text = self._text("config", "--local", "--get", f"remote.{name}.url", accept=(0, 1))
        return text.strip() or None

    # -- writing -----------------------------------------------------------------------

    def write_objects(self, objects: Iterable[GitObject]) -> None:
        """Store objects that nothing refers to yet; existing ones are left alone.

        Raises GitFailed for a malformed object, and for one that names an object that is neither
        among them nor in the repository.
        """
        items = list(objects)
        if not items:
            return
        if len(items) >= _KEEP_PACKED:
            self._run("index-pack", "--stdin", "--strict", stdin=pack_of(items))
            return
        for tries_left in range(_WRITE_TRIES - 1, -1, -1):
            try:
                self._run("unpack-objects", "-q", "--strict", stdin=pack_of(items))
                return
            except GitFailed as failed:
                if not tries_left or not _FOLDER_GONE.search(failed.message):
                    raise

    def update_refs(self, updates: Sequence[RefUpdate]) -> None:
        """Move all refs at once, each from its old value, or none of them.

        A ref already at its new value counts as moved. Raises StalePlan if one is elsewhere, or
        another process is moving it.
        """
        for update in updates:
            problem = ref_problem(update.ref)
            if problem:
                raise GitFailed(f"`{update.ref}` is not a ref name: {problem}")
            if not (FULL_ID.match(update.new) and FULL_ID.match(update.old or update.new)):
                raise GitFailed(f"{update.ref} can only be moved between full object ids")
        left = list(updates)
        while left:
            try:
                self._move_refs(left, [u for u in updates if u not in left])
                return
            except GitFailed as failed:
                now = self.read_refs([u.ref for u in updates])
                still = [u for u in updates if now.get(u.ref) != u.new]
                for update in still:
                    if now.get(update.ref) != update.old:
                        raise StalePlan(f"{update.ref} moved") from failed
                if len(still) >= len(left):
                    # Another process held the lock: treat the ref as moved, look again.
                    if _LOCKED.search(failed.message):
                        raise StalePlan(
                            f"{left[0].ref} is being moved by somebody else",
                            help="if nothing else runs, a crash left a `.lock` file beside it",
                        ) from failed
                    raise
                left = still

    def _move_refs(self, moved: Sequence[RefUpdate], there: Sequence[RefUpdate]) -> None:
        """One transaction: `moved` go from old to new, and `there` must already be at new."""
        lines = ["start\0"]
        for update in moved:
            if update.old is None:
                lines.append(f"create {update.ref}\0{update.new}\0")
            else:
                lines.append(f"update {update.ref}\0{update.new}\0{update.old}\0")
        lines += [f"verify {update.ref}\0{update.new}\0" for update in there]
        lines += ["prepare\0", "commit\0"]
        self._refs.commit("".join(lines).encode("utf-8", "surrogateescape"))

    def pack_all(self) -> None:
        """Combine small packs and loose objects into larger packs, and refs into one file.

        Unreferenced objects are kept, and running readers and writers go on.
        """
        self._run("repack", "-q", "-d", "-n", "--geometric=2", "--no-write-bitmap-index")
        self._run("pack-refs", "--all")

    def merge_tree(self, base: str, head: str) -> str:
        """The tree of merging `head` into `base`. Raises StalePlan on a conflict."""
        done = self._run(
            "merge-tree", "--write-tree", "--end-of-options", base, head, accept=(0, 1)
        )
        first = done.stdout.decode().split("\n", 1)[0].strip()
        if not FULL_ID.match(first):
            said = done.stderr.decode("utf-8", "replace").strip()
            raise GitFailed(f"git merge-tree failed in {self.path.name}: {said}")
        if done.returncode != 0:
            raise StalePlan(f"merging {head[:12]} into {base[:12]} conflicts")
        return first

    @classmethod
    def clone(cls, source: str, path: Path) -> GitRepository:
        """A clone of `source` (a path or an https address) at `path`, with a work tree."""
        from pipeline.git.checkouts import clone_checkout  # GitPython, 75 ms; rarely needed

        clone_checkout(source, path)
        return cls(path)

    @classmethod
    def init_bare(cls, path: Path, default_branch: str = "main") -> GitRepository:
        """A new bare repository at `path`, without template files (gitrepository-layout)."""
        problem = ref_problem(f"refs/heads/{default_branch}")
        if problem:
            raise GitFailed(f"`{default_branch}` is not a branch name: {problem}")
        for folder in ("objects/info", "objects/pack", "refs/heads", "refs/tags"):
            (path / folder).mkdir(parents=True, exist_ok=True)
        (path / "config").write_text(_BARE_CONFIG, encoding="utf-8")
        # HEAD makes it a repository, so it comes last.
        (path / "HEAD").write_text(f"ref: refs/heads/{default_branch}\n", encoding="utf-8")
        return cls(path)


def _commit_of(found: GitObject, name: str) -> Commit:
    try:
        return parse_commit(found.id, found.content)
    except ValueError as malformed:
        raise GitFailed(
            f"commit {found.id[:12]} in {name} is malformed: {malformed}"
        ) from malformed


def read_parents(git: GitRepository, commit: str, folder: str) -> tuple[tuple[TreeEntry, ...], ...]:
    """The entries of each tree above `folder` at a commit, root first, as far as they exist."""
    parts = folder.split("/")
    specs = [f"{commit}^{{tree}}"]
    specs += [f"{commit}:{'/'.join(parts[:depth])}" for depth in range(1, len(parts))]
    parents = []
    for found in git.read_objects(specs):
        if found is None or found.type != "tree":
            break
        parents.append(parse_tree(found.content))
    return tuple(parents)
