"""The causes of requests: who brought each to main, with which pull request, and when."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

from pipeline.forges.port import Forge, PullRequest
from pipeline.git.commits import account_of_email
from pipeline.git.history import read_newest_touching
from pipeline.git.repository import GitRepository
from pipeline.models.base import BlobId, CommitId, Moment, moment_of
from pipeline.models.facts import Cause
from pipeline.models.requests import RiskTier
from pipeline.plan.view import Caused
from pipeline.requests.layout import GROUPS
from pipeline.requests.snapshot import Snapshot
from pipeline.world.revisions import Revisions


@dataclass
class Causes:
    """The causes of the requests of one snapshot of main."""

    forge: Forge
    control_repo: str
    control: GitRepository
    snapshot: Snapshot
    revisions: Revisions
    run_id: str
    # Request path → commit of main; the same for every look at this commit.
    brought: dict[str, str] = field(default_factory=dict)
    # Commit of main → the pull request that brought it.
    _merged: dict[str, PullRequest | None] = field(default_factory=dict)

    def read_ahead(self, tenant: str, paths: AbstractSet[str], asked: Collection[str]) -> None:
        """Prefetch what `of` needs for a tenant's requests, in one query for each kind of thing.

        For all `paths` it reads the commit that brought them; for those in `asked`, which the look
        will use, also the pull request and its other changes.
        """
        folder = f"tenants/{tenant}"
        own = {path for path in paths if path.startswith(f"{folder}/")}
        if not own <= self.brought.keys():
            self._read_brought(folder, own)
        groups = paths - own - self.brought.keys()
        if groups:
            self._read_brought(GROUPS, groups)
        commits = [self.brought.get(path, self.snapshot.commit) for path in asked]
        self._read_merged(commits)
        self.revisions.read_changed(commits)

    def of(
        self,
        path: str,
        blob: str,
        *,
        tier: RiskTier = "LOW",
        until: Moment | None = None,
        brought_by: str = "",
        now: Snapshot | None = None,
    ) -> Caused:
        """The cause of a request's content: the commit of main that brought it, who asked, and
        their and the reviewers' authority.

        The content is the current one, unless `brought_by` is the commit that brought an earlier
        one. `tier` is the accepted draft's. Reviews given after `until` are left out, and `now` is
        the policy of the decision, if that is not the newest.
        """
        if not brought_by and path not in self.brought:
            self._read_brought(path, [path])
        brought_by = brought_by or self.brought.get(path, self.snapshot.commit)
        commit = self.control.read_commit(brought_by)
        self._read_merged([commit.id])
        pull = self._merged[commit.id]
        if pull and until:
            reviews = tuple(r for r in pull.reviews if r.at is None or r.at <= until)
            pull = replace(pull, reviews=reviews)
        brought = self.revisions.read_brought(commit.id, pull) if pull else None
        actor = pull.author_id if pull else account_of_email(commit.author.email) or 0
        cause = Cause(
            request=path,
            commit=CommitId(commit.id),
            blob=BlobId(blob),
            run=self.run_id or f"local-{self.snapshot.commit[:12]}",
            actor=actor,
            merged_at=moment_of(commit.committer.time_s),
            brought=brought,
        )
        authority = self.revisions.read_authority(
            [path], commit.id, brought, now=now or self.snapshot, tier=tier
        )
        return Caused(cause, commit.committer.time_s, authority)

    def revisions_before(self, path: str, commit: str) -> Iterator[tuple[str, str]]:
        """The earlier contents of a request, newest first: the commit of main that brought each,
        and its blob. It ends where main did not have the request."""
        while True:
            found = self.control.read_object(f"{commit}^:{path}")
            if found is None:
                return
            before = f"{commit}^"
            newest = read_newest_touching(self.control.path, before, path, [path])
            if path not in newest:
                return
            commit = newest[path]
            yield commit, found.id

    def _read_brought(self, folder: str, paths: Collection[str]) -> None:
        head = self.snapshot.commit
        self.brought.update(read_newest_touching(self.control.path, head, folder, paths))

    def _read_merged(self, commits: Collection[str]) -> None:
        new = [commit for commit in dict.fromkeys(commits) if commit not in self._merged]
        found = self.forge.read_pulls_of_commits(self.control_repo, new) if new else {}
        self._merged.update({commit: found.get(commit) for commit in new})
