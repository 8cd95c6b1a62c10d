"""GitHub's JSON for the server's content. Pure; addresses are built on the server's own."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from worlds.github_server.rules import has_queue
from worlds.github_server.state import (
    Account,
    Activity,
    App,
    CheckRun,
    Comment,
    Deployment,
    DeploymentStatus,
    Json,
    Pull,
    Repository,
    Review,
    Ruleset,
    Team,
    Token,
)

_REPOSITORY_LINKS = (
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
)


def node_id(kind: str, id: int) -> str:
    """GitHub's global node id of a thing."""
    return f"{kind}_{base64.b64encode(str(id).encode()).decode().rstrip('=')}"


@dataclass(frozen=True, slots=True)
class Shapes:
    """Builders of GitHub's JSON, with the server's addresses."""

    api: str
    web: str

    def account(self, account: Account) -> Json:
        """A `simple-user`."""
        url = f"{self.api}/users/{account.login}"
        return {
            "login": account.login,
            "id": account.id,
            "node_id": node_id("U", account.id),
            "avatar_url": f"{self.web}/avatars/{account.id}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.web}/{account.login}",
            "followers_url": f"{url}/followers",
            "following_url": f"{url}/following{{/other_user}}",
            "gists_url": f"{url}/gists{{/gist_id}}",
            "starred_url": f"{url}/starred{{/owner}}{{/repo}}",
            "subscriptions_url": f"{url}/subscriptions",
            "organizations_url": f"{url}/orgs",
            "repos_url": f"{url}/repos",
            "events_url": f"{url}/events{{/privacy}}",
            "received_events_url": f"{url}/received_events",
            "type": account.type,
            "site_admin": False,
        }

    def organisation(self, account: Account) -> Json:
        """An `organization-full`, without its plan."""
        url = f"{self.api}/orgs/{account.login}"
        counts = dict.fromkeys(("public_repos", "public_gists", "followers", "following"), 0)
        dates = dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00Z")
        return {
            **{f"{name}_url": f"{url}/{name}" for name in ("events", "hooks", "issues", "repos")},
            **counts,
            **dates,
            "login": account.login,
            "id": account.id,
            "node_id": node_id("O", account.id),
            "url": url,
            "html_url": f"{self.web}/{account.login}",
            "members_url": f"{url}/members{{/member}}",
            "public_members_url": f"{url}/public_members{{/member}}",
            "avatar_url": f"{self.web}/avatars/{account.id}",
            "description": None,
            "has_organization_projects": False,
            "has_repository_projects": False,
            "archived_at": None,
            "type": "Organization",
        }

    def activity(self, activity: Activity) -> Json:
        """An `activity`."""
        return {
            "id": activity.id,
            "node_id": node_id("PSH", activity.id),
            "before": activity.before or "0" * 40,
            "after": activity.after or "0" * 40,
            "ref": activity.ref,
            "timestamp": activity.time,
            "activity_type": activity.type,
            "actor": self.account(activity.account),
        }

    def repository(self, repository: Repository) -> Json:
        """A `full-repository`."""
        url = f"{self.api}/repos/{repository.full_name}"
        web = f"{self.web}/{repository.full_name}"
        counts = dict.fromkeys(
            (
                "forks",
                "forks_count",
                "stargazers_count",
                "watchers",
                "watchers_count",
                "network_count",
                "subscribers_count",
                "size",
            ),
            0,
        )
        is_open = sum(pull.state == "open" for pull in repository.pulls.values())
        return {
            **{name: f"{url}{path}" for name, path in _REPOSITORY_LINKS},
            **counts,
            "id": repository.id,
            "node_id": node_id("R", repository.id),
            "name": repository.name,
            "full_name": repository.full_name,
            "owner": self.account(repository.owner),
            "private": repository.private,
            "visibility": "private" if repository.private else "public",
            "html_url": web,
            "description": repository.description,
            "fork": False,
            "url": url,
            "clone_url": f"{web}.git",
            "git_url": f"git:{web.partition(':')[2]}.git",
            "ssh_url": f"ssh:{web.partition(':')[2]}.git",
            "svn_url": web,
            "mirror_url": None,
            "homepage": None,
            "language": None,
            "license": None,
            "default_branch": repository.default_branch,
            "open_issues": is_open,
            "open_issues_count": is_open,
            "has_issues": True,
            "has_projects": False,
            "has_wiki": False,
            "has_pages": False,
            "has_discussions": False,
            "has_downloads": False,
            "archived": False,
            "disabled": False,
            "allow_auto_merge": True,
            "delete_branch_on_merge": False,
            "pushed_at": repository.pushed,
            "created_at": repository.created,
            "updated_at": repository.updated,
        }

    def pull(self, repository: Repository, pull: Pull, *, full: bool) -> Json:
        """A `pull-request`, or a `pull-request-simple` for lists."""
        url = f"{self.api}/repos/{repository.full_name}/pulls/{pull.number}"
        issue = f"{self.api}/repos/{repository.full_name}/issues/{pull.number}"
        web = f"{self.web}/{repository.full_name}/pull/{pull.number}"
        statuses = f"{self.api}/repos/{repository.full_name}/statuses/{pull.head}"
        comment = f"{self.api}/repos/{repository.full_name}/pulls/comments{{/number}}"
        links = {
            "self": url,
            "html": web,
            "issue": issue,
            "comments": f"{issue}/comments",
            "review_comments": f"{url}/comments",
            "review_comment": comment,
            "commits": f"{url}/commits",
            "statuses": statuses,
        }
        simple = {
            "id": pull.id,
            "node_id": node_id("PR", pull.id),
            "number": pull.number,
            "state": pull.state,
            "locked": False,
            "title": pull.title,
            "user": self.account(pull.account),
            "body": pull.body,
            "labels": [],
            "milestone": None,
            "assignee": None,
            "assignees": [],
            "requested_reviewers": [],
            "requested_teams": [],
            "draft": False,
            "created_at": pull.created,
            "updated_at": pull.updated,
            "closed_at": pull.closed,
            "merged_at": pull.merged,
            "merge_commit_sha": pull.merge_commit,
            "head": self._side(repository, pull.head_branch, pull.head),
            "base": self._side(repository, pull.base_branch, pull.base),
            "author_association": "MEMBER",
            "auto_merge": self._auto_merge(pull),
            "url": url,
            "html_url": web,
            "diff_url": f"{web}.diff",
            "patch_url": f"{web}.patch",
            "issue_url": issue,
            "comments_url": f"{issue}/comments",
            "commits_url": f"{url}/commits",
            "review_comments_url": f"{url}/comments",
            "review_comment_url": comment,
            "statuses_url": statuses,
            "_links": {name: {"href": href} for name, href in links.items()},
        }
        if not full:
            return simple
        mergeable = self._is_mergeable(repository, pull)
        commits = repository.git("rev-list", "--count", f"{pull.base}..{pull.head}")
        return {
            **simple,
            "merged": pull.merged is not None,
            "mergeable": mergeable,
            "mergeable_state": {True: "clean", False: "dirty", None: "unknown"}[mergeable],
            "merged_by": self.account(pull.merged_by) if pull.merged_by else None,
            "comments": sum(c.number == pull.number for c in repository.comments.values()),
            "review_comments": 0,
            "maintainer_can_modify": False,
            "commits": int(commits),
            "additions": 0,
            "deletions": 0,
            "changed_files": 0,
        }

    def _is_mergeable(self, repository: Repository, pull: Pull) -> bool | None:
        base = repository.branch(pull.base_branch)
        if pull.state != "open" or base is None:
            return None
        said = repository.git("merge-tree", "--write-tree", base, pull.head, accept=(0, 1))
        return "CONFLICT" not in said

    def _auto_merge(self, pull: Pull) -> Json | None:
        if pull.auto_merge_by is None:
            return None
        return {
            "enabled_by": self.account(pull.auto_merge_by),
            "merge_method": "merge",
            "commit_title": pull.title,
            "commit_message": "",
        }

    def _side(self, repository: Repository, branch: str, commit: str) -> Json:
        return {
            "label": f"{repository.owner.login}:{branch}",
            "ref": branch,
            "sha": commit,
            "user": self.account(repository.owner),
            "repo": self.repository(repository),
        }

    def review(self, repository: Repository, pull: Pull, review: Review) -> Json:
        """A `pull-request-review`."""
        url = f"{self.api}/repos/{repository.full_name}/pulls/{pull.number}"
        web = f"{self.web}/{repository.full_name}/pull/{pull.number}#review-{review.id}"
        return {
            "id": review.id,
            "node_id": node_id("PRR", review.id),
            "user": self.account(review.account),
            "body": review.body,
            "state": review.state,
            "commit_id": review.commit,
            "submitted_at": review.submitted,
            "author_association": "MEMBER",
            "html_url": web,
            "pull_request_url": url,
            "_links": {"html": {"href": web}, "pull_request": {"href": url}},
        }

    def comment(self, repository: Repository, comment: Comment) -> Json:
        """An `issue-comment`."""
        base = f"{self.api}/repos/{repository.full_name}/issues"
        return {
            "id": comment.id,
            "node_id": node_id("IC", comment.id),
            "url": f"{base}/comments/{comment.id}",
            "html_url": f"{self.web}/{repository.full_name}/pull/{comment.number}#{comment.id}",
            "issue_url": f"{base}/{comment.number}",
            "user": self.account(comment.account),
            "body": comment.body,
            "author_association": "MEMBER",
            "created_at": comment.created,
            "updated_at": comment.updated,
        }

    def app(self, app: App) -> Json:
        """An `integration`."""
        return {
            "id": app.id,
            "slug": app.slug,
            "node_id": node_id("A", app.id),
            "owner": self.account(app.bot),
            "name": app.slug,
            "description": None,
            "external_url": self.web,
            "html_url": f"{self.web}/apps/{app.slug}",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "permissions": app.permissions,
            "events": [],
        }

    def installation(self, app: App, organisation: Account) -> Json:
        """An `installation` on an organisation."""
        return {
            "id": app.installation_id,
            "account": self.account(organisation),
            "repository_selection": "all",
            "access_tokens_url": f"{self.api}/app/installations/{app.installation_id}"
            "/access_tokens",
            "repositories_url": f"{self.api}/installation/repositories",
            "html_url": f"{self.web}/organizations/{organisation.login}/settings/installations",
            "app_id": app.id,
            "app_slug": app.slug,
            "target_id": organisation.id,
            "target_type": "Organization",
            "permissions": app.permissions,
            "events": [],
            "single_file_name": None,
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:00Z",
            "suspended_by": None,
            "suspended_at": None,
        }

    def installation_token(self, token: Token, expires: str) -> Json:
        """An `installation-token`."""
        return {
            "token": token.value,
            "expires_at": expires,
            "permissions": dict(token.permissions or {}),
            "repository_selection": "all" if token.repositories is None else "selected",
        }

    def check(self, repository: Repository, run: CheckRun) -> Json:
        """A `check-run`."""
        return {
            "id": run.id,
            "node_id": node_id("CR", run.id),
            "head_sha": run.head,
            "external_id": run.external_id,
            "name": run.name,
            "url": f"{self.api}/repos/{repository.full_name}/check-runs/{run.id}",
            "html_url": f"{self.web}/{repository.full_name}/runs/{run.id}",
            "details_url": run.details_url or self.web,
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": run.started,
            "completed_at": run.completed,
            "output": {
                "title": run.title,
                "summary": run.summary,
                "text": None,
                "annotations_count": 0,
                "annotations_url": f"{self.api}/repos/{repository.full_name}"
                f"/check-runs/{run.id}/annotations",
            },
            "check_suite": {"id": run.id},
            "app": self.app(run.app),
            "pull_requests": [],
        }

    def ruleset(self, repository: Repository, ruleset: Ruleset, *, full: bool = True) -> Json:
        """A `repository-ruleset`; lists leave out its content."""
        url = f"{self.api}/repos/{repository.full_name}/rulesets/{ruleset.id}"
        brief = {
            "id": ruleset.id,
            "node_id": node_id("RRS", ruleset.id),
            "name": ruleset.name,
            "target": "branch",
            "source_type": "Repository",
            "source": repository.full_name,
            "enforcement": ruleset.enforcement,
            "created_at": ruleset.created,
            "updated_at": ruleset.updated,
            "_links": {"self": {"href": url}},
        }
        if not full:
            return brief
        return {
            **brief,
            "bypass_actors": ruleset.bypass_actors,
            "current_user_can_bypass": "never",
            "conditions": {"ref_name": {"include": ruleset.include, "exclude": ruleset.exclude}},
            "rules": ruleset.rules,
        }

    def deployment(self, repository: Repository, deployment: Deployment) -> Json:
        """A `deployment`."""
        url = f"{self.api}/repos/{repository.full_name}/deployments/{deployment.id}"
        return {
            "url": url,
            "id": deployment.id,
            "node_id": node_id("DE", deployment.id),
            "sha": deployment.commit,
            "ref": deployment.ref,
            "task": "deploy",
            "payload": deployment.payload,
            "original_environment": deployment.environment,
            "environment": deployment.environment,
            "description": deployment.description,
            "creator": self.account(deployment.creator),
            "created_at": deployment.created,
            "updated_at": deployment.created,
            "statuses_url": f"{url}/statuses",
            "repository_url": f"{self.api}/repos/{repository.full_name}",
            "transient_environment": deployment.is_transient,
            "production_environment": deployment.is_production,
        }

    def deployment_status(
        self, repository: Repository, deployment: Deployment, status: DeploymentStatus
    ) -> Json:
        """A `deployment-status`."""
        url = f"{self.api}/repos/{repository.full_name}/deployments/{deployment.id}"
        return {
            "url": f"{url}/statuses/{status.id}",
            "id": status.id,
            "node_id": node_id("DES", status.id),
            "state": status.state,
            "creator": self.account(status.creator),
            "description": status.description,
            "environment": deployment.environment,
            "target_url": status.log_url,
            "log_url": status.log_url,
            "environment_url": "",
            "created_at": status.created,
            "updated_at": status.created,
            "deployment_url": url,
            "repository_url": f"{self.api}/repos/{repository.full_name}",
        }

    def team(self, organisation: Account, team: Team) -> Json:
        """A `team`."""
        url = f"{self.api}/organizations/{organisation.id}/team/{team.id}"
        return {
            "id": team.id,
            "node_id": node_id("T", team.id),
            "url": url,
            "html_url": f"{self.web}/orgs/{organisation.login}/teams/{team.slug}",
            "name": team.slug,
            "slug": team.slug,
            "description": None,
            "privacy": "closed",
            "permission": "pull",
            "type": "organization",
            "organization_id": organisation.id,
            "members_url": f"{url}/members{{/member}}",
            "repositories_url": f"{url}/repos",
            "parent": None,
        }

    def ref(self, repository: Repository, ref: str, commit: str) -> Json:
        """A `git-ref`."""
        base = f"{self.api}/repos/{repository.full_name}/git"
        return {
            "ref": ref,
            "node_id": node_id("REF", repository.id),
            "url": f"{base}/{ref}",
            "object": {"sha": commit, "type": "commit", "url": f"{base}/commits/{commit}"},
        }

    def branch(self, repository: Repository, name: str, commit: str) -> Json:
        """A `short-branch`."""
        url = f"{self.api}/repos/{repository.full_name}/commits/{commit}"
        protected = has_queue(repository, name) or bool(repository.rulesets)
        return {"name": name, "commit": {"sha": commit, "url": url}, "protected": protected}
