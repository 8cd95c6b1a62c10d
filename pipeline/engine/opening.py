"""Wiring: the engine over a control checkout, with the tools and stores of this machine.

Everything that tests replace is in `Tools`. Only this module chooses the real ones; it imports each
when first needed, since most commands need few. `PIPELINE_FAULT` (`before:N` or `after:N`) kills
the process at the N-th effect, for crash tests.
"""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pipeline.control.repo import Control, open_control
from pipeline.engine.engine import Engine
from pipeline.engine.tools import Tools
from pipeline.errors import CouldNotCheck, Refused, UsageFault
from pipeline.forges.local.forge import LocalForge
from pipeline.git.objects import Files
from pipeline.images.stores import ImageStore, LayoutStore, RegistryStore
from pipeline.plan.ports import FaultHook, no_faults
from pipeline.plan.view import Scope, Stage
from pipeline.templates import LazyTemplates
from pipeline.tools.gitleaks import SecretHit, run_secret_scan

if TYPE_CHECKING:
    from pipeline.images.attesting import Attest
    from pipeline.images.port import Builder, Maker
    from pipeline.models.evidence import CheckReport
    from pipeline.plan.effects import Effect, RunChecks
    from pipeline.requests.snapshot import Snapshot

CRASH_EXIT_CODE = 137


def image_store(snapshot: Snapshot, forge_root: Path) -> ImageStore:
    """The image store: the platform's registry, or OCI layouts beside a local forge.

    Raises Refused if the platform file is missing or invalid.
    """
    if snapshot.platform is None:
        raise Refused("environments/platform.yaml is missing or invalid")
    if snapshot.platform.registry.store == "registry":
        return RegistryStore()
    return LayoutStore(forge_root.parent / "images")


def builder_of(snapshot: Snapshot, *, forge_root: Path) -> Builder:
    """The builder of this machine, which attests with the machine's key."""
    # 24 ms: most runs build nothing.
    from pipeline.images.attesting import AttestingBuilder
    from pipeline.tools.bundlecheck import verify_bundle

    return AttestingBuilder(
        maker_of_machine(),
        image_store(snapshot, forge_root),
        partial(attest_here, snapshot, forge_root),
        snapshot.signers,
        verify_bundle,
    )


def maker_of_machine() -> Maker:
    """The image maker that PIPELINE_BUILDER chooses; the embedded one by default."""
    # 11 ms: most runs build nothing.
    from pipeline.images.buildah import BuildahMaker
    from pipeline.images.buildx import BuildxMaker
    from pipeline.images.layout import LayoutMaker

    wanted = os.environ.get("PIPELINE_BUILDER") or "source-layout"
    image = os.environ.get("PIPELINE_BASE_IMAGE")
    arguments = {"BASE_IMAGE": image} if image else {}
    program = {"buildah": "buildah", "buildx": "docker"}.get(wanted)
    if program and shutil.which(program) is None:
        raise UsageFault(f"PIPELINE_BUILDER asks for {wanted}; {program} is not on PATH")
    match wanted:
        case "source-layout":
            return LayoutMaker()
        case "buildx":
            options = os.environ.get("PIPELINE_BUILDX_OPTIONS", "")
            return BuildxMaker(arguments, driver_options=options)
        case "buildah":
            storage = os.environ.get("PIPELINE_BASE_STORAGE")
            return BuildahMaker(arguments, base_storage=Path(storage) if storage else None)
    raise UsageFault(
        f"there is no builder `{wanted}`", help="`source-layout`, `buildah` or `buildx`"
    )


def workspace_key(forge_root: Path) -> Path:
    """The path of the key that signs builds here: PIPELINE_SIGNING_KEY_FILE, else a file beside the
    local forge.
    """
    named = os.environ.get("PIPELINE_SIGNING_KEY_FILE")
    return Path(named) if named else forge_root.parent / "signing-key.pem"


def attest_here(snapshot: Snapshot, forge_root: Path) -> Attest:
    """The signer of statements on this machine. Raises CouldNotCheck if there is none."""
    # 24 ms: most runs build nothing.
    from pipeline.images.attesting import attest_with
    from pipeline.images.signing import SigningKey

    path = workspace_key(forge_root)
    if not path.is_file():
        raise CouldNotCheck(
            "there is no key to sign the image's provenance",
            help="`pipeline signing-key FILE` makes one; PIPELINE_SIGNING_KEY_FILE names it",
        )
    return attest_with(SigningKey.read(path), snapshot.signers)


def check_runner(effect: RunChecks, files: Files) -> CheckReport:
    """The report of running an effect's checks in the sandbox."""
    # 13 ms: most runs check nothing.
    from pipeline.checks import run_checks

    return run_checks(files, commit=effect.commit, tree=effect.tree, names=effect.names)


def secret_hits(files: Mapping[str, bytes]) -> Sequence[SecretHit]:
    """The hits of a secret scan, without the secrets themselves."""
    return run_secret_scan(files)


def fault_from_environment() -> FaultHook:
    """A hook that ends the process at once at the effect that PIPELINE_FAULT names."""
    wanted = os.environ.get("PIPELINE_FAULT", "")
    if not wanted:
        return no_faults
    when, _, number = wanted.partition(":")
    if when not in {"before", "after"} or not number.isdigit():
        raise UsageFault(f"PIPELINE_FAULT={wanted} is not `before:N` or `after:N`")
    counter = itertools.count(1)

    def hook(at: Literal["before", "after"], effect: Effect) -> None:
        if at == when and next(counter) == int(number):
            os._exit(CRASH_EXIT_CODE)

    return hook


def open_engine(directory: Path) -> Engine:
    """The engine over the control checkout that holds `directory`. Raises UsageFault."""
    return engine_of(open_control(directory))


def forge_root(control: Control) -> Path:
    """The folder beside which images are kept if there is no registry."""
    return control.forge.root if isinstance(control.forge, LocalForge) else control.directory


def restrict(engine: Engine, stages: Sequence[str], evidence: Path | None) -> Engine:
    """The engine limited to some stages, and to checks and builds performed elsewhere.

    Raises UsageFault for a folder without evidence.
    """
    scope = Scope(frozenset(map(Stage, stages)) or frozenset(Stage))
    if evidence is not None:
        # 31 ms: a run that performs checks and builds itself reads none.
        from pipeline.jobs.files import RecordedBuilder, read_evidence, recorded_checks
        from pipeline.tools.bundlecheck import verify_bundle

        found, root = read_evidence(evidence), forge_root(engine.control)

        def recorded_builder(snapshot: Snapshot) -> Builder:
            return RecordedBuilder(
                found, image_store(snapshot, root), snapshot.signers, verify_bundle
            )

        engine = engine.using(
            run_checks=partial(recorded_checks, found), make_builder=recorded_builder
        )
        scope = replace(scope, evidence=frozenset(found))
    return replace(engine, scope=scope)


def engine_of(control: Control) -> Engine:
    """The engine over an opened control checkout."""
    tools = Tools(
        make_builder=partial(builder_of, forge_root=forge_root(control)),
        run_checks=check_runner,
        scan_secrets=secret_hits,
        templates=LazyTemplates(),
        faults=fault_from_environment(),
    )
    return Engine(control, tools, remembers=True)
