"""The requests of the measured control repos: valid, small and all alike."""

from __future__ import annotations

from pipeline.demo.setting import read_sample_files

PEOPLE = "platform-engineers"


def policy_files() -> dict[str, bytes]:
    """The sample policy of this checkout: path → bytes."""
    return {
        path: content
        for path, content in read_sample_files().items()
        if path.startswith("environments/")
    }


def tenant_name(number: int) -> str:
    """The id of the n-th tenant."""
    return f"unit-{number:03d}"


def draft_name(number: int) -> str:
    """The primitive id of a tenant's n-th draft."""
    return f"order-router-{number:03d}"


def tenant_file(tenant: str) -> tuple[str, bytes]:
    """Path and bytes of a tenant."""
    text = f"""apiVersion: pipeline.ameide.io/v1
kind: Tenant
tenant_id: {tenant}
sku: Shared
custom_code: true
risk_tier: MEDIUM
owners: [{PEOPLE}]
cost_centre: CC-1042
"""
    return f"tenants/{tenant}/tenant.yaml", text.encode()


def draft_file(
    tenant: str, primitive: str, description: str = "Routes orders"
) -> tuple[str, bytes]:
    """Path and bytes of a draft."""
    text = f"""# yaml-language-server: $schema=../../../../schemas/draft.schema.json
apiVersion: pipeline.ameide.io/v1
kind: PrimitiveImplementationDraft
id: {tenant}/{primitive}
tenant_id: {tenant}
primitive_type: domain
primitive_id: {primitive}
template_id: domain@1.0.0
code_origin: tenant
target_repo: tenant-{tenant}-controllers
design_refs: [process-definition/order-to-cash@3]
parameters:
  description: {description}
  owner: {PEOPLE}
  entities: [order, route]
"""
    return f"tenants/{tenant}/drafts/{primitive}/draft.yaml", text.encode()


def patch_file(draft: str, number: int, base_commit: str) -> tuple[str, bytes]:
    """Path and bytes of a draft's n-th patch."""
    text = f"""apiVersion: pipeline.ameide.io/v1
kind: DraftPatch
draft: {draft}
base_commit: {base_commit}
summary: Note revision {number}
changes:
  - {{op: write, path: notes/{number:04d}.md, content: "Revision {number}"}}
"""
    tenant, _, primitive = draft.partition("/")
    return f"tenants/{tenant}/drafts/{primitive}/patches/{number:04d}.yaml", text.encode()
