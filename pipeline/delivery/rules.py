"""Rules about reports of delivery tools: the report itself, and the places of its applications.

Each example is a report for `pipeline observe --from`.
"""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.diagnostics import Rule, Subject, register

_SAMPLE = f"""\
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {{name: acme--order-router--prod, namespace: argocd}}
spec:
  source:
    repoURL: https://github.com/ameide/tenant-acme-gitops.git
    path: environments/prod/order-router
  destination: {{name: in-cluster, namespace: tenant-acme-prod-cust}}
status:
  sync: {{status: Synced, revision: {"4b1e" * 10}}}
  health: {{status: Healthy, lastTransitionTime: "2026-12-01T10:50:00Z"}}
  reconciledAt: "2026-12-01T10:52:00Z"
  operationState: {{phase: Succeeded, finishedAt: "2026-12-01T10:49:30Z"}}
  summary:
    images: ["registry.example.com/ameide/tenant-acme/order-router@sha256:{"ab" * 32}"]
"""


def _rule(
    id: str,
    summary: str,
    *,
    why: str,
    fix: str,
    changes: Mapping[str, str],
) -> Rule:
    """A rule whose failing example is the sample with some texts replaced."""
    fails = _SAMPLE
    for old, new in changes.items():
        assert old in fails
        fails = fails.replace(old, new)
    return register(Rule(id, summary, why, fix, Subject.REPORT, fails, _SAMPLE))


REPORT_MALFORMED = _rule(
    "report-malformed",
    "A delivery tool's report is JSON or YAML of objects that it or `pipeline observe` writes.",
    why="what can't be read says nothing of what runs",
    fix="write it with `kubectl get -o json`, or let `pipeline observe --from argocd` ask the tool",
    changes={"kind: Application": "kind: Application\nkind: Application"},
)
REPORT_KIND_UNKNOWN = _rule(
    "report-kind-unknown",
    "A report holds Applications, Kustomizations, HelmReleases, Pods, or Observations.",
    why="of another kind it is not known what its status says",
    fix="ask for `applications.argoproj.io`, or for Flux's `kustomizations`, `helmreleases` and "
    "`pods`",
    changes={"kind: Application": "kind: Deployment"},
)
REPORT_OBJECT_INCOMPLETE = _rule(
    "report-object-incomplete",
    "An object of a report has the fields that its kind has, with their types.",
    why="a value of another type would be a guess",
    fix="take the object as the cluster gives it; edit nothing",
    changes={"name: acme--order-router--prod": "name: [acme--order-router--prod]"},
)
APPLICATION_AMBIGUOUS = _rule(
    "application-ambiguous",
    "Name, labels and source of an application say the same draft and environment, and no other "
    "application says it too.",
    why="an application that only claims to run a release could report anything of it",
    fix="let the application's source be the overlay's folder, or give it another name; delete "
    "the second one",
    changes={"environments/prod/order-router": "environments/prod/other"},
)
APPLICATION_UNPLACED = _rule(
    "application-unplaced",
    "An application in a tenant's namespace or with the platform's labels runs an overlay.",
    why="what it runs there was never requested",
    fix="find who made it (`kubectl describe`), and delete it; what should run there is promoted",
    changes={"acme--order-router--prod": "by-hand", "environments/prod/order-router": "by-hand"},
)
