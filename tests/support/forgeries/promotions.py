"""Forgeries of promotions: releases, overlays, approvals and the order of environments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from pipeline.git.objects import MODE_FILE
from pipeline.models.base import API_VERSION
from pipeline.models.draft_state import DraftState
from pipeline.models.facts import GivenReview, Promoted, PromotionRefused, Reason, Release
from pipeline.names import overlay_folder
from pipeline.releases.overlays import base_tree_of
from tests.support import fact_history as history
from tests.support.finished_story import CONTROL, GITOPS
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
    named_by,
    release,
    reviewed,
    without_fact,
)
from tests.support.state_writer import PERSON, Files, Forger, with_fact
from worlds.control_repo import CLOCK_S

_FOLDER = overlay_folder("prod", "order-router")


def remade(
    f: Forger,
    change: Callable[[Files], None] = lambda files: None,
    reword: Callable[[str], str] = lambda message: message,
) -> tuple[str, str]:
    """The new merge on GitOps main, and its overlay's tree, once prod's overlay commit has other
    files or another message.
    """
    promoted = f.body(PROD)
    assert isinstance(promoted, Promoted)
    git = f.gits[GITOPS]
    merge = git.read_commit(promoted.gitops_commit)
    made = git.read_commit(merge.parents[1])
    files, message = f.files(GITOPS, made.id), reword(made.message)
    change(files)
    assert (files, message) != (f.files(GITOPS, made.id), made.message)
    head = f.commit(GITOPS, files, made.parents, message, made.author)
    top = f.commit(GITOPS, files, [merge.parents[0], head], merge.message, merge.author)
    tree = git.read_object(f"{top}:{_FOLDER}")
    assert tree is not None
    f.put(GITOPS, "main", top)
    return top, tree.id


def released(f: Forger, **changes: object) -> Release:
    """The release of prod's promotion, with changes."""
    promoted = f.body(PROD)
    assert isinstance(promoted, Promoted)
    return promoted.release.model_copy(update=changes)


def overlay_forged(f: Forger) -> None:
    """Run another image in the shared namespace in prod, by writing state and GitOps."""
    true, digest = released(f).digest, history.digest_of("other")

    def change(files: Files) -> None:
        for path in (f"{_FOLDER}/kustomization.yaml", f"{_FOLDER}/release.yaml"):
            text = files[path][1].replace(true.encode(), digest.encode())
            text = text.replace(b"tenant-acme-prod-cust", b"ameide-prod")
            assert text != files[path][1]
            files[path] = (MODE_FILE, text)

    top, tree = remade(f, change)
    told = released(f, digest=digest)
    f.retell_body(PROD, namespace="ameide-prod", release=told, overlay_tree=tree, gitops_commit=top)


def base_forged(f: Forger) -> None:
    """Add a manifest to prod's base, by writing state and GitOps, with all ids recomputed."""
    base: dict[str, bytes] = {}

    def change(files: Files) -> None:
        below = f"{_FOLDER}/base/"
        files[f"{below}extra.yaml"] = (MODE_FILE, b"kind: Secret\n")
        for path, (_, content) in files.items():
            if path.startswith(below):
                base[path.removeprefix(below)] = content

    top, tree = remade(f, change)
    told = released(f, base_tree=base_tree_of(base))
    f.retell_body(PROD, release=told, overlay_tree=tree, gitops_commit=top)


def other_message(f: Forger) -> None:
    """Rewrite prod's overlay commit for another request, as a writer of GitOps can."""
    top, _ = remade(
        f, reword=lambda text: text.replace("promotions/prod.yaml", "promotions/dev.yaml")
    )
    f.retell_body(PROD, gitops_commit=top)


def by_staging(f: Forger) -> None:
    """Record prod's promotion as caused by the request for staging."""
    staging = f.facts()[STAGING - 1].cause
    f.retell(lambda facts: with_fact(facts, PROD, cause=staging))


def at_stagings_commit(f: Forger) -> None:
    """Record staging's merge as the commit of prod's overlay."""
    staging = f.body(STAGING)
    assert isinstance(staging, Promoted)
    f.retell_body(PROD, gitops_commit=staging.gitops_commit)


def stopped_before(f: Forger) -> None:
    """Stop all promotions, by a commit of an hour before those that the facts tell of."""

    def change(files: Files) -> None:
        text = f"apiVersion: {API_VERSION}\nkind: Stop\nstops: [{{reason: It leaks}}]\n"
        files["environments/stop.yaml"] = (MODE_FILE, text.encode())

    early = replace(PERSON, time_s=CLOCK_S - 3600)
    f.add(CONTROL, change, signature=early)


PROMOTIONS = (
    Forgery(
        "promotions by the policy of before a stop",
        stopped_before,
        "policy",
        "audit-policy-replaced",
    ),
    Forgery(
        "a promotion by a policy that main never had",
        body(PROD, policy=NOWHERE),
        "policy",
        "audit-policy-replaced",
    ),
    Forgery(
        "a promotion that names no policy", body(PROD, policy=None), "merge", "audit-source-differs"
    ),
    Forgery(
        "prod in the shared namespace with a foreign digest",
        overlay_forged,
        "decision",
        "audit-digest-differs",
    ),
    Forgery(
        "a promoted digest that was not built",
        release(PROD, digest=history.digest_of("other")),
        "decision",
        "audit-digest-differs",
    ),
    *named_by(
        "decision",
        "audit-gate",
        (
            ("prod with a manifest more in its base", base_forged),
            ("pushed by nobody who is known", brought(PROD, is_pusher_known=False)),
            ("a promotion that no pull request brought", cause(PROD, brought=None)),
            ("prod before staging", without_fact(STAGING)),
        ),
    ),
    Forgery(
        "an overlay's commit for another request", other_message, "merge", "audit-source-differs"
    ),
    Forgery("prod because of the request for staging", by_staging, "request", "audit-cause-other"),
    *named_by(
        "decision",
        "audit-promotion-differs",
        (
            ("told to run in the shared namespace", body(PROD, namespace="ameide-prod")),
            ("promoted from another commit", release(PROD, source_commit=NOWHERE)),
            ("promoted from another tree", release(PROD, source_tree=NOWHERE)),
            ("promoted with another base", release(PROD, base_tree=NOWHERE)),
            ("approved by one who does not count, too", body(PROD, approved_by=(1301, 1501, 1601))),
            ("a state that prod does not lead to", body(PROD, state=DraftState.PROMOTED_STAGING)),
            (
                "a state beyond the one that staging leads to",
                body(STAGING, state=DraftState.PROMOTED_PROD),
            ),
            (
                "a check told as passed that never ran",
                body(PROD, checks=("code-scan", "lint", "secrets", "tests")),
            ),
        ),
    ),
    *named_by(
        "decision",
        "audit-approvals",
        (
            ("approvals without one of each team", reviewed(PROD, 1501, 1502)),
            ("one approver counted twice", reviewed(PROD, 1501, 1501)),
            ("approved by nobody", reviewed(PROD)),
            ("dev approved by nobody", reviewed(DEV)),
            ("approved by another tenant's engineer", reviewed(PROD, 1301, 1601)),
            ("approved by a bot", reviewed(PROD, 1501, 1901)),
            ("approved by the asker", reviewed(PROD, 1501, 1601, author=1501)),
            ("approved by who pushed it", reviewed(PROD, 1501, 1601, pushers=(1501, 1901))),
            (
                "approved at an older revision",
                brought(
                    PROD,
                    reviews=(
                        GivenReview(account=1501, commit=NOWHERE, verdict="approved"),
                        GivenReview(account=1601, commit=NOWHERE, verdict="approved"),
                    ),
                ),
            ),
            ("approved by others than its pull request says", body(PROD, approved_by=(1502, 1601))),
        ),
    ),
    *named_by(
        "brought",
        "audit-brought-differs",
        (
            ("prod by the policy of an older base", brought(PROD, base=NOWHERE)),
            ("another revision than was merged", brought(PROD, head=NOWHERE)),
            ("another asker than opened it", cause(PROD, actor=1501)),
        ),
    ),
    *named_by(
        "authority",
        "audit-authority",
        (
            ("a draft that nobody approved", reviewed(ACCEPTED)),
            ("a draft that another tenant's bot asked for", reviewed(ACCEPTED, 1201, author=1902)),
            ("a patch that nobody approved", reviewed(PATCHED)),
            ("a patch that an unlisted account pushed", reviewed(PATCHED, 1201, pushers=(4711,))),
            ("a patch that no pull request brought", cause(PATCHED, brought=None)),
        ),
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
    *named_by(
        "place",
        "audit-overlay-missing",
        (
            ("merged by staging's commit", at_stagings_commit),
            ("another overlay tree", body(PROD, overlay_tree=NOWHERE)),
            ("a merge that is not there", body(PROD, gitops_commit=NOWHERE)),
        ),
    ),
    Forgery(
        "environments in another order than policy's",
        body(ACCEPTED, environments=("prod", "staging", "dev")),
        "accepted",
        "audit-accepted-differs",
    ),
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
    Forgery(
        "refused although the gate allows it",
        inserted(
            PROD,
            again(
                PROD,
                body=PromotionRefused(
                    environment="prod",
                    reasons=(Reason(code="check-failed", message="`lint` failed: 1 of 9"),),
                ),
            ),
        ),
        "refused",
        "audit-refusal-differs",
    ),
)
