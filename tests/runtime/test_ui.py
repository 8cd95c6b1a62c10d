"""The UI workspace for real: built, served, opened in Chromium, with sign-in at a real Keycloak.

`make ui` runs it. The bundle runs as the image's user, who may write none of its files.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from urllib.parse import parse_qs, quote, urljoin, urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.runtime.keycloak import Realm
from tests.runtime.platform_api import Item, PlatformApi, platform_api
from tests.runtime.ui_workspace import (
    PREFIX,
    VALUES,
    Workspace,
    ask,
    copy_bundle,
    free_port,
    run_make,
    running,
    server_command,
    settings_of,
)
from tests.support.projects import ROOT, TOOLS, write_project
from tools.keycloak import Keycloak

pytestmark = pytest.mark.ui

ARTIFACTS = ROOT / "build" / "artifacts"
AXE = TOOLS / "node" / "node_modules" / "axe-core" / "axe.min.js"
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
TIMEOUT_MS = 120_000


def item(name: str, kind: str, state: str, description: str) -> Item:
    at = "2030-01-02T03:04:05Z"
    return {
        "id": name,
        "type": kind,
        "state": state,
        "description": description,
        "updated_at": at,
    }


ITEMS = {
    "acme": [
        item("order-router", "domain", "PROMOTED_PROD", "Routes orders to the nearest partner"),
        item("order-to-cash", "process", "PROMOTED_STAGING", "From an order to its payment"),
        item("order-helper", "agent", "IN_REVIEW", "Answers <b>questions</b> about orders"),
        item("order-desk", "ui", "PENDING", "Where people see what waits for them"),
    ],
    "contoso": [item("contoso-ledger", "domain", "REJECTED", "Keeps what contoso owes")],
}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project("ui", VALUES, tmp_path_factory.mktemp("ui") / "project")


@pytest.fixture(scope="module")
def built(project: Path) -> str:
    """What the project's Makefile said while it installed, judged, tested and built it."""
    result = run_make(project, "setup", "lint", "types", "test", "build")
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture(scope="module")
def bundle(project: Path, built: str) -> Iterator[Path]:
    # Not below pytest's own folder: that is closed to other users, and the server is one.
    with tempfile.TemporaryDirectory(prefix="ui-bundle-") as folder:
        Path(folder).chmod(0o755)
        yield copy_bundle(project, Path(folder) / "bundle")


@pytest.fixture(scope="module")
def api(keycloak: Keycloak) -> Iterator[PlatformApi]:
    with platform_api(keycloak.issuer, keycloak.jwks_url, ITEMS) as api:
        yield api


@pytest.fixture(scope="module")
def workspace(
    bundle: Path,
    api: PlatformApi,
    keycloak: Keycloak,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Workspace]:
    before = {path: path.stat().st_mtime_ns for path in bundle.rglob("*")}
    origin = f"http://127.0.0.1:{free_port()}"
    environment = settings_of(origin, api.origin, keycloak.issuer, keycloak.jwks_url)
    log = tmp_path_factory.mktemp("log") / "server.log"
    with running(bundle, environment, log) as workspace:
        yield workspace
    assert {path: path.stat().st_mtime_ns for path in bundle.rglob("*")} == before


@pytest.fixture(autouse=True)
def forgotten(api: PlatformApi) -> None:
    api.seen.clear()
    api.failing = None


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "install the Debian package `chromium`"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1200, "height": 780}, locale="en-GB")
    context.set_default_timeout(TIMEOUT_MS)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, workspace: Workspace) -> Iterator[Page]:
    """A page on which every complaint of the browser about the workspace fails the test."""
    page = context.new_page()
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and workspace.origin in (
            page.url + message.location.get("url", "")
        ):
            complaints.append(f"{message.type}: {message.text}")

    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    assert complaints == []


def sign_in(page: Page, keycloak: Keycloak, username: str, url: str, end: str = "") -> None:
    """Opens `url`, signs in where that leads to, and waits for `end`, which is `url` by default."""
    page.goto(url)
    assert page.url.startswith(keycloak.issuer)
    page.fill("#username", username)
    page.fill("#password", keycloak.user_password)
    page.click("#kc-login")
    page.wait_for_url(end or url)


def settle(page: Page) -> None:
    """Waits until the page stands where `Loading…` stood: the load event may come before that."""
    page.locator("h1").wait_for()


def names_shown(page: Page) -> list[str]:
    settle(page)
    return page.locator("tbody th a").all_inner_texts()


def check_accessible(page: Page) -> None:
    settle(page)
    # Run through the debugger, which a page's policy does not bind.
    page.evaluate(AXE.read_text())
    found = page.evaluate(
        "tags => axe.run(document, {runOnly: {type: 'tag', values: tags}})", AXE_TAGS
    )
    assert len(found["passes"]) >= 15
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found["violations"]] == []


def test_it_lints_type_checks_passes_its_tests_and_builds(built: str) -> None:
    assert re.search(r"^. pass 1\d\d$", built, re.MULTILINE)
    assert re.search(r"^. fail 0$", built, re.MULTILINE)
    assert "ƒ Proxy" in built
    # A page made at build time would have no nonce.
    assert re.findall(r"[○●] (\S+)", built) == ["/icon.svg"]


def test_health_is_answered_below_the_prefix_and_nowhere_else(workspace: Workspace) -> None:
    for path in ("healthz", "readyz"):
        status, _, body, _ = ask(f"{workspace.url}/{path}")
        assert (status, json.loads(body)) == (200, {"status": "ok"})
    assert ask(f"{workspace.origin}/healthz")[0] == HTTPStatus.NOT_FOUND


def test_a_browser_without_a_session_is_sent_to_sign_in(workspace: Workspace) -> None:
    status, headers, _, _ = ask(f"{workspace.url}/primitives/x?a=b", accept="text/html")
    assert status == HTTPStatus.FOUND
    there = urlsplit(urljoin(workspace.url, headers["location"]))
    assert f"{there.scheme}://{there.netloc}{there.path}" == f"{workspace.url}/auth/login"
    assert parse_qs(there.query) == {"return_to": ["/primitives/x?a=b"]}


def test_a_script_without_a_session_is_refused(workspace: Workspace) -> None:
    assert ask(workspace.url, accept="*/*", rsc="1")[0] == HTTPStatus.UNAUTHORIZED
    assert ask(workspace.url, "POST", accept="text/html")[0] == HTTPStatus.UNAUTHORIZED


def test_addresses_are_not_made_from_what_a_request_claims(workspace: Workspace) -> None:
    _, headers, _, _ = ask(
        workspace.url,
        accept="text/html",
        host="evil.example.invalid",
        x_forwarded_host="evil.example.invalid",
    )
    assert urljoin(workspace.url, headers["location"]).startswith(f"{workspace.url}/auth/login?")


def test_signing_in_asks_with_pkce_state_and_nonce(
    workspace: Workspace, keycloak: Keycloak
) -> None:
    status, headers, _, cookies = ask(f"{workspace.url}/auth/login")
    assert status == HTTPStatus.SEE_OTHER
    there = urlsplit(headers["location"])
    assert headers["location"].startswith(keycloak.issuer)
    asked = {name: value for name, [value] in parse_qs(there.query).items()}
    assert asked["response_type"] == "code"
    assert asked["code_challenge_method"] == "S256"
    assert asked["redirect_uri"] == f"{workspace.url}/auth/callback"
    assert asked["scope"] == "openid profile"
    assert min(len(asked[name]) for name in ("state", "nonce", "code_challenge")) >= 43
    [cookie] = cookies
    assert {f"Path={PREFIX}", "HttpOnly", "SameSite=lax"} <= {p.strip() for p in cookie.split(";")}
    assert asked["state"] not in cookie


def test_an_unsolicited_sign_in_response_is_refused(workspace: Workspace) -> None:
    status, headers, _, cookies = ask(f"{workspace.url}/auth/callback?code=x&state=y")
    assert status == HTTPStatus.SEE_OTHER
    assert headers["location"] == f"{workspace.url}/signed-out?reason=expired"
    assert not any("session" in cookie for cookie in cookies)


def test_a_sign_in_response_with_another_state_is_refused(
    workspace: Workspace, keycloak: Keycloak
) -> None:
    _, _, _, [cookie] = ask(f"{workspace.url}/auth/login")
    pair = cookie.partition(";")[0]
    issuer = quote(keycloak.issuer, safe="")
    url = f"{workspace.url}/auth/callback?code=x&state=y&iss={issuer}"
    _, headers, _, cookies = ask(url, cookie=pair)
    assert headers["location"] == f"{workspace.url}/signed-out?reason=refused"
    assert not any("session" in cookie for cookie in cookies)
    # Refused here, before the issuer was asked about the code.
    refused = [line for line in workspace.log.read_text().splitlines() if "refused" in line]
    assert "OAUTH_INVALID_RESPONSE" in refused[-1]
    # The pending login is gone, whatever came of it.
    assert any("login" in cookie and "Max-Age=0" in cookie for cookie in cookies)


def test_signing_out_from_another_site_is_refused(workspace: Workspace) -> None:
    url = f"{workspace.url}/auth/logout"
    assert ask(url, "POST", origin="https://evil.example.invalid")[0] == HTTPStatus.FORBIDDEN
    assert ask(url, "POST")[0] == HTTPStatus.FORBIDDEN
    assert ask(url)[0] == HTTPStatus.METHOD_NOT_ALLOWED


def test_every_answer_carries_the_security_headers(workspace: Workspace) -> None:
    page = ask(f"{workspace.url}/signed-out", accept="text/html")
    script = re.search(rb'src="([^"]+\.js)"', page[2])
    assert script is not None
    for answer in (
        page,
        ask(f"{workspace.url}/healthz"),
        ask(f"{workspace.origin}{script[1].decode()}"),
    ):
        assert answer[0] == HTTPStatus.OK
        headers = answer[1]
        assert headers["strict-transport-security"].startswith("max-age=63072000")
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
        assert headers["x-frame-options"] == "DENY"
        assert "x-powered-by" not in headers
    assert page[1]["cache-control"] == "private, no-store"


def test_every_script_carries_the_answers_own_nonce(workspace: Workspace) -> None:
    nonces = set()
    for _ in range(3):
        _, headers, body, _ = ask(f"{workspace.url}/signed-out", accept="text/html")
        policy = headers["content-security-policy"]
        [nonce] = re.findall(r"script-src 'self' 'nonce-([A-Za-z0-9+/=]+)'", policy)
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        scripts = re.findall(r"<script[^>]*>", body.decode())
        assert len(scripts) >= 3
        assert all(f'nonce="{nonce}"' in script for script in scripts)
        nonces.add(nonce)
    assert len(nonces) == 3


def test_a_nonce_that_a_request_brings_is_not_used(workspace: Workspace) -> None:
    policy = "script-src 'nonce-bWluZQ=='"
    url = f"{workspace.url}/signed-out"
    _, headers, body, _ = ask(url, accept="text/html", content_security_policy=policy)
    assert "bWluZQ==" not in headers["content-security-policy"]
    assert b"bWluZQ==" not in body


def test_a_person_sees_what_their_own_tenant_has(
    page: Page, workspace: Workspace, keycloak: Keycloak, api: PlatformApi
) -> None:
    sign_in(page, keycloak, "acme-engineer", workspace.url)
    assert names_shown(page) == ["order-router", "order-to-cash", "order-helper"]
    assert "contoso" not in page.content()
    assert page.locator(".tenant").inner_text().endswith("acme")
    assert page.locator("tbody").inner_text().count("<b>questions</b>") == 1
    [call] = api.seen
    assert call["x-tenant-id"] == "acme"
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-01", call["traceparent"])
    check_accessible(page)
    ARTIFACTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ARTIFACTS / "ui-workspace.png")


def test_another_tenants_person_sees_another_list(
    page: Page, workspace: Workspace, keycloak: Keycloak
) -> None:
    sign_in(page, keycloak, "contoso-engineer", workspace.url)
    assert names_shown(page) == ["contoso-ledger"]
    page.goto(f"{workspace.url}/primitives/order-router")
    assert page.locator("h1").inner_text() == "Not found"
    check_accessible(page)


def test_pages_and_details_are_reached_by_links(
    page: Page, workspace: Workspace, keycloak: Keycloak
) -> None:
    sign_in(page, keycloak, "acme-engineer", workspace.url)
    page.get_by_role("link", name="Next page").click()
    page.wait_for_url("**/order-desk?page_token=3")
    page.get_by_role("link", name="order-desk", exact=True).last.click()
    page.wait_for_url("**/primitives/order-desk")
    page.locator("dl.facts").wait_for()
    assert page.locator("h1").inner_text() == "order-desk"
    assert page.title() == "order-desk · order-desk"
    check_accessible(page)


def test_signing_in_leads_back_to_the_page_asked_for(
    page: Page, workspace: Workspace, keycloak: Keycloak
) -> None:
    sign_in(page, keycloak, "acme-engineer", f"{workspace.url}/primitives/order-router")
    assert page.locator("h1").inner_text() == "order-router"


def test_signing_in_leads_to_no_other_site(
    page: Page, workspace: Workspace, keycloak: Keycloak
) -> None:
    target = quote("//evil.example.invalid/", safe="")
    page.goto(f"{workspace.url}/auth/login?return_to={target}")
    page.fill("#username", "acme-engineer")
    page.fill("#password", keycloak.user_password)
    page.click("#kc-login")
    page.wait_for_url(workspace.url)


def test_the_browser_holds_no_token_that_it_can_read(
    page: Page, context: BrowserContext, workspace: Workspace, keycloak: Keycloak, api: PlatformApi
) -> None:
    sign_in(page, keycloak, "acme-engineer", workspace.url)
    cookies = [c for c in context.cookies() if c.get("path") == PREFIX]
    assert cookies
    for cookie in cookies:
        assert cookie.get("httpOnly") is True
        assert cookie.get("sameSite") == "Lax"
        assert "order-desk-session" in cookie.get("name", "")
    token = api.seen[0]["authorization"].removeprefix("Bearer ")
    held = page.content() + page.evaluate(
        "document.cookie + JSON.stringify({...localStorage, ...sessionStorage})"
    )
    for part in token.split("."):
        assert part not in held
        assert not any(part in cookie.get("value", "") for cookie in cookies)


def test_signing_out_ends_the_session_here_and_at_the_issuer(
    page: Page, context: BrowserContext, workspace: Workspace, keycloak: Keycloak
) -> None:
    sign_in(page, keycloak, "acme-engineer", workspace.url)
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{workspace.url}/signed-out*")
    assert page.get_by_role("status").inner_text() == "You are signed out."
    check_accessible(page)
    assert [c for c in context.cookies() if c.get("path") == PREFIX] == []
    # The issuer asks again, so its session is gone, too.
    sign_in(page, keycloak, "contoso-engineer", workspace.url)
    assert names_shown(page) == ["contoso-ledger"]


def test_an_empty_tenant_sees_a_message(
    page: Page, workspace: Workspace, keycloak: Keycloak, api: PlatformApi
) -> None:
    sign_in(page, keycloak, "acme-engineer", f"{workspace.url}?page_token=9")
    assert page.locator("h2").inner_text() == "Nothing here yet"
    check_accessible(page)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (HTTPStatus.SERVICE_UNAVAILABLE, "does not answer right now"),
        (HTTPStatus.FORBIDDEN, "You may not see this"),
        (HTTPStatus.TOO_MANY_REQUESTS, "too many requests"),
    ],
)
def test_a_platform_failure_is_explained(
    status: HTTPStatus,
    told: str,
    page: Page,
    workspace: Workspace,
    keycloak: Keycloak,
    api: PlatformApi,
) -> None:
    api.failing = status
    sign_in(page, keycloak, "acme-engineer", workspace.url)
    assert told in page.locator("main [role=alert]").inner_text()
    check_accessible(page)


def test_a_keyboard_skips_to_the_content(
    page: Page, workspace: Workspace, keycloak: Keycloak
) -> None:
    sign_in(page, keycloak, "acme-engineer", workspace.url)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_the_page_fits_a_narrow_screen(
    page: Page, workspace: Workspace, keycloak: Keycloak
) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    sign_in(page, keycloak, "acme-engineer", workspace.url)
    settle(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    check_accessible(page)


def test_a_token_about_to_end_is_renewed_on_the_way(
    page: Page, workspace: Workspace, keycloak: Keycloak, realm: Realm, api: PlatformApi
) -> None:
    realm.admin("PUT", "", {"accessTokenLifespan": 20})
    try:
        sign_in(page, keycloak, "acme-engineer", workspace.url)
        # The issuer takes each refresh token once, so this holds only if the new one is kept.
        for _ in range(2):
            page.reload()
            assert len(names_shown(page)) == 3
    finally:
        realm.admin("PUT", "", {"accessTokenLifespan": 300})
    assert len({call["authorization"] for call in api.seen}) == 3


def test_a_workspace_of_one_tenant_lets_nobody_else_in(
    page: Page,
    bundle: Path,
    api: PlatformApi,
    keycloak: Keycloak,
    tmp_path: Path,
) -> None:
    origin = f"http://127.0.0.1:{free_port()}"
    environment = settings_of(origin, api.origin, keycloak.issuer, keycloak.jwks_url)
    with running(bundle, {**environment, "ONLY_TENANT": "acme"}, tmp_path / "log") as own:
        sign_in(page, keycloak, "contoso-engineer", own.url, f"{own.url}/signed-out?reason=tenant")
        assert "does not belong to this workspace" in page.get_by_role("status").inner_text()
        page.goto(f"{own.url}/signed-out")
        assert page.locator(".account").count() == 0
    assert api.seen == []


def test_the_server_does_not_start_without_its_settings(bundle: Path) -> None:
    ended = subprocess.run(
        server_command(bundle),
        cwd=bundle,
        env={"PORT": str(free_port()), "HOSTNAME": "127.0.0.1", "NODE_ENV": "production"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 78
    for name in ("PUBLIC_ORIGIN", "TOKEN_ISSUER", "SESSION_KEYS"):
        assert f"{name} is missing" in ended.stdout
