"""`pipeline template`: the golden templates that drafts are scaffolded from."""

from __future__ import annotations

import click

from pipeline.cli.session import Session, format_option, pass_session


@click.group()
def template() -> None:
    """List the golden templates."""


@template.command(name="list")
@format_option("text", "json")
@pass_session
def list_templates(session: Session) -> int:
    """List the golden templates with version, size and digest."""
    from pipeline.render.style import table
    from pipeline.templates import LazyTemplates

    found = [template for _, template in sorted(LazyTemplates().items())]
    if session.is_json:
        session.write_document(
            {
                "apiVersion": "pipeline.ameide.io/v1",
                "kind": "TemplateList",
                "items": [
                    {
                        "id": f"{t.name}@{t.version}",
                        "name": t.name,
                        "version": t.version,
                        "digest": t.digest,
                        "files": len(t.files),
                    }
                    for t in found
                ],
            }
        )
        return 0
    rows = [(f"{t.name}@{t.version}", f"{len(t.files)} files", f"tree {t.digest}") for t in found]
    session.write("".join(f"{line}\n" for line in table(rows)))
    session.write("  next     `pipeline schema template NAME` shows its parameters\n")
    return 0
