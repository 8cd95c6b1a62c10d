"""Forgeries of causes, and of what delivery tools and people supposedly reported."""

from __future__ import annotations

from pipeline.git.objects import MODE_FILE
from pipeline.models.facts import Observed, Rejected
from tests.support.finished_story import CONTROL, GITOPS
from tests.support.forgeries.ways import DEV, NOWHERE, PROD, PROVISIONED, Forgery, body, cause
from tests.support.state_writer import OTHER, Forger


def observed_elsewhere(f: Forger) -> None:
    """Record an observation of prod before its promotion."""
    seen = f.facts()[-1]
    assert isinstance(seen.body, Observed)
    f.retell(lambda facts: [*facts[:DEV], seen, *facts[DEV:]])


def observed_other_draft(f: Forger) -> None:
    """Record an observation of another draft."""
    seen = f.facts()[-1].body
    assert isinstance(seen, Observed)
    told = seen.observation.model_copy(update={"draft": OTHER})
    f.retell_body(len(f.facts()), observation=told)


def observed_elsewhere_in_history(f: Forger) -> None:
    """The newest observation is of a commit before the promotion."""
    seen = f.facts()[-1].body
    assert isinstance(seen, Observed)
    git = f.gits[GITOPS]
    first = list(git.log_commits(f.head(GITOPS)))[-1]
    told = seen.observation.model_copy(update={"revision": first.id})
    f.retell_body(len(f.facts()), observation=told)


def ended_in_prod(f: Forger) -> None:
    """Record a rejection of the draft that runs in prod."""
    first = f.facts()[0].cause
    f.retell(
        lambda facts: [
            *facts,
            facts[-1].model_copy(update={"cause": first, "body": Rejected(reason="closed")}),
        ]
    )


def main_without(f: Forger) -> None:
    """Reset main to before any request."""
    first = list(f.gits[CONTROL].log_commits(f.head(CONTROL)))[-1]
    f.put(CONTROL, "main", first.id)


def request_amended(f: Forger) -> None:
    """Amend the request for prod with another reason."""
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
    Forgery(
        "an observation of an earlier overlay",
        observed_elsewhere_in_history,
        "told",
        "audit-told-misfit",
    ),
    Forgery("ended although it runs", ended_in_prod, "ended", "audit-told-misfit"),
)
