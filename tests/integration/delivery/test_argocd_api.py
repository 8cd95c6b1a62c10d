"""Argo CD's API over real HTTP: what is asked, and that no other answer passes for a list."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from pipeline.delivery.argocd_api import DEADLINE_S, ArgoCd, checked_url, read_token
from pipeline.errors import CouldNotCheck, UsageFault
from tests.support.argocd_server import TOKEN, send, serve_argocd
from tests.support.cluster_objects import application, laid

Fault = Callable[[BaseHTTPRequestHandler], None]
APPS = [
    application(),
    laid(application("contoso--shop--prod"), {"spec": {"project": "tenant-contoso"}}),
]


def test_all_applications_come_by_one_request_with_the_token() -> None:
    with serve_argocd(APPS) as server:
        assert ArgoCd(server.url + "/", TOKEN).read_applications() == tuple(APPS)
    [(path, headers)] = server.asked
    assert path == "/api/v1/applications"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Accept-Encoding"] == "identity"


def test_the_request_can_be_narrowed_to_projects() -> None:
    with serve_argocd(APPS) as server:
        argocd = ArgoCd(server.url, TOKEN)
        assert argocd.read_applications(["tenant-acme"]) == (APPS[0],)
        assert argocd.read_applications(["tenant-acme", "tenant-contoso"]) == tuple(APPS)
        assert argocd.read_applications(["nobody's"]) == ()
    assert server.asked[1][0].endswith("?projects=tenant-acme&projects=tenant-contoso")


def test_the_environment_says_nothing_of_where_a_token_goes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login a password b\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with serve_argocd(APPS) as server:
        assert len(ArgoCd(server.url, TOKEN).read_applications()) == 2
    assert server.asked[0][1]["Authorization"] == f"Bearer {TOKEN}"


def test_tls_is_verified_against_the_authority_that_is_given(tmp_path: Path) -> None:
    file = tmp_path / "tls.pem"
    with serve_argocd(APPS, tls=file) as server:
        assert len(ArgoCd(server.url, TOKEN, file).read_applications()) == 2
        with pytest.raises(CouldNotCheck, match="certificate verify failed"):
            ArgoCd(server.url, TOKEN).read_applications()
    assert len(server.asked) == 1


def redirect(handler: BaseHTTPRequestHandler) -> None:
    send(handler, 302, b"", Location="http://127.0.0.1:9/api/v1/applications")


def cut_short(handler: BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b'{"metadata": {}, "items": []}')


def answering(body: bytes, status: int = 200) -> Fault:
    return lambda handler: send(handler, status, body)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (redirect, "answers with a redirect, which is not followed (302)"),
        (cut_short, "IncompleteRead"),
        (answering(b"", 403), "refuses the token (403)"),
        (answering(b"oops", 500), "answers with status 500"),
        (answering(b"", 204), "answers with status 204"),
        (answering(b"<html>sign in</html>"), "cannot be read: it is not JSON"),
        (answering(b"[]"), "cannot be read: the top level is not one object"),
        (answering(b"{}"), "cannot be read: it is not a list of applications"),
        (answering(b'{"items": []}'), "cannot be read: it is not a list of applications"),
        (answering(b'{"metadata": {}, "items": [1]}'), "cannot be read: an item is not an object"),
        (answering(b'{"metadata": {}, "items": {}}'), "cannot be read: its items are not a list"),
        (answering(b'{"metadata": {}, "items": [{"a": 1, "a": 2}]}'), "the key `a` occurs twice"),
    ],
)
def test_any_other_answer_is_refused(fault: Fault, said: str) -> None:
    with serve_argocd(APPS) as server:
        server.fault = fault
        with pytest.raises(CouldNotCheck) as caught:
            ArgoCd(server.url, TOKEN).read_applications()
    assert said in caught.value.message
    assert TOKEN not in caught.value.message + caught.value.help


def test_a_wrong_token_is_refused() -> None:
    with serve_argocd(APPS) as server, pytest.raises(CouldNotCheck, match=r"the token \(401\)"):
        ArgoCd(server.url, "other").read_applications()


def test_an_answer_is_read_within_its_bounds() -> None:
    size = len(json.dumps({"metadata": {"resourceVersion": "4711"}, "items": APPS}))
    with serve_argocd(APPS) as server:
        with pytest.raises(CouldNotCheck, match="more than 500 bytes") as caught:
            ArgoCd(server.url, TOKEN, max_bytes=500).read_applications()
        assert "--project" in caught.value.help
        ticks = iter([0.0, DEADLINE_S + 1.0])
        with pytest.raises(CouldNotCheck, match="took longer"):
            ArgoCd(server.url, TOKEN, clock=lambda: next(ticks)).read_applications()
        assert len(ArgoCd(server.url, TOKEN, max_bytes=size).read_applications()) == 2


def test_an_unreachable_server_is_reported() -> None:
    with serve_argocd(APPS) as server:
        pass
    with pytest.raises(CouldNotCheck, match=r"cannot be reached: .*refused"):
        ArgoCd(server.url, TOKEN).read_applications()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("argocd.example.com", "is not Argo CD's address"),
        ("ftp://argocd.example.com", "is not Argo CD's address"),
        ("https://", "is not Argo CD's address"),
        ("https://argocd.example.com/?a=1", "is not Argo CD's address"),
        ("https://argocd.example.com/#a", "is not Argo CD's address"),
        ("https://me:secret@argocd.example.com", "an address holds no password"),
        ("http://argocd.example.com", "is not encrypted"),
        ("http://127.0.0.1.example.com", "is not encrypted"),
    ],
)
def test_a_token_is_not_sent_to_such_an_address(url: str, said: str) -> None:
    with pytest.raises(UsageFault, match=said):
        ArgoCd(url, TOKEN).read_applications()


def test_good_addresses_are_accepted() -> None:
    assert checked_url("https://argocd.example.com/argo/") == "https://argocd.example.com/argo"
    assert checked_url("http://localhost:8080") == "http://localhost:8080"
    assert checked_url("http://[::1]:8080") == "http://[::1]:8080"


def test_a_token_is_one_line_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    assert read_token(file) == TOKEN
    for content in (b"", b"\n", b"two lines\nof it\n", b"a b", b"\xff", b"x" * 20_000):
        file.write_bytes(content)
        with pytest.raises(UsageFault, match="holds no token"):
            read_token(file)
    with pytest.raises(UsageFault, match="cannot be read"):
        read_token(tmp_path / "nothing")
