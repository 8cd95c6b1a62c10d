"""The portal's catalogue: valid in Backstage, complete, up to date, without tenants' code."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.plan.effects import EnsureRepo
from pipeline.render.catalogue import FOLDER, render_catalogue, render_repository_entry
from pipeline.requests.layout import draft_path, tenant_path
from pipeline.stages.provision import plan_provision
from tests.support.backstage import ROOT, problems_of
from tests.support.command_line import call
from tests.support.samples import sample_files, sample_platform, snapshot_and_findings
from tests.support.views import sample_view

Entity = dict[str, Any]


def render(files: Mapping[str, bytes]) -> dict[str, bytes]:
    snapshot, _ = snapshot_and_findings(files)
    return render_catalogue(snapshot, sample_platform())


def entities_of(rendered: Mapping[str, bytes]) -> list[Entity]:
    return [entity for text in rendered.values() for entity in yaml.safe_load_all(text)]


def ref(entity: Entity) -> str:
    return f"{entity['kind']}:{entity['metadata']['name']}".lower()


SAMPLES = render(sample_files())


def test_backstage_accepts_every_entity() -> None:
    entities = entities_of(SAMPLES)
    assert len(entities) > 15
    assert problems_of(entities) == []
    broken = {**entities[0], "spec": {"targets": "./groups.yaml"}}
    assert len(problems_of([broken])) == 1, "else nothing was judged"


def test_no_two_entities_have_one_name() -> None:
    refs = [ref(entity) for entity in entities_of(SAMPLES)]
    assert len(set(refs)) == len(refs)


def test_every_reference_of_an_entity_resolves() -> None:
    entities = entities_of(SAMPLES)
    refs = {ref(entity) for entity in entities}
    for entity in entities:
        spec = entity["spec"]
        for field, kind in (("owner", "group"), ("domain", "domain"), ("subdomainOf", "domain")):
            if field in spec:
                assert f"{kind}:{spec[field]}" in refs
    for tenant in ("acme", "contoso", "fabrikam", "platform"):
        assert f"system:{tenant}" in refs


def test_each_code_repository_is_listed_once() -> None:
    targets = [e["spec"]["target"] for e in entities_of(SAMPLES) if "target" in e["spec"]]
    assert sorted(targets) == [
        f"https://github.com/ameide/{repo}/blob/main/catalog-info.yaml"
        for repo in (
            "ameide-platform",
            "tenant-acme-controllers",
            "tenant-contoso-controllers",
            "tenant-fabrikam-controllers",
        )
    ]
    only_tenants = {p: c for p, c in sample_files().items() if "/drafts/" not in p}
    assert not [e for e in entities_of(render(only_tenants)) if "target" in e["spec"]]
    own = draft_path("acme/shipment-tracker")
    one = entities_of(render({**only_tenants, own: sample_files()[own]}))
    [location] = [e for e in one if "target" in e["spec"]]
    assert location["metadata"]["name"] == "tenant-acme-controllers"


def test_the_platform_s_catalogue_lists_no_primitive() -> None:
    assert {e["kind"] for e in entities_of(SAMPLES)} == {"Location", "Group", "Domain", "System"}


def test_the_order_of_files_does_not_matter() -> None:
    assert render(dict(reversed(sample_files().items()))) == SAMPLES


def test_the_catalogue_of_this_repository_is_fresh() -> None:
    there = {
        path.relative_to(ROOT / FOLDER).as_posix(): path.read_bytes()
        for path in (ROOT / FOLDER).rglob("*")
        if path.is_file()
    }
    assert there == SAMPLES, "run `make docs`"


# -- the tenants' own repositories --------------------------------------------------------


@pytest.mark.parametrize("draft", ["acme/shipment-tracker", "contoso/inventory"])
def test_a_new_repository_of_code_lists_its_primitives(draft: str) -> None:
    step = plan_provision(sample_view(draft))
    assert step is not None
    code, gitops = (e for e in step.effects if isinstance(e, EnsureRepo))
    assert "catalog-info.yaml" not in gitops.files
    entity = yaml.safe_load(code.files["catalog-info.yaml"].text or "")
    assert entity["spec"] == {"targets": ["./primitives/*/catalog-info.yaml"]}
    assert problems_of([entity]) == []
    assert ref(entity) not in {ref(e) for e in entities_of(SAMPLES)}


def test_names_fit_with_the_longest_tenant_and_platform() -> None:
    id = "t" * 40
    tenant = sample_files()[tenant_path("acme")].replace(
        b"tenant_id: acme", b"tenant_id: " + id.encode()
    )
    own = draft_path("acme/shipment-tracker")
    draft = sample_files()[own].replace(b"acme", id.encode())
    files = {
        **{p: c for p, c in sample_files().items() if not p.startswith("tenants/acme/")},
        tenant_path(id): tenant,
        own.replace("acme", id): draft,
    }
    entities = entities_of(render(files))
    assert f"location:tenant-{id}-controllers" in {ref(e) for e in entities}
    entities.append(yaml.safe_load(render_repository_entry(f"tenant-{id}-controllers", "them")))
    entities.append(yaml.safe_load(render_repository_entry(f"{'p' * 20}-platform", "us")))
    assert problems_of(entities) == []


# -- the command --------------------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """The samples as a checkout of their own."""
    for path, content in sample_files().items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(content)
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    return tmp_path


def test_the_command_writes_missing_files_and_then_nothing(checkout: Path) -> None:
    first = call(checkout, "catalog")
    assert first.exit_code == 0 and "wrote    tenants/acme.yaml\n" in first.out
    written = {p: (checkout / FOLDER / p).read_bytes() for p in SAMPLES}
    assert written == SAMPLES
    again = call(checkout, "catalog", "--format", "json")
    assert json.loads(again.out)["changed"] == []
    assert call(checkout, "catalog", "--check").exit_code == 0


def test_a_removed_tenant_leaves_the_catalogue(checkout: Path) -> None:
    call(checkout, "catalog")
    (checkout / FOLDER / "notes.md").write_text("Kept\n")
    shutil.rmtree(checkout / "tenants" / "fabrikam")
    stale = call(checkout, "catalog", "--check")
    assert stale.exit_code == 1 and "tenants/fabrikam.yaml" in stale.out
    assert (checkout / FOLDER / "tenants" / "fabrikam.yaml").exists(), "a check writes nothing"
    assert call(checkout, "catalog").exit_code == 0
    assert not (checkout / FOLDER / "tenants" / "fabrikam.yaml").exists()
    assert (checkout / FOLDER / "notes.md").exists()


def test_the_output_folder_can_be_chosen(checkout: Path, tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    assert call(checkout, "catalog", "--out", str(target)).exit_code == 0
    assert (target / "tenants" / "acme.yaml").read_bytes() == SAMPLES["tenants/acme.yaml"]
    assert not (checkout / FOLDER).exists()


def test_invalid_requests_write_nothing(checkout: Path) -> None:
    (checkout / tenant_path("acme")).write_text("kind: Tenant\n")
    refused = call(checkout, "catalog")
    assert refused.exit_code == 2 and "pipeline validate" in refused.err
    assert not (checkout / FOLDER).exists()


def test_policy_can_name_another_forge() -> None:
    platform = sample_platform().model_copy(update={"forge_url": "https://git.example.invalid/x"})
    snapshot, _ = snapshot_and_findings(sample_files())
    text = b"".join(render_catalogue(snapshot, platform).values())
    assert b"https://git.example.invalid/x/ameide/tenant-acme-controllers/blob/main/" in text
    assert b"github.com" not in text
