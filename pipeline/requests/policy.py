"""Rules of policy: the platform, its tenants and its environments."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline import names
from pipeline.diagnostics import Finding, Rule, Subject, register
from pipeline.documents import ParsedDocument
from pipeline.models.base import API_VERSION
from pipeline.models.requests import (
    ENVIRONMENTS,
    Acknowledgement,
    Environment,
    Platform,
    Sku,
    Tenant,
)
from pipeline.requests.acknowledgements import ABOUT_COMMITS, ABOUT_FACTS
from pipeline.requests.identity import draft_example
from pipeline.requests.snapshot import Snapshot
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
        fix="choose a name that doesn't start with `tenant` or end in an environment's name",
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
        summary="Environments promote from existing ones, without cycles, starting from one.",
        why="a cycle or a gap would let a release skip an environment",
        fix="name existing environments in `promotes_from`, without a cycle",
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
    """Findings for one acknowledgement: it settles nothing, or what cannot be settled."""
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
    """Findings for one environment: its order and the teams it asks."""
    for index, source in enumerate(environment.promotes_from):
        at = document.position_of(("promotes_from", index))
        if source not in snapshot.environments:
            yield ENVIRONMENT_DEFINITION.finding(f"there is no environment `{source}`", at)
        elif _reaches(source, environment.environment, snapshot):
            yield ENVIRONMENT_DEFINITION.finding(
                f"`{source}` itself comes after this environment", at
            )
    before = ENVIRONMENTS[: ENVIRONMENTS.index(environment.environment)]
    firsts = [e for e in before if e in snapshot.environments]
    if firsts and not environment.promotes_from:
        yield ENVIRONMENT_DEFINITION.finding(
            f"only the first environment, `{firsts[0]}`, promotes from nowhere",
            document.position_of(("environment",)),
        )
    if snapshot.platform:
        for tier, policy in environment.approvals.items():
            yield from _check_teams(
                policy.teams, snapshot.platform, document, ("approvals", tier, "teams")
            )
    yield from check_windows(
        environment.windows, document, snapshot.tenant_ids, snapshot.environments
    )


def _reaches(start: str, target: str, snapshot: Snapshot) -> bool:
    pending, seen = [start], set()
    while pending:
        name = pending.pop()
        if name == target:
            return True
        if name not in seen and name in snapshot.environments:
            seen.add(name)
            pending += snapshot.environments[name].promotes_from
    return False


def check_tenant(
    tenant: Tenant, platform: Platform | None, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings for a tenant's own file."""
    reserved = {"dev", "staging", "prod", "base", "cust", "tenant", "state", "environments"}
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
