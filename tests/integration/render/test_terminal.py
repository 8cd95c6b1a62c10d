"""No text from a repository or a person controls the terminal that shows it."""

from __future__ import annotations

import ast
import base64
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.characters import printed
from pipeline.cli.session import Session
from pipeline.documents import render_document
from pipeline.forges.port import ReviewVerdict
from pipeline.render.style import Style
from pipeline.requests.layout import patch_path
from tests.support.command_line import call
from tests.support.fact_history import AGENT_ID, ENGINEER_ID
from tests.support.finished_story import CONTROL
from tests.support.samples import DRAFT
from tests.support.story import Story, story_at

TOP = Path(__file__).resolve().parents[3] / "pipeline"
# Clear the screen, set the title, hide, overwrite the line, C1, bidi, zero width, hidden tags.
HOSTILE = "\x1b[2J\x1b]0;gone\x07\x1b[8m\rgood\x9b1A\x85\u202e\u200b\U000e0041\x7f"
_SEEN = ("\x1b", "\r", "\x07", "\x9b", "\x85", "\u202e", "\u200b", "\U000e0041", "\x7f")


@pytest.mark.parametrize("colour", [False, True])
def test_every_control_character_is_shown_as_its_number(colour: bool) -> None:
    text = printed(f"one {HOSTILE}\n\ttwo\n", colour=colour)
    assert not any(character in text for character in _SEEN)
    assert "<U+001B>[2J" in text and "<U+001B>[8m" in text and "<U+202E>" in text
    assert text.startswith("one ") and text.endswith("\n\ttwo\n")


def test_only_our_own_colours_survive() -> None:
    kinds = ("good", "bad", "wait", "dim", "bold")
    for text in (Style(colour=True).paint(kind, "word") for kind in kinds):
        assert printed(text, colour=True) == text
        assert printed(text) == text.replace("\x1b", "<U+001B>")
    assert printed("\x1b[30;40mhidden", colour=True) == "<U+001B>[30;40mhidden"


@pytest.fixture
def world(tmp_path: Path) -> Story:
    told = story_at("scaffolded", tmp_path / "world")
    # The checkout still names the repository that it was copied with.
    origin = ["remote", "set-url", "origin", str(told.forge.path(CONTROL))]
    subprocess.run(["git", "-C", str(told.engine.control.directory), *origin], check=True)
    return told


def test_a_pull_request_is_shown_without_control_characters(
    world: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    number = world.propose({f"docs/{HOSTILE}\nforged line.md": b"x\n"}, AGENT_ID)
    pull = world.forge.read_pull(CONTROL, number)
    world.forge.submit_review(
        CONTROL,
        number,
        commit=pull.head,
        verdict=ReviewVerdict.COMMENTED,
        body=f"fine {HOSTILE}",
        actor=ENGINEER_ID,
    )
    directory = world.engine.control.directory
    for arguments in (("review", "show", f"{CONTROL}#{number}"), ("review", "list")):
        ran = call(directory, *arguments)
        assert ran.exit_code == 0
        assert not any(character in ran.out for character in _SEEN)
        assert not any(line.startswith("forged line") for line in ran.out.splitlines())


def test_a_file_goes_unchanged_into_a_pipe_and_escaped_to_a_terminal(
    world: Story,
) -> None:
    content = f'CLEAR = "{HOSTILE}"\n'.encode() + b"\xff"
    patch = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "DraftPatch",
        "draft": DRAFT,
        "base_commit": world.newest(),
        "summary": "Clear the screen",
        "changes": [
            {
                "op": "write",
                "path": "screen.py",
                "content_base64": base64.b64encode(content).decode(),
            }
        ],
    }
    world.request(patch_path(DRAFT, "0001"), render_document(patch), ENGINEER_ID)
    world.go()
    directory = str(world.engine.control.directory)
    arguments = ["-C", directory, "draft", "files", DRAFT, "--path", "screen.py"]
    piped = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments], capture_output=True, check=True
    )
    assert piped.stdout == content


def test_content_on_a_terminal_is_made_visible(capfd: pytest.CaptureFixture[str]) -> None:
    parent, child = pty.openpty()
    code = (
        "from pipeline.cli.session import Session; "
        f"Session().write_content({HOSTILE.encode()!r} + b'end\\n')"
    )
    environment = {**os.environ, "NO_COLOR": "1"}
    subprocess.run([sys.executable, "-c", code], stdout=child, check=True, env=environment)
    shown = os.read(parent, 4096).decode()
    os.close(parent)
    os.close(child)
    assert "\x1b" not in shown and "<U+001B>[2J" in shown and "end" in shown


def test_progress_and_errors_pass_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    Session().note(f"working {HOSTILE}")
    told = capsys.readouterr().err
    assert not any(character in told for character in _SEEN) and told.startswith("working ")


def test_nothing_else_writes_to_a_terminal() -> None:
    """`print`, `click.echo` and the streams stand in one module of the command line alone."""
    found = []
    for path in sorted((TOP / "cli").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in {"print", "click.echo", "click.secho", "sys.stdout.write", "stream.write"}:
                found.append((path.name, name))
    assert set(found) == {
        ("session.py", "click.echo"),
        ("session.py", "stream.write"),
        ("session.py", "sys.stdout.write"),
    }
