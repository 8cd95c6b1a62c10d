"""The worlds that attacks run in: a story on the local forge, or the same story on GitHub."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.git.repository import GitRepository
from tests.support.finished_story import CONTROL
from tests.support.github_story import github_story
from tests.support.github_sweep import FIRST_MERGE_S, keep, put_back
from tests.support.samples import sample_platform
from tests.support.story import STAGES, Story, everything, policy_files, story_at
from worlds.github_server import GitHubServer
from worlds.github_setting import GithubSetting

# Whom attacks name. Numbers stand for accounts that policy does not know.
LOGINS = {account.login.removesuffix("[bot]"): account.id for account in sample_platform().accounts}


def account_of(who: str | int) -> int:
    """The id of an account, by its login in the samples."""
    return who if isinstance(who, int) else LOGINS[who]


@dataclass
class AttackWorld:
    """A story under attack, and what was observed."""

    story: Story
    folder: Path  # of the attack: files that it brings
    scratch: Path
    reopen: Callable[[], Story]
    refs: Callable[[], Mapping[str, str]]  # `repo ref` → commit, of all repositories
    pull: int = 0  # the pull request of the control repo that was opened last
    pulls: dict[str, int] = field(default_factory=dict)  # those with a name
    repo: str = CONTROL  # where `pull` is
    seen: dict[str, list[str]] = field(default_factory=dict)  # where → codes
    told: list[str] = field(default_factory=list)
    moved: dict[str, tuple[str | None, str | None]] = field(default_factory=dict)  # by runs
    recorded: dict[str, list[str]] = field(default_factory=dict)  # draft → kinds of facts
    kept: dict[str, str] = field(default_factory=dict)  # refs that were remembered
    clones: Path | None = None
    undone: ExitStack = field(default_factory=ExitStack)  # once the attack is over

    def see(self, where: str, code: str, message: str) -> None:
        """Note a refusal or a finding."""
        self.seen.setdefault(where, []).append(code)
        self.told.append(f"{where}: {code}: {message}")

    def git(self, repo: str = CONTROL) -> GitRepository:
        """The git adapter of a repository."""
        return self.story.forge.open_repository(repo)

    def main(self, repo: str = CONTROL) -> str:
        """The head of main."""
        view = self.story.forge.read_repo(repo)
        assert view is not None and view.head is not None
        return view.head


@contextmanager
def local_world(
    stage: str, policy: Mapping[str, bytes], folder: Path, scratch: Path
) -> Iterator[AttackWorld]:
    """A copy of the local story at a stage; told anew if its first commit differs."""
    root = scratch / "world"
    if policy:
        story = Story.begin(root, policy)
        for name in list(STAGES)[: list(STAGES).index(stage) + 1]:
            STAGES[name](story)
    else:
        story = story_at(stage, root)
    world = AttackWorld(story, folder, scratch, lambda: Story.open(root), lambda: everything(root))
    try:
        yield world
    finally:
        world.story.close()


class GithubWorlds:
    """One GitHub, with the story kept at each stage that was needed."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self.server = GitHubServer(root / "server")
        self.server.__enter__()
        self._kept: dict[str, Path] = {}

    def close(self) -> None:
        """Stop it; raises if an answer did not fit GitHub's."""
        self.server.__exit__(None, None, None)

    def _keep(self, stage: str) -> Path:
        if stage not in self._kept:
            names = list(STAGES)
            before = names.index(stage) - 1
            live = Path(tempfile.mkdtemp(prefix=f"{before + 1}-", dir=self._root)) / "live"
            if before < 0:
                live.mkdir()
                self.server.state.first_merge_s = FIRST_MERGE_S
                GithubSetting(self.server, live, sample_platform()).begin(policy_files())
            else:
                put_back(self.server, self._keep(names[before]), live)
            world = github_story(self.server, live)
            STAGES[stage](world)
            world.close()
            self._kept[stage] = live.parent / "kept"
            keep(self.server, live, self._kept[stage])
            shutil.rmtree(live)
        return self._kept[stage]

    @contextmanager
    def world(self, stage: str, folder: Path, scratch: Path) -> Iterator[AttackWorld]:
        """A copy of the story at a stage."""
        root = scratch / "world"
        put_back(self.server, self._keep(stage), root)
        story = github_story(self.server, root)
        world = AttackWorld(
            story, folder, scratch, lambda: github_story(self.server, root), self._refs
        )
        try:
            yield world
        finally:
            world.story.close()

    def _refs(self) -> dict[str, str]:
        return {
            f"{repository.name} {ref}": commit
            for repository in self.server.state.repositories.values()
            for ref, commit in repository.refs("refs/heads/").items()
        }
