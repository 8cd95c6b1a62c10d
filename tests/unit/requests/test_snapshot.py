"""The snapshot: each file's form is judged alone, and a change loads only what it needs."""

from __future__ import annotations

import pytest

from pipeline.models.requests import DraftPatch, Tenant
from pipeline.requests.identity import draft_example
from pipeline.requests.kinds import parse_request, request_path
from pipeline.requests.layout import (
    draft_path,
    environment_path,
    patch_path,
    promotion_path,
    tenant_path,
)
from pipeline.requests.snapshot import paths_needed_by, snapshot_of
from tests.support.samples import sample_files

POLICY = {
    "environments/platform.yaml",
    "environments/blocked-digests.yaml",
    "environments/dev/environment.yaml",
    "environments/staging/environment.yaml",
    "environments/prod/environment.yaml",
}
ACME, CONTOSO = tenant_path("acme"), tenant_path("contoso")
DRAFT, OTHER = draft_path("acme/a"), draft_path("acme/b")
PATCH, PROMOTION = patch_path("acme/a", "0001"), promotion_path("acme/a", "dev")
FOREIGN = draft_path("contoso/a")
BLOBS = dict.fromkeys([*POLICY, ACME, CONTOSO, DRAFT, OTHER, PATCH, PROMOTION, FOREIGN], "0" * 40)


@pytest.mark.parametrize(
    ("changed", "needed"),
    [
        ([], set()),
        ([OTHER], {ACME, OTHER}),
        ([DRAFT], {ACME, DRAFT, PATCH, PROMOTION}),
        ([PATCH], {ACME, DRAFT, PATCH}),
        ([PROMOTION], {ACME, DRAFT, PROMOTION}),
        ([ACME], {ACME, DRAFT, OTHER, PATCH, PROMOTION}),
        ([OTHER, FOREIGN], {ACME, OTHER, CONTOSO, FOREIGN}),
        # Removed, or never a request: nothing to load but what it belonged to.
        ([patch_path("acme/a", "0009")], {ACME, DRAFT}),
        ([draft_path("acme/gone")], {ACME}),
        ([tenant_path("gone")], set()),
        (["README.md", "tenants/x"], set()),
    ],
)
def test_a_change_loads_itself_and_what_judges_it(changed: list[str], needed: set[str]) -> None:
    assert paths_needed_by(changed, BLOBS) == needed | POLICY


@pytest.mark.parametrize("path", sorted(POLICY))
def test_a_change_of_policy_loads_everything(path: str) -> None:
    assert paths_needed_by([path], BLOBS) == set(BLOBS)
    assert paths_needed_by(["environments/qa/environment.yaml"], BLOBS) == set(BLOBS)


def test_a_deleted_draft_loads_its_remaining_patches() -> None:
    blobs = {path: id for path, id in BLOBS.items() if path != DRAFT}
    assert paths_needed_by([DRAFT], blobs) == POLICY | {ACME, PATCH, PROMOTION}


def test_a_misplaced_tenant_file_names_no_tenant() -> None:
    files = {**BLOBS, "tenants/acme/drafts/tenant.yaml": "", "tenants/tenant.yaml": ""}
    assert snapshot_of("c" * 40, files, ()).tenant_ids == {"acme", "contoso"}


def test_the_path_decides_the_kind() -> None:
    read, findings = parse_request(draft_path("acme/order-router"), draft_example().encode())
    assert findings == () and read is not None and read.model is not None
    assert read.meaning.draft == "acme/order-router"


@pytest.mark.parametrize(
    ("path", "content", "codes"),
    [
        ("tenants/acme/notes.txt", b"kind: Tenant\n", ["path-unknown"]),
        ("tenants/acme/tenant.yaml", b"kind: [Tenant\n", ["yaml-syntax"]),
        ("tenants/acme/tenant.yaml", b"kind: Tenantt\n", ["request-kind"]),
        ("tenants/acme/tenant.yaml", b"tenant_id: acme\n", ["request-kind"]),
        ("tenants/acme/tenant.yaml", b"kind: null\n", ["request-kind"]),
        ("tenants/acme/tenant.yaml", b"- kind: Tenant\n", ["yaml-not-a-mapping"]),
    ],
)
def test_a_bad_form_is_refused_with_its_place(path: str, content: bytes, codes: list[str]) -> None:
    read, findings = parse_request(path, content)
    assert [f.code for f in findings] == codes
    assert read is None or read.model is None
    assert findings[0].location.file == path


def test_lists_are_tuples_and_nothing_is_converted() -> None:
    path = tenant_path("acme")
    content = sample_files()[path]
    read, _ = parse_request(path, content)
    assert read is not None and isinstance(read.model, Tenant)
    assert read.model.owners == ("acme-engineers",)
    for wrong in (b"custom_code: 1", b'custom_code: "true"', b"custom_code: yes"):
        _, findings = parse_request(path, content.replace(b"custom_code: true", wrong))
        assert [f.code for f in findings] == ["request-wrong-type"]


PATCH_TEXT = """apiVersion: pipeline.ameide.io/v1
kind: DraftPatch
draft: acme/order-router
base_commit: 0123456789abcdef0123456789abcdef01234567
summary: Patch {}
changes:
  - {{op: write, path: src/a.py, content: x}}
"""


def _environment(name: str, stage: str, *sources: str) -> str:
    return (
        f"apiVersion: pipeline.ameide.io/v1\nkind: Environment\nenvironment: {name}\n"
        f"stage: {stage}\npromotes_from: [{', '.join(sources)}]\n"
    )


def test_requests_of_a_draft_are_in_order() -> None:
    files = {
        draft_path("acme/order-router"): draft_example(),
        environment_path("zero"): _environment("zero", "dev"),
        environment_path("one"): _environment("one", "staging", "zero"),
        environment_path("a-two"): _environment("a-two", "prod", "one"),
        **{
            patch_path("acme/order-router", number): PATCH_TEXT.format(number)
            for number in ("0010", "0002", "0001")
        },
        **{
            promotion_path("acme/order-router", env): (
                "apiVersion: pipeline.ameide.io/v1\nkind: Promotion\ndraft: acme/order-router\n"
                f"environment: {env}\nreason: Try it\n"
                "release: {source_commit: 0123456789abcdef0123456789abcdef01234567}\n"
            )
            for env in ("a-two", "gone", "one", "zero")
        },
    }
    reads = [parse_request(path, text.encode())[0] for path, text in files.items()]
    snapshot = snapshot_of("c" * 40, dict.fromkeys(files, "0" * 40), [r for r in reads if r])
    patches = snapshot.patches_of("acme/order-router")
    assert [p.meaning.name for p in patches] == ["0001", "0002", "0010"]
    assert all(isinstance(p.model, DraftPatch) for p in patches)
    found = snapshot.promotions_of("acme/order-router")
    assert list(snapshot.environments) == ["zero", "one", "a-two"]
    assert [p.meaning.name for p in found] == ["zero", "one", "a-two", "gone"]
    assert snapshot.drafts_of("acme") == ("acme/order-router",)
    assert snapshot.drafts_of("ac") == ()


def test_an_invalid_request_is_kept_without_a_model() -> None:
    path = tenant_path("acme")
    read, findings = parse_request(path, b"kind: Tenant\n")
    assert read is not None and findings
    snapshot = snapshot_of("c" * 40, {path: "0" * 40}, [read])
    assert snapshot.tenant("acme") is None and snapshot.tenant_ids == {"acme"}
    assert snapshot.platform is None and snapshot.environments == {}
    assert snapshot.blocked_digests == frozenset()


@pytest.mark.parametrize(
    "path",
    [
        "environments/platform.yaml\n",
        "tenants/acme/drafts/a/patches/00001.yaml",
        "tenants/acme/drafts/a/patches/\u0660\u0660\u0660\u0661.yaml",
        "tenants/acme//tenant.yaml",
        "./tenants/acme/tenant.yaml",
        "x/tenants/acme/tenant.yaml",
        "tenants/acme/tenant.yaml/",
        "",
    ],
)
def test_odd_paths_are_not_request_paths(path: str) -> None:
    assert request_path(path) is None
