"""GitHub over HTTP: counts its calls, waits for limits, and never repeats a write blindly.

PyGithub's `Requester` is the transport, without its own retries and pauses: it repeats writes, and
its objects fetch missing parts one call at a time. Reads are repeated after a failure, and sent
with the `ETag` of the last answer, since an unchanged answer (304) is free. A write is sent once;
without an answer it raises `Unanswered`, and the caller checks whether it took effect.
Source: GitHub, "Best practices for using the REST API" and "Rate limits for the REST API".
"""

from __future__ import annotations

import json
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from pipeline import __version__
from pipeline.errors import CouldNotCheck, ForgeRefused, NotFound
from pipeline.forges.github.credentials import TokenSource
from pipeline.forges.http.connection import TIMEOUT_S, TRIES

if TYPE_CHECKING:
    from github.Requester import Requester

# Waiting longer does not help; the next run continues where this one ends.
MAX_WAIT_S = 120
PER_PAGE = 100
_ETAGS_KEPT = 2_000
_NEXT = re.compile(r'[?&]after=([A-Za-z0-9%=_-]+)[^>]*>; rel="next"')


class Unanswered(CouldNotCheck):
    """A write that GitHub may or may not have done."""

    code = "github-unanswered"


class Unavailable(CouldNotCheck):
    """GitHub does not answer, or asks to wait longer than a run may."""

    code = "github-unavailable"


class Invalid(ForgeRefused):
    """GitHub understood a write and refuses it (422); `fields` maps invalid fields to reasons."""

    def __init__(self, message: str, fields: Mapping[str, str]) -> None:
        super().__init__(message)
        self.fields = fields


class Conflict(ForgeRefused):
    """Something changed since the write was prepared (409)."""


class NotAllowed(ForgeRefused):
    """GitHub does not allow this now (405)."""


@dataclass(slots=True)
class ApiCost:
    """The calls that a run made to GitHub."""

    reads: int = 0
    unchanged: int = 0  # reads answered with 304, which are free
    queries: int = 0  # GraphQL
    writes: int = 0
    git: int = 0  # fetches and pushes
    waited_s: float = 0

    @property
    def calls(self) -> int:
        """The number of API calls, without git."""
        return self.reads + self.queries + self.writes

    def line(self) -> str:
        """The cost as a run prints it."""
        parts = [
            f"{self.reads} read" + (f" ({self.unchanged} unchanged)" if self.unchanged else "")
        ]
        parts += [f"{self.queries} queried", f"{self.writes} written"]
        waited = f", waited {self.waited_s:.0f} s" if self.waited_s >= 1 else ""
        return f"{self.calls} calls of GitHub ({', '.join(parts)}), {self.git} of git{waited}"


@dataclass(slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def value(self) -> Any:
        return json.loads(self.text) if self.text else None


@dataclass
class GithubClient:
    """GitHub as one account sees it. Not safe to share between threads."""

    api_url: str
    source: TokenSource | None
    cost: ApiCost = field(default_factory=ApiCost)
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    _requester: Requester | None = None
    _kept: dict[str, tuple[str, Any, Mapping[str, str]]] = field(default_factory=dict)

    @property
    def graphql_url(self) -> str:
        """The GraphQL address: beside the REST API on GitHub Enterprise Server, else below it."""
        return self._transport().graphql_url

    # -- reading -----------------------------------------------------------------------

    def read(self, path: str) -> Any:
        """The JSON at a path. Raises NotFound, ForgeRefused, Unavailable."""
        return self._read(path)[0]

    def read_all(self, path: str, key: str = "") -> Iterator[Any]:
        """The items of all pages of a list, or of the list that `key` names in each page."""
        mark = "&" if "?" in path else "?"
        at = f"{path}{mark}per_page={PER_PAGE}"
        number = 1
        while True:
            value, headers = self._read(at if number == 1 else f"{at}&page={number}")
            yield from value[key] if key else value
            if 'rel="next"' not in headers.get("link", ""):
                return
            number += 1

    def read_linked(self, path: str) -> Iterator[Any]:
        """The items of all pages of a list with cursors to the next page."""
        at = f"{path}&per_page={PER_PAGE}"
        while True:
            value, headers = self._read(at)
            yield from value
            following = _NEXT.search(headers.get("link", ""))
            if following is None:
                return
            at = f"{path}&per_page={PER_PAGE}&after={following[1]}"

    def _read(self, path: str) -> tuple[Any, Mapping[str, str]]:
        kept = self._kept.get(path)
        headers = {"If-None-Match": kept[0]} if kept else {}
        self.cost.reads += 1
        answer = self._patiently("GET", path, headers, None)
        if answer.status == 304 and kept:
            self.cost.unchanged += 1
            return kept[1], kept[2]
        self._check(answer, path)
        if "etag" in answer.headers:
            if len(self._kept) >= _ETAGS_KEPT:
                self._kept.pop(next(iter(self._kept)))
            self._kept[path] = (answer.headers["etag"], answer.value, answer.headers)
        return answer.value, answer.headers

    def query(self, text: str, **variables: object) -> Mapping[str, Any]:
        """The data of a GraphQL query. Raises NotFound, ForgeRefused, Unavailable."""
        self.cost.queries += 1
        body = {"query": text, "variables": variables}
        answer = self._patiently("POST", self.graphql_url, {}, body)
        return self._data_of(answer)

    def query_partly(self, text: str) -> Mapping[str, Any]:
        """The data of a query for several things, None for each that does not exist.

        Raises ForgeRefused, Unavailable.
        """
        self.cost.queries += 1
        answer = self._patiently("POST", self.graphql_url, {}, {"query": text, "variables": {}})
        self._check(answer, "GraphQL")
        value = answer.value
        if all(error.get("type") == "NOT_FOUND" for error in value.get("errors") or ()):
            data: Mapping[str, Any] = value["data"]
            return data
        return self._data_of(answer)

    def _data_of(self, answer: _Answer) -> Mapping[str, Any]:
        self._check(answer, "GraphQL")
        value = answer.value
        errors = value.get("errors") or ()
        if errors:
            said = "; ".join(str(error.get("message")) for error in errors[:3])
            types = {error.get("type") for error in errors}
            if types == {"NOT_FOUND"}:
                raise NotFound(f"GitHub: {said}")
            if "FORBIDDEN" in types:
                raise _forbidden(said)
            raise ForgeRefused(f"GitHub refuses a query: {said}")
        data: Mapping[str, Any] = value["data"]
        return data

    def _patiently(self, verb: str, path: str, headers: Mapping[str, str], body: object) -> _Answer:
        """The answer to a read, repeated after failures."""
        said = ""
        for _ in self._attempts():
            try:
                answer = self._send(verb, path, headers, body)
            except ConnectionError as lost:
                said = str(lost)
                continue
            if answer.status == 401 and self.source and self.source.renew():
                said = "GitHub does not take the token"
                continue
            if self._waited_for_limit(answer):
                said = "its rate limit"
                continue
            if answer.status >= 500:
                said = f"status {answer.status}"
                continue
            return answer
        raise Unavailable(
            f"GitHub did not answer {verb} {path} in {TRIES} tries: {said}",
            help="run it again: nothing was written that the next run does not find",
        )

    # -- writing -----------------------------------------------------------------------

    def write(self, verb: str, path: str, body: Mapping[str, object] | None = None) -> Any:
        """GitHub's answer to a write that is sent once.

        It is sent again only if GitHub says that it did nothing: an expired token, a limit. Raises
        Unanswered if it may have taken effect, else NotFound, Invalid (422), Conflict (409),
        NotAllowed (405), ForgeRefused, Unavailable.
        """
        for _ in range(TRIES):
            self.cost.writes += 1
            try:
                answer = self._send(verb, path, {}, body or {})
            except ConnectionError as lost:
                raise Unanswered(f"no answer to {verb} {path}: {lost}") from lost
            if answer.status == 401 and self.source and self.source.renew():
                continue
            if self._waited_for_limit(answer):
                continue
            if answer.status >= 500:
                raise Unanswered(f"{verb} {path} ended with status {answer.status}")
            self._check(answer, path)
            return answer.value
        raise Unavailable(f"GitHub takes no {verb} {path}: its limits are used up")

    def mutate(self, text: str, **variables: object) -> Mapping[str, Any]:
        """The data of a GraphQL mutation, which is a write."""
        self.cost.writes += 1
        body = {"query": text, "variables": variables}
        try:
            answer = self._send("POST", self.graphql_url, {}, body)
        except ConnectionError as lost:
            raise Unanswered(f"no answer to a mutation: {lost}") from lost
        if answer.status >= 500:
            raise Unanswered(f"a mutation ended with status {answer.status}")
        return self._data_of(answer)

    # -- one request -------------------------------------------------------------------

    def ask_as_app(
        self, verb: str, path: str, jwt: str, body: Mapping[str, object] | None
    ) -> Mapping[str, Any]:
        """GitHub's answer to the App itself. Asking for a token twice does no harm."""
        headers = {"Authorization": f"Bearer {jwt}"}
        self.cost.reads += 1
        said = ""
        for _ in self._attempts():
            try:
                answer = self.request(verb, path, headers, body)
            except ConnectionError as lost:
                said = str(lost)
                continue
            if answer.status < 500 and not self._waited_for_limit(answer):
                self._check(answer, path)
                value: Mapping[str, Any] = answer.value
                return value
            said = f"status {answer.status}"
        raise Unavailable(f"GitHub gives the App no token: {said}")

    def _send(self, verb: str, path: str, headers: Mapping[str, str], body: object) -> _Answer:
        token = {"Authorization": f"Bearer {self.source.token()}"} if self.source else {}
        return self.request(verb, path, {**token, **headers}, body)

    def request(self, verb: str, path: str, headers: Mapping[str, str], body: object) -> _Answer:
        """The answer to one request. Raises ConnectionError without one."""
        # 84 ms; never imported for a local forge.
        import requests

        try:
            status, answered, text = self._transport().requestJson(
                verb, path, headers=dict(headers), input=body
            )
        except (requests.RequestException, OSError) as error:
            self._requester = None
            raise ConnectionError(type(error).__name__) from error
        return _Answer(status, {k.lower(): str(v) for k, v in answered.items()}, text)

    def _transport(self) -> Requester:
        if self._requester is None:
            # 166 ms; never imported for a local forge.
            from github import Github

            self._requester = Github(
                base_url=self.api_url,
                timeout=TIMEOUT_S,
                user_agent=f"primitive-pipeline/{__version__}",
                retry=None,
                seconds_between_requests=None,
                seconds_between_writes=None,
            ).requester
        return self._requester

    # -- limits and refusals -----------------------------------------------------------

    def _waited_for_limit(self, answer: _Answer) -> bool:
        """Whether GitHub asked to slow down; waits if so."""
        if answer.status not in (403, 429):
            return False
        headers = answer.headers
        if "retry-after" in headers:
            wait_s = float(headers["retry-after"])
        elif headers.get("x-ratelimit-remaining") == "0":
            wait_s = float(headers.get("x-ratelimit-reset", "0")) - self.clock()
        elif "secondary rate limit" in answer.text:
            wait_s = 60.0
        else:
            return False
        if wait_s > MAX_WAIT_S:
            raise Unavailable(
                f"GitHub's limit is used up for another {wait_s:.0f} s",
                help="run it again later: nothing was lost",
            )
        self._wait(max(0.0, wait_s))
        return True

    def _attempts(self) -> Iterator[int]:
        """The numbers of tries, with a longer pause before each but the first."""
        for number in range(TRIES):
            if number:
                self._wait(random.uniform(0, 0.25 * 2**number))
            yield number

    def _wait(self, seconds: float) -> None:
        self.cost.waited_s += seconds
        self.sleep(seconds)

    def _check(self, answer: _Answer, path: str) -> None:
        if answer.status < 400:
            return
        try:
            value = answer.value
        except ValueError:
            value = None
        said = str(value.get("message", "")) if isinstance(value, dict) else ""
        if answer.status == 422:
            _refuse_invalid(path, said, value)
        match answer.status:
            case 401:
                raise ForgeRefused(
                    f"GitHub does not take the token: {said}",
                    help="it ran out or was withdrawn; set GITHUB_TOKEN, or the App's key",
                )
            case 404:
                raise NotFound(
                    f"GitHub has no {path}, or the token may not see it",
                    help="the App must be installed on that repository",
                )
            case 405:
                raise NotAllowed(f"GitHub: {said}")
            case 409:
                raise Conflict(f"GitHub: {said}")
            case 403:
                raise _forbidden(f"{path}: {said}")
            case status:
                raise ForgeRefused(f"GitHub answers {status} to {path}: {said}")


def _forbidden(said: str) -> ForgeRefused:
    return ForgeRefused(
        f"GitHub does not allow it: {said}",
        help="the App, or the token, lacks the permission that this call needs",
    )


def _refuse_invalid(path: str, said: str, value: Any) -> NoReturn:
    fields: dict[str, str] = {}
    texts: list[str] = []
    for error in value.get("errors") or () if isinstance(value, dict) else ():
        if isinstance(error, dict):
            text = str(error.get("message") or error.get("code"))
            fields[str(error.get("field", ""))] = text
            texts.append(text)
        else:
            texts.append(str(error))
    raise Invalid(f"GitHub refuses {path}: {said} ({'; '.join(texts) or 'no reason'})", fields)
