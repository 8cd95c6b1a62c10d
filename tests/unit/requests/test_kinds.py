"""The table of request kinds: one complete row per model."""

from __future__ import annotations

import ast
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest

import pipeline
from pipeline.models.facts import FactBody
from pipeline.models.requests import FileChange, Request, Tenant
from pipeline.plan.effects import Effect
from pipeline.render.kinds import render_requests_page
from pipeline.requests.kinds import (
    KINDS,
    REQUEST_KINDS,
    RequestKind,
    kind_of,
    parse_request,
    request_path,
)
from pipeline.requests.layout import (
    BLOCKED_PATH,
    PLATFORM_PATH,
    SIGNERS_PATH,
    draft_path,
    environment_path,
    patch_path,
    promotion_path,
    tenant_path,
)
from tests.support.rule_runners import path_of_example
from tests.support.samples import findings_of

PACKAGE = Path(pipeline.__file__).parent
ROWS = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


def test_every_model_of_a_request_has_one_row() -> None:
    models = {m for m in Request.__subclasses__() if m.__module__.startswith("pipeline.")}
    assert {kind.model for kind in KINDS} == models
    for names in ([k.name for k in KINDS], [k.path for k in KINDS], [k.schema_stem for k in KINDS]):
        assert len(set(names)) == len(KINDS)
    assert list(REQUEST_KINDS) == [kind.name for kind in KINDS]


def test_a_model_without_a_row_is_noticed() -> None:
    class Forgotten(Tenant):
        pass

    with pytest.raises(KeyError):
        kind_of(Forgotten.model_construct())


@ROWS
def test_the_example_of_a_row_is_a_valid_request(kind: RequestKind[typing.Any]) -> None:
    content = kind.example.encode()
    path = path_of_example(content)
    meaning = request_path(path)
    assert meaning is not None and meaning.kind == kind.name
    read, findings = parse_request(path, content)
    assert findings == () and read is not None
    assert type(read.model) is kind.model
    assert findings_of(path, content) == ()


@ROWS
def test_a_row_says_what_it_is_for(kind: RequestKind[typing.Any]) -> None:
    assert kind.summary.endswith(".") and kind.summary[0].isupper()
    assert kind.asks.new and kind.asks.changed and kind.asks.gone
    page = render_requests_page(KINDS).decode()
    assert f"| `{kind.path}` | {kind.summary} |" in page
    assert kind.example in page


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (PLATFORM_PATH, "Platform"),
        (BLOCKED_PATH, "BlockedDigests"),
        (SIGNERS_PATH, "Signers"),
        (environment_path("dev"), "Environment"),
        (tenant_path("acme"), "Tenant"),
        (draft_path("acme/order-router"), "PrimitiveImplementationDraft"),
        (patch_path("acme/order-router", "0001"), "DraftPatch"),
        (promotion_path("acme/order-router", "dev"), "Promotion"),
        ("environments/acknowledgements/late-hotfix.yaml", "Acknowledgement"),
        ("environments/dev/environment.yaml\n", None),
        ("environmentsXplatform.yaml", None),
        ("environments/platformXyaml", None),
        ("tenants/acme/drafts/order-router/patches/1.yaml", None),
        ("x/tenants/acme/tenant.yaml", None),
    ],
)
def test_paths_lead_to_their_kinds(path: str, kind: str | None) -> None:
    meaning = request_path(path)
    assert (meaning and meaning.kind) == kind


# -- matches over a union of models --------------------------------------------------------


def members(union: object) -> set[str]:
    """The names of the classes of an annotated union."""
    return {model.__name__ for model in typing.get_args(typing.get_args(union)[0])}


def matches() -> Iterator[tuple[str, ast.Match, str]]:
    """Place, statement and the source of the function of every `match` of the pipeline."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.relative_to(PACKAGE).parts[0] in ("shared", "starter") or "skeleton" in path.parts:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for node in ast.walk(function):
                    if isinstance(node, ast.Match):
                        place = f"{path.relative_to(PACKAGE)}:{node.lineno}"
                        yield place, node, ast.unparse(function)


def test_no_environment_is_called_like_a_folder_of_other_requests() -> None:
    parts = [kind.path.split("/") for kind in KINDS]
    folders = {p[1] for p in parts if p[0] == "environments" and len(p) > 2 and p[1][0] != "<"}
    assert "acknowledgements" in folders
    for folder in folders:
        found = request_path(environment_path(folder))
        assert found is not None and found.kind != "Environment"
        assert request_path(promotion_path("acme/order-router", folder)) is None
        assert request_path(environment_path(f"{folder}-eu")) is not None


def test_every_match_over_request_models_is_exhaustive() -> None:
    unions = members(Effect) | members(FactBody) | members(FileChange)
    unions |= {kind.model.__name__ for kind in KINDS}
    assert len(unions) > 25
    seen, open_ended = 0, []
    for place, match, function in matches():
        classes = {
            node.cls.id
            for case in match.cases
            for node in ast.walk(case.pattern)
            if isinstance(node, ast.MatchClass) and isinstance(node.cls, ast.Name)
        }
        if classes & unions:
            seen += 1
            if f"assert_never({ast.unparse(match.subject)})" not in function:
                open_ended.append(place)
    assert seen >= 4
    assert open_ended == []
