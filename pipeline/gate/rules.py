"""Rules of decisions: why a promotion is refused or waits.

The clauses that apply them are in `pipeline.gate.authorise`. Each example is a change to the
evidence of an allowed promotion to prod: see `tests/unit/gate/test_authorise.py`.
"""

from __future__ import annotations

from pipeline.diagnostics import Rule, Subject, register


def _decision(id: str, summary: str, why: str, fix: str, fails: str, passes: str) -> Rule:
    return register(Rule(id, summary, why, fix, Subject.DECISION, fails, passes))


DRAFT_ENDED = _decision(
    "draft-ended",
    "A rejected draft is not promoted.",
    "its pull request was closed, so nobody vouches for the code",
    "create a new draft",
    "state: REJECTED\n",
    "state: PROMOTED_STAGING\n",
)
STATE_TAMPERED = _decision(
    "state-tampered",
    "A draft's facts form an unbroken chain that folds to its status.",
    "a promotion based on changed facts proves nothing",
    "`pipeline audit verify` names the fact; restore the state branch from a clone",
    "chain_problem: fact 3 does not name the hash of fact 2\n",
    "chain_problem: ''\n",
)
SOURCE_UNKNOWN = _decision(
    "source-unknown",
    "The source commit is in the target repository and holds the primitive.",
    "an unknown commit was never checked",
    "take the commit from `pipeline draft status`",
    "source_tree: null\n",
    "source_on_default: true\n",
)
SOURCE_NOT_ON_DEFAULT_BRANCH = _decision(
    "source-not-on-default-branch",
    "Where the environment requires it, the source tree is, or was, on the default branch.",
    "code that its owners haven't merged is not theirs yet",
    "merge the draft's pull request in the target repository",
    "source_on_default: false\n",
    "source_on_default: true\n",
)
ENVIRONMENT_ORDER = _decision(
    "environment-order",
    "A release has run in one environment before it is promoted to the next.",
    "what no earlier environment ran is untested",
    "promote it to the earlier environment first",
    "promotions: []\n",
    "promotions: [staging]\n",
)
BASE_CHANGED = _decision(
    "base-changed",
    "A release has the same manifests as it had in the environment before.",
    "the same image with other manifests is a different, untested release",
    "promote it to the earlier environment again, then request this one anew",
    "base: other\n",
    "base: same\n",
)
DIGEST_NOT_BUILT = _decision(
    "digest-not-built",
    "The digest is the image that the pipeline built from the source tree.",
    "every environment runs the same digest, and only images built here",
    "write the request with `pipeline promote request`",
    "digest: other\n",
    "digest: built\n",
)
BUILD_MISSING = _decision(
    "build-missing",
    "The source tree has an image.",
    "without an image there is nothing to run",
    "`pipeline run` builds it once its checks have passed",
    "environment: dev\nbuilds: []\n",
    "environment: dev\n",
)
BUILDER_REFUSED = _decision(
    "builder-refused",
    "The image was made by a builder that the environment accepts.",
    "some builders give images that don't run or have no provenance",
    "build with an accepted builder, or change the environment's `builders`",
    "builders: [buildah]\n",
    "builders: [source-layout]\n",
)
PROVENANCE_MISSING = _decision(
    "provenance-missing",
    "The image has a signed provenance statement.",
    "without one, nobody knows what is in the image",
    "push a new commit; it is built again, with its own statement",
    "provenance: none\n",
    "provenance: signed\n",
)
PROVENANCE_UNREADABLE = _decision(
    "provenance-unreadable",
    "The provenance statement is a Sigstore bundle with SLSA provenance v1.",
    "a statement that can't be read proves nothing",
    "push a new commit; it is built again, with its own statement",
    "provenance: damaged\n",
    "provenance: signed\n",
)
PROVENANCE_FOREIGN = _decision(
    "provenance-foreign",
    "The provenance statement is signed by a signer in `environments/signers.yaml`.",
    "anybody can sign something; only trusted signers count",
    "build it with the build workflow, or add its signer to `environments/signers.yaml`",
    "provenance: of another key\n",
    "provenance: signed\n",
)
PROVENANCE_MISMATCH = _decision(
    "provenance-mismatch",
    "The provenance statement is about this image, source and builder.",
    "a true statement about another image says nothing about this one",
    "push a new commit; it is built again, with its own statement",
    "provenance: of another image\n",
    "provenance: signed\n",
)
CHECK_MISSING = _decision(
    "check-missing",
    "Every required check ran on exactly this source tree.",
    "a result for other source says nothing about this one",
    "`pipeline run` runs the missing checks",
    "environment: dev\nchecks: []\n",
    "environment: dev\n",
)
CHECK_FAILED = _decision(
    "check-failed",
    "Every required check passed on exactly this source tree.",
    "code that fails its checks is not promoted",
    "fix the code with a patch; the message shows the failure",
    "checks: [failed]\n",
    "checks: [passed]\n",
)
NAMESPACE_CHANGED = _decision(
    "namespace-changed",
    "The overlay's namespace is the derived one.",
    "a namespace that can be chosen could be somebody else's",
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
    "Enough distinct people from the required teams approved; the author and bots don't count.",
    "people are responsible for what runs; riskier changes need more of them",
    "have the request's pull request approved by the teams that the message names",
    "reviews: []\n",
    "reviews: [1501, 1601]\n",
)
APPROVAL_OTHER_REVISION = _decision(
    "approval-other-revision",
    "The merged revision is the one that was reviewed.",
    "an approval covers only what the reviewer saw",
    "open a new pull request with the same request",
    "approved_blob: other\n",
    "approved_blob: same\n",
)
APPROVAL_EXPIRED = _decision(
    "approval-expired",
    "Enough approvals are not older than `expires_after_days` of their policy.",
    "an old approval rests on what people knew then, and much may have changed since",
    "have it approved again",
    "approvals: {count: 2, teams: [release-managers, security], expires_after_days: 7}\n"
    "now: 2026-12-09T00:00:00Z\nreviews: [{by: 1501, at: 2026-12-01T00:00:00Z}, "
    "{by: 1601, at: 2026-12-08T00:00:00Z}]\n",
    "approvals: {count: 2, teams: [release-managers, security], expires_after_days: 7}\n"
    "now: 2026-12-09T00:00:00Z\nreviews: [{by: 1501, at: 2026-12-02T00:00:01Z}, "
    "{by: 1601, at: 2026-12-08T00:00:00Z}]\n",
)
APPROVAL_BY_SOURCE_AUTHOR = _decision(
    "approval-by-source-author",
    "Where policy asks for `separation: source-authors`, enough approvals are of others.",
    "whoever wrote the code sees what they meant, not what it does",
    "have somebody approve who did not write the source",
    "approvals: {count: 2, teams: [release-managers, security], separation: source-authors}\n"
    "source_authors: [1201, 1601]\n",
    "approvals: {count: 2, teams: [release-managers, security], separation: source-authors}\n"
    "source_authors: [1201, 1502]\n",
)
RUNTIME_NOT_OFFERED = _decision(
    "runtime-not-offered",
    "Where an operator runs primitives, the release has a custom resource.",
    "plain objects would run there beside the operator, unmanaged",
    "use the golden template's chart, whose value `runtime` offers both forms",
    "runtime: operator\n",
    "runtime: workload\n",
)
STATEMENT_MISSING = _decision(
    "statement-missing",
    "Each statement that the environment asks for is there, about this image or its source commit.",
    "what people agreed to check before a release was not checked for this one",
    "have it signed, and bring it: `pipeline statement add DRAFT FILE`",
    "asked_statements: [{predicate_type: 'https://example.com/change/v1', signers: [board]}]\n",
    "asked_statements: [{predicate_type: 'https://example.com/change/v1', signers: [board]}]\n"
    "stated: [{type: 'https://example.com/change/v1', by: board}]\n",
)
STATEMENT_FOREIGN = _decision(
    "statement-foreign",
    "A statement is signed by one of those whom the environment accepts for it.",
    "anybody with a key can sign; who may say what is policy",
    "have it signed by one whom the environment names, or change the environment",
    "asked_statements: [{predicate_type: 'https://example.com/change/v1', signers: [board]}]\n"
    "stated: [{type: 'https://example.com/change/v1', by: scanner}]\n",
    "asked_statements: [{predicate_type: 'https://example.com/change/v1', signers: [scanner]}]\n"
    "stated: [{type: 'https://example.com/change/v1', by: scanner}]\n",
)
VULNERABILITY_REPORT_MISSING = _decision(
    "vulnerability-report-missing",
    "Where the environment asks for it, an accepted signer states a scan of exactly this image.",
    "an image that nobody scanned is not one without vulnerabilities",
    "scan it by its digest, sign the report and bring it: `pipeline statement add DRAFT FILE`",
    "vulnerabilities: medium\n",
    "vulnerabilities: medium\nstated: [{by: scanner, found: {CVE-2026-1: 5.0}}]\n",
)
VULNERABILITY_REPORT_EXPIRED = _decision(
    "vulnerability-report-expired",
    "The newest scan of the image is not older than the environment lets it be.",
    "vulnerabilities become known later, so an old report says little",
    "scan the image again, and bring the report",
    "vulnerabilities: medium\nnow: 2026-12-08T00:00:00Z\n"
    "stated: [{by: scanner, at: '2026-12-01T00:00:00Z'}]\n",
    "vulnerabilities: medium\nnow: 2026-12-07T23:59:59Z\n"
    "stated: [{by: scanner, at: '2026-12-01T00:00:00Z'}]\n",
)
VULNERABILITY_OVER_LIMIT = _decision(
    "vulnerability-over-limit",
    "The newest scan finds nothing above the environment's limit that no VEX statement takes out.",
    "known vulnerabilities are the first thing that attackers try",
    "update what has it and ask anew; or bring a signed VEX statement, or a waiver where policy "
    "lets the rule be waived, and ask anew",
    "vulnerabilities: medium\nstated: [{by: scanner, found: {CVE-2026-1: 7.0}}]\n",
    "vulnerabilities: medium\nstated: [{by: scanner, found: {CVE-2026-1: 6.9}}]\n",
)
WINDOW_CLOSED = _decision(
    "window-closed",
    "No window that denies lasts, and one of those that allow does, where there are any.",
    "people decided that nothing changes at this time",
    "wait; where the window lets a lane pass, ask for that lane",
    "now: 2026-12-24T12:00:00Z\nwindows: [{effect: deny, from: 2026-12-24T00:00:00, "
    "to: 2026-12-27T00:00:00}]\n",
    "now: 2026-12-27T00:00:00Z\nwindows: [{effect: deny, from: 2026-12-24T00:00:00, "
    "to: 2026-12-27T00:00:00}]\n",
)
SOAK_NOT_OVER = _decision(
    "soak-not-over",
    "A release was seen healthy in an environment before for as long as `soak` asks for.",
    "some failures take hours to show; better there than here",
    "wait, and have reports of the delivery tool recorded: `pipeline run --observations FILE`",
    "soak: {hours: 24}\nseen: {from: 2026-11-30T10:00:00Z, to: 2026-12-01T09:59:59Z}\n",
    "soak: {hours: 24}\nseen: {from: 2026-11-30T10:00:00Z, to: 2026-12-01T10:00:00Z}\n",
)
SOAK_UNKNOWN = _decision(
    "soak-unknown",
    "Where `soak` asks for time, it is known how the release did in an environment before.",
    "a release that nobody looked at may have been down all the time",
    "have reports of the delivery tool recorded: `pipeline run --observations FILE`, more often "
    "than `observed_within_hours` of that environment",
    "soak: {hours: 24}\nseen: {}\n",
    "soak: {hours: 24}\nseen: {from: 2026-11-30T10:00:00Z, to: 2026-12-01T10:00:00Z}\n",
)
PROMOTION_STOPPED = _decision(
    "promotion-stopped",
    "Nothing in `environments/stop.yaml` stops it.",
    "people stopped it because of an incident; what is queued would make that worse",
    "wait until the stop is taken away by a pull request; where it lets a lane pass, ask for that",
    "stops: [{reason: The gateway drops requests}]\n",
    "stops: [{reason: The gateway drops requests, environments: [dev]}]\n",
)
ROLLBACK_TARGET = _decision(
    "rollback-target",
    "A rollback goes to a release that has run in that environment before.",
    "what never ran there is not what things were like before",
    "`pipeline rollback` lists the releases that ran there; a release that is new there is "
    "promoted",
    "runs_here: []\nlane: rollback\nlanes: {rollback: [release-managers]}\n",
    "runs_here: [this, other]\nlane: rollback\nlanes: {rollback: [release-managers]}\n",
)
ROLLBACK_NOT_DUE = _decision(
    "rollback-not-due",
    "An automatic rollback follows an observation, as `rollback_on` of the environment says.",
    "policy was reviewed, and nothing else lets the pipeline choose what runs",
    "nothing: if the release does badly for that long, the pipeline goes back by itself",
    "automatic: true\nruns_here: [this, other]\nhealth: Healthy\n",
    "automatic: true\nruns_here: [this, other]\nhealth: Degraded\n",
)
ROLLBACK_WITHOUT_TARGET = register(
    Rule(
        "rollback-without-target",
        "Where `rollback_on` applies, an earlier release has run healthy in the environment.",
        "without one there is nothing to go back to, and the release goes on doing badly",
        "promote a release that works; or name one with `pipeline rollback … --to RELEASE`",
        Subject.SCENARIO,
        "the first release that prod ever ran is degraded",
        "the release before it ran healthy in prod",
    )
)
ENVIRONMENT_HELD = _decision(
    "environment-held",
    "After a rollback, only a person changes what runs in the environment.",
    "automation that repeats the newest promotion would undo the rollback",
    "have a person ask for the promotion, or lift the hold with `pipeline hold lift`",
    "held: true\n",
    "held: true\nauthor: 1201\n",
)
RELEASE_STAYS = _decision(
    "release-stays",
    "A release that was promoted with `goes_further: false` goes further only by a person.",
    "a hotfix may be right for one environment and wrong for the next",
    "have a person ask for it; or promote the release that is to follow",
    "stays: true\n",
    "stays: true\nauthor: 1201\n",
)
HOLD_ABSENT = _decision(
    "hold-absent",
    "A request to lift a hold names a held environment and what runs there.",
    "otherwise nobody knows what they let go on",
    "see the holds in `pipeline draft status`; `pipeline hold lift` writes the request",
    "lift: true\nauthor: 1201\n",
    "lift: true\nauthor: 1201\nheld: true\nruns_here: [this]\n",
)
DRAFT_IDENTITY_CHANGED = register(
    Rule(
        "draft-identity-changed",
        "An accepted draft keeps its origin, type, template, repository and SKU.",
        "its code, names and namespaces are derived from them and can't move",
        "undo the change; create another draft instead",
        Subject.SCENARIO,
        "an accepted draft's `code_origin` turns from tenant to platform",
        "an accepted draft's description changes",
    )
)
GROUP_MEMBER_WAITS = _decision(
    "group-member-waits",
    "A release group moves once the gate allows every member.",
    "its members were approved together, and half of them may not work without the others",
    "resolve what the other member waits for; `pipeline why` on it says more",
    "group: {contoso/orders: waits}\n",
    "group: {contoso/orders: allowed}\n",
)
GROUP_MEMBER_REFUSED = _decision(
    "group-member-refused",
    "No member of a release group was refused or replaced.",
    "a member that can never move would leave the group half-applied",
    "change the group's file: give the member another release, or take it out",
    "group: {contoso/orders: refused}\n",
    "group: {contoso/orders: allowed}\n",
)
