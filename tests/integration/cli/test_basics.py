"""The command line itself: help, exit codes, errors for people and machines, imports."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import click
import jsonschema_rs
import pytest

from pipeline import __version__
from pipeline.cli import doctor as doctor_module
from pipeline.cli.commands import COMMANDS
from pipeline.cli.main import cli
from pipeline.cli.page import all_commands
from pipeline.errors import CouldNotCheck
from pipeline.publish.schemas import schema_of
from tests.conftest import ROOT
from tests.support.command_line import call
from tests.support.samples import sample_files
from worlds.control_repo import create_control


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh control repo."""
    return create_control(tmp_path_factory.mktemp("basics"), sample_files())


ALL = {" ".join(path): command for path, command in all_commands()}


def run_process(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        cwd=ROOT,
        text=True,
        capture_output=True,
        check=False,
        **options,  # type: ignore[call-overload]  # passed on as they are
    )


def modules_after(*arguments: str, directory: Path = ROOT) -> set[str]:
    """The modules that a fresh process has imported when the command is done."""
    script = (
        "import sys; from pipeline.cli.main import main; sys.stdout = sys.stderr; "
        f"code = main({list(arguments)!r}); "
        "sys.__stdout__.write(' '.join([str(code), *sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=directory, text=True, capture_output=True, check=True
    )
    code, *modules = done.stdout.split()
    assert code == "0", done.stderr
    return set(modules)


@pytest.mark.parametrize("path", ALL)
def test_every_command_has_help(path: str) -> None:
    for option in ("--help", "-h"):
        ran = call(None, *path.split(), option)
        assert ran.exit_code == 0
        assert "Usage:" in ran.out
    command = ALL[path]
    assert command.help, "a command says what it is for"
    nameless = [p.name for p in command.params if isinstance(p, click.Option) and not p.help]
    assert nameless == [], "every option says what it does"


def test_the_list_of_commands_has_each_command_s_own_summary() -> None:
    for name, (_, text) in COMMANDS.items():
        help = ALL[name].help or ""
        assert help.split("\n\n")[0].replace("\n", " ") == text


def test_help_imports_no_command_and_nothing_slow() -> None:
    modules = modules_after("--help")
    slow = {"pydantic", "rich", "yaml", "jinja2", "git", "subprocess", "json.decoder", "ruamel"}
    assert not slow - {"json.decoder"} & modules
    loaded = {m for m in modules if m.startswith("pipeline.cli.")}
    assert loaded == {"pipeline.cli.main", "pipeline.cli.commands", "pipeline.cli.session"}


@pytest.mark.parametrize("arguments", [("status",), ("validate",), ("plan",)])
def test_frequent_commands_import_neither_gitpython_nor_ruamel(
    arguments: tuple[str, ...], control: Path
) -> None:
    assert not {"git", "ruamel"} & modules_after(*arguments, directory=control)


def test_version() -> None:
    ran = call(None, "--version")
    assert (ran.exit_code, ran.out) == (0, f"pipeline {__version__}\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["valdate"], "did you mean `validate`?"),
        (["no-such-command"], "there is no command `no-such-command`"),
        (["draft", "frobnicate"], "No such command"),
        (["validate", "--no-such-option"], "No such option"),
        (["-C", "no-such-folder", "validate"], "there is no folder `no-such-folder`"),
        (["--format", "sarif", "status"], "`status` does not write `sarif`"),
        (["--format", "yaml", "status"], "is not one of"),
        (["validate", "--worktree", "--since", "HEAD"], "--worktree goes with"),
        (["validate", "tenants", "--since", "HEAD"], "either paths or --since"),
        (["explain", "no-such-rule"], "there is no rule `no-such-rule`"),
        (["explain", "yaml-anchr"], "there is no rule"),
        (["schema", "Nothing"], "there is no kind `Nothing`"),
        (["schema", "template"], "name the template"),
        (["schema", "Plan", "extra"], "goes with `template` alone"),
        (["schema", "template", "nothing"], ""),
        (["plan", "--shard", "0/4"], "is not a shard"),
        (["plan", "--shard", "5/4"], "is not a shard"),
        (["plan", "--shard", "1"], "is not like `1/4`"),
        (["plan", "--shard", "١/٤"], "is not like `1/4`"),
        (["completion", "powershell"], "is not one of"),
    ],
)
def test_wrong_usage_is_reported_and_exits_2(arguments: list[str], said: str) -> None:
    ran = call(None, *arguments)
    assert ran.exit_code == (4 if arguments == ["schema", "template", "nothing"] else 2)
    assert said in ran.err
    assert ran.err.startswith("error[")
    assert ran.out == ""


def test_outside_a_control_repo(tmp_path: Path) -> None:
    for command in ("validate", "status", "plan", "run", "doctor"):
        ran = call(tmp_path, command)
        if command == "doctor":
            assert "is not inside a control repo" in ran.out
        else:
            assert ran.exit_code == 2
            assert "is not inside a control repo" in ran.err


def test_an_error_is_a_document_for_machines(tmp_path: Path) -> None:
    for arguments in (
        ("--format", "json", "status"),
        ("status", "--format", "json"),
        ("--format", "json", "no-such-command"),
    ):
        ran = call(tmp_path, *arguments)
        assert ran.exit_code == 2
        document = ran.document
        assert (document["kind"], document["code"]) == ("Error", "usage")
        assert str(document["message"]) in ran.err


def test_arguments_cannot_control_the_terminal() -> None:
    ran = call(None, "explain", "\x1b[31mred\u202e")
    assert ran.exit_code == 2
    assert "\x1b" not in ran.err and "\u202e" not in ran.err


def test_a_bug_is_reported_briefly_and_exits_70(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise ZeroDivisionError("a bug of the test's own")

    monkeypatch.setattr("pipeline.rules.load_rules", broken)
    ran = call(None, "rules")
    assert ran.exit_code == 70
    assert "this is a bug: ZeroDivisionError: a bug of the test's own" in ran.err
    assert len(ran.err.splitlines()) <= 3
    document = call(None, "--format", "json", "rules").document
    assert document["code"] == "internal-error"


def test_a_traceback_is_shown_under_debug_alone() -> None:
    script = (
        "import sys, pipeline.rules, pipeline.cli.main as m\n"
        "def broken(): raise ZeroDivisionError('x')\n"
        "pipeline.rules.load_rules = broken\n"
        "sys.exit(m.main(sys.argv[1:]))\n"
    )
    for options, shown in (((), False), (("--debug",), True)):
        done = subprocess.run(
            [sys.executable, "-c", script, *options, "rules"],
            cwd=ROOT,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 70
        assert ("Traceback" in done.stderr) is shown


def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipeline.rules.load_rules", interrupted)
    assert call(None, "rules").exit_code == 130


def test_a_closed_pipe_ends_quietly() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "pipeline", "rules"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert process.wait() == 141
    assert said == b""


def test_no_colour_unless_on_a_terminal() -> None:
    assert "\x1b" not in run_process("rules").stdout
    forced = {**os.environ, "FORCE_COLOR": "1"}
    sample = run_process("explain", "nothing-here", env={**forced, "NO_COLOR": "1"})
    assert "\x1b" not in sample.stderr


def test_output_is_utf8_in_every_locale() -> None:
    environment = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "validate", "--worktree"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "✓" in done.stdout.decode("utf-8")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(shell: str) -> None:
    ran = call(None, "completion", shell)
    assert ran.exit_code == 0
    assert f"_PIPELINE_COMPLETE={shell}_complete" in ran.out


def test_words_complete() -> None:
    environment = {
        **os.environ,
        "_PIPELINE_COMPLETE": "bash_complete",
        "COMP_WORDS": "pipeline dra",
        "COMP_CWORD": "1",
    }
    done = run_process(env=environment)
    assert (done.returncode, done.stdout.split()) == (0, ["plain,draft"])


def test_rules_and_explain() -> None:
    ran = call(None, "rules")
    assert ran.exit_code == 0
    names = [line.split()[0] for line in ran.out.splitlines()]
    assert "yaml-anchor" in names and names == sorted(names)
    listed = call(None, "rules", "--format", "json").document
    assert listed["kind"] == "RuleList"
    items = listed["items"]
    assert isinstance(items, list) and len(items) == len(names)
    for name in names:
        assert call(None, "explain", name).out.startswith(f"{name} (")
    assert call(None, "explain", "yaml-anchor", "--format", "json").document["kind"] == "Rule"


def test_explain_knows_errors_too() -> None:
    ran = call(None, "explain", "git-failed")
    assert ran.exit_code == 0
    assert ran.out.startswith("git-failed (error)\n  A Git process failed")
    assert call(None, "explain", "git-failed", "--format", "json").document["kind"] == "ErrorCode"
    assert "did you mean `git-failed`" in call(None, "explain", "git-faild").err


@pytest.mark.parametrize(
    "arguments",
    [
        ("rules",),
        ("explain", "yaml-anchor"),
        ("explain", "git-failed"),
        ("explain", "no-such-code"),
        ("schema",),
        ("template", "list"),
        ("template", "lint", "domain"),
        ("catalog", "--check"),
    ],
)
def test_documents_fit_their_schemas(arguments: tuple[str, ...]) -> None:
    document = call(ROOT, "--format", "json", *arguments).document
    validator = jsonschema_rs.Draft7Validator(schema_of(str(document["kind"])))
    assert [error.message for error in validator.iter_errors(document)] == []


def test_schema() -> None:
    listed = call(None, "schema")
    for line in listed.out.splitlines():
        kind, file = line.split()
        ran = call(None, "schema", kind)
        assert ran.exit_code == 0
        assert ran.out == (ROOT / file).read_text(encoding="utf-8")
    assert (
        call(None, "schema", "draft").out
        == call(None, "schema", "PrimitiveImplementationDraft").out
    )
    template = json.loads(call(None, "schema", "template", "domain").out)
    assert "entities" in template["properties"]
    assert call(None, "--format", "json", "schema").document["kind"] == "SchemaList"


def test_templates_are_listed() -> None:
    assert call(None, "template", "list").out.startswith("agent@")
    document = call(None, "template", "list", "--format", "json").document
    assert document["kind"] == "TemplateList"


def test_doctor_names_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert call(ROOT, "doctor").out.splitlines()[0].startswith("✓ pipeline")

    def missing(name: str) -> None:
        raise CouldNotCheck(f"{name} is needed and was not found", help="run `make setup`")

    monkeypatch.setattr("pipeline.machine.versions.read_tool", missing)
    ran = call(ROOT, "doctor")
    assert ran.exit_code == 4
    assert "✗ helm" in ran.out and "… buildah" in ran.out and "run `make setup`" in ran.out
    document = call(ROOT, "doctor", "--format", "json").document
    assert document["verdict"] == "could-not-check"


def test_doctor_wants_a_git_that_can_merge_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_module, "GIT_MINIMUM", (99, 0, 0))
    ran = call(ROOT, "doctor")
    assert ran.exit_code == 4
    assert "✗ git" in ran.out and "install git 99.0 or newer" in ran.out


def test_the_group_is_the_entry_point() -> None:
    assert cli.name == "cli"
    assert run_process("--version").stdout.startswith("pipeline ")
