"""`pipeline template`: the commands for template authors."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pipeline.cli.main import cli
from pipeline.templates import list_builtin_templates, template_folder

SHARED = Path(__file__).resolve().parents[3] / "pipeline" / "shared"


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["template", *map(str, arguments)], standalone_mode=False)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the domain template, with the shared folders where it looks for them."""
    folder = tmp_path / "templates" / "domain"
    shutil.copytree(template_folder("domain"), folder)
    (tmp_path / "shared").symlink_to(SHARED)
    return folder


def test_the_built_in_templates_are_clean() -> None:
    done = call("lint")
    assert done.return_value == 0
    assert [line.split("@")[0] for line in done.output.splitlines()] == [
        f"✓ {name}" for name in list_builtin_templates()
    ]


def test_each_fault_of_a_template_has_file_and_line(copied: Path) -> None:
    (copied / "skeleton" / "one.sh").write_text("#!/bin/sh\necho ${#names[@]}\n")
    (copied / "skeleton" / "two.yaml").write_text("a: 1\nb: ${{ github.sha }}\n")
    done = call("lint", copied)
    assert done.return_value == 1
    assert "skeleton/one.sh:2: `{#` opens a comment" in done.output
    assert "skeleton/two.yaml:2: `github` is unknown" in done.output
    done = call("lint", copied, "--format", "json")
    [item] = json.loads(done.output)["items"]
    assert len(item["reasons"]) == 2


def test_a_link_in_a_template_is_refused_and_not_followed(copied: Path) -> None:
    (copied / "skeleton" / "hosts").symlink_to("/etc/hosts")
    done = call("lint", copied)
    assert done.return_value == 1
    assert "skeleton/hosts:1: is a symbolic link" in done.output


def test_only_plain_files_are_accepted(copied: Path) -> None:
    os.mkfifo(copied / "skeleton" / "pipe")
    done = call("lint", copied)
    assert done.return_value == 1
    assert "skeleton/pipe:1: is not a plain file" in done.output


def test_a_template_renders_with_the_values_of_a_file(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("description: Keeps what was asked\n")
    done = call("render", "domain", "--values", values, "--out", tmp_path / "out")
    assert done.return_value == 0
    assert "Keeps what was asked" in (tmp_path / "out" / "README.md").read_text()


def test_a_refused_value_writes_nothing(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text("description: |\n  two\n  lines\nowner: Not A Team\n")
    done = call("render", "domain", "--values", values, "--out", tmp_path / "out")
    assert done.return_value == 1
    assert "description" in done.output and "owner" in done.output
    assert not (tmp_path / "out").exists()


def test_existing_files_are_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    done = call("render", "domain", "--out", tmp_path)
    assert done.exception is not None and "is not empty" in str(done.exception)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("name", list_builtin_templates())
def test_a_template_renders_with_every_value_worth_trying(name: str) -> None:
    done = call("test", name, "--no-checks")
    assert done.return_value == 0, done.output
    assert "as it comes" in done.output


def test_a_value_that_breaks_the_result_is_found(copied: Path) -> None:
    (copied / "skeleton" / "broken.yaml").write_text("text: ${{ values.description }}\n")
    done = call("test", copied, "--no-checks")
    assert done.return_value == 1
    assert "broken.yaml" in done.output


def test_an_unknown_template_is_reported_with_the_known_ones() -> None:
    done = call("lint", "nothing")
    assert done.exception is not None and "neither a built-in template" in str(done.exception)
