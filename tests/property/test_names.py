"""Derived names: within their limits, well-formed, and different for different things."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline import names
from pipeline.models.draft_state import STAGES
from pipeline.models.requests import CodeOrigin, EnvironmentName, Sku

# Those of most control repos; names of environments are free.
ENVIRONMENTS = STAGES
LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")
PLATFORMS = ("ameide", "a", "a-b", "acme")
# Short ids, those that look like parts of names among them.
WORDS = ("a", "b", "dev", "prod", "base", "cust", "tenant", "platform", "ameide")
IDS = tuple("-".join(parts) for n in (1, 2, 3) for parts in itertools.product(WORDS, repeat=n))
SHORT_IDS = tuple(id for id in IDS if id.count("-") < 2)
ORIGINS = (CodeOrigin.PLATFORM, CodeOrigin.TENANT)

_part = st.text("ab0", min_size=1, max_size=3).filter(lambda text: text[0] != "0")
_rest = st.text("ab01", min_size=1, max_size=3)
ids = st.one_of(
    st.sampled_from(IDS),
    st.lists(_rest, max_size=3).flatmap(
        lambda rest: _part.map(lambda first: "-".join([first, *rest]))
    ),
    st.from_regex(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z", fullmatch=True).filter(lambda t: len(t) <= 40),
)
origins = st.sampled_from(CodeOrigin)
skus = st.sampled_from(Sku)
environments = st.one_of(st.sampled_from(ENVIRONMENTS), ids)
platforms = ids.filter(lambda t: names.is_platform_name(t) and len(t) <= 20)


def owners_of_namespaces(
    platform: str, tenants: tuple[str, ...]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Every namespace with what it stands for."""
    for env in ENVIRONMENTS:
        shared = names.namespace(platform, "x", Sku.SHARED, CodeOrigin.PLATFORM, env)
        yield shared, ("shared", env)
        for tenant in tenants:
            base = names.namespace(platform, tenant, Sku.NAMESPACE, CodeOrigin.PLATFORM, env)
            yield base, ("base", tenant, env)
            cust = names.namespace(platform, tenant, Sku.SHARED, CodeOrigin.TENANT, env)
            yield cust, ("cust", tenant, env)


def assert_injective(pairs: Iterator[tuple[str, tuple[str, ...]]]) -> int:
    """How many different names there are; fails at the first that stands for two things."""
    seen: dict[str, tuple[str, ...]] = {}
    for name, meaning in pairs:
        assert seen.setdefault(name, meaning) == meaning, f"{name} is {seen[name]} and {meaning}"
    return len(seen)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_no_namespace_belongs_to_two_owners(platform: str) -> None:
    expected = len(ENVIRONMENTS) * (1 + 2 * len(IDS))
    assert assert_injective(owners_of_namespaces(platform, IDS)) == expected


def test_two_pairs_share_a_namespace_exactly_when_a_clash_is_reported() -> None:
    owners: dict[str, set[tuple[str, str]]] = {}
    for tenant, env in itertools.product(SHORT_IDS, repeat=2):
        name = names.namespace("p", tenant, Sku.SHARED, CodeOrigin.TENANT, env)
        owners.setdefault(name, set()).add((tenant, env))
    assert max(map(len, owners.values())) > 1
    for pairs in owners.values():
        for tenant, env in pairs:
            clash = names.clash_of(tenant, env, set(SHORT_IDS), set(SHORT_IDS))
            assert (clash is None) == (len(pairs) == 1)
            assert clash is None or clash in pairs - {(tenant, env)}


def test_only_existing_environments_clash() -> None:
    assert names.clash_of("a", "b-c", {"a", "a-b"}, {"c", "b-c"}) == ("a-b", "c")
    assert names.clash_of("a-b", "c", {"a", "a-b"}, {"c", "b-c"}) == ("a", "b-c")
    assert names.clash_of("a", "b-c", {"a"}, {"c", "b-c"}) is None
    assert names.clash_of("a", "b-c", {"a", "a-b"}, {"b-c"}) is None


def test_no_repository_belongs_to_two_owners() -> None:
    def repositories() -> Iterator[tuple[str, tuple[str, ...]]]:
        for platform in PLATFORMS:
            for tenant in IDS:
                for origin in ORIGINS:
                    mine = (platform,) if origin is CodeOrigin.PLATFORM else ("tenant", tenant)
                    yield names.controllers_repo(platform, tenant, origin), ("code", *mine)
                    yield names.gitops_repo(platform, tenant, origin), ("gitops", *mine)

    assert assert_injective(repositories()) == 2 * (len(PLATFORMS) + len(IDS))


def test_no_instance_or_application_belongs_to_two_drafts() -> None:
    def instances() -> Iterator[tuple[str, tuple[str, ...]]]:
        # One repository: all of the platform's code, or all of one tenant's.
        for tenant, primitive in itertools.product(SHORT_IDS, repeat=2):
            yield names.instance(tenant, primitive, CodeOrigin.PLATFORM), (tenant, primitive)

    def applications() -> Iterator[tuple[str, tuple[str, ...]]]:
        for tenant, primitive in itertools.product(SHORT_IDS, repeat=2):
            for env in ENVIRONMENTS:
                yield names.application(tenant, primitive, env), (tenant, primitive, env)

    pairs = len(SHORT_IDS) ** 2
    assert assert_injective(instances()) == pairs
    assert assert_injective(applications()) == pairs * len(ENVIRONMENTS)


def accepted(derive: object, *arguments: object) -> str | None:
    """The derived name, or None if it was refused."""
    assert callable(derive)
    try:
        return str(derive(*arguments))
    except names.NameRefused:
        return None


@given(platforms, ids, skus, origins, environments, ids)
def test_accepted_names_fit_their_limits_and_are_labels(
    platform: str,
    tenant: str,
    sku: Sku,
    origin: CodeOrigin,
    environment: EnvironmentName,
    primitive: str,
) -> None:
    found = [
        (63, accepted(names.namespace, platform, tenant, sku, origin, environment)),
        (100, accepted(names.controllers_repo, platform, tenant, origin)),
        (100, accepted(names.gitops_repo, platform, tenant, origin)),
        (53, accepted(names.instance, tenant, primitive, origin)),
        (53, accepted(names.application, tenant, primitive, environment)),
    ]
    for limit, name in found:
        assert name is None or (len(name) <= limit and LABEL.match(name)), name


@given(platforms, ids, skus, origins, ids)
def test_names_are_refused_exactly_when_one_does_not_fit(
    platform: str, tenant: str, sku: Sku, origin: CodeOrigin, primitive: str
) -> None:
    prefix = "registry.example.com/ameide"
    problems = names.check_all_names(platform, prefix, tenant, sku, primitive, origin, ENVIRONMENTS)
    longest = max(len(env) for env in ENVIRONMENTS)
    application = len(tenant) + len(primitive) + longest + 4
    if origin is CodeOrigin.PLATFORM and sku is Sku.SHARED:
        namespace = len(platform) + 1 + longest
    else:
        namespace = len(f"tenant-{tenant}-") + longest + len("-cust")
    fits = application <= 53 and namespace <= 63
    assert (problems == ()) == fits, problems


@given(
    platforms,
    st.tuples(ids, skus, origins, environments),
    st.tuples(ids, skus, origins, environments),
)
def test_two_namespaces_are_equal_only_for_the_same_owner(
    platform: str,
    one: tuple[str, Sku, CodeOrigin, EnvironmentName],
    other: tuple[str, Sku, CodeOrigin, EnvironmentName],
) -> None:
    def owner(of: tuple[str, Sku, CodeOrigin, EnvironmentName]) -> tuple[str, ...]:
        tenant, sku, origin, env = of
        if origin is not CodeOrigin.PLATFORM:
            return ("cust", tenant, env)
        return ("shared", env) if sku is Sku.SHARED else ("base", tenant, env)

    first, second = (accepted(names.namespace, platform, *of) for of in (one, other))
    # Of tenants and environments that clash there is a finding: they never are in one control repo.
    clash = names.clash_of(one[0], one[3], {one[0], other[0]}, {one[3], other[3]})
    if first is not None and second is not None and clash is None:
        assert (first == second) == (owner(one) == owner(other))


@given(platforms, ids, origins, environments)
def test_custom_code_is_never_in_a_shared_namespace(
    platform: str, tenant: str, origin: CodeOrigin, environment: EnvironmentName
) -> None:
    for sku in Sku:
        name = accepted(names.namespace, platform, tenant, sku, origin, environment)
        if name is None:
            continue
        shared = origin is CodeOrigin.PLATFORM and sku is Sku.SHARED
        assert names.is_shared_namespace(platform, name) == shared


@given(ids, ids, ids)
def test_images_belong_to_one_tenant(tenant: str, other: str, primitive: str) -> None:
    prefix = "registry.example.com/ameide"
    image = names.image_repository(prefix, tenant, primitive)
    assert image.rpartition("/")[0] == f"{prefix}/tenant-{tenant}"
    others = names.image_repository(prefix, other, primitive)
    assert (others == image) == (other == tenant)


@pytest.mark.parametrize("platform", ["tenant", "tenant-acme", "a-dev", "a-base", "cust", "A", ""])
def test_a_platform_may_not_be_named_like_a_derived_name(platform: str) -> None:
    assert not names.is_platform_name(platform)


def test_a_long_name_is_refused_and_never_cut() -> None:
    fits, too_long = "a" * (63 - len("tenant--staging-cust")), "a" * 44
    name = names.namespace("p", fits, Sku.SHARED, CodeOrigin.AGENT, "staging")
    assert len(name) == 63 and fits in name
    with pytest.raises(names.NameRefused, match="64 characters; at most 63"):
        names.namespace("p", too_long, Sku.SHARED, CodeOrigin.AGENT, "staging")
