"""The rendered process on a real Temporal server, its worker in its own process as in a pod."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.platform_double import AUDIENCE, CLIENT, PlatformDouble, serve_platform
from tests.runtime.temporal import free_port, temporal_server
from tests.support.golden_templates import PROCESS
from tests.support.projects import locked_python, write_project

PACKAGE = "process_order_router"
DRIVER = Path(__file__).with_name("process_driver.py")
ATTRIBUTE = "TenantId"
WAIT_S = 180
STEPS: list[dict[str, object]] = [
    {"name": "reserve", "action": "inventory/reserve", "undo": "inventory/release"},
    {
        "name": "charge",
        "action": "billing/charge",
        "undo": "billing/refund",
        "approval": True,
        "approver_role": "officer",
    },
    {"name": "ship", "action": "shipping/dispatch", "heartbeat_s": 1},
]
WITHOUT_APPROVAL: list[dict[str, object]] = [
    {"name": "reserve", "action": "inventory/reserve"},
    {"name": "ship", "action": "shipping/dispatch", "heartbeat_s": 1},
]


@dataclass
class Project:
    """The rendered project, the Python of its locked packages, and the Temporal server."""

    folder: Path
    python: Path
    address: str

    def environment(self, platform: PlatformDouble, **changes: str) -> dict[str, str]:
        """What a pod is given."""
        client_id, client_secret = CLIENT.split(":")
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{self.folder}/src:{self.folder}/sdk",
            "TOKEN_ISSUER": platform.url,
            "TOKEN_AUDIENCE": AUDIENCE,
            "TOKEN_JWKS_URL": f"{platform.url}/keys",
            "TOKEN_URL": f"{platform.url}/token",
            "TOKEN_SCOPE": "tenant:{tenant}",
            "CLIENT_ID": client_id,
            "CLIENT_SECRET": client_secret,
            "PLATFORM_API_URL": platform.url,
            "TEMPORAL_ADDRESS": self.address,
            "TEMPORAL_NAMESPACE": "default",
            "TENANT_SEARCH_ATTRIBUTE": ATTRIBUTE,
            "STOP_TIMEOUT_S": "10",
            **changes,
        }


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    folder = tmp_path_factory.mktemp("process")
    values = PROCESS.values(max_concurrency_per_tenant=2)
    made = write_project("process", values, folder / "project")
    with temporal_server(folder, ATTRIBUTE) as address:
        yield Project(made, locked_python(made), address)


@pytest.fixture(scope="module")
def double() -> Iterator[PlatformDouble]:
    with serve_platform() as serving:
        yield serving


@pytest.fixture
def platform(double: PlatformDouble) -> PlatformDouble:
    double.forget(STEPS)
    return double


class Driver:
    """Starts processes and speaks to them, with the project's own starter."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def start(self, key: str, authorization: str, subject: str, queue: str = "") -> Any:
        """The id of the process; `queue` is that of the shared worker when empty."""
        given = {"authorization": authorization, "subject": subject, "queue": queue}
        return self("start", key, **given)

    def __call__(self, do: str, key: str, **arguments: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, "key": key, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return answer.get("ok", answer)

    def until(self, key: str, authorization: str, holds: Callable[[Any], bool]) -> Any:
        """The progress of the process once something holds of it."""

        def ask() -> Any:
            progress = self("progress", key, authorization=authorization)
            return progress if holds(progress) else None

        return wait_for(ask)


def wait_for(ask: Callable[[], Any]) -> Any:
    """What it answers, as soon as that is not nothing."""
    until = time.monotonic() + WAIT_S
    while time.monotonic() < until:
        if answer := ask():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"nothing within {WAIT_S} s")


@contextmanager
def running(
    project: Project, *arguments: str | Path, env: dict[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """A process of the project; it is killed at the end, if it still runs."""
    pipe = subprocess.PIPE
    with (project.folder / f"{time.time_ns()}.log").open("w") as log:
        process = subprocess.Popen(
            [project.python, *arguments], env=env, stdin=pipe, stdout=pipe, stderr=log, text=True
        )
    with process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def worker(
    project: Project, platform: PlatformDouble, **changes: str
) -> Iterator[subprocess.Popen[str]]:
    """A worker that is ready."""
    port = free_port()
    env = project.environment(platform, HEALTH_PORT=str(port), **changes)
    with running(project, "-m", PACKAGE, env=env) as process:
        wait_for(lambda: process.poll() is not None or readiness(port) == 200)
        assert process.poll() is None
        yield process


def readiness(port: int) -> int:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


@pytest.fixture(scope="module")
def driver(project: Project, double: PlatformDouble) -> Iterator[Driver]:
    with running(project, DRIVER, PACKAGE, env=project.environment(double)) as process:
        yield Driver(process)


@pytest.fixture(scope="module")
def shared_worker(project: Project, double: PlatformDouble) -> Iterator[None]:
    with worker(project, double):
        yield


def test_a_process_waits_for_the_right_approval_and_completes(
    shared_worker: None, platform: PlatformDouble, driver: Driver
) -> None:
    clerk, officer = platform.token("acme"), platform.token("acme", "officer")
    started = driver.start("approved", authorization=clerk, subject="17")
    assert started == "acme/order-router/approved"
    assert driver.start("approved", authorization=clerk, subject="17") == started
    waiting = driver.until("approved", clerk, lambda p: p["waiting_for"] == "charge")
    assert [step["state"] for step in waiting["steps"]] == [
        "done",
        "waiting-for-approval",
        "pending",
    ]
    # However many have no say, they do not stand in the way of the one who has.
    for _ in range(110):
        driver("approve", "approved", authorization=clerk, step="charge")
    time.sleep(0.5)
    still = driver("progress", "approved", authorization=clerk)
    assert still["waiting_for"] == "charge"
    driver("approve", "approved", authorization=officer, step="charge")
    ended = driver("result", "approved")
    about = driver("describe", "approved")
    assert ended["state"] == "done"
    assert ended["definition"] == "process-definition/order-to-cash@3"
    assert [step["reference"] for step in ended["steps"]] == [
        "reserve-17",
        "charge-17",
        "dispatch-17",
    ]
    assert platform.names_of("17") == ["reserve", "charge", "dispatch"]
    assert {action.tenant_id for action in platform.actions} == {"acme"}
    assert about["memo"] == {"tenant_id": "acme"}
    assert about["attributes"][ATTRIBUTE] == ["acme"]


def test_a_cancelled_process_undoes_what_it_did(
    shared_worker: None, platform: PlatformDouble, driver: Driver
) -> None:
    token = platform.token("acme")
    driver.start("cancelled", authorization=token, subject="18")
    driver.until("cancelled", token, lambda p: p["waiting_for"] == "charge")
    driver("cancel", "cancelled", authorization=token)
    ended = driver("result", "cancelled")
    assert ended["state"] == "cancelled"
    assert [step["state"] for step in ended["steps"]] == ["undone", "pending", "pending"]
    assert platform.names_of("18") == ["reserve", "release"]


@contextmanager
def dispatching(
    project: Project, platform: PlatformDouble, driver: Driver, key: str, subject: str
) -> Iterator[subprocess.Popen[str]]:
    """A worker of its own in the middle of the last step, at which the platform holds it."""
    platform.steps, platform.held = WITHOUT_APPROVAL, "dispatch"
    with worker(project, platform, TASK_QUEUE=key) as process:
        driver.start(key, authorization=platform.token("acme"), subject=subject, queue=key)
        assert platform.arrived.wait(WAIT_S)
        yield process


def test_a_process_is_completed_by_another_worker_when_its_own_is_killed(
    project: Project, platform: PlatformDouble, driver: Driver
) -> None:
    with dispatching(project, platform, driver, "killed", "19") as first:
        first.send_signal(signal.SIGKILL)
        assert first.wait(WAIT_S) == -signal.SIGKILL
    platform.held = ""
    assert platform.names_of("19") == ["reserve", "dispatch"]
    with worker(project, platform, TASK_QUEUE="killed"):
        ended = driver("result", "killed")
    assert ended["state"] == "done"
    assert platform.names_of("19") == ["reserve", "dispatch", "dispatch"]
    [first_key, second_key] = [a.key for a in platform.actions if a.name == "dispatch"]
    assert first_key == second_key


def test_a_worker_that_is_told_to_stop_finishes_the_step_that_runs(
    project: Project, platform: PlatformDouble, driver: Driver
) -> None:
    with dispatching(project, platform, driver, "stopped", "20") as first:
        first.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            # Longer than the step may be silent: its heartbeats go on.
            first.wait(1.6)
        platform.release.set()
        assert first.wait(WAIT_S) == 0
    with worker(project, platform, TASK_QUEUE="stopped"):
        assert driver("result", "stopped")["state"] == "done"
    assert platform.names_of("20") == ["reserve", "dispatch"]


def test_each_tenant_runs_no_more_than_its_share(
    shared_worker: None, platform: PlatformDouble, driver: Driver
) -> None:
    platform.steps, platform.pause_s = WITHOUT_APPROVAL, 0.15
    many = [f"many-{number}" for number in range(8)]
    for key in many:
        driver.start(key, authorization=platform.token("acme"), subject=key)
    for key in ("few-1", "few-2"):
        driver.start(key, authorization=platform.token("contoso"), subject=key)
    states = {driver("result", key)["state"] for key in [*many, "few-1", "few-2"]}
    assert states == {"done"}
    assert platform.most_at_once["acme"] == 2
    assert 1 <= platform.most_at_once["contoso"] <= 2
    tenants = [action.tenant_id for action in platform.actions]
    assert tenants.count("acme") == 16
    assert tenants.count("contoso") == 4
    # The few did not queue behind the many.
    last = max(index for index, tenant in enumerate(tenants) if tenant == "contoso")
    assert "acme" in tenants[last:]


def test_a_tenant_neither_sees_nor_touches_the_processes_of_another(
    shared_worker: None, platform: PlatformDouble, driver: Driver
) -> None:
    acme, contoso = platform.token("acme"), platform.token("contoso", "officer")
    driver.start("mine", authorization=acme, subject="21")
    driver.until("mine", acme, lambda p: p["waiting_for"] == "charge")
    refused = [
        driver("progress", "mine", authorization=contoso),
        driver("approve", "mine", authorization=contoso, step="charge"),
        driver("cancel", "mine", authorization=contoso),
    ]
    assert [answer["error"] for answer in refused] == ["RPCError"] * 3
    forged = acme[:-4] + ("AAAA" if acme[-4:] != "AAAA" else "BBBB")
    for bad in (forged, "", "Bearer nonsense"):
        answer = driver.start("forged", authorization=bad, subject="21")
        assert answer["error"] == "Unauthenticated"
    assert driver("progress", "mine", authorization=acme)["waiting_for"] == "charge"
    driver("cancel", "mine", authorization=acme)
    assert driver("result", "mine")["state"] == "cancelled"


def test_a_process_ends_when_the_issuer_gives_a_token_of_another_tenant(
    project: Project, platform: PlatformDouble, driver: Driver
) -> None:
    platform.tokens_always_of = "contoso"
    with worker(project, platform, TASK_QUEUE="mixed"):
        driver.start("mixed", authorization=platform.token("acme"), subject="22", queue="mixed")
        ended = driver("result", "mixed")
    assert ended["error"] == "ActivityError"
    assert platform.actions == []
