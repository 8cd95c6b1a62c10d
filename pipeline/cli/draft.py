"""`pipeline draft`: requests a primitive, reads and changes its files, shows its status."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.asking import asking_options, bring, require_asking_options
from pipeline.cli.session import Session, format_option, pass_session
from pipeline.errors import UsageFault

if TYPE_CHECKING:
    from pipeline.api import DraftFiles
    from pipeline.models.requests import FileChange
    from pipeline.templating import Template

STDIN_BYTES_MAXIMUM = 1024 * 1024


@click.group()
def draft() -> None:
    """Request a primitive, read and change its files, show its status."""


@draft.command()
@click.argument("draft", metavar="TENANT/PRIMITIVE")
@click.option(
    "--template",
    required=True,
    metavar="NAME[@VERSION]",
    help="Golden template; the newest version by default.",
)
@click.option(
    "--origin",
    required=True,
    type=click.Choice(["platform", "tenant", "agent"]),
    help="Who writes the code.",
)
@click.option("--description", help="One line: its purpose.")
@click.option("--owner", help="The team that owns it.")
@click.option(
    "--entity", "entities", multiple=True, help="An entity that it stores; may be repeated."
)
@click.option(
    "--design-ref",
    "design_refs",
    multiple=True,
    metavar="REF",
    help="A design that it implements; may be repeated.",
)
@click.option("--param", "params", multiple=True, metavar="NAME=VALUE", help="Another parameter.")
@click.option(
    "--risk-tier",
    type=click.Choice(["LOW", "MEDIUM", "HIGH", "CRITICAL"]),
    help="Risk tier, if higher than the tenant's.",
)
@asking_options
@format_option("text", "json")
@pass_session
def create(
    session: Session,
    draft: str,
    template: str,
    origin: str,
    description: str | None,
    owner: str | None,
    entities: tuple[str, ...],
    design_refs: tuple[str, ...],
    params: tuple[str, ...],
    risk_tier: str | None,
    submit: bool,
    account: str | None,
    replace: bool,
) -> int:
    """Request a new primitive, scaffolded from a golden template.

    `pipeline schema template NAME` shows a template's parameters. Write a list as JSON or separated
    by commas.
    """
    require_asking_options(submit, account, replace)
    from pipeline import api
    from pipeline.models.draft_id import parse_draft_id
    from pipeline.render.requests import render_proposal
    from pipeline.render.style import Style

    engine = session.engine()
    id = parse_draft_id(draft)
    found = engine.templates.get(template.partition("@")[0])
    parameters: dict[str, object] = {}
    for name, value in (("description", description), ("owner", owner)):
        if value is not None:
            parameters[name] = value
    if entities:
        parameters["entities"] = list(entities)
    parameters |= _parameters(params, found)
    new = api.NewDraft(
        tenant_id=id.tenant,
        primitive_id=id.primitive,
        template_id=template,
        code_origin=origin,
        design_refs=design_refs,
        parameters=parameters,
        risk_tier=risk_tier,  # type: ignore[arg-type]  # one of the option's choices
    )
    request = api.create_primitive_implementation_draft(engine, new)
    document = bring(session, request, account=account, replace=replace)
    if session.is_json:
        session.write_document(document)
    else:
        headline = (
            f"{draft} would be made from {template.partition('@')[0]}, code of origin {origin}"
        )
        session.write(render_proposal(document, headline, Style(session.colour)))
    return 0


def _parameters(given: Sequence[str], template: Template | None) -> dict[str, object]:
    """The values of `--param NAME=VALUE`, each parsed by the template's schema."""
    properties = template.parameters.get("properties") if template else None
    known: Mapping[str, object] = properties if isinstance(properties, Mapping) else {}
    parameters: dict[str, object] = {}
    for item in given:
        name, equals, text = item.partition("=")
        if not equals or not name:
            raise UsageFault(f"`--param {item}` is not NAME=VALUE")
        schema = known.get(name)
        type = schema.get("type") if isinstance(schema, Mapping) else None
        if type == "array" and not text.startswith("["):
            parameters[name] = [part.strip() for part in text.split(",") if part.strip()]
        elif type in {"array", "integer", "number", "boolean", "object"}:
            try:
                parameters[name] = json.loads(text)
            except ValueError as error:
                raise UsageFault(f"`{name}` must be a JSON {type}, not `{text}`") from error
        else:
            parameters[name] = text
    return parameters


@draft.command()
@click.argument("draft", metavar="DRAFT")
@click.option("--path", "paths", multiple=True, help="Only this file; may be repeated.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Write the files into this new or empty folder.",
)
@format_option("text", "json")
@pass_session
def files(session: Session, draft: str, paths: tuple[str, ...], output: Path | None) -> int:
    """Read a draft's files from its branch.

    Lists the files by default; --path prints one, --output writes them. JSON includes all contents.
    """
    from pipeline import api

    found = api.get_primitive_draft_files(session.engine(), draft, paths=paths)
    if output is not None:
        _write_files(output, found)
    if session.is_json:
        from pipeline.models.outputs import DraftFilesDocument, FileItem

        items = tuple(
            FileItem(
                path=path,
                executable=mode == 0o100755,
                size_bytes=len(content),
                **_text_or_base64(content),
            )
            for path, (mode, content) in found.files.items()
        )
        session.write_document(
            DraftFilesDocument(draft=found.draft, commit=found.commit, files=items)
        )
    elif output is not None:
        session.write(
            f"✓ {len(found.files)} files of {draft} at {found.commit[:12]}\n"
            f"  written  {output}\n"
            f"  next     `pipeline draft update {draft} --write PATH=FILE --summary …`\n"
        )
    elif len(paths) == 1:
        session.write_content(found.files[paths[0]][1])
    else:
        session.write(f"✓ {len(found.files)} files of {draft} at {found.commit[:12]}\n")
        session.write("".join(f"  {path}\n" for path in found.files))
    return 0


def _text_or_base64(content: bytes) -> dict[str, str]:
    try:
        return {"content": content.decode()}
    except UnicodeDecodeError:
        return {"content_base64": base64.b64encode(content).decode()}


def _write_files(output: Path, found: DraftFiles) -> None:
    from pipeline.templating.files import is_safe_path

    if output.exists() and any(output.iterdir()):
        raise UsageFault(f"`{output}` is not empty", help="name a new folder")
    for path, (mode, content) in found.files.items():
        if not is_safe_path(path) or mode not in {0o100644, 0o100755}:
            raise UsageFault(f"the draft holds `{path}`, which is not written to a disk")
        target = output / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        target.chmod(0o755 if mode == 0o100755 else 0o644)


@draft.command()
@click.argument("draft", metavar="DRAFT")
@click.option("--summary", required=True, help="One line: what the changes do.")
@click.option("--write", "writes", multiple=True, metavar="PATH=FILE", help="Create or replace.")
@click.option("--delete", "deletes", multiple=True, metavar="PATH", help="Remove a file.")
@click.option(
    "--from",
    "source",
    metavar="FILE",
    help="A YAML file with a list `changes`, as in a DraftPatch; `-` reads standard input.",
)
@click.option("--base", metavar="COMMIT", help="Commit that the changes were made against.")
@asking_options
@format_option("text", "json")
@pass_session
def update(
    session: Session,
    draft: str,
    summary: str,
    writes: tuple[str, ...],
    deletes: tuple[str, ...],
    source: str | None,
    base: str | None,
    submit: bool,
    account: str | None,
    replace: bool,
) -> int:
    """Request a change of a draft's files.

    PATH is relative to the primitive's folder. The patch is stale if one of its files changed since
    --base (default: the branch's head).
    """
    require_asking_options(submit, account, replace)
    from pipeline import api
    from pipeline.models.draft_id import parse_draft_id
    from pipeline.render.requests import render_proposal
    from pipeline.render.style import Style
    from pipeline.requests.layout import draft_folder

    changes = _changes(writes, deletes, source)
    if not changes:
        raise click.UsageError("nothing to change: give --write, --delete or --from")
    engine = session.engine()
    folder = engine.control.directory / draft_folder(parse_draft_id(draft))
    known = {
        path.stem: path.read_bytes()
        for path in sorted((folder / "patches").glob("[0-9]*.yaml"))
        if not submit and path.is_file()
    }
    request = api.update_primitive_draft_files(
        engine, draft, changes, summary=summary, base_commit=base, known=known
    )
    document = bring(session, request, account=account, replace=replace)
    if session.is_json:
        session.write_document(document)
    else:
        number = Path(request.path).stem
        headline = f"patch {number} of {draft}: {summary}"
        session.write(render_proposal(document, headline, Style(session.colour)))
    return 0


def _changes(writes: Sequence[str], deletes: Sequence[str], source: str | None) -> list[FileChange]:
    from pipeline.models.requests import DeleteFile

    changes = list(_read_changes(source)) if source else []
    for item in writes:
        path, equals, name = item.partition("=")
        if not equals or not path or not name:
            raise UsageFault(f"`--write {item}` is not PATH=FILE")
        changes.append(_write_change(path, Path(name)))
    changes += [DeleteFile(op="delete", path=path) for path in deletes]
    return changes


def _write_change(path: str, file: Path) -> FileChange:
    """The change that writes a local file's bytes: as text if a request may contain it."""
    from pipeline.characters import FORBIDDEN_IN_VALUE
    from pipeline.models.requests import WriteFile

    try:
        content = file.read_bytes()
        executable = bool(file.stat().st_mode & 0o100)
    except OSError as error:
        raise UsageFault(f"`{file}` cannot be read: {error.strerror}") from error
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = None
    if text is None or FORBIDDEN_IN_VALUE.search(text):
        encoded = base64.b64encode(content).decode()
        return WriteFile(op="write", path=path, content_base64=encoded, executable=executable)
    return WriteFile(op="write", path=path, content=text, executable=executable)


def _read_changes(source: str) -> Sequence[FileChange]:
    from pydantic import ValidationError

    from pipeline.api import ChangeList
    from pipeline.documents import findings_of_validation_error, parse_document
    from pipeline.errors import Refused

    if source == "-":
        content = sys.stdin.buffer.read(STDIN_BYTES_MAXIMUM + 1)
    else:
        try:
            content = Path(source).read_bytes()
        except OSError as error:
            raise UsageFault(f"`{source}` cannot be read: {error.strerror}") from error
    document = parse_document(source, content)
    if document.findings:
        raise Refused(f"`{source}` is refused", tuple(document.findings))
    try:
        return ChangeList.model_validate_json(json.dumps(document.value)).changes
    except ValidationError as error:
        findings = tuple(findings_of_validation_error(error, document, ChangeList))
        raise Refused(f"`{source}` holds no list of changes", findings) from error


@draft.command(name="list")
@click.option("--tenant", metavar="ID", help="Only drafts of this tenant.")
@format_option("text", "json")
@pass_session
def list_drafts(session: Session, tenant: str | None) -> int:
    """List all drafts on main with their states."""
    from pipeline.cli.status import write_list

    return write_list(session, tenant)


@draft.command()
@click.argument("draft", metavar="DRAFT")
@format_option("text", "json")
@pass_session
def status(session: Session, draft: str) -> int:
    """Show a draft's state, pull request, patches and promotions."""
    from pipeline.cli.status import write_one

    return write_one(session, draft)
