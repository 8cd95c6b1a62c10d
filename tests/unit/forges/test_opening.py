"""Which forge an address leads to, and what each opening module provides."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import pytest

from pipeline.errors import UsageFault
from pipeline.forges.github.forge import GithubForge
from pipeline.forges.github.opening import parse_address
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.opening import FORGES, Opener, is_remote, open_forge


@pytest.mark.parametrize("name", [name for _, name in FORGES])
def test_every_forge_is_opened_in_the_same_way(name: str) -> None:
    wanted = inspect.signature(Opener.open_at)
    found = inspect.signature(import_module(name).open_at)
    without_self = list(wanted.parameters.values())[1:]
    assert found == wanted.replace(parameters=without_self)


@pytest.mark.parametrize("address", ["https://github.com/acme/control.git", "http://localhost/a/b"])
def test_an_address_on_a_server_is_remote(address: str) -> None:
    assert is_remote(address)


@pytest.mark.parametrize("address", ["/forge/acme/control.git", "file:///forge/acme/control.git"])
def test_a_folder_is_not_remote(address: str) -> None:
    assert not is_remote(address)


def test_a_folder_is_a_local_forge(tmp_path: Path) -> None:
    (tmp_path / "forge" / "acme" / "control.git").mkdir(parents=True)
    for address in (
        f"{tmp_path}/forge/acme/control.git",
        f"file://{tmp_path}/forge/acme/control.git",
        "../forge/acme/control.git",
    ):
        opened = open_forge(address, tmp_path / "forge", {})
        assert isinstance(opened.forge, LocalForge)
        found = (opened.forge.root, opened.forge.organisation, opened.repo)
        assert found == (tmp_path / "forge", "acme", "control")


def test_the_root_of_a_local_forge_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "clones" / "acme" / "control.git"
    path.mkdir(parents=True)
    opened = open_forge(str(path), tmp_path, {"PIPELINE_FORGE": "/srv/forge"})
    assert isinstance(opened.forge, LocalForge) and opened.forge.root == Path("/srv/forge")


@pytest.mark.parametrize("address", ["missing.git", "folder"])
def test_an_address_that_is_no_local_repository_is_reported(tmp_path: Path, address: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(UsageFault, match="not a repository of a local forge"):
        open_forge(address, tmp_path, {})


def test_an_address_on_a_server_leads_to_github(tmp_path: Path) -> None:
    credential = {"GITHUB_TOKEN": "secret", "GITHUB_SERVER_URL": "https://github.com"}
    opened = open_forge("https://github.com/acme/control.git", tmp_path, credential)
    assert isinstance(opened.forge, GithubForge) and opened.repo == "control"
    with pytest.raises(UsageFault, match="no credential"):
        open_forge("https://github.com/acme/control.git", tmp_path, {})


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://somebody:secret@github.com/acme/control.git", "carries a credential"),
        ("https://github.com/control.git", "names no repository"),
        ("/forge/acme/control.git", "names no repository"),
    ],
)
def test_an_address_that_github_lacks_is_reported(address: str, said: str) -> None:
    with pytest.raises(UsageFault, match=said):
        parse_address(address)
