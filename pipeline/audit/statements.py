"""Reads the signed statements behind a promotion again, and verifies each.

The gate sees all statements that the draft had on main at the commit whose policy decided, so none
can be left out. An overlay that people merged by hand names no such commit; there it is the newest
of the time of the merge.
"""

from __future__ import annotations

from collections.abc import Collection

from pipeline.audit.cases import FactCase
from pipeline.gate.statements import asks_for_statements
from pipeline.machine.clock import CLOCK_SKEW_S
from pipeline.models.facts import Promoted
from pipeline.models.provenance import Verified
from pipeline.models.requests import Environment
from pipeline.models.statements import BroughtStatement
from pipeline.plan.view import DraftView
from pipeline.requests.layout import statements_folder
from pipeline.requests.statements import statements_about


def statements_of(
    case: FactCase,
    view: DraftView,
    environment: Environment | None,
    subjects: Collection[str],
    commit: str,
) -> tuple[BroughtStatement, ...]:
    """The statements about these at a commit of main; none if the environment asks for none."""
    objects = case.audit.main.objects
    if environment is None or not asks_for_statements(environment):
        return ()
    folder = statements_folder(case.fact.draft)
    entry = objects.at(commit, folder)
    if entry is None or not entry.is_tree:
        return ()
    listing = objects.tree(entry.id)
    blobs = {f"{folder}/{name}": each.id for name, each in listing.items() if not each.is_tree}
    contents = {path: objects.read_one(blob).content for path, blob in blobs.items()}
    brought = []
    for path, statement in statements_about(contents, subjects):
        verified = None
        if view.signers is not None:
            verified = case.audit.verified(statement.bundle, view.signers)
        known = verified or Verified(problem="nobody is trusted")
        brought.append(BroughtStatement(path, blobs[path], known))
    return tuple(brought)


def commits_of_statements(case: FactCase) -> tuple[str, ...]:
    """The commits of main whose statements the gate may have seen, the likeliest first.

    A refusal does not name the commit that decided it: of all since its request, those that have
    different statements.
    """
    body, main = case.fact.body, case.audit.main
    if isinstance(body, Promoted):
        named = body.policy if body.policy in main.position else None
        return (named or _newest_at(case, case.decided_s),)
    folder, found = statements_folder(case.fact.draft), dict[str, str]()
    for commit in main.line[main.position.get(case.fact.cause.commit, 0) :]:
        if main.objects.commit(commit).committer.time_s <= case.decided_s + CLOCK_SKEW_S:
            entry = main.objects.at(commit, folder)
            found[entry.id if entry else ""] = commit
    return tuple(reversed(found.values())) or (main.head,)


def _newest_at(case: FactCase, time_s: int) -> str:
    main = case.audit.main
    dated = ((id, main.objects.commit(id)) for id in reversed(main.line))
    return next((id for id, commit in dated if commit.committer.time_s <= time_s), main.head)


def statements_replaced_by(case: FactCase, body: Promoted) -> str | None:
    """The first commit of main that changes the statements a promotion rests on; None if none does.

    None as well for a promotion that rests on no statement, or names no policy.
    """
    main, folder = case.audit.main, statements_folder(case.fact.draft)
    at = main.position.get(body.policy or "")
    if not body.stated or at is None:
        return None
    before = main.objects.at(main.line[at], folder)
    later = main.line[at + 1 :]
    return next((id for id in later if main.objects.at(id, folder) != before), None)


def count_statements(case: FactCase, body: Promoted) -> None:
    """Count the statements that a promotion used, and who is trusted for them."""
    if body.stated:
        case.audit.proves("signed statements verified again", len(body.stated))
    for stated in body.stated:
        case.audit.trusts("what a statement says of an image", f"signer `{stated.signer}`")
