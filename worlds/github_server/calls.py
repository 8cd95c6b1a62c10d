"""One call of the API for a handler, its answer, and the table of all handlers."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from worlds.github_server.shapes import Shapes
from worlds.github_server.state import App, Json, Repository, State, Token


class Problem(Exception):
    """An error response, in GitHub's form."""

    def __init__(
        self,
        status: int,
        message: str,
        errors: Sequence[Json | str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {
            "message": message,
            "documentation_url": "https://docs.github.com/rest",
            "status": str(status),
        }
        if errors:
            self.body["errors"] = list(errors)
        self.headers = dict(headers or {})


def not_found() -> Problem:
    """The answer for anything missing, or invisible to the caller."""
    return Problem(404, "Not Found")


def invalid(resource: str, field_name: str, code: str = "invalid", message: str = "") -> Problem:
    """The answer for a body that GitHub refuses, with the invalid field."""
    error: Json = {"resource": resource, "field": field_name, "code": code}
    if message:
        error["message"] = message
    return Problem(422, "Validation Failed", [error])


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a body; a list is cut into pages."""

    status: int
    body: Json | list[Json] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """The input of a handler."""

    state: State
    shapes: Shapes
    token: Token | None
    app: App | None  # set when the call carries an app's own JWT
    parameters: Mapping[str, str]
    query: Mapping[str, str]
    body: Json

    @property
    def actor(self) -> Token:
        """The credential. Raises Problem if there is none."""
        if self.token is None:
            raise Problem(401, "Requires authentication")
        return self.token

    @property
    def repository(self) -> Repository:
        """The repository in the path. Raises Problem if the caller cannot see it."""
        found = self.state.repository(self.parameters["owner"], self.parameters["repo"])
        if found is None or not can_see(self.state, self.token, found):
            raise not_found()
        return found

    def number(self, name: str) -> int:
        """A number in the path. Raises Problem."""
        text = self.parameters[name]
        if not text.isdigit():
            raise not_found()
        return int(text)

    def text(self, name: str, *, resource: str) -> str:
        """A required string of the body. Raises Problem."""
        value = self.body.get(name)
        if not isinstance(value, str) or not value:
            raise invalid(resource, name, "missing_field")
        return value


def can_see(state: State, token: Token | None, repository: Repository) -> bool:
    """Whether a credential may see a repository at all."""
    if token is None:
        return not repository.private
    if token.app is not None:
        if token.app.organisation.lower() != repository.owner.login.lower():
            return not repository.private
        return token.repositories is None or repository.name in token.repositories
    members = state.members.get(repository.owner.login, set())
    return not repository.private or token.account.id in members


@dataclass(frozen=True, slots=True)
class Route:
    """A handler, the description's name for its path, and the permission that an app needs; of
    several separated by `|` one is enough."""

    method: str
    template: str
    pattern: re.Pattern[str]
    permission: tuple[str, str] | None
    handle: Callable[[Call], Answer]


ROUTES: list[Route] = []
Handler = Callable[[Call], Answer]


def route(
    method: str, template: str, permission: tuple[str, str] | None = None
) -> Callable[[Handler], Handler]:
    """Put a handler into the table; `{name}` in the template is one part of the path.

    A `{ref}`, `{path}` or `{branch}` at the end takes the rest of it.
    """
    pattern = re.sub(r"\\\{(ref|path|basehead|branch)\\\}$", r"(?P<\1>.+)", re.escape(template))
    pattern = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", pattern)

    def keep(handle: Handler) -> Handler:
        ROUTES.append(Route(method, template, re.compile(pattern), permission, handle))
        return handle

    return keep


def find_route(method: str, path: str) -> tuple[Route, Mapping[str, str]] | None:
    """The handler of a path, with the path's parameters."""
    for candidate in ROUTES:
        if candidate.method == method:
            found = candidate.pattern.fullmatch(path)
            if found:
                return candidate, found.groupdict()
    return None


def check_permission(route: Route, token: Token | None) -> None:
    """Raise Problem if an app's token lacks the permission of the route."""
    if route.permission is None or token is None or token.permissions is None:
        return
    names, level = route.permission
    granted = {token.permissions.get(name) for name in names.split("|")} - {None}
    if not granted or (level == "write" and not granted & {"write", "admin"}):
        raise Problem(403, "Resource not accessible by integration")
