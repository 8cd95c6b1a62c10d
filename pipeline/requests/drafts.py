"""Rules of drafts and promotions: what a tenant may ask for.

Where code of each origin may run: docs/model.md §4.1.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from pipeline import names
from pipeline.diagnostics import Finding, Rule, Subject, register
from pipeline.documents import ParsedDocument
from pipeline.models.base import API_VERSION
from pipeline.models.requests import (
    RISK_TIERS,
    CodeOrigin,
    Platform,
    PrimitiveImplementationDraft,
    PrimitiveType,
    Promotion,
    Tenant,
)
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import tenant_path
from pipeline.requests.policy import OWNER_UNKNOWN
from pipeline.requests.snapshot import Snapshot
from pipeline.templating import Template, check_parameters

CUSTOM_CODE_NOT_ALLOWED = register(
    Rule(
        id="custom-code-not-allowed",
        summary="Code of origin tenant or agent needs a tenant with `custom_code: true`.",
        why="the tenant's contract decides whether custom code runs at all",
        fix="configure an existing primitive instead, or have the platform set `custom_code: "
        "true` in `tenant.yaml`",
        subject=Subject.REQUEST,
        fails=f"""# file: tenants/platform/drafts/order-router/draft.yaml
apiVersion: {API_VERSION}
kind: PrimitiveImplementationDraft
id: platform/order-router
tenant_id: platform
primitive_type: domain
primitive_id: order-router
template_id: domain@1.0.0
code_origin: tenant
target_repo: tenant-platform-controllers
parameters: {{description: Routes, owner: platform-engineers, entities: [order]}}
""",
        passes=draft_example(),
    )
)
NAMESPACE_SHARED_CUSTOM_CODE = register(
    Rule(
        id="namespace-shared-custom-code",
        summary="Code of origin tenant or agent never runs in a shared namespace.",
        why="custom code runs in a dedicated tenant namespace",
        fix="give the tenant an id that gives it namespaces of its own",
        subject=Subject.SCENARIO,
        fails="a platform named so that `{platform}-*` covers a tenant's namespace",
        passes="origin tenant, platform `ameide`: namespace `tenant-acme-dev-cust`",
    )
)
NAME_TOO_LONG = register(
    Rule(
        id="name-too-long",
        summary="Every name derived from a draft fits its limit.",
        why="shortened names can collide, so they are refused before anything is created",
        fix="choose a shorter `primitive_id`, or shorter names of environments",
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
        summary="`target_repo` is the repository that origin and tenant give.",
        why="tenant code never goes into the platform's repository, nor the other way round",
        fix="use the repository that the message names",
        subject=Subject.REQUEST,
        fails=draft_example().replace("tenant-acme-controllers", "ameide-platform"),
        passes=draft_example(),
    )
)
TEMPLATE_UNKNOWN = register(
    Rule(
        id="template-unknown",
        summary="`template_id` names a golden template and one of its versions.",
        why="a draft pins its template, so that its scaffold can be proven",
        fix="`pipeline draft create` writes the newest version; the message lists the known ones",
        subject=Subject.REQUEST,
        fails=draft_example().replace("domain@1.0.0", "domain@99.0.0"),
        passes=draft_example(),
    )
)
TEMPLATE_TYPE = register(
    Rule(
        id="template-type",
        summary="A primitive's type is the one that its template makes.",
        why="the type decides the custom resource and the checks",
        fix="use a template of that type, or correct `primitive_type`",
        subject=Subject.REQUEST,
        fails=draft_example().replace("primitive_type: domain", "primitive_type: agent"),
        passes=draft_example(),
    )
)
DRAFT_PARAMETERS = register(
    Rule(
        id="draft-parameters",
        summary="`parameters` match the template's schema.",
        why="a template only renders values that it was tested with",
        fix="see the template's inputs: `pipeline schema template domain`",
        subject=Subject.REQUEST,
        fails=draft_example().replace("[order, route]", "[Order Route]"),
        passes=draft_example(),
    )
)
RISK_TIER_LOWERED = register(
    Rule(
        id="risk-tier-lowered",
        summary="A draft's risk tier is not below its tenant's.",
        why="a lower tier needs fewer approvals, and that is not the asker's choice",
        fix="remove `risk_tier`, or raise it",
        subject=Subject.REQUEST,
        fails=draft_example() + "risk_tier: LOW\n",
        passes=draft_example() + "risk_tier: HIGH\n",
    )
)
ENVIRONMENT_UNKNOWN = register(
    Rule(
        id="environment-unknown",
        summary="A promotion's environment is defined in the control repo.",
        why="an environment without policy would have no gate",
        fix="use a defined environment, or define it first",
        subject=Subject.SCENARIO,
        fails="a promotion to `prod` in a control repo without `environments/prod`",
        passes="the same promotion where `environments/prod/environment.yaml` exists",
    )
)
_PROMOTION = f"""# file: tenants/acme/drafts/order-router/promotions/{{env}}.yaml
apiVersion: {API_VERSION}
kind: Promotion
draft: acme/order-router
environment: {{env}}
release:
  source_commit: 0123456789abcdef0123456789abcdef01234567
reason: Put this in test
"""
PROMOTION_NOT_PINNED = register(
    Rule(
        id="promotion-not-pinned",
        summary="A promotion that people approve pins `digest` and `overlay_tree`.",
        why="reviewers approve exactly what runs, so the request must say what that is",
        fix="write the request with `pipeline promote request`, which pins both",
        subject=Subject.REQUEST,
        fails=_PROMOTION.format(env="prod"),
        passes=_PROMOTION.format(env="dev"),
    )
)
DIGEST_BLOCKED = register(
    Rule(
        id="digest-blocked",
        summary="A promotion's digest is not listed in `environments/blocked-digests.yaml`.",
        why="a blocked digest is known to be bad",
        fix="promote a release built from other source",
        subject=Subject.DECISION,
        fails="blocked: true\n",
        passes="blocked: false\n",
    )
)
LANE_NOT_OFFERED = register(
    Rule(
        id="lane-not-offered",
        summary="A promotion asks for a lane that `lanes` of `environments/platform.yaml` lists.",
        why="a fast lane that nobody answers for is a way around every freeze",
        fix="leave out `lane`, or have the platform's owners list it with the teams that vouch",
        subject=Subject.DECISION,
        fails="lane: security\n",
        passes="lane: security\nlanes: {security: [security]}\n",
    )
)
TEMPLATE_TYPES: Mapping[str, PrimitiveType] = {
    "domain": PrimitiveType.DOMAIN,
    "process": PrimitiveType.PROCESS,
    "agent": PrimitiveType.AGENT,
    "ui": PrimitiveType.UI,
}


def check_draft(
    draft: PrimitiveImplementationDraft,
    tenant: Tenant,
    platform: Platform,
    environments: Collection[str],
    templates: Mapping[str, Template],
    document: ParsedDocument,
) -> Iterator[Finding]:
    """Findings for one draft against its tenant, policy and the golden templates."""
    origin = draft.code_origin
    custom = origin is not CodeOrigin.PLATFORM
    at = document.position_of
    if custom and (not tenant.custom_code or tenant.tenant_id == names.PLATFORM_TENANT):
        where = tenant_path(tenant.tenant_id)
        yield CUSTOM_CODE_NOT_ALLOWED.finding(
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
        environments,
    )
    for problem in problems:
        yield NAME_TOO_LONG.finding(problem, at(("primitive_id",)))
    if problems:
        return
    for env in environments:
        name = names.namespace(platform.platform, draft.tenant_id, tenant.sku, origin, env)
        if custom and names.is_shared_namespace(platform.platform, name):
            yield NAMESPACE_SHARED_CUSTOM_CODE.finding(
                f"code of origin `{origin}` may not run in `{name}`", at(("code_origin",))
            )
    expected = names.controllers_repo(platform.platform, draft.tenant_id, origin)
    if draft.target_repo != expected:
        yield TARGET_REPO.finding(
            f"`{draft.target_repo}` is not where code of origin `{origin}` lies: `{expected}` is",
            at(("target_repo",)),
        )
    tier = draft.risk_tier
    if tier and RISK_TIERS.index(tier) < RISK_TIERS.index(tenant.risk_tier):
        yield RISK_TIER_LOWERED.finding(
            f"{tier} is below the tenant's {tenant.risk_tier}", at(("risk_tier",))
        )
    # Code of origin `platform` is the platform's, whatever tenant it runs for.
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
    promotion: Promotion,
    snapshot: Snapshot,
    document: ParsedDocument,
    at: tuple[str | int, ...] = (),
) -> Iterator[Finding]:
    """Findings for one promotion, from the control repo alone; its release stands below `at`."""
    environment = snapshot.environments.get(promotion.environment)
    if environment is None:
        yield ENVIRONMENT_UNKNOWN.finding(
            f"`{promotion.environment}` is not defined in this control repo",
            document.position_of(("environment",)),
        )
        return
    if environment.all_approvals:
        absent = [
            name
            for name, value in (
                ("release.digest", promotion.release.digest),
                ("overlay_tree", promotion.overlay_tree),
            )
            if value is None
        ]
        if absent:
            yield PROMOTION_NOT_PINNED.finding(
                f"{' and '.join(absent)} missing; `{promotion.environment}` asks for approvals",
                document.position_of((*at, "release")),
            )
    elif promotion.lane == "rollback" and not promotion.release.digest:
        yield PROMOTION_NOT_PINNED.finding(
            "release.digest missing; a rollback names the very image to go back to",
            document.position_of((*at, "release")),
        )
    lanes = snapshot.platform.lanes if snapshot.platform else {}
    if promotion.lane != "normal" and promotion.lane not in lanes:
        yield LANE_NOT_OFFERED.finding(
            f"the platform's policy lists no lane `{promotion.lane}`",
            document.position_of(("lane",)),
        )
    digest = promotion.release.digest
    if digest and digest in snapshot.blocked_digests:
        yield DIGEST_BLOCKED.finding(
            f"{digest} is blocked: {snapshot.blocked_reasons[digest]}",
            document.position_of((*at, "release", "digest")),
        )
