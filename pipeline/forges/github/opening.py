"""The GitHub forge of a checkout's `origin`, with the credential of this process.

A token goes only to its own server: to github.com, or to the one that GITHUB_SERVER_URL names
(GitHub Actions sets it, also on GitHub Enterprise Server). Plain http is allowed only for this
machine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pipeline.errors import UsageFault
from pipeline.forges.github.client import ApiCost, GithubClient
from pipeline.forges.github.credentials import AppInstallation, PlainToken, TokenSource
from pipeline.forges.github.forge import GithubForge
from pipeline.forges.github.servers import PUBLIC, api_of
from pipeline.forges.github.session import GithubSession
from pipeline.forges.opening import OpenedForge
from pipeline.machine.cache import cache_dir

_ADDRESS = re.compile(r"(https?://[^/@]+)/([^/]+)/([^/]+?)(?:\.git)?/?\Z")


@dataclass(frozen=True, slots=True)
class GithubOrigin:
    """Server, organisation and repository in a remote's address."""

    server_url: str
    organisation: str
    repo: str


def parse_address(address: str) -> GithubOrigin:
    """The parts of an http(s) address of a repository.

    Raises UsageFault for any other, and for one with a credential, which must not be in a
    configuration.
    """
    if "@" in urlsplit(address).netloc:
        raise UsageFault(
            "the address of `origin` carries a credential",
            help="`git remote set-url origin` without it; the token goes into GITHUB_TOKEN",
        )
    found = _ADDRESS.match(address)
    if found is None:
        raise UsageFault(
            f"origin `{address}` names no repository of GitHub",
            help="write it as https://github.com/ORGANISATION/REPOSITORY.git",
        )
    return GithubOrigin(found[1], found[2], found[3])


def open_at(address: str, top: Path, environment: Mapping[str, str]) -> OpenedForge:
    """The forge of the organisation that the address names; `top` is not used.

    Raises UsageFault.
    """
    origin = parse_address(address)
    return OpenedForge(open_github(origin, environment), origin.repo)


def open_github(origin: GithubOrigin, environment: Mapping[str, str]) -> GithubForge:
    """The forge of that organisation, acting with the environment's credential.

    Raises UsageFault without a credential, or with one for another server.
    """
    server = origin.server_url
    wanted = environment.get("GITHUB_SERVER_URL") or PUBLIC
    if server != wanted:
        raise UsageFault(
            f"origin is on {server}, and the credential here is for {wanted}",
            help="GITHUB_SERVER_URL names the server that it is for",
        )
    host = urlsplit(server).hostname
    if server.startswith("http://") and host not in ("127.0.0.1", "localhost", "::1"):
        raise UsageFault(
            f"a token is not sent to {server} in the open", help="use its https address"
        )
    api_url = environment.get("GITHUB_API_URL") or api_of(server)
    cost = ApiCost()
    source = _source(api_url, origin.organisation, environment, cost)
    session = GithubSession(
        organisation=origin.organisation,
        server_url=server,
        client=GithubClient(api_url, source, cost),
        folder=cache_dir() / "github" / _folder_of(server),
    )
    return GithubForge(session)


def _source(
    api_url: str, organisation: str, environment: Mapping[str, str], cost: ApiCost
) -> TokenSource:
    app = environment.get("PIPELINE_APP_ID", "")
    if app:
        if not app.isdigit():
            raise UsageFault("PIPELINE_APP_ID is not a number", help="the App's page shows it")
        asking = GithubClient(api_url, None, cost)
        permissions, optional = _permissions(environment.get("PIPELINE_APP_PERMISSIONS", ""))
        return AppInstallation(
            int(app),
            _private_key(environment),
            organisation,
            asking.ask_as_app,
            repositories=_listed(environment.get("PIPELINE_APP_REPOSITORIES", "")),
            permissions=permissions,
            optional=optional,
        )
    token = environment.get("GITHUB_TOKEN") or environment.get("GH_TOKEN")
    if not token:
        raise UsageFault(
            "there is no credential for GitHub",
            help="set GITHUB_TOKEN, or PIPELINE_APP_ID with PIPELINE_APP_PRIVATE_KEY",
        )
    return PlainToken(token)


def _listed(text: str) -> list[str] | None:
    """The words of a comma-separated list; None if it is empty, which does not narrow."""
    return [word.strip() for word in text.split(",") if word.strip()] or None


def _permissions(text: str) -> tuple[Mapping[str, str] | None, frozenset[str]]:
    """Name → level, from text such as `contents=read,checks=write`; None if it is empty.

    Second, the names with `?` behind the level: a token is asked for without those that the App
    lacks. Raises UsageFault.
    """
    found: dict[str, str] = {}
    optional: set[str] = set()
    for word in _listed(text) or ():
        name, _, told = word.partition("=")
        level = told.removesuffix("?")
        if not name or level not in ("read", "write"):
            raise UsageFault(
                f"PIPELINE_APP_PERMISSIONS has `{word}`",
                help="write contents=read,checks=write; `?` behind one that the App may lack",
            )
        found[name] = level
        if told != level:
            optional.add(name)
    return found or None, frozenset(optional)


def _private_key(environment: Mapping[str, str]) -> str:
    text = environment.get("PIPELINE_APP_PRIVATE_KEY", "")
    path = environment.get("PIPELINE_APP_PRIVATE_KEY_FILE", "")
    if text:
        return text
    if not path:
        raise UsageFault(
            "PIPELINE_APP_ID is set, and the App's key is not",
            help="set PIPELINE_APP_PRIVATE_KEY, or PIPELINE_APP_PRIVATE_KEY_FILE",
        )
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageFault(f"the App's key `{path}` cannot be read") from error


def _folder_of(server: str) -> str:
    """The folder name for a server: its host, with the port if there is one."""
    return urlsplit(server).netloc.replace(":", "-")
