"""The steps of an attack, by name: what people, bots and the pipeline do.

A step is a mapping with one key, or just its name: `approve: acme-engineer-1`, `run`. A refusal is
noted under the step's name and does not end the attack; the runner compares afterwards. `python:
NAME` calls the function `NAME(world)` of the folder's `attack.py`.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from unittest.mock import patch

from pipeline.control.submit import find_account as account_named
from pipeline.control.submit import submit_request
from pipeline.engine.opening import check_runner, secret_hits
from pipeline.errors import PipelineError
from pipeline.forges.port import ReviewVerdict
from pipeline.git.objects import RefUpdate, Signature, commit_object, objects_of_files
from pipeline.git.process import git_environment
from pipeline.git.repository import GitRepository
from pipeline.images.bounded import failed_build, run_build
from pipeline.images.port import Builder, Source
from pipeline.models.evidence import BuildRecord
from pipeline.requests.proposed import ProposedRequest
from pipeline.tools import gitleaks
from pipeline.world.hydrate import Hydrator
from tests.attacks.changes import changed, load_attack, newest
from tests.attacks.worlds import AttackWorld, account_of
from tests.support.fact_history import AGENT_ID
from tests.support.finished_story import CODE, CONTROL, one_builder
from tests.support.samples import DRAFT
from worlds.control_repo import CLOCK_S

Step = Callable[[AttackWorld, Any], None]
STEPS: dict[str, Step] = {}
TIME_S = CLOCK_S


def step(function: Step) -> Step:
    """Register a step under its function's name, with blanks for underscores."""
    STEPS[function.__name__.replace("_", " ")] = function
    return function


def play(world: AttackWorld, steps: Sequence[Any]) -> None:
    """Do the steps in order and note refusals."""
    for item in steps:
        [(name, words)] = item.items() if isinstance(item, dict) else [(item, None)]
        try:
            STEPS[name](world, words)
        except PipelineError as refused:
            world.see(name, refused.code, refused.message)


# -- the control repo, through its forge ---------------------------------------------------


def _commit(
    world: AttackWorld, listed: Sequence[Any], base: str, who: int, repo: str = CONTROL
) -> tuple[list[Any], str]:
    git = world.git(repo)
    objects = objects_of_files(changed(world, git.read_files(base), listed))
    email = f"{who}+somebody@users.noreply.pipeline.invalid"
    signature = Signature("somebody", email, TIME_S)
    commit = commit_object(objects[-1].id, [base], "Ask\n", signature, signature)
    return [*objects, commit], commit.id


@step
def push(world: AttackWorld, words: Any) -> None:
    """Push changes: onto the pull request's branch, a `branch` of that name, or a new one from
    main, or `from: patched`, from the draft's. `named` is whom the commit names, if not who pushes.
    """
    who = account_of(words["as"])
    repo = words.get("repo", CONTROL)
    view = world.story.forge.read_repo(repo)
    assert view is not None
    branch = words.get("branch") or world.story.forge.read_pull(repo, world.pull).head_branch
    there = view.branches.get(branch)
    base = there or (newest(world, DRAFT) if words.get("from") == "patched" else world.main(repo))
    named = account_of(words.get("named", words["as"]))
    objects, commit = _commit(world, words["changes"], base, named, repo)
    update = RefUpdate(f"refs/heads/{branch}", there, commit)
    world.story.forge.push(repo, objects, (update,), actor=who)


def _open(world: AttackWorld, words: Any) -> None:
    """Open, or find, the pull request of a branch to main."""
    repo = words.get("repo", CONTROL)
    pull = world.story.forge.open_pull(
        repo,
        head_branch=words["branch"],
        base_branch="main",
        title=words.get("title", "Ask"),
        body="",
        actor=account_of(words["as"]),
    )
    world.pull, world.repo = pull.number, repo
    if "name" in words:
        world.pulls[words["name"]] = pull.number


@step
def ask(world: AttackWorld, words: Any) -> None:
    """Push changes on a new branch from main, and open its pull request."""
    branch = words.get("branch", f"ask/attack-{len(world.refs())}")
    push(world, {**words, "branch": branch})
    _open(world, {**words, "branch": branch})


@step
def bring(world: AttackWorld, words: Any) -> None:
    """Ask, have it approved, and have the last approver merge it: what honest people do."""
    ask(world, words)
    for who in words["approved"]:
        approve(world, who)
    merge_unjudged(world, words["approved"][-1])


def review(world: AttackWorld, who: str | int, verdict: ReviewVerdict) -> None:
    """Review the newest revision."""
    pull = world.story.forge.read_pull(world.repo, world.pull)
    world.story.forge.submit_review(
        world.repo,
        world.pull,
        commit=pull.head,
        verdict=verdict,
        body="approved",
        actor=account_of(who),
    )


# Whatever the verdict, the words are "approved". Who dismisses takes their own review back.
approve = STEPS["approve"] = partial(review, verdict=ReviewVerdict.APPROVED)
STEPS["object to"] = partial(review, verdict=ReviewVerdict.CHANGES_REQUESTED)
STEPS["comment"] = partial(review, verdict=ReviewVerdict.COMMENTED)
STEPS["dismiss"] = partial(review, verdict=ReviewVerdict.DISMISSED)


@step
def turn_to(world: AttackWorld, words: Any) -> None:
    """Continue with a named pull request."""
    world.pull, world.repo = world.pulls[words], CONTROL


@step
def check(world: AttackWorld, words: Any) -> None:
    """The required check's verdict on the pull request."""
    judged = world.story.engine.judge.pull(world.pull, with_previews=bool(words))
    for finding in judged.findings:
        world.see("check", finding.code, finding.message)
    for reason in judged.authority.reasons:
        if not reason.final:
            world.see("check", reason.code, reason.message)
    for preview in judged.previews:
        for item in preview.reasons:
            world.see("preview", item.code, item.message)
    assert judged.passed == (not world.seen.get("check")), world.told


@step
def merge(world: AttackWorld, words: Any) -> None:
    """Merge as `pipeline review merge` does: only if the check passes."""
    assert world.repo == CONTROL
    if world.story.engine.judge.pull(world.pull, with_previews=False).passed:
        merge_unjudged(world, words)
        world.see("merge", "merged", "the check passed")
    else:
        check(world, None)


@step
def merge_unjudged(world: AttackWorld, words: Any) -> None:
    """Merge whatever the check says, if the branch rules allow it."""
    pull = world.story.forge.read_pull(world.repo, world.pull)
    world.story.forge.merge_pull(
        world.repo,
        world.pull,
        expected_head=pull.head,
        message="Merge it\n",
        time_s=TIME_S + world.pull,
        actor=account_of(words),
    )


@step
def deploy(world: AttackWorld, words: Any) -> None:
    """An engineer changes the draft's code on a branch, has its commit asked for in dev, and it is
    merged past the check: `changes` are those of the code's repository.
    """
    who, branch = words.get("as", "acme-engineer-1"), words.get("branch", "feature")
    pushed = {"repo": CODE, "branch": branch, "from": "patched", "changes": words["changes"]}
    push(world, {"as": who, **pushed})
    promotion = {"to": "dev", "bare": True, "branch": branch}
    ask(world, {"as": who, "changes": [{"promotion": promotion}]})
    approve(world, "acme-engineer-2")
    merge_unjudged(world, "acme-engineer-2")


@step
def close(world: AttackWorld, words: Any) -> None:
    """Close a pull request without merging it."""
    repo, number = words["repo"], words["number"]
    world.story.forge.close_pull(repo, number, actor=account_of(words["as"]))


@step
def take_over(world: AttackWorld, words: Any) -> None:
    """acme's engineers approve and merge the draft's code."""
    world.story.take_over()


@step
def submit(world: AttackWorld, words: Any) -> None:
    """The pipeline opens the pull request for a request in memory, as `--submit` does."""
    listed = changed(world, {}, words["changes"])
    [(path, (_, content))] = listed.items()
    engine = world.story.engine
    platform = engine.snapshot().platform
    assert platform is not None
    account = account_named(platform, str(account_of(words["as"])))
    kind = "DraftPatch" if "/patches/" in path else "PrimitiveImplementationDraft"
    draft = "/".join(path.split("/")[1:4:2])
    request = ProposedRequest(draft, kind, path, content, f"Ask for {draft}", "")
    found = submit_request(engine.control, request, account)
    assert found.pull is not None
    world.pull, world.repo = found.pull.number, CONTROL


@step
def plain_push(world: AttackWorld, words: Any) -> None:
    """`git push` past the pipeline, to a branch or to the named `ref`."""
    repo = words.get("repo", CONTROL)
    git = world.git(repo)
    branch = words.get("branch") or world.story.forge.read_pull(repo, world.pull).head_branch
    base = git.resolve(f"refs/heads/{branch}") or world.main(repo)
    objects, commit = _commit(
        world, words.get("changes", []), base, account_of(words.get("named", AGENT_ID)), repo
    )
    clone = world.scratch / f"clone-{len(list(world.scratch.iterdir()))}"
    bare = str(world.story.forge.path(repo))
    local = GitRepository.clone(bare, clone)
    local.write_objects(objects)
    local.close()
    ref = words.get("ref", f"refs/heads/{branch}")
    force = "+" if words.get("force") else ""
    pushed = subprocess.run(
        ["git", "-C", str(clone), "push", bare, f"{force}{commit}:{ref}"],
        env=git_environment("file"),
        capture_output=True,
        text=True,
        check=False,
    )
    if pushed.returncode:
        world.see("plain push", "refused", pushed.stderr)


# -- the pipeline --------------------------------------------------------------------------


@step
def run(world: AttackWorld, words: Any) -> None:
    """Run for acme, for the named tenants, or for `all`, and note refusals and moved refs."""
    before = dict(world.refs())
    lengths = {d.id: d.facts for d in _drafts(world)}
    tenants = None if words == "all" else words or ["acme"]
    report = world.story.engine.run(tenants=tenants)
    for finding in (*report.findings, *report.policy):
        world.see("run", finding.code, finding.message)
    for waiting in (w for listed in report.waiting.values() for w in listed):
        for code, message in waiting.reasons:
            world.see("run", code, f"{waiting.request}: {message}")
    for draft, code, message in report.failures:
        world.see("run", code, f"{draft}: {message}")
    for incident in (i for n in getattr(report, "incidents", {}).values() for i in n):
        world.see("run", incident.code, f"{incident.repo}: {incident.path}: {incident.message}")
    for incident in getattr(report, "restored", ()):
        world.see("run", incident.code, f"{incident.repo}: {incident.path}: put back")
    for standing in (f for found in report.standing.values() for f in found):
        world.see("run", standing.code, f"{standing.location}: {standing.message}")
    after = world.refs()
    for ref in before.keys() | after.keys():
        if before.get(ref) != after.get(ref):
            world.moved[ref] = (before.get(ref), after.get(ref))
    for status in _drafts(world):
        for fact in world.story.engine.facts(status.id)[lengths.get(status.id, 0) :]:
            world.recorded.setdefault(status.id, []).append(fact.body.type)
            for reason in getattr(fact.body, "reasons", ()):
                world.see("run", reason.code, reason.message)


def _drafts(world: AttackWorld) -> Sequence[Any]:
    return world.story.engine.statuses()


@dataclass(frozen=True)
class SteppingBuilder:
    """Runs a Dockerfile's `RUN` steps in a shell, then builds as another builder does."""

    then: Builder

    def build(self, source: Source) -> BuildRecord:
        """The record of the image."""
        for line in source.files["Dockerfile"][1].decode().splitlines():
            if line.startswith("RUN "):
                done = run_build(["/bin/sh", "-c", line[4:]], {}, timeout_s=2)
                if done.exit_code:
                    said = f'building at STEP "{line}": exit status {done.exit_code}'
                    raise failed_build("buildah bud", said.encode())
        return self.then.build(source)


@step
def tools(world: AttackWorld, words: Any) -> None:
    """From here on these tools are the real ones: `charts`, `checks`, `secrets`.

    Of `builds` it is the process that runs a Dockerfile's steps, and its time, which is short.
    """
    assert set(words) <= {"builds", "charts", "checks", "secrets"}
    if "builds" in words:
        world.story.use(make_builder=lambda snapshot: SteppingBuilder(one_builder(snapshot)))
    if "charts" in words:
        world.story.use(hydrator=Hydrator())
    if "secrets" in words:
        world.story.use(scan_secrets=secret_hits)
    if "checks" in words:
        world.story.use(run_checks=check_runner)


@step
def bounds(world: AttackWorld, words: Any) -> None:
    """Lower the bounds of the secret scan, so that an exhausting input fails quickly."""
    limits = replace(gitleaks.LIMITS, **words["secrets"])
    world.undone.enter_context(patch.object(gitleaks, "LIMITS", limits))


@step
def others_go_on(world: AttackWorld, words: Any) -> None:
    """A refusal is final: another run does nothing, and another draft goes on."""
    engine, before = world.story.engine, dict(world.refs())
    engine.run(tenants=["acme"])
    assert world.refs() == before
    asked = {"as": "acme-agent", "changes": [{"draft": {"id": "acme/price-list"}}]}
    bring(world, {**asked, "approved": ["acme-engineer-1"]})
    told = len(engine.facts(DRAFT))
    engine.run(tenants=["acme"])
    assert engine.status("acme/price-list").head and len(engine.facts(DRAFT)) == told


@step
def python(world: AttackWorld, words: Any) -> None:
    """Call a function of the folder's own `attack.py`."""
    getattr(load_attack(world.folder), words)(world)
