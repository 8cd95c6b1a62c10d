"""`pipeline sandbox-profile`: lets only the sandbox's program make user namespaces."""

from __future__ import annotations

import click

from pipeline.cli.session import Session, pass_session


@click.command()
@pass_session
def sandbox_profile(session: Session) -> int:
    """Print the AppArmor profile that lets the sandbox work.

    For machines that give user namespaces to known programs alone (Ubuntu from 24.04 on). Load it
    with `pipeline sandbox-profile | sudo apparmor_parser --replace`; it names the file of
    bubblewrap in use, so load it again after an upgrade. Exit code 4 if there is no bubblewrap.
    """
    from pipeline.sandbox.apparmor import render_profile
    from pipeline.sandbox.run import bubblewrap

    session.write(render_profile(bubblewrap().path.resolve()))
    return 0
