"""Changing any byte that an audit rests on shows: facts, statuses, overlays, requests on main."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pipeline.diagnostics import Verdict
from pipeline.git.objects import blob_id, tree_id_of_files
from pipeline.requests.kinds import request_path
from pipeline.state.facts import BrokenChain, fold, parse_chain, parse_status, status_bytes
from pipeline.state.facts import FactFile as Stored
from tests.support.finished_story import CONTROL, GITOPS, STATE
from tests.support.samples import DRAFT
from tests.support.state_writer import Files, Forger

OTHER_BITS = (0x01, 0x20)


@pytest.fixture(scope="module")
def forger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forger]:
    made = Forger(tmp_path_factory.mktemp("swept"))
    yield made
    made.close()


def changes_of(content: bytes) -> Iterator[bytes]:
    """The content with each of its bytes changed, in more ways than one."""
    for position in range(len(content)):
        for bit in OTHER_BITS:
            changed = bytearray(content)
            changed[position] ^= bit
            yield bytes(changed)


def stored(forger: Forger) -> list[Stored]:
    files = forger.files(CONTROL, forger.head(CONTROL, STATE))
    folder = "drafts/order-router/facts/"
    return [Stored(p, c) for p, (_, c) in sorted(files.items()) if p.startswith(folder)]


def test_every_byte_of_every_fact_breaks_the_chain_or_the_status(forger: Forger) -> None:
    """The chain's own check; that the audit makes it, the step `chains` shows."""
    files = stored(forger)
    whole = fold(parse_chain(DRAFT, files))
    assert whole is not None
    recorded = status_bytes(whole)
    swept = 0
    for number, file in enumerate(files):
        # What comes after is not looked at before the first file that does not fit.
        for changed in changes_of(file.content):
            part = [*files[:number], Stored(file.path, changed), *files[number + 1 : number + 2]]
            swept += 1
            try:
                facts = parse_chain(DRAFT, part)
            except BrokenChain:
                continue
            # Only the newest fact has none after it that names it: its status does.
            assert number == len(files) - 1
            told = fold(facts)
            assert told is not None and status_bytes(told) != recorded
    assert swept > 20_000


def test_every_byte_of_the_status_matters(forger: Forger) -> None:
    files = forger.files(CONTROL, forger.head(CONTROL, STATE))
    content = files["drafts/order-router/status.yaml"][1]
    folded = blob_id(status_bytes(parse_status(content)))
    assert folded == blob_id(content)
    assert all(blob_id(changed) != folded for changed in changes_of(content))


def test_every_byte_of_every_overlay_matters(forger: Forger) -> None:
    files = {p: f for p, f in forger.files(GITOPS).items() if p.startswith("environments/")}
    folders = {path.rsplit("/", 1)[0] for path in files if path.count("/") == 3}
    assert len(folders) == 3
    swept = 0
    for folder in sorted(folders):
        overlay = {p: f for p, f in files.items() if p.startswith(f"{folder}/")}
        sealed = tree_id_of_files(overlay)
        for path, (mode, content) in overlay.items():
            for changed in changes_of(content):
                assert tree_id_of_files({**overlay, path: (mode, changed)}) != sealed
                swept += 1
    assert swept > 2_000


def test_every_byte_of_every_request_matters(forger: Forger) -> None:
    """Than the one that each fact names; that the audit compares them, the test below shows."""
    git, facts = forger.gits[CONTROL], parse_chain(DRAFT, stored(forger))
    causes = {(f.cause.commit, f.cause.request, f.cause.blob) for f in facts}
    assert len(causes) >= 5
    for commit, path, blob in sorted(causes):
        found = git.read_object(f"{commit}:{path}")
        assert found is not None and blob_id(found.content) == blob
        assert all(blob_id(changed) != blob for changed in changes_of(found.content))


def retold(forger: Forger, path: str, change: Callable[[bytes], bytes]) -> None:
    """main told anew, in which one file always held something else."""
    git = forger.gits[CONTROL]
    made: dict[str, str] = {}
    for commit in map(git.read_commit, git.list_new_commits([forger.head(CONTROL)])):
        files: Files = forger.files(CONTROL, commit.id)
        if path in files:
            files[path] = (files[path][0], change(files[path][1]))
        parents = [made[parent] for parent in commit.parents]
        made[commit.id] = forger.commit(CONTROL, files, parents, commit.message, commit.author)
    forger.put(CONTROL, "main", made[forger.head(CONTROL)])


def test_a_request_rewritten_on_main_is_found(forger: Forger) -> None:
    """Each request of the draft, changed at several places: no fact finds its cause any more."""
    paths = [p for p in forger.files(CONTROL) if (m := request_path(p)) and m.primitive]
    assert len([p for p in paths if "order-router" in p]) >= 5
    for path in paths:
        content = forger.files(CONTROL)[path][1]
        for part in (0.1, 0.6, 0.95):
            position = int(len(content) * part)

            def change(old: bytes, at: int = position) -> bytes:
                return old[:at] + bytes([old[at] ^ 1]) + old[at + 1 :]

            with forger.undone():
                retold(forger, path, change)
                report = forger.audit()
                assert report.verdict is not Verdict.VALID
                found = [f for f in report.findings if f.code == "audit-cause-missing"]
                assert any(path in f.message for f in found), (path, part)
