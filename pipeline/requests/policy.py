"""Rules of policy: the platform, its tenants and its environments."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import names
from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.documents import ParsedDocument
from pipeline.models.base import API_VERSION
from pipeline.models.draft_state import STAGES
from pipeline.models.requests import (
    Acknowledgement,
    ApprovalPolicy,
    Environment,
    Platform,
    Sku,
    Tenant,
)
from pipeline.requests.acknowledgements import ABOUT_COMMITS, ABOUT_FACTS
from pipeline.requests.identity import draft_example
from pipeline.requests.order import EnvironmentPlace, comes_before, is_first, is_reached
from pipeline.requests.snapshot import Snapshot, places_of
from pipeline.requests.windows import check_windows

TENANT_ID_RESERVED = register(
    Rule(
        id="tenant-id-reserved",
        summary="A tenant's id is not a word used in the platform's names.",
        why="a tenant named `dev`, `base` or like the platform would make names ambiguous",
        fix="choose another id",
        subject=Subject.REQUEST,
        fails=f"""# file: tenants/staging/tenant.yaml
apiVersion: {API_VERSION}
kind: Tenant
tenant_id: staging
sku: Shared
custom_code: true
risk_tier: LOW
owners: [platform-engineers]
cost_centre: CC-1
""",
        passes=f"""# file: tenants/northwind/tenant.yaml
apiVersion: {API_VERSION}
kind: Tenant
tenant_id: northwind
sku: Shared
custom_code: true
risk_tier: LOW
owners: [platform-engineers]
cost_centre: CC-1
""",
    )
)
PLATFORM_NAME = register(
    Rule(
        id="platform-name",
        summary="The platform's name can't be mistaken for a name derived from a tenant.",
        why="a platform named `tenant-a` would own the repositories of a tenant `a`",
        fix="choose a name that doesn't start with `tenant` or end in a stage's name",
        subject=Subject.REQUEST,
        fails=f"""# file: environments/platform.yaml
apiVersion: {API_VERSION}
kind: Platform
platform: tenant-acme
organisation: ameide
registry: {{prefix: registry.example.com/ameide}}
accounts:
  - {{id: 1, login: primitive-pipeline, kind: pipeline}}
owners: [platform-engineers]
""",
        passes=f"""# file: environments/platform.yaml
apiVersion: {API_VERSION}
kind: Platform
platform: ameide
organisation: ameide
registry: {{prefix: registry.example.com/ameide}}
accounts:
  - {{id: 1, login: primitive-pipeline, kind: pipeline}}
  - {{id: 2, login: platform-engineer, kind: person, teams: [platform-engineers, acme-engineers]}}
owners: [platform-engineers]
""",
    )
)
PLATFORM_ACCOUNTS = register(
    Rule(
        id="platform-accounts",
        summary="Accounts have distinct ids and logins; exactly one is the pipeline's.",
        why="approvals are counted by id, and only one account writes what the pipeline owns",
        fix="give each account its own id and login, and exactly one `kind: pipeline`",
        subject=Subject.REQUEST,
        fails=PLATFORM_NAME.passes.replace("id: 2", "id: 1"),
        passes=PLATFORM_NAME.passes,
    )
)
OWNER_UNKNOWN = register(
    Rule(
        id="owner-unknown",
        summary="`parameters.owner` is a known team that owns the tenant, or the platform for "
        "its code.",
        why="an owner without members means that nobody gets asked",
        fix="name a team that has accounts in `environments/platform.yaml`",
        subject=Subject.REQUEST,
        fails=draft_example().replace("owner: acme-engineers", "owner: strangers"),
        passes=draft_example(),
    )
)
ENVIRONMENT_DEFINITION = register(
    Rule(
        id="environment-definition",
        summary="Environments promote from existing ones, without cycles, and a way leads to each "
        "from an environment of the first stage.",
        why="a cycle or a gap would let a release skip an environment, or never come to one",
        fix="name existing environments in `promotes_from`, without a cycle; only environments of "
        "the first stage promote from nowhere",
        subject=Subject.REQUEST,
        fails=f"""# file: environments/dev/environment.yaml
apiVersion: {API_VERSION}
kind: Environment
environment: dev
promotes_from: [prod]
""",
        passes=f"""# file: environments/dev/environment.yaml
apiVersion: {API_VERSION}
kind: Environment
environment: dev
""",
    )
)
_CANARY = f"""# file: environments/canary/environment.yaml
apiVersion: {API_VERSION}
kind: Environment
environment: canary
stage: {{stage}}
promotes_from: [{{source}}]
required_checks: [tests]
"""
ENVIRONMENT_STAGE_BACKWARDS = register(
    Rule(
        id="environment-stage-backwards",
        summary="No environment promotes from one of a later stage: dev, then staging, then prod.",
        why="what production runs would come back as if it were being tested",
        fix="correct `stage`, or promote from an environment of the same or an earlier stage",
        subject=Subject.REQUEST,
        fails=_CANARY.format(stage="staging", source="prod"),
        passes=_CANARY.format(stage="prod", source="staging"),
    )
)
ENVIRONMENT_NAME_TOO_LONG = register(
    Rule(
        id="environment-name-too-long",
        summary="Every name that an environment's name goes into fits its limit.",
        why="shortened names can collide, so they are refused before anything is created",
        fix="choose a shorter name for the environment",
        subject=Subject.REQUEST,
        fails=_CANARY.replace("canary", "production-in-the-north-of-europe-1").format(
            stage="prod", source="staging"
        ),
        passes=_CANARY.format(stage="prod", source="staging"),
    )
)
ENVIRONMENT_CLUSTER_UNUSED = register(
    Rule(
        id="environment-cluster-unused",
        summary="An environment names a cluster only if its form of delivery does.",
        why="an ApplicationSet decides itself where overlays go, so the name would change nothing",
        fix="delete `cluster`, or set `delivery` to `application`, `helmrelease` or "
        "`kustomization`",
        subject=Subject.REQUEST,
        fails=_CANARY.format(stage="prod", source="staging") + "cluster: eu-1\n",
        passes=_CANARY.format(stage="prod", source="staging")
        + "cluster: eu-1\ndelivery: application\n",
    )
)
ENVIRONMENT_SOAK_UNUSED = register(
    Rule(
        id="environment-soak-unused",
        summary="An environment asks for a soak only if it promotes from another one.",
        why="a soak is time in an environment before, so where none comes before it asks nothing",
        fix="delete `soak`, or name an environment in `promotes_from`",
        subject=Subject.REQUEST,
        fails=f"""# file: environments/dev/environment.yaml
apiVersion: {API_VERSION}
kind: Environment
environment: dev
soak: {{hours: 24}}
""",
        passes=_CANARY.format(stage="prod", source="staging") + "soak: {hours: 24}\n",
    )
)
NAMESPACES_CLASH = register(
    Rule(
        id="namespaces-clash",
        summary="No two pairs of a tenant and an environment have the same namespace.",
        why="code of one tenant would run in the namespace of another one, or of another "
        "environment",
        fix="rename the tenant or the environment, so that the two names joined by `-` differ",
        subject=Subject.SCENARIO,
        fails="tenants `acme` and `acme-eu`, environments `prod` and `eu-prod`",
        passes="tenants `acme` and `globex-eu`, environments `prod` and `eu-prod`",
    )
)


_PROD = f"""# file: environments/prod/environment.yaml
apiVersion: {API_VERSION}
kind: Environment
environment: prod
promotes_from: [staging]
required_checks: {{checks}}
"""
ENVIRONMENT_UNGATED = register(
    Rule(
        id="environment-ungated",
        summary="An environment of stage staging or prod promotes from another and requires a "
        "check.",
        why="where nothing is asked for, everything passes: 0 of 0 checks, no environment before",
        fix="name what it promotes from, and at least one of `required_checks`",
        subject=Subject.REQUEST,
        fails=_PROD.format(checks="[]"),
        passes=_PROD.format(checks="[tests]"),
    )
)
_APPROVALS = f"""# file: environments/dev/environment.yaml
apiVersion: {API_VERSION}
kind: Environment
environment: dev
approvals:
  LOW: {{{{count: {{count}}, teams: [release-managers, security], each_team: true}}}}
"""
APPROVALS_OUT_OF_REACH = register(
    Rule(
        id="approvals-out-of-reach",
        summary="There are enough people in the approving teams to give what is asked for.",
        why="what nobody can approve never runs, and the first who needs it weakens the policy",
        fix="ask for fewer, or put people into the teams; `each_team` needs as many as teams",
        subject=Subject.REQUEST,
        fails=_APPROVALS.format(count=6),
        passes=_APPROVALS.format(count=2),
    )
)
_ACKNOWLEDGEMENT = f"""# file: environments/acknowledgements/late-hotfix.yaml
apiVersion: {API_VERSION}
kind: Acknowledgement
acknowledgement: late-hotfix
repository: tenant-acme-gitops
{{named}}
reason: An engineer tried a log level by hand; access was taken back
"""
ACKNOWLEDGEMENT_NAMES_NOTHING = register(
    Rule(
        id="acknowledgement-names-nothing",
        summary="An acknowledgement names commits or findings about facts, nothing else.",
        why="what lies in a repository now has to be corrected, not explained",
        fix="name commits by their full id, or a finding by the code and place that the audit "
        "prints",
        subject=Subject.REQUEST,
        fails=_ACKNOWLEDGEMENT.format(
            named="findings: [{code: audit-overlay-tree, at: 'state/acme:drafts/a/status.yaml'}]"
        ),
        passes=_ACKNOWLEDGEMENT.format(named="commits: [0123456789abcdef0123456789abcdef01234567]"),
    )
)


def check_acknowledgement(
    acknowledgement: Acknowledgement, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings for an acknowledgement that settles nothing, or something it cannot settle."""
    if not acknowledgement.commits and not acknowledgement.findings:
        at = document.position_of(("repository",))
        yield ACKNOWLEDGEMENT_NAMES_NOTHING.finding("it names neither a commit nor a finding", at)
    for index, settled in enumerate(acknowledgement.findings):
        if settled.code in ABOUT_FACTS:
            continue
        at = document.position_of(("findings", index, "code"))
        by = "by its commit" if settled.code in ABOUT_COMMITS else "by nothing but a remedy"
        yield ACKNOWLEDGEMENT_NAMES_NOTHING.finding(f"`{settled.code}` is settled {by}", at)


def check_platform(
    platform: Platform, snapshot: Snapshot, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings for the platform's own file."""
    if not names.is_platform_name(platform.platform):
        yield PLATFORM_NAME.finding(
            f"`{platform.platform}` can be taken for a derived name",
            document.position_of(("platform",)),
        )
    seen_ids: set[int] = set()
    seen_logins: set[str] = set()
    for index, account in enumerate(platform.accounts):
        if account.id in seen_ids:
            yield PLATFORM_ACCOUNTS.finding(
                f"id {account.id} is given twice", document.position_of(("accounts", index, "id"))
            )
        if account.login.lower() in seen_logins:
            yield PLATFORM_ACCOUNTS.finding(
                f"login `{account.login}` is given twice",
                document.position_of(("accounts", index, "login")),
            )
        seen_ids.add(account.id)
        seen_logins.add(account.login.lower())
    writers = sum(a.kind == "pipeline" for a in platform.accounts)
    if writers != 1:
        yield PLATFORM_ACCOUNTS.finding(
            f"{writers} accounts are `kind: pipeline`; exactly one must be",
            document.position_of(("accounts",)),
        )
    yield from _check_teams(platform.owners, platform, document, ("owners",))
    for lane, teams in platform.lanes.items():
        yield from _check_teams(teams, platform, document, ("lanes", lane))
    yield from check_windows(platform.windows, document, snapshot.tenant_ids, snapshot.environments)


def _check_teams(
    teams: tuple[str, ...], platform: Platform, document: ParsedDocument, at: tuple[str | int, ...]
) -> Iterator[Finding]:
    known = {t for a in platform.accounts if a.kind == "person" for t in a.teams}
    for index, team in enumerate(teams):
        if team not in known:
            yield OWNER_UNKNOWN.finding(
                f"no person of `environments/platform.yaml` is in team `{team}`",
                document.position_of((*at, index)),
            )


def check_environment(
    environment: Environment, snapshot: Snapshot, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings for one environment: its place in the graph, its name, and its approving teams."""
    yield from _check_place(environment, snapshot, document)
    if environment.cluster and environment.delivery == "applicationset":
        yield ENVIRONMENT_CLUSTER_UNUSED.finding(
            f"nothing reads `cluster: {environment.cluster}`",
            document.position_of(("cluster",), key=True),
        )
    if environment.soak and not environment.promotes_from:
        yield ENVIRONMENT_SOAK_UNUSED.finding(
            f"nothing comes before `{environment.environment}`",
            document.position_of(("soak",), key=True),
        )
    if snapshot.platform:
        yield from _check_names(environment.environment, snapshot.platform, snapshot, document)
        yield from _check_approvals(environment, snapshot, snapshot.platform, document)
    yield from _check_gated(environment, snapshot, document)
    yield from check_windows(
        environment.windows, document, snapshot.tenant_ids, snapshot.environments
    )


def _check_approvals(
    environment: Environment, snapshot: Snapshot, platform: Platform, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings about what an environment asks for: there are people who can give it."""
    for tenant in environment.tenant_approvals:
        if tenant not in snapshot.tenant_ids:
            at = document.position_of(("tenant_approvals", tenant), key=True)
            yield APPROVALS_OUT_OF_REACH.finding(f"there is no tenant `{tenant}`", at)
    entries: list[tuple[tuple[str, ...], ApprovalPolicy]] = [
        (("approvals", tier), policy) for tier, policy in environment.approvals.items()
    ]
    for tenant, of_tenant in environment.tenant_approvals.items():
        entries += [(("tenant_approvals", tenant, t), policy) for t, policy in of_tenant.items()]
    for path, policy in entries:
        unknown = list(_check_teams(policy.teams, platform, document, (*path, "teams")))
        yield from unknown
        people = len(platform.members(policy.teams))
        at = document.position_of((*path, "count"))
        if people < policy.count and not unknown:
            who = "1 person is" if people == 1 else f"{people} people are"
            told = f"{policy.count} must approve, and {who} in these teams"
            yield APPROVALS_OUT_OF_REACH.finding(told, at)
        if policy.each_team and policy.count < len(policy.teams):
            told = f"each of {len(policy.teams)} teams must approve, and `count` is {policy.count}"
            yield APPROVALS_OUT_OF_REACH.finding(told, at)


def _check_gated(
    environment: Environment, snapshot: Snapshot, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings for an environment that lets pass whatever comes, since it asks for nothing."""
    name, stage = environment.environment, environment.stage
    at = document.position_of(("environment",))
    # Behind an earlier stage, one that promotes from nowhere is found by its place.
    places = places_of(snapshot.environments)
    if stage != "dev" and name in places and is_first(places, name):
        told = f"`{name}` is of stage {stage} and promotes from no environment"
        yield ENVIRONMENT_UNGATED.finding(told, at)
    if stage != "dev" and not environment.required_checks:
        told = f"`{name}` is of stage {stage} and requires no check"
        yield ENVIRONMENT_UNGATED.finding(told, at)


def _check_place(
    environment: Environment, snapshot: Snapshot, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings about an environment's place in the graph."""
    name, places = environment.environment, places_of(snapshot.environments)
    own = EnvironmentPlace(environment.stage)
    is_sound = True
    for index, source in enumerate(environment.promotes_from):
        at = document.position_of(("promotes_from", index))
        if source not in places:
            known = ", ".join(f"`{each}`" for each in places)
            told = f"there is no environment `{source}`; known: {known}"
            yield ENVIRONMENT_DEFINITION.finding(told, at)
        elif comes_before(places, name, source):
            told = f"`{source}` itself comes after `{name}`"
            yield ENVIRONMENT_DEFINITION.finding(told, at)
        elif places[source].rank > own.rank:
            yield ENVIRONMENT_STAGE_BACKWARDS.finding(
                f"`{name}` is of stage {own.stage}, and `{source}` of stage "
                f"{places[source].stage}, which is later",
                at,
            )
        else:
            continue
        is_sound = False
    if is_sound and name in places and not is_reached(places, name):
        firsts = [f"`{each}`" for each in places if is_first(places, each)]
        from_where = f"from {' or '.join(firsts)}" if firsts else "since each is behind another"
        yield ENVIRONMENT_DEFINITION.finding(
            f"no way leads to `{name}` {from_where}", document.position_of(("environment",))
        )


def _check_names(
    name: str, platform: Platform, snapshot: Snapshot, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings about names derived from an environment's name, for any tenant."""
    at = document.position_of(("environment",))
    tenants, environments = snapshot.tenant_ids, snapshot.environments
    problems = names.check_environment_names(platform.platform, tenants, snapshot.draft_ids, name)
    if problems:
        more = f"; and {len(problems) - 1} more names" if problems[1:] else ""
        yield ENVIRONMENT_NAME_TOO_LONG.finding(f"{problems[0]}{more}", at)
    for tenant in sorted(tenants):
        other = names.clash_of(tenant, name, tenants, environments)
        if other:
            yield _clash((tenant, name), other, at)


def _clash(pair: tuple[str, str], other: tuple[str, str], at: Location) -> Finding:
    told = (f"tenant `{tenant}` in `{environment}`" for tenant, environment in (pair, other))
    return NAMESPACES_CLASH.finding(
        f"{' and '.join(told)} would both run in `tenant-{'-'.join(pair)}-*`", at
    )


def check_tenant(tenant: Tenant, snapshot: Snapshot, document: ParsedDocument) -> Iterator[Finding]:
    """Findings for a tenant's own file."""
    platform, environments = snapshot.platform, snapshot.environments
    for environment in environments:
        clash = names.clash_of(tenant.tenant_id, environment, snapshot.tenant_ids, environments)
        if clash:
            at = document.position_of(("tenant_id",))
            yield _clash((tenant.tenant_id, environment), clash, at)
    reserved = {*STAGES, "base", "cust", "tenant", "state", "environments"}
    if platform:
        reserved |= {platform.platform}
        yield from _check_teams(tenant.owners, platform, document, ("owners",))
    if tenant.tenant_id in reserved:
        yield TENANT_ID_RESERVED.finding(
            f"`{tenant.tenant_id}` is reserved", document.position_of(("tenant_id",))
        )
    if tenant.tenant_id == names.PLATFORM_TENANT and tenant.sku is not Sku.SHARED:
        yield TENANT_ID_RESERVED.finding(
            "the reserved tenant `platform` stands for the shared plane",
            document.position_of(("sku",)),
        )
