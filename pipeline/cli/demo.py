"""`pipeline demo`: the main job as a story."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.session import Session, pass_session


@click.command()
@click.option(
    "--root",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".demo"),
    show_default=True,
    help="Where to create the repositories; replaces an earlier demo.",
)
@pass_session
def demo(session: Session, root: Path) -> int:
    """Tell the main job as a story, on real repositories in .demo/.

    One request goes from a YAML file to production; each step shows the command that a user
    would type. The repositories are kept afterwards.
    """
    from pipeline.cli.main import main
    from pipeline.demo.main import run_demo

    run_demo(session.directory / root, main)
    return 0
