"""Repositories, refs, git objects, and rulesets over REST."""

from __future__ import annotations

import base64
import re

from worlds.github_server.calls import Answer, Call, Problem, invalid, not_found, route
from worlds.github_server.rules import bypass_of, check_update, forward_only, rulesets_of
from worlds.github_server.state import GitError, Json, Repository, Ruleset

_NAME = re.compile(r"[A-Za-z0-9._-]{1,100}\Z")
_SHA = re.compile(r"[0-9a-f]{40}\Z")


@route("GET", "/repos/{owner}/{repo}", ("metadata", "read"))
def get_repository(call: Call) -> Answer:
    """One repository."""
    return Answer(200, call.shapes.repository(call.repository))


@route("PATCH", "/repos/{owner}/{repo}", ("administration", "write"))
def update_repository(call: Call) -> Answer:
    """A repository with another description or default branch."""
    repository = call.repository
    if "description" in call.body:
        repository.description = call.body["description"]
    branch = call.body.get("default_branch")
    if branch is not None:
        if repository.branch(branch) is None:
            raise invalid("Repository", "default_branch")
        repository.default_branch = branch
        repository.git("symbolic-ref", "HEAD", f"refs/heads/{branch}")
    repository.updated = call.state.now()
    return Answer(200, call.shapes.repository(repository))


@route("POST", "/orgs/{org}/repos", ("administration", "write"))
def create_repository(call: Call) -> Answer:
    """A new repository of an organisation."""
    owner = call.state.account_named(call.parameters["org"])
    if owner is None or owner.type != "Organization":
        raise not_found()
    name = call.text("name", resource="Repository")
    if not _NAME.match(name):
        raise invalid("Repository", "name")
    if call.state.repository(owner.login, name):
        raise Problem(
            422,
            "Repository creation failed.",
            [
                {
                    "resource": "Repository",
                    "code": "custom",
                    "field": "name",
                    "message": "name already exists on this account",
                }
            ],
        )
    made = call.state.create_repository(
        owner,
        name,
        description=call.body.get("description"),
        private=bool(call.body.get("private", False)),
    )
    return Answer(201, call.shapes.repository(made))


@route("GET", "/repos/{owner}/{repo}/activity", ("contents", "read"))
def list_activity(call: Call) -> Answer:
    """The moves of branches, newest first by default."""
    found = call.repository.activities
    if "ref" in call.query:
        found = [activity for activity in found if activity.ref == call.query["ref"]]
    if call.query.get("direction", "desc") == "desc":
        found = found[::-1]
    return Answer(200, [call.shapes.activity(activity) for activity in found])


# -- refs -------------------------------------------------------------------------------


@route("GET", "/repos/{owner}/{repo}/git/ref/{ref}", ("contents", "read"))
def get_ref(call: Call) -> Answer:
    """One ref by its name without `refs/`."""
    repository, name = call.repository, f"refs/{call.parameters['ref']}"
    commit = repository.refs("refs/").get(name)
    if commit is None:
        raise not_found()
    return Answer(200, call.shapes.ref(repository, name, commit))


@route("GET", "/repos/{owner}/{repo}/git/matching-refs/{ref}", ("contents", "read"))
def list_matching_refs(call: Call) -> Answer:
    """All refs whose names have this prefix."""
    repository, prefix = call.repository, f"refs/{call.parameters['ref']}"
    refs = repository.refs("refs/").items()
    return Answer(
        200, [call.shapes.ref(repository, n, id) for n, id in refs if n.startswith(prefix)]
    )


@route("POST", "/repos/{owner}/{repo}/git/refs", ("contents", "write"))
def create_ref(call: Call) -> Answer:
    """A new ref."""
    repository = call.repository
    name, commit = call.text("ref", resource="Reference"), call.text("sha", resource="Reference")
    if not name.startswith("refs/") or name.count("/") < 2:
        raise Problem(422, "Reference name is not valid")
    if name in repository.refs("refs/"):
        raise Problem(422, "Reference already exists")
    _move(call, repository, name, None, commit)
    return Answer(201, call.shapes.ref(repository, name, commit))


@route("PATCH", "/repos/{owner}/{repo}/git/refs/{ref}", ("contents", "write"))
def update_ref(call: Call) -> Answer:
    """Move a ref; forward only, unless forced."""
    repository, name = call.repository, f"refs/{call.parameters['ref']}"
    commit = call.text("sha", resource="Reference")
    old = repository.refs("refs/").get(name)
    if old is None:
        raise Problem(422, "Reference does not exist")
    forced = call.body.get("force") is True
    held = not forced or forward_only(call.state, repository, call.actor, name)
    if held and not repository.is_ancestor(old, commit):
        raise Problem(422, "Update is not a fast forward")
    _move(call, repository, name, old, commit)
    return Answer(200, call.shapes.ref(repository, name, commit))


@route("DELETE", "/repos/{owner}/{repo}/git/refs/{ref}", ("contents", "write"))
def delete_ref(call: Call) -> Answer:
    """Remove a ref."""
    repository, name = call.repository, f"refs/{call.parameters['ref']}"
    old = repository.refs("refs/").get(name)
    if old is None:
        raise Problem(422, "Reference does not exist")
    _move(call, repository, name, old, None)
    return Answer(204)


def _move(call: Call, repository: Repository, name: str, old: str | None, new: str | None) -> None:
    reason = check_update(call.state, repository, call.actor, name, old, new)
    if reason:
        raise Problem(422, reason)
    try:
        if new is None:
            repository.git("update-ref", "-d", name, old or "")
        else:
            repository.git("update-ref", name, new, old or "0" * 40)
    except GitError as error:
        raise Problem(422, "Object does not exist") from error
    call.state.after_refs_moved(repository, call.actor.account)


@route("GET", "/repos/{owner}/{repo}/branches", ("contents", "read"))
def list_branches(call: Call) -> Answer:
    """All branches."""
    repository = call.repository
    heads = {name.removeprefix("refs/heads/"): id for name, id in repository.refs().items()}
    return Answer(200, [call.shapes.branch(repository, n, id) for n, id in heads.items()])


# -- objects ----------------------------------------------------------------------------


@route("GET", "/repos/{owner}/{repo}/git/commits/{commit_sha}", ("contents", "read"))
def get_commit(call: Call) -> Answer:
    """One commit object."""
    return Answer(200, _commit(call, call.repository, call.parameters["commit_sha"]))


def _commit(call: Call, repository: Repository, sha: str) -> Json:
    try:
        shown = repository.git(
            "show", "-s", "--format=%T%n%P%n%an%n%ae%n%aI%n%cn%n%ce%n%cI%n%B", f"{sha}^{{commit}}"
        )
    except GitError as error:
        raise not_found() from error
    tree, parents, *rest = shown.split("\n")
    name, email, date, committer, committer_email, committed, *message = rest
    base = f"{call.shapes.api}/repos/{repository.full_name}/git"
    web = f"{call.shapes.web}/{repository.full_name}/commit"
    return {
        "sha": sha,
        "node_id": f"C_{sha}",
        "url": f"{base}/commits/{sha}",
        "html_url": f"{web}/{sha}",
        "author": {"name": name, "email": email, "date": date},
        "committer": {"name": committer, "email": committer_email, "date": committed},
        "tree": {"sha": tree, "url": f"{base}/trees/{tree}"},
        "message": "\n".join(message).rstrip("\n"),
        "parents": [
            {"sha": p, "url": f"{base}/commits/{p}", "html_url": f"{web}/{p}"}
            for p in parents.split()
        ],
        "verification": {
            "verified": False,
            "reason": "unsigned",
            "signature": None,
            "payload": None,
            "verified_at": None,
        },
    }


@route("POST", "/repos/{owner}/{repo}/git/blobs", ("contents", "write"))
def create_blob(call: Call) -> Answer:
    """A new blob."""
    repository, content = call.repository, call.body.get("content")
    if not isinstance(content, str):
        raise invalid("Blob", "content", "missing_field")
    encoded = call.body.get("encoding") == "base64"
    data = base64.b64decode(content) if encoded else content.encode()
    sha = repository.git("hash-object", "-w", "--stdin", stdin=data)
    url = f"{call.shapes.api}/repos/{repository.full_name}/git/blobs/{sha}"
    return Answer(201, {"sha": sha, "url": url})


@route("POST", "/repos/{owner}/{repo}/git/trees", ("contents", "write"))
def create_tree(call: Call) -> Answer:
    """A new tree of entries on top of a base tree."""
    repository = call.repository
    entries: dict[str, tuple[str, str, str]] = {}
    base = call.body.get("base_tree")
    if base:
        for line in repository.git("ls-tree", "-r", base).splitlines():
            about, path = line.split("\t")
            mode, type, sha = about.split(" ")
            entries[path] = (mode, type, sha)
    for entry in call.body.get("tree", ()):
        if entry.get("sha", "") is None:
            entries.pop(entry["path"], None)
            continue
        sha = entry.get("sha") or repository.git(
            "hash-object", "-w", "--stdin", stdin=entry.get("content", "").encode()
        )
        entries[entry["path"]] = (entry.get("mode", "100644"), entry.get("type", "blob"), sha)
    sha = _write_tree(repository, entries)
    url = f"{call.shapes.api}/repos/{repository.full_name}/git/trees/{sha}"
    listed = [
        {"path": path, "mode": mode, "type": type, "sha": id, "url": f"{url}#{path}"}
        for path, (mode, type, id) in sorted(entries.items())
    ]
    return Answer(201, {"sha": sha, "url": url, "tree": listed, "truncated": False})


def _write_tree(repository: Repository, entries: dict[str, tuple[str, str, str]]) -> str:
    here: dict[str, tuple[str, str, str]] = {}
    below: dict[str, dict[str, tuple[str, str, str]]] = {}
    for path, entry in entries.items():
        name, slash, rest = path.partition("/")
        if slash:
            below.setdefault(name, {})[rest] = entry
        else:
            here[name] = entry
    for name, inner in below.items():
        here[name] = ("040000", "tree", _write_tree(repository, inner))
    lines = "".join(f"{mode} {type} {sha}\t{name}\0" for name, (mode, type, sha) in here.items())
    return repository.git("mktree", "-z", stdin=lines.encode())


@route("POST", "/repos/{owner}/{repo}/git/commits", ("contents", "write"))
def create_commit(call: Call) -> Answer:
    """A new commit object."""
    repository = call.repository
    tree, message = call.text("tree", resource="Commit"), call.text("message", resource="Commit")
    parents = [word for parent in call.body.get("parents", ()) for word in ("-p", parent)]
    try:
        sha = repository.git("commit-tree", tree, *parents, stdin=message.encode())
    except GitError as error:
        raise invalid("Commit", "tree") from error
    return Answer(201, _commit(call, repository, sha))


# -- rulesets ---------------------------------------------------------------------------


@route("GET", "/repos/{owner}/{repo}/rulesets", ("metadata", "read"))
def list_rulesets(call: Call) -> Answer:
    """All rulesets, in brief."""
    repository = call.repository
    found = repository.rulesets.values()
    return Answer(200, [call.shapes.ruleset(repository, r, full=False) for r in found])


@route("GET", "/repos/{owner}/{repo}/rules/branches/{branch}", ("metadata", "read"))
def list_branch_rules(call: Call) -> Answer:
    """All active rules of a branch."""
    repository = call.repository
    held = rulesets_of(repository, f"refs/heads/{call.parameters['branch']}")
    found = [
        {
            **rule,
            "ruleset_source_type": "Repository",
            "ruleset_source": repository.full_name,
            "ruleset_id": ruleset.id,
        }
        for ruleset in held
        for rule in ruleset.rules
    ]
    return Answer(200, found)


@route("GET", "/repos/{owner}/{repo}/environments/{environment_name}", ("actions", "read"))
def get_environment(call: Call) -> Answer:
    """An environment of the repository's workflows."""
    repository, name = call.repository, call.parameters["environment_name"]
    if name not in repository.environments:
        raise not_found()
    branches = repository.environments[name]
    url = f"{call.shapes.api}/repos/{repository.full_name}/environments/{name}"
    policy = {"protected_branches": False, "custom_branch_policies": True}
    return Answer(
        200,
        {
            "id": repository.id,
            "node_id": f"EN_{name}",
            "name": name,
            "url": url,
            "html_url": f"{call.shapes.web}/{repository.full_name}/deployments/{name}",
            "created_at": repository.created,
            "updated_at": repository.created,
            "protection_rules": [],
            "deployment_branch_policy": None if branches is None else policy,
        },
    )


@route(
    "GET",
    "/repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies",
    ("actions", "read"),
)
def list_branch_policies(call: Call) -> Answer:
    """The branches that may use an environment."""
    branches = call.repository.environments.get(call.parameters["environment_name"]) or []
    listed = [
        {"id": id, "node_id": f"DBP_{id}", "name": name, "type": "branch"}
        for id, name in enumerate(branches, start=1)
    ]
    return Answer(200, {"total_count": len(listed), "branch_policies": listed})


@route("GET", "/repos/{owner}/{repo}/rulesets/{ruleset_id}", ("metadata", "read"))
def get_ruleset(call: Call) -> Answer:
    """One ruleset; its bypass actors are shown only to callers who may change it."""
    repository = call.repository
    shown = call.shapes.ruleset(repository, _ruleset(call))
    permissions = call.token.permissions if call.token else {}
    if permissions is not None and permissions.get("administration") != "write":
        del shown["bypass_actors"]
    if call.token is not None:
        shown["current_user_can_bypass"] = bypass_of(call.state, _ruleset(call), call.token)
    return Answer(200, shown)


@route("POST", "/repos/{owner}/{repo}/rulesets", ("administration", "write"))
def create_ruleset(call: Call) -> Answer:
    """A new ruleset; its name must be unique."""
    repository = call.repository
    name = call.text("name", resource="Ruleset")
    if any(r.name == name for r in repository.rulesets.values()):
        raise invalid("Ruleset", "name", "custom", "Name must be unique")
    now = call.state.now()
    made = Ruleset(call.state.number(), name, "disabled", [], [], [], [], now, now)
    _fill(made, call.body)
    repository.rulesets[made.id] = made
    return Answer(201, call.shapes.ruleset(repository, made))


@route("PUT", "/repos/{owner}/{repo}/rulesets/{ruleset_id}", ("administration", "write"))
def update_ruleset(call: Call) -> Answer:
    """A ruleset, changed."""
    found = _ruleset(call)
    _fill(found, call.body)
    found.updated = call.state.now()
    return Answer(200, call.shapes.ruleset(call.repository, found))


@route("DELETE", "/repos/{owner}/{repo}/rulesets/{ruleset_id}", ("administration", "write"))
def delete_ruleset(call: Call) -> Answer:
    """A ruleset, removed."""
    del call.repository.rulesets[_ruleset(call).id]
    return Answer(204)


def _ruleset(call: Call) -> Ruleset:
    found = call.repository.rulesets.get(call.number("ruleset_id"))
    if found is None:
        raise not_found()
    return found


def _fill(ruleset: Ruleset, body: Json) -> None:
    ruleset.name = body.get("name", ruleset.name)
    ruleset.enforcement = body.get("enforcement", ruleset.enforcement)
    ruleset.bypass_actors = body.get("bypass_actors", ruleset.bypass_actors)
    ruleset.rules = body.get("rules", ruleset.rules)
    names = body.get("conditions", {}).get("ref_name", {})
    ruleset.include = names.get("include", ruleset.include)
    ruleset.exclude = names.get("exclude", ruleset.exclude)
