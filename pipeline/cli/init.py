"""`pipeline init`: write a new control repo."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import click

from pipeline.cli.session import Session, pass_session
from pipeline.errors import UsageFault


def _account(text: str, more: int) -> list[str]:
    parts = text.split(":", 1 + more)
    if len(parts) != 2 + more or not parts[0].isdigit():
        form = "NUMBER:LOGIN:TEAM,TEAM" if more else "NUMBER:LOGIN"
        raise UsageFault(f"`{text}` is not an account", help=f"write {form}")
    return parts


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--platform", required=True, metavar="ID", help="The platform's name.")
@click.option("--organisation", required=True, metavar="LOGIN", help="The organisation on GitHub.")
@click.option("--registry", required=True, metavar="PREFIX", help="Registry prefix for images.")
@click.option("--app", type=int, required=True, metavar="ID", help="The pipeline's GitHub App.")
@click.option("--bot", required=True, metavar="NUMBER:LOGIN", help="The account of the App's bot.")
@click.option(
    "--person",
    "people",
    multiple=True,
    required=True,
    metavar="NUMBER:LOGIN:TEAM,TEAM",
    help="A person who requests, reviews or merges; may be repeated. What is of tier HIGH needs "
    "two people in `release-managers` and `security`.",
)
@click.option("--tenant", required=True, metavar="ID", help="The first tenant.")
@click.option(
    "--action",
    required=True,
    metavar="OWNER/REPO@COMMIT",
    help="Repository of the pipeline's action, with the commit to use.",
)
@click.option(
    "--server",
    default="https://github.com",
    show_default=True,
    metavar="URL",
    help="Address of the GitHub that has the organisation.",
)
@pass_session
def init(
    session: Session,
    folder: Path,
    platform: str,
    organisation: str,
    registry: str,
    app: int,
    bot: str,
    people: tuple[str, ...],
    tenant: str,
    action: str,
    server: str,
) -> int:
    """Write a new control repo.

    FOLDER must be empty except for `.git`. Writes policy, workflows, code owners, rulesets to
    import and a first tenant; its README.md lists the next steps. Without `.git` a repository is
    made, with all of it staged for the first commit and `origin` on GitHub. For Enterprise Server
    the workflows have no `queue: max`, which it does not know.
    """
    from pipeline.publish.starter import Answers, Person, starter_files

    if folder.exists() and any(entry.name != ".git" for entry in folder.iterdir()):
        raise UsageFault(f"`{folder}` is not empty", help="name a new folder")
    named = [_account(text, 1) for text in people]
    number, login = _account(bot, 0)
    answers = Answers(
        platform=platform,
        organisation=organisation,
        registry=registry,
        bot=(int(number), login),
        app_id=app,
        people=[Person(int(n), who, tuple(teams.split(","))) for n, who, teams in named],
        tenant=tenant,
        action=action,
        server=server,
    )
    there = resources.files("pipeline") / "starter"
    with resources.as_file(there) as top:
        found = (path for path in sorted(top.rglob("*")) if path.is_file())
        parts = {path.relative_to(top).as_posix(): path.read_bytes() for path in found}
    files = starter_files(answers, parts)
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    from pipeline.git.checkouts import begin_checkout  # imports GitPython, 75 ms
    from pipeline.models.requests import RepoNames

    control = f"{server}/{organisation}/{RepoNames().control}.git"
    made = begin_checkout(folder, files, origin=control)
    staged = f", staged for the first commit; origin is {control}" if made else ""
    session.write(
        f"✓ {len(files)} files in {folder}{staged}\n"
        f"  next     read {folder / 'README.md'}; then commit and push\n"
    )
    return 0
