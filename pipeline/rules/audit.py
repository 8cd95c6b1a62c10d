"""Rules of the audit: what clones must show for history to prove what happened (design §2)."""

from __future__ import annotations

from pipeline.diagnostics import Rule, Subject, register


def _audit(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.SCENARIO, fails, passes))


_RESTORE = "find who wrote it (`git log`), and restore the branch from a clone that verifies"
FACT_CHAIN = _audit(
    "audit-fact-chain",
    "Every fact names the hash of the one before it, and is stored as it was written.",
    "a fact that was altered, added or taken out later is no record",
    _RESTORE,
    "one byte of a fact is changed",
    "the facts as the pipeline wrote them",
)
STATUS_FOLD = _audit(
    "audit-status-fold",
    "`status.yaml` is, byte for byte, the fold of the facts beside it.",
    "planning reads the status, so it must say what happened and nothing else",
    _RESTORE,
    "one byte of a status is changed",
    "the status as the pipeline wrote it",
)
STATE_FILE = _audit(
    "audit-state-file",
    "A state branch holds facts and statuses and nothing else.",
    "another file there is a write that no plan made",
    _RESTORE,
    "a file `notes.txt` lies on the state branch",
    "only `drafts/<id>/facts/*` and `drafts/<id>/status.yaml`",
)
FACT_ANCHOR = _audit(
    "audit-fact-anchor",
    "Every fact hash that a commit's trailer names is in the draft's chain.",
    "trailers in other repositories show a state branch that was rewritten whole",
    _RESTORE,
    "a GitOps commit's trailer names a fact that the chain does not have",
    "every trailer's hash is found",
)
FOREIGN_COMMIT = _audit(
    "audit-foreign-commit",
    "Only the pipeline's commits change state branches and overlays.",
    "what another hand wrote was neither requested nor approved",
    "revert the commit; check the branch rules with `pipeline doctor`",
    "a commit of a person changes an overlay on the default branch",
    "every such commit belongs to a `promoted` fact",
)
OVERLAY_TREE = _audit(
    "audit-overlay-tree",
    "Every overlay on a GitOps default branch is the tree that its fact recorded.",
    "the delivery tool runs what lies there, so it must be what was approved",
    "revert the change; promote again through a request",
    "one byte of an overlay is changed",
    "the overlay as it was promoted",
)
OVERLAY_UNKNOWN = _audit(
    "audit-overlay-without-fact",
    "Every overlay on a GitOps default branch has a `promoted` fact.",
    "an overlay without a fact runs without a request",
    "revert the commit that added it",
    "a folder `environments/prod/other` that no fact knows",
    "every folder belongs to a fact",
)
OVERLAY_MISSING = _audit(
    "audit-overlay-missing",
    "Every promotion's commit is on the GitOps default branch, with the recorded tree.",
    "a promotion that is not in history cannot be shown to have happened",
    _RESTORE,
    "the GitOps branch was reset to before a promotion",
    "every promotion's merge commit is found",
)
DIGEST_DIFFERS = _audit(
    "audit-digest-differs",
    "One source tree has one digest, in its build and in every environment.",
    "the same digest runs everywhere; another one was not the one that was tested",
    "promote the built digest again",
    "a `promoted` fact names another digest than the `built` fact of its source tree",
    "built and promoted digests are equal",
)
PROVENANCE_INVALID = _audit(
    "audit-provenance",
    "Every promoted image has a statement of its source, by a signer of the policy at the time.",
    "a digest alone does not say what it was built from",
    "promote an image that the pipeline built; `pipeline explain` tells of the code in the message",
    "the `built` fact holds a statement that another key signed",
    "the statement is signed and names image, source tree and builder",
)
SOURCE_MISSING = _audit(
    "audit-source-missing",
    "Every commit that a fact names is in the target repository, with the recorded tree.",
    "a source that is gone cannot be looked at any more",
    _RESTORE,
    "the draft's branch was rewritten",
    "scaffold and patch commits are found",
)
CAUSE_MISSING = _audit(
    "audit-cause-missing",
    "Every fact's request is in the control repo's main at the commit that it names.",
    "a fact without a request happened without being asked for",
    _RESTORE,
    "main was rewritten without the request",
    "the request's blob is found at its path and commit",
)
APPROVALS_SHORT = _audit(
    "audit-approvals",
    "Every promotion has the approvals that the policy at its commit asked for.",
    "people answer for what runs",
    "revert the promotion and have it approved",
    "a `promoted` fact to prod names one approver where two are asked for",
    "two distinct eligible people are named",
)
REPOSITORY_MISSING = register(
    Rule(
        "audit-repository-missing",
        "Every repository that facts name is there to be verified.",
        "what could not be read was not verified",
        "clone it beside the others: `git clone <forge>/<organisation>/<repo>.git`",
        Subject.SCENARIO,
        "no clone of the GitOps repository",
        "clones of control, controllers and GitOps repositories",
        could_not_check=True,
    )
)
