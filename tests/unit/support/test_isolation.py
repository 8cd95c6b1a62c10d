"""The isolation that tests/conftest.py promises to every test."""

import importlib.util
import os
import pwd
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

REAL_HOME = Path(pwd.getpwuid(os.getuid()).pw_dir)


@pytest.fixture
def isolation(request: pytest.FixtureRequest) -> ModuleType:
    """The conftest module that is loaded for this test."""
    path = Path(request.config.rootpath) / "tests" / "conftest.py"
    for plugin in request.config.pluginmanager.get_plugins():
        if getattr(plugin, "__file__", None) == str(path):
            return plugin
    raise LookupError(path)


def test_home_and_settings_are_isolated_from_the_user_s(home: Path) -> None:
    assert Path.home() == home != REAL_HOME
    assert time.tzname == ("UTC", "UTC")
    assert os.environ["LC_ALL"] == "C.UTF-8"
    mask = os.umask(0o022)
    assert mask == 0o022


def test_git_sees_only_the_repository_s_configuration() -> None:
    listed = subprocess.run(
        ["git", "config", "--list", "--show-origin"],
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    assert listed.stdout == ""


def test_the_guard_sees_writes_below_the_home_alone(isolation: ModuleType, tmp_path: Path) -> None:
    home, allowed = tmp_path / "home", tmp_path / "home" / "checkout"
    guard = isolation.HomeGuard({home}, {allowed})
    write = os.O_WRONLY | os.O_CREAT

    guard.hook("open", (str(home / "read"), "r", os.O_RDONLY))
    guard.hook("open", (str(allowed / "file"), "w", write))
    guard.hook("open", (str(tmp_path / "elsewhere"), "w", write))
    assert guard.writes == []

    guard.hook("open", (str(home / "file"), "w", write))
    guard.hook("os.mkdir", (str(home / "folder"), 0o777, -1))
    guard.hook("os.rename", (str(tmp_path / "elsewhere"), str(home / "moved"), -1, -1))
    assert [Path(path).name for path in guard.writes] == ["file", "folder", "moved"]


def test_tripwires_see_writes_of_a_child_process(isolation: ModuleType, tmp_path: Path) -> None:
    before = isolation.tripwires({tmp_path})
    program = f"open({str(tmp_path / '.gitconfig')!r}, 'w').close()"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert isolation.tripwires({tmp_path}) != before


def test_the_checkout_is_on_the_import_path_once() -> None:
    found = importlib.util.find_spec("pipeline")
    assert found is not None and found.origin is not None
    assert Path(found.origin).parents[1] == Path(__file__).resolve().parents[3]
