"""Rules of policy: what a draft, a tenant, an environment and a promotion may ask for.

Sources: seed §4 (namespaces), §5.4, §6 step 2, §7.1–7.2; design §4, §5.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pipeline import names
from pipeline.diagnostics import Finding, Location, Rule, Subject, register
from pipeline.documents import ParsedDocument
from pipeline.layout import tenant_path
from pipeline.models.requests import (
    ENVIRONMENTS,
    CodeOrigin,
    Environment,
    Platform,
    PrimitiveImplementationDraft,
    PrimitiveType,
    Promotion,
    Sku,
    Tenant,
)
from pipeline.rules.identity import draft_example
from pipeline.snapshot import Snapshot
from pipeline.templating import Template, check_parameters

_RISK_ORDER = ("LOW", "MEDIUM", "HIGH")

TENANT_RESERVED = register(
    Rule(
        id="tenant-id-reserved",
        summary="A tenant's id is no word that names of the platform are made of.",
        why="`dev`, `base` or the platform's own name as a tenant would make names ambiguous",
        fix="choose another id",
        subject=Subject.REQUEST,
        fails="""# file: tenants/staging/tenant.yaml
apiVersion: pipeline.ameide.io/v1
kind: Tenant
tenant_id: staging
sku: Shared
custom_code: true
risk_tier: LOW
owners: [platform-engineers]
cost_centre: CC-1
quota: {cpu: "1", memory: 1Gi, pods: 10}
""",
        passes="""# file: tenants/northwind/tenant.yaml
apiVersion: pipeline.ameide.io/v1
kind: Tenant
tenant_id: northwind
sku: Shared
custom_code: true
risk_tier: LOW
owners: [platform-engineers]
cost_centre: CC-1
quota: {cpu: "1", memory: 1Gi, pods: 10}
""",
    )
)
PLATFORM_NAME = register(
    Rule(
        id="platform-name",
        summary="The platform's name cannot be taken for a name derived from a tenant.",
        why="`tenant-a` as a platform would own repositories that a tenant `a` owns",
        fix="choose a name that neither starts with `tenant` nor ends in an environment",
        subject=Subject.REQUEST,
        fails="""# file: environments/platform.yaml
apiVersion: pipeline.ameide.io/v1
kind: Platform
platform: tenant-acme
organisation: ameide
registry: {prefix: registry.example.com/ameide}
gateway: {namespace: gateway}
accounts:
  - {id: 1, login: primitive-pipeline, kind: pipeline}
owners: [platform-engineers]
""",
        passes="""# file: environments/platform.yaml
apiVersion: pipeline.ameide.io/v1
kind: Platform
platform: ameide
organisation: ameide
registry: {prefix: registry.example.com/ameide}
gateway: {namespace: gateway}
accounts:
  - {id: 1, login: primitive-pipeline, kind: pipeline}
  - {id: 2, login: platform-engineer, kind: person, teams: [platform-engineers, acme-engineers]}
owners: [platform-engineers]
""",
    )
)
PLATFORM_ACCOUNTS = register(
    Rule(
        id="platform-accounts",
        summary="Accounts have distinct ids and logins, and exactly one is the pipeline's.",
        why="approvals are counted by id, and one account alone writes what the pipeline owns",
        fix="give each account its own id and login, and one of them `kind: pipeline`",
        subject=Subject.REQUEST,
        fails=PLATFORM_NAME.passes.replace("id: 2", "id: 1"),
        passes=PLATFORM_NAME.passes,
    )
)
CUSTOM_CODE = register(
    Rule(
        id="custom-code-not-allowed",
        summary="Code of origin tenant or agent needs a tenant with `custom_code: true`.",
        why="the tenant's contract decides whether custom code runs at all (seed §6, step 2)",
        fix="meet the need by definitions, or have the platform allow custom code in `tenant.yaml`",
        subject=Subject.REQUEST,
        fails="""# file: tenants/platform/drafts/order-router/draft.yaml
apiVersion: pipeline.ameide.io/v1
kind: PrimitiveImplementationDraft
id: platform/order-router
tenant_id: platform
primitive_type: domain
primitive_id: order-router
template_id: domain@1.0.0
code_origin: tenant
target_repo: tenant-platform-controllers
parameters: {description: Routes, owner: platform-engineers, entities: [order]}
""",
        passes=draft_example(),
    )
)
SHARED_NAMESPACE = register(
    Rule(
        id="namespace-shared-custom-code",
        summary="Code of origin tenant or agent never runs in a shared namespace.",
        why="custom code runs in a dedicated tenant namespace (seed §7.1)",
        fix="give the tenant an id whose namespaces are its own",
        subject=Subject.SCENARIO,
        fails="a platform named so that `{platform}-*` covers a tenant's namespace",
        passes="origin tenant, platform `ameide`: namespace `tenant-acme-dev-cust`",
    )
)
NAME_LIMIT = register(
    Rule(
        id="name-too-long",
        summary="Every name derived from a draft fits its limit.",
        why="a name that is cut meets another one; it is refused before anything exists",
        fix="choose a shorter `primitive_id`",
        subject=Subject.REQUEST,
        fails=draft_example(
            "acme/a-very-long-name-for-a-primitive-indeed",
            primitive="a-very-long-name-for-a-primitive-indeed",
        ).replace("drafts/order-router", "drafts/a-very-long-name-for-a-primitive-indeed"),
        passes=draft_example(),
    )
)
TARGET_REPO = register(
    Rule(
        id="target-repo",
        summary="`target_repo` is the repository that origin and tenant decide.",
        why="tenant code never lies in the platform's repository, nor the other way (seed §3)",
        fix="write the repository that the message names",
        subject=Subject.REQUEST,
        fails=draft_example().replace("tenant-acme-controllers", "ameide-platform"),
        passes=draft_example(),
    )
)
TEMPLATE_UNKNOWN = register(
    Rule(
        id="template-unknown",
        summary="`template_id` names a golden template and a version of it.",
        why="a draft pins what it is scaffolded from, so that the result can be proven",
        fix="`pipeline draft create` writes the newest version; known ones are in the message",
        subject=Subject.REQUEST,
        fails=draft_example().replace("domain@1.0.0", "domain@99.0.0"),
        passes=draft_example(),
    )
)
TEMPLATE_TYPE = register(
    Rule(
        id="template-type",
        summary="A primitive's type is the one its template makes.",
        why="type decides the custom resource and the checks; a mismatch deploys the wrong kind",
        fix="use the template of that type, or correct `primitive_type`",
        subject=Subject.REQUEST,
        fails=draft_example().replace("primitive_type: domain", "primitive_type: agent"),
        passes=draft_example(),
    )
)
DRAFT_PARAMETERS = register(
    Rule(
        id="draft-parameters",
        summary="`parameters` fit the schema of the template.",
        why="a template renders only what it was tested with",
        fix="see the template's inputs: `pipeline schema template domain`",
        subject=Subject.REQUEST,
        fails=draft_example().replace("[order, route]", "[Order Route]"),
        passes=draft_example(),
    )
)
OWNER_UNKNOWN = register(
    Rule(
        id="owner-unknown",
        summary="`parameters.owner` owns the tenant, or the platform for its code, and is known.",
        why="an owner that is nobody's team means that nobody is asked",
        fix="name a team that accounts in `environments/platform.yaml` belong to",
        subject=Subject.REQUEST,
        fails=draft_example().replace("owner: acme-engineers", "owner: strangers"),
        passes=draft_example(),
    )
)
RISK_LOWERED = register(
    Rule(
        id="risk-tier-lowered",
        summary="A draft's risk tier is not below its tenant's.",
        why="a lower tier asks for fewer approvals, and the asker may not choose that",
        fix="drop `risk_tier`, or raise it",
        subject=Subject.REQUEST,
        fails=draft_example() + "risk_tier: LOW\n",
        passes=draft_example() + "risk_tier: HIGH\n",
    )
)
ENVIRONMENT_ORDER = register(
    Rule(
        id="environment-definition",
        summary="Environments promote from ones that exist, in one direction, from one first.",
        why="a cycle or a missing step would let a release skip what proves it",
        fix="name existing environments in `promotes_from`, without a cycle",
        subject=Subject.REQUEST,
        fails="""# file: environments/dev/environment.yaml
apiVersion: pipeline.ameide.io/v1
kind: Environment
environment: dev
cluster: eu-1
promotes_from: [prod]
""",
        passes="""# file: environments/dev/environment.yaml
apiVersion: pipeline.ameide.io/v1
kind: Environment
environment: dev
cluster: eu-1
""",
    )
)
ENVIRONMENT_UNKNOWN = register(
    Rule(
        id="environment-unknown",
        summary="A promotion's environment is defined in the control repo.",
        why="an environment without a policy would be one without a gate",
        fix="name a defined environment, or define it first",
        subject=Subject.SCENARIO,
        fails="a promotion to `prod` in a control repo without `environments/prod`",
        passes="the same promotion where `environments/prod/environment.yaml` exists",
    )
)
_PROMOTION = """# file: tenants/acme/drafts/order-router/promotions/{env}.yaml
apiVersion: pipeline.ameide.io/v1
kind: Promotion
draft: acme/order-router
environment: {env}
release:
  source_commit: 0123456789abcdef0123456789abcdef01234567
reason: Put this in test
"""
PROMOTION_PINS = register(
    Rule(
        id="promotion-not-pinned",
        summary="A promotion that people approve pins `digest` and `overlay_tree`.",
        why="people approve exactly what runs, so the request must say exactly what that is",
        fix="write the request with `pipeline promote request`, which pins both",
        subject=Subject.REQUEST,
        fails=_PROMOTION.format(env="prod"),
        passes=_PROMOTION.format(env="dev"),
    )
)
DIGEST_BLOCKED = register(
    Rule(
        id="digest-blocked",
        summary="No environment runs a digest of `environments/blocked-digests.yaml`.",
        why="a digest is blocked when it is known to be bad",
        fix="promote a release built from other source",
        subject=Subject.DECISION,
        fails="blocked: true\n",
        passes="blocked: false\n",
    )
)
TEMPLATE_TYPES: Mapping[str, PrimitiveType] = {
    "domain": PrimitiveType.DOMAIN,
    "process": PrimitiveType.PROCESS,
    "agent": PrimitiveType.AGENT,
    "ui": PrimitiveType.UI,
}


def check_platform(path: str, platform: Platform, document: ParsedDocument) -> Iterator[Finding]:
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
            yield ENVIRONMENT_ORDER.finding(f"there is no environment `{source}`", at)
        elif _reaches(source, environment.environment, snapshot):
            yield ENVIRONMENT_ORDER.finding(f"`{source}` itself comes after this environment", at)
    before = ENVIRONMENTS[: ENVIRONMENTS.index(environment.environment)]
    firsts = [e for e in before if e in snapshot.environments]
    if firsts and not environment.promotes_from:
        yield ENVIRONMENT_ORDER.finding(
            f"only the first environment, `{firsts[0]}`, promotes from nowhere",
            document.position_of(("environment",)),
        )
    if snapshot.platform:
        for tier, policy in environment.approvals.items():
            yield from _check_teams(
                policy.teams, snapshot.platform, document, ("approvals", tier, "teams")
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
        yield TENANT_RESERVED.finding(
            f"`{tenant.tenant_id}` is reserved", document.position_of(("tenant_id",))
        )
    if tenant.tenant_id == names.PLATFORM_TENANT and tenant.sku is not Sku.SHARED:
        yield TENANT_RESERVED.finding(
            "the reserved tenant `platform` stands for the shared plane",
            document.position_of(("sku",)),
        )


def check_draft(
    draft: PrimitiveImplementationDraft,
    tenant: Tenant,
    platform: Platform,
    templates: Mapping[str, Template],
    document: ParsedDocument,
) -> Iterator[Finding]:
    """Findings for one draft against its tenant, the platform and the golden templates."""
    origin = draft.code_origin
    custom = origin is not CodeOrigin.PLATFORM
    at = document.position_of
    if custom and (not tenant.custom_code or tenant.tenant_id == names.PLATFORM_TENANT):
        where = tenant_path(tenant.tenant_id)
        yield CUSTOM_CODE.finding(
            f"code of origin `{origin}` is not allowed for `{tenant.tenant_id}` ({where})",
            at(("code_origin",)),
        )
    problems = names.check_all_names(
        platform.platform,
        platform.registry.prefix,
        draft.tenant_id,
        tenant.sku,
        draft.primitive_id,
        origin,
    )
    for problem in problems:
        yield NAME_LIMIT.finding(problem, at(("primitive_id",)))
    if problems:
        return
    for env in ("dev", "staging", "prod"):
        name = names.namespace(platform.platform, draft.tenant_id, tenant.sku, origin, env)
        if custom and names.is_shared_namespace(platform.platform, name):
            yield SHARED_NAMESPACE.finding(
                f"code of origin `{origin}` may not run in `{name}`", at(("code_origin",))
            )
    expected = names.controllers_repo(platform.platform, draft.tenant_id, origin)
    if draft.target_repo != expected:
        yield TARGET_REPO.finding(
            f"`{draft.target_repo}` is not where code of origin `{origin}` lies: `{expected}` is",
            at(("target_repo",)),
        )
    tier = draft.risk_tier
    if tier and _RISK_ORDER.index(tier) < _RISK_ORDER.index(tenant.risk_tier):
        yield RISK_LOWERED.finding(
            f"{tier} is below the tenant's {tenant.risk_tier}", at(("risk_tier",))
        )
    # Code of origin platform is the platform's, whichever tenant it runs for.
    owners = tenant.owners if custom else platform.owners
    yield from _check_template(draft, owners, templates, document)


def _check_template(
    draft: PrimitiveImplementationDraft,
    owners: tuple[str, ...],
    templates: Mapping[str, Template],
    document: ParsedDocument,
) -> Iterator[Finding]:
    name, version = draft.template_id.split("@")
    template = templates.get(name)
    if template is None or template.version != version:
        known = ", ".join(f"`{t.name}@{t.version}`" for _, t in sorted(templates.items()))
        yield TEMPLATE_UNKNOWN.finding(
            f"there is no template `{draft.template_id}`; known: {known}",
            document.position_of(("template_id",)),
        )
        return
    made = TEMPLATE_TYPES.get(name)
    if made is not draft.primitive_type:
        yield TEMPLATE_TYPE.finding(
            f"template `{name}` makes a {made}, the draft says {draft.primitive_type}",
            document.position_of(("primitive_type",)),
        )
    for problem in check_parameters(template, draft.parameters):
        yield DRAFT_PARAMETERS.finding(
            problem.message, document.position_of(("parameters", *problem.path))
        )
    owner = draft.parameters.get("owner")
    if isinstance(owner, str) and owner not in owners:
        yield OWNER_UNKNOWN.finding(
            f"`{owner}` does not own code of origin `{draft.code_origin}` for "
            f"`{draft.tenant_id}`; {', '.join(owners)} do",
            document.position_of(("parameters", "owner")),
        )


def check_promotion(
    promotion: Promotion, snapshot: Snapshot, document: ParsedDocument
) -> Iterator[Finding]:
    """Findings for one promotion request as far as the control repo alone can tell."""
    environment = snapshot.environments.get(promotion.environment)
    if environment is None:
        yield ENVIRONMENT_UNKNOWN.finding(
            f"`{promotion.environment}` is not defined in this control repo",
            document.position_of(("environment",)),
        )
        return
    if environment.approvals:
        absent = [
            name
            for name, value in (
                ("release.digest", promotion.release.digest),
                ("overlay_tree", promotion.overlay_tree),
            )
            if value is None
        ]
        if absent:
            yield PROMOTION_PINS.finding(
                f"{' and '.join(absent)} missing; `{promotion.environment}` asks for approvals",
                document.position_of(("release",)),
            )
    digest = promotion.release.digest
    if digest and digest in snapshot.blocked_digests:
        yield DIGEST_BLOCKED.finding(
            f"{digest} is blocked", document.position_of(("release", "digest"))
        )


def location_of_file(path: str) -> Location:
    """The start of a file, where a finding is about the whole of it."""
    return Location(path, 1, 1)
