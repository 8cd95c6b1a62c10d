"""Pull requests of a local forge: opened, read, reviewed, merged and closed, in the journal."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace

from pipeline.errors import ForgeRefused, NotFound, StalePlan
from pipeline.forges.branch_rules import check_close, check_merge, newest_review
from pipeline.forges.local.journal import (
    JOURNAL_REF,
    head_files,
    pull_files,
    read_journal,
    read_journal_commit,
    read_numbers,
)
from pipeline.forges.local.journal_writing import JOURNAL_TRIES, move_journal, too_busy, wait
from pipeline.forges.local.pull_values import HEADS, at_head, new_pull, reworded
from pipeline.forges.local.pushers import read_files_of_openings
from pipeline.forges.local.store import LocalStore
from pipeline.forges.port import PullAsk, PullRequest, PullState, Review, ReviewVerdict
from pipeline.git.objects import RefUpdate, Signature, commit_object
from pipeline.machine.clock import Clock
from pipeline.models.base import moment_of


class LocalPullRequests:
    """The pull requests of one organisation's repositories."""

    def __init__(self, store: LocalStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def open_pull(
        self, repo: str, *, head_branch: str, base_branch: str, title: str, body: str, actor: int
    ) -> PullRequest:
        """The pull request of a branch, found or created."""
        [pull] = self.open_pulls(
            repo, [PullAsk(head_branch, base_branch, title, body)], actor=actor
        )
        return pull

    def open_pulls(
        self, repo: str, asked: Sequence[PullAsk], *, actor: int
    ) -> tuple[PullRequest, ...]:
        """The pull request of each branch, found or created, with one write for all."""
        for ask in asked:
            if ask.head_branch == ask.base_branch:
                raise ForgeRefused(f"{repo}: `{ask.head_branch}` cannot be merged into itself")
        git = self._store.open_repository(repo)
        between = [(ask.head_branch, ask.base_branch) for ask in asked]
        branches = sorted({f"{HEADS}{branch}" for pair in between for branch in pair})
        for attempt in range(JOURNAL_TRIES):
            refs = git.resolve_all([JOURNAL_REF, *branches])
            journal = read_journal_commit(git, refs)
            numbers, free = read_numbers(git, journal, between)
            found = {
                pair: at_head(self._store.read_pull_at(git, journal, repo, number), refs)
                for pair, number in zip(between, numbers, strict=True)
                if number is not None
            }
            pulls = dict(found)
            for ask, pair in zip(asked, between, strict=True):
                if pair in pulls:
                    pulls[pair] = reworded(pulls[pair], ask, actor)
                    continue
                number = free + len(pulls) - len(found)
                url = self._store.url(repo, number)
                pulls[pair] = new_pull(repo, number, ask, refs, actor=actor, url=url)
            changed = [pull for pair, pull in pulls.items() if pull != found.get(pair)]
            files = {p: f for c in changed for p, f in {**pull_files(c), **head_files(c)}.items()}
            files |= read_files_of_openings(git, journal, asked, refs, actor)
            if not files or move_journal(git, journal, files, ()):
                return tuple(pulls[pair] for pair in between)
            wait(attempt)
        raise too_busy(repo, "open a pull request")

    def read_pulls(self, repo: str) -> tuple[PullRequest, ...]:
        """All pull requests by number, in a few reads for any number."""
        return self._store.read_pulls(self._store.open_repository(repo))

    def read_open_pulls(self, repo: str, *, base_branch: str) -> tuple[PullRequest, ...]:
        """The open pull requests in the journal."""
        return tuple(
            pull
            for pull in self.read_pulls(repo)
            if pull.state is PullState.OPEN and pull.base_branch == base_branch
        )

    def read_pull(self, repo: str, number: int) -> PullRequest:
        """One pull request. Raises NotFound."""
        return self._store.read_pull(self._store.open_repository(repo), repo, number)[1]

    def read_pulls_of_branches(
        self, repo: str, heads: Collection[str], *, base_branch: str
    ) -> Mapping[str, PullRequest]:
        """Branch → the pull request from it into `base_branch`."""
        wanted = set(heads)
        return {
            pull.head_branch: pull
            for pull in (self.read_pulls(repo) if wanted else ())
            if pull.base_branch == base_branch and pull.head_branch in wanted
        }

    def read_pulls_of_commits(
        self, repo: str, commits: Collection[str]
    ) -> Mapping[str, PullRequest]:
        """Commit → the merged pull request whose merge commit it is."""
        wanted = set(commits)
        return {
            pull.merge_commit: pull
            for pull in (self.read_pulls(repo) if wanted else ())
            if pull.merge_commit in wanted
        }

    def submit_review(
        self, repo: str, number: int, *, commit: str, verdict: ReviewVerdict, body: str, actor: int
    ) -> Review:
        """The recorded review of the head commit."""

        def change(pull: PullRequest) -> PullRequest:
            now = moment_of(self._clock())
            review = Review(len(pull.reviews) + 1, actor, commit, verdict, body, now)
            before = newest_review(pull, actor)
            if before and replace(before, sequence=review.sequence, at=now) == review:
                return pull
            # A merged pull request is frozen and can be approved late; a closed one cannot.
            if pull.state is PullState.CLOSED:
                raise ForgeRefused(f"{pull.url} is closed, so it is not reviewed any more")
            if pull.head != commit:
                raise StalePlan(f"{pull.url} is at {pull.head[:12]}, not at {commit[:12]}")
            if pull.author_id == actor and verdict is ReviewVerdict.APPROVED:
                raise ForgeRefused(f"{pull.url}: nobody approves their own pull request")
            return replace(pull, reviews=(*pull.reviews, review))

        review = newest_review(self._change_pull(repo, number, change), actor)
        if review is None:
            raise NotFound(f"{repo}#{number} lost the review of account {actor}")
        return review

    def merge_pull(
        self, repo: str, number: int, *, expected_head: str, message: str, time_s: int, actor: int
    ) -> str:
        """The merge commit; base branch and journal move in one transaction."""
        git = self._store.open_repository(repo)
        for attempt in range(JOURNAL_TRIES):
            journal, pull = self._store.read_pull(git, repo, number)
            if pull.state is PullState.MERGED and pull.head == expected_head and pull.merge_commit:
                return pull.merge_commit
            if pull.head != expected_head:
                raise StalePlan(f"{pull.url} is at {pull.head[:12]}, expected {expected_head[:12]}")
            if pull.state is not PullState.OPEN:
                raise ForgeRefused(f"{pull.url} is {pull.state}")
            reason = check_merge(read_journal(git, journal).rules, pull, actor)
            if reason:
                raise ForgeRefused(f"{pull.url}: {reason}")
            base_ref, head_ref = f"{HEADS}{pull.base_branch}", f"{HEADS}{pull.head_branch}"
            refs = git.resolve_all([base_ref, head_ref])
            if base_ref not in refs or head_ref not in refs:
                gone = pull.head_branch if base_ref in refs else pull.base_branch
                raise NotFound(f"{pull.url}: branch `{gone}` is gone")
            base = refs[base_ref]
            signature = Signature(
                f"account {actor}", f"{actor}@users.noreply.pipeline.invalid", time_s
            )
            tree = git.merge_tree(base, pull.head)
            commit = commit_object(tree, [base, pull.head], message, signature, signature)
            merged = replace(
                pull,
                state=PullState.MERGED,
                merge_commit=commit.id,
                merged_by=actor,
                merged_at=moment_of(self._clock()),
            )
            moves = (
                RefUpdate(base_ref, base, commit.id),
                # Not moved, only compared: the merge is of exactly this head.
                RefUpdate(head_ref, pull.head, pull.head),
            )
            if move_journal(git, journal, pull_files(merged), moves, extra=(commit,)):
                return commit.id
            wait(attempt)
        raise too_busy(repo, f"merge #{number}")

    def close_pull(self, repo: str, number: int, *, actor: int) -> None:
        """Close an open pull request."""
        rules = read_journal(self._store.open_repository(repo), JOURNAL_REF).rules

        def change(pull: PullRequest) -> PullRequest:
            if pull.state is PullState.MERGED:
                raise ForgeRefused(f"{pull.url} is merged")
            reason = check_close(rules, pull, actor)
            if reason:
                raise ForgeRefused(f"{pull.url}: {reason}")
            return replace(pull, state=PullState.CLOSED)

        self._change_pull(repo, number, change)

    def _change_pull(
        self, repo: str, number: int, change: Callable[[PullRequest], PullRequest]
    ) -> PullRequest:
        """The pull request after a change, written if it differs."""
        git = self._store.open_repository(repo)
        for attempt in range(JOURNAL_TRIES):
            journal, pull = self._store.read_pull(git, repo, number)
            changed = change(pull)
            if changed == pull or move_journal(git, journal, pull_files(changed), ()):
                return changed
            wait(attempt)
        raise too_busy(repo, "record a pull request")
