"""A GitHub on 127.0.0.1 with a local forge's content, and the cost of runs on it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.measure import BenchFailure
from pipeline.demo.setting import START_TIME_S, platform_of
from pipeline.forges.github.rulesets import rulesets_of
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.local.journal import JOURNAL_REF, read_journal
from pipeline.forges.port import PullState, ReviewVerdict
from pipeline.git.objects import MODE_FILE, RefUpdate, Signature, commit_object, objects_of_files
from pipeline.models.requests import Platform
from pipeline.names import state_branch
from pipeline.state.facts import parse_status
from worlds import PIPELINE, requests
from worlds.github_server import GitHubServer
from worlds.github_server.state import Account, Pull, Repository, Ruleset
from worlds.github_setting import APP_ID, GithubSetting

# One request to a distant GitHub.
DELAY_S = 0.05
_CALLS = re.compile(r"(\d+) calls of GitHub \(.*\), (\d+) of git")


@dataclass(frozen=True, slots=True)
class Cost:
    """One run's calls of the API, and of git."""

    calls: int
    git: int


@dataclass
class BenchGithub:
    """A server over a world, and the pipeline's credential for it."""

    server: GitHubServer
    world: Path
    platform: Platform
    environment: Mapping[str, str]
    setting: GithubSetting

    def run(self) -> Cost:
        """The calls that one run reports, with the cache of the run before."""
        done = subprocess.run(
            [PIPELINE, "-C", str(self.world / "control"), "run"],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )
        found = _CALLS.search(done.stderr)
        if done.returncode != 0 or found is None:
            raise BenchFailure(f"pipeline run\n{done.stdout[-1000:]}{done.stderr[-1000:]}")
        return Cost(int(found[1]), int(found[2]))

    def scaffolded(self) -> int:
        """The number of drafts with a branch of code, by the server's state branches."""
        forge = LocalForge(self.server.state.folder, self.platform.organisation)
        git = forge.open_repository(self.platform.repos.control)
        heads = git.read_refs((f"refs/heads/{state_branch('')}",)).values()
        found = [
            parse_status(content).branch_name
            for head in heads
            for path, (_, content) in git.read_files(head).items()
            if path.endswith("/status.yaml")
        ]
        forge.close()
        return sum(map(bool, found))

    def ask(self, tenants: int, number: int) -> None:
        """Bring one more draft for each of these tenants to main, by a reviewed pull request."""
        name, branch, delay_s = self.platform.repos.control, f"ask/{number}", self.server.delay_s
        owner, other, *_ = (a for a in self.platform.accounts if requests.PEOPLE in a.teams)
        self.server.delay_s = 0
        asking = self.setting.open_forge(owner.login)
        git = asking.open_repository(name)
        view = asking.read_repo(name)
        assert view is not None and view.head is not None  # the world has it
        files = git.read_files(view.head)
        for tenant in map(requests.tenant_name, range(tenants)):
            path, content = requests.draft_file(tenant, requests.draft_name(number))
            files[path] = (MODE_FILE, content)
        objects = objects_of_files(files)
        email = f"{owner.id}+{owner.login}@users.noreply.pipeline.invalid"
        me = Signature(owner.login, email, START_TIME_S)
        commit = commit_object(objects[-1].id, [view.head], "Ask\n", me, me)
        update = RefUpdate(f"refs/heads/{branch}", None, commit.id)
        asking.push(name, [*objects, commit], (update,), actor=owner.id)
        pull = asking.open_pull(
            name, head_branch=branch, base_branch="main", title="Ask", body="", actor=owner.id
        )
        asking.close()
        approving = self.setting.open_forge(other.login)
        approving.submit_review(
            name,
            pull.number,
            commit=commit.id,
            verdict=ReviewVerdict.APPROVED,
            body="",
            actor=other.id,
        )
        approving.merge_pull(
            name,
            pull.number,
            expected_head=commit.id,
            message="Ask\n",
            time_s=START_TIME_S,
            actor=other.id,
        )
        approving.close()
        self.server.delay_s = delay_s


@contextmanager
def serve(world: Path, *, delay_s: float = DELAY_S) -> Iterator[BenchGithub]:
    """A GitHub with the content of the world's local forge."""
    platform = platform_of(requests.policy_files())
    with GitHubServer(world / "github", validate=False) as server:
        setting = GithubSetting(server, world, platform)
        setting.add_accounts()
        bot = server.state.accounts[platform.pipeline_account.id]
        forge = LocalForge(world / "forge", platform.organisation)
        for path in sorted((world / "forge" / platform.organisation).glob("*.git")):
            _take_over(server, forge, path, bot)
        forge.close()
        origin = setting.address(platform.repos.control)
        subprocess.run(
            ["git", "-C", str(world / "control"), "remote", "set-url", "origin", origin], check=True
        )
        server.delay_s = delay_s
        yield BenchGithub(server, world, platform, setting.credential(None)[1], setting)


def _take_over(server: GitHubServer, forge: LocalForge, source: Path, bot: Account) -> None:
    state, name = server.state, source.stem
    owner = state.account_named(forge.organisation)
    assert owner is not None
    path = state.folder / owner.login / f"{name}.git"
    shutil.copytree(source, path, symlinks=True, ignore=shutil.ignore_patterns("hooks"))
    with (path / "config").open("a", encoding="utf-8") as config:
        config.write("[uploadpack]\n\tallowReachableSHA1InWant = true\n\tallowFilter = true\n")
        config.write("[http]\n\treceivepack = true\n[receive]\n\tadvertiseAtomic = true\n")
    now = state.now()
    made = Repository(state.number(), owner, name, path, None, True, "main", now, now, now)
    for pull in forge.read_pulls(name):
        made.pulls[pull.number] = Pull(
            id=state.number(),
            number=pull.number,
            account=bot,
            title=pull.title,
            body=pull.body,
            head_branch=pull.head_branch,
            head=pull.head,
            base_branch=pull.base_branch,
            base="",
            created=now,
            updated=now,
            last_pusher=bot.id,
            state="open" if pull.state is PullState.OPEN else "closed",
        )
    for ruleset in rulesets_of(forge.read_rules(name), {bot.id: APP_ID}):
        number, names = state.number(), ruleset["conditions"]["ref_name"]
        made.rulesets[number] = Ruleset(
            id=number,
            name=ruleset["name"],
            enforcement=ruleset["enforcement"],
            bypass_actors=ruleset["bypass_actors"],
            include=names["include"],
            exclude=names["exclude"],
            rules=ruleset["rules"],
            created=now,
            updated=now,
        )
    git = forge.open_repository(name)
    made.description = read_journal(git, JOURNAL_REF).description
    state.repositories[owner.login.lower(), name.lower()] = made
