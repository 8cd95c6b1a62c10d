"""Whose application it is: by all that it says, and never by one thing that another contradicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import names
from pipeline.delivery.belonging import Claims, claims_of, place_of_object
from pipeline.models.requests import CodeOrigin

NAME = "acme--order-router--prod"
SOURCE = ("https://github.com/ameide/tenant-acme-gitops.git", "environments/prod/order-router")
LABELS = {"ameide.io/environment": "prod", "ameide.io/primitive": "order-router"}
DRAFT = {"ameide.io/draft": "acme/order-router"}


def claims(
    name: str = "by-hand",
    labels: Mapping[str, str] = {},
    annotations: Mapping[str, str] = {},
    sources: Sequence[tuple[str, str]] = (),
    namespace: str = "",
) -> Claims:
    return claims_of(name, labels, annotations, sources=sources, namespace=namespace)


@pytest.mark.parametrize(
    "found",
    [
        claims(name=NAME),
        claims(sources=[SOURCE]),
        claims(labels=LABELS, annotations=DRAFT),
        claims(labels={**LABELS, "ameide.io/tenant-id": "acme"}),
        claims(name=NAME, sources=[SOURCE], labels=LABELS, annotations=DRAFT),
        claims(sources=[("git@github.com:ameide/tenant-acme-gitops.git", f"./{SOURCE[1]}/")]),
        claims(sources=[("tenant-acme-gitops", SOURCE[1])]),
        claims(sources=[("ameide-gitops", "environments/prod/acme--order-router")]),
    ],
)
def test_each_way_of_naming_draft_and_environment_is_enough(found: Claims) -> None:
    assert str(found.place) == "acme/order-router in prod"
    assert found.is_ours and not found.is_ambiguous


@pytest.mark.parametrize(
    "found",
    [
        claims(name="acme--invoice-matcher--prod", sources=[SOURCE]),
        claims(name="acme--order-router--staging", sources=[SOURCE]),
        claims(name=NAME, sources=[("https://github.com/x/other.git", "chart")]),
        claims(name=NAME, sources=[("tenant-contoso-gitops", SOURCE[1])]),
        claims(name=NAME, sources=[SOURCE, ("https://charts.example.com", "")]),
        claims(sources=[SOURCE], labels=LABELS, annotations={"ameide.io/draft": "contoso/x"}),
    ],
)
def test_contradicting_names_give_none(found: Claims) -> None:
    assert found.place is None and found.is_ours and found.is_ambiguous


@pytest.mark.parametrize(
    ("found", "is_ours"),
    [
        (claims(sources=[("https://github.com/x/other.git", "chart")]), False),
        (claims(namespace="monitoring"), False),
        (claims(namespace="tenant-acme-prod-cust"), True),
        (claims(labels={"ameide.io/tier": "backend"}), True),
        (claims(sources=[SOURCE, ("https://charts.example.com", "")]), True),
    ],
)
def test_an_object_without_an_overlay_has_no_place(found: Claims, is_ours: bool) -> None:
    assert found.place is None and found.is_ours is is_ours and not found.is_ambiguous


@pytest.mark.parametrize(
    "path",
    ["environments/prod", "environments/prod/a/base", "x/prod/a", "", "environments//a", "/"],
)
def test_no_other_folder_is_an_overlay(path: str) -> None:
    assert names.parse_overlay_folder("tenant-acme-gitops", path) is None


@pytest.mark.parametrize(
    "repo", ["tenant-acme", "tenant--gitops", "Tenant-acme-gitops/", "-gitops"]
)
def test_no_other_repository_holds_overlays(repo: str) -> None:
    assert names.parse_overlay_folder(repo, "environments/prod/order--router--x") is None


_IDS = st.lists(st.text("ab1", min_size=1, max_size=3), max_size=2).map(
    lambda parts: "-".join(["a", *parts])
)


@given(_IDS, _IDS, _IDS, st.sampled_from(CodeOrigin))
def test_names_are_read_back(
    tenant: str, primitive: str, environment: str, origin: CodeOrigin
) -> None:
    parts = (tenant, primitive, environment)
    application = f"{tenant}--{primitive}--{environment}"
    assert names.parse_application(application) == parts
    repo = names.gitops_repo("ameide", tenant, origin)
    folder = names.overlay_folder(environment, names.instance(tenant, primitive, origin))  # type: ignore[arg-type] # any name
    assert names.parse_overlay_folder(repo, folder) == parts


@pytest.mark.parametrize(
    ("labels", "place"),
    [
        ({}, "None"),
        (LABELS, "platform/order-router in prod"),
        ({**LABELS, "ameide.io/tenant-id": "acme"}, "acme/order-router in prod"),
        ({**LABELS, "ameide.io/primitive": "acme--order-router"}, "acme/order-router in prod"),
        ({**LABELS, "ameide.io/primitive": "a--b--c"}, "None"),
        ({**LABELS, "ameide.io/primitive": "x/../y"}, "None"),
    ],
)
def test_labels_of_an_object_say_whose_it_is(labels: Mapping[str, str], place: str) -> None:
    assert str(place_of_object(labels)) == place
