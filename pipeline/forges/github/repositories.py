"""Repositories on GitHub: their creation, branches, rules, objects and pushes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any
from urllib.parse import quote

from pipeline.errors import (
    ForgeRefused,
    GitFailed,
    NotFound,
    PipelineError,
    StalePlan,
)
from pipeline.forges.branch_rules import check_push
from pipeline.forges.github import queries
from pipeline.forges.github.client import (
    GithubClient,
    Invalid,
    Unanswered,
    Unavailable,
)
from pipeline.forges.github.lost_answers import found_or_made, repeatedly
from pipeline.forges.github.rulesets import PREFIX, Ruleset, rules_of_rulesets, rulesets_of
from pipeline.forges.github.session import GithubSession
from pipeline.forges.http.connection import TRIES
from pipeline.forges.http.repository import PushRefused
from pipeline.forges.port import BranchRule, Hosting, RepoSpec, RepoView
from pipeline.git.commits import walk_back
from pipeline.git.objects import GitObject, RefUpdate
from pipeline.git.repository import GitRepository

_HEADS = "refs/heads/"
_WRITING = ("push", "maintain", "admin")
# Modes of bypassing a ruleset that apply to pushes, not only to merges.
_BYPASSING = ("always", "exempt")


class GithubRepositories:
    """The repositories of the organisation."""

    def __init__(self, session: GithubSession) -> None:
        self._session = session
        self._views: dict[str, RepoView] = {}
        self._open: dict[str, GitRepository] = {}

    def close(self) -> None:
        """End the reading processes of all repositories."""
        for git in self._open.values():
            git.close()
        self._open.clear()

    def cost(self) -> str:
        """The calls made to GitHub so far, in one line."""
        return self._session.client.cost.line()

    def read_repo(self, repo: str) -> RepoView | None:
        """The repository, or None; one git request for any number of branches."""
        self.forget(repo)
        try:
            head, refs = self._session.remote(repo, self._session.client).read_refs()
        except NotFound:
            return None
        branches = {ref.removeprefix(_HEADS): id for ref, id in refs.items()}
        view = RepoView(repo, head.removeprefix(_HEADS) or "main", branches)
        self._views[repo] = view
        return view

    def forget(self, repo: str) -> None:
        """Forget its branches, since something moves them."""
        self._views.pop(repo, None)

    def read_rules(self, repo: str) -> tuple[BranchRule, ...]:
        """The branch rules that the pipeline's own rulesets express. Raises NotFound."""
        return rules_of_rulesets(self._read_rulesets(repo), self._session.apps)

    def read_environment(self, repo: str, name: str) -> tuple[str, ...]:
        """The branches of its deployment policy."""
        client, path = self._session.client, self._session.path_of(repo)
        path = f"{path}/environments/{quote(name)}"
        policy = client.read(path)["deployment_branch_policy"]
        if policy is None:
            return ("*",)
        if policy["protected_branches"]:
            return ("every protected branch",)
        listed = client.read_all(f"{path}/deployment-branch-policies", "branch_policies")
        return tuple(sorted(item["name"] for item in listed))

    def read_hosting(self, repo: str) -> Hosting:
        """The server, the repository's visibility, and the organisation's plan.

        An App sees the plan with the permission `organization_plan`.
        """
        client = self._session.client
        is_public = not client.read(self._session.path_of(repo))["private"]
        organisation = client.read(f"/orgs/{quote(self._session.organisation)}")
        plan = (organisation.get("plan") or {}).get("name", "")
        return Hosting(self._session.server_url, is_public, plan)

    def read_signed_branches(self, repo: str, branches: Collection[str]) -> Mapping[str, bool]:
        """The branches with a rule that requires signed commits, the organisation's rules included.

        GitHub signs commits that it makes itself, never pushed ones.
        """
        path = self._session.path_of(repo)
        found: dict[str, bool] = {}
        for branch in branches:
            at = f"{path}/rules/branches/{quote(branch, safe='')}"
            rules = self._session.client.read_all(at)
            asking = [r["ruleset_id"] for r in rules if r["type"] == "required_signatures"]
            if asking:
                found[branch] = all(self._may_bypass(f"{path}/rulesets/{id}") for id in asking)
        return found

    def _may_bypass(self, path: str) -> bool:
        """Whether this account bypasses the ruleset at a path, also for pushes."""
        ruleset = self._session.client.read(path)
        apps = set(self._session.apps.values())
        listed = any(
            (actor["actor_type"], actor["bypass_mode"] in _BYPASSING) == ("Integration", True)
            and actor["actor_id"] in apps
            for actor in ruleset.get("bypass_actors") or ()
        )
        return listed or ruleset.get("current_user_can_bypass") in _BYPASSING

    def _read_rulesets(self, repo: str) -> list[Ruleset]:
        path = f"{self._session.path_of(repo)}/rulesets"
        listed = self._session.client.read_all(f"{path}?includes_parents=false")
        ids = [item["id"] for item in listed if item["name"].startswith(f"{PREFIX}: ")]
        return [self._session.client.read(f"{path}/{id}") for id in ids]

    def rules_or_none(self, repo: str) -> tuple[BranchRule, ...]:
        """The rules, only for messages; empty without the permission to read them."""
        try:
            return self.read_rules(repo)
        except PipelineError:
            return ()

    def read_fingerprints(self, repos: Collection[str]) -> Mapping[str, str]:
        """Repository → text that changes with any of its branches or pull requests; one query per
        350 repositories."""
        found: dict[str, str] = {}
        names = list(repos)
        for begin in range(0, len(names), queries.REPOSITORIES_AT_ONCE):
            found |= self._fingerprints(names[begin : begin + queries.REPOSITORIES_AT_ONCE])
        return found

    def _fingerprints(self, names: list[str]) -> dict[str, str]:
        """The fingerprints from one query, or from halves if GitHub does not answer it."""
        text = queries.fingerprint_query(self._session.organisation, names)
        try:
            data = self._session.client.query_partly(text)
        except (ForgeRefused, Unavailable):
            half = len(names) // 2
            if half == 0:
                raise
            return self._fingerprints(names[:half]) | self._fingerprints(names[half:])
        return {name: queries.fingerprint_of(data[f"r{index}"]) for index, name in enumerate(names)}

    def open_repository(self, repo: str) -> GitRepository:
        """The local copy of a repository, with the branches last read. Raises NotFound."""
        view = self._views.get(repo) or self.read_repo(repo)
        if view is None:
            raise NotFound(f"GitHub has no repository `{self._session.organisation}/{repo}`")
        git = self._copy(repo)
        there = git.read_refs((_HEADS,))
        wanted = {f"{_HEADS}{name}": id for name, id in view.branches.items()}
        if there != wanted:
            self._session.remote(repo, self._session.client).fetch()
        return git

    def _copy(self, repo: str) -> GitRepository:
        if repo not in self._open:
            self._open[repo] = self._session.remote(repo, self._session.client).open()
        return self._open[repo]

    def ensure_repo(self, repo: str, spec: RepoSpec) -> RepoView:
        """The repository, found or created, with its first commit and its rulesets.

        Each is looked for first and then made, one after the other, so the next call completes what
        a crash left undone. The first commit is the same whoever pushes it.
        """
        client = self._session.client
        found = found_or_made(
            lambda: self._read_or_none(repo),
            lambda: client.write(
                "POST",
                f"/orgs/{self._session.organisation}/repos",
                {"name": repo, "description": spec.description, "private": True},
            ),
        )
        view = self.read_repo(repo)
        if view is None or spec.default_branch not in view.branches:
            update = RefUpdate(f"{_HEADS}{spec.default_branch}", None, spec.initial_commit)
            self._push(repo, spec.initial_objects, (update,), self._session.client)
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
            repeatedly(lambda: client.write("PATCH", self._session.path_of(repo), changes))
        self._ensure_teams(repo, spec.teams)
        self._ensure_rulesets(repo, rulesets_of(spec.rules, self._session.apps))
        read = self.read_repo(repo)
        if read is None:
            raise NotFound(f"`{repo}` is gone again")
        return read

    def _read_or_none(self, repo: str) -> Any:
        try:
            return self._session.client.read(self._session.path_of(repo))
        except NotFound:
            return None

    def ensure_rules(
        self, repo: str, rules: tuple[BranchRule, ...], *, teams: tuple[str, ...] = ()
    ) -> None:
        """Set the rules as rulesets; only the pipeline's own rulesets are touched."""
        self._ensure_teams(repo, teams)
        self._ensure_rulesets(repo, rulesets_of(rules, self._session.apps))

    def _ensure_teams(self, repo: str, teams: Sequence[str]) -> None:
        """Let each team write: otherwise its people cannot see the repository, and GitHub does not
        count their reviews as code owners'.
        """
        if not teams:
            return
        organisation = quote(self._session.organisation)
        there = self._session.client.read_all(f"{self._session.path_of(repo)}/teams")
        writing = {team["slug"] for team in there if team["permission"] in _WRITING}
        for team in teams:
            if team in writing:
                continue
            path = f"/orgs/{organisation}/teams/{quote(team)}{self._session.path_of(repo)}"
            fields = {"permission": "push"}
            try:
                repeatedly(partial(self._session.client.write, "PUT", path, fields))
            except NotFound as missing:
                raise ForgeRefused(
                    f"team `{team}` cannot be given `{repo}`: {missing.message}",
                    help="the organisation needs the team, and the App `members` to read",
                ) from missing

    def _begins_with(self, repo: str, spec: RepoSpec) -> bool:
        git = self.open_repository(repo)
        head = self._views[repo].branches.get(spec.default_branch)
        known = git.read_object(spec.initial_commit) is not None
        return head is not None and known and git.is_ancestor(spec.initial_commit, head)

    def _ensure_rulesets(self, repo: str, wanted: tuple[Ruleset, ...]) -> None:
        path = f"{self._session.path_of(repo)}/rulesets"
        for _ in range(TRIES):
            there = {ruleset["name"]: ruleset for ruleset in self._read_rulesets(repo)}
            try:
                for ruleset in wanted:
                    found = there.pop(ruleset["name"], None)
                    if found is None:
                        self._session.client.write("POST", path, ruleset)
                    elif any(found.get(key) != value for key, value in ruleset.items()):
                        self._session.client.write("PUT", f"{path}/{found['id']}", ruleset)
                for left in there.values():
                    self._session.client.write("DELETE", f"{path}/{left['id']}")
                return
            except (Unanswered, Invalid, NotFound) as lost:
                # It took effect, or another run was faster: look again.
                said = lost
        raise said

    def push(
        self, repo: str, objects: Iterable[GitObject], updates: tuple[RefUpdate, ...], *, actor: int
    ) -> None:
        """Store objects, then move all refs at once; see the port."""
        for update in updates:
            if not update.ref.startswith(_HEADS):
                raise ForgeRefused(f"{repo}: `{update.ref}` is not a branch")
        self.open_repository(repo)
        try:
            self._push(repo, objects, updates, self._session.client_of(actor))
        except PushRefused as refused:
            rules = self.rules_or_none(repo)
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
        self.forget(repo)
        self._session.remote(repo, client).push(updates, made.values())
        # Store what was just sent, to save a fetch of three requests. If another process moved the
        # copy in the meantime, the next look fetches as usual.
        with suppress(GitFailed, StalePlan):
            git.write_objects(made.values())
            git.update_refs(updates)


def _is_forward(git: GitRepository, made: Mapping[str, GitObject], old: str, new: str) -> bool:
    """Whether `new` descends from `old`; mostly known from the new commits, without git."""
    if walk_back(made, new, old) == old:
        return True
    if git.read_object(old) is None:
        return False
    git.write_objects(made.values())
    return git.is_ancestor(old, new)
