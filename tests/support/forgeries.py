"""Forgeries by a writer who keeps chain and fold right, each with what an audit says of it.

`step` is the step of the audit that names it, `code` what it says; a forgery without a code is one
that no clone can show, and `trust` says whose word it rests on instead.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import MODE_FILE, TreeEntry, commit_object, parse_tree, tree_object
from pipeline.models.evidence import CheckOutcome, CheckReport
from pipeline.models.facts import (
    Built,
    ChecksRecorded,
    Fact,
    GivenReview,
    Observed,
    PatchApplied,
    PatchRefused,
    Promoted,
    PromotionRefused,
    Reason,
    Rejected,
    Scaffolded,
)
from pipeline.models.requests import CodeOrigin, Sku
from pipeline.names import overlay_folder
from pipeline.releases.overlays import base_tree_of
from tests.support import fact_history as history
from tests.support.finished_story import CODE, CONTROL, GITOPS, STATE
from tests.support.samples import DRAFT
from tests.support.state_writer import OTHER, PERSON, Files, Forger, with_fact

ACCEPTED, PROVISIONED, SCAFFOLDED, PATCHED, CHECKED, REFUSED, BUILT = range(1, 8)
DEV, STAGING, PROD = 8, 9, 10
PIPELINE = pipeline_signature(1_767_226_600)
NOWHERE = history.id_of("nowhere")


@dataclass(frozen=True)
class Forgery:
    """One forgery: what it does, the step that finds it and its code, or the trust it rests on."""

    name: str
    forge: Callable[[Forger], object]
    step: str = ""
    code: str = ""
    trust: str = ""


def body(number: int, **changes: object) -> Callable[[Forger], object]:
    """One fact's body says something else."""
    return lambda f: f.retell_body(number, **changes)


def cause(number: int, **changes: object) -> Callable[[Forger], object]:
    """One fact's cause is another."""
    return lambda f: f.retell_cause(number, **changes)


def release(number: int, **changes: object) -> Callable[[Forger], object]:
    """One promotion is of another release."""

    def forge(f: Forger) -> None:
        promoted = f.body(number)
        assert isinstance(promoted, Promoted)
        f.retell_body(number, release=promoted.release.model_copy(update=changes))

    return forge


def build(**changes: object) -> Callable[[Forger], object]:
    """The image was built otherwise."""

    def forge(f: Forger) -> None:
        built = f.body(BUILT)
        assert isinstance(built, Built)
        f.retell_body(BUILT, build=built.build.model_copy(update=changes))

    return forge


def report(change: Callable[[CheckReport], CheckReport]) -> Callable[[Forger], object]:
    """The checks said something else."""

    def forge(f: Forger) -> None:
        checked = f.body(CHECKED)
        assert isinstance(checked, ChecksRecorded)
        f.retell_body(CHECKED, report=change(checked.report))

    return forge


def without_fact(number: int) -> Callable[[Forger], object]:
    """One fact never was."""
    return lambda f: f.retell(lambda facts: [*facts[: number - 1], *facts[number:]])


def inserted(after: int, made: Callable[[list[Fact]], Fact]) -> Callable[[Forger], object]:
    """One fact more, of the cause of the one before it."""
    return lambda f: f.retell(lambda facts: [*facts[:after], made(facts), *facts[after:]])


def reviewed(number: int, *accounts: int, **changes: object) -> Callable[[Forger], object]:
    """A request was approved by these, and the fact says so throughout."""

    def forge(f: Forger) -> None:
        def change(facts: list[Fact]) -> list[Fact]:
            fact = facts[number - 1]
            brought = fact.cause.brought
            assert brought is not None
            reviews = tuple(
                GivenReview(account=account, commit=brought.head, verdict="approved")
                for account in accounts
            )
            brought = brought.model_copy(update={"reviews": reviews, **changes})
            told = fact.cause.model_copy(
                update={"brought": brought, "actor": changes.get("author", fact.cause.actor)}
            )
            body = fact.body
            if isinstance(body, Promoted):
                body = body.model_copy(update={"approved_by": tuple(sorted(set(accounts)))})
            return with_fact(facts, number, cause=told, body=body)

        f.retell(change)

    return forge


def brought(number: int, **changes: object) -> Callable[[Forger], object]:
    """A request came to main otherwise."""

    def forge(f: Forger) -> None:
        told = f.facts()[number - 1].cause.brought
        assert told is not None
        f.retell_cause(number, brought=told.model_copy(update=changes))

    return forge


def again(number: int, **changes: object) -> Callable[[list[Fact]], Fact]:
    """A fact with another body, as often as one likes."""
    return lambda facts: facts[number - 1].model_copy(update=changes)


# -- acceptance --------------------------------------------------------------------------------

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
ACCEPTANCE = tuple(
    Forgery(
        f"accepted with {what}", body(ACCEPTED, **changes), "accepted", "audit-accepted-differs"
    )
    for what, changes in _ACCEPTED
)


# -- sources -----------------------------------------------------------------------------------


def commit_on_branch(number: int, change: Callable[[Files], None]) -> Callable[[Forger], object]:
    """A writer of the code's repository makes a commit over again, with other files."""

    def forge(f: Forger) -> None:
        told = f.body(number)
        assert isinstance(told, Scaffolded | PatchApplied)
        git = f.gits[CODE]
        old = git.read_commit(told.commit)
        files = f.files(CODE, told.commit)
        change(files)
        made = f.commit(CODE, files, old.parents, old.message, old.author)
        tree = git.read_object(f"{made}:primitives/order-router")
        assert tree is not None
        f.put(CODE, "other", made)
        f.retell_body(number, commit=made, tree=tree.id)

    return forge


def backdoor(files: Files) -> None:
    """One file more beside those of the request."""
    files["primitives/order-router/src/domain_order_router/backdoor.py"] = (MODE_FILE, b"x = 1\n")


def beside(files: Files) -> None:
    """One file more outside of the primitive."""
    files["primitives/other/x.py"] = (MODE_FILE, b"x = 1\n")


def resigned(f: Forger) -> None:
    """The patch's commit, in a person's name."""
    told = f.body(PATCHED)
    assert isinstance(told, PatchApplied)
    old = f.gits[CODE].read_commit(told.commit)
    made = f.commit(CODE, f.files(CODE, old.id), old.parents, old.message, PERSON)
    f.put(CODE, "other", made)
    f.retell_body(PATCHED, commit=made)


def refused_instead(f: Forger) -> None:
    """The patch that was applied is told as stale."""
    reasons = (Reason(code="patch-base-stale", message="it is stale"),)
    told = PatchRefused(patch="0001", reasons=reasons)
    f.retell(lambda facts: with_fact(facts[:PATCHED], PATCHED, body=told))


SOURCES = (
    Forgery(
        "scaffolded at a commit that is not there",
        body(SCAFFOLDED, commit=NOWHERE),
        "source-tree",
        "audit-source-missing",
    ),
    Forgery(
        "scaffolded with another tree",
        body(SCAFFOLDED, tree=NOWHERE),
        "source-tree",
        "audit-source-missing",
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
        "patched at a commit that is not there",
        body(PATCHED, commit=NOWHERE),
        "source-tree",
        "audit-source-missing",
    ),
    Forgery(
        "a patch with a file more",
        commit_on_branch(PATCHED, backdoor),
        "patch",
        "audit-source-differs",
    ),
    Forgery("a patch in a person's name", resigned, "patch", "audit-source-differs"),
    Forgery(
        "patched on another branch",
        body(PATCHED, branch="main"),
        "patch",
        "audit-name-differs",
    ),
    Forgery(
        "an applied patch told as refused",
        refused_instead,
        "patch-refused",
        "audit-refusal-misfit",
    ),
    Forgery(
        "a patch refused for a reason that no rule gives",
        body(REFUSED, reasons=(Reason(code="because", message="no"),)),
        "refusals",
        "audit-refusal-misfit",
    ),
    Forgery(
        "checks of a tree that is not there",
        report(lambda r: r.model_copy(update={"tree": NOWHERE})),
        "source-tree",
        "audit-source-missing",
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
    Forgery("built without a statement", build(bundle=""), "decision", "audit-provenance"),
    Forgery("built by another builder", build(builder="buildx"), "built", "audit-provenance"),
    Forgery(
        "built under another tenant's image",
        build(image="registry.example.com/ameide/tenant-contoso/order-router"),
        "built",
        "audit-name-differs",
    ),
    Forgery(
        "built from a tree that is not there",
        build(source_tree=NOWHERE),
        "source-tree",
        "audit-source-missing",
    ),
    Forgery("built twice", inserted(BUILT, again(BUILT)), "built", "audit-digest-differs"),
    Forgery("never built", without_fact(BUILT), "decision", "audit-digest-differs"),
)


# -- promotions --------------------------------------------------------------------------------


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


# -- causes and what others told ------------------------------------------------------------------


def observed_elsewhere(f: Forger) -> None:
    """An observation of prod, before anything was promoted there."""
    seen = f.facts()[-1]
    assert isinstance(seen.body, Observed)
    f.retell(lambda facts: [*facts[:DEV], seen, *facts[DEV:]])


def observed_other_draft(f: Forger) -> None:
    """An observation of another draft."""
    seen = f.facts()[-1].body
    assert isinstance(seen, Observed)
    told = seen.observation.model_copy(update={"draft": OTHER})
    f.retell_body(len(f.facts()), observation=told)


def ended_in_prod(f: Forger) -> None:
    """The draft that runs in prod is told to have ended."""
    first = f.facts()[0].cause
    f.retell(
        lambda facts: [
            *facts,
            facts[-1].model_copy(update={"cause": first, "body": Rejected(reason="closed")}),
        ]
    )


def main_without(f: Forger) -> None:
    """main is put back to before anybody asked."""
    first = list(f.gits[CONTROL].log_commits(f.head(CONTROL)))[-1]
    f.put(CONTROL, "main", first.id)


def request_amended(f: Forger) -> None:
    """The request for prod, as if it had had another reason."""
    git, head = f.gits[CONTROL], f.head(CONTROL)
    old = git.read_commit(head)
    files = f.files(CONTROL)
    path = "tenants/acme/drafts/order-router/promotions/prod.yaml"
    files[path] = (MODE_FILE, files[path][1].replace(b"Peak season", b"Low season"))
    f.put(CONTROL, "main", f.commit(CONTROL, files, old.parents, old.message, old.author))


CAUSES = (
    Forgery(
        "caused by a commit that is not there",
        cause(PROD, commit=NOWHERE),
        "cause",
        "audit-cause-missing",
    ),
    Forgery("caused by another content", cause(PROD, blob=NOWHERE), "cause", "audit-cause-missing"),
    Forgery("main without the requests", main_without, "cause", "audit-cause-missing"),
    Forgery("a request amended on main", request_amended, "cause", "audit-cause-missing"),
    Forgery(
        "brought by a commit that only kept it",
        lambda f: f.retell_cause(PROVISIONED, commit=f.head(CONTROL)),
        "cause",
        "audit-cause-missing",
    ),
    Forgery(
        "provisioned elsewhere",
        body(PROVISIONED, repos=("tenant-acme-controllers", "tenant-acme-other")),
        "provisioned",
        "audit-name-differs",
    ),
    Forgery("observed before it was promoted", observed_elsewhere, "told", "audit-told-misfit"),
    Forgery("an observation of another draft", observed_other_draft, "told", "audit-told-misfit"),
    Forgery("ended although it runs", ended_in_prod, "told", "audit-told-misfit"),
)


# -- the state branch's history --------------------------------------------------------------------


def on_state(change: Callable[[Files], None]) -> Callable[[Forger], object]:
    """A commit more on the state branch, in the pipeline's name."""
    return lambda f: f.add(CONTROL, change, branch=STATE, signature=PIPELINE)


def drop_draft(files: Files) -> None:
    """All of a draft's facts are taken out."""
    for path in [p for p in files if p.startswith("drafts/order-router/")]:
        del files[path]


def there_and_back(f: Forger) -> None:
    """A fact is changed, and changed back."""
    path = "drafts/order-router/facts/000003-scaffolded.json"

    def change(files: Files) -> None:
        files[path] = (MODE_FILE, files[path][1].replace(b"run-1", b"run-2"))

    def back(files: Files) -> None:
        files[path] = (MODE_FILE, files[path][1].replace(b"run-2", b"run-1"))

    f.add(CONTROL, change, branch=STATE, signature=PIPELINE)
    f.add(CONTROL, back, branch=STATE, signature=PIPELINE)


def merged_state(f: Forger) -> None:
    """A second root is merged into the state branch."""
    head = f.head(CONTROL, STATE)
    root = f.commit(CONTROL, {}, [], "Begin\n", PIPELINE)
    f.put(
        CONTROL, STATE, f.commit(CONTROL, f.files(CONTROL, head), [head, root], "Merge\n", PIPELINE)
    )


def mode_of_fact(mode: int, path: str) -> Callable[[Files], None]:
    """A file with another mode."""

    def change(files: Files) -> None:
        files[path] = (mode, files[path][1])

    return change


def wrong_in_between(f: Forger) -> None:
    """A status told otherwise by a commit in between; the newest one is right."""

    def edit(number: int, files: Files) -> None:
        path = "drafts/order-router/status.yaml"
        if number == 2:
            files[path] = (MODE_FILE, files[path][1].replace(b"MEDIUM", b"LOW"))

    f.retell(lambda facts: facts, edit=edit)


_FACT = "drafts/order-router/facts/000003-scaffolded.json"
_STATUS = "drafts/order-router/status.yaml"
STATES = (
    Forgery(
        "a draft's folder of facts taken out",
        on_state(drop_draft),
        "state-append-only",
        "audit-state-history",
    ),
    Forgery(
        "a state branch that never knew a draft",
        lambda f: f.retell(lambda facts: facts, OTHER, without=(DRAFT,)),
        "trailers",
        "audit-draft-lost",
    ),
    Forgery(
        "a fact changed and changed back",
        there_and_back,
        "state-append-only",
        "audit-state-history",
    ),
    Forgery("another history merged in", merged_state, "state-append-only", "audit-state-history"),
    Forgery(
        "an executable fact",
        on_state(mode_of_fact(0o100755, _FACT)),
        "state-files",
        "audit-state-file",
    ),
    Forgery(
        "a link for a status",
        on_state(mode_of_fact(0o120000, _STATUS)),
        "state-files",
        "audit-state-file",
    ),
    Forgery(
        "a file that belongs to nothing",
        on_state(lambda files: files.update({"notes.txt": (MODE_FILE, b"x\n")})),
        "state-files",
        "audit-state-file",
    ),
    Forgery(
        "a person's commit",
        lambda f: f.add(CONTROL, lambda files: None, branch=STATE),
        "state-authors",
        "audit-foreign-commit",
    ),
    Forgery("a wrong status in between", wrong_in_between, "state-folds", "audit-status-fold"),
    Forgery(
        "commits that name no fact",
        lambda f: f.retell(
            lambda facts: facts, message=lambda text: text.partition("\nFact")[0] + "\n"
        ),
        "state-trailers",
        "audit-fact-anchor",
    ),
    Forgery(
        "a fact that no commit elsewhere rests on any more",
        cause(ACCEPTED, run="run-2"),
        "trailers",
        "audit-fact-anchor",
    ),
    Forgery(
        "one byte of a fact",
        lambda f: f.add(
            CONTROL,
            lambda files: files.update(
                {_FACT: (MODE_FILE, files[_FACT][1].replace(b"run-1", b"run-2"))}
            ),
            branch=STATE,
            signature=PIPELINE,
        ),
        "chains",
        "audit-fact-chain",
    ),
)


# -- the GitOps repository and the code ----------------------------------------------------


def write(path: str, content: bytes, mode: int = MODE_FILE) -> Callable[[Forger], object]:
    """A file written to GitOps main, in the pipeline's name."""
    return lambda f: f.add(
        GITOPS, lambda files: files.update({path: (mode, content)}), signature=PIPELINE
    )


def overlay_there_and_back(f: Forger) -> None:
    """An overlay is changed in the pipeline's name, and changed back."""
    path = "environments/prod/order-router/kustomization.yaml"
    old = f.files(GITOPS)[path]
    write(path, old[1] + b"# quickly\n")(f)
    write(path, old[1])(f)


def other_root(f: Forger) -> None:
    """The GitOps repository, told anew from another first commit on."""
    parent: str | None = None
    git = f.gits[GITOPS]
    changed: dict[str, str] = {}
    for commit in reversed(list(git.log_commits(f.head(GITOPS)))):
        files = f.files(GITOPS, commit.id)
        files["CODEOWNERS"] = (MODE_FILE, b"* @somebody\n")
        parents = [changed[p] for p in commit.parents]
        changed[commit.id] = f.commit(GITOPS, files, parents, commit.message, commit.author)
        parent = changed[commit.id]
    assert parent is not None
    f.put(GITOPS, "main", parent)


def merge_brings_more(f: Forger) -> None:
    """The newest promotion's merge brings a workflow with it."""
    git, head = f.gits[GITOPS], f.head(GITOPS)
    merge = git.read_commit(head)
    files = f.files(GITOPS)
    files[".github/workflows/x.yaml"] = (MODE_FILE, b"on: push\n")
    top = f.commit(GITOPS, files, merge.parents, merge.message, merge.author)
    f.put(GITOPS, "main", top)
    f.retell_body(PROD, gitops_commit=top)


def submodule(f: Forger) -> None:
    """A submodule beside the overlays, which a tree names and no object is."""
    git, head = f.gits[GITOPS], f.head(GITOPS)
    root = git.read_object(f"{head}^{{tree}}")
    assert root is not None
    made = tree_object([*parse_tree(root.content), TreeEntry(0o160000, "vendor", NOWHERE)])
    commit = commit_object(made.id, [head], "Take it in\n", PIPELINE, PIPELINE)
    git.write_objects([made, commit])
    f.put(GITOPS, "main", commit.id)


def blocked(f: Forger) -> None:
    """What runs in prod is blocked by the policy of today."""
    built = f.body(BUILT)
    assert isinstance(built, Built)
    text = (
        "apiVersion: pipeline.ameide.io/v1\nkind: BlockedDigests\ndigests:\n"
        f"  - {{digest: '{built.build.digest}', reason: Leaks}}\n"
    )
    path = "environments/blocked-digests.yaml"
    f.add(CONTROL, lambda files: files.update({path: (MODE_FILE, text.encode())}))


_OVERLAY = "environments/prod/order-router"
PLACES = (
    Forgery(
        "a README in the pipeline's name",
        write("README.md", b"# Mine\n"),
        "other-commits",
        "audit-foreign-commit",
    ),
    Forgery(
        "a workflow that came with a promotion",
        merge_brings_more,
        "other-commits",
        "audit-foreign-commit",
    ),
    Forgery(
        "a file right below environments/",
        write("environments/x.yaml", b"x: 1\n"),
        "overlays",
        "audit-overlay-without-fact",
    ),
    Forgery(
        "a folder that runs elsewhere",
        write("environments/dev/other/kustomization.yaml", b"namespace: tenant-acme-prod-cust\n"),
        "overlays",
        "audit-overlay-without-fact",
    ),
    Forgery(
        "a source override beside an overlay",
        write(f"{_OVERLAY}/.argocd-source.yaml", b"kustomize: {images: [x]}\n"),
        "overlays",
        "audit-overlay-tree",
    ),
    Forgery(
        "an overlay changed and changed back",
        overlay_there_and_back,
        "overlay-commits",
        "audit-foreign-commit",
    ),
    Forgery(
        "a link beside the overlays", write("docs", b"/etc", 0o120000), "modes", "audit-file-mode"
    ),
    Forgery("a submodule beside the overlays", submodule, "modes", "audit-file-mode"),
    Forgery(
        "a repository with another beginning", other_root, "first-commit", "audit-foreign-commit"
    ),
    Forgery("a blocked digest that runs", blocked, "blocked", "audit-digest-blocked"),
    Forgery(
        "a folder of code that no draft put there",
        lambda f: f.add(CODE, beside),
        "folders",
        "audit-folder-without-draft",
    ),
)


# -- what no clone can show ----------------------------------------------------------------


def healthy_instead(f: Forger) -> None:
    """The newest observation is told otherwise."""
    seen = f.facts()[-1].body
    assert isinstance(seen, Observed)
    told = seen.observation.model_copy(update={"health": "Degraded"})
    f.retell_body(len(f.facts()), observation=told)


def other_pull(f: Forger) -> None:
    """The newest draft's end names another reason."""
    f.retell_body(4, OTHER, reason="pull request local:other was closed without a merge")


TRUSTED = (
    Forgery("another health", healthy_instead, trust="how a release does in its cluster"),
    Forgery(
        "another run of the newest fact",
        lambda f: f.retell_cause(len(f.facts()), run="run-2"),
        trust="which account asked, and in which run",
    ),
    Forgery("another end", other_pull, trust="a pull request that was closed without a merge"),
    Forgery(
        "prod approved by the other release manager, on the forge as well",
        reviewed(PROD, 1502, 1601),
        trust="who opened, pushed and reviewed a request",
    ),
)

FORGERIES: tuple[Forgery, ...] = (
    *ACCEPTANCE,
    *SOURCES,
    *PROMOTIONS,
    *CAUSES,
    *STATES,
    *PLACES,
    *TRUSTED,
)
