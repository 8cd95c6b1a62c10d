"""A finished story in a local forge, made by the real engine, and the tools to falsify it.

Charts, checks and images come from small doubles, so the story takes seconds; everything that an
audit reads (control repo, facts, sources, overlays) is real git.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from pipeline.audit import AuditReport, verify
from pipeline.control.repo import Control
from pipeline.documents import render_document
from pipeline.engine.engine import Engine
from pipeline.engine.opening import attest_here
from pipeline.engine.tools import Tools
from pipeline.forges.local.forge import LocalForge
from pipeline.forges.port import ReviewVerdict
from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import MODE_FILE, RefUpdate, Signature, commit_object, objects_of_files
from pipeline.git.repository import GitRepository
from pipeline.images.attesting import Attest, claim_of
from pipeline.images.port import Source
from pipeline.images.provenance import with_bundle
from pipeline.models.base import ImageDigest
from pipeline.models.evidence import BuildRecord, CheckOutcome, CheckReport, CheckResult
from pipeline.models.requests import EnvironmentName
from pipeline.plan.effects import RunChecks
from pipeline.releases.overlays import Overlay, render_base
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path, patch_path, promotion_path
from pipeline.requests.snapshot import Snapshot
from pipeline.world.hydrate import Hydrator
from tests.support import fact_history as history
from tests.support.samples import DRAFT, sample_files, templates
from worlds.control_repo import create_control, still_clock

ORGANISATION, CONTROL = "ameide", "control"
CODE, GITOPS = "tenant-acme-controllers", "tenant-acme-gitops"
STATE = "state/acme"
_TIME_S = 1_767_225_700
_PERSON = Signature("somebody", "1201+somebody@users.noreply.pipeline.invalid", _TIME_S)


class PlainHydrator(Hydrator):
    """Gives two plain objects for any chart, and finds nothing in an overlay."""

    def read_base(
        self,
        source_tree: str,
        source: Mapping[str, bytes],
        *,
        release: str,
        image: str,
        kubernetes_version: str,
    ) -> dict[str, bytes]:
        """Objects that name the image and the source tree."""
        return render_base(
            {
                "deployment.yaml": f"kind: Deployment\nimage: {image}\n".encode(),
                "service.yaml": f"kind: Service\nname: {release}\n".encode(),
            }
        )

    def read_findings(self, overlay: Overlay, image: str) -> tuple[()]:
        """Nothing."""
        return ()


@dataclass(frozen=True)
class WordBuilder:
    """Gives each source tree its own digest without building anything, and signs it."""

    attest: Attest

    def build(self, source: Source) -> BuildRecord:
        """The record of an image of the tree."""
        digest = ImageDigest(history.digest_of(source.tree))
        claim, _ = claim_of(source, "source-layout", digest)
        return with_bundle(claim.record, self.attest(claim))


def all_checks_pass(effect: RunChecks, files: dict[str, tuple[int, bytes]]) -> CheckReport:
    """A report in which every required check passed."""
    results = tuple(
        CheckResult(name=name, outcome=CheckOutcome.PASSED, tool="checker 1.0", summary="passed")
        for name in effect.names
    )
    return CheckReport.model_validate(
        {"commit": effect.commit, "tree": effect.tree, "results": results}
    )


def no_secrets(files: Mapping[str, bytes]) -> list[str]:
    """The result of a scan that finds nothing."""
    return []


def one_builder(snapshot: Snapshot) -> WordBuilder:
    """The builder of this world."""
    return WordBuilder(attest_here(snapshot, Path()))


def doubles() -> dict[str, Any]:
    """Quick doubles of the tools that build, check, scan and render."""
    return {
        "make_builder": one_builder,
        "run_checks": all_checks_pass,
        "scan_secrets": no_secrets,
        "hydrator": PlainHydrator(),
    }


@dataclass
class StoryWorld:
    """A forge with the control repo in it, an engine over both, and what people do there.

    What a story does with it stands in functions and classes that hold a world: the finished story
    below, `story.Story`, the steps of `sweep`. None of them is a kind of world.
    """

    root: Path
    forge: LocalForge
    engine: Engine
    numbers: list[int] = field(default_factory=list)

    @classmethod
    def open(cls, root: Path) -> StoryWorld:
        """The world that lies below `root`."""
        forge = LocalForge(root / "forge", ORGANISATION, still_clock)
        control = Control(root / "control", GitRepository(root / "control"), forge, CONTROL)
        tools = Tools(**doubles(), templates=templates(), run_id="run-1", clock=still_clock)
        engine = Engine(control, tools)
        return cls(root, forge, engine, [pull.number for pull in forge.read_pulls(CONTROL)])

    def use(self, **tools: Any) -> None:
        """Replace these tools from here on."""
        self.engine = self.engine.using(**tools)

    def close(self) -> None:
        """End every git process of this world."""
        self.forge.close()
        self.engine.control.git.close()

    def propose(self, changes: Mapping[str, bytes | None], asker: int) -> int:
        """The number of an open pull request that changes these files on main; None deletes one."""
        git = self.forge.open_repository(CONTROL)
        main = git.resolve("refs/heads/main")
        assert main is not None
        files = git.read_files(main)
        for path, content in changes.items():
            if content is None:
                del files[path]
            else:
                files[path] = (MODE_FILE, content)
        branch = f"ask/{len(self.numbers) + 1}"
        objects = objects_of_files(files)
        title = f"Ask for {', '.join(changes)}"
        email = f"{asker}@users.noreply.pipeline.invalid"
        signature = Signature("somebody", email, _TIME_S)
        commit = commit_object(objects[-1].id, [main], f"{title}\n", signature, signature)
        update = RefUpdate(f"refs/heads/{branch}", None, commit.id)
        self.forge.push(CONTROL, [*objects, commit], (update,), actor=asker)
        pull = self.forge.open_pull(
            CONTROL,
            head_branch=branch,
            base_branch="main",
            title=title,
            body="",
            actor=asker,
        )
        self.numbers.append(pull.number)
        return pull.number

    def request(
        self,
        path: str,
        content: bytes,
        *approvers: int,
        asker: int = history.AGENT_ID,
        at_s: int | None = None,
    ) -> int:
        """The number of the merged pull request by which a bot asked; `at_s` dates the merge."""
        pull = self.forge.read_pull(CONTROL, self.propose({path: content}, asker))
        branch = pull.head_branch
        for user in approvers:
            self.forge.submit_review(
                CONTROL,
                pull.number,
                commit=pull.head,
                verdict=ReviewVerdict.APPROVED,
                body="",
                actor=user,
            )
        self.forge.merge_pull(
            CONTROL,
            pull.number,
            expected_head=pull.head,
            message=f"Merge {branch}\n",
            time_s=at_s or _TIME_S + len(self.numbers) - 1,
            actor=approvers[0],
        )
        return pull.number

    def approve(self, repo: str, number: int, user: int) -> None:
        """Approve the newest revision of a pull request."""
        pull = self.forge.read_pull(repo, number)
        self.forge.submit_review(
            repo, number, commit=pull.head, verdict=ReviewVerdict.APPROVED, body="", actor=user
        )

    def merge(self, repo: str, number: int, user: int) -> None:
        """Merge a pull request at its newest revision."""
        pull = self.forge.read_pull(repo, number)
        self.forge.merge_pull(
            repo,
            number,
            expected_head=pull.head,
            message="Take it over\n",
            time_s=1_767_226_000,
            actor=user,
        )


# -- the finished story, step by step ---------------------------------------------------------


def run_acme(world: StoryWorld) -> None:
    """Run everything that is due for acme."""
    report = world.engine.run(tenants=["acme"])
    assert report.failures == () and report.findings == (), report


def patch_file(world: StoryWorld, number: str, path: str, content: str) -> None:
    """Ask for one file to be written, against the draft's head, and run."""
    request = patch_of(DRAFT, world.engine.status(DRAFT).head, {path: content})
    world.request(patch_path(DRAFT, number), request, history.ENGINEER_ID)
    run_acme(world)


def promote(world: StoryWorld, environment: EnvironmentName, *approvers: int) -> None:
    """Ask for the release to run in an environment, approve it, and run."""
    world.request(
        promotion_path(DRAFT, environment), promotion_of(world, DRAFT, environment), *approvers
    )
    run_acme(world)


def patch_of(draft: str, base: str, files: Mapping[str, str], summary: str | None = None) -> bytes:
    """The request of a patch that writes whole files."""
    value = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "DraftPatch",
        "draft": draft,
        "base_commit": base,
        "summary": summary or f"Write {', '.join(files)}",
        "changes": [{"op": "write", "path": p, "content": c} for p, c in files.items()],
    }
    return render_document(value)


def promotion_of(world: StoryWorld, draft: str, environment: EnvironmentName) -> bytes:
    """The request to run a draft's release in an environment, as the engine proposes it."""
    proposal = world.engine.propose_promotion(draft, environment, reason="Peak season")
    value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
    return render_document(value)


@lru_cache(maxsize=1)
def _told() -> tuple[Path, tempfile.TemporaryDirectory[str]]:
    """The folder of the finished story, told once per process, and what keeps it."""
    folder = tempfile.TemporaryDirectory(prefix="pipeline-tests-story-")
    root = Path(folder.name) / "world"
    root.mkdir()
    files = {path: content for path, content in sample_files().items() if "/drafts/" not in path}
    create_control(root, files)
    world = StoryWorld.open(root)
    world.request(draft_path(DRAFT), draft_example().encode(), history.ENGINEER_ID)
    run_acme(world)
    patch_file(world, "0001", "src/routing.py", "x = 1\n")
    promote(world, "dev", history.ENGINEER_ID)
    world.approve(CODE, 1, history.ENGINEER_ID)
    world.merge(CODE, 1, history.ENGINEER_ID)
    promote(world, "staging", history.RELEASE_MANAGERS[0])
    promote(world, "prod", history.RELEASE_MANAGERS[0], history.SECURITY_ID)
    assert world.engine.status(DRAFT).state == "PROMOTED_PROD"
    world.close()
    return root, folder


def tell_story(root: Path) -> StoryWorld:
    """A world in which `acme/order-router` went from a draft to production."""
    shutil.copytree(_told()[0], root, symlinks=True)
    return StoryWorld.open(root)


def copy_of(world: StoryWorld, folder: Path) -> StoryWorld:
    """A copy of the world, to falsify."""
    world.forge.close()
    shutil.copytree(world.root, folder, symlinks=True)
    return StoryWorld.open(folder)


def audit(world: StoryWorld, *others: str) -> AuditReport:
    """The audit report of fresh clones of the world's repositories; `others` are further ones."""
    with tempfile.TemporaryDirectory() as folder:
        clones = {
            name: GitRepository.clone(str(world.forge.path(name)), Path(folder) / name)
            for name in (CONTROL, CODE, GITOPS, *others)
            if world.forge.path(name).is_dir()
        }
        report = verify(clones[CONTROL], clones.get)
        for git in clones.values():
            git.close()
    assert report.replayed == report.decisions or report.findings, report
    return report


# -- falsifying: straight into the repository, past every branch rule -----------------------


def write_commit(
    git: GitRepository,
    files: Mapping[str, tuple[int, bytes]],
    parent: str | None,
    message: str,
    signature: Signature = _PERSON,
) -> str:
    """The id of a commit of these files, stored but on no branch."""
    objects = objects_of_files(files)
    parents = [parent] if parent else []
    commit = commit_object(objects[-1].id, parents, message, signature, signature)
    git.write_objects([*objects, commit])
    return commit.id


def move(git: GitRepository, branch: str, commit: str) -> None:
    """Move a branch to a commit, wherever it was."""
    ref = f"refs/heads/{branch}"
    git.update_refs([RefUpdate(ref, git.resolve(ref), commit)])


def rewrite(
    world: StoryWorld,
    repo: str,
    branch: str,
    change: Callable[[dict[str, tuple[int, bytes]]], None],
    *,
    by_pipeline: bool = True,
    keep_parents: bool = True,
) -> None:
    """Change the files at a branch's head: amend the commit, or add a person's commit."""
    git = GitRepository(world.forge.path(repo))
    head = git.resolve(f"refs/heads/{branch}")
    assert head is not None
    files = git.read_files(head)
    change(files)
    old = git.read_commit(head)
    if by_pipeline:
        parent = old.parents[0] if old.parents and keep_parents else None
        signature = pipeline_signature(old.committer.time_s)
        commit = write_commit(git, files, parent, old.message, signature)
    else:
        commit = write_commit(git, files, head, "Tidy up\n")
    move(git, branch, commit)
    git.close()


def replace_in(path: str, old: bytes, new: bytes) -> Callable[[dict[str, tuple[int, bytes]]], None]:
    """A change of one file, which must contain `old`."""

    def change(files: dict[str, tuple[int, bytes]]) -> None:
        mode, content = files[path]
        assert old in content, f"{path} does not hold {old!r}"
        files[path] = (mode, content.replace(old, new))

    return change
