"""The state of one call of the command line: the checkout, the output format, and the output.

Results go to standard output, progress and errors to standard error. With `--format json` standard
output is one JSON document, whatever happens.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pipeline.characters import printed

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pipeline.control.repo import Control
    from pipeline.engine.engine import Engine

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = ("text", "json", "sarif", "github")


class NobodyReads(Exception):
    """The reader of standard output is gone."""


@dataclass
class Session:
    """One call of the command line."""

    directory: Path = field(default_factory=Path)
    format: str = "text"
    debug: bool = False
    # Whether a JSON document was written; if not, an error that ends the call writes one.
    wrote_document: bool = False
    _engine: Engine | None = None

    @property
    def is_json(self) -> bool:
        """Whether a machine reads the output."""
        return self.format == "json"

    @property
    def colour(self) -> bool:
        """Whether text is in colour (`pipeline.render.style.wants_colour`)."""
        from pipeline.render.style import wants_colour

        return wants_colour(os.environ, is_terminal=sys.stdout.isatty())

    def write(self, text: str) -> None:
        """Write text of a result; nothing in it can control the terminal."""
        self._put(printed(text, colour=self.colour).encode("utf-8", "backslashreplace"))

    def write_content(self, content: bytes) -> None:
        """Write a file's content: to a file or pipe as it is, to a terminal like `write`."""
        if sys.stdout.isatty():
            self.write(content.decode("utf-8", "replace"))
        else:
            self._put(content)

    def _put(self, content: bytes) -> None:
        # Bytes, so that neither locale nor platform changes the output.
        try:
            sys.stdout.flush()
            stream = getattr(sys.stdout, "buffer", None)
            if stream is None:
                sys.stdout.write(content.decode("utf-8", "backslashreplace"))
            else:
                stream.write(content)
                stream.flush()
        except BrokenPipeError as error:
            # A separate exception, since click would end the process with exit code 1.
            raise NobodyReads from error

    def write_document(self, document: dict[str, object] | BaseModel) -> None:
        """Write the one JSON document of this call."""
        plain = document if isinstance(document, dict) else dump(document)
        self.wrote_document = True
        self.write(json.dumps(plain, indent=2, ensure_ascii=True) + "\n")

    def note(self, line: str) -> None:
        """Write a line of progress."""
        complain(f"{line}\n")

    def engine(self) -> Engine:
        """The engine over the control checkout. Raises UsageFault if there is none."""
        if self._engine is None:
            from pipeline.engine.opening import open_engine

            self._engine = open_engine(self.directory)
        return self._engine

    def control(self) -> Control:
        """The control checkout and its forge, without tools. Raises UsageFault."""
        from pipeline.control.repo import open_control

        return open_control(self.directory)


def complain(text: str, *, colour: bool = False) -> None:
    """Write progress or an error to standard error."""
    click.echo(printed(text, colour=colour), err=True, nl=False, color=colour or None)


def dump(model: BaseModel) -> dict[str, object]:
    """The plain values of a model, as in its JSON document."""
    return model.model_dump(mode="json", by_alias=True)


def session_of(context: click.Context) -> Session:
    """The session of the call that `context` belongs to."""
    found = context.find_object(Session)
    if found is None:
        found = Session()
        context.find_root().obj = found
    return found


def choose_format(context: click.Context, _: click.Parameter, value: str | None) -> None:
    """Take the value of an option `--format`, before or after the command."""
    if value is not None:
        session_of(context).format = value


def format_option(*formats: str) -> Callable[[F], F]:
    """An option `--format` with these formats; `text` is the default.

    It may also come before the command; commands without it then refuse it.
    """

    def decorate(function: F) -> F:
        option = click.option(
            "--format",
            type=click.Choice(formats),
            callback=choose_format,
            expose_value=False,
            help="Output format.  [default: text]",
        )
        return option(function)

    return decorate


pass_session = click.make_pass_decorator(Session)
