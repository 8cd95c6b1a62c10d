"""A local forge's journal of rules, pull requests and reviews: small files in one git tree.

The tree is at `refs/forge/journal`. Only the times of reviews and merges depend on a clock, so with
the same clock the same operations give the same ids. A folder holds at most a hundredth or a 256th
of the pull requests, so the cost of a write hardly grows with their number. Files:

- `repo.json`: description, rules, first commit, and the format of all this
- `pulls/<nnnnnn>/<nn>/pull.json`: one pull request; the last two digits of its number come last
- `pulls/<nnnnnn>/<nn>/reviews/<nnnn>.json`: its reviews
- `heads/<xx>/<x…>`: the number of the pull request from one branch into another, by their hash
- `pushes/<xx>/<x…>`: who pushed a branch that no rule closes, by the hash of its name
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pipeline.errors import GitFailed, NotFound
from pipeline.forges.port import (
    BranchRule,
    Check,
    Comment,
    PullRequest,
    PullState,
    Push,
    Review,
    ReviewVerdict,
)
from pipeline.git.objects import (
    MODE_FILE,
    MODE_TREE,
    Files,
    GitObject,
    TreeEntry,
    git_object,
    parse_tree,
    tree_object,
)

if TYPE_CHECKING:
    from pipeline.git.repository import GitRepository

JOURNAL_REF = "refs/forge/journal"
_FORMAT = 2
_PULLS_A_FOLDER = 100


def _bytes(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Journal:
    """A repository's own entry in its journal: `repo.json`."""

    description: str
    default_branch: str
    initial_commit: str
    rules: tuple[BranchRule, ...]

    def files(self) -> Files:
        """Its file: path in the journal → mode, content."""
        value = {
            "format": _FORMAT,
            "description": self.description,
            "default_branch": self.default_branch,
            "initial_commit": self.initial_commit,
            "rules": [asdict(r) for r in self.rules],
        }
        return {"repo.json": (MODE_FILE, _bytes(value))}


def pull_folder(number: int) -> str:
    """The folder of one pull request in the journal."""
    above, last = divmod(number, _PULLS_A_FOLDER)
    return f"pulls/{above:06d}/{last:02d}"


def _head_path(head_branch: str, base_branch: str) -> str:
    """The journal's path for the number of the pull request from one branch into another."""
    # No branch name contains a NUL.
    words = f"{head_branch}\0{base_branch}".encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(words).hexdigest()
    return f"heads/{digest[:2]}/{digest[2:]}"


def _pushes_path(branch: str) -> str:
    digest = hashlib.sha256(branch.encode("utf-8", "surrogateescape")).hexdigest()
    return f"pushes/{digest[:2]}/{digest[2:]}"


def push_files(branch: str, pushes: Sequence[Push]) -> Files:
    """The file of all pushes to a branch, oldest first."""
    value = [[push.commit, push.account] for push in pushes]
    return {_pushes_path(branch): (MODE_FILE, _bytes(value))}


def head_files(pull: PullRequest) -> Files:
    """The file that finds a pull request by its branches; it never changes."""
    path = _head_path(pull.head_branch, pull.base_branch)
    return {path: (MODE_FILE, _bytes(pull.number))}


def pull_files(pull: PullRequest) -> Files:
    """One pull request's files: path in the journal → mode, content."""
    folder = pull_folder(pull.number)
    value = asdict(pull)
    reviews = value.pop("reviews")
    del value["is_queued"]  # nothing waits in a local forge
    if pull.merged_at is None:
        del value["merged_at"]
    files = {f"{folder}/pull.json": (MODE_FILE, _bytes(value))}
    for review in reviews:
        if review["at"] is None:  # written before reviews had times
            del review["at"]
        files[f"{folder}/reviews/{review['sequence']:04d}.json"] = (MODE_FILE, _bytes(review))
    return files


def _comments_folder(number: int) -> str:
    return pull_folder(number).replace("pulls/", "comments/", 1)


def comment_files(number: int, place: int, comment: Comment) -> Files:
    """The file of a pull request's comment at a place, counted from 0."""
    path = f"{_comments_folder(number)}/{place:04d}.json"
    return {path: (MODE_FILE, _bytes(asdict(comment)))}


def _checks_folder(commit: str) -> str:
    return f"checks/{commit}"


def check_files(commit: str, check: Check) -> Files:
    """The file of a check on a commit: one per name and author."""
    path = f"{_checks_folder(commit)}/{check.name}.{check.by}.json"
    return {path: (MODE_FILE, _bytes(asdict(check)))}


def parse_pull(pull: bytes, reviews: Sequence[bytes]) -> PullRequest:
    """The pull request in its files. Raises GitFailed if they are damaged."""
    try:
        value = json.loads(pull)
        found = []
        for content in reviews:
            review = json.loads(content)
            found.append(Review(**{**review, "verdict": ReviewVerdict(review["verdict"])}))
        value["state"] = PullState(value["state"])
        return PullRequest(**value, reviews=tuple(sorted(found, key=lambda r: r.sequence)))
    except (ValueError, KeyError, TypeError) as error:
        raise GitFailed(f"a pull request in the journal is damaged: {error}") from error


def parse_repo(content: bytes) -> Journal:
    """The entry in `repo.json`. Raises GitFailed if it is damaged or in another format."""
    try:
        value = json.loads(content)
        rules = tuple(
            BranchRule(
                r["pattern"],
                push=None if r["push"] is None else tuple(r["push"]),
                merge=None if r["merge"] is None else tuple(r["merge"]),
                approvals=r["approvals"],
            )
            for r in value["rules"]
        )
        found = Journal(
            value["description"], value["default_branch"], value["initial_commit"], rules
        )
    except (ValueError, KeyError, TypeError) as error:
        raise GitFailed(f"the journal's repo.json is damaged: {error}") from error
    if value.get("format") != _FORMAT:
        raise GitFailed(
            f"the journal has format {value.get('format', 1)}, this version keeps {_FORMAT}",
            help="another version of the pipeline made this forge: use that one, or a new forge",
        )
    return found


# -- reading -------------------------------------------------------------------------------


def read_journal(git: GitRepository, revision: str | None) -> Journal:
    """The repository's own entry in the journal at a commit. Raises NotFound, GitFailed."""
    found = git.read_object(f"{revision}:repo.json") if revision else None
    if found is None:
        raise NotFound(f"{git.path.name} is not a repository of a local forge (no journal)")
    return parse_repo(found.content)


def read_journal_commit(git: GitRepository, refs: Mapping[str, str]) -> str:
    """The commit of the journal among the refs. Raises NotFound, GitFailed for another format."""
    journal = refs.get(JOURNAL_REF)
    read_journal(git, journal)
    assert journal is not None  # `read_journal` checked
    return journal


def read_folders(git: GitRepository, journal: str) -> dict[int, str]:
    """Number → tree id of the folder of every pull request, in order; two round trips."""
    above = git.read_tree(f"{journal}:pulls") or ()
    below = git.read_objects([entry.id for entry in above])
    return {
        int(entry.name) * _PULLS_A_FOLDER + int(name): folder.id
        for entry, found in zip(above, below, strict=True)
        for name, folder in _entries(found).items()
    }


def read_numbers(
    git: GitRepository, journal: str, branches: Sequence[tuple[str, str]]
) -> tuple[list[int | None], int]:
    """For each pair of head and base branch the number of its pull request, or None; and the next
    free number. Two round trips."""
    paths = [_head_path(head, base) for head, base in branches]
    pulls, *found = git.read_objects([f"{journal}:{path}" for path in ("pulls", *paths)])
    numbers = [int(item.content) if item else None for item in found]
    above = list(_entries(pulls)) if pulls else []
    if not above:
        return numbers, 1
    newest = git.read_tree(f"{journal}:pulls/{above[-1]}") or ()
    return numbers, int(above[-1]) * _PULLS_A_FOLDER + int(newest[-1].name) + 1


def read_pull_folders(git: GitRepository, trees: Sequence[str]) -> dict[str, PullRequest]:
    """Tree id → the pull request in that folder; three round trips for any number."""
    folders = [_entries(found) for found in git.read_objects(trees)]
    if any("pull.json" not in folder for folder in folders):
        raise GitFailed(f"the journal of {git.path.name} holds a folder without a pull request")
    review_trees = [folder["reviews"].id for folder in folders if "reviews" in folder]
    reviews = {
        tree: [entry.id for entry in _entries(found).values()]
        for tree, found in zip(review_trees, git.read_objects(review_trees), strict=True)
    }
    wanted = [
        [f["pull.json"].id, *(reviews[f["reviews"].id] if "reviews" in f else ())] for f in folders
    ]
    blobs = iter(git.read_objects([id for ids in wanted for id in ids]))
    pulls: dict[str, PullRequest] = {}
    for tree, ids in zip(trees, wanted, strict=True):
        contents = [blob.content for blob in (next(blobs) for _ in ids) if blob is not None]
        if len(contents) != len(ids):
            raise GitFailed(f"the journal of {git.path.name} lacks files of a pull request")
        pulls[tree] = parse_pull(contents[0], contents[1:])
    return pulls


def read_comments(git: GitRepository, journal: str, number: int) -> list[Comment]:
    """The comments on a pull request, in order. Raises GitFailed if they are damaged."""
    entries = git.read_tree(f"{journal}:{_comments_folder(number)}") or ()
    found = git.read_objects([entry.id for entry in entries])
    try:
        return [Comment(**json.loads(item.content)) for item in found if item is not None]
    except (ValueError, TypeError) as error:
        raise GitFailed(f"a comment in the journal is damaged: {error}") from error


def read_pushes(git: GitRepository, journal: str, branch: str) -> tuple[Push, ...]:
    """The pushes to a branch, oldest first. Raises GitFailed if they are damaged."""
    found = git.read_object(f"{journal}:{_pushes_path(branch)}")
    try:
        return tuple(
            Push(str(commit), int(account))
            for commit, account in (json.loads(found.content) if found else ())
        )
    except (ValueError, TypeError) as error:
        raise GitFailed(f"the pushes of a branch in the journal are damaged: {error}") from error


def read_checks(git: GitRepository, journal: str, commit: str) -> tuple[Check, ...]:
    """The checks on a commit, by name. Raises GitFailed if they are damaged."""
    entries = git.read_tree(f"{journal}:{_checks_folder(commit)}") or ()
    found = git.read_objects([entry.id for entry in entries])
    try:
        return tuple(Check(**json.loads(item.content)) for item in found if item is not None)
    except (ValueError, TypeError) as error:
        raise GitFailed(f"a check in the journal is damaged: {error}") from error


def _entries(found: GitObject | None) -> dict[str, TreeEntry]:
    if found is None or found.type != "tree":
        raise GitFailed("the journal lacks a folder of a pull request")
    return {entry.name: entry for entry in parse_tree(found.content)}


# -- writing -------------------------------------------------------------------------------


def objects_over(git: GitRepository, journal: str | None, files: Files) -> tuple[GitObject, ...]:
    """The objects of the journal at a commit with `files` written over it, the root tree last.

    Only the folders above the files are read and rewritten.
    """
    above = {path: path.split("/")[:-1] for path in files}
    folders = sorted(
        {"/".join(parts[:depth]) for parts in above.values() for depth in range(len(parts) + 1)}
    )
    found = git.read_objects([f"{journal}:{folder}" for folder in folders]) if journal else ()
    entries = {folder: _entries(tree) for folder, tree in zip(folders, found, strict=False) if tree}
    made = []
    for path, (mode, content) in files.items():
        blob = git_object("blob", content)
        folder, _, name = path.rpartition("/")
        entries.setdefault(folder, {})[name] = TreeEntry(mode, name, blob.id)
        made.append(blob)
    for path in reversed(folders):  # subfolders sort after their folder
        tree = tree_object(entries[path].values())
        made.append(tree)
        if path:
            folder, _, name = path.rpartition("/")
            entries.setdefault(folder, {})[name] = TreeEntry(MODE_TREE, name, tree.id)
    return tuple(made)
