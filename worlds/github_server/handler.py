"""The server's HTTP side: each request becomes a call, and each answer has GitHub's shape."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from worlds.github_server import (  # noqa: F401  # they fill the table
    accounts,
    deployments,
    pulls,
    repositories,
)
from worlds.github_server.calls import Answer, Call, Problem, check_permission, find_route
from worlds.github_server.faults import Fault, Seen
from worlds.github_server.git_http import answer_git, parse_request
from worlds.github_server.graphql import answer_graphql
from worlds.github_server.openapi import problem_of
from worlds.github_server.state import App, Token

if TYPE_CHECKING:
    from worlds.github_server.server import GitHubServer

API = "/api/v3"
MAX_BODY_BYTES = 64 * 1024 * 1024


class Http(ThreadingHTTPServer):
    github: GitHubServer
    daemon_threads = True
    request_queue_size = 128


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    server: Http
    timeout = 60
    # Send head and body together: separately, the body waits 40 ms for the head's acknowledgement.
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, format: str, *arguments: Any) -> None:
        """Do nothing: the server keeps its own log."""

    def do_GET(self) -> None:
        """Any GET."""
        self._answer("GET")

    def do_POST(self) -> None:
        """Any POST."""
        self._answer("POST")

    def do_PATCH(self) -> None:
        """Any PATCH."""
        self._answer("PATCH")

    def do_PUT(self) -> None:
        """Any PUT."""
        self._answer("PUT")

    def do_DELETE(self) -> None:
        """Any DELETE."""
        self._answer("DELETE")

    def _answer(self, method: str) -> None:
        github = self.server.github
        if github.delay_s:
            time.sleep(github.delay_s)
        parts = urlsplit(self.path)
        path, query = unquote(parts.path), dict(parse_qsl(parts.query))
        body = self._read_body()
        git = parse_request(path, query)
        headers = {name.lower(): value for name, value in self.headers.items()}
        if git is not None:
            self._answer_git(method, path, git, headers, body)
        elif path == "/api/graphql" and method == "POST":
            self._answer_api(method, path, "/graphql", query, body, self._graphql)
        elif path.startswith(f"{API}/"):
            path = path.removeprefix(API)
            found = find_route(method, path)
            template = found[0].template if found else path
            self._answer_api(method, path, template, query, body, self._rest)
        else:
            self._send(404, {}, b"Not Found")

    def _read_body(self) -> bytes:
        if self.headers.get("transfer-encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)
        length = int(self.headers.get("content-length") or 0)
        if length > MAX_BODY_BYTES:
            raise ValueError("the body is too long")
        return self.rfile.read(length)

    def _answer_git(
        self, method: str, path: str, git: Any, headers: Mapping[str, str], body: bytes
    ) -> None:
        github = self.server.github
        try:
            token, _ = github.find_token(headers.get("authorization", ""))
        except Problem:
            token = None
        account = token.account.id if token else None
        permission = ("contents", "write" if git.service == "git-receive-pack" else "read")
        template = f"{git.service} {git.what}" if git.what == "info/refs" else git.service
        seen = Seen(0, method, path, template, account, git.writes, permission=permission)
        place, fault = github.begin(seen)
        if fault in (Fault.ERROR_BEFORE, Fault.SECONDARY_LIMIT):
            self._send(502, {}, b"Bad Gateway")
            return
        if fault is Fault.EXPIRED:
            token = None
        with github.state.lock:
            if fault is Fault.STALE:
                github.fall_behind()
            answer = answer_git(github.state, git, token, headers, body)
            if git.writes:
                github.observe()
        github.end(place, status=answer.status)
        if fault is Fault.DROP_REPLY:
            self._drop()
        elif fault is Fault.ERROR_AFTER:
            self._send(500, {}, b"Internal Server Error")
        else:
            sent = {"content-type": answer.type, "cache-control": "no-cache"}
            if answer.status == 401:
                sent["www-authenticate"] = 'Basic realm="GitHub"'
            self._send(answer.status, sent, answer.body)

    def _answer_api(
        self,
        method: str,
        path: str,
        template: str,
        query: Mapping[str, str],
        body: bytes,
        handle: Callable[..., Answer],
    ) -> None:
        github = self.server.github
        is_graphql = template == "/graphql"
        writes = b"mutation" in body if is_graphql else method != "GET"
        token: Token | None = None
        place = -1
        fault: Fault | None = None
        headers: dict[str, str] = {}
        try:
            with github.state.lock:
                problem = None
                app = None
                try:
                    token, app = github.find_token(self.headers.get("authorization", ""))
                except Problem as refused:
                    problem = refused
                account = token.account.id if token else None
                found = None if is_graphql else find_route(method, path)
                permission = found[0].permission if found else None
                place, fault = github.begin(
                    Seen(0, method, path, template, account, writes, permission=permission)
                )
                if problem is not None:
                    raise problem
                if fault is Fault.EXPIRED:
                    raise Problem(401, "Bad credentials")
                if fault is Fault.ERROR_BEFORE:
                    raise Problem(502, "Server Error")
                if fault is Fault.SECONDARY_LIMIT:
                    raise Problem(
                        403,
                        "You have exceeded a secondary rate limit. Please wait a few minutes "
                        "before you try again.",
                        headers={"retry-after": "0"},
                    )
                headers = github.count(token)
                if fault is Fault.STALE:
                    github.fall_behind()
                with nullcontext() if writes or app else github.seen_late():
                    answer = handle(method, path, query, body, token, app)
                if writes:
                    github.observe()
        except Problem as problem:
            answer = Answer(problem.status, problem.body, problem.headers)
        if fault is Fault.DROP_REPLY:
            github.end(place, status=answer.status)
            self._drop()
            return
        if fault is Fault.ERROR_AFTER:
            answer = Answer(500, {"message": "Server Error"})
        self._send_json(place, method, template, query, answer, headers)

    def _rest(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes,
        token: Token | None,
        app: App | None,
    ) -> Answer:
        github = self.server.github
        found = find_route(method, path)
        if found is None:
            raise Problem(404, "Not Found")
        route, parameters = found
        try:
            parsed = json.loads(body) if body else {}
        except ValueError as error:
            raise Problem(400, "Problems parsing JSON") from error
        call = Call(github.state, github.shapes, token, app, parameters, query, parsed)
        if "repo" in parameters:
            _ = call.repository  # an invisible repository is missing, whatever the permissions
        check_permission(route, token)
        return route.handle(call)

    def _graphql(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        body: bytes,
        token: Token | None,
        app: App | None,
    ) -> Answer:
        if token is None:
            raise Problem(401, "This endpoint requires you to be authenticated.")
        most = self.server.github.most_aliases
        if most is not None and body.count(b": repository(") > most:
            said = "Resource limits for this query exceeded."
            refused = [{"type": "RESOURCE_LIMITS_EXCEEDED", "message": said}]
            return Answer(200, {"data": None, "errors": refused})
        return answer_graphql(self.server.github.state, self.server.github.shapes, token, body)

    def _send_json(
        self,
        place: int,
        method: str,
        template: str,
        query: Mapping[str, str],
        answer: Answer,
        limits: Mapping[str, str],
    ) -> None:
        github = self.server.github
        headers = {**limits, **answer.headers}
        body = answer.body
        if isinstance(body, list):
            body, link = self._page(body, query)
            if link:
                headers["link"] = link
        status = answer.status
        if github.validate and template != "/graphql":
            violation = problem_of(method, template, status, body)
            if violation:
                github.violations.append(violation)
                status, body = 500, {"message": f"not as GitHub answers: {violation}"}
        content = b"" if body is None else json.dumps(body).encode()
        cached = False
        if method == "GET" and status == 200:
            headers["etag"] = f'W/"{hashlib.sha256(content).hexdigest()}"'
            if self.headers.get("if-none-match") == headers["etag"]:
                status, content, cached = 304, b"", True
        github.end(place, status=status, cached=cached)
        headers["content-type"] = "application/json; charset=utf-8"
        self._send(status, headers, content)

    def _page(self, items: list[Any], query: Mapping[str, str]) -> tuple[list[Any], str]:
        size = min(100, max(1, int(query.get("per_page", "30"))))
        by_cursor = urlsplit(self.path).path.endswith("/activity")
        # Activities are paged by an opaque cursor; `page` is unknown there.
        if by_cursor:
            query = {name: value for name, value in query.items() if name != "page"}
        place = _place_of(query.get("after", "")) if by_cursor else query.get("page", "1")
        number = max(1, int(place))
        pages = max(1, math.ceil(len(items) / size))
        base = f"{self.server.github.url}{urlsplit(self.path).path}"
        at = {"next": number + 1, "last": pages} if number < pages else {}
        at |= {"prev": number - 1, "first": 1} if number > 1 else {}
        links = [
            f'<{base}?{urlencode({**query, **_place(page, by_cursor)})}>; rel="{name}"'
            for name, page in at.items()
        ]
        return items[(number - 1) * size : number * size], ", ".join(links)

    def _send(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):
            self.send_header("content-length", str(len(body)))
        self.end_headers()
        if status not in (204, 304):
            self.wfile.write(body)
        self.wfile.flush()

    def _drop(self) -> None:
        """Close the connection without an answer."""
        self.close_connection = True
        self.connection.close()


def _place(page: int, by_cursor: bool) -> dict[str, object]:
    """The query for a page: its number, or an opaque cursor."""
    if not by_cursor:
        return {"page": page}
    return {"after": base64.urlsafe_b64encode(f"cursor {page}".encode()).decode()}


def _place_of(cursor: str) -> str:
    """The page number in a cursor; 1 without a cursor."""
    if not cursor:
        return "1"
    return base64.urlsafe_b64decode(cursor).decode().removeprefix("cursor ")
