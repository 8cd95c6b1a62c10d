"""Ways to falsify a finished story, by the audit rule that each breaks."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pipeline.documents import parse_document, render_document
from pipeline.git.objects import MODE_FILE, RefUpdate, blob_id
from pipeline.git.repository import GitRepository
from pipeline.images.provenance import with_bundle
from pipeline.images.signing import SigningKey
from pipeline.models.base import API_VERSION, moment_of
from pipeline.models.facts import (
    Built,
    ChecksRecorded,
    Fact,
    FactBody,
    HoldLifted,
    PartOfGroup,
    PatchRefused,
    Promoted,
    PromotionRefused,
    PromotionSuperseded,
    Reason,
    Retired,
)
from pipeline.requests.layout import promotion_path, retirement_path
from pipeline.state.facts import parse_chain, status_bytes, status_path
from tests.support import (
    fact_history as history,
)
from tests.support import (
    finished_story as audit_world,
)
from tests.support.fact_history import refolded
from tests.support.finished_story import CODE, CONTROL, GITOPS, STATE, StoryWorld
from tests.support.samples import DRAFT
from worlds.control_repo import CLOCK_S

Files = dict[str, tuple[int, bytes]]
FACTS = "drafts/order-router/facts"


def read_facts(files: Files) -> tuple[Fact, ...]:
    """The chain in the files of a state branch."""
    found = [p for p in files if p.startswith(FACTS)]
    return parse_chain(DRAFT, [history.FactFile(p, files[p][1]) for p in sorted(found)])


def write_facts(files: Files, facts: Sequence[Fact]) -> None:
    """Replace the chain by these facts, chained anew, and the status by their fold."""
    drop(FACTS)(files)
    chained, status = refolded(facts)
    for file in history.fact_files(chained):
        files[file.path] = (MODE_FILE, file.content)
    files[status_path("order-router")] = (MODE_FILE, status_bytes(status))


def with_facts(change: Callable[[Fact], Fact]) -> Callable[[Files], None]:
    """A change of the whole chain that keeps chain and fold consistent."""
    return lambda files: write_facts(files, [change(fact) for fact in read_facts(files)])


def with_one_more(
    number: int, told: Callable[[Fact], FactBody], **cause: object
) -> Callable[[Files], None]:
    """One more fact at the end, with the cause of an earlier one, changed by `cause`."""

    def rewrite(files: Files) -> None:
        facts = read_facts(files)
        earlier = facts[number - 1]
        changes = {"cause": earlier.cause.model_copy(update=cause), "body": told(earlier)}
        write_facts(files, [*facts, facts[-1].model_copy(update=changes)])

    return rewrite


def replaced(fact: Fact) -> FactBody:
    """The request of a promotion, replaced by itself."""
    cause = fact.cause
    return PromotionSuperseded(environment="staging", blob=cause.blob, commit=cause.commit)


def retired(fact: Fact) -> FactBody:
    """The end of a promotion that still lies in its environment."""
    told = fact.body
    assert isinstance(told, Promoted)
    return Retired(
        environment=told.environment,
        overlay_folder=told.overlay_folder,
        gitops_repo=told.gitops_repo,
        gitops_commit=told.gitops_commit,
        merged_at=told.merged_at,
        pull_request=told.pull_request,
    )


def promotion_to(environment: str, **changes: object) -> Callable[[Fact], Fact]:
    """A change of the fact of one promotion."""

    def change(fact: Fact) -> Fact:
        if not isinstance(fact.body, Promoted) or fact.body.environment != environment:
            return fact
        return fact.model_copy(update={"body": fact.body.model_copy(update=changes)})

    return change


def retire_running(world: StoryWorld) -> None:
    """Record that prod was left by the request of a person's commit; it still runs there."""
    path = retirement_path(DRAFT)
    text = f"apiVersion: {API_VERSION}\nkind: Retirement\ndraft: {DRAFT}\nreason: Not needed\n"
    audit_world.rewrite(world, CONTROL, "main", add(path, text.encode()), by_pipeline=False)
    git = GitRepository(world.forge.path(CONTROL))
    head = git.read_commit(str(git.resolve("refs/heads/main")))
    git.close()
    cause = {
        "request": path,
        "commit": head.id,
        "blob": blob_id(text.encode()),
        "brought": None,
        "merged_at": moment_of(head.committer.time_s),
    }
    change_state(with_one_more(9, retired, **cause))(world)


def other_digest(fact: Fact) -> Fact:
    """The promotion to prod, with another image."""
    if not isinstance(fact.body, Promoted):
        return fact
    release = fact.body.release.model_copy(update={"digest": history.digest_of("other")})
    return promotion_to("prod", release=release)(fact)


def other_run(fact: Fact) -> Fact:
    """A fact with another run."""
    return fact.model_copy(update={"cause": fact.cause.model_copy(update={"run": "run-2"})})


def add(path: str, content: bytes) -> Callable[[Files], None]:
    """A change that adds a file."""

    def change(files: Files) -> None:
        files[path] = (MODE_FILE, content)

    return change


def drop(prefix: str) -> Callable[[Files], None]:
    """A change that deletes files."""

    def change(files: Files) -> None:
        gone = [path for path in files if path.startswith(prefix)]
        assert gone
        for path in gone:
            del files[path]

    return change


def reset_to_first(world: StoryWorld, repo: str, *branches: str) -> None:
    """Reset branches of a repository to its first commit."""
    git = GitRepository(world.forge.path(repo))
    for branch in branches:
        head = git.resolve(f"refs/heads/{branch}")
        assert head is not None
        audit_world.move(git, branch, list(git.log_commits(head))[-1].id)
    git.close()


def change_state(change: Callable[[Files], None]) -> Callable[[StoryWorld], None]:
    """Amend the newest commit of the state branch."""
    return lambda world: audit_world.rewrite(world, CONTROL, STATE, change)


def change_overlays(change: Callable[[Files], None]) -> Callable[[StoryWorld], None]:
    """Commit to the GitOps main branch as a person."""
    return lambda world: audit_world.rewrite(world, GITOPS, "main", change, by_pipeline=False)


def lose_sources(world: StoryWorld) -> None:
    """Remove the draft's commits from every branch of the tenant's repository."""
    branch = world.engine.status(DRAFT).branch_name
    reset_to_first(world, CODE, "main", branch)


KUSTOMIZATION = "environments/prod/order-router/kustomization.yaml"


def forged_statement(fact: Fact) -> Fact:
    """The fact, with the build's statement signed by an untrusted key."""
    if not isinstance(fact.body, Built):
        return fact
    payload = json.loads(fact.body.build.bundle)["dsseEnvelope"]["payload"]
    with tempfile.TemporaryDirectory() as name:
        key = SigningKey.create(Path(name) / "key.pem")
    build = with_bundle(fact.body.build, key.sign(base64.b64decode(payload)))
    return fact.model_copy(update={"body": fact.body.model_copy(update={"build": build})})


def fact_at(
    number: int, part: Literal["body", "cause"], **changes: object
) -> Callable[[Fact], Fact]:
    """A change of the body or the cause of one fact."""

    def change(fact: Fact) -> Fact:
        if fact.sequence != number:
            return fact
        return fact.model_copy(update={part: getattr(fact, part).model_copy(update=changes)})

    return change


def unapproved(fact: Fact) -> Fact:
    """The draft's acceptance, without approvals."""
    if fact.sequence != 1 or fact.cause.brought is None:
        return fact
    return fact_at(1, "cause", brought=fact.cause.brought.model_copy(update={"reviews": ()}))(fact)


def decided_at(number: int, time_s: int) -> Callable[[Fact], Fact]:
    """One fact, as if it had been decided at another moment."""
    return lambda f: (
        f.model_copy(update={"decided_at": moment_of(time_s)}) if f.sequence == number else f
    )


def reviewed_at(time_s: int, decided_s: int | None = None) -> Callable[[Fact], Fact]:
    """The facts, as if all reviews had been given then, and all been decided after that."""

    def change(fact: Fact) -> Fact:
        brought = fact.cause.brought
        assert brought is not None
        reviews = tuple(r.model_copy(update={"at": moment_of(time_s)}) for r in brought.reviews)
        cause = fact.cause.model_copy(
            update={"brought": brought.model_copy(update={"reviews": reviews})}
        )
        decided = fact.decided_at if decided_s is None else moment_of(decided_s)
        return fact.model_copy(update={"cause": cause, "decided_at": decided})

    return change


def other_base(fact: Fact) -> Fact:
    """The promotion to prod, with another base of its request."""
    if fact.sequence != 9 or fact.cause.brought is None:
        return fact
    base = fact.cause.brought.model_copy(update={"base": history.id_of("other")})
    return fact_at(9, "cause", brought=base)(fact)


def by_stagings_request(files: Files) -> None:
    """The promotion to prod, caused by staging's request."""
    staging = read_facts(files)[7].cause
    with_facts(lambda f: f.model_copy(update={"cause": staging}) if f.sequence == 9 else f)(files)


def without_checks(files: Files) -> None:
    """The chain without the checks."""
    facts = [fact for fact in read_facts(files) if fact.body.type != "checks-recorded"]
    write_facts(files, facts)


def patch_refused(files: Files) -> None:
    """The chain with the patch refused for a reason that no rule gives."""
    told = PatchRefused(patch="0001", reasons=(Reason(code="because", message="no"),))
    facts = read_facts(files)
    write_facts(files, [*facts[:3], facts[3].model_copy(update={"body": told})])


def twice_checked(fact: Fact) -> Fact:
    """The report of the checks, with one check twice."""
    if not isinstance(fact.body, ChecksRecorded):
        return fact
    report = fact.body.report
    told = report.model_copy(update={"results": (*report.results, report.results[0])})
    return fact_at(fact.sequence, "body", report=told)(fact)


def lose_object(world: StoryWorld) -> None:
    """Delete the blob of the newest status from the forge's repository."""
    git = GitRepository(world.forge.path(CONTROL))
    found = git.read_object(f"refs/heads/{STATE}:{status_path('order-router')}")
    assert found is not None
    git.close()
    (world.forge.path(CONTROL) / "objects" / found.id[:2] / found.id[2:]).unlink()


def lose_draft(world: StoryWorld) -> None:
    """Start the state branch anew, without the draft."""
    audit_world.rewrite(world, CONTROL, STATE, drop("drafts/"), keep_parents=False)


def rewrite_since(world: StoryWorld) -> None:
    """Rewrite main's tail after a clone verified it."""
    git = GitRepository(world.forge.path(GITOPS))
    head = git.resolve("refs/heads/main")
    assert head is not None
    git.update_refs([RefUpdate("refs/verified/main", None, head)])
    git.close()
    audit_world.rewrite(world, GITOPS, "main", lambda files: None, keep_parents=False)


def block_running(world: StoryWorld) -> None:
    """Block the running digest in today's policy."""
    digest = world.engine.status(DRAFT).builds[0].digest
    text = (
        "apiVersion: pipeline.ameide.io/v1\nkind: BlockedDigests\ndigests:\n"
        f"  - {{digest: '{digest}', reason: Leaks}}\n"
    )
    change = add("environments/blocked-digests.yaml", text.encode())
    audit_world.rewrite(world, CONTROL, "main", change, by_pipeline=False)


def refused(fact: Fact) -> FactBody:
    """A refusal of a request that the gate allows."""
    told = Reason(code="check-failed", message="`lint` failed: 1 of 9 failed")
    return PromotionRefused(environment="prod", reasons=(told,))


def refuse_in_other_words(world: StoryWorld) -> None:
    """Ask for another image than was built, and record its refusal in other words."""
    value = parse_document("prod.yaml", audit_world.promotion_of(world, DRAFT, "prod")).value
    release = value["release"]
    assert isinstance(release, dict)
    other = {**value, "release": {**release, "digest": history.digest_of("other")}}
    approvers = (history.RELEASE_MANAGERS[0], history.SECURITY_ID)
    world.request(promotion_path(DRAFT, "prod"), render_document(other), *approvers)
    audit_world.run_acme(world)

    def reword(fact: Fact) -> Fact:
        if not isinstance(fact.body, PromotionRefused):
            return fact
        reasons = tuple(r.model_copy(update={"message": "no"}) for r in fact.body.reasons)
        return fact_at(fact.sequence, "body", reasons=reasons)(fact)

    change_state(with_facts(reword))(world)


FALSIFIED: Mapping[str, Callable[[StoryWorld], None]] = {
    "audit-evidence-later": change_state(with_facts(reviewed_at(CLOCK_S + 3600))),
    "audit-review-late": change_state(with_facts(reviewed_at(CLOCK_S + 3600, CLOCK_S + 7200))),
    "audit-merge-time-differs": change_state(
        with_facts(promotion_to("prod", merged_at=moment_of(CLOCK_S - 3600)))
    ),
    "audit-policy-replaced": change_state(
        with_facts(promotion_to("prod", policy=history.id_of("nowhere")))
    ),
    "audit-time-order": change_state(with_facts(decided_at(2, CLOCK_S + 3600))),
    "audit-hold-differs": change_state(
        with_one_more(9, lambda _: HoldLifted(environment="prod", hold=9, approved_by=()))
    ),
    "audit-superseded-differs": change_state(with_one_more(8, replaced)),
    "audit-group-differs": change_state(
        with_facts(
            promotion_to(
                "prod", group=PartOfGroup(name="spring", decided_at=moment_of(CLOCK_S - 3600))
            )
        )
    ),
    "audit-retirement-differs": retire_running,
    "audit-accepted-differs": change_state(with_facts(fact_at(1, "body", risk_tier="LOW"))),
    "audit-approvals": change_state(with_facts(promotion_to("prod", approved_by=(1501,)))),
    "audit-authority": change_state(with_facts(unapproved)),
    "audit-brought-differs": change_state(with_facts(other_base)),
    "audit-cause-other": change_state(by_stagings_request),
    "audit-digest-blocked": block_running,
    "audit-draft-lost": lose_draft,
    "audit-file-mode": change_overlays(
        lambda files: files.update({"docs": (0o120000, b"README.md")})
    ),
    "audit-folder-without-draft": lambda world: audit_world.rewrite(
        world, CODE, "main", add("primitives/other/x.py", b""), by_pipeline=False
    ),
    "audit-gate": change_state(without_checks),
    "audit-name-differs": change_state(
        with_facts(promotion_to("prod", gitops_repo="tenant-acme-other"))
    ),
    "audit-promotion-differs": change_state(
        with_facts(promotion_to("prod", namespace="ameide-prod"))
    ),
    "audit-refusal-differs": change_state(with_one_more(9, refused)),
    "audit-refusal-reworded": refuse_in_other_words,
    "audit-refusal-misfit": change_state(patch_refused),
    "audit-source-differs": change_state(
        with_facts(fact_at(4, "cause", request="tenants/acme/drafts/order-router/draft.yaml"))
    ),
    "audit-state-history": lambda world: audit_world.rewrite(
        world, CONTROL, STATE, drop("drafts/"), by_pipeline=False
    ),
    "audit-told-misfit": change_state(with_facts(twice_checked)),
    "audit-cause-missing": lambda world: reset_to_first(world, CONTROL, "main"),
    "audit-digest-differs": change_state(with_facts(other_digest)),
    "audit-fact-anchor": change_state(with_facts(other_run)),
    "audit-fact-chain": change_state(
        audit_world.replace_in(f"{FACTS}/000003-scaffolded.json", b"run-1", b"run-2")
    ),
    "audit-foreign-commit": change_overlays(
        audit_world.replace_in(KUSTOMIZATION, b"warning", b"debug")
    ),
    "audit-overlay-missing": lambda world: reset_to_first(world, GITOPS, "main"),
    "audit-overlay-tree": change_overlays(
        audit_world.replace_in(KUSTOMIZATION, b"warning", b"debug")
    ),
    "audit-overlay-without-fact": change_overlays(
        add("environments/prod/other/kustomization.yaml", b"kind: Kustomization\n")
    ),
    "audit-provenance": change_state(with_facts(forged_statement)),
    "audit-repository-missing": lambda world: shutil.rmtree(world.forge.path(GITOPS)),
    "audit-source-missing": lose_sources,
    "audit-state-file": change_state(add("notes.txt", b"Remember the milk\n")),
    "audit-status-fold": change_state(
        audit_world.replace_in(status_path("order-router"), b"PROMOTED_PROD", b"REJECTED")
    ),
}


# What shows in a repository itself, and in no fresh clone of it.
IN_PLACE: Mapping[str, Callable[[StoryWorld], None]] = {
    "audit-history-rewritten": rewrite_since,
    "audit-object-missing": lose_object,
}
