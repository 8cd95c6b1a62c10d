"""Installing Keycloak: only the pinned archive, and only where Java can run it."""

import signal
import subprocess
import time
from pathlib import Path

import pytest

from tools import keycloak

HOME_OF_ARCHIVE = Path(".m2/repository/org/keycloak/keycloak-quarkus-dist") / keycloak.VERSION


def test_another_archive_than_the_pinned_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = tmp_path / HOME_OF_ARCHIVE / f"keycloak-quarkus-dist-{keycloak.VERSION}.zip"
    archive.parent.mkdir(parents=True)
    archive.write_bytes(b"PK")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(keycloak, "find_java", lambda: "/usr/bin/java")
    with pytest.raises(keycloak.KeycloakError, match="not the pinned one"):
        keycloak.install(tmp_path / "tools")
    assert not (tmp_path / "tools" / f"keycloak-{keycloak.VERSION}").exists()


def test_a_missing_requirement_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(keycloak.KeycloakError, match="no java"):
        keycloak.install(tmp_path / "tools")
    monkeypatch.setattr(keycloak, "find_java", lambda: "/usr/bin/java")
    with pytest.raises(keycloak.KeycloakError, match="no mvn"):
        keycloak.install(tmp_path / "tools")


def test_a_half_finished_installation_does_not_count(tmp_path: Path) -> None:
    (tmp_path / f"keycloak-{keycloak.VERSION}" / "bin").mkdir(parents=True)
    with pytest.raises(keycloak.KeycloakError, match="make setup-dev"):
        keycloak.find(tmp_path)


def test_a_server_that_does_not_start_is_reported_with_its_log(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name in ("bin", "lib", "conf"):
        (home / name).mkdir(parents=True)
    script = home / "bin" / "kc.sh"
    script.write_text("#!/bin/sh\necho port is taken\nexit 1\n", encoding="utf-8")
    script.chmod(0o755)
    with (
        pytest.raises(keycloak.KeycloakError, match="port is taken"),
        keycloak.running(home),
    ):
        pass


def test_the_whole_process_group_of_a_server_ends(tmp_path: Path) -> None:
    # Ignores the polite signal, as does its child.
    script = "trap '' TERM; sleep 60 & echo $!; wait; wait"
    process = subprocess.Popen(
        ["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    process.stdout.close()
    keycloak.stop(process, timeout_s=0.2)
    assert process.returncode == -signal.SIGKILL
    end = time.monotonic() + 60
    while time.monotonic() < end and _runs(child):
        time.sleep(0.01)
    assert not _runs(child)


def _runs(process_id: int) -> bool:
    try:
        stat = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
