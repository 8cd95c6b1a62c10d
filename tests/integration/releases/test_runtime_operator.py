"""Environments in which an operator runs primitives: the same release, in its other form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.documents import render_document
from pipeline.errors import Unrenderable
from pipeline.git.objects import MODE_FILE, tree_id_of_files
from pipeline.models.base import TreeId
from pipeline.models.facts import Release
from pipeline.models.requests import EnvironmentName
from pipeline.releases.overlays import Overlay, base_tree_of, has_runtime, render_overlay
from pipeline.requests.layout import patch_path
from pipeline.tools.kustomize import run_kustomize_build
from pipeline.world.hydrate import Hydrator, read_runtimes
from tests.support import fact_history as history
from tests.support import finished_story as audit_world
from tests.support.charts import TYPES, chart_of, values_of
from tests.support.finished_story import (
    CODE,
    CONTROL,
    GITOPS,
    StoryWorld,
    patch_file,
    promote,
    run_acme,
)
from tests.support.samples import (
    DRAFT,
    ENVIRONMENTS,
    sample_environment,
    sample_platform,
    sample_tenant,
)

STATUS = history.sample_status()
IMAGE = f"{STATUS.image}@{history.DIGEST}"
# Charts without the value `runtime`, as the first golden template made them.
OLD_CHART = {
    "Chart.yaml": b"apiVersion: v2\nname: order-router\nversion: 0.1.0\n",
    "values.schema.json": b'{"properties": {"image": {"type": "object"}},'
    b' "additionalProperties": false}',
    "templates/config.yaml": b"apiVersion: v1\nkind: ConfigMap\n"
    b"metadata: {name: '{{ .Release.Name }}-a'}\n",
}


def base_of(chart: Mapping[str, bytes], hydrator: Hydrator | None = None) -> dict[str, bytes]:
    """`base/` of a chart, hydrated as a release's."""
    source = {f"chart/{path}": content for path, content in chart.items()}
    tree = tree_id_of_files({path: (MODE_FILE, content) for path, content in source.items()})
    return (hydrator or Hydrator()).read_base(
        tree, source, release=STATUS.instance, image=IMAGE, kubernetes_version="1.34.0"
    )


def own_chart(type: str) -> dict[str, bytes]:
    """The chart of a type, of the draft that `STATUS` is about."""
    return chart_of(type, instance=STATUS.instance)


def overlay_of(base: Mapping[str, bytes], environment: EnvironmentName, runtime: str) -> Overlay:
    """The overlay of a release in an environment with that runtime."""
    release = Release(
        source_commit=history.SOURCE_COMMIT,
        source_tree=TreeId(history.id_of("tree")),
        digest=history.DIGEST,
        base_tree=base_tree_of(base),
    )
    policy = sample_environment(environment).model_copy(update={"runtime": runtime})
    return render_overlay(STATUS, sample_tenant("acme"), sample_platform(), policy, release, base)


def built(overlay: Overlay) -> dict[str, dict[str, object]]:
    """Kind → object that a delivery tool would apply."""
    files = {f"{overlay.folder}/{path}": content for path, content in overlay.files.items()}
    objects = list(yaml.safe_load_all(run_kustomize_build(files, overlay.folder)))
    found = {str(item["kind"]): item for item in objects}
    found["ConfigMap"] = next(
        item for item in objects if item["metadata"]["name"] == "order-router-environment"
    )
    return found


@pytest.mark.parametrize("type", TYPES)
def test_a_custom_resource_is_valid(type: str) -> None:
    hydrator = Hydrator()
    base = base_of(own_chart(type), hydrator)
    for environment in ENVIRONMENTS:
        overlay = overlay_of(base, environment, "operator")
        assert hydrator.read_findings(overlay, STATUS.image) == ()
        objects = built(overlay)
        kind = values_of(type)["resource"]["kind"]
        assert set(objects) == {kind, "ConfigMap"}
        for item in objects.values():
            metadata = item["metadata"]
            assert isinstance(metadata, dict)
            assert metadata["namespace"] == f"tenant-acme-{environment}-cust"
            assert metadata["labels"]["ameide.io/environment"] == environment
            assert metadata["labels"]["ameide.io/tenant-id"] == "acme"
        spec, settings = objects[kind]["spec"], objects["ConfigMap"]["data"]
        assert isinstance(spec, dict) and isinstance(settings, dict)
        assert spec["image"] == IMAGE
        assert spec["envFrom"][0]["configMapRef"]["name"] == "order-router-environment"
        assert settings["AMEIDE_ENVIRONMENT"] == environment


@pytest.mark.parametrize("type", TYPES)
def test_the_base_is_one_tree_whatever_runs_it(type: str) -> None:
    hydrator = Hydrator()
    base = base_of(own_chart(type), hydrator)
    bases = set()
    for runtime in ("workload", "operator"):
        overlay = overlay_of(base, "dev", runtime)
        assert hydrator.read_findings(overlay, STATUS.image) == ()
        below = {p: (MODE_FILE, c) for p, c in overlay.files.items() if p.startswith("base/")}
        bases.add(tree_id_of_files(below))
        assert ("Deployment" in built(overlay)) is (runtime == "workload")
    assert len(bases) == 1
    assert overlay_of(base, "dev", "workload").tree != overlay_of(base, "dev", "operator").tree


def test_the_image_of_the_custom_resource_is_judged() -> None:
    """kustomize's `images:` does not reach a custom resource, so the base itself must be right."""
    hydrator = Hydrator()
    base = base_of(own_chart("domain"), hydrator)
    path = "operator/domain-order-router.yaml"
    other = base[path].replace(history.DIGEST.encode(), history.digest_of("x").encode())
    assert other != base[path]
    overlay = overlay_of({**base, path: other}, "dev", "operator")
    assert {f.code for f in hydrator.read_findings(overlay, STATUS.image)} == {"manifest-image"}


def test_a_custom_resource_that_its_definition_refuses_is_not_promoted() -> None:
    values = values_of("agent", instance=STATUS.instance)
    values["resource"]["spec"]["riskTier"] = "NONE"
    hydrator = Hydrator()
    base = base_of(chart_of("agent", values), hydrator)
    workload, operator = (overlay_of(base, "dev", runtime) for runtime in ("workload", "operator"))
    assert hydrator.read_findings(workload, STATUS.image) == ()
    found = hydrator.read_findings(operator, STATUS.image)
    assert {f.code for f in found} == {"manifest-value", "manifest-schema"}
    assert all("riskTier" in f.message for f in found)


def test_a_chart_with_one_form_is_hydrated() -> None:
    base = base_of(OLD_CHART)
    assert set(base) == {"configmap-order-router-a.yaml", "kustomization.yaml"}
    overlay = overlay_of(base, "dev", "workload")
    assert Hydrator().read_findings(overlay, STATUS.image) == ()
    assert not has_runtime(overlay.files, "operator")
    with pytest.raises(Unrenderable):
        Hydrator().read_findings(overlay_of(base, "dev", "operator"), STATUS.image)


@pytest.mark.parametrize("form", ["workload", "operator"])
def test_the_form_that_fails_to_render_is_named(form: str) -> None:
    broken = f'{{{{- if eq .Values.runtime "{form}" }}}}{{{{ fail "no" }}}}{{{{ end }}}}\n'
    with pytest.raises(Unrenderable, match=f"^as {form}: "):
        base_of({**chart_of("domain"), "templates/broken.yaml": broken.encode()})


@pytest.mark.parametrize(
    ("schema", "known"),
    [
        (b'{"properties": {"runtime": {"enum": ["workload", "operator"]}}}', 2),
        (b'{"properties": {"runtime": {"enum": ["workload"]}}}', 1),
        (b'{"properties": {"runtime": {"type": "string"}}}', 0),
        (b'{"properties": {"runtime": true}}', 0),
        (b'{"properties": []}', 0),
        (b"[1]", 0),
        (b"{", 0),
        (b"\xff", 0),
    ],
)
def test_a_chart_offers_the_forms_that_its_schema_lists(schema: bytes, known: int) -> None:
    assert len(read_runtimes({"values.schema.json": schema})) == known


# -- the whole way ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> StoryWorld:
    """A draft in a world whose dev is run by an operator from now on."""
    world = audit_world.tell_story(tmp_path_factory.mktemp("story") / "world")
    path = "environments/dev/environment.yaml"
    policy = world.forge.open_repository(CONTROL).read_object(f"refs/heads/main:{path}")
    assert policy is not None
    by_operator = policy.content.replace(
        b"kind: Environment\n", b"kind: Environment\nruntime: operator\n"
    )
    approver, asker = history.PLATFORM_ENGINEERS
    world.request(path, by_operator, approver, asker=asker)
    return world


def take_up_chart(world: StoryWorld) -> None:
    """Patch the draft: the shared chart in place of the one it has."""
    head = world.engine.status(DRAFT).head
    git = world.forge.open_repository(CODE)
    chart = {f"chart/{path}": content for path, content in own_chart("domain").items()}
    there = [p for p in git.list_files(head, "primitives/order-router") if p.startswith("chart/")]
    gone = [{"op": "delete", "path": path} for path in there if path not in chart]
    written = [{"op": "write", "path": p, "content": c.decode()} for p, c in chart.items()]
    request = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "DraftPatch",
        "draft": DRAFT,
        "base_commit": head,
        "summary": "Take up the shared chart",
        "changes": [*gone, *written],
    }
    world.request(patch_path(DRAFT, "0002"), render_document(request), history.ENGINEER_ID)
    run_acme(world)


def test_a_chart_without_the_operator_s_form_is_refused_where_one_runs(
    story: StoryWorld, tmp_path: Path
) -> None:
    world = audit_world.copy_of(story, tmp_path / "world")
    world.use(hydrator=Hydrator())
    patch_file(world, "0002", "chart/values.schema.json", '{"type": "object"}\n')
    promote(world, "dev", history.ENGINEER_ID)
    [refused] = world.engine.status(DRAFT).refused_promotions
    assert [reason.code for reason in refused.reasons] == ["runtime-not-offered"]


def test_a_chart_with_both_forms_runs_where_an_operator_does(
    story: StoryWorld, tmp_path: Path
) -> None:
    world = audit_world.copy_of(story, tmp_path / "world")
    world.use(hydrator=Hydrator())
    take_up_chart(world)
    promote(world, "dev", history.ENGINEER_ID)
    status = world.engine.status(DRAFT)
    assert status.refused_promotions == ()
    git = world.forge.open_repository(GITOPS)
    files = git.read_files("refs/heads/main", "environments/dev/order-router")
    kustomization = yaml.safe_load(files["kustomization.yaml"][1])
    assert kustomization["resources"] == ["base/operator"]
    resource = yaml.safe_load(files["base/operator/domain-order-router.yaml"][1])
    promoted = next(p for p in status.promotions if p.environment == "dev")
    assert resource["spec"]["image"] == f"{status.image}@{promoted.release.digest}"
    assert audit_world.audit(world).findings == ()


def test_rendering_a_release_twice_runs_the_tools_once(monkeypatch: pytest.MonkeyPatch) -> None:
    hydrator = Hydrator()
    base = base_of(own_chart("ui"), hydrator)
    monkeypatch.setattr("pipeline.tools.helm.run_helm_template", None)
    assert base_of(own_chart("ui"), hydrator) is base
    moved = replace(overlay_of(base, "dev", "operator"), namespace="ameide-dev")
    assert "manifest-namespace" in {f.code for f in hydrator.read_findings(moved, STATUS.image)}
