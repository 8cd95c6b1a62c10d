"""A forger who keeps chain, fold, trailers and overlays consistent, for attacks on the audit.

It writes straight into the repositories' folders, in the pipeline's name.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable

from pipeline.git.commits import pipeline_signature, render_trailers
from pipeline.git.objects import MODE_FILE
from pipeline.git.process import git_environment
from pipeline.git.repository import GitRepository
from pipeline.models.draft_state import STATE_OF_STAGE
from pipeline.models.facts import Cause, Fact, Promoted
from pipeline.models.requests import EnvironmentName
from pipeline.models.status import DraftStatus
from pipeline.releases.overlays import render_overlay
from pipeline.state.facts import (
    fact_bytes,
    fact_path,
    fold_one,
    hash_of,
    next_fact,
    status_bytes,
    status_path,
)
from tests.attacks.disk import clone_all
from tests.attacks.steps import TIME_S
from tests.attacks.worlds import AttackWorld
from tests.support.finished_story import CONTROL, GITOPS, STATE, PlainHydrator, move, write_commit
from tests.support.samples import DRAFT, sample_environment, sample_platform, sample_tenant
from tests.support.state_writer import Forger

PRIMITIVE = DRAFT.split("/")[1]


def _write(
    world: AttackWorld,
    repo: str,
    branch: str,
    change: Callable[[dict[str, tuple[int, bytes]]], None],
    message: str,
) -> str:
    """The commit of a branch after its files were changed, in the pipeline's name."""
    git = GitRepository(world.story.forge.path(repo))
    head = git.resolve(f"refs/heads/{branch}")
    assert head is not None
    files = git.read_files(head)
    change(files)
    commit = write_commit(git, files, head, message, pipeline_signature(TIME_S))
    move(git, branch, commit)
    git.close()
    return commit


def _record(world: AttackWorld, facts: tuple[Fact, ...], status: DraftStatus) -> None:
    """Write these facts and their fold to the state branch."""

    def change(files: dict[str, tuple[int, bytes]]) -> None:
        for path in [path for path in files if path.startswith(f"drafts/{PRIMITIVE}/")]:
            del files[path]
        for fact in facts:
            path = fact_path(PRIMITIVE, fact.sequence, fact.body.type)
            files[path] = (MODE_FILE, fact_bytes(fact))
        files[status_path(PRIMITIVE)] = (MODE_FILE, status_bytes(status))

    newest = hash_of(fact_bytes(facts[-1]))
    trailers = render_trailers((("Key", "0" * 16), ("Fact", f"{DRAFT} {newest}")))
    _write(world, CONTROL, STATE, change, f"Record\n\n{trailers}")


def _cause_of(world: AttackWorld, facts: tuple[Fact, ...], environment: str) -> Cause:
    """The cause of a promotion to an environment; made up if nobody asked."""
    for fact in facts:
        if isinstance(fact.body, Promoted) and fact.body.environment == environment:
            return fact.cause
    engine = world.story.engine
    for loaded in engine.snapshot().promotions_of(DRAFT):
        if loaded.meaning.name == environment:
            return engine.world().causes.of(loaded.path, loaded.blob).cause
    known = next(f for f in reversed(facts) if isinstance(f.body, Promoted))
    request = known.cause.request.replace(f"/{known.body.environment}.", f"/{environment}.")
    return known.cause.model_copy(update={"request": request})


def forge_promotion(
    world: AttackWorld,
    environment: EnvironmentName,
    *,
    approved_by: tuple[int, ...],
    cause_of: str = "",
    digest: str = "",
    namespace: str = "",
) -> None:
    """Record a promotion to an environment: facts, status and GitOps repository agree."""
    facts, status = world.story.engine.facts(DRAFT), world.story.engine.status(DRAFT)
    before = next(f.body for f in reversed(facts) if isinstance(f.body, Promoted))
    release = before.release.model_copy(update={"digest": digest or before.release.digest})
    base = PlainHydrator().read_base(
        release.source_tree,
        {},
        release=status.instance,
        image=f"{status.image}@{before.release.digest}",
        kubernetes_version="",
    )
    overlay = render_overlay(
        status,
        sample_tenant("acme"),
        sample_platform(),
        sample_environment(environment),
        release,
        base,
    )
    place = namespace or overlay.namespace
    newest = hash_of(fact_bytes(facts[-1]))
    cause = _cause_of(world, facts, cause_of or environment)

    def change(files: dict[str, tuple[int, bytes]]) -> None:
        for path, content in overlay.files.items():
            written = content.replace(overlay.namespace.encode(), place.encode())
            files[f"{overlay.folder}/{path}"] = (MODE_FILE, written)

    trailers = render_trailers(
        (
            ("Draft", DRAFT),
            ("Request", f"{cause.request}@{cause.commit}"),
            ("Key", "0" * 16),
            ("Fact", newest),
        )
    )
    commit = _write(world, GITOPS, "main", change, f"Promote\n\n{trailers}")
    tree = world.git(GITOPS).read_object(f"{commit}:{overlay.folder}")
    assert tree is not None
    body = before.model_copy(
        update={
            "environment": environment,
            "namespace": place,
            "release": release,
            "overlay_tree": tree.id,
            "overlay_folder": overlay.folder,
            "gitops_commit": commit,
            "approved_by": approved_by,
            "state": STATE_OF_STAGE[environment],
        }
    )
    fact = next_fact(DRAFT, status, cause, body)
    _record(world, (*facts, fact), fold_one(status, fact))


def rewrite_facts(world: AttackWorld, change: Callable[[str, dict[str, object]], None]) -> None:
    """Change bodies of facts, by their type, and tell the whole state branch anew over them.

    Every commit then records what it did, and only adds facts: hashes, folds and trailers fit.
    """
    folder = clone_all(world, world.scratch / "forger")
    gits = {path.name: GitRepository(path) for path in folder.iterdir()}

    def changed(fact: Fact) -> Fact:
        told = fact.model_dump(mode="json", by_alias=True)
        change(fact.body.type, told["body"])
        return Fact.model_validate_json(json.dumps(told))

    forger = Forger.over(gits)
    forger.retell(lambda facts: [changed(fact) for fact in facts])
    forger.close()
    command = ["git", "-C", str(world.story.forge.path(CONTROL)), "fetch", "--quiet"]
    refs = f"+refs/remotes/origin/{STATE}:refs/heads/{STATE}"
    command += [str(folder / CONTROL), refs]
    subprocess.run(command, env=git_environment("file"), check=True)
