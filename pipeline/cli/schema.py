"""`pipeline schema`: prints the published JSON Schemas."""

from __future__ import annotations

import click

from pipeline.cli.session import Session, pass_session
from pipeline.errors import UsageFault


@click.command()
@click.argument("kind", required=False)
@click.argument("name", required=False)
@pass_session
def schema(session: Session, kind: str | None, name: str | None) -> int:
    """Print the JSON Schema of a kind or of a template's parameters.

    KIND is a kind such as `Promotion`, or `template` followed by a template's NAME. Without it,
    the kinds are listed. Schemas are draft-07, as editors read them.
    """
    from pipeline.models.outputs import SchemaItem, SchemaList
    from pipeline.publish.schemas import SCHEMAS, render_schema, schema_of

    if kind == "template":
        from pipeline.render.json import render_json
        from pipeline.templates import read_builtin_template

        if name is None:
            raise click.UsageError("name the template: `pipeline schema template NAME`")
        wanted, _, version = name.partition("@")
        session.write(render_json(read_builtin_template(wanted, version or None).parameters))
        return 0
    if name is not None:
        raise click.UsageError("a second name goes with `template` alone")
    if kind is None:
        if session.is_json:
            items = [
                SchemaItem(kind=k, file=f"schemas/{s}.schema.json") for k, s in SCHEMAS.items()
            ]
            session.write_document(SchemaList(items=tuple(items)))
        else:
            session.write("".join(f"{k:<30} schemas/{s}.schema.json\n" for k, s in SCHEMAS.items()))
        return 0
    by_name = {k.lower(): k for k in SCHEMAS} | {stem: k for k, stem in SCHEMAS.items()}
    found = by_name.get(kind.lower())
    if found is None:
        raise UsageFault(f"there is no kind `{kind}`", help=f"kinds are {', '.join(SCHEMAS)}")
    session.write(render_schema(schema_of(found)))
    return 0
