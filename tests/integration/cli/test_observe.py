"""`pipeline observe`: from Argo CD's API and from files to facts, on the story's own world."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from pipeline.models.base import moment_of
from pipeline.publish.schemas import schema_of
from tests.support.argocd_server import TOKEN, serve_argocd
from tests.support.cluster_objects import application, kustomization, laid
from tests.support.command_line import call, copy_world
from tests.support.samples import DRAFT
from tests.support.story_by_commands import tell
from worlds.control_repo import CLOCK_S

NOW = moment_of(CLOCK_S)
LATER = str(CLOCK_S + 60)
OTHER = "sha256:" + "9" * 64


@pytest.fixture(autouse=True)
def fixed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", LATER)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The world after the whole story; tests that write take a copy."""
    return tell(tmp_path_factory.mktemp("told"))


def promotions(control: Path) -> dict[str, Any]:
    """What runs in each environment, as facts record it."""
    document = call(control, "status", DRAFT, "--format", "json").document
    assert isinstance(document["promotions"], list)
    return {p["environment"]: p for p in document["promotions"]}


def applications(control: Path, **over: Any) -> list[dict[str, Any]]:
    """An Application of each promotion that runs well; `over` is laid over that of prod."""
    found = []
    for environment, promotion in promotions(control).items():
        digest = promotion["release"]["digest"]
        image = f"registry.example.com/ameide/tenant-acme/order-router@{digest}"
        times = {"reconciledAt": NOW, "health": {"lastTransitionTime": NOW}}
        item = application(
            f"acme--order-router--{environment}",
            path=promotion["overlay_folder"],
            images=(image,),
            status={
                **times,
                "sync": {"revision": promotion["gitops_commit"]},
                "operationState": {"finishedAt": NOW},
            },
        )
        found.append(laid(item, over if environment == "prod" else {}))
    return found


def listed(folder: Path, items: list[dict[str, Any]], name: str = "objects.json") -> str:
    """A file as `kubectl get -o json` writes it, of the moment that the world stands at."""
    file = folder / name
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    os.utime(file, (CLOCK_S, CLOCK_S))
    return str(file)


def kinds(control: Path) -> list[str]:
    log = call(control, "audit", "log", DRAFT, "--format", "json").document
    assert isinstance(log["facts"], list)
    return [fact["body"]["type"] for fact in log["facts"]]


def test_argo_cd_is_asked_and_what_it_says_becomes_facts_once(told: Path, tmp_path: Path) -> None:
    control = copy_world(told, tmp_path / "world")
    token, out = tmp_path / "token", tmp_path / "seen.json"
    token.write_text(f"{TOKEN}\n")
    before = kinds(control)
    degraded = {"status": {"health": {"status": "Degraded"}}}
    with serve_argocd(applications(control, **degraded)) as server:
        ask = ("observe", "--from", "argocd", "--url", server.url, "--token-file", str(token))
        ran = call(control, *ask, "--env", "prod", "--out", str(out))
    assert (ran.exit_code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].split() == [*("DRAFT", "ENVIRONMENT", "HEALTH", "SYNC", "RUNS", "SEEN", "NOTE")]
    assert [line[0] for line in lines[1:4]] == ["✓", "✗", "✓"]
    assert f"{DRAFT}  prod         Degraded  Synced  sha256:" in ran.out
    assert kinds(control) == before, "to observe records nothing"
    for _ in range(2):
        assert call(control, "run", "--stage", "observe", "--observations", str(out)).exit_code == 0
        assert kinds(control) == [*before, "observed"], "the rest was known already"
    assert "✗ sha256:" in call(control, "status", DRAFT).out


def test_json_is_what_a_run_reads(told: Path, tmp_path: Path) -> None:
    ran = call(told, "--format", "json", "observe", "--from", listed(tmp_path, applications(told)))
    assert (ran.exit_code, ran.err) == (0, "")
    document = ran.document
    assert document["kind"] == "Observations" and len(document["observations"]) == 3  # type: ignore[arg-type]  # a list
    jsonschema_rs.Draft7Validator(schema_of("Observations")).validate(document)
    again = tmp_path / "again.json"
    again.write_text(ran.out)
    assert call(told, "--format", "json", "observe", "--from", str(again)).document == document


def test_drift_is_a_finding_with_a_repair_until_it_is_gone(told: Path, tmp_path: Path) -> None:
    control = copy_world(told, tmp_path / "world")
    items = applications(control)
    drifted = laid(items[-1], {})
    images = [f"registry.example.com/ameide/tenant-acme/order-router@{OTHER}"]
    drifted["status"]["summary"]["images"] = images
    environment = drifted["metadata"]["name"].rpartition("--")[2]
    file = listed(tmp_path, [*items[:-1], drifted])
    ran = call(control, "run", "--stage", "observe", "--observations", file)
    assert ran.exit_code == 1 and "running-digest-differs" in ran.out
    repair = f"argocd app sync argocd/acme--order-router--{environment}"
    assert repair in ran.out
    shown = call(control, "status", DRAFT)
    assert shown.exit_code == 1 and repair in shown.out
    [line] = [line for line in shown.out.splitlines() if line.startswith(f"  {environment} ")]
    assert "✗" in line and "not what was promoted" in line and "✓" not in line
    assert "!" in call(control, "status").out
    assert call(control, "run", "--observations", listed(tmp_path, items)).exit_code == 0
    assert call(control, "status", DRAFT).exit_code == 0


@pytest.mark.parametrize(
    ("images", "mark", "said"),
    [
        ((":1.2.3",), "✗", "runs registry.example.com/ameide/tenant-acme/order-router:1.2.3"),
        (("@" + OTHER, "@sha256:" + "8" * 64), "…", "2 digests while rolling out"),
    ],
)
def test_what_runs_without_one_digest_is_shown_without_a_tick(
    told: Path, tmp_path: Path, images: tuple[str, ...], mark: str, said: str
) -> None:
    control = copy_world(told, tmp_path / "world")
    items = applications(control)
    base = "registry.example.com/ameide/tenant-acme/order-router"
    items[-1]["status"]["summary"]["images"] = [base + image for image in images]
    items[-1]["status"]["health"]["status"] = "Progressing"
    environment = items[-1]["metadata"]["name"].rpartition("--")[2]
    call(control, "run", "--observations", listed(tmp_path, items))
    for shown in (
        call(control, "status", DRAFT).out,
        call(control, "observe", "--from", listed(tmp_path, items)).out,
    ):
        [line] = [line for line in shown.splitlines() if f" {environment} " in line]
        assert mark in line and said in line and "✓" not in line


def test_an_application_that_no_fact_knows_is_shown(told: Path, tmp_path: Path) -> None:
    items = [
        *applications(told),
        application("acme--nothing--prod", path="environments/prod/nothing"),
        application("by-hand", path="elsewhere"),
        application("x", path="y", spec={"destination": {"namespace": "cert-manager"}}),
    ]
    file = listed(tmp_path, items)
    ran = call(told, "observe", "--from", file)
    assert ran.exit_code == 1
    rows = {line.split()[1]: line for line in ran.out.splitlines()[1:6]}
    for whose in ("acme/nothing", "Application"):
        assert rows[whose].startswith("✗ ") and "no fact knows it" in rows[whose]
    assert "1 other object left alone" in ran.out
    for command in (("status",), ("run", "--stage", "observe")):
        shown = call(told, *command, "--observations", file)
        assert shown.exit_code == 1
        assert "observation-unknown-release" in shown.out
        assert "acme/nothing was never promoted to prod" in shown.out
        assert "Application argocd/by-hand runs: nobody's" in shown.out


def test_what_the_tool_does_not_list_is_unknown(told: Path, tmp_path: Path) -> None:
    control = copy_world(told, tmp_path / "world")
    before = kinds(control)
    out = tmp_path / "seen.json"
    file = listed(tmp_path, [])
    ran = call(control, "observe", "--from", file, "--env", "prod", "--out", str(out))
    assert ran.exit_code == 0
    assert "… acme/order-router  prod         Unknown  Unknown" in ran.out
    assert "the delivery tool does not list it" in ran.out
    assert call(control, "run", "--observations", str(out)).exit_code == 0
    assert kinds(control) == [*before, "observed"]
    assert "… sha256:" in call(control, "status", DRAFT).out
    assert call(control, "observe", "--from", file, "--env", "nowhere").exit_code == 2


def test_environments_may_come_from_the_environment(
    told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIPELINE_OBSERVED_ENVIRONMENTS", "dev prod")
    ran = call(told, "observe", "--from", listed(tmp_path, []))
    assert ran.out.count("the delivery tool does not list it") == 2


def test_flux_is_read_likewise(told: Path, tmp_path: Path) -> None:
    promotion = promotions(told)["prod"]
    revision = f"main@sha1:{promotion['gitops_commit']}"
    item = kustomization(
        status={
            "lastAppliedRevision": revision,
            "lastAttemptedRevision": revision,
            "history": [{"lastReconciled": NOW}],
            "conditions": [
                {"type": "Ready", "status": "True", "reason": "ReconciliationSucceeded"}
            ],
        }
    )
    ran = call(told, "observe", "--from", listed(tmp_path, [item]))
    assert ran.exit_code == 0 and "✓ acme/order-router  prod         Healthy  Synced" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--from", "argocd"), "--url and --token-file"),
        (("--from", "nothing.json"), "cannot be read"),
        (("--from", "-", "--url", "https://x"), "go with argocd"),
        ((), "--from"),
    ],
)
def test_a_wrong_call_is_told(told: Path, arguments: tuple[str, ...], said: str) -> None:
    ran = call(told, "observe", *arguments)
    assert ran.exit_code == 2 and said in ran.err


def test_a_tool_that_does_not_answer_is_no_observation(told: Path, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("wrong\n")
    with serve_argocd() as server:
        ask = ("observe", "--from", "argocd", "--url", server.url, "--token-file", str(token))
        ran = call(told, *ask, "--env", "prod")
    assert ran.exit_code == 4 and "refuses the token (401)" in ran.err and ran.out == ""


def test_half_of_a_report_counts_and_the_rest_is_told(told: Path, tmp_path: Path) -> None:
    broken = application("broken", status={"health": "fine"})
    file = listed(tmp_path, [broken, *applications(told)])
    for command in (("observe", "--from", file), ("run", "--observations", file)):
        ran = call(told, *command)
        assert ran.exit_code == 1 and "report-object-incomplete" in ran.out
    assert call(told, "observe", "--from", listed(tmp_path, [broken])).exit_code == 1
