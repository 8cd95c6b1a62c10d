"""How a local forge keeps rules, pull requests and reviews: small files in one git tree.

The tree stands at `refs/forge/journal`. Nothing in it depends on a clock, so that the same
operations give the same ids. Files: `repo.json`, `pulls/<nnnnnn>/pull.json`,
`pulls/<nnnnnn>/reviews/<nnnn>.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from pipeline.errors import GitFailed
from pipeline.forges.port import BranchRule, PullRequest, PullState, Review, ReviewVerdict
from pipeline.gitobjects import (
    MODE_FILE,
    GitObject,
    TreeEntry,
    graft,
    objects_of_files,
    parse_tree,
    tree_object,
)

if TYPE_CHECKING:
    from pipeline.gitcli import GitRepository

JOURNAL_REF = "refs/forge/journal"


def _bytes(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class Journal:
    """A repository's records: description, default branch, rules and pull requests by number."""

    description: str
    default_branch: str
    initial_commit: str
    rules: tuple[BranchRule, ...]
    pulls: Mapping[int, PullRequest]

    def files(self) -> dict[str, tuple[int, bytes]]:
        """The journal's files: path → mode, content."""
        return self.repo_files() | {
            path: file for pull in self.pulls.values() for path, file in pull_files(pull).items()
        }

    def repo_files(self) -> dict[str, tuple[int, bytes]]:
        """The file that describes the repository itself."""
        value = {
            "description": self.description,
            "default_branch": self.default_branch,
            "initial_commit": self.initial_commit,
            "rules": [asdict(r) for r in self.rules],
        }
        return {"repo.json": (MODE_FILE, _bytes(value))}


def pull_folder(number: int) -> str:
    """Where one pull request lies in the journal."""
    return f"pulls/{number:06d}"


def pull_files(pull: PullRequest) -> dict[str, tuple[int, bytes]]:
    """One pull request's files: path in the journal → mode, content."""
    folder = pull_folder(pull.number)
    value = asdict(pull)
    reviews = value.pop("reviews")
    files = {f"{folder}/pull.json": (MODE_FILE, _bytes(value))}
    for review in reviews:
        files[f"{folder}/reviews/{review['sequence']:04d}.json"] = (MODE_FILE, _bytes(review))
    return files


def parse_pull(pull: bytes, reviews: Sequence[bytes]) -> PullRequest:
    """The pull request that its files hold. Raises GitFailed when they are damaged."""
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
    """The journal without its pull requests. Raises GitFailed when it is damaged."""
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
        return Journal(
            value["description"], value["default_branch"], value["initial_commit"], rules, {}
        )
    except (ValueError, KeyError, TypeError) as error:
        raise GitFailed(f"the journal's repo.json is damaged: {error}") from error


def read_pull_folders(git: GitRepository, trees: Sequence[str]) -> dict[str, PullRequest]:
    """Tree id → the pull request whose folder it is; three round trips however many."""
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


def _entries(found: GitObject | None) -> dict[str, TreeEntry]:
    if found is None or found.type != "tree":
        raise GitFailed("the journal lacks a folder of a pull request")
    return {entry.name: entry for entry in parse_tree(found.content)}


def objects_over(
    git: GitRepository, head: str | None, files: Mapping[str, tuple[int, bytes]]
) -> tuple[GitObject, ...]:
    """The objects of the journal at `head` with `files` over it, the root tree last.

    `files` are `repo.json`, or all files of one pull request.
    """
    root = git.read_tree(head) or () if head else ()
    if "repo.json" in files:
        made = objects_of_files(files)
        kept = [entry for entry in root if entry.name != "repo.json"]
        own = parse_tree(made[-1].content)
        return (*made[:-1], tree_object([*kept, *own]))
    folder = "/".join(next(iter(files)).split("/")[:2])
    inner = objects_of_files({path.removeprefix(f"{folder}/"): f for path, f in files.items()})
    pulls = git.read_tree(f"{head}:pulls") or () if head else ()
    return (*inner, *graft((root, pulls), folder, inner[-1].id))
