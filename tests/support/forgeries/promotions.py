"""Forgeries of promotions: releases, overlays, approvals and the order of environments."""

from __future__ import annotations

from pipeline.git.objects import MODE_FILE
from pipeline.models.draft_state import DraftState
from pipeline.models.facts import GivenReview, Promoted, PromotionRefused, Reason
from pipeline.names import overlay_folder
from pipeline.releases.overlays import base_tree_of
from tests.support import fact_history as history
from tests.support.finished_story import GITOPS
from tests.support.forgeries.ways import (
    ACCEPTED,
    DEV,
    NOWHERE,
    PATCHED,
    PROD,
    STAGING,
    Forgery,
    again,
    body,
    brought,
    cause,
    inserted,
    release,
    reviewed,
    without_fact,
)
from tests.support.state_writer import Forger, with_fact


def overlay_forged(f: Forger) -> None:
    """Writers of state and GitOps run another image in the shared namespace, in prod."""
    promoted = f.body(PROD)
    assert isinstance(promoted, Promoted)
    git = f.gits[GITOPS]
    merge = git.read_commit(promoted.gitops_commit)
    made = git.read_commit(merge.parents[1])
    digest = history.digest_of("other")
    folder = overlay_folder("prod", "order-router")
    files = f.files(GITOPS, made.id)
    for path in (f"{folder}/kustomization.yaml", f"{folder}/release.yaml"):
        text = files[path][1].replace(promoted.release.digest.encode(), digest.encode())
        text = text.replace(b"tenant-acme-prod-cust", b"ameide-prod")
        assert text != files[path][1]
        files[path] = (MODE_FILE, text)
    head = f.commit(GITOPS, files, made.parents, made.message, made.author)
    top = f.commit(GITOPS, files, [merge.parents[0], head], merge.message, merge.author)
    tree = git.read_object(f"{top}:{folder}")
    assert tree is not None
    f.put(GITOPS, "main", top)
    told = promoted.release.model_copy(update={"digest": digest})
    f.retell_body(
        PROD, namespace="ameide-prod", release=told, overlay_tree=tree.id, gitops_commit=top
    )


def base_forged(f: Forger) -> None:
    """Writers of state and GitOps add a manifest to prod's base, all ids computed again."""
    promoted = f.body(PROD)
    assert isinstance(promoted, Promoted)
    git = f.gits[GITOPS]
    merge = git.read_commit(promoted.gitops_commit)
    made = git.read_commit(merge.parents[1])
    folder = overlay_folder("prod", "order-router")
    files = f.files(GITOPS, made.id)
    files[f"{folder}/base/extra.yaml"] = (MODE_FILE, b"kind: Secret\n")
    base = {
        path.removeprefix(f"{folder}/base/"): content
        for path, (_, content) in files.items()
        if path.startswith(f"{folder}/base/")
    }
    head = f.commit(GITOPS, files, made.parents, made.message, made.author)
    top = f.commit(GITOPS, files, [merge.parents[0], head], merge.message, merge.author)
    tree = git.read_object(f"{top}:{folder}")
    assert tree is not None
    f.put(GITOPS, "main", top)
    told = promoted.release.model_copy(update={"base_tree": base_tree_of(base)})
    f.retell_body(PROD, release=told, overlay_tree=tree.id, gitops_commit=top)


def other_message(f: Forger) -> None:
    """A writer of GitOps makes prod's overlay commit over again, for another request."""
    promoted = f.body(PROD)
    assert isinstance(promoted, Promoted)
    git = f.gits[GITOPS]
    merge = git.read_commit(promoted.gitops_commit)
    made = git.read_commit(merge.parents[1])
    text = made.message.replace("promotions/prod.yaml", "promotions/dev.yaml")
    assert text != made.message
    files = f.files(GITOPS, made.id)
    head = f.commit(GITOPS, files, made.parents, text, made.author)
    top = f.commit(GITOPS, files, [merge.parents[0], head], merge.message, merge.author)
    f.put(GITOPS, "main", top)
    f.retell_body(PROD, gitops_commit=top)


def by_staging(f: Forger) -> None:
    """prod was promoted because of the request for staging."""
    staging = f.facts()[STAGING - 1].cause
    f.retell(lambda facts: with_fact(facts, PROD, cause=staging))


def at_stagings_commit(f: Forger) -> None:
    """prod's overlay is said to have come with staging's merge."""
    staging = f.body(STAGING)
    assert isinstance(staging, Promoted)
    f.retell_body(PROD, gitops_commit=staging.gitops_commit)


PROMOTIONS = (
    Forgery(
        "prod in the shared namespace with a foreign digest",
        overlay_forged,
        "decision",
        "audit-digest-differs",
    ),
    Forgery("prod with a manifest more in its base", base_forged, "decision", "audit-gate"),
    Forgery(
        "an overlay's commit for another request", other_message, "merge", "audit-source-differs"
    ),
    Forgery("prod because of the request for staging", by_staging, "request", "audit-cause-other"),
    Forgery(
        "told to run in the shared namespace",
        body(PROD, namespace="ameide-prod"),
        "decision",
        "audit-promotion-differs",
    ),
    Forgery(
        "a promoted digest that was not built",
        release(PROD, digest=history.digest_of("other")),
        "decision",
        "audit-digest-differs",
    ),
    Forgery(
        "promoted from another commit",
        release(PROD, source_commit=NOWHERE),
        "decision",
        "audit-promotion-differs",
    ),
    Forgery(
        "promoted from another tree",
        release(PROD, source_tree=NOWHERE),
        "decision",
        "audit-promotion-differs",
    ),
    Forgery(
        "promoted with another base",
        release(PROD, base_tree=NOWHERE),
        "decision",
        "audit-promotion-differs",
    ),
    Forgery(
        "approvals without one of each team",
        reviewed(PROD, 1501, 1502),
        "decision",
        "audit-approvals",
    ),
    Forgery(
        "one approver counted twice", reviewed(PROD, 1501, 1501), "decision", "audit-approvals"
    ),
    Forgery("approved by nobody", reviewed(PROD), "decision", "audit-approvals"),
    Forgery("dev approved by nobody", reviewed(DEV), "decision", "audit-approvals"),
    Forgery(
        "approved by another tenant's engineer",
        reviewed(PROD, 1301, 1601),
        "decision",
        "audit-approvals",
    ),
    Forgery("approved by a bot", reviewed(PROD, 1501, 1901), "decision", "audit-approvals"),
    Forgery(
        "approved by the asker",
        reviewed(PROD, 1501, 1601, author=1501),
        "decision",
        "audit-approvals",
    ),
    Forgery(
        "approved by who pushed it",
        reviewed(PROD, 1501, 1601, pushers=(1501, 1901)),
        "decision",
        "audit-approvals",
    ),
    Forgery(
        "approved at an older revision",
        brought(
            PROD,
            reviews=(
                GivenReview(account=1501, commit=NOWHERE, verdict="approved"),
                GivenReview(account=1601, commit=NOWHERE, verdict="approved"),
            ),
        ),
        "decision",
        "audit-approvals",
    ),
    Forgery(
        "pushed by nobody who is known",
        brought(PROD, is_pusher_known=False),
        "decision",
        "audit-gate",
    ),
    Forgery(
        "approved by others than its pull request says",
        body(PROD, approved_by=(1502, 1601)),
        "decision",
        "audit-approvals",
    ),
    Forgery(
        "approved by one who does not count, too",
        body(PROD, approved_by=(1301, 1501, 1601)),
        "decision",
        "audit-promotion-differs",
    ),
    Forgery(
        "a promotion that no pull request brought",
        cause(PROD, brought=None),
        "decision",
        "audit-gate",
    ),
    Forgery(
        "prod by the policy of an older base",
        brought(PROD, base=NOWHERE),
        "brought",
        "audit-brought-differs",
    ),
    Forgery(
        "another revision than was merged",
        brought(PROD, head=NOWHERE),
        "brought",
        "audit-brought-differs",
    ),
    Forgery(
        "another asker than opened it", cause(PROD, actor=1501), "brought", "audit-brought-differs"
    ),
    Forgery("a draft that nobody approved", reviewed(ACCEPTED), "authority", "audit-authority"),
    Forgery(
        "a draft that another tenant's bot asked for",
        reviewed(ACCEPTED, 1201, author=1902),
        "authority",
        "audit-authority",
    ),
    Forgery("a patch that nobody approved", reviewed(PATCHED), "authority", "audit-authority"),
    Forgery(
        "a patch that an unlisted account pushed",
        reviewed(PATCHED, 1201, pushers=(4711,)),
        "authority",
        "audit-authority",
    ),
    Forgery(
        "a patch that no pull request brought",
        cause(PATCHED, brought=None),
        "authority",
        "audit-authority",
    ),
    Forgery(
        "a GitOps repository that nobody reads",
        body(PROD, gitops_repo="tenant-acme-other"),
        "place",
        "audit-name-differs",
    ),
    Forgery(
        "another overlay folder",
        body(PROD, overlay_folder="environments/prod/other"),
        "place",
        "audit-name-differs",
    ),
    Forgery("merged by staging's commit", at_stagings_commit, "place", "audit-overlay-missing"),
    Forgery(
        "another overlay tree", body(PROD, overlay_tree=NOWHERE), "place", "audit-overlay-missing"
    ),
    Forgery(
        "a merge that is not there",
        body(PROD, gitops_commit=NOWHERE),
        "place",
        "audit-overlay-missing",
    ),
    Forgery(
        "a check told as passed that never ran",
        body(PROD, checks=("code-scan", "lint", "secrets", "tests")),
        "decision",
        "audit-promotion-differs",
    ),
    Forgery(
        "a state that prod does not lead to",
        body(PROD, state=DraftState.PROMOTED_STAGING),
        "decision",
        "audit-promotion-differs",
    ),
    Forgery(
        "a state beyond the one that staging leads to",
        body(STAGING, state=DraftState.PROMOTED_PROD),
        "decision",
        "audit-promotion-differs",
    ),
    Forgery(
        "environments in another order than policy's",
        body(ACCEPTED, environments=("prod", "staging", "dev")),
        "accepted",
        "audit-accepted-differs",
    ),
    Forgery("prod before staging", without_fact(STAGING), "decision", "audit-gate"),
    Forgery(
        "refused for a reason that no rule gives",
        inserted(
            PROD,
            again(
                PROD,
                body=PromotionRefused(
                    environment="prod", reasons=(Reason(code="because", message="no"),)
                ),
            ),
        ),
        "refusals",
        "audit-refusal-misfit",
    ),
)
