"""The sample control repo: no findings, and one draft for each row of the decision matrix."""

from __future__ import annotations

import posixpath
import re

from pipeline import names
from pipeline.models.requests import RISK_TIERS, CodeOrigin, Environment, Sku
from pipeline.requests.kinds import REQUEST_KINDS, request_path
from pipeline.requests.layout import draft_path
from tests.support.samples import (
    DRAFT,
    sample_files,
    sample_platform,
    snapshot_and_findings,
    world_files,
)

_HEADER = re.compile(rb"# yaml-language-server: \$schema=(\S+)\n")


def test_samples_have_no_finding() -> None:
    assert snapshot_and_findings(sample_files())[1] == ()
    assert snapshot_and_findings(world_files())[1] == ()


def test_every_sample_is_read_and_tells_editors_its_schema() -> None:
    for path, content in sample_files().items():
        meaning = request_path(path)
        assert meaning is not None, path
        header = _HEADER.match(content)
        assert header is not None, path
        schema = posixpath.normpath(posixpath.join(posixpath.dirname(path), header[1].decode()))
        assert schema == f"schemas/{REQUEST_KINDS[meaning.kind].schema_stem}.schema.json"


def test_drafts_cover_every_row_of_the_namespace_matrix() -> None:
    snapshot, _ = snapshot_and_findings(sample_files())
    rows = set()
    for tenant_id in sorted(snapshot.tenant_ids):
        tenant = snapshot.tenant(tenant_id)
        assert tenant is not None
        for id in snapshot.drafts_of(tenant_id):
            draft = snapshot.draft(id)
            assert draft is not None
            origin = draft.code_origin
            namespace = names.namespace("ameide", tenant_id, tenant.sku, origin, "dev")
            rows.add((tenant.sku, origin is CodeOrigin.PLATFORM, namespace))
    # docs/model.md §4.1: sku, product or custom code, namespace.
    assert rows == {
        (Sku.SHARED, True, "ameide-dev"),
        (Sku.SHARED, False, "tenant-acme-dev-cust"),
        (Sku.NAMESPACE, True, "tenant-contoso-dev-base"),
        (Sku.NAMESPACE, False, "tenant-contoso-dev-cust"),
        (Sku.PRIVATE, True, "tenant-fabrikam-dev-base"),
        (Sku.PRIVATE, False, "tenant-fabrikam-dev-cust"),
    }


def test_the_demo_asks_for_a_draft_that_the_samples_lack() -> None:
    assert draft_path(DRAFT) not in sample_files()


def test_approvals_get_stricter_towards_production() -> None:
    environments = snapshot_and_findings(sample_files())[0].environments

    def asked(environment: Environment) -> list[int]:
        policies = [environment.approval_for(tier, "acme") for tier in RISK_TIERS]
        return [policy.count if policy else 0 for policy in policies]

    assert asked(environments["dev"]) == [0, 0, 0, 0]
    assert asked(environments["staging"]) == [1, 1, 2, 2]
    assert asked(environments["prod"]) == [2, 2, 2, 2]


def test_every_approval_policy_can_be_met_without_the_author() -> None:
    platform = sample_platform()
    snapshot, _ = snapshot_and_findings(sample_files())
    for environment in snapshot.environments.values():
        for policy in environment.approvals.values():
            assert len(platform.members(policy.teams)) > policy.count
