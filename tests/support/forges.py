"""Makers of the forges that contract tests run against; the same folder gives the same forge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pipeline.forges.github.client import GithubClient
from pipeline.forges.github.credentials import AppInstallation, PlainToken
from pipeline.forges.github.forge import GithubForge
from pipeline.forges.github.session import GithubSession
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import Forge
from worlds.github_server import GitHubServer
from worlds.github_setting import APP_ID, add_pipeline_app, app_key

ORGANISATION = "acme"
_SERVERS: dict[Path, GitHubServer] = {}


def start_github(folder: Path, pipeline: int, people: tuple[int, ...]) -> GitHubServer:
    """A GitHub with one organisation, the pipeline's App in it and some members."""
    server = GitHubServer(folder / "github")
    server.__enter__()
    server.add_organisation(ORGANISATION)
    add_pipeline_app(server, ORGANISATION, pipeline)
    for person in people:
        server.add_user(person, f"person-{person}", organisation=ORGANISATION)
    _SERVERS[folder] = server
    return server


def github_forge(server: GitHubServer, folder: Path, people: tuple[int, ...] = ()) -> GithubForge:
    """A forge that acts for the App and for these people, with their own credentials."""
    asking = GithubClient(server.api_url, None)
    source = AppInstallation(APP_ID, app_key()[0], ORGANISATION, asking.ask_as_app)
    session = GithubSession(
        organisation=ORGANISATION,
        server_url=server.url,
        client=GithubClient(server.api_url, source),
        folder=folder / f"copies-{server.state.number()}",
        others={
            person: GithubClient(server.api_url, PlainToken(server.add_token(person)))
            for person in people
        },
    )
    return GithubForge(session)


def make_local(folder: Path, pipeline: int, people: tuple[int, ...]) -> Forge:
    """The local forge."""
    return LocalForge(folder / "forge", ORGANISATION)


def make_github(folder: Path, pipeline: int, people: tuple[int, ...]) -> Forge:
    """The GitHub forge on a GitHub of its own."""
    server = _SERVERS.get(folder) or start_github(folder, pipeline, people)
    return github_forge(server, folder, people)


def stop_github(folder: Path) -> None:
    """Stop the GitHub of a folder, if there is one; raises if an answer did not fit GitHub's."""
    server = _SERVERS.pop(folder, None)
    if server is not None:
        server.__exit__(None, None, None)


Maker = Callable[[Path, int, tuple[int, ...]], Forge]
FORGES: dict[str, Maker] = {"local": make_local, "github": make_github}
