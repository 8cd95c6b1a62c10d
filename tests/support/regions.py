"""A control repo with two production regions behind a canary, and a story that goes to the end.

dev → staging → canary → prod-eu and prod-us; a draft is in production once both regions run it.
"""

from __future__ import annotations

from pathlib import Path

from pipeline.models.requests import EnvironmentName
from pipeline.requests.layout import environment_path
from tests.support.fact_history import ENGINEER_ID, RELEASE_MANAGERS, SECURITY_ID
from tests.support.samples import DRAFT
from tests.support.story import SOURCE, Story, policy_files
from worlds.control_repo import create_control

REGIONS = ("prod-eu", "prod-us")
ORDER = ("dev", "staging", "canary", *REGIONS)
_APPROVERS = (RELEASE_MANAGERS[0], SECURITY_ID)


def region_files() -> dict[str, bytes]:
    """The samples' policy with a canary and two regions in the place of prod."""
    files = policy_files()
    prod = files.pop(environment_path("prod")).decode()
    files[environment_path("canary")] = _like(prod, "canary", "staging", required=False)
    for region in REGIONS:
        files[environment_path(region)] = _like(prod, region, "canary", required=True)
    return files


def _like(prod: str, name: str, source: str, *, required: bool) -> bytes:
    said = f"environment: {name}\nstage: prod\nrequired: {str(required).lower()}\n"
    text = prod.replace("environment: prod\n", said).replace("[staging]", f"[{source}]")
    assert said in text and f"[{source}]" in text
    return text.encode()


def begin_regions(root: Path) -> Story:
    """The story before anybody asked for anything."""
    root.mkdir(parents=True, exist_ok=True)
    create_control(root, region_files())
    return Story.open(root)


def until_staging(world: Story) -> None:
    """One patched release, which staging runs and whose code was merged."""
    world.ask_for_draft()
    world.go()
    world.write("0001", f"{SOURCE}/routing.py", "QUICK = 1\n")
    world.go()
    bring(world, "dev")
    world.take_over()
    bring(world, "staging")


def bring(world: Story, environment: EnvironmentName) -> None:
    """Ask for the release to run there, approved by all who must, and let it."""
    ask(world, environment)
    world.go()


def ask(world: Story, environment: EnvironmentName) -> None:
    """Ask for the release to run there, approved by all who must."""
    approvers = {"dev": (ENGINEER_ID,), "staging": RELEASE_MANAGERS[:1]}
    world.ask(DRAFT, environment, *approvers.get(environment, _APPROVERS))
