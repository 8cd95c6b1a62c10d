"""Rules of decisions: why a promotion is refused or waits.

The clauses that apply them are in `pipeline.gate.authorise`. Examples are what is changed in the
evidence of a promotion to prod that is allowed: see `tests/unit/gate/test_authorise.py`.
"""

from __future__ import annotations

from pipeline.diagnostics import Rule, Subject, register


def _decision(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.DECISION, fails, passes))


DRAFT_ENDED = _decision(
    "draft-ended",
    "A draft that was rejected is promoted nowhere.",
    "its pull request was closed, so nobody vouches for the code",
    "create a new draft, or revive this one",
    "state: REJECTED\n",
    "state: PROMOTED_STAGING\n",
)
STATE_TAMPERED = _decision(
    "state-tampered",
    "A draft's facts form an unbroken chain that folds to its status.",
    "a promotion that rests on altered facts proves nothing",
    "`pipeline audit verify` names the fact; restore the state branch from a clone",
    "chain_problem: fact 3 does not name the hash of fact 2\n",
    "chain_problem: ''\n",
)
SOURCE_UNKNOWN = _decision(
    "source-unknown",
    "The source commit exists in the target repository and holds the primitive.",
    "an unknown commit was never checked",
    "take the commit from `pipeline draft status`",
    "source_tree: null\n",
    "source_on_default: true\n",
)
SOURCE_NOT_ON_DEFAULT_BRANCH = _decision(
    "source-not-on-default-branch",
    "Where the environment asks for it, the source tree is on the default branch.",
    "code that its owners have not merged yet is not theirs",
    "merge the draft's pull request in the target repository",
    "source_on_default: false\n",
    "source_on_default: true\n",
)
ENVIRONMENT_ORDER = _decision(
    "environment-order",
    "A release runs in an environment before it is promoted to the next one.",
    "what no earlier environment ran is untested there",
    "promote it to the earlier environment first",
    "promotions: []\n",
    "promotions: [staging]\n",
)
BASE_CHANGED = _decision(
    "base-changed",
    "The manifests that a release is made of are those that the environment before it ran.",
    "the same image with other manifests is another release, which nobody tried",
    "promote it to the earlier environment again, then ask anew",
    "base: other\n",
    "base: same\n",
)
DIGEST_NOT_BUILT = _decision(
    "digest-not-built",
    "The digest is the one image that was built from the source tree.",
    "the same digest runs in every environment, and only what was built here",
    "write the request with `pipeline promote request`",
    "digest: other\n",
    "digest: built\n",
)
BUILD_MISSING = _decision(
    "build-missing",
    "The source tree has an image.",
    "there is nothing to run before it is built",
    "`pipeline run` builds it once its checks have passed",
    "environment: dev\nbuilds: []\n",
    "environment: dev\n",
)
BUILDER_REFUSED = _decision(
    "builder-refused",
    "The image was made by a builder that the environment accepts.",
    "some builders give no runnable or no provable image",
    "build with an accepted builder, or change `builders` of the environment",
    "builders: [buildah]\n",
    "builders: [source-layout]\n",
)
PROVENANCE_MISSING = _decision(
    "provenance-missing",
    "A signed statement says what the image was built from.",
    "an image that nobody vouches for may be anything",
    "a new commit of the source is built anew, with its statement",
    "provenance: none\n",
    "provenance: signed\n",
)
PROVENANCE_UNREADABLE = _decision(
    "provenance-unreadable",
    "The statement is a Sigstore bundle around SLSA provenance v1.",
    "what cannot be read says nothing",
    "a new commit of the source is built anew, with its statement",
    "provenance: damaged\n",
    "provenance: signed\n",
)
PROVENANCE_FOREIGN = _decision(
    "provenance-foreign",
    "The statement is signed by one of `environments/signers.yaml`.",
    "anybody can state anything",
    "build it by the build workflow, or have its signer trusted in `environments/signers.yaml`",
    "provenance: of another key\n",
    "provenance: signed\n",
)
PROVENANCE_MISMATCH = _decision(
    "provenance-mismatch",
    "The statement is of this image, this source and this builder.",
    "a true statement of another image says nothing of this one",
    "a new commit of the source is built anew, with its statement",
    "provenance: of another image\n",
    "provenance: signed\n",
)
CHECK_MISSING = _decision(
    "check-missing",
    "Every required check has run on exactly this source tree.",
    "a result for other source says nothing of this one",
    "`pipeline run` runs what is missing",
    "environment: dev\nchecks: []\n",
    "environment: dev\n",
)
CHECK_FAILED = _decision(
    "check-failed",
    "Every required check has passed on exactly this source tree.",
    "code that fails its checks goes nowhere",
    "patch the code; the message shows the failure",
    "checks: [failed]\n",
    "checks: [passed]\n",
)
NAMESPACE_CHANGED = _decision(
    "namespace-changed",
    "The overlay's namespace is the one that tenant, origin and environment decide.",
    "a namespace that can be chosen is one that can be somebody else's",
    "render the overlay with the pipeline",
    "namespace: tenant-acme-prod-base\n",
    "namespace: tenant-acme-prod-cust\n",
)
OVERLAY_TREE_MISMATCH = _decision(
    "overlay-tree-mismatch",
    "The overlay renders to exactly the tree that the request pins.",
    "people approved that tree and no other",
    "write the request again and have it approved",
    "overlay_tree: other\n",
    "overlay_tree: rendered\n",
)
APPROVAL_MISSING = _decision(
    "approval-missing",
    "Enough distinct people of the asked teams approved; not the author, not a bot.",
    "people answer for what runs, in the number that the risk asks for",
    "have the request's pull request approved by the teams that the message names",
    "reviews: []\n",
    "reviews: [1501, 1601]\n",
)
APPROVAL_OTHER_REVISION = _decision(
    "approval-other-revision",
    "The revision that was merged is the one that was reviewed.",
    "an approval covers the bytes that were shown",
    "open a new pull request with the request as it stands",
    "approved_blob: other\n",
    "approved_blob: same\n",
)
RUNTIME_NOT_OFFERED = _decision(
    "runtime-not-offered",
    "A release that goes where an operator runs primitives holds a custom resource.",
    "there the operator makes the workload; plain objects would run beside it, unmanaged",
    "take up the golden template's chart, whose value `runtime` gives both forms",
    "runtime: operator\n",
    "runtime: workload\n",
)
DRAFT_IDENTITY_CHANGED = register(
    Rule(
        "draft-identity-changed",
        "An accepted draft stays what it is: origin, type, template, repository and sku.",
        "its code, names and namespaces follow from them, and cannot move afterwards",
        "undo the change; create another draft for another primitive",
        Subject.SCENARIO,
        "an accepted draft's `code_origin` turns from tenant to platform",
        "an accepted draft's description changes",
    )
)
