"""The state that a promotion leads a draft to, by the stages of environments. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.models.draft_state import STATE_OF_STAGE, DraftState, higher_state
from pipeline.models.facts import Release
from pipeline.models.requests import Environment
from pipeline.models.status import DraftStatus


def state_reached(
    status: DraftStatus, environments: Mapping[str, Environment], name: str, release: Release
) -> DraftState:
    """The state of a draft once an environment runs a release.

    It is the state of the environment's stage, once all required environments of that stage run the
    same image; if none is required, one of them is enough. The state never falls. An environment
    that policy no longer has does not change it.
    """
    environment = environments.get(name)
    if environment is None:
        return status.state
    running = {p.environment: p.release.digest for p in status.promotions}
    running[name] = release.digest
    required = [n for n, e in environments.items() if e.required and e.stage == environment.stage]
    if any(running.get(each) != release.digest for each in required):
        return status.state
    return higher_state(status.state, STATE_OF_STAGE[environment.stage])
