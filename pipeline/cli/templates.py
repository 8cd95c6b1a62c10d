"""`pipeline template`: the golden templates that drafts are scaffolded from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, format_option, pass_session

if TYPE_CHECKING:
    from pipeline.templating import TemplateError


@click.group()
def template() -> None:
    """List, lint, render and test golden templates."""


@template.command(name="list")
@format_option("text", "json")
@pass_session
def list_templates(session: Session) -> int:
    """List the golden templates with version, size and digest."""
    from pipeline.models.outputs import TemplateItem, TemplateList
    from pipeline.render.style import table
    from pipeline.templates import LazyTemplates

    found = [template for _, template in sorted(LazyTemplates().items())]
    if session.is_json:
        session.write_document(
            TemplateList(
                items=tuple(
                    TemplateItem(
                        id=f"{t.name}@{t.version}",
                        name=t.name,
                        version=t.version,
                        digest=t.digest,
                        files=len(t.files),
                    )
                    for t in found
                )
            )
        )
        return 0
    rows = [(f"{t.name}@{t.version}", f"{len(t.files)} files", f"tree {t.digest}") for t in found]
    session.write("".join(f"{line}\n" for line in table(rows)))
    session.write("  next     `pipeline schema template NAME` shows its parameters\n")
    return 0


@template.command()
@click.argument("templates", metavar="[TEMPLATE]...", nargs=-1)
@format_option("text", "json")
@pass_session
def lint(session: Session, templates: tuple[str, ...]) -> int:
    """Lint templates: malformed parts, and what Backstage would render differently.

    TEMPLATE is a built-in template's name or a folder; by default all built-in ones.
    """
    from pipeline.models.outputs import TemplateLint, TemplateLintItem
    from pipeline.render.style import Style, counted
    from pipeline.templates import list_builtin_templates
    from pipeline.templates.trial import read_template
    from pipeline.templating import TemplateError

    style = Style(session.colour)
    items: list[TemplateLintItem] = []
    for named in templates or list_builtin_templates():
        try:
            found = read_template(named)
        except TemplateError as error:
            items.append(TemplateLintItem(template=named, reasons=tuple(error.reasons)))
            _write_reasons(session, named, error)
            continue
        items.append(TemplateLintItem(template=named, reasons=()))
        if not session.is_json:
            files = counted(len(found.files), "file")
            session.write(f"{style.good} {found.name}@{found.version}  {files}\n")
    if session.is_json:
        session.write_document(TemplateLint(items=tuple(items)))
    return 1 if any(item.reasons for item in items) else 0


def _write_reasons(session: Session, named: str, error: TemplateError) -> None:
    from pipeline.render.style import Style

    if not session.is_json:
        lines = "".join(f"  {reason}\n" for reason in error.reasons)
        session.write(f"{Style(session.colour).bad} {named}\n{lines}")


@template.command()
@click.argument("named", metavar="TEMPLATE")
@click.option(
    "--values",
    "values_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="YAML file with parameters; missing ones get sample values.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="New or empty folder to write to.",
)
@pass_session
def render(session: Session, named: str, values_file: Path | None, out: Path) -> int:
    """Render a template with given values.

    TEMPLATE is a built-in template's name or a folder. Writes nothing if a value is refused.
    """
    from pipeline.documents import parse_document
    from pipeline.errors import UsageFault
    from pipeline.render.style import Style, counted
    from pipeline.templates.trial import read_template, write_rendered
    from pipeline.templating import GIVEN_VALUES, check_parameters, render_template
    from pipeline.templating.samples import sample_values

    found = read_template(named)
    values = dict(sample_values(found)[0].values)
    if values_file is not None:
        document = parse_document(values_file.name, values_file.read_bytes())
        if not document.ok or not isinstance(document.value, dict):
            reasons = [f"{f.location}: {f.message}" for f in document.findings]
            raise UsageFault("\n  ".join([f"`{values_file}` is not a mapping in YAML", *reasons]))
        own = {name: value for name, value in values.items() if name not in GIVEN_VALUES}
        problems = check_parameters(found, own | document.value)
        for problem in problems:
            place = ".".join(map(str, problem.path))
            session.write(f"{Style(session.colour).bad} {place}: {problem.message}\n")
        if problems:
            return 1
        values |= document.value
    rendered = render_template(found, values)
    write_rendered(out, rendered)
    files = counted(len(rendered), "file")
    session.write(f"{Style(session.colour).good} {found.name}@{found.version}: {files} in {out}\n")
    return 0


@template.command()
@click.argument("templates", metavar="[TEMPLATE]...", nargs=-1)
@click.option("--checks/--no-checks", default=True, help="Also run the result's own checks.")
@pass_session
def test(session: Session, templates: tuple[str, ...], checks: bool) -> int:
    """Render templates with many values and check the results.

    TEMPLATE is a built-in template's name or a folder; by default all built-in ones. The default
    result is also linted, scanned, rendered by its chart and tested in the sandbox.
    """
    from pipeline.render.style import Style, counted
    from pipeline.templates import list_builtin_templates
    from pipeline.templates.trial import read_template, read_trials
    from pipeline.templating import TemplateError

    style = Style(session.colour)
    failed = 0
    for named in templates or list_builtin_templates():
        try:
            found = read_template(named)
            tried = 0
            for trial in read_trials(
                found, checks=checks, say=lambda name: session.note(f"  {name} …")
            ):
                tried += 1
                sign = style.bad if trial.problems else style.good
                session.write(f"  {sign} {trial.name}\n")
                session.write("".join(f"      {line}\n" for line in trial.problems))
                failed += bool(trial.problems)
        except TemplateError as error:
            failed += 1
            _write_reasons(session, named, error)
            continue
        session.write(f"{found.name}@{found.version}: {counted(tried, 'trial')}\n")
    session.write(f"{style.bad if failed else style.good} {counted(failed, 'failure')}\n")
    return 1 if failed else 0
