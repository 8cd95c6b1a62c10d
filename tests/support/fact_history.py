"""A real chain of facts: `acme/order-router` from its request until it runs in staging.

Ids are made from words, so a test can name the commit or tree that it means.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache

from pipeline.models.base import BlobId, CommitId, ImageDigest, TreeId, moment_of
from pipeline.models.evidence import BuildRecord, CheckName, CheckOutcome, CheckReport, CheckResult
from pipeline.models.facts import (
    Accepted,
    Built,
    Cause,
    ChecksRecorded,
    Fact,
    FactBody,
    PatchApplied,
    Promoted,
    Provisioned,
    PullRequestLink,
    Release,
    Scaffolded,
)
from pipeline.models.provenance import Claim
from pipeline.models.requests import EnvironmentName
from pipeline.models.status import DraftStatus
from pipeline.names import (
    controllers_repo,
    gitops_repo,
    image_repository,
    instance,
    namespace,
    primitive_folder,
)
from pipeline.releases.overlays import Overlay, base_tree_of, render_base, render_overlay
from pipeline.requests.layout import draft_path, patch_path, promotion_path
from pipeline.state.facts import FactFile, fact_bytes, fact_path, fold, fold_one, next_fact
from tests.support.samples import (
    DRAFT,
    ENVIRONMENTS,
    sample_draft,
    sample_environment,
    sample_platform,
    sample_tenant,
)
from worlds.control_repo import CLOCK_S, START_TIME_S

AGENT_ID, ENGINEER_ID = 1901, 1201
RELEASE_MANAGERS, SECURITY_ID = (1501, 1502), 1601
PLATFORM_ENGINEERS = (1101, 1102)
BASE = render_base(
    {
        "deployment-order-router.yaml": b"kind: Deployment\n",
        "service-order-router.yaml": b"kind: Service\n",
    }
)


def id_of(word: str) -> str:
    """A git object id made from a word."""
    return hashlib.sha1(word.encode(), usedforsecurity=False).hexdigest()


def digest_of(word: str) -> ImageDigest:
    """An image digest made from a word."""
    return ImageDigest("sha256:" + hashlib.sha256(word.encode()).hexdigest())


SOURCE_COMMIT, SOURCE_TREE = CommitId(id_of("patched")), TreeId(id_of("patched tree"))
DIGEST = digest_of("image of the patched tree")
RELEASE = Release(
    source_commit=SOURCE_COMMIT,
    source_tree=SOURCE_TREE,
    digest=DIGEST,
    base_tree=base_tree_of(BASE),
)


def cause_of(request: str, actor: int = AGENT_ID) -> Cause:
    """The cause of a fact that a request brought about."""
    return Cause(
        request=request,
        commit=CommitId(id_of(f"commit of {request}")),
        blob=BlobId(id_of(f"blob of {request}")),
        run="run-1",
        actor=actor,
        merged_at=moment_of(START_TIME_S),
    )


def accepted(id: str = DRAFT) -> Accepted:
    """The body of a draft's first fact, as the samples decide it."""
    draft, platform = sample_draft(id), sample_platform()
    tenant = sample_tenant(draft.tenant_id)
    names = (platform.platform, draft.tenant_id, draft.code_origin)
    return Accepted(
        tenant_id=draft.tenant_id,
        primitive_id=draft.primitive_id,
        primitive_type=draft.primitive_type,
        template_id=draft.template_id,
        template_digest=TreeId(id_of("template")),
        code_origin=draft.code_origin,
        sku=tenant.sku,
        risk_tier=tenant.risk_tier,
        target_repo=controllers_repo(*names),
        gitops_repo=gitops_repo(*names),
        instance=instance(draft.tenant_id, draft.primitive_id, draft.code_origin),
        image=image_repository(platform.registry.prefix, draft.tenant_id, draft.primitive_id),
        design_refs=draft.design_refs,
        target_namespaces={
            env: namespace(names[0], names[1], tenant.sku, draft.code_origin, env)
            for env in ENVIRONMENTS
        },
    )


def report(*names: CheckName, outcome: CheckOutcome = CheckOutcome.PASSED) -> CheckReport:
    """A report of checks of the patched tree, all with one outcome."""
    results = tuple(
        CheckResult(name=name, outcome=outcome, tool="checker 1.0", summary=outcome.value)
        for name in names
    )
    return CheckReport(commit=SOURCE_COMMIT, tree=SOURCE_TREE, results=results)


def overlay_in(environment: EnvironmentName, status: DraftStatus) -> Overlay:
    """The overlay of the release in an environment."""
    return render_overlay(
        status,
        sample_tenant("acme"),
        sample_platform(),
        sample_environment(environment),
        RELEASE,
        BASE,
    )


def promoted(
    environment: EnvironmentName, status: DraftStatus, approved_by: tuple[int, ...] = ()
) -> Promoted:
    """The body of the fact that promotes the release."""
    overlay = overlay_in(environment, status)
    return Promoted(
        environment=environment,
        namespace=overlay.namespace,
        release=RELEASE,
        overlay_tree=overlay.tree,
        overlay_folder=overlay.folder,
        gitops_repo=status.gitops_repo,
        gitops_commit=CommitId(id_of(f"merge in {environment}")),
        merged_at=moment_of(CLOCK_S),
        pull_request=link(status.gitops_repo, 1 + ENVIRONMENTS.index(environment)),
        approved_by=approved_by,
        checks=("lint", "secrets", "tests"),
    )


def claim_of_build(status: DraftStatus) -> Claim:
    """The claim of the build that a status lists."""
    record = status.builds[0].model_copy(update={"image": status.image})
    return Claim(record, status.target_repo, primitive_folder(status.instance))


def link(repo: str, number: int) -> PullRequestLink:
    """The address of a pull request."""
    return PullRequestLink(
        repo=repo, number=number, url=f"https://forge.example.com/{repo}/{number}"
    )


def chain_of(bodies: Sequence[tuple[str, FactBody]], draft: str = DRAFT) -> tuple[Fact, ...]:
    """Facts of these bodies (request path, body), each chained to the one before."""
    facts: list[Fact] = []
    status: DraftStatus | None = None
    for request, body in bodies:
        decided_at = moment_of(CLOCK_S + 60 * len(facts))
        fact = next_fact(draft, status, cause_of(request), body, decided_at=decided_at)
        status = fold_one(status, fact)
        facts.append(fact)
    return tuple(facts)


def provisioned_status(id: str = DRAFT) -> DraftStatus:
    """The status of a draft that is accepted and whose repositories exist."""
    first = accepted(id)
    repos = Provisioned(repos=(first.target_repo, first.gitops_repo))
    status = fold(chain_of([(draft_path(id), first), (draft_path(id), repos)], id))
    assert status is not None
    return status


def refolded(facts: Sequence[Fact]) -> tuple[tuple[Fact, ...], DraftStatus]:
    """The facts chained anew after some were changed, and their fold."""
    chained: list[Fact] = []
    status: DraftStatus | None = None
    for fact in facts:
        fact = next_fact(fact.draft, status, fact.cause, fact.body, decided_at=fact.decided_at)
        status = fold_one(status, fact)
        chained.append(fact)
    assert status is not None
    return tuple(chained), status


@lru_cache(maxsize=1)
def sample_facts() -> tuple[Fact, ...]:
    """The draft's facts: from its acceptance to its promotion to staging."""
    first = accepted()
    pull = link(first.target_repo, 1)
    request, branch = draft_path(DRAFT), "draft/order-router/0123456789ab"
    bodies: list[tuple[str, FactBody]] = [
        (request, first),
        (request, Provisioned(repos=(first.target_repo, first.gitops_repo))),
        (
            request,
            Scaffolded(
                branch=branch,
                commit=CommitId(id_of("scaffold")),
                tree=TreeId(id_of("scaffold tree")),
                pull_request=pull,
            ),
        ),
        (
            patch_path(DRAFT, "0001"),
            PatchApplied(
                patch="0001",
                branch=branch,
                commit=SOURCE_COMMIT,
                tree=SOURCE_TREE,
                pull_request=pull,
            ),
        ),
        (request, ChecksRecorded(report=report("lint", "tests", "secrets"))),
        (
            promotion_path(DRAFT, "dev"),
            Built(
                build=BuildRecord(
                    source_commit=SOURCE_COMMIT,
                    source_tree=SOURCE_TREE,
                    digest=DIGEST,
                    builder="source-layout",
                    image=first.image,
                    sbom=ImageDigest(digest_of("contents")),
                    provenance=ImageDigest(digest_of("statement")),
                    bundle="{}",
                )
            ),
        ),
    ]
    status = fold(chain_of(bodies))
    assert status is not None
    bodies += [
        (promotion_path(DRAFT, "dev"), promoted("dev", status)),
        (promotion_path(DRAFT, "staging"), promoted("staging", status, RELEASE_MANAGERS[:1])),
    ]
    return chain_of(bodies)


def sample_status() -> DraftStatus:
    """The fold of the sample facts."""
    status = fold(sample_facts())
    assert status is not None
    return status


def fact_files(facts: Sequence[Fact]) -> tuple[FactFile, ...]:
    """Facts as files of the state branch."""
    return tuple(
        FactFile(
            fact_path(fact.draft.split("/")[1], fact.sequence, fact.body.type), fact_bytes(fact)
        )
        for fact in facts
    )
