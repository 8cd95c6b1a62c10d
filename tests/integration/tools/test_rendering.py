"""helm, kustomize and kubeconform for real: canonical output, and hostile input refused."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pipeline.errors import CouldNotCheck
from pipeline.tools import helm
from pipeline.tools.helm import run_helm_lint, run_helm_template
from pipeline.tools.kubeconform import run_kubeconform
from pipeline.tools.kustomize import run_kustomize_build

CHART = b"apiVersion: v2\nname: router\nversion: 0.1.0\ndescription: d\nicon: https://x.invalid/i\n"
HEAD = b"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"


def render(template: bytes, **more: bytes) -> dict[str, bytes]:
    chart = {"Chart.yaml": CHART, "values.yaml": b"", "templates/a.yaml": template}
    return run_helm_template(
        {**chart, **{path.replace("__", "/"): content for path, content in more.items()}},
        release="router",
        values={"image": {"ref": "registry.example.com/router@sha256:1"}},
        kubernetes_version="1.34.0",
    )


def refusal_of(template: bytes, **more: bytes) -> str:
    with pytest.raises(CouldNotCheck) as caught:
        render(template, **more)
    return caught.value.message


def test_each_object_is_a_file_in_one_canonical_form() -> None:
    template = (
        b"# a comment\n" + HEAD + b'data: {b: "1", "on": yes, a: {{ .Values.image.ref }}}\n'
        b"---\n---\napiVersion: v1\nkind: Service\nmetadata:\n    name: router\n"
        b"    namespace: {{ .Release.Namespace }}\nspec: {ports: [{port: 80}]}\n"
    )
    assert render(template) == {
        "configmap-settings.yaml": (
            b"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: settings\ndata:\n"
            b'  b: "1"\n  "on": "yes"\n  a: registry.example.com/router@sha256:1\n'
        ),
        "service-router.yaml": (
            b"apiVersion: v1\nkind: Service\nmetadata:\n  name: router\n"
            b"spec:\n  ports:\n    - port: 80\n"
        ),
    }


def test_the_layout_of_a_template_does_not_matter() -> None:
    flow = HEAD + b"data: {a: 'x'}\n"
    block = (
        b'# c\nkind: ConfigMap\napiVersion: v1\nmetadata:\n      name: "settings"\ndata:\n  a: x\n'
    )
    [first], [second] = render(flow).values(), render(block).values()
    assert sorted(first.splitlines()) == sorted(second.splitlines())


def test_hooks_and_custom_resource_definitions_are_kept_to_be_judged() -> None:
    metadata = b"metadata: {name: j, annotations: {helm.sh/hook: pre-install}}\n"
    hook = b"apiVersion: batch/v1\nkind: Job\n" + metadata
    kind = b"apiVersion: v1\nkind: CustomResourceDefinition\nmetadata: {name: x.y}\n"
    files = render(hook, **{"crds__x.yaml": kind})
    assert sorted(files) == ["customresourcedefinition-x.y.yaml", "job-j.yaml"]
    assert b"helm.sh/hook: pre-install" in files["job-j.yaml"]


@pytest.mark.parametrize(
    "call",
    [
        "randAlphaNum 8",
        "now",
        'now | date "2006"',
        "uuidv4",
        'genCA "x" 1',
        'lookup "v1" "Secret" "" ""',
        'getHostByName "localhost"',
        '"x" | bcrypt',
        "randInt 1 9",
    ],
)
def test_functions_of_chance_and_time_are_refused(call: str) -> None:
    said = refusal_of(HEAD + f"data:\n  x: {{{{- {call} }}}}\n".encode())
    assert "templates/a.yaml line 5 calls" in said


def test_a_call_by_a_computed_name_is_refused() -> None:
    hidden = b'data:\n  x: {{ tpl (printf "{{ %s%s 12 }}" "rand" "AlphaNum") . }}\n'
    assert "calls `tpl`" in refusal_of(HEAD + hidden)


def test_a_file_s_text_cannot_become_a_template() -> None:
    hidden = b'data:\n  x: {{ tpl (.Files.Get "files/x.txt") . }}\n'
    assert "calls `tpl`" in refusal_of(HEAD + hidden, **{"files__x.txt": b"{{ now }}"})


def test_a_string_that_looks_like_the_end_of_an_action_hides_no_call() -> None:
    assert "calls `now`" in refusal_of(HEAD + b'data:\n  x: {{ print "}}" | now }}\n')


def test_a_chart_that_renders_something_else_the_second_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No function that a template may call does so; a helm that looks at the clock does.
    changing = tmp_path / "helm"
    changing.write_text("#!/bin/sh\nexec date +%s%N\n")
    changing.chmod(0o755)
    monkeypatch.setattr(helm, "find_tool", lambda _: changing)
    assert "something else each time" in refusal_of(HEAD)


@pytest.mark.parametrize(
    "path", ["charts/x.tgz", "charts/x-1.0.0.tar.gz", "x.txt", "charts/X/Chart.yaml", "Chart.lock"]
)
def test_an_unexpected_file_in_a_chart_is_refused(path: str) -> None:
    assert "is not a file of a chart" in refusal_of(HEAD, **{path.replace("/", "__"): b"x"})


def test_words_that_only_look_like_functions_are_accepted() -> None:
    template = (
        HEAD + b'data:\n  now: {{ default "now" .Values.now }}\n  randInt: "{{ .Values.lookup }}"\n'
    )
    assert b"now: now" in render(template)["configmap-settings.yaml"]


@pytest.mark.parametrize("function", ["env", "expandenv"])
def test_environment_variables_cannot_be_read(function: str) -> None:
    assert f"calls `{function}`" in refusal_of(
        HEAD + f'data: {{x: {{{{ {function} "HOME" }}}}}}\n'.encode()
    )


def test_files_beside_the_chart_cannot_be_read() -> None:
    template = HEAD + b'data:\n  x: {{ .Files.Get "../values-given.yaml" | quote }}\n'
    assert b'x: ""' in render(template)["configmap-settings.yaml"]


def test_the_namespace_may_appear_in_metadata_only() -> None:
    assert "holds the namespace" in refusal_of(HEAD + b"data: {x: {{ .Release.Namespace }}.svc}\n")


@pytest.mark.parametrize(
    ("template", "said"),
    [
        (HEAD + b"data: {x: '1', x: '2'}\n", "twice"),
        (HEAD + b"---\n" + HEAD, "ConfigMap/settings twice"),
        (HEAD + b"x: &a {y: z}\nw: *a\n", "aliases"),
        (HEAD + b"x: 0644\n", "base 8"),
        (HEAD + b"x: 1e400\n", "too large"),
        (HEAD + b"1: x\n", "not text"),
        (b"apiVersion: v1\nkind: List\nmetadata: {name: x}\nitems: []\n", "one by one"),
        (b"apiVersion: v1\nkind: A\nmetadata: {generateName: x-}\n", "without kind"),
        (b"apiVersion: v1\nkind: A/../B\nmetadata: {name: x}\n", "odd name"),
        (b"apiVersion: v1\nkind: A\nmetadata: {name: x/../y}\n", "odd name"),
        (b"", "renders nothing"),
        (b"{{ fail `no` }}", "no"),
        (b"{{", "opens an action that does not end"),
        (b'{{ define "f" }}{{ include "f" . }}{{ end }}{{ include "f" . }}', "cannot render"),
    ],
)  # fmt: skip
def test_ambiguous_yaml_is_refused(template: bytes, said: str) -> None:
    assert said in refusal_of(template)


def test_a_chart_with_dependencies_is_refused() -> None:
    dependency = b"dependencies: [{name: x, version: 1, repository: https://charts.invalid}]\n"
    for files in ({"Chart.yaml": CHART + dependency}, {"requirements.yaml": b"dependencies: []\n"}):
        with pytest.raises(CouldNotCheck, match=r"dependencies|not a file of a chart"):
            run_helm_template(
                {"Chart.yaml": CHART, "templates/a.yaml": HEAD, **files},
                release="r",
                values={},
                kubernetes_version="1.34.0",
            )


@pytest.mark.parametrize("path", ["../a.yaml", "/a.yaml", "templates//a.yaml", "a\\b"])
def test_a_chart_cannot_write_outside_its_output(path: str) -> None:
    with pytest.raises(CouldNotCheck, match=r"not a plain relative path|not a file of a chart"):
        run_helm_template(
            {"Chart.yaml": CHART, path: HEAD}, release="r", values={}, kubernetes_version="1.34.0"
        )


def test_the_caller_s_settings_do_not_reach_helm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = render(HEAD)
    for name, value in {
        "HELM_NAMESPACE": "elsewhere",
        "HELM_DEBUG": "true",
        "HELM_PLUGINS": str(tmp_path),
        "KUBECONFIG": str(tmp_path / "absent"),
        "TZ": "Asia/Tokyo",
    }.items():
        monkeypatch.setenv(name, value)
    before = os.umask(0o077)
    try:
        assert render(HEAD) == plain
    finally:
        os.umask(before)


def test_lint_reports_faults_and_nothing_else() -> None:
    good = {"Chart.yaml": CHART, "values.yaml": b"", "templates/a.yaml": HEAD}
    assert run_helm_lint(good, values={}) == ()
    bad = {**good, "Chart.yaml": b"apiVersion: v2\nname: router\n"}
    assert any("version" in line for line in run_helm_lint(bad, values={}))


OVERLAY = {
    "env/kustomization.yaml": b"namespace: tenant-acme-dev-cust\nresources: [base]\n",
    "env/base/kustomization.yaml": b"resources: [a.yaml]\n",
    "env/base/a.yaml": HEAD,
}


def test_an_overlay_is_built_from_its_files_alone() -> None:
    built = run_kustomize_build(OVERLAY, "env")
    assert b"namespace: tenant-acme-dev-cust" in built
    assert run_kustomize_build(dict(reversed(OVERLAY.items())), "env") == built


@pytest.mark.parametrize(
    "text",
    [
        "resources: ['https://example.invalid/a.yaml']",
        "resources: ['git@example.invalid:org/repo']",
        "resources: [github.com/org/repo]",
        "resources: ['org.invalid/repo?ref=main']",
        "resources: [/etc]",
        "resources: [../../outside]",
        "resources: [absent.yaml]",
        "resources: [{a: b}]",
        "resources: base",
        "bases: ['ssh://example.invalid/x']",
        "components: [gitlab.com/org/repo]",
        "generators: [base/a.yaml]",
        "transformers: [base/a.yaml]",
        "validators: [base/a.yaml]",
        "helmCharts: [{name: x}]",
        "openapi: {path: 'https://example.invalid'}",
        "configMapGenerator: [{name: x, files: [/etc/hostname]}]",
        "configMapGenerator: [{name: x, files: [../../../etc/hostname]}]",
        "patches: [{path: ../secret.yaml}]",
        "patches: [{path: 'https://example.invalid/p.yaml'}]",
        "patchesStrategicMerge: ['https://example.invalid/p.yaml']",
        "secretGenerator: [{name: x, envs: ['http://example.invalid/x']}]",
        "[]",
        "a: &x [*x]",
        "{",
    ],
)
@pytest.mark.parametrize("place", ["env/kustomization.yaml", "env/base/Kustomization"])
def test_an_overlay_with_references_outside_is_refused(text: str, place: str) -> None:
    files = {**OVERLAY, "secret.yaml": HEAD}
    if place.startswith("env/base"):
        del files["env/base/kustomization.yaml"]
    with pytest.raises(CouldNotCheck):
        run_kustomize_build({**files, place: text.encode()}, "env")


def test_building_an_overlay_makes_no_network_call() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        for text in (
            f"resources: ['{address}']",
            f"configMapGenerator: [{{name: x, files: ['a={address}']}}]",
            f"patches: [{{path: '{address}', target: {{kind: ConfigMap}}}}]",
        ):
            with pytest.raises(CouldNotCheck, match="would be fetched"):
                run_kustomize_build({**OVERLAY, "env/kustomization.yaml": text.encode()}, "env")
        with pytest.raises(BlockingIOError):
            server.accept()


def test_an_address_may_be_a_setting() -> None:
    text = b"configMapGenerator: [{name: x, literals: ['URL=https://example.invalid/a']}]\n"
    built = run_kustomize_build({**OVERLAY, "env/kustomization.yaml": text}, "env")
    assert b"URL: https://example.invalid/a" in built


SERVICE = b"apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: %s}]}\n"


def codes(manifests: bytes) -> list[str]:
    return [finding.code for finding in run_kubeconform(manifests, file="env")]


def test_valid_objects_have_no_findings() -> None:
    assert codes(SERVICE % b"80" + b"---\n" + HEAD) == []


@pytest.mark.parametrize(
    "manifests",
    [
        SERVICE % b"eighty",
        SERVICE % b"80, prot: 1",
        (SERVICE % b"80").replace(b"spec:", b"spac:"),
        HEAD + b"---\n" + SERVICE % b"-1, unknown: 1",
    ],
)
def test_an_object_that_does_not_fit_is_a_finding(manifests: bytes) -> None:
    assert codes(manifests) == ["manifest-schema"]


@pytest.mark.parametrize(
    "manifests",
    [
        b"apiVersion: example.com/v1\nkind: Unheard\nmetadata: {name: x}\n",
        b"apiVersion: v1\nmetadata: {name: x}\n",
        b"",
        b"# nothing\n",
        HEAD + b"data: {a: '1', a: '2'}\n",
    ],
)
def test_unchecked_objects_never_pass(manifests: bytes) -> None:
    assert codes(manifests) == ["manifest-not-checked"]


def test_missing_schemas_are_could_not_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.tools.kubeconform.tools_dirs", lambda: (tmp_path,))
    with pytest.raises(CouldNotCheck, match="schemas"):
        codes(HEAD)
