"""`pipeline doctor`: whether this machine has what the pipeline needs, and how to get the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from pipeline.cli.session import Session, format_option, pass_session
from pipeline.errors import CouldNotCheck, PipelineError

if TYPE_CHECKING:
    from pipeline.control.repo import Control
    from pipeline.forges.github.settings import Setting
    from pipeline.forges.port import BranchRule, Repositories
    from pipeline.models.outputs import DoctorItem

GIT_MINIMUM = (2, 38, 0)  # `git merge-tree --write-tree`
# Reported with the sandbox, which has an alternative.
SANDBOX_PROGRAM = "bwrap"
OPTIONAL_TOOLS = {"buildah", "crane", "docker"}


@click.command()
@click.option(
    "--github",
    is_flag=True,
    help="Also check the GitHub organisation's settings.",
)
@format_option("text", "json")
@pass_session
def doctor(session: Session, github: bool) -> int:
    """Check that this machine has what the pipeline needs.

    Exit code 4 if a run would miss something; with --github also if a setting that the guarantees
    need is missing.
    """
    from pipeline.models.outputs import DoctorReport
    from pipeline.render.doctor import render_doctor
    from pipeline.render.style import Style

    items = tuple(_look(session))
    if github:
        items += tuple(_look_at_settings(session))
    missing = any(item.state == "missing" for item in items)
    report = DoctorReport(verdict="could-not-check" if missing else "valid", items=items)
    if session.is_json:
        session.write_document(report)
    else:
        session.write(render_doctor(report, Style(session.colour)))
    return 4 if missing else 0


def _look(session: Session) -> Iterator[DoctorItem]:
    import platform

    from pipeline import __version__
    from pipeline.machine.versions import ACCEPTED, read_tool
    from pipeline.models.outputs import DoctorItem
    from pipeline.tools.kubeconform import SCHEMA_VERSION, schema_folder

    python = f"{platform.python_implementation()} {platform.python_version()}"
    yield DoctorItem(name="pipeline", state="ok", detail=f"{__version__} on {python}")
    yield _look_at_git()
    for name in sorted(ACCEPTED.keys() - {SANDBOX_PROGRAM}):
        try:
            tool = read_tool(name)
        except CouldNotCheck as error:
            state = "optional" if name in OPTIONAL_TOOLS else "missing"
            yield DoctorItem(
                name=name,
                state=state,  # type: ignore[arg-type]  # one of two literals of the field
                detail=error.message,
                help=error.help,
            )
        else:
            yield DoctorItem(name=name, state="ok", detail=f"{tool.version}, {tool.path}")
    yield _look_at_ruff()
    try:
        folder = schema_folder()
    except CouldNotCheck as error:
        yield DoctorItem(name="schemas", state="missing", detail=error.message, help=error.help)
    else:
        detail = f"Kubernetes {SCHEMA_VERSION}, {folder}"
        yield DoctorItem(name="schemas", state="ok", detail=detail)
    yield _look_at_sandbox()
    yield _look_at_forge(session)
    yield from _look_at_local_rules(session)


def _look_at_local_rules(session: Session) -> Iterator[DoctorItem]:
    """The branch rules of a local forge, where reading is free; `--github` reads GitHub's.

    Empty without a forge, or without a policy to compare with.
    """
    try:
        forge = session.control().forge
        if forge.account is None:
            yield from map(_item_of, _rules(session))
    except PipelineError:
        return


def _rules(session: Session) -> Iterator[Setting]:
    """The checks of the branch rules of the control repo and of all tenants' repositories.

    Raises Refused without a platform file.
    """
    from pipeline.errors import NotFound
    from pipeline.forges.github import settings

    forge, wanted = session.control().forge, _rules_wanted(session)
    there: dict[str, tuple[BranchRule, ...] | None] = {}
    control = session.control().control_repo
    yield from settings.check_rules(wanted.pop(control), forge.read_rules(control))
    for repo in wanted:
        try:
            there[repo] = forge.read_rules(repo)
        except NotFound:
            there[repo] = None
    yield from settings.check_repositories(wanted, there)


def _rules_wanted(session: Session) -> dict[str, tuple[BranchRule, ...]]:
    """Repository → its required branch rules, for the control repo and all tenants'.

    Raises Refused without a platform file.
    """
    from pipeline.errors import Refused
    from pipeline.forges.control_rules import control_rules
    from pipeline.forges.port import BranchRule
    from pipeline.stages.provision import rules_wanted

    engine = session.engine()
    snapshot = engine.snapshot()
    if snapshot.platform is None:
        raise Refused("environments/platform.yaml is missing or invalid")
    tenants = {t: found for t in snapshot.tenant_ids if (found := snapshot.tenant(t))}
    wanted = rules_wanted(snapshot.platform, tenants, engine.statuses())
    return {engine.control.control_repo: control_rules(snapshot.platform)} | {
        repo: tuple(BranchRule(r.pattern, r.push, r.merge, r.approvals) for r in rules)
        for repo, rules in wanted.items()
    }


def _look_at_limits(session: Session) -> Iterator[Setting]:
    """The checks for limits of GitHub's plans and rules."""
    from pipeline.errors import NotFound
    from pipeline.forges.github import plan_limits

    control, engine = session.control(), session.engine()
    forge, account = control.forge, control.forge.account
    wanted, signed = _rules_wanted(session), {}
    for repo in tuple(wanted):
        try:
            branches = plan_limits.branches_of(wanted[repo])
            signed[repo] = forge.read_signed_branches(repo, branches)
        except NotFound:
            del wanted[repo]  # `_rules` reports that it is gone
    yield from plan_limits.check_signatures(wanted, signed, account or 0)
    hosting, signers = forge.read_hosting(control.control_repo), engine.snapshot().signers
    if hosting is not None:
        build = _read_file(control, plan_limits.BUILD_WORKFLOW)
        yield plan_limits.check_attestations(hosting, signers, build)
        yield plan_limits.check_queues(hosting.server, _read_workflows(control))


def _item_of(setting: Setting) -> DoctorItem:
    from pipeline.models.outputs import DoctorItem

    return DoctorItem(
        name=setting.name,
        state="missing" if setting.problem else "ok",
        detail=setting.problem or setting.detail,
        help=setting.help,
    )


def _look_at_sandbox() -> DoctorItem:
    from pipeline.models.outputs import DoctorItem
    from pipeline.sandbox.limits.cgroup import find_parent
    from pipeline.sandbox.run import bubblewrap, sandbox_problem

    if problem := sandbox_problem():
        help = "user namespaces must be allowed on this machine"
        return DoctorItem(name="sandbox", state="missing", detail=problem, help=help)
    found, parent = bubblewrap(), find_parent()
    counted = f"memory by cgroup below {parent}" if parent else "memory counted from /proc"
    detail = f"bubblewrap {found.version}, {found.path}; {counted}"
    return DoctorItem(name="sandbox", state="ok", detail=detail)


def _look_at_ruff() -> DoctorItem:
    from importlib import metadata

    from pipeline.models.outputs import DoctorItem

    try:
        return DoctorItem(name="ruff", state="ok", detail=metadata.version("ruff"))
    except metadata.PackageNotFoundError:
        detail = "is not installed beside the pipeline"
        return DoctorItem(name="ruff", state="missing", detail=detail, help="run `make setup`")


def _look_at_git() -> DoctorItem:
    import shutil

    from pipeline.machine.process import run_tool
    from pipeline.machine.versions import parse_version
    from pipeline.models.outputs import DoctorItem

    program = shutil.which("git")
    wanted = ".".join(map(str, GIT_MINIMUM[:2]))
    help = f"install git {wanted} or newer"
    if program is None:
        return DoctorItem(name="git", state="missing", detail="not on PATH", help=help)
    try:
        answer = run_tool([program, "--version"], timeout_s=20)
    except CouldNotCheck as error:
        return DoctorItem(name="git", state="missing", detail=error.message, help=help)
    version = parse_version(answer.stdout.decode("utf-8", "replace"))
    if version is None or version < GIT_MINIMUM:
        shown = ".".join(map(str, version)) if version else "of unknown version"
        return DoctorItem(name="git", state="missing", detail=f"{shown}, {program}", help=help)
    shown = ".".join(map(str, version))
    return DoctorItem(name="git", state="ok", detail=f"{shown}, {program}")


def _look_at_forge(session: Session) -> DoctorItem:
    from pipeline.models.outputs import DoctorItem

    try:
        control = session.control()
        head = control.head()
    except PipelineError as error:
        # Only commands that request or run need a forge; `validate` and `audit` need only a clone.
        return DoctorItem(name="forge", state="optional", detail=error.message, help=error.help)
    detail = f"`{control.control_repo}` is at {head[:12]}"
    return DoctorItem(name="forge", state="ok", detail=detail)


def _read_environment(forge: Repositories, control: Control, name: str) -> tuple[str, ...] | None:
    from pipeline.errors import NotFound

    try:
        return forge.read_environment(control.control_repo, name)
    except NotFound:
        return None


def _read_file(control: Control, path: str) -> bytes:
    """A file of main, empty if there is none."""
    found = control.open_repository().read_object(f"{control.head()}:{path}")
    return found.content if found else b""


def _read_workflows(control: Control) -> dict[str, bytes]:
    """Path → text of the workflows on main."""
    folder = ".github/workflows"
    listed = control.open_repository().read_tree(f"{control.head()}:{folder}") or ()
    paths = [f"{folder}/{entry.name}" for entry in listed if not entry.is_tree]
    return {path: _read_file(control, path) for path in paths}


def _look_at_settings(session: Session) -> Iterator[DoctorItem]:
    """The live settings that guarantees need. Raises UsageFault for a forge without accounts."""
    from pipeline.control.repo import MAIN
    from pipeline.errors import Refused, UsageFault
    from pipeline.forges.github import settings
    from pipeline.render.code_owners import CODE_OWNERS_PATH, render_code_owners

    engine = session.engine()
    forge, control = engine.forge, engine.control
    if forge.account is None:
        raise UsageFault("the control repo is on no GitHub", help="its `origin` is a folder")
    snapshot = engine.snapshot()
    platform = snapshot.platform
    if platform is None:
        raise Refused("environments/platform.yaml is missing or invalid")
    teams = settings.approving_teams(snapshot.environments.values())
    found = (
        settings.check_account(platform, forge.account),
        *_rules(session),
        *settings.check_teams(platform, {team: forge.read_team(team) for team in teams}),
        *settings.check_gate(forge.read_required_checks(control.control_repo, MAIN), forge.account),
        *(
            settings.check_secrets_environment(name, _read_environment(forge, control, name), MAIN)
            for name in settings.ENVIRONMENTS_WITH_SECRETS
        ),
        settings.check_code_owners(
            render_code_owners(snapshot), _read_file(control, CODE_OWNERS_PATH)
        ),
        settings.check_signers(platform, snapshot.signers),
        *_look_at_limits(session),
        settings.promotion_pace(),
    )
    yield from map(_item_of, found)
