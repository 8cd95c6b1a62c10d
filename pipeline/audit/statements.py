"""Reads the signed statements behind a promotion again, and verifies each.

The fact names the folder of all statements that the draft had. That folder has to be on main when
the promotion was decided, so that none can be left out, and the gate sees all of them again.
"""

from __future__ import annotations

from pipeline.audit.cases import FactCase
from pipeline.machine.clock import CLOCK_SKEW_S
from pipeline.models.facts import Promoted
from pipeline.models.provenance import Verified
from pipeline.models.requests import Environment
from pipeline.models.statements import NO_STATEMENTS, BroughtStatement, BroughtStatements
from pipeline.plan.view import DraftView
from pipeline.requests.layout import statements_folder
from pipeline.requests.statements import statements_about


def statements_of(case: FactCase, view: DraftView, environment: Environment) -> BroughtStatements:
    """The statements about the release that the draft had on main when it was promoted.

    Empty where the environment asks for none, or the recorded folder was not on main then.
    """
    body = case.fact.body
    if not isinstance(body, Promoted) or body.statements is None:
        return NO_STATEMENTS
    if not environment.asks_for_statements or not _stood(case, body.statements):
        return NO_STATEMENTS
    objects, folder = case.audit.main.objects, statements_folder(case.fact.draft)
    listing = objects.tree(body.statements)
    blobs = {f"{folder}/{name}": entry.id for name, entry in listing.items() if not entry.is_tree}
    contents = {path: objects.read_one(blob).content for path, blob in blobs.items()}
    release = body.release
    brought = []
    for path, statement in statements_about(contents, (release.digest, release.source_commit)):
        verified = None
        if view.signers is not None:
            verified = case.audit.verified(statement.bundle, view.signers)
        known = verified or Verified(problem="nobody is trusted")
        brought.append(BroughtStatement(path, blobs[path], known))
    return BroughtStatements(body.statements, tuple(brought))


def _stood(case: FactCase, tree: str) -> bool:
    """Whether a commit of main, from the request's on and before the decision, has the folder."""
    main, folder = case.audit.main, statements_folder(case.fact.draft)
    at = main.position.get(case.fact.cause.commit)
    if at is None:
        return False
    for commit in main.line[at:]:
        entry = main.objects.at(commit, folder)
        time_s = main.objects.commit(commit).committer.time_s
        if entry is not None and entry.id == tree:
            return time_s <= case.decided_s + CLOCK_SKEW_S
        if time_s > case.decided_s + CLOCK_SKEW_S:
            return False
    return False


def count_statements(case: FactCase, body: Promoted) -> None:
    """Count the statements that a promotion rests on, and on whose word that is."""
    if body.stated:
        case.audit.proves("signed statements verified again", len(body.stated))
    for stated in body.stated:
        case.audit.trusts("what a statement says of an image", f"signer `{stated.signer}`")
