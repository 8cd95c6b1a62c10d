"""A request over a bound is refused once, with its code, and holds up nothing; with real tools."""

import base64
import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline.checks import run_checks
from pipeline.cli.work import _perform
from pipeline.documents import render_document
from pipeline.engine import opening as wiring
from pipeline.engine.opening import secret_hits
from pipeline.errors import OverBound, Unrenderable
from pipeline.git.objects import tree_id_of_files
from pipeline.images import bounded
from pipeline.images import stores as images
from pipeline.images.bounded import run_build
from pipeline.images.buildah import BuildahMaker
from pipeline.images.buildx import BuildxMaker
from pipeline.images.oci import Image, image_of
from pipeline.images.port import Files, Maker
from pipeline.images.stores import LayoutStore, image_from_layout
from pipeline.jobs import files as work_files
from pipeline.jobs.files import (
    RecordedBuilder,
    read_evidence,
    read_made,
    write_evidence,
    write_work,
)
from pipeline.jobs.work import DueWork, WorkEvidence, evidence_problem
from pipeline.models.evidence import CheckName, CheckOutcome
from pipeline.plan.effects import BuildImage, RunChecks
from pipeline.requests.layout import patch_path, promotion_path
from pipeline.sandbox import sources
from pipeline.tools import gitleaks, helm, rendered
from pipeline.tools.bundlecheck import verify_bundle
from pipeline.world.hydrate import Hydrator
from tests.support.bombs import deep_expression, nested_zip
from tests.support.fact_history import ENGINEER_ID
from tests.support.finished_story import CODE, one_builder, rewrite
from tests.support.samples import DRAFT
from tests.support.signing import attested, trusted_signers
from tests.support.story import SOURCE, Story, story_at

FOLDER = "primitives/order-router"
LONG = "x" * 256


@pytest.fixture
def patched(tmp_path: Path) -> Iterator[Story]:
    world = story_at("patched", tmp_path / "world")
    yield world
    world.close()


def write_bytes(world: Story, number: str, path: str, content: bytes) -> None:
    """Bring a patch of one file that is not text."""
    value = {
        "apiVersion": "pipeline.ameide.io/v1",
        "kind": "DraftPatch",
        "draft": DRAFT,
        "base_commit": world.newest(),
        "summary": "Add a fixture",
        "changes": [
            {"op": "write", "path": path, "content_base64": base64.b64encode(content).decode()}
        ],
    }
    world.request(patch_path(DRAFT, number), render_document(value), ENGINEER_ID)


def test_an_archive_of_archives_is_refused_once_and_holds_up_nothing(
    patched: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gitleaks, "LIMITS", replace(gitleaks.LIMITS, cpu_s=2))
    patched.use(scan_secrets=secret_hits)
    number = f"{len(patched.engine.status(DRAFT).patches) + 1:04d}"
    following = f"{int(number) + 1:04d}"
    write_bytes(patched, number, "tests/fixture.zip", nested_zip())
    patched.go()
    record = patched.engine.status(DRAFT).patches[-1]
    assert (record.outcome, [r.code for r in record.reasons]) == ("refused", ["patch-over-bound"])
    facts = patched.kinds()
    patched.go()
    assert patched.kinds() == facts
    patched.write(following, f"{SOURCE}/partner_api.py", "x = 1\n")
    patched.go()
    assert patched.engine.status(DRAFT).patches[-1].outcome == "applied"


def test_a_chart_that_renders_too_much_is_refused_once(patched: Story) -> None:
    patched.use(hydrator=Hydrator())
    number = f"{len(patched.engine.status(DRAFT).patches) + 1:04d}"
    bomb = 'x: {{ repeat 100000000 "0123456789abcdef" }}\n'
    patched.write(number, "chart/templates/extra.yaml", bomb)
    patched.go()
    patched.take_over()
    patched.ask(DRAFT, "dev", ENGINEER_ID)
    patched.go()
    [refused] = patched.engine.status(DRAFT).refused_promotions
    assert [r.code for r in refused.reasons] == ["manifest-not-rendered"]
    assert "limit of" in refused.reasons[0].message
    facts = patched.kinds()
    patched.go()
    assert patched.kinds() == facts


def add_long_name(story: Story) -> None:
    """A person commits a file to the code's main whose name no file system holds."""
    rewrite(
        story,
        CODE,
        "main",
        lambda files: files.update({f"{FOLDER}/{LONG}": (0o100644, b"")}),
        by_pipeline=False,
    )


def test_a_name_that_no_file_system_holds_is_refused_once(patched: Story) -> None:
    patched.take_over()
    add_long_name(patched)
    main = patched.forge.open_repository(CODE).resolve("refs/heads/main")
    proposal = patched.engine.propose_promotion(DRAFT, "dev", source_commit=main, reason="Try it")
    value = proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)
    patched.request(promotion_path(DRAFT, "dev"), render_document(value), ENGINEER_ID)
    patched.go()
    [refused] = patched.engine.status(DRAFT).refused_promotions
    assert "source-over-bound" in [r.code for r in refused.reasons]
    assert patched.engine.plan(tenants=["acme"]).is_empty


def test_the_checks_of_such_a_source_fail(patched: Story, tmp_path: Path) -> None:
    add_long_name(patched)
    git = patched.forge.open_repository(CODE)
    commit = git.resolve("refs/heads/main")
    tree = git.read_object(f"{commit}:{FOLDER}")
    assert commit and tree
    item = RunChecks(
        key="0" * 64,
        draft=DRAFT,
        repo=CODE,
        commit=commit,
        folder=FOLDER,
        tree=tree.id,
        names=("lint", "tests"),
    )
    work = tmp_path / "work"
    write_work(work, DueWork(control_commit="0" * 40, items=(item,)), patched.forge)
    report = _perform(item, work, tmp_path / "out").report
    assert report is not None
    assert {r.outcome for r in report.results} == {CheckOutcome.FAILED}
    assert "too long" in report.results[0].summary


def test_sizes_are_judged_before_contents_are_read(
    patched: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    git = patched.forge.open_repository(CODE)
    monkeypatch.setattr(git, "read_files", None)  # any call would be an error
    monkeypatch.setattr(sources, "MAX_SOURCE_BYTES", 10)
    with pytest.raises(OverBound, match="10 are allowed"):
        sources.read_source_files(git, "main", "")
    monkeypatch.setattr(sources, "MAX_SOURCE_FILES", 1)
    with pytest.raises(OverBound, match="1 are allowed"):
        sources.read_source_files(git, "main", "")


@pytest.mark.parametrize(
    ("name", "path"),
    [("lint", "a.py"), ("code-scan", "a.py"), ("lint", "a.ts"), ("code-scan", "a.ts")],
)
def test_a_linter_that_crashes_fails_the_check(name: CheckName, path: str) -> None:
    files = {path: (0o100644, deep_expression())}
    if path.endswith(".ts"):
        files["package.json"] = (0o100644, b"{}")
    first = run_checks(files, commit="1" * 40, tree="2" * 40, names=[name])
    [result] = first.results
    assert result.outcome is CheckOutcome.FAILED
    assert "died of its input" in result.summary
    assert run_checks(files, commit="1" * 40, tree="2" * 40, names=[name]) == first


_ITSELF = b'{{ include "a" . }}'
CHARTS = {
    "text repeated": b'{{ repeat 200000000 "abcdefgh" }}',
    "a definition that includes itself": b'{{ define "a" }}' + _ITSELF + b"{{ end }}" + _ITSELF,
    "lists in lists": b"a: " + b"[" * 50_000 + b"]" * 50_000,
    "aliases of aliases": b"a0: &a0 [x]\n"
    + b"".join(
        b"a%d: &a%d [%s]\n" % (n, n, b",".join([b"*a%d" % (n - 1)] * 10)) for n in range(1, 9)
    ),
    "actions that are not closed": b"{{" * 100_000,
    "an endless number of objects": b"{{ range $n := until 1000000 }}\n---\na: {{ $n }}\n{{ end }}",
    "a huge line": b"# " + b"x" * 6_000_000,
}


@pytest.mark.parametrize("name", CHARTS)
def test_charts_over_a_bound_do_not_render(name: str) -> None:
    chart = {
        "Chart.yaml": b"apiVersion: v2\nname: x\nversion: 1.0.0\n",
        "templates/a.yaml": CHARTS[name],
    }
    with pytest.raises(Unrenderable):
        helm.run_helm_template(chart, release="x", values={}, kubernetes_version="1.34.0")


@pytest.mark.parametrize("described", [b"[" * 50_000, b"a: " + b"x" * 100_000, b"\0"])
def test_descriptions_of_charts_over_a_bound_are_refused(described: bytes) -> None:
    with pytest.raises(Unrenderable, match=r"Chart\.yaml"):
        helm.run_helm_lint({"Chart.yaml": described}, values={})


def test_a_refused_chart_is_not_rendered_again(monkeypatch: pytest.MonkeyPatch) -> None:
    hydrator = Hydrator()
    runs = []

    def refuse(*_: object, **__: object) -> None:
        runs.append(1)
        raise OverBound("memory", "helm was stopped at the limit of memory")

    monkeypatch.setattr(helm, "run_tool_confined", refuse)
    source = {"chart/Chart.yaml": b"apiVersion: v2\nname: x\nversion: 1.0.0\n"}
    for _ in range(3):
        with pytest.raises(Unrenderable, match="limit of memory"):
            hydrator.read_base(
                "0" * 40, source, release="x", image="x", kubernetes_version="1.34.0"
            )
    assert len(runs) == 1


@pytest.mark.parametrize(
    "stream", [b"- a\n" * 500_000, b"[" * 500_000, b"a: " + b"x" * (5 * 1024**2), b"[" * 5_000]
)
def test_rendered_output_is_read_within_bounds(stream: bytes) -> None:
    with pytest.raises(Unrenderable):
        rendered.parse_rendered(stream)


class EndlessMaker:
    """Builds by a program that doesn't end."""

    name: Literal["buildah"] = "buildah"

    def __init__(self) -> None:
        self.begun = 0

    def make(self, files: Files, labels: Mapping[str, str]) -> Image:
        self.begun += 1
        run_build(["/bin/sleep", "600"], {}, timeout_s=0.1)
        raise AssertionError("it ended")


def test_a_build_that_does_not_end_is_refused_once(patched: Story, tmp_path: Path) -> None:
    maker = EndlessMaker()
    patched.use(make_builder=lambda _: attested(maker, LayoutStore(tmp_path / "images")))
    patched.take_over()
    patched.ask(DRAFT, "dev", ENGINEER_ID)
    patched.go()
    [refused] = patched.engine.status(DRAFT).refused_promotions
    assert [r.code for r in refused.reasons] == ["build-over-bound"]
    facts = patched.kinds()
    assert facts[-1] == "promotion-refused" and "built" not in facts
    patched.go()
    assert (patched.kinds(), maker.begun) == (facts, 1)
    # Nobody is locked out: asked for again, it is built again.
    patched.use(make_builder=one_builder)
    patched.request(
        promotion_path(DRAFT, "dev"),
        render_document(asked_again(patched)),
        ENGINEER_ID,
    )
    patched.go()
    assert patched.kinds()[len(facts) :] == ["built", "promoted"]


def asked_again(world: Story) -> dict[str, object]:
    commit = world.newest()
    proposal = world.engine.propose_promotion(DRAFT, "dev", source_commit=commit, reason="Again")
    return proposal.promotion.model_dump(mode="json", by_alias=True, exclude_none=True)


@pytest.mark.parametrize(("program", "maker"), [("buildah", BuildahMaker), ("docker", BuildxMaker)])
def test_builders_are_stopped_at_their_time_limit(
    program: str, maker: Callable[[], Maker], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / program
    # What comes before and after a build answers at once.
    version = {"buildah": "buildah version 1.30.0", "docker": "Docker version 27.0.0, build 0"}
    slow.write_text(
        f'#!/bin/sh\ncase "$*" in *" bud "*|*"x build "*) exec sleep 600;; '
        f"*ersion*) echo {version[program]};; esac\n"
    )
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(bounded, "BUILD_S", 0.5)
    with pytest.raises(OverBound, match=r"had not ended after 0\.5 s"):
        maker().make({"Dockerfile": (0o100644, b"FROM scratch\nRUN sleep 600\n")}, {})


def test_an_image_that_is_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = LayoutStore(tmp_path)
    store.write_image("x", "y", image_of({"a": (0o100644, b"x" * 4096)}, {}))
    assert image_from_layout(store.folder("x"))
    monkeypatch.setattr(images, "MAX_IMAGE_BYTES", 4096)
    with pytest.raises(OverBound, match="more than 4,096 bytes"):
        image_from_layout(store.folder("x"))


def test_a_build_that_does_not_end_in_its_job_is_recorded_as_refused(
    patched: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patched.take_over()
    patched.ask(DRAFT, "dev", ENGINEER_ID)
    work, out = tmp_path / "work", tmp_path / "evidence"
    patched.use(make_builder=lambda _: attested(EndlessMaker(), None))
    item = due_build(patched)
    write_work(work, DueWork(control_commit="0" * 40, items=(item,)), patched.forge)
    monkeypatch.setattr(wiring, "maker_of_machine", EndlessMaker)
    evidence = _perform(item, work, out)
    write_evidence(out, evidence)
    assert evidence.refused is not None and evidence.refused.code == "build-over-bound"
    # Whoever attests and pushes has nothing to do; the run records it.
    assert list(read_made(work, out)) == []
    builder = RecordedBuilder(
        read_evidence(out), LayoutStore(tmp_path / "images"), trusted_signers(), verify_bundle
    )
    patched.use(make_builder=lambda _: builder)
    patched.go()
    [refused] = patched.engine.status(DRAFT).refused_promotions
    assert [r.code for r in refused.reasons] == ["build-over-bound"]


def due_build(world: Story) -> BuildImage:
    """The build that is due, once the checks of its source are recorded."""
    while True:
        plan = world.engine.plan(tenants=["acme"])
        for effect in plan.effects:
            if isinstance(effect, BuildImage):
                return effect
        assert not plan.is_empty
        world.engine.apply(plan)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"refused": {"code": "check-failed", "message": "x"}}, "no build is refused for"),
        ({"report": {"commit": "1" * 40, "tree": "2" * 40, "results": []}}, "no record of the"),
        ({"refused": None}, "it holds no record of the image"),
    ],
)
def test_an_unknown_build_refusal_is_not_evidence(changes: dict[str, Any], said: str) -> None:
    item = BuildImage(
        key="0" * 64,
        draft=DRAFT,
        repo=CODE,
        commit="1" * 40,
        folder=FOLDER,
        tree="2" * 40,
        image="registry.example.com/x",
        labels={},
    )
    whole = {
        "item": item.model_dump(),
        "refused": {"code": "build-over-bound", "message": "too long"},
    }
    assert evidence_problem(WorkEvidence.model_validate_json(json.dumps(whole))) == ""
    assert said in evidence_problem(
        WorkEvidence.model_validate_json(json.dumps({**whole, **changes}))
    )


def test_an_unreadable_lock_file_is_refused_in_its_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"package-lock.json": (0o100644, b"no JSON")}
    tree = tree_id_of_files(files)
    item = BuildImage(
        key="0" * 64,
        draft=DRAFT,
        repo=CODE,
        commit="1" * 40,
        folder=FOLDER,
        tree=tree,
        image="registry.example.com/x",
        labels={},
    )
    monkeypatch.setattr(work_files, "read_source", lambda folder, tree: files)
    refused = _perform(item, tmp_path, tmp_path / "out").refused
    assert refused is not None and refused.code == "build-failed"
    assert "package-lock.json" in refused.message
