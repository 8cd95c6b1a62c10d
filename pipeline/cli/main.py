"""`pipeline`: the entry point, the lazy group of commands, and the handling of all errors.

A command imports only what it needs: `pipeline --help` imports no command at all. Exit codes are
those of `pipeline.errors`; 130 after Ctrl-C, 141 if the reader of the output is gone.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from pipeline import __version__
from pipeline.cli.commands import COMMANDS
from pipeline.cli.session import (
    FORMATS,
    NobodyReads,
    Session,
    choose_format,
    complain,
    session_of,
)
from pipeline.errors import PipelineError

# No installed plugin may take part in judging requests; this also starts faster.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")

INTERRUPTED = 130
NO_READER = 141
BUG = 70


class LazyGroup(click.Group):
    """The group of all commands; a command's module is imported when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, in the order of the work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with this name, or None."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        found = getattr(importlib.import_module(f"pipeline.cli.{module}"), attribute)
        if not isinstance(found, click.Command):
            raise TypeError(f"{module}:{attribute} is not a command")
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from `COMMANDS` alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command in the arguments; the error for a misspelt one suggests the right name."""
        name = args[0] if args else ""
        if name and name not in COMMANDS and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, COMMANDS, n=1)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            raise click.UsageError(f"there is no command `{name}`{meant}", ctx)
        found, command, rest = super().resolve_command(ctx, args)
        if command is not None:
            _refuse_format(ctx, command)
        return found, command, rest


def _refuse_format(ctx: click.Context, command: click.Command) -> None:
    """Refuse a format given before a command that does not support it."""
    wanted = session_of(ctx).format
    if wanted in {"text", "json"} or isinstance(command, click.Group):
        return
    choices = next((p.type for p in command.params if p.name == "format"), None)
    if not isinstance(choices, click.Choice) or wanted not in choices.choices:
        raise click.UsageError(f"`{command.name}` does not write `{wanted}`", ctx)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 clean, 1 findings, 2 usage, 3 stale plan, 4 a tool or service failed, "
    "70 a bug.",
)
@click.option(
    "-C",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="The control checkout, or a folder in it.  [default: here]",
)
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    callback=choose_format,
    expose_value=False,
    is_eager=True,  # so that errors in later options use this format
    help="Output format.  [default: text]",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(__version__, prog_name="pipeline", message="%(prog)s %(version)s")
@click.pass_context
def cli(ctx: click.Context, directory: Path, debug: bool) -> None:
    """A software factory on Git alone: from requests through plans and facts to promotions."""
    session = session_of(ctx)
    session.directory, session.debug = directory, debug
    if not directory.is_dir():
        raise click.UsageError(f"there is no folder `{directory}`", ctx)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code of one call; never raises, never shows a traceback unless asked."""
    session = Session()
    _be_quick()
    try:
        result = cli.main(
            args=None if arguments is None else list(arguments),
            prog_name="pipeline",
            standalone_mode=False,
            obj=session,
        )
        sys.stdout.flush()
    except (NobodyReads, BrokenPipeError):
        return _stop_writing()
    except SystemExit as ended:
        # click's own: 0 after completing words, 1 if help can no longer be written.
        return 0 if ended.code == 0 else _stop_writing()
    except (KeyboardInterrupt, click.Abort):
        complain("interrupted\n")
        return INTERRUPTED
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "pipeline"
        _tell(session, "usage", error.format_message(), f"see `{where} --help`")
        return 2
    except click.ClickException as error:
        _tell(session, "usage", error.format_message(), "")
        return 2
    except PipelineError as error:
        if session.debug:
            _show_traceback()
        return _end(session, error)
    except Exception as error:
        return _report_bug(session, error)
    return result if isinstance(result, int) else 0


def _be_quick() -> None:
    """Collect garbage rarely, since a command is a short process."""
    # Imports and requests make many objects and hardly any cycles, so collect rarely, and not at
    # the end, where the process frees everything anyway (80 ms of a run).
    gc.set_threshold(50_000, 20, 100)
    atexit.unregister(gc.freeze)
    atexit.register(gc.freeze)


def _stop_writing() -> int:
    """The exit code if the reader of standard output is gone; keeps Python from complaining."""
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, sys.stdout.fileno())
    except (OSError, ValueError):
        return NO_READER
    return NO_READER


def _tell(
    session: Session,
    code: str,
    message: str,
    help: str,
    findings: Sequence[dict[str, object]] = (),
) -> None:
    """Report an error: for people on standard error, for machines as a document."""
    from pipeline.characters import visible

    lines = "\n".join(visible(line) for line in message.split("\n"))
    colour = _stderr_colour()
    label = f"\x1b[1;31merror[{code}]\x1b[0m" if colour else f"error[{code}]"
    complain(f"{label}: {lines}\n", colour=colour)
    if help:
        complain(f"  help: {visible(help)}\n")
    if session.is_json and not session.wrote_document:
        from pipeline.models.base import API_VERSION

        session.write_document(
            {
                "apiVersion": API_VERSION,
                "kind": "Error",
                "code": code,
                "message": message,
                "help": help,
                "findings": list(findings),
            }
        )


def _stderr_colour() -> bool:
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR")


def _end(session: Session, error: PipelineError) -> int:
    findings = getattr(error, "findings", ())
    documents: list[dict[str, object]] = []
    if findings:
        from pipeline.render.report import finding_values
        from pipeline.render.text import render_text

        complain(render_text(findings))
        documents = [finding_values(f) for f in findings]
    _tell(session, error.code, error.message, error.help, documents)
    return error.exit_code


def _report_bug(session: Session, error: Exception) -> int:
    """Report a bug in a few lines, with its place, that can be pasted into an issue."""
    import platform
    import traceback

    if session.debug:
        _show_traceback()
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "pipeline" in f.filename]
    at = ""
    if frames:
        parts = Path(frames[-1].filename).parts
        shown = "/".join(parts[-parts[::-1].index("pipeline") - 1 :] if "pipeline" in parts else ())
        at = f" at {shown}:{frames[-1].lineno}"
    python = platform.python_version()
    _tell(
        session,
        "internal-error",
        f"this is a bug: {type(error).__name__}: {error}{at} "
        f"(pipeline {__version__}, Python {python})",
        "please report these lines; `--debug` shows the traceback",
    )
    return BUG


def _show_traceback() -> None:
    import traceback

    complain(traceback.format_exc())


if __name__ == "__main__":
    sys.exit(main())
