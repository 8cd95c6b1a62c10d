"""A forger who keeps chain and fold consistent: it rewrites state branches commit by commit.

A finished story is cloned once; each forgery changes facts, commits or files of the clones, is
audited, and is undone by putting every ref back.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from pipeline.audit import AuditReport, verify
from pipeline.git.commits import Commit, pipeline_signature
from pipeline.git.objects import MODE_FILE, RefUpdate, Signature, commit_object, objects_of_files
from pipeline.git.repository import GitRepository
from pipeline.models.facts import Fact, FactBody
from pipeline.models.status import DraftStatus
from pipeline.requests.layout import patch_path
from pipeline.state.facts import (
    fact_bytes,
    fold_one,
    hash_of,
    next_fact,
    parse_chain,
    status_bytes,
    status_path,
)
from tests.support import fact_history as history
from tests.support.deliveries import healthy_everywhere
from tests.support.fact_history import AGENT_ID, ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.finished_story import CODE, CONTROL, GITOPS, STATE
from tests.support.samples import DRAFT
from tests.support.story import SOURCE, Story, patch_of, story_at

Files = dict[str, tuple[int, bytes]]
OTHER = "acme/price-list"
PERSON = Signature("somebody", "1201+somebody@users.noreply.pipeline.invalid", 1_767_226_500)
REPOS = (CONTROL, CODE, GITOPS)
_ORIGIN = "refs/remotes/origin/"


@lru_cache(maxsize=1)
def _told() -> tuple[Path, tempfile.TemporaryDirectory[str]]:
    """The folder of the finished story, told once per process, and what keeps it."""
    folder = tempfile.TemporaryDirectory(prefix="pipeline-tests-forged-")
    root = Path(folder.name) / "world"
    world = story_at("scaffolded", root)
    world.write("0001", f"{SOURCE}/routing.py", "QUICK = 1\n")
    world.go()
    before = world.engine.facts(DRAFT)[2].body.commit  # type: ignore[union-attr]  # the scaffold
    content = patch_of(DRAFT, before, {f"{SOURCE}/routing.py": "SLOW = 1\n"})
    world.request(patch_path(DRAFT, "0002"), content, ENGINEER_ID)
    world.go()
    _tell_rest(world)
    world.close()
    return root, folder


def _tell_rest(world: Story) -> None:
    world.ask_for_draft(OTHER)
    world.go()
    world.ask(DRAFT, "dev", ENGINEER_ID)
    world.go()
    world.take_over()
    world.ask(DRAFT, "staging", RELEASE_MANAGERS[0])
    world.go()
    world.ask(DRAFT, "prod", RELEASE_MANAGERS[0], SECURITY_ID)
    world.go()
    seen = healthy_everywhere(world.engine.status(DRAFT))
    report = world.engine.run(tenants=["acme"], observations=seen)
    assert report.failures == ()
    other = world.engine.status(OTHER).pull_request
    assert other is not None
    world.forge.close_pull(CODE, other.number, actor=ENGINEER_ID)
    world.go()


def told_story(root: Path) -> Story:
    """A copy of the finished story, to continue."""
    shutil.copytree(_told()[0], root, symlinks=True)
    return Story.open(root)


@dataclass(frozen=True)
class Recorded:
    """One commit of the state branch, and primitive → number of facts after it, if it added any."""

    commit: Commit
    written: Mapping[str, int]


class Forger:
    """Clones of the finished story, and the means to rewrite all of them."""

    def __init__(self, folder: Path) -> None:
        source, _ = _told()
        self.folder = folder
        self.gits = {
            name: GitRepository.clone(
                str(source / "forge" / "ameide" / f"{name}.git"), folder / name
            )
            for name in REPOS
        }
        # Only what origin has, as in a fresh clone: a local branch would remember the true story.
        for git in self.gits.values():
            git._run("update-ref", "-d", "refs/heads/main")

    @classmethod
    def over(cls, gits: Mapping[str, GitRepository]) -> Forger:
        """A forger for existing clones."""
        made = cls.__new__(cls)
        made.gits = dict(gits)
        return made

    pipeline = pipeline_signature(1_767_226_600)

    def fetch_main(self, world: Story) -> None:
        """Fetch only the control repo's main into its clone."""
        git = self.gits[CONTROL]
        source = str(world.forge.path(CONTROL))
        refs = f"+refs/heads/main:{_ORIGIN}main"
        subprocess.run(["git", "-C", str(git.path), "fetch", "-q", source, refs], check=True)
        git.close()

    def close(self) -> None:
        """End the git processes."""
        for git in self.gits.values():
            git.close()

    def audit(self, without: Sequence[str] = (), **options: bool) -> AuditReport:
        """The audit report of these clones."""
        return verify(self.gits[CONTROL], self.gits.get, without=without, **options)

    @contextmanager
    def undone(self) -> Iterator[None]:
        """Every ref is put back when the block ends."""
        before = {name: git.read_refs(("refs/",)) for name, git in self.gits.items()}
        try:
            yield
        finally:
            for name, git in self.gits.items():
                now = git.read_refs(("refs/",))
                updates = [
                    RefUpdate(ref, now.get(ref), id)
                    for ref, id in before[name].items()
                    if now.get(ref) != id
                ]
                git.update_refs(updates)
                for ref in now.keys() - before[name].keys():
                    git._run("update-ref", "-d", ref)

    # -- any repository ------------------------------------------------------------------

    def head(self, repo: str, branch: str = "main") -> str:
        """The commit that origin's branch was last seen at."""
        found = self.gits[repo].resolve(_ORIGIN + branch)
        assert found is not None, f"{repo} has no {branch}"
        return found

    def put(self, repo: str, branch: str, commit: str) -> None:
        """Put origin's branch at a commit."""
        git = self.gits[repo]
        ref = _ORIGIN + branch
        git.update_refs([RefUpdate(ref, git.resolve(ref), commit)])

    def files(self, repo: str, commit: str = "") -> Files:
        """The files at a commit, or at the head of main."""
        return self.gits[repo].read_files(commit or self.head(repo))

    def commit(
        self,
        repo: str,
        files: Files,
        parents: Sequence[str],
        message: str = "Tidy up\n",
        signature: Signature = PERSON,
    ) -> str:
        """The id of a stored commit of these files."""
        objects = objects_of_files(files)
        made = commit_object(objects[-1].id, list(parents), message, signature, signature)
        self.gits[repo].write_objects([*objects, made])
        return made.id

    def add(
        self,
        repo: str,
        change: Callable[[Files], None],
        *,
        branch: str = "main",
        message: str = "Tidy up\n",
        signature: Signature = PERSON,
    ) -> str:
        """Add a commit to a branch that changes its files."""
        files = self.files(repo, self.head(repo, branch))
        change(files)
        made = self.commit(repo, files, [self.head(repo, branch)], message, signature)
        self.put(repo, branch, made)
        return made

    # -- the state branch ----------------------------------------------------------------

    def line(self) -> list[Recorded]:
        """The commits of the state branch with what each recorded, oldest first."""
        git, found = self.gits[CONTROL], []
        before: dict[str, int] = {}
        for commit in reversed(list(git.log_commits(self.head(CONTROL, STATE)))):
            count: dict[str, int] = {}
            for path in git.list_files(commit.id):
                parts = path.split("/")
                if parts[2] == "facts":
                    count[parts[1]] = count.get(parts[1], 0) + 1
            found.append(Recorded(commit, {p: n for p, n in count.items() if before.get(p) != n}))
            before = count
        return found

    def facts(self, draft: str = DRAFT) -> list[Fact]:
        """The facts of a draft."""
        primitive = draft.partition("/")[2]
        files = self.files(CONTROL, self.head(CONTROL, STATE))
        folder = f"drafts/{primitive}/facts"
        found = [history.FactFile(p, files[p][1]) for p in sorted(files) if p.startswith(folder)]
        return list(parse_chain(draft, found))

    def retell(
        self,
        change: Callable[[list[Fact]], list[Fact]],
        draft: str = DRAFT,
        *,
        without: Sequence[str] = (),
        edit: Callable[[int, Files], None] | None = None,
        message: Callable[[str], str] = lambda text: text,
    ) -> None:
        """Tell the state branch anew, in as many commits, with some facts of a draft changed.

        Every hash, status and trailer fits again. Drafts in `without` never were. `edit` changes
        the files of a commit by its number, `message` what the commits say.
        """
        chains = {d: f for d in (DRAFT, OTHER) if d not in without and (f := self.facts(d))}
        old = len(chains[draft])
        chains[draft] = change(chains[draft])
        told = {d: list(_chained(facts)) for d, facts in chains.items()}
        files: Files = {}
        parent: str | None = None
        for number, recorded in enumerate(self.line()):
            newest: dict[str, str] = {}
            for primitive, count in sorted(recorded.written.items()):
                name = f"acme/{primitive}"
                if name not in told:
                    continue
                # A longer or shorter chain ends in the commit that the old one ended in.
                count = len(told[name]) if name == draft and count == old else count
                for fact, status in told[name][:count]:
                    [file] = history.fact_files([fact])
                    files[file.path] = (MODE_FILE, file.content)
                    files[status_path(primitive)] = (MODE_FILE, status_bytes(status))
                    newest[name] = hash_of(fact_bytes(fact))
            if edit is not None:
                edit(number, files)
            if not newest and edit is None:
                continue
            commit = recorded.commit
            first = commit.message.partition("\nFact: ")[0]
            text = first + "".join(f"\nFact: {d} {h}" for d, h in sorted(newest.items())) + "\n"
            signature = pipeline_signature(commit.committer.time_s)
            parents = [parent] if parent else []
            parent = self.commit(CONTROL, dict(files), parents, message(text), signature)
        assert parent is not None
        self.put(CONTROL, STATE, parent)

    def retell_body(self, number: int, draft: str = DRAFT, **changes: object) -> None:
        """Rewrite the state branch with one fact's body changed."""

        def change(facts: list[Fact]) -> list[Fact]:
            body = facts[number - 1].body.model_copy(update=changes)
            return with_fact(facts, number, body=body)

        self.retell(change, draft)

    def retell_cause(self, number: int, draft: str = DRAFT, **changes: object) -> None:
        """Rewrite the state branch with one fact's cause changed."""

        def change(facts: list[Fact]) -> list[Fact]:
            cause = facts[number - 1].cause.model_copy(update=changes)
            return with_fact(facts, number, cause=cause)

        self.retell(change, draft)

    def body(self, number: int, draft: str = DRAFT) -> FactBody:
        """The body of a fact."""
        return self.facts(draft)[number - 1].body


def _chained(facts: Sequence[Fact]) -> Iterator[tuple[Fact, DraftStatus]]:
    status: DraftStatus | None = None
    for fact in facts:
        fact = next_fact(fact.draft, status, fact.cause, fact.body, decided_at=fact.decided_at)
        status = fold_one(status, fact)
        yield fact, status


def with_fact(facts: list[Fact], number: int, **changes: object) -> list[Fact]:
    """The facts with one of them changed."""
    changed = facts[number - 1].model_copy(update=changes)
    return [*facts[: number - 1], changed, *facts[number:]]


def numbers(facts: Sequence[Fact]) -> dict[str, int]:
    """Type (and environment or patch) of a fact → its number."""
    found: dict[str, int] = {}
    for fact in facts:
        body = fact.body
        more = getattr(body, "environment", "") or getattr(body, "patch", "")
        found[f"{body.type} {more}".strip()] = fact.sequence
    return found


__all__ = ["AGENT_ID", "Forger", "Recorded", "numbers", "told_story", "with_fact"]
