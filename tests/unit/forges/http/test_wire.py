"""git's protocol as bytes, compared with what git itself sends and accepts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from pipeline.forges.http.wire import Malformed, push_request, refs_of, refs_request, report_of
from pipeline.git.objects import (
    MODE_FILE,
    RefUpdate,
    Signature,
    commit_object,
    objects_of_files,
    pack_of,
)
from pipeline.git.repository import GitRepository

SOMEBODY = Signature("Somebody", "somebody@example.com", 1_700_000_000)
TREE = objects_of_files({"README": (MODE_FILE, b"first\n")})
FIRST = commit_object(TREE[-1].id, [], "First\n", SOMEBODY, SOMEBODY)
OTHER = "1" * 40


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    """A bare repository whose main branch has one commit."""
    made = GitRepository.init_bare(tmp_path / "some.git")
    made.write_objects([*TREE, FIRST])
    made.update_refs([RefUpdate("refs/heads/main", None, FIRST.id)])
    return made


def serve(repository: GitRepository, service: str, body: bytes) -> bytes:
    """What git answers to one request."""
    environment = {"PATH": os.environ["PATH"], "GIT_PROTOCOL": "version=2"}
    done = subprocess.run(
        ["git", service, "--stateless-rpc", str(repository.path)],
        input=body,
        env=environment,
        capture_output=True,
        timeout=30,
        check=False,
    )
    return done.stdout


def test_refs_are_read_in_one_request(repository: GitRepository) -> None:
    repository.update_refs([RefUpdate("refs/heads/draft/one", None, FIRST.id)])
    answer = serve(repository, "upload-pack", refs_request(("refs/heads/",)))
    wanted = {"refs/heads/draft/one": FIRST.id, "refs/heads/main": FIRST.id}
    assert refs_of(answer) == ("refs/heads/main", wanted)


def test_a_repository_without_commits_has_no_refs(tmp_path: Path) -> None:
    empty = GitRepository.init_bare(tmp_path / "empty.git")
    answer = serve(empty, "upload-pack", refs_request(("refs/heads/",)))
    assert refs_of(answer)[1] == {}


def push(repository: GitRepository, *updates: RefUpdate) -> tuple[bool, dict[str, str]]:
    """Whether all refs moved, and which did not."""
    body = push_request(updates, pack_of([*TREE, FIRST]))
    report = report_of(serve(repository, "receive-pack", body))
    return report.is_done, report.refused


def test_a_push_moves_all_refs_or_none(repository: GitRepository) -> None:
    fresh = RefUpdate("refs/heads/one", None, FIRST.id)
    stale = RefUpdate("refs/heads/main", OTHER, FIRST.id)
    done, refused = push(repository, fresh, stale)
    assert not done and set(refused) == {"refs/heads/one", "refs/heads/main"}
    assert repository.read_refs() == {"refs/heads/main": FIRST.id}
    assert push(repository, fresh) == (True, {})
    assert repository.read_refs().keys() == {"refs/heads/main", "refs/heads/one"}


def test_a_hook_s_message_is_kept(repository: GitRepository) -> None:
    hook = repository.path / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho GH013: not by you >&2\nexit 1\n")
    hook.chmod(0o755)
    body = push_request([RefUpdate("refs/heads/one", None, FIRST.id)], pack_of([*TREE, FIRST]))
    report = report_of(serve(repository, "receive-pack", body))
    assert not report.is_done and "GH013: not by you" in report.remarks


@pytest.mark.parametrize("answer", [b"", b"0000", b"<html>", b"00ffshort", b"zzzz"])
def test_a_push_without_a_report_is_not_a_success(answer: bytes) -> None:
    with pytest.raises(Malformed):
        report_of(answer)


@pytest.mark.parametrize("answer", [b"<html>login</html>", b"00ffshort"])
def test_an_answer_without_a_list_of_refs_is_refused(answer: bytes) -> None:
    with pytest.raises(Malformed):
        refs_of(answer)
