"""Forgeries of accepted requests and of sources: scaffolds, patches, checks and builds."""

from __future__ import annotations

from pipeline.models.evidence import CheckOutcome
from pipeline.models.facts import PatchApplied, PatchRefused, Reason
from pipeline.models.requests import CodeOrigin, Sku
from tests.support import fact_history as history
from tests.support.finished_story import CODE
from tests.support.forgeries.ways import (
    ACCEPTED,
    BUILT,
    CHECKED,
    NOWHERE,
    PATCHED,
    REFUSED,
    SCAFFOLDED,
    Forgery,
    again,
    backdoor,
    beside,
    body,
    build,
    commit_on_branch,
    inserted,
    named_by,
    report,
    without_fact,
)
from tests.support.state_writer import PERSON, Forger, with_fact

_ACCEPTED = (
    ("origin `platform`", {"code_origin": CodeOrigin.PLATFORM}),
    ("a lower risk tier", {"risk_tier": "LOW"}),
    ("another SKU", {"sku": Sku.PRIVATE}),
    ("another tenant's image", {"image": "registry.example.com/ameide/tenant-contoso/x"}),
    ("another template's digest", {"template_digest": NOWHERE}),
    ("a GitOps repository of its own", {"gitops_repo": "tenant-acme-other"}),
    ("a code repository of its own", {"target_repo": "tenant-acme-other"}),
    ("another instance", {"instance": "price-list"}),
    ("a design that nobody made", {"design_refs": ("process-definition/other@1",)}),
    (
        "the shared namespace",
        {
            "target_namespaces": {
                "dev": "ameide-dev",
                "staging": "ameide-dev",
                "prod": "ameide-prod",
            }
        },
    ),
)


ACCEPTANCE = named_by(
    "accepted",
    "audit-accepted-differs",
    ((f"accepted with {what}", body(ACCEPTED, **changes)) for what, changes in _ACCEPTED),
)


def resigned(f: Forger) -> None:
    """Rewrite the patch's commit in a person's name."""
    told = f.body(PATCHED)
    assert isinstance(told, PatchApplied)
    old = f.gits[CODE].read_commit(told.commit)
    made = f.commit(CODE, f.files(CODE, old.id), old.parents, old.message, PERSON)
    f.put(CODE, "other", made)
    f.retell_body(PATCHED, commit=made)


def refused_instead(f: Forger) -> None:
    """Record the applied patch as stale."""
    reasons = (Reason(code="patch-base-stale", message="it is stale"),)
    told = PatchRefused(patch="0001", reasons=reasons)
    f.retell(lambda facts: with_fact(facts[:PATCHED], PATCHED, body=told))


SOURCES = (
    *named_by(
        "source-tree",
        "audit-source-missing",
        (
            ("scaffolded at a commit that is not there", body(SCAFFOLDED, commit=NOWHERE)),
            ("scaffolded with another tree", body(SCAFFOLDED, tree=NOWHERE)),
            ("patched at a commit that is not there", body(PATCHED, commit=NOWHERE)),
            (
                "checks of a tree that is not there",
                report(lambda r: r.model_copy(update={"tree": NOWHERE})),
            ),
            ("built from a tree that is not there", build(source_tree=NOWHERE)),
        ),
    ),
    Forgery(
        "a scaffold with a file more",
        commit_on_branch(SCAFFOLDED, backdoor),
        "scaffold",
        "audit-source-differs",
    ),
    Forgery(
        "a scaffold that writes beside its folder",
        commit_on_branch(SCAFFOLDED, beside),
        "scaffold",
        "audit-source-differs",
    ),
    Forgery(
        "scaffolded on another branch",
        body(SCAFFOLDED, branch="draft/order-router/other"),
        "scaffold",
        "audit-name-differs",
    ),
    Forgery(
        "a patch with a file more",
        commit_on_branch(PATCHED, backdoor),
        "patch",
        "audit-source-differs",
    ),
    Forgery("a patch in a person's name", resigned, "patch", "audit-source-differs"),
    Forgery(
        "patched on another branch", body(PATCHED, branch="main"), "patch", "audit-name-differs"
    ),
    Forgery(
        "an applied patch told as refused", refused_instead, "patch-refused", "audit-refusal-misfit"
    ),
    Forgery(
        "a patch refused for a reason that no rule gives",
        body(REFUSED, reasons=(Reason(code="because", message="no"),)),
        "refusals",
        "audit-refusal-misfit",
    ),
    Forgery(
        "a check reported twice",
        report(lambda r: r.model_copy(update={"results": (*r.results, r.results[0])})),
        "checked",
        "audit-told-misfit",
    ),
    Forgery("checks that never ran", without_fact(CHECKED), "decision", "audit-gate"),
    Forgery(
        "a check that failed",
        report(
            lambda r: r.model_copy(
                update={
                    "results": (
                        r.results[0].model_copy(update={"outcome": CheckOutcome.FAILED}),
                        *r.results[1:],
                    )
                }
            )
        ),
        "decision",
        "audit-gate",
    ),
    Forgery(
        "built as another digest",
        build(digest=history.digest_of("other")),
        "built",
        "audit-provenance",
    ),
    Forgery("built by another builder", build(builder="buildx"), "built", "audit-provenance"),
    Forgery("built without a statement", build(bundle=""), "decision", "audit-provenance"),
    Forgery(
        "built under another tenant's image",
        build(image="registry.example.com/ameide/tenant-contoso/order-router"),
        "built",
        "audit-name-differs",
    ),
    Forgery("built twice", inserted(BUILT, again(BUILT)), "built", "audit-digest-differs"),
    Forgery("never built", without_fact(BUILT), "decision", "audit-digest-differs"),
)
