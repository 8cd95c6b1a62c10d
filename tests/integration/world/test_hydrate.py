"""Charts as they reach a cluster: the real template for every row, and hostile charts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline import names
from pipeline.diagnostics import Finding
from pipeline.errors import Unrenderable
from pipeline.git.objects import MODE_FILE, tree_id_of_files
from pipeline.releases.overlays import base_tree_of
from pipeline.tools import helm
from pipeline.world.hydrate import Hydrator
from tests.support.hydrated import (
    DIGEST,
    ROWS,
    Case,
    base_of,
    built,
    case_of,
    overlay_of,
)
from tests.support.samples import DRAFT, ENVIRONMENTS, sample_snapshot


@pytest.fixture(scope="module", params=ROWS)
def case(request: pytest.FixtureRequest) -> Case:
    return case_of(request.param)


# -- the real template --------------------------------------------------------------------


def test_every_sample_draft_is_tested_here() -> None:
    tenants = ("acme", "contoso", "fabrikam", "platform")
    drafts = {draft for tenant in tenants for draft in sample_snapshot().drafts_of(tenant)}
    assert drafts == set(ROWS)


def test_each_overlay_is_valid_and_in_its_own_namespace(case: Case) -> None:
    hydrator = Hydrator()
    base = base_of(case, hydrator)
    for environment in ENVIRONMENTS:
        overlay = overlay_of(case, base, environment)
        assert overlay.namespace == ROWS[case.view.id].format(env=environment)
        assert hydrator.read_findings(overlay, case.view.image) == ()
        objects = built(overlay)
        # One for each file of `base/` but its kustomization, the environment's settings, and two of
        # the platform; what an operator would take lies below.
        assert len(objects) == sum("/" not in path for path in base) - 1 + 1 + 2
        for item in objects:
            metadata = item["metadata"]
            assert isinstance(metadata, dict)
            assert metadata["namespace"] == overlay.namespace
            labels = metadata["labels"]
            assert labels["ameide.io/environment"] == environment
            shared = names.is_shared_namespace(case.view.platform.platform, overlay.namespace)
            assert ("ameide.io/tenant-id" in labels) is not shared


def test_base_is_one_tree_in_all_environments(case: Case) -> None:
    base = base_of(case)
    overlays = [overlay_of(case, base, environment) for environment in ENVIRONMENTS]
    trees = {
        tree_id_of_files(
            {
                path.removeprefix("base/"): (MODE_FILE, content)
                for path, content in overlay.files.items()
                if path.startswith("base/")
            }
        )
        for overlay in overlays
    }
    assert trees == {base_tree_of(base)}
    assert len({overlay.tree for overlay in overlays}) == len(ENVIRONMENTS)
    text = b"\n".join(base.values())
    for environment in ENVIRONMENTS:
        assert f"-{environment}-".encode() not in text
        assert f"-{environment}\n".encode() not in text


def test_the_same_source_hydrates_to_the_same_bytes(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = base_of(case)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    monkeypatch.setenv("LC_ALL", "tr_TR.UTF-8")
    turned = replace(case, source=dict(reversed(case.source.items())))
    assert base_of(turned) == first


def test_helm_s_lint_accepts_every_chart(case: Case) -> None:
    chart = {p.removeprefix("chart/"): c for p, c in case.source.items() if p.startswith("chart/")}
    assert helm.run_helm_lint(chart, values={"image": {"ref": case.image}}) == ()


def test_a_release_is_rendered_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    case = case_of(DRAFT)
    hydrator = Hydrator()
    base = base_of(case, hydrator)
    overlay = overlay_of(case, base, "dev")
    found = hydrator.read_findings(overlay, case.view.image)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("pipeline.tools.helm.run_helm_template", None)
    monkeypatch.setattr("pipeline.tools.kustomize.run_kustomize_build", None)
    assert base_of(case, hydrator) is base
    assert hydrator.read_findings(overlay, case.view.image) is found


def test_a_base_is_judged_for_each_target() -> None:
    """The same files judged for another image or namespace are judged anew."""
    case = case_of(DRAFT)
    hydrator = Hydrator()
    overlay = overlay_of(case, base_of(case, hydrator), "dev")
    assert hydrator.read_findings(overlay, case.view.image) == ()
    assert codes(hydrator.read_findings(overlay, "registry.example.com/other")) == {
        "manifest-image"
    }
    elsewhere = replace(overlay, namespace="ameide-dev")
    assert "manifest-namespace" in codes(hydrator.read_findings(elsewhere, case.view.image))


# -- hostile charts -----------------------------------------------------------------------


def codes(findings: tuple[Finding, ...]) -> set[str]:
    return {finding.code for finding in findings}


def with_template(text: str) -> Case:
    """The sample draft whose chart renders one more template."""
    case = case_of(DRAFT)
    return replace(case, source={**case.source, "chart/templates/evil.yaml": text.encode()})


def findings_of(case: Case) -> tuple[Finding, ...]:
    hydrator = Hydrator()
    overlay = overlay_of(case, base_of(case, hydrator), "dev")
    return hydrator.read_findings(overlay, case.view.image)


POD = """apiVersion: apps/v1
kind: Deployment
metadata: {name: evil}
spec:
  selector: {matchLabels: {app: evil}}
  template:
    metadata: {labels: {app: evil}}
    spec:
      %s:
        - name: evil
          image: %s
%s"""
CONTAINER = "      containers: [{name: app, image: '{{ .Values.image.ref }}'}]\n"
OTHER = "registry.example.com/ameide/tenant-contoso/inventory@" + DIGEST

HOSTILE = {
    "a ClusterRole": (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\n"
        "metadata: {name: evil}\nrules: []\n",
        "manifest-kind",
    ),
    "a RoleBinding": (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: evil}\n"
        "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}\n"
        "subjects: [{kind: ServiceAccount, name: default, namespace: kube-system}]\n",
        "manifest-kind",
    ),
    "a Secret": (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: evil}\nstringData: {a: b}\n",
        "manifest-kind",
    ),
    "a Namespace": ("apiVersion: v1\nkind: Namespace\nmetadata: {name: evil}\n", "manifest-kind"),
    "a bare Pod": (
        "apiVersion: v1\nkind: Pod\nmetadata: {name: evil}\n"
        "spec: {containers: [{name: a, image: '{{ .Values.image.ref }}'}]}\n",
        "manifest-kind",
    ),
    "a webhook": (
        "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingWebhookConfiguration\n"
        "metadata: {name: evil}\nwebhooks: []\n",
        "manifest-kind",
    ),
    "an Argo CD Application": (
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: evil}\nspec: {}\n",
        "manifest-kind",
    ),
    "an unheard-of kind": (
        "apiVersion: example.com/v1\nkind: Unheard\nmetadata: {name: evil}\n",
        "manifest-not-checked",
    ),
    "a Helm hook": (
        "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: evil\n"
        "  annotations: {helm.sh/hook: post-install}\n"
        "spec: {template: {spec: {restartPolicy: Never, containers: "
        "[{name: a, image: '{{ .Values.image.ref }}'}]}}}\n",
        "manifest-hook",
    ),
    "a Helm test": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: evil\n"
        "  annotations: {helm.sh/hook: test}\n",
        "manifest-hook",
    ),
    "an Argo CD hook": (
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: evil\n"
        "  annotations: {argocd.argoproj.io/hook: PostDelete}\n",
        "manifest-hook",
    ),
    "a foreign image": (POD % ("containers", OTHER, ""), "manifest-image"),
    "a foreign image in an init container": (
        POD % ("initContainers", "busybox", CONTAINER),
        "manifest-image",
    ),
    "a tag beside the digest": (
        POD % ("containers", "registry.example.com/x:1@" + DIGEST, ""),
        "manifest-image",
    ),
    "no image at all": (POD % ("containers", "''", ""), "manifest-image"),
    "an unknown field": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: evil}\n"
        "spec: {selector: {a: b}, ports: [{port: 80, targetPrt: 8080}]}\n",
        "manifest-schema",
    ),
    "a wrong type": (
        "apiVersion: v1\nkind: Service\nmetadata: {name: evil}\n"
        "spec: {selector: {a: b}, ports: [{port: eighty}]}\n",
        "manifest-schema",
    ),
    "a foreign image in a CronJob": (
        "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: evil}\n"
        "spec: {schedule: '* * * * *', jobTemplate: {spec: {template: {spec: "
        "{restartPolicy: Never, containers: [{name: a, image: busybox}]}}}}}\n",
        "manifest-image",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_object_is_found(name: str) -> None:
    text, code = HOSTILE[name]
    found = findings_of(with_template(text))
    assert code in codes(found)
    told = [finding for finding in found if finding.code == code]
    # A Namespace is renamed on its way, as everything is put into one.
    own = ("evil", "Namespace/")
    assert all(any(word in f.message for word in own) for f in told), "nothing else is blamed"


JOB = """apiVersion: batch/v1
kind: Job
metadata:
  name: "{{ .Release.Name }}-once"
  labels: {{- include "primitive.labels" . | nindent 4 }}
spec:
  template:
    metadata:
      labels: {{- include "primitive.labels" . | nindent 8 }}
    spec:
      serviceAccountName: {{ .Release.Name }}
      automountServiceAccountToken: false
      restartPolicy: Never
      securityContext: {{- include "primitive.podSecurity" . | nindent 8 }}
      containers:
        - name: once
          image: {{ include "primitive.image" . }}
          resources: {{- toYaml .Values.resources | nindent 12 }}
          securityContext: {{- include "primitive.containerSecurity" . | nindent 12 }}
"""


def test_the_harmless_object_passes() -> None:
    # Else the test above could not fail.
    assert findings_of(with_template(JOB)) == ()
    evil = JOB.replace("restartPolicy", "hostPID: true\n      restartPolicy")
    assert codes(findings_of(with_template(evil))) == {"manifest-field", "manifest-pod-security"}


@pytest.mark.parametrize("kind", ["NetworkPolicy", "ServiceAccount"])
@pytest.mark.parametrize("name", ["{{ .Release.Name }}", "evil"])
def test_a_chart_cannot_bring_the_platform_s_own_objects(kind: str, name: str) -> None:
    api = "networking.k8s.io/v1" if kind == "NetworkPolicy" else "v1"
    text = f"apiVersion: {api}\nkind: {kind}\nmetadata: {{name: '{name}'}}\n"
    found = findings_of(with_template(text))
    assert codes(found) == {"manifest-platform-owned"}
    for finding in found:
        assert kind in finding.message
        assert finding.location.file.startswith("environments/dev/order-router/base/")


@pytest.mark.parametrize("namespace", ["kube-system", "ameide-prod", "tenant-contoso-dev-cust"])
def test_an_object_cannot_choose_its_namespace(namespace: str) -> None:
    text = f"apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: evil, namespace: {namespace}}}\n"
    case = with_template(text)
    overlay = overlay_of(case, base_of(case), "dev")
    for item in built(overlay):
        metadata = item["metadata"]
        assert isinstance(metadata, dict)
        assert metadata["namespace"] == overlay.namespace


def test_a_chart_s_custom_resource_definition_is_reported() -> None:
    case = case_of(DRAFT)
    crd = (
        "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n"
        "metadata: {name: evils.example.com}\nspec: {}\n"
    )
    found = findings_of(replace(case, source={**case.source, "chart/crds/x.yaml": crd.encode()}))
    assert "manifest-kind" in codes(found)


def test_a_subchart_is_judged_too() -> None:
    case = case_of(DRAFT)
    below = {
        "chart/charts/sub/Chart.yaml": b"apiVersion: v2\nname: sub\nversion: 1.0.0\n",
        "chart/charts/sub/templates/evil.yaml": HOSTILE["a Secret"][0].encode(),
    }
    source = {path: c for path, c in case.source.items() if path != "chart/values.schema.json"}
    assert "manifest-kind" in codes(findings_of(replace(case, source={**source, **below})))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (HOSTILE["a Secret"][0] + "---\n" + HOSTILE["a Secret"][0], "twice"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {}\n", "without kind or metadata.name"),
        ("apiVersion: v1\nkind: List\nmetadata: {name: x}\nitems: []\n", "not be seen"),
        ("kind: ConfigMap\nmetadata: {name: ../../x}\n", "odd name"),
        ("{{ .Values.nothing.here }}", "cannot render"),
        ("{{ now }}", "calls `now`"),
        ("[1]", "cannot render"),
    ],
)
def test_a_chart_that_cannot_be_judged_is_refused(text: str, said: str) -> None:
    with pytest.raises(Unrenderable) as caught:
        base_of(with_template(text))
    assert said in caught.value.message


def test_values_that_the_chart_s_schema_refuses_are_explained() -> None:
    case = case_of(DRAFT)
    source = {
        **case.source,
        "chart/values.schema.json": b"""{
        "type": "object",
        "required": ["colour", "size"],
        "properties": {"image": {"type": "string"}}
    }""",
    }
    with pytest.raises(Unrenderable) as caught:
        base_of(replace(case, source=source))
    for word in ("colour", "size", "image"):
        assert word in caught.value.message
    assert "\n" not in caught.value.message
    assert "pipeline-" not in caught.value.message, "no temporary folder"


def test_a_primitive_without_a_chart_has_nothing_to_deploy() -> None:
    case = case_of(DRAFT)
    source = {path: c for path, c in case.source.items() if path != "chart/Chart.yaml"}
    with pytest.raises(Unrenderable, match="nothing to deploy"):
        base_of(replace(case, source=source))
