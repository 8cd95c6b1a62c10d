"""`make demo-github`: the demo's story against a GitHub on 127.0.0.1.

Every command talks to it as to any GitHub: PyGithub for the API, git over HTTP, the pipeline as an
App with installation tokens, everybody else with a token of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from pipeline.cli.main import main as run_command
from pipeline.demo.main import run_demo
from pipeline.demo.setting import platform_of
from pipeline.errors import PipelineError
from worlds.github_server import GitHubServer
from worlds.github_setting import GithubSetting

ROOT = Path(__file__).resolve().parents[3]


def main() -> int:
    """Tell the story; returns the exit code of the first command that failed."""
    console = Console(highlight=False)
    root = ROOT / ".demo-github"
    servers: list[GitHubServer] = []

    def make(root: Path, shown: str, files: Mapping[str, bytes]) -> GithubSetting:
        server = GitHubServer(root / "github")
        server.__enter__()
        servers.append(server)
        return GithubSetting(server, root, platform_of(files)).begin(files)

    try:
        run_demo(root, run_command, console, make)
        server = servers[0]
        console.print(
            f"{len(server.log)} calls of GitHub's API and of git, every answer held against "
            "GitHub's own description of its API."
        )
        server.__exit__(None, None, None)
    except PipelineError as error:
        console.print(f"error[{error.code}]: {error.message}", style="red")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
