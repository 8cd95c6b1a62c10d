"""Locked packages from a folder of wheels in place of an index: fetched once, by hash."""

import hashlib
import os
import socket
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.errors import CouldNotCheck
from pipeline.sandbox.packages import LockRefused, parse_lock, read_packages

ZERO = "0" * 64


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels that pip takes for its only index; the cache is empty."""
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    (tmp_path / "wheels").mkdir()
    return tmp_path / "wheels"


def make_wheel(folder: Path, version: str = "1.0") -> str:
    """The SHA-256 of a wheel of `demo-part`, which is written to the folder."""
    path = folder / f"demo_part-{version}-py3-none-any.whl"
    info = f"demo_part-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("demo_part.py", f"VERSION = {version!r}\n")
        wheel.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: demo-part\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read(version: str, digest: str, marker: str = "") -> Path:
    return read_packages(
        parse_lock(f"demo-part=={version} {marker} --hash=sha256:{digest}".encode())
    )


def test_a_package_is_fetched_once_and_then_kept(wheels: Path) -> None:
    digest = make_wheel(wheels)
    folder = read("1.0", digest)
    assert (folder / "demo_part.py").read_text() == "VERSION = '1.0'\n"
    (wheels / "demo_part-1.0-py3-none-any.whl").unlink()
    assert read("1.0", digest) == folder
    assert not list(folder.parent.parent.glob(".new-*"))


def test_removed_packages_are_fetched_again(wheels: Path) -> None:
    digest = make_wheel(wheels)
    folder = read("1.0", digest)
    (folder / "demo_part.py").unlink()
    assert read("1.0", digest) == folder
    assert (folder / "demo_part.py").exists()


def test_processes_at_once_install_one_folder(wheels: Path) -> None:
    digest = make_wheel(wheels)
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: read("1.0", digest), range(4)))
    assert len(folders) == 1
    kept = sorted(path.suffix for path in folders.pop().parent.parent.iterdir())
    assert kept == ["", ".lock"]


def test_others_may_read_it_whatever_the_umask(wheels: Path) -> None:
    before = os.umask(0o077)
    try:
        folder = read("1.0", make_wheel(wheels))
    finally:
        os.umask(before)
    for path in (folder, *folder.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o755 if path.is_dir() else 0o644), path


def test_a_package_whose_marker_does_not_apply_is_not_installed(wheels: Path) -> None:
    assert not (read("1.0", ZERO, "; sys_platform == 'win32'") / "demo_part.py").exists()


def test_a_package_with_other_bytes_is_refused(wheels: Path) -> None:
    make_wheel(wheels)
    with pytest.raises(LockRefused, match="DO NOT MATCH THE HASHES"):
        read("1.0", ZERO)


def test_a_missing_version_is_refused(wheels: Path) -> None:
    with pytest.raises(LockRefused, match=r"demo-part==2\.0"):
        read("2.0", make_wheel(wheels))


def test_a_package_without_a_wheel_is_refused(wheels: Path) -> None:
    make_wheel(wheels)
    (wheels / "demo_part-3.0.tar.gz").write_bytes(b"")
    with pytest.raises(LockRefused, match=r"demo-part==3\.0"):
        read("3.0", ZERO)


def test_a_marker_that_pip_cannot_read_is_refused(wheels: Path) -> None:
    with pytest.raises(LockRefused):
        read("1.0", make_wheel(wheels), "; nonsense < ")


def test_a_silent_index_is_could_not_check(wheels: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        monkeypatch.delenv("PIP_NO_INDEX")
        monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{closed.getsockname()[1]}/simple")
        monkeypatch.setenv("PIP_RETRIES", "0")
        with pytest.raises(CouldNotCheck, match="pip download failed"):
            read("1.0", ZERO)


def test_an_unwritable_cache_is_could_not_check(
    wheels: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wheels / "file").write_text("")
    monkeypatch.setenv("PIPELINE_CACHE", str(wheels / "file" / "cache"))
    with pytest.raises(CouldNotCheck, match="cache of packages"):
        read("1.0", ZERO)


def test_a_missing_pip_is_could_not_check(
    wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bare = tmp_path / "python"
    bare.write_text('#!/bin/sh\necho "$0: No module named pip" >&2\nexit 1\n')
    bare.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(bare))
    with pytest.raises(CouldNotCheck, match="pip is missing"):
        read("1.0", ZERO)
