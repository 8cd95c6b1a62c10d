"""The drafts of two tenants never mix: not in plans, not in repositories, not in any field."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pipeline.diagnostics import Verdict, verdict_of
from pipeline.documents import parse_document, render_document
from pipeline.forges.local.forge import LocalForge
from pipeline.plan.effects import AppendFacts, Effect
from pipeline.requests.identity import draft_example
from pipeline.requests.layout import draft_path, patch_path, promotion_path, tenant_path
from tests.support.fact_history import AGENT_ID, ENGINEER_ID
from tests.support.finished_story import ORGANISATION
from tests.support.samples import DRAFT, findings_of, sample_files
from tests.support.story import Story, patch_of
from tests.support.sweep import CONTOSO_AGENT_ID, CONTOSO_ENGINEER_ID

RATING = "contoso/order-router"  # the same primitive's name: only the tenant differs
BOTS = {"acme": AGENT_ID, "contoso": CONTOSO_AGENT_ID}
ENGINEERS = {"acme": ENGINEER_ID, "contoso": CONTOSO_ENGINEER_ID}


def draft_of(draft: str) -> bytes:
    """The request of a draft of either tenant."""
    tenant, primitive = draft.split("/")
    return draft_example(draft, tenant, primitive).replace("acme", tenant).encode()


def ask(world: Story, draft: str) -> None:
    """Bring a draft's request by its tenant's own bot and engineer."""
    tenant = draft.split("/")[0]
    world.request(draft_path(draft), draft_of(draft), ENGINEERS[tenant], asker=BOTS[tenant])


def promote(world: Story, draft: str) -> None:
    """Ask for dev by the tenant's own people."""
    tenant = draft.split("/")[0]
    proposal = world.engine.propose_promotion(draft, "dev", reason="Try it")
    value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
    path = promotion_path(draft, "dev")
    world.request(path, render_document(value), ENGINEERS[tenant], asker=BOTS[tenant])


@pytest.fixture
def both(tmp_path: Path) -> Iterator[Story]:
    world = Story.begin(tmp_path / "world")
    for draft in (DRAFT, RATING):
        ask(world, draft)
    yield world
    world.close()


# -- plans and repositories ----------------------------------------------------------------


def check_effects(tenant: str, other: str, effects: tuple[Effect, ...]) -> None:
    """Every effect of a tenant's plan is about it alone, the control repo's state included."""
    assert effects
    for effect in effects:
        assert other not in effect.model_dump_json(), effect.kind
        if isinstance(effect, AppendFacts):
            assert effect.tenant == tenant
            assert {entry.draft.split("/")[0] for entry in effect.entries} == {tenant}
            assert {entry.cause.request.split("/")[1] for entry in effect.entries} == {tenant}
        else:
            assert effect.draft.split("/")[0] == tenant
            assert effect.repo.startswith(f"tenant-{tenant}-")


def test_every_plan_of_a_tenant_names_only_its_own(both: Story) -> None:
    told = 0
    for round_of in range(3):
        for draft, other in ((DRAFT, "contoso"), (RATING, "acme")):
            tenant = draft.split("/")[0]
            if round_of == 2:
                promote(both, draft)
            # One plan at a time, so that each of a run is looked at.
            for _ in range(8):
                plan = both.engine.plan(tenants=[tenant])
                if plan.is_empty:
                    break
                check_effects(tenant, other, plan.effects)
                both.engine.apply(plan)
                told += 1
    assert told == 10  # provision, scaffold, checks, build, promotion of each
    states = {s.id: s.state.value for s in both.engine.statuses()}
    assert states == {DRAFT: "PROMOTED_DEV", RATING: "PROMOTED_DEV"}


def test_a_run_for_one_tenant_leaves_every_ref_of_the_other_alone(both: Story) -> None:
    def refs() -> dict[str, str]:
        forge = LocalForge(both.root / "forge", ORGANISATION)
        found = {
            f"{path.stem} {ref}": commit
            for path in sorted((both.root / "forge" / ORGANISATION).glob("*.git"))
            for ref, commit in forge.open_repository(path.stem).read_refs(("refs/",)).items()
        }
        forge.close()
        return found

    both.engine.run(tenants=["contoso"])
    before = refs()
    assert not any("acme" in name for name in before)
    both.engine.run(tenants=["acme"])
    promote(both, DRAFT)
    both.engine.run(tenants=["acme"])
    after = refs()
    moved = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    main_and_requests = re.compile(r"control refs/(heads/(main|ask/[0-9]+)|forge/journal)$")
    strangers = {name for name in moved if "acme" not in name and not main_and_requests.match(name)}
    assert strangers == set()


def test_code_and_overlays_never_name_the_other_tenant(both: Story) -> None:
    both.engine.run(tenants=["acme", "contoso"])
    for draft in (DRAFT, RATING):
        promote(both, draft)
    both.engine.run(tenants=["acme", "contoso"])
    for tenant, other in (("acme", b"contoso"), ("contoso", b"acme")):
        for kind in ("controllers", "gitops"):
            git = both.forge.open_repository(f"tenant-{tenant}-{kind}")
            heads = git.read_refs(("refs/heads/",))
            assert len(heads) == 2
            for commit in heads.values():
                assert other not in git.read_commit(commit).message.encode()
                for path, (_, content) in git.read_files(commit).items():
                    assert other not in content and other.decode() not in path, path


# -- every field of every kind -------------------------------------------------------------

_SHA, _DIGEST = "0123456789abcdef0123456789abcdef01234567", "sha256:" + "ab" * 32
_PATCH = f"""apiVersion: pipeline.ameide.io/v1
kind: DraftPatch
draft: {DRAFT}
base_commit: {_SHA}
summary: Change everything
changes:
  - {{op: write, path: src/one.py, content: "x = 1"}}
  - {{op: write, path: data/two.bin, content_base64: aGVsbG8=}}
  - {{op: replace, path: README.md, old: one, new: two}}
  - {{op: delete, path: docs/three.md}}
"""
_PROMOTION = f"""apiVersion: pipeline.ameide.io/v1
kind: Promotion
draft: {DRAFT}
environment: staging
release: {{source_commit: {_SHA}, digest: {_DIGEST}}}
overlay_tree: {_SHA}
reason: Peak season
"""
_DRAFT = (
    draft_example()
    .split("\n", 1)[1]
    .replace(
        "parameters:\n",
        "design_refs: [process-definition/order-to-cash@3]\nrisk_tier: HIGH\nparameters:\n",
    )
)
REQUESTS: Mapping[str, str] = {
    tenant_path("acme"): sample_files()[tenant_path("acme")].decode(),
    draft_path(DRAFT): _DRAFT,
    patch_path(DRAFT, "0001"): _PATCH,
    promotion_path(DRAFT, "staging"): _PROMOTION,
}
Path_ = tuple[str | int, ...]


def strings(value: object, path: Path_ = ()) -> Iterator[Path_]:
    """The place of every string in a document, nested ones included."""
    if isinstance(value, str):
        yield path
    elif isinstance(value, dict):
        for key, child in value.items():
            yield from strings(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from strings(child, (*path, index))


def with_value(value: object, path: Path_, new: object) -> object:
    """A document with one place changed."""
    if not path:
        return new
    if isinstance(value, dict):
        return {k: with_value(v, path[1:], new) if k == path[0] else v for k, v in value.items()}
    assert isinstance(value, list)
    return [with_value(v, path[1:], new) if i == path[0] else v for i, v in enumerate(value)]


def value_at(value: object, path: Path_) -> str:
    """The string at a place."""
    for part in path:
        value = value[part]  # type: ignore[index]  # the place was found in this document
    assert isinstance(value, str)
    return value


def read(path: str) -> object:
    """The document of a request, which is valid as it stands."""
    assert verdict_of(findings_of(path, REQUESTS[path].encode())) is Verdict.VALID
    document = parse_document(path, REQUESTS[path].encode())
    assert document.findings == ()
    return document.value


FIELDS = [
    (path, field)
    for path, text in REQUESTS.items()
    for field in strings(parse_document(path, text.encode()).value)
]
# How another tenant may stand in a text; each is put into every field.
SHAPES = (
    "contoso",
    "tenant-contoso-controllers",
    "for-contoso",
    "contoso-db",
    "Contoso",
    "{}/contoso",
)


def test_the_loop_reaches_every_kind_and_nested_fields() -> None:
    assert len(FIELDS) > 40
    places = {(path.rsplit("/", 2)[-2], ".".join(map(str, field))) for path, field in FIELDS}
    assert ("order-router", "parameters.entities.1") in places
    assert ("patches", "changes.1.content_base64") in places
    assert ("promotions", "release.source_commit") in places


@pytest.mark.parametrize("path", REQUESTS)
def test_a_request_that_names_the_other_tenant_in_any_field_is_refused(path: str) -> None:
    document = read(path)
    for field in [f for p, f in FIELDS if p == path]:
        old = value_at(document, field)
        for shape in SHAPES:
            new = shape.format(old)
            if field[-1] == "content_base64":
                new = base64.b64encode(new.encode()).decode()
            changed = with_value(document, field, new)
            found = findings_of(path, render_document(changed))
            assert verdict_of(found) is Verdict.INVALID, (field, new)
            codes = {f.code for f in found}
            # Where the form already refuses it, that is said; else that it is another tenant's.
            by_form = codes - {"cross-tenant-reference"}
            assert by_form or "cross-tenant-reference" in codes


@pytest.mark.parametrize(
    ("path", "field"),
    [
        (draft_path(DRAFT), ("parameters", "description")),
        (draft_path(DRAFT), ("parameters", "owner")),
        (draft_path(DRAFT), ("parameters", "entities", 1)),
        (draft_path(DRAFT), ("design_refs", 0)),
        (patch_path(DRAFT, "0001"), ("summary",)),
        (patch_path(DRAFT, "0001"), ("changes", 0, "path")),
        (patch_path(DRAFT, "0001"), ("changes", 0, "content")),
        (patch_path(DRAFT, "0001"), ("changes", 1, "content_base64")),
        (patch_path(DRAFT, "0001"), ("changes", 2, "old")),
        (patch_path(DRAFT, "0001"), ("changes", 2, "new")),
        (patch_path(DRAFT, "0001"), ("changes", 3, "path")),
        (promotion_path(DRAFT, "staging"), ("reason",)),
        (tenant_path("acme"), ("owners", 0)),
        (tenant_path("acme"), ("cost_centre",)),
    ],
)
def test_free_text_is_refused_for_the_other_tenant_alone(path: str, field: Path_) -> None:
    """The same text with a word that is nobody's name passes, so the name is what is refused."""
    document, base = read(path), {"design_refs": "order-process/{}-to-cash@3"}
    shape = base.get(str(field[0]), "{}-engineers" if field[-1] == "owner" else "{}")
    codes = {}
    for word in ("contoso", "nobodys"):
        new = shape.format(word)
        if field[-1] == "content_base64":
            new = base64.b64encode(new.encode()).decode()
        found = findings_of(path, render_document(with_value(document, field, new)))
        codes[word] = {f.code for f in found}
    assert "cross-tenant-reference" in codes["contoso"]
    assert "cross-tenant-reference" not in codes["nobodys"]
    assert codes["contoso"] - {"cross-tenant-reference"} <= codes["nobodys"]


def test_a_request_that_names_the_other_tenant_changes_nothing(both: Story) -> None:
    """Refused on main too: what slipped past review is never planned on."""
    both.engine.run(tenants=["acme", "contoso"])
    facts = both.kinds()
    base = both.newest()
    patch = patch_of(DRAFT, base, {"docs/notes.md": "As contoso has it\n"})
    both.request(patch_path(DRAFT, "0001"), patch, ENGINEER_ID)
    report = both.engine.run(tenants=["acme", "contoso"])
    assert "cross-tenant-reference" in {f.code for f in report.findings}
    assert both.kinds() == [*facts, "patch-refused"]
    (record,) = both.engine.status(DRAFT).patches
    assert [r.code for r in record.reasons] == ["cross-tenant-reference"]
    assert both.newest() == base


def test_another_tenant_s_bot_gets_nothing_done(both: Story) -> None:
    both.engine.run(tenants=["acme", "contoso"])
    facts = both.kinds()
    patch = patch_of(DRAFT, both.newest(), {"docs/notes.md": "Hello\n"})
    both.request(patch_path(DRAFT, "0001"), patch, ENGINEER_ID, asker=CONTOSO_AGENT_ID)
    both.engine.run(tenants=["acme"])
    assert both.kinds() == [*facts, "patch-refused"]
    (record,) = both.engine.status(DRAFT).patches
    assert [r.code for r in record.reasons] == ["author-out-of-scope"]
