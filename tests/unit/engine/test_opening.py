"""Which builder the environment selects, and with what settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.engine.opening import maker_of_machine
from pipeline.errors import UsageFault
from pipeline.images.buildah import BuildahMaker
from pipeline.images.buildx import BuildxMaker
from pipeline.images.layout import LayoutMaker

BASE = "registry.example.com/python@sha256:" + "a" * 64


@pytest.fixture(autouse=True)
def programs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The one folder of PATH, with a `docker` and a `buildah` that nothing starts."""
    for name in ("docker", "buildah"):
        (tmp_path / name).write_text("#!/bin/false\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def test_the_source_layout_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(maker_of_machine(), LayoutMaker)
    # A variable of a workflow that nobody set is empty.
    monkeypatch.setenv("PIPELINE_BUILDER", "")
    assert isinstance(maker_of_machine(), LayoutMaker)


def test_buildx_gets_its_base_image_and_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_BUILDER", "buildx")
    bare = maker_of_machine()
    assert isinstance(bare, BuildxMaker)
    assert (bare.build_arguments, bare.driver_options) == ({}, "")
    monkeypatch.setenv("PIPELINE_BASE_IMAGE", BASE)
    monkeypatch.setenv("PIPELINE_BUILDX_OPTIONS", "network=host")
    maker = maker_of_machine()
    assert isinstance(maker, BuildxMaker)
    assert (maker.build_arguments, maker.driver_options) == ({"BASE_IMAGE": BASE}, "network=host")


def test_buildah_gets_its_base_image_and_its_storage(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PIPELINE_BUILDER", "buildah")
    monkeypatch.setenv("PIPELINE_BASE_IMAGE", BASE)
    monkeypatch.setenv("PIPELINE_BASE_STORAGE", str(tmp_path))
    maker = maker_of_machine()
    assert isinstance(maker, BuildahMaker)
    assert (maker.build_arguments, maker.base_storage) == ({"BASE_IMAGE": BASE}, tmp_path)


@pytest.mark.parametrize(("wanted", "program"), [("buildx", "docker"), ("buildah", "buildah")])
def test_a_builder_whose_program_is_missing_is_refused(
    wanted: str, program: str, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_BUILDER", wanted)
    (programs / program).unlink()
    with pytest.raises(UsageFault, match=f"{wanted}; {program} is not on PATH"):
        maker_of_machine()


def test_an_unknown_builder_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIPELINE_BUILDER", "kaniko")
    with pytest.raises(UsageFault, match="no builder `kaniko`"):
        maker_of_machine()
