"""Rules of the audit: what clones must show for history to prove what happened."""

from __future__ import annotations

from pipeline.diagnostics import Rule, Severity, Subject, register


def _audit(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.SCENARIO, fails, passes))


_RESTORE = "find who wrote it (`git log`), and restore the branch from a clone that verifies"
AUDIT_FACT_CHAIN = _audit(
    "audit-fact-chain",
    "Every fact names the hash of the one before it, and is stored as it was written.",
    "a fact that was altered, added or taken out later is no record",
    _RESTORE,
    "one byte of a fact is changed",
    "the facts as the pipeline wrote them",
)
AUDIT_STATUS_FOLD = _audit(
    "audit-status-fold",
    "`status.yaml` is, byte for byte, the fold of the facts beside it.",
    "planning reads the status, so it must say what happened and nothing else",
    _RESTORE,
    "one byte of a status is changed",
    "the status as the pipeline wrote it",
)
AUDIT_STATE_FILE = _audit(
    "audit-state-file",
    "A state branch holds facts and statuses and nothing else.",
    "another file there is a write that no plan made",
    _RESTORE,
    "a file `notes.txt` lies on the state branch",
    "only `drafts/<id>/status.yaml` and facts in `drafts/<id>/facts` and `…/later-facts`",
)
AUDIT_FACT_ANCHOR = _audit(
    "audit-fact-anchor",
    "Every fact hash that a commit's trailer names is in the draft's chain.",
    "trailers in other repositories show a state branch that was rewritten whole",
    _RESTORE,
    "a GitOps commit's trailer names a fact that the chain does not have",
    "every trailer's hash is found",
)
AUDIT_STATE_HISTORY = _audit(
    "audit-state-history",
    "Each commit of a state branch only adds facts, and brings their drafts' statuses to the fold.",
    "a fact that was taken out, put in between or changed later is no record of what happened",
    _RESTORE,
    "a commit takes the folder of a draft off the state branch",
    "every commit adds facts and nothing else",
)
AUDIT_FOREIGN_COMMIT = _audit(
    "audit-foreign-commit",
    "Only the pipeline's commits change state branches and GitOps repositories.",
    "what another hand wrote was neither requested nor approved",
    "`pipeline run` puts sealed overlays back; check the branch rules with `pipeline doctor`, then "
    "have the commit acknowledged: `environments/acknowledgements/<id>.yaml`",
    "a commit of a person changes an overlay on the default branch",
    "every such commit belongs to a `promoted` fact",
)
AUDIT_HISTORY_REWRITTEN = _audit(
    "audit-history-rewritten",
    "A branch goes on from where this clone last verified it.",
    "a tail that was rewritten since holds another story than the one that was verified",
    "`refs/verified/<branch>` of the clone still holds the verified commits: compare the two, and "
    "restore the branch from there",
    "a state branch was amended and fetched after an audit",
    "every later head descends from the verified one",
)
AUDIT_CAUSE_OTHER = _audit(
    "audit-cause-other",
    "Every fact was caused by a request of its own draft, of the kind that it comes from.",
    "a promotion to prod that rests on the request for staging was never asked for",
    _RESTORE,
    "the `promoted` fact of prod names the request for staging",
    "it names `promotions/prod.yaml` of its draft",
)
AUDIT_BROUGHT_DIFFERS = _audit(
    "audit-brought-differs",
    "How a request came to main, by its fact, is how its commit came.",
    "authority is judged by the policy at the base, for the revision that was merged",
    _RESTORE,
    "a fact names an older base, whose policy asked for fewer approvals",
    "base, merged revision and asker are those of the commit",
)
AUDIT_AUTHORITY = _audit(
    "audit-authority",
    "Whoever asked for what was followed could, and enough people who may have approved it.",
    "a request without authority is not followed, so no fact may come of it",
    "end what came of it through a request, and find who wrote the fact",
    "the `accepted` fact of a draft that nobody approved",
    "one of the tenant's owners approved it",
)
AUDIT_ACCEPTED_DIFFERS = _audit(
    "audit-accepted-differs",
    "What an `accepted` fact says follows from the draft's request and from policy.",
    "names, namespaces, tier and origin of all that comes later rest on it",
    _RESTORE,
    "an `accepted` fact says origin `platform` where the request says `tenant`",
    "it is what acceptance computes",
)
AUDIT_NAME_DIFFERS = _audit(
    "audit-name-differs",
    "Repositories, branches, folders and images that facts name are the ones that names give.",
    "what is recorded in a repository that nobody reads is judged by nobody",
    _RESTORE,
    "a `promoted` fact names another GitOps repository",
    "every name is the derived one",
)
AUDIT_SOURCE_DIFFERS = _audit(
    "audit-source-differs",
    "Every commit that facts name is the one that the pipeline makes of its request, bit for bit.",
    "a commit in the pipeline's name that its request does not give is somebody else's",
    _RESTORE,
    "a `patch-applied` fact names a commit that changes a file more than its patch",
    "scaffold, patch and overlay come out the same when they are made again",
)
AUDIT_GATE = _audit(
    "audit-gate",
    "Every promotion passes the gate again, by the policy of its time.",
    "the gate decides the same whoever asks it, so what it refuses was never allowed",
    "end what runs there through a request, and find who wrote the fact",
    "a `promoted` fact of prod though staging never ran the primitive",
    "the gate allows every recorded promotion",
)
AUDIT_PROMOTION_DIFFERS = _audit(
    "audit-promotion-differs",
    "What a `promoted` fact says follows from its request, its release and policy.",
    "namespace, tree, checks and approvers are computed, and so never taken from the fact",
    _RESTORE,
    "a `promoted` fact says that a check passed that the draft's facts lack",
    "it is what the promotion records",
)
AUDIT_REFUSAL_MISFIT = _audit(
    "audit-refusal-misfit",
    "Reasons of a refusal are those of a registered rule, and come out again where they can.",
    "a refusal with a made-up reason keeps a draft from going on",
    _RESTORE,
    "a `patch-refused` fact says that a patch is stale which applies",
    "every reason has a rule, and those that can be computed come out again",
)
AUDIT_TOLD_MISFIT = _audit(
    "audit-told-misfit",
    "What forge, jobs and delivery tool told fits the draft as it was.",
    "an observation of what was never promoted is of something else",
    _RESTORE,
    "an `observed` fact of prod before anything was promoted there",
    "every observation follows its promotion",
)
AUDIT_DIGEST_BLOCKED = _audit(
    "audit-digest-blocked",
    "Nothing that runs is blocked.",
    "a digest is blocked because it must run nowhere, from that day on",
    "promote another release, or take the overlay away by a request",
    "`environments/blocked-digests.yaml` names the digest that prod runs",
    "no running digest is blocked",
)
AUDIT_DRAFT_LOST = _audit(
    "audit-draft-lost",
    "Every draft that the pipeline wrote for has facts.",
    "a whole folder of facts that is gone takes with it what was asked and approved",
    _RESTORE,
    "the state branch was made anew without one draft, whose commits are still there",
    "every commit's draft has a chain",
)
AUDIT_FILE_MODE = _audit(
    "audit-file-mode",
    "GitOps repositories hold plain files.",
    "a link or a submodule stands for content that nobody approved",
    "take it out; propose a plain file",
    "a symbolic link lies in a GitOps repository",
    "all files have mode 100644",
)
AUDIT_FOLDER_WITHOUT_DRAFT = register(
    Rule(
        "audit-folder-without-draft",
        "Folders of primitives on a default branch belong to drafts.",
        "nothing of it can be promoted, so it is only worth knowing",
        "ask for a draft, or take the folder out",
        Subject.SCENARIO,
        "a folder `primitives/other` that people put there",
        "every folder is a draft's",
        severity=Severity.NOTE,
    )
)
AUDIT_OVERLAY_TREE = _audit(
    "audit-overlay-tree",
    "Every overlay on a GitOps default branch is the tree that its fact recorded.",
    "the delivery tool runs what lies there, so it must be what was approved",
    "`pipeline run` puts the sealed tree back; or promote again through a request",
    "one byte of an overlay is changed",
    "the overlay as it was promoted",
)
AUDIT_OVERLAY_WITHOUT_FACT = _audit(
    "audit-overlay-without-fact",
    "Every overlay on a GitOps default branch has a `promoted` fact.",
    "an overlay without a fact runs without a request",
    "`pipeline run` takes it away; or revert the commit that added it",
    "a folder `environments/prod/other` that no fact knows",
    "every folder belongs to a fact",
)
AUDIT_OVERLAY_MISSING = _audit(
    "audit-overlay-missing",
    "Every promotion's commit is on the GitOps default branch, with the recorded tree.",
    "a promotion that is not in history cannot be shown to have happened",
    _RESTORE,
    "the GitOps branch was reset to before a promotion",
    "every promotion's merge commit is found",
)
AUDIT_DIGEST_DIFFERS = _audit(
    "audit-digest-differs",
    "One source tree has one digest, in its build and in every environment.",
    "the same digest runs everywhere; another one was not the one that was tested",
    "promote the built digest again",
    "a `promoted` fact names another digest than the `built` fact of its source tree",
    "built and promoted digests are equal",
)
AUDIT_PROVENANCE = _audit(
    "audit-provenance",
    "Every promoted image has a statement of its source, by a signer of the policy at the time.",
    "a digest alone does not say what it was built from",
    "promote an image that the pipeline built; `pipeline explain` tells of the code in the message",
    "the `built` fact holds a statement that another key signed",
    "the statement is signed and names image, source tree and builder",
)
AUDIT_SOURCE_MISSING = _audit(
    "audit-source-missing",
    "Every commit that a fact names is in the target repository, with the recorded tree.",
    "a source that is gone cannot be looked at any more",
    _RESTORE,
    "the draft's branch was rewritten",
    "scaffold and patch commits are found",
)
AUDIT_CAUSE_MISSING = _audit(
    "audit-cause-missing",
    "Every fact's request is in the control repo's main at the commit that it names.",
    "a fact without a request happened without being asked for",
    _RESTORE,
    "main was rewritten without the request",
    "the request's blob is found at its path and commit",
)
AUDIT_APPROVALS = _audit(
    "audit-approvals",
    "Every promotion has the approvals that the policy at its commit asked for.",
    "people answer for what runs",
    "revert the promotion and have it approved",
    "a `promoted` fact to prod names one approver where two are asked for",
    "two distinct eligible people are named",
)
AUDIT_OBJECT_MISSING = register(
    Rule(
        "audit-object-missing",
        "Every object that history names is in its clone, and is what its id says.",
        "what is missing or damaged was not verified, and must not count as less to verify",
        "fetch into a fresh clone; `git fsck` names what else is damaged",
        Subject.SCENARIO,
        "the root tree of a state branch is gone from the clone",
        "every object is read, and its bytes give its id",
        could_not_check=True,
    )
)
AUDIT_REPOSITORY_MISSING = register(
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
