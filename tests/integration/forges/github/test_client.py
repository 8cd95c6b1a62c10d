"""The GitHub client on a server that fails, limits and loses replies: what it retries."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import ForgeRefused, NotFound, UsageFault
from pipeline.forges.github.client import GithubClient, Invalid, Unanswered, Unavailable
from pipeline.forges.github.credentials import RENEW_BEFORE_S, AppInstallation, PlainToken
from pipeline.forges.github.forge import GithubForge
from pipeline.forges.github.opening import GithubOrigin, open_github
from pipeline.forges.github.session import GithubSession
from pipeline.forges.http.connection import TRIES
from worlds.github_server import Fault, GitHubServer, Seen
from worlds.github_server.state import Activity
from worlds.github_setting import APP_ID, add_pipeline_app, app_key

ORGANISATION = "ameide"
PERSON, BOT = 1101, 1000


class Client:
    """A client, and how long it waited."""

    def __init__(self, server: GitHubServer, source: PlainToken | AppInstallation) -> None:
        self.waits: list[float] = []
        self.client = GithubClient(server.api_url, source, sleep=self.waits.append)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitHubServer]:
    """A GitHub with one organisation, one person and one repository."""
    with GitHubServer(tmp_path) as github:
        organisation = github.add_organisation(ORGANISATION)
        github.add_user(PERSON, "engineer", organisation=ORGANISATION)
        github.state.create_repository(organisation, "some")
        yield github


@pytest.fixture
def person(server: GitHubServer) -> Client:
    return Client(server, PlainToken(server.add_token(PERSON)))


def app(server: GitHubServer, **fields: object) -> AppInstallation:
    """The pipeline's App, installed."""
    if APP_ID not in server.state.apps:
        add_pipeline_app(server, ORGANISATION, BOT)
    asking = GithubClient(server.api_url, None, sleep=lambda s: None)
    return AppInstallation(APP_ID, app_key()[0], ORGANISATION, asking.ask_as_app, **fields)  # type: ignore[arg-type]


def always(fault: Fault) -> object:
    return lambda seen: fault


REPO = f"/repos/{ORGANISATION}/some"


@pytest.mark.parametrize("fault", [Fault.DROP_REPLY, Fault.ERROR_BEFORE, Fault.ERROR_AFTER])
def test_a_read_is_tried_again(server: GitHubServer, person: Client, fault: Fault) -> None:
    server.faults.at(1, fault)
    assert person.client.read(REPO)["name"] == "some"
    assert len(server.log) == 2 and len(person.waits) == 1


def test_a_read_is_retried_a_bounded_number_of_times(server: GitHubServer, person: Client) -> None:
    server.faults.hook = always(Fault.ERROR_BEFORE)  # type: ignore[assignment]
    with pytest.raises(Unavailable, match=f"{TRIES} tries"):
        person.client.read(REPO)
    assert len(server.log) == TRIES


@pytest.mark.parametrize("fault", [Fault.DROP_REPLY, Fault.ERROR_BEFORE, Fault.ERROR_AFTER])
def test_an_unanswered_write_is_not_sent_again(
    server: GitHubServer, person: Client, fault: Fault
) -> None:
    server.faults.at(1, fault)
    with pytest.raises(Unanswered):
        person.client.write("PATCH", REPO, {"description": "New"})
    assert len(server.log) == 1
    acted = server.repository(ORGANISATION, "some").description == "New"
    assert acted is (fault is not Fault.ERROR_BEFORE)


def test_a_write_that_github_refused_to_do_is_retried(server: GitHubServer, person: Client) -> None:
    server.faults.at(1, Fault.SECONDARY_LIMIT)
    person.client.write("PATCH", REPO, {"description": "New"})
    assert [seen.status for seen in server.log] == [403, 200]
    assert person.waits == [0.0], "as long as Retry-After says"


def test_a_used_up_limit_is_waited_for(server: GitHubServer, person: Client) -> None:
    server.hourly_limit = 1
    person.client.read(REPO)
    person.client.sleep = lambda seconds: server.refresh_limit()
    assert person.client.read(f"{REPO}/branches") == []


def test_a_limit_that_lasts_ends_the_run(server: GitHubServer, person: Client) -> None:
    server.hourly_limit = 0
    person.client.clock = lambda: 0.0
    with pytest.raises(Unavailable, match="limit is used up"):
        person.client.read(REPO)
    assert person.waits == []


def test_an_unchanged_answer_costs_nothing(server: GitHubServer, person: Client) -> None:
    first = person.client.read(REPO)
    assert person.client.read(REPO) == first
    assert (person.client.cost.reads, person.client.cost.unchanged) == (2, 1)
    assert server.log[-1].cached
    person.client.write("PATCH", REPO, {"description": "New"})
    assert person.client.read(REPO)["description"] == "New"


def test_all_pages_are_read(server: GitHubServer, person: Client) -> None:
    for number in range(2_000, 2_130):
        server.add_user(number, f"person-{number}", organisation=ORGANISATION)
    found = list(person.client.read_all(f"/orgs/{ORGANISATION}/members"))
    assert len(found) == 131 and len({member["id"] for member in found}) == 131


def test_a_refusal_says_what_and_where(server: GitHubServer, person: Client) -> None:
    with pytest.raises(NotFound, match="/repos/ameide/none"):
        person.client.read("/repos/ameide/none")
    with pytest.raises(Invalid) as refused:
        person.client.write("POST", f"/orgs/{ORGANISATION}/repos", {"name": "some"})
    assert refused.value.fields == {"name": "name already exists on this account"}
    stranger = Client(server, PlainToken("ghp_unknown"))
    with pytest.raises(ForgeRefused, match="does not take the token"):
        stranger.client.read(REPO)


def test_a_query_reports_what_is_missing(server: GitHubServer, person: Client) -> None:
    text = 'query { repository(owner: "ameide", name: "none") { name } }'
    with pytest.raises(NotFound, match="none"):
        person.client.query(text)
    partly = 'query { a: repository(owner: "ameide", name: "none") { name } viewer { login } }'
    assert person.client.query_partly(partly) == {"a": None, "viewer": {"login": "engineer"}}


# -- an App's tokens ---------------------------------------------------------------------


def test_an_installation_token_is_kept_until_it_runs_out(server: GitHubServer) -> None:
    now = [server.state.clock()]
    server.state.clock = lambda: now[0]
    source = app(server, clock=lambda: now[0])
    first = source.token()
    assert source.token() == first
    now[0] += 3600 - RENEW_BEFORE_S + 1
    second = source.token()
    assert second != first
    asked = [seen.template for seen in server.log]
    assert asked.count("/orgs/{org}/installation") == 1


def test_a_token_can_be_narrowed_to_some_permissions(server: GitHubServer) -> None:
    source = app(server, repositories=["some"], permissions={"contents": "read"})
    token = server.state.tokens[source.token()]
    assert token.repositories == frozenset({"some"})
    assert token.permissions == {"contents": "read", "metadata": "read"}
    client = Client(server, source).client
    assert client.read(REPO)["name"] == "some"
    with pytest.raises(ForgeRefused, match="not accessible by integration"):
        client.write("PATCH", REPO, {"description": "New"})
    organisation = server.state.accounts[9001]
    server.state.create_repository(organisation, "other")
    with pytest.raises(NotFound):
        client.read(f"/repos/{ORGANISATION}/other")


def test_a_token_has_no_more_than_the_installation(server: GitHubServer) -> None:
    with pytest.raises(Invalid, match="not granted"):
        app(server, permissions={"secrets": "write"}).token()


@pytest.mark.parametrize(
    ("granted", "asked", "given"),
    [
        ({}, "write", None),
        ({"deployments": "read"}, "write", None),
        ({"deployments": "read"}, "read", "read"),
        ({"deployments": "write"}, "read", "read"),
        ({"deployments": "write"}, "write", "write"),
    ],
)
def test_an_optional_permission_is_asked_for_if_the_app_has_it(
    server: GitHubServer, granted: dict[str, str], asked: str, given: str | None
) -> None:
    permissions = {"contents": "read", "deployments": asked}
    source = app(server, permissions=permissions, optional=("deployments",))
    server.state.apps[APP_ID].permissions = {"contents": "write", **granted}
    token = server.state.tokens[source.token()]
    assert token.permissions is not None and token.permissions.get("deployments") == given


def test_a_token_is_never_asked_for_without_any_permission(server: GitHubServer) -> None:
    source = app(server, permissions={"deployments": "write"}, optional=("deployments",))
    server.state.apps[APP_ID].permissions = {"contents": "write"}
    with pytest.raises(Invalid, match="not granted"):
        source.token()


def test_permissions_are_read_from_the_environment(tmp_path: Path) -> None:
    origin = GithubOrigin("http://127.0.0.1:1", ORGANISATION, "control")
    environment = {
        "GITHUB_SERVER_URL": origin.server_url,
        "PIPELINE_APP_ID": str(APP_ID),
        "PIPELINE_APP_PRIVATE_KEY": app_key()[0],
        "PIPELINE_APP_PERMISSIONS": "contents=read,deployments=write?",
        "PIPELINE_CACHE": str(tmp_path),
    }
    source = open_github(origin, environment).session.client.source
    assert isinstance(source, AppInstallation)
    assert source.permissions == {"contents": "read", "deployments": "write"}
    assert source.optional == {"deployments"}
    for wrong in ("contents", "contents=admin", "contents=?", "contents=read??"):
        with pytest.raises(UsageFault, match="PIPELINE_APP_PERMISSIONS has"):
            open_github(origin, environment | {"PIPELINE_APP_PERMISSIONS": wrong})


def test_a_token_that_github_refuses_is_renewed_once(server: GitHubServer) -> None:
    source = app(server)
    client = Client(server, source).client
    before = source.token()
    begin = len(server.log)

    def expired_once(seen: Seen) -> Fault | None:
        return Fault.EXPIRED if seen.number == begin + 1 else None

    server.faults.hook = expired_once
    client.write("PATCH", REPO, {"description": "New"})
    assert source.token() != before
    assert server.repository(ORGANISATION, "some").description == "New"


def test_an_invalid_key_is_reported(server: GitHubServer) -> None:
    source = app(server)
    source.private_key = "-----BEGIN NOTHING-----"
    with pytest.raises(UsageFault, match="private key cannot be read"):
        source.token()


def forge_of(server: GitHubServer, client: GithubClient, folder: Path) -> GithubForge:
    return GithubForge(GithubSession(ORGANISATION, server.url, client, folder))


def test_a_team_s_members_come_page_by_page(server: GitHubServer, tmp_path: Path) -> None:
    people = list(range(2000, 2000 + 130))
    for person in people:
        server.add_user(person, f"person-{person}", organisation=ORGANISATION)
    server.add_team(ORGANISATION, "engineers", people)
    source = app(server, permissions={"members": "read"})
    forge = forge_of(server, GithubClient(server.api_url, source), tmp_path)
    assert forge.read_team("engineers") == frozenset(people)
    blind = app(server, permissions={"contents": "read"})
    forge = forge_of(server, GithubClient(server.api_url, blind), tmp_path)
    with pytest.raises(ForgeRefused):
        forge.read_team("engineers")


def test_pushes_come_from_all_pages(server: GitHubServer, tmp_path: Path) -> None:
    """A branch with more pushes than a page holds is read to its end, and no further."""
    repository = server.state.repository(ORGANISATION, "some")
    assert repository is not None
    account, branch = server.state.accounts[PERSON], "refs/heads/ask/one"
    repository.activities = [
        Activity(n, account, branch, None, f"{n:040x}", "push", "2026-01-01T00:00:00Z")
        for n in range(1, 251)
    ]
    token = server.add_token(PERSON)
    client = GithubClient(server.api_url, PlainToken(token))
    forge = forge_of(server, client, tmp_path)
    pushes = forge.read_pushes("some", "ask/one")
    assert [int(push.commit, 16) for push in pushes] == list(range(1, 251))
    assert {push.account for push in pushes} == {PERSON}
    assert forge.read_pushes("some", "ask/other") == ()
