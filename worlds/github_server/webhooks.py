"""Webhooks: each write's changes as GitHub's events, signed, and delivered when a test says so.

Source: GitHub, "Webhook events and payloads", "Validating webhook deliveries". An event holds only
its name, its action and its subject. Deliveries may come twice, in another order or never: a test
decides the order and how often.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from worlds.github_server.merge_queue import GROUPS, group_of
from worlds.github_server.shapes import Shapes
from worlds.github_server.state import Repository, State

NOTHING = "0" * 40
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One event; every delivery of it has the same id."""

    name: str
    payload: Json
    id: str

    @property
    def action(self) -> str:
        """The action; empty for events without one."""
        return str(self.payload.get("action", ""))


@dataclass(frozen=True, slots=True)
class _Known:
    """A repository as reported by events so far."""

    refs: dict[str, str]
    pulls: dict[int, tuple[str, str]]  # number → state, head
    reviews: dict[int, str]  # id → state
    dispatches: int


def _known(repository: Repository) -> _Known:
    return _Known(
        dict(repository.refs("refs/heads/")),
        {n: (p.state, p.head) for n, p in repository.pulls.items()},
        {r.id: r.state for p in repository.pulls.values() for r in p.reviews},
        len(repository.dispatches),
    )


@dataclass(slots=True)
class Webhook:
    """One webhook of the organisation: its address, and the secret that signs events."""

    url: str
    secret: bytes
    waiting: list[Event] = field(default_factory=list)
    told: dict[str, _Known] = field(default_factory=dict)

    def observe(self, state: State, shapes: Shapes) -> None:
        """Queue events for all changes since the last look."""
        for repository in state.repositories.values():
            now = _known(repository)
            before = self.told.get(repository.full_name, _Known({}, {}, {}, 0))
            if now != before:
                self.waiting += _events(repository, before, now, shapes)
                self.told[repository.full_name] = now

    def deliver(
        self, order: Callable[[Sequence[Event]], Sequence[Event]] = lambda events: events
    ) -> list[int]:
        """The status of each delivery, after sending waiting events as `order` arranges them."""
        sent, self.waiting = order(self.waiting), []
        return [self.send(event) for event in sent]

    def send(self, event: Event, signature: str | None = None) -> int:
        """The status in the answer to one delivery."""
        body = json.dumps(event.payload).encode()
        signed = f"sha256={hmac.new(self.secret, body, hashlib.sha256).hexdigest()}"
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": event.name,
            "X-GitHub-Delivery": event.id,
            "X-Hub-Signature-256": signed if signature is None else signature,
        }
        request = urllib.request.Request(self.url, body, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as refused:
            return refused.code


def _events(repository: Repository, before: _Known, now: _Known, shapes: Shapes) -> Iterator[Event]:
    def event(name: str, **payload: Any) -> Event:
        told = {"full_name": repository.full_name, "default_branch": repository.default_branch}
        return Event(name, {**payload, "repository": told}, str(uuid.uuid4()))

    for ref in sorted({*before.refs, *now.refs}):
        old, new = before.refs.get(ref, NOTHING), now.refs.get(ref, NOTHING)
        if old != new:
            yield event("push", ref=ref, before=old, after=new)
        if old == NOTHING and ref.startswith(GROUPS):
            group = group_of(repository, ref)
            yield event("merge_group", action="checks_requested", merge_group=group)
    for number, (state, head) in now.pulls.items():
        pull = repository.pulls[number]
        was = before.pulls.get(number)
        action = "opened" if was is None else "synchronize" if was[1] != head else ""
        if was is not None and was[0] != state:
            action = "closed" if state == "closed" else "reopened"
        if action:
            shape = shapes.pull(repository, pull, full=True)
            yield event("pull_request", action=action, number=number, pull_request=shape)
    for number, pull in repository.pulls.items():
        for review in pull.reviews:
            if before.reviews.get(review.id) != review.state:
                action = "dismissed" if review.state == "DISMISSED" else "submitted"
                shape = shapes.review(repository, pull, review)
                yield event("pull_request_review", action=action, number=number, review=shape)
    for sent in repository.dispatches[before.dispatches :]:
        told = {"client_payload": sent.get("client_payload") or {}}
        yield event("repository_dispatch", action=sent["event_type"], **told)
