"""Scaffold: the golden template, rendered into a branch with a pull request. Pure.

Source: docs/model.md §6.
"""

from __future__ import annotations

from pipeline import names
from pipeline.git.objects import (
    MODE_EXECUTABLE,
    MODE_FILE,
    blob_id,
)
from pipeline.models.base import key_of
from pipeline.plan.commits import CommitPlace, FolderFiles, commit_folder
from pipeline.plan.effects import FactEntry, OpenPull
from pipeline.plan.view import TOOL, DraftView, Step
from pipeline.templating import complete_parameters, render_template


def template_values(view: DraftView) -> dict[str, object]:
    """The values a template is rendered with: the draft's, and those derived from them."""
    r = view.request
    return {
        **complete_parameters(view.template, r.parameters),
        "tenant_id": r.tenant_id,
        "sku": view.tenant.sku.value,
        "primitive_id": r.primitive_id,
        "primitive_type": r.primitive_type.value,
        "code_origin": r.code_origin.value,
        "target_repo": view.target_repo,
        "instance": view.instance,
        "platform": view.platform.platform,
        "design_refs": list(r.design_refs),
        "namespaces": view.namespaces,
        "template": r.template_id,
        "image_repository": view.image,
        "cost_centre": view.tenant.cost_centre,
    }


def plan_scaffold(view: DraftView) -> Step | None:
    """The rendered template on a branch with a pull request; None if done or not yet possible."""
    if view.target is None or view.target.head is None:
        return None
    if view.status is None or view.status.branch_name:
        return None
    rendered = render_template(view.template, template_values(view))
    entries: dict[str, tuple[int, str]] = {}
    blobs: dict[str, bytes] = {}
    for path, file in rendered.items():
        id = blob_id(file.content)
        entries[path] = (MODE_EXECUTABLE if file.executable else MODE_FILE, id)
        blobs[id] = file.content
    cause = view.caused.cause
    key = scaffold_key(view)
    branch = names.draft_branch(view.instance, key)
    commit = commit_folder(
        view,
        view.caused,
        CommitPlace(view.target_repo, branch, view.target.head, None, view.base_parents),
        FolderFiles(view.folder, entries, blobs),
        key=key,
        subject=f"Scaffold {view.instance} from {view.request.template_id}",
    )
    pull = OpenPull(
        key=key_of("pull", view.target_repo, branch),
        draft=view.id,
        repo=view.target_repo,
        branch=branch,
        base_branch=view.target.default_branch,
        title=f"{view.instance}: new {view.request.primitive_type} primitive",
        body=pull_body(view),
    )
    # Take the branch of an interrupted run as it is: changed policy (a cost centre) would render
    # other files now, and a second branch for one request would be worse.
    found = view.existing
    fact = FactEntry(
        draft=view.id,
        cause=cause,
        type="scaffolded",
        known={
            "branch": branch,
            "commit": found.commit if found else commit.commit,
            "tree": found.folder_tree if found else commit.folder_tree,
        },
        outcomes={"pull_request": pull.key},
    )
    return Step(effects=(pull,) if found else (commit, pull), facts=(fact,))


def scaffold_key(view: DraftView) -> str:
    """The idempotency key of a draft's scaffold, from request, template and tool."""
    cause = view.caused.cause
    return key_of("scaffold", cause.request, cause.blob, view.template.digest, TOOL)


def pull_body(view: DraftView) -> str:
    """The text of a draft's pull request: what it is, and where it would run."""
    rows = "\n".join(f"| {env} | `{namespace}` |" for env, namespace in view.namespaces.items())
    return (
        f"Draft `{view.id}`, template `{view.request.template_id}`, code origin "
        f"`{view.request.code_origin}`, risk tier {view.risk_tier}.\n\n"
        f"| environment | namespace |\n|---|---|\n{rows}\n\n"
        f"Asked for by `{view.caused.cause.request}`.\n"
    )
