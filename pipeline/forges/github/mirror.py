"""Git over https: a bare copy of each repository in the cache, fetched from and pushed through.

Objects go by `git push`, two requests whatever their number; GitHub's Git data API takes one for
each blob, tree and commit, and counts each as a write (a scaffold of 79 files: 2 requests instead
of over 80; PUSH_MEASURED). All refs of a push move at once, each by compare-and-swap against the
commit that was planned on (`--atomic`, `--force-with-lease`).

The token is in the environment of the one git process that needs it, in no file and on no command
line. A copy is only a cache: it is safe to delete, and what it holds is known by its hash.
"""

from __future__ import annotations

import base64
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ForgeRefused, GitFailed, NotFound, StalePlan
from pipeline.forges.github.client import ApiCost, Unavailable
from pipeline.forges.github.credentials import TokenSource
from pipeline.forges.port import RefUpdate
from pipeline.gitcli import GitRepository
from pipeline.gitprocess import in_repository, run_git

TRIES = 5
_HEADS = "refs/heads/"
_RESULT = re.compile(r"([ +\-*=!])\t([^:]*):([^\t]*)\t(.*)")
_MISSING = re.compile(r"not found|returned error: 404|Repository not found", re.IGNORECASE)
_TOKEN = re.compile(r"returned error: 401|Authentication failed|could not read Username")
_MOVED = re.compile(
    r"stale info|fetch first|non-fast-forward|cannot lock ref|failed to update ref|already exists"
    r"|incorrect old value"
)
_ATOMIC = "atomic"


class PushRefused(ForgeRefused):
    """A push that the forge's rules do not allow."""


@dataclass
class Mirror:
    """The copy of one repository."""

    path: Path
    url: str
    name: str
    source: TokenSource
    cost: ApiCost
    sleep: Callable[[float], None] = time.sleep

    def open(self) -> GitRepository:
        """The copy, made empty if there is none yet."""
        if not (self.path / "HEAD").exists():
            self.path.parent.mkdir(parents=True, exist_ok=True)
            building = Path(tempfile.mkdtemp(prefix=f".{self.path.stem}-", dir=self.path.parent))
            GitRepository.init_bare(building).close()
            try:
                building.rename(self.path)
            except OSError:
                shutil.rmtree(building, ignore_errors=True)
        return GitRepository(self.path)

    def read_refs(self) -> tuple[str, dict[str, str]]:
        """The ref that HEAD names (empty if none) and all branches: full name → commit.

        Raises NotFound, ForgeRefused, Unavailable.
        """
        self.open().close()
        head, found = "", {}
        for line in self._read("ls-remote", "--symref", specs=("HEAD", f"{_HEADS}*")):
            told, _, name = line.partition("\t")
            if told.startswith("ref: ") and name == "HEAD":
                head = told.removeprefix("ref: ")
            elif name.startswith(_HEADS):
                found[name] = told
        return head, found

    def fetch(self) -> None:
        """Bring the copy's branches to where the forge has them. Raises as `read_refs`."""
        options = ("-q", "--no-tags", "--prune", "--no-write-fetch-head")
        self._read("fetch", *options, specs=(f"+{_HEADS}*:{_HEADS}*",))

    def _read(self, command: str, *options: str, specs: Iterable[str]) -> list[str]:
        for number in range(TRIES):
            if number:
                self.sleep(0.2 * 2**number)
            try:
                return self._git(command, *options, specs=specs)
            except GitFailed as failed:
                said = failed.message
                if _MISSING.search(said):
                    raise NotFound(f"GitHub has no repository `{self.name}`") from failed
                if _TOKEN.search(said) and not self.source.renew():
                    raise ForgeRefused(
                        f"GitHub gives `{self.name}` to no such token",
                        help="the App needs the permission `contents` on it",
                    ) from failed
        raise Unavailable(f"`{self.name}` cannot be read from GitHub: {said}")

    def push(self, updates: Iterable[RefUpdate]) -> None:
        """Move all refs at once, whose objects the copy has; each from its old value.

        One that is at its new value already is fine, so a push whose answer was lost is simply
        repeated. Raises StalePlan for a ref that is elsewhere, PushRefused, NotFound, Unavailable.
        """
        wanted = list(updates)
        leases = [f"--force-with-lease={u.ref}:{u.old or ''}" for u in wanted]
        specs = [f"{u.new}:{u.ref}" for u in wanted]
        said = ""
        for number in range(TRIES):
            if number:
                self.sleep(0.2 * 2**number)
            try:
                done = self._git(
                    "push", "--porcelain", "--atomic", "--no-verify", *leases, specs=specs
                )
            except GitFailed as failed:
                said = failed.message
                if _MISSING.search(said):
                    raise NotFound(f"GitHub has no repository `{self.name}`") from failed
                if _TOKEN.search(said) and not self.source.renew():
                    raise ForgeRefused(
                        f"GitHub lets no such token write to `{self.name}`",
                        help="the App needs the permission `contents: write` on it",
                    ) from failed
                continue
            refused = [found for found in map(_RESULT.match, done) if found and found[1] == "!"]
            if not refused:
                return
            self._refuse(refused, done)
        raise Unavailable(
            f"`{self.name}` cannot be pushed to on GitHub: {said}",
            help="run it again: a push that happened is found",
        )

    def _refuse(self, refused: list[re.Match[str]], lines: list[str]) -> None:
        reasons = [(found[3], found[4]) for found in refused if _ATOMIC not in found[4]]
        for ref, reason in reasons:
            if _MOVED.search(reason):
                raise StalePlan(f"{ref} of `{self.name}` moved: {reason}")
        remote = [line.removeprefix("remote: ") for line in lines if line.startswith("remote:")]
        ref, reason = reasons[0] if reasons else (refused[0][3], refused[0][4])
        raise PushRefused(f"`{self.name}` refuses {ref}: {' '.join(remote).strip() or reason}")

    def _git(self, command: str, *options: str, specs: Iterable[str]) -> list[str]:
        self.cost.git += 1
        done = run_git(
            [*in_repository(self.path), command, *options, "--end-of-options", self.url, *specs],
            name=self.name,
            accept=(0, 1),
            protocols="http:https",
            environment=self._authorised(),
        )
        lines = done.stdout.decode("utf-8", "replace").splitlines()
        errors = done.stderr.decode("utf-8", "replace").splitlines()
        if done.returncode and not any(_RESULT.match(line) for line in lines):
            raise GitFailed(f"git {command} failed in {self.name}: {' '.join(errors[-3:])}")
        return [*lines, *errors]

    def _authorised(self) -> Mapping[str, str]:
        """git's configuration of one process, by its environment: the token for this address."""
        pair = base64.b64encode(f"x-access-token:{self.source.token()}".encode()).decode()
        settings = {
            f"http.{self.url}.extraHeader": f"Authorization: Basic {pair}",
            "http.followRedirects": "false",
            "http.lowSpeedLimit": "1000",
            "http.lowSpeedTime": "30",
            "credential.helper": "",
        }
        made = {"GIT_CONFIG_COUNT": str(len(settings))}
        for number, (key, value) in enumerate(settings.items()):
            made |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return made
