"""The story of the main job as data: chapters, and the commands that a user would type.

The demo tells it, the crash sweep interrupts it at every effect, the race runs parts of it at once:
one story, so what is shown is what is tested. Pull request numbers are known, since the same
operations give the same numbers.
"""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.models.draft_id import DraftId

DRAFT = DraftId("acme/order-router")
TENANT = "acme"
AGENT = "acme-agent[bot]"
ENGINEER = "acme-engineer-1"
RELEASE_MANAGER = "release-manager-1"
SECURITY = "security-reviewer-1"

ROUTING = '''"""Which partner delivers an order: the first of those that can, by lead time."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Partner:
    """A partner, the days it needs, and the regions that it delivers to."""

    name: str
    lead_time_days: int
    regions: frozenset[str]


def choose_partner(region: str, partners: list[Partner]) -> Partner | None:
    """The quickest partner that delivers to the region; names decide between equals."""
    able = [partner for partner in partners if region in partner.regions]
    return min(able, key=lambda p: (p.lead_time_days, p.name), default=None)
'''

TEST_ROUTING = """from {package}.routing import Partner, choose_partner

NORTH = Partner("north", 2, frozenset({{"se", "no"}}))
QUICK = Partner("quick", 1, frozenset({{"se"}}))


def test_quickest_partner_of_the_region_is_chosen():
    assert choose_partner("se", [NORTH, QUICK]) == QUICK
    assert choose_partner("no", [NORTH, QUICK]) == NORTH


def test_no_partner_for_a_region_that_nobody_delivers_to():
    assert choose_partner("de", [NORTH, QUICK]) is None
"""


# The second release: of two equals, the one that delivers to more regions.
NEXT_ROUTING = ROUTING.replace(
    "names decide between equals", "regions, then names decide between equals"
).replace("(p.lead_time_days, p.name)", "(p.lead_time_days, -len(p.regions), p.name)")


def leaked_settings() -> str:
    """A file by a careless agent; the key belongs to nobody and is composed here."""
    key = "AKIA" + "Q3EGRTLXPWN7Y2KD"
    return f'"""Settings of the partner API."""\n\nAWS_ACCESS_KEY_ID = "{key}"\n'


CLEAN_SETTINGS = """import os

AWS_ACCESS_KEY_ID = os.environ["AWS_ACCESS_KEY_ID"]
"""


@dataclass(frozen=True, slots=True)
class Command:
    """One command: the arguments after `pipeline`, and the expected exit code."""

    arguments: tuple[str, ...]
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Write:
    """A file of the checkout that a person writes, or adds lines to."""

    path: str
    text: str
    appends: bool = False


@dataclass(frozen=True, slots=True)
class Chapter:
    """One step of the story: what happens, why it matters, and the commands."""

    title: str
    text: str
    commands: tuple[Command | Write, ...]


def command(line: str, *more: str, exit_code: int = 0) -> Command:
    """The command of one line, and arguments with blanks."""
    return Command((*line.split(), *more), exit_code)


def ask_review(pull: str, who: str, *, merge: bool = True) -> Command:
    """Somebody approves a pull request, and merges it."""
    return Command(("review", "approve", pull, "--as", who, *(("--merge",) if merge else ())))


def patch(summary: str, *writes: str, exit_code: int = 0) -> Command:
    """The agent's patch of its draft; `writes` are PATH=FILE."""
    files = [part for write in writes for part in ("--write", write)]
    asked = [*f"draft update {DRAFT} --summary".split(), summary, *files]
    return Command((*asked, "--submit", "--as", AGENT), exit_code)


def ask_promotion(environment: str, reason: str, *more: str) -> Command:
    """The agent's request to run the release in an environment."""
    asked = [*f"promote request {DRAFT} --env {environment} --reason".split(), reason]
    return Command((*asked, *more, "--submit", "--as", AGENT))


def run_tenant() -> Command:
    """The pipeline does what is due."""
    return command(f"run --tenant {TENANT}")


def _asked() -> tuple[Chapter, ...]:
    """A primitive is requested and scaffolded."""
    return (
        Chapter(
            "An agent asks for a new primitive",
            "The agent holds no Git credential: its request becomes a pull request of a bot "
            "account in the control repo. An engineer of the tenant reads and merges it.",
            (
                command(
                    f"draft create {DRAFT} --template domain --origin agent --owner acme-engineers",
                    "--description",
                    "Routes orders to the partner that can deliver first",
                    *["--entity", "order", "--entity", "route"],
                    *["--design-ref", "process-definition/order-to-cash@3", "--submit", "--as"],
                    AGENT,
                ),
                ask_review("control#1", ENGINEER),
            ),
        ),
        Chapter(
            "Provision and scaffold",
            "The merged request is the intent. The pipeline plans the difference to the world "
            "and applies it: two repositories, the golden template on a branch, a pull request.",
            (
                command(f"plan --tenant {TENANT}"),
                run_tenant(),
                command(f"draft status {DRAFT}"),
            ),
        ),
    )


def _written(package: str, work: str) -> tuple[Chapter, ...]:
    """Code comes in patches; one of them is refused."""
    source = f"src/{package}"
    return (
        Chapter(
            "The agent writes code through patches",
            "Both patches were made against the scaffold. The second one carries a credential: it "
            "is refused before anything is pushed, and its pull request would be. The agent takes "
            "the credential out; what is left touches a file that the first patch writes.",
            (
                patch(
                    "Choose the quickest partner",
                    f"{source}/routing.py={work}/routing.py",
                    f"tests/test_routing.py={work}/test_routing.py",
                ),
                ask_review("control#2", ENGINEER),
                patch(
                    "Read partners from the API",
                    f"{source}/routing.py={work}/other_routing.py",
                    f"{source}/partner_api.py={work}/leaked_settings.py",
                    exit_code=1,
                ),
                patch(
                    "Read partners from the API",
                    f"{source}/routing.py={work}/other_routing.py",
                    f"{source}/partner_api.py={work}/partner_api.py",
                ),
                ask_review("control#3", ENGINEER),
            ),
        ),
        Chapter(
            "Apply, refuse, check",
            "The good patch is committed and checked: lint, tests and secret scan, in a sandbox "
            "without network or credentials. The other one is kept with the reasons against it.",
            (run_tenant(), command(f"draft status {DRAFT}")),
        ),
    )


def _tried() -> tuple[Chapter, ...]:
    """The release runs in dev; prod refuses it."""
    return (
        Chapter(
            "Put this in test",
            "dev's policy names no approvers, so one of the tenant's engineers approves, and the "
            "source commit is enough. The image is built once, and policy merges the overlay.",
            (
                ask_promotion("dev", "Put this in test"),
                ask_review("control#4", ENGINEER),
                run_tenant(),
            ),
        ),
        Chapter(
            "Production is refused: staging has not run it",
            "The same gate that guards every write answers before anybody is asked to approve.",
            (
                Command(
                    (*f"promote request {DRAFT} --env prod --reason".split(), "Peak season"),
                    exit_code=1,
                ),
            ),
        ),
    )


def _released() -> tuple[Chapter, ...]:
    """The release goes through staging to prod."""
    return (
        Chapter(
            "The tenant's engineers take the code over",
            "staging and prod ask that the source is on the default branch of the tenant's repo.",
            (ask_review("tenant-acme-controllers#1", ENGINEER),),
        ),
        Chapter(
            "Staging, with one approval",
            "The request pins digest and overlay tree. Who approves it approves exactly that.",
            (
                ask_promotion("staging", "Rehearse peak season"),
                ask_review("control#5", RELEASE_MANAGER),
                run_tenant(),
            ),
        ),
        Chapter(
            "Production, with two approvals",
            "One approval is not enough: nothing is merged before both teams have approved.",
            (
                ask_promotion("prod", "Peak season routing"),
                ask_review("control#6", RELEASE_MANAGER, merge=False),
                command(f"review merge control#6 --as {RELEASE_MANAGER}", exit_code=1),
                ask_review("control#6", SECURITY),
                run_tenant(),
                command(f"why {DRAFT} --env prod"),
            ),
        ),
    )


def _observed(work: str) -> tuple[Chapter, ...]:
    """Running releases are reported and looked up."""
    return (
        Chapter(
            "Observe",
            "What the delivery tool reports is recorded too.",
            (
                Command(("run", "--tenant", TENANT, "--observations", f"{work}/observations.yaml")),
                command(f"audit log {DRAFT}"),
                command(f"audit provenance {DRAFT}"),
            ),
        ),
    )


def chapters(package: str, work: str) -> tuple[Chapter, ...]:
    """The whole story. `package` is the service's package, `work` the folder of its new files."""
    return (
        *_asked(),
        *_written(package, work),
        *_tried(),
        *_released(),
        *_observed(work),
    )
