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

from pipeline.facts import parse_chain, status_bytes, status_path
from pipeline.gitcli import GitRepository
from pipeline.gitobjects import MODE_FILE, RefUpdate
from pipeline.hydrate import Hydrator
from pipeline.models.facts import Built, Fact, Promoted
from pipeline.provenance import with_bundle
from pipeline.rules import load_rules
from pipeline.signing import SigningKey
from pipeline.stages.patch import plan_patch
from pipeline.tools.gitleaks import run_secret_scan
from pipeline.tools.kubeconform import run_kubeconform
from pipeline.tools.podcheck import run_podcheck
from tests import audit_world, history, patching
from tests.audit_world import CODE, CONTROL, GITOPS, STATE, StoryWorld
from tests.history import refolded
from tests.runners import RuleRun, needs_tools, run_manifest_example
from tests.samples import DRAFT, PATCH_BASE
from tests.views import sample_view

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


FALSIFIED: Mapping[str, Callable[[StoryWorld], None]] = {
    "audit-approvals": change_state(with_facts(promotion_to("prod", approved_by=(1501,)))),
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


def codes_of_audit(world: StoryWorld) -> tuple[str, ...]:
    """What an audit of fresh clones finds."""
    return tuple(sorted({finding.code for finding in audit_world.audit(world).findings}))


@pytest.mark.parametrize("id", sorted(FALSIFIED))
def test_an_audit_rule_fails_on_a_falsified_story_and_passes_on_the_true_one(
    id: str,
    story: StoryWorld,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    false = audit_world.copy_of(story, tmp_path / "false")
    FALSIFIED[id](false)
    run = RuleRun(RULES[id], codes_of_audit(false), codes_of_audit(story))
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
        world.engine.hydrator = Hydrator()  # the real helm, kustomize and kubeconform
        world.patch("0002", "chart/templates/extra.yaml", content)
        world.promote("dev", history.ENGINEER_ID)
        refused = world.engine.status(DRAFT).refused_promotions
        return tuple(sorted({reason.code for item in refused for reason in item.reasons}))

    rule = RULES["manifest-not-rendered"]
    run = RuleRun(rule, codes("fails", "{{ nosuch }}\n"), codes("passes", "# nothing\n"))
    record_property("rule", run.row)
    assert run.problems == ()


def test_every_rule_that_needs_tools_is_run_here() -> None:
    others = {
        "manifest-schema",
        "manifest-not-checked",
        "manifest-not-rendered",
        "manifest-pod-security",
        "patch-secret",
    }
    assert {*FALSIFIED, *others} == set(RULES)


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
    assert codes_of_audit(false) == ("audit-foreign-commit", "audit-overlay-without-fact")
