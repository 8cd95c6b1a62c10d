"""Forgeries that no clone can show, each with the party that the audit has to trust."""

from __future__ import annotations

from pipeline.models.facts import Observed
from tests.support.forgeries.ways import PROD, Forgery, reviewed
from tests.support.state_writer import OTHER, Forger


def healthy_instead(f: Forger) -> None:
    """Record another health in the newest observation."""
    seen = f.facts()[-1].body
    assert isinstance(seen, Observed)
    told = seen.observation.model_copy(update={"health": "Degraded"})
    f.retell_body(len(f.facts()), observation=told)


def other_pull(f: Forger) -> None:
    """Record another reason for the end of the newest draft."""
    f.retell_body(4, OTHER, reason="pull request local:other was closed without a merge")


TRUSTED = (
    Forgery("another health", healthy_instead, trust="how a release does in its cluster"),
    Forgery(
        "another run of the newest fact",
        lambda f: f.retell_cause(len(f.facts()), run="run-2"),
        trust="which account asked, and in which run",
    ),
    Forgery("another end", other_pull, trust="a pull request that was closed without a merge"),
    Forgery(
        "prod approved by the other release manager, on the forge as well",
        reviewed(PROD, 1502, 1601),
        trust="who opened, pushed and reviewed a request",
    ),
)
