"""The report of rules, second half: what only tools or real repositories can show.

Each rule of the audit is broken in a copy of a finished story, by writing past every branch rule
straight into a repository; kubeconform and gitleaks are the real ones.
"""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.audit import verify
from pipeline.diagnostics import Verdict, verdict_of
from pipeline.engine.opening import secret_hits
from pipeline.git.objects import MODE_FILE, RefUpdate
from pipeline.git.repository import GitRepository
from pipeline.images.bounded import run_build
from pipeline.images.port import Builder
from pipeline.images.provenance import with_bundle
from pipeline.images.signing import SigningKey
from pipeline.models.facts import Built, ChecksRecorded, Fact, PatchRefused, Promoted, Reason
from pipeline.requests.layout import patch_path
from pipeline.requests.snapshot import Snapshot
from pipeline.rules import load_rules
from pipeline.stages.patch import plan_patch
from pipeline.state.facts import parse_chain, status_bytes, status_path
from pipeline.tools import gitleaks
from pipeline.tools.gitleaks import run_secret_scan
from pipeline.tools.kubeconform import run_kubeconform
from pipeline.tools.podcheck import run_podcheck
from pipeline.world.hydrate import Hydrator
from tests.support import (
    fact_history as history,
)
from tests.support import (
    finished_story as audit_world,
)
from tests.support import (
    patch_branch as patching,
)
from tests.support.bombs import nested_zip, zip_of
from tests.support.fact_history import refolded
from tests.support.finished_story import CODE, CONTROL, GITOPS, STATE, StoryWorld
from tests.support.rule_runners import RuleRun, needs_tools, run_manifest_example
from tests.support.samples import DRAFT, PATCH_BASE
from tests.support.story import patch_of, story_at
from tests.support.views import sample_view

RULES = {id: rule for id, rule in load_rules().items() if needs_tools(rule)}
Files = dict[str, tuple[int, bytes]]
FACTS = "drafts/order-router/facts"
_NOBODY = "sha256:" + "00" * 32


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> StoryWorld:
    """A draft that went to production, told once."""
    return audit_world.tell_story(tmp_path_factory.mktemp("story") / "world")


def read_facts(files: Files) -> tuple[Fact, ...]:
    """The chain in the files of a state branch."""
    found = [p for p in files if p.startswith(FACTS)]
    return parse_chain(DRAFT, [history.FactFile(p, files[p][1]) for p in sorted(found)])


def with_facts(change: Callable[[Fact], Fact]) -> Callable[[Files], None]:
    """A change of the whole chain such that chain and fold are sound again."""

    def rewrite(files: Files) -> None:
        facts, status = refolded([change(fact) for fact in read_facts(files)])
        for file in history.fact_files(facts):
            files[file.path] = (MODE_FILE, file.content)
        files[status_path("order-router")] = (MODE_FILE, status_bytes(status))

    return rewrite


def promotion_to(environment: str, **changes: object) -> Callable[[Fact], Fact]:
    """Changes of what the fact of one promotion says."""

    def change(fact: Fact) -> Fact:
        if not isinstance(fact.body, Promoted) or fact.body.environment != environment:
            return fact
        return fact.model_copy(update={"body": fact.body.model_copy(update=changes)})

    return change


def other_digest(fact: Fact) -> Fact:
    """The promotion to prod, as if of another image."""
    if not isinstance(fact.body, Promoted):
        return fact
    release = fact.body.release.model_copy(update={"digest": history.digest_of("other")})
    return promotion_to("prod", release=release)(fact)


def other_run(fact: Fact) -> Fact:
    """A fact as if another run had made it."""
    return fact.model_copy(update={"cause": fact.cause.model_copy(update={"run": "run-2"})})


def add(path: str, content: bytes) -> Callable[[Files], None]:
    """A file more."""

    def change(files: Files) -> None:
        files[path] = (MODE_FILE, content)

    return change


def drop(prefix: str) -> Callable[[Files], None]:
    """Fewer files."""

    def change(files: Files) -> None:
        gone = [path for path in files if path.startswith(prefix)]
        assert gone
        for path in gone:
            del files[path]

    return change


def reset_to_first(world: StoryWorld, repo: str, *branches: str) -> None:
    """Branches of a repository, back at its first commit."""
    git = GitRepository(world.forge.path(repo))
    for branch in branches:
        head = git.resolve(f"refs/heads/{branch}")
        assert head is not None
        audit_world.move(git, branch, list(git.log_commits(head))[-1].id)
    git.close()


def change_state(change: Callable[[Files], None]) -> Callable[[StoryWorld], None]:
    """The newest commit of the state branch, amended."""
    return lambda world: audit_world.rewrite(world, CONTROL, STATE, change)


def change_overlays(change: Callable[[Files], None]) -> Callable[[StoryWorld], None]:
    """A commit of a person on the GitOps main branch."""
    return lambda world: audit_world.rewrite(world, GITOPS, "main", change, by_pipeline=False)


def lose_sources(world: StoryWorld) -> None:
    """No branch of the tenant's repository holds the draft's commits any more."""
    branch = world.engine.status(DRAFT).branch_name
    reset_to_first(world, CODE, "main", branch)


KUSTOMIZATION = "environments/prod/order-router/kustomization.yaml"


def forged_statement(fact: Fact) -> Fact:
    """The fact, in which a built image's statement is signed by a key that nobody trusts."""
    if not isinstance(fact.body, Built):
        return fact
    payload = json.loads(fact.body.build.bundle)["dsseEnvelope"]["payload"]
    with tempfile.TemporaryDirectory() as name:
        key = SigningKey.create(Path(name) / "key.pem")
    build = with_bundle(fact.body.build, key.sign(base64.b64decode(payload)))
    return fact.model_copy(update={"body": fact.body.model_copy(update={"build": build})})


def fact_at(number: int, **changes: object) -> Callable[[Fact], Fact]:
    """Changes of what one fact's body says."""

    def change(fact: Fact) -> Fact:
        if fact.sequence != number:
            return fact
        return fact.model_copy(update={"body": fact.body.model_copy(update=changes)})

    return change


def caused_by(number: int, **changes: object) -> Callable[[Fact], Fact]:
    """Changes of what one fact's cause says."""

    def change(fact: Fact) -> Fact:
        if fact.sequence != number:
            return fact
        return fact.model_copy(update={"cause": fact.cause.model_copy(update=changes)})

    return change


def unapproved(fact: Fact) -> Fact:
    """The draft's acceptance, as if nobody had approved it."""
    if fact.sequence != 1 or fact.cause.brought is None:
        return fact
    return caused_by(1, brought=fact.cause.brought.model_copy(update={"reviews": ()}))(fact)


def other_base(fact: Fact) -> Fact:
    """The promotion to prod, as if its request had come upon another main."""
    if fact.sequence != 9 or fact.cause.brought is None:
        return fact
    base = fact.cause.brought.model_copy(update={"base": history.id_of("other")})
    return caused_by(9, brought=base)(fact)


def by_stagings_request(files: Files) -> None:
    """The promotion to prod, as if staging's request had caused it."""
    staging = read_facts(files)[7].cause
    with_facts(lambda f: f.model_copy(update={"cause": staging}) if f.sequence == 9 else f)(files)


def without_checks(files: Files) -> None:
    """The chain, as if no check had run."""
    facts = [fact for fact in read_facts(files) if fact.body.type != "checks-recorded"]
    drop(FACTS)(files)
    chained, status = refolded(facts)
    for file in history.fact_files(chained):
        files[file.path] = (MODE_FILE, file.content)
    files[status_path("order-router")] = (MODE_FILE, status_bytes(status))


def patch_refused(files: Files) -> None:
    """The chain, as if the patch had been refused for no rule's reason."""
    told = PatchRefused(patch="0001", reasons=(Reason(code="because", message="no"),))
    facts = [*read_facts(files)[:3], read_facts(files)[3].model_copy(update={"body": told})]
    drop(FACTS)(files)
    chained, status = refolded(facts)
    for file in history.fact_files(chained):
        files[file.path] = (MODE_FILE, file.content)
    files[status_path("order-router")] = (MODE_FILE, status_bytes(status))


def twice_checked(fact: Fact) -> Fact:
    """The report of the checks, with one of them twice."""
    if not isinstance(fact.body, ChecksRecorded):
        return fact
    report = fact.body.report
    told = report.model_copy(update={"results": (*report.results, report.results[0])})
    return fact_at(fact.sequence, report=told)(fact)


def lose_object(world: StoryWorld) -> None:
    """The blob of the newest status is gone from the forge's own repository."""
    git = GitRepository(world.forge.path(CONTROL))
    found = git.read_object(f"refs/heads/{STATE}:{status_path('order-router')}")
    assert found is not None
    git.close()
    (world.forge.path(CONTROL) / "objects" / found.id[:2] / found.id[2:]).unlink()


def lose_draft(world: StoryWorld) -> None:
    """The state branch begins anew, without the draft."""
    audit_world.rewrite(world, CONTROL, STATE, drop("drafts/"), keep_parents=False)


def rewrite_since(world: StoryWorld) -> None:
    """Main's tail is another one than a clone of it verified."""
    git = GitRepository(world.forge.path(GITOPS))
    head = git.resolve("refs/heads/main")
    assert head is not None
    git.update_refs([RefUpdate("refs/verified/main", None, head)])
    git.close()
    audit_world.rewrite(world, GITOPS, "main", lambda files: None, keep_parents=False)


def block_running(world: StoryWorld) -> None:
    """The digest that runs is blocked by the policy of today."""
    digest = world.engine.status(DRAFT).builds[0].digest
    text = (
        "apiVersion: pipeline.ameide.io/v1\nkind: BlockedDigests\ndigests:\n"
        f"  - {{digest: '{digest}', reason: Leaks}}\n"
    )
    change = add("environments/blocked-digests.yaml", text.encode())
    audit_world.rewrite(world, CONTROL, "main", change, by_pipeline=False)


FALSIFIED: Mapping[str, Callable[[StoryWorld], None]] = {
    "audit-accepted-differs": change_state(with_facts(fact_at(1, risk_tier="LOW"))),
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
    "audit-refusal-misfit": change_state(patch_refused),
    "audit-source-differs": change_state(
        with_facts(caused_by(4, request="tenants/acme/drafts/order-router/draft.yaml"))
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


def _opened(world: StoryWorld, repo: str) -> GitRepository | None:
    return world.forge.open_repository(repo) if world.forge.path(repo).is_dir() else None


def codes_of_audit(world: StoryWorld, *, in_place: bool = False) -> tuple[str, ...]:
    """What an audit of fresh clones finds, or one of the forge's own repositories."""
    if in_place:
        report = verify(world.forge.open_repository(CONTROL), lambda repo: _opened(world, repo))
        world.forge.close()
    else:
        report = audit_world.audit(world)
    return tuple(sorted({finding.code for finding in report.findings}))


@pytest.mark.parametrize("id", sorted({*FALSIFIED, *IN_PLACE}))
def test_an_audit_rule_fails_on_a_falsified_story_and_passes_on_the_true_one(
    id: str,
    story: StoryWorld,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    false = audit_world.copy_of(story, tmp_path / "false")
    {**FALSIFIED, **IN_PLACE}[id](false)
    found = codes_of_audit(false, in_place=id in IN_PLACE)
    run = RuleRun(RULES[id], found, codes_of_audit(story))
    record_property("rule", run.row)
    assert run.problems == ()


@pytest.mark.parametrize("id", ["manifest-schema", "manifest-not-checked", "manifest-pod-security"])
def test_a_rule_of_a_tool_fails_and_passes(
    id: str, record_property: Callable[[str, object], None]
) -> None:
    def codes(example: str) -> tuple[str, ...]:
        found = run_manifest_example(example)
        found += run_kubeconform(example.encode(), file="overlay")
        found += run_podcheck([*yaml.safe_load_all(example)], file="overlay")
        return tuple(sorted({finding.code for finding in found}))

    run = RuleRun(RULES[id], codes(RULES[id].fails), codes(RULES[id].passes))
    record_property("rule", run.row)
    assert run.problems == ()


def test_a_patch_with_a_credential_is_refused(
    record_property: Callable[[str, object], None],
) -> None:
    def codes(line: str) -> tuple[str, ...]:
        change = {"op": "write", "path": "src/settings.py", "content": line}
        patch = patching.patch_of(
            json.dumps(
                {
                    "apiVersion": "pipeline.ameide.io/v1",
                    "kind": "DraftPatch",
                    "draft": DRAFT,
                    "base_commit": PATCH_BASE,
                    "summary": "Settings",
                    "changes": [change],
                }
            ).encode()
        )
        hits = run_secret_scan({"src/settings.py": line.encode()})
        lines = tuple(f"`{hit.path}` line {hit.line}: {hit.rule}" for hit in hits)
        due = replace(patching.patch_input(patch), secrets=lines)
        view = sample_view(status=history.sample_status(), provisioned=True)
        step = plan_patch(replace(view, patch=due))
        assert step is not None
        reasons = [r for fact in step.facts for r in fact.known.get("reasons", ())]
        return tuple(sorted({reason["code"] for reason in reasons}))

    # Made of parts, so that no scan of this repository finds it.
    leak = f'KEY = "{"AKIA" + "Q3EGRTLXPWN7Y2KD"}"\n'
    run = RuleRun(RULES["patch-secret"], codes(leak), codes('KEY = os.environ["KEY"]\n'))
    record_property("rule", run.row)
    assert run.problems == ()


def test_a_chart_that_does_not_render_is_refused(
    story: StoryWorld, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    def codes(name: str, content: str) -> tuple[str, ...]:
        world = audit_world.copy_of(story, tmp_path / name)
        world.use(hydrator=Hydrator())  # the real helm, kustomize and kubeconform
        world.patch("0002", "chart/templates/extra.yaml", content)
        world.promote("dev", history.ENGINEER_ID)
        refused = world.engine.status(DRAFT).refused_promotions
        return tuple(sorted({reason.code for item in refused for reason in item.reasons}))

    rule = RULES["manifest-not-rendered"]
    run = RuleRun(rule, codes("fails", "{{ nosuch }}\n"), codes("passes", "# nothing\n"))
    record_property("rule", run.row)
    assert run.problems == ()


def test_a_patch_that_cannot_be_scanned_is_refused(
    story: StoryWorld,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gitleaks, "LIMITS", replace(gitleaks.LIMITS, cpu_s=2))

    def codes(name: str, content: bytes) -> tuple[str, ...]:
        world = audit_world.copy_of(story, tmp_path / name)
        world.use(scan_secrets=lambda files: secret_hits({**files, "a.zip": content}))
        world.patch("0002", "docs/notes.md", "An archive lies beside it.\n")
        record = world.engine.status(DRAFT).patches[-1]
        return tuple(sorted({reason.code for reason in record.reasons}))

    rule = RULES["patch-over-bound"]
    fine = zip_of({"notes.txt": b"nothing secret\n"})
    run = RuleRun(rule, codes("fails", nested_zip()), codes("passes", fine))
    record_property("rule", run.row)
    assert run.problems == ()


def test_a_source_that_cannot_be_written_is_refused(
    story: StoryWorld, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    def codes(name: str, path: str) -> tuple[str, ...]:
        world = audit_world.copy_of(story, tmp_path / name)
        git = world.forge.open_repository(audit_world.CODE)
        files = git.read_files(world.engine.status(DRAFT).head)
        files[f"primitives/order-router/{path}"] = (0o100644, b"")
        commit = audit_world.write_commit(git, files, None, "More\n")
        proposal = world.engine.propose_promotion(
            DRAFT, "dev", source_commit=commit, reason="Try it"
        )
        found = {r.code for r in proposal.decision.reasons}
        return tuple(sorted(found & {"source-over-bound"}))

    rule = RULES["source-over-bound"]
    run = RuleRun(rule, codes("fails", "x" * 256), codes("passes", "x" * 255))
    record_property("rule", run.row)
    assert run.problems == ()


def test_a_build_that_does_not_end_is_refused(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    def codes(name: str, seconds: int) -> tuple[str, ...]:
        def make_builder(snapshot: Snapshot) -> Builder:
            run_build(["/bin/sleep", str(seconds)], {}, timeout_s=0.1 if seconds else 60)
            return audit_world.one_builder(snapshot)

        world = story_at("patched", tmp_path / name)
        world.use(make_builder=make_builder)
        world.take_over()
        world.ask(DRAFT, "dev", history.ENGINEER_ID)
        world.go()
        refused = world.engine.status(DRAFT).refused_promotions
        world.close()
        return tuple(sorted({reason.code for each in refused for reason in each.reasons}))

    run = RuleRun(RULES["build-over-bound"], codes("fails", 600), codes("passes", 0))
    record_property("rule", run.row)
    assert run.problems == ()


def test_a_patch_of_a_repository_that_is_not_there_could_not_be_judged(
    story: StoryWorld, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    def codes(name: str, *, gone: bool) -> tuple[str, ...]:
        world = audit_world.copy_of(story, tmp_path / name)
        head = world.engine.status(DRAFT).head
        patch = patch_of(DRAFT, head, {"docs/routing.md": "# Routing\n"})
        number = world.propose({patch_path(DRAFT, "0009"): patch}, history.AGENT_ID)
        if gone:
            shutil.move(world.forge.path(CODE), tmp_path / "gone")
        found = world.engine.judge.pull(number).findings
        assert verdict_of(found) is (Verdict.COULD_NOT_CHECK if gone else Verdict.VALID)
        return tuple(sorted({finding.code for finding in found}))

    run = RuleRun(RULES["patch-not-judged"], codes("fails", gone=True), codes("passes", gone=False))
    record_property("rule", run.row)
    assert run.problems == ()


def test_every_rule_that_needs_tools_is_run_here() -> None:
    others = {
        "manifest-schema",
        "manifest-not-checked",
        "manifest-not-rendered",
        "manifest-pod-security",
        "build-over-bound",
        "patch-over-bound",
        "patch-not-judged",
        "patch-secret",
        "source-over-bound",
    }
    assert {*FALSIFIED, *IN_PLACE, *others} == set(RULES)


def test_a_request_that_only_another_branch_still_holds_is_not_on_main(
    story: StoryWorld, tmp_path: Path
) -> None:
    false = audit_world.copy_of(story, tmp_path / "false")
    git = GitRepository(false.forge.path(CONTROL))
    head = git.resolve("refs/heads/main")
    assert head is not None
    git.update_refs([RefUpdate("refs/heads/kept", None, head)])
    git.close()
    reset_to_first(false, CONTROL, "main")
    assert "audit-cause-missing" in codes_of_audit(false)
    found = [f for f in audit_world.audit(false).findings if f.code == "audit-cause-missing"]
    assert len(found) == len(story.engine.facts(DRAFT))


def test_overlays_are_looked_at_even_when_the_state_branch_is_gone(
    story: StoryWorld, tmp_path: Path
) -> None:
    false = audit_world.copy_of(story, tmp_path / "false")
    (false.forge.path(CONTROL) / "refs" / "heads" / STATE).unlink()
    assert {"audit-draft-lost", "audit-foreign-commit", "audit-overlay-without-fact"} <= set(
        codes_of_audit(false)
    )
