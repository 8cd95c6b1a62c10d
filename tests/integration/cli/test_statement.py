"""Statements by the command line: signed from a scanner's file, brought, and read by the gate."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import call, copy_world
from tests.support.samples import DRAFT
from tests.support.statement_evidence import sarif, vex
from tests.support.story_by_commands import tell

pytestmark = pytest.mark.usefixtures("quick")
DIGEST = "sha256:" + "ab" * 32
AT = "2026-12-01T10:00:00Z"
FOLDER = f"tenants/{DRAFT.replace('/', '/drafts/')}/statements"


@pytest.fixture(scope="module")
def scaffolded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tell(tmp_path_factory.mktemp("told") / "world", until="write patches")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    assert call(None, "signing-key", str(path)).exit_code == 0
    return path


def signed(tmp_path: Path, key: Path, kind: str, document: object, *more: str) -> str:
    file = tmp_path / "document.json"
    file.write_text(json.dumps(document, indent=1))
    ran = call(
        None,
        *("statement", "sign", str(file), "--digest", DIGEST),
        *("--type", kind, "--key", str(key), *more),
    )
    assert ran.exit_code == 0, ran.err
    return ran.out


def test_a_signed_scan_is_brought_into_the_checkout(
    scaffolded: Path, tmp_path: Path, key: Path
) -> None:
    control = copy_world(scaffolded, tmp_path / "world")
    bundle = tmp_path / "bundle.json"
    log = sarif({"CVE-2026-1234": "9.8", "CVE-2026-2": "4.0"})
    bundle.write_text(signed(tmp_path, key, "scan", log, "--scanned-at", AT))
    ran = call(control, "statement", "add", DRAFT, str(bundle), "--name", "scan")
    assert ran.exit_code == 0, ran.err
    assert f"written  {FOLDER}/scan.yaml" in ran.out
    assert "found: 1 critical, 1 medium" in ran.out and f"about: {DIGEST}" in ran.out
    # The key is none of environments/signers.yaml: that is told, and the gate will say it too.
    assert "signed by: nobody trusted" in ran.out
    again = call(control, "statement", "add", DRAFT, str(bundle), "--name", "scan")
    assert "unchanged" in again.out
    named = call(control, "statement", "add", DRAFT, str(bundle), "--format", "json")
    assert str(named.document["path"]).startswith(f"{FOLDER}/s-")


def test_vex_and_other_predicates_are_signed(tmp_path: Path, key: Path) -> None:
    analysis = {"state": "not_affected", "justification": "code_not_present"}
    for kind, document in (
        ("vex", vex({"CVE-2026-1234": analysis}, AT)),
        ("https://example.com/change-ticket/v1", {"ticket": "CHG-4711"}),
    ):
        told = json.loads(signed(tmp_path, key, kind, document))
        assert told["dsseEnvelope"]["payloadType"] == "application/vnd.in-toto+json"


@pytest.mark.parametrize(
    ("document", "said", "place"),
    [
        ('{"version": "2.1.0",\n "runs": []}', "at least 1 item", "2:10"),
        ('{"version": "2.1.0",\n  "runs": [', "it is not JSON", "2:12"),
        ('{"version": "2.1.0", "version": "2.1.0"}', "stands twice", "1:1"),
        ('{"version": "2.0.0", "runs": [1]}', "2.1.0", "1:13"),
        ("\x00", "it is not JSON", "1:1"),
    ],
)
def test_a_bad_file_is_refused_with_its_place_and_nothing_is_signed(
    tmp_path: Path, key: Path, document: str, said: str, place: str
) -> None:
    file = tmp_path / "report.sarif"
    file.write_text(document)
    ran = call(
        None,
        *("statement", "sign", str(file), "--digest", DIGEST, "--type", "scan"),
        *("--scanned-at", AT, "--key", str(key)),
    )
    assert (ran.exit_code, ran.out) == (1, "")
    assert "error[statement-unreadable]" in ran.err and said in ran.err
    assert f"report.sarif:{place}\n" in ran.err


def test_a_file_that_is_no_bundle_changes_nothing(scaffolded: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.json"
    for content, said in (
        ("{}", "no `dsseEnvelope`"),
        ('{"dsseEnvelope": {"payloadType": "text/plain", "payload": ""}}', "holds no payload"),
        (
            '{"dsseEnvelope": {"payloadType": "application/vnd.in-toto+json", "payload": "e30="}}',
            "in its payload",
        ),
    ):
        bundle.write_text(content)
        ran = call(scaffolded, "statement", "add", DRAFT, str(bundle))
        assert ran.exit_code == 1 and said in ran.err, ran.err
    assert not (scaffolded / FOLDER).exists()


@pytest.mark.parametrize(
    "options",
    [
        ("--type", "scan"),
        ("--type", "vex", "--scanned-at", AT),
        ("--type", "change"),
        ("--type", "vex", "--digest", "latest"),
        ("--type", "scan", "--scanned-at", "yesterday"),
    ],
)
def test_options_that_do_not_fit_are_told(
    tmp_path: Path, key: Path, options: tuple[str, ...]
) -> None:
    file = tmp_path / "x.json"
    file.write_text("{}")
    base = ("statement", "sign", str(file), "--digest", DIGEST, "--key", str(key))
    ran = call(None, *base, *options)
    assert ran.exit_code == 2 and ran.out == ""
