"""Pull requests, their reviews and comments, checks, and merges, over REST."""

from __future__ import annotations

from worlds.github_server.calls import Answer, Call, Problem, invalid, not_found, route
from worlds.github_server.rules import check_merge, has_queue
from worlds.github_server.state import (
    Account,
    CheckRun,
    Comment,
    GitError,
    Pull,
    Repository,
    Review,
    State,
    Token,
)

_VERDICTS = {"APPROVE": "APPROVED", "REQUEST_CHANGES": "CHANGES_REQUESTED", "COMMENT": "COMMENTED"}


def _pull(call: Call) -> Pull:
    found = call.repository.pulls.get(call.number("pull_number"))
    if found is None:
        raise not_found()
    return found


@route("GET", "/repos/{owner}/{repo}/pulls", ("pull_requests", "read"))
def list_pulls(call: Call) -> Answer:
    """Pull requests by state, head and base; the newest first."""
    repository, query = call.repository, call.query
    state, head, base = query.get("state", "open"), query.get("head"), query.get("base")
    found = [
        pull
        for pull in repository.pulls.values()
        if (state == "all" or pull.state == state)
        and (head is None or head == f"{repository.owner.login}:{pull.head_branch}")
        and (base is None or base == pull.base_branch)
    ]
    key = "updated" if query.get("sort") == "updated" else "number"
    newest_first = query.get("direction", "desc") == "desc"
    found.sort(key=lambda pull: (getattr(pull, key), pull.number), reverse=newest_first)
    return Answer(200, [call.shapes.pull(repository, pull, full=False) for pull in found])


@route("POST", "/repos/{owner}/{repo}/pulls", ("pull_requests", "write"))
def create_pull(call: Call) -> Answer:
    """A new pull request of one branch into another."""
    repository = call.repository
    head_branch = call.text("head", resource="PullRequest").rpartition(":")[2]
    base_branch = call.text("base", resource="PullRequest")
    head, base = repository.branch(head_branch), repository.branch(base_branch)
    if base is None:
        raise invalid("PullRequest", "base")
    if head is None:
        raise invalid("PullRequest", "head")
    title = call.text("title", resource="PullRequest")
    sides = (head_branch, base_branch)
    if any(
        p.state == "open" and (p.head_branch, p.base_branch) == sides
        for p in repository.pulls.values()
    ):
        said = f"A pull request already exists for {repository.owner.login}:{head_branch}."
        raise invalid("PullRequest", "head", "custom", said)
    if repository.is_ancestor(head, base):
        said = f"No commits between {base_branch} and {head_branch}"
        raise invalid("PullRequest", "head", "custom", said)
    now = call.state.now()
    number = max(repository.pulls, default=0) + 1
    account = call.actor.account
    pull = Pull(
        call.state.number(),
        number,
        account,
        title,
        call.body.get("body"),
        head_branch,
        head,
        base_branch,
        base,
        now,
        now,
        account.id,
    )
    repository.pulls[number] = pull
    repository.git("update-ref", f"refs/pull/{number}/head", head)
    return Answer(201, call.shapes.pull(repository, pull, full=True))


@route("GET", "/repos/{owner}/{repo}/pulls/{pull_number}", ("pull_requests", "read"))
def get_pull(call: Call) -> Answer:
    """One pull request."""
    return Answer(200, call.shapes.pull(call.repository, _pull(call), full=True))


@route("PATCH", "/repos/{owner}/{repo}/pulls/{pull_number}", ("pull_requests", "write"))
def update_pull(call: Call) -> Answer:
    """A pull request with another title, body or state."""
    pull = _pull(call)
    pull.title = call.body.get("title", pull.title)
    pull.body = call.body.get("body", pull.body)
    state = call.body.get("state", pull.state)
    pull.updated = call.state.now()
    if state != pull.state:
        if pull.merged:
            raise invalid("PullRequest", "state")
        if state == "open" and call.repository.branch(pull.head_branch) is None:
            raise invalid("PullRequest", "state", "custom", "The head branch was deleted.")
        pull.state = state
        pull.closed = pull.updated if state == "closed" else None
    return Answer(200, call.shapes.pull(call.repository, pull, full=True))


def pulls_of_commit(repository: Repository, sha: str) -> list[Pull]:
    """The pull requests whose merge commit or head is this commit."""
    return [p for p in repository.pulls.values() if sha in (p.merge_commit, p.head)]


# -- merging ----------------------------------------------------------------------------


@route("PUT", "/repos/{owner}/{repo}/pulls/{pull_number}/merge", ("contents", "write"))
def merge_pull(call: Call) -> Answer:
    """A merge into the base branch, at the head that the caller expects."""
    repository, pull = call.repository, _pull(call)
    expected = call.body.get("sha")
    if pull.state != "open":
        raise Problem(405, "Pull Request is not mergeable")
    if expected is not None and expected != pull.head:
        raise Problem(409, "Head branch was modified. Review and try the merge again.")
    reason = check_merge(call.state, repository, pull, call.actor)
    if reason:
        raise Problem(405, reason)
    title = call.body.get("commit_title") or f"Merge pull request #{pull.number}"
    message = call.body.get("commit_message", pull.title)
    text = f"{title}\n\n{message}" if message else title
    commit = merge(call.state, repository, pull, call.actor.account, text)
    if commit is None:
        raise Problem(405, "Pull Request is not mergeable")
    return Answer(
        200, {"sha": commit, "merged": True, "message": "Pull Request successfully merged"}
    )


def merge(
    state: State, repository: Repository, pull: Pull, account: Account, message: str
) -> str | None:
    """The merge commit on the base branch; None if the two sides conflict."""
    base = repository.branch(pull.base_branch)
    commit = merge_commit(state, repository, pull, base, account, message) if base else None
    if base is not None and commit is not None:
        land(state, repository, pull, base, commit, account)
    return commit


def merge_commit(
    state: State, repository: Repository, pull: Pull, base: str, account: Account, message: str
) -> str | None:
    """A commit that merges a pull request into `base`, on no branch; None on a conflict."""
    try:
        tree = repository.git("merge-tree", "--write-tree", base, pull.head).split("\n")[0]
    except GitError:
        return None
    # As on GitHub: the person who merges is the author, GitHub itself the committer.
    author = f"user.name={account.login}", f"user.email={account.id}@users.noreply.github.invalid"
    dated = {}
    if state.first_merge_s is not None:
        at = f"{state.first_merge_s + pull.number} +0000"
        dated = {"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at}
    return repository.git(
        *(word for setting in author for word in ("-c", setting)),
        "commit-tree",
        tree,
        "-p",
        base,
        "-p",
        pull.head,
        stdin=message.encode(),
        environment=dated,
    )


def land(
    state: State, repository: Repository, pull: Pull, base: str, commit: str, account: Account
) -> None:
    """Move the base branch to a commit that merges a pull request."""
    repository.git("update-ref", f"refs/heads/{pull.base_branch}", commit, base)
    pull.state, pull.merge_commit, pull.merged_by = "closed", commit, account
    pull.closed = pull.merged = pull.updated = state.now()
    state.after_refs_moved(repository, account, "pr_merge")


def merge_when_allowed(state: State, repository: Repository, pull: Pull, token: Token) -> None:
    """Merge a pull request if nothing blocks it, as auto-merge and the merge queue do."""
    queued = has_queue(repository, pull.base_branch)
    if pull.state == "open" and check_merge(state, repository, pull, token, queued=queued) is None:
        merge(state, repository, pull, token.account, f"Merge pull request #{pull.number}")


# -- reviews ----------------------------------------------------------------------------


@route("GET", "/repos/{owner}/{repo}/pulls/{pull_number}/reviews", ("pull_requests", "read"))
def list_reviews(call: Call) -> Answer:
    """All reviews, oldest first."""
    pull = _pull(call)
    return Answer(200, [call.shapes.review(call.repository, pull, r) for r in pull.reviews])


@route("POST", "/repos/{owner}/{repo}/pulls/{pull_number}/reviews", ("pull_requests", "write"))
def create_review(call: Call) -> Answer:
    """A review of a commit; nobody approves their own pull request."""
    repository, pull = call.repository, _pull(call)
    account = call.actor.account
    state = _VERDICTS.get(call.body.get("event", ""))
    if state is None:
        raise Problem(422, "Unprocessable Entity", ["Pending reviews are not kept here"])
    if account.id == pull.account.id and state != "COMMENTED":
        verb = "approve" if state == "APPROVED" else "request changes on"
        raise Problem(422, "Unprocessable Entity", [f"Can not {verb} your own pull request"])
    if not call.body.get("body") and state != "APPROVED":
        raise Problem(422, "Unprocessable Entity", ["Body can't be blank"])
    commit = call.body.get("commit_id") or pull.head
    if not repository.is_ancestor(commit, pull.head):
        raise Problem(422, "Unprocessable Entity", ["The commit is not part of the pull request"])
    now = call.state.now()
    review = Review(call.state.number(), account, commit, state, call.body.get("body") or "", now)
    pull.reviews.append(review)
    pull.updated = now
    return Answer(200, call.shapes.review(repository, pull, review))


@route(
    "PUT",
    "/repos/{owner}/{repo}/pulls/{pull_number}/reviews/{review_id}/dismissals",
    ("pull_requests", "write"),
)
def dismiss_review(call: Call) -> Answer:
    """A review, dismissed."""
    pull, id = _pull(call), call.number("review_id")
    for review in pull.reviews:
        if review.id == id:
            if review.state not in ("APPROVED", "CHANGES_REQUESTED"):
                raise Problem(422, "Can not dismiss a commented pull request review")
            review.state = "DISMISSED"
            pull.updated = call.state.now()
            return Answer(200, call.shapes.review(call.repository, pull, review))
    raise not_found()


# -- comments ---------------------------------------------------------------------------


@route(
    "GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments", ("issues|pull_requests", "read")
)
def list_comments(call: Call) -> Answer:
    """The comments of a pull request, oldest first."""
    repository, number = call.repository, call.number("issue_number")
    if number not in repository.pulls:
        raise not_found()
    found = [c for c in repository.comments.values() if c.number == number]
    return Answer(200, [call.shapes.comment(repository, comment) for comment in found])


@route(
    "POST",
    "/repos/{owner}/{repo}/issues/{issue_number}/comments",
    ("issues|pull_requests", "write"),
)
def create_comment(call: Call) -> Answer:
    """A new comment."""
    repository, number = call.repository, call.number("issue_number")
    if number not in repository.pulls:
        raise not_found()
    text = call.text("body", resource="IssueComment")
    if len(text) > 65_536:
        raise invalid(
            "IssueComment", "body", "custom", "body is too long (maximum is 65536 characters)"
        )
    now = call.state.now()
    comment = Comment(call.state.number(), number, call.actor.account, text, now, now)
    repository.comments[comment.id] = comment
    repository.pulls[number].updated = now
    return Answer(201, call.shapes.comment(repository, comment))


@route(
    "PATCH", "/repos/{owner}/{repo}/issues/comments/{comment_id}", ("issues|pull_requests", "write")
)
def update_comment(call: Call) -> Answer:
    """A comment with a new text; an app may change only its own."""
    repository = call.repository
    comment = repository.comments.get(call.number("comment_id"))
    if comment is None:
        raise not_found()
    if comment.account.id != call.actor.account.id:
        raise Problem(403, "Unable to update a comment of somebody else")
    comment.body = call.text("body", resource="IssueComment")
    comment.updated = call.state.now()
    return Answer(200, call.shapes.comment(repository, comment))


# -- checks -----------------------------------------------------------------------------


@route("POST", "/repos/{owner}/{repo}/check-runs", ("checks", "write"))
def create_check(call: Call) -> Answer:
    """A new check run, which only an app can make."""
    repository, app = call.repository, call.actor.app
    if app is None:
        raise Problem(403, "You must authenticate via a GitHub App.")
    name = call.text("name", resource="CheckRun")
    head = call.text("head_sha", resource="CheckRun")
    output = call.body.get("output") or {}
    conclusion = call.body.get("conclusion")
    status = "completed" if conclusion else call.body.get("status", "queued")
    now = call.state.now()
    run = CheckRun(
        call.state.number(),
        app,
        name,
        head,
        status,
        conclusion,
        now,
        now if conclusion else None,
        output.get("title"),
        output.get("summary"),
        call.body.get("external_id", ""),
        call.body.get("details_url", ""),
    )
    repository.checks[run.id] = run
    return Answer(201, call.shapes.check(repository, run))


@route("PATCH", "/repos/{owner}/{repo}/check-runs/{check_run_id}", ("checks", "write"))
def update_check(call: Call) -> Answer:
    """A check run of the same app, changed."""
    repository = call.repository
    run = repository.checks.get(call.number("check_run_id"))
    if run is None:
        raise not_found()
    if call.actor.app is not run.app:
        raise Problem(403, "Invalid app_id: it is of another app")
    output = call.body.get("output") or {}
    run.title, run.summary = output.get("title", run.title), output.get("summary", run.summary)
    if call.body.get("conclusion"):
        run.status, run.conclusion = "completed", call.body["conclusion"]
        run.completed = call.state.now()
    return Answer(200, call.shapes.check(repository, run))


@route("GET", "/repos/{owner}/{repo}/commits/{ref}/check-runs", ("checks", "read"))
def list_checks(call: Call) -> Answer:
    """The newest check run of each app and name at a commit."""
    repository, head = call.repository, call.parameters["ref"]
    newest: dict[tuple[int, str], CheckRun] = {}
    for run in repository.checks.values():
        if run.head == head and call.query.get("check_name", run.name) == run.name:
            newest[run.app.id, run.name] = run
    runs = [call.shapes.check(repository, run) for run in newest.values()]
    return Answer(200, {"total_count": len(runs), "check_runs": runs})
