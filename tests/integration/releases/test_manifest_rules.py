"""Hostile manifests made from a real overlay's objects, and mutants of the allow-list.

helm and kustomize render the objects from the shared chart; each hostile manifest changes one of
them. A rule that refused everything would fail on the object without the change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from functools import cache

import pytest

from pipeline.releases.allowlist import load_allowed
from pipeline.releases.folder import check_overlay_files
from pipeline.releases.rules import MOST_REFUSALS, Target, check_objects
from pipeline.rules import load_rules
from pipeline.tools.kubeconform import run_kubeconform
from pipeline.tools.kustomize import run_kustomize_build
from pipeline.tools.podcheck import run_podcheck
from pipeline.tools.rendered import parse_rendered
from pipeline.world.hydrate import Hydrator
from tests.integration.releases.test_runtime_operator import base_of, overlay_of, own_chart
from tests.manifests.cases import hostile_object, objects_by_kind, read_hostile, read_mutants
from tests.support.bindings import Object

HOSTILE = read_hostile()
# Judged by tools or by other functions, which have tests of their own.
_ELSEWHERE = {
    "manifest-kind",
    "manifest-malformed",
    "manifest-not-checked",
    "manifest-not-rendered",
    "manifest-pod-security",
    "manifest-schema",
}


@cache
def overlay():  # type: ignore[no-untyped-def]
    return overlay_of(base_of(own_chart("domain"), Hydrator()), "dev", "workload")


@cache
def target() -> Target:
    return Target("overlay", overlay().bound)


@cache
def objects() -> dict[str, Object]:
    files = {f"{overlay().folder}/{path}": c for path, c in overlay().files.items()}
    built = parse_rendered(run_kustomize_build(files, overlay().folder))
    return objects_by_kind(built, overlay().bound)


def test_every_allowed_kind_is_present_and_passes() -> None:
    found = objects()
    assert set(found) == {kind for _, kind in load_allowed().kinds}
    assert list(check_objects([*found.values()], target())) == []
    assert run_podcheck([*found.values()], file="overlay") == ()


@pytest.mark.parametrize("case", HOSTILE, ids=str)
def test_a_hostile_object_is_refused_by_name_and_field(case) -> None:  # type: ignore[no-untyped-def]
    item = hostile_object(objects(), case)
    found = list(check_objects([item], target()))
    assert case.rule in {finding.code for finding in found}
    [first] = [f for f in found if f.code == case.rule][:1]
    assert first.message.startswith(f"{case.kind}/") and "`" in first.message
    assert any(word in first.message for word in ("allowed", "required"))


def test_hostile_objects_are_many_and_all_different() -> None:
    assert len({str((h.kind, h.path, h.value)) for h in HOSTILE}) == len(HOSTILE) >= 120


def test_each_entry_of_the_allow_list_is_needed(
    record_property: Callable[[str, object], None],
) -> None:
    """A mutant is the allow-list with one entry loosened; some hostile object has to pass by it."""
    items = [hostile_object(objects(), case) for case in HOSTILE]
    by_kind = defaultdict(list)
    for item in items:
        by_kind[(item["apiVersion"], item["kind"])].append(item)
    allowed = load_allowed()
    survivors, count = [], 0
    for name, mutant in read_mutants(allowed):
        count += 1
        changed = [key for key, kind in mutant.kinds.items() if kind != allowed.kinds[key]]
        if not any(
            not list(check_objects([item], target(), mutant))
            for key in changed
            for item in by_kind[key]
        ):
            survivors.append(name)
    summary = f"rules {count}, mutants killed {count - len(survivors)}"
    print(summary)
    record_property("mutants", summary)
    assert survivors == []


def test_each_rule_alone_refuses_some_hostile_object() -> None:
    kept = set()
    for case in HOSTILE:
        found = check_objects([hostile_object(objects(), case)], target())
        codes = {finding.code for finding in found}
        kept |= codes if len(codes) == 1 else set()
    rules = {id for id in load_rules() if id.startswith("manifest-")}
    assert kept == rules - _ELSEWHERE


def test_a_manifest_with_a_thousand_foreign_fields_gives_few_lines() -> None:
    item = {**objects()["Service"], **{f"x{number}": 1 for number in range(1000)}}
    found = list(check_objects([item], target()))
    assert len(found) == MOST_REFUSALS + 1
    assert found[-1].message.endswith(f"{1000 - MOST_REFUSALS} further fields are not allowed")


def test_kubernetes_own_code_refuses_hostile_pods_too() -> None:
    wanted = {
        "P.hostPID": "host namespaces",
        "C.securityContext.privileged": "privileged",
        "C.ports[0].hostPort": "hostPort",
        "P.securityContext.sysctls": "forbidden sysctls",
    }
    for path, reason in wanted.items():
        [case] = [h for h in HOSTILE if h.path == path and h.kind == "Deployment"]
        found = run_podcheck([hostile_object(objects(), case)], file="overlay")
        assert any(reason in finding.message for finding in found), path
        assert {finding.code for finding in found} == {"manifest-pod-security"}


# -- the folder of an overlay -------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        ".argocd-source.yaml",
        ".argocd-source-order-router.yaml",
        "kustomization.yml",
        "Kustomization",
        "Chart.yaml",
        "base/.argocd-source.yaml",
        "base/deeper/deployment-order-router.yaml",
        "base/operator/Kustomization",
        "base/plugin.so",
        "other/deployment-order-router.yaml",
        "main.jsonnet",
        "a\x1b[31m.yaml",
    ],
)
def test_a_foreign_file_in_an_overlay_is_refused(path: str) -> None:
    found = [*check_overlay_files(replace(overlay(), files={**overlay().files, path: b"a: b\n"}))]
    assert {finding.code for finding in found} == {"overlay-file"}
    assert all("\x1b" not in finding.message for finding in found)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"  - base\n", b"  - base\n  - https://github.com/contoso/x?ref=main\n"),
        (b"  - base\n", b"  - github.com/contoso/x\n"),
        (b"  - base\n", b"  - ../order-desk\n"),
        (b"resources:", b"components: [x]\nresources:"),
        (b"resources:", b"patches: [{patch: x}]\nresources:"),
        (b"resources:", b"helmCharts: [{name: x}]\nresources:"),
        (b"tenant-acme-dev-cust", b"ameide-dev"),
        (b"order-router-environment", b"order-desk-environment"),
        (b"kind: Kustomization", b"kind: Component"),
    ],
)
def test_a_kustomization_of_another_form_is_refused(old: bytes, new: bytes) -> None:
    there = overlay().files["kustomization.yaml"]
    assert old in there
    files = {**overlay().files, "kustomization.yaml": there.replace(old, new, 1)}
    assert "overlay-file" in {f.code for f in check_overlay_files(replace(overlay(), files=files))}


@pytest.mark.parametrize("folder", ["base", "base/operator"])
def test_a_base_lists_exactly_the_files_beside_it(folder: str) -> None:
    path = f"{folder}/kustomization.yaml"
    more = overlay().files[path] + b"  - https://example.invalid/x.yaml\n"
    [finding] = check_overlay_files(replace(overlay(), files={**overlay().files, path: more}))
    assert finding.code == "overlay-file" and path in finding.location.file


def test_a_rendered_overlay_has_only_allowed_files() -> None:
    assert list(check_overlay_files(overlay())) == []
    assert run_kubeconform(b"", file="x") != ()
