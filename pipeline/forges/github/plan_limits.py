"""Checks for limits of GitHub's plans and rules that stop the pipeline, with advice. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from pipeline.forges.github.servers import is_run_by_github
from pipeline.forges.github.settings import Setting
from pipeline.forges.port import BranchRule, Hosting
from pipeline.models.requests import Signers

BUILD_WORKFLOW = ".github/workflows/build.yaml"
_QUEUE = re.compile(rb"(?m)^ +queue: ")
_ATTEST = re.compile(rb"(?m)^ +uses: actions/attest@")
# The REST API's names for GitHub Enterprise Cloud.
_ATTESTING_PLANS = ("enterprise", "business_plus")
_UNSIGNED = "the pipeline signs no commits: plans name their ids before anybody could sign them"
_BYPASS = (
    "take this branch out of `Require signed commits`, or give the pipeline's App `Always` in the"
    " bypass list of that ruleset; `pipeline audit verify` makes each of its commits again"
)
_NO_RULE = (
    "take this branch out of `Require signed commits`: people merge the pipeline's commits into it,"
    " and GitHub would refuse that; `pipeline audit verify` makes each of these commits again"
)
_SIGN_WITH_A_KEY = (
    "sign with a key: `pipeline signing-key FILE` makes one and prints its entry for"
    " environments/signers.yaml; in the job `push` give PIPELINE_SIGNING_KEY_FILE, and take out the"
    " step `Attest` and `--bundle`"
)


def branches_of(rules: Iterable[BranchRule]) -> dict[str, BranchRule]:
    """An example branch of each rule → the rule."""
    return {rule.pattern.replace("*", "x"): rule for rule in rules}


def check_signatures(
    wanted: Mapping[str, Iterable[BranchRule]],
    signed: Mapping[str, Mapping[str, bool]],
    pipeline: int,
) -> Iterator[Setting]:
    """Whether each branch accepts the pipeline's commits; the good ones are counted.

    `wanted` are the rules of each repository, `signed` is the forge's answer for their
    `branches_of`. On branches where people merge, a bypass for the pipeline's account does not
    help.
    """
    good = 0
    for repo, rules in sorted(wanted.items()):
        for branch, rule in branches_of(rules).items():
            may_bypass = signed[repo].get(branch)
            by_people = bool(set(rule.merge or ()) - {pipeline})
            if may_bypass is None or (may_bypass and not by_people):
                good += 1
                continue
            problem = f"`{rule.pattern}` takes signed commits alone, and {_UNSIGNED}"
            yield Setting(f"signatures {repo}", "", problem, _NO_RULE if by_people else _BYPASS)
    yield Setting("signatures", f"{good} kinds of branches take the pipeline's commits")


def check_attestations(hosting: Hosting, signers: Signers | None, build: bytes) -> Setting:
    """Whether the build workflow's signatures count: GitHub's plans limit attestations.

    `build` is the workflow's text. Source: GitHub, "Using artifact attestations to establish
    provenance for builds".
    """
    name = "attestations"
    if not _ATTEST.search(build):
        return _check_key(name, signers)
    if not is_run_by_github(hosting.server):
        problem = "Enterprise Server attests nothing, so the job `push` fails"
        return Setting(name, "", problem, _SIGN_WITH_A_KEY)
    if hosting.is_public:
        return Setting(name, "of a public repository, by Sigstore's public instance")
    private = "the control repo is private"
    if not hosting.plan:
        problem = (
            f"{private}, which takes GitHub Enterprise Cloud, and this account may not see the plan"
        )
        return Setting(name, "", problem, "give the App `organization_plan` to read")
    if hosting.plan not in _ATTESTING_PLANS:
        problem = (
            f"{private}, and on the plan `{hosting.plan}` GitHub attests for public ones alone"
        )
        help = f"make it public, take GitHub Enterprise Cloud, or {_SIGN_WITH_A_KEY}"
        return Setting(name, "", problem, help)
    if not any(map(_is_github_s, signers.trusted_roots if signers else ())):
        problem = f"{private}, so GitHub's own Sigstore signs, and no trusted root is of it"
        help = "`gh attestation trusted-root | sed 's/^/  - /' >> environments/signers.yaml`"
        return Setting(name, "", problem, help)
    return Setting(name, f"of a private repository, on the plan `{hosting.plan}`")


def _check_key(name: str, signers: Signers | None) -> Setting:
    """Whether a signer has a key, for builds that the workflow does not attest."""
    if any(signer.public_key for signer in (signers.signers if signers else ())):
        return Setting(name, f"none: {BUILD_WORKFLOW} signs with a key")
    problem = f"{BUILD_WORKFLOW} has no step of `actions/attest`, and no key is a signer"
    return Setting(name, "", problem, _SIGN_WITH_A_KEY)


def _is_github_s(root: Mapping[str, object]) -> bool:
    """Whether a Sigstore trusted root belongs to GitHub's own instance."""
    listed = root.get("certificateAuthorities")
    authorities = listed if isinstance(listed, list) else []
    return any("githubapp.com" in str(a.get("uri")) for a in authorities if isinstance(a, dict))


def check_queues(server: str, workflows: Mapping[str, bytes]) -> Setting:
    """Whether the server accepts the workflows: Enterprise Server refuses those with `queue`."""
    queued = [path for path, text in sorted(workflows.items()) if _QUEUE.search(text)]
    if queued and not is_run_by_github(server):
        problem = f"Enterprise Server refuses {', '.join(queued)}: it has no `queue: max`"
        help = f"`pipeline init --server {server}` writes them without"
        return Setting("queues", "", problem, help)
    return Setting("queues", f"{len(queued)} workflows in which up to 100 runs wait")
