"""Provision: which repositories exist, who owns them, and who may do what in them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.stages.order import plan_tenant
from pipeline.stages.provision import keepers, plan_provision, rules_key
from tests.support import fact_history as history
from tests.support.samples import DRAFT, sample_platform
from tests.support.views import repos_of, sample_view

PIPELINE = 1000


@pytest.mark.parametrize(
    ("draft", "repos", "people"),
    [
        ("platform/product-catalogue", ("ameide-platform", "ameide-gitops"), (1101, 1102)),
        ("acme/shipment-tracker", ("tenant-acme-controllers", "tenant-acme-gitops"), (1201, 1202)),
        ("contoso/inventory", ("ameide-platform", "ameide-gitops"), (1101, 1102)),
        (
            "contoso/supplier-rating",
            ("tenant-contoso-controllers", "tenant-contoso-gitops"),
            (1301,),
        ),
        ("fabrikam/inventory", ("ameide-platform", "ameide-gitops"), (1101, 1102)),
        (
            "fabrikam/batch-release",
            ("tenant-fabrikam-controllers", "tenant-fabrikam-gitops"),
            (1401,),
        ),
    ],
)
def test_code_origin_decides_repositories_and_owners(
    draft: str, repos: tuple[str, str], people: tuple[int, ...]
) -> None:
    step = plan_provision(sample_view(draft))
    assert step is not None
    code, gitops = repos_of(step.effects)
    assert (code.repo, gitops.repo) == repos
    rules = {(e.repo, r.pattern): r for e in (code, gitops) for r in e.rules}
    main = rules[(code.repo, "main")]
    assert main.push == () and main.merge == people and main.approvals == 1
    assert rules[(code.repo, "draft/*")].push == (PIPELINE,)
    overlays = rules[(gitops.repo, "main")]
    assert overlays.push == () and overlays.merge == (PIPELINE,)
    assert rules[(gitops.repo, "promote/*")].push == (PIPELINE,)
    assert rules[(gitops.repo, "restore/*")].push == (PIPELINE,)


def test_the_pipeline_does_not_merge_code() -> None:
    step = plan_provision(sample_view())
    assert step is not None
    main = next(r for r in repos_of(step.effects)[0].rules if r.pattern == "main")
    assert main.merge is not None and PIPELINE not in main.merge


def test_the_first_commit_is_the_same_whoever_makes_it() -> None:
    # Two drafts of a tenant, asked for at other times by other people: one repository.
    one, other = sample_view(), sample_view("acme/shipment-tracker")
    later = replace(other, caused=replace(other.caused, time_s=other.caused.time_s + 99))
    steps = plan_provision(one), plan_provision(later)
    assert steps[0] is not None and steps[1] is not None
    for first, second in zip(steps[0].effects, steps[1].effects, strict=True):
        assert first.model_copy(update={"draft": ""}) == second.model_copy(update={"draft": ""})


def test_a_tenant_plan_ensures_each_repository_once() -> None:
    views = [sample_view(), sample_view("acme/shipment-tracker")]
    plan = plan_tenant("acme", None, views)
    ensured = [e.repo for e in repos_of(plan.effects)]
    assert ensured == ["tenant-acme-controllers", "tenant-acme-gitops"]
    assert plan.effects[-1].kind == "append-facts"
    assert plan_tenant("acme", None, views[::-1]) == plan


def test_acceptance_fixes_names_and_namespaces() -> None:
    step = plan_provision(sample_view("contoso/inventory"))
    assert step is not None
    accepted, provisioned = step.facts
    assert (accepted.type, provisioned.type) == ("accepted", "provisioned")
    assert accepted.known["instance"] == "contoso--inventory"
    assert accepted.known["image"] == "registry.example.com/ameide/tenant-contoso/inventory"
    assert accepted.known["target_namespaces"] == {
        "dev": "tenant-contoso-dev-base",
        "staging": "tenant-contoso-staging-base",
        "prod": "tenant-contoso-prod-base",
    }
    assert accepted.known["risk_tier"] == "MEDIUM"
    assert provisioned.known == {
        "repos": ["ameide-platform", "ameide-gitops"],
        "rules": rules_key(sample_platform(), ("platform-engineers",)),
    }


def test_repositories_have_their_owners_in_codeowners() -> None:
    step = plan_provision(sample_view())
    assert step is not None
    for effect in repos_of(step.effects):
        assert effect.files["CODEOWNERS"].text == "* @ameide/acme-engineers\n"
        assert effect.default_branch == "main"


def test_a_change_of_policy_updates_rules_once() -> None:
    status = history.sample_status()
    view = replace(sample_view(DRAFT, status), keeps_rules=True)
    step = plan_provision(view)
    assert step is not None
    assert [effect.kind for effect in step.effects] == ["ensure-rules", "ensure-rules"]
    [fact] = step.facts
    assert fact.type == "provisioned" and fact.known["repos"] == list(status.repos)
    done = status.model_copy(update={"rules": fact.known["rules"]})
    assert plan_provision(replace(view, status=done)) is None
    # Somebody joins the owners: what is recorded is of the rules before.
    owners = view.platform.accounts
    [engineer] = [a for a in owners if a.id == 1201]
    joined = engineer.model_copy(update={"id": 1299, "login": "joined"})
    policy = view.platform.model_copy(update={"accounts": (*owners, joined)})
    again = plan_provision(replace(view, status=done, platform=policy))
    assert again is not None and len(again.effects) == 2
    main = again.effects[0].rules[0]  # type: ignore[union-attr]  # an `ensure-rules`
    assert main.pattern == "main" and 1299 in (main.merge or ())


def test_one_draft_of_a_tenant_plans_the_rules() -> None:
    one, other = history.provisioned_status(), history.provisioned_status("acme/shipment-tracker")
    assert keepers([other, one]) == {DRAFT}
    elsewhere = history.provisioned_status("contoso/inventory")
    assert keepers([other, one, elsewhere]) == {DRAFT, "contoso/inventory"}


def test_finished_steps_are_not_planned_again() -> None:
    status = history.sample_status()
    assert plan_provision(sample_view(DRAFT, status)) is None
    step = plan_provision(replace(sample_view(DRAFT, status), is_new_revision=True))
    assert step is not None and step.effects == ()
    assert [fact.type for fact in step.facts] == ["accepted"]
