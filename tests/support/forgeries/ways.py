"""What a forgery is, and ways to falsify facts that many forgeries share.

`step` is the audit step that finds it, `code` the code that it gives. A forgery without a code is
one that no clone can show; `trust` then names whose word the audit takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pipeline.git.commits import pipeline_signature
from pipeline.git.objects import MODE_FILE
from pipeline.models.evidence import CheckReport
from pipeline.models.facts import (
    Built,
    ChecksRecorded,
    Fact,
    GivenReview,
    PatchApplied,
    Promoted,
    Scaffolded,
)
from tests.support import fact_history as history
from tests.support.finished_story import CODE, CONTROL, STATE
from tests.support.state_writer import Files, Forger, with_fact

ACCEPTED, PROVISIONED, SCAFFOLDED, PATCHED, CHECKED, REFUSED, BUILT = range(1, 8)
DEV, STAGING, PROD = 8, 9, 10
PIPELINE = pipeline_signature(1_767_226_600)
NOWHERE = history.id_of("nowhere")


@dataclass(frozen=True)
class Forgery:
    """One forgery: what it does, the audit step and code that find it, or the trust it rests on."""

    name: str
    forge: Callable[[Forger], object]
    step: str = ""
    code: str = ""
    trust: str = ""


def named_by(
    step: str, code: str, forgeries: Iterable[tuple[str, Callable[[Forger], object]]]
) -> tuple[Forgery, ...]:
    """Forgeries that one audit step finds, each with this code."""
    return tuple(Forgery(name, forge, step, code) for name, forge in forgeries)


def body(number: int, **changes: object) -> Callable[[Forger], object]:
    """Change the body of one fact."""
    return lambda f: f.retell_body(number, **changes)


def cause(number: int, **changes: object) -> Callable[[Forger], object]:
    """Change the cause of one fact."""
    return lambda f: f.retell_cause(number, **changes)


def release(number: int, **changes: object) -> Callable[[Forger], object]:
    """Change the release of one promotion."""

    def forge(f: Forger) -> None:
        promoted = f.body(number)
        assert isinstance(promoted, Promoted)
        f.retell_body(number, release=promoted.release.model_copy(update=changes))

    return forge


def build(**changes: object) -> Callable[[Forger], object]:
    """Change the record of the build."""

    def forge(f: Forger) -> None:
        built = f.body(BUILT)
        assert isinstance(built, Built)
        f.retell_body(BUILT, build=built.build.model_copy(update=changes))

    return forge


def report(change: Callable[[CheckReport], CheckReport]) -> Callable[[Forger], object]:
    """Change the report of the checks."""

    def forge(f: Forger) -> None:
        checked = f.body(CHECKED)
        assert isinstance(checked, ChecksRecorded)
        f.retell_body(CHECKED, report=change(checked.report))

    return forge


def without_fact(number: int) -> Callable[[Forger], object]:
    """Leave out one fact."""
    return lambda f: f.retell(lambda facts: [*facts[: number - 1], *facts[number:]])


def inserted(after: int, made: Callable[[list[Fact]], Fact]) -> Callable[[Forger], object]:
    """Insert a fact, with the cause of the one before it."""
    return lambda f: f.retell(lambda facts: [*facts[:after], made(facts), *facts[after:]])


def reviewed(number: int, *accounts: int, **changes: object) -> Callable[[Forger], object]:
    """Record other reviews of a request, consistently."""

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
    """Change how a request came to main."""

    def forge(f: Forger) -> None:
        told = f.facts()[number - 1].cause.brought
        assert told is not None
        f.retell_cause(number, brought=told.model_copy(update=changes))

    return forge


def again(number: int, **changes: object) -> Callable[[list[Fact]], Fact]:
    """A fact repeated with changes."""
    return lambda facts: facts[number - 1].model_copy(update=changes)


def commit_on_branch(number: int, change: Callable[[Files], None]) -> Callable[[Forger], object]:
    """Rewrite a commit of the code with other files, as a writer of its repository can."""

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
    """Add a file beside those of the request."""
    files["primitives/order-router/src/domain_order_router/backdoor.py"] = (MODE_FILE, b"x = 1\n")


def beside(files: Files) -> None:
    """Add a file outside the primitive's folder."""
    files["primitives/other/x.py"] = (MODE_FILE, b"x = 1\n")


def on_state(change: Callable[[Files], None]) -> Callable[[Forger], object]:
    """Add a commit to the state branch, in the pipeline's name."""
    return lambda f: f.add(CONTROL, change, branch=STATE, signature=PIPELINE)
