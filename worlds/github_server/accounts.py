"""Accounts, teams, apps and their tokens, dispatches and limits over REST."""

from __future__ import annotations

from datetime import UTC, datetime

from worlds.github_server.calls import Answer, Call, Problem, invalid, not_found, route
from worlds.github_server.state import TOKEN_LIFETIME_S, Account, App, Team


@route("GET", "/user")
def get_user(call: Call) -> Answer:
    """The token's person; an app's installation has none."""
    token = call.actor
    if token.app is not None:
        raise Problem(403, "Resource not accessible by integration")
    count = dict.fromkeys(("followers", "following", "public_gists", "public_repos"), 0)
    unknown = dict.fromkeys(("bio", "blog", "company", "email", "hireable", "location", "name"))
    dates = dict.fromkeys(("created_at", "updated_at"), "2026-01-01T00:00:00Z")
    return Answer(200, {**call.shapes.account(token.account), **count, **unknown, **dates})


@route("GET", "/orgs/{org}")
def get_organisation(call: Call) -> Answer:
    """An organisation; its plan is shown to apps with the permission for it."""
    organisation = _organisation(call)
    shown = call.shapes.organisation(organisation)
    granted = call.token.permissions if call.token else {}
    if granted is None or "organization_plan" in granted:
        name = call.state.plans.get(organisation.login, "free")
        shown["plan"] = {"name": name, "space": 0, "private_repos": 0}
    return Answer(200, shown)


@route("GET", "/orgs/{org}/teams/{team_slug}/members", ("members", "read"))
def list_team_members(call: Call) -> Answer:
    """The members of a team."""
    team = _team(call)
    members = [call.state.accounts[id] for id in sorted(team.members)]
    return Answer(200, [call.shapes.account(account) for account in members])


@route("GET", "/orgs/{org}/teams", ("members", "read"))
def list_teams(call: Call) -> Answer:
    """All teams of an organisation."""
    organisation = _organisation(call)
    found = [t for (o, _), t in call.state.teams.items() if o == organisation.login]
    return Answer(200, [call.shapes.team(organisation, team) for team in found])


@route("GET", "/repos/{owner}/{repo}/teams", ("administration", "read"))
def list_repository_teams(call: Call) -> Answer:
    """The teams of a repository, with their permissions."""
    repository = call.repository
    owner = repository.owner
    found = [(call.state.teams[owner.login, slug], may) for slug, may in repository.teams.items()]
    return Answer(
        200, [{**call.shapes.team(owner, team), "permission": may} for team, may in found]
    )


@route("PUT", "/orgs/{org}/teams/{team_slug}/repos/{owner}/{repo}", ("administration", "write"))
def add_team_repository(call: Call) -> Answer:
    """Give a team a permission on a repository; needs the permission to see teams."""
    app = call.actor.app
    if app is not None and "members" not in call.actor.permissions:
        raise not_found()
    call.repository.teams[_team(call).slug] = call.body.get("permission", "pull")
    return Answer(204)


@route("GET", "/orgs/{org}/members", ("members", "read"))
def list_members(call: Call) -> Answer:
    """The members of an organisation."""
    members = call.state.members.get(_organisation(call).login, set())
    return Answer(200, [call.shapes.account(call.state.accounts[id]) for id in sorted(members)])


def _organisation(call: Call) -> Account:
    found = call.state.account_named(call.parameters["org"])
    if found is None or found.type != "Organization":
        raise not_found()
    return found


def _team(call: Call) -> Team:
    team = call.state.teams.get((_organisation(call).login, call.parameters["team_slug"]))
    if team is None:
        raise not_found()
    return team


# -- apps -------------------------------------------------------------------------------


def _app(call: Call) -> App:
    if call.app is None:
        raise Problem(401, "A JSON web token could not be decoded")
    return call.app


@route("GET", "/app")
def get_app(call: Call) -> Answer:
    """The app of the JWT."""
    return Answer(200, call.shapes.app(_app(call)))


@route("GET", "/orgs/{org}/installation")
def get_installation(call: Call) -> Answer:
    """The app's installation in an organisation."""
    app, organisation = _app(call), _organisation(call)
    if app.organisation != organisation.login:
        raise not_found()
    return Answer(200, call.shapes.installation(app, organisation))


@route("POST", "/app/installations/{installation_id}/access_tokens")
def create_installation_token(call: Call) -> Answer:
    """A token of an installation, narrowed as requested and never wider."""
    app = _app(call)
    if app.installation_id != call.number("installation_id"):
        raise not_found()
    asked = call.body.get("permissions") or app.permissions
    rank = {"read": 1, "write": 2, "admin": 3}
    for name, level in asked.items():
        if rank.get(level, 9) > rank.get(app.permissions.get(name, ""), 0):
            raise Problem(422, "The permissions requested are not granted to this installation.")
    names = call.body.get("repositories")
    for name in names or ():
        if call.state.repository(app.organisation, name) is None:
            raise Problem(
                422,
                "There is at least one repository that does not exist or is not accessible to the "
                "parent installation.",
            )
    expires = call.state.clock() + TOKEN_LIFETIME_S
    token = call.state.new_token(
        app.bot,
        app=app,
        # Every installation may read the names of repositories.
        permissions={**asked, "metadata": "read"},
        repositories=None if names is None else frozenset(names),
        expires_s=expires,
    )
    written = datetime.fromtimestamp(expires, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Answer(201, call.shapes.installation_token(token, written))


# -- events -----------------------------------------------------------------------------


@route("POST", "/repos/{owner}/{repo}/dispatches", ("contents", "write"))
def dispatch(call: Call) -> Answer:
    """An event that starts workflows."""
    event = call.text("event_type", resource="RepositoryDispatch")
    payload = call.body.get("client_payload", {})
    if len(payload) > 10:
        raise invalid("RepositoryDispatch", "client_payload")
    call.repository.dispatches.append({"event_type": event, "client_payload": payload})
    return Answer(204)
