"""Events that start workflows: received as webhooks, checked by signature, matched with `on`.

Source: GitHub, "Events that trigger workflows", "Validating webhook deliveries". Supported filters
are branches and paths of a push and types of an event; any other filter is an error. `ci` is left
out: it tests this repository, which is not a test's control repo.
"""

from __future__ import annotations

import fnmatch
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

from tests.support.workflows.runner import Runner, WorkflowRun

Json = dict[str, Any]


@dataclass
class Receiver:
    """Receives deliveries for one repository and starts its workflows."""

    runner: Runner
    secret: bytes
    url: str = ""
    received: list[tuple[str, Json]] = field(default_factory=list)
    refused: int = 0

    def take(self, headers: Any, body: bytes) -> int:
        """The HTTP status for a delivery; only correctly signed ones are accepted."""
        signed = f"sha256={hmac.new(self.secret, body, hashlib.sha256).hexdigest()}"
        if not hmac.compare_digest(headers.get("X-Hub-Signature-256", ""), signed):
            self.refused += 1
            return 401
        payload = json.loads(body)
        if payload["repository"]["full_name"] == self._full_name:
            self.received.append((headers["X-GitHub-Event"], payload))
        return 204

    @property
    def _full_name(self) -> str:
        return f"{self.runner.organisation}/{self.runner.repository}"

    def start(self) -> list[WorkflowRun]:
        """The runs that all accepted events start, in order."""
        events, self.received = self.received, []
        return [
            self.runner.run(workflow, name, payload)
            for name, payload in events
            for workflow in self._workflows(name, payload)
        ]

    def _workflows(self, name: str, payload: Json) -> Iterator[str]:
        repository = self.runner.server.repository(self.runner.organisation, self.runner.repository)
        listed = repository.git(
            "ls-tree", "--name-only", repository.default_branch, ".github/workflows/"
        )
        for path in listed.splitlines():
            text = repository.git("show", f"{repository.default_branch}:{path}")
            on = yaml.load(text, Loader=yaml.BaseLoader)["on"]
            if (
                Path(path).stem != "ci"
                and name in on
                and self._matches(on[name] or {}, name, payload)
            ):
                yield Path(path).stem

    def _matches(self, filters: Json, name: str, payload: Json) -> bool:
        unknown = set(filters) - {"branches", "paths", "types"}
        assert not unknown, f"filters of `on` that are not known: {unknown}"
        if name == "push":
            branch = str(payload["ref"]).removeprefix("refs/heads/")
            if branch not in filters.get("branches", [branch]) or not int(payload["after"], 16):
                return False
            return any(
                fnmatch.fnmatch(path, pattern.replace("**", "*"))
                for path in self._changed(payload)
                for pattern in filters.get("paths", ["*"])
            )
        if name == "pull_request":
            types = filters.get("types", ["opened", "synchronize", "reopened"])
            return payload["action"] in types
        return payload.get("action", "") in filters.get("types", [payload.get("action", "")])

    def _changed(self, payload: Json) -> list[str]:
        repository = self.runner.server.repository(self.runner.organisation, self.runner.repository)
        if not int(payload["before"], 16):
            return repository.git("ls-tree", "-r", "--name-only", payload["after"]).splitlines()
        names = ("diff-tree", "-r", "--name-only", payload["before"], payload["after"])
        return repository.git(*names).splitlines()


@contextmanager
def receiving(runner: Runner, secret: bytes) -> Iterator[Receiver]:
    """A receiver that listens on 127.0.0.1 until the block ends."""
    receiver = Receiver(runner, secret)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(receiver.take(self.headers, body))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}/events"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
