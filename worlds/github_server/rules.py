"""What rulesets forbid: pushes and merges, by actor and ref. Pure over `State`.

Source: GitHub's "Available rules for rulesets" and "Creating rulesets for a repository".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from worlds.github_server.state import Json, Pull, Repository, Ruleset, State, Token

_VIOLATED = "Repository rule violations found\n\n"
_NO_REVIEWS: Json = {
    "required_approving_review_count": 0,
    "dismiss_stale_reviews_on_push": False,
    "require_code_owner_review": False,
    "require_last_push_approval": False,
    "required_review_thread_resolution": False,
}


def matches(pattern: str, ref: str, default_branch: str) -> bool:
    """Whether a ruleset's condition matches the full ref name (Ruby's fnmatch, by path)."""
    if pattern == "~ALL":
        return True
    if pattern == "~DEFAULT_BRANCH":
        return ref == f"refs/heads/{default_branch}"
    text = ""
    for piece in re.split(r"(\*\*/|\*|\?)", pattern):
        text += {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}.get(piece, re.escape(piece))
    return re.fullmatch(text, ref) is not None


def rulesets_of(repository: Repository, ref: str) -> Iterator[Ruleset]:
    """The active rulesets of a ref."""
    for ruleset in repository.rulesets.values():
        if ruleset.enforcement != "active":
            continue
        included = any(matches(p, ref, repository.default_branch) for p in ruleset.include)
        excluded = any(matches(p, ref, repository.default_branch) for p in ruleset.exclude)
        if included and not excluded:
            yield ruleset


def may_bypass(state: State, ruleset: Ruleset, token: Token, *, by_pull: bool) -> bool:
    """Whether the token's actor bypasses a ruleset, for a push or for a merge."""
    for actor in ruleset.bypass_actors:
        if actor.get("bypass_mode", "always") == "pull_request" and not by_pull:
            continue
        match actor["actor_type"]:
            case "Integration":
                if token.app is not None and token.app.id == actor["actor_id"]:
                    return True
            case "User":
                if token.app is None and token.account.id == actor["actor_id"]:
                    return True
            case "Team":
                teams = (t for t in state.teams.values() if t.id == actor["actor_id"])
                if any(token.account.id in team.members for team in teams):
                    return True
    return False


def bypass_of(state: State, ruleset: Ruleset, token: Token) -> str:
    """How the token's actor may bypass a ruleset, in GitHub's words."""
    if may_bypass(state, ruleset, token, by_pull=False):
        return "always"
    return "pull_requests_only" if may_bypass(state, ruleset, token, by_pull=True) else "never"


def check_update(
    state: State, repository: Repository, token: Token, ref: str, old: str | None, new: str | None
) -> str | None:
    """Why a push may not create, move or delete a ref."""
    for ruleset in rulesets_of(repository, ref):
        if may_bypass(state, ruleset, token, by_pull=False):
            continue
        for rule in ruleset.rules:
            reason = _forbidden(rule["type"], old, new)
            if reason:
                return f"GH013: Repository rule violations found for {ref}: {reason}"
    return None


def _forbidden(type: str, old: str | None, new: str | None) -> str | None:
    match type:
        case "creation" if old is None:
            return "Cannot create ref due to creations being restricted."
        case "deletion" if new is None:
            return "Cannot delete this branch"
        case "update" if old is not None and new is not None:
            return "Cannot update this protected ref."
        case "pull_request" if old is not None and new is not None:
            return "Changes must be made through a pull request."
        case "required_status_checks" if new is not None:
            return "Required status checks are expected."
        case "required_signatures" if new is not None:
            return "Commits must have verified signatures."  # nobody signs here
        case _:
            return None


def forward_only(state: State, repository: Repository, token: Token, ref: str) -> bool:
    """Whether this actor may only fast-forward the ref."""
    return any(
        rule["type"] == "non_fast_forward"
        for ruleset in rulesets_of(repository, ref)
        if not may_bypass(state, ruleset, token, by_pull=False)
        for rule in ruleset.rules
    )


def review_parameters(state: State, repository: Repository, branch: str) -> Json:
    """The combined parameters of all `pull_request` rules of a branch."""
    asked = dict(_NO_REVIEWS)
    for ruleset in rulesets_of(repository, f"refs/heads/{branch}"):
        for rule in ruleset.rules:
            if rule["type"] == "pull_request":
                for name, value in rule["parameters"].items():
                    if name in asked:
                        asked[name] = max(asked[name], value)
    return asked


def has_queue(repository: Repository, branch: str) -> bool:
    """Whether merges into the branch go through a merge queue."""
    found = rulesets_of(repository, f"refs/heads/{branch}")
    return any(rule["type"] == "merge_queue" for ruleset in found for rule in ruleset.rules)


def check_merge(
    state: State, repository: Repository, pull: Pull, token: Token, *, queued: bool = False
) -> str | None:
    """Why the token's actor may not merge a pull request now."""
    ref = f"refs/heads/{pull.base_branch}"
    for ruleset in rulesets_of(repository, ref):
        if may_bypass(state, ruleset, token, by_pull=True):
            continue
        for rule in ruleset.rules:
            match rule["type"]:
                case "update":
                    return f"{_VIOLATED}Cannot update this protected ref."
                case "merge_queue" if not queued:
                    return f"{_VIOLATED}Changes must be made through the merge queue"
                case "pull_request":
                    reason = _check_reviews(state, repository, pull, rule["parameters"])
                    if reason:
                        return f"{_VIOLATED}{reason}"
                case "required_status_checks":
                    reason = _check_statuses(repository, pull.head, rule["parameters"])
                    if reason:
                        return f"{_VIOLATED}{reason}"
                case "required_signatures":
                    return f"{_VIOLATED}Commits must have verified signatures."
    return None


def newest_verdicts(pull: Pull) -> dict[int, str]:
    """Account → its newest verdict."""
    verdicts: dict[int, str] = {}
    for review in pull.reviews:
        if review.state != "COMMENTED":
            verdicts[review.account.id] = review.state
    return verdicts


def _check_reviews(
    state: State, repository: Repository, pull: Pull, parameters: Json
) -> str | None:
    verdicts = newest_verdicts(pull)
    if parameters["required_approving_review_count"] and "CHANGES_REQUESTED" in verdicts.values():
        return "Changes have been requested."
    approving = {user for user, verdict in verdicts.items() if verdict == "APPROVED"}
    writers = {user for user in approving if may_write(state, repository, user)}
    if len(writers) < parameters["required_approving_review_count"]:
        needed = parameters["required_approving_review_count"]
        return f"At least {needed} approving review is required by reviewers with write access."
    if parameters.get("require_code_owner_review"):
        reason = _check_code_owners(state, repository, pull, writers)
        if reason:
            return reason
    wants_last = parameters["require_last_push_approval"]
    if (
        wants_last
        and parameters["required_approving_review_count"]
        and not writers - {pull.last_pusher}
    ):
        return "New changes require approval from someone other than the last pusher."
    return None


def _check_code_owners(
    state: State, repository: Repository, pull: Pull, approving: set[int]
) -> str | None:
    """Why a pull request lacks the approval of the code owners of its changes.

    Source: GitHub, "About code owners": the last line that matches a path counts, and owners
    without write access do not count.
    """
    base = repository.branch(pull.base_branch) or ""
    found = (
        repository.git("show", f"{base}:{path}", accept=(0, 128))
        for path in (".github/CODEOWNERS", "CODEOWNERS", "docs/CODEOWNERS")
    )
    text = next((text for text in found if text), "")
    lines = [line.split() for line in text.splitlines() if line.strip() and line[0] != "#"]
    changed = repository.git("diff", "--name-only", f"{base}...{pull.head}").splitlines()
    for path in changed:
        named = next((owners for p, *owners in reversed(lines) if _owns(p, path)), [])
        owners = {
            user
            for owner in named
            for user in _members_who_write(state, repository, owner.rpartition("/")[2])
        }
        if owners and not (owners - {pull.account.id}) & approving:
            return f"Waiting on code owner review from {', '.join(named)}."
    return None


def _owns(pattern: str, path: str) -> bool:
    if pattern == "*":
        return True
    if not pattern.startswith("/") or "*" in pattern:
        # GitHub has more patterns; a test that uses another one must fail, not pass.
        raise AssertionError(f"a pattern of code owners that is not known here: {pattern}")
    return path.startswith(pattern[1:]) if pattern.endswith("/") else path == pattern[1:]


def _members_who_write(state: State, repository: Repository, team: str) -> set[int]:
    if repository.teams.get(team) not in ("push", "maintain", "admin"):
        return set()
    return state.teams[repository.owner.login, team].members


def may_write(state: State, repository: Repository, user: int) -> bool:
    """Whether a person may push to a repository; here, every member of its organisation."""
    return user in state.members.get(repository.owner.login, set())


def check_statuses(repository: Repository, branch: str, commit: str) -> str | None:
    """Why a commit's checks block it from a branch."""
    for ruleset in rulesets_of(repository, f"refs/heads/{branch}"):
        for rule in ruleset.rules:
            if rule["type"] == "required_status_checks":
                reason = _check_statuses(repository, commit, rule["parameters"])
                if reason:
                    return reason
    return None


def _check_statuses(repository: Repository, commit: str, parameters: Json) -> str | None:
    for wanted in parameters["required_status_checks"]:
        runs = [
            run
            for run in repository.checks.values()
            if run.head == commit
            and run.name == wanted["context"]
            and wanted.get("integration_id") in (None, run.app.id)
        ]
        newest = max(runs, key=lambda run: run.id, default=None)
        if newest is None or newest.status != "completed":
            return f'Required status check "{wanted["context"]}" is expected.'
        if newest.conclusion not in ("success", "neutral", "skipped"):
            return f'Required status check "{wanted["context"]}" is failing.'
    return None
