"""Versions and cache keys: what can be tested without running a tool."""

from __future__ import annotations

import pytest

from pipeline.machine.cache import cache_key
from pipeline.machine.versions import ACCEPTED, parse_version, version_of_build_info


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("v3.22.0+g1234", (3, 22, 0)),
        ("v3.22", (3, 22, 0)),
        ("buildah version 1.28.2 (image-spec 1.1.0-rc2)", (1, 28, 2)),
        ("development", None),
        ("", None),
    ],
)
def test_a_version_is_found_in_what_tools_print(
    text: str, version: tuple[int, int, int] | None
) -> None:
    assert parse_version(text) == version


def test_build_information_names_the_module_built_or_depended_on() -> None:
    text = (
        "path\thelm.sh/helm/v3/cmd/helm\nmod\texample\t(devel)\ndep\thelm.sh/helm/v3\tv3.16.4\th1:x"
    )
    assert version_of_build_info(text, "helm.sh/helm/v3") == (3, 16, 4)
    assert version_of_build_info(text, "helm.sh/helm") is None
    assert version_of_build_info("mod\thelm.sh/helm/v3\t(devel)", "helm.sh/helm/v3") is None


@pytest.mark.parametrize(
    ("tool", "version", "allowed"),
    [
        ("helm", (3, 15, 9), False),
        ("helm", (3, 16, 0), True),
        ("helm", (4, 0, 0), False),
        ("kustomize", (5, 4, 0), True),
        ("kubeconform", (0, 6, 6), False),
        ("gitleaks", (8, 30, 1), True),
    ],
)
def test_only_versions_of_the_table_are_accepted(
    tool: str, version: tuple[int, int, int], allowed: bool
) -> None:
    assert ACCEPTED[tool].allows(version) is allowed


def test_a_cache_key_keeps_its_parts_apart() -> None:
    assert cache_key("ab", "c") != cache_key("a", "bc")
    assert cache_key("a") == cache_key(b"a")
