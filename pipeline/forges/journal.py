"""How a local forge keeps rules, pull requests and reviews: small files in one git tree. Pure.

The tree stands at `refs/forge/journal`. Nothing in it depends on a clock, so that the same
operations give the same ids. Files: `repo.json`, `pulls/<nnnnnn>/pull.json`,
`pulls/<nnnnnn>/reviews/<nnnn>.json`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from pipeline.forges.port import BranchRule, PullRequest, PullState, Review, ReviewVerdict
from pipeline.gitobjects import MODE_FILE

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


def parse_pull(pull: bytes, reviews: list[bytes]) -> PullRequest:
    """The pull request that its files hold."""
    value = json.loads(pull)
    found = []
    for content in reviews:
        review = json.loads(content)
        found.append(Review(**{**review, "verdict": ReviewVerdict(review["verdict"])}))
    value["state"] = PullState(value["state"])
    return PullRequest(**value, reviews=tuple(sorted(found, key=lambda r: r.sequence)))


def parse_repo(content: bytes) -> Journal:
    """The journal without its pull requests."""
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
