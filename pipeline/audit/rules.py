"""Rules of the audit: what clones must contain to prove what happened."""

from __future__ import annotations

from pipeline.diagnostics import Rule, Severity, Subject, register


def _audit(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.SCENARIO, fails, passes))


_RESTORE = "find who wrote it (`git log`), and restore the branch from a clone that verifies"
AUDIT_FACT_CHAIN = _audit(
    "audit-fact-chain",
    "Every fact names the hash of the fact before it and is unchanged.",
    "a chain with changed, added or removed facts proves nothing",
    _RESTORE,
    "one byte of a fact is changed",
    "the facts as the pipeline wrote them",
)
AUDIT_STATUS_FOLD = _audit(
    "audit-status-fold",
    "`status.yaml` is exactly the fold of the facts beside it.",
    "planning reads the status, so it must match what happened",
    _RESTORE,
    "one byte of a status is changed",
    "the status as the pipeline wrote it",
)
AUDIT_STATE_FILE = _audit(
    "audit-state-file",
    "A state branch holds facts and statuses only.",
    "the pipeline writes no other file there",
    _RESTORE,
    "a file `notes.txt` lies on the state branch",
    "only `drafts/<id>/status.yaml` and facts in `drafts/<id>/facts` and `…/later-facts`",
)
AUDIT_FACT_ANCHOR = _audit(
    "audit-fact-anchor",
    "Every fact hash in a commit's trailer is in the draft's chain.",
    "the trailers in other repositories reveal a rewritten state branch",
    _RESTORE,
    "a GitOps commit's trailer names a fact that the chain does not have",
    "every trailer's hash is found",
)
AUDIT_STATE_HISTORY = _audit(
    "audit-state-history",
    "Every commit of a state branch only adds facts and updates their statuses.",
    "a fact that was removed, inserted or changed later records nothing",
    _RESTORE,
    "a commit takes the folder of a draft off the state branch",
    "every commit adds facts and nothing else",
)
AUDIT_FOREIGN_COMMIT = _audit(
    "audit-foreign-commit",
    "Only the pipeline's commits change state branches and GitOps repositories.",
    "a commit by anybody else was neither requested nor approved",
    "`pipeline run` puts sealed overlays back; check the branch rules with `pipeline doctor`, then "
    "have the commit acknowledged: `environments/acknowledgements/<id>.yaml`",
    "a commit of a person changes an overlay on the default branch",
    "every such commit belongs to a `promoted` fact",
)
AUDIT_HISTORY_REWRITTEN = _audit(
    "audit-history-rewritten",
    "A branch descends from the commit that this clone verified last.",
    "rewritten history is not the history that was verified",
    "`refs/verified/<branch>` in this clone still has the verified commits: compare, and restore "
    "the branch from there",
    "a state branch was amended and fetched after an audit",
    "every later head descends from the verified one",
)
AUDIT_CAUSE_OTHER = _audit(
    "audit-cause-other",
    "A fact's request belongs to the same draft and has the right kind.",
    "a promotion to prod caused by the request for staging was never requested",
    _RESTORE,
    "the `promoted` fact of prod names the request for staging",
    "it names `promotions/prod.yaml` of its draft",
)
AUDIT_BROUGHT_DIFFERS = _audit(
    "audit-brought-differs",
    "A fact records the pull request that its commit on main merged.",
    "authority is judged for the merged revision, by the policy at its base",
    _RESTORE,
    "a fact names an older base, whose policy asked for fewer approvals",
    "base, merged revision and asker are those of the commit",
)
AUDIT_GROUP_DIFFERS = _audit(
    "audit-group-differs",
    "A member of a release group moves on its own decision, or on that of a member before it.",
    "another moment would let it through a window that was closed when it was decided",
    _RESTORE,
    "a fact names a moment, before a freeze, at which no member of its group was decided",
    "it names the moment at which the first member was decided",
)
AUDIT_AUTHORITY = _audit(
    "audit-authority",
    "Every request that was followed was asked for and approved by people who may.",
    "a request without authority is not followed, so no fact can result from it",
    "undo its result through a request, and find out who wrote the fact",
    "the `accepted` fact of a draft that nobody approved",
    "one of the tenant's owners approved it",
)
AUDIT_ACCEPTED_DIFFERS = _audit(
    "audit-accepted-differs",
    "An `accepted` fact matches what the draft's request and the policy give.",
    "names, namespaces, tier and origin of everything later depend on it",
    _RESTORE,
    "an `accepted` fact says origin `platform` where the request says `tenant`",
    "it is what acceptance computes",
)
AUDIT_NAME_DIFFERS = _audit(
    "audit-name-differs",
    "Repositories, branches, folders and images in facts have the derived names.",
    "nobody looks at a repository with another name",
    _RESTORE,
    "a `promoted` fact names another GitOps repository",
    "every name is the derived one",
)
AUDIT_SOURCE_DIFFERS = _audit(
    "audit-source-differs",
    "Every commit in a fact is, bit for bit, what the pipeline makes of the request.",
    "any other commit in the pipeline's name was made by somebody else",
    _RESTORE,
    "a `patch-applied` fact names a commit that changes a file more than its patch",
    "scaffold, patch and overlay come out the same when they are made again",
)
AUDIT_GATE = _audit(
    "audit-gate",
    "Every promotion passes the gate again, with the policy of its time.",
    "the gate always gives the same answer, so what it refuses was never allowed",
    "end what runs there through a request, and find out who wrote the fact",
    "a `promoted` fact of prod though staging never ran the primitive",
    "the gate allows every recorded promotion",
)
AUDIT_PROMOTION_DIFFERS = _audit(
    "audit-promotion-differs",
    "A `promoted` fact matches its request, its release and the policy.",
    "namespace, tree, checks and approvers are recomputed and not taken from the fact",
    _RESTORE,
    "a `promoted` fact says that a check passed that the draft's facts lack",
    "it is what the promotion records",
)
AUDIT_REFUSAL_MISFIT = _audit(
    "audit-refusal-misfit",
    "A refusal's reasons are registered rules, and recompute where they can.",
    "a refusal with an invented reason blocks a draft",
    _RESTORE,
    "a `patch-refused` fact says that a patch is stale which applies",
    "every reason has a rule, and those that can be computed come out again",
)
AUDIT_TOLD_MISFIT = _audit(
    "audit-told-misfit",
    "What the forge, jobs and the delivery tool reported fits the draft at that time.",
    "an observation of something never promoted belongs to something else",
    _RESTORE,
    "an `observed` fact of prod before anything was promoted there",
    "every observation follows its promotion",
)
AUDIT_RETIREMENT_DIFFERS = _audit(
    "audit-retirement-differs",
    "A retired primitive left its environments as its request and the policy say.",
    "a removal that nobody asked for is an outage that nobody approved",
    _RESTORE,
    "a `retired` fact of dev while prod still runs the primitive",
    "every removal is the last environment that still ran it",
)
AUDIT_SUPERSEDED_DIFFERS = _audit(
    "audit-superseded-differs",
    "A request that a fact calls replaced was on main, unanswered, before the newer one.",
    "a request that was answered is not replaced, and neither is one that never was",
    _RESTORE,
    "a `promotion-superseded` fact of a request that was carried out",
    "the replaced request still waited when the newer one was merged",
)
AUDIT_HOLD_DIFFERS = _audit(
    "audit-hold-differs",
    "A hold was lifted by people, through a request that says so.",
    "a hold that lifts itself protects nothing",
    _RESTORE,
    "a `hold-lifted` fact caused by a request of a bot",
    "a person asked for it, and the environment's teams approved it",
)
AUDIT_MERGE_TIME_DIFFERS = _audit(
    "audit-merge-time-differs",
    "A merge that a fact names was made when its commit says.",
    "order, soak and windows are judged by these times, and the commit holds the true one",
    _RESTORE,
    "a `promoted` fact says that it was merged an hour before its commit was made",
    "`merged_at` is the committer date of the commit beside it",
)
AUDIT_TIME_ORDER = _audit(
    "audit-time-order",
    "A fact is decided after the fact before it and after its request, and before its merge.",
    "a clock that is wrong, or a fact that was written afterwards, shows in no other way",
    "correct the clock of the machine that ran it; if the fact is true, have it acknowledged",
    "a fact is decided an hour before the fact that it follows",
    "times go on from fact to fact; five minutes between two clocks are no disagreement",
)
AUDIT_POLICY_REPLACED = _audit(
    "audit-policy-replaced",
    "A promotion is decided by the policy and the signed statements that main has at that moment.",
    "else a release could pass by the policy of before a stop, a freeze or a blocked digest, or by "
    "the scan of before a worse one",
    "roll it back, or have it acknowledged; find out which run decided it by what",
    "a promotion names the policy of an hour before, and a stop was merged since",
    "a promotion names main's newest commit of its moment, or one that changed no policy since",
)
AUDIT_EVIDENCE_LATER = _audit(
    "audit-evidence-later",
    "A fact is decided after the reviews and the observation that it names.",
    "nothing can rest on what was not said yet",
    "correct the clock of the machine that ran it; if the fact is true, have it acknowledged",
    "an `observed` fact names an observation of the day after it was decided",
    "an observation is recorded after it was made",
)
AUDIT_REVIEW_LATE = register(
    Rule(
        "audit-review-late",
        "Reviews are given before the pull request is merged.",
        "whoever merged it did not wait for this review; it counts from when it was given",
        "nothing is needed if it was approved after all; else check the branch rules",
        Subject.SCENARIO,
        "a request is approved an hour after it was merged",
        "a request is approved, and then merged",
        severity=Severity.NOTE,
    )
)
AUDIT_REFUSAL_DIFFERS = _audit(
    "audit-refusal-differs",
    "A promotion was refused for the reasons that the gate gives again.",
    "a release may have been kept back for a reason that never was",
    "ask for it again: a new revision of the request is judged anew; and " + _RESTORE,
    "the fact of a refusal says that a check failed that passed",
    "a refusal whose reasons follow from policy, facts and clones",
)
AUDIT_REFUSAL_REWORDED = register(
    Rule(
        "audit-refusal-reworded",
        "A refusal is recorded in the words of the gate.",
        "another version of the pipeline may say the same reason in other words",
        "nothing is needed if another version wrote it; else " + _RESTORE,
        Subject.SCENARIO,
        "the fact of a refusal names another number of approvals than the gate",
        "the reasons as the gate gives them",
        severity=Severity.NOTE,
    )
)
AUDIT_DIGEST_BLOCKED = _audit(
    "audit-digest-blocked",
    "No running digest is blocked.",
    "a blocked digest must not run anywhere",
    "promote another release, or remove the overlay through a request",
    "`environments/blocked-digests.yaml` names the digest that prod runs",
    "no running digest is blocked",
)
AUDIT_DRAFT_LOST = _audit(
    "audit-draft-lost",
    "Every draft that the pipeline wrote commits for has facts.",
    "if a draft's facts are gone, so is the record of what was requested and approved",
    _RESTORE,
    "the state branch was made anew without one draft, whose commits are still there",
    "every commit's draft has a chain",
)
AUDIT_FILE_MODE = _audit(
    "audit-file-mode",
    "GitOps repositories hold plain files only.",
    "a link or submodule brings content that nobody approved",
    "remove it; propose a plain file instead",
    "a symbolic link lies in a GitOps repository",
    "all files have mode 100644",
)
AUDIT_FOLDER_WITHOUT_DRAFT = register(
    Rule(
        "audit-folder-without-draft",
        "Every primitive's folder on a default branch belongs to a draft.",
        "it can't be promoted; this is only for your information",
        "request a draft for it, or remove the folder",
        Subject.SCENARIO,
        "a folder `primitives/other` that people put there",
        "every folder is a draft's",
        severity=Severity.NOTE,
    )
)
AUDIT_OVERLAY_TREE = _audit(
    "audit-overlay-tree",
    "Every overlay on a GitOps default branch is the recorded tree.",
    "the delivery tool runs what lies there, so it must be what was approved",
    "`pipeline run` restores the sealed tree; or promote again through a request",
    "one byte of an overlay is changed",
    "the overlay as it was promoted",
)
AUDIT_OVERLAY_WITHOUT_FACT = _audit(
    "audit-overlay-without-fact",
    "Every overlay on a GitOps default branch has a `promoted` fact.",
    "an overlay without a fact runs without a request",
    "`pipeline run` removes it; or revert the commit that added it",
    "a folder `environments/prod/other` that no fact knows",
    "every folder belongs to a fact",
)
AUDIT_OVERLAY_MISSING = _audit(
    "audit-overlay-missing",
    "Every promotion's commit is on the GitOps default branch with the recorded tree.",
    "a promotion that is missing from history can't be proven",
    _RESTORE,
    "the GitOps branch was reset to before a promotion",
    "every promotion's merge commit is found",
)
AUDIT_DIGEST_DIFFERS = _audit(
    "audit-digest-differs",
    "A source tree has the same digest in its build and in every environment.",
    "another digest was never tested",
    "promote the built digest again",
    "a `promoted` fact names another digest than the `built` fact of its source tree",
    "built and promoted digests are equal",
)
AUDIT_PROVENANCE = _audit(
    "audit-provenance",
    "Every promoted image has a provenance statement by a signer trusted at the time.",
    "a digest alone does not say what the image was built from",
    "promote an image that the pipeline built; run `pipeline explain` with the code in the message",
    "the `built` fact holds a statement that another key signed",
    "the statement is signed and names image, source tree and builder",
)
AUDIT_SOURCE_MISSING = _audit(
    "audit-source-missing",
    "Every commit in a fact is in the target repository with the recorded tree.",
    "source that is gone can't be checked any more",
    _RESTORE,
    "the draft's branch was rewritten",
    "scaffold and patch commits are found",
)
AUDIT_CAUSE_MISSING = _audit(
    "audit-cause-missing",
    "The request that a fact names is on the control repo's main, at that commit.",
    "a fact without a request records something that nobody asked for",
    _RESTORE,
    "main was rewritten without the request",
    "the request's blob is found at its path and commit",
)
AUDIT_APPROVALS = _audit(
    "audit-approvals",
    "Every promotion has the approvals that policy required at its commit.",
    "people are responsible for what runs",
    "revert the promotion and have it approved",
    "a `promoted` fact to prod names one approver where two are asked for",
    "two distinct eligible people are named",
)
AUDIT_OBJECT_MISSING = register(
    Rule(
        "audit-object-missing",
        "Every Git object that history names is in the clone and matches its id.",
        "what is missing or damaged was not verified",
        "fetch into a fresh clone; `git fsck` lists other damage",
        Subject.SCENARIO,
        "the root tree of a state branch is gone from the clone",
        "every object is read, and its bytes give its id",
        could_not_check=True,
    )
)
AUDIT_REPOSITORY_MISSING = register(
    Rule(
        "audit-repository-missing",
        "Every repository that facts name is available to verify.",
        "what can't be read was not verified",
        "clone it beside the others: `git clone <forge>/<organisation>/<repo>.git`",
        Subject.SCENARIO,
        "no clone of the GitOps repository",
        "clones of control, controllers and GitOps repositories",
        could_not_check=True,
    )
)
