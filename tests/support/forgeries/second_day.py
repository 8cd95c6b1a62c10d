"""Forgeries of rollbacks, holds, replaced requests and retirements."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.git.objects import MODE_FILE, blob_id
from pipeline.models.base import BlobId, CommitId, Moment, moment_of
from pipeline.models.facts import (
    Cause,
    Fact,
    FactBody,
    HoldLifted,
    PartOfGroup,
    Promoted,
    PromotionSuperseded,
    Rejected,
    Retired,
)
from pipeline.requests.layout import environment_path, retirement_path
from tests.support.finished_story import CONTROL, GITOPS
from tests.support.forgeries.ways import PROD, STAGING, Forgery, body
from tests.support.samples import DRAFT
from tests.support.state_writer import Files, Forger, with_fact
from worlds.control_repo import CLOCK_S

_REASON = "The new router took over"


def appended(f: Forger, made: Callable[[Fact], Fact]) -> None:
    """Record one more fact of the draft, with the time of the newest one."""
    f.retell(lambda facts: [*facts, made(facts[-1])])


def after(number: int, told: Callable[[Fact], FactBody]) -> Callable[[Forger], object]:
    """Record one more fact, caused by the request of an earlier one."""

    def forge(f: Forger) -> None:
        earlier = f.facts()[number - 1]
        changes = {"cause": earlier.cause, "body": told(earlier)}
        appended(f, lambda newest: newest.model_copy(update=changes))

    return forge


def as_policy(f: Forger) -> None:
    """Record prod's promotion as a rollback that policy made by itself."""
    path = environment_path("prod")
    first = list(f.gits[CONTROL].log_commits(f.head(CONTROL)))[-1]
    content = f.files(CONTROL, first.id)[path][1]
    told = f.facts()[PROD - 1]
    cause = told.cause.model_copy(
        update={
            "request": path,
            "commit": CommitId(first.id),
            "blob": BlobId(blob_id(content)),
            "brought": None,
            "merged_at": _date_of(f, first.id),
        }
    )
    assert isinstance(told.body, Promoted)
    changes = {"lane": "rollback", "automatic": True, "observed": PROD - 1}
    made = told.body.model_copy(update=changes)
    f.retell(lambda facts: with_fact(facts, PROD, cause=cause, body=made))


def _date_of(f: Forger, commit: str) -> Moment:
    return moment_of(f.gits[CONTROL].read_commit(commit).committer.time_s)


def retirement_asked(f: Forger) -> Cause:
    """The cause of a request to retire the draft that a writer of main laid there."""
    path = retirement_path(DRAFT)
    text = (
        f"apiVersion: pipeline.ameide.io/v1\nkind: Retirement\ndraft: {DRAFT}\nreason: {_REASON}\n"
    ).encode()

    def change(files: Files) -> None:
        files[path] = (MODE_FILE, text)

    commit = f.add(CONTROL, change)
    return f.facts()[-1].cause.model_copy(
        update={
            "request": path,
            "commit": CommitId(commit),
            "blob": BlobId(blob_id(text)),
            "brought": None,
            "merged_at": _date_of(f, commit),
        }
    )


def retired(f: Forger) -> None:
    """Record that the draft left prod, where it still lies."""
    cause, told = retirement_asked(f), f.body(PROD)
    assert isinstance(told, Promoted)
    gone = Retired(
        environment="prod",
        overlay_folder=told.overlay_folder,
        gitops_repo=told.gitops_repo,
        gitops_commit=CommitId(f.head(GITOPS)),
        merged_at=told.merged_at,
        pull_request=told.pull_request,
    )
    appended(f, lambda newest: newest.model_copy(update={"cause": cause, "body": gone}))


def ended(f: Forger) -> None:
    """Record that the draft was retired, though it runs in all environments."""
    cause, told = retirement_asked(f), Rejected(reason=f"retired: {_REASON}")
    appended(f, lambda newest: newest.model_copy(update={"cause": cause, "body": told}))


def _replaced(fact: Fact) -> FactBody:
    cause = fact.cause
    return PromotionSuperseded(environment="staging", blob=cause.blob, commit=cause.commit)


SECOND_DAY = (
    Forgery("a rollback that policy did not make", as_policy, "decision", "audit-gate"),
    Forgery(
        "automatic, by a request",
        body(PROD, automatic=True, observed=PROD - 1),
        "request",
        "audit-cause-other",
    ),
    Forgery(
        "lane of another request",
        body(PROD, lane="rollback"),
        "decision",
        "audit-promotion-differs",
    ),
    Forgery(
        "stays although it was asked to go further",
        body(PROD, goes_further=False),
        "decision",
        "audit-promotion-differs",
    ),
    Forgery(
        "a hold lifted by an ordinary request",
        after(PROD, lambda fact: HoldLifted(environment="prod", hold=PROD, approved_by=())),
        "lifted",
        "audit-hold-differs",
    ),
    Forgery(
        "a request replaced by itself",
        after(STAGING, _replaced),
        "superseded",
        "audit-superseded-differs",
    ),
    Forgery(
        "decided with a group that no member was decided in",
        body(PROD, group=PartOfGroup(name="spring", decided_at=moment_of(CLOCK_S - 3600))),
        "group",
        "audit-group-differs",
    ),
    Forgery("retired although it lies there", retired, "retired", "audit-retirement-differs"),
    Forgery("retired although it runs", ended, "ended", "audit-retirement-differs"),
)
