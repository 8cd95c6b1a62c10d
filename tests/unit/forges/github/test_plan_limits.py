from __future__ import annotations

import pytest

from pipeline.forges.github.plan_limits import (
    branches_of,
    check_attestations,
    check_queues,
    check_signatures,
)
from pipeline.forges.port import BranchRule, Hosting
from pipeline.models.base import API_VERSION
from pipeline.models.requests import Signers
from pipeline.models.signers import Signer, WorkflowIdentity
from tests.support.signing import signing_key

PIPELINE, PERSON = 100, 7
RULES = {
    "code": (
        BranchRule("main", push=(), merge=(PERSON,), approvals=1),
        BranchRule("draft/*", push=(PIPELINE,)),
    ),
    "gitops": (BranchRule("main", push=(), merge=(PIPELINE,)),),
}
ATTESTS = b"      - name: Attest\n        uses: actions/attest@0123 # v4\n"
PUBLIC_GOOD: dict[str, object] = {
    "certificateAuthorities": [{"uri": "https://fulcio.sigstore.dev"}]
}
GITHUB_S: dict[str, object] = {"certificateAuthorities": [{"uri": "fulcio.githubapp.com"}]}
CLOUD, OWN = "https://github.com", "https://github.nova.example"


def test_each_pattern_gives_a_branch_that_it_matches() -> None:
    assert list(branches_of(RULES["code"])) == ["main", "draft/x"]


@pytest.mark.parametrize(
    ("signed", "refused"),
    [
        ({"code": {}, "gitops": {}}, {}),
        # The pipeline alone writes there, and may.
        ({"code": {"draft/x": True}, "gitops": {"main": True}}, {}),
        ({"code": {"draft/x": False}, "gitops": {}}, {"signatures code": "bypass list"}),
        ({"code": {}, "gitops": {"main": False}}, {"signatures gitops": "bypass list"}),
        # People merge there, whom the pipeline's bypass does not help.
        ({"code": {"main": True}, "gitops": {}}, {"signatures code": "people merge"}),
    ],
)
def test_a_branch_that_requires_signed_commits_is_named(
    signed: dict[str, dict[str, bool]], refused: dict[str, str]
) -> None:
    *found, last = check_signatures(RULES, signed, PIPELINE)
    assert [setting.name for setting in found] == list(refused)
    for setting, said in zip(found, refused.values(), strict=True):
        assert "takes signed commits alone" in setting.problem and said in setting.help
    assert last.detail == f"{3 - len(refused)} kinds of branches take the pipeline's commits"


def signers(*roots: dict[str, object], key: bool = False) -> Signers:
    by_workflow = Signer(name="build", workflow=WorkflowIdentity(repository="ameide/control"))
    by_key = Signer(name="workspace", public_key=signing_key().public_key)
    return Signers(
        api_version=API_VERSION,
        kind="Signers",
        signers=(by_workflow, by_key) if key else (by_workflow,),
        trusted_roots=roots,
    )


@pytest.mark.parametrize(
    ("hosting", "roots"),
    [
        (Hosting(CLOUD, is_public=True, plan=""), (PUBLIC_GOOD,)),
        (Hosting(CLOUD, is_public=True, plan="free"), (PUBLIC_GOOD,)),
        (Hosting(CLOUD, is_public=False, plan="enterprise"), (PUBLIC_GOOD, GITHUB_S)),
        (Hosting("https://nova.ghe.com", is_public=False, plan="business_plus"), (GITHUB_S,)),
    ],
)
def test_valid_attestations_are_no_problem(
    hosting: Hosting, roots: tuple[dict[str, object], ...]
) -> None:
    assert check_attestations(hosting, signers(*roots), ATTESTS).problem == ""


@pytest.mark.parametrize(
    ("hosting", "problem", "help"),
    [
        (Hosting(CLOUD, is_public=False, plan="team"), "on the plan `team`", "signing-key"),
        (Hosting(CLOUD, is_public=False, plan=""), "may not see the plan", "organization_plan"),
        (Hosting(CLOUD, is_public=False, plan="enterprise"), "GitHub's own Sigstore", "gh att"),
        (Hosting(OWN, is_public=True, plan="enterprise"), "attests nothing", "signing-key"),
    ],
)
def test_what_keeps_attestations_from_counting_is_named(
    hosting: Hosting, problem: str, help: str
) -> None:
    # A key for another machine makes no attestation of a workflow.
    for key in (False, True):
        found = check_attestations(hosting, signers(PUBLIC_GOOD, key=key), ATTESTS)
        assert problem in found.problem and help in found.help


def test_a_workflow_that_attests_nothing_needs_a_key() -> None:
    hosting = Hosting(OWN, is_public=False, plan="")
    assert check_attestations(hosting, signers(key=True), b"jobs: {}\n").problem == ""
    for known in (signers(PUBLIC_GOOD), None):
        assert "no key is a signer" in check_attestations(hosting, known, b"").problem


def test_enterprise_server_refuses_queues() -> None:
    workflows = {"a.yaml": b"    concurrency:\n      queue: max\n", "b.yaml": b"# queue: max\n"}
    assert check_queues(CLOUD, workflows).detail.startswith("1 workflows")
    refused = check_queues(OWN, workflows)
    assert "refuses a.yaml: it has no `queue: max`" in refused.problem
    assert f"pipeline init --server {OWN}" in refused.help
    assert check_queues(OWN, {"b.yaml": workflows["b.yaml"]}).problem == ""
