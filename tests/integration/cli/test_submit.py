"""`pipeline submit`: a file of the checkout becomes a pull request, if it is valid and allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.documents.rules import DOCUMENT_BYTES_MAXIMUM
from tests.support.command_line import Ran, call

STOP = "environments/stop.yaml"
STOPPED = "apiVersion: pipeline.ameide.io/v1\nkind: Stop\nstops: [{reason: It leaks}]\n"
OWNER, OTHER_OWNER = "platform-engineer-1", "platform-engineer-2"

pytestmark = pytest.mark.usefixtures("quick")


def submit(control: Path, path: str, account: str = OWNER, *more: str) -> Ran:
    return call(control, "submit", path, "--reason", "It leaks", "--as", account, *more)


def test_a_policy_file_is_submitted_once_and_is_on_main_once_approved(fresh: Path) -> None:
    (fresh / STOP).write_text(STOPPED)
    ran = submit(fresh, STOP, OWNER, "--format", "json")
    assert ran.exit_code == 0, ran
    document = ran.document
    assert (document["outcome"], document["path"]) == ("submitted", STOP)
    assert submit(fresh, STOP, OWNER, "--format", "json").document == document
    pull = str(document["pull_request"])
    assert call(fresh, "review", "approve", pull, "--as", OTHER_OWNER, "--merge").exit_code == 0
    assert submit(fresh, STOP, OWNER, "--format", "json").document["outcome"] == "on-main"


def test_an_invalid_file_is_refused_with_its_place_and_nothing_is_opened(fresh: Path) -> None:
    (fresh / STOP).write_text(STOPPED.replace("It leaks", ""))
    ran = submit(fresh, STOP)
    assert ran.exit_code == 1 and f"{STOP}:3:" in ran.err, ran
    (fresh / STOP).write_bytes(b"#" * (DOCUMENT_BYTES_MAXIMUM + 1))
    ran = submit(fresh, STOP)
    assert ran.exit_code == 1 and "yaml-too-large" in ran.err, ran
    listed = call(fresh, "review", "list", "control", "--format", "json").document
    assert listed["items"] == []


def test_who_may_not_ask_is_refused(fresh: Path) -> None:
    (fresh / STOP).write_text(STOPPED)
    assert submit(fresh, STOP, "acme-agent[bot]").exit_code == 1
    assert submit(fresh, STOP, "nobody").exit_code == 2


@pytest.mark.parametrize(
    "path",
    ["environments/none.yaml", "README.md", "../outside.yaml", "environments", ".git/config"],
)
def test_only_a_request_of_the_checkout_is_taken(fresh: Path, path: str) -> None:
    (fresh.parent / "outside.yaml").write_text(STOPPED)
    assert submit(fresh, path).exit_code == 2


def test_a_link_is_not_followed(fresh: Path) -> None:
    (fresh.parent / "outside.yaml").write_text(STOPPED)
    (fresh / STOP).symlink_to(fresh.parent / "outside.yaml")
    ran = submit(fresh, STOP)
    assert ran.exit_code == 2 and "there is no file" in ran.err, ran
