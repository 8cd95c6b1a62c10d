"""Rules of rendered manifests: the last word on what a delivery tool would apply.

They judge `kustomize build` of the finished overlay, whatever chart or template it came from.
Sources: seed §7.1–7.2; limits.md "AppProject" (hooks have bypassed it), "image policy".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline import names
from pipeline.diagnostics import Finding, Location, Rule, Subject, register

ALLOWED_KINDS = frozenset(
    {
        ("apps/v1", "Deployment"),
        ("apps/v1", "StatefulSet"),
        ("autoscaling/v2", "HorizontalPodAutoscaler"),
        ("batch/v1", "CronJob"),
        ("batch/v1", "Job"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("policy/v1", "PodDisruptionBudget"),
        ("v1", "ConfigMap"),
        ("v1", "PersistentVolumeClaim"),
        ("v1", "Service"),
        ("v1", "ServiceAccount"),
        ("ameide.io/v1", "Domain"),
        ("ameide.io/v1", "Process"),
        ("ameide.io/v1", "Agent"),
        ("ameide.io/v1", "UISurface"),
        ("ameide.io/v1", "Projection"),
        ("ameide.io/v1", "Integration"),
    }
)
_HOOKS = ("helm.sh/hook", "argocd.argoproj.io/hook")
_SAMPLE_DIGEST = "sha256:" + "ab" * 32
_SAMPLE = f"""apiVersion: apps/v1
kind: Deployment
metadata:
  name: order-router
  namespace: tenant-acme-dev-cust
spec:
  selector: {{matchLabels: {{app: order-router}}}}
  template:
    metadata: {{labels: {{app: order-router}}}}
    spec:
      containers:
        - name: app
          image: registry.example.com/ameide/tenant-acme/order-router@{_SAMPLE_DIGEST}
          imagePullPolicy: IfNotPresent
"""

MANIFEST_NAMESPACE = register(
    Rule(
        id="manifest-namespace",
        summary="Every object lies in the namespace that tenant, origin and environment decide.",
        why="an object elsewhere is custom code in a shared namespace, or one tenant in another's",
        fix="take `namespace:` out of the chart; the overlay sets it",
        subject=Subject.MANIFEST,
        fails=_SAMPLE.replace("tenant-acme-dev-cust", "ameide-dev"),
        passes=_SAMPLE,
    )
)
MANIFEST_KIND = register(
    Rule(
        id="manifest-kind",
        summary="Only workloads and what belongs to them: no cluster-wide kinds, no access rules.",
        why="a role, a webhook or a namespace reaches beyond the primitive's own namespace",
        fix="take the object out of the chart; the platform owns such objects",
        subject=Subject.MANIFEST,
        fails="""apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: order-router}
rules: []
""",
        passes=_SAMPLE,
    )
)
MANIFEST_HOOK = register(
    Rule(
        id="manifest-hook",
        summary="No Helm or Argo CD hooks.",
        why="hooks run outside the sync that was approved, and have bypassed project limits",
        fix="use a plain Job or an init container",
        subject=Subject.MANIFEST,
        fails=_SAMPLE.replace(
            "  namespace: tenant",
            "  annotations: {argocd.argoproj.io/hook: PostDelete}\n  namespace: tenant",
        ),
        passes=_SAMPLE,
    )
)
MANIFEST_IMAGE = register(
    Rule(
        id="manifest-image",
        summary="Every container runs the release's image, by digest.",
        why="another image was neither built nor checked here; a tag can change after approval",
        fix="use the chart's one value `image.ref` in every container",
        subject=Subject.MANIFEST,
        fails=_SAMPLE.replace(f"@{_SAMPLE_DIGEST}", ":latest"),
        passes=_SAMPLE,
    )
)
MANIFEST_HOST = register(
    Rule(
        id="manifest-host-access",
        summary="No pod reaches its node: no host namespaces, host paths or privileged containers.",
        why="who has the node has every tenant on it",
        fix="take the field out; use an emptyDir or a claim of the primitive's own",
        subject=Subject.MANIFEST,
        fails=_SAMPLE.replace(
            "    spec:\n      containers", "    spec:\n      hostPID: true\n      containers"
        ),
        passes=_SAMPLE,
    )
)
MANIFEST_MALFORMED = register(
    Rule(
        id="manifest-malformed",
        summary="Every document is a Kubernetes object with apiVersion, kind and name.",
        why="what cannot be read cannot be judged",
        fix="correct the chart's template",
        subject=Subject.MANIFEST,
        fails="kind: Deployment\nmetadata: {}\n",
        passes=_SAMPLE,
    )
)
MANIFEST_NOT_RENDERED = register(
    Rule(
        id="manifest-not-rendered",
        summary="The chart renders, by helm and kustomize, to the same objects each time.",
        why="what cannot be rendered cannot be judged, and would be applied unseen",
        fix="run `helm template` on the primitive's chart; the message says what it stumbles over",
        subject=Subject.SCENARIO,
        fails="a chart whose template calls a function that does not exist",
        passes="the chart of the golden template",
    )
)


@dataclass(frozen=True, slots=True)
class Target:
    """What manifests are judged against."""

    file: str
    namespace: str
    image: str
    digest: str


def check_objects(objects: Sequence[object], target: Target) -> Iterator[Finding]:
    """Findings for rendered objects; order of the objects does not matter."""
    for item in objects:
        if not isinstance(item, Mapping):
            yield MANIFEST_MALFORMED.finding("a document is no mapping", Location(target.file))
            continue
        metadata = item.get("metadata")
        api, kind = item.get("apiVersion"), item.get("kind")
        name = metadata.get("name") if isinstance(metadata, Mapping) else None
        if not (isinstance(api, str) and isinstance(kind, str) and isinstance(name, str)):
            yield MANIFEST_MALFORMED.finding(
                "a document lacks apiVersion, kind or metadata.name", Location(target.file)
            )
            continue
        yield from _check_object(item, metadata, f"{kind}/{name}", (api, kind), target)


def _check_object(
    item: Mapping[str, object],
    metadata: object,
    label: str,
    kind: tuple[str, str],
    target: Target,
) -> Iterator[Finding]:
    at = Location(f"{target.file}#{label}")
    assert isinstance(metadata, Mapping)
    if kind not in ALLOWED_KINDS:
        yield MANIFEST_KIND.finding(f"{label} ({kind[0]}) is not allowed here", at)
    elif metadata.get("namespace") != target.namespace:
        found = metadata.get("namespace") or "no namespace"
        yield MANIFEST_NAMESPACE.finding(f"{label} lies in {found}, not in {target.namespace}", at)
    annotations = metadata.get("annotations") or {}
    if isinstance(annotations, Mapping):
        for hook in _HOOKS:
            for key in annotations:
                if str(key).startswith(hook):
                    yield MANIFEST_HOOK.finding(f"{label} carries `{key}`", at)
    wanted = f"{target.image}@{target.digest}"
    if kind[0].startswith("ameide.io/"):
        # An operator makes the workload of these: the images stand in the object itself.
        spec = item.get("spec")
        named = dict(_images(spec, "spec"))
        for path, image in {"spec.image": None, **named}.items():
            if image != wanted:
                yield MANIFEST_IMAGE.finding(
                    f"{label} names image `{image}` in `{path}`, not `{wanted}`", at
                )
    for reach in sorted(set(_host_access(item))):
        yield MANIFEST_HOST.finding(f"{label} asks for `{reach}`", at)
    for container in _containers(item):
        image = container.get("image")
        if image != wanted:
            yield MANIFEST_IMAGE.finding(
                f"{label} runs `{image}` in container `{container.get('name')}`, not `{wanted}`", at
            )


_HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC", "privileged")


def _host_access(value: object) -> Iterator[str]:
    """The fields anywhere inside `value` that reach the node."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if key == "hostPath" or (key in _HOST_FIELDS and child is not False):
                yield str(key)
            yield from _host_access(child)
    elif isinstance(value, list):
        for child in value:
            yield from _host_access(child)


def _images(value: object, path: str) -> Iterator[tuple[str, object]]:
    """Path and value of every field inside `value` that names an image, whatever its prefix."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if str(key).lower().endswith("image"):
                yield f"{path}.{key}", child
            yield from _images(child, f"{path}.{key}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _images(child, f"{path}[{index}]")


def _containers(value: object) -> Iterator[Mapping[str, object]]:
    """Every container of any pod template inside `value`, init and ephemeral ones included."""
    if isinstance(value, Mapping):
        for key, child in value.items():
            if key in {"containers", "initContainers", "ephemeralContainers"} and isinstance(
                child, list
            ):
                yield from (c for c in child if isinstance(c, Mapping))
            else:
                yield from _containers(child)
    elif isinstance(value, list):
        for child in value:
            yield from _containers(child)


def is_custom_in_shared(platform: str, namespace: str, origin: str) -> bool:
    """Whether custom code would run in the shared plane (seed §7.1)."""
    return origin != "platform" and names.is_shared_namespace(platform, namespace)
