"""GitHub as a forge; see `pipeline.forges.port.Forge`.

What the port's `actor` does is done with the one credential of this process, if it is of that
account, since on GitHub everybody acts with their own. GitHub's rules decide; the pure ones
(`pipeline.forges.rules`) only say why it refused. GitHub dates merges itself, so `time_s` is not
used, and a repository is as of the last time its branches were read (`read_repo`).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.commits import parse_commit
from pipeline.errors import (
    ForgeRefused,
    GitFailed,
    MergePending,
    NotFound,
    PipelineError,
    StalePlan,
)
from pipeline.forges.github import queries
from pipeline.forges.github.client import (
    TRIES,
    Conflict,
    GithubClient,
    Invalid,
    NotAllowed,
    Unanswered,
    Unavailable,
)
from pipeline.forges.github.repository import Connection, PushRefused, RemoteRepository
from pipeline.forges.github.rulesets import PREFIX, Ruleset, rules_of_rulesets, rulesets_of
from pipeline.forges.port import (
    BranchRule,
    Check,
    Comment,
    PullAsk,
    PullRequest,
    PullState,
    RefUpdate,
    RepoSpec,
    RepoView,
    Review,
    ReviewVerdict,
)
from pipeline.forges.rules import check_merge, check_push, newest_review
from pipeline.gitcli import GitRepository
from pipeline.gitobjects import GitObject

_REPO_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}\Z")
_HEADS = "refs/heads/"
_EVENTS = {
    ReviewVerdict.APPROVED: "APPROVE",
    ReviewVerdict.CHANGES_REQUESTED: "REQUEST_CHANGES",
    ReviewVerdict.COMMENTED: "COMMENT",
}
# GitHub takes no review without a text, except an approval.
_NO_TEXT = "No reason was given."


@dataclass
class GithubForge:
    """The repositories of one organisation on GitHub, as the account of `client` sees them.

    `others` holds clients of further accounts, for a process that plays several people.
    """

    organisation: str
    server_url: str
    client: GithubClient
    folder: Path  # where the copies of repositories are
    others: Mapping[int, GithubClient] = field(default_factory=dict)
    sleep: Callable[[float], None] = time.sleep
    _account: int | None = None
    _views: dict[str, RepoView] = field(default_factory=dict)
    _open: dict[str, GitRepository] = field(default_factory=dict)
    _connections: dict[int, Connection] = field(default_factory=dict)  # by client

    @property
    def account(self) -> int:
        """The number of the account whose credential this is, asked for once."""
        if self._account is None:
            self._account = queries.account_of(self.client.query(queries.VIEWER)["viewer"])
        return self._account

    @property
    def apps(self) -> Mapping[int, int]:
        """Of which App an account is the bot: rulesets name Apps by a number of their own."""
        source = self.client.source
        app = source.app_id if source else None
        return {} if app is None else {self.account: app}

    def cost(self) -> str:
        """What was asked of GitHub so far."""
        return self.client.cost.line()

    def close(self) -> None:
        """End the reading processes of all repositories."""
        for git in self._open.values():
            git.close()
        self._open.clear()

    # -- repositories ------------------------------------------------------------------

    def read_repo(self, repo: str) -> RepoView | None:
        """The repository, or None: one question to git, however many branches there are."""
        self._views.pop(repo, None)
        try:
            head, refs = self._remote(repo, self.client).read_refs()
        except NotFound:
            return None
        branches = {ref.removeprefix(_HEADS): id for ref, id in refs.items()}
        view = RepoView(repo, head.removeprefix(_HEADS) or "main", branches)
        self._views[repo] = view
        return view

    def read_rules(self, repo: str) -> tuple[BranchRule, ...]:
        """The branch rules that the pipeline's own rulesets stand for. Raises NotFound."""
        return rules_of_rulesets(self._read_rulesets(repo), self.apps)

    def _read_rulesets(self, repo: str) -> list[Ruleset]:
        path = f"{self._path(repo)}/rulesets"
        listed = self.client.read_all(f"{path}?includes_parents=false")
        ids = [item["id"] for item in listed if item["name"].startswith(f"{PREFIX}: ")]
        return [self.client.read(f"{path}/{id}") for id in ids]

    def read_fingerprints(self, repos: Collection[str]) -> Mapping[str, str]:
        """Repository → text that changes with any branch or pull request of it; one query for
        each hundred of them."""
        found: dict[str, str] = {}
        names = list(repos)
        for begin in range(0, len(names), queries.REPOSITORIES_AT_ONCE):
            part = names[begin : begin + queries.REPOSITORIES_AT_ONCE]
            text = queries.fingerprint_query(self.organisation, part)
            data = self.client.query_partly(text)
            found |= {
                name: queries.fingerprint_of(data[f"r{index}"]) for index, name in enumerate(part)
            }
        return found

    def open_repository(self, repo: str) -> GitRepository:
        """The copy of a repository, with the branches that were read last. Raises NotFound."""
        view = self._views.get(repo) or self.read_repo(repo)
        if view is None:
            raise NotFound(f"GitHub has no repository `{self.organisation}/{repo}`")
        git = self._copy(repo)
        there = git.read_refs((_HEADS,))
        wanted = {f"{_HEADS}{name}": id for name, id in view.branches.items()}
        if there != wanted:
            self._remote(repo, self.client).fetch()
        return git

    def _copy(self, repo: str) -> GitRepository:
        if repo not in self._open:
            self._open[repo] = self._remote(repo, self.client).open()
        return self._open[repo]

    def ensure_repo(self, repo: str, spec: RepoSpec) -> RepoView:
        """The repository, found or created, with its first commit and its rulesets.

        They come one after the other, and each is looked for first: what a crash left undone the
        next call does. The first commit is the same whoever pushes it.
        """
        if not _REPO_NAME.match(repo):
            raise NotFound(f"`{repo}` is no repository name")
        client = self.client
        found = self._found_or_made(
            lambda: self._read_or_none(self._path(repo)),
            lambda: client.write(
                "POST",
                f"/orgs/{self.organisation}/repos",
                {"name": repo, "description": spec.description, "private": True},
            ),
        )
        view = self.read_repo(repo)
        if view is None or spec.default_branch not in view.branches:
            update = RefUpdate(f"{_HEADS}{spec.default_branch}", None, spec.initial_commit)
            self._push(repo, spec.initial_objects, (update,), self.client)
        if not self._begins_with(repo, spec):
            raise ForgeRefused(
                f"`{repo}` exists with another first commit",
                help="it was made by hand or by another version; move it away first",
            )
        changes = {
            name: value
            for name, value in (
                ("description", spec.description),
                ("default_branch", spec.default_branch),
            )
            if found.get(name) != value
        }
        if changes:
            self._repeatedly(lambda: client.write("PATCH", self._path(repo), changes))
        self._ensure_rulesets(repo, rulesets_of(spec.rules, self.apps))
        read = self.read_repo(repo)
        if read is None:
            raise NotFound(f"`{repo}` is gone again")
        return read

    def _begins_with(self, repo: str, spec: RepoSpec) -> bool:
        git = self.open_repository(repo)
        head = self._views[repo].branches.get(spec.default_branch)
        known = git.read_object(spec.initial_commit) is not None
        return head is not None and known and git.is_ancestor(spec.initial_commit, head)

    def _ensure_rulesets(self, repo: str, wanted: tuple[Ruleset, ...]) -> None:
        path = f"{self._path(repo)}/rulesets"
        for _ in range(TRIES):
            there = {ruleset["name"]: ruleset for ruleset in self._read_rulesets(repo)}
            try:
                for ruleset in wanted:
                    found = there.pop(ruleset["name"], None)
                    if found is None:
                        self.client.write("POST", path, ruleset)
                    elif any(found.get(key) != value for key, value in ruleset.items()):
                        self.client.write("PUT", f"{path}/{found['id']}", ruleset)
                for left in there.values():
                    self.client.write("DELETE", f"{path}/{left['id']}")
                return
            except (Unanswered, Invalid, NotFound) as lost:
                # It acted, or another run was quicker: look again.
                said = lost
        raise said

    # -- refs --------------------------------------------------------------------------

    def push(
        self, repo: str, objects: Iterable[GitObject], updates: tuple[RefUpdate, ...], *, actor: int
    ) -> None:
        """Store objects, then move all refs at once; see the port."""
        for update in updates:
            if not update.ref.startswith(_HEADS):
                raise ForgeRefused(f"{repo}: `{update.ref}` is no branch")
        self.open_repository(repo)
        try:
            self._push(repo, objects, updates, self._client(actor))
        except PushRefused as refused:
            rules = self._rules_or_none(repo)
            for update in updates:
                reason = check_push(rules, update.ref, actor)
                if reason:
                    raise ForgeRefused(f"{repo}: {reason}", help=refused.message) from refused
            raise

    def _push(
        self,
        repo: str,
        objects: Iterable[GitObject],
        updates: tuple[RefUpdate, ...],
        client: GithubClient,
    ) -> None:
        git = self._copy(repo)
        made = {item.id: item for item in objects}
        for update in updates:
            if update.old is not None and not _is_forward(git, made, update.old, update.new):
                if git.read_object(update.old) is None:
                    raise StalePlan(f"{update.ref} of `{repo}` is not at {update.old[:12]}")
                raise ForgeRefused(f"{repo}: {update.ref} would lose commits")
        self._views.pop(repo, None)
        self._remote(repo, client).push(updates, made.values())
        # What was just sent need not be fetched, which takes three requests. Where somebody else
        # moved the copy in the meantime, the next look fetches as ever.
        with suppress(GitFailed, StalePlan):
            git.write_objects(made.values())
            git.update_refs(updates)

    # -- pull requests -----------------------------------------------------------------

    def open_pull(
        self, repo: str, *, head_branch: str, base_branch: str, title: str, body: str, actor: int
    ) -> PullRequest:
        """The pull request of a branch, found or created."""
        if head_branch == base_branch:
            raise ForgeRefused(f"{repo}: `{head_branch}` cannot be merged into itself")
        client = self._client(actor)

        def find() -> PullRequest | None:
            read = self.read_pulls_of_branches(repo, [head_branch], base_branch=base_branch)
            return read.get(head_branch)

        def make() -> object:
            fields = {"title": title, "body": body, "head": head_branch, "base": base_branch}
            try:
                return client.write("POST", f"{self._path(repo)}/pulls", fields)
            except Invalid as invalid:
                for side, branch in (("head", head_branch), ("base", base_branch)):
                    if invalid.fields.get(side) == "invalid":
                        raise NotFound(f"{repo} has no branch `{branch}`") from invalid
                raise

        pull: PullRequest = self._found_or_made(find, make, again=True)
        mine = pull.state is PullState.OPEN and pull.author_id == actor
        if mine and (pull.title, pull.body) != (title, body):
            path = f"{self._path(repo)}/pulls/{pull.number}"
            words = {"title": title, "body": body}
            self._repeatedly(lambda: client.write("PATCH", path, words))
            pull = self.read_pull(repo, pull.number)
        return pull

    def open_pulls(
        self, repo: str, asked: Sequence[PullAsk], *, actor: int
    ) -> tuple[PullRequest, ...]:
        """Each in turn: GitHub opens one a call."""
        return tuple(
            self.open_pull(
                repo,
                head_branch=ask.head_branch,
                base_branch=ask.base_branch,
                title=ask.title,
                body=ask.body,
                actor=actor,
            )
            for ask in asked
        )

    def read_pulls(self, repo: str) -> tuple[PullRequest, ...]:
        """All pull requests with their reviews, by number; one query for each hundred."""
        found: list[PullRequest] = []
        after: str | None = None
        while True:
            page = self._ask(queries.PULLS, repo, after=after)["pullRequests"]
            found += [self._whole(repo, node) for node in page["nodes"]]
            if not page["pageInfo"]["hasNextPage"]:
                return tuple(sorted(found, key=lambda pull: pull.number))
            after = page["pageInfo"]["endCursor"]

    def read_pull(self, repo: str, number: int) -> PullRequest:
        """One pull request. Raises NotFound."""
        return self._whole(repo, self._ask(queries.PULL, repo, number=number)["pullRequest"])

    def read_pulls_of_branches(
        self, repo: str, heads: Collection[str], *, base_branch: str
    ) -> Mapping[str, PullRequest]:
        """Branch → the pull request from it into `base_branch`; one query for each fifty."""
        found: dict[str, PullRequest] = {}
        for part in _parts(heads):
            text = queries.pulls_of_branches_query(base_branch, part)
            node = self._ask(text, repo, reviewsAfter=None)
            for index, head in enumerate(part):
                own = queries.own_pulls(node[f"b{index}"])
                if own:
                    found[head] = self._whole(repo, own[0])
        return found

    def read_pulls_of_commits(
        self, repo: str, commits: Collection[str]
    ) -> Mapping[str, PullRequest]:
        """Commit → the merged pull request whose merge commit it is; one query for each fifty."""
        found: dict[str, PullRequest] = {}
        for part in _parts(commits):
            node = self._ask(queries.pulls_of_commits_query(part), repo, reviewsAfter=None)
            for index, commit in enumerate(part):
                for pull in queries.pulls_of_commit(node[f"c{index}"]):
                    if pull["mergeCommit"] and pull["mergeCommit"]["oid"] == commit:
                        found[commit] = self._whole(repo, pull)
        return found

    def merge_pull(
        self, repo: str, number: int, *, expected_head: str, message: str, time_s: int, actor: int
    ) -> str:
        """The merge commit on the base branch, which GitHub makes and dates itself."""
        title, _, rest = message.strip("\n").partition("\n")
        fields = {
            "sha": expected_head,
            "commit_title": title,
            "commit_message": rest.strip("\n"),
            "merge_method": "merge",
        }
        for _ in range(TRIES):
            pull = self.read_pull(repo, number)
            if pull.state is PullState.MERGED and pull.head == expected_head and pull.merge_commit:
                return pull.merge_commit
            if pull.head != expected_head:
                raise StalePlan(f"{pull.url} is at {pull.head[:12]}, expected {expected_head[:12]}")
            if pull.state is not PullState.OPEN:
                raise ForgeRefused(f"{pull.url} is {pull.state}")
            if pull.is_queued:
                raise MergePending(f"{pull.url} waits for GitHub to merge it")
            client = self._client(actor)
            try:
                self._views.pop(repo, None)
                path = f"{self._path(repo)}/pulls/{number}/merge"
                return str(client.write("PUT", path, fields)["sha"])
            except Unanswered:
                continue
            except Conflict as moved:
                raise StalePlan(f"{pull.url}: {moved.message}") from moved
            except NotAllowed as refused:
                if not self._left_to_github(repo, pull, client, fields, refused.message):
                    self._refuse_merge(repo, pull, actor, refused)
        raise Unavailable(f"{pull.url} could not be merged: GitHub gave no answer")

    def _left_to_github(
        self,
        repo: str,
        pull: PullRequest,
        client: GithubClient,
        fields: Mapping[str, str],
        said: str,
    ) -> bool:
        """Whether the merge was given to a queue, or to the end of a check that is required."""
        head = {"head": pull.head}
        if "merge queue" in said:
            text, words = queries.ENQUEUE, head
        elif "status check" in said and "expected" in said:
            told = {"title": fields["commit_title"], "body": fields["commit_message"]}
            text, words = queries.AUTO_MERGE, head | told
        else:
            return False
        id = self._ask(queries.PULL_ID, repo, number=pull.number)["pullRequest"]["id"]
        with suppress(Unanswered):  # the next look says whether it acted
            client.mutate(text, pull=id, **words)
        return True

    def _refuse_merge(self, repo: str, pull: PullRequest, actor: int, refused: NotAllowed) -> None:
        reason = check_merge(self._rules_or_none(repo), pull, actor)
        if reason:
            raise ForgeRefused(f"{pull.url}: {reason}", help=refused.message) from refused
        if self.read_pull(repo, pull.number).state is PullState.MERGED:
            return  # by somebody else, in the meantime: the next look finds it
        if "rule" in refused.message or "required" in refused.message:
            raise ForgeRefused(f"{pull.url}: {refused.message}") from refused
        raise StalePlan(f"merging {pull.url} conflicts: {refused.message}") from refused

    def read_team(self, team: str) -> frozenset[int]:
        """The members of a team of the organisation, by as many queries as they have pages."""
        members: set[int] = set()
        after: str | None = None
        while True:
            data = self.client.query(
                queries.TEAM, organisation=self.organisation, team=team, after=after
            )
            found = data["organization"]["team"]
            if found is None:
                return frozenset()
            page = found["members"]
            members |= {queries.account_of(node) for node in page["nodes"]} - {0}
            if not page["pageInfo"]["hasNextPage"]:
                return frozenset(members)
            after = page["pageInfo"]["endCursor"]

    def read_comments(self, repo: str, number: int) -> tuple[Comment, ...]:
        """The comments, by as many calls as they have pages."""
        path = f"{self._path(repo)}/issues/{number}/comments"
        return tuple(queries.comment_of(item) for item in self.client.read_all(path))

    def write_comment(self, repo: str, number: int, *, key: str, body: str, actor: int) -> None:
        """The actor's one comment of that key, which a line that nobody sees marks."""
        client = self._client(actor)
        path = f"{self._path(repo)}/issues/{number}/comments"
        text = {"body": f"{queries.mark_of(key)}\n{body}"}

        def find() -> Any:
            for item in client.read_all(path):
                found = queries.comment_of(item)
                if (found.author_id, found.key) == (actor, key):
                    return item
            return None

        comment = self._found_or_made(find, lambda: client.write("POST", path, text))
        if queries.comment_of(comment).body != body:
            own = f"{self._path(repo)}/issues/comments/{comment['id']}"
            self._repeatedly(lambda: client.write("PATCH", own, text))

    def read_checks(self, repo: str, commit: str) -> tuple[Check, ...]:
        """The newest check runs of each App."""
        path = f"{self._path(repo)}/commits/{commit}/check-runs"
        runs = self.client.read_all(path, "check_runs")
        found = [
            Check(
                run["name"],
                run["conclusion"] == "success",
                (run["output"] or {}).get("title") or "",
                run["app"]["id"],
            )
            for run in runs
            if run["status"] == "completed"
        ]
        return tuple(sorted(found, key=lambda check: (check.name, check.by)))

    def write_check(
        self, repo: str, commit: str, *, name: str, passed: bool, title: str, actor: int
    ) -> None:
        """A check run of the App; the newest of a name counts, so a changed one is a new one."""
        client = self._client(actor)
        path = f"{self._path(repo)}/commits/{commit}/check-runs?check_name={name}"
        conclusion = "success" if passed else "failure"
        marked = f"{name} {commit}"  # who made it, without having to know the App's number
        fields = {
            "name": name,
            "head_sha": commit,
            "external_id": marked,
            "status": "completed",
            "conclusion": conclusion,
            "output": {"title": title, "summary": title},
        }

        def find() -> Any:
            for run in client.read_all(path, "check_runs"):
                said = (run["conclusion"], (run["output"] or {}).get("title"))
                if run["external_id"] == marked and said == (conclusion, title):
                    return run
            return None

        self._found_or_made(
            find, lambda: client.write("POST", f"{self._path(repo)}/check-runs", fields)
        )

    def dispatch(self, repo: str, event: str, *, actor: int) -> None:
        """Start the workflows that wait for this `repository_dispatch`."""
        client, path = self._client(actor), f"{self._path(repo)}/dispatches"
        self._repeatedly(lambda: client.write("POST", path, {"event_type": event}))

    def close_pull(self, repo: str, number: int, *, actor: int) -> None:
        """Close an open pull request."""
        pull = self.read_pull(repo, number)
        if pull.state is PullState.MERGED:
            raise ForgeRefused(f"{pull.url} is merged")
        if pull.state is PullState.OPEN:
            client, path = self._client(actor), f"{self._path(repo)}/pulls/{number}"
            self._repeatedly(lambda: client.write("PATCH", path, {"state": "closed"}))

    def submit_review(
        self, repo: str, number: int, *, commit: str, verdict: ReviewVerdict, body: str, actor: int
    ) -> Review:
        """Record a review of the head commit; a dismissal is of the actor's own newest review."""
        if not body and verdict is not ReviewVerdict.APPROVED:
            body = _NO_TEXT
        client = self._client(actor)

        def find() -> Review | None:
            pull = self.read_pull(repo, number)
            before = newest_review(pull, actor)
            same = before and (before.commit, before.verdict) == (commit, verdict)
            if before and same and (before.body == body or verdict is ReviewVerdict.DISMISSED):
                return before
            if pull.state is PullState.CLOSED:
                raise ForgeRefused(f"{pull.url} is closed, so it is not reviewed any more")
            if pull.head != commit:
                raise StalePlan(f"{pull.url} is at {pull.head[:12]}, not at {commit[:12]}")
            if pull.author_id == actor and verdict is ReviewVerdict.APPROVED:
                raise ForgeRefused(f"{pull.url}: nobody approves their own pull request")
            return None

        path = f"{self._path(repo)}/pulls/{number}/reviews"

        def make() -> object:
            if verdict is ReviewVerdict.DISMISSED:
                return self._dismiss(client, path, actor, body)
            fields = {"commit_id": commit, "event": _EVENTS[verdict], "body": body}
            return client.write("POST", path, fields)

        review: Review = self._found_or_made(find, make, again=True)
        return review

    def _dismiss(self, client: GithubClient, path: str, actor: int, body: str) -> object:
        reviews = [r for r in client.read_all(path) if r["user"] and r["user"]["id"] == actor]
        for review in reversed(reviews):
            if review["state"] in ("APPROVED", "CHANGES_REQUESTED"):
                fields = {"message": body, "event": "DISMISS"}
                return client.write("PUT", f"{path}/{review['id']}/dismissals", fields)
        raise ForgeRefused(f"account {actor} has given no review that could be dismissed")

    # -- how ---------------------------------------------------------------------------

    def _path(self, repo: str) -> str:
        if not _REPO_NAME.match(repo):
            raise NotFound(f"`{repo}` is no repository name")
        return f"/repos/{quote(self.organisation)}/{quote(repo)}"

    def _client(self, actor: int) -> GithubClient:
        """The client that acts for an account. Raises ForgeRefused."""
        if actor in self.others:
            return self.others[actor]
        if actor != self.account:
            raise ForgeRefused(
                f"the credential here is of account {self.account}, not of {actor}",
                help="on GitHub everybody acts with their own: GITHUB_TOKEN holds it",
            )
        return self.client

    def _remote(self, repo: str, client: GithubClient) -> RemoteRepository:
        if not _REPO_NAME.match(repo) or client.source is None:
            raise NotFound(f"`{repo}` is no repository name")
        key = id(client)
        if key not in self._connections:
            self._connections[key] = Connection(client.source, client.cost)
        self._connections[key].sleep = self.sleep
        return RemoteRepository(
            path=self.folder / self.organisation / f"{repo}.git",
            url=f"{self.server_url}/{self.organisation}/{repo}.git",
            name=f"{self.organisation}/{repo}",
            connection=self._connections[key],
        )

    def _ask(self, text: str, repo: str, **variables: object) -> Mapping[str, Any]:
        """The repository's part of what a query gives. Raises NotFound."""
        if not _REPO_NAME.match(repo):
            raise NotFound(f"`{repo}` is no repository name")
        data = self.client.query(text, owner=self.organisation, name=repo, **variables)
        node: Mapping[str, Any] = data["repository"]
        return node

    def _whole(self, repo: str, node: Mapping[str, Any]) -> PullRequest:
        """The pull request of a node, with the reviews that its page left out."""
        return queries.pull_of(repo, node, self._reviews(repo, node))

    def _reviews(self, repo: str, node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        page = node["reviews"]
        while True:
            yield from page["nodes"]
            if not page["pageInfo"]["hasNextPage"]:
                return
            after = page["pageInfo"]["endCursor"]
            found = self._ask(queries.PULL, repo, number=node["number"], reviewsAfter=after)
            page = found["pullRequest"]["reviews"]

    def _read_or_none(self, path: str) -> Any:
        try:
            return self.client.read(path)
        except NotFound:
            return None

    def _rules_or_none(self, repo: str) -> tuple[BranchRule, ...]:
        """The rules, for words only; without the right to read them there are none to quote."""
        try:
            return self.read_rules(repo)
        except PipelineError:
            return ()

    def _found_or_made(
        self, find: Callable[[], Any], make: Callable[[], Any], *, again: bool = False
    ) -> Any:
        """What `find` finds, before or after `make`; `again` takes it from `find` in any case.

        A lost answer and a clash with another run both end in a look. Raises what `make` raises
        when even then nothing is there.
        """
        failed: PipelineError | None = None
        for _ in range(TRIES):
            found = find()
            if found is not None:
                return found
            if isinstance(failed, Invalid):
                raise failed
            try:
                made = make()
            except (Unanswered, Invalid) as lost:
                failed = lost
                continue
            if not again:
                return made
        raise failed or Unavailable("GitHub does not show what it has just made")

    def _repeatedly(self, write: Callable[[], object]) -> None:
        """A write that may happen twice without harm. Raises Unanswered."""
        for number in range(TRIES):
            try:
                write()
                return
            except Unanswered:
                if number + 1 == TRIES:
                    raise


def _parts(items: Collection[str]) -> Iterator[list[str]]:
    """The items in parts of as many as one query asks for."""
    all_items = list(dict.fromkeys(items))
    for begin in range(0, len(all_items), queries.PULLS_AT_ONCE):
        yield all_items[begin : begin + queries.PULLS_AT_ONCE]


def _is_forward(git: GitRepository, made: Mapping[str, GitObject], old: str, new: str) -> bool:
    """Whether `new` holds `old`; mostly seen from the commits just made, without asking git."""
    at = new
    while at != old and at in made and made[at].type == "commit":
        parents = parse_commit(at, made[at].content).parents
        if len(parents) != 1:
            break
        at = parents[0]
    if at == old:
        return True
    if git.read_object(old) is None:
        return False
    git.write_objects(made.values())
    return git.is_ancestor(old, new)
