"""`pipeline digest block`: a person's file is edited, keeps its comments, is merged and obeyed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from pipeline.requests.layout import BLOCKED_PATH
from tests.conftest import ROOT
from tests.support.command_line import call
from tests.support.finished_story import CONTROL
from tests.support.samples import DRAFT
from tests.support.story import Story, story_at

OTHER = "sha256:" + "9" * 64
ENGINEER = "platform-engineer-1"
SUBMIT = ("--submit", "--as", ENGINEER)


def world_at(stage: str, tmp_path: Path) -> Story:
    world = story_at(stage, tmp_path / "world")
    for command in (
        ["remote", "set-url", "origin", str(world.forge.path(CONTROL))],
        ["pull", "-q", "origin", "main"],
    ):
        subprocess.run(["git", "-C", str(world.engine.control.directory), *command], check=True)
    return world


def test_a_blocked_digest_is_merged_and_then_refused_by_the_gate(tmp_path: Path) -> None:
    world = world_at("in dev", tmp_path)
    control = world.engine.control.directory
    digest = world.engine.status(DRAFT).promotions[0].release.digest
    assert digest is not None
    asked = call(control, "digest", "block", digest, "--reason", "It leaks orders", *SUBMIT)
    assert asked.exit_code == 0
    assert f"  asked    {BLOCKED_PATH}\n" in asked.out and "control#" in asked.out
    pull = next(word for word in asked.out.split() if word.startswith("control#"))
    again = call(control, "digest", "block", digest, "--reason", "It leaks orders", *SUBMIT)
    assert again.out == asked.out
    shown = call(control, "review", "show", pull, "--format", "json").document
    assert str(shown["head_branch"]).startswith("request/blocked-digests-")
    approve = ("review", "approve", pull, "--as", "platform-engineer-2", "--merge")
    assert call(control, *approve).exit_code == 0

    git = world.engine.control.open_repository()
    found = git.read_object(f"refs/heads/main:{BLOCKED_PATH}")
    assert found is not None
    head, _, _ = (ROOT / BLOCKED_PATH).read_text(encoding="utf-8").partition("digests:")
    assert head.count("#") == 2, "the file of the samples has comments"
    listed = f"digests:\n  - digest: {digest}\n    reason: It leaks orders\n"
    assert found.content.decode() == head + listed
    subprocess.run(["git", "-C", str(control), "pull", "-q", "origin", "main"], check=True)
    assert call(control, "validate").exit_code == 0
    why = call(control, "why", DRAFT, "--env", "staging")
    assert why.exit_code == 1 and "digest-blocked" in why.out
    assert "error[blocked-digest-runs]" in call(control, "status").out

    known = call(control, "digest", "block", digest, "--reason", "It leaks orders", *SUBMIT)
    assert f"  on main  {BLOCKED_PATH}\n" in known.out
    other = call(control, "digest", "block", digest, "--reason", "Another", *SUBMIT)
    assert other.exit_code == 2 and "is blocked already: It leaks orders" in other.err
    more = call(control, "digest", "block", OTHER, "--reason", "yes", "--format", "json")
    document = more.document
    assert (document["draft"], document["outcome"]) == ("", "written")
    written = f'{head}{listed}  - digest: {OTHER}\n    reason: "yes"\n'
    assert (control / BLOCKED_PATH).read_text(encoding="utf-8") == written == document["content"]
    assert call(control, "validate", "--worktree").exit_code == 0


def test_a_changed_file_in_the_checkout_is_not_overwritten(tmp_path: Path) -> None:
    control = world_at("scaffolded", tmp_path).engine.control.directory
    block = ("digest", "block", OTHER, "--reason", "It leaks")
    own = (control / BLOCKED_PATH).read_bytes() + b"# mine\n"
    (control / BLOCKED_PATH).write_bytes(own)
    ran = call(control, *block)
    assert ran.exit_code == 2 and "says something else" in ran.err
    assert (control / BLOCKED_PATH).read_bytes() == own
    assert call(control, *block, "--replace").exit_code == 0
    assert "unchanged" in call(control, *block).out


def test_an_invalid_digest_is_refused(tmp_path: Path) -> None:
    control = world_at("scaffolded", tmp_path).engine.control.directory
    for digest, reason, account, code, said in (
        ("sha256:12", "It leaks", ENGINEER, 1, "the request for `environments/blocked-digests"),
        (OTHER, "two\nlines", ENGINEER, 1, "the request for `environments/blocked-digests"),
        (OTHER, "It leaks", "acme-engineer-1", 1, "may not ask for"),
        (OTHER, "It leaks", "nobody", 2, "knows no account `nobody`"),
    ):
        asked = ("digest", "block", digest, "--reason", reason, "--submit", "--as", account)
        ran = call(control, *asked)
        assert ran.exit_code == code and said in ran.err
