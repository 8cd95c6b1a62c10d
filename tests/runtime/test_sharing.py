"""The processes of one test run share a Keycloak: the first starts it, it ends after the last."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.runtime import keycloak as sharing
from tools.keycloak import Keycloak

WAIT_S = 120


def test_the_first_process_starts_keycloak_and_it_ends_after_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    leave = {"first": threading.Event(), "second": threading.Event()}
    inside = {"first": threading.Event(), "second": threading.Event()}
    seen: list[Keycloak] = []

    @contextlib.contextmanager
    def running(_home: Path, *, lifetime_s: int) -> Iterator[Keycloak]:
        assert lifetime_s > 0
        events.append("started")
        yield Keycloak("http://127.0.0.1:1", admin_password="a", user_password="u")
        events.append("ended")

    def use(name: str) -> None:
        with sharing.shared_keycloak(tmp_path) as keycloak:
            seen.append(keycloak)
            inside[name].set()
            leave[name].wait(WAIT_S)
            events.append(f"{name} done")

    monkeypatch.setattr(sharing, "running", running)
    monkeypatch.setattr(sharing, "find", lambda: tmp_path)
    threads = {name: threading.Thread(target=use, args=(name,)) for name in inside}
    for name in ("first", "second"):
        threads[name].start()
        assert inside[name].wait(WAIT_S)
    leave["first"].set()
    threads["first"].join(0.3)
    assert threads["first"].is_alive()  # waits for the second, which still uses it
    leave["second"].set()
    for thread in threads.values():
        thread.join(WAIT_S)
    assert events == ["started", "first done", "second done", "ended"]
    assert seen[0] == seen[1]


def test_a_run_after_the_end_starts_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = 0

    @contextlib.contextmanager
    def running(_home: Path, *, lifetime_s: int) -> Iterator[Keycloak]:
        nonlocal starts
        starts += 1
        yield Keycloak(f"http://127.0.0.1:{starts}", admin_password="a", user_password="u")

    monkeypatch.setattr(sharing, "running", running)
    monkeypatch.setattr(sharing, "find", lambda: tmp_path)
    for number in (1, 2):
        with sharing.shared_keycloak(tmp_path) as keycloak:
            assert keycloak.url == f"http://127.0.0.1:{number}"
