"""Forgeries of the history of a state branch."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.git.objects import MODE_FILE
from tests.support.finished_story import CONTROL, STATE
from tests.support.forgeries.ways import ACCEPTED, PIPELINE, Forgery, cause, on_state
from tests.support.samples import DRAFT
from tests.support.state_writer import OTHER, Files, Forger


def drop_draft(files: Files) -> None:
    """Delete all facts of a draft."""
    for path in [p for p in files if p.startswith("drafts/order-router/")]:
        del files[path]


def there_and_back(f: Forger) -> None:
    """Change a fact, and change it back."""
    path = "drafts/order-router/facts/000003-scaffolded.json"

    def change(files: Files) -> None:
        files[path] = (MODE_FILE, files[path][1].replace(b"run-1", b"run-2"))

    def back(files: Files) -> None:
        files[path] = (MODE_FILE, files[path][1].replace(b"run-2", b"run-1"))

    f.add(CONTROL, change, branch=STATE, signature=PIPELINE)
    f.add(CONTROL, back, branch=STATE, signature=PIPELINE)


def merged_state(f: Forger) -> None:
    """Merge a second root into the state branch."""
    head = f.head(CONTROL, STATE)
    root = f.commit(CONTROL, {}, [], "Begin\n", PIPELINE)
    f.put(
        CONTROL, STATE, f.commit(CONTROL, f.files(CONTROL, head), [head, root], "Merge\n", PIPELINE)
    )


def mode_of_fact(mode: int, path: str) -> Callable[[Files], None]:
    """A change of a file's mode."""

    def change(files: Files) -> None:
        files[path] = (mode, files[path][1])

    return change


def wrong_in_between(f: Forger) -> None:
    """Write a wrong status in an earlier commit; the newest one is right."""

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
