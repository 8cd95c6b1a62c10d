"""Rules of rendered manifests: the final check of what a delivery tool would apply.

They judge `kustomize build` of the finished overlay, whatever chart or template it came from, by
the allow-list of `pipeline.releases` (docs/manifests.md); anything not listed there is refused.
Why an allow-list: docs/adr/0012-allow-list-as-data.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from textwrap import indent

from pipeline.diagnostics import RULES, Finding, Location, Rule, Subject, register
from pipeline.releases.allowlist import AllowList, load_allowed
from pipeline.releases.judge import Bound, Refusal, check_object

# Per object; the rest is counted.
MOST_REFUSALS = 40
_HOOKS = ("helm.sh/hook", "argocd.argoproj.io/hook")
_METADATA = re.compile(r"(?:\A|\.)metadata\.(?:labels|annotations)\[")
_SAMPLE_DIGEST = "sha256:" + "ab" * 32
_LABELS = """
labels:
  app.kubernetes.io/name: order-router
  app.kubernetes.io/instance: order-router
  ameide.io/environment: dev
  ameide.io/primitive: order-router
  ameide.io/tenant-kind: shared
  ameide.io/tenant-id: acme
  ameide.io/tier: backend
  ameide.io/cost-centre: CC-1042"""
_SAMPLE = f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: order-router
  namespace: tenant-acme-dev-cust{indent(_LABELS, "  ")}
spec:
  selector:
    matchLabels: {{app.kubernetes.io/name: order-router, app.kubernetes.io/instance: order-router}}
  template:
    metadata:{indent(_LABELS, "      ")}
    spec:
      serviceAccountName: order-router
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: app
          image: registry.example.com/ameide/tenant-acme/order-router@{_SAMPLE_DIGEST}
          resources: {{requests: {{cpu: 50m, memory: 96Mi}}, limits: {{memory: 256Mi}}}}
          securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
"""


def _rule(id: str, summary: str, why: str, fix: str, old: str, new: str) -> Rule:
    """A rule whose failing example is the sample with one text replaced."""
    assert old in _SAMPLE
    fails = _SAMPLE.replace(old, new)
    return register(Rule(id, summary, why, fix, Subject.MANIFEST, fails, _SAMPLE))


MANIFEST_NAMESPACE = _rule(
    "manifest-namespace",
    "Every object is in the namespace that tenant, origin and environment give.",
    "elsewhere it would be custom code in a shared namespace, or one tenant inside another",
    "remove `namespace:` from the chart; the overlay sets it",
    "tenant-acme-dev-cust",
    "ameide-dev",
)
MANIFEST_KIND = _rule(
    "manifest-kind",
    "Only workload kinds are allowed: nothing cluster-wide, no access rights.",
    "a role, a webhook or a namespace reaches beyond the primitive's own namespace",
    "remove the object from the chart; docs/manifests.md lists the allowed kinds",
    "apiVersion: apps/v1\nkind: Deployment",
    "apiVersion: apps/v1\nkind: DaemonSet",
)
MANIFEST_HOOK = _rule(
    "manifest-hook",
    "Manifests have no Helm or Argo CD hooks.",
    "hooks run outside the approved sync, and have bypassed project limits",
    "use a plain Job or an init container",
    "  namespace: tenant",
    "  annotations: {argocd.argoproj.io/hook: PostDelete}\n  namespace: tenant",
)
MANIFEST_IMAGE = _rule(
    "manifest-image",
    "Every container runs the release's image, by digest.",
    "another image was neither built nor checked here, and a tag can change",
    "use the chart's value `image.ref` in every container",
    f"@{_SAMPLE_DIGEST}",
    ":latest",
)
MANIFEST_FIELD = _rule(
    "manifest-field",
    "Every field is listed in docs/manifests.md for its kind.",
    "an unreviewed field may reach the node, the network or another primitive",
    "remove the field from the chart; docs/manifests.md lists the allowed fields",
    "    spec:\n      serviceAccountName",
    "    spec:\n      hostPID: true\n      serviceAccountName",
)
MANIFEST_VALUE = _rule(
    "manifest-value",
    "Every field has a value that docs/manifests.md allows; required ones are set.",
    "a harmless field can hold a harmful value, such as the root user",
    "use a value that the message allows",
    "automountServiceAccountToken: false",
    "automountServiceAccountToken: true",
)
MANIFEST_NAME = _rule(
    "manifest-name",
    "Every object is named after the instance, with at most one word behind it.",
    "another name could replace another primitive's object, or the platform's",
    "name it after `.Release.Name`, as the golden chart does",
    "name: order-router\n  namespace",
    "name: order-desk\n  namespace",
)
MANIFEST_LABEL = _rule(
    "manifest-label",
    "Labels and annotations are the primitive's own or the platform's.",
    "controllers act on them: cloud roles, sync options and sidecars come by annotation",
    "remove the label or annotation; docs/manifests.md lists the allowed ones",
    "  namespace: tenant",
    "  annotations: {eks.amazonaws.com/role-arn: admin}\n  namespace: tenant",
)
MANIFEST_SELECTOR = _rule(
    "manifest-selector",
    "Every selector selects exactly the primitive's own pods.",
    "a wider selector would take another primitive's pods",
    "select by app.kubernetes.io/name and app.kubernetes.io/instance, as the golden chart does",
    "app.kubernetes.io/instance: order-router}",
    "app.kubernetes.io/instance: order-desk}",
)
MANIFEST_REFERENCE = _rule(
    "manifest-reference",
    "Every reference names an object of the same primitive.",
    "another primitive's Secret, claim or account would give its data and rights",
    "reference the primitive's own object: its instance, `-` and one word",
    "serviceAccountName: order-router",
    "serviceAccountName: default",
)
MANIFEST_PLATFORM_OWNED = register(
    Rule(
        id="manifest-platform-owned",
        summary="NetworkPolicies and ServiceAccounts come from the platform.",
        why="they decide what a primitive can reach and who it is",
        fix="remove it from the chart: the pipeline writes it from `network` in "
        "environments/platform.yaml",
        subject=Subject.MANIFEST,
        fails=_SAMPLE.partition("spec:")[0]
        .replace("apps/v1", "networking.k8s.io/v1")
        .replace("Deployment", "NetworkPolicy")
        + "spec:\n  podSelector:\n    matchLabels: {app.kubernetes.io/name: order-router, "
        "app.kubernetes.io/instance: order-router}\n"
        "  policyTypes: [Ingress, Egress]\n  egress: [{}]\n",
        passes=_SAMPLE,
    )
)
MANIFEST_POD_SECURITY = _rule(
    "manifest-pod-security",
    "Every pod meets the Pod Security Standard `restricted`, judged by Kubernetes' own code.",
    "what the standard forbids is known to lead from a container to its node",
    "change what the message names, as the golden chart does",
    "allowPrivilegeEscalation: false",
    "allowPrivilegeEscalation: true",
)
MANIFEST_MALFORMED = register(
    Rule(
        id="manifest-malformed",
        summary="Every document is a Kubernetes object with apiVersion, kind and name.",
        why="an object that can't be read can't be judged",
        fix="fix the chart's template",
        subject=Subject.MANIFEST,
        fails="kind: Deployment\nmetadata: {}\n",
        passes=_SAMPLE,
    )
)
MANIFEST_NOT_RENDERED = register(
    Rule(
        id="manifest-not-rendered",
        summary="The chart renders to the same objects each time, by helm and kustomize.",
        why="a chart that doesn't render can't be judged",
        fix="run `helm template` on the chart; the message shows the error",
        subject=Subject.SCENARIO,
        fails="a chart whose template calls a function that does not exist",
        passes="the chart of the golden template",
    )
)
OVERLAY_FILE = register(
    Rule(
        id="overlay-file",
        summary="An overlay's folder holds only the files that the pipeline writes.",
        why="delivery tools obey extra files: `.argocd-source.yaml` replaces images, a remote "
        "base adds objects",
        fix="remove the file; objects come from the chart",
        subject=Subject.SCENARIO,
        fails="an overlay with `.argocd-source.yaml` beside its kustomization.yaml",
        passes="the overlay that the pipeline renders",
    )
)


@dataclass(frozen=True, slots=True)
class Target:
    """The overlay that manifests are judged for: its folder, and its bound words."""

    file: str
    bound: Bound


def check_objects(
    objects: Sequence[object], target: Target, allowed: AllowList | None = None
) -> Iterator[Finding]:
    """Findings for rendered objects; order of the objects does not matter."""
    allowed = allowed or load_allowed()
    for item in objects:
        if not isinstance(item, Mapping):
            yield MANIFEST_MALFORMED.finding("a document is not a mapping", Location(target.file))
            continue
        metadata = item.get("metadata")
        api, kind = item.get("apiVersion"), item.get("kind")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if not (isinstance(api, str) and isinstance(kind, str) and isinstance(name, str)):
            yield MANIFEST_MALFORMED.finding(
                "a document lacks apiVersion, kind or metadata.name", Location(target.file)
            )
            continue
        label = f"{kind}/{name}"
        at = Location(f"{target.file}#{label}")
        if (api, kind) not in allowed.kinds:
            listed = ", ".join(sorted(k for _, k in allowed.kinds))
            yield MANIFEST_KIND.finding(
                f"{label} ({api}) is not allowed here; allowed: {listed}", at
            )
            continue
        refusals = check_object(item, (api, kind), allowed, target.bound)
        for refusal in islice(refusals, MOST_REFUSALS):
            yield _finding(refusal, label, at)
        if more := sum(1 for _ in refusals):
            yield MANIFEST_FIELD.finding(f"{label}: {more} further fields are not allowed", at)


def _finding(refusal: Refusal, label: str, at: Location) -> Finding:
    found = _METADATA.search(refusal.path)
    hook = found is not None and refusal.path.startswith(_HOOKS, found.end())
    rule = MANIFEST_HOOK if hook else RULES[refusal.rule]
    return rule.finding(f"{label}: `{refusal.path}` {refusal.problem}", at)
